//! What a collector that listens tells of itself, and what it keeps over a restart.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod collector_datagrams;
mod common;

use core::net::Ipv4Addr;
use std::{
    fs,
    net::UdpSocket,
    path::Path,
    process::{Command, Output},
};

use collector_datagrams::{PLAIN, plain, set, template, v5, v9};
use common::{
    listening::{Listening, PROGRAM},
    peers::wait_until,
};
use serde_json::Value;

fn sender(address: [u8; 4]) -> UdpSocket {
    UdpSocket::bind((Ipv4Addr::from(address), 0)).unwrap()
}

fn now() -> u32 {
    u32::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap()
}

/// The datagram, sent so many seconds ago.
fn sent_ago(mut datagram: Vec<u8>, seconds: u32) -> Vec<u8> {
    datagram[8..12].copy_from_slice(&(now() - seconds).to_be_bytes());
    datagram
}

fn status(control: &Path, arguments: &[&str]) -> Output {
    Command::new(PROGRAM).arg("status").arg("--control").arg(control).args(arguments).output().unwrap()
}

/// The document, once the collector answers: it listens for datagrams before that.
fn health(control: &Path) -> Value {
    let mut document = None;
    wait_until("answering", || {
        document = serde_json::from_slice(&status(control, &["--json"]).stdout).ok();
        document.is_some()
    });
    document.unwrap()
}

fn exporter<'a>(document: &'a Value, address: &str) -> &'a Value {
    let exporters = document["exporters"].as_array().unwrap();
    exporters.iter().find(|exporter| exporter["exporter"] == address).unwrap_or(&Value::Null)
}

fn kinds(of: &Value) -> Vec<&str> {
    of["questions"].as_array().unwrap().iter().map(|question| question["kind"].as_str().unwrap()).collect()
}

/// Options about interface 7: its name and description.
fn interface_names() -> Vec<u8> {
    // 256: scope interface (2) of 4 octets; interfaceName (82) and interfaceDescription (83).
    let template = set(1, &[1, 0, 0, 4, 0, 8, 0, 2, 0, 4, 0, 82, 0, 8, 0, 83, 0, 12, 0, 0]);
    let record = [&[0, 0, 0, 7][..], b"xe-0/0/1", b"to the core\0"].concat();
    [template, set(256, &record)].concat()
}

