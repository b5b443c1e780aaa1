//! Traffic over time, split by an element: what a graph shows.

use std::collections::HashMap;

use netflow_codec::{FlowFields, Timestamp};

use super::{groups::Values, key::Key, value::Value};
use crate::{
    flow::{Flow, due},
    store::{Amount, MINUTE, Summary},
};

/// Sums of one bin, or of several.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Sums {
    /// Flows that began in it.
    pub flows: u64,
    /// Packets.
    pub packets: u64,
    /// Octets.
    pub octets: u64,
}

impl Sums {
    pub(crate) const fn add(&mut self, other: &Self) {
        self.flows = self.flows.saturating_add(other.flows);
        self.packets = self.packets.saturating_add(other.packets);
        self.octets = self.octets.saturating_add(other.octets);
    }
}

/// The bins of a series: equally wide, beginning at multiples of their width.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bins {
    /// Seconds since 1970 at which the first begins.
    pub first: u64,
    /// Seconds in a bin, not 0.
    pub width: u64,
    /// How many there are.
    pub count: usize,
}

impl Bins {
    /// Widths that people read easily, in seconds.
    const WIDTHS: [u64; 20] = [
        1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400,
        172_800, 604_800,
    ];

    /// Bins that cover the seconds from one to another, so many at most and at least one.
    #[must_use]
    pub fn covering(from: u64, to: u64, most: usize) -> Self {
        let (to, most) = (to.max(from), most.max(2) as u64);
        let fits = |width: u64| to.div_ceil(width) - from / width <= most;
        let mut width = Self::WIDTHS.into_iter().find(|width| fits(*width));
        let mut wide = 604_800_u64;
        while width.is_none() {
            wide = wide.saturating_mul(2);
            width = (fits(wide) || wide == u64::MAX).then_some(wide);
        }
        let width = width.unwrap_or(1);
        let first = from / width * width;
        let count = usize::try_from(to.div_ceil(width).saturating_sub(from / width)).unwrap_or(1);
        Self { first, width, count: count.max(1) }
    }

    /// The second behind the last.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.first.saturating_add(self.width.saturating_mul(self.count as u64))
    }

    /// The bin of a time.
    fn at(&self, nanos: u64) -> Option<usize> {
        let seconds = (nanos / 1_000_000_000).checked_sub(self.first)?;
        let index = usize::try_from(seconds / self.width).ok()?;
        (index < self.count).then_some(index)
    }

    /// Shares a flow out: its packets and octets evenly over the time from its first packet to its last, itself to the
    /// bin in which it began. What is outside of the bins is left out; the shares of all bins make up the whole.
    pub(crate) fn share(
        &self,
        start: Timestamp,
        end: Timestamp,
        whole: &Sums,
        mut add: impl FnMut(usize, &Sums),
    ) {
        let (start, end) = (start.as_nanos(), end.as_nanos().max(start.as_nanos()));
        let began = self.at(start);
        if began.is_some() && began == self.at(end) {
            if let Some(bin) = began {
                add(bin, whole);
            }
            return;
        }
        let nanos = |bin: usize| {
            let seconds = self.first.saturating_add(self.width.saturating_mul(bin as u64));
            seconds.saturating_mul(1_000_000_000)
        };
        let first = began.unwrap_or(0);
        let last = self.at(end).unwrap_or(self.count - 1);
        if start >= nanos(self.count) || end < nanos(0) {
            return;
        }
        for bin in first..=last {
            let (from, to) = (nanos(bin), nanos(bin + 1));
            // The last packet belongs to the last bin, even at its very beginning.
            let share = |amount| {
                let before = due(amount, start, end, from);
                if to > end { amount - before } else { due(amount, start, end, to) - before }
            };
            let flows = if began == Some(bin) { whole.flows } else { 0 };
            add(bin, &Sums { flows, packets: share(whole.packets), octets: share(whole.octets) });
        }
    }
}

/// Traffic over time, one line of bins for each value of a key, and one for all others.
#[derive(Clone, Debug)]
pub struct Series {
    bins: Bins,
    key: Option<Key>,
    lines: Vec<Vec<Sums>>,
    places: HashMap<Values, usize>,
    /// Values that come up get a line of their own, as long as there are fewer.
    may_grow_to: usize,
    undated: u64,
}

