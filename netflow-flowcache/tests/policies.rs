//! Timeouts by kind of flow, kinds of caches, counter limits, and what a full table does.
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

use common::{
    ACK, FIN, RST, at, at_millis, config, drain, drain_due, packet, packet_v6, secs, table, with_flags,
};
use netflow_flowcache::{
    CacheKind, Config, ConfigError, Emergency, ExpireReason, ExpiredFlow, FlowTable, HashSeed, Inactive,
    ObservedPacket, SevenTuple, ShortFlows, Timeouts, Totals, Weighted, WhenFull,
};

fn of_protocol(flow: u32, protocol: u8) -> ObservedPacket {
    let mut packet = packet(flow);
    packet.protocol = protocol;
    packet
}

fn records(flows: &[ExpiredFlow]) -> Vec<(u64, ExpireReason)> {
    flows.iter().map(|flow| (flow.counters.packets, flow.reason)).collect()
}

// M10
#[test]
fn protocols_have_inactive_timeouts_of_their_own() {
    let mut config = config(16);
    config.timeouts.inactive_tcp = Inactive::After(Duration::from_secs(100));
    config.timeouts.inactive_udp = Inactive::After(Duration::from_secs(3));
    config.timeouts.inactive_icmp = Inactive::Never;
    config.timeouts.active = None;
    let mut table = table(&config);
    for protocol in [6, 17, 1, 47] {
        table.handle_packet(&of_protocol(1, protocol), at(0));
    }
    let mut icmp6 = packet_v6(1);
    icmp6.protocol = 58;
    table.handle_packet(&icmp6, at(0));
    let mut ended = Vec::new();
    for second in 0..200 {
        for flow in drain_due(&mut table, at_millis(second * 1_000 + 68)) {
            ended.push((second, flow.key.protocol()));
        }
    }
    assert_eq!(ended, [(3, 17), (15, 47), (100, 6)]);
    assert_eq!((table.len(), table.poll_timeout()), (2, None), "ICMP never ends");
}

// M10
#[test]
fn a_flow_of_few_packets_ends_sooner() {
    let mut config = config(16);
    config.timeouts.short_flows = Some(ShortFlows { fewer_than: 3, inactive: Duration::from_secs(2) });
    let mut table = table(&config);
    for packets in 1..=3 {
        for _ in 0..packets {
            table.handle_packet(&packet(packets), at(0));
        }
    }
    let flows = drain_due(&mut table, at_millis(2_068));
    assert_eq!(records(&flows), [(1, ExpireReason::IDLE_TIMEOUT), (2, ExpireReason::IDLE_TIMEOUT)]);
    assert_eq!(drain_due(&mut table, at_millis(15_068)).len(), 1);
}

// M15
#[test]
fn a_reset_can_linger_too() {
    let mut config = config(16);
    config.timeouts.tcp_reset = secs(5);
    let mut table = table(&config);
    table.handle_packet(&with_flags(1, RST), at(0));
    table.handle_packet(&with_flags(1, ACK), at(4));
    assert_eq!(drain_due(&mut table, at(8)).len(), 0);
    assert_eq!(records(&drain_due(&mut table, at_millis(9_068))), [(2, ExpireReason::END_OF_FLOW)]);
}

// M12, M28
#[test]
fn a_flow_that_is_reported_by_the_active_timeout_is_observed_once() {
    let mut config = config(16);
    config.timeouts.active = secs(10);
    for poll_each in [true, false] {
        let mut table = table(&config);
        let mut ended = 0;
        for second in 0..100 {
            table.handle_packet(&packet(1), at(second));
            if poll_each {
                table.handle_timeout(at_millis(second * 1_000 + 999));
                ended += drain(&mut table).len();
            }
        }
        ended += drain_due(&mut table, at(200)).len();
        assert_eq!((ended, table.stats().observed_flows, table.stats().records_begun), (10, 1, 10));
        // After a silence it is another flow.
        table.handle_packet(&packet(1), at(300));
        assert_eq!(table.stats().observed_flows, 2);
    }
}

// M14: both kinds of counters, side by side.
#[test]
fn delta_counters_restart_and_total_counters_go_on() {
    let mut config = config(16);
    config.timeouts.active = secs(10);
    let mut table = FlowTable::<SevenTuple, Totals>::new(&config).unwrap();
    let mut flows = Vec::new();
    for second in 0..30 {
        table.handle_packet(&packet(1), at(second));
        flows.extend(drain(&mut table));
    }
    flows.extend(drain_due(&mut table, at(100)));
    let counts: Vec<_> = flows
        .iter()
        .map(|flow| (flow.counters.packets, flow.extra.packets, flow.extra.octets, flow.extra.start))
        .collect();
    assert_eq!(counts, [(10, 10, 1_000, at(0)), (10, 20, 2_000, at(0)), (10, 30, 3_000, at(0))]);
    // What follows after a silence begins from zero.
    table.handle_packet(&packet(1), at(200));
    assert_eq!(drain_due(&mut table, at(300))[0].extra.packets, 1);
}

