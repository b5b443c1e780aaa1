//! `netflow-collector doctor`: what is against the documents is found, with its clause and its quirk, and nothing else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

#[path = "collector_datagrams/mod.rs"]
mod collector_datagrams;
mod common;

use core::{convert::Infallible, net::SocketAddr};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{BufRead as _, BufReader, Read as _},
    net::UdpSocket,
    path::Path,
    process::{Command, Stdio},
};

use collector_datagrams::{PLAIN, options_template, plain, set, template, v5, v9};
use common::{
    jobs::{collector, json, text},
    peers::{Background, run},
    scenario::Scenario,
};
use netflow_codec::Timestamp;
use netflow_probe_example::jobs::doctor::{Doctor, Finding, Limits, Report, Severity};
use serde_json::Value;
use tempfile::TempDir;

const SECOND: u64 = 1_700_000_000;

fn checked(datagrams: &[Vec<u8>]) -> Report {
    checked_at(datagrams.iter().map(|datagram| (datagram.clone(), SECOND)))
}

fn checked_at(datagrams: impl IntoIterator<Item = (Vec<u8>, u64)>) -> Report {
    let exporter: SocketAddr = "192.0.2.1:40000".parse().unwrap();
    let mut doctor = Doctor::new(Limits::default());
    for (datagram, second) in datagrams {
        doctor.handle_datagram(exporter, &datagram, Timestamp::from_secs(second));
    }
    doctor.finish()
}

fn rules(report: &Report) -> BTreeSet<&'static str> {
    report.findings.iter().map(|finding| finding.rule).collect()
}

fn found<'r>(report: &'r Report, rule: &str) -> &'r Finding {
    report.findings.iter().find(|finding| finding.rule == rule).unwrap_or_else(|| panic!("{rule}: {report}"))
}

/// A v9 datagram whose header counts what we say.
fn counted(count: u16, sequence: u32, sets: &[Vec<u8>]) -> Vec<u8> {
    let mut datagram = v9(7, sequence, sets);
    datagram[2..4].copy_from_slice(&count.to_be_bytes());
    datagram
}

#[test]
fn an_exporter_that_keeps_to_the_documents_has_nothing_to_hear() {
    let folder = TempDir::new().unwrap();
    let capture = Scenario::new(71, 100).background(8_000).write_capture(folder.path());
    let report = json(&["doctor", "--json", capture.to_str().unwrap()]);
    assert_eq!(report["findings"], serde_json::json!([]), "{report:#}");
    assert_eq!(report["streams"][0]["sampling"], serde_json::json!([100]));
    assert!(text(&["doctor", capture.to_str().unwrap()]).contains("nothing to find fault with"));
}

#[test]
fn counts_of_sets_are_told_from_counts_of_records() {
    let records = [plain(1, 10), plain(2, 20), plain(3, 30), plain(4, 40)].concat();
    let sets = [template(256, &PLAIN), set(256, &records)];
    assert!(!rules(&checked(&[counted(5, 1, &sets)])).contains("count"));
    let report = checked(&[counted(2, 1, &sets)]);
    let finding = found(&report, "count");
    assert_eq!((finding.severity, finding.clause), (Severity::Error, "RFC 3954 section 5.1"));
    assert_eq!(finding.example, "the header says 2, which is that of FlowSets, there are 5 records");
    assert_eq!(finding.quirk.unwrap().name, "count-is-a-hint");
    let mut cut = v5(1, 3);
    cut[3] = 9;
    assert_eq!(found(&checked(&[cut]), "count").clause, "header of NetFlow v5");
}

#[test]
fn padding_and_alignment_are_looked_at() {
    // Records of 13 octets.
    let records = |padding: &[u8]| [&plain(1, 10)[..], padding].concat();
    let report = |padding: &[u8]| {
        let sets = [template(256, &PLAIN), set(256, &records(padding))];
        rules(&checked(&[counted(2, 1, &sets)]))
            .into_iter()
            .filter(|rule| rule.contains("padding") || *rule == "alignment")
            .collect::<Vec<_>>()
    };
    assert_eq!(report(&[0, 0, 0]), Vec::<&str>::new());
    assert_eq!(report(&[]), ["alignment"]);
    assert_eq!(report(&[0, 7, 0]), ["padding-content"]);
    assert_eq!(report(&[0; 7]), ["padding-length"]);
}

