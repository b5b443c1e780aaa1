//! Every kind of bad input is counted, and told with exporter, domain, template and place.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that cannot go on panics"
)]

mod collector_datagrams;

use core::cell::RefCell;
use std::rc::Rc;

use collector_datagrams::{PLAIN, plain, set, template, v5, v9};
use netflow_codec::{CacheLimits, Strictness, Timestamp};
use netflow_probe_example::{collector::Collector, output::JsonSink};
use serde_json::Value;

/// What is told, and the account, after these datagrams.
fn collect(limits: CacheLimits, datagrams: &[Vec<u8>]) -> (Vec<String>, Value) {
    let told = Rc::new(RefCell::new(Vec::new()));
    let mut collector = Collector::with_limits(JsonSink::new(Vec::new()), limits, Strictness::Lenient);
    let report = Rc::clone(&told);
    collector.on_fault(move |fault| report.borrow_mut().push(fault.to_string()));
    for datagram in datagrams {
        let exporter = "192.0.2.7:4444".parse().unwrap();
        collector.handle_datagram(exporter, datagram, Timestamp::from_secs(1_700_000_000)).unwrap();
    }
    let summary = collector.summary().to_json();
    drop(collector);
    (Rc::into_inner(told).unwrap().into_inner(), summary)
}

fn told(datagrams: &[Vec<u8>]) -> (Vec<String>, Value) {
    collect(CacheLimits::default(), datagrams)
}

/// The datagram with two octets changed.
fn with(mut datagram: Vec<u8>, at: usize, value: u16) -> Vec<u8> {
    datagram[at..at + 2].copy_from_slice(&value.to_be_bytes());
    datagram
}

#[test]
fn unknown_versions_and_cut_off_headers_are_told() {
    // C10
    let (lines, summary) = told(&[vec![0, 77, 0, 0], vec![0, 9, 0, 1, 0], vec![0]]);
    assert_eq!(
        lines,
        [
            "192.0.2.7, datagram 0: version 77 is not supported, at octet 0",
            "192.0.2.7, datagram 1: 20 octets needed, 5 available, at octet 0",
            "192.0.2.7, datagram 2: 2 octets needed, 1 available, at octet 0",
        ]
    );
    assert_eq!((&summary["malformed"], &summary["unsupported_versions"]["77"]), (&2.into(), &1.into()));
    assert_eq!(summary["malformed_by_reason"]["truncated"], 2);
}

#[test]
fn counts_and_lengths_that_lie_are_told() {
    let packet = v9(5, 1, &[template(256, &PLAIN), set(256, &plain(1, 9))]);
    let data_set = 20 + template(256, &PLAIN).len();
    let (lines, summary) = told(&[
        with(v5(7, 2), 2, 3),
        with(packet.clone(), data_set + 2, 3),
        with(packet.clone(), data_set + 2, 999),
        with(packet, 26, 99),
    ]);
    let left = plain(1, 9).len() + 4;
    assert_eq!(
        lines[0],
        "192.0.2.7, v5 domain 0, datagram 0: 3 records announced, 2 in the datagram, at octet 0"
    );
    let short = format!(
        "192.0.2.7, v9 domain 5, datagram 1, set 1: set 256 has length 3, at least 4 needed, at octet {data_set}"
    );
    assert!(lines.contains(&short), "{lines:#?}");
    let long = format!(
        "192.0.2.7, v9 domain 5, datagram 2, set 1: set 256 has length 999, {left} octets are left, at octet {data_set}"
    );
    assert!(lines.contains(&long), "{lines:#?}");
    let fields = PLAIN.len();
    let cut = format!(
        "192.0.2.7, v9 domain 5, datagram 3, set 0: template 256 announces 99 fields, its set holds {fields}, at octet 24"
    );
    assert!(lines.contains(&cut), "{lines:#?}");
    for reason in ["record_count", "set_too_short", "set_too_long", "template_truncated"] {
        assert_eq!(summary["malformed_by_reason"][reason], 1, "{reason}");
    }
}

#[test]
fn templates_of_nothing_or_of_ids_too_low_are_told() {
    let (lines, summary) = told(&[v9(5, 1, &[template(300, &[(1, 0)]), set(300, &[1, 2, 3, 4])])]);
    assert_eq!(
        lines,
        [
            "192.0.2.7, v9 domain 5, datagram 0, set 0: template 300 describes records of 0 octets, at octet 24",
            "192.0.2.7, v9 domain 5, datagram 0, set 1: template 300 describes records of 0 octets, at octet 32",
        ]
    );
    assert_eq!((&summary["data_records"], &summary["template_records"]), (&0.into(), &1.into()));
    let (lines, _) = told(&[v9(5, 1, &[template(255, &PLAIN)])]);
    assert_eq!(
        lines,
        ["192.0.2.7, v9 domain 5, datagram 0, set 0: template identifier 255 is below 256, at octet 24"]
    );
}

#[test]
fn a_full_cache_is_told_with_what_needed_the_room() {
    // T19, T20
    let mut limits = CacheLimits::default();
    limits.templates_per_scope = 2;
    limits.scopes = 2;
    let many = v9(5, 1, &[template(256, &PLAIN), template(257, &PLAIN), template(258, &PLAIN)]);
    let third = 24 + 2 * template(256, &PLAIN).len();
    let others = [v9(6, 1, &[template(256, &PLAIN)]), v9(7, 1, &[template(256, &PLAIN)])];
    let (lines, summary) = collect(limits, &[many, others[0].clone(), others[1].clone()]);
    assert_eq!(lines, [
        format!(
            "192.0.2.7, v9 domain 5, datagram 0, set 2: the template cache is full: for what stands at octet {third}, \
             1 templates and 0 domains that were used longest ago were dropped"
        ),
        "192.0.2.7, v9 domain 7, datagram 2, set 0: the template cache is full: for what stands at octet 24, \
         2 templates and 1 domains that were used longest ago were dropped"
            .to_owned(),
    ]);
    assert_eq!(
        (&summary["malformed"], &summary["template_cache"]["evicted_templates"]),
        (&0.into(), &3.into())
    );
    assert_eq!(summary["exporters"][0]["faults"]["cache_full"], 2);
}
