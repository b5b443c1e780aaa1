//! The compiled plan reads what the walk over the fields reads, whatever the template.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use netflow_codec::{Batch, Decoder, Timestamp};
use proptest::prelude::*;

/// Elements that feed members, rivals among them, and some that feed none.
const NUMBERS: &[u16] = &[
    1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 21, 22, 23, 24, 27, 28, 29, 30, 31, 32, 34,
    48, 52, 53, 54, 56, 57, 58, 59, 61, 62, 63, 70, 71, 79, 80, 85, 86, 89, 136, 139, 150, 151, 152, 153,
    154, 155, 156, 157, 180, 181, 182, 183, 192, 231, 243, 254, 298, 3, 33, 60, 95, 33_000, 40_000,
];

/// The length that an exporter gives the element, mostly; any other one sometimes.
fn length(number: u16) -> impl Strategy<Value = u16> {
    let usual = match number {
        1 | 2 | 23 | 24 | 85 | 86 | 231 | 298 | 152..=157 => 8,
        4 | 5 | 6 | 9 | 13 | 29 | 30 | 52 | 53 | 61 | 89 | 136 | 192 => 1,
        7 | 11 | 32 | 58 | 59 | 139 | 180..=183 | 243 | 254 => 2,
        27 | 28 | 62 | 63 => 16,
        31 | 70..=79 => 3,
        56 | 57 | 80 => 6,
        _ => 4,
    };
    prop_oneof![12 => Just(usual), 2 => 0u16..=20, 1 => Just(200u16), 1 => Just(0xffff)]
}

fn field() -> impl Strategy<Value = (u16, u16)> {
    prop::sample::select(NUMBERS).prop_flat_map(|number| (Just(number), length(number)))
}

fn datagram(fields: &[(u16, u16)], records: &[u8]) -> Vec<u8> {
    let mut octets = vec![0, 9, 0, 2, 0, 0, 0x27, 0x10, 0x65, 0x53, 0xf1, 0, 0, 0, 0, 1, 0, 0, 0, 1];
    octets.extend(0u16.to_be_bytes());
    octets.extend(u16::try_from(8 + 4 * fields.len()).unwrap().to_be_bytes());
    octets.extend(300u16.to_be_bytes());
    octets.extend(u16::try_from(fields.len()).unwrap().to_be_bytes());
    for (number, length) in fields {
        octets.extend(number.to_be_bytes());
        octets.extend(length.to_be_bytes());
    }
    octets.extend(300u16.to_be_bytes());
    octets.extend(u16::try_from(4 + records.len()).unwrap().to_be_bytes());
    octets.extend(records);
    octets
}

/// Zeros are as frequent as other octets: they decide between addresses.
fn octets() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 0..1_400)
}

fn check(fields: &[(u16, u16)], records: &[u8]) -> usize {
    let datagram = datagram(fields, records);
    let mut decoder = Decoder::new();
    let mut compared = 0;
    for batch in decoder.decode(&0, &datagram, Timestamp::ZERO).unwrap() {
        if let Batch::Data(records) = batch {
            let fast: Vec<_> = records.flows().collect();
            let slow: Vec<_> = records.iter().map(|record| record.to_flow(records.clock())).collect();
            assert_eq!(fast, slow, "{fields:?}");
            // One by one is another loop than all at once, and so is beginning with one by one.
            let mut one_by_one = records.flows();
            let stepped: Vec<_> = core::iter::from_fn(|| one_by_one.next()).collect();
            assert_eq!(stepped, slow, "{fields:?}");
            let mut in_place = Vec::new();
            records.for_each_flow(|flow| in_place.push(*flow));
            assert_eq!(in_place, slow, "{fields:?}");
            let mut rest = records.flows();
            let mut mixed: Vec<_> = rest.next().into_iter().collect();
            rest.for_each(|flow| mixed.push(flow));
            assert_eq!(mixed, slow, "{fields:?}");
            compared += fast.len();
        }
    }
    compared
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn plan_equals_walk(fields in prop::collection::vec(field(), 1..30), records in octets()) {
        check(&fields, &records);
    }
}

#[test]
fn plan_equals_walk_for_what_routers_send() {
    // A property that compares nothing proves nothing: here records are compared for certain.
    let v4 = [
        (8, 4),
        (12, 4),
        (15, 4),
        (10, 2),
        (14, 2),
        (2, 4),
        (1, 4),
        (22, 4),
        (21, 4),
        (7, 2),
        (11, 2),
        (6, 1),
        (4, 1),
    ];
    let v6 = [
        (27, 16),
        (28, 16),
        (62, 16),
        (29, 1),
        (30, 1),
        (2, 8),
        (1, 8),
        (152, 8),
        (153, 8),
        (31, 3),
        (70, 3),
        (71, 3),
    ];
    let both = [(8, 4), (27, 16), (12, 4), (28, 16), (15, 4), (62, 16), (9, 1), (29, 1), (1, 8)];
    let records: Vec<u8> =
        (0..1_000u32).map(|at| if at % 97 < 40 { 0 } else { at.to_be_bytes()[3] }).collect();
    for fields in [&v4[..], &v6[..], &both[..]] {
        assert!(check(fields, &records) >= 5);
    }
}
