//! The versions with a fixed layout, as tables: v1, v5 and v7.
//!
//! The decoder reads all of them alike; [`v5`] gives v5 its own view besides. v1 and v7 records carry what v5
//! records do, v1 without AS numbers and prefix lengths; v7 adds the router that the switch bypassed, which no
//! element stands for.

use core::fmt;

use crate::{
    element::ElementId,
    error::{DecodeError, DecodeErrorKind, saturating_u32},
    flow::FlowRecord,
    member,
    time::{ExportClock, SysUptime, Timestamp},
    v5,
    value::FieldView,
    wire::u16_at,
};

/// Element, offset in the record, octets.
pub(crate) type Fields = &'static [(u16, usize, usize)];

const V1_FIELDS: Fields = &[
    (8, 0, 4),
    (12, 4, 4),
    (15, 8, 4),
    (10, 12, 2),
    (14, 14, 2),
    (2, 16, 4),
    (1, 20, 4),
    (22, 24, 4),
    (21, 28, 4),
    (7, 32, 2),
    (11, 34, 2),
    (4, 38, 1),
    (5, 39, 1),
    (6, 40, 1),
];

pub(crate) const V5_FIELDS: Fields = &[
    (8, 0, 4),
    (12, 4, 4),
    (15, 8, 4),
    (10, 12, 2),
    (14, 14, 2),
    (2, 16, 4),
    (1, 20, 4),
    (22, 24, 4),
    (21, 28, 4),
    (7, 32, 2),
    (11, 34, 2),
    (6, 37, 1),
    (4, 38, 1),
    (5, 39, 1),
    (16, 40, 2),
    (17, 42, 2),
    (9, 44, 1),
    (13, 45, 1),
];

/// The fields of a record by its table.
pub(crate) fn fields(table: Fields, record: &[u8]) -> impl Iterator<Item = FieldView<'_>> + use<'_> {
    table.iter().filter_map(move |(number, offset, length)| {
        Some(FieldView::new(ElementId::iana(*number), record.get(*offset..offset + length)?))
    })
}

/// The layout of one version.
#[derive(Debug)]
struct Layout {
    header_len: usize,
    record_len: usize,
    fields: Fields,
    has_sequence: bool,
}

const V1: Layout = Layout { header_len: 16, record_len: 48, fields: V1_FIELDS, has_sequence: false };
const V5: Layout =
    Layout { header_len: v5::HEADER_LEN, record_len: v5::RECORD_LEN, fields: V5_FIELDS, has_sequence: true };
const V7: Layout = Layout { header_len: 24, record_len: 52, fields: V5_FIELDS, has_sequence: true };

/// The records of a v1, v5 or v7 datagram, borrowed.
#[derive(Clone, Copy)]
pub struct FixedRecords<'a> {
    version: u16,
    layout: &'static Layout,
    datagram: &'a [u8],
    count: usize,
    clock: ExportClock,
}

