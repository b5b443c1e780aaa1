//! Honest counting: nothing twice, and everything when it was. Sums are compared with what went through.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod collector_datagrams;

use core::time::Duration;
use std::{collections::BTreeMap, fs, process::Command};

use collector_datagrams::{set, template, v9};
use netflow_codec::Timestamp;
use netflow_probe_example::{
    collector::Collector,
    counting::{Counting, CountingConfig, CountingStats, FirewallOctets},
    output::JsonSink,
    pcap::DatagramWriter,
};
use serde_json::Value;

const COLLECTOR: &str = env!("CARGO_BIN_EXE_netflow-collector");

/// Decodes datagrams, which came a second apart, and gives the flows behind the stages.
fn counted(config: CountingConfig, datagrams: &[Vec<u8>]) -> (Vec<Value>, CountingStats) {
    counted_split(config, datagrams, false)
}

fn counted_split(
    config: CountingConfig,
    datagrams: &[Vec<u8>],
    splits_biflows: bool,
) -> (Vec<Value>, CountingStats) {
    let mut lines = Vec::new();
    let mut collector = Collector::new(Counting::new(config, JsonSink::new(&mut lines)));
    collector.split_biflows(splits_biflows);
    for (datagram, second) in datagrams.iter().zip(0..) {
        let received = Timestamp::from_secs(1_700_000_000 + second);
        collector.handle_datagram("198.51.100.1:4711".parse().unwrap(), datagram, received).unwrap();
    }
    collector.flush().unwrap();
    let stats = collector.sink().stats().unwrap();
    drop(collector);
    let flows = String::from_utf8(lines).unwrap();
    (flows.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), stats)
}

fn sum(flows: &[Value], column: &str) -> u64 {
    flows.iter().map(|flow| flow[column].as_u64().unwrap()).sum()
}

