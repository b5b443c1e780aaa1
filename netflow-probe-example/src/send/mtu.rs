//! How large datagrams may be.

use super::SendConfig;

/// IPv4 header and UDP header.
const IPV4_OVERHEAD: usize = 28;
/// IPv6 header and UDP header.
const IPV6_OVERHEAD: usize = 48;
/// Octets of a datagram when nothing is known of the way (RFC 7011 section 10.3.3).
const UNKNOWN: usize = 512;
/// Octets of a message over TCP, which knows no packets.
pub(super) const MAX_MESSAGE: usize = 4_096;

/// Octets of a datagram that a link of this MTU carries.
#[must_use]
pub fn max_datagram(mtu: u16, ipv6: bool) -> usize {
    usize::from(mtu).saturating_sub(if ipv6 { IPV6_OVERHEAD } else { IPV4_OVERHEAD })
}

/// Octets of a datagram by the MTU that was given, or else the one of the way.
pub(super) fn max_datagram_to(given: Option<u16>, path: Option<u16>, ipv6: bool) -> usize {
    let path = path.map(|mtu| mtu.min(SendConfig::MAX_PATH_MTU));
    given.or(path).map_or(UNKNOWN, |mtu| max_datagram(mtu, ipv6).max(UNKNOWN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_given_mtu_goes_before_that_of_the_way_and_what_is_unknown_is_small() {
        // X18
        assert_eq!(max_datagram_to(Some(1_500), Some(1_400), false), 1_472);
        assert_eq!(max_datagram_to(None, Some(1_400), false), 1_372);
        assert_eq!(max_datagram_to(None, Some(1_400), true), 1_352);
        assert_eq!(max_datagram_to(None, Some(u16::MAX), true), 1_452);
        assert_eq!(max_datagram_to(None, None, false), 512);
        assert_eq!(max_datagram_to(Some(9_000), None, false), 8_972);
    }
}
