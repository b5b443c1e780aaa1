//! NetFlow v6: v5, and what is around the packets.
//!
//! ```text
//! header (24 octets): that of v5, its last 2 octets reserved
//!
//! record (52 octets)
//!  0  the first 46 octets of a v5 record
//! 46  octets of encapsulation, input | output
//! 48  next hop within the peer
//! ```
//!
//! ```
//! # let datagram = [&[0, 6, 0, 1][..], &[0; 20], &[192, 0, 2, 1], &[0; 48]].concat();
//! let packet = netflow_codec::v6::Packet::parse(&datagram)?;
//! for record in packet.records() {
//!     println!("{} by way of {}", record.common().destination(), record.peer_next_hop());
//! }
//! # Ok::<(), netflow_codec::DecodeError>(())
//! ```

use core::net::{IpAddr, Ipv4Addr};

use crate::{
    error::{DecodeError, DecodeErrorKind},
    fixed::{self, layout, view::packet_of_records},
    flow::{FlowFields, FlowRecord},
    time::{ExportClock, SysUptime, Timestamp},
    v5,
    value::FieldView,
    wire::{header_of, u8_in, u16_in, u32_in},
};

/// The version number.
pub const VERSION: u16 = 6;
/// Octets of the header.
pub const HEADER_LEN: usize = 24;
/// Octets of a record.
pub const RECORD_LEN: usize = 52;
/// Records that a sender puts into one datagram at most.
pub const MAX_RECORDS: u16 = 27;

/// The header of a v6 datagram.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a>(&'a [u8; HEADER_LEN]);

impl Header<'_> {
    /// Flows exported before this datagram, modulo 2^32.
    #[must_use]
    pub const fn sequence(&self) -> u32 {
        u32_in(self.0, 16)
    }

    /// Type of the switching engine.
    #[must_use]
    pub const fn engine_type(&self) -> u8 {
        u8_in(self.0, 20)
    }

    /// Slot or number of the switching engine.
    #[must_use]
    pub const fn engine_id(&self) -> u8 {
        u8_in(self.0, 21)
    }
}

/// A v6 record.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a>(&'a [u8; RECORD_LEN]);

packet_of_records!(6);

impl<'a> Record<'a> {
    pub(crate) const fn new(octets: &'a [u8; RECORD_LEN]) -> Self {
        Self(octets)
    }

    /// What a v5 record has, too.
    #[must_use]
    pub const fn common(&self) -> v5::Record<'a> {
        v5::Record::beginning_of(self.0)
    }

    /// Octets of the encapsulation that the packets came in. No element stands for it.
    #[must_use]
    pub const fn input_encapsulation(&self) -> u8 {
        u8_in(self.0, 46)
    }

    /// Octets of the encapsulation that the packets left in. No element stands for it.
    #[must_use]
    pub const fn output_encapsulation(&self) -> u8 {
        u8_in(self.0, 47)
    }

    /// Next hop within the peer (element 18).
    #[must_use]
    pub const fn peer_next_hop(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(u32_in(self.0, 48))
    }

    /// The fields under the matching elements, in the order of the layout; padding is left out.
    pub fn fields(&self) -> impl Iterator<Item = FieldView<'a>> + use<'a> {
        fixed::fields(layout::V6_FIELDS, self.0)
    }

    /// The record, typed.
    #[must_use]
    pub fn to_flow(&self, clock: &ExportClock) -> FlowRecord {
        let mut flow = self.common().to_flow(clock);
        flow.fields |= FlowFields::BGP_NEXT_HOP;
        flow.bgp_next_hop = IpAddr::V4(self.peer_next_hop());
        flow
    }
}
