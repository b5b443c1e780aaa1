//! Sessions of IPFIX, and what users add to those of v9 and IPFIX: sequence numbers, templates, what is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use core::time::Duration;

use common::sessions::{
    NOW, config, drain, export, field, flush, own_record, own_template, session, sets, strict,
};
use netflow_codec::{
    Batch, ElementId, EncodeError, ExportSession, ExportTransport, ExportVersion, FieldSpecifier, FieldValue,
    FlowRecord, InterfaceName, OptionsData, Protocol, SamplingAlgorithm, SamplingInfo, SamplingSource,
    TemplateBuilder, Transport, ipfix, v5,
};

/// The sequence number of a message.
fn sequence(datagram: &[u8]) -> u32 {
    ipfix::Message::parse(datagram).unwrap().header().sequence()
}

#[test]
fn sequence_numbers_count_data_records_those_of_options_included() {
    // E11, X15: near the wrap.
    let mut config = config(ExportVersion::Ipfix);
    config.first_sequence = u32::MAX - 2;
    config.sampling = SamplingInfo::new(10, SamplingAlgorithm::RANDOM, SamplingSource::Domain);
    config.template_refresh_packets = Some(2);
    let mut session = ExportSession::new(config).unwrap();
    let flow = FlowRecord::default();
    let mut expected = u32::MAX - 2;
    let mut decoder = strict();
    let mut options = 0;
    for round in 0..6 {
        for datagram in export(&mut session, &vec![flow; round % 3 + 1], NOW) {
            assert_eq!(sequence(&datagram), expected);
            for batch in decoder.decode(&1, &datagram, NOW).unwrap() {
                match batch {
                    Batch::Data(records) => {
                        expected = expected.wrapping_add(u32::try_from(records.count()).unwrap());
                    }
                    Batch::Options(records) => {
                        options += records.count();
                        expected = expected.wrapping_add(u32::try_from(records.count()).unwrap());
                    }
                    Batch::Template(..) => {}
                    other => panic!("{other:?}"),
                }
            }
        }
    }
    assert!(options == 3 && expected < u32::MAX - 2, "{options} {expected}");
    assert_eq!(session.stats().options_records, 3);
}

#[test]
fn templates_come_first_and_again_over_datagrams() {
    // E23, X1, X3, X5
    let mut config = config(ExportVersion::Ipfix);
    config.template_refresh_packets = Some(3);
    config.template_refresh = Some(Duration::from_secs(60));
    let mut session = ExportSession::new(config).unwrap();
    let mut now = NOW;
    let mut with_templates = Vec::new();
    for step in 0..8 {
        if step == 7 {
            now = now.saturating_add(Duration::from_secs(60));
        }
        for datagram in export(&mut session, &[FlowRecord::default()], now) {
            with_templates.push(sets(&datagram)[0] == 2);
        }
    }
    assert_eq!(with_templates, [true, false, false, true, false, false, true, true]);
}

#[test]
fn over_a_stream_templates_come_once() {
    let mut config = config(ExportVersion::Ipfix);
    config.transport = ExportTransport::Stream;
    config.max_datagram = 65_535;
    let mut session = ExportSession::new(config).unwrap();
    let mut now = NOW;
    let mut templates = 0;
    for _ in 0..100 {
        now = now.saturating_add(Duration::from_secs(3_600));
        for message in export(&mut session, &[FlowRecord::default()], now) {
            templates += sets(&message).iter().filter(|id| **id == 2).count();
        }
    }
    assert_eq!(templates, 1);
    assert_eq!(session.poll_timeout(), None);
    assert_eq!(session.stats().template_rounds, 1);
}

