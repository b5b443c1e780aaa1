//! Which fields of a template the columns show, and which are left over.

use core::net::IpAddr;
use std::sync::Arc;

use netflow_codec::{
    DataRecords, ElementId, FieldView, FlowColumns, FlowFields, FlowRecord, SamplingSource, Template,
};

use super::{Flow, FlowSet, may_be_icmp};

/// What becomes of the fields of one template. Made once per template, not per record.
#[derive(Debug)]
pub(crate) struct Layout {
    roles: Box<[Role]>,
    candidates: Option<Box<[Candidate]>>,
    has_walked: bool,
    has_repeats: bool,
    /// Whether nothing but an ICMP type and code in one element can be left over.
    is_icmp_only: bool,
}

/// What becomes of a field.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Role {
    /// A member of the typed record, and with it a column, shows it always.
    Member,
    /// A column shows it or not, depending on the values of the record.
    Maybe(Slot),
    /// A column shows it, but no member of the typed record: the column searches the record.
    Walked,
    /// No column shows it.
    Extra,
}

/// A member that several elements can feed; of those a template has, the one with the lowest rank does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
enum Slot {
    Octets,
    Packets,
    Start,
    End,
    IngressInterface,
    EgressInterface,
    SourceAs,
    DestinationAs,
    Ipv6FlowLabel,
    SamplingInterval,
    FragmentIdentification,
    SourcePort,
    DestinationPort,
    TcpFlags,
    Vlan,
    PostVlan,
    IcmpTypeCode,
    Protocol,
    Tos,
    SourcePrefixLength,
    DestinationPrefixLength,
    Direction,
    FlowEndReason,
    MinimumTtl,
    ForwardingStatus,
    Source,
    Destination,
    NextHop,
    BgpNextHop,
    SourceMac,
    DestinationMac,
    IpVersion,
    Label,
    // The rest are columns without a member.
    IcmpType,
    IcmpCode,
    FragmentOffset,
    NextHopAs,
    MplsIp,
    ObservationPoint,
    IpFlags,
    MplsTtl,
}

const SLOTS: usize = Slot::MplsTtl as usize + 1;

/// Where an element goes: the slot, its rank there, the length from which on its value may not fit.
const fn slot_of(element: u16) -> Option<(Slot, u8, u16)> {
    use Slot as S;
    Some(match element {
        1 => (S::Octets, 0, 8),
        85 => (S::Octets, 1, 8),
        23 => (S::Octets, 2, 8),
        231 => (S::Octets, 3, 8),
        2 => (S::Packets, 0, 8),
        86 => (S::Packets, 1, 8),
        24 => (S::Packets, 2, 8),
        298 => (S::Packets, 3, 8),
        156 => (S::Start, 0, 8),
        154 => (S::Start, 1, 8),
        152 => (S::Start, 2, 8),
        150 => (S::Start, 3, 8),
        22 => (S::Start, 4, 8),
        157 => (S::End, 0, 8),
        155 => (S::End, 1, 8),
        153 => (S::End, 2, 8),
        151 => (S::End, 3, 8),
        21 => (S::End, 4, 8),
        10 => (S::IngressInterface, 0, 4),
        14 => (S::EgressInterface, 0, 4),
        16 => (S::SourceAs, 0, 4),
        17 => (S::DestinationAs, 0, 4),
        31 => (S::Ipv6FlowLabel, 0, 4),
        34 => (S::SamplingInterval, 0, 4),
        54 => (S::FragmentIdentification, 0, 4),
        7 => (S::SourcePort, 0, 2),
        180 => (S::SourcePort, 1, 2),
        182 => (S::SourcePort, 2, 2),
        11 => (S::DestinationPort, 0, 2),
        181 => (S::DestinationPort, 1, 2),
        183 => (S::DestinationPort, 2, 2),
        6 => (S::TcpFlags, 0, 2),
        58 => (S::Vlan, 0, 2),
        243 => (S::Vlan, 1, 2),
        59 => (S::PostVlan, 0, 2),
        254 => (S::PostVlan, 1, 2),
        32 => (S::IcmpTypeCode, 0, 2),
        139 => (S::IcmpTypeCode, 1, 2),
        4 => (S::Protocol, 0, 1),
        5 => (S::Tos, 0, 1),
        9 | 29 => (S::SourcePrefixLength, 0, 1),
        13 | 30 => (S::DestinationPrefixLength, 0, 1),
        61 => (S::Direction, 0, 1),
        136 => (S::FlowEndReason, 0, 1),
        52 => (S::MinimumTtl, 0, 1),
        192 => (S::MinimumTtl, 1, 1),
        89 => (S::ForwardingStatus, 0, 1),
        8 => (S::Source, 0, 4),
        27 => (S::Source, 0, 16),
        12 => (S::Destination, 0, 4),
        28 => (S::Destination, 0, 16),
        15 => (S::NextHop, 0, 4),
        62 => (S::NextHop, 0, 16),
        18 => (S::BgpNextHop, 0, 4),
        63 => (S::BgpNextHop, 0, 16),
        56 => (S::SourceMac, 0, 6),
        80 => (S::DestinationMac, 0, 6),
        57 => (S::DestinationMac, 1, 6),
        60 => (S::IpVersion, 0, 1),
        70..=79 => (S::Label, (element - 70).to_be_bytes()[1], 3),
        176 | 178 => (S::IcmpType, 0, 8),
        177 | 179 => (S::IcmpCode, 0, 8),
        88 => (S::FragmentOffset, 0, 8),
        128 => (S::NextHopAs, 0, 8),
        47 => (S::MplsIp, 0, 4),
        140 => (S::MplsIp, 0, 16),
        138 => (S::ObservationPoint, 0, 8),
        197 => (S::IpFlags, 0, 8),
        200 => (S::MplsTtl, 0, 8),
        _ => return None,
    })
}

