//! Real peers: what we export they read, what they export we read, to the last octet.
//!
//! Needs nfdump (nfcapd), tshark, softflowd and pmacct (pmacctd); a test whose peer is missing is skipped with the
//! reason, unless `NETFLOW_REQUIRE_ALL=1`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use std::{
    fs,
    path::Path,
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
};

use common::{
    listening::Listening,
    peers::{Nfcapd, run},
    truth::{Flows, expected, of_json, of_nfdump, totals, traffic},
};
use serde_json::Value;

const EXPORTER: &str = env!("CARGO_BIN_EXE_netflow-exporter");
const COLLECTOR: &str = env!("CARGO_BIN_EXE_netflow-collector");

/// Captures without fragments and MPLS, on which most peers agree about what a flow is.
const CAPTURES: &[&str] = &[
    "ntop__coap-mqtt.pcap",
    "ntop__KakaoTalk-chat.pcap",
    "ntop__dropbox.pcap",
    "oisf__bug-3616-smtp-input.pcap",
    "ntop__hsrp2-ipv6.pcapng",
];

/// softflowd counts the padding of short Ethernet frames as octets of the flow: captures without any.
const SOFTFLOWD_CAPTURES: &[&str] =
    &["ntop__dropbox.pcap", "ntop__ah.pcapng", "ntop__hsrp2-ipv6.pcapng", "ntop__doq.pcapng"];

/// pmacctd takes some seconds for each, whatever their size.
const PMACCTD_CAPTURES: &[&str] =
    &["ntop__coap-mqtt.pcap", "ntop__dropbox.pcap", "oisf__bug-3616-smtp-input.pcap"];

/// Peers take processor time and ports: one at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    // A test that failed says so itself.
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What nfdump makes of the flows that nfcapd got from us, and its count of sequence failures.
fn through_nfcapd(capture: &Path, version: &str) -> (Flows, String) {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().to_str().unwrap();
    let nfcapd = Nfcapd::start(folder.path(), &[]);
    let (capture, collector) = (capture.to_str().unwrap(), nfcapd.address());
    run(EXPORTER, &["--read", capture, "--collector", &collector, "--export-version", version, "--quiet"]);
    nfcapd.finish();
    let listed = run("nfdump", &["-R", store, "-o", "csv", "-q", "-N"]);
    let info = run("nfdump", &["-R", store, "-I"]);
    let failures = info.lines().find(|line| line.starts_with("Sequence failures")).unwrap();
    (of_nfdump(&listed), failures.to_owned())
}

/// Options records in what we export of a capture in IPFIX, by our own collector, which finds no record lost.
fn options_records(capture: &Path) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let (written, summary) = (folder.path().join("export.pcap"), folder.path().join("summary.json"));
    let (written, summary) = (written.to_str().unwrap(), summary.to_str().unwrap());
    let read = capture.to_str().unwrap();
    run(EXPORTER, &["--read", read, "--write", written, "--export-version", "10", "--quiet"]);
    run(COLLECTOR, &["decode", written, "--output", "/dev/null", "--summary", summary]);
    let summary: Value = serde_json::from_slice(&fs::read(summary).unwrap()).unwrap();
    assert_eq!(summary["sequence"]["lost_records"], 0, "{summary}");
    summary["options_records"].as_u64().unwrap_or_else(|| panic!("{summary}"))
}

#[test]
fn nfcapd_stores_what_we_export() {
    // X15, M8
    let _turn = turn();
    let Some(captures) = traffic(CAPTURES) else { return };
    if !common::has_program("nfcapd") || !common::has_program("nfdump") {
        return;
    }
    for capture in &captures {
        for version in ["9", "5", "10"] {
            let (flows, failures) = through_nfcapd(capture, version);
            assert_eq!(flows, expected(&[capture], version == "5"), "{} v{version}", capture.display());
            let failures: u64 = failures.rsplit(' ').next().unwrap().parse().unwrap();
            // nfcapd expects IPFIX sequence numbers to leave out options records, which RFC 7011 section 3.1 counts.
            let excused = if version == "10" { options_records(capture) } else { 0 };
            assert!(failures <= excused, "{} v{version}: {failures} failures", capture.display());
        }
    }
}

#[test]
fn tshark_finds_nothing_wrong_with_what_we_export() {
    // X19
    let Some(captures) = traffic(CAPTURES) else { return };
    if !common::has_program("tshark") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let written = folder.path().join("export.pcap");
    let written = written.to_str().unwrap();
    for capture in &captures {
        for version in ["9", "5", "10"] {
            let read = capture.to_str().unwrap();
            run(EXPORTER, &["--read", read, "--write", written, "--export-version", version, "--quiet"]);
            let fields = [
                "cflow.packets",
                "cflow.octets",
                "_ws.malformed",
                "_ws.expert.message",
                "udp.checksum.status",
            ];
            let mut arguments = vec!["-n", "-r", written, "-d", "udp.port==2055,cflow", "-T", "fields"];
            arguments.extend(["-o", "udp.check_checksum:TRUE", "-E", "separator=/t", "-E", "aggregator=,"]);
            for field in fields {
                arguments.extend(["-e", field]);
            }
            let mut sums = [0u64; 2];
            for line in run("tshark", &arguments).lines() {
                let columns: Vec<&str> = line.split('\t').collect();
                for (sum, column) in sums.iter_mut().zip(&columns) {
                    *sum += column.split(',').filter_map(|number| number.parse::<u64>().ok()).sum::<u64>();
                }
                assert_eq!(columns[2..], ["", "", "1"], "{} v{version}: {line}", capture.display());
            }
            assert_eq!(
                (sums[0], sums[1]),
                totals(&expected(&[capture], version == "5")),
                "{}",
                capture.display()
            );
        }
    }
}

