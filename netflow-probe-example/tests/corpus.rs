//! The corpus of captured exporters: what the collector decodes is what its reference decoder decoded.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics"
)]

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use netflow_codec::Timestamp;
use netflow_probe_example::{
    collector::Collector,
    output::{JsonSink, RecordsSink},
};
use serde_json::Value;

/// Versions that are decoded.
const VERSIONS: [u64; 5] = [1, 5, 7, 9, 10];

/// Those of them that have templates.
const TEMPLATED: [u64; 2] = [9, 10];

/// Where the collector differs from the reference decoder on purpose: case, member of `expected.json`, reference,
/// collector, reason.
const ACCEPTED: &[(&str, &str, u64, u64, &str)] = &[];

/// Cases whose flows begin or end more than 100 seconds after their header's uptime. The reference takes that for the
/// future, the collector for 49.7 days before: uptime wraps, and exporters do not foresee flows.
const WRAPPED: [&str; 5] = [
    "generated__softflowd-v1-mplsvlan",
    "generated__softflowd-v5-mplsvlan",
    "logstash__netflow-5-invalid-01",
    "netflow-parser__it-parses-multiple-packets",
    "netflow-parser__it-parses-v7",
];

#[derive(Debug)]
struct Case {
    name: String,
    folder: PathBuf,
    expected: Value,
    records: Vec<Value>,
}

impl Case {
    fn read(folder: PathBuf) -> Option<Self> {
        let name = folder.file_name()?.to_str()?.to_owned();
        let meta: Value = serde_json::from_slice(&fs::read(folder.join("meta.json")).ok()?).unwrap();
        let versions: Vec<u64> = meta["versions"].as_array()?.iter().filter_map(Value::as_u64).collect();
        if !versions.iter().any(|version| VERSIONS.contains(version)) {
            return None;
        }
        let expected: Value =
            serde_json::from_slice(&fs::read(folder.join("expected.json")).unwrap()).unwrap();
        let decoded = |packet: &Value| {
            let index = usize::try_from(packet.as_u64().unwrap()).unwrap();
            VERSIONS.contains(&expected["packets"][index]["version"].as_u64().unwrap())
        };
        let lines = fs::read_to_string(folder.join("records.jsonl")).unwrap_or_else(|_| unzip(&folder));
        let records = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let records = records.filter(|record| decoded(&record["p"])).collect();
        Some(Self { name, folder, expected, records })
    }

