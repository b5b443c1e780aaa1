//! Thrift's compact protocol, in which Parquet writes footers and what is before pages: as much of it as is needed to find
//! a few members and to pass by all others.
//!
//! ```text
//! struct: fields, 0     field: steps from the number before << 4 | kind, value     list: elements << 4 | kind, elements
//! ```

/// Structs within one another, at most.
const DEPTH: u32 = 16;

const BOOLEANS: [u8; 2] = [1, 2];
const BINARY: u8 = 8;
const STRUCT: u8 = 12;

/// Reads from octets; everything is `None` where they end too early.
#[derive(Clone, Debug)]
pub(super) struct Compact<'a> {
    rest: &'a [u8],
    length: usize,
}

impl<'a> Compact<'a> {
    pub(super) const fn new(octets: &'a [u8]) -> Self {
        Self { rest: octets, length: octets.len() }
    }

    /// How many octets have been read.
    pub(super) const fn at(&self) -> usize {
        self.length - self.rest.len()
    }

    /// Calls `visit` with the number and the kind of each field of a struct; it has to read or skip the value.
    pub(super) fn fields(&mut self, mut visit: impl FnMut(&mut Self, i64, u8) -> Option<()>) -> Option<()> {
        let mut number = 0_i64;
        loop {
            let octet = self.octet()?;
            if octet == 0 {
                return Some(());
            }
            number = match octet >> 4 {
                0 => self.integer()?,
                steps => number.checked_add(steps.into())?,
            };
            visit(self, number, octet & 0xf)?;
        }
    }

    /// The kind and the number of the elements of a list that follow.
    pub(super) fn list(&mut self) -> Option<(u8, u64)> {
        let octet = self.octet()?;
        let count = if octet >> 4 == 0xf { self.varint()? } else { (octet >> 4).into() };
        Some((octet & 0xf, count))
    }

    /// Calls `visit` with each struct of a list.
    pub(super) fn structs(&mut self, mut visit: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        let (kind, count) = self.list()?;
        if kind != STRUCT && count > 0 {
            return None;
        }
        // Each takes an octet, at least: they end.
        (0..count).try_for_each(|_| visit(self))
    }

    pub(super) fn integer(&mut self) -> Option<i64> {
        let number = self.varint()?;
        Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    /// A number that is not negative.
    pub(super) fn unsigned(&mut self) -> Option<u64> {
        u64::try_from(self.integer()?).ok()
    }

    pub(super) fn octets(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.varint()?).ok()?;
        self.take(length)
    }

    /// Passes by a value.
    pub(super) fn skip(&mut self, kind: u8) -> Option<()> {
        self.skip_within(kind, DEPTH)
    }

    fn skip_within(&mut self, kind: u8, depth: u32) -> Option<()> {
        match kind {
            1 | 2 => {}
            3 => _ = self.octet()?,
            4..=6 => _ = self.varint()?,
            7 => _ = self.take(8)?,
            BINARY => _ = self.octets()?,
            9 | 10 => {
                let depth = depth.checked_sub(1)?;
                let (kind, count) = self.list()?;
                for _ in 0..count {
                    self.skip_element(kind, depth)?;
                }
            }
            11 => {
                let depth = depth.checked_sub(1)?;
                let count = self.varint()?;
                let kinds = if count > 0 { self.octet()? } else { 0 };
                for _ in 0..count {
                    self.skip_element(kinds >> 4, depth)?;
                    self.skip_element(kinds & 0xf, depth)?;
                }
            }
            STRUCT => {
                let depth = depth.checked_sub(1)?;
                self.fields(|reader, _, kind| reader.skip_within(kind, depth))?;
            }
            _ => return None,
        }
        Some(())
    }

    /// Outside of structs booleans take an octet.
    fn skip_element(&mut self, kind: u8, depth: u32) -> Option<()> {
        if BOOLEANS.contains(&kind) { self.octet().map(|_| ()) } else { self.skip_within(kind, depth) }
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    fn octet(&mut self) -> Option<u8> {
        let (octet, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*octet)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let octet = self.octet()?;
            number |= u64::from(octet & 0x7f) << shift;
            if octet < 0x80 {
                return Some(number);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_others_of_every_kind() {
        let octets = [
            0x11, 0x12, 0x13, 7, 0x16, 3, 0x17, 1, 2, 3, 4, 5, 6, 7, 8, 0x18, 2, b'a', b'b', 0x19, 0x32, 1,
            0, 1, 0x1b, 1, 0x58, 4, 1, b'x', 0x1c, 0x15, 2, 0, 0x05, 60, 9, 0, 0xee,
        ];
        let (mut reader, mut found) = (Compact::new(&octets), Vec::new());
        reader
            .fields(|reader, number, kind| {
                if number == 30 {
                    found.push(reader.integer()?);
                    return Some(());
                }
                reader.skip(kind)
            })
            .unwrap();
        assert_eq!((found.as_slice(), reader.at()), ([-5].as_slice(), octets.len() - 1));
        for end in 0..octets.len() - 1 {
            assert_eq!(Compact::new(&octets[..end]).skip(STRUCT), None, "{end}");
        }
    }

    #[test]
    fn nesting_and_counts_without_an_end_are_refused() {
        assert_eq!(Compact::new(&[0x1c; 1_000]).skip(STRUCT), None);
        assert_eq!(Compact::new(&[0x19; 1_000]).skip(STRUCT), None);
        let endless = [0xfc, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0, 0];
        assert_eq!(Compact::new(&endless).skip(9), None);
        assert_eq!(Compact::new(&[0xff; 20]).integer(), None);
    }
}
