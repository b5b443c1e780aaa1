//! `netflow-collector ioc`, and `listen --indicators`: who talked to addresses that are known to be bad.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use core::fmt::Write as _;
use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::UdpSocket,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use common::{
    jobs::{collector, json, text},
    peers::{Background, wait_until},
    scenario::{SECOND, START, Scenario},
};
use serde_json::Value;
use tempfile::TempDir;

const HOST: &str = "10.1.3.77";
const SERVER: &str = "198.18.5.6";

/// Ordinary traffic, and a contact every five minutes for an hour.
fn contact_among(flows: usize) -> Scenario {
    let mut scenario = Scenario::new(1, 1).background(flows);
    scenario.contact(HOST.parse().unwrap(), SERVER.parse().unwrap(), 8_443, 300 * SECOND, 11);
    scenario
}

fn file(folder: &TempDir, name: &str, content: &str) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    path
}

fn assert_is_the_contact(finding: &Value) {
    assert_eq!((finding["host"].as_str(), finding["address"].as_str()), (Some(HOST), Some(SERVER)));
    assert_eq!(finding["direction"], "both");
    assert_eq!((finding["flows"].as_u64(), finding["octets_to"].as_u64()), (Some(22), Some(11 * 1_200)));
    assert_eq!(
        (finding["packets_from"].as_u64(), finding["octets_from"].as_u64()),
        (Some(66), Some(11 * 900))
    );
    assert_eq!(finding["first_ns"].as_u64(), Some((START + 30) * SECOND));
    // The last answer ends 10 ms after the last question, which takes a second.
    assert_eq!(finding["last_ns"].as_u64(), Some((START + 3_031) * SECOND + 10_000_000));
    assert_eq!(finding["services"], serde_json::json!(["TCP/8443"]));
    assert_eq!(finding["exporters"], serde_json::json!(["192.0.2.250"]));
}

/// Indicators in all four forms; each names the server, and others that nobody talks to.
fn forms(folder: &TempDir) -> [PathBuf; 4] {
    let stix = serde_json::json!({"type": "bundle", "id": "bundle--1", "objects": [
        {"type": "indicator", "id": "indicator--1", "name": "C2", "pattern_type": "stix",
         "pattern": format!("[network-traffic:dst_ref.type = 'ipv4-addr' AND network-traffic:dst_ref.value = '{SERVER}' AND network-traffic:dst_port = 8443]")},
        {"type": "indicator", "id": "indicator--2", "name": "other", "pattern_type": "stix",
         "pattern": format!("[network-traffic:dst_ref.value = '{SERVER}' AND network-traffic:dst_port = 9]")},
        {"type": "malware", "id": "malware--1", "name": "x"}]});
    let misp = serde_json::json!({"Event": {"info": "C2", "Attribute": [
        {"type": "ip-dst|port", "value": format!("{SERVER}|8443"), "to_ids": true},
        {"type": "ip-dst", "value": "198.18.99.0/24", "to_ids": true}]}});
    [
        file(folder, "list.txt", &format!("# feed\n{SERVER} C2\n198.18.99.0/24\nnot an address\n")),
        file(folder, "list.csv", &format!("ip,port,comment\n{SERVER},8443,C2\n198.18.99.1,,x\n")),
        file(folder, "stix.json", &stix.to_string()),
        file(folder, "misp.json", &misp.to_string()),
    ]
}

#[test]
fn a_contact_is_found_in_store_and_capture_with_indicators_of_every_form() {
    let folder = TempDir::new().unwrap();
    let mut scenario = contact_among(20_000);
    let capture = scenario.write_capture(folder.path());
    let store = scenario.write_store(folder.path());
    for indicators in forms(&folder) {
        let indicators = indicators.to_str().unwrap();
        for source in [["--store", store.to_str().unwrap()], ["--read", capture.to_str().unwrap()]] {
            let report = json(&["ioc", "--indicators", indicators, "--json", source[0], source[1]]);
            let findings = report["findings"].as_array().unwrap();
            assert_eq!(findings.len(), 1, "{indicators}: {report:#}");
            assert_eq!(findings[0]["label"], "C2", "{indicators}");
            assert_is_the_contact(&findings[0]);
            assert_eq!(report["seen"]["flows"].as_u64(), Some(scenario.flows.len() as u64));
        }
    }
    let readable = text(&[
        "ioc",
        "--indicators",
        forms(&folder)[0].to_str().unwrap(),
        "--read",
        capture.to_str().unwrap(),
    ]);
    assert!(readable.contains("198.18.5.6") && readable.contains("1 hosts talked to them"), "{readable}");
    assert!(readable.contains("2026-03-01 12:00:30.000"), "{readable}");
}

