//! Reports as options of `netflow-codec` (feature `codec`).

use netflow_codec::{
    ElementId, EncodeError, FieldSource, FieldSpecifier, FieldValue, OptionsData, Protocol,
    SamplingAlgorithm, SamplingInfo, SamplingSource, TemplateBuilder,
};

use crate::sample::{OptionsRecord, Parameter, ParameterValue, Rate};

impl Rate {
    /// The rate as that of a whole domain; `None` for one in none, which is no rate.
    #[must_use]
    pub fn to_sampling_info(self) -> Option<SamplingInfo> {
        SamplingInfo::new(
            self.interval,
            SamplingAlgorithm::from_number(self.algorithm),
            SamplingSource::Domain,
        )
    }
}

impl FieldSource for OptionsRecord {
    fn field(&self, element: ElementId) -> Option<FieldValue<'_>> {
        self.repeated_field(element, 0)
    }

    fn repeated_field(&self, element: ElementId, occurrence: usize) -> Option<FieldValue<'_>> {
        if element.enterprise() != 0 {
            return None;
        }
        let of_element = |parameter: &&Parameter| parameter.element == element.number();
        self.parameters().filter(of_element).nth(occurrence).map(|parameter| field_value(&parameter.value))
    }
}

impl OptionsRecord {
    /// The record with its options template, for IPFIX: version 9 has no scope for it.
    ///
    /// ```
    /// use netflow_flowcache::sample::{Secrets, Selector, SystematicCount};
    ///
    /// let selector = Selector::new(15, SystematicCount::new(1, 9, 0)?);
    /// let report = selector.report(Secrets::Keep).ok_or("no algorithm")?;
    /// let options = report.to_options(310)?;
    /// assert_eq!(options.template().id(), 310);
    /// // selectorId 15; selectorAlgorithm 1, interval 1, space 9
    /// let record: Vec<u8> = options.records().flatten().copied().collect();
    /// assert_eq!(record, [0, 0, 0, 0, 0, 0, 0, 15, 0, 1, 0, 0, 0, 1, 0, 0, 0, 9]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`EncodeError::TemplateId`] below 256.
    pub fn to_options(&self, template_id: u16) -> Result<OptionsData, EncodeError> {
        let specifier = |parameter: &Parameter| {
            FieldSpecifier::new(ElementId::iana(parameter.element), parameter.value.field_length())
        };
        let builder = TemplateBuilder::new(Protocol::Ipfix, template_id);
        let builder = self.scope.iter().fold(builder, |builder, scope| builder.scope(specifier(scope)));
        let mut options = OptionsData::new(builder.fields(self.fields.iter().map(specifier)).build()?)?;
        options.push(self)?;
        Ok(options)
    }
}

fn field_value(value: &ParameterValue) -> FieldValue<'_> {
    match value {
        ParameterValue::Unsigned8(value) => FieldValue::Unsigned((*value).into()),
        ParameterValue::Unsigned16(value) => FieldValue::Unsigned((*value).into()),
        ParameterValue::Unsigned32(value) => FieldValue::Unsigned((*value).into()),
        ParameterValue::Unsigned64(value) => FieldValue::Unsigned(*value),
        ParameterValue::Float64(value) => FieldValue::Float(*value),
        ParameterValue::Boolean(value) => FieldValue::Boolean(*value),
        ParameterValue::Address(core::net::IpAddr::V4(address)) => FieldValue::Ipv4Address(*address),
        ParameterValue::Address(core::net::IpAddr::V6(address)) => FieldValue::Ipv6Address(*address),
        ParameterValue::MacAddress(address) => FieldValue::MacAddress(*address),
        ParameterValue::Text(text) => FieldValue::String(text),
    }
}
