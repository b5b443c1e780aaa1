//! Sampling of flows that ended (RFC 7014).
//!
//! A flow is reported whole or not at all. With an active timeout, one flow makes several records: only
//! [`FlowHashFilter`] decides the same for all of them, because it looks at nothing but the key.
//!
//! ```
//! use netflow_flowcache::sample::{FlowSelector, FlowsBy, RandomOneInN};
//! use netflow_flowcache::{Config, ExpireReason, FlowTable, HashSeed, ObservedPacket, SevenTuple, Timestamp};
//!
//! let mut selector = FlowSelector::new(7, FlowsBy::new(RandomOneInN::new(10, 42)?));
//! let mut table: FlowTable<SevenTuple> = FlowTable::new(&Config::new(1_000, HashSeed::from_u64(1)))?;
//! # let address = core::net::IpAddr::from([127, 0, 0, 1]);
//! for port in 0..100 {
//!     let mut packet = ObservedPacket::new(address, address, 17, 60);
//!     packet.source_port = port;
//!     table.handle_packet(&packet, Timestamp::from_secs(1_700_000_000));
//! }
//! table.flush(ExpireReason::FORCED_END);
//! while let Some(flow) = table.poll_expired() {
//!     if let Some(selected) = selector.select(&flow) {
//!         // report it
//!         assert_eq!(selected.octets, 60);
//!     }
//! }
//! assert_eq!(selector.statistics().selected_flows, 10);
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```

use alloc::vec::Vec;

use crate::{
    ExpiredFlow, ObservedPacket, SevenTuple, TableKey, Timestamp,
    sample::{
        HashFunction, IndependentSampler, OptionsRecord, Parameter, ParameterValue, Probability, Sampler,
        SamplerError, Sampling, Secrets, SelectedRanges, bob, hash::crc32_of, math::float,
    },
};

/// Decides which of the flows that ended are reported: a Flow Selector (RFC 7014 section 2).
pub trait FlowSampler<K> {
    /// What is to be reported of a flow, if it is selected.
    fn select_flow<X>(&mut self, flow: &ExpiredFlow<K, X>) -> Option<SelectedFlow>;

    /// The algorithm and its parameters.
    fn describe_flows(&self) -> FlowSampling;
}

/// What is to be reported of a selected flow.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct SelectedFlow {
    /// Octets: as metered, or renormalised by [`crate::sample::SmartSampling`] so that the sum over the selected flows
    /// estimates that over all.
    pub octets: u64,
    /// Packets, likewise.
    pub packets: u64,
    /// The probability that the flow was selected with, if that is known: for
    /// [`crate::sample::HorvitzThompson`].
    pub probability: Option<f64>,
}

/// How flows are sampled.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum FlowSampling {
    /// As packets would be: flowSelectorAlgorithm 1 to 4.
    Independent(Sampling),
    /// By a hash of the Flow Key: flowSelectorAlgorithm 6 or 8.
    Hash(FlowHash),
    /// By size: flows of fewer octets than the threshold with a probability of octets over threshold, larger ones
    /// always. No flowSelectorAlgorithm tells that.
    Smart {
        /// The threshold in octets.
        threshold: u64,
    },
}

impl FlowSampling {
    /// flowSelectorAlgorithm (element 390); `None` for what has no number.
    #[must_use]
    pub const fn flow_selector_algorithm(&self) -> Option<u16> {
        match self {
            // Which has none of packets either when all are selected.
            Self::Independent(sampling) => sampling.selector_algorithm(),
            Self::Hash(hash) => Some(hash.function.selector_algorithm()),
            Self::Smart { .. } => None,
        }
    }

    /// The fraction of the flows that is selected as configured; `None` where the flows decide.
    #[must_use]
    pub fn fraction(&self) -> Option<f64> {
        match self {
            Self::Independent(sampling) => sampling.fraction(),
            Self::Hash(hash) => Some(hash.fraction()),
            Self::Smart { .. } => None,
        }
    }

    /// The fields of an options record whose scope is the selector: flowSelectorAlgorithm (element 390) and its
    /// parameters (RFC 7014 section 7). Empty for what has no flowSelectorAlgorithm.
    #[must_use]
    pub fn parameters(&self, secrets: Secrets) -> Vec<Parameter> {
        let Some(algorithm) = self.flow_selector_algorithm() else { return Vec::new() };
        let number = |element, value: u64| Parameter::new(element, ParameterValue::Unsigned64(value));
        let mut fields = Vec::from([Parameter::new(390, ParameterValue::Unsigned16(algorithm))]);
        match self {
            Self::Independent(sampling) => {
                // The same numbers, where the elements of flows are others than those of packets.
                fields.extend(sampling.parameters(secrets).into_iter().skip(1).map(|parameter| {
                    let element = match parameter.element {
                        305 => 396,
                        306 => 397,
                        307 => 398,
                        308 => 399,
                        _ => return parameter,
                    };
                    number(element, parameter.value.as_unsigned().unwrap_or(0))
                }));
            }
            Self::Hash(hash) => {
                if let (Secrets::Tell, Some(initialiser)) = (secrets, hash.told_initialiser()) {
                    fields.push(number(334, initialiser.into()));
                }
                fields.extend(
                    hash.domain
                        .iter()
                        .map(|element| Parameter::new(400, ParameterValue::Unsigned16(*element))),
                );
                for (minimum, maximum) in hash.ranges.as_slice() {
                    fields.extend([number(331, (*minimum).into()), number(332, (*maximum).into())]);
                }
                fields.extend([number(329, 0), number(330, u32::MAX.into())]);
            }
            Self::Smart { .. } => {}
        }
        fields
    }
}

/// Flows selected by a sampler that does not look at what it selects.
///
/// The time of a flow is when its last packet came.
#[derive(Clone, Debug)]
pub struct FlowsBy<S> {
    sampler: S,
}

impl<S: IndependentSampler> FlowsBy<S> {
    /// Flows instead of packets.
    #[must_use]
    pub const fn new(sampler: S) -> Self {
        Self { sampler }
    }
}

impl<K, S: IndependentSampler> FlowSampler<K> for FlowsBy<S> {
    fn select_flow<X>(&mut self, flow: &ExpiredFlow<K, X>) -> Option<SelectedFlow> {
        self.sampler.decide(flow.counters.last).then(|| SelectedFlow {
            octets: flow.counters.octets,
            packets: flow.counters.packets,
            probability: self.sampler.describe().fraction(),
        })
    }

    fn describe_flows(&self) -> FlowSampling {
        FlowSampling::Independent(self.sampler.describe())
    }
}

/// A Flow Key whose octets can be hashed the same way everywhere.
///
/// Implement it for a key of your own to select its flows by hash.
pub trait HashDomain {
    /// Appends to `out` what is hashed, at most the length of `out`; the number of octets.
    fn write_domain(&self, out: &mut [u8; 64]) -> usize;

    /// The Information Elements hashed, in order: hashFlowDomain (element 400).
    fn domain() -> &'static [u16];
}

impl HashDomain for SevenTuple {
    /// Addresses, ports and protocol. Type of service and interface differ from one observation point to the next.
    fn write_domain(&self, out: &mut [u8; 64]) -> usize {
        let mut length = 0;
        let mut put = |octets: &[u8]| {
            for octet in octets {
                if let Some(slot) = out.get_mut(length) {
                    *slot = *octet;
                    length += 1;
                }
            }
        };
        for address in [self.source(), self.destination()] {
            match address {
                core::net::IpAddr::V4(address) => put(&address.octets()),
                core::net::IpAddr::V6(address) => put(&address.octets()),
            }
        }
        put(&self.source_port().to_be_bytes());
        put(&self.destination_port().to_be_bytes());
        put(&[self.protocol()]);
        length
    }

    fn domain() -> &'static [u16] {
        &[8, 12, 27, 28, 7, 11, 4]
    }
}

/// What a hash-based selector of flows is made of.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct FlowHash {
    /// The function: BOB or CRC.
    pub function: HashFunction,
    /// The secret that it begins with: see [`crate::sample::HashParameters::initialiser`].
    pub initialiser: Option<u32>,
    /// The values that select (elements 331 and 332).
    pub ranges: SelectedRanges,
    /// The Information Elements of the key that are hashed: hashFlowDomain (element 400).
    pub domain: &'static [u16],
}

impl FlowHash {
    fn fraction(&self) -> f64 {
        float(self.ranges.size()) / (f64::from(u32::MAX) + 1.0)
    }

    const fn told_initialiser(&self) -> Option<u32> {
        match (self.function, self.initialiser) {
            (HashFunction::Bob, None) => Some(crate::sample::HashParameters::DEFAULT_INITIALISER),
            (_, initialiser) => initialiser,
        }
    }
}

/// Selects all records of a flow or none, by a hash of its key: a Flow Filter (RFC 7014 section 6.1).
///
/// As a [`Sampler`] it decides the same for the packets: put it before the table, and flows that are not to be reported
/// take no room there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FlowHashFilter<K = SevenTuple> {
    hash: FlowHash,
    key: core::marker::PhantomData<fn(&K)>,
}

impl<K: HashDomain> FlowHashFilter<K> {
    /// Flows whose hash lies in `ranges`.
    ///
    /// # Errors
    /// [`SamplerError::RangeOutOfBounds`] for IPSX, which hashes packets only.
    pub fn new(
        function: HashFunction,
        initialiser: Option<u32>,
        ranges: SelectedRanges,
    ) -> Result<Self, SamplerError> {
        if function == HashFunction::Ipsx {
            return Err(SamplerError::RangeOutOfBounds);
        }
        let hash = FlowHash { function, initialiser, ranges, domain: K::domain() };
        Ok(Self { hash, key: core::marker::PhantomData })
    }

    /// The hash of a key.
    #[must_use]
    pub fn hash(&self, key: &K) -> u32 {
        let mut octets = [0; 64];
        let length = key.write_domain(&mut octets);
        let octets = octets.get(..length).unwrap_or(&octets);
        match self.hash.function {
            HashFunction::Bob | HashFunction::Ipsx => {
                let initialiser =
                    self.hash.initialiser.unwrap_or(crate::sample::HashParameters::DEFAULT_INITIALISER);
                bob(octets, initialiser)
            }
            HashFunction::Crc => {
                let suffix = self.hash.initialiser.map(u32::to_be_bytes);
                crc32_of(octets, &[], suffix.as_ref().map_or(&[][..], |suffix| suffix))
            }
        }
    }

    /// Whether the flows with this key are selected.
    #[must_use]
    pub fn selects(&self, key: &K) -> bool {
        self.hash.ranges.contains(self.hash(key))
    }
}

impl<K: HashDomain> FlowSampler<K> for FlowHashFilter<K> {
    fn select_flow<X>(&mut self, flow: &ExpiredFlow<K, X>) -> Option<SelectedFlow> {
        self.selects(&flow.key).then(|| SelectedFlow {
            octets: flow.counters.octets,
            packets: flow.counters.packets,
            probability: Some(self.hash.fraction()),
        })
    }

    fn describe_flows(&self) -> FlowSampling {
        FlowSampling::Hash(self.hash.clone())
    }
}

impl<K: TableKey<Fields = ()> + HashDomain> Sampler for FlowHashFilter<K> {
    #[inline]
    fn select(&mut self, packet: &ObservedPacket, _: Timestamp) -> bool {
        self.selects(&K::from_form(K::of_packet(packet, &())))
    }

    /// As uniform probabilistic sampling of flows, which no selectorAlgorithm of packets tells.
    fn describe(&self) -> Sampling {
        Sampling::NonUniform
    }
}

/// What a selector of flows saw and selected.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct FlowSelectorStatistics {
    /// selectorIDTotalFlowsObserved (element 394).
    pub observed_flows: u64,
    /// selectorIDTotalFlowsSelected (element 395).
    pub selected_flows: u64,
    /// Packets of the selected flows as metered (element 392).
    pub selected_packets: u64,
    /// Octets of the selected flows as metered (element 391).
    pub selected_octets: u64,
}

impl FlowSelectorStatistics {
    /// The fraction of the flows that was attained; `None` before the first one.
    #[must_use]
    pub fn attained_fraction(&self) -> Option<f64> {
        (self.observed_flows > 0).then(|| float(self.selected_flows) / float(self.observed_flows))
    }
}

/// A flow sampler in use: with an identifier and statistics of its own.
#[derive(Clone, Debug)]
pub struct FlowSelector<S> {
    id: u64,
    sampler: S,
    statistics: FlowSelectorStatistics,
}

impl<S> FlowSelector<S> {
    /// A selector that has seen nothing; `id` is its selectorId (element 302).
    #[must_use]
    pub fn new(id: u64, sampler: S) -> Self {
        Self { id, sampler, statistics: FlowSelectorStatistics::default() }
    }

    /// What is to be reported of a flow, if it is selected.
    pub fn select<K, X>(&mut self, flow: &ExpiredFlow<K, X>) -> Option<SelectedFlow>
    where
        S: FlowSampler<K>,
    {
        let counts = &mut self.statistics;
        counts.observed_flows = counts.observed_flows.saturating_add(1);
        let selected = self.sampler.select_flow(flow)?;
        counts.selected_flows = counts.selected_flows.saturating_add(1);
        counts.selected_packets = counts.selected_packets.saturating_add(flow.counters.packets);
        counts.selected_octets = counts.selected_octets.saturating_add(flow.counters.octets);
        Some(selected)
    }

    /// What was observed and selected.
    #[must_use]
    pub const fn statistics(&self) -> FlowSelectorStatistics {
        self.statistics
    }

    /// The sampler.
    #[must_use]
    pub const fn sampler(&self) -> &S {
        &self.sampler
    }

    /// The options record that tells its configuration: scope selectorId (302); flowSelectorAlgorithm (390) and
    /// parameters. `None` for what has no flowSelectorAlgorithm.
    #[must_use]
    pub fn report<K>(&self, secrets: Secrets) -> Option<OptionsRecord>
    where
        S: FlowSampler<K>,
    {
        let fields = self.sampler.describe_flows().parameters(secrets);
        (!fields.is_empty()).then(|| OptionsRecord::new(self.id_parameter(), fields))
    }

    /// The options record that tells what was observed and selected: scope selectorId (302); elements 394 and 395.
    #[must_use]
    pub fn statistics_report(&self) -> OptionsRecord {
        let fields = [(394, self.statistics.observed_flows), (395, self.statistics.selected_flows)];
        let fields =
            fields.map(|(element, count)| Parameter::new(element, ParameterValue::Unsigned64(count)));
        OptionsRecord::new(self.id_parameter(), fields.into())
    }

    fn id_parameter(&self) -> Parameter {
        Parameter::new(302, ParameterValue::Unsigned64(self.id))
    }
}

/// The probability that [`crate::sample::SmartSampling`] selects a flow with.
pub(super) fn size_probability(octets: u64, threshold: u64) -> Probability {
    if octets >= threshold {
        return Probability::ONE;
    }
    Probability::new(float(octets) / float(threshold)).unwrap_or(Probability::ONE)
}
