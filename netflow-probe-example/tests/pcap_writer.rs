//! What the writer writes, read by our reader and by the programs it is meant for.
#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test"
)]

mod common;

use core::net::SocketAddr;
use std::{fs::File, io::BufWriter, path::Path, process::Command};

use netflow_flowcache::Timestamp;
use netflow_probe_example::{
    dissect::udp_datagram,
    pcap::{CaptureFile, DatagramWriter, MAX_PAYLOAD},
};

type Datagram = (u64, SocketAddr, SocketAddr, Vec<u8>);

fn datagrams() -> Vec<Datagram> {
    let v4 = |port| SocketAddr::from(([192, 0, 2, 1], port));
    let v6 = |last, port| SocketAddr::from(([0x2001, 0xDB8, 0, 0, 0, 0, 0, last], port));
    vec![
        (1_700_000_000_123_456_789, v4(49_152), v4(2055), vec![]),
        (1_700_000_000_123_456_790, v4(49_152), v4(2055), vec![0xFF]),
        (1_700_000_001_000_000_000, v6(1, 1), v6(2, 4739), (0..=255).collect()),
        // Sums of zero and of all ones.
        (1_700_000_002_000_000_000, v4(0), v4(0), vec![0; 1472]),
        (1_700_000_003_000_000_000, v4(65_535), v4(65_535), vec![0xFF; MAX_PAYLOAD]),
        (1_700_000_004_999_999_999, v6(0xFFFF, 9), v6(3, 9), vec![7; MAX_PAYLOAD]),
    ]
}

fn write(path: &Path, datagrams: &[Datagram]) {
    let mut writer: DatagramWriter<BufWriter<File>> = DatagramWriter::create(path).unwrap();
    for (nanos, source, destination, payload) in datagrams {
        writer.write(Timestamp::from_nanos(*nanos), *source, *destination, payload).unwrap();
    }
    writer.finish().unwrap();
}

#[test]
fn what_was_written_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("written.pcap");
    write(&path, &datagrams());
    let mut file = CaptureFile::open(&path).unwrap();
    assert_eq!(file.file_length(), Some(path.metadata().unwrap().len()));
    for (nanos, source, destination, payload) in datagrams() {
        let frame = file.next_frame().unwrap().unwrap();
        assert_eq!(frame.timestamp.as_nanos(), nanos);
        assert_eq!(frame.original_length as usize, frame.data.len());
        let datagram = udp_datagram(frame.link_type, frame.data).unwrap();
        assert!(datagram.complete);
        assert_eq!((datagram.source, datagram.destination), (source, destination));
        assert_eq!(datagram.payload, payload);
    }
    assert!(file.next_frame().unwrap().is_none());
    assert_eq!(Some(file.octets_read()), file.file_length());
}

#[test]
fn tshark_reads_what_was_written_and_finds_every_checksum_right() {
    if !common::has_program("tshark") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("written.pcap");
    write(&path, &datagrams());
    let output = Command::new("tshark")
        .args(["-n", "-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE", "-T", "fields"])
        .args("-E occurrence=f -e frame.time_epoch -e ip.checksum.status -e udp.checksum.status".split(' '))
        .args("-e udp.srcport -e udp.dstport -e udp.length".split(' '))
        .arg("-r")
        .arg(&path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), datagrams().len());
    for (line, (nanos, source, destination, payload)) in text.lines().zip(datagrams()) {
        let fields: Vec<&str> = line.split('\t').collect();
        // 1 is "good"; IPv6 has no checksum of its own.
        let ip_checksum = if source.is_ipv4() { "1" } else { "" };
        let expected = [
            format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000),
            ip_checksum.to_owned(),
            "1".to_owned(),
            source.port().to_string(),
            destination.port().to_string(),
            (payload.len() + 8).to_string(),
        ];
        assert_eq!(fields, expected);
    }
}

// The exporter meters what another meter meters: both must find the same octets in the same file.
#[test]
fn nfpcapd_meters_what_was_written() {
    if !common::has_program("nfpcapd") || !common::has_program("nfdump") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (path, flows) = (folder.path().join("written.pcap"), folder.path().join("flows"));
    std::fs::create_dir(&flows).unwrap();
    let exporter = SocketAddr::from(([192, 0, 2, 1], 49_152));
    let collector = SocketAddr::from(([192, 0, 2, 254], 9995));
    let datagrams: Vec<Datagram> = (0..10)
        .map(|index| (1_700_000_000_000_000_000 + index * 1_000_000, exporter, collector, vec![5; 100]))
        .collect();
    write(&path, &datagrams);
    let metered = Command::new("nfpcapd").arg("-r").arg(&path).arg("-w").arg(&flows).output().unwrap();
    let log = String::from_utf8_lossy(&metered.stderr);
    let output =
        Command::new("nfdump").arg("-R").arg(&flows).args(["-q", "-N", "-o", "json"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    // Without a header the records come without the brackets around them.
    let text = if text.trim_start().starts_with('[') { text } else { format!("[{text}]") };
    let records: Vec<serde_json::Value> =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {log}\n{text}"));
    let sum = |name: &str| records.iter().map(|record| record[name].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("in_packets"), sum("in_bytes")), (10, 10 * (100 + 28)), "{records:?}");
}
