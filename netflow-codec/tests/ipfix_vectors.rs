//! The reference vectors of IPFIX, and octets written by hand.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use common::vectors::vector;
use netflow_codec::{
    Batch, CacheLimits, DecodeErrorKind, Decoder, ElementId, FieldValue, Learned, Protocol, Strictness,
    TemplateScope, Timestamp, Transport, ipfix,
};

fn decode<'a>(decoder: &mut Decoder<u8>, datagram: &'a [u8]) -> Vec<Batch<'a>> {
    decoder.decode(&1, datagram, Timestamp::ZERO).unwrap().collect()
}

fn strict() -> Decoder<u8> {
    Decoder::with_limits(CacheLimits::default(), Strictness::Rfc)
}

/// A message of domain 1 with these sets.
fn message(sets: &[&[u8]]) -> Vec<u8> {
    let sets = sets.concat();
    let length = u16::try_from(16 + sets.len()).unwrap().to_be_bytes();
    [&[0, 10][..], &length, &[0x65, 0x53, 0xf1, 0, 0, 0, 0, 0, 0, 0, 0, 1], &sets].concat()
}

#[test]
fn example_of_rfc_7011_appendix_a() {
    // D41, D44
    let Some(octets) = vector("ipfix-rfc7011-appendixA") else { return };
    let mut decoder = strict();
    let batches = decode(&mut decoder, &octets);
    let [
        Batch::Template(template, Learned::New),
        Batch::Data(data),
        Batch::Template(options, Learned::New),
        Batch::Options(records),
    ] = &batches[..]
    else {
        panic!("{batches:?}")
    };
    assert_eq!((template.id(), template.protocol()), (256, Protocol::Ipfix));
    let flows: Vec<_> =
        data.flows().map(|flow| (flow.source.to_string(), flow.packets, flow.octets)).collect();
    assert_eq!(flows[0], ("192.0.2.12".to_owned(), 5_009, 5_344_385));
    assert_eq!(flows.len(), 3);
    assert_eq!((options.id(), options.scope_count()), (258, 1));
    let values: Vec<Vec<_>> = records
        .iter()
        .map(|record| {
            record.fields().map(|field| (field.name().unwrap(), field.as_unsigned().unwrap())).collect()
        })
        .collect();
    assert_eq!(
        values[1],
        [("lineCardId", 2), ("exportedMessageTotalCount", 690), ("exportedFlowRecordTotalCount", 20_402)]
    );
}

#[test]
fn enterprise_elements_keep_their_number_and_do_not_shift_the_others() {
    // D32, D41
    let Some(octets) = vector("ipfix-enterprise-template") else { return };
    let mut decoder = strict();
    let batches = decode(&mut decoder, &octets);
    let [Batch::Template(template, _)] = &batches[..] else { panic!("{batches:?}") };
    let fields: Vec<_> = template.fields().iter().map(|field| (field.element, field.length)).collect();
    let iana = |number, length| (ElementId::iana(number), length);
    assert_eq!(fields, [iana(8, 4), iana(12, 4), (ElementId::new(32_473, 15), 4), iana(2, 4), iana(1, 4)]);
}

#[test]
fn variable_lengths_of_both_forms() {
    // D46, D48
    let Some(octets) = vector("ipfix-varlen") else { return };
    let mut decoder = strict();
    let batches = decode(&mut decoder, &octets);
    let Some(Batch::Data(records)) = batches.last() else { panic!("{batches:?}") };
    let lengths: Vec<Vec<_>> =
        records.iter().map(|record| record.fields().map(|field| field.octets().len()).collect()).collect();
    assert_eq!(lengths, [[5, 1], [300, 1]]);
    let first = records.iter().next().unwrap();
    assert_eq!(first.fields().next().unwrap().value(), FieldValue::String("hello"));
    assert_eq!(records.flows().map(|flow| flow.protocol).collect::<Vec<_>>(), [6, 17]);

    let Some(octets) = vector("ipfix-varlen-long-form-short-value") else { return };
    let batches = decode(&mut decoder, &octets);
    let Some(Batch::Data(records)) = batches.last() else { panic!("{batches:?}") };
    assert_eq!(records.iter().next().unwrap().fields().next().unwrap().octets(), b"ab");

    // An empty value, and padding shorter than the shortest record.
    let set = [&[1, 44, 0, 10][..], &[0, 6, 1, b'x', 17, 0]].concat();
    let batches_octets = message(&[&[0, 2, 0, 16, 1, 44, 0, 2, 0, 82, 0xff, 0xff, 0, 4, 0, 1], &set]);
    let batches = decode(&mut decoder, &batches_octets);
    let Some(Batch::Data(records)) = batches.last() else { panic!("{batches:?}") };
    let values: Vec<_> = records.iter().map(|record| record.fields().next().unwrap().octets()).collect();
    assert_eq!(values, [&b""[..], b"x"]);
}

