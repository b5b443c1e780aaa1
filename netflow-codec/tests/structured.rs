//! Lists of RFC 6313: nested, cut off, without end.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use common::vectors::vector;
use netflow_codec::{
    BasicList, Batch, DecodeErrorKind, Decoder, ElementId, FieldValue, FieldView, ListSemantic,
    MAX_LIST_DEPTH, SubTemplateList, SubTemplateMultiList, Template, Timestamp,
};
use proptest::prelude::*;

const BASIC_LIST: u16 = 291;
const SUB_TEMPLATE_LIST: u16 = 292;
const SUB_TEMPLATE_MULTI_LIST: u16 = 293;

/// An IPFIX message of domain 1.
fn message(sets: &[&[u8]]) -> Vec<u8> {
    let sets = sets.concat();
    let length = u16::try_from(16 + sets.len()).unwrap().to_be_bytes();
    [&[0, 10][..], &length, &[0x65, 0x53, 0xf1, 0, 0, 0, 0, 0, 0, 0, 0, 1], &sets].concat()
}

fn set(id: u16, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + body.len()).unwrap().to_be_bytes();
    [&id.to_be_bytes()[..], &length, body].concat()
}

/// A template record of IANA's elements.
fn template(id: u16, fields: &[(u16, u16)]) -> Vec<u8> {
    let count = u16::try_from(fields.len()).unwrap();
    let mut octets = [id.to_be_bytes(), count.to_be_bytes()].concat();
    for (number, length) in fields {
        octets.extend(number.to_be_bytes());
        octets.extend(length.to_be_bytes());
    }
    octets
}

/// A value of variable length.
fn variable(value: &[u8]) -> Vec<u8> {
    [&[255][..], &u16::try_from(value.len()).unwrap().to_be_bytes(), value].concat()
}

fn list(field: &FieldView<'_>) -> Option<usize> {
    match field.value() {
        FieldValue::BasicList(list) => Some(list.iter().count()),
        _ => None,
    }
}

#[test]
fn a_basic_list_has_a_semantic_an_element_and_values() {
    // D59
    let Some(octets) = vector("ipfix-basiclist") else { return };
    let mut decoder = Decoder::new();
    for batch in decoder.decode(&1, &octets, Timestamp::ZERO).unwrap() {
        let Batch::Data(records) = batch else { continue };
        let field = records.iter().next().unwrap().fields().next().unwrap();
        let FieldValue::BasicList(list) = field.value() else { panic!("{field:?}") };
        assert_eq!((list.semantic(), list.element()), (ListSemantic::ALL_OF, ElementId::EGRESS_INTERFACE));
        assert_eq!(list.iter().filter_map(|value| value.as_unsigned()).collect::<Vec<_>>(), [7, 9]);
        assert_eq!((list.fault(), list.to_string().as_str()), (None, "allOf(7, 9)"));
        return;
    }
    panic!("no data");
}

/// A basicList in a basicList in ..., this many of them, the innermost empty.
fn nested(levels: usize) -> Vec<u8> {
    let mut octets = vec![255, 0, 4, 0, 1];
    for _ in 1..levels {
        let header = [&[255][..], &BASIC_LIST.to_be_bytes(), &[0xff, 0xff]].concat();
        octets = [header, variable(&octets)].concat();
    }
    octets
}

#[test]
fn eight_lists_within_one_another_are_read_and_the_ninth_stays_octets() {
    // D59
    assert_eq!(MAX_LIST_DEPTH, 8);
    for levels in 1..=12 {
        let octets = nested(levels);
        let mut field = FieldView::new(ElementId::iana(BASIC_LIST), &octets);
        let mut opened = 0;
        while let FieldValue::BasicList(list) = field.value() {
            opened += 1;
            match list.iter().next() {
                Some(inner) => field = inner,
                None => break,
            }
        }
        assert_eq!(opened, levels.min(8), "{levels}");
        assert_eq!(matches!(field.value(), FieldValue::Octets(_)), levels > 8, "{levels}");
    }
}

