//! The account as JSON, for programs, and as text, for people.

use core::{fmt, net::IpAddr};
use std::collections::BTreeMap;

use netflow_codec::{SequenceCounts, SequenceUnit, Timestamp};
use serde_json::{Map, Value, json};

use super::{Account, CacheReport, Counts, FaultKind, SocketAccount, Stream, StreamAccount};

/// Everything there is to report of a collector at one moment. `Display` renders it for reading.
#[derive(Clone, Debug)]
pub struct Summary<'a> {
    account: &'a Account,
    cache: CacheReport,
    sockets: Option<Vec<SocketAccount>>,
    queue: Option<Value>,
    sessions: Option<Value>,
    refused_lines: u64,
    udp_datagrams_ignored: Option<u64>,
}

impl<'a> Summary<'a> {
    /// The summary of an account, and of what became of templates.
    #[must_use]
    pub const fn new(account: &'a Account, cache: CacheReport) -> Self {
        Self {
            account,
            cache,
            sockets: None,
            queue: None,
            sessions: None,
            refused_lines: 0,
            udp_datagrams_ignored: None,
        }
    }

    /// With what the kernel says of each socket.
    #[must_use]
    pub fn with_sockets(self, sockets: Vec<SocketAccount>) -> Self {
        Self { sockets: Some(sockets), ..self }
    }

    /// With what became of sessions over TCP, as JSON.
    #[must_use]
    pub fn with_sessions(self, sessions: Option<Value>) -> Self {
        Self { sessions, ..self }
    }

    /// With what became of printed flows at their queue, as JSON, and how many were refused there.
    #[must_use]
    pub fn with_queue(self, queue: Option<Value>, refused_lines: u64) -> Self {
        Self { queue, refused_lines, ..self }
    }

    /// Datagrams that the kernel dropped because the receive buffer was full, if that is known.
    fn kernel_drops(&self) -> Option<u64> {
        self.sockets.as_ref()?.iter().map(|socket| socket.drops).sum()
    }

