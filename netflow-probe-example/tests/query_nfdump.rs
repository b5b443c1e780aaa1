//! Filters and statistics beside nfdump: the same datagrams go to nfcapd and into a capture file, and the same
//! question must give the same flows, and the same numbers, from both.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use core::net::IpAddr;
use std::{collections::BTreeMap, net::UdpSocket};

use common::peers::{Nfcapd, run};
use netflow_codec::{ExportSession, ExportVersion, FlowRecord, SessionConfig, Timestamp};
use netflow_probe_example::pcap::DatagramWriter;
use tempfile::TempDir;

const COLLECTOR: &str = env!("CARGO_BIN_EXE_netflow-collector");

const BOOT: Timestamp = Timestamp::from_secs(1_700_000_000);
const NOW: Timestamp = Timestamp::from_secs(1_700_010_000);

/// Numbers that are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 >> 33) % limit
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::try_from(self.below(choices.len() as u64)).unwrap()]
    }
}

/// Flows in which every element that filters know takes a few values.
///
/// Source and destination, and the two interfaces, always differ: a flow with one value on both sides belongs once to
/// the group of that value, and nfdump counts it twice.
fn flows() -> Vec<FlowRecord> {
    let mut numbers = Numbers(7);
    let mut flows = Vec::new();
    for index in 0..3_000u64 {
        let mut flow = FlowRecord::default();
        let octet = |numbers: &mut Numbers| u8::try_from(numbers.below(40)).unwrap();
        if index % 5 == 4 {
            let address = |numbers: &mut Numbers| -> IpAddr {
                let group = numbers.one_of(&[1, 2, 0xff]);
                [0x2001, 0xdb8, group, 0, 0, 0, 0, 1 + u16::try_from(numbers.below(30)).unwrap()].into()
            };
            flow.source = address(&mut numbers);
            flow.destination = address(&mut numbers);
            while flow.source == flow.destination {
                flow.destination = address(&mut numbers);
            }
            flow.next_hop = [0x2001, 0xdb8, 0, 0, 0, 0, 0, 0xfe].into();
        } else {
            flow.source =
                [numbers.one_of(&[10, 172, 192]), 16, octet(&mut numbers) / 8, octet(&mut numbers)].into();
            flow.destination = [198, 51, 100, octet(&mut numbers)].into();
            flow.next_hop = [203, 0, 113, octet(&mut numbers) / 10].into();
        }
        flow.protocol = numbers.one_of(&[6, 6, 6, 17, 17, 47, 50]);
        if matches!(flow.protocol, 6 | 17) {
            flow.source_port = u16::try_from(1_024 + numbers.below(60_000)).unwrap();
            flow.destination_port = numbers.one_of(&[22, 25, 53, 80, 123, 443, 8_080, 51_820]);
        }
        if index % 50 == 48 {
            (flow.protocol, flow.source_port, flow.destination_port) = (1, 0, 0);
            flow.icmp_type_code = numbers.one_of(&ICMP);
        }
        if flow.protocol == 6 {
            flow.tcp_flags = numbers.one_of(&[0x02, 0x12, 0x1b, 0x1f, 0x14, 0x3f, 0x10]);
        }
        flow.packets = if index == 0 { 1_234 } else { 1 + numbers.below(5_000) };
        flow.octets = flow.packets * (40 + numbers.below(1_400));
        let start = numbers.below(9_000_000);
        let duration = numbers.one_of(&[0, 0, 1, 40, 999, 1_000, 1_001, 60_000, 250_000]);
        flow.start = Timestamp::from_millis(BOOT.as_millis() + start);
        flow.end = Timestamp::from_millis(BOOT.as_millis() + start + duration);
        flow.ingress_interface = u32::try_from(numbers.below(5)).unwrap();
        flow.egress_interface = (flow.ingress_interface + 1 + u32::try_from(numbers.below(4)).unwrap()) % 5;
        flow.source_as = numbers.one_of(&[64_496, 64_497, 65_551, 3]);
        flow.destination_as = numbers.one_of(&[64_500, 64_497, 65_540]);
        flow.tos = numbers.one_of(&[0, 0, 0x10, 0xb8]);
        flow.source_prefix_length = numbers.one_of(&[16, 20, 32]);
        flow.destination_prefix_length = numbers.one_of(&[24, 25]);
        flow.vlan = numbers.one_of(&[0, 5, 100]);
        if index % 7 == 0 {
            let label = u32::try_from(16 + numbers.below(4)).unwrap() << 12;
            flow.mpls_labels.set(0, [0, (label >> 16).to_be_bytes()[3], (label >> 8).to_be_bytes()[3]]);
            flow.mpls_labels.set(1, [0, 0x32, numbers.one_of(&[0x31, 0x41])]);
        }
        flows.push(flow);
    }
    flows
}

