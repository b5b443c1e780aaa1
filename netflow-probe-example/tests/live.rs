//! Live capture on virtual Ethernet in network namespaces, with real receivers (feature `live`).
//!
//! Needs root, tcpreplay, nfdump (nfcapd), pmacct (nfacctd) and tshark; a test that lacks something is skipped with the
//! reason, unless `NETFLOW_REQUIRE_ALL=1`.
#![cfg(feature = "live")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use std::fs;

use common::{
    live::{COLLECTOR, EXPORTER, TRAFFIC, assert_conserved, decode, exporter, lines, sum_of},
    namespace::{Network, can_make_networks, number},
    peers::{free_port, run, wait_until},
    truth::{expected as truth, of_json as by_key, of_nfdump, totals, traffic as captures},
};
use netflow_probe_example::{
    dissect::{Outcome, dissect},
    pcap::CaptureFile,
};
use serde_json::Value;

#[test]
fn nfcapd_gets_what_was_on_the_wire() {
    // X15, M3, M6
    let Some(captures) = captures(TRAFFIC) else { return };
    if !can_make_networks() || !common::has_program("nfcapd") {
        return;
    }
    for version in ["9", "5", "10"] {
        let network = Network::new();
        let store = network.path("nfcapd");
        fs::create_dir(&store).unwrap();
        let store = store.to_str().unwrap();
        let port = free_port();
        let receive = ["-w", store, "-p", &port.to_string(), "-b", "127.0.0.1", "-t", "3600"];
        let nfcapd = network.start("nfcapd.log", "nfcapd", &receive);
        wait_until("nfcapd's start", || network.is_bound(port));
        let collector = format!("127.0.0.1:{port}");
        let exporter = exporter(&network, &["--collector", &collector, "--export-version", version]);
        network.play("out0", 10_000, &captures);
        let account = exporter.terminate();
        assert_conserved(&account);
        assert_eq!(number(&account, "dropped by the kernel"), 0, "{account}");
        wait_until("nfcapd's reading", || network.is_drained(port));
        nfcapd.terminate();
        let listed = run("nfdump", &["-R", store, "-o", "csv", "-q", "-N"]);
        assert_eq!(of_nfdump(&listed), truth(&captures, version == "5"), "v{version}: {account}");
    }
}

#[test]
fn our_collector_tshark_and_the_wire_agree() {
    // X15, X19
    let Some(captures) = captures(TRAFFIC) else { return };
    if !can_make_networks() || !common::has_program("tshark") {
        return;
    }
    for version in ["9", "5", "10"] {
        let network = Network::new();
        let (flows, summary) = (network.path("received.json"), network.path("summary.json"));
        let (flows_path, summary_path) = (flows.to_str().unwrap(), summary.to_str().unwrap());
        let listen =
            ["listen", "--bind", "127.0.0.1:2055", "--output", flows_path, "--summary", summary_path];
        let collector = network.start("collector.log", COLLECTOR, &listen);
        wait_until("the collector's start", || network.is_bound(2055));
        let written = network.path("export.pcap");
        let written = written.to_str().unwrap();
        let targets = ["--collector", "127.0.0.1:2055", "--write", written, "--export-version", version];
        let exporter = exporter(&network, &targets);
        network.play("out0", 10_000, &captures);
        let account = exporter.terminate();
        assert_conserved(&account);
        wait_until("the collector's reading", || network.is_drained(2055));
        collector.terminate();
        let expected = truth(&captures, version == "5");
        assert_eq!(by_key(&lines(&flows)), expected, "v{version}");

        let fields = ["cflow.packets", "cflow.octets", "_ws.malformed", "_ws.expert.message"];
        let mut arguments =
            vec!["-n", "-r", written, "-d", "udp.port==2055,cflow", "-d", "udp.port==4739,cflow"];
        arguments.extend(["-T", "fields", "-E", "separator=/t", "-E", "aggregator=,"]);
        arguments.extend(fields.iter().flat_map(|field| ["-e", *field]));
        let mut sums = (0, 0);
        for line in run("tshark", &arguments).lines() {
            let columns: Vec<&str> = line.split('\t').collect();
            let sum =
                |text: &str| text.split(',').filter_map(|number| number.parse::<u64>().ok()).sum::<u64>();
            sums = (sums.0 + sum(columns[0]), sums.1 + sum(columns[1]));
            assert_eq!(columns[2..], ["", ""], "v{version}: {line}");
        }
        assert_eq!(sums, totals(&expected), "v{version}");
    }
}

