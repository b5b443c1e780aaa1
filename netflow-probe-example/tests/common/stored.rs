//! A store with flows that are known.

use std::path::Path;

use netflow_codec::{
    ExportSession, ExportVersion, FlowRecord, SamplingAlgorithm, SamplingInfo, SamplingSource, SessionConfig,
    Timestamp,
};
use netflow_probe_example::{
    collector::Collector,
    store::{Store, StoreConfig},
};

pub(crate) const NOON: u64 = 1_772_366_400; // 2026-03-01T12:00:00Z

/// A flow that began so many milliseconds after noon.
pub(crate) fn flow(
    protocol: u8,
    source: &str,
    port: u16,
    octets: u64,
    start: u64,
    duration: u64,
) -> FlowRecord {
    let mut flow = FlowRecord::default();
    flow.source = source.parse().unwrap();
    let destination = if flow.source.is_ipv6() { "2001:db8:ffff::1" } else { "198.51.100.7" };
    flow.destination = destination.parse().unwrap();
    flow.protocol = protocol;
    flow.source_port = 40_000 + u16::try_from(start % 20_000).unwrap();
    flow.destination_port = port;
    flow.octets = octets;
    flow.packets = octets / 500 + 1;
    flow.tcp_flags = 0x1b;
    flow.ingress_interface = 3;
    flow.start = Timestamp::from_millis(NOON * 1_000 + start);
    flow.end = Timestamp::from_millis(NOON * 1_000 + start + duration);
    flow
}

/// Stores flows, which are in the order of their ends: each comes in two seconds after its end, in NetFlow v9.
pub(crate) fn store(folder: &Path, row_group: usize, flows: &[FlowRecord]) {
    store_by(folder, 300, row_group, flows);
}

/// The same, with files of so many seconds.
pub(crate) fn store_by(folder: &Path, seconds: u64, row_group: usize, flows: &[FlowRecord]) {
    store_sampled(folder, seconds, row_group, 1, flows);
}

/// The same, of a router that says that it looks at one packet in so many.
pub(crate) fn store_sampled(
    folder: &Path,
    seconds: u64,
    row_group: usize,
    interval: u32,
    flows: &[FlowRecord],
) {
    let mut config = StoreConfig::new(folder);
    config.interval = core::time::Duration::from_secs(seconds);
    config.row_group = row_group;
    let mut collector = Collector::new(Store::open(config).unwrap());
    let boot = Timestamp::from_secs(NOON - 100_000);
    let mut export = SessionConfig::new(ExportVersion::V9, boot);
    if interval > 1 {
        export.sampling = SamplingInfo::new(interval, SamplingAlgorithm::RANDOM, SamplingSource::Domain);
    }
    let mut session = ExportSession::new(export).unwrap();
    let mut datagram = Vec::new();
    let exporter = "192.0.2.254:40000".parse().unwrap();
    for flow in flows {
        let now = Timestamp::from_millis(flow.end.as_millis() + 2_000);
        session.handle_flow(flow, now).unwrap();
        session.flush(now);
        while session.poll_transmit(&mut datagram).is_some() {
            collector.handle_datagram(exporter, &datagram, now).unwrap();
            datagram.clear();
        }
    }
    collector.finish().unwrap();
}

/// Six hours of ordinary traffic with a peak of UDP at half past two.
pub(crate) fn afternoon() -> Vec<FlowRecord> {
    let mut state = 7_u64;
    let mut random = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut flows = Vec::new();
    for minute in 0..360_u64 {
        let busy = 4 + (minute % 120) / 30 + random(4);
        for _ in 0..busy {
            let start = minute * 60_000 + random(50_000);
            let (protocol, port) = match random(10) {
                0..=5 => (6, [443, 80, 22][usize::try_from(random(3)).unwrap()]),
                6..=7 => (17, 53),
                8 => (17, 443),
                _ => (1, 0),
            };
            let source = if random(5) == 0 {
                format!("2001:db8::{:x}", 1 + random(9))
            } else {
                format!("10.0.0.{}", 1 + random(40))
            };
            let octets = if protocol == 6 { 20_000 + random(900_000) } else { 100 + random(60_000) };
            flows.push(flow(protocol, &source, port, octets, start, 200 + random(90_000)));
        }
        if (150..165).contains(&minute) {
            for number in 0..6 {
                let start = minute * 60_000 + number * 9_000;
                flows.push(flow(17, &format!("203.0.113.{}", 10 + number), 53, 4_000_000, start, 8_000));
            }
        }
    }
    flows.sort_by_key(|flow| flow.end);
    flows
}
