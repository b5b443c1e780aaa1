//! Options data: what an exporter says of itself, as a template and its records.
//!
//! ```text
//! announced            v9                                       IPFIX
//! sampling             System: 34, 35                           selectorId: 304 and parameters
//! samplers             System: 48, 49, 50, 84                   selectorId: 304 and parameters, 335
//! interface names      Interface: 82, 83                        ingressInterface: 82, 83
//! VRF names            System: 234, 236                         ingressVRFID: 236
//! applications         System: 95, 96, 94                       applicationId: 96, 94
//! exporter statistics  System: 40, 41, 42                       observationDomainId: 40, 41, 42
//! reliability          -                                        RFC 7011 sections 4.2 and 4.3
//! flow keys            -                                        templateId: 173
//! element types        -                                        RFC 5610
//! ```

mod elements;
mod names;
mod sampling;
mod statistics;

use alloc::vec::Vec;

use super::{
    source::FieldSource,
    template::{ExportTemplate, TemplateBuilder},
};
use crate::{
    element::ElementId,
    error::EncodeError,
    template::{FieldSpecifier, Protocol, ScopeType},
    value::FieldValue,
};

pub use elements::ElementDescription;
pub use names::{ApplicationName, InterfaceName};
pub use sampling::{Sampler, Selection};
pub use statistics::{Interval, NotSent};

/// An options template and its records, for [`ExportSession::set_options`](crate::ExportSession::set_options).
///
/// ```
/// use netflow_codec::{InterfaceName, OptionsData, Protocol};
///
/// let names = [InterfaceName { index: 3, name: "eth3", description: "uplink" }];
/// let options = OptionsData::interface_names(Protocol::Ipfix, 257, &names)?;
/// assert_eq!(options.len(), 1);
/// # Ok::<(), netflow_codec::EncodeError>(())
/// ```
#[derive(Clone, Debug)]
pub struct OptionsData {
    template: ExportTemplate,
    octets: Vec<u8>,
    /// Where each record ends.
    ends: Vec<usize>,
}

impl OptionsData {
    /// No records yet.
    ///
    /// # Errors
    ///
    /// [`EncodeError::NoScope`] for a template that is no options template.
    pub fn new(template: ExportTemplate) -> Result<Self, EncodeError> {
        if !template.is_options() {
            return Err(EncodeError::NoScope);
        }
        Ok(Self { template, octets: Vec::new(), ends: Vec::new() })
    }

    /// Adds a record.
    ///
    /// # Errors
    ///
    /// As [`ExportTemplate::encode`].
    pub fn push(&mut self, record: &(impl FieldSource + ?Sized)) -> Result<(), EncodeError> {
        self.template.encode(record, &mut self.octets)?;
        self.ends.push(self.octets.len());
        Ok(())
    }

    /// Forgets the records; their memory is used again.
    pub fn clear(&mut self) {
        self.octets.clear();
        self.ends.clear();
    }

    /// The template.
    #[must_use]
    pub const fn template(&self) -> &ExportTemplate {
        &self.template
    }

    /// How many records there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are no records.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The records' octets.
    pub fn records(&self) -> impl Iterator<Item = &[u8]> + '_ {
        (0..self.len()).filter_map(|index| self.record(index))
    }

    pub(super) fn record(&self, index: usize) -> Option<&[u8]> {
        let end = *self.ends.get(index)?;
        let start = index.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.octets.get(start..end)
    }

    /// Records of a slice, by a template.
    fn of_records<S: FieldSource>(
        template: ExportTemplate,
        records: impl IntoIterator<Item = S>,
    ) -> Result<Self, EncodeError> {
        let mut options = Self::new(template)?;
        records.into_iter().try_for_each(|record| options.push(&record))?;
        Ok(options)
    }
}

/// The parts of a template that is written one way in v9 and another way in IPFIX.
struct Shape<'a> {
    v9_scope: (ScopeType, u16),
    ipfix_scopes: &'a [(u16, u16)],
    v9_fields: &'a [(u16, u16)],
    ipfix_fields: &'a [(u16, u16)],
}

impl Shape<'_> {
    fn build(&self, protocol: Protocol, id: u16) -> Result<ExportTemplate, EncodeError> {
        let builder = TemplateBuilder::new(protocol, id);
        let field = |(number, length): &(u16, u16)| FieldSpecifier::new(ElementId::iana(*number), *length);
        match protocol {
            Protocol::NetFlow9 => {
                let (scope, length) = self.v9_scope;
                builder.scope_type(scope, length).fields(self.v9_fields.iter().map(field))
            }
            Protocol::Ipfix => {
                let builder =
                    self.ipfix_scopes.iter().fold(builder, |builder, scope| builder.scope(field(scope)));
                builder.fields(self.ipfix_fields.iter().map(field))
            }
        }
        .build()
    }
}

/// An options template of IPFIX, for what v9 cannot express.
fn ipfix_only(
    protocol: Protocol,
    id: u16,
    scopes: &[(u16, u16)],
    fields: &[(u16, u16)],
) -> Result<ExportTemplate, EncodeError> {
    if protocol == Protocol::NetFlow9 {
        let first = fields.iter().chain(scopes).next();
        return Err(EncodeError::NotInV9(first.map_or(0, |(number, _)| *number)));
    }
    let shape = Shape {
        v9_scope: (ScopeType::SYSTEM, 4),
        ipfix_scopes: scopes,
        v9_fields: &[],
        ipfix_fields: fields,
    };
    shape.build(protocol, id)
}

/// A record of a scope of v9 and of elements.
struct Scoped<'a, const N: usize> {
    scope: u64,
    fields: [(ElementId, FieldValue<'a>); N],
}

impl<const N: usize> FieldSource for Scoped<'_, N> {
    fn field(&self, element: ElementId) -> Option<FieldValue<'_>> {
        self.fields.field(element)
    }

    fn repeated_field(&self, element: ElementId, occurrence: usize) -> Option<FieldValue<'_>> {
        self.fields.repeated_field(element, occurrence)
    }

    fn scope(&self, _scope: ScopeType) -> Option<FieldValue<'_>> {
        Some(FieldValue::Unsigned(self.scope))
    }
}

const fn unsigned<'a>(number: u16, value: u64) -> (ElementId, FieldValue<'a>) {
    (ElementId::iana(number), FieldValue::Unsigned(value))
}

const fn text(number: u16, value: &str) -> (ElementId, FieldValue<'_>) {
    (ElementId::iana(number), FieldValue::String(value))
}
