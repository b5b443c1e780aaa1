//! NetFlow v7: the flows of Catalyst switches, v5 with the router that the switch bypassed.
//!
//! ```text
//! header (24 octets): that of v5 up to the sequence, then 4 octets reserved
//!
//! record (52 octets)
//!  0  the first 46 octets of a v5 record, but for octet 36:
//! 36  flags: which fields are not valid
//! 46  flags
//! 48  router that the switch bypassed
//! ```
//!
//! What the flow mask of the switch leaves out is zero.
//!
//! ```
//! # let datagram = [&[0, 7, 0, 1][..], &[0; 20], &[192, 0, 2, 1], &[0; 48]].concat();
//! let packet = netflow_codec::v7::Packet::parse(&datagram)?;
//! for record in packet.records() {
//!     println!("{} in the place of {}", record.common().source(), record.bypassed_router());
//! }
//! # Ok::<(), netflow_codec::DecodeError>(())
//! ```

use core::net::Ipv4Addr;

use crate::{
    error::{DecodeError, DecodeErrorKind},
    fixed::view::packet_of_records,
    flow::FlowRecord,
    time::{ExportClock, SysUptime, Timestamp},
    v5,
    value::FieldView,
    wire::{header_of, u8_in, u16_in, u32_in},
};

/// The version number.
pub const VERSION: u16 = 7;
/// Octets of the header.
pub const HEADER_LEN: usize = 24;
/// Octets of a record.
pub const RECORD_LEN: usize = 52;
/// Records that a sender puts into one datagram at most: 27 fit the MTU of Ethernet, some manuals say 30.
pub const MAX_RECORDS: u16 = 30;

/// The header of a v7 datagram.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a>(&'a [u8; HEADER_LEN]);

impl Header<'_> {
    /// Flows exported before this datagram, modulo 2^32.
    #[must_use]
    pub const fn sequence(&self) -> u32 {
        u32_in(self.0, 16)
    }

    /// The reserved octets; some readers take the first two for engine type and engine number.
    #[must_use]
    pub const fn reserved(&self) -> u32 {
        u32_in(self.0, 20)
    }
}

/// A v7 record.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a>(&'a [u8; RECORD_LEN]);

packet_of_records!(7);

impl<'a> Record<'a> {
    /// What a v5 record has, too.
    #[must_use]
    pub const fn common(&self) -> v5::Record<'a> {
        v5::Record::beginning_of(self.0)
    }

    /// Which fields are not valid. No element stands for it.
    #[must_use]
    pub const fn invalid_fields(&self) -> u8 {
        u8_in(self.0, 36)
    }

    /// More flags, in some manuals padding. No element stands for it.
    #[must_use]
    pub const fn flags(&self) -> u16 {
        u16_in(self.0, 46)
    }

    /// The router that the switch bypassed ("`router_sc`"). No element stands for it.
    #[must_use]
    pub const fn bypassed_router(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(u32_in(self.0, 48))
    }

    /// The fields under the matching elements, in the order of the layout; padding is left out.
    pub fn fields(&self) -> impl Iterator<Item = FieldView<'a>> + use<'a> {
        self.common().fields()
    }

    /// The record, typed.
    #[must_use]
    pub fn to_flow(&self, clock: &ExportClock) -> FlowRecord {
        self.common().to_flow(clock)
    }
}
