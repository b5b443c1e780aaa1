//! Which element feeds which member of [`FlowRecord`]: the one table behind the plan, the walk and the encoder.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{
    element::{DataType, ElementId},
    flow::{FlowFields, FlowRecord, MplsLabels},
    time::{ExportClock, SysUptime, Timestamp},
    wire::unsigned,
};

/// A member of [`FlowRecord`], or a part of one: addresses and prefix lengths by family, labels one by one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Member {
    Octets,
    Packets,
    Start,
    End,
    IngressInterface,
    EgressInterface,
    SourceAs,
    DestinationAs,
    SourcePort,
    DestinationPort,
    TcpFlags,
    Protocol,
    Tos,
    SourcePrefixLength,
    DestinationPrefixLength,
    Direction,
    // The members above are what nearly every template has: the plan reads them without a branch.
    SourcePrefixLength6,
    DestinationPrefixLength6,
    Ipv6FlowLabel,
    SamplerId,
    SamplingInterval,
    FragmentIdentification,
    Vlan,
    PostVlan,
    IcmpTypeCode,
    FlowEndReason,
    MinimumTtl,
    MaximumTtl,
    ForwardingStatus,
    SourceMac,
    DestinationMac,
    Source4,
    Destination4,
    NextHop4,
    BgpNextHop4,
    Source6,
    Destination6,
    NextHop6,
    BgpNextHop6,
    MplsLabel(u8),
}

/// How many members there are, labels counted one by one.
pub(crate) const MEMBERS: usize = 39 + MplsLabels::MAX_LEN;

/// How a time is coded.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum TimeCoding {
    /// Milliseconds since boot (elements 21 and 22).
    #[default]
    Uptime,
    Seconds,
    Milliseconds,
    Microseconds,
    Nanoseconds,
    /// Microseconds before the export time (elements 158 and 159).
    Delta,
    /// Seconds of NTP, and a count of microseconds.
    DecimalMicroseconds,
    /// Seconds of NTP, and a count of nanoseconds.
    DecimalNanoseconds,
}

impl TimeCoding {
    /// How a time of this element is coded; `None` for what is no point in time.
    pub(crate) fn of(element: ElementId, data_type: DataType) -> Option<Self> {
        match (data_type, element.forward().unwrap_or(element)) {
            (DataType::DateTimeSeconds, _) => Some(Self::Seconds),
            (DataType::DateTimeMilliseconds, _) => Some(Self::Milliseconds),
            (DataType::DateTimeMicroseconds, _) => Some(Self::Microseconds),
            (DataType::DateTimeNanoseconds, _) => Some(Self::Nanoseconds),
            (_, ElementId::FLOW_START_DELTA_MICROSECONDS | ElementId::FLOW_END_DELTA_MICROSECONDS) => {
                Some(Self::Delta)
            }
            (_, ElementId::FLOW_START_SYS_UP_TIME | ElementId::FLOW_END_SYS_UP_TIME) => Some(Self::Uptime),
            _ => None,
        }
    }

    /// Whether a time may have this many octets.
    pub(crate) const fn admits_length(self, octets: usize) -> bool {
        match self {
            // Some devices send more octets of uptime than there are.
            Self::Uptime => matches!(octets, 1..=8),
            Self::Seconds => octets == 4,
            // An unsigned32, which may be reduced.
            Self::Delta => matches!(octets, 1..=4),
            Self::Milliseconds
            | Self::Microseconds
            | Self::Nanoseconds
            | Self::DecimalMicroseconds
            | Self::DecimalNanoseconds => octets == 8,
        }
    }