/// Our collector, listening until what was sent is collected.
fn listen() -> (Listening, String) {
    let listening = Listening::start(&["--bind", "127.0.0.1:0", "--format", "json"]);
    let address = listening.addresses[0].to_string();
    (listening, address)
}

/// The flows and the account, once what was sent has been read.
fn collected(listening: Listening) -> (Flows, Value) {
    listening.drained();
    let left = listening.terminate();
    assert_eq!(left.flows.len(), left.output.lines().count());
    (of_json(&left.flows), left.summary)
}

fn assert_nothing_lost(summary: &Value, context: &str) {
    assert_eq!(summary["sequence"]["lost_flows"], 0, "{context}: {summary}");
    assert_eq!(summary["sequence"]["lost_packets"], 0, "{context}: {summary}");
    assert_eq!(summary["sequence"]["lost_records"], 0, "{context}: {summary}");
    assert_eq!(summary["malformed"], 0, "{context}: {summary}");
}

#[test]
fn we_collect_what_softflowd_exports() {
    // C2, C4
    let _turn = turn();
    let Some(captures) = traffic(SOFTFLOWD_CAPTURES) else { return };
    if !common::has_program("softflowd") {
        return;
    }
    for capture in &captures {
        for version in ["9", "5", "10"] {
            let (listening, address) = listen();
            let read = capture.to_str().unwrap();
            let folder = tempfile::tempdir().unwrap();
            let control = folder.path().join("control");
            let control = control.to_str().unwrap();
            run("softflowd", &["-a", "-d", "-c", control, "-r", read, "-n", &address, "-v", version]);
            let (flows, summary) = collected(listening);
            let context = format!("{} v{version}", capture.display());
            assert_eq!(flows, expected(&[capture], version == "5"), "{context}");
            assert_nothing_lost(&summary, &context);
        }
    }
}

#[test]
fn we_collect_what_pmacctd_exports() {
    let _turn = turn();
    let Some(captures) = traffic(PMACCTD_CAPTURES) else { return };
    if !common::has_program("pmacctd") {
        return;
    }
    for capture in &captures {
        for version in ["9", "5", "10"] {
            let truth = expected(&[capture], version == "5");
            let packets = |flows: &Flows| totals(flows).0;
            let mut flows = exported_by_pmacctd(capture, version);
            // One of its processes reads the file, another makes the flows, and is told to end two seconds behind the end
            // of the file, whether it has had the time for all packets or not.
            for _ in 0..4 {
                if packets(&flows) >= packets(&truth) {
                    break;
                }
                flows = exported_by_pmacctd(capture, version);
            }
            assert_eq!(flows, truth, "{} v{version}", capture.display());
        }
    }
}

/// What we collect of a capture that pmacctd has metered; nothing of what it sends is lost.
fn exported_by_pmacctd(capture: &Path, version: &str) -> Flows {
    let (listening, address) = listen();
    let folder = tempfile::tempdir().unwrap();
    let configuration = folder.path().join("pmacctd.conf");
    let text = format!(
        "daemonize: false\npcap_savefile: {}\nplugins: nfprobe\nnfprobe_receiver: {}\n\
         nfprobe_version: {version}\naggregate: src_host, dst_host, src_port, dst_port, proto, tos\n",
        capture.display(),
        address,
    );
    fs::write(&configuration, text).unwrap();
    // Its status says which of its processes noticed the end first; the flows say whether all went well.
    Command::new("pmacctd").arg("-f").arg(&configuration).output().unwrap();
    let (flows, summary) = collected(listening);
    assert_nothing_lost(&summary, &format!("{} v{version}", capture.display()));
    flows
}

#[test]
fn our_exporter_into_our_collector() {
    // C2, X17
    let _turn = turn();
    let Some(captures) = traffic(CAPTURES) else { return };
    for capture in &captures {
        for version in ["9", "5", "10"] {
            let (listening, address) = listen();
            let read = capture.to_str().unwrap();
            run(EXPORTER, &["--read", read, "--collector", &address, "--export-version", version]);
            let (flows, summary) = collected(listening);
            let context = format!("{} v{version}", capture.display());
            assert_eq!(flows, expected(&[capture], version == "5"), "{context}");
            assert_nothing_lost(&summary, &context);
        }
    }
}

#[test]
fn we_collect_what_nfreplay_sends() {
    // C2, C4
    let _turn = turn();
    let Some(captures) = traffic(CAPTURES) else { return };
    if !["nfcapd", "nfreplay"].into_iter().all(common::has_program) {
        return;
    }
    for capture in captures.iter().take(2) {
        // Flows that nfcapd stored of our exporter.
        let folder = tempfile::tempdir().unwrap();
        let stored = folder.path().join("stored");
        fs::create_dir(&stored).unwrap();
        let nfcapd = Nfcapd::start(&stored, &[]);
        run(EXPORTER, &["--read", capture.to_str().unwrap(), "--collector", &nfcapd.address()]);
        nfcapd.finish();
        let file = fs::read_dir(&stored).unwrap().next().unwrap().unwrap().path();
        for version in ["9", "5"] {
            let (listening, address) = listen();
            let (_, port) = address.rsplit_once(':').unwrap();
            run("nfreplay", &["-r", file.to_str().unwrap(), "-H", "127.0.0.1", "-p", port, "-v", version]);
            let (flows, summary) = collected(listening);
            let context = format!("{} v{version}", capture.display());
            assert_eq!(flows, expected(&[capture], version == "5"), "{context}");
            assert_nothing_lost(&summary, &context);
        }
    }
}
