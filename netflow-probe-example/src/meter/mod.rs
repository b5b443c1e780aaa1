//! Metering: frames become flows.
//!
//! ```text
//! frame -> dissect -> tunnels, fragments -> sampler -> flow table -> expired flows
//! ```
//!
//! The clock is the frames' own: a file gives the same flows however fast it is read.

mod batch;
mod change;
mod collect;
mod flow;
mod fragments;
mod intake;
mod key;
mod outbox;
mod sampling;
mod source;
mod table;
mod threads;

use core::{fmt, time::Duration};

use netflow_codec::{ExportVersion, SamplingInfo};
use netflow_flowcache::{
    CacheKind, Config, ConfigError, Emergency, ExpireReason, HashSeed, Timeouts, Timestamp, WhenFull,
    sample::{SelectionSequence, Selector, SelectorStatistics},
};

pub use collect::{COLLECT_HELP, Collect, CollectSpec};
pub use flow::MeteredFlow;
pub use fragments::Fragments;
pub use key::{KEY_HELP, KeySpec};
pub use sampling::{SAMPLING_HELP, SamplingSpec, SamplingSpecError};
pub use source::FlowSource;
pub use table::Key;
pub use threads::{Clock, MeterThreads, system_clock};

use self::{intake::Intake, table::Table};
use crate::{
    capture::{CaptureCounts, ObservationPoint},
    dissect::{DissectCounts, NOTHING, Tunnel},
    pcap::Frame,
};

/// How far behind the newest frame a frame may be and still count as merely late.
pub const REORDER: Duration = Duration::from_secs(10);

/// How frames are metered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MeterConfig {
    /// When flows end.
    pub timeouts: Timeouts,
    /// The most flows metered at once, of IPv4 and of IPv6.
    pub max_flows: usize,
    /// Which packets are metered.
    pub sampling: SamplingSpec,
    /// What the flow table's placement and random sampling depend on.
    pub seed: u64,
    /// What else is to be chosen.
    pub rules: MeterRules,
}

/// What makes a flow, and what becomes of it, where the usual is not wanted.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct MeterRules {
    /// What packets of a flow have in common.
    pub key: Key,
    /// v9, IPFIX: what records say of flows besides the key; `None` for the usual.
    pub collect: Option<Collect>,
    /// What becomes of flows that go on.
    pub kind: CacheKind,
    /// What becomes of new flows when the table is full.
    pub when_full: WhenFull,
    /// Ageing under pressure.
    pub emergency: Option<Emergency>,
    /// The most octets, and packets, that a record counts.
    pub counter_limit: Option<u64>,
    /// Which packets of tunnels are metered.
    pub tunnel: Tunnel,
    /// What the flow of later fragments is.
    pub fragments: Fragments,
}

/// Turns frames into flows.
#[derive(Debug)]
pub struct Meter {
    table: Table,
    intake: Intake,
    gathered: batch::Gathered,
    /// What was counted of flows that were metered otherwise.
    past: MeterAccount,
}

impl Meter {
    /// Whether nothing behind the headers of frames is looked at.
    fn headers_suffice(&self) -> bool {
        self.intake.headers_suffice()
    }

    /// A meter that has seen nothing.
    ///
    /// # Errors
    ///
    /// When there can be no table for so many flows.
    pub fn new(config: &MeterConfig) -> Result<Self, ConfigError> {
        Self::of_thread(config, 0)
    }

    /// The meter of one thread out of several: each has its own table, with a seed of its own, and its own chance; what a
    /// hash selects is the same in all of them.
    ///
    /// # Errors
    ///
    /// As [`Self::new`].
    pub fn of_thread(config: &MeterConfig, thread: usize) -> Result<Self, ConfigError> {
        let sampler = config.sampling.sequence_of_thread(config.seed, seed_of_thread(config.seed, thread));
        Ok(Self {
            table: table_of_thread(config, thread)?,
            intake: Intake::new(&config.rules, sampler),
            gathered: batch::Gathered::default(),
            past: MeterAccount::default(),
        })
    }

