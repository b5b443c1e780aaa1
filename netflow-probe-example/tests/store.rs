//! The store: what is written is what came, whole files only, whatever happens.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use core::time::Duration;
use std::{
    env, fs,
    fs::File,
    net::UdpSocket,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
};

use common::peers::{Background, free_port, is_bound, is_drained, wait_until};
use netflow_codec::{ExportSession, ExportVersion, FlowRecord, SessionConfig, Timestamp};
use netflow_probe_example::{
    collector::Collector,
    output::{FlowSink, JsonSink},
    store::{Retention, Store, StoreConfig, StoreStats},
};
use parquet::{
    file::reader::{FileReader, SerializedFileReader},
    record::Field,
};
use serde_json::{Map, Value};

const COLLECTOR: &str = env!("CARGO_BIN_EXE_netflow-collector");
const BOOT: Timestamp = Timestamp::from_secs(1_772_366_400); // 2026-03-01T12:00:00Z

fn flow(number: u64) -> FlowRecord {
    let mut flow = FlowRecord::default();
    let [.., high, low] = number.to_be_bytes();
    if number.is_multiple_of(3) {
        flow.source = [0x2001, 0xdb8, 0, 0, 0, 0, high.into(), low.into()].into();
        flow.destination = [0x2001, 0xdb8, 1, 0, 0, 0, 0, 1].into();
        flow.next_hop = [0x2001, 0xdb8, 2, 0, 0, 0, 0, 1].into();
        flow.ipv6_flow_label = 77;
    } else {
        flow.source = [10, 0, high, low].into();
        flow.destination = [192, 0, 2, 1].into();
        flow.next_hop = [203, 0, 113, 1].into();
    }
    flow.protocol = if number.is_multiple_of(5) { 253 } else { 6 };
    flow.source_port = u16::try_from(number % 60_000).unwrap();
    flow.destination_port = 443;
    flow.tcp_flags = 0x1b;
    flow.octets = u64::from(u32::MAX) * (number % 4) + number;
    flow.packets = number + 1;
    flow.source_as = u32::MAX;
    flow.start = Timestamp::from_millis(BOOT.as_millis() + number);
    flow.end = Timestamp::from_millis(BOOT.as_millis() + number + 250);
    if number.is_multiple_of(4) {
        flow.mpls_labels.set(0, [0, 1, 0]);
        flow.mpls_labels.set(1, [0, 2, 1]);
    }
    flow
}

/// The datagrams of so many flows.
fn datagrams(flows: u64) -> Vec<Vec<u8>> {
    let mut session = ExportSession::new(SessionConfig::new(ExportVersion::V9, BOOT)).unwrap();
    let now = Timestamp::from_secs(BOOT.as_secs() + 1_000);
    let (mut datagrams, mut datagram) = (Vec::new(), Vec::new());
    for number in 0..flows {
        session.handle_flow(&flow(number), now).unwrap();
        while session.poll_transmit(&mut datagram).is_some() {
            datagrams.push(core::mem::take(&mut datagram));
        }
    }
    session.flush(now);
    while session.poll_transmit(&mut datagram).is_some() {
        datagrams.push(core::mem::take(&mut datagram));
    }
    datagrams
}

fn config(folder: &Path) -> StoreConfig {
    StoreConfig::new(folder.join("store"))
}

/// The complete files, in the order of time.
fn files(store: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    // A collector that has just been started may not have created it yet.
    let Ok(dates) = fs::read_dir(store) else { return found };
    for date in dates.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        for hour in fs::read_dir(date).unwrap() {
            for file in fs::read_dir(hour.unwrap().path()).unwrap() {
                found.push(file.unwrap().path());
            }
        }
    }
    found.retain(|path| !path.file_name().unwrap().to_str().unwrap().starts_with('.'));
    found.sort();
    found
}

