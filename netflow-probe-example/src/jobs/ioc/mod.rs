//! Who talked to addresses that are known to be bad: indicators of compromise against flows.
//!
//! The past is searched with [`Search`], in one pass whatever the number of indicators; [`Watch`] tells while flows come
//! in.

mod indicator;
mod lookup;
mod misp;
mod parse;
mod stix;
mod stored;
mod watch;

use core::{cmp::Reverse, net::IpAddr};
use std::{collections::HashMap, sync::Arc};

use netflow_codec::FlowFields;
use serde::Serialize;

pub use self::{
    indicator::{Indicator, Refused},
    lookup::Indicators,
    parse::{FileError, parse, read},
    watch::{Alert, Tell, Watch},
};
use super::{Scaled, Seen, duration, has_ports, protocol, time, widen};
use crate::{
    flow::Flow,
    query::{Align, Table, scaled},
};

/// Which way packets went, seen from the indicator's peer.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// To the address of the indicator only.
    To,
    /// From it only.
    From,
    /// Both ways: somebody answered.
    Both,
}

impl Direction {
    /// As a word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::To => "to",
            Self::From => "from",
            Self::Both => "both",
        }
    }
}

/// What one host had to do with one indicator.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Finding {
    /// The indicator, as its file has it.
    pub indicator: String,
    /// What the file says of it.
    pub label: String,
    /// The address that it names, or that is in the prefix it names.
    pub address: IpAddr,
    /// Who talked to it.
    pub host: IpAddr,
    /// Which way packets went.
    pub direction: Direction,
    /// When the first flow began, in nanoseconds since 1970.
    pub first_ns: Option<u64>,
    /// When the last flow ended.
    pub last_ns: Option<u64>,
    /// Flows, both ways.
    pub flows: u64,
    /// Packets to the indicator's address.
    pub packets_to: u64,
    /// Octets to it.
    pub octets_to: u64,
    /// Packets from it.
    pub packets_from: u64,
    /// Octets from it.
    pub octets_from: u64,
    /// Protocols and ports of the indicator's address, as in `TCP/443`: the first eight.
    pub services: Vec<String>,
    /// Exporters that saw it: the first eight.
    pub exporters: Vec<IpAddr>,
}

/// What the search found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Indicators that were searched for.
    pub indicators: usize,
    /// Entries of the files that are no address, port or prefix: names, hashes, those not meant for detection.
    pub other_entries: u64,
    /// Lines and entries that were not understood: the first thousand.
    pub refused: Vec<Refused>,
    /// How many there were.
    pub refused_entries: u64,
    /// The flows that were searched.
    pub seen: Seen,
    /// What was found, those with the most octets first.
    pub findings: Vec<Finding>,
    /// Flows of hosts beyond the bound, which are not in the findings.
    pub flows_beyond_bound: u64,
}

/// What is known of a host and an indicator.
#[derive(Clone, Debug, Default)]
struct Contact {
    first: Option<u64>,
    last: Option<u64>,
    flows: u64,
    to: Scaled,
    from: Scaled,
    services: Vec<(u8, u16)>,
    exporters: Vec<IpAddr>,
}

/// Protocols and ports, and exporters, that are listed of a finding.
const LISTED: usize = 8;

/// Flows being searched for indicators.
#[derive(Clone, Debug)]
pub struct Search {
    indicators: Arc<Indicators>,
    contacts: HashMap<(u32, IpAddr, IpAddr), Contact>,
    bound: usize,
    beyond: u64,
    seen: Seen,
    found: Vec<Match>,
}

/// An indicator and a side of a flow.
#[derive(Clone, Copy, Debug)]
struct Match {
    indicator: u32,
    /// Whether the indicator names the destination.
    is_destination: bool,
}

/// Finds the indicators that name a side of a flow.
fn matches(indicators: &Indicators, flow: &Flow<'_>, found: &mut Vec<Match>) {
    found.clear();
    let record = &flow.record;
    if !record.has(FlowFields::SOURCE | FlowFields::DESTINATION) {
        return;
    }
    let protocol = record.has(FlowFields::PROTOCOL).then_some(record.protocol);
    let ports = has_ports(record.protocol);
    let port = |field, port| (ports && record.has(field)).then_some(port);
    let source = (record.source, port(FlowFields::SOURCE_PORT, record.source_port));
    let destination = (record.destination, port(FlowFields::DESTINATION_PORT, record.destination_port));
    indicators.find(source, destination.1, protocol, |indicator| {
        found.push(Match { indicator, is_destination: false });
    });
    indicators.find(destination, source.1, protocol, |indicator| {
        found.push(Match { indicator, is_destination: true });
    });
}

impl Search {
    /// Hosts and indicators that are told apart unless told otherwise.
    pub const BOUND: usize = 200_000;

    /// A search for these indicators, with at most so many pairs of host and indicator found.
    #[must_use]
    pub fn new(indicators: impl Into<Arc<Indicators>>, bound: usize) -> Self {
        Self {
            indicators: indicators.into(),
            contacts: HashMap::new(),
            bound: bound.max(1),
            beyond: 0,
            seen: Seen::default(),
            found: Vec::new(),
        }
    }

