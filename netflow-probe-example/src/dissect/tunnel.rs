//! Tunnels: packets that are the payload of others.
//!
//! ```text
//! IP - IP-in-IP | 6in4 | GRE (ERSPAN, PPTP) | L2TPv3                        by protocol
//!    `- UDP - VXLAN | VXLAN-GPE | GENEVE | GTP-U | L2TP                     by port
//! MPLS - pseudowire with or without control word                           by what stands behind the labels
//! ```

use netflow_flowcache::{Fragment, ObservedPacket};

use super::{
    UDP,
    ip::{IpPacket, Network},
    link::{LinkHeader, Stop},
    observe,
};
use crate::pcap::LinkType;

/// Which packets of a tunnel are metered.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Tunnel {
    /// Those that carry others.
    #[default]
    Outer,
    /// Those that are carried, the innermost ones; packets that carry none as they are.
    Inner,
    /// Both: such packets count twice.
    Both,
}

/// Tunnels within tunnels that are followed.
const MAX_DEPTH: usize = 6;

const IP_IN_IP: u8 = 4;
const IPV6_IN_IP: u8 = 41;
const GRE: u8 = 47;
const L2TP_V3: u8 = 115;

/// Whether a packet may carry another one, by what is known of it.
#[inline]
pub(super) const fn may_carry(protocol: u8, source_port: u16, destination_port: u16) -> bool {
    match protocol {
        IP_IN_IP | IPV6_IN_IP | GRE | L2TP_V3 => true,
        UDP => is_tunnel_port(destination_port) || is_tunnel_port(source_port),
        _ => false,
    }
}

const VXLAN: u16 = 4_789;
/// What Linux uses unless it is told otherwise.
const VXLAN_OF_LINUX: u16 = 8_472;
const VXLAN_GPE: u16 = 4_790;
const GENEVE: u16 = 6_081;
const GTP_U: u16 = 2_152;
const L2TP: u16 = 1_701;

const fn is_tunnel_port(port: u16) -> bool {
    matches!(port, VXLAN | VXLAN_OF_LINUX | VXLAN_GPE | GENEVE | GTP_U | L2TP)
}

/// The innermost packet that a frame carries in tunnels, and its identification; `None` if it carries none.
pub(super) fn innermost(link_type: LinkType, data: &[u8]) -> Option<(ObservedPacket, u32)> {
    let (mut link, mut found) = match LinkHeader::read(link_type, data) {
        Ok(link) => (link, None),
        Err(Stop::Pseudowire { left }) => {
            let frame = pseudowire(data.get(data.len().checked_sub(left)?..)?)?;
            let link = LinkHeader::read(LinkType::ETHERNET, frame).ok()?;
            (link, Some(()))
        }
        Err(_) => return None,
    };
    let mut ip = read(&link)?;
    let mut packet = found.map(|()| (observe(&link, &ip), ip.identification));
    for _ in 0..MAX_DEPTH {
        let Some(inner) = carried(&link, &ip) else { break };
        let Some(inner_ip) = read(&inner) else { break };
        (link, ip, found) = (inner, inner_ip, Some(()));
        packet = Some((observe(&link, &ip), ip.identification));
    }
    found.and(packet)
}

fn read<'a>(link: &LinkHeader<'a>) -> Option<IpPacket<'a>> {
    let on_wire = u32::try_from(link.payload.len()).unwrap_or(u32::MAX);
    IpPacket::read(link.network, link.payload, on_wire).ok()
}

