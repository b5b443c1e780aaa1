//! Flows to Kafka, in goflow2's protobuf.
//!
//! `librdkafka` gathers messages and sends them from threads of its own. What waits is bounded; a message counts as
//! delivered when the broker has acknowledged it, and as failed when `librdkafka` gives it up.

use core::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use prost::Message as _;
use rdkafka::{
    ClientConfig, ClientContext,
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer},
};

use super::{FlowMessage, FlowSink, WhenFull};
use crate::flow::Flow;

/// Where messages go, and how.
#[derive(Clone, Debug)]
pub struct KafkaConfig {
    /// Brokers to begin with, HOST:PORT, separated by commas.
    pub brokers: String,
    /// The topic.
    pub topic: String,
    /// Whether each message stands behind its length as a varint, as goflow2 and ClickHouse have it.
    pub has_length: bool,
    /// What becomes of flows while the queue is full.
    pub when_full: WhenFull,
    /// Settings of `librdkafka`.
    pub settings: Vec<(String, String)>,
}

/// What became of messages.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct KafkaStats {
    /// Messages that a broker has acknowledged.
    pub delivered: u64,
    /// Messages that were given up.
    pub failed: u64,
    /// Messages refused because the queue was full.
    pub refused: u64,
    /// Times that a flow had to wait for room in the queue.
    pub waits: u64,
    /// Messages taken that are neither delivered nor failed.
    pub waiting: u64,
    /// The last thing that went wrong.
    pub last_error: Option<String>,
}

impl KafkaStats {
    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "delivered": self.delivered,
            "failed": self.failed,
            "refused": self.refused,
            "waits": self.waits,
            "waiting": self.waiting,
            "last_error": self.last_error,
        })
    }
}

/// A line of the account.
impl fmt::Display for KafkaStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "kafka        {} messages delivered", self.delivered)?;
        for (count, what) in [
            (self.failed, "were given up"),
            (self.refused, "were refused because the queue was full"),
            (self.waiting, "were not acknowledged"),
        ] {
            if count > 0 {
                write!(f, "; {count} {what}")?;
            }
        }
        match &self.last_error {
            Some(error) => write!(f, "; last: {error}"),
            None => Ok(()),
        }
    }
}

/// Counts what `librdkafka` says of messages.
#[derive(Debug, Default)]
struct Deliveries {
    delivered: AtomicU64,
    failed: AtomicU64,
    last_error: Mutex<Option<String>>,
}

impl Deliveries {
    fn note(&self, error: String) {
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}

impl ClientContext for Deliveries {
    fn error(&self, error: KafkaError, reason: &str) {
        self.note(format!("{error}: {reason}"));
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => self.delivered.fetch_add(1, Ordering::Relaxed),
            Err((error, _)) => {
                self.note(error.to_string());
                self.failed.fetch_add(1, Ordering::Relaxed)
            }
        };
    }
}

/// A producer, which threads share.
pub struct Kafka {
    producer: ThreadedProducer<Deliveries>,
    config: KafkaConfig,
    taken: AtomicU64,
    refused: AtomicU64,
    waits: AtomicU64,
}

impl fmt::Debug for Kafka {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kafka").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Kafka {
    /// Makes a producer. Brokers that cannot be reached are tried again and again.
    ///
    /// # Errors
    ///
    /// When a setting is unknown or its value not understood.
    pub fn open(config: KafkaConfig) -> io::Result<Self> {
        let mut client = ClientConfig::new();
        client.set("client.id", "netflow-collector").set("bootstrap.servers", &config.brokers);
        for (name, value) in &config.settings {
            client.set(name, value);
        }
        let producer = client.create_with_context(Deliveries::default()).map_err(io::Error::other)?;
        let [taken, refused, waits] = Default::default();
        Ok(Self { producer, config, taken, refused, waits })
    }

    /// A sink for one of the threads.
    #[must_use]
    pub fn sink(self: &Arc<Self>) -> KafkaSink {
        KafkaSink { kafka: Arc::clone(self), message: FlowMessage::default(), buffer: Vec::new() }
    }

    /// Waits until all messages are delivered or given up, but not longer than this.
    pub fn finish(&self, patience: Duration) -> KafkaStats {
        if let Err(error) = self.producer.flush(patience) {
            self.producer.context().note(error.to_string());
        }
        self.stats()
    }

    /// What became of messages so far.
    pub fn stats(&self) -> KafkaStats {
        let deliveries = self.producer.context();
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (delivered, failed) = (load(&deliveries.delivered), load(&deliveries.failed));
        KafkaStats {
            delivered,
            failed,
            refused: load(&self.refused),
            waits: load(&self.waits),
            waiting: load(&self.taken).saturating_sub(delivered + failed),
            last_error: deliveries.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    fn send(&self, payload: &[u8]) -> io::Result<()> {
        let mut record = BaseRecord::<(), [u8]>::to(&self.config.topic).payload(payload);
        let mut has_waited = false;
        loop {
            match self.producer.send(record) {
                Ok(()) => {
                    self.taken.fetch_add(1, Ordering::Relaxed);
                    return Ok(());
                }
                // Room comes with acknowledgements, or when messages are given up.
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    if self.config.when_full == WhenFull::Refuse {
                        self.refused.fetch_add(1, Ordering::Relaxed);
                        return Ok(());
                    }
                    if !has_waited {
                        has_waited = true;
                        self.waits.fetch_add(1, Ordering::Relaxed);
                    }
                    std::thread::sleep(Duration::from_millis(1));
                    record = back;
                }
                Err((error, _)) => return Err(io::Error::other(error)),
            }
        }
    }
}

/// Sends the flows of one thread.
#[derive(Debug)]
pub struct KafkaSink {
    kafka: Arc<Kafka>,
    message: FlowMessage,
    buffer: Vec<u8>,
}

impl FlowSink for KafkaSink {
    fn flow(&mut self, flow: &Flow<'_>) -> io::Result<()> {
        self.message.fill(flow);
        self.buffer.clear();
        let encoded = if self.kafka.config.has_length {
            self.message.encode_length_delimited(&mut self.buffer)
        } else {
            self.message.encode(&mut self.buffer)
        };
        encoded.map_err(io::Error::other)?;
        self.kafka.send(&self.buffer)
    }
}
