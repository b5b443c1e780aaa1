//! A span of time that is looked at.

use netflow_codec::{FlowFields, Timestamp};

use crate::flow::Flow;

/// From when to when, both included; without an end it is open there.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Window {
    /// Flows that lasted beyond this time.
    pub from: Option<Timestamp>,
    /// Flows that began before this time.
    pub to: Option<Timestamp>,
}

impl Window {
    /// Whether a flow was there at some time of the window; one without times is in none but the open one.
    #[must_use]
    pub fn admits(&self, flow: &Flow<'_>) -> bool {
        let record = &flow.record;
        let after = |from: Timestamp| record.has(FlowFields::END) && record.end >= from;
        let before = |to: Timestamp| record.has(FlowFields::START) && record.start <= to;
        self.from.is_none_or(after) && self.to.is_none_or(before)
    }
}
