//! When flows end, and why.
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

use common::{ACK, FIN, RST, SYN, at, at_millis, config, drain, drain_due, packet, secs, table, with_flags};
use netflow_flowcache::{
    ExpireReason, FirstPacket, FlowKey, FlowTable, HashSeed, MplsStack, ObservedPacket, SevenTuple, Timeouts,
    Timestamp,
};

/// Packets per record, and the reasons, in the order handed out.
fn records(flows: &[netflow_flowcache::ExpiredFlow<SevenTuple>]) -> Vec<(u64, ExpireReason)> {
    flows.iter().map(|flow| (flow.counters.packets, flow.reason)).collect()
}

// M10
#[test]
fn a_packet_at_the_inactive_timeout_begins_a_new_record_and_one_before_does_not() {
    for (gap, expected) in [(14_999_999_999, 1), (15_000_000_000, 2), (15_000_000_001, 2)] {
        let mut table = table(&config(8));
        table.handle_packet(&packet(1), Timestamp::from_nanos(1_000));
        table.handle_packet(&packet(1), Timestamp::from_nanos(1_000 + gap));
        table.flush(ExpireReason::FORCED_END);
        assert_eq!(drain(&mut table).len(), expected, "gap of {gap} ns");
    }
}

// M10
#[test]
fn a_silent_flow_is_handed_out_within_a_tick_of_its_deadline_and_not_before() {
    let mut table = table(&config(8));
    table.handle_packet(&packet(1), at(0));
    table.handle_packet(&packet(1), at(3));
    table.handle_timeout(at_millis(17_999));
    assert_eq!(table.poll_expired(), None);
    table.handle_timeout(at_millis(18_000 + 68));
    let flows = drain(&mut table);
    assert_eq!(records(&flows), [(2, ExpireReason::IDLE_TIMEOUT)]);
    assert_eq!((flows[0].counters.first, flows[0].counters.last), (at(0), at(3)));
    assert!(table.is_empty());
}

// M10: expiry needs no traffic, and the caller is told how long to wait.
#[test]
fn following_poll_timeout_finds_every_flow_within_a_tick() {
    let mut config = config(1000);
    config.timeouts.inactive = Some(Duration::from_millis(2_345));
    let mut table = table(&config);
    for flow in 0..200 {
        table.handle_packet(&packet(flow), at_millis(u64::from(flow) * 11));
    }
    let mut ended = 0;
    while let Some(time) = table.poll_timeout() {
        table.handle_timeout(time);
        for flow in drain(&mut table) {
            let deadline = flow.counters.last.saturating_add(Duration::from_millis(2_345));
            assert!(time >= deadline && time.saturating_since(deadline) < Duration::from_millis(68));
            ended += 1;
        }
    }
    assert_eq!(ended, 200);
}

// M11
#[test]
fn inactive_timeout_zero_makes_one_record_per_packet() {
    let mut config = config(8);
    config.timeouts.inactive = secs(0);
    let mut table = table(&config);
    for _ in 0..3 {
        table.handle_packet(&packet(1), at(5));
    }
    assert!(table.is_empty());
    assert_eq!(records(&drain(&mut table)), [(1, ExpireReason::IDLE_TIMEOUT); 3]);
}

// M11
#[test]
fn without_timeouts_a_flow_stays_for_years() {
    let mut config = config(8);
    config.timeouts = Timeouts::NEVER;
    let mut table = table(&config);
    table.handle_packet(&packet(1), at(0));
    assert_eq!(table.poll_timeout(), None);
    assert!(drain_due(&mut table, at(1_000_000_000)).is_empty());
    table.handle_packet(&with_flags(1, FIN | RST), at(2_000_000_000));
    table.handle_timeout(Timestamp::MAX);
    assert_eq!(drain(&mut table), []);
    table.flush(ExpireReason::FORCED_END);
    assert_eq!(records(&drain(&mut table)), [(2, ExpireReason::FORCED_END)]);
}

// M12
#[test]
fn an_hour_long_flow_with_an_active_timeout_of_a_minute_makes_sixty_records() {
    let mut config = config(8);
    config.timeouts.active = secs(60);
    let mut table = table(&config);
    let mut flows = Vec::new();
    for second in 0..3600 {
        table.handle_packet(&packet(1), at(second));
        flows.extend(drain(&mut table));
    }
    flows.extend(drain_due(&mut table, at_millis(3_600_000 + 68)));
    assert_eq!(records(&flows), [(60, ExpireReason::ACTIVE_TIMEOUT); 60]);
}

