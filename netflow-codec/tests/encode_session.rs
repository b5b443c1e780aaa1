//! Sessions of IPFIX, and what users add to those of v9 and IPFIX.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use core::time::Duration;

use netflow_codec::{
    Batch, CacheLimits, Decoder, ElementId, EncodeError, ExportSession, ExportTemplate, ExportTransport,
    ExportVersion, FieldSource, FieldSpecifier, FieldValue, FlowFields, FlowRecord, FlowTimes, InterfaceName,
    OptionsData, Protocol, SamplingAlgorithm, SamplingInfo, SamplingSource, SessionConfig, Strictness,
    TemplateBuilder, Timestamp, Transport, ipfix, v5,
};

const BOOT: Timestamp = Timestamp::from_secs(1_700_000_000);
const NOW: Timestamp = Timestamp::from_secs(1_700_000_100);

fn field(number: u16, length: u16) -> FieldSpecifier {
    FieldSpecifier::new(ElementId::iana(number), length)
}

fn config(version: ExportVersion) -> SessionConfig {
    SessionConfig::new(version, BOOT)
}

fn session(version: ExportVersion) -> ExportSession {
    ExportSession::new(config(version)).unwrap()
}

fn drain(session: &mut ExportSession) -> Vec<Vec<u8>> {
    let mut datagrams = Vec::new();
    let mut datagram = Vec::new();
    while session.poll_transmit(&mut datagram).is_some() {
        datagrams.push(core::mem::take(&mut datagram));
    }
    datagrams
}

fn flush(session: &mut ExportSession, now: Timestamp) -> Vec<Vec<u8>> {
    session.flush(now);
    drain(session)
}

fn export(session: &mut ExportSession, flows: &[FlowRecord], now: Timestamp) -> Vec<Vec<u8>> {
    let mut datagrams = Vec::new();
    for flow in flows {
        session.handle_flow(flow, now).unwrap();
        datagrams.extend(drain(session));
    }
    datagrams.extend(flush(session, now));
    datagrams
}

/// The ids of the sets of a message.
fn sets(datagram: &[u8]) -> Vec<u16> {
    ipfix::Message::parse(datagram).unwrap().sets().map(|set| set.unwrap().id()).collect()
}

/// The ids of the template records of a message, by the first template of each set.
fn sequence(datagram: &[u8]) -> u32 {
    ipfix::Message::parse(datagram).unwrap().header().sequence()
}

fn unsigned(record: &impl FieldSource, number: u16) -> Option<u64> {
    match record.field(ElementId::iana(number))? {
        FieldValue::Unsigned(value) => Some(value),
        other => panic!("{other:?}"),
    }
}