#[test]
fn a_lifetime_ends_the_flow_and_what_follows_is_another() {
    let mut config = config(16);
    (config.timeouts.active, config.timeouts.lifetime) = (secs(10), secs(25));
    let mut table = FlowTable::<SevenTuple, Totals>::new(&config).unwrap();
    let mut flows = Vec::new();
    for second in 0..50 {
        table.handle_packet(&packet(1), at(second));
        flows.extend(drain(&mut table));
    }
    flows.extend(drain_due(&mut table, at(100)));
    let packets: Vec<_> = flows.iter().map(|flow| (flow.counters.packets, flow.extra.packets)).collect();
    assert_eq!(packets, [(10, 10), (10, 20), (5, 25), (10, 10), (10, 20), (5, 25)]);
    assert_eq!(table.stats().observed_flows, 2);
}

// M16, M19 (reason 5)
#[test]
fn a_record_ends_before_its_octets_pass_32_bits() {
    let mut config = config(16);
    config.counter_limit = Some(u32::MAX.into());
    let mut table = table(&config);
    let mut big = packet(1);
    big.octets = 1 << 31;
    let mut flows = Vec::new();
    for second in 0..5 {
        table.handle_packet(&big, at(second));
        flows.extend(drain(&mut table));
    }
    flows.extend(drain_due(&mut table, at(100)));
    assert_eq!(flows.len(), 5);
    assert!(flows.iter().all(|flow| flow.counters.octets <= u32::MAX.into()));
    assert_eq!(flows[0].reason, ExpireReason::LACK_OF_RESOURCES);
    let stats = table.stats();
    assert_eq!((stats.counter_limits, stats.evictions, stats.observed_flows), (4, 0, 1));
}

// M16
#[test]
fn a_record_ends_before_its_packets_pass_the_limit_even_if_they_are_empty() {
    let mut config = config(16);
    config.counter_limit = Some(3);
    let mut table = table(&config);
    let mut empty = packet(1);
    empty.octets = 0;
    for _ in 0..7 {
        table.handle_packet(&empty, at(0));
    }
    let flows = drain_due(&mut table, at(100));
    assert_eq!(flows.iter().map(|flow| flow.counters.packets).collect::<Vec<_>>(), [3, 3, 1]);
    // A packet above the limit by itself makes a record beyond it: it can be in no other.
    table.handle_packet(&packet(2), at(200));
    table.handle_packet(&packet(2), at(200));
    let flows = drain_due(&mut table, at(300));
    assert_eq!(flows.iter().map(|flow| flow.counters.octets).collect::<Vec<_>>(), [100, 100]);
}

// M29
#[test]
fn a_permanent_cache_hands_out_each_interval_and_keeps_its_flows() {
    let mut config = config(16);
    (config.kind, config.timeouts.active) = (CacheKind::Permanent, secs(60));
    let mut table = FlowTable::<SevenTuple, Totals>::new(&config).unwrap();
    let mut flows = Vec::new();
    for minute in 0..10 {
        table.handle_packet(&with_flags(1, FIN | RST), at(minute * 60));
        // A day of silence changes nothing.
        flows.extend(drain_due(&mut table, at(minute * 60 + 60)));
        assert_eq!(table.len(), 1);
    }
    flows.extend(drain_due(&mut table, at(86_400)));
    assert_eq!(flows.len(), 10);
    assert!(flows.iter().all(|flow| flow.reason == ExpireReason::ACTIVE_TIMEOUT));
    assert_eq!(flows.iter().map(|flow| flow.counters.packets).sum::<u64>(), 10);
    assert_eq!(flows[9].extra.packets, 10);
    assert_eq!((table.len(), table.poll_timeout(), table.stats().observed_flows), (1, None, 1));
    table.flush(ExpireReason::FORCED_END);
    assert_eq!((drain(&mut table).len(), table.len()), (0, 0), "nothing came since");
}

// M11
#[test]
fn an_immediate_cache_makes_a_record_of_each_packet_whatever_the_timeouts() {
    let mut config = config(16);
    (config.kind, config.timeouts) = (CacheKind::Immediate, Timeouts::NEVER);
    let mut table = table(&config);
    for _ in 0..5 {
        table.handle_packet(&packet(1), at(0));
        table.handle_packet(&packet_v6(1), at(0));
    }
    assert!(table.is_empty());
    assert_eq!(records(&drain(&mut table)), [(1, ExpireReason::IDLE_TIMEOUT); 10]);
}

