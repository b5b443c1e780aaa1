//! Frames metered many at once: the lookups of their flows overlap, and so does the reading of the frames, which what is
//! larger than the processor's cache gains from.

use core::time::Duration;

use netflow_flowcache::{ObservedPacket, Timestamp};

use super::{Meter, MeteredFlow};
use crate::{capture::ObservationPoint, dissect::NOTHING, pcap::Frame};

/// Packets that are metered at once.
const PACKETS: usize = 64;
/// Frames further apart than this are not metered at once: flows end no later for it.
const SPAN: Duration = Duration::from_millis(50);

/// Packets taken apart and selected, but not metered yet.
#[derive(Debug)]
pub(super) struct Gathered {
    /// Room for them: packets are written into their places. A frame has one, or one and another that it carries.
    places: Box<[(ObservedPacket, Timestamp); PACKETS + 1]>,
    /// How many there are.
    count: usize,
    /// How many of them have been metered.
    metered: usize,
    /// Frames before this time can be gathered; the beginning of time while there are none.
    until: Timestamp,
    /// The newest time of frames without a packet to be metered.
    time: Timestamp,
}

impl Default for Gathered {
    fn default() -> Self {
        let places = Box::new([(NOTHING, Timestamp::ZERO); PACKETS + 1]);
        Self { places, count: 0, metered: 0, until: Timestamp::ZERO, time: Timestamp::ZERO }
    }
}

impl Meter {
    /// Whether a frame of this time can be gathered before those at hand are metered.
    #[inline]
    #[must_use]
    pub fn can_gather(&self, time: Timestamp) -> bool {
        let Gathered { count, until, .. } = &self.gathered;
        *count < PACKETS && (time < *until || *until == Timestamp::ZERO)
    }

    /// Takes a frame apart, to be metered together with others by [`Self::meter_gathered`].
    #[inline]
    pub fn gather_frame(&mut self, frame: &Frame<'_>) {
        self.gather_frame_at(frame, ObservationPoint::default());
    }

    /// As [`Self::gather_frame`], of a frame seen at `point`. What the frame itself says of it goes before.
    #[inline]
    pub fn gather_frame_at(&mut self, frame: &Frame<'_>, point: ObservationPoint) {
        let Gathered { places, count, until, time, .. } = &mut self.gathered;
        if *until == Timestamp::ZERO {
            *until = frame.timestamp.saturating_add(SPAN);
        }
        // Who gathers more than can be has it metered at once.
        let Some((packet, observed)) = places.get_mut(*count) else {
            return self.handle_frame_at(frame, point);
        };
        *observed = frame.timestamp;
        let taken = self.intake.take(frame, point, packet);
        *count += usize::from(taken.packet);
        if let Some(carried) = taken.carried
            && let Some(place) = places.get_mut(*count)
        {
            *place = (carried, frame.timestamp);
            *count += 1;
        }
        // Time passes by all frames.
        *time = (*time).max(frame.timestamp);
    }

    /// Meters what was gathered, or a part of it: whether that was all. Poll the flows that ended before calling it again.
    pub fn meter_gathered(&mut self) -> bool {
        let Gathered { places, count, metered, until, time } = &mut self.gathered;
        let rest = places.get(*metered..*count).unwrap_or_default();
        if !rest.is_empty() {
            *metered += self.table.handle_packets(rest);
            if *metered < *count {
                return false;
            }
        }
        (*count, *metered, *until) = (0, 0, Timestamp::ZERO);
        if *time > self.table.clock() {
            self.table.handle_timeout(*time);
        }
        true
    }

    /// Hands out the next flows that have ended, `limit` at most; how many.
    pub fn poll_flows(&mut self, limit: usize, visit: impl FnMut(&mut MeteredFlow)) -> usize {
        self.table.poll_batch(limit, visit)
    }
}
