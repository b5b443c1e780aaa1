//! How packets become flows, as the command line says it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use core::net::IpAddr;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use common::{
    files::Order,
    frames::{ethernet, ipv4, tcp, udp},
    namespace::number,
    peers::run,
};
use serde_json::Value;
use tempfile::TempDir;

const EXPORTER: &str = env!("CARGO_BIN_EXE_netflow-exporter");
const COLLECTOR: &str = env!("CARGO_BIN_EXE_netflow-collector");

/// A folder for a test, and what is done in it.
struct Work(TempDir);

impl Work {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A capture of frames at these times, in milliseconds.
    fn capture(&self, frames: &[(u32, Vec<u8>)]) -> PathBuf {
        let order = Order::Little;
        let mut file = order.pcap_header(0xA1B2_C3D4, 1);
        for (millis, data) in frames {
            let (seconds, fraction) = (1_700_000_000 + millis / 1_000, millis % 1_000 * 1_000);
            file.extend(order.pcap_record(seconds, fraction, u32::try_from(data.len()).unwrap(), data));
        }
        let path = self.0.path().join("capture.pcap");
        fs::write(&path, file).unwrap();
        path
    }

    /// The closing account, and the exit status.
    fn export(&self, capture: &Path, arguments: &[&str]) -> (String, Option<i32>) {
        let output = Command::new(EXPORTER)
            .arg("--read")
            .arg(capture)
            .arg("--write")
            .arg(self.0.path().join("export.pcap"))
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        (String::from_utf8(output.stderr).unwrap(), output.status.code())
    }

    /// The flows that are exported, and the closing account.
    fn meter(&self, capture: &Path, arguments: &[&str]) -> (Vec<Value>, String) {
        let (account, code) = self.export(capture, arguments);
        assert_eq!(code, Some(0), "{account}");
        let (written, flows) = (self.0.path().join("export.pcap"), self.0.path().join("flows.json"));
        run(COLLECTOR, &["decode", written.to_str().unwrap(), "--output", flows.to_str().unwrap()]);
        let text = fs::read_to_string(flows).unwrap();
        (text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), account)
    }
}

fn sums(flows: &[Value]) -> (u64, u64) {
    let of = |name: &str| flows.iter().map(|flow| flow[name].as_u64().unwrap()).sum();
    (of("packets"), of("bytes"))
}

fn packet(source_port: u16, octets: usize) -> Vec<u8> {
    ethernet(0x0800, &ipv4(17, &udp(source_port, 53, &vec![0; octets])))
}

#[test]
fn fragments_follow_their_first_one_or_not() {
    // M7
    let Some(shared) = common::shared_dir() else { return };
    let work = Work::new();
    let capture = shared.join("traffic/zeek__ipv4-fragmented-1.pcap");
    let (together, _) = work.meter(&capture, &[]);
    assert_eq!((together.len(), sums(&together)), (1, (3, 498)), "{together:?}");
    assert_eq!((&together[0]["src_port"], &together[0]["dst_port"]), (&123.into(), &137.into()));
    let (apart, _) = work.meter(&capture, &["--fragments", "apart"]);
    assert_eq!((apart.len(), sums(&apart)), (2, (3, 498)), "{apart:?}");
    // No octet is lost or invented, whatever the fragments.
    for name in common::captures(&shared.join("traffic")) {
        let truth = fs::read(name.with_extension("flows.json")).unwrap();
        let truth: Value = serde_json::from_slice(&truth).unwrap();
        let features = truth["features"].as_array().unwrap();
        let fragmented = features.iter().any(|feature| feature.as_str().unwrap().ends_with("-frag"));
        if !fragmented || truth["strict"] != true {
            continue;
        }
        let flows = truth["flows"].as_array().unwrap();
        let (found, _) = work.meter(&name, &[]);
        assert_eq!(sums(&found), sums(flows), "{}", name.display());
        assert!(
            found.len() <= flows.len() || work.meter(&name, &["--fragments", "apart"]).0.len() >= found.len()
        );
    }
}

