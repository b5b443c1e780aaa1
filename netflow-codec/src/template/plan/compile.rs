//! From the fields of a template to its plan.

use alloc::{boxed::Box, vec::Vec};

use super::{
    Addresses, Extra, LabelStack, NextHop, Rare, SECOND, SLOTS, Straight, Tail, Times, second_index,
    window::Slot,
};
use crate::{
    element::ElementId,
    flow::FlowFields,
    member::{MEMBERS, Member, Target, prefix_length_preference},
    template::FieldSpecifier,
};

/// A field that was chosen for a member.
#[derive(Clone, Copy)]
struct Chosen {
    target: Target,
    /// How many variable-length fields are in front of it.
    tail: usize,
    /// From the end of the last one of those, or from the start of the record.
    offset: usize,
    length: usize,
}

impl Chosen {
    /// The field's slot, when it ends within reach and its value always fits its member.
    fn slot(self) -> Option<Slot> {
        let start = u8::try_from(self.offset + self.length).ok()?;
        if self.length > self.target.member.width() {
            return None;
        }
        // Of longer fields, which are addresses, the last 8 octets.
        Some(Slot::new(start, self.length))
    }

    /// The slot of a field in front of all variable-length ones.
    fn head_slot(self) -> Option<Slot> {
        self.slot().filter(|_| self.tail == 0)
    }

    fn head_start(self) -> Option<u8> {
        Some(self.head_slot()?.start)
    }

    fn extra(self) -> Option<Extra> {
        Some(Extra { target: self.target, slot: self.slot()? })
    }

    fn rare(self) -> Option<Rare> {
        let offset = u16::try_from(self.offset).ok().filter(|_| self.tail == 0)?;
        let length = u16::try_from(self.length).ok()?;
        Some(Rare { target: self.target, offset, length })
    }
}

/// What is put together while a plan is compiled.
#[derive(Default)]
struct Lists {
    extras: Vec<Extra>,
    tails: Vec<Vec<Extra>>,
    rare: Vec<Rare>,
}

impl Lists {
    /// Adds a member that no slot can read; `None` when no list can hold it either.
    fn add(&mut self, chosen: Chosen) -> Option<()> {
        match (chosen.extra(), chosen.tail.checked_sub(1)) {
            (Some(extra), None) => self.extras.push(extra),
            (Some(extra), Some(tail)) => self.tails.get_mut(tail)?.push(extra),
            (None, _) => self.rare.push(chosen.rare()?),
        }
        Some(())
    }
}

impl Straight {
    pub(super) fn compile(fields: &[FieldSpecifier]) -> Option<Self> {
        let Choice { chosen, gaps, last_gap } = choose(fields)?;
        let of = |member: Member| chosen.get(member.index()).copied().flatten();

        let mut plan = Self {
            fields: FlowFields::NONE,
            addresses: Addresses::None,
            next_hop: NextHop::None,
            times: Times::None,
            start: None,
            end: None,
            slots: [Slot::default(); SLOTS],
            has_second: false,
            second: [Slot::default(); SECOND],
            labels: LabelStack::default(),
            has_labels: false,
            has_lists: false,
            extras: Box::default(),
            tails: Box::default(),
            last_gap,
            rare: Box::default(),
        };
        let mut lists = Lists { tails: gaps.iter().map(|_| Vec::new()).collect(), ..Lists::default() };

        let ipv6 = plan.compile_addresses(&of, &mut lists)?;
        plan.compile_labels(&of);
        for candidate in chosen.iter().flatten() {
            let member = candidate.target.member;
            let is_in_stack = |position: u8| plan.labels.depth > position;
            let is_done = match member {
                Member::MplsLabel(position) => is_in_stack(position),
                // See `compile_addresses`.
                Member::Ipv6FlowLabel => true,
                _ => member.is_prefix_length() || member.is_address(),
            };
            if !is_done {
                plan.compile_member(*candidate, member, &mut lists)?;
            }
        }
        let prefix_slots = [Member::SourcePrefixLength, Member::DestinationPrefixLength];
        for ([first, second], slot) in prefix_length_preference(ipv6).into_iter().zip(prefix_slots) {
            if let Some(candidate) = of(first).or_else(|| of(second)) {
                plan.compile_member(candidate, slot, &mut lists)?;
            }
        }
        let coding = |member: Member| {
            of(member).filter(|chosen| chosen.head_slot().is_some()).map(|chosen| chosen.target.coding)
        };
        (plan.start, plan.end) = (coding(Member::Start), coding(Member::End));
        plan.times = Times::of(plan.start, plan.end);
        for extra in lists.extras.iter().chain(lists.tails.iter().flatten()) {
            plan.fields |= extra.target.member.field();
            plan.has_labels |= matches!(extra.target.member, Member::MplsLabel(_));
        }
        plan.extras = lists.extras.into();
        plan.rare = lists.rare.into();
        plan.has_lists = plan.has_labels || !plan.extras.is_empty() || !plan.rare.is_empty();
        let tails = lists.tails.into_iter().zip(gaps);
        plan.tails = tails.map(|(extras, gap)| Tail { gap, extras: extras.into() }).collect();
        Some(plan)
    }

