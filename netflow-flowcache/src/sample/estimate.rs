//! What a sample says of all traffic, and how sure that is.
//!
//! ```
//! use netflow_flowcache::sample::{Confidence, Estimate};
//!
//! // 1,000 of 2,500 packets sampled of a million were of one class.
//! let estimate = Estimate::of_class(1_000_000, 2_500, 1_000).ok_or("no sample")?;
//! let interval = estimate.interval(Confidence::P95);
//! assert_eq!(estimate.value, 400_000.0);
//! assert_eq!((interval.lower.round(), interval.upper.round()), (380_793.0, 419_207.0));
//! # Ok::<(), &str>(())
//! ```

use crate::sample::{
    OptionsRecord, Parameter, ParameterValue,
    math::{float, square_root},
};

/// An estimate with its standard error.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Estimate {
    /// The estimate.
    pub value: f64,
    /// By how much it is off, on quadratic average.
    pub standard_error: f64,
    /// How many samples it is made of: that decides how far it can be trusted.
    pub samples: u64,
}

/// How far an estimate can be trusted.
// Complete by definition.
#[expect(clippy::exhaustive_enums, reason = "complete by definition")]
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Quality {
    /// Fewer than 10 samples: something was seen, how much is not known.
    Seen,
    /// From 10 samples on: an interval says something.
    Rough,
    /// From 100 samples on: the interval holds as often as it claims.
    Reliable,
}

impl Estimate {
    /// How many packets there were, when each was selected with probability `fraction` and `selected` of them were.
    ///
    /// `None` if `fraction` is not above 0 and at most 1.
    #[must_use]
    pub fn of_packets(selected: u64, fraction: f64) -> Option<Self> {
        let inverse = inverse(fraction)?;
        let variance = float(selected) * (1.0 - fraction) * inverse * inverse;
        Some(Self::new(float(selected) * inverse, variance, selected))
    }

    /// How many packets of a class there were among `population`, when `of_class` of `sample` sampled packets were.
    ///
    /// That takes into account that the size of the sample is not a matter of chance. `None` if the sample has fewer
    /// than 2 packets or the numbers do not fit together.
    #[must_use]
    pub fn of_class(population: u64, sample: u64, of_class: u64) -> Option<Self> {
        if sample < 2 || of_class > sample || sample > population {
            return None;
        }
        let (all, n, c) = (float(population), float(sample), float(of_class));
        let variance = all * all * c * (1.0 - c / n) / (n * (n - 1.0));
        Some(Self::new(c * all / n, variance, of_class))
    }

    const fn none() -> Self {
        Self { value: 0.0, standard_error: 0.0, samples: 0 }
    }

    fn new(value: f64, variance: f64, samples: u64) -> Self {
        Self { value, standard_error: square_root(variance), samples }
    }

    /// The interval that holds the truth with this confidence, when there are samples enough; it does not go below 0.
    #[must_use]
    pub fn interval(&self, confidence: Confidence) -> ConfidenceInterval {
        let reach = confidence.deviations * self.standard_error;
        ConfidenceInterval {
            lower: (self.value - reach).max(0.0),
            upper: self.value + reach,
            level: confidence.level,
        }
    }

    /// The standard error over the estimate; `None` for an estimate of 0.
    #[must_use]
    pub fn relative_error(&self) -> Option<f64> {
        (self.value > 0.0).then(|| self.standard_error / self.value)
    }

    /// How far it can be trusted.
    #[must_use]
    pub const fn quality(&self) -> Quality {
        match self.samples {
            0..10 => Quality::Seen,
            10..100 => Quality::Rough,
            100.. => Quality::Reliable,
        }
    }

    /// The options record that tells the accuracy of `element`: scope informationElementId (303); absoluteError (320)
    /// and relativeError (321), half of the interval of that confidence, and the interval itself (336 to 338; RFC 5476
    /// section 6.5.4).
    #[must_use]
    pub fn accuracy_report(&self, element: u16, confidence: Confidence) -> OptionsRecord {
        let scope = Parameter::new(303, ParameterValue::Unsigned16(element));
        let mut record = OptionsRecord::new(scope, alloc::vec::Vec::new());
        let absolute = confidence.deviations * self.standard_error;
        let float = |element, value| Parameter::new(element, ParameterValue::Float64(value));
        record.fields.push(float(320, absolute));
        if self.value > 0.0 {
            record.fields.push(float(321, absolute / self.value));
        }
        record.fields.extend(self.interval(confidence).parameters());
        record
    }
}

/// How often an interval is to hold the truth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Confidence {
    level: f64,
    deviations: f64,
}

impl Confidence {
    /// In 90 of 100 cases.
    pub const P90: Self = Self { level: 0.90, deviations: 1.644_853_626_951_472_7 };
    /// In 95 of 100 cases.
    pub const P95: Self = Self { level: 0.95, deviations: 1.959_963_984_540_054 };
    /// In 99 of 100 cases.
    pub const P99: Self = Self { level: 0.99, deviations: 2.575_829_303_548_900_4 };

    /// From 0 to 1.
    #[must_use]
    pub const fn level(self) -> f64 {
        self.level
    }
}

