//! Frames to packets: what metering needs to know of the octets on a link.
//!
//! [`dissect`] takes one captured frame and fills an [`ObservedPacket`], [`dissect_into`] one that is at hand;
//! [`udp_datagram`] hands out the payload of a UDP datagram instead. Both read the **outermost** IP header: what a tunnel carries is payload, which
//! [`dissect_carried`] reads.
//!
//! ```text
//! Ethernet | cooked | PPP | HDLC | null | none
//!    `- 802.1Q / 802.1ad tags - MPLS labels - PPPoE - LLC/SNAP
//!          `- IPv4 (options) | IPv6 (extension headers)
//!                `- TCP | UDP | UDP-Lite | SCTP | DCCP | ICMP | anything else
//! ```
//!
//! Frames that a capture cut short are counted by what their headers say; only a packet without both addresses is
//! malformed. Octets are those of layer 3, so neither tags nor the padding of short frames count.
//!
//! ```
//! use netflow_probe_example::{dissect::{Outcome, dissect}, pcap::LinkType};
//!
//! let mut frame = vec![0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 198, 51, 100, 7];
//! frame.extend([0xC0, 0x00, 0x00, 0x35, 0, 12, 0, 0, 1, 2, 3, 4]);
//! let Outcome::Packet(packet) = dissect(LinkType::RAW, &frame, 32) else { panic!("an IPv4 packet") };
//! assert_eq!((packet.source_port, packet.destination_port, packet.octets), (49_152, 53, 32));
//! ```

mod common;
mod counts;
mod ip;
mod link;
mod tunnel;
mod udp;

use core::net::{IpAddr, Ipv4Addr};

pub use counts::DissectCounts;
use ip::IpPacket;
use link::{LinkHeader, Stop};
use netflow_flowcache::{Fragment, ObservedPacket};
pub use tunnel::Tunnel;
pub use udp::{UdpDatagram, udp_datagram};

use crate::pcap::LinkType;

/// What a frame turned out to be. `P` is the packet, or nothing where that is elsewhere.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome<P = ObservedPacket> {
    /// An IP packet, to be metered.
    Packet(P),
    /// Something else, such as ARP, spanning tree or `PPPoE` control.
    NotIp,
    /// A link type that is not read, so it is unknown what the frame is.
    UnsupportedLinkType,
    /// A frame that says it is IP but is not, or of which too little was captured.
    Malformed(Malformed),
}

impl<P> Outcome<P> {
    /// The same, with another packet if it is one.
    #[inline]
    pub fn map<Q>(self, packet: impl FnOnce(P) -> Q) -> Outcome<Q> {
        match self {
            Self::Packet(old) => Outcome::Packet(packet(old)),
            Self::NotIp => Outcome::NotIp,
            Self::UnsupportedLinkType => Outcome::UnsupportedLinkType,
            Self::Malformed(reason) => Outcome::Malformed(reason),
        }
    }
}

/// Why a frame is malformed.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Malformed {
    /// The link header is cut off.
    LinkHeaderCut,
    /// More tags and encapsulations than any network stacks up.
    TooManyTags,
    /// The IP header is cut off before the end of its addresses.
    IpHeaderCut,
    /// The version is not the one announced, or neither 4 nor 6.
    IpVersion,
    /// An IPv4 header length below 5 words.
    Ipv4HeaderLength,
    /// An IPv4 total length below the header length.
    Ipv4TotalLength,
}

impl Malformed {
    /// Every reason, in the order of the counters of [`DissectCounts`].
    pub const ALL: [Self; 6] = [
        Self::LinkHeaderCut,
        Self::TooManyTags,
        Self::IpHeaderCut,
        Self::IpVersion,
        Self::Ipv4HeaderLength,
        Self::Ipv4TotalLength,
    ];

    /// What a summary calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LinkHeaderCut => "link header cut off",
            Self::TooManyTags => "too many tags",
            Self::IpHeaderCut => "IP header cut off",
            Self::IpVersion => "wrong IP version",
            Self::Ipv4HeaderLength => "IPv4 header length below 20",
            Self::Ipv4TotalLength => "IPv4 total length below header length",
        }
    }
}

/// Reads one frame.
///
/// `original_length` is what the frame had on the wire; it matters only for packets whose header does not say
/// their length (IPv4 total length 0 of segmentation offload, IPv6 jumbograms).
#[must_use]
pub fn dissect(link_type: LinkType, data: &[u8], original_length: u32) -> Outcome {
    let mut packet = NOTHING;
    let outcome = dissect_into(link_type, data, original_length, &mut packet);
    outcome.map(|()| packet)
}

/// As [`dissect`], with the packet written where it is wanted: it is too large to be handed on from call to call. What
/// stands there is nothing to rely on when the frame is no packet.
#[must_use]
#[inline]
pub fn dissect_into(
    link_type: LinkType,
    data: &[u8],
    original_length: u32,
    packet: &mut ObservedPacket,
) -> Outcome<()> {
    if link_type == LinkType::ETHERNET && common::dissect(data, packet).is_some() {
        return Outcome::Packet(());
    }
    dissect_any(link_type, data, original_length, packet)
}

