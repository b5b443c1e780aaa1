//! What a network carried: traffic by exporter, AS, prefix, interface, protocol and application, and over time.

mod html;
mod series;

use core::{cmp::Reverse, fmt, net::IpAddr};
use std::collections::BTreeMap;

use netflow_codec::FlowFields;
use serde::Serialize;

pub use self::series::{Line, Series};
use super::{Scaled, Seen, duration, has_ports, protocol, time};
use crate::{
    flow::Flow,
    query::{Align, HeavyHitters, Prefix, Table, Volume, scaled},
};

/// What traffic is divided by.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dimension {
    /// The exporter.
    Exporter,
    /// The interface it came in by.
    IngressInterface,
    /// The interface it went out by.
    EgressInterface,
    /// The source AS.
    SourceAs,
    /// The destination AS.
    DestinationAs,
    /// The source prefix: of the length that the exporter says, else of 24 bits (IPv4) or 48 (IPv6).
    SourcePrefix,
    /// The destination prefix, likewise.
    DestinationPrefix,
    /// The protocol.
    Protocol,
    /// Protocol and the lower of both ports.
    Application,
}

impl Dimension {
    const ALL: [Self; 9] = [
        Self::Exporter,
        Self::IngressInterface,
        Self::EgressInterface,
        Self::SourceAs,
        Self::DestinationAs,
        Self::SourcePrefix,
        Self::DestinationPrefix,
        Self::Protocol,
        Self::Application,
    ];

    /// In words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exporter => "Exporter",
            Self::IngressInterface => "Interface in",
            Self::EgressInterface => "Interface out",
            Self::SourceAs => "Source AS",
            Self::DestinationAs => "Destination AS",
            Self::SourcePrefix => "Source prefix",
            Self::DestinationPrefix => "Destination prefix",
            Self::Protocol => "Protocol",
            Self::Application => "Application",
        }
    }

    /// The value of a flow; `None` when the record does not carry it.
    fn key(self, flow: &Flow<'_>) -> Option<Key> {
        let record = &flow.record;
        let exporter = flow.envelope.exporter.ip();
        let prefix = |address: IpAddr, field, length: u8| {
            let usual = if address.is_ipv4() { 24 } else { 48 };
            // A route of 0 bits, the default one, says nothing.
            let length = if record.has(field) && length > 0 { length } else { usual };
            let prefix = Prefix::new(address, length)?;
            Prefix::new(prefix.network(), length).map(Key::Prefix)
        };
        match self {
            Self::Exporter => Some(Key::Address(exporter)),
            Self::IngressInterface if record.has(FlowFields::INGRESS_INTERFACE) => {
                Some(Key::Interface(exporter, record.ingress_interface))
            }
            Self::EgressInterface if record.has(FlowFields::EGRESS_INTERFACE) => {
                Some(Key::Interface(exporter, record.egress_interface))
            }
            Self::SourceAs if record.has(FlowFields::SOURCE_AS) => Some(Key::Number(record.source_as)),
            Self::DestinationAs if record.has(FlowFields::DESTINATION_AS) => {
                Some(Key::Number(record.destination_as))
            }
            Self::SourcePrefix if record.has(FlowFields::SOURCE) => {
                prefix(record.source, FlowFields::SOURCE_PREFIX_LENGTH, record.source_prefix_length)
            }
            Self::DestinationPrefix if record.has(FlowFields::DESTINATION) => prefix(
                record.destination,
                FlowFields::DESTINATION_PREFIX_LENGTH,
                record.destination_prefix_length,
            ),
            Self::Protocol if record.has(FlowFields::PROTOCOL) => Some(Key::Protocol(record.protocol)),
            Self::Application if record.has(FlowFields::PROTOCOL) => {
                if !has_ports(record.protocol) {
                    return Some(Key::Protocol(record.protocol));
                }
                let port = match (record.source_port, record.destination_port) {
                    (0, port) | (port, 0) => port,
                    (source, destination) => source.min(destination),
                };
                Some(Key::Application(record.protocol, port))
            }
            _ => None,
        }
    }
}