#[test]
fn nobody_is_accused_of_what_he_did_not_do() {
    let folder = TempDir::new().unwrap();
    let capture = contact_among(5_000).write_capture(folder.path());
    let others = file(&folder, "others", "198.18.5.7\n198.18.5.6:443\n198.18.6.0/24\n2001:db8:abcd::/48\n");
    let report = json(&[
        "ioc",
        "--indicators",
        others.to_str().unwrap(),
        "--json",
        "--read",
        capture.to_str().unwrap(),
    ]);
    assert_eq!(report["findings"], serde_json::json!([]));
    // Filter and window are those of queries.
    let list = file(&folder, "list", SERVER);
    let arguments =
        ["ioc", "--indicators", list.to_str().unwrap(), "--json", "--read", capture.to_str().unwrap()];
    let window = ["--from", "2026-03-01T12:10:00", "--to", "2026-03-01T12:22:00", "src ip 10.1.3.77"];
    let report = json(&[&arguments[..], &window].concat());
    assert_eq!(report["findings"][0]["flows"], 3, "{report:#}");
    assert_eq!(report["findings"][0]["direction"], "to");
}

#[test]
fn volumes_are_scaled_by_sampling() {
    let folder = TempDir::new().unwrap();
    let mut scenario = Scenario::new(2, 100).background(2_000);
    scenario.contact(HOST.parse().unwrap(), SERVER.parse().unwrap(), 443, SECOND, 3);
    let store = scenario.write_store(folder.path());
    let list = file(&folder, "list", SERVER);
    let report =
        json(&["ioc", "--indicators", list.to_str().unwrap(), "--json", "--store", store.to_str().unwrap()]);
    assert_eq!(report["findings"][0]["octets_to"], 3 * 1_200 * 100);
    assert_eq!(report["seen"]["flows_of_unknown_rate"], 0);
}

