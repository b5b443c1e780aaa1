//! Datagrams that lie or are cut off.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use common::seen::{Seen, decode, header, look, packet};
use netflow_codec::{Batch, CacheLimits, DecodeErrorKind, Decoder, Strictness, Timestamp};
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
