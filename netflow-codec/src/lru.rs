//! A map that knows which entry was used longest ago, and which entries have proved themselves.
//!
//! Entries live in a slab; doubly linked lists through it keep the order of use, one for newcomers and one for
//! established entries. Looking up is logarithmic, touching and evicting are constant, and an attacker who chooses
//! the keys gains nothing: newcomers are evicted first, so a flood of them only pushes out its own.

use alloc::{collections::BTreeMap, vec::Vec};

/// The end of a list.
const NIL: usize = usize::MAX;

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

#[derive(Debug)]
struct Node<K, V> {
    key: K,
    value: V,
    segment: Segment,
    /// Used more recently.
    newer: usize,
    /// Used longer ago.
    older: usize,
}

#[derive(Clone, Copy, Debug)]
struct List {
    newest: usize,
    oldest: usize,
    len: usize,
}

impl List {
    const EMPTY: Self = Self { newest: NIL, oldest: NIL, len: 0 };
}

#[derive(Debug)]
pub(crate) struct LruMap<K, V> {
    index: BTreeMap<K, usize>,
    slab: Vec<Option<Node<K, V>>>,
    free: Vec<usize>,
    newcomers: List,
    established: List,
    /// The slot that was linked last: the newest of its list.
    last: usize,
}

impl<K: Clone + Ord, V> LruMap<K, V> {
    pub(crate) const fn new() -> Self {
        Self {
            index: BTreeMap::new(),
            slab: Vec::new(),
            free: Vec::new(),
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

    /// Octets of memory the map itself takes, at most, without what the values own.
    pub(crate) fn memory_octets(&self) -> usize {
        self.slab.capacity() * size_of::<Option<Node<K, V>>>()
            + self.free.capacity() * size_of::<usize>()
            + tree_octets(self.index.len(), size_of::<K>() + size_of::<usize>())
    }

    /// The slot of a key, which becomes the most recently used one of its list.
    #[inline]
    pub(crate) fn touch(&mut self, key: &K) -> Option<usize> {
        // Mostly it is the one that was used last.
        if let Some(Some(last)) = self.slab.get(self.last)
            && last.key == *key
        {
            return Some(self.last);
        }
        let slot = *self.index.get(key)?;
        self.unlink(slot);
        self.link(slot);
        Some(slot)
    }

    pub(crate) fn slot(&self, key: &K) -> Option<usize> {
        self.index.get(key).copied()
    }

    pub(crate) fn key(&self, slot: usize) -> Option<&K> {
        self.node(slot).map(|node| &node.key)
    }

    pub(crate) fn value(&self, slot: usize) -> Option<&V> {
        self.node(slot).map(|node| &node.value)
    }

    pub(crate) fn value_mut(&mut self, slot: usize) -> Option<&mut V> {
        self.node_mut(slot).map(|node| &mut node.value)
    }

    pub(crate) fn segment(&self, slot: usize) -> Option<Segment> {
        self.node(slot).map(|node| node.segment)
    }

    /// Moves an entry to a list, as its most recently used one.
    pub(crate) fn move_to(&mut self, slot: usize, segment: Segment) {
        self.unlink(slot);
        if let Some(node) = self.node_mut(slot) {
            node.segment = segment;
        }
        self.link(slot);
    }

    /// Adds or replaces an entry, as the most recently used one; a new one is a newcomer.
    pub(crate) fn insert(&mut self, key: K, value: V) -> usize {
        if let Some(slot) = self.touch(&key) {
            if let Some(old) = self.value_mut(slot) {
                *old = value;
            }
            return slot;
        }
        let node = Node { key: key.clone(), value, segment: Segment::Newcomer, newer: NIL, older: NIL };
        let slot = self.free.pop().unwrap_or(self.slab.len());
        if slot == self.slab.capacity() {
            // Most maps stay small, and memory is bounded: grow by little.
            self.slab.reserve_exact(self.slab.len() / 4 + 1);
        }
        match self.slab.get_mut(slot) {
            Some(vacant) => *vacant = Some(node),
            None => self.slab.push(Some(node)),
        }
        self.index.insert(key, slot);
        self.link(slot);
        slot
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let slot = self.slot(key)?;
        self.remove_slot(slot).map(|(_, value)| value)
    }

    pub(crate) fn remove_slot(&mut self, slot: usize) -> Option<(K, V)> {
        self.unlink(slot);
        let Node { key, value, .. } = self.slab.get_mut(slot)?.take()?;
        self.index.remove(&key);
        if self.index.is_empty() {
            // A map that is empty is as a new one.
            *self = Self::new();
        } else {
            self.free.push(slot);
        }
        Some((key, value))
    }

    /// The entry of a list that was used longest ago, unless it is `spared`.
    pub(crate) fn oldest_of(&self, segment: Segment, spared: Option<usize>) -> Option<usize> {
        let oldest = self.list(segment).oldest;
        let oldest = if Some(oldest) == spared { self.node(oldest)?.newer } else { oldest };
        (oldest != NIL).then_some(oldest)
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
        self.index.iter().filter_map(|(key, slot)| Some((key, self.value(*slot)?)))
    }

    /// The slots of a list, that used longest ago first.
    #[cfg(any(test, feature = "serde"))]
    pub(crate) fn by_use(&self, segment: Segment) -> impl Iterator<Item = usize> {
        let some = |slot: usize| (slot != NIL).then_some(slot);
        core::iter::successors(some(self.list(segment).oldest), move |slot| some(self.node(*slot)?.newer))
    }

    fn node(&self, slot: usize) -> Option<&Node<K, V>> {
        self.slab.get(slot)?.as_ref()
    }

    fn node_mut(&mut self, slot: usize) -> Option<&mut Node<K, V>> {
        self.slab.get_mut(slot)?.as_mut()
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

    fn link(&mut self, slot: usize) {
        let Some(segment) = self.segment(slot) else { return };
        let second = self.list(segment).newest;
        if let Some(node) = self.node_mut(slot) {
            node.newer = NIL;
            node.older = second;
        }
        match self.node_mut(second) {
            Some(node) => node.newer = slot,
            None => self.list_mut(segment).oldest = slot,
        }
        let list = self.list_mut(segment);
        list.newest = slot;
        list.len += 1;
        self.last = slot;
    }

    fn unlink(&mut self, slot: usize) {
        let Some(node) = self.node(slot) else { return };
        let (segment, newer, older) = (node.segment, node.newer, node.older);
        match self.node_mut(newer) {
            Some(node) => node.older = older,
            None => self.list_mut(segment).newest = older,
        }
        match self.node_mut(older) {
            Some(node) => node.newer = newer,
            None => self.list_mut(segment).oldest = newer,
        }
        self.list_mut(segment).len -= 1;
        self.last = NIL;
    }
}

#[cfg(test)]
mod tests {
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
        assert!(map.slab.len() <= 3);
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
