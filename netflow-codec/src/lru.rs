//! A map that knows which entry was used longest ago, and which entries have proved themselves.
//!
//! Entries live in a slab; doubly linked lists through it keep the order of use, one for newcomers and one for
//! established entries. Looking up takes a few comparisons, logarithmically many when there are many entries; touching
//! and evicting are constant. An attacker who chooses the keys gains nothing: newcomers are evicted first, so a flood of
//! them only pushes out its own.

use alloc::collections::BTreeMap;

use crate::slab::Slab;

/// The end of a list.
const NIL: u32 = u32::MAX;

/// Octets of a B-tree map of so many entries, at most: nodes hold 11 entries and, but for the root, at least 5.
pub(crate) const fn tree_octets(entries: usize, entry: usize) -> usize {
    const PARENT_AND_COUNTS: usize = 16;
    const CHILDREN: usize = 12 * size_of::<usize>();
    let node = 11 * entry + PARENT_AND_COUNTS;
    let leaves = entries.div_ceil(5);
    leaves * node + leaves.div_ceil(5).saturating_sub(1) * (node + CHILDREN)
}

/// Which list an entry is in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Segment {
    /// Evicted first.
    Newcomer,
    /// Evicted when there is no newcomer.
    Established,
}

/// The key of an entry and its neighbours. Apart from the values: so looking for an entry and changing the order of
/// use touch nothing else, and what they touch stays in the processor's cache.
#[derive(Debug)]
struct Place<K> {
    /// `None`: vacant, and `newer` is the next vacant place.
    key: Option<K>,
    /// Used more recently.
    newer: u32,
    /// Used longer ago.
    older: u32,
    segment: Segment,
}

#[derive(Clone, Copy, Debug)]
struct List {
    newest: u32,
    oldest: u32,
    len: usize,
}

impl List {
    const EMPTY: Self = Self { newest: NIL, oldest: NIL, len: 0 };
}

#[derive(Debug)]
pub(crate) struct LruMap<K, V> {
    index: BTreeMap<K, u32>,
    places: Slab<Place<K>>,
    values: Slab<Option<V>>,
    vacant: u32,
    newcomers: List,
    established: List,
    /// The place that was linked last: the newest of its list.
    last: u32,
}

/// So many places are searched one by one.
const FEW: usize = 16;

const fn wide(slot: u32) -> usize {
    slot as usize
}

/// No map has so many entries that this would not be exact.
fn narrow(slot: usize) -> u32 {
    u32::try_from(slot).unwrap_or(NIL)
}

