//! NetFlow v5: a fixed layout, IPv4 only.
//!
//! ```text
//! header (24 octets)                                record (48 octets)
//!  0  version = 5      count                         0  source address
//!  4  sysUpTime, milliseconds                        4  destination address
//!  8  Unix seconds                                   8  next hop
//! 12  residual nanoseconds                          12  input ifIndex    output ifIndex
//! 16  flow sequence: flows sent before              16  packets
//! 20  engine type | engine id | sampling            20  layer 3 octets
//!                                                   24  first, sysUpTime
//! sampling: 2 bits mode, 14 bits interval           28  last, sysUpTime
//!                                                   32  source port      destination port
//!                                                   36  0 | TCP flags | protocol | TOS
//!                                                   40  source AS        destination AS
//!                                                   44  source mask | destination mask | 0
//! ```
//!
//! ```
//! # let datagram = [&[0, 5, 0, 1][..], &[0; 20], &[192, 0, 2, 1], &[0; 44]].concat();
//! let packet = netflow_codec::v5::Packet::parse(&datagram)?;
//! for record in packet.records() {
//!     println!("{} -> {}: {} octets", record.source(), record.destination(), record.octets());
//! }
//! # Ok::<(), netflow_codec::DecodeError>(())
//! ```

mod builder;

use core::net::{IpAddr, Ipv4Addr};

use crate::{
    error::{DecodeError, DecodeErrorKind, EncodeError},
    fixed::{self, view::packet_of_records},
    flow::{FlowFields, FlowRecord},
    time::{ExportClock, SysUptime, Timestamp},
    value::FieldView,
    wire::{header_of, u8_in, u16_in, u32_in},
};

pub use builder::{HeaderFields, PacketBuilder};

/// The version number.
pub const VERSION: u16 = 5;
/// Octets of the header.
pub const HEADER_LEN: usize = 24;
/// Octets of a record.
pub const RECORD_LEN: usize = 48;
/// Records that a sender puts into one datagram at most.
pub const MAX_RECORDS: usize = 30;

packet_of_records!(5);

/// The header of a v5 datagram.
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

    /// Mode and interval of sampling.
    #[must_use]
    pub const fn sampling(&self) -> SamplingHeader {
        SamplingHeader(u16_in(self.0, 22))
    }
}

/// The sampling word of a v5 header: 2 bits mode, 14 bits interval.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct SamplingHeader(u16);

impl SamplingHeader {
    /// The largest interval that fits.
    pub const MAX_INTERVAL: u32 = 0x3fff;

    /// A mode and an interval.
    ///
    /// # Errors
    ///
    /// [`EncodeError::SamplingInterval`] for an interval above [`Self::MAX_INTERVAL`].
    pub fn new(mode: u8, interval: u32) -> Result<Self, EncodeError> {
        match u16::try_from(interval) {
            Ok(low) if interval <= Self::MAX_INTERVAL => Ok(Self(u16::from(mode & 3) << 14 | low)),
            _ => Err(EncodeError::SamplingInterval(interval)),
        }
    }

    /// From the 16 bits on the wire.
    #[must_use]
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// The 16 bits on the wire.
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// The mode: 0 none, 1 deterministic, 2 random.
    #[must_use]
    pub const fn mode(self) -> u8 {
        self.0.to_be_bytes()[0] >> 6
    }

    /// One packet in this many was sampled; 0 and 1 mean every packet.
    #[must_use]
    pub const fn interval(self) -> u16 {
        self.0 & 0x3fff
    }
}

