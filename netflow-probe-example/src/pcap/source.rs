//! The octets of a capture file, plain or compressed.

use core::{fmt, mem};
use std::io::{self, BufReader, ErrorKind, Read};

use flate2::read::MultiGzDecoder;

const GZIP: [u8; 2] = [0x1F, 0x8B];
const ZSTD: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];

/// Reads a file as it was before it was compressed; what with, its first octets say.
pub(super) struct Source<R>(State<R>);

enum State<R> {
    /// Nothing was read.
    Fresh(R),
    Plain(First<R>),
    Gzip(Box<MultiGzDecoder<First<R>>>),
    Zstd(Box<zstd::Decoder<'static, BufReader<First<R>>>>),
    /// The decoder could not be made.
    Failed,
}

/// A file whose first octets have been looked at.
struct First<R> {
    octets: [u8; 4],
    next: usize,
    end: usize,
    rest: R,
    /// Octets that came out of the file.
    read: u64,
}

impl<R> fmt::Debug for Source<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            State::Fresh(_) => "Source::Fresh",
            State::Plain(_) => "Source::Plain",
            State::Gzip(_) => "Source::Gzip",
            State::Zstd(_) => "Source::Zstd",
            State::Failed => "Source::Failed",
        })
    }
}

impl<R> Source<R> {
    pub(super) const fn new(file: R) -> Self {
        Self(State::Fresh(file))
    }
}

impl<R: Read> Source<R> {
    /// Octets of the file that were read if it is compressed.
    pub(super) fn compressed_octets(&self) -> Option<u64> {
        match &self.0 {
            State::Gzip(decoder) => Some(decoder.get_ref().read),
            State::Zstd(decoder) => Some(decoder.get_ref().get_ref().read),
            State::Fresh(_) | State::Plain(_) | State::Failed => None,
        }
    }

    /// Looks at the first octets.
    fn detect(&mut self) -> io::Result<()> {
        let State::Fresh(rest) = mem::replace(&mut self.0, State::Failed) else { return Ok(()) };
        let mut first = First { octets: [0; 4], next: 0, end: 0, rest, read: 0 };
        while first.end < first.octets.len() {
            let room = first.octets.get_mut(first.end..).unwrap_or_default();
            match first.rest.read(room) {
                Ok(0) => break,
                Ok(octets) => first.end = (first.end + octets).min(4),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        first.read = first.end as u64;
        self.0 = if first.octets.starts_with(&GZIP) {
            State::Gzip(Box::new(MultiGzDecoder::new(first)))
        } else if first.octets == ZSTD {
            State::Zstd(Box::new(zstd::Decoder::new(first)?))
        } else {
            State::Plain(first)
        };
        Ok(())
    }
}

impl<R: Read> Read for Source<R> {
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            return match &mut self.0 {
                State::Plain(file) => file.read(buffer),
                State::Gzip(decoder) => decoder.read(buffer),
                State::Zstd(decoder) => decoder.read(buffer),
                State::Failed => Ok(0),
                State::Fresh(_) => {
                    self.detect()?;
                    continue;
                }
            };
        }
    }
}

impl<R: Read> Read for First<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.next < self.end {
            let mut first = self.octets.get(self.next..self.end).unwrap_or(&[]);
            let octets = first.read(buffer)?;
            self.next += octets;
            return Ok(octets);
        }
        let octets = self.rest.read(buffer)?;
        self.read += octets as u64;
        Ok(octets)
    }
}
