//! All that a listening collector can tell of itself at one moment.

use core::fmt;

use crate::{
    account::{Account, CacheReport, SocketAccount, Summary, measure},
    collector::Collector,
    collector_cli::sinks::{Effect, Sinks, both, counted, stored},
    counting::CountingStats,
    messages::MessageStats,
    output::QueueStats,
    receive::StreamStats,
    relay::RelayStats,
    service::{self, Metrics},
    store::StoreStats,
};

/// What a worker, the supervisor, or all of them together can tell.
#[derive(Debug, Default)]
pub(super) struct CollectorAccount {
    pub(super) account: Account,
    pub(super) cache: CacheReport,
    pub(super) sockets: Vec<SocketAccount>,
    pub(super) streams: Option<StreamStats>,
    pub(super) queue: Option<QueueStats>,
    pub(super) store: Option<StoreStats>,
    pub(super) counting: Option<CountingStats>,
    pub(super) messages: Option<MessageStats>,
    pub(super) relay: Vec<RelayStats>,
    /// Messages to Kafka by their fate.
    pub(super) kafka: Option<[(&'static str, u64); 3]>,
    /// Exporters that are told of one by one.
    pub(super) exporters: usize,
}

impl CollectorAccount {
    /// What a worker knows by now, of at most so many exporters one by one.
    pub(super) fn excerpt(
        collector: &Collector<Sinks>,
        streams: Option<StreamStats>,
        exporters: usize,
    ) -> Self {
        Self {
            account: collector.account().excerpt(exporters),
            cache: collector.cache_report(),
            streams,
            store: stored(collector),
            counting: counted(collector),
            exporters,
            ..Self::default()
        }
    }

    /// What became of flows behind the collector.
    pub(super) fn effects(&self) -> Vec<Effect> {
        Effect::of(self.store, self.counting, self.messages)
    }

    pub(super) fn summary(&self) -> Summary<'_> {
        let sockets = (!self.sockets.is_empty()).then(|| self.sockets.clone());
        let summary = Summary::new(&self.account, self.cache.clone())
            .with_sessions(self.streams.map(|stats| stats.to_json()))
            .with_queue(
                self.queue.map(|stats| stats.to_json()),
                self.queue.map_or(0, |stats| stats.refused_lines),
            );
        match sockets {
            Some(sockets) => summary.with_sockets(sockets),
            None => summary,
        }
    }
}

/// As an account is that other threads ask for: an excerpt of the exporters is enough.
impl Clone for CollectorAccount {
    fn clone(&self) -> Self {
        Self {
            account: self.account.excerpt(self.exporters),
            cache: self.cache.clone(),
            sockets: self.sockets.clone(),
            relay: self.relay.clone(),
            ..*self
        }
    }
}

impl service::Account for CollectorAccount {
    fn merge(&mut self, other: Self) {
        self.account.absorb(other.account);
        self.cache.absorb(other.cache);
        self.sockets.extend(other.sockets);
        self.streams = self.streams.or(other.streams);
        self.queue = self.queue.or(other.queue);
        self.store = match (self.store, other.store) {
            (Some(stats), Some(more)) => Some(stats.and(more)),
            (stats, more) => stats.or(more),
        };
        self.counting = both(self.counting, other.counting);
        self.messages = self.messages.or(other.messages);
        self.relay.extend(other.relay);
        self.kafka = self.kafka.or(other.kafka);
        self.exporters = self.exporters.max(other.exporters);
    }

