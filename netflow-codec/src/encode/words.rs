//! The values of a flow that fields are made of, by number: an integer of up to 8 octets each.

use core::net::IpAddr;

use crate::{
    element::ElementId,
    error::EncodeError,
    flow::{FlowRecord, MplsLabels},
    member::{Member, Target, TimeCoding},
    template::FieldSpecifier,
    time::Timestamp,
};

pub(super) const OCTETS: usize = 0;
pub(super) const PACKETS: usize = 1;
pub(super) const START_UPTIME: usize = 2;
pub(super) const END_UPTIME: usize = 3;
pub(super) const START: usize = 4;
pub(super) const END: usize = 5;
pub(super) const INGRESS: usize = 6;
pub(super) const EGRESS: usize = 7;
pub(super) const SOURCE_AS: usize = 8;
pub(super) const DESTINATION_AS: usize = 9;
pub(super) const SOURCE_PORT: usize = 10;
pub(super) const DESTINATION_PORT: usize = 11;
pub(super) const TCP_FLAGS: usize = 12;
pub(super) const PROTOCOL: usize = 13;
pub(super) const TOS: usize = 14;
pub(super) const SOURCE_PREFIX: usize = 15;
pub(super) const DESTINATION_PREFIX: usize = 16;
pub(super) const DIRECTION: usize = 17;
pub(super) const IP_VERSION: usize = 18;
pub(super) const VLAN: usize = 19;
pub(super) const ICMP: usize = 20;
pub(super) const END_REASON: usize = 21;
pub(super) const FLOW_LABEL: usize = 22;
/// The IPv4 address, then the halves of the IPv6 address.
pub(super) const SOURCE: usize = 23;
pub(super) const DESTINATION: usize = 26;
pub(super) const NEXT_HOP: usize = 29;
pub(super) const START_SECONDS: usize = 32;
pub(super) const END_SECONDS: usize = 33;
pub(super) const BGP_NEXT_HOP: usize = 34;
pub(super) const SAMPLER_ID: usize = 37;
pub(super) const SAMPLING_INTERVAL: usize = 38;
pub(super) const FRAGMENT: usize = 39;
pub(super) const POST_VLAN: usize = 40;
pub(super) const MINIMUM_TTL: usize = 41;
pub(super) const MAXIMUM_TTL: usize = 42;
pub(super) const FORWARDING: usize = 43;
pub(super) const SOURCE_MAC: usize = 44;
pub(super) const DESTINATION_MAC: usize = 45;
pub(super) const LABELS: usize = 46;
/// With the nonce bit, for which one octet has no place.
pub(super) const TCP_FLAGS_WIDE: usize = 56;
/// How many words there are.
pub(super) const WORDS: usize = 57;
const _: () = assert!(LABELS + MplsLabels::MAX_LEN <= TCP_FLAGS_WIDE && TCP_FLAGS_WIDE < WORDS);

/// The address family that a layout can carry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Family {
    Any,
    V4,
    V6,
}

/// Where a field's value comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word {
    index: usize,
    /// The second word of an IPv6 address.
    low: Option<usize>,
    pub(super) family: Family,
}

impl Word {
    pub(super) fn of(field: FieldSpecifier) -> Result<Self, EncodeError> {
        let number = field.element.number();
        let length = usize::from(field.length);
        let wrong_length = Err(EncodeError::FieldLength { element: number, length: field.length });
        if field.element == ElementId::IP_VERSION {
            return if length == 1 { Ok(Self::any(IP_VERSION)) } else { wrong_length };
        }
        let Some(target) = Target::of(field.element) else {
            return Err(EncodeError::UnknownElement(number));
        };
        if !target.reads(length) {
            return wrong_length;
        }
        let word = match (target.member, target.coding) {
            (Member::Start, TimeCoding::Uptime) => Self::any(START_UPTIME),
            (Member::End, TimeCoding::Uptime) => Self::any(END_UPTIME),
            (Member::Start, TimeCoding::Seconds) => Self::any(START_SECONDS),
            (Member::End, TimeCoding::Seconds) => Self::any(END_SECONDS),
            (
                Member::Start | Member::End,
                TimeCoding::Microseconds | TimeCoding::Nanoseconds | TimeCoding::Delta,
            ) => {
                return Err(EncodeError::UnknownElement(number));
            }
            (Member::TcpFlags, _) if length > 1 => Self::any(TCP_FLAGS_WIDE),
            (member, _) => Self::of_member(member),
        };
        // Times have one length each.
        let fixed = match (target.member, target.coding) {
            (Member::Start | Member::End, TimeCoding::Milliseconds) => 8,
            (Member::Start | Member::End, _) => 4,
            _ => length,
        };
        if fixed == length { Ok(word) } else { wrong_length }
    }