impl Slot {
    const fn is_walked(self) -> bool {
        self as u8 >= Self::IcmpType as u8
    }

    /// Whether the length of a field must be exactly the one of its element.
    const fn has_fixed_width(self) -> bool {
        matches!(
            self,
            Self::Source
                | Self::Destination
                | Self::NextHop
                | Self::BgpNextHop
                | Self::SourceMac
                | Self::DestinationMac
                | Self::Label
                | Self::MplsIp
        )
    }

    /// Whether which of several fields is shown depends on their values.
    const fn depends_on_values(self) -> bool {
        matches!(
            self,
            Self::Source
                | Self::Destination
                | Self::NextHop
                | Self::BgpNextHop
                | Self::SourcePrefixLength
                | Self::DestinationPrefixLength
        )
    }

    const fn is_icmp(self) -> bool {
        matches!(self, Self::IcmpTypeCode | Self::IcmpType | Self::IcmpCode)
    }

    /// Whether the column of this slot shows what this field says.
    fn shows(self, flow: &Flow<'_>, field: &FieldView<'_>) -> bool {
        let zero = field.octets().iter().all(|octet| *octet == 0);
        if let Some((member, address)) = self.address(&flow.record) {
            let same = match (field.octets().len(), address) {
                (4, IpAddr::V4(v4)) => field.octets() == v4.octets(),
                (16, IpAddr::V6(v6)) => field.octets() == v6.octets(),
                _ => false,
            };
            // A zero address of the other family only says that the family is not used.
            return flow.record.has(member) && (same || zero);
        }
        let Some(value) = field.as_unsigned() else { return false };
        if self.is_icmp() && !flow.may_be_icmp() {
            // A zero only says that there is no ICMP.
            return zero;
        }
        match self {
            // Their columns search the record.
            Self::IcmpType | Self::IcmpCode => true,
            Self::SamplingInterval => flow.sampling.is_some_and(|info| {
                info.source == SamplingSource::Record && u64::from(info.interval) == value
            }),
            Self::IpVersion => {
                matches!(value, 4 | 6) && flow.ip_version().is_some_and(|version| u64::from(version) == value)
            }
            _ => self.number(&flow.record).is_some_and(|(member, shown)| {
                flow.record.has(member) && (shown == value || zero && self.depends_on_values())
            }),
        }
    }

    fn address(self, record: &FlowRecord) -> Option<(FlowFields, IpAddr)> {
        Some(match self {
            Self::Source => (FlowFields::SOURCE, record.source),
            Self::Destination => (FlowFields::DESTINATION, record.destination),
            Self::NextHop => (FlowFields::NEXT_HOP, record.next_hop),
            Self::BgpNextHop => (FlowFields::BGP_NEXT_HOP, record.bgp_next_hop),
            _ => return None,
        })
    }

