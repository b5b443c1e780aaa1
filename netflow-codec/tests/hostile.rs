//! Datagrams that lie, are cut off, or come in floods.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use core::time::Duration;

use netflow_codec::{
    Batch, CacheLimits, DecodeErrorKind, Decoder, Learned, Protocol, Strictness, TemplateLifetime,
    TemplateScope, Timestamp,
};
use proptest::prelude::*;

/// Template 300 of protocol and source port, one data set of two records, one options template and its record.
fn sample() -> Vec<u8> {
    let mut octets = header(1);
    octets.extend([0, 0, 0, 16, 1, 44, 0, 2, 0, 4, 0, 1, 0, 7, 0, 2]);
    octets.extend([1, 44, 0, 12, 6, 0, 80, 17, 0, 53, 0, 0]);
    octets.extend([0, 1, 0, 20, 1, 45, 0, 4, 0, 4, 0, 1, 0, 4, 0, 34, 0, 4, 0, 0]);
    octets.extend([1, 45, 0, 12, 0, 0, 0, 0, 0, 0, 0, 100]);
    octets
}

fn header(source_id: u32) -> Vec<u8> {
    let mut octets = vec![0, 9, 0, 5, 0, 0, 0x27, 0x10, 0x65, 0x53, 0xf1, 0, 0, 0, 0, 1];
    octets.extend(source_id.to_be_bytes());
    octets
}

/// A packet with one set.
fn packet(source_id: u32, set: &[u8]) -> Vec<u8> {
    let mut octets = header(source_id);
    octets.extend(set);
    octets
}

#[derive(Debug, Default, PartialEq)]
struct Seen {
    templates: usize,
    records: usize,
    missing: usize,
    recovered: usize,
    reserved: usize,
    errors: Vec<(u32, DecodeErrorKind)>,
}

fn look(decoder: &mut Decoder<u32>, exporter: u32, datagram: &[u8], now: Timestamp) -> Option<Seen> {
    let mut seen = Seen::default();
    for batch in decoder.decode(&exporter, datagram, now).ok()? {
        match batch {
            Batch::Fixed(records) => seen.records += records.flows().count(),
            Batch::Data(records) | Batch::Options(records) => {
                let listed: usize = records.iter().map(|record| record.fields().count().min(1)).sum();
                assert_eq!(records.count(), records.flows().count());
                assert!(listed <= records.count());
                seen.records += records.count();
            }
            Batch::Recovered(records) => {
                seen.recovered += 1;
                seen.records += records.records().flows().count();
            }
            Batch::Template(..) => seen.templates += 1,
            Batch::TemplateMissing { .. } => seen.missing += 1,
            Batch::Reserved { .. } => seen.reserved += 1,
            Batch::Malformed(error) => seen.errors.push((error.offset, error.kind)),
            other => panic!("{other:?}"),
        }
    }
    Some(seen)
}

fn decode(datagram: &[u8]) -> Seen {
    look(&mut Decoder::new(), 1, datagram, Timestamp::ZERO).unwrap()
}

#[test]
fn every_truncation_is_survived_and_whole_sets_before_it_are_decoded() {
    // D13, D17, D66
    let octets = sample();
    for length in 0..octets.len() {
        let seen = look(&mut Decoder::new(), 1, &octets[..length], Timestamp::ZERO);
        if length < 20 {
            assert_eq!(seen, None, "{length}");
            continue;
        }
        let seen = seen.unwrap();
        assert_eq!(seen.templates, usize::from(length >= 36) + usize::from(length >= 66), "{length}");
        assert!(seen.records >= if length >= 48 { 2 } else { 0 }, "{length}");
        let at_a_boundary = [20, 36, 48, 68, 80].contains(&length);
        assert_eq!(seen.errors.is_empty(), at_a_boundary, "{length}: {seen:?}");
    }
}

#[test]
fn every_length_field_one_off_is_survived() {
    // D66
    let octets = sample();
    for at in (2..octets.len() - 1).step_by(2) {
        for change in [u16::MAX, 1, 0x8000, 255] {
            let mut changed = octets.clone();
            let value = u16::from_be_bytes([changed[at], changed[at + 1]]).wrapping_add(change);
            changed[at..at + 2].copy_from_slice(&value.to_be_bytes());
            let seen = decode(&changed);
            assert!(seen.records <= 64, "{at}: {seen:?}");
        }
    }
}

