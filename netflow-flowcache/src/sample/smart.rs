//! Size-dependent sampling of flows.

use crate::{
    ExpiredFlow,
    sample::{
        FlowSampler, FlowSampling, RandomSource, SamplerError, SamplerSeed, SelectedFlow, StrongGenerator,
        flow::size_probability,
    },
};

/// Selects large flows always and small ones the more seldom the smaller they are: smart sampling.
///
/// A flow of `x` octets is selected with probability x / threshold, from the threshold on always. What is reported of a
/// flow below the threshold is renormalised: its octets are the threshold, its packets are divided by the probability.
/// So sums over the selected flows estimate those over all, and no choice with as few flows has a smaller error for the
/// octets: the variance is at most the threshold times the sum. The records carry the corrected values; nothing has to
/// be announced for reading them.
///
/// ```
/// use netflow_flowcache::sample::SmartSampling;
///
/// assert!(SmartSampling::new(100_000, 42).is_ok());
/// assert!(SmartSampling::new(0, 42).is_err());
/// ```
#[derive(Clone, Debug)]
pub struct SmartSampling<R = StrongGenerator> {
    threshold: u64,
    source: R,
}

impl SmartSampling {
    /// With a threshold in octets; 1 selects every flow that has any.
    ///
    /// # Errors
    /// [`SamplerError::SelectsNothing`] for a threshold of 0, with which no size is small.
    pub fn new(threshold: u64, seed: impl Into<SamplerSeed>) -> Result<Self, SamplerError> {
        Self::with_source(threshold, StrongGenerator::new(seed.into()))
    }
}

impl<R: RandomSource> SmartSampling<R> {
    /// The same with another source of chance.
    ///
    /// # Errors
    /// As [`SmartSampling::new`].
    pub fn with_source(threshold: u64, source: R) -> Result<Self, SamplerError> {
        if threshold == 0 {
            return Err(SamplerError::SelectsNothing);
        }
        Ok(Self { threshold, source })
    }

    /// A number below `bound`, each equally likely to within 2^-32 even for the largest bound; 0 for a bound of 0.
    fn below(&mut self, bound: u64) -> u64 {
        let product = u128::from(self.source.next_u64()) * u128::from(bound);
        (product >> 64) as u64
    }
}

impl<K, R: RandomSource> FlowSampler<K> for SmartSampling<R> {
    fn select_flow<X>(&mut self, flow: &ExpiredFlow<K, X>) -> Option<SelectedFlow> {
        let (octets, packets) = (flow.counters.octets, flow.counters.packets);
        let probability = Some(size_probability(octets, self.threshold).value());
        if octets >= self.threshold {
            return Some(SelectedFlow { octets, packets, probability });
        }
        if self.below(self.threshold) >= octets {
            return None;
        }
        // packets * threshold / octets, up or down by chance, so that nothing is lost on average.
        let scaled = u128::from(packets) * u128::from(self.threshold);
        let (quotient, rest) = (scaled / u128::from(octets), scaled % u128::from(octets));
        let up = u128::from(self.below(octets)) < rest;
        let packets = u64::try_from(quotient + u128::from(up)).unwrap_or(u64::MAX);
        Some(SelectedFlow { octets: self.threshold, packets, probability })
    }

    fn describe_flows(&self) -> FlowSampling {
        FlowSampling::Smart { threshold: self.threshold }
    }
}