    fn number(self, record: &FlowRecord) -> Option<(FlowFields, u64)> {
        use FlowFields as F;
        Some(match self {
            Self::Octets => (F::OCTETS, record.octets),
            Self::Packets => (F::PACKETS, record.packets),
            Self::IngressInterface => (F::INGRESS_INTERFACE, record.ingress_interface.into()),
            Self::EgressInterface => (F::EGRESS_INTERFACE, record.egress_interface.into()),
            Self::SourceAs => (F::SOURCE_AS, record.source_as.into()),
            Self::DestinationAs => (F::DESTINATION_AS, record.destination_as.into()),
            Self::Ipv6FlowLabel => (F::IPV6_FLOW_LABEL, record.ipv6_flow_label.into()),
            Self::FragmentIdentification => {
                (F::FRAGMENT_IDENTIFICATION, record.fragment_identification.into())
            }
            Self::SourcePort => (F::SOURCE_PORT, record.source_port.into()),
            Self::DestinationPort => (F::DESTINATION_PORT, record.destination_port.into()),
            Self::TcpFlags => (F::TCP_FLAGS, record.tcp_flags.into()),
            Self::Vlan => (F::VLAN, record.vlan.into()),
            Self::PostVlan => (F::POST_VLAN, record.post_vlan.into()),
            Self::IcmpTypeCode => (F::ICMP_TYPE_CODE, record.icmp_type_code.into()),
            Self::Protocol => (F::PROTOCOL, record.protocol.into()),
            Self::Tos => (F::TOS, record.tos.into()),
            Self::SourcePrefixLength => (F::SOURCE_PREFIX_LENGTH, record.source_prefix_length.into()),
            Self::DestinationPrefixLength => {
                (F::DESTINATION_PREFIX_LENGTH, record.destination_prefix_length.into())
            }
            Self::Direction => (F::DIRECTION, record.direction.into()),
            Self::FlowEndReason => (F::FLOW_END_REASON, record.flow_end_reason.into()),
            Self::MinimumTtl => (F::MINIMUM_TTL, record.minimum_ttl.into()),
            Self::ForwardingStatus => (F::FORWARDING_STATUS, record.forwarding_status.into()),
            _ => return None,
        })
    }
}

