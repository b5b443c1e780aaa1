//! Building v9 packets.

use alloc::{vec, vec::Vec};

use bytes::BufMut;

use super::{layout::RecordLayout, program::ROOM};
use crate::{
    element::ElementId,
    error::EncodeError,
    flow::FlowRecord,
    template::{FieldSpecifier, ScopeType},
    time::{ExportClock, Timestamp},
    v9,
};

const FLOWSET_HEADER: usize = 4;
/// FlowSets end on 32-bit boundaries (RFC 3954 section 5.3).
const ALIGNMENT: usize = 4;

/// Packs templates and records into v9 packets of a limited size.
///
/// A push that fails leaves the builder as it was.
///
/// ```
/// use netflow_codec::{
///     ExportClock, FlowRecord, PacketBuilder, PacketHeader, RecordLayout, SysUptime, Timestamp,
/// };
///
/// let boot = Timestamp::from_secs(1_700_000_000);
/// let layout = RecordLayout::ipv4(256)?;
/// let mut builder = PacketBuilder::new(1_472);
/// builder.push_template(&layout)?;
/// builder.push_flow(&layout, &FlowRecord::default(), boot)?;
///
/// let clock = ExportClock::new(Timestamp::from_secs(1_700_000_060), SysUptime::from_millis(60_000));
/// let mut datagram = Vec::new();
/// builder.finish(&PacketHeader::new(clock, 0, 1), &mut datagram);
/// assert!(datagram.len() <= 1_472);
/// # Ok::<(), netflow_codec::EncodeError>(())
/// ```
#[derive(Clone, Debug)]
pub struct PacketBuilder {
    /// The packet less its header, with room for a whole [`ROOM`] behind its end.
    body: Vec<u8>,
    len: usize,
    limit: usize,
    open: Option<OpenFlowSet>,
    records: u16,
    data_records: u16,
}

/// The FlowSet that records are being added to.
#[derive(Clone, Copy, Debug)]
struct OpenFlowSet {
    id: u16,
    start: usize,
    /// Octets of its first record: padding must be shorter, or it would read as one more record.
    record_len: usize,
}

/// What the header of a packet is to say.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct PacketHeader {
    /// Unix time and uptime now.
    pub clock: ExportClock,
    /// Packets exported before this one.
    pub sequence: u32,
    /// The observation domain.
    pub source_id: u32,
}

impl PacketHeader {
    /// Clock, sequence number and source ID.
    #[must_use]
    pub const fn new(clock: ExportClock, sequence: u32, source_id: u32) -> Self {
        Self { clock, sequence, source_id }
    }
}

