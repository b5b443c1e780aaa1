//! The numbers that announce sampling: to readers of v5, of v9 and of IPFIX.
//!
//! | method | v5 header, v9 elements 34 and 35 | IPFIX elements |
//! |---|---|---|
//! | systematic 1 of N | interval N, 1 deterministic | 304 = 1, 305 = 1, 306 = N - 1 |
//! | systematic I of I + S | nearest (I + S) / I, 1; rounded | 304 = 1, 305 = I, 306 = S |
//! | random n of N | nearest N / n, 2 random | 304 = 3, 309 = n, 310 = N |
//! | probability p | nearest 1 / p, 2 | 304 = 4, 311 = p |
//! | time-based | not | 304 = 2, 307, 308 |
//! | property match, hash | not | 304 = 5 to 8 with their parameters |
//! | JunOS runs | nearest 1 / fraction, 2 | 304 = 3, 309 = run length + 1, 310 = rate + run length |

use alloc::vec::Vec;

use crate::sample::{
    HashFunction, HashParameters, JunosParameters, Parameter, ParameterValue, Sampling, math::rounded,
};

/// A rate as v5 and v9 tell it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct Rate {
    /// Packets that one selected packet stands for: samplingInterval (element 34), samplerRandomInterval (50).
    pub interval: u32,
    /// 1 deterministic or 2 random: samplingAlgorithm (element 35), samplerMode (49), the mode in a v5 header.
    pub algorithm: u8,
}

/// What a version can tell of how packets were selected.
// Complete by definition: told, told roughly, or not told.
#[expect(clippy::exhaustive_enums, reason = "complete by definition")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Announced {
    /// Every packet is selected.
    Unsampled,
    /// The rate, which is exact.
    Exactly(Rate),
    /// The nearest rate, or the rate without the runs or the limit that it has: warn whoever configures it.
    Rounded(Rate),
    /// Nothing: refuse to export sampled flows that way, or readers take them for all there is.
    Not,
}

impl Announced {
    /// The rate, if there is one to tell: one in one, deterministic, when every packet is selected.
    #[must_use]
    pub const fn rate(&self) -> Option<Rate> {
        match self {
            Self::Unsampled => Some(Rate { interval: 1, algorithm: 1 }),
            Self::Exactly(rate) | Self::Rounded(rate) => Some(*rate),
            Self::Not => None,
        }
    }

    /// The sampling field of a version 5 header: mode in the upper 2 bits, interval in the lower 14; zero when every
    /// packet is selected. `None` when there is nothing to tell or no room for it.
    #[must_use]
    pub const fn v5_header_field(&self) -> Option<u16> {
        let (Self::Exactly(rate) | Self::Rounded(rate)) = self else {
            return if matches!(self, Self::Unsampled) { Some(0) } else { None };
        };
        if rate.interval > Sampling::V5_MAX_INTERVAL {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, reason = "14 bits, as just checked")]
        return Some((rate.algorithm as u16) << 14 | rate.interval as u16);
    }
}

/// Whether secrets are told.
// Complete by definition.
#[expect(clippy::exhaustive_enums, reason = "complete by definition")]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Secrets {
    /// hashInitialiserValue (element 334) is left out.
    #[default]
    Keep,
    /// It is told, for collectors that are to know which packets were selected.
    Tell,
}

impl Sampling {
    /// The largest interval that a version 5 header has bits for.
    pub const V5_MAX_INTERVAL: u32 = 0x3FFF;

    /// selectorAlgorithm (element 304); `None` when all packets are metered, and for what has no number: limits,
    /// functions, and composites, whose parts are announced one by one.
    #[must_use]
    pub const fn selector_algorithm(&self) -> Option<u16> {
        match self {
            Self::SystematicCount { .. } | Self::Junos(JunosParameters { systematic: true, .. }) => Some(1),
            Self::SystematicTime { .. } => Some(2),
            Self::Probabilistic(_) | Self::Junos(JunosParameters { run_length: 0, .. }) => Some(4),
            Self::RandomOutOf { .. } | Self::Junos(_) => Some(3),
            Self::PropertyMatch(_) => Some(5),
            Self::Hash(HashParameters { function, .. }) => Some(function.selector_algorithm()),
            Self::Unsampled | Self::NonUniform | Self::PacketsPerSecond { .. } | Self::Composite(_) => None,
        }
    }

    /// samplingAlgorithm (element 35) of version 9: 1 deterministic, 2 random; `None` when there is no rate to tell.
    ///
    /// These numbers are not those of [`Sampling::selector_algorithm`] (RFC 7270 section 4.2).
    #[must_use]
    pub fn v9_algorithm(&self) -> Option<u8> {
        match self.v9() {
            Announced::Exactly(rate) | Announced::Rounded(rate) => Some(rate.algorithm),
            Announced::Unsampled | Announced::Not => None,
        }
    }