/// A value that traffic is divided by.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
enum Key {
    Address(IpAddr),
    Interface(IpAddr, u32),
    Number(u32),
    Prefix(Prefix),
    Protocol(u8),
    Application(u8, u16),
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Address(address) => write!(f, "{address}"),
            Self::Interface(exporter, index) => write!(f, "{exporter} interface {index}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Prefix(prefix) => write!(f, "{prefix}"),
            Self::Protocol(number) => f.write_str(&protocol(number)),
            Self::Application(number, port) => {
                write!(f, "{}/{port}", protocol(number))?;
                service(port).map_or(Ok(()), |name| write!(f, " {name}"))
            }
        }
    }
}

/// What is usually behind a port.
fn service(port: u16) -> Option<&'static str> {
    const SERVICES: [(u16, &str); 28] = [
        (20, "ftp-data"),
        (21, "ftp"),
        (22, "ssh"),
        (23, "telnet"),
        (25, "smtp"),
        (53, "dns"),
        (80, "http"),
        (110, "pop3"),
        (123, "ntp"),
        (143, "imap"),
        (161, "snmp"),
        (179, "bgp"),
        (389, "ldap"),
        (443, "https"),
        (445, "smb"),
        (465, "smtps"),
        (500, "ike"),
        (514, "syslog"),
        (587, "submission"),
        (853, "dns over tls"),
        (873, "rsync"),
        (993, "imaps"),
        (1_194, "openvpn"),
        (1_935, "rtmp"),
        (3_306, "mysql"),
        (3_389, "rdp"),
        (4_500, "ipsec"),
        (51_820, "wireguard"),
    ];
    let place = SERVICES.binary_search_by_key(&port, |(port, _)| *port).ok()?;
    SERVICES.get(place).map(|(_, name)| *name)
}

/// Traffic, scaled by sampling.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Amount {
    /// Octets.
    pub octets: u64,
    /// Packets.
    pub packets: u64,
    /// Flows; these are not scaled.
    pub flows: u64,
}

impl Amount {
    const fn of(volume: Volume) -> Self {
        Self { octets: volume.octets, packets: volume.packets, flows: volume.flows }
    }
}

/// A row of a table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The value.
    pub value: String,
    /// Its traffic.
    #[serde(flatten)]
    pub amount: Amount,
    /// Its part of all octets, from 0 to 1.
    pub share: f64,
}

/// Traffic by the values of a dimension.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Section {
    /// The dimension.
    pub by: Dimension,
    /// The values with the most octets.
    pub rows: Vec<Row>,
    /// Octets that each row may lack, because there were too many values to count them all.
    pub uncertainty: u64,
    /// Octets of flows that do not carry it.
    pub octets_without: u64,
}

/// Traffic of all exporters, or of one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Part {
    /// The exporter; `None` for all.
    pub exporter: Option<IpAddr>,
    /// All its traffic.
    pub total: Amount,
    /// Tables.
    pub sections: Vec<Section>,
    /// Octets by protocol over time.
    pub over_time: Series,
}

/// What a network carried.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The flows.
    pub seen: Seen,
    /// All exporters together.
    pub all: Part,
    /// Each exporter, those with the most octets first.
    pub exporters: Vec<Part>,
    /// Flows of exporters beyond the bound: they are in `all` only.
    pub flows_beyond_bound: u64,
}

/// Traffic being divided.
#[derive(Debug)]
struct Draft {
    total: Volume,
    by: Vec<(Dimension, HeavyHitters<Key>, u64)>,
    over_time: series::Bins,
}

impl Draft {
    fn new(is_one: bool, capacity: usize) -> Self {
        let dimensions = Dimension::ALL.into_iter().filter(|by| !is_one || *by != Dimension::Exporter);
        Self {
            total: Volume::default(),
            by: dimensions.map(|by| (by, HeavyHitters::new(capacity), 0)).collect(),
            over_time: series::Bins::default(),
        }
    }

    fn add(&mut self, flow: &Flow<'_>, volume: Volume) {
        self.total += volume;
        for (by, hitters, without) in &mut self.by {
            match by.key(flow) {
                Some(key) => hitters.add(key, volume),
                None => *without = without.saturating_add(volume.octets),
            }
        }
        self.over_time.add(flow, volume.octets);
    }

