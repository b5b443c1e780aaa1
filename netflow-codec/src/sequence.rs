//! Sequence numbers: what was lost on the way.

/// Follows the sequence numbers of one stream (one exporter and observation domain, or one v5 engine).
///
/// The unit is the version's: v5 and v7 count flows, v9 counts export packets, IPFIX data records. Numbers wrap at
/// 2^32.
///
/// A moderate step forward is a gap. A step back into a known gap is a late datagram, which undoes its loss;
/// any other small step back is a duplicate, unless so many datagrams follow on from it that the exporter must have
/// begun anew. A wild step in either direction counts for nothing until the next datagram follows on from it: one
/// forged datagram cannot move the window, an exporter's restart can. A moderate step forward that nothing follows,
/// while datagrams go on where the numbers were before, is taken back. Whoever knows of a restart from elsewhere, as a
/// [`RestartDetector`](crate::RestartDetector) does, says so by [`Self::restart`].
///
/// ```
/// use netflow_codec::{SequenceEvent, SequenceTracker};
///
/// let mut tracker = SequenceTracker::new();
/// assert_eq!(tracker.observe(100, 30), SequenceEvent::First);
/// assert_eq!(tracker.observe(130, 30), SequenceEvent::InOrder);
/// assert_eq!(tracker.observe(190, 30), SequenceEvent::Gap { lost: 30 });
/// assert_eq!(tracker.observe(160, 30), SequenceEvent::Late);
/// assert_eq!(tracker.counts().lost, 0);
/// ```
#[derive(Clone, Debug, Default)]
pub struct SequenceTracker {
    /// The number that comes next, once there was one.
    expected: Option<u32>,
    /// What would come next if a step back, or a wild one, was a restart.
    candidate: Option<Candidate>,
    /// A step forward that no datagram has followed yet.
    leap: Option<Leap>,
    /// The newest gaps: first number missing, how many; none missing is no gap.
    gaps: [(u32, u32); Self::GAPS],
    /// In-order datagrams for which the numbers count as having begun anew just now.
    fresh: u8,
    counts: SequenceCounts,
}

/// Numbers that may have begun anew.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    next: u32,
    /// Datagrams that must still follow on.
    missing: u8,
    /// Datagrams so far that were taken for duplicates, and their units.
    duplicates: u8,
    units: u64,
}

/// A step forward that may have been a single forged number.
#[derive(Clone, Copy, Debug)]
struct Leap {
    /// What comes next if it was.
    next: u32,
    /// Datagrams that went on where the numbers were before.
    followers: u8,
}

/// What the sequence numbers of a version count.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum SequenceUnit {
    /// Flow records (v5, v7, v8).
    Flows,
    /// Export packets, that is datagrams (v9, RFC 3954 section 5.1).
    Packets,
    /// Data records, those of options included, templates not (IPFIX, RFC 7011 section 3.1).
    Records,
}

impl SequenceUnit {
    /// The unit of a version; `None` for those without sequence numbers, as v1.
    #[must_use]
    pub const fn of(version: u16) -> Option<Self> {
        match version {
            5..=8 => Some(Self::Flows),
            9 => Some(Self::Packets),
            10 => Some(Self::Records),
            _ => None,
        }
    }

    /// `flows`, `packets` or `records`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flows => "flows",
            Self::Packets => "packets",
            Self::Records => "records",
        }
    }
}

/// What a [`SequenceTracker`] counted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[non_exhaustive]
pub struct SequenceCounts {
    /// Units received, duplicates left out.
    pub received: u64,
    /// Units that were sent and have not come.
    pub lost: u64,
    /// Times that units were missing.
    pub gaps: u64,
    /// Datagrams that came after later ones.
    pub late: u64,
    /// Datagrams that had come before.
    pub duplicates: u64,
    /// Datagrams with a number far from any expected that nothing followed, nor explained.
    pub strays: u64,
    /// Times that the numbers began anew.
    pub resets: u64,
}

impl SequenceCounts {
    /// Units that the exporter sent, as far as its numbers say: those received and those lost.
    #[must_use]
    pub const fn expected(&self) -> u64 {
        self.received.saturating_add(self.lost)
    }
}