    /// One packet in how many is metered: samplingInterval (element 34), 1 when all are.
    ///
    /// `None` where it is not one packet in a whole number, such as two in each five.
    #[must_use]
    pub fn one_in(&self) -> Option<u32> {
        match self.v9() {
            Announced::Unsampled => Some(1),
            Announced::Exactly(rate) => Some(rate.interval),
            Announced::Rounded(_) | Announced::Not => None,
        }
    }

    /// The sampling field of a version 5 header, when it can say exactly how packets are selected.
    ///
    /// `None` otherwise: see [`Sampling::v5`]. Cutting an interval off would make readers scale by a wrong factor.
    #[must_use]
    pub fn v5_header_field(&self) -> Option<u16> {
        let announced = self.v5();
        if matches!(announced, Announced::Rounded(_)) { None } else { announced.v5_header_field() }
    }

    /// What the header of version 5 can tell: as version 9, with intervals up to [`Sampling::V5_MAX_INTERVAL`].
    #[must_use]
    pub fn v5(&self) -> Announced {
        match self.v9() {
            Announced::Exactly(rate) | Announced::Rounded(rate) if rate.interval > Self::V5_MAX_INTERVAL => {
                Announced::Not
            }
            announced => announced,
        }
    }

    /// What elements 34 and 35, or 49 and 50, can tell in version 9.
    #[must_use]
    pub fn v9(&self) -> Announced {
        match self {
            Self::Unsampled => Announced::Unsampled,
            Self::SystematicCount { interval, space } => {
                // A run of packets that leaves out others is not what one in N says.
                nearest(
                    u64::from(*interval) + u64::from(*space),
                    *interval,
                    DETERMINISTIC,
                    *interval == 1 || *space == 0,
                )
            }
            Self::RandomOutOf { size, population } => nearest((*population).into(), *size, RANDOM, true),
            Self::Probabilistic(probability) => reciprocal(probability.value(), RANDOM),
            Self::Junos(parameters) => {
                let algorithm = if parameters.systematic { DETERMINISTIC } else { RANDOM };
                let plain = parameters.run_length == 0 && parameters.max_packets_per_second.is_none();
                nearest(parameters.cycle().into(), parameters.run(), algorithm, plain || parameters.rate == 1)
            }
            Self::Composite(parts) => composite(parts),
            Self::SystematicTime { .. }
            | Self::NonUniform
            | Self::PropertyMatch(_)
            | Self::Hash(_)
            | Self::PacketsPerSecond { .. } => Announced::Not,
        }
    }

    /// The fields of an options record of IPFIX whose scope is the selector: selectorAlgorithm (element 304) and its
    /// parameters, in this order (RFC 5476 section 6.5.2).
    ///
    /// Empty for what has no selectorAlgorithm. That every packet is selected is told as systematic sampling with no
    /// space.
    #[must_use]
    pub fn parameters(&self, secrets: Secrets) -> Vec<Parameter> {
        let with = |algorithm: u16, fields: &[Parameter]| {
            let mut all = Vec::from([Parameter::new(304, ParameterValue::Unsigned16(algorithm))]);
            all.extend_from_slice(fields);
            all
        };
        let number = |element, value| Parameter::new(element, ParameterValue::Unsigned32(value));
        match self {
            Self::Unsampled => with(1, &[number(305, 1), number(306, 0)]),
            Self::SystematicCount { interval, space } => {
                with(1, &[number(305, *interval), number(306, *space)])
            }
            Self::SystematicTime { interval, space } => {
                with(2, &[number(307, *interval), number(308, *space)])
            }
            Self::RandomOutOf { size, population } => {
                with(3, &[number(309, *size), number(310, *population)])
            }
            Self::Probabilistic(probability) => {
                with(4, &[Parameter::new(311, ParameterValue::Float64(probability.value()))])
            }
            Self::Junos(junos) if junos.systematic => {
                with(1, &[number(305, junos.run()), number(306, junos.rate.saturating_sub(1))])
            }
            Self::Junos(junos) if junos.run_length == 0 => {
                with(4, &[Parameter::new(311, ParameterValue::Float64(junos.fraction().unwrap_or(0.0)))])
            }
            Self::Junos(junos) => with(3, &[number(309, junos.run()), number(310, junos.cycle())]),
            Self::PropertyMatch(properties) => {
                let fields: Vec<_> = properties
                    .iter()
                    .map(|property| Parameter::new(property.element(), property.value()))
                    .collect();
                with(5, &fields)
            }
            Self::Hash(parameters) => {
                with(parameters.function.selector_algorithm(), &hash_fields(parameters, secrets))
            }
            Self::NonUniform | Self::PacketsPerSecond { .. } | Self::Composite(_) => Vec::new(),
        }
    }

