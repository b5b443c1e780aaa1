//! The compiled plan: from the octets of a record to a [`FlowRecord`] without a branch per field.
//!
//! A field of up to 8 octets that ends at octet `e` of its record is the big-endian integer of the 8 octets
//! before `e`, masked to its width. At least 16 octets of headers come before any record, so a window that
//! starts 8 octets before the record always holds them, and with `e` in a `u8` and a window of 263 octets no
//! index can be out of range: the compiler drops the checks. A member that the template lacks has the mask 0.
//!
//! Only what nearly every template has is read in a straight line; the other members are a list, walked per record.
//! In front of the first variable-length field all places are known, behind it they count from where that field
//! ends: those fields are lists of their own.

mod compile;
mod window;

use alloc::boxed::Box;

pub(crate) use window::{LEAD, LastWindow, Lead, Slot, WINDOW};
use window::{read_sixteen, read_v4, read_v6};

use super::FieldSpecifier;
use crate::{
    flow::{FlowFields, FlowRecord, MplsLabels},
    member::{Member, Target, TimeCoding},
    time::{Epoch, ExportClock, SysUptime, Timestamp},
    wire::behind_variable_length,
};

/// The family of source and destination address, both of which are there, and where their last octets are: the 8
/// octets of the window that end with them.
#[derive(Clone, Copy, Debug)]
enum Addresses {
    None,
    V4 { source: u8, destination: u8 },
    V6 { source: u8, destination: u8, flow_label: Slot },
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum NextHop {
    None,
    V4(u8),
    V6(u8),
}

/// Labels from the outermost on, one behind the other, as templates have them.
#[derive(Clone, Copy, Debug, Default)]
struct LabelStack {
    /// The 8 octets of the window that end with the first label.
    start: u8,
    depth: u8,
}

/// A member that is stored one by one because its field can be too long for it, or is out of reach.
#[derive(Clone, Copy, Debug)]
struct Rare {
    target: Target,
    offset: u16,
    length: u16,
}

/// A member that is read like a slot, but not part of the straight line.
#[derive(Clone, Copy, Debug)]
struct Extra {
    target: Target,
    slot: Slot,
}

/// The fields behind one of variable length, up to the next such one or the end.
#[derive(Debug)]
struct Tail {
    /// Octets from the end of the variable-length field before to the one in front of these fields.
    gap: usize,
    /// Their slots count from where they begin.
    extras: Box<[Extra]>,
}

/// How to decode records of one template.
///
/// It is part of the template, not behind a pointer of its own: with many exporters each step to it is a cache miss.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are straight")]
pub(crate) enum RecordPlan {
    /// By the straight line.
    Straight(Straight),
    /// Field by field: both address families in one record, members of variable length, options.
    Walk,
}

/// What dates the records of a datagram.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dates<'c> {
    clock: &'c ExportClock,
    epoch: Option<Epoch>,
}

impl<'c> Dates<'c> {
    pub(crate) const fn new(clock: &'c ExportClock) -> Self {
        Self { clock, epoch: clock.epoch() }
    }
}

#[derive(Debug)]
pub(crate) struct Straight {
    /// What every record has, times that nothing dates excepted.
    fields: FlowFields,
    addresses: Addresses,
    next_hop: NextHop,
    times: Times,
    start: Option<TimeCoding>,
    end: Option<TimeCoding>,
    /// By [`Member::index`].
    slots: [Slot; SLOTS],
    /// Whether one of the second ones is there: see [`second_index`].
    has_second: bool,
    second: [Slot; SECOND],
    labels: LabelStack,
    /// Whether there are labels in the lists.
    has_labels: bool,
    /// Whether there is anything but the straight line in front of the first variable-length field.
    has_lists: bool,
    extras: Box<[Extra]>,
    tails: Box<[Tail]>,
    /// Octets behind the last variable-length field; of the record when there is none.
    last_gap: usize,
    rare: Box<[Rare]>,
}

