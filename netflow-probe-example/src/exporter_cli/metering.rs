//! How packets become flows.

use core::{fmt, hash::BuildHasher, str::FromStr, time::Duration};
use std::collections::hash_map::RandomState;

use clap::{Args, ValueEnum};
use netflow_flowcache::{CacheKind, Emergency, Inactive, ShortFlows, Timeouts, WhenFull};

use super::Failure;
use crate::{
    config::parse_duration,
    dissect::Tunnel,
    exporter::MAX_ACTIVE_TIMEOUT,
    meter::{
        COLLECT_HELP, CollectSpec, Fragments, KEY_HELP, Key, KeySpec, MeterConfig, MeterRules, SamplingSpec,
    },
};

/// The most flows metered at once, of IPv4 and of IPv6: they take 4.4 GB together.
const MAX_FLOWS: i64 = 16_711_680;

/// Arguments of the metering.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Metering")]
pub struct MeteringArgs {
    /// Report a flow that goes on after this time, at most 20d
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = parse_active_timeout)]
    pub active_timeout: Duration,

    /// End a flow that was silent for this time; `never` for not at all, 0s for each packet a flow
    #[arg(long, value_name = "DURATION", default_value = "15s")]
    pub inactive_timeout: TimeOrNever,

    /// The same for TCP
    #[arg(long, value_name = "DURATION")]
    pub inactive_timeout_tcp: Option<TimeOrNever>,

    /// The same for UDP
    #[arg(long, value_name = "DURATION")]
    pub inactive_timeout_udp: Option<TimeOrNever>,

    /// The same for ICMP and `ICMPv6`
    #[arg(long, value_name = "DURATION")]
    pub inactive_timeout_icmp: Option<TimeOrNever>,

    /// End flows of fewer than N packets when they were silent for this time
    #[arg(long, value_name = "N:DURATION", value_parser = parse_short_flows)]
    pub short_flows: Option<ShortFlows>,

    /// End a TCP flow when it was silent for this time after a FIN; `never` if a FIN ends none
    #[arg(long, value_name = "DURATION", default_value = "2s")]
    pub tcp_end: TimeOrNever,

    /// End a TCP flow when it was silent for this time after a RST; `never` if a RST ends none
    #[arg(long, value_name = "DURATION", default_value = "0s")]
    pub tcp_reset: TimeOrNever,

    /// End a flow for good after this time, however long it goes on
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub lifetime: Option<Duration>,

    /// What packets of a flow have in common
    #[arg(long, value_name = "FIELDS", long_help = KEY_HELP, conflicts_with = "biflow")]
    pub key: Vec<KeySpec>,

    /// What records say of a flow besides its key
    #[arg(long, value_name = "FIELDS", long_help = COLLECT_HELP)]
    pub collect: Vec<CollectSpec>,

    /// Meter both directions of a conversation as one flow: they end together, that of the initiator first
    #[arg(long)]
    pub biflow: bool,

    /// IPFIX: export both directions of a conversation as one record (RFC 5103)
    #[arg(long, requires = "biflow")]
    pub biflow_records: bool,

    /// What becomes of flows that go on
    #[arg(long, value_enum, value_name = "KIND", default_value = "normal")]
    pub cache: Cache,

    /// What becomes of a new flow when the table is full
    #[arg(long, value_enum, value_name = "POLICY", default_value = "evict-idle")]
    pub when_full: Policy,

    /// From HIGH percent of the table on, until it is LOW percent full again, end flows that were silent for this time
    #[arg(long, value_name = "HIGH:LOW:DURATION", value_parser = parse_emergency)]
    pub emergency: Option<Emergency>,

    /// Begin a new record before one has more octets, or packets, than this
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub counter_limit: Option<u64>,

    /// Which packets of tunnels to meter: those that carry others, those that are carried, or both. GRE, IP in IP, VXLAN,
    /// GENEVE, GTP-U, L2TP and pseudowires over MPLS are looked into
    #[arg(long, value_enum, value_name = "WHICH", default_value = "outer")]
    pub tunnel: TunnelArg,

    /// Whether later fragments, which have no ports, belong to the flow of the first one
    #[arg(long, value_enum, value_name = "WHICH", default_value = "follow")]
    pub fragments: FragmentsArg,

    /// Flows metered at once at most, of IPv4 and of IPv6
    #[arg(long, value_name = "N", default_value_t = 262_144, value_parser = clap::value_parser!(u32).range(1..=MAX_FLOWS))]
    pub max_flows: u32,

    /// Makes random sampling, and the order of forced evictions, the same on every run
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}

/// A time, or never.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TimeOrNever(Option<Duration>);

impl FromStr for TimeOrNever {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "never" {
            return Ok(Self(None));
        }
        parse_duration(text).map(|time| Self(Some(time))).map_err(|error| format!("{error}; or never"))
    }
}

impl fmt::Display for TimeOrNever {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("never"),
            Some(time) => write!(f, "{}ms", time.as_millis()),
        }
    }
}

