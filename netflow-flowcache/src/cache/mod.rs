//! The flows of one family: index, records and order.
//!
//! ```text
//!              index                  records              order
//!   hash  ->  bucket of 12 tags  ->   key, counters   <-   timer wheel, ended flows
//! ```
//!
//! A record stays in its slot from its first packet until it is polled. A record ended by a packet while its flow goes
//! on is copied to a slot of its own, where it waits; a flow ended by a packet leaves the index and waits in its slot.

mod expiry;
mod lookups;
mod room;

use alloc::vec::Vec;

use crate::{
    Config, ConfigError, ExpireReason, Extra, ObservedPacket, StoredKey, Timestamp,
    context::Context,
    index::Index,
    memory::reserved,
    order::{List, Order},
    record::Record,
};

pub(crate) use lookups::GROUP;

/// The flows of one family.
#[derive(Debug)]
pub(crate) struct Cache<S: StoredKey, X> {
    index: Index,
    order: Order,
    /// One for each slot used so far, as of the next two.
    records: Vec<Record<S>>,
    extras: Vec<X>,
    /// When flows began, if that is needed.
    starts: Option<Vec<Timestamp>>,
    slots: usize,
    capacity: usize,
    live: usize,
    /// The list where flows to be flushed may still be, if there may be any.
    sweep: Option<List>,
    emergency: room::Ageing,
    scout: expiry::Scout,
    lookups: lookups::Lookups<S>,
}

impl<S: StoredKey, X: Extra> Cache<S, X> {
    pub(crate) fn new(config: &Config, capacity: usize, lifetime: bool) -> Result<Self, ConfigError> {
        let slots = if capacity == 0 { 0 } else { capacity + config.pending };
        Ok(Self {
            index: Index::new(capacity)?,
            order: Order::new(slots)?,
            records: reserved(slots)?,
            extras: reserved(slots)?,
            starts: if lifetime { Some(reserved(slots)?) } else { None },
            slots,
            capacity,
            live: 0,
            sweep: None,
            emergency: room::Ageing::new(config, capacity),
            scout: expiry::Scout::default(),
            lookups: lookups::Lookups::new()?,
        })
    }

    /// Flows in the table.
    pub(crate) const fn len(&self) -> usize {
        self.live
    }

    pub(crate) const fn capacity(&self) -> usize {
        self.capacity
    }

    /// Slots that nothing waits in or is metered in.
    pub(crate) const fn unused(&self) -> usize {
        self.order.unused()
    }

    pub(crate) const fn depths(&self) -> [u32; crate::index::PROBES] {
        self.index.depths()
    }

    pub(crate) fn octets(&self) -> usize {
        self.index.octets()
            + self.order.octets()
            + self.records.capacity() * size_of::<Record<S>>()
            + self.extras.capacity() * size_of::<X>()
            + self.lookups.octets()
            + self.starts.as_ref().map_or(0, |starts| starts.capacity() * size_of::<Timestamp>())
    }

    /// Reads the bucket that a hash belongs to, so that it is near when it is needed.
    #[inline]
    pub(crate) fn touch_bucket(&self, hash: u64) -> u64 {
        self.index.touch(hash).1
    }

    /// Reads the record of a slot, so that it is near when it is needed.
    #[inline]
    pub(crate) fn touch_record(&self, slot: u32) -> u64 {
        self.records.get(slot as usize).map_or(0, |record| record.octets)
    }

    /// Adds a packet to its flow.
    #[inline(never)]
    pub(crate) fn meter(&mut self, context: &mut Context, hash: u64, key: &S, packet: &ObservedPacket) {
        let records = &self.records;
        let found =
            self.index.find(hash, |slot| records.get(slot as usize).is_some_and(|record| record.key == *key));
        let Some((_, slot)) = found else { return self.begin_flow(context, hash, key, packet) };
        let Some(record) = self.records.get_mut(slot as usize) else { return };
        // Most packets are this, and wait for nothing but the record.
        if context.just_adds(record, packet) {
            record.add_whole(packet, context.clock);
            self.add_extra(slot, packet, context.clock);
        } else {
            self.continue_or_end(context, hash, slot, packet);
        }
    }