    fn part(&self, exporter: Option<IpAddr>, top: usize) -> Part {
        let whole = self.total.octets.max(1);
        let sections = self.by.iter().map(|(by, hitters, without)| Section {
            by: *by,
            rows: hitters
                .ranking(top)
                .into_iter()
                .map(|(key, volume)| Row {
                    value: key.to_string(),
                    amount: Amount::of(volume),
                    share: share(volume.octets, whole),
                })
                .collect(),
            uncertainty: hitters.uncertainty(),
            octets_without: *without,
        });
        Part {
            exporter,
            total: Amount::of(self.total),
            sections: sections.collect(),
            over_time: self.over_time.series(),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share needs no more than 53 bits")]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

/// Gathers a report.
#[derive(Debug)]
pub struct Gatherer {
    top: usize,
    seen: Seen,
    all: Draft,
    exporters: BTreeMap<IpAddr, Draft>,
    beyond: u64,
}

impl Gatherer {
    /// Exporters with tables of their own, at most.
    pub const EXPORTERS: usize = 100;
    /// Values of a dimension that are told apart at least, of all exporters together and of one.
    const CAPACITIES: [usize; 2] = [50_000, 2_000];

    /// A report with tables of so many rows.
    #[must_use]
    pub fn new(top: usize) -> Self {
        Self {
            top,
            seen: Seen::default(),
            all: Draft::new(false, Self::CAPACITIES[0]),
            exporters: BTreeMap::new(),
            beyond: 0,
        }
    }

    /// Looks at a flow.
    pub fn add(&mut self, flow: &Flow<'_>) {
        self.seen.add(flow);
        let Scaled { packets, octets } = Scaled::of(flow);
        let volume = Volume { octets, packets, flows: 1 };
        self.all.add(flow, volume);
        let exporter = flow.envelope.exporter.ip();
        let is_full = self.exporters.len() >= Self::EXPORTERS;
        if is_full && !self.exporters.contains_key(&exporter) {
            self.beyond += 1;
            return;
        }
        self.exporters
            .entry(exporter)
            .or_insert_with(|| Draft::new(true, Self::CAPACITIES[1]))
            .add(flow, volume);
    }

    /// The report.
    #[must_use]
    pub fn finish(self) -> Report {
        let mut exporters: Vec<Part> =
            self.exporters.iter().map(|(exporter, draft)| draft.part(Some(*exporter), self.top)).collect();
        exporters.sort_by_key(|part| (Reverse(part.total.octets), part.exporter));
        Report {
            seen: self.seen,
            all: self.all.part(None, self.top),
            exporters,
            flows_beyond_bound: self.beyond,
        }
    }
}

impl Report {
    /// The report as a page: one document, with its graphs drawn, that needs nothing from elsewhere.
    #[must_use]
    pub fn to_html(&self) -> String {
        html::page(self)
    }

    /// The parts that are worth showing: a single exporter's is that of all.
    fn parts(&self) -> impl Iterator<Item = &Part> {
        let several = self.exporters.len() > 1;
        core::iter::once(&self.all).chain(self.exporters.iter().filter(move |_| several))
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.column(self.by.name(), Align::Left);
        for heading in ["Octets", "", "Packets", "Flows"] {
            table.column(heading, Align::Right);
        }
        for row in &self.rows {
            table.row(vec![
                row.value.clone(),
                scaled(row.amount.octets),
                format!("{:.1}%", row.share * 100.0),
                scaled(row.amount.packets),
                scaled(row.amount.flows),
            ]);
        }
        f.write_str(&table.render())?;
        if self.octets_without > 0 {
            writeln!(f, "{} octets of flows without it", scaled(self.octets_without))?;
        }
        if self.uncertainty > 0 {
            writeln!(
                f,
                "too many for an exact count: each may lack up to {} octets",
                scaled(self.uncertainty)
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.seen)?;
        let length = self.seen.last_ns.unwrap_or(0).saturating_sub(self.seen.first_ns.unwrap_or(0));
        for part in self.parts() {
            match part.exporter {
                None => writeln!(f, "\nAll traffic over {}", duration(length))?,
                Some(exporter) => writeln!(f, "\nExporter {exporter}")?,
            }
            let Amount { octets, packets, flows } = part.total;
            writeln!(f, "{} octets, {} packets, {flows} flows", scaled(octets), scaled(packets))?;
            if let Some((start, rate)) = part.over_time.peak() {
                writeln!(f, "most at {}: {} bit/s", time(start), scaled(rate))?;
            }
            for section in part.sections.iter().filter(|section| !section.rows.is_empty()) {
                write!(f, "\n{section}")?;
            }
        }
        if self.flows_beyond_bound > 0 {
            writeln!(f, "\n{} flows of further exporters are in the sums only", self.flows_beyond_bound)?;
        }
        Ok(())
    }
}
