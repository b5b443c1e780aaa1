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

use common::{
    config, drain,
    model::{Model, Row, row},
    operation::{Operation, any_config, operation, run},
};
use netflow_flowcache::{Config, ExpireReason, FirstPacket, FlowTable, SevenTuple};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    // M1, M5, M10, M12, M13, M15, M28, M29, M30 (late packets and clocks set back)
    #[test]
    fn with_enough_room_the_table_equals_the_model(
        config in any_config(1024),
        operations in prop::collection::vec(operation(20), 1..300),
    ) {
        let mut model = Model::new(&config);
        let (table, flows) = run(&config, &operations, Some(&mut model), |_| {});
        let mut rows: Vec<Row> = flows.iter().map(row).collect();
        rows.sort_unstable();
        model.ended.sort_unstable();
        prop_assert_eq!(rows, model.ended);
        let stats = table.stats();
        prop_assert_eq!(stats.ignored_packets, 0);
        prop_assert_eq!(stats.evictions, 0);
        prop_assert_eq!(stats.observed_flows, model.flows_begun);
    }

    // M17, M18, M20, M21, M30
    #[test]
    fn any_capacity_and_any_configuration_conserve_packets_and_octets(
        mut config in any_config(1).prop_flat_map(|config| (Just(config), 1..40_usize, 0..20_usize, 1..20_usize))
            .prop_map(|(mut config, capacity, ipv6, pending)| {
                (config.capacity, config.ipv6_capacity, config.pending) = (capacity, ipv6, pending);
                config
            }),
        batches in any::<bool>(),
        operations in prop::collection::vec(operation(100), 1..300),
    ) {
        config.reorder = config.reorder.min(core::time::Duration::from_secs(100));
        let (table, flows) = if batches {
            common::operation::run_in_batches(&config, &operations)
        } else {
            run(&config, &operations, None, |table| {
                assert!(table.len() <= table.capacity());
                let standing: u64 = table.stats().probe_lengths.iter().sum();
                assert_eq!(standing, table.len() as u64);
            })
        };
        let stats = table.stats();
        let packets: u64 = flows.iter().map(|flow| flow.counters.packets).sum();
        let octets: u64 = flows.iter().map(|flow| flow.counters.octets).sum();
        prop_assert_eq!(stats.packets, packets + stats.ignored_packets);
        prop_assert_eq!(stats.octets, octets + stats.ignored_octets);
        prop_assert_eq!(stats.records_begun, flows.len() as u64);
        prop_assert_eq!(stats.expired_total(), flows.len() as u64);
        prop_assert!(stats.observed_flows <= stats.records_begun);
        prop_assert!(stats.refused_packets <= stats.ignored_packets);
        for flow in &flows {
            prop_assert!(flow.counters.first <= flow.counters.last);
        }
    }

    // M33
    #[test]
    fn the_same_packets_and_times_give_the_same_records_in_the_same_order(
        mut config in any_config(7),
        capacity in 1..40_usize,
        operations in prop::collection::vec(operation(100), 1..200),
    ) {
        config.capacity = capacity;
        let (first, flows) = run(&config, &operations, None, |_| {});
        let (second, again) = run(&config, &operations, None, |_| {});
        prop_assert_eq!(flows, again);
        prop_assert_eq!(first.stats(), second.stats());
    }

    // Batches change how fast packets are handled, not what becomes of them.
    #[test]
    fn packets_in_batches_give_the_same_records_as_one_by_one(
        config in any_config(1024),
        operations in prop::collection::vec(operation(60), 1..300),
    ) {
        let packets: Vec<Operation> = operations
            .into_iter()
            .filter(|operation| matches!(operation, Operation::Packet { .. }))
            .collect();
        let (one_by_one, mut flows) = run(&config, &packets, None, |_| {});
        let (batches, mut again) = common::operation::run_in_batches(&config, &packets);
        flows.sort_unstable_by_key(row);
        again.sort_unstable_by_key(row);
        prop_assert_eq!(flows, again);
        prop_assert_eq!(one_by_one.stats().observed_flows, batches.stats().observed_flows);
    }
}

// M20: beyond the size from which batches read ahead, and with evictions.
#[test]
fn large_tables_conserve_packets_in_batches_and_in_batched_polls() {
    let mut config: Config = config(20_000);
    config.ipv6_capacity = 5_000;
    let mut table = FlowTable::<SevenTuple, FirstPacket>::new(&config).unwrap();
    let (mut packets, mut records) = (0, 0);
    let mut handed_in = 0_u64;
    let mut random = 1_u64;
    for round in 0..200_u64 {
        let batch: Vec<_> = (0..997)
            .map(|number| {
                random = random.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
                let flow = (random >> 33) as u32 % 60_000;
                let packet =
                    if flow.is_multiple_of(4) { common::packet_v6(flow) } else { common::packet(flow) };
                (packet, common::at_millis(round * 100 + number / 10))
            })
            .collect();
        let mut rest = &batch[..];
        while !rest.is_empty() {
            let handled = table.handle_packets(rest);
            assert!(handled > 0);
            handed_in += handled as u64;
            rest = &rest[handled..];
            if round % 3 != 0 || !rest.is_empty() {
                records += table.poll_expired_batch(usize::MAX, |flow| packets += flow.counters.packets);
            }
        }
    }
    table.flush(ExpireReason::FORCED_END);
    for flow in drain(&mut table) {
        packets += flow.counters.packets;
        records += 1;
    }
    let stats = table.stats();
    assert_eq!((packets, stats.packets, stats.ignored_packets), (handed_in, handed_in, 0));
    assert_eq!(records as u64, stats.records_begun);
    assert!(stats.evictions > 10_000);
}