/// The times of the straight line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Times {
    None,
    /// Start and end, both as uptimes: what v9 templates mostly have.
    Uptimes,
    /// Start and end, both in milliseconds: what IPFIX templates mostly have.
    Milliseconds,
    /// Anything else: [`Straight::start`] and [`Straight::end`] say what.
    Others,
}

impl Times {
    fn of(start: Option<TimeCoding>, end: Option<TimeCoding>) -> Self {
        match (start, end) {
            (None, None) => Self::None,
            (Some(TimeCoding::Uptime), Some(TimeCoding::Uptime)) => Self::Uptimes,
            (Some(TimeCoding::Milliseconds), Some(TimeCoding::Milliseconds)) => Self::Milliseconds,
            _ => Self::Others,
        }
    }
}

/// The members read by slot are the first ones of [`Member`].
const SLOTS: usize = 16;

/// Members that many templates have one or two of: read in a straight line, too, where there is any.
const SECOND: usize = 4;

/// The place of a member among the second ones.
const fn second_index(member: Member) -> Option<usize> {
    match member {
        Member::Vlan => Some(0),
        Member::IcmpTypeCode => Some(1),
        Member::FlowEndReason => Some(2),
        Member::SamplerId => Some(3),
        _ => None,
    }
}

impl RecordPlan {
    pub(crate) fn compile(data_fields: &[FieldSpecifier], options: bool) -> Self {
        // Options records are read field by field; flows are not made of them.
        if options {
            return Self::Walk;
        }
        Straight::compile(data_fields).map_or(Self::Walk, Self::Straight)
    }

    pub(crate) fn memory_octets(&self) -> usize {
        match self {
            Self::Straight(plan) => {
                let extras = plan.tails.iter().map(|tail| size_of_val(&*tail.extras)).sum::<usize>();
                let lists = size_of_val(&*plan.extras) + size_of_val(&*plan.tails) + size_of_val(&*plan.rare);
                lists + extras
            }
            Self::Walk => 0,
        }
    }
}

impl Straight {
    /// What every record has, times that nothing dates excepted.
    pub(crate) const fn fields(&self) -> FlowFields {
        self.fields
    }

    /// Whether every member is at a place of its own that [`Self::slot_of`] tells.
    pub(crate) const fn is_columnar(&self) -> bool {
        self.tails.is_empty() && self.rare.is_empty()
    }

    /// Where a member is: its last 8 octets for an IPv6 address; prefix lengths of either family are those without one.
    pub(crate) fn slot_of(&self, member: Member) -> Option<Slot> {
        use Member as M;
        let whole = |start: u8, length| Some(Slot::new(start, length));
        let straight = match (member, self.addresses, self.next_hop) {
            (M::Source4, Addresses::V4 { source, .. }, _) => whole(source, 4),
            (M::Destination4, Addresses::V4 { destination, .. }, _) => whole(destination, 4),
            (M::NextHop4, _, NextHop::V4(start)) => whole(start, 4),
            (M::Source6, Addresses::V6 { source, .. }, _) => whole(source, 16),
            (M::Destination6, Addresses::V6 { destination, .. }, _) => whole(destination, 16),
            (M::NextHop6, _, NextHop::V6(start)) => whole(start, 16),
            (M::Ipv6FlowLabel, Addresses::V6 { flow_label, .. }, _) => Some(flow_label),
            (M::MplsLabel(position), ..) if position < self.labels.depth => {
                whole(self.labels.start + 3 * position, 3)
            }
            _ => match second_index(member) {
                Some(index) => self.second.get(index).copied(),
                None => self.slots.get(member.index()).copied(),
            },
        };
        let is_member = |extra: &&Extra| match extra.target.member {
            M::SourcePrefixLength6 => member == M::SourcePrefixLength,
            M::DestinationPrefixLength6 => member == M::DestinationPrefixLength,
            other => member == other,
        };
        let extra = || self.extras.iter().find(is_member).map(|extra| extra.slot);
        straight.filter(|slot| slot.is_set()).or_else(extra)
    }