// M13, M14 (delta counters)
#[test]
fn records_of_one_flow_do_not_overlap_and_sum_to_the_total_however_late_the_polls() {
    let mut config = config(8);
    config.timeouts.active = Some(Duration::from_millis(1_300));
    let mut results = Vec::new();
    for poll_every in [1, 7, 100] {
        let mut table = table(&config);
        let mut flows = Vec::new();
        for number in 0..1000 {
            let mut packet = packet(1);
            packet.octets = 40 + number;
            table.handle_packet(&packet, at_millis(u64::from(number) * 13));
            if number % poll_every == 0 {
                flows.extend(drain(&mut table));
            }
        }
        table.flush(ExpireReason::FORCED_END);
        flows.extend(drain(&mut table));
        assert_eq!(flows.iter().map(|flow| flow.counters.packets).sum::<u64>(), 1000);
        assert_eq!(flows.iter().map(|flow| flow.counters.octets).sum::<u64>(), 40 * 1000 + 999 * 500);
        for pair in flows.windows(2) {
            assert!(pair[0].counters.last < pair[1].counters.first);
            assert!(
                pair[0].counters.last < pair[0].counters.first.saturating_add(Duration::from_millis(1_300))
            );
        }
        results.push(flows);
    }
    assert_eq!(results[0], results[1]);
    assert_eq!(results[0], results[2]);
}

// M15
#[test]
fn a_reset_is_the_last_packet_of_its_record() {
    let mut table = table(&config(8));
    table.handle_packet(&with_flags(1, SYN), at(0));
    table.handle_packet(&with_flags(1, RST), at(1));
    assert!(table.is_empty());
    assert_eq!(records(&drain(&mut table)), [(2, ExpireReason::END_OF_FLOW)]);
    table.handle_packet(&with_flags(1, RST), at(1));
    assert_eq!(records(&drain(&mut table)), [(1, ExpireReason::END_OF_FLOW)]);
}

// M15: half close and late acknowledgements.
#[test]
fn packets_soon_after_a_fin_stay_in_the_record() {
    let mut table = table(&config(8));
    table.handle_packet(&with_flags(1, SYN), at(0));
    table.handle_packet(&with_flags(1, FIN | ACK), at(1));
    table.handle_packet(&with_flags(1, ACK), at_millis(2_500));
    table.handle_packet(&with_flags(1, ACK), at_millis(4_400));
    assert!(drain_due(&mut table, at_millis(6_300)).is_empty());
    let flows = drain_due(&mut table, at_millis(6_400 + 68));
    assert_eq!(records(&flows), [(4, ExpireReason::END_OF_FLOW)]);
    assert_eq!(flows[0].counters.last, at_millis(4_400));
}

// M15
#[test]
fn a_packet_long_after_a_fin_begins_a_new_record() {
    let mut table = table(&config(8));
    table.handle_packet(&with_flags(1, FIN), at(1));
    table.handle_packet(&with_flags(1, ACK), at(3));
    assert_eq!(records(&drain(&mut table)), [(1, ExpireReason::END_OF_FLOW)]);
    assert_eq!(table.len(), 1);
}

// M15
#[test]
fn a_syn_after_a_fin_begins_a_new_record_at_once() {
    let mut table = table(&config(8));
    table.handle_packet(&with_flags(1, SYN), at(0));
    table.handle_packet(&with_flags(1, FIN), at(1));
    table.handle_packet(&with_flags(1, SYN), at(1));
    assert_eq!(records(&drain(&mut table)), [(2, ExpireReason::END_OF_FLOW)]);
    table.handle_packet(&with_flags(1, ACK), at(2));
    table.flush(ExpireReason::FORCED_END);
    assert_eq!(records(&drain(&mut table)), [(2, ExpireReason::FORCED_END)]);
}

// M15
#[test]
fn a_linger_time_of_zero_ends_the_record_with_the_fin() {
    let mut config = config(8);
    config.timeouts.tcp_end = secs(0);
    let mut table = table(&config);
    table.handle_packet(&with_flags(1, SYN), at(0));
    table.handle_packet(&with_flags(1, FIN), at(1));
    assert_eq!(records(&drain(&mut table)), [(2, ExpireReason::END_OF_FLOW)]);
}

