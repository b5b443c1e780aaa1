//! Building v9 packets and IPFIX messages.
//!
//! ```text
//! header, 20 octets (v9) or 16 (IPFIX)
//! set: id, length in octets          templates, options templates, withdrawals, or data of one template
//!   records, zeros up to the next multiple of 4 unless they could be read as a record
//! set ...
//! ```

use alloc::{vec, vec::Vec};

use bytes::BufMut;

use super::{layout::RecordLayout, program::ROOM, source::FieldSource, template::ExportTemplate};
use crate::{
    error::EncodeError,
    flow::FlowRecord,
    ipfix,
    template::{FieldSpecifier, Protocol, ScopeType},
    time::{ExportClock, Timestamp},
    v9,
};

const FLOWSET_HEADER: usize = 4;
/// Sets end on 32-bit boundaries (RFC 3954 section 5.3; RFC 7011 section 3.3.1 allows it).
const ALIGNMENT: usize = 4;

/// Packs templates and records into v9 packets, or IPFIX messages, of a limited size.
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
    protocol: Protocol,
    /// The packet less its header, with room for a whole [`ROOM`] behind its end.
    body: Vec<u8>,
    len: usize,
    /// Octets of the body at most.
    limit: usize,
    /// Octets of the packet at most, as asked for.
    max: usize,
    /// Sets end on multiples of this plus one.
    alignment_mask: usize,
    open: Option<OpenFlowSet>,
    records: u16,
    data_records: u16,
    options_records: u16,
    /// Where records are encoded whose length is not known before.
    scratch: Vec<u8>,
}

/// The FlowSet that records are being added to.
#[derive(Clone, Copy, Debug)]
struct OpenFlowSet {
    id: u16,
    start: usize,
    /// Octets of its shortest possible record: padding must be shorter, or it would read as one more record.
    record_len: usize,
}

/// What the header of a packet is to say.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct PacketHeader {
    /// Unix time and uptime now.
    pub clock: ExportClock,
    /// v9: packets exported before this one. IPFIX: data records exported before this message, options records
    /// included.
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

/// Which templates are no longer in use (RFC 7011 section 8.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Withdrawal {
    /// One template.
    Template(u16),
    /// One options template.
    OptionsTemplate(u16),
    /// All templates of the observation domain.
    AllTemplates,
    /// All options templates of the observation domain.
    AllOptionsTemplates,
}

