//! Flows of captures and of generated traces, held against a reference that follows the definition naively.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use core::time::Duration;
use std::{collections::HashMap, path::Path, process::Command};

use netflow_flowcache::{
    Config, ExpireReason, ExpiredFlow, FlowTable, HashSeed, ObservedPacket, SevenTuple, Timeouts, Timestamp,
};
use netflow_probe_example::{
    dissect::{Outcome, dissect},
    pcap::CaptureFile,
};

const ACTIVE: Duration = Duration::from_secs(60);
const INACTIVE: Duration = Duration::from_secs(15);
const REORDER: Duration = Duration::from_secs(10);

/// Key, first and last packet, packets, octets, reason.
type Row = (SevenTuple, Timestamp, Timestamp, u64, u64, ExpireReason);

fn row(flow: &ExpiredFlow) -> Row {
    let counters = &flow.counters;
    (flow.key, counters.first, counters.last, counters.packets, counters.octets, flow.reason)
}

/// A flow ends with the first packet that comes too late for it; nothing else happens, and no flow has to leave.
#[derive(Default)]
struct Reference {
    clock: Timestamp,
    flows: HashMap<SevenTuple, (Timestamp, Timestamp, u64, u64)>,
    rows: Vec<Row>,
}

impl Reference {
    fn packet(&mut self, packet: &ObservedPacket, time: Timestamp) {
        if self.clock.saturating_since(time) > REORDER {
            self.finish();
            self.clock = time;
        }
        self.clock = self.clock.max(time);
        let key = SevenTuple::of(packet);
        let now = self.clock;
        let flow = self.flows.entry(key).or_insert((now, now, 0, 0));
        if let Some(reason) = ended(*flow, now) {
            self.rows.push((key, flow.0, flow.1, flow.2, flow.3, reason));
            *flow = (now, now, 0, 0);
        }
        *flow = (flow.0, now, flow.2 + 1, flow.3 + u64::from(packet.octets));
    }

    fn finish(&mut self) {
        for (key, flow) in self.flows.drain() {
            let reason = ended(flow, self.clock).unwrap_or(ExpireReason::FORCED_END);
            self.rows.push((key, flow.0, flow.1, flow.2, flow.3, reason));
        }
    }
}

fn ended(
    (first, last, packets, _): (Timestamp, Timestamp, u64, u64),
    now: Timestamp,
) -> Option<ExpireReason> {
    let (silent, old) = (last.saturating_add(INACTIVE), first.saturating_add(ACTIVE));
    if packets == 0 || now < silent.min(old) {
        return None;
    }
    Some(if old < silent { ExpireReason::ACTIVE_TIMEOUT } else { ExpireReason::IDLE_TIMEOUT })
}

fn config(capacity: usize) -> Config {
    let mut config = Config::new(capacity, HashSeed::from_u64(7));
    config.timeouts.active = Some(ACTIVE);
    config.timeouts.inactive = Some(INACTIVE);
    (config.timeouts.tcp_end, config.timeouts.tcp_reset) = (None, None);
    config.ipv6_capacity = capacity;
    config.reorder = REORDER;
    config
}

/// Runs a capture through a table; `packet` sees each packet.
fn meter(
    capture: &Path,
    config: &Config,
    mut packet: impl FnMut(&ObservedPacket, Timestamp),
) -> (FlowTable, Vec<ExpiredFlow>) {
    let mut table = FlowTable::new(config).unwrap();
    let mut flows = Vec::new();
    let Ok(mut file) = CaptureFile::open(capture) else { return (table, flows) };
    // A file that breaks off is metered as far as it goes.
    while let Ok(Some(frame)) = file.next_frame() {
        if let Outcome::Packet(observed) = dissect(frame.link_type, frame.data, frame.original_length) {
            packet(&observed, frame.timestamp);
            table.handle_packet(&observed, frame.timestamp);
        }
        while let Some(flow) = table.poll_expired() {
            flows.push(flow);
        }
    }
    table.flush(ExpireReason::FORCED_END);
    while table.poll_timeout().is_some() {
        flows.extend(table.poll_expired());
    }
    assert!(table.is_empty());
    (table, flows)
}

fn totals(flows: &[ExpiredFlow]) -> (u64, u64) {
    let packets = flows.iter().map(|flow| flow.counters.packets).sum();
    (packets, flows.iter().map(|flow| flow.counters.octets).sum())
}

/// The records of a capture, after they were compared with the reference's.
fn compared(capture: &Path, capacity: usize) -> Vec<ExpiredFlow> {
    let mut reference = Reference::default();
    let (table, flows) = meter(capture, &config(capacity), |packet, time| reference.packet(packet, time));
    reference.finish();
    let mut rows: Vec<Row> = flows.iter().map(row).collect();
    rows.sort_unstable();
    reference.rows.sort_unstable();
    assert!(rows == reference.rows, "{}: flow boundaries differ", capture.display());
    let stats = table.stats();
    assert_eq!((stats.evictions, stats.ignored_packets), (0, 0));
    assert_eq!(totals(&flows), (stats.packets, stats.octets));
    flows
}