fn datagrams() -> Vec<Vec<u8>> {
    let mut config = SessionConfig::new(ExportVersion::V9, BOOT);
    config.source_id = 42;
    let mut session = ExportSession::new(config).unwrap();
    let mut datagrams = Vec::new();
    let mut datagram = Vec::new();
    for flow in flows() {
        session.handle_flow(&flow, NOW).unwrap();
        while session.poll_transmit(&mut datagram).is_some() {
            datagrams.push(core::mem::take(&mut datagram));
        }
    }
    session.flush(NOW);
    while session.poll_transmit(&mut datagram).is_some() {
        datagrams.push(core::mem::take(&mut datagram));
    }
    datagrams
}

/// The same flows in nfdump's store and in a capture file.
struct Both {
    folder: TempDir,
}

impl Both {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let both = Self { folder };
        std::fs::create_dir(both.store()).unwrap();
        let nfcapd = Nfcapd::start(both.store().as_ref(), &[]);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut writer = DatagramWriter::create(both.capture()).unwrap();
        let received = netflow_flowcache::Timestamp::from_secs(NOW.as_secs());
        for datagram in datagrams() {
            socket.send_to(&datagram, nfcapd.address()).unwrap();
            nfcapd.drained();
            let address = "127.0.0.1:2055".parse().unwrap();
            writer.write(received, "127.0.0.1:40000".parse().unwrap(), address, &datagram).unwrap();
        }
        writer.finish().unwrap();
        nfcapd.finish();
        both
    }

    fn store(&self) -> String {
        self.folder.path().join("store").to_str().unwrap().to_owned()
    }

    fn capture(&self) -> String {
        self.folder.path().join("datagrams.pcap").to_str().unwrap().to_owned()
    }

    fn nfdump(&self, arguments: &[&str]) -> String {
        let store = self.store();
        run("nfdump", &[&["-R", &store, "-q", "-N"], arguments].concat())
    }

    fn ours(&self, arguments: &[&str]) -> String {
        let capture = self.capture();
        run(COLLECTOR, &[&["query", "--read", &capture, "--quiet", "--format", "csv"], arguments].concat())
    }

    /// Source, destination, packets and octets of the flows that a filter lets pass, how often each.
    fn listed_by_nfdump(&self, filter: &str) -> Listed {
        let text = self.nfdump(&["-o", "csv", filter]);
        let is_flow = |line: &&str| line.starts_with(|first: char| first.is_ascii_digit());
        listed(text.lines().filter(is_flow), [3, 4, 11, 12])
    }

    fn listed_by_us(&self, filter: &str) -> Listed {
        let text = self.ours(&[filter]);
        let heading: Vec<&str> = text.lines().next().unwrap().split(',').collect();
        let column = |name| heading.iter().position(|found| *found == name).unwrap();
        listed(text.lines().skip(1), ["src_addr", "dst_addr", "packets", "bytes"].map(column))
    }
}

type Listed = BTreeMap<[String; 4], u32>;

fn listed<'a>(lines: impl Iterator<Item = &'a str>, columns: [usize; 4]) -> Listed {
    let mut listed = Listed::new();
    for line in lines {
        let cells: Vec<&str> = line.split(',').collect();
        *listed.entry(columns.map(|column| cells[column].to_owned())).or_default() += 1;
    }
    listed
}

