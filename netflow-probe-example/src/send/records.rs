//! The templates of flows whose key, or what is collected of them, is not the usual one.

use netflow_codec::{
    AbsentFields, ElementId, EncodeError, ExportTemplate, ExportVersion, FieldSource, FieldSpecifier,
    FieldValue, FlowTimes, Protocol, SessionConfig, TemplateBuilder,
};
use netflow_flowcache::{KeyFields, MplsStack};

use crate::meter::{Collect, Key, MeteredFlow};

const SELECTOR_ID: ElementId = ElementId::iana(302);
pub(super) const FRAGMENT_FLAGS: ElementId = ElementId::iana(197);
pub(super) const MINIMUM_LENGTH: ElementId = ElementId::iana(25);
pub(super) const MAXIMUM_LENGTH: ElementId = ElementId::iana(26);
const OBSERVATION_DOMAIN: ElementId = ElementId::iana(149);
const INNER_VLAN: ElementId = ElementId::iana(245);
/// The bit of fragmentFlags that says that fragments are to come.
const MORE_FRAGMENTS: u64 = 0x20;

/// Fields for a part of the key or of what is collected.
#[derive(Clone, Copy)]
enum Part {
    /// The same for both families: element and octets.
    Both(u16, u16),
    /// Of IPv4 and of IPv6.
    Each((u16, u16), (u16, u16)),
    /// Of IPv6 only.
    Ipv6(u16, u16),
}

/// Fields of the key, in the order that records have them. Label stacks go last.
const KEY: [(KeyFields, Part); 20] = [
    (KeyFields::SOURCE_ADDRESS, Part::Each((8, 4), (27, 16))),
    (KeyFields::DESTINATION_ADDRESS, Part::Each((12, 4), (28, 16))),
    (KeyFields::SOURCE_PORT, Part::Both(7, 2)),
    (KeyFields::DESTINATION_PORT, Part::Both(11, 2)),
    (KeyFields::PROTOCOL, Part::Both(4, 1)),
    (KeyFields::TOS, Part::Both(5, 1)),
    (KeyFields::ICMP_TYPE_CODE, Part::Each((32, 2), (139, 2))),
    (KeyFields::TCP_FLAGS, Part::Both(6, 2)),
    (KeyFields::INGRESS_INTERFACE, Part::Both(10, 4)),
    (KeyFields::EGRESS_INTERFACE, Part::Both(14, 4)),
    (KeyFields::DIRECTION, Part::Both(61, 1)),
    (KeyFields::VLAN, Part::Both(58, 2)),
    (KeyFields::INNER_VLAN, Part::Both(245, 2)),
    (KeyFields::SOURCE_MAC, Part::Both(56, 6)),
    (KeyFields::DESTINATION_MAC, Part::Both(80, 6)),
    (KeyFields::IPV6_FLOW_LABEL, Part::Ipv6(31, 3)),
    (KeyFields::NEXT_HOP, Part::Each((15, 4), (62, 16))),
    (KeyFields::SOURCE_AS, Part::Both(16, 4)),
    (KeyFields::DESTINATION_AS, Part::Both(17, 4)),
    (KeyFields::OBSERVATION_DOMAIN, Part::Both(149, 4)),
];

/// What v5 has no room for, with its name.
const NOT_IN_V5: [(KeyFields, &str); 8] = [
    (KeyFields::DIRECTION, "flow direction"),
    (KeyFields::VLAN, "datalink vlan"),
    (KeyFields::INNER_VLAN, "datalink inner-vlan"),
    (KeyFields::SOURCE_MAC, "datalink mac source address"),
    (KeyFields::DESTINATION_MAC, "datalink mac destination address"),
    (KeyFields::MPLS_LABELS, "mpls labels"),
    (KeyFields::OBSERVATION_DOMAIN, "flow observation-domain"),
    (KeyFields::ICMP_TYPE_CODE, "transport icmp type-code, without the protocol"),
];

/// What is collected, each with the part of the key that says the same.
const COLLECTED: [(Collect, KeyFields, Part); 11] = [
    (Collect::OUTPUT, KeyFields::EGRESS_INTERFACE, Part::Both(14, 4)),
    (Collect::TCP_FLAGS, KeyFields::TCP_FLAGS, Part::Both(6, 1)),
    (Collect::MINIMUM_TTL, KeyFields::NONE, Part::Both(52, 1)),
    (Collect::MAXIMUM_TTL, KeyFields::NONE, Part::Both(53, 1)),
    (Collect::MINIMUM_LENGTH, KeyFields::NONE, Part::Both(25, 4)),
    (Collect::MAXIMUM_LENGTH, KeyFields::NONE, Part::Both(26, 4)),
    (Collect::FRAGMENTS, KeyFields::NONE, Part::Both(197, 1)),
    (Collect::VLAN, KeyFields::VLAN, Part::Both(58, 2)),
    (Collect::SOURCE_MAC, KeyFields::SOURCE_MAC, Part::Both(56, 6)),
    (Collect::DESTINATION_MAC, KeyFields::DESTINATION_MAC, Part::Both(80, 6)),
    (Collect::FLOW_LABEL, KeyFields::IPV6_FLOW_LABEL, Part::Ipv6(31, 3)),
];

