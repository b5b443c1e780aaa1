//! Not faster than a collector can take.

use core::time::Duration;
use std::{thread, time::Instant};

/// Spaces datagrams evenly: at most so many a second, small bursts allowed.
///
/// A collector's receive buffer often holds less than a hundred datagrams; whoever exports a file at full speed
/// overruns it. When the network itself says that it is too busy the rate halves, and then grows again.
#[derive(Debug)]
pub struct Pacer {
    schedule: Schedule,
    /// Datagrams a second at most, 0 for no limit.
    limit: u32,
    /// Datagrams a second at present.
    rate: u32,
    /// Datagrams until the rate grows.
    until_growth: u32,
}

impl Pacer {
    /// Shorter sleeps than this are late anyway; what goes early is paid for by what follows.
    const TOLERANCE: Duration = Duration::from_micros(500);

    /// The rate is not halved below this.
    const SLOWEST: u32 = 100;
    /// Where halving begins when there is no limit, and where growing ends.
    const UNLIMITED: u32 = 200_000;

    /// At most `rate` datagrams a second, 0 for no limit.
    #[must_use]
    pub fn new(rate: u32) -> Self {
        Self { schedule: Schedule::new(rate, Instant::now()), limit: rate, rate, until_growth: 0 }
    }

    /// Datagrams a second at present, 0 for no limit.
    #[must_use]
    pub const fn rate(&self) -> u32 {
        self.rate
    }

    /// The network is too busy: half as fast from now on.
    pub fn slow_down(&mut self) {
        let rate = if self.rate == 0 { Self::UNLIMITED } else { self.rate };
        self.set_rate((rate / 2).max(Self::SLOWEST.min(rate)));
    }

    /// Grows by a sixteenth each tenth of a second, as long as the network takes it.
    fn grow(&mut self) {
        let full = if self.limit == 0 { Self::UNLIMITED } else { self.limit };
        if self.rate == self.limit {
            return;
        }
        self.until_growth = self.until_growth.saturating_sub(1);
        if self.until_growth == 0 {
            let rate = self.rate.saturating_add(self.rate / 16).saturating_add(1);
            self.set_rate(if rate >= full { self.limit } else { rate });
        }
    }

    fn set_rate(&mut self, rate: u32) {
        self.rate = rate;
        self.until_growth = (rate / 10).max(1);
        self.schedule.set_rate(rate);
    }

    /// Waits until the next datagram may be sent.
    pub fn wait(&mut self) {
        self.grow();
        if self.schedule.interval.is_zero() {
            return;
        }
        let mut now = Instant::now();
        while now + Self::TOLERANCE < self.schedule.next {
            thread::sleep(self.schedule.next - now);
            now = Instant::now();
        }
        self.schedule.take(now);
    }
}

impl Pacer {
    /// Whether one more datagram may be sent right now. If so, it counts as sent.
    pub fn may_send_another(&mut self) -> bool {
        if !self.schedule.interval.is_zero() {
            let now = Instant::now();
            if now + Self::TOLERANCE < self.schedule.next {
                return false;
            }
            self.schedule.take(now);
        }
        self.grow();
        true
    }
}

/// When datagrams may be sent.
#[derive(Debug)]
struct Schedule {
    interval: Duration,
    /// How far behind the schedule may run and still catch up: sleeps take longer than asked for.
    slack: Duration,
    next: Instant,
}

impl Schedule {
    const SLACK: Duration = Duration::from_millis(50);
    /// Datagrams at once at most, for catching up.
    const BURST: u32 = 64;

    fn new(rate: u32, now: Instant) -> Self {
        let mut schedule = Self { interval: Duration::ZERO, slack: Duration::ZERO, next: now };
        schedule.set_rate(rate);
        schedule
    }

    fn set_rate(&mut self, rate: u32) {
        self.interval = Duration::from_secs(1).checked_div(rate).unwrap_or(Duration::ZERO);
        self.slack = Self::SLACK.min(self.interval.saturating_mul(Self::BURST)).max(self.interval);
    }

