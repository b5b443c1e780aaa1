//! A bounded memory of what came lately.

use core::{hash::Hash, time::Duration};
use std::collections::HashMap;

use netflow_codec::Timestamp;

/// What came within a time, at least; twice that long at most. What is looked up stays.
#[derive(Debug)]
pub(super) struct Remembered<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    since: Timestamp,
    time: Duration,
    limit: usize,
    /// Forgotten before their time.
    forgotten: u64,
}

impl<K: Copy + Eq + Hash, V: Copy> Remembered<K, V> {
    /// Remembers for this time, as long as there are not more than so many.
    pub(super) fn new(time: Duration, limit: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), since: Timestamp::ZERO, time, limit, forgotten: 0 }
    }

    /// What is known of the key.
    pub(super) fn get(&mut self, key: &K, now: Timestamp) -> Option<V> {
        let elapsed = now.saturating_since(self.since);
        // A clock that was set back must not keep them for ever.
        if elapsed >= self.time || now < self.since {
            let young = core::mem::take(&mut self.young);
            self.old = if elapsed >= self.time * 2 { HashMap::new() } else { young };
            self.since = now;
        }
        if let Some(value) = self.young.get(key) {
            return Some(*value);
        }
        self.old.remove(key)
    }

    pub(super) fn insert(&mut self, key: K, value: V) {
        if self.young.len() >= self.limit / 2 && !self.young.contains_key(&key) {
            self.forgotten += self.old.len() as u64;
            self.old = core::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    pub(super) fn remove(&mut self, key: &K) {
        self.young.remove(key);
        self.old.remove(key);
    }

    /// How many were forgotten before their time since this was asked last.
    pub(super) const fn take_forgotten(&mut self) -> u64 {
        core::mem::replace(&mut self.forgotten, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_the_rest_goes_by_time_and_number() {
        let at = Timestamp::from_secs;
        let mut remembered = Remembered::new(Duration::from_secs(10), 100);
        assert_eq!(remembered.get(&1, at(1_000)), None);
        remembered.insert(1, 'a');
        assert_eq!(remembered.get(&1, at(1_009)), Some('a'));
        // One generation on, and taken along.
        assert_eq!(remembered.get(&1, at(1_015)), Some('a'));
        remembered.insert(1, 'b');
        assert_eq!(remembered.get(&1, at(1_024)), Some('b'));
        assert_eq!(remembered.get(&1, at(1_060)), None);
        for key in 0..1_000 {
            remembered.get(&key, at(1_061));
            remembered.insert(key, 'c');
        }
        assert!(remembered.young.len() + remembered.old.len() <= 100);
        assert_eq!(remembered.take_forgotten(), 900);
        assert_eq!(remembered.get(&999, at(1_061)), Some('c'));
    }
}
