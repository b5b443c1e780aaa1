//! Octets from an enemy: nothing panics, nothing is invented.
#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test"
)]

mod common;

use netflow_flowcache::Fragment;
use netflow_probe_example::{
    dissect::{Outcome, dissect, udp_datagram},
    pcap::LinkType,
};
use proptest::{prelude::*, test_runner::FileFailurePersistence};

const LINK_TYPES: [LinkType; 16] = [
    LinkType::NULL,
    LinkType::ETHERNET,
    LinkType::PPP,
    LinkType::RAW_BSD,
    LinkType::RAW_OPENBSD,
    LinkType::PPP_HDLC,
    LinkType::PPP_ETHER,
    LinkType::RAW,
    LinkType::CISCO_HDLC,
    LinkType::LOOP,
    LinkType::LINUX_SLL,
    LinkType::IPV4,
    LinkType::IPV6,
    LinkType::NFLOG,
    LinkType::LINUX_SLL2,
    LinkType(65_535),
];

/// Reads the frame and holds what comes out against what must be true of any packet.
fn check(link_type: LinkType, data: &[u8], original_length: u32) {
    if let Outcome::Packet(packet) = dissect(link_type, data, original_length) {
        assert_eq!(packet.source.is_ipv4(), packet.destination.is_ipv4());
        assert!(packet.octets >= if packet.source.is_ipv4() { 20 } else { 40 });
        assert!(packet.octets <= 65_575_u32.max(original_length).max(data.len().try_into().unwrap()));
        assert!(packet.vlan <= 0x0FFF && packet.inner_vlan <= 0x0FFF);
        assert!(packet.ipv6_flow_label <= 0x000F_FFFF);
        assert!(packet.tcp_flags <= 0x01FF && (packet.tcp_flags == 0 || packet.protocol == 6));
        if packet.fragment == Fragment::Later {
            assert_eq!((packet.source_port, packet.destination_port), (0, 0));
        }
    }
    if let Some(datagram) = udp_datagram(link_type, data) {
        assert!(datagram.payload.len() + 28 <= data.len());
        let Outcome::Packet(packet) = dissect(link_type, data, original_length) else {
            panic!("a datagram, but no packet");
        };
        assert_eq!((packet.source, packet.source_port), (datagram.source.ip(), datagram.source.port()));
    }
}

#[test]
fn every_truncation_of_every_kind_of_frame_is_survived() {
    for sample in common::frames::samples() {
        for end in 0..=sample.data.len() {
            for original_length in [0, 1, 60, u32::MAX] {
                check(sample.link_type, &sample.data[..end], original_length);
            }
            // The same octets under a wrong link type.
            for link_type in LINK_TYPES {
                check(link_type, &sample.data[..end], 60);
            }
        }
    }
}

#[test]
fn every_octet_of_every_kind_of_frame_may_be_anything() {
    for sample in common::frames::samples() {
        let mut data = sample.data.clone();
        for position in 0..data.len().min(120) {
            let original = data[position];
            for octet in 0..=u8::MAX {
                data[position] = octet;
                check(sample.link_type, &data, 60);
            }
            data[position] = original;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_000,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct("tests/dissect_hostile.regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn random_octets_are_survived(
        data in proptest::collection::vec(any::<u8>(), 0..300),
        original_length in any::<u32>(),
    ) {
        for link_type in LINK_TYPES {
            check(link_type, &data, original_length);
        }
    }

    #[test]
    fn damaged_frames_are_survived(
        index in any::<prop::sample::Index>(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        end in any::<prop::sample::Index>(),
    ) {
        let samples = common::frames::samples();
        let sample = index.get(&samples);
        let mut data = sample.data.clone();
        for (position, octet) in damage {
            let position = position.index(data.len());
            data[position] = octet;
        }
        check(sample.link_type, &data, 1500);
        check(sample.link_type, &data[..end.index(data.len())], 1500);
    }
}
