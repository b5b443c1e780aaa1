//! A map that forgets who was silent longest.

use core::hash::Hash;
use std::collections::{HashMap, hash_map::Entry};

use foldhash::quality::RandomState;

/// A map of at most so many entries. When it is full, a quarter goes at once, so that the search for them is rare:
/// newcomers before those that are established, and who was used longest ago before others.
#[derive(Debug)]
pub(super) struct BoundedMap<K, V> {
    entries: HashMap<K, (u64, V), RandomState>,
    limit: usize,
    uses: u64,
    is_established: fn(&V) -> bool,
}

impl<K: Copy + Eq + Hash, V: Default> BoundedMap<K, V> {
    pub(super) fn new(limit: usize, is_established: fn(&V) -> bool) -> Self {
        Self { entries: HashMap::default(), limit: limit.max(1), uses: 0, is_established }
    }

    /// The entry of a key, if there is one.
    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let (used, value) = self.entries.get_mut(key)?;
        self.uses += 1;
        *used = self.uses;
        Some(value)
    }

    /// The entry of a key, made if need be, and what had to be forgotten for it.
    pub(super) fn entry(&mut self, key: K) -> (&mut V, Vec<(K, V)>) {
        self.uses += 1;
        let forgotten = if self.entries.len() >= self.limit && !self.entries.contains_key(&key) {
            self.forget()
        } else {
            Vec::new()
        };
        let (used, value) = self.entries.entry(key).or_default();
        *used = self.uses;
        (value, forgotten)
    }

    /// Takes the entries of another map as well, whatever the limit; those that both have are joined.
    pub(super) fn absorb(&mut self, other: Self, join: impl Fn(&mut V, V)) {
        for (key, (used, value)) in other.entries {
            match self.entries.entry(key) {
                Entry::Occupied(mut entry) => join(&mut entry.get_mut().1, value),
                Entry::Vacant(entry) => {
                    entry.insert((used, value));
                }
            }
        }
    }

    /// The entry of a key, which does not count as used for that.
    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|(_, value)| value)
    }

    /// Puts an entry in, whatever the limit.
    pub(super) fn insert(&mut self, key: K, value: V) {
        self.uses += 1;
        self.entries.insert(key, (self.uses, value));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().map(|(key, (_, value))| (key, value))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.entries.iter_mut().map(|(key, (_, value))| (key, value))
    }

    /// Takes out all entries of which this holds.
    pub(super) fn take_if(&mut self, mut holds: impl FnMut(&V) -> bool) -> Vec<(K, V)> {
        let taken = self.entries.extract_if(|_, (_, value)| holds(value));
        taken.map(|(key, (_, value))| (key, value)).collect()
    }

    fn forget(&mut self) -> Vec<(K, V)> {
        let is_established = self.is_established;
        let rank = |used: u64, value: &V| (is_established(value), used);
        let mut ranks: Vec<_> = self.entries.values().map(|(used, value)| rank(*used, value)).collect();
        let last = ranks.len() / 4;
        if last >= ranks.len() {
            return Vec::new();
        }
        let (_, threshold, _) = ranks.select_nth_unstable(last);
        let threshold = *threshold;
        self.entries
            .extract_if(|_, (used, value)| rank(*used, value) <= threshold)
            .map(|(key, (_, value))| (key, value))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_used_longest_ago_are_forgotten_and_handed_over() {
        let mut map: BoundedMap<u32, u32> = BoundedMap::new(8, |_| false);
        for key in 0..8 {
            *map.entry(key).0 = key * 10;
        }
        map.entry(0);
        let (_, mut forgotten) = map.entry(100);
        forgotten.sort_unstable();
        assert_eq!(forgotten, [(1, 10), (2, 20), (3, 30)]);
        assert_eq!(map.iter().count(), 6);
        assert_eq!(*map.entry(0).0, 0);
        assert_eq!(*map.entry(7).0, 70);
    }

    #[test]
    fn newcomers_are_forgotten_before_the_established() {
        // C17
        let mut map: BoundedMap<u32, bool> = BoundedMap::new(100, |is_established| *is_established);
        for key in 0..10 {
            *map.entry(key).0 = true;
        }
        // A flood of others, with none of the first ones in between.
        for key in 1_000..101_000 {
            map.entry(key);
        }
        assert!((0..10).all(|key| map.get_mut(&key).is_some()) && map.iter().count() <= 100);
    }

    #[test]
    fn a_limit_of_one_works() {
        let mut map: BoundedMap<u32, u32> = BoundedMap::new(0, |_| false);
        assert!(map.entry(1).1.is_empty());
        assert_eq!(map.entry(2).1, [(1, 0)]);
        assert_eq!(map.iter().count(), 1);
    }
}
