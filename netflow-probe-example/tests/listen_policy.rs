//! Who may send, how much, and how it is understood: the policy of a collector that listens.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod collector_datagrams;
mod common;

use core::net::Ipv4Addr;
use std::{fs, net::UdpSocket, path::PathBuf, process::Command};

use collector_datagrams::{v5, v9};
use common::{
    listening::{Listening, PROGRAM},
    peers::wait_until,
};
use tempfile::TempDir;

fn sender(address: [u8; 4]) -> UdpSocket {
    UdpSocket::bind((Ipv4Addr::from(address), 0)).unwrap()
}

fn policy(text: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.toml");
    fs::write(&path, text).unwrap();
    (folder, path)
}

#[test]
fn only_those_that_may_send_are_heard_and_a_reload_loses_nothing() {
    // C18, C19
    let (_folder, path) = policy("[exporters]\nallow = [\"127.0.1.0/24\"]\n");
    let collector = Listening::start(&["--bind", "127.0.0.1:0", "--policy", path.to_str().unwrap()]);
    let to = collector.addresses[0];
    let (listed, stranger) = (sender([127, 0, 1, 1]), sender([127, 0, 2, 1]));
    for _ in 0..20 {
        stranger.send_to(&v5(0, 1), to).unwrap();
    }
    collector.drained();
    // A flood goes on while the policy changes to and fro, once to one that nobody understands.
    let texts = ["allow = [\"127.0.0.0/8\"]", "alow = []", "allow = [\"127.0.1.0/24\", \"::1\"]"];
    let mut sequence = 0;
    for (round, text) in (1..).zip(texts) {
        for _ in 0..100 {
            listed.send_to(&v5(sequence, 1), to).unwrap();
            sequence += 1;
        }
        fs::write(&path, format!("[exporters]\n{text}\n")).unwrap();
        collector.signal("-HUP");
        for _ in 0..100 {
            listed.send_to(&v5(sequence, 1), to).unwrap();
            sequence += 1;
        }
        // So that signals are not one.
        wait_until("reading the policy", || {
            let told = collector.told();
            let count = |text: &str| told.lines().filter(|line| line.contains(text)).count();
            count("was read again") + count("the policy before stays") >= round
        });
        collector.drained();
        if round == 1 {
            stranger.send_to(&v5(0, 1), to).unwrap();
            collector.drained();
        }
    }
    stranger.send_to(&v5(1, 1), to).unwrap();
    let left = collector.terminate();
    let of = |address: &str| {
        let exporters = left.summary["exporters"].as_array().unwrap();
        exporters.iter().find(|exporter| exporter["exporter"] == address).cloned().unwrap_or_default()
    };
    assert_eq!(of("127.0.1.1")["domains"][0]["data_records"], 600, "{}", left.stderr);
    assert_eq!(left.summary["sequence"]["lost_flows"], 0);
    // While the policy let everybody in, and until a better one was read.
    assert_eq!(of("127.0.2.1")["domains"][0]["data_records"], 1);
    assert_eq!(left.summary["refused"]["by_reason"], serde_json::json!({"not_allowed": 21}));
    assert_eq!(left.summary["refused"]["not_allowed"], serde_json::json!({"127.0.2.0/24": 21}));
    let told: Vec<_> =
        left.stderr.lines().filter(|line| line.contains("none of those that may send")).collect();
    assert!((5..8).contains(&told.len()), "{told:?}");
    assert!(
        left.stderr.contains("expected one of `allow`") && left.stderr.contains("line 2"),
        "{}",
        left.stderr
    );
    assert!(left.stderr.contains("the policy before stays"), "{}", left.stderr);
}

