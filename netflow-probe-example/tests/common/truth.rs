//! Flows that are expected of captures, and those that programs have found, in one form.

use core::net::IpAddr;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

/// Packets and octets by source, destination and ports; ICMP has no ports.
pub(crate) type Flows = BTreeMap<(IpAddr, IpAddr, u16, u16), (u64, u64)>;

/// Adds packets and octets of a flow.
fn add(flows: &mut Flows, key: (IpAddr, IpAddr, u16, u16), packets: u64, octets: u64) {
    let sum = flows.entry(key).or_default();
    *sum = (sum.0 + packets, sum.1 + octets);
}

pub(crate) fn totals(flows: &Flows) -> (u64, u64) {
    flows.values().fold((0, 0), |sum, flow| (sum.0 + flow.0, sum.1 + flow.1))
}

/// Captures of the shared collection; `None` means that the test is to be skipped, which was then reported.
pub(crate) fn traffic(names: &[&str]) -> Option<Vec<PathBuf>> {
    let shared = super::shared_dir()?;
    Some(names.iter().map(|name| shared.join("traffic").join(name)).collect())
}

/// The flows of captures.
pub(crate) fn expected<P: AsRef<Path>>(captures: &[P], only_ipv4: bool) -> Flows {
    let mut flows = Flows::new();
    for capture in captures {
        let text = fs::read(capture.as_ref().with_extension("flows.json")).unwrap();
        let truth: Value = serde_json::from_slice(&text).unwrap();
        for flow in truth["flows"].as_array().unwrap() {
            let address = |name: &str| flow[name].as_str().unwrap().parse::<IpAddr>().unwrap();
            let number = |name: &str| flow[name].as_u64().unwrap();
            let port = |name: &str| u16::try_from(number(name)).unwrap();
            if only_ipv4 && address("src").is_ipv6() {
                continue;
            }
            let key = (address("src"), address("dst"), port("src_port"), port("dst_port"));
            add(&mut flows, key, number("packets"), number("bytes"));
        }
    }
    flows
}

/// Flows of our collector.
pub(crate) fn of_json(flows: &[Value]) -> Flows {
    let mut found = Flows::new();
    for flow in flows {
        let address = |name: &str| flow[name].as_str().unwrap().parse::<IpAddr>().unwrap();
        let icmp = matches!(flow["proto"].as_str(), Some("ICMP" | "IPv6-ICMP"));
        let port = |name: &str| {
            let number = if icmp { 0 } else { flow[name].as_u64().unwrap_or(0) };
            u16::try_from(number).unwrap()
        };
        let key = (address("src_addr"), address("dst_addr"), port("src_port"), port("dst_port"));
        add(&mut found, key, flow["packets"].as_u64().unwrap(), flow["bytes"].as_u64().unwrap());
    }
    found
}

/// Flows that `nfdump -o csv` has listed.
pub(crate) fn of_nfdump(listed: &str) -> Flows {
    let mut found = Flows::new();
    for line in listed.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_digit())) {
        let columns: Vec<&str> = line.split(',').collect();
        let icmp = matches!(columns[7], "ICMP" | "ICMP6" | "1" | "58");
        // nfdump shows type and code of ICMP in the destination port.
        let port = |text: &str| if icmp { 0 } else { text.parse().unwrap() };
        let key =
            (columns[3].parse().unwrap(), columns[4].parse().unwrap(), port(columns[5]), port(columns[6]));
        let number = |column: usize| columns[column].parse::<u64>().unwrap();
        add(&mut found, key, number(11), number(12));
    }
    found
}
