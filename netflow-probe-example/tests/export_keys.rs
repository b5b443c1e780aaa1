//! Templates follow the key: whatever makes a flow, and whatever is counted of it, is in the records of v9 and IPFIX.
//! What captures hold is said by tshark.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use common::{files::Order, frames, has_program, peers::run, shared_dir};
use serde_json::Value;

const EXPORTER: &str = env!("CARGO_BIN_EXE_netflow-exporter");
const COLLECTOR: &str = env!("CARGO_BIN_EXE_netflow-collector");

fn export(read: &Path, write: &Path, arguments: &[&str]) -> Output {
    let paths = [Path::new("--read"), read, Path::new("--write"), write];
    Command::new(EXPORTER).args(paths).args(arguments).output().unwrap()
}

/// The records of flows: elements by number, as text.
fn records(read: &Path, arguments: &[&str]) -> Vec<BTreeMap<u16, String>> {
    let folder = tempfile::tempdir().unwrap();
    let write = folder.path().join("out.pcap");
    let output = export(read, &write, arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let decoded = run(COLLECTOR, &["decode", write.to_str().unwrap(), "--records"]);
    let mut found = Vec::new();
    for line in decoded.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        if record["kind"] != "data" || record["scope_fields"] != 0 {
            continue;
        }
        let fields = record["fields"].as_array().unwrap().iter().map(|field| {
            let value = field["value"].as_str().map_or_else(|| field["value"].to_string(), str::to_owned);
            (u16::try_from(field["id"].as_u64().unwrap()).unwrap(), value)
        });
        found.push(fields.collect());
    }
    found
}

/// Two tagged packets of IPv4, one of IPv6, one with labels, one of ICMP, and two fragments.
fn capture(folder: &Path) -> PathBuf {
    let udp = frames::udp(1_000, 53, &[0; 40]);
    let tagged = |ether_type: [u8; 2], packet: &[u8]| {
        frames::ethernet(0x88A8, &[&[0, 200, 0x81, 0, 0, 100], ether_type.as_slice(), packet].concat())
    };
    let whole = frames::udp(1_002, 53, &[0; 40]);
    let fragments = [(0x2000, &whole[..16]), (2, &whole[16..])]
        .map(|(field, part)| frames::ethernet(0x0800, &frames::ipv4_with(17, field, &[], part)));
    let mut ping = vec![8, 0];
    ping.extend([0; 30]);
    let labels =
        [&[0, 1, 0, 64, 0, 2, 1, 64], frames::ipv4(17, &frames::udp(1_001, 53, &[0; 40])).as_slice()]
            .concat();
    let data = [
        tagged([8, 0], &frames::ipv4(17, &udp)),
        tagged([8, 0], &frames::ipv4(17, &frames::udp(1_000, 53, &[0; 400]))),
        tagged([0x86, 0xDD], &frames::ipv6(17, &udp)),
        frames::ethernet(0x8847, &labels),
        frames::ethernet(0x0800, &frames::ipv4(1, &ping)),
        frames::ethernet(0x0800, &frames::ipv4(6, &frames::tcp(1_000, 80, 0x1C2))),
    ];
    let order = Order::Little;
    let mut octets = order.pcap_header(0xA1B2_C3D4, 1);
    for frame in data.iter().chain(&fragments) {
        octets.extend(order.pcap_record(1_700_000_000, 0, u32::try_from(frame.len()).unwrap(), frame));
    }
    let path = folder.join("in.pcap");
    fs::write(&path, octets).unwrap();
    path
}

/// Each field that a key can have, alone, and an element that says it with a value that some flow of [`capture`] has.
const FIELDS: &[(&str, u16, &str)] = &[
    ("ipv4 source address", 8, "192.0.2.1"),
    ("ipv4 destination address", 12, "198.51.100.7"),
    ("ipv6 source address", 27, "2001:db8::1"),
    ("ipv6 destination address", 28, "2001:db8::2"),
    ("ipv4 source prefix 24", 8, "192.0.2.0"),
    ("ipv4 source prefix 24", 9, "24"),
    ("ipv4 destination prefix 16", 12, "198.51.0.0"),
    ("ipv4 destination prefix 16", 13, "16"),
    ("ipv6 source prefix 32", 27, "2001:db8::"),
    ("ipv6 source prefix 32", 29, "32"),
    ("ipv6 destination prefix 16", 28, "2001::"),
    ("ipv6 destination prefix 16", 30, "16"),
    ("ipv4 protocol", 4, "17"),
    ("ipv4 tos", 5, "184"),
    ("ipv4 dscp", 5, "184"),
    ("ipv6 precedence", 5, "160"),
    ("ipv6 flow-label", 31, "74565"),
    ("transport source-port", 7, "1000"),
    ("transport destination-port", 11, "53"),
    ("transport icmp ipv4 type-code", 32, "2048"),
    ("ipv4 protocol, transport destination-port", 32, "2048"),
    ("transport tcp flags", 6, "450"),
    ("interface input", 10, "0"),
    ("interface output", 14, "0"),
    ("flow direction", 61, "0"),
    ("flow observation-domain", 149, "0"),
    ("datalink vlan", 58, "200"),
    ("datalink inner-vlan", 245, "100"),
    ("datalink mac source address", 56, "02:00:00:00:00:0a"),
    ("datalink mac destination address", 80, "02:00:00:00:00:0b"),
    ("mpls labels", 70, "000100"),
    ("routing source as", 16, "0"),
    ("routing destination as", 17, "0"),
    ("routing next-hop address", 15, "0.0.0.0"),
];