impl PacketBuilder {
    /// A builder of packets of at most `limit` octets, header included: the MTU less the IP and UDP headers.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let limit = limit.clamp(v9::HEADER_LEN + ALIGNMENT, usize::from(u16::MAX));
        let body = vec![0; limit + ROOM];
        Self { body, len: 0, limit: limit - v9::HEADER_LEN, open: None, records: 0, data_records: 0 }
    }

    /// Whether nothing was pushed since the last [`Self::finish`].
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Data records pushed since the last [`Self::finish`], options records left out.
    #[must_use]
    pub const fn data_records(&self) -> u16 {
        self.data_records
    }

    /// Adds a template record.
    ///
    /// # Errors
    ///
    /// [`EncodeError::PacketFull`], or [`EncodeError::TooLarge`] when no packet has room for it.
    pub fn push_template(&mut self, layout: &RecordLayout) -> Result<(), EncodeError> {
        let place = self.reserve(v9::TEMPLATE_FLOWSET, layout.template_len())?;
        let mut rest = place;
        rest.put_u16(layout.template_id());
        rest.put_u16(u16::try_from(layout.fields().len()).unwrap_or(u16::MAX));
        put_specifiers(rest, layout.fields());
        self.commit(layout.template_len());
        Ok(())
    }

    /// Adds an options template record with these scopes and fields (RFC 3954 section 6.1).
    ///
    /// # Errors
    ///
    /// [`EncodeError::PacketFull`], [`EncodeError::TooLarge`], or [`EncodeError::TemplateId`] below 256.
    pub fn push_options_template(
        &mut self,
        template_id: u16,
        scopes: &[(ScopeType, u16)],
        fields: &[FieldSpecifier],
    ) -> Result<(), EncodeError> {
        if template_id < 256 {
            return Err(EncodeError::TemplateId(template_id));
        }
        let length = 6 + 4 * (scopes.len() + fields.len());
        let specifiers_length = |count: usize| u16::try_from(4 * count).unwrap_or(u16::MAX);
        let mut rest = self.reserve(v9::OPTIONS_TEMPLATE_FLOWSET, length)?;
        rest.put_u16(template_id);
        rest.put_u16(specifiers_length(scopes.len()));
        rest.put_u16(specifiers_length(fields.len()));
        for (scope, octets) in scopes {
            rest.put_u16(scope.number());
            rest.put_u16(*octets);
        }
        put_specifiers(rest, fields);
        self.commit(length);
        Ok(())
    }

    /// Adds an options record: the octets of its scopes and fields as its template lays them out.
    ///
    /// # Errors
    ///
    /// [`EncodeError::PacketFull`], [`EncodeError::TooLarge`] when no packet has room for it,
    /// [`EncodeError::TemplateId`] below 256, or [`EncodeError::LayoutLength`] for a record of no octets.
    pub fn push_options_record(&mut self, template_id: u16, octets: &[u8]) -> Result<(), EncodeError> {
        if template_id < 256 {
            return Err(EncodeError::TemplateId(template_id));
        }
        if octets.is_empty() {
            return Err(EncodeError::LayoutLength(0));
        }
        self.reserve(template_id, octets.len())?.put_slice(octets);
        self.commit(octets.len());
        Ok(())
    }

    /// Adds a flow of an exporter that booted at `boot`.
    ///
    /// # Errors
    ///
    /// [`EncodeError::PacketFull`], [`EncodeError::TooLarge`] when no packet has room for it,
    /// [`EncodeError::AddressFamily`] when the layout has addresses of the other family,
    /// [`EncodeError::ValueTooLarge`] when a field is too short for its value.
    #[inline]
    pub fn push_flow(
        &mut self,
        layout: &RecordLayout,
        flow: &FlowRecord,
        boot: Timestamp,
    ) -> Result<(), EncodeError> {
        let start = self.data_start(layout.template_id(), layout.record_len())?;
        let Some(room) = self.body.get_mut(start..).and_then(|rest| rest.first_chunk_mut()) else {
            return Err(EncodeError::PacketFull);
        };
        layout.encode(flow, boot, room)?;
        if start != self.len {
            self.open_flowset(layout.template_id(), layout.record_len());
        }
        self.commit(layout.record_len());
        self.data_records += 1;
        Ok(())
    }

    /// Writes the packet, empties the builder and returns the packet's octets.
    pub fn finish(&mut self, fields: &PacketHeader, buffer: &mut impl BufMut) -> usize {
        self.close_flowset();
        let mut header = [0; v9::HEADER_LEN];
        let mut rest = header.as_mut_slice();
        rest.put_u16(v9::VERSION);
        rest.put_u16(self.records);
        rest.put_u32(fields.clock.uptime().as_millis());
        // The header has 32 bits: the year 2106.
        rest.put_u32(u32::try_from(fields.clock.unix().as_secs()).unwrap_or(u32::MAX));
        rest.put_u32(fields.sequence);
        rest.put_u32(fields.source_id);
        buffer.put_slice(&header);
        buffer.put_slice(self.body.get(..self.len).unwrap_or(&[]));
        let written = header.len() + self.len;
        self.len = 0;
        self.records = 0;
        self.data_records = 0;
        written
    }

    /// Where a record of this FlowSet would start; the set itself is not opened yet.
    #[inline]
    fn data_start(&self, flowset: u16, octets: usize) -> Result<usize, EncodeError> {
        let (start, end) = match self.open {
            Some(open) if open.id == flowset => (self.len, self.len + octets),
            _ => {
                let start = self.closed_len() + FLOWSET_HEADER;
                (start, start + octets)
            }
        };
        if end.next_multiple_of(ALIGNMENT) <= self.limit && self.records < u16::MAX {
            return Ok(start);
        }
        let needed = v9::HEADER_LEN + (FLOWSET_HEADER + octets).next_multiple_of(ALIGNMENT);
        let limit = self.limit + v9::HEADER_LEN;
        Err(if needed > limit { EncodeError::TooLarge { needed, limit } } else { EncodeError::PacketFull })
    }

    /// Room for a record of this FlowSet, which is opened.
    fn reserve(&mut self, flowset: u16, octets: usize) -> Result<&mut [u8], EncodeError> {
        let start = self.data_start(flowset, octets)?;
        if start != self.len {
            self.open_flowset(flowset, octets);
        }
        self.body.get_mut(start..start + octets).ok_or(EncodeError::PacketFull)
    }

    const fn commit(&mut self, octets: usize) {
        self.len += octets;
        self.records += 1;
    }

    /// The packet's length once the open FlowSet is padded and closed.
    const fn closed_len(&self) -> usize {
        let aligned = self.len.next_multiple_of(ALIGNMENT);
        match self.open {
            Some(open) if aligned - self.len < open.record_len => aligned,
            _ => self.len,
        }
    }

    fn open_flowset(&mut self, id: u16, record_len: usize) {
        self.close_flowset();
        self.open = Some(OpenFlowSet { id, start: self.len, record_len });
        self.len += FLOWSET_HEADER;
    }

    /// Pads the open FlowSet with zeros and writes its header.
    fn close_flowset(&mut self) {
        let end = self.closed_len();
        let Some(open) = self.open.take() else { return };
        if let Some(padding) = self.body.get_mut(self.len..end) {
            padding.fill(0);
        }
        self.len = end;
        // A packet has at most 65535 octets.
        let length = u16::try_from(end - open.start).unwrap_or(u16::MAX);
        if let Some(mut header) = self.body.get_mut(open.start..open.start + FLOWSET_HEADER) {
            header.put_u16(open.id);
            header.put_u16(length);
        }
    }
}

fn put_specifiers(mut buffer: &mut [u8], fields: &[FieldSpecifier]) {
    for field in fields {
        buffer.put_u16(field.element.number());
        buffer.put_u16(field.length);
    }
}

/// The options template that announces sampling: scope System, then interval and algorithm.
pub(crate) const SAMPLING_SCOPES: [(ScopeType, u16); 1] = [(ScopeType::SYSTEM, 4)];
pub(crate) const SAMPLING_FIELDS: [FieldSpecifier; 2] = [
    FieldSpecifier::new(ElementId::SAMPLING_INTERVAL, 4),
    FieldSpecifier::new(ElementId::SAMPLING_ALGORITHM, 1),
];
