//! Layouts of flow records by how their times are coded.

use alloc::vec::Vec;

use super::layout::RecordLayout;
use crate::{element::ElementId, error::EncodeError, template::FieldSpecifier};

/// How a session dates flows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum FlowTimes {
    /// flowStartSysUpTime and flowEndSysUpTime (22, 21): what v9 has. In IPFIX, whose header has no uptime, options
    /// records announce when the exporter booted (RFC 5153 section 4.7).
    Uptime,
    /// flowStartMilliseconds and flowEndMilliseconds (152, 153): what IPFIX should have.
    Milliseconds,
}

/// selectorId.
pub(super) const SELECTOR_ID: ElementId = ElementId::iana(302);

/// The field, or the one of Unix milliseconds in the place of one of uptime.
pub(super) const fn dated_absolutely(field: FieldSpecifier) -> FieldSpecifier {
    match field.element {
        ElementId::FLOW_START_SYS_UP_TIME => FieldSpecifier::new(ElementId::FLOW_START_MILLISECONDS, 8),
        ElementId::FLOW_END_SYS_UP_TIME => FieldSpecifier::new(ElementId::FLOW_END_MILLISECONDS, 8),
        _ => field,
    }
}

impl RecordLayout {
    /// This layout with times in Unix milliseconds (152, 153) in the place of uptimes (22, 21).
    ///
    /// # Errors
    ///
    /// [`EncodeError::LayoutLength`] when the record becomes longer than 255 octets.
    pub fn with_absolute_times(&self) -> Result<Self, EncodeError> {
        let fields: Vec<_> = self.fields().iter().copied().map(dated_absolutely).collect();
        Self::new(self.template_id(), &fields)
    }

    /// This layout with one more field at its end.
    ///
    /// # Errors
    ///
    /// As [`Self::new`].
    pub fn with_field(&self, field: FieldSpecifier) -> Result<Self, EncodeError> {
        let mut fields = self.fields().to_vec();
        fields.push(field);
        Self::new(self.template_id(), &fields)
    }
}