    /// How start or end are coded; `None` when the template lacks them.
    pub(crate) fn coding_of(&self, member: Member) -> Option<TimeCoding> {
        let straight = match member {
            Member::Start => self.start,
            Member::End => self.end,
            _ => None,
        };
        let extra = || self.extras.iter().find(|extra| extra.target.member == member);
        straight.or_else(|| extra().map(|extra| extra.target.coding))
    }

    /// Decodes one record into `flow`, which is empty or holds another record of this template; octets of the record,
    /// `None` when it runs past the end of its set.
    ///
    /// `window` starts [`LEAD`] octets before the record, and so does `lead`, which goes on to the end of the datagram;
    /// `left` octets of the set are left, at least the template's minimum.
    #[inline]
    pub(crate) fn decode_whole(
        &self,
        window: &(impl Lead + ?Sized),
        lead: &[u8],
        left: usize,
        dates: &Dates<'_>,
        flow: &mut FlowRecord,
    ) -> Option<usize> {
        if !self.rare.is_empty() {
            // A rare member that does not fit is left out: it must not keep the value of the last record.
            *flow = FlowRecord::EMPTY;
        }
        self.decode(window, dates, flow);
        if self.has_lists {
            self.decode_lists(window, lead, dates.clock, flow);
        }
        if self.tails.is_empty() {
            Some(self.last_gap)
        } else {
            self.decode_tails(lead, left, dates.clock, flow)
        }
    }

    /// Decodes the straight line.
    ///
    /// Not inlined: in a loop over records the compiler would load all slots before it, put them on the stack, as there
    /// are more than registers, and load them from there again.
    #[inline(never)]
    fn decode(&self, window: &(impl Lead + ?Sized), dates: &Dates<'_>, flow: &mut FlowRecord) {
        flow.fields = self.fields;
        match self.addresses {
            Addresses::None => {}
            Addresses::V4 { source, destination } => {
                flow.source = read_v4(source, window);
                flow.destination = read_v4(destination, window);
            }
            Addresses::V6 { source, destination, flow_label } => {
                flow.source = read_v6(source, window);
                flow.destination = read_v6(destination, window);
                #[expect(clippy::cast_possible_truncation, reason = "masked to the width of the member")]
                let flow_label = flow_label.read(window) as u32;
                flow.ipv6_flow_label = flow_label;
            }
        }
        match self.next_hop {
            NextHop::None => {}
            NextHop::V4(start) => flow.next_hop = read_v4(start, window),
            NextHop::V6(start) => flow.next_hop = read_v6(start, window),
        }
        let [
            octets,
            packets,
            start,
            end,
            ingress,
            egress,
            source_as,
            destination_as,
            source_port,
            destination_port,
            tcp_flags,
            protocol,
            tos,
            source_prefix,
            destination_prefix,
            direction,
        ] = &self.slots;
        // Slots are masked to the width of their member.
        #[expect(clippy::cast_possible_truncation, reason = "masked to the width of the member")]
        {
            flow.octets = octets.read(window);
            flow.packets = packets.read(window);
            flow.ingress_interface = ingress.read(window) as u32;
            flow.egress_interface = egress.read(window) as u32;
            flow.source_as = source_as.read(window) as u32;
            flow.destination_as = destination_as.read(window) as u32;
            flow.source_port = source_port.read(window) as u16;
            flow.destination_port = destination_port.read(window) as u16;
            flow.tcp_flags = tcp_flags.read(window) as u16;
            flow.protocol = protocol.read(window) as u8;
            flow.tos = tos.read(window) as u8;
            flow.source_prefix_length = source_prefix.read(window) as u8;
            flow.destination_prefix_length = destination_prefix.read(window) as u8;
            flow.direction = direction.read(window) as u8;
        }
        if let Some(epoch) = dates.epoch.filter(|_| self.times == Times::Uptimes) {
            flow.start = epoch.to_timestamp(uptime(start.read(window)));
            flow.end = epoch.to_timestamp(uptime(end.read(window)));
        } else if self.times == Times::Milliseconds {
            flow.start = Timestamp::from_millis(start.read(window));
            flow.end = Timestamp::from_millis(end.read(window));
        } else if self.times != Times::None {
            self.decode_times(start.read(window), end.read(window), dates.clock, flow);
        }
        if self.has_second {
            self.decode_second(window, flow);
        }
        if self.labels.depth > 0 {
            self.decode_labels(window, flow);
        }
    }

