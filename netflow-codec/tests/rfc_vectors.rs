//! The reference vectors, one test an entry; and octets written by hand.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use common::vectors::vector;
use netflow_codec::{
    Batch, CacheLimits, DecodeErrorKind, Decoder, ElementId, ExportClock, FieldSpecifier, FieldView,
    FlowFields, FlowRecord, Learned, PacketBuilder, PacketHeader, RecordLayout, ScopeType, Strictness,
    SysUptime, Timestamp, v5, v9,
};

fn millis(secs: u64, millis: u64) -> Timestamp {
    Timestamp::from_millis(secs * 1_000 + millis)
}

fn decode<'a>(decoder: &mut Decoder<u8>, datagram: &'a [u8]) -> Vec<Batch<'a>> {
    decoder.decode(&1, datagram, Timestamp::ZERO).unwrap().collect()
}

fn flows(datagram: &[u8]) -> Vec<FlowRecord> {
    let mut flows = Vec::new();
    for batch in decode(&mut Decoder::new(), datagram) {
        match batch {
            Batch::Fixed(records) => flows.extend(records.flows()),
            Batch::Data(records) => flows.extend(records.flows()),
            _ => {}
        }
    }
    flows
}

#[test]
fn v5_two_records() {
    // D1, D4, D8
    let Some(octets) = vector("v5-two-records") else { return };
    let packet = v5::Packet::parse(&octets).unwrap();
    let header = packet.header();
    assert_eq!((header.count(), header.sequence()), (2, 4_242));
    assert_eq!((header.engine_type(), header.engine_id()), (1, 7));
    assert_eq!((header.sampling().mode(), header.sampling().interval()), (1, 100));
    assert_eq!(header.clock().unix(), Timestamp::from_nanos(1_700_000_000_250_000_000));

    let first = packet.records().next().unwrap();
    assert_eq!(first.source().to_string(), "192.0.2.1");
    assert_eq!(first.destination().to_string(), "198.51.100.7");
    assert_eq!(first.next_hop().to_string(), "192.0.2.254");
    assert_eq!((first.ingress_interface(), first.egress_interface()), (3, 5));
    assert_eq!((first.packets(), first.octets()), (10, 1_234));
    assert_eq!((first.source_port(), first.destination_port()), (51_000, 443));
    assert_eq!((first.tcp_flags(), first.protocol(), first.tos()), (0x1b, 6, 0x10));
    assert_eq!((first.source_as(), first.destination_as()), (64_500, 64_501));
    assert_eq!((first.source_prefix_length(), first.destination_prefix_length()), (24, 16));

    let flows = flows(&octets);
    assert_eq!((flows[0].start, flows[0].end), (millis(1_699_999_990, 250), millis(1_699_999_995, 250)));
    assert_eq!((flows[1].start, flows[1].end), (millis(1_699_999_994, 250), millis(1_699_999_994, 250)));
    assert!(flows[0].has(FlowFields::SOURCE | FlowFields::TOS) && !flows[0].has(FlowFields::VLAN));
}

#[test]
fn v5_uptime_that_wrapped() {
    // D11
    let Some(octets) = vector("v5-uptime-wrapped") else { return };
    let flow = flows(&octets)[0];
    assert_eq!((flow.start, flow.end), (millis(1_699_999_990, 0), millis(1_699_999_998, 0)));
    let Some(octets) = vector("v5-wrap-inside-flow") else { return };
    let flow = flows(&octets)[0];
    assert_eq!((flow.start, flow.end), (millis(1_699_999_992, 0), millis(1_699_999_997, 0)));
}

#[test]
fn v5_last_packet_a_little_after_the_header() {
    // D12
    let Some(octets) = vector("v5-last-in-future") else { return };
    assert_eq!(flows(&octets)[0].end, millis(1_700_000_000, 50));
}