#[test]
fn withdrawals_are_for_streams() {
    // E22, X11, X12
    let datagrams = session(ExportVersion::Ipfix).withdraw_template(400, NOW);
    assert_eq!(datagrams.unwrap_err(), EncodeError::Withdrawal);
    assert_eq!(session(ExportVersion::V9).withdraw_template(400, NOW).unwrap_err(), EncodeError::Withdrawal);

    let mut config = config(ExportVersion::Ipfix);
    config.transport = ExportTransport::Stream;
    let mut session = ExportSession::new(config).unwrap();
    let unknown = session.withdraw_template(400, NOW).unwrap_err();
    assert_eq!(unknown, EncodeError::UnknownTemplate(400));
    session.add_template(own_template(Protocol::Ipfix, 400), NOW).unwrap();
    session.handle_record(400, &own_record(1), NOW).unwrap();
    session.withdraw_template(400, NOW).unwrap();
    let gone = session.handle_record(400, &own_record(2), NOW).unwrap_err();
    assert_eq!(gone, EncodeError::UnknownTemplate(400));
    // The id is free for another meaning.
    let other = TemplateBuilder::new(Protocol::Ipfix, 400).field(field(2, 4)).build().unwrap();
    session.add_template(other, NOW).unwrap();
    session.handle_record(400, &[(ElementId::iana(2), FieldValue::Unsigned(3))], NOW).unwrap();
    let messages = flush(&mut session, NOW);
    let mut decoder = strict().over(Transport::Stream);
    let mut seen = Vec::new();
    for message in &messages {
        for batch in decoder.decode(&1, message, NOW).unwrap() {
            match batch {
                Batch::Data(records) => {
                    let elements: Vec<_> =
                        records.template().fields().iter().map(|field| field.element.number()).collect();
                    seen.push(elements);
                }
                Batch::Malformed(error) => panic!("{error}"),
                _ => {}
            }
        }
    }
    assert_eq!(seen, [vec![8, 1], vec![2]]);
    let ids: Vec<_> = messages.iter().flat_map(|message| sets(message)).collect();
    assert_eq!(ids, [2, 400, 2, 2, 400], "templates, data, withdrawal, template, data");
}

#[test]
fn options_are_withdrawn_as_options() {
    // E22: while the announcements take several messages.
    let mut config = config(ExportVersion::Ipfix);
    config.transport = ExportTransport::Stream;
    config.max_datagram = 200;
    let mut session = ExportSession::new(config).unwrap();
    session.set_options(OptionsData::vrf_names(Protocol::Ipfix, 400, &[(1, "red")]).unwrap(), NOW).unwrap();
    assert_eq!(session.withdraw_template(400, NOW).unwrap_err(), EncodeError::TransmitPending);
    flush(&mut session, NOW);
    session.withdraw_template(400, NOW).unwrap();
    let sent = flush(&mut session, NOW);
    assert!(sent.iter().any(|message| message.ends_with(&[0, 3, 0, 8, 1, 144, 0, 0])), "{sent:?}");
}

#[test]
fn records_of_the_users_templates_are_announced_packed_and_come_back() {
    // E23, E26
    for version in [ExportVersion::V9, ExportVersion::Ipfix] {
        let protocol = if version == ExportVersion::V9 { Protocol::NetFlow9 } else { Protocol::Ipfix };
        let mut session = session(version);
        session.add_template(own_template(protocol, 400), NOW).unwrap();
        let mut datagrams = drain(&mut session);
        for octets in 0..1_000 {
            session.handle_record(400, &own_record(octets), NOW).unwrap();
            datagrams.extend(drain(&mut session));
            if octets % 10 == 0 {
                session.handle_flow(&FlowRecord::default(), NOW).unwrap();
                datagrams.extend(drain(&mut session));
            }
        }
        datagrams.extend(flush(&mut session, NOW));
        assert_eq!((session.stats().flows, session.stats().refused), (1_100, 0));
        let mut decoder = strict();
        let mut next = 0;
        for datagram in &datagrams {
            assert!(datagram.len() <= 1_472);
            for batch in decoder.decode(&1, datagram, NOW).unwrap() {
                match batch {
                    Batch::Data(records) if records.template().id() == 400 => {
                        for flow in records.flows() {
                            assert_eq!(flow.octets, next);
                            next += 1;
                        }
                    }
                    Batch::Data(_) | Batch::Template(..) => {}
                    other => panic!("{other:?}"),
                }
            }
        }
        assert_eq!(next, 1_000);
    }
}