/// Tunnels of every kind that is looked into; what they carry is not itself a quotation of a packet.
const TUNNELS: &[&str] = &[
    "oisf__vxlan-decoder-03-vxlan.pcap",
    "zeek__tunnels-vxlan.pcap",
    "zeek__tunnels-geneve.pcap",
    "zeek__tunnels-geneve-ipv6.pcap",
    "zeek__tunnels-gre-sample.pcap",
    "zeek__tunnels-gre-erspan3-dot1q.pcap",
    "the-tcpdump-group__erspan-type-i-4.pcap",
    "the-tcpdump-group__erspan-type-ii-3.pcap",
    "akvorado__gre-v4-key.pcap",
    "ntop__ipv6-in-gtp.pcap",
    "zeek__gtp-gtp-ext-header.pcap",
    "zeek__gtp-gtp6-gtp-0x32.pcap",
    "ntop__4in4tunnel.pcap",
    "oisf__bug-7725-01-ip-in-ip.pcap",
    "zeek__tunnels-6in4.pcap",
    "zeek__tunnels-6in6in6.pcap",
    "zeek__tunnels-vxlan-triple-v2.pcap",
];

/// Packets by the addresses of the innermost header that tshark sees, quotations within ICMP left out.
fn innermost_by_tshark(capture: &Path) -> BTreeMap<(IpAddr, IpAddr), u64> {
    let mut arguments = vec!["-n", "-r", capture.to_str().unwrap(), "-T", "fields", "-E", "separator=|"];
    arguments.extend(["-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE"]);
    for field in ["ip.src", "ip.dst", "ipv6.src", "ipv6.dst", "frame.protocols"] {
        arguments.extend(["-e", field]);
    }
    let mut found = BTreeMap::new();
    for line in run("tshark", &arguments).lines() {
        let columns: Vec<Vec<&str>> = line.split('|').map(|column| column.split(',').collect()).collect();
        let (mut fourth, mut sixth, mut last) = (0, 0, None);
        for protocol in columns[4][0].split(':') {
            match protocol {
                "ip" => {
                    last = Some((columns[0][fourth], columns[1][fourth]));
                    fourth += 1;
                }
                "ipv6" => {
                    last = Some((columns[2][sixth], columns[3][sixth]));
                    sixth += 1;
                }
                "icmp" | "icmpv6" => break,
                _ => {}
            }
        }
        if let Some((source, destination)) = last {
            *found.entry((source.parse().unwrap(), destination.parse().unwrap())).or_default() += 1;
        }
    }
    found
}

#[test]
fn what_tunnels_carry_is_metered_on_request() {
    // M25
    let Some(shared) = common::shared_dir() else { return };
    if !common::has_program("tshark") {
        return;
    }
    let work = Work::new();
    let mut looked_into = 0;
    for name in TUNNELS {
        let capture = shared.join("traffic").join(name);
        let truth = fs::read(capture.with_extension("flows.json")).unwrap();
        let truth: Value = serde_json::from_slice(&truth).unwrap();
        let outer_sums = sums(truth["flows"].as_array().unwrap());
        let (outer, _) = work.meter(&capture, &["--tunnel", "outer"]);
        assert_eq!(sums(&outer), outer_sums, "{name}");
        let (inner, _) = work.meter(&capture, &["--tunnel", "inner"]);
        let mut found = BTreeMap::new();
        for flow in &inner {
            let address = |name: &str| flow[name].as_str().unwrap().parse::<IpAddr>().unwrap();
            *found.entry((address("src_addr"), address("dst_addr"))).or_default() +=
                flow["packets"].as_u64().unwrap();
        }
        assert_eq!(found, innermost_by_tshark(&capture), "{name}");
        // Both are there together.
        let (both, account) = work.meter(&capture, &["--tunnel", "both"]);
        let carried =
            if account.contains("carried by tunnels") { number(&account, "carried by tunnels") } else { 0 };
        assert_eq!(sums(&both).0, outer_sums.0 + carried, "{name}");
        looked_into += carried;
    }
    assert!(looked_into > 200);
}

#[test]
fn a_pseudowire_is_looked_into_with_and_without_control_word() {
    let work = Work::new();
    let frame = packet(1_000, 10);
    let labels = [0x00, 0x06, 0x41, 0x40];
    let with_word = ethernet(0x8847, &[&labels[..], &[0, 0, 0, 7], &frame].concat());
    let without = ethernet(0x8847, &[&labels[..], &frame].concat());
    let capture = work.capture(&[(0, with_word), (10, without)]);
    let (outer, account) = work.meter(&capture, &[]);
    assert_eq!((outer.len(), number(&account, "not IP")), (0, 2), "{account}");
    let (inner, account) = work.meter(&capture, &["--tunnel", "inner"]);
    assert_eq!((inner.len(), sums(&inner)), (1, (2, 2 * (20 + 8 + 10))), "{inner:?}");
    assert_eq!((&inner[0]["src_port"], number(&account, "not IP")), (&1_000.into(), 0));
}

