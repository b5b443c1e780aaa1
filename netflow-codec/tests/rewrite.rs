//! v9 packets as IPFIX messages.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use common::vectors::vector;
use netflow_codec::{
    Batch, CacheLimits, DecodeErrorKind, Decoder, FlowFields, FlowRecord, Strictness, Timestamp, ipfix,
    rewrite::{RewriteConfig, RewriteError, Unconvertible, V9ToIpfix},
};
use proptest::prelude::*;

/// A v9 packet of source ID 7, booted 10,000 s before.
fn packet(count: u16, sets: &[&[u8]]) -> Vec<u8> {
    let mut octets = vec![0, 9];
    octets.extend(count.to_be_bytes());
    octets.extend([0, 0x98, 0x96, 0x80, 0x65, 0x53, 0xf1, 0, 0, 0, 0, 99, 0, 0, 0, 7]);
    octets.extend(sets.concat());
    octets
}

fn config(unconvertible: Unconvertible) -> RewriteConfig {
    let mut config = RewriteConfig::default();
    config.unconvertible = unconvertible;
    config
}

/// What a strict decoder finds in a datagram: flows, and fields of options records by number and value.
fn decode(decoder: &mut Decoder<u8>, datagram: &[u8]) -> (Vec<FlowRecord>, Vec<Vec<(u16, u64)>>) {
    let (mut flows, mut options) = (Vec::new(), Vec::new());
    for part in decoder.decode(&1, datagram, Timestamp::ZERO).unwrap() {
        match part {
            Batch::Data(records) => flows.extend(records.flows()),
            Batch::Options(records) => options.extend(records.iter().map(|record| {
                let field = |field: netflow_codec::FieldView<'_>| {
                    (field.element().number(), field.as_unsigned().unwrap_or(u64::MAX))
                };
                record.fields().map(field).collect::<Vec<_>>()
            })),
            Batch::Template(..) => {}
            other => panic!("{other:?}"),
        }
    }
    (flows, options)
}

fn strict() -> Decoder<u8> {
    Decoder::with_limits(CacheLimits::default(), Strictness::Rfc)
}

#[test]
fn the_example_of_rfc_3954_is_the_same_in_ipfix() {
    // D71
    let Some(original) = vector("v9-rfc3954-s11") else { return };
    let mut rewriter = V9ToIpfix::default();
    let mut message = Vec::new();
    assert!(rewriter.rewrite(&original, &mut message).unwrap());
    let parsed = ipfix::Message::parse(&message).unwrap();
    assert_eq!(usize::from(parsed.header().length()), message.len());
    assert_eq!((parsed.header().sequence(), parsed.header().observation_domain()), (0, 1));

    let (flows, options) = decode(&mut strict(), &original);
    let (rewritten, rewritten_options) = decode(&mut strict(), &message);
    assert_eq!(flows.len(), 3);
    assert_eq!(rewritten, flows);
    assert_eq!(options, [[(3, 1), (41, 345), (42, 10_201)], [(3, 2), (41, 690), (42, 20_402)]]);
    assert_eq!(rewritten_options, [[(141, 1), (41, 345), (42, 10_201)], [(141, 2), (41, 690), (42, 20_402)]]);

    // The next message counts the data records of this one, those of options too.
    message.clear();
    assert!(rewriter.rewrite(&original, &mut message).unwrap());
    assert_eq!(ipfix::Message::parse(&message).unwrap().header().sequence(), 5);
    assert_eq!((rewriter.stats().packets, rewriter.stats().records, rewriter.stats().templates), (2, 10, 4));
}

#[test]
fn uptimes_are_dated_by_the_time_of_boot_and_without_it_not_at_all() {
    // D71, D58
    let sets: [&[u8]; 2] = [
        &[0, 0, 0, 16, 1, 44, 0, 2, 0, 22, 0, 4, 0, 21, 0, 4],
        // 5 and 4 seconds before the packet.
        &[1, 44, 0, 12, 0, 0x98, 0x82, 0xf8, 0, 0x98, 0x86, 0xe0],
    ];
    let original = packet(2, &sets);
    let (flows, _) = decode(&mut strict(), &original);
    assert_eq!(flows[0].start, Timestamp::from_secs(1_700_000_000 - 5));
    let mut message = Vec::new();
    V9ToIpfix::default().rewrite(&original, &mut message).unwrap();
    let (rewritten, options) = decode(&mut strict(), &message);
    assert_eq!(rewritten, flows);
    assert_eq!(options, [[(149, 7), (160, 1_700_000_000_000 - 10_000_000)]]);

    let mut config = RewriteConfig::default();
    config.announce_boot = false;
    message.clear();
    V9ToIpfix::new(config).rewrite(&original, &mut message).unwrap();
    assert_eq!(message.len(), original.len() - 4);
    assert!(!decode(&mut strict(), &message).0[0].has(FlowFields::START));
}

