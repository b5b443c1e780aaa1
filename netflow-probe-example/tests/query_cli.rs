//! `netflow-collector query` as a user calls it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use netflow_codec::{
    ExportSession, ExportVersion, FlowRecord, SamplingAlgorithm, SamplingInfo, SamplingSource, SessionConfig,
    Timestamp,
};
use netflow_probe_example::{pcap::DatagramWriter, query::Filter};
use proptest::prelude::*;
use serde_json::Value;
use tempfile::TempDir;

const BOOT: Timestamp = Timestamp::from_secs(1_772_366_400); // 2026-03-01T12:00:00Z
const MINUTE: u64 = 60;

fn flow(source: u8, port: u16, octets: u64, minute: u64) -> FlowRecord {
    let mut flow = FlowRecord::default();
    flow.source = [192, 0, 2, source].into();
    flow.destination = [198, 51, 100, 1].into();
    flow.protocol = 6;
    flow.source_port = 50_000;
    flow.destination_port = port;
    flow.packets = octets / 100;
    flow.octets = octets;
    flow.source_as = 64_496 + u32::from(source);
    flow.destination_as = 65_551;
    flow.start = Timestamp::from_secs(BOOT.as_secs() + minute * MINUTE);
    flow.end = Timestamp::from_secs(BOOT.as_secs() + minute * MINUTE + 30);
    flow
}

fn icmp() -> FlowRecord {
    let mut flow = flow(9, 0, 8_400, 3);
    (flow.protocol, flow.source_port, flow.icmp_type_code) = (1, 0, 0x0800);
    flow
}

/// Five flows: three of 192.0.2.1, one of 192.0.2.2, one of ICMP.
fn capture(folder: &TempDir) -> PathBuf {
    let path = folder.path().join("flows.pcap");
    let mut config = SessionConfig::new(ExportVersion::V9, BOOT);
    config.sampling = SamplingInfo::new(100, SamplingAlgorithm::RANDOM, SamplingSource::Domain);
    let mut session = ExportSession::new(config).unwrap();
    let mut writer = DatagramWriter::create(&path).unwrap();
    let now = Timestamp::from_secs(BOOT.as_secs() + 10 * MINUTE);
    let flows = [
        flow(1, 443, 1_000, 0),
        flow(2, 53, 500_000, 1),
        flow(1, 80, 3_000, 2),
        icmp(),
        flow(1, 443, 2_000, 4),
    ];
    for flow in &flows {
        session.handle_flow(flow, now).unwrap();
    }
    session.flush(now);
    let mut datagram = Vec::new();
    while session.poll_transmit(&mut datagram).is_some() {
        let time = netflow_flowcache::Timestamp::from_secs(now.as_secs());
        let (from, to) = ("127.0.0.1:40000".parse().unwrap(), "127.0.0.1:2055".parse().unwrap());
        writer.write(time, from, to, &datagram).unwrap();
        datagram.clear();
    }
    writer.finish().unwrap();
    path
}

fn query(capture: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_netflow-collector"))
        .args(["query", "--read", capture.to_str().unwrap()])
        .args(arguments)
        .output()
        .unwrap()
}

