//! Elements that the collector learns: from `--elements`, from exporters, and lists of records within records.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that cannot go on panics"
)]

mod collector_datagrams;

use core::net::{Ipv4Addr, SocketAddr};
use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::UdpSocket,
    path::Path,
    process::{Command, Output, Stdio},
};

use collector_datagrams::{capture, set};
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_netflow-collector");

/// An IPFIX message of domain 1, sent at 1,700,000,000 seconds.
fn message(sets: &[Vec<u8>]) -> Vec<u8> {
    let sets = sets.concat();
    let length = u16::try_from(16 + sets.len()).unwrap().to_be_bytes();
    [&[0, 10][..], &length, &[0x65, 0x53, 0xf1, 0, 0, 0, 0, 0, 0, 0, 0, 1], &sets].concat()
}

/// A template of source port and element 32473/7 in 3 octets, and a record.
fn own_element() -> Vec<Vec<u8>> {
    let template = [1, 44, 0, 2, 0, 7, 0, 2, 0x80, 7, 0, 3, 0, 0, 0x7e, 0xd9];
    vec![set(2, &template), set(300, &[0, 80, 0, 1, 0])]
}

/// An options template of RFC 5610, and a record that describes 32473/7.
fn description(name: &[u8]) -> Vec<Vec<u8>> {
    let mut template = vec![1, 144, 0, 4, 0, 2];
    for (number, length) in [(346_u16, 4_u16), (303, 2), (339, 1), (341, 0xffff)] {
        template.extend(number.to_be_bytes());
        template.extend(length.to_be_bytes());
    }
    let length = u8::try_from(name.len()).unwrap();
    let record = [&[0, 0, 0x7e, 0xd9, 0, 7, 3, length], name].concat();
    vec![set(3, &template), set(400, &record)]
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).current_dir(folder).output().unwrap()
}