impl<K: Clone + Ord, V> LruMap<K, V> {
    pub(crate) const fn new() -> Self {
        Self {
            index: BTreeMap::new(),
            places: Slab::new(),
            values: Slab::new(),
            vacant: NIL,
            newcomers: List::EMPTY,
            established: List::EMPTY,
            last: NIL,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// How many entries are established.
    pub(crate) const fn established(&self) -> usize {
        self.established.len
    }

    /// Octets of memory the map itself takes, at most, without what keys and values own.
    pub(crate) fn memory_octets(&self) -> usize {
        self.values.heap_octets()
            + self.places.heap_octets()
            + tree_octets(self.index.len(), size_of::<K>() + size_of::<u32>())
    }

    /// The slot of a key, which becomes the most recently used one of its list.
    #[inline]
    pub(crate) fn touch(&mut self, key: &K) -> Option<usize> {
        // Mostly it is the one that was used last.
        if self.places.get(wide(self.last)).is_some_and(|last| last.key.as_ref() == Some(key)) {
            return Some(wide(self.last));
        }
        let slot = self.slot(key)?;
        self.unlink(narrow(slot));
        self.link(narrow(slot));
        Some(slot)
    }

    pub(crate) fn slot(&self, key: &K) -> Option<usize> {
        if self.places.len() <= FEW {
            return self.places.iter().position(|place| place.key.as_ref() == Some(key));
        }
        self.index.get(key).copied().map(wide)
    }

    pub(crate) fn key(&self, slot: usize) -> Option<&K> {
        self.places.get(slot)?.key.as_ref()
    }

    pub(crate) fn value(&self, slot: usize) -> Option<&V> {
        self.values.get(slot)?.as_ref()
    }

    pub(crate) fn value_mut(&mut self, slot: usize) -> Option<&mut V> {
        self.values.get_mut(slot)?.as_mut()
    }

    /// The values, in no order.
    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.values.iter_mut().flatten()
    }

    pub(crate) fn segment(&self, slot: usize) -> Option<Segment> {
        self.places.get(slot).filter(|place| place.key.is_some()).map(|place| place.segment)
    }

    /// Moves an entry to a list, as its most recently used one.
    pub(crate) fn move_to(&mut self, slot: usize, segment: Segment) {
        if self.key(slot).is_none() {
            return;
        }
        self.unlink(narrow(slot));
        if let Some(place) = self.places.get_mut(slot) {
            place.segment = segment;
        }
        self.link(narrow(slot));
    }

    /// Adds or replaces an entry, as the most recently used one; a new one is a newcomer.
    pub(crate) fn insert(&mut self, key: K, value: V) -> usize {
        if let Some(slot) = self.touch(&key) {
            if let Some(old) = self.value_mut(slot) {
                *old = value;
            }
            return slot;
        }
        let slot = self.vacant_slot();
        if let (Some(place), Some(vacant)) = (self.places.get_mut(slot), self.values.get_mut(slot)) {
            place.key = Some(key.clone());
            place.segment = Segment::Newcomer;
            *vacant = Some(value);
        }
        self.index.insert(key, narrow(slot));
        self.link(narrow(slot));
        slot
    }

    /// Takes a place from the list of vacant ones, or makes one.
    fn vacant_slot(&mut self) -> usize {
        if let Some(place) = self.places.get(wide(self.vacant)) {
            let slot = wide(self.vacant);
            self.vacant = place.newer;
            return slot;
        }
        self.values.push(None);
        self.places.push(Place { key: None, newer: NIL, older: NIL, segment: Segment::Newcomer })
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let slot = self.slot(key)?;
        self.remove_slot(slot).map(|(_, value)| value)
    }

    pub(crate) fn remove_slot(&mut self, slot: usize) -> Option<(K, V)> {
        let value = self.values.get_mut(slot)?.take()?;
        self.unlink(narrow(slot));
        let place = self.places.get_mut(slot)?;
        let key = place.key.take()?;
        place.newer = core::mem::replace(&mut self.vacant, narrow(slot));
        self.index.remove(&key);
        if self.index.is_empty() {
            // A map that is empty is as a new one.
            *self = Self::new();
        }
        Some((key, value))
    }

    /// The entry of a list that was used longest ago, unless it is `spared`.
    pub(crate) fn oldest_of(&self, segment: Segment, spared: Option<usize>) -> Option<usize> {
        let oldest = self.list(segment).oldest;
        let oldest = if Some(wide(oldest)) == spared { self.places.get(wide(oldest))?.newer } else { oldest };
        (oldest != NIL).then_some(wide(oldest))
    }

    /// The entry to evict, unless it is `spared`: the newcomer used longest ago, else the established one.
    pub(crate) fn oldest(&self, spared: Option<usize>) -> Option<usize> {
        let newcomer = self.oldest_of(Segment::Newcomer, spared);
        newcomer.or_else(|| self.oldest_of(Segment::Established, spared))
    }

    /// Removes [`Self::oldest`].
    pub(crate) fn evict(&mut self, spared: Option<usize>) -> Option<(K, V)> {
        self.remove_slot(self.oldest(spared)?)
    }

    /// The entries, in the order of their keys.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.index.iter().filter_map(|(key, slot)| Some((key, self.value(wide(*slot))?)))
    }

