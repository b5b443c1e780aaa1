//! A few elements of each record, read from the datagram, and nothing else.

use alloc::sync::Arc;
use core::ops::Range;

use crate::{
    element::ElementId,
    record::{DataRecord, DataRecords, Records},
    template::{LEAD, LastWindow, Lead, Slot, Template, WINDOW},
    wire::unsigned,
};

/// Which elements are wanted, and where the template at hand has them.
///
/// Where a template has an element several times, the first one counts. Elements are looked up again only when the
/// template is another one than before.
///
/// ```
/// # use netflow_codec::{Batch, Decoder, ElementId, Projection, Timestamp};
/// # let datagram: &[u8] = &[
/// #     0, 9, 0, 2, 0, 0, 0, 1, 0x65, 0x53, 0xf1, 0, 0, 0, 0, 1, 0, 0, 0, 1,
/// #     0, 0, 0, 16, 1, 44, 0, 2, 0, 4, 0, 1, 0, 7, 0, 2,
/// #     1, 44, 0, 12, 6, 0, 80, 17, 0, 53, 0, 0,
/// # ];
/// let mut projection = Projection::new([
///     ElementId::PROTOCOL_IDENTIFIER,
///     ElementId::SOURCE_TRANSPORT_PORT,
///     ElementId::OCTET_DELTA_COUNT,
/// ]);
/// let mut decoder = Decoder::new();
/// for batch in decoder.decode(&"192.0.2.1", datagram, Timestamp::ZERO).unwrap() {
///     if let Batch::Data(records) = batch {
///         let rows: Vec<_> = projection.of(&records).map(|row| row.values()).collect();
///         assert_eq!(rows, [[6, 80, 0], [17, 53, 0]]);
///         let first = projection.of(&records).next().unwrap();
///         assert_eq!((first.unsigned(1), first.unsigned(2)), (Some(80), None));
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Projection<const N: usize> {
    elements: [ElementId; N],
    bound: Option<Bound<N>>,
}

/// The elements of one template.
#[derive(Clone, Debug)]
struct Bound<const N: usize> {
    template: Arc<Template>,
    /// Which field of the template each element is.
    fields: [Option<u16>; N],
    /// Where the values are that a window shows; the mask of the others is 0.
    slots: [Slot; N],
    /// Whether a value is there that no slot reads.
    has_others: bool,
}

impl<const N: usize> Projection<N> {
    /// The values of these elements, in this order.
    #[must_use]
    pub const fn new(elements: [ElementId; N]) -> Self {
        Self { elements, bound: None }
    }

    /// The elements.
    #[must_use]
    pub const fn elements(&self) -> &[ElementId; N] {
        &self.elements
    }

    /// The records of a set, one after the other.
    pub fn of<'p, 'a>(&'p mut self, records: &'p DataRecords<'a>) -> ProjectedRecords<'p, 'a, N> {
        let bound = self.bind(records.template());
        ProjectedRecords { bound, records: records.iter(), datagram: records.datagram() }
    }

    /// Calls `visit` with the [values](ProjectedRecord::values) of each record of a set, read into the same place one
    /// after the other: the fastest way to a few members.
    ///
    /// ```
    /// # use netflow_codec::{Batch, Decoder, ElementId, Projection, Timestamp};
    /// # let datagram: &[u8] = &[
    /// #     0, 9, 0, 2, 0, 0, 0, 1, 0x65, 0x53, 0xf1, 0, 0, 0, 0, 1, 0, 0, 0, 1,
    /// #     0, 0, 0, 16, 1, 44, 0, 2, 0, 4, 0, 1, 0, 7, 0, 2,
    /// #     1, 44, 0, 12, 6, 0, 80, 17, 0, 53, 0, 0,
    /// # ];
    /// let mut projection = Projection::new([ElementId::PROTOCOL_IDENTIFIER, ElementId::SOURCE_TRANSPORT_PORT]);
    /// let (mut decoder, mut ports) = (Decoder::new(), Vec::new());
    /// for batch in decoder.decode(&"192.0.2.1", datagram, Timestamp::ZERO).unwrap() {
    ///     if let Batch::Data(records) = batch {
    ///         projection.for_each_row(&records, |[_, port]| ports.push(*port));
    ///     }
    /// }
    /// assert_eq!(ports, [80, 53]);
    /// ```
    #[inline]
    pub fn for_each_row(&mut self, records: &DataRecords<'_>, mut visit: impl FnMut(&[u64; N])) {
        let bound = self.bind(records.template());
        let length = records.template().minimum_length();
        if bound.has_others || records.template().is_variable_length() || length == 0 {
            self.of(records).for_each(|row| visit(&row.values()));
        } else {
            for_each_row(&bound.slots, records.datagram(), records.set(), length, visit);
        }
    }

    fn bind(&mut self, template: &Arc<Template>) -> &Bound<N> {
        let bound = match self.bound.take() {
            Some(bound) if Arc::ptr_eq(&bound.template, template) => bound,
            _ => Bound::new(&self.elements, template),
        };
        self.bound.insert(bound)
    }
}

