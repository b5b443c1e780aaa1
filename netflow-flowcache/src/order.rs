//! Which slot is to be looked at when: a lazy timer wheel, and the queue of ended flows.
//!
//! Every slot in use stands in one list: that of the tick at which it is to be looked at, that of the flows
//! which never end by themselves, or that of the ended flows which wait to be polled. Packets do not move
//! slots: whoever finds a flow in the list of a past tick asks when it is really due and puts it back if that is
//! later. That costs less than keeping the flows in order packet by packet.
//!
//! The wheel has five levels of 256 lists. A list of level `n` covers `256^n` ticks; bit maps find the
//! next list in use, however far away it is, so that a clock which leaps for years leads past no empty lists.
//! Together the levels reach further than a [`Timestamp`] can.
//!
//! Lists are rings: the link of a list itself stands before its first slot and behind its last, so that a slot leaves
//! its list without knowing which one it is. A slot costs eight octets here.

use alloc::vec::Vec;
use core::mem;

use crate::{ConfigError, Timestamp, memory::reserved};

/// A tick has `2^TICK_BITS` nanoseconds, 67 ms.
pub(crate) const TICK_BITS: u32 = 26;

const LEVEL_BITS: u32 = 8;
const LISTS_PER_LEVEL: u16 = 1 << LEVEL_BITS;
const LEVELS: u16 = 5;
const WORDS_PER_LEVEL: usize = LISTS_PER_LEVEL as usize / 64;

/// The list of flows that never end by themselves.
const NEVER: u16 = LEVELS * LISTS_PER_LEVEL;
/// The list of ended flows.
const ENDED: u16 = NEVER + 1;
const LISTS: u16 = ENDED + 1;

/// Stacks of unused slots.
const STACKS: usize = 8;

/// No slot.
const NONE: u32 = u32::MAX;

/// A list that holds flows still metered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct List(u16);

impl List {
    pub(crate) const FIRST: Self = Self(0);

