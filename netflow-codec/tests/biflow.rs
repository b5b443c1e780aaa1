//! Biflows (RFC 5103): two flows of one record.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use core::net::Ipv4Addr;

use common::vectors::vector;
use netflow_codec::{
    Batch, Biflow, BiflowDirection, CacheLimits, DecodeErrorKind, Decoder, ElementId, FieldValue, FlowFields,
    Strictness, Timestamp,
};

const REVERSE: u32 = 29_305;

/// Enterprise, number and octets of a field.
type Field<'a> = (u32, u16, &'a [u8]);

/// A message of template 310 and one record.
fn message(fields: &[Field<'_>]) -> Vec<u8> {
    let mut template = [310_u16.to_be_bytes(), u16::try_from(fields.len()).unwrap().to_be_bytes()].concat();
    let mut record = Vec::new();
    for (enterprise, number, octets) in fields {
        let bit = if *enterprise == 0 { 0 } else { 0x8000 };
        template.extend((number | bit).to_be_bytes());
        template.extend(u16::try_from(octets.len()).unwrap().to_be_bytes());
        if *enterprise != 0 {
            template.extend(enterprise.to_be_bytes());
        }
        record.extend(*octets);
    }
    let set = |id: u16, body: &[u8]| {
        [&id.to_be_bytes()[..], &u16::try_from(4 + body.len()).unwrap().to_be_bytes(), body].concat()
    };
    let sets = [set(2, &template), set(310, &record)].concat();
    let length = u16::try_from(16 + sets.len()).unwrap().to_be_bytes();
    [&[0, 10][..], &length, &[0x65, 0x53, 0xf1, 0, 0, 0, 0, 0, 0, 0, 0, 1], &sets].concat()
}

fn biflows(octets: &[u8]) -> Vec<Biflow> {
    let mut found = Vec::new();
    for batch in Decoder::new().decode(&1, octets, Timestamp::ZERO).unwrap() {
        if let Batch::Data(records) = batch {
            assert!(records.biflows().map(|biflow| biflow.forward).eq(records.flows()));
            found.extend(records.biflows());
        }
    }
    found
}

#[test]
fn a_biflow_is_two_flows_with_source_and_destination_exchanged() {
    // C29
    let octets = message(&[
        (0, 8, &[10, 0, 0, 1]),
        (0, 12, &[192, 0, 2, 9]),
        (0, 7, &[0x9c, 0x40]),
        (0, 11, &[0, 80]),
        (0, 4, &[6]),
        (0, 10, &[3]),
        (0, 14, &[4]),
        (0, 1, &[0, 100]),
        (0, 2, &[2]),
        (0, 6, &[0x02]),
        (REVERSE, 1, &[0x13, 0x88]),
        (REVERSE, 2, &[7]),
        (REVERSE, 6, &[0x12]),
        (0, 239, &[1]),
    ]);
    let [Biflow { forward, reverse: Some(reverse), direction, .. }] = biflows(&octets)[..] else { panic!() };
    assert_eq!((forward.octets, forward.packets, forward.tcp_flags), (100, 2, 2));
    assert_eq!((reverse.octets, reverse.packets, reverse.tcp_flags), (5_000, 7, 0x12));
    assert_eq!((reverse.source, reverse.source_port), (Ipv4Addr::new(192, 0, 2, 9).into(), 80));
    assert_eq!((reverse.destination, reverse.destination_port), (Ipv4Addr::new(10, 0, 0, 1).into(), 40_000));
    assert_eq!((reverse.ingress_interface, reverse.egress_interface, reverse.protocol), (4, 3, 6));
    assert_eq!(direction, Some(BiflowDirection::INITIATOR));
    assert_eq!(BiflowDirection(3).name(), Some("perimeter"));
    assert_eq!(reverse.fields, forward.fields);
}

#[test]
fn reverse_values_go_before_what_both_directions_share() {
    let start = 1_700_000_000_000_u64.to_be_bytes();
    let octets = message(&[
        (0, 7, &[0, 1]),
        (0, 152, &start),
        (0, 5, &[8]),
        (0, 10, &[3]),
        (REVERSE, 5, &[16]),
        (REVERSE, 10, &[9]),
        (REVERSE, 1, &[1]),
    ]);
    let [Biflow { forward, reverse: Some(reverse), .. }] = biflows(&octets)[..] else { panic!() };
    assert_eq!((forward.tos, reverse.tos), (8, 16));
    assert_eq!((reverse.ingress_interface, reverse.egress_interface), (9, 3));
    assert_eq!((forward.start, reverse.start), (Timestamp::from_secs(1_700_000_000), forward.start));
    assert!(!forward.has(FlowFields::OCTETS) && reverse.has(FlowFields::OCTETS));
    // Times of its own.
    let later = 1_700_000_009_000_u64.to_be_bytes();
    let octets = message(&[(0, 7, &[0, 1]), (0, 152, &start), (0, 153, &later), (REVERSE, 152, &later)]);
    let [Biflow { reverse: Some(reverse), .. }] = biflows(&octets)[..] else { panic!() };
    assert_eq!(reverse.start, Timestamp::from_secs(1_700_000_009));
    assert!(!reverse.has(FlowFields::END));
}

#[test]
fn a_record_without_reverse_elements_is_one_flow() {
    let octets = message(&[(0, 7, &[0, 1]), (0, 1, &[5])]);
    let [Biflow { forward, reverse, direction, .. }] = biflows(&octets)[..] else { panic!() };
    assert_eq!((forward.octets, reverse, direction), (5, None, None));
}

#[test]
fn counters_of_a_responder_are_the_other_direction() {
    let octets = message(&[
        (0, 8, &[10, 0, 0, 1]),
        (0, 12, &[10, 0, 0, 2]),
        (0, 231, &[0, 100]),
        (0, 232, &[0, 200]),
        (0, 298, &[1]),
        (0, 299, &[2]),
    ]);
    let [Biflow { forward, reverse: Some(reverse), .. }] = biflows(&octets)[..] else { panic!() };
    assert_eq!((forward.octets, forward.packets), (100, 1));
    assert_eq!(
        (reverse.octets, reverse.packets, reverse.source),
        (200, 2, Ipv4Addr::new(10, 0, 0, 2).into())
    );
}

#[test]
fn the_reference_template_is_one_of_biflows() {
    // C29
    let Some(octets) = vector("ipfix-biflow") else { return };
    let mut decoder = Decoder::new();
    let Some(Batch::Template(template, _)) = decoder.decode(&1, &octets, Timestamp::ZERO).unwrap().next()
    else {
        panic!("no template")
    };
    assert!(template.is_biflow() && !template.is_reverse_only());
    let last = template.fields().last().unwrap().element;
    assert_eq!((last, last.info().unwrap().name), (ElementId::new(REVERSE, 1), "reverseOctetDeltaCount"));
}

#[test]
fn records_with_reverse_elements_but_no_direction_are_told_and_dropped() {
    // C29
    let octets = message(&[(0, 4, &[6]), (REVERSE, 1, &[0, 9])]);
    let fault = DecodeErrorKind::ReverseWithoutKey(310);
    let mut strict = Decoder::with_limits(CacheLimits::default(), Strictness::Rfc);
    let batches: Vec<_> = strict.decode(&1, &octets, Timestamp::ZERO).unwrap().collect();
    let [Batch::Template(template, _), Batch::Malformed(error)] = &batches[..] else { panic!("{batches:?}") };
    assert!(template.is_reverse_only() && !template.is_biflow());
    assert_eq!((error.kind, error.offset), (fault, 36));
    // Lenient: no biflow, but the fields can be looked at.
    let mut lenient = Decoder::new();
    let batches: Vec<_> = lenient.decode(&1, &octets, Timestamp::ZERO).unwrap().collect();
    let [_, Batch::Data(records), Batch::Malformed(error)] = &batches[..] else { panic!("{batches:?}") };
    assert_eq!((error.kind, records.biflows().count()), (fault, 0));
    assert_eq!(records.iter().next().unwrap().fields().nth(1).unwrap().value(), FieldValue::Unsigned(9));
}

#[test]
fn the_reverse_of_what_has_none_is_left_out() {
    // C30: flowId.
    let octets = message(&[(0, 7, &[0, 1]), (REVERSE, 148, &[0, 0, 0, 7]), (REVERSE, 2, &[1])]);
    let [Biflow { reverse: Some(reverse), .. }] = biflows(&octets)[..] else { panic!() };
    assert_eq!(reverse.fields, FlowFields::PACKETS | FlowFields::DESTINATION_PORT);
    for batch in Decoder::new().decode(&1, &octets, Timestamp::ZERO).unwrap() {
        if let Batch::Data(records) = batch {
            let field = records.iter().next().unwrap().fields().nth(1).unwrap();
            assert_eq!((field.name(), field.value()), (None, FieldValue::Octets(&[0, 0, 0, 7])));
        }
    }
}