#[test]
fn a_variable_length_past_its_set_is_malformed() {
    // D47
    let Some(octets) = vector("ipfix-varlen-overrun") else { return };
    let batches = decode(&mut Decoder::new(), &octets);
    let Some(Batch::Malformed(error)) = batches.last() else { panic!("{batches:?}") };
    assert_eq!(error.kind, DecodeErrorKind::RecordTruncated { template_id: 301 });
    let records: usize =
        batches.iter().map(|batch| if let Batch::Data(records) = batch { records.count() } else { 0 }).sum();
    assert_eq!(records, 0);
}

#[test]
fn withdrawals_are_obeyed_by_streams_and_ignored_by_datagrams() {
    // D45, T10, T11, T12, T13
    let Some(one) = vector("ipfix-withdraw-one") else { return };
    let (Some(all), Some(all_options)) =
        (vector("ipfix-withdraw-all-templates"), vector("ipfix-withdraw-all-options"))
    else {
        return;
    };
    let template = message(&[
        &[0, 2, 0, 12, 1, 0, 0, 1, 0, 4, 0, 1],
        &[0, 2, 0, 12, 1, 1, 0, 1, 0, 4, 0, 1],
        &[0, 3, 0, 18, 1, 2, 0, 2, 0, 1, 0, 149, 0, 4, 0, 34, 0, 4],
    ]);
    let count = |transport, withdrawals: &[&[u8]]| {
        let mut decoder = strict().over(transport);
        decode(&mut decoder, &template);
        let mut obeyed = Vec::new();
        for octets in withdrawals {
            for batch in decode(&mut decoder, octets) {
                let Batch::Withdrawal { obeyed: was, .. } = batch else { panic!("{batch:?}") };
                obeyed.push(was);
            }
        }
        (obeyed, decoder.cache().template_count())
    };
    assert_eq!(count(Transport::Udp, &[&one, &all, &all_options]), (vec![false; 3], 3));
    assert_eq!(count(Transport::Stream, &[&one, &one]), (vec![true, false], 2));
    assert_eq!(count(Transport::Stream, &[&all]), (vec![true], 1));
    assert_eq!(count(Transport::Stream, &[&all_options]), (vec![true], 2));
    assert_eq!(count(Transport::Stream, &[&all, &all_options, &all]), (vec![true, true, false], 0));
}

#[test]
fn malformed_messages_are_discarded_whole_when_strict() {
    // D36, D37, D38, D42, D43
    for name in
        ["rfc5471-fig4", "rfc5471-b", "rfc5471-c", "rfc5471-d", "rfc5471-fig6", "rfc5471-scope-gt-fields"]
    {
        let Some(octets) = vector(name) else { return };
        let mut decoder = strict();
        assert!(decoder.decode(&1, &octets, Timestamp::ZERO).is_err(), "{name}");
        assert_eq!(decoder.cache().scope_count(), 0, "{name}");
    }
    let Some(octets) = vector("rfc5471-e") else { return };
    assert!(matches!(decode(&mut strict(), &octets)[..], [Batch::Template(..)]));
    // A good template before a broken set: nothing of the message counts.
    let octets = message(&[&[0, 2, 0, 12, 1, 0, 0, 1, 0, 4, 0, 1], &[1, 0, 0, 99]]);
    let mut decoder = strict();
    assert!(decoder.decode(&1, &octets, Timestamp::ZERO).is_err());
    assert_eq!(decoder.cache().template_count(), 0);
    let batches = decode(&mut Decoder::new(), &octets);
    assert!(matches!(batches[..], [Batch::Template(..), Batch::Data(_), Batch::Malformed(_)]), "{batches:?}");
    for length in [0u16, 15] {
        let mut octets = message(&[]);
        octets[2..4].copy_from_slice(&length.to_be_bytes());
        assert!(ipfix::Message::parse_lenient(&octets).is_err());
    }
}