/// The link header, if only its end, of what a packet carries.
fn carried<'a>(link: &LinkHeader<'a>, ip: &IpPacket<'a>) -> Option<LinkHeader<'a>> {
    // What stands in a later fragment is the middle of something.
    if ip.fragment == Fragment::Later {
        return None;
    }
    match ip.protocol {
        IP_IN_IP => Some(link.found(Network::Ipv4, ip.payload)),
        IPV6_IN_IP => Some(link.found(Network::Ipv6, ip.payload)),
        GRE => gre(link, ip.payload),
        L2TP_V3 => ethernet(l2tp_v3(ip.payload)?),
        UDP => {
            let (&[s0, s1, d0, d1, _, _, _, _], payload) = ip.payload.split_first_chunk::<8>()?;
            let ports = [u16::from_be_bytes([d0, d1]), u16::from_be_bytes([s0, s1])];
            ports.into_iter().find_map(|port| over_udp(link, port, payload))
        }
        _ => None,
    }
}

fn ethernet(frame: &[u8]) -> Option<LinkHeader<'_>> {
    LinkHeader::read(LinkType::ETHERNET, frame).ok()
}

fn by_ether_type<'a>(link: &LinkHeader<'a>, ether_type: u16, payload: &'a [u8]) -> Option<LinkHeader<'a>> {
    const TRANSPARENT_ETHERNET: u16 = 0x6558;
    match ether_type {
        TRANSPARENT_ETHERNET => ethernet(payload),
        _ => link.ether_type(ether_type, payload).ok(),
    }
}

/// ```text
/// C R K S s, recursion, flags, version (2) | protocol (2) | checksum (4)? | key (4)? | sequence (4)?      RFC 2784, RFC 2890
/// ```
fn gre<'a>(link: &LinkHeader<'a>, data: &'a [u8]) -> Option<LinkHeader<'a>> {
    const CHECKSUM: u16 = 0x8000;
    const ROUTING: u16 = 0x4000;
    const KEY: u16 = 0x2000;
    const SEQUENCE: u16 = 0x1000;
    const ACKNOWLEDGEMENT: u16 = 0x0080;
    let (&[f0, f1, p0, p1], _) = data.split_first_chunk::<4>()?;
    let (flags, protocol) = (u16::from_be_bytes([f0, f1]), u16::from_be_bytes([p0, p1]));
    let mut options = [CHECKSUM, KEY, SEQUENCE].into_iter().filter(|option| flags & option != 0).count();
    match flags & 0x0007 {
        0 if flags & ROUTING == 0 => {}
        // PPTP (RFC 2637): with an acknowledgement, and PPP behind it.
        1 => options += usize::from(flags & ACKNOWLEDGEMENT != 0),
        _ => return None,
    }
    let payload = data.get(4 + 4 * options..)?;
    match protocol {
        // PPTP.
        0x880B => link.ppp(payload).ok(),
        // ERSPAN: type I has no header, type II one of 8 octets and is numbered.
        0x88BE if flags & SEQUENCE == 0 => ethernet(payload),
        0x88BE => ethernet(payload.get(8..)?),
        // Type III: 12 octets, and 8 more if the last bit says so.
        0x22EB => {
            let more = if payload.get(11)? & 1 == 1 { 8 } else { 0 };
            ethernet(payload.get(12 + more..)?)
        }
        _ => by_ether_type(link, protocol, payload),
    }
}

fn over_udp<'a>(link: &LinkHeader<'a>, port: u16, data: &'a [u8]) -> Option<LinkHeader<'a>> {
    match port {
        // RFC 7348: the I flag says that the identifier is there.
        VXLAN | VXLAN_OF_LINUX => (data.first()? & 0x08 != 0).then(|| ethernet(data.get(8..)?))?,
        VXLAN_GPE => match data.get(3)? {
            1 => Some(link.found(Network::Ipv4, data.get(8..)?)),
            2 => Some(link.found(Network::Ipv6, data.get(8..)?)),
            3 => ethernet(data.get(8..)?),
            _ => None,
        },
        GENEVE => geneve(link, data),
        GTP_U => gtp(link, data),
        L2TP => l2tp(link, data),
        _ => None,
    }
}

