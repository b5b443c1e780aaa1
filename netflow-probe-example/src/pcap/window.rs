//! A bounded window over a file that is read once, front to back.

use std::io::{self, ErrorKind, Read};

use super::source::Source;

/// Octets of a fresh window: what one read asks for.
const INITIAL: usize = 256 * 1024;

/// The octets of a file from `offset` on, as many as were read so far.
///
/// The window grows only when it is full of octets that really came out of the file, so a length that a file
/// announces never decides how much is allocated.
#[derive(Debug)]
pub(super) struct Window<R> {
    source: Source<R>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    offset: u64,
    exhausted: bool,
}

impl<R: Read> Window<R> {
    /// The most octets that one `fill` can make visible.
    pub(super) const LIMIT: usize = 2 << 20;

    pub(super) fn new(source: R) -> Self {
        Self {
            source: Source::new(source),
            buffer: vec![0; INITIAL],
            start: 0,
            end: 0,
            offset: 0,
            exhausted: false,
        }
    }

    /// Reads until `wanted` octets (at most [`Self::LIMIT`]) are visible or the file ends; says which.
    #[inline]
    pub(super) fn fill(&mut self, wanted: usize) -> io::Result<bool> {
        if self.end - self.start >= wanted { Ok(true) } else { self.fill_slowly(wanted) }
    }

    #[inline(never)]
    fn fill_slowly(&mut self, wanted: usize) -> io::Result<bool> {
        while self.end - self.start < wanted {
            if self.exhausted {
                return Ok(false);
            }
            if self.end == self.buffer.len() {
                self.make_room();
            }
            self.read_some()?;
        }
        Ok(true)
    }

    /// Drops `octets` from the front, whether they are visible or still in the file; returns how many there were.
    pub(super) fn skip(&mut self, octets: u64) -> io::Result<u64> {
        let mut left = octets;
        while left > 0 {
            let visible = self.end - self.start;
            if visible == 0 && !self.fill(1)? {
                break;
            }
            let step = usize::try_from(left).unwrap_or(usize::MAX).min(self.end - self.start);
            self.consume(step);
            left -= step as u64;
        }
        Ok(octets - left)
    }

    /// Drops `octets` that are visible from the front.
    #[inline]
    pub(super) fn consume(&mut self, octets: usize) {
        let octets = octets.min(self.end - self.start);
        self.start += octets;
        self.offset += octets as u64;
    }

    /// The visible octets.
    #[inline]
    pub(super) fn data(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or(&[])
    }

    /// Octets of the file that were read if it is compressed: fewer than came out of it.
    pub(super) fn compressed_octets(&self) -> Option<u64> {
        self.source.compressed_octets()
    }

    /// Where in the file, as it was before it was compressed, the visible octets begin.
    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    /// Called with a full buffer: moves the visible octets to the front, or grows when they already are there.
    fn make_room(&mut self) {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        } else {
            let length = (self.buffer.len() * 2).min(Self::LIMIT);
            self.buffer.resize(length, 0);
        }
    }

    fn read_some(&mut self) -> io::Result<()> {
        let space = self.buffer.get_mut(self.end..).unwrap_or_default();
        match self.source.read(space) {
            Ok(0) => self.exhausted = true,
            // A `Read` that claims more than it was given room for is not believed.
            Ok(octets) => self.end += octets.min(self.buffer.len() - self.end),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}
