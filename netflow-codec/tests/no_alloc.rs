//! In steady state a datagram is decoded, and one is encoded, without an allocation.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

#[path = "common/counting.rs"]
mod counting;

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netflow_codec::{
    Batch, DataType, Decoder, ElementId, ElementInfo, ElementRegistry, Elements, ExportClock, ExportSession,
    ExportVersion, FieldSpecifier, FieldValue, FieldView, FlowColumns, FlowRecord, InterfaceName,
    OptionsData, Projection, Protocol, SamplingAlgorithm, SamplingInfo, SamplingSource, SessionConfig,
    TemplateBuilder, Timestamp,
};

fn allocations(work: impl FnOnce()) -> u64 {
    let before = counting::so_far();
    work();
    counting::so_far() - before
}

fn flow(number: u32) -> FlowRecord {
    let mut flow = FlowRecord::default();
    flow.source = IpAddr::V4(Ipv4Addr::from_bits(number));
    if number.is_multiple_of(5) {
        flow.source = IpAddr::V6(Ipv6Addr::from_bits(number.into()));
        flow.destination = IpAddr::V6(Ipv6Addr::LOCALHOST);
    }
    flow.octets = number.into();
    flow
}

const BOOT: Timestamp = Timestamp::from_secs(1_700_000_000);
const NOW: Timestamp = Timestamp::from_secs(1_700_000_100);

fn session(version: ExportVersion) -> ExportSession {
    let mut config = SessionConfig::new(version, BOOT);
    config.sampling = SamplingInfo::new(100, SamplingAlgorithm::DETERMINISTIC, SamplingSource::Domain);
    config.statistics = true;
    ExportSession::new(config).unwrap()
}

/// Feeds flows; each datagram is shown to `see` and its buffer used again.
fn run(
    session: &mut ExportSession,
    flows: &[FlowRecord],
    datagram: &mut Vec<u8>,
    mut see: impl FnMut(&[u8]),
) {
    for flow in flows {
        let _refused_by_v5 = session.handle_flow(flow, NOW);
        while session.poll_transmit(datagram).is_some() {
            see(datagram);
            datagram.clear();
        }
    }
}

#[test]
fn the_allocator_counts() {
    assert!(allocations(|| drop(vec![0u8; 100])) > 0);
}

#[test]
fn encoding_does_not_allocate() {
    let flows: Vec<_> = (0..5_000).map(flow).collect();
    for version in [ExportVersion::V5, ExportVersion::V9, ExportVersion::Ipfix] {
        let mut datagram = Vec::with_capacity(1_472);
        let mut datagrams = 0;
        let mut session = session(version);
        let counted = allocations(|| run(&mut session, &flows, &mut datagram, |_| datagrams += 1));
        assert!(datagrams > 100);
        assert_eq!(counted, 0, "{version:?}");
    }
}

#[test]
fn encoding_records_of_any_template_does_not_allocate() {
    let name = ElementId::iana(82);
    for (version, protocol) in
        [(ExportVersion::V9, Protocol::NetFlow9), (ExportVersion::Ipfix, Protocol::Ipfix)]
    {
        let mut session = session(version);
        let text = if version == ExportVersion::V9 {
            FieldSpecifier::new(name, 16)
        } else {
            FieldSpecifier::variable_length(name)
        };
        let octets = FieldSpecifier::new(ElementId::OCTET_DELTA_COUNT, 8);
        let template = TemplateBuilder::new(protocol, 400).field(text).field(octets).build().unwrap();
        session.add_template(template, NOW).unwrap();
        let names = [InterfaceName { index: 1, name: "eth0", description: "uplink" }];
        let options = OptionsData::interface_names(protocol, 401, &names).unwrap();
        session.set_options(options, NOW).unwrap();
        let mut datagram = Vec::with_capacity(1_472);
        let mut datagrams = 0;
        let mut export = |session: &mut ExportSession, number: u64| {
            let record = [
                (name, FieldValue::String("eth0")),
                (ElementId::OCTET_DELTA_COUNT, FieldValue::Unsigned(number)),
            ];
            session.handle_record(400, &record, NOW).unwrap();
            while session.poll_transmit(&mut datagram).is_some() {
                datagrams += 1;
                datagram.clear();
            }
        };
        export(&mut session, 0);
        let counted = allocations(|| (0..5_000).for_each(|number| export(&mut session, number)));
        assert!(datagrams > 40, "{datagrams}");
        assert_eq!(counted, 0, "{version:?}");
    }
}

