//! Packets and messages, octet by octet.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use common::vectors::vector;
use netflow_codec::{
    BasicListBuilder, Batch, DataRecords, Decoder, ElementId, EncodeError, ExportClock, ExportTemplate,
    FieldSpecifier, FieldValue, FlowRecord, ListSemantic, PacketBuilder, PacketHeader, Protocol,
    RecordLayout, ScopeType, SubTemplateListBuilder, SubTemplateMultiListBuilder, SysUptime, Template,
    TemplateBuilder, Timestamp, Withdrawal, ipfix, v9,
};

const EXPORT_TIME: Timestamp = Timestamp::from_secs(0x6553_f100);

fn field(number: u16, length: u16) -> FieldSpecifier {
    FieldSpecifier::new(ElementId::iana(number), length)
}

fn template(protocol: Protocol, id: u16, fields: &[FieldSpecifier]) -> ExportTemplate {
    TemplateBuilder::new(protocol, id).fields(fields.iter().copied()).build().unwrap()
}

fn unsigned(number: u16, value: u64) -> (ElementId, FieldValue<'static>) {
    (ElementId::iana(number), FieldValue::Unsigned(value))
}

fn address(number: u16, last: u8) -> (ElementId, FieldValue<'static>) {
    (ElementId::iana(number), FieldValue::Ipv4Address([192, 0, 2, last].into()))
}

fn finish(builder: &mut PacketBuilder, sequence: u32, domain: u32) -> Vec<u8> {
    let clock = ExportClock::new(EXPORT_TIME, SysUptime::from_millis(10_000));
    let mut octets = Vec::new();
    let written = builder.finish(&PacketHeader::new(clock, sequence, domain), &mut octets);
    assert_eq!(written, octets.len());
    octets
}

/// What a template that was decoded is for encoding.
fn again(decoded: &Template) -> ExportTemplate {
    let builder = TemplateBuilder::new(decoded.protocol(), decoded.id());
    let (scopes, fields) = decoded.fields().split_at(decoded.scope_count());
    let is_v9 = decoded.protocol() == Protocol::NetFlow9;
    let scope_type = |number: u16| {
        let known = [
            ScopeType::SYSTEM,
            ScopeType::INTERFACE,
            ScopeType::LINE_CARD,
            ScopeType::CACHE,
            ScopeType::TEMPLATE,
        ];
        known.into_iter().find(|scope| scope.number() == number).unwrap()
    };
    let builder = scopes.iter().fold(builder, |builder, scope| {
        if is_v9 {
            builder.scope_type(scope_type(scope.element.number()), scope.length)
        } else {
            builder.scope(*scope)
        }
    });
    builder.fields(fields.iter().copied()).build().unwrap()
}

/// Decodes a datagram and encodes what was decoded.
fn encode_again(octets: &[u8], pads: bool) -> Vec<u8> {
    let mut decoder = Decoder::new();
    let protocol = if octets[1] == 9 { Protocol::NetFlow9 } else { Protocol::Ipfix };
    let mut builder = PacketBuilder::with_protocol(protocol, 65_535);
    builder.set_padding(pads);
    let push = |builder: &mut PacketBuilder, records: &DataRecords<'_>| {
        let template = again(records.template());
        records.iter().for_each(|record| builder.push_record(&template, &record).unwrap());
    };
    for batch in decoder.decode(&1, octets, Timestamp::ZERO).unwrap() {
        match batch {
            Batch::Template(template, _) => builder.push_template_record(&again(&template)).unwrap(),
            Batch::Data(records) | Batch::Options(records) => push(&mut builder, &records),
            other => panic!("{other:?}"),
        }
    }
    if protocol == Protocol::NetFlow9 {
        let header = v9::Packet::parse(octets).unwrap();
        let header = header.header();
        let mut written = Vec::new();
        let fields = PacketHeader::new(header.clock(), header.sequence(), header.source_id());
        builder.finish(&fields, &mut written);
        return written;
    }
    let message = ipfix::Message::parse(octets).unwrap();
    finish(&mut builder, message.header().sequence(), message.header().observation_domain())
}

