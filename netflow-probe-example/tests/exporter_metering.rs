//! Flows are metered otherwise while threads go on metering: no packet is lost, none is scaled by a rate that is not its own,
//! and collectors know of each change before they need to.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use core::{
    ops::ControlFlow,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    time::Duration,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read as _,
    net::TcpListener,
    sync::Arc,
    thread,
    time::Instant,
};

use common::{exporting, frames};
use netflow_codec::{Batch, Decoder, ExportVersion, FlowRecord};
use netflow_flowcache::Timestamp;
use netflow_probe_example::{
    capture::{CaptureCounts, FrameSource, ObservationPoint},
    exporter::{Exporter, ExporterAccount, ExporterConfig},
    meter::{Clock, Meter, MeterConfig, MeterThreads},
    pcap::{Frame, LinkType},
    send::Target,
};

const START: u64 = 1_700_000_000_000;
/// Packets of each thread between two changes, a millisecond apart.
const PACKETS: u32 = 1_500;
const THREADS: u32 = 2;

/// Packets that come as far as they may.
struct Script {
    thread: u32,
    next: u32,
    limit: Arc<AtomicU32>,
    read: Arc<[AtomicU32]>,
    clock: Arc<AtomicU64>,
}

impl FrameSource for Script {
    fn read(&mut self, _: Duration, mut visit: impl FnMut(&Frame<'_>, ObservationPoint)) -> usize {
        if self.next >= self.limit.load(Ordering::Acquire) {
            self.read[self.thread as usize].store(self.next, Ordering::Release);
            thread::sleep(Duration::from_millis(1));
            return 0;
        }
        // Five flows a thread, which go on all the time.
        let port = u16::try_from(1_000 * (self.thread + 1) + self.next % 5).unwrap();
        let data = frames::ipv4(17, &frames::udp(port, 53, &[0; 40]));
        let millis = START + u64::from(self.next);
        self.next += 1;
        self.clock.fetch_max(millis, Ordering::AcqRel);
        let frame = Frame {
            timestamp: Timestamp::from_millis(millis),
            link_type: LinkType::RAW,
            original_length: u32::try_from(data.len()).unwrap(),
            data: &data,
            interface: 1,
        };
        visit(&frame, ObservationPoint::default());
        1
    }

    fn delay(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn counts(&mut self) -> CaptureCounts {
        let mut counts = CaptureCounts::default();
        (counts.received, counts.read) = (self.next.into(), self.next.into());
        counts
    }

    fn stop(&mut self) {}

    fn close(&mut self) -> CaptureCounts {
        self.counts()
    }
}

/// Meters as each of the configurations says, one after the other.
fn run(config: ExporterConfig, changes: &[MeterConfig]) -> ExporterAccount {
    let limit = Arc::new(AtomicU32::new(PACKETS));
    let read: Arc<[AtomicU32]> = (0..THREADS).map(|_| AtomicU32::new(0)).collect();
    let time = Arc::new(AtomicU64::new(START));
    let of_thread = |thread: u32| {
        let (limit, read, clock) = (Arc::clone(&limit), Arc::clone(&read), Arc::clone(&time));
        let meter = Meter::of_thread(&config.meter, thread as usize).unwrap();
        (meter, Script { thread, next: 0, limit, read, clock })
    };
    let workers = (0..THREADS).map(of_thread).collect();
    let clock: Clock = Arc::new(move || Timestamp::from_millis(time.load(Ordering::Acquire)));
    let sampler = config.meter.sampling.sequence(config.meter.seed);
    let threads = MeterThreads::start(workers, sampler, &clock).unwrap();
    let mut exporter = Exporter::with_source(config, threads).unwrap();
    let mut changes = changes.iter();
    let begun = Instant::now();
    let watch = |exporter: &mut Exporter<MeterThreads>| {
        assert!(begun.elapsed() < Duration::from_secs(30), "the packets take too long");
        let end = limit.load(Ordering::Acquire);
        if read.iter().any(|read| read.load(Ordering::Acquire) < end) {
            return ControlFlow::Continue(());
        }
        let Some(change) = changes.next() else { return ControlFlow::Break(()) };
        exporter.change_metering(change).unwrap();
        limit.store(end + PACKETS, Ordering::Release);
        ControlFlow::Continue(())
    };
    exporter.run(&clock, watch).unwrap();
    exporter.finish().unwrap();
    exporter.account()
}

fn sampled(sampling: &str) -> MeterConfig {
    MeterConfig { sampling: sampling.parse().unwrap(), ..exporting::meter() }
}

/// What an exporter writes that samples like this, one after the other.
fn written(version: ExportVersion, samplings: &[&str]) -> (Vec<Vec<u8>>, ExporterAccount) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("export.pcap");
    let mut config = exporting::to_file(&file, version);
    config.meter = sampled(samplings[0]);
    let changes: Vec<_> = samplings[1..].iter().map(|sampling| sampled(sampling)).collect();
    let account = run(config, &changes);
    (exporting::written(&file), account)
}

/// The flows in datagrams, with the rate that a collector knows for each.
fn flows(datagrams: &[Vec<u8>]) -> Vec<(u32, FlowRecord)> {
    let mut decoder = Decoder::new();
    let mut all = Vec::new();
    for datagram in datagrams {
        let mut batches = decoder.decode(&0, datagram, netflow_codec::Timestamp::ZERO).unwrap();
        let mut flows = Vec::new();
        for batch in batches.by_ref() {
            match batch {
                Batch::Data(records) => flows.extend(records.flows()),
                Batch::Fixed(records) => flows.extend(records.flows()),
                Batch::TemplateMissing { .. } => panic!("data came before its template"),
                _ => {}
            }
        }
        // v5 says nothing of a rate where there is none.
        let mut interval = |flow: &FlowRecord| batches.sampling(flow).map_or(1, |sampling| sampling.interval);
        all.extend(flows.into_iter().map(|flow| (interval(&flow), flow)));
    }
    all
}

#[test]
fn flows_before_and_after_a_change_of_the_sampler_have_the_rate_that_they_were_sampled_with() {
    // X23, S26
    for version in [ExportVersion::V5, ExportVersion::V9, ExportVersion::Ipfix] {
        let rates = [1, 7, 3];
        let (datagrams, account) = written(version, &["1:1", "1:7", "random:1:3"]);
        let flows = flows(&datagrams);
        let phase = |millis: u64| usize::try_from((millis - START) / u64::from(PACKETS)).unwrap();
        let mut packets = [0; 3];
        for (interval, flow) in &flows {
            // No record is of two of the times, but for the packet at hand when the thread hears of the change.
            let of = phase(flow.start.as_millis());
            assert_eq!(*interval, rates[of], "{version:?}: {flow:?}");
            assert!(phase((flow.end.as_millis() - 2).max(START)) <= of, "{version:?}: {flow:?}");
            packets[of] += flow.packets;
        }
        let all = u64::from(THREADS * PACKETS);
        assert!(packets[0].abs_diff(all) <= 4, "{version:?}: {packets:?}");
        assert!(packets[1].abs_diff(all / 7) <= 4 && packets[2].abs_diff(all / 3) <= 4, "{packets:?}");
        let meter = &account.meter;
        assert_eq!(packets.iter().sum::<u64>(), meter.metered_packets, "{version:?}");
        assert_eq!(meter.frames.frames(), 3 * all, "{version:?}");
        assert_eq!(meter.metered_packets + meter.sampled_out, 3 * all, "{version:?}");
        assert_eq!(meter.flows(), flows.len() as u64, "{version:?}");
    }
}

#[test]
fn timeouts_change_and_packets_go_on_being_sampled_as_before() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("export.pcap");
    let mut config = exporting::to_file(&file, ExportVersion::Ipfix);
    config.meter = sampled("hash:1:2");
    let mut shorter = config.meter.clone();
    shorter.timeouts.active = Some(Duration::from_millis(100));
    // The seed stays what it is: with it, secrets of the hash.
    shorter.seed = 99;
    let account = run(config, &[shorter]);
    let datagrams = exporting::written(&file);
    let ends: Vec<_> = flows_unscaled(&datagrams).iter().map(|flow| flow.flow_end_reason).collect();
    // How many depends on how far a thread is behind the other one, whose time it is told.
    assert!(ends.contains(&2), "{ends:?}");
    let selectors = &account.meter.selectors;
    assert_eq!(selectors.len(), 1);
    assert_eq!(selectors[0].statistics.observed, u64::from(2 * THREADS * PACKETS));
    assert_eq!(selectors[0].statistics.selected, account.meter.metered_packets);
    let (mut definitions, mut known) = (BTreeMap::new(), BTreeSet::new());
    read_all(&datagrams, &mut definitions, &mut known);
}