/// The rows of a file as JSON objects without their nulls.
fn rows(path: &Path) -> Vec<Map<String, Value>> {
    let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
    let rows = reader.get_row_iter(None).unwrap().map(|row| {
        let row = row.unwrap();
        let columns = row.get_column_iter().filter(|(_, field)| **field != Field::Null);
        columns.map(|(name, field)| (name.clone(), json(field))).collect()
    });
    rows.collect()
}

fn json(field: &Field) -> Value {
    match field {
        Field::UInt(number) => (*number).into(),
        Field::ULong(number) => (*number).into(),
        Field::Long(number) => (*number).into(),
        Field::Str(text) => text.as_str().into(),
        Field::ListInternal(list) => list.elements().iter().map(json).collect(),
        other => panic!("{other:?}"),
    }
}

/// Gives datagrams to a sink, an interval of five minutes for each of the groups.
fn collect<S: FlowSink>(sink: S, groups: &[&[Vec<u8>]]) -> S {
    let mut collector = Collector::new(sink);
    for (minute, group) in (0..).step_by(5).zip(groups) {
        let received = Timestamp::from_secs(BOOT.as_secs() + 60 * minute);
        for datagram in *group {
            collector.handle_datagram("198.51.100.1:40000".parse().unwrap(), datagram, received).unwrap();
        }
    }
    collector.finish().unwrap();
    collector.into_sink()
}

#[test]
fn every_column_of_every_flow_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let datagrams = datagrams(2_000);
    let mut config = config(folder.path());
    config.row_group = 700;
    let store = collect(Store::open(config).unwrap(), &[&datagrams]);
    assert_eq!((store.stats().durable_flows, store.stats().open_flows), (2_000, 0));
    let mut lines = Vec::new();
    collect(JsonSink::new(&mut lines), &[&datagrams]);
    let expected: Vec<Map<String, Value>> = String::from_utf8(lines)
        .unwrap()
        .lines()
        .map(|line| {
            let mut object: Map<String, Value> = serde_json::from_str(line).unwrap();
            object.retain(|_, value| !value.is_null());
            if let Some(fields) = object.get_mut("fields") {
                *fields = fields.to_string().into();
            }
            object
        })
        .collect();
    let files = files(&folder.path().join("store"));
    assert_eq!(files.len(), 1);
    assert_eq!(rows(&files[0]), expected);
}

#[test]
fn a_file_holds_the_flows_of_one_interval_in_the_folder_of_its_hour() {
    let folder = tempfile::tempdir().unwrap();
    let datagrams = datagrams(1_000);
    let (first, second) = datagrams.split_at(datagrams.len() / 2);
    let store = collect(Store::open(config(folder.path())).unwrap(), &[first, second]);
    let root = folder.path().join("store").canonicalize().unwrap();
    let names: Vec<String> = files(&root)
        .iter()
        .map(|path| path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        names,
        [
            "date=2026-03-01/hour=12/flows-20260301T120000Z-0.parquet",
            "date=2026-03-01/hour=12/flows-20260301T120500Z-0.parquet"
        ]
    );
    let stored: usize = files(&root).iter().map(|path| rows(path).len()).sum();
    assert_eq!(stored, 1_000);
    assert_eq!(store.stats().written_files, 2);
    let octets: u64 = files(&root).iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    assert_eq!(store.stats().octets, octets);
    drop(store);
    // The next run of the same time takes another name.
    collect(Store::open(config(folder.path())).unwrap(), &[first]);
    assert!(files(&root)[1].ends_with("flows-20260301T120000Z-1.parquet"));
}

#[test]
fn a_file_that_is_large_enough_is_completed() {
    let folder = tempfile::tempdir().unwrap();
    let mut limited = config(folder.path());
    (limited.row_group, limited.file_limit) = (250, 12_000);
    let store = collect(Store::open(limited).unwrap(), &[&datagrams(3_000)]);
    let files = files(&folder.path().join("store"));
    let sizes: Vec<u64> = files.iter().map(|path| fs::metadata(path).unwrap().len()).collect();
    assert!(files.len() > 3 && sizes.iter().filter(|size| **size < 12_000).count() <= 1, "{sizes:?}");
    assert_eq!(files.iter().map(|path| rows(path).len()).sum::<usize>(), 3_000);
    assert_eq!((store.stats().durable_flows, store.stats().written_files), (3_000, files.len() as u64));
}

