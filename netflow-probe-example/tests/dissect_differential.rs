//! Our dissection against that of `etherparse`, over captured frames and damaged ones.
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
use std::collections::BTreeMap;

use etherparse::{LaxLinkExtSlice, LaxNetSlice, LaxSlicedPacket, TransportSlice};
use netflow_flowcache::{Fragment, ObservedPacket};
use netflow_probe_example::{
    dissect::{Malformed, Outcome, dissect},
    pcap::LinkType,
};
use proptest::{
    prelude::*,
    test_runner::{FileFailurePersistence, TestRunner},
};

/// Why the two may differ about a frame.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Accepted {
    /// It follows the version nibble whatever the Ethernet type says; we do not.
    VersionNotAsAnnounced,
    /// It reads on with the captured length when the total length is shorter than the header.
    TotalLengthBelowHeader,
    /// It reads into `MACsec` frames that are not encrypted; here these are not IP.
    Macsec,
    /// We read MPLS, `PPPoE` and LLC/SNAP, and more than three tags.
    NotReadByEtherparse,
    /// It wants all options of an IPv4 header; both addresses stand before them.
    Ipv4OptionsCut,
    /// It looks behind the Authentication Header; here that is the protocol that is metered.
    AuthenticationHeader,
    /// It stops at a cut or odd chain of extension headers, at another place than we do.
    ExtensionHeaders,
    /// It gives up on a transport header that is cut off or contradicts itself; ports stand first, so we have them.
    TransportHeader,
}

/// What can be said of a frame: equal, equal but for accepted differences, or `Err`.
fn compare(frame: &[u8]) -> Result<Vec<Accepted>, String> {
    let ours = dissect(LinkType::ETHERNET, frame, u32::try_from(frame.len()).unwrap());
    let Ok(theirs) = LaxSlicedPacket::from_ethernet(frame) else {
        let cut = Outcome::Malformed(Malformed::LinkHeaderCut);
        return if ours == cut { Ok(vec![]) } else { Err(format!("{ours:?}, but no Ethernet header")) };
    };
    let macsec = theirs.link_exts.iter().any(|extension| matches!(extension, LaxLinkExtSlice::Macsec(_)));
    if macsec && ours == Outcome::NotIp {
        return Ok(vec![Accepted::Macsec]);
    }
    let ether_type = theirs.ether_payload().map(|payload| payload.ether_type.0);
    let is_ip = matches!(theirs.net, Some(LaxNetSlice::Ipv4(_) | LaxNetSlice::Ipv6(_)));
    match (&ours, is_ip) {
        (Outcome::Packet(packet), true) => compare_packets(packet, &theirs),
        (Outcome::Packet(_), false) => match ether_type {
            Some(0..0x600 | 0x8100 | 0x8847 | 0x8848 | 0x8864 | 0x88A8 | 0x9100) => {
                Ok(vec![Accepted::NotReadByEtherparse])
            }
            Some(0x0800) if options_are_cut(&theirs) => Ok(vec![Accepted::Ipv4OptionsCut]),
            _ => Err(format!("only we find IP: {ours:?}\n{theirs:?}")),
        },
        (Outcome::Malformed(Malformed::IpVersion), true) => {
            let announced = if ether_type == Some(0x0800) { 4 } else { 6 };
            let found = if matches!(theirs.net, Some(LaxNetSlice::Ipv4(_))) { 4 } else { 6 };
            if announced == found {
                Err(format!("{theirs:?}"))
            } else {
                Ok(vec![Accepted::VersionNotAsAnnounced])
            }
        }
        (Outcome::Malformed(Malformed::Ipv4TotalLength), true) => match &theirs.net {
            Some(LaxNetSlice::Ipv4(ip))
                if usize::from(ip.header().total_len()) < ip.header().slice().len() =>
            {
                Ok(vec![Accepted::TotalLengthBelowHeader])
            }
            _ => Err(format!("{theirs:?}")),
        },
        (_, true) => Err(format!("only etherparse finds IP: {ours:?}\n{theirs:?}")),
        (_, false) => Ok(vec![]),
    }
}