fn lines(capture: &Path, arguments: &[&str]) -> Vec<String> {
    let output = query(capture, &[&["--quiet"], arguments].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(ToOwned::to_owned).collect()
}

fn objects(capture: &Path, arguments: &[&str]) -> Vec<Value> {
    let lines = lines(capture, &[&["--format", "json"], arguments].concat());
    lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn octets(objects: &[Value]) -> Vec<u64> {
    objects.iter().map(|object| object["bytes"].as_u64().unwrap()).collect()
}

#[test]
fn a_filter_chooses_flows() {
    let folder = tempfile::tempdir().unwrap();
    let capture = capture(&folder);
    let chosen = |filter: &str| octets(&objects(&capture, &[filter]));
    assert_eq!(chosen("dst port 443"), [1_000, 2_000]);
    assert_eq!(chosen("src as 64497 and not port 80"), [1_000, 2_000]);
    assert_eq!(chosen("src as in [64498 64505]"), [500_000, 8_400]);
    assert_eq!(chosen("dst as > 65535 and bytes > 5k"), [500_000, 8_400]);
    assert_eq!(chosen("icmp-type 8"), [8_400]);
    assert_eq!(chosen("icmp and icmp-code 0"), [8_400]);
    // ICMP has no ports.
    assert_eq!(chosen("port 0"), [0; 0]);
    assert_eq!(chosen("not tcp"), [8_400]);
    assert_eq!(chosen("sampling 100").len(), 5);
    assert_eq!(chosen("").len(), 5);
    // Several arguments are one filter.
    assert_eq!(octets(&objects(&capture, &["dst", "port", "53"])), [500_000]);
}

#[test]
fn flows_come_in_the_order_asked_for_and_no_more_than_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let capture = capture(&folder);
    assert_eq!(octets(&objects(&capture, &["-O", "bytes", "tcp"])), [500_000, 3_000, 2_000, 1_000]);
    assert_eq!(octets(&objects(&capture, &["-O", "bytes", "-c", "2"])), [500_000, 8_400]);
    assert_eq!(octets(&objects(&capture, &["-O", "tstart"])), [1_000, 500_000, 3_000, 8_400, 2_000]);
    assert_eq!(octets(&objects(&capture, &["-c", "3"])), [1_000, 500_000, 3_000]);
    assert_eq!(objects(&capture, &["-O", "bytes", "-c", "0"]).len(), 0);
    let table = lines(&capture, &["-O", "bytes", "-c", "1"]);
    assert!(table[0].starts_with("First seen (UTC)") && table[1].contains("192.0.2.2:50000"), "{table:?}");
    let csv = lines(&capture, &["-O", "bytes", "-c", "1", "--format", "csv"]);
    assert!(csv[0].starts_with("type,time_received_ns,") && csv[1].contains(",500000,"), "{csv:?}");
    assert_eq!((table.len(), csv.len()), (2, 2));
}

#[test]
fn a_window_of_time_takes_what_lies_in_it_in_part() {
    let folder = tempfile::tempdir().unwrap();
    let capture = capture(&folder);
    let window = |from, to| octets(&objects(&capture, &["--from", from, "--to", to]));
    assert_eq!(window("2026-03-01T12:01:10Z", "2026-03-01T12:02:10Z"), [500_000, 3_000]);
    assert_eq!(window("2026-03-01 12:01:40", "2026-03-01 12:02"), [3_000]);
    assert_eq!(window("2026-03-01T13:03:00+01:00", "2026-03-01T12:03:10Z"), [8_400]);
    assert_eq!(window("2026-03-01", "2026-03-02").len(), 5);
    let wrong = query(&capture, &["--from", "yesterday"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("2026-03-01T12:00:00Z"));
}

#[test]
fn statistics_and_aggregations_add_up() {
    let folder = tempfile::tempdir().unwrap();
    let capture = capture(&folder);
    let top = objects(&capture, &["-s", "srcip/bytes", "-n", "2"]);
    assert_eq!((top[0]["srcip"].as_str(), top[0]["bytes"].as_u64()), (Some("192.0.2.2"), Some(500_000)));
    assert_eq!((top[1]["srcip"].as_str(), top.len()), (Some("192.0.2.9"), 2));
    let by_flows = &objects(&capture, &["-s", "srcip/flows", "-n", "1"])[0];
    assert_eq!((by_flows["flows"].as_u64(), by_flows["bytes"].as_u64()), (Some(3), Some(6_000)));
    // From 12:00:00 to 12:04:30.
    assert_eq!((by_flows["duration_ms"].as_u64(), by_flows["bps"].as_u64()), (Some(270_000), Some(177)));
    let joined = objects(&capture, &["-A", "srcip4/24,dstport", "-O", "bytes", "tcp"]);
    let joined: Vec<_> =
        joined.iter().map(|group| (group["dstport"].as_u64(), group["bytes"].as_u64())).collect();
    assert_eq!(joined, [(Some(53), Some(500_000)), (Some(80), Some(3_000)), (Some(443), Some(3_000))]);
    let scaled = objects(&capture, &["-s", "proto/bytes", "-n", "1", "--scaled"]);
    assert_eq!((scaled[0]["proto"].as_str(), scaled[0]["bytes"].as_u64()), (Some("TCP"), Some(50_600_000)));
    let table = lines(&capture, &["-s", "ip:p/packets", "-s", "dstport"]);
    assert_eq!(table[0], "Top ip:p by packets:");
    assert!(table.iter().any(|line| line == "Top dstport by flows:"), "{table:?}");
    let csv = lines(&capture, &["-s", "dstport/bytes", "--format", "csv"]);
    assert_eq!(csv[0], "dstport,flows,packets,bytes,first_ns,last_ns,duration_ms,pps,bps,bpp");
    assert!(csv[1].starts_with("53,1,5000,500000,"), "{csv:?}");
}

#[test]
fn too_many_groups_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let capture = capture(&folder);
    let output = query(&capture, &["-s", "bytes", "-n", "1"]);
    assert_eq!(output.status.code(), Some(2));
    let output = query(&capture, &["-s", "srcip/bytes", "--groups", "1", "--format", "json"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.lines().next().unwrap().contains(r#""srcip":"192.0.2.2""#), "{text}");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(errors.contains("too many groups for an exact count"), "{errors}");
}

#[test]
fn what_is_wrong_with_a_filter_is_shown_at_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let capture = capture(&folder);
    let output = query(&capture, &["proto tcp and port eighty"]);
    assert_eq!(output.status.code(), Some(2));
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let expected = "netflow-collector: in the filter, column 20: `eighty` where a port (0 to 65535) is expected\n  \
        proto tcp and port eighty\n                     ^\n";
    assert_eq!(errors, expected);
    for (filter, place, what) in [
        ("tcp and", "column 8", "the filter ends"),
        ("(tcp or udp", "column 12", "`)`"),
        ("tcp udp", "column 5", "`and`, `or` or the end"),
        ("src flags S", "column 5", "which `flags` has not"),
        ("port in [80, 443", "column 17", "a port"),
        ("port 65536", "column 6", "0 to 65535"),
        ("ip 192.0.2.256", "column 4", "an address"),
        ("net 192.0.2.0/33", "column 5", "a prefix"),
        ("bytes > 10q", "column 9", "10k"),
        ("colour red", "column 1", "a test (ip, net, port"),
        ("mpls label11 = 3", "column 1", "a test"),
        ("mac 00:11:22", "column 5", "a MAC address"),
    ] {
        let output = query(&capture, &[filter]);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(errors.contains(place) && errors.contains(what), "{filter}: {errors}");
    }
    let deep = "(".repeat(100_000);
    assert!(Filter::parse(&deep).unwrap_err().to_string().contains("no deeper nesting"));
    assert!(Filter::parse(&"not ".repeat(100_000)).is_err());
}

#[test]
fn lists_come_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let capture = capture(&folder);
    let list = folder.path().join("list.txt");
    fs::write(&list, "# resolvers\n192.0.2.2\n  192.0.2.128/25 # and more\n").unwrap();
    let filter = format!("src ip in [@include {}]", list.display());
    assert_eq!(octets(&objects(&capture, &[&filter])), [500_000]);
    let file = folder.path().join("filter.txt");
    fs::write(&file, format!("proto tcp # not ICMP\nand {filter}\n")).unwrap();
    assert_eq!(octets(&objects(&capture, &["-f", file.to_str().unwrap()])), [500_000]);
    fs::write(&list, "192.0.2.2\n192.0.2.300\n").unwrap();
    let output = query(&capture, &[&filter]);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(errors.contains("list.txt, line 2, column 1: `192.0.2.300`"), "{errors}");
    let missing = query(&capture, &["-f", "/nonexistent"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(
        Filter::parse("@include /etc/passwd").unwrap_err().to_string().contains("cannot be included here")
    );
}

#[test]
fn a_damaged_file_is_named_and_the_rest_answers() {
    let folder = tempfile::tempdir().unwrap();
    let whole = capture(&folder);
    let cut = folder.path().join("cut.pcap");
    let octets = fs::read(&whole).unwrap();
    fs::write(&cut, &octets[..octets.len() - 10]).unwrap();
    let output = query(&whole, &["--read", cut.to_str().unwrap(), "-s", "srcip", "--format", "json"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cut.pcap"));
    assert!(String::from_utf8_lossy(&output.stdout).contains("192.0.2.1"));
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_fail_in_any_other_way(text in "\\PC{0,60}") {
        let _ = Filter::parse(&text);
    }

    #[test]
    fn words_of_the_language_in_any_order_do_no_harm(words in proptest::collection::vec(
        proptest::sample::select(vec![
            "src", "dst", "and", "or", "not", "(", ")", "[", "]", "in", "ip", "net", "port", "=", ">", "<=", "80",
            "192.0.2.1", "10.0.0.0/8", "::1", "flags", "SA", "mpls", "label1", "observation", "domain", "id", "next",
            "router", "any", "inet6", "tcp", ",", "if", "as", "duration", "5m", "!", "&&", "@include", "#", "\n",
        ]), 0..20)) {
        let text = words.join(" ");
        if let Err(error) = Filter::parse(&text) {
            prop_assert!(error.place.line <= text.lines().count().max(1));
            prop_assert!(!error.render(&text).is_empty());
        }
    }
}