#[test]
fn what_is_too_old_or_too_much_goes() {
    let folder = tempfile::tempdir().unwrap();
    let datagrams = datagrams(3_000);
    let groups: Vec<&[Vec<u8>]> = datagrams.chunks(datagrams.len() / 20).collect();
    let mut limited = config(folder.path());
    limited.retention = Retention { age: None, octets: Some(60_000) };
    let store = collect(Store::open(limited).unwrap(), &groups);
    let stats = store.stats();
    let root = folder.path().join("store");
    let octets: u64 = files(&root).iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    assert!(octets <= 60_000 && stats.octets == octets, "{octets} {stats:?}");
    assert!(stats.expired_files > 0 && stats.files == files(&root).len() as u64, "{stats:?}");
    // The newest are left.
    assert!(files(&root).last().unwrap().to_str().unwrap().contains("T13"), "{:?}", files(&root).last());
    assert_eq!(stats.durable_flows, 3_000);
    drop(store);
    let mut aged = config(folder.path());
    aged.retention = Retention { age: Some(Duration::from_millis(1)), octets: None };
    thread::sleep(Duration::from_millis(20));
    collect(Store::open(aged).unwrap(), &[groups[0]]);
    assert_eq!(files(&root).len(), 1);
}

#[test]
fn a_store_has_one_writer_and_starts_without_what_was_left_open() {
    let folder = tempfile::tempdir().unwrap();
    let hour = folder.path().join("store/date=2026-03-01/hour=12");
    fs::create_dir_all(&hour).unwrap();
    fs::write(hour.join(".flows-20260301T120000Z.parquet.tmp"), b"PAR1 half a file").unwrap();
    fs::write(hour.join("notes.txt"), b"not ours").unwrap();
    let store = Store::open(config(folder.path())).unwrap();
    assert_eq!(store.stats().abandoned_files, 1);
    assert!(!hour.join(".flows-20260301T120000Z.parquet.tmp").exists() && hour.join("notes.txt").exists());
    let error = Store::open(config(folder.path())).unwrap_err().to_string();
    assert!(error.contains("another program writes to the store"), "{error}");
    drop(store);
    Store::open(config(folder.path())).unwrap();
}

fn listen(store: &Path, port: u16, arguments: &[&str]) -> Background {
    let child = Command::new(COLLECTOR)
        .args([
            "listen",
            "--bind",
            &format!("127.0.0.1:{port}"),
            "--store",
            store.to_str().unwrap(),
            "--quiet",
        ])
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the collector's start", || is_bound(port));
    Background(child)
}

#[test]
fn a_killed_collector_leaves_whole_files_and_all_that_was_due() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let port = free_port();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let datagrams = datagrams(4_000);
    for round in 0..3 {
        let mut collector = listen(&store, port, &["--sync-interval", "200ms"]);
        let (early, late) = datagrams.split_at(datagrams.len() / 2);
        let send = |datagrams: &[Vec<u8>]| {
            for datagram in datagrams {
                socket.send_to(datagram, ("127.0.0.1", port)).unwrap();
            }
            wait_until("the collector's reading", || is_drained(port));
        };
        let before: usize = files(&store).iter().map(|path| rows(path).len()).sum();
        send(early);
        // Longer than the interval in which they must be on the disk.
        let early_flows = 1_900;
        wait_until("the first half on the disk", || {
            files(&store).iter().map(|path| rows(path).len()).sum::<usize>() >= before + early_flows
        });
        send(late);
        collector.0.kill().unwrap();
        collector.0.wait().unwrap();
        let after: usize = files(&store).iter().map(|path| rows(path).len()).sum();
        assert!(
            (before + early_flows..=before + 4_000).contains(&after),
            "round {round}: {before} to {after}"
        );
    }
    // What was left open is deleted, what was complete is still there.
    let complete = files(&store).len();
    let reopened = Store::open(StoreConfig::new(&store)).unwrap();
    assert_eq!(
        reopened.stats().abandoned_files + complete as u64,
        count_all(&store) + reopened.stats().abandoned_files
    );
}

