//! When things happened, and when they are sent.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use core::time::Duration;
use std::path::Path;

use common::{exporting, frames};
use netflow_codec::{Batch, Decoder, ExportClock, ExportVersion, FlowRecord, Timestamp, ipfix, v5, v9};
use netflow_flowcache::{Timeouts, Timestamp as PacketTime};
use netflow_probe_example::{
    dissect::udp_datagram,
    exporter::{Exporter, ExporterAccount, ExporterConfig},
    pcap::{CaptureFile, Frame, LinkType},
};

const DAY: u64 = 86_400_000;
/// 2026-01-05 08:00:00.123 UTC, in milliseconds.
const START: u64 = 1_767_600_000_123;

fn config(to: &Path, version: ExportVersion, active: Duration, inactive: Duration) -> ExporterConfig {
    let mut timeouts = Timeouts::default();
    timeouts.active = Some(active);
    timeouts.inactive = Some(inactive);
    let mut config = exporting::to_file(to, version);
    config.meter.timeouts = timeouts;
    config
}

/// Exports one packet for each (milliseconds, source port).
fn export(config: ExporterConfig, packets: impl IntoIterator<Item = (u64, u16)>) -> ExporterAccount {
    let mut exporter = Exporter::new(config).unwrap();
    for (millis, port) in packets {
        let data = frames::ipv4(17, &frames::udp(port, 53, &[0; 40]));
        let frame = Frame {
            timestamp: PacketTime::from_millis(millis),
            link_type: LinkType::RAW,
            original_length: u32::try_from(data.len()).unwrap(),
            data: &data,
            interface: 0,
        };
        exporter.handle_frame(&frame).unwrap();
    }
    exporter.finish().unwrap();
    exporter.account()
}

/// The flows of the datagrams in a capture file, with the milliseconds their datagram was sent at. Sequence numbers
/// must go on without a gap.
fn collect(file: &Path, version: ExportVersion) -> Vec<(u64, FlowRecord)> {
    let mut decoder = Decoder::new();
    let mut flows: Vec<(u64, FlowRecord)> = Vec::new();
    let mut capture = CaptureFile::open(file).unwrap();
    let (mut datagrams, mut options) = (0, 0);
    while let Some(frame) = capture.next_frame().unwrap() {
        let millis = frame.timestamp.as_nanos() / 1_000_000;
        let datagram = udp_datagram(frame.link_type, frame.data).unwrap();
        let (sequence, expected, clock) = if version == ExportVersion::V5 {
            let packet = v5::Packet::parse(datagram.payload).unwrap();
            (packet.header().sequence(), flows.len(), packet.header().clock())
        } else if version == ExportVersion::Ipfix {
            let message = ipfix::Message::parse(datagram.payload).unwrap();
            let clock = ExportClock::without_uptime(message.header().export_time());
            (message.header().sequence(), flows.len() + options, clock)
        } else {
            let packet = v9::Packet::parse(datagram.payload).unwrap();
            (packet.header().sequence(), datagrams, packet.header().clock())
        };
        // Also for readers that take uptimes as signed, or as never coming round.
        assert!(u64::from(clock.uptime().as_millis()) <= 24 * DAY + 1_000, "{clock:?}");
        assert!((millis..=millis + 1_000).contains(&clock.unix().as_millis()), "{clock:?}");
        assert_eq!(u64::from(sequence), expected as u64);
        datagrams += 1;
        for batch in decoder.decode(&0, datagram.payload, Timestamp::ZERO).unwrap() {
            match batch {
                Batch::Fixed(records) => flows.extend(records.flows().map(|flow| (millis, flow))),
                Batch::Data(records) => flows.extend(records.flows().map(|flow| (millis, flow))),
                Batch::Options(records) => options += records.count(),
                Batch::Template(..) => {}
                other => panic!("{other:?}"),
            }
        }
    }
    flows
}

const VERSIONS: [ExportVersion; 3] = [ExportVersion::V5, ExportVersion::V9, ExportVersion::Ipfix];

/// Source port, packets, first and last packet in milliseconds.
fn summaries(flows: &[(u64, FlowRecord)]) -> Vec<(u16, u64, u64, u64)> {
    let mut summaries: Vec<_> = flows
        .iter()
        .map(|(_, flow)| (flow.source_port, flow.packets, flow.start.as_millis(), flow.end.as_millis()))
        .collect();
    summaries.sort_unstable();
    summaries
}

