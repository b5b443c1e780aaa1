//! Live capture when something is amiss: interfaces that go, tables that fill, signals under load (feature `live`).
//!
//! Needs root and tcpreplay; a test that lacks something is skipped with the reason, unless `NETFLOW_REQUIRE_ALL=1`.
#![cfg(feature = "live")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use std::{
    collections::BTreeSet,
    fs,
    process::{Command, Stdio},
};

use common::{
    live::{EXPORTER, TRAFFIC, assert_conserved, decode, exporter, sum_of},
    namespace::{Network, can_make_networks, number},
    peers::wait_until,
    truth::{expected as truth, totals, traffic as captures},
};

#[test]
fn an_interface_goes_away_and_comes_back() {
    let Some(captures) = captures(&["zeek__http-methods.pcap"]) else { return };
    if !can_make_networks() {
        return;
    }
    let network = Network::new();
    let written = network.path("export.pcap");
    let mut exporter = exporter(&network, &["--write", written.to_str().unwrap()]);
    network.play("out0", 10_000, &captures);
    // The link flaps: the capture goes on.
    network.ip(&["link", "set", "in0", "down"]);
    network.ip(&["link", "set", "in0", "up"]);
    network.wait_for_link("out0");
    network.play("out0", 10_000, &captures);
    // It is unplugged, and plugged in again: another interface of the same name.
    assert!(!exporter.said().contains("lost"), "{}", exporter.said());
    network.ip(&["link", "del", "out0"]);
    exporter.wait_for("in0: lost", 1);
    network.plug();
    exporter.wait_for("in0: captured again", 1);
    network.play("out0", 10_000, &captures);
    let account = exporter.terminate();
    assert_conserved(&account);
    let (flows, _) = decode(&network, &written);
    let (packets, octets) = totals(&truth(&captures, false));
    assert_eq!(sum_of(&flows), (3 * packets, 3 * octets), "{account}");
    let indexes: BTreeSet<u64> = flows.iter().map(|flow| flow["in_if"].as_u64().unwrap()).collect();
    assert_eq!(indexes.len(), 2, "the interface that came back has another index: {indexes:?}");
}

#[test]
fn each_packet_seen_before_the_end_is_in_a_flow_sent_or_counted() {
    // X26, M20
    let Some(captures) = captures(&["ntop__coap-mqtt.pcap"]) else { return };
    if !can_make_networks() {
        return;
    }
    for threads in ["1", "2"] {
        let network = Network::new();
        let written = network.path("export.pcap");
        let exporter =
            exporter(&network, &["--write", written.to_str().unwrap(), "--capture-threads", threads]);
        let arguments = ["-q", "-i", "out0", "--pps", "20000", "--loop", "0", captures[0].to_str().unwrap()];
        let load = network.start("load.log", "tcpreplay", &arguments);
        wait_until("20000 packets", || network.received("in0") > 20_000);
        // The load goes on.
        let account = exporter.terminate();
        drop(load);
        assert_conserved(&account);
        assert!(number(&account, "packets read") > 10_000, "{account}");
        let (flows, summary) = decode(&network, &written);
        assert_eq!(sum_of(&flows).0, number(&account, "metered"), "{account}");
        assert_eq!(summary["sequence"]["lost_packets"], 0, "{summary}");
    }
}

#[test]
fn a_table_that_is_full_loses_no_packet_uncounted() {
    // M15
    let Some(captures) = captures(TRAFFIC) else { return };
    if !can_make_networks() {
        return;
    }
    let (packets, octets) = totals(&truth(&captures, false));
    for (policy, loses) in [("evict-idle", false), ("refuse", true)] {
        let network = Network::new();
        let written = network.path("export.pcap");
        let arguments = ["--write", written.to_str().unwrap(), "--max-flows", "16", "--when-full", policy];
        let exporter = exporter(&network, &arguments);
        network.play("out0", 20_000, &captures);
        let account = exporter.terminate();
        assert_conserved(&account);
        let (flows, summary) = decode(&network, &written);
        let found = sum_of(&flows);
        assert_eq!(found.0, number(&account, "metered"), "{account}");
        assert_eq!(found.0 + number(&account, "no room in flow table"), packets, "{account}");
        assert_eq!(number(&account, "no room in flow table") > 0, loses, "{account}");
        assert!(loses || found.1 == octets, "{account}");
        assert_eq!(summary["sequence"]["lost_packets"], 0, "{summary}");
    }
}

