//! What the two families of a table share: clock, rules, flushes, statistics.

use crate::{
    Config, ExpireReason, Fragment, HashSeed, ObservedPacket, Stats, StoredKey, Timestamp, WhenFull,
    order::{tick_after, tick_of},
    record::{NO_MARK, Record, mark_of},
    rules::{Rules, nanos},
};

/// Flushes that can be told apart while the flows of the first have not all been polled.
const FLUSHES: usize = 8;
/// Flushes after which all records count as ended until those before have been polled: their number has 8 bits.
const MOST_FLUSHES: u8 = 250;

/// Clock, rules, flushes and statistics.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) seed: HashSeed,
    pub(crate) rules: Rules,
    pub(crate) when_full: WhenFull,
    /// The newest time seen.
    pub(crate) clock: Timestamp,
    /// The tick of the clock, plus all ticks that it was set back.
    pub(crate) tick: u64,
    pub(crate) tick_offset: u64,
    /// How often the table was flushed. A record with another number than this is to be flushed.
    pub(crate) epoch: u8,
    /// The mark of records that packets are just added to.
    pub(crate) mark: u16,
    /// Whether records with this number are to be flushed, too: there were too many flushes to number them.
    pub(crate) exhausted: bool,
    pub(crate) stats: Stats,
    /// How far back a late packet may be, in nanoseconds.
    reorder: u64,
    /// Flushes whose flows may not all have been polled.
    flushes_under_way: u8,
    flushes: [Flush; FLUSHES],
}

/// A flush: the flows of its time end with its reason, but for those that had ended before.
#[derive(Clone, Copy, Debug)]
struct Flush {
    clock: Timestamp,
    reason: ExpireReason,
}

/// What a time told to the table means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Told {
    /// It is the newest.
    New,
    /// It is a little behind.
    Late,
    /// The clock was set back.
    SetBack,
}

/// What a look at a record gives.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Look {
    /// It has ended, for this reason.
    Ended(ExpireReason),
    /// It is to be looked at when this tick comes.
    Due(Option<u64>),
}

