//! Files of IPFIX messages that the collector writes: each stands for itself, and says what came.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod collector_datagrams;
mod common;

use core::net::SocketAddr;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use collector_datagrams::{PLAIN, options_template, plain, set, template, v5, v9};
use common::{has_program, listening::PROGRAM, shared_dir};
use netflow_codec::{Timestamp, ipfix};
use netflow_probe_example::{
    collector::Collector,
    messages::{MessageConfig, MessageFiles, MessagesSink},
    receive::{MessageFile, Piece},
};
use serde_json::Value;

const START: u64 = 1_700_000_100;

fn program(arguments: &[&str]) {
    let output = Command::new(PROGRAM).args(arguments).output().unwrap();
    // Some captures are cut off.
    assert!(matches!(output.status.code(), Some(0 | 1)), "{}", String::from_utf8_lossy(&output.stderr));
}

fn flows(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What of a flow does not depend on how it came.
fn essence(flow: &Value) -> String {
    const NAMES: [&str; 20] = [
        "src_addr",
        "dst_addr",
        "src_port",
        "dst_port",
        "proto",
        "bytes",
        "packets",
        "time_flow_start_ns",
        "time_flow_end_ns",
        "in_if",
        "out_if",
        "tcp_flags",
        "ip_tos",
        "src_as",
        "dst_as",
        "src_net",
        "dst_net",
        "next_hop",
        "src_mac",
        "dst_mac",
    ];
    let value = |name: &str| match flow[name].as_u64() {
        // Uptimes are milliseconds, and so are the times that stand for them in IPFIX.
        Some(nanos) if name.starts_with("time_") => (nanos / 1_000_000).to_string(),
        _ => flow[name].to_string(),
    };
    NAMES.map(value).join(" ")
}

fn essences(path: &Path) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for flow in flows(path) {
        *found.entry(essence(&flow)).or_default() += 1;
    }
    found
}

#[test]
fn what_is_read_from_a_file_is_what_came() {
    let Some(shared) = shared_dir() else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let mut compared = 0;
    let cases =
        fs::read_dir(shared.join("corpus")).unwrap().map(|entry| entry.unwrap().path().join("capture.pcap"));
    for path in cases.filter(|path| path.exists()) {
        let (before, messages, behind) = (at("before.json"), at("all.ipfix"), at("behind.json"));
        program(&[
            "decode",
            path.to_str().unwrap(),
            "--quiet",
            "--messages",
            messages.to_str().unwrap(),
            "--output",
            before.to_str().unwrap(),
        ]);
        let expected = essences(&before);
        if expected.is_empty() {
            continue;
        }
        let summary = at("summary.json");
        program(&[
            "decode",
            messages.to_str().unwrap(),
            "--quiet",
            "--output",
            behind.to_str().unwrap(),
            "--summary",
            summary.to_str().unwrap(),
        ]);
        let found = essences(&behind);
        let missing: Vec<_> =
            expected.iter().filter(|(flow, count)| found.get(*flow) != Some(count)).collect();
        assert!(missing.is_empty(), "{}: {missing:#?} of {found:#?}", path.display());
        let summary: Value = serde_json::from_slice(&fs::read(summary).unwrap()).unwrap();
        assert_eq!(
            (&summary["malformed"], &summary["sets_without_template"]),
            (&0.into(), &0.into()),
            "{summary:#}"
        );
        assert_eq!(summary["sequence"]["gaps"], 0, "{}", path.display());
        compared += 1;
        fs::remove_file(&messages).unwrap();
    }
    assert!(compared > 20, "{compared}");
}

/// Feeds datagrams, each so many seconds behind the start, to files in a folder of a minute each.
fn written(folder: &Path, datagrams: &[(u64, SocketAddr, Vec<u8>)]) -> Vec<PathBuf> {
    let mut config = MessageConfig::new(folder.to_owned());
    config.interval = core::time::Duration::from_secs(60);
    let files = Arc::new(MessageFiles::open(config).unwrap());
    let mut collector = Collector::new(MessagesSink::new(Arc::clone(&files), 0));
    for (seconds, exporter, datagram) in datagrams {
        let now = Timestamp::from_secs(START + seconds);
        collector.handle_datagram(*exporter, datagram, now).unwrap();
        collector.tick(now).unwrap();
    }
    collector.finish().unwrap();
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert_eq!(files.stats().files, paths.len() as u64);
    assert_eq!(files.stats().lost_records, 0);
    paths
}

