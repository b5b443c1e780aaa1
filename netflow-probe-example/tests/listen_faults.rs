//! A collector under attack, out of time, and killed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod collector_datagrams;
mod common;

use core::{
    net::{Ipv4Addr, SocketAddr},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    net::UdpSocket,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Instant,
};

use collector_datagrams::{PLAIN, plain, set, template, v5, v9};
use common::listening::{Listening, PROGRAM};
use netflow_codec::{CacheLimits, Strictness, Timestamp};
use netflow_probe_example::{
    account::Account, collector::Collector, flow::Flow, output::FlowSink, policy::Policy,
};
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use serde_json::Value;

/// Counts flows.
#[derive(Default)]
struct Count(u64);

impl FlowSink for Count {
    fn flow(&mut self, _: &Flow<'_>) -> std::io::Result<()> {
        self.0 += 1;
        Ok(())
    }
}

fn collector() -> Collector<Count> {
    let mut limits = CacheLimits::default();
    limits.scopes = 32_768;
    limits.template_octets = 256 << 20;
    let mut collector = Collector::with_limits(Count::default(), limits, Strictness::Lenient);
    collector.set_policy(Policy::parse("").unwrap());
    collector
}

fn address(number: u32) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::from_bits(0x0a00_0000 + number), 9))
}

const START: u64 = 1_700_000_000;

#[test]
fn ten_thousand_exporters_keep_their_templates() {
    // C17, C35
    let mut collector = collector();
    let announced = v9(1, 0, &[template(256, &PLAIN)]);
    for round in 0..3_u32 {
        let data = v9(1, round + 1, &[set(256, &plain(1, 7))]);
        for number in 0..10_000 {
            let time = Timestamp::from_secs(START + u64::from(round) * 60);
            if round == 0 {
                collector.handle_datagram(address(number), &announced, time).unwrap();
            }
            collector.handle_datagram(address(number), &data, time).unwrap();
        }
    }
    assert_eq!((collector.sink().0, collector.account().exporters().count()), (30_000, 10_000));
    assert_eq!(collector.account().counts().sets_without_template, 0);
    let [_, packets, _] = collector.account().sequence();
    assert_eq!((packets.lost, packets.received), (0, 40_000));
}

#[test]
fn floods_of_made_up_exporters_and_templates_cost_nobody_else_anything() {
    // C11, C17
    let mut collector = collector();
    let good = "192.0.2.1:9".parse().unwrap();
    let at = |secs| Timestamp::from_secs(START + secs);
    collector.handle_datagram(good, &v9(1, 0, &[template(256, &PLAIN)]), at(0)).unwrap();
    for second in 1..=40 {
        let sequence = u32::try_from(second).unwrap();
        let data = v9(1, sequence, &[set(256, &plain(1, 7))]);
        collector.handle_datagram(good, &data, at(second)).unwrap();
    }
    // 10^5 addresses that nobody has, each with a template, data without one, and nonsense.
    let forged = [
        v9(7, 0, &[template(300, &PLAIN), set(300, &plain(2, 1))]),
        v9(8, 0, &[set(400, &[0; 40])]),
        vec![7; 30],
    ];
    for number in 0..100_000 {
        for datagram in &forged {
            collector.handle_datagram(address(number), datagram, at(41)).unwrap();
        }
    }
    // One address with every template id in a hundred domains.
    let templates: Vec<_> = (0..60_u16).map(|number| template(256 + number, &PLAIN)).collect();
    for domain in 0..1_000 {
        collector.handle_datagram(address(7), &v9(domain, 0, &templates), at(41)).unwrap();
    }
    let before = collector.sink().0;
    for second in 42..82 {
        let data = v9(1, u32::try_from(second - 1).unwrap(), &[set(256, &plain(1, 7))]);
        collector.handle_datagram(good, &data, at(second)).unwrap();
    }
    assert_eq!(collector.sink().0 - before, 40, "the template is still there");
    let summary = collector.summary().to_json();
    let exporters = summary["exporters"].as_array().unwrap();
    let good = exporters.iter().find(|exporter| exporter["exporter"] == "192.0.2.1").unwrap();
    assert_eq!((&good["datagrams"], &good["domains"][0]["sequence"]["lost"]), (&81.into(), &0.into()));
    assert!(exporters.len() <= Account::EXPORTERS, "{}", exporters.len());
    let limits = CacheLimits::default();
    let most = (256 << 20) + limits.pending_octets;
    assert!(summary["template_cache"]["memory_octets"].as_u64().unwrap() <= most as u64);
}