impl Context {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            seed: config.seed,
            rules: Rules::new(config),
            when_full: config.when_full,
            clock: Timestamp::ZERO,
            tick: 0,
            tick_offset: 0,
            epoch: 0,
            mark: mark_of(0),
            exhausted: false,
            stats: Stats::default(),
            reorder: nanos(Some(config.reorder)),
            flushes_under_way: 0,
            flushes: [Flush { clock: Timestamp::ZERO, reason: ExpireReason::FORCED_END }; FLUSHES],
        }
    }

    /// Moves the clock. When it was set back, all flows have to be flushed, and then [`Self::set_back`].
    #[inline]
    pub(crate) fn tell(&mut self, now: Timestamp) -> Told {
        if now < self.clock {
            return if self.is_late(self.clock, now) { Told::Late } else { Told::SetBack };
        }
        self.set_clock(now);
        Told::New
    }

    /// Sets the clock to a time that [`Self::tell`] would take: for packets that are not metered in their order.
    #[inline]
    pub(crate) fn set_clock(&mut self, now: Timestamp) {
        self.clock = now;
        self.tick = tick_of(now).saturating_add(self.tick_offset);
    }

    /// Whether a time that is before `clock` is merely late.
    #[inline]
    pub(crate) const fn is_late(&self, clock: Timestamp, now: Timestamp) -> bool {
        clock.as_nanos() - now.as_nanos() <= self.reorder
    }

    /// Sets the clock back; the wheel turns on from where it is.
    pub(crate) fn set_back(&mut self, now: Timestamp) {
        self.tick_offset = self.tick_offset.saturating_add(tick_of(self.clock).saturating_sub(tick_of(now)));
        self.clock = now;
        self.stats.clock_restarts += 1;
    }

    /// Begins a flush; `is_first` if none is under way.
    pub(crate) fn begin_flush(&mut self, reason: ExpireReason, is_first: bool) {
        if let Some(flush) = self.flushes.get_mut(usize::from(self.epoch) % FLUSHES) {
            *flush = Flush { clock: self.clock, reason };
        }
        if is_first {
            self.flushes_under_way = 0;
        }
        if self.flushes_under_way < MOST_FLUSHES {
            self.flushes_under_way += 1;
            self.epoch = self.epoch.wrapping_add(1);
        } else {
            self.exhausted = true;
        }
        self.mark = if self.exhausted { NO_MARK } else { mark_of(self.epoch) };
    }

    /// The flows of all numbered flushes have been polled; whether those of a further one follow.
    pub(crate) fn next_flush(&mut self) -> bool {
        if !self.exhausted {
            return false;
        }
        self.exhausted = false;
        self.flushes_under_way = 1;
        self.epoch = self.epoch.wrapping_add(1);
        self.mark = mark_of(self.epoch);
        true
    }

    /// Whether a packet is just added to a record, by a look that may say no without need.
    #[inline]
    pub(crate) fn just_adds<S: StoredKey>(&self, record: &Record<S>, packet: &ObservedPacket) -> bool {
        record.mark() == self.mark
            && packet.fragment == Fragment::Unfragmented
            && !self.rules.closes(packet)
            && self.rules.goes_on(record, packet, self.clock)
    }

    /// Whether a record is not to be flushed.
    #[inline]
    pub(crate) const fn is_current<S: StoredKey>(&self, record: &Record<S>) -> bool {
        record.epoch() == self.epoch && !self.exhausted
    }

    /// Why a record in the table has ended, by its deadline or by a flush; `None` if it goes on.
    pub(crate) fn ended<S: StoredKey>(&self, record: &Record<S>, start: Timestamp) -> Option<ExpireReason> {
        if self.is_current(record) {
            return self.rules.passed(record, start, self.clock);
        }
        let age = self.epoch.wrapping_sub(record.epoch());
        // The flush that came first after the record began, or the first that is remembered.
        let epoch = if usize::from(age) <= FLUSHES { record.epoch() } else { self.epoch };
        let flush = self.flushes.get(usize::from(epoch) % FLUSHES)?;
        Some(self.rules.passed(record, start, flush.clock).unwrap_or(flush.reason))
    }

    /// Whether a flow goes on whose record has ended for this reason.
    pub(crate) fn outlives<S: StoredKey>(
        &self,
        record: &Record<S>,
        start: Timestamp,
        reason: ExpireReason,
    ) -> bool {
        reason == ExpireReason::ACTIVE_TIMEOUT
            && self.is_current(record)
            && self.rules.is_known(record, start, self.clock)
    }

    /// The first tick at which a record can be found ended.
    #[inline]
    pub(crate) fn due_tick<S: StoredKey>(&self, record: &Record<S>, start: Timestamp) -> Option<u64> {
        self.tick_of_deadline(self.rules.deadline(record, start).0)
    }

    /// The same for a record that begins now, with a packet of this protocol which does not close its flow.
    #[inline]
    pub(crate) fn due_tick_of_new(&self, protocol: u8) -> Option<u64> {
        self.tick_of_deadline(self.clock.as_nanos().saturating_add(self.rules.first_silence(protocol)))
    }

    #[inline]
    fn tick_of_deadline(&self, deadline: u64) -> Option<u64> {
        (deadline != u64::MAX)
            .then(|| tick_after(Timestamp::from_nanos(deadline)).saturating_add(self.tick_offset))
    }

    /// What becomes of a record whose timer has come.
    #[inline]
    pub(crate) fn look<S: StoredKey>(&self, record: &Record<S>, start: Timestamp) -> Look {
        if !self.is_current(record) {
            return match self.ended(record, start) {
                Some(reason) => Look::Ended(reason),
                None => Look::Due(self.due_tick(record, start)),
            };
        }
        let (deadline, reason) = self.rules.deadline(record, start);
        if deadline <= self.clock.as_nanos() && deadline != u64::MAX {
            Look::Ended(reason)
        } else {
            Look::Due(self.tick_of_deadline(deadline))
        }
    }
}
