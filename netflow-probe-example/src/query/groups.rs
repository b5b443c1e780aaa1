//! Flows grouped by some of their elements, in bounded memory.

use core::cmp::Reverse;
use std::collections::HashMap;

use foldhash::quality::RandomState;
use netflow_codec::{FlowFields, Timestamp};

use super::{
    key::Key,
    value::{Value, rate},
};
use crate::flow::Flow;

/// What the flows of a group come to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Totals {
    /// Flows.
    pub flows: u64,
    /// Packets.
    pub packets: u64,
    /// Octets.
    pub octets: u64,
    /// When the first of them began.
    pub first: Option<Timestamp>,
    /// When the last of them ended.
    pub last: Option<Timestamp>,
}

impl Totals {
    /// Adds a flow, its counters multiplied by its sampling rate if so asked and the rate is known.
    pub fn add(&mut self, flow: &Flow<'_>, scaled: bool) {
        let factor = if scaled { flow.sampling_rate().unwrap_or(1) } else { 1 };
        let record = &flow.record;
        self.flows += 1;
        self.packets = self.packets.saturating_add(record.packets.saturating_mul(factor));
        self.octets = self.octets.saturating_add(record.octets.saturating_mul(factor));
        if record.has(FlowFields::START) {
            self.first = Some(self.first.map_or(record.start, |first| first.min(record.start)));
        }
        if record.has(FlowFields::END) {
            self.last = Some(self.last.map_or(record.end, |last| last.max(record.end)));
        }
    }

    /// Adds what other flows come to.
    pub fn merge(&mut self, other: &Self) {
        self.flows = self.flows.saturating_add(other.flows);
        self.packets = self.packets.saturating_add(other.packets);
        self.octets = self.octets.saturating_add(other.octets);
        self.first = self.first.into_iter().chain(other.first).min();
        self.last = self.last.into_iter().chain(other.last).max();
    }

    /// From the first flow's beginning to the last one's end, in milliseconds.
    #[must_use]
    pub fn duration_millis(&self) -> u64 {
        match (self.first, self.last) {
            (Some(first), Some(last)) => {
                u64::try_from(last.saturating_since(first).as_millis()).unwrap_or(u64::MAX)
            }
            _ => 0,
        }
    }

    /// Packets per second; 0 without a duration.
    #[must_use]
    pub fn packets_per_second(&self) -> u64 {
        rate(self.packets, self.duration_millis())
    }

    /// Bits per second; 0 without a duration.
    #[must_use]
    pub fn bits_per_second(&self) -> u64 {
        rate(self.octets.saturating_mul(8), self.duration_millis())
    }

    /// Octets per packet.
    #[must_use]
    pub fn octets_per_packet(&self) -> u64 {
        self.octets.checked_div(self.packets).unwrap_or(0)
    }
}

/// What groups, or flows, are ordered by: the greatest first, by time the earliest first.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Order {
    /// By flows.
    #[default]
    Flows,
    /// By packets.
    Packets,
    /// By octets.
    Octets,
    /// By packets per second.
    PacketsPerSecond,
    /// By bits per second.
    BitsPerSecond,
    /// By octets per packet.
    OctetsPerPacket,
    /// By when they began.
    Start,
    /// By when they ended.
    End,
    /// By how long they lasted.
    Duration,
}

impl Order {
    /// Names that an order can have, for messages.
    pub const NAMES: &'static str = "flows, packets, bytes, pps, bps, bpp, tstart, tend, duration";

    /// The order of this name, as nfdump has it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text.to_ascii_lowercase().as_str() {
            "flows" => Self::Flows,
            "packets" => Self::Packets,
            "bytes" | "octets" => Self::Octets,
            "pps" => Self::PacketsPerSecond,
            "bps" => Self::BitsPerSecond,
            "bpp" => Self::OctetsPerPacket,
            "tstart" => Self::Start,
            "tend" => Self::End,
            "duration" => Self::Duration,
            _ => return None,
        })
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flows => "flows",
            Self::Packets => "packets",
            Self::Octets => "bytes",
            Self::PacketsPerSecond => "pps",
            Self::BitsPerSecond => "bps",
            Self::OctetsPerPacket => "bpp",
            Self::Start => "tstart",
            Self::End => "tend",
            Self::Duration => "duration",
        }
    }

    /// A rank that grows from the last to the first.
    #[must_use]
    pub fn rank(self, totals: &Totals) -> u64 {
        let earliest_first = |time: Option<Timestamp>| u64::MAX - time.unwrap_or_default().as_nanos();
        match self {
            Self::Flows => totals.flows,
            Self::Packets => totals.packets,
            Self::Octets => totals.octets,
            Self::PacketsPerSecond => totals.packets_per_second(),
            Self::BitsPerSecond => totals.bits_per_second(),
            Self::OctetsPerPacket => totals.octets_per_packet(),
            Self::Start => earliest_first(totals.first),
            Self::End => earliest_first(totals.last),
            Self::Duration => totals.duration_millis(),
        }
    }
}

