//! The default layouts, written out: every offset is a constant.
//!
//! [`RecordLayout`](super::RecordLayout) takes this way when its fields are those of a default layout, with times of
//! either kind, selectorId and MPLS labels behind them included, and the general one for any other; a test holds the two
//! together.

use super::{
    layout::{COMMON_FIELDS, IPV4_FIELDS, IPV4_TAIL, IPV6_FIELDS, IPV6_TAIL},
    program::ROOM,
    times::{SELECTOR_ID, dated_absolutely},
    words::{uptime, v4, v6},
};
use crate::{
    element::ElementId,
    flow::{FlowRecord, MplsLabel, MplsLabels},
    template::FieldSpecifier,
    time::Timestamp,
};

/// A default layout, and what stands behind its fields.
#[derive(Clone, Copy, Debug)]
pub(super) struct Straight {
    ipv6: bool,
    /// Whether times are Unix milliseconds in the place of uptimes.
    absolute: bool,
    /// Whether selectorId is there.
    selector: bool,
    labels: usize,
}

/// Flow labels have three octets in the default layout.
const FLOW_LABEL_MAX: u32 = 0x00ff_ffff;

impl Straight {
    /// The default layout that these fields are, if any.
    pub(super) fn of(fields: &[FieldSpecifier]) -> Option<Self> {
        let absolute = fields.contains(&FieldSpecifier::new(ElementId::FLOW_START_MILLISECONDS, 8));
        let default = |parts: [&'static [(ElementId, u16)]; 3]| {
            let count = parts.iter().map(|part| part.len()).sum::<usize>();
            let (start, behind) = fields.split_at_checked(count)?;
            let expected = parts.into_iter().flatten().map(|(element, length)| {
                let field = FieldSpecifier::new(*element, *length);
                if absolute { dated_absolutely(field) } else { field }
            });
            start.iter().copied().eq(expected).then_some(behind)
        };
        let (ipv6, behind) = match default([IPV4_FIELDS, COMMON_FIELDS, IPV4_TAIL]) {
            Some(behind) => (false, behind),
            None => (true, default([IPV6_FIELDS, COMMON_FIELDS, IPV6_TAIL])?),
        };
        let (selector, labels) = match behind.split_first() {
            Some((field, labels)) if *field == FieldSpecifier::new(SELECTOR_ID, 4) => (true, labels),
            _ => (false, behind),
        };
        let expected = (ElementId::MPLS_TOP_LABEL_STACK_SECTION.number()..).map(ElementId::iana);
        let is_stack = labels.len() <= MplsLabels::MAX_LEN
            && labels
                .iter()
                .zip(expected)
                .all(|(field, element)| (field.element, field.length) == (element, 3));
        is_stack.then_some(Self { ipv6, absolute, selector, labels: labels.len() })
    }

    /// Writes a record of a flow whose addresses are of the layout's family; says whether its flow label fits.
    #[inline]
    pub(super) fn encode(self, flow: &FlowRecord, boot: Timestamp, record: &mut [u8; ROOM]) -> bool {
        let mut rest = if self.ipv6 {
            if flow.ipv6_flow_label > FLOW_LABEL_MAX {
                return false;
            }
            ipv6(flow, boot, self.absolute, record)
        } else {
            ipv4(flow, boot, self.absolute, record)
        };
        if self.selector {
            rest = put(rest, flow.sampler_id.to_be_bytes());
        }
        for position in 0..self.labels {
            rest = put(rest, flow.mpls_labels.get(position).map_or([0; 3], MplsLabel::octets));
        }
        true
    }
}

/// Stores octets at the start of `rest`, which has room for them; what is behind them.
#[inline]
fn put<const N: usize>(rest: &mut [u8], octets: [u8; N]) -> &mut [u8] {
    match rest.split_first_chunk_mut() {
        Some((place, rest)) => {
            *place = octets;
            rest
        }
        None => &mut [],
    }
}

#[inline]
fn ipv4<'r>(flow: &FlowRecord, boot: Timestamp, absolute: bool, record: &'r mut [u8; ROOM]) -> &'r mut [u8] {
    let rest = put(record, v4(flow.source));
    let rest = put(rest, v4(flow.destination));
    let rest = put(rest, v4(flow.next_hop));
    common(flow, boot, absolute, false, rest)
}

#[inline]
fn ipv6<'r>(flow: &FlowRecord, boot: Timestamp, absolute: bool, record: &'r mut [u8; ROOM]) -> &'r mut [u8] {
    let [_, flow_label @ ..] = flow.ipv6_flow_label.to_be_bytes();
    let rest = put(record, v6(flow.source));
    let rest = put(rest, v6(flow.destination));
    let rest = put(rest, v6(flow.next_hop));
    let rest = put(rest, flow_label);
    common(flow, boot, absolute, true, rest)
}

/// [`COMMON_FIELDS`], then type and code of ICMP and the prefix lengths.
#[inline]
fn common<'r>(
    flow: &FlowRecord,
    boot: Timestamp,
    absolute: bool,
    ipv6: bool,
    rest: &'r mut [u8],
) -> &'r mut [u8] {
    let rest = put(rest, flow.packets.to_be_bytes());
    let rest = put(rest, flow.octets.to_be_bytes());
    let rest = if absolute {
        let rest = put(rest, flow.start.as_millis().to_be_bytes());
        put(rest, flow.end.as_millis().to_be_bytes())
    } else {
        let rest = put(rest, uptime(flow.start, boot).to_be_bytes());
        put(rest, uptime(flow.end, boot).to_be_bytes())
    };
    let rest = put(rest, flow.ingress_interface.to_be_bytes());
    let rest = put(rest, flow.egress_interface.to_be_bytes());
    let rest = put(rest, flow.source_as.to_be_bytes());
    let rest = put(rest, flow.destination_as.to_be_bytes());
    let rest = put(rest, flow.source_port.to_be_bytes());
    let rest = put(rest, flow.destination_port.to_be_bytes());
    let rest = put(rest, flow.vlan.to_be_bytes());
    // The nonce bit has no place in one octet.
    let [_, tcp_flags] = flow.tcp_flags.to_be_bytes();
    let version = if ipv6 { 6 } else { 4 };
    let rest = put(rest, [flow.protocol, flow.tos, tcp_flags, version, flow.flow_end_reason]);
    let rest = put(rest, flow.icmp_type_code.to_be_bytes());
    put(rest, [flow.source_prefix_length, flow.destination_prefix_length])
}