/// An interval that holds the truth with some confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct ConfidenceInterval {
    /// lowerCILimit (element 337).
    pub lower: f64,
    /// upperCILimit (element 336).
    pub upper: f64,
    /// confidenceLevel (element 338), from 0 to 1.
    pub level: f64,
}

impl ConfidenceInterval {
    /// The fields that tell it: 336, 337 and 338, always together (RFC 5477 sections 8.6.5 to 8.6.7).
    #[must_use]
    pub fn parameters(&self) -> [Parameter; 3] {
        [(336, self.upper), (337, self.lower), (338, self.level)]
            .map(|(element, value)| Parameter::new(element, ParameterValue::Float64(value)))
    }

    /// From the fields of an options record. `None` unless all three are there and make sense: two of them say
    /// nothing.
    #[must_use]
    pub fn from_record(record: &OptionsRecord) -> Option<Self> {
        let value = |element| record.get(element).and_then(ParameterValue::as_float);
        Self::from_values(value(336), value(337), value(338))
    }

    /// From upperCILimit (336), lowerCILimit (337) and confidenceLevel (338), likewise.
    #[must_use]
    pub fn from_values(upper: Option<f64>, lower: Option<f64>, level: Option<f64>) -> Option<Self> {
        let (upper, lower, level) = (upper?, lower?, level?);
        (lower <= upper && (0.0..=1.0).contains(&level)).then_some(Self { lower, upper, level })
    }
}

/// Adds up what was sampled of packets that were all selected with the same probability.
///
/// ```
/// use netflow_flowcache::sample::SampledTotals;
///
/// let mut totals = SampledTotals::new();
/// for octets in [40, 1500, 576] {
///     totals.add(octets);
/// }
/// let octets = totals.estimate_octets(0.01).ok_or("no fraction")?;
/// assert_eq!(octets.value, 211_600.0);
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct SampledTotals {
    packets: u64,
    octets: u64,
    /// Sum of the squares of the packets' octets.
    squares: u128,
}

impl SampledTotals {
    /// Of no packet.
    #[must_use]
    pub const fn new() -> Self {
        Self { packets: 0, octets: 0, squares: 0 }
    }

    /// Adds a selected packet.
    #[inline]
    pub const fn add(&mut self, octets: u32) {
        self.packets = self.packets.saturating_add(1);
        self.octets = self.octets.saturating_add(octets as u64);
        self.squares = self.squares.saturating_add((octets as u64 * octets as u64) as u128);
    }

    /// Selected packets.
    #[must_use]
    pub const fn packets(&self) -> u64 {
        self.packets
    }

    /// Octets of those.
    #[must_use]
    pub const fn octets(&self) -> u64 {
        self.octets
    }

    /// How many packets there were: see [`Estimate::of_packets`].
    #[must_use]
    pub fn estimate_packets(&self, fraction: f64) -> Option<Estimate> {
        Estimate::of_packets(self.packets, fraction)
    }

    /// How many octets there were; less sure than the number of packets, because packets are of different sizes.
    ///
    /// `None` if `fraction` is not above 0 and at most 1.
    #[must_use]
    pub fn estimate_octets(&self, fraction: f64) -> Option<Estimate> {
        let inverse = inverse(fraction)?;
        #[expect(clippy::cast_precision_loss, reason = "an estimate is not better than that")]
        let variance = self.squares as f64 * (1.0 - fraction) * inverse * inverse;
        Some(Estimate::new(float(self.octets) * inverse, variance, self.packets))
    }
}

/// Adds up what was sampled with probabilities of different size: each value weighs 1 over its probability (Horvitz
/// and Thompson).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct HorvitzThompson {
    total: f64,
    variance: f64,
    samples: u64,
}

impl HorvitzThompson {
    /// Of nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { total: 0.0, variance: 0.0, samples: 0 }
    }

    /// Adds a value that was selected with a probability. What is not above 0 and at most 1 is none: nothing is added.
    pub fn add(&mut self, value: f64, probability: f64) {
        let Some(inverse) = inverse(probability) else { return };
        let weighted = value * inverse;
        self.total += weighted;
        self.variance += weighted * weighted * (1.0 - probability);
        self.samples = self.samples.saturating_add(1);
    }

    /// The sum over everything, selected or not.
    #[must_use]
    pub fn estimate(&self) -> Estimate {
        if self.samples == 0 {
            return Estimate::none();
        }
        Estimate::new(self.total, self.variance, self.samples)
    }
}

fn inverse(fraction: f64) -> Option<f64> {
    (fraction > 0.0 && fraction <= 1.0).then(|| fraction.recip())
}

/// The probability that at least one packet of a flow of so many is selected, when each is with probability
/// `fraction`: what is not a probability counts as the nearest that is.
///
/// Never scale a number of flows by a packet sampling rate: short flows are missed, long ones are not.
#[must_use]
pub fn flow_seen_probability(packets: u64, fraction: f64) -> f64 {
    let missed = 1.0 - if fraction > 0.0 { fraction.min(1.0) } else { 0.0 };
    let (mut power, mut base, mut exponent) = (1.0, missed, packets);
    while exponent > 0 {
        if exponent & 1 == 1 {
            power *= base;
        }
        base *= base;
        exponent >>= 1;
    }
    1.0 - power
}
