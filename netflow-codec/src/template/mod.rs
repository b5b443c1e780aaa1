//! Templates: what the records of a Data FlowSet look like.

mod plan;
mod quirks;
mod wire;

use alloc::{boxed::Box, vec::Vec};

use crate::{element::ElementId, quirk::Quirks, wire::behind_variable_length};

pub(crate) use plan::{Dates, LEAD, LastWindow, Lead, RecordPlan, Slot, Straight, WINDOW};
pub(crate) use wire::{TemplateRecord, TemplateRecords, WireTemplate};

/// Which of the template protocols: their template ids are independent.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Protocol {
    /// NetFlow v9 (RFC 3954).
    NetFlow9,
    /// IPFIX (RFC 7011).
    Ipfix,
}

/// The field length that means "variable" (RFC 7011 section 7).
pub(crate) const VARIABLE_LENGTH: u16 = 0xffff;

/// One field of a template: which element, in how many octets (RFC 3954 section 5.2).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct FieldSpecifier {
    /// The element; in a scope of a v9 options template the scope type's number.
    pub element: ElementId,
    /// Octets of the field, 65535 for variable length.
    pub length: u16,
}

impl FieldSpecifier {
    /// A field of a fixed length.
    #[must_use]
    pub const fn new(element: ElementId, length: u16) -> Self {
        Self { element, length }
    }

    /// A field whose length each record says (RFC 7011 section 7).
    #[must_use]
    pub const fn variable_length(element: ElementId) -> Self {
        Self::new(element, VARIABLE_LENGTH)
    }

    /// Whether each record says how long the field is.
    #[must_use]
    pub const fn is_variable_length(&self) -> bool {
        self.length == VARIABLE_LENGTH
    }
}

/// The type of a scope field in a v9 options template (RFC 3954 section 6.1).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ScopeType(pub(crate) u16);

impl ScopeType {
    /// The whole exporter.
    pub const SYSTEM: Self = Self(1);
    /// One interface.
    pub const INTERFACE: Self = Self(2);
    /// One line card.
    pub const LINE_CARD: Self = Self(3);
    /// One flow cache.
    pub const CACHE: Self = Self(4);
    /// One template.
    pub const TEMPLATE: Self = Self(5);

    /// The scope type's number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }

    /// The name RFC 3954 gives it.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self.0 {
            1 => Some("System"),
            2 => Some("Interface"),
            3 => Some("Line Card"),
            4 => Some("Cache"),
            5 => Some("Template"),
            _ => None,
        }
    }
}

/// A template, compiled for decoding.
///
/// Shared by the cache and the batches decoded with it: redefining a template while records of the old one
/// are still being read is harmless.
#[derive(Debug)]
pub struct Template {
    protocol: Protocol,
    id: u16,
    scope_count: usize,
    options: bool,
    fields: Box<[FieldSpecifier]>,
    /// The fields that typed flows are read from, where quirks made them others.
    typed: Option<Box<[FieldSpecifier]>>,
    /// Quirks that acted.
    quirks: Quirks,
    /// The template record as it was on the wire, to recognise a refresh.
    raw: Box<[u8]>,
    minimum_length: usize,
    directions: Directions,
    /// Whether records may say something of sampling.
    announces_sampling: bool,
    /// Whether records may name their sampler.
    names_sampler: bool,
    /// Octets in front of each variable-length field, from the one before.
    gaps: Box<[usize]>,
    /// Octets behind the last variable-length field.
    last_gap: usize,
    plan: RecordPlan,
}

/// Elements samplerId and selectorId.
const SAMPLERS: [ElementId; 2] = [ElementId::iana(48), ElementId::iana(302)];

/// Which directions of a conversation records describe (RFC 5103).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Directions {
    Forward,
    Both,
    /// There are reverse elements, but no key that makes a direction.
    Undirected,
}

impl Directions {
    fn of(fields: &[FieldSpecifier]) -> Self {
        let has = |is_one: fn(ElementId) -> bool| fields.iter().any(|field| is_one(field.element));
        // The responder's counters are the other direction as well, but of records that are none of RFC 5103.
        let responds =
            |element| matches!(element, ElementId::RESPONDER_OCTETS | ElementId::RESPONDER_PACKETS);
        match (has(ElementId::is_reverse), has(ElementId::is_directional_key), has(responds)) {
            (true, false, _) => Self::Undirected,
            (true, true, _) | (false, true, true) => Self::Both,
            (false, ..) => Self::Forward,
        }
    }
}

