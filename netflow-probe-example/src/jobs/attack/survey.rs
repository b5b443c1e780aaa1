//! The first pass: which targets get too much, and when. Small counters, bounded in number.

use core::hash::{BuildHasher as _, BuildHasherDefault, Hash};
use std::{
    collections::{BTreeMap, HashMap},
    hash::DefaultHasher,
};

use super::{
    Thresholds,
    shape::{Key, Shape, Vector},
};
use crate::{flow::Flow, jobs::span};

/// The time a flow may arrive behind its beginning: exporters keep flows for half an hour at most, as a rule.
const LATE: u64 = 2_100_000_000_000;
/// Times further than this from the arrival are no times.
const FAR: u64 = 86_400_000_000_000;
/// Targets that the second pass looks at, at most.
const CANDIDATES: usize = 4_096;

/// What a key got in an interval.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    packets: f64,
    octets: f64,
    /// Packets as metered.
    samples: f64,
    /// A bit for each hash of the values that are counted: targets of a prefix or a scan, ports.
    distinct: u128,
}

impl Count {
    /// How many values there were, by the bits that are not set (linear counting).
    fn distinct(&self) -> f64 {
        let empty = f64::from(self.distinct.count_zeros()).max(0.5);
        128.0 * (128.0 / empty).ln()
    }
}

/// When a key got too much: from the start of an interval to the end of another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Suspicion {
    pub(super) from: u64,
    pub(super) to: u64,
    /// By how much the threshold was exceeded at most.
    pub(super) excess: f64,
}

/// Looks for intervals in which a target gets too much.
#[derive(Debug)]
pub struct Survey {
    thresholds: Thresholds,
    open: BTreeMap<u64, HashMap<Key, Count>>,
    counters: usize,
    latest: u64,
    suspicions: HashMap<Key, Vec<Suspicion>>,
    pub(super) flows_without_time: u64,
    pub(super) dropped_counters: u64,
    pub(super) dropped_suspicions: u64,
}

impl Survey {
    /// A survey by these thresholds.
    #[must_use]
    pub fn new(thresholds: Thresholds) -> Self {
        Self {
            thresholds,
            open: BTreeMap::new(),
            counters: 0,
            latest: 0,
            suspicions: HashMap::new(),
            flows_without_time: 0,
            dropped_counters: 0,
            dropped_suspicions: 0,
        }
    }

    /// Its thresholds.
    #[must_use]
    pub const fn thresholds(&self) -> &Thresholds {
        &self.thresholds
    }

    /// Looks at a flow.
    pub fn add(&mut self, flow: &Flow<'_>) {
        let shape = Shape::of(flow, self.thresholds.amplified_octets);
        if shape.vector.is_none() && !shape.is_probe {
            return;
        }
        let received = flow.envelope.received.as_nanos();
        let Some(span) = span(flow).filter(|(start, end)| is_near(*start, *end, received)) else {
            self.flows_without_time += 1;
            return;
        };
        if received > self.latest {
            self.latest = received;
            self.close(received.saturating_sub(LATE));
        }
        let record = &flow.record;
        let (source, target) = (record.source, record.destination);
        if let Some(vector) = shape.vector {
            self.count(Key::Flood(vector, target), &source, flow, span);
            if let Some(prefix) = self.thresholds.prefix_of(target) {
                self.count(Key::Carpet(vector, prefix), &target, flow, span);
            }
        }
        if shape.is_probe {
            let port = if record.protocol == 6 { record.destination_port } else { 0 };
            let key = Key::Horizontal { protocol: record.protocol, source, port };
            self.count(key, &target, flow, span);
            if record.protocol == 6 {
                self.count(Key::Vertical { source, target }, &port, flow, span);
            }
        }
    }

    /// Ends the survey: what the second pass has to look at.
    pub(super) fn finish(mut self) -> (Vec<(Key, Suspicion)>, Self) {
        self.close(u64::MAX);
        let mut all: Vec<(Key, Suspicion)> = core::mem::take(&mut self.suspicions)
            .into_iter()
            .flat_map(|(key, spans)| spans.into_iter().map(move |span| (key, span)))
            .collect();
        all.sort_by(|a, b| {
            b.1.excess.total_cmp(&a.1.excess).then_with(|| (a.0, a.1.from).cmp(&(b.0, b.1.from)))
        });
        self.dropped_suspicions += all.len().saturating_sub(CANDIDATES) as u64;
        all.truncate(CANDIDATES);
        (all, self)
    }

    /// Counts a flow for a key, in every interval that it lasted in.
    fn count(&mut self, key: Key, value: &impl Hash, flow: &Flow<'_>, (start, end): (u64, u64)) {
        let width = self.thresholds.width(key);
        let bit = 1 << (BuildHasherDefault::<DefaultHasher>::default().hash_one(value) & 127);
        let rate = flow.sampling_rate().unwrap_or(1).max(1) as f64;
        let samples = flow.record.packets as f64;
        let octets = flow.record.octets as f64;
        for (index, part) in parts(start, end, width) {
            // Intervals of both widths share the map, told apart by their end.
            let closes = (index + 1).saturating_mul(width);
            let counts = self.open.entry(closes).or_default();
            let before = counts.len();
            let count = counts.entry(key).or_default();
            count.packets += samples * rate * part;
            count.octets += octets * rate * part;
            count.samples += samples * part;
            count.distinct |= bit;
            self.counters += counts.len() - before;
        }
        if self.counters > self.thresholds.counters {
            self.make_room();
        }
    }

