//! Capture files of every kind, as a user meters them: compressed, damaged, several, slowly.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use core::time::Duration;
use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use common::{
    files::Order,
    frames::{ethernet, ipv4, udp},
    namespace::number,
};
use flate2::{Compression, write::GzEncoder};
use netflow_probe_example::pcap::CaptureFile;
use tempfile::TempDir;

const EXPORTER: &str = env!("CARGO_BIN_EXE_netflow-exporter");
const MICROSECONDS: u32 = 0xA1B2_C3D4;

/// What the exporter said, and its exit status.
fn meter(folder: &TempDir, files: &[&Path], more: &[&str]) -> (String, Option<i32>) {
    let mut command = Command::new(EXPORTER);
    command.arg("--write").arg(folder.path().join("export.pcap")).args(more);
    for file in files {
        command.arg("--read").arg(file);
    }
    let output = command.stdin(Stdio::null()).output().unwrap();
    (String::from_utf8(output.stderr).unwrap(), output.status.code())
}

/// A frame of a UDP packet with so many octets of payload.
fn frame(port: u16, payload: usize) -> Vec<u8> {
    ethernet(0x0800, &ipv4(17, &udp(port, 53, &vec![0xA5; payload])))
}

/// `count` packets, a hundred a second; and where each of their records begins.
fn capture(count: u32) -> (Vec<u8>, Vec<usize>) {
    let order = Order::Little;
    let mut file = order.pcap_header(MICROSECONDS, 1);
    let mut records = Vec::new();
    for number in 0..count {
        let data = frame(1_000, 40 + number as usize % 700);
        records.push(file.len());
        let original = u32::try_from(data.len()).unwrap();
        let (seconds, fraction) = (1_700_000_000 + number / 100, number % 100 * 10_000);
        file.extend(order.pcap_record(seconds, fraction, original, &data));
    }
    (file, records)
}

/// The same in pcapng.
fn capture_ng(count: u32) -> (Vec<u8>, Vec<usize>) {
    let order = Order::Little;
    let mut file = [order.section(), order.interface(1, 0, &[])].concat();
    let mut records = Vec::new();
    for number in 0..count {
        let data = frame(1_000, 40 + number as usize % 700);
        records.push(file.len());
        let original = u32::try_from(data.len()).unwrap();
        let micros = 1_700_000_000_000_000 + u64::from(number) * 10_000;
        file.extend(order.enhanced(0, micros, original, &data));
    }
    (file, records)
}

fn gzip(octets: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(octets).unwrap();
    encoder.finish().unwrap()
}

fn write(folder: &TempDir, name: &str, octets: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, octets).unwrap();
    path
}

#[test]
fn compressed_files_are_read_as_what_they_were() {
    let folder = tempfile::tempdir().unwrap();
    for (name, file) in [("pcap", capture(3_000).0), ("pcapng", capture_ng(3_000).0)] {
        // Members of gzip and frames of zstd can follow one another.
        let (first, second) = file.split_at(file.len() / 3);
        let forms = [
            ("plain", file.clone()),
            ("gz", gzip(&file)),
            ("twice.gz", [gzip(first), gzip(second)].concat()),
            ("zst", zstd::encode_all(&file[..], 3).unwrap()),
            (
                "twice.zst",
                [zstd::encode_all(first, 1).unwrap(), zstd::encode_all(second, 1).unwrap()].concat(),
            ),
        ];
        let mut exports = Vec::new();
        for (form, octets) in forms {
            let path = write(&folder, &format!("{name}.{form}"), &octets);
            let (account, code) = meter(&folder, &[&path], &["--seed", "1"]);
            assert_eq!(code, Some(0), "{name} {form}: {account}");
            assert_eq!(number(&account, "metered"), 3_000, "{name} {form}");
            exports.push(fs::read(folder.path().join("export.pcap")).unwrap());
            let mut reader = CaptureFile::open(&path).unwrap();
            while reader.next_frame().unwrap().is_some() {}
            assert_eq!(
                reader.octets_read(),
                octets.len() as u64,
                "progress is told by the file's own octets"
            );
        }
        exports.dedup();
        assert_eq!(exports.len(), 1, "{name}");
    }
}

#[test]
fn compressed_standard_input_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(EXPORTER)
        .args(["--read", "-", "--write"])
        .arg(folder.path().join("export.pcap"))
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&gzip(&capture(500).0)).unwrap();
    let output = child.wait_with_output().unwrap();
    let account = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && number(&account, "metered") == 500, "{account}");
}

#[test]
fn a_compressed_file_that_is_cut_off_is_told() {
    let folder = tempfile::tempdir().unwrap();
    for (name, octets) in
        [("gz", gzip(&capture(3_000).0)), ("zst", zstd::encode_all(&capture(3_000).0[..], 3).unwrap())]
    {
        let path = write(&folder, name, &octets[..octets.len() / 2]);
        let (account, code) = meter(&folder, &[&path], &[]);
        assert_eq!(code, Some(1), "{account}");
        assert!(account.contains("cannot read") && account.contains("at octet"), "{account}");
        let whole = write(&folder, "next", &capture(10).0);
        let (account, _) = meter(&folder, &[&path, &whole], &[]);
        assert!(number(&account, "metered") >= 10, "the next file goes on: {account}");
    }
}