// M17
#[test]
fn the_policy_chooses_who_makes_room() {
    let evicted = |when_full| {
        let mut config = config(8);
        config.when_full = when_full;
        let mut table = table(&config);
        for flow in 0..8 {
            table.handle_packet(&packet(flow), at_millis(u64::from(flow)));
        }
        // The oldest is not the one that was silent longest.
        table.handle_packet(&packet(0), at_millis(100));
        table.handle_packet(&packet(99), at_millis(200));
        let flows = drain(&mut table);
        (flows.first().map(|flow| (flow.key, flow.reason)), table.stats())
    };
    let key = |flow| SevenTuple::of(&packet(flow));
    let (idle, stats) = evicted(WhenFull::EvictLongestIdle);
    assert_eq!(idle, Some((key(1), ExpireReason::LACK_OF_RESOURCES)));
    assert_eq!((stats.evictions, stats.ignored_packets), (1, 0));
    let (oldest, stats) = evicted(WhenFull::EvictOldest);
    assert_eq!(oldest, Some((key(0), ExpireReason::LACK_OF_RESOURCES)));
    assert_eq!((stats.evictions, stats.ignored_packets), (1, 0));
    let (refused, stats) = evicted(WhenFull::RefuseNew);
    assert_eq!(refused, None);
    assert_eq!((stats.evictions, stats.ignored_packets, stats.refused_packets), (0, 1, 1));
}

// M17, M18, M21
#[test]
fn a_table_that_refuses_new_flows_reaches_its_capacity_exactly() {
    for capacity in [1, 7, 100, 1_000, 10_000] {
        let mut config = config(capacity);
        config.when_full = WhenFull::RefuseNew;
        let mut table = table(&config);
        for flow in 0..2 * capacity as u32 {
            table.handle_packet(&packet(flow), at(0));
        }
        let stats = table.stats();
        assert_eq!(table.len(), capacity);
        assert_eq!((stats.ignored_packets, stats.ignored_octets), (capacity as u64, 100 * capacity as u64));
        // Those that are in go on.
        table.handle_packet(&packet(0), at(1));
        assert_eq!(table.stats().ignored_packets, capacity as u64);
        assert_eq!(table.stats().probe_lengths.iter().sum::<u64>(), capacity as u64);
    }
}

// M17: between the watermarks, idle flows leave early.
#[test]
fn in_an_emergency_flows_end_after_a_shorter_silence() {
    let run = |emergency| {
        let mut config = config(1_000);
        config.emergency = emergency;
        let mut table = table(&config);
        let mut ended = Vec::new();
        // Ten flows a second for ever: with 15 s each, 150 would be in. Then a hundred a second.
        for number in 0..3_000_u32 {
            let millis = if number < 500 { number * 100 } else { 50_000 + (number - 500) * 10 };
            table.handle_packet(&packet(number), at_millis(millis.into()));
            ended.extend(drain(&mut table));
        }
        (ended, table.stats(), table.len())
    };
    let (_, stats, len) = run(None);
    assert_eq!((stats.emergencies, stats.emergency_evictions), (0, 0));
    assert!(stats.evictions > 100 && len == 1_000, "without it, the table is full");
    let (ended, stats, len) = run(Some(Emergency { high: 90, low: 50, inactive: Duration::from_secs(4) }));
    assert!(stats.emergencies > 0 && stats.emergency_evictions > 500);
    assert_eq!(stats.evictions, 0, "the table never fills");
    assert!(len < 900);
    let early = ended.iter().filter(|flow| flow.reason == ExpireReason::LACK_OF_RESOURCES);
    assert_eq!(early.count() as u64, stats.emergency_evictions);
}

// M23
#[test]
fn a_flush_when_the_sampling_changes_keeps_before_and_after_apart() {
    let mut table = table(&config(16));
    for second in 0..4 {
        if second == 2 {
            table.flush(ExpireReason::FORCED_END);
        }
        table.handle_packet(&packet(1), at(second));
    }
    let flows = drain_due(&mut table, at(100));
    assert_eq!(records(&flows), [(2, ExpireReason::FORCED_END), (2, ExpireReason::IDLE_TIMEOUT)]);
    assert!(flows[0].counters.last < flows[1].counters.first);
    assert_eq!(table.stats().observed_flows, 2);
}

// M34: more flushes than can be numbered lose nothing and mix nothing.
#[test]
fn a_thousand_flushes_without_a_poll_keep_each_packet_in_one_record() {
    let mut config = config(4_000);
    config.pending = 4_000;
    let mut table = table(&config);
    for number in 0..1_000 {
        table.handle_packet(&packet(1), at_millis(number));
        table.flush(ExpireReason::FORCED_END);
    }
    let mut flows = Vec::new();
    while table.poll_timeout().is_some() {
        flows.extend(drain(&mut table));
    }
    assert_eq!(records(&flows), [(1, ExpireReason::FORCED_END); 1_000]);
    assert!(table.is_empty());
    table.handle_packet(&packet(1), at(2));
    table.handle_packet(&packet(1), at(2));
    assert_eq!(records(&drain_due(&mut table, at(100))), [(2, ExpireReason::IDLE_TIMEOUT)]);
}