#[test]
fn clocks_that_are_set_cost_no_flow() {
    // C5, C9
    let mut collector = collector();
    let exporter = "192.0.2.1:9".parse().unwrap();
    let year = 365 * 86_400;
    let times = [
        START,
        START + 1,
        START + year,
        START + year + 1,
        START - year,
        START - year + 1,
        0,
        1,
        u64::MAX / 1_000_000_000,
    ];
    for (sequence, secs) in (0..).zip(times) {
        let time = Timestamp::from_secs(secs);
        collector.handle_datagram(exporter, &v5(sequence * 3, 3), time).unwrap();
        collector.tick(time).unwrap();
        let sets = [template(256, &PLAIN), set(256, &plain(1, 7))];
        collector.handle_datagram(exporter, &v9(1, sequence, &sets), time).unwrap();
    }
    // The exporter's own clock: a day ahead, and back.
    for (sequence, export) in (9..).zip([86_400_u32, 86_401, 0, 1]) {
        let mut datagram = v5(sequence * 3, 3);
        datagram[8..12].copy_from_slice(&(1_700_000_000 + export).to_be_bytes());
        collector.handle_datagram(exporter, &datagram, Timestamp::from_secs(START)).unwrap();
    }
    assert_eq!(collector.sink().0, 9 * 4 + 4 * 3);
    let [flows, packets, _] = collector.account().sequence();
    assert_eq!((flows.lost, flows.received, packets.lost), (0, 39, 0));
    let health = collector.health(Timestamp::from_secs(START + 1));
    assert!(health["exporters"][0]["clock_behind_ms"]["last"].is_i64());
}

#[test]
fn a_storm_of_nonsense_costs_a_good_exporter_nothing() {
    // C10, C11
    let collector = Listening::start(&["--bind", "127.0.0.1:0", "--workers", "2"]);
    let to = collector.addresses[0];
    let good = UdpSocket::bind("127.0.0.1:0").unwrap();
    let bad: Vec<_> =
        (1..=8).map(|host| UdpSocket::bind((Ipv4Addr::new(127, 0, 3, host), 0)).unwrap()).collect();
    for sequence in 0..200_u32 {
        good.send_to(&v5(sequence * 2, 2), to).unwrap();
        for (number, bad) in bad.iter().enumerate() {
            for length in [1, 3, 19, 700] {
                bad.send_to(&vec![u8::try_from(number).unwrap(); length], to).unwrap();
            }
        }
        // No faster than the machine takes it.
        collector.drained();
    }
    let left = collector.terminate();
    let exporters = left.summary["exporters"].as_array().unwrap();
    let good = exporters.iter().find(|exporter| exporter["exporter"] == "127.0.0.1").unwrap();
    assert_eq!((&good["domains"][0]["data_records"], &good["refused"]), (&400.into(), &0.into()));
    assert_eq!(left.summary["sequence"]["lost_flows"], 0);
    // Who sends nothing sound is decoded ten times, and then left alone for a while.
    let muted = left.summary["refused"]["by_reason"]["muted"].as_u64().unwrap();
    assert!(muted >= 8 * (800 - 10 * 8), "{muted}");
    assert!(left.stderr.lines().count() < 300, "{}", left.stderr.lines().count());
}

/// What the kernel had no room for.
fn kernel_drops(summary: &Value) -> u64 {
    summary["kernel_drops"].as_u64().unwrap()
}

#[test]
#[ignore = "takes ten seconds of both processors"]
fn a_storm_at_full_rate_costs_a_good_exporter_only_what_the_kernel_drops() {
    // C10, C11, C17
    let collector =
        Listening::start(&["--bind", "127.0.0.1:0", "--workers", "2", "--receive-buffer", "67108864"]);
    let to = collector.addresses[0];
    let is_over = AtomicBool::new(false);
    let (storm, sent) = thread::scope(|scope| {
        let storms: Vec<_> = (0..2_u8)
            .map(|thread| {
                let is_over = &is_over;
                scope.spawn(move || {
                    let bad: Vec<_> = (1..=8)
                        .map(|host| UdpSocket::bind((Ipv4Addr::new(127, 0, 30 + thread, host), 0)).unwrap())
                        .collect();
                    let mut sent = 0_u64;
                    while !is_over.load(Ordering::Relaxed) {
                        for bad in &bad {
                            for datagram in [&[7; 60][..], &v9(1, 0, &[set(3, &[0xff; 40])]), &[0, 10, 0, 9]]
                            {
                                sent += u64::from(bad.send_to(datagram, to).is_ok());
                            }
                        }
                    }
                    sent
                })
            })
            .collect();
        let good = UdpSocket::bind("127.0.0.1:0").unwrap();
        let begin = Instant::now();
        let mut sent = 0_u32;
        while begin.elapsed() < Duration::from_secs(10) {
            good.send_to(&v5(sent * 30, 30), to).unwrap();
            sent += 1;
            thread::sleep(Duration::from_micros(500));
        }
        is_over.store(true, Ordering::Relaxed);
        (storms.into_iter().map(|storm| storm.join().unwrap()).sum::<u64>(), sent)
    });
    collector.drained();
    let left = collector.terminate();
    let exporters = left.summary["exporters"].as_array().unwrap();
    let good = exporters.iter().find(|exporter| exporter["exporter"] == "127.0.0.1").unwrap();
    let lost = left.summary["sequence"]["lost_flows"].as_u64().unwrap() / 30;
    let drops = kernel_drops(&left.summary);
    println!(
        "{storm} datagrams of nonsense in 10 s, {} refused, {drops} dropped by the kernel; {lost} of {sent} good ones lost",
        left.summary["refused"]["datagrams"]
    );
    assert_eq!((&good["refused"], &good["faults"]["truncated"]), (&0.into(), &Value::Null));
    let received = good["domains"][0]["data_records"].as_u64().unwrap() / 30;
    // One at the end may be missing without a trace.
    assert!(lost <= drops && received + lost <= u64::from(sent), "{received} {lost} {sent}");
    assert!(drops > 0 || received == u64::from(sent));
    // Each datagram is accounted for.
    assert_eq!(left.summary["datagrams"].as_u64().unwrap() + drops, storm + u64::from(sent));
}

