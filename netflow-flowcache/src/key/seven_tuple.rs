//! The usual Flow Key, and how a table keeps it.

use core::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::{CacheLine, Form, HalfCacheLine, HashSeed, StoredKey, TableKey};
use crate::{ConfigError, ObservedPacket};

/// The usual Flow Key: addresses, ports, protocol, type of service and ingress interface.
///
/// Those seven make a NetFlow flow (elements 8/27, 12/28, 7, 11, 4, 5 and 10). IPv4 and IPv6 packets never
/// share a flow, not even when the IPv6 addresses are the IPv4-mapped ones.
///
/// ```
/// use core::net::{IpAddr, Ipv4Addr};
/// use netflow_flowcache::{ObservedPacket, SevenTuple};
///
/// let client = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
/// let server = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));
/// let key = SevenTuple::of(&ObservedPacket::new(client, server, 17, 60));
/// assert_eq!((key.source(), key.destination(), key.protocol()), (client, server, 17));
/// ```
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SevenTuple {
    addresses: Addresses,
    transport: Transport,
}

#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
enum Addresses {
    V4([u8; 8]),
    V6([[u8; 8]; 4]),
}

/// Octets, so that they fill a record without a gap; made and compared as whole words.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
struct Transport {
    /// Source port 16 bits, destination port 16, ingress interface 32.
    ports: [u8; 8],
    /// Protocol, TOS.
    class: [u8; 2],
}

/// The [`SevenTuple`] of an IPv4 flow as a table keeps it: 18 octets.
#[derive(Clone, Copy, Debug, Default, Eq)]
pub struct Ipv4SevenTuple {
    addresses: [u8; 8],
    transport: Transport,
}

/// The [`SevenTuple`] of an IPv6 flow as a table keeps it: 42 octets.
#[derive(Clone, Copy, Debug, Default, Eq)]
pub struct Ipv6SevenTuple {
    addresses: [[u8; 8]; 4],
    transport: Transport,
}

impl SevenTuple {
    /// The key of the flow this packet belongs to.
    ///
    /// A packet with one IPv4 and one IPv6 address, which no network has, counts as IPv6 with the IPv4-mapped
    /// form of the former.
    #[inline]
    #[must_use]
    pub fn of(packet: &ObservedPacket) -> Self {
        Self::from_form(form_of(packet))
    }

    /// A hash of the key, for spreading flows over tables; use another seed than that of the tables.
    #[must_use]
    pub fn hash(&self, seed: HashSeed) -> u64 {
        match self.addresses {
            Addresses::V4(addresses) => Ipv4SevenTuple { addresses, transport: self.transport }.hash(seed),
            Addresses::V6(addresses) => Ipv6SevenTuple { addresses, transport: self.transport }.hash(seed),
        }
    }

    /// Source address (elements 8, 27).
    #[must_use]
    pub const fn source(&self) -> IpAddr {
        match self.addresses {
            Addresses::V4([.., a, b, c, d]) => IpAddr::V4(Ipv4Addr::new(d, c, b, a)),
            Addresses::V6([a, b, ..]) => IpAddr::V6(Ipv6Addr::from_bits(join(a, b))),
        }
    }

    /// Destination address (elements 12, 28).
    #[must_use]
    pub const fn destination(&self) -> IpAddr {
        match self.addresses {
            Addresses::V4([a, b, c, d, ..]) => IpAddr::V4(Ipv4Addr::new(d, c, b, a)),
            Addresses::V6([.., a, b]) => IpAddr::V6(Ipv6Addr::from_bits(join(a, b))),
        }
    }

    /// Source port (element 7).
    #[must_use]
    pub const fn source_port(&self) -> u16 {
        let [.., low, high] = self.transport.ports;
        u16::from_le_bytes([low, high])
    }

    /// Destination port, or ICMP type and code (elements 11, 32, 139).
    #[must_use]
    pub const fn destination_port(&self) -> u16 {
        let [.., low, high, _, _] = self.transport.ports;
        u16::from_le_bytes([low, high])
    }

    /// IP protocol (element 4).
    #[must_use]
    pub const fn protocol(&self) -> u8 {
        self.transport.class[0]
    }

    /// IPv4 TOS or IPv6 traffic class octet (element 5).
    #[must_use]
    pub const fn tos(&self) -> u8 {
        self.transport.class[1]
    }

    /// SNMP index of the ingress interface (element 10).
    #[must_use]
    pub const fn ingress_interface(&self) -> u32 {
        let [a, b, c, d, ..] = self.transport.ports;
        u32::from_le_bytes([a, b, c, d])
    }

    /// Whether it is an IPv4 flow; otherwise it is an IPv6 flow (element 60).
    #[must_use]
    pub const fn is_ipv4(&self) -> bool {
        matches!(self.addresses, Addresses::V4(_))
    }
}

impl TableKey for SevenTuple {
    type Fields = ();
    type Narrow = Ipv4SevenTuple;
    type Wide = Ipv6SevenTuple;

    fn check((): &()) -> Result<(), ConfigError> {
        Ok(())
    }

    #[expect(clippy::inline_always, reason = "see form_of")]
    #[inline(always)]
    fn of_packet(packet: &ObservedPacket, (): &()) -> Form<Ipv4SevenTuple, Ipv6SevenTuple> {
        form_of(packet)
    }

    #[inline]
    fn from_form(form: Form<Ipv4SevenTuple, Ipv6SevenTuple>) -> Self {
        match form {
            Form::Narrow(key) => Self { addresses: Addresses::V4(key.addresses), transport: key.transport },
            Form::Wide(key) => Self { addresses: Addresses::V6(key.addresses), transport: key.transport },
        }
    }
}