#[test]
fn weights_estimate_and_counters_count_what_was_sampled() {
    let mut table = FlowTable::<SevenTuple, (Weighted, Totals)>::new(&config(16)).unwrap();
    for weight in [1, 1_000, u32::MAX] {
        let mut packet = packet(1);
        packet.weight = weight;
        table.handle_packet(&packet, at(0));
    }
    let flow = drain_due(&mut table, at(20))[0];
    let packets = 1_001 + u64::from(u32::MAX);
    assert_eq!((flow.extra.0.packets, flow.extra.0.octets), (packets, 100 * packets));
    assert_eq!((flow.counters.packets, flow.extra.1.packets), (3, 3));
}

// M17
#[test]
fn what_makes_no_table_is_refused_with_a_reason() {
    let refused = |change: fn(&mut Config)| {
        let mut config = Config::new(16, HashSeed::from_u64(1));
        change(&mut config);
        let error = FlowTable::<SevenTuple>::new(&config).unwrap_err();
        assert!(!error.to_string().is_empty());
        error
    };
    assert_eq!(refused(|config| config.capacity = 0), ConfigError::NoRoom);
    assert_eq!(refused(|config| config.pending = 0), ConfigError::NoRoom);
    assert_eq!(refused(|config| config.capacity = usize::MAX), ConfigError::TooLarge);
    assert_eq!(refused(|config| config.ipv6_capacity = Config::MAX_CAPACITY + 1), ConfigError::TooLarge);
    assert_eq!(refused(|config| config.pending = usize::MAX), ConfigError::TooLarge);
    assert_eq!(refused(|config| config.timeouts.active = Some(Duration::MAX)), ConfigError::TimeoutTooLong);
    assert_eq!(
        refused(|config| config.timeouts.inactive_udp = Inactive::After(Duration::MAX)),
        ConfigError::TimeoutTooLong
    );
    assert_eq!(refused(|config| config.reorder = Duration::MAX), ConfigError::TimeoutTooLong);
    assert_eq!(refused(|config| config.counter_limit = Some(0)), ConfigError::NothingCounted);
    for (high, low) in [(50, 50), (101, 10), (0, 0)] {
        let mut config = Config::new(16, HashSeed::from_u64(1));
        config.emergency = Some(Emergency { high, low, inactive: Duration::ZERO });
        assert_eq!(FlowTable::<SevenTuple>::new(&config).unwrap_err(), ConfigError::Watermarks);
    }
    for active in [None, secs(0)] {
        let mut config = Config::new(16, HashSeed::from_u64(1));
        (config.kind, config.timeouts.active) = (CacheKind::Permanent, active);
        let error = FlowTable::<SevenTuple>::new(&config).unwrap_err();
        assert_eq!(error, ConfigError::PermanentWithoutInterval);
    }
}

#[test]
fn without_room_for_ipv6_its_packets_are_ignored_and_counted() {
    let mut config = config(16);
    config.ipv6_capacity = 0;
    let mut table = table(&config);
    for _ in 0..3 {
        table.handle_packet(&packet(1), at(0));
        table.handle_packet(&packet_v6(1), at(0));
    }
    let batch = [(packet_v6(1), at(0)), (packet(1), at(0))];
    assert_eq!(table.handle_packets(&batch), 2);
    assert_eq!((table.len(), table.ipv6_len(), table.capacity()), (1, 0, 16));
    assert_eq!((table.stats().packets, table.stats().ignored_packets), (8, 4));
}

#[test]
fn memory_is_what_the_documentation_says() {
    let octets = |capacity, ipv6_capacity| {
        let mut config = Config::new(capacity, HashSeed::from_u64(1));
        config.ipv6_capacity = ipv6_capacity;
        FlowTable::<SevenTuple>::new(&config).unwrap().memory_octets()
    };
    let million = 1_000_000;
    // Lists and room for flows that wait are the same for a small table and a large one.
    let fixed = octets(8, 8);
    assert!(fixed < 200_000, "{fixed}");
    assert!(octets(million, 8) - fixed <= 80 * million);
    assert!(octets(8, million) - fixed <= 112 * million);
    let default = FlowTable::<SevenTuple>::new(&Config::new(1 << 20, HashSeed::from_u64(1))).unwrap();
    assert!(default.memory_octets() <= 96 << 20, "{}", default.memory_octets());
    assert_eq!(default.capacity(), (1 << 20) + (1 << 17));
}
