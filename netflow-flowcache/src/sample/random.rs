//! Random one-in-N sampling, and where its random numbers come from.

use crate::{
    ObservedPacket, Timestamp,
    key::spread,
    sample::{Sampler, SamplerError, Sampling},
};

/// Selects one packet at random out of each `N` in a row: n-out-of-N sampling with n = 1 (RFC 5475 section
/// 5.2.1), called random sampled `NetFlow` on routers.
///
/// Exactly one packet of each window of `N` is selected, each position being equally likely; so 1 to `2N - 1`
/// packets lie from one selected packet to the next.
#[derive(Clone, Debug)]
pub struct RandomOneInN {
    population: u32,
    /// Packets seen of the present window.
    seen: u32,
    /// Position of the packet to be selected in the present window.
    chosen: u32,
    generator: Generator,
}

impl RandomOneInN {
    /// One packet in each `n`; 1 selects all packets. The same seed selects the same positions.
    ///
    /// Who knows the seed knows which packets are selected: take it from a strong random source (RFC 5475 section
    /// 9).
    ///
    /// # Errors
    /// [`SamplerError::SelectsNothing`] if `n` is 0.
    pub fn new(n: u32, seed: u64) -> Result<Self, SamplerError> {
        if n == 0 {
            return Err(SamplerError::SelectsNothing);
        }
        let mut generator = Generator::new(seed);
        let chosen = generator.below(n);
        Ok(Self { population: n, seen: 0, chosen, generator })
    }
}

impl Sampler for RandomOneInN {
    #[inline]
    fn select(&mut self, _: &ObservedPacket, _: Timestamp) -> bool {
        let selected = self.seen == self.chosen;
        self.seen += 1;
        if self.seen == self.population {
            self.seen = 0;
            self.chosen = self.generator.below(self.population);
        }
        selected
    }

    fn describe(&self) -> Sampling {
        Sampling::RandomOutOf { size: 1, population: self.population }
    }
}

/// xoshiro256**: 256 bits of state, period 2^256 - 1, good in all bits, but not unpredictable for who sees its output.
#[derive(Clone, Debug)]
struct Generator {
    state: [u64; 4],
}

impl Generator {
    /// Four outputs of `SplitMix64`, so that seeds alike give unlike states and no state is zero.
    const fn new(seed: u64) -> Self {
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        Self {
            state: [
                spread(seed.wrapping_add(STEP)),
                spread(seed.wrapping_add(STEP.wrapping_mul(2))),
                spread(seed.wrapping_add(STEP.wrapping_mul(3))),
                spread(seed.wrapping_add(STEP.wrapping_mul(4))),
            ],
        }
    }

    const fn next(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let result = b.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let (c, d) = (c ^ a, d ^ b);
        self.state = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        result
    }

    /// A number below `bound`, each equally likely; 0 for a bound of 0.
    ///
    /// The upper half of a product with a random factor: the few factors that would make some numbers likelier are
    /// drawn again.
    fn below(&mut self, bound: u32) -> u32 {
        loop {
            let factor = self.next() >> 32;
            let product = factor * u64::from(bound);
            #[expect(clippy::cast_possible_truncation, reason = "one half, then the other")]
            let (number, rest) = ((product >> 32) as u32, product as u32);
            if rest >= bound || rest >= bound.wrapping_neg().checked_rem(bound).unwrap_or(0) {
                return number;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generator_gives_the_known_sequence() {
        // From the definition, for the state 1, 2, 3, 4.
        let mut generator = Generator { state: [1, 2, 3, 4] };
        assert_eq!(
            [0; 4].map(|_: u64| generator.next()),
            [11_520, 0, 1_509_978_240, 1_215_971_899_390_074_240]
        );
    }

    #[test]
    fn bounded_numbers_are_below_their_bound_and_even() {
        let mut generator = Generator::new(3);
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
}
