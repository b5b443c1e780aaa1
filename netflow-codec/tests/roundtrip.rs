//! What is encoded is decoded again.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use core::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use netflow_codec::{
    Batch, Decoder, ElementId, ExportSession, ExportVersion, FieldSpecifier, FlowFields, FlowRecord,
    MplsLabels, SamplingAlgorithm, SamplingInfo, SamplingSource, SessionConfig, Timestamp, v5, v9,
};
use proptest::prelude::*;

const BOOT: u64 = 1_700_000_000_000;
/// Flows lie within the 49.7 days that uptimes tell apart.
const SPAN: u64 = 40 * 24 * 3_600 * 1_000;

fn flow(ipv6: bool) -> impl Strategy<Value = FlowRecord> {
    let addresses = (any::<[u128; 3]>(), prop::collection::vec(any::<[u8; 3]>(), 0..=10));
    let counters = (any::<u64>(), any::<u64>(), 0..SPAN, 0..SPAN);
    let numbers = (any::<[u32; 4]>(), any::<[u16; 4]>(), any::<[u8; 6]>(), 0u32..1 << 20);
    (addresses, counters, numbers).prop_map(move |((addresses, labels), counters, numbers)| {
        let [source, destination, next_hop] = addresses.map(|bits| {
            if ipv6 {
                IpAddr::V6(Ipv6Addr::from_bits(bits))
            } else {
                IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(bits & 0xffff_ffff).unwrap()))
            }
        });
        let (octets, packets, start, length) = counters;
        let ([ingress, egress, source_as, destination_as], [sport, dport, vlan, icmp], small, label) =
            numbers;
        let mut flow = FlowRecord::default();
        (flow.source, flow.destination, flow.next_hop) = (source, destination, next_hop);
        (flow.octets, flow.packets) = (octets, packets);
        flow.start = Timestamp::from_millis(BOOT + start);
        flow.end = Timestamp::from_millis((BOOT + start + length).min(BOOT + SPAN));
        (flow.ingress_interface, flow.egress_interface) = (ingress, egress);
        (flow.source_as, flow.destination_as) = (source_as, destination_as);
        (flow.source_port, flow.destination_port, flow.vlan, flow.icmp_type_code) =
            (sport, dport, vlan, icmp);
        [
            flow.protocol,
            flow.tos,
            flow.source_prefix_length,
            flow.destination_prefix_length,
            flow.flow_end_reason,
            _,
        ] = small;
        flow.tcp_flags = small[5].into();
        flow.ipv6_flow_label = if ipv6 { label } else { 0 };
        let mut stack = MplsLabels::EMPTY;
        for (position, label) in labels.iter().enumerate() {
            stack.set(position, *label);
        }
        flow.mpls_labels = stack;
        flow
    })
}

fn any_flow() -> impl Strategy<Value = FlowRecord> {
    any::<bool>().prop_flat_map(flow)
}

/// Runs flows through a session; the datagrams.
fn export(session: &mut ExportSession, flows: &[FlowRecord], now: Timestamp) -> Vec<Vec<u8>> {
    let mut datagrams = Vec::new();
    let drain = |session: &mut ExportSession, datagrams: &mut Vec<Vec<u8>>| {
        let mut datagram = Vec::new();
        while let Some(octets) = session.poll_transmit(&mut datagram) {
            assert_eq!(octets, datagram.len());
            datagrams.push(core::mem::take(&mut datagram));
        }
    };
    for flow in flows {
        let _refused = session.handle_flow(flow, now);
        drain(session, &mut datagrams);
    }
    session.flush(now);
    drain(session, &mut datagrams);
    datagrams
}

