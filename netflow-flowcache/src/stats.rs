//! What a table counts about itself.

use crate::{ExpireReason, index::PROBES};

/// Counters of a [`crate::FlowTable`] since its creation, and what it holds now.
///
/// Packets and octets are conserved: what was handed in is what all handed out flows add up to, plus what the
/// flows still held add up to, plus what was ignored. Reading them looks at nothing but these numbers.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// Packets handed in.
    pub packets: u64,
    /// Layer 3 octets handed in; stays at `u64::MAX` once there.
    pub octets: u64,
    /// Packets not metered because there was no room for their flow (element 164).
    pub ignored_packets: u64,
    /// Layer 3 octets of those packets (element 165).
    pub ignored_octets: u64,
    /// Packets among the ignored ones that a full table refused, see [`crate::WhenFull::RefuseNew`].
    pub refused_packets: u64,
    /// Flows observed: a flow that goes on in a further record counts once (element 163).
    pub observed_flows: u64,
    /// Flow records begun.
    pub records_begun: u64,
    /// Records ended to make room for others.
    pub evictions: u64,
    /// Records ended by emergency ageing.
    pub emergency_evictions: u64,
    /// How often emergency ageing began.
    pub emergencies: u64,
    /// Records ended because a counter came to its limit.
    pub counter_limits: u64,
    /// Packets whose time was behind the newest time seen, and which were metered as of that.
    pub late_packets: u64,
    /// How often the clock was set back, which ended all flows.
    pub clock_restarts: u64,
    /// Timer entries looked at: the work that expiry has made.
    pub timer_looks: u64,
    /// Flows in the table now, each under the number of buckets between the one where it belongs and the one where it
    /// stands: a lookup reads that many buckets more than one.
    pub probe_lengths: [u64; PROBES],
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

    /// Adds the numbers of another table.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let mut sum = *self;
        sum.packets += other.packets;
        sum.octets = sum.octets.saturating_add(other.octets);
        sum.ignored_packets += other.ignored_packets;
        sum.ignored_octets = sum.ignored_octets.saturating_add(other.ignored_octets);
        sum.refused_packets += other.refused_packets;
        sum.observed_flows += other.observed_flows;
        sum.records_begun += other.records_begun;
        sum.evictions += other.evictions;
        sum.emergency_evictions += other.emergency_evictions;
        sum.emergencies += other.emergencies;
        sum.counter_limits += other.counter_limits;
        sum.late_packets += other.late_packets;
        sum.clock_restarts += other.clock_restarts;
        sum.timer_looks += other.timer_looks;
        sum.probe_lengths.iter_mut().zip(other.probe_lengths).for_each(|(count, more)| *count += more);
        sum.expired.iter_mut().zip(other.expired).for_each(|(count, more)| *count += more);
        sum
    }

    pub(crate) fn count_expired(&mut self, reason: ExpireReason) {
        let index = usize::from(reason.code());
        let index = if index < self.expired.len() { index } else { 0 };
        if let Some(count) = self.expired.get_mut(index) {
            *count += 1;
        }
    }

    pub(crate) fn count_ignored(&mut self, octets: u32) {
        self.ignored_packets += 1;
        self.ignored_octets = self.ignored_octets.saturating_add(octets.into());
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
        assert_eq!(stats.plus(&stats).expired_total(), 6);
    }
}
