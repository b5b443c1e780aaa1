//! The table against a naive model, under random operations and a fake clock.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    missing_docs
)]

mod common;

use core::time::Duration;
use std::collections::HashMap;

use common::{FIN, RST, SYN, at, config, drain};
use netflow_flowcache::{
    Config, Counters, ExpireReason, ExpiredFlow, FirstPacket, FlowKey, FlowTable, ObservedPacket, SevenTuple,
    Timeouts, Timestamp,
};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Operation {
    /// A packet of one of a few flows, so many milliseconds later; backwards if negative.
    Packet {
        flow: u8,
        millis: i64,
        flags: u16,
        octets: u16,
    },
    Timeout {
        millis: i64,
    },
    Poll {
        times: u8,
    },
    Flush {
        code: u8,
    },
}

fn millis() -> impl Strategy<Value = i64> {
    prop_oneof![
        30 => 0..500_i64,
        10 => 500..5_000_i64,
        2 => 5_000..60_000_i64,
        // Late packets, a clock set back, and leaps over a year.
        3 => -900..0_i64,
        1 => -10_000_000..-20_000_i64,
        1 => 10_000_000..40_000_000_000_i64,
    ]
}

fn operation(flows: u8) -> impl Strategy<Value = Operation> {
    let flags = prop_oneof![12 => Just(0x10), 2 => Just(FIN), 1 => Just(RST), 2 => Just(SYN)];
    prop_oneof![
        20 => (0..flows, millis(), flags, any::<u16>())
            .prop_map(|(flow, millis, flags, octets)| Operation::Packet { flow, millis, flags, octets }),
        2 => millis().prop_map(|millis| Operation::Timeout { millis }),
        6 => (0..8_u8).prop_map(|times| Operation::Poll { times }),
        1 => (4..9_u8).prop_map(|code| Operation::Flush { code }),
    ]
}

fn duration() -> impl Strategy<Value = Option<Duration>> {
    prop_oneof![
        1 => Just(None),
        1 => Just(Some(Duration::ZERO)),
        8 => (1..20_000_u64).prop_map(|millis| Some(Duration::from_millis(millis))),
    ]
}

fn timeouts() -> impl Strategy<Value = Timeouts> {
    (duration(), duration(), duration()).prop_map(|(active, inactive, tcp_end)| {
        let mut timeouts = Timeouts::default();
        (timeouts.active, timeouts.inactive, timeouts.tcp_end) = (active, inactive, tcp_end);
        timeouts
    })
}

fn observed(flow: u8, flags: u16, octets: u16) -> ObservedPacket {
    let mut packet =
        if flow.is_multiple_of(3) { common::packet_v6(flow.into()) } else { common::packet(flow.into()) };
    packet.tcp_flags = flags;
    packet.octets = octets.into();
    packet.ttl = octets as u8;
    packet.egress_interface = u32::from(octets) + 1;
    packet
}

/// What a record comes down to, in an order of its own.
type Row = (SevenTuple, Timestamp, u8, [u64; 9], u32);

fn row(key: SevenTuple, counters: &Counters, first: FirstPacket, reason: ExpireReason) -> Row {
    let numbers = [
        counters.packets,
        counters.octets,
        counters.first.as_nanos(),
        counters.last.as_nanos(),
        counters.tcp_flags.into(),
        counters.minimum_length.into(),
        counters.maximum_length.into(),
        counters.minimum_ttl.into(),
        counters.maximum_ttl.into(),
    ];
    (key, counters.first, reason.code(), numbers, first.egress_interface)
}

/// Unlimited, and ends flows only when a packet or a flush comes by.
struct Model {
    timeouts: Timeouts,
    reorder: Duration,
    clock: Timestamp,
    flows: HashMap<SevenTuple, (Counters, FirstPacket)>,
    ended: Vec<Row>,
}

impl Model {
    fn new(config: &Config) -> Self {
        Self {
            timeouts: config.timeouts,
            reorder: config.reorder,
            clock: Timestamp::ZERO,
            flows: HashMap::new(),
            ended: Vec::new(),
        }
    }

