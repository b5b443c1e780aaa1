//! The flow table: packets in, flow records out.

use crate::{
    Config, ConfigError, ExpireReason, ExpiredFlow, Extra, Form, NoKey, ObservedPacket, SevenTuple, Stats,
    StoredKey, TableKey, Timestamp,
    cache::{Cache, GROUP},
    context::{Context, Told},
    record::Record,
};

/// Up to so many flows a table is near anyway, and packets are handled one by one: index and records of these take a
/// megabyte.
const NEAR: usize = 512;

/// Polls of a batch that may find nothing although there may be something to poll.
const EMPTY_POLLS: usize = 8;

/// Packets in, flow records out: a bounded table of the flows being metered.
///
/// It reads no clock and does no input or output. Push packets in, pull ended flows out:
///
/// 1. [`handle_packet`](Self::handle_packet) for each packet, or [`handle_packets`](Self::handle_packets) for many at
///    once, or [`handle_timeout`](Self::handle_timeout) when there is none;
/// 2. [`poll_expired`](Self::poll_expired) until it gives `None`;
/// 3. wait for a packet, but no longer than until [`poll_timeout`](Self::poll_timeout).
///
/// Every call does a bounded amount of work, however many flows are due at once. The same configuration, calls
/// and times give the same records in the same order.
///
/// `K` is the Flow Key, `X` what a flow keeps besides key and counters, see [`Extra`].
///
/// # When a flow ends
///
/// [`crate::Timeouts`] says when. The deadline is checked before a packet is added, so a record never contains
/// packets from after its end, and neither the values nor the number of the records depend on when the timers
/// ran. Polling finds a flow at most 67 ms after its deadline, as far as time is told to the table.
///
/// A flow whose record ended by the active timeout stays in the table until it has been silent for its inactive timeout:
/// what it sends next is known to be the same flow.
///
/// # When the table is full
///
/// [`crate::WhenFull`] says what becomes of a new flow. By default it gets in, and another one leaves with
/// [`ExpireReason::LACK_OF_RESOURCES`]: no packet is lost, it only makes more records. The index has three places for
/// each two flows, and a flow can stand in any of eight buckets, so that random keys practically never find those full
/// before the table is.
///
/// # When ended flows are not polled
///
/// Flows whose time has come stay in the table at no cost. Those ended by packets need room apart,
/// [`Config::pending`] and what the table has unused. When all that is taken, packets that would begin a record are
/// ignored and counted in [`Stats::ignored_packets`]; packets of flows that go on are still metered.
///
/// # Memory
///
/// For each flow of a [`SevenTuple`] 80 octets in the case of IPv4 (a record of 64, 8 for the timer, 8 for the index)
/// and 112 in the case of IPv6, plus the size of `X`. A million flows take less than 96 MiB with the default share for
/// IPv6. See [`memory_octets`](Self::memory_octets). All of it is taken by [`new`](Self::new), and nothing later;
/// what flows have not needed so far has not been written to, so that a system with virtual memory still has it.
///
/// ```
/// use core::net::{IpAddr, Ipv4Addr};
/// use netflow_flowcache::{Config, ExpireReason, FlowTable, HashSeed, ObservedPacket, Timestamp};
///
/// let mut table: FlowTable = FlowTable::new(&Config::new(1024, HashSeed::from_u64(1)))?;
/// let address = |last| IpAddr::V4(Ipv4Addr::new(192, 0, 2, last));
/// table.handle_packet(&ObservedPacket::new(address(1), address(2), 17, 100), Timestamp::from_secs(10));
/// table.handle_packet(&ObservedPacket::new(address(1), address(2), 17, 200), Timestamp::from_secs(11));
/// assert_eq!(table.poll_expired(), None);
///
/// table.handle_timeout(Timestamp::from_secs(27)); // 16 s without a packet
/// let flow = table.poll_expired().unwrap();
/// assert_eq!((flow.counters.packets, flow.counters.octets), (2, 300));
/// assert_eq!(flow.reason, ExpireReason::IDLE_TIMEOUT);
/// # Ok::<(), netflow_flowcache::ConfigError>(())
/// ```
#[derive(Debug)]
pub struct FlowTable<K: TableKey = SevenTuple, X: Extra = ()> {
    fields: K::Fields,
    context: Context,
    narrow: Cache<K::Narrow, X>,
    wide: Cache<K::Wide, X>,
}

