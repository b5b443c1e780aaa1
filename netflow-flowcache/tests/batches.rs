//! Batches on a table too large for the processor's cache take other ways than single packets: to the same records.
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

use common::{ACK, FIN, RST, SYN, at_millis, config, packet, packet_v6, secs, table};
use netflow_flowcache::{
    ExpireReason, ExpiredFlow, FlowTable, Fragment, ObservedPacket, Timestamp, WhenFull,
};

/// Numbers without pattern, the same ones in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from((self.0 >> 33) % u64::from(limit)).unwrap()
    }
}

/// Packets of both families: whole ones, fragments, of all lengths, with flags that close, late ones, and leaps of time.
fn packets(count: usize, flows: u32) -> Vec<(ObservedPacket, Timestamp)> {
    let mut numbers = Numbers(1);
    let mut millis = 1_000_000;
    (0..count)
        .map(|_| {
            let flow = numbers.below(flows);
            let mut packet = if flow.is_multiple_of(4) { packet_v6(flow) } else { packet(flow) };
            packet.octets = [40, 1_500, 70_000, 0][numbers.below(4) as usize];
            packet.ttl = u8::try_from(numbers.below(256)).unwrap();
            if packet.protocol == 6 {
                packet.tcp_flags = [ACK, ACK, ACK, SYN, FIN, RST][numbers.below(6) as usize];
            }
            packet.fragment = match numbers.below(20) {
                0 => Fragment::First,
                1 => Fragment::Later,
                _ => Fragment::Unfragmented,
            };
            millis += match numbers.below(10_000) {
                0 => 5_000,
                chance => u64::from(chance % 2),
            };
            let late = if numbers.below(50) == 0 { 500 } else { 0 };
            (packet, at_millis(millis - late))
        })
        .collect()
}

/// Hands in 45 packets, polls, and so on; now and then the table is flushed.
fn run(
    table: &mut FlowTable,
    packets: &[(ObservedPacket, Timestamp)],
    mut handle: impl FnMut(&mut FlowTable, &[(ObservedPacket, Timestamp)]),
    mut poll: impl FnMut(&mut FlowTable, &mut Vec<ExpiredFlow>),
) -> (Vec<ExpiredFlow>, usize) {
    let (mut ended, mut most) = (Vec::new(), 0);
    for (number, batch) in packets.chunks(45).enumerate() {
        handle(table, batch);
        most = most.max(table.len());
        if number % 3_000 == 2_999 {
            table.flush(ExpireReason::FORCED_END);
        }
        poll(table, &mut ended);
    }
    table.flush(ExpireReason::FORCED_END);
    while table.poll_timeout().is_some() {
        poll(table, &mut ended);
    }
    (ended, most)
}

/// A poll looks at a few timers only.
fn has_more(table: &FlowTable) -> bool {
    table.poll_timeout().is_some_and(|due| due <= table.clock())
}

#[test]
fn batches_on_a_large_table_give_the_same_records_in_the_same_order() {
    let packets = packets(200_000, 60_000);
    for when_full in [WhenFull::EvictLongestIdle, WhenFull::RefuseNew] {
        for capacity in [20_000, 100_000] {
            let mut config = config(capacity);
            config.ipv6_capacity = capacity / 4;
            config.when_full = when_full;
            config.pending = 1_000;
            config.timeouts.active = secs(40);
            config.timeouts.inactive = secs(20);
            config.reorder = Duration::from_secs(1);
            let poll_each = |table: &mut FlowTable, ended: &mut Vec<ExpiredFlow>| {
                while has_more(table) {
                    ended.extend(core::iter::from_fn(|| table.poll_expired()));
                }
            };
            let poll_many = |table: &mut FlowTable, ended: &mut Vec<ExpiredFlow>| {
                while has_more(table) {
                    table.poll_expired_batch(usize::MAX, |flow| ended.push(*flow));
                }
            };
            let one_by_one = run(
                &mut table(&config),
                &packets,
                |table, batch| batch.iter().for_each(|(packet, now)| table.handle_packet(packet, *now)),
                poll_each,
            );
            let batched = run(
                &mut table(&config),
                &packets,
                |table, batch| assert_eq!(table.handle_packets(batch), batch.len()),
                poll_many,
            );
            assert!(one_by_one.1 > 15_000, "{}", one_by_one.1);
            assert_eq!(one_by_one.0.len(), batched.0.len());
            assert!(one_by_one.0 == batched.0, "other records");
        }
    }
}