    /// With the UDP datagrams of capture files that were left out because they do not look like NetFlow.
    #[must_use]
    pub fn with_udp_datagrams_ignored(self, ignored: u64) -> Self {
        Self { udp_datagrams_ignored: Some(ignored), ..self }
    }

    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let account = self.account;
        let [flows, packets, records] = account.sequence();
        let sum = |count: fn(&SequenceCounts) -> u64| count(&flows) + count(&packets) + count(&records);
        let by_version: Map<_, _> =
            account.by_version.iter().map(|(v, n)| (v.to_string(), (*n).into())).collect();
        let mut unsupported: Map<_, _> =
            account.unsupported.iter().map(|(v, n)| (v.to_string(), (*n).into())).collect();
        if account.unsupported_others > 0 {
            unsupported.insert("others".to_owned(), account.unsupported_others.into());
        }
        let mut json = counts_json(&account.counts);
        json.extend([
            ("datagrams".to_owned(), account.datagrams.into()),
            ("octets".to_owned(), account.octets.into()),
            ("by_version".to_owned(), by_version.into()),
            ("unsupported_versions".to_owned(), unsupported.into()),
            ("malformed".to_owned(), account.malformed().into()),
            ("malformed_by_reason".to_owned(), self.malformed_by_reason().into()),
            ("datagrams_cut_short".to_owned(), account.faults(FaultKind::CutShort).into()),
            ("kernel_drops".to_owned(), self.kernel_drops().into()),
            ("sockets".to_owned(), self.sockets_json()),
            ("sessions".to_owned(), self.sessions.clone().into()),
            ("output_queue".to_owned(), self.queue.clone().into()),
            ("udp_datagrams_ignored".to_owned(), self.udp_datagrams_ignored.into()),
            (
                "sequence".to_owned(),
                json!({
                    "gaps": sum(|counts| counts.gaps),
                    "lost_flows": flows.lost,
                    "lost_packets": packets.lost,
                    "lost_records": records.lost,
                    "late": sum(|counts| counts.late),
                    "duplicates": sum(|counts| counts.duplicates),
                    "resets": sum(|counts| counts.resets),
                }),
            ),
            ("refused".to_owned(), self.refused_json()),
            ("template_cache".to_owned(), self.cache.json.clone()),
            ("element_types".to_owned(), self.cache.taught_json()),
            ("quirks".to_owned(), self.cache.quirks_json()),
            ("idle_exporters_forgotten".to_owned(), account.idle.into()),
            ("exporters".to_owned(), self.exporters_json()),
        ]);
        json.into()
    }

    fn malformed_by_reason(&self) -> Map<String, Value> {
        let reasons = FaultKind::ALL.iter().filter(|kind| kind.is_malformed());
        reasons
            .map(|kind| (kind.name().to_owned(), self.account.faults(*kind)))
            .filter(|(_, count)| *count > 0)
            .map(|(name, count)| (name, count.into()))
            .collect()
    }

    fn refused_json(&self) -> Value {
        let (strangers, others) = self.account.strangers();
        let mut prefixes: Map<_, _> =
            strangers.iter().map(|(prefix, count)| (prefix.to_string(), (*count).into())).collect();
        if others > 0 {
            prefixes.insert("others".to_owned(), others.into());
        }
        let refused = self.account.refused();
        let reasons: Map<_, _> =
            refused.iter().map(|(name, count)| (name.to_owned(), count.into())).collect();
        json!({ "datagrams": refused.total(), "by_reason": reasons, "not_allowed": prefixes })
    }

    fn sockets_json(&self) -> Value {
        self.sockets.iter().flatten().map(SocketAccount::to_json).collect()
    }

    fn exporters_json(&self) -> Value {
        let mut streams = self.streams_by_exporter();
        let mut exporters: Vec<_> = self.account.exporters().collect();
        exporters.sort_by_key(|(address, _)| **address);
        exporters
            .into_iter()
            .map(|(address, exporter)| {
                let faults: Map<_, _> = FaultKind::ALL
                    .iter()
                    .filter(|kind| exporter.faults(**kind) > 0)
                    .map(|kind| (kind.name().to_owned(), exporter.faults(*kind).into()))
                    .collect();
                let domains: Vec<Value> = streams
                    .remove(address)
                    .unwrap_or_default()
                    .into_iter()
                    .map(|(stream, account)| stream_json(stream, account))
                    .collect();
                json!({
                    "exporter": address.to_string(),
                    "datagrams": exporter.datagrams,
                    "last_seen_ns": exporter.last_seen.as_nanos(),
                    "name": exporter.name(),
                    "refused": exporter.refused.total(),
                    "faults": faults,
                    "domains": domains,
                })
            })
            .collect()
    }

    fn streams_by_exporter(&self) -> BTreeMap<IpAddr, Vec<(&'a Stream, &'a StreamAccount)>> {
        let mut streams: Vec<_> = self.account.streams().collect();
        streams.sort_by_key(|(stream, _)| **stream);
        let mut grouped = BTreeMap::new();
        for (stream, account) in streams {
            grouped.entry(stream.exporter).or_insert_with(Vec::new).push((stream, account));
        }
        grouped
    }
}

pub(super) fn counts_json(counts: &Counts) -> Map<String, Value> {
    [
        ("datagrams", counts.datagrams),
        ("octets", counts.octets),
        ("template_records", counts.template_records),
        ("options_template_records", counts.options_template_records),
        ("withdrawals", counts.withdrawals),
        ("data_records", counts.data_records),
        ("options_records", counts.options_records),
        ("sets_without_template", counts.sets_without_template),
        ("sets_recovered", counts.sets_recovered),
        ("records_recovered", counts.records_recovered),
        ("reserved_sets", counts.reserved_sets),
        ("flow_packets", counts.flow_packets),
        ("flow_octets", counts.flow_octets),
        ("scaled_packets", counts.scaled_packets),
        ("scaled_octets", counts.scaled_octets),
        ("flows_of_unknown_rate", counts.flows_of_unknown_rate),
    ]
    .into_iter()
    .map(|(name, count)| (name.to_owned(), count.into()))
    .collect()
}