/// Source, destination, ports, protocol, octets, packets, direction, input and output interface.
const BOTH_WAYS: [(u16, u16); 10] =
    [(8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (1, 4), (2, 4), (61, 1), (10, 2), (14, 2)];

fn report(host: u8, octets: u32, direction: u8) -> Vec<u8> {
    let mut record = vec![10, 0, 0, host, 203, 0, 113, 1, 0xc0, host, 1, 0xbb, 6];
    record.extend(octets.to_be_bytes());
    record.extend((octets / 100).to_be_bytes());
    // One of the two often does not know the other's interface.
    record.extend(if direction == 0 { [0, 0, 1, 0, 0] } else { [1, 0, 1, 0, 2] });
    record
}

#[test]
fn what_is_reported_where_it_enters_and_where_it_leaves_counts_once() {
    let mut datagrams = vec![v9(7, 0, &[template(256, &BOTH_WAYS)])];
    for part in 0..3 {
        // Octets differ a little: what enters is not always what leaves.
        let records = [
            report(1, 1_000 + part, 0),
            report(1, 1_000, 1),
            report(2, 500, 1),
            report(2, 500, 0),
            report(3, 70, 1),
        ];
        datagrams.push(v9(7, part + 1, &[set(256, &records.concat())]));
    }
    let all =
        counted(CountingConfig { bins: Some(Duration::from_secs(60)), ..Default::default() }, &datagrams);
    assert_eq!(sum(&all.0, "bytes"), 3 * (1_000 + 1_000 + 500 + 500 + 70) + 3);
    let config = CountingConfig { deduplicate: Some(Duration::from_secs(300)), ..CountingConfig::default() };
    let (flows, stats) = counted(config, &datagrams);
    assert_eq!(sum(&flows, "bytes"), 3 * (1_000 + 500 + 70) + 3);
    assert_eq!((stats.duplicate_flows, stats.duplicate_octets), (6, 3 * 1_500));
    // The direction that came first counts, whichever it is.
    let directions: Vec<u64> = flows.iter().map(|flow| flow["flow_direction"].as_u64().unwrap()).collect();
    assert_eq!(directions, [0, 1, 1].repeat(3));
    // It has counted for as long as it was to, and then was silent.
    let config = CountingConfig { deduplicate: Some(Duration::from_millis(1)), ..CountingConfig::default() };
    let late = [
        datagrams[0].clone(),
        v9(7, 1, &[set(256, &report(1, 10, 0))]),
        v9(7, 2, &[set(256, &report(1, 10, 1))]),
    ];
    assert_eq!(sum(&counted(config, &late).0, "bytes"), 20);
}

/// Source, destination, ports, protocol, flowId, firewallEvent, initiatorOctets, responderOctets.
const FIREWALL: [(u16, u16); 9] =
    [(8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (148, 4), (233, 1), (231, 4), (232, 4)];

fn event(id: u32, event: u8, forward: u32, reverse: u32) -> Vec<u8> {
    let mut record = vec![10, 0, 0, 1, 203, 0, 113, 1, 0xc0, 1, 1, 0xbb, 6];
    record.extend(id.to_be_bytes());
    record.push(event);
    record.extend(forward.to_be_bytes());
    record.extend(reverse.to_be_bytes());
    record
}

// C31: updates of one flow add, and the total replaces them.
#[test]
fn updates_of_firewalls_and_the_total_at_the_end_count_once() {
    let connection = |element: u16| {
        let fields = FIREWALL.map(|(number, length)| (if number == 233 { element } else { number }, length));
        vec![
            v9(7, 0, &[template(256, &fields)]),
            v9(7, 1, &[set(256, &[event(9, 1, 0, 0), event(8, 1, 0, 0)].concat())]),
            v9(7, 2, &[set(256, &event(9, 5, 100, 1_000))]),
            v9(7, 3, &[set(256, &event(9, 5, 200, 2_000))]),
            // All in all, and what came since the last update; and a short one without an update.
            v9(7, 4, &[set(256, &[event(9, 2, 350, 3_500), event(8, 2, 40, 400)].concat())]),
            // The number of a connection is used again.
            v9(7, 5, &[set(256, &event(9, 2, 5, 50))]),
        ]
    };
    for element in [233, 40_005] {
        let datagrams = connection(element);
        for (which, flows, records) in [(FirewallOctets::Totals, 2 + 3, 2), (FirewallOctets::Updates, 7, 1)] {
            let config = CountingConfig { firewall_octets: Some(which), ..CountingConfig::default() };
            let (left, stats) = counted(config, &datagrams);
            assert_eq!(left.len(), flows, "{which:?}");
            assert_eq!(sum(&left, "bytes"), 350 + 40 + 5, "{which:?}");
            assert_eq!((stats.firewall_records, stats.firewall_octets), (records, 300), "{which:?}");
            // Both directions, when they are flows of their own.
            let (left, _) = counted_split(config, &datagrams, true);
            assert_eq!(sum(&left, "bytes"), 350 + 40 + 5 + 3_500 + 400 + 50, "{which:?}");
        }
    }
}

// C31: delta counters add, total counters replace.
#[test]
fn running_totals_count_by_what_they_grew() {
    // Source, destination, protocol, start, octets, packets.
    let fields = |octets, packets| [(8, 4), (12, 4), (4, 1), (22, 4), (octets, 4), (packets, 4)];
    let record = |start: u32, octets: u32, packets: u32| {
        let mut record = vec![10, 0, 0, 1, 203, 0, 113, 1, 17];
        for number in [start, octets, packets] {
            record.extend(number.to_be_bytes());
        }
        record
    };
    let mut updates = vec![v9(7, 0, &[template(256, &fields(85, 86)), template(257, &fields(1, 2))])];
    for (id, sequence) in [(256, 1), (257, 2)] {
        let records = [
            record(10, 100, 1),
            record(10, 250, 3),
            record(10, 250, 3),
            record(10, 900, 9),
            record(50, 30, 1),
        ];
        updates.push(v9(7, sequence, &[set(id, &records.concat())]));
    }
    let config = CountingConfig { running_totals: true, ..CountingConfig::default() };
    let (flows, stats) = counted(config, &updates);
    let (totals, deltas): (Vec<Value>, Vec<Value>) =
        flows.into_iter().partition(|flow| flow["template_id"] == 256);
    assert_eq!((sum(&totals, "bytes"), sum(&totals, "packets")), (930, 10));
    assert_eq!((sum(&deltas, "bytes"), sum(&deltas, "packets")), (1_530, 17));
    assert_eq!((stats.running_totals, stats.running_octets), (3, 100 + 250 + 250));
}

/// Source, destination, octets, packets, start and end in milliseconds before 1,700,000,000 and after it.
fn lasting(host: u8, octets: u64, packets: u64, start: u64, end: u64) -> Vec<u8> {
    let mut record = vec![10, 0, 0, host, 203, 0, 113, 1];
    for number in [octets, packets, start, end] {
        record.extend(number.to_be_bytes());
    }
    record
}

const LASTING: [(u16, u16); 6] = [(8, 4), (12, 4), (1, 8), (2, 8), (152, 8), (153, 8)];
const SECOND: u64 = 1_700_000_000_000;

#[test]
fn long_flows_are_spread_over_bins_and_sums_stay() {
    let minute = 60_000;
    // A whole minute begins 40 seconds behind the time of the datagrams.
    let base = SECOND + 40_000;
    let records = [
        // Half a minute, two whole ones, a quarter.
        lasting(1, 1_001, 11, base - 30_000, base + 2 * minute + 15_000),
        lasting(2, 77, 1, base + 1, base + 59_999),
        lasting(3, 5, 1, base + 100, base + 50),
        lasting(4, 9_999, 99, 0, base),
        lasting(5, u64::MAX, u64::MAX, base - minute, base + minute),
    ];
    let datagrams = [v9(7, 0, &[template(256, &LASTING)]), v9(7, 1, &[set(256, &records.concat())])];
    let config = CountingConfig { bins: Some(Duration::from_secs(60)), ..CountingConfig::default() };
    let (flows, stats) = counted(config, &datagrams);
    let of = |host: u8| -> Vec<&Value> {
        flows.iter().filter(|flow| flow["src_addr"] == format!("10.0.0.{host}")).collect()
    };
    let octets =
        |flows: &[&Value]| -> Vec<u64> { flows.iter().map(|flow| flow["bytes"].as_u64().unwrap()).collect() };
    // 165 seconds: 30, 60, 60, 15 of them.
    assert_eq!(octets(&of(1)), [182, 364, 364, 91]);
    let packets: Vec<u64> = of(1).iter().map(|flow| flow["packets"].as_u64().unwrap()).collect();
    assert_eq!(packets, [2, 4, 4, 1]);
    let durations: Vec<u64> = of(1).iter().map(|flow| flow["duration_ms"].as_u64().unwrap()).collect();
    assert_eq!(durations, [30_000, 60_000, 60_000, 15_000]);
    let beginnings: Vec<u64> =
        of(1).iter().map(|flow| flow["time_flow_start_ns"].as_u64().unwrap()).collect();
    assert_eq!(beginnings[0], (base - 30_000) * 1_000_000);
    assert!(beginnings[1..].iter().all(|start| start % 60_000_000_000 == 0));
    // What fits, what ends before it begins, and what somebody made up stay whole.
    assert_eq!((of(2).len(), of(3).len(), of(4).len()), (1, 1, 1));
    assert_eq!(
        of(5).iter().map(|flow| u128::from(flow["bytes"].as_u64().unwrap())).sum::<u128>(),
        u64::MAX.into()
    );
    assert_eq!((stats.spread_flows, stats.unspread_flows), (2, 1));
    assert_eq!(stats.spread_parts, 4 + 2);
}

#[test]
fn stages_are_arguments_and_the_account_tells_what_they_did() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let records = [lasting(1, 600, 6, SECOND, SECOND + 120_000), lasting(2, 60, 1, SECOND, SECOND + 1)];
    let datagrams = [v9(7, 0, &[template(256, &LASTING)]), v9(7, 1, &[set(256, &records.concat())])];
    let mut writer = DatagramWriter::create(folder.path().join("flows.pcap")).unwrap();
    for datagram in &datagrams {
        let time = netflow_flowcache::Timestamp::from_secs(1_700_000_200);
        let (from, to) = ("198.51.100.1:4711".parse().unwrap(), "192.0.2.9:2055".parse().unwrap());
        writer.write(time, from, to, datagram).unwrap();
    }
    writer.finish().unwrap();
    let run = |arguments: &[&str]| {
        let output = Command::new(COLLECTOR).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output
    };
    let (capture, summary, store) = (path("flows.pcap"), path("summary.json"), path("store"));
    run(&[
        "decode",
        &capture,
        "--summary",
        &summary,
        "--store",
        &store,
        "--deduplicate",
        "--firewall-octets",
        "updates",
        "--running-totals",
    ]);
    let account: Value = serde_json::from_slice(&fs::read(&summary).unwrap()).unwrap();
    assert_eq!(account["counting"]["duplicate_flows"], 0);
    assert_eq!(account["store"]["durable_flows"], 2);
    // The flows of the store, and the datagrams, spread when they are asked for.
    for source in [["--store", &store], ["--read", &capture]] {
        let query = ["query", source[0], source[1], "--format", "json", "--bins", "1m", "src ip 10.0.0.1"];
        let output = run(&query);
        let flows: Vec<Value> = String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let mut bins = BTreeMap::new();
        for flow in &flows {
            let bin = flow["time_flow_start_ns"].as_u64().unwrap() / 60_000_000_000;
            *bins.entry(bin).or_insert(0) += flow["bytes"].as_u64().unwrap();
            let [start, end] =
                ["time_flow_start_ns", "time_flow_end_ns"].map(|name| flow[name].as_u64().unwrap());
            assert_eq!((end - start) / 1_000_000, flow["duration_ms"].as_u64().unwrap());
        }
        // 40, 60 and 20 seconds of 120.
        assert_eq!(bins.values().copied().collect::<Vec<u64>>(), [200, 300, 100], "{flows:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("3 spread parts"));
    }
}