impl<K: TableKey<Fields = ()>, X: Extra> FlowTable<K, X> {
    /// An empty table with all the memory it will ever use.
    ///
    /// # Errors
    ///
    /// When the configuration makes no table, see [`ConfigError`].
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        Self::with_fields(config, ())
    }
}

impl<K: TableKey, X: Extra> FlowTable<K, X> {
    /// An empty table whose keys are made by these fields.
    ///
    /// # Errors
    ///
    /// When the configuration makes no table, or the fields do not fit into the key, see [`ConfigError`].
    pub fn with_fields(config: &Config, fields: K::Fields) -> Result<Self, ConfigError> {
        config.check()?;
        K::check(&fields)?;
        // A key without families has no need for room in the second one.
        let wide_capacity = if size_of::<K::Wide>() == size_of::<NoKey>() { 0 } else { config.ipv6_capacity };
        let context = Context::new(config);
        let lifetime = context.rules.has_lifetime();
        Ok(Self {
            fields,
            context,
            narrow: Cache::new(config, config.capacity, lifetime)?,
            wide: Cache::new(config, wide_capacity, lifetime)?,
        })
    }

    /// Meters a packet that was observed at `now`.
    ///
    /// A `now` that is less than [`Config::reorder`] behind the newest time seen counts as the newest time; one
    /// further back ends all flows and sets the clock back.
    #[expect(clippy::inline_always, reason = "the key is made from what is still in registers")]
    #[inline(always)]
    pub fn handle_packet(&mut self, packet: &ObservedPacket, now: Timestamp) {
        self.count(packet, now);
        match K::of_packet(packet, &self.fields) {
            Form::Narrow(key) => meter(&mut self.narrow, &mut self.context, key, packet),
            Form::Wide(key) => meter(&mut self.wide, &mut self.context, key, packet),
        }
    }

    /// Meters packets in their order, each observed at its time; how many of them.
    ///
    /// It does what [`handle_packet`](Self::handle_packet) does for each, faster where the table does not fit into the
    /// processor's cache: the lookups of 64 packets are begun before the first one is needed. It stops early when ended
    /// flows have to be polled, so that none of the packets is ignored for lack of room to wait: poll, then hand in
    /// the rest. Each call handles at least one packet.
    ///
    /// ```
    /// # use netflow_flowcache::{Config, FlowTable, HashSeed, ObservedPacket, Timestamp};
    /// # let mut table: FlowTable = FlowTable::new(&Config::new(1024, HashSeed::from_u64(1)))?;
    /// # let packet = ObservedPacket::new([192, 0, 2, 1].into(), [192, 0, 2, 2].into(), 17, 100);
    /// # let packets = [(packet, Timestamp::from_secs(10)); 100];
    /// let mut rest = &packets[..];
    /// while !rest.is_empty() {
    ///     let handled = table.handle_packets(rest);
    ///     rest = &rest[handled..];
    ///     while let Some(flow) = table.poll_expired() {
    ///         println!("{flow:?}");
    ///     }
    /// }
    /// # assert_eq!(table.stats().packets, 100);
    /// # Ok::<(), netflow_flowcache::ConfigError>(())
    /// ```
    #[must_use = "packets behind those handled have to be handed in again"]
    pub fn handle_packets(&mut self, packets: &[(ObservedPacket, Timestamp)]) -> usize {
        let mut handled = 0;
        for group in packets.chunks(GROUP) {
            // A packet needs one slot at most, of the family it is of.
            let room = self.narrow.unused().min(self.wide_room());
            let fits = group.get(..room.max(usize::from(handled == 0))).unwrap_or(group);
            if self.len() > NEAR {
                self.handle_group(fits);
            } else {
                for (packet, now) in fits {
                    self.handle_packet(packet, *now);
                }
            }
            handled += fits.len();
            if fits.len() < group.len() {
                break;
            }
        }
        handled
    }

