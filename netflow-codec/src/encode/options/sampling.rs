//! How packets were selected, in the words of each protocol.
//!
//! The methods of samplingAlgorithm (35) and samplerMode (49), 1 deterministic and 2 random, are other numbers than
//! those of selectorAlgorithm (304), 1 systematic and 3 random n out of N: they are converted, never copied (RFC 7270
//! sections 4.2 and 4.7).

use super::{OptionsData, Shape, unsigned};
use crate::{
    element::ElementId,
    error::EncodeError,
    sampling::{SamplingAlgorithm, SamplingInfo},
    template::{Protocol, ScopeType},
    value::FieldValue,
};

/// Octets of a sampler's name in v9.
const V9_NAME: u16 = 32;
/// samplerName; selectorName in IPFIX.
const SAMPLER_NAME: u16 = 84;
const SELECTOR_NAME: u16 = 335;
const SELECTOR_ID: u16 = 302;
const SELECTOR_ALGORITHM: u16 = 304;
const PACKET_INTERVAL: u16 = 305;
const PACKET_SPACE: u16 = 306;
const SIZE: u16 = 309;
const POPULATION: u16 = 310;
const PROBABILITY: u16 = 311;
const SAMPLING_INTERVAL: u16 = 34;

/// How packets were selected (RFC 5475 section 5).
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Selection {
    /// By count: `interval` packets are selected, then `space` packets are not.
    Systematic {
        /// Packets selected in a row.
        interval: u32,
        /// Packets left out in a row.
        space: u32,
    },
    /// `size` packets at random out of each `population`.
    RandomNOutOfN {
        /// Packets selected.
        size: u32,
        /// Packets selected from.
        population: u32,
    },
    /// Each packet with this probability.
    UniformProbabilistic {
        /// Above 0, at most 1.
        probability: f64,
    },
    /// One packet in so many; how they were selected is not said.
    OneIn(u32),
}

impl From<SamplingInfo> for Selection {
    fn from(info: SamplingInfo) -> Self {
        match info.algorithm {
            SamplingAlgorithm::DETERMINISTIC => {
                Self::Systematic { interval: 1, space: info.interval.saturating_sub(1) }
            }
            SamplingAlgorithm::RANDOM => Self::RandomNOutOfN { size: 1, population: info.interval },
            _ => Self::OneIn(info.interval),
        }
    }
}

impl Selection {
    /// Packets that a selected one stands for, and samplingAlgorithm. `None` when that is no whole number.
    fn in_v9(self) -> Option<(u32, SamplingAlgorithm)> {
        let ratio = |all: u64, selected: u32| {
            let selected = u64::from(selected);
            let whole = all.checked_div(selected)?;
            (whole > 0 && whole * selected == all).then_some(())?;
            u32::try_from(whole).ok()
        };
        Some(match self {
            Self::Systematic { interval, space } => {
                let rate = ratio(u64::from(interval) + u64::from(space), interval)?;
                // More than one in a row is another method, for which v9 has no words.
                (interval == 1).then_some((rate, SamplingAlgorithm::DETERMINISTIC))?
            }
            Self::RandomNOutOfN { size, population } => {
                (ratio(population.into(), size)?, SamplingAlgorithm::RANDOM)
            }
            Self::UniformProbabilistic { probability } => {
                (nearest_rate(probability)?, SamplingAlgorithm::RANDOM)
            }
            Self::OneIn(rate) => (ratio(rate.into(), 1)?, SamplingAlgorithm::UNKNOWN),
        })
    }

    /// Elements of IPFIX that stand for the method and its parameters, with their lengths.
    const fn ipfix_fields(self) -> &'static [(u16, u16)] {
        match self {
            Self::Systematic { .. } => &[(SELECTOR_ALGORITHM, 2), (PACKET_INTERVAL, 4), (PACKET_SPACE, 4)],
            Self::RandomNOutOfN { .. } => &[(SELECTOR_ALGORITHM, 2), (SIZE, 4), (POPULATION, 4)],
            Self::UniformProbabilistic { .. } => &[(SELECTOR_ALGORITHM, 2), (PROBABILITY, 8)],
            // What was not said of the method is not made up.
            Self::OneIn(_) => &[(SAMPLING_INTERVAL, 4)],
        }
    }

    fn ipfix_values(self) -> [(ElementId, FieldValue<'static>); 3] {
        match self {
            Self::Systematic { interval, space } => [
                unsigned(SELECTOR_ALGORITHM, 1),
                unsigned(PACKET_INTERVAL, interval.into()),
                unsigned(PACKET_SPACE, space.into()),
            ],
            Self::RandomNOutOfN { size, population } => [
                unsigned(SELECTOR_ALGORITHM, 3),
                unsigned(SIZE, size.into()),
                unsigned(POPULATION, population.into()),
            ],
            Self::UniformProbabilistic { probability } => [
                unsigned(SELECTOR_ALGORITHM, 4),
                (ElementId::iana(PROBABILITY), FieldValue::Float(probability)),
                unsigned(SAMPLING_INTERVAL, 0),
            ],
            Self::OneIn(rate) => {
                let rate = unsigned(SAMPLING_INTERVAL, rate.into());
                [rate, rate, rate]
            }
        }
    }

    /// Nothing is selected, more is selected than there is, or the probability is none.
    fn is_possible(self) -> bool {
        match self {
            Self::Systematic { interval, .. } => interval > 0,
            Self::RandomNOutOfN { size, population } => size > 0 && size <= population,
            Self::UniformProbabilistic { probability } => probability > 0.0 && probability <= 1.0,
            Self::OneIn(rate) => rate > 0,
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be of the range; the fraction is rounded"
)]
fn nearest_rate(probability: f64) -> Option<u32> {
    let rate = 1.0 / probability + 0.5;
    (probability > 0.0 && rate < f64::from(u32::MAX)).then_some(rate as u32)
}

/// A sampler: what data records call it by, and what it does.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "complete: what an options record says of a sampler")]
pub struct Sampler<'a> {
    /// samplerId (48, 8 bits in v9), selectorId (302).
    pub id: u64,
    /// Its name, `None` for no such field.
    pub name: Option<&'a str>,
    /// What it does.
    pub selection: Selection,
}

