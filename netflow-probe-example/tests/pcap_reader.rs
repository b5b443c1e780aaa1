//! Reading capture files: whole, cut off, corrupt.
#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test"
)]

mod common;

use std::io::{self, Read};

use common::{
    OwnedFrame,
    files::{ORDERS, Order},
    read_all,
};
use netflow_probe_example::pcap::{CaptureErrorKind, CaptureFile, MAX_FRAME};
use proptest::{prelude::*, test_runner::FileFailurePersistence};

const DATA: [u8; 5] = [1, 2, 3, 4, 5];

fn frame(nanos: u64, link_type: u32, data: &[u8], original_length: u32, interface: u32) -> OwnedFrame {
    OwnedFrame { nanos, link_type, data: data.to_vec(), original_length, interface }
}

fn pcap(order: Order, magic: u32) -> Vec<u8> {
    [
        order.pcap_header(magic, 1),
        order.pcap_record(1_700_000_000, 7, 5, &DATA),
        order.pcap_record(1_700_000_001, 8, 1500, &DATA[..3]),
        order.pcap_record(1_700_000_002, 9, 0, &[]),
    ]
    .concat()
}

/// Two sections, three interfaces, every kind of packet block and blocks that are skipped.
fn pcapng(order: Order) -> Vec<u8> {
    let other = if order == Order::Little { Order::Big } else { Order::Little };
    let offset = order.u64(1_000);
    [
        order.section(),
        order.interface(1, 0, &[]),
        order.interface(101, 4, &[(2, b"eth0"), (9, &[9])]),
        order.interface(113, 0, &[(9, &[0x8A]), (14, &offset)]),
        order.block(4, &[0; 40]),
        order.enhanced(0, 1_700_000_000_000_001, 5, &DATA),
        order.enhanced(1, 1_700_000_000_000_000_002, 5, &DATA[..4]),
        order.block(0xBAD, &[]),
        order.enhanced(2, 1_700_000_000 << 10 | 512, 900, &DATA),
        order.simple(3, &DATA),
        order.obsolete(1, 1_700_000_000_000_000_003, 5, &DATA),
        order.block(5, &[0; 12]),
        other.section(),
        other.interface(228, 2, &[]),
        other.simple(900, &DATA),
        other.enhanced(0, 1_700_000_000_000_004, 4, &DATA[..4]),
    ]
    .concat()
}

fn pcapng_frames() -> Vec<OwnedFrame> {
    let fraction = 1_700_000_000_500_000_000 + 1_000_000_000_000;
    vec![
        frame(1_700_000_000_000_001_000, 1, &DATA, 5, 0),
        frame(1_700_000_000_000_000_002, 101, &DATA[..4], 5, 1),
        frame(fraction, 113, &DATA, 900, 2),
        frame(fraction, 1, &DATA[..3], 3, 0),
        frame(1_700_000_000_000_000_003, 101, &DATA, 5, 1),
        frame(1_700_000_000_000_000_003, 228, &DATA[..2], 900, 0),
        frame(1_700_000_000_000_004_000, 228, &DATA[..4], 4, 0),
    ]
}

#[test]
fn pcap_of_both_byte_orders_and_resolutions_is_read() {
    for order in ORDERS {
        for (magic, unit) in [(0xA1B2_C3D4, 1_000), (0xA1B2_3C4D, 1)] {
            let (frames, error) = read_all(pcap(order, magic).as_slice());
            assert_eq!(error, None);
            let expected = [
                frame(1_700_000_000_000_000_000 + 7 * unit, 1, &DATA, 5, 0),
                frame(1_700_000_001_000_000_000 + 8 * unit, 1, &DATA[..3], 1500, 0),
                frame(1_700_000_002_000_000_000 + 9 * unit, 1, &[], 0, 0),
            ];
            assert_eq!(frames, expected);
        }
    }
}

#[test]
fn record_headers_of_the_modified_format_are_read() {
    let mut file = Order::Little.pcap_header(0xA1B2_CD34, 113);
    let record = Order::Little.pcap_record(5, 6, 9, &DATA);
    file.extend([&record[..16], &[0; 8], &record[16..]].concat());
    assert_eq!(read_all(file.as_slice()), (vec![frame(5_000_006_000, 113, &DATA, 9, 0)], None));
}

#[test]
fn bits_beside_the_link_type_are_ignored() {
    // A frame check sequence of four octets is announced.
    let mut file = Order::Big.pcap_header(0xA1B2_C3D4, 0x4400_0001);
    file.extend(Order::Big.pcap_record(1, 0, 5, &DATA));
    assert_eq!(read_all(file.as_slice()).0[0].link_type, 1);
}

