//! The records of a Data FlowSet, borrowed from the datagram.

use alloc::sync::Arc;
use core::ops::Range;

use crate::{
    element::ElementId,
    error::{DecodeError, DecodeErrorKind},
    flow::FlowRecord,
    member,
    structured::SubTemplateList,
    template::{Dates, FieldSpecifier, LEAD, LastWindow, RecordPlan, ScopeType, Straight, Template, WINDOW},
    time::{ExportClock, Timestamp},
    v9::padding,
    value::FieldView,
    wire::variable_length,
};

/// The records of one Data FlowSet together with the template that describes them.
///
/// ```
/// # use netflow_codec::{Batch, Decoder, FlowFields, Timestamp};
/// # let datagram: &[u8] = &[
/// #     0, 9, 0, 2, 0, 0, 0, 1, 0x65, 0x53, 0xf1, 0, 0, 0, 0, 1, 0, 0, 0, 1,
/// #     0, 0, 0, 16, 1, 44, 0, 2, 0, 4, 0, 1, 0, 7, 0, 2,
/// #     1, 44, 0, 12, 6, 0, 80, 17, 0, 53, 0, 0,
/// # ];
/// let mut decoder = Decoder::new();
/// for batch in decoder.decode(&"192.0.2.1", datagram, Timestamp::ZERO).unwrap() {
///     if let Batch::Data(records) = batch {
///         // Typed ...
///         let ports: Vec<u16> = records.flows().map(|flow| flow.source_port).collect();
///         assert_eq!(ports, [80, 53]);
///         // ... or field by field.
///         let first = records.iter().next().unwrap();
///         let names: Vec<_> = first.fields().map(|field| field.name().unwrap()).collect();
///         assert_eq!(names, ["protocolIdentifier", "sourceTransportPort"]);
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct DataRecords<'a> {
    template: Arc<Template>,
    /// From the start of the datagram, so that at least [`LEAD`] octets precede any record.
    datagram: &'a [u8],
    start: usize,
    end: usize,
    clock: ExportClock,
    /// How many of the last records may be padding.
    doubtful: u8,
}

impl<'a> DataRecords<'a> {
    /// `datagram[start..end]` is the body of the set.
    pub(crate) fn new(
        template: Arc<Template>,
        datagram: &'a [u8],
        start: usize,
        end: usize,
        clock: ExportClock,
    ) -> Self {
        debug_assert!(start >= LEAD && end <= datagram.len(), "a header precedes every set");
        Self { template, datagram, start, end, clock, doubtful: 0 }
    }

    /// The template.
    #[must_use]
    pub const fn template(&self) -> &Arc<Template> {
        &self.template
    }

    /// The clock of the datagram's header.
    #[must_use]
    pub const fn clock(&self) -> &ExportClock {
        &self.clock
    }

