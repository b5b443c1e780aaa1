//! Link headers: everything in front of the IP header.

use netflow_flowcache::MplsStack;

use super::{Malformed, ip::Network};
use crate::pcap::LinkType;

/// What stands in front of the IP header, and the rest of the frame from there on.
#[derive(Clone, Copy, Debug)]
pub(super) struct LinkHeader<'a> {
    pub(super) network: Network,
    pub(super) payload: &'a [u8],
    pub(super) ingress_interface: u32,
    pub(super) egress_interface: u32,
    pub(super) vlan: u16,
    pub(super) inner_vlan: u16,
    pub(super) source_mac: [u8; 6],
    pub(super) destination_mac: [u8; 6],
    pub(super) mpls: MplsStack,
}

/// Why no IP header was found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stop {
    NotIp,
    /// Something else than IP behind MPLS labels, perhaps an Ethernet frame; so many octets of the frame are left.
    Pseudowire {
        left: usize,
    },
    UnsupportedLinkType,
    Malformed(Malformed),
}

const CUT: Stop = Stop::Malformed(Malformed::LinkHeaderCut);

/// Tags, labels and encapsulations that are read before a frame is taken for a forgery.
const MAX_LAYERS: usize = 16;

const ETHER_IPV4: u16 = 0x0800;
const ETHER_VLAN: u16 = 0x8100;
const ETHER_IPV6: u16 = 0x86DD;
const ETHER_MPLS: u16 = 0x8847;
const ETHER_MPLS_UPSTREAM: u16 = 0x8848;
const ETHER_PPPOE_SESSION: u16 = 0x8864;
/// IEEE 802.1ad service tag.
const ETHER_SERVICE_VLAN: u16 = 0x88A8;
/// What stacked tags were marked with before 802.1ad.
const ETHER_OLD_QINQ: u16 = 0x9100;
/// Below this the field is a length and LLC follows (IEEE 802.3 section 3.2.6).
const ETHER_FIRST_TYPE: u16 = 0x0600;

impl<'a> LinkHeader<'a> {
    /// Reads the link header of a frame.
    pub(super) fn read(link_type: LinkType, data: &'a [u8]) -> Result<Self, Stop> {
        match link_type {
            LinkType::ETHERNET => Self::ethernet(data),
            LinkType::RAW | LinkType::RAW_BSD | LinkType::RAW_OPENBSD => {
                Ok(Self::of(Network::ByVersion, data))
            }
            LinkType::IPV4 => Ok(Self::of(Network::Ipv4, data)),
            LinkType::IPV6 => Ok(Self::of(Network::Ipv6, data)),
            LinkType::NULL | LinkType::LOOP => Self::null(data),
            LinkType::LINUX_SLL => Self::cooked(data),
            LinkType::LINUX_SLL2 => Self::cooked_v2(data),
            LinkType::PPP => Self::of(Network::ByVersion, data).ppp(data),
            LinkType::PPP_HDLC => match data.first() {
                Some(0x0F | 0x8F) => Self::cisco_hdlc(data),
                _ => Self::of(Network::ByVersion, data).ppp(data),
            },
            LinkType::PPP_ETHER => Self::of(Network::ByVersion, data).pppoe(data),
            LinkType::CISCO_HDLC => Self::cisco_hdlc(data),
            LinkType::NFLOG => Self::netfilter_log(data),
            _ => Err(Stop::UnsupportedLinkType),
        }
    }

    /// A frame of which nothing is known but where IP begins.
    const fn of(network: Network, payload: &'a [u8]) -> Self {
        Self {
            network,
            payload,
            ingress_interface: 0,
            egress_interface: 0,
            vlan: 0,
            inner_vlan: 0,
            source_mac: [0; 6],
            destination_mac: [0; 6],
            mpls: MplsStack::EMPTY,
        }
    }

    pub(super) const fn found(mut self, network: Network, payload: &'a [u8]) -> Self {
        self.network = network;
        self.payload = payload;
        self
    }

    /// ```text
    /// destination (6) | source (6) | type or length (2)
    /// ```
    fn ethernet(data: &'a [u8]) -> Result<Self, Stop> {
        let (header, rest) = data.split_first_chunk::<14>().ok_or(CUT)?;
        let &[d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1] = header;
        let mut link = Self::of(Network::ByVersion, rest);
        link.destination_mac = [d0, d1, d2, d3, d4, d5];
        link.source_mac = [s0, s1, s2, s3, s4, s5];
        link.ether_type(u16::from_be_bytes([t0, t1]), rest)
    }

