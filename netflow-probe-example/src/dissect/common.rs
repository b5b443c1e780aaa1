//! The frames that most are: Ethernet without tags, IP without options, extension headers and fragments, and TCP, UDP or
//! ICMP.
//!
//! They are read in one go, and without branches on the transport protocol, which comes at random. Everything else, and all
//! that is short or wrong, is left to the general way, which would give the same for these.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netflow_flowcache::ObservedPacket;

use super::{ICMP, ICMP_V6, TCP, UDP};

/// Octets of a link header, and what is read of a transport header.
const ETHERNET: usize = 14;
const TRANSPORT: usize = 14;

/// Writes the packet of a frame into its place; `None`, and nothing written, if the frame is not such a one.
#[inline]
pub(super) fn dissect(frame: &[u8], packet: &mut ObservedPacket) -> Option<()> {
    let &[.., high, low] = frame.first_chunk::<ETHERNET>()?;
    match (high, low) {
        (0x08, 0x00) => ipv4(frame, packet),
        (0x86, 0xDD) => ipv6(frame, packet),
        _ => None,
    }
}

/// RFC 791 section 3.1.
#[inline]
fn ipv4(frame: &[u8], packet: &mut ObservedPacket) -> Option<()> {
    const HEADER: usize = 20;
    /// The offset of a fragment, and whether more follow.
    const FRAGMENT: u16 = 0x3FFF;
    let (ethernet, ip, transport) = headers::<HEADER>(frame)?;
    let total_length = u16::from_be_bytes([ip[2], ip[3]]);
    let fragment = u16::from_be_bytes([ip[6], ip[7]]) & FRAGMENT;
    if ip[0] != 0x45
        || fragment != 0
        || usize::from(total_length) < HEADER + TRANSPORT
        || !is_common(ip[9], ICMP)
    {
        return None;
    }
    let source = Ipv4Addr::new(ip[12], ip[13], ip[14], ip[15]);
    let destination = Ipv4Addr::new(ip[16], ip[17], ip[18], ip[19]);
    *packet =
        ObservedPacket::new(IpAddr::V4(source), IpAddr::V4(destination), ip[9], u32::from(total_length));
    (packet.tos, packet.ttl) = (ip[1], ip[8]);
    set_addresses(packet, ethernet);
    set_transport(packet, transport);
    Some(())
}

/// RFC 8200 section 3.
#[inline]
fn ipv6(frame: &[u8], packet: &mut ObservedPacket) -> Option<()> {
    const HEADER: usize = 40;
    let (ethernet, ip, transport) = headers::<HEADER>(frame)?;
    let first_word = u32::from_be_bytes([ip[0], ip[1], ip[2], ip[3]]);
    let payload_length = u16::from_be_bytes([ip[4], ip[5]]);
    if first_word >> 28 != 6 || usize::from(payload_length) < TRANSPORT || !is_common(ip[6], ICMP_V6) {
        return None;
    }
    let (_, addresses) = ip.split_first_chunk::<8>()?;
    let (source, destination) = addresses.split_first_chunk::<16>()?;
    let destination = destination.first_chunk::<16>()?;
    *packet = ObservedPacket::new(
        IpAddr::V6(Ipv6Addr::from(*source)),
        IpAddr::V6(Ipv6Addr::from(*destination)),
        ip[6],
        40 + u32::from(payload_length),
    );
    packet.ipv6_flow_label = first_word & 0x000F_FFFF;
    packet.tos = (first_word >> 20).to_be_bytes()[3];
    packet.ttl = ip[7];
    set_addresses(packet, ethernet);
    set_transport(packet, transport);
    Some(())
}

/// The three headers, if all that is read of them was captured.
#[inline]
fn headers<const IP: usize>(frame: &[u8]) -> Option<(&[u8; ETHERNET], &[u8; IP], &[u8; TRANSPORT])> {
    let (ethernet, rest) = frame.split_first_chunk()?;
    let (ip, rest) = rest.split_first_chunk()?;
    Some((ethernet, ip, rest.first_chunk()?))
}

/// TCP, UDP, or ICMP as it is numbered in this family.
#[inline]
const fn is_common(protocol: u8, icmp: u8) -> bool {
    let common = 1_u64 << TCP | 1 << UDP | 1 << icmp;
    protocol < 64 && common >> protocol & 1 == 1
}

