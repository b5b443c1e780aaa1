//! The different values of a column, each with the place at which it came first.

use core::{hash::BuildHasher as _, net::IpAddr};
use std::hash::RandomState;

/// Values, found by a hash that nobody outside can foresee.
#[derive(Debug)]
pub(super) struct Dictionary<K> {
    keys: Vec<K>,
    /// Places of keys plus one, by hash; 0 where nothing is.
    table: Vec<u32>,
    seed: u64,
    /// Looks at the table that are left: whoever knew the hash could make them many.
    looks: u64,
}

/// What a dictionary can hold.
pub(super) trait Key: Copy + Eq {
    fn hash(self, seed: u64) -> u64;
}

impl Key for u64 {
    fn hash(self, seed: u64) -> u64 {
        fold(self ^ seed, 0x9e37_79b9_7f4a_7c15)
    }
}

impl Key for IpAddr {
    fn hash(self, seed: u64) -> u64 {
        match self {
            Self::V4(v4) => fold(u64::from(v4.to_bits()) ^ seed, 0x9e37_79b9_7f4a_7c15),
            Self::V6(v6) => {
                let bits = v6.to_bits();
                let (high, low) = halves(bits);
                fold(high ^ seed, low ^ 0x9e37_79b9_7f4a_7c15)
            }
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the two halves of a number")]
const fn halves(number: u128) -> (u64, u64) {
    ((number >> 64) as u64, number as u64)
}

const fn fold(a: u64, b: u64) -> u64 {
    let (high, low) = halves(a as u128 * (b | 1) as u128);
    high ^ low
}

impl<K: Key> Dictionary<K> {
    pub(super) fn new() -> Self {
        Self { keys: Vec::new(), table: vec![0; 1 << 10], seed: RandomState::new().hash_one(0), looks: 0 }
    }

    /// What stands in the place of a dictionary that is looked at.
    pub(super) const fn none() -> Self {
        Self { keys: Vec::new(), table: Vec::new(), seed: 0, looks: 0 }
    }

    /// Forgets all, and expects so many values.
    pub(super) fn clear(&mut self, values: usize) {
        self.keys.clear();
        self.table.fill(0);
        self.looks = (values as u64).saturating_mul(8).saturating_add(1_000);
    }

    pub(super) fn keys(&self) -> &[K] {
        &self.keys
    }

    /// Adds a value whose place is known otherwise.
    pub(super) fn push(&mut self, key: K) {
        self.keys.push(key);
    }

    /// The place of a value; `None` when there are too many of them.
    pub(super) fn place(&mut self, key: K) -> Option<u16> {
        let mask = self.table.len() - 1;
        let mut at = usize::try_from(key.hash(self.seed)).unwrap_or(0) & mask;
        loop {
            let entry = self.table.get_mut(at)?;
            if *entry == 0 {
                let place = u16::try_from(self.keys.len()).ok()?;
                self.keys.push(key);
                *entry = u32::from(place) + 1;
                if self.keys.len() * 2 > self.table.len() {
                    self.grow()?;
                }
                return Some(place);
            }
            let place = *entry - 1;
            if self.keys.get(place as usize) == Some(&key) {
                return u16::try_from(place).ok();
            }
            self.looks = self.looks.checked_sub(1)?;
            at = (at + 1) & mask;
        }
    }

    fn grow(&mut self) -> Option<()> {
        let size = self.table.len() * 4;
        self.table.clear();
        self.table.resize(size, 0);
        for (key, place) in self.keys.iter().zip(1..) {
            let mut at = usize::try_from(key.hash(self.seed)).unwrap_or(0) & (size - 1);
            while *self.table.get(at)? != 0 {
                self.looks = self.looks.checked_sub(1)?;
                at = (at + 1) & (size - 1);
            }
            *self.table.get_mut(at)? = place;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_the_place_at_which_they_came_first() {
        let mut dictionary = Dictionary::new();
        for _ in 0..2 {
            dictionary.clear(200_000);
            for number in (0..65_536_u64).chain(0..65_536) {
                assert_eq!(dictionary.place(number << 20), u16::try_from(number).ok());
            }
            assert_eq!(dictionary.place(1), None);
            assert_eq!(dictionary.keys().len(), 65_536);
        }
        let mut addresses = Dictionary::<IpAddr>::new();
        addresses.clear(10);
        for text in ["0.0.0.0", "::", "10.0.0.1", "::10.0.0.1", "0.0.0.0", "::"] {
            addresses.place(text.parse().unwrap());
        }
        assert_eq!(addresses.keys().len(), 4);
    }
}
