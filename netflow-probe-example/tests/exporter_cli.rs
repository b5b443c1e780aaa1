//! The exporter as a user runs it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use core::{net::SocketAddr, time::Duration};
use std::{
    fs,
    io::Write as _,
    net::UdpSocket,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use common::files::Order;
use netflow_codec::{Batch, Decoder, Timestamp, v5, v9};
use netflow_flowcache::Timestamp as PacketTime;
use netflow_probe_example::{demo::SyntheticTraffic, dissect::udp_datagram, pcap::CaptureFile};

const EXPORTER: &str = env!("CARGO_BIN_EXE_netflow-exporter");

fn exporter(arguments: &[&str]) -> Output {
    Command::new(EXPORTER).args(arguments).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The first `packets` packets of the demonstration's traffic as a capture file.
fn capture(folder: &Path, packets: usize) -> PathBuf {
    let mut file = Order::Little.pcap_header(0xa1b2_3c4d, 1);
    let mut left = packets;
    let _enough = SyntheticTraffic::generate().frames(|frame| {
        if left == 0 {
            return Err(());
        }
        left -= 1;
        let nanos = frame.timestamp.as_nanos();
        let seconds = u32::try_from(nanos / 1_000_000_000).unwrap();
        let fraction = u32::try_from(nanos % 1_000_000_000).unwrap();
        file.extend(Order::Little.pcap_record(seconds, fraction, frame.original_length, frame.data));
        Ok(())
    });
    let path = folder.join(format!("traffic-{packets}.pcap"));
    fs::write(&path, file).unwrap();
    path
}

/// The datagrams in a capture file, with their times.
fn datagrams(path: &Path) -> Vec<(PacketTime, Vec<u8>)> {
    let mut file = CaptureFile::open(path).unwrap();
    let mut datagrams = Vec::new();
    while let Some(frame) = file.next_frame().unwrap() {
        let payload = udp_datagram(frame.link_type, frame.data).unwrap().payload.to_vec();
        datagrams.push((frame.timestamp, payload));
    }
    datagrams
}

/// Packets of all flows in the datagrams.
fn packets<'a>(datagrams: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    let mut decoder = Decoder::new();
    let mut packets = 0;
    for datagram in datagrams {
        for batch in decoder.decode(&0, datagram, Timestamp::ZERO).unwrap() {
            match batch {
                Batch::Fixed(records) => packets += records.flows().map(|flow| flow.packets).sum::<u64>(),
                Batch::Data(records) => packets += records.flows().map(|flow| flow.packets).sum::<u64>(),
                Batch::Malformed(error) => panic!("{error}"),
                _ => {}
            }
        }
    }
    packets
}

#[test]
fn every_collector_gets_everything_with_numbers_of_its_own() {
    // X17, X32, X18
    let folder = tempfile::tempdir().unwrap();
    let read = capture(folder.path(), 4_000);
    let sockets: Vec<UdpSocket> =
        ["127.0.0.1:0", "[::1]:0"].iter().map(|address| UdpSocket::bind(address).unwrap()).collect();
    let addresses: Vec<String> =
        sockets.iter().map(|socket| socket.local_addr().unwrap().to_string()).collect();
    // Nobody is there: the others get theirs all the same.
    let dead: SocketAddr = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let dead = dead.to_string();
    let mut arguments = vec!["--read", read.to_str().unwrap(), "--rate-limit", "2000", "--collector", &dead];
    for address in &addresses {
        arguments.extend(["--collector", address]);
    }
    let output = exporter(&arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    // That nobody listened is told, at once and in the account.
    let told = stderr(&output);
    assert_eq!(told.matches("nobody listens at").count(), 1, "{told}");
    assert!(told.contains(&format!("nobody listens at {dead}:")), "{told}");
    let refused: Vec<u64> = told
        .lines()
        .filter_map(|line| line.strip_prefix("  refused by collector")?.trim().parse().ok())
        .collect();
    let sent = told.lines().find_map(|line| line.strip_prefix("  datagrams  ")).unwrap();
    let sent: u64 = sent.split_whitespace().next().unwrap().parse().unwrap();
    // An answer may come together with the one before.
    assert!(refused[0] > sent / 2 && refused[0] <= sent && refused[1..] == [0, 0], "{told}");
    for socket in &sockets {
        socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let mut received = Vec::new();
        let mut buffer = [0; 2_000];
        while let Ok(octets) = socket.recv(&mut buffer) {
            received.push(buffer[..octets].to_vec());
        }
        assert_eq!(packets(received.iter().map(Vec::as_slice)), 4_000);
        let limit = if socket.local_addr().unwrap().is_ipv6() { 1_452 } else { 1_472 };
        for (number, datagram) in (0u32..).zip(&received) {
            assert_eq!(v9::Packet::parse(datagram).unwrap().header().sequence(), number);
            assert!(datagram.len() <= limit);
        }
    }
}

#[test]
fn the_account_adds_up_and_is_on_stderr() {
    // M20, M21, X26
    let folder = tempfile::tempdir().unwrap();
    let read = capture(folder.path(), 3_000);
    let write = folder.path().join("out.pcap");
    let output = exporter(&[
        "--read",
        read.to_str().unwrap(),
        "--write",
        write.to_str().unwrap(),
        "--sampling",
        "1:10",
        "--source-id",
        "77",
    ]);
    assert!(output.status.success() && output.stdout.is_empty());
    let account = stderr(&output);
    let number = |label: &str| -> u64 {
        let line = account.lines().find(|line| line.trim_start().starts_with(label)).expect(label);
        line.trim_start().strip_prefix(label).unwrap().split_whitespace().next().unwrap().parse().unwrap()
    };
    assert_eq!(number("packets read"), 3_000);
    assert_eq!(number("sampled out") + number("metered"), 3_000);
    assert_eq!(number("metered"), 300);
    let reasons = ["idle timeout", "active timeout", "end of flow", "forced end", "lack of resources"];
    assert_eq!(reasons.iter().map(|reason| number(reason)).sum::<u64>(), number("flow records"));
    assert_eq!(number("flows exported"), number("flow records"));
    let written = datagrams(&write);
    assert_eq!(number("datagrams "), written.len() as u64);
    assert_eq!(packets(written.iter().map(|(_, datagram)| datagram.as_slice())), 300);
    assert_eq!(v9::Packet::parse(&written[0].1).unwrap().header().source_id(), 77);
}

#[test]
fn header_times_are_those_of_the_packets_and_do_not_go_back() {
    // E35, X13
    let folder = tempfile::tempdir().unwrap();
    let read = capture(folder.path(), 5_000);
    let write = folder.path().join("out.pcap");
    for version in ["5", "9"] {
        let arguments = ["--read", read.to_str().unwrap(), "--write", write.to_str().unwrap(), "-q"];
        let output = exporter(&[&arguments[..], &["--export-version", version]].concat());
        assert!(output.status.success() && output.stderr.is_empty());
        let mut last = Timestamp::ZERO;
        for (time, datagram) in datagrams(&write) {
            let unix = match version {
                "5" => v5::Packet::parse(&datagram).unwrap().header().clock().unix(),
                _ => v9::Packet::parse(&datagram).unwrap().header().clock().unix(),
            };
            let ahead = unix.as_nanos().abs_diff(time.as_nanos());
            assert!(ahead <= 1_000_000_000, "{unix:?} {time:?}");
            assert!(unix >= last);
            last = unix;
        }
    }
}

#[test]
fn a_capture_cut_off_exports_what_was_read_and_fails() {
    let folder = tempfile::tempdir().unwrap();
    let whole = capture(folder.path(), 500);
    let octets = fs::read(&whole).unwrap();
    let cut = folder.path().join("cut.pcap");
    fs::write(&cut, &octets[..octets.len() - 10]).unwrap();
    let write = folder.path().join("out.pcap");
    // The file behind it is metered all the same.
    let output = exporter(&[
        "--read",
        cut.to_str().unwrap(),
        whole.to_str().unwrap(),
        "--write",
        write.to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(1));
    let told = stderr(&output);
    assert!(told.contains("cut.pcap") && told.contains("cut off"), "{told}");
    assert_eq!(packets(datagrams(&write).iter().map(|(_, datagram)| datagram.as_slice())), 499 + 500);
}

#[test]
fn wrong_arguments_are_named_with_what_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let read = capture(folder.path(), 1);
    let read = read.to_str().unwrap();
    let cases: &[(&[&str], &[&str])] = &[
        (&["--read", read], &["--collector", "--write"]),
        (&["--collector", "127.0.0.1:2055"], &["--read"]),
        (&["--read", read, "--collector", "nonsense"], &["--collector", "HOST:PORT"]),
        (&["--read", read, "--collector", "127.0.0.1:port"], &["--collector", "HOST:PORT"]),
        (&["--read", read, "--collector", "127.0.0.1:0"], &["--collector", "port 0"]),
        (
            &["--read", read, "--write", "/dev/null", "--export-version", "7"],
            &["--export-version", "5, 9, 10"],
        ),
        (&["--read", read, "--write", "/dev/null", "--sampling", "100"], &["--sampling", "random:1:N"]),
        (
            &["--read", read, "--write", "/dev/null", "--active-timeout", "5"],
            &["--active-timeout", "ms, s, m"],
        ),
        (&["--read", read, "--write", "/dev/null", "--mtu", "100"], &["--mtu", "576"]),
        (
            &["--read", read, "--write", "/dev/null", "--active-timeout", "481h"],
            &["--active-timeout", "at most 20d"],
        ),
        (
            &["--read", read, "--write", "/dev/null", "--template-refresh", "0s"],
            &["--template-refresh", "1s to 1d"],
        ),
        (&["--read", read, "--write", "/dev/null", "--template-refresh", "25h"], &["1s to 1d"]),
        (
            &["--read", read, "--write", "/dev/null", "--max-flows", "16711681"],
            &["--max-flows", "1..=16711680"],
        ),
        (
            &["--read", read, "--write", "/dev/null", "--template-refresh-packets", "0"],
            &["--template-refresh-packets"],
        ),
        (
            &["--read", read, "--write", "/dev/null", "--export-version", "5", "--sampling", "1:16384"],
            &["--sampling 1:16384", "16383"],
        ),
        // S22: what collectors cannot be told of is refused.
        (
            &["--read", read, "--write", "/dev/null", "--sampling", "hash:1:100"],
            &["--sampling hash:1:100", "version 9", "IPFIX"],
        ),
        (
            &["--read", read, "--write", "/dev/null", "--sampling", "time:1ms/9ms"],
            &["--sampling time:1ms/9ms", "version 9"],
        ),
        (
            &["--read", read, "--write", "/dev/null", "--sampling", "random:9:5"],
            &["--sampling", "sample is larger", "count:I/S"],
        ),
        (
            &["--read", read, "--write", "/dev/null", "--export-version", "5", "--source-id", "65536"],
            &["--source-id", "65535"],
        ),
    ];
    for (arguments, expected) in cases {
        let output = exporter(arguments);
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
        for text in *expected {
            assert!(told.contains(text), "{arguments:?}: {told}");
        }
    }
    let output = exporter(&["--read", "/nonexistent.pcap", "--write", "/dev/null"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("/nonexistent.pcap"));
    assert!(!stderr(&output).contains("has been exported"), "nothing was");
}

#[test]
fn a_refused_combination_names_only_what_is_wrong_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let read = capture(folder.path(), 1);
    let arguments = ["--read", read.to_str().unwrap(), "--write", "/dev/null", "--export-version", "5"];
    let output = exporter(&[&arguments[..], &["--sampling", "1:16384"]].concat());
    let told = stderr(&output);
    assert!(
        told.contains("--sampling") && !told.contains("--mtu") && !told.contains("--export-version"),
        "{told}"
    );
}

// S22: what collectors can only be told of roughly is warned of.
#[test]
fn a_rounded_rate_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let read = capture(folder.path(), 1);
    let arguments = ["--read", read.to_str().unwrap(), "--write", "/dev/null", "-q", "--sampling"];
    let output = exporter(&[&arguments[..], &["count:3/7"]].concat());
    assert!(output.status.success());
    assert!(stderr(&output).contains("--sampling count:3/7") && stderr(&output).contains("one packet in 3"));
    assert_eq!(stderr(&exporter(&[&arguments[..], &["random:1:10"]].concat())), "");
}

#[test]
fn the_input_is_not_overwritten_whatever_it_is_called() {
    let folder = tempfile::tempdir().unwrap();
    let read = capture(folder.path(), 10);
    let before = fs::read(&read).unwrap();
    let link = folder.path().join("link.pcap");
    std::os::unix::fs::symlink(&read, &link).unwrap();
    let other = capture(folder.path(), 5);
    let (read, link, other) = (read.to_str().unwrap(), link.to_str().unwrap(), other.to_str().unwrap());
    for (inputs, write) in [(vec![read], read), (vec![other, link], read), (vec![read], link)] {
        let output = exporter(&[&["--read"], &inputs[..], &["--write", write]].concat());
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(&format!("--write {write}")), "{told}");
        assert!(told.contains(&format!("--read {}", inputs.last().unwrap())), "{told}");
        assert_eq!(fs::read(read).unwrap(), before);
    }
    let input = fs::File::open(read).unwrap();
    let output = Command::new(EXPORTER).args(["--read", "-", "--write", read]).stdin(input).output().unwrap();
    assert_eq!((output.status.code(), fs::read(read).unwrap() == before), (Some(2), true));
}