    #[inline]
    fn add_extra(&mut self, slot: u32, packet: &ObservedPacket, now: Timestamp) {
        if X::ON_EACH_PACKET
            && let Some(extra) = self.extras.get_mut(slot as usize)
        {
            extra.add(packet, now);
        }
    }

    fn add(&mut self, context: &mut Context, hash: u64, slot: u32, packet: &ObservedPacket) {
        let Some(record) = self.records.get_mut(slot as usize) else { return };
        let before = record.tcp_flags();
        record.add(packet, context.clock);
        self.add_extra(slot, packet, context.clock);
        if context.rules.closes(packet) && packet.tcp_flags & !before != 0 {
            self.settle(context, hash, slot);
        }
    }

    /// A packet for a record that may have ended.
    #[inline(never)]
    fn continue_or_end(&mut self, context: &mut Context, hash: u64, slot: u32, packet: &ObservedPacket) {
        let Some(record) = self.records.get(slot as usize) else { return };
        let start = self.start(slot);
        if record.is_empty() {
            let known = context.is_current(record) && context.rules.is_known(record, start, context.clock);
            self.begin_again(context, hash, slot, packet, known);
            return;
        }
        let mut goes_on = false;
        let reason = if let Some(reason) = context.ended(record, start) {
            goes_on = context.outlives(record, start, reason);
            reason
        } else if context.rules.is_new_connection(record, packet) {
            ExpireReason::END_OF_FLOW
        } else if !context.rules.has_room(record, packet) {
            context.stats.counter_limits += 1;
            goes_on = true;
            ExpireReason::LACK_OF_RESOURCES
        } else {
            self.add(context, hash, slot, packet);
            return;
        };
        // The ended record waits in a slot of its own.
        let (mut ended, Some(extra)) = (*record, self.extras.get(slot as usize).copied()) else { return };
        let Some(waiting) = self.order.allocate() else {
            context.stats.count_ignored(packet.octets);
            return;
        };
        ended.end(reason);
        self.put(waiting, ended, extra, start);
        self.order.end_new(waiting);
        context.stats.count_expired(reason);
        self.begin_again(context, hash, slot, packet, goes_on);
    }

    /// A further record of a flow that `goes_on`, or another flow of the same key, in the slot of the old record.
    fn begin_again(
        &mut self,
        context: &mut Context,
        hash: u64,
        slot: u32,
        packet: &ObservedPacket,
        goes_on: bool,
    ) {
        let (Some(record), Some(extra)) =
            (self.records.get_mut(slot as usize), self.extras.get_mut(slot as usize))
        else {
            return;
        };
        *record = Record::new(record.key, packet, context.clock, context.epoch);
        if goes_on {
            extra.resume(packet, context.clock);
        } else {
            *extra = X::begin(packet, context.clock);
            context.stats.observed_flows += 1;
            if let Some(start) = self.starts.as_mut().and_then(|starts| starts.get_mut(slot as usize)) {
                *start = context.clock;
            }
        }
        context.stats.records_begun += 1;
        self.rearm(context, slot);
        self.settle_if_closing(context, hash, slot, packet);
    }

    /// A packet whose flow is not in the table.
    #[inline(never)]
    fn begin_flow(&mut self, context: &mut Context, hash: u64, key: &S, packet: &ObservedPacket) {
        let Some(slot) = self.enter(context, hash) else {
            context.stats.count_ignored(packet.octets);
            return;
        };
        let record = Record::new(*key, packet, context.clock, context.epoch);
        let tick = if context.rules.closes(packet) {
            context.due_tick(&record, context.clock)
        } else {
            context.due_tick_of_new(packet.protocol)
        };
        self.put(slot, record, X::begin(packet, context.clock), context.clock);
        self.order.arm(slot, tick, context.tick);
        self.live += 1;
        context.stats.observed_flows += 1;
        context.stats.records_begun += 1;
        self.settle_if_closing(context, hash, slot, packet);
    }