#[test]
fn sequence_numbers_that_count_something_else_are_explained() {
    let sets = [template(256, &PLAIN), set(256, &[plain(1, 1), plain(2, 2), plain(3, 3), vec![0]].concat())];
    let stream = |step: u32| {
        checked(&(0..10).map(|number| counted(4, 100 + number * step, &sets)).collect::<Vec<_>>())
    };
    assert!(!rules(&stream(1)).iter().any(|rule| rule.starts_with("sequence")));
    let report = stream(3);
    assert_eq!(found(&report, "sequence-step").example, "it counts records instead of datagrams");
    assert!(!rules(&report).contains("sequence-gap"));
    assert_eq!(
        found(&stream(4), "sequence-step").example,
        "it counts records and templates instead of datagrams"
    );
    // A loss is a loss.
    let mut datagrams: Vec<Vec<u8>> = (0..10).map(|number| counted(4, 100 + number, &sets)).collect();
    datagrams.drain(4..6);
    assert_eq!(found(&checked(&datagrams), "sequence-gap").example, "2 before number 106");
}

#[test]
fn templates_that_are_not_sent_again_are_found() {
    let first = counted(1, 1, &[template(256, &PLAIN)]);
    let data = |sequence| counted(1, sequence, &[set(256, &[plain(1, 1), vec![0; 3]].concat())]);
    let stale = checked_at((0..=40).map(|minute| match minute {
        0 => (first.clone(), SECOND),
        _ => (data(minute + 1), SECOND + u64::from(minute) * 60),
    }));
    assert_eq!(found(&stale, "template-refresh").example, "template 256 not within 40 min 0 s");
    let fresh = checked_at((0..=40).map(|minute| match minute % 10 {
        0 => (counted(1, minute + 1, &[template(256, &PLAIN)]), SECOND + u64::from(minute) * 60),
        _ => (data(minute + 1), SECOND + u64::from(minute) * 60),
    }));
    assert!(!rules(&fresh).contains("template-refresh"));
    let early = checked(&[data(1), first]);
    assert_eq!(found(&early, "template-missing").clause, "RFC 3954 section 9");
    let redefined = checked(&[
        counted(1, 1, &[template(256, &PLAIN)]),
        counted(1, 2, &[template(256, &[(8, 4), (2, 4)])]),
    ]);
    assert_eq!(found(&redefined, "template-redefined").example, "template 256");
}

#[test]
fn clocks_and_times_of_flows_are_compared() {
    let datagram = v9(7, 1, &[template(256, &PLAIN)]);
    let ahead = checked_at([(datagram.clone(), SECOND - 90)]);
    assert_eq!(found(&ahead, "clock-skew").example, "1 min 30 s ahead");
    assert!(!rules(&checked_at([(datagram, SECOND + 5)])).contains("clock-skew"));
    // Uptimes of first and last packet; the header's is 60,000 milliseconds.
    let timed = [(8, 4), (12, 4), (2, 4), (1, 4), (22, 4), (21, 4)];
    let record = |first: u32, last: u32| {
        let words = [0x0a00_0001, 0x0a00_0002, 3, 300, first, last];
        words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>()
    };
    let with =
        |first, last| checked(&[counted(2, 1, &[template(256, &timed), set(256, &record(first, last))])]);
    assert_eq!(rules(&with(10_000, 50_000)).into_iter().collect::<Vec<_>>(), ["sampling-unknown"]);
    assert_eq!(found(&with(10_000, 70_000), "flow-in-future").quirk.unwrap().name, "last-in-future");
    assert!(found(&with(50_000, 10_000), "end-before-start").example.contains("2023-11-14"));
    // An uptime of minus two hours.
    let long = found(&with(0_u32.wrapping_sub(7_200_000), 0), "active-timeout").clone();
    assert_eq!(long.example, "a flow of 2 h 0 min, 1800 s is the timeout that is expected");
    assert_eq!(long.clause, "RFC 3954 section 3.2");
}

