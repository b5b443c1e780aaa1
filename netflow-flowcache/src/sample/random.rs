//! Random n-out-of-N sampling.

use crate::{
    ObservedPacket, Timestamp,
    sample::{
        IndependentSampler, RandomSource, Sampler, SamplerError, SamplerSeed, Sampling, StrongGenerator,
    },
};

/// Selects one packet at random out of each `N` in a row: n-out-of-N sampling with n = 1 (RFC 5475 section
/// 5.2.1), called random sampled `NetFlow` on routers.
///
/// Exactly one packet of each window of `N` is selected, each position being equally likely; so 1 to `2N - 1`
/// packets lie from one selected packet to the next.
#[derive(Clone, Debug)]
pub struct RandomOneInN<R = StrongGenerator> {
    population: u32,
    /// Packets seen of the present window.
    seen: u32,
    /// Position of the packet to be selected in the present window.
    chosen: u32,
    source: R,
}

impl RandomOneInN {
    /// One packet in each `n`; 1 selects all packets. The same seed selects the same positions.
    ///
    /// Who knows the seed knows which packets are selected: take it from a strong random source (RFC 5475 section
    /// 9).
    ///
    /// # Errors
    /// [`SamplerError::SelectsNothing`] if `n` is 0.
    pub fn new(n: u32, seed: impl Into<SamplerSeed>) -> Result<Self, SamplerError> {
        Self::with_source(n, StrongGenerator::new(seed.into()))
    }
}

impl<R: RandomSource> RandomOneInN<R> {
    /// The same with another source of chance.
    ///
    /// # Errors
    /// [`SamplerError::SelectsNothing`] if `n` is 0.
    pub fn with_source(n: u32, mut source: R) -> Result<Self, SamplerError> {
        if n == 0 {
            return Err(SamplerError::SelectsNothing);
        }
        let chosen = source.below(n);
        Ok(Self { population: n, seen: 0, chosen, source })
    }
}

impl<R: RandomSource> IndependentSampler for RandomOneInN<R> {
    #[inline]
    fn decide(&mut self, _: Timestamp) -> bool {
        let selected = self.seen == self.chosen;
        self.seen += 1;
        if self.seen == self.population {
            self.seen = 0;
            self.chosen = self.source.below(self.population);
        }
        selected
    }
}

impl<R: RandomSource> Sampler for RandomOneInN<R> {
    #[inline]
    fn select(&mut self, _: &ObservedPacket, now: Timestamp) -> bool {
        self.decide(now)
    }

    fn describe(&self) -> Sampling {
        Sampling::RandomOutOf { size: 1, population: self.population }
    }
}

/// Selects `n` packets at random out of each `N` in a row (RFC 5475 section 5.2.1).
///
/// Every set of `n` positions is equally likely. Each packet is decided as it comes: nothing is drawn beforehand, so
/// no packet costs more than another, however large `N` is. With n = 1, [`RandomOneInN`] is faster.
#[derive(Clone, Debug)]
pub struct RandomOutOf<R = StrongGenerator> {
    size: u32,
    population: u32,
    /// Packets still to come of the present population.
    coming: u32,
    /// How many of those are to be selected.
    wanted: u32,
    source: R,
}

impl RandomOutOf {
    /// `size` packets of each `population`; as many as that selects all packets.
    ///
    /// # Errors
    /// [`SamplerError::SelectsNothing`] if `size` is 0, [`SamplerError::SampleAbovePopulation`] if it is above
    /// `population`.
    pub fn new(size: u32, population: u32, seed: impl Into<SamplerSeed>) -> Result<Self, SamplerError> {
        Self::with_source(size, population, StrongGenerator::new(seed.into()))
    }
}

impl<R: RandomSource> RandomOutOf<R> {
    /// The same with another source of chance.
    ///
    /// # Errors
    /// As [`RandomOutOf::new`].
    pub fn with_source(size: u32, population: u32, source: R) -> Result<Self, SamplerError> {
        if size == 0 {
            return Err(SamplerError::SelectsNothing);
        }
        if size > population {
            return Err(SamplerError::SampleAbovePopulation);
        }
        Ok(Self { size, population, coming: population, wanted: size, source })
    }
}

impl<R: RandomSource> IndependentSampler for RandomOutOf<R> {
    #[inline]
    fn decide(&mut self, _: Timestamp) -> bool {
        // Of the packets still to come, each one is equally likely to be one of those wanted.
        let selected = self.wanted > 0 && self.source.below(self.coming) < self.wanted;
        self.wanted -= u32::from(selected);
        self.coming -= 1;
        if self.coming == 0 {
            self.coming = self.population;
            self.wanted = self.size;
        }
        selected
    }
}

impl<R: RandomSource> Sampler for RandomOutOf<R> {
    #[inline]
    fn select(&mut self, _: &ObservedPacket, now: Timestamp) -> bool {
        self.decide(now)
    }

    fn describe(&self) -> Sampling {
        Sampling::RandomOutOf { size: self.size, population: self.population }
    }
}
