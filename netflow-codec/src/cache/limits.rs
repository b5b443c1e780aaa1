//! What a template cache may hold, and for how long.

use core::time::Duration;

use crate::{template::Protocol, time::Timestamp};

/// What a [`TemplateCache`](crate::TemplateCache) may hold. Whatever goes beyond is refused or evicted, and counted.
///
/// Octets are those of memory, at most: templates with the maps that hold them and what options said of the exporter.
/// What the caller's `E` owns itself is not counted.
///
/// An exporter is what the [`ScopePolicy`](crate::ScopePolicy) takes for one. Who is over a quota of its own loses
/// what it used longest ago. When the whole cache is full, the newcomers among the exporters lose theirs first, see
/// [`Self::probation`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct CacheLimits {
    /// Scopes. Default 4,096.
    pub scopes: usize,
    /// Scopes of one exporter. Default 256.
    pub scopes_per_exporter: usize,
    /// Templates of one scope; the one used longest ago is evicted. Default 1,024.
    pub templates_per_scope: usize,
    /// Fields of one template; a template with more is refused. Default 1,024.
    pub fields_per_template: u16,
    /// Octets of everything but waiting data. Default 32 MiB.
    pub template_octets: usize,
    /// The same of one exporter; a template that alone is larger is refused, and what is kept of sampling rates takes half
    /// of it at most. Default 4 MiB.
    pub template_octets_per_exporter: usize,
    /// How long an exporter, and a scope, is a newcomer: until data is decoded with one of its templates this long
    /// after it was first heard of. Default 30 seconds.
    ///
    /// Newcomers are evicted before the others, so a flood from made-up addresses, or domains, only evicts itself. A
    /// quarter of the room is left to them.
    pub probation: Duration,
    /// How long templates are used.
    pub lifetime: TemplateLifetime,
    /// How long after a redefinition the template before it is kept, for data that was exported before the
    /// redefinition and arrives after it. Zero: not at all. Default 10 seconds.
    pub late_data: Duration,
    /// Octets of data kept until their template comes, in all; the oldest of the newcomers are dropped first.
    /// Default 16 MiB.
    pub pending_octets: usize,
    /// The same of one exporter; its oldest are dropped. Default 1 MiB.
    pub pending_octets_per_exporter: usize,
    /// How long data is kept until its template comes. Default 5 minutes.
    pub pending_age: Duration,
}

impl Default for CacheLimits {
    fn default() -> Self {
        Self {
            scopes: 4_096,
            scopes_per_exporter: 256,
            templates_per_scope: 1_024,
            fields_per_template: 1_024,
            template_octets: 32 << 20,
            template_octets_per_exporter: 4 << 20,
            probation: Duration::from_secs(30),
            lifetime: TemplateLifetime::default(),
            late_data: Duration::from_secs(10),
            pending_octets: 16 << 20,
            pending_octets_per_exporter: 1 << 20,
            pending_age: Duration::from_secs(300),
        }
    }
}

/// How long a template is used after it was last announced. Over streams and in files templates do not age
/// (RFC 7011 section 8.1).
///
/// The default is three times the interval in which exporters announce templates unless told otherwise: 90 minutes for
/// v9, 30 minutes for IPFIX (RFC 6728 section 4.5.2), and at least three times the interval that was observed
/// (RFC 7011 section 8.4).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct TemplateLifetime {
    /// Of v9 templates; `None` for ever.
    pub netflow9: Option<Duration>,
    /// Of IPFIX templates; `None` for ever.
    pub ipfix: Option<Duration>,
    /// At least so many times the interval between the last announcements; 0: the interval does not matter.
    pub intervals: u32,
    /// Datagrams of the scope that must have come besides since the last announcement, before a template is too old
    /// (templateLifePacket, RFC 6728 section 4.5.2); 0: time alone decides.
    pub packets: u64,
}

impl Default for TemplateLifetime {
    fn default() -> Self {
        let minutes = |minutes: u64| Some(Duration::from_secs(minutes * 60));
        Self { netflow9: minutes(90), ipfix: minutes(30), intervals: 3, packets: 0 }
    }
}

impl TemplateLifetime {
    /// Templates are used until they are replaced or withdrawn.
    pub const FOREVER: Self = Self { netflow9: None, ipfix: None, intervals: 0, packets: 0 };

    /// One lifetime for all templates, however often they are announced.
    #[must_use]
    pub const fn fixed(lifetime: Duration) -> Self {
        Self { netflow9: Some(lifetime), ipfix: Some(lifetime), intervals: 0, packets: 0 }
    }

