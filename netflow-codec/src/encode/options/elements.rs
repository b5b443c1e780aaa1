//! What templates do not say of their elements: which are the flow key (RFC 7011 section 4.4), and what type those of
//! enterprises have (RFC 5610).

use super::{OptionsData, ipfix_only, unsigned};
use crate::{
    element::{DataType, ElementId},
    encode::template::ExportTemplate,
    error::EncodeError,
    template::{FieldSpecifier, Protocol},
    value::FieldValue,
};

/// An element of an enterprise, as RFC 5610 section 3 describes it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "complete: the elements of the options record")]
pub struct ElementDescription<'a> {
    /// The element: enterprise and number.
    pub element: ElementId,
    /// informationElementDataType (339).
    pub data_type: DataType,
    /// informationElementSemantics (344): 0 default, 1 quantity, 2 totalCounter, 3 deltaCounter, 4 identifier, 5 flags.
    pub semantics: u8,
    /// informationElementUnits (345), 0 for none.
    pub units: u16,
    /// informationElementRangeBegin and End (342, 343): 0 and 0 for the type's own range.
    pub range: (u64, u64),
    /// informationElementName (341).
    pub name: &'a str,
    /// informationElementDescription (340).
    pub description: &'a str,
}

impl OptionsData {
    /// Which fields of templates are the flow key: bit n of flowKeyIndicator (173) stands for field n, from 0. IPFIX only.
    ///
    /// # Errors
    ///
    /// [`EncodeError::NotInV9`]; [`EncodeError::TemplateId`] below 256.
    pub fn flow_keys(
        protocol: Protocol,
        template_id: u16,
        indicators: &[(u16, u64)],
    ) -> Result<Self, EncodeError> {
        let template = ipfix_only(protocol, template_id, &[(145, 2)], &[(173, 8)])?;
        let records =
            indicators.iter().map(|(id, keys)| [unsigned(145, u64::from(*id)), unsigned(173, *keys)]);
        Self::of_records(template, records)
    }

    /// The types of enterprise elements. IPFIX only.
    ///
    /// # Errors
    ///
    /// [`EncodeError::NotInV9`]; [`EncodeError::TemplateId`] below 256; [`EncodeError::ElementNumber`] for an element of
    /// the IANA registry, whose type is no exporter's to tell (RFC 5610 section 3.9); [`EncodeError::ValueRange`] for a
    /// name with a NUL (section 4), semantics that the type cannot have (section 3.10), or a range that ends before it
    /// begins.
    pub fn element_types(
        protocol: Protocol,
        template_id: u16,
        elements: &[ElementDescription<'_>],
    ) -> Result<Self, EncodeError> {
        let fields = [(339, 1), (344, 1), (345, 2), (342, 8), (343, 8), (341, u16::MAX), (340, u16::MAX)];
        let template = ipfix_only(protocol, template_id, &[(346, 4), (303, 2)], &fields)?;
        let mut options = Self::new(template)?;
        for described in elements {
            let number = described.element.number();
            if described.element.enterprise() == 0 {
                return Err(EncodeError::ElementNumber(number));
            }
            if !described.is_sound() {
                return Err(EncodeError::ValueRange { element: number });
            }
            options.push(&[
                unsigned(346, described.element.enterprise().into()),
                unsigned(303, number.into()),
                unsigned(339, type_number(described.data_type).into()),
                unsigned(344, described.semantics.into()),
                unsigned(345, described.units.into()),
                unsigned(342, described.range.0),
                unsigned(343, described.range.1),
                (ElementId::iana(341), FieldValue::String(described.name)),
                (ElementId::iana(340), FieldValue::String(described.description)),
            ])?;
        }
        Ok(options)
    }
}

impl ElementDescription<'_> {
    fn is_sound(&self) -> bool {
        use DataType as T;
        let is_number = matches!(
            self.data_type,
            T::Unsigned8
                | T::Unsigned16
                | T::Unsigned32
                | T::Unsigned64
                | T::Signed8
                | T::Signed16
                | T::Signed32
                | T::Signed64
        );
        let is_float = matches!(self.data_type, T::Float32 | T::Float64);
        let semantics = match self.semantics {
            0 => true,
            1 => is_number || is_float,
            2..=4 => is_number || is_float && self.semantics != 4,
            5 => is_number,
            _ => false,
        };
        semantics && !self.name.contains('\0') && !self.name.is_empty() && self.range.0 <= self.range.1
    }
}

/// informationElementDataType (RFC 5610 section 3.1, and the registry behind it).
const fn type_number(data_type: DataType) -> u8 {
    match data_type {
        DataType::OctetArray => 0,
        DataType::Unsigned8 => 1,
        DataType::Unsigned16 => 2,
        DataType::Unsigned32 => 3,
        DataType::Unsigned64 => 4,
        DataType::Signed8 => 5,
        DataType::Signed16 => 6,
        DataType::Signed32 => 7,
        DataType::Signed64 => 8,
        DataType::Float32 => 9,
        DataType::Float64 => 10,
        DataType::Boolean => 11,
        DataType::MacAddress => 12,
        DataType::String => 13,
        DataType::DateTimeSeconds => 14,
        DataType::DateTimeMilliseconds => 15,
        DataType::DateTimeMicroseconds => 16,
        DataType::DateTimeNanoseconds => 17,
        DataType::Ipv4Address => 18,
        DataType::Ipv6Address => 19,
        DataType::BasicList => 20,
        DataType::SubTemplateList => 21,
        DataType::SubTemplateMultiList => 22,
        DataType::Unsigned256 => 23,
    }
}

impl ExportTemplate {
    /// The flowKeyIndicator of this template: one bit for each field that `is_key` says yes to. Fields behind the 64th
    /// have no bit (RFC 7011 section 4.4).
    pub fn flow_key_indicator(&self, mut is_key: impl FnMut(FieldSpecifier) -> bool) -> u64 {
        let mut bit = 1u64;
        self.fields().take(64).fold(0, |keys, field| {
            let keys = if is_key(field) { keys | bit } else { keys };
            bit = bit.wrapping_shl(1);
            keys
        })
    }
}