    fn set_clock(&mut self, now: Timestamp) {
        if self.clock.saturating_since(now) > self.reorder {
            self.flush(ExpireReason::FORCED_END);
            self.clock = now;
        }
        self.clock = self.clock.max(now);
    }

    fn packet(&mut self, packet: &ObservedPacket, now: Timestamp) {
        self.set_clock(now);
        let key = SevenTuple::of(packet);
        if let Some((counters, _)) = self.flows.get(&key) {
            let again = packet.tcp_flags & SYN != 0 && counters.tcp_flags & FIN != 0;
            let again = (again && self.timeouts.tcp_end.is_some()).then_some(ExpireReason::END_OF_FLOW);
            if let Some(reason) = self.passed(counters).or(again) {
                self.end(key, reason);
            }
        }
        let clock = self.clock;
        let (counters, _) = self.flows.entry(key).or_insert_with(|| {
            let mut counters = Counters::default();
            (counters.first, counters.minimum_length, counters.minimum_ttl) = (clock, u32::MAX, u8::MAX);
            (counters, FirstPacket::of(packet))
        });
        counters.packets += 1;
        counters.octets += u64::from(packet.octets);
        counters.last = clock;
        counters.tcp_flags |= packet.tcp_flags;
        counters.minimum_length = counters.minimum_length.min(packet.octets);
        counters.maximum_length = counters.maximum_length.max(packet.octets);
        counters.minimum_ttl = counters.minimum_ttl.min(packet.ttl);
        counters.maximum_ttl = counters.maximum_ttl.max(packet.ttl);
        let counters = *counters;
        if packet.tcp_flags & RST != 0 && self.timeouts.tcp_end.is_some() {
            self.end(key, ExpireReason::END_OF_FLOW);
        } else if let Some(reason) = self.passed(&counters) {
            self.end(key, reason);
        }
    }

    fn flush(&mut self, reason: ExpireReason) {
        let flows: Vec<_> = self.flows.iter().map(|(key, (counters, _))| (*key, *counters)).collect();
        for (key, counters) in flows {
            self.end(key, self.passed(&counters).unwrap_or(reason));
        }
    }

    fn end(&mut self, key: SevenTuple, reason: ExpireReason) {
        let (counters, first) = self.flows.remove(&key).unwrap();
        self.ended.push(row(key, &counters, first, reason));
    }

    /// Straight from the definition of the timeouts.
    fn passed(&self, counters: &Counters) -> Option<ExpireReason> {
        let mut deadlines = Vec::new();
        if let Some(linger) = self.timeouts.tcp_end.filter(|_| counters.tcp_flags & FIN != 0) {
            deadlines.push((counters.last.saturating_add(linger), 0, ExpireReason::END_OF_FLOW));
        }
        if let Some(inactive) = self.timeouts.inactive {
            deadlines.push((counters.last.saturating_add(inactive), 1, ExpireReason::IDLE_TIMEOUT));
        }
        if let Some(active) = self.timeouts.active {
            deadlines.push((counters.first.saturating_add(active), 2, ExpireReason::ACTIVE_TIMEOUT));
        }
        let (deadline, _, reason) = deadlines.into_iter().min_by_key(|(time, rank, _)| (*time, *rank))?;
        (deadline <= self.clock).then_some(reason)
    }
}

