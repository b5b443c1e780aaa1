//! Writing lists within fields (RFC 6313 section 4.5).
//!
//! ```text
//! basicList             | semantic (1) | element (2) | length (2) | enterprise (0 or 4) | values ...
//! subTemplateList       | semantic (1) | template id (2) | records ...
//! subTemplateMultiList  | semantic (1) | template id (2) | length (2) | records ... | template id (2) | ...
//! ```
//!
//! A list that is a value of 65535 octets takes no more: the push fails, the list stays as it was (RFC 6313 section 5.1).

use alloc::vec::Vec;

use super::{field::Field, source::FieldSource, template::ExportTemplate};
use crate::{
    element::ElementId,
    error::EncodeError,
    structured::{BasicList, ListSemantic, SubTemplateList, SubTemplateMultiList},
    template::{FieldSpecifier, Protocol},
    value::FieldValue,
};

/// Octets that the value of a field has at most.
const MAX_VALUE: usize = u16::MAX as usize;
/// Octets of the longest header of a basicList.
const BASIC_HEADER: usize = 9;

/// The header of a basicList, and how many octets of it count.
pub(super) fn basic_header(
    semantic: ListSemantic,
    element: ElementId,
    value_length: u16,
) -> ([u8; BASIC_HEADER], usize) {
    let enterprise = element.enterprise();
    let (bit, length) = if enterprise == 0 { (0, 5) } else { (0x8000, BASIC_HEADER) };
    let number = (element.number() | bit).to_be_bytes();
    let (octets, enterprise) = (value_length.to_be_bytes(), enterprise.to_be_bytes());
    let mut header = [0; BASIC_HEADER];
    header[0] = semantic.0;
    header[1..3].copy_from_slice(&number);
    header[3..5].copy_from_slice(&octets);
    header[5..].copy_from_slice(&enterprise);
    (header, length)
}

/// Undoes what a push wrote that failed, or that made the list too long.
fn guard(
    octets: &mut Vec<u8>,
    element: u16,
    push: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let before = octets.len();
    let result = push(octets).and_then(|()| {
        let fits = octets.len() <= MAX_VALUE;
        if fits { Ok(()) } else { Err(EncodeError::ValueTooLarge { element, length: u16::MAX }) }
    });
    if result.is_err() {
        octets.truncate(before);
    }
    result
}

/// Writes a basicList (291): values of one element.
///
/// ```
/// use netflow_codec::{BasicListBuilder, ElementId, FieldSpecifier, FieldValue, ListSemantic};
///
/// let interface = FieldSpecifier::new(ElementId::EGRESS_INTERFACE, 4);
/// let mut list = BasicListBuilder::new(ListSemantic::ALL_OF, interface)?;
/// list.push(FieldValue::Unsigned(7))?;
/// list.push(FieldValue::Unsigned(9))?;
/// assert_eq!(list.octets(), [3, 0, 14, 0, 4, 0, 0, 0, 7, 0, 0, 0, 9]);
/// assert_eq!(list.value().to_string(), "allOf(7, 9)");
/// # Ok::<(), netflow_codec::EncodeError>(())
/// ```
#[derive(Clone, Debug)]
pub struct BasicListBuilder {
    field: Field,
    octets: Vec<u8>,
}

impl BasicListBuilder {
    /// A list without values.
    ///
    /// # Errors
    ///
    /// [`EncodeError::FieldLength`] and [`EncodeError::ElementNumber`], as for a field of a template.
    pub fn new(semantic: ListSemantic, values: FieldSpecifier) -> Result<Self, EncodeError> {
        let field = Field::of_element(Protocol::Ipfix, values, None)?;
        let (header, length) = basic_header(semantic, values.element, values.length);
        Ok(Self { field, octets: header.get(..length).unwrap_or(&[]).to_vec() })
    }

