//! What a session announces besides flows: options, sampling, statistics, times of boot, and templates again.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use common::sessions::{BOOT, NOW, config, drain, export, flush, own_template, session, sets, strict};
use netflow_codec::{
    Batch, ElementId, ExportSession, ExportTransport, ExportVersion, FieldSource, FieldValue, FlowFields,
    FlowRecord, FlowTimes, InterfaceName, OptionsData, Protocol, SamplingAlgorithm, SamplingInfo,
    SamplingSource, Timestamp,
};

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
