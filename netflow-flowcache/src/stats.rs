//! What a table counts about itself.

use crate::ExpireReason;

/// Counters of a [`crate::FlowTable`] since its creation.
///
/// Packets and octets are conserved: what was handed in is what all handed out flows add up to, plus what the
/// flows still held add up to, plus what was ignored.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// Packets handed in.
    pub packets: u64,
    /// Layer 3 octets handed in.
    pub octets: u64,
    /// Packets not metered because ended flows were not polled and no room was left (element 164).
    pub ignored_packets: u64,
    /// Layer 3 octets of those packets (element 165).
    pub ignored_octets: u64,
    /// Flow records begun.
    pub flows_created: u64,
    /// Packets whose time was behind the newest time seen, and which were metered as of that.
    pub late_packets: u64,
    /// How often the clock was set back, which ended all flows.
    pub clock_restarts: u64,
    /// Timer entries looked at: the work that expiry has made.
    pub timer_looks: u64,
    /// Flow records ended, by reason; index 0 takes all reasons without a place of their own.
    expired: [u64; 6],
}

impl Stats {
    /// Flow records ended for this reason, polled or waiting to be.
    ///
    /// Reasons that the table does not itself give, other than the five known, are counted together.
    #[must_use]
    pub fn expired(&self, reason: ExpireReason) -> u64 {
        self.expired.get(usize::from(reason.code())).or_else(|| self.expired.first()).copied().unwrap_or(0)
    }

    /// Flow records ended, whatever the reason.
    #[must_use]
    pub fn expired_total(&self) -> u64 {
        self.expired.iter().sum()
    }

    pub(crate) fn count_expired(&mut self, reason: ExpireReason) {
        let index = usize::from(reason.code());
        let index = if index < self.expired.len() { index } else { 0 };
        if let Some(count) = self.expired.get_mut(index) {
            *count += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_reasons_are_counted_together() {
        let mut stats = Stats::default();
        stats.count_expired(ExpireReason::from_code(77));
        stats.count_expired(ExpireReason::from_code(200));
        stats.count_expired(ExpireReason::FORCED_END);
        assert_eq!(stats.expired(ExpireReason::from_code(77)), 2);
        assert_eq!(stats.expired(ExpireReason::FORCED_END), 1);
        assert_eq!(stats.expired(ExpireReason::IDLE_TIMEOUT), 0);
        assert_eq!(stats.expired_total(), 3);
    }
}
