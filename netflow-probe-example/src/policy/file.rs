//! The policy as a TOML file.
//!
//! ```toml
//! [exporters]
//! allow = ["192.0.2.0/24", "2001:db8::/32"]   # without it everybody may send
//! mute-after = 10                             # malformed datagrams in a row; 0: never
//! mute-for = "30s"
//!
//! [quota]                                     # of all exporters together, in a second
//! datagrams = 200_000
//! octets = "200M"
//!
//! [cache]                                     # of each worker
//! scopes = 32768
//! template-octets = "128M"
//!
//! [default]                                   # what holds for exporters unless said otherwise
//! quota = { datagrams = 20_000 }
//! quirks = { long-uptimes = false }
//!
//! [exporter."192.0.2.1"]                      # an address or a prefix; the longest says last
//! name = "core-1"
//! sampling = { forced = "1:1000" }            # or `default`, or `counters = "scaled"`
//! ```

use core::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use std::collections::BTreeMap;

use netflow_codec::{CacheLimits, Quirk, QuirkSetting, SamplingRate};
use serde::{Deserialize, Deserializer, de::Error as _};
use toml::Spanned;

use super::{Limits, Muting, Partial, Policy, Prefix, PrefixMap, Quota, Rate, Sampling, Spent};
use crate::config::{parse_duration, parse_octets};

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    exporters: Exporters,
    quota: QuotaTable,
    cache: CacheTable,
    default: RulesTable,
    exporter: BTreeMap<Spanned<String>, RulesTable>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Exporters {
    allow: Option<Vec<Text<Prefix>>>,
    mute_after: Option<u32>,
    mute_for: Option<Time>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct QuotaTable {
    datagrams: Option<Octets>,
    octets: Option<Octets>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct RulesTable {
    name: Option<String>,
    quirks: BTreeMap<Spanned<String>, bool>,
    sampling: Option<Spanned<SamplingTable>>,
    quota: QuotaTable,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct SamplingTable {
    default: Option<Fraction>,
    forced: Option<Fraction>,
    counters: Option<Counters>,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Counters {
    /// As they were metered.
    Raw,
    /// Multiplied by the exporter.
    Scaled,
}

/// The limits of a template cache.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct CacheTable {
    scopes: Option<usize>,
    scopes_per_exporter: Option<usize>,
    templates_per_scope: Option<usize>,
    fields_per_template: Option<u16>,
    template_octets: Option<Octets>,
    template_octets_per_exporter: Option<Octets>,
    probation: Option<Time>,
    lifetime: Option<Time>,
    late_data: Option<Time>,
    pending_octets: Option<Octets>,
    pending_octets_per_exporter: Option<Octets>,
    pending_age: Option<Time>,
}

impl CacheTable {
    pub(super) fn over(&self, mut limits: CacheLimits) -> CacheLimits {
        fn set<T: Copy>(limit: &mut T, said: Option<T>) {
            *limit = said.unwrap_or(*limit);
        }
        let octets = |octets: Option<Octets>| {
            octets.map(|Octets(octets)| usize::try_from(octets).unwrap_or(usize::MAX))
        };
        let time = |time: Option<Time>| time.map(|Time(duration)| duration);
        set(&mut limits.scopes, self.scopes);
        set(&mut limits.scopes_per_exporter, self.scopes_per_exporter);
        set(&mut limits.templates_per_scope, self.templates_per_scope);
        set(&mut limits.fields_per_template, self.fields_per_template);
        set(&mut limits.template_octets, octets(self.template_octets));
        set(&mut limits.template_octets_per_exporter, octets(self.template_octets_per_exporter));
        set(&mut limits.probation, time(self.probation));
        set(&mut limits.late_data, time(self.late_data));
        set(&mut limits.pending_octets, octets(self.pending_octets));
        set(&mut limits.pending_octets_per_exporter, octets(self.pending_octets_per_exporter));
        set(&mut limits.pending_age, time(self.pending_age));
        if let Some(Time(lifetime)) = self.lifetime {
            limits.lifetime = netflow_codec::TemplateLifetime::fixed(lifetime);
        }
        limits
    }
}

/// What has a form of its own in text.
#[derive(Debug)]
struct Text<T>(T);

impl<'de, T: core::str::FromStr<Err = String>> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(Self).map_err(D::Error::custom)
    }
}

/// A number, or text with a unit.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a whole number, or text as in \"64M\", expected")]
enum Number {
    Plain(u64),
    Text(String),
}

/// A number of octets, or of anything else.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Octets(u64);

impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Number::deserialize(deserializer)? {
            Number::Plain(number) => Ok(Self(number)),
            Number::Text(text) => parse_octets(&text).map(Self).map_err(D::Error::custom),
        }
    }
}