#[test]
fn records_in_lists_are_bounded_in_depth_as_well() {
    // D59: a template that contains itself.
    let own = template(300, &[(SUB_TEMPLATE_LIST, 0xffff)]);
    let mut value = vec![3, 1, 44];
    for _ in 0..20 {
        value = [&[3, 1, 44][..], &variable(&value)].concat();
    }
    let octets = message(&[&set(2, &own), &set(300, &variable(&value))]);
    let mut decoder = Decoder::new();
    let mut batches = decoder.decode(&1, &octets, Timestamp::ZERO).unwrap();
    while let Some(batch) = batches.next() {
        let Batch::Data(records) = batch else { continue };
        let mut field = records.iter().next().unwrap().fields().next().unwrap();
        let template = batches.template(300).unwrap();
        let mut opened = 0;
        while let FieldValue::SubTemplateList(list) = field.value() {
            opened += 1;
            field = list.records(template).next().unwrap().fields().next().unwrap();
        }
        assert_eq!(opened, 8);
        return;
    }
    panic!("no data");
}

#[test]
fn elements_of_enterprises_have_their_number_in_the_list() {
    // D61
    let octets = [3, 0x80, 1, 0, 2, 0, 0, 0x7e, 0xd9, 1, 2, 3, 4];
    let list = BasicList::parse(&octets).unwrap();
    assert_eq!(list.element(), ElementId::new(32_473, 1));
    let values: Vec<_> = list.iter().map(|value| (value.element(), value.octets())).collect();
    assert_eq!(values, [(list.element(), &[1, 2][..]), (list.element(), &[3, 4])]);
    for length in 0..9 {
        let error = BasicList::parse(&octets[..length]).unwrap_err();
        let needed = if length < 5 { 5 } else { 9 };
        let available = u32::try_from(length).unwrap();
        assert_eq!(error.kind, DecodeErrorKind::Truncated { needed, available });
        // As a field it is raw octets.
        let field = FieldView::new(ElementId::iana(BASIC_LIST), &octets[..length]);
        assert_eq!(field.value(), FieldValue::Octets(&octets[..length]));
    }
}

#[test]
fn what_stands_before_a_cut_off_value_is_given() {
    let octets = [3, 0, 14, 0, 4, 0, 0, 0, 7, 0, 0];
    let list = BasicList::parse(&octets).unwrap();
    assert_eq!(list.iter().count(), 1);
    let fault = list.fault().unwrap();
    assert_eq!((fault.offset, fault.kind), (9, DecodeErrorKind::Truncated { needed: 4, available: 2 }));
    // Variable lengths of both forms, an empty one, and one that runs out.
    let octets = [3, 0, 82, 0xff, 0xff, 2, b'a', b'b', 0, 255, 0, 1, b'c', 5, b'd'];
    let list = BasicList::parse(&octets).unwrap();
    assert_eq!(list.iter().map(|value| value.octets()).collect::<Vec<_>>(), [&b"ab"[..], b"", b"c"]);
    let fault = list.fault().unwrap();
    assert_eq!((fault.offset, fault.kind), (13, DecodeErrorKind::Truncated { needed: 6, available: 2 }));
}

#[test]
fn values_of_no_octets_do_not_loop() {
    // D60: what goes for entries goes for values.
    let octets = [3, 0, 14, 0, 0, 1, 2, 3];
    let list = BasicList::parse(&octets).unwrap();
    assert_eq!((list.iter().count(), list.fault().unwrap().kind), (0, DecodeErrorKind::EmptyListValues));
    // Nothing at all is an empty list.
    assert_eq!(BasicList::parse(&octets[..5]).unwrap().fault(), None);
}

