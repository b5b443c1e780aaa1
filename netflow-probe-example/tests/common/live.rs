//! Live capture: what is played into a cable, and what came of it.

use std::{fs, path::Path};

use serde_json::Value;

use super::{
    namespace::{Network, Started, number},
    peers::run,
};

pub(crate) const EXPORTER: &str = env!("CARGO_BIN_EXE_netflow-exporter");
pub(crate) const COLLECTOR: &str = env!("CARGO_BIN_EXE_netflow-collector");

/// IPv4 and IPv6, TCP and UDP, some ARP; no fragments.
pub(crate) const TRAFFIC: &[&str] = &[
    "zeek__http-methods.pcap",
    "ntop__coap-mqtt.pcap",
    "zeek__ftp-ipv6-multiline-reply.pcap",
    "ntop__dropbox.pcap",
];

/// An exporter on `in0` that has begun to capture.
pub(crate) fn exporter(network: &Network, arguments: &[&str]) -> Started {
    let fixed = ["--interface", "in0", "--direction", "in"];
    let mut exporter = network.start("exporter.log", EXPORTER, &[&fixed, arguments].concat());
    exporter.wait_for("capturing from in0", 1);
    exporter
}

/// What our collector reads of a file of datagrams: a flow each, and the account.
pub(crate) fn decode(network: &Network, written: &Path) -> (Vec<Value>, Value) {
    let (flows, summary) = (network.path("flows.json"), network.path("summary.json"));
    let arguments = ["decode", written.to_str().unwrap(), "--output", flows.to_str().unwrap(), "--summary"];
    run(COLLECTOR, &[&arguments[..], &[summary.to_str().unwrap()]].concat());
    (lines(&flows), serde_json::from_slice(&fs::read(summary).unwrap()).unwrap())
}

pub(crate) fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(crate) fn sum_of(flows: &[Value]) -> (u64, u64) {
    flows.iter().fold((0, 0), |sum, flow| {
        (sum.0 + flow["packets"].as_u64().unwrap(), sum.1 + flow["bytes"].as_u64().unwrap())
    })
}

/// What the closing account says adds up: each frame the kernel saw was read, dropped or left, and each frame read was
/// metered or counted for why not.
pub(crate) fn assert_conserved(account: &str) {
    let read = number(account, "packets read");
    let lost = number(account, "dropped by the kernel") + number(account, "left when it ended");
    assert_eq!(number(account, "packets captured"), read + lost, "{account}");
    let others = ["not IP", "link type not supported", "malformed", "sampled out", "no room in flow table"];
    let others: u64 = others.iter().map(|label| number(account, label)).sum();
    assert_eq!(read, number(account, "metered") + others, "{account}");
}
