//! Tables side by side.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    missing_docs
)]

mod common;

use std::{collections::BTreeMap, sync::mpsc, thread};

use common::{at, at_millis, config, drain, packet, packet_v6};
use netflow_flowcache::{
    ConfigError, ExpireReason, ExpiredFlow, FlowTable, ObservedPacket, SevenTuple, ShardedFlowTable,
    Timestamp,
};

fn traffic() -> Vec<(ObservedPacket, Timestamp)> {
    let mut random = 1_u64;
    (0..50_000)
        .map(|number| {
            random = random.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
            let flow = (random >> 33) as u32 % 2_000;
            let packet = if flow.is_multiple_of(3) { packet_v6(flow) } else { packet(flow) };
            (packet, at_millis(number))
        })
        .collect()
}

type Sums = BTreeMap<(SevenTuple, Timestamp), (u64, u64)>;

fn sums<'a>(flows: impl IntoIterator<Item = &'a ExpiredFlow>) -> Sums {
    let counts = |flow: &ExpiredFlow| (flow.counters.packets, flow.counters.octets);
    flows.into_iter().map(|flow| ((flow.key, flow.counters.first), counts(flow))).collect()
}

fn expected() -> Sums {
    let mut table = FlowTable::new(&config(4_000)).unwrap();
    let mut flows = Vec::new();
    for (packet, time) in traffic() {
        table.handle_packet(&packet, time);
        flows.extend(drain(&mut table));
    }
    table.flush(ExpireReason::FORCED_END);
    flows.extend(drain(&mut table));
    sums(&flows)
}

#[test]
fn shards_make_the_same_records_as_one_table() {
    let mut sharded: ShardedFlowTable = ShardedFlowTable::new(&config(16_000), 3).unwrap();
    let mut flows = Vec::new();
    for (packet, time) in traffic() {
        sharded.handle_packet(&packet, time);
        flows.extend(core::iter::from_fn(|| sharded.poll_expired()));
    }
    assert!(sharded.shards_mut().iter().all(|shard| shard.len() > 300), "each has its share");
    sharded.flush(ExpireReason::FORCED_END);
    while sharded.poll_timeout().is_some() {
        flows.extend(sharded.poll_expired());
    }
    assert_eq!(sums(&flows), expected());
    assert_eq!(sharded.stats().records_begun, flows.len() as u64);
    assert!(sharded.is_empty() && sharded.memory_octets() > 0);
}

#[test]
fn threads_with_a_table_each_make_the_same_records_as_one_table() {
    let sharded: ShardedFlowTable = ShardedFlowTable::new(&config(16_000), 4).unwrap();
    let spreader = sharded.spreader();
    let (to_exporter, exported) = mpsc::channel();
    let senders: Vec<_> = sharded
        .into_shards()
        .into_iter()
        .map(|mut table| {
            let (to_shard, packets) = mpsc::channel::<Vec<(ObservedPacket, Timestamp)>>();
            let to_exporter = to_exporter.clone();
            thread::spawn(move || {
                for batch in packets {
                    let mut rest = &batch[..];
                    while !rest.is_empty() {
                        let handled = table.handle_packets(rest);
                        rest = &rest[handled..];
                        table.poll_expired_batch(usize::MAX, |flow| to_exporter.send(*flow).unwrap());
                    }
                }
                table.flush(ExpireReason::FORCED_END);
                table.poll_expired_batch(usize::MAX, |flow| to_exporter.send(*flow).unwrap());
                assert!(table.is_empty());
            });
            to_shard
        })
        .collect();
    drop(to_exporter);
    for group in traffic().chunks(500) {
        let mut batches = vec![Vec::new(); senders.len()];
        for (packet, time) in group {
            batches[spreader.shard_of(packet)].push((*packet, *time));
        }
        for (sender, batch) in senders.iter().zip(batches) {
            sender.send(batch).unwrap();
        }
    }
    drop(senders);
    let flows: Vec<ExpiredFlow> = exported.into_iter().collect();
    assert_eq!(sums(&flows), expected());
}

#[test]
fn both_directions_belong_to_the_same_shard() {
    let sharded: ShardedFlowTable = ShardedFlowTable::new(&config(1_000), 7).unwrap();
    let mut used = [0; 7];
    for flow in 0..1_000 {
        let packet = packet(flow);
        let mut back = packet;
        (back.source, back.destination) = (packet.destination, packet.source);
        (back.tos, back.ingress_interface) = (4, 9);
        assert_eq!(sharded.shard_of(&packet), sharded.shard_of(&back));
        used[sharded.shard_of(&packet)] += 1;
    }
    assert!(used.iter().all(|flows| (80..220).contains(flows)), "{used:?}");
}

#[test]
fn time_and_flushes_reach_all_shards() {
    let mut sharded: ShardedFlowTable = ShardedFlowTable::new(&config(100), 4).unwrap();
    for flow in 0..40 {
        sharded.handle_packet(&packet(flow), at(0));
    }
    assert!(sharded.poll_timeout().unwrap() <= at_millis(15_068));
    sharded.handle_timeout(at(16));
    assert_eq!(core::iter::from_fn(|| sharded.poll_expired()).count(), 40);
    assert_eq!((sharded.len(), sharded.poll_timeout()), (0, None));
}

#[test]
fn no_shard_or_more_than_flows_is_refused() {
    for shards in [0, 101] {
        let error = ShardedFlowTable::<SevenTuple>::new(&config(100), shards).unwrap_err();
        assert_eq!(error, ConfigError::Shards);
    }
}