#[test]
fn captures_out_of_order_by_years_keep_their_times() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.pcap");
    let year = 365 * DAY;
    // Newest first, then a year older, then in between; each with two flows of two packets.
    let starts = [START, START - year, START - year / 2];
    let packets: Vec<(u64, u16)> = starts
        .iter()
        .flat_map(|start| [(*start, 1), (start + 10, 2), (start + 1_500, 1), (start + 2_000, 2)])
        .collect();
    let mut expected: Vec<_> = starts
        .iter()
        .flat_map(|start| [(1, 2, *start, start + 1_500), (2, 2, start + 10, start + 2_000)])
        .collect();
    expected.sort_unstable();
    for version in VERSIONS {
        let account =
            export(config(&out, version, Duration::from_secs(300), Duration::from_secs(15)), packets.clone());
        let flows = collect(&out, version);
        assert_eq!(summaries(&flows), expected, "{version:?}");
        for (sent, flow) in &flows {
            let end = flow.end.as_millis();
            assert!((end..end + 20_000).contains(sent), "sent by the clock of its capture: {sent} {end}");
        }
        // The sessions of all three times are in the account.
        assert_eq!(account.destinations[0].session.flows, 6);
        assert_eq!(account.destinations[0].session.datagrams, account.destinations[0].send.sent);
        // Two of each time: the clock went back, then far ahead, then the packets ended.
        assert_eq!(account.meter.flows(), 6);
    }
}

#[test]
fn a_little_disorder_does_not_restart_anything() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.pcap");
    let packets = [(START, 1), (START + 10_000, 2), (START, 3), (START + 1, 1)];
    let timeouts = (Duration::from_secs(300), Duration::from_secs(15));
    let account = export(config(&out, ExportVersion::V9, timeouts.0, timeouts.1), packets);
    assert_eq!(account.meter.flows(), 3);
    assert_eq!(account.destinations[0].session.datagrams, 1);
}

#[test]
fn a_capture_of_a_hundred_days_keeps_its_times() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.pcap");
    // A short flow each hour; and one that goes on, a packet in ten days.
    let packets = (0..2_400u64).map(|hour| {
        let port = if hour % 240 == 120 { 7 } else { 1_000 + u16::try_from(hour).unwrap() };
        (START + hour * 3_600_000, port)
    });
    let day = Duration::from_millis(DAY);
    for version in VERSIONS {
        let short = config(&out, version, Duration::from_secs(300), Duration::from_secs(15));
        export(short, packets.clone());
        let expected: Vec<_> = {
            let mut expected: Vec<_> =
                packets.clone().map(|(millis, port)| (port, 1, millis, millis)).collect();
            expected.sort_unstable();
            expected
        };
        assert_eq!(summaries(&collect(&out, version)), expected, "{version:?}");

        // Flows as long as they may be: 10 days silent, 20 days in all.
        let long = config(&out, version, day * 20, day * 11);
        export(long, packets.clone());
        let summaries = summaries(&collect(&out, version));
        let long: Vec<_> = summaries.iter().filter(|summary| summary.0 == 7).collect();
        assert_eq!(long.iter().map(|(_, packets, ..)| packets).sum::<u64>(), 10);
        assert!(long.len() <= 5, "{long:?}");
        let mut next = START + 5 * DAY;
        for (_, packets, start, end) in long {
            assert_eq!((*start, *end), (next, next + (packets - 1) * 10 * DAY), "{version:?}");
            next = end + 10 * DAY;
        }
        let others: Vec<_> = summaries.iter().filter(|summary| summary.0 != 7).copied().collect();
        assert_eq!(others, expected.iter().filter(|summary| summary.0 != 7).copied().collect::<Vec<_>>());
    }
}

#[test]
fn a_gap_of_years_keeps_times_on_both_sides() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.pcap");
    let packets = [(START, 1), (START + 5, 1), (START + 3_000 * DAY, 1), (START + 3_000 * DAY + 7, 2)];
    let later = START + 3_000 * DAY;
    for version in VERSIONS {
        let timeouts = (Duration::from_secs(300), Duration::from_secs(15));
        export(config(&out, version, timeouts.0, timeouts.1), packets);
        let expected = [(1, 2, START, START + 5), (1, 1, later, later), (2, 1, later + 7, later + 7)];
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(summaries(&collect(&out, version)), expected, "{version:?}");
    }
}

