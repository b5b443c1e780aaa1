//! The configuration is read again while the exporter meters: what can be changed at once is, and nothing is lost by it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use core::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::UdpSocket,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use common::{
    files::Order,
    frames,
    maxmind::{autonomous_system, database},
    peers::wait_until,
    replace,
};
use netflow_codec::{Batch, Decoder, Timestamp};
use socket2::SockRef;

/// What came to a collector.
#[derive(Clone, Debug, Default)]
struct Received {
    packets: u64,
    names: Vec<String>,
    /// Data that came before its template.
    unknown: u64,
    sequences: Vec<u32>,
    /// Packets, by the rate that their flows are said to be sampled with.
    by_rate: BTreeMap<u32, u64>,
    /// The same by the source's AS number.
    by_system: BTreeMap<u32, u64>,
}

/// A collector of v9.
struct Collector {
    address: SocketAddr,
    received: Arc<Mutex<Received>>,
    is_over: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Collector {
    fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        // However busy the machine is, nothing is to be lost here.
        SockRef::from(&socket).set_recv_buffer_size(4 << 20).unwrap();
        let address = socket.local_addr().unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let (received, is_over) = (Arc::<Mutex<Received>>::default(), Arc::<AtomicBool>::default());
        let (sink, end) = (Arc::clone(&received), Arc::clone(&is_over));
        let thread = thread::spawn(move || {
            let mut decoder = Decoder::new();
            let mut buffer = [0; 2_048];
            loop {
                let Ok(octets) = socket.recv(&mut buffer) else {
                    if end.load(Ordering::Relaxed) {
                        return;
                    }
                    continue;
                };
                let mut received = sink.lock().unwrap();
                received.sequences.push(u32::from_be_bytes(buffer[12..16].try_into().unwrap()));
                let mut batches =
                    decoder.decode(&0, &buffer[..octets], Timestamp::from_secs(1_700_000_000)).unwrap();
                let mut flows = Vec::new();
                for batch in batches.by_ref() {
                    match batch {
                        Batch::Data(records) => flows.extend(records.flows()),
                        Batch::Options(records) => {
                            for record in &records {
                                let names = record.fields().filter(|field| field.element().number() == 82);
                                received.names.extend(names.map(|name| name.value().to_string()));
                            }
                        }
                        Batch::TemplateMissing { .. } => received.unknown += 1,
                        _ => {}
                    }
                }
                for flow in flows {
                    received.packets += flow.packets;
                    let rate = batches.sampling(&flow).map_or(1, |sampling| sampling.interval);
                    *received.by_rate.entry(rate).or_default() += flow.packets;
                    *received.by_system.entry(flow.source_as).or_default() += flow.packets;
                }
            }
        });
        Self { address, received, is_over, thread: Some(thread) }
    }

    fn received(&self) -> Received {
        self.received.lock().unwrap().clone()
    }

    /// All that came.
    fn finish(mut self) -> Received {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
        self.received()
    }
}

struct Exporter {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Arc<Mutex<Vec<String>>>,
    reading: Option<thread::JoinHandle<()>>,
    fed: u64,
}

impl Exporter {
    /// One that exports each packet as a flow of its own.
    fn start(config: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_netflow-exporter"))
            .args(["--read", "-", "--cache", "immediate", "--rate-limit", "1000"])
            .args([Path::new("--config"), config])
            .env_remove("JOURNAL_STREAM")
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let (stderr, sink) = (BufReader::new(child.stderr.take().unwrap()), Arc::clone(&lines));
        let reading =
            thread::spawn(move || stderr.lines().for_each(|line| sink.lock().unwrap().push(line.unwrap())));
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(&Order::Little.pcap_header(0xA1B2_C3D4, 101)).unwrap();
        Self { child, stdin: Some(stdin), lines, reading: Some(reading), fed: 0 }
    }