/// A tool of the shared folder, made to run: `None` means that the test is to be skipped, which was then reported.
fn generate(source: &str, program: &str, run: impl FnOnce(&Path, &Path)) -> Option<tempfile::TempDir> {
    let source = common::shared_dir()?.join("tools").join(source);
    if !source.is_file() {
        common::skip(&format!("no {}", source.display()));
        return None;
    }
    if !common::has_program(program) {
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    run(&source, folder.path());
    Some(folder)
}

fn generate_trace(name: &str) -> Option<tempfile::TempDir> {
    generate("gen_traffic.c", "cc", |source, folder| {
        let generator = folder.join("generate");
        let compiled =
            Command::new("cc").args(["-O2", "-o"]).arg(&generator).arg(source).arg("-lm").status().unwrap();
        assert!(compiled.success());
        // Two files at once would fill a small disk: headers only.
        let made = Command::new(&generator).arg(name).arg(folder.join("trace.pcap")).arg("80").output();
        assert!(made.unwrap().status.success());
    })
}

#[test]
fn flows_of_all_captures_begin_and_end_where_the_definition_says() {
    // M1, M9, M10, M12, M13, M20, M30
    let Some(shared) = common::shared_dir() else { return };
    let (mut packets, mut records) = (0, 0);
    for capture in common::captures(&shared.join("traffic")) {
        let flows = compared(&capture, 65_536);
        packets += totals(&flows).0;
        records += flows.len();
    }
    assert!(packets > 30_000 && records > 3_000, "{packets} packets, {records} records");
}

#[test]
fn trace_a_makes_the_flows_of_its_truth() {
    // M1, M10, M12, M13, M20
    let Some(folder) = generate_trace("A") else { return };
    let flows = compared(&folder.path().join("trace.pcap"), 16_384);
    assert_eq!(totals(&flows), (2_000_000, 1_111_981_622));
    let ipv4: Vec<ExpiredFlow> = flows.iter().filter(|flow| flow.key.is_ipv4()).copied().collect();
    assert_eq!(totals(&ipv4), (1_695_211, 939_415_449));
    assert_eq!((flows.len(), ipv4.len()), (100_080, 84_978));
}

#[test]
fn trace_b_makes_the_flows_of_its_truth_and_a_small_table_loses_nothing() {
    // M1, M10, M13, M17, M20
    let Some(folder) = generate_trace("B") else { return };
    let capture = folder.path().join("trace.pcap");
    let flows = compared(&capture, 1 << 18);
    assert_eq!(totals(&flows), (2_000_000, 128_912_200));
    let ipv4: Vec<ExpiredFlow> = flows.iter().filter(|flow| flow.key.is_ipv4()).copied().collect();
    assert_eq!(totals(&ipv4), (1_818_004, 114_044_463));
    assert_eq!(flows.len(), 1_000_000);
    let mut small = config(1 << 17);
    small.ipv6_capacity = 1 << 14;
    let (table, flows) = meter(&capture, &small, |_, _| {});
    assert_eq!(totals(&flows), (2_000_000, 128_912_200));
    assert!(flows.len() < 1_015_000, "{} records", flows.len());
    let stats = table.stats();
    assert_eq!((stats.ignored_packets, stats.expired(ExpireReason::LACK_OF_RESOURCES)), (0, stats.evictions));
    assert!(stats.evictions > 100_000);
}

#[test]
fn awkward_frames_a_huge_flow_and_a_flow_of_54_days_are_exact() {
    // M7, M8, M9, M16, M20, M25
    let Some(folder) = generate("gen_edge.py", "python3", |source, folder| {
        assert!(Command::new("python3").arg(source).arg(folder).status().unwrap().success());
    }) else {
        return;
    };
    let flows = compared(&folder.path().join("edge.pcap"), 1_024);
    assert_eq!(totals(&flows).0, 26, "27 frames, of which one is ARP");
    let with = |source_port, destination_port| {
        let found: Vec<_> = flows
            .iter()
            .filter(|flow| {
                (flow.key.source_port(), flow.key.destination_port()) == (source_port, destination_port)
            })
            .collect();
        assert_eq!(found.len(), 1, "{source_port} {destination_port}");
        (found[0].counters.packets, found[0].counters.octets)
    };
    assert_eq!(with(1_001, 2_001), (1, 48));
    assert_eq!(with(1_004, 2_004), (1, 48), "labels are not octets of layer 3");
    assert_eq!(with(1_007, 2_007), (1, 1_500), "the first fragment");
    assert_eq!(with(0, 8 << 8), (1, 68), "an echo request");
    assert_eq!(with(3_868, 3_868).0, 1, "SCTP has ports");

    let over = folder.path().join("over.pcap");
    let flows = compared(&over, 16);
    assert_eq!((flows.len(), totals(&flows)), (1, (70_000, 4_587_450_000)));
    let mut limited = config(16);
    limited.counter_limit = Some(u32::MAX.into());
    let (_, flows) = meter(&over, &limited, |_, _| {});
    assert_eq!((flows.len(), totals(&flows)), (2, (70_000, 4_587_450_000)));
    assert!(flows.iter().all(|flow| flow.counters.octets <= u32::MAX.into()));

    let wrap = folder.path().join("wrap.pcap");
    assert_eq!(compared(&wrap, 16).len(), 1_300);
    let mut forever = config(16);
    forever.timeouts = Timeouts::NEVER;
    let (_, flows) = meter(&wrap, &forever, |_, _| {});
    let lasted = flows[0].counters.last.saturating_since(flows[0].counters.first);
    assert_eq!((flows.len(), flows[0].counters.packets), (1, 1_300));
    assert_eq!(lasted, Duration::from_secs(1_299 * 3_600), "54 days");
}
