//! `netflow-collector attack`: what is injected into ordinary traffic is found with its true target, time and rates, and
//! ordinary traffic alone gives no alarm.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use std::path::Path;

use common::{
    jobs::{collector, json, text},
    scenario::{SECOND, START, Scenario},
};
use serde_json::Value;
use tempfile::TempDir;

const TARGET: &str = "203.0.113.10";

fn attacks(store: &Path) -> Value {
    json(&["attack", "--json", "--store", store.to_str().unwrap()])
}

/// The one event there is; anything else would be a false alarm.
fn only(report: &Value) -> &Value {
    let events = report["events"].as_array().unwrap();
    let found: Vec<String> =
        events.iter().map(|event| format!("{} {}", event["kind"], event["target"])).collect();
    assert_eq!(events.len(), 1, "{found:?}");
    &events[0]
}

/// Begin and end are right to the interval of 10 seconds.
fn assert_time(event: &Value, start: u64, seconds: u64) {
    let near = |found: &Value, truth: u64| {
        let found = found.as_u64().unwrap();
        let truth = (START + truth) * SECOND;
        assert!(found.abs_diff(truth) <= 10 * SECOND, "{found} instead of {truth}");
    };
    near(&event["start_ns"], start);
    near(&event["end_ns"], start + seconds);
}

/// The peak is the greatest of several estimates, each right within the stated error in 95 of 100 cases: twice that error
/// covers it.
fn assert_rate(event: &Value, member: &str, truth: f64) {
    let found = event[member].as_f64().unwrap();
    let error = event["error_percent"].as_f64().unwrap() / 100.0;
    let allowed = (2.0 * error).max(0.02);
    assert!(
        (found / truth - 1.0).abs() <= allowed,
        "{member}: {found} instead of {truth}, allowed are {allowed}"
    );
}

#[test]
fn ordinary_traffic_gives_no_alarm() {
    let folder = TempDir::new().unwrap();
    for (seed, sampling, flows) in [(11, 1, 30_000), (12, 100, 40_000)] {
        let mut scenario = Scenario::new(seed, sampling).background(flows);
        let store = scenario.write_store(&folder.path().join(seed.to_string()));
        let report = attacks(&store);
        assert_eq!(report["events"], serde_json::json!([]), "sampled 1 in {sampling}: {report:#}");
        assert_eq!(report["seen"]["flows"].as_u64(), Some(scenario.flows.len() as u64));
        assert_eq!(
            report["dropped"],
            serde_json::json!({"flows_without_time": 0, "counters": 0, "suspicions": 0})
        );
    }
}

#[test]
#[ignore = "millions of flows"]
fn millions_of_ordinary_flows_give_no_alarm() {
    let mut seen = 0;
    for (seed, sampling, flows) in [(21, 1, 1_500_000), (22, 10, 1_500_000), (23, 100, 3_000_000)] {
        let folder = TempDir::new().unwrap();
        let store = Scenario::new(seed, sampling).background(flows).write_store(folder.path());
        let report = attacks(&store);
        assert_eq!(report["events"], serde_json::json!([]), "sampled 1 in {sampling}");
        seen += report["seen"]["flows"].as_u64().unwrap();
    }
    println!("{seen} flows without an alarm");
    // None in so many: in 95 of 100 cases there is less than one in a million.
    assert!(seen >= 3_000_000, "{seen}");
}

#[test]
fn a_syn_flood_is_found_with_its_rate_and_its_forged_sources() {
    let folder = TempDir::new().unwrap();
    let mut scenario = Scenario::new(31, 1_000).background(30_000);
    scenario.syn_flood(TARGET.parse().unwrap(), 443, 905 * SECOND, 120, 80_000);
    let report = attacks(&scenario.write_store(folder.path()));
    let event = only(&report);
    assert_eq!((event["kind"].as_str(), event["target"].as_str()), (Some("syn-flood"), Some(TARGET)));
    assert_time(event, 905, 120);
    assert_rate(event, "peak_packets_per_second", 80_000.0);
    assert_rate(event, "peak_bits_per_second", 80_000.0 * 320.0);
    assert_eq!(event["sampling"], serde_json::json!([1_000, 1_000]));
    assert_eq!(event["ports"]["top"][0]["value"], "443");
    assert_eq!(event["tcp_flags"]["top"][0]["value"], "......S.");
    assert_eq!(event["protocols"]["top"][0]["value"], "TCP");
    assert_eq!(event["packet_sizes"]["mean"], 40.0);
    let sources = &event["sources"];
    assert!(
        sources["evenness"].as_f64().unwrap() > 0.99 && sources["distinct"].as_u64().unwrap() > 9_000,
        "{sources}"
    );
    assert!(event["source_as"]["distinct"].as_u64().unwrap() > 5_000);
    let hints = event["hints"].as_array().unwrap();
    assert_eq!(hints.len(), 3, "{hints:?}");
}

