//! Traffic and clocks that mean harm.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    missing_docs
)]

mod common;

use core::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use common::{FIN, RST, SYN, at, at_millis, config, drain, drain_due, packet, table, with_flags};
use netflow_flowcache::{
    Config, ExpireReason, FlowKey, FlowTable, HashSeed, ObservedPacket, SevenTuple, TableKey, Timeouts,
    Timestamp,
};

// M17, M20: a flood of packets that are all new flows.
#[test]
fn a_flood_of_new_flows_is_held_in_bounds_and_counted_in_full() {
    let mut table = table(&config(1_000));
    let memory = table.memory_octets();
    let mut packets = 0;
    for flow in 0..100_000 {
        table.handle_packet(&packet(flow), at_millis(u64::from(flow) / 100));
        packets += drain(&mut table).iter().map(|flow| flow.counters.packets).sum::<u64>();
        assert!(table.len() <= 1_000);
    }
    table.flush(ExpireReason::FORCED_END);
    packets += drain(&mut table).iter().map(|flow| flow.counters.packets).sum::<u64>();
    assert_eq!((packets, table.stats().ignored_packets), (100_000, 0));
    assert_eq!(table.memory_octets(), memory);
}

/// The packet of a flow whose ports and source address cancel out under a hash that XORs them.
fn colliding(number: u32) -> ObservedPacket {
    let (high, low) = ((number >> 8) as u16, (number & 0xFF) as u16);
    let ports = u32::from(high) << 16 | u32::from(low);
    let source = IpAddr::V4(Ipv4Addr::from_bits(0x0A0B_0C0D ^ ports));
    let mut packet = ObservedPacket::new(source, IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 17, 100);
    (packet.source_port, packet.destination_port) = (high, low);
    packet
}

/// The same key, with a hash that needs no seed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Unkeyed(SevenTuple);

impl FlowKey for Unkeyed {
    fn of(packet: &ObservedPacket) -> Self {
        Self(SevenTuple::of(packet))
    }

    fn hash(&self, _: HashSeed) -> u64 {
        let IpAddr::V4(source) = self.0.source() else { return 0 };
        let ports = u32::from(self.0.source_port()) << 16 | u32::from(self.0.destination_port());
        HashSeed::from_u64(0).hash_words([u64::from(source.to_bits() ^ ports)])
    }
}

fn evictions<K: TableKey<Fields = ()>>(seed: u64) -> u64 {
    let mut table: FlowTable<K> = FlowTable::new(&Config::new(65_536, HashSeed::from_u64(seed))).unwrap();
    for number in 0..40_000 {
        table.handle_packet(&colliding(number), at(0));
        while table.poll_expired().is_some() {}
    }
    table.stats().expired(ExpireReason::LACK_OF_RESOURCES)
}

// M32
#[test]
fn flows_chosen_to_collide_do_not_collide_under_the_keyed_hash() {
    assert!(evictions::<Unkeyed>(1) > 39_000, "the attack works where there is no key");
    for seed in 1..4 {
        assert_eq!(evictions::<SevenTuple>(seed), 0, "as for random keys");
    }
}

// M32: which keys share a bucket depends on the seed.
#[test]
fn keys_that_collide_under_one_seed_do_not_under_another() {
    let bucket = |flow: u32, seed| SevenTuple::of(&packet(flow)).hash(HashSeed::from_u64(seed)) >> 52;
    let target = bucket(0, 1);
    let chosen: Vec<u32> = (0..2_000_000).filter(|flow| bucket(*flow, 1) == target).take(400).collect();
    assert_eq!(chosen.len(), 400);
    let mut tables = [1, 2].map(|seed| table(&Config::new(16_384, HashSeed::from_u64(seed))));
    let evictions = tables.each_mut().map(|table| {
        for flow in &chosen {
            table.handle_packet(&packet(*flow), at(0));
            drain(table);
        }
        table.stats().expired(ExpireReason::LACK_OF_RESOURCES)
    });
    assert!(evictions[0] > 300 && evictions[1] == 0, "{evictions:?}");
}

// M30
#[test]
fn packets_in_disorder_within_the_tolerance_make_no_negative_durations() {
    let mut table = table(&config(64));
    let mut state = 1_u64;
    let mut flows = Vec::new();
    for number in 0..20_000_u64 {
        state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
        let late = (state >> 33) % 1_000;
        table.handle_packet(&packet((state >> 40) as u32 % 20), at_millis(10_000 + number * 10 - late));
        flows.extend(drain(&mut table));
    }
    table.flush(ExpireReason::FORCED_END);
    flows.extend(drain(&mut table));
    assert_eq!(flows.iter().map(|flow| flow.counters.packets).sum::<u64>(), 20_000);
    assert!(flows.iter().all(|flow| flow.counters.first <= flow.counters.last));
    assert!(table.stats().late_packets > 10_000);
    assert_eq!(table.stats().clock_restarts, 0);
}

