//! What becomes of flows behind the collector: stages of counting, then all that they are handed to.

use core::{net::SocketAddr, time::Duration};
use std::{path::PathBuf, sync::Arc};

use clap::Args;
use serde_json::Value;

use super::{Failure, OutputArgs, session::file_failure};
#[cfg(feature = "kafka")]
use crate::output::{Kafka, KafkaConfig, WhenFull};
use crate::{
    collector::Collector,
    config::{parse_duration, parse_octets},
    counting::{Counting, CountingConfig, CountingStats, FirewallOctets},
    enrichment::{Enriched, Enrichment},
    messages::{MessageConfig, MessageFiles, MessageStats, MessagesSink},
    output::FlowSink,
    relay::{Relay, RelayStats},
    store::{Store, StoreStats},
};

/// Where flows go: through the stages of counting, with what is known of their addresses, to what prints them and to the
/// store.
pub(super) type Sinks = Enriched<Counting<Ends>>;

/// What prints flows, and what stores them.
pub(super) type Ends = (Option<Box<dyn FlowSink>>, Option<Store>);

/// What the collector's store has done, when it has one.
pub(super) fn stored(collector: &Collector<Sinks>) -> Option<StoreStats> {
    collector.sink().sink().sink().1.as_ref().map(Store::stats)
}

/// What the stages of counting have changed, when there are any.
pub(super) fn counted(collector: &Collector<Sinks>) -> Option<CountingStats> {
    collector.sink().sink().stats()
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
    /// Of the stages of counting, of files of messages and of the store.
    pub(super) fn of(
        store: Option<StoreStats>,
        counting: Option<CountingStats>,
        messages: Option<MessageStats>,
    ) -> Vec<Self> {
        let messages =
            messages.map(|stats| Self { name: "messages", json: stats.to_json(), line: stats.to_string() });
        let counting =
            counting.map(|stats| Self { name: "counting", json: stats.to_json(), line: stats.to_string() });
        let store = store.map(|stats| Self { name: "store", json: stats.to_json(), line: stats.to_string() });
        counting.into_iter().chain(messages).chain(store).collect()
    }
}

/// What all workers share.
#[derive(Debug)]
pub(super) struct Shared {
    /// Whether flows go somewhere, whatever is printed and stored.
    pub(super) takes_flows: bool,
    relay: Option<Relay>,
    enrichment: Option<Arc<Enrichment>>,
    #[cfg(feature = "kafka")]
    kafka: Option<Arc<Kafka>>,
}

impl Shared {
    /// Opens what the arguments name; datagrams of files are not handed on.
    pub(super) fn open(output: &OutputArgs, relay: Option<&RelayArgs>) -> Result<Self, Failure> {
        Ok(Self {
            #[cfg(feature = "kafka")]
            takes_flows: output.kafka.kafka.is_some(),
            #[cfg(not(feature = "kafka"))]
            takes_flows: false,
            relay: relay.map(RelayArgs::open).transpose()?.flatten(),
            enrichment: output.geo.open()?,
            #[cfg(feature = "kafka")]
            kafka: output.kafka.open()?,
        })
    }

    /// The stages in front of what flows are handed to, and what is shared besides.
    pub(super) fn staged(&self, counting: &CountingArgs, ends: Ends) -> Sinks {
        #[cfg(feature = "kafka")]
        let ends = match &self.kafka {
            None => ends,
            Some(kafka) => {
                let printer: Box<dyn FlowSink> = Box::new((kafka.sink(), ends.0));
                (Some(printer), ends.1)
            }
        };
        Enriched::new(self.enrichment.clone(), Counting::new(counting.config(), ends))
    }

    /// Hands a datagram on as it came.
    pub(super) fn hand_on(&self, exporter: SocketAddr, payload: &[u8]) {
        if let Some(relay) = &self.relay {
            relay.hand_on(exporter, payload);
        }
    }

    /// Reads again what may have changed. When that fails, what was before stays, and it is said why.
    pub(super) fn reload(&self) -> Result<(), String> {
        let reloaded = self.enrichment.as_ref().map_or(Ok(()), |enrichment| enrichment.reload());
        reloaded.map_err(|error| format!("{error}; the databases before stay"))
    }

    /// What became of datagrams that were handed on so far.
    pub(super) fn relayed(&self) -> Vec<RelayStats> {
        self.relay.as_ref().map(Relay::stats).unwrap_or_default()
    }