    const fn any(index: usize) -> Self {
        Self { index, low: None, family: Family::Any }
    }

    fn of_member(member: Member) -> Self {
        use Member as M;
        let of_family = |index: usize, family: Family| match family {
            Family::V6 => Self { index: index + 1, low: Some(index + 2), family },
            _ => Self { index, low: None, family },
        };
        let any = |word: Self| Self { family: Family::Any, ..word };
        Self::any(match member {
            M::Octets => OCTETS,
            M::Packets => PACKETS,
            M::Start => START,
            M::End => END,
            M::IngressInterface => INGRESS,
            M::EgressInterface => EGRESS,
            M::SourceAs => SOURCE_AS,
            M::DestinationAs => DESTINATION_AS,
            M::SourcePort => SOURCE_PORT,
            M::DestinationPort => DESTINATION_PORT,
            M::TcpFlags => TCP_FLAGS,
            M::Protocol => PROTOCOL,
            M::Tos => TOS,
            M::SourcePrefixLength | M::SourcePrefixLength6 => SOURCE_PREFIX,
            M::DestinationPrefixLength | M::DestinationPrefixLength6 => DESTINATION_PREFIX,
            M::Direction => DIRECTION,
            M::Vlan => VLAN,
            M::IcmpTypeCode => ICMP,
            M::FlowEndReason => END_REASON,
            M::Ipv6FlowLabel => FLOW_LABEL,
            M::SamplerId => SAMPLER_ID,
            M::SamplingInterval => SAMPLING_INTERVAL,
            M::FragmentIdentification => FRAGMENT,
            M::PostVlan => POST_VLAN,
            M::MinimumTtl => MINIMUM_TTL,
            M::MaximumTtl => MAXIMUM_TTL,
            M::ForwardingStatus => FORWARDING,
            M::SourceMac => SOURCE_MAC,
            M::DestinationMac => DESTINATION_MAC,
            M::MplsLabel(position) => LABELS + usize::from(position).min(MplsLabels::MAX_LEN - 1),
            M::Source4 => return of_family(SOURCE, Family::V4),
            M::Source6 => return of_family(SOURCE, Family::V6),
            M::Destination4 => return of_family(DESTINATION, Family::V4),
            M::Destination6 => return of_family(DESTINATION, Family::V6),
            M::NextHop4 => return any(of_family(NEXT_HOP, Family::V4)),
            M::NextHop6 => return any(of_family(NEXT_HOP, Family::V6)),
            M::BgpNextHop4 => return any(of_family(BGP_NEXT_HOP, Family::V4)),
            M::BgpNextHop6 => return any(of_family(BGP_NEXT_HOP, Family::V6)),
        })
    }

    /// The words of the field and the octets each of them fills.
    pub(super) fn parts(self, length: usize) -> impl Iterator<Item = (usize, usize)> {
        let first = (self.index, if self.low.is_some() { 8 } else { length });
        [Some(first), self.low.map(|low| (low, 8))].into_iter().flatten()
    }
}

