//! Packet and flow samplers: what is metered and what is reported (RFC 5475, RFC 7014).
//!
//! | selects | sampler | selectorAlgorithm |
//! |---|---|---|
//! | packets in a row, then none for a while | [`SystematicCount`] | 1 |
//! | for a time, then not for a time | [`SystematicTime`] | 2 |
//! | one at random of each N; some of each N | [`RandomOneInN`], [`RandomOutOf`] | 3 |
//! | each with a probability | [`Probabilistic`] | 4 |
//! | each with a probability of its own | [`NonUniform`] | none |
//! | by properties | [`PropertyMatch`] | 5 |
//! | by a hash of the packet | [`HashFilter`] | 6, 7, 8 |
//! | as JunOS is told | [`Junos`] | 1, 3 or 4 |
//! | so many a second at most | [`PacketsPerSecond`] | none |
//! | several in a row | [`SelectionSequence`], [`Chain`] | each its own |
//!
//! Random one-in-N is the one to take: systematic sampling falls into step with traffic that has a period of its own.
//! Choose the rate by what is to be resolved: of `c` packets sampled of a class, their number is known to about 196 /
//! sqrt(c) percent, 95 times of 100, whatever the rate.
//!
//! Flows that ended are sampled by a [`FlowSampler`].
//!
//! ```
//! use core::net::{IpAddr, Ipv4Addr};
//! use netflow_flowcache::sample::{Sampler, SystematicCount};
//! use netflow_flowcache::{ObservedPacket, Timestamp};
//!
//! let mut sampler = SystematicCount::new(1, 9, 0)?; // the first of every ten
//! let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
//! let packet = ObservedPacket::new(address, address, 17, 120);
//! let picks: Vec<bool> = (0..20).map(|_| sampler.select(&packet, Timestamp::ZERO)).collect();
//! assert!(picks[0] && picks[10]);
//! assert_eq!(picks.iter().filter(|selected| **selected).count(), 2);
//! assert_eq!(sampler.describe().v5_header_field(), Some(1 << 14 | 10));
//! # Ok::<(), netflow_flowcache::sample::SamplerError>(())
//! ```

mod announce;
mod any;
#[cfg(feature = "codec")]
mod codec;
mod content;
mod count;
mod error;
mod estimate;
mod flow;
mod generator;
mod hash;
mod hash_filter;
mod junos;
mod math;
mod parameter;
mod probability;
mod property;
mod random;
mod sampling;
mod sequence;
mod smart;
mod time;

pub use self::{
    announce::{Announced, Rate, Secrets, selector_algorithm_of_v9, v9_algorithm_of_selector},
    any::AnySampler,
    content::PacketContent,
    count::SystematicCount,
    error::SamplerError,
    estimate::{
        Confidence, ConfidenceInterval, Estimate, HorvitzThompson, Quality, SampledTotals,
        flow_seen_probability,
    },
    flow::{
        FlowHash, FlowHashFilter, FlowSampler, FlowSampling, FlowSelector, FlowSelectorStatistics, FlowsBy,
        HashDomain, SelectedFlow,
    },
    generator::{RandomSource, SamplerSeed, StrongGenerator},
    hash::{bob, crc32, ipsx},
    hash_filter::{HashFilter, HashFunction, HashParameters, SelectedRanges},
    junos::{Junos, JunosParameters},
    parameter::{OptionsRecord, Parameter, ParameterValue},
    probability::{NonUniform, Probabilistic, Probability},
    property::{Property, PropertyMatch},
    random::{RandomOneInN, RandomOutOf},
    sampling::Sampling,
    sequence::{Chain, SelectionSequence, Selector, SelectorStatistics},
    smart::SmartSampling,
    time::{PacketsPerSecond, SystematicTime},
};
use crate::{ObservedPacket, Timestamp};

/// Decides, packet by packet, which are metered: a Selector (RFC 5476 section 2).
///
/// A sampler has its own state: use one for each interface and direction that is sampled for itself, and offer it
/// every packet seen there, in order. To change the parameters, flush the table and announce the new ones before
/// the first flow metered with them (RFC 3917 section 5.2).
pub trait Sampler {
    /// Whether this packet, observed at `now`, is selected.
    fn select(&mut self, packet: &ObservedPacket, now: Timestamp) -> bool;

    /// The same, with the packet's octets at hand.
    ///
    /// Samplers that do not look at them need not implement it: they do what [`Sampler::select`] does.
    #[inline]
    fn select_with(&mut self, packet: &ObservedPacket, content: &PacketContent<'_>, now: Timestamp) -> bool {
        let _ = content;
        self.select(packet, now)
    }

    /// Whether it looks at the octets of packets: if not, the caller is spared to provide them.
    fn needs_content(&self) -> bool {
        false
    }

    /// The algorithm and its parameters, to be announced to whoever reads the flows.
    fn describe(&self) -> Sampling;
}

/// A sampler that does not look at packets at all: sampling, not filtering (RFC 5475 section 3).
///
/// Such a sampler can select anything that comes one by one, expired flows too.
pub trait IndependentSampler: Sampler {
    /// Whether what came at `now` is selected.
    fn decide(&mut self, now: Timestamp) -> bool;
}

/// Selects every packet.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Unsampled;

impl Unsampled {
    /// The sampler that is none.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl IndependentSampler for Unsampled {
    #[inline]
    fn decide(&mut self, _: Timestamp) -> bool {
        true
    }
}

impl Sampler for Unsampled {
    #[inline]
    fn select(&mut self, _: &ObservedPacket, _: Timestamp) -> bool {
        true
    }

    fn describe(&self) -> Sampling {
        Sampling::Unsampled
    }
}
