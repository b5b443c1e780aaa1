//! A checkup of exporters: what of their datagrams is against RFC 3954 or RFC 7011, and what of it is tolerated here.

mod rule;
mod stream;
mod template;

use core::{
    fmt,
    net::{IpAddr, SocketAddr},
};
use std::collections::BTreeMap;

use netflow_codec::{
    Batch, CacheLimits, DataRecords, Decoded, Decoder, FlowFields, FlowRecord, Learned, Protocol, Quirk,
    QuirkSetting, Strictness, TemplateLifetime, Timestamp, Transport,
};
use serde::Serialize;

pub use self::rule::{Rule, Severity};
use self::stream::{Key, Stream, Units, sets};
use super::{duration, time};

/// What the checkup takes for wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Seconds after which templates should have been sent again.
    pub refresh_seconds: u64,
    /// Seconds that the time in a header may be off.
    pub skew_seconds: u64,
    /// Seconds that flows may last, where the exporter does not say so itself.
    pub active_timeout_seconds: u64,
}

impl Default for Limits {
    /// RFC 6728 section 4.5.2 has templates live for half an hour; flows are seldom kept for longer.
    fn default() -> Self {
        Self { refresh_seconds: 1_800, skew_seconds: 10, active_timeout_seconds: 1_800 }
    }
}

/// The quirk that a finding is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct QuirkNote {
    /// Its name, as `--quirk` takes it.
    pub name: &'static str,
    /// Whether it is on unless told otherwise.
    pub default: &'static str,
    /// What is done.
    pub action: &'static str,
    /// Devices it was seen of.
    pub devices: &'static str,
}

impl QuirkNote {
    const fn of(quirk: Quirk) -> Self {
        let default = match quirk.setting() {
            QuirkSetting::On => "on",
            QuirkSetting::Off => "off",
            _ => "always",
        };
        Self { name: quirk.name(), default, action: quirk.action(), devices: quirk.devices() }
    }
}

/// Something that was found.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The name of the rule.
    pub rule: &'static str,
    /// Where the rule is written.
    pub clause: &'static str,
    /// What is wrong.
    pub what: &'static str,
    /// The exporter.
    pub exporter: IpAddr,
    /// The version of the protocol, 0 when it is unknown.
    pub version: u16,
    /// The observation domain or source ID.
    pub observation_domain: u32,
    /// How often it was found.
    pub count: u64,
    /// How many datagrams there were before the first that shows it.
    pub first_datagram: u64,
    /// What is there, of the first.
    pub example: String,
    /// The quirk that has to do with it.
    pub quirk: Option<QuirkNote>,
}

/// What a stream of datagrams had.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct StreamReport {
    /// The exporter.
    pub exporter: IpAddr,
    /// The version of the protocol.
    pub version: u16,
    /// The observation domain or source ID.
    pub observation_domain: u32,
    /// Datagrams.
    pub datagrams: u64,
    /// Records of templates, repeated ones included.
    pub template_records: u64,
    /// Records of flows.
    pub data_records: u64,
    /// Records of options.
    pub options_records: u64,
    /// When the first datagram came, in nanoseconds since 1970.
    pub first_ns: u64,
    /// When the last came.
    pub last_ns: u64,
    /// One packet in how many was metered, as far as that was said.
    pub sampling: Vec<u32>,
    /// How long the longest flow lasted, in milliseconds.
    pub longest_flow_ms: u64,
    /// The active timeout that the exporter says, in seconds.
    pub active_timeout_seconds: Option<u64>,
}

/// The result.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Report {
    /// Datagrams.
    pub datagrams: u64,
    /// The streams.
    pub streams: Vec<StreamReport>,
    /// What was found, the worst first.
    pub findings: Vec<Finding>,
    /// Datagrams of streams beyond the bound: they are not looked at.
    pub datagrams_beyond_bound: u64,
}

/// Looks at the datagrams of exporters.
#[derive(Debug)]
pub struct Doctor {
    limits: Limits,
    decoder: Decoder<IpAddr>,
    datagrams: u64,
    beyond: u64,
    streams: BTreeMap<Key, Stream>,
    findings: BTreeMap<(Key, Rule), Finding>,
}

impl Doctor {
    /// Streams that are looked at, at most.
    const STREAMS: usize = 4_096;