#[test]
fn keys_are_chosen_in_the_words_of_flexible_netflow() {
    // M1, M2
    let Some(shared) = common::shared_dir() else { return };
    let work = Work::new();
    let capture = shared.join("traffic/zeek__http-methods.pcap");
    let (all, _) = work.meter(&capture, &["--inactive-timeout", "never"]);
    let mut by_source: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let mut by_port: BTreeMap<u64, u64> = BTreeMap::new();
    for flow in &all {
        let sum = by_source.entry(flow["src_addr"].as_str().unwrap().to_owned()).or_default();
        *sum = (sum.0 + flow["packets"].as_u64().unwrap(), sum.1 + flow["bytes"].as_u64().unwrap());
        *by_port.entry(flow["dst_port"].as_u64().unwrap()).or_default() += flow["packets"].as_u64().unwrap();
    }
    let never = [
        "--inactive-timeout",
        "never",
        "--tcp-end",
        "never",
        "--tcp-reset",
        "never",
        "--active-timeout",
        "1d",
    ];
    let meter = |key: &[&str]| work.meter(&capture, &[&never[..], key].concat()).0;
    let sources = meter(&["--key", "ipv4 source address"]);
    assert_eq!(sources.len(), by_source.len());
    for flow in &sources {
        let sum = (flow["packets"].as_u64().unwrap(), flow["bytes"].as_u64().unwrap());
        assert_eq!(by_source[flow["src_addr"].as_str().unwrap()], sum);
    }
    let ports = meter(&["--key", "ipv4 protocol", "--key", "transport destination-port"]);
    let found: BTreeMap<u64, u64> = ports
        .iter()
        .map(|flow| (flow["dst_port"].as_u64().unwrap(), flow["packets"].as_u64().unwrap()))
        .collect();
    assert_eq!(found, by_port);
    let networks = meter(&["--key", "match ipv4 source prefix 0"]);
    assert_eq!((networks.len(), sums(&networks)), (1, sums(&all)));
    // Every field at once needs the widest key.
    let everything = "ipv4 source address, ipv4 destination address, ipv4 protocol, ipv4 tos, transport source-port, \
                      transport destination-port, interface input, interface output, flow direction, datalink vlan, \
                      datalink inner-vlan, datalink mac source address, datalink mac destination address, mpls labels, \
                      ipv6 flow-label, routing source as, routing destination as, routing next-hop address";
    assert_eq!(meter(&["--key", everything]).len(), meter(&[]).len());
    let (text, code) = work.export(&capture, &["--key", "ipv4 colour"]);
    assert!(
        code == Some(2) && text.contains("`ipv4 colour`") && text.contains("transport source-port"),
        "{text}"
    );
}

#[test]
fn both_directions_end_together_in_a_biflow_the_initiator_first() {
    // M26
    let Some(shared) = common::shared_dir() else { return };
    let work = Work::new();
    let capture = shared.join("traffic/zeek__http-methods.pcap");
    let (apart, _) = work.meter(&capture, &[]);
    let (together, _) = work.meter(&capture, &["--biflow"]);
    assert_eq!(sums(&together), sums(&apart));
    let mut pairs = 0;
    for pair in together.windows(2) {
        if pair[0]["src_port"] == pair[1]["dst_port"] && pair[0]["dst_port"] == 80 {
            assert_eq!((&pair[0]["src_addr"], &pair[1]["src_port"]), (&pair[1]["dst_addr"], &80.into()));
            pairs += 1;
        }
    }
    assert!(pairs > 40, "{pairs}");
}