fn flows_unscaled(datagrams: &[Vec<u8>]) -> Vec<FlowRecord> {
    let mut decoder = Decoder::new();
    let mut all = Vec::new();
    for datagram in datagrams {
        for batch in decoder.decode(&0, datagram, netflow_codec::Timestamp::ZERO).unwrap() {
            if let Batch::Data(records) = batch {
                all.extend(records.flows());
            }
        }
    }
    all
}

fn number(octets: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([octets[at], octets[at + 1]])
}

/// Reads the sets of a message: each template means what it meant before, and data have one.
fn read(
    message: &[u8],
    definitions: &mut BTreeMap<u16, Vec<u8>>,
    known: &mut BTreeSet<u16>,
    in_stream: bool,
) {
    let is_ipfix = number(message, 0) == 10;
    let mut rest = &message[if is_ipfix { 16 } else { 20 }..];
    while rest.len() >= 4 {
        let (id, length) = (number(rest, 0), usize::from(number(rest, 2)));
        let (mut body, behind) = (&rest[4..length], &rest[length..]);
        rest = behind;
        if id > 255 {
            assert!(known.contains(&id), "data of template {id}");
            continue;
        }
        while body.len() >= 4 {
            let (template, count) = (number(body, 0), usize::from(number(body, 2)));
            if is_ipfix && count == 0 {
                // X11, X12
                assert!(in_stream && template == id, "withdrawn: {template}");
                known.retain(|template| (definitions[template][0] == 3) != (id == 3));
                break;
            }
            let length = match (is_ipfix, id) {
                (true, 2) | (false, 0) => 4 + 4 * count,
                (true, _) => 6 + 4 * count,
                (false, _) => 6 + count + usize::from(number(body, 4)),
            };
            let definition = [&[u8::from(is_ipfix && id == 3) * 3], &body[..length]].concat();
            if in_stream {
                assert!(known.insert(template), "template {template} without a withdrawal");
                definitions.insert(template, definition);
            } else {
                known.insert(template);
                let before = definitions.entry(template).or_insert_with(|| definition.clone());
                assert_eq!(*before, definition, "template {template}");
            }
            body = &body[length..];
            // v9 fills sets up to words.
            if body.iter().all(|octet| *octet == 0) {
                break;
            }
        }
    }
}