    /// The point in time; `None` for an uptime that nothing dates.
    #[inline]
    pub(crate) fn decode(self, raw: u64, clock: &ExportClock) -> Option<Timestamp> {
        Some(match self {
            Self::Uptime if !clock.has_uptime() => return None,
            Self::Uptime => {
                // Some devices send 8 octets here; uptime is what fits in 32 bits.
                #[expect(clippy::cast_possible_truncation, reason = "uptime is modulo 2^32")]
                let uptime = SysUptime::from_millis(raw as u32);
                clock.to_timestamp(uptime)
            }
            // RFC 7011 section 5.2: of the era nearest to the export time.
            #[expect(clippy::cast_possible_truncation, reason = "the field has 4 octets")]
            Self::Seconds => Timestamp::nearest_secs(raw as u32, clock.unix()),
            Self::Milliseconds => Timestamp::from_millis(raw),
            // RFC 7011 section 6.1.9: "the bottom 11 bits of the fraction" do not count.
            Self::Microseconds => Timestamp::nearest_ntp(raw & !0x7ff, clock.unix()),
            Self::Nanoseconds => Timestamp::nearest_ntp(raw, clock.unix()),
            Self::DecimalMicroseconds | Self::DecimalNanoseconds => {
                let unit = if self == Self::DecimalMicroseconds { 1_000 } else { 1 };
                let secs = Timestamp::nearest_ntp(raw & !0xffff_ffff, clock.unix());
                Timestamp::from_nanos(secs.as_nanos().saturating_add((raw & 0xffff_ffff) * unit))
            }
            Self::Delta => {
                Timestamp::from_nanos(clock.unix().as_nanos().saturating_sub(raw.saturating_mul(1_000)))
            }
        })
    }
}

/// Where an element goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) member: Member,
    /// Among the elements of one template that feed the same member the lowest rank wins, then the first.
    pub(crate) rank: u8,
    pub(crate) coding: TimeCoding,
}

impl Target {
    /// The member that an element feeds.
    pub(crate) fn of(element: ElementId) -> Option<Self> {
        use Member as M;
        if element.enterprise() != 0 {
            return Self::of_decimal_time(element.as_decimal_time()?);
        }
        let (member, rank) = match element.number() {
            1 => (M::Octets, 0),
            85 => (M::Octets, 1),
            23 => (M::Octets, 2),
            231 => (M::Octets, 3),
            2 => (M::Packets, 0),
            86 => (M::Packets, 1),
            24 => (M::Packets, 2),
            298 => (M::Packets, 3),
            156 => return Some(Self::time(M::Start, 0, TimeCoding::Nanoseconds)),
            154 => return Some(Self::time(M::Start, 1, TimeCoding::Microseconds)),
            152 => return Some(Self::time(M::Start, 2, TimeCoding::Milliseconds)),
            150 => return Some(Self::time(M::Start, 3, TimeCoding::Seconds)),
            158 => return Some(Self::time(M::Start, 4, TimeCoding::Delta)),
            22 => return Some(Self::time(M::Start, 5, TimeCoding::Uptime)),
            157 => return Some(Self::time(M::End, 0, TimeCoding::Nanoseconds)),
            155 => return Some(Self::time(M::End, 1, TimeCoding::Microseconds)),
            153 => return Some(Self::time(M::End, 2, TimeCoding::Milliseconds)),
            151 => return Some(Self::time(M::End, 3, TimeCoding::Seconds)),
            159 => return Some(Self::time(M::End, 4, TimeCoding::Delta)),
            21 => return Some(Self::time(M::End, 5, TimeCoding::Uptime)),
            10 => (M::IngressInterface, 0),
            14 => (M::EgressInterface, 0),
            16 => (M::SourceAs, 0),
            17 => (M::DestinationAs, 0),
            7 => (M::SourcePort, 0),
            180 => (M::SourcePort, 1),
            182 => (M::SourcePort, 2),
            11 => (M::DestinationPort, 0),
            181 => (M::DestinationPort, 1),
            183 => (M::DestinationPort, 2),
            6 => (M::TcpFlags, 0),
            4 => (M::Protocol, 0),
            5 => (M::Tos, 0),
            9 => (M::SourcePrefixLength, 0),
            13 => (M::DestinationPrefixLength, 0),
            29 => (M::SourcePrefixLength6, 0),
            30 => (M::DestinationPrefixLength6, 0),
            61 => (M::Direction, 0),
            31 => (M::Ipv6FlowLabel, 0),
            48 => (M::SamplerId, 0),
            302 => (M::SamplerId, 1),
            34 => (M::SamplingInterval, 0),
            50 => (M::SamplingInterval, 1),
            54 => (M::FragmentIdentification, 0),
            58 => (M::Vlan, 0),
            243 => (M::Vlan, 1),
            59 => (M::PostVlan, 0),
            254 => (M::PostVlan, 1),
            32 => (M::IcmpTypeCode, 0),
            139 => (M::IcmpTypeCode, 1),
            136 => (M::FlowEndReason, 0),
            52 => (M::MinimumTtl, 0),
            192 => (M::MinimumTtl, 1),
            53 => (M::MaximumTtl, 0),
            89 => (M::ForwardingStatus, 0),
            56 => (M::SourceMac, 0),
            80 => (M::DestinationMac, 0),
            57 => (M::DestinationMac, 1),
            8 => (M::Source4, 0),
            12 => (M::Destination4, 0),
            15 => (M::NextHop4, 0),
            18 => (M::BgpNextHop4, 0),
            27 => (M::Source6, 0),
            28 => (M::Destination6, 0),
            62 => (M::NextHop6, 0),
            63 => (M::BgpNextHop6, 0),
            // 70..=79 fit in eight bits.
            label @ 70..=79 => (M::MplsLabel((label - 70).to_be_bytes()[1]), 0),
            _ => return None,
        };
        Some(Self { member, rank, coding: TimeCoding::Uptime })
    }