#[test]
fn odd_templates_are_described() {
    let odd = template(
        300,
        &[(8, 4), (27, 16), (22, 8), (21, 8), (1, 4), (1, 4), (44_999, 4), (4, 0), (30_000, 2)],
    );
    let report = checked(&[counted(2, 1, &[odd, options_template(301, &[(34, 4)])])]);
    let by_rule: BTreeMap<&str, &Finding> = report.findings.iter().map(|one| (one.rule, one)).collect();
    assert_eq!(
        by_rule["width"].example,
        "template 300, element 22 (flowStartSysUpTime) has 8 octets, its type 4"
    );
    assert_eq!(by_rule["repeated-elements"].example, "template 300 repeats 1");
    assert_eq!(by_rule["both-address-families"].example, "template 300");
    assert_eq!(by_rule["v9-types-above-32767"].example, "template 300 has type 44999");
    assert_eq!(by_rule["zero-length-fields"].example, "template 300, element 4 (protocolIdentifier)");
    assert!(by_rule["unknown-element"].example.starts_with("template 300 has element "));
    // What the codec did about it is told, too.
    assert!(by_rule.contains_key("long-uptimes"), "{report}");
    for finding in &report.findings {
        assert!(!finding.clause.is_empty() && !finding.what.is_empty());
    }
}

#[test]
fn sampling_that_nobody_announces_is_missed() {
    let with_packets = [(8, 4), (12, 4), (2, 4), (1, 4), (22, 4), (21, 4)];
    let words = [0x0a00_0001_u32, 0x0a00_0002, 3, 300, 1_000, 2_000];
    let record: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    let flows = [template(256, &with_packets), set(256, &record)];
    let silent = checked(&[counted(2, 1, &flows)]);
    assert_eq!(found(&silent, "sampling-unknown").clause, "RFC 3954 section 6.1");
    let announced =
        [options_template(257, &[(34, 4), (35, 1)]), set(257, &[0, 0, 0, 7, 0, 0, 0, 100, 2, 0, 0, 0])];
    let told = checked(&[counted(4, 1, &[&announced[..], &flows[..]].concat())]);
    assert!(!rules(&told).contains("sampling-unknown"), "{told}");
    assert_eq!(told.streams[0].sampling, [100]);
}

#[test]
fn hostile_datagrams_are_found_fault_with_and_survived() {
    let whole = counted(3, 1, &[template(256, &PLAIN), set(256, &[plain(1, 1), plain(2, 2)].concat())]);
    let mut datagrams: Vec<Vec<u8>> = (0..whole.len()).map(|length| whole[..length].to_vec()).collect();
    for place in 0..whole.len() {
        for value in [0, 1, 0x7f, 0xff] {
            let mut damaged = whole.clone();
            damaged[place] = value;
            datagrams.push(damaged);
        }
    }
    let report = checked(&datagrams);
    assert_eq!(report.datagrams, datagrams.len() as u64);
    for rule in ["header", "set-length", "template"] {
        assert_eq!(found(&report, rule).severity, Severity::Error);
    }
    let folder = TempDir::new().unwrap();
    let noise = folder.path().join("noise");
    fs::write(&noise, [0x33; 1_000]).unwrap();
    assert_eq!(collector(&["doctor", noise.to_str().unwrap()]).status.code(), Some(1));
    assert_eq!(collector(&["doctor", "/nonexistent"]).status.code(), Some(1));
    assert_eq!(collector(&["doctor"]).status.code(), Some(2));
}

