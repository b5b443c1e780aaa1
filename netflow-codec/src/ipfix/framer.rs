//! Messages out of a stream of octets, such as TCP (RFC 7011 section 10.4).
//!
//! ```text
//! +---------+--------+-----------------------+---------+--------+-----
//! |  00 0A  | length |  rest of the message  |  00 0A  | length |  ...
//! +---------+--------+-----------------------+---------+--------+-----
//! ```

use super::{HEADER_LEN, VERSION, buffer::Buffer};
use crate::{
    error::{DecodeError, DecodeErrorKind, saturating_u32},
    wire::u16_at,
};

/// Cuts a stream into messages by the length in their headers. It does no input of its own.
///
/// Hand octets in with [`Self::handle_input`], as few or as many as have come, then take messages out with
/// [`Self::poll_message`] until there is none. Memory is bounded by two of the longest messages.
///
/// A header that cannot be one (another version, a length below 16) means that the place of the next message is lost.
/// It is told once, and nothing comes out any more: close the session, as RFC 7011 section 9.1 allows, drop its
/// templates with [`TemplateCache::remove_exporter`](crate::TemplateCache), and [`Self::reset`] for the next one.
///
/// ```
/// use netflow_codec::ipfix::MessageFramer;
///
/// let message = [&[0, 10, 0, 20, 0x65, 0x53, 0xf1, 0][..], &[0; 8], &[1, 0, 0, 4]].concat();
/// let mut framer = MessageFramer::new();
/// // A message and a half have come.
/// let mut input = &[&message[..], &message[..10]].concat()[..];
/// let mut lengths = Vec::new();
/// while !input.is_empty() {
///     let taken = framer.handle_input(input);
///     input = &input[taken..];
///     while let Some(message) = framer.poll_message() {
///         lengths.push(message?.len());
///     }
/// }
/// assert_eq!(lengths, [20]);
/// assert_eq!(framer.buffered(), 10);
/// # Ok::<(), netflow_codec::DecodeError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct MessageFramer {
    buffer: Buffer<{ Self::CAPACITY }>,
    /// Octets of the message that was handed out last, still in the buffer.
    delivered: usize,
    messages: u64,
    has_failed: bool,
}

impl MessageFramer {
    /// Octets that are kept at most.
    pub const CAPACITY: usize = 2 << 16;

    /// A framer at the beginning of a stream.
    #[must_use]
    pub const fn new() -> Self {
        Self { buffer: Buffer::new(), delivered: 0, messages: 0, has_failed: false }
    }

    /// Takes octets of the stream; says how many of them. It takes fewer than all only when messages wait to be polled.
    ///
    /// Behind an error everything is taken and thrown away.
    #[must_use = "the octets that were not taken must be handed in again"]
    pub fn handle_input(&mut self, octets: &[u8]) -> usize {
        if self.has_failed {
            return octets.len();
        }
        self.forget_delivered();
        self.buffer.push(octets)
    }

    /// The next message that is there whole; `None` until more octets have come.
    ///
    /// An error is told once, at the place of the header that is wrong: [`DecodeErrorKind::UnsupportedVersion`] or
    /// [`DecodeErrorKind::MessageLength`]; its offset is 0, the beginning of what would be the message.
    pub fn poll_message(&mut self) -> Option<Result<&[u8], DecodeError>> {
        self.forget_delivered();
        let length = match announced_length(self.buffer.visible()) {
            Ok(length) => length?,
            Err(error) => {
                self.buffer.clear();
                self.has_failed = true;
                return Some(Err(error));
            }
        };
        self.delivered = self.buffer.visible().get(..length)?.len();
        self.messages += 1;
        self.buffer.visible().get(..length).map(Ok)
    }

    /// Octets that wait for the rest of their message.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.buffer.visible().len() - self.delivered
    }

    /// Messages that were handed out.
    #[must_use]
    pub const fn messages(&self) -> u64 {
        self.messages
    }

    /// Whether the place of the next message is lost.
    #[must_use]
    pub const fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// The stream has ended.
    ///
    /// # Errors
    ///
    /// [`DecodeErrorKind::Truncated`] when it ends inside a message.
    pub fn finish(&self) -> Result<(), DecodeError> {
        let rest = self.buffer.visible().get(self.delivered..).unwrap_or(&[]);
        if rest.is_empty() {
            return Ok(());
        }
        let needed = announced_length(rest).ok().flatten().unwrap_or(HEADER_LEN);
        Err(DecodeError::truncated(0, needed, rest.len()))
    }

    /// Begins anew, for the next session.
    pub fn reset(&mut self) {
        self.buffer.clear();
        self.delivered = 0;
        self.has_failed = false;
    }

    fn forget_delivered(&mut self) {
        self.buffer.consume(core::mem::take(&mut self.delivered));
    }
}

/// The length in the header that the octets begin with, once it has come.
fn announced_length(octets: &[u8]) -> Result<Option<usize>, DecodeError> {
    match u16_at(octets, 0) {
        None => return Ok(None),
        Some(VERSION) => {}
        Some(other) => return Err(DecodeError::new(0, DecodeErrorKind::UnsupportedVersion(other))),
    }
    let Some(length) = u16_at(octets, 2) else { return Ok(None) };
    if usize::from(length) < HEADER_LEN {
        let available = saturating_u32(octets.len());
        return Err(DecodeError::new(0, DecodeErrorKind::MessageLength { length, available }));
    }
    Ok(Some(length.into()))
}