    /// Looks at a flow.
    pub fn add(&mut self, flow: &Flow<'_>) {
        self.seen.add(flow);
        let mut found = core::mem::take(&mut self.found);
        matches(&self.indicators, flow, &mut found);
        for one in &found {
            self.contact(flow, *one);
        }
        self.found = found;
    }

    fn contact(&mut self, flow: &Flow<'_>, found: Match) {
        let record = &flow.record;
        let (address, host, port) = if found.is_destination {
            (record.destination, record.source, record.destination_port)
        } else {
            (record.source, record.destination, record.source_port)
        };
        let key = (found.indicator, address, host);
        if self.contacts.len() >= self.bound && !self.contacts.contains_key(&key) {
            self.beyond += 1;
            return;
        }
        let contact = self.contacts.entry(key).or_default();
        contact.flows += 1;
        widen(&mut contact.first, &mut contact.last, flow);
        let volume = Scaled::of(flow);
        let side = if found.is_destination { &mut contact.to } else { &mut contact.from };
        side.packets = side.packets.saturating_add(volume.packets);
        side.octets = side.octets.saturating_add(volume.octets);
        let service = (record.protocol, if has_ports(record.protocol) { port } else { 0 });
        if contact.services.len() < LISTED && !contact.services.contains(&service) {
            contact.services.push(service);
        }
        let exporter = flow.envelope.exporter.ip();
        if contact.exporters.len() < LISTED && !contact.exporters.contains(&exporter) {
            contact.exporters.push(exporter);
        }
    }

    /// What was found.
    #[must_use]
    pub fn finish(self) -> Report {
        let Self { indicators, contacts, beyond, seen, .. } = self;
        let mut findings: Vec<Finding> = contacts
            .into_iter()
            .filter_map(|((indicator, address, host), contact)| {
                let Indicator { text, label, .. } = indicators.get(indicator)?;
                let direction = match (contact.to.packets, contact.from.packets) {
                    (_, 0) => Direction::To,
                    (0, _) => Direction::From,
                    _ => Direction::Both,
                };
                Some(Finding {
                    indicator: text.clone(),
                    label: label.clone(),
                    address,
                    host,
                    direction,
                    first_ns: contact.first,
                    last_ns: contact.last,
                    flows: contact.flows,
                    packets_to: contact.to.packets,
                    octets_to: contact.to.octets,
                    packets_from: contact.from.packets,
                    octets_from: contact.from.octets,
                    services: contact.services.into_iter().map(service).collect(),
                    exporters: contact.exporters,
                })
            })
            .collect();
        let rank = |finding: &Finding| {
            let octets = finding.octets_to.saturating_add(finding.octets_from);
            (Reverse(octets), finding.first_ns, finding.address, finding.host)
        };
        findings.sort_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| a.indicator.cmp(&b.indicator)));
        Report {
            indicators: indicators.len(),
            other_entries: indicators.other_entries(),
            refused: indicators.refused().to_vec(),
            refused_entries: indicators.refused_entries(),
            seen,
            findings,
            flows_beyond_bound: beyond,
        }
    }
}

fn service((number, port): (u8, u16)) -> String {
    if has_ports(number) { format!("{}/{port}", protocol(number)) } else { protocol(number) }
}

/// A table for readers.
impl core::fmt::Display for Report {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        writeln!(f, "{} indicators against {}", self.indicators, self.seen)?;
        if self.findings.is_empty() {
            return writeln!(f, "nobody talked to any of them");
        }
        let mut hosts: Vec<IpAddr> = self.findings.iter().map(|finding| finding.host).collect();
        hosts.sort_unstable();
        hosts.dedup();
        writeln!(f, "{} hosts talked to them\n", hosts.len())?;
        let mut table = Table::new();
        for heading in ["Indicator", "Host", "Direction", "First seen (UTC)", "Last seen (UTC)", "Over"] {
            table.column(heading, Align::Left);
        }
        for heading in ["Flows", "Octets to", "Octets from"] {
            table.column(heading, Align::Right);
        }
        table.column("Services", Align::Left);
        table.column("Label", Align::Left);
        for finding in &self.findings {
            let whole = finding.address.to_string();
            let indicator =
                if finding.indicator == whole { whole } else { format!("{} ({whole})", finding.indicator) };
            let moment = |nanos: Option<u64>| nanos.map_or_else(|| "-".to_owned(), time);
            let over = finding.last_ns.unwrap_or(0).saturating_sub(finding.first_ns.unwrap_or(0));
            table.row(vec![
                indicator,
                finding.host.to_string(),
                finding.direction.name().to_owned(),
                moment(finding.first_ns),
                moment(finding.last_ns),
                duration(over),
                finding.flows.to_string(),
                scaled(finding.octets_to),
                scaled(finding.octets_from),
                finding.services.join(" "),
                finding.label.clone(),
            ]);
        }
        f.write_str(&table.render())?;
        if self.flows_beyond_bound > 0 {
            writeln!(f, "{} flows of hosts beyond the bound are not shown", self.flows_beyond_bound)?;
        }
        Ok(())
    }
}
