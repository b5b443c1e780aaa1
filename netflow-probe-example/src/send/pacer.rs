//! Not faster than a collector can take.

use core::time::Duration;
use std::{thread, time::Instant};

/// Spaces datagrams evenly: at most so many a second, small bursts allowed.
///
/// A collector's receive buffer often holds less than a hundred datagrams; whoever exports a file at full speed
/// overruns it.
#[derive(Debug)]
pub struct Pacer {
    schedule: Schedule,
}

impl Pacer {
    /// Shorter sleeps than this are late anyway; what goes early is paid for by what follows.
    const TOLERANCE: Duration = Duration::from_micros(500);

    /// At most `rate` datagrams a second, 0 for no limit.
    #[must_use]
    pub fn new(rate: u32) -> Self {
        Self { schedule: Schedule::new(rate, Instant::now()) }
    }

    /// Waits until the next datagram may be sent.
    pub fn wait(&mut self) {
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
        let interval = Duration::from_secs(1).checked_div(rate).unwrap_or(Duration::ZERO);
        let slack = Self::SLACK.min(interval.saturating_mul(Self::BURST)).max(interval);
        Self { interval, slack, next: now }
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
    fn no_limit_does_not_wait() {
        let mut pacer = Pacer::new(0);
        let start = Instant::now();
        for _ in 0..10_000 {
            pacer.wait();
        }
        assert!(start.elapsed() < Duration::from_secs(1));
    }
}