/// The values of a group's keys, in the order of the keys.
pub type Values = Box<[Option<Value>]>;

/// Flows grouped by keys.
///
/// Exact as long as there are at most twice `capacity` groups. When there are more, the half that ranks last is
/// dropped, and [`Self::dropped`] says so.
#[derive(Clone, Debug)]
pub struct Groups {
    keys: Vec<Key>,
    totals: HashMap<Values, Totals, RandomState>,
    capacity: usize,
    keep_by: Order,
    dropped: Totals,
}

impl Groups {
    /// Groups by these keys; when there are too many, those that rank first in an order are kept.
    #[must_use]
    pub fn new(keys: Vec<Key>, capacity: usize, keep_by: Order) -> Self {
        Self {
            keys,
            totals: HashMap::default(),
            capacity: capacity.max(1),
            keep_by,
            dropped: Totals::default(),
        }
    }

    /// The keys.
    #[must_use]
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// Adds a flow: to its group, or to two when one of the keys has two sides that differ.
    ///
    /// A flow that carries none of the values belongs to no group.
    pub fn add(&mut self, flow: &Flow<'_>, scaled: bool) {
        let first: Values = self.keys.iter().map(|key| key.first(flow)).collect();
        let second = self.keys.iter().any(Key::has_two_sides).then(|| -> Values {
            self.keys
                .iter()
                .map(|key| if key.has_two_sides() { key.second(flow) } else { key.first(flow) })
                .collect()
        });
        let second = second.filter(|second| *second != first);
        for values in [Some(first), second].into_iter().flatten() {
            let mut totals = Totals::default();
            totals.add(flow, scaled);
            self.add_totals(&values, &totals);
        }
    }

    /// Adds what several flows of a group come to; a group without any value is none.
    pub(super) fn add_totals(&mut self, values: &[Option<Value>], totals: &Totals) {
        if values.iter().all(Option::is_none) {
            return;
        }
        if let Some(known) = self.totals.get_mut(values) {
            known.merge(totals);
            return;
        }
        if self.totals.len() >= 2 * self.capacity {
            self.drop_last();
        }
        self.totals.insert(values.into(), *totals);
    }

    /// Makes room for so many more groups. Returns whether there are none yet.
    pub(super) fn expect(&mut self, more: usize) -> bool {
        self.totals.reserve(more.min(2 * self.capacity));
        self.totals.is_empty()
    }

    /// Adds a group that is known not to be there.
    pub(super) fn add_new(&mut self, values: &[Option<Value>], totals: &Totals) {
        if values.iter().any(Option::is_some) && self.totals.len() < 2 * self.capacity {
            self.totals.insert(values.into(), *totals);
        } else {
            self.add_totals(values, totals);
        }
    }

    /// Adds the groups of others with the same keys.
    pub(super) fn merge(&mut self, mut other: Self) {
        if self.totals.len() < other.totals.len() {
            core::mem::swap(&mut self.totals, &mut other.totals);
        }
        for (values, totals) in &other.totals {
            self.add_totals(values, totals);
        }
        self.dropped.merge(&other.dropped);
    }

    /// The groups, ordered; of equal ones, the one with the smaller values first.
    #[must_use]
    pub fn ranking(&self, order: Order, count: usize) -> Vec<(&Values, &Totals)> {
        let mut ranking: Vec<_> = self
            .totals
            .iter()
            .map(|(values, totals)| ((Reverse(order.rank(totals)), values), totals))
            .collect();
        if count > 0 && count < ranking.len() {
            ranking.select_nth_unstable_by_key(count - 1, |(rank, _)| *rank);
        }
        ranking.truncate(count);
        ranking.sort_unstable_by_key(|(rank, _)| *rank);
        ranking.into_iter().map(|((_, values), totals)| (values, totals)).collect()
    }

    /// What belonged to groups that had to be dropped: at most so much is missing in those that are there.
    #[must_use]
    pub const fn dropped(&self) -> &Totals {
        &self.dropped
    }

    fn drop_last(&mut self) {
        let mut ranks: Vec<u64> = self.totals.values().map(|totals| self.keep_by.rank(totals)).collect();
        let middle = ranks.len() / 2;
        let (_, threshold, _) = ranks.select_nth_unstable(middle);
        let threshold = *threshold;
        let mut room = self.capacity;
        let (keep_by, dropped) = (self.keep_by, &mut self.dropped);
        self.totals.retain(|_, totals| {
            let keeps = keep_by.rank(totals) >= threshold && room > 0;
            room -= usize::from(keeps);
            if !keeps {
                dropped.flows += totals.flows;
                dropped.packets = dropped.packets.saturating_add(totals.packets);
                dropped.octets = dropped.octets.saturating_add(totals.octets);
            }
            keeps
        });
    }
}
