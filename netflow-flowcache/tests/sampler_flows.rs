//! Sampling of flows that ended.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::float_cmp,
    missing_docs
)]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{at, config, packet, packet_v6, secs, table};
use netflow_flowcache::{
    ExpireReason, ExpiredFlow, FlowTable, SevenTuple,
    sample::{
        FlowHashFilter, FlowSampler, FlowSampling, FlowSelector, FlowsBy, HashDomain, HashFunction,
        HorvitzThompson, Parameter, ParameterValue, Probabilistic, Probability, RandomOneInN, RandomOutOf,
        Sampler, SamplerError, Secrets, SelectedRanges, SmartSampling, SystematicCount, SystematicTime,
        Unsampled, bob, crc32,
    },
};

fn take(table: &mut FlowTable<SevenTuple>) -> Vec<ExpiredFlow<SevenTuple>> {
    let mut flows = Vec::new();
    let mut idle = 0;
    while idle < 100 {
        match table.poll_expired() {
            Some(flow) => {
                flows.push(flow);
                idle = 0;
            }
            None => idle += 1,
        }
    }
    flows
}

/// Flows of 1 to 40 packets and octets of great variety.
fn flows(count: u32) -> Vec<ExpiredFlow<SevenTuple>> {
    let mut table = table(&config(count as usize));
    for flow in 0..count {
        for number in 0..=flow % 40 {
            let mut packet = packet(flow);
            packet.octets = if flow % 97 == 0 { 1_400 + number } else { 40 + flow % 300 };
            table.handle_packet(&packet, at(1));
        }
    }
    table.flush(ExpireReason::FORCED_END);
    let flows = take(&mut table);
    assert_eq!(flows.len(), count as usize);
    flows
}

fn hash_filter(function: HashFunction, n: u32, initialiser: Option<u32>) -> FlowHashFilter {
    FlowHashFilter::new(function, initialiser, SelectedRanges::one_in(n, function, 3).unwrap()).unwrap()
}

// S25: a flow that the active timeout cuts into records is reported wholly or not at all.
#[test]
fn hashes_of_the_key_select_all_records_of_a_flow_or_none() {
    let mut settings = config(1_000);
    settings.timeouts.active = secs(10);
    settings.timeouts.inactive = secs(1_000);
    let mut table = table(&settings);
    let mut records: BTreeMap<SevenTuple, (u32, u32)> = BTreeMap::new();
    let mut selector = FlowSelector::new(1, hash_filter(HashFunction::Bob, 4, Some(9)));
    let mut all = Vec::new();
    for second in 0..60 {
        for flow in 0..400 {
            table.handle_packet(&packet(flow), at(second));
            all.extend(table.poll_expired());
        }
    }
    table.flush(ExpireReason::FORCED_END);
    all.extend(take(&mut table));
    for flow in &all {
        let counts = records.entry(flow.key).or_default();
        counts.0 += 1;
        counts.1 += u32::from(selector.select(flow).is_some());
    }
    assert_eq!(records.len(), 400);
    assert!(records.values().all(|(all, selected)| *selected == 0 || selected == all));
    assert!(records.values().all(|(all, _)| *all >= 4), "each flow makes several records");
    let selected = records.values().filter(|(_, selected)| *selected > 0).count();
    // A quarter, within 4.89 deviations.
    assert!((58..=142).contains(&selected), "{selected}");
    let statistics = selector.statistics();
    assert_eq!(statistics.observed_flows, all.len() as u64);
    assert_eq!(
        statistics.selected_flows,
        records.values().map(|(_, selected)| u64::from(*selected)).sum::<u64>()
    );
}

// S25: in front of the table the same flows are selected as behind it, with all of their packets.
#[test]
fn a_hash_in_front_of_the_table_decides_as_one_behind_it() {
    let mut filter = hash_filter(HashFunction::Crc, 3, None);
    let mut before = table(&config(1_000));
    let mut after = table(&config(1_000));
    for number in 0..5_000_u32 {
        let packet = if number % 2 == 0 { packet(number % 500) } else { packet_v6(number % 500) };
        after.handle_packet(&packet, at(1));
        if filter.select(&packet, at(1)) {
            before.handle_packet(&packet, at(1));
        }
    }
    before.flush(ExpireReason::FORCED_END);
    after.flush(ExpireReason::FORCED_END);
    let sums = |flows: Vec<ExpiredFlow<SevenTuple>>| -> BTreeSet<(SevenTuple, u64, u64)> {
        flows.into_iter().map(|flow| (flow.key, flow.counters.packets, flow.counters.octets)).collect()
    };
    let behind = take(&mut after).into_iter().filter(|flow| filter.select_flow(flow).is_some()).collect();
    let front = sums(take(&mut before));
    assert!(front.len() > 50);
    assert_eq!(front, sums(behind));
}