/// What the table of attributes says of each end.
const ROUTES: [(KeyFields, Part, Part); 2] = [
    (KeyFields::SOURCE_ADDRESS, Part::Both(16, 4), Part::Each((9, 1), (29, 1))),
    (KeyFields::DESTINATION_ADDRESS, Part::Both(17, 4), Part::Each((13, 1), (30, 1))),
];

/// What records say of flows: by their key, and what is collected of them.
#[derive(Clone, Copy, Debug)]
pub struct RecordContent {
    key: KeyFields,
    /// `None` where records are the usual ones.
    collect: Option<Collect>,
    has_routes: bool,
}

impl RecordContent {
    /// The content of records of flows with this key. Where the key is not the usual one all that is counted is collected,
    /// unless it is said what.
    #[must_use]
    pub const fn new(key: &Key, collect: Option<Collect>, has_routes: bool) -> Self {
        let fields = match key {
            Key::SevenTuple => KeyFields::SEVEN_TUPLE,
            Key::Fields(spec) => spec.fields(),
            Key::Biflow => KeyFields::FIVE_TUPLE,
        };
        let collect = match (key, collect) {
            (Key::SevenTuple, collect) => collect,
            (_, None) => Some(Collect::COUNTED),
            (_, collect) => collect,
        };
        Self { key: fields, collect, has_routes }
    }

    /// The templates of a session of this configuration, with the first of the ids that it has for flows: of IPv4 and IPv6,
    /// and those with label stacks. None where the session's own ones say it all.
    ///
    /// # Errors
    ///
    /// When there can be no such templates.
    pub fn templates(
        &self,
        config: &SessionConfig,
        first: u16,
        selector: bool,
    ) -> Result<Vec<ExportTemplate>, EncodeError> {
        let Some(collect) = self.collect else { return Ok(Vec::new()) };
        let protocol = match config.version {
            ExportVersion::V5 => return Ok(Vec::new()),
            ExportVersion::V9 => Protocol::NetFlow9,
            _ => Protocol::Ipfix,
        };
        let has_labels = self.key.contains(KeyFields::MPLS_LABELS) || collect.contains(Collect::MPLS);
        let shapes = [(false, false), (true, false), (false, true), (true, true)];
        let shapes = shapes.into_iter().filter(|(_, labels)| has_labels || !labels);
        (first..)
            .zip(shapes)
            .map(|(id, (ipv6, labels))| {
                let mut fields = self.fields(collect, config.times, ipv6);
                if selector {
                    fields.push(FieldSpecifier::new(SELECTOR_ID, 4));
                }
                if labels {
                    let top = ElementId::MPLS_TOP_LABEL_STACK_SECTION.number();
                    let stack = (top..).take(MplsStack::MAX_DEPTH);
                    fields.extend(stack.map(|label| FieldSpecifier::new(ElementId::iana(label), 3)));
                }
                TemplateBuilder::new(protocol, id)
                    .fields(fields)
                    .boot(config.boot)
                    .absent_fields(AbsentFields::Zero)
                    .build()
            })
            .collect()
    }

    fn fields(&self, collect: Collect, times: FlowTimes, ipv6: bool) -> Vec<FieldSpecifier> {
        let mut fields = Fields { ipv6, list: Vec::new() };
        for (key, part) in KEY {
            if self.has(key) {
                fields.push(part);
            }
        }
        for (key, number, length) in ROUTES {
            if self.has_routes && self.has(key) {
                fields.push(number);
            }
            if self.has(key) && (self.has_routes || self.is_cut(key)) {
                fields.push(length);
            }
        }
        if self.has_routes && self.has(KeyFields::DESTINATION_ADDRESS) {
            fields.push(Part::Each((15, 4), (62, 16)));
        }
        fields.push(Part::Both(60, 1));
        fields.push(Part::Both(2, 8));
        fields.push(Part::Both(1, 8));
        let (start, end) = match times {
            FlowTimes::Milliseconds => (Part::Both(152, 8), Part::Both(153, 8)),
            _ => (Part::Both(22, 4), Part::Both(21, 4)),
        };
        fields.push(start);
        fields.push(end);
        fields.push(Part::Both(136, 1));
        for (what, key, part) in COLLECTED {
            if collect.contains(what) && (key == KeyFields::NONE || !self.has(key)) {
                fields.push(part);
            }
        }
        fields.list
    }