    /// The slots of a list, that used longest ago first.
    #[cfg(any(test, feature = "serde"))]
    pub(crate) fn by_use(&self, segment: Segment) -> impl Iterator<Item = usize> {
        let some = |slot: u32| (slot != NIL).then_some(wide(slot));
        core::iter::successors(some(self.list(segment).oldest), move |slot| {
            some(self.places.get(*slot)?.newer)
        })
    }

    const fn list(&self, segment: Segment) -> &List {
        match segment {
            Segment::Newcomer => &self.newcomers,
            Segment::Established => &self.established,
        }
    }

    const fn list_mut(&mut self, segment: Segment) -> &mut List {
        match segment {
            Segment::Newcomer => &mut self.newcomers,
            Segment::Established => &mut self.established,
        }
    }

    fn place_mut(&mut self, slot: u32) -> Option<&mut Place<K>> {
        self.places.get_mut(wide(slot))
    }

    fn link(&mut self, slot: u32) {
        let Some(segment) = self.places.get(wide(slot)).map(|place| place.segment) else { return };
        let second = self.list(segment).newest;
        if let Some(place) = self.place_mut(slot) {
            (place.newer, place.older) = (NIL, second);
        }
        match self.place_mut(second) {
            Some(place) => place.newer = slot,
            None => self.list_mut(segment).oldest = slot,
        }
        let list = self.list_mut(segment);
        list.newest = slot;
        list.len += 1;
        self.last = slot;
    }

    fn unlink(&mut self, slot: u32) {
        let Some(&Place { newer, older, segment, .. }) = self.places.get(wide(slot)) else { return };
        match self.place_mut(newer) {
            Some(place) => place.older = older,
            None => self.list_mut(segment).newest = older,
        }
        match self.place_mut(older) {
            Some(place) => place.newer = newer,
            None => self.list_mut(segment).oldest = newer,
        }
        self.list_mut(segment).len -= 1;
        self.last = NIL;
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn eviction_takes_the_entry_used_longest_ago() {
        // T20
        let mut map = LruMap::new();
        for key in [3, 1, 2] {
            map.insert(key, key * 10);
        }
        map.touch(&3);
        assert_eq!(map.evict(None), Some((1, 10)));
        map.insert(2, 21);
        map.insert(4, 40);
        let spared = map.slot(&3);
        assert_eq!(map.evict(spared), Some((2, 21)));
        assert_eq!(map.evict(None), Some((3, 30)));
        assert_eq!(map.evict(None), Some((4, 40)));
        assert_eq!(map.evict(None), None);
        assert_eq!(map.len(), 0);
    }

    #[test]
    fn newcomers_go_before_established_entries() {
        // T20
        let mut map = LruMap::new();
        for key in 0..4 {
            map.insert(key, key);
        }
        for key in [1, 0] {
            let slot = map.slot(&key).unwrap();
            map.move_to(slot, Segment::Established);
        }
        map.touch(&2);
        assert_eq!(map.established(), 2);
        let order: Vec<_> = core::iter::from_fn(|| map.evict(None)).map(|(key, _)| key).collect();
        assert_eq!(order, [3, 2, 1, 0]);
        assert_eq!(map.established(), 0);
    }

    #[test]
    fn slots_are_used_again() {
        let mut map = LruMap::new();
        for key in 0..100 {
            map.insert(key % 3, key);
            if key % 5 == 0 {
                map.remove(&(key % 3));
            }
        }
        assert!(map.values.len() <= 3);
        let entries: Vec<_> = map.iter().map(|(key, value)| (*key, *value)).collect();
        assert_eq!(entries, [(0, 99), (1, 97), (2, 98)]);
    }

    #[test]
    fn the_order_of_use_survives_removals_from_the_middle() {
        let mut map = LruMap::new();
        for key in 0..6 {
            map.insert(key, key);
        }
        map.remove(&3);
        map.touch(&0);
        map.remove(&5);
        map.insert(7, 7);
        let order: Vec<_> = map.by_use(Segment::Newcomer).filter_map(|slot| map.key(slot).copied()).collect();
        assert_eq!(order, [1, 2, 4, 0, 7]);
    }
}
