//! What templates do not say of their elements: which are the flow key (RFC 7011 section 4.4), and what type those of
//! enterprises have (RFC 5610).

use super::{OptionsData, ipfix_only, unsigned};
use crate::{
    element::{DataType, ElementId, Semantics, Units},
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
    /// informationElementSemantics (344).
    pub semantics: Semantics,
    /// informationElementUnits (345).
    pub units: Units,
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
                unsigned(339, described.data_type.number().into()),
                unsigned(344, described.semantics.0.into()),
                unsigned(345, described.units.0.into()),
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
        let semantics = self.semantics.fits(self.data_type);
        semantics && !self.name.contains('\0') && !self.name.is_empty() && self.range.0 <= self.range.1
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