#[test]
fn what_is_not_understood_is_told_with_its_line_and_left_out() {
    let folder = TempDir::new().unwrap();
    let capture = contact_among(100).write_capture(folder.path());
    let list = file(&folder, "list", &format!("{SERVER}\n300.1.2.3\nevil.example\n10.0.0.0/33\n"));
    let output = collector(&[
        "ioc",
        "--indicators",
        list.to_str().unwrap(),
        "--read",
        capture.to_str().unwrap(),
        "--json",
    ]);
    assert!(output.status.success());
    let errors = String::from_utf8(output.stderr).unwrap();
    for line in [2, 3, 4] {
        assert!(errors.contains(&format!("list:{line}: no address, prefix or address:port")), "{errors}");
    }
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (report["refused_entries"].as_u64(), report["findings"].as_array().unwrap().len()),
        (Some(3), 1)
    );
    for (content, part) in [
        ("{\"type\": \"bundle\", ", "line 1 column"),
        ("{\"unknown\": 1}", "neither a STIX bundle"),
        ("only words\n", "no indicator is understood"),
    ] {
        let broken = file(&folder, "broken", content);
        let output = collector(&[
            "ioc",
            "--indicators",
            broken.to_str().unwrap(),
            "--read",
            capture.to_str().unwrap(),
        ]);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.contains(part) && errors.contains("broken"), "{errors}");
    }
    let absent = folder.path().join("absent");
    let output =
        collector(&["ioc", "--indicators", absent.to_str().unwrap(), "--read", capture.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_damaged_store_file_is_named_and_the_others_are_searched() {
    let folder = TempDir::new().unwrap();
    let store = contact_among(2_000).write_store(folder.path());
    let damaged = store.join("date=2026-03-01/hour=12/flows-20260301T120000Z-0.parquet");
    let mut octets = fs::read(&damaged).unwrap();
    octets.truncate(octets.len() / 2);
    fs::write(&damaged, octets).unwrap();
    let list = file(&folder, "list", SERVER);
    let output = collector(&[
        "ioc",
        "--indicators",
        list.to_str().unwrap(),
        "--json",
        "--store",
        store.to_str().unwrap(),
    ]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(
        errors.contains("flows-20260301T120000Z-0.parquet") && errors.contains("the answer is incomplete"),
        "{errors}"
    );
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["findings"][0]["flows"], 20);
}

/// So many indicators that nobody talks to.
fn many(folder: &Path, count: u32) -> PathBuf {
    let mut list = String::new();
    for number in 0..count {
        let address = core::net::Ipv4Addr::from_bits(0xC612_0000 + number * 7);
        match number % 3 {
            0 => writeln!(list, "{address}").unwrap(),
            1 => writeln!(list, "{address}:{}", 1_000 + number % 50_000).unwrap(),
            _ => writeln!(list, "{address}/30").unwrap(),
        }
    }
    let path = folder.join("many");
    fs::write(&path, list).unwrap();
    path
}

#[test]
fn a_hundred_thousand_indicators_are_searched_for_in_one_pass() {
    let folder = TempDir::new().unwrap();
    let capture = contact_among(20_000).write_capture(folder.path());
    let many = many(folder.path(), 100_000);
    let list = file(&folder, "list", &format!("{SERVER}:8443 C2\n"));
    // One pass: from standard input there is no other.
    let output = Command::new(env!("CARGO_BIN_EXE_netflow-collector"))
        .args([
            "ioc",
            "--read",
            "-",
            "--json",
            "--indicators",
            many.to_str().unwrap(),
            "--indicators",
            list.to_str().unwrap(),
        ])
        .stdin(fs::File::open(&capture).unwrap())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["indicators"], 100_001);
    let findings = report["findings"].as_array().unwrap();
    let named: Vec<&Value> = findings.iter().filter(|finding| finding["label"] == "C2").collect();
    assert_eq!(named.len(), 1);
    assert_is_the_contact(named[0]);
}

#[test]
#[ignore = "a million flows"]
fn a_contact_is_found_among_a_million_flows() {
    let folder = TempDir::new().unwrap();
    let store = contact_among(1_000_000).write_store(folder.path());
    let list = file(&folder, "list", SERVER);
    let report =
        json(&["ioc", "--indicators", list.to_str().unwrap(), "--json", "--store", store.to_str().unwrap()]);
    assert_eq!(report["findings"].as_array().unwrap().len(), 1);
    assert_is_the_contact(&report["findings"][0]);
}

#[test]
fn listening_alerts_while_flows_come_in() {
    let folder = TempDir::new().unwrap();
    let list = file(&folder, "list", &format!("{SERVER}:8443 C2\n"));
    let alerts = folder.path().join("alerts.json");
    let mut child = Command::new(env!("CARGO_BIN_EXE_netflow-collector"))
        .args(["listen", "--bind", "127.0.0.1:0", "--output", "/dev/null"])
        .args(["--indicators", list.to_str().unwrap(), "--alerts", alerts.to_str().unwrap()])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    let mut background = Background(child);
    let mut line = String::new();
    errors.read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening on ").unwrap().to_owned();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    contact_among(300).datagrams(|datagram, _| {
        socket.send_to(datagram, &address).unwrap();
    });
    wait_until("the alert", || fs::read_to_string(&alerts).is_ok_and(|text| !text.is_empty()));
    background.terminate();
    // Told once, though there are many flows of it, as the pause is not over.
    let told = fs::read_to_string(&alerts).unwrap();
    let told: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0]["host"].as_str(), told[0]["address"].as_str()), (Some(HOST), Some(SERVER)));
    assert_eq!((told[0]["service"].as_str(), told[0]["direction"].as_str()), (Some("TCP/8443"), Some("to")));
    let rest: Vec<String> = errors.lines().map(Result::unwrap).collect();
    let lines = rest.iter().filter(|line| line.starts_with("ALERT 10.1.3.77 talks to 198.18.5.6"));
    assert_eq!(lines.count(), 1, "{rest:?}");
}
