//! Octets by protocol over time, in a bounded number of bins.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{flow::Flow, jobs::span};

/// Octets of one protocol in each bin.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// The protocol, or `other`.
    pub name: String,
    /// Octets, a number a bin.
    pub octets: Vec<u64>,
}

/// Octets over time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Series {
    /// Seconds in a bin.
    pub bin_seconds: u64,
    /// When the first bin begins, in nanoseconds since 1970.
    pub start_ns: u64,
    /// The protocols with the most octets, then the others.
    pub lines: Vec<Line>,
    /// Flows without a time, or with one more than 400 days from the others.
    pub flows_without_time: u64,
}

impl Series {
    /// When most came, and how many bits a second.
    #[must_use]
    pub fn peak(&self) -> Option<(u64, u64)> {
        let bins = self.sums();
        let (place, octets) =
            (0_u64..).zip(&bins).max_by_key(|(place, octets)| (**octets, u64::MAX - place))?;
        let start = self.start_ns.saturating_add(place.saturating_mul(self.bin_seconds) * 1_000_000_000);
        Some((start, octets.saturating_mul(8) / self.bin_seconds.max(1)))
    }

    /// Octets of each bin, all protocols together.
    #[must_use]
    pub fn sums(&self) -> Vec<u64> {
        let bins = self.lines.iter().map(|line| line.octets.len()).max().unwrap_or(0);
        let sum = |bin: usize| self.lines.iter().filter_map(|line| line.octets.get(bin)).sum();
        (0..bins).map(sum).collect()
    }
}

/// Bins whose width follows the time that the flows cover.
#[derive(Clone, Debug)]
pub(super) struct Bins {
    width: u64,
    sums: BTreeMap<u64, BTreeMap<u8, u64>>,
    without_time: u64,
}

impl Default for Bins {
    fn default() -> Self {
        Self { width: 1, sums: BTreeMap::new(), without_time: 0 }
    }
}

impl Bins {
    const MOST: u64 = 240;
    const SPAN: u64 = 400 * 86_400;
    /// Protocols with a line of their own.
    const LINES: usize = 7;

    pub(super) fn add(&mut self, flow: &Flow<'_>, octets: u64) {
        let Some((start, end)) = span(flow).map(|(start, end)| (start / 1_000_000_000, end / 1_000_000_000))
        else {
            self.without_time += 1;
            return;
        };
        let low = self.sums.first_key_value().map_or(start, |(bin, _)| (bin * self.width).min(start));
        let high = self.sums.last_key_value().map_or(end, |(bin, _)| (bin * self.width).max(end));
        if high - low > Self::SPAN {
            self.without_time += 1;
            return;
        }
        while high / self.width - low / self.width >= Self::MOST {
            self.widen();
        }
        let (first, last) = (start / self.width, end / self.width);
        let count = last - first + 1;
        for bin in first..=last {
            // The first bins take what the division leaves.
            let part = octets / count + u64::from(bin - first < octets % count);
            let sum = self.sums.entry(bin).or_default().entry(flow.record.protocol).or_default();
            *sum = sum.saturating_add(part);
        }
    }

    /// Joins neighbouring bins.
    fn widen(&mut self) {
        self.width *= 2;
        for (bin, sums) in core::mem::take(&mut self.sums) {
            let joined = self.sums.entry(bin / 2).or_default();
            for (protocol, octets) in sums {
                let sum = joined.entry(protocol).or_default();
                *sum = sum.saturating_add(octets);
            }
        }
    }

    pub(super) fn series(&self) -> Series {
        let mut totals: BTreeMap<u8, u64> = BTreeMap::new();
        for (protocol, octets) in self.sums.values().flatten() {
            let total = totals.entry(*protocol).or_default();
            *total = total.saturating_add(*octets);
        }
        let mut protocols: Vec<(u8, u64)> = totals.into_iter().collect();
        protocols.sort_by_key(|(protocol, octets)| (core::cmp::Reverse(*octets), *protocol));
        let others = protocols.split_off(protocols.len().min(Self::LINES));
        let first = self.sums.first_key_value().map_or(0, |(bin, _)| *bin);
        let last = self.sums.last_key_value().map_or(first, |(bin, _)| *bin);
        let octets = |of: &dyn Fn(u8) -> bool| -> Vec<u64> {
            let sum = |bin: u64| {
                let sums = self.sums.get(&bin).into_iter().flatten();
                sums.filter(|(protocol, _)| of(**protocol)).map(|(_, octets)| *octets).sum()
            };
            (first..=last).map(sum).collect()
        };
        let mut lines: Vec<Line> = protocols
            .iter()
            .map(|(protocol, _)| Line {
                name: crate::jobs::protocol(*protocol),
                octets: octets(&|other| other == *protocol),
            })
            .collect();
        if !others.is_empty() {
            let octets = octets(&|protocol| others.iter().any(|(other, _)| *other == protocol));
            lines.push(Line { name: "other".to_owned(), octets });
        }
        Series {
            bin_seconds: self.width,
            start_ns: first.saturating_mul(self.width).saturating_mul(1_000_000_000),
            lines,
            flows_without_time: self.without_time,
        }
    }
}
