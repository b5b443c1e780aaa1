//! Numbers as differences (`DELTA_BINARY_PACKED`): blocks of 128 differences in four parts, each part with as many bits a
//! difference as its greatest one needs.

use super::levels::push_varint;

const BLOCK: usize = 128;
const PART: usize = 32;

/// Appends the numbers, which are signed by their bits.
pub(super) fn push_deltas(out: &mut Vec<u8>, numbers: impl ExactSizeIterator<Item = u64>) {
    push_varint(out, BLOCK as u64);
    push_varint(out, (BLOCK / PART) as u64);
    push_varint(out, numbers.len() as u64);
    let mut numbers = numbers;
    let mut last = numbers.next().unwrap_or(0).cast_signed();
    push_zigzag(out, last);
    let mut block = [0_i64; BLOCK];
    loop {
        let mut filled = 0;
        for (place, number) in block.iter_mut().zip(numbers.by_ref()) {
            *place = number.cast_signed().wrapping_sub(last);
            last = number.cast_signed();
            filled += 1;
        }
        let Some(deltas) = block.get_mut(..filled).filter(|deltas| !deltas.is_empty()) else { return };
        push_block(out, deltas);
        if filled < BLOCK {
            return;
        }
    }
}

fn push_block(out: &mut Vec<u8>, deltas: &mut [i64]) {
    let least = deltas.iter().copied().min().unwrap_or(0);
    push_zigzag(out, least);
    let mut widths = [0_u8; BLOCK / PART];
    for (width, part) in widths.iter_mut().zip(deltas.chunks(PART)) {
        let all = part.iter().fold(0, |all, delta| all | delta.wrapping_sub(least).cast_unsigned());
        *width = u8::try_from(u64::BITS - all.leading_zeros()).unwrap_or(64);
    }
    out.extend_from_slice(&widths);
    for (width, part) in widths.iter().zip(deltas.chunks(PART)).filter(|(width, _)| **width > 0) {
        let (mut bits, mut filled) = (0_u128, 0);
        for place in 0..PART {
            // Behind the last one the part is filled up.
            let delta = part.get(place).map_or(0, |delta| delta.wrapping_sub(least).cast_unsigned());
            bits |= u128::from(delta) << filled;
            filled += u32::from(*width);
            if filled >= 64 {
                let (low, _) = split(bits);
                out.extend_from_slice(&low.to_le_bytes());
                bits >>= 64;
                filled -= 64;
            }
        }
        let (low, _) = split(bits);
        out.extend(low.to_le_bytes().iter().take((filled / 8) as usize));
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the two halves of a number")]
const fn split(number: u128) -> (u64, u64) {
    (number as u64, (number >> 64) as u64)
}

fn push_zigzag(out: &mut Vec<u8>, number: i64) {
    push_varint(out, (number << 1 ^ number >> 63).cast_unsigned());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads what was written, by the document of the format.
    fn read(octets: &[u8]) -> Vec<i64> {
        let mut at = 0;
        let varint = |at: &mut usize| {
            let (mut number, mut shift) = (0_u64, 0);
            loop {
                let octet = octets[*at];
                *at += 1;
                number |= u64::from(octet & 0x7f) << shift;
                shift += 7;
                if octet < 0x80 {
                    return number;
                }
            }
        };
        let zigzag = |number: u64| (number >> 1).cast_signed() ^ -(number & 1).cast_signed();
        assert_eq!((varint(&mut at), varint(&mut at)), (128, 4));
        let count = usize::try_from(varint(&mut at)).unwrap();
        let mut numbers = vec![zigzag(varint(&mut at))];
        while numbers.len() < count {
            let minimum = zigzag(varint(&mut at));
            let widths: Vec<u8> = octets[at..at + 4].to_vec();
            at += 4;
            for width in widths {
                if numbers.len() >= count {
                    break;
                }
                for place in 0..32 {
                    let mut delta = 0_u64;
                    for bit in 0..usize::from(width) {
                        let from = place * usize::from(width) + bit;
                        delta |= u64::from(octets[at + from / 8] >> (from % 8) & 1) << bit;
                    }
                    if numbers.len() < count {
                        let last = *numbers.last().unwrap();
                        numbers.push(last.wrapping_add(minimum).wrapping_add(delta.cast_signed()));
                    }
                }
                at += 4 * usize::from(width);
            }
        }
        assert_eq!(at, octets.len());
        numbers
    }

    #[test]
    fn what_is_written_is_read() {
        let mut state = 7_u64;
        let mut random = || {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            state
        };
        for count in [1, 2, 31, 32, 33, 34, 128, 129, 130, 257, 1000] {
            for shift in [0, 1, 20, 33, 50, 63] {
                let numbers: Vec<u64> = (0..count).map(|_| random() >> shift).collect();
                let mut out = Vec::new();
                push_deltas(&mut out, numbers.iter().copied());
                let expected: Vec<i64> = numbers.iter().map(|number| number.cast_signed()).collect();
                assert_eq!(read(&out), expected, "{count} {shift}");
            }
        }
    }
}