/// Filters that mean the same to both.
const FILTERS: &[&str] = &[
    "any",
    "inet",
    "inet6",
    "ipv4 and proto tcp",
    "proto tcp",
    "proto udp",
    "proto 47",
    "proto gre or proto esp",
    "not proto tcp",
    "proto icmp",
    "icmp-type 8",
    "icmp-type 3 and icmp-code 3",
    "ip 198.51.100.7",
    "src ip 2001:db8:1::5",
    "dst ip 198.51.100.9",
    "host 198.51.100.20 or host 198.51.100.21",
    "ip in [ 198.51.100.1 198.51.100.2 2001:db8:2::1 ]",
    "src ip in [ 10.16.0.0/16 192.16.0.0/14 ]",
    "net 10.0.0.0/8",
    "src net 172.16.0.0/15",
    "dst net 198.51.100.0 255.255.255.240",
    "src net 2001:db8:ff::/48",
    "net 2001:db8::/46 and not net 2001:db8:1::/48",
    "port 53",
    "dst port 443",
    "src port > 50000",
    "dst port < 100 and proto tcp",
    "port in [ 22 80 443 ]",
    "dst port in [25,123]",
    "src port > 20000 and src port < 30000",
    "not port in [22 80 443]",
    "flags S",
    "flags S and not flags AFRPU",
    "flags SA",
    "flags X",
    "flags R or flags F",
    "packets > 1k",
    "packets > 4k",
    "packets < 100",
    "packets = 1234",
    "bytes > 1m",
    "bytes < 10k",
    "bytes > 500k and bytes < 600k",
    "bpp > 1000",
    "bpp < 100",
    "bps > 1m",
    "bps > 10k and bps < 1m",
    "pps > 1000",
    "pps < 10",
    "duration > 1000",
    "duration < 1000",
    "duration = 1000",
    "tos 16",
    "tos 184",
    "if 3",
    "in if 1",
    "out if 4",
    "in if 1 and out if 2",
    "mask 32",
    "src mask 16",
    "dst mask 25",
    "vlan 100",
    "src vlan 5",
    "next ip 203.0.113.2",
    "next ip 2001:db8::fe",
    "router ip 127.0.0.1",
    "mpls label1 = 17",
    "mpls label1 > 17",
    "mpls label2 = 803",
    "src and dst net 2001:db8:1::/48",
    "src or dst port 80",
    "(src port > 30000 or dst port 53) and proto udp",
    "proto tcp and (flags S or bytes > 5m) and not dst port 22",
    "not (proto tcp or proto udp)",
    "not ip 198.51.100.7 and dst net 198.51.100.0/28",
    "ip 198.51.100.7 or ip 198.51.100.8 and proto tcp",
    "proto tcp and ip 198.51.100.7 or ip 198.51.100.8",
];

/// Filters whose answers differ on purpose: what nfdump gives, what we give, and why.
const DIFFERENT: &[(&str, u32, u32, &str)] = &[
    ("mpls exp2 = 0", 3_000, 429, "a flow without labels has no second label, and so none of class 0"),
    (
        "observation domain id 42",
        0,
        3_000,
        "nfdump keeps the source ID of v9 elsewhere than the domain of IPFIX",
    ),
];

/// Numbers of a group: flows, packets, octets, packets per second, bits per second, octets per packet.
type Group = [u64; 6];

/// The elements of statistics that mean the same to both. Of labels the first one only: nfdump 1.7.1 shifts the others.
const STATISTICS: &[&str] = &[
    "srcip",
    "dstip",
    "ip",
    "nhip",
    "router",
    "srcport",
    "dstport",
    "port",
    "tos",
    "inif",
    "outif",
    "if",
    "srcmask",
    "dstmask",
    "mask",
    "srcvlan",
    "vlan",
    "proto",
    "mpls1",
    "srcip:p",
    "dstport:p",
];

/// Type and code of ICMP, which differ on purpose: nfdump counts them as destination ports. ICMP has no ports.
const ICMP: [u16; 3] = [0x0800, 0x0303, 0x0b00];

