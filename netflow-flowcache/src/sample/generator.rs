//! Where the chance of random samplers comes from.

use core::fmt;

use crate::key::spread;

/// A source of random bits.
///
/// Samplers take [`StrongGenerator`] unless told otherwise. Bring one of your own for tests, or to draw from the
/// operating system.
pub trait RandomSource {
    /// 32 bits, each value equally likely.
    fn next_u32(&mut self) -> u32;

    /// 64 bits, each value equally likely.
    #[inline]
    fn next_u64(&mut self) -> u64 {
        u64::from(self.next_u32()) << 32 | u64::from(self.next_u32())
    }

    /// A number below `bound`, each equally likely; 0 for a bound of 0.
    ///
    /// The upper half of a product with a random factor: the few factors that would make some numbers likelier are
    /// drawn again. A source that is stuck at such a factor is asked no more than 64 times.
    #[inline]
    fn below(&mut self, bound: u32) -> u32 {
        let mut number = 0;
        for _ in 0..64 {
            let product = u64::from(self.next_u32()) * u64::from(bound);
            #[expect(clippy::cast_possible_truncation, reason = "one half, then the other")]
            let (upper, rest) = ((product >> 32) as u32, product as u32);
            number = upper;
            if rest >= bound || rest >= bound.wrapping_neg().checked_rem(bound).unwrap_or(0) {
                break;
            }
        }
        number
    }
}

impl<R: RandomSource + ?Sized> RandomSource for &mut R {
    #[inline]
    fn next_u32(&mut self) -> u32 {
        (**self).next_u32()
    }
}

/// What a random sampler's picks depend on: who knows it knows them (RFC 5475 section 9).
///
/// ```
/// use netflow_flowcache::sample::{RandomOneInN, SamplerSeed};
///
/// let repeatable = RandomOneInN::new(100, 42)?; // for tests and replays
/// # #[cfg(feature = "std")]
/// let unforeseeable = RandomOneInN::new(100, SamplerSeed::random())?;
/// # Ok::<(), netflow_flowcache::sample::SamplerError>(())
/// ```
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct SamplerSeed {
    words: [u64; 4],
}

impl SamplerSeed {
    /// From 256 bits of randomness: from the operating system, unless a run is to be repeated.
    #[must_use]
    pub const fn new(words: [u64; 4]) -> Self {
        Self { words }
    }

    /// From 64 bits: for tests and for replays. 64 bits can be searched.
    #[must_use]
    pub const fn from_u64(seed: u64) -> Self {
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        Self {
            words: [
                spread(seed.wrapping_add(STEP)),
                spread(seed.wrapping_add(STEP.wrapping_mul(2))),
                spread(seed.wrapping_add(STEP.wrapping_mul(3))),
                spread(seed.wrapping_add(STEP.wrapping_mul(4))),
            ],
        }
    }

    /// From the random keys that the standard library gets from the operating system for its hash maps: different
    /// on every call.
    #[cfg(feature = "std")]
    #[must_use]
    pub fn random() -> Self {
        extern crate std;
        use core::hash::BuildHasher;
        use std::hash::RandomState;
        let state = RandomState::new();
        Self::new([0_u64, 1, 2, 3].map(|word| state.hash_one(word)))
    }

    /// A seed that follows from this one, another one for each number: for the samplers of one sequence.
    #[must_use]
    pub const fn child(self, number: u64) -> Self {
        let [a, b, c, d] = self.words;
        Self { words: [a, b, c, d ^ spread(number.wrapping_add(0xC2B2_AE3D_27D4_EB4F))] }
    }

    /// 64 bits of it, for what takes no more.
    pub(super) fn word(self) -> u64 {
        StrongGenerator::new(self).next_u64()
    }
}

impl From<u64> for SamplerSeed {
    fn from(seed: u64) -> Self {
        Self::from_u64(seed)
    }
}

impl fmt::Debug for SamplerSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SamplerSeed(secret)")
    }
}

/// `ChaCha` with 8 rounds as a generator: picks that went before do not tell those to come.
#[derive(Clone)]
pub struct StrongGenerator {
    key: [u32; 8],
    block: u64,
    words: [u32; 16],
    /// Words taken of the block at hand.
    taken: u8,
}

impl StrongGenerator {
    const ROUNDS: u8 = 8;

    /// The sequence that belongs to a seed.
    #[must_use]
    pub const fn new(seed: SamplerSeed) -> Self {
        let [a, b, c, d] = seed.words;
        #[expect(clippy::cast_possible_truncation, reason = "one half, then the other")]
        let key = [
            a as u32,
            (a >> 32) as u32,
            b as u32,
            (b >> 32) as u32,
            c as u32,
            (c >> 32) as u32,
            d as u32,
            (d >> 32) as u32,
        ];
        Self { key, block: 0, words: [0; 16], taken: 16 }
    }

    #[cold]
    #[inline(never)]
    fn refill(&mut self) {
        self.words = chacha(&self.key, self.block, Self::ROUNDS);
        self.block = self.block.wrapping_add(1);
        self.taken = 0;
    }
}

impl RandomSource for StrongGenerator {
    #[inline]
    fn next_u32(&mut self) -> u32 {
        if self.taken >= 16 {
            self.refill();
        }
        let word = self.words.get(usize::from(self.taken)).copied().unwrap_or(0);
        self.taken += 1;
        word
    }
}

impl fmt::Debug for StrongGenerator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StrongGenerator(secret)")
    }
}