#[test]
fn nfacctd_gets_what_was_on_the_wire() {
    let Some(captures) = captures(TRAFFIC) else { return };
    if !can_make_networks() || !common::has_program("nfacctd") {
        return;
    }
    for version in ["9", "5", "10"] {
        let network = Network::new();
        let (config, out) = (network.path("nfacctd.conf"), network.path("nfacctd.out"));
        let port = free_port();
        let text = format!(
            "daemonize: false\nnfacctd_ip: 127.0.0.1\nnfacctd_port: {port}\nplugins: print[a]\n\
             aggregate[a]: etype\nprint_output[a]: csv\nprint_output_file[a]: {}\n\
             print_output_file_append[a]: true\nprint_refresh_time[a]: 1\nnfacctd_pipe_size: 4194304\n",
            out.display()
        );
        fs::write(&config, text).unwrap();
        let nfacctd = network.start("nfacctd.log", "nfacctd", &["-f", config.to_str().unwrap()]);
        wait_until("nfacctd's start", || network.is_bound(port));
        let collector = format!("127.0.0.1:{port}");
        let exporter = exporter(&network, &["--collector", &collector, "--export-version", version]);
        network.play("out0", 10_000, &captures);
        assert_conserved(&exporter.terminate());
        let expected = totals(&truth(&captures, version == "5"));
        // ETHERTYPE,PACKETS,BYTES; a line for each second with flows.
        let printed = || {
            let text = fs::read_to_string(&out).unwrap_or_default();
            text.lines().fold((0, 0), |sum, line| {
                let columns: Vec<u64> =
                    line.split(',').skip(1).filter_map(|text| text.parse().ok()).collect();
                if let [packets, octets] = columns[..] { (sum.0 + packets, sum.1 + octets) } else { sum }
            })
        };
        wait_until("nfacctd's printing", || printed() >= expected);
        assert_eq!(printed(), expected, "v{version}");
        drop(nfacctd);
    }
}

#[test]
fn a_sample_estimates_what_was_on_the_wire() {
    // X23, S21
    let Some(captures) = captures(TRAFFIC) else { return };
    if !can_make_networks() {
        return;
    }
    // What a sample of one in ten is off by at most, four standard deviations of packets drawn independently; and the
    // truth. A count of every tenth is off by less than one interval, in packets.
    let (mut packets, mut octets, mut squares) = (0.0, 0.0, 0.0);
    for capture in &captures {
        let mut file = CaptureFile::open(capture).unwrap();
        while let Some(frame) = file.next_frame().unwrap() {
            if let Outcome::Packet(packet) = dissect(frame.link_type, frame.data, frame.original_length) {
                packets += 1.0;
                octets += f64::from(packet.octets);
                squares += f64::from(packet.octets).powi(2);
            }
        }
    }
    let (fraction, interval) = (0.1, 10);
    let bound = |sum_of_squares: f64| 4.0 * (sum_of_squares * (1.0 - fraction) / fraction).sqrt();
    let samplings =
        [("1:10", "9", 10.0), ("random:1:10", "5", 20.0), ("probability:0.1", "10", bound(packets))];
    for (sampling, version, packets_bound) in samplings {
        let network = Network::new();
        let written = network.path("export.pcap");
        let targets = ["--write", written.to_str().unwrap(), "--export-version", version];
        let exporter =
            exporter(&network, &[&targets[..], &["--sampling", sampling, "--seed", "11"]].concat());
        network.play("out0", 10_000, &captures);
        assert_conserved(&exporter.terminate());
        let (flows, _) = decode(&network, &written);
        let mut estimate = (0.0, 0.0);
        for flow in &flows {
            assert_eq!(flow["sampling_rate"], interval, "{sampling} v{version}: {flow}");
            let scaled = |name: &str| flow[name].as_f64().unwrap() * f64::from(interval);
            estimate = (estimate.0 + scaled("packets"), estimate.1 + scaled("bytes"));
        }
        // v5 has no IPv6: 52 packets of the whole.
        let ipv6 = if version == "5" { 60.0 } else { 0.0 };
        let off = (f64::abs(estimate.0 - packets), f64::abs(estimate.1 - octets));
        assert!(off.0 <= packets_bound + ipv6 * 2.0, "{sampling} v{version}: {off:?} of {packets}");
        assert!(off.1 <= bound(squares) + ipv6 * 200.0, "{sampling} v{version}: {off:?} of {octets}");
    }
}