#[test]
fn the_template_of_the_boot_gets_out_of_the_way_of_the_exporters_own() {
    let uptimes: [&[u8]; 2] = [&[0, 0, 0, 12, 1, 44, 0, 1, 0, 22, 0, 4], &[1, 44, 0, 8, 0, 0x98, 0x82, 0xf8]];
    let highest: [&[u8]; 2] =
        [&[0, 0, 0, 12, 0xff, 0xff, 0, 1, 0, 4, 0, 1], &[0xff, 0xff, 0, 8, 6, 17, 1, 2]];
    let mut rewriter = V9ToIpfix::default();
    let mut decoder = strict();
    let mut flows = Vec::new();
    for sets in [&uptimes[..], &highest, &[uptimes[1], highest[1]]] {
        let mut message = Vec::new();
        assert!(rewriter.rewrite(&packet(2, sets), &mut message).unwrap());
        flows.push(decode(&mut decoder, &message).0);
    }
    assert_eq!(flows[0][0].start, Timestamp::from_secs(1_700_000_000 - 5));
    assert_eq!(flows[1].iter().map(|flow| flow.protocol).collect::<Vec<_>>(), [6, 17, 1, 2]);
    assert_eq!((flows[2][0].start, flows[2][1].protocol), (flows[0][0].start, 6));
}

#[test]
fn what_ipfix_cannot_carry_is_refused_whole_or_left_out_and_counted() {
    // D71
    let good: [&[u8]; 2] = [&[0, 0, 0, 12, 1, 44, 0, 1, 0, 4, 0, 1], &[1, 44, 0, 6, 6, 17]];
    let (template_id, element) = (301, 82);
    let cases: [(&[u8], RewriteError, [u64; 3]); 7] = [
        (
            &[0, 0, 0, 16, 1, 45, 0, 2, 0, 4, 0, 1, 0, 128, 0, 1],
            RewriteError::FieldType { template_id, field_type: 128 },
            [1, 2, 0],
        ),
        (
            &[0, 0, 0, 16, 1, 45, 0, 2, 0x9c, 0x40, 0, 1, 0, 4, 0, 1],
            RewriteError::FieldType { template_id, field_type: 40_000 },
            [1, 2, 0],
        ),
        (
            &[0, 0, 0, 16, 1, 45, 0, 2, 0, 82, 0xff, 0xff, 0, 4, 0, 1],
            RewriteError::FieldLength { template_id, element, length: 65_535 },
            [1, 0, 0],
        ),
        (
            &[0, 0, 0, 12, 1, 45, 0, 1, 0, 8, 0, 2],
            RewriteError::FieldLength { template_id, element: 8, length: 2 },
            [1, 2, 0],
        ),
        (&[0, 0, 0, 8, 1, 45, 0, 0], RewriteError::EmptyTemplate(301), [1, 0, 0]),
        (
            &[0, 1, 0, 18, 1, 45, 0, 4, 0, 4, 0, 9, 0, 1, 0, 34, 0, 1],
            RewriteError::FieldType { template_id, field_type: 9 },
            [1, 2, 0],
        ),
        (&[0, 100, 0, 8, 1, 2, 3, 4], RewriteError::ReservedSet(100), [0, 0, 1]),
    ];
    for (bad, error, [templates, records, dropped]) in cases {
        // Two records of two octets, or nobody knows what.
        let data: &[u8] = &[1, 45, 0, 8, 6, 1, 17, 1];
        let original = packet(9, &[good[0], bad, good[1], data]);
        let mut refusing = V9ToIpfix::default();
        let mut message = vec![7];
        assert_eq!(refusing.rewrite(&original, &mut message), Err(error));
        assert_eq!((message.as_slice(), refusing.stats().refused), (&[7][..], 1));
        // Nothing was learned of it.
        message.clear();
        assert!(!refusing.rewrite(&packet(1, &[good[1]]), &mut message).unwrap());
        assert_eq!((refusing.stats().sets_without_template, message.len()), (1, 0));

        let mut dropping = V9ToIpfix::new(config(Unconvertible::Drop));
        assert!(dropping.rewrite(&original, &mut message).unwrap(), "{error}");
        let (flows, _) = decode(&mut strict(), &message);
        assert_eq!(flows.iter().map(|flow| flow.protocol).collect::<Vec<_>>(), [6, 17], "{error}");
        let stats = dropping.stats();
        assert_eq!(stats.dropped_templates, templates, "{error}");
        assert_eq!((stats.dropped_records, stats.dropped_sets), (records, dropped), "{error}");
        assert_eq!((stats.records, stats.templates, stats.packets), (2, 1, 1), "{error}");
    }
}