#[test]
fn damage_in_the_middle_costs_the_damaged_frames_only() {
    let folder = tempfile::tempdir().unwrap();
    let next = write(&folder, "next.pcap", &capture(100).0);
    for (name, (sound, records), length_at) in [("pcap", capture(3_000), 8), ("pcapng", capture_ng(3_000), 4)]
    {
        let broken_length = |file: &mut Vec<u8>, record: usize, length: u32| {
            file[record + length_at..][..4].copy_from_slice(&length.to_le_bytes());
        };
        // A length that is absurd, one that only leads astray, and a hole in the file.
        let mut absurd = sound.clone();
        broken_length(&mut absurd, records[1_000], 0xFFFF_FFF0);
        let mut astray = sound.clone();
        broken_length(&mut astray, records[2_000], 1_000_000);
        let mut hole = sound.clone();
        hole.drain(records[1_500] + 30..records[1_510] + 32);
        let mut zeros = sound.clone();
        zeros[records[1_500]..records[1_520] + 10].fill(0xEE);
        for (damage, file, lost) in [
            ("absurd", absurd, 1..=2),
            ("astray", astray, 1..=2),
            ("hole", hole, 9..=13),
            ("zeros", zeros, 20..=23),
        ] {
            let path = write(&folder, &format!("{damage}.{name}"), &file);
            let (account, code) = meter(&folder, &[&path, &next], &[]);
            assert_eq!(code, Some(1), "{damage} {name}: {account}");
            assert!(account.contains("octets later"), "{damage} {name}: {account}");
            let read = number(&account, "metered");
            assert!(lost.contains(&(3_100 - read)), "{damage} {name}: {read} of 3100: {account}");
        }
    }
}

#[test]
fn a_file_of_nothing_but_damage_ends() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = capture(1).0;
    // Looks like records, none of which is followed by another.
    for number in 0..200_000_u32 {
        file.extend(number.wrapping_mul(0x9E37_79B9).to_le_bytes());
    }
    let path = write(&folder, "noise.pcap", &file);
    let (account, code) = meter(&folder, &[&path], &[]);
    assert_eq!(code, Some(1), "{account}");
    assert_eq!(number(&account, "metered"), 1, "{account}");
}

#[test]
fn files_are_replayed_at_the_speed_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    // Three seconds of traffic.
    let path = write(&folder, "three.pcap", &capture(300).0);
    let start = Instant::now();
    let (account, code) = meter(&folder, &[&path], &["--speed", "5"]);
    // The last frame comes 2.99 s behind the first.
    assert!(start.elapsed() >= Duration::from_millis(2_990 / 5), "{account}");
    assert_eq!((code, number(&account, "metered")), (Some(0), 300), "{account}");
    let (account, _) = meter(&folder, &[&path], &["--speed", "0"]);
    assert!(account.contains("max") && account.contains("--speed"), "{account}");
}

#[test]
fn slow_replay_exports_by_the_clock_of_the_capture() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    receiver.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    // A packet, and another one a minute later: at six times the speed, ten seconds to wait for the end.
    let order = Order::Little;
    let mut file = order.pcap_header(MICROSECONDS, 1);
    for (seconds, port) in [(0, 1), (60, 2)] {
        let data = frame(port, 10);
        file.extend(order.pcap_record(1_700_000_000 + seconds, 0, u32::try_from(data.len()).unwrap(), &data));
    }
    let path = write(&folder, "minute.pcap", &file);
    let mut child = Command::new(EXPORTER)
        .args(["--speed", "6", "--inactive-timeout", "3s", "--export-version", "5", "--quiet", "--read"])
        .arg(&path)
        .args(["--collector", &receiver.local_addr().unwrap().to_string()])
        .spawn()
        .unwrap();
    let mut datagram = [0; 1_500];
    let length = receiver.recv(&mut datagram).unwrap();
    // The first flow was sent when it was silent for its time, alone, and the exporter is still waiting.
    assert_eq!((length, datagram[3]), (24 + 48, 1));
    assert!(child.try_wait().unwrap().is_none(), "it waits for the second packet");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
#[cfg(feature = "live")]
fn a_filter_decides_which_frames_of_files_are_metered() {
    let folder = tempfile::tempdir().unwrap();
    let order = Order::Little;
    let mut file = order.pcap_header(MICROSECONDS, 1);
    for (number, port) in [1_000, 2_000, 1_000, 3_000].into_iter().enumerate() {
        let data = frame(port, 10);
        let length = u32::try_from(data.len()).unwrap();
        file.extend(order.pcap_record(1_700_000_000 + u32::try_from(number).unwrap(), 0, length, &data));
    }
    let path = write(&folder, "four.pcap", &file);
    let (account, _) = meter(&folder, &[&path], &["--filter", "udp src port 1000"]);
    assert_eq!(number(&account, "metered"), 2, "{account}");
    let (account, code) = meter(&folder, &[&path], &["--filter", "udp src port 1000 and and"]);
    assert!(code == Some(2) && account.contains("syntax error"), "{account}");
}

#[test]
#[cfg(not(feature = "live"))]
fn a_build_without_libpcap_says_what_filters_need() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(&folder, "one.pcap", &capture(1).0);
    let (account, code) = meter(&folder, &[&path], &["--filter", "udp"]);
    assert!(code == Some(2) && account.contains("--features live"), "{account}");
}
