//! What the collector's account says of sequence numbers: whose they are, and what they count.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that cannot go on panics"
)]

mod collector_datagrams;

use collector_datagrams::{PLAIN, plain, set, template, v5, v9};
use netflow_codec::{CacheLimits, Quirk, Strictness, Timestamp};
use netflow_probe_example::{collector::Collector, output::JsonSink, policy::Policy};
use serde_json::{Value, json};

/// The account after these datagrams from ports of one address: as JSON, and for reading.
fn account(strictness: Strictness, datagrams: &[(u16, Vec<u8>)]) -> (Value, String) {
    let mut collector = Collector::with_limits(JsonSink::new(Vec::new()), CacheLimits::default(), strictness);
    for (port, datagram) in datagrams {
        let exporter = ([192, 0, 2, 7], *port).into();
        collector.handle_datagram(exporter, datagram, Timestamp::from_secs(1_700_000_000)).unwrap();
    }
    (collector.summary().to_json(), collector.summary().to_string())
}

/// The counts of the sequence numbers that are not 0.
fn sequence(summary: &Value) -> Value {
    let counts = summary["sequence"].as_object().unwrap();
    counts
        .iter()
        .filter(|(_, count)| **count != 0)
        .map(|(name, count)| (name.clone(), count.clone()))
        .collect()
}

/// With another count in its header.
fn announcing(mut datagram: Vec<u8>, count: u16) -> Vec<u8> {
    datagram[2..4].copy_from_slice(&count.to_be_bytes());
    datagram
}

/// An IPFIX message: version, length | export time | sequence number | domain | sets.
fn ipfix(sequence: u32, sets: &[Vec<u8>]) -> Vec<u8> {
    let body = sets.concat();
    let length = u16::try_from(16 + body.len()).unwrap();
    let mut message = [10_u16.to_be_bytes(), length.to_be_bytes()].concat();
    for word in [1_700_000_000, sequence, 9] {
        message.extend(u32::to_be_bytes(word));
    }
    message.extend(body);
    message
}

/// A v8 datagram of two records aggregated by AS.
fn v8(sequence: u32) -> Vec<u8> {
    let mut datagram = vec![0, 8, 0, 2];
    for word in [60_000, 1_700_000_000, 0, sequence, 0x0102_0102, 0] {
        datagram.extend(u32::to_be_bytes(word));
    }
    for flows in [5, 7] {
        for word in [flows, 3, 1_500, 50_000, 59_000, 0xfde8_fde9, 0x0001_0002] {
            datagram.extend(u32::to_be_bytes(word));
        }
    }
    datagram
}

#[test]
fn aggregated_flows_are_printed_with_their_number_and_followed_by_their_sequence() {
    let mut lines = Vec::new();
    let mut collector = Collector::new(JsonSink::new(&mut lines));
    for sequence in [100, 102, 110] {
        let exporter = ([192, 0, 2, 7], 9).into();
        collector.handle_datagram(exporter, &v8(sequence), Timestamp::from_secs(1_700_000_000)).unwrap();
    }
    collector.flush().unwrap();
    let (summary, text) = (collector.summary().to_json(), collector.summary().to_string());
    drop(collector);
    assert_eq!(sequence(&summary), json!({"gaps": 1, "lost_flows": 6}));
    assert!(text.contains("(v8: 3)") && text.contains("v8 domain 258"), "{text}");
    let lines = String::from_utf8(lines).unwrap();
    let flow: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(flow["type"], "NETFLOW_V8");
    assert_eq!(
        (&flow["src_as"], &flow["dst_as"], &flow["packets"]),
        (&json!(65_000), &json!(65_001), &json!(3))
    );
    assert_eq!((&flow["src_addr"], &flow["fields"]["deltaFlowCount"]), (&Value::Null, &json!(5)));
}

#[test]
fn a_count_that_lies_moves_no_sequence_numbers() {
    for strictness in [Strictness::Lenient, Strictness::Rfc] {
        for count in [60_000, 300, 31] {
            let datagrams: Vec<_> = (0..5)
                .map(|number| {
                    let datagram = v5(number * 30, 30);
                    (9, if number == 1 { announcing(datagram, count) } else { datagram })
                })
                .collect();
            let (summary, _) = account(strictness, &datagrams);
            assert_eq!(sequence(&summary), json!({}), "{count} announced, {strictness:?}");
            assert_eq!(summary["exporters"][0]["domains"][0]["sequence"]["received"], 150);
        }
    }
}