/// ```text
/// version (2 bits), options in words (6 bits) | flags (1) | protocol (2) | identifier (3) | 0 (1) | options      RFC 8926
/// ```
fn geneve<'a>(link: &LinkHeader<'a>, data: &'a [u8]) -> Option<LinkHeader<'a>> {
    let (&[first, _, p0, p1, _, _, _, _], _) = data.split_first_chunk::<8>()?;
    if first & 0xC0 != 0 {
        return None;
    }
    let payload = data.get(8 + 4 * usize::from(first & 0x3F)..)?;
    by_ether_type(link, u16::from_be_bytes([p0, p1]), payload)
}

/// ```text
/// version 1, type, E S PN | message type (1) | length (2) | tunnel (4) | sequence (2), N-PDU (1), next header (1)?
/// ```
///
/// 3GPP TS 29.281 section 5.1; a message of type 255 carries a packet.
fn gtp<'a>(link: &LinkHeader<'a>, data: &'a [u8]) -> Option<LinkHeader<'a>> {
    const MAX_EXTENSIONS: usize = 16;
    let (&[flags, kind, ..], mut payload) = data.split_first_chunk::<8>()?;
    if flags & 0xF0 != 0x30 || kind != 255 {
        return None;
    }
    if flags & 0x07 != 0 {
        let (&[_, _, _, next], behind) = payload.split_first_chunk::<4>()?;
        payload = behind;
        let mut next = if flags & 0x04 == 0 { 0 } else { next };
        for _ in 0..MAX_EXTENSIONS {
            if next == 0 {
                break;
            }
            // In words of 4 octets, the last of which is the type of the next one.
            let octets = 4 * usize::from(*payload.first()?);
            next = *payload.get(octets.checked_sub(1)?)?;
            payload = payload.get(octets..)?;
        }
    }
    Some(link.found(Network::ByVersion, payload))
}

/// RFC 2661 section 3.1: data messages carry PPP.
fn l2tp<'a>(link: &LinkHeader<'a>, data: &'a [u8]) -> Option<LinkHeader<'a>> {
    const CONTROL: u16 = 0x8000;
    const LENGTH: u16 = 0x4000;
    const SEQUENCE: u16 = 0x0800;
    const OFFSET: u16 = 0x0200;
    let flags = u16::from_be_bytes(*data.first_chunk()?);
    if flags & CONTROL != 0 || flags & 0x000F != 2 {
        return None;
    }
    let mut header = 6 + if flags & LENGTH == 0 { 0 } else { 2 } + if flags & SEQUENCE == 0 { 0 } else { 4 };
    if flags & OFFSET != 0 {
        let offset = data.get(header..)?.first_chunk().copied().map(u16::from_be_bytes)?;
        header += 2 + usize::from(offset);
    }
    link.ppp(data.get(header..)?).ok()
}

/// RFC 3931 section 4.1.1: a session, then a cookie of 0, 4 or 8 octets and a sublayer of 4, as was agreed between the
/// ends: the first place where a frame can begin is taken.
fn l2tp_v3(data: &[u8]) -> Option<&[u8]> {
    let session = u32::from_be_bytes(*data.first_chunk()?);
    if session == 0 {
        return None;
    }
    [4, 8, 12, 16].into_iter().filter_map(|header| data.get(header..)).find(|frame| is_frame(frame))
}

/// The Ethernet frame of a pseudowire: behind a control word (RFC 4385), or without one.
fn pseudowire(data: &[u8]) -> Option<&[u8]> {
    let with_word = data.get(4..).filter(|_| data.first().is_some_and(|first| first >> 4 == 0));
    with_word.filter(|frame| is_frame(frame)).or_else(|| Some(data).filter(|frame| is_frame(frame)))
}

/// Whether these octets can be an Ethernet frame with IP in it.
fn is_frame(data: &[u8]) -> bool {
    let mut rest = data.get(12..).unwrap_or(&[]);
    while let [0x81, 0x00, _, _, behind @ ..] | [0x88, 0xA8, _, _, behind @ ..] = rest {
        rest = behind;
    }
    matches!(rest, [0x08, 0x00, 0x40..0x50, ..] | [0x86, 0xDD, 0x60..0x70, ..])
}
