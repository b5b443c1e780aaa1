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
    /// In an options record of the sampler that the data record names (elements 48 to 50, or 302 and 304 to 306, 309,
    /// 310).
    Sampler,
    /// In an options record for the ingress interface.
    Interface,
    /// In an options record for the exporter or its observation domain (elements 34 and 35, or 304 to 306, 309, 310).
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
    const LIMIT: usize = 64;

    /// Takes what an options record says of sampling. A later record overrides an earlier one.
    pub(crate) fn learn(&mut self, record: &DataRecord<'_, '_>) {
        let Some((key, info)) = Announcement::of(record).info() else { return };
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

    /// Octets of memory the table takes, roughly.
    pub(crate) const fn memory_octets(&self) -> usize {
        self.entries.capacity() * size_of::<(Key, SamplingInfo)>()
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

/// The fields of an options record that announce a rate.
#[derive(Clone, Copy, Debug, Default)]
struct Announcement {
    interface: Option<u64>,
    sampler: Option<u64>,
    interval: Option<u64>,
    algorithm: SamplingAlgorithm,
    packet_interval: Option<u64>,
    packet_space: Option<u64>,
    size: Option<u64>,
    population: Option<u64>,
}

impl Announcement {
    fn of(record: &DataRecord<'_, '_>) -> Self {
        let mut found = Self::default();
        for field in record.fields().filter(|field| field.element().enterprise() == 0) {
            let Some(value) = field.as_unsigned() else { continue };
            match (field.scope_type(), field.element().number()) {
                (Some(ScopeType::INTERFACE), _) | (None, 10) => found.interface = Some(value),
                (None, 34 | 50) => found.interval = Some(value),
                (None, 35 | 49) => found.algorithm = SamplingAlgorithm(u8::try_from(value).unwrap_or(0)),
                (None, 48 | 302) => found.sampler = Some(value),
                // selectorAlgorithm: 1 systematic count-based, 3 random n-out-of-N (RFC 7270 section 4.2).
                (None, 304) => {
                    found.algorithm = match value {
                        1 => SamplingAlgorithm::DETERMINISTIC,
                        3 => SamplingAlgorithm::RANDOM,
                        _ => SamplingAlgorithm::UNKNOWN,
                    };
                }
                (None, 305) => found.packet_interval = Some(value),
                (None, 306) => found.packet_space = Some(value),
                (None, 309) => found.size = Some(value),
                (None, 310) => found.population = Some(value),
                _ => {}
            }
        }
        found
    }

    /// Packets that one metered packet stands for, rounded to the nearest.
    fn rate(&self) -> Option<u32> {
        let ratio = |all: u64, selected: u64| {
            let half = selected / 2;
            all.checked_add(half)?.checked_div(selected)
        };
        let rate = match (*self, self.interval) {
            (_, Some(interval)) => Some(interval),
            (Self { packet_interval: Some(interval), packet_space: Some(space), .. }, _) => {
                interval.checked_add(space).and_then(|all| ratio(all, interval))
            }
            (Self { size: Some(size), population: Some(population), .. }, _) => ratio(population, size),
            _ => None,
        };
        rate.and_then(|rate| u32::try_from(rate).ok())
    }

    fn info(&self) -> Option<(Key, SamplingInfo)> {
        let (key, source) = match (self.sampler, self.interface) {
            (Some(id), _) => (Key::Sampler(id), SamplingSource::Sampler),
            (None, Some(index)) => (Key::Interface(index), SamplingSource::Interface),
            (None, None) => (Key::Domain, SamplingSource::Domain),
        };
        Some((key, SamplingInfo::new(self.rate()?, self.algorithm, source)?))
    }
}
