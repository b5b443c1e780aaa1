//! Messages out of files (RFC 5655): one behind the other, each framed by its own length.

use super::{HEADER_LEN, buffer::Buffer};

/// Finds the messages of a file, damaged or not. It does no input of its own.
///
/// Hand the file in with [`Self::handle_input`], take pieces out with [`Self::poll_piece`] until there is none, and say
/// with [`Self::finish`] that the file has ended. All messages of a file are one session: decode them with a decoder
/// [over](crate::Decoder::over) a [`Transport`](crate::Transport) that obeys withdrawals.
///
/// Memory is bounded whatever the file says. Behind damage it goes on with the next message that can be found as
/// RFC 5655 section 10.3 says: octets 00 0A and a length, and at its end again 00 0A or the end of the file.
///
/// ```
/// use netflow_codec::ipfix::{MessageScanner, Piece};
///
/// let message = [&[0, 10, 0, 16, 0x65, 0x53, 0xf1, 0][..], &[0; 8]].concat();
/// let file = [&message[..], b"damage", &message].concat();
/// let mut scanner = MessageScanner::new();
/// assert_eq!(scanner.handle_input(&file), file.len());
/// scanner.finish();
/// assert_eq!(scanner.poll_piece(), Some(Piece::Message(&message)));
/// assert_eq!(scanner.poll_piece(), Some(Piece::Damage { offset: 16, octets: 6 }));
/// assert_eq!(scanner.poll_piece(), Some(Piece::Message(&message)));
/// assert_eq!(scanner.poll_piece(), None);
/// ```
#[derive(Clone, Debug, Default)]
pub struct MessageScanner {
    buffer: Buffer<{ Self::CAPACITY }>,
    /// Where in the file the octets in the buffer begin.
    offset: u64,
    has_ended: bool,
    /// Octets of the message that was handed out last, still in the buffer.
    delivered: usize,
    skipped: u64,
    /// What looked like a message where one had to begin: its place and length.
    suspect: Option<(u64, u64)>,
}

/// A piece of a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
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
    /// The file ends inside a message.
    CutOff {
        /// Where the message begins, in octets from the beginning of the file.
        offset: u64,
        /// Octets that the message has according to its header.
        needed: u64,
        /// Octets that the file still has.
        available: u64,
    },
}

/// Whether a file that begins with these octets is one of IPFIX messages. No capture file begins so.
///
/// ```
/// use netflow_codec::ipfix::begins_message;
///
/// assert!(begins_message(&[0, 10, 0, 16]));
/// assert!(!begins_message(&[0, 10, 0, 15]), "shorter than a header");
/// assert!(!begins_message(&[0xd4, 0xc3, 0xb2, 0xa1]), "pcap");
/// ```
#[must_use]
pub fn begins_message(octets: &[u8]) -> bool {
    length(octets).is_some()
}

/// The length in a message header that begins with these octets, if they can be one.
fn length(octets: &[u8]) -> Option<usize> {
    let &[0, 10, high, low, ..] = octets else { return None };
    Some(u16::from_be_bytes([high, low]).into()).filter(|length| *length >= HEADER_LEN)
}

/// Whether sets fill a message exactly.
fn is_filled(message: &[u8]) -> bool {
    let mut rest = message.get(HEADER_LEN..).unwrap_or_default();
    while let &[_, _, high, low, ..] = rest {
        match rest.get(u16::from_be_bytes([high, low]).into()..) {
            Some(behind) if behind.len() + 4 <= rest.len() => rest = behind,
            _ => return false,
        }
    }
    rest.is_empty()
}

/// What stands at the beginning of the buffer.
enum Found {
    Message(usize),
    Nothing,
    /// That depends on octets that have not come.
    Unknown,
}

impl MessageScanner {
    /// Octets that are kept at most: several of the longest messages.
    pub const CAPACITY: usize = 4 << 16;

    /// A scanner at the beginning of a file.
    #[must_use]
    pub const fn new() -> Self {
        Self { buffer: Buffer::new(), offset: 0, has_ended: false, delivered: 0, skipped: 0, suspect: None }
    }

    /// Takes octets of the file; says how many of them. It takes fewer than all only when pieces wait to be polled.
    #[must_use = "the octets that were not taken must be handed in again"]
    pub fn handle_input(&mut self, octets: &[u8]) -> usize {
        self.forget_delivered();
        self.buffer.push(octets)
    }

    /// The file has no more octets.
    pub const fn finish(&mut self) {
        self.has_ended = true;
    }

    /// Whether [`Self::poll_piece`] gives nothing until more octets have come, or the file has ended.
    pub fn needs_input(&mut self) -> bool {
        self.forget_delivered();
        loop {
            match self.look() {
                Found::Unknown => return true,
                Found::Nothing if !self.buffer.visible().is_empty() => self.skip(),
                _ => return false,
            }
        }
    }

    /// The next piece; `None` until more octets have come, and at the end.
    pub fn poll_piece(&mut self) -> Option<Piece<'_>> {
        if self.needs_input() {
            return None;
        }
        match self.look() {
            Found::Message(_) if self.skipped > 0 => Some(self.damage()),
            Found::Message(length) => {
                self.delivered = length;
                self.buffer.visible().get(..length).map(Piece::Message)
            }
            _ => self.end(),
        }
    }

    fn look(&self) -> Found {
        let visible = self.buffer.visible();
        let needs_more = |octets: usize| visible.len() < octets && !self.has_ended;
        if needs_more(4) {
            return Found::Unknown;
        }
        let Some(length) = length(visible) else { return Found::Nothing };
        if needs_more(length + 2) {
            return Found::Unknown;
        }
        match visible.split_at_checked(length) {
            Some((_, [] | [0, 10, ..])) => Found::Message(length),
            // Damage behind a message that is where it has to be, and sound, is the next one's.
            Some((message, _)) if self.skipped == 0 && is_filled(message) => Found::Message(length),
            _ => Found::Nothing,
        }
    }

    /// Goes on to the next octet that can begin a message.
    fn skip(&mut self) {
        let visible = self.buffer.visible();
        if self.skipped == 0 {
            self.suspect = match visible {
                octets @ &[0, 10, _, _, ..] => length(octets).map(|length| (self.offset, length as u64)),
                // The beginning of a header.
                [0] | [0, 10] | [0, 10, _] => Some((self.offset, HEADER_LEN as u64)),
                _ => None,
            };
        }
        let step = 1 + visible.iter().skip(1).take_while(|octet| **octet != 0).count();
        self.skipped += step as u64;
        self.consume(step);
    }

    /// Everything was handed out or skipped.
    fn end(&mut self) -> Option<Piece<'static>> {
        match self.suspect.take() {
            Some((offset, needed)) if self.skipped > 0 && offset + needed > self.offset => {
                self.skipped = 0;
                Some(Piece::CutOff { offset, needed, available: self.offset - offset })
            }
            _ => (self.skipped > 0).then(|| self.damage()),
        }
    }

    fn damage(&mut self) -> Piece<'static> {
        let octets = core::mem::take(&mut self.skipped);
        self.suspect = None;
        Piece::Damage { offset: self.offset - octets, octets }
    }

    fn forget_delivered(&mut self) {
        let delivered = core::mem::take(&mut self.delivered);
        self.consume(delivered);
    }

    fn consume(&mut self, octets: usize) {
        self.offset += self.buffer.consume(octets) as u64;
    }
}
