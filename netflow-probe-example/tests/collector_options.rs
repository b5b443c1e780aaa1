//! What options say of exporters: of their own work, of flow keys, and of whom it holds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod collector_datagrams;

use core::{net::SocketAddr, time::Duration};

use collector_datagrams::{PLAIN, plain, set, template, v5, v9};
use netflow_codec::Timestamp;
use netflow_probe_example::{
    account::FaultKind,
    collector::Collector,
    output::{FlowSink, JsonSink, RecordsSink},
};
use serde_json::{Value, json};

const START: u64 = 1_700_000_000;

fn exporter() -> SocketAddr {
    ([192, 0, 2, 7], 9).into()
}

/// A message of domain 3 with these sets.
fn ipfix(sequence: u32, sets: &[Vec<u8>]) -> Vec<u8> {
    let sets = sets.concat();
    let length = u16::try_from(16 + sets.len()).unwrap();
    let mut message = [&[0, 10][..], &length.to_be_bytes()].concat();
    for word in [u32::try_from(START).unwrap(), sequence, 3] {
        message.extend(word.to_be_bytes());
    }
    message.extend(sets);
    message
}

/// A field: enterprise (0 for none), element, octets of its value.
type Field = (u32, u16, Vec<u8>);

fn field(element: u16, value: impl AsRef<[u8]>) -> Field {
    (0, element, value.as_ref().to_vec())
}

fn specifiers(fields: &[Field]) -> Vec<u8> {
    let mut octets = Vec::new();
    for (enterprise, element, value) in fields {
        let bit = if *enterprise == 0 { 0 } else { 0x8000 };
        octets.extend((element | bit).to_be_bytes());
        octets.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        if *enterprise != 0 {
            octets.extend(enterprise.to_be_bytes());
        }
    }
    octets
}

/// An options template of IPFIX with these scopes and fields, and a record of it.
fn options(id: u16, scopes: &[Field], fields: &[Field]) -> Vec<Vec<u8>> {
    let all = [scopes, fields].concat();
    let mut body = id.to_be_bytes().to_vec();
    body.extend(u16::try_from(all.len()).unwrap().to_be_bytes());
    body.extend(u16::try_from(scopes.len()).unwrap().to_be_bytes());
    body.extend(specifiers(&all));
    let record: Vec<u8> = all.into_iter().flat_map(|(.., value)| value).collect();
    vec![set(3, &body), set(id, &record)]
}

fn collector() -> Collector<JsonSink<Vec<u8>>> {
    Collector::new(JsonSink::new(Vec::new()))
}

fn take(collector: &mut Collector<impl FlowSink>, datagram: &[u8]) {
    collector.handle_datagram(exporter(), datagram, Timestamp::from_secs(START)).unwrap();
}

/// What the health document has of the one exporter.
fn known<S: FlowSink>(collector: &Collector<S>) -> Value {
    collector.health(Timestamp::from_secs(START))["exporters"][0].clone()
}

/// A field that no document speaks of, before or behind the others.
fn extra() -> Field {
    (32_473, 999, vec![0xab; 5])
}

