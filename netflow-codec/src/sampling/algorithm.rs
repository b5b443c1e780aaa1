//! How packets are selected, in the numbers of NetFlow and in those of IPFIX.

/// samplingAlgorithm (element 35), the modes of the v5 header and samplerMode (49).
///
/// These numbers are not those of [`SelectorAlgorithm`].
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
pub struct SamplingAlgorithm(u8);

impl SamplingAlgorithm {
    /// Not said.
    pub const UNKNOWN: Self = Self(0);
    /// Every n-th packet.
    pub const DETERMINISTIC: Self = Self(1);
    /// One packet at random out of n.
    pub const RANDOM: Self = Self(2);

    /// From the number on the wire.
    #[must_use]
    pub const fn from_number(number: u8) -> Self {
        Self(number)
    }

    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// The same in the numbers of IPFIX (RFC 7270 sections 4.2 and 4.7): 1 is systematic count-based sampling (1), 2 is
    /// random n-out-of-N sampling (3).
    #[must_use]
    pub const fn selector(self) -> SelectorAlgorithm {
        match self {
            Self::DETERMINISTIC => SelectorAlgorithm::SYSTEMATIC_COUNT,
            Self::RANDOM => SelectorAlgorithm::RANDOM_N_OUT_OF_N,
            _ => SelectorAlgorithm::UNKNOWN,
        }
    }
}

/// selectorAlgorithm (element 304) and flowSelectorAlgorithm (390): how packets, or flows, are selected (RFC 5477
/// section 8.2.5, RFC 7014 section 8.2).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
pub struct SelectorAlgorithm(u16);

impl SelectorAlgorithm {
    /// Not said.
    pub const UNKNOWN: Self = Self(0);
    /// Systematic count-based sampling: runs of so many, spaces of so many.
    pub const SYSTEMATIC_COUNT: Self = Self(1);
    /// Systematic time-based sampling: runs of so long, spaces of so long.
    pub const SYSTEMATIC_TIME: Self = Self(2);
    /// Random n-out-of-N sampling.
    pub const RANDOM_N_OUT_OF_N: Self = Self(3);
    /// Uniform probabilistic sampling.
    pub const UNIFORM_PROBABILISTIC: Self = Self(4);
    /// Property match filtering.
    pub const PROPERTY_MATCH: Self = Self(5);
    /// Hash-based filtering with BOB.
    pub const HASH_BOB: Self = Self(6);
    /// Hash-based filtering with IPSX.
    pub const HASH_IPSX: Self = Self(7);
    /// Hash-based filtering with CRC.
    pub const HASH_CRC: Self = Self(8);
    /// Flow-state dependent intermediate flow selection (390 only).
    pub const FLOW_STATE_DEPENDENT: Self = Self(9);

    /// From the number on the wire.
    #[must_use]
    pub const fn from_number(number: u16) -> Self {
        Self(number)
    }

    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }

    /// The nearest in the numbers of NetFlow: what selects at random is [`SamplingAlgorithm::RANDOM`], every n-th
    /// [`SamplingAlgorithm::DETERMINISTIC`], anything else unknown.
    #[must_use]
    pub const fn sampling_algorithm(self) -> SamplingAlgorithm {
        match self {
            Self::SYSTEMATIC_COUNT => SamplingAlgorithm::DETERMINISTIC,
            Self::RANDOM_N_OUT_OF_N | Self::UNIFORM_PROBABILISTIC => SamplingAlgorithm::RANDOM,
            _ => SamplingAlgorithm::UNKNOWN,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_converted_never_copied() {
        let [one, two] = [1, 2].map(SamplingAlgorithm::from_number);
        assert_eq!([one.selector().number(), two.selector().number()], [1, 3]);
        let algorithms = [0, 1, 2, 3, 4, 5, 999].map(SelectorAlgorithm::from_number);
        assert_eq!(algorithms.map(|it| it.sampling_algorithm().number()), [0, 1, 0, 2, 2, 0, 0]);
        assert_eq!(SamplingAlgorithm::from_number(3).selector(), SelectorAlgorithm::UNKNOWN);
    }
}