    /// Tells the table what time it is, when no packet does.
    ///
    /// Ends nothing itself: [`poll_expired`](Self::poll_expired) then gives what is due. The clock must be the
    /// one of the packets, and times behind the newest are taken like those of packets.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        if self.context.tell(now) == Told::SetBack {
            self.set_back(now);
        }
    }

    /// Ends all flows, with [`ExpireReason::FORCED_END`] at a shutdown, for example.
    ///
    /// Do so, too, before the sampling or another setting of the metering changes: flows before and after then
    /// are different records (RFC 3917 sections 5.2 and 5.3).
    ///
    /// Takes no time itself: the flows then come from [`poll_expired`](Self::poll_expired), each once. Packets
    /// may come in meanwhile and begin new records, which are not part of the flush. Flows whose deadline has
    /// passed keep their reason. If more than eight flushes are under way at once, flows of the older ones count
    /// as part of a later one; if more than 250 are, each packet makes a record until the flows of those are polled.
    pub fn flush(&mut self, reason: ExpireReason) {
        let is_first = !self.is_flushing();
        self.context.begin_flush(reason, is_first);
        self.narrow.flush();
        self.wide.flush();
    }

    /// The next flow that has ended.
    ///
    /// Looks at eight timer entries of each family at most. It can therefore give `None` with flows still due, if as many
    /// in turn have been seen since they were put there; [`poll_timeout`](Self::poll_timeout) then gives a time that
    /// has passed, and the next call goes on.
    #[inline]
    pub fn poll_expired(&mut self) -> Option<ExpiredFlow<K, X>> {
        if !self.may_poll() {
            return None;
        }
        self.scout();
        self.poll_some()
    }

    /// Hands out the next flows that have ended, `limit` at most; how many.
    ///
    /// It does what [`poll_expired`](Self::poll_expired) does, faster where the table does not fit into the processor's
    /// cache.
    pub fn poll_expired_batch(&mut self, limit: usize, mut visit: impl FnMut(&ExpiredFlow<K, X>)) -> usize {
        let (mut polled, mut empty) = (0, 0);
        while polled < limit {
            if !self.may_poll() {
                break;
            }
            self.scout();
            if self.visit_next(&mut visit) {
                polled += 1;
            } else {
                // There may be more behind those that were looked at.
                empty += 1;
                if empty == EMPTY_POLLS {
                    break;
                }
            }
        }
        polled
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) if no packet comes before; `None`: there is nothing
    /// to wait for.
    ///
    /// A time that has passed means that there may be more to poll at once. A flow seen since its timer was set
    /// is not due at that time, so a poll may find nothing.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let narrow = self.narrow.poll_timeout(&self.context);
        let wide = self.wide.poll_timeout(&self.context);
        let exhausted = self.context.exhausted.then_some(self.context.clock);
        [narrow, wide, exhausted].into_iter().flatten().min()
    }

    /// Flows being metered, without those that have left the index and wait to be polled, and with those whose record
    /// was handed out while they go on.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.narrow.len() + self.wide.len()
    }

    /// IPv6 flows among them.
    #[must_use]
    pub const fn ipv6_len(&self) -> usize {
        self.wide.len()
    }

    /// Whether no flow is being metered.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most flows that are metered at once, of both families.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.narrow.capacity() + self.wide.capacity()
    }

    /// The newest time that the table was told.
    #[must_use]
    pub const fn clock(&self) -> Timestamp {
        self.context.clock
    }

    /// What keys are made by.
    #[must_use]
    pub const fn fields(&self) -> &K::Fields {
        &self.fields
    }

    /// What the table has counted about itself.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut stats = self.context.stats;
        let depths = self.narrow.depths().into_iter().zip(self.wide.depths());
        for (count, (narrow, wide)) in stats.probe_lengths.iter_mut().zip(depths) {
            *count = u64::from(narrow) + u64::from(wide);
        }
        stats
    }

    /// Octets on the heap, fixed at creation.
    #[must_use]
    pub fn memory_octets(&self) -> usize {
        self.narrow.octets() + self.wide.octets()
    }

    #[inline(never)]
    fn poll_some(&mut self) -> Option<ExpiredFlow<K, X>> {
        let narrow = |record: &Record<K::Narrow>, extra: &X, reason| {
            expired(record, extra, reason, Form::Narrow(record.key))
        };
        if let Some(flow) = self.narrow.poll(&mut self.context, narrow) {
            return Some(flow);
        }
        let wide = |record: &Record<K::Wide>, extra: &X, reason| {
            expired(record, extra, reason, Form::Wide(record.key))
        };
        if let Some(flow) = self.wide.poll(&mut self.context, wide) {
            return Some(flow);
        }
        if self.context.exhausted {
            self.flush_again();
        }
        None
    }

    /// Shows the next flow that has ended; whether there was one.
    fn visit_next(&mut self, visit: &mut impl FnMut(&ExpiredFlow<K, X>)) -> bool {
        let narrow = |record: &Record<K::Narrow>, extra: &X, reason| {
            visit(&expired(record, extra, reason, Form::Narrow(record.key)));
        };
        if self.narrow.poll(&mut self.context, narrow).is_some() {
            return true;
        }
        let wide = |record: &Record<K::Wide>, extra: &X, reason| {
            visit(&expired(record, extra, reason, Form::Wide(record.key)));
        };
        if self.wide.poll(&mut self.context, wide).is_some() {
            return true;
        }
        if self.context.exhausted {
            self.flush_again();
        }
        false
    }

    /// Reads ahead what is polled next, where the table is not near anyway.
    #[inline]
    fn scout(&mut self) {
        if self.len() > NEAR {
            self.narrow.scout(&self.context);
            self.wide.scout(&self.context);
        }
    }

    /// Whether there may be something to poll. Most often there is nothing.
    #[inline]
    const fn may_poll(&self) -> bool {
        let tick = self.context.tick;
        self.narrow.may_poll(tick) || self.wide.may_poll(tick) || self.context.exhausted
    }

    /// Counts a packet and tells its time.
    #[inline]
    fn count(&mut self, packet: &ObservedPacket, now: Timestamp) {
        match self.context.tell(now) {
            Told::New => {}
            Told::Late => self.context.stats.late_packets += 1,
            Told::SetBack => self.set_back(now),
        }
        let stats = &mut self.context.stats;
        stats.packets += 1;
        stats.octets = stats.octets.saturating_add(u64::from(packet.octets));
    }

    /// Ends all flows when the clock was set back: their times mean nothing to the new clock.
    #[cold]
    fn set_back(&mut self, now: Timestamp) {
        self.flush(ExpireReason::FORCED_END);
        self.context.set_back(now);
    }

    fn is_flushing(&self) -> bool {
        self.narrow.is_flushing() || self.wide.is_flushing()
    }

    #[cold]
    fn flush_again(&mut self) {
        if !self.is_flushing() && self.context.next_flush() {
            self.narrow.flush();
            self.wide.flush();
        }
    }

    /// Slots unused for IPv6, or any number where there are none at all.
    const fn wide_room(&self) -> usize {
        if self.wide.capacity() == 0 { usize::MAX } else { self.wide.unused() }
    }

    /// Meters a group of packets, whose lookups are all begun before the first of them is needed.
    #[inline(never)]
    fn handle_group(&mut self, group: &[(ObservedPacket, Timestamp)]) {
        let seed = self.context.seed;
        let mut clock = self.context.clock;
        let (mut late, mut octets) = (0, 0);
        for (number, (packet, now)) in group.iter().enumerate() {
            if *now >= clock {
                clock = *now;
            } else if self.context.is_late(clock, *now) {
                late += 1;
            } else {
                return self.handle_each(group);
            }
            octets += u64::from(packet.octets);
            match K::of_packet(packet, &self.fields) {
                Form::Narrow(key) => self.narrow.begin_lookup(key, seed, clock, number),
                Form::Wide(key) => self.wide.begin_lookup(key, seed, clock, number),
            }
        }
        self.narrow.read_ahead();
        self.wide.read_ahead();
        self.narrow.end_lookups(&mut self.context, group);
        self.wide.end_lookups(&mut self.context, group);
        self.context.set_clock(clock);
        let stats = &mut self.context.stats;
        stats.late_packets += late;
        stats.packets += group.len() as u64;
        stats.octets = stats.octets.saturating_add(octets);
    }

    /// As [`Self::handle_group`], when the clock was set back within the group.
    #[cold]
    fn handle_each(&mut self, group: &[(ObservedPacket, Timestamp)]) {
        self.narrow.forget_lookups();
        self.wide.forget_lookups();
        for (packet, now) in group {
            self.handle_packet(packet, *now);
        }
    }
}

#[inline]
fn meter<S: StoredKey, X: Extra>(
    cache: &mut Cache<S, X>,
    context: &mut Context,
    key: S,
    packet: &ObservedPacket,
) {
    cache.meter(context, key.hash(context.seed), &key, packet);
}

#[inline]
fn expired<K: TableKey, S: StoredKey, X: Extra>(
    record: &Record<S>,
    extra: &X,
    reason: ExpireReason,
    form: Form<K::Narrow, K::Wide>,
) -> ExpiredFlow<K, X> {
    ExpiredFlow { key: K::from_form(form), counters: record.counters(), extra: *extra, reason }
}