/// One block of key stream: RFC 8439 section 2.3 with a counter of 64 bits and a nonce of zero.
fn chacha(key: &[u32; 8], block: u64, rounds: u8) -> [u32; 16] {
    let [k0, k1, k2, k3, k4, k5, k6, k7] = *key;
    #[expect(clippy::cast_possible_truncation, reason = "one half, then the other")]
    let (low, high) = (block as u32, (block >> 32) as u32);
    let start = [
        [0x6170_7865, 0x3320_646E, 0x7962_2D32, 0x6B20_6574],
        [k0, k1, k2, k3],
        [k4, k5, k6, k7],
        [low, high, 0, 0],
    ];
    let mut rows = start;
    for _ in 0..rounds / 2 {
        rows = quarters(rows);
        // The diagonals become columns, and go back.
        let [first, [b0, b1, b2, b3], [c0, c1, c2, c3], [d0, d1, d2, d3]] = rows;
        rows = quarters([first, [b1, b2, b3, b0], [c2, c3, c0, c1], [d3, d0, d1, d2]]);
        let [first, [b1, b2, b3, b0], [c2, c3, c0, c1], [d3, d0, d1, d2]] = rows;
        rows = [first, [b0, b1, b2, b3], [c0, c1, c2, c3], [d0, d1, d2, d3]];
    }
    let mut end = [0; 16];
    let sums = rows.as_flattened().iter().zip(start.as_flattened());
    for (word, (after, before)) in end.iter_mut().zip(sums) {
        *word = after.wrapping_add(*before);
    }
    end
}

/// A quarter round of each column.
#[inline]
fn quarters([a, b, c, d]: [[u32; 4]; 4]) -> [[u32; 4]; 4] {
    let a = each(a, b, u32::wrapping_add);
    let d = each(d, a, |d, a| (d ^ a).rotate_left(16));
    let c = each(c, d, u32::wrapping_add);
    let b = each(b, c, |b, c| (b ^ c).rotate_left(12));
    let a = each(a, b, u32::wrapping_add);
    let d = each(d, a, |d, a| (d ^ a).rotate_left(8));
    let c = each(c, d, u32::wrapping_add);
    let b = each(b, c, |b, c| (b ^ c).rotate_left(7));
    [a, b, c, d]
}

#[inline]
fn each(mut row: [u32; 4], other: [u32; 4], step: impl Fn(u32, u32) -> u32) -> [u32; 4] {
    for (word, other) in row.iter_mut().zip(other) {
        *word = step(*word, other);
    }
    row
}

#[cfg(test)]
mod tests {
    use alloc::{collections::BTreeSet, format, string::String, vec::Vec};

    use super::*;

    fn hex(words: [u32; 16]) -> String {
        words.iter().map(|word| format!("{:08x}", word.swap_bytes())).collect::<Vec<_>>().concat()
    }

    #[test]
    fn key_stream_is_the_published_one() {
        // RFC 8439 appendix A.1, test vector 1; then the same key with 8 rounds.
        assert_eq!(
            hex(chacha(&[0; 8], 0, 20)),
            "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7\
             da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586"
        );
        assert_eq!(
            hex(chacha(&[0; 8], 0, 8)),
            "3e00ef2f895f40d67f5bb8e81f09a5a12c840ec3ce9a7f3b181be188ef711a1e\
             984ce172b9216f419f445367456d5619314a42a3da86b001387bfdb80e0cfe42"
        );
    }

    #[test]
    fn generator_gives_the_words_of_block_after_block() {
        let seed = SamplerSeed::new([1, 2, 3, 4]);
        let mut generator = StrongGenerator::new(seed);
        let words: Vec<u32> = (0..40).map(|_| generator.next_u32()).collect();
        let key = [1, 0, 2, 0, 3, 0, 4, 0];
        let blocks: Vec<u32> = (0..3).flat_map(|block| chacha(&key, block, 8)).take(40).collect();
        assert_eq!(words, blocks);
    }

    #[test]
    fn bounded_numbers_are_below_their_bound_and_even() {
        let mut generator = StrongGenerator::new(3.into());
        assert_eq!(generator.below(0), 0);
        assert_eq!(generator.below(1), 0);
        for bound in [2, 3, 7, 1 << 31, u32::MAX] {
            assert!((0..1000).all(|_| generator.below(bound) < bound));
        }
        // With three quarters of the range as the bound, numbers taken by remainder would be a third too often
        // in the lower third.
        let bound = 3 << 30;
        let low = (0..30_000).filter(|_| generator.below(bound) < 1 << 30).count();
        assert!((9_600..10_400).contains(&low), "{low}");
    }

    // S28 (ST20)
    #[test]
    fn a_source_that_is_stuck_does_not_hold_up_anything() {
        struct Stuck(u32);
        impl RandomSource for Stuck {
            fn next_u32(&mut self) -> u32 {
                self.0
            }
        }
        for bound in [0, 1, 3, 10, u32::MAX] {
            for stuck in [0, 1, u32::MAX] {
                assert!(Stuck(stuck).below(bound) < bound.max(1));
            }
        }
    }

    // S27: two defaults differ, and so do the seeds of one family.
    #[test]
    fn seeds_differ_and_stay_secret() {
        #[cfg(feature = "std")]
        assert_ne!(SamplerSeed::random(), SamplerSeed::random());
        let seed = SamplerSeed::from_u64(7);
        let words: BTreeSet<u64> = (0..100).map(|child| seed.child(child).word()).collect();
        assert_eq!(words.len(), 100);
        assert_eq!(
            format!("{seed:?}, {:?}", StrongGenerator::new(seed)),
            "SamplerSeed(secret), StrongGenerator(secret)"
        );
    }
}
