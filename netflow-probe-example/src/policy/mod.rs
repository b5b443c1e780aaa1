//! Who may send how much, and how what exporters send is to be understood.
//!
//! A policy is said in a TOML file, see [`Policy::parse`]; without one everybody may send, as much as the machine can take.

mod file;
mod gate;
mod meter;
mod prefix;

use core::{net::IpAddr, time::Duration};
use std::sync::Arc;

use netflow_codec::{
    CacheLimits, Quirk, Quirks, SamplingAlgorithm, SamplingInfo, SamplingRate, SamplingSource,
};

pub use self::{
    gate::{Gate, Refusal, Refusals},
    meter::{Meter, Rate},
    prefix::{Prefix, PrefixMap},
};

/// What the user decided about exporters.
#[derive(Debug, Default)]
pub struct Policy {
    /// Tells policies apart.
    number: u64,
    /// Who may send; `None`: everybody.
    allowed: Option<PrefixMap<()>>,
    /// The rules of all, and those of prefixes, which go before.
    rules: Partial,
    rules_of: PrefixMap<Partial>,
    /// What all exporters together may send.
    quota: Quota,
    /// What they have sent of it; shared by all who receive.
    pub spent: Spent,
    /// When senders of nothing but malformed datagrams are ignored.
    pub muting: Option<Muting>,
    /// The limits of a template cache.
    pub limits: Limits,
}

/// What a sender may send in a second; `None`: any amount.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Quota {
    /// Datagrams.
    pub datagrams: Option<Rate>,
    /// Octets of them.
    pub octets: Option<Rate>,
}

/// How much of a [`Quota`] is spent.
#[derive(Debug, Default)]
pub struct Spent {
    datagrams: Meter,
    octets: Meter,
}

impl Spent {
    /// Whether a datagram of so many octets is within the quota.
    pub fn admits(&self, quota: &Quota, octets: usize, now: netflow_codec::Timestamp) -> bool {
        quota.datagrams.is_none_or(|rate| self.datagrams.admits(rate, 1, now))
            && quota.octets.is_none_or(|rate| self.octets.admits(rate, octets as u64, now))
    }
}

/// Senders of nothing but malformed datagrams are ignored for a while (RFC 7011 section 9.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Muting {
    /// Malformed datagrams in a row, with no sound one before them.
    pub after: u32,
    /// How long what follows is ignored.
    pub duration: Duration,
}

impl Default for Muting {
    fn default() -> Self {
        Self { after: 10, duration: Duration::from_secs(30) }
    }
}

/// Limits of a template cache, where they are not the defaults.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Limits(file::CacheTable);

impl Limits {
    /// These limits, and what is not said here from `others`.
    #[must_use]
    pub fn over(&self, others: CacheLimits) -> CacheLimits {
        self.0.over(others)
    }
}

/// Rules of which some are said.
#[derive(Clone, Debug, Default)]
struct Partial {
    name: Option<Arc<str>>,
    quirks: Vec<(Quirk, bool)>,
    sampling: Option<Sampling>,
    datagrams: Option<Rate>,
    octets: Option<Rate>,
}

/// What the user says of sampling.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sampling {
    /// The rate of flows for which the exporter announced none.
    Default(SamplingRate),
    /// The rate of all flows, whatever the exporter announced.
    Forced(SamplingRate),
    /// The exporter has scaled its counters itself: whatever it announced, they are not to be scaled again.
    Scaled,
}

impl Sampling {
    /// What holds for a flow of which the exporter said this.
    #[must_use]
    pub fn over(self, announced: Option<SamplingInfo>) -> Option<SamplingInfo> {
        let said = |rate: SamplingRate| {
            let source = SamplingSource::Configuration;
            let mut info = SamplingInfo::new(rate.interval(), SamplingAlgorithm::UNKNOWN, source)?;
            info.rate = rate;
            Some(info)
        };
        match self {
            Self::Default(rate) => announced.or_else(|| said(rate)),
            Self::Forced(rate) => said(rate),
            Self::Scaled => SamplingRate::one_in(1).and_then(said),
        }
    }
}

/// What holds for an exporter.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// What the user calls it.
    pub name: Option<Arc<str>>,
    /// The quirks in which it differs, and whether they are on.
    quirks: Vec<(Quirk, bool)>,
    /// What is said of its sampling.
    pub sampling: Option<Sampling>,
    /// What it may send.
    pub quota: Quota,
}

impl Rules {
    /// Its quirks, where those of all are these.
    #[must_use]
    pub fn quirks(&self, of_all: Quirks) -> Quirks {
        self.quirks.iter().fold(
            of_all,
            |quirks, (quirk, is_on)| {
                if *is_on { quirks.with(*quirk) } else { quirks.without(*quirk) }
            },
        )
    }
}

impl Policy {
    /// Understands a policy file.
    ///
    /// ```
    /// use netflow_probe_example::policy::Policy;
    ///
    /// let policy = Policy::parse(
    ///     r#"
    ///     [exporters]
    ///     allow = ["192.0.2.0/24", "2001:db8::/32"]
    ///
    ///     [exporter."192.0.2.1"]
    ///     name = "core-1"
    ///     quirks = { v5-sampling-of-16-bits = true }
    ///     sampling = { default = "1:1000" }
    ///     "#,
    /// )?;
    /// assert!(policy.allows("192.0.2.9".parse()?) && !policy.allows("198.51.100.1".parse()?));
    /// assert_eq!(policy.rules("192.0.2.1".parse()?).name.as_deref(), Some("core-1"));
    /// let error = Policy::parse("[exporters]\nalow = []").unwrap_err();
    /// assert!(error.contains("line 2") && error.contains("`allow`"), "{error}");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Says the line, the key and what would be accepted.
    pub fn parse(text: &str) -> Result<Self, String> {
        file::parse(text)
    }

    /// Switches a quirk of a prefix, or of all; this goes before what a file says of them.
    pub fn switch_quirk(&mut self, quirk: Quirk, is_on: bool, exporter: Option<IpAddr>) {
        let rules = match exporter {
            None => &mut self.rules,
            Some(exporter) => self.rules_of.entry(Prefix::of(exporter, 128)),
        };
        rules.quirks.push((quirk, is_on));
    }

    /// Whether an exporter may send.
    #[must_use]
    pub fn allows(&self, exporter: IpAddr) -> bool {
        self.allowed.as_ref().is_none_or(|allowed| allowed.of(exporter).next().is_some())
    }

    /// Whether what all exporters together may send is not spent.
    pub fn admits(&self, octets: usize, now: netflow_codec::Timestamp) -> bool {
        self.spent.admits(&self.quota, octets, now)
    }

    /// The rules of an exporter: of all prefixes that it is in, the longest says last.
    #[must_use]
    pub fn rules(&self, exporter: IpAddr) -> Rules {
        let mut rules = Rules::default();
        for said in [&self.rules].into_iter().chain(self.rules_of.of(exporter)) {
            rules.name = said.name.clone().or(rules.name);
            rules.quirks.extend(&said.quirks);
            rules.sampling = said.sampling.or(rules.sampling);
            rules.quota.datagrams = said.datagrams.or(rules.quota.datagrams);
            rules.quota.octets = said.octets.or(rules.quota.octets);
        }
        rules
    }
}