    /// Judges the intervals that ended before a time.
    fn close(&mut self, until: u64) {
        while let Some(entry) = self.open.first_entry() {
            if *entry.key() > until {
                return;
            }
            let (closes, counts) = entry.remove_entry();
            self.counters -= counts.len();
            for (key, count) in counts {
                let excess = self.excess(key, &count);
                if excess >= 1.0 {
                    self.suspect(key, closes, excess);
                }
            }
        }
    }

    /// By how much an interval exceeds the threshold of its key, as far as these counters can tell.
    fn excess(&self, key: Key, count: &Count) -> f64 {
        let thresholds = &self.thresholds;
        let seconds = thresholds.width(key) as f64 / 1e9;
        let too_few = count.samples < f64::from(thresholds.samples);
        match key {
            Key::Flood(vector, _) | Key::Carpet(vector, _) if !too_few => {
                let hosts = if matches!(key, Key::Carpet(..)) { count.distinct() } else { f64::INFINITY };
                if hosts < f64::from(thresholds.carpet_hosts) * 0.7 {
                    return 0.0;
                }
                let (packets, octets) = (count.packets / seconds, count.octets / seconds);
                thresholds.excess(vector, packets, octets * 8.0)
            }
            Key::Flood(..) | Key::Carpet(..) => 0.0,
            // 128 bits tell some five hundred values apart; the second pass counts.
            Key::Horizontal { .. } => count.distinct() / (f64::from(thresholds.scan_hosts).min(400.0) * 0.7),
            Key::Vertical { .. } => count.distinct() / (f64::from(thresholds.scan_ports).min(400.0) * 0.7),
        }
    }

    fn suspect(&mut self, key: Key, closes: u64, excess: f64) {
        let width = self.thresholds.width(key);
        let from = closes - width;
        // A pause of three intervals does not end an attack.
        let pause = 3 * width;
        if !self.suspicions.contains_key(&key) && self.suspicions.len() >= CANDIDATES * 4 {
            self.dropped_suspicions += 1;
            return;
        }
        let spans = self.suspicions.entry(key).or_default();
        let has_room = spans.len() < 1_000;
        match spans.last_mut() {
            Some(last) if from <= last.to.saturating_add(pause) => {
                last.to = last.to.max(closes);
                last.excess = last.excess.max(excess);
            }
            _ if has_room => spans.push(Suspicion { from, to: closes, excess }),
            _ => self.dropped_suspicions += 1,
        }
    }

    /// Drops the half of the counters that are the furthest below their threshold.
    fn make_room(&mut self) {
        let mut ranks: Vec<f64> = Vec::with_capacity(self.counters);
        for counts in self.open.values() {
            ranks.extend(counts.iter().map(|(key, count)| rank(*key, count)));
        }
        let middle = ranks.len() / 2;
        let (_, threshold, _) = ranks.select_nth_unstable_by(middle, f64::total_cmp);
        let threshold = *threshold;
        // Of those at the threshold, only as many as there is room for besides those above it.
        let above = ranks.iter().filter(|rank| **rank > threshold).count();
        let mut room = (self.thresholds.counters / 2).saturating_sub(above);
        let mut left = 0;
        for counts in self.open.values_mut() {
            let before = counts.len();
            counts.retain(|key, count| {
                let rank = rank(*key, count);
                let order = rank.total_cmp(&threshold);
                let fits = order.is_eq() && room > 0;
                room -= usize::from(fits);
                let stays = fits || order.is_gt();
                left += usize::from(stays);
                stays
            });
            self.dropped_counters += (before - counts.len()) as u64;
        }
        self.open.retain(|_, counts| !counts.is_empty());
        self.counters = left;
    }
}

/// How much a counter is worth keeping.
fn rank(key: Key, count: &Count) -> f64 {
    match key {
        Key::Flood(Vector::Udp, _) | Key::Carpet(Vector::Udp, _) => count.packets / 20.0,
        Key::Flood(..) | Key::Carpet(..) => count.packets,
        Key::Horizontal { .. } | Key::Vertical { .. } => f64::from(count.distinct.count_ones()) * 10.0,
    }
}

/// The intervals of a span, and which part of it each has. Of a span of more than 720 intervals, the last ones.
pub(super) fn parts(start: u64, end: u64, width: u64) -> impl Iterator<Item = (u64, f64)> {
    let (first, last) = (start / width, end / width);
    let length = (end - start) as f64;
    (first.max(last.saturating_sub(719))..=last).map(move |index| {
        if first == last || length == 0.0 {
            return (index, 1.0);
        }
        let from = start.max(index * width);
        let to = end.min((index + 1).saturating_mul(width));
        (index, (to - from) as f64 / length)
    })
}

/// Whether the times of a flow can be true, given when it arrived.
pub(super) const fn is_near(start: u64, end: u64, received: u64) -> bool {
    start.saturating_add(FAR) >= received && end <= received.saturating_add(FAR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_flow_come_to_the_whole() {
        let all: Vec<(u64, f64)> = parts(5, 35, 10).collect();
        assert_eq!(all.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [0, 1, 2, 3]);
        let shares: Vec<f64> = all.iter().map(|(_, part)| (part * 6.0).round()).collect();
        assert_eq!(shares, [1.0, 2.0, 2.0, 1.0]);
        assert_eq!(parts(7, 7, 10).collect::<Vec<_>>(), [(0, 1.0)]);
        assert_eq!(parts(0, u64::MAX, 10).count(), 720);
    }

    #[test]
    fn distinct_values_are_counted_by_bits() {
        let mut count = Count::default();
        for value in 0..100_u32 {
            count.distinct |= 1 << (BuildHasherDefault::<DefaultHasher>::default().hash_one(value) & 127);
        }
        assert!((75.0..130.0).contains(&count.distinct()), "{}", count.distinct());
    }
}
