//! Random operations on a table, and random configurations.

use core::time::Duration;

use netflow_flowcache::{
    CacheKind, Config, Emergency, ExpireReason, ExpiredFlow, FlowTable, Fragment, Inactive, ObservedPacket,
    ShortFlows, Timeouts, Timestamp, WhenFull,
};
use proptest::prelude::*;

use super::{FIN, RST, SYN, at, config, drain, model::Model, packet, packet_v6};

#[derive(Clone, Debug)]
pub enum Operation {
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

pub fn operation(flows: u8) -> impl Strategy<Value = Operation> {
    let flags = prop_oneof![12 => Just(0x10), 2 => Just(FIN), 1 => Just(RST), 2 => Just(SYN)];
    prop_oneof![
        20 => (0..flows, millis(), flags, any::<u16>())
            .prop_map(|(flow, millis, flags, octets)| Operation::Packet { flow, millis, flags, octets }),
        2 => millis().prop_map(|millis| Operation::Timeout { millis }),
        6 => (0..8_u8).prop_map(|times| Operation::Poll { times }),
        1 => (4..9_u8).prop_map(|code| Operation::Flush { code }),
    ]
}

fn some_duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        1 => Just(Duration::ZERO),
        8 => (1..20_000_u64).prop_map(Duration::from_millis),
    ]
}

fn duration() -> impl Strategy<Value = Option<Duration>> {
    prop_oneof![1 => Just(None), 9 => some_duration().prop_map(Some)]
}

fn inactive() -> impl Strategy<Value = Inactive> {
    prop_oneof![
        4 => Just(Inactive::AsOthers),
        1 => Just(Inactive::Never),
        2 => some_duration().prop_map(Inactive::After),
    ]
}

fn timeouts() -> impl Strategy<Value = Timeouts> {
    let short = prop_oneof![
        2 => Just(None),
        1 => (0..5_u64, some_duration()).prop_map(|(fewer_than, inactive)| Some(ShortFlows { fewer_than, inactive })),
    ];
    let reset = prop_oneof![Just(None), Just(Some(Duration::ZERO)), duration()];
    let lifetime = prop_oneof![3 => Just(None), 1 => duration()];
    ((duration(), duration(), duration(), reset), (inactive(), inactive(), inactive()), (short, lifetime))
        .prop_map(|(general, inactive, (short_flows, lifetime))| {
            let mut timeouts = Timeouts::default();
            (timeouts.active, timeouts.inactive, timeouts.tcp_end, timeouts.tcp_reset) = general;
            (timeouts.inactive_tcp, timeouts.inactive_udp, timeouts.inactive_icmp) = inactive;
            (timeouts.short_flows, timeouts.lifetime) = (short_flows, lifetime);
            timeouts
        })
}

/// Any configuration for so many flows of each family.
pub fn any_config(capacity: usize) -> impl Strategy<Value = Config> {
    let kind = prop_oneof![
        6 => Just(CacheKind::Normal),
        1 => Just(CacheKind::Immediate),
        1 => Just(CacheKind::Permanent),
    ];
    let when_full =
        prop_oneof![Just(WhenFull::EvictLongestIdle), Just(WhenFull::EvictOldest), Just(WhenFull::RefuseNew)];
    let emergency = prop_oneof![
        2 => Just(None),
        1 => (1..101_u8, some_duration()).prop_map(|(high, inactive)| {
            Some(Emergency { high, low: high / 2, inactive })
        }),
    ];
    let limit = prop_oneof![
        3 => Just(None),
        1 => (1..200_000_u64).prop_map(Some),
        1 => (1..20_u64).prop_map(Some),
    ];
    (timeouts(), kind, when_full, emergency, limit).prop_map(
        move |(timeouts, kind, when_full, emergency, counter_limit)| {
            let mut config = config(capacity);
            (config.timeouts, config.kind, config.when_full) = (timeouts, kind, when_full);
            config.counter_limit = counter_limit;
            // With room for all flows, no emergency may end any.
            config.emergency = emergency.filter(|_| capacity < 100);
            if kind == CacheKind::Permanent {
                config.timeouts.active = Some(Duration::from_millis(4_321));
            }
            config
        },
    )
}

