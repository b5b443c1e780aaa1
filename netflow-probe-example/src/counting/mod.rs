//! Honest counting: stages between decoding and output that leave out what would count twice, or spread what came at
//! once. Each is off unless asked for, each counts what it changed, and each has one rule.
//!
//! | stage | rule |
//! |---|---|
//! | [`Deduplication`] | of a flow that an exporter reports where it enters and where it leaves, the direction that came first counts |
//! | [`Totals`], firewalls | of updates and the total at the end of a connection, either counts, not both |
//! | [`Totals`], running totals | a total that is reported again counts by what it grew |
//! | [`Bins`] | octets and packets of a long flow belong to the times it spans, in equal measure |

mod bins;
mod deduplicate;
mod remembered;
mod totals;

use core::{fmt, time::Duration};
use std::io;

use netflow_codec::FlowFields;

pub use self::{
    bins::Bins,
    deduplicate::Deduplication,
    totals::{FirewallOctets, Totals},
};
use crate::{
    flow::{Flow, FlowSet},
    output::{FlowSink, hand_on},
};

/// Which stages there are.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct CountingConfig {
    /// Leave out what is reported in the other direction, too, within this time.
    pub deduplicate: Option<Duration>,
    /// Which records of firewalls count octets.
    pub firewall_octets: Option<FirewallOctets>,
    /// Whether totals that are reported again count by what they grew.
    pub running_totals: bool,
    /// Spread flows over bins of this length.
    pub bins: Option<Duration>,
}

/// What the stages have changed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct CountingStats {
    /// Flows left out because they were reported in the other direction, too.
    pub duplicate_flows: u64,
    /// Their octets.
    pub duplicate_octets: u64,
    /// Records of firewalls that were left out, or whose counters were reduced.
    pub firewall_records: u64,
    /// Octets of theirs that would have counted twice.
    pub firewall_octets: u64,
    /// Records of firewalls without an identifier of their connection, which count as they are.
    pub firewall_unidentified: u64,
    /// Running totals that were reported before.
    pub running_totals: u64,
    /// Octets of theirs that had been counted.
    pub running_octets: u64,
    /// Flows spread over several bins.
    pub spread_flows: u64,
    /// The parts that became of them.
    pub spread_parts: u64,
    /// Flows that are too long for their bins, and stay whole.
    pub unspread_flows: u64,
    /// Flows forgotten before their time because there were too many.
    pub forgotten: u64,
}

impl CountingStats {
    /// What two of them have changed together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            duplicate_flows: self.duplicate_flows + other.duplicate_flows,
            duplicate_octets: self.duplicate_octets.saturating_add(other.duplicate_octets),
            firewall_records: self.firewall_records + other.firewall_records,
            firewall_octets: self.firewall_octets.saturating_add(other.firewall_octets),
            firewall_unidentified: self.firewall_unidentified + other.firewall_unidentified,
            running_totals: self.running_totals + other.running_totals,
            running_octets: self.running_octets.saturating_add(other.running_octets),
            spread_flows: self.spread_flows + other.spread_flows,
            spread_parts: self.spread_parts + other.spread_parts,
            unspread_flows: self.unspread_flows + other.unspread_flows,
            forgotten: self.forgotten + other.forgotten,
        }
    }

    /// Its counters by their names.
    #[must_use]
    pub const fn named(&self) -> [(&'static str, u64); 11] {
        [
            ("duplicate_flows", self.duplicate_flows),
            ("duplicate_octets", self.duplicate_octets),
            ("firewall_records", self.firewall_records),
            ("firewall_octets", self.firewall_octets),
            ("firewall_unidentified", self.firewall_unidentified),
            ("running_totals", self.running_totals),
            ("running_octets", self.running_octets),
            ("spread_flows", self.spread_flows),
            ("spread_parts", self.spread_parts),
            ("unspread_flows", self.unspread_flows),
            ("forgotten", self.forgotten),
        ]
    }

    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        self.named()
            .into_iter()
            .map(|(name, count)| (name.to_owned(), count.into()))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }
}

/// A line of the account.
impl fmt::Display for CountingStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("counting    ")?;
        let mut separator = " ";
        for (name, count) in self.named() {
            if count > 0 {
                write!(f, "{separator}{count} {}", name.replace('_', " "))?;
                separator = ", ";
            }
        }
        if separator == " " { f.write_str(" nothing was changed") } else { Ok(()) }
    }
}

/// The stages in front of a sink.
#[derive(Debug)]
pub struct Counting<S> {
    deduplication: Option<Deduplication>,
    totals: Option<Totals>,
    bins: Option<Bins>,
    stats: CountingStats,
    sink: S,
}

impl<S> Counting<S> {
    /// These stages, in this order: duplicates, totals, bins.
    pub fn new(config: CountingConfig, sink: S) -> Self {
        let has_totals = config.firewall_octets.is_some() || config.running_totals;
        Self {
            deduplication: config.deduplicate.map(Deduplication::new),
            totals: has_totals.then(|| Totals::new(config.firewall_octets, config.running_totals)),
            bins: config.bins.map(Bins::new),
            stats: CountingStats::default(),
            sink,
        }
    }

    /// The sink behind the stages.
    pub const fn sink(&self) -> &S {
        &self.sink
    }

    /// The sink behind the stages, when all is done.
    pub fn into_sink(self) -> S {
        self.sink
    }

    /// What was changed so far; `None` without a stage.
    pub fn stats(&self) -> Option<CountingStats> {
        let is_on = self.deduplication.is_some() || self.totals.is_some() || self.bins.is_some();
        is_on.then_some(self.stats)
    }
}

impl<S: FlowSink> FlowSink for Counting<S> {
    fn flow(&mut self, flow: &Flow<'_>) -> io::Result<()> {
        if let Some(deduplication) = &mut self.deduplication
            && deduplication.is_duplicate(flow, &mut self.stats)
        {
            return Ok(());
        }
        let mut flow = *flow;
        if let Some(totals) = &mut self.totals {
            match totals.count(&flow, &mut self.stats) {
                totals::Counted::Whole => {}
                totals::Counted::Nothing => return Ok(()),
                totals::Counted::Rest { octets, packets } => {
                    flow.record.octets = octets;
                    flow.record.packets = packets;
                }
            }
        }
        match &mut self.bins {
            None => self.sink.flow(&flow),
            Some(bins) => bins.spread(&flow, &mut self.stats, &mut self.sink),
        }
    }

    fn takes_sets(&self) -> bool {
        self.deduplication.is_none() && self.totals.is_none() && self.bins.is_none() && self.sink.takes_sets()
    }

    fn set(&mut self, set: &FlowSet<'_>) -> io::Result<()> {
        self.sink.set(set)
    }

    hand_on!(self, self.sink);
}

/// Octets of a flow, if it carries them.
fn octets(flow: &Flow<'_>) -> u64 {
    if flow.record.has(FlowFields::OCTETS) { flow.record.octets } else { 0 }
}
