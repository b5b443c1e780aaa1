//! `netflow-collector timeline`: what a host did, in the order of time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use common::{
    jobs::{collector, json, text},
    scenario::{ACK, FIN, Leg, OUR_AS, PSH, SECOND, START, SYN, Scenario},
};
use serde_json::Value;
use tempfile::TempDir;

const HOST: &str = "10.1.200.9";
const DROP: &str = "198.18.77.1";
const ATTACKER: &str = "198.18.99.9";

/// A break-in by SSH, an hour's quiet but for a beacon, then 3 GB that leave; all among ordinary traffic, none of which is
/// of this host.
fn incident(sampling: u32) -> Scenario {
    let host = HOST.parse().unwrap();
    let mut scenario = Scenario::new(3, sampling).background(15_000);
    let login = Leg {
        source: ATTACKER.parse().unwrap(),
        destination: host,
        protocol: 6,
        ports: (40_123, 22),
        packets: 40,
        octets: 4_000,
        flags: SYN | ACK | PSH | FIN,
        start: 60 * SECOND,
        end: 90 * SECOND,
        numbers: (65_000, OUR_AS),
    };
    scenario.exchange(login, 50, 9_000, SYN | ACK | PSH | FIN, 5_000_000);
    scenario.exfiltration(host, DROP.parse().unwrap(), 1_500 * SECOND, 20, 3_000_000_000);
    scenario
}

#[test]
fn sessions_are_joined_ordered_and_summed_up() {
    let folder = TempDir::new().unwrap();
    let mut scenario = incident(1);
    for source in
        [("--store", scenario.write_store(folder.path())), ("--read", scenario.write_capture(folder.path()))]
    {
        let path = source.1.to_str().unwrap();
        let report = json(&["timeline", "--host", HOST, "--json", source.0, path]);
        let sessions = report["sessions"].as_array().unwrap();
        assert_eq!(sessions.len(), 2, "{report:#}");
        let (login, exfiltration) = (&sessions[0], &sessions[1]);
        assert_eq!((login["peer"].as_str(), login["initiator"].as_str()), (Some(ATTACKER), Some("peer")));
        assert_eq!((login["port"].as_u64(), login["peer_port"].as_u64()), (Some(22), Some(40_123)));
        assert_eq!(
            login["received"],
            serde_json::json!({"flows": 1, "packets": 40, "octets": 4_000, "tcp_flags": 0x1b})
        );
        assert_eq!(
            login["sent"],
            serde_json::json!({"flows": 1, "packets": 50, "octets": 9_000, "tcp_flags": 0x1b})
        );
        assert_eq!(
            (exfiltration["peer"].as_str(), exfiltration["initiator"].as_str()),
            (Some(DROP), Some("host"))
        );
        // Exported every minute, one session.
        assert_eq!(exfiltration["sent"]["flows"], 20);
        assert_eq!(exfiltration["sent"]["octets"].as_u64(), Some(3_000_000_000));
        assert_eq!(exfiltration["received"]["octets"].as_u64(), Some(60_000_000));
        assert_eq!(exfiltration["sent"]["tcp_flags"], 0x1b);
        assert_eq!(exfiltration["start_ns"].as_u64(), Some((START + 1_500) * SECOND));
        assert_eq!(
            exfiltration["end_ns"].as_u64(),
            Some((START + 1_500 + 19 * 60 + 59) * SECOND + 10_000_000)
        );
        let pauses = report["pauses"].as_array().unwrap();
        assert_eq!(pauses.len(), 1);
        assert_eq!(pauses[0]["start_ns"].as_u64(), Some((START + 90) * SECOND + 5_000_000));
        assert_eq!(pauses[0]["end_ns"].as_u64(), Some((START + 1_500) * SECOND));
        assert_eq!(report["peers"][0]["peer"], DROP);
        assert_eq!(report["seen"]["flows"], 42);
    }
    let readable =
        text(&["timeline", "--host", HOST, "--store", folder.path().join("store").to_str().unwrap()]);
    let lines: Vec<&str> = readable.lines().collect();
    assert!(lines[0].starts_with("10.1.200.9: 2 sessions with 2 peers; 42 flows"), "{readable}");
    let place = |part: &str| {
        lines.iter().position(|line| line.contains(part)).unwrap_or_else(|| panic!("{part}: {readable}"))
    };
    assert!(
        place("<-  198.18.99.9") < place("- quiet -") && place("- quiet -") < place("->  198.18.77.1"),
        "{readable}"
    );
    assert!(
        lines[place("->  198.18.77.1")].contains("3.0 G")
            && lines[place("->  198.18.77.1")].contains("...AP.SF"),
        "{readable}"
    );
}

