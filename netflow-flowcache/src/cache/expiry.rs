//! Handing out what has ended.

use core::hint::black_box;

use super::Cache;
use crate::{
    ExpireReason, Extra, StoredKey, Timestamp,
    context::{Context, Look},
    order::{List, TICK_BITS},
    record::Record,
};

/// Timer entries that one poll may look at.
const LOOKS_PER_POLL: usize = 8;
/// Records read ahead of those that are handed out in a row.
const AHEAD: usize = 32;
/// Those of them that are found at once, each of which leads to the next one: the others are found one look at a time.
const AT_ONCE: usize = 8;

/// Goes ahead of those who poll many records, from one to the next: who only follows the links waits for each of them.
///
/// All of it is guesswork. Where packets have moved a flow meanwhile, a record is read that nobody needs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scout {
    /// Slots found, of records not yet read.
    slots: [u32; AHEAD],
    found: usize,
    /// Where it stands; `None`: at the end of a list.
    at: Option<u32>,
    /// How many of the next looks are at records that were read.
    near: usize,
}

/// What a look at the next slot whose timer has come leads to.
enum Next {
    /// Its record is to be handed out for this reason, and its flow goes on or not.
    HandOut(u32, ExpireReason, bool),
    /// It is not due yet.
    Later,
    Nothing,
}

impl<S: StoredKey, X: Extra> Cache<S, X> {
    /// Whether there may be something to poll by this tick.
    #[inline]
    pub(crate) const fn may_poll(&self, tick: u64) -> bool {
        self.sweep.is_some() || self.order.may_be_due(tick)
    }

    /// The next record that has ended, as what `make` gives.
    #[inline]
    pub(crate) fn poll<R>(
        &mut self,
        context: &mut Context,
        make: impl FnOnce(&Record<S>, &X, ExpireReason) -> R,
    ) -> Option<R> {
        if let Some(slot) = self.order.poll_ended() {
            self.scout.near = self.scout.near.saturating_sub(1);
            let record = self.records.get(slot as usize)?;
            let ended = make(record, self.extras.get(slot as usize)?, record.reason());
            self.order.release(slot);
            return Some(ended);
        }
        // A record is ended in one place only, so that it is ended where it is wanted.
        let (slot, reason, goes_on) = self.next_to_hand_out(context)?;
        let record = self.records.get_mut(slot as usize)?;
        let ended = make(record, self.extras.get(slot as usize)?, reason);
        if goes_on {
            record.empty();
            self.rearm(context, slot);
        } else {
            let hash = record.key.hash(context.seed);
            self.forget(hash, slot);
        }
        context.stats.count_expired(reason);
        Some(ended)
    }

    /// The slot of the next record that is to be handed out from its place in the table, why, and whether its flow goes on.
    #[inline]
    fn next_to_hand_out(&mut self, context: &mut Context) -> Option<(u32, ExpireReason, bool)> {
        if self.sweep.is_some() {
            let ended = self.poll_flushed(context);
            if let Some((slot, reason)) = ended {
                return Some((slot, reason, false));
            }
            if self.sweep.is_some() {
                return None;
            }
        }
        self.poll_due(context)
    }

    /// Reads the records that are handed out next, so that they are near when they are needed. To be called before each of
    /// many polls.
    ///
    /// Their misses overlap, where those of one poll after another would not.
    #[inline]
    pub(crate) fn scout(&mut self, context: &Context) {
        if self.scout.near == 0 {
            self.touch_found(context);
        }
        // Some of the records looked at are not handed out.
        for _ in 0..2 {
            let Scout { slots, found, at, .. } = &mut self.scout;
            let (Some(slot), Some(place)) = (*at, slots.get_mut(*found)) else { return };
            *place = slot;
            *found += 1;
            *at = self.order.behind(slot);
        }
    }

    #[inline(never)]
    fn touch_found(&mut self, context: &Context) {
        if self.scout.found == 0 {
            let Some(first) = self.first_to_look_at(context) else { return };
            self.scout.at = Some(first);
            for place in self.scout.slots.iter_mut().take(AT_ONCE) {
                let Some(slot) = self.scout.at else { break };
                *place = slot;
                self.scout.found += 1;
                self.scout.at = self.order.behind(slot);
            }
        }
        let slots = self.scout.slots;
        let slots = slots.get(..self.scout.found).unwrap_or(&slots);
        let records = slots.iter().fold(0, |read, slot| read ^ self.touch_record(*slot));
        let hash_of =
            |slot: &u32| self.records.get(*slot as usize).map(|record| record.key.hash(context.seed));
        let buckets = slots.iter().filter_map(hash_of).fold(0, |read, hash| read ^ self.touch_bucket(hash));
        black_box(records ^ buckets);
        self.scout.near = slots.len();
        self.scout.found = 0;
    }

    /// The slot that the next poll looks at.
    fn first_to_look_at(&mut self, context: &Context) -> Option<u32> {
        if let Some(slot) = self.order.first_ended() {
            return Some(slot);
        }
        match self.sweep {
            Some(list) => self.order.occupied_from(list).map(|(_, slot)| slot),
            None => self.order.due(context.tick),
        }
    }

    /// The next record whose deadline has passed, as far as a few looks find one.
    #[inline]
    fn poll_due(&mut self, context: &mut Context) -> Option<(u32, ExpireReason, bool)> {
        for _ in 0..LOOKS_PER_POLL {
            match self.look_at_next(context) {
                Next::HandOut(slot, reason, goes_on) => return Some((slot, reason, goes_on)),
                Next::Later => {}
                Next::Nothing => break,
            }
        }
        None
    }

    /// Looks at the next slot whose timer has come.
    #[inline(never)]
    fn look_at_next(&mut self, context: &mut Context) -> Next {
        let Some(slot) = self.order.due(context.tick) else { return Next::Nothing };
        self.scout.near = self.scout.near.saturating_sub(1);
        context.stats.timer_looks += 1;
        let Some(record) = self.records.get(slot as usize) else { return Next::Nothing };
        let start = self.start(slot);
        let reason = match context.look(record, start) {
            Look::Ended(reason) => reason,
            Look::Due(tick) => {
                self.order.rearm(slot, tick, context.tick);
                return Next::Later;
            }
        };
        if record.is_empty() {
            let hash = record.key.hash(context.seed);
            self.forget(hash, slot);
            return Next::Later;
        }
        Next::HandOut(slot, reason, context.outlives(record, start, reason))
    }

    /// The next flow that was in the table at a flush.
    ///
    /// Within each list they stand before all flows that came later: those to be flushed never move, and others
    /// join at the end. So each list is visited once, and left at the first flow that is not to be flushed.
    fn poll_flushed(&mut self, context: &Context) -> Option<(u32, ExpireReason)> {
        for _ in 0..LOOKS_PER_POLL {
            let list = self.sweep?;
            let Some((list, slot)) = self.order.occupied_from(list) else {
                self.sweep = None;
                return None;
            };
            self.scout.near = self.scout.near.saturating_sub(1);
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
            return Some((slot, reason));
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
}
