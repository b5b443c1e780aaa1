//! The account for Prometheus.
//!
//! Counters only grow. What may become less, as units that were lost until they came late, is a gauge.

use core::net::IpAddr;
use std::collections::BTreeMap;

use netflow_codec::{SequenceCounts, SequenceUnit, Timestamp};

use super::{Account, CacheReport, Counts, ExporterAccount, FaultKind, Stream, StreamAccount};
use crate::service::Metrics;

impl Account {
    /// A copy to tell of, without what exporters call things, and with at most so many exporters: those that were known
    /// first, the others only as a part of the sums.
    #[must_use]
    pub fn excerpt(&self, exporters: usize) -> Self {
        let mut known: Vec<(bool, Timestamp, IpAddr)> = self
            .exporters()
            .map(|(address, exporter)| (!exporter.is_established(), exporter.first_seen, *address))
            .collect();
        if known.len() > exporters {
            known.select_nth_unstable(exporters);
            known.truncate(exporters);
        }
        let mut excerpt = Self::with_limits(exporters, Self::STREAMS);
        excerpt.add_sums(self);
        excerpt.others += (self.exporters().count() - known.len()) as u64;
        for (_, _, address) in known {
            if let Some(exporter) = self.exporters.get(&address) {
                excerpt.exporters.insert(address, exporter.without_names());
            }
        }
        for (stream, account) in self.streams() {
            if excerpt.exporters.get(&stream.exporter).is_some() {
                excerpt.streams.insert(*stream, account.clone());
            } else {
                super::add_sequence(&mut excerpt.forgotten, stream.version, account.sequence.counts());
            }
        }
        excerpt
    }

    /// Writes it down for Prometheus.
    pub fn measure(&self, cache: &CacheReport, metrics: &mut Metrics) {
        self.measure_datagrams(metrics);
        measure_counts(&self.counts, metrics);
        self.measure_sequence(metrics);
        cache.measure(metrics);
        self.measure_exporters(metrics);
    }

    fn measure_datagrams(&self, metrics: &mut Metrics) {
        let help = "Datagrams, and messages over TCP, that came, whatever they were.";
        metrics.counter("netflow_collector_datagrams_total", help, &[], self.datagrams);
        let help = "Octets of all datagrams.";
        metrics.counter("netflow_collector_datagram_bytes_total", help, &[], self.octets);
        for (version, count) in &self.by_version {
            let help = "Datagrams with a sound header, by version.";
            let version = version.to_string();
            metrics.counter(
                "netflow_collector_sound_datagrams_total",
                help,
                &[("version", &version)],
                *count,
            );
        }
        for kind in FaultKind::ALL {
            let (count, labels) = (self.faults(*kind), [("reason", kind.name())]);
            if kind.is_malformed() || *kind == FaultKind::UnsupportedVersion {
                let help = "Structures that could not be decoded, by what is wrong with them.";
                metrics.counter("netflow_collector_malformed_total", help, &labels, count);
            }
        }
        for kind in [FaultKind::Restart, FaultKind::ClockSet] {
            let help = "Restarts of exporters, and clocks of theirs that were set.";
            let labels = [("kind", kind.name())];
            metrics.counter("netflow_collector_exporter_restarts_total", help, &labels, self.faults(kind));
        }
        let help = "Datagrams that were refused, by reason.";
        for (reason, count) in self.refused.all() {
            metrics.counter("netflow_collector_refused_datagrams_total", help, &[("reason", reason)], count);
        }
    }

