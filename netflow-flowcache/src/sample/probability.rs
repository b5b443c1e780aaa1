//! Uniform and non-uniform probabilistic sampling.

use core::fmt;

use crate::{
    ObservedPacket, Timestamp,
    sample::{
        IndependentSampler, RandomSource, Sampler, SamplerError, SamplerSeed, Sampling, StrongGenerator,
        math::{float, log_of_complement},
    },
};

/// A number from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Probability(f64);

impl Probability {
    /// Never.
    pub const ZERO: Self = Self(0.0);
    /// Always.
    pub const ONE: Self = Self(1.0);

    /// From a number.
    ///
    /// # Errors
    /// [`SamplerError::NotAProbability`] if it is not a number, below 0 or above 1.
    pub const fn new(value: f64) -> Result<Self, SamplerError> {
        if value >= 0.0 && value <= 1.0 { Ok(Self(value.abs())) } else { Err(SamplerError::NotAProbability) }
    }

    /// The number.
    #[must_use]
    pub const fn value(self) -> f64 {
        self.0
    }

    /// The number times 2^64, rounded down: what a number of 64 random bits is below with this probability. 2^64 - 1
    /// for 1.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 2^64, saturating")]
    const fn threshold(self) -> u64 {
        (self.0 * TWO_TO_64) as u64
    }
}

// No number that is not a number gets in, so equality is an equivalence.
impl Eq for Probability {}

impl fmt::Display for Probability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

const TWO_TO_64: f64 = 18_446_744_073_709_551_616.0;

/// Selects each packet with the same probability, whatever became of the others (RFC 5475 section 5.2.2.1).
///
/// With a small probability, the number of packets to the next one is drawn at once, which is distributed
/// geometrically: so a packet that is not selected takes no chance.
#[derive(Clone, Debug)]
pub struct Probabilistic<R = StrongGenerator> {
    probability: Probability,
    trials: Trials,
    source: R,
}

impl Probabilistic {
    /// Each packet with `probability`; 0 selects no packet and 1 all.
    #[must_use]
    pub fn new(probability: Probability, seed: impl Into<SamplerSeed>) -> Self {
        Self::with_source(probability, StrongGenerator::new(seed.into()))
    }
}

impl<R: RandomSource> Probabilistic<R> {
    /// The same with another source of chance.
    #[must_use]
    pub fn with_source(probability: Probability, mut source: R) -> Self {
        let trials = Trials::new(probability, &mut source);
        Self { probability, trials, source }
    }
}

impl<R: RandomSource> IndependentSampler for Probabilistic<R> {
    #[inline]
    fn decide(&mut self, _: Timestamp) -> bool {
        self.trials.succeed(&mut self.source)
    }
}

impl<R: RandomSource> Sampler for Probabilistic<R> {
    #[inline]
    fn select(&mut self, _: &ObservedPacket, now: Timestamp) -> bool {
        self.decide(now)
    }

    fn describe(&self) -> Sampling {
        Sampling::Probabilistic(self.probability)
    }
}

/// Selects each packet with a probability that a function of the packet gives (RFC 5475 section 5.2.2.2).
///
/// Weigh what a selected packet counts by 1 over its probability: see [`crate::sample::HorvitzThompson`]. No
/// Information Element tells the function, so it cannot be announced.
///
/// ```
/// use core::net::{IpAddr, Ipv4Addr};
/// use netflow_flowcache::sample::{NonUniform, Sampler};
/// use netflow_flowcache::{ObservedPacket, Timestamp};
///
/// // Large packets sooner than small ones.
/// let mut sampler = NonUniform::new(|packet: &ObservedPacket| f64::from(packet.octets) / 1500.0, 42);
/// let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// assert!(sampler.select(&ObservedPacket::new(address, address, 17, 1500), Timestamp::ZERO));
/// assert_eq!(sampler.last_probability(), 1.0);
/// ```
#[derive(Clone)]
pub struct NonUniform<F, R = StrongGenerator> {
    function: F,
    last: f64,
    source: R,
}

impl<F: FnMut(&ObservedPacket) -> f64> NonUniform<F> {
    /// Each packet with the probability that `function` gives; below 0 and what is no number count as 0, above 1 as 1.
    #[must_use]
    pub fn new(function: F, seed: impl Into<SamplerSeed>) -> Self {
        Self { function, last: 0.0, source: StrongGenerator::new(seed.into()) }
    }
}

impl<F, R> NonUniform<F, R> {
    /// The probability that the last packet was selected with.
    #[must_use]
    pub const fn last_probability(&self) -> f64 {
        self.last
    }
}

