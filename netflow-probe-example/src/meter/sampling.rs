//! Which packets are metered, as the command line says it.

use core::{fmt, str::FromStr};

use netflow_codec::{SamplingAlgorithm, SamplingInfo, SamplingSource};
use netflow_flowcache::{
    ObservedPacket, Timestamp,
    sample::{RandomOneInN, Sampler, Sampling, SystematicCount, Unsampled},
};

/// A sampling specification: `1:N` or `random:1:N`.
///
/// ```
/// use netflow_probe_example::meter::SamplingSpec;
///
/// assert_eq!("1:100".parse(), Ok(SamplingSpec::Deterministic(100)));
/// assert_eq!("random:1:100".parse(), Ok(SamplingSpec::Random(100)));
/// assert!("2:100".parse::<SamplingSpec>().is_err());
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum SamplingSpec {
    /// Every packet.
    #[default]
    All,
    /// Every n-th packet.
    Deterministic(u32),
    /// One packet at random out of each n.
    Random(u32),
}

/// A sampling specification that cannot be read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "`{0}` is no sampling; accepted are 1:N (every N-th packet) and random:1:N (one in N at random), N from 1 to 4294967295"
)]
pub struct SamplingSpecError(String);

impl FromStr for SamplingSpec {
    type Err = SamplingSpecError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (random, ratio) = match text.strip_prefix("random:") {
            Some(ratio) => (true, ratio),
            None => (false, text),
        };
        let interval = ratio.strip_prefix("1:").and_then(|interval| interval.parse::<u32>().ok());
        match (interval, random) {
            (None | Some(0), _) => Err(SamplingSpecError(text.to_owned())),
            (Some(1), _) => Ok(Self::All),
            (Some(interval), false) => Ok(Self::Deterministic(interval)),
            (Some(interval), true) => Ok(Self::Random(interval)),
        }
    }
}

impl fmt::Display for SamplingSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("1:1"),
            Self::Deterministic(interval) => write!(f, "1:{interval}"),
            Self::Random(interval) => write!(f, "random:1:{interval}"),
        }
    }
}

impl SamplingSpec {
    /// The sampler; `seed` decides where it begins and what chance brings.
    #[must_use]
    pub fn sampler(self, seed: u64) -> PacketSampler {
        // The intervals of a specification are not 0, which is all that the constructors refuse.
        match self {
            Self::All => PacketSampler::All(Unsampled::new()),
            Self::Deterministic(interval) => SystematicCount::one_in(interval, seed)
                .map_or(PacketSampler::All(Unsampled::new()), PacketSampler::Deterministic),
            Self::Random(interval) => RandomOneInN::new(interval, seed)
                .map_or(PacketSampler::All(Unsampled::new()), PacketSampler::Random),
        }
    }

    /// How it is announced.
    #[must_use]
    pub fn info(self) -> Option<SamplingInfo> {
        announce(&self.sampler(0).describe())
    }
}

/// One of the samplers, without a virtual call per packet.
#[derive(Clone, Debug)]
pub enum PacketSampler {
    /// Every packet.
    All(Unsampled),
    /// Every n-th packet.
    Deterministic(SystematicCount),
    /// One packet at random out of each n.
    Random(RandomOneInN),
}

impl Sampler for PacketSampler {
    #[inline]
    fn select(&mut self, packet: &ObservedPacket, now: Timestamp) -> bool {
        match self {
            Self::All(sampler) => sampler.select(packet, now),
            Self::Deterministic(sampler) => sampler.select(packet, now),
            Self::Random(sampler) => sampler.select(packet, now),
        }
    }

    fn describe(&self) -> Sampling {
        match self {
            Self::All(sampler) => sampler.describe(),
            Self::Deterministic(sampler) => sampler.describe(),
            Self::Random(sampler) => sampler.describe(),
        }
    }
}

/// What the collectors are told; that every packet is metered is told as one in one.
pub(super) fn announce(sampling: &Sampling) -> Option<SamplingInfo> {
    let algorithm =
        sampling.v9_algorithm().map_or(SamplingAlgorithm::DETERMINISTIC, SamplingAlgorithm::from_number);
    SamplingInfo::new(sampling.one_in()?, algorithm, SamplingSource::Domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specifications_are_read_and_printed_and_others_named() {
        for text in ["1:100", "random:1:7", "1:4294967295"] {
            assert_eq!(text.parse::<SamplingSpec>().unwrap().to_string(), text);
        }
        assert_eq!("random:1:1".parse(), Ok(SamplingSpec::All));
        for text in ["", "100", "1:0", "0:1", "2:10", "random:100", "1:4294967296", "1:-1", "random"] {
            let error = text.parse::<SamplingSpec>().unwrap_err().to_string();
            assert!(error.contains("1:N") && error.contains("random:1:N"), "{error}");
        }
    }

    #[test]
    fn what_is_announced_says_algorithm_and_interval() {
        // S22, S23
        let told = |spec: SamplingSpec| spec.info().map(|info| (info.interval, info.algorithm.number()));
        assert_eq!(told(SamplingSpec::All), Some((1, 1)));
        assert_eq!(told(SamplingSpec::Deterministic(1_000)), Some((1_000, 1)));
        assert_eq!(told(SamplingSpec::Random(512)), Some((512, 2)));
    }
}