impl Both {
    /// By protocol and value.
    fn statistic_of_nfdump(&self, statistic: &str) -> BTreeMap<[String; 2], Group> {
        let text = self.nfdump(&["-s", &format!("{statistic}/bytes"), "-n", "0", "-o", "csv"]);
        let rows = text.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_digit()));
        rows.map(|line| {
            let cells: Vec<&str> = line.split(',').map(str::trim).collect();
            // first, last, duration, protocol, value, then numbers, some with their share behind them
            let number = |column: usize| cells[column].parse().unwrap();
            let protocol = if statistic == "proto" { "any" } else { cells[3] };
            // A label stands with its class and whether it is the last.
            let value = cells[4].split('-').next().unwrap();
            ([protocol, value].map(ToOwned::to_owned), [5, 7, 9, 11, 12, 13].map(number))
        })
        .collect()
    }

    fn statistic_of_ours(&self, statistic: &str) -> BTreeMap<[String; 2], Group> {
        let text = self.ours(&["-s", &format!("{statistic}/bytes"), "-n", "0"]);
        let heading: Vec<&str> = text.lines().next().unwrap().split(',').collect();
        let columns = ["flows", "packets", "bytes", "pps", "bps", "bpp"]
            .map(|name| heading.iter().position(|found| *found == name).unwrap());
        let rows = text.lines().skip(1).map(|line| {
            let cells: Vec<&str> = line.split(',').collect();
            let by_protocol = statistic.ends_with(":p");
            let protocol = if by_protocol { nfdump_protocol(cells[0]) } else { "any" };
            let value = cells[usize::from(by_protocol)];
            let value = if statistic == "proto" { nfdump_protocol(value) } else { value };
            ([protocol.to_owned(), value.to_owned()], columns.map(|column| cells[column].parse().unwrap()))
        });
        rows.collect()
    }
}

/// nfdump prints protocols as numbers.
fn nfdump_protocol(keyword: &str) -> &str {
    match keyword {
        "ICMP" => "1",
        "TCP" => "6",
        "UDP" => "17",
        "GRE" => "47",
        "ESP" => "50",
        other => other,
    }
}

#[test]
fn statistics_give_the_numbers_that_nfdump_gives() {
    if !common::has_program("nfcapd") || !common::has_program("nfdump") {
        return;
    }
    let both = Both::new();
    let mut differing = Vec::new();
    for statistic in STATISTICS {
        let mut theirs = both.statistic_of_nfdump(statistic);
        let mut ours = both.statistic_of_ours(statistic);
        // nfdump has no word for a value that is not there: it counts it as 0, in `port` and its like twice.
        for groups in [&mut theirs, &mut ours] {
            groups.retain(|[_, value], _| !matches!(value.as_str(), "0" | ""));
        }
        if ["dstport", "port", "dstport:p"].contains(statistic) {
            let before = theirs.len();
            theirs.retain(|[_, value], _| ICMP.iter().all(|number| number.to_string() != *value));
            assert_eq!(theirs.len() + ICMP.len(), before, "{statistic}");
        }
        assert!(theirs.len() > usize::from(*statistic != "router"), "{statistic}");
        for (key, group) in &theirs {
            if ours.get(key) != Some(group) {
                differing
                    .push(format!("{statistic} {key:?}: {group:?} by nfdump, {:?} by us", ours.get(key)));
            }
        }
        if ours.len() != theirs.len() {
            differing.push(format!("{statistic}: {} groups by nfdump, {} by us", theirs.len(), ours.len()));
        }
    }
    differing.truncate(20);
    assert!(differing.is_empty(), "{differing:#?}");
    assert!(STATISTICS.len() >= 20);
}

#[test]
fn filters_give_the_flows_that_nfdump_gives() {
    if !common::has_program("nfcapd") || !common::has_program("nfdump") {
        return;
    }
    let both = Both::new();
    for (filter, theirs, ours, why) in DIFFERENT {
        assert_eq!(both.listed_by_nfdump(filter).values().sum::<u32>(), *theirs, "{filter}: {why}");
        assert_eq!(both.listed_by_us(filter).values().sum::<u32>(), *ours, "{filter}: {why}");
    }
    assert_eq!(both.listed_by_us("any").values().sum::<u32>(), 3_000);
    let mut differing = Vec::new();
    let mut empty = Vec::new();
    for filter in FILTERS {
        let (theirs, ours) = (both.listed_by_nfdump(filter), both.listed_by_us(filter));
        if theirs != ours {
            let (theirs, ours) = (theirs.values().sum::<u32>(), ours.values().sum::<u32>());
            differing.push(format!("{filter}: {theirs} by nfdump, {ours} by us"));
        }
        if ours.is_empty() {
            empty.push(filter);
        }
    }
    assert!(differing.is_empty(), "{differing:#?}");
    assert!(FILTERS.len() >= 60);
    assert!(empty.is_empty(), "filters that prove nothing: {empty:?}");
}
