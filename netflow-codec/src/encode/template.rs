//! Templates for export: any element, any length, scopes, checked when they are built.

use alloc::{boxed::Box, vec::Vec};
use core::time::Duration;

use super::{field::Field, rules, source::FieldSource};
use crate::{
    element::{DataType, ElementId},
    error::EncodeError,
    template::{FieldSpecifier, Protocol, ScopeType},
    time::Timestamp,
};

/// The enterprise number of reverse elements (RFC 5103 section 6.1).
const REVERSE_ENTERPRISE: u32 = 29_305;

/// Collects the fields of an [`ExportTemplate`].
///
/// ```
/// use netflow_codec::{ElementId, FieldSpecifier, FieldValue, Protocol, TemplateBuilder};
///
/// let template = TemplateBuilder::new(Protocol::Ipfix, 300)
///     .field(FieldSpecifier::new(ElementId::SOURCE_IPV4_ADDRESS, 4))
///     // applicationName, each record as long as it is
///     .field(FieldSpecifier::variable_length(ElementId::iana(96)))
///     // element 7 of an enterprise
///     .field(FieldSpecifier::new(ElementId::new(32_473, 7), 2))
///     .build()?;
///
/// let mut octets = Vec::new();
/// template.encode(
///     &[
///         (ElementId::SOURCE_IPV4_ADDRESS, FieldValue::Ipv4Address([192, 0, 2, 1].into())),
///         (ElementId::iana(96), FieldValue::String("dns")),
///         (ElementId::new(32_473, 7), FieldValue::Unsigned(258)),
///     ],
///     &mut octets,
/// )?;
/// assert_eq!(octets, [192, 0, 2, 1, 3, b'd', b'n', b's', 1, 2]);
/// # Ok::<(), netflow_codec::EncodeError>(())
/// ```
#[derive(Clone, Debug)]
pub struct TemplateBuilder {
    protocol: Protocol,
    id: u16,
    scopes: Vec<Requested>,
    fields: Vec<Requested>,
    absent: AbsentFields,
    boot: Option<Timestamp>,
    resolution: Duration,
}

#[derive(Clone, Copy, Debug)]
enum Requested {
    Element(FieldSpecifier, Option<DataType>),
    ScopeType(ScopeType, u16),
}

/// What is written for a field that a record has no value for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum AbsentFields {
    /// Nothing: the record is refused with [`EncodeError::FieldMissing`].
    #[default]
    Refuse,
    /// Zeros; a variable-length value of no octets. Lists and booleans have no such value and are refused all the same.
    Zero,
}

impl TemplateBuilder {
    /// A template without fields. Ids are 256 to 65535.
    #[must_use]
    pub const fn new(protocol: Protocol, id: u16) -> Self {
        Self {
            protocol,
            id,
            scopes: Vec::new(),
            fields: Vec::new(),
            absent: AbsentFields::Refuse,
            boot: None,
            resolution: Duration::ZERO,
        }
    }

    /// Adds a field.
    #[must_use]
    pub fn field(mut self, field: FieldSpecifier) -> Self {
        self.fields.push(Requested::Element(field, None));
        self
    }

    /// Adds fields, in their order.
    #[must_use]
    pub fn fields(mut self, fields: impl IntoIterator<Item = FieldSpecifier>) -> Self {
        self.fields.extend(fields.into_iter().map(|field| Requested::Element(field, None)));
        self
    }

    /// Adds a field whose element no registry knows, with its type: values are then checked, and times can be
    /// written.
    #[must_use]
    pub fn typed_field(mut self, field: FieldSpecifier, data_type: DataType) -> Self {
        self.fields.push(Requested::Element(field, Some(data_type)));
        self
    }

    /// IPFIX: adds a scope, which makes this an options template. Scopes keep their order (RFC 7011 section 3.4.2.1).
    #[must_use]
    pub fn scope(mut self, field: FieldSpecifier) -> Self {
        self.scopes.push(Requested::Element(field, None));
        self
    }

    /// v9: adds a scope of 1 to 8 octets, which makes this an options template (RFC 3954 section 6.1).
    #[must_use]
    pub fn scope_type(mut self, scope: ScopeType, length: u16) -> Self {
        self.scopes.push(Requested::ScopeType(scope, length));
        self
    }