#[test]
fn threads_share_the_packets_in_one_domain_or_in_one_each() {
    // M22, X16, X21
    let Some(captures) = captures(TRAFFIC) else { return };
    if !can_make_networks() {
        return;
    }
    let expected = truth(&captures, false);
    let network = Network::new();
    let written = network.path("export.pcap");
    let merged = exporter(&network, &["--write", written.to_str().unwrap(), "--capture-threads", "3"]);
    network.play("out0", 10_000, &captures);
    assert_conserved(&merged.terminate());
    let (flows, _) = decode(&network, &written);
    assert_eq!(by_key(&flows), expected);

    let (received, summary) = (network.path("received.json"), network.path("account.json"));
    let (received_path, summary_path) = (received.to_str().unwrap(), summary.to_str().unwrap());
    let listen = ["listen", "--bind", "127.0.0.1:2055", "--output", received_path, "--summary", summary_path];
    let collector = network.start("collector.log", COLLECTOR, &listen);
    wait_until("the collector's start", || network.is_bound(2055));
    let arguments = ["--collector", "127.0.0.1:2055", "--capture-threads", "2", "--thread-domains"];
    let apart = exporter(&network, &[&arguments[..], &["--source-id", "70"]].concat());
    network.play("out0", 10_000, &captures);
    assert_conserved(&apart.terminate());
    wait_until("the collector's reading", || network.is_drained(2055));
    collector.terminate();
    let flows = lines(&received);
    assert_eq!(by_key(&flows), expected);
    let of_domain = |domain: u64| -> Vec<Value> {
        flows.iter().filter(|flow| flow["observation_domain_id"] == domain).cloned().collect()
    };
    let (first, second) = (by_key(&of_domain(70)), by_key(&of_domain(71)));
    assert!(!first.is_empty() && !second.is_empty());
    assert_eq!(first.len() + second.len(), expected.len(), "a flow is metered in one domain");
    let summary: Value = serde_json::from_slice(&fs::read(summary).unwrap()).unwrap();
    assert_eq!(summary["sequence"]["lost_packets"], 0, "{summary}");
}

#[test]
fn directions_are_told_with_the_index_of_the_interface() {
    // M2
    let Some(captures) = captures(&["zeek__http-methods.pcap"]) else { return };
    if !can_make_networks() {
        return;
    }
    let network = Network::new();
    let index = network.command("cat").arg("/sys/class/net/in0/ifindex").output().unwrap();
    let index: u64 = String::from_utf8(index.stdout).unwrap().trim().parse().unwrap();
    let expected = totals(&truth(&captures, false));
    for (way, ins, outs) in [("both", 1, 1), ("in", 1, 0), ("out", 0, 1)] {
        let written = network.path(&format!("{way}.pcap"));
        let arguments = ["--interface", "in0", "--direction", way, "--write", written.to_str().unwrap()];
        let mut exporter = network.start("exporter.log", EXPORTER, &arguments);
        exporter.wait_for("capturing from in0", 1);
        network.play("out0", 10_000, &captures);
        network.play("in0", 10_000, &captures);
        assert_conserved(&exporter.terminate());
        let (flows, _) = decode(&network, &written);
        let of =
            |name: &str| -> Vec<Value> { flows.iter().filter(|flow| flow[name] == index).cloned().collect() };
        let (incoming, outgoing) = (of("in_if"), of("out_if"));
        assert_eq!(flows.len(), incoming.len() + outgoing.len(), "{way}");
        assert_eq!(sum_of(&incoming), (ins * expected.0, ins * expected.1), "{way}");
        assert_eq!(sum_of(&outgoing), (outs * expected.0, outs * expected.1), "{way}");
    }
}