#[test]
fn the_health_document_says_how_each_exporter_does() {
    // C39
    let folder = tempfile::tempdir().unwrap();
    let control = folder.path().join("control");
    let policy = folder.path().join("policy.toml");
    fs::write(&policy, "[exporter.\"127.0.1.1\"]\nname = \"core-1\"\n").unwrap();
    let collector = Listening::start(&[
        "--bind",
        "127.0.0.1:0",
        "--workers",
        "2",
        "--control",
        control.to_str().unwrap(),
        "--policy",
        policy.to_str().unwrap(),
    ]);
    let to = collector.addresses[0];
    let (good, slow, missing, odd) =
        (sender([127, 0, 1, 1]), sender([127, 0, 1, 2]), sender([127, 0, 1, 3]), sender([127, 0, 1, 4]));
    // Flows 0 to 4, 8 to 12: three are lost.
    good.send_to(&sent_ago(v5(0, 5), 0), to).unwrap();
    good.send_to(&sent_ago(v5(8, 5), 0), to).unwrap();
    good.send_to(&sent_ago(v9(9, 0, &[interface_names()]), 0), to).unwrap();
    slow.send_to(&sent_ago(v5(0, 1), 600), to).unwrap();
    missing.send_to(&sent_ago(v9(3, 0, &[set(400, &plain(1, 1))]), 0), to).unwrap();
    odd.send_to(&[0, 77, 1, 2], to).unwrap();
    wait_until("counting", || health(&control)["totals"]["datagrams"] == 6);
    let document = health(&control);
    assert_eq!((&document["version"], &document["status"]), (&1.into(), &"attention".into()));
    assert_eq!(document["workers"], serde_json::json!({"all": 2, "answered": 2}));
    assert_eq!(document["totals"]["lost"], serde_json::json!({"flows": 3, "packets": 0, "records": 0}));
    let good = exporter(&document, "127.0.1.1");
    assert_eq!(
        (&good["name"], &good["flows"], &good["templates"]),
        (&"core-1".into(), &10.into(), &1.into())
    );
    assert_eq!(good["says"]["interfaces"], serde_json::json!({"7": "xe-0/0/1"}));
    assert!(kinds(good).contains(&"loss"), "{good:#}");
    assert!(good["per_second"]["flows"].as_f64().unwrap() > 0.0, "{good:#}");
    let slow = exporter(&document, "127.0.1.2");
    assert!((599_000..700_000).contains(&slow["clock_behind_ms"]["last"].as_i64().unwrap()), "{slow:#}");
    assert!(kinds(slow).contains(&"clock"));
    let missing = &exporter(&document, "127.0.1.3")["missing_templates"][0];
    assert_eq!(
        (&missing["template_id"], &missing["observation_domain"], &missing["sets"]),
        (&400.into(), &3.into(), &1.into())
    );
    assert!(missing["since"].as_str().unwrap().starts_with("20"));
    let odd = exporter(&document, "127.0.1.4");
    assert!(odd["last_fault"]["text"].as_str().unwrap().contains("version 77 is not supported"), "{odd:#}");
    // The template comes: it is missing no more.
    let template = sent_ago(v9(3, 1, &[template(400, &PLAIN)]), 0);
    sender([127, 0, 1, 3]).send_to(&template, to).unwrap();
    wait_until("learning", || {
        exporter(&health(&control), "127.0.1.3")["missing_templates"].as_array().unwrap().is_empty()
    });
    // For people: a line for each, the questions below; the exit status says that there are any.
    let output = status(&control, &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    for part in
        ["core-1", "! 127.0.1.1: v5 domain 0: 3 of 13 flows were lost on the way", "is 600 s behind ours"]
    {
        assert!(
            text.contains(part) || part.contains("600") && text.contains(" s behind ours"),
            "{part}\n{text}"
        );
    }
    let one = String::from_utf8(status(&control, &["--exporter", "core-1"]).stdout).unwrap();
    assert!(one.contains("127.0.1.1") && !one.contains("127.0.1.2"), "{one}");
    assert_eq!(collector.terminate().summary["datagrams"], 7);
    // It has gone, and its socket with it.
    let output = status(&control, &[]);
    assert!(!control.exists() && output.status.code() == Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("cannot ask a collector at"));
}

#[test]
fn what_was_sent_while_no_collector_ran_is_known_to_be_lost() {
    // C36
    let folder = tempfile::tempdir().unwrap();
    let (state, control) = (folder.path().join("state"), folder.path().join("control"));
    let arguments =
        ["--bind", "127.0.0.1:0", "--state", state.to_str().unwrap(), "--control", control.to_str().unwrap()];
    let exporter_socket = sender([127, 0, 1, 1]);
    let collector = Listening::start(&arguments);
    exporter_socket.send_to(&sent_ago(v5(0, 5), 0), collector.addresses[0]).unwrap();
    let names = sent_ago(v9(9, 0, &[interface_names(), template(300, &PLAIN)]), 0);
    exporter_socket.send_to(&names, collector.addresses[0]).unwrap();
    collector.drained();
    collector.terminate();
    // 20 flows and a packet later.
    let collector = Listening::start(&arguments);
    exporter_socket.send_to(&sent_ago(v5(25, 5), 0), collector.addresses[0]).unwrap();
    let data = sent_ago(v9(9, 2, &[set(300, &plain(1, 1))]), 0);
    exporter_socket.send_to(&data, collector.addresses[0]).unwrap();
    wait_until("counting", || health(&control)["totals"]["datagrams"] == 2);
    let document = health(&control);
    assert_eq!(document["totals"]["lost"], serde_json::json!({"flows": 20, "packets": 1, "records": 0}));
    assert_eq!(exporter(&document, "127.0.1.1")["says"]["interfaces"]["7"], "xe-0/0/1");
    let left = collector.terminate();
    assert_eq!(left.flows.len(), 6, "{}", left.stderr);
    assert!(left.stderr.contains("2 templates of"), "{}", left.stderr);
    // Damage is told, survived and repaired.
    fs::write(&state, "{\"format\":").unwrap();
    let left = Listening::start(&arguments).terminate();
    assert!(left.stderr.contains("it is damaged: EOF"), "{}", left.stderr);
    assert!(fs::read_to_string(&state).unwrap().contains("netflow-collector state"));
}

#[test]
fn the_state_is_written_while_it_runs_and_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let path = state.to_str().unwrap();
    let mut collector =
        Listening::start(&["--bind", "127.0.0.1:0", "--state", path, "--state-interval", "100ms"]);
    let template = sent_ago(v9(9, 0, &[template(300, &PLAIN)]), 0);
    let exporter = sender([127, 0, 1, 1]);
    exporter.send_to(&template, collector.addresses[0]).unwrap();
    wait_until("writing", || fs::read_to_string(&state).is_ok_and(|text| text.contains("127.0.1.1")));
    collector.child.kill().unwrap();
    drop(collector);
    let collector = Listening::start(&["--bind", "127.0.0.1:0", "--state", path]);
    exporter.send_to(&sent_ago(v9(9, 1, &[set(300, &plain(1, 1))]), 0), collector.addresses[0]).unwrap();
    collector.drained();
    let left = collector.terminate();
    assert_eq!(
        (left.flows.len(), &left.summary["sequence"]["lost_packets"]),
        (1, &0.into()),
        "{}",
        left.stderr
    );
}
