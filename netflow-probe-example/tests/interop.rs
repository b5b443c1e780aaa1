//! Real peers: what we export they read, what they export we read, to the last octet.
//!
//! Needs nfdump (nfcapd), tshark, softflowd and pmacct (pmacctd); a test whose peer is missing is skipped with the
//! reason, unless `NETFLOW_REQUIRE_ALL=1`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use core::{net::IpAddr, time::Duration};
use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
};

use common::peers::{Background, free_port, is_bound, is_drained, run, wait_until};
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

/// Packets and octets by source, destination and ports; ICMP has no ports.
type Flows = BTreeMap<(IpAddr, IpAddr, u16, u16), (u64, u64)>;

fn truth(capture: &Path, only_ipv4: bool) -> Flows {
    let truth: Value =
        serde_json::from_slice(&fs::read(capture.with_extension("flows.json")).unwrap()).unwrap();
    let mut flows = Flows::new();
    for flow in truth["flows"].as_array().unwrap() {
        let address = |name: &str| flow[name].as_str().unwrap().parse::<IpAddr>().unwrap();
        let number = |name: &str| flow[name].as_u64().unwrap();
        if only_ipv4 && address("src").is_ipv6() {
            continue;
        }
        let port = |name: &str| u16::try_from(number(name)).unwrap();
        let sum =
            flows.entry((address("src"), address("dst"), port("src_port"), port("dst_port"))).or_default();
        *sum = (sum.0 + number("packets"), sum.1 + number("bytes"));
    }
    flows
}

fn totals(flows: &Flows) -> (u64, u64) {
    flows.values().fold((0, 0), |sum, flow| (sum.0 + flow.0, sum.1 + flow.1))
}

fn captures(names: &[&str]) -> Option<Vec<PathBuf>> {
    let shared = common::shared_dir()?;
    Some(names.iter().map(|name| shared.join("traffic").join(name)).collect())
}

/// What nfdump makes of the flows that nfcapd got from us, and its count of sequence failures.
fn through_nfcapd(capture: &Path, version: &str) -> (Flows, String) {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().to_str().unwrap();
    let port = free_port();
    let nfcapd = Command::new("nfcapd")
        .args(["-w", store, "-p", &port.to_string(), "-b", "127.0.0.1", "-t", "3600"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut nfcapd = Background(nfcapd);
    wait_until("nfcapd's start", || is_bound(port));
    let collector = format!("127.0.0.1:{port}");
    let capture = capture.to_str().unwrap();
    run(EXPORTER, &["--read", capture, "--collector", &collector, "--export-version", version, "--quiet"]);
    wait_until("nfcapd's reading", || is_drained(port));
    thread::sleep(Duration::from_millis(100));
    nfcapd.terminate();
    let listed = run("nfdump", &["-R", store, "-o", "csv", "-q", "-N"]);
    let mut flows = Flows::new();
    for line in listed.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_digit())) {
        let columns: Vec<&str> = line.split(',').collect();
        let icmp = matches!(columns[7], "ICMP" | "ICMP6" | "1" | "58");
        // nfdump shows type and code of ICMP in the destination port.
        let port = |text: &str| if icmp { 0 } else { text.parse().unwrap() };
        let key =
            (columns[3].parse().unwrap(), columns[4].parse().unwrap(), port(columns[5]), port(columns[6]));
        let sum = flows.entry(key).or_default();
        let number = |column: usize| columns[column].parse::<u64>().unwrap();
        *sum = (sum.0 + number(11), sum.1 + number(12));
    }
    let info = run("nfdump", &["-R", store, "-I"]);
    let failures = info.lines().find(|line| line.starts_with("Sequence failures")).unwrap();
    (flows, failures.to_owned())
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
    let Some(captures) = captures(CAPTURES) else { return };
    if !common::has_program("nfcapd") || !common::has_program("nfdump") {
        return;
    }
    for capture in &captures {
        for version in ["9", "5", "10"] {
            let (flows, failures) = through_nfcapd(capture, version);
            assert_eq!(flows, truth(capture, version == "5"), "{} v{version}", capture.display());
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
    let Some(captures) = captures(CAPTURES) else { return };
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
            assert_eq!((sums[0], sums[1]), totals(&truth(capture, version == "5")), "{}", capture.display());
        }
    }
}

/// Our collector, listening until it is told to stop.
struct Listening {
    child: Background,
    address: String,
    folder: tempfile::TempDir,
}

impl Listening {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (flows, summary) = (folder.path().join("flows.json"), folder.path().join("summary.json"));
        let mut child = Command::new(COLLECTOR)
            .args(["listen", "--bind", "127.0.0.1:0", "--format", "json"])
            .args([Path::new("--output"), &flows, Path::new("--summary"), &summary])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        let mut address = None;
        while address.is_none() {
            let mut line = String::new();
            assert_ne!(errors.read_line(&mut line).unwrap(), 0, "the collector says where it listens");
            let words = line.split_whitespace().map(|word| word.trim_end_matches([',', '.']));
            address = words.filter(|word| word.starts_with("127.0.0.1:")).map(str::to_owned).next();
        }
        // The rest is read, so that the collector never waits for us.
        thread::spawn(move || errors.lines().for_each(drop));
        Self { child: Background(child), address: address.unwrap(), folder }
    }

    /// The flows and the account, once what was sent has been read.
    fn finish(mut self) -> (Flows, Value) {
        let port = self.address.rsplit(':').next().unwrap().parse().unwrap();
        wait_until("our reading", || is_drained(port));
        thread::sleep(Duration::from_millis(100));
        self.child.terminate();
        let mut flows = Flows::new();
        for line in fs::read_to_string(self.folder.path().join("flows.json")).unwrap().lines() {
            let flow: Value = serde_json::from_str(line).unwrap();
            let address = |name: &str| flow[name].as_str().unwrap().parse::<IpAddr>().unwrap();
            let icmp = matches!(flow["proto"].as_str().unwrap(), "ICMP" | "IPv6-ICMP");
            let port = |name: &str| {
                if icmp { 0 } else { u16::try_from(flow[name].as_u64().unwrap_or(0)).unwrap() }
            };
            let sum =
                flows.entry((address("src_addr"), address("dst_addr"), port("src_port"), port("dst_port")));
            let sum = sum.or_default();
            *sum = (sum.0 + flow["packets"].as_u64().unwrap(), sum.1 + flow["bytes"].as_u64().unwrap());
        }
        let summary = fs::read(self.folder.path().join("summary.json")).unwrap();
        (flows, serde_json::from_slice(&summary).unwrap())
    }
}