/// The word of this number; 0 for a label that the flow does not have.
pub(super) fn word(flow: &FlowRecord, boot: Timestamp, index: usize) -> u64 {
    let mac = |[a, b, c, d, e, f]: [u8; 6]| u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
    match index {
        OCTETS => flow.octets,
        PACKETS => flow.packets,
        START_UPTIME => uptime(flow.start, boot).into(),
        END_UPTIME => uptime(flow.end, boot).into(),
        START => flow.start.as_millis(),
        END => flow.end.as_millis(),
        START_SECONDS => flow.start.as_secs(),
        END_SECONDS => flow.end.as_secs(),
        INGRESS => flow.ingress_interface.into(),
        EGRESS => flow.egress_interface.into(),
        SOURCE_AS => flow.source_as.into(),
        DESTINATION_AS => flow.destination_as.into(),
        SOURCE_PORT => flow.source_port.into(),
        DESTINATION_PORT => flow.destination_port.into(),
        // The nonce bit has no place in one octet.
        TCP_FLAGS => (flow.tcp_flags & 0xff).into(),
        TCP_FLAGS_WIDE => flow.tcp_flags.into(),
        PROTOCOL => flow.protocol.into(),
        TOS => flow.tos.into(),
        SOURCE_PREFIX => flow.source_prefix_length.into(),
        DESTINATION_PREFIX => flow.destination_prefix_length.into(),
        DIRECTION => flow.direction.into(),
        IP_VERSION => {
            if flow.is_ipv6() {
                6
            } else {
                4
            }
        }
        VLAN => flow.vlan.into(),
        POST_VLAN => flow.post_vlan.into(),
        ICMP => flow.icmp_type_code.into(),
        END_REASON => flow.flow_end_reason.into(),
        FLOW_LABEL => flow.ipv6_flow_label.into(),
        SAMPLER_ID => flow.sampler_id.into(),
        SAMPLING_INTERVAL => flow.sampling_interval.into(),
        FRAGMENT => flow.fragment_identification.into(),
        MINIMUM_TTL => flow.minimum_ttl.into(),
        MAXIMUM_TTL => flow.maximum_ttl.into(),
        FORWARDING => flow.forwarding_status.into(),
        SOURCE_MAC => mac(flow.source_mac),
        DESTINATION_MAC => mac(flow.destination_mac),
        _ if (SOURCE..SOURCE + 3).contains(&index) => address_word(flow.source, index - SOURCE),
        _ if (DESTINATION..DESTINATION + 3).contains(&index) => {
            address_word(flow.destination, index - DESTINATION)
        }
        _ if (NEXT_HOP..NEXT_HOP + 3).contains(&index) => address_word(flow.next_hop, index - NEXT_HOP),
        _ if (BGP_NEXT_HOP..BGP_NEXT_HOP + 3).contains(&index) => {
            address_word(flow.bgp_next_hop, index - BGP_NEXT_HOP)
        }
        _ => {
            index.checked_sub(LABELS).and_then(|position| flow.mpls_labels.get(position)).map_or(0, |label| {
                let [a, b, c] = label.octets();
                u32::from_be_bytes([0, a, b, c]).into()
            })
        }
    }
}

/// The word of an IPv4 address, the two words of an IPv6 address; those of the other family are 0.
fn address_word(address: IpAddr, part: usize) -> u64 {
    match part {
        0 => u32::from_be_bytes(v4(address)).into(),
        1 => u64::from_be_bytes(halves(address).0),
        _ => u64::from_be_bytes(halves(address).1),
    }
}

/// Milliseconds from boot, modulo 2^32: what uptimes are.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "modulo 2^32")]
pub(super) const fn uptime(time: Timestamp, boot: Timestamp) -> u32 {
    time.as_millis().wrapping_sub(boot.as_millis()) as u32
}

/// An IPv4 address; zeros for the other family.
#[inline]
pub(super) const fn v4(address: IpAddr) -> [u8; 4] {
    match address {
        IpAddr::V4(address) => address.octets(),
        IpAddr::V6(_) => [0; 4],
    }
}

/// An IPv6 address; zeros for the other family.
#[inline]
pub(super) const fn v6(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(_) => [0; 16],
        IpAddr::V6(address) => address.octets(),
    }
}

/// The halves of an IPv6 address; zeros for the other family.
#[inline]
pub(super) const fn halves(address: IpAddr) -> ([u8; 8], [u8; 8]) {
    let octets = v6(address);
    match (octets.first_chunk(), octets.last_chunk()) {
        (Some(high), Some(low)) => (*high, *low),
        _ => ([0; 8], [0; 8]),
    }
}