#[test]
fn pcapng_with_sections_interfaces_and_every_packet_block_is_read() {
    for order in ORDERS {
        assert_eq!(read_all(pcapng(order).as_slice()), (pcapng_frames(), None), "{order:?}");
    }
}

#[test]
fn a_file_cut_off_anywhere_delivers_the_frames_before_and_then_one_error() {
    let files = ORDERS.iter().flat_map(|order| [pcap(*order, 0xA1B2_C3D4), pcapng(*order)]);
    for file in files {
        let (all, _) = read_all(file.as_slice());
        let mut whole_ends = 0;
        for end in 0..file.len() {
            let (frames, error) = read_all(&file[..end]);
            assert_eq!(frames, all[..frames.len()]);
            let Some(error) = error else {
                whole_ends += 1;
                continue;
            };
            match end {
                0 => assert!(error.contains("empty") && error.contains("pcapng"), "{error}"),
                1..4 => assert!(error.contains("not a capture file"), "{error}"),
                _ => assert!(error.contains("cut off"), "{end}: {error}"),
            }
        }
        // Only between two records or blocks can the end not be noticed.
        assert!(whole_ends <= 16, "{whole_ends}");
    }
}

#[test]
fn an_error_names_the_place_where_the_structure_begins() {
    let file = pcap(Order::Little, 0xA1B2_C3D4);
    let mut reader = CaptureFile::new(&file[..24 + 21 + 18]).unwrap();
    assert!(reader.next_frame().unwrap().is_some());
    assert_eq!(reader.octets_read(), 24 + 21);
    let error = reader.next_frame().unwrap_err();
    assert_eq!(error.offset, 24 + 21);
    assert!(matches!(error.kind, CaptureErrorKind::CutOff { needed: 19, available: 18 }));
    let text = "at octet 45 of the capture file: the file is cut off: 19 octets announced here, 18 left";
    assert_eq!(error.to_string(), text);

    // Also when the block is one that is skipped.
    let order = Order::Big;
    let section = order.section();
    let file = [section.clone(), order.block(0xBAD, &[0; 1000])].concat();
    let mut reader = CaptureFile::new(&file[..500]).unwrap();
    let error = reader.next_frame().unwrap_err();
    assert_eq!(error.offset, section.len() as u64);
    let available = 500 - section.len() as u64;
    assert!(
        matches!(error.kind, CaptureErrorKind::CutOff { needed: 1012, available: found } if found == available),
        "{error}"
    );
}

#[test]
fn what_is_no_capture_is_said_to_be_none() {
    for (file, expected) in [
        (b"hello, world, this is some text".as_slice(), "not a capture file; expected pcap"),
        (&[0x1F, 0x8B, 8, 0, 0, 0, 0, 0], "cannot read"),
        (&[0x28, 0xB5, 0x2F, 0xFD, 0, 0], "cannot read"),
        (&[0xFD, 0x37, 0x7A, 0x58, 0x5A, 0, 0], "xz"),
        (b"snoop\0\0\0\0\0\0\x02", "snoop"),
        (&[0xD4, 0xC3, 0xB2, 0xA1, 2, 0], "cut off"),
    ] {
        let error = CaptureFile::new(file).unwrap_err();
        assert_eq!(error.offset, 0);
        assert!(error.to_string().contains(expected), "{error}");
    }
    let missing = CaptureFile::open("no/such/file.pcap").unwrap_err();
    assert!(matches!(missing.kind, CaptureErrorKind::Read(_)));
}

#[test]
fn corrupt_lengths_end_the_file_without_being_believed() {
    for order in ORDERS {
        // A record of 4 GiB.
        let mut file = pcap(order, 0xA1B2_C3D4);
        file[24 + 21 + 8..24 + 21 + 12].fill(0xFF);
        let (frames, error) = read_all(file.as_slice());
        assert_eq!(frames.len(), 1);
        assert!(error.unwrap().contains("corrupt length: 4294967295"));

        let start = [order.section(), order.interface(1, 0, &[]), order.enhanced(0, 1, 5, &DATA)].concat();
        let good = order.enhanced(0, 2, 5, &DATA);
        for (position, number, expected) in [
            (4, 0, "block length that no block can have"),
            (4, 8, "block length that no block can have"),
            (4, 39, "block length that no block can have"),
            (4, 36, "two lengths differ"),
            (4, 0xFFFF_FFFC, "corrupt length"),
            (8, 1, "interface 1, but the section describes 1"),
            (20, 6_000_000, "exceed"),
            (20, 0xFFFF_FFFF, "exceed"),
            (20, 9, "exceed"),
            (36, 44, "two lengths differ"),
        ] {
            let mut block = good.clone();
            block[position..position + 4].copy_from_slice(&order.u32(number));
            let (frames, error) = read_all([start.clone(), block, good.clone()].concat().as_slice());
            let error = error.unwrap_or_else(|| panic!("{position} {number}"));
            assert_eq!(frames.len(), 1, "{error}");
            assert!(error.contains(expected), "{error}");
            assert!(error.starts_with(&format!("at octet {} ", start.len())), "{error}");
        }
        // The old packet block is read by hand, so its length needs a test of its own.
        for captured in [9, 0xFFFF_FFFF] {
            let mut block = order.obsolete(0, 2, 5, &DATA);
            block[20..24].copy_from_slice(&order.u32(captured));
            let (_, error) = read_all([start.clone(), block].concat().as_slice());
            assert!(error.unwrap().contains("exceed"));
        }
        let short = order.block(2, &[0; 16]);
        assert!(read_all([start.clone(), short].concat().as_slice()).1.unwrap().contains("exceed"));
        // A block that is skipped may be of any length, but not one that is not there.
        let mut skipped = order.block(0xBAD, &[0; 8]);
        skipped[4..8].copy_from_slice(&order.u32(0xFFFF_FFFC));
        assert!(read_all([start.clone(), skipped].concat().as_slice()).1.unwrap().contains("cut off"));
    }
}

