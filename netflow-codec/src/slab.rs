//! A vector whose first entry needs no memory of its own: most have no other, and reading that one is no further step.

use alloc::vec::Vec;

/// Entries by index, the first one in place.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    first: Option<T>,
    rest: Vec<T>,
}

impl<T> Slab<T> {
    pub(crate) const fn new() -> Self {
        Self { first: None, rest: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.len()
    }

    /// Octets on the heap.
    pub(crate) const fn heap_octets(&self) -> usize {
        self.rest.capacity() * size_of::<T>()
    }

    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        match index.checked_sub(1) {
            None => self.first.as_ref(),
            Some(index) => self.rest.get(index),
        }
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        match index.checked_sub(1) {
            None => self.first.as_mut(),
            Some(index) => self.rest.get_mut(index),
        }
    }

    /// Adds an entry; its index. Most slabs stay small, and memory is bounded: they grow by little.
    pub(crate) fn push(&mut self, entry: T) -> usize {
        let index = self.len();
        if index == 0 {
            self.first = Some(entry);
        } else {
            if self.rest.len() == self.rest.capacity() {
                self.rest.reserve_exact(index / 4 + 1);
            }
            self.rest.push(entry);
        }
        index
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.first.iter().chain(&self.rest)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.first.iter_mut().chain(&mut self.rest)
    }
}
