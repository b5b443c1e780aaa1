//! Sequence numbers: what was lost on the way.

/// Follows the sequence numbers of one stream (one exporter and observation domain, or one v5 engine).
///
/// The unit is the version's: v5 and v7 count flows, v9 counts export packets, IPFIX data records. Numbers wrap at
/// 2^32.
///
/// A moderate step forward is a gap. A step back into a known gap is a late datagram, which undoes its loss;
/// any other small step back is a duplicate, unless so many datagrams follow on from it that the exporter must have
/// begun anew. A wild step in either direction counts for nothing until the next datagram follows on from it: one
/// forged datagram cannot move the window, an exporter's restart can.
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
    /// The newest gaps: first number missing, how many; none missing is no gap.
    gaps: [(u32, u32); Self::GAPS],
    counts: SequenceCounts,
}

/// Numbers that may have begun anew.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    next: u32,
    /// Datagrams that must still follow on.
    missing: u8,
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
    /// Times that the numbers began anew.
    pub resets: u64,
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
    const GAPS: usize = 8;

    /// A tracker that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
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
            self.expected = Some(next);
            self.counts.received += u64::from(units);
            return SequenceEvent::First;
        };
        let ahead = sequence.wrapping_sub(expected);
        let behind = expected.wrapping_sub(sequence);
        let follows = self.candidate.filter(|candidate| candidate.next == sequence);
        if ahead == 0 {
            self.accept(next, units);
            SequenceEvent::InOrder
        } else if follows.is_some_and(|candidate| candidate.missing <= 1) {
            self.counts.resets += 1;
            self.gaps = Default::default();
            self.accept(next, units);
            SequenceEvent::Reset
        } else if ahead <= Self::WINDOW {
            self.counts.gaps += 1;
            self.counts.lost += u64::from(ahead);
            self.remember_gap(expected, ahead);
            self.accept(next, units);
            SequenceEvent::Gap { lost: ahead }
        } else if behind <= Self::WINDOW {
            if self.fill_gap(sequence, units) {
                self.counts.received += u64::from(units);
                self.counts.lost = self.counts.lost.saturating_sub(u64::from(units));
                self.counts.late += 1;
                self.candidate = None;
                return SequenceEvent::Late;
            }
            self.counts.duplicates += 1;
            let missing = follows.map_or(Self::RESTART_EVIDENCE, |candidate| candidate.missing - 1);
            self.candidate = Some(Candidate { next, missing });
            SequenceEvent::Duplicate
        } else {
            self.counts.received += u64::from(units);
            self.candidate = Some(Candidate { next, missing: 1 });
            SequenceEvent::Stray
        }
    }

    /// Takes the number of a datagram of which it is unknown how many units it carries, such as an IPFIX message with
    /// data whose template has not come: the next one is neither late nor a gap.
    pub fn observe_open(&mut self, sequence: u32) -> SequenceEvent {
        let event = self.observe(sequence, 0);
        if !matches!(event, SequenceEvent::Duplicate | SequenceEvent::Stray) {
            self.expected = None;
        }
        event
    }

    fn accept(&mut self, next: u32, units: u32) {
        self.expected = Some(next);
        self.candidate = None;
        self.counts.received += u64::from(units);
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
    }

    #[test]
    fn one_forged_number_does_not_move_the_window() {
        // C5
        let mut tracker = SequenceTracker::new();
        observe(&mut tracker, &[10, 11, 2_000_000_000, 12, 13], 1);
        let counts = *tracker.counts();
        assert_eq!((counts.lost, counts.late, counts.resets), (0, 0, 0));
        assert_eq!(tracker.observe(14, 1), SequenceEvent::InOrder);
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