#[test]
fn sections_that_cannot_be_read_are_refused() {
    let order = Order::Little;
    let mut section = order.section();
    section[12] = 2;
    let (_, error) = read_all(section.as_slice());
    assert!(error.unwrap().contains("version 2.0"));
    let mut section = order.section();
    section[8] = 0;
    assert!(read_all(section.as_slice()).1.unwrap().contains("byte order"));
    let lonely = [order.section(), order.simple(5, &DATA)].concat();
    assert!(read_all(lonely.as_slice()).1.unwrap().contains("describes 0"));
}

#[test]
fn frames_up_to_the_limit_are_read_and_longer_ones_are_not() {
    let order = Order::Little;
    let longest = vec![7; MAX_FRAME];
    let length = u32::try_from(MAX_FRAME).unwrap();
    let file = [
        order.pcap_header(0xA1B2_C3D4, 1),
        order.pcap_record(1, 0, length, &longest),
        order.pcap_record(2, 0, 5, &DATA),
        order.pcap_record(3, 0, length + 1, &[longest.as_slice(), &[7]].concat()),
    ]
    .concat();
    let (frames, error) = read_all(Trickle(&file, 100_000));
    assert_eq!(frames.iter().map(|frame| frame.data.len()).collect::<Vec<_>>(), [MAX_FRAME, 5]);
    assert!(error.unwrap().contains("corrupt length"));
}

/// A source that gives a few octets at a time and is interrupted now and then, as a pipe is.
struct Trickle<'a>(&'a [u8], usize);

impl Read for Trickle<'_> {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        if self.0.len() % 2 == 1 && space.len().is_multiple_of(3) {
            let (first, rest) = self.0.split_at(1);
            space[0] = first[0];
            self.0 = rest;
            return Ok(1);
        }
        let length = space.len().min(self.1).min(self.0.len());
        let (now, later) = self.0.split_at(length);
        space[..length].copy_from_slice(now);
        self.0 = later;
        Ok(length)
    }
}

/// Fails after a while.
struct Failing<'a>(&'a [u8], bool);

impl Read for Failing<'_> {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        if !self.1 {
            self.1 = true;
            return Err(io::ErrorKind::Interrupted.into());
        }
        match self.0.read(space)? {
            0 => Err(io::Error::other("the disk is gone")),
            length => Ok(length),
        }
    }
}

#[test]
fn how_the_octets_arrive_does_not_matter() {
    for file in [pcap(Order::Big, 0xA1B2_3C4D), pcapng(Order::Little)] {
        let expected = read_all(file.as_slice());
        for step in [1, 2, 3, 7, 16, 1000] {
            assert_eq!(read_all(Trickle(&file, step)), expected);
        }
        let (frames, error) = read_all(Failing(&file, false));
        assert_eq!(frames, expected.0);
        assert!(error.unwrap().contains("the disk is gone"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_000,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct("tests/pcap_reader.regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn damaged_files_are_survived(
        which in 0_usize..4,
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let order = ORDERS[which % 2];
        let mut file = if which < 2 { pcap(order, 0xA1B2_C3D4) } else { pcapng(order) };
        for (position, octet) in damage {
            let position = position.index(file.len());
            file[position] = octet;
        }
        let (frames, _) = read_all(file.as_slice());
        // Every frame has a header of its own: nothing is delivered twice.
        prop_assert!(frames.iter().map(|frame| frame.data.len() + 12).sum::<usize>() <= file.len());
    }
}
