//! How numbers stand in pages: in runs, packed into bits, and as differences.

use parquet::errors::ParquetError;

use super::page::wrong;

/// Which rows of a page have a value.
#[derive(Debug)]
pub(super) enum Presence<'a> {
    All,
    /// 1 or 0 for each row.
    Levels(&'a [u32]),
}

impl<'a> Presence<'a> {
    /// Reads the levels of so many rows.
    pub(super) fn read(octets: &[u8], count: usize, levels: &'a mut Vec<u32>) -> Result<Self, ParquetError> {
        levels.clear();
        let mut rest = octets;
        let header = varint(&mut rest).unwrap_or(0);
        // Mostly it is one run, and all have a value.
        if header & 1 == 0 && header >> 1 >= count as u64 && rest.first() == Some(&1) {
            return Ok(Self::All);
        }
        runs(octets, 1, count, levels)?;
        Ok(if levels.iter().all(|level| *level > 0) { Self::All } else { Self::Levels(levels) })
    }

    /// How many of so many rows have a value.
    pub(super) fn values(&self, count: usize) -> usize {
        match self {
            Self::All => count,
            Self::Levels(levels) => levels.iter().filter(|level| **level > 0).count(),
        }
    }
}

/// So many numbers, stored as differences: blocks with their least difference, in parts of so many bits each. Takes them
/// off what is behind them, too.
pub(super) fn deltas(octets: &mut &[u8], count: usize, numbers: &mut Vec<u64>) -> Result<(), ParquetError> {
    let short = || wrong("differences that end too early");
    let (block, parts) = (varint(octets).ok_or_else(short)?, varint(octets).ok_or_else(short)?);
    let (total, first) = (varint(octets).ok_or_else(short)?, varint(octets).ok_or_else(short)?);
    let block =
        usize::try_from(block).ok().filter(|block| *block > 0 && *block <= 1 << 16 && block % 128 == 0);
    let parts = usize::try_from(parts).ok().filter(|parts| *parts > 0 && *parts <= 512);
    let (Some(block), Some(parts)) = (block, parts) else {
        return Err(wrong("blocks of a size that cannot be"));
    };
    if total != count as u64 || block % parts != 0 || (block / parts) % 32 != 0 {
        return Err(wrong("differences of another count than their page's"));
    }
    let mut last = unzigzag(first);
    let mut left = count;
    if count > 0 {
        numbers.push(last);
        left -= 1;
    }
    while left > 0 {
        let smallest = unzigzag(varint(octets).ok_or_else(short)?);
        let (widths, rest) = octets.split_at_checked(parts).ok_or_else(short)?;
        *octets = rest;
        for width in widths {
            if left == 0 {
                break;
            }
            let (part, width) = (block / parts, usize::from(*width));
            if width > 64 {
                return Err(wrong("differences of more than 64 bits"));
            }
            let (values, rest) = octets.split_at_checked(part * width / 8).ok_or_else(short)?;
            *octets = rest;
            let wanted = part.min(left);
            left -= wanted;
            let mut add = |difference: u64| {
                last = last.wrapping_add(smallest).wrapping_add(difference);
                numbers.push(last);
            };
            if width <= NARROW {
                narrow(values, width, wanted, add);
            } else {
                (0..wanted).for_each(|index| add(wide(values, width, index)));
            }
        }
    }
    Ok(())
}

/// Numbers of so many bits, wherever they begin in an octet, are within eight octets.
const NARROW: usize = 57;

/// Calls `visit` with packed numbers of few bits. What is not there is 0.
fn narrow(packed: &[u8], width: usize, count: usize, mut visit: impl FnMut(u64)) {
    let mask = (1_u64 << width) - 1;
    // Eight octets from where a number begins hold it whole.
    let whole = match packed.len().checked_sub(8) {
        Some(last) if width > 0 => count.min(last * 8 / width + 1),
        _ => 0,
    };
    for index in 0..whole {
        let bit = index * width;
        let octets = packed.get(bit / 8..bit / 8 + 8).and_then(|octets| <[u8; 8]>::try_from(octets).ok());
        visit(u64::from_le_bytes(octets.unwrap_or_default()) >> (bit % 8) & mask);
    }
    for index in whole..count {
        visit(wide(packed, width, index));
    }
}

/// A packed number of any width.
fn wide(packed: &[u8], width: usize, index: usize) -> u64 {
    let bit = index * width;
    let mut octets = [0; 16];
    for (to, from) in octets.iter_mut().zip(packed.get(bit / 8..).unwrap_or_default()) {
        *to = *from;
    }
    let mask = if width == 64 { u64::MAX } else { (1 << width) - 1 };
    let number = u128::from_le_bytes(octets) >> (bit % 8) & u128::from(mask);
    u64::try_from(number).unwrap_or(0)
}

const fn unzigzag(number: u64) -> u64 {
    (number >> 1) ^ (number & 1).wrapping_neg()
}

