//! Rates: exact, whether they are whole numbers or not.

/// How many packets, or flows, stand for how many selected ones: a fraction in lowest terms, 1 or more.
///
/// ```
/// use netflow_codec::SamplingRate;
///
/// // Runs of 10 packets, 15 left out between them.
/// let rate = SamplingRate::new(25, 10).unwrap();
/// assert_eq!((rate.population(), rate.selected(), rate.interval()), (5, 2, 3));
/// assert_eq!(rate.scale(1_001), 2_503);
/// assert_eq!(SamplingRate::from_probability(0.01).unwrap().interval(), 100);
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize), serde(try_from = "Unchecked"))]
pub struct SamplingRate {
    population: u64,
    selected: u64,
}

/// A rate as it was stored, by whomever.
#[cfg(feature = "serde")]
#[derive(serde::Deserialize)]
struct Unchecked {
    population: u64,
    selected: u64,
}

#[cfg(feature = "serde")]
impl TryFrom<Unchecked> for SamplingRate {
    type Error = &'static str;

    fn try_from(Unchecked { population, selected }: Unchecked) -> Result<Self, Self::Error> {
        Self::new(population, selected)
            .ok_or("a sampling rate selects at least one, and no more than there are")
    }
}

impl SamplingRate {
    /// So many out of so many; `None` when none is selected, or more than there are.
    #[must_use]
    pub const fn new(population: u64, selected: u64) -> Option<Self> {
        if selected == 0 || population < selected {
            return None;
        }
        let divisor = greatest_common_divisor(population, selected);
        match (population.checked_div(divisor), selected.checked_div(divisor)) {
            (Some(population), Some(selected)) => Some(Self { population, selected }),
            _ => None,
        }
    }

    /// One out of so many; `None` for 0.
    #[must_use]
    pub const fn one_in(interval: u64) -> Option<Self> {
        Self::new(interval, 1)
    }

    /// Each one with a probability above 0, up to 1; `None` for any other number.
    ///
    /// The fraction is the value of the float itself, down to probabilities of 2^-11; below, it is the nearest to 26 bits
    /// at least.
    #[must_use]
    pub const fn from_probability(probability: f64) -> Option<Self> {
        const MANTISSA: u32 = 52;
        if !(probability > 0.0 && probability <= 1.0) {
            return None;
        }
        let bits = probability.to_bits();
        let exponent = (bits >> MANTISSA) as u32;
        let fraction = bits & ((1 << MANTISSA) - 1);
        // The value is mantissa / 2^scale; subnormal numbers have no implied bit.
        let (mantissa, scale) =
            if exponent == 0 { (fraction, 1_074) } else { (fraction | 1 << MANTISSA, 1_075 - exponent) };
        let zeros = mantissa.trailing_zeros();
        let (mantissa, scale) = (mantissa >> zeros, scale.saturating_sub(zeros));
        let excess = scale.saturating_sub(63);
        if excess <= 15 {
            return Self::new(1 << (scale - excess), mantissa >> excess);
        }
        if scale > 127 {
            return None;
        }
        match ((1u128 << scale) + mantissa as u128 / 2).checked_div(mantissa as u128) {
            #[expect(clippy::cast_possible_truncation, reason = "checked")]
            Some(interval) if interval <= u64::MAX as u128 => Self::one_in(interval as u64),
            _ => None,
        }
    }

    /// How many stand for [`Self::selected`] selected ones.
    #[must_use]
    pub const fn population(self) -> u64 {
        self.population
    }

    /// How many of [`Self::population`] are selected.
    #[must_use]
    pub const fn selected(self) -> u64 {
        self.selected
    }

    /// How many one selected stands for, rounded to the nearest; 2^32 - 1 when it is more.
    #[must_use]
    pub const fn interval(self) -> u32 {
        let interval = self.scale(1);
        #[expect(clippy::cast_possible_truncation, reason = "checked")]
        if interval > u32::MAX as u64 { u32::MAX } else { interval as u32 }
    }

    /// How many one selected stands for.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a float is asked for")]
    pub const fn as_f64(self) -> f64 {
        self.population as f64 / self.selected as f64
    }

    /// A count of selected ones (or of their octets), multiplied by the rate and rounded to the nearest; saturates.
    #[must_use]
    pub const fn scale(self, count: u64) -> u64 {
        let product = count as u128 * self.population as u128 + self.selected as u128 / 2;
        match product.checked_div(self.selected as u128) {
            #[expect(clippy::cast_possible_truncation, reason = "checked")]
            Some(scaled) if scaled <= u64::MAX as u128 => scaled as u64,
            _ => u64::MAX,
        }
    }

    /// The rate of two selections one behind the other; `None` when the fraction is too long.
    #[must_use]
    pub const fn then(self, other: Self) -> Option<Self> {
        match (self.population.checked_mul(other.population), self.selected.checked_mul(other.selected)) {
            (Some(population), Some(selected)) => Self::new(population, selected),
            _ => None,
        }
    }
}

/// Of two numbers that are not 0.
const fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    let (mut a, mut b) = (a, b);
    while let Some(rest) = a.checked_rem(b) {
        (a, b) = (b, rest);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_exact() {
        let rate = |population, selected| SamplingRate::new(population, selected).unwrap();
        assert_eq!(rate(1_000, 10), rate(100, 1));
        assert_eq!((rate(7, 3).interval(), rate(5, 2).interval(), rate(4, 3).interval()), (2, 3, 1));
        assert_eq!(rate(7, 3).scale(3_000_000_000_000), 7_000_000_000_000);
        assert_eq!(rate(u64::MAX, 1).scale(2), u64::MAX);
        assert_eq!(rate(u64::MAX, 1).interval(), u32::MAX);
        assert_eq!(
            (SamplingRate::new(0, 0), SamplingRate::new(5, 0), SamplingRate::new(3, 5)),
            (None, None, None)
        );
        assert_eq!(rate(100, 1).then(rate(5, 2)), Some(rate(250, 1)));
        assert_eq!(rate(u64::MAX, 1).then(rate(2, 1)), None);
    }

    #[cfg(feature = "serde")]
    #[test]
    fn stored_rates_are_checked() {
        let read = |text: &str| serde_json::from_str::<SamplingRate>(text).ok();
        let rate = SamplingRate::new(7, 3).unwrap();
        assert_eq!(read(&serde_json::to_string(&rate).unwrap()), Some(rate));
        assert_eq!(read(r#"{"population": 10, "selected": 4}"#), SamplingRate::new(5, 2));
        assert_eq!(read(r#"{"population": 10, "selected": 0}"#), None);
        assert_eq!(read(r#"{"population": 3, "selected": 4}"#), None);
    }

    #[test]
    fn probabilities_are_fractions() {
        let of = |probability| SamplingRate::from_probability(probability);
        assert_eq!(of(0.25), SamplingRate::new(4, 1));
        assert_eq!(of(0.375), SamplingRate::new(8, 3));
        assert_eq!(of(1.0), SamplingRate::new(1, 1));
        for probability in [0.01, 0.001, 1e-6, 0.15, f64::from(0.01f32), 1e-18] {
            let rate = of(probability).unwrap();
            assert!((rate.as_f64() * probability - 1.0).abs() < 1e-8, "{probability}");
        }
        assert_eq!(of(f64::from(0.001f32)).unwrap().interval(), 1_000);
        for wrong in [0.0, -0.5, 1.5, f64::NAN, f64::INFINITY, f64::MIN_POSITIVE, 5e-324] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }
}