pub(super) fn stream_json(stream: &Stream, account: &StreamAccount) -> Value {
    let mut json = counts_json(&account.counts);
    json.insert("version".to_owned(), stream.version.into());
    json.insert("observation_domain".to_owned(), stream.observation_domain.into());
    json.insert("port".to_owned(), stream.port.into());
    if let Some(unit) = SequenceUnit::of(stream.version) {
        let counts = *account.sequence.counts();
        let SequenceCounts { received, lost, gaps, late, duplicates, strays, resets, .. } = counts;
        let sequence = json!({
            "unit": unit.name(), "expected": counts.expected(), "received": received, "lost": lost, "gaps": gaps,
            "late": late, "duplicates": duplicates, "strays": strays, "resets": resets,
            "messages_count_themselves": account.numbering.is_behind(),
        });
        json.insert("sequence".to_owned(), sequence);
    }
    if let Some(restart) = account.last_restart {
        let evidence: Vec<_> = restart.evidence.names().collect();
        let last = json!({
            "kind": restart.kind.name(), "evidence": evidence, "since": restart.since.as_secs(),
            "boot_before": restart.boot_before.map(Timestamp::as_secs), "boot": restart.boot.map(Timestamp::as_secs),
        });
        json.insert("restarts".to_owned(), json!({ "count": account.restarted, "last": last }));
    }
    if let Some(sampling) = account.sampling {
        let sampling = json!({
            "rate": sampling.interval, "algorithm": sampling.algorithm.number(), "source": sampling.source.name(),
            "population": sampling.rate.population(), "selected": sampling.rate.selected(),
            "selector_algorithm": sampling.selector.number(), "elsewhere": sampling.elsewhere,
        });
        json.insert("sampling".to_owned(), sampling);
    }
    json.into()
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let account = self.account;
        let counts = &account.counts;
        write!(f, "datagrams    {}", account.datagrams)?;
        for (index, (version, count)) in account.by_version.iter().enumerate() {
            write!(f, "{}v{version}: {count}", if index == 0 { " (" } else { ", " })?;
        }
        if !account.by_version.is_empty() {
            f.write_str(")")?;
        }
        let unsupported: u64 = account.unsupported.values().sum::<u64>() + account.unsupported_others;
        if unsupported > 0 {
            write!(f, ", {unsupported} of unsupported versions (")?;
            for (index, (version, count)) in account.unsupported.iter().enumerate() {
                write!(f, "{}version {version}: {count}", if index == 0 { "" } else { ", " })?;
            }
            f.write_str(")")?;
        }
        writeln!(f)?;
        writeln!(f, "records      {} of flows, {} of options", counts.data_records, counts.options_records)?;
        let (templates, options) = (counts.template_records, counts.options_template_records);
        writeln!(f, "templates    {templates} announced, {options} of options")?;
        if counts.sets_without_template > 0 {
            let waiting = self.cache.waiting;
            writeln!(
                f,
                "no template  {} data sets; {} decoded later ({} records), {waiting} still waiting",
                counts.sets_without_template, counts.sets_recovered, counts.records_recovered,
            )?;
        }
        let (learned, ignored) = self.cache.taught();
        if learned + ignored > 0 {
            writeln!(f, "elements     {learned} described by exporters, {ignored} descriptions ignored")?;
        }
        self.fmt_faults(f)?;
        self.fmt_streams(f)
    }
}