#[test]
fn volumes_are_scaled_and_csv_has_a_line_for_each_session() {
    let folder = TempDir::new().unwrap();
    let store = incident(50).write_store(folder.path());
    let csv = text(&["timeline", "--host", HOST, "--csv", "--store", store.to_str().unwrap()]);
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let headers = reader.headers().unwrap().clone();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 2);
    let column = |row: &csv::StringRecord, name: &str| {
        row[headers.iter().position(|header| header == name).unwrap()].to_owned()
    };
    assert_eq!(column(&rows[1], "bytes_sent"), (3_000_000_000_u64 * 50).to_string());
    assert_eq!(
        (column(&rows[1], "peer"), column(&rows[0], "initiator")),
        (DROP.to_owned(), "peer".to_owned())
    );
}

#[test]
fn several_exporters_do_not_double_the_volume() {
    let folder = TempDir::new().unwrap();
    let mut scenario = incident(1);
    let first = scenario.write_capture(folder.path());
    // The same datagrams from another exporter.
    let second = folder.path().join("second.pcap");
    let mut writer = netflow_probe_example::pcap::DatagramWriter::create(&second).unwrap();
    scenario.datagrams(|datagram, now| {
        let time = netflow_flowcache::Timestamp::from_nanos(now.as_nanos());
        let (from, to) = ("192.0.2.249:40000".parse().unwrap(), "192.0.2.251:2055".parse().unwrap());
        writer.write(time, from, to, datagram).unwrap();
    });
    writer.finish().unwrap();
    let report = json(&[
        "timeline",
        "--host",
        HOST,
        "--json",
        "--read",
        first.to_str().unwrap(),
        "--read",
        second.to_str().unwrap(),
    ]);
    assert_eq!(report["seen"]["flows"], 84);
    assert_eq!(report["sessions"].as_array().unwrap().len(), 2);
    assert_eq!(report["sessions"][1]["sent"]["octets"].as_u64(), Some(3_000_000_000));
    assert_eq!(report["sessions"][1]["exporters"], serde_json::json!(["192.0.2.250", "192.0.2.249"]));
}

#[test]
fn connections_between_the_same_ports_are_told_apart() {
    let folder = TempDir::new().unwrap();
    let mut scenario = Scenario::new(4, 1);
    for (number, gap) in [0_u64, 60, 120, 1_200].into_iter().enumerate() {
        let leg = Leg {
            source: HOST.parse().unwrap(),
            destination: DROP.parse().unwrap(),
            protocol: if number < 3 { 6 } else { 17 },
            ports: (5_000, 53),
            packets: 4,
            octets: 400,
            flags: if number < 3 { SYN | ACK | FIN } else { 0 },
            start: gap * SECOND,
            end: (gap + 5) * SECOND,
            numbers: (OUR_AS, 1),
        };
        scenario.exchange(leg, 4, 400, if number < 3 { SYN | ACK | FIN } else { 0 }, 1_000_000);
    }
    let store = scenario.write_store(folder.path());
    let report = json(&["timeline", "--host", HOST, "--json", "--store", store.to_str().unwrap()]);
    let starts: Vec<u64> = report["sessions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["start_ns"].as_u64().unwrap() / SECOND - START)
        .collect();
    assert_eq!(starts, [0, 60, 120, 1_200]);
}

#[test]
fn limits_and_unknown_hosts_are_told() {
    let folder = TempDir::new().unwrap();
    let store = incident(1).write_store(folder.path());
    let store = store.to_str().unwrap();
    let report = json(&["timeline", "--host", HOST, "--json", "--limit", "10", "--store", store]);
    assert_eq!(report["flows_beyond_limit"], 32);
    let nobody: Value = json(&["timeline", "--host", "2001:db8:ffff::99", "--json", "--store", store]);
    assert_eq!(nobody["sessions"], serde_json::json!([]));
    assert_eq!(collector(&["timeline", "--host", "nobody", "--store", store]).status.code(), Some(2));
    assert_eq!(collector(&["timeline", "--store", store]).status.code(), Some(2));
}