    /// A slot for a new flow with this hash, which the index leads to; `None` if there is no room for it.
    #[inline]
    fn enter(&mut self, context: &mut Context, hash: u64) -> Option<u32> {
        if self.live >= self.emergency.ordinary() && !self.make_room(context, hash) {
            return None;
        }
        if self.live >= self.index.grow_at() {
            self.grow_index(context);
        }
        let slot = self.order.allocate()?;
        if self.index.insert(hash, slot).is_none() {
            // Hardly ever: there are unused places, but none where this flow could stand.
            self.order.give_back(slot);
            return self.enter_by_force(context, hash);
        }
        Some(slot)
    }

    /// Splits twice as many buckets as flows come, so that those that have not been split are not overfull.
    #[inline(never)]
    fn grow_index(&mut self, context: &Context) {
        let Self { index, records, live, .. } = self;
        for _ in 0..2 {
            let hash_of =
                |slot: u32| records.get(slot as usize).map_or(0, |record| record.key.hash(context.seed));
            index.grow(*live, hash_of);
        }
    }

    #[cold]
    #[inline(never)]
    fn enter_by_force(&mut self, context: &mut Context, hash: u64) -> Option<u32> {
        if !self.make_room(context, hash) {
            return None;
        }
        let slot = self.order.allocate()?;
        if self.index.insert(hash, slot).is_none() {
            self.order.give_back(slot);
            return None;
        }
        Some(slot)
    }

    /// Fills a slot that was just allocated.
    #[inline]
    fn put(&mut self, slot: u32, record: Record<S>, extra: X, start: Timestamp) {
        let slot = slot as usize;
        if let (Some(old), Some(old_extra)) = (self.records.get_mut(slot), self.extras.get_mut(slot)) {
            (*old, *old_extra) = (record, extra);
            if let Some(old) = self.starts.as_mut().and_then(|starts| starts.get_mut(slot)) {
                *old = start;
            }
        } else if self.records.len() < self.slots {
            // A slot that was never used, so the next one; there is capacity for all slots.
            self.records.push(record);
            self.extras.push(extra);
            if let Some(starts) = &mut self.starts {
                starts.push(start);
            }
        }
    }

    #[inline]
    fn settle_if_closing(&mut self, context: &mut Context, hash: u64, slot: u32, packet: &ObservedPacket) {
        if context.rules.closes(packet) || context.rules.immediate {
            self.settle(context, hash, slot);
        }
    }

    /// Ends a flow with the packet just added, if that is its last, or makes its timer come earlier.
    #[inline(never)]
    fn settle(&mut self, context: &mut Context, hash: u64, slot: u32) {
        let Some(record) = self.records.get(slot as usize) else { return };
        match context.rules.passed(record, self.start(slot), context.clock) {
            Some(reason) => self.end_flow(context, hash, slot, reason),
            None => self.rearm(context, slot),
        }
    }

    /// Takes a flow out of the index; it waits in its slot to be polled.
    fn end_flow(&mut self, context: &mut Context, hash: u64, slot: u32, reason: ExpireReason) {
        self.leave_index(hash, slot);
        if let Some(record) = self.records.get_mut(slot as usize) {
            record.end(reason);
        }
        self.order.end(slot);
        context.stats.count_expired(reason);
    }

    /// Takes a flow out of the table that has no record to hand out.
    fn forget(&mut self, hash: u64, slot: u32) {
        self.leave_index(hash, slot);
        if let Some(record) = self.records.get_mut(slot as usize) {
            record.forget();
        }
        self.order.release(slot);
    }

    fn leave_index(&mut self, hash: u64, slot: u32) {
        if let Some((place, _)) = self.index.find(hash, |candidate| candidate == slot) {
            self.index.remove(hash, place);
            self.live -= 1;
            self.emergency.flows_left(self.live);
        }
    }

    fn rearm(&mut self, context: &Context, slot: u32) {
        let Some(record) = self.records.get(slot as usize) else { return };
        let tick = context.due_tick(record, self.start(slot));
        self.order.rearm(slot, tick, context.tick);
    }

    /// When the flow of a slot began; the beginning of time where nobody asks.
    #[inline]
    fn start(&self, slot: u32) -> Timestamp {
        self.starts.as_ref().and_then(|starts| starts.get(slot as usize)).copied().unwrap_or(Timestamp::ZERO)
    }
}
