//! What is read out of each kind of frame.
#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test"
)]

mod common;

use core::net::IpAddr;

use common::frames::{self, ethernet, ipv4, ipv4_with, ipv6, join, samples, tcp, udp};
use netflow_flowcache::{Fragment, ObservedPacket};
use netflow_probe_example::{
    dissect::{DissectCounts, Malformed, Outcome, dissect, udp_datagram},
    pcap::LinkType,
};

fn outcome(link_type: LinkType, data: &[u8]) -> Outcome {
    dissect(link_type, data, u32::try_from(data.len()).unwrap())
}

fn packet(link_type: LinkType, data: &[u8]) -> ObservedPacket {
    match outcome(link_type, data) {
        Outcome::Packet(packet) => packet,
        other => panic!("{other:?}"),
    }
}

fn sample(name: &str) -> ObservedPacket {
    let sample = samples().into_iter().find(|sample| sample.name == name).unwrap();
    packet(sample.link_type, &sample.data)
}

#[test]
fn every_encapsulation_leads_to_the_same_packet() {
    for sample in samples() {
        if sample.name.starts_with("not ip") {
            assert_eq!(outcome(sample.link_type, &sample.data), Outcome::NotIp, "{}", sample.name);
            assert_eq!(udp_datagram(sample.link_type, &sample.data), None);
            continue;
        }
        let packet = packet(sample.link_type, &sample.data);
        let v4 = (IpAddr::from(frames::SOURCE), IpAddr::from(frames::DESTINATION));
        let v6 = (IpAddr::from(frames::SOURCE_V6), IpAddr::from(frames::DESTINATION_V6));
        let expected = if packet.source.is_ipv4() { v4 } else { v6 };
        assert_eq!((packet.source, packet.destination), expected, "{}", sample.name);
        assert_eq!((packet.source_port, packet.destination_port), (49_152, 2055), "{}", sample.name);
        assert_eq!((packet.protocol, packet.tos, packet.ttl), (17, 0xB8, 61), "{}", sample.name);
        assert_eq!(packet.ipv6_flow_label, if packet.source.is_ipv6() { 0x1_2345 } else { 0 });
        let octets = match sample.name {
            "options" => 72,
            "extension headers" => 128,
            _ if packet.source.is_ipv4() => 68,
            _ => 88,
        };
        // M6: tags, labels, link headers and padding do not count.
        assert_eq!(packet.octets, octets, "{}", sample.name);

        let datagram = udp_datagram(sample.link_type, &sample.data).unwrap();
        assert_eq!((datagram.payload, datagram.complete), ([0xAA; 40].as_slice(), true), "{}", sample.name);
        assert_eq!((datagram.source.ip(), datagram.source.port()), (expected.0, 49_152));
        assert_eq!((datagram.destination.ip(), datagram.destination.port()), (expected.1, 2055));
    }
}

#[test]
fn what_the_link_header_says_is_kept() {
    let plain = sample("plain");
    assert_eq!((plain.source_mac, plain.destination_mac), (frames::SOURCE_MAC, frames::DESTINATION_MAC));
    assert_eq!((plain.vlan, plain.inner_vlan), (0, 0));
    // The priority bits are not part of the identifier.
    assert_eq!((sample("VLAN").vlan, sample("VLAN").inner_vlan), (100, 0));
    for name in ["QinQ", "old QinQ"] {
        assert_eq!((sample(name).vlan, sample(name).inner_vlan), (200, 100), "{name}");
    }
    assert_eq!(sample("MPLS").mpls.entries(), [[0, 1, 0], [0, 2, 1]]);
    assert_eq!(sample("PPP MPLS").mpls.entries(), [[0, 1, 1]]);
    assert_eq!((sample("cooked").source_mac, sample("cooked VLAN").vlan), (frames::SOURCE_MAC, 5));
    let (incoming, outgoing) = (sample("cooked v2"), sample("cooked v2 outgoing"));
    assert_eq!((incoming.ingress_interface, incoming.egress_interface), (3, 0));
    assert_eq!((outgoing.ingress_interface, outgoing.egress_interface), (0, 3));
}