#[inline]
fn for_each_row<const N: usize>(
    slots: &[Slot; N],
    datagram: &[u8],
    set: Range<usize>,
    length: usize,
    mut visit: impl FnMut(&[u64; N]),
) {
    let mut values = [0; N];
    // A header precedes every record.
    let (mut place, mut left) = (set.start.saturating_sub(LEAD), set.len());
    while left >= length
        && let Some(lead) = datagram.get(place..)
    {
        if let Some(window) = lead.first_chunk::<WINDOW>() {
            read_all(slots, window, &mut values);
        } else if let Some(window) = LastWindow::new(datagram, place) {
            read_all(slots, &window, &mut values);
        } else {
            read_all(slots, lead, &mut values);
        }
        visit(&values);
        place += length;
        left -= length;
    }
}

/// Not inlined: in a loop over records the compiler would keep a place of its own for each slot, more than there are
/// registers.
#[inline(never)]
fn read_all<const N: usize>(slots: &[Slot; N], lead: &(impl Lead + ?Sized), values: &mut [u64; N]) {
    for (value, slot) in values.iter_mut().zip(slots) {
        *value = slot.read(lead);
    }
}

impl<const N: usize> Bound<N> {
    fn new(elements: &[ElementId; N], template: &Arc<Template>) -> Self {
        let (mut fields, mut slots, mut has_others) = ([None; N], [Slot::default(); N], false);
        // Scope types of v9 are no elements.
        let scopes = template.wire_scopes();
        let (mut offset, mut is_fixed) = (0, true);
        for (specifier, number) in template.fields().iter().zip(0u16..) {
            let length = usize::from(specifier.length);
            is_fixed &= !specifier.is_variable_length();
            for ((element, field), slot) in elements.iter().zip(&mut fields).zip(&mut slots) {
                if usize::from(number) < scopes || *element != specifier.element || field.is_some() {
                    continue;
                }
                *field = Some(number);
                match u8::try_from(offset + length) {
                    Ok(start) if is_fixed && (1..=8).contains(&length) => *slot = Slot::new(start, length),
                    _ => has_others = true,
                }
            }
            offset += length;
        }
        Self { template: Arc::clone(template), fields, slots, has_others }
    }
}

/// Iterator over the records of [`Projection::of`].
#[derive(Clone, Debug)]
pub struct ProjectedRecords<'p, 'a, const N: usize> {
    bound: &'p Bound<N>,
    records: Records<'p, 'a>,
    datagram: &'a [u8],
}

impl<'p, 'a, const N: usize> Iterator for ProjectedRecords<'p, 'a, N> {
    type Item = ProjectedRecord<'p, 'a, N>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (offset, length) = self.records.advance_by_length()?;
        Some(ProjectedRecord { bound: self.bound, datagram: self.datagram, offset, length })
    }
}

/// The wanted elements of one record.
#[derive(Clone, Copy, Debug)]
pub struct ProjectedRecord<'p, 'a, const N: usize> {
    bound: &'p Bound<N>,
    datagram: &'a [u8],
    offset: usize,
    length: usize,
}

impl<'p, 'a, const N: usize> ProjectedRecord<'p, 'a, N> {
    /// The record.
    #[must_use]
    pub fn record(&self) -> DataRecord<'p, 'a> {
        let octets = self.datagram.get(self.offset..self.offset + self.length).unwrap_or(&[]);
        DataRecord::new(&self.bound.template, octets, self.offset)
    }

    /// The elements' values as big-endian unsigned integers; 0 for what the record lacks and for what is not of 1 to 8
    /// octets, such as an IPv6 address: see [`Self::octets`].
    #[must_use]
    #[inline]
    pub fn values(&self) -> [u64; N] {
        // A header precedes every record.
        let place = self.offset.saturating_sub(LEAD);
        let lead = self.datagram.get(place..).unwrap_or(&[]);
        let mut values = [0; N];
        match lead.first_chunk::<WINDOW>() {
            Some(window) => read_all(&self.bound.slots, window, &mut values),
            None => read_all(&self.bound.slots, lead, &mut values),
        }
        if self.bound.has_others {
            self.read_others(&mut values);
        }
        values
    }

    /// The octets of the element that is number `index` of the projection; `None` when the record lacks it.
    #[must_use]
    pub fn octets(&self, index: usize) -> Option<&'a [u8]> {
        let field = self.bound.fields.get(index).copied().flatten()?;
        self.record().fields().nth(field.into()).map(|field| field.octets())
    }

    /// The same as a big-endian unsigned integer; `None` also when it does not have 1 to 8 octets.
    #[must_use]
    #[inline]
    pub fn unsigned(&self, index: usize) -> Option<u64> {
        match self.bound.slots.get(index) {
            Some(slot) if slot.is_set() => {
                let lead = self.datagram.get(self.offset.checked_sub(LEAD)?..)?;
                Some(slot.read(lead))
            }
            _ => unsigned(self.octets(index)?),
        }
    }

    #[inline(never)]
    fn read_others(&self, values: &mut [u64; N]) {
        for (index, (value, slot)) in values.iter_mut().zip(&self.bound.slots).enumerate() {
            if !slot.is_set() {
                *value = self.octets(index).and_then(unsigned).unwrap_or(0);
            }
        }
    }
}