#[test]
fn a_dns_amplification_is_found_with_its_reflectors() {
    let folder = TempDir::new().unwrap();
    let mut scenario = Scenario::new(32, 100).background(30_000);
    scenario.amplification("10.1.2.200".parse().unwrap(), 53, 400, 1_800 * SECOND, 90, 12_000);
    let capture = scenario.write_capture(folder.path());
    let report = json(&["attack", "--json", "--read", capture.to_str().unwrap()]);
    let event = only(&report);
    assert_eq!(
        (event["kind"].as_str(), event["target"].as_str()),
        (Some("amplification"), Some("10.1.2.200"))
    );
    assert_eq!(event["service"], "DNS");
    assert_time(event, 1_800, 90);
    assert_rate(event, "peak_packets_per_second", 12_000.0);
    assert_rate(event, "peak_bits_per_second", 12_000.0 * 1_325.0 * 8.0);
    // All 400 were sampled some 27 times each.
    let sources = event["sources"]["distinct"].as_u64().unwrap();
    assert!((395..=400).contains(&sources), "{sources}");
    assert_eq!(event["source_ports"]["top"][0]["value"], "53");
    assert_eq!(event["protocols"]["top"][0]["value"], "UDP");
    assert!(event["packet_sizes"]["packets"][5].as_u64().unwrap() > 900_000);
    assert_eq!(event["interfaces"]["top"][0]["value"], "192.0.2.250 interface 1");
    let readable = text(&["attack", "--read", capture.to_str().unwrap()]);
    assert!(readable.contains("amplification (DNS) against 10.1.2.200"), "{readable}");
    assert!(readable.contains("who asked them forged the address of the target"), "{readable}");
}

