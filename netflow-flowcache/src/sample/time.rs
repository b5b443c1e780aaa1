//! Systematic time-based sampling.

use crate::{
    ObservedPacket, Timestamp,
    sample::{IndependentSampler, Sampler, SamplerError, Sampling},
};

/// Selects all packets of an interval of time, leaves out those of the space behind it, and so on (RFC 5475 section
/// 5.1).
///
/// With the time since the start as `t`, a packet is selected if `t mod (interval + space) < interval`: an interval
/// contains its first instant and not its last, where the RFC leaves out both. A packet before the start begins anew
/// there. Senders can find out when packets are selected and send at other times (RFC 5475 section 9).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SystematicTime {
    interval_micros: u32,
    space_micros: u32,
    interval_nanos: u64,
    period_nanos: u64,
    start: Option<Timestamp>,
    /// Where the interval at hand began.
    period: Timestamp,
}

impl SystematicTime {
    /// Intervals of `interval` and spaces of `space` microseconds; the first one begins with the first packet. A
    /// `space` of 0 selects all packets.
    ///
    /// # Errors
    /// [`SamplerError::SelectsNothing`] if `interval` is 0.
    pub const fn new(interval: u32, space: u32) -> Result<Self, SamplerError> {
        if interval == 0 {
            return Err(SamplerError::SelectsNothing);
        }
        let interval_nanos = interval as u64 * 1000;
        Ok(Self {
            interval_micros: interval,
            space_micros: space,
            interval_nanos,
            period_nanos: interval_nanos + space as u64 * 1000,
            start: None,
            period: Timestamp::ZERO,
        })
    }

    /// Begins the first interval at `start`, whenever the first packet comes.
    #[must_use]
    pub const fn starting_at(mut self, start: Timestamp) -> Self {
        self.start = Some(start);
        self.period = start;
        self
    }

    /// Finds the interval of a packet that is not in the one at hand.
    #[cold]
    fn find_period(&mut self, now: Timestamp) {
        let start = match self.start {
            Some(start) if start <= now => start,
            // The first packet, or a clock that went back behind the start.
            _ => now,
        };
        self.start = Some(start);
        // The period is at least a microsecond.
        let into = since(now, start).checked_rem(self.period_nanos).unwrap_or(0);
        self.period = Timestamp::from_nanos(now.as_nanos() - into);
    }
}

/// Nanoseconds; 0 when `earlier` is later.
const fn since(now: Timestamp, earlier: Timestamp) -> u64 {
    now.as_nanos().saturating_sub(earlier.as_nanos())
}

impl IndependentSampler for SystematicTime {
    #[inline]
    fn decide(&mut self, now: Timestamp) -> bool {
        if self.start.is_none() || now < self.period || since(now, self.period) >= self.period_nanos {
            self.find_period(now);
        }
        since(now, self.period) < self.interval_nanos
    }
}

impl Sampler for SystematicTime {
    #[inline]
    fn select(&mut self, _: &ObservedPacket, now: Timestamp) -> bool {
        self.decide(now)
    }

    fn describe(&self) -> Sampling {
        Sampling::SystematicTime { interval: self.interval_micros, space: self.space_micros }
    }
}

/// At most so many packets in a second; what is beyond is left out and counted.
///
/// Seconds are those of the clock. Put it behind a
/// sampler to keep its load in bounds, as JunOS does. What it leaves out depends on how much traffic there is:
/// scale by the attained fraction, never by the configured one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PacketsPerSecond {
    limit: u32,
    /// When the second at hand began.
    second: Option<Timestamp>,
    /// Packets let through in it.
    passed: u32,
    dropped: u64,
}

impl PacketsPerSecond {
    /// A limit of `limit` packets a second; 0 lets nothing through.
    #[must_use]
    pub const fn new(limit: u32) -> Self {
        Self { limit, second: None, passed: 0, dropped: 0 }
    }

    /// Packets left out for being too many.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Packets a second at most.
    #[must_use]
    pub const fn limit(&self) -> u32 {
        self.limit
    }
}

impl IndependentSampler for PacketsPerSecond {
    #[inline]
    fn decide(&mut self, now: Timestamp) -> bool {
        const SECOND: u64 = 1_000_000_000;
        let begun = self.second.is_some_and(|second| now >= second && since(now, second) < SECOND);
        if !begun {
            // A clock that went back begins a second again, without packets in addition.
            if self.second.is_none_or(|second| now >= second) {
                self.passed = 0;
            }
            self.second = Some(Timestamp::from_nanos(now.as_nanos() / SECOND * SECOND));
        }
        if self.passed >= self.limit {
            self.dropped = self.dropped.saturating_add(1);
            return false;
        }
        self.passed += 1;
        true
    }
}

impl Sampler for PacketsPerSecond {
    #[inline]
    fn select(&mut self, _: &ObservedPacket, now: Timestamp) -> bool {
        self.decide(now)
    }

    fn describe(&self) -> Sampling {
        Sampling::PacketsPerSecond { limit: self.limit }
    }
}