    /// What follows a field with an Ethernet type.
    pub(super) fn ether_type(mut self, mut ether_type: u16, mut rest: &'a [u8]) -> Result<Self, Stop> {
        let mut tags = 0_u8;
        for _ in 0..MAX_LAYERS {
            match ether_type {
                ETHER_IPV4 => return Ok(self.found(Network::Ipv4, rest)),
                ETHER_IPV6 => return Ok(self.found(Network::Ipv6, rest)),
                ETHER_VLAN | ETHER_SERVICE_VLAN | ETHER_OLD_QINQ => {
                    let (&[tag_high, tag_low, type_high, type_low], behind) =
                        rest.split_first_chunk().ok_or(CUT)?;
                    let vlan = u16::from_be_bytes([tag_high, tag_low]) & 0x0FFF;
                    match tags {
                        0 => self.vlan = vlan,
                        1 => self.inner_vlan = vlan,
                        _ => {}
                    }
                    tags = tags.saturating_add(1);
                    ether_type = u16::from_be_bytes([type_high, type_low]);
                    rest = behind;
                }
                ETHER_MPLS | ETHER_MPLS_UPSTREAM => return self.mpls(rest),
                ETHER_PPPOE_SESSION => return self.pppoe(rest),
                0..ETHER_FIRST_TYPE => (ether_type, rest) = snap(rest).ok_or(Stop::NotIp)?,
                _ => return Err(Stop::NotIp),
            }
        }
        Err(Stop::Malformed(Malformed::TooManyTags))
    }

    /// Labels down to the bottom of the stack (RFC 3032); the nibble behind it tells IP from a pseudowire
    /// (RFC 4928).
    fn mpls(mut self, mut rest: &'a [u8]) -> Result<Self, Stop> {
        for _ in 0..MAX_LAYERS {
            let (&[a, b, c, _time_to_live], behind) = rest.split_first_chunk().ok_or(CUT)?;
            self.mpls.push([a, b, c]);
            rest = behind;
            if c & 1 == 1 {
                return match rest.first().ok_or(CUT)? >> 4 {
                    4 => Ok(self.found(Network::Ipv4, rest)),
                    6 => Ok(self.found(Network::Ipv6, rest)),
                    _ => Err(Stop::Pseudowire { left: rest.len() }),
                };
            }
        }
        Err(Stop::Malformed(Malformed::TooManyTags))
    }

    /// ```text
    /// version, type (1) | code (1) | session (2) | length (2) | PPP      (RFC 2516 section 4)
    /// ```
    fn pppoe(self, data: &'a [u8]) -> Result<Self, Stop> {
        let (&[version_and_type, code, _, _, _, _], rest) = data.split_first_chunk().ok_or(CUT)?;
        if (version_and_type, code) == (0x11, 0) { self.ppp(rest) } else { Err(Stop::NotIp) }
    }

    /// Address and control field may be left out and so may the first octet of the protocol, which is then odd
    /// (RFC 1661 sections 2 and 6.5, 6.6).
    pub(super) fn ppp(self, data: &'a [u8]) -> Result<Self, Stop> {
        let data = data.strip_prefix(&[0xFF, 0x03]).unwrap_or(data);
        let (protocol, rest) = match data {
            [low, rest @ ..] if low & 1 == 1 => (u16::from(*low), rest),
            [high, low, rest @ ..] => (u16::from_be_bytes([*high, *low]), rest),
            _ => return Err(CUT),
        };
        match protocol {
            0x0021 => Ok(self.found(Network::Ipv4, rest)),
            0x0057 => Ok(self.found(Network::Ipv6, rest)),
            0x0281 | 0x0283 => self.mpls(rest),
            _ => Err(Stop::NotIp),
        }
    }

    /// ```text
    /// address (1) | control (1) | Ethernet type (2)
    /// ```
    fn cisco_hdlc(data: &'a [u8]) -> Result<Self, Stop> {
        let (&[_address, _control, high, low], rest) = data.split_first_chunk().ok_or(CUT)?;
        match u16::from_be_bytes([high, low]) {
            // SLARP, CDP and OSI, among others, have numbers of their own here.
            0..ETHER_FIRST_TYPE => Err(Stop::NotIp),
            ether_type => Self::of(Network::ByVersion, rest).ether_type(ether_type, rest),
        }
    }

    /// Four octets of address family, whose numbers and byte order are those of the capturing host.
    fn null(data: &'a [u8]) -> Result<Self, Stop> {
        let (family, rest) = data.split_first_chunk::<4>().ok_or(CUT)?;
        let family = u32::from_be_bytes(*family);
        // A family is a small number, so only one of the byte orders makes sense.
        match family.min(family.swap_bytes()) {
            2 => Ok(Self::of(Network::Ipv4, rest)),
            // Linux, Windows, NetBSD and OpenBSD, FreeBSD, Darwin.
            10 | 23 | 24 | 28 | 30 => Ok(Self::of(Network::Ipv6, rest)),
            _ => Err(Stop::NotIp),
        }
    }