#[test]
fn decoding_does_not_allocate_templates_announced_again_included() {
    // T27
    let flows: Vec<_> = (0..5_000).map(flow).collect();
    for version in [ExportVersion::V5, ExportVersion::V9, ExportVersion::Ipfix] {
        let mut datagrams = Vec::new();
        run(&mut session(version), &flows, &mut Vec::new(), |octets| datagrams.push(octets.to_vec()));
        let mut decoder = Decoder::new();
        let mut columns = FlowColumns::new(FlowColumns::ALL);
        let mut projection = Projection::new([ElementId::OCTET_DELTA_COUNT, ElementId::FLOW_LABEL_IPV6]);
        let mut decode = |datagram: &[u8]| {
            let mut octets = 0;
            for batch in decoder.decode(&7u32, datagram, NOW).unwrap() {
                match batch {
                    Batch::Fixed(records) => records.for_each_flow(|flow| octets += flow.octets),
                    Batch::Data(records) => {
                        records.for_each_flow(|flow| octets += flow.octets);
                        octets += records.flows().map(|flow| flow.octets).sum::<u64>();
                        octets += records.iter().map(|record| record.fields().count() as u64).sum::<u64>();
                        columns.clear();
                        columns.extend(&records);
                        octets += columns.octets().iter().sum::<u64>();
                        octets += projection.of(&records).map(|row| row.values()[0]).sum::<u64>();
                    }
                    _ => {}
                }
            }
            octets
        };
        // The columns have room for the rows of a whole datagram then.
        assert!(datagrams.iter().take(3).map(|datagram| decode(datagram)).sum::<u64>() > 0);
        let mut octets = 0;
        let counted = allocations(|| octets = datagrams.iter().map(|datagram| decode(datagram)).sum());
        assert!(octets > 1_000_000 && datagrams.len() > 100);
        assert_eq!(counted, 0, "{version:?}");
    }
}

#[test]
fn reading_values_and_lists_does_not_allocate() {
    // A list of two lists, a time, a name of an enterprise's element, an unknown one.
    let list = [3, 1, 35, 255, 255, 7, 3, 0, 14, 0, 1, 5, 6, 6, 4, 0, 14, 0, 1, 9];
    let fields = [
        FieldView::new(ElementId::iana(291), &list),
        FieldView::new(ElementId::iana(154), &[0; 8]),
        FieldView::new(ElementId::new(6_871, 18), b"payload"),
        FieldView::new(ElementId::new(32_473, 7), &[1]),
        FieldView::new(ElementId::iana(515), &[1; 32]),
    ];
    let mut registry = ElementRegistry::new();
    registry.define(ElementId::new(32_473, 7), ElementInfo::new("own", DataType::Unsigned8)).unwrap();
    let elements = Elements::default().with_defined(&registry);
    let clock = ExportClock::without_uptime(NOW);
    let mut leaves = 0;
    let counted = allocations(|| {
        for field in &fields {
            assert!(field.name_with(&elements).is_some());
            match field.value_with(&elements, &clock) {
                FieldValue::BasicList(list) => {
                    for inner in &list {
                        let FieldValue::BasicList(inner) = inner.value() else { continue };
                        leaves += inner.iter().filter_map(|value| value.as_unsigned()).sum::<u64>();
                    }
                }
                FieldValue::Octets(_) => {}
                _ => leaves += 100,
            }
        }
        assert_eq!(ElementId::from_name("reverseOctetDeltaCount"), ElementId::OCTET_DELTA_COUNT.reverse());
    });
    assert_eq!((leaves, counted), (5 + 6 + 9 + 300, 0));
}