    #[inline]
    fn decode_second(&self, window: &(impl Lead + ?Sized), flow: &mut FlowRecord) {
        let [vlan, icmp, end_reason, sampler] = &self.second;
        #[expect(clippy::cast_possible_truncation, reason = "masked to the width of the member")]
        {
            flow.vlan = vlan.read(window) as u16;
            flow.icmp_type_code = icmp.read(window) as u16;
            flow.flow_end_reason = end_reason.read(window) as u8;
            flow.sampler_id = sampler.read(window) as u32;
        }
    }

    #[inline]
    fn decode_labels(&self, window: &(impl Lead + ?Sized), flow: &mut FlowRecord) {
        let LabelStack { start, depth } = self.labels;
        // Less than 256 by the plan.
        let label = |position: u8| start.wrapping_add(3 * position);
        let last = label(depth - 1);
        if depth <= 5 && last >= 8 {
            flow.mpls_labels.fill_with(depth, read_sixteen(last, window));
        } else {
            flow.mpls_labels.fill(depth, |position| window.eight(label(position)));
        }
    }

    /// What is not in the straight line.
    #[inline(never)]
    fn decode_lists(
        &self,
        window: &(impl Lead + ?Sized),
        lead: &[u8],
        clock: &ExportClock,
        flow: &mut FlowRecord,
    ) {
        if self.has_labels {
            // A stack of fewer labels than the last record's.
            flow.mpls_labels = MplsLabels::EMPTY;
        }
        for extra in &self.extras {
            extra.decode(window, clock, flow);
        }
        for rare in &self.rare {
            let from = LEAD + usize::from(rare.offset);
            if let Some(octets) = lead.get(from..from + usize::from(rare.length)) {
                rare.target.store(flow, octets, clock);
            }
        }
    }

    /// Decodes the fields behind variable-length ones; `lead` starts [`LEAD`] octets before the record, of whose set
    /// `left` octets are left. Octets of the record, `None` when it runs past the end of its set.
    #[inline(never)]
    fn decode_tails(
        &self,
        lead: &[u8],
        left: usize,
        clock: &ExportClock,
        flow: &mut FlowRecord,
    ) -> Option<usize> {
        let mut position = LEAD;
        for tail in &self.tails {
            position = behind_variable_length(lead, position + tail.gap)?;
            if tail.extras.is_empty() {
                continue;
            }
            let lead = lead.get(position - LEAD..)?;
            match lead.first_chunk::<WINDOW>() {
                Some(window) => tail.extras.iter().for_each(|extra| extra.decode(window, clock, flow)),
                None => tail.extras.iter().for_each(|extra| extra.decode(lead, clock, flow)),
            }
        }
        let length = position - LEAD + self.last_gap;
        (length <= left).then_some(length)
    }

    /// Any other coding of times, and times that nothing dates.
    #[inline(never)]
    fn decode_times(&self, start: u64, end: u64, clock: &ExportClock, flow: &mut FlowRecord) {
        if let Some(coding) = self.start {
            flow.start = dated(coding, start, clock, FlowFields::START, &mut flow.fields);
        }
        if let Some(coding) = self.end {
            flow.end = dated(coding, end, clock, FlowFields::END, &mut flow.fields);
        }
    }
}

#[inline]
const fn uptime(raw: u64) -> SysUptime {
    // Some devices send 8 octets here; uptime is what fits in 32 bits.
    #[expect(clippy::cast_possible_truncation, reason = "uptime is modulo 2^32")]
    let millis = raw as u32;
    SysUptime::from_millis(millis)
}

