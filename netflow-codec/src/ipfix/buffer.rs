//! Octets that have come and are not used yet. Bounded.

use alloc::vec::Vec;

/// A queue of octets of at most `CAPACITY`; it grows by what comes, never by what a length announces.
#[derive(Clone, Debug, Default)]
pub(super) struct Buffer<const CAPACITY: usize> {
    octets: Vec<u8>,
    /// Octets before this one are used up.
    start: usize,
}

impl<const CAPACITY: usize> Buffer<CAPACITY> {
    pub(super) const fn new() -> Self {
        Self { octets: Vec::new(), start: 0 }
    }

    /// Takes as many octets as there is room for; says how many those are.
    pub(super) fn push(&mut self, input: &[u8]) -> usize {
        if self.octets.len() + input.len() > CAPACITY {
            self.octets.drain(..self.start);
            self.start = 0;
        }
        let taken = input.len().min(CAPACITY.saturating_sub(self.octets.len()));
        self.octets.extend_from_slice(input.get(..taken).unwrap_or(&[]));
        taken
    }

    /// The octets that are not used yet.
    pub(super) fn visible(&self) -> &[u8] {
        self.octets.get(self.start..).unwrap_or(&[])
    }

    /// Uses octets up; says how many there were to use.
    pub(super) fn consume(&mut self, octets: usize) -> usize {
        let octets = octets.min(self.visible().len());
        self.start += octets;
        if self.start == self.octets.len() {
            self.clear();
        }
        octets
    }

    pub(super) fn clear(&mut self) {
        self.octets.clear();
        self.start = 0;
    }
}
