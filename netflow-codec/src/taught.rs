//! What exporters say of their own elements: the type records of RFC 5610.
//!
//! ```text
//! scope   informationElementId (303), privateEnterpriseNumber (346)
//! options informationElementDataType (339), -Name (341), -Semantics (344), -Units (345), -RangeBegin (342), -RangeEnd (343)
//! ```
//!
//! A record is recognised by its elements, whatever their order and whatever else it has. What it says holds for its
//! exporter, overrides nothing, and is bounded in number and in memory.

use crate::{
    element::{DataType, DefineError, ElementId, ElementInfo, ElementRegistry, Semantics, Units, ValueRange},
    lru::LruMap,
    record::{DataRecord, DataRecords},
    template::Protocol,
    value::{FieldValue, FieldView},
};

/// Elements as their exporters describe them.
///
/// At most [`Self::MAX_ELEMENTS`] of one exporter are kept, and as many of all as fit in [`Self::MAX_OCTETS`]; the
/// exporter that taught nothing for the longest time is forgotten first.
#[derive(Debug)]
pub struct TaughtElements<E> {
    exporters: LruMap<E, ElementRegistry>,
    octets: usize,
    stats: TaughtStats,
}

/// What became of type records.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct TaughtStats {
    /// Elements learned.
    pub learned: u64,
    /// Records of elements known by then, with the same definition.
    pub repeated: u64,
    /// Records that override a definition: of the built-in tables, or an earlier one of the same exporter (RFC 5610
    /// section 3.9). They are ignored.
    pub conflicting: u64,
    /// Records that make no sense: a name with NUL, a data type that nobody knows, semantics that do not fit it (RFC
    /// 5610 sections 3.10 and 4). They are ignored.
    pub unsound: u64,
    /// Records for which there was no room. They are ignored.
    pub refused: u64,
    /// Exporters whose elements were forgotten to make room.
    pub evicted_exporters: u64,
}

impl<E> TaughtElements<E> {
    /// Elements kept of one exporter: 1,024.
    pub const MAX_ELEMENTS: usize = 1_024;
    /// Octets of memory that all definitions may take, roughly: 4 MiB.
    pub const MAX_OCTETS: usize = 4 << 20;

    /// What was counted so far.
    #[must_use]
    pub const fn stats(&self) -> &TaughtStats {
        &self.stats
    }
}

impl<E: Clone + Ord> TaughtElements<E> {
    pub(crate) const fn new() -> Self {
        let stats = TaughtStats {
            learned: 0,
            repeated: 0,
            conflicting: 0,
            unsound: 0,
            refused: 0,
            evicted_exporters: 0,
        };
        Self { exporters: LruMap::new(), octets: 0, stats }
    }

    /// What an exporter said.
    #[must_use]
    pub fn of(&self, exporter: &E) -> Option<&ElementRegistry> {
        self.exporters.value(self.exporters.slot(exporter)?)
    }

    /// Octets of memory that all definitions take, roughly.
    #[must_use]
    pub fn memory_octets(&self) -> usize {
        // An exporter's entry, with what the map needs to find it and to know when it was used.
        let entry = size_of::<ElementRegistry>() + 3 * size_of::<E>() + 64;
        self.octets + self.exporters.len() * entry
    }

    /// Takes the type records among options records; other records cost a look at their template.
    pub(crate) fn learn(&mut self, exporter: &E, records: &DataRecords<'_>) {
        let template = records.template();
        let has = |element| template.fields().iter().any(|field| field.element == element);
        if template.protocol() != Protocol::Ipfix
            || ![ELEMENT_ID, DATA_TYPE, NAME].into_iter().map(ElementId::iana).all(has)
        {
            return;
        }
        for record in records {
            match TypeRecord::read(&record) {
                Some(record) => self.take(exporter, &record),
                None => self.stats.unsound += 1,
            }
        }
    }

    fn take(&mut self, exporter: &E, record: &TypeRecord<'_>) {
        let slot = self.exporters.touch(exporter).unwrap_or_else(|| {
            self.exporters.insert(exporter.clone(), ElementRegistry::with_limit(Self::MAX_ELEMENTS))
        });
        let Some(registry) = self.exporters.value_mut(slot) else { return };
        let before = (registry.len(), registry.memory_octets());
        match registry.teach(record.element, record.info) {
            Ok(()) if registry.len() == before.0 => self.stats.repeated += 1,
            Ok(()) => self.stats.learned += 1,
            Err(DefineError::BuiltIn(_) | DefineError::Conflict) => self.stats.conflicting += 1,
            Err(DefineError::Full(_)) => self.stats.refused += 1,
            Err(_) => self.stats.unsound += 1,
        }
        self.octets += registry.memory_octets() - before.1;
        if registry.is_empty() {
            self.exporters.remove(exporter);
            return;
        }
        // What an exporter may have at most is far below the limit of all.
        while self.memory_octets() > Self::MAX_OCTETS
            && let Some((_, forgotten)) = self.exporters.evict(Some(slot))
        {
            self.octets -= forgotten.memory_octets();
            self.stats.evicted_exporters += 1;
        }
    }
}

const ELEMENT_ID: u16 = 303;
const DATA_TYPE: u16 = 339;
const NAME: u16 = 341;
const RANGE_BEGIN: u16 = 342;
const RANGE_END: u16 = 343;
const SEMANTICS: u16 = 344;
const UNITS: u16 = 345;
const ENTERPRISE: u16 = 346;

/// A record that describes an element.
struct TypeRecord<'a> {
    element: ElementId,
    info: ElementInfo<&'a str>,
}

impl<'a> TypeRecord<'a> {
    /// `None` when a part is missing or means nothing.
    fn read(record: &DataRecord<'_, 'a>) -> Option<Self> {
        let field = |number| record.fields().find(|field| field.element() == ElementId::iana(number));
        let number_of = |number| field(number).map(|field| field.as_unsigned());
        let enterprise = number_of(ENTERPRISE).unwrap_or(Some(0))?;
        let number = u16::try_from(number_of(ELEMENT_ID)??).ok()?;
        // Some exporters leave the enterprise bit in.
        let number = if enterprise == 0 { number } else { number & 0x7fff };
        let element = ElementId::new(u32::try_from(enterprise).ok()?, number);
        let data_type = DataType::from_number(u8::try_from(number_of(DATA_TYPE)??).ok()?)?;
        let info = ElementInfo::new(text(field(NAME)?)?, data_type)
            .with_semantics(Semantics(u8::try_from(number_of(SEMANTICS).unwrap_or(Some(0))?).ok()?))
            .with_units(Units(u16::try_from(number_of(UNITS).unwrap_or(Some(0))?).ok()?));
        // RFC 5610 section 3.8: no range is told by leaving it out, or by two zeros.
        let range = match (number_of(RANGE_BEGIN), number_of(RANGE_END)) {
            (None, _) | (_, None) | (Some(Some(0)), Some(Some(0))) => None,
            (Some(first), Some(last)) => Some(ValueRange::new(first?, last?)),
        };
        Some(Self { element, info: range.map_or(info, |range| info.with_range(range)) })
    }
}

/// RFC 5610 section 4: a name with NUL in it, at its end too, is not taken.
fn text(field: FieldView<'_>) -> Option<&str> {
    match field.value_as(DataType::String) {
        FieldValue::String(text) if text.len() == field.octets().len() => Some(text),
        _ => None,
    }
}
