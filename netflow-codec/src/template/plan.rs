//! The compiled plan: from the octets of a record to a [`FlowRecord`] without a branch per field.
//!
//! A field of up to 8 octets that ends at octet `e` of its record is the big-endian integer of the 8 octets
//! before `e`, masked to its width. At least 16 octets of headers come before any record, so a window that
//! starts 8 octets before the record always holds them, and with `e` in a `u8` and a window of 264 octets no
//! index can be out of range: the compiler drops the checks. A member that the template lacks has the mask 0.
//!
//! Only what nearly every template has is read that way; the other members are a list, walked per record.

use alloc::{boxed::Box, vec::Vec};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::FieldSpecifier;
use crate::{
    element::ElementId,
    flow::{FlowFields, FlowRecord},
    member::{MEMBERS, Member, Target, TimeCoding, prefix_length_preference},
    time::{ExportClock, SysUptime},
};

/// Octets before a record that the window shows.
pub(crate) const LEAD: usize = 8;
/// Octets of the window: any `u8` offset and the 8 octets behind it.
pub(crate) const WINDOW: usize = 264;

/// Where a member's octets are: the 8 octets at `start` of the window, masked.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    mask: u64,
    start: u8,
}

impl Slot {
    #[inline]
    fn read(self, lead: &(impl Lead + ?Sized)) -> u64 {
        lead.eight(self.start) & self.mask
    }
}

/// Octets that begin [`LEAD`] octets before a record.
pub(crate) trait Lead {
    /// Eight of them as an integer.
    fn eight(&self, start: u8) -> u64;
}

/// The window of most records: nothing to check.
impl Lead for [u8; WINDOW] {
    #[inline]
    fn eight(&self, start: u8) -> u64 {
        self.split_at(usize::from(start)).1.first_chunk().map_or(0, |octets| u64::from_be_bytes(*octets))
    }
}

/// What is left of the datagram at the last records, whose window would reach past its end.
impl Lead for [u8] {
    #[inline]
    fn eight(&self, start: u8) -> u64 {
        let octets = self.get(usize::from(start)..).and_then(<[u8]>::first_chunk);
        octets.map_or(0, |octets| u64::from_be_bytes(*octets))
    }
}

/// The family of source and destination address, and where they start in the window.
#[derive(Clone, Copy, Debug)]
enum Addresses {
    None,
    V4 { source: Slot, destination: Slot },
    V6 { source: Slot6, destination: Slot6 },
}

#[derive(Clone, Copy, Debug)]
enum NextHop {
    None,
    V4(Slot),
    V6(Slot6),
}

/// Where an IPv6 address is; `mask` is 0 when the template lacks it.
#[derive(Clone, Copy, Debug, Default)]
struct Slot6 {
    high: Slot,
    low: Slot,
}

impl Slot6 {
    #[inline]
    fn read(self, window: &(impl Lead + ?Sized)) -> IpAddr {
        let bits = u128::from(self.high.read(window)) << 64 | u128::from(self.low.read(window));
        IpAddr::V6(Ipv6Addr::from_bits(bits))
    }
}

#[inline]
fn read_v4(slot: Slot, window: &(impl Lead + ?Sized)) -> IpAddr {
    #[expect(clippy::cast_possible_truncation, reason = "masked to 4 octets")]
    let bits = slot.read(window) as u32;
    IpAddr::V4(Ipv4Addr::from_bits(bits))
}

/// A member that is stored one by one.
#[derive(Clone, Copy, Debug)]
struct Rare {
    target: Target,
    offset: u16,
    length: u16,
}

/// How to decode records of one template.
#[derive(Debug)]
pub(crate) enum RecordPlan {
    /// By the straight line.
    Straight(Box<Straight>),
    /// Field by field: variable-length fields, both address families, options.
    Walk,
}

#[derive(Debug)]
pub(crate) struct Straight {
    fields: FlowFields,
    addresses: Addresses,
    next_hop: NextHop,
    start: TimeCoding,
    end: TimeCoding,
    /// Whether start and end are both there, both as uptimes: what v9 templates mostly have.
    has_uptimes: bool,
    /// By [`Member::index`].
    slots: [Slot; SLOTS],
    rare: Box<[Rare]>,
}

/// The members read by slot are the first ones of [`Member`].
const SLOTS: usize = 16;

/// A field that was chosen for a member.
#[derive(Clone, Copy)]
struct Chosen {
    target: Target,
    offset: usize,
    length: usize,
}