#[test]
fn example_of_rfc_7011_appendix_a_is_encoded_octet_for_octet() {
    // E10, E11, E25
    let mut builder = PacketBuilder::ipfix(1_472);
    let flows =
        template(Protocol::Ipfix, 256, &[field(8, 4), field(12, 4), field(15, 4), field(2, 4), field(1, 4)]);
    builder.push_template_record(&flows).unwrap();
    let rows = [(12, 254, 1, 5_009, 5_344_385), (27, 23, 2, 748, 388_934), (56, 65, 3, 5, 6_534)];
    for (source, destination, next_hop, packets, octets) in rows {
        let record = [
            address(8, source),
            address(12, destination),
            address(15, next_hop),
            unsigned(2, packets),
            unsigned(1, octets),
        ];
        builder.push_record(&flows, &record).unwrap();
    }
    let statistics = TemplateBuilder::new(Protocol::Ipfix, 258)
        .scope(field(141, 4))
        .fields([field(41, 2), field(42, 2)])
        .build()
        .unwrap();
    builder.push_template_record(&statistics).unwrap();
    for (line_card, messages, records) in [(1, 345, 10_201), (2, 690, 20_402)] {
        let record = [unsigned(141, line_card), unsigned(41, messages), unsigned(42, records)];
        builder.push_record(&statistics, &record).unwrap();
    }
    assert_eq!((builder.data_records(), builder.options_records()), (3, 2));
    #[rustfmt::skip]
    let expected = [
        // Version, length 152, export time, sequence, domain
        0, 10, 0, 152, 0x65, 0x53, 0xf1, 0, 0, 0, 0, 0, 0, 0, 0, 1,
        // Template set: 8, 12, 15, 2, 1 of four octets each
        0, 2, 0, 28, 1, 0, 0, 5, 0, 8, 0, 4, 0, 12, 0, 4, 0, 15, 0, 4, 0, 2, 0, 4, 0, 1, 0, 4,
        // Data
        1, 0, 0, 64,
        192, 0, 2, 12, 192, 0, 2, 254, 192, 0, 2, 1, 0, 0, 0x13, 0x91, 0, 0x51, 0x8c, 0x81,
        192, 0, 2, 27, 192, 0, 2, 23, 192, 0, 2, 2, 0, 0, 2, 0xec, 0, 5, 0xef, 0x46,
        192, 0, 2, 56, 192, 0, 2, 65, 192, 0, 2, 3, 0, 0, 0, 5, 0, 0, 0x19, 0x86,
        // Options template set: scope 141, then 41 and 42; two octets of padding
        0, 3, 0, 24, 1, 2, 0, 3, 0, 1, 0, 141, 0, 4, 0, 41, 0, 2, 0, 42, 0, 2, 0, 0,
        // Options data
        1, 2, 0, 20, 0, 0, 0, 1, 1, 0x59, 0x27, 0xd9, 0, 0, 0, 2, 2, 0xb2, 0x4f, 0xb2,
    ];
    assert_eq!(finish(&mut builder, 0, 1), expected);
}

#[test]
fn reference_vectors_that_are_canonical_are_encoded_again_as_they_were() {
    // E6, E25, E27
    let canonical = [
        ("v9-rfc3954-s11", true),
        ("v9-cisco-sampler-table", true),
        ("ipfix-rfc7011-appendixA", true),
        ("ipfix-enterprise-template", true),
        ("ipfix-varlen", false),
        ("ipfix-biflow", true),
        ("ipfix-basiclist", true),
        ("psamp-systematic-1of10", false),
        ("psamp-uniform-15pct", false),
    ];
    for (name, pads) in canonical {
        let Some(octets) = vector(name) else { return };
        assert_eq!(encode_again(&octets, pads), octets, "{name}");
    }
}

#[test]
fn the_length_of_a_message_is_what_was_written() {
    // E11
    let template = template(Protocol::Ipfix, 300, &[FieldSpecifier::variable_length(ElementId::iana(96))]);
    let mut builder = PacketBuilder::ipfix(65_535);
    let mut text = String::new();
    for length in 0..400 {
        builder.push_record(&template, &[(ElementId::iana(96), FieldValue::String(&text))]).unwrap();
        if length % 7 == 0 {
            let octets = finish(&mut builder, 0, 0);
            assert_eq!(usize::from(u16::from_be_bytes([octets[2], octets[3]])), octets.len());
            assert_eq!(ipfix::Message::parse(&octets).unwrap().trailing_octets(), 0);
        }
        text.push('x');
    }
}