impl Series {
    /// Lines of values that come up, at most.
    const LINES: usize = 256;

    /// Without a key there is one line. With a key and some of its values these have lines of their own; without
    /// values, those that come up.
    #[must_use]
    pub fn new(bins: Bins, key: Option<Key>, values: Option<Vec<Values>>) -> Self {
        let may_grow_to = if values.is_none() && key.is_some() { Self::LINES } else { 0 };
        let mut series =
            Self { bins, key, lines: Vec::new(), places: HashMap::new(), may_grow_to, undated: 0 };
        // The line of all others.
        series.lines.push(vec![Sums::default(); bins.count]);
        for value in values.unwrap_or_default() {
            series.grow(value);
        }
        series
    }

    fn grow(&mut self, value: Values) -> usize {
        let place = self.lines.len();
        self.lines.push(vec![Sums::default(); self.bins.count]);
        self.places.insert(value, place);
        place
    }

    /// The bins.
    #[must_use]
    pub const fn bins(&self) -> Bins {
        self.bins
    }

    /// Flows that have no times.
    #[must_use]
    pub const fn undated(&self) -> u64 {
        self.undated
    }

    /// Adds a flow; its counters multiplied by its sampling rate if so asked and the rate is known. Of a key with two
    /// sides the source's counts.
    pub fn add(&mut self, flow: &Flow<'_>, scaled: bool) {
        let value = self.key.as_ref().map(|key| -> Values { [key.first(flow)].into() });
        let place = value.map_or(0, |value| self.place(value));
        let factor = if scaled { flow.sampling_rate().unwrap_or(1) } else { 1 };
        let record = &flow.record;
        let whole = Sums {
            flows: 1,
            packets: record.packets.saturating_mul(factor),
            octets: record.octets.saturating_mul(factor),
        };
        let (start, end) = (record.has(FlowFields::START), record.has(FlowFields::END));
        let (start, end) = match (start, end) {
            (true, true) => (record.start, record.end),
            (true, false) => (record.start, record.start),
            (false, true) => (record.end, record.end),
            (false, false) => {
                self.undated += 1;
                return;
            }
        };
        self.share(place, start, end, &whole);
    }

    /// The key by which it is split.
    pub(super) const fn key(&self) -> Option<&Key> {
        self.key.as_ref()
    }

    /// Adds the flows of a file by what was summed up of them, which comes to the same as adding each. Returns whether that
    /// is enough: the key, if there is one, must be the protocol, and bins must be of whole minutes.
    pub(super) fn add_summary(&mut self, summary: impl FnOnce() -> Option<Summary>, scaled: bool) -> bool {
        const SECONDS: u64 = MINUTE / 1_000_000_000;
        let is_by_protocol = self.key.as_ref().is_none_or(|key| key.name() == "proto");
        let is_whole = self.bins.width.is_multiple_of(SECONDS) && self.bins.first.is_multiple_of(SECONDS);
        let Some(summary) = (is_by_protocol && is_whole).then(summary).flatten() else { return false };
        self.undated += summary.undated();
        for of in summary.protocols() {
            let place = match &self.key {
                None => 0,
                Some(_) => self.place([of.protocol.map(Value::Protocol)].into()),
            };
            let sums = |amount: &Amount| {
                let (packets, octets) = amount.counts(scaled);
                Sums { flows: amount.flows, packets, octets }
            };
            for (minute, amount) in &of.minutes {
                let bin = minute.checked_mul(MINUTE).and_then(|nanos| self.bins.at(nanos));
                let line = self.lines.get_mut(place);
                if let Some(bin) = bin.zip(line).and_then(|(bin, line)| line.get_mut(bin)) {
                    bin.add(&sums(amount));
                }
            }
            for long in &of.long {
                let (start, end) = (Timestamp::from_nanos(long.start), Timestamp::from_nanos(long.end));
                self.share(place, start, end, &sums(&long.amount));
            }
        }
        true
    }

    /// A flow without times.
    pub(super) const fn leave_out(&mut self) {
        self.undated += 1;
    }

