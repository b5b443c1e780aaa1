//! What is known of one exporter besides its streams.

use core::time::Duration;
use std::collections::BTreeMap;

use netflow_codec::Timestamp;

use super::{FaultKind, Statements, What, fault::FAULT_KINDS, names::Names};
use crate::policy::{Gate, Refusals};

/// What is known of one exporter besides its streams.
#[derive(Debug, Default)]
pub struct ExporterAccount {
    /// Datagrams, whatever they were.
    pub datagrams: u64,
    /// Octets of them.
    pub octets: u64,
    /// Flows.
    pub flows: u64,
    /// When the first one came.
    pub first_seen: Timestamp,
    /// When the last one came.
    pub last_seen: Timestamp,
    /// When the last sound one came.
    pub last_sound: Option<Timestamp>,
    /// How far its clock is behind that of the collector, datagrams' way included.
    pub skew: Option<ClockSkew>,
    /// What came lately.
    pub rates: Rates,
    /// Datagrams that were refused.
    pub refused: Refusals,
    /// What was wrong last, and when.
    pub last_fault: Option<(Timestamp, What)>,
    /// Data whose template is not known, by version, domain and template id.
    pub missing: BTreeMap<(u16, u32, u16), MissingTemplate>,
    /// What it says of interfaces, VRFs, applications and samplers.
    pub names: Names,
    /// What it says of its own work.
    pub statements: Statements,
    pub(crate) gate: Gate,
    faults: [u64; FAULT_KINDS],
}

/// A template that data came without.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MissingTemplate {
    /// When the first data came without it.
    pub since: Timestamp,
    /// When the last did.
    pub last: Timestamp,
    /// Data sets.
    pub sets: u64,
    /// Octets of them.
    pub octets: u64,
}

/// How far an exporter's clock is behind the collector's; negative when it is ahead.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ClockSkew {
    /// By the last datagram, in milliseconds.
    pub last_millis: i64,
    /// The least and the most so far: a clock runs well when they are near one another, and right when they are near 0.
    pub range_millis: (i64, i64),
}

impl ClockSkew {
    fn with(skew: Option<Self>, millis: i64) -> Self {
        let (least, most) = skew.map_or((millis, millis), |skew| skew.range_millis);
        Self { last_millis: millis, range_millis: (least.min(millis), most.max(millis)) }
    }
}

/// What comes in a second: smoothed over about a minute.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    since: Timestamp,
    /// Since then: datagrams, octets, flows.
    counts: [u32; 3],
    smoothed: [f32; 3],
}

impl Rates {
    /// How long a rate is remembered.
    const MEMORY: f32 = 60.0;
    /// How long is counted before it is joined.
    const STEP: Duration = Duration::from_secs(1);

    fn add(&mut self, now: Timestamp, counts: [u32; 3]) {
        if now.saturating_since(self.since) >= Self::STEP || now < self.since {
            self.smoothed = self.at(now);
            self.since = now;
            self.counts = [0; 3];
        }
        for (count, more) in self.counts.iter_mut().zip(counts) {
            *count = count.saturating_add(more);
        }
    }

    /// Datagrams, octets and flows in a second.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> [f32; 3] {
        let elapsed = now.saturating_since(self.since).as_secs_f32();
        if self.since == Timestamp::ZERO || elapsed <= 0.0 {
            return self.smoothed;
        }
        let weight = 1.0 - (-elapsed / Self::MEMORY).exp();
        let mut rates = self.smoothed;
        for (rate, count) in rates.iter_mut().zip(self.counts) {
            #[expect(clippy::cast_precision_loss, reason = "a rate that is shown to people")]
            let now = count as f32 / elapsed.max(Self::STEP.as_secs_f32());
            *rate += (now - *rate) * weight;
        }
        rates
    }
}

impl ExporterAccount {
    /// How long somebody is a newcomer, which is forgotten before the others when there are too many.
    const PROBATION: Duration = Duration::from_secs(30);
    /// Templates that are remembered as missing.
    const MISSING: usize = 32;

    /// How often something was wrong.
    #[must_use]
    pub fn faults(&self, kind: FaultKind) -> u64 {
        self.faults.get(kind as usize).copied().unwrap_or(0)
    }