#[test]
fn what_is_over_a_quota_is_refused_and_not_taken_for_lost() {
    // C17, C18
    let text = "[exporter.\"127.0.1.1\"]\nname = \"loud\"\nquota = { datagrams = 40 }\n";
    let (_folder, path) = policy(text);
    let collector = Listening::start(&["--bind", "127.0.0.1:0", "--policy", path.to_str().unwrap()]);
    let to = collector.addresses[0];
    let (loud, quiet) = (sender([127, 0, 1, 1]), sender([127, 0, 1, 2]));
    for sequence in 0..400 {
        loud.send_to(&v5(sequence * 3, 3), to).unwrap();
        loud.send_to(&v9(7, sequence, &[]), to).unwrap();
        quiet.send_to(&v5(sequence, 1), to).unwrap();
        if sequence % 50 == 0 {
            collector.drained();
        }
    }
    let left = collector.terminate();
    let exporters = left.summary["exporters"].as_array().unwrap();
    let [loud, quiet] = ["127.0.1.1", "127.0.1.2"]
        .map(|address| exporters.iter().find(|exporter| exporter["exporter"] == address).unwrap());
    let refused = loud["refused"].as_u64().unwrap();
    // At least what may come at once, and not much more unless the machine is very slow.
    assert!((1..=760).contains(&refused), "{refused}");
    assert_eq!((&loud["name"], &loud["datagrams"]), (&"loud".into(), &800.into()));
    assert_eq!(left.summary["refused"]["by_reason"]["exporter_quota"], refused);
    let flows = |exporter: &serde_json::Value| -> u64 {
        let domains = exporter["domains"].as_array().unwrap().iter();
        domains.map(|domain| domain["data_records"].as_u64().unwrap()).sum()
    };
    assert_eq!((flows(quiet), &quiet["refused"]), (400, &0.into()));
    assert!(flows(loud) < 1_200);
    assert_eq!(
        (&left.summary["sequence"]["gaps"], &left.summary["sequence"]["late"]),
        (&0.into(), &0.into())
    );
}

#[test]
fn sampling_rates_are_those_of_the_policy_and_counters_are_kept_raw_and_scaled() {
    // C24
    let text = r#"
        [default]
        sampling = { default = 100 }
        [exporter."127.0.1.1"]
        sampling = { forced = "1:7" }
        [exporter."127.0.1.2"]
        sampling = { counters = "scaled" }
    "#;
    let (_folder, path) = policy(text);
    let collector = Listening::start(&["--bind", "127.0.0.1:0", "--policy", path.to_str().unwrap()]);
    let to = collector.addresses[0];
    // Announces 1 in 10.
    let mut sampled = v5(0, 1);
    sampled[22..24].copy_from_slice(&0x400a_u16.to_be_bytes());
    for (host, datagram) in [(1, &sampled), (2, &sampled), (3, &sampled), (4, &v5(0, 1))] {
        sender([127, 0, 1, host]).send_to(datagram, to).unwrap();
    }
    collector.drained();
    let left = collector.terminate();
    let mut rates: Vec<_> = left
        .flows
        .iter()
        .map(|flow| {
            (
                flow["sampler_address"].as_str().unwrap(),
                flow["sampling_rate"].as_u64(),
                flow["bytes"].as_u64(),
            )
        })
        .collect();
    rates.sort_unstable();
    let bytes = Some(1_500);
    let expected =
        [("127.0.1.1", Some(7)), ("127.0.1.2", Some(1)), ("127.0.1.3", Some(10)), ("127.0.1.4", Some(100))];
    assert_eq!(rates, expected.map(|(address, rate)| (address, rate, bytes)));
    assert_eq!((&left.summary["flow_octets"], &left.summary["flow_packets"]), (&6_000.into(), &12.into()));
    assert_eq!(left.summary["scaled_octets"], 1_500 * (7 + 1 + 10 + 100));
    assert_eq!(left.summary["flows_of_unknown_rate"], 0);
}

#[test]
fn a_policy_that_is_not_understood_is_no_start() {
    for (text, parts) in [
        ("[exporters]\nallow = [\"localhost\"]", ["line 2", "as in 192.0.2.1"]),
        ("[cache]\nscope = 5", ["line 2", "expected one of `scopes`"]),
    ] {
        let (_folder, path) = policy(text);
        let output = Command::new(PROGRAM)
            .args(["listen", "--bind", "127.0.0.1:0", "--policy"])
            .arg(&path)
            .output()
            .unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(parts.iter().all(|part| told.contains(part)) && told.contains("policy.toml"), "{told}");
    }
    let output = Command::new(PROGRAM).args(["listen", "--policy", "/no/such/file"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}