    /// What became of flows that were sent to Kafka so far: messages by their fate.
    #[cfg(feature = "kafka")]
    pub(super) fn sent_to_kafka(&self) -> Option<[(&'static str, u64); 3]> {
        let stats = self.kafka.as_ref()?.stats();
        Some([("delivered", stats.delivered), ("failed", stats.failed), ("refused", stats.refused)])
    }

    /// There is no Kafka in this build.
    #[cfg(not(feature = "kafka"))]
    #[expect(clippy::unused_self, reason = "it has a use with the feature")]
    pub(super) const fn sent_to_kafka(&self) -> Option<[(&'static str, u64); 3]> {
        None
    }

    /// Ends what takes flows, and says what became of all that was handed on.
    pub(super) fn finish(&self) -> Vec<Effect> {
        let relay = self.relay.as_ref().map(|relay| {
            let stats = relay.stats();
            let lines: Vec<String> = stats.iter().map(ToString::to_string).collect();
            let json = stats.iter().map(RelayStats::to_json).collect();
            Effect { name: "relay", json, line: lines.join("\n") }
        });
        #[cfg(feature = "kafka")]
        let kafka = self.kafka.as_ref().map(|kafka| {
            let stats = kafka.finish(PATIENCE);
            Effect { name: "kafka", json: stats.to_json(), line: stats.to_string() }
        });
        #[cfg(not(feature = "kafka"))]
        let kafka = None;
        relay.into_iter().chain(kafka).collect()
    }
}

/// How long brokers have to acknowledge the last messages.
#[cfg(feature = "kafka")]
const PATIENCE: Duration = Duration::from_secs(30);

/// Where records are written as IPFIX messages.
#[derive(Args, Clone, Debug, Default)]
pub struct MessagesArgs {
    /// Write all records, of flows and of options, as files of IPFIX messages (RFC 5655): to this folder if there is one,
    /// or the name ends with a slash, else to this file. Each file stands for itself. Flows are then printed only with
    /// --output.
    #[arg(long, value_name = "DIR|FILE")]
    pub messages: Option<PathBuf>,
    /// Begin a new file of a folder for each interval of this length [default: 5m].
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, requires = "messages")]
    pub messages_interval: Option<Duration>,
    /// Begin a new file of a folder when one has so many octets [default: 256M].
    #[arg(long, value_name = "OCTETS", value_parser = parse_octets, requires = "messages")]
    pub messages_size: Option<u64>,
}

impl MessagesArgs {
    /// Files for so many writers.
    pub(super) fn open(&self, writers: usize) -> Result<Option<Arc<MessageFiles>>, Failure> {
        let Some(path) = &self.messages else { return Ok(None) };
        let mut config = MessageConfig::new(path.clone());
        if config.is_file && writers > 1 {
            let error = "several threads write to a folder: make it one, or end its name with a slash";
            return Err(file_failure(path, std::io::Error::other(error)));
        }
        config.interval = self.messages_interval.unwrap_or(config.interval).max(Duration::from_secs(1));
        config.file_limit = self.messages_size.unwrap_or(config.file_limit);
        MessageFiles::open(config)
            .map(|files| Some(Arc::new(files)))
            .map_err(|error| file_failure(path, error))
    }
}

/// What prints, beside the writer of messages of this number.
pub(super) fn with_messages(
    files: Option<&Arc<MessageFiles>>,
    writer: usize,
    printer: Option<Box<dyn FlowSink>>,
) -> Option<Box<dyn FlowSink>> {
    match files {
        None => printer,
        Some(files) => Some(Box::new((MessagesSink::new(Arc::clone(files), writer), printer))),
    }
}

/// What is known of addresses.
#[derive(Args, Clone, Debug, Default)]
pub struct GeoArgs {
    /// Look up the AS and the country of addresses in this database of MaxMind's format (`.mmdb`); may be given several
    /// times. An AS that the exporter names stays. Read again at SIGHUP.
    #[arg(long, value_name = "FILE.mmdb")]
    pub geo: Vec<PathBuf>,
}

impl GeoArgs {
    pub(super) fn open(&self) -> Result<Option<Arc<Enrichment>>, Failure> {
        if self.geo.is_empty() {
            return Ok(None);
        }
        Ok(Some(Arc::new(Enrichment::open(&self.geo)?)))
    }
}

/// Which Kafka flows are sent to.
#[cfg(feature = "kafka")]
#[derive(Args, Clone, Debug, Default)]
pub struct KafkaArgs {
    /// Send flows to these brokers of Kafka, HOST:PORT separated by commas, as goflow2's protobuf. Flows are then printed
    /// only with --output.
    #[arg(long, value_name = "BROKERS")]
    pub kafka: Option<String>,
    /// The topic.
    #[arg(long, value_name = "TOPIC", default_value = "flows", requires = "kafka")]
    pub kafka_topic: String,
    /// Leave out the length in front of each message.
    #[arg(long, requires = "kafka")]
    pub kafka_no_length: bool,
    /// What becomes of flows while the queue to the brokers is full.
    #[arg(long, value_enum, default_value_t, value_name = "HOW", requires = "kafka")]
    pub kafka_when_full: WhenFull,
    /// A setting of librdkafka, as in `compression.type=lz4`; may be given several times.
    #[arg(long = "kafka-set", value_name = "NAME=VALUE", value_parser = parse_setting, requires = "kafka")]
    pub kafka_settings: Vec<(String, String)>,
}

#[cfg(feature = "kafka")]
fn parse_setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("NAME=VALUE expected, as in compression.type=lz4")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(feature = "kafka")]
impl KafkaArgs {
    fn open(&self) -> Result<Option<Arc<Kafka>>, Failure> {
        let Some(brokers) = &self.kafka else { return Ok(None) };
        let config = KafkaConfig {
            brokers: brokers.clone(),
            topic: self.kafka_topic.clone(),
            has_length: !self.kafka_no_length,
            when_full: self.kafka_when_full,
            settings: self.kafka_settings.clone(),
        };
        Kafka::open(config).map(|kafka| Some(Arc::new(kafka))).map_err(Failure::Kafka)
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
    /// not counted. Without it both do, and what lasted long counts twice. For flows that come
    /// in: a store does not keep what tells them apart.
    #[arg(long, value_enum, value_name = "RECORDS")]
    pub firewall_octets: Option<FirewallOctets>,
    /// Count totals that are reported again (octetTotalCount, packetTotalCount) by what they grew. For flows
    /// that come in: a store does not keep that they were totals.
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