fn lines(octets: &[u8]) -> Vec<Value> {
    let text = core::str::from_utf8(octets).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn decode(folder: &Path, arguments: &[&str]) -> Vec<Value> {
    let output = run(folder, &[&["decode", "capture.pcap", "--quiet"], arguments].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    lines(&output.stdout)
}

const DEFINITIONS: &str =
    "pen,id,name,data_type,semantics,units,range\n32473,7,queueDepth,unsigned32,quantity,packets,0-4096\n";

#[test]
fn elements_of_a_file_have_names_and_types_in_records_and_flows() {
    let folder = tempfile::tempdir().unwrap();
    capture(folder.path(), &[message(&own_element())]);
    fs::write(folder.path().join("own.csv"), DEFINITIONS).unwrap();

    // C33
    let unknown = decode(folder.path(), &["--records"]);
    let field = json!({"id": 7, "pen": 32_473, "name": null, "value": "000100", "hex": "000100"});
    assert_eq!(unknown[0]["fields"][1], field);
    let flows = decode(folder.path(), &[]);
    assert_eq!(flows[0]["fields"], json!({"32473/7": "000100"}));

    let known = decode(folder.path(), &["--records", "--elements", "own.csv"]);
    let field = json!({"id": 7, "pen": 32_473, "name": "queueDepth", "value": 256, "hex": "000100"});
    assert_eq!(known[0]["fields"][1], field);
    let flows = decode(folder.path(), &["--elements", "own.csv"]);
    assert_eq!((&flows[0]["src_port"], &flows[0]["fields"]), (&json!(80), &json!({"queueDepth": 256})));
}

#[test]
fn what_is_wrong_with_a_file_is_told_and_nothing_is_decoded() {
    let folder = tempfile::tempdir().unwrap();
    capture(folder.path(), &[message(&own_element())]);
    fs::write(folder.path().join("wrong.csv"), format!("{DEFINITIONS}32473,8,b,int,,,\n")).unwrap();
    let output = run(folder.path(), &["decode", "capture.pcap", "--elements", "wrong.csv"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{told}");
    let expected =
        "cannot read elements of wrong.csv: line 3, column 4 (data_type): \"int\" is no data type\n";
    assert!(told.ends_with(expected), "{told}");

    let output = run(folder.path(), &["decode", "capture.pcap", "--elements", "missing.csv"]);
    assert_eq!(output.status.code(), Some(2));
    fs::write(folder.path().join("own.csv"), DEFINITIONS).unwrap();
    let output =
        run(folder.path(), &["decode", "capture.pcap", "--elements", "own.csv", "--output", "./own.csv"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(fs::read_to_string(folder.path().join("own.csv")).unwrap(), DEFINITIONS);
}

#[test]
fn exporters_describe_their_own_elements() {
    // C27: what the user says goes first.
    let folder = tempfile::tempdir().unwrap();
    let sets = [description(b"depth \"of\" queue"), own_element()].concat();
    capture(folder.path(), &[message(&sets)]);
    let records = decode(folder.path(), &["--records"]);
    let field = &records.last().unwrap()["fields"][1];
    assert_eq!((&field["name"], &field["value"]), (&json!("depth \"of\" queue"), &json!(256)));
    let flows = decode(folder.path(), &[]);
    assert_eq!(flows[0]["fields"], json!({"depth \"of\" queue": 256}));
    fs::write(folder.path().join("own.csv"), DEFINITIONS).unwrap();
    let flows = decode(folder.path(), &["--elements", "own.csv"]);
    assert_eq!(flows[0]["fields"], json!({"queueDepth": 256}));
    // C28: a name with NUL is none, and counted.
    capture(folder.path(), &[message(&[description(b"a\0"), own_element()].concat())]);
    let output = run(folder.path(), &["decode", "capture.pcap", "--summary", "summary.json"]);
    assert_eq!(lines(&output.stdout)[0]["fields"], json!({"32473/7": "000100"}));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("elements     0 described by exporters, 1 descriptions ignored\n"), "{told}");
    let summary: Value =
        serde_json::from_str(&fs::read_to_string(folder.path().join("summary.json")).unwrap()).unwrap();
    assert_eq!(
        (&summary["element_types"]["unsound"], &summary["element_types"]["learned"]),
        (&1.into(), &0.into())
    );
}

#[test]
fn listening_knows_the_same_elements() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("own.csv"), DEFINITIONS).unwrap();
    let mut child = Command::new(PROGRAM)
        .args(["listen", "--bind", "127.0.0.1:0", "--idle-exit", "1s", "--records", "--elements", "own.csv"])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    let address: SocketAddr = line.trim_start_matches("listening on ").trim().parse().expect("an address");
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.send_to(&message(&own_element()), address).unwrap();
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{rest}");
    assert_eq!(lines(&output.stdout)[0]["fields"][1]["name"], "queueDepth");
}

#[test]
fn lists_are_shown_with_the_fields_of_their_records() {
    let folder = tempfile::tempdir().unwrap();
    // 310: ports; 311: a subTemplateList, a subTemplateMultiList with a template that nobody knows, a basicList.
    let templates = [
        &[1, 54, 0, 2, 0, 7, 0, 2, 0, 11, 0, 2][..],
        &[1, 55, 0, 3, 1, 36, 0xff, 0xff, 1, 37, 0xff, 0xff, 1, 35, 0xff, 0xff],
    ]
    .concat();
    let record = [
        &[11, 3, 1, 54, 0, 1, 0, 2, 0, 3, 0, 4][..],
        &[6, 255, 3, 0xe7, 0, 5, 9],
        &[7, 4, 0, 14, 0, 1, 5, 6],
    ]
    .concat();
    capture(folder.path(), &[message(&[set(2, &templates), set(311, &record)])]);
    let records = decode(folder.path(), &["--records"]);
    let values: Vec<&Value> =
        records[0]["fields"].as_array().unwrap().iter().map(|field| &field["value"]).collect();
    let port = |id: u16, name: &str, value: u16| json!({"id": id, "pen": 0, "name": name, "value": value});
    let ports = |source, destination| {
        json!([port(7, "sourceTransportPort", source), port(11, "destinationTransportPort", destination)])
    };
    assert_eq!(
        values[0],
        &json!({"semantic": "allOf", "template_id": 310, "records": [ports(1, 2), ports(3, 4)]})
    );
    assert_eq!(
        values[1],
        &json!({"semantic": "undefined", "lists": [{"semantic": "undefined", "template_id": 999, "hex": "09"}]})
    );
    assert_eq!(values[2], &json!({"semantic": "ordered", "element": "egressInterface", "values": [5, 6]}));
}

#[test]
fn reverse_values_without_a_direction_are_no_flow_but_a_record_and_a_fault() {
    // C29
    let folder = tempfile::tempdir().unwrap();
    let template = [1, 44, 0, 2, 0, 4, 0, 1, 0x80, 1, 0, 2, 0, 0, 0x72, 0x79];
    capture(folder.path(), &[message(&[set(2, &template), set(300, &[6, 0, 9])])]);
    let output = run(folder.path(), &["decode", "capture.pcap", "--summary", "summary.json"]);
    assert!(output.status.success() && output.stdout.is_empty());
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("template 300 has reverse elements, but no source or destination"), "{told}");
    let summary: Value =
        serde_json::from_str(&fs::read_to_string(folder.path().join("summary.json")).unwrap()).unwrap();
    assert_eq!(summary["malformed"], 1);
    let records = decode(folder.path(), &["--records"]);
    assert_eq!(records[0]["fields"][1]["name"], "reverseOctetDeltaCount");
    // With a port to tell the directions apart it is a flow, and nothing of it is lost.
    let template = [1, 44, 0, 2, 0, 7, 0, 2, 0x80, 1, 0, 2, 0, 0, 0x72, 0x79];
    capture(folder.path(), &[message(&[set(2, &template), set(300, &[0, 80, 0, 9])])]);
    assert_eq!(decode(folder.path(), &[])[0]["fields"], json!({"reverseOctetDeltaCount": 9}));
}

#[test]
fn the_reverse_direction_of_a_biflow_is_a_flow_of_its_own_when_asked_for() {
    // C29
    let folder = tempfile::tempdir().unwrap();
    let template = [1, 44, 0, 4, 0, 7, 0, 2, 0, 11, 0, 2, 0, 1, 0, 2, 0x80, 1, 0, 2, 0, 0, 0x72, 0x79];
    let record = [0x9c, 0x40, 0, 80, 0, 100, 0x13, 0x88];
    capture(folder.path(), &[message(&[set(2, &template), set(300, &record)])]);
    let shown = |flow: &Value| json!([flow["src_port"], flow["dst_port"], flow["bytes"], flow["fields"]]);
    let one: Vec<Value> = decode(folder.path(), &[]).iter().map(shown).collect();
    let forward = json!([40_000, 80, 100, {"reverseOctetDeltaCount": 5_000}]);
    assert_eq!(one, core::slice::from_ref(&forward));
    let two: Vec<Value> = decode(folder.path(), &["--split-biflows"]).iter().map(shown).collect();
    assert_eq!(two, [forward, json!([80, 40_000, 5_000, null])]);
    // Records stay as they came.
    assert_eq!(decode(folder.path(), &["--records", "--split-biflows"]).len(), 1);
}