    /// The lifetime of a template of this protocol that was announced again after this interval.
    #[must_use]
    pub fn of(&self, protocol: Protocol, interval: Option<Duration>) -> Option<Duration> {
        let least = match protocol {
            Protocol::NetFlow9 => self.netflow9?,
            Protocol::Ipfix => self.ipfix?,
        };
        Some(interval.map_or(least, |interval| least.max(interval.saturating_mul(self.intervals))))
    }
}

/// The announcements of a template so far.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Announcements {
    /// When the last one was received.
    pub(crate) last: Timestamp,
    /// Time between the last two.
    interval: Option<Duration>,
    /// Time between the two before: one late announcement does not shorten a lifetime.
    interval_before: Option<Duration>,
    /// Datagrams of the scope before the last one.
    packets: u64,
    pub(crate) count: u64,
}

impl Announcements {
    pub(crate) const fn first(now: Timestamp, packets: u64) -> Self {
        Self { last: now, interval: None, interval_before: None, packets, count: 1 }
    }

    /// The state of a cache that was stored.
    #[cfg(feature = "serde")]
    pub(crate) const fn restored(last: Timestamp, interval: Option<Duration>, count: u64) -> Self {
        Self { last, interval, interval_before: None, packets: 0, count }
    }

    pub(crate) fn again(&mut self, now: Timestamp, packets: u64) {
        let interval = now.saturating_since(self.last);
        // Several in one datagram, or in a burst of them, are one.
        if interval > Duration::from_secs(1) || self.interval.is_none() {
            self.interval_before = self.interval.replace(interval);
        }
        *self = Self { last: self.last.max(now), packets, count: self.count.saturating_add(1), ..*self };
    }

    /// The longer of the last two intervals.
    pub(crate) fn interval(&self) -> Option<Duration> {
        self.interval.max(self.interval_before)
    }

    /// Before when the template cannot be too old.
    pub(crate) fn deadline(&self, lifetime: &TemplateLifetime, protocol: Protocol) -> Timestamp {
        let lifetime = lifetime.of(protocol, self.interval());
        lifetime.map_or(Timestamp::from_nanos(u64::MAX), |lifetime| self.last.saturating_add(lifetime))
    }

    /// Whether the template is too old to be used (RFC 3954 section 9).
    pub(crate) fn are_over(
        &self,
        lifetime: &TemplateLifetime,
        protocol: Protocol,
        now: Timestamp,
        packets: u64,
    ) -> bool {
        now >= self.deadline(lifetime, protocol) && packets.saturating_sub(self.packets) >= lifetime.packets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over(announcements: &Announcements, lifetime: &TemplateLifetime, secs: u64, packets: u64) -> bool {
        announcements.are_over(lifetime, Protocol::Ipfix, Timestamp::from_secs(secs), packets)
    }

    #[test]
    fn a_lifetime_is_three_times_the_longer_of_the_last_intervals() {
        // T8
        let lifetime = TemplateLifetime::default();
        let mut announcements = Announcements::first(Timestamp::from_secs(0), 0);
        assert!(!over(&announcements, &lifetime, 1_799, 0) && over(&announcements, &lifetime, 1_800, 0));
        announcements.again(Timestamp::from_secs(1_000), 0);
        assert!(!over(&announcements, &lifetime, 3_999, 0) && over(&announcements, &lifetime, 4_000, 0));
        // A burst changes nothing, nor does a single interval that is shorter.
        announcements.again(Timestamp::from_secs(1_000), 0);
        announcements.again(Timestamp::from_secs(1_100), 0);
        assert!(!over(&announcements, &lifetime, 4_099, 0) && over(&announcements, &lifetime, 4_100, 0));
        announcements.again(Timestamp::from_secs(1_200), 0);
        assert!(over(&announcements, &lifetime, 3_000, 0));
    }

    #[test]
    fn a_lifetime_in_packets_must_be_over_too() {
        // T9
        let lifetime = TemplateLifetime { packets: 10, ..TemplateLifetime::fixed(Duration::from_secs(60)) };
        let announcements = Announcements::first(Timestamp::from_secs(0), 5);
        assert!(!over(&announcements, &lifetime, 59, 100));
        assert!(!over(&announcements, &lifetime, 60, 14));
        assert!(over(&announcements, &lifetime, 60, 15));
    }
}