fn compare_packets(ours: &ObservedPacket, theirs: &LaxSlicedPacket<'_>) -> Result<Vec<Accepted>, String> {
    let mut accepted = Vec::new();
    let mut wrong = Vec::new();
    let mut expect = |name: &str, equal: bool| {
        if !equal {
            wrong.push(name.to_owned());
        }
    };
    let tags = theirs.vlan_ids();
    let tag = |index: usize| tags.get(index).map_or(0, |tag| tag.value());
    expect("VLAN", (ours.vlan, ours.inner_vlan) == (tag(0), tag(1)));

    let (payload, authenticated) = match theirs.net.as_ref().unwrap() {
        LaxNetSlice::Ipv4(ip) => {
            let header = ip.header();
            expect("source", ours.source == IpAddr::V4(header.source_addr()));
            expect("destination", ours.destination == IpAddr::V4(header.destination_addr()));
            expect("TOS", ours.tos == header.slice()[1]);
            expect("TTL", ours.ttl == header.ttl());
            expect("protocol", ours.protocol == header.protocol().0);
            expect("octets", header.total_len() == 0 || ours.octets == u32::from(header.total_len()));
            expect("fragment", (ours.fragment != Fragment::Unfragmented) == header.is_fragmenting_payload());
            (ip.payload(), ip.extensions().auth.is_some() || header.protocol().0 == 51)
        }
        LaxNetSlice::Ipv6(ip) => {
            let header = ip.header();
            expect("source", ours.source == IpAddr::V6(header.source_addr()));
            expect("destination", ours.destination == IpAddr::V6(header.destination_addr()));
            expect("traffic class", ours.tos == header.traffic_class());
            expect("flow label", ours.ipv6_flow_label == header.flow_label().value());
            expect("hop limit", ours.ttl == header.hop_limit());
            let length = header.payload_length();
            expect("octets", length == 0 || ours.octets == 40 + u32::from(length));
            let authenticated = ours.protocol == 51;
            if ours.protocol != ip.payload().ip_number.0 || authenticated {
                accepted.push(if authenticated {
                    Accepted::AuthenticationHeader
                } else {
                    Accepted::ExtensionHeaders
                });
                // Only such headers may be the reason.
                expect("protocol", authenticated || is_extension(ip.header().next_header().0));
            }
            (ip.payload(), authenticated)
        }
        LaxNetSlice::Arp(_) => unreachable!("checked by the caller"),
    };
    if !accepted.is_empty() || authenticated {
        if accepted.is_empty() {
            accepted.push(Accepted::AuthenticationHeader);
        }
    } else {
        match &theirs.transport {
            Some(TransportSlice::Udp(udp)) => {
                expect(
                    "ports",
                    (ours.source_port, ours.destination_port) == (udp.source_port(), udp.destination_port()),
                );
            }
            Some(TransportSlice::Tcp(tcp)) => {
                expect(
                    "ports",
                    (ours.source_port, ours.destination_port) == (tcp.source_port(), tcp.destination_port()),
                );
                let flags = u16::from_be_bytes([tcp.slice()[12], tcp.slice()[13]]) & 0x01FF;
                expect("TCP flags", ours.tcp_flags == flags);
            }
            Some(TransportSlice::Icmpv4(icmp)) => {
                let expected = u16::from_be_bytes([icmp.slice()[0], icmp.slice()[1]]);
                expect("type and code", ours.source.is_ipv6() || ours.destination_port == expected);
            }
            Some(TransportSlice::Icmpv6(icmp)) => {
                let expected = u16::from_be_bytes([icmp.slice()[0], icmp.slice()[1]]);
                expect("type and code", ours.source.is_ipv4() || ours.destination_port == expected);
            }
            Some(_) => expect("ports", (ours.source_port, ours.destination_port) == (0, 0)),
            None => {
                let has_ports = (ours.source_port, ours.destination_port) != (0, 0);
                // etherparse knows neither SCTP nor DCCP nor UDP-Lite, and reads no fragments.
                let knows =
                    matches!(ours.protocol, 1 | 6 | 17 | 58) && ours.fragment == Fragment::Unfragmented;
                if has_ports && knows {
                    accepted.push(Accepted::TransportHeader);
                    expect("ports without octets", payload.payload.len() >= 2);
                }
            }
        }
    }
    if wrong.is_empty() { Ok(accepted) } else { Err(format!("{wrong:?}\n{ours:?}\n{theirs:?}")) }
}

/// Whether the frame ends between the addresses of an IPv4 header and the end of its options.
fn options_are_cut(theirs: &LaxSlicedPacket<'_>) -> bool {
    theirs.ether_payload().is_some_and(|ip| {
        let header_length = usize::from(ip.payload[0] & 0x0F) * 4;
        (20..header_length).contains(&ip.payload.len())
    })
}

/// Headers that etherparse follows or that end its walk.
const fn is_extension(next_header: u8) -> bool {
    matches!(next_header, 0 | 43 | 44 | 51 | 60 | 135 | 139 | 140 | 253 | 254)
}

fn ethernet_frames() -> Option<Vec<Vec<u8>>> {
    let mut frames = Vec::new();
    for capture in common::captures(&common::shared_dir()?.join("traffic")) {
        let (read, _) = common::read_all(std::fs::File::open(capture).unwrap());
        frames.extend(
            read.into_iter().filter(|frame| frame.link_type == LinkType::ETHERNET.0).map(|frame| frame.data),
        );
    }
    Some(frames)
}

#[test]
fn captured_frames_are_read_as_etherparse_reads_them() {
    let Some(frames) = ethernet_frames() else { return };
    let mut differences = BTreeMap::<Accepted, usize>::new();
    for frame in &frames {
        for accepted in compare(frame).unwrap_or_else(|wrong| panic!("{wrong}\n{frame:02x?}")) {
            *differences.entry(accepted).or_default() += 1;
        }
    }
    assert!(!frames.is_empty());
    eprintln!("{} frames, differences {differences:?}", frames.len());
    // A reason that nearly every frame needs would be no exception any more.
    assert!(differences.values().sum::<usize>() * 5 < frames.len(), "{differences:?}");
}

#[test]
fn damaged_frames_are_read_as_etherparse_reads_them() {
    let mut frames: Vec<Vec<u8>> = common::frames::samples()
        .into_iter()
        .filter(|sample| sample.link_type == LinkType::ETHERNET)
        .map(|sample| sample.data)
        .collect();
    // Without the captured frames, the samples alone are worth damaging.
    frames.extend(ethernet_frames().unwrap_or_default());
    // Damage belongs into the headers: most frames are mostly payload.
    let damage = proptest::collection::vec((0_usize..100, any::<u8>()), 0..6);
    let strategy = (any::<prop::sample::Index>(), damage, any::<Option<u8>>());
    let regressions = FileFailurePersistence::Direct("tests/dissect_differential.regressions");
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 20_000,
        failure_persistence: Some(Box::new(regressions)),
        ..ProptestConfig::default()
    });
    let outcome = runner.run(&strategy, |(index, damage, cut)| {
        let mut frame = index.get(&frames).clone();
        for (position, octet) in damage {
            if let Some(place) = frame.get_mut(position) {
                *place = octet;
            }
        }
        if let Some(cut) = cut {
            frame.truncate(usize::from(cut));
        }
        compare(&frame).map(drop).map_err(|wrong| TestCaseError::fail(format!("{wrong}\n{frame:02x?}")))
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