/// What a file has, in its order: sets by domain and id, with the times of their messages.
fn sets(path: &Path) -> Vec<(u64, u32, u16, Vec<u8>)> {
    let mut file = MessageFile::new(fs::File::open(path).unwrap());
    let mut sets = Vec::new();
    while let Some(piece) = file.next_piece().unwrap() {
        let Piece::Message(message) = piece else { panic!("{piece:?}") };
        let message = ipfix::Message::parse(message).unwrap();
        let header = message.header();
        for set in message.sets() {
            let set = set.unwrap();
            let time = header.export_time().as_secs();
            sets.push((time, header.observation_domain(), set.id(), set.body().to_vec()));
        }
    }
    sets
}

#[test]
fn templates_and_options_stand_in_front_of_data_in_every_file() {
    // C37
    let folder = tempfile::tempdir().unwrap();
    let a: SocketAddr = "192.0.2.1:9".parse().unwrap();
    let b: SocketAddr = "[2001:db8::2]:9".parse().unwrap();
    // Both use domain 3 and template 256, for other fields; options say the sampling rate once, and the name of an interface.
    let sampling = [options_template(257, &[(34, 4), (35, 1)]), set(257, &[0, 0, 0, 0, 0, 0, 0, 100, 1])];
    let of_b = [(27, 16), (28, 16), (2, 4)];
    let record_b = [&[0x20; 32][..], &[0, 0, 0, 9]].concat();
    let mut datagrams = vec![
        (0, a, v9(3, 0, &[template(256, &PLAIN), set(256, &plain(1, 7))])),
        (1, b, v9(3, 0, &[template(256, &of_b), set(256, &record_b)])),
        (2, a, v9(3, 1, &sampling)),
        (3, a, v9(3, 2, &[set(256, &plain(2, 7))])),
        (4, "192.0.2.3:9".parse().unwrap(), v5(0, 2)),
    ];
    for minute in 1..3 {
        datagrams.push((minute * 60, a, v9(3, 3, &[set(256, &plain(3, 7))])));
        datagrams.push((minute * 60 + 1, b, v9(3, 3, &[set(256, &record_b)])));
        // Options that are said again stand in the file already.
        datagrams.push((minute * 60 + 2, a, v9(3, 4, &sampling)));
        // A clock that is set back for a moment.
        datagrams.push((minute * 60 + 1, a, v9(3, 5, &[set(256, &plain(4, 7))])));
    }
    let paths = written(folder.path(), &datagrams);
    assert_eq!(paths.len(), 3, "{paths:?}");
    for (number, path) in paths.iter().enumerate() {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with("messages-20231114T22") && name.ends_with("-0.ipfix"), "{name}");
        let (mut announced, mut options, mut with_data) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let mut time = 0;
        let mut records = BTreeMap::<(u32, u16), usize>::new();
        for (exported, domain, id, body) in sets(path) {
            assert!(exported >= time, "times ascend");
            time = exported;
            match id {
                2 | 3 => {
                    let template = u16::from_be_bytes([body[0], body[1]]);
                    announced.insert((domain, template));
                    if id == 3 {
                        options.insert((domain, template));
                        // Of the first file, the options came behind data.
                        assert!(number == 0 || !with_data.contains(&domain), "options of {domain} come late");
                    }
                }
                _ => {
                    assert!(announced.contains(&(domain, id)), "data of {domain} without {id}");
                    *records.entry((domain, id)).or_default() += 1;
                    if !options.contains(&(domain, id)) {
                        with_data.insert(domain);
                    }
                }
            }
        }
        let domains: BTreeSet<u32> = announced.iter().map(|(domain, _)| *domain).collect();
        assert_eq!(domains.len(), if number == 0 { 4 } else { 3 }, "{announced:?}");
        let sampling = records.iter().filter(|((_, id), _)| *id == 257).collect::<Vec<_>>();
        assert!(sampling.iter().any(|((domain, _), count)| *domain == 3 && **count == 1), "{sampling:?}");
        // By itself: who sent what, at which rate.
        let output = folder.path().join(format!("{number}.json"));
        program(&["decode", path.to_str().unwrap(), "--quiet", "--output", output.to_str().unwrap()]);
        let flows = flows(&output);
        assert_eq!(flows.len(), if number == 0 { 5 } else { 3 });
        let of_a = flows.iter().rfind(|flow| flow["src_addr"].as_str().unwrap().starts_with("192.0.2."));
        assert_eq!(of_a.unwrap()["sampling_rate"], 100);
        let records = folder.path().join("records.json");
        program(&[
            "decode",
            path.to_str().unwrap(),
            "--quiet",
            "--records",
            "--output",
            records.to_str().unwrap(),
        ]);
        let text = fs::read_to_string(&records).unwrap();
        for part in
            ["originalExporterIPv4Address", "\"192.0.2.1\"", "\"2001:db8::2\"", "originalObservationDomainId"]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
        fs::remove_file(records).unwrap();
    }
}