    /// Whether this is part of the key: ICMP type and code, too, where they stand in for the destination port.
    fn has(&self, field: KeyFields) -> bool {
        self.key.contains(field)
            || (field == KeyFields::ICMP_TYPE_CODE
                && self.key.contains(KeyFields::DESTINATION_PORT | KeyFields::PROTOCOL))
    }

    /// Whether addresses are cut to a prefix.
    fn is_cut(&self, address: KeyFields) -> bool {
        let prefix = if address == KeyFields::SOURCE_ADDRESS {
            self.key.source_prefix()
        } else {
            self.key.destination_prefix()
        };
        prefix != (32, 128)
    }

    /// Whether a field is part of the key (RFC 7011 section 2, Flow Key).
    #[must_use]
    pub fn is_key(&self, element: ElementId) -> bool {
        let (top, number) = (ElementId::MPLS_TOP_LABEL_STACK_SECTION.number(), element.number());
        let is_label = (top..top + 10).contains(&number);
        let is_of = |part: Part| match part {
            Part::Both(known, _) | Part::Ipv6(known, _) => known == number,
            Part::Each((ipv4, _), (ipv6, _)) => ipv4 == number || ipv6 == number,
        };
        element.enterprise() == 0
            && (KEY.iter().any(|(field, part)| self.has(*field) && is_of(*part))
                || (is_label && self.key.contains(KeyFields::MPLS_LABELS)))
    }

    /// The parts of the key that v5 has no room for: flows that differ in nothing else are records that look alike.
    #[must_use]
    pub fn not_in_v5(&self) -> Vec<&'static str> {
        self.missing_in_v5().map(|(_, name)| name).collect()
    }

    fn missing_in_v5(&self) -> impl Iterator<Item = (KeyFields, &'static str)> + '_ {
        let is_missing = |field: KeyFields| {
            self.key.contains(field)
                && !(field == KeyFields::ICMP_TYPE_CODE && self.key.contains(KeyFields::PROTOCOL))
        };
        NOT_IN_V5.into_iter().filter(move |(field, _)| is_missing(*field))
    }

    /// Whether a part of the flow's key is left out in v5.
    pub(super) fn is_cut_short_in_v5(&self, flow: &MeteredFlow) -> bool {
        self.missing_in_v5().any(|(field, _)| {
            let record = &flow.record;
            match field {
                KeyFields::DIRECTION => record.direction != 0,
                KeyFields::VLAN => record.vlan != 0,
                KeyFields::INNER_VLAN => flow.inner_vlan != 0,
                KeyFields::SOURCE_MAC => record.source_mac != [0; 6],
                KeyFields::DESTINATION_MAC => record.destination_mac != [0; 6],
                KeyFields::MPLS_LABELS => !record.mpls_labels.is_empty(),
                KeyFields::OBSERVATION_DOMAIN => flow.observation_domain != 0,
                _ => record.icmp_type_code != 0,
            }
        })
    }
}

struct Fields {
    ipv6: bool,
    list: Vec<FieldSpecifier>,
}

impl Fields {
    /// Adds the field, unless it is there.
    fn push(&mut self, part: Part) {
        let (element, length) = match part {
            Part::Both(element, length) => (element, length),
            Part::Each(ipv4, ipv6) => {
                if self.ipv6 {
                    ipv6
                } else {
                    ipv4
                }
            }
            Part::Ipv6(element, length) if self.ipv6 => (element, length),
            Part::Ipv6(..) => return,
        };
        let element = ElementId::iana(element);
        if self.list.iter().all(|field| field.element != element) {
            self.list.push(FieldSpecifier::new(element, length));
        }
    }
}

/// A flow, for templates.
pub(super) struct Source<'a> {
    pub(super) flow: &'a MeteredFlow,
    /// The selector of flows that name none.
    pub(super) selector: u32,
}

impl FieldSource for Source<'_> {
    fn field(&self, element: ElementId) -> Option<FieldValue<'_>> {
        let flow = self.flow;
        Some(FieldValue::Unsigned(match element {
            MINIMUM_LENGTH => flow.minimum_length.into(),
            MAXIMUM_LENGTH => flow.maximum_length.into(),
            FRAGMENT_FLAGS => u64::from(flow.is_fragmented) * MORE_FRAGMENTS,
            OBSERVATION_DOMAIN => flow.observation_domain.into(),
            INNER_VLAN => flow.inner_vlan.into(),
            SELECTOR_ID if flow.record.sampler_id == 0 => self.selector.into(),
            _ => return flow.record.field(element),
        }))
    }
}