    const fn of_decimal_time(number: u16) -> Option<Self> {
        Some(match number {
            156 => Self::time(Member::Start, 0, TimeCoding::DecimalNanoseconds),
            154 => Self::time(Member::Start, 1, TimeCoding::DecimalMicroseconds),
            157 => Self::time(Member::End, 0, TimeCoding::DecimalNanoseconds),
            155 => Self::time(Member::End, 1, TimeCoding::DecimalMicroseconds),
            _ => return None,
        })
    }

    const fn time(member: Member, rank: u8, coding: TimeCoding) -> Self {
        Self { member, rank, coding }
    }
}

impl Member {
    /// The member's place among [`MEMBERS`].
    pub(crate) fn index(self) -> usize {
        match self {
            Self::Octets => 0,
            Self::Packets => 1,
            Self::Start => 2,
            Self::End => 3,
            Self::IngressInterface => 4,
            Self::EgressInterface => 5,
            Self::SourceAs => 6,
            Self::DestinationAs => 7,
            Self::SourcePort => 8,
            Self::DestinationPort => 9,
            Self::TcpFlags => 10,
            Self::Protocol => 11,
            Self::Tos => 12,
            Self::SourcePrefixLength => 13,
            Self::DestinationPrefixLength => 14,
            Self::Direction => 15,
            Self::SourcePrefixLength6 => 16,
            Self::DestinationPrefixLength6 => 17,
            Self::Ipv6FlowLabel => 18,
            Self::SamplerId => 19,
            Self::SamplingInterval => 20,
            Self::FragmentIdentification => 21,
            Self::Vlan => 22,
            Self::PostVlan => 23,
            Self::IcmpTypeCode => 24,
            Self::FlowEndReason => 25,
            Self::MinimumTtl => 26,
            Self::MaximumTtl => 27,
            Self::ForwardingStatus => 28,
            Self::SourceMac => 29,
            Self::DestinationMac => 30,
            Self::Source4 => 31,
            Self::Destination4 => 32,
            Self::NextHop4 => 33,
            Self::BgpNextHop4 => 34,
            Self::Source6 => 35,
            Self::Destination6 => 36,
            Self::NextHop6 => 37,
            Self::BgpNextHop6 => 38,
            Self::MplsLabel(position) => 39 + usize::from(position).min(MplsLabels::MAX_LEN - 1),
        }
    }