    pub(crate) const fn datagram(&self) -> &'a [u8] {
        self.datagram
    }

    /// Where in the datagram the set's body is.
    pub(crate) const fn set(&self) -> Range<usize> {
        self.start..self.end
    }

    /// Octets from the start of the datagram to the FlowSet's header.
    #[must_use]
    pub const fn set_offset(&self) -> usize {
        self.start.saturating_sub(4)
    }

    /// How many of the last records may be padding of the set: v9, records of 1 to 3 octets, and nothing in the packet
    /// that tells one from the other (RFC 3954 section 5.3). They are all zeros.
    #[must_use]
    pub const fn doubtful_records(&self) -> usize {
        self.doubtful as usize
    }

    /// The records in order.
    #[must_use]
    pub fn iter(&self) -> Records<'_, 'a> {
        let Self { template, datagram, start, end, .. } = self;
        Records { template, datagram, position: *start, end: *end, depth: 0 }
    }

    /// The records in order, typed.
    #[must_use]
    pub fn flows(&self) -> Flows<'_, 'a> {
        Flows { records: self.iter(), clock: &self.clock }
    }

    /// Calls `visit` with each record in order, typed: what [`Self::flows`] gives, but decoded in place.
    ///
    /// The record is valid during the call; who keeps it copies it.
    #[inline]
    pub fn for_each_flow(&self, mut visit: impl FnMut(&FlowRecord)) {
        self.flows().fold_in_place((), |(), flow| visit(flow));
    }

    /// The set at hand, a v9 FlowSet whose last records may be padding.
    pub(crate) fn body(&self) -> &'a [u8] {
        self.datagram.get(self.start..self.end).unwrap_or(&[])
    }

    /// Takes records away from the end, which are padding.
    pub(crate) fn shorten(&mut self, records: usize) {
        self.end = self.end.saturating_sub(records * self.template.minimum_length()).max(self.start);
    }

    /// Says that the last records may be padding as far as they are zeros.
    pub(crate) fn doubt(&mut self) {
        if self.template.has_doubtful_padding() {
            let zeros = padding::zeros(self.body(), self.template.minimum_length());
            self.doubtful = u8::try_from(zeros).unwrap_or(u8::MAX);
        }
    }

    /// Calls `visit` with the windows of the records, some of them at a time; only for templates of fixed length.
    pub(crate) fn for_each_tile(&self, mut visit: impl FnMut(&[&[u8; WINDOW]])) {
        /// Records of a tile: all of a usual datagram.
        const TILE: usize = 32;
        let (length, count) = (self.template.minimum_length(), self.count());
        // A header precedes every record.
        let lead = self.datagram.get(self.start.saturating_sub(LEAD)..).unwrap_or(&[]);
        // Records whose windows lie in the datagram; of the others, fewer octets than a window, there is a copy.
        let room = lead.len().checked_sub(WINDOW);
        let whole =
            room.and_then(|room| room.checked_div(length)).map_or(0, |others| (others + 1).min(count));
        let padded = pad(lead.get(whole * length..).unwrap_or(&[]));
        let window = |index: usize| {
            let octets = match index.checked_sub(whole) {
                None => lead.get(index * length..),
                Some(index) => padded.get(index * length..),
            };
            octets.and_then(<[u8]>::first_chunk)
        };
        let empty = [0; WINDOW];
        let mut first = 0;
        while first < count {
            let mut tile = [&empty; TILE];
            let records = TILE.min(count - first);
            for (entry, index) in tile.iter_mut().zip(first..first + records) {
                if let Some(window) = window(index) {
                    *entry = window;
                }
            }
            visit(tile.get(..records).unwrap_or(&[]));
            first += records;
        }
    }

    /// How many records there are.
    ///
    /// With a template of fixed length this is a division, else a walk over the set.
    #[must_use]
    pub fn count(&self) -> usize {
        if self.template.is_variable_length() {
            return self.iter().count();
        }
        // The length is not 0: templates of empty records are refused.
        (self.end - self.start).checked_div(self.template.minimum_length()).unwrap_or(0)
    }

    /// What keeps the set, or its last record, from being decoded.
    ///
    /// The template's records have no octets, or reverse elements without a key that makes a direction (RFC 5103 section
    /// 4), or a record with variable-length fields runs past the end of its set; otherwise fewer octets than a record
    /// are padding.
    #[must_use]
    pub fn fault(&self) -> Option<DecodeError> {
        if self.template.minimum_length() == 0 {
            let kind = DecodeErrorKind::EmptyTemplate(self.template.id());
            return Some(DecodeError::new(self.set_offset(), kind));
        }
        if self.template.is_reverse_only() {
            let kind = DecodeErrorKind::ReverseWithoutKey(self.template.id());
            return Some(DecodeError::new(self.set_offset(), kind));
        }
        if !self.template.is_variable_length() {
            return None;
        }
        let mut records = self.iter();
        while records.advance_by_length().is_some() {}
        let left = self.end - records.position;
        (left >= self.template.minimum_length()).then(|| {
            let kind = DecodeErrorKind::RecordTruncated { template_id: self.template.id() };
            DecodeError::new(records.position, kind)
        })
    }
}

impl<'r, 'a> IntoIterator for &'r DataRecords<'a> {
    type IntoIter = Records<'r, 'a>;
    type Item = DataRecord<'r, 'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Iterator over the records of [`DataRecords`].
#[derive(Clone, Debug)]
pub struct Records<'r, 'a> {
    template: &'r Template,
    datagram: &'a [u8],
    position: usize,
    end: usize,
    /// Lists around the records.
    depth: u8,
}

impl<'a> Records<'_, 'a> {
    /// The next record's place; `None` when the rest is padding or a record that is cut off.
    #[inline]
    fn advance(&mut self) -> Option<(usize, &'a [u8])> {
        let (start, length) = self.advance_by_length()?;
        Some((start, self.datagram.get(start..start + length)?))
    }

    /// The same as offset and length.
    #[inline]
    pub(crate) fn advance_by_length(&mut self) -> Option<(usize, usize)> {
        let minimum = self.template.minimum_length();
        let start = self.position;
        if minimum == 0 || self.end - start < minimum {
            return None;
        }
        let mut length = minimum;
        if self.template.is_variable_length() {
            length = self.template.record_length(self.datagram.get(start..self.end)?)?;
        }
        self.position = start + length;
        Some((start, length))
    }
}

