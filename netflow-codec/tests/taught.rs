//! Elements that exporters describe themselves (RFC 5610), and those that the user defines.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use netflow_codec::{
    Batch, DataType, Decoder, ElementId, ElementInfo, ElementRegistry, FieldValue, Semantics, TaughtElements,
    Timestamp, Units, ValueRange,
};
use proptest::prelude::*;

/// A message of domain 1 with these sets.
fn message(sets: &[Vec<u8>]) -> Vec<u8> {
    let sets = sets.concat();
    let length = u16::try_from(16 + sets.len()).unwrap().to_be_bytes();
    [&[0, 10][..], &length, &[0x65, 0x53, 0xf1, 0, 0, 0, 0, 0, 0, 0, 0, 1], &sets].concat()
}

fn set(id: u16, body: &[u8]) -> Vec<u8> {
    [&id.to_be_bytes()[..], &u16::try_from(4 + body.len()).unwrap().to_be_bytes(), body].concat()
}

/// The options template of RFC 5610 section 3.9, with id 400.
fn type_template() -> Vec<u8> {
    let fields = [(346, 4), (303, 2), (339, 1), (344, 1), (345, 2), (342, 8), (343, 8), (341, 0xffff_u16)];
    let mut body = vec![1, 144, 0, 8, 0, 2];
    for (number, length) in fields {
        body.extend(u16::to_be_bytes(number));
        body.extend(length.to_be_bytes());
    }
    set(3, &body)
}

/// What a record says.
#[derive(Clone, Copy)]
struct Described<'a> {
    element: (u32, u16),
    data_type: u8,
    semantics: u8,
    units: u16,
    range: (u64, u64),
    name: &'a [u8],
}

const OWN: (u32, u16) = (32_473, 7);
const DEPTH: Described<'_> =
    Described { element: OWN, data_type: 3, semantics: 1, units: 3, range: (0, 0), name: b"queueDepth" };

fn record(described: &Described<'_>) -> Vec<u8> {
    let Described { element: (enterprise, number), data_type, semantics, units, range, name } = *described;
    let mut octets = [&enterprise.to_be_bytes()[..], &number.to_be_bytes(), &[data_type, semantics]].concat();
    octets.extend(units.to_be_bytes());
    octets.extend(range.0.to_be_bytes());
    octets.extend(range.1.to_be_bytes());
    octets.push(u8::try_from(name.len()).unwrap());
    octets.extend(name);
    octets
}

