//! The fixed layouts through our decoder and through tshark: the same octets, the same values.
#![allow(
    missing_docs,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics"
)]

mod common;

use std::{collections::BTreeMap, fs::File, io::BufWriter, process::Command};

use netflow_codec::{Batch, Decoder};
use netflow_flowcache::Timestamp;
use netflow_probe_example::pcap::DatagramWriter;

/// Element, and what tshark calls it.
const NAMES: [(u16, &str); 20] = [
    (8, "cflow.srcaddr"),
    (12, "cflow.dstaddr"),
    (44, "cflow.srcnet"),
    (45, "cflow.dstnet"),
    (15, "cflow.nexthop"),
    (10, "cflow.inputint"),
    (14, "cflow.outputint"),
    (3, "cflow.flows"),
    (2, "cflow.packets"),
    (1, "cflow.octets"),
    (22, "cflow.timestart"),
    (21, "cflow.timeend"),
    (7, "cflow.srcport"),
    (11, "cflow.dstport"),
    (4, "cflow.protocol"),
    (5, "cflow.tos"),
    (6, "cflow.tcpflags"),
    (16, "cflow.srcas"),
    (17, "cflow.dstas"),
    (9, "cflow.srcmask"),
];

/// Octets that look like nothing in particular.
struct Octets(u64);

impl Octets {
    fn next(&mut self) -> u8 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u8::try_from(self.0 >> 56).unwrap()
    }

    /// A datagram of one record.
    fn datagram(&mut self, version: u8, scheme: u8) -> Vec<u8> {
        let (header, record) = match version {
            1 => (16, 48),
            5 => (24, 48),
            6 | 7 => (24, 52),
            _ => (28, [28, 28, 32, 32, 40, 32, 40, 44, 32, 32, 32, 32, 40, 40][usize::from(scheme) - 1]),
        };
        let mut octets: Vec<u8> = (0..header + record).map(|_| self.next()).collect();
        octets[..4].copy_from_slice(&[0, version, 0, 1]);
        if version == 8 {
            octets[22..24].copy_from_slice(&[scheme, 2]);
        }
        octets
    }
}

/// What we say of a record, under the names of tshark.
fn ours(datagram: &[u8]) -> BTreeMap<&'static str, String> {
    let mut decoder = Decoder::new();
    let Some(Batch::Fixed(records)) =
        decoder.decode(&1, datagram, netflow_codec::Timestamp::ZERO).unwrap().next()
    else {
        panic!("no record")
    };
    let record = records.iter().next().unwrap();
    let named = record.fields().filter_map(|field| {
        let (number, name) = NAMES.iter().find(|(number, _)| *number == field.element().number())?;
        let text = match number {
            // Seconds of uptime.
            21 | 22 => {
                let millis = field.as_unsigned().unwrap();
                format!("{}.{:09}", millis / 1_000, millis % 1_000 * 1_000_000)
            }
            8 | 12 | 15 | 44 | 45 => field.value().to_string(),
            5 | 6 => format!("0x{:02x}", field.as_unsigned().unwrap()),
            _ => field.as_unsigned().unwrap().to_string(),
        };
        Some((*name, text))
    });
    named.collect()
}

#[test]
fn tshark_reads_the_same_of_every_fixed_layout() {
    // D3, D4, D9
    if !common::has_program("tshark") {
        return;
    }
    let mut octets = Octets(7);
    let mut datagrams = Vec::new();
    for _ in 0..20 {
        datagrams.extend([1, 5, 7].map(|version| octets.datagram(version, 0)));
        datagrams.extend((1..=14).map(|scheme| octets.datagram(8, scheme)));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fixed.pcap");
    let mut writer: DatagramWriter<BufWriter<File>> = DatagramWriter::create(&path).unwrap();
    let (source, destination) = (([192, 0, 2, 1], 49_152).into(), ([192, 0, 2, 2], 2055).into());
    for datagram in &datagrams {
        writer.write(Timestamp::from_nanos(1), source, destination, datagram).unwrap();
    }
    writer.finish().unwrap();

    let mut command = Command::new("tshark");
    command.args(["-n", "-d", "udp.port==2055,cflow", "-T", "fields", "-r"]).arg(&path);
    for (_, name) in NAMES {
        command.args(["-e", name]);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), datagrams.len());
    for (line, datagram) in text.lines().zip(&datagrams) {
        let mut theirs: BTreeMap<_, _> = NAMES
            .iter()
            .map(|(_, name)| *name)
            .zip(line.split('\t').map(str::to_owned))
            .filter(|(_, value)| !value.is_empty())
            .collect();
        let mut ours = ours(datagram);
        if let (8, scheme @ (5 | 13 | 14)) = (datagram[1], datagram[22]) {
            // tshark has the two prefix lengths the other way round.
            let (theirs, ours) = (theirs.remove("cflow.srcmask"), ours.remove("cflow.srcmask"));
            assert_eq!(theirs, Some(datagram[28 + 28].to_string()), "scheme {scheme}");
            assert_eq!(ours, Some(datagram[28 + 29].to_string()), "scheme {scheme}");
        }
        if let (8, 9) = (datagram[1], datagram[22]) {
            // tshark expects TOS before the interfaces, IOS sends it behind them.
            for name in ["cflow.tos", "cflow.inputint", "cflow.outputint"] {
                assert_ne!(theirs.remove(name), ours.remove(name));
            }
        }
        assert_eq!(ours, theirs, "version {}, scheme {}", datagram[1], datagram[22]);
    }
}