impl TimeOrNever {
    const fn inactive(this: Option<Self>) -> Inactive {
        match this {
            None => Inactive::AsOthers,
            Some(Self(None)) => Inactive::Never,
            Some(Self(Some(time))) => Inactive::After(time),
        }
    }
}

/// What becomes of flows that go on.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Cache {
    /// They are reported by the active timeout
    Normal,
    /// Each packet is a flow of its own
    Immediate,
    /// Flows never end: they are reported every active timeout
    Permanent,
}

/// What becomes of a new flow when the table is full.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Policy {
    /// The flow that was silent longest is exported early
    EvictIdle,
    /// The flow whose record began first is exported early
    EvictOldest,
    /// Packets of new flows are not metered, and counted
    Refuse,
}

/// Which packets of tunnels are metered.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum TunnelArg {
    /// Those that carry others
    Outer,
    /// Those that are carried
    Inner,
    /// Both
    Both,
}

/// What the flow of later fragments is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum FragmentsArg {
    /// That of the first fragment
    Follow,
    /// One without ports
    Apart,
}

fn parse_short_flows(text: &str) -> Result<ShortFlows, String> {
    let parse = || {
        let (packets, inactive) = text.split_once(':')?;
        Some(ShortFlows { fewer_than: packets.parse().ok()?, inactive: parse_duration(inactive).ok()? })
    };
    parse().ok_or_else(|| "packets and a duration expected, as in 3:2s".to_owned())
}

fn parse_emergency(text: &str) -> Result<Emergency, String> {
    let parse = || {
        let (high, rest) = text.split_once(':')?;
        let (low, inactive) = rest.split_once(':')?;
        let (high, low) = (high.parse().ok()?, low.parse().ok()?);
        (high <= 100 && low < high).then_some(())?;
        Some(Emergency { high, low, inactive: parse_duration(inactive).ok()? })
    };
    parse().ok_or_else(|| {
        "two percentages, the second one lower, and a duration expected, as in 90:80:5s".to_owned()
    })
}

fn parse_active_timeout(text: &str) -> Result<Duration, String> {
    let duration = parse_duration(text).map_err(|error| error.to_string())?;
    if duration > MAX_ACTIVE_TIMEOUT {
        return Err(
            "at most 20d: the times of longer flows do not fit into 32 bits of milliseconds".to_owned()
        );
    }
    Ok(duration)
}

impl MeteringArgs {
    /// How to meter what `sampling` selects.
    ///
    /// # Errors
    ///
    /// When what is to be collected is not kept of flows with this key.
    pub(super) fn config(&self, sampling: SamplingSpec) -> Result<MeterConfig, Failure> {
        let mut timeouts = Timeouts::default();
        timeouts.active = Some(self.active_timeout);
        timeouts.inactive = self.inactive_timeout.0;
        timeouts.inactive_tcp = TimeOrNever::inactive(self.inactive_timeout_tcp);
        timeouts.inactive_udp = TimeOrNever::inactive(self.inactive_timeout_udp);
        timeouts.inactive_icmp = TimeOrNever::inactive(self.inactive_timeout_icmp);
        timeouts.short_flows = self.short_flows;
        timeouts.tcp_end = self.tcp_end.0;
        timeouts.tcp_reset = self.tcp_reset.0;
        timeouts.lifetime = self.lifetime;
        Ok(MeterConfig {
            timeouts,
            // At most `MAX_FLOWS`.
            max_flows: usize::try_from(self.max_flows).unwrap_or(usize::MAX),
            sampling,
            seed: self.seed.unwrap_or_else(|| RandomState::new().hash_one(0)),
            rules: self.rules()?,
        })
    }

    /// What makes packets one flow.
    pub(super) fn key(&self) -> Key {
        match KeySpec::join(&self.key) {
            _ if self.biflow => Key::Biflow,
            Some(fields) => Key::Fields(fields),
            None => Key::SevenTuple,
        }
    }

    fn rules(&self) -> Result<MeterRules, Failure> {
        let collect = CollectSpec::join(&self.collect, &self.key());
        Ok(MeterRules {
            collect: collect.map_err(|text| Failure::Usage(format!("--collect: {text}")))?,
            key: self.key(),
            kind: match self.cache {
                Cache::Normal => CacheKind::Normal,
                Cache::Immediate => CacheKind::Immediate,
                Cache::Permanent => CacheKind::Permanent,
            },
            when_full: match self.when_full {
                Policy::EvictIdle => WhenFull::EvictLongestIdle,
                Policy::EvictOldest => WhenFull::EvictOldest,
                Policy::Refuse => WhenFull::RefuseNew,
            },
            emergency: self.emergency,
            counter_limit: self.counter_limit,
            tunnel: match self.tunnel {
                TunnelArg::Outer => Tunnel::Outer,
                TunnelArg::Inner => Tunnel::Inner,
                TunnelArg::Both => Tunnel::Both,
            },
            fragments: match self.fragments {
                FragmentsArg::Follow => Fragments::Follow,
                FragmentsArg::Apart => Fragments::Apart,
            },
        })
    }
}