#[test]
fn reloading_under_load_loses_no_packet() {
    let Some(captures) = captures(&["ntop__coap-mqtt.pcap"]) else { return };
    if !can_make_networks() {
        return;
    }
    let network = Network::new();
    let (written, table) = (network.path("export.pcap"), network.path("prefixes.csv"));
    fs::write(&table, "0.0.0.0/0,64500\n").unwrap();
    let arguments = ["--write", written.to_str().unwrap(), "--attributes", table.to_str().unwrap()];
    let mut exporter = exporter(&network, &[&arguments[..], &["--active-timeout", "200ms"]].concat());
    let load = [
        "-q",
        "-i",
        "out0",
        "--pps",
        "20000",
        "--loop",
        "0",
        "--limit",
        "30000",
        captures[0].to_str().unwrap(),
    ];
    let mut load = network.start("load.log", "tcpreplay", &load);
    for time in 1..=5 {
        exporter.signal("-HUP");
        exporter.wait_for("1 prefixes", time);
    }
    assert!(load.child.0.wait().unwrap().success(), "{}", load.said());
    wait_until("all packets", || network.received("in0") >= 30_000);
    let account = exporter.terminate();
    assert_conserved(&account);
    assert_eq!(
        number(&account, "packets read") + number(&account, "dropped by the kernel"),
        30_000,
        "{account}"
    );
    assert!(number(&account, "reloads") >= 1, "{account}");
    let (flows, summary) = decode(&network, &written);
    assert_eq!(sum_of(&flows).0, number(&account, "metered"), "{account}");
    assert!(flows.iter().any(|flow| flow["src_as"] == 64_500), "{:?}", flows.first());
    assert_eq!(summary["sequence"]["lost_packets"], 0, "{summary}");
}

#[test]
fn what_the_kernel_drops_is_counted_and_told() {
    // M21
    let Some(captures) = captures(&["ntop__coap-mqtt.pcap"]) else { return };
    if !can_make_networks() {
        return;
    }
    let network = Network::new();
    let written = network.path("export.pcap");
    let mut exporter = exporter(&network, &["--write", written.to_str().unwrap(), "--buffer-size", "256K"]);
    exporter.signal("-STOP");
    network.play("out0", 20_000, &[&captures[..]; 8].concat());
    exporter.signal("-CONT");
    exporter.wait_for("the kernel dropped", 1);
    let account = exporter.terminate();
    assert_conserved(&account);
    let dropped = number(&account, "dropped by the kernel");
    assert!(dropped > 1_000, "{account}");
    assert_eq!(number(&account, "packets captured"), 8 * 1_082, "{account}");
    let (flows, _) = decode(&network, &written);
    assert_eq!(sum_of(&flows).0, number(&account, "metered"), "{account}");
}

#[test]
fn what_cannot_be_captured_is_told_with_what_to_do() {
    if !can_make_networks() {
        return;
    }
    let network = Network::new();
    let tell = |program: &str, arguments: &[&str]| {
        let output = network.command(program).args(arguments).stdin(Stdio::null()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let target = ["--collector", "127.0.0.1:2055"];
    let with = |arguments: &[&'static str]| [&target[..], arguments].concat();
    let (code, text) = tell(EXPORTER, &with(&["--interface", "in0", "--filter", "udp prot 53"]));
    assert!(
        code == Some(2) && text.contains("--filter udp prot 53") && text.contains("syntax error"),
        "{text}"
    );
    let (code, text) = tell(EXPORTER, &with(&["--interface", "eth77"]));
    assert!(code == Some(2) && text.contains("eth77") && text.contains("in0, out0"), "{text}");
    let (code, text) = tell(EXPORTER, &with(&["--interface", "in0", "--read", "x.pcap"]));
    assert!(code == Some(2) && text.contains("cannot be used with"), "{text}");
    network.ip(&["link", "set", "in0", "down"]);
    let (code, text) = tell(EXPORTER, &with(&["--interface", "in0"]));
    assert!(code == Some(1) && text.contains("in0") && text.contains("not up"), "{text}");
    network.ip(&["link", "set", "in0", "up"]);
    if common::has_program("capsh") {
        let command = format!("exec {EXPORTER} --collector 127.0.0.1:2055 --interface in0");
        let (code, text) = tell("capsh", &["--drop=cap_net_raw,cap_net_admin", "--", "-c", &command]);
        assert!(
            code == Some(1) && text.contains("CAP_NET_RAW") && text.contains("setcap cap_net_raw"),
            "{text}"
        );
    }
}

#[test]
fn interfaces_are_looked_for_in_the_network_of_the_process() {
    if !can_make_networks() {
        return;
    }
    let outside = Command::new(EXPORTER)
        .args(["--collector", "127.0.0.1:2055", "--interface", "in0"])
        .output()
        .unwrap();
    let text = String::from_utf8(outside.stderr).unwrap();
    assert!(outside.status.code() == Some(2) && text.contains("there is none of this name"), "{text}");
}
