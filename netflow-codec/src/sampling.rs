//! What is known of an exporter's sampling, and from where.
//!
//! A rate can be announced in the v5 header, in options records (for the whole domain, for one interface, for
//! one sampler) or in the data records themselves. Nothing here ever concludes from silence that traffic is
//! unsampled.

use alloc::vec::Vec;

use crate::{
    flow::{FlowFields, FlowRecord},
    record::DataRecord,
    template::ScopeType,
    v5,
};

/// One packet in how many an exporter metered, and who said so.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[non_exhaustive]
pub struct SamplingInfo {
    /// Packets that one metered packet stands for; 1 means every packet was metered.
    pub interval: u32,
    /// How packets were selected.
    pub algorithm: SamplingAlgorithm,
    /// Where the interval was announced.
    pub source: SamplingSource,
}

impl SamplingInfo {
    /// What an announced interval says; 0 says nothing.
    #[must_use]
    pub fn new(interval: u32, algorithm: SamplingAlgorithm, source: SamplingSource) -> Option<Self> {
        (interval > 0).then_some(Self { interval, algorithm, source })
    }

    /// From the header of a v5 datagram; a word of zeros says nothing.
    #[must_use]
    pub fn from_v5(header: v5::SamplingHeader) -> Option<Self> {
        let algorithm = SamplingAlgorithm(header.mode());
        Self::new(header.interval().into(), algorithm, SamplingSource::Header)
    }
}

/// samplingAlgorithm (element 35), the modes of the v5 header and samplerMode (49).
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
}

/// Where a sampling interval was announced.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[non_exhaustive]
pub enum SamplingSource {
    /// In the data record itself (element 34).
    Record,
    /// In an options record of the sampler that the data record names (elements 48 to 50).
    Sampler,
    /// In an options record for the ingress interface.
    Interface,
    /// In an options record for the exporter or its observation domain (elements 34 and 35).
    Domain,
    /// In the header of the v5 datagram.
    Header,
}

impl SamplingSource {
    /// A short name: `record`, `sampler`, `interface`, `domain`, `header`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Sampler => "sampler",
            Self::Interface => "interface",
            Self::Domain => "domain",
            Self::Header => "header",
        }
    }
}

/// What a rate applies to.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Key {
    Domain,
    Interface(u64),
    Sampler(u64),
}

/// The rates that the options records of one observation domain announced.
#[derive(Debug, Default)]
pub(crate) struct SamplingTable {
    /// Sorted by key.
    entries: Vec<(Key, SamplingInfo)>,
}

impl SamplingTable {
    /// Rates that are kept of one domain; more are ignored.
    const LIMIT: usize = 256;

    /// Takes what an options record says of sampling. A later record overrides an earlier one.
    pub(crate) fn learn(&mut self, record: &DataRecord<'_, '_>) {
        let mut interface = None;
        let mut sampler = None;
        let mut interval = None;
        let mut algorithm = SamplingAlgorithm::default();
        for field in record.fields() {
            let Some(value) = field.as_unsigned() else { continue };
            match (field.scope_type(), field.element().number()) {
                (Some(ScopeType::INTERFACE), _) | (None, 10) => interface = Some(value),
                (None, 34 | 50) => interval = u32::try_from(value).ok(),
                (None, 35 | 49) => algorithm = SamplingAlgorithm(u8::try_from(value).unwrap_or(0)),
                (None, 48) => sampler = Some(value),
                _ => {}
            }
        }
        let (key, source) = match (sampler, interface) {
            (Some(id), _) => (Key::Sampler(id), SamplingSource::Sampler),
            (None, Some(index)) => (Key::Interface(index), SamplingSource::Interface),
            (None, None) => (Key::Domain, SamplingSource::Domain),
        };
        let Some(info) = interval.and_then(|interval| SamplingInfo::new(interval, algorithm, source)) else {
            return;
        };
        match self.entries.binary_search_by_key(&key, |(key, _)| *key) {
            Ok(found) => {
                if let Some(entry) = self.entries.get_mut(found) {
                    entry.1 = info;
                }
            }
            Err(place) if self.entries.len() < Self::LIMIT => self.entries.insert(place, (key, info)),
            Err(_) => {}
        }
    }

    fn get(&self, key: Key) -> Option<SamplingInfo> {
        let found = self.entries.binary_search_by_key(&key, |(key, _)| *key).ok()?;
        self.entries.get(found).map(|(_, info)| *info)
    }

    /// The rate of a flow: its own, its sampler's, its interface's, the domain's.
    pub(crate) fn resolve(&self, flow: &FlowRecord) -> Option<SamplingInfo> {
        if flow.has(FlowFields::SAMPLING_INTERVAL) && flow.sampling_interval > 0 {
            let algorithm = SamplingAlgorithm::default();
            return SamplingInfo::new(flow.sampling_interval, algorithm, SamplingSource::Record);
        }
        if self.entries.is_empty() {
            return None;
        }
        let sampler = flow.has(FlowFields::SAMPLER_ID).then_some(Key::Sampler(flow.sampler_id.into()));
        let interface =
            flow.has(FlowFields::INGRESS_INTERFACE).then_some(Key::Interface(flow.ingress_interface.into()));
        [sampler, interface, Some(Key::Domain)].into_iter().flatten().find_map(|key| self.get(key))
    }
}