    /// A checkup with these limits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let mut cache = CacheLimits::default();
        // How long templates stay is what is to be found out.
        cache.lifetime = TemplateLifetime::FOREVER;
        Self {
            limits,
            decoder: Decoder::with_limits(cache, Strictness::Lenient),
            datagrams: 0,
            beyond: 0,
            streams: BTreeMap::new(),
            findings: BTreeMap::new(),
        }
    }

    /// Says what carries the messages: at first it is UDP.
    pub fn over(&mut self, transport: Transport) {
        self.decoder = core::mem::take(&mut self.decoder).over(transport);
    }

    /// Looks at a datagram.
    pub fn handle_datagram(&mut self, exporter: SocketAddr, payload: &[u8], received: Timestamp) {
        let address = exporter.ip().to_canonical();
        let mut look = Look {
            key: Key { exporter: address, version: version(payload), domain: 0 },
            datagram: self.datagrams,
            found: Vec::new(),
        };
        self.datagrams += 1;
        let before = self.decoder.quirk_counts().clone();
        match self.decoder.decode(&address, payload, received) {
            Err(error) => {
                if error.kind == netflow_codec::DecodeErrorKind::UnsupportedVersion(look.key.version) {
                    look.key.version = 0;
                }
                look.find(Rule::of_error(&error.kind), error.to_string());
            }
            Ok(mut decoded) => {
                look.key.domain = decoded.header().observation_domain;
                look.key.version = decoded.header().version;
                let is_full = self.streams.len() >= Self::STREAMS;
                if is_full && !self.streams.contains_key(&look.key) {
                    self.beyond += 1;
                    return;
                }
                let stream = self.streams.entry(look.key).or_default();
                stream.arrived(received, exporter.port());
                look.at(stream, &mut decoded, payload, received, &self.limits);
            }
        }
        for (quirk, count) in self.decoder.quirk_counts().iter() {
            // Which rule is broken is said already.
            let is_said = look.found.iter().any(|(rule, _)| rule.quirk() == Some(quirk));
            if count > before.get(quirk) && !is_said {
                look.find(Rule::Tolerated(quirk), quirk.action().to_owned());
            }
        }
        for (rule, example) in look.found {
            note(&mut self.findings, look.key, rule, look.datagram, example);
        }
    }

    /// What was found.
    #[must_use]
    pub fn finish(mut self) -> Report {
        for (key, stream) in &self.streams {
            for (rule, example) in conclusions(*key, stream, &self.limits) {
                note(&mut self.findings, *key, rule, self.datagrams.saturating_sub(1), example);
            }
            // What counts otherwise has no gaps.
            if stream.counts().is_some() {
                self.findings.remove(&(*key, Rule::SequenceGap));
            }
        }
        let mut findings: Vec<Finding> = self.findings.into_values().collect();
        findings.sort_by(|a, b| {
            (a.severity, a.exporter, a.version, a.observation_domain, a.rule).cmp(&(
                b.severity,
                b.exporter,
                b.version,
                b.observation_domain,
                b.rule,
            ))
        });
        let streams = self.streams.iter().map(|(key, stream)| StreamReport {
            exporter: key.exporter,
            version: key.version,
            observation_domain: key.domain,
            datagrams: stream.datagrams,
            template_records: stream.template_records,
            data_records: stream.data_records,
            options_records: stream.options_records,
            first_ns: stream.first.as_nanos(),
            last_ns: stream.last.as_nanos(),
            sampling: stream.rates.iter().copied().collect(),
            longest_flow_ms: stream.longest_flow_millis,
            active_timeout_seconds: stream.active_timeout,
        });
        Report {
            datagrams: self.datagrams,
            streams: streams.collect(),
            findings,
            datagrams_beyond_bound: self.beyond,
        }
    }
}

/// Findings that are told apart, at most.
const FINDINGS: usize = 20_000;

fn note(findings: &mut BTreeMap<(Key, Rule), Finding>, key: Key, rule: Rule, datagram: u64, example: String) {
    if findings.len() >= FINDINGS && !findings.contains_key(&(key, rule)) {
        return;
    }
    let finding = findings.entry((key, rule)).or_insert_with(|| Finding {
        severity: rule.severity(),
        rule: rule.name(),
        clause: if matches!(key.version, 1 | 5..=8) && matches!(rule, Rule::Count) {
            "header of NetFlow v5"
        } else {
            rule.clause(key.version)
        },
        what: rule.text(),
        exporter: key.exporter,
        version: key.version,
        observation_domain: key.domain,
        count: 0,
        first_datagram: datagram,
        example,
        quirk: rule.quirk().map(QuirkNote::of),
    });
    finding.count += 1;
}

fn version(payload: &[u8]) -> u16 {
    payload.first_chunk().map_or(0, |version| u16::from_be_bytes(*version))
}

/// One datagram being looked at.
#[derive(Debug)]
struct Look {
    key: Key,
    datagram: u64,
    found: Vec<(Rule, String)>,
}

impl Look {
    /// A rule is broken; once a datagram.
    fn find(&mut self, rule: Rule, example: impl Into<String>) {
        if !self.found.iter().any(|(found, _)| *found == rule) {
            self.found.push((rule, example.into()));
        }
    }

