//! The flows of a set at once, by columns: what they have in common is looked at once, not flow by flow.

use core::{net::IpAddr, ops::Range};

use netflow_codec::{FlowColumns, FlowFields, SamplingInfo};

use super::{Envelope, Layout};

/// Flows that came together and that columns show wholly: none has a field that only its record would tell.
#[derive(Clone, Debug)]
pub struct FlowSet<'a> {
    /// Their members.
    pub columns: &'a FlowColumns,
    /// Which rows of the columns they are.
    pub rows: Range<usize>,
    /// The members that each of them has, and no others.
    pub fields: FlowFields,
    /// The version of IP, of all of them.
    pub ip_version: Option<u8>,
    /// The datagram they came in.
    pub envelope: &'a Envelope,
    /// The template they were decoded with; `None` for the versions with a fixed layout.
    pub template_id: Option<u16>,
    /// One packet in how many was metered, as far as the exporter has said; of all of them.
    pub sampling: Option<SamplingInfo>,
}

impl<'a> FlowSet<'a> {
    /// All rows of the columns as a set; `None` when they have not the same members or not the same version of IP.
    /// Nothing is said of their sampling yet.
    #[must_use]
    pub fn of(columns: &'a FlowColumns, envelope: &'a Envelope, template_id: Option<u16>) -> Option<Self> {
        let (first, rest) = columns.fields().split_first()?;
        if rest.iter().any(|fields| fields != first) || !columns.wanted().contains(*first) {
            return None;
        }
        let has = |field| first.contains(field);
        let rows = 0..columns.len();
        let addresses = |field, column: &'a [IpAddr]| if has(field) { column } else { &[] };
        let sources = addresses(FlowFields::SOURCE, columns.source());
        let destinations = addresses(FlowFields::DESTINATION, columns.destination());
        let is_ipv6 = sources.first().or_else(|| destinations.first()).map(IpAddr::is_ipv6);
        if sources.iter().chain(destinations).any(|address| Some(address.is_ipv6()) != is_ipv6) {
            return None;
        }
        let ip_version = is_ipv6.map(|is_ipv6| if is_ipv6 { 6 } else { 4 });
        Some(Self { columns, rows, fields: *first, ip_version, envelope, template_id, sampling: None })
    }

    /// How many flows they are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.rows.end - self.rows.start
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether each of them has these members.
    #[must_use]
    pub const fn has(&self, fields: FlowFields) -> bool {
        self.fields.contains(fields)
    }

    /// A member of each of them; nothing when they have not got it.
    pub(crate) fn column<T>(&self, field: FlowFields, column: &'a [T]) -> &'a [T] {
        if self.has(field) { column.get(self.rows.clone()).unwrap_or(&[]) } else { &[] }
    }

    /// The same set with these rows only.
    #[must_use]
    pub fn part(&self, rows: Range<usize>) -> Self {
        Self { rows, ..self.clone() }
    }

    /// Whether columns show all fields of the records, whose octets these are: what the layout of their template leaves
    /// open depends on the values.
    pub(crate) fn shows_all<'r>(&self, layout: &Layout, records: impl Iterator<Item = &'r [u8]>) -> bool {
        layout.is_plain() && self.ip_version.is_some() && layout.leaves_nothing(self, records)
    }
}
