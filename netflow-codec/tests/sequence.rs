//! Sequence numbers of whole datagrams, in the unit of their version.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::similar_names,
    missing_docs,
    reason = "a test that cannot go on panics"
)]

mod common;

use common::packets::{ipfix_at, ipfix_options, ipfix_template, record, set, v5, v9_at, v9_template};
use netflow_codec::{
    Batch, Decoder, SequenceCounts, SequenceEvent, SequenceTracker, SequenceUnit, Timestamp,
};

/// Follows the numbers of datagrams of one stream.
fn follow(datagrams: &[Vec<u8>]) -> (SequenceCounts, Vec<SequenceEvent>) {
    let mut decoder = Decoder::new();
    let mut tracker = SequenceTracker::new();
    let mut events = Vec::new();
    for datagram in datagrams {
        let mut parts = decoder.decode(&"exporter", datagram, Timestamp::ZERO).unwrap();
        let (mut records, mut is_known) = (0, true);
        for batch in parts.by_ref() {
            match batch {
                Batch::Fixed(fixed) => records += fixed.iter().len(),
                Batch::Data(data) | Batch::Options(data) => records += data.count(),
                Batch::TemplateMissing { .. } | Batch::Malformed(_) => is_known = false,
                _ => {}
            }
        }
        let header = parts.header();
        let sequence = header.sequence.unwrap();
        events.push(match SequenceUnit::of(header.version).unwrap() {
            SequenceUnit::Packets => tracker.observe(sequence, 1),
            _ if is_known => tracker.observe(sequence, u32::try_from(records).unwrap()),
            _ => tracker.observe_open(sequence),
        });
    }
    (*tracker.counts(), events)
}

/// A v5 datagram of one flow.
fn v5_at(sequence: u32) -> Vec<u8> {
    let mut datagram = v5(0);
    datagram[16..20].copy_from_slice(&sequence.to_be_bytes());
    datagram
}

/// Template and options template, two records of options, three of data: five records.
fn mixed(sequence: u32) -> Vec<u8> {
    let options = set(512, &record(&[(7, 4), (100, 4), (8, 4), (200, 4)]));
    let data = set(256, &record(&[(1, 4), (2, 4), (3, 4)]));
    let sets = [ipfix_template(256, &[(8, 4)]), ipfix_options(512, 1, &[(143, 4), (34, 4)]), options, data];
    ipfix_at(1_700_000_000, sequence, 1, &sets)
}

#[test]
fn ipfix_counts_records_of_options_and_no_templates() {
    // C8
    let (counts, _) = follow(&[0, 5, 10, 15].map(mixed));
    assert_eq!((counts.received, counts.lost, counts.gaps), (20, 0, 0));
    // C4: the second is lost, the last one came before.
    let (counts, events) = follow(&[0, 10, 15, 15].map(mixed));
    assert_eq!((counts.received, counts.lost, counts.duplicates, counts.expected()), (15, 5, 1, 20));
    assert_eq!(events[1], SequenceEvent::Gap { lost: 5 });
}

#[test]
fn v9_counts_packets_and_v5_flows_across_the_wrap() {
    // C4, C6: lost, swapped and repeated.
    let packet = |sequence: u32| {
        v9_at(60_000, 1_700_000_000, sequence, 1, &[v9_template(256, &[(8, 4)]), set(256, &[0; 40])])
    };
    let numbers = [0, 1, 3, 2, 4, 6, 6].map(|number: u32| (u32::MAX - 2).wrapping_add(number));
    for datagrams in [numbers.map(packet), numbers.map(v5_at)] {
        let (counts, _) = follow(&datagrams);
        assert_eq!((counts.received, counts.lost, counts.gaps), (6, 1, 2));
        assert_eq!((counts.late, counts.duplicates, counts.resets, counts.strays), (1, 1, 0, 0));
    }
}

#[test]
fn messages_of_which_not_all_is_known_are_no_loss() {
    // C7: data whose template is not known; then its records are not counted wrong.
    let unknown = |sequence| ipfix_at(1_700_000_000, sequence, 1, &[set(999, &[0; 36])]);
    let (counts, events) = follow(&[mixed(0), unknown(5), mixed(14), mixed(19), mixed(34)]);
    assert_eq!(events[1..4], [SequenceEvent::InOrder, SequenceEvent::First, SequenceEvent::InOrder]);
    assert_eq!((counts.lost, counts.gaps), (10, 1), "what is lost later is");
}

#[test]
fn a_number_from_the_future_does_not_blind_the_account() {
    // C5: near and far.
    for forged in [40_000, 3_000_000_000] {
        let mut datagrams: Vec<_> = (0..4).map(|number| mixed(number * 5)).collect();
        datagrams.push(mixed(forged));
        datagrams.extend((4..40).map(|number| mixed(number * 5)));
        let (counts, events) = follow(&datagrams);
        assert_eq!((counts.lost, counts.late, counts.resets, counts.strays), (0, 0, 0, 1), "{forged}");
        assert!(events[20..].iter().all(|event| *event == SequenceEvent::InOrder));
    }
}