    /// What the user calls it.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.gate.name()
    }

    /// Octets of what it says.
    pub(super) const fn said_octets(&self) -> usize {
        self.names.octets() + self.statements.octets()
    }

    /// Whether it has sent something sound some time after it was first seen.
    pub(super) fn is_established(&self) -> bool {
        self.last_sound.is_some_and(|last| last.saturating_since(self.first_seen) >= Self::PROBATION)
    }

    pub(super) fn arrived(&mut self, octets: usize, received: Timestamp) {
        if self.datagrams == 0 {
            self.first_seen = received;
        }
        self.datagrams += 1;
        self.octets += octets as u64;
        self.last_seen = received;
        self.rates.add(received, [1, u32::try_from(octets).unwrap_or(u32::MAX), 0]);
    }

    /// Something came that is no datagram.
    pub(super) fn noticed(&mut self, now: Timestamp) {
        if self.datagrams == 0 && self.first_seen == Timestamp::ZERO {
            self.first_seen = now;
        }
        self.last_seen = now;
    }

    /// A sound datagram carried so many flows.
    pub(super) fn carried(&mut self, received: Timestamp, exported: Timestamp, flows: u64) {
        self.flows += flows;
        self.last_sound = Some(received);
        self.rates.add(received, [0, 0, u32::try_from(flows).unwrap_or(u32::MAX)]);
        let millis = |time: Timestamp| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        self.skew = Some(ClockSkew::with(self.skew, millis(received).saturating_sub(millis(exported))));
    }

    /// Something was wrong; returns how often it was.
    pub(super) fn fault(&mut self, what: What, now: Timestamp) -> u64 {
        self.last_fault = Some((now, what));
        let Some(count) = self.faults.get_mut(what.kind() as usize) else { return 0 };
        *count += 1;
        *count
    }

    pub(super) fn missed(&mut self, template: (u16, u32, u16), octets: usize, now: Timestamp) {
        if self.missing.len() >= Self::MISSING && !self.missing.contains_key(&template) {
            return;
        }
        let new = MissingTemplate { since: now, last: now, sets: 0, octets: 0 };
        let missing = self.missing.entry(template).or_insert(new);
        missing.last = now;
        missing.sets += 1;
        missing.octets += octets as u64;
    }

    /// A copy without what may be much: what it calls things, and which templates are missing.
    pub(super) fn without_names(&self) -> Self {
        Self {
            datagrams: self.datagrams,
            octets: self.octets,
            flows: self.flows,
            first_seen: self.first_seen,
            last_seen: self.last_seen,
            last_sound: self.last_sound,
            skew: self.skew,
            rates: self.rates,
            refused: self.refused,
            last_fault: self.last_fault,
            missing: BTreeMap::new(),
            names: Names::default(),
            statements: Statements::default(),
            gate: self.gate.namesake(),
            faults: self.faults,
        }
    }

    /// Adds what another collector knows of the same exporter.
    pub(super) fn absorb(&mut self, other: Self) {
        self.datagrams += other.datagrams;
        self.octets += other.octets;
        self.flows += other.flows;
        self.first_seen = self.first_seen.min(other.first_seen);
        self.last_sound = self.last_sound.max(other.last_sound);
        if other.last_seen > self.last_seen {
            self.last_seen = other.last_seen;
            self.skew = other.skew.or(self.skew);
            self.last_fault = other.last_fault.or(self.last_fault);
        }
        self.refused.absorb(&other.refused);
        self.missing.extend(other.missing);
        for (count, more) in self.faults.iter_mut().zip(other.faults) {
            *count += more;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_come_near_what_is_sent_and_fall_when_nothing_is() {
        let mut rates = Rates::default();
        let at = |millis: u64| Timestamp::from_millis(1_700_000_000_000 + millis);
        // 10 datagrams and 300 flows a second, for five minutes.
        for tenth in 0..3_000 {
            rates.add(at(tenth * 100), [1, 1_000, 30]);
        }
        let [datagrams, octets, flows] = rates.at(at(300_000));
        assert!((9.0..=11.0).contains(&datagrams) && (9_000.0..=11_000.0).contains(&octets), "{rates:?}");
        assert!((270.0..=330.0).contains(&flows), "{rates:?}");
        assert!(rates.at(at(600_000))[0] < 1.0);
        // A clock that is set back does no harm.
        rates.add(at(0), [1, 1_000, 30]);
        assert!(rates.at(at(1_000))[0].is_finite());
    }

    #[test]
    fn a_clock_is_known_by_the_delay_of_datagrams() {
        let mut account = ExporterAccount::default();
        for (received, exported) in [(100, 97), (200, 190), (300, 301)] {
            account.carried(Timestamp::from_secs(received), Timestamp::from_secs(exported), 1);
        }
        assert_eq!(account.skew, Some(ClockSkew { last_millis: -1_000, range_millis: (-1_000, 10_000) }));
    }
}
