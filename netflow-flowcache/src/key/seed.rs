//! The keyed hash.

use core::fmt;

/// The secret that a table's hash depends on.
///
/// Who sends packets chooses Flow Keys, and who knows the hash function can choose keys that all fall in one
/// bucket. With a seed from the operating system's random source they cannot; with a fixed seed, a run can be
/// repeated exactly. The hash is made for speed and for keeping placement unpredictable: it is not a message
/// authentication code, so keep hashes as secret as the seed.
#[derive(Clone, Copy)]
pub struct HashSeed {
    words: [u64; 4],
}

impl HashSeed {
    /// From 256 bits of randomness.
    #[must_use]
    pub const fn new(words: [u64; 4]) -> Self {
        let [a, b, c, d] = words;
        // Spread, and made distinct, so that seeds like all zero still give a working hash.
        Self {
            words: [
                spread(a.wrapping_add(GOLDEN)),
                spread(b.wrapping_add(GOLDEN.wrapping_mul(2))),
                spread(c.wrapping_add(GOLDEN.wrapping_mul(3))),
                spread(d.wrapping_add(GOLDEN.wrapping_mul(4))) | 1,
            ],
        }
    }

    /// From 64 bits: for tests and for replays. 64 bits can be searched; prefer [`HashSeed::new`] where
    /// strangers send the packets.
    #[must_use]
    pub const fn from_u64(seed: u64) -> Self {
        Self::new([seed, seed, seed, seed])
    }

    /// Another seed that this one and a number make.
    pub(crate) const fn derive(self, number: u64) -> Self {
        let [a, b, c, d] = self.words;
        Self::new([a, b, c, d ^ spread(number)])
    }

    /// The hash of a key that was packed into words, however many: one multiplication for two words, and one.
    #[inline]
    #[must_use]
    pub fn hash_words<const N: usize>(self, words: [u64; N]) -> u64 {
        let [mut state, factor, last, finish] = self.words;
        let (pairs, rest) = words.as_chunks::<2>();
        for [a, b] in pairs {
            state = fold(a ^ state, b ^ factor);
        }
        // A word left over goes in with the last multiplication; there is nothing behind it to hide from.
        let rest = rest.first().copied().unwrap_or(0);
        fold(state ^ rest ^ last, finish)
    }
}

impl fmt::Debug for HashSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashSeed(secret)")
    }
}

/// 2^64 divided by the golden ratio: an odd number without pattern.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// Both halves of the 128-bit product: every bit of the factors reaches the result.
#[inline]
const fn fold(a: u64, b: u64) -> u64 {
    let product = (a as u128) * (b as u128);
    #[expect(clippy::cast_possible_truncation, reason = "one half, then the other")]
    return product as u64 ^ (product >> 64) as u64;
}

/// A bijection that spreads a difference of one bit over the word.
pub(crate) const fn spread(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use alloc::{collections::BTreeSet, format, vec::Vec};

    use super::*;

    #[test]
    fn every_bit_of_a_key_moves_about_half_of_the_hash() {
        let seed = HashSeed::from_u64(7);
        let base: [u64; 6] = [1, 2, 3, 4, 5, 6];
        for bit in 0..384 {
            let mut total = 0;
            for round in 0..64_u64 {
                let mut words = base.map(|word| spread(word ^ round << 32));
                let before = seed.hash_words(words);
                words[bit / 64] ^= 1 << (bit % 64);
                total += (before ^ seed.hash_words(words)).count_ones();
            }
            let mean = f64::from(total) / 64.0;
            assert!((24.0..40.0).contains(&mean), "bit {bit}: {mean}");
        }
    }

    #[test]
    fn seeds_give_unrelated_hashes_even_when_they_are_zero() {
        let hash = |seed| HashSeed::from_u64(seed).hash_words([1, 2, 3]);
        let hashes: BTreeSet<_> = (0..1000).map(hash).collect();
        assert_eq!(hashes.len(), 1000);
        let zero = HashSeed::new([0; 4]);
        let buckets: BTreeSet<_> = (0..4096_u64).map(|word| zero.hash_words([word]) >> 52).collect();
        // Thrown at random, 4096 balls leave about 37 % of 4096 boxes empty.
        assert!((2400..3500).contains(&buckets.len()), "{}", buckets.len());
    }

    #[test]
    fn number_of_words_may_be_any() {
        let seed = HashSeed::from_u64(1);
        let all: Vec<u64> = [
            seed.hash_words([]),
            seed.hash_words([9]),
            seed.hash_words([9, 8]),
            seed.hash_words([9, 8, 7]),
            seed.hash_words([9, 8, 7, 6]),
        ]
        .into();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 5);
    }

    #[test]
    fn debug_output_keeps_the_seed_secret() {
        assert_eq!(format!("{:?}", HashSeed::from_u64(42)), "HashSeed(secret)");
    }
}