    fn measure(&self, metrics: &mut Metrics) {
        self.account.excerpt(self.exporters).measure(&self.cache, metrics);
        self.measure_ways(metrics);
        if let Some(stats) = &self.messages {
            let help = "Records of complete files of messages, and records that could not be written.";
            let name = "netflow_collector_message_records_total";
            metrics.counter(name, help, &[("fate", "written")], stats.records);
            metrics.counter(name, help, &[("fate", "lost")], stats.lost_records);
        }
        if let Some(stats) = &self.store {
            measure_store(stats, metrics);
        }
        for (what, count) in self.counting.iter().flat_map(CountingStats::named) {
            let help = "Flows and octets that stages of counting have changed.";
            metrics.counter("netflow_collector_counting_total", help, &[("what", what)], count);
        }
        for (fate, count) in self.kafka.into_iter().flatten() {
            let help = "Messages to Kafka, by what became of them.";
            metrics.counter("netflow_collector_kafka_messages_total", help, &[("fate", fate)], count);
        }
        for stats in &self.relay {
            let target = stats.target.to_string();
            for (fate, count) in [
                ("sent", stats.datagrams),
                ("socket_full", stats.full),
                ("failed", stats.failed),
                ("other_family", stats.other_family),
            ] {
                let help = "Datagrams to be handed on as they came, by what became of them.";
                let labels = [("target", target.as_str()), ("fate", fate)];
                metrics.counter("netflow_collector_relayed_datagrams_total", help, &labels, count);
            }
        }
    }
}

impl CollectorAccount {
    /// The ways in and out: sockets, sessions, the queue of what is printed.
    fn measure_ways(&self, metrics: &mut Metrics) {
        for (number, socket) in self.sockets.iter().enumerate() {
            let (address, number) = (socket.address.to_string(), number.to_string());
            let labels = [("address", address.as_str()), ("socket", number.as_str())];
            let help = "Octets of receive buffer that the kernel granted.";
            let granted = measure(socket.receive_buffer as u64);
            metrics.gauge("netflow_collector_receive_buffer_bytes", help, &labels, granted);
            if let Some(drops) = socket.drops {
                let help = "Datagrams that the kernel dropped because the receive buffer was full.";
                metrics.counter("netflow_collector_kernel_drops_total", help, &labels, drops);
            }
        }
        if let Some(StreamStats { opened, open, refused, not_allowed, broken }) = self.streams {
            for (fate, count) in
                [("opened", opened), ("refused", refused), ("not_allowed", not_allowed), ("broken", broken)]
            {
                let help = "Sessions over TCP, by what became of them.";
                metrics.counter("netflow_collector_sessions_total", help, &[("fate", fate)], count);
            }
            let help = "Sessions over TCP that are open.";
            metrics.gauge("netflow_collector_open_sessions", help, &[], measure(open as u64));
        }
        if let Some(stats) = self.queue {
            let help = "Lines of flows, by what became of them.";
            let name = "netflow_collector_printed_lines_total";
            metrics.counter(name, help, &[("fate", "taken")], stats.lines);
            metrics.counter(name, help, &[("fate", "refused")], stats.refused_lines);
            let help = "Times that receiving waited for whoever reads the flows.";
            metrics.counter("netflow_collector_output_waits_total", help, &[], stats.waits);
            let help = "Octets of flows that wait for whoever reads them.";
            let waiting = measure(stats.waiting_octets as u64);
            metrics.gauge("netflow_collector_output_queue_bytes", help, &[], waiting);
        }
    }
}

fn measure_store(stats: &StoreStats, metrics: &mut Metrics) {
    for (name, help, count) in [
        (
            "netflow_collector_stored_flows_total",
            "Flows in files that are complete and on the disk.",
            stats.durable_flows,
        ),
        ("netflow_collector_stored_files_total", "Files completed.", stats.written_files),
        ("netflow_collector_stored_bytes_total", "Octets of those files.", stats.written_octets),
        ("netflow_collector_expired_files_total", "Files deleted for age or space.", stats.expired_files),
        ("netflow_collector_store_waits_total", "Times that flows had to wait for the disk.", stats.waits),
    ] {
        metrics.counter(name, help, &[], count);
    }
    for (name, help, count) in [
        ("netflow_collector_open_flows", "Flows taken that are not on the disk yet.", stats.open_flows),
        ("netflow_collector_store_files", "Files of the store.", stats.files),
        ("netflow_collector_store_bytes", "Octets of the store.", stats.octets),
    ] {
        metrics.gauge(name, help, &[], measure(count));
    }
}

impl fmt::Display for CollectorAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.summary().fmt(f)?;
        for effect in self.effects() {
            writeln!(f, "{}", effect.line)?;
        }
        self.relay.iter().try_for_each(|stats| writeln!(f, "{stats}"))
    }
}
