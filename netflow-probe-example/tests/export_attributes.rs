//! AS numbers, prefix lengths and next hops that flows get from a table.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use common::{
    files::Order,
    frames,
    peers::{Nfcapd, run},
};
use netflow_codec::{Batch, Decoder, FlowRecord, Timestamp};
use netflow_probe_example::{dissect::udp_datagram, pcap::CaptureFile};

const EXPORTER: &str = env!("CARGO_BIN_EXE_netflow-exporter");

/// A packet of IPv4, 192.0.2.1 to 198.51.100.7, and one of IPv6.
fn capture(folder: &Path) -> PathBuf {
    let order = Order::Little;
    let mut octets = order.pcap_header(0xA1B2_C3D4, 101);
    for data in [
        frames::ipv4(17, &frames::udp(1_000, 53, &[0; 40])),
        frames::ipv6(17, &frames::udp(1_000, 53, &[0; 40])),
    ] {
        let length = u32::try_from(data.len()).unwrap();
        octets.extend(order.pcap_record(1_700_000_000, 0, length, &data));
    }
    let path = folder.join("in.pcap");
    fs::write(&path, octets).unwrap();
    path
}

fn table(folder: &Path) -> PathBuf {
    let path = folder.join("routes.csv");
    let text = "prefix,origin_as,peer_as,next_hop\n\
                192.0.0.0/8,1,2,\n192.0.2.0/24,64500,64496,203.0.113.1\n198.51.100.0/25,4200000000,64497,203.0.113.2\n\
                2001:db8::/32,64501,64498,2001:db8:ffff::1\n2001:db8::2/128,64502,64499,2001:db8:ffff::2\n\
                10.0.0.0/33,5\nnonsense\n";
    fs::write(&path, text).unwrap();
    path
}

fn export(folder: &Path, arguments: &[&str]) -> (Output, Vec<FlowRecord>) {
    let (read, write) = (capture(folder), folder.join("out.pcap"));
    let output = Command::new(EXPORTER)
        .args([Path::new("--read"), &read, Path::new("--write"), &write])
        .args(arguments)
        .output()
        .unwrap();
    let mut flows = Vec::new();
    if !output.status.success() {
        return (output, flows);
    }
    let mut decoder = Decoder::new();
    let mut file = CaptureFile::open(&write).unwrap();
    while let Some(frame) = file.next_frame().unwrap() {
        let datagram = udp_datagram(frame.link_type, frame.data).unwrap();
        for batch in decoder.decode(&0, datagram.payload, Timestamp::ZERO).unwrap() {
            match batch {
                Batch::Fixed(records) => flows.extend(records.flows()),
                Batch::Data(records) => flows.extend(records.flows()),
                _ => {}
            }
        }
    }
    flows.sort_by_key(|flow| flow.source);
    (output, flows)
}

#[test]
fn flows_carry_what_the_table_says_in_every_version() {
    let folder = tempfile::tempdir().unwrap();
    let path = table(folder.path());
    let path = path.to_str().unwrap();
    for (version, kind, v4, v6) in [
        ("9", "origin", (64_500, 4_200_000_000), (64_501, 64_502)),
        ("10", "peer", (64_496, 64_497), (64_498, 64_499)),
        ("5", "peer", (64_496, 64_497), (0, 0)),
        // AS_TRANS stands for what does not fit.
        ("5", "origin", (64_500, 23_456), (0, 0)),
    ] {
        let arguments = ["--attributes", path, "--export-version", version, "--autonomous-system-type", kind];
        let (output, flows) = export(folder.path(), &arguments);
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{told}");
        let attributes = |flow: &FlowRecord| {
            let lengths = (flow.source_prefix_length, flow.destination_prefix_length);
            ((flow.source_as, flow.destination_as), lengths, flow.next_hop.to_string())
        };
        assert_eq!(attributes(&flows[0]), (v4, (24, 25), "203.0.113.2".to_owned()), "version {version}");
        if version == "5" {
            assert_eq!(flows.len(), 1);
        } else {
            assert_eq!(attributes(&flows[1]), (v6, (32, 128), "2001:db8:ffff::2".to_owned()));
        }
        // Lines that are wrong are named, and the others count.
        assert!(told.contains("routes.csv:7: ") && told.contains("routes.csv:8: \"nonsense\""), "{told}");
        assert!(told.contains("prefixes known                       5"), "{told}");
        let narrowed = told.contains("AS above 65535                   1  (exported as 23456)");
        assert_eq!(narrowed, version == "5" && kind == "origin", "what v5 cannot say is counted: {told}");
    }
}

#[test]
fn a_table_that_cannot_be_read_is_refused_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let (output, _) = export(folder.path(), &["--attributes", "/nonexistent/routes.csv"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("--attributes") && told.contains("/nonexistent/routes.csv"), "{told}");
    // A database that is none, or that this build does not read.
    let path = folder.path().join("as.mmdb");
    fs::write(&path, "nonsense").unwrap();
    let (output, _) = export(folder.path(), &["--attributes", path.to_str().unwrap()]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("as.mmdb"), "{told}");
}

#[test]
fn nfdump_reads_the_attributes() {
    if !common::has_program("nfcapd") || !common::has_program("nfdump") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (read, path) = (capture(folder.path()), table(folder.path()));
    for version in ["5", "9", "10"] {
        let store = tempfile::tempdir().unwrap();
        let nfcapd = Nfcapd::start(store.path(), &[]);
        run(
            EXPORTER,
            &[
                "--read",
                read.to_str().unwrap(),
                "--collector",
                &nfcapd.address(),
                "--export-version",
                version,
                "--attributes",
                path.to_str().unwrap(),
                "--quiet",
            ],
        );
        nfcapd.finish();
        let store = store.path().to_str().unwrap();
        let listed = run("nfdump", &["-R", store, "-q", "-N", "-o", "fmt:%sa|%da|%sas|%das|%smk|%dmk|%nh"]);
        let rows: Vec<Vec<&str>> =
            listed.lines().map(|line| line.split('|').map(str::trim).collect()).collect();
        // nfcapd leaves out the prefix lengths of version 5.
        let (das, lengths) =
            if version == "5" { ("23456", ["0", "0"]) } else { ("4200000000", ["24", "25"]) };
        let expected = ["192.0.2.1", "198.51.100.7", "64500", das, lengths[0], lengths[1], "203.0.113.2"];
        assert!(rows.iter().any(|row| row[..] == expected), "version {version}: {listed}");
        if version != "5" {
            let expected = ["64501", "64502", "32", "128", "2001:db8:ffff::2"];
            assert!(
                rows.iter().any(|row| row.len() == 7 && row[2..] == expected),
                "version {version}: {listed}"
            );
        }
    }
}
