//! NetFlow v1: the first fixed layout, IPv4 only; neither a sequence nor AS numbers.
//!
//! ```text
//! header (16 octets)                                record (48 octets)
//!  0  version = 1      count                         0  source address
//!  4  sysUpTime, milliseconds                        4  destination address
//!  8  Unix seconds                                   8  next hop
//! 12  residual nanoseconds                          12  input ifIndex    output ifIndex
//!                                                   16  packets
//!                                                   20  layer 3 octets
//!                                                   24  first, sysUpTime
//!                                                   28  last, sysUpTime
//!                                                   32  source port      destination port
//!                                                   36  0                protocol | TOS
//!                                                   40  TCP flags | retransmissions, their seconds, missequenced
//!                                                   44  0
//! ```
//!
//! ```
//! # let datagram = [&[0, 1, 0, 1][..], &[0; 12], &[192, 0, 2, 1], &[0; 44]].concat();
//! let packet = netflow_codec::v1::Packet::parse(&datagram)?;
//! for record in packet.records() {
//!     println!("{} -> {}: {} octets", record.source(), record.destination(), record.octets());
//! }
//! # Ok::<(), netflow_codec::DecodeError>(())
//! ```

use core::net::Ipv4Addr;

use crate::{
    error::{DecodeError, DecodeErrorKind},
    fixed::{self, layout, view::packet_of_records},
    flow::FlowRecord,
    member,
    time::{ExportClock, SysUptime, Timestamp},
    value::FieldView,
    wire::{header_of, u8_in, u16_in, u32_in},
};

/// The version number.
pub const VERSION: u16 = 1;
/// Octets of the header.
pub const HEADER_LEN: usize = 16;
/// Octets of a record.
pub const RECORD_LEN: usize = 48;
/// Records that a sender puts into one datagram at most.
pub const MAX_RECORDS: u16 = 24;

/// The header of a v1 datagram.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a>(&'a [u8; HEADER_LEN]);

/// A v1 record.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a>(&'a [u8; RECORD_LEN]);

packet_of_records!(1);

impl<'a> Record<'a> {
    /// Source address (element 8).
    #[must_use]
    pub const fn source(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(u32_in(self.0, 0))
    }

    /// Destination address (element 12).
    #[must_use]
    pub const fn destination(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(u32_in(self.0, 4))
    }

    /// Next hop router (element 15).
    #[must_use]
    pub const fn next_hop(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(u32_in(self.0, 8))
    }

    /// Input ifIndex (element 10).
    #[must_use]
    pub const fn ingress_interface(&self) -> u16 {
        u16_in(self.0, 12)
    }

    /// Output ifIndex (element 14).
    #[must_use]
    pub const fn egress_interface(&self) -> u16 {
        u16_in(self.0, 14)
    }

    /// Packets (element 2).
    #[must_use]
    pub const fn packets(&self) -> u32 {
        u32_in(self.0, 16)
    }

    /// Layer 3 octets (element 1).
    #[must_use]
    pub const fn octets(&self) -> u32 {
        u32_in(self.0, 20)
    }

    /// Uptime of the first packet (element 22).
    #[must_use]
    pub const fn first(&self) -> SysUptime {
        SysUptime::from_millis(u32_in(self.0, 24))
    }

    /// Uptime of the last packet (element 21).
    #[must_use]
    pub const fn last(&self) -> SysUptime {
        SysUptime::from_millis(u32_in(self.0, 28))
    }

    /// Source port (element 7).
    #[must_use]
    pub const fn source_port(&self) -> u16 {
        u16_in(self.0, 32)
    }

    /// Destination port (element 11); ICMP: `type * 256 + code`.
    #[must_use]
    pub const fn destination_port(&self) -> u16 {
        u16_in(self.0, 34)
    }

    /// IP protocol (element 4).
    #[must_use]
    pub const fn protocol(&self) -> u8 {
        u8_in(self.0, 38)
    }

    /// TOS (element 5).
    #[must_use]
    pub const fn tos(&self) -> u8 {
        u8_in(self.0, 39)
    }

    /// TCP flags of all packets, combined by OR (element 6).
    #[must_use]
    pub const fn tcp_flags(&self) -> u8 {
        u8_in(self.0, 40)
    }

    /// What old devices count of TCP: segments sent again, seconds in which that happened, segments out of sequence;
    /// elsewhere 0. No element stands for it.
    #[must_use]
    pub const fn tcp_troubles(&self) -> [u8; 3] {
        [u8_in(self.0, 41), u8_in(self.0, 42), u8_in(self.0, 43)]
    }

    /// The fields under the matching elements, in the order of the layout; padding is left out.
    pub fn fields(&self) -> impl Iterator<Item = FieldView<'a>> + use<'a> {
        fixed::fields(layout::V1_FIELDS, self.0)
    }

    /// The record, typed.
    #[must_use]
    pub fn to_flow(&self, clock: &ExportClock) -> FlowRecord {
        member::walk(self.fields().map(|field| (field.element(), field.octets())), clock)
    }
}