/// What a sequence number meant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SequenceEvent {
    /// The first one of its stream.
    First,
    /// The expected one.
    InOrder,
    /// Units are missing before it.
    Gap {
        /// How many.
        lost: u32,
    },
    /// It fills a gap.
    Late,
    /// It had come before, or is older than any gap remembered.
    Duplicate,
    /// Far from anything expected: forged, or the first one after a restart.
    Stray,
    /// It follows on from a stray one: the numbers began anew.
    Reset,
}

impl SequenceTracker {
    /// Steps forward up to this many units are loss, steps back up to this many are late or duplicate.
    pub const WINDOW: u32 = 100_000;
    /// Datagrams that must follow on from a small step back before it is a restart, not a run of duplicates.
    const RESTART_EVIDENCE: u8 = 4;
    /// Datagrams that must go on from before a step forward, none behind it, before the step was a forged number.
    const LEAP_EVIDENCE: u8 = 8;
    /// Datagrams that a step forward must leave out for that: nothing is delivered so much out of order.
    const LEAP_DATAGRAMS: u32 = 64;
    /// Datagrams behind a reset for which a restart that becomes known is the same event.
    const FRESH: u8 = 16;
    const GAPS: usize = 8;

    /// A tracker that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A tracker that goes on where another one was, of which only the number that comes next is left.
    #[must_use]
    pub fn resumed(next: u32) -> Self {
        Self { expected: Some(next), ..Self::default() }
    }

    /// A new session begins, whose numbers have nothing to do with those before (RFC 7011 section 3.1). Counters go on.
    pub fn begin_session(&mut self) {
        *self = Self { counts: self.counts, ..Self::default() };
    }

    /// The number that comes next, if that is known.
    #[must_use]
    pub const fn next_number(&self) -> Option<u32> {
        self.expected
    }

    /// What was counted so far.
    #[must_use]
    pub const fn counts(&self) -> &SequenceCounts {
        &self.counts
    }

    /// Takes the number of a datagram and how many units it carries (v9: 1).
    pub fn observe(&mut self, sequence: u32, units: u32) -> SequenceEvent {
        let next = sequence.wrapping_add(units);
        let Some(expected) = self.expected else {
            self.accept(next, units);
            return SequenceEvent::First;
        };
        let ahead = sequence.wrapping_sub(expected);
        let behind = expected.wrapping_sub(sequence);
        let follows = self.candidate.filter(|candidate| candidate.next == sequence);
        if ahead == 0 {
            self.accept(next, units);
            SequenceEvent::InOrder
        } else if follows.is_some_and(|candidate| candidate.missing <= 1) {
            self.begin_anew(next, units)
        } else if ahead <= Self::WINDOW {
            self.counts.gaps += 1;
            self.counts.lost += u64::from(ahead);
            self.remember_gap(expected, ahead);
            self.accept(next, units);
            let is_wide = ahead / units.max(1) >= Self::LEAP_DATAGRAMS;
            self.leap = is_wide.then_some(Leap { next: expected, followers: 0 });
            SequenceEvent::Gap { lost: ahead }
        } else if behind <= Self::WINDOW {
            self.observe_behind(sequence, units, follows)
        } else {
            self.counts.received += u64::from(units);
            self.counts.strays += 1;
            self.candidate = Some(Candidate { next, missing: 1, duplicates: 0, units: 0 });
            SequenceEvent::Stray
        }
    }

    /// Takes the number of a datagram of which it is unknown how many units it carries, such as an IPFIX message with
    /// data whose template has not come: the next one is neither late nor a gap.
    pub fn observe_open(&mut self, sequence: u32) -> SequenceEvent {
        let event = self.observe(sequence, 0);
        if !matches!(event, SequenceEvent::Duplicate | SequenceEvent::Stray) {
            self.expected = None;
            self.leap = None;
        }
        event
    }