    fn all() -> Option<Vec<Self>> {
        let mut folders: Vec<_> = fs::read_dir(common::shared_dir()?.join("corpus"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        folders.sort();
        let cases: Vec<_> = folders.into_iter().filter_map(Self::read).collect();
        assert!(cases.len() > 60, "only {} cases", cases.len());
        Some(cases)
    }

    /// Records that the reference decoder would have had if it kept data until its template came, by set.
    fn buffered(&self) -> BTreeMap<(u64, u64), u64> {
        let sets = self.expected["sets_without_template"].as_array().unwrap().iter();
        sets.filter_map(|set| {
            let count = set.get("records_if_buffered")?.as_u64()?;
            Some(((set["packet"].as_u64()?, set["set"].as_u64()?), count))
        })
        .collect()
    }

    /// What the collector is to count: the reference's number unless the table says otherwise.
    fn count(&self, member: &str) -> u64 {
        let reference = if member == "sets_without_template" {
            let is_decoded = |set: &&Value| {
                let packet = usize::try_from(set["packet"].as_u64().unwrap()).unwrap();
                TEMPLATED.contains(&self.expected["packets"][packet]["version"].as_u64().unwrap())
            };
            self.expected[member].as_array().unwrap().iter().filter(is_decoded).count() as u64
        } else if member.ends_with("template_records") {
            let kind = member.trim_end_matches("_records");
            let packets = self.expected["packets"].as_array().unwrap().iter();
            let sets = packets.filter(|packet| TEMPLATED.contains(&packet["version"].as_u64().unwrap()));
            let sets = sets.flat_map(|packet| packet["sets"].as_array().unwrap());
            sets.filter(|set| set["kind"] == kind).map(|set| set["records"].as_u64().unwrap_or(0)).sum()
        } else {
            let kind = if member == "data_records" { "data" } else { "options" };
            self.records.iter().filter(|record| record["kind"] == kind).count() as u64
        };
        match ACCEPTED.iter().find(|(case, of, ..)| (*case, *of) == (&*self.name, member)) {
            Some((_, _, expected, ours, _)) => {
                assert_eq!(reference, *expected, "{}: the table of differences is out of date", self.name);
                *ours
            }
            None => reference,
        }
    }
}

fn unzip(folder: &Path) -> String {
    let output = Command::new("gzip").arg("-dc").arg(folder.join("records.jsonl.gz")).output();
    String::from_utf8(output.expect("gzip is needed").stdout).unwrap()
}

/// The records, the flows and the summary that the library gives.
fn collect(case: &Case) -> (String, Vec<Value>, Value) {
    let (mut records, mut flows) = (Vec::new(), Vec::new());
    let mut collector = Collector::new((RecordsSink::new(&mut records), JsonSink::new(&mut flows)));
    let packets = fs::read(case.folder.join("packets.bin")).unwrap();
    let mut rest = packets.as_slice();
    // length | exporter | port | payload
    while let Some((head, behind)) = rest.split_first_chunk::<10>() {
        let length = usize::try_from(u32::from_be_bytes(head[..4].try_into().unwrap())).unwrap();
        let address: [u8; 4] = head[4..8].try_into().unwrap();
        let port = u16::from_be_bytes([head[8], head[9]]);
        let (payload, behind) = behind.split_at(length);
        collector
            .handle_datagram((address, port).into(), payload, Timestamp::from_secs(1_700_000_000))
            .unwrap();
        rest = behind;
    }
    collector.flush().unwrap();
    let summary = collector.summary().to_json();
    drop(collector);
    let flows = String::from_utf8(flows).unwrap();
    let flows = flows.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (String::from_utf8(records).unwrap(), flows, summary)
}

#[test]
fn records_places_and_values_are_those_of_the_reference_decoder() {
    // C15, C34; C33 for those that no registry knows.
    let Some(cases) = Case::all() else { return };
    let mut wrapped = BTreeSet::new();
    for case in &cases {
        let (lines, flows, summary) = collect(case);
        let ours: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let buffered = case.buffered();
        let is_recovered = |record: &&Value| {
            let place = (record["datagram"].as_u64().unwrap(), record["set"].as_u64().unwrap());
            buffered.contains_key(&place)
        };
        let places: BTreeMap<_, _> =
            case.records.iter().map(|reference| (place(reference), reference)).collect();
        let in_time = ours.iter().filter(|record| !is_recovered(record));
        let (in_time, more): (Vec<_>, Vec<_>) =
            in_time.partition(|record| places.contains_key(&own_place(record)));
        let accepted =
            case.count("options_data_records") + case.count("data_records") - case.records.len() as u64;
        assert_eq!(more.len() as u64, accepted, "{}: records that the reference has not", case.name);
        assert_eq!(in_time.len(), case.records.len(), "{}: records", case.name);
        for (ours, reference) in in_time.iter().zip(&case.records) {
            compare_record(&case.name, ours, reference);
        }
        let mut recovered = BTreeMap::new();
        for record in ours.iter().filter(is_recovered) {
            let place = (record["datagram"].as_u64().unwrap(), record["set"].as_u64().unwrap());
            *recovered.entry(place).or_insert(0) += 1;
        }
        assert_eq!(recovered, buffered, "{}: records that waited for their template", case.name);

        let data: Vec<&Value> = ours.iter().filter(|record| record["kind"] == "data").collect();
        assert_eq!(data.len(), flows.len(), "{}: one flow per data record", case.name);
        for (record, flow) in data.iter().zip(&flows) {
            if let Some(reference) = places.get(&own_place(record))
                && compare_flow(&case.name, flow, &reference["flow"])
            {
                wrapped.insert(&*case.name);
            }
        }
        compare_summary(case, &summary);
    }
    assert_eq!(wrapped, BTreeSet::from(WRAPPED));
}

fn place(reference: &Value) -> (u64, u64) {
    (reference["p"].as_u64().unwrap(), reference["off"].as_u64().unwrap())
}

fn own_place(record: &Value) -> (u64, u64) {
    (record["datagram"].as_u64().unwrap(), record["offset"].as_u64().unwrap())
}

fn compare_record(case: &str, ours: &Value, reference: &Value) {
    let context = format!("{case}: {ours}\n{reference}");
    assert_eq!((&ours["datagram"], &ours["set"]), (&reference["p"], &reference["s"]), "{context}");
    assert_eq!(ours["kind"], reference["kind"], "{context}");
    assert_eq!((&ours["offset"], &ours["length"]), (&reference["off"], &reference["len"]), "{context}");
    assert_eq!(ours["scope_fields"], reference["scope"].as_u64().unwrap_or(0), "{context}");
    if ours["template_id"].is_null() {
        assert!(VERSIONS.contains(&reference["id"].as_u64().unwrap()), "{context}");
    } else {
        assert_eq!(ours["template_id"], reference["id"], "{context}");
    }
    let fields = ours["fields"].as_array().unwrap().iter();
    let fields: Vec<Value> = fields
        .map(|field| Value::from(vec![field["id"].clone(), field["pen"].clone(), field["hex"].clone()]))
        .collect();
    assert_eq!(&fields, reference["f"].as_array().unwrap(), "{context}");
}

/// The normalised flow: names of the reference, names of ours. Returns whether a time differs as [`WRAPPED`] says.
fn compare_flow(case: &str, ours: &Value, reference: &Value) -> bool {
    let mut is_wrapped = false;
    let context = || format!("{case}: {ours}\n{reference}");
    let has = |name: &str| reference.get(name).is_some();
    let extra = |name: &str| ours.get("fields").and_then(|fields| fields.get(name));
    for (name, value) in reference.as_object().unwrap() {
        let ours = match &**name {
            "src" => ours.get("src_addr"),
            "dst" => ours.get("dst_addr"),
            "next_hop" | "bgp_next_hop" | "packets" | "bytes" | "src_port" | "dst_port" | "tcp_flags"
            | "src_as" | "dst_as" => ours.get(name),
            "input_if" => ours.get("in_if"),
            "output_if" => ours.get("out_if"),
            "tos" => ours.get("ip_tos"),
            "src_mask" => ours.get("src_net"),
            "dst_mask" => ours.get("dst_net"),
            "direction" => ours.get("flow_direction"),
            "vlan" => ours.get("src_vlan"),
            "sampler_id" => extra("samplerId"),
            "out_bytes" | "total_bytes" | "initiator_bytes" if !has("bytes") => ours.get("bytes"),
            "out_packets" | "total_packets" | "initiator_packets" if !has("packets") => ours.get("packets"),
            "out_bytes" => extra("postOctetDeltaCount"),
            "out_packets" => extra("postPacketDeltaCount"),
            "total_bytes" => extra("octetTotalCount"),
            "initiator_bytes" => extra("initiatorOctets"),
            "initiator_packets" => extra("initiatorPackets"),
            "total_packets" => extra("packetTotalCount"),
            "responder_bytes" => extra("responderOctets"),
            "responder_packets" => extra("responderPackets"),
            "sampling_interval" if ours["sampling_source"] == "record" => ours.get("sampling_rate"),
            "sampling_interval" => extra("samplingInterval"),
            "start_ms" | "end_ms" => {
                let column = if name == "start_ms" { "time_flow_start_ns" } else { "time_flow_end_ns" };
                let millis = ours[column].as_u64().unwrap() / 1_000_000;
                let reference = value.as_u64().unwrap();
                if reference == millis + (1 << 32) {
                    is_wrapped = true;
                } else {
                    assert_eq!(millis, reference, "{name} of {}", context());
                }
                continue;
            }
            // Shown by the times in most records.
            "start_uptime_ms" | "end_uptime_ms" => continue,
            "protocol" => {
                let number = value.as_u64().and_then(|number| u8::try_from(number).ok()).unwrap();
                let keyword = netflow_probe_example::flow::protocol_keyword(number);
                let expected = keyword.map_or_else(|| number.to_string(), ToOwned::to_owned);
                assert_eq!(ours["proto"], expected, "{}", context());
                continue;
            }
            "icmp_type_code" => {
                if !matches!(ours["proto"].as_str(), None | Some("ICMP" | "IPv6-ICMP")) {
                    // Of another protocol, a zero means nothing.
                    let left = ["icmpTypeCodeIPv4", "icmpTypeCodeIPv6"].iter().find_map(|name| extra(name));
                    assert_eq!(left.and_then(Value::as_u64).unwrap_or(0), *value, "{}", context());
                    assert!(ours["icmp_type"].is_null() && ours["icmp_code"].is_null(), "{}", context());
                    continue;
                }
                let both = ours["icmp_type"].as_u64().zip(ours["icmp_code"].as_u64());
                assert_eq!(both.map(|(kind, code)| kind * 256 + code), value.as_u64(), "{}", context());
                continue;
            }
            "ip_version" => {
                let etype = if *value == 6 { "IPv6" } else { "IPv4" };
                assert!(ours["etype"] == etype || extra("ipVersion") == Some(value), "{}", context());
                continue;
            }
            other => panic!("{case}: what is {other}?"),
        };
        assert_eq!(ours, Some(value), "{name} of {}", context());
    }
    is_wrapped
}

fn compare_summary(case: &Case, summary: &Value) {
    let recovered: u64 = case.buffered().values().sum();
    let context = &case.name;
    assert_eq!(summary["template_records"], case.count("template_records"), "{context}: templates");
    let options = case.count("options_template_records");
    assert_eq!(summary["options_template_records"], options, "{context}: options templates");
    assert_eq!(summary["sets_without_template"], case.count("sets_without_template"), "{context}");
    assert_eq!(summary["sets_recovered"], case.buffered().len(), "{context}");
    assert_eq!(summary["records_recovered"], recovered, "{context}");
    let sum = |member: &str| summary[member].as_u64().unwrap();
    let expected = case.count("data_records") + case.count("options_data_records") + recovered;
    assert_eq!(sum("data_records") + sum("options_records"), expected, "{context}: records");
    assert_eq!(summary["datagrams"], case.expected["export_packets"], "{context}: datagrams");
    let versions: u64 = summary["by_version"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
    let unsupported: u64 =
        summary["unsupported_versions"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
    assert_eq!(versions + unsupported, sum("datagrams"), "{context}: every datagram has a version");
}

fn decode(capture: &Path, arguments: &[&str]) -> (String, String, bool) {
    let output = Command::new(env!("CARGO_BIN_EXE_netflow-collector"))
        .arg("decode")
        .args(arguments)
        .arg(capture)
        .output()
        .unwrap();
    let text = |octets| String::from_utf8(octets).unwrap();
    (text(output.stdout), text(output.stderr), output.status.success())
}

#[test]
fn the_program_decodes_captures_as_the_library_decodes_datagrams() {
    let Some(cases) = Case::all() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("summary.json");
    for case in &cases {
        let (records, _, expected) = collect(case);
        let capture = case.folder.join("capture.pcap");
        let (lines, complaints, success) =
            decode(&capture, &["--records", "--quiet", "--summary", file.to_str().unwrap()]);
        assert!(success && complaints.is_empty(), "{}: {complaints}", case.name);
        assert!(lines == records, "{}: records differ", case.name);
        let mut summary: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        let mut expected = expected;
        for summary in [&mut summary, &mut expected] {
            // The times of arrival differ.
            for exporter in summary["exporters"].as_array_mut().unwrap() {
                exporter["last_seen_ns"] = Value::Null;
                for domain in exporter["domains"].as_array_mut().unwrap() {
                    if let Some(last) = domain.pointer_mut("/restarts/last") {
                        last["since"] = Value::Null;
                    }
                }
                // `packets.bin` has no room for IPv6 addresses.
                let address = exporter["exporter"].as_str().unwrap();
                if address == "0.0.0.0" || address.contains(':') {
                    exporter["exporter"] = "IPv6".into();
                }
            }
        }
        // Only captures have datagrams that are none of NetFlow.
        expected["udp_datagrams_ignored"] = summary["udp_datagrams_ignored"].clone();
        assert_eq!(summary, expected, "{}", case.name);
    }
}

#[test]
fn strict_decoding_invents_nothing() {
    let Some(cases) = Case::all() else { return };
    for case in &cases {
        let (records, _, _) = collect(case);
        let lenient: BTreeSet<&str> = records.lines().collect();
        let (lines, _, success) =
            decode(&case.folder.join("capture.pcap"), &["--records", "--quiet", "--strict"]);
        assert!(success, "{}", case.name);
        // There, templates of records of 0 octets take the place of sound ones. Strict decoding refuses them, and the
        // sound ones stay in force (T22).
        let keeps_templates = case.name == "libnetflow9__malformed-2";
        let invented = lines.lines().filter(|line| !lenient.contains(line)).count();
        assert_eq!(invented, if keeps_templates { 12 } else { 0 }, "{}", case.name);
    }
}
