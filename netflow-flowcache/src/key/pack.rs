//! Keys whose fields are chosen at run time: bits one behind another.

use super::{HalfCacheLine, HashSeed, StoredKey};

/// The values of a [`super::FieldsKey`] in `N` words of 64 bits.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Packed<const N: usize> {
    words: [u64; N],
}

impl<const N: usize> StoredKey for Packed<N> {
    type Align = HalfCacheLine;

    #[inline]
    fn hash(&self, seed: HashSeed) -> u64 {
        seed.hash_words(self.words)
    }
}

/// Writes values, the lowest bits first.
#[derive(Debug)]
pub(super) struct Packer<const N: usize> {
    words: [u64; N],
    bit: usize,
}

impl<const N: usize> Packer<N> {
    pub(super) const fn new() -> Self {
        Self { words: [0; N], bit: 0 }
    }

    /// Adds the lowest `bits` of a value that has no others, at most 64.
    #[inline]
    pub(super) fn push(&mut self, value: u64, bits: u32) {
        let (word, shift) = (self.bit / 64, self.bit % 64);
        if let Some(low) = self.words.get_mut(word) {
            *low |= value << shift;
        }
        // What does not fit into this word; nothing where the value begins with the word.
        if shift != 0
            && let Some(high) = self.words.get_mut(word + 1)
        {
            *high |= value >> (64 - shift);
        }
        self.bit += bits as usize;
    }

    pub(super) const fn finish(self) -> Packed<N> {
        Packed { words: self.words }
    }
}

/// Reads values in the order they were written.
#[derive(Debug)]
pub(super) struct Unpacker<'a> {
    words: &'a [u64],
    bit: usize,
}

impl<'a> Unpacker<'a> {
    pub(super) const fn new<const N: usize>(packed: &'a Packed<N>) -> Self {
        Self { words: &packed.words, bit: 0 }
    }

    /// The next value, of `bits` bits.
    pub(super) fn pull(&mut self, bits: u32) -> u64 {
        let (word, shift) = (self.bit / 64, self.bit % 64);
        let at = |word: usize| self.words.get(word).copied().unwrap_or(0);
        let mut value = at(word) >> shift;
        if shift != 0 {
            value |= at(word + 1) << (64 - shift);
        }
        self.bit += bits as usize;
        if bits < 64 { value & ((1 << bits) - 1) } else { value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pulled_is_what_was_pushed() {
        let values = [(1, 1), (0xABCD, 16), (u64::MAX, 64), (0, 3), (0xF_FFFF, 20), (u64::MAX >> 1, 63)];
        let mut packer = Packer::<3>::new();
        for (value, bits) in values {
            packer.push(value, bits);
        }
        let key = packer.finish();
        let mut unpacker = Unpacker::new(&key);
        for (value, bits) in values {
            assert_eq!(unpacker.pull(bits), value);
        }
    }

    #[test]
    fn what_does_not_fit_is_left_out_without_a_panic() {
        let mut packer = Packer::<1>::new();
        packer.push(u64::MAX, 64);
        packer.push(7, 3);
        assert_eq!(packer.finish().words, [u64::MAX]);
    }
}