pub fn observed(flow: u8, flags: u16, octets: u16) -> ObservedPacket {
    let mut packet = if flow.is_multiple_of(3) { packet_v6(flow.into()) } else { packet(flow.into()) };
    packet.protocol = [6, 6, 17, 1, 47][usize::from(flow % 5)];
    packet.tcp_flags = if packet.protocol == 6 { flags } else { 0 };
    packet.octets = octets.into();
    packet.ttl = octets as u8;
    packet.egress_interface = u32::from(octets) + 1;
    packet.fragment = [Fragment::Unfragmented, Fragment::Unfragmented, Fragment::First, Fragment::Later]
        [usize::from(octets % 4)];
    packet
}

fn step(now: Timestamp, millis: i64) -> Timestamp {
    Timestamp::from_nanos(now.as_nanos().saturating_add_signed(millis.saturating_mul(1_000_000)))
}

/// Polls until nothing is left to poll now.
fn drain_all(table: &mut FlowTable, flows: &mut Vec<ExpiredFlow>) {
    loop {
        flows.extend(drain(table));
        if table.poll_timeout().is_none_or(|time| time > table.clock()) {
            return;
        }
    }
}

/// Runs the operations; `each` sees the table after every one.
pub fn run(
    config: &Config,
    operations: &[Operation],
    mut model: Option<&mut Model>,
    each: impl Fn(&FlowTable),
) -> (FlowTable, Vec<ExpiredFlow>) {
    let mut table: FlowTable = FlowTable::new(config).unwrap();
    let mut flows = Vec::new();
    let mut now = at(0);
    let mut flushes = 0;
    for operation in operations {
        // More than eight flushes under way may share a reason; the clock set back makes one, too.
        flushes += 1;
        if flushes == 8 {
            drain_all(&mut table, &mut flows);
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
    finish(&mut table, &mut flows);
    if let Some(model) = &mut model {
        model.flush(ExpireReason::FORCED_END);
    }
    (table, flows)
}

/// Runs the packets in batches of any size and with other polls; other operations end a batch.
pub fn run_in_batches(config: &Config, operations: &[Operation]) -> (FlowTable, Vec<ExpiredFlow>) {
    let mut table: FlowTable = FlowTable::new(config).unwrap();
    let mut flows = Vec::new();
    let mut now = at(0);
    let mut batch = Vec::new();
    let mut flushes = 0;
    for operation in operations {
        match *operation {
            Operation::Packet { flow, millis, flags, octets } => {
                now = step(now, millis);
                batch.push((observed(flow, flags, octets), now));
                // As above: a clock set back is a flush, and more than eight of them may share a reason.
                flushes += u8::from(millis < 0);
                if octets % 50 != 0 && flushes < 8 {
                    continue;
                }
            }
            Operation::Timeout { millis } => now = step(now, millis),
            Operation::Poll { times } => {
                table.poll_expired_batch(times.into(), |flow| flows.push(*flow));
            }
            Operation::Flush { code } => table.flush(ExpireReason::from_code(code)),
        }
        hand_in(&mut table, &mut batch, &mut flows);
        if flushes == 8 {
            drain_all(&mut table, &mut flows);
            flushes = 0;
        }
        table.handle_timeout(now);
    }
    hand_in(&mut table, &mut batch, &mut flows);
    finish(&mut table, &mut flows);
    (table, flows)
}

fn hand_in(
    table: &mut FlowTable,
    batch: &mut Vec<(ObservedPacket, Timestamp)>,
    flows: &mut Vec<ExpiredFlow>,
) {
    let mut rest = &batch[..];
    while !rest.is_empty() {
        let handled = table.handle_packets(rest);
        assert!(handled > 0);
        rest = &rest[handled..];
        flows.extend(drain(table));
    }
    batch.clear();
}

fn finish(table: &mut FlowTable, flows: &mut Vec<ExpiredFlow>) {
    table.flush(ExpireReason::FORCED_END);
    drain_all(table, flows);
    assert!(table.is_empty());
    assert_eq!(table.poll_timeout(), None);
}
