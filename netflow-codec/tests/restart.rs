//! Restarts of exporters: what becomes of their templates.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::similar_names,
    missing_docs,
    reason = "a test that cannot go on panics"
)]

mod common;

use common::packets::{ipfix_at, ipfix_template, record, set, v9_at, v9_options, v9_template};
use netflow_codec::{Batch, Decoder, OnRestart, Restart, RestartKind, Timestamp};

const BEGIN: u32 = 1_700_000_000;

fn at(secs: u32) -> Timestamp {
    Timestamp::from_secs((BEGIN + secs).into())
}

/// What came of a datagram: records of flows, sets without a template, and whether a restart was concluded.
fn decode(
    decoder: &mut Decoder<&'static str>,
    datagram: &[u8],
    secs: u32,
) -> (usize, usize, Option<Restart>) {
    let mut parts = decoder.decode(&"exporter", datagram, at(secs)).unwrap();
    let restart = parts.restart().copied();
    let (mut records, mut missing) = (0, 0);
    for batch in parts.by_ref() {
        match batch {
            Batch::Data(data) => records += data.count(),
            Batch::TemplateMissing { .. } => missing += 1,
            Batch::Malformed(error) => panic!("{error}"),
            _ => {}
        }
    }
    (records, missing, restart)
}

fn templates() -> [Vec<u8>; 2] {
    [v9_template(256, &[(8, 4), (1, 4)]), v9_template(257, &[(8, 4), (2, 4)])]
}

/// A record for each of these templates.
fn data(templates: &[u16]) -> Vec<Vec<u8>> {
    templates.iter().map(|id| set(*id, &record(&[(1, 4), (9, 4)]))).collect()
}

/// A v9 packet of source ID 1.
fn packet(uptime: u32, secs: u32, sequence: u32, sets: &[Vec<u8>]) -> Vec<u8> {
    v9_at(uptime, BEGIN + secs, sequence, 1, sets)
}

/// Decodes data with both templates when the sysUpTime is so many milliseconds.
fn learned(uptime: u32) -> Decoder<&'static str> {
    let mut decoder = Decoder::new();
    decode(&mut decoder, &packet(uptime, 0, 90_000, &templates()), 0);
    assert_eq!(decode(&mut decoder, &packet(uptime, 0, 90_001, &data(&[256, 257])), 0).0, 2);
    decoder
}

#[test]
fn a_restart_flushes_the_templates_of_the_time_before() {
    // T17: sysUpTime 10^9 to 5; a second packet agrees. Template 257 was announced since.
    let mut decoder = learned(1_000_000_000);
    let [_, again] = templates();
    assert_eq!(decode(&mut decoder, &packet(5, 60, 0, &[again]), 60), (0, 0, None));
    let (records, missing, restart) = decode(&mut decoder, &packet(1_005, 61, 1, &data(&[256, 257])), 61);
    assert_eq!((records, missing), (1, 1));
    let restart = restart.unwrap();
    assert_eq!((restart.kind, restart.since), (RestartKind::Restarted, at(60)));
    assert_eq!(decoder.cache().stats().forgotten, 1);
    // What waits is decoded when its template comes.
    let [first, _] = templates();
    let packet = packet(2_005, 62, 2, &[first]);
    let recovered = decoder.decode(&"exporter", &packet, at(62)).unwrap();
    assert_eq!(recovered.filter(|batch| matches!(batch, Batch::Recovered(_))).count(), 1);
}

#[test]
fn an_uptime_that_wraps_flushes_nothing() {
    // T17: 2^32 - 100 to 50.
    let mut decoder = learned(u32::MAX - 99);
    for (step, uptime) in [(1, 50), (2, 1_050), (3, 2_050)] {
        let (records, missing, restart) =
            decode(&mut decoder, &packet(uptime, 0, 90_001 + step, &data(&[256, 257])), 0);
        assert_eq!((records, missing, restart), (2, 0, None));
    }
    // And when the wrap falls into a long silence: 30 days.
    let mut decoder = learned(4_000_000_000);
    let days = 30 * 86_400;
    let uptime = 4_000_000_000_u32.wrapping_add(2_592_000_000);
    for step in 0..3 {
        let datagram = packet(uptime + step * 1_000, days + step, 90_002 + step, &[]);
        assert_eq!(decode(&mut decoder, &datagram, days + step).2, None);
    }
}