impl Summary<'_> {
    fn fmt_faults(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let account = self.account;
        if account.malformed() > 0 {
            write!(f, "malformed    {}", account.malformed())?;
            for (index, (reason, count)) in self.malformed_by_reason().iter().enumerate() {
                write!(f, "{}{}: {count}", if index == 0 { " (" } else { ", " }, reason.replace('_', " "))?;
            }
            writeln!(f, ")")?;
        }
        if account.faults(FaultKind::CutShort) > 0 {
            writeln!(f, "cut short    {} datagrams by the capture", account.faults(FaultKind::CutShort))?;
        }
        if let Some(ignored @ 1..) = self.udp_datagrams_ignored {
            writeln!(f, "UDP datagrams that do not look like NetFlow: {ignored}")?;
        }
        if let Some(drops) = self.kernel_drops() {
            let advice = if drops > 0 { ": the receive buffer was full, see --receive-buffer" } else { "" };
            writeln!(f, "kernel drops {drops}{advice}")?;
        }
        if let Some(sessions) = &self.sessions {
            let count = |what: &str| sessions[what].as_u64().unwrap_or(0);
            let [opened, open, refused, not_allowed, broken] =
                ["opened", "open", "refused", "not_allowed", "broken"].map(count);
            write!(
                f,
                "sessions     {opened} opened, {open} of them still open, {broken} broken; {refused} refused, "
            )?;
            writeln!(f, "{not_allowed} of senders that may not send")?;
        }
        if account.refused().total() > 0 {
            write!(f, "refused      {} datagrams", account.refused().total())?;
            for (index, (reason, count)) in account.refused().iter().enumerate() {
                write!(f, "{}{}: {count}", if index == 0 { " (" } else { ", " }, reason.replace('_', " "))?;
            }
            writeln!(f, ")")?;
        }
        if self.refused_lines > 0 {
            writeln!(f, "refused      {} flows by the output, which was too slow", self.refused_lines)?;
        }
        let [flows, packets, records] = account.sequence();
        let all = [flows, packets, records];
        if all.iter().any(|counts| counts.lost > 0) {
            let [flows, packets, records] = all.map(|counts| counts.lost);
            writeln!(
                f,
                "lost         {flows} flows (v5 to v8), {packets} packets (v9), {records} records (IPFIX)"
            )?;
        }
        let sum = |count: fn(&SequenceCounts) -> u64| all.iter().map(count).sum::<u64>();
        let (late, duplicates) = (sum(|counts| counts.late), sum(|counts| counts.duplicates));
        let (strays, resets) = (sum(|counts| counts.strays), sum(|counts| counts.resets));
        if late + duplicates + strays + resets > 0 {
            write!(f, "order        {late} late, {duplicates} duplicate, {strays} astray, ")?;
            writeln!(f, "{resets} times numbered anew")?;
        }
        for (index, (quirk, count)) in self.cache.quirks.iter().enumerate() {
            writeln!(
                f,
                "{}{quirk}: {count} times",
                if index == 0 { "quirks       " } else { "             " }
            )?;
        }
        let [restarts, clocks] = [FaultKind::Restart, FaultKind::ClockSet].map(|kind| account.faults(kind));
        if restarts + clocks > 0 {
            writeln!(f, "restarts     {restarts} of exporters; {clocks} clocks set")?;
        }
        Ok(())
    }

    fn fmt_streams(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// More are in the JSON summary.
        const LINES: usize = 20;
        let streams = self.streams_by_exporter();
        // Streams that share address, version and domain stand side by side.
        let mut streams: Vec<_> = streams.into_values().flatten().collect();
        // Of some only an earlier run has heard.
        streams.retain(|(_, account)| account.counts.datagrams > 0);
        let groups = streams.chunk_by(|(a, _), (b, _)| Stream { port: b.port, ..**a } == **b);
        let lines = groups.flat_map(|group| group.iter().map(|line| (group.len() > 1, line)));
        for (has_several, (stream, account)) in lines.take(LINES) {
            let Counts { datagrams, data_records, .. } = account.counts;
            write!(f, "{}, v{}", stream.exporter, stream.version)?;
            if matches!(stream.version, 5 | 6 | 8..=10) {
                write!(f, " domain {}", stream.observation_domain)?;
            }
            if has_several {
                write!(f, " port {}", stream.port)?;
            }
            write!(f, ": {datagrams} datagrams, {data_records} flows")?;
            if let Some(unit) = SequenceUnit::of(stream.version) {
                write!(f, ", {} {} lost", account.sequence.counts().lost, unit.name())?;
            }
            match account.sampling {
                Some(info) => {
                    writeln!(f, ", sampling 1 in {} (said by {})", info.interval, info.source.name())?;
                }
                None => writeln!(f, ", sampling unknown")?,
            }
        }
        if streams.len() > LINES {
            writeln!(f, "and {} more", streams.len() - LINES)?;
        }
        Ok(())
    }
}