#[test]
fn entries_of_length_0_and_4_are_empty_and_1_to_3_malformed() {
    // D60
    for length in 0..=5_u8 {
        let octets = [255, 1, 44, 0, length, 1, 45, 0, 6, 7, 8];
        let list = SubTemplateMultiList::parse(&octets).unwrap();
        let entries: Vec<_> = list.iter().map(|entry| (entry.template_id(), entry.content())).collect();
        match length {
            0 | 4 => {
                assert_eq!(entries, [(300, &[][..]), (301, &[7, 8])], "{length}");
                assert_eq!(list.fault(), None);
            }
            1..4 => {
                assert!(entries.is_empty());
                let fault = list.fault().unwrap();
                let kind = DecodeErrorKind::ListEntryLength { template_id: 300, length: length.into() };
                assert_eq!((fault.offset, fault.kind), (1, kind));
            }
            // One octet of content; what follows is template 11520 of 1543 octets.
            _ => {
                assert_eq!(entries, [(300, &[1][..])]);
                let kind = DecodeErrorKind::Truncated { needed: 1_543, available: 5 };
                assert_eq!((list.fault().unwrap().offset, list.fault().unwrap().kind), (6, kind));
            }
        }
    }
    assert_eq!(
        SubTemplateMultiList::parse(&[]).unwrap_err().kind,
        DecodeErrorKind::Truncated { needed: 1, available: 0 }
    );
    let header = SubTemplateMultiList::parse(&[3, 1, 44, 0]).unwrap();
    assert_eq!(header.fault().unwrap().kind, DecodeErrorKind::Truncated { needed: 4, available: 3 });
}

#[test]
fn records_of_several_templates() {
    // D59
    let templates = [
        template(300, &[(7, 2), (11, 2)]),
        template(301, &[(82, 0xffff)]),
        template(302, &[(4, 1), (SUB_TEMPLATE_MULTI_LIST, 0xffff)]),
    ]
    .concat();
    let list =
        [&[3][..], &[1, 44, 0, 12], &[0, 1, 0, 2, 0, 3, 0, 4], &[1, 45, 0, 9], &[2, b'e', b'0', 1, b'x']]
            .concat();
    let record = [&[6][..], &variable(&list)].concat();
    let octets = message(&[&set(2, &templates), &set(302, &record)]);
    let mut decoder = Decoder::new();
    let mut batches = decoder.decode(&1, &octets, Timestamp::ZERO).unwrap();
    while let Some(batch) = batches.next() {
        let Batch::Data(records) = batch else { continue };
        let field = records.iter().next().unwrap().fields().nth(1).unwrap();
        let FieldValue::SubTemplateMultiList(list) = field.value() else { panic!("{field:?}") };
        assert_eq!(list.semantic(), ListSemantic::ALL_OF);
        let mut texts = Vec::new();
        for entry in &list {
            let template = batches.template(entry.template_id()).unwrap();
            for record in entry.records(template) {
                texts.push(
                    record.fields().map(|field| field.value().to_string()).collect::<Vec<_>>().join(" "),
                );
            }
        }
        assert_eq!(texts, ["1 2", "3 4", "e0", "x"]);
        assert_eq!(list.fault(), None);
        // Another template does not read it.
        let wrong = batches.template(302).unwrap();
        assert_eq!(list.iter().flat_map(|entry| entry.records(wrong)).count(), 0);
        return;
    }
    panic!("no data");
}

#[test]
fn a_list_of_an_unknown_template_stays_octets_and_the_rest_of_the_record_is_read() {
    // D62
    let templates = template(302, &[(SUB_TEMPLATE_LIST, 0xffff), (4, 1)]);
    let record = [&variable(&[3, 3, 0xe7, 1, 2, 3, 4])[..], &[17]].concat();
    let octets = message(&[&set(2, &templates), &set(302, &record)]);
    let mut decoder = Decoder::new();
    let mut batches = decoder.decode(&1, &octets, Timestamp::ZERO).unwrap();
    while let Some(batch) = batches.next() {
        let Batch::Data(records) = batch else { continue };
        let fields: Vec<_> = records.iter().next().unwrap().fields().collect();
        let FieldValue::SubTemplateList(list) = fields[0].value() else { panic!("{fields:?}") };
        assert_eq!((list.template_id(), list.content()), (999, &[1, 2, 3, 4][..]));
        assert!(batches.template(999).is_none());
        assert_eq!(list.to_string(), "allOf(template 999: 01020304)");
        assert_eq!(fields[1].as_unsigned(), Some(17));
        assert_eq!(records.flows().next().unwrap().protocol, 17);
        return;
    }
    panic!("no data");
}