/// The time of a value, which outlives its record.
fn owned(value: FieldValue<'_>) -> FieldValue<'static> {
    match value {
        FieldValue::DateTime(time) => FieldValue::DateTime(time),
        other => panic!("{other:?}"),
    }
}

fn own_template(protocol: Protocol, id: u16) -> ExportTemplate {
    let template = TemplateBuilder::new(protocol, id).field(field(8, 4)).field(field(1, 8));
    template.build().unwrap()
}

fn own_record(octets: u64) -> [(ElementId, FieldValue<'static>); 2] {
    [
        (ElementId::iana(8), FieldValue::Ipv4Address([192, 0, 2, 1].into())),
        (ElementId::iana(1), FieldValue::Unsigned(octets)),
    ]
}

fn strict() -> Decoder<u8> {
    Decoder::with_limits(CacheLimits::default(), Strictness::Rfc)
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
fn options_are_announced_at_once_when_they_change_and_again_with_the_templates() {
    // X6, X23
    let mut config = config(ExportVersion::Ipfix);
    config.template_refresh_packets = Some(2);
    let mut session = ExportSession::new(config).unwrap();
    let names = |name| {
        let name = InterfaceName { index: 1, name, description: "" };
        OptionsData::interface_names(Protocol::Ipfix, 402, &[name]).unwrap()
    };
    let mut decoder = strict();
    let mut seen = |datagrams: &[Vec<u8>]| {
        let mut names = Vec::new();
        for datagram in datagrams {
            for batch in decoder.decode(&1, datagram, NOW).unwrap() {
                if let Batch::Options(records) = batch {
                    names.extend(
                        records.iter().map(|record| record.field(ElementId::iana(82)).unwrap().to_string()),
                    );
                }
            }
        }
        names
    };
    session.set_options(names("a"), NOW).unwrap();
    assert_eq!(seen(&export(&mut session, &[FlowRecord::default()], NOW)), ["a"]);
    session.set_options(names("b"), NOW).unwrap();
    assert_eq!(seen(&flush(&mut session, NOW)), ["b"], "without a flow");
    let later: Vec<_> =
        (0..5).map(|_| seen(&export(&mut session, &[FlowRecord::default()], NOW)).len()).collect();
    assert_eq!(later, [0, 1, 0, 1, 0]);
}

#[test]
fn more_options_than_a_datagram_holds_are_spread() {
    // E24
    let names: Vec<String> = (0..500).map(|index| format!("interface number {index}")).collect();
    let names: Vec<_> = (0u32..)
        .zip(&names)
        .map(|(index, name)| InterfaceName { index, name, description: "of a large router" })
        .collect();
    for (version, protocol) in
        [(ExportVersion::V9, Protocol::NetFlow9), (ExportVersion::Ipfix, Protocol::Ipfix)]
    {
        let mut session = session(version);
        session.set_options(OptionsData::interface_names(protocol, 402, &names).unwrap(), NOW).unwrap();
        let mut datagrams = drain(&mut session);
        datagrams.extend(export(&mut session, &vec![FlowRecord::default(); 100], NOW));
        let mut decoder = strict();
        let (mut records, mut flows) = (0, 0);
        for datagram in &datagrams {
            assert!(datagram.len() <= 1_472);
            for batch in decoder.decode(&1, datagram, NOW).unwrap() {
                match batch {
                    Batch::Options(batch) => records += batch.count(),
                    Batch::Data(batch) => flows += batch.count(),
                    Batch::Template(..) => {}
                    other => panic!("{other:?}"),
                }
            }
        }
        assert!(records >= 500 && records % 500 == 0, "{records}");
        assert_eq!((flows, session.stats().options_records), (100, records as u64));
    }
}

#[test]
fn flows_are_dated_absolutely_or_with_the_time_of_boot() {
    // X27, E34
    let mut flow = FlowRecord::default();
    (flow.start, flow.end) =
        (Timestamp::from_millis(1_700_000_050_123), Timestamp::from_millis(1_700_000_099_456));
    for times in [FlowTimes::Milliseconds, FlowTimes::Uptime] {
        for version in [ExportVersion::V9, ExportVersion::Ipfix] {
            let mut config = config(version);
            config.times = times;
            let mut session = ExportSession::new(config).unwrap();
            let mut decoder = strict();
            let (mut elements, mut back, mut boot) = (Vec::new(), Vec::new(), None);
            for datagram in export(&mut session, &[flow], NOW) {
                for batch in decoder.decode(&1, &datagram, NOW).unwrap() {
                    match batch {
                        Batch::Data(records) => {
                            elements.extend(
                                records.template().fields().iter().map(|field| field.element.number()),
                            );
                            back.extend(records.flows());
                        }
                        Batch::Options(records) => {
                            let record = records.iter().next().unwrap();
                            boot = record.field(ElementId::iana(160)).map(owned);
                        }
                        _ => {}
                    }
                }
            }
            assert_eq!((back[0].start, back[0].end), (flow.start, flow.end), "{version:?} {times:?}");
            let uptimes = times == FlowTimes::Uptime;
            assert_eq!((elements.contains(&22), elements.contains(&152)), (uptimes, !uptimes));
            let announced = uptimes && version == ExportVersion::Ipfix;
            assert_eq!(boot, announced.then_some(FieldValue::DateTime(BOOT)));
        }
    }
}

#[test]
fn sampling_is_announced_in_the_words_of_the_protocol_and_found() {
    // S23, X23
    for (algorithm, interval) in [
        (SamplingAlgorithm::DETERMINISTIC, 100),
        (SamplingAlgorithm::RANDOM, 100),
        (SamplingAlgorithm::UNKNOWN, 100),
        (SamplingAlgorithm::DETERMINISTIC, 1),
    ] {
        for version in [ExportVersion::V9, ExportVersion::Ipfix] {
            let mut config = config(version);
            config.sampling = SamplingInfo::new(interval, algorithm, SamplingSource::Domain);
            let mut session = ExportSession::new(config).unwrap();
            let mut decoder = strict();
            let mut found = Vec::new();
            for datagram in export(&mut session, &[FlowRecord::default()], NOW) {
                for batch in decoder.decode(&1, &datagram, NOW).unwrap() {
                    if let Batch::Options(records) = batch {
                        let record = records.iter().next().unwrap();
                        let number = |number| unsigned(&record, number);
                        found = [34, 35, 302, 304, 305, 306, 309, 310].map(number).to_vec();
                    }
                }
            }
            let one = Some(u64::from(interval));
            let expected = match (version, algorithm) {
                (ExportVersion::V9, _) => {
                    [one, Some(algorithm.number().into()), None, None, None, None, None, None]
                }
                (_, SamplingAlgorithm::DETERMINISTIC) => {
                    let space = Some(u64::from(interval) - 1);
                    [None, None, Some(1), Some(1), Some(1), space, None, None]
                }
                (_, SamplingAlgorithm::RANDOM) => [None, None, Some(1), Some(3), None, None, Some(1), one],
                _ => [one, None, Some(1), None, None, None, None, None],
            };
            assert_eq!(found, expected, "{version:?} {algorithm:?}");
        }
    }
}

#[test]
fn flows_of_ipfix_name_their_selector() {
    let mut config = config(ExportVersion::Ipfix);
    config.sampling = SamplingInfo::new(10, SamplingAlgorithm::RANDOM, SamplingSource::Domain);
    let mut session = ExportSession::new(config).unwrap();
    let mut own = FlowRecord::default();
    own.sampler_id = 7;
    let mut decoder = strict();
    let mut ids = Vec::new();
    for datagram in export(&mut session, &[FlowRecord::default(), own], NOW) {
        for batch in decoder.decode(&1, &datagram, NOW).unwrap() {
            if let Batch::Data(records) = batch {
                ids.extend(records.flows().map(|flow| (flow.has(FlowFields::SAMPLER_ID), flow.sampler_id)));
            }
        }
    }
    assert_eq!(ids, [(true, 1), (true, 7)]);
}

#[test]
fn statistics_say_what_was_exported_before() {
    // X22
    for version in [ExportVersion::V9, ExportVersion::Ipfix] {
        let mut config = config(version);
        config.statistics = true;
        config.template_refresh_packets = Some(1);
        let mut session = ExportSession::new(config).unwrap();
        let mut decoder = strict();
        let mut seen = Vec::new();
        for _ in 0..3 {
            for datagram in export(&mut session, &[FlowRecord::default(); 2], NOW) {
                for batch in decoder.decode(&1, &datagram, NOW).unwrap() {
                    if let Batch::Options(records) = batch {
                        let record = records.iter().next().unwrap();
                        let number = |number| unsigned(&record, number).unwrap();
                        seen.push((number(41), number(42), number(40) > 0));
                    }
                }
            }
        }
        assert_eq!(seen, [(0, 0, false), (1, 2, true), (2, 4, true)], "{version:?}");
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

#[test]
fn everything_is_announced_again_on_request() {
    for version in [ExportVersion::V9, ExportVersion::Ipfix] {
        let mut session = session(version);
        let first = export(&mut session, &[FlowRecord::default()], NOW);
        assert!(
            export(&mut session, &[FlowRecord::default()], NOW).iter().all(|datagram| datagram.len() < 200)
        );
        session.announce_again(NOW).unwrap();
        let again = flush(&mut session, NOW);
        // All of the first datagram but the flow.
        assert!(again.len() == 1 && again[0].len() > 300 && again[0].len() < first[0].len(), "{version:?}");
        assert_eq!(session.stats().template_rounds, 2);
    }
    // v5 has nothing to announce.
    let mut session = session(ExportVersion::V5);
    session.announce_again(NOW).unwrap();
    assert!(flush(&mut session, NOW).is_empty() && session.layouts().is_empty());
}

#[test]
fn a_stream_gets_new_options_records_without_their_template() {
    // X12: templates are sent once.
    let mut config = config(ExportVersion::Ipfix);
    config.transport = ExportTransport::Stream;
    let mut session = ExportSession::new(config).unwrap();
    let names = |name| {
        OptionsData::interface_names(
            Protocol::Ipfix,
            300,
            &[InterfaceName { index: 3, name, description: "" }],
        )
    };
    session.set_options(names("eth0").unwrap(), NOW).unwrap();
    let other = OptionsData::vrf_names(Protocol::Ipfix, 301, &[(1, "red")]).unwrap();
    session.set_options(other, NOW).unwrap();
    let sets_of =
        |datagrams: Vec<Vec<u8>>| datagrams.iter().flat_map(|datagram| sets(datagram)).collect::<Vec<_>>();
    let first = sets_of(export(&mut session, &[FlowRecord::default()], NOW));
    assert!(first.contains(&2) && first.contains(&3) && first.contains(&300), "{first:?}");
    session.set_options(names("eth1").unwrap(), NOW).unwrap();
    let next = sets_of(export(&mut session, &[FlowRecord::default()], NOW));
    assert_eq!(next, [300, 260]);
    // Over datagrams the template comes along.
    let mut session = self::session(ExportVersion::Ipfix);
    session.set_options(names("eth0").unwrap(), NOW).unwrap();
    export(&mut session, &[FlowRecord::default()], NOW);
    session.set_options(names("eth1").unwrap(), NOW).unwrap();
    assert!(sets_of(flush(&mut session, NOW)).contains(&3));
}

#[test]
fn templates_that_belong_together_come_in_one_message() {
    // X14, X29
    for (version, protocol) in
        [(ExportVersion::V9, Protocol::NetFlow9), (ExportVersion::Ipfix, Protocol::Ipfix)]
    {
        let mut session = session(version);
        let name = InterfaceName { index: 1, name: "a", description: "" };
        session.set_options(OptionsData::interface_names(protocol, 402, &[name]).unwrap(), NOW).unwrap();
        session.add_template(own_template(protocol, 401), NOW).unwrap();
        let messages = export(&mut session, &[FlowRecord::default()], NOW);
        let mut decoder = strict();
        let mut announced = Vec::new();
        for batch in decoder.decode(&1, &messages[0], NOW).unwrap() {
            if let Batch::Template(template, _) = batch {
                announced.push(template);
            }
        }
        assert!(announced.iter().any(|template| template.id() == 401));
        assert!(announced.iter().any(|template| template.is_options() && template.id() == 402));
        // That of the flows, too; no flow of one direction has elements of the other.
        let flows = announced.iter().filter(|template| !template.is_options() && template.id() != 401);
        assert!(flows.clone().count() > 0);
        assert!(flows.flat_map(|template| template.fields()).all(|field| !field.element.is_reverse()));
        // What follows has no further templates.
        let templates = |message: &Vec<u8>| {
            let batches = decoder.decode(&1, message, NOW).unwrap();
            batches.filter(|batch| matches!(batch, Batch::Template(..))).count()
        };
        assert_eq!(messages[1..].iter().map(templates).sum::<usize>(), 0);
    }
}