#[test]
fn template_ids_have_one_meaning_in_a_session() {
    // X9, X10
    let mut session = session(ExportVersion::Ipfix);
    session.add_template(own_template(Protocol::Ipfix, 400), NOW).unwrap();
    for id in [400, 260, 263] {
        let taken = session.add_template(own_template(Protocol::Ipfix, id), NOW).unwrap_err();
        assert_eq!(taken, EncodeError::TemplateInUse(id));
    }
    let foreign = session.add_template(own_template(Protocol::NetFlow9, 401), NOW).unwrap_err();
    assert_eq!(foreign, EncodeError::UnknownTemplate(401));
    let names = |name| {
        let name = InterfaceName { index: 1, name, description: "" };
        OptionsData::interface_names(Protocol::Ipfix, 402, &[name]).unwrap()
    };
    session.set_options(names("a"), NOW).unwrap();
    session.set_options(names("b"), NOW).unwrap();
    let other = OptionsData::vrf_names(Protocol::Ipfix, 402, &[(1, "red")]).unwrap();
    assert_eq!(session.set_options(other, NOW).unwrap_err(), EncodeError::TemplateInUse(402));
    let huge = TemplateBuilder::new(Protocol::Ipfix, 403).fields((0..400).map(|_| field(1, 1))).build();
    assert!(matches!(session.add_template(huge.unwrap(), NOW), Err(EncodeError::TooLarge { .. })));
}

#[test]
fn templates_of_the_user_stand_in_for_those_of_flows() {
    let mut config = config(ExportVersion::Ipfix);
    (config.first_template, config.statistics) = (500, true);
    config.templates = vec![own_template(Protocol::Ipfix, 504)];
    let mut session = ExportSession::new(config.clone()).unwrap();
    assert!(session.layouts().is_empty());
    assert_eq!(session.handle_flow(&FlowRecord::default(), NOW), Err(EncodeError::UnknownTemplate(0)));
    session.handle_record(504, &FlowRecord::default(), NOW).unwrap();
    session.flush(NOW);
    let mut datagram = Vec::new();
    session.poll_transmit(&mut datagram).unwrap();
    let mut decoder = strict();
    let mut records = 0;
    for batch in decoder.decode(&1, &datagram, NOW).unwrap() {
        match batch {
            Batch::Template(template, _) => assert!([502, 504].contains(&template.id()), "{}", template.id()),
            Batch::Data(data) => records += data.iter().count(),
            _ => {}
        }
    }
    assert_eq!((records, session.stats().flows, session.stats().refused), (1, 1, 1));
    config.templates.push(own_template(Protocol::Ipfix, 504));
    assert_eq!(ExportSession::new(config.clone()).unwrap_err(), EncodeError::TemplateInUse(504));
    for first in [255, u16::MAX - 6] {
        config.first_template = first;
        assert_eq!(ExportSession::new(config.clone()).unwrap_err(), EncodeError::TemplateId(first));
    }
}

#[test]
fn values_out_of_range_are_refused_in_ipfix_and_counted() {
    // E21
    let mut session = session(ExportVersion::Ipfix);
    let mut flow = FlowRecord::default();
    flow.source_prefix_length = 33;
    let refused = session.handle_flow(&flow, NOW).unwrap_err();
    assert_eq!(refused, EncodeError::ValueRange { element: 9 });
    flow.source_prefix_length = 32;
    flow.ipv6_flow_label = 1 << 20;
    assert!(session.handle_flow(&flow, NOW).is_err());
    (flow.source, flow.destination) = ("::1".parse().unwrap(), "::2".parse().unwrap());
    (flow.destination_prefix_length, flow.ipv6_flow_label) = (129, 0);
    let refused = session.handle_flow(&flow, NOW).unwrap_err();
    assert_eq!(refused, EncodeError::ValueRange { element: 30 });
    flow.destination_prefix_length = 128;
    session.handle_flow(&flow, NOW).unwrap();
    assert_eq!((session.stats().flows, session.stats().refused), (1, 3));
}