/// Runs the operations; `each` sees the table after every one.
fn run(
    config: &Config,
    operations: &[Operation],
    mut model: Option<&mut Model>,
    each: impl Fn(&FlowTable),
) -> (FlowTable, Vec<ExpiredFlow<SevenTuple>>) {
    let mut table: FlowTable = FlowTable::new(config);
    let mut flows = Vec::new();
    let mut now = at(0);
    let mut flushes = 0;
    let step = |now: Timestamp, millis: i64| {
        Timestamp::from_nanos(now.as_nanos().saturating_add_signed(millis.saturating_mul(1_000_000)))
    };
    for operation in operations {
        // More than eight flushes under way may share a reason; the clock set back makes one, too.
        flushes += 1;
        if flushes == 8 {
            flows.extend(drain(&mut table));
            flushes = 0;
        }
        match *operation {
            Operation::Packet { flow, millis, flags, octets } => {
                now = step(now, millis);
                let packet = observed(flow, flags, octets);
                table.handle_packet(&packet, now);
                if let Some(model) = &mut model {
                    model.packet(&packet, now);
                }
            }
            Operation::Timeout { millis } => {
                now = step(now, millis);
                table.handle_timeout(now);
                if let Some(model) = &mut model {
                    model.set_clock(now);
                }
            }
            Operation::Poll { times } => flows.extend((0..times).filter_map(|_| table.poll_expired())),
            Operation::Flush { code } => {
                table.flush(ExpireReason::from_code(code));
                if let Some(model) = &mut model {
                    model.flush(ExpireReason::from_code(code));
                }
            }
        }
        each(&table);
    }
    table.flush(ExpireReason::FORCED_END);
    if let Some(model) = &mut model {
        model.flush(ExpireReason::FORCED_END);
    }
    flows.extend(drain(&mut table));
    assert!(table.is_empty());
    assert_eq!(table.poll_timeout(), None);
    (table, flows)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    // M1, M5, M10, M13, M15, M30 (late packets and clocks set back)
    #[test]
    fn with_enough_room_the_table_equals_the_model(
        timeouts in timeouts(),
        operations in prop::collection::vec(operation(20), 1..300),
    ) {
        let mut config = config(1024);
        config.timeouts = timeouts;
        let mut model = Model::new(&config);
        let (table, flows) = run(&config, &operations, Some(&mut model), |_| {});
        let mut rows: Vec<Row> =
            flows.iter().map(|flow| row(flow.key, &flow.counters, flow.first_packet, flow.reason)).collect();
        rows.sort_unstable();
        model.ended.sort_unstable();
        prop_assert_eq!(rows, model.ended);
        prop_assert_eq!(table.stats().ignored_packets, 0);
        prop_assert_eq!(table.stats().expired(ExpireReason::LACK_OF_RESOURCES), flows
            .iter().filter(|flow| flow.reason == ExpireReason::LACK_OF_RESOURCES).count() as u64);
    }

    // M17, M18, M20, M21, M30
    #[test]
    fn any_capacity_conserves_packets_and_octets(
        capacity in 1..40_usize,
        pending in 1..20_usize,
        timeouts in timeouts(),
        operations in prop::collection::vec(operation(100), 1..300),
    ) {
        let mut config = config(capacity);
        config.pending = pending;
        config.timeouts = timeouts;
        let (table, flows) = run(&config, &operations, None, |table| assert!(table.len() <= table.capacity()));
        let stats = *table.stats();
        let packets: u64 = flows.iter().map(|flow| flow.counters.packets).sum();
        let octets: u64 = flows.iter().map(|flow| flow.counters.octets).sum();
        prop_assert_eq!(stats.packets, packets + stats.ignored_packets);
        prop_assert_eq!(stats.octets, octets + stats.ignored_octets);
        prop_assert_eq!(stats.flows_created, flows.len() as u64);
        prop_assert_eq!(stats.expired_total(), flows.len() as u64);
        for flow in &flows {
            prop_assert!(flow.counters.first <= flow.counters.last);
        }
    }

    // M33
    #[test]
    fn the_same_packets_and_times_give_the_same_records_in_the_same_order(
        capacity in 1..40_usize,
        timeouts in timeouts(),
        operations in prop::collection::vec(operation(100), 1..200),
    ) {
        let mut config = config(capacity);
        config.timeouts = timeouts;
        let (first, flows) = run(&config, &operations, None, |_| {});
        let (second, again) = run(&config, &operations, None, |_| {});
        prop_assert_eq!(flows, again);
        prop_assert_eq!(first.stats(), second.stats());
    }
}
