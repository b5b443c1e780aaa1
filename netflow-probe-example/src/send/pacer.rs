//! Not faster than a collector can take.

use core::time::Duration;
use std::{thread, time::Instant};

/// Spaces datagrams evenly: at most so many a second, small bursts allowed.
///
/// A collector's receive buffer often holds less than a hundred datagrams; whoever exports a file at full speed
/// overruns it.
#[derive(Debug)]
pub struct Pacer {
    interval: Duration,
    next: Instant,
}

impl Pacer {
    /// How far the pacer may run behind its schedule and catch up in a burst.
    const SLACK: Duration = Duration::from_millis(1);

    /// At most `rate` datagrams a second, 0 for no limit.
    #[must_use]
    pub fn new(rate: u32) -> Self {
        let interval = Duration::from_secs(1).checked_div(rate).unwrap_or(Duration::ZERO);
        Self { interval, next: Instant::now() }
    }

    /// Waits until the next datagram may be sent.
    pub fn wait(&mut self) {
        if self.interval.is_zero() {
            return;
        }
        let mut now = Instant::now();
        // Shorter sleeps than the slack are late anyway; what is missed is caught up.
        while now + Self::SLACK / 2 < self.next {
            thread::sleep(self.next - now);
            now = Instant::now();
        }
        let earliest = now.checked_sub(Self::SLACK).unwrap_or(now);
        self.next = self.next.max(earliest) + self.interval;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
