//! How sampling is announced.

/// A sampling algorithm with its parameters: what an exporter has to tell.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
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
    /// Random n-out-of-N sampling, selectorAlgorithm 3 (RFC 5475 section 5.2.1).
    RandomOutOf {
        /// Packets selected of each population: samplingSize (element 309).
        size: u32,
        /// Packets in a population: samplingPopulation (element 310).
        population: u32,
    },
}

impl Sampling {
    /// The largest interval that a version 5 header has bits for.
    pub const V5_MAX_INTERVAL: u32 = 0x3FFF;

    /// selectorAlgorithm (element 304); `None` when all packets are metered.
    #[must_use]
    pub const fn selector_algorithm(&self) -> Option<u16> {
        match self {
            Self::Unsampled => None,
            Self::SystematicCount { .. } => Some(1),
            Self::RandomOutOf { .. } => Some(3),
        }
    }

    /// samplingAlgorithm (element 35) of version 9: 1 deterministic, 2 random; `None` when all packets are
    /// metered.
    ///
    /// These numbers are not those of [`Sampling::selector_algorithm`] (RFC 7270 section 4.2).
    #[must_use]
    pub const fn v9_algorithm(&self) -> Option<u8> {
        match self {
            Self::Unsampled => None,
            Self::SystematicCount { .. } => Some(1),
            Self::RandomOutOf { .. } => Some(2),
        }
    }

    /// One packet in how many is metered: samplingInterval (element 34), 1 when all are.
    ///
    /// `None` where it is not one packet in a whole number, such as two in each five.
    #[must_use]
    pub const fn one_in(&self) -> Option<u32> {
        match *self {
            Self::Unsampled | Self::SystematicCount { space: 0, .. } => Some(1),
            Self::SystematicCount { interval: 1, space } => space.checked_add(1),
            Self::RandomOutOf { size, population } if size != 0 && population % size == 0 => {
                Some(population / size)
            }
            Self::SystematicCount { .. } | Self::RandomOutOf { .. } => None,
        }
    }

    /// The sampling field of a version 5 header: mode in the upper 2 bits (1 deterministic, 2 random), interval in
    /// the lower 14. Zero when all packets are metered.
    ///
    /// `None` when the header cannot say it: the interval is above [`Sampling::V5_MAX_INTERVAL`] or is not one
    /// packet in a whole number. Cutting it off would make readers scale by a wrong factor.
    #[must_use]
    pub const fn v5_header_field(&self) -> Option<u16> {
        let (Some(mode), Some(interval)) = (self.v9_algorithm(), self.one_in()) else {
            return if matches!(self, Self::Unsampled) { Some(0) } else { None };
        };
        if interval > Self::V5_MAX_INTERVAL {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, reason = "14 bits, as just checked")]
        return Some((mode as u16) << 14 | interval as u16);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // S22: what a version 5 header cannot say is refused. S23: 2 random <-> 3 random n-out-of-N.
    #[test]
    fn headers_say_what_they_can_and_no_more() {
        let systematic = |interval, space| Sampling::SystematicCount { interval, space };
        let random = |size, population| Sampling::RandomOutOf { size, population };
        for (sampling, selector, v9, one_in, v5) in [
            (Sampling::Unsampled, None, None, Some(1), Some(0)),
            (systematic(1, 99), Some(1), Some(1), Some(100), Some(0x4064)),
            (systematic(1, 0), Some(1), Some(1), Some(1), Some(0x4001)),
            (systematic(7, 0), Some(1), Some(1), Some(1), Some(0x4001)),
            (systematic(2, 8), Some(1), Some(1), None, None),
            (systematic(1, 16_382), Some(1), Some(1), Some(16_383), Some(0x7FFF)),
            (systematic(1, 16_383), Some(1), Some(1), Some(16_384), None),
            (systematic(1, u32::MAX), Some(1), Some(1), None, None),
            (random(1, 100), Some(3), Some(2), Some(100), Some(0x8064)),
            (random(1, 16_384), Some(3), Some(2), Some(16_384), None),
            (random(2, 100), Some(3), Some(2), Some(50), Some(0x8032)),
            (random(3, 100), Some(3), Some(2), None, None),
        ] {
            assert_eq!(sampling.selector_algorithm(), selector, "{sampling:?}");
            assert_eq!(sampling.v9_algorithm(), v9, "{sampling:?}");
            assert_eq!(sampling.one_in(), one_in, "{sampling:?}");
            assert_eq!(sampling.v5_header_field(), v5, "{sampling:?}");
        }
    }
}