impl OptionsData {
    /// The sampling of the whole exporter. v9: samplingInterval and samplingAlgorithm, scope System. IPFIX: the selector
    /// `selector_id` (RFC 5476 section 6.5.2), which data records name in selectorId (302).
    ///
    /// # Errors
    ///
    /// [`EncodeError::NotInV9`] for a selection that v9 cannot express: several packets in a row, or one in a number of
    /// packets that is not whole. [`EncodeError::ValueRange`] for a selection that selects nothing or more than there is.
    /// [`EncodeError::TemplateId`] below 256.
    pub fn sampling(
        protocol: Protocol,
        template_id: u16,
        selector_id: u64,
        selection: Selection,
    ) -> Result<Self, EncodeError> {
        if protocol == Protocol::Ipfix {
            return Self::samplers(
                protocol,
                template_id,
                &[Sampler { id: selector_id, name: None, selection }],
            );
        }
        check(selection)?;
        let (rate, algorithm) = selection.in_v9().ok_or(EncodeError::NotInV9(SELECTOR_ALGORITHM))?;
        let shape = Shape {
            v9_scope: (ScopeType::SYSTEM, 4),
            ipfix_scopes: &[],
            v9_fields: &[(SAMPLING_INTERVAL, 4), (35, 1)],
            ipfix_fields: &[],
        };
        let record = [unsigned(SAMPLING_INTERVAL, rate.into()), unsigned(35, algorithm.number().into())];
        Self::of_records(shape.build(protocol, template_id)?, [record])
    }

    /// A table of samplers of one method. v9: samplerId, samplerMode, samplerRandomInterval and, when the first one has a
    /// name, samplerName in 32 octets. IPFIX: scope selectorId, the method with its parameters, selectorName.
    ///
    /// # Errors
    ///
    /// As [`Self::sampling`]; [`EncodeError::FieldMissing`] when the samplers are of several methods, which IPFIX needs a
    /// template each for, or only some have a name, or there are none; [`EncodeError::ValueTooLarge`] for an id above 255
    /// or a name above 32 octets in v9.
    pub fn samplers(
        protocol: Protocol,
        template_id: u16,
        samplers: &[Sampler<'_>],
    ) -> Result<Self, EncodeError> {
        let first = samplers.first().ok_or(EncodeError::FieldMissing { element: SELECTOR_ID })?;
        let (v9, parameters) = (protocol == Protocol::NetFlow9, first.selection.ipfix_fields());
        let mut fields = alloc::vec::Vec::with_capacity(4);
        if v9 {
            fields.extend([(48, 1), (49, 1), (50, 4)]);
            fields.extend(first.name.map(|_| (SAMPLER_NAME, V9_NAME)));
        } else {
            fields.extend_from_slice(parameters);
            fields.extend(first.name.map(|_| (SELECTOR_NAME, u16::MAX)));
        }
        let shape = Shape {
            v9_scope: (ScopeType::SYSTEM, 4),
            ipfix_scopes: &[(SELECTOR_ID, 8)],
            v9_fields: &fields,
            ipfix_fields: &fields,
        };
        let mut options = Self::new(shape.build(protocol, template_id)?)?;
        for sampler in samplers {
            check(sampler.selection)?;
            if sampler.selection.ipfix_fields() != parameters {
                return Err(EncodeError::FieldMissing { element: SELECTOR_ALGORITHM });
            }
            let mut record = alloc::vec::Vec::with_capacity(5);
            if v9 {
                let (rate, mode) =
                    sampler.selection.in_v9().ok_or(EncodeError::NotInV9(SELECTOR_ALGORITHM))?;
                record.extend([
                    unsigned(48, sampler.id),
                    unsigned(49, mode.number().into()),
                    unsigned(50, rate.into()),
                ]);
            } else {
                record.push(unsigned(SELECTOR_ID, sampler.id));
                record.extend(sampler.selection.ipfix_values());
            }
            let name = ElementId::iana(if v9 { SAMPLER_NAME } else { SELECTOR_NAME });
            record.extend(sampler.name.map(|text| (name, FieldValue::String(text))));
            options.push(record.as_slice())?;
        }
        Ok(options)
    }
}

fn check(selection: Selection) -> Result<(), EncodeError> {
    if selection.is_possible() {
        Ok(())
    } else {
        Err(EncodeError::ValueRange { element: SELECTOR_ALGORITHM })
    }
}