impl PacketBuilder {
    /// A builder of v9 packets of at most `limit` octets, header included: the MTU less the IP and UDP headers.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self::with_protocol(Protocol::NetFlow9, limit)
    }

    /// A builder of IPFIX messages of at most `limit` octets, header included; never more than 65535 (RFC 7011
    /// section 3.1).
    #[must_use]
    pub fn ipfix(limit: usize) -> Self {
        Self::with_protocol(Protocol::Ipfix, limit)
    }

    /// A builder of either.
    #[must_use]
    pub fn with_protocol(protocol: Protocol, limit: usize) -> Self {
        let header = header_len(protocol);
        let max = limit.clamp(header + ALIGNMENT, usize::from(u16::MAX));
        let limit = match protocol {
            Protocol::NetFlow9 => (max - header) & !(ALIGNMENT - 1),
            // Padding is left out where there is no room for it.
            Protocol::Ipfix => max - header,
        };
        Self {
            protocol,
            body: vec![0; max + ROOM],
            len: 0,
            limit,
            max,
            alignment_mask: ALIGNMENT - 1,
            open: None,
            records: 0,
            data_records: 0,
            options_records: 0,
            scratch: Vec::new(),
        }
    }

    /// Whether sets end on 32-bit boundaries, by zeros behind their records. They do unless told otherwise: v9 wants
    /// it (RFC 3954 section 5.3), IPFIX allows it (RFC 7011 section 3.3.1).
    pub const fn set_padding(&mut self, pads: bool) {
        self.alignment_mask = if pads { ALIGNMENT - 1 } else { 0 };
    }

    /// The protocol.
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        self.protocol
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

    /// Options records pushed since the last [`Self::finish`].
    #[must_use]
    pub const fn options_records(&self) -> u16 {
        self.options_records
    }

    /// Adds the template record of a layout.
    ///
    /// # Errors
    ///
    /// [`EncodeError::PacketFull`], or [`EncodeError::TooLarge`] when no packet has room for it.
    pub fn push_template(&mut self, layout: &RecordLayout) -> Result<(), EncodeError> {
        let place = self.reserve(self.template_set(false), layout.template_len(), ALIGNMENT)?;
        let mut rest = place;
        rest.put_u16(layout.template_id());
        rest.put_u16(u16::try_from(layout.fields().len()).unwrap_or(u16::MAX));
        put_specifiers(rest, layout.fields());
        self.commit(layout.template_len());
        Ok(())
    }

    /// Adds the template record of any template, options templates among them.
    ///
    /// # Errors
    ///
    /// As [`Self::push_template`]; [`EncodeError::UnknownTemplate`] for a template of the other protocol.
    pub fn push_template_record(&mut self, template: &ExportTemplate) -> Result<(), EncodeError> {
        self.check_protocol(template)?;
        let record = template.template_record();
        let set = self.template_set(template.is_options());
        self.reserve(set, record.len(), ALIGNMENT)?.put_slice(record);
        self.commit(record.len());
        Ok(())
    }

    /// v9: adds an options template record with these scopes and fields (RFC 3954 section 6.1).
    ///
    /// # Errors
    ///
    /// [`EncodeError::PacketFull`], [`EncodeError::TooLarge`], [`EncodeError::TemplateId`] below 256, or
    /// [`EncodeError::ScopeKind`] in IPFIX, which has other scopes: [`Self::push_template_record`] is for those.
    pub fn push_options_template(
        &mut self,
        template_id: u16,
        scopes: &[(ScopeType, u16)],
        fields: &[FieldSpecifier],
    ) -> Result<(), EncodeError> {
        if template_id < 256 {
            return Err(EncodeError::TemplateId(template_id));
        }
        if self.protocol != Protocol::NetFlow9 {
            return Err(EncodeError::ScopeKind);
        }
        let length = 6 + 4 * (scopes.len() + fields.len());
        let specifiers_length = |count: usize| u16::try_from(4 * count).unwrap_or(u16::MAX);
        let mut rest = self.reserve(v9::OPTIONS_TEMPLATE_FLOWSET, length, ALIGNMENT)?;
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

    /// IPFIX over streams: withdraws templates, in a set of its own (RFC 7011 section 8.1).
    ///
    /// # Errors
    ///
    /// [`EncodeError::Withdrawal`] in v9; [`EncodeError::TemplateId`] below 256; [`EncodeError::PacketFull`].
    pub fn push_withdrawal(&mut self, withdrawal: Withdrawal) -> Result<(), EncodeError> {
        if self.protocol != Protocol::Ipfix {
            return Err(EncodeError::Withdrawal);
        }
        let (set, id) = match withdrawal {
            Withdrawal::Template(id @ ..256) | Withdrawal::OptionsTemplate(id @ ..256) => {
                return Err(EncodeError::TemplateId(id));
            }
            Withdrawal::Template(id) => (ipfix::TEMPLATE_SET, id),
            Withdrawal::OptionsTemplate(id) => (ipfix::OPTIONS_TEMPLATE_SET, id),
            Withdrawal::AllTemplates => (ipfix::TEMPLATE_SET, ipfix::TEMPLATE_SET),
            Withdrawal::AllOptionsTemplates => (ipfix::OPTIONS_TEMPLATE_SET, ipfix::OPTIONS_TEMPLATE_SET),
        };
        if self.closed_len() + 2 * FLOWSET_HEADER > self.limit {
            return Err(EncodeError::PacketFull);
        }
        self.close_flowset();
        let mut place = self.reserve(set, FLOWSET_HEADER, FLOWSET_HEADER)?;
        place.put_u16(id);
        place.put_u16(0);
        self.commit(FLOWSET_HEADER);
        self.close_flowset();
        Ok(())
    }

    /// Adds an options record: the octets of its scopes and fields as its template lays them out.
    ///
    /// # Errors
    ///
    /// [`EncodeError::PacketFull`], [`EncodeError::TooLarge`] when no packet has room for it,
    /// [`EncodeError::TemplateId`] below 256, or [`EncodeError::LayoutLength`] for a record of no octets.
    pub fn push_options_record(&mut self, template_id: u16, octets: &[u8]) -> Result<(), EncodeError> {
        self.push_octets(template_id, octets, octets.len())?;
        self.options_records += 1;
        Ok(())
    }

    /// Adds a record of any source, as its template lays it out; an options record when that is an options template.
    ///
    /// # Errors
    ///
    /// [`EncodeError::PacketFull`]; [`EncodeError::TooLarge`] when no packet has room for it;
    /// [`EncodeError::UnknownTemplate`] for a template of the other protocol; what [`ExportTemplate::encode`] refuses.
    pub fn push_record(
        &mut self,
        template: &ExportTemplate,
        record: &(impl FieldSource + ?Sized),
    ) -> Result<(), EncodeError> {
        let mut scratch = core::mem::take(&mut self.scratch);
        scratch.clear();
        let result =
            template.encode(record, &mut scratch).and_then(|()| self.push_encoded(template, &scratch));
        self.scratch = scratch;
        result
    }

    /// Adds a record that [`ExportTemplate::encode`] wrote.
    ///
    /// # Errors
    ///
    /// As [`Self::push_record`].
    pub fn push_encoded(&mut self, template: &ExportTemplate, record: &[u8]) -> Result<(), EncodeError> {
        self.check_protocol(template)?;
        self.push_octets(template.id(), record, template.minimum_len())?;
        if template.is_options() {
            self.options_records += 1;
        } else {
            self.data_records += 1;
        }
        Ok(())
    }

    fn push_octets(
        &mut self,
        template_id: u16,
        octets: &[u8],
        minimum_len: usize,
    ) -> Result<(), EncodeError> {
        if template_id < 256 {
            return Err(EncodeError::TemplateId(template_id));
        }
        if octets.is_empty() {
            return Err(EncodeError::LayoutLength(0));
        }
        self.reserve(template_id, octets.len(), minimum_len)?.put_slice(octets);
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
        let written = header_len(self.protocol) + self.len;
        // The header has 32 bits: the year 2106.
        let unix = u32::try_from(fields.clock.unix().as_secs()).unwrap_or(u32::MAX);
        match self.protocol {
            Protocol::NetFlow9 => {
                buffer.put_u16(v9::VERSION);
                buffer.put_u16(self.records);
                buffer.put_u32(fields.clock.uptime().as_millis());
            }
            Protocol::Ipfix => {
                buffer.put_u16(ipfix::VERSION);
                // A message has at most 65535 octets.
                buffer.put_u16(u16::try_from(written).unwrap_or(u16::MAX));
            }
        }
        buffer.put_u32(unix);
        buffer.put_u32(fields.sequence);
        buffer.put_u32(fields.source_id);
        buffer.put_slice(self.body.get(..self.len).unwrap_or(&[]));
        self.len = 0;
        self.records = 0;
        self.data_records = 0;
        self.options_records = 0;
        written
    }

    const fn template_set(&self, options: bool) -> u16 {
        match (self.protocol, options) {
            (Protocol::NetFlow9, false) => v9::TEMPLATE_FLOWSET,
            (Protocol::NetFlow9, true) => v9::OPTIONS_TEMPLATE_FLOWSET,
            (Protocol::Ipfix, false) => ipfix::TEMPLATE_SET,
            (Protocol::Ipfix, true) => ipfix::OPTIONS_TEMPLATE_SET,
        }
    }

    fn check_protocol(&self, template: &ExportTemplate) -> Result<(), EncodeError> {
        if template.protocol() == self.protocol {
            Ok(())
        } else {
            Err(EncodeError::UnknownTemplate(template.id()))
        }
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
        if end <= self.limit && self.records < u16::MAX { Ok(start) } else { Err(self.full(octets)) }
    }

    /// Whether a packet of nothing else has room for a record of so many octets.
    pub(super) fn check_room(&self, octets: usize) -> Result<(), EncodeError> {
        match self.full(octets) {
            EncodeError::PacketFull => Ok(()),
            error => Err(error),
        }
    }

    /// Whether a record has no room here, or in no packet.
    #[cold]
    fn full(&self, octets: usize) -> EncodeError {
        let alone = FLOWSET_HEADER + octets;
        if alone <= self.limit {
            return EncodeError::PacketFull;
        }
        let aligned = match self.protocol {
            Protocol::NetFlow9 => alone.next_multiple_of(ALIGNMENT),
            Protocol::Ipfix => alone,
        };
        EncodeError::TooLarge { needed: header_len(self.protocol) + aligned, limit: self.max }
    }

    /// Room for a record of this FlowSet, which is opened. Its shortest possible record has `minimum_len` octets.
    fn reserve(&mut self, flowset: u16, octets: usize, minimum_len: usize) -> Result<&mut [u8], EncodeError> {
        let start = self.data_start(flowset, octets)?;
        if start != self.len {
            self.open_flowset(flowset, minimum_len);
        }
        self.body.get_mut(start..start + octets).ok_or(EncodeError::PacketFull)
    }

    const fn commit(&mut self, octets: usize) {
        self.len += octets;
        self.records += 1;
    }

    /// The packet's length once the open FlowSet is padded and closed.
    const fn closed_len(&self) -> usize {
        let aligned = (self.len + self.alignment_mask) & !self.alignment_mask;
        match self.open {
            Some(open) if aligned - self.len < open.record_len && aligned <= self.limit => aligned,
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

const fn header_len(protocol: Protocol) -> usize {
    match protocol {
        Protocol::NetFlow9 => v9::HEADER_LEN,
        Protocol::Ipfix => ipfix::HEADER_LEN,
    }
}

fn put_specifiers(mut buffer: &mut [u8], fields: &[FieldSpecifier]) {
    for field in fields {
        buffer.put_u16(field.element.number());
        buffer.put_u16(field.length);
    }
}
