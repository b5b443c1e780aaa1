//! A map that knows which entry was used longest ago.
//!
//! Entries live in a slab; a doubly linked list through it keeps the order of use. Looking up is logarithmic,
//! touching and evicting are constant, and an attacker who chooses the keys gains nothing.

use alloc::{collections::BTreeMap, vec::Vec};

/// The end of the list.
const NIL: usize = usize::MAX;

#[derive(Debug)]
struct Node<K, V> {
    key: K,
    value: V,
    /// Used more recently.
    newer: usize,
    /// Used longer ago.
    older: usize,
    /// The count of uses when it was used last.
    used: u64,
}

#[derive(Debug)]
pub(crate) struct LruMap<K, V> {
    index: BTreeMap<K, usize>,
    slab: Vec<Option<Node<K, V>>>,
    free: Vec<usize>,
    newest: usize,
    oldest: usize,
    uses: u64,
}

impl<K: Clone + Ord, V> LruMap<K, V> {
    pub(crate) const fn new() -> Self {
        Self { index: BTreeMap::new(), slab: Vec::new(), free: Vec::new(), newest: NIL, oldest: NIL, uses: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    /// Octets of memory the map itself takes, roughly, without what the values own.
    pub(crate) fn memory_octets(&self) -> usize {
        // A B-tree node is about two thirds full.
        self.slab.len() * size_of::<Option<Node<K, V>>>()
            + self.index.len() * (size_of::<K>() + size_of::<usize>()) * 3 / 2
    }

    /// The slot of a key, which becomes the most recently used one.
    #[inline]
    pub(crate) fn touch(&mut self, key: &K) -> Option<usize> {
        // Mostly it is the one that was used last.
        if let Some(Some(newest)) = self.slab.get(self.newest)
            && newest.key == *key
        {
            return Some(self.newest);
        }
        let slot = *self.index.get(key)?;
        self.touch_slot(slot);
        Some(slot)
    }

    pub(crate) fn slot(&self, key: &K) -> Option<usize> {
        self.index.get(key).copied()
    }

    pub(crate) fn value(&self, slot: usize) -> Option<&V> {
        self.slab.get(slot)?.as_ref().map(|node| &node.value)
    }

    pub(crate) fn value_mut(&mut self, slot: usize) -> Option<&mut V> {
        self.node_mut(slot).map(|node| &mut node.value)
    }

    /// Adds or replaces an entry, as the most recently used one.
    pub(crate) fn insert(&mut self, key: K, value: V) -> usize {
        if let Some(slot) = self.touch(&key) {
            if let Some(old) = self.value_mut(slot) {
                *old = value;
            }
            return slot;
        }
        let node = Node { key: key.clone(), value, newer: NIL, older: NIL, used: 0 };
        let slot = self.free.pop().unwrap_or(self.slab.len());
        match self.slab.get_mut(slot) {
            Some(vacant) => *vacant = Some(node),
            None => self.slab.push(Some(node)),
        }
        self.index.insert(key, slot);
        self.link(slot);
        slot
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let slot = self.index.remove(key)?;
        self.unlink(slot);
        self.free.push(slot);
        self.slab.get_mut(slot)?.take().map(|node| node.value)
    }

    /// Removes the entry that was used longest ago, unless it is `spared`.
    pub(crate) fn evict(&mut self, spared: Option<usize>) -> Option<(K, V)> {
        let oldest = if Some(self.oldest) == spared { self.newer(self.oldest)? } else { self.oldest };
        let key = self.slab.get(oldest)?.as_ref()?.key.clone();
        let value = self.remove(&key)?;
        Some((key, value))
    }

    /// The entries, in the order of their keys.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.index.iter().filter_map(|(key, slot)| Some((key, self.value(*slot)?)))
    }

    /// The keys from this one on, in their order, each with a number that grows with every use.
    pub(crate) fn from<'m>(&'m self, key: &K) -> impl Iterator<Item = (&'m K, u64)> {
        let node = |slot: usize| self.slab.get(slot)?.as_ref();
        self.index.range(key..).filter_map(move |(key, slot)| Some((key, node(*slot)?.used)))
    }

    fn node_mut(&mut self, slot: usize) -> Option<&mut Node<K, V>> {
        self.slab.get_mut(slot)?.as_mut()
    }

    fn newer(&self, slot: usize) -> Option<usize> {
        self.slab.get(slot)?.as_ref().map(|node| node.newer)
    }

    fn touch_slot(&mut self, slot: usize) {
        if self.newest != slot {
            self.unlink(slot);
            self.link(slot);
        }
    }

    fn link(&mut self, slot: usize) {
        let second = self.newest;
        self.uses += 1;
        let used = self.uses;
        if let Some(node) = self.node_mut(slot) {
            node.used = used;
            node.newer = NIL;
            node.older = second;
        }
        match self.node_mut(second) {
            Some(node) => node.newer = slot,
            None => self.oldest = slot,
        }
        self.newest = slot;
    }

    fn unlink(&mut self, slot: usize) {
        let Some((newer, older)) = self.node_mut(slot).map(|node| (node.newer, node.older)) else { return };
        match self.node_mut(newer) {
            Some(node) => node.older = older,
            None => self.newest = older,
        }
        match self.node_mut(older) {
            Some(node) => node.newer = newer,
            None => self.oldest = newer,
        }
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
        assert_eq!(map.evict(map.slot(&3)), Some((2, 21)));
        assert_eq!(map.evict(None), Some((3, 30)));
        assert_eq!(map.evict(None), Some((4, 40)));
        assert_eq!(map.evict(None), None);
        assert_eq!(map.len(), 0);
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
}