#[test]
fn more_field_types_are_elements_when_the_caller_says_so() {
    let original = packet(
        2,
        &[&[0, 0, 0, 12, 1, 44, 0, 1, 0, 152, 0, 8], &[1, 44, 0, 12, 0, 0, 1, 0x8b, 0xcf, 0xe5, 0x68, 0]],
    );
    let mut config = RewriteConfig::default();
    config.highest_field_type = u16::MAX;
    let mut message = Vec::new();
    assert!(V9ToIpfix::new(config).rewrite(&original, &mut message).unwrap());
    assert_eq!(decode(&mut strict(), &message).0, decode(&mut strict(), &original).0);
    // Never what would be the element of an enterprise.
    let enterprise = packet(1, &[&[0, 0, 0, 12, 1, 44, 0, 1, 0x80, 0, 0, 8]]);
    let error = RewriteError::FieldType { template_id: 300, field_type: 0x8000 };
    assert_eq!(V9ToIpfix::new(config).rewrite(&enterprise, &mut message), Err(error));
}

#[test]
fn options_without_a_scope_become_those_of_the_domain() {
    // D71, D21, D22
    for scopes in [&[0, 4, 0, 8, 0, 1, 0, 0][..], &[0, 0, 0, 8]] {
        let mut record = [&[0, 1, 0, 0, 1, 45][..], scopes, &[0, 34, 0, 4, 0, 35, 0, 1, 0, 0]].concat();
        record.resize(record.len().next_multiple_of(4), 0);
        record[3] = u8::try_from(record.len()).unwrap();
        let original = packet(2, &[&record, &[1, 45, 0, 16, 0, 0, 0, 100, 2, 0, 0, 0, 200, 1, 0, 0]]);
        let mut message = Vec::new();
        V9ToIpfix::default().rewrite(&original, &mut message).unwrap();
        let (_, options) = decode(&mut strict(), &message);
        assert_eq!(options, [[(149, 7), (34, 100), (35, 2)], [(149, 7), (34, 200), (35, 1)]], "{scopes:?}");
    }
}

#[test]
fn padding_is_left_out_also_where_only_the_count_tells_it_from_records() {
    // D71, D27
    let template: &[u8] = &[0, 0, 0, 12, 1, 44, 0, 1, 0, 4, 0, 1];
    let data: &[u8] = &[1, 44, 0, 8, 6, 17, 1, 0];
    for (count, expected) in [(4, 3), (5, 4), (9, 4)] {
        let mut message = Vec::new();
        V9ToIpfix::default().rewrite(&packet(count, &[template, data]), &mut message).unwrap();
        assert_eq!(decode(&mut strict(), &message).0.len(), expected, "{count} announced");
        assert_eq!(message.len(), 16 + 12 + 4 + expected);
    }
}

#[test]
fn domains_have_sequences_of_their_own_and_are_bounded() {
    // D66
    let mut config = RewriteConfig::default();
    (config.domains, config.templates_per_domain) = (10, 20);
    let mut rewriter = V9ToIpfix::new(config);
    for round in 0..3u32 {
        for domain in 0..5u8 {
            let mut original =
                packet(2, &[&[0, 0, 0, 12, 1, 44, 0, 1, 0, 4, 0, 1], &[1, 44, 0, 8, 6, 17, 1, 2]]);
            original[19] = domain;
            let mut message = Vec::new();
            rewriter.rewrite(&original, &mut message).unwrap();
            let header = ipfix::Message::parse(&message).unwrap().header().sequence();
            assert_eq!(header, 4 * round);
        }
    }
    // A flood of templates: the newest are known.
    let mut set = vec![0, 0, 0, 0];
    for id in 256..8_000u16 {
        set.extend(id.to_be_bytes());
        set.extend([0, 1, 0, 4, 0, 1]);
    }
    let length = u16::try_from(set.len()).unwrap().to_be_bytes();
    set[2..4].copy_from_slice(&length);
    for domain in 0..100u8 {
        let mut original = packet(2, &[&set]);
        original[19] = domain;
        rewriter.rewrite(&original, &mut Vec::new()).unwrap();
    }
    let mut message = Vec::new();
    let mut last = packet(1, &[&[0x1f, 0x3f, 0, 8, 6, 17, 1, 2], &[1, 0, 0, 8, 6, 17, 1, 2]]);
    last[19] = 99;
    assert!(rewriter.rewrite(&last, &mut message).unwrap());
    assert_eq!((message.len(), rewriter.stats().sets_without_template), (24, 1));
}