    /// Feeds packets, so many that the exporter looks around meanwhile.
    fn feed(&mut self) {
        let mut octets = Vec::new();
        for number in 0..8_192u32 {
            let packet = frames::ipv4(17, &frames::udp(1_000, 53, &[0; 40]));
            let millis = u32::try_from(self.fed).unwrap() + number;
            let length = u32::try_from(packet.len()).unwrap();
            octets.extend(Order::Little.pcap_record(
                1_700_000_000 + millis / 1_000,
                millis % 1_000 * 1_000,
                length,
                &packet,
            ));
        }
        self.stdin.as_mut().unwrap().write_all(&octets).unwrap();
        self.fed += 8_192;
    }

    fn reload(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    }

    /// Waits for a line with these words; the line.
    fn line(&self, words: &str) -> String {
        let mut found = None;
        wait_until(words, || {
            found = self.lines.lock().unwrap().iter().find(|line| line.contains(words)).cloned();
            found.is_some()
        });
        found.unwrap()
    }

    /// Ends it; all that it told.
    fn finish(mut self) -> String {
        drop(self.stdin.take());
        assert!(self.child.wait().unwrap().success());
        self.reading.take().unwrap().join().unwrap();
        self.lines.lock().unwrap().join("\n")
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("exporter.toml");
    (folder, path)
}

/// Configures one collector, and more.
fn export_to(collector: &Collector, path: &Path, more: &str) {
    replace(path, &format!("[export]\ncollector = \"{}\"\n{more}", collector.address));
}

/// An exporter of this configuration whose first flows have come.
fn exporting(collector: &Collector, path: &Path) -> Exporter {
    let mut exporter = Exporter::start(path);
    exporter.feed();
    wait_until("the first flows", || collector.received().packets > 0);
    exporter
}

#[test]
fn collectors_come_and_go_and_no_packet_is_lost() {
    let (_folder, path) = folder();
    let (first, second, third) = (Collector::start(), Collector::start(), Collector::start());
    let config = |collectors: &[&Collector], more: &str| {
        let collectors: Vec<String> =
            collectors.iter().map(|collector| format!("\"{}\"", collector.address)).collect();
        replace(&path, &format!("[export]\ncollector = [{}]\n{more}", collectors.join(", ")));
    };
    config(&[&first, &second], "");
    let mut exporter = Exporter::start(&path);
    exporter.feed();
    wait_until("the first flows", || first.received().packets > 0);
    // One stays, one goes, one comes; and templates come more often.
    config(&[&first, &third], "template-refresh-packets = 3\ninterface-name = [\"7=eth7\"]\n");
    exporter.reload();
    let line = exporter.line("reloaded: in force: ");
    for key in ["collector", "template-refresh-packets", "interface-name"] {
        assert!(line.contains(key), "{line}");
    }
    assert!(!line.contains("restart"), "{line}");
    exporter.feed();
    exporter.feed();
    // What is wrong changes nothing.
    config(&[&second], "mtu = 13\n");
    exporter.reload();
    let line = exporter.line("not reloaded");
    assert!(line.contains("exporter.toml:3: `mtu`: \"13\" is not accepted"), "{line}");
    exporter.feed();
    let fed = exporter.fed;
    let account = exporter.finish();
    let (first, second, third) = (first.finish(), second.finish(), third.finish());
    assert_eq!(first.packets, fed, "{account}");
    assert_eq!(second.packets + third.packets, fed, "{account}");
    assert!(second.packets > 0 && third.packets > 0, "{account}");
    // X1, X17
    for received in [&first, &second, &third] {
        assert_eq!(received.unknown, 0);
        let expected: Vec<u32> = (0..).take(received.sequences.len()).collect();
        assert_eq!(received.sequences, expected);
    }
    assert!(first.names.contains(&"eth7".to_owned()) && third.names.contains(&"eth7".to_owned()));
    assert!(second.names.is_empty());
    // Those that were left are in the account, too.
    assert_eq!(account.matches("\nto ").count(), 3, "{account}");
}

#[test]
fn ways_to_collectors_and_the_level_of_messages_change_at_once() {
    let (_folder, path) = folder();
    let collector = Collector::start();
    let config = |more: &str| export_to(&collector, &path, more);
    config("[service]\nlog-level = \"error\"\n");
    let mut exporter = exporting(&collector, &path);
    config("ttl = 9\nmtu = 600\nexport-version = 10\n[metering]\nkey = \"ipv4 protocol\"\n");
    exporter.reload();
    let line = exporter.line("reloaded: in force: ");
    let (now, later) = line.split_once("; in force after a restart: ").unwrap();
    for key in ["ttl", "mtu", "log-level"] {
        assert!(now.contains(key), "{line}");
    }
    assert_eq!(later, "key, export-version", "{line}");
    exporter.feed();
    exporter.feed();
    let fed = exporter.fed;
    let account = exporter.finish();
    let received = collector.finish();
    assert_eq!((received.packets, received.unknown), (fed, 0), "{account}");
    assert_eq!(account.matches("\nto ").count(), 1, "{account}");
}

#[test]
fn timeouts_and_the_sampler_change_at_once_and_each_flow_keeps_its_rate() {
    // X23, S26
    let (_folder, path) = folder();
    let collector = Collector::start();
    let config = |more: &str| export_to(&collector, &path, more);
    config("");
    let mut exporter = exporting(&collector, &path);
    config("[sampling]\nsampling = \"1:4\"\n[metering]\nactive-timeout = \"7s\"\nmax-flows = 5000\n");
    exporter.reload();
    let line = exporter.line("reloaded: in force: ");
    for key in ["active-timeout", "max-flows", "sampling"] {
        assert!(line.contains(key), "{line}");
    }
    assert!(!line.contains("restart"), "{line}");
    exporter.feed();
    exporter.feed();
    let fed = exporter.fed;
    let account = exporter.finish();
    let received = collector.finish();
    assert_eq!(received.unknown, 0, "{account}");
    let (whole, sampled) = (received.by_rate[&1], received.by_rate[&4]);
    assert_eq!(received.packets, whole + sampled, "{account}");
    assert_eq!(received.by_rate.len(), 2, "{account}");
    // The last one of four may be missing.
    assert!((fed - whole).div_ceil(4).abs_diff(sampled) <= 1, "{whole} {sampled} {account}");
}

#[test]
fn a_database_of_as_numbers_is_read_again() {
    let (folder, path) = folder();
    let table = folder.path().join("asn.mmdb");
    let write = |number: u32| {
        let whole = database("Test-ASN", &[("192.0.2.0/24", autonomous_system(number))]);
        fs::write(table.with_extension("new"), whole).unwrap();
        fs::rename(table.with_extension("new"), &table).unwrap();
    };
    let collector = Collector::start();
    write(64_500);
    let text = format!("[attributes]\nattributes = \"{}\"\n", table.display());
    replace(&path, &format!("{text}[export]\ncollector = \"{}\"\n", collector.address));
    let mut exporter = Exporter::start(&path);
    exporter.feed();
    wait_until("the first flows", || collector.received().packets > 0);
    write(64_501);
    exporter.reload();
    let line = exporter.line("reloaded: ");
    assert!(line.contains("the arguments are as they were"), "{line}");
    exporter.feed();
    // One that is damaged changes nothing.
    fs::write(&table, "no database").unwrap();
    exporter.reload();
    let line = exporter.line("not reloaded");
    assert!(line.contains("--attributes: ") && line.contains("asn.mmdb"), "{line}");
    exporter.feed();
    let fed = exporter.fed;
    let account = exporter.finish();
    let received = collector.finish();
    assert_eq!(received.packets, fed, "{account}");
    assert_eq!(received.by_system.keys().copied().collect::<Vec<_>>(), [64_500, 64_501], "{account}");
    assert_eq!(received.by_system[&64_500] + received.by_system[&64_501], fed, "{account}");
    // The one that was used, and not only because a flow has come since.
    assert!(account.contains("  reloads                            1"), "{account}");
}