#[inline]
fn set_addresses(packet: &mut ObservedPacket, ethernet: &[u8; ETHERNET]) {
    let &[d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, _, _] = ethernet;
    packet.destination_mac = [d0, d1, d2, d3, d4, d5];
    packet.source_mac = [s0, s1, s2, s3, s4, s5];
}

/// Ports and flags of TCP, ports of UDP, type and code of ICMP in place of the destination port.
#[inline]
fn set_transport(packet: &mut ObservedPacket, header: &[u8; TRANSPORT]) {
    let all_or_none = |which: bool| 0_u16.wrapping_sub(u16::from(which));
    let is_tcp = all_or_none(packet.protocol == TCP);
    let has_ports = is_tcp | all_or_none(packet.protocol == UDP);
    let first = u16::from_be_bytes([header[0], header[1]]);
    let second = u16::from_be_bytes([header[2], header[3]]);
    packet.tcp_flags = u16::from_be_bytes([header[12], header[13]]) & 0x01FF & is_tcp;
    packet.source_port = first & has_ports;
    packet.destination_port = (second & has_ports) | (first & !has_ports);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        dissect::{NOTHING, Outcome, dissect_any},
        pcap::LinkType,
    };

    /// Numbers without pattern (`SplitMix64`).
    fn numbers() -> impl FnMut(usize) -> usize {
        let mut state = 1_u64;
        move |below| {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            usize::try_from((mixed ^ (mixed >> 29)) % below as u64).unwrap()
        }
    }

    fn frame(is_ipv6: bool, protocol: u8, payload: u8) -> Vec<u8> {
        let mut frame = vec![1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
        if is_ipv6 {
            frame.extend([0x86, 0xDD, 0x6B, 0x8A, 0xBC, 0xDE, 0, payload, protocol, 63]);
            frame.extend(32..64);
        } else {
            frame.extend([0x08, 0x00, 0x45, 0xB8, 0, 20 + payload, 1, 2, 0x40, 0, 63, protocol, 0, 0]);
            frame.extend([192, 0, 2, 1, 198, 51, 100, 7]);
        }
        frame.extend((0..payload).map(|octet| octet.wrapping_mul(37).wrapping_add(200)));
        frame
    }

    #[test]
    fn common_frames_are_read_here_and_as_the_general_way_reads_them() {
        for (is_ipv6, protocols) in [(false, [TCP, UDP, ICMP]), (true, [TCP, UDP, ICMP_V6])] {
            for protocol in protocols {
                let frame = frame(is_ipv6, protocol, 30);
                let (mut here, mut there) = (NOTHING, NOTHING);
                assert_eq!(dissect(&frame, &mut here), Some(()));
                let length = u32::try_from(frame.len()).unwrap();
                assert_eq!(dissect_any(LinkType::ETHERNET, &frame, length, &mut there), Outcome::Packet(()));
                assert_eq!(here, there);
                assert_eq!(
                    (here.tcp_flags != 0, here.source_port != 0),
                    (protocol == TCP, protocol != ICMP && protocol != ICMP_V6)
                );
            }
        }
    }

    #[test]
    fn damaged_and_cut_frames_are_read_as_the_general_way_reads_them_or_not_here() {
        let mut below = numbers();
        let mut here_too = 0;
        for round in 0..200_000_u32 {
            let protocol = [TCP, UDP, ICMP, ICMP_V6, 47, 132][below(6)];
            let mut frame = frame(round % 2 == 0, protocol, [0, 3, 4, 8, 13, 14, 30][below(7)]);
            for _ in 0..below(3) {
                // Mostly in the headers.
                let within = if below(4) == 0 { frame.len() } else { 24 };
                let at = below(within);
                frame[at] = [0, 1, 20, 33, 34, 0x45, 0x60, 0xFF][below(8)];
            }
            frame.truncate(if below(3) == 0 { below(frame.len() + 1) } else { frame.len() });
            let (mut here, mut there) = (NOTHING, NOTHING);
            if dissect(&frame, &mut here).is_some() {
                here_too += 1;
                let length = u32::try_from(frame.len()).unwrap() + round % 3;
                let outcome = dissect_any(LinkType::ETHERNET, &frame, length, &mut there);
                assert_eq!((outcome, here), (Outcome::Packet(()), there), "{frame:02X?}");
            }
        }
        assert!(here_too > 10_000, "{here_too}");
    }
}