    /// What is written for a field that a record has no value for. Default: the record is refused.
    #[must_use]
    pub const fn absent_fields(mut self, absent: AbsentFields) -> Self {
        self.absent = absent;
        self
    }

    /// When the exporter booted: points in time can then be written into elements 21 and 22, which count from there
    /// modulo 2^32 milliseconds.
    #[must_use]
    pub const fn boot(mut self, boot: Timestamp) -> Self {
        self.boot = Some(boot);
        self
    }

    /// How fine the metering clock is: elements of finer times are then refused (RFC 5153 section 4.5). Default: as
    /// fine as one likes.
    #[must_use]
    pub const fn clock_resolution(mut self, resolution: Duration) -> Self {
        self.resolution = resolution;
        self
    }

    /// Checks all of it.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TemplateId`] below 256. [`EncodeError::LayoutLength`] without fields, and with more than a
    /// message holds. [`EncodeError::FieldLength`] for a length that the element cannot have, variable length in v9
    /// among them. [`EncodeError::EnterpriseInV9`]; [`EncodeError::ElementNumber`] in IPFIX for 0 and above 32767.
    /// [`EncodeError::ScopeKind`] for a scope of the other protocol. [`EncodeError::NotReversible`] and
    /// [`EncodeError::NoDirectionalKey`] for biflows that RFC 5103 does not allow. [`EncodeError::TimeResolution`] for
    /// times finer than the clock.
    pub fn build(self) -> Result<ExportTemplate, EncodeError> {
        if self.id < 256 {
            return Err(EncodeError::TemplateId(self.id));
        }
        let mut fields: Vec<Field> = Vec::with_capacity(self.scopes.len() + self.fields.len());
        for requested in self.scopes.iter().chain(&self.fields) {
            let mut field = self.check(*requested)?;
            let same = |known: &&Field| {
                known.specifier.element == field.specifier.element && known.scope == field.scope
            };
            field.occurrence = fields.iter().filter(same).count();
            fields.push(field);
        }
        let minimum_len: usize = fields.iter().map(Field::minimum_len).sum();
        if minimum_len == 0 || minimum_len > usize::from(u16::MAX) {
            return Err(EncodeError::LayoutLength(minimum_len));
        }
        self.check_biflow(&fields)?;
        let record = self.record(&fields)?;
        Ok(ExportTemplate {
            protocol: self.protocol,
            id: self.id,
            scope_count: self.scopes.len(),
            fields: fields.into(),
            record: record.into(),
            minimum_len,
            absent: self.absent,
            boot: self.boot,
        })
    }

    fn check(&self, requested: Requested) -> Result<Field, EncodeError> {
        let (field, data_type) = match requested {
            Requested::ScopeType(scope, length) if self.protocol == Protocol::NetFlow9 => {
                return Field::of_scope_type(scope, length);
            }
            Requested::ScopeType(..) => return Err(EncodeError::ScopeKind),
            Requested::Element(field, data_type) => (field, data_type),
        };
        if rules::resolution_nanos(field.element)
            .is_some_and(|nanos| u128::from(nanos) < self.resolution.as_nanos())
        {
            return Err(EncodeError::TimeResolution(field.element.number()));
        }
        Field::of_element(self.protocol, field, data_type)
    }

    /// Reverse elements are for elements that have a reverse, and for flows whose direction can be told.
    fn check_biflow(&self, fields: &[Field]) -> Result<(), EncodeError> {
        if self.protocol == Protocol::NetFlow9 {
            return Ok(());
        }
        let elements = || fields.iter().map(|field| field.specifier.element);
        if let Some(element) = elements().find(|element| is_reverse_of_none(*element)) {
            return Err(EncodeError::NotReversible(element.number()));
        }
        let reverse = elements().any(ElementId::is_reverse);
        if reverse && self.scopes.is_empty() && !elements().any(ElementId::is_directional_key) {
            return Err(EncodeError::NoDirectionalKey);
        }
        Ok(())
    }