#[test]
fn one_odd_packet_wipes_no_templates() {
    // T17: a hundred forged ones, each followed by a genuine one.
    let mut decoder = learned(1_000_000_000);
    for step in 0..100 {
        assert_eq!(decode(&mut decoder, &packet(step, step, 0, &[]), step).2, None);
        let genuine = packet(1_000_000_000 + step * 1_000, step, 90_002 + step, &data(&[256, 257]));
        assert_eq!(decode(&mut decoder, &genuine, step), (2, 0, None));
    }
}

#[test]
fn a_clock_that_is_set_flushes_templates() {
    // T18: Unix time jumps one hour, sysUpTime goes on.
    let mut decoder = learned(1_000_000_000);
    let packet =
        |secs: u32, sets: &[Vec<u8>]| packet(1_000_000_000 + secs * 1_000, 3_600 + secs, 90_010 + secs, sets);
    assert_eq!(decode(&mut decoder, &packet(1, &data(&[256])), 1), (1, 0, None));
    let (records, missing, restart) = decode(&mut decoder, &packet(2, &data(&[256])), 2);
    assert_eq!((records, missing, restart.unwrap().kind), (0, 1, RestartKind::ClockSet));
}

#[test]
fn whoever_keeps_templates_is_only_told() {
    let mut decoder = learned(1_000_000_000).on_restart(OnRestart::KeepTemplates);
    decode(&mut decoder, &packet(5, 60, 0, &[]), 60);
    let (records, missing, restart) = decode(&mut decoder, &packet(1_005, 61, 1, &data(&[256])), 61);
    assert_eq!((records, missing, restart.is_some()), (1, 0, true));
}

#[test]
fn other_domains_keep_their_templates() {
    // T17
    let mut decoder = learned(1_000_000_000);
    let other = |secs: u32, sequence, sets: &[Vec<u8>]| {
        v9_at(7_000_000 + secs * 1_000, BEGIN + secs, sequence, 2, sets)
    };
    decode(&mut decoder, &other(0, 5, &templates()), 0);
    decode(&mut decoder, &packet(5, 60, 0, &[]), 60);
    assert!(decode(&mut decoder, &packet(1_005, 61, 1, &[]), 61).2.is_some());
    assert_eq!(decode(&mut decoder, &other(62, 6, &data(&[256, 257])), 62), (2, 0, None));
}

#[test]
fn ipfix_templates_outlive_sequence_numbers_that_begin_anew_unless_more_says_so() {
    let plain = ipfix_template(256, &[(8, 4), (1, 4)]);
    let message = |secs, sequence, sets: &[Vec<u8>]| ipfix_at(BEGIN + secs, sequence, 1, sets);
    let begin = |decoder: &mut Decoder<_>| {
        decode(decoder, &message(0, 500_000, &[plain.clone(), ipfix_template(257, &[(8, 4)])]), 0);
        decode(decoder, &message(1, 500_000, &[]), 1);
    };
    let mut decoder = Decoder::new();
    begin(&mut decoder);
    let outcomes = [(40, 0), (41, 1), (42, 2)]
        .map(|(secs, sequence)| decode(&mut decoder, &message(secs, sequence, &data(&[256])), secs));
    assert_eq!(
        outcomes.map(|(records, missing, restart)| (records, missing, restart.is_some())),
        [(1, 0, false), (1, 0, false), (1, 0, true)]
    );
    // A template that is another one now makes the evidence strong: the others are forgotten.
    let mut decoder = Decoder::new();
    begin(&mut decoder);
    assert_eq!(decode(&mut decoder, &message(40, 0, &[ipfix_template(257, &[(12, 4), (2, 8)])]), 40).2, None);
    let (records, missing, restart) = decode(&mut decoder, &message(41, 0, &data(&[256])), 41);
    assert_eq!((records, missing, restart.unwrap().voids_templates()), (0, 1, true));
}

#[test]
fn the_time_of_boot_of_an_earlier_life_dates_nothing() {
    // Element 160 in v9 options of source ID 1 is of the time before; the header says the uptime in any case.
    let mut decoder = learned(1_000_000_000);
    let options =
        [v9_options(512, &[(1, 4)], &[(160, 8)]), set(512, &record(&[(0, 4), (1_699_000_000_000, 8)]))];
    decode(&mut decoder, &packet(1_000_000_000, 0, 90_002, &options), 0);
    decode(&mut decoder, &packet(5, 60, 0, &[]), 60);
    assert!(decode(&mut decoder, &packet(1_005, 61, 1, &[]), 61).2.is_some());
    assert_eq!(decode(&mut decoder, &packet(2_005, 62, 2, &data(&[256])), 62).1, 1);
}