    /// Meters a frame. Poll the flows that ended by it before the next one.
    #[inline]
    pub fn handle_frame(&mut self, frame: &Frame<'_>) {
        self.handle_frame_at(frame, ObservationPoint::default());
    }

    /// As [`Self::handle_frame`], of a frame seen at `point`. What the frame itself says of it goes before.
    #[inline]
    pub fn handle_frame_at(&mut self, frame: &Frame<'_>, point: ObservationPoint) {
        let mut packet = NOTHING;
        let taken = self.intake.take(frame, point, &mut packet);
        if taken.packet {
            self.table.handle_packet(&packet, frame.timestamp);
        }
        if let Some(carried) = taken.carried {
            self.table.handle_packet(&carried, frame.timestamp);
        }
        if !taken.packet {
            // Time passes by all frames.
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
    pub fn poll_flow(&mut self) -> Option<MeteredFlow> {
        self.table.poll()
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
        sampling::announce(&self.intake.sampler)
    }

    /// How packets are selected, as one rate that all flows of `version` are announced with.
    #[must_use]
    pub fn sampling_in(&self, version: ExportVersion) -> Option<SamplingInfo> {
        sampling::announce_in(&self.intake.sampler, version)
    }

    /// The samplers, with what each of them observed and selected.
    #[must_use]
    pub const fn selection(&self) -> &SelectionSequence {
        &self.intake.sampler
    }

    /// What was counted so far.
    #[must_use]
    pub fn account(&self) -> MeterAccount {
        let stats = self.table.stats();
        let expired = REASONS.map(|(reason, _)| stats.expired(reason));
        let mut account = MeterAccount {
            frames: self.intake.frames,
            carried: self.intake.carried,
            sampled_out: self.intake.sampled_out,
            selectors: self.intake.sampler.selectors().iter().map(SelectorAccount::of).collect(),
            metered_packets: stats.packets - stats.ignored_packets,
            metered_octets: stats.octets - stats.ignored_octets,
            ignored_packets: stats.ignored_packets,
            ignored_octets: stats.ignored_octets,
            expired,
            capture: None,
        };
        account.add(&self.past);
        account
    }
}

/// Tables with the same seed would be flooded by the same flows.
const fn seed_of_thread(seed: u64, thread: usize) -> u64 {
    seed.wrapping_add((thread as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

fn table_of_thread(config: &MeterConfig, thread: usize) -> Result<Table, ConfigError> {
    let seed = HashSeed::from_u64(seed_of_thread(config.seed, thread));
    let mut table = Config::new(config.max_flows, seed);
    // How the flows divide between the families is not known beforehand. What is not used stays untouched.
    table.ipv6_capacity = config.max_flows;
    table.timeouts = config.timeouts;
    table.reorder = REORDER;
    let rules = &config.rules;
    table.kind = rules.kind;
    table.when_full = rules.when_full;
    table.emergency = rules.emergency;
    table.counter_limit = rules.counter_limit;
    Table::new(&table, &rules.key)
}

const REASONS: [(ExpireReason, &str); 5] = [
    (ExpireReason::IDLE_TIMEOUT, "idle timeout"),
    (ExpireReason::ACTIVE_TIMEOUT, "active timeout"),
    (ExpireReason::END_OF_FLOW, "end of flow"),
    (ExpireReason::FORCED_END, "forced end"),
    (ExpireReason::LACK_OF_RESOURCES, "lack of resources"),
];

/// What became of frames and flows. Its `Display` is the upper part of the exporter's closing account.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct MeterAccount {
    /// Frames by what they were.
    pub frames: DissectCounts,
    /// Packets that were metered besides those that carried them in tunnels.
    pub carried: u64,
    /// IP packets that the sampler left out.
    pub sampled_out: u64,
    /// What each selector did, in order.
    pub selectors: Vec<SelectorAccount>,
    /// Packets metered.
    pub metered_packets: u64,
    /// Layer 3 octets of those.
    pub metered_octets: u64,
    /// Packets that found no room in the flow table.
    pub ignored_packets: u64,
    /// Layer 3 octets of those.
    pub ignored_octets: u64,
    /// Flow records ended: idle, active, end of flow, forced, lack of resources.
    pub expired: [u64; 5],
    /// What was captured from interfaces, and what was not; `None` where frames are from files.
    pub capture: Option<CaptureCounts>,
}

/// What one selector did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct SelectorAccount {
    /// Its identifier.
    pub id: u64,
    /// Packets it observed and selected.
    pub statistics: SelectorStatistics,
    /// Packets it did not select because they do not tell what it looks at.
    pub unavailable: u64,
    /// Packets it sampled and dropped because there were too many in a second.
    pub dropped: u64,
}

impl SelectorAccount {
    fn of(selector: &Selector) -> Self {
        let sampler = selector.sampler();
        Self {
            id: selector.id(),
            statistics: selector.statistics(),
            unavailable: sampler.unavailable(),
            dropped: sampler.dropped(),
        }
    }
}

impl MeterAccount {
    /// Adds what another meter, with the same selectors, counted.
    pub fn add(&mut self, other: &Self) {
        self.frames.add(&other.frames);
        self.carried += other.carried;
        self.sampled_out += other.sampled_out;
        self.selectors.resize(self.selectors.len().max(other.selectors.len()), SelectorAccount::default());
        for (sum, more) in self.selectors.iter_mut().zip(&other.selectors) {
            sum.id = more.id;
            sum.statistics.observed += more.statistics.observed;
            sum.statistics.selected += more.statistics.selected;
            sum.unavailable += more.unavailable;
            sum.dropped += more.dropped;
        }
        self.metered_packets += other.metered_packets;
        self.metered_octets += other.metered_octets;
        self.ignored_packets += other.ignored_packets;
        self.ignored_octets += other.ignored_octets;
        self.expired.iter_mut().zip(other.expired).for_each(|(sum, more)| *sum += more);
        if let Some(capture) = other.capture {
            *self.capture.get_or_insert_default() += capture;
        }
    }

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
        if let Some(capture) = &self.capture {
            line("packets captured", capture.received, "")?;
            line("  dropped by the kernel", capture.dropped, "")?;
            line("  left when it ended", capture.unread, "")?;
            line("  dropped by interface", capture.interface_dropped, "  (before they were captured)")?;
        }
        line("packets read", self.frames.frames(), "")?;
        line("  not IP", self.frames.not_ip, "")?;
        line("  link type not supported", self.frames.unsupported_link_type, "")?;
        line("  malformed", self.frames.malformed_total(), &malformed)?;
        if self.carried > 0 {
            line("carried by tunnels", self.carried, "")?;
        }
        line("  sampled out", self.sampled_out, "")?;
        for selector in &self.selectors {
            if self.selectors.len() > 1 {
                let SelectorStatistics { observed, selected, .. } = selector.statistics;
                line(
                    &format!("    by selector {}", selector.id),
                    observed - selected,
                    &format!("  (of {observed})"),
                )?;
            }
            if selector.unavailable > 0 {
                line("    property or hash unknown", selector.unavailable, "")?;
            }
            if selector.dropped > 0 {
                line("    above packets a second", selector.dropped, "")?;
            }
        }
        line("  no room in flow table", self.ignored_packets, "")?;
        line("  metered", self.metered_packets, &format!("  ({} octets)", self.metered_octets))?;
        line("flow records", self.flows(), "")?;
        for ((_, name), count) in REASONS.iter().zip(self.expired) {
            line(&format!("  {name}"), count, "")?;
        }
        Ok(())
    }
}