/// A packet of which nothing is known.
pub const NOTHING: ObservedPacket =
    ObservedPacket::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0, 0);

/// The octets of a frame from the outermost IP header on; `None` for what is no packet.
#[must_use]
pub fn ip_octets(link_type: LinkType, data: &[u8]) -> Option<&[u8]> {
    LinkHeader::read(link_type, data).ok().map(|link| link.payload)
}

/// The innermost packet of the tunnels in a frame, and its identification, which its fragments share; `None` if `outer`,
/// which [`dissect`] made of it, carries none.
#[must_use]
#[inline]
pub fn dissect_carried(outer: &Outcome, link_type: LinkType, data: &[u8]) -> Option<(ObservedPacket, u32)> {
    match outer {
        Outcome::Packet(packet)
            if tunnel::may_carry(packet.protocol, packet.source_port, packet.destination_port) =>
        {
            tunnel::innermost(link_type, data)
        }
        // A pseudowire.
        Outcome::NotIp => tunnel::innermost(link_type, data),
        _ => None,
    }
}

/// The identification of the outermost IP packet, which its fragments share; 0 if it has none.
#[must_use]
pub fn identification(link_type: LinkType, data: &[u8]) -> u32 {
    let ip = LinkHeader::read(link_type, data)
        .ok()
        .and_then(|link| IpPacket::read(link.network, link.payload, 0).ok());
    ip.map_or(0, |ip| ip.identification)
}

/// The general way: every link type, tags, options, extension headers, and all that is wrong.
#[inline(never)]
fn dissect_any(
    link_type: LinkType,
    data: &[u8],
    original_length: u32,
    packet: &mut ObservedPacket,
) -> Outcome<()> {
    let link = match LinkHeader::read(link_type, data) {
        Ok(link) => link,
        Err(Stop::NotIp | Stop::Pseudowire { .. }) => return Outcome::NotIp,
        Err(Stop::UnsupportedLinkType) => return Outcome::UnsupportedLinkType,
        Err(Stop::Malformed(reason)) => return Outcome::Malformed(reason),
    };
    let captured = u32::try_from(link.payload.len()).unwrap_or(u32::MAX);
    let header = u32::try_from(data.len()).unwrap_or(u32::MAX).saturating_sub(captured);
    let on_wire = original_length.saturating_sub(header).max(captured);
    match IpPacket::read(link.network, link.payload, on_wire) {
        Ok(ip) => {
            *packet = observe(&link, &ip);
            Outcome::Packet(())
        }
        Err(reason) => Outcome::Malformed(reason),
    }
}

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const DCCP: u8 = 33;
const ICMP_V6: u8 = 58;
const SCTP: u8 = 132;
const UDP_LITE: u8 = 136;

fn observe(link: &LinkHeader<'_>, ip: &IpPacket<'_>) -> ObservedPacket {
    let mut packet = ObservedPacket::new(ip.source, ip.destination, ip.protocol, ip.octets);
    packet.ingress_interface = link.ingress_interface;
    packet.egress_interface = link.egress_interface;
    packet.vlan = link.vlan;
    packet.inner_vlan = link.inner_vlan;
    packet.source_mac = link.source_mac;
    packet.destination_mac = link.destination_mac;
    packet.mpls = link.mpls;
    packet.ipv6_flow_label = ip.flow_label;
    packet.tos = ip.tos;
    packet.ttl = ip.ttl;
    packet.fragment = ip.fragment;
    // A later fragment has no transport header: what stands there is payload.
    if ip.fragment == Fragment::Later {
        return packet;
    }
    match ip.protocol {
        TCP => {
            if let Some(header) = ip.payload.first_chunk::<14>() {
                packet.tcp_flags = u16::from_be_bytes([header[12], header[13]]) & 0x01FF;
            }
            (packet.source_port, packet.destination_port) = ports(ip.payload);
        }
        UDP | DCCP | SCTP | UDP_LITE => (packet.source_port, packet.destination_port) = ports(ip.payload),
        ICMP if ip.source.is_ipv4() => packet.destination_port = type_and_code(ip.payload),
        ICMP_V6 if ip.source.is_ipv6() => packet.destination_port = type_and_code(ip.payload),
        _ => {}
    }
    packet
}

/// Source and destination port, which stand first in every transport header that has them; 0 when cut off.
#[inline]
fn ports(payload: &[u8]) -> (u16, u16) {
    match payload.first_chunk::<4>() {
        Some(&[a, b, c, d]) => (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])),
        None => (0, 0),
    }
}

/// ICMP type * 256 + code; 0 when cut off.
#[inline]
fn type_and_code(payload: &[u8]) -> u16 {
    payload.first_chunk().copied().map_or(0, u16::from_be_bytes)
}
