//! How many values there are, how evenly they are spread, and the greatest of them, in bounded memory.

use core::hash::{BuildHasher as _, BuildHasherDefault, Hash};
use std::{collections::HashMap, hash::DefaultHasher};

use serde::Serialize;

/// Hashes that are the same on every run.
type Fixed = BuildHasherDefault<DefaultHasher>;

/// A value and its part of all packets.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Part {
    /// The value.
    pub value: String,
    /// Packets, scaled by sampling.
    pub packets: u64,
    /// Of all packets, from 0 to 1.
    pub share: f64,
}

/// What is known of the values of an event: its sources, its ports.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Distribution {
    /// How many different values were seen.
    pub distinct: u64,
    /// Whether that is an estimate (within 7 percent in 95 cases of 100), because there were too many to remember.
    pub is_estimated: bool,
    /// Entropy as a part of the greatest that so many values can have: 0 for one value, 1 when all are equally frequent.
    pub evenness: f64,
    /// Entropy in bits.
    pub entropy_bits: f64,
    /// The most frequent values.
    pub top: Vec<Part>,
}

/// Values being counted.
#[derive(Clone, Debug)]
pub(super) struct Spread<K> {
    counts: HashMap<K, f64, Fixed>,
    /// Packets of values that there was no room for.
    others: f64,
    registers: Option<Box<[u8; REGISTERS]>>,
    total: f64,
}

const REGISTERS: usize = 1 << 11;

impl<K: Copy + Eq + Hash + Ord> Spread<K> {
    pub(super) fn new() -> Self {
        Self { counts: HashMap::default(), others: 0.0, registers: None, total: 0.0 }
    }

    /// Counts packets of a value; `room` is how many more values may be remembered, everywhere.
    pub(super) fn add(&mut self, key: K, packets: f64, room: &mut usize) {
        self.total += packets;
        if let Some(count) = self.counts.get_mut(&key) {
            *count += packets;
            return;
        }
        if *room > 0 {
            *room -= 1;
            self.counts.insert(key, packets);
            return;
        }
        self.others += packets;
        let registers = self.registers.get_or_insert_with(|| Box::new([0; REGISTERS]));
        register(registers, &key);
    }

    pub(super) fn share_of_greatest(&self) -> f64 {
        let greatest = self.counts.values().copied().fold(0.0, f64::max);
        if self.total > 0.0 { greatest / self.total } else { 0.0 }
    }

    /// How many values there are.
    pub(super) fn distinct(&self) -> u64 {
        let Some(registers) = &self.registers else { return self.counts.len() as u64 };
        let mut registers = registers.clone();
        for key in self.counts.keys() {
            register(&mut registers, key);
        }
        (estimate(&registers).round() as u64).max(self.counts.len() as u64)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = (K, f64)> {
        self.counts.iter().map(|(key, packets)| (*key, *packets))
    }

    pub(super) fn distribution(&self, top: usize, name: impl Fn(K) -> String) -> Distribution {
        let distinct = self.distinct();
        let mut entropy = 0.0;
        let mut part = |packets: f64, times: f64| {
            let share = packets / self.total;
            if share > 0.0 {
                entropy -= times * share * share.log2();
            }
        };
        // In an order, so that sums are the same on every run.
        let mut ranking: Vec<(K, f64)> = self.values().collect();
        ranking.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        for (_, packets) in &ranking {
            part(*packets, 1.0);
        }
        // Those that there was no room for count as equally frequent.
        let forgotten = distinct.saturating_sub(self.counts.len() as u64).max(1) as f64;
        if self.others > 0.0 {
            part(self.others / forgotten, forgotten);
        }
        let greatest = (distinct.max(1) as f64).log2();
        ranking.truncate(top);
        Distribution {
            distinct,
            is_estimated: self.registers.is_some(),
            evenness: if greatest > 0.0 { (entropy / greatest).clamp(0.0, 1.0) } else { 0.0 },
            entropy_bits: entropy.max(0.0),
            top: ranking
                .into_iter()
                .map(|(key, packets)| Part {
                    value: name(key),
                    packets: packets.round() as u64,
                    share: packets / self.total,
                })
                .collect(),
        }
    }
}

/// `HyperLogLog` (Flajolet and others, 2007): each register keeps the longest run of zeros of the hashes that fall to it.
fn register<K: Hash>(registers: &mut [u8; REGISTERS], key: &K) {
    let hash = Fixed::default().hash_one(key);
    let place = usize::try_from(hash & (REGISTERS as u64 - 1)).unwrap_or(0);
    let rank = ((hash >> 11).leading_zeros() - 11 + 1) as u8;
    if let Some(register) = registers.get_mut(place) {
        *register = rank.max(*register);
    }
}

fn estimate(registers: &[u8; REGISTERS]) -> f64 {
    let count = REGISTERS as f64;
    let sum: f64 = registers.iter().map(|rank| f64::from(*rank).exp2().recip()).sum();
    let raw = 0.7213 / (1.0 + 1.079 / count) * count * count / sum;
    let empty: usize = registers.iter().map(|rank| usize::from(*rank == 0)).sum();
    if raw <= 2.5 * count && empty > 0 { count * (count / empty as f64).ln() } else { raw }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_values_are_exact() {
        let mut spread = Spread::new();
        let mut room = 10;
        for (key, packets) in [(443_u16, 50.0), (80, 25.0), (22, 25.0), (443, 0.0)] {
            spread.add(key, packets, &mut room);
        }
        let distribution = spread.distribution(2, |port| port.to_string());
        assert_eq!((distribution.distinct, distribution.is_estimated, room), (3, false, 7));
        assert!((distribution.entropy_bits - 1.5).abs() < 1e-9);
        assert!((distribution.evenness - 1.5 / 3_f64.log2()).abs() < 1e-9);
        assert_eq!(
            distribution.top.iter().map(|part| part.value.as_str()).collect::<Vec<_>>(),
            ["443", "22"]
        );
    }

    #[test]
    fn many_values_are_estimated_within_the_stated_error() {
        for count in [1_500_u32, 20_000, 300_000] {
            let mut spread = Spread::new();
            let mut room = 1_000;
            for key in 0..count {
                spread.add(key, 1.0, &mut room);
                spread.add(key, 1.0, &mut room);
            }
            let distribution = spread.distribution(1, |key| key.to_string());
            let error = (distribution.distinct as f64 / f64::from(count) - 1.0).abs();
            assert!(error < 0.07, "{count}: {}", distribution.distinct);
            assert!(distribution.is_estimated && distribution.evenness > 0.99);
        }
    }

    #[test]
    fn one_value_has_no_entropy() {
        let mut spread = Spread::new();
        spread.add(1_u8, 5.0, &mut 5);
        let distribution = spread.distribution(5, |key| key.to_string());
        assert!(distribution.evenness == 0.0 && distribution.entropy_bits == 0.0);
        assert!(Spread::<u8>::new().distribution(5, |key| key.to_string()).top.is_empty());
    }
}