    /// The list behind this one.
    pub(crate) const fn after(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Lists of slots: the timer wheel, the ended flows and the unused slots.
#[derive(Debug)]
pub(crate) struct Order {
    /// First one for each list, then one for each slot used so far.
    links: Vec<Link>,
    /// How many slots there may be.
    slots: usize,
    /// One bit for each list of the wheel: not empty.
    occupied: [[u64; WORDS_PER_LEVEL]; LEVELS as usize],
    /// All lists before this tick are empty.
    elapsed: u64,
    /// No list of the wheel begins before this tick.
    next: u64,
    /// The unused slots as stacks linked by `next`, to which they are dealt in turn: which slot comes next is known long
    /// before it is needed.
    unused: [u32; STACKS],
    /// Slots that are not unused.
    used: usize,
    /// Whether there may be ended flows.
    may_have_ended: bool,
}

/// Neighbours in a ring; nodes below [`LISTS`] are the lists themselves.
#[derive(Clone, Copy, Debug)]
struct Link {
    previous: u32,
    next: u32,
}

impl Order {
    pub(crate) fn new(slots: usize) -> Result<Self, ConfigError> {
        let mut links = reserved(usize::from(LISTS) + slots)?;
        links.extend((0..u32::from(LISTS)).map(|list| Link { previous: list, next: list }));
        Ok(Self {
            links,
            slots,
            occupied: [[0; WORDS_PER_LEVEL]; LEVELS as usize],
            elapsed: 0,
            next: u64::MAX,
            unused: [NONE; STACKS],
            used: 0,
            may_have_ended: false,
        })
    }

    /// An unused slot, in no list yet. One never used before has the number of slots used so far.
    #[inline]
    pub(crate) fn allocate(&mut self) -> Option<u32> {
        let slot = self.links.len() - usize::from(LISTS);
        // The one that was given back last.
        if let Some(last) = (slot - self.used).checked_sub(1) {
            let top = self.unused.get_mut(last % STACKS)?;
            let slot = *top;
            *top = self.links.get(node(slot))?.next;
            self.used += 1;
            return Some(slot);
        }
        if slot == self.slots {
            return None;
        }
        self.links.push(Link { previous: NONE, next: NONE });
        self.used += 1;
        u32::try_from(slot).ok()
    }

    /// How many slots are unused.
    #[inline]
    pub(crate) const fn unused(&self) -> usize {
        self.slots - self.used
    }

    /// Puts a slot which is in no list where it is looked at when `tick` comes; `None` is never.
    ///
    /// `now` is the present tick.
    #[inline]
    pub(crate) fn arm(&mut self, slot: u32, tick: Option<u64>, now: u64) {
        if self.next > now {
            self.elapsed = self.elapsed.max(now);
        }
        let list = match tick {
            Some(tick) => {
                let tick = tick.max(self.elapsed);
                let (list, begin) = self.list_at(tick);
                self.next = self.next.min(begin);
                list
            }
            None => NEVER,
        };
        self.append(slot, list);
    }

    /// Moves a slot to another tick.
    #[inline]
    pub(crate) fn rearm(&mut self, slot: u32, tick: Option<u64>, now: u64) {
        self.unlink(slot);
        self.arm(slot, tick, now);
    }

    /// Moves a slot to the ended flows.
    #[inline]
    pub(crate) fn end(&mut self, slot: u32) {
        self.unlink(slot);
        self.end_new(slot);
    }

    /// Puts a slot which is in no list to the ended flows.
    #[inline]
    pub(crate) fn end_new(&mut self, slot: u32) {
        self.append(slot, ENDED);
        self.may_have_ended = true;
    }

    /// Takes a slot out of its list, to be used again.
    #[inline]
    pub(crate) fn release(&mut self, slot: u32) {
        self.unlink(slot);
        self.give_back(slot);
    }

    /// Makes a slot which is in no list unused.
    #[inline]
    pub(crate) fn give_back(&mut self, slot: u32) {
        let given_back = self.links.len() - usize::from(LISTS) - self.used;
        if let (Some(link), Some(top)) =
            (self.links.get_mut(node(slot)), self.unused.get_mut(given_back % STACKS))
        {
            link.next = mem::replace(top, slot);
            self.used -= 1;
        }
    }

    /// Whether there may be an ended flow, or a slot to look at by this tick.
    #[inline]
    pub(crate) const fn may_be_due(&self, tick: u64) -> bool {
        self.may_have_ended || self.next <= tick
    }

    /// The oldest of the ended flows, for whoever polls.
    #[inline]
    pub(crate) fn poll_ended(&mut self) -> Option<u32> {
        if !self.may_have_ended {
            return None;
        }
        let first = self.head(ENDED);
        self.may_have_ended = first.is_some();
        first
    }

    /// The slot to look at, if one is due by the tick `now`. It stays where it is.
    #[inline]
    pub(crate) fn due(&mut self, now: u64) -> Option<u32> {
        if self.next > now {
            return None;
        }
        self.due_slow(now)
    }

    /// The slot behind this one in its list.
    #[inline]
    pub(crate) fn behind(&self, slot: u32) -> Option<u32> {
        self.links.get(node(slot))?.next.checked_sub(u32::from(LISTS))
    }

    /// The tick at which there is something to look at.
    pub(crate) fn next_tick(&self) -> Option<u64> {
        self.earliest_list().map(|(_, tick)| tick)
    }

    /// The oldest of the ended flows.
    #[inline]
    pub(crate) fn first_ended(&self) -> Option<u32> {
        self.head(ENDED)
    }

    /// The first list at or after this one that has flows still metered, and its first slot.
    pub(crate) fn occupied_from(&self, list: List) -> Option<(List, u32)> {
        let List(list) = list;
        let start = usize::from(list / 64);
        for (index, word) in self.occupied.iter().flatten().enumerate().skip(start) {
            let word = if index == start { word & (u64::MAX << (list % 64)) } else { *word };
            if word != 0 {
                let list = u16::try_from(index * 64 + word.trailing_zeros() as usize).ok()?;
                return Some((List(list), self.head(list)?));
            }
        }
        if list > NEVER {
            return None;
        }
        Some((List(NEVER), self.head(NEVER)?))
    }

    pub(crate) fn octets(&self) -> usize {
        self.links.capacity() * size_of::<Link>()
    }

    #[inline(never)]
    fn due_slow(&mut self, now: u64) -> Option<u32> {
        // Most often there is more in the list that the last look was at.
        let current = index_in_level(self.elapsed, 0);
        if let Some(slot) = self.head(current) {
            return Some(slot);
        }
        let Some((list, tick)) = self.earliest_list() else {
            self.next = u64::MAX;
            return None;
        };
        self.next = tick;
        if tick > now {
            return None;
        }
        // A list that covers several ticks is emptied at its first one: its slots move to lower levels.
        self.elapsed = self.elapsed.max(tick);
        self.head(list)
    }

    /// The list for a tick that has not elapsed, and the tick at which that list begins.
    #[inline]
    fn list_at(&self, tick: u64) -> (u16, u64) {
        for level in 0..LEVELS {
            let shift = u32::from(level) * LEVEL_BITS;
            let begin = tick >> shift;
            if begin - (self.elapsed >> shift) < u64::from(LISTS_PER_LEVEL) {
                return (level * LISTS_PER_LEVEL + index_in_level(tick, level), begin << shift);
            }
        }
        // Further away than any Timestamp is from another.
        (NEVER, u64::MAX)
    }

    /// The list of the wheel that begins first, and when it does.
    fn earliest_list(&self) -> Option<(u16, u64)> {
        let mut earliest: Option<(u16, u64)> = None;
        for (level, words) in (0..LEVELS).zip(&self.occupied) {
            let shift = u32::from(level) * LEVEL_BITS;
            let now = index_in_level(self.elapsed, level);
            let Some(distance) = distance_to_first(words, now) else { continue };
            let begin = ((self.elapsed >> shift) + u64::from(distance)) << shift;
            if earliest.is_none_or(|(_, other)| begin < other) {
                let index = (now + distance) % LISTS_PER_LEVEL;
                earliest = Some((level * LISTS_PER_LEVEL + index, begin));
            }
        }
        earliest
    }

    #[inline]
    fn head(&self, list: u16) -> Option<u32> {
        self.links.get(usize::from(list))?.next.checked_sub(u32::from(LISTS))
    }

    /// At the end: a flow that was armed later stands behind all that were in the list before.
    #[inline]
    fn append(&mut self, slot: u32, list: u16) {
        let Some(ring) = self.links.get_mut(usize::from(list)) else { return };
        let previous = ring.previous;
        ring.previous = slot + u32::from(LISTS);
        if previous == u32::from(list) {
            self.mark(list, true);
        }
        if let Some(link) = self.links.get_mut(previous as usize) {
            link.next = slot + u32::from(LISTS);
        }
        if let Some(link) = self.links.get_mut(node(slot)) {
            *link = Link { previous, next: list.into() };
        }
    }

    #[inline]
    fn unlink(&mut self, slot: u32) {
        let Some(Link { previous, next }) = self.links.get(node(slot)).copied() else { return };
        if let Some(link) = self.links.get_mut(previous as usize) {
            link.next = next;
        }
        if let Some(link) = self.links.get_mut(next as usize) {
            link.previous = previous;
        }
        // Only the list itself stands on both sides of its last slot.
        if previous == next
            && let Ok(list) = u16::try_from(next)
        {
            self.mark(list, false);
        }
    }

    #[inline]
    fn mark(&mut self, list: u16, occupied: bool) {
        let (level, index) = (usize::from(list / LISTS_PER_LEVEL), usize::from(list % LISTS_PER_LEVEL));
        // The lists behind the wheel have no bit.
        let Some(word) = self.occupied.get_mut(level).and_then(|words| words.get_mut(index / 64)) else {
            return;
        };
        let bit = 1 << (index % 64);
        if occupied {
            *word |= bit;
        } else {
            *word &= !bit;
        }
    }
}

/// The place of a slot among the links.
#[inline]
const fn node(slot: u32) -> usize {
    slot as usize + LISTS as usize
}

/// The tick in which a point in time lies.
#[inline]
pub(crate) const fn tick_of(time: Timestamp) -> u64 {
    time.as_nanos() >> TICK_BITS
}

/// The first tick that begins at or after a point in time.
#[inline]
pub(crate) const fn tick_after(time: Timestamp) -> u64 {
    let tick = tick_of(time);
    if time.as_nanos() == tick << TICK_BITS { tick } else { tick + 1 }
}

#[inline]
const fn index_in_level(tick: u64, level: u16) -> u16 {
    #[expect(clippy::cast_possible_truncation, reason = "eight bits are left")]
    return ((tick >> (level as u32 * LEVEL_BITS)) % LISTS_PER_LEVEL as u64) as u16;
}

/// How far it is, round the level, from list `start` to the first one with its bit set.
fn distance_to_first(words: &[u64; WORDS_PER_LEVEL], start: u16) -> Option<u16> {
    let [a, b, c, d] = *words;
    let (low, high) = (u128::from(b) << 64 | u128::from(a), u128::from(d) << 64 | u128::from(c));
    if low | high == 0 {
        return None;
    }
    // Rotate the 256 bits so that `start` comes first.
    let (low, high) = if start < 128 { (low, high) } else { (high, low) };
    let shift = u32::from(start % 128);
    let (near, far) = if shift == 0 {
        (low, high)
    } else {
        (low >> shift | high << (128 - shift), high >> shift | low << (128 - shift))
    };
    let distance = if near == 0 { 128 + far.trailing_zeros() } else { near.trailing_zeros() };
    u16::try_from(distance).ok()
}

#[cfg(test)]
mod tests {
    use alloc::{vec, vec::Vec};

    use super::*;

    /// Takes out all slots that are due by `now`, moving those that `due` says are due later.
    fn drain(order: &mut Order, now: u64, due: &[u64]) -> Vec<u32> {
        let mut out = Vec::new();
        while let Some(slot) = order.due(now) {
            let tick = due[slot as usize];
            if tick <= now {
                order.release(slot);
                out.push(slot);
            } else {
                order.rearm(slot, Some(tick), now);
            }
        }
        out
    }

    fn armed(due: &[u64], now: u64) -> Order {
        let mut order = Order::new(due.len()).unwrap();
        for tick in due {
            let slot = order.allocate().unwrap();
            order.arm(slot, Some(*tick), now);
        }
        order
    }

    #[test]
    fn slots_come_at_their_tick_and_not_before() {
        let start = 0x12_3456_789A;
        let mut due: Vec<u64> = (0..38).map(|bit| start + (1 << bit)).collect();
        due.extend([start, start + 255, start + 256, start + 257, start + 65_535, start + 65_536]);
        let mut order = armed(&due, start);
        let mut ticks = due.clone();
        ticks.sort_unstable();
        for tick in ticks {
            if tick > start {
                for slot in drain(&mut order, tick - 1, &due) {
                    assert_eq!(due[slot as usize], tick - 1);
                }
            }
            for slot in drain(&mut order, tick, &due) {
                assert_eq!(due[slot as usize], tick);
            }
            assert!(order.next_tick().is_none_or(|next| next > tick));
        }
        assert_eq!(order.next_tick(), None);
    }

    #[test]
    fn a_leap_of_the_clock_looks_only_at_what_is_there() {
        let due = [10, 1_000, 1_000_000, 1 << 37];
        let mut order = armed(&due, 0);
        let mut looks = 0;
        while let Some(slot) = order.due(u64::MAX >> TICK_BITS) {
            looks += 1;
            assert!(looks < 100);
            order.release(slot);
        }
        assert_eq!(looks, 4);
    }

    #[test]
    fn a_past_tick_is_due_at_once() {
        let mut order = armed(&[5_000], 4_000);
        assert_eq!(order.due(4_500), None);
        order.rearm(0, Some(17), 4_500);
        assert_eq!(order.due(4_500), Some(0));
    }

    #[test]
    fn never_is_in_a_list_but_not_due() {
        let mut order = Order::new(1).unwrap();
        let slot = order.allocate().unwrap();
        order.arm(slot, None, 0);
        assert_eq!(order.due(u64::MAX >> TICK_BITS), None);
        assert_eq!(order.next_tick(), None);
        assert_eq!(order.occupied_from(List::FIRST).unwrap().1, slot);
        assert_eq!(order.allocate(), None);
    }

    #[test]
    fn ended_flows_leave_in_the_order_they_came() {
        let mut order = armed(&[9, 8, 7], 0);
        order.end(1);
        order.end(2);
        assert_eq!((order.first_ended(), order.behind(1), order.behind(2)), (Some(1), Some(2), None));
        order.release(1);
        assert_eq!(order.first_ended(), Some(2));
        order.release(2);
        assert_eq!(order.unused(), 2);
        assert_eq!(order.first_ended(), None);
        assert_eq!((order.allocate(), order.allocate()), (Some(2), Some(1)));
        assert_eq!(order.next_tick(), Some(9));
    }

    #[test]
    fn slots_are_used_again_the_last_one_first() {
        let mut order = Order::new(40).unwrap();
        let slots: Vec<u32> = (0..30).map(|_| order.allocate().unwrap()).collect();
        for slot in &slots {
            order.give_back(*slot);
        }
        assert_eq!(order.unused(), 40);
        let again: Vec<u32> = (0..30).map(|_| order.allocate().unwrap()).collect();
        assert!(again.iter().eq(slots.iter().rev()), "{again:?}");
        assert_eq!(order.allocate(), Some(30));
    }

    #[test]
    fn lists_are_found_in_turn() {
        let mut order = armed(&[3, 200, 300, 70_000], 0);
        assert_eq!(order.unused(), 0);
        let mut found = vec![];
        let mut list = List::FIRST;
        while let Some((at, slot)) = order.occupied_from(list) {
            found.push(slot);
            list = at.after();
        }
        assert_eq!(found, [0, 1, 2, 3]);
        order.rearm(0, None, 0);
        assert_eq!(order.occupied_from(List(NEVER)).unwrap().1, 0);
        assert_eq!(order.occupied_from(List(ENDED)), None);
    }

    #[test]
    fn distance_is_that_of_a_bit_by_bit_search() {
        let words = [1 << 63 | 1, 0, 1 << 5, 1 << 40];
        let bit = |index: u16| words[usize::from(index / 64)] >> (index % 64) & 1 == 1;
        for start in 0..256 {
            let slow = (0..256).find(|distance| bit((start + distance) % 256));
            assert_eq!(distance_to_first(&words, start), slow, "from {start}");
        }
        assert_eq!(distance_to_first(&[0; 4], 7), None);
    }

    #[test]
    fn a_link_has_eight_octets_and_two_slots_leave_a_list_of_two_in_any_order() {
        assert_eq!(size_of::<Link>(), 8);
        for (first, second) in [(0, 1), (1, 0)] {
            let mut order = armed(&[9, 9], 0);
            order.release(first);
            assert_eq!(order.next_tick(), Some(9));
            order.release(second);
            assert_eq!(order.next_tick(), None);
        }
    }

    #[test]
    fn a_tick_is_not_early() {
        let edge = Timestamp::from_nanos(7 << TICK_BITS);
        assert_eq!((tick_of(edge), tick_after(edge)), (7, 7));
        let later = Timestamp::from_nanos((7 << TICK_BITS) + 1);
        assert_eq!((tick_of(later), tick_after(later)), (7, 8));
    }
}