#[test]
fn a_record_that_overruns_its_set_discards_the_message_when_strict() {
    // D38, D47
    let varying: &[u8] = &[0, 2, 0, 16, 1, 0, 0, 2, 0, 82, 0xff, 0xff, 0, 4, 0, 1];
    let fixed: &[u8] = &[0, 2, 0, 12, 1, 0, 0, 1, 0, 4, 0, 1];
    let other: &[u8] = &[0, 2, 0, 12, 1, 1, 0, 1, 0, 4, 0, 1];
    let good: &[u8] = &[1, 0, 0, 8, 2, b'a', b'b', 6];
    let overrun: &[u8] = &[1, 0, 0, 10, 0, 6, 9, b'a', b'b', 6];
    let withdrawn: &[u8] = &[0, 2, 0, 8, 1, 0, 0, 0];
    let all_withdrawn: &[u8] = &[0, 2, 0, 8, 0, 2, 0, 0];
    let kind = DecodeErrorKind::RecordTruncated { template_id: 256 };
    // The template is known from before, or comes with the data.
    let mut decoder = strict();
    decode(&mut decoder, &message(&[varying, good]));
    for sets in [&[other, overrun][..], &[other, good, overrun], &[other, varying, overrun]] {
        let octets = message(sets);
        let error = decoder.decode(&1, &octets, Timestamp::ZERO).unwrap_err();
        assert_eq!((error.kind, error.offset as usize), (kind, octets.len() - 4));
        assert_eq!(decoder.cache().template_count(), 1, "nothing was learned");
        let mut unknowing = strict();
        if sets.contains(&varying) {
            assert!(unknowing.decode(&1, &octets, Timestamp::ZERO).is_err());
            assert_eq!(unknowing.cache().template_count(), 0);
        } else {
            let batches = decode(&mut unknowing, &octets);
            assert!(matches!(batches.last(), Some(Batch::TemplateMissing { .. })));
        }
    }
    // The message redefines the template, or ends it: the octets are no record of the old one.
    let batches_octets = message(&[fixed, overrun]);
    let batches = decode(&mut decoder, &batches_octets);
    assert!(matches!(&batches[..], [Batch::Template(..), Batch::Data(records)] if records.count() == 6));
    for withdrawal in [withdrawn, all_withdrawn] {
        let mut stream = strict().over(Transport::Stream);
        decode(&mut stream, &message(&[varying]));
        let octets = message(&[withdrawal, overrun]);
        let batches = decode(&mut stream, &octets);
        assert!(matches!(batches[..], [Batch::Withdrawal { .. }, Batch::TemplateMissing { .. }]));
        // Datagrams withdraw nothing.
        let mut datagrams = strict();
        decode(&mut datagrams, &message(&[varying]));
        assert_eq!(datagrams.decode(&1, &octets, Timestamp::ZERO).unwrap_err().kind, kind);
    }
}

#[test]
fn files_may_redefine_templates_and_streams_are_told() {
    // D69, T15
    let old = message(&[&[0, 2, 0, 12, 1, 0, 0, 1, 0, 4, 0, 1]]);
    let new = message(&[&[0, 2, 0, 12, 1, 0, 0, 1, 0, 7, 0, 2]]);
    let withdrawal = message(&[&[0, 2, 0, 8, 1, 0, 0, 0]]);
    let faults = |transport| {
        let mut decoder = Decoder::new().over(transport);
        let mut faults = Vec::new();
        for octets in [&old, &old, &new, &withdrawal, &old] {
            for batch in decode(&mut decoder, octets) {
                match batch {
                    Batch::Malformed(error) => faults.push(error.kind),
                    Batch::Withdrawal { obeyed, .. } => assert_eq!(obeyed, transport != Transport::Udp),
                    Batch::Template(..) => {}
                    other => panic!("{other:?}"),
                }
            }
        }
        faults
    };
    assert_eq!(faults(Transport::Stream), [DecodeErrorKind::NotWithdrawn(256)]);
    assert_eq!((faults(Transport::File), faults(Transport::Udp)), (vec![], vec![]));
}

#[test]
fn octets_behind_the_message_are_not_decoded() {
    // D39
    let mut octets = message(&[&[0, 2, 0, 12, 1, 0, 0, 1, 0, 4, 0, 1], &[1, 0, 0, 5, 6]]);
    octets.extend([1, 0, 0, 5, 17]);
    assert_eq!(ipfix::Message::parse(&octets).unwrap().trailing_octets(), 5);
    let batches = decode(&mut strict(), &octets);
    let [_, Batch::Data(records)] = &batches[..] else { panic!("{batches:?}") };
    assert_eq!(records.flows().map(|flow| flow.protocol).collect::<Vec<_>>(), [6]);
}

#[test]
fn reserved_sets_are_skipped() {
    // D25
    for id in [0u8, 1, 4, 255] {
        let octets = message(&[&[0, id, 0, 6, 1, 2], &[0, 2, 0, 12, 1, 0, 0, 1, 0, 4, 0, 1]]);
        let batches = decode(&mut strict(), &octets);
        assert!(matches!(batches[..], [Batch::Reserved { .. }, Batch::Template(..)]), "{id}: {batches:?}");
    }
}