    /// A datagram is sent now.
    fn take(&mut self, now: Instant) {
        let earliest = now.checked_sub(self.slack).unwrap_or(now);
        self.next = self.next.max(earliest) + self.interval;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends `count` datagrams by a clock that sleeps `overshoot` too long; says how long it took.
    fn simulate(schedule: &mut Schedule, count: u32, overshoot: Duration, start: Instant) -> Duration {
        let mut now = start;
        for _ in 0..count {
            if now < schedule.next {
                now = schedule.next + overshoot;
            }
            schedule.take(now);
        }
        now - start
    }

    #[test]
    fn sleeps_that_overshoot_are_caught_up() {
        // X24: 1,000 a second stay 1,000 a second, although every sleep takes 4 ms too long.
        for (rate, count) in [(10, 100), (1_000, 10_000), (10_000, 100_000)] {
            let start = Instant::now();
            let took = simulate(&mut Schedule::new(rate, start), count, Duration::from_millis(4), start)
                .as_secs_f64();
            assert!((9.8..10.2).contains(&took), "{rate} a second: {took} s");
        }
    }

    #[test]
    fn whoever_was_idle_gets_a_small_burst_only() {
        for (rate, burst) in [(10, 2), (1_000, 51), (20_000, 65)] {
            let start = Instant::now();
            let mut schedule = Schedule::new(rate, start);
            let now = start + Duration::from_secs(60);
            let mut sent = 0;
            while schedule.next <= now {
                schedule.take(now);
                sent += 1;
            }
            assert_eq!(sent, burst, "{rate} a second");
        }
    }

    #[test]
    fn datagrams_are_spaced() {
        // X24: 200 datagrams at 1,000 a second take about 200 ms, less what the bursts may run ahead.
        let start = Instant::now();
        let mut pacer = Pacer::new(1_000);
        for _ in 0..200 {
            pacer.wait();
        }
        assert!(start.elapsed() >= Duration::from_millis(190));
    }

    #[test]
    fn a_network_that_is_too_busy_halves_the_rate_which_grows_again() {
        // X24
        for limit in [0, 50_000] {
            let mut pacer = Pacer::new(limit);
            pacer.slow_down();
            let halved = if limit == 0 { Pacer::UNLIMITED / 2 } else { limit / 2 };
            assert_eq!(pacer.rate(), halved);
            for _ in 0..30 {
                pacer.slow_down();
            }
            assert_eq!(pacer.rate(), Pacer::SLOWEST);
            let mut datagrams = 0;
            while pacer.rate() != limit {
                pacer.grow();
                datagrams += 1;
                assert!(datagrams < 1_000_000, "it does grow");
            }
            pacer.grow();
            assert_eq!(pacer.rate(), limit);
        }
        // A limit below that is not raised by it.
        let mut pacer = Pacer::new(50);
        pacer.slow_down();
        assert_eq!(pacer.rate(), 50);
    }

    #[test]
    fn what_goes_along_with_a_datagram_counts_as_sent() {
        // X24
        let start = Instant::now();
        let (mut pacer, mut sent) = (Pacer::new(1_000), 0);
        while sent < 200 {
            pacer.wait();
            sent += 1;
            while pacer.may_send_another() {
                sent += 1;
            }
        }
        assert!(start.elapsed() >= Duration::from_millis(190), "{:?}", start.elapsed());
        let mut unlimited = Pacer::new(0);
        assert!((0..1_000).all(|_| unlimited.may_send_another()));
    }

    #[test]
    fn no_limit_does_not_wait() {
        let mut pacer = Pacer::new(0);
        let start = Instant::now();
        for _ in 0..10_000 {
            pacer.wait();
        }
        assert!(start.elapsed() < Duration::from_secs(1));
    }
}