// M7
#[test]
fn later_fragments_have_no_ports() {
    let payload = udp(1000, 2000, &[0; 52]);
    let fragments = [
        (ipv4_with(17, 0x2000, &[], &payload[..24]), Fragment::First, 1000),
        (ipv4_with(17, 0x2003, &[], &payload[24..48]), Fragment::Later, 0),
        (ipv4_with(17, 0x0006, &[], &payload[48..]), Fragment::Later, 0),
    ];
    for (data, fragment, port) in fragments {
        let packet = packet(LinkType::RAW, &data);
        assert_eq!((packet.fragment, packet.source_port), (fragment, port));
        assert_eq!(packet.octets as usize, data.len());
    }
    let v6 = |field: u8, payload: &[u8]| ipv6(44, &join(&[&[17, 0, 0, field, 0, 0, 0, 9], payload]));
    for (field, fragment, port) in
        [(0x01, Fragment::First, 1000), (0x19, Fragment::Later, 0), (0x00, Fragment::Unfragmented, 1000)]
    {
        let packet = packet(LinkType::RAW, &v6(field, &payload));
        assert_eq!((packet.fragment, packet.source_port, packet.protocol), (fragment, port, 17));
    }
    let first = ethernet(0x0800, &ipv4_with(17, 0x2000, &[], &payload[..24]));
    let datagram = udp_datagram(LinkType::ETHERNET, &first).unwrap();
    assert_eq!((datagram.payload.len(), datagram.complete), (16, false));
}

// M8
#[test]
fn icmp_type_and_code_are_in_the_destination_port() {
    let unreachable = packet(LinkType::RAW, &ipv4(1, &[3, 4, 0, 0, 0, 0, 0, 0]));
    assert_eq!((unreachable.source_port, unreachable.destination_port), (0, 3 * 256 + 4));
    let solicitation = packet(LinkType::RAW, &ipv6(58, &[135, 0, 0, 0, 0, 0, 0, 0]));
    assert_eq!((solicitation.source_port, solicitation.destination_port), (0, 135 * 256));
    // The protocol of the other family is some protocol.
    assert_eq!(packet(LinkType::RAW, &ipv4(58, &[135, 0, 0, 0])).destination_port, 0);
}

#[test]
fn tcp_flags_are_nine_bits() {
    let packet = packet(LinkType::RAW, &ipv4(6, &tcp(80, 40_000, 0x1D2)));
    assert_eq!((packet.source_port, packet.destination_port, packet.tcp_flags), (80, 40_000, 0x1D2));
}

#[test]
fn all_transports_with_ports_have_ports() {
    for protocol in [6, 17, 33, 132, 136] {
        let packet = packet(LinkType::RAW, &ipv4(protocol, &tcp(7, 9, 0)));
        assert_eq!((packet.source_port, packet.destination_port), (7, 9), "{protocol}");
    }
}

// M25
#[test]
fn encrypted_and_unknown_protocols_are_metered_without_ports() {
    for protocol in [4, 41, 47, 50, 51, 89, 112, 255] {
        for data in [ipv4(protocol, &[0xFF; 40]), ipv6(protocol, &[0xFF; 40])] {
            let packet = packet(LinkType::RAW, &data);
            assert_eq!((packet.protocol, packet.source_port, packet.destination_port), (protocol, 0, 0));
            assert_eq!(packet.octets as usize, data.len());
        }
    }
}

// M6
#[test]
fn a_cut_frame_counts_by_its_header() {
    let data = ethernet(0x0800, &ipv4(6, &join(&[&tcp(80, 40_000, 0x18), &[0; 1000]])));
    for captured in 34..data.len() {
        let Outcome::Packet(packet) = dissect(LinkType::ETHERNET, &data[..captured], 1054) else {
            panic!("{captured} octets");
        };
        assert_eq!(packet.octets, 1040);
        assert_eq!(packet.source_port, if captured < 38 { 0 } else { 80 });
        assert_eq!(packet.tcp_flags, if captured < 48 { 0 } else { 0x18 });
    }
    for captured in 0..34 {
        let reason = if captured < 14 { Malformed::LinkHeaderCut } else { Malformed::IpHeaderCut };
        assert_eq!(dissect(LinkType::ETHERNET, &data[..captured], 1054), Outcome::Malformed(reason));
    }
}

// M6
#[test]
fn a_length_of_zero_means_the_length_on_the_wire() {
    let mut v4 = ipv4(6, &tcp(80, 40_000, 0x18));
    v4[2..4].fill(0);
    let mut v6 = ipv6(6, &tcp(80, 40_000, 0x18));
    v6[4..6].fill(0);
    for (frame, link_header) in [(ethernet(0x0800, &v4), 14), (ethernet(0x86DD, &v6), 14), (v4, 0), (v6, 0)] {
        let link_type = if link_header == 0 { LinkType::RAW } else { LinkType::ETHERNET };
        let Outcome::Packet(packet) = dissect(link_type, &frame, 64_000) else { panic!() };
        assert_eq!((packet.octets, packet.source_port), (64_000 - link_header, 80));
        // A capture that does not know the length on the wire counts what it has.
        let Outcome::Packet(packet) = dissect(link_type, &frame, 0) else { panic!() };
        assert_eq!(packet.octets as usize + link_header as usize, frame.len());
    }
    // Nothing follows: this packet really has no payload, whatever pads the frame.
    let empty = ethernet(0x86DD, &join(&[&ipv6(59, &[]), &[0; 6]]));
    assert_eq!(packet(LinkType::ETHERNET, &empty).octets, 40);
}

