//! What the exporter sends adds up to what the captures hold, flow by flow.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use core::{ops::ControlFlow, time::Duration};
use std::{collections::BTreeMap, fs, path::Path};

use common::exporting;
use netflow_codec::{Batch, Decoder, ExportVersion, FlowRecord, Timestamp};
use netflow_flowcache::Timeouts;
use netflow_probe_example::{
    dissect::udp_datagram,
    exporter::{ExportError, Exporter, ExporterAccount},
    meter::{Fragments, MeterConfig, MeterRules},
    pcap::CaptureFile,
};
use serde_json::Value;

/// Source, destination, protocol, ports; ICMP has none.
type Key = (String, String, u64, u64, u64);
/// Packets, octets, TCP flags.
type Sums = (u64, u64, u64);

fn export(capture: &Path, to: &Path, version: ExportVersion, max_flows: usize) -> (bool, ExporterAccount) {
    export_sampled(capture, to, version, max_flows, "1:1")
}

fn export_sampled(
    capture: &Path,
    to: &Path,
    version: ExportVersion,
    max_flows: usize,
    sampling: &str,
) -> (bool, ExporterAccount) {
    let mut timeouts = Timeouts::default();
    timeouts.active = Some(Duration::from_secs(60));
    timeouts.inactive = Some(Duration::from_secs(15));
    // The truth has fragments as flows of their own.
    let rules = MeterRules { fragments: Fragments::Apart, ..MeterRules::default() };
    let mut config = exporting::to_file(to, version);
    config.meter = MeterConfig { timeouts, max_flows, sampling: sampling.parse().unwrap(), seed: 7, rules };
    let mut exporter = Exporter::new(config).unwrap();
    let whole = match exporter.read_file(capture, |_, _| ControlFlow::Continue(())) {
        Ok(_) => true,
        Err(ExportError::Capture { .. }) => false,
        Err(other) => panic!("{other}"),
    };
    exporter.finish().unwrap();
    (whole, exporter.account())
}

/// The flows of the datagrams in a capture file.
fn collect(file: &Path) -> Vec<FlowRecord> {
    let mut decoder = Decoder::new();
    let mut flows = Vec::new();
    let mut capture = CaptureFile::open(file).unwrap();
    while let Some(frame) = capture.next_frame().unwrap() {
        let datagram = udp_datagram(frame.link_type, frame.data).unwrap();
        assert!(datagram.complete && datagram.payload.len() <= 1_472);
        for batch in decoder.decode(&datagram.source, datagram.payload, Timestamp::ZERO).unwrap() {
            match batch {
                Batch::Fixed(records) => flows.extend(records.flows()),
                Batch::Data(records) => flows.extend(records.flows()),
                Batch::Template(..) | Batch::Options(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
    flows
}

fn sums(flows: &[FlowRecord]) -> BTreeMap<Key, Sums> {
    let mut sums = BTreeMap::new();
    for flow in flows {
        let icmp = matches!(flow.protocol, 1 | 58);
        let destination_port = if icmp { 0 } else { u64::from(flow.destination_port) };
        let key = (
            flow.source.to_string(),
            flow.destination.to_string(),
            u64::from(flow.protocol),
            u64::from(flow.source_port),
            destination_port,
        );
        let sum: &mut Sums = sums.entry(key).or_default();
        *sum = (sum.0 + flow.packets, sum.1 + flow.octets, sum.2 | u64::from(flow.tcp_flags));
    }
    sums
}

fn expected(truth: &Value, only_ipv4: bool) -> BTreeMap<Key, Sums> {
    let number = |flow: &Value, name: &str| flow[name].as_u64().unwrap();
    let flows = truth["flows"].as_array().unwrap();
    let mut expected: BTreeMap<Key, Sums> = BTreeMap::new();
    for flow in flows {
        let address = |name: &str| {
            // One spelling of IPv6 addresses.
            flow[name].as_str().unwrap().parse::<core::net::IpAddr>().unwrap().to_string()
        };
        if only_ipv4 && address("src").contains(':') {
            continue;
        }
        let key = (
            address("src"),
            address("dst"),
            number(flow, "protocol"),
            number(flow, "src_port"),
            number(flow, "dst_port"),
        );
        let sum = expected.entry(key).or_default();
        let (packets, octets) = (number(flow, "packets"), number(flow, "bytes"));
        *sum = (sum.0 + packets, sum.1 + octets, sum.2 | number(flow, "tcp_flags"));
    }
    expected
}

/// Strict captures that cannot be compared, and why.
const EXCEPTIONS: &[(&str, &str)] = &[];

#[test]
fn exported_records_add_up_to_the_captures_truth() {
    // M1, M5, M6, M7, M13, M20, X15
    let Some(shared) = common::shared_dir() else { return };
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.pcap");
    let (mut compared, mut survived) = (0, 0);
    for path in common::captures(&shared.join("traffic")) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let truth = fs::read(path.with_extension("flows.json")).unwrap();
        let truth: Value = serde_json::from_slice(&truth).unwrap();
        for version in [ExportVersion::V9, ExportVersion::Ipfix, ExportVersion::V5] {
            // A table of 64 flows forces evictions: the sums stay the same.
            for max_flows in [65_536, 64] {
                let (_, account) = export(&path, &out, version, max_flows);
                let flows = collect(&out);
                let metered: u64 = flows.iter().map(|flow| flow.packets).sum();
                assert!(metered <= account.meter.frames.packets, "{name}: packets were invented");
                if version != ExportVersion::V5 {
                    assert_eq!(metered, account.meter.frames.packets, "{name}");
                    assert_eq!(flows.len() as u64, account.meter.flows(), "{name}");
                }
                if truth["strict"] == true && !EXCEPTIONS.iter().any(|(exception, _)| *exception == name) {
                    assert_eq!(
                        sums(&flows),
                        expected(&truth, version == ExportVersion::V5),
                        "{name} {version:?}"
                    );
                    compared += 1;
                } else {
                    survived += 1;
                }
            }
        }
    }
    assert!(compared >= 6 * 300 && survived > 0, "{compared} compared, {survived} survived");
}

#[test]
fn collectors_of_ipfix_find_the_rate_of_every_method_that_has_one() {
    // S18, S23, X23
    let Some(shared) = common::shared_dir() else { return };
    let capture = shared.join("traffic/ntop__dropbox.pcap");
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.pcap");
    let cases = [
        ("1:1", Some((1, 1))),
        ("1:10", Some((10, 1))),
        ("random:1:7", Some((7, 2))),
        ("count:2/8", Some((5, 1))),
        ("random:3:30", Some((10, 2))),
        // Of each and of both together; flows name the latter.
        ("1:2+random:1:5", Some((10, 2))),
    ];
    for (text, expected) in cases {
        export_sampled(&capture, &out, ExportVersion::Ipfix, 65_536, text);
        let mut decoder = Decoder::new();
        let mut file = CaptureFile::open(&out).unwrap();
        let mut flows = 0;
        while let Some(frame) = file.next_frame().unwrap() {
            let datagram = udp_datagram(frame.link_type, frame.data).unwrap();
            assert_eq!(datagram.destination.port(), 4_739);
            let mut batches = decoder.decode(&0, datagram.payload, Timestamp::ZERO).unwrap();
            while let Some(batch) = batches.next() {
                let Batch::Data(records) = batch else { continue };
                for flow in records.flows() {
                    let told = batches.sampling(&flow).map(|info| (info.interval, info.algorithm.number()));
                    assert_eq!(told, expected, "{text}");
                    flows += 1;
                }
            }
        }
        assert!(flows > 0, "{text}");
    }
}