#[test]
fn a_count_that_is_more_than_came_counts_what_came() {
    // 20 flows are announced and numbered, 30 are announced and 20 of them there.
    let datagrams = [v5(0, 30), announcing(v5(30, 20), 30), v5(50, 30), v5(80, 30)];
    let (summary, _) = account(Strictness::Lenient, &datagrams.map(|datagram| (9, datagram)));
    assert_eq!(sequence(&summary), json!({}));
    // 30 were sent and 20 came: the rest is lost.
    let datagrams = [v5(0, 30), announcing(v5(30, 20), 30), v5(60, 30), v5(90, 30)];
    let (summary, _) = account(Strictness::Lenient, &datagrams.map(|datagram| (9, datagram)));
    assert_eq!(sequence(&summary), json!({"gaps": 1, "lost_flows": 10}));
}

#[test]
fn exporters_that_share_address_and_domain_have_their_own_sequence_numbers_and_common_templates() {
    let mut datagrams = vec![(1, v9(0, 5, &[template(256, &PLAIN)]))];
    for number in 0..20 {
        datagrams.push((1, v9(0, 6 + number, &[set(256, &plain(1, 9))])));
        datagrams.push((2, v9(0, 1_000 + number, &[set(256, &plain(2, 9))])));
        datagrams.push((1, v5(30 * number, 30)));
    }
    // Lost on the way from the second one only.
    datagrams.push((2, v9(0, 1_022, &[set(256, &plain(2, 9))])));
    let (summary, text) = account(Strictness::Lenient, &datagrams);
    assert_eq!(sequence(&summary), json!({"gaps": 1, "lost_packets": 2}));
    assert_eq!(
        (&summary["sets_without_template"], &summary["template_cache"]["scopes"]),
        (&0.into(), &1.into())
    );
    let domains = summary["exporters"][0]["domains"].as_array().unwrap();
    let known: Vec<_> = domains
        .iter()
        .map(|domain| {
            (&domain["version"], &domain["port"], &domain["datagrams"], &domain["sequence"]["lost"])
        })
        .map(|(version, port, datagrams, lost)| json!([version, port, datagrams, lost]))
        .collect();
    assert_eq!(known, [json!([5, 1, 20, 0]), json!([9, 1, 21, 0]), json!([9, 2, 21, 2])]);
    let lines: Vec<_> = text.lines().filter(|line| line.starts_with("192.0.2.7")).collect();
    assert!(lines[0].starts_with("192.0.2.7, v5 domain 0: 20 datagrams"), "{text}");
    assert!(lines[1].starts_with("192.0.2.7, v9 domain 0 port 1: 21 datagrams"), "{text}");
    assert!(lines[2].starts_with("192.0.2.7, v9 domain 0 port 2: 21 datagrams"), "{text}");
}

#[test]
fn ipfix_messages_of_which_not_everything_could_be_decoded_are_no_loss_and_no_disorder() {
    // protocolIdentifier; three records of it.
    let described = set(2, &[1, 0, 0, 1, 0, 4, 0, 1]);
    let records = set(256, &[6, 17, 1]);
    // The second set runs past the end: nobody knows how many records it had.
    let mut cut = ipfix(3, &[records.clone(), set(256, &[6, 17])]);
    cut[25..27].copy_from_slice(&99_u16.to_be_bytes());
    let datagrams = [
        ipfix(0, &[described, records.clone()]),
        cut,
        ipfix(10, core::slice::from_ref(&records)),
        ipfix(13, core::slice::from_ref(&records)),
        // Three records are missing.
        ipfix(19, &[records]),
    ];
    let (summary, _) = account(Strictness::Lenient, &datagrams.map(|datagram| (9, datagram)));
    assert_eq!(sequence(&summary), json!({"gaps": 1, "lost_records": 3}));
    assert!(summary["malformed"].as_u64().unwrap() > 0);
}