impl Chosen {
    /// The field's slot, when it ends within reach and its value always fits its member.
    fn slot(self) -> Option<Slot> {
        let start = u8::try_from(self.offset + self.length).ok()?;
        if self.length > self.target.member.width() || self.length > 8 {
            return None;
        }
        let mask = u64::MAX >> (64 - 8 * self.length);
        Some(Slot { mask, start })
    }

    fn slot6(self) -> Option<Slot6> {
        let low = u8::try_from(self.offset + 16).ok()?;
        Some(Slot6 {
            high: Slot { mask: u64::MAX, start: low - 8 },
            low: Slot { mask: u64::MAX, start: low },
        })
    }

    fn rare(self) -> Option<Rare> {
        let offset = u16::try_from(self.offset).ok()?;
        let length = u16::try_from(self.length).ok()?;
        Some(Rare { target: self.target, offset, length })
    }
}

impl RecordPlan {
    /// `data_fields` are the fields behind the scopes, `all_fields` all of them.
    pub(crate) fn compile(data_fields: &[FieldSpecifier], all_fields: &[FieldSpecifier]) -> Self {
        // Options records are read field by field; flows are not made of them.
        if data_fields.len() != all_fields.len() {
            return Self::Walk;
        }
        Straight::compile(data_fields).map_or(Self::Walk, |plan| Self::Straight(Box::new(plan)))
    }

    pub(crate) fn memory_octets(&self) -> usize {
        match self {
            Self::Straight(plan) => size_of::<Straight>() + size_of_val(&*plan.rare),
            Self::Walk => 0,
        }
    }
}

impl Straight {
    fn compile(fields: &[FieldSpecifier]) -> Option<Self> {
        let chosen = choose(fields)?;
        let of = |member: Member| chosen.get(member.index()).copied().flatten();

        let mut plan = Self {
            fields: FlowFields::NONE,
            addresses: Addresses::None,
            next_hop: NextHop::None,
            start: TimeCoding::default(),
            end: TimeCoding::default(),
            has_uptimes: false,
            slots: [Slot::default(); SLOTS],
            rare: Box::default(),
        };
        let mut rare = Vec::new();

        plan.compile_addresses(&of)?;
        let ipv6 = matches!(plan.addresses, Addresses::V6 { .. });
        let preference = prefix_length_preference(ipv6);
        for candidate in chosen.iter().flatten() {
            let member = candidate.target.member;
            if member.is_prefix_length() || plan.fields.contains(member.field()) && member.is_address() {
                continue;
            }
            plan.compile_member(*candidate, member, &mut rare)?;
        }
        let prefix_slots = [Member::SourcePrefixLength, Member::DestinationPrefixLength];
        for ([first, second], slot) in preference.into_iter().zip(prefix_slots) {
            if let Some(candidate) = of(first).or_else(|| of(second)) {
                plan.compile_member(candidate, slot, &mut rare)?;
            }
        }
        plan.rare = rare.into();
        let times = Member::Start.field().union(Member::End.field());
        let codings = [plan.start, plan.end];
        plan.has_uptimes = plan.fields.contains(times) && codings == [TimeCoding::Uptime; 2];
        Some(plan)
    }

    /// One family for source and destination, one for the next hop; anything else is walked.
    fn compile_addresses(&mut self, of: &impl Fn(Member) -> Option<Chosen>) -> Option<()> {
        use Member as M;
        let slot = |candidate: Option<Chosen>| candidate.map_or_else(|| Some(Slot::default()), Chosen::slot);
        let slot6 =
            |candidate: Option<Chosen>| candidate.map_or_else(|| Some(Slot6::default()), Chosen::slot6);
        let v4 = (of(M::Source4), of(M::Destination4));
        let v6 = (of(M::Source6), of(M::Destination6));
        let has_v4 = v4.0.is_some() || v4.1.is_some();
        let has_v6 = v6.0.is_some() || v6.1.is_some();
        self.addresses = match (has_v4, has_v6) {
            (false, false) => Addresses::None,
            (true, false) => Addresses::V4 { source: slot(v4.0)?, destination: slot(v4.1)? },
            // An absent address is the unspecified IPv4 address, which a straight line of one family is not.
            (false, true) if v6.0.is_some() && v6.1.is_some() => {
                Addresses::V6 { source: slot6(v6.0)?, destination: slot6(v6.1)? }
            }
            _ => return None,
        };
        self.next_hop = match (of(M::NextHop4), of(M::NextHop6)) {
            (None, None) => NextHop::None,
            (hop @ Some(_), None) => NextHop::V4(slot(hop)?),
            (None, hop @ Some(_)) => NextHop::V6(slot6(hop)?),
            _ => return None,
        };
        if of(M::BgpNextHop4).is_some() && of(M::BgpNextHop6).is_some() {
            return None;
        }
        let read = [M::Source4, M::Destination4, M::Source6, M::Destination6, M::NextHop4, M::NextHop6];
        for member in read {
            if of(member).is_some() {
                self.fields |= member.field();
            }
        }
        Some(())
    }

