//! What may stand in a template and in a record, and what is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use core::time::Duration;

use netflow_codec::{
    AbsentFields, BasicListBuilder, DataType, ElementId, EncodeError, ExportTemplate, FieldSource,
    FieldSpecifier, FieldValue, FlowRecord, ListSemantic, MplsLabels, Protocol, ScopeType, TemplateBuilder,
    Timestamp,
};

const REVERSE: u32 = 29_305;
const VARIABLE: u16 = 0xffff;

fn field(number: u16, length: u16) -> FieldSpecifier {
    FieldSpecifier::new(ElementId::iana(number), length)
}

fn of_enterprise(enterprise: u32, number: u16, length: u16) -> FieldSpecifier {
    FieldSpecifier::new(ElementId::new(enterprise, number), length)
}

fn ipfix(fields: &[FieldSpecifier]) -> Result<ExportTemplate, EncodeError> {
    TemplateBuilder::new(Protocol::Ipfix, 300).fields(fields.iter().copied()).build()
}

fn v9(fields: &[FieldSpecifier]) -> Result<ExportTemplate, EncodeError> {
    TemplateBuilder::new(Protocol::NetFlow9, 300).fields(fields.iter().copied()).build()
}

/// The record of one value, in a template of one field.
fn encode(field: FieldSpecifier, value: FieldValue<'_>) -> Result<Vec<u8>, EncodeError> {
    let mut octets = vec![0xaa];
    let template = ipfix(&[field])?;
    let result = template.encode(&[(field.element, value)], &mut octets);
    assert_eq!(octets[0], 0xaa, "what was there stays");
    assert!(result.is_ok() || octets.len() == 1, "nothing is left of a record that is refused");
    result.map(|()| octets.split_off(1))
}

#[test]
fn v9_has_neither_variable_length_nor_enterprises() {
    // E8
    let varlen = FieldSpecifier::variable_length(ElementId::iana(96));
    assert_eq!(v9(&[varlen]).unwrap_err(), EncodeError::FieldLength { element: 96, length: VARIABLE });
    let enterprise = of_enterprise(32_473, 7, 4);
    let refused = EncodeError::EnterpriseInV9 { enterprise: 32_473, element: 7 };
    assert_eq!(v9(&[enterprise]).unwrap_err(), refused);
    assert!(ipfix(&[varlen]).is_ok() && ipfix(&[enterprise]).is_ok());
    // Numbers from 32768 on are plain in v9.
    assert!(v9(&[field(40_000, 20)]).is_ok());
}

#[test]
fn template_ids_begin_at_256() {
    // E9
    for protocol in [Protocol::NetFlow9, Protocol::Ipfix] {
        let build = |id| TemplateBuilder::new(protocol, id).field(field(1, 8)).build();
        for id in [0, 2, 3, 255] {
            assert_eq!(build(id).unwrap_err(), EncodeError::TemplateId(id));
        }
        for id in [256, 65_535] {
            let template = build(id).unwrap();
            assert_eq!(template.template_record()[..2], id.to_be_bytes());
        }
        let empty = TemplateBuilder::new(protocol, 256).build();
        assert_eq!(empty.unwrap_err(), EncodeError::LayoutLength(0));
    }
}

#[test]
fn the_enterprise_bit_stands_for_an_enterprise_number() {
    // E14
    let template = ipfix(&[field(8, 4), of_enterprise(32_473, 7, 2)]).unwrap();
    let expected = [1, 44, 0, 2, 0, 8, 0, 4, 0x80, 7, 0, 2, 0, 0, 0x7e, 0xd9];
    assert_eq!(template.template_record(), expected);
    for number in [0, 0x8000, 0xffff] {
        assert_eq!(ipfix(&[field(number, 4)]).unwrap_err(), EncodeError::ElementNumber(number));
        let own = ipfix(&[of_enterprise(32_473, number, 4)]);
        assert_eq!(own.unwrap_err(), EncodeError::ElementNumber(number));
    }
    assert!(ipfix(&[field(0x7fff, 4), of_enterprise(1, 1, 1)]).is_ok());
}

