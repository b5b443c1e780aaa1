//! How many faults are told.

use netflow_codec::Timestamp;

/// Keeps floods of faults out of the log: of every exporter and kind the first few are reported, then the 100th,
/// the 1,000th and so on; of all together so many a second.
#[derive(Debug, Default)]
pub(super) struct Limiter {
    second: u64,
    admitted: u64,
}

impl Limiter {
    /// Reports of one exporter and kind before milestones only.
    const EACH: u64 = 5;
    /// Reports in a second.
    const A_SECOND: u64 = 100;

    pub(super) const fn advance(&mut self, now: Timestamp) {
        if now.as_secs() != self.second {
            self.second = now.as_secs();
            self.admitted = 0;
        }
    }

    /// Whether a fault that came so often by now, of its exporter and kind, is worth a report.
    pub(super) fn reports(&mut self, count: u64) -> bool {
        let is_milestone = || (2..20).any(|power| 10_u64.checked_pow(power) == Some(count));
        (count <= Self::EACH || is_milestone()) && self.admit()
    }

    const fn admit(&mut self) -> bool {
        self.admitted += 1;
        self.admitted <= Self::A_SECOND
    }
}
