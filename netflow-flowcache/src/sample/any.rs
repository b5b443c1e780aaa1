//! Any of the samplers, chosen when the program runs.

use crate::{
    ObservedPacket, Timestamp,
    sample::{
        HashFilter, Junos, PacketContent, PacketsPerSecond, Probabilistic, PropertyMatch, RandomOneInN,
        RandomOutOf, Sampler, Sampling, SelectionSequence, SystematicCount, SystematicTime, Unsampled,
    },
};

macro_rules! any_sampler {
    ($($(#[$doc:meta])* $name:ident($sampler:ty)),* $(,)?) => {
        /// One of the samplers, without a virtual call for each packet: what [`Sampling::sampler`] makes.
        #[derive(Clone, Debug)]
        #[non_exhaustive]
        pub enum AnySampler {
            $($(#[$doc])* $name($sampler),)*
        }

        impl Sampler for AnySampler {
            #[inline]
            fn select(&mut self, packet: &ObservedPacket, now: Timestamp) -> bool {
                match self {
                    $(Self::$name(sampler) => sampler.select(packet, now),)*
                }
            }

            #[inline]
            fn select_with(&mut self, packet: &ObservedPacket, content: &PacketContent<'_>, now: Timestamp) -> bool {
                match self {
                    $(Self::$name(sampler) => sampler.select_with(packet, content, now),)*
                }
            }

            fn needs_content(&self) -> bool {
                match self {
                    $(Self::$name(sampler) => sampler.needs_content(),)*
                }
            }

            fn describe(&self) -> Sampling {
                match self {
                    $(Self::$name(sampler) => sampler.describe(),)*
                }
            }
        }

        $(impl From<$sampler> for AnySampler {
            fn from(sampler: $sampler) -> Self {
                Self::$name(sampler)
            }
        })*
    };
}

any_sampler! {
    /// Every packet.
    Unsampled(Unsampled),
    /// So many in a row, then none for a while.
    SystematicCount(SystematicCount),
    /// For a time, then not for a time.
    SystematicTime(SystematicTime),
    /// One at random of each population.
    RandomOneInN(RandomOneInN),
    /// Some at random of each population.
    RandomOutOf(RandomOutOf),
    /// Each with a probability.
    Probabilistic(Probabilistic),
    /// By properties.
    PropertyMatch(PropertyMatch),
    /// By a hash of what does not change on the way.
    Hash(HashFilter),
    /// As JunOS does.
    Junos(Junos),
    /// So many a second at most.
    PacketsPerSecond(PacketsPerSecond),
    /// Several in a row.
    Sequence(SelectionSequence),
}

impl AnySampler {
    /// Packets that the sampler did not select for want of what it looks at: of the octets, or of a property.
    #[must_use]
    pub fn unavailable(&self) -> u64 {
        match self {
            Self::Hash(filter) => filter.unavailable(),
            Self::PropertyMatch(filter) => filter.unavailable(),
            Self::Sequence(sequence) => {
                sequence.selectors().iter().map(|selector| selector.sampler().unavailable()).sum()
            }
            _ => 0,
        }
    }

    /// Packets that were sampled and then dropped because there were too many in a second.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        match self {
            Self::Junos(sampler) => sampler.dropped(),
            Self::PacketsPerSecond(limit) => limit.dropped(),
            Self::Sequence(sequence) => {
                sequence.selectors().iter().map(|selector| selector.sampler().dropped()).sum()
            }
            _ => 0,
        }
    }
}
