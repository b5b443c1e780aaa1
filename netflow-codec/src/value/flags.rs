//! Values whose bits have meanings: TCP flags and forwardingStatus.

use core::fmt;

use crate::{element::ElementId, wire::unsigned};

/// The control bits of TCP headers, combined by OR: element tcpControlBits (6).
///
/// ```
/// use netflow_codec::TcpFlags;
///
/// // One octet in v9, two in IPFIX.
/// assert_eq!(TcpFlags::from_octets(&[0x12]), TcpFlags::from_octets(&[0x00, 0x12]));
/// let flags = TcpFlags(0x0112);
/// assert!(flags.contains(TcpFlags::SYN | TcpFlags::ACK));
/// assert_eq!(flags.to_string(), "AE|ACK|SYN");
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "the 16 bits of the TCP header that the data offset stands in")]
pub struct TcpFlags(pub u16);

impl TcpFlags {
    /// No more data from the sender.
    pub const FIN: Self = Self(0x001);
    /// Synchronise sequence numbers.
    pub const SYN: Self = Self(0x002);
    /// Reset the connection.
    pub const RST: Self = Self(0x004);
    /// Push.
    pub const PSH: Self = Self(0x008);
    /// The acknowledgement number counts.
    pub const ACK: Self = Self(0x010);
    /// The urgent pointer counts.
    pub const URG: Self = Self(0x020);
    /// Congestion is echoed.
    pub const ECE: Self = Self(0x040);
    /// The congestion window was reduced.
    pub const CWR: Self = Self(0x080);
    /// Accurate congestion notification; formerly NS.
    pub const AE: Self = Self(0x100);

    const NAMES: [(Self, &'static str); 9] = [
        (Self::AE, "AE"),
        (Self::CWR, "CWR"),
        (Self::ECE, "ECE"),
        (Self::URG, "URG"),
        (Self::ACK, "ACK"),
        (Self::PSH, "PSH"),
        (Self::RST, "RST"),
        (Self::SYN, "SYN"),
        (Self::FIN, "FIN"),
    ];

    /// From the octets of the element: one has the low bits only (reduced size), two have all; of more the last two
    /// count. `None` unless there are 1 to 8.
    #[must_use]
    pub fn from_octets(octets: &[u8]) -> Option<Self> {
        let value = unsigned(octets)?;
        u16::try_from(value & 0xffff).ok().map(Self)
    }

    /// Whether all of these bits are set.
    #[must_use]
    pub const fn contains(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }
}

impl core::ops::BitOr for TcpFlags {
    type Output = Self;

    fn bitor(self, flags: Self) -> Self {
        Self(self.0 | flags.0)
    }
}

/// The names of the bits that are set, `ACK|SYN`; bits without a name in hexadecimal; `0` when there are none.
impl fmt::Display for TcpFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        let mut separator = "";
        for (flag, name) in Self::NAMES {
            if self.contains(flag) {
                write!(f, "{separator}{name}")?;
                separator = "|";
                rest &= !flag.0;
            }
        }
        match (rest, separator) {
            (0, "") => f.write_str("0"),
            (0, _) => Ok(()),
            _ => write!(f, "{separator}{rest:#x}"),
        }
    }
}

/// What became of the packets of a flow: element forwardingStatus (89), RFC 7270 section 4.12.
///
/// ```
/// use netflow_codec::{Forwarding, ForwardingStatus};
///
/// let status = ForwardingStatus::from_octets(&[0, 0, 0, 0x89]).unwrap();
/// assert_eq!((status.forwarding(), status.reason()), (Forwarding::Dropped, 9));
/// assert_eq!(status.to_string(), "dropped (bad TTL)");
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "an octet, whichever it is")]
pub struct ForwardingStatus(pub u8);

/// The two high bits of [`ForwardingStatus`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "two bits")]
pub enum Forwarding {
    /// Not known.
    Unknown,
    /// Forwarded.
    Forwarded,
    /// Dropped.
    Dropped,
    /// Taken in by the device itself.
    Consumed,
}

impl ForwardingStatus {
    /// From the octets of the element, whose last one counts; `None` unless there are 1 to 4.
    #[must_use]
    pub const fn from_octets(octets: &[u8]) -> Option<Self> {
        match octets {
            [code] | [_, code] | [_, _, code] | [_, _, _, code] => Some(Self(*code)),
            _ => None,
        }
    }

    /// What became of the packets.
    #[must_use]
    pub const fn forwarding(self) -> Forwarding {
        match self.0 >> 6 {
            1 => Forwarding::Forwarded,
            2 => Forwarding::Dropped,
            3 => Forwarding::Consumed,
            _ => Forwarding::Unknown,
        }
    }

    /// Why: the six low bits, which mean something together with the two high ones only.
    #[must_use]
    pub const fn reason(self) -> u8 {
        self.0 & 0x3f
    }

    /// The registered name of the reason, such as `bad TTL`.
    #[must_use]
    pub fn reason_name(self) -> Option<&'static str> {
        ElementId::iana(89).value_name(self.0.into())
    }
}

/// `dropped (bad TTL)`; the number of a reason without a name.
impl fmt::Display for ForwardingStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.forwarding() {
            Forwarding::Unknown => "unknown",
            Forwarding::Forwarded => "forwarded",
            Forwarding::Dropped => "dropped",
            Forwarding::Consumed => "consumed",
        })?;
        match (self.reason(), self.reason_name()) {
            (0, _) => Ok(()),
            (_, Some(name)) => write!(f, " ({name})"),
            (reason, None) => write!(f, " ({reason})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;

    #[test]
    fn status_and_reason_come_from_one_or_four_octets() {
        // D64
        let cases: [(&[u8], Forwarding, u8, &str); 6] = [
            (&[0x40], Forwarding::Forwarded, 0, "forwarded"),
            (&[0x85], Forwarding::Dropped, 5, "dropped (Fragmentation and DF set)"),
            (&[0x89], Forwarding::Dropped, 9, "dropped (bad TTL)"),
            (&[0, 0, 0, 0x40], Forwarding::Forwarded, 0, "forwarded"),
            (&[0xc2], Forwarding::Consumed, 2, "consumed (Incomplete Adjacency)"),
            (&[0x3f], Forwarding::Unknown, 63, "unknown (63)"),
        ];
        for (octets, forwarding, reason, text) in cases {
            let status = ForwardingStatus::from_octets(octets).unwrap();
            assert_eq!((status.forwarding(), status.reason()), (forwarding, reason), "{octets:02x?}");
            assert_eq!(status.to_string(), text);
        }
        assert_eq!(ForwardingStatus::from_octets(&[]), None);
        assert_eq!(ForwardingStatus::from_octets(&[0; 5]), None);
    }

    #[test]
    fn flags_of_one_octet_are_the_low_ones() {
        assert_eq!(TcpFlags::from_octets(&[0xff]), Some(TcpFlags(0xff)));
        assert_eq!(TcpFlags::from_octets(&[0x01, 0x02]), Some(TcpFlags(0x102)));
        assert_eq!(TcpFlags::from_octets(&[9, 9, 0x01, 0x02]), Some(TcpFlags(0x102)));
        assert_eq!((TcpFlags::from_octets(&[]), TcpFlags::from_octets(&[0; 9])), (None, None));
        assert_eq!(TcpFlags(0x8018).to_string(), "ACK|PSH|0x8000");
        assert_eq!((TcpFlags(0).to_string(), TcpFlags(0xe00).to_string()), ("0".into(), "0xe00".into()));
    }
}
