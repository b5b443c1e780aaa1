//! Sampling as a user asks for it: what is exported, what is announced, what is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use core::{net::Ipv4Addr, time::Duration};
use std::{collections::BTreeMap, path::Path};

use common::exporting::{self, written};
use netflow_codec::{Batch, Decoder, ExportVersion, FieldView, FlowFields, FlowRecord};
use netflow_flowcache::{Timestamp, sample::SelectorStatistics};
use netflow_probe_example::{
    exporter::Exporter,
    meter::{Meter, MeterConfig},
    pcap::{Frame, LinkType},
};

fn exporter(file: &Path, sampling: &str, version: ExportVersion, refresh: Duration) -> Exporter {
    let mut config = exporting::to_file(file, version);
    config.meter.sampling = sampling.parse().unwrap();
    config.template_refresh = refresh;
    Exporter::new(config).unwrap()
}

/// What an exporter writes of 4,000 packets in 4 seconds, as version 10.
fn export(sampling: &str, refresh: Duration) -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("out.pcap");
    let mut exporter = exporter(&file, sampling, ExportVersion::Ipfix, refresh);
    for number in 0..4_000 {
        exporter.handle_frame(&frame(&packet(number), number)).unwrap();
    }
    exporter.finish().unwrap();
    written(&file)
}

/// The options records in datagrams: elements with values, in order.
fn options(datagrams: &[Vec<u8>]) -> Vec<Vec<(u16, u64)>> {
    let mut decoder = Decoder::new();
    let mut records = Vec::new();
    for datagram in datagrams {
        for batch in decoder.decode(&0, datagram, netflow_codec::Timestamp::ZERO).unwrap() {
            let Batch::Options(batch) = batch else { continue };
            let value = |field: FieldView<'_>| (field.element().number(), field.as_unsigned().unwrap_or(0));
            records.extend(batch.iter().map(|record| record.fields().map(value).collect::<Vec<_>>()));
        }
    }
    records
}

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
    Meter::new(&MeterConfig { sampling: sampling.parse().unwrap(), ..exporting::meter() }).unwrap()
}

fn run(meter: &mut Meter, numbers: core::ops::Range<u32>) {
    for number in numbers {
        meter.handle_frame(&frame(&packet(number), number));
    }
}

fn drain(meter: &mut Meter) -> Vec<FlowRecord> {
    let mut flows = Vec::new();
    while !meter.is_empty() {
        flows.extend(meter.poll_flow().map(|flow| flow.record));
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
    meter.flush();
    let before = drain(&mut meter);
    let sampling = "1:4".parse().unwrap();
    meter.change(&MeterConfig { sampling, ..exporting::meter() }, &exporting::meter()).unwrap();
    assert!(meter.is_empty());
    assert_eq!((meter.account().flows(), meter.account().metered_packets), (before.len() as u64, 1_600));
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

fn values(record: &[(u16, u64)], element: u16) -> Vec<u64> {
    record.iter().filter(|(number, _)| *number == element).map(|(_, value)| *value).collect()
}

// S17: what was observed and selected is told again and again, and adds up. S18: each selector with its scope; S11: and
// without its secret. S15: the sequence with its selectors in order.
#[test]
fn ipfix_tells_of_the_selectors_and_their_statistics() {
    let text = "match:destination-port=53+hash:1:4,initialiser=77";
    let records = options(&export(text, Duration::from_secs(1)));
    let of = |first: u16, other: u16| -> Vec<&Vec<(u16, u64)>> {
        let found = |record: &&Vec<(u16, u64)>| {
            record[0].0 == first && record.iter().any(|(element, _)| *element == other)
        };
        records.iter().filter(found).collect()
    };
    let sequence = of(301, 302);
    assert_eq!((values(sequence[0], 301), values(sequence[0], 302)), (vec![1], vec![1, 2]));
    let selectors = of(302, 304);
    let filter = selectors.iter().find(|record| values(record, 302) == [1]).unwrap();
    assert_eq!((values(filter, 304), values(filter, 11)), (vec![5], vec![53]));
    let hash = selectors.iter().find(|record| values(record, 302) == [2]).unwrap();
    assert_eq!((values(hash, 304), values(hash, 328)), (vec![6], vec![8]));
    assert_eq!(values(hash, 332)[0] - values(hash, 331)[0], (1 << 30) - 1);
    assert!(values(hash, 334).is_empty());
    let statistics = of(301, 318);
    assert!(statistics.len() >= 4, "{}", statistics.len());
    let observed: Vec<u64> = statistics.iter().map(|record| values(record, 318)[0]).collect();
    assert!(observed.is_sorted() && observed[0] == 0);
    let last = statistics.last().unwrap();
    assert_eq!(values(last, 318), [4_000, 1_000]);
    assert_eq!(values(last, 319)[0], 1_000);
    assert!(values(last, 319)[1].abs_diff(250) < 70);
}

// S17, S18: a plain rate is told as selector 1, whose statistics follow; what is not sampled has none.
#[test]
fn ipfix_tells_a_plain_rate_as_a_selector() {
    let records = options(&export("random:1:10", Duration::from_secs(1)));
    let selector = records.iter().find(|record| !values(record, 304).is_empty()).unwrap();
    assert_eq!((values(selector, 302), values(selector, 304)), (vec![1], vec![3]));
    assert_eq!((values(selector, 309), values(selector, 310)), (vec![1], vec![10]));
    let last = records.iter().rfind(|record| !values(record, 318).is_empty()).unwrap();
    assert_eq!((values(last, 318), values(last, 319)), (vec![4_000], vec![400]));
    let records = options(&export("1:1", Duration::from_secs(1)));
    assert!(records.iter().all(|record| values(record, 318).is_empty()));
}

// S26 (ST19): the change is announced before the first flow metered after it, in every version; sequence numbers go on.
#[test]
fn a_change_is_announced_before_the_flows_metered_after_it() {
    for version in [ExportVersion::V5, ExportVersion::V9, ExportVersion::Ipfix] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("out.pcap");
        let mut exporter = exporter(&file, "random:1:2", version, Duration::from_secs(600));
        for number in 0..4_000 {
            if number == 2_000 {
                exporter.change_sampling(&"1:4".parse().unwrap(), 7).unwrap();
            }
            exporter.handle_frame(&frame(&packet(number), number)).unwrap();
        }
        exporter.finish().unwrap();
        let mut decoder = Decoder::new();
        let mut packets = BTreeMap::new();
        for datagram in written(&file) {
            let mut batches = decoder.decode(&0, &datagram, netflow_codec::Timestamp::ZERO).unwrap();
            let flows: Vec<FlowRecord> = batches
                .by_ref()
                .flat_map(|batch| match batch {
                    Batch::Data(records) => records.flows().collect::<Vec<_>>(),
                    Batch::Fixed(records) => records.flows().collect(),
                    _ => Vec::new(),
                })
                .collect();
            for flow in flows {
                *packets.entry(batches.sampling(&flow).unwrap().interval).or_insert(0) += flow.packets;
            }
        }
        assert_eq!(packets, BTreeMap::from([(2, 1_000), (4, 500)]), "{version:?}");
    }
}
