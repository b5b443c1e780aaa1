//! What becomes of flows behind the collector: stages of counting, then all that they are handed to.

use core::{net::SocketAddr, time::Duration};

use clap::Args;
use serde_json::Value;

use super::Failure;
use crate::{
    collector::Collector,
    config::parse_duration,
    counting::{Counting, CountingConfig, CountingStats, FirewallOctets},
    output::FlowSink,
    relay::{Relay, RelayStats},
    store::{Store, StoreStats},
};

/// Where flows go: through the stages of counting to what prints them, and to the store.
pub(super) type Sinks = Counting<Ends>;

/// What prints flows, and what stores them.
pub(super) type Ends = (Option<Box<dyn FlowSink>>, Option<Store>);

/// What the collector's store has done, when it has one.
pub(super) fn stored(collector: &Collector<Sinks>) -> Option<StoreStats> {
    collector.sink().sink().1.as_ref().map(Store::stats)
}

/// What the stages of counting have changed, when there are any.
pub(super) fn counted(collector: &Collector<Sinks>) -> Option<CountingStats> {
    collector.sink().stats()
}

/// Two of them together.
pub(super) fn both(one: Option<CountingStats>, other: Option<CountingStats>) -> Option<CountingStats> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.and(other)),
        (one, other) => one.or(other),
    }
}

/// What became of flows or datagrams somewhere: a part of the account.
pub(super) struct Effect {
    /// Its member of the account as JSON.
    pub(super) name: &'static str,
    pub(super) json: Value,
    /// Its line of the account.
    pub(super) line: String,
}

impl Effect {
    /// Of the store and of the stages of counting.
    pub(super) fn of(store: Option<StoreStats>, counting: Option<CountingStats>) -> Vec<Self> {
        let counting =
            counting.map(|stats| Self { name: "counting", json: stats.to_json(), line: stats.to_string() });
        let store = store.map(|stats| Self { name: "store", json: stats.to_json(), line: stats.to_string() });
        counting.into_iter().chain(store).collect()
    }
}

/// What all workers share.
#[derive(Debug)]
pub(super) struct Shared {
    relay: Option<Relay>,
}

impl Shared {
    pub(super) fn open(relay: &RelayArgs) -> Result<Self, Failure> {
        Ok(Self { relay: relay.open()? })
    }

    /// Hands a datagram on as it came.
    pub(super) fn hand_on(&self, exporter: SocketAddr, payload: &[u8]) {
        if let Some(relay) = &self.relay {
            relay.hand_on(exporter, payload);
        }
    }

    /// What became of all that was handed on.
    pub(super) fn effects(&self) -> Vec<Effect> {
        let relay = self.relay.as_ref().map(|relay| {
            let stats = relay.stats();
            let lines: Vec<String> = stats.iter().map(ToString::to_string).collect();
            let json = stats.iter().map(RelayStats::to_json).collect();
            Effect { name: "relay", json, line: lines.join("\n") }
        });
        relay.into_iter().collect()
    }
}

/// What counts once, and when.
#[derive(Args, Clone, Debug, Default)]
pub struct CountingArgs {
    /// Leave out flows that their exporter reports in the other direction (flowDirection), too, as routers do that meter
    /// where packets enter and where they leave: of a flow the direction that was reported first counts, until it was
    /// silent for so long.
    #[arg(
        long,
        value_name = "DURATION",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "5m",
        value_parser = parse_duration
    )]
    pub deduplicate: Option<Duration>,
    /// Which records of Cisco's firewalls count octets: those at the end of a connection, or updates and what they have
    /// not counted. Without it both do, and what lasted long counts twice. Not for stored flows.
    #[arg(long, value_enum, value_name = "RECORDS")]
    pub firewall_octets: Option<FirewallOctets>,
    /// Count totals that are reported again (octetTotalCount, packetTotalCount) by what they grew. Not for stored flows.
    #[arg(long)]
    pub running_totals: bool,
    /// Spread the octets and packets of flows over the bins of this length that they span, in proportion to the time they
    /// were in them: a flow for each bin.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub bins: Option<Duration>,
}

impl CountingArgs {
    pub(super) const fn config(&self) -> CountingConfig {
        let Self { deduplicate, firewall_octets, running_totals, bins } = *self;
        CountingConfig { deduplicate, firewall_octets, running_totals, bins }
    }
}

/// Who gets datagrams as they came.
#[derive(Args, Clone, Debug, Default)]
pub struct RelayArgs {
    /// Hand all datagrams on to this collector, as they came; may be given several times.
    #[arg(long, value_name = "HOST:PORT")]
    pub relay: Vec<String>,
    /// Hand them on with the exporters' addresses as source, as if routers had sent them. Takes the right to open raw
    /// sockets (`CAP_NET_RAW`).
    #[arg(long, requires = "relay")]
    pub relay_keep_source: bool,
}

impl RelayArgs {
    pub(super) fn open(&self) -> Result<Option<Relay>, Failure> {
        if self.relay.is_empty() {
            return Ok(None);
        }
        Relay::open(&self.relay, self.relay_keep_source).map(Some).map_err(Failure::Relay)
    }
}