#[test]
fn a_message_that_would_be_too_long_is_refused() {
    // D66: the time of boot does not fit besides.
    let mut set = [&[1, 44][..], &65_480u16.to_be_bytes()].concat();
    set.resize(65_480, 1);
    let template: &[u8] = &[0, 0, 0, 12, 1, 44, 0, 1, 0, 22, 0, 4];
    let mut rewriter = V9ToIpfix::default();
    let mut message = Vec::new();
    let original = packet(2, &[template, &set]);
    assert!(original.len() < 65_535);
    assert_eq!(rewriter.rewrite(&original, &mut message), Err(RewriteError::TooLong(65_542)));
    assert_eq!(message.len(), 0);
}

#[test]
fn malformed_packets_are_refused_or_lose_what_is_malformed() {
    // D13, D16, D17
    let good: [&[u8]; 2] = [&[0, 0, 0, 12, 1, 44, 0, 1, 0, 4, 0, 1], &[1, 44, 0, 6, 6, 17]];
    for (bad, kind) in [
        (&[1, 44, 0, 3][..], DecodeErrorKind::SetTooShort { id: 300, length: 3 }),
        (&[1, 44, 0, 9, 6], DecodeErrorKind::SetTooLong { id: 300, length: 9, available: 5 }),
        (&[1, 44, 0], DecodeErrorKind::Truncated { needed: 4, available: 3 }),
    ] {
        let original = packet(3, &[good[0], good[1], bad]);
        let mut message = Vec::new();
        let Err(RewriteError::Malformed(error)) = V9ToIpfix::default().rewrite(&original, &mut message)
        else {
            panic!("{bad:?}")
        };
        assert_eq!((error.offset, error.kind), (38, kind));
        let mut dropping = V9ToIpfix::new(config(Unconvertible::Drop));
        assert!(dropping.rewrite(&original, &mut message).unwrap());
        assert_eq!((decode(&mut strict(), &message).0.len(), dropping.stats().dropped_sets), (2, 1));
    }
    let mut rewriter = V9ToIpfix::default();
    for length in 0..20 {
        let original = packet(0, &[]);
        assert!(rewriter.rewrite(&original[..length], &mut Vec::new()).is_err(), "{length}");
    }
    assert!(!rewriter.rewrite(&packet(0, &[]), &mut Vec::new()).unwrap(), "an empty packet makes no message");
}

proptest! {
    #[test]
    fn whatever_comes_out_is_by_the_letter(
        octets in prop::collection::vec(prop_oneof![Just(0u8), Just(1), Just(4), Just(44), any::<u8>()], 0..200),
        sets in prop::collection::vec((0usize..6, prop::collection::vec(any::<u8>(), 0..20)), 0..6),
        count in 0u16..12,
    ) {
        // D66, D71
        let known: [&[u8]; 3] = [
            &[0, 0, 0, 20, 1, 44, 0, 3, 0, 4, 0, 1, 0, 22, 0, 4, 0, 1, 0, 2],
            &[0, 0, 0, 12, 1, 45, 0, 1, 0, 4, 0, 1],
            &[0, 1, 0, 18, 1, 46, 0, 4, 0, 4, 0, 2, 0, 2, 0, 34, 0, 4],
        ];
        let mut parts: Vec<Vec<u8>> = sets
            .into_iter()
            .map(|(kind, body)| {
                if let Some(set) = known.get(kind) {
                    return set.to_vec();
                }
                let id = [1, 44 + u8::try_from(kind - 3).unwrap()];
                [&id[..], &u16::try_from(4 + body.len()).unwrap().to_be_bytes(), &body].concat()
            })
            .collect();
        parts.push(octets);
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let original = packet(count, &parts);
        for unconvertible in [Unconvertible::Refuse, Unconvertible::Drop] {
            let mut rewriter = V9ToIpfix::new(config(unconvertible));
            let mut message = Vec::new();
            if rewriter.rewrite(&original, &mut message) == Ok(true) {
                let mut records = 0;
                for part in strict().decode(&1, &message, Timestamp::ZERO).unwrap() {
                    match part {
                        Batch::Data(batch) | Batch::Options(batch) => records += batch.count() as u64,
                        Batch::Template(..) => {}
                        other => prop_assert!(false, "{other:?}"),
                    }
                }
                // What the next message says was sent.
                let template = packet(1, &[known[0]]);
                message.clear();
                rewriter.rewrite(&template, &mut message).unwrap();
                let sequence = ipfix::Message::parse(&message).unwrap().header().sequence();
                prop_assert_eq!(u64::from(sequence), records);
            } else {
                prop_assert!(message.is_empty());
            }
        }
    }
}