#[test]
fn padding_is_no_transport_header() {
    let frame = ethernet(0x0800, &join(&[&ipv4(17, &[]), &[0x77; 26]]));
    let packet = packet(LinkType::ETHERNET, &frame);
    assert_eq!((packet.octets, packet.source_port, packet.destination_port), (20, 0, 0));
    assert_eq!(udp_datagram(LinkType::ETHERNET, &frame), None);
}

#[test]
fn malformed_frames_have_a_reason() {
    let good = ethernet(0x0800, &ipv4(17, &udp(1, 2, &[])));
    let with = |position: usize, octet: u8| {
        let mut frame = good.clone();
        frame[position] = octet;
        frame
    };
    let tags = [0, 1, 0x81, 0x00].repeat(40);
    let labels = [0, 1, 0, 64].repeat(40);
    let mut counts = DissectCounts::default();
    for (reason, frame) in [
        (Malformed::LinkHeaderCut, good[..13].to_vec()),
        (Malformed::LinkHeaderCut, ethernet(0x8100, &[0, 1, 8])),
        (Malformed::TooManyTags, ethernet(0x8100, &tags)),
        (Malformed::TooManyTags, ethernet(0x8847, &labels)),
        (Malformed::IpHeaderCut, good[..33].to_vec()),
        (Malformed::IpHeaderCut, good[..14].to_vec()),
        (Malformed::IpVersion, with(14, 0x65)),
        (Malformed::IpVersion, with(13, 0x01)),
        (Malformed::Ipv4HeaderLength, with(14, 0x44)),
        (Malformed::Ipv4TotalLength, with(17, 19)),
    ] {
        let outcome = outcome(LinkType::ETHERNET, &frame);
        counts.count(&outcome);
        if frame == with(13, 0x01) {
            assert_eq!(outcome, Outcome::NotIp);
        } else {
            assert_eq!(outcome, Outcome::Malformed(reason));
        }
    }
    counts.count(&outcome(LinkType(999), &good));
    counts.count(&outcome(LinkType::ETHERNET, &good));
    assert_eq!((counts.packets, counts.octets, counts.not_ip, counts.unsupported_link_type), (1, 28, 1, 1));
    assert_eq!((counts.malformed_total(), counts.frames()), (9, 12));
    assert_eq!(counts.malformed().map(|(_, count)| count).collect::<Vec<_>>(), [2, 2, 2, 1, 1, 1]);
}

#[test]
fn the_chain_of_extension_headers_is_bounded_and_may_be_cut() {
    let destination_options = |next: u8| [next, 0, 1, 4, 0, 0, 0, 0];
    let chain = |length: usize| {
        let mut payload = destination_options(60).repeat(length - 1);
        payload.extend(destination_options(17));
        payload.extend(udp(5, 6, &[]));
        packet(LinkType::RAW, &ipv6(60, &payload))
    };
    assert_eq!((chain(16).protocol, chain(16).source_port), (17, 5));
    // As any protocol that is not understood: metered, but without ports.
    assert_eq!((chain(17).protocol, chain(17).source_port), (60, 0));
    assert_eq!(chain(17).octets, 40 + 17 * 8 + 8);
    let cut = packet(LinkType::RAW, &ipv6(43, &[17, 0, 0, 0]));
    assert_eq!((cut.protocol, cut.source_port), (43, 0));
}

#[test]
fn a_datagram_is_bounded_by_its_own_length() {
    let mut short = udp(1, 2, &[0xAB; 20]);
    short[5] = 8 + 4;
    let shorter = ipv4(17, &short);
    let datagram = udp_datagram(LinkType::RAW, &shorter).unwrap();
    assert_eq!((datagram.payload.len(), datagram.complete), (4, true));
    short[5] = 8 + 30;
    let longer = ipv4(17, &short);
    let datagram = udp_datagram(LinkType::RAW, &longer).unwrap();
    assert_eq!((datagram.payload.len(), datagram.complete), (20, false));
    short[5] = 7;
    assert_eq!(udp_datagram(LinkType::RAW, &ipv4(17, &short)), None);
    assert_eq!(udp_datagram(LinkType::RAW, &ipv4(6, &tcp(1, 2, 0))), None);
}