impl<'r, 'a> Iterator for Records<'r, 'a> {
    type Item = DataRecord<'r, 'a>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (template, depth) = (self.template, self.depth);
        let (offset, octets) = self.advance()?;
        // `'r` outlives the borrow of `self`: the template is borrowed from the batch.
        Some(DataRecord { template, octets, offset, depth })
    }
}

impl<'a> SubTemplateList<'a> {
    /// The records in order; none when `template` is not the list's. Their offsets count from the first one.
    ///
    /// ```
    /// # use netflow_codec::{Batch, Decoder, FieldValue, Timestamp};
    /// # let message: &[u8] = &[
    /// #     0, 10, 0, 52, 0x65, 0x53, 0xf1, 0, 0, 0, 0, 0, 0, 0, 0, 1,
    /// #     0, 2, 0, 24, 1, 44, 0, 2, 0, 7, 0, 2, 0, 11, 0, 2, 1, 45, 0, 1, 1, 36, 255, 255,
    /// #     1, 45, 0, 12, 7, 3, 1, 44, 0, 80, 16, 0,
    /// # ];
    /// let mut decoder = Decoder::new();
    /// let mut decoded = decoder.decode(&"192.0.2.1", message, Timestamp::ZERO)?;
    /// while let Some(batch) = decoded.next() {
    ///     let Batch::Data(records) = batch else { continue };
    ///     for field in records.iter().flat_map(|record| record.fields()) {
    ///         if let FieldValue::SubTemplateList(list) = field.value()
    ///             && let Some(template) = decoded.template(list.template_id())
    ///         {
    ///             let ports = list.records(template).flat_map(|record| record.fields());
    ///             assert_eq!(ports.filter_map(|port| port.as_unsigned()).collect::<Vec<_>>(), [80, 4096]);
    ///         }
    ///     }
    /// }
    /// # Ok::<(), netflow_codec::DecodeError>(())
    /// ```
    #[must_use]
    pub fn records<'r>(&self, template: &'r Template) -> Records<'r, 'a> {
        let datagram = if template.id() == self.template_id() { self.content() } else { &[] };
        Records { template, datagram, position: 0, end: datagram.len(), depth: self.inner_depth() }
    }
}

/// One data record.
#[derive(Clone, Copy, Debug)]
pub struct DataRecord<'r, 'a> {
    template: &'r Template,
    octets: &'a [u8],
    offset: usize,
    depth: u8,
}

impl<'r, 'a> DataRecord<'r, 'a> {
    pub(crate) const fn new(template: &'r Template, octets: &'a [u8], offset: usize) -> Self {
        Self { template, octets, offset, depth: 0 }
    }

    /// The template.
    #[must_use]
    pub const fn template(&self) -> &'r Template {
        self.template
    }

    /// The record's octets.
    #[must_use]
    pub const fn octets(&self) -> &'a [u8] {
        self.octets
    }

    /// The clock that dates the record's uptimes: the datagram's, unless the record itself says when the exporter booted
    /// (element systemInitTimeMilliseconds, 160).
    #[must_use]
    pub fn clock(&self, export: &ExportClock) -> ExportClock {
        let boot = self.fields().filter(|field| field.element() == ElementId::SYSTEM_INIT_TIME_MILLISECONDS);
        boot.filter_map(|field| field.as_unsigned())
            .last()
            .map_or(*export, |boot| ExportClock::since_boot(export.unix(), Timestamp::from_millis(boot)))
    }

    /// Octets from the start of the datagram to the record.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// The fields in the template's order, scope fields first. Repeated elements are all there.
    pub fn fields(&self) -> impl Iterator<Item = FieldView<'a>> + use<'r, 'a> {
        self.fields_of(self.template.fields())
    }

    fn fields_of(&self, fields: &'r [FieldSpecifier]) -> impl Iterator<Item = FieldView<'a>> + use<'r, 'a> {
        let Self { octets, depth, .. } = *self;
        let mut position = 0;
        let scopes = self.template.wire_scopes();
        fields.iter().enumerate().map_while(move |(index, field)| {
            let (header, length) = if field.is_variable_length() {
                variable_length(octets.get(position..)?)?
            } else {
                (0, usize::from(field.length))
            };
            let start = position + header;
            position = start + length;
            let value = octets.get(start..position)?;
            Some(if index < scopes {
                FieldView::scope(ScopeType(field.element.number()), value)
            } else {
                FieldView::nested(field.element, value, depth)
            })
        })
    }

    /// The record, typed, by walking its fields.
    ///
    /// [`DataRecords::flows`] gives the same, faster.
    #[must_use]
    pub fn to_flow(&self, clock: &ExportClock) -> FlowRecord {
        let data = self.fields_of(self.template.typed_fields()).filter(|field| field.scope_type().is_none());
        member::walk(data.map(|field| (field.element(), field.octets())), clock)
    }
}

