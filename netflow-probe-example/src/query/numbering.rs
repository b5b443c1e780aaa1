//! Numbers for addresses of IPv4, in the order in which they come up.

use core::hash::BuildHasher;

/// A table of addresses, each where its hash says or in one of the slots behind. There are hundreds of thousands of them,
/// looked up for every flow: a lookup touches one line of the cache where a map touches two.
#[derive(Clone, Debug)]
pub(super) struct Numbering {
    /// Address and number, from 1 on; 0 is an empty slot. Their count is a power of two.
    slots: Vec<(u32, u32)>,
    len: u32,
    /// Chosen by chance, so that nobody can send addresses that all come to the same slots.
    factor: u64,
}

/// A slot that was looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hint((u32, u32));

/// Slots to begin with.
const SLOTS: usize = 1 << 10;

impl Default for Numbering {
    fn default() -> Self {
        let factor = foldhash::fast::RandomState::default().hash_one(SLOTS) | 1;
        Self { slots: vec![(0, 0); SLOTS], len: 0, factor }
    }
}

impl Numbering {
    /// The number of an address, from 0 on; `new` makes one for an address that was not there before.
    pub(super) fn number(&mut self, address: u32, new: impl FnOnce() -> u32) -> u32 {
        let mut place = self.place(address);
        while let Some(slot) = self.slots.get_mut(place) {
            match *slot {
                (_, 0) => {
                    let number = new();
                    *slot = (address, number.saturating_add(1));
                    self.len += 1;
                    if self.len as usize > self.slots.len() / 4 * 3 {
                        self.grow();
                    }
                    return number;
                }
                (known, number) if known == address => return number - 1,
                _ => place = (place + 1) & (self.slots.len() - 1),
            }
        }
        0
    }

    /// What is where the hash of each address says, to be given to [`Self::number_by`]: looked up all at once, since the
    /// processor waits for many lines of memory at the same time when it need not know what is in the one before.
    pub(super) fn hints(&self, addresses: impl Iterator<Item = u32>) -> Vec<Hint> {
        addresses
            .map(|address| Hint(self.slots.get(self.place(address)).copied().unwrap_or_default()))
            .collect()
    }

    /// [`Self::number`], with a hint for the address.
    pub(super) fn number_by(&mut self, hint: Hint, address: u32, new: impl FnOnce() -> u32) -> u32 {
        match hint {
            // What is in a slot stays there, wherever the slot is by now.
            Hint((known, number)) if known == address && number > 0 => number - 1,
            _ => self.number(address, new),
        }
    }

    pub(super) fn clear(&mut self) {
        self.slots.fill((0, 0));
        self.len = 0;
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "the high bits of a product, fewer than there are slots"
    )]
    fn place(&self, address: u32) -> usize {
        let bits = self.slots.len().trailing_zeros();
        (u64::from(address).wrapping_mul(self.factor) >> (u64::BITS - bits)) as usize
    }

    fn grow(&mut self) {
        let larger = vec![(0, 0); self.slots.len() * 2];
        let smaller = core::mem::replace(&mut self.slots, larger);
        for (address, number) in smaller.into_iter().filter(|(_, number)| *number > 0) {
            let mut place = self.place(address);
            while let Some(slot) = self.slots.get_mut(place) {
                if slot.1 == 0 {
                    *slot = (address, number);
                    break;
                }
                place = (place + 1) & (self.slots.len() - 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn an_address_keeps_its_number() {
        let (mut numbering, mut known) = (Numbering::default(), HashMap::new());
        for round in 0..200_000_u32 {
            // Neighbours, networks far apart, and the two ends.
            let address = match round % 4 {
                0 => round,
                1 => round << 16,
                2 => u32::MAX - round / 7,
                _ => round.wrapping_mul(0x9e37_79b9),
            };
            let next = u32::try_from(known.len()).unwrap();
            let expected = *known.entry(address).or_insert(next);
            let hint = numbering.hints([address].into_iter())[0];
            assert_eq!(numbering.number_by(hint, address, || next), expected, "{address}");
            assert_eq!(numbering.number(address, || next + 1), expected, "{address}");
        }
        assert!(known.len() > 100_000);
        numbering.clear();
        assert_eq!(numbering.number(0, || 0), 0);
        assert_eq!(numbering.number(7, || 1), 1);
        assert_eq!(numbering.number(0, || 9), 0);
    }
}