    /// Octets of the member's type: what an encoder writes by default and the widest value it holds.
    pub(crate) fn width(self) -> usize {
        match self {
            Self::Octets | Self::Packets | Self::Start | Self::End => 8,
            Self::IngressInterface
            | Self::EgressInterface
            | Self::SourceAs
            | Self::DestinationAs
            | Self::Ipv6FlowLabel
            | Self::SamplerId
            | Self::SamplingInterval
            | Self::FragmentIdentification
            | Self::Source4
            | Self::Destination4
            | Self::NextHop4
            | Self::BgpNextHop4 => 4,
            Self::SourcePort
            | Self::DestinationPort
            | Self::TcpFlags
            | Self::Vlan
            | Self::PostVlan
            | Self::IcmpTypeCode => 2,
            Self::Protocol
            | Self::Tos
            | Self::SourcePrefixLength
            | Self::DestinationPrefixLength
            | Self::SourcePrefixLength6
            | Self::DestinationPrefixLength6
            | Self::Direction
            | Self::FlowEndReason
            | Self::MinimumTtl
            | Self::MaximumTtl
            | Self::ForwardingStatus => 1,
            Self::SourceMac | Self::DestinationMac => 6,
            Self::MplsLabel(_) => 3,
            Self::Source6 | Self::Destination6 | Self::NextHop6 | Self::BgpNextHop6 => 16,
        }
    }

    /// Whether only this width can be read.
    pub(crate) fn has_fixed_width(self) -> bool {
        self.is_address() || matches!(self, Self::SourceMac | Self::DestinationMac | Self::MplsLabel(_))
    }

    pub(crate) fn is_address(self) -> bool {
        matches!(
            self,
            Self::Source4
                | Self::Destination4
                | Self::NextHop4
                | Self::BgpNextHop4
                | Self::Source6
                | Self::Destination6
                | Self::NextHop6
                | Self::BgpNextHop6
        )
    }

    pub(crate) const fn is_prefix_length(self) -> bool {
        matches!(
            self,
            Self::SourcePrefixLength
                | Self::SourcePrefixLength6
                | Self::DestinationPrefixLength
                | Self::DestinationPrefixLength6
        )
    }

    /// The presence bit.
    pub(crate) fn field(self) -> FlowFields {
        use FlowFields as F;
        match self {
            Self::Octets => F::OCTETS,
            Self::Packets => F::PACKETS,
            Self::Start => F::START,
            Self::End => F::END,
            Self::IngressInterface => F::INGRESS_INTERFACE,
            Self::EgressInterface => F::EGRESS_INTERFACE,
            Self::SourceAs => F::SOURCE_AS,
            Self::DestinationAs => F::DESTINATION_AS,
            Self::SourcePort => F::SOURCE_PORT,
            Self::DestinationPort => F::DESTINATION_PORT,
            Self::TcpFlags => F::TCP_FLAGS,
            Self::Protocol => F::PROTOCOL,
            Self::Tos => F::TOS,
            Self::SourcePrefixLength | Self::SourcePrefixLength6 => F::SOURCE_PREFIX_LENGTH,
            Self::DestinationPrefixLength | Self::DestinationPrefixLength6 => F::DESTINATION_PREFIX_LENGTH,
            Self::Direction => F::DIRECTION,
            Self::Ipv6FlowLabel => F::IPV6_FLOW_LABEL,
            Self::SamplerId => F::SAMPLER_ID,
            Self::SamplingInterval => F::SAMPLING_INTERVAL,
            Self::FragmentIdentification => F::FRAGMENT_IDENTIFICATION,
            Self::Vlan => F::VLAN,
            Self::PostVlan => F::POST_VLAN,
            Self::IcmpTypeCode => F::ICMP_TYPE_CODE,
            Self::FlowEndReason => F::FLOW_END_REASON,
            Self::MinimumTtl => F::MINIMUM_TTL,
            Self::MaximumTtl => F::MAXIMUM_TTL,
            Self::ForwardingStatus => F::FORWARDING_STATUS,
            Self::SourceMac => F::SOURCE_MAC,
            Self::DestinationMac => F::DESTINATION_MAC,
            Self::Source4 | Self::Source6 => F::SOURCE,
            Self::Destination4 | Self::Destination6 => F::DESTINATION,
            Self::NextHop4 | Self::NextHop6 => F::NEXT_HOP,
            Self::BgpNextHop4 | Self::BgpNextHop6 => F::BGP_NEXT_HOP,
            Self::MplsLabel(_) => F::MPLS_LABELS,
        }
    }
}