    fn measure_sequence(&self, metrics: &mut Metrics) {
        for (unit, counts) in ["flows", "packets", "records"].into_iter().zip(self.sequence()) {
            let labels = [("unit", unit)];
            for (name, help, count) in [
                (
                    "netflow_collector_sequence_received_total",
                    "Units of sequence numbers that came: flows of v5 to v8, packets of v9, records of IPFIX.",
                    counts.received,
                ),
                (
                    "netflow_collector_sequence_resets_total",
                    "Times that sequence numbers began anew.",
                    counts.resets,
                ),
            ] {
                metrics.counter(name, help, &labels, count);
            }
            for (name, help, count) in [
                ("netflow_collector_lost", "Units that were sent and have not come.", counts.lost),
                ("netflow_collector_sequence_gaps", "Times that units were missing.", counts.gaps),
                ("netflow_collector_late_datagrams", "Datagrams that came after later ones.", counts.late),
                (
                    "netflow_collector_duplicate_datagrams",
                    "Datagrams whose number had come before, unless it shows to be a restart.",
                    counts.duplicates,
                ),
                (
                    "netflow_collector_stray_datagrams",
                    "Datagrams with a number that nothing explains.",
                    counts.strays,
                ),
            ] {
                metrics.gauge(name, help, &labels, measure(count));
            }
        }
    }

    fn measure_exporters(&self, metrics: &mut Metrics) {
        let help = "Exporters that are remembered.";
        let shown = self.exporters().count() as u64;
        metrics.gauge("netflow_collector_exporters", help, &[], measure(shown + self.others));
        let help = "Exporters that are remembered and not told of one by one.";
        metrics.gauge("netflow_collector_exporters_not_shown", help, &[], measure(self.others));
        let help = "Exporters that were forgotten because they were silent for too long.";
        metrics.counter("netflow_collector_idle_exporters_total", help, &[], self.idle);
        let mut streams: BTreeMap<IpAddr, Vec<(&Stream, &StreamAccount)>> = BTreeMap::new();
        for (stream, account) in self.streams() {
            streams.entry(stream.exporter).or_default().push((stream, account));
        }
        let mut exporters: Vec<_> = self.exporters().collect();
        exporters.sort_by_key(|(address, _)| **address);
        for (address, exporter) in exporters {
            let streams = streams.remove(address).unwrap_or_default();
            measure_exporter(&address.to_string(), exporter, &streams, metrics);
        }
    }
}

fn measure_counts(counts: &Counts, metrics: &mut Metrics) {
    let help = "Data records, by what they are.";
    let name = "netflow_collector_records_total";
    metrics.counter(name, help, &[("kind", "flow")], counts.data_records);
    metrics.counter(name, help, &[("kind", "options")], counts.options_records);
    let help = "Template records that came, repeated ones included.";
    let name = "netflow_collector_template_records_total";
    metrics.counter(name, help, &[("kind", "flow")], counts.template_records);
    metrics.counter(name, help, &[("kind", "options")], counts.options_template_records);
    for (name, help, count) in [
        ("netflow_collector_withdrawals_total", "Templates withdrawn.", counts.withdrawals),
        (
            "netflow_collector_sets_without_template_total",
            "Data sets whose template was not known when they came.",
            counts.sets_without_template,
        ),
        (
            "netflow_collector_sets_recovered_total",
            "Those of them that were decoded when their template came.",
            counts.sets_recovered,
        ),
        ("netflow_collector_records_recovered_total", "Records in these.", counts.records_recovered),
        ("netflow_collector_reserved_sets_total", "Sets of a reserved id.", counts.reserved_sets),
        ("netflow_collector_flow_packets_total", "Packets of flows.", counts.flow_packets),
        ("netflow_collector_flow_bytes_total", "Octets of flows.", counts.flow_octets),
        (
            "netflow_collector_scaled_flow_packets_total",
            "Packets of flows, times the sampling rate where it is known.",
            counts.scaled_packets,
        ),
        (
            "netflow_collector_scaled_flow_bytes_total",
            "Octets of flows, times the sampling rate where it is known.",
            counts.scaled_octets,
        ),
        (
            "netflow_collector_flows_of_unknown_rate_total",
            "Flows of which nobody said at what rate they were sampled.",
            counts.flows_of_unknown_rate,
        ),
    ] {
        metrics.counter(name, help, &[], count);
    }
}

