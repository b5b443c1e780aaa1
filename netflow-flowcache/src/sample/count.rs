//! Systematic count-based sampling.

use crate::{
    ObservedPacket, Timestamp,
    key::spread,
    sample::{IndependentSampler, Sampler, SamplerError, Sampling},
};

/// Selects `interval` packets in a row, leaves out `space`, and so on (RFC 5475 section 5.1).
///
/// With the packets counted from 0, packet `k` is selected if `(k + phase) mod (interval + space) < interval`.
/// Traffic with a period of its own can fall into step with that; [`crate::sample::RandomOneInN`] cannot.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SystematicCount {
    interval: u32,
    space: u32,
    /// Position of the next packet within interval and space.
    position: u64,
}

impl SystematicCount {
    /// One packet in `n`, beginning at a position that `seed` decides; 1 selects all packets.
    ///
    /// With a position that varies, samplers that restart often do not prefer first packets.
    ///
    /// # Errors
    /// [`SamplerError::SelectsNothing`] if `n` is 0.
    pub const fn one_in(n: u32, seed: u64) -> Result<Self, SamplerError> {
        let Some(space) = n.checked_sub(1) else { return Err(SamplerError::SelectsNothing) };
        Self::seeded(1, space, seed)
    }

    /// `interval` packets selected, `space` left out, beginning at a position that `seed` decides. A `space` of 0
    /// selects all packets.
    ///
    /// # Errors
    /// [`SamplerError::SelectsNothing`] if `interval` is 0.
    pub const fn seeded(interval: u32, space: u32, seed: u64) -> Result<Self, SamplerError> {
        if interval == 0 {
            return Err(SamplerError::SelectsNothing);
        }
        Self::new(interval, space, spread(seed) % (interval as u64 + space as u64))
    }

    /// `interval` packets selected, `space` left out; the first packet is at position `phase` of these: with a phase
    /// of 0, the first packets are selected, as fixed sampling of some routers does. A `space` of 0 selects all
    /// packets.
    ///
    /// # Errors
    /// [`SamplerError::SelectsNothing`] if `interval` is 0, [`SamplerError::PhaseOutOfRange`] if `phase` is not
    /// below `interval + space`.
    pub const fn new(interval: u32, space: u32, phase: u64) -> Result<Self, SamplerError> {
        if interval == 0 {
            return Err(SamplerError::SelectsNothing);
        }
        if phase >= interval as u64 + space as u64 {
            return Err(SamplerError::PhaseOutOfRange);
        }
        Ok(Self { interval, space, position: phase })
    }
}

impl IndependentSampler for SystematicCount {
    #[inline]
    fn decide(&mut self, _: Timestamp) -> bool {
        let selected = self.position < u64::from(self.interval);
        self.position += 1;
        if self.position == u64::from(self.interval) + u64::from(self.space) {
            self.position = 0;
        }
        selected
    }
}

impl Sampler for SystematicCount {
    #[inline]
    fn select(&mut self, _: &ObservedPacket, now: Timestamp) -> bool {
        self.decide(now)
    }

    fn describe(&self) -> Sampling {
        Sampling::SystematicCount { interval: self.interval, space: self.space }
    }
}
