//! What was metered of a flow: the record that all versions know, and what only some templates have room for.

use netflow_codec::FlowRecord;
use netflow_flowcache::{Counters, ObservedPacket};

/// A flow that has ended.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct MeteredFlow {
    /// Most of it.
    pub record: FlowRecord,
    /// Octets of the smallest packet (element 25).
    pub minimum_length: u32,
    /// Octets of the largest packet (element 26).
    pub maximum_length: u32,
    /// The Observation Domain of its packets, if that is part of the key (element 149).
    pub observation_domain: u32,
    /// The inner VLAN of its packets, if that is part of the key (element 245).
    pub inner_vlan: u16,
    /// Whether a fragment was among the packets (element 197).
    pub is_fragmented: bool,
}

impl MeteredFlow {
    /// With what its counters say besides.
    #[inline]
    pub(super) const fn counted(record: FlowRecord, counters: &Counters) -> Self {
        Self {
            record,
            minimum_length: counters.minimum_length,
            maximum_length: counters.maximum_length,
            observation_domain: 0,
            inner_vlan: 0,
            is_fragmented: counters.first_fragments || counters.later_fragments,
        }
    }

    /// With what its key says besides.
    pub(super) const fn keyed(mut self, values: &ObservedPacket) -> Self {
        self.observation_domain = values.observation_domain;
        self.inner_vlan = values.inner_vlan;
        self
    }
}

impl From<FlowRecord> for MeteredFlow {
    fn from(record: FlowRecord) -> Self {
        Self { record, ..Self::default() }
    }
}