fn measure_exporter(
    address: &str,
    exporter: &ExporterAccount,
    streams: &[(&Stream, &StreamAccount)],
    metrics: &mut Metrics,
) {
    let labels = [("exporter", address)];
    if let Some(name) = exporter.name() {
        let help = "What the policy calls an exporter; always 1.";
        metrics.gauge("netflow_collector_exporter_info", help, &[("exporter", address), ("name", name)], 1.0);
    }
    let mut counts = Counts::default();
    let mut sequence: BTreeMap<&str, SequenceCounts> = BTreeMap::new();
    for (stream, account) in streams {
        counts += account.counts;
        if let Some(unit) = SequenceUnit::of(stream.version) {
            super::add_counts(sequence.entry(unit.name()).or_default(), account.sequence.counts());
        }
    }
    let malformed =
        FaultKind::ALL.iter().filter(|kind| kind.is_malformed() || **kind == FaultKind::UnsupportedVersion);
    let name = "netflow_collector_exporter_records_total";
    let help = "Data records of an exporter, by what they are.";
    metrics.counter(name, help, &[("exporter", address), ("kind", "flow")], counts.data_records);
    metrics.counter(name, help, &[("exporter", address), ("kind", "options")], counts.options_records);
    for (name, help, count) in [
        ("netflow_collector_exporter_datagrams_total", "Datagrams of an exporter.", exporter.datagrams),
        ("netflow_collector_exporter_datagram_bytes_total", "Octets of these.", exporter.octets),
        (
            "netflow_collector_exporter_template_records_total",
            "Template records of an exporter.",
            counts.template_records + counts.options_template_records,
        ),
        (
            "netflow_collector_exporter_sets_without_template_total",
            "Data sets of an exporter whose template was not known when they came.",
            counts.sets_without_template,
        ),
        (
            "netflow_collector_exporter_malformed_total",
            "Structures of an exporter that could not be decoded.",
            malformed.map(|kind| exporter.faults(*kind)).sum(),
        ),
        (
            "netflow_collector_exporter_template_evictions_total",
            "Times that templates had to make room for those of an exporter.",
            exporter.faults(FaultKind::CacheFull),
        ),
        (
            "netflow_collector_exporter_refused_datagrams_total",
            "Datagrams of an exporter that were refused.",
            exporter.refused.total(),
        ),
    ] {
        metrics.counter(name, help, &labels, count);
    }
    for (unit, counts) in sequence {
        let labels = [("exporter", address), ("unit", unit)];
        let help = "Units of an exporter's sequence numbers that came.";
        metrics.counter("netflow_collector_exporter_sequence_received_total", help, &labels, counts.received);
        for (name, help, count) in [
            (
                "netflow_collector_exporter_lost",
                "Units that an exporter sent and that have not come.",
                counts.lost,
            ),
            (
                "netflow_collector_exporter_late_datagrams",
                "Datagrams of an exporter that came after later ones.",
                counts.late,
            ),
            (
                "netflow_collector_exporter_duplicate_datagrams",
                "Datagrams of an exporter whose number had come before.",
                counts.duplicates,
            ),
        ] {
            metrics.gauge(name, help, &labels, measure(count));
        }
    }
    let help = "When the last datagram of an exporter came, since 1970.";
    let last = exporter.last_seen.saturating_since(Timestamp::ZERO).as_secs_f64();
    metrics.gauge("netflow_collector_exporter_last_seen_seconds", help, &labels, last);
    if let Some(skew) = exporter.skew {
        let help = "How far an exporter's clock is behind, the way of its datagrams included.";
        #[expect(clippy::cast_precision_loss, reason = "a measure that is shown to people")]
        let seconds = skew.last_millis as f64 / 1_000.0;
        metrics.gauge("netflow_collector_exporter_clock_behind_seconds", help, &labels, seconds);
    }
}

/// A count as a gauge has it.
#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
pub(crate) const fn measure(count: u64) -> f64 {
    count as f64
}