#[test]
fn flows_end_by_the_clock_while_nothing_comes() {
    // M10, X20
    let Some(captures) = captures(&["zeek__http-methods.pcap"]) else { return };
    if !can_make_networks() {
        return;
    }
    let network = Network::new();
    let written = network.path("export.pcap");
    let arguments = ["--write", written.to_str().unwrap(), "--inactive-timeout", "300ms"];
    let exporter = exporter(&network, &arguments);
    network.play("out0", 10_000, &captures);
    // The exporter flushes its file when it ends; so it is the datagrams on the way to a collector that tell.
    let expected = truth(&captures, false).len();
    drop(exporter.terminate());
    let (flows, _) = decode(&network, &written);
    assert!(by_key(&flows).len() == expected);

    let received = network.path("received.json");
    let listen = ["listen", "--bind", "127.0.0.1:2055", "--output", received.to_str().unwrap()];
    let collector = network.start("collector.log", COLLECTOR, &listen);
    wait_until("the collector's start", || network.is_bound(2055));
    let arguments = ["--collector", "127.0.0.1:2055", "--inactive-timeout", "300ms"];
    let exporter = self::exporter(&network, &arguments);
    network.play("out0", 10_000, &captures);
    // Packets, not flows: where the machine is busy, one more silence makes one more record.
    let before_the_end = || {
        let text = fs::read_to_string(&received).unwrap_or_default();
        let flows = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        flows.map(|flow| flow["packets"].as_u64().unwrap()).sum::<u64>()
    };
    let packets = totals(&truth(&captures, false)).0;
    wait_until("the flows", || before_the_end() == packets);
    let account = exporter.terminate();
    assert_eq!(number(&account, "forced end"), 0, "{account}");
    collector.terminate();
}

#[test]
fn a_filter_decides_which_packets_are_metered() {
    let Some(captures) = captures(TRAFFIC) else { return };
    if !can_make_networks() {
        return;
    }
    let network = Network::new();
    let written = network.path("export.pcap");
    let filter = ["--filter", "ip6 or tcp port 80", "--write", written.to_str().unwrap()];
    let exporter = exporter(&network, &filter);
    network.play("out0", 10_000, &captures);
    let account = exporter.terminate();
    assert_conserved(&account);
    let (flows, _) = decode(&network, &written);
    let mut expected = truth(&captures, false);
    // The only protocol with port 80 in this traffic is TCP.
    expected.retain(|(source, _, from, to), _| source.is_ipv6() || *from == 80 || *to == 80);
    assert!(!expected.is_empty());
    assert_eq!(by_key(&flows), expected);
    assert_eq!(number(&account, "not IP"), 0, "{account}");
}

#[test]
fn a_reload_that_looks_into_tunnels_has_whole_packets_from_then_on() {
    let Some(captures) = captures(&["oisf__vxlan-decoder-03-vxlan.pcap"]) else { return };
    if !can_make_networks() {
        return;
    }
    let network = Network::new();
    let (config, written) = (network.path("exporter.toml"), network.path("export.pcap"));
    fs::write(&config, "").unwrap();
    let arguments = ["--config", config.to_str().unwrap(), "--write", written.to_str().unwrap()];
    let mut exporter = exporter(&network, &arguments);
    network.play("out0", 10_000, &captures);
    fs::write(&config, "[metering]\ntunnel = \"both\"\n").unwrap();
    exporter.signal("-HUP");
    exporter.wait_for("in force: ", 1);
    wait_until("what tunnels carry", || {
        network.play("out0", 10_000, &captures);
        exporter.signal("-USR1");
        exporter.said().contains("carried by tunnels")
    });
    exporter.terminate();
}

#[test]
fn what_the_kernel_keeps_of_packets_is_all_that_is_looked_at() {
    let others = [
        "akvorado__gre-v4-key.pcap",
        "akvorado__mpls-ipv4.pcap",
        "akvorado__mpls-ipv6.pcap",
        "akvorado__vlan-ipv6.pcap",
        "ntop__dns-fragmented.pcap",
        "ntop__ipv6-in-gtp.pcap",
        "oisf__vxlan-decoder-03-vxlan.pcap",
    ];
    let Some(captures) = captures(&[TRAFFIC, &others[..]].concat()) else { return };
    if !can_make_networks() {
        return;
    }
    let hash = "hash:1:3,crc,offset=24,size=40,initialiser=7";
    for options in [
        &["--seed", "1"][..],
        &["--tunnel", "both"],
        &["--sampling", hash, "--seed", "1", "--export-version", "10"],
    ] {
        let network = Network::new();
        let (live, read) = (network.path("live.pcap"), network.path("read.pcap"));
        let exporter = exporter(&network, &[options, &["--write", live.to_str().unwrap()]].concat());
        network.play("out0", 10_000, &captures);
        let account = exporter.terminate();
        assert_eq!(number(&account, "dropped by the kernel"), 0, "{account}");
        let mut arguments = [options, &["--write", read.to_str().unwrap(), "--read"]].concat();
        arguments.extend(captures.iter().map(|capture| capture.to_str().unwrap()));
        run(EXPORTER, &arguments);
        let (live, read) = (decode(&network, &live).0, decode(&network, &read).0);
        assert!(!live.is_empty());
        assert_eq!(by_key(&live), by_key(&read), "{options:?}: {account}");
    }
}
