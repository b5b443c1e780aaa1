//! Metering: frames become flows.
//!
//! ```text
//! frame -> dissect -> sampler -> flow table -> expired flows
//! ```
//!
//! The clock is the frames' own: a file gives the same flows however fast it is read.

mod sampling;

use core::{fmt, time::Duration};

use netflow_codec::{FlowRecord, SamplingInfo};
use netflow_flowcache::{Config, ExpireReason, FlowTable, HashSeed, Timeouts, Timestamp, sample::Sampler};

pub use sampling::{PacketSampler, SamplingSpec, SamplingSpecError};

use crate::{
    dissect::{DissectCounts, Outcome, dissect},
    pcap::Frame,
};

/// How far behind the newest frame a frame may be and still count as merely late.
pub const REORDER: Duration = Duration::from_secs(10);

/// How frames are metered.
#[derive(Clone, Copy, Debug)]
pub struct MeterConfig {
    /// When flows end.
    pub timeouts: Timeouts,
    /// The most flows metered at once.
    pub max_flows: usize,
    /// Which packets are metered.
    pub sampling: SamplingSpec,
    /// What the flow table's placement and random sampling depend on.
    pub seed: u64,
}

/// Turns frames into flows.
#[derive(Debug)]
pub struct Meter {
    table: FlowTable,
    sampler: PacketSampler,
    frames: DissectCounts,
    sampled_out: u64,
}

impl Meter {
    /// A meter that has seen nothing.
    #[must_use]
    pub fn new(config: &MeterConfig) -> Self {
        let mut table = Config::new(config.max_flows, HashSeed::from_u64(config.seed));
        table.timeouts = config.timeouts;
        table.reorder = REORDER;
        Self {
            table: FlowTable::new(&table),
            sampler: config.sampling.sampler(config.seed),
            frames: DissectCounts::default(),
            sampled_out: 0,
        }
    }

    /// Meters a frame. Poll the flows that ended by it before the next one.
    #[inline]
    pub fn handle_frame(&mut self, frame: &Frame<'_>) {
        let outcome = dissect(frame.link_type, frame.data, frame.original_length);
        self.frames.count(&outcome);
        let Outcome::Packet(packet) = outcome else {
            // Time passes by all frames.
            self.table.handle_timeout(frame.timestamp);
            return;
        };
        if self.sampler.select(&packet, frame.timestamp) {
            self.table.handle_packet(&packet, frame.timestamp);
        } else {
            self.sampled_out += 1;
            self.table.handle_timeout(frame.timestamp);
        }
    }

    /// Tells the time, when no frame does. Poll the flows that ended by it.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.table.handle_timeout(now);
    }

    /// Ends all flows.
    pub fn flush(&mut self) {
        self.table.flush(ExpireReason::FORCED_END);
    }

    /// The next flow that has ended.
    #[inline]
    pub fn poll_flow(&mut self) -> Option<FlowRecord> {
        self.table.poll_expired().map(|expired| FlowRecord::from(&expired))
    }

    /// Whether there are flows to poll at `now`, the newest time told.
    #[must_use]
    pub fn has_ended(&self, now: Timestamp) -> bool {
        self.table.poll_timeout().is_some_and(|due| due <= now)
    }

    /// Whether all flows have been polled.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty() && self.table.poll_timeout().is_none()
    }

    /// How packets are selected, for the collectors.
    #[must_use]
    pub fn sampling(&self) -> Option<SamplingInfo> {
        sampling::announce(&self.sampler.describe())
    }

    /// What was counted so far.
    #[must_use]
    pub fn account(&self) -> MeterAccount {
        let stats = self.table.stats();
        let expired = REASONS.map(|(reason, _)| stats.expired(reason));
        MeterAccount {
            frames: self.frames,
            sampled_out: self.sampled_out,
            metered_packets: stats.packets - stats.ignored_packets,
            metered_octets: stats.octets - stats.ignored_octets,
            ignored_packets: stats.ignored_packets,
            expired,
        }
    }
}

const REASONS: [(ExpireReason, &str); 5] = [
    (ExpireReason::IDLE_TIMEOUT, "idle timeout"),
    (ExpireReason::ACTIVE_TIMEOUT, "active timeout"),
    (ExpireReason::END_OF_FLOW, "end of flow"),
    (ExpireReason::FORCED_END, "forced end"),
    (ExpireReason::LACK_OF_RESOURCES, "lack of resources"),
];

/// What became of frames and flows. Its `Display` is the upper part of the exporter's closing account.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct MeterAccount {
    /// Frames by what they were.
    pub frames: DissectCounts,
    /// IP packets that the sampler left out.
    pub sampled_out: u64,
    /// Packets metered.
    pub metered_packets: u64,
    /// Layer 3 octets of those.
    pub metered_octets: u64,
    /// Packets that found no room in the flow table.
    pub ignored_packets: u64,
    /// Flow records ended: idle, active, end of flow, forced, lack of resources.
    pub expired: [u64; 5],
}

impl MeterAccount {
    /// Flow records ended.
    #[must_use]
    pub fn flows(&self) -> u64 {
        self.expired.iter().sum()
    }
}

impl fmt::Display for MeterAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |label: &str, count: u64, note: &str| writeln!(f, "{label:<26}{count:>12}{note}");
        let reasons: Vec<String> = self
            .frames
            .malformed()
            .filter(|(_, count)| *count > 0)
            .map(|(reason, count)| format!("{} {count}", reason.name()))
            .collect();
        let malformed =
            if reasons.is_empty() { String::new() } else { format!("  ({})", reasons.join(", ")) };
        line("packets read", self.frames.frames(), "")?;
        line("  not IP", self.frames.not_ip, "")?;
        line("  link type not supported", self.frames.unsupported_link_type, "")?;
        line("  malformed", self.frames.malformed_total(), &malformed)?;
        line("  sampled out", self.sampled_out, "")?;
        line("  no room in flow table", self.ignored_packets, "")?;
        line("  metered", self.metered_packets, &format!("  ({} octets)", self.metered_octets))?;
        line("flow records", self.flows(), "")?;
        for ((_, name), count) in REASONS.iter().zip(self.expired) {
            line(&format!("  {name}"), count, "")?;
        }
        Ok(())
    }
}
