//! Room for new flows: eviction, refusal and emergency ageing.

use super::Cache;
use crate::{
    Config, ExpireReason, Extra, StoredKey, Timestamp, WhenFull,
    context::Context,
    index::{PROBES, WAYS},
    rules::nanos,
};

/// Flows among which the one to make room is chosen, at least.
const CANDIDATES: usize = 8;
/// Slots that a packet of a new flow looks at in an emergency.
const LOOKS_PER_NEW_FLOW: usize = 4;

/// The state of emergency ageing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ageing {
    /// Flows at which it begins, and ends.
    high: usize,
    low: usize,
    /// The silence that ends a flow meanwhile, in nanoseconds.
    inactive: u64,
    active: bool,
    /// The slot to look at next.
    hand: usize,
    /// With fewer flows there is room for another one without further ado.
    ordinary: usize,
    /// The way of a bucket whose turn it is to be looked at first.
    turn: usize,
}

impl Ageing {
    pub(super) fn new(config: &Config, capacity: usize) -> Self {
        let percent =
            |percent: u8| capacity / 100 * usize::from(percent) + capacity % 100 * usize::from(percent) / 100;
        let (high, low) = config
            .emergency
            .map_or((usize::MAX, 0), |emergency| (percent(emergency.high).max(1), percent(emergency.low)));
        let inactive = nanos(config.emergency.map(|emergency| emergency.inactive));
        Self { high, low, inactive, active: false, hand: 0, ordinary: high.min(capacity), turn: 0 }
    }

    /// With fewer flows there is room for another one without further ado.
    #[inline]
    pub(super) const fn ordinary(&self) -> usize {
        if self.active { 0 } else { self.ordinary }
    }

    #[inline]
    pub(super) const fn flows_left(&mut self, live: usize) {
        if live <= self.low {
            self.active = false;
        }
    }
}

impl<S: StoredKey, X: Extra> Cache<S, X> {
    /// Makes room for one more flow; false if it gets none.
    #[inline(never)]
    pub(super) fn make_room(&mut self, context: &mut Context, hash: u64) -> bool {
        if self.live >= self.emergency.high && !self.emergency.active {
            self.emergency.active = true;
            context.stats.emergencies += 1;
        }
        if self.emergency.active {
            self.age(context);
        }
        if self.live < self.capacity && self.index.has_room(hash) {
            return true;
        }
        if context.when_full == WhenFull::RefuseNew {
            context.stats.refused_packets += 1;
            return false;
        }
        // Nothing is evicted for a packet that cannot be metered.
        if self.order.unused() == 0 {
            return false;
        }
        let Some(slot) = self.victim(context, hash) else { return false };
        self.emergency.turn = (self.emergency.turn + 1) % WAYS;
        self.evict(context, slot);
        true
    }

    /// The flow that makes room for one with this hash, by the policy.
    fn victim(&self, context: &Context, hash: u64) -> Option<u32> {
        let (mut chosen, mut earliest, mut seen) = (None, Timestamp::MAX, 0);
        // Among flows of the same time it is not always the way of the newest.
        let from = self.emergency.turn;
        for distance in 0..self.index.buckets().min(2 * PROBES) {
            for slot in self.index.slots_near(hash, distance, from) {
                let Some(record) = self.records.get(slot as usize) else { continue };
                seen += 1;
                let time = match context.when_full {
                    _ if record.is_empty() => Timestamp::ZERO,
                    WhenFull::EvictOldest => record.first,
                    _ => record.last,
                };
                if chosen.is_none() || time < earliest {
                    (chosen, earliest) = (Some(slot), time);
                }
            }
            // Where a place in the first buckets is needed, the first one is full: it has enough.
            if seen >= CANDIDATES {
                break;
            }
        }
        const { assert!(WAYS >= CANDIDATES) };
        chosen
    }

    fn evict(&mut self, context: &mut Context, slot: u32) {
        let Some(record) = self.records.get(slot as usize) else { return };
        let hash = record.key.hash(context.seed);
        if record.is_empty() {
            self.forget(hash, slot);
            return;
        }
        let reason = context.ended(record, self.start(slot)).unwrap_or(ExpireReason::LACK_OF_RESOURCES);
        if reason == ExpireReason::LACK_OF_RESOURCES {
            context.stats.evictions += 1;
        }
        self.end_flow(context, hash, slot, reason);
    }

    /// Looks at a few more slots and ends the flows that were silent for the shorter time.
    fn age(&mut self, context: &mut Context) {
        for _ in 0..LOOKS_PER_NEW_FLOW {
            let slot = self.emergency.hand;
            self.emergency.hand = if slot + 1 < self.records.len() { slot + 1 } else { 0 };
            let Some(record) = self.records.get(slot) else { return };
            let silence = context.clock.as_nanos().saturating_sub(record.last.as_nanos());
            let Ok(slot) = u32::try_from(slot) else { return };
            if record.is_live() && context.is_current(record) && silence >= self.emergency.inactive {
                let evictions = context.stats.evictions;
                self.evict(context, slot);
                context.stats.emergency_evictions += context.stats.evictions - evictions;
                context.stats.evictions = evictions;
            }
        }
    }
}