/// Elements of counters, which all records have unless something is chosen.
const COUNTERS: [u16; 8] = [1, 2, 25, 26, 52, 53, 136, 197];

#[test]
fn every_field_of_a_key_is_exported() {
    let folder = tempfile::tempdir().unwrap();
    let capture = capture(folder.path());
    for version in ["9", "10"] {
        for (key, element, value) in FIELDS {
            let records = records(&capture, &["--key", key, "--export-version", version]);
            let values: BTreeSet<_> = records.iter().filter_map(|record| record.get(element)).collect();
            assert!(values.iter().any(|found| found == value), "{version}: {key}: {values:?}");
            for record in &records {
                assert!(COUNTERS.iter().all(|counter| record.contains_key(counter)), "{key}: {record:?}");
            }
            let packets: u64 = records.iter().map(|record| record[&2].parse::<u64>().unwrap()).sum();
            assert_eq!(packets, 8, "{key}");
        }
        // Together, too.
        let keys: Vec<&str> = FIELDS.iter().flat_map(|(key, ..)| ["--key", key]).collect();
        let all = records(&capture, &[&keys[..], &["--export-version", version]].concat());
        let there: BTreeSet<u16> = all.iter().flat_map(|record| record.keys().copied()).collect();
        assert!(FIELDS.iter().all(|(_, element, _)| there.contains(element)), "{there:?}");
    }
}

#[test]
fn counters_are_exported_as_they_were_counted() {
    let folder = tempfile::tempdir().unwrap();
    let capture = capture(folder.path());
    for version in ["9", "10"] {
        let one = |arguments: &[&str]| {
            let records = records(&capture, &[arguments, &["--export-version", version]].concat());
            let is_it = |record: &BTreeMap<u16, String>| record[&1] == "496";
            records.into_iter().find(is_it).unwrap()
        };
        // Octets of layer 3: 20 of IPv4, 8 of UDP, 40 or 400.
        let keyed = one(&["--key", "datalink inner-vlan, transport source-port, ipv4 protocol"]);
        for record in [keyed, one(&["--collect", "all"])] {
            let of = |element: u16| record[&element].as_str();
            assert_eq!((of(25), of(26), of(52), of(53)), ("68", "428", "61", "61"), "{record:?}");
            assert_eq!(of(197), "0");
        }
        let fragmented = records(&capture, &["--key", "ipv4 protocol", "--export-version", version]);
        let fragmented: BTreeSet<_> =
            fragmented.iter().map(|record| (&*record[&4], &*record[&197])).collect();
        assert!(fragmented.contains(&("17", "32")) && fragmented.contains(&("6", "0")), "{fragmented:?}");
        // Chosen ones alone.
        let few = one(&["--collect", "ipv4 ttl minimum, datalink mac source address"]);
        assert!(few.contains_key(&52) && few.contains_key(&56) && !few.contains_key(&53), "{few:?}");
        // Both directions have all of theirs.
        let both = records(&capture, &["--biflow", "--collect", "all", "--export-version", version]);
        let complete =
            |record: &BTreeMap<u16, String>| COUNTERS.iter().all(|counter| record.contains_key(counter));
        assert!(both.iter().all(complete));
    }
}

/// Packets by the value of a field, as tshark has it: IPv4 and IPv6 alone.
fn truth(path: &Path, field: &str) -> BTreeMap<String, u64> {
    let told =
        run("tshark", &["-r", path.to_str().unwrap(), "-T", "fields", "-e", field, "-Y", "ip or ipv6"]);
    let mut packets = BTreeMap::new();
    for line in told.lines() {
        *packets.entry(line.to_owned()).or_insert(0) += 1;
    }
    packets
}

