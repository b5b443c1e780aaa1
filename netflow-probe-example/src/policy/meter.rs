//! How much may come in a time.

use core::sync::atomic::{AtomicU64, Ordering};

use netflow_codec::Timestamp;

/// A rate that may be exceeded for a second's worth.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rate {
    /// Units in a second; at least 1.
    pub a_second: u64,
}

const SECOND: u64 = 1_000_000_000;

/// Tells whether a rate is kept: it knows when all that was admitted would be over at that rate.
#[derive(Debug, Default)]
pub struct Meter(AtomicU64);

impl Meter {
    /// Whether so many units may come now. What is refused does not count.
    pub fn admits(&self, rate: Rate, units: u64, now: Timestamp) -> bool {
        let cost = units.saturating_mul(SECOND / rate.a_second.clamp(1, SECOND));
        let now = now.as_nanos();
        let admitted = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |over| {
            // Farther ahead than anything that was admitted can lead: the clock was set back.
            let over = if over > now.saturating_add(2 * SECOND) { now } else { over.max(now) };
            let is_admitted = over - now < SECOND;
            is_admitted.then(|| over.saturating_add(cost).min(now.saturating_add(2 * SECOND)))
        });
        admitted.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_kept_with_a_second_ahead_and_over_steps_of_the_clock() {
        let (meter, rate) = (Meter::default(), Rate { a_second: 100 });
        let at = |millis: u64| Timestamp::from_millis(1_700_000_000_000 + millis);
        let burst = (0..1_000).filter(|_| meter.admits(rate, 1, at(0))).count();
        assert_eq!(burst, 100);
        // Ten seconds of a flood.
        let admitted = (1..=10_000).filter(|millis| meter.admits(rate, 1, at(*millis))).count();
        assert_eq!(admitted, 1_000);
        // A day back, and a day ahead.
        assert!(meter.admits(rate, 1, Timestamp::from_secs(1_699_913_600)));
        let burst = (0..1_000).filter(|_| meter.admits(rate, 1, Timestamp::from_secs(1_699_913_600))).count();
        assert_eq!(burst, 99);
        let burst = (0..1_000).filter(|_| meter.admits(rate, 1, at(86_400_000))).count();
        assert_eq!(burst, 100);
        // One that is larger than the rate comes through when nothing came for a while.
        let large = Rate { a_second: 10 };
        assert!(Meter::default().admits(large, 1_000_000, at(0)));
    }
}