fn teach(decoder: &mut Decoder<u32>, exporter: u32, described: &[Described<'_>]) {
    let records: Vec<u8> = described.iter().flat_map(record).collect();
    let octets = message(&[type_template(), set(400, &records)]);
    decoder.decode(&exporter, &octets, Timestamp::ZERO).unwrap().for_each(drop);
}

fn own(number: u16) -> ElementId {
    ElementId::new(OWN.0, number)
}

#[test]
fn what_an_exporter_teaches_is_used_for_its_own_data() {
    let mut decoder = Decoder::new();
    let range = (1, 1_000);
    teach(&mut decoder, 1, &[Described { range, ..DEPTH }, Described { element: (OWN.0, 8), ..DEPTH }]);
    let expected = ElementInfo::new("queueDepth", DataType::Unsigned32)
        .with_semantics(Semantics::QUANTITY)
        .with_units(Units::PACKETS);
    let known = decoder.elements(&1);
    assert_eq!(known.info(own(7)), Some(expected.with_range(ValueRange::new(1, 1_000))));
    assert_eq!(known.info(own(8)), Some(expected));
    // For that exporter alone.
    assert_eq!(decoder.elements(&2).info(own(7)), None);
    assert_eq!((decoder.taught().stats().learned, decoder.taught().of(&1).unwrap().len()), (2, 2));

    let template = set(2, &[1, 44, 0, 1, 0x80, 7, 0, 3, 0, 0, 0x7e, 0xd9]);
    let octets = message(&[template, set(300, &[0, 1, 0])]);
    for (exporter, name, value) in
        [(1, Some("queueDepth"), FieldValue::Unsigned(256)), (2, None, FieldValue::Octets(&[0, 1, 0]))]
    {
        let mut datagram = decoder.decode(&exporter, &octets, Timestamp::ZERO).unwrap();
        while let Some(batch) = datagram.next() {
            let Batch::Data(records) = batch else { continue };
            let field = records.iter().next().unwrap().fields().next().unwrap();
            let elements = datagram.elements();
            assert_eq!(field.name_with(&elements), name);
            assert_eq!(field.value_with(&elements, records.clock()), value);
        }
    }
}

#[test]
fn no_definition_is_overridden() {
    // C27: sourceIPv4Address as a string, an element of Cisco's, the reverse of octetDeltaCount, an element that was
    // described before.
    let mut decoder = Decoder::new();
    let string = Described { data_type: 13, semantics: 0, units: 0, ..DEPTH };
    teach(&mut decoder, 1, &[DEPTH]);
    let others = [(0, 8), (9, 4_315), (29_305, 1), OWN].map(|element| Described { element, ..string });
    teach(&mut decoder, 1, &others);
    let stats = *decoder.taught().stats();
    assert_eq!((stats.learned, stats.conflicting, stats.unsound), (1, 4, 0));
    let elements = decoder.elements(&1);
    assert_eq!(elements.info(ElementId::iana(8)).unwrap().data_type, DataType::Ipv4Address);
    assert_eq!(elements.info(own(7)).unwrap().data_type, DataType::Unsigned32);
    // Said again it is no conflict.
    teach(&mut decoder, 1, &[DEPTH]);
    assert_eq!((decoder.taught().stats().repeated, decoder.taught().stats().conflicting), (1, 4));
    // The user's definitions go first.
    let mut registry = ElementRegistry::new();
    registry.define(own(7), ElementInfo::new("mine", DataType::OctetArray)).unwrap();
    let mut decoder = Decoder::new().with_elements(registry);
    teach(&mut decoder, 1, &[DEPTH]);
    assert_eq!(decoder.elements(&1).info(own(7)).unwrap().name, "mine");
}

#[test]
fn records_that_make_no_sense_are_ignored() {
    // C28: NUL in names, flags on float64, types and semantics that nobody knows, text that is none, a range that is
    // none, numbers that are none.
    let wrong = [
        Described { name: b"a\0b", ..DEPTH },
        Described { name: b"padded\0\0", ..DEPTH },
        Described { name: b"", ..DEPTH },
        Described { name: &[0xff, 0xfe], ..DEPTH },
        Described { data_type: 10, semantics: 5, ..DEPTH },
        Described { data_type: 13, semantics: 3, ..DEPTH },
        Described { data_type: 24, ..DEPTH },
        Described { semantics: 9, ..DEPTH },
        Described { range: (5, 4), ..DEPTH },
        Described { element: (32_473, 0), ..DEPTH },
    ];
    let mut decoder = Decoder::new();
    teach(&mut decoder, 1, &wrong);
    assert_eq!((decoder.taught().stats().unsound, decoder.taught().stats().learned), (10, 0));
    assert!(decoder.taught().of(&1).is_none());
    // A sound one among them is taken.
    teach(&mut decoder, 1, &[wrong[0], DEPTH, wrong[4]]);
    assert_eq!(decoder.elements(&1).info(own(7)).unwrap().name, "queueDepth");
}

#[test]
fn a_record_needs_a_number_a_type_and_a_name_only() {
    // Scope informationElementId and enterprise, fixed lengths, description in between.
    let mut body = vec![1, 144, 0, 5, 0, 2];
    for (number, length) in [(303_u16, 2_u16), (346, 4), (339, 1), (340, 0xffff), (341, 5)] {
        body.extend(number.to_be_bytes());
        body.extend(length.to_be_bytes());
    }
    // The enterprise bit is left in.
    let record = [&[0x80, 7, 0, 0, 0x7e, 0xd9, 13, 2][..], b"hi", b"label"].concat();
    let octets = message(&[set(3, &body), set(400, &record)]);
    let mut decoder = Decoder::new();
    decoder.decode(&1, &octets, Timestamp::ZERO).unwrap().for_each(drop);
    assert_eq!(decoder.elements(&1).info(own(7)), Some(ElementInfo::new("label", DataType::String)));
}

#[test]
fn records_that_waited_for_their_template_teach_too() {
    let mut decoder = Decoder::new();
    let data = message(&[set(400, &record(&DEPTH))]);
    decoder.decode(&1, &data, Timestamp::ZERO).unwrap().for_each(drop);
    assert_eq!(decoder.elements(&1).info(own(7)), None);
    decoder.decode(&1, &message(&[type_template()]), Timestamp::ZERO).unwrap().for_each(drop);
    assert_eq!(decoder.elements(&1).info(own(7)).unwrap().name, "queueDepth");
}

#[test]
fn what_is_learned_is_bounded() {
    let mut decoder = Decoder::new();
    let name = [b'n'; 254];
    for exporter in 0..200 {
        for first in (1..=1_200).step_by(100) {
            let described: Vec<_> = (first..first + 100)
                .map(|number| Described { element: (OWN.0, number), name: &name, ..DEPTH })
                .collect();
            teach(&mut decoder, exporter, &described);
        }
        assert_eq!(decoder.taught().of(&exporter).unwrap().len(), TaughtElements::<u32>::MAX_ELEMENTS);
        assert!(decoder.taught().memory_octets() <= TaughtElements::<u32>::MAX_OCTETS);
    }
    let stats = decoder.taught().stats();
    assert_eq!(stats.refused, 200 * 176);
    assert!(stats.evicted_exporters > 100);
    assert!(decoder.taught().of(&0).is_none());
}

proptest! {
    #[test]
    fn any_type_records_are_survived(records in prop::collection::vec(any::<u8>(), 0..400), template in prop::collection::vec((300_u16..350, 0_u16..12), 1..12)) {
        // D66
        let mut body = vec![1, 144, 0, u8::try_from(template.len()).unwrap(), 0, 1];
        for (number, length) in &template {
            body.extend(number.to_be_bytes());
            body.extend(if *length == 0 { 0xffff_u16 } else { *length }.to_be_bytes());
        }
        let octets = message(&[set(3, &body), set(400, &records)]);
        let mut decoder = Decoder::new();
        decoder.decode(&1, &octets, Timestamp::ZERO).unwrap().for_each(drop);
        let known = decoder.taught().of(&1).map_or(0, ElementRegistry::len);
        prop_assert_eq!(decoder.taught().stats().learned, known as u64);
    }
}