#[test]
fn floods_of_icmp_fragments_and_udp_are_found_with_their_rates() {
    let folder = TempDir::new().unwrap();
    let mut scenario = Scenario::new(37, 100).background(30_000);
    let [icmp, fragments, udp] = ["203.0.113.11", "203.0.113.12", "203.0.113.13"];
    scenario.icmp_flood(icmp.parse().unwrap(), 300 * SECOND, 60, 10_000);
    scenario.fragment_flood(fragments.parse().unwrap(), 900 * SECOND, 60, 20_000);
    scenario.udp_flood(udp.parse().unwrap(), 1_500 * SECOND, 60, 200_000);
    let report = attacks(&scenario.write_store(folder.path()));
    let expected = [
        ("icmp-flood", icmp, 300, 10_000.0, 1_028.0, 50),
        ("fragment-flood", fragments, 900, 20_000.0, 1_500.0, 200),
        ("udp-flood", udp, 1_500, 200_000.0, 540.0, 30),
    ];
    let events = report["events"].as_array().unwrap();
    let kinds: Vec<&str> = events.iter().map(|event| event["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, expected.map(|(kind, ..)| kind));
    for (event, (kind, target, start, rate, octets, sources)) in events.iter().zip(expected) {
        assert_eq!(event["target"], target, "{kind}");
        assert_time(event, start, 60);
        assert_rate(event, "peak_packets_per_second", rate);
        assert_rate(event, "peak_bits_per_second", rate * octets * 8.0);
        assert_eq!(event["sources"]["distinct"], sources, "{kind}");
        assert_eq!(event["packet_sizes"]["mean"], octets, "{kind}");
    }
}

#[test]
fn carpet_bombing_is_one_event_of_the_prefix() {
    let folder = TempDir::new().unwrap();
    let mut scenario = Scenario::new(33, 100).background(30_000);
    scenario.carpet([198, 51, 100], 600 * SECOND, 200, 30_000);
    let report = attacks(&scenario.write_store(folder.path()));
    let event = only(&report);
    assert_eq!(
        (event["kind"].as_str(), event["target"].as_str()),
        (Some("carpet-bombing"), Some("198.51.100.0/24"))
    );
    assert_eq!((event["vector"].as_str(), event["service"].as_str()), (Some("amplification"), Some("NTP")));
    assert_time(event, 600, 200);
    assert_rate(event, "peak_packets_per_second", 30_000.0);
    assert_eq!(event["targets"]["distinct"], 256);
    assert!(event["targets"]["evenness"].as_f64().unwrap() > 0.99);
}

#[test]
fn scans_are_found_in_both_directions_of_looking() {
    let folder = TempDir::new().unwrap();
    let mut scenario = Scenario::new(34, 1).background(30_000);
    scenario.horizontal("185.220.101.4".parse().unwrap(), 445, 1_000, 300 * SECOND, 120);
    scenario.vertical("193.32.162.7".parse().unwrap(), TARGET.parse().unwrap(), 1_024, 2_000 * SECOND, 60);
    let report = attacks(&scenario.write_store(folder.path()));
    let events = report["events"].as_array().unwrap();
    assert_eq!(events.len(), 2, "{events:#?}");
    let (horizontal, vertical) = (&events[0], &events[1]);
    assert_eq!(horizontal["kind"], "horizontal-scan");
    assert_eq!(
        (horizontal["scanner"].as_str(), horizontal["target"].as_str()),
        (Some("185.220.101.4"), Some("10.1.0.0/22"))
    );
    assert_time(horizontal, 300, 120);
    assert_eq!(
        (horizontal["targets"]["distinct"].as_u64(), horizontal["packets"].as_u64()),
        (Some(1_000), Some(1_000))
    );
    assert_eq!(
        horizontal["ports"]["top"],
        serde_json::json!([{"value": "445", "packets": 1_000, "share": 1.0}])
    );
    assert_eq!(vertical["kind"], "vertical-scan");
    assert_eq!(
        (vertical["scanner"].as_str(), vertical["target"].as_str()),
        (Some("193.32.162.7"), Some(TARGET))
    );
    assert_time(vertical, 2_000, 60);
    assert_eq!(
        (vertical["ports"]["distinct"].as_u64(), vertical["flows"].as_u64()),
        (Some(1_024), Some(1_024))
    );
}

#[test]
fn everything_at_once_is_told_apart() {
    let folder = TempDir::new().unwrap();
    let mut scenario = Scenario::new(35, 100).background(30_000);
    scenario.syn_flood(TARGET.parse().unwrap(), 80, 600 * SECOND, 60, 20_000);
    scenario.amplification(TARGET.parse().unwrap(), 11_211, 50, 620 * SECOND, 60, 8_000);
    scenario.carpet([203, 0, 114], 640 * SECOND, 60, 25_000);
    scenario.syn_flood(TARGET.parse().unwrap(), 80, 1_500 * SECOND, 60, 20_000);
    let report = attacks(&scenario.write_store(folder.path()));
    let events = report["events"].as_array().unwrap();
    let found: Vec<(&str, &str)> = events
        .iter()
        .map(|event| (event["kind"].as_str().unwrap(), event["target"].as_str().unwrap()))
        .collect();
    let expected = [
        ("syn-flood", TARGET),
        ("amplification", TARGET),
        ("carpet-bombing", "203.0.114.0/24"),
        ("syn-flood", TARGET),
    ];
    assert_eq!(found, expected);
    for (event, start) in events.iter().zip([600, 620, 640, 1_500]) {
        assert_time(event, start, 60);
    }
}

#[test]
fn memory_is_bounded_and_what_was_dropped_is_told() {
    let folder = TempDir::new().unwrap();
    let mut scenario = Scenario::new(36, 100).background(30_000);
    scenario.amplification(TARGET.parse().unwrap(), 123, 100, 600 * SECOND, 60, 20_000);
    // As many targets as there are flows.
    for number in 0..20_000_u32 {
        let target = core::net::Ipv4Addr::from_bits(0x0102_0304 + number * 7_919).into();
        scenario.syn_flood(target, 80, 500 * SECOND + u64::from(number) * SECOND / 100, 1, 100);
    }
    let store = scenario.write_store(folder.path());
    let report = json(&["attack", "--json", "--counters", "1000", "--store", store.to_str().unwrap()]);
    assert!(report["dropped"]["counters"].as_u64().unwrap() > 5_000, "{}", report["dropped"]);
    let event = only(&report);
    assert_eq!((event["kind"].as_str(), event["target"].as_str()), (Some("amplification"), Some(TARGET)));
    assert_time(event, 600, 60);
}

#[test]
fn what_cannot_be_read_twice_is_refused() {
    let output = collector(&["attack", "--read", "-"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("standard input"), "{output:?}");
    let output = collector(&["attack", "--store", "/nonexistent/store"]);
    assert_eq!(output.status.code(), Some(1));
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("noise");
    std::fs::write(&path, [0x5a; 4_096]).unwrap();
    assert_eq!(collector(&["attack", "--read", path.to_str().unwrap()]).status.code(), Some(1));
}