/// Files in the hours' folders, whatever their names.
fn count_all(store: &Path) -> u64 {
    let dates = fs::read_dir(store).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let hours = dates.flat_map(|date| fs::read_dir(date).unwrap().map(|hour| hour.unwrap().path()));
    hours.map(|hour| fs::read_dir(hour).unwrap().count() as u64).sum()
}

#[test]
fn the_account_says_what_is_durable() {
    let folder = tempfile::tempdir().unwrap();
    let (store, summary) = (folder.path().join("store"), folder.path().join("summary.json"));
    let port = free_port();
    let mut collector =
        listen(&store, port, &["--summary", summary.to_str().unwrap(), "--store-compression", "9"]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for datagram in datagrams(500) {
        socket.send_to(&datagram, ("127.0.0.1", port)).unwrap();
    }
    wait_until("the collector's reading", || is_drained(port));
    collector.terminate();
    let summary: Value = serde_json::from_slice(&fs::read(summary).unwrap()).unwrap();
    assert_eq!(summary["store"]["durable_flows"], 500);
    assert_eq!(summary["store"]["open_flows"], 0);
    assert_eq!(summary["data_records"], 500);
    assert_eq!(files(&store).iter().map(|path| rows(path).len()).sum::<usize>(), 500);
}

fn decode(arguments: &[&str]) -> Output {
    Command::new(COLLECTOR).args(["decode"]).args(arguments).output().unwrap()
}

#[test]
fn a_store_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, b"").unwrap();
    let output = decode(&["/dev/null", "--store", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains(file.to_str().unwrap()));
    let output = decode(&["/dev/null", "--store-age", "1d"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--store <DIR>"));
}

/// DuckDB and pyarrow read the files, and count and sum what we count and sum.
#[test]
fn engines_that_are_not_ours_read_the_files() {
    let python = env::var("NETFLOW_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let has_engines = Command::new(&python).args(["-c", "import duckdb, pyarrow"]).output();
    if !has_engines.is_ok_and(|output| output.status.success()) {
        common::skip(&format!(
            "{python} has no duckdb and pyarrow (pip install duckdb pyarrow, NETFLOW_PYTHON)"
        ));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let datagrams = datagrams(5_000);
    let (first, second) = datagrams.split_at(datagrams.len() / 2);
    collect(Store::open(config(folder.path())).unwrap(), &[first, second]);
    let script = r"
import duckdb, pyarrow.dataset, sys
glob = sys.argv[1] + '/**/*.parquet'
where = f'''read_parquet('{glob}', hive_partitioning = true)'''
one = lambda sql: duckdb.sql(sql).fetchall()[0]
print(*one(f'select count(*), sum(bytes)::UBIGINT, sum(packets)::UBIGINT, count(distinct src_addr) from {where}'))
print(*one(f'select min(time_flow_start_ns), max(duration_ms), any_value(date), any_value(hour) from {where}'))
print(*one(f'''select count(*), max(src_as) from {where} where src_addr = '10.0.0.10' and proto = '253' '''))
print(*one(f'''select mpls_label from {where} where src_addr = '10.0.0.4' '''))
table = pyarrow.dataset.dataset(sys.argv[1], format='parquet', partitioning='hive').to_table()
print(table.num_rows, sum(table['bytes'].to_pylist()), table['proto'].to_pylist().count('TCP'))
print(table.schema.field('time_received_ns').type, table.schema.field('src_port').type, table.schema.field('bytes').type)
";
    let store = folder.path().join("store");
    let output = Command::new(&python).args(["-c", script, store.to_str().unwrap()]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let flows: Vec<FlowRecord> = (0..5_000).map(flow).collect();
    let octets: u64 = flows.iter().map(|flow| flow.octets).sum();
    let packets: u64 = flows.iter().map(|flow| flow.packets).sum();
    let expected = format!(
        "5000 {octets} {packets} 5000\n2026-03-01 12:00:00+00:00 250 2026-03-01 12\n1 4294967295\n[16, 32]\n5000 {octets} 4000\n\
         timestamp[ns, tz=UTC] uint32 uint64\n"
    );
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
}

#[test]
fn a_full_disk_ends_the_collector_with_its_name() {
    // A file system of 256 KiB, which only root can make.
    let folder = tempfile::tempdir().unwrap();
    let small = folder.path().join("small");
    fs::create_dir(&small).unwrap();
    let mounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"]).arg(&small).status();
    if !mounted.is_ok_and(|status| status.success()) {
        common::skip("no file system can be mounted");
        return;
    }
    let mut config = StoreConfig::new(small.join("store"));
    config.row_group = 500;
    let result = (|| {
        let mut collector = Collector::new(Store::open(config)?);
        for datagram in datagrams(60_000) {
            collector.handle_datagram("198.51.100.1:40000".parse().unwrap(), &datagram, BOOT)?;
        }
        collector.finish()
    })();
    let left = files_if_any(&small.join("store"));
    let unmounted = Command::new("umount").arg(&small).status().unwrap();
    assert!(unmounted.success());
    let error = result.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull, "{error}");
    assert!(error.to_string().contains("small/store: "), "{error}");
    assert_eq!(left, 0, "no half a file has a name");
}

fn files_if_any(store: &Path) -> usize {
    if store.is_dir() { files(store).len() } else { 0 }
}

#[test]
fn nothing_taken_is_nothing_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(config(folder.path())).unwrap();
    store.tick(BOOT).unwrap();
    let stats = store.finish().unwrap();
    assert_eq!(stats, StoreStats::default());
    assert!(files(&folder.path().join("store")).is_empty());
}

/// A capture file and a store of the same flows.
fn both(folder: &Path) -> (String, String) {
    let (capture, store) = (folder.join("flows.pcap"), folder.join("store"));
    let mut writer = netflow_probe_example::pcap::DatagramWriter::create(&capture).unwrap();
    for (datagram, second) in datagrams(3_000).iter().zip(0..) {
        let time = netflow_flowcache::Timestamp::from_secs(BOOT.as_secs() + 10 * second);
        writer
            .write(time, "198.51.100.1:40000".parse().unwrap(), "192.0.2.9:2055".parse().unwrap(), datagram)
            .unwrap();
    }
    writer.finish().unwrap();
    let output = decode(&[capture.to_str().unwrap(), "--store", store.to_str().unwrap(), "--quiet"]);
    assert!(output.status.success());
    (capture.to_str().unwrap().to_owned(), store.to_str().unwrap().to_owned())
}

fn query(arguments: &[&str]) -> Output {
    Command::new(COLLECTOR).arg("query").args(arguments).output().unwrap()
}

#[test]
fn a_store_answers_as_the_datagrams_do() {
    let folder = tempfile::tempdir().unwrap();
    let (capture, store) = both(folder.path());
    for question in [
        &["--format", "json", "src port in [7 8 9 10 11 12]"][..],
        &["--format", "csv", "src net 2001:db8::/48 and bytes > 4G"],
        &["--format", "table", "-O", "bytes", "-c", "20", "proto 253"],
        &["--format", "json", "-s", "srcip/bytes", "-s", "proto:p/packets", "-s", "mpls2", "-n", "5"],
        &["--format", "csv", "-A", "srcip4/24,dstport", "-O", "bytes", "src as 4294967295 and inet"],
        &[
            "--format",
            "csv",
            "--from",
            "2026-03-01T12:00:01Z",
            "--to",
            "2026-03-01T12:00:02Z",
            "router ip 198.51.100.1",
        ],
        &["--format", "json", "mpls label1 16 and observation domain id 0 and duration 250"],
    ] {
        let from_capture = query(&[&["--read", &capture, "--quiet"], question].concat());
        let from_store = query(&[&["--store", &store, "--quiet"], question].concat());
        assert!(from_store.status.success(), "{}", String::from_utf8_lossy(&from_store.stderr));
        let text = String::from_utf8(from_store.stdout).unwrap();
        assert!(text.lines().count() > 2, "{question:?}: {text}");
        assert_eq!(text, String::from_utf8(from_capture.stdout).unwrap(), "{question:?}");
    }
}

#[test]
fn a_damaged_file_is_named_and_the_others_answer() {
    let folder = tempfile::tempdir().unwrap();
    let (_, store) = both(folder.path());
    let files = files(Path::new(&store));
    assert!(files.len() > 1);
    let whole = fs::read(&files[0]).unwrap();
    let others: usize = files[1..].iter().map(|path| rows(path).len()).sum();
    // Cut off, without its end, nothing at all, and the first octet of each page's header region changed.
    for damaged in [&whole[..whole.len() / 2], &whole[..whole.len() - 4], &[], &b"PAR1PAR1"[..]] {
        fs::write(&files[0], damaged).unwrap();
        let output = query(&["--store", &store, "--format", "csv"]);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1));
        assert!(errors.contains(files[0].file_name().unwrap().to_str().unwrap()), "{errors}");
        assert!(errors.contains("the answer is incomplete: 1 of"), "{errors}");
        assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 1 + others);
    }
    // An octet changed anywhere gives an answer or an error, no crash.
    let mut state = 1u64;
    for _ in 0..200 {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        let mut changed = whole.clone();
        let place = usize::try_from(state >> 33).unwrap() % changed.len();
        changed[place] ^= 1 << (state >> 30 & 7);
        fs::write(&files[0], &changed).unwrap();
        let output = query(&["--store", &store, "-s", "srcip", "-n", "1"]);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(matches!(output.status.code(), Some(0 | 1)), "octet {place}: {errors}");
        assert!(!errors.contains("panicked"), "octet {place}: {errors}");
    }
    let missing = query(&["--store", "/nonexistent"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("cannot read the store /nonexistent"));
}

#[test]
fn several_writers_share_a_store_and_no_file_is_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let datagrams = datagrams(50);
    let first = Store::open(config(folder.path())).unwrap();
    let second = first.another().unwrap();
    let third = second.another().unwrap();
    let write = &|store: Store| {
        let mut collector = Collector::new(store);
        for round in 0..40 {
            // All of them in the same few intervals; each round is a file.
            let time = Timestamp::from_secs(BOOT.as_secs() + round % 4 * 300);
            for datagram in &datagrams {
                collector.handle_datagram("198.51.100.1:40000".parse().unwrap(), datagram, time).unwrap();
            }
            collector.tick(time.saturating_add(Duration::from_secs(3_600))).unwrap();
        }
        collector.finish().unwrap();
        collector.sink().stats()
    };
    let stats = thread::scope(|scope| {
        let writers = [first, second, third].map(|store| scope.spawn(move || write(store)));
        writers.into_iter().map(|writer| writer.join().unwrap()).reduce(StoreStats::and).unwrap()
    });
    assert_eq!((stats.durable_flows, stats.open_flows, stats.written_files), (6_000, 0, 120));
    let files = files(&folder.path().join("store"));
    assert_eq!(files.len(), 120);
    assert_eq!(files.iter().map(|file| rows(file).len()).sum::<usize>(), 6_000);
}