impl Target {
    /// Whether a field of this many octets can feed the member at all: types of a fixed length in that length only,
    /// uptimes and numbers in any of up to 8 octets.
    pub(crate) fn reads(self, length: usize) -> bool {
        // Members that are no times have the coding of uptimes.
        if self.member.has_fixed_width() {
            length == self.member.width()
        } else {
            self.coding.admits_length(length)
        }
    }

    /// Stores a field into its member and marks it present; a value that the member cannot hold is left out.
    ///
    /// The caller chose among rivals and checked [`Self::reads`].
    pub(crate) fn store(self, flow: &mut FlowRecord, octets: &[u8], clock: &ExportClock) {
        if self.try_store(flow, octets, clock).is_some() {
            flow.fields |= self.member.field();
        }
    }

    fn try_store(self, flow: &mut FlowRecord, octets: &[u8], clock: &ExportClock) -> Option<()> {
        use Member as M;
        match self.member {
            M::Octets => flow.octets = unsigned(octets)?,
            M::Packets => flow.packets = unsigned(octets)?,
            M::Start => flow.start = self.coding.decode(unsigned(octets)?, clock)?,
            M::End => flow.end = self.coding.decode(unsigned(octets)?, clock)?,
            M::IngressInterface => flow.ingress_interface = narrow(octets)?,
            M::EgressInterface => flow.egress_interface = narrow(octets)?,
            M::SourceAs => flow.source_as = narrow(octets)?,
            M::DestinationAs => flow.destination_as = narrow(octets)?,
            M::SourcePort => flow.source_port = narrow(octets)?,
            M::DestinationPort => flow.destination_port = narrow(octets)?,
            M::TcpFlags => flow.tcp_flags = narrow(octets)?,
            M::Protocol => flow.protocol = narrow(octets)?,
            M::Tos => flow.tos = narrow(octets)?,
            M::SourcePrefixLength | M::SourcePrefixLength6 => flow.source_prefix_length = narrow(octets)?,
            M::DestinationPrefixLength | M::DestinationPrefixLength6 => {
                flow.destination_prefix_length = narrow(octets)?;
            }
            M::Direction => flow.direction = narrow(octets)?,
            M::Ipv6FlowLabel => flow.ipv6_flow_label = narrow(octets)?,
            M::SamplerId => flow.sampler_id = narrow(octets)?,
            M::SamplingInterval => flow.sampling_interval = narrow(octets)?,
            M::FragmentIdentification => flow.fragment_identification = narrow(octets)?,
            M::Vlan => flow.vlan = narrow(octets)?,
            M::PostVlan => flow.post_vlan = narrow(octets)?,
            M::IcmpTypeCode => flow.icmp_type_code = narrow(octets)?,
            M::FlowEndReason => flow.flow_end_reason = narrow(octets)?,
            M::MinimumTtl => flow.minimum_ttl = narrow(octets)?,
            M::MaximumTtl => flow.maximum_ttl = narrow(octets)?,
            // The code of a 4-octet value is in its least significant octet.
            M::ForwardingStatus => flow.forwarding_status = *octets.last()?,
            M::SourceMac => flow.source_mac = octets.try_into().ok()?,
            M::DestinationMac => flow.destination_mac = octets.try_into().ok()?,
            M::MplsLabel(position) => flow.mpls_labels.set(usize::from(position), octets.try_into().ok()?),
            M::Source4 | M::Source6 => flow.source = address(octets)?,
            M::Destination4 | M::Destination6 => flow.destination = address(octets)?,
            M::NextHop4 | M::NextHop6 => flow.next_hop = address(octets)?,
            M::BgpNextHop4 | M::BgpNextHop6 => flow.bgp_next_hop = address(octets)?,
        }
        Some(())
    }
}