// S25: the hash is that of the key's octets, in network order.
#[test]
fn flow_hashes_are_of_the_addresses_ports_and_protocol() {
    let mut v4 = packet(1);
    v4.source_port = 0x1234;
    v4.destination_port = 80;
    let key = SevenTuple::of(&v4);
    let octets = [10, 0, 0, 1, 192, 0, 2, 1, 0x12, 0x34, 0, 80, 6];
    assert_eq!(hash_filter(HashFunction::Bob, 2, Some(7)).hash(&key), bob(&octets, 7));
    assert_eq!(hash_filter(HashFunction::Crc, 2, None).hash(&key), crc32(&octets));
    let suffixed: Vec<u8> = octets.iter().chain(&[0, 0, 1, 2]).copied().collect();
    assert_eq!(hash_filter(HashFunction::Crc, 2, Some(0x0102)).hash(&key), crc32(&suffixed));
    let mut buffer = [0; 64];
    assert_eq!(SevenTuple::of(&packet_v6(1)).write_domain(&mut buffer), 37);
    // S28
    let ranges = SelectedRanges::new(&[(0, 1)]).unwrap();
    assert_eq!(
        FlowHashFilter::<SevenTuple>::new(HashFunction::Ipsx, None, ranges).unwrap_err(),
        SamplerError::RangeOutOfBounds
    );
}

fn run(flows: &[ExpiredFlow<SevenTuple>], sampler: impl FlowSampler<SevenTuple>) -> usize {
    let mut selector = FlowSelector::new(4, sampler);
    for flow in flows {
        if let Some(selected) = selector.select(flow) {
            assert_eq!((selected.octets, selected.packets), (flow.counters.octets, flow.counters.packets));
            assert!(selected.probability.is_some());
        }
    }
    let statistics = selector.statistics();
    assert_eq!(statistics.observed_flows, flows.len() as u64);
    let attained = statistics.attained_fraction().unwrap();
    assert!((attained * flows.len() as f64 - statistics.selected_flows as f64).abs() < 1e-9);
    assert!(statistics.selected_packets >= statistics.selected_flows);
    assert!(statistics.selected_octets >= 40 * statistics.selected_packets);
    statistics.selected_flows as usize
}

// S25: the samplers of packets, applied to flows; what is selected is reported as it was metered.
#[test]
fn samplers_select_whole_flows() {
    let flows = flows(1_000);
    assert_eq!(run(&flows, FlowsBy::new(Unsampled::new())), 1_000);
    assert_eq!(run(&flows, FlowsBy::new(SystematicCount::new(2, 8, 0).unwrap())), 200);
    assert_eq!(run(&flows, FlowsBy::new(RandomOneInN::new(10, 1).unwrap())), 100);
    assert_eq!(run(&flows, FlowsBy::new(RandomOutOf::new(3, 10, 1).unwrap())), 300);
    // All of them ended in the same second.
    assert_eq!(run(&flows, FlowsBy::new(SystematicTime::new(1, 9).unwrap())), 1_000);
    let p = Probabilistic::new(Probability::new(0.3).unwrap(), 1);
    assert!(run(&flows, FlowsBy::new(p)).abs_diff(300) < 71);
}

fn report(sampler: impl FlowSampler<SevenTuple>) -> Vec<(u16, u64)> {
    let report = FlowSelector::new(5, sampler).report::<SevenTuple>(Secrets::Keep);
    let number = |parameter: &Parameter| match &parameter.value {
        ParameterValue::Float64(value) => (value * 1000.0) as u64,
        value => value.as_unsigned().unwrap(),
    };
    report
        .iter()
        .flat_map(|report| report.parameters().map(|p| (p.element, number(p))).collect::<Vec<_>>())
        .collect()
}

