//! Clocks that are set back or ahead by hours, while threads meter and while files are read.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use core::{
    ops::ControlFlow,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};
use std::{fs, path::Path, sync::Arc, thread, time::Instant};

use common::{
    exporting,
    files::Order,
    frames::{ethernet, ipv4, udp},
    peers::run,
};
use netflow_codec::ExportVersion;
use netflow_flowcache::Timestamp;
use netflow_probe_example::{
    capture::{CaptureCounts, FrameSource, ObservationPoint},
    exporter::Exporter,
    meter::{Clock, Meter, MeterThreads},
    pcap::{Frame, LinkType},
};
use serde_json::Value;

const COLLECTOR: &str = env!("CARGO_BIN_EXE_netflow-collector");
const EXPORTER: &str = env!("CARGO_BIN_EXE_netflow-exporter");

/// When the clock is, in seconds, each time it was set.
const STEPS: [u64; 5] = [1_700_000_000, 1_700_010_800, 1_700_003_600, 1_700_090_000, 1_699_900_000];
const PACKETS: u64 = 50;

/// The frames of all steps: fifty a step, a millisecond apart, from a port of the step's own.
fn frames() -> Vec<(u64, Vec<u8>)> {
    let mut frames = Vec::new();
    for (step, second) in (0..).zip(STEPS) {
        for number in 0..PACKETS {
            let nanos = second * 1_000_000_000 + number * 1_000_000;
            frames.push((nanos, ethernet(0x0800, &ipv4(17, &udp(1_000 + step, 53, &[0; 10])))));
        }
    }
    frames
}

/// Frames that come by a clock of their own.
struct Script {
    frames: Vec<(u64, Vec<u8>)>,
    next: usize,
    clock: Arc<AtomicU64>,
    /// Whether frames may come.
    go: Arc<AtomicBool>,
    /// Whether all frames have come.
    done: Arc<AtomicBool>,
}

impl FrameSource for Script {
    fn read(&mut self, patience: Duration, mut visit: impl FnMut(&Frame<'_>, ObservationPoint)) -> usize {
        if !self.go.load(Ordering::Acquire) {
            thread::sleep(Duration::from_millis(1));
            return 0;
        }
        let Some((nanos, data)) = self.frames.get(self.next) else {
            self.done.store(true, Ordering::Release);
            thread::sleep(patience);
            return 0;
        };
        self.next += 1;
        self.clock.store(*nanos, Ordering::Release);
        let frame = Frame {
            timestamp: Timestamp::from_nanos(*nanos),
            link_type: LinkType::ETHERNET,
            data,
            original_length: u32::try_from(data.len()).unwrap(),
            interface: 1,
        };
        visit(&frame, ObservationPoint { ingress_interface: 7, ..ObservationPoint::default() });
        // Now and then nothing comes, and the clock is looked at.
        usize::from(!self.next.is_multiple_of(17))
    }

    fn delay(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn counts(&mut self) -> CaptureCounts {
        let mut counts = CaptureCounts::default();
        (counts.received, counts.read) = (self.next as u64, self.next as u64);
        counts
    }

    fn stop(&mut self) {}

    fn close(&mut self) -> CaptureCounts {
        self.counts()
    }
}

fn decode(written: &Path) -> Vec<Value> {
    let flows = written.with_extension("json");
    run(COLLECTOR, &["decode", written.to_str().unwrap(), "--output", flows.to_str().unwrap()]);
    fs::read_to_string(flows).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Each packet is in a flow with the times of its step, to the millisecond, and no flow is of two steps.
fn assert_times(flows: &[Value], context: &str) {
    let mut packets = [0; STEPS.len()];
    for flow in flows {
        let number =
            |name: &str| flow[name].as_u64().unwrap_or_else(|| panic!("{context}: {name} of {flow}"));
        let step = usize::try_from(number("src_port") - 1_000).unwrap();
        packets[step] += number("packets");
        let (start, end) = (number("time_flow_start_ns"), number("time_flow_end_ns"));
        let first = STEPS[step] * 1_000_000_000;
        let last = first + PACKETS * 1_000_000;
        assert!(start <= end && (first..=last).contains(&start) && end <= last, "{context}: {flow}");
    }
    assert_eq!(packets, [PACKETS; STEPS.len()], "{context}");
}

#[test]
fn clocks_set_by_hours_cost_no_packet_while_threads_meter() {
    // M30, M13
    for version in [ExportVersion::V9, ExportVersion::Ipfix, ExportVersion::V5] {
        let folder = tempfile::tempdir().unwrap();
        let written = folder.path().join("export.pcap");
        let config = exporting::to_file(&written, version);
        let meter = config.meter.clone();
        let time = Arc::new(AtomicU64::new(STEPS[0] * 1_000_000_000));
        let done = Arc::new(AtomicBool::new(false));
        let go = Arc::new(AtomicBool::new(false));
        let (at, may, ended) = (Arc::clone(&time), Arc::clone(&go), Arc::clone(&done));
        let source = Script { frames: frames(), next: 0, clock: at, go: may, done: ended };
        let clock: Clock = Arc::new(move || Timestamp::from_nanos(time.load(Ordering::Acquire)));
        let sampler = meter.sampling.sequence(meter.seed);
        let threads =
            MeterThreads::start(vec![(Meter::new(&meter).unwrap(), source)], sampler, &clock).unwrap();
        let mut exporter = Exporter::with_source(config, threads).unwrap();
        exporter.handle_time(clock()).unwrap();
        go.store(true, Ordering::Release);
        let start = Instant::now();
        let watch = || {
            assert!(start.elapsed() < Duration::from_secs(30), "the frames take too long");
            if done.load(Ordering::Acquire) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        exporter.run(&clock, |_| watch()).unwrap();
        exporter.finish().unwrap();
        let account = exporter.account();
        assert_eq!(account.meter.metered_packets, PACKETS * STEPS.len() as u64);
        assert_eq!(account.meter.capture.unwrap().received, PACKETS * STEPS.len() as u64);
        assert_times(&decode(&written), &format!("{version:?}"));
    }
}

#[test]
fn clocks_set_by_hours_cost_no_packet_of_files() {
    // M30
    let folder = tempfile::tempdir().unwrap();
    let (capture, written) = (folder.path().join("capture.pcap"), folder.path().join("export.pcap"));
    let order = Order::Little;
    let mut file = order.pcap_header(0xA1B2_3C4D, 1);
    for (nanos, data) in frames() {
        let (seconds, fraction) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
        let (seconds, fraction) = (u32::try_from(seconds).unwrap(), u32::try_from(fraction).unwrap());
        file.extend(order.pcap_record(seconds, fraction, u32::try_from(data.len()).unwrap(), &data));
    }
    fs::write(&capture, file).unwrap();
    for version in ["5", "9", "10"] {
        let arguments = ["--read", capture.to_str().unwrap(), "--write", written.to_str().unwrap()];
        run(EXPORTER, &[&arguments[..], &["--export-version", version, "--quiet"]].concat());
        assert_times(&decode(&written), version);
    }
}