#[test]
fn header_counts_that_lie_change_nothing() {
    // D14
    let mut octets = sample();
    let honest = decode(&octets);
    for count in [0u16, 1, u16::MAX] {
        octets[2..4].copy_from_slice(&count.to_be_bytes());
        assert_eq!(decode(&octets), honest);
    }
}

#[test]
fn a_count_that_differs_from_the_packet_can_be_asked_for() {
    // D14
    let mut octets = sample();
    for (count, expected) in [(5, None), (0, Some(5)), (4, Some(5)), (6, Some(5)), (u16::MAX, Some(5))] {
        octets[2..4].copy_from_slice(&u16::to_be_bytes(count));
        let mut decoder = Decoder::new();
        let mut parts = decoder.decode(&1, &octets, Timestamp::ZERO).unwrap();
        parts.by_ref().for_each(drop);
        let mismatch = parts.count_mismatch().map(|found| (found.announced, found.records));
        assert_eq!(mismatch, expected.map(|records| (count, records)));
    }
    // Of data without a template nobody knows how many records there are.
    let data = packet(1, &[1, 99, 0, 8, 1, 2, 3, 4]);
    let mut decoder = Decoder::new();
    let mut parts = decoder.decode(&1, &data, Timestamp::ZERO).unwrap();
    parts.by_ref().for_each(drop);
    assert_eq!(parts.count_mismatch(), None);
}

#[test]
fn several_templates_in_several_sets() {
    // D18
    let mut octets = header(1);
    octets.extend([0, 0, 0, 20, 1, 44, 0, 1, 0, 4, 0, 1, 1, 45, 0, 1, 0, 7, 0, 2]);
    octets.extend([0, 0, 0, 12, 1, 46, 0, 1, 0, 8, 0, 4]);
    octets.extend([1, 44, 0, 5, 6, 1, 45, 0, 6, 0, 80, 1, 46, 0, 8, 192, 0, 2, 1]);
    let seen = decode(&octets);
    assert_eq!((seen.templates, seen.records, seen.errors), (3, 3, vec![]));
}