/// Numbers of so many bits, in runs of one repeated and of several packed ones.
pub(super) fn runs(
    octets: &[u8],
    width: usize,
    count: usize,
    numbers: &mut Vec<u32>,
) -> Result<(), ParquetError> {
    if width > 32 {
        return Err(wrong("numbers of more than 32 bits"));
    }
    let mask = u32::try_from((1_u64 << width) - 1).unwrap_or(u32::MAX);
    let end = numbers.len() + count;
    let mut rest = octets;
    while numbers.len() < end {
        let header = varint(&mut rest).ok_or_else(|| wrong("runs that end too early"))?;
        let left = end - numbers.len();
        if header & 1 == 0 {
            let length = usize::try_from(header >> 1).unwrap_or(usize::MAX);
            let size = width.div_ceil(8);
            let (value, behind) =
                rest.split_at_checked(size).ok_or_else(|| wrong("a run without its value"))?;
            rest = behind;
            let value = value.iter().rev().fold(0_u32, |number, octet| number << 8 | u32::from(*octet));
            numbers.resize(numbers.len() + length.min(left), value & mask);
            if length == 0 && rest.is_empty() {
                return Err(wrong("runs that end too early"));
            }
        } else {
            let groups = usize::try_from(header >> 1).unwrap_or(usize::MAX);
            let size = groups.saturating_mul(width).min(rest.len());
            let (packed, behind) = rest.split_at_checked(size).unwrap_or((rest, &[]));
            rest = behind;
            unpack(packed, width, groups.saturating_mul(8).min(left), numbers)?;
        }
    }
    Ok(())
}

fn unpack(packed: &[u8], width: usize, count: usize, numbers: &mut Vec<u32>) -> Result<(), ParquetError> {
    if packed.len() < (count * width).div_ceil(8) {
        return Err(wrong("packed numbers that end too early"));
    }
    match width {
        8 => numbers.extend(packed.iter().take(count).map(|octet| u32::from(*octet))),
        16 => {
            let (pairs, _) = packed.as_chunks::<2>();
            numbers.extend(pairs.iter().take(count).map(|pair| u32::from(u16::from_le_bytes(*pair))));
        }
        _ => narrow(packed, width, count, |number| numbers.push(low(number))),
    }
    Ok(())
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is wanted")]
const fn low(number: u64) -> u32 {
    number as u32
}

fn varint(octets: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (octet, rest) = octets.split_first()?;
        *octets = rest;
        number |= u64::from(octet & 0x7f) << shift;
        if octet & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_read_whatever_their_width() {
        for width in 0..=32_usize {
            let mask = u32::try_from((1_u64 << width) - 1).unwrap();
            let expected: Vec<u32> =
                (0..40_u32).map(|number| number.wrapping_mul(0x9e37_79b9) & mask).collect();
            let mut bits = vec![0_u8; (40 * width).div_ceil(8)];
            for (index, number) in expected.iter().enumerate() {
                for bit in 0..width {
                    let at = index * width + bit;
                    bits[at / 8] |= u8::try_from(number >> bit & 1).unwrap() << (at % 8);
                }
            }
            // Three of one repeated, then five groups of eight, of which seven numbers are too many.
            let mut octets = vec![3 << 1];
            octets.extend(&(0x0102_0304_u32 & mask).to_le_bytes()[..width.div_ceil(8)]);
            octets.push(5 << 1 | 1);
            octets.extend(&bits);
            let mut numbers = Vec::new();
            runs(&octets, width, 36, &mut numbers).unwrap();
            assert_eq!(numbers[..3], [0x0102_0304 & mask; 3]);
            assert_eq!(numbers[3..], expected[..33], "{width}");
            for end in 0..octets.len() - width {
                numbers.clear();
                assert!(
                    runs(&octets[..end], width, 43, &mut numbers).is_err() || width == 0,
                    "{width} {end}"
                );
            }
        }
        assert!(runs(&[0xff; 20], 8, 10, &mut Vec::new()).is_err());
        assert!(runs(&[2, 0, 0, 0, 0], 33, 1, &mut Vec::new()).is_err());
    }

    #[test]
    fn differences_are_added_up() {
        // Blocks of 128 in four parts; five numbers from 9 on, with the differences 2, 0, -1, 3.
        let mut octets = vec![0x80, 1, 4, 5, 18, 1, 3, 0, 0, 0];
        let bits = 3_u32 | 1 << 3 | 4 << 9;
        octets.extend(bits.to_le_bytes());
        octets.extend([0; 8]);
        octets.push(7);
        let mut rest = octets.as_slice();
        let mut numbers = Vec::new();
        deltas(&mut rest, 5, &mut numbers).unwrap();
        assert_eq!(numbers, [9, 11, 11, 10, 13]);
        assert_eq!(rest, [7]);
        for end in 0..octets.len() - 1 {
            assert!(deltas(&mut &octets[..end], 5, &mut numbers).is_err(), "{end}");
        }
        assert!(deltas(&mut octets.as_slice(), 6, &mut numbers).is_err());
        assert!(deltas(&mut &[0x80, 1, 0, 5, 18][..], 5, &mut numbers).is_err());
        assert!(deltas(&mut &[0, 4, 5, 18][..], 5, &mut numbers).is_err());
    }
}