#[test]
fn strings_are_utf_8() {
    // E17: interfaceName.
    let name = field(82, VARIABLE);
    assert_eq!(encode(name, FieldValue::String("é")).unwrap(), [2, 0xc3, 0xa9]);
    assert_eq!(encode(name, FieldValue::Octets("é".as_bytes())).unwrap(), [2, 0xc3, 0xa9]);
    for ill_formed in [&[0xc0, 0xaf][..], &[0xed, 0xa0, 0x80], &[0xff], &[0xc3]] {
        let refused = encode(name, FieldValue::Octets(ill_formed));
        assert_eq!(refused.unwrap_err(), EncodeError::NotUtf8 { element: 82 });
    }
    // In a fixed field NULs fill up, and what is too long is refused, not cut.
    assert_eq!(encode(field(82, 4), FieldValue::String("ab")).unwrap(), *b"ab\0\0");
    let refused = encode(field(82, 4), FieldValue::String("abcde"));
    assert_eq!(refused.unwrap_err(), EncodeError::ValueTooLarge { element: 82, length: 4 });
}

#[test]
fn lengths_are_those_that_a_type_can_have() {
    // E19: by type, all that a field can have, of the first thirty-three.
    let cases: &[(u16, &[u16])] = &[
        (4, &[1]),
        (7, &[1, 2]),
        (10, &[1, 2, 3, 4]),
        (1, &[1, 2, 3, 4, 5, 6, 7, 8]),
        (434, &[1, 2, 3, 4]),
        (311, &[4, 8]),
        (276, &[1]),
        (56, &[6]),
        (8, &[4]),
        (27, &[16]),
        (150, &[4]),
        (152, &[8]),
        (154, &[8]),
        (156, &[8]),
        (21, &[4]),
    ];
    for (number, lengths) in cases {
        for length in (0..34).chain([VARIABLE]) {
            assert_eq!(
                ipfix(&[field(*number, length)]).is_ok(),
                lengths.contains(&length),
                "{number} in {length}"
            );
        }
    }
    // Strings, octet arrays and lists have any length but none.
    for number in [82, 313, 291, 292, 293] {
        assert!(ipfix(&[field(number, 0)]).is_err());
        assert!(ipfix(&[field(number, 33)]).is_ok() && ipfix(&[field(number, VARIABLE)]).is_ok(), "{number}");
    }
}

#[test]
fn values_that_do_not_fit_are_refused() {
    // E19
    for length in 1..=8u16 {
        let octets = field(1, length);
        let largest = u64::MAX >> (64 - 8 * length);
        let encoded = encode(octets, FieldValue::Unsigned(largest)).unwrap();
        assert_eq!(encoded, vec![0xff; length.into()]);
        if let Some(over) = largest.checked_add(1) {
            let refused = EncodeError::ValueTooLarge { element: 1, length };
            assert_eq!(encode(octets, FieldValue::Unsigned(over)).unwrap_err(), refused);
        }
    }
    // mibObjectValueInteger, signed32.
    for length in 1..=4u16 {
        let integer = field(434, length);
        let smallest = -1i64 << (8 * length - 1);
        for (value, fits) in
            [(smallest, true), (smallest - 1, false), (-1, true), (!smallest, true), (-smallest, false)]
        {
            let encoded = encode(integer, FieldValue::Signed(value));
            assert_eq!(encoded.is_ok(), fits, "{value} in {length}");
            if let Ok(octets) = encoded {
                assert_eq!(octets, value.to_be_bytes()[8 - usize::from(length)..]);
            }
        }
    }
    // 2106 is the last year of 32-bit seconds.
    let seconds = |secs| encode(field(150, 4), FieldValue::DateTime(Timestamp::from_secs(secs)));
    assert!(seconds(u32::MAX.into()).is_ok() && seconds(1 << 32).is_err());
    // A float32 rounds, but does not become infinite.
    let float = |value| encode(field(311, 4), FieldValue::Float(value));
    assert_eq!(float(0.1).unwrap(), 0.1f32.to_be_bytes());
    assert!(float(1e300).is_err() && float(f64::INFINITY).is_ok());
}

#[test]
fn values_are_of_their_elements_type() {
    let v4 = FieldValue::Ipv4Address([192, 0, 2, 1].into());
    for (number, length, value) in [
        (1, 8, v4),
        (8, 4, FieldValue::Unsigned(1)),
        (27, 16, v4),
        (56, 6, FieldValue::Unsigned(1)),
        (82, 4, FieldValue::Unsigned(1)),
        (152, 8, FieldValue::Unsigned(1)),
        (311, 8, FieldValue::Unsigned(1)),
        (434, 4, FieldValue::Boolean(true)),
        (291, VARIABLE, FieldValue::Unsigned(1)),
        (291, VARIABLE, FieldValue::Octets(&[3, 0, 14])),
        (1, 8, FieldValue::Octets(&[0; 8])),
        (1, 8, FieldValue::DateTime(Timestamp::ZERO)),
    ] {
        let refused = EncodeError::ValueType { element: number };
        assert_eq!(encode(field(number, length), value).unwrap_err(), refused, "{number} {value:?}");
    }
    // Octet arrays of a fixed length have that length.
    assert_eq!(encode(field(313, 3), FieldValue::Octets(&[1, 2, 3])).unwrap(), [1, 2, 3]);
    assert!(encode(field(313, 3), FieldValue::Octets(&[1, 2])).is_err());
    assert!(encode(field(313, 3), FieldValue::Octets(&[1, 2, 3, 4])).is_err());
}