    /// Takes the number of a datagram that comes after a restart of the exporter, known from elsewhere: whatever the
    /// number is, it is no loss. The first datagrams behind the restart may have been observed before; those that were
    /// taken for duplicates, or strays, are received ones from now on. A restart that the numbers have shown already is
    /// not counted again.
    ///
    /// ```
    /// use netflow_codec::{SequenceEvent, SequenceTracker};
    ///
    /// let mut tracker = SequenceTracker::new();
    /// tracker.observe(70, 10);
    /// // By its number, one that had come before.
    /// assert_eq!(tracker.observe(0, 10), SequenceEvent::Duplicate);
    /// assert_eq!(tracker.restart(10, 10), SequenceEvent::Reset);
    /// assert_eq!((tracker.counts().received, tracker.counts().duplicates), (30, 0));
    /// ```
    pub fn restart(&mut self, sequence: u32, units: u32) -> SequenceEvent {
        let is_known = self.expected.is_none() || self.expected == Some(sequence) && self.fresh > 0;
        if is_known {
            return self.observe(sequence, units);
        }
        if self.candidate.is_some_and(|candidate| candidate.next != sequence) {
            self.candidate = None;
        }
        self.begin_anew(sequence.wrapping_add(units), units)
    }

    fn accept(&mut self, next: u32, units: u32) {
        self.expected = Some(next);
        self.candidate = None;
        self.leap = None;
        self.fresh = self.fresh.saturating_sub(1);
        self.counts.received += u64::from(units);
    }

    /// The numbers began anew, with the candidate if there is one.
    fn begin_anew(&mut self, next: u32, units: u32) -> SequenceEvent {
        if let Some(Candidate { duplicates, units, .. }) = self.candidate {
            self.counts.duplicates = self.counts.duplicates.saturating_sub(duplicates.into());
            self.counts.strays = self.counts.strays.saturating_sub(u64::from(duplicates == 0));
            self.counts.received += units;
        }
        self.counts.resets += 1;
        self.gaps = Default::default();
        self.accept(next, units);
        self.fresh = Self::FRESH;
        SequenceEvent::Reset
    }

    /// Takes a number from the window behind the one expected.
    fn observe_behind(&mut self, sequence: u32, units: u32, follows: Option<Candidate>) -> SequenceEvent {
        let next = sequence.wrapping_add(units);
        if self.fill_gap(sequence, units) {
            self.counts.received += u64::from(units);
            self.counts.lost = self.counts.lost.saturating_sub(u64::from(units));
            self.counts.late += 1;
            self.candidate = None;
            return self.go_on_before_leap(sequence, next);
        }
        self.counts.duplicates += 1;
        let (missing, duplicates, before) = match follows {
            Some(candidate) => (candidate.missing - 1, candidate.duplicates, candidate.units),
            None => (Self::RESTART_EVIDENCE, 0, 0),
        };
        let (duplicates, units) = (duplicates.saturating_add(1), before.saturating_add(units.into()));
        self.candidate = Some(Candidate { next, missing, duplicates, units });
        SequenceEvent::Duplicate
    }

    /// Takes a datagram that filled a gap: when enough of them go on from before a leap that nothing follows, the leap
    /// was none.
    fn go_on_before_leap(&mut self, sequence: u32, next: u32) -> SequenceEvent {
        let Some(leap) = self.leap.as_mut().filter(|leap| leap.next == sequence) else {
            return SequenceEvent::Late;
        };
        leap.next = next;
        leap.followers += 1;
        if leap.followers < Self::LEAP_EVIDENCE {
            return SequenceEvent::Late;
        }
        self.leap = None;
        let rest = self.gaps.iter_mut().find(|(first, missing)| *first == next && *missing > 0);
        let Some((_, missing)) = rest else { return SequenceEvent::Late };
        self.counts.lost = self.counts.lost.saturating_sub(core::mem::take(missing).into());
        self.counts.gaps = self.counts.gaps.saturating_sub(1);
        self.counts.late = self.counts.late.saturating_sub(Self::LEAP_EVIDENCE.into());
        self.counts.strays += 1;
        self.expected = Some(next);
        SequenceEvent::InOrder
    }