/// What the independent decoder of the captures says of a case.
fn expectations(case: &Path) -> (bool, bool, bool, bool) {
    let expected: Value =
        serde_json::from_str(&fs::read_to_string(case.join("expected.json")).unwrap()).unwrap();
    let packets = expected["packets"].as_array().unwrap();
    let counts: Vec<&str> = packets.iter().filter_map(|packet| packet["v9_count_is"].as_str()).collect();
    let sets = |packet: &Value| packet["sets"].as_array().cloned().unwrap_or_default();
    let all_sound = packets.iter().all(|packet| sets(packet).iter().all(|set| set["kind"] != "bad"));
    let unaligned = packets.iter().filter(|packet| packet["version"] == 9).any(|packet| {
        sets(packet).iter().any(|set| set["length"].as_u64().is_some_and(|length| length % 4 != 0))
    });
    let all_known = expected["sets_without_template"].as_array().is_none_or(Vec::is_empty);
    // Only whole packets can be counted.
    // Nobody knows how many records of no octets there are, nor which of 1 to 3 octets are padding.
    let is_short = |template: &Value| {
        let fields = template["fields"].as_array().unwrap();
        fields.iter().map(|field| field[1].as_u64().unwrap()).sum::<u64>() < 4
    };
    let any_short = expected["distinct_templates"].as_array().unwrap().iter().any(is_short);
    let is_countable = all_sound && all_known && !any_short;
    let miscounts = counts.iter().any(|count| *count == "flowsets" || count.starts_with("neither"));
    (is_countable, miscounts, unaligned && all_sound, all_known)
}

#[test]
fn captured_exporters_have_the_faults_that_another_decoder_finds() {
    let Some(shared) = common::shared_dir() else { return };
    let mut cases: Vec<_> =
        fs::read_dir(shared.join("corpus")).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|case| case.is_dir());
    cases.sort();
    assert!(cases.len() > 100);
    let (mut miscounting, mut unaligned_cases, mut missing) = (0, 0, 0);
    let mut wrong = Vec::new();
    for case in &cases {
        let name = case.file_name().unwrap().to_str().unwrap();
        let report = check_capture(&case.join("capture.pcap"));
        let rules = rules(&report);
        let (is_countable, miscounts, unaligned, all_known) = expectations(case);
        if is_countable
            && rules.contains("count") != miscounts
            && report.streams.iter().all(|stream| stream.version == 9)
        {
            wrong.push(format!("{name}: count {}, expected {miscounts}", !miscounts));
        }
        miscounting += usize::from(is_countable && miscounts);
        if unaligned && !rules.contains("alignment") {
            wrong.push(format!("{name}: alignment"));
        }
        unaligned_cases += usize::from(unaligned);
        if rules.contains("template-missing") == all_known {
            wrong.push(format!("{name}: template-missing is not {}", !all_known));
        }
        missing += usize::from(!all_known);
        for finding in &report.findings {
            assert!(!finding.clause.is_empty() && finding.count > 0, "{name}: {finding:?}");
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(
        miscounting >= 3 && unaligned_cases >= 5 && missing >= 10,
        "{miscounting} {unaligned_cases} {missing}"
    );
}

fn check_capture(path: &Path) -> Report {
    let mut doctor = Doctor::new(Limits::default());
    let file = netflow_probe_example::pcap::CaptureFile::new(fs::File::open(path).unwrap()).unwrap();
    let ports = netflow_probe_example::receive::PortFilter::new(Vec::new());
    let mut datagrams = netflow_probe_example::receive::Datagrams::new(file, ports);
    let read = datagrams.for_each(|datagram| {
        doctor.handle_datagram(datagram.source, datagram.payload, datagram.captured);
        Ok::<(), Infallible>(())
    });
    read.unwrap().unwrap();
    doctor.finish()
}

#[test]
fn a_live_exporter_is_looked_at_until_a_signal_comes() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_netflow-collector"))
        .args(["doctor", "--live", "127.0.0.1:0", "--for", "60s", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    let mut answer = child.stdout.take().unwrap();
    let mut background = Background(child);
    let mut line = String::new();
    errors.read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening on ").unwrap().to_owned();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port: u16 = address.rsplit(':').next().unwrap().parse().unwrap();
    // Of 2023: the clock is off by years.
    socket.send_to(&v9(7, 1, &[template(256, &PLAIN)]), &address).unwrap();
    common::peers::wait_until("the datagram", || common::peers::is_drained(port));
    run("kill", &["-INT", &background.0.id().to_string()]);
    let mut json = String::new();
    answer.read_to_string(&mut json).unwrap();
    assert!(background.0.wait().unwrap().success());
    let report: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report["datagrams"], 1);
    let findings = report["findings"].as_array().unwrap();
    assert!(
        findings
            .iter()
            .any(|finding| finding["rule"] == "clock-skew"
                && finding["quirk"]["name"] == "uptime-as-unix-time"),
        "{report:#}"
    );
}