#[test]
fn values_outside_the_registered_range_are_not_exported() {
    // E21
    let cases: &[(u16, u16, &[u64], &[u64])] = &[
        (9, 1, &[0, 32], &[33, 255]),
        (29, 1, &[0, 128], &[129, 255]),
        (31, 4, &[0xf_ffff], &[0x10_0000]),
        (88, 2, &[0x1fff], &[0x2000]),
        (195, 1, &[63], &[64]),
        (196, 1, &[7], &[8]),
        (229, 1, &[1, 2], &[0, 3]),
        (457, 2, &[999], &[1_000]),
        (458, 2, &[1], &[0]),
    ];
    for (number, length, inside, outside) in cases {
        let put = |value| encode(field(*number, *length), FieldValue::Unsigned(value));
        assert!(inside.iter().all(|value| put(*value).is_ok()), "{number}");
        for value in *outside {
            assert_eq!(put(*value).unwrap_err(), EncodeError::ValueRange { element: *number }, "{value}");
        }
    }
    // The reverse element has the same range.
    let reverse = of_enterprise(REVERSE, 9, 1);
    let template = ipfix(&[field(8, 4), reverse]).unwrap();
    let record = |length| {
        [
            (ElementId::iana(8), FieldValue::Ipv4Address([0; 4].into())),
            (reverse.element, FieldValue::Unsigned(length)),
        ]
    };
    assert!(template.encode(&record(32), &mut Vec::new()).is_ok());
    assert!(template.encode(&record(33), &mut Vec::new()).is_err());
}

#[test]
fn reverse_elements_are_those_of_reversible_ones() {
    // E28: all that RFC 5103 section 6.1 names.
    let not_reversible = [
        40, 41, 42, 130, 131, 137, 145, 148, 149, 163, 164, 165, 166, 167, 168, 173, 210, 211, 212, 213, 214,
        215, 216, 217, 239,
    ];
    for number in not_reversible {
        let build = TemplateBuilder::new(Protocol::Ipfix, 300)
            .field(field(8, 4))
            .field(FieldSpecifier::new(ElementId::new(REVERSE, number), 4));
        let refused = build.build().unwrap_err();
        let length = ElementId::iana(number).data_type().full_length();
        if length.is_none_or(|length| length >= 4) && number != 210 {
            assert_eq!(refused, EncodeError::NotReversible(number));
        }
    }
    let template = ipfix(&[field(8, 4), of_enterprise(REVERSE, 1, 8)]).unwrap();
    assert_eq!(template.template_record()[8..], [0x80, 1, 0, 8, 0, 0, 0x72, 0x79]);
    assert_eq!(ElementId::OCTET_DELTA_COUNT.reverse(), Some(ElementId::new(REVERSE, 1)));
}

#[test]
fn biflows_have_a_direction() {
    // E29
    let reverse = of_enterprise(REVERSE, 1, 8);
    assert_eq!(ipfix(&[field(1, 8), field(4, 1), reverse]).unwrap_err(), EncodeError::NoDirectionalKey);
    for directional in [field(8, 4), field(12, 4), field(27, 16), field(7, 2), field(11, 2), field(10, 4)] {
        assert!(ipfix(&[field(1, 8), reverse, directional]).is_ok());
    }
}

#[test]
fn scopes_keep_their_order_and_stand_first() {
    // E30
    let template = |scopes: [FieldSpecifier; 2]| {
        let builder = TemplateBuilder::new(Protocol::Ipfix, 300).field(field(41, 8));
        scopes.into_iter().fold(builder, TemplateBuilder::scope).build().unwrap()
    };
    let (domain, process) = (field(149, 4), field(143, 4));
    let one = template([domain, process]);
    assert_eq!(
        one.template_record(),
        [1, 44, 0, 3, 0, 2, 0, 149, 0, 4, 0, 143, 0, 4, 0, 41, 0, 8],
        "field count with the scopes, then scope count"
    );
    let other = template([process, domain]);
    assert_eq!(other.template_record()[6..10], [0, 143, 0, 4]);
    assert_eq!((one.scope_count(), one.is_options()), (2, true));

    // v9 counts octets of specifiers.
    let template = TemplateBuilder::new(Protocol::NetFlow9, 300)
        .field(field(34, 4))
        .scope_type(ScopeType::INTERFACE, 2)
        .scope_type(ScopeType::LINE_CARD, 1)
        .field(field(35, 1))
        .build()
        .unwrap();
    let expected = [1, 44, 0, 8, 0, 8, 0, 2, 0, 2, 0, 3, 0, 1, 0, 34, 0, 4, 0, 35, 0, 1];
    assert_eq!(template.template_record(), expected);
}