#[test]
fn a_set_has_records_of_one_kind() {
    // E12: each change of template begins a set, and an options template shares none with templates.
    for protocol in [Protocol::NetFlow9, Protocol::Ipfix] {
        let one = template(protocol, 300, &[field(1, 4)]);
        let other = template(protocol, 301, &[field(2, 4)]);
        let builder = TemplateBuilder::new(protocol, 302).field(field(41, 4));
        let options = match protocol {
            Protocol::NetFlow9 => builder.scope_type(ScopeType::SYSTEM, 4),
            _ => builder.scope(field(149, 4)),
        };
        let options = options.build().unwrap();
        let mut builder = PacketBuilder::with_protocol(protocol, 1_472);
        builder.push_template_record(&one).unwrap();
        builder.push_template_record(&other).unwrap();
        builder.push_template_record(&options).unwrap();
        for _ in 0..2 {
            builder.push_record(&one, &[unsigned(1, 1)]).unwrap();
        }
        builder.push_record(&other, &[unsigned(2, 1)]).unwrap();
        builder.push_record(&options, &[unsigned(149, 0), unsigned(41, 1)]).unwrap();
        builder.push_record(&one, &[unsigned(1, 1)]).unwrap();
        let octets = finish(&mut builder, 0, 0);
        let ids: Vec<u16> = if protocol == Protocol::NetFlow9 {
            v9::Packet::parse(&octets).unwrap().flowsets().map(|set| set.unwrap().id()).collect()
        } else {
            ipfix::Message::parse(&octets).unwrap().sets().map(|set| set.unwrap().id()).collect()
        };
        let templates = if protocol == Protocol::NetFlow9 { [0, 1] } else { [2, 3] };
        assert_eq!(ids[..2], templates);
        assert_eq!(ids[2..], [300, 301, 302, 300]);
        // v9 counts them all.
        if protocol == Protocol::NetFlow9 {
            assert_eq!(octets[2..4], [0, 8]);
        }
    }
}

#[test]
fn padding_is_zero_and_shorter_than_a_record() {
    // E7, E13
    for protocol in [Protocol::NetFlow9, Protocol::Ipfix] {
        let header = if protocol == Protocol::NetFlow9 { 20 } else { 16 };
        for length in 1..=8u16 {
            for records in 1..=5u16 {
                let template = template(protocol, 300, &[field(1, length)]);
                let mut builder = PacketBuilder::with_protocol(protocol, 1_472);
                for _ in 0..records {
                    builder.push_record(&template, &[unsigned(1, 0xff)]).unwrap();
                }
                let octets = finish(&mut builder, 0, 0);
                let set = usize::from(u16::from_be_bytes([octets[header + 2], octets[header + 3]]));
                assert_eq!(set, octets.len() - header);
                let content = usize::from(4 + length * records);
                let padding = &octets[header + content..];
                assert!(padding.iter().all(|octet| *octet == 0));
                let aligned = content.next_multiple_of(4) - content;
                let expected = if aligned < usize::from(length) { aligned } else { 0 };
                assert_eq!(padding.len(), expected, "{records} of {length}");
            }
        }
        // A variable-length value may have one octet: nothing can be padded.
        if protocol == Protocol::Ipfix {
            let template = template(protocol, 300, &[FieldSpecifier::variable_length(ElementId::iana(96))]);
            let mut builder = PacketBuilder::ipfix(1_472);
            builder.push_record(&template, &[(ElementId::iana(96), FieldValue::String("ab"))]).unwrap();
            assert_eq!(finish(&mut builder, 0, 0).len(), 16 + 4 + 3);
        }
    }
}

