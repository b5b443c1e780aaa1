//! How a layout's records are written: the mirror of the decoding plan.
//!
//! The members that nearly every layout has are stored in a straight line, each in its width at the offset that the
//! layout gives it. A member that the layout lacks is stored, too: behind the record, where the next one will be. So
//! there is a branch for each group of members, none for each member. Members in other widths, and the other
//! members, are a list.

use alloc::{boxed::Box, vec::Vec};

use super::words::{
    DESTINATION, DESTINATION_AS, DESTINATION_PORT, DESTINATION_PREFIX, DIRECTION, EGRESS, END, END_REASON,
    END_UPTIME, ICMP, INGRESS, IP_VERSION, NEXT_HOP, OCTETS, PACKETS, PROTOCOL, SOURCE, SOURCE_AS,
    SOURCE_PORT, SOURCE_PREFIX, START, START_UPTIME, TCP_FLAGS, TOS, VLAN, WORDS, halves, uptime, v4, word,
};
use crate::{flow::FlowRecord, time::Timestamp};

/// Octets that [`Program::run`] writes into: any `u8` offset and 8 octets behind it.
pub(super) const ROOM: usize = 264;

/// Where the fields of a layout are.
#[derive(Clone, Debug)]
pub(super) struct Program {
    /// By word: where it goes. Behind the record, when the straight line is not to write it.
    at: [u8; WORDS],
    addresses: Addresses,
    times: Times,
    counters: Width,
    interfaces: Width,
    as_numbers: Width,
    list: Box<[Step]>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Addresses {
    None,
    V4,
    V6,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Times {
    None,
    Uptime,
    Millis,
}

/// The width of the members of a group, which go by pairs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Width {
    /// The layout has none of them.
    None,
    /// Half the octets of the member's type.
    Half,
    Full,
}

/// A field that the straight line does not write.
#[derive(Clone, Copy, Debug)]
struct Step {
    at: u8,
    word: u8,
    /// How far left the word is shifted for its lowest octet to end the field.
    shift: u8,
}

impl Program {
    /// Where these words go, each of 1 to 8 octets; `None` when they are more than 255 octets together.
    pub(super) fn compile(words: &[(usize, usize)]) -> Option<Self> {
        let record_len = u8::try_from(words.iter().map(|(_, width)| width).sum::<usize>()).ok()?;
        let mut program = Self {
            at: [record_len; WORDS],
            addresses: Addresses::None,
            times: Times::None,
            counters: Width::None,
            interfaces: Width::None,
            as_numbers: Width::None,
            list: Box::default(),
        };
        let (mut list, mut at) = (Vec::new(), 0u8);
        for (word, width) in words {
            let is_free = program.at.get(*word) == Some(&record_len);
            if is_free && program.takes(*word, *width, words) {
                *program.at.get_mut(*word)? = at;
            } else {
                let shift = u8::try_from(64usize.checked_sub(8 * width)?).ok()?;
                list.push(Step { at, word: u8::try_from(*word).ok()?, shift });
            }
            at = at.checked_add(u8::try_from(*width).ok()?)?;
        }
        program.list = list.into();
        Some(program)
    }

    /// Whether the straight line writes this word in this width. A group has one width: that of its first member.
    fn takes(&mut self, word: usize, width: usize, words: &[(usize, usize)]) -> bool {
        fn set<T: Copy + PartialEq>(group: &mut T, none: T, value: T) -> bool {
            if *group == none {
                *group = value;
            }
            *group == value
        }
        // Half of a type may be too short for a value: then all of the group must be there to be checked together.
        let pair = |first: usize, second: usize, full: usize| match width {
            _ if width == full => Some(Width::Full),
            _ if [first, second].iter().all(|word| words.contains(&(*word, width))) => Some(Width::Half),
            _ => None,
        };
        match (word, width) {
            (SOURCE | DESTINATION | NEXT_HOP, 4) => set(&mut self.addresses, Addresses::None, Addresses::V4),
            (_, 8) if (SOURCE..NEXT_HOP + 3).contains(&word) => {
                set(&mut self.addresses, Addresses::None, Addresses::V6)
            }
            (START_UPTIME | END_UPTIME, 4) => set(&mut self.times, Times::None, Times::Uptime),
            (START | END, 8) => set(&mut self.times, Times::None, Times::Millis),
            (PACKETS | OCTETS, 4 | 8) => {
                pair(PACKETS, OCTETS, 8).is_some_and(|pair| set(&mut self.counters, Width::None, pair))
            }
            (INGRESS | EGRESS, 2 | 4) => {
                pair(INGRESS, EGRESS, 4).is_some_and(|pair| set(&mut self.interfaces, Width::None, pair))
            }
            (SOURCE_AS | DESTINATION_AS, 2 | 4) => pair(SOURCE_AS, DESTINATION_AS, 4)
                .is_some_and(|pair| set(&mut self.as_numbers, Width::None, pair)),
            (SOURCE_PORT | DESTINATION_PORT | VLAN | ICMP, 2)
            | (
                PROTOCOL | TOS | TCP_FLAGS | SOURCE_PREFIX | DESTINATION_PREFIX | DIRECTION | IP_VERSION
                | END_REASON,
                1,
            ) => true,
            _ => false,
        }
    }