#[test]
fn scopes_are_of_their_protocol() {
    let scope = |protocol| TemplateBuilder::new(protocol, 300).field(field(41, 4));
    let wrong = scope(Protocol::Ipfix).scope_type(ScopeType::SYSTEM, 4).build();
    assert_eq!(wrong.unwrap_err(), EncodeError::ScopeKind);
    let wrong = scope(Protocol::NetFlow9).scope(field(149, 4)).build();
    assert_eq!(wrong.unwrap_err(), EncodeError::ScopeKind);
    for length in [0, 9] {
        assert!(scope(Protocol::NetFlow9).scope_type(ScopeType::SYSTEM, length).build().is_err());
    }
}

#[test]
fn padding_elements_are_zeros() {
    // E31: whatever the record says, and more than once.
    let template = ipfix(&[field(4, 1), field(210, 3), field(7, 2), field(210, 1)]).unwrap();
    let record = [
        (ElementId::iana(4), FieldValue::Unsigned(6)),
        (ElementId::iana(210), FieldValue::Octets(&[0xff; 3])),
        (ElementId::iana(7), FieldValue::Unsigned(80)),
    ];
    let mut octets = Vec::new();
    template.encode(&record, &mut octets).unwrap();
    assert_eq!(octets, [6, 0, 0, 0, 0, 80, 0]);
}

#[test]
fn application_ids_of_v9_have_one_length() {
    // E32: engines 1 and 20.
    let template = v9(&[field(95, 8)]).unwrap();
    let encode = |value: &[u8]| {
        let mut octets = Vec::new();
        template.encode(&[(ElementId::iana(95), FieldValue::Octets(value))], &mut octets).map(|()| octets)
    };
    assert_eq!(encode(&[1, 6]).unwrap(), [1, 0, 0, 0, 0, 0, 0, 6]);
    assert_eq!(encode(&[20, 0, 0, 0x7e, 0xd9, 0, 1, 2]).unwrap(), [20, 0, 0, 0x7e, 0xd9, 0, 1, 2]);
    assert!(encode(&[13, 0, 0, 0, 0, 0, 0, 0, 9]).is_err());
    assert!(v9(&[FieldSpecifier::variable_length(ElementId::iana(95))]).is_err());
    // Or a template for each length.
    assert!(v9(&[field(95, 2)]).is_ok() && v9(&[field(95, 3)]).is_ok());
}

#[test]
fn times_are_not_finer_than_the_clock() {
    // E36
    let build = |number, resolution| {
        let template = TemplateBuilder::new(Protocol::Ipfix, 300).clock_resolution(resolution);
        let length = if matches!(number, 150 | 158) { 4 } else { 8 };
        template.field(field(number, length)).build().map(drop)
    };
    let (milli, micro, nano) = (Duration::from_millis(1), Duration::from_micros(1), Duration::ZERO);
    for number in [154, 155, 156, 157, 158] {
        assert_eq!(build(number, milli).unwrap_err(), EncodeError::TimeResolution(number));
        assert!(build(number, nano).is_ok());
    }
    assert!(build(150, milli).is_ok() && build(152, milli).is_ok());
    assert!(build(154, micro).is_ok() && build(156, micro).is_err());
}

