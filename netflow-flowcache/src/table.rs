//! The flow table: packets in, flow records out.
//!
//! ```text
//!              index                  records              order
//!   hash  ->  bucket of 8 tags   ->   key, counters   <-   timer wheel, ended flows
//! ```
//!
//! All memory is taken when the table is made. A record stays in its slot from its first packet until it is
//! polled: a flow whose time has come just stays in the table, and a flow ended by a packet leaves the index and
//! waits in its slot. So there is no queue that could overflow, and whoever polls sets the pace.

use alloc::vec::Vec;

use crate::{
    Config, ExpireReason, ExpiredFlow, FirstPacket, FlowKey, HashSeed, ObservedPacket, SevenTuple, Stats,
    Timestamp,
    expire::{Deadlines, FIN, RST, SYN},
    flow::Record,
    index::{Index, Place},
    order::{List, Order, TICK_BITS, tick_after, tick_of},
};

/// Timer entries that one poll may look at.
const LOOKS_PER_POLL: usize = 32;
/// Flows that may be passed over to find one that has to make room.
const LOOKS_PER_EVICTION: usize = 8;
/// Flushes that can be told apart while the flows of the first have not all been polled.
const FLUSHES: usize = 8;

/// Packets in, flow records out: a bounded table of the flows being metered.
///
/// It reads no clock and does no input or output. Push packets in, pull ended flows out:
///
/// 1. [`handle_packet`](Self::handle_packet) for each packet, or [`handle_timeout`](Self::handle_timeout) when
///    there is none;
/// 2. [`poll_expired`](Self::poll_expired) until it gives `None`;
/// 3. wait for a packet, but no longer than until [`poll_timeout`](Self::poll_timeout).
///
/// Every call does a bounded amount of work, however many flows are due at once. The same configuration, calls
/// and times give the same records in the same order.
///
/// # When a flow ends
///
/// [`crate::Timeouts`] says when. The deadline is checked before a packet is added, so a record never contains
/// packets from after its end, and neither the values nor the number of the records depend on when the timers
/// ran. Polling finds a flow at most 67 ms after its deadline, as far as time is told to the table.
///
/// # When the table is full
///
/// A new flow always gets in. If the table holds [`capacity`](Self::capacity) flows, the one that would end
/// soonest has to leave, and if there is room, but none in the one bucket of the index where the new flow
/// belongs, the flow of that bucket that was silent longest. Either leaves with
/// [`ExpireReason::LACK_OF_RESOURCES`]: no packet is lost, it only makes more records. The index has twice as
/// many places as the table has flows; for random keys, less than one flow in a hundred meets a full bucket
/// when the table is full, and about one in six hundred when it is three quarters full.
///
/// # When ended flows are not polled
///
/// Flows whose time has come stay in the table at no cost. Those ended by packets need room apart,
/// [`Config::pending`] and what the table has unused. When all that is taken, packets that would begin a record are
/// ignored and counted in [`Stats::ignored_packets`]; packets of flows that go on are still metered.
///
/// # Memory
///
/// 164 octets for each flow with [`SevenTuple`]: 96 for the record, 36 for the values of its first packet, 16 for
/// the timer and 16 for the index. See [`memory_octets`](Self::memory_octets). All of it is taken by
/// [`new`](Self::new), and nothing later.
///
/// ```
/// use core::net::{IpAddr, Ipv4Addr};
/// use netflow_flowcache::{Config, ExpireReason, FlowTable, HashSeed, ObservedPacket, Timestamp};
///
/// let mut table: FlowTable = FlowTable::new(&Config::new(1024, HashSeed::from_u64(1)));
/// let address = |last| IpAddr::V4(Ipv4Addr::new(192, 0, 2, last));
/// table.handle_packet(&ObservedPacket::new(address(1), address(2), 17, 100), Timestamp::from_secs(10));
/// table.handle_packet(&ObservedPacket::new(address(1), address(2), 17, 200), Timestamp::from_secs(11));
/// assert_eq!(table.poll_expired(), None);
///
/// table.handle_timeout(Timestamp::from_secs(27)); // 16 s without a packet
/// let flow = table.poll_expired().unwrap();
/// assert_eq!((flow.counters.packets, flow.counters.octets), (2, 300));
/// assert_eq!(flow.reason, ExpireReason::IDLE_TIMEOUT);
/// ```
#[derive(Debug)]
pub struct FlowTable<K = SevenTuple> {
    index: Index,
    order: Order<Kept>,
    /// One for each slot used so far.
    records: Vec<Record<K>>,
    capacity: usize,
    live: usize,
    seed: HashSeed,
    deadlines: Deadlines,
    /// How far back a late packet may be, in nanoseconds.
    reorder: u64,
    /// The newest time seen.
    clock: Timestamp,
    /// The tick of the clock, plus all ticks that it was set back.
    tick: u64,
    tick_offset: u64,
    /// How often the table was flushed. A record with another number than this is to be flushed.
    epoch: u32,
    flushes: [Flush; FLUSHES],
    /// The list where flows to be flushed may still be, if there may be any.
    sweep: Option<List>,
    stats: Stats,
}

