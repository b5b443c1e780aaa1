//! The demonstration as a user runs it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::{Command, Stdio},
};

use common::{files::Order, frames};

/// A capture file of some packets.
fn capture(path: &Path, packets: u32, octets_missing: usize) {
    let mut file = Order::Little.pcap_header(0xa1b2_c3d4, 101);
    for number in 0..packets {
        let data = frames::ipv4(17, &frames::udp(1_000, 53, &[0; 40]));
        let length = u32::try_from(data.len()).unwrap();
        file.extend(Order::Little.pcap_record(1_767_600_000 + number / 1_000, number % 1_000, length, &data));
    }
    file.truncate(file.len() - octets_missing);
    fs::write(path, file).unwrap();
}

fn demo(read: &Path, directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netflow-collector"));
    command.arg("demo").arg("--read").arg(read).arg("--directory").arg(directory);
    command
}

#[test]
fn a_capture_cut_off_is_shown_as_far_as_it_goes_and_fails() {
    let folder = tempfile::tempdir().unwrap();
    let cut = folder.path().join("cut.pcap");
    capture(&cut, 30, 5);
    let output = demo(&cut, &folder.path().join("flows")).output().unwrap();
    let (shown, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1));
    for text in ["packets read                        29", "== top talkers", "/flows/flows.json"] {
        assert!(shown.contains(text), "{text}: {shown}");
    }
    assert!(told.contains("cut.pcap") && told.contains("cut off"), "{told}");

    let output = demo(Path::new("/nonexistent.pcap"), &folder.path().join("flows")).output().unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nonexistent.pcap"));
}

#[test]
fn nobody_has_to_read_the_report_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let read = folder.path().join("traffic.pcap");
    for (missing, status) in [(0, 0), (5, 1)] {
        capture(&read, 30, missing);
        let mut child = demo(&read, &folder.path().join("flows"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Closed before anything is written.
        drop(child.stdout.take());
        let mut told = String::new();
        child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(status), "{told}");
        assert!(!told.contains("panic"), "{told}");
    }
}

#[test]
fn a_full_device_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let read = folder.path().join("traffic.pcap");
    capture(&read, 30, 0);
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut child =
        demo(&read, &folder.path().join("flows")).stdout(full).stderr(Stdio::piped()).spawn().unwrap();
    let told: Vec<String> =
        BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(told.len() == 1 && told[0].contains("standard output"), "{told:?}");
}