fn read_all(datagrams: &[Vec<u8>], definitions: &mut BTreeMap<u16, Vec<u8>>, known: &mut BTreeSet<u16>) {
    for datagram in datagrams {
        read(datagram, definitions, known, false);
    }
}

const KINDS: [&str; 7] = [
    "1:1",
    "hash:1:2",
    "match:destination-port=53",
    "1:10",
    "random:1:7",
    "match:destination-port=53+1:2",
    "hash:1:2",
];

#[test]
fn a_template_id_means_the_same_as_long_as_the_exporter_runs() {
    // X9, X11
    let v9: &[&str] = &["1:1", "1:10", "junos:10,run-length=2", "random:1:7"];
    for (version, samplings) in [(ExportVersion::Ipfix, &KINDS[..]), (ExportVersion::V9, v9)] {
        let (datagrams, _) = written(version, samplings);
        let (mut definitions, mut known) = (BTreeMap::new(), BTreeSet::new());
        read_all(&datagrams, &mut definitions, &mut known);
        assert_eq!(known.iter().any(|id| *id > 256 + 128), version == ExportVersion::Ipfix, "{known:?}");
    }
    // Another rate needs no other ids.
    let (datagrams, _) = written(ExportVersion::Ipfix, &["1:10", "1:20"]);
    let (mut definitions, mut known) = (BTreeMap::new(), BTreeSet::new());
    read_all(&datagrams, &mut definitions, &mut known);
    assert!(known.iter().all(|id| *id < 256 + 128), "{known:?}");
}

#[test]
fn a_stream_withdraws_templates_before_others_come() {
    // X12
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let receiver = thread::spawn(move || {
        let mut octets = Vec::new();
        listener.accept().unwrap().0.read_to_end(&mut octets).unwrap();
        octets
    });
    let target = Target::Collector(format!("tcp://{address}").parse().unwrap());
    let mut config = exporting::to(target, ExportVersion::Ipfix);
    config.meter = sampled(KINDS[0]);
    let changes: Vec<_> = KINDS[1..].iter().map(|sampling| sampled(sampling)).collect();
    let account = run(config, &changes);
    let octets = receiver.join().unwrap();
    let (mut definitions, mut known) = (BTreeMap::new(), BTreeSet::new());
    let mut rest = &octets[..];
    let mut messages = 0;
    while !rest.is_empty() {
        let (message, behind) = rest.split_at(usize::from(number(rest, 2)));
        read(message, &mut definitions, &mut known, true);
        rest = behind;
        messages += 1;
    }
    assert!(messages > 2 * KINDS.len(), "{messages}");
    let all: u64 = u64::from(THREADS * PACKETS) * KINDS.len() as u64;
    assert_eq!(account.meter.metered_packets + account.meter.sampled_out, all);
    assert_eq!(account.destinations[0].send.lost, 0);
}