#[test]
fn without_tcp_end_flags_are_only_counted() {
    let mut config = config(8);
    (config.timeouts.tcp_end, config.timeouts.tcp_reset) = (None, None);
    let mut table = table(&config);
    for flags in [FIN, RST, SYN] {
        table.handle_packet(&with_flags(1, flags), at(0));
    }
    let flows = drain_due(&mut table, at(16));
    assert_eq!(records(&flows), [(3, ExpireReason::IDLE_TIMEOUT)]);
    // M5
    assert_eq!(flows[0].counters.tcp_flags, FIN | RST | SYN);
}

// M17, M19 (reason 5)
#[test]
fn one_flow_more_than_the_table_holds_forces_one_out() {
    let mut table = table(&config(100));
    for flow in 0..101 {
        table.handle_packet(&packet(flow), at_millis(u64::from(flow) * 100));
        assert!(table.len() <= table.capacity());
    }
    let flows = drain(&mut table);
    assert_eq!(records(&flows), [(1, ExpireReason::LACK_OF_RESOURCES)]);
    assert_eq!(table.stats().expired(ExpireReason::LACK_OF_RESOURCES), 1);
    assert_eq!((table.len(), config(100).capacity), (100, 100));
    // It is the longest idle one of eight at least.
    assert!(flows[0].counters.first < at_millis(7_500));
}

#[test]
fn a_busy_flow_outlives_idle_ones_in_a_full_table() {
    let mut table = table(&config(64));
    for flow in 1..2_000 {
        let now = at_millis(u64::from(flow) * 70);
        table.handle_packet(&packet(flow), now);
        table.handle_packet(&packet(0), now);
        assert!(drain(&mut table).iter().all(|flow| flow.counters.packets == 1));
    }
}

#[test]
fn a_flow_that_makes_room_after_its_deadline_keeps_its_reason() {
    let mut table = table(&config(1));
    table.handle_packet(&packet(1), at(0));
    table.handle_packet(&packet(2), at(100));
    assert_eq!(records(&drain(&mut table)), [(1, ExpireReason::IDLE_TIMEOUT)]);
}

// M20, M21
#[test]
fn packets_without_room_for_a_record_are_ignored_and_counted() {
    let mut config = config(4);
    config.pending = 2;
    let mut table = table(&config);
    for flow in 0..10 {
        table.handle_packet(&packet(flow), at(0));
    }
    assert_eq!((table.stats().ignored_packets, table.stats().ignored_octets), (4, 400));
    // A flow that goes on needs no room.
    table.handle_packet(&packet(5), at(1));
    assert_eq!(table.stats().ignored_packets, 4);
    assert_eq!(drain(&mut table).len(), 2);
    table.handle_packet(&packet(20), at(1));
    assert_eq!(table.stats().ignored_packets, 4);
}

// M34, M19 (reason 4)
#[test]
fn a_flush_during_traffic_hands_out_each_flow_once() {
    let mut table = table(&config(4000));
    for flow in 0..500 {
        table.handle_packet(&packet(flow), at(0));
    }
    table.flush(ExpireReason::FORCED_END);
    let mut flushed = Vec::new();
    for number in 0..1000 {
        // Both flows of the flush and new ones.
        table.handle_packet(&packet(number), at(1));
        flushed.extend(table.poll_expired());
    }
    flushed.extend(drain(&mut table));
    assert_eq!(flushed.len(), 500);
    assert!(flushed.iter().all(|flow| flow.counters.packets == 1 && flow.counters.last == at(0)));
    assert!(flushed.iter().all(|flow| flow.reason == ExpireReason::FORCED_END));
    let mut keys: Vec<_> = flushed.iter().map(|flow| flow.key).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 500);
    assert_eq!(table.len(), 1000);
    table.flush(ExpireReason::FORCED_END);
    assert_eq!(drain(&mut table).len(), 1000);
    assert_eq!((table.len(), table.poll_timeout()), (0, None));
}

#[test]
fn flushes_keep_their_reasons_when_they_overlap() {
    let mut table = table(&config(10));
    for number in 1..=8 {
        table.handle_packet(&packet(u32::from(number)), at(0));
        table.flush(ExpireReason::from_code(100 + number));
    }
    let mut reasons: Vec<_> = drain(&mut table).iter().map(|flow| flow.reason.code() - 100).collect();
    reasons.sort_unstable();
    assert_eq!(reasons, [1, 2, 3, 4, 5, 6, 7, 8]);
}