/// Opens everything that can be opened with one template; counts what it sees.
fn open(field: &FieldView<'_>, template: &Template, seen: &mut usize) {
    *seen += 1;
    let of_list = |list: SubTemplateList<'_>, seen: &mut usize| {
        let records = list.records(template).flat_map(|record| record.fields().collect::<Vec<_>>());
        records.for_each(|field| open(&field, template, seen));
    };
    match field.value() {
        FieldValue::BasicList(list) => list.iter().for_each(|value| open(&value, template, seen)),
        FieldValue::SubTemplateList(list) => of_list(list, seen),
        FieldValue::SubTemplateMultiList(list) => list.iter().for_each(|entry| of_list(entry, seen)),
        _ => {}
    }
}

/// Octets that are often lists of lists.
fn listlike() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(vec![3, 1, 44]),
        Just(vec![255, 1, 35, 255, 255]),
        Just(vec![255, 1, 36, 255, 255]),
        Just(vec![255, 1, 37, 0, 1]),
        Just(vec![1, 44, 0, 0]),
        (any::<u8>()).prop_map(|length| vec![1, 44, 0, length]),
        (0..40_u8).prop_map(|length| vec![length]),
        (any::<u8>()).prop_map(|length| vec![255, 0, length]),
        prop::collection::vec(any::<u8>(), 0..6),
    ];
    prop::collection::vec(piece, 0..120).prop_map(|pieces| pieces.concat())
}

/// A template whose fields are lists.
fn list_template(see: impl FnOnce(&Template)) {
    let fields = [(BASIC_LIST, 0xffff), (SUB_TEMPLATE_LIST, 0xffff), (SUB_TEMPLATE_MULTI_LIST, 0xffff)];
    let octets = message(&[&set(2, &template(300, &fields))]);
    let mut decoder = Decoder::new();
    let Some(Batch::Template(template, _)) = decoder.decode(&1, &octets, Timestamp::ZERO).unwrap().next()
    else {
        panic!("no template")
    };
    see(&template);
}

proptest! {
    #[test]
    fn lists_of_any_octets_end_in_a_number_of_steps_that_their_length_bounds(
        octets in listlike(),
        number in BASIC_LIST..=SUB_TEMPLATE_MULTI_LIST,
    ) {
        // D60, D66, D67
        let field = FieldView::new(ElementId::iana(number), &octets);
        let mut seen = 0;
        list_template(|template| open(&field, template, &mut seen));
        // Each field of each list consumes an octet of it; there are eight lists around any octet at most.
        prop_assert!(seen <= 1 + octets.len() * usize::from(MAX_LIST_DEPTH), "{seen} of {}", octets.len());
        if let Ok(list) = BasicList::parse(&octets) {
            let whole: usize = list.iter().map(|value| value.octets().len()).sum();
            prop_assert!(whole <= list.content().len());
            prop_assert!(list.fault().is_none_or(|fault| fault.offset as usize <= octets.len()));
            prop_assert!(list.fault().is_some() || list.value_length() != 0 || list.content().is_empty());
        }
        if let Ok(list) = SubTemplateMultiList::parse(&octets) {
            let whole: usize = list.iter().map(|entry| 4 + entry.content().len()).sum();
            prop_assert_eq!(whole == list.content().len(), list.fault().is_none());
        }
    }
}

#[test]
fn lists_of_64_kib_are_read_at_once() {
    // D67: 65,000 octets of empty values, at every level.
    let mut octets = vec![0; 40_000];
    for _ in 0..8 {
        let header = [&[255][..], &BASIC_LIST.to_be_bytes(), &[0xff, 0xff]].concat();
        octets = [header, variable(&octets)].concat();
    }
    let field = FieldView::new(ElementId::iana(BASIC_LIST), &octets);
    assert_eq!(list(&field), Some(1));
    let mut seen = 0;
    list_template(|template| open(&field, template, &mut seen));
    assert!(seen < 50_000, "{seen}");
}