#[test]
fn v5_counts_whatever_it_cannot_carry_whole() {
    // E1, E3, E5
    let mut session = session(ExportVersion::V5);
    let mut flow = FlowRecord::default();
    session.handle_flow(&flow, NOW).unwrap();
    (flow.source_as, flow.tcp_flags) = (65_536, 0x102);
    session.handle_flow(&flow, NOW).unwrap();
    (flow.egress_interface, flow.octets) = (70_000, 1 << 33);
    session.handle_flow(&flow, NOW).unwrap();
    flow.source = "::1".parse().unwrap();
    assert_eq!(session.handle_flow(&flow, NOW).unwrap_err(), EncodeError::NotIpv4);
    let stats = *session.stats();
    assert_eq!((stats.flows, stats.records, stats.split), (3, 5, 1));
    assert_eq!((stats.narrowed_as, stats.narrowed_interfaces, stats.narrowed_tcp_flags), (2, 1, 2));
    assert_eq!((stats.refused, stats.refused_ipv6), (1, 1));
    let datagrams = flush(&mut session, NOW);
    let packet = v5::Packet::parse(&datagrams[0]).unwrap();
    assert_eq!((packet.header().count(), packet.records().len()), (5, 5));
    let octets: u64 = packet.records().map(|record| u64::from(record.octets())).sum();
    assert_eq!(octets, 1 << 33);
    // Those of the user have no place in v5.
    let template = own_template(Protocol::NetFlow9, 400);
    assert_eq!(session.add_template(template, NOW).unwrap_err(), EncodeError::UnknownTemplate(400));
    assert!(session.handle_record(400, &own_record(1), NOW).is_err());
}

#[test]
fn nothing_is_taken_while_a_datagram_waits() {
    let mut session = session(ExportVersion::Ipfix);
    session.add_template(own_template(Protocol::Ipfix, 400), NOW).unwrap();
    session.flush(NOW);
    let pending = EncodeError::TransmitPending;
    assert_eq!(session.handle_flow(&FlowRecord::default(), NOW).unwrap_err(), pending);
    assert_eq!(session.handle_record(400, &own_record(1), NOW).unwrap_err(), pending);
    assert_eq!(session.add_template(own_template(Protocol::Ipfix, 401), NOW).unwrap_err(), pending);
    assert_eq!(drain(&mut session).len(), 1);
    session.handle_record(400, &own_record(1), NOW).unwrap();
}

#[test]
fn a_record_too_large_for_any_datagram_is_refused_and_counted() {
    // E24
    let mut session = session(ExportVersion::Ipfix);
    let name = FieldSpecifier::variable_length(ElementId::iana(96));
    let template = TemplateBuilder::new(Protocol::Ipfix, 400).field(name).build().unwrap();
    session.add_template(template, NOW).unwrap();
    let text = "x".repeat(70_000);
    for length in [1_460, 65_535, 70_000] {
        let record = [(ElementId::iana(96), FieldValue::String(&text[..length]))];
        assert!(session.handle_record(400, &record, NOW).is_err(), "{length}");
    }
    let record = [(ElementId::iana(96), FieldValue::String(&text[..1_400]))];
    session.handle_record(400, &record, NOW).unwrap();
    assert_eq!((session.stats().flows, session.stats().refused), (1, 3));
    let datagrams = flush(&mut session, NOW);
    assert!(datagrams.iter().all(|datagram| datagram.len() <= 1_472));
}
