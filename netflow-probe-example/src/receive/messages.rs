//! IPFIX messages out of files (RFC 5655).

use std::io::{self, ErrorKind, Read};

use netflow_codec::ipfix::MessageScanner;
pub use netflow_codec::ipfix::{Piece, begins_message};

/// A file of IPFIX messages being read.
///
/// Memory is bounded whatever the file says. Behind damage it goes on with the next message that can be found, see
/// [`MessageScanner`].
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
    scanner: MessageScanner,
    /// Octets that were read and wait for room in the scanner.
    chunk: Box<[u8]>,
    start: usize,
    end: usize,
    octets_read: u64,
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

impl<R: Read> MessageFile<R> {
    const CHUNK: usize = 64 << 10;

    /// Reads messages from `source`, which needs no buffering.
    pub fn new(source: R) -> Self {
        let chunk = vec![0; Self::CHUNK].into();
        Self { source, scanner: MessageScanner::new(), chunk, start: 0, end: 0, octets_read: 0 }
    }

    /// The next piece, `None` at the end.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or ends inside a message; what was complete was delivered before.
    pub fn next_piece(&mut self) -> Result<Option<Piece<'_>>, MessageFileError> {
        while self.scanner.needs_input() {
            if self.start == self.end && !self.fill()? {
                self.scanner.finish();
                break;
            }
            let waiting = self.chunk.get(self.start..self.end).unwrap_or_default();
            self.start += self.scanner.handle_input(waiting);
        }
        match self.scanner.poll_piece() {
            Some(Piece::CutOff { offset, needed, available }) => {
                Err(MessageFileError::CutOff { offset, needed, available })
            }
            piece => Ok(piece),
        }
    }

    /// Reads the next chunk; whether there was one.
    fn fill(&mut self) -> Result<bool, MessageFileError> {
        loop {
            match self.source.read(&mut self.chunk) {
                // A `Read` that claims more than it was given room for is not believed.
                Ok(octets) => {
                    (self.start, self.end) = (0, octets.min(self.chunk.len()));
                    self.octets_read += self.end as u64;
                    return Ok(self.end > 0);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(MessageFileError::Read { offset: self.octets_read, error }),
            }
        }
    }
}