#[test]
fn long_values_have_long_lengths() {
    // E15
    let element = ElementId::iana(313);
    let template = template(Protocol::Ipfix, 300, &[FieldSpecifier::variable_length(element)]);
    let value = vec![7; 65_536];
    let encode = |length: usize| {
        let mut octets = Vec::new();
        template.encode(&[(element, FieldValue::Octets(&value[..length]))], &mut octets).map(|()| octets)
    };
    assert_eq!(encode(0).unwrap(), [0]);
    assert_eq!(encode(254).unwrap()[..2], [254, 7]);
    assert_eq!(encode(255).unwrap()[..4], [255, 0, 255, 7]);
    assert_eq!(encode(256).unwrap()[..4], [255, 1, 0, 7]);
    assert_eq!(encode(65_535).unwrap()[..4], [255, 255, 255, 7]);
    let refused = EncodeError::ValueTooLarge { element: 313, length: 0xffff };
    assert_eq!(encode(65_536).unwrap_err(), refused);
}

#[test]
fn lists_have_long_lengths_and_come_back() {
    // E16
    let protocol = Protocol::Ipfix;
    let inner = template(protocol, 300, &[field(8, 4), FieldSpecifier::variable_length(ElementId::iana(96))]);
    let outer = template(
        protocol,
        301,
        &[291, 292, 293].map(|number| FieldSpecifier::variable_length(ElementId::iana(number))),
    );
    let mut basic = BasicListBuilder::new(ListSemantic::ALL_OF, field(14, 4)).unwrap();
    basic.push(FieldValue::Unsigned(7)).unwrap();
    let record = |name| [address(8, 1), (ElementId::iana(96), FieldValue::String(name))];
    let mut list = SubTemplateListBuilder::new(ListSemantic::ORDERED, &inner);
    list.push(&record("a")).unwrap();
    list.push(&record("bc")).unwrap();
    let mut multi = SubTemplateMultiListBuilder::new(ListSemantic::NONE_OF);
    multi.push(&inner, &record("d")).unwrap();
    multi.push(&inner, &record("e")).unwrap();
    let values = [
        (ElementId::iana(291), basic.value()),
        (ElementId::iana(292), list.value()),
        (ElementId::iana(293), multi.value()),
    ];
    let mut builder = PacketBuilder::ipfix(1_472);
    builder.push_template_record(&inner).unwrap();
    builder.push_template_record(&outer).unwrap();
    builder.push_record(&outer, &values).unwrap();
    let octets = finish(&mut builder, 0, 0);
    #[rustfmt::skip]
    let expected = [
        255, 0, 9, 3, 0, 14, 0, 4, 0, 0, 0, 7,
        255, 0, 16, 4, 1, 44, 192, 0, 2, 1, 1, b'a', 192, 0, 2, 1, 2, b'b', b'c',
        255, 0, 17, 0, 1, 44, 0, 16, 192, 0, 2, 1, 1, b'd', 192, 0, 2, 1, 1, b'e',
    ];
    // One octet of padding, which is shorter than three values of none.
    let start = octets.len() - expected.len() - 1;
    assert_eq!(octets[start..], [&expected[..], &[0]].concat());
    assert_eq!(octets[start - 4..start], [1, 45, 0, 5 + u8::try_from(expected.len()).unwrap()]);
    assert_eq!(encode_again(&octets, true), octets);
}

#[test]
fn withdrawals_have_four_octets() {
    // E22
    for (withdrawal, set, id) in [
        (Withdrawal::Template(300), 2, 300u16),
        (Withdrawal::OptionsTemplate(301), 3, 301),
        (Withdrawal::AllTemplates, 2, 2),
        (Withdrawal::AllOptionsTemplates, 3, 3),
    ] {
        let mut builder = PacketBuilder::ipfix(1_472);
        builder.push_withdrawal(withdrawal).unwrap();
        let octets = finish(&mut builder, 0, 0);
        let [high, low] = id.to_be_bytes();
        assert_eq!(octets[16..], [0, set, 0, 8, high, low, 0, 0]);
    }
    for (name, withdrawal) in [
        ("ipfix-withdraw-one", Withdrawal::Template(256)),
        ("ipfix-withdraw-all-templates", Withdrawal::AllTemplates),
        ("ipfix-withdraw-all-options", Withdrawal::AllOptionsTemplates),
    ] {
        let Some(expected) = vector(name) else { return };
        let header = ipfix::Message::parse(&expected).unwrap();
        let (sequence, domain) = (header.header().sequence(), header.header().observation_domain());
        let mut builder = PacketBuilder::ipfix(1_472);
        let withdrawal = match withdrawal {
            Withdrawal::Template(_) => Withdrawal::Template(u16::from_be_bytes([expected[20], expected[21]])),
            other => other,
        };
        builder.push_withdrawal(withdrawal).unwrap();
        assert_eq!(finish(&mut builder, sequence, domain), expected, "{name}");
    }
    let mut builder = PacketBuilder::new(1_472);
    assert_eq!(builder.push_withdrawal(Withdrawal::AllTemplates).unwrap_err(), EncodeError::Withdrawal);
    let mut builder = PacketBuilder::ipfix(1_472);
    let low = builder.push_withdrawal(Withdrawal::Template(255));
    assert_eq!(low.unwrap_err(), EncodeError::TemplateId(255));
    // Withdrawals and templates share no set.
    builder.push_template_record(&template(Protocol::Ipfix, 300, &[field(1, 8)])).unwrap();
    builder.push_withdrawal(Withdrawal::Template(301)).unwrap();
    builder.push_template_record(&template(Protocol::Ipfix, 302, &[field(1, 8)])).unwrap();
    let octets = finish(&mut builder, 0, 0);
    assert_eq!(ipfix::Message::parse(&octets).unwrap().sets().count(), 3);
}