    /// Takes the units out of the gap they belong to.
    fn fill_gap(&mut self, sequence: u32, units: u32) -> bool {
        let inside = |&&mut (first, missing): &&mut (u32, u32)| {
            let from = sequence.wrapping_sub(first);
            from < missing && units <= missing - from
        };
        let Some(gap) = self.gaps.iter_mut().find(inside) else { return false };
        let (first, missing) = *gap;
        let before = sequence.wrapping_sub(first);
        // What is left of the gap before the units stays in its place, what is left behind them is a gap of its own.
        *gap = (first, before);
        self.remember_gap(sequence.wrapping_add(units), missing - before - units);
        true
    }

    /// Remembers a gap in the place of one that was filled, or else of the oldest.
    fn remember_gap(&mut self, first: u32, missing: u32) {
        if missing == 0 {
            return;
        }
        let free = self.gaps.iter().position(|(_, missing)| *missing == 0).unwrap_or(Self::GAPS - 1);
        if let Some(newer) = self.gaps.get_mut(..=free) {
            newer.rotate_right(1);
        }
        if let Some(newest) = self.gaps.first_mut() {
            *newest = (first, missing);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observe(tracker: &mut SequenceTracker, numbers: &[u32], units: u32) {
        for number in numbers {
            tracker.observe(*number, units);
        }
    }

    #[test]
    fn wrapping_is_no_loss() {
        // C6
        let mut flows = SequenceTracker::new();
        observe(&mut flows, &[u32::MAX - 9, 20], 30);
        assert_eq!(flows.counts().lost, 0);
        let mut packets = SequenceTracker::new();
        observe(&mut packets, &[u32::MAX, 0, 1], 1);
        assert_eq!((packets.counts().lost, packets.counts().received), (0, 3));
    }

    #[test]
    fn lost_late_and_duplicate_datagrams_are_told_apart() {
        // C4: 3 and 4 swapped, 6 lost, 8 twice.
        let mut tracker = SequenceTracker::new();
        observe(&mut tracker, &[1, 2, 4, 3, 5, 7, 8, 8, 9], 1);
        let counts = *tracker.counts();
        assert_eq!((counts.lost, counts.gaps, counts.late, counts.duplicates), (1, 2, 1, 1));
        assert_eq!((counts.received, counts.resets), (8, 0));
    }

    #[test]
    fn a_restart_is_neither_loss_nor_a_stream_of_late_datagrams() {
        // C9
        let mut tracker = SequenceTracker::new();
        observe(&mut tracker, &[5_000_000, 5_000_030, 0, 30, 60], 30);
        let counts = *tracker.counts();
        assert_eq!((counts.lost, counts.resets, counts.late, counts.received), (0, 1, 0, 150));
        assert_eq!((counts.strays, counts.expected()), (0, 150));
    }

    #[test]
    fn a_restart_known_from_elsewhere_is_one_wherever_the_numbers_begin() {
        // C9: just behind, in the middle of the window ahead, and at the very number expected.
        for begin in [10, 5_000, 93] {
            let mut tracker = SequenceTracker::new();
            observe(&mut tracker, &[90, 91, 92], 1);
            assert_eq!(tracker.restart(begin, 1), SequenceEvent::Reset);
            observe(&mut tracker, &[begin + 1, begin + 2], 1);
            let counts = *tracker.counts();
            assert_eq!((counts.lost, counts.received, counts.resets), (0, 6, 1), "{begin}");
            assert_eq!((counts.duplicates, counts.strays), (0, 0), "{begin}");
        }
        let mut tracker = SequenceTracker::new();
        observe(&mut tracker, &[5_000_000, 0, 1], 1);
        assert_eq!(tracker.restart(2, 1), SequenceEvent::InOrder);
        assert_eq!(tracker.counts().resets, 1, "the numbers had shown it");
    }

    #[test]
    fn one_forged_number_does_not_move_the_window() {
        // C5
        let mut tracker = SequenceTracker::new();
        observe(&mut tracker, &[10, 11, 2_000_000_000, 12, 13], 1);
        let counts = *tracker.counts();
        assert_eq!((counts.lost, counts.late, counts.resets), (0, 0, 0));
        assert_eq!(tracker.observe(14, 1), SequenceEvent::InOrder);
        assert_eq!(tracker.counts().strays, 1);
    }

    #[test]
    fn a_forged_number_within_the_window_does_not_make_all_later_datagrams_late() {
        // C5
        let mut tracker = SequenceTracker::new();
        observe(&mut tracker, &[10, 11, 50_000], 1);
        observe(&mut tracker, &(12..100).collect::<alloc::vec::Vec<_>>(), 1);
        let counts = *tracker.counts();
        assert_eq!((counts.lost, counts.gaps, counts.late, counts.strays), (0, 0, 0, 1));
        assert_eq!(tracker.observe(100, 1), SequenceEvent::InOrder);
        // A real loss in the meantime stays one.
        assert_eq!(tracker.observe(103, 1), SequenceEvent::Gap { lost: 2 });
    }

    #[test]
    fn each_number_of_a_run_of_forged_ones_costs_nothing_but_itself() {
        // C5: every other datagram is forged, at random.
        let mut tracker = SequenceTracker::new();
        let mut forged = 12_345u32;
        for sequence in 0..1_000 {
            tracker.observe(sequence, 1);
            forged = forged.wrapping_mul(1_664_525).wrapping_add(1_013_904_223) | 0x1000_0000;
            tracker.observe(forged, 1);
        }
        let counts = *tracker.counts();
        assert_eq!((counts.lost, counts.late, counts.duplicates, counts.resets), (0, 0, 0, 0));
        assert_eq!(counts.strays, 1_000);
    }

    #[test]
    fn units_are_those_of_the_version() {
        // C4, C8: v5 counts flows, v9 packets, IPFIX data records.
        let names = [1, 5, 7, 9, 10].map(|version| SequenceUnit::of(version).map(SequenceUnit::name));
        assert_eq!(names, [None, Some("flows"), Some("flows"), Some("packets"), Some("records")]);
        for units in [30, 1, 12] {
            let mut tracker = SequenceTracker::new();
            // The third is lost, the fifth and the sixth swapped, the last one twice.
            observe(&mut tracker, &[0, 1, 3, 5, 4, 6, 6].map(|datagram| datagram * units), units);
            let counts = *tracker.counts();
            assert_eq!((counts.lost, counts.received), (units.into(), u64::from(units) * 6));
            assert_eq!((counts.gaps, counts.late, counts.duplicates), (2, 1, 1));
            assert_eq!(counts.expected(), u64::from(units) * 7);
        }
    }

    #[test]
    fn an_unknown_number_of_units_is_no_loss() {
        // C7
        let mut tracker = SequenceTracker::new();
        observe(&mut tracker, &[0, 10], 10);
        assert_eq!(tracker.observe_open(20), SequenceEvent::InOrder);
        assert_eq!(tracker.observe(57, 10), SequenceEvent::First);
        assert_eq!(tracker.observe(77, 10), SequenceEvent::Gap { lost: 10 });
        assert_eq!(tracker.counts().lost, 10);
    }

    #[test]
    fn a_restart_close_behind_is_recognised_when_it_goes_on() {
        let mut tracker = SequenceTracker::new();
        observe(&mut tracker, &[40, 41, 42, 0, 1, 2, 3], 1);
        assert_eq!(tracker.counts().resets, 0);
        assert_eq!(tracker.observe(4, 1), SequenceEvent::Reset);
        assert_eq!(tracker.observe(5, 1), SequenceEvent::InOrder);
    }

    #[test]
    fn a_few_duplicates_in_a_row_are_no_restart() {
        // C4
        let mut tracker = SequenceTracker::new();
        observe(&mut tracker, &[7, 8, 9, 10, 8, 9, 11, 12], 1);
        let counts = *tracker.counts();
        assert_eq!((counts.lost, counts.gaps, counts.duplicates, counts.resets), (0, 0, 2, 0));
    }

    #[test]
    fn gaps_that_were_filled_do_not_push_out_others() {
        // C4: 1 and 2, and 4 to 19, come late, one by one.
        let mut tracker = SequenceTracker::new();
        observe(&mut tracker, &[0, 3, 20], 1);
        observe(&mut tracker, &(4..20).collect::<alloc::vec::Vec<_>>(), 1);
        observe(&mut tracker, &[1, 2], 1);
        let counts = *tracker.counts();
        assert_eq!((counts.lost, counts.late, counts.duplicates, counts.resets), (0, 18, 0, 0));
    }
}