/// What only the first and the last moment of a record need.
#[derive(Clone, Copy, Debug)]
struct Kept {
    /// Where in the index the flow stands.
    bucket: u32,
    first_packet: FirstPacket,
}

/// A flush: the flows of its time end with its reason, but for those that had ended before.
#[derive(Clone, Copy, Debug)]
struct Flush {
    clock: Timestamp,
    reason: ExpireReason,
}

impl<K: FlowKey> FlowTable<K> {
    /// An empty table with all the memory it will ever use.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let capacity = config.capacity.clamp(1, Config::MAX_CAPACITY);
        let slots = capacity + config.pending.clamp(1, Config::MAX_CAPACITY);
        Self {
            index: Index::new(capacity),
            order: Order::new(slots),
            records: Vec::with_capacity(slots),
            capacity,
            live: 0,
            seed: config.seed,
            deadlines: Deadlines::new(&config.timeouts),
            reorder: u64::try_from(config.reorder.as_nanos()).unwrap_or(u64::MAX),
            clock: Timestamp::ZERO,
            tick: 0,
            tick_offset: 0,
            epoch: 0,
            flushes: [Flush { clock: Timestamp::ZERO, reason: ExpireReason::FORCED_END }; FLUSHES],
            sweep: None,
            stats: Stats::default(),
        }
    }

    /// Meters a packet that was observed at `now`.
    ///
    /// A `now` that is less than [`Config::reorder`] behind the newest time seen counts as the newest time; one
    /// further back ends all flows and sets the clock back.
    #[inline]
    pub fn handle_packet(&mut self, packet: &ObservedPacket, now: Timestamp) {
        // Where this is inlined, the key is made from what is still in registers.
        let key = K::of(packet);
        self.meter(key.hash(self.seed), key, packet, now);
    }

    /// Tells the table what time it is, when no packet does.
    ///
    /// Ends nothing itself: [`poll_expired`](Self::poll_expired) then gives what is due. The clock must be the
    /// one of the packets, and times behind the newest are taken like those of packets.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.set_clock(now);
    }

    /// Ends all flows, with [`ExpireReason::FORCED_END`] at a shutdown, for example.
    ///
    /// Takes no time itself: the flows then come from [`poll_expired`](Self::poll_expired), each once. Packets
    /// may come in meanwhile and begin new records, which are not part of the flush. Flows whose deadline has
    /// passed keep their reason. If more than eight flushes are under way at once, flows of the older ones count
    /// as part of a later one.
    pub fn flush(&mut self, reason: ExpireReason) {
        if let Some(flush) = self.flushes.get_mut(self.epoch as usize % FLUSHES) {
            *flush = Flush { clock: self.clock, reason };
        }
        self.epoch = self.epoch.wrapping_add(1);
        self.sweep = (self.live != 0).then_some(List::FIRST);
    }

    /// The next flow that has ended.
    ///
    /// Looks at 32 timer entries at most. It can therefore give `None` with flows still due, if as many in turn
    /// have been seen since they were put there; [`poll_timeout`](Self::poll_timeout) then gives a time that has
    /// passed, and the next call goes on.
    #[inline]
    pub fn poll_expired(&mut self) -> Option<ExpiredFlow<K>> {
        if let Some((slot, reason)) = self.order.first_ended() {
            return self.hand_out(slot, reason);
        }
        if self.sweep.is_some()
            && let Some(flow) = self.poll_flushed()
        {
            return Some(flow);
        }
        for _ in 0..LOOKS_PER_POLL {
            let slot = self.order.due(self.tick)?;
            self.stats.timer_looks += 1;
            let record = self.records.get(slot as usize)?;
            if let Some(reason) = self.ended(record) {
                return self.hand_out_live(slot, reason);
            }
            self.rearm(slot);
        }
        None
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) if no packet comes before; `None`: there is nothing
    /// to wait for.
    ///
    /// A time that has passed means that there may be more to poll at once. A flow seen since its timer was set
    /// is not due at that time, so a poll may find nothing.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        if self.sweep.is_some() || self.order.first_ended().is_some() {
            return Some(self.clock);
        }
        let tick = self.order.next_tick()?.saturating_sub(self.tick_offset);
        Some(Timestamp::from_nanos(tick.saturating_mul(1 << TICK_BITS)))
    }

    /// Flows being metered, without those that have left the index and wait to be polled.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.live
    }

    /// Whether no flow is being metered.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// The most flows that are metered at once.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// What the table has counted about itself.
    #[must_use]
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Octets on the heap, fixed at creation.
    #[must_use]
    pub fn memory_octets(&self) -> usize {
        self.index.octets() + self.order.octets() + self.records.capacity() * size_of::<Record<K>>()
    }

    /// Adds a packet to its flow.
    fn meter(&mut self, hash: u64, key: K, packet: &ObservedPacket, now: Timestamp) {
        if self.set_clock(now) {
            self.stats.late_packets += 1;
        }
        self.stats.packets += 1;
        self.stats.octets = self.stats.octets.saturating_add(u64::from(packet.octets));
        let records = &self.records;
        let found =
            self.index.find(hash, |slot| records.get(slot as usize).is_some_and(|record| record.key == key));
        match found {
            Some((place, slot)) => self.continue_flow(hash, place, slot, key, packet),
            None => self.begin_flow(hash, key, packet),
        }
    }

    /// Moves the clock; true if `now` is behind it, but not so far that the clock must have been set back.
    #[inline]
    fn set_clock(&mut self, now: Timestamp) -> bool {
        if now < self.clock {
            return self.set_clock_back(now);
        }
        self.clock = now;
        self.tick = tick_of(now).saturating_add(self.tick_offset);
        false
    }

    /// Ends all flows when the clock was set back: their times mean nothing to the new clock.
    #[cold]
    fn set_clock_back(&mut self, now: Timestamp) -> bool {
        if self.clock.as_nanos() - now.as_nanos() <= self.reorder {
            return true;
        }
        self.flush(ExpireReason::FORCED_END);
        // The wheel turns on from where it is.
        self.tick_offset = self.tick_offset.saturating_add(tick_of(self.clock) - tick_of(now));
        self.clock = now;
        self.stats.clock_restarts += 1;
        false
    }

    /// A packet whose key is in the table.
    #[inline]
    fn continue_flow(&mut self, hash: u64, place: Place, slot: u32, key: K, packet: &ObservedPacket) {
        let Some(record) = self.records.get_mut(slot as usize) else { return };
        let new_connection = self.deadlines.tcp && packet.tcp_flags & SYN != 0 && record.tcp_flags & FIN != 0;
        let passed = self.deadlines.passed(record, self.clock);
        if new_connection || passed.is_some() || record.epoch != self.epoch {
            self.succeed_flow(hash, place, slot, key, packet);
            return;
        }
        let closing = packet.tcp_flags & !record.tcp_flags & FIN != 0;
        record.add(packet, self.clock);
        if closing || packet.tcp_flags & RST != 0 {
            self.settle(place, slot, packet);
        }
    }

    /// A packet for a record that has ended: the record makes way for one that begins with the packet.
    #[cold]
    fn succeed_flow(&mut self, hash: u64, place: Place, old: u32, key: K, packet: &ObservedPacket) {
        let Some(record) = self.records.get(old as usize) else { return };
        let reason = self.ended(record).unwrap_or(ExpireReason::END_OF_FLOW);
        let Some(slot) = self.begin_record(hash, key, packet) else { return };
        self.index.replace(place, slot);
        self.order.end(old, reason);
        self.stats.count_expired(reason);
        self.settle_if_closing(place, slot, packet);
    }

    /// A packet whose key is not in the table.
    #[inline(never)]
    fn begin_flow(&mut self, hash: u64, key: K, packet: &ObservedPacket) {
        // Nothing is evicted for a packet that cannot be metered.
        if self.order.has_unused() {
            if let Some(bucket) = self.index.full_bucket(hash) {
                self.evict_from(&bucket);
            } else if self.live == self.capacity {
                self.evict_soonest();
            }
        }
        let Some(slot) = self.begin_record(hash, key, packet) else { return };
        // There is room: a place has become free if none was.
        self.index.insert(hash, slot);
        self.live += 1;
        if packet.tcp_flags & (FIN | RST) != 0 || self.deadlines.immediate {
            let Some((place, _)) = self.index.find(hash, |candidate| candidate == slot) else { return };
            self.settle_if_closing(place, slot, packet);
        }
    }

    /// Begins a record in an unused slot and arms its timer; counts the packet as ignored if there is no slot.
    #[inline]
    fn begin_record(&mut self, hash: u64, key: K, packet: &ObservedPacket) -> Option<u32> {
        let kept = Kept { bucket: self.index.bucket_of(hash), first_packet: FirstPacket::of(packet) };
        let Some(slot) = self.order.allocate(kept) else {
            self.stats.ignored_packets += 1;
            self.stats.ignored_octets = self.stats.ignored_octets.saturating_add(u64::from(packet.octets));
            return None;
        };
        let record = Record::new(key, packet, self.clock, self.epoch);
        let tick = self.due_tick(&record);
        if let Some(old) = self.records.get_mut(slot as usize) {
            *old = record;
        } else {
            // A slot that was never used, so the next one; there is capacity for all slots.
            self.records.push(record);
        }
        self.order.arm(slot, tick, self.tick);
        self.stats.flows_created += 1;
        Some(slot)
    }

    #[inline]
    fn settle_if_closing(&mut self, place: Place, slot: u32, packet: &ObservedPacket) {
        if packet.tcp_flags & (FIN | RST) != 0 || self.deadlines.immediate {
            self.settle(place, slot, packet);
        }
    }

    /// Ends a flow with the packet just added, if that is its last, or makes its timer come earlier.
    #[inline(never)]
    fn settle(&mut self, place: Place, slot: u32, packet: &ObservedPacket) {
        let Some(record) = self.records.get(slot as usize) else { return };
        let reset = self.deadlines.tcp && packet.tcp_flags & RST != 0;
        let ended =
            if reset { Some(ExpireReason::END_OF_FLOW) } else { self.deadlines.passed(record, self.clock) };
        match ended {
            Some(reason) => self.end_flow(place, slot, reason),
            None => self.rearm(slot),
        }
    }

    /// Takes a flow out of the index; it waits in its slot to be polled.
    fn end_flow(&mut self, place: Place, slot: u32, reason: ExpireReason) {
        self.index.remove(place);
        self.order.end(slot, reason);
        self.live -= 1;
        self.stats.count_expired(reason);
    }

    /// Ends the flow of a full bucket that was silent longest.
    #[cold]
    fn evict_from(&mut self, bucket: &[u32]) {
        let oldest = bucket
            .iter()
            .copied()
            .min_by_key(|slot| self.records.get(*slot as usize).map_or(Timestamp::MAX, |record| record.last));
        if let Some(slot) = oldest {
            self.evict(slot);
        }
    }

    /// Ends the flow that would end soonest, as far as a few looks can tell.
    fn evict_soonest(&mut self) {
        let mut soonest = None;
        for _ in 0..LOOKS_PER_EVICTION {
            let Some((list, slot)) = self.order.earliest() else { return };
            let Some(record) = self.records.get(slot as usize) else { return };
            soonest = Some(slot);
            if self.ended(record).is_some() {
                break;
            }
            // Seen since: it belongs into a later list, and another flow is the next to end.
            self.rearm(slot);
            if self.order.list_of(slot) == Some(list) {
                break;
            }
        }
        if let Some(slot) = soonest {
            self.evict(slot);
        }
    }

    fn evict(&mut self, slot: u32) {
        let Some(record) = self.records.get(slot as usize) else { return };
        let reason = self.ended(record).unwrap_or(ExpireReason::LACK_OF_RESOURCES);
        if let Some(place) = self.place_of(slot) {
            self.end_flow(place, slot, reason);
        }
    }

    /// The next flow that was in the table at a flush.
    ///
    /// Within each list they stand before all flows that came later: those to be flushed never move, and others
    /// join at the end. So each list is visited once, and left at the first flow that is not to be flushed.
    fn poll_flushed(&mut self) -> Option<ExpiredFlow<K>> {
        while let Some(list) = self.sweep {
            let Some((list, slot)) = self.order.occupied_from(list) else {
                self.sweep = None;
                break;
            };
            let record = self.records.get(slot as usize)?;
            if record.epoch == self.epoch {
                self.sweep = Some(list.after());
                continue;
            }
            self.sweep = Some(list);
            let reason = self.ended(record).unwrap_or(ExpireReason::FORCED_END);
            return self.hand_out_live(slot, reason);
        }
        None
    }

    /// Hands out a flow that is still in the index.
    fn hand_out_live(&mut self, slot: u32, reason: ExpireReason) -> Option<ExpiredFlow<K>> {
        let place = self.place_of(slot)?;
        self.index.remove(place);
        self.live -= 1;
        self.stats.count_expired(reason);
        self.hand_out(slot, reason)
    }

    /// Frees the slot of a flow that is no longer in the index.
    #[inline]
    fn hand_out(&mut self, slot: u32, reason: ExpireReason) -> Option<ExpiredFlow<K>> {
        let record = self.records.get(slot as usize)?;
        let first_packet = self.order.kept(slot)?.first_packet;
        self.order.release(slot);
        Some(ExpiredFlow { key: record.key, counters: record.counters(), first_packet, reason })
    }

    fn rearm(&mut self, slot: u32) {
        let Some(record) = self.records.get(slot as usize) else { return };
        let tick = self.due_tick(record);
        self.order.rearm(slot, tick, self.tick);
    }

    /// Why a flow in the table has ended, by its deadline or by a flush; `None` if it goes on.
    fn ended(&self, record: &Record<K>) -> Option<ExpireReason> {
        let age = self.epoch.wrapping_sub(record.epoch);
        if age == 0 {
            return self.deadlines.passed(record, self.clock);
        }
        // The flush that came first after the record began, or the first that is remembered.
        let epoch = if age as usize <= FLUSHES { record.epoch } else { self.epoch };
        let flush = self.flushes.get(epoch as usize % FLUSHES)?;
        Some(self.deadlines.passed(record, flush.clock).unwrap_or(flush.reason))
    }

    fn place_of(&self, slot: u32) -> Option<Place> {
        self.index.find_in(self.order.kept(slot)?.bucket, slot)
    }

    /// The first tick at which a record can be found ended.
    #[inline]
    fn due_tick(&self, record: &Record<K>) -> Option<u64> {
        self.deadlines.of(record).0.map(|deadline| tick_after(deadline).saturating_add(self.tick_offset))
    }
}