#[test]
fn v5_count_beyond_the_datagram() {
    // D5: strict rejects, lenient takes the whole record that is there.
    let Some(octets) = vector("v5-count-lies-long") else { return };
    let kind = DecodeErrorKind::RecordCount { announced: 2, available: 1 };
    assert_eq!(v5::Packet::parse(&octets).unwrap_err().kind, kind);
    let mut strict = Decoder::with_limits(CacheLimits::default(), Strictness::Rfc);
    let batches = decode(&mut strict, &octets);
    assert!(matches!(batches[..], [Batch::Malformed(error)] if error.kind == kind));
    let batches = decode(&mut Decoder::new(), &octets);
    let [Batch::Fixed(records), Batch::Malformed(error)] = &batches[..] else { panic!("{batches:?}") };
    assert_eq!((records.count(), error.kind), (1, kind));
}

#[test]
fn v5_octets_behind_the_records_are_tolerated_and_told() {
    // D6
    let Some(octets) = vector("v5-trailing-bytes") else { return };
    let packet = v5::Packet::parse(&octets).unwrap();
    assert_eq!((packet.records().len(), packet.trailing_octets()), (1, 8));
}

#[test]
fn v5_counts_of_none_and_of_more_than_thirty() {
    // D7
    for count in [0u16, 30, 31] {
        let mut octets = vec![0, 5];
        octets.extend(count.to_be_bytes());
        octets.resize(24 + 48 * usize::from(count), 0);
        assert_eq!(flows(&octets).len(), usize::from(count));
    }
}

#[test]
fn v1_one_record() {
    // D3
    let Some(octets) = vector("v1-one-record") else { return };
    let flow = flows(&octets)[0];
    assert_eq!(
        (flow.source.to_string(), flow.destination.to_string()),
        ("192.0.2.1".into(), "198.51.100.7".into())
    );
    assert_eq!((flow.ingress_interface, flow.egress_interface, flow.packets, flow.octets), (1, 2, 3, 180));
    assert_eq!((flow.source_port, flow.destination_port), (1_024, 80));
    assert_eq!((flow.protocol, flow.tos, flow.tcp_flags), (6, 0, 0x13));
    assert!(!flow.has(FlowFields::SOURCE_AS));
    assert_eq!((flow.start, flow.end), (millis(1_699_999_995, 100), millis(1_699_999_995, 200)));
}

#[test]
fn v7_one_record() {
    // D9, D10
    let Some(octets) = vector("v7-one-record") else { return };
    let flow = flows(&octets)[0];
    assert_eq!((flow.next_hop.to_string(), flow.packets, flow.octets), ("192.0.2.254".into(), 3, 180));
    assert_eq!((flow.protocol, flow.tcp_flags), (6, 0x13));
    let mut many = octets[..24].to_vec();
    many[3] = 28;
    for _ in 0..28 {
        many.extend_from_slice(&octets[24..]);
    }
    assert_eq!(flows(&many).len(), 28);
}

#[test]
fn v9_example_of_rfc_3954_section_11() {
    // D1, D15, E6, E10, E25
    let Some(octets) = vector("v9-rfc3954-s11") else { return };
    let mut decoder = Decoder::new();
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
    assert_eq!((template.id(), template.minimum_length()), (256, 20));
    assert_eq!((options.id(), options.scope_count(), options.is_options()), (257, 1, true));
    let flows: Vec<_> = data.flows().collect();
    assert_eq!(flows.len(), 3);
    assert_eq!(
        (flows[0].source.to_string(), flows[0].next_hop.to_string(), flows[0].packets, flows[0].octets),
        ("198.168.1.12".into(), "192.168.1.1".into(), 5_009, 5_344_385)
    );
    let values: Vec<Vec<_>> = records
        .iter()
        .map(|record| record.fields().map(|field| field.as_unsigned().unwrap()).collect())
        .collect();
    assert_eq!(values, [vec![1, 345, 10_201], vec![2, 690, 20_402]]);
    let first: Vec<FieldView<'_>> = records.iter().next().unwrap().fields().collect();
    assert_eq!((first[0].scope_type(), first[0].name()), (Some(ScopeType::LINE_CARD), Some("Line Card")));

    // The same packet from the encoder, octet for octet.
    let field = |number, length| FieldSpecifier::new(ElementId::iana(number), length);
    let layout =
        RecordLayout::new(256, &[field(8, 4), field(12, 4), field(15, 4), field(2, 4), field(1, 4)]).unwrap();
    let mut builder = PacketBuilder::new(1_472);
    builder.push_template(&layout).unwrap();
    for flow in &flows {
        builder.push_flow(&layout, flow, Timestamp::ZERO).unwrap();
    }
    builder.push_options_template(257, &[(ScopeType::LINE_CARD, 2)], &[field(41, 2), field(42, 2)]).unwrap();
    builder.push_options_record(257, &[0, 1, 0x01, 0x59, 0x27, 0xd9]).unwrap();
    builder.push_options_record(257, &[0, 2, 0x02, 0xb2, 0x4f, 0xb2]).unwrap();
    let header = v9::Packet::parse(&octets).unwrap();
    let mut encoded = Vec::new();
    builder.finish(&PacketHeader::new(header.header().clock(), 0x4d, 1), &mut encoded);
    assert_eq!(encoded, octets);
}