fn decode(datagrams: &[Vec<u8>]) -> Vec<FlowRecord> {
    let mut decoder = Decoder::new();
    let mut flows = Vec::new();
    for datagram in datagrams {
        for batch in decoder.decode(&0, datagram, Timestamp::ZERO).unwrap() {
            match batch {
                Batch::Fixed(records) => flows.extend(records.flows()),
                Batch::Data(records) => flows.extend(records.flows()),
                Batch::Template(..) | Batch::Options(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
    flows
}

fn without_fields(mut flow: FlowRecord) -> FlowRecord {
    flow.fields = FlowFields::NONE;
    flow
}

fn session(version: ExportVersion) -> ExportSession {
    ExportSession::new(SessionConfig::new(version, Timestamp::from_millis(BOOT))).unwrap()
}

const NOW: Timestamp = Timestamp::from_millis(BOOT + SPAN);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn v9_flows_come_back_as_they_were(flows in prop::collection::vec(any_flow(), 0..120)) {
        // E26, E34, E35
        let datagrams = export(&mut session(ExportVersion::V9), &flows, NOW);
        let back: Vec<_> = decode(&datagrams).into_iter().map(without_fields).collect();
        prop_assert_eq!(back, flows);
        prop_assert!(datagrams.iter().all(|datagram| datagram.len() <= 1_472));
    }

    #[test]
    fn v5_flows_come_back_in_their_sums(flows in prop::collection::vec(flow(false), 0..80)) {
        // E1, E26, E34, E35
        let flows: Vec<_> = flows.into_iter().map(|mut flow| {
            flow.octets >>= 30;
            flow.packets >>= 32;
            flow.protocol = 6;
            flow
        }).collect();
        let datagrams = export(&mut session(ExportVersion::V5), &flows, NOW);
        let back = decode(&datagrams);
        let sum = |flows: &[FlowRecord]| flows.iter().map(|f| (f.octets, f.packets)).fold((0u64, 0u64), |a, b| (a.0 + b.0, a.1 + b.1));
        prop_assert_eq!(sum(&back), sum(&flows));
        let mut sequence = 0u32;
        for datagram in &datagrams {
            let packet = v5::Packet::parse(datagram).unwrap();
            prop_assert!((1..=30).contains(&packet.records().len()));
            prop_assert_eq!(packet.trailing_octets(), 0);
            prop_assert_eq!(packet.header().sequence(), sequence);
            sequence += u32::from(packet.header().count());
        }
        let mut parts = back.iter();
        for flow in &flows {
            let part = parts.next().unwrap();
            prop_assert_eq!((part.source, part.destination, part.next_hop), (flow.source, flow.destination, flow.next_hop));
            prop_assert_eq!((part.start, part.end), (flow.start, flow.end));
            prop_assert_eq!((part.source_port, part.destination_port), (flow.source_port, flow.destination_port));
            for _ in 1..v5::PacketBuilder::records_for(flow) {
                parts.next();
            }
        }
    }
}

#[test]
fn templates_come_first_and_again_by_packets_and_by_time() {
    // X1, X2, X5, X15, E23
    let mut config = SessionConfig::new(ExportVersion::V9, Timestamp::from_millis(BOOT));
    config.template_refresh_packets = Some(3);
    config.template_refresh = Some(Duration::from_secs(60));
    config.first_sequence = u32::MAX - 1;
    let mut session = ExportSession::new(config).unwrap();
    let flow = FlowRecord::default();
    let mut with_templates = Vec::new();
    let mut sequences = Vec::new();
    let mut now = Timestamp::from_millis(BOOT + 1_000);
    for step in 0..8 {
        if step == 7 {
            now = now.saturating_add(Duration::from_secs(60));
        }
        for datagram in export(&mut session, &[flow], now) {
            let packet = v9::Packet::parse(&datagram).unwrap();
            sequences.push(packet.header().sequence());
            let flowsets: Vec<u16> = packet.flowsets().map(|flowset| flowset.unwrap().id()).collect();
            with_templates.push(flowsets[0] == 0);
        }
    }
    assert_eq!(with_templates, [true, false, false, true, false, false, true, true]);
    assert_eq!(sequences[..3], [u32::MAX - 1, u32::MAX, 0]);
    // Without flows, time alone brings the templates.
    let due = session.poll_timeout().unwrap();
    assert_eq!(due, now.saturating_add(Duration::from_secs(60)));
    session.handle_timeout(due);
    session.handle_timeout(due.saturating_add(Duration::from_secs(1)));
    let mut datagram = Vec::new();
    assert!(session.poll_transmit(&mut datagram).is_some());
    let packet = v9::Packet::parse(&datagram).unwrap();
    assert!(packet.flowsets().all(|flowset| flowset.unwrap().id() == 0));
}

#[test]
fn templates_that_fill_several_packets_do_not_starve_data() {
    // X5, E24: packets have room for one template and hardly more, and the sampling options come first.
    let mut config = SessionConfig::new(ExportVersion::V9, Timestamp::from_millis(BOOT));
    config.sampling = SamplingInfo::new(100, SamplingAlgorithm::RANDOM, SamplingSource::Domain);
    config.max_datagram = 180;
    config.template_refresh_packets = Some(2);
    let mut session = ExportSession::new(config).unwrap();
    let flows = vec![FlowRecord::default(); 50];
    let datagrams = export(&mut session, &flows, NOW);
    assert!(datagrams.iter().all(|datagram| datagram.len() <= 180));
    assert_eq!(decode(&datagrams).len(), 50);
}

#[test]
fn every_size_of_datagram_is_refused_or_does_the_job() {
    // E24
    let mut flow = FlowRecord::default();
    flow.mpls_labels.set(0, [0, 1, 1]);
    for max_datagram in 0..400 {
        for sampling in [None, SamplingInfo::new(100, SamplingAlgorithm::RANDOM, SamplingSource::Domain)] {
            for version in [ExportVersion::V5, ExportVersion::V9, ExportVersion::Ipfix] {
                let mut config = SessionConfig::new(version, Timestamp::from_millis(BOOT));
                (config.max_datagram, config.sampling) = (max_datagram, sampling);
                let Ok(mut session) = ExportSession::new(config) else { continue };
                let datagrams = export(&mut session, &[flow, FlowRecord::default()], NOW);
                assert_eq!(decode(&datagrams).len(), 2, "{max_datagram}");
                assert!(
                    datagrams.len() < 20 && datagrams.iter().all(|datagram| datagram.len() <= max_datagram)
                );
            }
        }
    }
}

#[test]
fn a_flow_that_is_refused_leaves_nothing_unsent() {
    let mut session = session(ExportVersion::V9);
    let mut flow = FlowRecord::default();
    flow.source = IpAddr::V6(Ipv6Addr::LOCALHOST);
    assert!(session.handle_flow(&flow, NOW).is_err(), "the destination is of the other family");
    session.flush(NOW);
    let mut datagram = Vec::new();
    assert!(session.poll_transmit(&mut datagram).is_some());
    let packet = v9::Packet::parse(&datagram).unwrap();
    assert!(packet.flowsets().all(|flowset| flowset.unwrap().id() == 0));
}

#[test]
fn uptimes_wrap_and_are_read_back() {
    // E34: the exporter has been up for 60 days.
    let now = Timestamp::from_millis(BOOT + 60 * 24 * 3_600 * 1_000);
    let ago = |days: u64| Timestamp::from_millis(now.as_millis() - days * 24 * 3_600 * 1_000);
    for version in [ExportVersion::V5, ExportVersion::V9, ExportVersion::Ipfix] {
        // Across the wrap at 49.7 days, and before it.
        for (start, end) in [(ago(12), ago(8)), (ago(30), ago(29)), (ago(1), now)] {
            let mut flow = FlowRecord::default();
            (flow.start, flow.end) = (start, end);
            let back = decode(&export(&mut session(version), &[flow], now));
            assert_eq!((back[0].start, back[0].end), (start, end), "{version:?}");
        }
    }
}

#[test]
fn a_flow_waits_no_longer_than_the_delay() {
    // X20
    let mut session = session(ExportVersion::V9);
    let now = Timestamp::from_millis(BOOT + 5_000);
    session.handle_flow(&FlowRecord::default(), now).unwrap();
    let mut datagram = Vec::new();
    assert_eq!(session.poll_transmit(&mut datagram), None);
    let due = session.poll_timeout().unwrap();
    assert_eq!(due, now.saturating_add(Duration::from_secs(1)));
    session.handle_timeout(due);
    assert!(session.poll_transmit(&mut datagram).is_some());
    assert_eq!(decode(&[datagram]).len(), 1);
}

#[test]
fn sampling_is_announced_and_read_back() {
    // X6, X23, S22, C23
    let sampling = SamplingInfo::new(1_000, SamplingAlgorithm::RANDOM, SamplingSource::Domain).unwrap();
    for version in [ExportVersion::V5, ExportVersion::V9, ExportVersion::Ipfix] {
        let mut config = SessionConfig::new(version, Timestamp::from_millis(BOOT));
        config.sampling = Some(sampling);
        let mut session = ExportSession::new(config.clone()).unwrap();
        let datagrams = export(&mut session, &[FlowRecord::default()], NOW);
        let mut decoder = Decoder::new();
        let mut parts = decoder.decode(&0, &datagrams[0], Timestamp::ZERO).unwrap();
        let mut seen = None;
        while let Some(batch) = parts.next() {
            let flow = match batch {
                Batch::Fixed(records) => records.flows().next(),
                Batch::Data(records) => records.flows().next(),
                _ => None,
            };
            if let Some(flow) = flow {
                seen = parts.sampling(&flow).map(|sampling| (sampling.interval, sampling.algorithm));
            }
        }
        assert_eq!(seen, Some((1_000, SamplingAlgorithm::RANDOM)));
    }
    let mut config = SessionConfig::new(ExportVersion::V5, Timestamp::ZERO);
    config.sampling = SamplingInfo::new(16_384, SamplingAlgorithm::RANDOM, SamplingSource::Domain);
    assert!(ExportSession::new(config).is_err(), "E4");
}

#[test]
fn what_v5_cannot_carry_is_refused_or_narrowed() {
    // E2, E3, E5, M8
    let mut builder = v5::PacketBuilder::new(30, Timestamp::from_millis(BOOT));
    let mut flow = FlowRecord::default();
    flow.source = IpAddr::V6(Ipv6Addr::LOCALHOST);
    assert!(builder.push_flow(&flow, 0).is_err());
    assert_eq!(builder.count(), 0);
    let mut session = session(ExportVersion::V5);
    assert!(session.handle_flow(&flow, NOW).is_err());
    assert_eq!((session.stats().refused, session.stats().flows), (1, 0));

    flow.source = IpAddr::V4(Ipv4Addr::LOCALHOST);
    (flow.source_as, flow.destination_as) = (65_535, 65_536);
    (flow.ingress_interface, flow.egress_interface) = (65_535, 65_536);
    (flow.protocol, flow.icmp_type_code) = (1, 8 << 8);
    flow.octets = 4_587_450_000;
    flow.packets = 3_000_001;
    let back = decode(&export(&mut session, &[flow], NOW));
    assert_eq!(back.len(), 2);
    assert_eq!((back[0].source_as, back[0].destination_as), (65_535, 23_456));
    assert_eq!((back[0].ingress_interface, back[0].egress_interface), (65_535, 0));
    assert_eq!(back[0].destination_port, 0x0800);
    assert_eq!(back[0].octets + back[1].octets, flow.octets);
    assert_eq!(back[0].packets + back[1].packets, flow.packets);
}

#[test]
fn layouts_that_v9_cannot_express_are_refused() {
    // E8, E9, E19
    let field = |number, length| FieldSpecifier::new(ElementId::iana(number), length);
    let layout = |fields: &[FieldSpecifier]| netflow_codec::RecordLayout::new(256, fields).is_ok();
    assert!(netflow_codec::RecordLayout::new(255, &[field(8, 4)]).is_err());
    assert!(!layout(&[field(8, 3)]));
    assert!(!layout(&[field(1, 0)]));
    assert!(!layout(&[field(1, 9)]));
    assert!(!layout(&[field(82, 0xffff)]));
    assert!(!layout(&[]));
    assert!(!layout(&[field(27, 16); 16]));
    assert!(layout(&[field(27, 16); 15]));

    let mut builder = netflow_codec::PacketBuilder::new(1_472);
    assert!(
        builder.push_options_record(255, &[1]).is_err() && builder.push_options_record(256, &[]).is_err()
    );
    let wide = netflow_codec::RecordLayout::new(256, &[field(6, 2)]).unwrap();
    let mut flow = FlowRecord::default();
    flow.tcp_flags = 0x1ff;
    builder.push_flow(&wide, &flow, Timestamp::ZERO).unwrap();
    let mut octets = Vec::new();
    builder
        .finish(&netflow_codec::PacketHeader::new(netflow_codec::ExportClock::default(), 0, 0), &mut octets);
    assert_eq!(octets[24..26], [0x01, 0xff]);

    let narrow = netflow_codec::RecordLayout::new(256, &[field(2, 4), field(1, 4)]).unwrap();
    let mut builder = netflow_codec::PacketBuilder::new(1_472);
    let mut flow = FlowRecord::default();
    flow.octets = u64::from(u32::MAX);
    builder.push_flow(&narrow, &flow, Timestamp::ZERO).unwrap();
    flow.octets += 1;
    let error = builder.push_flow(&narrow, &flow, Timestamp::ZERO).unwrap_err();
    assert_eq!(error, netflow_codec::EncodeError::ValueTooLarge { element: 1, length: 4 });
    assert_eq!(builder.data_records(), 1);
}
