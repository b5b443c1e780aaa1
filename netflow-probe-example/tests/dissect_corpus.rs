//! Every datagram of the captured exporters, out of its capture file and as it was collected.
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
use std::{fs, path::Path};

use netflow_probe_example::{dissect::udp_datagram, pcap::CaptureFile};

/// Exporter (0.0.0.0 when it speaks IPv6), source port, payload.
type Datagram = ([u8; 4], u16, Vec<u8>);

#[test]
fn payloads_of_a_capture_are_the_datagrams_that_were_collected() {
    let Some(shared) = common::shared_dir() else { return };
    let (mut cases, mut datagrams) = (0, 0);
    for entry in fs::read_dir(shared.join("corpus")).unwrap() {
        let case = entry.unwrap().path();
        if !case.join("packets.bin").is_file() {
            continue;
        }
        let expected = datagrams_of_list(&fs::read(case.join("packets.bin")).unwrap());
        let found = datagrams_of_capture(&case.join("capture.pcap"));
        assert_eq!(found.len(), expected.len(), "{}", case.display());
        for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert!(found == expected, "{}, datagram {index}", case.display());
        }
        cases += 1;
        datagrams += expected.len();
    }
    assert!(cases > 0);
    eprintln!("{datagrams} datagrams of {cases} captures");
}

fn datagrams_of_capture(capture: &Path) -> Vec<Datagram> {
    let mut file = CaptureFile::open(capture).unwrap();
    let mut datagrams = Vec::new();
    while let Some(frame) = file.next_frame().unwrap() {
        let datagram = udp_datagram(frame.link_type, frame.data).unwrap();
        assert!(datagram.complete);
        let exporter = match datagram.source.ip() {
            IpAddr::V4(address) => address.octets(),
            IpAddr::V6(_) => [0; 4],
        };
        datagrams.push((exporter, datagram.source.port(), datagram.payload.to_vec()));
    }
    datagrams
}

/// `payload length (4) | IPv4 exporter address (4) | UDP source port (2) | payload`, repeated.
fn datagrams_of_list(mut list: &[u8]) -> Vec<Datagram> {
    let mut datagrams = Vec::new();
    while let Some((header, rest)) = list.split_first_chunk::<10>() {
        let length = u32::from_be_bytes(header[..4].try_into().unwrap());
        let (payload, behind) = rest.split_at(usize::try_from(length).unwrap());
        let port = u16::from_be_bytes([header[8], header[9]]);
        datagrams.push((header[4..8].try_into().unwrap(), port, payload.to_vec()));
        list = behind;
    }
    assert!(list.is_empty());
    datagrams
}