#[test]
fn what_a_record_lacks_is_refused_or_zero() {
    let fields = [field(8, 4), FieldSpecifier::variable_length(ElementId::iana(96)), field(152, 8)];
    let nothing: [(ElementId, FieldValue<'_>); 0] = [];
    let refuse = ipfix(&fields).unwrap();
    let missing = refuse.encode(&nothing, &mut Vec::new()).unwrap_err();
    assert_eq!(missing, EncodeError::FieldMissing { element: 8 });
    let builder = || TemplateBuilder::new(Protocol::Ipfix, 300).absent_fields(AbsentFields::Zero);
    let mut octets = Vec::new();
    builder().fields(fields).build().unwrap().encode(&nothing, &mut octets).unwrap();
    assert_eq!(octets, [0; 13]);
    // A list and a truth value have no zero.
    for number in [276, 291, 292, 293] {
        let length = if number == 276 { 1 } else { VARIABLE };
        let template = builder().field(field(number, length)).build().unwrap();
        assert!(template.encode(&nothing, &mut Vec::new()).is_err(), "{number}");
    }
}

#[test]
fn elements_that_nobody_knows_take_any_value_or_a_type_of_the_users() {
    let own = |length| of_enterprise(32_473, 7, length);
    assert_eq!(encode(own(2), FieldValue::Unsigned(258)).unwrap(), [1, 2]);
    assert_eq!(encode(own(VARIABLE), FieldValue::String("ab")).unwrap(), [2, b'a', b'b']);
    assert_eq!(encode(own(4), FieldValue::Signed(-2)).unwrap(), [0xff, 0xff, 0xff, 0xfe]);
    assert_eq!(encode(own(6), FieldValue::MacAddress([1; 6])).unwrap(), [1; 6]);
    assert_eq!(encode(own(1), FieldValue::Boolean(false)).unwrap(), [2]);
    assert!(encode(own(1), FieldValue::Unsigned(256)).is_err());
    assert!(encode(own(8), FieldValue::DateTime(Timestamp::ZERO)).is_err(), "of which kind?");
    let template = TemplateBuilder::new(Protocol::Ipfix, 300)
        .typed_field(own(8), DataType::DateTimeMilliseconds)
        .build()
        .unwrap();
    let mut octets = Vec::new();
    let record = [(own(8).element, FieldValue::DateTime(Timestamp::from_millis(258)))];
    template.encode(&record, &mut octets).unwrap();
    assert_eq!(octets, [0, 0, 0, 0, 0, 0, 1, 2]);
    let typed = |length| {
        TemplateBuilder::new(Protocol::Ipfix, 300).typed_field(own(length), DataType::Ipv4Address).build()
    };
    assert!(typed(4).is_ok() && typed(3).is_err(), "E19 for them, too");
}

#[test]
fn lists_do_not_outgrow_a_value() {
    // E33
    let mut list = BasicListBuilder::new(ListSemantic::ALL_OF, field(27, 16)).unwrap();
    let address = FieldValue::Ipv6Address([1; 16].into());
    let mut count = 0;
    while list.push(address).is_ok() {
        count += 1;
        assert!(count < 5_000);
    }
    assert_eq!((count, list.octets().len()), (4_095, 5 + 4_095 * 16));
    let refused = EncodeError::ValueTooLarge { element: 27, length: VARIABLE };
    assert_eq!(list.push(address).unwrap_err(), refused);
    // As a value it has its length before it, and still fits into a field.
    let encoded = encode(field(291, VARIABLE), list.value()).unwrap();
    assert_eq!(encoded[..3], [255, 0xff, 0xf5]);
}

#[test]
fn flow_records_answer_as_the_fast_path_writes() {
    let mut flow = FlowRecord::default();
    flow.source = "192.0.2.1".parse().unwrap();
    flow.destination = "192.0.2.2".parse().unwrap();
    flow.next_hop = "2001:db8::1".parse().unwrap();
    flow.tcp_flags = 0x1ff;
    let mut labels = MplsLabels::EMPTY;
    labels.set(0, [1, 2, 3]);
    flow.mpls_labels = labels;
    flow.start = Timestamp::from_millis(5);
    assert_eq!(flow.field(ElementId::iana(60)), Some(FieldValue::Unsigned(4)));
    assert_eq!(flow.field(ElementId::iana(27)), None, "an address of the other family");
    assert_eq!(flow.field(ElementId::iana(70)), Some(FieldValue::Unsigned(0x01_02_03)));
    assert_eq!(flow.field(ElementId::iana(71)), Some(FieldValue::Unsigned(0)));
    assert_eq!(flow.field(ElementId::iana(152)), Some(FieldValue::DateTime(flow.start)));
    assert_eq!(flow.field(ElementId::iana(500)), None);
    assert_eq!(flow.field(ElementId::new(9, 1)), None);
    // One octet has the low flags only, as RFC 7125 says.
    let template = ipfix(&[field(6, 1), field(15, 4), field(70, 3)]).unwrap();
    let mut octets = Vec::new();
    template.encode(&flow, &mut octets).unwrap();
    assert_eq!(octets, [0xff, 0, 0, 0, 0, 1, 2, 3]);
}