#[test]
fn biflows_and_lists_keep_their_octets() {
    let Some(octets) = vector("ipfix-biflow") else { return };
    let batches = decode(&mut strict(), &octets);
    let [Batch::Template(template, _)] = &batches[..] else { panic!("{batches:?}") };
    assert!(template.fields().iter().any(|field| field.element == ElementId::new(29_305, 1)));
    let Some(octets) = vector("ipfix-basiclist") else { return };
    let batches = decode(&mut strict(), &octets);
    let Some(Batch::Data(records)) = batches.last() else { panic!("{batches:?}") };
    let list = records.iter().next().unwrap().fields().next().unwrap().octets();
    assert_eq!(list, [3, 0, 14, 0, 4, 0, 0, 0, 7, 0, 0, 0, 9]);
}

#[test]
fn selectors_announce_the_rate_of_the_flows_that_name_them() {
    // C23, D44, D50
    let Some(systematic) = vector("psamp-systematic-1of10") else { return };
    let Some(uniform) = vector("psamp-uniform-15pct") else { return };
    let mut decoder = strict();
    decode(&mut decoder, &systematic);
    let uniform = decode(&mut decoder, &uniform);
    let Some(Batch::Options(records)) = uniform.last() else { panic!("{uniform:?}") };
    let probability = records.iter().next().unwrap().fields().last().unwrap().value();
    assert!(
        matches!(probability, FieldValue::Float(value) if (value - 0.15).abs() < 1e-6),
        "{probability:?}"
    );
    // Two flows: of selector 15, announced as 1 in 10, and of one that nobody announced.
    let octets = message(&[
        &[0, 2, 0, 16, 1, 44, 0, 2, 1, 46, 0, 4, 0, 4, 0, 1],
        &[1, 44, 0, 14, 0, 0, 0, 15, 6, 0, 0, 0, 16, 6],
    ]);
    let mut parts = decoder.decode(&1, &octets, Timestamp::ZERO).unwrap();
    let mut rates = Vec::new();
    while let Some(batch) = parts.next() {
        if let Batch::Data(records) = batch {
            for flow in records.flows() {
                rates.push(parts.sampling(&flow).map(|sampling| sampling.interval));
            }
        }
    }
    assert_eq!(rates, [Some(10), None]);
}

#[test]
fn uptimes_are_dated_only_when_the_time_of_boot_is_known() {
    // D57, D58
    let template = [0, 2, 0, 16, 1, 44, 0, 2, 0, 22, 0, 4, 0, 158, 0, 4];
    let uptimes_only = [0, 2, 0, 12, 1, 45, 0, 1, 0, 22, 0, 4];
    let boot_option = [0, 3, 0, 18, 1, 46, 0, 2, 0, 1, 0, 149, 0, 4, 0, 160, 0, 8];
    let export = 1_700_000_000_000u64;
    let boot = (export - 60_000).to_be_bytes();
    let boot_record = [&[1, 46, 0, 16, 0, 0, 0, 1][..], &boot].concat();
    let with_boot = [0, 2, 0, 16, 1, 47, 0, 2, 0, 22, 0, 4, 0, 160, 0, 8];
    let record = [&[1, 47, 0, 16, 0, 0, 0x27, 0x10][..], &boot].concat();
    let mut decoder = strict();
    let octets = message(&[
        &template,
        &uptimes_only,
        &[1, 44, 0, 12, 0, 0, 0x27, 0x10, 0, 0x0f, 0x42, 0x40],
        &[1, 45, 0, 8, 0, 0, 0x27, 0x10],
        &with_boot,
        &record,
        &boot_option,
        &boot_record,
        &[1, 45, 0, 8, 0, 0, 0x27, 0x10],
    ]);
    let mut starts = Vec::new();
    for batch in decode(&mut decoder, &octets) {
        if let Batch::Data(records) = batch {
            starts.extend(
                records
                    .flows()
                    .map(|flow| flow.has(netflow_codec::FlowFields::START).then(|| flow.start.as_millis())),
            );
        }
    }
    // One second before the export; unknown; ten seconds after a boot a minute ago, said in the record; in options.
    assert_eq!(starts, [Some(export - 1_000), None, Some(export - 50_000), Some(export - 50_000)]);
    assert!(decoder.cache().get(&TemplateScope::new(1, Protocol::Ipfix, 1), 300).is_some());
    assert!(decoder.cache().get(&TemplateScope::new(1, Protocol::NetFlow9, 1), 300).is_none());
}