#[test]
fn standard_options_are_recognised_whatever_else_is_in_them() {
    // C21
    let domain = field(149, [0, 0, 0, 3]);
    let count = |number: u64| number.to_be_bytes();
    let mut collector = collector();
    let metering = options(
        300,
        &[domain.clone(), field(143, [0, 0, 0, 1])],
        &[extra(), field(41, count(10)), field(42, count(200)), field(40, count(3_000))],
    );
    let reliability = options(
        301,
        &[domain.clone(), field(143, [0, 0, 0, 1])],
        // Reduced to four octets; times of the first and the last packet ignored stand behind.
        &[field(164, [0, 0, 0, 5]), extra(), field(165, count(500)), field(323, count(START * 1_000))],
    );
    let exporting = options(
        302,
        &[field(144, [0, 0, 0, 2])],
        &[field(166, count(6)), field(167, count(60)), field(168, count(600)), extra()],
    );
    let template = [&[1, 4, 0, 3][..], &[0, 8, 0, 4, 0, 12, 0, 4, 0, 1, 0, 8]].concat();
    let keys = options(303, &[field(145, [1, 4])], &[extra(), field(173, count(0b011))]);
    take(&mut collector, &ipfix(0, &[metering, reliability].concat()));
    take(&mut collector, &ipfix(2, &[vec![set(2, &template)], exporting, keys].concat()));
    // The same process again: the counters are those that were said last.
    let metering = options(300, &[domain, field(143, [0, 0, 0, 1])], &[field(41, count(11)), extra()]);
    take(&mut collector, &ipfix(4, &metering));
    let known = known(&collector);
    let said = "2023-11-14T22:13:20Z";
    assert_eq!(
        known["says"]["statistics"],
        json!([
            {
                "version": 10, "observation_domain": 3, "scope": "exportingProcessId 2", "said": said,
                "not_sent_flows": 6, "not_sent_packets": 60, "not_sent_octets": 600,
            },
            {
                "version": 10, "observation_domain": 3, "scope": "observationDomainId 3, meteringProcessId 1",
                "said": said, "exported_messages": 11, "exported_flow_records": 200, "exported_octets": 3_000,
                "ignored_packets": 5, "ignored_octets": 500,
            },
        ])
    );
    assert_eq!(
        known["says"]["flow_keys"],
        json!([{
            "version": 10, "observation_domain": 3, "template_id": 260,
            "fields": ["sourceIPv4Address", "destinationIPv4Address"],
        }])
    );
    let questions: Vec<&str> = known["questions"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|question| question["severity"] == "attention")
        .map(|question| question["kind"].as_str().unwrap())
        .collect();
    assert!(questions.contains(&"not_metered") && questions.contains(&"not_sent"), "{questions:?}");
    assert_eq!(collector.account().malformed(), 0);
}

#[test]
fn options_of_v9_and_tables_of_names_are_recognised_by_their_elements_too() {
    // C21
    let mut collector = collector();
    // Scope System of no octets; elements 41, 42 as v9 has them, and one of a vendor.
    let statistics =
        set(1, &[1, 44, 0, 4, 0, 12, 0, 1, 0, 0, 0, 41, 0, 4, 0, 42, 0, 4, 0x9c, 0x40, 0, 2, 0, 0]);
    let record = [7_u32.to_be_bytes(), 70_u32.to_be_bytes()].concat();
    take(&mut collector, &v9(3, 0, &[statistics, set(300, &[&record[..], &[1, 2]].concat())]));
    let tables = [
        options(
            310,
            &[field(10, [0, 0, 0, 7])],
            &[extra(), field(82, b"xe-0/0/1"), field(83, b"core\0\0\0\0")],
        ),
        options(311, &[field(234, [0, 0, 0, 9])], &[field(236, b"customer"), extra()]),
        options(312, &[field(95, [13, 0, 1, 0x8e])], &[extra(), field(94, b"a video"), field(96, b"tube")]),
        options(
            313,
            &[field(302, [0, 0, 0, 4])],
            &[field(304, [0, 1]), extra(), field(305, [0, 0, 0, 1]), field(306, [0, 0, 0, 99])],
        ),
        options(
            314,
            &[field(48, [3])],
            &[field(84, b"one"), field(49, [2]), field(50, [0, 0, 0, 100]), extra()],
        ),
    ];
    for (number, table) in (0..).zip(tables) {
        take(&mut collector, &ipfix(number, &table));
    }
    let known = known(&collector);
    assert_eq!(known["says"]["interfaces"], json!({"7": "xe-0/0/1"}));
    assert_eq!(known["says"]["vrfs"], json!({"9": "customer"}));
    assert_eq!(known["says"]["applications"], json!({"218104206": "tube"}));
    let samplers = known["says"]["samplers"].as_object().unwrap();
    assert!(samplers["3"].as_str().unwrap().contains("one, 1 in 100"), "{samplers:#?}");
    assert!(samplers.contains_key("4"), "{samplers:#?}");
    assert_eq!(
        known["says"]["statistics"],
        json!([{
            "version": 9, "observation_domain": 3, "scope": "System", "said": "2023-11-14T22:13:20Z",
            "exported_messages": 7, "exported_flow_records": 70,
        }])
    );
}