    /// Adds a value.
    ///
    /// # Errors
    ///
    /// As [`ExportTemplate::encode`]; [`EncodeError::ValueTooLarge`] when the list has no room for it.
    pub fn push(&mut self, value: FieldValue<'_>) -> Result<(), EncodeError> {
        let Self { field, octets } = self;
        guard(octets, field.specifier.element.number(), |octets| field.put(value, None, octets))
    }

    /// The list's octets.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// The list, to be a record's value.
    #[must_use]
    pub fn value(&self) -> FieldValue<'_> {
        BasicList::parse(&self.octets).map_or(FieldValue::Octets(&self.octets), FieldValue::BasicList)
    }
}

/// Writes a subTemplateList (292): records of one template.
#[derive(Clone, Debug)]
pub struct SubTemplateListBuilder<'t> {
    template: &'t ExportTemplate,
    octets: Vec<u8>,
}

impl<'t> SubTemplateListBuilder<'t> {
    /// A list without records. The template must be announced as any other one.
    #[must_use]
    pub fn new(semantic: ListSemantic, template: &'t ExportTemplate) -> Self {
        let [high, low] = template.id().to_be_bytes();
        Self { template, octets: [semantic.0, high, low].to_vec() }
    }

    /// Adds a record.
    ///
    /// # Errors
    ///
    /// As [`ExportTemplate::encode`]; [`EncodeError::ValueTooLarge`] when the list has no room for it.
    pub fn push(&mut self, record: &(impl FieldSource + ?Sized)) -> Result<(), EncodeError> {
        let template = self.template;
        guard(&mut self.octets, SUB_TEMPLATE_LIST, |octets| template.encode(record, octets))
    }

    /// The list's octets.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// The list, to be a record's value.
    #[must_use]
    pub fn value(&self) -> FieldValue<'_> {
        SubTemplateList::parse(&self.octets)
            .map_or(FieldValue::Octets(&self.octets), FieldValue::SubTemplateList)
    }
}

const SUB_TEMPLATE_LIST: u16 = 292;
const SUB_TEMPLATE_MULTI_LIST: u16 = 293;
/// Octets of the template id and length of an entry.
const ENTRY_HEADER: usize = 4;

/// Writes a subTemplateMultiList (293): records of several templates.
#[derive(Clone, Debug)]
pub struct SubTemplateMultiListBuilder {
    octets: Vec<u8>,
    /// The template of the last entry, and where that begins.
    last: Option<(u16, usize)>,
}

impl SubTemplateMultiListBuilder {
    /// A list without records.
    #[must_use]
    pub fn new(semantic: ListSemantic) -> Self {
        Self { octets: [semantic.0].to_vec(), last: None }
    }

    /// Adds a record: to the last entry when that is of the same template, else to a new one.
    ///
    /// # Errors
    ///
    /// As [`ExportTemplate::encode`]; [`EncodeError::ValueTooLarge`] when the list has no room for it.
    pub fn push(
        &mut self,
        template: &ExportTemplate,
        record: &(impl FieldSource + ?Sized),
    ) -> Result<(), EncodeError> {
        let start = match self.last {
            Some((id, start)) if id == template.id() => start,
            _ => self.octets.len(),
        };
        guard(&mut self.octets, SUB_TEMPLATE_MULTI_LIST, |octets| {
            if start == octets.len() {
                octets.extend_from_slice(&template.id().to_be_bytes());
                octets.extend_from_slice(&[0; 2]);
            }
            template.encode(record, octets)
        })?;
        // The list has at most 65535 octets.
        let length = u16::try_from(self.octets.len() - start).unwrap_or(u16::MAX);
        if let Some(place) = self.octets.get_mut(start + 2..start + ENTRY_HEADER) {
            place.copy_from_slice(&length.to_be_bytes());
        }
        self.last = Some((template.id(), start));
        Ok(())
    }

    /// The list's octets.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// The list, to be a record's value.
    #[must_use]
    pub fn value(&self) -> FieldValue<'_> {
        SubTemplateMultiList::parse(&self.octets)
            .map_or(FieldValue::Octets(&self.octets), FieldValue::SubTemplateMultiList)
    }
}
