//! The template cache stored and restored: warm, whole, or not at all.
#![cfg(feature = "serde")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::similar_names, missing_docs)]

mod common;

use core::net::SocketAddr;

use common::sets::{at, ipfix, sampling_record, set, template, told, v9, v9_sampling_template};
use netflow_codec::{
    Batch, CacheLimits, CacheSnapshot, DecodeErrorKind, Decoder, ScopePolicy, SnapshotError, Strictness,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn with_limits(change: impl FnOnce(&mut CacheLimits)) -> Decoder<u8> {
    let mut limits = CacheLimits::default();
    change(&mut limits);
    Decoder::with_limits(limits, Strictness::Lenient)
}

/// Two exporters, three scopes, v9 and IPFIX, flows and options; template 301 announced twice.
fn filled() -> Decoder<u8> {
    let mut decoder = with_limits(|_| {});
    let templates = [set(0, &template(300, &[(1, 4)])), set(1, &v9_sampling_template(400))];
    told(&mut decoder, &1, &v9(7, 0, &templates), at(0));
    for secs in [0, 600] {
        told(&mut decoder, &1, &ipfix(7, secs, &[set(2, &template(301, &[(2, 4)]))]), at(secs));
    }
    told(&mut decoder, &2, &ipfix(8, 700, &[set(2, &template(302, &[(1, 8)]))]), at(700));
    told(
        &mut decoder,
        &1,
        &v9(7, 720, &[set(300, &[0, 0, 0, 1]), set(400, &sampling_record(1_000))]),
        at(720),
    );
    decoder
}

fn stored(decoder: &Decoder<u8>) -> Value {
    serde_json::to_value(decoder.cache().snapshot()).unwrap()
}

fn restore(
    decoder: &mut Decoder<u8>,
    value: &Value,
    secs: u64,
) -> Result<netflow_codec::Restored, SnapshotError> {
    let snapshot: CacheSnapshot<u8> = serde_json::from_value(value.clone()).unwrap();
    decoder.cache_mut().restore(&snapshot, at(secs))
}

#[test]
fn a_restored_cache_decodes_as_the_one_before() {
    let before = filled();
    let value = stored(&before);
    let mut decoder = with_limits(|_| {});
    let restored = restore(&mut decoder, &value, 800).unwrap();
    assert_eq!((restored.scopes, restored.templates, restored.expired, restored.evicted), (3, 4, 0, 0));
    assert_eq!(decoder.cache().stats().restored, 4);
    let data = [0, 0, 0, 5];
    assert_eq!(told(&mut decoder, &1, &v9(7, 800, &[set(300, &data)]), at(800)), ["data 5/0"]);
    assert_eq!(told(&mut decoder, &1, &ipfix(7, 800, &[set(301, &data)]), at(800)), ["data 0/5"]);
    let again = v9(7, 800, &[set(0, &template(300, &[(1, 4)]))]);
    assert_eq!(told(&mut decoder, &1, &again, at(800)), ["Refreshed 300"]);
    // What was stored is what is stored again, order of use and intervals included.
    let mut decoder = with_limits(|_| {});
    restore(&mut decoder, &value, 800).unwrap();
    assert_eq!(stored(&decoder), value);
    let entries = |decoder: &Decoder<u8>| -> Vec<_> {
        let entries = decoder.cache().iter();
        entries.map(|entry| (entry.template.id(), entry.last_announced, entry.interval)).collect()
    };
    assert_eq!(entries(&decoder), entries(&before));
}

#[test]
fn established_exporters_are_restored_as_such() {
    let before = filled();
    let mut decoder = with_limits(|limits| limits.scopes = 4);
    restore(&mut decoder, &stored(&before), 800).unwrap();
    for domain in 0..50 {
        told(&mut decoder, &3, &ipfix(domain, 800, &[set(2, &template(300, &[(1, 4)]))]), at(800));
    }
    assert_eq!(
        told(&mut decoder, &1, &v9(7, 800, &[set(300, &[0, 0, 0, 5])]), at(800)),
        ["data 5/0"],
        "a flood of newcomers evicts newcomers"
    );
}

#[test]
fn sampling_rates_are_restored_in_their_scope_and_for_the_exporter() {
    let mut decoder = with_limits(|_| {});
    restore(&mut decoder, &stored(&filled()), 800).unwrap();
    // In its own domain, and in another one.
    for (datagram, elsewhere) in
        [(v9(7, 800, &[set(300, &[0, 0, 0, 5])]), false), (ipfix(7, 800, &[set(301, &[0, 0, 0, 5])]), true)]
    {
        let mut decoded = decoder.decode(&1, &datagram, at(800)).unwrap();
        let Some(Batch::Data(records)) = decoded.next() else { panic!("data") };
        let sampling = decoded.sampling(&records.flows().next().unwrap()).unwrap();
        assert_eq!((sampling.interval, sampling.elsewhere), (1_000, elsewhere));
    }
}

#[test]
fn lifetimes_go_on_while_the_collector_is_down() {
    let value = stored(&filled());
    let mut decoder = with_limits(|_| {});
    // IPFIX: 30 minutes after 600 and 700; v9: 90 minutes after 0.
    let restored = restore(&mut decoder, &value, 2_450).unwrap();
    assert_eq!((restored.templates, restored.expired), (3, 1));
    let restored = restore(&mut decoder, &value, 2_500).unwrap();
    assert_eq!((restored.templates, restored.expired), (2, 2));
    assert_eq!(decoder.cache().stats().forgotten, 3);
    let restored = restore(&mut decoder, &value, 5_400).unwrap();
    assert_eq!((restored.templates, restored.expired), (0, 4));
}

#[test]
fn a_clock_that_was_set_back_does_not_lengthen_lifetimes() {
    let value = stored(&filled());
    let mut decoder = with_limits(|_| {});
    assert_eq!(restore(&mut decoder, &value, 0).unwrap().templates, 4);
    let data = ipfix(8, 1_800, &[set(302, &[0; 8])]);
    assert_eq!(told(&mut decoder, &2, &data, at(1_799)), ["data 0/0"]);
    assert_eq!(told(&mut decoder, &2, &data, at(1_800)), ["waits for 302"]);
}

#[test]
fn the_limits_of_the_new_cache_hold() {
    // T19
    let mut before = with_limits(|_| {});
    for id in 300..400 {
        told(&mut before, &1, &ipfix(7, 0, &[set(2, &template(id, &[(1, 4)]))]), at(0));
    }
    let value = stored(&before);
    let mut decoder = with_limits(|limits| limits.templates_per_scope = 10);
    let restored = restore(&mut decoder, &value, 10).unwrap();
    assert_eq!((restored.templates, restored.evicted), (10, 90));
    let ids: Vec<_> = decoder.cache().iter().map(|entry| entry.template.id()).collect();
    assert_eq!(ids, (390..400).collect::<Vec<_>>(), "those used last");
    let mut decoder = with_limits(|limits| limits.template_octets = 20_000);
    restore(&mut decoder, &value, 10).unwrap();
    let octets = decoder.cache().memory_octets();
    assert!(octets <= 20_000 && decoder.cache().template_count() > 5, "{octets}");
}

#[test]
fn what_no_wire_could_have_brought_is_refused_whole() {
    type Change = fn(&mut Value);
    let cases: [(Change, SnapshotError); 13] = [
        (|value| value["version"] = json!(2), SnapshotError::Version(2)),
        (|value| value["version"] = json!(0), SnapshotError::Version(0)),
        (|value| value["exporters"][1]["scopes"][1]["protocol"] = json!(5), SnapshotError::Protocol(5)),
        (
            |value| {
                let first = value["exporters"][0].clone();
                value["exporters"].as_array_mut().unwrap().push(first);
            },
            SnapshotError::Twice(2),
        ),
        (
            |value| {
                let scopes = value["exporters"][1]["scopes"].as_array_mut().unwrap();
                let first = scopes[0].clone();
                scopes.push(first);
            },
            SnapshotError::Twice(1),
        ),
        // The scope of another exporter.
        (
            |value| {
                let other = value["exporters"][0]["scopes"][0].clone();
                value["exporters"][1]["scopes"].as_array_mut().unwrap().push(other);
            },
            SnapshotError::Policy(1),
        ),
        // Rates out of order.
        (
            |value| {
                let rates = value["exporters"][1]["scopes"][1]["sampling"]["entries"].as_array_mut().unwrap();
                let first = rates[0].clone();
                rates.push(first);
            },
            SnapshotError::Sampling(1),
        ),
        (
            |value| {
                let templates = value["exporters"][1]["scopes"][1]["templates"].as_array_mut().unwrap();
                let first = templates[0].clone();
                templates.push(first);
            },
            SnapshotError::TemplateTwice(300),
        ),
        // An id below 256.
        (
            |value| value["exporters"][1]["scopes"][1]["templates"][0]["record"][0] = json!(0),
            SnapshotError::Template(netflow_codec_error(0, DecodeErrorKind::TemplateId(44))),
        ),
        // More fields announced than there are.
        (
            |value| value["exporters"][1]["scopes"][1]["templates"][0]["record"][3] = json!(2),
            SnapshotError::Template(netflow_codec_error(
                0,
                DecodeErrorKind::TemplateTruncated { template_id: 300, announced: 2, available: 1 },
            )),
        ),
        // Octets behind the record.
        (
            |value| {
                let record =
                    value["exporters"][1]["scopes"][1]["templates"][0]["record"].as_array_mut().unwrap();
                record.extend([json!(1), json!(2)]);
            },
            SnapshotError::Record(10),
        ),
        (
            |value| value["exporters"][1]["scopes"][1]["templates"][0]["record"] = json!([]),
            SnapshotError::Record(0),
        ),
        // A withdrawal.
        (
            |value| value["exporters"][0]["scopes"][0]["templates"][0]["record"] = json!([1, 44, 0, 0]),
            SnapshotError::Record(4),
        ),
    ];
    for (change, expected) in cases {
        let mut value = stored(&filled());
        change(&mut value);
        let mut decoder = filled();
        let before = (stored(&decoder), *decoder.cache().stats());
        assert_eq!(restore(&mut decoder, &value, 800), Err(expected), "{value}");
        assert_eq!((stored(&decoder), *decoder.cache().stats()), before, "{expected}");
    }
}

fn netflow_codec_error(offset: usize, kind: DecodeErrorKind) -> netflow_codec::DecodeError {
    let mut datagram = v9(1, 0, &[]);
    datagram.truncate(1);
    // There is no other way to make an error than to have one.
    let mut error = Decoder::new().decode(&1, &datagram, at(0)).err().unwrap();
    (error.offset, error.kind) = (u32::try_from(offset).unwrap(), kind);
    error
}

#[test]
fn oversize_templates_are_refused() {
    // T19
    let record = |fields: u16| {
        let mut record = vec![1, 44];
        record.extend(fields.to_be_bytes());
        record.extend([0, 4, 0, 1].repeat(fields.into()));
        json!(record)
    };
    let mut value = stored(&filled());
    value["exporters"][1]["scopes"][1]["templates"][0]["record"] = record(1_025);
    let kind = DecodeErrorKind::TooManyFields { template_id: 300, fields: 1_025, limit: 1_024 };
    let expected = SnapshotError::Template(netflow_codec_error(0, kind));
    assert_eq!(restore(&mut with_limits(|_| {}), &value, 800), Err(expected));
    let unlimited = |limits: &mut CacheLimits| limits.fields_per_template = u16::MAX;
    assert!(restore(&mut with_limits(unlimited), &value, 800).is_ok());
    value["exporters"][1]["scopes"][1]["templates"][0]["record"] = record(20_000);
    assert_eq!(restore(&mut with_limits(unlimited), &value, 800), Err(SnapshotError::Record(80_004)));
    let small = |limits: &mut CacheLimits| limits.template_octets_per_exporter = 10_000;
    value["exporters"][1]["scopes"][1]["templates"][0]["record"] = record(1_000);
    let refused = restore(&mut with_limits(small), &value, 800);
    let Err(SnapshotError::Template(error)) = refused else { panic!("{refused:?}") };
    assert!(matches!(error.kind, DecodeErrorKind::TemplateTooLarge { template_id: 300, .. }));
}

#[test]
fn scopes_of_another_policy_are_refused() {
    let announced = ipfix(7, 0, &[set(2, &template(300, &[(1, 4)]))]);
    let sender = SocketAddr::from(([192, 0, 2, 1], 1_000));
    let mut decoder = Decoder::new().with_scopes(ScopePolicy::by_address_and_port());
    told(&mut decoder, &sender, &announced, at(0));
    let snapshot = decoder.cache().snapshot();
    let mut other = Decoder::new().with_scopes(ScopePolicy::by_address());
    assert_eq!(other.cache_mut().restore(&snapshot, at(0)), Err(SnapshotError::Policy(0)));
    assert_eq!(decoder.cache_mut().restore(&snapshot, at(0)).unwrap().templates, 1);
    assert_eq!((snapshot.scope_count(), snapshot.template_count()), (1, 1));
    let mut other = Decoder::new().with_scopes(ScopePolicy::by_address_and_port().without_domains());
    assert_eq!(other.cache_mut().restore(&snapshot, at(0)), Err(SnapshotError::Policy(0)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn damaged_snapshots_are_restored_whole_or_not_at_all(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)
    ) {
        let text = stored(&filled()).to_string();
        let mut octets = text.into_bytes();
        for (place, octet) in changes {
            let place = place.index(octets.len());
            octets[place] = b' ' + octet % 95;
        }
        if let Ok(snapshot) = serde_json::from_slice::<CacheSnapshot<u8>>(&octets) {
            let mut decoder = filled();
            let before = stored(&decoder);
            match decoder.cache_mut().restore(&snapshot, at(800)) {
                Ok(restored) => {
                    let all = restored.templates + restored.expired + restored.evicted;
                    assert_eq!(all, snapshot.template_count());
                    assert_eq!(decoder.cache().template_count(), restored.templates);
                }
                Err(_) => assert_eq!(stored(&decoder), before),
            }
        }
    }
}
