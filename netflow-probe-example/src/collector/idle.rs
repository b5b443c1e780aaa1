//! When it is time to forget those that are silent.

use core::time::Duration;

use netflow_codec::Timestamp;

/// Looks once a minute, by the wall clock. A clock that was set makes nobody silent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Idle {
    after: Duration,
    looked: Option<Timestamp>,
    /// When the clock was set last, or this began.
    set: Timestamp,
}

impl Idle {
    const EVERY: Duration = Duration::from_secs(60);
    /// Whoever looks so late, or before the last time, looks at a clock that was set.
    const STEP: Duration = Duration::from_secs(300);
    /// How long those that are there have to show it after the clock was set.
    const RESPITE: Duration = Duration::from_secs(1_800);

    /// Who was silent for so long is forgotten.
    pub(super) const fn new(after: Duration) -> Self {
        Self { after, looked: None, set: Timestamp::ZERO }
    }

    /// Before when the last datagram of somebody has come who is to be forgotten; `None` when it is not the time.
    pub(super) fn due(&mut self, now: Timestamp) -> Option<Timestamp> {
        let Some(looked) = self.looked else {
            (self.looked, self.set) = (Some(now), now);
            return None;
        };
        let passed = now.saturating_since(looked);
        if now >= looked && passed < Self::EVERY {
            return None;
        }
        self.looked = Some(now);
        if now < looked || passed > Self::STEP {
            self.set = now;
        }
        if now.saturating_since(self.set) < Self::RESPITE.min(self.after) {
            return None;
        }
        let before = now.as_nanos().checked_sub(u64::try_from(self.after.as_nanos()).ok()?)?;
        Some(Timestamp::from_nanos(before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_time_once_a_minute_unless_the_clock_was_set() {
        let at = |seconds: u64| Timestamp::from_secs(1_700_000_000 + seconds);
        let mut idle = Idle::new(Duration::from_secs(7_200));
        let due: Vec<u64> = (0..2_000).filter(|second| idle.due(at(*second)).is_some()).collect();
        assert_eq!(due, [1_800, 1_860, 1_920, 1_980]);
        assert_eq!(idle.due(at(2_040)), Some(Timestamp::from_secs(1_700_000_000 + 2_040 - 7_200)));
        // Set ahead by a day: half an hour passes before anybody is forgotten.
        let due: Vec<u64> = (0..2_000).filter(|second| idle.due(at(86_400 + second)).is_some()).collect();
        assert_eq!(due, [1_800, 1_860, 1_920, 1_980]);
        // Set back.
        assert_eq!(idle.due(at(0)), None);
        assert_eq!(idle.due(at(60)), None);
    }
}