/// A duration.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Time(Duration);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parse_duration(&String::deserialize(deserializer)?).map(Self).map_err(D::Error::custom)
    }
}

/// A rate of sampling: `1000` or `"1:1000"`.
#[derive(Clone, Copy, Debug)]
struct Fraction(SamplingRate);

impl<'de> Deserialize<'de> for Fraction {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let rate = match Number::deserialize(deserializer)? {
            Number::Plain(number) => SamplingRate::one_in(number),
            Number::Text(text) => text
                .split_once(':')
                .and_then(|(selected, all)| SamplingRate::new(all.parse().ok()?, selected.parse().ok()?)),
        };
        rate.map(Self).ok_or_else(|| D::Error::custom("a rate expected, as in 1000 or \"1:1000\""))
    }
}

/// Policies understood so far.
static NUMBER: AtomicU64 = AtomicU64::new(0);

pub(super) fn parse(text: &str) -> Result<Policy, String> {
    let file: File = toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
    let mut rules_of = PrefixMap::default();
    for (key, table) in file.exporter {
        let fault =
            |error: &str| at(text, key.span().start, &format!("exporter.\"{}\"", key.get_ref()), error);
        let prefix: Prefix = key.get_ref().parse().map_err(|error: String| fault(&error))?;
        let rules = table.rules(text)?;
        if rules_of.insert(prefix, rules).is_some() {
            return Err(fault("this prefix is there already, written in another way"));
        }
    }
    let Exporters { allow, mute_after, mute_for } = file.exporters;
    let allowed = allow.map(|prefixes| {
        let mut allowed = PrefixMap::default();
        for Text(prefix) in prefixes {
            allowed.insert(prefix, ());
        }
        allowed
    });
    let muting = Muting::default();
    let muting = Muting {
        after: mute_after.unwrap_or(muting.after),
        duration: mute_for.map_or(muting.duration, |Time(duration)| duration),
    };
    Ok(Policy {
        number: 1 + NUMBER.fetch_add(1, Ordering::Relaxed),
        allowed,
        rules: file.default.rules(text)?,
        rules_of,
        quota: file.quota.quota(),
        spent: Spent::default(),
        muting: (muting.after > 0).then_some(muting),
        limits: Limits(file.cache),
    })
}

/// An error with its place.
fn at(text: &str, offset: usize, key: &str, error: &str) -> String {
    let line = text.get(..offset).unwrap_or(text).matches('\n').count() + 1;
    format!("line {line}, {key}: {error}")
}

impl QuotaTable {
    fn quota(&self) -> Quota {
        let rate = |said: Option<Octets>| said.map(|Octets(a_second)| Rate { a_second });
        Quota { datagrams: rate(self.datagrams), octets: rate(self.octets) }
    }
}

impl RulesTable {
    fn rules(self, text: &str) -> Result<Partial, String> {
        let mut quirks = Vec::new();
        for (name, is_on) in &self.quirks {
            let fault =
                |error: &str| at(text, name.span().start, &format!("quirks.{}", name.get_ref()), error);
            let quirk: Quirk = name.get_ref().parse().map_err(|error| {
                let known: Vec<&str> = Quirk::ALL.iter().map(|quirk| quirk.name()).collect();
                fault(&format!("{error}; known are {}", known.join(", ")))
            })?;
            if !is_on && quirk.setting() == QuirkSetting::Always {
                return Err(fault(&format!("it is always on: {}", quirk.reason())));
            }
            quirks.push((quirk, *is_on));
        }
        let sampling = match &self.sampling {
            None => None,
            Some(table) => {
                let SamplingTable { default, forced, counters } = table.get_ref();
                match (default, forced, counters) {
                    (None, None, Some(Counters::Scaled)) => Some(Sampling::Scaled),
                    (None, None, None | Some(Counters::Raw)) => None,
                    (Some(Fraction(rate)), None, None | Some(Counters::Raw)) => {
                        Some(Sampling::Default(*rate))
                    }
                    (None, Some(Fraction(rate)), None | Some(Counters::Raw)) => Some(Sampling::Forced(*rate)),
                    _ => {
                        let error = "`default`, `forced` and `counters = \"scaled\"` exclude one another";
                        return Err(at(text, table.span().start, "sampling", error));
                    }
                }
            }
        };
        let Quota { datagrams, octets } = self.quota.quota();
        Ok(Partial { name: self.name.map(Into::into), quirks, sampling, datagrams, octets })
    }
}

#[cfg(test)]
mod tests {
    use netflow_codec::{Quirks, SamplingAlgorithm, SamplingInfo, SamplingSource};