/// The records of each data set, and how many of them may be padding.
fn counts(count: u16, sets: &[&[u8]]) -> Vec<(usize, usize)> {
    let mut octets = packet(1, &sets.concat());
    octets[2..4].copy_from_slice(&count.to_be_bytes());
    let mut counts = Vec::new();
    for batch in Decoder::new().decode(&1, &octets, Timestamp::ZERO).unwrap() {
        match batch {
            Batch::Data(records) | Batch::Options(records) => {
                assert_eq!(records.count(), records.flows().count());
                assert_eq!(records.count(), records.iter().count());
                counts.push((records.count(), records.doubtful_records()));
            }
            Batch::Template(..) | Batch::Reserved { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    counts
}

#[test]
fn padding_as_long_as_a_record_is_told_from_records_by_the_count_or_not_at_all() {
    // D27
    let one: &[u8] = &[0, 0, 0, 12, 1, 44, 0, 1, 0, 4, 0, 1];
    let two: &[u8] = &[0, 0, 0, 12, 1, 45, 0, 1, 0, 7, 0, 2];
    let three: &[u8] = &[0, 0, 0, 16, 1, 46, 0, 2, 0, 7, 0, 2, 0, 4, 0, 1];
    // Three records of one octet and one of padding, or four records.
    let data: &[u8] = &[1, 44, 0, 8, 6, 17, 1, 0];
    assert_eq!(counts(1 + 3, &[one, data]), [(3, 0)]);
    assert_eq!(counts(1 + 4, &[one, data]), [(4, 0)]);
    // The count says neither, or may count FlowSets: told.
    for count in [0, 2, 9, 500] {
        assert_eq!(counts(count, &[one, data]), [(4, 1)], "{count}");
    }
    // Padding need not be zeros when the count settles it; what is no zero is in no doubt otherwise.
    assert_eq!(counts(1 + 2, &[one, &[1, 44, 0, 8, 6, 17, 0xff, 0xff]]), [(2, 0)]);
    assert_eq!(counts(9, &[one, &[1, 44, 0, 8, 6, 17, 1, 2]]), [(4, 0)]);
    // A body that is not padded to 4 octets has no padding.
    assert_eq!(counts(9, &[one, &[1, 44, 0, 7, 6, 0, 0]]), [(3, 0)]);
    // Records of two and of three octets.
    assert_eq!(counts(1 + 1, &[two, &[1, 45, 0, 8, 0, 80, 0, 0]]), [(2, 1)], "or two FlowSets");
    assert_eq!(counts(1 + 3, &[two, &[1, 45, 0, 12, 0, 80, 0, 81, 0, 82, 0, 0]]), [(3, 0)]);
    assert_eq!(counts(1 + 3, &[three, &[1, 46, 0, 16, 0, 80, 6, 0, 81, 6, 0, 82, 6, 0, 0, 0]]), [(3, 0)]);
    // Two such FlowSets: all padding, or none, or nobody knows which.
    let sets: [&[u8]; 4] = [one, data, two, &[1, 45, 0, 12, 0, 80, 0, 81, 0, 82, 0, 0]];
    assert_eq!(counts(2 + 8, &sets), [(4, 0), (4, 0)]);
    assert_eq!(counts(2 + 7, &sets), [(4, 1), (4, 1)]);
    // Reserved sets cannot be counted.
    assert_eq!(counts(1 + 3, &[one, data, &[0, 9, 0, 4]]), [(4, 1)]);
}

#[test]
fn data_that_waited_is_in_doubt_as_well() {
    // D27
    let mut decoder = Decoder::new();
    look(&mut decoder, 1, &packet(1, &[1, 44, 0, 8, 6, 17, 0, 0]), Timestamp::ZERO);
    let template = packet(1, &[0, 0, 0, 12, 1, 44, 0, 1, 0, 4, 0, 1]);
    let recovered = decoder.decode(&1, &template, Timestamp::ZERO).unwrap().find_map(|batch| match batch {
        Batch::Recovered(recovered) => Some(recovered.records().doubtful_records()),
        _ => None,
    });
    assert_eq!(recovered, Some(2));
}

#[test]
fn many_sets_of_short_records_are_settled_in_linear_time() {
    // D67
    let mut octets = packet(1, &[0, 0, 0, 12, 1, 44, 0, 1, 0, 4, 0, 1]);
    for _ in 0..8_000 {
        octets.extend([1, 44, 0, 8, 6, 0, 0, 0]);
    }
    let start = std::time::Instant::now();
    assert_eq!(decode(&octets).records, 32_000);
    assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
}

#[test]
fn a_records_provenance_is_its_place() {
    let mut decoder = Decoder::new();
    let waiting = packet(7, &[&[0, 99, 0, 4][..], &[1, 46, 0, 6, 6, 17]].concat());
    look(&mut decoder, 5, &waiting, Timestamp::ZERO);
    let octets = [packet(7, &sample()[20..]), vec![0, 0, 0, 12, 1, 46, 0, 1, 0, 4, 0, 1]].concat();
    let mut seen = Vec::new();
    let mut parts = decoder.decode(&5, &octets, Timestamp::ZERO).unwrap();
    while let Some(batch) = parts.next() {
        let mut see = |provenance: netflow_codec::Provenance<'_, u32>| {
            assert_eq!((*provenance.exporter, provenance.version, provenance.observation_domain), (5, 9, 7));
            let (datagram, set) = (provenance.datagram, provenance.set);
            seen.push((provenance.template_id.unwrap(), datagram, set, provenance.offset));
        };
        match batch {
            Batch::Data(records) | Batch::Options(records) => {
                records.iter().for_each(|record| see(parts.provenance(&5, &record)));
            }
            Batch::Recovered(recovered) => recovered
                .records()
                .iter()
                .for_each(|record| see(parts.recovered_provenance(&5, &recovered, &record))),
            _ => {}
        }
    }
    assert_eq!(seen, [(300, 1, 1, 40), (300, 1, 1, 43), (301, 1, 3, 72), (302, 0, 1, 28), (302, 0, 1, 29)]);
    // What the places say is true.
    assert_eq!((octets[40], octets[43], waiting[28], waiting[29]), (6, 17, 6, 17));
}

#[test]
fn a_set_shorter_than_its_header_ends_the_packet_with_an_error() {
    // D16
    for length in 0..4u8 {
        let mut octets = sample();
        octets.extend([1, 44, 0, length, 6, 0, 80, 17]);
        let seen = decode(&octets);
        let kind = DecodeErrorKind::SetTooShort { id: 300, length: length.into() };
        assert_eq!((seen.records, seen.errors), (3, vec![(80, kind)]));
    }
}

#[test]
fn a_set_past_the_end_gives_what_is_there_or_nothing_when_strict() {
    // D17
    let mut octets = sample();
    octets.extend([1, 44, 0, 100, 6, 0, 80, 17]);
    let kind = DecodeErrorKind::SetTooLong { id: 300, length: 100, available: 8 };
    let seen = decode(&octets);
    assert_eq!((seen.records, seen.errors), (4, vec![(80, kind)]));
    let mut strict = Decoder::with_limits(CacheLimits::default(), Strictness::Rfc);
    let seen = look(&mut strict, 1, &octets, Timestamp::ZERO).unwrap();
    assert_eq!((seen.records, seen.errors), (3, vec![(80, kind)]));
}

#[test]
fn templates_that_describe_nothing_are_told_and_data_for_them_ends_at_once() {
    // D23: a remote endless loop elsewhere.
    for template in [&[0, 0, 0, 8, 1, 44, 0, 0][..], &[0, 0, 0, 12, 1, 44, 0, 1, 0, 4, 0, 0][..]] {
        let mut octets = packet(1, template);
        octets.extend([1, 44, 0xff, 0xff]);
        octets.resize(65_000, 0);
        let kind = DecodeErrorKind::EmptyTemplate(300);
        let kinds = |seen: &Seen| seen.errors.iter().map(|(_, kind)| *kind).collect::<Vec<_>>();

        // Strict: refused, so the data has no template.
        let mut strict = Decoder::with_limits(CacheLimits::default(), Strictness::Rfc);
        let seen = look(&mut strict, 1, &octets, Timestamp::ZERO).unwrap();
        assert_eq!((seen.templates, seen.records), (0, 0));
        assert_eq!((kinds(&seen)[0], strict.cache().stats().refused), (kind, 1));

        // Lenient: known, told for the template and for the data, and decodes to nothing.
        let length = u16::try_from(octets.len() - 20 - template.len()).unwrap();
        octets[20 + template.len() + 2..][..2].copy_from_slice(&length.to_be_bytes());
        let seen = decode(&octets);
        assert_eq!((seen.templates, seen.records, seen.missing), (1, 0, 0));
        assert_eq!(kinds(&seen), [kind, kind]);
    }
}

#[test]
fn template_ids_below_256_are_refused_unless_they_are_padding() {
    // D19, D24
    for id in [0u8, 1, 2, 255] {
        let seen = decode(&packet(1, &[0, 0, 0, 12, 0, id, 0, 1, 0, 4, 0, 1]));
        assert_eq!((seen.templates, seen.errors), (0, vec![(24, DecodeErrorKind::TemplateId(id.into()))]));
    }
    for padding in 0..=4u8 {
        let mut set = vec![0, 0, 0, 12 + padding, 1, 44, 0, 1, 0, 4, 0, 1];
        set.extend(vec![0; usize::from(padding)]);
        let seen = decode(&packet(1, &set));
        assert_eq!((seen.templates, seen.errors), (1, vec![]));
    }
}

#[test]
fn a_template_cut_off_by_its_set_is_an_error_with_its_place() {
    // D42
    let seen = decode(&packet(1, &[0, 0, 0, 20, 1, 44, 0, 1, 0, 4, 0, 1, 1, 45, 0, 3, 0, 4, 0, 1]));
    let kind = DecodeErrorKind::TemplateTruncated { template_id: 301, announced: 3, available: 1 };
    assert_eq!((seen.templates, seen.errors), (1, vec![(32, kind)]));
}

#[test]
fn lengths_in_options_templates_must_be_multiples_of_four() {
    // D20
    let with = |scope: u16, option: u16| {
        let mut set = vec![0, 1, 0, 22, 1, 45];
        set.extend(scope.to_be_bytes());
        set.extend(option.to_be_bytes());
        set.extend([0, 1, 0, 4, 0, 34, 0, 4, 0, 35, 0, 1]);
        decode(&packet(1, &set))
    };
    assert_eq!((with(4, 8).templates, with(4, 8).errors), (1, vec![]));
    for (scope_length, option_length) in [(2, 2), (4, 7), (6, 6)] {
        let kind = DecodeErrorKind::OptionsTemplateLengths { template_id: 301, scope_length, option_length };
        let seen = with(scope_length, option_length);
        assert_eq!((seen.templates, seen.errors), (0, vec![(24, kind)]));
    }
    let seen = with(65_532, 8);
    assert!(matches!(seen.errors[..], [(24, DecodeErrorKind::TemplateTruncated { .. })]));
}

#[test]
fn reserved_sets_are_skipped_and_their_neighbours_decoded() {
    // D25
    let mut octets = header(1);
    octets.extend([0, 0, 0, 16, 1, 44, 0, 2, 0, 4, 0, 1, 0, 7, 0, 2]);
    octets.extend([0, 100, 0, 8, 1, 2, 3, 4]);
    octets.extend([1, 44, 0, 7, 6, 0, 80]);
    let seen = decode(&octets);
    assert_eq!((seen.reserved, seen.records), (1, 1));
}

#[test]
fn large_field_types_are_plain_and_unknown_ones_keep_their_octets() {
    // D29, D32, D33
    let mut octets = header(1);
    octets.extend([
        0, 0, 0, 28, 1, 44, 0, 5, 0x80, 0xe8, 0, 2, 0x9c, 0x40, 0, 1, 0, 4, 0, 1, 0, 4, 0, 1, 0, 8, 0, 4,
    ]);
    octets.extend([1, 44, 0, 13, 0xaa, 0xbb, 0xcc, 6, 17, 192, 0, 2, 9]);
    let mut decoder = Decoder::new();
    for batch in decoder.decode(&1, &octets, Timestamp::ZERO).unwrap() {
        if let Batch::Data(records) = batch {
            let record = records.iter().next().unwrap();
            let fields: Vec<_> =
                record.fields().map(|field| (field.element().number(), field.octets())).collect();
            let expected: [(u16, &[u8]); 5] =
                [(33_000, &[0xaa, 0xbb]), (40_000, &[0xcc]), (4, &[6]), (4, &[17]), (8, &[192, 0, 2, 9])];
            assert_eq!(fields, expected);
            assert_eq!(records.flows().next().unwrap().protocol, 6);
        }
    }
}

#[test]
fn variable_length_in_v9_is_refused_when_strict_and_read_when_lenient() {
    // D30
    let mut octets = packet(1, &[0, 0, 0, 16, 1, 44, 0, 2, 0, 82, 0xff, 0xff, 0, 4, 0, 1]);
    octets.extend([1, 44, 0, 17, 4, b'e', b't', b'h', b'0', 6, 255, 0, 2, b'l', b'o', 17, 9]);
    let mut strict = Decoder::with_limits(CacheLimits::default(), Strictness::Rfc);
    let seen = look(&mut strict, 1, &octets, Timestamp::ZERO).unwrap();
    assert_eq!(
        (seen.templates, seen.missing, seen.errors[0].1),
        (0, 1, DecodeErrorKind::VariableLengthInV9(300))
    );
    assert_eq!((decode(&octets).records, decode(&octets).errors.len()), (2, 0));
    // A value past the end of the set: told, and the record before it is there.
    octets.truncate(octets.len() - 2);
    octets[39] = 15;
    let seen = decode(&octets);
    assert_eq!(
        (seen.records, seen.errors),
        (1, vec![(46, DecodeErrorKind::RecordTruncated { template_id: 300 })])
    );
}

#[test]
fn data_before_its_template_waits_for_it() {
    // C15, T23, D35
    let data = [1, 44, 0, 12, 6, 0, 80, 17, 0, 53, 0, 0];
    let template = [0, 0, 0, 16, 1, 44, 0, 2, 0, 4, 0, 1, 0, 7, 0, 2];
    let mut decoder = Decoder::new();
    let seen = look(&mut decoder, 1, &packet(1, &data), Timestamp::from_secs(1)).unwrap();
    assert_eq!((seen.records, seen.missing), (0, 1));
    // Another domain's template is another template.
    let seen = look(&mut decoder, 1, &packet(2, &template), Timestamp::from_secs(2)).unwrap();
    assert_eq!((seen.records, seen.recovered), (0, 0));
    let seen = look(&mut decoder, 1, &packet(1, &template), Timestamp::from_secs(3)).unwrap();
    assert_eq!((seen.records, seen.recovered), (2, 1));
    let seen = look(&mut decoder, 1, &packet(1, &template), Timestamp::from_secs(4)).unwrap();
    assert_eq!((seen.records, seen.recovered), (0, 0), "once is enough");

    // Too late: dropped and counted.
    look(&mut decoder, 3, &packet(1, &data), Timestamp::from_secs(10));
    let seen = look(&mut decoder, 3, &packet(1, &template), Timestamp::from_secs(1_000)).unwrap();
    assert_eq!((seen.recovered, decoder.cache().stats().pending_dropped), (0, 1));
}

#[test]
fn waiting_data_is_bounded_in_octets_and_drops_the_oldest() {
    // T23, D66
    let mut limits = CacheLimits::default();
    limits.pending_octets_per_exporter = 3_000;
    limits.pending_octets = 9_000;
    let mut decoder = Decoder::with_limits(limits, Strictness::Lenient);
    let mut set = vec![1, 44, 2, 0];
    set.resize(512, 0);
    for exporter in 0..100 {
        for _ in 0..20 {
            look(&mut decoder, exporter, &packet(1, &set), Timestamp::ZERO);
        }
    }
    let waiting: usize = decoder.cache().pending().map(|set| set.octets).sum();
    assert!(waiting <= 9_000 && waiting > 3_000, "{waiting}");
    let stats = *decoder.cache().stats();
    assert_eq!(stats.pending_dropped + decoder.cache().pending().count() as u64, 2_000);
}

#[test]
fn redefinition_takes_effect_at_once_and_refresh_changes_nothing() {
    // T5, T6, D35, T4
    let old = [0, 0, 0, 12, 1, 44, 0, 1, 0, 4, 0, 1];
    let new = [0, 0, 0, 12, 1, 44, 0, 1, 0, 7, 0, 2];
    let options = [0, 1, 0, 20, 1, 44, 0, 4, 0, 4, 0, 1, 0, 0, 0, 34, 0, 2, 0, 0];
    let data = [1, 44, 0, 6, 0, 80];
    let mut octets = packet(1, &old);
    for set in [&data[..], &new, &data, &new, &data, &options, &data] {
        octets.extend(set);
    }
    let mut decoder = Decoder::new();
    let mut log = Vec::new();
    for batch in decoder.decode(&1, &octets, Timestamp::from_secs(7)).unwrap() {
        log.push(match batch {
            Batch::Template(_, Learned::New) => "new".into(),
            Batch::Template(_, Learned::Refreshed) => "refreshed".into(),
            Batch::Template(_, Learned::Replaced) => "replaced".into(),
            Batch::Data(records) => format!("{} flows", records.count()),
            Batch::Options(records) => format!("{} options", records.count()),
            other => panic!("{other:?}"),
        });
    }
    let expected = ["new", "2 flows", "replaced", "1 flows", "refreshed", "1 flows", "replaced", "1 options"];
    assert_eq!(log, expected);
    let entry = decoder.cache().iter().next().unwrap();
    assert_eq!((entry.template.is_options(), entry.last_announced), (true, Timestamp::from_secs(7)));
}

#[test]
fn a_refused_template_leaves_the_valid_one_in_place() {
    // T22, when strict. Lenient decoding takes the exporter at its word, see the test of templates of nothing.
    let mut decoder = Decoder::with_limits(CacheLimits::default(), Strictness::Rfc);
    look(&mut decoder, 1, &packet(1, &[0, 0, 0, 12, 1, 44, 0, 1, 0, 4, 0, 1]), Timestamp::ZERO);
    look(&mut decoder, 1, &packet(1, &[0, 0, 0, 12, 1, 44, 0, 1, 0, 4, 0, 0]), Timestamp::ZERO);
    let seen = look(&mut decoder, 1, &packet(1, &[1, 44, 0, 5, 6]), Timestamp::ZERO).unwrap();
    assert_eq!(seen.records, 1);
}

#[test]
fn scopes_are_independent() {
    // T1, T3, T16
    let template = |field: u8, length: u8| [0, 0, 0, 12, 0xff, 0xff, 0, 1, 0, field, 0, length];
    let mut decoder = Decoder::new();
    look(&mut decoder, 1, &packet(1, &template(4, 1)), Timestamp::ZERO);
    look(&mut decoder, 1, &packet(2, &template(7, 2)), Timestamp::ZERO);
    look(&mut decoder, 2, &packet(1, &template(8, 4)), Timestamp::ZERO);
    let data = [0xff, 0xff, 0, 8, 1, 2, 3, 4];
    for (exporter, domain, records) in [(1, 1, 4), (1, 2, 2), (2, 1, 1)] {
        let seen = look(&mut decoder, exporter, &packet(domain, &data), Timestamp::ZERO).unwrap();
        assert_eq!(seen.records, records);
    }
    let scope = TemplateScope::new(1, Protocol::NetFlow9, 2);
    assert_eq!(decoder.cache().get(&scope, 0xffff).unwrap().minimum_length(), 2);
    decoder.cache_mut().remove_scope(&scope);
    assert!(decoder.cache().get(&scope, 0xffff).is_none());
    assert_eq!(decoder.cache().template_count(), 2);
}

#[test]
fn expired_templates_are_not_used() {
    // T7
    let mut limits = CacheLimits::default();
    limits.lifetime = TemplateLifetime::fixed(Duration::from_secs(60));
    let mut decoder = Decoder::with_limits(limits, Strictness::Lenient);
    look(&mut decoder, 1, &packet(1, &[0, 0, 0, 12, 1, 44, 0, 1, 0, 4, 0, 1]), Timestamp::from_secs(100));
    let data = packet(1, &[1, 44, 0, 5, 6]);
    assert_eq!(look(&mut decoder, 1, &data, Timestamp::from_secs(159)).unwrap().records, 1);
    assert_eq!(look(&mut decoder, 1, &data, Timestamp::from_secs(160)).unwrap().missing, 1);
    assert_eq!((decoder.cache().stats().expired, decoder.cache().template_count()), (1, 0));
}

#[test]
fn a_flood_of_templates_stays_within_the_limits_and_is_counted() {
    // T19, T20, D67
    let mut limits = CacheLimits::default();
    limits.scopes = 50;
    limits.scopes_per_exporter = 50;
    limits.templates_per_scope = 20;
    limits.template_octets = 400_000;
    limits.fields_per_template = 8;
    let mut decoder = Decoder::with_limits(limits, Strictness::Lenient);
    let mut learned = 0;
    for exporter in 0..200u32 {
        let mut set = vec![0, 0, 0, 0];
        for id in 256..356u16 {
            set.extend(id.to_be_bytes());
            set.extend([0, 1, 0, 4, 0, 1]);
        }
        let length = u16::try_from(set.len()).unwrap().to_be_bytes();
        set[2..4].copy_from_slice(&length);
        learned +=
            look(&mut decoder, exporter, &packet(exporter % 7, &set), Timestamp::ZERO).unwrap().templates;
    }
    assert_eq!(learned, 20_000);
    let cache = decoder.cache();
    assert!(cache.scope_count() <= 50 && cache.template_count() <= 1_000);
    assert!(cache.memory_octets() < 1_000_000, "{}", cache.memory_octets());
    let stats = *cache.stats();
    assert_eq!(stats.new, 20_000);
    assert_eq!(stats.evicted_templates + cache.template_count() as u64, 20_000);

    let mut set = vec![0, 0, 0, 44, 1, 44, 0, 9];
    set.extend([0, 4, 0, 1].repeat(9));
    let seen = look(&mut decoder, 1, &packet(1, &set), Timestamp::ZERO).unwrap();
    let kind = DecodeErrorKind::TooManyFields { template_id: 300, fields: 9, limit: 8 };
    assert_eq!(seen.errors, [(24, kind)]);
}

#[test]
fn one_exporter_cannot_evict_the_templates_of_others() {
    // C17, T19: thousands of made-up domains, with data and with templates.
    let template = [0, 0, 0, 12, 1, 44, 0, 1, 0, 4, 0, 1];
    let data = [1, 44, 0, 5, 6];
    let mut decoder = Decoder::new();
    look(&mut decoder, 1, &packet(1, &template), Timestamp::ZERO);
    for domain in 0..10_000 {
        let set = if domain % 2 == 0 { &data[..] } else { &template[..] };
        look(&mut decoder, 2, &packet(domain, set), Timestamp::ZERO);
    }
    assert_eq!(look(&mut decoder, 1, &packet(1, &data), Timestamp::ZERO).unwrap().records, 1);
    assert_eq!(decoder.cache().scope_count(), 257);
    // Its own newest domain is still there.
    assert_eq!(look(&mut decoder, 2, &packet(9_999, &data), Timestamp::ZERO).unwrap().records, 1);
}

#[test]
fn waiting_data_of_the_silent_does_not_keep_out_that_of_others() {
    // C17, T23
    let mut set = vec![1, 44, 0xea, 0x60];
    set.resize(60_000, 0);
    let mut decoder = Decoder::new();
    for exporter in 0..1_000 {
        look(&mut decoder, exporter, &packet(1, &set), Timestamp::from_secs(1_000));
    }
    let waiting = |decoder: &Decoder<u32>| decoder.cache().pending().map(|set| set.octets).sum::<usize>();
    assert!(waiting(&decoder) <= 16 << 20);
    // Later than the age of all of them.
    let template = [0, 0, 0, 12, 1, 44, 0, 1, 0, 4, 0, 1];
    look(&mut decoder, 5_000, &packet(1, &[1, 44, 0, 5, 6]), Timestamp::from_secs(2_000));
    assert_eq!(waiting(&decoder), 1);
    let seen = look(&mut decoder, 5_000, &packet(1, &template), Timestamp::from_secs(2_001)).unwrap();
    assert_eq!(seen.records, 1);
}

#[test]
fn a_flood_of_fields_of_no_octets_meets_the_limit_of_fields() {
    // T19
    let mut set = vec![0, 0, 0xfa, 0x08, 1, 44, 0x3e, 0x80];
    set.extend([0, 4, 0, 0].repeat(16_000));
    let seen = decode(&packet(1, &set));
    let kind = DecodeErrorKind::TooManyFields { template_id: 300, fields: 16_000, limit: 1_024 };
    assert_eq!((seen.templates, seen.errors), (0, vec![(24, kind)]));
}

#[test]
fn the_largest_template_is_taken_when_the_limits_permit() {
    // T21, D40
    let mut limits = CacheLimits::default();
    limits.fields_per_template = u16::MAX;
    let mut decoder = Decoder::with_limits(limits, Strictness::Lenient);
    let fields = 16_370u16;
    let mut set = vec![0, 0];
    set.extend((8 + 4 * fields).to_be_bytes());
    set.extend([1, 44]);
    set.extend(fields.to_be_bytes());
    set.extend([0, 4, 0, 1].repeat(fields.into()));
    assert_eq!(look(&mut decoder, 1, &packet(1, &set), Timestamp::ZERO).unwrap().templates, 1);
    let mut data = vec![1, 44];
    data.extend((4 + fields).to_be_bytes());
    data.resize(4 + usize::from(fields), 6);
    assert_eq!(look(&mut decoder, 1, &packet(1, &data), Timestamp::ZERO).unwrap().records, 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn random_octets_behind_a_header_are_survived(octets in prop::collection::vec(any::<u8>(), 0..600), version in prop::sample::select(&[1u8, 5, 7, 9][..])) {
        // D66
        let mut datagram = header(1);
        datagram[1] = version;
        datagram.extend(octets);
        look(&mut Decoder::new(), 1, &datagram, Timestamp::ZERO);
    }

    #[test]
    fn mutated_packets_are_survived(changes in prop::collection::vec((0usize..80, any::<u8>()), 1..6)) {
        // D66
        let mut octets = sample();
        let mut decoder = Decoder::new();
        look(&mut decoder, 1, &octets, Timestamp::ZERO);
        for (at, value) in changes {
            octets[at] = value;
        }
        look(&mut decoder, 1, &octets, Timestamp::ZERO);
        look(&mut decoder, 1, &sample(), Timestamp::ZERO);
    }
}