/// Iterator over the records of [`DataRecords`], typed.
#[derive(Clone, Debug)]
pub struct Flows<'r, 'a> {
    records: Records<'r, 'a>,
    clock: &'r ExportClock,
}

impl Flows<'_, '_> {
    /// Folds the records that are left.
    ///
    /// All of them are decoded into the same place: neither is a record copied from where its members were just
    /// stored one by one, nor must members that all records have be cleared again.
    #[inline]
    fn fold_in_place<B>(self, init: B, mut fold: impl FnMut(B, &FlowRecord) -> B) -> B {
        let Records { template, datagram, position, end, .. } = self.records;
        match template.plan() {
            RecordPlan::Straight(plan) if template.minimum_length() > 0 => fold_straight(
                plan,
                template.minimum_length(),
                datagram,
                position..end,
                self.clock,
                init,
                fold,
            ),
            _ => self.records.fold(init, |folded, record| fold(folded, &record.to_flow(self.clock))),
        }
    }
}

/// Less than a window of octets, with room for windows that begin anywhere in them.
fn pad(octets: &[u8]) -> [u8; 2 * WINDOW] {
    let mut padded = [0; 2 * WINDOW];
    let octets = octets.get(..WINDOW).unwrap_or(octets);
    if let Some(place) = padded.get_mut(..octets.len()) {
        place.copy_from_slice(octets);
    }
    padded
}

/// Not inlined, so that the loops have all registers to themselves.
#[inline(never)]
fn fold_straight<B>(
    plan: &Straight,
    minimum: usize,
    datagram: &[u8],
    set: Range<usize>,
    clock: &ExportClock,
    init: B,
    mut fold: impl FnMut(B, &FlowRecord) -> B,
) -> B {
    let mut folded = init;
    // A header precedes every record.
    let (mut place, mut left) = (set.start.saturating_sub(LEAD), set.end - set.start);
    let dates = Dates::new(clock);
    let mut flow = FlowRecord::EMPTY;
    while left >= minimum
        && let Some(lead) = datagram.get(place..)
        && let Some(window) = lead.first_chunk::<WINDOW>()
    {
        let Some(length) = plan.decode_whole(window, lead, left, &dates, &mut flow) else { return folded };
        folded = fold(folded, &flow);
        place += length;
        left -= length;
    }
    // The last records, nearer to the end of the datagram than a window.
    while left >= minimum
        && let Some(lead) = datagram.get(place..)
    {
        let length = match LastWindow::new(datagram, place) {
            Some(window) => plan.decode_whole(&window, lead, left, &dates, &mut flow),
            None => plan.decode_whole(lead, lead, left, &dates, &mut flow),
        };
        let Some(length) = length else { break };
        folded = fold(folded, &flow);
        place += length;
        left -= length;
    }
    folded
}

impl Iterator for Flows<'_, '_> {
    type Item = FlowRecord;

    #[inline]
    fn next(&mut self) -> Option<FlowRecord> {
        let template = self.records.template;
        let datagram = self.records.datagram;
        let (offset, record) = self.records.advance()?;
        let RecordPlan::Straight(plan) = template.plan() else {
            return Some(DataRecord { template, octets: record, offset, depth: 0 }.to_flow(self.clock));
        };
        let lead = datagram.get(offset.checked_sub(LEAD)?..)?;
        let dates = Dates::new(self.clock);
        let mut flow = FlowRecord::EMPTY;
        match lead.first_chunk::<WINDOW>() {
            Some(window) => plan.decode_whole(window, lead, record.len(), &dates, &mut flow)?,
            None => plan.decode_whole(lead, lead, record.len(), &dates, &mut flow)?,
        };
        Some(flow)
    }

    #[inline]
    fn fold<B, F: FnMut(B, FlowRecord) -> B>(self, init: B, mut fold: F) -> B {
        self.fold_in_place(init, |folded, flow| fold(folded, *flow))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.records.end - self.records.position;
        let upper = left.checked_div(self.records.template.minimum_length()).unwrap_or(0);
        (if self.records.template.is_variable_length() { 0 } else { upper }, Some(upper))
    }
}