#[test]
fn tshark_reads_the_files() {
    if !has_program("tshark") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let a: SocketAddr = "192.0.2.1:9".parse().unwrap();
    let datagrams = [(0, a, v9(3, 0, &[template(256, &PLAIN), set(256, &plain(1, 7))])), (1, a, v5(0, 3))];
    let paths = written(folder.path(), &datagrams);
    let output = Command::new("tshark")
        .args([
            "-r",
            paths[0].to_str().unwrap(),
            "-T",
            "fields",
            "-E",
            "occurrence=a",
            "-e",
            "cflow.srcaddr",
            "-e",
        ])
        .args(["cflow.octets", "-e", "_ws.malformed"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for address in ["192.0.2.1", "10.5.0.0", "10.5.0.1", "10.5.0.2"] {
        assert!(text.contains(address), "{text}");
    }
    assert!(!text.contains("Malformed"), "{text}");
}

#[test]
fn files_that_cannot_be_written_are_counted_and_receiving_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("files");
    let mut config = MessageConfig::new(PathBuf::from(format!("{}/", path.display())));
    config.interval = core::time::Duration::from_secs(60);
    let files = Arc::new(MessageFiles::open(config).unwrap());
    let mut collector = Collector::new(MessagesSink::new(Arc::clone(&files), 0));
    let a: SocketAddr = "192.0.2.1:9".parse().unwrap();
    let mut take = |seconds, datagram: &[u8]| {
        collector.handle_datagram(a, datagram, Timestamp::from_secs(START + seconds)).unwrap();
    };
    take(0, &v5(0, 3));
    // The folder is gone, and something else has its name.
    fs::remove_dir_all(&path).unwrap();
    fs::write(&path, "").unwrap();
    take(60, &v5(3, 3));
    take(61, &v5(6, 3));
    assert_eq!(collector.account().counts().data_records, 9);
    let stats = files.stats();
    assert_eq!((stats.files, stats.records), (0, 0));
    assert_eq!(stats.lost_records, 9, "{stats:?}");
    drop(collector);
    // What is no folder can have no files; one file is not for several threads.
    let output = Command::new(PROGRAM)
        .args(["listen", "--bind", "127.0.0.1:0", "--messages"])
        .arg(format!("{}/x/", path.display()))
        .output()
        .unwrap();
    assert!(!output.status.success());
    let output = Command::new(PROGRAM)
        .args(["listen", "--bind", "127.0.0.1:0", "--workers", "2", "--messages"])
        .arg(folder.path().join("one.ipfix"))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && told.contains("several threads write to a folder"), "{told}");
}

#[test]
fn who_makes_exporters_up_costs_the_others_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let config = MessageConfig::new(folder.path().join("all.ipfix"));
    let files = Arc::new(MessageFiles::open(config).unwrap());
    let mut collector = Collector::new(MessagesSink::new(Arc::clone(&files), 0));
    let mut take = |number: u32, sequence| {
        let exporter = SocketAddr::new(core::net::Ipv4Addr::from_bits(0x0a00_0000 + number).into(), 9);
        collector.handle_datagram(exporter, &v5(sequence, 1), Timestamp::from_secs(START)).unwrap();
    };
    // One that means well, then more than a file has room for.
    (0..65_546).for_each(|number| take(number, 0));
    take(0, 1);
    collector.finish().unwrap();
    let stats = files.stats();
    assert_eq!((stats.files, stats.records, stats.lost_records), (1, 65_537, 10));
}
