//! What a sampler is: algorithm and parameters.

use alloc::{boxed::Box, vec::Vec};

use crate::sample::{
    AnySampler, HashFilter, HashParameters, Junos, JunosParameters, PacketsPerSecond, Probabilistic,
    Probability, Property, PropertyMatch, RandomOneInN, RandomOutOf, SamplerError, SamplerSeed,
    SelectionSequence, SystematicCount, SystematicTime, Unsampled,
};

/// A sampling algorithm with its parameters.
///
/// It describes a sampler, makes one, and knows the numbers that announce it.
///
/// ```
/// use netflow_flowcache::sample::{Sampler, Sampling};
///
/// let sampling = Sampling::RandomOutOf { size: 1, population: 1000 };
/// let sampler = sampling.sampler(42)?;
/// assert_eq!(sampler.describe(), sampling);
/// assert_eq!((sampling.selector_algorithm(), sampling.v9_algorithm()), (Some(3), Some(2)));
/// assert_eq!(sampling.fraction(), Some(0.001));
/// # Ok::<(), netflow_flowcache::sample::SamplerError>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Sampling {
    /// Every packet is metered.
    Unsampled,
    /// Systematic count-based sampling, selectorAlgorithm 1 (RFC 5475 section 5.1).
    SystematicCount {
        /// Packets selected in a row: samplingPacketInterval (element 305).
        interval: u32,
        /// Packets left out between: samplingPacketSpace (element 306).
        space: u32,
    },
    /// Systematic time-based sampling, selectorAlgorithm 2 (RFC 5475 section 5.1).
    SystematicTime {
        /// Microseconds in which packets are selected: samplingTimeInterval (element 307).
        interval: u32,
        /// Microseconds between: samplingTimeSpace (element 308).
        space: u32,
    },
    /// Random n-out-of-N sampling, selectorAlgorithm 3 (RFC 5475 section 5.2.1).
    RandomOutOf {
        /// Packets selected of each population: samplingSize (element 309).
        size: u32,
        /// Packets in a population: samplingPopulation (element 310).
        population: u32,
    },
    /// Uniform probabilistic sampling, selectorAlgorithm 4: samplingProbability (element 311; RFC 5475 section
    /// 5.2.2.1).
    Probabilistic(Probability),
    /// Non-uniform probabilistic sampling by some function of the packet (RFC 5475 section 5.2.2.2): no
    /// selectorAlgorithm.
    NonUniform,
    /// Property match filtering, selectorAlgorithm 5 (RFC 5475 section 6.1).
    PropertyMatch(Box<[Property]>),
    /// Hash-based filtering, selectorAlgorithm 6 to 8 (RFC 5475 section 6.2).
    Hash(HashParameters),
    /// Sampling as JunOS does it.
    Junos(JunosParameters),
    /// A limit of packets a second: no selectorAlgorithm.
    PacketsPerSecond {
        /// Packets a second at most.
        limit: u32,
    },
    /// Several in a row, each of them choosing from what those before it selected (RFC 5475 section 4). The sampler made of
    /// one alone describes itself as that one.
    Composite(Box<[Self]>),
}

impl Sampling {
    /// How deep descriptions may be nested for samplers to be made of them.
    pub const MAX_DEPTH: u8 = 8;

    /// A sampler of this description with state of its own.
    ///
    /// `seed` decides what chance does, and where systematic sampling begins.
    ///
    /// # Errors
    /// What the sampler's constructor says; [`SamplerError::Incomplete`] for [`Sampling::NonUniform`],
    /// [`SamplerError::NoSelector`] and [`SamplerError::TooDeep`] for a composite of none or of too many levels.
    pub fn sampler(&self, seed: impl Into<SamplerSeed>) -> Result<AnySampler, SamplerError> {
        self.sampler_within(seed.into(), Self::MAX_DEPTH)
    }

    fn sampler_within(&self, seed: SamplerSeed, depth: u8) -> Result<AnySampler, SamplerError> {
        Ok(match self {
            Self::Unsampled => Unsampled::new().into(),
            Self::SystematicCount { interval, space } => {
                SystematicCount::seeded(*interval, *space, seed.word())?.into()
            }
            Self::SystematicTime { interval, space } => SystematicTime::new(*interval, *space)?.into(),
            Self::RandomOutOf { size: 1, population } => RandomOneInN::new(*population, seed)?.into(),
            Self::RandomOutOf { size, population } => RandomOutOf::new(*size, *population, seed)?.into(),
            Self::Probabilistic(probability) => Probabilistic::new(*probability, seed).into(),
            Self::NonUniform => return Err(SamplerError::Incomplete),
            Self::PropertyMatch(properties) => PropertyMatch::new(properties)?.into(),
            Self::Hash(parameters) => HashFilter::new(parameters.clone())?.into(),
            Self::Junos(parameters) => Junos::new(*parameters, seed)?.into(),
            Self::PacketsPerSecond { limit } => PacketsPerSecond::new(*limit).into(),
            Self::Composite(parts) => {
                let depth = depth.checked_sub(1).ok_or(SamplerError::TooDeep)?;
                let samplers: Result<Vec<AnySampler>, SamplerError> = (0..)
                    .zip(parts)
                    .map(|(number, part)| part.sampler_within(seed.child(number), depth))
                    .collect();
                SelectionSequence::new(0, samplers?)?.into()
            }
        })
    }

    /// The fraction of the packets that is selected as configured, in the long run (RFC 5475 section 3.8).
    ///
    /// `None` where the packets decide that: for property match filtering, limits and functions. The fraction that was
    /// attained is that of [`crate::sample::SelectorStatistics`]: scale by that one.
    #[must_use]
    pub fn fraction(&self) -> Option<f64> {
        let of = |selected: u32, left_out: u32| {
            let selected = f64::from(selected);
            (selected > 0.0).then(|| selected / (selected + f64::from(left_out)))
        };
        match self {
            Self::Unsampled => Some(1.0),
            Self::SystematicCount { interval, space } | Self::SystematicTime { interval, space } => {
                of(*interval, *space)
            }
            Self::RandomOutOf { size, population } => of(*size, population.checked_sub(*size)?),
            Self::Probabilistic(probability) => Some(probability.value()),
            Self::Hash(parameters) => Some(parameters.fraction()),
            Self::Junos(parameters) => parameters.fraction(),
            Self::PropertyMatch(_) | Self::NonUniform | Self::PacketsPerSecond { .. } => None,
            Self::Composite(parts) => {
                parts.iter().try_fold(1.0, |fraction, part| Some(fraction * part.fraction()?))
            }
        }
    }

    /// Whether the content of a packet alone decides: a filter, not sampling in the strict sense (RFC 5475 section 3).
    #[must_use]
    pub fn is_filter(&self) -> bool {
        match self {
            Self::PropertyMatch(_) | Self::Hash(_) => true,
            Self::Composite(parts) => parts.iter().all(Self::is_filter),
            _ => false,
        }
    }
}
