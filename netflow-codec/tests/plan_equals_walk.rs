//! The compiled plan reads what the walk over the fields reads, whatever the template.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use netflow_codec::{
    Batch, DataRecords, Decoder, ElementId, FieldView, FlowColumns, FlowFields, FlowRecord, Projection,
    Timestamp,
};
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

#[derive(Clone, Copy, Debug)]
enum Version {
    NetFlow9,
    Ipfix,
}

fn datagram(version: Version, fields: &[(u16, u16)], records: &[u8]) -> Vec<u8> {
    let length = u16::try_from(16 + 8 + 4 * fields.len() + 4 + records.len()).unwrap();
    let (mut octets, set) = match version {
        Version::NetFlow9 => {
            (vec![0, 9, 0, 2, 0, 0, 0x27, 0x10, 0x65, 0x53, 0xf1, 0, 0, 0, 0, 1, 0, 0, 0, 1], 0u16)
        }
        Version::Ipfix => {
            let mut header = vec![0, 10];
            header.extend(length.to_be_bytes());
            header.extend([0x65, 0x53, 0xf1, 0, 0, 0, 0, 1, 0, 0, 0, 1]);
            (header, 2)
        }
    };
    octets.extend(set.to_be_bytes());
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

/// Compares all ways to decode; how many records there were.
fn check(fields: &[(u16, u16)], records: &[u8]) -> usize {
    // An enterprise element of IPFIX has another specifier.
    let is_enterprise = fields.iter().any(|(number, _)| number >> 15 == 1);
    let versions = [Version::NetFlow9, Version::Ipfix];
    let versions = if is_enterprise { &versions[..1] } else { &versions };
    versions.iter().map(|version| check_version(*version, fields, records)).sum()
}

fn check_version(version: Version, fields: &[(u16, u16)], records: &[u8]) -> usize {
    let datagram = datagram(version, fields, records);
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
            check_columns(&records, &slow);
            check_projection(&records, fields);
            compared += fast.len();
        }
    }
    compared
}

/// Columns hold what the rows do; those of some members what the columns of all do.
fn check_columns(records: &DataRecords<'_>, rows: &[FlowRecord]) {
    let mut all = FlowColumns::new(FlowColumns::ALL);
    let some = FlowFields::OCTETS | FlowFields::START | FlowFields::SOURCE | FlowFields::MPLS_LABELS;
    let mut some = FlowColumns::new(some);
    // Once more behind what is there already, and after it was cleared.
    for times in [1, 2, 1] {
        for _ in 0..times {
            all.extend(records);
            some.extend(records);
        }
        let found: Vec<_> = (0..).map_while(|index| all.row(index)).collect();
        let expected = rows.repeat(times);
        assert_eq!(found, expected, "{:?}", records.template().fields());
        assert_eq!((some.octets(), some.start()), (all.octets(), all.start()));
        assert_eq!((some.source(), some.mpls_labels()), (all.source(), all.mpls_labels()));
        assert_eq!(some.fields(), all.fields());
        assert!(some.packets().is_empty() && some.destination().is_empty() && some.vlan().is_empty());
        all.clear();
        some.clear();
        assert!(all.is_empty() && some.is_empty());
    }
}

