//! Sampling as a user asks for it: what is exported, what is announced, what is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use core::{net::Ipv4Addr, time::Duration};

use netflow_codec::{FlowFields, FlowRecord};
use netflow_flowcache::{Timeouts, Timestamp, sample::SelectorStatistics};
use netflow_probe_example::{
    meter::{Meter, MeterConfig, SamplingSpec},
    pcap::{Frame, LinkType},
};

/// An IPv4 UDP packet with a payload that counts.
fn packet(number: u32) -> Vec<u8> {
    let [a, b, c, d] = number.to_be_bytes();
    let source = Ipv4Addr::new(10, 0, 0, d % 16).octets();
    let mut octets = vec![0x45, 0, 0, 40, c, d, 0, 0, 64, 17, 0, 0];
    octets.extend(source);
    octets.extend([198, 51, 100, 7, 0xC0, 0, 0, if d % 4 == 0 { 53 } else { 80 }, 0, 20, 0, 0]);
    octets.extend([a, b, c, d, d, c, b, a, 1, 2, 3, 4]);
    octets
}

fn frame(octets: &[u8], number: u32) -> Frame<'_> {
    Frame {
        link_type: LinkType::RAW,
        timestamp: Timestamp::from_secs(1_700_000_000).saturating_add(Duration::from_millis(number.into())),
        data: octets,
        original_length: 40,
        interface: 0,
    }
}

fn meter(sampling: &str) -> Meter {
    let sampling: SamplingSpec = sampling.parse().unwrap();
    Meter::new(&MeterConfig { timeouts: Timeouts::default(), max_flows: 1_000, sampling, seed: 7 }).unwrap()
}

fn run(meter: &mut Meter, numbers: core::ops::Range<u32>) {
    for number in numbers {
        meter.handle_frame(&frame(&packet(number), number));
    }
}

fn drain(meter: &mut Meter) -> Vec<FlowRecord> {
    let mut flows = Vec::new();
    while !meter.is_empty() {
        flows.extend(meter.poll_flow());
    }
    flows
}

fn statistics(meter: &Meter) -> Vec<(u64, u64)> {
    let of = |statistics: SelectorStatistics| (statistics.observed, statistics.selected);
    meter.account().selectors.iter().map(|selector| of(selector.statistics)).collect()
}

// S8, S13: the octets reach the hash, and two exporters with the same secrets meter the same packets after a hop.
#[test]
fn hashes_select_the_same_packets_at_two_exporters() {
    let text = "hash:1:8,initialiser=0x1234,range=0-536870911,size=12";
    let (mut here, mut there) = (meter(text), meter(text));
    for number in 0..8_000 {
        let mut octets = packet(number);
        here.handle_frame(&frame(&octets, number));
        octets[8] -= 1;
        there.handle_frame(&frame(&octets, number));
    }
    let selected = statistics(&here)[0].1;
    assert!((800..1200).contains(&selected), "{selected}");
    assert_eq!(here.account().metered_packets, selected);
    assert_eq!(statistics(&here), statistics(&there));
    here.flush();
    there.flush();
    let sum = |flows: Vec<FlowRecord>| -> Vec<_> {
        let mut flows: Vec<_> = flows.iter().map(|flow| (flow.source, flow.packets, flow.octets)).collect();
        flows.sort_unstable();
        flows
    };
    assert_eq!(sum(drain(&mut here)), sum(drain(&mut there)));
}

// S14, S15: a filter in front of a sampler; both are in the account.
#[test]
fn sequences_are_accounted_for_step_by_step() {
    let mut meter = meter("match:destination-port=53+1:10");
    run(&mut meter, 0..4_000);
    assert_eq!(statistics(&meter), [(4_000, 1_000), (1_000, 100)]);
    let account = meter.account().to_string();
    assert!(account.contains("by selector 1") && account.contains("3000  (of 4000)"), "{account}");
    assert_eq!(meter.account().metered_packets, 100);
    assert_eq!(meter.account().sampled_out, 3_900);
}

// S21
#[test]
fn what_a_limit_drops_is_in_the_account() {
    let mut meter = meter("junos:2,systematic,max-packets-per-second=100");
    run(&mut meter, 0..4_000);
    // 1,000 packets a second, 500 of them sampled.
    assert_eq!(meter.account().selectors[0].dropped, 4 * 400);
    assert!(meter.account().to_string().contains("above packets a second"));
}

// S26 (ST19): flows before and after a change are apart, and what is announced changes between them.
#[test]
fn a_change_of_sampling_ends_all_flows() {
    let mut meter = meter("1:1");
    run(&mut meter, 0..1_600);
    let mut before = Vec::new();
    meter.change_sampling(&"1:4".parse().unwrap(), 7, |flow| before.push(flow));
    assert!(meter.is_empty());
    assert_eq!(meter.sampling().unwrap().interval, 4);
    run(&mut meter, 1_600..3_200);
    meter.flush();
    let after = drain(&mut meter);
    let packets = |flows: &[FlowRecord]| flows.iter().map(|flow| flow.packets).sum::<u64>();
    assert_eq!((packets(&before), packets(&after)), (1_600, 400));
    // The same flows went on, and yet no record holds packets of both times.
    let newest = before.iter().map(|flow| flow.end).max().unwrap();
    assert!(after.iter().all(|flow| flow.start > newest));
    // Forced end (RFC 5102, flowEndReason 4).
    assert!(before.iter().all(|flow| flow.has(FlowFields::FLOW_END_REASON) && flow.flow_end_reason == 4));
}
