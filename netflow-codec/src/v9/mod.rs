//! NetFlow v9 (RFC 3954): templates describe the records.
//!
//! ```text
//! packet header (20 octets)               FlowSet
//!  0  version = 9      count               0  FlowSet id       length, these 4 octets included
//!  4  sysUpTime, milliseconds              4  id 0: template records
//!  8  Unix seconds                            id 1: options template records
//! 12  sequence: packets sent before           id 2..=255: reserved
//! 16  source ID                               id 256 and up: data records of that template
//! ```
//!
//! The count is a hint (some exporters send the number of FlowSets); the datagram's length bounds what is read.

pub(crate) mod padding;

use crate::{
    error::DecodeError,
    set::RawSets,
    time::{ExportClock, SysUptime, Timestamp},
    wire::{header_of, u16_in, u32_in},
};

pub use crate::set::Set as FlowSet;

/// The version number.
pub const VERSION: u16 = 9;
/// Octets of the packet header.
pub const HEADER_LEN: usize = 20;
/// FlowSet id of templates.
pub const TEMPLATE_FLOWSET: u16 = 0;
/// FlowSet id of options templates.
pub const OPTIONS_TEMPLATE_FLOWSET: u16 = 1;

/// A v9 export packet, borrowed. [`Decoder`](crate::Decoder) does the rest; this layer is for looking.
///
/// ```
/// use netflow_codec::v9;
///
/// let datagram = [
///     0, 9, 0, 0, 0, 0, 0x27, 0x10, 0x65, 0x53, 0xf1, 0, 0, 0, 0, 0x4d, 0, 0, 0, 1, // header
///     0, 100, 0, 4, // a FlowSet of a reserved id, without a body
/// ];
/// let packet = v9::Packet::parse(&datagram)?;
/// assert_eq!(packet.header().sequence(), 0x4d);
/// let flowset = packet.flowsets().next().unwrap()?;
/// assert_eq!((flowset.id(), flowset.body().len()), (100, 0));
/// # Ok::<(), netflow_codec::DecodeError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    header: &'a [u8; HEADER_LEN],
    datagram: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Checks the header.
    ///
    /// # Errors
    ///
    /// When the datagram is shorter than its header, or of another version.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, DecodeError> {
        let (header, _) = header_of(datagram, VERSION)?;
        Ok(Self { header, datagram })
    }

    /// The packet header.
    #[must_use]
    pub const fn header(&self) -> Header<'a> {
        Header(self.header)
    }

    /// The FlowSets in order. A FlowSet length that cannot be is the last item, as an error.
    pub fn flowsets(&self) -> impl Iterator<Item = Result<FlowSet<'a>, DecodeError>> + use<'a> {
        self.raw_sets(true)
    }

    pub(crate) const fn raw_sets(&self, strict: bool) -> RawSets<'a> {
        RawSets::new(self.datagram, HEADER_LEN, strict)
    }
}

/// The header of a v9 packet (RFC 3954 section 5.1).
#[derive(Clone, Copy, Debug)]
pub struct Header<'a>(&'a [u8; HEADER_LEN]);

impl Header<'_> {
    /// Records in the packet: templates, options templates and data. A hint.
    #[must_use]
    pub const fn count(&self) -> u16 {
        u16_in(self.0, 2)
    }

    /// Unix time, in whole seconds, and uptime of sending.
    #[must_use]
    pub const fn clock(&self) -> ExportClock {
        ExportClock::new(
            Timestamp::from_secs(u32_in(self.0, 8) as u64),
            SysUptime::from_millis(u32_in(self.0, 4)),
        )
    }

    /// Export packets sent before this one, modulo 2^32.
    #[must_use]
    pub const fn sequence(&self) -> u32 {
        u32_in(self.0, 12)
    }

    /// The observation domain.
    #[must_use]
    pub const fn source_id(&self) -> u32 {
        u32_in(self.0, 16)
    }
}