    /// Adds a series of the same bins and key.
    pub(super) fn merge(&mut self, other: &Self) {
        let others = other.places.iter().map(|(value, place)| (Some(value), *place)).chain([(None, 0)]);
        for (value, place) in others {
            let Some(line) = other.lines.get(place) else { continue };
            let place = value.map_or(0, |value| self.place(value.clone()));
            if let Some(own) = self.lines.get_mut(place) {
                own.iter_mut().zip(line).for_each(|(own, other)| own.add(other));
            }
        }
        self.undated += other.undated;
    }

    /// The line of a value.
    pub(crate) fn place(&mut self, value: Values) -> usize {
        match self.places.get(&value) {
            Some(place) => *place,
            None if self.lines.len() <= self.may_grow_to && value.iter().any(Option::is_some) => {
                self.grow(value)
            }
            None => 0,
        }
    }

    pub(crate) fn share(&mut self, place: usize, start: Timestamp, end: Timestamp, whole: &Sums) {
        let Some(line) = self.lines.get_mut(place) else { return };
        self.bins.share(start, end, whole, |bin, sums| {
            if let Some(bin) = line.get_mut(bin) {
                bin.add(sums);
            }
        });
    }

    /// The lines that have traffic: the value, `None` for all others, and its bins. Those with the most octets first,
    /// the others last.
    #[must_use]
    pub fn lines(&self) -> Vec<(Option<&Values>, &[Sums])> {
        let octets = |line: &[Sums]| line.iter().fold(0_u64, |sum, bin| sum.saturating_add(bin.octets));
        let line = |place: usize| self.lines.get(place).map_or(&[][..], Vec::as_slice);
        let mut lines: Vec<_> =
            self.places.iter().map(|(value, place)| (Some(value), line(*place))).collect();
        lines.sort_by_key(|(value, line)| (core::cmp::Reverse(octets(line)), *value));
        lines.push((None, line(0)));
        lines.retain(|(_, line)| line.iter().any(|bin| *bin != Sums::default()));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(bins: Bins, start: u64, end: u64, octets: u64) -> Vec<(usize, u64, u64)> {
        let mut shares = Vec::new();
        let whole = Sums { flows: 1, packets: 0, octets };
        bins.share(Timestamp::from_millis(start), Timestamp::from_millis(end), &whole, |bin, sums| {
            shares.push((bin, sums.flows, sums.octets));
        });
        shares
    }

    #[test]
    fn octets_are_spread_over_the_time_of_the_flow_and_none_is_lost() {
        let bins = Bins { first: 100, width: 10, count: 3 };
        assert_eq!(shares(bins, 101_000, 109_999, 7), [(0, 1, 7)]);
        assert_eq!(shares(bins, 105_000, 125_000, 1_001), [(0, 1, 250), (1, 0, 500), (2, 0, 251)]);
        // At a boundary, and of no duration.
        assert_eq!(shares(bins, 110_000, 110_000, 5), [(1, 1, 5)]);
        assert_eq!(shares(bins, 105_000, 110_000, 10), [(0, 1, 10), (1, 0, 0)]);
    }

    #[test]
    fn what_is_outside_of_the_bins_is_left_out() {
        let bins = Bins { first: 100, width: 10, count: 3 };
        assert_eq!(shares(bins, 80_000, 120_000, 400), [(0, 0, 100), (1, 0, 100), (2, 0, 0)]);
        assert_eq!(shares(bins, 90_000, 140_000, 500), [(0, 0, 100), (1, 0, 100), (2, 0, 100)]);
        assert_eq!(shares(bins, 10_000, 99_999, 5), []);
        assert_eq!(shares(bins, 130_000, 140_000, 5), []);
        // An end before the beginning is taken for it.
        assert_eq!(shares(bins, 115_000, 5_000, 5), [(1, 1, 5)]);
        assert_eq!(shares(bins, 0, u64::MAX / 1_000_000, 0).len(), 3);
    }

    #[test]
    fn bins_have_widths_that_people_read() {
        let day = Bins::covering(1_772_366_401, 1_772_366_401 + 86_400, 200);
        assert_eq!((day.width, day.first % 600), (600, 0));
        assert!(day.end() >= 1_772_366_401 + 86_400 && day.count <= 200);
        assert_eq!(Bins::covering(5, 5, 10), Bins { first: 5, width: 1, count: 1 });
        let all = Bins::covering(0, u64::MAX, 100);
        assert!(all.count <= 100 && all.width > 604_800);
    }
}