/// A time, which is not `present` after all when nothing dates it.
fn dated(
    coding: TimeCoding,
    raw: u64,
    clock: &ExportClock,
    present: FlowFields,
    fields: &mut FlowFields,
) -> Timestamp {
    let time = coding.decode(raw, clock);
    if time.is_none() {
        *fields = fields.without(present);
    }
    time.unwrap_or_default()
}

impl Extra {
    /// Reads the member and stores it. It is present by the plan's fields; only of a time that nothing dates that is
    /// taken back.
    #[inline]
    fn decode(&self, window: &(impl Lead + ?Sized), clock: &ExportClock, flow: &mut FlowRecord) {
        use Member as M;
        let raw = self.slot.read(window);
        // Slots are masked to the width of their member.
        #[expect(clippy::cast_possible_truncation, reason = "masked to the width of the member")]
        let (word, short, octet) = (raw as u32, raw as u16, raw as u8);
        match self.target.member {
            M::Octets => flow.octets = raw,
            M::Packets => flow.packets = raw,
            M::Start => {
                flow.start = dated(self.target.coding, raw, clock, FlowFields::START, &mut flow.fields);
            }
            M::End => flow.end = dated(self.target.coding, raw, clock, FlowFields::END, &mut flow.fields),
            M::IngressInterface => flow.ingress_interface = word,
            M::EgressInterface => flow.egress_interface = word,
            M::SourceAs => flow.source_as = word,
            M::DestinationAs => flow.destination_as = word,
            M::SourcePort => flow.source_port = short,
            M::DestinationPort => flow.destination_port = short,
            M::TcpFlags => flow.tcp_flags = short,
            M::Protocol => flow.protocol = octet,
            M::Tos => flow.tos = octet,
            M::SourcePrefixLength | M::SourcePrefixLength6 => flow.source_prefix_length = octet,
            M::DestinationPrefixLength | M::DestinationPrefixLength6 => {
                flow.destination_prefix_length = octet;
            }
            M::Direction => flow.direction = octet,
            M::Ipv6FlowLabel => flow.ipv6_flow_label = word,
            M::SamplerId => flow.sampler_id = word,
            M::SamplingInterval => flow.sampling_interval = word,
            M::FragmentIdentification => flow.fragment_identification = word,
            M::Vlan => flow.vlan = short,
            M::PostVlan => flow.post_vlan = short,
            M::IcmpTypeCode => flow.icmp_type_code = short,
            M::FlowEndReason => flow.flow_end_reason = octet,
            M::MinimumTtl => flow.minimum_ttl = octet,
            M::MaximumTtl => flow.maximum_ttl = octet,
            M::ForwardingStatus => flow.forwarding_status = octet,
            M::SourceMac => flow.source_mac = low(raw),
            M::DestinationMac => flow.destination_mac = low(raw),
            M::MplsLabel(position) => flow.mpls_labels.set(usize::from(position), low(raw)),
            M::Source4 => flow.source = read_v4(self.slot.start, window),
            M::Destination4 => flow.destination = read_v4(self.slot.start, window),
            M::NextHop4 => flow.next_hop = read_v4(self.slot.start, window),
            M::BgpNextHop4 => flow.bgp_next_hop = read_v4(self.slot.start, window),
            M::Source6 => flow.source = read_v6(self.slot.start, window),
            M::Destination6 => flow.destination = read_v6(self.slot.start, window),
            M::NextHop6 => flow.next_hop = read_v6(self.slot.start, window),
            M::BgpNextHop6 => flow.bgp_next_hop = read_v6(self.slot.start, window),
        }
    }
}

/// The last octets of a word.
#[inline]
fn low<const N: usize>(raw: u64) -> [u8; N] {
    raw.to_be_bytes().last_chunk().copied().unwrap_or([0; N])
}