/// A v5 record.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a>(&'a [u8; RECORD_LEN]);

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

    /// Uptime at the first packet (element 22).
    #[must_use]
    pub const fn first(&self) -> SysUptime {
        SysUptime::from_millis(u32_in(self.0, 24))
    }

    /// Uptime at the last packet (element 21).
    #[must_use]
    pub const fn last(&self) -> SysUptime {
        SysUptime::from_millis(u32_in(self.0, 28))
    }

    /// Source port (element 7).
    #[must_use]
    pub const fn source_port(&self) -> u16 {
        u16_in(self.0, 32)
    }

    /// Destination port, for ICMP `type * 256 + code` (element 11).
    #[must_use]
    pub const fn destination_port(&self) -> u16 {
        u16_in(self.0, 34)
    }

    /// TCP flags of all packets, combined by OR (element 6).
    #[must_use]
    pub const fn tcp_flags(&self) -> u8 {
        u8_in(self.0, 37)
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

    /// Source AS (element 16).
    #[must_use]
    pub const fn source_as(&self) -> u16 {
        u16_in(self.0, 40)
    }

    /// Destination AS (element 17).
    #[must_use]
    pub const fn destination_as(&self) -> u16 {
        u16_in(self.0, 42)
    }

    /// Source prefix length (element 9).
    #[must_use]
    pub const fn source_prefix_length(&self) -> u8 {
        u8_in(self.0, 44)
    }

    /// Destination prefix length (element 13).
    #[must_use]
    pub const fn destination_prefix_length(&self) -> u8 {
        u8_in(self.0, 45)
    }

    pub(crate) const fn new(octets: &'a [u8; RECORD_LEN]) -> Self {
        Self(octets)
    }

    /// The v5 record at the beginning of a longer one.
    pub(crate) const fn beginning_of(octets: &'a [u8; 52]) -> Self {
        match octets.first_chunk() {
            Some(record) => Self(record),
            None => Self(&[0; RECORD_LEN]),
        }
    }

    /// The fields under the matching elements, in the order of the layout; padding is left out.
    pub fn fields(&self) -> impl Iterator<Item = FieldView<'a>> + use<'a> {
        fixed::fields(fixed::layout::V5_FIELDS, self.0)
    }

    /// The record, typed.
    #[must_use]
    #[inline]
    pub fn to_flow(&self, clock: &ExportClock) -> FlowRecord {
        FlowRecord {
            fields: Self::FIELDS,
            octets: self.octets().into(),
            packets: self.packets().into(),
            start: clock.to_timestamp(self.first()),
            end: clock.to_timestamp(self.last()),
            ingress_interface: self.ingress_interface().into(),
            egress_interface: self.egress_interface().into(),
            source_as: self.source_as().into(),
            destination_as: self.destination_as().into(),
            source_port: self.source_port(),
            destination_port: self.destination_port(),
            tcp_flags: self.tcp_flags().into(),
            protocol: self.protocol(),
            tos: self.tos(),
            source_prefix_length: self.source_prefix_length(),
            destination_prefix_length: self.destination_prefix_length(),
            source: IpAddr::V4(self.source()),
            destination: IpAddr::V4(self.destination()),
            next_hop: IpAddr::V4(self.next_hop()),
            ..FlowRecord::EMPTY
        }
    }

    /// What a v5 record always carries.
    const FIELDS: FlowFields = FlowFields::OCTETS
        .union(FlowFields::PACKETS)
        .union(FlowFields::START)
        .union(FlowFields::END)
        .union(FlowFields::INGRESS_INTERFACE)
        .union(FlowFields::EGRESS_INTERFACE)
        .union(FlowFields::SOURCE_AS)
        .union(FlowFields::DESTINATION_AS)
        .union(FlowFields::SOURCE_PORT)
        .union(FlowFields::DESTINATION_PORT)
        .union(FlowFields::TCP_FLAGS)
        .union(FlowFields::PROTOCOL)
        .union(FlowFields::TOS)
        .union(FlowFields::SOURCE_PREFIX_LENGTH)
        .union(FlowFields::DESTINATION_PREFIX_LENGTH)
        .union(FlowFields::SOURCE)
        .union(FlowFields::DESTINATION)
        .union(FlowFields::NEXT_HOP);
}