#[test]
fn packets_never_exceed_their_limit() {
    // E24, E33: a record of every length into packets of several limits, up to the longest.
    let element = ElementId::iana(313);
    let protocol = Protocol::Ipfix;
    let template = template(protocol, 300, &[FieldSpecifier::variable_length(element)]);
    let value = vec![7; 70_000];
    for limit in [20, 24, 100, 484, 1_472, 65_535, 100_000] {
        let bound = limit.min(65_535);
        let mut builder = PacketBuilder::ipfix(limit);
        for length in (0..600).chain(65_400..65_540).chain([70_000]) {
            let record = [(element, FieldValue::Octets(&value[..length]))];
            let needed = 16 + 4 + length + if length < 255 { 1 } else { 3 };
            match builder.push_record(&template, &record) {
                Ok(()) => assert!(needed <= bound),
                Err(EncodeError::PacketFull) => {
                    assert!(needed <= bound && !builder.is_empty());
                    assert!(finish(&mut builder, 0, 0).len() <= bound);
                    builder.push_record(&template, &record).unwrap();
                }
                Err(EncodeError::TooLarge { needed: told, limit: of }) => {
                    assert_eq!((told, of), (needed, bound));
                    assert!(needed > bound);
                }
                Err(EncodeError::ValueTooLarge { .. }) => assert!(length > 65_535),
                Err(other) => panic!("{other}"),
            }
        }
        assert!(finish(&mut builder, 0, 0).len() <= bound);
    }
}

#[test]
fn a_push_that_fails_leaves_the_packet_as_it_was() {
    let one = template(Protocol::Ipfix, 300, &[field(1, 4)]);
    let layout = RecordLayout::new(301, &[field(27, 16)]).unwrap();
    let mut builder = PacketBuilder::ipfix(100);
    builder.push_record(&one, &[unsigned(1, 1)]).unwrap();
    let expected = finish(&mut builder.clone(), 0, 0);
    assert!(builder.push_record(&one, &[unsigned(1, 1 << 32)]).is_err());
    assert!(builder.push_record(&one, &[unsigned(2, 1)]).is_err());
    assert!(builder.push_flow(&layout, &FlowRecord::default(), Timestamp::ZERO).is_err());
    assert!(builder.push_encoded(&one, &[]).is_err() && builder.push_encoded(&one, &[0; 100]).is_err());
    assert!(
        builder.push_options_record(300, &[]).is_err() && builder.push_options_record(255, &[1]).is_err()
    );
    let foreign = template(Protocol::NetFlow9, 300, &[field(1, 4)]);
    assert_eq!(builder.push_template_record(&foreign).unwrap_err(), EncodeError::UnknownTemplate(300));
    assert_eq!(finish(&mut builder, 0, 0), expected);
}

#[test]
fn an_options_template_of_v9_is_not_one_of_ipfix() {
    let mut builder = PacketBuilder::ipfix(1_472);
    let refused = builder.push_options_template(257, &[(ScopeType::SYSTEM, 4)], &[field(34, 4)]);
    assert_eq!(refused.unwrap_err(), EncodeError::ScopeKind);
    assert!(builder.is_empty());
}
