//! IPFIX, the standard that grew out of NetFlow v9 (RFC 7011).
//!
//! ```text
//! message header (16 octets)              Set
//!  0  version = 10     length              0  Set id           length, these 4 octets included
//!  4  export time, Unix seconds            4  id 2: template records
//!  8  sequence: data records sent before      id 3: options template records
//! 12  observation domain                      id 0, 1, 4..=255: reserved
//!                                             id 256 and up: data records of that template
//! ```

mod buffer;
mod framer;
mod scanner;

use crate::{
    error::{DecodeError, DecodeErrorKind, saturating_u32},
    set::RawSets,
    time::Timestamp,
    wire::{header_of, u16_in, u32_in},
};

pub use self::{
    framer::MessageFramer,
    scanner::{MessageScanner, Piece, begins_message},
};
pub use crate::set::Set;

/// The version number.
pub const VERSION: u16 = 10;
/// Octets of the message header.
pub const HEADER_LEN: usize = 16;
/// Set id of templates.
pub const TEMPLATE_SET: u16 = 2;
/// Set id of options templates.
pub const OPTIONS_TEMPLATE_SET: u16 = 3;

/// An IPFIX message, borrowed. [`Decoder`](crate::Decoder) does the rest; this layer is for looking.
///
/// ```
/// use netflow_codec::ipfix;
///
/// let datagram = [0, 10, 0, 20, 0x65, 0x53, 0xf1, 0, 0, 0, 0, 7, 0, 0, 0, 1, 1, 0, 0, 4];
/// let message = ipfix::Message::parse(&datagram)?;
/// assert_eq!((message.header().sequence(), message.header().observation_domain()), (7, 1));
/// assert_eq!(message.sets().next().unwrap()?.id(), 256);
/// # Ok::<(), netflow_codec::DecodeError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    header: &'a [u8; HEADER_LEN],
    octets: &'a [u8],
    trailing: usize,
}

impl<'a> Message<'a> {
    /// Checks the header. Octets behind the message's length are left alone, see [`Self::trailing_octets`].
    ///
    /// # Errors
    ///
    /// When the datagram is shorter than the header or than the length the header announces, that length is
    /// below 16, or the version is another one.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, DecodeError> {
        let message = Self::parse_lenient(datagram)?;
        message.length_fault().map_or(Ok(message), Err)
    }

    /// As [`Self::parse`], but takes what is there when the header announces more; [`Self::length_fault`] tells.
    ///
    /// # Errors
    ///
    /// When the datagram is shorter than the header, the length is below 16, or the version is another one.
    pub fn parse_lenient(datagram: &'a [u8]) -> Result<Self, DecodeError> {
        let (header, _) = header_of(datagram, VERSION)?;
        let length = u16_in(header, 2);
        if usize::from(length) < HEADER_LEN {
            let available = saturating_u32(datagram.len());
            return Err(DecodeError::new(0, DecodeErrorKind::MessageLength { length, available }));
        }
        let octets = datagram.get(..usize::from(length)).unwrap_or(datagram);
        Ok(Self { header, octets, trailing: datagram.len() - octets.len() })
    }

    /// The header.
    #[must_use]
    pub const fn header(&self) -> Header<'a> {
        Header(self.header)
    }

    /// What is wrong with the length, when the header announces more than there is.
    #[must_use]
    pub fn length_fault(&self) -> Option<DecodeError> {
        let length = self.header().length();
        let available = saturating_u32(self.octets.len());
        (u32::from(length) > available)
            .then(|| DecodeError::new(0, DecodeErrorKind::MessageLength { length, available }))
    }

    /// Octets of the datagram behind the message.
    #[must_use]
    pub const fn trailing_octets(&self) -> usize {
        self.trailing
    }

    /// The sets in order. A set length that cannot be is the last item, as an error.
    pub fn sets(&self) -> impl Iterator<Item = Result<Set<'a>, DecodeError>> + use<'a> {
        self.raw_sets(true)
    }

    pub(crate) const fn raw_sets(&self, strict: bool) -> RawSets<'a> {
        RawSets::new(self.octets, HEADER_LEN, strict)
    }
}

/// The header of a message (RFC 7011 section 3.1).
#[derive(Clone, Copy, Debug)]
pub struct Header<'a>(&'a [u8; HEADER_LEN]);

impl Header<'_> {
    /// Octets of the message, header included.
    #[must_use]
    pub const fn length(&self) -> u16 {
        u16_in(self.0, 2)
    }

    /// When the message was sent, in whole seconds.
    #[must_use]
    pub const fn export_time(&self) -> Timestamp {
        Timestamp::from_secs(u32_in(self.0, 4) as u64)
    }

    /// Data records sent before this message, options records included, modulo 2^32.
    #[must_use]
    pub const fn sequence(&self) -> u32 {
        u32_in(self.0, 8)
    }

    /// The observation domain.
    #[must_use]
    pub const fn observation_domain(&self) -> u32 {
        u32_in(self.0, 12)
    }
}
