//! The configuration is read again while interfaces are captured from (feature `live`).
//!
//! Needs root and tcpreplay; a test that lacks something is skipped with the reason, unless `NETFLOW_REQUIRE_ALL=1`.
#![cfg(feature = "live")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use std::fs;

use common::{
    live::{COLLECTOR, assert_conserved, exporter, lines, sum_of},
    namespace::{Network, can_make_networks, number},
    peers::wait_until,
    replace,
    truth::traffic as captures,
};
use serde_json::Value;

#[test]
fn the_sampler_changes_under_load_and_no_packet_is_lost_or_scaled_by_another_rate() {
    // X23, S26
    let Some(captures) = captures(&["ntop__coap-mqtt.pcap"]) else { return };
    if !can_make_networks() {
        return;
    }
    for arguments in [&["--export-version", "9"][..], &["--export-version", "10", "--thread-domains"]] {
        let network = Network::new();
        let (received, summary) = (network.path("received.json"), network.path("account.json"));
        let listen = ["listen", "--bind", "127.0.0.1:2055", "--output", received.to_str().unwrap()];
        let listen = [&listen[..], &["--summary", summary.to_str().unwrap()]].concat();
        let collector = network.start("collector.log", COLLECTOR, &listen);
        wait_until("the collector's start", || network.is_bound(2055));
        let config = network.path("exporter.toml");
        let rates = [1, 2, 5, 1, 3];
        let write = |rate: u32| {
            let text =
                format!("[sampling]\nsampling = \"1:{rate}\"\n[metering]\nactive-timeout = \"{rate}s\"\n");
            replace(&config, &text);
        };
        write(rates[0]);
        let fixed = ["--config", config.to_str().unwrap(), "--collector", "127.0.0.1:2055"];
        let fixed = [&fixed[..], &["--capture-threads", "2"]].concat();
        let mut exporter = exporter(&network, &[&fixed[..], arguments].concat());
        let capture = captures[0].to_str().unwrap();
        let load = ["-q", "-i", "out0", "--pps", "20000", "--loop", "0", "--limit", "30000", capture];
        let mut load = network.start("load.log", "tcpreplay", &load);
        for (time, rate) in (1..).zip(&rates[1..]) {
            wait_until("more packets", || network.received("in0") > time * 4_000);
            write(*rate);
            exporter.signal("-HUP");
            exporter.wait_for("reloaded: in force: active-timeout, sampling", usize::try_from(time).unwrap());
        }
        assert!(load.child.0.wait().unwrap().success(), "{}", load.said());
        wait_until("all packets", || network.received("in0") >= 30_000);
        let account = exporter.terminate();
        assert_conserved(&account);
        let read = number(&account, "packets read");
        assert_eq!(read + number(&account, "dropped by the kernel"), 30_000, "{account}");
        wait_until("the collector's reading", || network.is_drained(2055));
        collector.terminate();
        let flows = lines(&received);
        let summary: Value = serde_json::from_slice(&fs::read(summary).unwrap()).unwrap();
        assert_eq!(sum_of(&flows).0, number(&account, "metered"), "{account}");
        assert_eq!(summary["sequence"]["lost_packets"], 0, "{summary}");
        let scaled = flows
            .iter()
            .map(|flow| flow["packets"].as_u64().unwrap() * flow["sampling_rate"].as_u64().unwrap().max(1));
        let other = number(&account, "not IP") + number(&account, "malformed");
        // Each of two samplers may be a few packets short of the next one, each time.
        assert!((scaled.sum::<u64>() + other).abs_diff(read) <= 40, "{account}");
    }
}
