//! The v9 packets of the corpus as IPFIX: our decoder finds the same flows, tshark nothing wrong and the same counters.
#![allow(
    missing_docs,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics"
)]

mod common;

use core::net::SocketAddr;
use std::{collections::BTreeMap, fs, fs::File, io::BufWriter, path::Path, process::Command};

use netflow_codec::{
    Batch, CacheLimits, Decoder, FlowRecord, Strictness, Timestamp,
    rewrite::{RewriteConfig, Unconvertible, V9ToIpfix},
};
use netflow_probe_example::pcap::DatagramWriter;

/// The case of which tshark does not decode all v9 data, but all of IPFIX.
const READ_IN_PART: &str = "graylog__netflow9";

/// The v9 packets of a case, each with its exporter.
fn packets(folder: &Path) -> Vec<(SocketAddr, Vec<u8>)> {
    let Ok(octets) = fs::read(folder.join("packets.bin")) else { return Vec::new() };
    let mut packets = Vec::new();
    let mut rest = octets.as_slice();
    // length | exporter | port | payload
    while let Some((head, behind)) = rest.split_first_chunk::<10>() {
        let length = usize::try_from(u32::from_be_bytes(head[..4].try_into().unwrap())).unwrap();
        let address: [u8; 4] = head[4..8].try_into().unwrap();
        let (payload, behind) = behind.split_at(length);
        if payload.starts_with(&[0, 9]) {
            packets.push(((address, u16::from_be_bytes([head[8], head[9]])).into(), payload.to_vec()));
        }
        rest = behind;
    }
    packets
}

/// The messages that packets become, their exporters, and what was left out.
fn rewrite(packets: &[(SocketAddr, Vec<u8>)]) -> (Vec<(SocketAddr, Vec<u8>)>, u64) {
    let mut config = RewriteConfig::default();
    config.unconvertible = Unconvertible::Drop;
    config.highest_field_type = 0x7fff;
    let mut rewriters: BTreeMap<SocketAddr, V9ToIpfix> = BTreeMap::new();
    let mut messages = Vec::new();
    for (exporter, packet) in packets {
        let rewriter = rewriters.entry(*exporter).or_insert_with(|| V9ToIpfix::new(config));
        let mut message = Vec::new();
        if rewriter.rewrite(packet, &mut message).unwrap_or(false) {
            messages.push((*exporter, message));
        }
    }
    let left_out = rewriters.values().map(|rewriter| {
        let stats = rewriter.stats();
        stats.dropped_records
            + stats.dropped_templates
            + stats.dropped_sets
            + stats.sets_without_template
            + stats.refused
    });
    let left_out = left_out.sum();
    (messages, left_out)
}

/// The flows that a decoder finds, in order; a strict one must find nothing wrong.
fn flows(datagrams: &[(SocketAddr, Vec<u8>)], strictness: Strictness) -> Vec<FlowRecord> {
    let mut decoder = Decoder::with_limits(CacheLimits::default(), strictness);
    let mut flows = Vec::new();
    for (exporter, datagram) in datagrams {
        let Ok(parts) = decoder.decode(exporter, datagram, Timestamp::from_secs(1_700_000_000)) else {
            assert_eq!(strictness, Strictness::Lenient, "a message that is not by the letter");
            continue;
        };
        for part in parts {
            match part {
                Batch::Data(records) => flows.extend(records.flows()),
                Batch::Malformed(error) if strictness == Strictness::Rfc => panic!("{error}"),
                _ => {}
            }
        }
    }
    flows
}

#[test]
fn flows_of_the_corpus_are_the_same_in_ipfix() {
    // D71
    let Some(shared) = common::shared_dir() else { return };
    let (mut compared, mut same) = (0, 0);
    let mut folders: Vec<_> =
        fs::read_dir(shared.join("corpus")).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    for folder in folders {
        let packets = packets(&folder);
        if packets.is_empty() {
            continue;
        }
        let (messages, left_out) = rewrite(&packets);
        let rewritten = flows(&messages, Strictness::Rfc);
        let original = flows(&packets, Strictness::Lenient);
        compared += 1;
        // What is left out cannot be compared, but what is there is by the letter.
        if left_out == 0 {
            assert_eq!(rewritten, original, "{}", folder.display());
            same += 1;
        }
    }
    assert!(compared > 40 && same > 20, "{same} of {compared}");
}

/// Sums of the flow counters that tshark finds, and what it complains of.
fn through_tshark(datagrams: &[(SocketAddr, Vec<u8>)]) -> ([u64; 2], Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("datagrams.pcap");
    let mut writer: DatagramWriter<BufWriter<File>> = DatagramWriter::create(&path).unwrap();
    for (exporter, datagram) in datagrams {
        let time = netflow_flowcache::Timestamp::from_nanos(1_700_000_000_000_000_000);
        writer.write(time, *exporter, ([192, 0, 2, 2], 2055).into(), datagram).unwrap();
    }
    writer.finish().unwrap();
    let mut command = Command::new("tshark");
    command.args(["-n", "-d", "udp.port==2055,cflow", "-T", "fields", "-r"]).arg(&path);
    for field in ["cflow.packets", "cflow.octets", "_ws.malformed", "_ws.expert.message"] {
        command.args(["-e", field]);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let (mut sums, mut complaints) = ([0u64; 2], Vec::new());
    for line in text.lines() {
        let columns: Vec<&str> = line.split('\t').collect();
        for (sum, column) in sums.iter_mut().zip(&columns) {
            *sum += column.split(',').filter_map(|number| number.parse::<u64>().ok()).sum::<u64>();
        }
        complaints.extend(columns[2..].iter().filter(|text| !text.is_empty()).map(|text| (*text).to_owned()));
    }
    (sums, complaints)
}

#[test]
fn tshark_finds_the_same_counters_in_ipfix_and_nothing_wrong() {
    // D71
    let Some(shared) = common::shared_dir() else { return };
    if !common::has_program("tshark") {
        return;
    }
    let mut compared = 0;
    let mut folders: Vec<_> =
        fs::read_dir(shared.join("corpus")).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    for folder in folders {
        let packets = packets(&folder);
        let (messages, left_out) = rewrite(&packets);
        if packets.is_empty() || left_out > 0 || packets.len() > 500 {
            continue;
        }
        let (sums, complaints) = through_tshark(&messages);
        let (original, _) = through_tshark(&packets);
        if folder.ends_with(READ_IN_PART) {
            let all = flows(&packets, Strictness::Lenient);
            assert_eq!(sums[0], all.iter().map(|flow| flow.packets).sum::<u64>());
            assert_ne!(sums, original);
        } else {
            assert_eq!(sums, original, "{}", folder.display());
        }
        assert!(complaints.is_empty(), "{}: {complaints:?}", folder.display());
        compared += 1;
    }
    assert!(compared > 20, "{compared} cases");
}
