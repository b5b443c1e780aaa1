//! A flow as the collector hands it on: the typed record and where it came from, whatever the version.
//!
//! [`COLUMNS`] gives it the names and renderings that other flow tools already read; what no column shows is in
//! [`Flow::extras`], so that nothing decoded is thrown away.

mod column;
mod context;
mod country;
mod due;
mod layout;
mod protocol;
mod set;
mod stored;

use core::net::SocketAddr;

use netflow_codec::{DataRecord, FieldView, FixedRecord, FlowFields, FlowRecord, SamplingInfo, Timestamp};

pub use column::{COLUMNS, Cell, Column, Kind};
pub use context::{Context, Known};
pub use country::{Countries, Country};
pub(crate) use due::due;
pub(crate) use layout::{Known as KnownTemplate, Layout, Layouts};
pub use protocol::{protocol_keyword, protocol_number};
pub use set::FlowSet;
pub use stored::StoredCells;

/// The datagram that a record came in.
#[derive(Clone, Copy, Debug)]
pub struct Envelope {
    /// How many datagrams the collector had been given before.
    pub ordinal: u64,
    /// Who sent it; an IPv4-mapped address is given as the IPv4 one.
    pub exporter: SocketAddr,
    /// When it arrived.
    pub received: Timestamp,
    /// Version of the protocol: 1, 5 to 9, or 10 (IPFIX).
    pub version: u16,
    /// Its sequence number; for records that waited for their template, the one of the datagram they came in. `None` in
    /// v1.
    pub sequence: Option<u32>,
    /// IPFIX: observation domain; v9: source ID; v5, v6, v8: engine type (high octet) and engine number (low
    /// octet); else 0.
    pub observation_domain: u32,
}

impl Envelope {
    /// The name of the version in the flow schema.
    #[must_use]
    pub const fn flow_type(&self) -> &'static str {
        match self.version {
            1 => "NETFLOW_V1",
            5 => "NETFLOW_V5",
            6 => "NETFLOW_V6",
            7 => "NETFLOW_V7",
            8 => "NETFLOW_V8",
            9 => "NETFLOW_V9",
            10 => "IPFIX",
            _ => "FLOWUNKNOWN",
        }
    }
}

/// A flow.
#[derive(Clone, Copy, Debug)]
pub struct Flow<'a> {
    /// What the record says, typed.
    pub record: FlowRecord,
    /// The datagram it came in.
    pub envelope: &'a Envelope,
    /// The template it was decoded with; `None` for the versions with a fixed layout.
    pub template_id: Option<u16>,
    /// One packet in how many was metered, as far as the exporter has said.
    pub sampling: Option<SamplingInfo>,
    /// The countries of its addresses, where somebody has looked them up.
    pub countries: Countries,
    /// The record as it came.
    pub fields: RecordFields<'a>,
    /// What its fields are read with.
    pub context: Context<'a>,
    pub(crate) layout: Option<&'a Layout>,
}

