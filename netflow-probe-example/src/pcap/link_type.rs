//! Link types: how the first octets of a frame are to be read.

use std::fmt;

/// The link type of a frame, a number of the registry that pcap and pcapng share.
///
/// Any number is a valid link type; those that can be dissected have names here.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct LinkType(pub u32);

impl LinkType {
    /// BSD loopback: four octets of address family in the byte order of the capturing host.
    pub const NULL: Self = Self(0);
    /// Ethernet.
    pub const ETHERNET: Self = Self(1);
    /// PPP, with or without address and control field.
    pub const PPP: Self = Self(9);
    /// Raw IP, as numbered on most BSDs inside the kernel.
    pub const RAW_BSD: Self = Self(12);
    /// Raw IP, as numbered on `OpenBSD` inside the kernel.
    pub const RAW_OPENBSD: Self = Self(14);
    /// PPP or Cisco HDLC in HDLC-like framing (RFC 1662, RFC 1547 section 4.3.1).
    pub const PPP_HDLC: Self = Self(50);
    /// `PPPoE` session packets without their Ethernet header (RFC 2516).
    pub const PPP_ETHER: Self = Self(51);
    /// Raw IP, version by the first nibble.
    pub const RAW: Self = Self(101);
    /// Cisco HDLC.
    pub const CISCO_HDLC: Self = Self(104);
    /// `OpenBSD` loopback: four octets of address family in network byte order.
    pub const LOOP: Self = Self(108);
    /// Linux cooked capture, version 1.
    pub const LINUX_SLL: Self = Self(113);
    /// Raw IPv4.
    pub const IPV4: Self = Self(228);
    /// Raw IPv6.
    pub const IPV6: Self = Self(229);
    /// Linux netfilter log.
    pub const NFLOG: Self = Self(239);
    /// Linux cooked capture, version 2.
    pub const LINUX_SLL2: Self = Self(276);
}

impl fmt::Display for LinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match *self {
            Self::NULL => "BSD loopback",
            Self::ETHERNET => "Ethernet",
            Self::PPP => "PPP",
            Self::RAW | Self::RAW_BSD | Self::RAW_OPENBSD => "raw IP",
            Self::PPP_HDLC => "PPP in HDLC framing",
            Self::PPP_ETHER => "PPPoE",
            Self::CISCO_HDLC => "Cisco HDLC",
            Self::LOOP => "OpenBSD loopback",
            Self::LINUX_SLL => "Linux cooked",
            Self::IPV4 => "raw IPv4",
            Self::IPV6 => "raw IPv6",
            Self::NFLOG => "Linux netfilter log",
            Self::LINUX_SLL2 => "Linux cooked v2",
            Self(number) => return write!(f, "link type {number}"),
        };
        write!(f, "{name} ({})", self.0)
    }
}