    /// A straight slot where possible, else an entry of the rare list; `None` when neither can hold it.
    fn compile_member(&mut self, candidate: Chosen, slot_of: Member, rare: &mut Vec<Rare>) -> Option<()> {
        match slot_of {
            Member::Start => self.start = candidate.target.coding,
            Member::End => self.end = candidate.target.coding,
            _ => {}
        }
        match (self.slots.get_mut(slot_of.index()), candidate.slot()) {
            (Some(slot), Some(chosen)) => {
                *slot = chosen;
                self.fields |= slot_of.field();
            }
            // The rare list stores after the straight line: it overwrites the slot's zero.
            _ => rare.push(candidate.rare()?),
        }
        Some(())
    }

    #[inline]
    pub(crate) const fn has_rare(&self) -> bool {
        !self.rare.is_empty()
    }

    /// Decodes one record into `flow`, which is empty or holds another record of this template. `window` starts
    /// [`LEAD`] octets before the record, and so does `lead`, which goes on to the end of the record at least; at the
    /// last records of a datagram they are the same.
    #[inline]
    pub(crate) fn decode(
        &self,
        window: &(impl Lead + ?Sized),
        lead: &[u8],
        clock: &ExportClock,
        flow: &mut FlowRecord,
    ) {
        flow.fields = self.fields;
        match self.addresses {
            Addresses::None => {}
            Addresses::V4 { source, destination } => {
                flow.source = read_v4(source, window);
                flow.destination = read_v4(destination, window);
            }
            Addresses::V6 { source, destination } => {
                flow.source = source.read(window);
                flow.destination = destination.read(window);
            }
        }
        match self.next_hop {
            NextHop::None => {}
            NextHop::V4(slot) => flow.next_hop = read_v4(slot, window),
            NextHop::V6(slot) => flow.next_hop = slot.read(window),
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
        if self.has_uptimes && clock.has_uptime() {
            flow.start = clock.to_timestamp(uptime(start.read(window)));
            flow.end = clock.to_timestamp(uptime(end.read(window)));
        } else {
            self.decode_times(start.read(window), end.read(window), clock, flow);
        }
        for rare in &self.rare {
            let from = LEAD + usize::from(rare.offset);
            if let Some(octets) = lead.get(from..from + usize::from(rare.length)) {
                rare.target.store(flow, octets, clock);
            }
        }
    }

    /// Any other coding of times, and times that are missing.
    #[inline(never)]
    fn decode_times(&self, start: u64, end: u64, clock: &ExportClock, flow: &mut FlowRecord) {
        for (member, coding, raw) in [(Member::Start, self.start, start), (Member::End, self.end, end)] {
            if !self.fields.contains(member.field()) {
                continue;
            }
            let time = coding.decode(raw, clock);
            if time.is_none() {
                flow.fields = flow.fields.without(member.field());
            }
            match member {
                Member::Start => flow.start = time.unwrap_or_default(),
                _ => flow.end = time.unwrap_or_default(),
            }
        }
    }
}

fn uptime(raw: u64) -> SysUptime {
    // Some devices send 8 octets here; uptime is what fits in 32 bits.
    #[expect(clippy::cast_possible_truncation, reason = "uptime is modulo 2^32")]
    let millis = raw as u32;
    SysUptime::from_millis(millis)
}

/// The field that feeds each member; `None` when only a walk can decide.
fn choose(fields: &[FieldSpecifier]) -> Option<[Option<Chosen>; MEMBERS]> {
    let mut chosen: [Option<Chosen>; MEMBERS] = [None; MEMBERS];
    let mut offset = 0;
    for field in fields {
        // A record that says when the exporter booted has a clock of its own.
        if field.is_variable_length() || field.element == ElementId::SYSTEM_INIT_TIME_MILLISECONDS {
            return None;
        }
        let length = usize::from(field.length);
        if let Some(target) = Target::of(field.element).filter(|target| target.reads(length)) {
            let slot = chosen.get_mut(target.member.index())?;
            match slot {
                // Which of two addresses counts is seen from their values.
                Some(_) if target.member.is_address() => return None,
                Some(rival) if rival.target.rank <= target.rank => {}
                _ => *slot = Some(Chosen { target, offset, length }),
            }
        }
        offset += length;
    }
    Some(chosen)
}
