//! Levels: which rows of a column have a value, and where lists begin.
//!
//! ```text
//! octets (4, little-endian) | runs: varint of count << 1, level; or varint of groups << 1 | 1, levels bit-packed
//! ```

/// The levels of a column, as runs of the same level.
#[derive(Debug, Default)]
pub(in crate::store) struct Levels {
    runs: Vec<(u8, u32)>,
    len: u32,
}

impl Levels {
    pub(in crate::store) fn push(&mut self, level: u8, count: u32) {
        if count == 0 {
            return;
        }
        self.len += count;
        match self.runs.last_mut() {
            Some((last, length)) if *last == level => *length += count,
            _ => self.runs.push((level, count)),
        }
    }

    pub(super) fn clear(&mut self) {
        self.runs.clear();
        self.len = 0;
    }

    pub(super) const fn len(&self) -> u32 {
        self.len
    }

    /// How many levels there are of a kind.
    pub(super) fn count(&self, level: u8) -> u64 {
        self.runs.iter().filter(|(of, _)| *of == level).map(|(_, count)| u64::from(*count)).sum()
    }

    /// Appends the levels, which have one bit or two.
    pub(super) fn write(&self, width: u32, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        // Bits cost 1/8 or 1/4 octet a level, runs two to four octets each.
        if self.runs.len() as u64 * 24 > u64::from(self.len) * u64::from(width) {
            self.write_packed(width, out);
        } else {
            for (level, count) in &self.runs {
                push_varint(out, u64::from(*count) << 1);
                out.push(*level);
            }
        }
        let octets = u32::try_from(out.len() - start - 4).unwrap_or(0).to_le_bytes();
        if let Some(length) = out.get_mut(start..start + 4) {
            length.copy_from_slice(&octets);
        }
    }

    fn write_packed(&self, width: u32, out: &mut Vec<u8>) {
        push_varint(out, u64::from(self.len.div_ceil(8)) << 1 | 1);
        let end = out.len() + (self.len.div_ceil(8) * width) as usize;
        // What 64 bits are where all levels are 1.
        let ones = if width == 1 { u64::MAX } else { u64::MAX / 3 };
        let (mut bits, mut filled) = (0_u64, 0);
        for (level, count) in &self.runs {
            let mut left = u64::from(*count) * u64::from(width);
            while left > 0 {
                let taken = left.min(64 - filled);
                bits |= ((ones * u64::from(*level)) & (u64::MAX >> (64 - taken))) << filled;
                (left, filled) = (left - taken, filled + taken);
                if filled == 64 {
                    out.extend_from_slice(&bits.to_le_bytes());
                    (bits, filled) = (0, 0);
                }
            }
        }
        out.extend_from_slice(&bits.to_le_bytes());
        // Whole groups of eight levels, of which the last ones may be too many.
        out.truncate(end);
    }
}

/// An unsigned number, seven bits an octet, the lowest first.
pub(super) fn push_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_runs_are_runs_and_short_ones_are_packed() {
        let mut levels = Levels::default();
        levels.push(1, 300);
        levels.push(1, 100);
        levels.push(0, 100);
        let mut out = Vec::new();
        levels.write(1, &mut out);
        assert_eq!(out, [6, 0, 0, 0, 0xa0, 0x06, 1, 0xc8, 0x01, 0]);
        assert_eq!((levels.len(), levels.count(1), levels.count(0)), (500, 400, 100));
        levels.clear();
        for level in [0, 1, 1, 0, 0, 0, 0, 1, 1] {
            levels.push(level, 1);
        }
        out.clear();
        levels.write(1, &mut out);
        assert_eq!(out, [3, 0, 0, 0, 5, 0b1000_0110, 1]);
        out.clear();
        levels.write(2, &mut out);
        assert_eq!(out, [5, 0, 0, 0, 5, 0b0001_0100, 0b0100_0000, 1, 0]);
    }
}
