//! Octets over time.

use core::fmt::Write as _;
use std::collections::VecDeque;

use netflow_codec::{FlowFields, FlowRecord, Timestamp};

use super::table::scaled;

/// Octets by time, in at most 60 bins whose width follows the time that the flows cover.
///
/// The octets of a flow are spread evenly from its first packet to its last. Flows far away in time from those
/// before them, as by a clock that was never set, are left out and counted.
#[derive(Clone, Debug)]
pub struct Timeline {
    /// Seconds in a bin: 1, 2, 4 and so on.
    width: u64,
    /// The first bin begins at `first * width` seconds.
    first: u64,
    bins: VecDeque<u64>,
    undated: u64,
}

impl Default for Timeline {
    fn default() -> Self {
        Self::new()
    }
}

impl Timeline {
    /// Bins at most.
    pub const BINS: usize = 60;
    /// Seconds that a timeline covers at most: a little more than a year.
    const MAX_SPAN: u64 = 400 * 86_400;

    /// An empty timeline.
    #[must_use]
    pub const fn new() -> Self {
        Self { width: 1, first: 0, bins: VecDeque::new(), undated: 0 }
    }

    /// Adds the octets of a flow.
    pub fn add(&mut self, flow: &FlowRecord) {
        let (start, end) = match (flow.has(FlowFields::START), flow.has(FlowFields::END)) {
            (true, true) => (flow.start.as_secs().min(flow.end.as_secs()), flow.end.as_secs()),
            (true, false) => (flow.start.as_secs(), flow.start.as_secs()),
            (false, true) => (flow.end.as_secs(), flow.end.as_secs()),
            (false, false) => {
                self.undated += 1;
                return;
            }
        };
        if !self.make_room(start, end) {
            self.undated += 1;
            return;
        }
        let (from, to) = (start / self.width, end / self.width);
        let count = to - from + 1;
        let (share, rest) = (flow.octets / count, flow.octets % count);
        for bin in from..=to {
            // The first bins take what the division leaves.
            let octets = share + u64::from(bin - from < rest);
            let index = usize::try_from(bin - self.first).unwrap_or(usize::MAX);
            if let Some(bin) = self.bins.get_mut(index) {
                *bin = bin.saturating_add(octets);
            }
        }
    }

    /// The bins in order: when each begins, and its octets.
    pub fn bins(&self) -> impl Iterator<Item = (Timestamp, u64)> {
        (self.first..).zip(&self.bins).map(|(bin, octets)| (Timestamp::from_secs(bin * self.width), *octets))
    }

    /// Seconds in a bin.
    #[must_use]
    pub const fn bin_seconds(&self) -> u64 {
        self.width
    }

    /// Flows without a time, or with one far from all others.
    #[must_use]
    pub const fn undated(&self) -> u64 {
        self.undated
    }

    /// Makes the bins cover these seconds, widening them as needed; `false` when that would be too much.
    fn make_room(&mut self, start: u64, end: u64) -> bool {
        if self.bins.is_empty() {
            (self.width, self.first) = (1, start);
            if end - start > Self::MAX_SPAN {
                return false;
            }
            self.bins.push_back(0);
        }
        let last = self.first + self.bins.len() as u64 - 1;
        let (low, high) = ((self.first * self.width).min(start), ((last + 1) * self.width - 1).max(end));
        if high - low > Self::MAX_SPAN {
            return false;
        }
        while high / self.width - low / self.width >= Self::BINS as u64 {
            self.widen();
        }
        while self.first > low / self.width {
            self.first -= 1;
            self.bins.push_front(0);
        }
        while self.first + self.bins.len() as u64 <= high / self.width {
            self.bins.push_back(0);
        }
        true
    }

    /// Joins neighbouring bins.
    fn widen(&mut self) {
        let mut joined: VecDeque<u64> = VecDeque::new();
        let mut place = self.first / 2;
        for (bin, octets) in (self.first..).zip(&self.bins) {
            if bin / 2 != place || joined.is_empty() {
                place = bin / 2;
                joined.push_back(0);
            }
            if let Some(last) = joined.back_mut() {
                *last = last.saturating_add(*octets);
            }
        }
        self.first /= 2;
        self.width *= 2;
        self.bins = joined;
    }