    /// Writes a record, and anything into up to 8 octets behind it; says whether every value fits its field.
    #[inline]
    pub(super) fn run(&self, flow: &FlowRecord, boot: Timestamp, room: &mut [u8; ROOM]) -> bool {
        // Bits that have no place. The list comes first: what it fills up with zeros is written after it.
        let mut overflow = if self.list.is_empty() { 0 } else { self.run_list(flow, boot, room) };
        match self.addresses {
            Addresses::None => {}
            Addresses::V4 => {
                self.put(room, SOURCE, v4(flow.source));
                self.put(room, DESTINATION, v4(flow.destination));
                self.put(room, NEXT_HOP, v4(flow.next_hop));
            }
            Addresses::V6 => {
                let (high, low) = halves(flow.source);
                self.put(room, SOURCE + 1, high);
                self.put(room, SOURCE + 2, low);
                let (high, low) = halves(flow.destination);
                self.put(room, DESTINATION + 1, high);
                self.put(room, DESTINATION + 2, low);
                let (high, low) = halves(flow.next_hop);
                self.put(room, NEXT_HOP + 1, high);
                self.put(room, NEXT_HOP + 2, low);
            }
        }
        match self.counters {
            Width::None => {}
            Width::Half => {
                overflow |= (flow.packets | flow.octets) >> 32;
                self.put(room, PACKETS, low4(flow.packets));
                self.put(room, OCTETS, low4(flow.octets));
            }
            Width::Full => {
                self.put(room, PACKETS, flow.packets.to_be_bytes());
                self.put(room, OCTETS, flow.octets.to_be_bytes());
            }
        }
        match self.times {
            Times::None => {}
            Times::Uptime => {
                self.put(room, START_UPTIME, uptime(flow.start, boot).to_be_bytes());
                self.put(room, END_UPTIME, uptime(flow.end, boot).to_be_bytes());
            }
            Times::Millis => {
                self.put(room, START, flow.start.as_millis().to_be_bytes());
                self.put(room, END, flow.end.as_millis().to_be_bytes());
            }
        }
        match self.interfaces {
            Width::None => {}
            Width::Half => {
                overflow |= u64::from((flow.ingress_interface | flow.egress_interface) >> 16);
                self.put(room, INGRESS, low2(flow.ingress_interface));
                self.put(room, EGRESS, low2(flow.egress_interface));
            }
            Width::Full => {
                self.put(room, INGRESS, flow.ingress_interface.to_be_bytes());
                self.put(room, EGRESS, flow.egress_interface.to_be_bytes());
            }
        }
        match self.as_numbers {
            Width::None => {}
            Width::Half => {
                overflow |= u64::from((flow.source_as | flow.destination_as) >> 16);
                self.put(room, SOURCE_AS, low2(flow.source_as));
                self.put(room, DESTINATION_AS, low2(flow.destination_as));
            }
            Width::Full => {
                self.put(room, SOURCE_AS, flow.source_as.to_be_bytes());
                self.put(room, DESTINATION_AS, flow.destination_as.to_be_bytes());
            }
        }
        self.put(room, SOURCE_PORT, flow.source_port.to_be_bytes());
        self.put(room, DESTINATION_PORT, flow.destination_port.to_be_bytes());
        self.put(room, VLAN, flow.vlan.to_be_bytes());
        self.put(room, ICMP, flow.icmp_type_code.to_be_bytes());
        self.put(room, PROTOCOL, [flow.protocol]);
        self.put(room, TOS, [flow.tos]);
        // The nonce bit has no place in one octet.
        let [_, tcp_flags] = flow.tcp_flags.to_be_bytes();
        self.put(room, TCP_FLAGS, [tcp_flags]);
        self.put(room, SOURCE_PREFIX, [flow.source_prefix_length]);
        self.put(room, DESTINATION_PREFIX, [flow.destination_prefix_length]);
        self.put(room, DIRECTION, [flow.direction]);
        self.put(room, END_REASON, [flow.flow_end_reason]);
        self.put(room, IP_VERSION, [if flow.is_ipv6() { 6 } else { 4 }]);
        overflow == 0
    }

    /// Writes the fields of the list in their order: each of them fills up 8 octets with zeros. Bits that have no place.
    ///
    /// Not inlined, so that the straight line has all registers to itself.
    #[inline(never)]
    fn run_list(&self, flow: &FlowRecord, boot: Timestamp, room: &mut [u8; ROOM]) -> u64 {
        let mut overflow = 0;
        for step in &self.list {
            let value = word(flow, boot, usize::from(step.word));
            // Below 64: a field has at least one octet.
            let shift = step.shift & 63;
            overflow |= (value << shift >> shift) ^ value;
            put(room, step.at, (value << shift).to_be_bytes());
        }
        overflow
    }

    #[inline]
    fn put<const N: usize>(&self, room: &mut [u8; ROOM], word: usize, octets: [u8; N]) {
        // A constant below the array's length.
        if let Some(at) = self.at.get(word) {
            put(room, *at, octets);
        }
    }
}

/// Stores up to 8 octets: there is nothing to check.
#[inline]
fn put<const N: usize>(room: &mut [u8; ROOM], at: u8, octets: [u8; N]) {
    if let Some(place) = room.split_at_mut(usize::from(at)).1.first_chunk_mut() {
        *place = octets;
    }
}

#[inline]
const fn low4(value: u64) -> [u8; 4] {
    let [_, _, _, _, low @ ..] = value.to_be_bytes();
    low
}

#[inline]
const fn low2(value: u32) -> [u8; 2] {
    let [_, _, low @ ..] = value.to_be_bytes();
    low
}
