//! When templates are due: at the start, after so many packets, after so much time.

use core::time::Duration;

use crate::time::Timestamp;

/// Says when templates and options must be sent again (RFC 3954 section 7: every N packets and every M minutes).
///
/// ```
/// use core::time::Duration;
/// use netflow_codec::{TemplateScheduler, Timestamp};
///
/// let mut scheduler = TemplateScheduler::new(Some(20), Some(Duration::from_secs(600)));
/// let start = Timestamp::from_secs(1_700_000_000);
/// assert!(scheduler.is_due(start));
/// scheduler.templates_sent(start);
/// assert!(!scheduler.is_due(start));
/// assert!(scheduler.is_due(start.saturating_add(Duration::from_secs(600))));
/// ```
#[derive(Clone, Debug)]
pub struct TemplateScheduler {
    every_packets: Option<u32>,
    every_nanos: Option<u64>,
    packets: u32,
    /// Whether templates were ever sent.
    sent: bool,
    /// When they are due by time.
    next: Option<Timestamp>,
}

impl TemplateScheduler {
    /// Templates again behind `every_packets` packets with data, and `every` so often; `None` is never.
    ///
    /// Zero packets count as one, and no time as one nanosecond: templates that are always due would leave no turn
    /// for data.
    #[must_use]
    pub fn new(every_packets: Option<u32>, every: Option<Duration>) -> Self {
        let every_packets = every_packets.map(|packets| packets.max(1));
        let nanos = |every: Duration| u64::try_from(every.as_nanos()).unwrap_or(u64::MAX).max(1);
        Self { every_packets, every_nanos: every.map(nanos), packets: 0, sent: false, next: None }
    }

    /// Whether templates must precede the next data.
    #[must_use]
    #[inline]
    pub fn is_due(&self, now: Timestamp) -> bool {
        !self.sent
            || self.every_packets.is_some_and(|every| self.packets >= every)
            || self.next.is_some_and(|next| now >= next)
    }

    /// Templates were sent.
    pub const fn templates_sent(&mut self, now: Timestamp) {
        self.packets = 0;
        self.sent = true;
        self.next = match self.every_nanos {
            Some(nanos) => Some(Timestamp::from_nanos(now.as_nanos().saturating_add(nanos))),
            None => None,
        };
    }

    /// Templates are due now, whenever they were sent.
    pub const fn expire(&mut self) {
        self.sent = false;
    }

    /// A packet with data was sent. Packets that carry templates only do not count, so that templates larger
    /// than the interval cannot starve data.
    pub const fn data_sent(&mut self) {
        self.packets = self.packets.saturating_add(1);
    }

    /// When templates are due by time; `None` before they were first sent, and when they never are.
    #[must_use]
    pub const fn next(&self) -> Option<Timestamp> {
        self.next
    }
}
