//! Datagrams handed on to other collectors, which see them as they came.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod collector_datagrams;
mod common;

use core::{net::SocketAddr, time::Duration};
use std::{fs, net::UdpSocket, path::Path, process::Command};

use collector_datagrams::v5;
use common::{
    listening::{Listening, PROGRAM},
    peers::{Nfcapd, free_port, run},
};
use netflow_probe_example::relay::{Relay, RelayError};

fn socket(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    socket
}

fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut octets = vec![0; 65_535];
    let (length, from) = socket.recv_from(&mut octets).unwrap();
    (octets[..length].to_vec(), from)
}

#[test]
fn every_target_gets_every_datagram_as_it_came_whatever_it_is() {
    let targets = [socket("127.0.0.1:0"), socket("127.0.0.1:0"), socket("[::1]:0")];
    let [a, b, c] = [0, 1, 2].map(|target: usize| targets[target].local_addr().unwrap().to_string());
    let listening = Listening::start(&["--bind", "127.0.0.1:0", "--relay", &a, "--relay", &b, "--relay", &c]);
    let exporter = socket("127.0.0.1:0");
    let datagrams = [v5(0, 30), v5(30, 1), b"no NetFlow at all".to_vec(), vec![0; 9_000], v5(31, 2)];
    for datagram in &datagrams {
        exporter.send_to(datagram, listening.addresses[0]).unwrap();
    }
    for target in &targets {
        for datagram in &datagrams {
            let (came, from) = receive(target);
            assert_eq!(&came, datagram);
            assert_ne!(from.port(), exporter.local_addr().unwrap().port());
        }
    }
    let left = listening.terminate();
    assert_eq!(left.flows.len(), 33);
    for relayed in left.summary["relay"].as_array().unwrap() {
        assert_eq!((&relayed["datagrams"], &relayed["full"]), (&5.into(), &0.into()), "{relayed}");
    }
    assert!(left.stderr.contains(&format!("relayed      5 datagrams to {b}")), "{}", left.stderr);
}

#[test]
fn a_target_that_is_gone_is_no_matter_to_the_others() {
    let target = socket("127.0.0.1:0");
    let address = target.local_addr().unwrap().to_string();
    let gone = format!("127.0.0.1:{}", free_port());
    let listening = Listening::start(&["--bind", "127.0.0.1:0", "--relay", &gone, "--relay", &address]);
    let exporter = socket("127.0.0.1:0");
    for sequence in 0..20 {
        exporter.send_to(&v5(sequence, 1), listening.addresses[0]).unwrap();
        assert_eq!(receive(&target).0, v5(sequence, 1));
    }
    let left = listening.terminate();
    assert_eq!(left.flows.len(), 20);
    assert_eq!(left.summary["relay"][1]["datagrams"], 20);
}

/// Whether raw sockets may be opened here; when not, that was reported.
fn may_open_raw() -> bool {
    match Relay::open(&["127.0.0.1:9".to_owned()], true) {
        Ok(_) => true,
        Err(error @ RelayError::Raw(_)) => {
            assert!(error.to_string().contains("CAP_NET_RAW"));
            common::skip("raw sockets may not be opened");
            false
        }
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn the_source_is_kept_on_request() {
    if !may_open_raw() {
        return;
    }
    for (target, bind, exporter) in
        [("127.0.0.1:0", "127.0.0.1:0", "127.0.0.2:0"), ("[::1]:0", "[::1]:0", "[::1]:0")]
    {
        let target = socket(target);
        let address = target.local_addr().unwrap().to_string();
        let listening = Listening::start(&["--bind", bind, "--relay", &address, "--relay-keep-source"]);
        let exporter = socket(exporter);
        for records in [1, 2, 30] {
            exporter.send_to(&v5(0, records), listening.addresses[0]).unwrap();
            let (came, from) = receive(&target);
            assert_eq!((came, from), (v5(0, records), exporter.local_addr().unwrap()));
        }
        let left = listening.terminate();
        assert_eq!(left.summary["relay"][0]["datagrams"], 3);
    }
}

#[test]
fn an_exporter_of_the_other_family_is_counted() {
    if !may_open_raw() {
        return;
    }
    let target = socket("[::1]:0");
    let relay = Relay::open(&[target.local_addr().unwrap().to_string()], true).unwrap();
    relay.hand_on("192.0.2.1:4711".parse().unwrap(), b"IPv4");
    relay.hand_on("[::ffff:192.0.2.1]:4711".parse().unwrap(), b"IPv4, too");
    relay.hand_on("[::1]:4711".parse().unwrap(), b"IPv6");
    assert_eq!(receive(&target).0, b"IPv6");
    let stats = relay.stats()[0];
    assert_eq!((stats.datagrams, stats.other_family, stats.full, stats.failed), (1, 2, 0, 0));
}

/// nfcapd behind our collector stores the flows, and with the exporter's address when that is kept.
#[test]
fn nfcapd_behind_the_relay_sees_the_exporter() {
    if !common::has_program("nfcapd") || !common::has_program("nfdump") || !may_open_raw() {
        return;
    }
    for keeps in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let nfcapd = Nfcapd::start(folder.path(), &[]);
        let target = nfcapd.address();
        let mut arguments = vec!["--bind", "127.0.0.1:0", "--relay", &target];
        if keeps {
            arguments.push("--relay-keep-source");
        }
        let listening = Listening::start(&arguments);
        let exporter = socket("127.0.0.3:0");
        for sequence in 0..4 {
            exporter.send_to(&v5(30 * sequence, 30), listening.addresses[0]).unwrap();
        }
        listening.drained();
        let left = listening.terminate();
        assert_eq!((left.flows.len(), &left.summary["relay"][0]["datagrams"]), (120, &4.into()));
        nfcapd.finish();
        let file = stored(folder.path());
        let lines = run("nfdump", &["-r", &file, "-q", "-N", "-o", "fmt:%ra %sa %byt"]);
        assert_eq!(lines.lines().count(), 120, "{lines}");
        let router = if keeps { "127.0.0.3" } else { "127.0.0.1" };
        assert!(lines.lines().all(|line| line.split_whitespace().next() == Some(router)), "{lines}");
        assert!(lines.lines().all(|line| line.trim_end().ends_with("1500")), "{lines}");
    }
}

/// nfcapd's only file.
fn stored(folder: &Path) -> String {
    let mut files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_file =
        |path: &std::path::PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("nfcapd.2");
    files.find(is_file).unwrap().to_str().unwrap().to_owned()
}

#[test]
fn wrong_targets_are_named() {
    for (arguments, expected) in [
        (&["--relay", "127.0.0.1"][..], "cannot relay to 127.0.0.1"),
        (&["--relay", "nowhere.invalid:2055"], "cannot relay to nowhere.invalid:2055"),
        (&["--relay-keep-source"], "--relay <HOST:PORT>"),
    ] {
        let output =
            Command::new(PROGRAM).args(["listen", "--bind", "127.0.0.1:0"]).args(arguments).output().unwrap();
        assert!(!output.status.success());
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(errors.contains(expected), "{errors}");
    }
}