// S18, S25: the elements of flow selection.
#[test]
fn flow_selectors_report_themselves() {
    let count = FlowsBy::new(SystematicCount::new(2, 8, 0).unwrap());
    assert_eq!(report(count), [(302, 5), (390, 1), (396, 2), (397, 8)]);
    let time = FlowsBy::new(SystematicTime::new(2, 8).unwrap());
    assert_eq!(report(time), [(302, 5), (390, 2), (398, 2), (399, 8)]);
    let random = FlowsBy::new(RandomOneInN::new(9, 0).unwrap());
    assert_eq!(report(random), [(302, 5), (390, 3), (309, 1), (310, 9)]);
    let uniform = FlowsBy::new(Probabilistic::new(Probability::new(0.25).unwrap(), 0));
    assert_eq!(report(uniform), [(302, 5), (390, 4), (311, 250)]);
    let ranges = SelectedRanges::new(&[(5, 9)]).unwrap();
    let hash = FlowHashFilter::<SevenTuple>::new(HashFunction::Bob, Some(77), ranges).unwrap();
    let told = report(hash.clone());
    assert_eq!(told[..3], [(302, 5), (390, 6), (400, 8)]);
    assert!(told.contains(&(331, 5)) && told.contains(&(332, 9)) && told.contains(&(330, 4_294_967_295)));
    // S11
    assert!(told.iter().all(|(element, _)| *element != 334));
    assert!(hash.describe_flows().parameters(Secrets::Tell).iter().any(|field| field.element == 334));
    assert!(report(SmartSampling::new(1000, 0).unwrap()).is_empty());
    let statistics = FlowSelector::new(5, hash).statistics_report();
    assert_eq!(statistics.parameters().map(|p| p.element).collect::<Vec<_>>(), [302, 394, 395]);
    assert_eq!(FlowSampling::Smart { threshold: 9 }.fraction(), None);
}

// S24, S25: large flows always, small ones by size; sums of what is reported estimate those of all flows. 4.89 standard
// errors of the mean: false alarms once in a million.
#[test]
fn smart_sampling_keeps_the_large_and_estimates_the_sums() {
    let flows = flows(2_000);
    let threshold = 20_000;
    let octets: f64 = flows.iter().map(|flow| flow.counters.octets as f64).sum();
    let packets: f64 = flows.iter().map(|flow| flow.counters.packets as f64).sum();
    let (mut octet_sums, mut packet_sums, mut kept) = (Vec::new(), Vec::new(), 0);
    let (mut held, runs) = (0_u32, 2_000_u64);
    for seed in 0..runs {
        let mut sampler = SmartSampling::new(threshold, seed).unwrap();
        let (mut octet_sum, mut packet_sum) = (0.0, 0.0);
        let mut weighted = HorvitzThompson::new();
        for flow in &flows {
            let selected = sampler.select_flow(flow);
            if flow.counters.octets >= threshold {
                let selected = selected.unwrap();
                assert_eq!(
                    (selected.octets, selected.packets),
                    (flow.counters.octets, flow.counters.packets)
                );
                assert_eq!(selected.probability, Some(1.0));
            }
            let Some(selected) = selected else { continue };
            assert!(selected.octets >= threshold, "renormalised to the threshold");
            kept += 1;
            octet_sum += selected.octets as f64;
            packet_sum += selected.packets as f64;
            weighted.add(flow.counters.octets as f64, selected.probability.unwrap());
        }
        assert!((weighted.estimate().value - octet_sum).abs() < 1e-3);
        let estimate = weighted.estimate();
        held += u32::from((estimate.value - octets).abs() < 1.96 * estimate.standard_error);
        octet_sums.push(octet_sum);
        packet_sums.push(packet_sum);
    }
    for (sums, truth) in [(&octet_sums, octets), (&packet_sums, packets)] {
        let mean = sums.iter().sum::<f64>() / runs as f64;
        let variance = sums.iter().map(|sum| (sum - mean).powi(2)).sum::<f64>() / (runs - 1) as f64;
        assert!((mean - truth).abs() < 4.89 * (variance / runs as f64).sqrt(), "{mean} of {truth}");
    }
    // The variance is at most threshold times sum.
    let spread = octet_sums.iter().map(|sum| (sum - octets).powi(2)).sum::<f64>() / runs as f64;
    assert!(spread < 1.2 * threshold as f64 * octets);
    assert!(kept / runs < 700, "{}", kept / runs);
    assert!((0.92..=0.97).contains(&(f64::from(held) / runs as f64)), "{held}");
}

// S28
#[test]
fn smart_sampling_takes_any_size() {
    assert_eq!(SmartSampling::new(0, 1).unwrap_err(), SamplerError::SelectsNothing);
    let mut flow = flows(1)[0];
    for (octets, packets) in [(0, 0), (0, 5), (1, 1), (u64::MAX, u64::MAX), (1, u64::MAX)] {
        flow.counters.octets = octets;
        flow.counters.packets = packets;
        for threshold in [1, 2, u64::MAX] {
            let selected = SmartSampling::new(threshold, 1).unwrap().select_flow(&flow);
            assert!(octets < threshold || selected.is_some());
            assert!(octets > 0 || selected.is_none());
        }
    }
}