// M30
#[test]
fn a_clock_set_back_by_years_ends_the_flows_and_metering_goes_on() {
    let mut table = table(&config(64));
    let year = 365 * 86_400;
    table.handle_packet(&packet(1), at(10 * year));
    table.handle_packet(&packet(2), at(10 * year));
    table.handle_packet(&packet(1), at(0));
    let flows = drain(&mut table);
    assert_eq!(flows.len(), 2);
    assert!(flows.iter().all(|flow| flow.reason == ExpireReason::FORCED_END));
    assert!(flows.iter().all(|flow| flow.counters.first == at(10 * year)));
    assert_eq!((table.len(), table.stats().clock_restarts), (1, 1));
    // Timers run in the new time.
    assert!(table.poll_timeout().unwrap() <= at_millis(15_000 + 68));
    let flows = drain_due(&mut table, at_millis(15_000 + 68));
    assert_eq!((flows.len(), flows[0].reason), (1, ExpireReason::IDLE_TIMEOUT));
    assert_eq!(flows[0].counters.first, at(0));
}

// M30
#[test]
fn a_clock_that_leaps_to_both_ends_of_time_loses_nothing() {
    for timeouts in [Timeouts::default(), Timeouts::NEVER] {
        let mut config = config(16);
        config.timeouts = timeouts;
        let mut table = table(&config);
        let mut packets = 0;
        for round in 0..1_000 {
            for now in [Timestamp::ZERO, at(0), Timestamp::MAX, at(round), Timestamp::from_nanos(1)] {
                table.handle_packet(&packet(round as u32 % 5), now);
                packets += drain(&mut table).iter().map(|flow| flow.counters.packets).sum::<u64>();
            }
        }
        table.flush(ExpireReason::FORCED_END);
        packets += drain(&mut table).iter().map(|flow| flow.counters.packets).sum::<u64>();
        assert_eq!(packets, 5_000);
    }
}

// M30: a leap forward takes no longer for being far.
#[test]
fn a_leap_of_five_hundred_years_looks_at_no_more_than_the_flows() {
    let mut table = table(&config(1_000));
    for flow in 0..500 {
        table.handle_packet(&packet(flow), Timestamp::from_secs(u64::from(flow) / 50));
    }
    assert_eq!(drain_due(&mut table, Timestamp::MAX).len(), 500);
    assert!(table.stats().timer_looks <= 1_000);
}

// M31
#[test]
fn a_million_flows_due_in_one_tick_are_worked_off_a_few_per_call() {
    let mut config = config(1 << 20);
    config.timeouts.active = None;
    let mut table = table(&config);
    for flow in 0..1_000_000 {
        table.handle_packet(&packet(flow), at(0));
    }
    let evicted = drain(&mut table).len();
    // Half of them were seen since their timers were set.
    for flow in 0..1_000_000 {
        if flow % 2 == 0 {
            table.handle_packet(&packet(flow), at(10));
        }
    }
    let begun = table.stats().records_begun as usize;
    let mut ended = evicted;
    let mut now = at_millis(15_068);
    for round in 0.. {
        // Packets go on while the backlog is worked off.
        let looks = table.stats().timer_looks;
        table.handle_packet(&packet(2_000_000), now);
        assert_eq!(table.stats().timer_looks, looks, "packets do no timer work");
        ended += usize::from(table.poll_expired().is_some());
        assert!(table.stats().timer_looks - looks <= 32);
        if round == 100_000 {
            now = at(26);
        }
        if table.len() == 1 {
            break;
        }
        assert!(round < 2_000_000);
    }
    ended += drain(&mut table).len();
    assert_eq!(ended, begun);
}

// M31: a flush is also worked off call by call.
#[test]
fn a_flush_of_many_flows_ends_none_by_itself() {
    let mut table = table(&config(100_000));
    for flow in 0..50_000 {
        table.handle_packet(&packet(flow), at(0));
    }
    drain(&mut table);
    let ended = table.stats().expired_total();
    table.flush(ExpireReason::FORCED_END);
    assert_eq!(table.stats().expired_total(), ended);
    assert!(table.poll_expired().is_some());
    assert_eq!(table.stats().expired_total(), ended + 1);
}

// M17: the smallest table, and settings beyond all bounds.
#[test]
fn a_table_of_one_flow_works() {
    for longest in [Duration::from_nanos(u64::MAX), Duration::ZERO] {
        let mut config = config(1);
        (config.pending, config.reorder) = (1, longest);
        config.timeouts.active = Some(longest);
        let mut table = table(&config);
        assert_eq!(table.capacity(), 2, "one of each family");
        let mut packets = 0;
        for number in 0..300 {
            let flags = [0, FIN, RST, SYN][number as usize % 4];
            table.handle_packet(&with_flags(number % 3, flags), at_millis(u64::from(number) * 900));
            packets += drain(&mut table).iter().map(|flow| flow.counters.packets).sum::<u64>();
            assert!(table.len() <= 1);
        }
        table.flush(ExpireReason::FORCED_END);
        packets += drain(&mut table).iter().map(|flow| flow.counters.packets).sum::<u64>();
        assert_eq!((packets, table.stats().ignored_packets), (300, 0));
    }
}

#[test]
fn counters_pass_four_gigaoctets() {
    let mut table = table(&config(8));
    let mut packet = packet(1);
    packet.octets = u32::MAX;
    for millis in 0..5 {
        table.handle_packet(&packet, at_millis(millis));
    }
    assert_eq!(drain_due(&mut table, at(20))[0].counters.octets, 5 * u64::from(u32::MAX));
}
