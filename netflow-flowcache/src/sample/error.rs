//! What makes no sampler.

use core::{error::Error, fmt};

/// Parameters that make no sampler.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum SamplerError {
    /// Nothing would ever be selected: one packet in zero, an interval of zero, or no selected range.
    SelectsNothing,
    /// The phase is not a position within interval and space.
    PhaseOutOfRange,
    /// More packets to select than there are in a population.
    SampleAbovePopulation,
    /// Not a number, below 0 or above 1.
    NotAProbability,
    /// A run length above [`crate::sample::Junos::MAX_RUN_LENGTH`].
    RunLengthTooLarge,
    /// A rate above [`crate::sample::Junos::MAX_RATE`].
    RateTooLarge,
    /// A packet rate above [`crate::sample::Junos::MAX_PACKETS_PER_SECOND`].
    PacketRateTooLarge,
    /// A property match without a property.
    NoProperty,
    /// A property match that names an element twice (RFC 5476 section 6.5.2.5).
    RepeatedProperty,
    /// Selected hash ranges that overlap (RFC 5475 section 7.2).
    OverlappingRanges,
    /// A selected hash range outside of what the function gives, or bounds that make no ranges.
    RangeOutOfBounds,
    /// A digest by IPSX, which is not fit for it (RFC 5475 section 6.2.4.2).
    NoDigest,
    /// An offset or size of the hashed payload above [`crate::sample::HashParameters::MAX_OFFSET`] or
    /// [`crate::sample::HashParameters::MAX_SIZE`].
    PayloadSection,
    /// A sequence without a selector.
    NoSelector,
    /// A description that leaves out what the sampler needs: [`crate::sample::Sampling::NonUniform`].
    Incomplete,
    /// Samplers nested deeper than [`crate::sample::Sampling::MAX_DEPTH`].
    TooDeep,
}

impl fmt::Display for SamplerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SelectsNothing => "sampling parameters select nothing",
            Self::PhaseOutOfRange => "phase is not below the sum of interval and space",
            Self::SampleAbovePopulation => "sample is larger than its population",
            Self::NotAProbability => "probability is not between 0 and 1",
            Self::RunLengthTooLarge => "run length is above 20",
            Self::RateTooLarge => "rate is above 16000000",
            Self::PacketRateTooLarge => "packets per second are above 65535",
            Self::NoProperty => "no property to match",
            Self::RepeatedProperty => "property is named twice",
            Self::OverlappingRanges => "selected ranges of the hash overlap",
            Self::RangeOutOfBounds => "selected range is not within the output range of the hash",
            Self::NoDigest => "IPSX makes no digest",
            Self::PayloadSection => "hashed payload begins or ends too far behind",
            Self::NoSelector => "sequence has no selector",
            Self::Incomplete => "description does not say all that the sampler needs",
            Self::TooDeep => "samplers are nested too deeply",
        })
    }
}

impl Error for SamplerError {}