impl<'a> Flow<'a> {
    /// The fields that no column shows. Repeated elements stand side by side.
    #[must_use]
    pub fn extras(&self) -> Vec<FieldView<'a>> {
        match self.layout {
            Some(layout) => layout.extras(self),
            // Columns show all that fixed layouts have, but for the number of flows in v8.
            None if self.envelope.version == 8 => self.find(&[3]).into_iter().collect(),
            None => Vec::new(),
        }
    }

    /// The first field of the record with one of these elements.
    fn find(&self, elements: &[u16]) -> Option<FieldView<'a>> {
        self.fields.iter().find(|field| {
            field.scope_type().is_none()
                && field.element().enterprise() == 0
                && elements.contains(&field.element().number())
        })
    }

    /// The first field of the record with one of these elements as a number, whether a column shows it or not.
    pub(crate) fn unsigned_field(&self, elements: &[u16]) -> Option<u64> {
        self.find(elements)?.as_unsigned()
    }

    /// How many packets one metered packet stands for, as far as the exporter has said.
    #[must_use]
    pub fn sampling_rate(&self) -> Option<u64> {
        match self.stored() {
            Some(stored) => stored.number("sampling_rate"),
            None => self.sampling.map(|info| info.interval.into()),
        }
    }

    /// The country of the source address.
    #[must_use]
    pub fn source_country(&self) -> Option<Country> {
        self.country(self.countries.source, "src_country")
    }

    /// The country of the destination address.
    #[must_use]
    pub fn destination_country(&self) -> Option<Country> {
        self.country(self.countries.destination, "dst_country")
    }

    /// A country; of a stored flow, the one in its column.
    fn country(&self, known: Option<Country>, column: &str) -> Option<Country> {
        match self.stored().map(|stored| stored.cell(column)) {
            Some(Cell::Word(code)) => Country::of(code),
            _ => known,
        }
    }

    /// Where the sampling rate was announced.
    #[must_use]
    pub fn sampling_source(&self) -> Option<&'static str> {
        match self.stored() {
            Some(stored) => match stored.cell("sampling_source") {
                Cell::Word(source) => Some(source),
                _ => None,
            },
            None => self.sampling.map(|info| info.source.name()),
        }
    }

    /// Whether an ICMP type and code mean something: the protocol is 1 (ICMP), 58 (ICMP of IPv6) or not in the record.
    fn may_be_icmp(&self) -> bool {
        !self.record.has(FlowFields::PROTOCOL) || may_be_icmp(self.record.protocol)
    }

    /// The version of IP, by the addresses or else by element ipVersion (60).
    #[must_use]
    pub fn ip_version(&self) -> Option<u8> {
        if self.record.has(FlowFields::SOURCE) || self.record.has(FlowFields::DESTINATION) {
            return Some(if self.record.is_ipv6() { 6 } else { 4 });
        }
        self.layout?;
        self.find(&[60])?.as_unsigned().and_then(|version| u8::try_from(version).ok())
    }

    /// The time from first to last packet in milliseconds; negative when the exporter says so.
    #[must_use]
    pub fn duration_millis(&self) -> Option<i64> {
        if !self.record.has(FlowFields::START | FlowFields::END) {
            return None;
        }
        Some(duration_millis(self.record.start, self.record.end))
    }
}

/// Whether flows of this protocol can have an ICMP type and code.
pub(crate) const fn may_be_icmp(protocol: u8) -> bool {
    matches!(protocol, 1 | 58)
}

/// Whether versions with a fixed layout have the ICMP type and code in place of the destination port.
pub(crate) const fn has_icmp_as_port(version: u16, protocol: u8) -> bool {
    matches!(version, 1 | 5..=8) && protocol == 1
}

/// Milliseconds from the first packet to the last.
pub(crate) fn duration_millis(start: Timestamp, end: Timestamp) -> i64 {
    let (start, end) = (start.as_nanos(), end.as_nanos());
    // A difference of 2^64 nanoseconds is 2^44 milliseconds.
    let millis = i64::try_from(start.abs_diff(end) / 1_000_000).unwrap_or(i64::MAX);
    if end < start { -millis } else { millis }
}

/// Any record, of flows or of options, with its place.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The datagram that is decoded; of a record that waited for its template, the one that brought it.
    pub envelope: &'a Envelope,
    /// How many datagrams the collector had been given before the record's.
    pub datagram: u64,
    /// How many sets stand before the record's in its datagram; 0 for the versions without sets.
    pub set: usize,
    /// The template it was decoded with; `None` for the versions with a fixed layout.
    pub template_id: Option<u16>,
    /// Whether it describes the exporter and not a flow.
    pub is_options: bool,
    /// How many of its fields, from the first one, are scopes.
    pub scope_fields: usize,
    /// Octets from the start of its datagram to the record.
    pub offset: usize,
    /// Its octets and fields.
    pub fields: RecordFields<'a>,
    /// What its fields are read with.
    pub context: Context<'a>,
}

/// The fields of a record, borrowed from the datagram.
#[derive(Clone, Copy, Debug)]
pub enum RecordFields<'a> {
    /// Of v1, v5, v6, v7 or v8.
    Fixed(FixedRecord<'a>),
    /// Of a data set.
    Data(DataRecord<'a, 'a>),
    /// Of a stored flow: its record is gone.
    Stored(StoredCells<'a>),
}

impl<'a> RecordFields<'a> {
    /// The record's octets.
    #[must_use]
    pub const fn octets(&self) -> &'a [u8] {
        match self {
            Self::Fixed(record) => record.octets(),
            Self::Data(record) => record.octets(),
            Self::Stored(_) => &[],
        }
    }

    /// The fields in order, scope fields first.
    pub fn iter(&self) -> impl Iterator<Item = FieldView<'a>> + use<'a> {
        let (fixed, data) = match *self {
            Self::Fixed(record) => (Some(record), None),
            Self::Data(record) => (None, Some(record)),
            Self::Stored(_) => (None, None),
        };
        let fixed = fixed.into_iter().flat_map(|record| record.fields());
        fixed.chain(data.into_iter().flat_map(|record| record.fields()))
    }
}