    /// The fields of an options record of version 9 that is a line of a sampler table: samplerId (element 48),
    /// samplerMode (49), samplerRandomInterval (50) and samplerName (84). `None` where there is no rate to tell.
    #[must_use]
    pub fn v9_sampler(&self, id: u8, name: &str) -> Option<[Parameter; 4]> {
        let rate = self.v9().rate()?;
        Some([
            Parameter::new(48, ParameterValue::Unsigned8(id)),
            Parameter::new(49, ParameterValue::Unsigned8(rate.algorithm)),
            Parameter::new(50, ParameterValue::Unsigned32(rate.interval)),
            Parameter::new(84, ParameterValue::Text(name.into())),
        ])
    }
}

/// What selectorAlgorithm (element 304) a samplingAlgorithm (35) or samplerMode (49) means: deterministic is
/// systematic count-based sampling, random is n-out-of-N sampling (RFC 7270 sections 4.2 and 4.7).
#[must_use]
pub const fn selector_algorithm_of_v9(algorithm: u8) -> Option<u16> {
    match algorithm {
        DETERMINISTIC => Some(1),
        RANDOM => Some(3),
        _ => None,
    }
}

/// What samplingAlgorithm (element 35) comes nearest to a selectorAlgorithm (304): systematic count-based sampling is
/// deterministic; n-out-of-N and uniform probabilistic sampling are random; there is none for the others.
#[must_use]
pub const fn v9_algorithm_of_selector(algorithm: u16) -> Option<u8> {
    match algorithm {
        1 => Some(DETERMINISTIC),
        3 | 4 => Some(RANDOM),
        _ => None,
    }
}

const DETERMINISTIC: u8 = 1;
const RANDOM: u8 = 2;

/// `selected` of `all`; `exact` is whether one in N would say everything.
fn nearest(all: u64, selected: u32, algorithm: u8, exact: bool) -> Announced {
    let selected = u64::from(selected);
    let Some(interval) = (all + selected / 2).checked_div(selected) else { return Announced::Not };
    let Ok(interval) = u32::try_from(interval) else { return Announced::Not };
    let rate = Rate { interval, algorithm };
    if exact && u64::from(interval) * selected == all {
        Announced::Exactly(rate)
    } else {
        Announced::Rounded(rate)
    }
}

fn reciprocal(fraction: f64, algorithm: u8) -> Announced {
    if fraction <= 0.0 {
        return Announced::Not;
    }
    let Ok(interval) = u32::try_from(rounded(fraction.recip())) else { return Announced::Not };
    let rate = Rate { interval, algorithm };
    let whole = (f64::from(interval) * fraction - 1.0).abs() < 1e-12;
    if whole { Announced::Exactly(rate) } else { Announced::Rounded(rate) }
}

/// The product of the parts' rates.
fn composite(parts: &[Sampling]) -> Announced {
    let (mut fraction, mut random, mut exact, mut sampled) = (1.0, false, true, false);
    for part in parts {
        match part.v9() {
            Announced::Unsampled => continue,
            Announced::Exactly(rate) => random |= rate.algorithm == RANDOM,
            Announced::Rounded(rate) => {
                exact = false;
                random |= rate.algorithm == RANDOM;
            }
            Announced::Not => return Announced::Not,
        }
        sampled = true;
        let Some(part) = part.fraction() else { return Announced::Not };
        fraction *= part;
    }
    if !sampled {
        return Announced::Unsampled;
    }
    match reciprocal(fraction, if random { RANDOM } else { DETERMINISTIC }) {
        Announced::Exactly(rate) if !exact => Announced::Rounded(rate),
        announced => announced,
    }
}

/// In the order of RFC 5476 section 6.5.2.6.
fn hash_fields(parameters: &HashParameters, secrets: Secrets) -> Vec<Parameter> {
    let number = |element, value: u64| Parameter::new(element, ParameterValue::Unsigned64(value));
    let (offset, size) = match parameters.function {
        HashFunction::Ipsx => (4, 4),
        HashFunction::Bob | HashFunction::Crc => (parameters.offset, parameters.size),
    };
    let mut fields = Vec::from([
        number(327, offset.into()),
        number(328, size.into()),
        number(329, 0),
        number(330, parameters.function.output_maximum().into()),
    ]);
    for (minimum, maximum) in parameters.ranges.as_slice() {
        fields.extend([number(331, (*minimum).into()), number(332, (*maximum).into())]);
    }
    fields.push(Parameter::new(333, ParameterValue::Boolean(parameters.digest)));
    if let (Secrets::Tell, Some(initialiser)) = (secrets, parameters.told_initialiser()) {
        fields.push(number(334, initialiser.into()));
    }
    fields
}
