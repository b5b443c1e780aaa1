//! Packets to collectors as they are on the wire: time to live, code point, source; IPv6.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use core::time::Duration;
use std::{
    io::Read as _,
    net::{TcpListener, UdpSocket},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Instant,
};

use common::{
    has_program,
    peers::{Background, Nfcapd, run},
    shared_dir,
};

const EXPORTER: &str = env!("CARGO_BIN_EXE_netflow-exporter");
const LONG: Duration = Duration::from_secs(60);

fn export(capture: &Path, collector: &str, arguments: &[&str]) {
    let read = capture.to_str().unwrap();
    run(EXPORTER, &[&["--read", read, "--collector", collector, "--quiet"], arguments].concat());
}

/// What tshark sees on the loopback interface of the first packet that a filter lets pass, while something is sent.
fn seen(filter: &str, fields: &[&str], mut send: impl FnMut()) -> String {
    let fields = fields.iter().flat_map(|field| ["-e", field]);
    let child = Command::new("tshark")
        .args(["-n", "-i", "lo", "-c", "1", "-f", filter, "-T", "fields", "-E", "separator=,"])
        .args(fields)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut tshark = Background(child);
    let start = Instant::now();
    // It takes a while until it captures.
    while tshark.0.try_wait().unwrap().is_none() {
        assert!(start.elapsed() < LONG, "tshark sees nothing of {filter}");
        send();
        thread::sleep(Duration::from_millis(100));
    }
    let mut told = String::new();
    tshark.0.stdout.take().unwrap().read_to_string(&mut told).unwrap();
    told.trim().to_owned()
}

#[test]
fn packets_have_the_hops_code_point_and_source_that_were_asked_for() {
    let Some(shared) = shared_dir() else { return };
    if !nix::unistd::Uid::effective().is_root() {
        return common::skip("only root can capture");
    }
    if !has_program("tshark") {
        return;
    }
    let capture = shared.join("traffic/ntop__dns.pcapng");
    let four = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let told = seen(
        &format!("udp dst port {}", four.port()),
        &["ip.src", "ip.ttl", "ip.dsfield.dscp", "udp.srcport"],
        || {
            // A port that nobody has, or the one before it waits for the socket to be closed.
            let arguments = ["--source", "127.0.0.2", "--ttl", "7", "--dscp", "46"];
            export(&capture, &four.to_string(), &arguments);
        },
    );
    assert!(told.starts_with("127.0.0.2,7,46,"), "{told}");
    let Ok(six) = UdpSocket::bind("[::1]:0") else { return common::skip("there is no IPv6") };
    let six = six.local_addr().unwrap();
    let told = seen(
        &format!("ip6 and udp dst port {}", six.port()),
        &["ipv6.src", "ipv6.hlim", "ipv6.tclass.dscp"],
        || export(&capture, &six.to_string(), &["--source", "::1", "--ttl", "9", "--dscp", "10"]),
    );
    assert_eq!(told, "::1,9,10");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let reading = thread::spawn(move || {
        for stream in listener.incoming() {
            let mut octets = Vec::new();
            // One byte tells that it is over.
            if stream.unwrap().read_to_end(&mut octets).unwrap_or(0) == 1 {
                return;
            }
        }
    });
    let told = seen(
        &format!("tcp dst port {} and tcp[tcpflags] & tcp-push != 0", address.port()),
        &["ip.src", "ip.ttl", "ip.dsfield.dscp"],
        || {
            let arguments = ["--export-version", "10", "--source", "127.0.0.3", "--ttl", "11", "--dscp", "8"];
            export(&capture, &format!("tcp://{address}"), &arguments);
        },
    );
    assert_eq!(told, "127.0.0.3,11,8");
    std::io::Write::write_all(&mut std::net::TcpStream::connect(address).unwrap(), b"x").unwrap();
    reading.join().unwrap();
}

#[test]
fn nfcapd_gets_flows_over_ipv6() {
    let Some(shared) = shared_dir() else { return };
    if !has_program("nfcapd") || !has_program("nfdump") {
        return;
    }
    if UdpSocket::bind("[::1]:0").is_err() {
        return common::skip("there is no IPv6");
    }
    let capture = shared.join("traffic/ntop__dns.pcapng");
    let written = tempfile::tempdir().unwrap();
    let file = written.path().join("out.pcap");
    for version in ["5", "9", "10"] {
        let read = capture.to_str().unwrap();
        let more = ["--write", file.to_str().unwrap(), "--export-version", version];
        // The file says what a collector should have.
        let folder = tempfile::tempdir().unwrap();
        let nfcapd = Nfcapd::start(folder.path(), &["-b", "::1"]);
        let collector = format!("[::1]:{}", nfcapd.port);
        run(EXPORTER, &[&["--read", read, "--collector", &collector, "--quiet"], &more[..]].concat());
        nfcapd.finish();
        let told = run("nfdump", &["-R", folder.path().to_str().unwrap(), "-I"]);
        let number = |name: &str| {
            let line = told.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{told}"));
            line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()
        };
        let decoded = run(env!("CARGO_BIN_EXE_netflow-collector"), &["decode", file.to_str().unwrap()]);
        let flows: Vec<serde_json::Value> =
            decoded.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let sum = |name: &str| flows.iter().map(|flow| flow[name].as_u64().unwrap()).sum::<u64>();
        let expected = (flows.len() as u64, sum("packets"), sum("bytes"));
        assert_eq!((number("Flows:"), number("Packets:"), number("Bytes:")), expected, "version {version}");
    }
}
