//! Whether the datagrams of one exporter come in.

use core::net::IpAddr;

use netflow_codec::{Quirks, Timestamp};

use super::{Policy, Rules, Sampling, Spent};

/// Why a datagram is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Refusal {
    /// Its sender is none of those that may send.
    NotAllowed,
    /// Its exporter has sent what it may in this time.
    ExporterQuota,
    /// All exporters together have.
    TotalQuota,
    /// Its exporter has sent nothing but malformed datagrams.
    Muted,
}

impl Refusal {
    /// All reasons.
    pub const ALL: [Self; 4] = [Self::NotAllowed, Self::ExporterQuota, Self::TotalQuota, Self::Muted];

    /// Its name in the account.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotAllowed => "not_allowed",
            Self::ExporterQuota => "exporter_quota",
            Self::TotalQuota => "total_quota",
            Self::Muted => "muted",
        }
    }
}

/// How often there was which reason to refuse.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Refusals([u64; Refusal::ALL.len()]);

impl Refusals {
    /// How often it was this one.
    #[must_use]
    pub fn of(&self, reason: Refusal) -> u64 {
        self.0.get(reason as usize).copied().unwrap_or(0)
    }

    /// All reasons together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Counts one more.
    pub fn add(&mut self, reason: Refusal) {
        if let Some(count) = self.0.get_mut(reason as usize) {
            *count += 1;
        }
    }

    /// Adds those of somebody else.
    pub fn absorb(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count += more;
        }
    }

    /// Names and counts of the reasons that there were.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.all().filter(|(_, count)| *count > 0)
    }

    /// Names and counts of all reasons.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Refusal::ALL.iter().map(|reason| (reason.name(), self.of(*reason)))
    }
}

/// What decides about the datagrams of one exporter.
#[derive(Debug, Default)]
pub struct Gate {
    /// The policy that the rules are of.
    policy: Option<u64>,
    is_allowed: bool,
    rules: Rules,
    quirks: Quirks,
    spent: Spent,
    /// Whether anything sound has come.
    is_proven: bool,
    /// Malformed datagrams since something sound came, or the last silence was over.
    malformed: u32,
    muted_until: Timestamp,
}

impl Gate {
    /// Another one that knows the name and nothing else.
    #[must_use]
    pub fn namesake(&self) -> Self {
        let rules = Rules { name: self.rules.name.clone(), ..Rules::default() };
        Self { rules, ..Self::default() }
    }

    /// Whether a datagram of so many octets comes in. Streams have no quota: what is left out of one is missed by all that
    /// follows, and who reads slowly has its exporter wait.
    ///
    /// # Errors
    ///
    /// Why it does not.
    pub fn admit(
        &mut self,
        exporter: IpAddr,
        octets: usize,
        now: Timestamp,
        policy: &Policy,
        quirks: Quirks,
        has_quota: bool,
    ) -> Result<(), Refusal> {
        if self.policy != Some(policy.number) {
            self.policy = Some(policy.number);
            self.is_allowed = policy.allows(exporter);
            self.rules = policy.rules(exporter);
            self.quirks = self.rules.quirks(quirks);
        }
        if !self.is_allowed {
            return Err(Refusal::NotAllowed);
        }
        // A clock that was set back since does not prolong it.
        let silence = self.muted_until.saturating_since(now);
        if !silence.is_zero() && policy.muting.is_some_and(|muting| silence <= muting.duration) {
            return Err(Refusal::Muted);
        }
        if !has_quota {
            return Ok(());
        }
        if !self.spent.admits(&self.rules.quota, octets, now) {
            return Err(Refusal::ExporterQuota);
        }
        if policy.admits(octets, now) { Ok(()) } else { Err(Refusal::TotalQuota) }
    }

    /// What is known of a datagram that came in. Who has sent anything sound is never ignored: with forged datagrams
    /// anybody could have it ignored.
    pub fn judge(&mut self, is_sound: bool, now: Timestamp, policy: &Policy) {
        self.is_proven |= is_sound;
        if self.is_proven {
            return;
        }
        self.malformed += 1;
        if let Some(muting) = policy.muting
            && self.malformed >= muting.after
        {
            self.malformed = 0;
            self.muted_until = now.saturating_add(muting.duration);
        }
    }

    /// What the user calls the exporter.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.rules.name.as_deref()
    }

    /// Its quirks.
    #[must_use]
    pub const fn quirks(&self) -> Quirks {
        self.quirks
    }

    /// What the user says of its sampling.
    #[must_use]
    pub const fn sampling(&self) -> Option<Sampling> {
        self.rules.sampling
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_sends_nothing_sound_is_ignored_for_a_while_and_heard_again() {
        // C11
        let policy = Policy::parse("[exporters]\nmute-after = 10\nmute-for = \"30s\"").unwrap();
        let exporter = [192, 0, 2, 1].into();
        let mut gate = Gate::default();
        let send = |gate: &mut Gate, secs: u64, is_sound| {
            let now = Timestamp::from_secs(1_700_000_000 + secs);
            let verdict = gate.admit(exporter, 100, now, &policy, Quirks::DEFAULT, true);
            if verdict.is_ok() {
                gate.judge(is_sound, now, &policy);
            }
            verdict
        };
        for _ in 0..10 {
            assert_eq!(send(&mut gate, 0, false), Ok(()));
        }
        assert_eq!(send(&mut gate, 1, true), Err(Refusal::Muted));
        assert_eq!(send(&mut gate, 29, true), Err(Refusal::Muted));
        assert_eq!(send(&mut gate, 30, true), Ok(()));
        // Once something sound has come, forged datagrams cannot have it ignored.
        for _ in 0..100 {
            assert_eq!(send(&mut gate, 31, false), Ok(()));
        }
        // Nor does a clock that is set back a year.
        let mut gate = Gate::default();
        for _ in 0..10 {
            assert_eq!(send(&mut gate, 0, false), Ok(()));
        }
        let year_before = Timestamp::from_secs(1_668_464_000);
        assert_eq!(gate.admit(exporter, 100, year_before, &policy, Quirks::DEFAULT, true), Ok(()));
    }

    #[test]
    fn another_policy_holds_from_the_next_datagram_on() {
        let exporter = [192, 0, 2, 1].into();
        let now = Timestamp::from_secs(1_700_000_000);
        let open = Policy::default();
        let closed = Policy::parse("[exporters]\nallow = []").unwrap();
        let mut gate = Gate::default();
        assert_eq!(gate.admit(exporter, 1, now, &open, Quirks::DEFAULT, true), Ok(()));
        assert_eq!(gate.admit(exporter, 1, now, &closed, Quirks::DEFAULT, true), Err(Refusal::NotAllowed));
        assert_eq!(gate.admit(exporter, 1, now, &open, Quirks::DEFAULT, true), Ok(()));
    }
}