    /// The template record (RFC 3954 sections 5.2 and 6.1, RFC 7011 section 3.4).
    fn record(&self, fields: &[Field]) -> Result<Vec<u8>, EncodeError> {
        if self.protocol == Protocol::NetFlow9
            && self.scopes.iter().any(|scope| matches!(scope, Requested::Element(..)))
        {
            return Err(EncodeError::ScopeKind);
        }
        let number = |count: usize| u16::try_from(count).map_err(|_| EncodeError::LayoutLength(count));
        let mut record = Vec::with_capacity(6 + 8 * fields.len());
        record.extend(self.id.to_be_bytes());
        match (self.scopes.len(), self.protocol) {
            (0, _) => record.extend(number(fields.len())?.to_be_bytes()),
            // Octets of specifiers, not of values.
            (scopes, Protocol::NetFlow9) => {
                record.extend(number(4 * scopes)?.to_be_bytes());
                record.extend(number(4 * (fields.len() - scopes))?.to_be_bytes());
            }
            (scopes, Protocol::Ipfix) => {
                record.extend(number(fields.len())?.to_be_bytes());
                record.extend(number(scopes)?.to_be_bytes());
            }
        }
        for field in fields {
            put_specifier(field.specifier, &mut record);
        }
        number(record.len())?;
        Ok(record)
    }
}

/// Whether the element is of the enterprise that stands for reverse elements, and its number of one that has no
/// reverse.
fn is_reverse_of_none(element: ElementId) -> bool {
    element.enterprise() == REVERSE_ENTERPRISE && element.forward().is_none()
}

fn put_specifier(FieldSpecifier { element, length }: FieldSpecifier, record: &mut Vec<u8>) {
    let enterprise = element.enterprise();
    let bit = if enterprise == 0 { 0 } else { 0x8000 };
    record.extend((element.number() | bit).to_be_bytes());
    record.extend(length.to_be_bytes());
    if enterprise != 0 {
        record.extend(enterprise.to_be_bytes());
    }
}

/// A template, compiled for encoding records of any [`FieldSource`].
///
/// [`RecordLayout`](crate::RecordLayout) is its faster sibling for [`FlowRecord`](crate::FlowRecord)s.
#[derive(Clone, Debug)]
pub struct ExportTemplate {
    protocol: Protocol,
    id: u16,
    scope_count: usize,
    fields: Box<[Field]>,
    record: Box<[u8]>,
    minimum_len: usize,
    absent: AbsentFields,
    boot: Option<Timestamp>,
}

impl ExportTemplate {
    /// The template's id.
    #[must_use]
    pub const fn id(&self) -> u16 {
        self.id
    }

    /// The protocol.
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Whether this is an options template.
    #[must_use]
    pub const fn is_options(&self) -> bool {
        self.scope_count > 0
    }

    /// How many of the fields, from the first one, are scopes.
    #[must_use]
    pub const fn scope_count(&self) -> usize {
        self.scope_count
    }

    /// The fields, scopes first; a scope type of v9 is an element of its number.
    #[must_use]
    pub fn fields(&self) -> impl ExactSizeIterator<Item = FieldSpecifier> + '_ {
        self.fields.iter().map(|field| field.specifier)
    }

    /// Octets of the shortest possible record.
    #[must_use]
    pub const fn minimum_len(&self) -> usize {
        self.minimum_len
    }

    /// The template record's octets.
    #[must_use]
    pub const fn template_record(&self) -> &[u8] {
        &self.record
    }

    /// Appends a data record to `octets`, which an error leaves as they were.
    ///
    /// # Errors
    ///
    /// [`EncodeError::FieldMissing`]; [`EncodeError::ValueTooLarge`] when a value has more octets or bits than its
    /// field; [`EncodeError::ValueType`], [`EncodeError::ValueRange`] and [`EncodeError::NotUtf8`] for values that the
    /// element cannot have.
    pub fn encode(
        &self,
        record: &(impl FieldSource + ?Sized),
        octets: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let before = octets.len();
        let result = self.fields.iter().try_for_each(|field| self.encode_field(field, record, octets));
        if result.is_err() {
            octets.truncate(before);
        }
        result
    }

    fn encode_field(
        &self,
        field: &Field,
        record: &(impl FieldSource + ?Sized),
        octets: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let element = field.specifier.element;
        let value = match (field.scope, field.occurrence) {
            _ if field.is_padding() => None,
            (Some(scope), _) => record.scope(scope),
            (None, 0) => record.field(element),
            (None, occurrence) => record.repeated_field(element, occurrence),
        };
        match value {
            Some(value) => field.put(value, self.boot, octets),
            None if field.is_padding() || self.absent == AbsentFields::Zero => field.put_absent(octets),
            None => Err(field.missing()),
        }
    }
}