/// A v9 datagram by uptime, seconds since 1,700,000,000 and sequence number.
fn v9_at(uptime: u32, unix: u32, sequence: u32) -> (u16, Vec<u8>) {
    let mut datagram = v9(1, sequence, &[]);
    datagram[4..8].copy_from_slice(&(uptime * 1_000).to_be_bytes());
    datagram[8..12].copy_from_slice(&(1_700_000_000 + unix).to_be_bytes());
    (9, datagram)
}

#[test]
fn an_exporter_restart_is_told_with_its_evidence_and_is_no_loss() {
    // C9: sysUpTime falls, the sequence is back at 0, close behind where it was.
    let datagrams =
        [(5_000, 0, 7), (5_001, 1, 8), (3, 60, 0), (4, 61, 1), (5, 62, 2)].map(|(a, b, c)| v9_at(a, b, c));
    let (summary, text) = account(Strictness::Lenient, &datagrams);
    assert_eq!(sequence(&summary), json!({"resets": 1}), "no loss, no duplicates");
    let domain = &summary["exporters"][0]["domains"][0];
    assert_eq!(
        domain["restarts"],
        json!({
            "count": 1,
            "last": {
                "kind": "restarted",
                "evidence": ["uptime fell", "boot moved", "sequence began anew", "followed"],
                "since": 1_700_000_000,
                "boot_before": 1_699_995_000,
                "boot": 1_700_000_057,
            },
        })
    );
    assert_eq!(domain["sequence"]["received"], 5);
    assert!(text.contains("restarts     1 of exporters; 0 clocks set"), "{text}");

    // One odd datagram is no restart, and a wrap is none: 2^32 milliseconds are 4,294,967 seconds and a bit.
    let datagrams =
        [(4_294_967, 0, 7), (3, 60, 0), (1, 2, 8), (2, 3, 9), (3, 4, 10)].map(|(a, b, c)| v9_at(a, b, c));
    let (summary, text) = account(Strictness::Lenient, &datagrams);
    assert_eq!(summary["exporters"][0]["domains"][0]["restarts"], Value::Null);
    assert!(!text.contains("restarts"), "{text}");
}

#[test]
fn quirks_are_switched_and_counted() {
    let switched = |is_on: bool| {
        let mut collector = Collector::new(JsonSink::new(Vec::new()));
        let mut policy = Policy::default();
        policy.switch_quirk(Quirk::SequenceCountsTemplates, is_on, None);
        collector.set_policy(policy);
        // cento: each message has a template and two records, and its numbers count all three.
        let described = set(2, &[1, 0, 0, 1, 0, 4, 0, 1]);
        for number in 0..5 {
            let message = ipfix(3 * number, &[described.clone(), set(256, &[6, 17])]);
            let exporter = ([192, 0, 2, 7], 9).into();
            collector.handle_datagram(exporter, &message, Timestamp::from_secs(1_700_000_000)).unwrap();
        }
        collector.summary().to_json()
    };
    let off = switched(false);
    assert_eq!(sequence(&off), json!({"gaps": 4, "lost_records": 4}));
    assert_eq!(off["quirks"], json!({}));
    let on = switched(true);
    assert_eq!(sequence(&on), json!({}));
    assert_eq!(on["quirks"], json!({"sequence-counts-templates": 5}));
}

#[test]
fn a_quirk_can_be_that_of_one_exporter() {
    let mut collector = Collector::new(JsonSink::new(Vec::new()));
    let mut policy = Policy::default();
    policy.switch_quirk(Quirk::V5SamplingOf16Bits, true, Some([192, 0, 2, 7].into()));
    collector.set_policy(policy);
    let mut datagram = v5(0, 1);
    datagram[22..24].copy_from_slice(&50_000_u16.to_be_bytes());
    for address in [[192, 0, 2, 7], [192, 0, 2, 8]] {
        let exporter = (address, 9).into();
        collector.handle_datagram(exporter, &datagram, Timestamp::from_secs(1_700_000_000)).unwrap();
    }
    let summary = collector.summary().to_json();
    let rates = [0, 1].map(|place| summary["exporters"][place]["domains"][0]["sampling"]["rate"].clone());
    assert_eq!(rates, [json!(50_000), json!(848)]);
    assert_eq!(summary["quirks"], json!({"v5-sampling-of-16-bits": 1}));
    assert!(collector.summary().to_string().contains("quirks       v5-sampling-of-16-bits: 1 times"));
}