#[test]
fn keys_divide_captures_as_tshark_sees_them() {
    let Some(shared) = shared_dir() else { return };
    if !has_program("tshark") {
        return;
    }
    for (capture, key, element, field) in [
        ("cesnet__vlan.pcapng", "datalink mac source address", 56, "eth.src"),
        ("cesnet__vlan.pcapng", "datalink mac destination address", 80, "eth.dst"),
        ("cesnet__vlan.pcapng", "datalink vlan", 58, "vlan.id"),
        ("ntop__dns.pcapng", "ipv4 source address", 8, "ip.src"),
        ("zeek__Traces-http-vlan-0.pcap", "datalink mac source address", 56, "eth.src"),
        ("zeek__ipv4-fragmented-1.pcap", "ipv4 tos", 5, "ip.dsfield"),
    ] {
        let path = shared.join("traffic").join(capture);
        let expected = truth(&path, field);
        for version in ["9", "10"] {
            let mut found = BTreeMap::new();
            for record in records(&path, &["--key", key, "--export-version", version]) {
                let value = match (element, record[&element].as_str()) {
                    // Without a tag there is no field.
                    (58, "0") => String::new(),
                    (5, value) => format!("0x{:02x}", value.parse::<u8>().unwrap()),
                    (_, value) => value.to_owned(),
                };
                *found.entry(value).or_insert(0) += record[&2].parse::<u64>().unwrap();
            }
            assert_eq!(found, expected, "{capture} {key} version {version}");
        }
    }
}

#[test]
fn tshark_and_flow_keys_agree_with_the_templates() {
    if !has_program("tshark") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (capture, write) = (capture(folder.path()), folder.path().join("out.pcap"));
    let key = "ipv4 source address, datalink mac source address, flow direction, datalink inner-vlan";
    for (version, port) in [("9", "2055"), ("10", "4739")] {
        let output = export(&capture, &write, &["--key", key, "--export-version", version]);
        assert!(output.status.success());
        let told =
            run("tshark", &["-r", write.to_str().unwrap(), "-d", &format!("udp.port=={port},cflow"), "-V"]);
        assert!(!told.contains("Malformed") && told.contains("02:00:00:00:00:0a"), "{told}");
        assert!(!told.contains("No template found"), "{told}");
    }
    // RFC 7011 section 4.4: a bit for each field of the key, from the first one on.
    let decoded = run(COLLECTOR, &["decode", write.to_str().unwrap(), "--records"]);
    let fields = |record: &Value| -> Vec<u64> {
        record["fields"].as_array().unwrap().iter().map(|field| field["id"].as_u64().unwrap()).collect()
    };
    let lines: Vec<Value> = decoded.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let keys = lines.iter().find(|line| line["scope_fields"] == 1 && fields(line).contains(&173)).unwrap();
    let (template, bits) = (&keys["fields"][0]["value"], keys["fields"][1]["value"].as_u64().unwrap());
    let data =
        lines.iter().find(|line| line["template_id"] == *template && line["scope_fields"] == 0).unwrap();
    let marked: BTreeSet<u64> = fields(data)
        .into_iter()
        .enumerate()
        .filter(|(place, _)| bits >> place & 1 == 1)
        .map(|(_, id)| id)
        .collect();
    assert_eq!(marked, [8, 56, 61, 245].into(), "{bits:b}");
}

#[test]
fn what_v5_has_no_room_for_is_told_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let (capture, write) = (capture(folder.path()), folder.path().join("out.pcap"));
    let key = "ipv4 source address, datalink vlan, flow direction";
    let output = export(&capture, &write, &["--key", key, "--export-version", "5", "--collect", "all"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && told.contains("no room for flow direction, datalink vlan:"), "{told}");
    assert!(told.contains("--collect: records of version 5 are always the same"), "{told}");
    let counted = told.lines().find(|line| line.contains("key not carried whole")).unwrap();
    assert!(counted.ends_with(" 1"), "{counted}");
    let checked = export(&capture, &write, &["--key", key, "--export-version", "5", "--check"]);
    assert!(String::from_utf8(checked.stderr).unwrap().contains("no room for flow direction"));
    // What it has room for says nothing.
    let output = export(
        &capture,
        &write,
        &["--key", "ipv4 source address, interface output", "--export-version", "5"],
    );
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(!told.contains("no room for flow") && !told.contains("not carried whole"), "{told}");
    let refused = export(&capture, &write, &["--key", "ipv4 protocol", "--collect", "datalink vlan"]);
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(
        refused.status.code() == Some(2) && told.contains("--collect") && told.contains("part of --key"),
        "{told}"
    );
}
