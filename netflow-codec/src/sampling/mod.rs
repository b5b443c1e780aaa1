//! What is known of an exporter's sampling, and from where.
//!
//! A rate can be announced in the header, in options records or in the data records themselves. Nothing here ever
//! concludes from silence that traffic is unsampled. Of several announcements the first of this table is taken; of
//! options records about the same thing the later one, for the flows that come after it:
//!
//! | source | announced | found by |
//! |---|---|---|
//! | [`Record`](SamplingSource::Record) | in the data record: 34, 50, 305 and 306, 309 and 310, 311, 307 and 308 | |
//! | [`Sampler`](SamplingSource::Sampler) | in options of a chain of selectors: 301 with some 302 | 301 in the data record |
//! | [`Sampler`](SamplingSource::Sampler) | in options of a sampler: 48 to 50, or 302 with 304 to 311 | 48 or 302 in the data record |
//! | [`Interface`](SamplingSource::Interface) | in options of the scope Interface (v9), or 10 | 10 in the data record; 14 when flowDirection is 1 |
//! | [`Interface`](SamplingSource::Interface) | in options of element 14 | 14 in the data record; before the line above when flowDirection is 1 |
//! | [`Template`](SamplingSource::Template) | in options of the scope Template (v9), or 145 | the template of the data record |
//! | [`Domain`](SamplingSource::Domain) | in options of anything else, such as the scope System: 34 and 35, 305 and 306, 309 and 310, 311 | |
//! | all of these but the first again | under another observation domain of the exporter, or from another of its ports ([`SamplingInfo::elsewhere`]) | the same |
//! | [`Header`](SamplingSource::Header) | in the header of a v5 datagram, which has none of the others | |
//!
//! ```text
//! numbers            rate                  of
//! 34                 34                    packets; 35 is the algorithm
//! 50                 50                    packets; 49 is the algorithm
//! 305, 306           (305 + 306) / 305     packets
//! 309, 310           310 / 309             packets; of flows where 390 is there and 304 is not
//! 311                1 / 311               the same
//! 307, 308           (307 + 308) / 307     packets, by time
//! 396, 397           (396 + 397) / 396     flows
//! 398, 399           (398 + 399) / 398     flows, by time
//! ```
//!
//! The numbers of one thing may come in several options records. Whether an exporter has multiplied its counters by the
//! rate already is not on the wire: that is for the caller to know.

mod algorithm;
mod announcement;
mod rate;
mod table;

pub use algorithm::{SamplingAlgorithm, SelectorAlgorithm};
pub use rate::SamplingRate;
pub(crate) use table::{SamplingQuery, SamplingTable};

use crate::{element::ElementId, v5};

/// One packet in how many an exporter metered, and who said so.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[non_exhaustive]
pub struct SamplingInfo {
    /// Packets that one metered packet stands for, rounded to the nearest; 1 means every packet was metered. The
    /// largest number for more than 32 bits of them; [`Self::rate`] is exact.
    pub interval: u32,
    /// Packets that metered packets stand for.
    pub rate: SamplingRate,
    /// How packets were selected, in the numbers of NetFlow.
    pub algorithm: SamplingAlgorithm,
    /// How packets were selected, in the numbers of IPFIX.
    pub selector: SelectorAlgorithm,
    /// Where the interval was announced.
    pub source: SamplingSource,
    /// The element that gave the rate: 34, 50, 305, 307, 309 or 311, of flows 309, 311, 396 or 398. `None` for a header,
    /// and for a record of which only its typed form was looked at.
    pub element: Option<ElementId>,
    /// Whether it was announced under another observation domain of the exporter than that of the flow, or from
    /// another port.
    pub elsewhere: bool,
    /// What was selected.
    pub unit: SampledUnit,
}

impl SamplingInfo {
    /// What an announced interval says; 0 says nothing.
    #[must_use]
    pub const fn new(interval: u32, algorithm: SamplingAlgorithm, source: SamplingSource) -> Option<Self> {
        let Some(rate) = SamplingRate::one_in(interval as u64) else { return None };
        Some(Self {
            interval,
            rate,
            algorithm,
            selector: algorithm.selector(),
            source,
            element: None,
            elsewhere: false,
            unit: SampledUnit::Packets,
        })
    }

    /// From the header of a v5 datagram; an interval of 0 says nothing.
    #[must_use]
    pub fn from_v5(header: v5::SamplingHeader) -> Option<Self> {
        let algorithm = SamplingAlgorithm::from_number(header.mode());
        Self::new(header.interval().into(), algorithm, SamplingSource::Header)
    }

    /// From the header of a v5 datagram of an exporter that uses all 16 bits for the interval
    /// ([`Quirk::V5SamplingOf16Bits`](crate::Quirk)); an interval of 0 says nothing.
    #[must_use]
    pub fn from_v5_of_16_bits(header: v5::SamplingHeader) -> Option<Self> {
        Self::new(header.bits().into(), SamplingAlgorithm::UNKNOWN, SamplingSource::Header)
    }
}

/// What was selected, and so what the rate multiplies.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[non_exhaustive]
pub enum SampledUnit {
    /// Packets, before they were metered: the counters of flows stand for more.
    #[default]
    Packets,
    /// Flows, after they were metered (RFC 7014): the counters of those that are there are complete.
    Flows,
}

/// Where a sampling interval was announced.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[non_exhaustive]
pub enum SamplingSource {
    /// In the data record itself.
    Record,
    /// In options records of the sampler, the selector or the chain of selectors that the data record names.
    Sampler,
    /// In an options record for the flow's interface.
    Interface,
    /// In an options record for the data record's template.
    Template,
    /// In an options record for the exporter or its observation domain.
    Domain,
    /// In the header of the v5 datagram.
    Header,
    /// Nowhere: the user of the collector says so.
    Configuration,
}

impl SamplingSource {
    /// A short name: `record`, `sampler`, `interface`, `template`, `domain`, `header`, `configuration`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Sampler => "sampler",
            Self::Interface => "interface",
            Self::Template => "template",
            Self::Domain => "domain",
            Self::Header => "header",
            Self::Configuration => "configuration",
        }
    }
}