impl Layout {
    /// The layout of a template; `None` when columns show all of its fields and none needs a search.
    pub(crate) fn of(template: &Template) -> Option<Self> {
        let fields = template.fields();
        let mut chosen: [Option<(u8, usize)>; SLOTS] = [None; SLOTS];
        let mut count = [0_usize; SLOTS];
        let slots: Vec<_> = fields
            .iter()
            .enumerate()
            .map(|(index, field)| {
                let is_scope = template.is_options() && index < template.scope_count();
                let element = field.element;
                let (slot, rank, width) =
                    slot_of(element.number()).filter(|_| !is_scope && element.enterprise() == 0)?;
                let readable = if slot.has_fixed_width() {
                    field.length == width
                } else {
                    (1..=8).contains(&field.length) || field.is_variable_length()
                };
                readable.then_some((slot, rank, field.length <= width))
            })
            .collect();
        for (index, (slot, rank, _)) in slots.iter().enumerate().filter_map(|(i, slot)| Some((i, (*slot)?))) {
            if let (Some(chosen), Some(count)) = (chosen.get_mut(slot as usize), count.get_mut(slot as usize))
            {
                *count += 1;
                if chosen.is_none_or(|(best, _)| rank < best) {
                    *chosen = Some((rank, index));
                }
            }
        }
        let has = |slot: Slot| count.get(slot as usize).is_some_and(|count| *count > 0);
        let several = |slot: Slot| count.get(slot as usize).is_some_and(|count| *count > 1);
        let is_chosen = |slot: Slot, index| {
            chosen.get(slot as usize).copied().flatten().is_some_and(|(_, winner)| winner == index)
        };
        let mut labels = 0_u16;
        let role = |(index, slot): (usize, &Option<(Slot, u8, bool)>)| {
            let Some((slot, rank, fits)) = *slot else { return Role::Extra };
            match slot {
                // Ten elements have ten places; one that comes again has none.
                Slot::Label => {
                    let is_new = labels & 1 << rank == 0;
                    labels |= 1 << rank;
                    if is_new { Role::Member } else { Role::Extra }
                }
                Slot::SamplingInterval | Slot::IpVersion if is_chosen(slot, index) => Role::Maybe(slot),
                // The combined element has the columns.
                Slot::IcmpType | Slot::IcmpCode if has(Slot::IcmpTypeCode) => Role::Extra,
                _ if slot.depends_on_values() && several(slot) => Role::Maybe(slot),
                _ if !is_chosen(slot, index) => Role::Extra,
                _ if slot.is_icmp() => Role::Maybe(slot),
                _ if slot.is_walked() => Role::Walked,
                _ if fits => Role::Member,
                _ => Role::Maybe(slot),
            }
        };
        let roles: Box<[Role]> = slots.iter().enumerate().map(role).collect();
        if roles.iter().all(|role| *role == Role::Member) {
            return None;
        }
        let left_over =
            fields.iter().zip(&roles).filter(|(_, role)| matches!(role, Role::Maybe(_) | Role::Extra));
        let mut elements: Vec<_> = left_over.map(|(field, _)| field.element).collect();
        elements.sort_unstable();
        Some(Self {
            has_walked: roles.iter().any(|role| match role {
                Role::Walked => true,
                Role::Maybe(slot) => slot.is_walked(),
                Role::Member | Role::Extra => false,
            }),
            is_icmp_only: slots.iter().zip(&roles).all(|(slot, role)| match role {
                Role::Member | Role::Walked => true,
                Role::Maybe(Slot::IcmpTypeCode) => slot.is_some_and(|(_, _, fits)| fits),
                Role::Maybe(_) | Role::Extra => false,
            }),
            has_repeats: elements.windows(2).any(|pair| matches!(pair, [a, b] if a == b)),
            candidates: candidates(template, &roles),
            roles,
        })
    }

    /// Whether all that can be left over can be told without making a flow of each record.
    pub(super) fn is_plain(&self) -> bool {
        let is_plain = |candidate: &Candidate| {
            let width = candidate.end - candidate.start;
            match candidate.role {
                Role::Maybe(Slot::IcmpTypeCode) => width == 2,
                Role::Maybe(Slot::IpVersion) => width == 1,
                _ => false,
            }
        };
        !self.has_walked && self.candidates.as_ref().is_some_and(|all| all.iter().all(is_plain))
    }

    /// Of a plain layout: whether columns show all fields of the flows with these records.
    pub(super) fn leaves_nothing<'r>(
        &self,
        set: &FlowSet<'_>,
        mut records: impl Iterator<Item = &'r [u8]>,
    ) -> bool {
        let mut versions = None;
        for candidate in self.candidates.iter().flatten() {
            if candidate.role == Role::Maybe(Slot::IpVersion) {
                versions = Some(usize::from(candidate.start));
                continue;
            }
            let codes = set.column(FlowFields::ICMP_TYPE_CODE, set.columns.icmp_type_code());
            let protocols = set.column(FlowFields::PROTOCOL, set.columns.protocol());
            if codes.is_empty()
                || codes.iter().zip(protocols).any(|(code, protocol)| *code != 0 && !may_be_icmp(*protocol))
            {
                return false;
            }
        }
        let Some(place) = versions else { return true };
        records.all(|octets| octets.get(place).copied() == set.ip_version)
    }

    /// The fields of a flow that no column shows, repeated elements side by side.
    pub(crate) fn extras<'a>(&self, flow: &Flow<'a>) -> Vec<FieldView<'a>> {
        // Templates of routers mostly have that element: their records need no search.
        if self.is_icmp_only
            && flow.record.has(FlowFields::ICMP_TYPE_CODE)
            && (flow.may_be_icmp() || flow.record.icmp_type_code == 0)
        {
            return Vec::new();
        }
        let mut extras = Vec::new();
        if let Some(candidates) = &self.candidates {
            let octets = flow.fields.octets();
            for Candidate { role, element, start, end } in candidates {
                let Some(value) = octets.get(usize::from(*start)..usize::from(*end)) else { continue };
                let field = FieldView::new(*element, value);
                if role.is_left(flow, &field) {
                    extras.push(field);
                }
            }
        } else {
            let left = |(field, role): (FieldView<'a>, &Role)| role.is_left(flow, &field).then_some(field);
            extras.extend(flow.fields.iter().zip(&self.roles).filter_map(left));
        }
        if self.has_repeats {
            extras.sort_by_key(FieldView::element);
        }
        extras
    }
}

