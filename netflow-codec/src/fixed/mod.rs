//! The versions with a fixed layout, as tables: v1, v5, v6, v7 and v8.
//!
//! The decoder reads all of them alike; the modules of that name give each its own view besides, which also reaches
//! what no element stands for.

pub(crate) mod layout;
pub(crate) mod view;

use core::fmt;

use self::layout::{Layout, Shape};
use crate::{
    element::ElementId,
    error::{DecodeError, DecodeErrorKind, saturating_u32},
    flow::FlowRecord,
    member,
    time::{ExportClock, SysUptime, Timestamp},
    v5, v6, v8,
    value::FieldView,
    wire::u16_at,
};

/// The fields of a record by its table.
pub(crate) fn fields(table: layout::Fields, record: &[u8]) -> impl Iterator<Item = FieldView<'_>> + use<'_> {
    table.iter().filter_map(move |(number, offset, length)| {
        Some(FieldView::new(ElementId::iana(*number), record.get(*offset..offset + length)?))
    })
}

/// The records of a v1, v5, v6, v7 or v8 datagram, borrowed.
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
    /// When the datagram is shorter than its header, of a version without a fixed layout, or of v8 with a scheme of
    /// aggregation that is not known ([`DecodeErrorKind::UnsupportedAggregation`]).
    pub fn parse(datagram: &'a [u8]) -> Result<Self, DecodeError> {
        let version = u16_at(datagram, 0).ok_or_else(|| DecodeError::truncated(0, 2, datagram.len()))?;
        let Some(header_len) = layout::header_len(version) else {
            return Err(DecodeError::new(0, DecodeErrorKind::UnsupportedVersion(version)));
        };
        let Some(body) = datagram.get(header_len..) else {
            return Err(DecodeError::truncated(0, header_len, datagram.len()));
        };
        let [scheme, scheme_version] = u16_at(datagram, 22).unwrap_or(0).to_be_bytes();
        let Some(layout) = layout::of(version, scheme) else {
            let kind = DecodeErrorKind::UnsupportedAggregation { scheme, version: scheme_version };
            return Err(DecodeError::new(0, kind));
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

    /// 1, 5, 6, 7 or 8.
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
        let octets = self.datagram.get(16..20).filter(|_| self.version != 1)?;
        octets.first_chunk().map(|octets| u32::from_be_bytes(*octets))
    }

    /// The engine: type in the high octet, number in the low one; 0 in v1 and v7, which have none.
    #[must_use]
    pub fn engine(&self) -> u16 {
        if matches!(self.version, 5 | 6 | 8) { u16_at(self.datagram, 20).unwrap_or(0) } else { 0 }
    }

    /// Mode and interval of sampling, which only v5 and v8 carry.
    #[must_use]
    pub fn sampling(&self) -> Option<v5::SamplingHeader> {
        let offset = match self.version {
            5 => 22,
            8 => 24,
            _ => return None,
        };
        u16_at(self.datagram, offset).map(v5::SamplingHeader::from_bits)
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

    /// What keeps the datagram from being by the letter: records that are missing, more records than a sender may put
    /// into one datagram, or of v8 another version of aggregation than 2.
    #[must_use]
    pub fn fault(&self) -> Option<DecodeError> {
        let limit = self.layout.max_records;
        let announced = self.announced();
        let [scheme, version] = u16_at(self.datagram, 22).unwrap_or(0).to_be_bytes();
        let kind = if let Some(missing) = self.missing_records() {
            return Some(missing);
        } else if let Some(limit) = limit.filter(|limit| announced > *limit) {
            DecodeErrorKind::TooManyRecords { announced, limit }
        } else if self.version == 8 && version != v8::AGGREGATION_VERSION {
            DecodeErrorKind::UnsupportedAggregation { scheme, version }
        } else {
            return None;
        };
        Some(DecodeError::new(0, kind))
    }

    /// Dates the records by another clock.
    pub(crate) const fn set_clock(&mut self, clock: ExportClock) {
        self.clock = clock;
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
        let Self { layout, clock, .. } = self;
        let body = self.datagram.get(layout.header_len..).unwrap_or(&[]);
        let records = body.chunks_exact(layout.record_len).take(self.count);
        // Asked once and not for each record: so what `visit` does not look at is never made.
        if matches!(layout.shape, Shape::V5) {
            for record in records.filter_map(<[u8]>::first_chunk) {
                visit(&v5::Record::new(record).to_flow(clock));
            }
        } else {
            records.for_each(|octets| visit(&typed(layout, octets, clock)));
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

    /// The clock of the datagram's header.
    #[must_use]
    pub const fn clock(&self) -> &ExportClock {
        &self.clock
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
    match octets.first_chunk() {
        // v7 begins with the v5 record, but for the octet before the TCP flags.
        Some(record) if matches!(layout.shape, Shape::V5) => v5::Record::new(record).to_flow(clock),
        _ => typed_otherwise(layout, octets, clock),
    }
}

#[inline(never)]
fn typed_otherwise(layout: &Layout, octets: &[u8], clock: &ExportClock) -> FlowRecord {
    match octets.first_chunk() {
        Some(record) if matches!(layout.shape, Shape::V6) => v6::Record::new(record).to_flow(clock),
        _ => {
            let fields = fields(layout.fields, octets);
            member::walk(fields.map(|field| (address(field.element()), field.octets())), clock)
        }
    }
}

/// The element of the member that a field feeds: a prefix is the address of its network.
fn address(element: ElementId) -> ElementId {
    match element.number() {
        44 => ElementId::iana(8),
        45 => ElementId::iana(12),
        _ => element,
    }
}