impl Template {
    pub(crate) fn new(wire: &WireTemplate<'_>) -> Self {
        let fields: Box<[FieldSpecifier]> = wire.fields().collect();
        let minimum_length = fields
            .iter()
            .map(|field| if field.is_variable_length() { 1 } else { usize::from(field.length) })
            .sum();
        let (mut gaps, mut last_gap) = (Vec::new(), 0);
        for field in &fields {
            if field.is_variable_length() {
                gaps.push(core::mem::take(&mut last_gap));
            } else {
                last_gap += usize::from(field.length);
            }
        }
        let mut quirks = wire.acted();
        // Options are not typed.
        let typed = (!wire.options).then(|| quirks::typed(&fields, wire.quirks, &mut quirks)).flatten();
        let plain = fields.get(wire.scope_count..).unwrap_or(&[]);
        let data_fields = typed.as_deref().unwrap_or(plain);
        Self {
            protocol: wire.protocol,
            id: wire.id,
            scope_count: wire.scope_count,
            options: wire.options,
            plan: RecordPlan::compile(data_fields, wire.options),
            directions: Directions::of(fields.get(wire.scope_count..).unwrap_or(&[])),
            announces_sampling: fields.iter().any(|field| field.element.announces_sampling()),
            names_sampler: fields.iter().any(|field| SAMPLERS.contains(&field.element)),
            gaps: gaps.into(),
            last_gap,
            fields,
            typed,
            quirks,
            raw: wire.raw.into(),
            minimum_length,
        }
    }

    /// The template's identifier, 256 or more.
    #[must_use]
    pub const fn id(&self) -> u16 {
        self.id
    }

    /// The protocol.
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Whether this is an options template: its records describe the exporter, not flows.
    #[must_use]
    pub const fn is_options(&self) -> bool {
        self.options
    }

    /// All fields in order, scope fields first.
    #[must_use]
    pub const fn fields(&self) -> &[FieldSpecifier] {
        &self.fields
    }

    /// The fields that typed flows are read from, scope fields first.
    pub(crate) fn typed_fields(&self) -> &[FieldSpecifier] {
        self.typed.as_deref().unwrap_or(&self.fields)
    }

    /// Quirks that acted when the template was learned.
    #[must_use]
    pub const fn quirks(&self) -> Quirks {
        self.quirks
    }

    /// How many of the fields, from the first one, are scopes.
    #[must_use]
    pub const fn scope_count(&self) -> usize {
        self.scope_count
    }

    /// How many of the scopes are scope types, a number space of v9; in IPFIX any element can be a scope.
    pub(crate) const fn wire_scopes(&self) -> usize {
        match self.protocol {
            Protocol::NetFlow9 => self.scope_count,
            Protocol::Ipfix => 0,
        }
    }

    /// Octets of a record; of the shortest possible one when the template has variable-length fields.
    #[must_use]
    pub const fn minimum_length(&self) -> usize {
        self.minimum_length
    }

    /// Whether records differ in length.
    #[must_use]
    pub const fn is_variable_length(&self) -> bool {
        !self.gaps.is_empty()
    }

    /// Octets of the record at the start of `octets`; `None` when it runs past their end.
    #[inline]
    pub(crate) fn record_length(&self, octets: &[u8]) -> Option<usize> {
        let mut length = 0;
        for gap in &self.gaps {
            length = behind_variable_length(octets, length + gap)?;
        }
        length += self.last_gap;
        (length <= octets.len()).then_some(length)
    }

    /// Whether records describe both directions of a conversation: there are reverse elements (RFC 5103), or counters
    /// of a responder (232, 299), and a key that makes a direction.
    #[must_use]
    pub fn is_biflow(&self) -> bool {
        self.directions == Directions::Both
    }

    /// Whether there are reverse elements, but no key that makes a direction: records that RFC 5103 section 4 does not
    /// allow, unless they stand in a list within others.
    #[must_use]
    pub fn is_reverse_only(&self) -> bool {
        self.directions == Directions::Undirected
    }

    /// Whether a set of flow records of this template has nothing wrong with it, whatever its octets.
    pub(crate) fn is_always_sound(&self) -> bool {
        self.gaps.is_empty()
            && self.minimum_length > 3
            && !self.options
            && self.directions != Directions::Undirected
    }

    /// Whether records may say something of sampling: there are elements of rates or of algorithms.
    #[must_use]
    pub const fn announces_sampling(&self) -> bool {
        self.announces_sampling
    }

    /// Whether records may name their sampler or selector.
    pub(crate) const fn names_sampler(&self) -> bool {
        self.names_sampler
    }

    /// Whether padding of a set may be as long as a record: IPFIX does not allow it (RFC 7011 section 3.3.1).
    pub(crate) fn has_doubtful_padding(&self) -> bool {
        self.protocol == Protocol::NetFlow9 && self.gaps.is_empty() && self.minimum_length < 4
    }

    pub(crate) const fn plan(&self) -> &RecordPlan {
        &self.plan
    }

    /// The template record as it was on the wire.
    #[cfg(feature = "serde")]
    pub(crate) const fn record(&self) -> &[u8] {
        &self.raw
    }

    pub(crate) fn is_refreshed_by(&self, wire: &WireTemplate<'_>) -> bool {
        self.options == wire.options && *self.raw == *wire.raw
    }

    /// Octets of memory the template takes, roughly.
    pub(crate) fn memory_octets(&self) -> usize {
        size_of::<Self>()
            + size_of_val(&*self.fields)
            + self.typed.as_deref().map_or(0, size_of_val)
            + size_of_val(&*self.gaps)
            + self.raw.len()
            + self.plan.memory_octets()
    }
}
