//! The exporter's account, for whoever asks.

use netflow_codec::ExportVersion;

use crate::{
    exporter::ExporterAccount,
    meter::MeterAccount,
    send::DestinationAccount,
    service::{Account, Metrics},
};

/// Why flows ended, in the order of [`MeterAccount::expired`].
const REASONS: [&str; 5] =
    ["idle_timeout", "active_timeout", "end_of_flow", "forced_end", "lack_of_resources"];

impl Account for ExporterAccount {
    fn merge(&mut self, other: Self) {
        self.meter.add(&other.meter);
        self.destinations.extend(other.destinations);
        self.switches += other.switches;
        // All threads share the table, but for a moment when it is loaded anew.
        if let (Some((_, counts)), Some((_, more))) = (&mut self.attributes, other.attributes) {
            counts.found += more.found;
            counts.missing += more.missing;
            counts.reloads = counts.reloads.max(more.reloads);
        }
    }

    fn measure(&self, metrics: &mut Metrics) {
        measure_meter(&self.meter, metrics);
        // A scrape must not have a series twice: a collector may be given twice.
        let mut destinations: Vec<DestinationAccount> = Vec::new();
        for account in &self.destinations {
            let is_same = |known: &&mut DestinationAccount| {
                (&known.target, known.source_id) == (&account.target, account.source_id)
            };
            match destinations.iter_mut().find(is_same) {
                Some(known) => {
                    known.is_down |= account.is_down;
                    known.add(account);
                }
                None => destinations.push(account.clone()),
            }
        }
        for destination in &destinations {
            measure_destination(destination, metrics);
        }
        let help = "Times that flows went to another collector because one was down, or up again.";
        metrics.counter("netflow_exporter_switches_total", help, &[], self.switches);
        if let Some((report, counts)) = &self.attributes {
            let name = "netflow_exporter_attributes_flows_total";
            let help = "Flows by whether the table of attributes knows both of their addresses.";
            metrics.counter(name, help, &[("known", "yes")], counts.found);
            metrics.counter(name, help, &[("known", "no")], counts.missing);
            let name = "netflow_exporter_attributes_reloads_total";
            metrics.counter(name, "Times that the table of attributes was loaded anew.", &[], counts.reloads);
            let measure = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
            let (help, malformed) =
                ("Lines of the table of attributes that are malformed.", measure(report.malformed));
            metrics.gauge("netflow_exporter_attributes_malformed_lines", help, &[], malformed);
            let help = "Prefixes in the table of attributes.";
            let prefixes = measure(report.prefixes as u64);
            metrics.gauge("netflow_exporter_attributes_prefixes", help, &[], prefixes);
        }
    }
}

fn measure_meter(meter: &MeterAccount, metrics: &mut Metrics) {
    if let Some(capture) = &meter.capture {
        for (name, help, count) in [
            ("netflow_exporter_captured_frames_total", "Frames that passed the filter.", capture.received),
            (
                "netflow_exporter_kernel_dropped_frames_total",
                "Frames that the kernel dropped for lack of room.",
                capture.dropped,
            ),
            (
                "netflow_exporter_interface_dropped_frames_total",
                "Frames that interfaces dropped.",
                capture.interface_dropped,
            ),
            ("netflow_exporter_unread_frames_total", "Frames left when a capture ended.", capture.unread),
            (
                "netflow_exporter_reopened_captures_total",
                "Times that a capture was opened again.",
                capture.reopened,
            ),
        ] {
            metrics.counter(name, help, &[], count);
        }
    }
    let frames = &meter.frames;
    let name = "netflow_exporter_frames_total";
    let help = "Frames read, by what they are.";
    for (kind, count) in [
        ("ip", frames.packets),
        ("not_ip", frames.not_ip),
        ("unsupported_link_type", frames.unsupported_link_type),
        ("malformed", frames.malformed_total()),
    ] {
        metrics.counter(name, help, &[("kind", kind)], count);
    }
    for (reason, count) in frames.malformed() {
        let help = "Malformed frames, by what is wrong with them.";
        metrics.counter("netflow_exporter_malformed_frames_total", help, &[("reason", reason.name())], count);
    }
    let name = "netflow_exporter_packets_total";
    let help = "IP packets, by what became of them.";
    for (fate, count) in [
        ("metered", meter.metered_packets),
        ("sampled_out", meter.sampled_out),
        ("no_room_in_flow_table", meter.ignored_packets),
    ] {
        metrics.counter(name, help, &[("fate", fate)], count);
    }
    let help = "Octets of layer 3 in the packets metered.";
    metrics.counter("netflow_exporter_metered_bytes_total", help, &[], meter.metered_octets);
    for (reason, count) in REASONS.iter().zip(meter.expired) {
        let help = "Flow records ended, by why.";
        metrics.counter("netflow_exporter_flows_total", help, &[("reason", reason)], count);
    }
}