// M4
#[test]
fn values_outside_the_key_are_those_of_the_first_packet() {
    let mut first = packet(1);
    first.egress_interface = 7;
    first.vlan = 100;
    first.inner_vlan = 200;
    first.ipv6_flow_label = 0xABCDE;
    first.source_mac = [2, 0, 0, 0, 0, 1];
    first.destination_mac = [2, 0, 0, 0, 0, 2];
    first.mpls.push([0x00, 0x01, 0x01]);
    let mut second = packet(1);
    second.egress_interface = 8;
    let mut table = FlowTable::<SevenTuple, FirstPacket>::new(&config(8)).unwrap();
    table.handle_packet(&first, at(0));
    table.handle_packet(&second, at(1));
    let flow = drain_due(&mut table, at(20))[0];
    assert_eq!(flow.counters.packets, 2);
    let values = flow.extra;
    assert_eq!(flow.counters.egress_interface, 7);
    assert_eq!((values.egress_interface, values.vlan, values.inner_vlan), (7, 100, 200));
    assert_eq!((values.source_mac, values.destination_mac), (first.source_mac, first.destination_mac));
    assert_eq!((values.mpls, values.ipv6_flow_label), (first.mpls, 0xABCDE));
}

// M5, M6, M9
#[test]
fn counters_cover_all_packets_of_the_record() {
    let mut table = table(&config(8));
    for (millis, octets, ttl, flags) in [(0, 60, 64, SYN), (10, 1500, 60, ACK), (20, 40, 65, 0x118)] {
        let mut packet = with_flags(1, flags);
        (packet.octets, packet.ttl) = (octets, ttl);
        table.handle_packet(&packet, at_millis(millis));
    }
    let counters = drain_due(&mut table, at(20))[0].counters;
    assert_eq!((counters.packets, counters.octets), (3, 1600));
    assert_eq!((counters.first, counters.last), (at_millis(0), at_millis(20)));
    assert_eq!((counters.minimum_length, counters.maximum_length), (40, 1500));
    assert_eq!((counters.minimum_ttl, counters.maximum_ttl), (60, 65));
    assert_eq!(counters.tcp_flags, 0x11A);
}

// M2 (by interface, address, protocol, port and TOS), M3
#[test]
fn each_part_of_the_seven_tuple_separates_flows() {
    let changes: [fn(&mut ObservedPacket); 8] = [
        |_| {},
        |packet| packet.source = "10.9.9.9".parse().unwrap(),
        |packet| packet.destination = "10.9.9.9".parse().unwrap(),
        |packet| packet.source_port = 1,
        |packet| packet.destination_port = 1,
        |packet| packet.protocol = 132,
        |packet| packet.tos = 4,
        |packet| packet.ingress_interface = 1,
    ];
    for base in [packet(1), common::packet_v6(1)] {
        let mut table = table(&config(100));
        for change in changes {
            let mut packet = base;
            change(&mut packet);
            table.handle_packet(&packet, at(0));
            table.handle_packet(&packet, at(1));
        }
        assert_eq!(table.len(), 8);
        assert!(drain_due(&mut table, at(20)).iter().all(|flow| flow.counters.packets == 2));
    }
}

// M2 (by prefix and by label stack), M4 (TOS outside the key)
#[test]
fn keys_of_the_callers_own_aggregate_as_they_say() {
    #[derive(Clone, Copy, Debug, Eq, PartialEq)]
    struct PrefixAndLabels(u32, MplsStack);

    impl FlowKey for PrefixAndLabels {
        fn of(packet: &ObservedPacket) -> Self {
            let prefix = match packet.source {
                core::net::IpAddr::V4(address) => address.to_bits() >> 8,
                core::net::IpAddr::V6(_) => 0,
            };
            Self(prefix, packet.mpls)
        }

        fn hash(&self, seed: HashSeed) -> u64 {
            let labels = self.1.entries().iter().flatten().fold(0, |all, octet| all << 8 ^ u64::from(*octet));
            seed.hash_words([u64::from(self.0), labels])
        }
    }

    let mut table = FlowTable::<PrefixAndLabels, FirstPacket>::new(&config(16)).unwrap();
    for flow in 0..512 {
        let mut packet = packet(flow);
        packet.tos = flow as u8;
        if flow % 4 == 0 {
            packet.mpls.push([0, 1, 1]);
        }
        table.handle_packet(&packet, at(0));
    }
    let mut flows = drain_due(&mut table, at(20));
    flows.sort_by_key(|flow| (flow.key.0, flow.counters.packets));
    let packets: Vec<u64> = flows.iter().map(|flow| flow.counters.packets).collect();
    assert_eq!(packets, [64, 192, 64, 192]);
    assert_eq!([flows[0].extra.tos, flows[1].extra.tos], [0, 1]);
}
