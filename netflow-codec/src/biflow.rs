//! Biflows (RFC 5103): records that describe both directions of a conversation.
//!
//! ```text
//! key fields, once    | forward values           | reverse values
//! source, destination | octetDeltaCount (1), ... | reverseOctetDeltaCount (29305/1), ...
//! ```
//!
//! A template that has no reverse element costs a test of one octet.

use crate::{
    element::ElementId,
    flow::{FlowFields, FlowRecord},
    member,
    record::{DataRecord, DataRecords},
    time::ExportClock,
};

/// Who sent the packets that a biflow counts as forward: element biflowDirection (239), RFC 5103 section 6.3.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a number, whichever it is")]
pub struct BiflowDirection(pub u8);

impl BiflowDirection {
    /// Any of the two.
    pub const ARBITRARY: Self = Self(0);
    /// Who began the conversation.
    pub const INITIATOR: Self = Self(1);
    /// Who answered.
    pub const REVERSE_INITIATOR: Self = Self(2);
    /// Whoever is outside of a perimeter.
    pub const PERIMETER: Self = Self(3);

    /// The registered name, such as `initiator`.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        ElementId::BIFLOW_DIRECTION.value_name(self.0.into())
    }
}

/// The two directions of a record, each a flow of its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Biflow {
    /// What [`DataRecord::to_flow`] gives.
    pub forward: FlowRecord,
    /// The other direction, `None` when the template has no reverse element.
    ///
    /// It has the reverse values under the members of their forward elements. Members that the record has once are
    /// those of both directions: source and destination (addresses, prefix lengths, ports, AS numbers, MAC addresses,
    /// interfaces) change places; protocol, TOS, VLAN, sampler, reason of the end and, where the record has no reverse
    /// times, start and end are the same. responderOctets (232) and responderPackets (299) are counters of the reverse
    /// direction, too.
    pub reverse: Option<FlowRecord>,
    /// Which direction is the forward one, where the record says so.
    pub direction: Option<BiflowDirection>,
}

impl DataRecord<'_, '_> {
    /// Both directions of the record, typed.
    ///
    /// ```
    /// # use netflow_codec::{Batch, Decoder, Timestamp};
    /// # let message: &[u8] = &[
    /// #     0, 10, 0, 62, 0x65, 0x53, 0xf1, 0, 0, 0, 0, 0, 0, 0, 0, 1,
    /// #     0, 2, 0, 28, 1, 44, 0, 4, 0, 7, 0, 2, 0, 11, 0, 2, 0, 1, 0, 4, 128, 1, 0, 4, 0, 0, 0x72, 0x79,
    /// #     1, 44, 0, 16, 0x0f, 0xa0, 0, 80, 0, 0, 0, 100, 0, 0, 0x13, 0x88, 0, 0,
    /// # ];
    /// let mut decoder = Decoder::new();
    /// for batch in decoder.decode(&"192.0.2.1", message, Timestamp::ZERO)? {
    ///     if let Batch::Data(records) = batch {
    ///         let biflow = records.biflows().next().unwrap();
    ///         let reverse = biflow.reverse.unwrap();
    ///         assert_eq!((biflow.forward.destination_port, biflow.forward.octets), (80, 100));
    ///         assert_eq!((reverse.source_port, reverse.octets), (80, 5_000));
    ///     }
    /// }
    /// # Ok::<(), netflow_codec::DecodeError>(())
    /// ```
    #[must_use]
    pub fn to_biflow(&self, clock: &ExportClock) -> Biflow {
        self.biflow(self.to_flow(clock), clock)
    }

    fn biflow(&self, forward: FlowRecord, clock: &ExportClock) -> Biflow {
        if !self.template().is_biflow() {
            return Biflow { forward, reverse: None, direction: None };
        }
        let reverse_fields = self.fields().filter(|field| field.scope_type().is_none()).filter_map(|field| {
            let forward = reverse_member(field.element())?;
            Some((forward, field.octets()))
        });
        let mut reverse = member::walk(reverse_fields, &self.clock(clock));
        complete(&mut reverse, &forward);
        let direction = self.fields().find(|field| field.element() == ElementId::BIFLOW_DIRECTION);
        let direction = direction.and_then(|field| u8::try_from(field.as_unsigned()?).ok());
        Biflow { forward, reverse: Some(reverse), direction: direction.map(BiflowDirection) }
    }
}

impl DataRecords<'_> {
    /// The records in order, both directions typed; none when the template has reverse elements without a key that
    /// tells the directions apart (RFC 5103 section 4), which [`Self::fault`] reports.
    pub fn biflows(&self) -> impl Iterator<Item = Biflow> + '_ {
        let count = if self.template().is_reverse_only() { 0 } else { usize::MAX };
        self.iter()
            .zip(self.flows())
            .take(count)
            .map(|(record, forward)| record.biflow(forward, self.clock()))
    }
}

/// The element whose reverse direction this one is.
fn reverse_member(element: ElementId) -> Option<ElementId> {
    match element {
        ElementId::RESPONDER_OCTETS => Some(ElementId::INITIATOR_OCTETS),
        ElementId::RESPONDER_PACKETS => Some(ElementId::INITIATOR_PACKETS),
        element => element.forward(),
    }
}

/// Takes what both directions have in common from the forward one.
fn complete(reverse: &mut FlowRecord, forward: &FlowRecord) {
    use FlowFields as F;
    macro_rules! take {
        ($($member:ident, $field:ident from $other:ident, $other_field:ident;)*) => {
            $(
                if forward.has(F::$other_field) && !reverse.has(F::$field) {
                    reverse.$member = forward.$other;
                    reverse.fields |= F::$field;
                }
            )*
        };
    }
    if !reverse.has(F::START) && !reverse.has(F::END) {
        take! {
            start, START from start, START;
            end, END from end, END;
        }
    }
    take! {
        source, SOURCE from destination, DESTINATION;
        destination, DESTINATION from source, SOURCE;
        source_port, SOURCE_PORT from destination_port, DESTINATION_PORT;
        destination_port, DESTINATION_PORT from source_port, SOURCE_PORT;
        source_prefix_length, SOURCE_PREFIX_LENGTH from destination_prefix_length, DESTINATION_PREFIX_LENGTH;
        destination_prefix_length, DESTINATION_PREFIX_LENGTH from source_prefix_length, SOURCE_PREFIX_LENGTH;
        source_as, SOURCE_AS from destination_as, DESTINATION_AS;
        destination_as, DESTINATION_AS from source_as, SOURCE_AS;
        source_mac, SOURCE_MAC from destination_mac, DESTINATION_MAC;
        destination_mac, DESTINATION_MAC from source_mac, SOURCE_MAC;
        ingress_interface, INGRESS_INTERFACE from egress_interface, EGRESS_INTERFACE;
        egress_interface, EGRESS_INTERFACE from ingress_interface, INGRESS_INTERFACE;
        protocol, PROTOCOL from protocol, PROTOCOL;
        tos, TOS from tos, TOS;
        vlan, VLAN from vlan, VLAN;
        sampler_id, SAMPLER_ID from sampler_id, SAMPLER_ID;
        sampling_interval, SAMPLING_INTERVAL from sampling_interval, SAMPLING_INTERVAL;
        flow_end_reason, FLOW_END_REASON from flow_end_reason, FLOW_END_REASON;
    }
}