#[test]
fn every_scope_is_named_and_unknown_ones_are_kept() {
    // C22
    let scopes: [(Field, &str, Value); 10] = [
        (field(149, [0, 0, 0, 3]), "observationDomainId 3", json!(3)),
        (field(144, [0, 0, 0, 4]), "exportingProcessId 4", json!(4)),
        (field(143, [0, 0, 0, 5]), "meteringProcessId 5", json!(5)),
        (field(145, [1, 44]), "templateId 300", json!(300)),
        (field(141, [0, 0, 0, 6]), "lineCardId 6", json!(6)),
        (field(130, [192, 0, 2, 1]), "exporterIPv4Address 192.0.2.1", json!("192.0.2.1")),
        (
            field(131, [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
            "exporterIPv6Address 2001:db8::1",
            json!("2001:db8::1"),
        ),
        (field(10, [0, 0, 0, 7]), "ingressInterface 7", json!(7)),
        // Those of others, and elements that nobody has named.
        ((32_473, 5, vec![1, 2, 3]), "32473/5 0x010203", json!("010203")),
        (field(32_000, [9, 8]), "0/32000 0x0908", json!("0908")),
    ];
    for (scope, text, value) in scopes {
        let message = ipfix(0, &options(300, core::slice::from_ref(&scope), &[field(41, [0, 0, 0, 1])]));
        let mut collector = collector();
        take(&mut collector, &message);
        assert_eq!(known(&collector)["says"]["statistics"][0]["scope"], text);
        let mut lines = Vec::new();
        let mut records = Collector::new(RecordsSink::new(&mut lines));
        take(&mut records, &message);
        records.flush().unwrap();
        drop(records);
        let record: Value = serde_json::from_slice(&lines).unwrap();
        assert_eq!((&record["kind"], &record["scope_fields"]), (&"options".into(), &1.into()));
        let shown = &record["fields"][0];
        let name = text.split(' ').next().unwrap();
        assert_eq!(shown["id"], scope.1);
        assert!(shown["name"] == name || shown["name"].is_null() && name.contains('/'), "{shown}");
        assert!(shown["value"] == value || shown["value"].is_null() && shown["hex"] == value, "{shown}");
    }
    // Of v9 the five that RFC 3954 names, and one that it does not.
    for (number, name) in
        [(1, "System"), (2, "Interface"), (3, "Line Card"), (4, "Cache"), (5, "Template"), (77, "scope 77")]
    {
        let announced = set(1, &[1, 44, 0, 4, 0, 4, 0, number, 0, 2, 0, 41, 0, 2, 0, 0]);
        let mut collector = collector();
        take(&mut collector, &v9(3, 0, &[announced, set(300, &[0, 9, 0, 1])]));
        assert_eq!(known(&collector)["says"]["statistics"][0]["scope"], format!("{name} 9"));
    }
}

#[test]
fn flow_keys_mark_fields_of_their_template_or_it_is_told_why_not() {
    // C26
    let keys = |template: u16, indicator: u64| {
        options(303, &[field(145, template.to_be_bytes())], &[field(173, indicator.to_be_bytes())])
    };
    let announced = |id: u16, fields: &[u8]| {
        let count = u16::try_from(fields.len() / 4).unwrap();
        set(2, &[&id.to_be_bytes()[..], &count.to_be_bytes(), fields].concat())
    };
    let three = [0, 4, 0, 1, 0, 7, 0, 2, 0, 1, 0, 8];
    let mut told = Vec::new();
    let mut collector = collector();
    let (tell, faults) = std::sync::mpsc::channel();
    collector.on_fault(move |fault| tell.send(fault.to_string()).unwrap());
    let said = |collector: &Collector<JsonSink<Vec<u8>>>| known(collector)["says"]["flow_keys"].clone();
    // One whose fields are all there: the first field is the lowest bit.
    take(&mut collector, &ipfix(0, &[vec![announced(260, &three)], keys(260, 0b101)].concat()));
    assert_eq!(said(&collector)[0]["fields"], json!(["protocolIdentifier", "octetDeltaCount"]));
    take(&mut collector, &ipfix(1, &keys(260, 0b010)));
    assert_eq!(said(&collector)[0]["fields"], json!(["sourceTransportPort"]));
    // A template that nobody knows; one of options; one with too few fields.
    take(&mut collector, &ipfix(2, &keys(400, 1)));
    take(&mut collector, &ipfix(3, &keys(303, 1)));
    take(&mut collector, &ipfix(4, &keys(260, 0b1000)));
    told.extend(faults.try_iter());
    assert_eq!(told.len(), 3, "{told:#?}");
    for (told, reason) in told.iter().zip([
        "told of template 400, which is not known",
        "told of template 303, which is one of options",
        "told of template 260, which has 3 fields, and field 4 is marked",
    ]) {
        assert!(told.contains(reason), "{told}");
    }
    assert_eq!(collector.account().faults(FaultKind::FlowKeys), 3);
    assert_eq!(collector.account().malformed(), 0);
    // What is said wrongly of a template is not believed, nor what was said of another one of the same id.
    assert_eq!(said(&collector), json!([]));
    take(&mut collector, &ipfix(5, &keys(260, 0b111)));
    assert_eq!(said(&collector)[0]["fields"].as_array().unwrap().len(), 3);
    take(&mut collector, &ipfix(6, &[announced(260, &three)]));
    assert_eq!(said(&collector)[0]["fields"].as_array().unwrap().len(), 3);
    take(&mut collector, &ipfix(6, &[announced(260, &three[..8])]));
    assert_eq!(said(&collector), json!([]));
}

#[test]
fn a_flood_of_statements_fills_no_memory() {
    let mut collector = collector();
    for number in 0..20_000_u32 {
        let message =
            ipfix(number, &options(300, &[field(144, number.to_be_bytes())], &[field(41, [0, 0, 0, 1])]));
        take(&mut collector, &message);
    }
    let known = known(&collector);
    let kept = known["says"]["statistics"].as_array().unwrap().len() as u64;
    assert!(kept > 100 && kept < 1_000, "{kept}");
    assert_eq!(known["says"]["refused"], 20_000 - kept);
}

#[test]
fn exporters_that_are_silent_for_too_long_are_forgotten_but_for_the_sums() {
    // C14
    let mut collector = collector();
    collector.forget_after(Duration::from_secs(7_200));
    let at = |seconds: u64| Timestamp::from_secs(START + seconds);
    let busy: SocketAddr = ([192, 0, 2, 8], 9).into();
    let data = |sequence| v9(3, sequence, &[set(256, &plain(1, 7))]);
    let refreshed = |sequence| v9(3, sequence, &[template(256, &PLAIN), set(256, &plain(1, 7))]);
    for address in [exporter(), busy] {
        collector.handle_datagram(address, &refreshed(0), at(0)).unwrap();
    }
    // A packet is lost, and what was lost stays told.
    collector.handle_datagram(exporter(), &data(2), at(1)).unwrap();
    collector.handle_datagram(([192, 0, 2, 9], 9).into(), &v5(0, 1), at(2)).unwrap();
    let mut sequence = 1;
    for minute in 0..=119 {
        collector.handle_datagram(busy, &refreshed(sequence), at(minute * 60)).unwrap();
        sequence += 1;
        collector.tick(at(minute * 60)).unwrap();
    }
    assert_eq!(
        (collector.account().exporters().count(), collector.decoder().cache().template_count()),
        (3, 2)
    );
    for minute in 120..=125 {
        collector.handle_datagram(busy, &refreshed(sequence), at(minute * 60)).unwrap();
        sequence += 1;
        collector.tick(at(minute * 60)).unwrap();
    }
    assert_eq!((collector.account().exporters().count(), collector.account().streams().count()), (1, 1));
    let summary = collector.summary().to_json();
    assert_eq!(
        (&summary["template_cache"]["scopes"], &summary["template_cache"]["templates"]),
        (&1.into(), &1.into())
    );
    assert_eq!(summary["idle_exporters_forgotten"], 2);
    assert_eq!((&summary["data_records"], &summary["sequence"]["lost_packets"]), (&130.into(), &1.into()));
    // Who comes back begins anew, and data waits for its template.
    collector.handle_datagram(exporter(), &data(900), at(7_600)).unwrap();
    assert_eq!(collector.account().counts().sets_without_template, 1);
    assert_eq!(collector.summary().to_json()["sequence"]["lost_packets"], 1);
    // A clock that jumps ahead by a day makes nobody silent who goes on sending.
    collector.tick(at(100_000)).unwrap();
    assert_eq!(collector.account().exporters().count(), 2);
    collector.handle_datagram(busy, &data(sequence), at(100_010)).unwrap();
    for minute in 0..40 {
        collector.tick(at(100_020 + minute * 60)).unwrap();
    }
    assert_eq!(collector.account().exporters().count(), 1);
}
