//! The little arithmetic that `core` does not have.

/// A counter as a number to calculate with: exact up to 2^53, then to 16 digits.
#[expect(clippy::cast_precision_loss, reason = "an estimate is not better than that")]
pub(super) const fn float(count: u64) -> f64 {
    count as f64
}

/// A count from a calculation: rounded to the nearest, 0 for what is negative or no number, saturating above.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "as documented")]
pub(super) const fn rounded(value: f64) -> u64 {
    (value + 0.5) as u64
}

/// The square root, to the last digit or the one before; 0 for what is negative or no number.
pub(super) fn square_root(value: f64) -> f64 {
    if value.is_nan() || value <= 0.0 {
        return 0.0;
    }
    if value.is_infinite() {
        return value;
    }
    // Numbers too small for an exponent of their own are made larger by a square first.
    if value < f64::MIN_POSITIVE {
        return square_root(value * LARGE * LARGE) / LARGE;
    }
    // Half of the exponent is a guess within 7 %; each step of Newton's doubles the digits.
    let mut root = f64::from_bits((value.to_bits() >> 1) + (0x3FF0_0000_0000_0000 >> 1));
    for _ in 0..5 {
        root = 0.5 * (root + value / root);
    }
    root
}

const LARGE: f64 = 1_152_921_504_606_846_976.0; // 2^60

/// ln(1 - x) for 0 <= x <= 1, to 15 digits also where x is tiny; negative infinity for 1.
pub(super) fn log_of_complement(x: f64) -> f64 {
    if x < 0.5 {
        // 1 - x = (1 - s) / (1 + s) with s = x / (2 - x)
        return -2.0 * inverse_tanh(x / (2.0 - x));
    }
    let complement = 1.0 - x; // exact here
    if complement <= 0.0 {
        return f64::NEG_INFINITY;
    }
    // complement = fraction * 2^exponent with the fraction between 1 and 2; 1 - x is never subnormal.
    let bits = complement.to_bits();
    let exponent = float(bits >> 52) - 1023.0;
    let fraction = f64::from_bits(bits & 0x000F_FFFF_FFFF_FFFF | 0x3FF0_0000_0000_0000);
    exponent * core::f64::consts::LN_2 + 2.0 * inverse_tanh((fraction - 1.0) / (fraction + 1.0))
}

/// The series s + s^3/3 + s^5/5 ..., for 0 <= s <= 1/3: the first term left out is below 1e-17 of the sum.
fn inverse_tanh(s: f64) -> f64 {
    let square = s * s;
    let mut sum = 0.0;
    for odd in
        [33.0, 31.0, 29.0, 27.0, 25.0, 23.0, 21.0, 19.0, 17.0, 15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0_f64]
    {
        sum = sum * square + odd.recip();
    }
    sum * s
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    #[test]
    fn logarithms_equal_those_of_the_standard_library() {
        let tiny = (1..=1000).map(|power| 0.5_f64.powi(power));
        let even = (0..1_000_000).map(|step| f64::from(step) / 1e6);
        let near_one = (1..=53).map(|power| 1.0 - 0.5_f64.powi(power));
        for x in tiny.chain(even).chain(near_one) {
            let (ours, theirs) = (log_of_complement(x), (-x).ln_1p());
            assert!((ours - theirs).abs() <= theirs.abs() * 2e-15, "{x}: {ours} {theirs}");
        }
        assert!(log_of_complement(1.0).is_infinite());
    }

    #[test]
    fn square_roots_equal_those_of_the_standard_library() {
        let mut value = 5e-324_f64;
        while value.is_finite() {
            let (ours, theirs) = (square_root(value), value.sqrt());
            assert!((ours - theirs).abs() <= theirs * 4e-16, "{value}: {ours} {theirs}");
            value *= 1.37;
            value = value.max(1e-323);
        }
        assert!(square_root(f64::INFINITY).is_infinite());
        for value in [0.0, -0.0, -1.0, f64::NEG_INFINITY, f64::NAN] {
            assert!(square_root(value).abs() < f64::MIN_POSITIVE);
        }
    }

    #[test]
    fn rounding_saturates() {
        assert_eq!([2.4, 2.5, -7.0, f64::NAN, 1e300].map(rounded), [2, 3, 0, 0, u64::MAX]);
    }
}