/// The key in the form of its family.
///
/// Inlined before anything else, so that both forms stay in registers on their ways: otherwise they meet in memory.
#[expect(clippy::inline_always, reason = "as said")]
#[inline(always)]
pub(super) fn form_of(packet: &ObservedPacket) -> Form<Ipv4SevenTuple, Ipv6SevenTuple> {
    let ports = u64::from(packet.source_port) << 48
        | u64::from(packet.destination_port) << 32
        | u64::from(packet.ingress_interface);
    let transport = Transport { ports: ports.to_le_bytes(), class: [packet.protocol, packet.tos] };
    match (packet.source, packet.destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let pair = u64::from(source.to_bits()) << 32 | u64::from(destination.to_bits());
            Form::Narrow(Ipv4SevenTuple { addresses: pair.to_le_bytes(), transport })
        }
        (source, destination) => {
            let ([a, b], [c, d]) = (split(source), split(destination));
            Form::Wide(Ipv6SevenTuple { addresses: [a, b, c, d], transport })
        }
    }
}

impl Transport {
    #[inline]
    fn words(self) -> [u64; 2] {
        [u64::from_le_bytes(self.ports), u64::from(u16::from_le_bytes(self.class))]
    }
}

impl StoredKey for Ipv4SevenTuple {
    type Align = CacheLine;

    #[inline]
    fn hash(&self, seed: HashSeed) -> u64 {
        let [ports, class] = self.transport.words();
        seed.hash_words([u64::from_le_bytes(self.addresses), ports, class])
    }
}

impl StoredKey for Ipv6SevenTuple {
    type Align = HalfCacheLine;

    #[inline]
    fn hash(&self, seed: HashSeed) -> u64 {
        let [ports, class] = self.transport.words();
        let [a, b, c, d] = self.addresses.map(u64::from_le_bytes);
        seed.hash_words([a, b, c, d, ports, class])
    }
}

impl PartialEq for Ipv4SevenTuple {
    /// Word by word and without branches. A comparison of octet strings would read a key that was just made in
    /// other pieces than it was written in, and wait for that.
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        let ([a, b], [c, d]) = (self.transport.words(), other.transport.words());
        (u64::from_le_bytes(self.addresses) ^ u64::from_le_bytes(other.addresses)) | (a ^ c) | (b ^ d) == 0
    }
}

impl PartialEq for Ipv6SevenTuple {
    /// As that of [`Ipv4SevenTuple`].
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        let ([a, b], [c, d]) = (self.transport.words(), other.transport.words());
        let pairs = self.addresses.iter().zip(&other.addresses);
        let word = |octets: &[u8; 8]| u64::from_le_bytes(*octets);
        pairs.fold((a ^ c) | (b ^ d), |all, (left, right)| all | (word(left) ^ word(right))) == 0
    }
}

impl fmt::Debug for SevenTuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SevenTuple")
            .field("source", &self.source())
            .field("destination", &self.destination())
            .field("source_port", &self.source_port())
            .field("destination_port", &self.destination_port())
            .field("protocol", &self.protocol())
            .field("tos", &self.tos())
            .field("ingress_interface", &self.ingress_interface())
            .finish()
    }
}

const fn join(high: [u8; 8], low: [u8; 8]) -> u128 {
    (u64::from_le_bytes(high) as u128) << 64 | u64::from_le_bytes(low) as u128
}

#[inline]
fn split(address: IpAddr) -> [[u8; 8]; 2] {
    let bits = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    };
    #[expect(clippy::cast_possible_truncation, reason = "one half, then the other")]
    return [((bits >> 64) as u64).to_le_bytes(), (bits as u64).to_le_bytes()];
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(source: &str, destination: &str) -> ObservedPacket {
        ObservedPacket::new(source.parse().unwrap(), destination.parse().unwrap(), 6, 40)
    }

    #[test]
    fn getters_give_back_what_the_packet_had() {
        for (source, destination) in [("192.0.2.1", "198.51.100.7"), ("2001:db8::1:2", "2001:db8:3::4")] {
            let mut packet = packet(source, destination);
            packet.source_port = 0xC001;
            packet.destination_port = 0x01BB;
            packet.protocol = 0x84;
            packet.tos = 0xB8;
            packet.ingress_interface = 0xDEAD_BEEF;
            let key = SevenTuple::of(&packet);
            assert_eq!((key.source(), key.destination()), (packet.source, packet.destination));
            assert_eq!((key.source_port(), key.destination_port()), (0xC001, 0x01BB));
            assert_eq!((key.protocol(), key.tos()), (0x84, 0xB8));
            assert_eq!(key.ingress_interface(), 0xDEAD_BEEF);
            assert_eq!(key.is_ipv4(), packet.source.is_ipv4());
        }
    }

    #[test]
    fn ipv4_and_mapped_ipv6_are_different_keys() {
        let v4 = SevenTuple::of(&packet("192.0.2.1", "198.51.100.7"));
        let mapped = SevenTuple::of(&packet("::ffff:192.0.2.1", "::ffff:198.51.100.7"));
        assert_ne!(v4, mapped);
        // The worst case: an IPv6 address whose upper half looks like the pair of IPv4 addresses.
        let alike = SevenTuple::of(&packet("c000:201:c633:6407::", "::"));
        assert_ne!(v4, alike);
    }

    #[test]
    fn mixed_families_count_as_ipv6() {
        let key = SevenTuple::of(&packet("192.0.2.1", "2001:db8::1"));
        assert!(!key.is_ipv4());
        assert_eq!(key.source(), "::ffff:192.0.2.1".parse::<IpAddr>().unwrap());
    }
}