    fn at(
        &mut self,
        stream: &mut Stream,
        decoded: &mut Decoded<'_, '_, IpAddr>,
        payload: &[u8],
        received: Timestamp,
        limits: &Limits,
    ) {
        let header = *decoded.header();
        let exported = header.clock.unix();
        let skew = received.as_secs().abs_diff(exported.as_secs());
        if skew > limits.skew_seconds {
            let side = if exported > received { "ahead" } else { "behind" };
            self.find(Rule::ClockSkew, format!("{} {side}", duration(skew.saturating_mul(1_000_000_000))));
        }
        if payload.len() > 1_472 {
            self.find(Rule::Fragmented, format!("{} octets", payload.len()));
        }
        let mut units = Units::default();
        while let Some(batch) = decoded.next() {
            self.batch(stream, decoded, batch, &mut units, exported, received);
        }
        let protocol = match header.version {
            9 => Some(Protocol::NetFlow9),
            10 => Some(Protocol::Ipfix),
            _ => None,
        };
        if let Some(protocol) = protocol {
            self.padding(stream, protocol, payload, &mut units);
        }
        if let Some(mismatch) = decoded.count_mismatch() {
            let are_sets = u32::from(mismatch.announced) == units.sets;
            let counted = if are_sets { ", which is that of FlowSets" } else { "" };
            self.find(
                Rule::Count,
                format!(
                    "the header says {}{counted}, there are {} records",
                    mismatch.announced, mismatch.records
                ),
            );
        }
        stream.data_records += u64::from(units.data);
        stream.options_records += u64::from(units.options);
        stream.template_records += u64::from(units.templates);
        if let Some(number) = header.sequence
            && let Some(lost) = stream.sequence(header.version, number, units)
        {
            self.find(Rule::SequenceGap, format!("{lost} before number {number}"));
        }
    }

    fn batch(
        &mut self,
        stream: &mut Stream,
        decoded: &mut Decoded<'_, '_, IpAddr>,
        batch: Batch<'_>,
        units: &mut Units,
        exported: Timestamp,
        received: Timestamp,
    ) {
        match batch {
            Batch::Fixed(records) => {
                for flow in records.flows() {
                    units.data += 1;
                    self.flow(stream, decoded, &flow, exported);
                }
            }
            Batch::Data(records) => {
                stream.used(records.template().id(), received);
                for flow in records.flows() {
                    units.data += 1;
                    self.flow(stream, decoded, &flow, exported);
                }
            }
            Batch::Options(records) => {
                stream.used(records.template().id(), received);
                units.options += options(stream, &records);
            }
            Batch::Recovered(recovered) => {
                let records = recovered.records();
                if records.template().is_options() {
                    options(stream, &records);
                } else {
                    stream.data_records += records.flows().count() as u64;
                }
            }
            Batch::Template(template, learned) => {
                units.templates += 1;
                if learned == Learned::Replaced {
                    self.find(Rule::TemplateRedefined, format!("template {}", template.id()));
                }
                stream.learned(&template, received);
                for (rule, example) in template::lint(&template) {
                    self.find(rule, example);
                }
            }
            Batch::Withdrawal { template_id, obeyed } => {
                units.templates += 1;
                if !obeyed {
                    self.find(Rule::Withdrawal, format!("template {template_id}"));
                }
            }
            Batch::TemplateMissing { template_id, octets, .. } => {
                units.is_open = true;
                self.find(
                    Rule::TemplateMissing,
                    format!("template {template_id}, {} octets of data", octets.len()),
                );
            }
            Batch::Reserved { id, offset, .. } => {
                self.find(Rule::ReservedSet, format!("set {id} at octet {offset}"));
            }
            Batch::Malformed(error) => {
                units.is_open = true;
                self.find(Rule::of_error(&error.kind), error.to_string());
            }
            _ => {}
        }
    }

    fn flow(
        &mut self,
        stream: &mut Stream,
        decoded: &mut Decoded<'_, '_, IpAddr>,
        flow: &FlowRecord,
        exported: Timestamp,
    ) {
        const SECOND: u64 = 1_000_000_000;
        if flow.has(FlowFields::PACKETS) {
            match decoded.sampling(flow) {
                Some(sampling) => stream.sampled(sampling.interval),
                None => self.find(Rule::SamplingUnknown, "no rate in options, headers or records"),
            }
        }
        let (start, end) = (flow.start.as_nanos(), flow.end.as_nanos());
        if flow.has(FlowFields::END) && end > exported.as_nanos().saturating_add(SECOND) {
            let ahead = duration(end.saturating_sub(exported.as_nanos()));
            self.find(Rule::FlowInFuture, format!("{ahead} after the export, at {}", time(end)));
        }
        if flow.has(FlowFields::START | FlowFields::END) {
            if end < start {
                self.find(Rule::EndBeforeStart, format!("from {} to {}", time(start), time(end)));
            } else {
                stream.longest_flow_millis = stream.longest_flow_millis.max((end - start) / 1_000_000);
            }
        }
    }