/// Files that have their names, and those that do not.
fn parquet_files(folder: &Path, complete: &mut Vec<PathBuf>, open: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        let is = |ending: &str| path.extension().is_some_and(|extension| extension == ending);
        if path.is_dir() {
            parquet_files(&path, complete, open);
        } else if is("parquet") {
            complete.push(path);
        } else if is("tmp") {
            open.push(path);
        }
    }
}

/// The rows of a file, all of which can be read.
fn rows_of(path: &Path) -> u64 {
    let reader = SerializedFileReader::new(File::open(path).unwrap()).expect("a whole file");
    let rows: Vec<_> = reader.get_row_iter(None).unwrap().collect::<Result<_, _>>().expect("rows");
    assert_eq!(rows.len(), usize::try_from(reader.metadata().file_metadata().num_rows()).unwrap());
    rows.len() as u64
}

/// Kills the collector so many times while flows come, and looks what is there.
fn kill_and_look(rounds: u64) {
    let folder = tempfile::tempdir().unwrap();
    let (store, control) = (folder.path().join("store"), folder.path().join("control"));
    let arguments = [
        "--bind",
        "127.0.0.1:0",
        "--workers",
        "2",
        "--store",
        store.to_str().unwrap(),
        "--store-interval",
        "1s",
        "--sync-interval",
        "200ms",
        "--control",
        control.to_str().unwrap(),
    ];
    let health = || -> Option<Value> {
        let output =
            Command::new(PROGRAM).args(["status", "--json", "--control"]).arg(&control).output().unwrap();
        serde_json::from_slice(&output.stdout).ok()
    };
    let mut rows = BTreeMap::new();
    let mut acknowledged = 0;
    let mut sent = 0_u64;
    for round in 0..rounds {
        let mut collector = Listening::start(&arguments);
        let exporters: Vec<_> =
            (1..=4).map(|host| UdpSocket::bind((Ipv4Addr::new(127, 0, 4, host), 0)).unwrap()).collect();
        let (mut durable, mut sequence) = (0, 0);
        let mut export = || {
            for exporter in &exporters {
                exporter.send_to(&v5(sequence * 30, 30), collector.addresses[0]).unwrap();
                sent += 30;
            }
            sequence += 1;
        };
        // Until something is acknowledged, and some more, so that the kill comes at another place each time.
        while durable <= 1_000 + round * 777 {
            (0..16).for_each(|_| export());
            collector.drained();
            durable =
                health().and_then(|health| health["store"]["durable_flows"].as_u64()).unwrap_or(durable);
        }
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_millis(round * 37 % 200) {
            export();
        }
        collector.child.kill().unwrap();
        collector.child.wait().unwrap();
        acknowledged += durable;
        let (mut complete, mut open) = (Vec::new(), Vec::new());
        parquet_files(&store, &mut complete, &mut open);
        // Every file that has its name is whole, and stays as it is.
        for path in complete {
            rows.entry(path).or_insert_with_key(|path| rows_of(path));
        }
        let rows: u64 = rows.values().sum();
        assert!(
            rows >= acknowledged && rows <= sent,
            "{acknowledged} acknowledged, {rows} there, {sent} sent"
        );
    }
    // The next start tidies up, and goes on.
    let left = Listening::start(&arguments).terminate();
    let (mut complete, mut open) = (Vec::new(), Vec::new());
    parquet_files(&store, &mut complete, &mut open);
    assert!(open.is_empty() && !complete.is_empty(), "{open:?}\n{}", left.stderr);
}

#[test]
fn what_was_acknowledged_is_there_after_a_kill() {
    kill_and_look(2);
}

#[test]
#[ignore = "takes some ten seconds"]
fn what_was_acknowledged_is_there_after_many_kills() {
    kill_and_look(12);
}