#[test]
fn v9_padding_is_not_a_record() {
    // D26, D28, E7
    let Some(mut octets) = vector("v9-data-padding") else { return };
    for padding in [0, 0xff] {
        octets[46..].fill(padding);
        let flows = flows(&octets);
        let seen: Vec<_> = flows.iter().map(|flow| (flow.protocol, flow.source_port)).collect();
        assert_eq!(seen, [(6, 80), (17, 53)]);
    }
    let field = |number, length| FieldSpecifier::new(ElementId::iana(number), length);
    let layout = RecordLayout::new(300, &[field(4, 1), field(7, 2)]).unwrap();
    let mut builder = PacketBuilder::new(1_472);
    let mut flow = FlowRecord::default();
    for (protocol, port) in [(6, 80), (17, 53)] {
        (flow.protocol, flow.source_port) = (protocol, port);
        builder.push_flow(&layout, &flow, Timestamp::ZERO).unwrap();
    }
    let mut encoded = Vec::new();
    builder.finish(&PacketHeader::new(ExportClock::default(), 0, 0), &mut encoded);
    assert_eq!(encoded[20..], [1, 44, 0, 12, 6, 0, 80, 17, 0, 53, 0, 0]);
}

#[test]
fn records_of_one_octet_are_not_padded() {
    // E13: padding of a record's size would read as a record.
    let layout = RecordLayout::new(300, &[FieldSpecifier::new(ElementId::iana(4), 1)]).unwrap();
    let mut builder = PacketBuilder::new(1_472);
    builder.push_template(&layout).unwrap();
    for _ in 0..3 {
        builder.push_flow(&layout, &FlowRecord::default(), Timestamp::ZERO).unwrap();
    }
    builder.push_template(&layout).unwrap();
    let mut encoded = Vec::new();
    builder.finish(&PacketHeader::new(ExportClock::default(), 0, 0), &mut encoded);
    assert_eq!(flows(&encoded).len(), 3);
    assert_eq!(decode(&mut Decoder::new(), &encoded).len(), 3);
}

#[test]
fn v9_scope_of_no_octets() {
    // D21, D22
    let Some(octets) = vector("v9-zero-length-scope") else { return };
    let mut decoder = Decoder::new();
    let batches = decode(&mut decoder, &octets);
    let [Batch::Template(..), Batch::Options(records)] = &batches[..] else { panic!("{batches:?}") };
    let fields: Vec<_> = records.iter().next().unwrap().fields().collect();
    assert!(fields[0].octets().is_empty());
    assert_eq!((fields[1].as_unsigned(), fields[2].as_unsigned()), (Some(2), Some(100)));
    // C23: and the rate applies to the domain's flows.
    let data = [&octets[..20], &[0, 0, 0, 12, 1, 44, 0, 1, 0, 4, 0, 1, 1, 44, 0, 5, 6]].concat();
    let mut parts = decoder.decode(&1, &data, Timestamp::ZERO).unwrap();
    let flow = loop {
        if let Some(Batch::Data(records)) = parts.next() {
            break records.flows().next().unwrap();
        }
    };
    assert_eq!(parts.sampling(&flow).unwrap().interval, 100);
}