fn narrow<T: TryFrom<u64>>(octets: &[u8]) -> Option<T> {
    T::try_from(unsigned(octets)?).ok()
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(octets) {
        return Some(IpAddr::V4(Ipv4Addr::from(v4)));
    }
    Some(IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(octets).ok()?)))
}

/// The field that was chosen for a member.
#[derive(Clone, Copy)]
struct Candidate<'a> {
    target: Target,
    octets: &'a [u8],
    /// Fields before it.
    position: usize,
}

/// Decodes a record field by field, in any layout: the definition that the compiled plan must agree with.
pub(crate) fn walk<'a>(
    fields: impl Iterator<Item = (ElementId, &'a [u8])>,
    clock: &ExportClock,
) -> FlowRecord {
    use Member as M;

    let mut best: [Option<Candidate<'_>>; MEMBERS] = [None; MEMBERS];
    let mut clock = *clock;
    for (position, (element, octets)) in fields.enumerate() {
        if element == ElementId::SYSTEM_INIT_TIME_MILLISECONDS
            && let Some(boot) = unsigned(octets)
        {
            clock = ExportClock::since_boot(clock.unix(), Timestamp::from_millis(boot));
        }
        let Some(target) = Target::of(element) else { continue };
        if !target.reads(octets.len()) {
            continue;
        }
        let Some(slot) = best.get_mut(target.member.index()) else { continue };
        let better = slot.is_none_or(|chosen| {
            let beats_zero = target.member.is_address() && is_zero(chosen.octets) && !is_zero(octets);
            target.rank < chosen.target.rank || beats_zero
        });
        if better {
            *slot = Some(Candidate { target, octets, position });
        }
    }
    let mut flow = FlowRecord::EMPTY;
    let chosen = |member: Member| best.get(member.index()).copied().flatten();
    let mut store = |candidate: Option<Candidate<'_>>| {
        if let Some(Candidate { target, octets, .. }) = candidate {
            target.store(&mut flow, octets, &clock);
        }
        flow.is_ipv6()
    };
    for candidate in best.iter().flatten() {
        let member = candidate.target.member;
        if !member.is_prefix_length() && !member.is_address() {
            store(Some(*candidate));
        }
    }
    store(address_of(chosen(M::Source4), chosen(M::Source6), None));
    let ipv6 = store(address_of(chosen(M::Destination4), chosen(M::Destination6), None));
    store(address_of(chosen(M::NextHop4), chosen(M::NextHop6), Some(ipv6)));
    store(address_of(chosen(M::BgpNextHop4), chosen(M::BgpNextHop6), Some(ipv6)));
    for [first, second] in prefix_length_preference(ipv6) {
        store(chosen(first).or_else(|| chosen(second)));
    }
    flow
}

/// Two families in one record: an address that is not zero wins, of two such the first; of two zeros the one of the
/// flow's family, where that is known already.
fn address_of<'a>(
    v4: Option<Candidate<'a>>,
    v6: Option<Candidate<'a>>,
    ipv6: Option<bool>,
) -> Option<Candidate<'a>> {
    let (Some(four), Some(six)) = (v4, v6) else { return v4.or(v6) };
    let takes_six = match (is_zero(four.octets), is_zero(six.octets)) {
        (true, false) => true,
        (false, true) => false,
        (true, true) => ipv6.unwrap_or(six.position < four.position),
        (false, false) => six.position < four.position,
    };
    Some(if takes_six { six } else { four })
}

/// For source and destination: the prefix length to take and the one to take when that is missing.
pub(crate) const fn prefix_length_preference(ipv6: bool) -> [[Member; 2]; 2] {
    use Member as M;
    if ipv6 {
        [
            [M::SourcePrefixLength6, M::SourcePrefixLength],
            [M::DestinationPrefixLength6, M::DestinationPrefixLength],
        ]
    } else {
        [
            [M::SourcePrefixLength, M::SourcePrefixLength6],
            [M::DestinationPrefixLength, M::DestinationPrefixLength6],
        ]
    }
}

fn is_zero(octets: &[u8]) -> bool {
    octets.iter().all(|octet| *octet == 0)
}