    /// What the sets look like beyond their records.
    fn padding(&mut self, stream: &Stream, protocol: Protocol, payload: &[u8], units: &mut Units) {
        for (id, length, body) in sets(protocol, payload) {
            units.sets += 1;
            if protocol == Protocol::NetFlow9 && !length.is_multiple_of(4) {
                self.find(Rule::Alignment, format!("FlowSet {id} of {length} octets"));
            }
            let Some(known) = stream.templates.get(&id).filter(|known| !known.is_variable) else { continue };
            let Some(rest) = body.len().checked_rem(known.record_length) else { continue };
            let padding = body.get(body.len() - rest..).unwrap_or_default();
            if padding.iter().any(|octet| *octet != 0) {
                self.find(Rule::PaddingContent, format!("set {id} ends with {rest} octets: {padding:02x?}"));
            } else if rest > 3 {
                self.find(Rule::PaddingLength, format!("set {id} ends with {rest} zeros"));
            }
        }
    }
}

/// Takes what options say; how many records there are.
fn options(stream: &mut Stream, records: &DataRecords<'_>) -> u32 {
    let mut count = 0;
    for record in records {
        count += 1;
        let mut fields = record.fields();
        if let Some(field) =
            fields.find(|field| field.scope_type().is_none() && field.element() == template::ACTIVE_TIMEOUT)
        {
            stream.active_timeout = field.as_unsigned().or(stream.active_timeout);
        }
    }
    count
}

/// What only the whole stream can tell.
fn conclusions(key: Key, stream: &Stream, limits: &Limits) -> Vec<(Rule, String)> {
    let mut found = Vec::new();
    if let Some(counts) = stream.counts() {
        let rule = if counts == "records and templates" && key.version == 10 {
            Rule::SequenceTemplates
        } else {
            Rule::SequenceStep
        };
        let should = match key.version {
            9 => "datagrams",
            10 => "data records",
            _ => "flows",
        };
        found.push((rule, format!("it counts {counts} instead of {should}")));
    }
    for (id, seconds) in stream.stale(limits.refresh_seconds) {
        let seconds = duration(seconds.saturating_mul(1_000_000_000));
        found.push((Rule::TemplateRefresh, format!("template {id} not within {seconds}")));
    }
    let timeout = stream.active_timeout.unwrap_or(limits.active_timeout_seconds);
    // What is metered until the timeout is noticed is a matter of seconds.
    if stream.longest_flow_millis > timeout.saturating_add(60).saturating_mul(1_000) {
        let longest = duration(stream.longest_flow_millis.saturating_mul(1_000_000));
        let whose = if stream.active_timeout.is_some() { "that it announces" } else { "that is expected" };
        found.push((Rule::ActiveTimeout, format!("a flow of {longest}, {timeout} s is the timeout {whose}")));
    }
    if stream.ports.len() > 1 {
        let ports: Vec<String> = stream.ports.iter().take(5).map(ToString::to_string).collect();
        found.push((Rule::SourcePort, ports.join(", ")));
    }
    found
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} datagrams of {} streams", self.datagrams, self.streams.len())?;
        for stream in &self.streams {
            let sampling: Vec<String> = stream.sampling.iter().map(|rate| format!("1 in {rate}")).collect();
            writeln!(
                f,
                "  {}, v{} domain {}: {} datagrams over {}, {} flows, {} options, {} templates, sampling {}",
                stream.exporter,
                stream.version,
                stream.observation_domain,
                stream.datagrams,
                duration(stream.last_ns.saturating_sub(stream.first_ns)),
                stream.data_records,
                stream.options_records,
                stream.template_records,
                if sampling.is_empty() { "unknown".to_owned() } else { sampling.join(", ") }
            )?;
        }
        if self.findings.is_empty() {
            writeln!(f, "nothing to find fault with")?;
        }
        for finding in &self.findings {
            let severity = match finding.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
                Severity::Note => "note",
            };
            let Finding {
                rule,
                clause,
                what,
                exporter,
                version,
                observation_domain,
                count,
                first_datagram,
                example,
                quirk,
                ..
            } = finding;
            writeln!(f, "\n{severity}: {rule} ({clause}): {what}")?;
            writeln!(
                f,
                "  {exporter}, v{version} domain {observation_domain}, {count} times, first in datagram {first_datagram}: {example}"
            )?;
            if let Some(QuirkNote { name, default, action, .. }) = quirk {
                writeln!(f, "  quirk {name} ({default}): {action}")?;
            }
        }
        if self.datagrams_beyond_bound > 0 {
            writeln!(f, "\n{} datagrams of further streams were not looked at", self.datagrams_beyond_bound)?;
        }
        Ok(())
    }
}