impl<F: FnMut(&ObservedPacket) -> f64, R: RandomSource> Sampler for NonUniform<F, R> {
    #[inline]
    fn select(&mut self, packet: &ObservedPacket, _: Timestamp) -> bool {
        let value = (self.function)(packet);
        let probability = Probability(if value > 0.0 { value.min(1.0) } else { 0.0 });
        self.last = probability.value();
        // The order matters: a probability of 1 is not asked about.
        probability >= Probability::ONE || self.source.next_u64() < probability.threshold()
    }

    fn describe(&self) -> Sampling {
        Sampling::NonUniform
    }
}

impl<F, R> fmt::Debug for NonUniform<F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NonUniform").field("last", &self.last).finish_non_exhaustive()
    }
}

/// Independent trials that succeed with the same probability.
#[derive(Clone, Debug)]
pub(super) enum Trials {
    Never,
    Always,
    /// A number of 64 bits below this one succeeds.
    Threshold(u64),
    /// Failures are skipped.
    Gap {
        gap: Geometric,
        /// Trials to the next success, that one included.
        remaining: u64,
    },
}

impl Trials {
    /// Above this, drawing for each trial is cheaper.
    const DRAW_EACH: f64 = 0.0625;

    pub(super) fn new(probability: Probability, source: &mut impl RandomSource) -> Self {
        match probability {
            Probability::ZERO => Self::Never,
            Probability::ONE => Self::Always,
            Probability(value) if value > Self::DRAW_EACH => Self::Threshold(probability.threshold()),
            _ => {
                let gap = Geometric::new(probability);
                let remaining = gap.draw(source);
                Self::Gap { gap, remaining }
            }
        }
    }

    #[inline]
    pub(super) fn succeed(&mut self, source: &mut impl RandomSource) -> bool {
        match self {
            Self::Gap { gap, remaining } => {
                *remaining -= 1;
                if *remaining > 0 {
                    return false;
                }
                *remaining = gap.draw(source);
                true
            }
            Self::Threshold(threshold) => source.next_u64() < *threshold,
            Self::Always => true,
            Self::Never => false,
        }
    }
}

/// How many trials it takes until one succeeds.
#[derive(Clone, Debug)]
pub(super) struct Geometric {
    /// 1 / ln(1 - p), negative; 0 for p = 1.
    scale: f64,
}

impl Geometric {
    /// For a probability above 0.
    fn new(probability: Probability) -> Self {
        Self { scale: log_of_complement(probability.value()).recip() }
    }

    /// At least 1, saturating at 2^64 - 1.
    ///
    /// By inversion: 1 + floor(ln(1 - v) / ln(1 - p)) for v evenly from 0 to 1, 1 left out. The logarithm is taken of
    /// the complement because small v matter when p is small, and a v of 64 bits has those down to 2^-64.
    #[inline(never)]
    fn draw(&self, source: &mut impl RandomSource) -> u64 {
        const BELOW_ONE: f64 = 1.0 - f64::EPSILON / 2.0;
        let even = (float(source.next_u64()) / TWO_TO_64).min(BELOW_ONE);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 or more, saturating")]
        let failures = (log_of_complement(even) * self.scale) as u64;
        failures.saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Always the same 64 bits.
    #[derive(Clone)]
    struct Constant(u32);

    impl RandomSource for Constant {
        fn next_u32(&mut self) -> u32 {
            self.0
        }
    }

    // S28 (ST20)
    #[test]
    fn gaps_are_at_least_one_and_finite_whatever_the_source_gives() {
        let smallest = Probability::new(0.5_f64.powi(64)).unwrap();
        let subnormal = Probability::new(f64::from_bits(1)).unwrap();
        for probability in [smallest, subnormal, Probability(0.01), Probability(0.5), Probability::ONE] {
            let gap = Geometric::new(probability);
            assert_eq!(gap.draw(&mut Constant(0)), 1, "{probability}");
            let longest = gap.draw(&mut Constant(u32::MAX));
            assert!(longest >= 1, "{probability}: {longest}");
            // -ln(2^-53) / p
            let expected = (36.74 / probability.value()).min(1.9e19);
            assert!(probability.value() > 0.1 || float(longest) > 0.9 * expected, "{probability}: {longest}");
        }
        assert_eq!(Geometric::new(subnormal).draw(&mut Constant(u32::MAX)), u64::MAX);
        assert_eq!(smallest.threshold(), 1);
        assert_eq!(Probability::ONE.threshold(), u64::MAX);
        assert_eq!(subnormal.threshold(), 0);
    }

    // S28
    #[test]
    fn probabilities_are_from_0_to_1() {
        for value in [f64::NAN, -0.1, 1.1, f64::INFINITY, f64::NEG_INFINITY, -f64::MIN_POSITIVE] {
            assert_eq!(Probability::new(value), Err(SamplerError::NotAProbability));
        }
        assert_eq!(Probability::new(-0.0), Ok(Probability::ZERO));
        assert_eq!(Probability::new(1.0), Ok(Probability::ONE));
    }
}