impl<'a> FixedRecords<'a> {
    /// Checks the header; takes the whole records that are there, at most as many as it announces.
    ///
    /// # Errors
    ///
    /// When the datagram is shorter than its header, or of a version without a fixed layout.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, DecodeError> {
        let version = u16_at(datagram, 0).ok_or_else(|| DecodeError::truncated(0, 2, datagram.len()))?;
        let layout = match version {
            1 => &V1,
            5 => &V5,
            7 => &V7,
            other => return Err(DecodeError::new(0, DecodeErrorKind::UnsupportedVersion(other))),
        };
        let Some(body) = datagram.get(layout.header_len..) else {
            return Err(DecodeError::truncated(0, layout.header_len, datagram.len()));
        };
        let word = |offset| {
            let low = u16_at(datagram, offset + 2).unwrap_or(0);
            u32::from(u16_at(datagram, offset).unwrap_or(0)) << 16 | u32::from(low)
        };
        let nanos = u64::from(word(8)) * 1_000_000_000 + u64::from(word(12));
        Ok(Self {
            version,
            layout,
            datagram,
            count: (body.len() / layout.record_len).min(usize::from(u16_at(datagram, 2).unwrap_or(0))),
            clock: ExportClock::new(Timestamp::from_nanos(nanos), SysUptime::from_millis(word(4))),
        })
    }

    /// 1, 5 or 7.
    #[must_use]
    pub const fn version(&self) -> u16 {
        self.version
    }

    /// The clock of the header.
    #[must_use]
    pub const fn clock(&self) -> &ExportClock {
        &self.clock
    }

    /// Flows exported before this datagram, modulo 2^32; v1 does not say.
    #[must_use]
    pub fn sequence(&self) -> Option<u32> {
        let octets = self.datagram.get(16..20).filter(|_| self.layout.has_sequence)?;
        octets.first_chunk().map(|octets| u32::from_be_bytes(*octets))
    }

    /// The engine: type in the high octet, number in the low one; 0 in v1 and v7.
    #[must_use]
    pub fn engine(&self) -> u16 {
        if self.version == 5 { u16_at(self.datagram, 20).unwrap_or(0) } else { 0 }
    }

    /// Mode and interval of sampling, which only v5 carries.
    #[must_use]
    pub fn sampling(&self) -> Option<v5::SamplingHeader> {
        (self.version == 5).then(|| v5::SamplingHeader::from_bits(u16_at(self.datagram, 22).unwrap_or(0)))
    }

    /// How many records the header announces.
    #[must_use]
    pub fn announced(&self) -> u16 {
        u16_at(self.datagram, 2).unwrap_or(0)
    }

    /// How many records there are.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }

    /// The mismatch, when the header announces more records than the datagram holds.
    #[must_use]
    pub fn missing_records(&self) -> Option<DecodeError> {
        let announced = self.announced();
        let available = u16::try_from(self.count).unwrap_or(u16::MAX);
        (announced > available)
            .then(|| DecodeError::new(0, DecodeErrorKind::RecordCount { announced, available }))
    }

    /// Octets behind the last record, which are tolerated.
    #[must_use]
    pub fn trailing_octets(&self) -> u32 {
        let used = self.layout.header_len + self.count * self.layout.record_len;
        saturating_u32(self.datagram.len().saturating_sub(used))
    }

    /// The records in order.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = FixedRecord<'a>> + use<'a> {
        let Self { layout, datagram, clock, .. } = *self;
        (0..self.count).map(move |index| {
            let offset = layout.header_len + index * layout.record_len;
            let octets = datagram.get(offset..offset + layout.record_len).unwrap_or(&[]);
            FixedRecord { layout, octets, offset, clock }
        })
    }

    /// The records in order, typed.
    #[must_use]
    pub fn flows(&self) -> impl ExactSizeIterator<Item = FlowRecord> + use<'a> {
        self.iter().map(|record| record.to_flow())
    }

    /// Calls `visit` with each record in order, typed: what [`Self::flows`] gives, without handing each one on by
    /// value.
    #[inline]
    pub fn for_each_flow(&self, mut visit: impl FnMut(&FlowRecord)) {
        let body = self.datagram.get(self.layout.header_len..).unwrap_or(&[]);
        for octets in body.chunks_exact(self.layout.record_len).take(self.count) {
            visit(&typed(self.layout, octets, &self.clock));
        }
    }
}

impl fmt::Debug for FixedRecords<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FixedRecords").field("version", &self.version).field("count", &self.count).finish()
    }
}

/// One record of a fixed layout.
#[derive(Clone, Copy, Debug)]
pub struct FixedRecord<'a> {
    layout: &'static Layout,
    octets: &'a [u8],
    offset: usize,
    clock: ExportClock,
}

impl<'a> FixedRecord<'a> {
    /// The record's octets.
    #[must_use]
    pub const fn octets(&self) -> &'a [u8] {
        self.octets
    }

    /// Octets from the start of the datagram to the record.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// The fields under the matching elements, in the order of the layout; padding is left out.
    pub fn fields(&self) -> impl Iterator<Item = FieldView<'a>> + use<'a> {
        fields(self.layout.fields, self.octets)
    }

    /// The record, typed.
    #[must_use]
    #[inline]
    pub fn to_flow(&self) -> FlowRecord {
        typed(self.layout, self.octets, &self.clock)
    }
}

#[inline]
fn typed(layout: &Layout, octets: &[u8], clock: &ExportClock) -> FlowRecord {
    // v7 begins with the v5 record, but for the octet before the TCP flags.
    match octets.first_chunk() {
        Some(record) if layout.has_sequence => v5::Record::new(record).to_flow(clock),
        _ => {
            let fields = fields(layout.fields, octets);
            member::walk(fields.map(|field| (field.element(), field.octets())), clock)
        }
    }
}