    /// ```text
    /// packet type (2) | device type (2) | address length (2) | address (8) | Ethernet type (2)
    /// ```
    fn cooked(data: &'a [u8]) -> Result<Self, Stop> {
        let (header, rest) = data.split_first_chunk::<16>().ok_or(CUT)?;
        let &[_, _, device0, device1, _, length, a0, a1, a2, a3, a4, a5, _, _, type0, type1] = header;
        let mut link = Self::of(Network::ByVersion, rest);
        if length == 6 {
            link.source_mac = [a0, a1, a2, a3, a4, a5];
        }
        link.cooked_type(u16::from_be_bytes([device0, device1]), u16::from_be_bytes([type0, type1]), rest)
    }

    /// ```text
    /// Ethernet type (2) | 0 (2) | interface (4) | device type (2) | packet type (1) | address length (1) | address (8)
    /// ```
    fn cooked_v2(data: &'a [u8]) -> Result<Self, Stop> {
        const OUTGOING: u8 = 4;
        let (header, rest) = data.split_first_chunk::<20>().ok_or(CUT)?;
        let &[
            type0,
            type1,
            _,
            _,
            i0,
            i1,
            i2,
            i3,
            device0,
            device1,
            packet_type,
            length,
            a0,
            a1,
            a2,
            a3,
            a4,
            a5,
            _,
            _,
        ] = header;
        let mut link = Self::of(Network::ByVersion, rest);
        let interface = u32::from_be_bytes([i0, i1, i2, i3]);
        if packet_type == OUTGOING {
            link.egress_interface = interface;
        } else {
            link.ingress_interface = interface;
        }
        if length == 6 {
            link.source_mac = [a0, a1, a2, a3, a4, a5];
        }
        link.cooked_type(u16::from_be_bytes([device0, device1]), u16::from_be_bytes([type0, type1]), rest)
    }

    /// The protocol field of a cooked header, an Ethernet type for all but a few devices.
    fn cooked_type(self, device: u16, ether_type: u16, rest: &'a [u8]) -> Result<Self, Stop> {
        /// Devices whose protocol field means something else: netlink, wireless monitors.
        const NETLINK: u16 = 824;
        const WIRELESS: [u16; 3] = [801, 802, 803];
        /// IEEE 802.2 LLC follows; every other small number is a protocol of Linux alone.
        const LLC: u16 = 4;
        match ether_type {
            _ if device == NETLINK || WIRELESS.contains(&device) => Err(Stop::NotIp),
            0..ETHER_FIRST_TYPE if ether_type != LLC => Err(Stop::NotIp),
            _ => self.ether_type(ether_type, rest),
        }
    }

    /// ```text
    /// family (1) | version (1) | resource (2) | attributes: length (2) type (2) value, padded to 4 ...
    /// ```
    ///
    /// Lengths are in the byte order of the capturing host; the packet is attribute 9, usually the last.
    fn netfilter_log(data: &'a [u8]) -> Result<Self, Stop> {
        const PAYLOAD: u16 = 9;
        const MAX_ATTRIBUTES: usize = 64;
        let (&[family, version, _, _], mut rest) = data.split_first_chunk().ok_or(CUT)?;
        let network = match (family, version) {
            (2, 0) => Network::Ipv4,
            (10, 0) => Network::Ipv6,
            _ => return Err(Stop::NotIp),
        };
        for _ in 0..MAX_ATTRIBUTES {
            let (&[l0, l1, t0, t1], _) = rest.split_first_chunk().ok_or(CUT)?;
            // Types are small, so the octet that is zero tells the byte order.
            let swapped = t0 == 0 && t1 != 0;
            let number = if swapped { u16::from_be_bytes } else { u16::from_le_bytes };
            let (length, attribute) = (usize::from(number([l0, l1])), number([t0, t1]));
            if length < 4 {
                return Err(CUT);
            }
            if attribute == PAYLOAD {
                let value = rest.get(4..length.min(rest.len())).unwrap_or(&[]);
                return Ok(Self::of(network, value));
            }
            rest = rest.get(length.next_multiple_of(4)..).ok_or(CUT)?;
        }
        Err(Stop::NotIp)
    }
}

/// The Ethernet type behind an LLC header: SNAP with the organisation 00-00-00 (RFC 1042).
fn snap(data: &[u8]) -> Option<(u16, &[u8])> {
    match data {
        [0xAA, 0xAA, 0x03, 0, 0, 0, high, low, rest @ ..] => Some((u16::from_be_bytes([*high, *low]), rest)),
        _ => None,
    }
}