fn measure_destination(destination: &DestinationAccount, metrics: &mut Metrics) {
    let DestinationAccount { target, version, source_id, session, send, is_down, cut_short } = destination;
    let version = match version {
        ExportVersion::V5 => "5",
        ExportVersion::V9 => "9",
        _ => "10",
    };
    let (target, domain) = (target.to_string(), source_id.to_string());
    let labels = [("destination", target.as_str()), ("version", version), ("domain", domain.as_str())];
    for (name, help, count) in [
        ("netflow_exporter_datagrams_total", "Datagrams made.", session.datagrams),
        ("netflow_exporter_datagram_bytes_total", "Octets of the datagrams made.", session.octets),
        ("netflow_exporter_sent_datagrams_total", "Datagrams handed to the network, or written.", send.sent),
        (
            "netflow_exporter_queue_overflow_total",
            "Datagrams left out because the queue was full.",
            send.overflow,
        ),
        (
            "netflow_exporter_lost_datagrams_total",
            "Datagrams that waited when a connection was lost, or at the end.",
            send.lost,
        ),
        (
            "netflow_exporter_congestion_total",
            "Times that the network was too busy for a datagram.",
            send.congested,
        ),
        ("netflow_exporter_connections_total", "Sockets and connections opened.", send.connections),
        (
            "netflow_exporter_failed_connections_total",
            "Attempts to connect that failed.",
            send.failed_connections,
        ),
        (
            "netflow_exporter_unsent_flows_total",
            "Flows in datagrams that were not sent.",
            send.not_sent.flows,
        ),
        ("netflow_exporter_unsent_packets_total", "Packets of those flows.", send.not_sent.packets),
        ("netflow_exporter_unsent_bytes_total", "Octets of those flows.", send.not_sent.octets),
        ("netflow_exporter_send_errors_total", "Datagrams that the network did not take.", send.errors),
        (
            "netflow_exporter_refusals_total",
            "Times that a host said that nobody listens there.",
            send.refused,
        ),
        ("netflow_exporter_exported_flows_total", "Flows exported.", session.flows),
        ("netflow_exporter_exported_records_total", "Records of flows exported.", session.records),
        (
            "netflow_exporter_shortened_keys_total",
            "Flows with a part of their key left out, for which version 5 has no room.",
            *cut_short,
        ),
        ("netflow_exporter_refused_flows_total", "Flows that the version cannot carry.", session.refused),
    ] {
        metrics.counter(name, help, &labels, count);
    }
    let help = "Whether the destination is known not to get what is sent.";
    metrics.gauge("netflow_exporter_destination_down", help, &labels, if *is_down { 1.0 } else { 0.0 });
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use netflow_codec::SessionStats;

    use super::*;
    use crate::send::{SendStats, Target};

    #[test]
    fn a_scrape_has_each_series_once_whoever_exports_where() {
        let mut session = SessionStats::default();
        session.datagrams = 3;
        let account = |source_id: u32, is_down: bool| ExporterAccount {
            meter: MeterAccount::default(),
            destinations: vec![DestinationAccount {
                target: Target::File("export.pcap".into()),
                version: ExportVersion::V9,
                source_id,
                session,
                send: SendStats::default(),
                is_down,
                cut_short: 0,
            }],
            switches: 0,
            attributes: None,
        };
        // Two threads with domains of their own, and one with the same destination twice.
        let mut sum = account(5, false);
        sum.merge(account(6, false));
        sum.merge(account(6, true));
        let mut metrics = Metrics::default();
        sum.measure(&mut metrics);
        let text = metrics.render();
        let samples: Vec<&str> = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.rsplit_once(' '))
            .map(|(series, _)| series)
            .collect();
        assert_eq!(samples.iter().collect::<BTreeSet<_>>().len(), samples.len(), "{text}");
        let labels =
            |domain: &str| format!("{{destination=\"export.pcap\",version=\"9\",domain=\"{domain}\"}}");
        for (domain, datagrams, down) in [("5", 3, 0), ("6", 6, 1)] {
            let sent = format!("netflow_exporter_datagrams_total{} {datagrams}\n", labels(domain));
            let state = format!("netflow_exporter_destination_down{} {down}\n", labels(domain));
            assert!(text.contains(&sent) && text.contains(&state), "{text}");
        }
    }
}
