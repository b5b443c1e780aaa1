//! Biflows (RFC 5103): both directions of a conversation as one record of IPFIX.
//!
//! ```text
//! key fields, once | values of the initiator's packets | reverse values | biflowDirection (239)
//! ```
//!
//! The meter ends both directions together and hands out that of the initiator first. The flow behind it becomes the
//! reverse of the same record if it is the answer. A flow without one is exported as ever: by a template that has no
//! reverse elements (RFC 5103 section 4).

use core::time::Duration;

use netflow_codec::{
    BiflowDirection, ElementId, EncodeError, ExportSession, ExportTemplate, FieldSource, FieldSpecifier,
    FieldValue, FlowRecord, Protocol, SessionConfig, TemplateBuilder, Timestamp,
};

use super::records::{FRAGMENT_FLAGS, MAXIMUM_LENGTH, MINIMUM_LENGTH, Source};
use crate::meter::MeteredFlow;

/// Templates of IPv4 and IPv6, so far behind the first one of a session, which has eight itself and options up to the 18th.
const TEMPLATES: [u16; 2] = [24, 25];
/// A flow waits no longer for its reverse, which the meter hands out at once behind it.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// What the two directions have each.
const REVERSIBLE: [ElementId; 13] = [
    ElementId::PACKET_DELTA_COUNT,
    ElementId::OCTET_DELTA_COUNT,
    ElementId::FLOW_START_SYS_UP_TIME,
    ElementId::FLOW_END_SYS_UP_TIME,
    ElementId::FLOW_START_MILLISECONDS,
    ElementId::FLOW_END_MILLISECONDS,
    ElementId::EGRESS_INTERFACE,
    ElementId::TCP_CONTROL_BITS,
    ElementId::MINIMUM_TTL,
    ElementId::MAXIMUM_TTL,
    MINIMUM_LENGTH,
    MAXIMUM_LENGTH,
    FRAGMENT_FLAGS,
];

/// Puts the directions of a conversation together.
#[derive(Debug, Default)]
pub(super) struct Pairing {
    /// A flow whose reverse may be the next one, and since when it waits.
    waiting: Option<(MeteredFlow, Timestamp)>,
    /// Whether the session has the templates.
    pub(super) is_announced: bool,
}

/// Both directions, of which a record is made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conversation {
    pub(super) forward: MeteredFlow,
    pub(super) reverse: MeteredFlow,
}

/// What is to be exported now that a flow has come.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::large_enum_variant, reason = "passed on at once, and never kept")]
pub(super) enum Paired {
    /// Nothing yet.
    Waits,
    /// A flow that nothing answered, before the one that waits now.
    One(MeteredFlow),
    /// A conversation.
    Both(Conversation),
}

impl Pairing {
    /// Takes the next flow.
    pub(super) fn take(&mut self, flow: &MeteredFlow, now: Timestamp) -> Paired {
        match self.waiting.take() {
            Some((forward, _)) if answers(&flow.record, &forward.record) => {
                Paired::Both(Conversation { forward, reverse: *flow })
            }
            before => {
                self.waiting = Some((*flow, now));
                before.map_or(Paired::Waits, |(flow, _)| Paired::One(flow))
            }
        }
    }

    /// When the flow that waits has waited long enough.
    pub(super) fn due(&self) -> Option<Timestamp> {
        self.waiting.map(|(_, since)| since.saturating_add(LONGEST_WAIT))
    }

    /// The flow that waits.
    pub(super) const fn release(&mut self) -> Option<MeteredFlow> {
        match self.waiting.take() {
            Some((flow, _)) => Some(flow),
            None => None,
        }
    }
}

/// Whether a flow is the other direction of the one before. Labels have no room in the templates.
fn answers(flow: &FlowRecord, first: &FlowRecord) -> bool {
    (flow.source, flow.destination) == (first.destination, first.source)
        && (flow.source_port, flow.destination_port) == (first.destination_port, first.source_port)
        && (flow.protocol, flow.vlan, flow.sampler_id) == (first.protocol, first.vlan, first.sampler_id)
        && flow.mpls_labels.is_empty()
        && first.mpls_labels.is_empty()
}

impl Conversation {
    /// The template that has room for it, of a session whose ids begin with that.
    pub(super) const fn template_id(&self, first_template: u16) -> u16 {
        let [ipv4, ipv6] = TEMPLATES;
        first_template + if self.forward.record.is_ipv6() { ipv6 } else { ipv4 }
    }
}

impl Conversation {
    /// What its record is made of; flows that name no selector name this one.
    pub(super) const fn source(&self, selector: u32) -> BothSource<'_> {
        BothSource {
            forward: Source { flow: &self.forward, selector },
            reverse: Source { flow: &self.reverse, selector },
        }
    }
}

/// Both directions, for templates.
pub(super) struct BothSource<'a> {
    forward: Source<'a>,
    reverse: Source<'a>,
}

impl FieldSource for BothSource<'_> {
    fn field(&self, element: ElementId) -> Option<FieldValue<'_>> {
        if element == ElementId::BIFLOW_DIRECTION {
            // RFC 5103 section 6.3: over UDP each record has it.
            return Some(FieldValue::Unsigned(BiflowDirection::INITIATOR.0.into()));
        }
        match element.forward() {
            Some(element) => self.reverse.field(element),
            None => self.forward.field(element),
        }
    }
}

/// The templates for both directions of what a session has templates for.
///
/// # Errors
///
/// None that the templates of a session lead to.
pub(super) fn templates(
    session: &ExportSession,
    config: &SessionConfig,
) -> Result<Vec<ExportTemplate>, EncodeError> {
    let layouts = session.layouts().iter().map(|layout| layout.fields().to_vec());
    let templates = config.templates.iter().map(|template| template.fields().collect());
    let of_fields = |(fields, id): (Vec<FieldSpecifier>, u16)| {
        let reversible = fields.iter().filter(|field| REVERSIBLE.contains(&field.element));
        let reverse: Vec<_> = reversible
            .filter_map(|field| Some(FieldSpecifier::new(field.element.reverse()?, field.length)))
            .collect();
        TemplateBuilder::new(Protocol::Ipfix, id)
            .fields(fields)
            .fields(reverse)
            .field(FieldSpecifier::new(ElementId::BIFLOW_DIRECTION, 1))
            .boot(config.boot)
            .build()
    };
    layouts.chain(templates).zip(TEMPLATES.map(|id| config.first_template + id)).map(of_fields).collect()
}
