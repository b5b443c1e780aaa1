//! IPFIX messages out of files (RFC 5655): one behind the other, each framed by its own length.
//!
//! ```text
//! +---------+--------+-----------------------+---------+--------+-----
//! |  00 0A  | length |  rest of the message  |  00 0A  | length |  ...
//! +---------+--------+-----------------------+---------+--------+-----
//! ```

use std::io::{self, ErrorKind, Read};

/// A file of IPFIX messages being read.
///
/// Memory is bounded whatever the file says. Behind damage it goes on with the next message that can be found as
/// RFC 5655 section 10.3 says: octets 00 0A and a length, and at its end again 00 0A or the end of the file.
///
/// ```
/// use netflow_probe_example::receive::{MessageFile, Piece};
///
/// let message = [&[0, 10, 0, 16, 0x65, 0x53, 0xf1, 0][..], &[0; 8]].concat();
/// let file = [&message[..], b"damage", &message].concat();
/// let mut file = MessageFile::new(file.as_slice());
/// assert_eq!(file.next_piece()?, Some(Piece::Message(&message)));
/// assert_eq!(file.next_piece()?, Some(Piece::Damage { offset: 16, octets: 6 }));
/// assert_eq!(file.next_piece()?, Some(Piece::Message(&message)));
/// assert_eq!(file.next_piece()?, None);
/// # Ok::<(), netflow_probe_example::receive::MessageFileError>(())
/// ```
#[derive(Debug)]
pub struct MessageFile<R> {
    source: R,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// Where in the file the octets at `start` are.
    offset: u64,
    exhausted: bool,
    /// Octets of the message that was delivered last, still at `start`.
    delivered: usize,
    skipped: u64,
    /// What looked like a message where one had to begin: its place and length.
    suspect: Option<(u64, u64)>,
}

/// A piece of a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Piece<'a> {
    /// A message.
    Message(&'a [u8]),
    /// Octets that are no message, or one that is damaged.
    Damage {
        /// Where they begin, in octets from the beginning of the file.
        offset: u64,
        /// How many they are.
        octets: u64,
    },
}

/// A file of messages could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum MessageFileError {
    /// The file could not be read.
    #[error("at octet {offset} of the IPFIX file: cannot read: {error}")]
    Read {
        /// Where in the file.
        offset: u64,
        /// Why not.
        #[source]
        error: io::Error,
    },
    /// The file ends inside a message.
    #[error(
        "at octet {offset} of the IPFIX file: the file is cut off: {needed} octets announced here, {available} left"
    )]
    CutOff {
        /// Where the message begins, in octets from the beginning of the file.
        offset: u64,
        /// Octets that the message has according to its header.
        needed: u64,
        /// Octets that the file still has.
        available: u64,
    },
}

/// Octets of the shortest message, a header.
const HEADER: usize = 16;

/// The length in a message header that begins with these octets, if they can be one.
fn length(octets: &[u8]) -> Option<usize> {
    let &[0, 10, high, low, ..] = octets else { return None };
    Some(u16::from_be_bytes([high, low]).into()).filter(|length| *length >= HEADER)
}

/// Whether a file that begins with these octets is one of IPFIX messages. No capture file begins so.
#[must_use]
pub fn begins_message(octets: &[u8]) -> bool {
    length(octets).is_some()
}

/// Whether sets fill a message exactly.
fn is_filled(message: &[u8]) -> bool {
    let mut rest = message.get(HEADER..).unwrap_or_default();
    while let &[_, _, high, low, ..] = rest {
        match rest.get(u16::from_be_bytes([high, low]).into()..) {
            Some(behind) if behind.len() + 4 <= rest.len() => rest = behind,
            _ => return false,
        }
    }
    rest.is_empty()
}

impl<R: Read> MessageFile<R> {
    /// Octets in memory: several of the longest messages.
    const BUFFER: usize = 256 << 10;

    /// Reads messages from `source`, which needs no buffering.
    pub fn new(source: R) -> Self {
        Self {
            source,
            buffer: vec![0; Self::BUFFER].into(),
            start: 0,
            end: 0,
            offset: 0,
            exhausted: false,
            delivered: 0,
            skipped: 0,
            suspect: None,
        }
    }

    /// The next piece, `None` at the end.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or ends inside a message; what was complete was delivered before.
    pub fn next_piece(&mut self) -> Result<Option<Piece<'_>>, MessageFileError> {
        self.consume(self.delivered);
        self.delivered = 0;
        loop {
            if let Some(length) = self.message()? {
                if self.skipped > 0 {
                    return Ok(Some(self.damage()));
                }
                self.delivered = length;
                return Ok(self.visible().get(..length).map(Piece::Message));
            }
            if self.visible().is_empty() {
                return self.end();
            }
            if self.skipped == 0 {
                self.suspect = match self.visible() {
                    octets @ &[0, 10, _, _, ..] => length(octets).map(|length| (self.offset, length as u64)),
                    // The beginning of a header.
                    [0] | [0, 10] | [0, 10, _] => Some((self.offset, HEADER as u64)),
                    _ => None,
                };
            }
            let behind = self.visible().iter().skip(1);
            let step = 1 + behind.take_while(|octet| **octet != 0).count();
            self.skipped += step as u64;
            self.consume(step);
        }
    }

    /// The length of the message at hand, if there is one.
    fn message(&mut self) -> Result<Option<usize>, MessageFileError> {
        self.fill(4)?;
        let Some(length) = length(self.visible()) else { return Ok(None) };
        self.fill(length + 2)?;
        let is_framed = match self.visible().get(length..) {
            Some([] | [0, 10, ..]) => true,
            // Damage behind a message that is where it has to be, and sound, is the next one's.
            Some(_) => self.skipped == 0 && self.visible().get(..length).is_some_and(is_filled),
            None => false,
        };
        Ok(is_framed.then_some(length))
    }

    /// Everything was delivered or skipped.
    fn end(&mut self) -> Result<Option<Piece<'_>>, MessageFileError> {
        match self.suspect.take() {
            Some((offset, needed)) if self.skipped > 0 && offset + needed > self.offset => {
                self.skipped = 0;
                Err(MessageFileError::CutOff { offset, needed, available: self.offset - offset })
            }
            _ if self.skipped > 0 => Ok(Some(self.damage())),
            _ => Ok(None),
        }
    }

    fn damage(&mut self) -> Piece<'static> {
        let octets = core::mem::take(&mut self.skipped);
        self.suspect = None;
        Piece::Damage { offset: self.offset - octets, octets }
    }

    fn visible(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    fn consume(&mut self, octets: usize) {
        let octets = octets.min(self.end - self.start);
        self.start += octets;
        self.offset += octets as u64;
    }

    /// Reads until so many octets, less than the buffer has, are visible or the file ends.
    fn fill(&mut self, wanted: usize) -> Result<(), MessageFileError> {
        if self.start + wanted > self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        while !self.exhausted && self.end - self.start < wanted {
            let space = self.buffer.get_mut(self.end..).unwrap_or_default();
            match self.source.read(space) {
                Ok(0) => self.exhausted = true,
                // A `Read` that claims more than it was given room for is not believed.
                Ok(octets) => self.end += octets.min(self.buffer.len() - self.end),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    let offset = self.offset + (self.end - self.start) as u64;
                    return Err(MessageFileError::Read { offset, error });
                }
            }
        }
        Ok(())
    }
}
