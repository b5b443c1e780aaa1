//! Several workers receive as one, and what a slow output refuses is counted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod collector_datagrams;
mod common;

use core::net::Ipv4Addr;
use std::{fs, io::Read as _, net::UdpSocket, path::Path};

use collector_datagrams::{PLAIN, plain, set, template, v5, v9};
use common::{
    listening::{Listening, PROGRAM},
    peers::run,
};

fn sender(address: [u8; 4]) -> UdpSocket {
    UdpSocket::bind((Ipv4Addr::from(address), 0)).unwrap()
}

#[test]
fn workers_keep_the_templates_of_an_exporter_with_its_data() {
    // C3, C35
    let collector = Listening::start(&["--workers", "3", "--bind", "127.0.0.1:0", "--bind", "127.0.0.1:0"]);
    assert_eq!(collector.addresses.len(), 2);
    let hosts = 0..40_u8;
    for host in hosts.clone() {
        // Templates and data come from different ports, as some devices have it, and to different ports.
        let (first, second) = (sender([127, 0, 9, host]), sender([127, 0, 9, host]));
        first.send_to(&v9(1, 1, &[template(256, &PLAIN)]), collector.addresses[0]).unwrap();
        collector.drained();
        second.send_to(&v9(1, 1, &[set(256, &plain(host, 7))]), collector.addresses[1]).unwrap();
        collector.drained();
    }
    let left = collector.terminate();
    assert_eq!((left.flows.len(), &left.summary["data_records"]), (40, &40.into()), "{}", left.stderr);
    assert_eq!(left.summary["sets_without_template"], 0);
    assert_eq!(left.summary["template_cache"]["templates"], 40);
    assert_eq!(left.summary["exporters"].as_array().unwrap().len(), 40);
    assert_eq!(left.summary["by_version"], serde_json::json!({"9": 80}));
    // Two addresses for each worker.
    let sockets = left.summary["sockets"].as_array().unwrap();
    assert_eq!(sockets.len(), 6);
    assert!(sockets.iter().all(|socket| socket["drops"] == 0), "{sockets:?}");
}

#[test]
fn several_workers_print_one_header_and_whole_lines() {
    let collector = Listening::start(&["--workers", "2", "--format", "csv", "--bind", "127.0.0.1:0"]);
    for host in 0..40 {
        sender([127, 0, 8, host]).send_to(&v5(0, 30), collector.addresses[0]).unwrap();
        collector.drained();
    }
    let left = collector.terminate();
    let mut reader = csv::Reader::from_reader(left.output.as_bytes());
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 1_200);
    assert!(rows.iter().all(|row| &row[0] == "NETFLOW_V5"), "{:?}", rows[0]);
}

#[test]
fn what_a_slow_reader_makes_it_refuse_is_counted_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    run("mkfifo", &[pipe.to_str().unwrap()]);
    let reader = {
        let pipe = pipe.clone();
        std::thread::spawn(move || fs::File::open(pipe).unwrap())
    };
    let arguments = ["--output-queue", "100K", "--when-full", "refuse", "--bind", "127.0.0.1:0"];
    let collector = Listening::start_with_output(&arguments, Some(Path::new(&pipe)));
    let mut reader = reader.join().unwrap();
    let exporter = sender([127, 0, 0, 1]);
    for sequence in 0..150 {
        exporter.send_to(&v5(sequence * 30, 30), collector.addresses[0]).unwrap();
        collector.drained();
    }
    // Nobody has read so far: the pipe and the queue are full.
    let printed = std::thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text
    });
    let left = collector.terminate();
    let printed = printed.join().unwrap().lines().count() as u64;
    let queue = &left.summary["output_queue"];
    assert_eq!(left.summary["data_records"], 4_500);
    assert_eq!(queue["lines"], printed);
    assert_eq!(queue["refused_lines"].as_u64().unwrap() + printed, 4_500);
    assert!(printed < 4_500 && queue["most_octets"].as_u64().unwrap() <= 100 << 10, "{queue}");
    assert!(left.stderr.contains("by the output, which was too slow"), "{}", left.stderr);
    // Nothing is wrong with the rest of the account.
    assert_eq!(left.summary["sequence"]["lost_flows"], 0);
}

#[test]
fn templates_find_their_worker_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("templates");
    let file = file.to_str().unwrap();
    let now = u32::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
    let packet = |sequence: u32, set: Vec<u8>| {
        let mut packet = v9(1, sequence, &[set]);
        packet[8..12].copy_from_slice(&now.to_be_bytes());
        packet
    };
    for (workers, set) in [("3", template(256, &PLAIN)), ("2", set(256, &plain(1, 7)))] {
        let collector = Listening::start(&["--workers", workers, "--state", file, "--bind", "127.0.0.1:0"]);
        for host in 0..30 {
            sender([127, 0, 6, host]).send_to(&packet(1, set.clone()), collector.addresses[0]).unwrap();
            collector.drained();
        }
        let left = collector.terminate();
        let expected = if workers == "3" { 0 } else { 30 };
        assert_eq!(left.flows.len(), expected, "{}", left.stderr);
        assert_eq!(left.summary["template_cache"]["templates"], 30);
    }
}

#[test]
fn workers_are_a_sensible_number() {
    for wrong in ["0", "257", "-1", "two"] {
        let output =
            std::process::Command::new(PROGRAM).args(["listen", "--workers", wrong]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{wrong}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(
            text.contains("a whole number from 1 to 256 expected") || text.contains("unexpected argument"),
            "{text}"
        );
    }
}