#[test]
fn no_flow_waits_longer_than_a_second_for_company() {
    // X20: a flow ends 15 s after its only packet, which is seen with the next packet, 20 s after it; its datagram
    // may then wait a second for more flows.
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.pcap");
    let packets = (0..200u16).map(|number| (START + u64::from(number) * 20_000, 1_000 + number));
    for version in VERSIONS {
        let timeouts = (Duration::from_secs(300), Duration::from_secs(15));
        export(config(&out, version, timeouts.0, timeouts.1), packets.clone());
        let flows = collect(&out, version);
        assert_eq!(flows.len(), 200);
        let longest = flows.iter().map(|(sent, flow)| sent - flow.end.as_millis()).max().unwrap();
        assert!((20_000..=21_000).contains(&longest), "{version:?}: {longest}");
    }
}

/// Of each datagram: its milliseconds, whether it has templates of flows, whether it has flows.
fn kinds(file: &Path) -> Vec<(u64, bool, bool)> {
    let mut decoder = Decoder::new();
    let mut capture = CaptureFile::open(file).unwrap();
    let mut kinds = Vec::new();
    while let Some(frame) = capture.next_frame().unwrap() {
        let datagram = udp_datagram(frame.link_type, frame.data).unwrap();
        let (mut templates, mut flows) = (false, false);
        for batch in decoder.decode(&0, datagram.payload, Timestamp::ZERO).unwrap() {
            match batch {
                Batch::Template(..) => templates = true,
                Batch::Data(_) => flows = true,
                _ => {}
            }
        }
        kinds.push((frame.timestamp.as_nanos() / 1_000_000, templates, flows));
    }
    kinds
}

#[test]
fn after_a_change_templates_come_three_times_and_soon_again() {
    // X7: sampling is changed. X8: the clock is set back by an hour.
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.pcap");
    let hour = 3_600_000;
    for (version, sets_clock) in [
        (ExportVersion::V9, true),
        (ExportVersion::V9, false),
        (ExportVersion::Ipfix, true),
        (ExportVersion::Ipfix, false),
    ] {
        let mut config = config(&out, version, Duration::from_secs(60), Duration::from_secs(1));
        config.template_refresh_packets = 1_000;
        let mut exporter = Exporter::new(config).unwrap();
        // Ten packets a second for half a minute, a flow each second; and the same once more.
        let second = if sets_clock { START - hour } else { START + 30_000 };
        for start in [START, second] {
            if start > START {
                exporter.change_sampling(&"1:2".parse().unwrap(), 7).unwrap();
            }
            for number in 0..300 {
                let data = frames::ipv4(17, &frames::udp(1_000 + number / 10, 53, &[0; 40]));
                let frame = Frame {
                    timestamp: PacketTime::from_millis(start + u64::from(number) * 100),
                    link_type: LinkType::RAW,
                    original_length: u32::try_from(data.len()).unwrap(),
                    data: &data,
                    interface: 0,
                };
                exporter.handle_frame(&frame).unwrap();
            }
        }
        exporter.finish().unwrap();
        let kinds = kinds(&out);
        let context = format!("{version:?} {sets_clock}: {kinds:?}");
        // The first of the new time, or of the new sampling, which has templates before flows.
        let is_new = |millis: u64| if sets_clock { millis < START } else { millis + 150 >= second };
        let begin = kinds.iter().position(|(millis, templates, _)| is_new(*millis) && *templates).unwrap();
        let new = &kinds[begin..];
        let at_once = new.iter().take_while(|(_, _, flows)| !flows).filter(|kind| kind.1).count();
        assert!(at_once >= 3, "{context}");
        let rounds = |from: u64, to: u64| {
            let within = |millis: u64| (second + from..second + to).contains(&millis);
            new.iter().filter(|(millis, templates, _)| *templates && within(*millis)).count()
        };
        assert_eq!(
            (rounds(500, 10_000), rounds(10_000, 18_000), rounds(18_000, 29_000)),
            (3, 1, 0),
            "{context}"
        );
        let flows = new.iter().filter(|kind| kind.2).count();
        assert!(flows > 20, "{context}");
    }
}