fn assert_nothing_lost(summary: &Value, context: &str) {
    assert_eq!(summary["sequence"]["lost_flows"], 0, "{context}: {summary}");
    assert_eq!(summary["sequence"]["lost_packets"], 0, "{context}: {summary}");
    assert_eq!(summary["malformed"], 0, "{context}: {summary}");
}

#[test]
fn we_collect_what_softflowd_exports() {
    // C2, C4
    let _turn = turn();
    let Some(captures) = captures(SOFTFLOWD_CAPTURES) else { return };
    if !common::has_program("softflowd") {
        return;
    }
    for capture in &captures {
        for version in ["9", "5", "10"] {
            let listening = Listening::start();
            let read = capture.to_str().unwrap();
            let folder = tempfile::tempdir().unwrap();
            let control = folder.path().join("control");
            let control = control.to_str().unwrap();
            run(
                "softflowd",
                &["-a", "-d", "-c", control, "-r", read, "-n", &listening.address, "-v", version],
            );
            let (flows, summary) = listening.finish();
            let context = format!("{} v{version}", capture.display());
            assert_eq!(flows, truth(capture, version == "5"), "{context}");
            assert_nothing_lost(&summary, &context);
        }
    }
}

#[test]
fn we_collect_what_pmacctd_exports() {
    let _turn = turn();
    let Some(captures) = captures(PMACCTD_CAPTURES) else { return };
    if !common::has_program("pmacctd") {
        return;
    }
    for capture in &captures {
        for version in ["9", "5", "10"] {
            let listening = Listening::start();
            let folder = tempfile::tempdir().unwrap();
            let configuration = folder.path().join("pmacctd.conf");
            let text = format!(
                "daemonize: false\npcap_savefile: {}\nplugins: nfprobe\nnfprobe_receiver: {}\n\
                 nfprobe_version: {version}\naggregate: src_host, dst_host, src_port, dst_port, proto, tos\n",
                capture.display(),
                listening.address,
            );
            fs::write(&configuration, text).unwrap();
            // Its status says which of its processes noticed the end first; the flows say whether all went well.
            Command::new("pmacctd").arg("-f").arg(&configuration).output().unwrap();
            let (flows, summary) = listening.finish();
            let context = format!("{} v{version}", capture.display());
            assert_eq!(flows, truth(capture, version == "5"), "{context}");
            assert_nothing_lost(&summary, &context);
        }
    }
}

#[test]
fn our_exporter_into_our_collector() {
    // C2, X17
    let _turn = turn();
    let Some(captures) = captures(CAPTURES) else { return };
    for capture in &captures {
        for version in ["9", "5", "10"] {
            let listening = Listening::start();
            let read = capture.to_str().unwrap();
            run(EXPORTER, &["--read", read, "--collector", &listening.address, "--export-version", version]);
            let (flows, summary) = listening.finish();
            let context = format!("{} v{version}", capture.display());
            assert_eq!(flows, truth(capture, version == "5"), "{context}");
            assert_nothing_lost(&summary, &context);
        }
    }
}

#[test]
fn we_collect_what_nfreplay_sends() {
    // C2, C4
    let _turn = turn();
    let Some(captures) = captures(CAPTURES) else { return };
    if !["nfcapd", "nfreplay"].into_iter().all(common::has_program) {
        return;
    }
    for capture in captures.iter().take(2) {
        // Flows that nfcapd stored of our exporter.
        let folder = tempfile::tempdir().unwrap();
        let (stored, port) = (folder.path().join("stored"), free_port());
        fs::create_dir(&stored).unwrap();
        let child = Command::new("nfcapd")
            .args(["-w", stored.to_str().unwrap(), "-p", &port.to_string(), "-b", "127.0.0.1"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut nfcapd = Background(child);
        wait_until("nfcapd", || is_bound(port));
        let (read, to) = (capture.to_str().unwrap(), format!("127.0.0.1:{port}"));
        run(EXPORTER, &["--read", read, "--collector", &to]);
        wait_until("receiving", || is_drained(port));
        nfcapd.terminate();
        let file = fs::read_dir(&stored).unwrap().next().unwrap().unwrap().path();
        for version in ["9", "5"] {
            let listening = Listening::start();
            let (_, port) = listening.address.rsplit_once(':').unwrap();
            run("nfreplay", &["-r", file.to_str().unwrap(), "-H", "127.0.0.1", "-p", port, "-v", version]);
            let (flows, summary) = listening.finish();
            let context = format!("{} v{version}", capture.display());
            assert_eq!(flows, truth(capture, version == "5"), "{context}");
            assert_nothing_lost(&summary, &context);
        }
    }
}
