//! Hash-based selection: known answers, what is hashed, which packets are selected.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::float_cmp,
    missing_docs
)]

mod common;

use common::{at, packet};
use netflow_flowcache::sample::{
    HashFilter, HashFunction, HashParameters, PacketContent, Sampler, SamplerError, SelectedRanges, Selector,
    bob, crc32, ipsx,
};
use proptest::prelude::*;

fn octets(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

const TCP: &str = "450000381c4640004006323ec0000201c6336407c73801bb123456789abcdef0501801f6000000\
                   00474554202f20485454502f312e310d0a";
const UDP: &str = "45000028a17400004011da45c000020ccb0071fe14e900350014beef123401000001000000000000";
const ICMP: &str = "450000180001000040017bd9c000020ccb0071fe0800f7ff";

fn everything(function: HashFunction) -> HashParameters {
    HashParameters::new(function, SelectedRanges::new(&[(0, function.output_maximum())]).unwrap())
}

fn hash(packet: &[u8], function: HashFunction, offset: u16, size: u16) -> Option<u32> {
    let mut parameters = everything(function);
    parameters.offset = offset;
    parameters.size = size;
    HashFilter::new(parameters).unwrap().hash(&PacketContent::parse(packet).unwrap())
}

// S8 (ST13)
#[test]
fn bob_gives_the_known_answers() {
    let counting = |length: u8| (0..length).collect::<Vec<u8>>();
    for (key, initialiser, expected) in [
        (vec![], 0, 0xbd49_d10d),
        (vec![], 0x9a3f_9a3f, 0xd8d9_c8ff),
        (b"a".to_vec(), 0, 0x29ee_c818),
        (b"abc".to_vec(), 0, 0x251e_4793),
        (b"abc".to_vec(), 0x9a3f_9a3f, 0x9363_3a6a),
        (counting(11), 0, 0xf189_c885),
        (counting(12), 0, 0x99bd_d9ef),
        (counting(13), 0, 0xecad_9b0d),
        (counting(24), 1, 0xc64b_aa4c),
        (counting(32), 0x9a3f_9a3f, 0xd96d_a2e1),
        (vec![0xff; 28], 0x9a3f_9a3f, 0xcd69_5af3),
    ] {
        assert_eq!(bob(&key, initialiser), expected, "{key:x?}");
    }
}

// S8
#[test]
fn ipsx_and_crc_give_the_known_answers() {
    for (words, expected) in [
        ([0; 4], 0),
        ([u32::MAX, 0, 0, 0], 0x00ff),
        ([0, 0, u32::MAX, 0], 0x3c3f),
        ([0x1234_5678, 0x9abc_def0, 0x0fed_cba9, 0x8765_4321], 0x1399),
    ] {
        assert_eq!(ipsx(words), expected, "{words:x?}");
    }
    assert_eq!((crc32(b""), crc32(b"123456789")), (0, 0xcbf4_3926));
}

// S8, S9, S10: whole packets, several sizes and offsets; the ICMP packet has less payload than is asked for.
#[test]
fn packets_give_the_known_answers() {
    let (tcp, udp, icmp) = (octets(TCP), octets(UDP), octets(ICMP));
    for (packet, function, offset, size, expected) in [
        (&tcp, HashFunction::Bob, 0, 8, 0xca3a_a683),
        (&tcp, HashFunction::Crc, 0, 8, 0x8692_9b2f),
        (&tcp, HashFunction::Bob, 0, 16, 0xa6d1_6b5d),
        (&tcp, HashFunction::Crc, 0, 16, 0x6bdb_44c2),
        (&tcp, HashFunction::Bob, 4, 8, 0x055d_e035),
        (&tcp, HashFunction::Ipsx, 0, 8, 0xd0a6),
        (&udp, HashFunction::Bob, 0, 8, 0x0145_564f),
        (&udp, HashFunction::Crc, 0, 8, 0xb313_6c40),
        (&udp, HashFunction::Ipsx, 0, 8, 0xd3ca),
        (&icmp, HashFunction::Bob, 0, 8, 0x7154_c5f1),
        (&icmp, HashFunction::Bob, 0, 16, 0x7154_c5f1),
        (&icmp, HashFunction::Bob, 4, 8, 0x653f_5839),
        (&icmp, HashFunction::Ipsx, 0, 8, 0xdb52),
    ] {
        assert_eq!(hash(packet, function, offset, size), Some(expected), "{function:?} {offset} {size}");
    }
    // Padding of a short frame is not payload.
    let padded = [&icmp[..], &[0; 22]].concat();
    assert_eq!(hash(&padded, HashFunction::Bob, 0, 16), Some(0x7154_c5f1));
}

// S9: sizes and offsets over the range that has to be offered and beyond, against the definition.
#[test]
fn sizes_and_offsets_choose_the_payload() {
    let mut packet = octets(TCP);
    packet.extend((0..200).map(|octet| octet ^ 0x5A));
    let total = u16::try_from(packet.len()).unwrap();
    packet[2..4].copy_from_slice(&total.to_be_bytes());
    for offset in [0, 1, 13, 64, 200, 235, 236, 1500] {
        for size in [0, 1, 8, 11, 12, 32, 64, 1500] {
            let payload = packet[20..].iter().skip(offset.into()).take(size.into());
            let key: Vec<u8> = packet[4..8].iter().chain(&packet[12..20]).chain(payload).copied().collect();
            assert_eq!(hash(&packet, HashFunction::Bob, offset, size), Some(bob(&key, 0x9a3f_9a3f)));
            assert_eq!(hash(&packet, HashFunction::Crc, offset, size), Some(crc32(&key)));
        }
    }
}

// S9, S10: IPv6 by payload length and the octets 10, 11, 14, 15 and 16 of the addresses; no IPSX.
#[test]
fn ipv6_packets_are_hashed_by_their_fields() {
    let mut packet: Vec<u8> = (0..60).collect();
    packet[0] = 0x60;
    packet[4..6].copy_from_slice(&[0, 20]);
    let key: Vec<u8> = [&packet[4..6], &packet[17..19], &packet[21..24], &packet[33..35], &packet[37..40]]
        .concat()
        .into_iter()
        .chain(packet[40..48].iter().copied())
        .collect();
    assert_eq!(hash(&packet, HashFunction::Bob, 0, 8), Some(bob(&key, 0x9a3f_9a3f)));
    let mut selector = Selector::new(1, HashFilter::new(everything(HashFunction::Ipsx)).unwrap());
    let content = PacketContent::parse(&packet).unwrap();
    assert!(!selector.select_with(&common::packet_v6(1), &content, at(0)));
    // Observed all the same, as are packets whose octets nobody has.
    assert!(!selector.select(&common::packet(1), at(0)));
    assert_eq!((selector.statistics().observed, selector.statistics().selected), (2, 0));
    assert_eq!(selector.sampler().unavailable(), 2);
    assert!(selector.needs_content());
}

// S11: another initialiser, another hash; for BOB and CRC.
#[test]
fn initialisers_change_the_hash() {
    let tcp = octets(TCP);
    let content = PacketContent::parse(&tcp).unwrap();
    for function in [HashFunction::Bob, HashFunction::Crc] {
        let hashes: std::collections::BTreeSet<u32> = [None, Some(0), Some(1), Some(0xFFFF_FFFF)]
            .into_iter()
            .map(|initialiser| {
                let mut parameters = everything(function);
                parameters.initialiser = initialiser;
                HashFilter::new(parameters).unwrap().hash(&content).unwrap()
            })
            .collect();
        assert_eq!(hashes.len(), 4);
    }
    let mut parameters = everything(HashFunction::Crc);
    parameters.initialiser = Some(0x0102_0304);
    let key = [&tcp[4..8], &tcp[12..20], &tcp[20..28], &[1, 2, 3, 4]].concat();
    assert_eq!(HashFilter::new(parameters).unwrap().hash(&content), Some(crc32(&key)));
}

// S12 (ST14)
#[test]
fn ranges_are_closed_and_apart_and_in_any_order() {
    let selected =
        |ranges: &SelectedRanges| (0..12).filter(|hash| ranges.contains(*hash)).collect::<Vec<u32>>();
    for pairs in [[(1, 3), (6, 9)], [(6, 9), (1, 3)], [(3, 1), (9, 6)]] {
        let ranges = SelectedRanges::new(&pairs).unwrap();
        assert_eq!(selected(&ranges), [1, 2, 3, 6, 7, 8, 9]);
        assert_eq!((ranges.as_slice(), ranges.size()), (&[(1, 3), (6, 9)][..], 7));
    }
    let paired = SelectedRanges::from_bounds(&[6, 1], &[3, 9]).unwrap();
    assert_eq!(selected(&paired), [1, 2, 3, 6, 7, 8, 9]);
    assert_eq!(SelectedRanges::from_bounds(&[1], &[3, 9]), Err(SamplerError::RangeOutOfBounds));
    assert_eq!(SelectedRanges::from_bounds(&[4], &[3]), Err(SamplerError::RangeOutOfBounds));
    for overlapping in [[(1, 3), (3, 9)], [(1, 9), (2, 3)], [(5, 5), (5, 5)]] {
        assert_eq!(SelectedRanges::new(&overlapping), Err(SamplerError::OverlappingRanges));
    }
    assert_eq!(SelectedRanges::new(&[]), Err(SamplerError::SelectsNothing));
    assert!(SelectedRanges::new(&[(1, 2), (3, 3), (u32::MAX, u32::MAX)]).is_ok());
    assert_eq!(SelectedRanges::new(&[(0, u32::MAX)]).unwrap().size(), 1 << 32);
}

// S12, S28
#[test]
fn one_in_n_is_one_in_n_of_the_values_at_a_place_of_the_seed() {
    for function in [HashFunction::Bob, HashFunction::Ipsx] {
        let values = u64::from(function.output_maximum()) + 1;
        for n in [1, 2, 3, 1000, 65_536] {
            let starts: std::collections::BTreeSet<u32> = (0..20)
                .map(|seed| {
                    let ranges = SelectedRanges::one_in(n, function, seed).unwrap();
                    assert_eq!(ranges.size(), values / u64::from(n));
                    assert!(HashFilter::new(HashParameters::new(function, ranges.clone())).is_ok());
                    ranges.as_slice()[0].0
                })
                .collect();
            assert!(n == 1 || starts.len() > 10 || n == 3 || function == HashFunction::Ipsx && n == 2);
        }
    }
    assert_eq!(SelectedRanges::one_in(0, HashFunction::Bob, 1), Err(SamplerError::SelectsNothing));
    assert_eq!(SelectedRanges::one_in(65_537, HashFunction::Ipsx, 1), Err(SamplerError::SelectsNothing));
    assert_eq!(SelectedRanges::one_in(u32::MAX, HashFunction::Bob, 1).unwrap().size(), 1);
}

/// Packets whose payload is at random, with identifications that count.
fn random_packet(number: u32, state: &mut u64) -> Vec<u8> {
    let mut packet = octets(UDP);
    packet[4..6].copy_from_slice(&number.to_be_bytes()[2..]);
    for octet in &mut packet[20..] {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *octet = (*state >> 56) as u8;
    }
    packet
}

// S13 (ST13): the same packets at two points, after a hop; a false alarm of the shares has a probability of 1e-6 each.
#[test]
fn two_points_select_the_same_packets_after_a_hop() {
    let new = |initialiser| {
        let ranges = SelectedRanges::one_in(16, HashFunction::Bob, 42).unwrap();
        let mut parameters = HashParameters::new(HashFunction::Bob, ranges);
        parameters.initialiser = Some(initialiser);
        HashFilter::new(parameters).unwrap()
    };
    let (mut here, mut there, mut elsewhere) = (new(7), new(7), new(8));
    let (mut selected, mut both, mut state) = (0_u32, 0_u32, 1);
    let packets = 1_000_000_u32;
    for number in 0..packets {
        let before = random_packet(number, &mut state);
        let mut after = before.clone();
        after[8] -= 1; // time to live
        after[1] ^= 0xB8; // differentiated services
        after[10] = after[10].wrapping_add(1); // checksum
        let picked = {
            let content = PacketContent::parse(&before).unwrap();
            both += u32::from(
                elsewhere.select_with(&packet(0), &content, at(0))
                    && here.select_with(&packet(0), &content, at(0)),
            );
            here.select_with(&packet(0), &content, at(0))
        };
        assert_eq!(picked, there.select_with(&packet(0), &PacketContent::parse(&after).unwrap(), at(9)));
        selected += u32::from(picked);
    }
    let within = |found: u32, probability: f64| {
        let expected = f64::from(packets) * probability;
        (f64::from(found) - expected).abs() < 4.89 * (expected * (1.0 - probability)).sqrt()
    };
    assert!(within(selected, 1.0 / 16.0), "{selected}");
    // Another initialiser chooses independently.
    assert!(within(both, 1.0 / 256.0), "{both}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    // S8, S9, S10: any octets, cut off anywhere: no panic, and two filters agree.
    #[test]
    fn any_octets_are_hashed_or_are_no_packet(
        octets in prop::collection::vec(any::<u8>(), 0..100), version in 4..7_u8, offset in 0..1501_u16, size in 0..1501_u16,
    ) {
        let mut octets = octets;
        if let Some(first) = octets.first_mut() {
            *first = version << 4 | (*first & 0xF);
        }
        let Some(content) = PacketContent::parse(&octets) else { return Ok(()) };
        prop_assert!(content.payload().len() + 20 <= octets.len());
        for function in [HashFunction::Bob, HashFunction::Ipsx, HashFunction::Crc] {
            let mut parameters = everything(function);
            (parameters.offset, parameters.size) = (offset, size);
            let filter = HashFilter::new(parameters).unwrap();
            prop_assert_eq!(filter.hash(&content).is_some(), content.is_ipv4() || function != HashFunction::Ipsx);
            prop_assert_eq!(filter.hash(&content), filter.clone().hash(&content));
        }
    }
}
