//! Numbers octet by octet (`BYTE_STREAM_SPLIT`): first the lowest octets of all of them, then the next ones.
//!
//! Octets of the same weight are alike: those that are mostly zero cost nothing, those that are spread evenly are passed
//! by, and the rest is what the compression is good at.

use super::Number;

/// Appends the numbers, with four octets each or eight.
pub(super) fn push_planes<N: Number>(out: &mut Vec<u8>, numbers: &[N]) {
    let width = if N::IS_WIDE { 8 } else { 4 };
    out.reserve(width * numbers.len());
    let first = numbers.first().map_or(0, |first| (*first).into());
    // Octets in which any number differs from the first one.
    let differs = numbers.iter().fold(0, |differs, number| differs | ((*number).into() ^ first));
    for shift in (0..width).map(|plane| 8 * plane) {
        if (differs >> shift).trailing_zeros() >= 8 {
            out.resize(out.len() + numbers.len(), (first >> shift).to_le_bytes()[0]);
        } else {
            out.extend(numbers.iter().map(|number| ((*number).into() >> shift).to_le_bytes()[0]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_of_the_same_weight_stand_together() {
        let planes = |numbers: &[u16]| {
            let mut out = vec![9];
            push_planes(&mut out, numbers);
            out
        };
        assert_eq!(planes(&[0x0102, 0x0304, 0x0506]), [9, 2, 4, 6, 1, 3, 5, 0, 0, 0, 0, 0, 0]);
        let mut out = Vec::new();
        push_planes(&mut out, &[0x0102_0304_0506_0708_u64, 0x1112_1314_1516_1718]);
        assert_eq!(out, [8, 0x18, 7, 0x17, 6, 0x16, 5, 0x15, 4, 0x14, 3, 0x13, 2, 0x12, 1, 0x11]);
    }
}