#[test]
fn v9_sampler_table_of_a_cisco_router() {
    // C23, D54
    let Some(octets) = vector("v9-cisco-sampler-table") else { return };
    let mut decoder = Decoder::new();
    let batches = decode(&mut decoder, &octets);
    let Some(Batch::Options(records)) = batches.last() else { panic!("{batches:?}") };
    let fields: Vec<_> = records.iter().next().unwrap().fields().collect();
    let text: Vec<_> = fields.iter().map(|field| field.value().to_string()).collect();
    assert!(text.iter().any(|value| value == "sampler1"), "{text:?}");
    // Two samplers: the flow says which one selected it; one that nobody announced stays unknown.
    let template = [0, 0, 0, 16, 1, 44, 0, 2, 0, 48, 0, 4, 0, 4, 0, 1];
    let data = [&octets[..20], &template, &[1, 44, 0, 14, 0, 0, 0, 1, 6, 0, 0, 0, 9, 6]].concat();
    let mut parts = decoder.decode(&1, &data, Timestamp::ZERO).unwrap();
    let mut rates = Vec::new();
    while let Some(batch) = parts.next() {
        if let Batch::Data(records) = batch {
            for flow in records.flows() {
                rates.push(parts.sampling(&flow).map(|sampling| sampling.interval));
            }
        }
    }
    let announced =
        fields.iter().find(|field| field.element() == ElementId::SAMPLER_ID).unwrap().as_unsigned();
    let expected = if announced == Some(1) { Some(512) } else { None };
    assert_eq!(rates, [expected, None]);
}

#[test]
fn unsupported_versions_are_named_and_change_nothing() {
    // D2
    let mut decoder = Decoder::new();
    for version in (0..=u16::MAX).filter(|version| ![1, 5, 6, 7, 8, 9, 10].contains(version)) {
        let mut datagram = [0xa5; 64];
        datagram[..2].copy_from_slice(&version.to_be_bytes());
        let error = decoder.decode(&1, &datagram, Timestamp::ZERO).unwrap_err();
        assert_eq!(error.kind, DecodeErrorKind::UnsupportedVersion(version));
    }
    assert_eq!(decoder.cache().scope_count(), 0);
}

#[test]
fn sampling_word_splits_into_mode_and_interval() {
    // D8, E4, S22
    let split = |bits| {
        let header = v5::SamplingHeader::from_bits(bits);
        (header.mode(), header.interval())
    };
    assert_eq!((split(0x4064), split(0xbfff), split(0)), ((1, 100), (2, 16_383), (0, 0)));
    assert_eq!(v5::SamplingHeader::new(2, 16_383).unwrap().bits(), 0xbfff);
    assert!(v5::SamplingHeader::new(1, 16_384).is_err());
}

#[test]
fn uptime_and_wall_clock_translate_both_ways_across_the_wrap() {
    // D11, D12
    let unix = Timestamp::from_secs(1_700_000_000);
    for uptime in [0, 1, 99_999, 100_001, 0x7fff_ffff, 0x8000_0000, u32::MAX - 1, u32::MAX] {
        let clock = ExportClock::new(unix, SysUptime::from_millis(uptime));
        for age in [0u32, 1, 1_000, 0x7fff_ffff, 0x8000_0000, u32::MAX - 100_000] {
            let then = SysUptime::from_millis(uptime.wrapping_sub(age));
            let time = clock.to_timestamp(then);
            assert_eq!(unix.as_millis() - time.as_millis(), u64::from(age));
            assert_eq!(clock.to_uptime(time), then);
        }
        let ahead = SysUptime::from_millis(uptime.wrapping_add(99_999));
        assert_eq!(clock.to_timestamp(ahead).as_millis() - unix.as_millis(), 99_999);
    }
}