#[test]
fn caches_timeouts_and_policies_are_chosen() {
    // M10, M11, M12, M13, M15, M16, M17, M29
    let work = Work::new();
    // One flow of 21 packets, one a second.
    let frames: Vec<_> = (0..21).map(|second| (second * 1_000, packet(1_000, 10))).collect();
    let capture = work.capture(&frames);
    let count = |arguments: &[&str]| {
        let (flows, account) = work.meter(&capture, arguments);
        assert_eq!(sums(&flows).0, 21, "{arguments:?}: {account}");
        flows.len()
    };
    assert_eq!(count(&[]), 1);
    assert_eq!(count(&["--cache", "immediate"]), 21);
    assert_eq!(count(&["--active-timeout", "5s"]), 5);
    assert_eq!(count(&["--cache", "permanent", "--active-timeout", "5s"]), 5);
    assert_eq!(count(&["--inactive-timeout", "0s"]), 21);
    assert_eq!(count(&["--inactive-timeout", "1001ms"]), 1);
    assert_eq!(count(&["--inactive-timeout", "1s"]), 21);
    assert_eq!(count(&["--inactive-timeout", "never"]), 1);
    assert_eq!(count(&["--inactive-timeout-udp", "500ms"]), 21);
    assert_eq!(count(&["--inactive-timeout-tcp", "500ms"]), 1);
    assert_eq!(count(&["--inactive-timeout", "500ms", "--inactive-timeout-udp", "never"]), 1);
    // The first two records are short, for they have fewer packets than three.
    assert_eq!(count(&["--short-flows", "3:500ms"]), 21);
    assert_eq!(count(&["--lifetime", "10500ms"]), 2);
    assert_eq!(count(&["--counter-limit", "7"]), 21, "each packet has more octets than that");
    assert_eq!(count(&["--counter-limit", "100"]), 11, "two of 38 octets each");

    // TCP: a FIN, half a second, and more.
    let segment = |flags| ethernet(0x0800, &ipv4(6, &tcp(1_000, 80, flags)));
    let frames = [(0, segment(0x02)), (100, segment(0x11)), (600, segment(0x10)), (4_000, segment(0x10))];
    let capture = work.capture(&frames);
    let count = |arguments: &[&str]| work.meter(&capture, arguments).0.len();
    assert_eq!((count(&[]), count(&["--tcp-end", "never"])), (2, 1));
    assert_eq!((count(&["--tcp-end", "0s"]), count(&["--tcp-end", "5s"])), (2, 1));
    let frames = [(0, segment(0x02)), (100, segment(0x14)), (600, segment(0x10))];
    let capture = work.capture(&frames);
    let count = |arguments: &[&str]| work.meter(&capture, arguments).0.len();
    assert_eq!((count(&[]), count(&["--tcp-reset", "never"]), count(&["--tcp-reset", "1s"])), (2, 1, 1));

    // A table of eight, and sixteen flows of two packets each.
    let frames: Vec<_> =
        (0..32).map(|number| (number * 10, packet(1_000 + (number % 16) as u16, 10))).collect();
    let capture = work.capture(&frames);
    let account = |policy: &str| work.meter(&capture, &["--max-flows", "8", "--when-full", policy]);
    let (flows, told) = account("refuse");
    assert_eq!((sums(&flows).0, number(&told, "no room in flow table")), (16, 16), "{told}");
    for policy in ["evict-idle", "evict-oldest"] {
        let (flows, told) = account(policy);
        assert_eq!((sums(&flows).0, number(&told, "no room in flow table")), (32, 0), "{told}");
        assert!(number(&told, "lack of resources") >= 8, "{told}");
    }
    let emergency = ["--max-flows", "8", "--emergency", "50:25:10ms"];
    let (flows, told) = work.meter(&capture, &emergency);
    assert!(sums(&flows).0 == 32 && number(&told, "lack of resources") >= 8, "{told}");

    for (argument, value, told) in [
        ("--emergency", "80:90:5s", "90:80:5s"),
        ("--short-flows", "3", "3:2s"),
        ("--inactive-timeout", "soon", "never"),
        ("--cache", "synchronized", "permanent"),
        ("--when-full", "drop", "evict-idle"),
        ("--tunnel", "middle", "inner"),
    ] {
        let (text, code) = work.export(&capture, &[argument, value]);
        assert!(code == Some(2) && text.contains(argument) && text.contains(told), "{text}");
    }
}

#[test]
fn icmp_type_and_code_are_in_the_port_of_v5_and_in_an_element_of_their_own() {
    // M8
    let work = Work::new();
    // Destination unreachable, port unreachable.
    let capture = work.capture(&[(0, ethernet(0x0800, &ipv4(1, &[3, 3, 0, 0, 0, 0, 0, 0])))]);
    for version in ["5", "9", "10"] {
        let (flows, _) = work.meter(&capture, &["--export-version", version]);
        let flow = &flows[0];
        if version == "5" {
            assert_eq!(flow["dst_port"], 3 * 256 + 3, "{flow}");
        } else {
            assert_eq!((&flow["icmp_type"], &flow["icmp_code"]), (&3.into(), &3.into()), "{flow}");
        }
    }
}