/// A projection says what the fields say.
fn check_projection(records: &DataRecords<'_>, fields: &[(u16, u16)]) {
    let number = |index: usize| fields.get(index).map_or(1, |(number, _)| *number);
    let elements = [number(0), number(3), 1, number(fields.len() - 1), 27, 82].map(ElementId::iana);
    let mut projection = Projection::new(elements);
    let rows: Vec<_> = projection.of(records).map(|row| row.record()).collect();
    assert_eq!(rows.len(), records.iter().count());
    let mut values = Vec::new();
    projection.for_each_row(records, |row| values.push(*row));
    assert!(values.iter().copied().eq(projection.of(records).map(|row| row.values())), "{fields:?}");
    // The second time it is bound to the template already.
    for (row, record) in projection.of(records).zip(records) {
        assert_eq!(row.record().offset(), record.offset());
        let found = elements.map(|element| record.fields().find(|field| field.element() == element));
        let unsigned = found.map(|field| field.as_ref().and_then(FieldView::as_unsigned));
        let octets = found.map(|field| field.map(|field| field.octets()));
        for (index, (octets, unsigned)) in octets.into_iter().zip(unsigned).enumerate() {
            assert_eq!((row.octets(index), row.unsigned(index)), (octets, unsigned), "{fields:?}");
        }
        assert_eq!(row.values(), unsigned.map(Option::unwrap_or_default), "{fields:?}");
        assert_eq!((row.octets(elements.len()), row.unsigned(elements.len())), (None, None));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn plan_equals_walk(fields in prop::collection::vec(field(), 1..30), records in octets()) {
        check(&fields, &records);
    }

    #[test]
    fn plan_equals_walk_in_the_order_of_routers(
        fields in prop::sample::subsequence(USUAL, 1..=USUAL.len()),
        start in 0usize..64,
        records in octets(),
    ) {
        // Where the template begins, and with that what is within reach of the plan, differs.
        let mut fields = fields;
        fields.insert(0, (33, u16::try_from(start * 4).unwrap()));
        check(&fields, &records);
    }
}

/// Fields one behind the other, some of variable length: each of them may be missing.
const USUAL: &[(u16, u16)] = &[
    (8, 4),
    (12, 4),
    (15, 4),
    (27, 16),
    (28, 16),
    (10, 4),
    (14, 4),
    (2, 8),
    (1, 8),
    (95, 0xffff),
    (152, 8),
    (153, 8),
    (22, 4),
    (21, 4),
    (7, 2),
    (11, 2),
    (6, 1),
    (4, 1),
    (82, 0xffff),
    (5, 1),
    (16, 4),
    (17, 4),
    (31, 3),
    (58, 2),
    (32, 2),
    (136, 1),
    (70, 3),
    (71, 3),
    (72, 3),
    (96, 0xffff),
    (73, 3),
    (74, 3),
    (62, 16),
    (63, 16),
    (18, 4),
    (56, 6),
    (80, 6),
    (9, 1),
    (13, 1),
    (61, 1),
    (89, 4),
    (371, 0xffff),
    (48, 2),
];

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
    let names =
        [(8, 4), (12, 4), (82, 0xffff), (7, 2), (11, 2), (96, 0xffff), (95, 0xffff), (1, 8), (153, 8)];
    let labels = [(27, 16), (28, 16), (70, 3), (71, 3), (72, 3), (82, 0xffff), (74, 3), (73, 3), (89, 4)];
    let records: Vec<u8> =
        (0..1_000u32).map(|at| if at % 97 < 40 { 0 } else { at.to_be_bytes()[3] }).collect();
    for fields in [&v4[..], &v6[..], &both[..]] {
        assert!(check(fields, &records) >= 10);
    }
    // Here an octet can be a length.
    let records: Vec<u8> = (0..1_000u16).map(|at| (at % 7 * (at % 3)).to_be_bytes()[1]).collect();
    for fields in [&names[..], &labels[..]] {
        assert!(check(fields, &records) >= 10);
    }
}

#[test]
fn names_may_be_longer_than_the_window_and_the_last_record_cut_off() {
    let record = |number: u8| {
        // A name of 300 octets, which needs three octets for its length, and one of two.
        let name =
            [&[255, 1, 44][..], &[number; 300], &[0, 53, 17, 2, number, 9, 1, 187, 0, number]].concat();
        [&[192, 0, 2, number][..], &name].concat()
    };
    let fields = [(8, 4), (82, 0xffff), (7, 2), (4, 1), (96, 0xffff), (11, 2), (2, 2)];
    let records = (1..=4).flat_map(record).collect::<Vec<_>>();
    assert_eq!(check(&fields, &records), 2 * 4);
    for cut in 1..=317 {
        let left = &records[..records.len() - cut];
        assert_eq!(check(&fields, left), 2 * 3, "{cut}");
    }
}