    /// One family for source and destination, one for the next hop; anything else is walked. Says whether the family
    /// is IPv6.
    fn compile_addresses(
        &mut self,
        of: &impl Fn(Member) -> Option<Chosen>,
        lists: &mut Lists,
    ) -> Option<bool> {
        use Member as M;
        let v4 = [of(M::Source4), of(M::Destination4)];
        let v6 = [of(M::Source6), of(M::Destination6)];
        let is_there = |pair: &[Option<Chosen>; 2]| pair.iter().any(Option::is_some);
        if is_there(&v4) && is_there(&v6)
            || of(M::NextHop4).is_some() && of(M::NextHop6).is_some()
            || of(M::BgpNextHop4).is_some() && of(M::BgpNextHop6).is_some()
        {
            return None;
        }
        let starts = |pair: [Option<Chosen>; 2]| {
            let [source, destination] = pair.map(|chosen| chosen.and_then(Chosen::head_start));
            Some((source?, destination?))
        };
        // An absent address is the unspecified IPv4 address, which a straight line of IPv6 is not.
        self.addresses = match (starts(v4), starts(v6)) {
            (Some((source, destination)), _) => Addresses::V4 { source, destination },
            (_, Some((source, destination))) => {
                let flow_label = of(M::Ipv6FlowLabel).and_then(Chosen::head_slot).unwrap_or_default();
                Addresses::V6 { source, destination, flow_label }
            }
            _ => Addresses::None,
        };
        let start = |member: Member| of(member).and_then(Chosen::head_start);
        self.next_hop = match (start(M::NextHop4), start(M::NextHop6)) {
            (Some(start), _) => NextHop::V4(start),
            (None, hop) => hop.map_or(NextHop::None, NextHop::V6),
        };
        let in_line = |member: Member| match member {
            M::NextHop4 | M::NextHop6 => self.next_hop != NextHop::None,
            M::BgpNextHop4 | M::BgpNextHop6 => false,
            M::Ipv6FlowLabel => {
                matches!(self.addresses, Addresses::V6 { flow_label, .. } if flow_label.is_set())
            }
            _ => !matches!(self.addresses, Addresses::None),
        };
        let members = [
            M::Source4,
            M::Destination4,
            M::NextHop4,
            M::BgpNextHop4,
            M::Source6,
            M::Destination6,
            M::NextHop6,
            M::BgpNextHop6,
            M::Ipv6FlowLabel,
        ];
        for chosen in members.into_iter().filter_map(of) {
            if in_line(chosen.target.member) {
                self.fields |= chosen.target.member.field();
            } else {
                lists.add(chosen)?;
            }
        }
        Some(is_there(&v6))
    }

    /// The labels that follow each other from the outermost on.
    fn compile_labels(&mut self, of: &impl Fn(Member) -> Option<Chosen>) {
        let start = |position: u8| of(Member::MplsLabel(position)).and_then(Chosen::head_start);
        let Some(first) = start(0) else { return };
        let follows =
            |depth: &u8| first.checked_add(3 * depth).is_some_and(|next| start(*depth) == Some(next));
        // There are ten labels at most.
        let depth = (1..10).find(|depth| !follows(depth)).unwrap_or(10);
        // Labels elsewhere have all of them read one by one.
        if (depth..10).all(|position| of(Member::MplsLabel(position)).is_none()) {
            self.labels = LabelStack { start: first, depth };
            self.fields |= FlowFields::MPLS_LABELS;
        }
    }

    /// A straight slot where possible, else an entry of a list; `None` when none of them can hold it.
    fn compile_member(&mut self, candidate: Chosen, slot_of: Member, lists: &mut Lists) -> Option<()> {
        let slot = match second_index(slot_of) {
            Some(index) => self.second.get_mut(index),
            None => self.slots.get_mut(slot_of.index()),
        };
        match (slot, candidate.head_slot()) {
            (Some(slot), Some(chosen)) => {
                *slot = chosen;
                self.has_second |= second_index(slot_of).is_some();
                self.fields |= slot_of.field();
                Some(())
            }
            // The lists store after the straight line: they overwrite the slot's zero.
            _ => lists.add(candidate),
        }
    }
}

/// The field that feeds each member, and where the variable-length fields are.
struct Choice {
    chosen: [Option<Chosen>; MEMBERS],
    /// Octets in front of each variable-length field, from the one before.
    gaps: Vec<usize>,
    /// Octets behind the last one.
    last_gap: usize,
}

/// The field that feeds each member; `None` when only a walk can decide.
fn choose(fields: &[FieldSpecifier]) -> Option<Choice> {
    let mut chosen: [Option<Chosen>; MEMBERS] = [None; MEMBERS];
    let mut gaps = Vec::new();
    let mut offset = 0;
    for field in fields {
        // A record that says when the exporter booted has a clock of its own.
        if field.element == ElementId::SYSTEM_INIT_TIME_MILLISECONDS {
            return None;
        }
        let target = Target::of(field.element);
        if field.is_variable_length() {
            // Whether the member is there at all is seen from each record.
            if target.is_some() {
                return None;
            }
            gaps.push(offset);
            offset = 0;
            continue;
        }
        let length = usize::from(field.length);
        if let Some(target) = target.filter(|target| target.reads(length)) {
            let slot = chosen.get_mut(target.member.index())?;
            match slot {
                // Which of two addresses counts is seen from their values.
                Some(_) if target.member.is_address() => return None,
                Some(rival) if rival.target.rank <= target.rank => {}
                _ => *slot = Some(Chosen { target, tail: gaps.len(), offset, length }),
            }
        }
        offset += length;
    }
    Some(Choice { chosen, gaps, last_gap: offset })
}
