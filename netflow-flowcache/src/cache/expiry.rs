//! Handing out what has ended.

use core::hint::black_box;

use super::{Cache, Ended};
use crate::{
    ExpireReason, Extra, StoredKey, Timestamp,
    context::Context,
    order::{List, TICK_BITS},
};

/// Timer entries that one poll may look at.
const LOOKS_PER_POLL: usize = 32;
/// Records read ahead of those that are handed out in a row.
const AHEAD: usize = 16;

impl<S: StoredKey, X: Extra> Cache<S, X> {
    /// Whether there may be something to poll by this tick.
    #[inline]
    pub(crate) const fn may_poll(&self, tick: u64) -> bool {
        self.sweep.is_some() || self.order.may_be_due(tick)
    }

    /// The next record that has ended.
    pub(crate) fn poll(&mut self, context: &mut Context) -> Option<Ended<S, X>> {
        if let Some(slot) = self.order.poll_ended() {
            let ended = self.copy(slot)?;
            self.order.release(slot);
            return Some(ended);
        }
        if self.sweep.is_some() {
            let ended = self.poll_flushed(context);
            if ended.is_some() || self.sweep.is_some() {
                return ended;
            }
        }
        self.poll_due(context)
    }

    /// Reads the records that are handed out next, so that they are near when they are needed.
    ///
    /// Their misses overlap, where those of one poll after another would not.
    pub(crate) fn touch_due(&mut self, context: &Context) {
        let Some(mut slot) = self.order.first_ended().or_else(|| self.order.due(context.tick)) else {
            return;
        };
        let (mut slots, mut count) = ([0; AHEAD], 0);
        for place in &mut slots {
            *place = slot;
            count += 1;
            let Some(next) = self.order.behind(slot) else { break };
            slot = next;
        }
        let slots = slots.get(..count).unwrap_or(&[]);
        let records = self.touch_slots(slots);
        let mut hashes = [0; AHEAD];
        for (hash, slot) in hashes.iter_mut().zip(slots) {
            *hash = self.records.get(*slot as usize).map_or(0, |record| record.key.hash(context.seed));
        }
        black_box(records ^ self.touch_buckets(hashes.get(..count).unwrap_or(&hashes)));
    }

    /// The next record whose deadline has passed, as far as a few looks find one.
    #[inline]
    fn poll_due(&mut self, context: &mut Context) -> Option<Ended<S, X>> {
        for _ in 0..LOOKS_PER_POLL {
            let slot = self.order.due(context.tick)?;
            context.stats.timer_looks += 1;
            let record = self.records.get(slot as usize)?;
            let start = self.start(slot);
            let Some(reason) = context.ended(record, start) else {
                self.rearm(context, slot);
                continue;
            };
            if record.is_empty() {
                let hash = record.key.hash(context.seed);
                self.forget(hash, slot);
                continue;
            }
            if context.outlives(record, start, reason) {
                return self.report(context, slot, reason);
            }
            return self.hand_out(context, slot, reason);
        }
        None
    }

    /// The next flow that was in the table at a flush.
    ///
    /// Within each list they stand before all flows that came later: those to be flushed never move, and others
    /// join at the end. So each list is visited once, and left at the first flow that is not to be flushed.
    fn poll_flushed(&mut self, context: &mut Context) -> Option<Ended<S, X>> {
        for _ in 0..LOOKS_PER_POLL {
            let list = self.sweep?;
            let Some((list, slot)) = self.order.occupied_from(list) else {
                self.sweep = None;
                return None;
            };
            let record = self.records.get(slot as usize)?;
            if record.epoch() == context.epoch {
                self.sweep = Some(list.after());
                continue;
            }
            self.sweep = Some(list);
            if record.is_empty() {
                let hash = record.key.hash(context.seed);
                self.forget(hash, slot);
                continue;
            }
            let reason = context.ended(record, self.start(slot)).unwrap_or(ExpireReason::FORCED_END);
            return self.hand_out(context, slot, reason);
        }
        None
    }

    /// Begins to hand out all flows.
    pub(crate) const fn flush(&mut self) {
        if self.live != 0 {
            self.sweep = Some(List::FIRST);
        }
    }

    /// Whether flows of a flush may still be in the table.
    pub(crate) const fn is_flushing(&self) -> bool {
        self.sweep.is_some()
    }

    /// When there is something to poll.
    pub(crate) fn poll_timeout(&self, context: &Context) -> Option<Timestamp> {
        if self.sweep.is_some() || self.order.first_ended().is_some() {
            return Some(context.clock);
        }
        let tick = self.order.next_tick()?.saturating_sub(context.tick_offset);
        Some(Timestamp::from_nanos(tick.saturating_mul(1 << TICK_BITS)))
    }

    /// Hands out a record whose flow goes on.
    fn report(&mut self, context: &mut Context, slot: u32, reason: ExpireReason) -> Option<Ended<S, X>> {
        let ended = Ended { reason, ..self.copy(slot)? };
        self.records.get_mut(slot as usize)?.empty();
        self.rearm(context, slot);
        context.stats.count_expired(reason);
        Some(ended)
    }

    /// Hands out a flow that is still in the index.
    fn hand_out(&mut self, context: &mut Context, slot: u32, reason: ExpireReason) -> Option<Ended<S, X>> {
        let ended = Ended { reason, ..self.copy(slot)? };
        self.forget(ended.record.key.hash(context.seed), slot);
        context.stats.count_expired(reason);
        Some(ended)
    }

    #[inline]
    fn copy(&self, slot: u32) -> Option<Ended<S, X>> {
        let record = *self.records.get(slot as usize)?;
        Some(Ended { record, extra: *self.extras.get(slot as usize)?, reason: record.reason() })
    }
}
