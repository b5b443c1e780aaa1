//! From where senders of IPFIX count the records of a message.
//!
//! RFC 7011 section 3.1: a message's number is that of the records sent before it. Some senders, softflowd is one, number
//! it with its own flow records counted already, and leave out options. Both are tried at the beginning of a stream, and
//! the one with fewer gaps is it.

use netflow_codec::{SequenceEvent, SequenceTracker};

use super::Header;

/// From where a stream's numbers count.
#[derive(Clone, Debug, Default)]
pub enum Numbering {
    /// Nobody knows yet.
    #[default]
    Open,
    /// Both are tried.
    Compared {
        /// The numbers as they are if the one in force is wrong.
        other: Box<SequenceTracker>,
        /// Whether the one in force counts from behind each message.
        is_behind: bool,
        /// Messages so far.
        messages: u8,
    },
    /// From before each message, as it should be.
    Before,
    /// From behind its flow records.
    Behind,
}

impl Numbering {
    /// Messages after which it is known.
    const ENOUGH: u8 = 32;

    /// Takes the number of a message; `sequence` is the tracker in force.
    pub(super) fn observe(
        &mut self,
        sequence: &mut SequenceTracker,
        header: &Header,
        is_anew: bool,
    ) -> Option<SequenceEvent> {
        let number = header.sequence?;
        if matches!(self, Self::Open) {
            let is_first = sequence.next_number().is_none() && !is_anew && header.flows.is_some();
            *self = if is_first {
                Self::Compared { other: Box::default(), is_behind: false, messages: 0 }
            } else {
                Self::Before
            };
        }
        if let Self::Compared { other, is_behind, messages } = self
            && !is_anew
        {
            let (before, behind) =
                if *is_behind { (&mut **other, &mut *sequence) } else { (&mut *sequence, &mut **other) };
            let of_before = observe(before, number, header.units, false);
            let of_behind = Self::observe_behind(behind, number, header, false);
            let counts_itself = oddities(behind) < oddities(before);
            if counts_itself != *is_behind {
                core::mem::swap(sequence, other);
                *is_behind = counts_itself;
            }
            *messages += 1;
            if *messages >= Self::ENOUGH {
                *self = if counts_itself { Self::Behind } else { Self::Before };
            }
            return Some(if counts_itself { of_behind } else { of_before });
        }
        *self = if self.is_behind() { Self::Behind } else { Self::Before };
        Some(match self {
            Self::Behind => Self::observe_behind(sequence, number, header, is_anew),
            _ => observe(sequence, number, header.units, is_anew),
        })
    }

    fn observe_behind(
        tracker: &mut SequenceTracker,
        number: u32,
        header: &Header,
        is_anew: bool,
    ) -> SequenceEvent {
        let flows = header.flows;
        observe(tracker, number.wrapping_sub(flows.unwrap_or(0)), flows, is_anew)
    }

    /// Whether numbers count from behind each message.
    #[must_use]
    pub const fn is_behind(&self) -> bool {
        matches!(self, Self::Behind | Self::Compared { is_behind: true, .. })
    }
}

/// What speaks against a way of counting.
const fn oddities(tracker: &SequenceTracker) -> u64 {
    let counts = tracker.counts();
    counts.gaps + counts.duplicates + counts.strays + counts.late
}

fn observe(tracker: &mut SequenceTracker, number: u32, units: Option<u32>, is_anew: bool) -> SequenceEvent {
    match units {
        Some(units) if is_anew => tracker.restart(number, units),
        Some(units) => tracker.observe(number, units),
        None => tracker.observe_open(number),
    }
}

#[cfg(test)]
mod tests {
    use netflow_codec::{ExportClock, Timestamp};

    use super::*;

    /// Messages: number, flow records, records in all.
    fn take(messages: &[(u32, u32, u32)]) -> (SequenceTracker, Numbering, usize) {
        let (mut tracker, mut numbering, mut told) = (SequenceTracker::new(), Numbering::default(), 0);
        for (number, flows, units) in messages {
            let header = Header {
                sequence: Some(*number),
                units: Some(*units),
                flows: Some(*flows),
                clock: ExportClock::default(),
                received: Timestamp::ZERO,
                redefines_templates: false,
            };
            let event = numbering.observe(&mut tracker, &header, false);
            told += usize::from(matches!(event, Some(SequenceEvent::Gap { .. } | SequenceEvent::Duplicate)));
        }
        (tracker, numbering, told)
    }

    #[test]
    fn messages_that_count_themselves_are_found_out_before_any_loss_is_told() {
        // As softflowd sends them: options are not counted.
        let sent: Vec<_> = [18, 31, 32, 31, 32, 31, 27, 29, 29, 30]
            .into_iter()
            .scan(0, |sum, flows| {
                *sum += flows;
                Some((*sum, flows, flows + u32::from(flows == 18)))
            })
            .collect();
        let (tracker, numbering, told) = take(&sent);
        assert_eq!((tracker.counts().lost, tracker.counts().received, told), (0, 290, 0));
        assert!(numbering.is_behind());
        // So do two messages, and one that is lost is.
        assert_eq!(take(&sent[..2]).0.counts().lost, 0);
        let (tracker, _, told) = take(&[&sent[..6], &sent[7..]].concat());
        assert_eq!((tracker.counts().lost, told), (27, 1));
    }

    #[test]
    fn those_that_count_as_they_should_are_taken_so_whatever_is_lost() {
        let sent: Vec<_> = (0..40_u32)
            .scan(0, |sum, number| {
                let before = *sum;
                let records = 1 + number * 7 % 13;
                *sum += records;
                Some((before, records, records))
            })
            .collect();
        for lost in 1..38 {
            let (tracker, numbering, told) = take(&[&sent[..lost], &sent[lost + 1..]].concat());
            assert_eq!(
                (tracker.counts().lost, numbering.is_behind()),
                (sent[lost].1.into(), false),
                "{lost}"
            );
            // One that looks for a moment as if messages counted themselves is not told.
            assert!(told <= 1, "{lost}");
        }
        // Messages of one size look the same either way.
        let same: Vec<_> = (0..40).map(|number| (number * 5, 5, 5)).collect();
        let (tracker, numbering, _) = take(&[&same[..3], &same[4..9], &same[11..]].concat());
        assert_eq!((tracker.counts().lost, numbering.is_behind()), (15, false));
    }
}