impl Role {
    /// Whether no column shows the field of this role.
    fn is_left(self, flow: &Flow<'_>, field: &FieldView<'_>) -> bool {
        match self {
            // What templates mostly have, decided without reading more than it takes.
            Self::Maybe(Slot::IcmpTypeCode)
                if field.octets().len() == 2 && flow.record.has(FlowFields::ICMP_TYPE_CODE) =>
            {
                flow.record.icmp_type_code != 0 && !flow.may_be_icmp()
            }
            Self::Maybe(Slot::IpVersion) if flow.record.has(FlowFields::SOURCE) => {
                field.octets() != [if flow.record.is_ipv6() { 6 } else { 4 }]
            }
            Self::Member | Self::Walked => false,
            Self::Maybe(slot) => !slot.shows(flow, field),
            Self::Extra => true,
        }
    }
}

/// A field that may be left over, of a template whose fields have fixed places.
#[derive(Debug)]
struct Candidate {
    role: Role,
    element: ElementId,
    /// Where it is in its record.
    start: u16,
    end: u16,
}

/// The fields that may be left over; `None` when their places differ from record to record.
fn candidates(template: &Template, roles: &[Role]) -> Option<Box<[Candidate]>> {
    let mut found = Vec::new();
    let mut start = 0_u16;
    if template.is_options() {
        return None;
    }
    for (field, role) in template.fields().iter().zip(roles) {
        if field.is_variable_length() {
            return None;
        }
        let end = start.checked_add(field.length)?;
        if matches!(role, Role::Maybe(_) | Role::Extra) {
            found.push(Candidate { role: *role, element: field.element, start, end });
        }
        start = end;
    }
    Some(found.into())
}

impl<'a> Flow<'a> {
    /// Whether some column may have to search the record.
    pub(crate) fn has_walked(&self) -> bool {
        self.stored().is_some() || self.layout.is_some_and(|layout| layout.has_walked)
    }

    /// The first field with one of these elements, if the template has such a field at all.
    pub(super) fn walked_field(&self, elements: &[u16]) -> Option<FieldView<'a>> {
        self.layout.filter(|layout| layout.has_walked).and_then(|_| self.find(elements))
    }
}

/// The layouts of the templates used last, the last one first.
#[derive(Debug, Default)]
pub(crate) struct Layouts {
    known: Vec<Known>,
}

/// What is known of a template.
#[derive(Debug)]
pub(crate) struct Known {
    template: Arc<Template>,
    layout: Option<Layout>,
    /// Memory for the members that its records have.
    columns: Option<FlowColumns>,
}

impl Layouts {
    /// As many as routers of a few kinds have.
    const LIMIT: usize = 64;

    pub(crate) fn of(&mut self, template: &Arc<Template>) -> Option<&mut Known> {
        match self.known.iter().position(|known| Arc::ptr_eq(&known.template, template)) {
            Some(0) => {}
            Some(place) => self.known.swap(0, place),
            None => {
                self.known.truncate(Self::LIMIT - 1);
                let layout = Layout::of(template);
                self.known.push(Known { template: Arc::clone(template), layout, columns: None });
                let last = self.known.len() - 1;
                self.known.swap(0, last);
            }
        }
        self.known.first_mut()
    }
}

impl Known {
    pub(crate) const fn layout(&self) -> Option<&Layout> {
        self.layout.as_ref()
    }

    /// The records by columns, of the members that they have, and the layout.
    pub(crate) fn columns(&mut self, records: &DataRecords<'_>) -> (&FlowColumns, Option<&Layout>) {
        let columns = self.columns.get_or_insert_with(|| {
            let first = records.flows().next().map_or(FlowFields::NONE, |flow| flow.fields);
            // Times are there or not, as the header has it.
            FlowColumns::new(first | FlowFields::START | FlowFields::END)
        });
        columns.clear();
        columns.extend(records);
        (columns, self.layout.as_ref())
    }
}