    /// A line of bars, one per bin, between its scale and its times. Empty without flows.
    #[must_use]
    pub fn render(&self) -> String {
        const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        let greatest = self.bins.iter().copied().max().unwrap_or(0);
        let mut text = String::new();
        if greatest == 0 {
            return text;
        }
        let bars = self.bins.iter().map(|octets| {
            // Rounded up: whatever is not zero is visible.
            let eighths = (u128::from(*octets) * 8).div_ceil(u128::from(greatest));
            usize::try_from(eighths).ok().and_then(|eighths| BARS.get(eighths)).copied().unwrap_or('█')
        });
        text.push('|');
        text.extend(bars);
        let bits_per_second = u128::from(greatest) * 8 / u128::from(self.width);
        let rate = scaled(u64::try_from(bits_per_second).unwrap_or(u64::MAX));
        // Writing to memory does not fail.
        let _ = writeln!(text, "| highest {rate}{}bit/s", if rate.contains(' ') { "" } else { " " });
        let time = |bin: u64| {
            let second = i64::try_from(bin * self.width).unwrap_or(i64::MAX);
            jiff::Timestamp::from_second(second).unwrap_or_default().strftime("%Y-%m-%d %H:%M:%S").to_string()
        };
        let after = self.first + self.bins.len() as u64;
        let _ = writeln!(text, "{} to {} UTC, a bar is {} s", time(self.first), time(after), self.width);
        if self.undated > 0 {
            let _ = writeln!(text, "without {} flows whose times are missing or far off", self.undated);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(start: u64, end: u64, octets: u64) -> FlowRecord {
        let mut flow = FlowRecord::EMPTY;
        flow.fields = FlowFields::START | FlowFields::END | FlowFields::OCTETS;
        (flow.start, flow.end, flow.octets) =
            (Timestamp::from_secs(start), Timestamp::from_secs(end), octets);
        flow
    }

    #[test]
    fn octets_are_spread_and_none_is_lost_when_bins_widen() {
        let mut timeline = Timeline::new();
        timeline.add(&flow(1_000, 1_009, 1_005));
        assert_eq!(timeline.bins().count(), 10);
        assert_eq!(timeline.bins().next(), Some((Timestamp::from_secs(1_000), 101)));
        timeline.add(&flow(900, 900, 7));
        timeline.add(&flow(5_000, 5_001, 3));
        assert!(timeline.bins().count() <= Timeline::BINS);
        assert_eq!(timeline.bins().map(|(_, octets)| octets).sum::<u64>(), 1_015);
        assert!(timeline.bin_seconds() >= 4_100 / 60);
    }

    #[test]
    fn a_clock_that_was_never_set_does_not_flatten_the_picture() {
        let mut timeline = Timeline::new();
        timeline.add(&flow(1_700_000_000, 1_700_000_003, 400));
        timeline.add(&flow(12, 13, 9));
        timeline.add(&flow(0, 1_700_000_000, 9));
        timeline.add(&flow(u64::MAX / 2_000_000_000, u64::MAX / 1_000_000_000, 9));
        timeline.add(&FlowRecord::EMPTY);
        assert_eq!((timeline.undated(), timeline.bin_seconds()), (4, 1));
        let expected = "|████| highest 800 bit/s\n2023-11-14 22:13:20 to 2023-11-14 22:13:24 UTC, a bar is 1 s\n\
            without 4 flows whose times are missing or far off\n";
        assert_eq!(timeline.render(), expected);
    }

    #[test]
    fn the_smallest_bar_is_visible() {
        let mut timeline = Timeline::new();
        timeline.add(&flow(10, 10, 1));
        timeline.add(&flow(12, 12, 1_000_000));
        assert!(timeline.render().starts_with("|▁ █| highest 8.0 Mbit/s\n"));
        assert_eq!(Timeline::new().render(), "");
    }
}