    use super::*;

    #[test]
    fn rules_of_the_longest_prefix_go_before_the_others() {
        // C18
        let policy = parse(
            r#"
            [default]
            quota = { datagrams = 100 }
            quirks = { long-uptimes = false }

            [exporter."10.0.0.0/8"]
            name = "all"
            sampling = { default = 100 }

            [exporter."10.1.1.1"]
            name = "one"
            quota = { octets = "1K" }
            quirks = { long-uptimes = true }
            sampling = { forced = "2:10" }

            [cache]
            scopes = 7
            template-octets = "1M"
            lifetime = "2h"
            "#,
        )
        .unwrap();
        let one = policy.rules([10, 1, 1, 1].into());
        let other = policy.rules([10, 1, 1, 2].into());
        let stranger = policy.rules([11, 0, 0, 1].into());
        assert_eq!(
            (one.name.as_deref(), other.name.as_deref(), stranger.name.as_deref()),
            (Some("one"), Some("all"), None)
        );
        let rates = |rules: &super::super::Rules| {
            (rules.quota.datagrams.map(|rate| rate.a_second), rules.quota.octets.map(|rate| rate.a_second))
        };
        assert_eq!((rates(&one), rates(&other)), ((Some(100), Some(1_024)), (Some(100), None)));
        let all = Quirks::DEFAULT;
        assert!(
            one.quirks(all).contains(Quirk::LongUptimes) && !other.quirks(all).contains(Quirk::LongUptimes)
        );
        let announced = SamplingInfo::new(7, SamplingAlgorithm::RANDOM, SamplingSource::Header);
        let rate = |rules: &super::super::Rules, announced| {
            let info = rules.sampling.map_or(announced, |sampling| sampling.over(announced));
            info.map(|info| (info.rate.population(), info.rate.selected(), info.source.name()))
        };
        assert_eq!(rate(&one, announced), Some((5, 1, "configuration")));
        assert_eq!(rate(&other, announced), Some((7, 1, "header")));
        assert_eq!(rate(&other, None), Some((100, 1, "configuration")));
        assert_eq!(rate(&stranger, None), None);
        let limits = policy.limits.over(CacheLimits::default());
        assert_eq!((limits.scopes, limits.template_octets, limits.scopes_per_exporter), (7, 1 << 20, 256));
    }

    #[test]
    fn counters_that_are_scaled_are_not_scaled_again() {
        // C24
        let policy = parse("[default]\nsampling = { counters = \"scaled\" }").unwrap();
        let announced = SamplingInfo::new(1_000, SamplingAlgorithm::RANDOM, SamplingSource::Header);
        let info = policy.rules([10, 0, 0, 1].into()).sampling.unwrap().over(announced).unwrap();
        assert_eq!((info.interval, info.source.name()), (1, "configuration"));
    }

    #[test]
    fn what_is_wrong_is_told_with_line_key_and_what_is_accepted() {
        for (text, parts) in [
            ("[exporters]\nallow = [\"10.0.0.1/8\"]", &["line 2", "allow", "10.0.0.0/8 is meant?"][..]),
            ("[exporters]\nallow = \"all\"", &["line 2", "sequence"]),
            ("\n[quotas]", &["line 2", "quotas", "expected one of", "quota"]),
            ("[quota]\ndatagrams = \"many\"", &["line 2", "datagrams", "whole number of octets"]),
            ("[quota]\ndatagrams = -1", &["line 2", "whole number"]),
            ("[default]\n\nquirks = { fast = true }", &["line 3", "quirks.fast", "long-uptimes"]),
            ("[default.quirks]\nodd-widths = false", &["line 2", "always on"]),
            ("[default]\nsampling = { default = 0 }", &["line 2", "1:1000"]),
            ("[default]\nsampling = { default = \"5:1\" }", &["line 2", "1:1000"]),
            ("[default]\nsampling = { default = 5, forced = 6 }", &["line 2", "exclude one another"]),
            ("[default]\nsampling = { counters = \"odd\" }", &["line 2", "raw", "scaled"]),
            ("[exporter.\"10.0.0.300\"]", &["line 1", "exporter.\"10.0.0.300\"", "as in 192.0.2.1"]),
            ("[cache]\npending-age = 5", &["line 2", "pending-age"]),
            ("[cache]\nscopes = -1", &["line 2", "scopes"]),
            ("[exporters", &["line 1"]),
        ] {
            let error = parse(text).unwrap_err();
            for part in parts {
                assert!(error.contains(part), "{text}\n{error}\nhas no {part}");
            }
        }
        assert!(parse("").is_ok());
    }
}