#[test]
fn standard_input_is_read_for_a_hyphen() {
    let folder = tempfile::tempdir().unwrap();
    let read = capture(folder.path(), 1_000);
    let write = folder.path().join("out.pcap");
    let mut child = Command::new(EXPORTER)
        .args(["--read", "-", "--write", write.to_str().unwrap()])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&fs::read(read).unwrap()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(packets(datagrams(&write).iter().map(|(_, datagram)| datagram.as_slice())), 1_000);

    let output = Command::new(EXPORTER)
        .args(["--read", "-", "--write", "/dev/null"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("standard input: "), "{}", stderr(&output));
}

#[test]
fn standard_error_full_or_closed_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let read = capture(folder.path(), 1_000);
    let write = folder.path().join("out.pcap");
    for (input, status) in [(read.to_str().unwrap(), 0), ("/nonexistent.pcap", 1)] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let mut command = Command::new(EXPORTER);
        command.args(["--read", input, "--write", write.to_str().unwrap()]);
        assert_eq!(command.stderr(full).status().unwrap().code(), Some(status));
        let mut closed = command.stderr(Stdio::piped()).spawn().unwrap();
        drop(closed.stderr.take());
        assert_eq!(closed.wait().unwrap().code(), Some(status));
    }
}

#[test]
fn a_signal_stops_the_reading_and_everything_read_is_sent() {
    // X26
    let folder = tempfile::tempdir().unwrap();
    let read = capture(folder.path(), 90_000);
    for (signal, status) in [("TERM", 143), ("INT", 130)] {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let collector = socket.local_addr().unwrap().to_string();
        let child = Command::new(EXPORTER)
            .args(["--read", read.to_str().unwrap(), "--collector", &collector, "--rate-limit", "50"])
            .args(["--inactive-timeout", "1s"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut buffer = [0; 2_000];
        let mut received = Vec::new();
        let octets = socket.recv(&mut buffer).unwrap();
        received.push(buffer[..octets].to_vec());
        Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status().unwrap();
        let output = child.wait_with_output().unwrap();
        let account = stderr(&output);
        assert_eq!(output.status.code(), Some(status), "{account}");
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        while let Ok(octets) = socket.recv(&mut buffer) {
            received.push(buffer[..octets].to_vec());
        }
        let metered = account.lines().find_map(|line| line.strip_prefix("  metered")).expect(&account);
        let metered: u64 = metered.split_whitespace().next().unwrap().parse().unwrap();
        assert!((1..90_000).contains(&metered), "{account}");
        // Decoded without anything known before: the templates came, too.
        assert_eq!(packets(received.iter().map(Vec::as_slice)), metered, "{account}");
    }
}

#[test]
fn only_version_5_has_flows_that_version_5_cannot_carry() {
    let folder = tempfile::tempdir().unwrap();
    let read = capture(folder.path(), 1_000);
    for (version, told) in [("5", true), ("9", false)] {
        let arguments =
            ["--read", read.to_str().unwrap(), "--write", "/dev/null", "--export-version", version];
        assert_eq!(stderr(&exporter(&arguments)).contains("v5 cannot carry"), told);
    }
}

#[test]
fn by_default_templates_come_again_behind_20_datagrams() {
    // X4
    let folder = tempfile::tempdir().unwrap();
    let read = capture(folder.path(), 60_000);
    let write = folder.path().join("out.pcap");
    assert!(
        exporter(&["--read", read.to_str().unwrap(), "--write", write.to_str().unwrap()]).status.success()
    );
    let with_templates: Vec<usize> = datagrams(&write)
        .iter()
        .enumerate()
        .filter(|(_, (_, datagram))| {
            v9::Packet::parse(datagram).unwrap().flowsets().any(|flowset| flowset.unwrap().id() == 0)
        })
        .map(|(number, _)| number)
        .collect();
    assert!(with_templates.len() > 10);
    assert_eq!(with_templates, (0..with_templates.len()).map(|round| round * 20).collect::<Vec<_>>());
    let help = String::from_utf8(exporter(&["--help"]).stdout).unwrap();
    for default in ["[default: 20]", "[default: 10m]", "[default: 5m]", "[default: 15s]", "[default: 1:1]"] {
        assert!(help.contains(default), "{default}");
    }
}

#[test]
fn help_documents_every_argument() {
    let help = String::from_utf8(exporter(&["--help"]).stdout).unwrap();
    for argument in [
        "--read",
        "--collector",
        "--write",
        "--export-version",
        "--sampling",
        "--active-timeout",
        "--inactive-timeout",
        "--template-refresh-packets",
        "--template-refresh",
        "--source-id",
        "--mtu",
        "--rate-limit",
    ] {
        assert!(help.contains(argument), "{argument}");
    }
    for form in [
        "1:N",
        "random:N:M",
        "count:I/S",
        "time:I/S",
        "probability:P",
        "junos:R",
        "hash:1:N",
        "match:",
        "limit:M",
    ] {
        assert!(help.contains(form), "{form}");
    }
}

#[test]
fn templates_come_again_as_configured() {
    // X2, X4
    let folder = tempfile::tempdir().unwrap();
    let read = capture(folder.path(), 60_000);
    let write = folder.path().join("out.pcap");
    let mut rounds = Vec::new();
    for every in ["5", "1000"] {
        let files = ["--read", read.to_str().unwrap(), "--write", write.to_str().unwrap(), "-q"];
        let refresh = ["--template-refresh-packets", every, "--template-refresh", "10s"];
        assert!(exporter(&[&files[..], &refresh].concat()).status.success());
        let with_templates = |datagram: &[u8]| {
            v9::Packet::parse(datagram).unwrap().flowsets().any(|flowset| flowset.unwrap().id() == 0)
        };
        let written = datagrams(&write);
        rounds.push((written.iter().filter(|(_, datagram)| with_templates(datagram)).count(), written.len()));
    }
    let [(often, datagrams), (seldom, _)] = rounds[..] else { panic!() };
    assert!(often >= datagrams / 6 && often <= datagrams / 3, "{rounds:?}");
    assert!((2..often).contains(&seldom), "{rounds:?}");
}

#[test]
fn random_sampling_is_the_same_with_the_same_seed() {
    // S27 in part: the seed decides.
    let folder = tempfile::tempdir().unwrap();
    let read = capture(folder.path(), 2_000);
    let export = |seed: &str| {
        let write = folder.path().join("out.pcap");
        let files = ["--read", read.to_str().unwrap(), "--write", write.to_str().unwrap(), "-q"];
        assert!(
            exporter(&[&files[..], &["--sampling", "random:1:7", "--seed", seed]].concat()).status.success()
        );
        fs::read(write).unwrap()
    };
    assert_eq!(export("1"), export("1"));
    assert_ne!(export("1"), export("2"));
}

#[test]
#[cfg(not(feature = "live"))]
fn a_build_without_live_capture_says_how_to_get_it() {
    let arguments = ["--interface", "eth0", "--collector", "127.0.0.1:2055"];
    for more in [&[][..], &["--check"][..]] {
        let output = Command::new(EXPORTER).args(arguments).args(more).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        let is_told = text.contains("cargo build --release --features live") && text.contains("libpcap-dev");
        assert!(is_told && text.contains("--interface eth0"), "{text}");
    }
}
