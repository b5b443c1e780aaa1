//! Frames metered many at once: the lookups of their flows overlap, and so does the reading of the frames, which what is
//! larger than the processor's cache gains from.

use core::time::Duration;

use netflow_flowcache::{ObservedPacket, Timestamp};

use super::{Meter, MeteredFlow, Observed};
use crate::{capture::ObservationPoint, pcap::Frame};

/// Packets that are metered at once.
const PACKETS: usize = 32;
/// Frames further apart than this are not metered at once: flows end no later for it.
const SPAN: Duration = Duration::from_millis(50);

/// Packets taken apart and selected, but not metered yet.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    packets: Vec<(ObservedPacket, Timestamp)>,
    /// How many of them have been metered.
    metered: usize,
    /// From the first frame gathered to this time.
    until: Option<Timestamp>,
    /// The newest time of frames without a packet to be metered.
    time: Timestamp,
}

impl Meter {
    /// Whether a frame of this time can be gathered before those at hand are metered.
    #[inline]
    #[must_use]
    pub fn can_gather(&self, time: Timestamp) -> bool {
        let Gathered { packets, until, .. } = &self.gathered;
        packets.len() < PACKETS && until.is_none_or(|until| time < until)
    }

    /// Takes a frame apart, to be metered together with others by [`Self::meter_gathered`].
    #[inline]
    pub fn gather_frame(&mut self, frame: &Frame<'_>) {
        self.gather_frame_at(frame, ObservationPoint::default());
    }

    /// As [`Self::gather_frame`], of a frame seen at `point`. What the frame itself says of it goes before.
    #[inline]
    pub fn gather_frame_at(&mut self, frame: &Frame<'_>, point: ObservationPoint) {
        let time = frame.timestamp;
        self.gathered.until.get_or_insert_with(|| time.saturating_add(SPAN));
        let Observed { packet, carried } = self.observe(frame, point);
        for packet in packet.iter().chain(&carried) {
            if self.selects(packet, frame) {
                self.gathered.packets.push((*packet, time));
            } else {
                self.sampled_out += 1;
            }
        }
        // Time passes by all frames.
        self.gathered.time = self.gathered.time.max(time);
    }

    /// Meters what was gathered, or a part of it: whether that was all. Poll the flows that ended before calling it again.
    pub fn meter_gathered(&mut self) -> bool {
        let Gathered { packets, metered, until, time } = &mut self.gathered;
        let rest = packets.get(*metered..).unwrap_or_default();
        if !rest.is_empty() {
            *metered += self.table.handle_packets(rest);
            if *metered < packets.len() {
                return false;
            }
        }
        packets.clear();
        (*metered, *until) = (0, None);
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
