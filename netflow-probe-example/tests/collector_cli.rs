//! The collector as a program: what it receives, decodes, prints, counts and complains about.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics"
)]

mod collector_datagrams;
mod common;

use core::net::{IpAddr, Ipv4Addr};
use std::{
    fs,
    net::UdpSocket,
    path::Path,
    process::{Command, Output, Stdio},
};

use collector_datagrams::{PLAIN, capture, options_template, plain, set, template, v5, v7, v9};
use common::{
    listening::{Listening, PROGRAM},
    peers::wait_until,
};
use serde_json::Value;

#[test]
fn templates_survive_a_restart_of_the_collector() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("templates.json");
    let file = path.to_str().unwrap();
    let secs = u32::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap().to_be_bytes();
    let packet =
        |set: &[u8]| [&[0, 9, 0, 1, 0, 0, 0x27, 0x10][..], &secs, &[0, 0, 0, 1, 0, 0, 0, 7], set].concat();
    let template = packet(&[0, 0, 0, 12, 1, 44, 0, 1, 0, 1, 0, 4]);
    let data = packet(&[1, 44, 0, 8, 0, 0, 0, 5]);
    let run = |datagram: &[u8]| {
        let listening = Listening::start(&["--bind", "127.0.0.1:0", "--state", file]);
        socket(Ipv4Addr::LOCALHOST).send_to(datagram, listening.addresses[0]).unwrap();
        listening.terminate()
    };
    assert_eq!(run(&template).flows.len(), 0);
    let left = run(&data);
    assert_eq!(left.flows.len(), 1, "{}", left.stderr);
    // A file that is of no use is said to be so, and replaced.
    fs::write(&path, "{}").unwrap();
    assert_eq!(run(&data).flows.len(), 0);
    assert!(fs::read_to_string(&path).unwrap().contains("version"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn socket(address: impl Into<IpAddr>) -> UdpSocket {
    UdpSocket::bind((address.into(), 0)).unwrap()
}

fn run(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).output().unwrap()
}

fn decode(path: &Path, arguments: &[&str]) -> Output {
    run(&[&["decode", path.to_str().unwrap()], arguments].concat())
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn decode_with_summary(datagrams: &[Vec<u8>]) -> (Output, Value) {
    let folder = tempfile::tempdir().unwrap();
    let path = capture(&folder, datagrams);
    let summary = folder.path().join("summary.json");
    let output = decode(&path, &["--summary", summary.to_str().unwrap()]);
    (output, serde_json::from_slice(&fs::read(summary).unwrap()).unwrap())
}

#[test]
fn one_socket_takes_all_versions_from_both_address_families() {
    // C2
    let collector = Listening::start(&["--bind", "[::]:0"]);
    let port = collector.addresses[0].port();
    let (first, second) = (socket(Ipv4Addr::LOCALHOST), socket([127, 0, 0, 2]));
    first.send_to(&v5(0, 2), ("127.0.0.1", port)).unwrap();
    second.send_to(&v7(9), ("127.0.0.1", port)).unwrap();
    let v9 = v9(3, 1, &[template(300, &PLAIN), set(300, &plain(1, 700))]);
    match UdpSocket::bind("[::1]:0") {
        Ok(sixth) => sixth.send_to(&v9, ("::1", port)).unwrap(),
        Err(_) => first.send_to(&v9, ("127.0.0.1", port)).unwrap(),
    };
    // A template of protocolIdentifier, and two records.
    let mut ipfix = vec![0, 10, 0, 34, 0x65, 0x53, 0xf1, 0, 0, 0, 0, 0, 0, 0, 0, 9];
    ipfix.extend([0, 2, 0, 12, 1, 44, 0, 1, 0, 4, 0, 1, 1, 44, 0, 6, 6, 17]);
    first.send_to(&ipfix, ("127.0.0.1", port)).unwrap();
    let left = collector.terminate();
    let versions = serde_json::json!({"5": 1, "7": 1, "9": 1, "10": 1});
    assert_eq!(left.summary["by_version"], versions, "{}", left.stderr);
    assert_eq!(left.flows.len(), 6);
    assert_eq!((&left.flows[5]["type"], &left.flows[5]["proto"]), (&"IPFIX".into(), &"UDP".into()));
    assert_eq!(left.summary["kernel_drops"], 0);
}

#[test]
fn exporters_with_the_same_domain_and_template_id_have_their_own_templates() {
    // C3
    let collector = Listening::start(&["--bind", "127.0.0.1:0"]);
    let to = collector.addresses[0];
    let (first, second) = (socket([127, 0, 0, 3]), socket([127, 0, 0, 4]));
    first.send_to(&v9(1, 1, &[template(256, &[(1, 4), (2, 4)])]), to).unwrap();
    second.send_to(&v9(1, 1, &[template(256, &[(2, 4), (1, 4)])]), to).unwrap();
    for socket in [&first, &second] {
        socket.send_to(&v9(1, 2, &[set(256, &[0, 0, 0, 1, 0, 0, 0, 2])]), to).unwrap();
    }
    // Another domain of the first one knows neither.
    first.send_to(&v9(2, 1, &[set(256, &[0, 0, 0, 1, 0, 0, 0, 2])]), to).unwrap();
    let left = collector.terminate();
    let octets: Vec<_> = left.flows.iter().map(|flow| (&flow["sampler_address"], &flow["bytes"])).collect();
    assert_eq!(octets.len(), 2);
    assert_eq!(octets[0], (&"127.0.0.3".into(), &1.into()));
    assert_eq!(octets[1], (&"127.0.0.4".into(), &2.into()));
    assert_eq!(left.summary["sets_without_template"], 1);
    assert_eq!(left.summary["sequence"]["gaps"], 0);
}

#[test]
fn hundreds_of_exporters_are_told_apart() {
    // C35
    let collector = Listening::start(&["--bind", "127.0.0.1:0", "--quiet"]);
    let to = collector.addresses[0];
    let sockets: Vec<_> = (0..500_u16)
        .map(|number| {
            let [high, low] = number.to_be_bytes();
            socket([127, 1, high, low])
        })
        .collect();
    for sockets in sockets.chunks(50) {
        // No faster than a small receive buffer allows.
        collector.drained();
        for round in 0..4 {
            for (number, socket) in (0..).zip(sockets) {
                let sets = [template(256, &PLAIN), set(256, &plain(number, round))];
                socket.send_to(&v9(1, round, &sets), to).unwrap();
            }
        }
    }
    let left = collector.terminate();
    assert_eq!(
        (left.flows.len(), &left.summary["template_cache"]["new"]),
        (2_000, &left.summary["template_cache"]["scopes"])
    );
    assert_eq!(left.summary["sequence"]["lost_packets"], 0);
    assert_eq!(left.summary["exporters"].as_array().unwrap().len(), 500);
}

#[test]
fn a_full_receive_buffer_is_counted_and_reported() {
    // C16
    let collector = Listening::start(&["--bind", "127.0.0.1:0", "--receive-buffer", "4K"]);
    let (to, exporter) = (collector.addresses[0], socket(Ipv4Addr::LOCALHOST));
    collector.signal("-STOP");
    for sequence in 0..1_000 {
        exporter.send_to(&v5(sequence, 1), to).unwrap();
    }
    collector.signal("-CONT");
    let left = collector.terminate();
    let drops = left.summary["kernel_drops"].as_u64().unwrap();
    assert!(drops > 0);
    assert_eq!(left.summary["datagrams"].as_u64().unwrap() + drops, 1_000);
    assert!(left.stderr.contains("the receive buffer was full, see --receive-buffer"), "{}", left.stderr);
}

#[test]
fn signals_end_it_in_order_and_several_addresses_are_received_at() {
    // C1
    for signal in ["-INT", "-TERM"] {
        let collector = Listening::start(&["--bind", "127.0.0.1:0", "--bind", "127.0.0.1:0"]);
        let exporter = socket(Ipv4Addr::LOCALHOST);
        for (sequence, to) in (0..).zip(&collector.addresses) {
            exporter.send_to(&v5(sequence, 1), to).unwrap();
        }
        wait_until("flows, which are printed while it runs,", || collector.printed().lines().count() == 2);
        collector.signal(signal);
        assert_eq!(collector.wait().summary["data_records"], 2);
    }
}

#[test]
fn it_ends_by_itself_when_nothing_comes_any_more() {
    let left = Listening::start(&["--bind", "127.0.0.1:0", "--idle-exit", "50ms"]).wait();
    assert_eq!(left.summary["datagrams"], 0);
}

#[test]
fn data_before_its_template_is_decoded_when_that_comes() {
    // C15, C36
    let early = v9(5, 1, &[set(400, &[plain(1, 10), plain(2, 20)].concat())]);
    let ipfix = vec![0, 10, 0, 16, 0x65, 0x53, 0xf1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let late = v9(5, 2, &[template(400, &PLAIN), set(400, &plain(3, 30))]);
    let folder = tempfile::tempdir().unwrap();
    let path = capture(&folder, &[ipfix.clone(), early, ipfix, late]);
    let output = decode(&path, &["--records"]);
    let records = json_lines(&stdout(&output));
    let places: Vec<_> = records
        .iter()
        .map(|record| ["datagram", "set", "offset", "length"].map(|member| record[member].as_u64().unwrap()))
        .collect();
    assert_eq!(places, [[1, 0, 24, 13], [1, 0, 37, 13], [3, 1, 48, 13]]);
    let complaint = "192.0.2.7, v9 domain 5, datagram 1, set 0: template 400 is not known, 26 octets of data at octet 20 \
        are kept until it comes";
    assert!(stderr(&output).contains(complaint), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("no template  1 data sets; 1 decoded later (2 records), 0 still waiting")
    );
    let flows = json_lines(&stdout(&decode(&path, &["--quiet"])));
    // What came with the data is kept, its sequence number too.
    let sequence: Vec<_> = flows.iter().map(|flow| flow["sequence_num"].as_u64()).collect();
    assert_eq!(sequence, [Some(1), Some(1), Some(2)]);
}

#[test]
fn malformed_datagrams_do_not_disturb_their_neighbours() {
    // C10
    let collector = Listening::start(&["--bind", "127.0.0.1:0"]);
    let (to, exporter) = (collector.addresses[0], socket(Ipv4Addr::LOCALHOST));
    let good = |sequence| v9(1, sequence, &[template(256, &PLAIN), set(256, &plain(1, 5))]);
    exporter.send_to(&good(0), to).unwrap();
    for round in 0..200 {
        if round % 20 == 0 {
            collector.drained();
        }
        exporter.send_to(&[], to).unwrap();
        exporter.send_to(&[0, 9, 0, 1], to).unwrap();
        exporter.send_to(&[0x47; 700], to).unwrap();
    }
    // A good set, a set that is too short for its own header.
    exporter.send_to(&v9(1, 1, &[set(256, &plain(2, 6)), vec![1, 0, 0, 3]]), to).unwrap();
    exporter.send_to(&good(2), to).unwrap();
    let left = collector.terminate();
    assert_eq!(left.flows.len(), 3, "{}", left.stderr);
    assert_eq!(
        left.summary["malformed_by_reason"],
        serde_json::json!({"truncated": 400, "set_too_short": 1})
    );
    assert_eq!(left.summary["unsupported_versions"], serde_json::json!({"18247": 200}));
    assert_eq!(left.summary["exporters"][0]["faults"]["truncated"], 400);
    assert!(
        left.stderr.contains("v9 domain 1, datagram 601, set 1: set 256 has length 3"),
        "{}",
        left.stderr
    );
    let complaints = left.stderr.lines().filter(|line| line.contains("available")).count();
    assert_eq!(complaints, 6, "{}", left.stderr);
}

#[test]
fn loss_disorder_and_repetition_are_told_apart_exactly() {
    // C4, C6, C9 for v5 (30 flows a datagram) and v9.
    let numbers = [100, 101, 103, 102, 104, 106, 107, 107, 108].map(|number: u32| number.wrapping_sub(105));
    let v5_stream = numbers.map(|number| v5(number.wrapping_mul(30), 30));
    let v9_stream = numbers.map(|number| v9(1, number, &[]));
    let (_, summary) = decode_with_summary(&[v5_stream.as_slice(), &v9_stream].concat());
    let expected = serde_json::json!({
        "gaps": 4, "lost_flows": 30, "lost_packets": 1, "lost_records": 0, "late": 2, "duplicates": 2, "resets": 0,
    });
    assert_eq!(summary["sequence"], expected);
    assert_eq!(summary["exporters"][0]["domains"][0]["sequence"]["unit"], "flows");

    let restarted: Vec<_> = [5_000_000, 5_000_001, 0, 1, 2].map(|number| v9(1, number, &[])).to_vec();
    let (output, summary) = decode_with_summary(&restarted);
    assert_eq!(
        (&summary["sequence"]["resets"], &summary["sequence"]["lost_packets"]),
        (&1.into(), &0.into())
    );
    assert!(stderr(&output).contains("the sequence numbers began anew"), "{}", stderr(&output));
}

#[test]
fn a_later_sampling_rate_applies_to_later_flows_only() {
    // C25
    let rate = |rate: u8| set(257, &[0, 0, 0, 0, 0, 0, 0, rate]);
    let data = |octets| set(256, &plain(1, octets));
    let sets = [
        template(256, &PLAIN),
        data(1),
        options_template(257, &[(34, 4)]),
        rate(100),
        data(2),
        rate(10),
        data(3),
        rate(1),
        data(4),
    ];
    let (output, summary) = decode_with_summary(&[v9(1, 1, &sets)]);
    let flows = json_lines(&stdout(&output));
    let rates: Vec<_> = flows.iter().map(|flow| flow["sampling_rate"].as_u64()).collect();
    assert_eq!(rates, [None, Some(100), Some(10), Some(1)]);
    assert!(flows[0].get("sampling_source").is_none());
    assert_eq!((&flows[1]["sampling_source"], &summary["options_records"]), (&"domain".into(), &3.into()));
}

#[test]
fn nothing_that_was_decoded_is_thrown_away() {
    // C33: a field without a registered meaning, one of a vendor's, repeated ones, rivals for a column.
    let fields =
        [(8, 4), (1, 8), (23, 4), (1, 2), (40_999, 2), (82, 6), (53, 1), (7, 4), (176, 1), (70, 3), (71, 3)];
    let record = [
        &[192, 0, 2, 1][..],
        &900_u64.to_be_bytes(),
        &[0, 0, 2, 188],
        &[0, 5],
        &[0xab, 0xcd],
        b"eth\"0\0",
        &[64],
        &[0, 1, 0, 0],
        &[8],
        &[0, 1, 0x40],
        &[0, 2, 0x11],
    ]
    .concat();
    let (output, _) = decode_with_summary(&[v9(1, 1, &[template(256, &fields), set(256, &record)])]);
    let flow = &json_lines(&stdout(&output))[0];
    assert_eq!((&flow["bytes"], &flow["icmp_type"]), (&900.into(), &8.into()));
    assert_eq!(flow["mpls_label"], serde_json::json!([20, 33]));
    let expected = serde_json::json!({
        "postOctetDeltaCount": 700,
        "octetDeltaCount": 5,
        "40999": "abcd",
        "interfaceName": "eth\"0",
        "maximumTTL": 64,
        // 65536 is no port.
        "sourceTransportPort": 65_536,
    });
    assert_eq!(flow["fields"], expected);
    assert_eq!((&flow["src_port"], &flow["time_flow_start_ns"]), (&Value::Null, &Value::Null));
}

#[test]
fn all_formats_say_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = capture(&folder, &[v5(0, 3), v9(8, 0, &[template(256, &PLAIN), set(256, &plain(7, 77))])]);
    let flows = json_lines(&stdout(&decode(&path, &["--quiet", "--format", "json"])));
    assert_eq!(flows.len(), 4);
    let expected = serde_json::json!({
        "type": "NETFLOW_V5", "time_received_ns": 1_700_000_000_000_000_000_u64, "sequence_num": 0,
        "sampling_rate": null, "sampler_address": "192.0.2.7",
        "time_flow_start_ns": 1_699_999_990_000_000_000_u64, "time_flow_end_ns": 1_699_999_999_000_000_000_u64,
        "bytes": 1500, "packets": 3, "src_addr": "10.5.0.1", "dst_addr": "198.51.100.1", "etype": "IPv4",
        "proto": "TCP", "src_port": 49152, "dst_port": 443, "in_if": 1, "out_if": 2, "ip_tos": 0, "tcp_flags": 27,
        "src_as": 0, "dst_as": 0, "next_hop": "0.0.0.0", "src_net": 24, "dst_net": 0,
        "observation_domain_id": 0, "duration_ms": 9000,
    });
    assert_eq!(flows[1], expected);
    assert_eq!(flows[3]["template_id"], 256);

    let text = stdout(&decode(&path, &["--quiet", "--format", "csv"]));
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let headers = reader.headers().unwrap().clone();
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 4);
    for (row, flow) in rows.iter().zip(&flows) {
        for (name, cell) in headers.iter().zip(row) {
            let expected = match flow.get(name) {
                None | Some(Value::Null) => String::new(),
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
            };
            assert_eq!(cell, expected, "{name}");
        }
        let known: Vec<_> = headers.iter().collect();
        assert!(flow.as_object().unwrap().keys().all(|name| known.contains(&&**name)));
    }

    let table = stdout(&decode(&path, &["--quiet", "--format", "table"]));
    let expected = "\
First seen (UTC)         Duration  Proto  Source          Destination       Flags     Packets  Octets  In  Out  Exporter
2023-11-14 22:13:10.000     9.000  TCP    10.5.0.0:49152  198.51.100.1:443  ...AP.SF        3    1500   1    2  192.0.2.7
2023-11-14 22:13:10.000     9.000  TCP    10.5.0.1:49152  198.51.100.1:443  ...AP.SF        3    1500   1    2  192.0.2.7
2023-11-14 22:13:10.000     9.000  TCP    10.5.0.2:49152  198.51.100.1:443  ...AP.SF        3    1500   1    2  192.0.2.7
-                               -  UDP    192.0.2.7       203.0.113.1       -               -      77   -    -  192.0.2.7
";
    assert_eq!(table, expected);
}

#[test]
fn a_capture_without_flows_is_fine() {
    // A DNS query whose identifier is 9, sent to the port of NetFlow.
    let dns = b"\0\x09\x01\0\0\x01\0\0\0\0\0\0\x07example\0\0\x01\0\x01".to_vec();
    let folder = tempfile::tempdir().unwrap();
    let path = capture(&folder, &[dns, v5(0, 1)]);
    let output = decode(&path, &[]);
    assert!(output.status.success() && stdout(&output).lines().count() == 1, "{}", stderr(&output));
    assert!(stderr(&output).starts_with("datagrams    1 (v5: 1)\n"), "{}", stderr(&output));
    let elsewhere = decode(&path, &["--port", "9995", "--format", "csv", "--quiet"]);
    assert!(elsewhere.status.success() && stderr(&elsewhere).is_empty());
    assert_eq!(stdout(&elsewhere).lines().count(), 1, "the header line");
    // On a port that was asked for, everything is said to be NetFlow.
    assert!(stderr(&decode(&path, &["--port", "2055"])).contains("datagram 0, set 0: "));
}

#[test]
fn files_that_are_cut_off_or_unreadable_fail_after_what_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let whole = capture(&folder, &[v5(0, 1), v5(1, 1)]);
    let octets = fs::read(&whole).unwrap();
    let cut = folder.path().join("cut.pcap");
    fs::write(&cut, &octets[..octets.len() - 10]).unwrap();
    let output = run(&[
        "decode",
        "/nonexistent/file.pcap",
        env!("CARGO_MANIFEST_PATH"),
        cut.to_str().unwrap(),
        whole.to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stdout(&output).lines().count(), 3);
    let complaints = stderr(&output);
    assert!(complaints.contains("netflow-collector: /nonexistent/file.pcap: "), "{complaints}");
    assert!(
        complaints.contains("Cargo.toml: at octet 0 of the capture file: not a capture file"),
        "{complaints}"
    );
    let place = format!("cut.pcap: at octet {} of the capture file", 24 + (octets.len() - 24) / 2);
    assert!(complaints.contains(&place), "{complaints}");
}

#[test]
fn a_datagram_that_the_capture_cut_is_decoded_as_far_as_it_goes() {
    let folder = tempfile::tempdir().unwrap();
    let path = capture(&folder, &[v5(0, 3)]);
    let mut octets = fs::read(&path).unwrap();
    // The capture kept two records of three: file header, then seconds, microseconds, captured length.
    let kept = octets.len() - 40 - 50;
    octets.truncate(40 + kept);
    octets[32..36].copy_from_slice(&u32::try_from(kept).unwrap().to_le_bytes());
    fs::write(&path, octets).unwrap();
    let output = decode(&path, &[]);
    assert_eq!(stdout(&output).lines().count(), 1, "{}", stderr(&output));
    assert!(
        stderr(&output).contains("the capture has only the first 118 octets of this datagram"),
        "{}",
        stderr(&output)
    );
    assert!(stderr(&output).contains("3 records announced"), "{}", stderr(&output));
}

#[test]
fn nobody_reading_is_a_quiet_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = capture(&folder, &vec![v5(0, 30); 500]);
    let mut child = Command::new(PROGRAM)
        .args(["decode", path.to_str().unwrap(), "--quiet"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", stderr(&output));
}

#[test]
fn wrong_arguments_are_named_together_with_what_is_accepted() {
    let cases: [(&[&str], &[&str]); 11] = [
        (&["decode", "--quirk", "long=on", "f"], &["--quirk <NAME=on|off>", "long-uptimes", "lone-sampler"]),
        (&["decode", "--quirk", "odd-widths=off", "f"], &["always on"]),
        (&["listen", "--bind", "2055"], &["--bind <ADDR:PORT>", "0.0.0.0:2055 or [::]:2055"]),
        (&["listen", "--idle-exit", "5"], &["--idle-exit <DURATION>", "one of ms, s, m, h, d"]),
        (&["listen", "--receive-buffer", "much"], &["--receive-buffer <OCTETS>", "K, M, G or T behind it"]),
        (&["listen", "--receive-buffer", "5G"], &["--receive-buffer <OCTETS>", "at most 1023M expected"]),
        (&["decode"], &["<FILE>"]),
        (&["decode", "--format", "xml", "f"], &["--format <FORMAT>", "json, csv, table"]),
        (&["decode", "--port", "70000", "f"], &["--port <PORT>", "0..=65535"]),
        (&["decode", "--records", "--format", "csv", "f"], &["--records", "--format"]),
        (&["replay"], &["replay", "--help"]),
    ];
    for (arguments, expected) in cases {
        let output = run(arguments);
        let complaint = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        for expected in expected {
            assert!(complaint.contains(expected), "{arguments:?}: {complaint}");
        }
    }
    // Sound arguments that cannot be met.
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = run(&["listen", "--bind", &address]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains(&format!("cannot receive at {address}: ")), "{}", stderr(&output));
    // What can only be written at the end is known before.
    let free = ["listen", "--bind", "127.0.0.1:0"];
    for argument in ["--summary", "--state"] {
        for path in ["/nonexistent/file", "/"] {
            let output = run(&[&free[..], &[argument, path]].concat());
            assert_eq!(output.status.code(), Some(1));
            assert!(stderr(&output).contains(&format!("cannot write {path}: ")), "{}", stderr(&output));
        }
    }
    let output = run(&["decode", "--output", "/nonexistent/flows", "f"]);
    assert!(stderr(&output).contains("cannot write /nonexistent/flows: "), "{}", stderr(&output));
}

#[test]
fn help_explains_every_argument() {
    for (subcommand, arguments) in [
        ("listen", &["--bind", "--idle-exit", "--receive-buffer", "--format", "--records", "--summary"][..]),
        ("decode", &["<FILE>...", "--port", "--output", "--quiet", "--strict", "--quirk"]),
    ] {
        let help = stdout(&run(&[subcommand, "--help"]));
        for argument in arguments {
            assert!(help.contains(argument), "{help}");
        }
    }
}
