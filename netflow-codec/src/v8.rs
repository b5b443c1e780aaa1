//! NetFlow v8: flows that the exporter has added up by a scheme of aggregation, IPv4 only.
//!
//! ```text
//! header (28 octets)                     schemes of routers (28, 32 or 40 octets)    of switches
//!  0  version = 8      count              0  flows                                    0  destination
//!  4  sysUpTime, milliseconds             4  packets                                     source (7, 8)
//!  8  Unix seconds                        8  octets                                      destination and source
//! 12  residual nanoseconds               12  first, sysUpTime                            port (8)
//! 16  flow sequence: records before      16  last, sysUpTime                             packets, octets
//! 20  engine type | engine id            20  what the scheme has, see below              first, last
//! 22  scheme | its version = 2                                                           output, input (7, 8)
//! 24  sampling interval | 0                                                               TOS, protocol (8)
//!                                                                                        TOS and number of packets
//!                                                                                        beyond the contract
//!                                                                                        router bypassed
//! ```
//!
//! | scheme | octets | fields behind the counters and times |
//! |---|---|---|
//! | 1 | 28 | source AS, destination AS, input, output |
//! | 2 | 28 | protocol, 3 octets of 0, source port, destination port |
//! | 3 | 32 | source prefix, its length, 0, source AS, input, 2 octets of 0 |
//! | 4 | 32 | destination prefix, its length, 0, destination AS, output, 2 octets of 0 |
//! | 5 | 40 | source prefix, destination prefix, length of the destination's, of the source's, 2 octets of 0, source AS, destination AS, input, output |
//! | 6, 7, 8 | 32, 40, 44 | those of switches: destination alone; both addresses; and ports |
//! | 9 | 32 | as 1, then TOS, 3 octets of 0 |
//! | 10 | 32 | protocol, TOS, 2 octets of 0, source port, destination port, input, output |
//! | 11, 12 | 32 | as 3 and 4, TOS in the place of the first 0 |
//! | 13 | 40 | as 5, TOS in the place of the first 0 |
//! | 14 | 40 | as 13, the protocol behind TOS, ports in the place of the AS numbers |
//!
//! Of both prefix lengths that of the destination stands first, as in cflowd and flow-tools; `JunOS` has them the
//! other way round unless it is told to be compliant with those.
//!
//! ```
//! use netflow_codec::v8;
//!
//! # let mut datagram = [&[0, 8, 0, 1][..], &[0; 18], &[1, 2, 0, 0, 0, 0], &[0, 0, 0, 3], &[0; 24]].concat();
//! # datagram[48..52].copy_from_slice(&[0xfd, 0xe8, 0xfd, 0xe9]);
//! let packet = v8::Packet::parse(&datagram)?;
//! assert_eq!(packet.header().aggregation(), v8::Aggregation::AS);
//! for record in packet.records() {
//!     println!("AS {:?} -> {:?}: {:?} flows", record.source_as(), record.destination_as(), record.flows());
//! }
//! # Ok::<(), netflow_codec::DecodeError>(())
//! ```

use core::net::Ipv4Addr;

use crate::{
    element::ElementId,
    error::DecodeError,
    fixed::{FixedRecord, FixedRecords},
    flow::FlowRecord,
    time::{ExportClock, SysUptime},
    v5,
    value::FieldView,
    wire::{header_of, u8_in, u16_in, u32_in},
};

/// The version number.
pub const VERSION: u16 = 8;
/// Octets of the header.
pub const HEADER_LEN: usize = 28;
/// The version of aggregation that the layouts are those of.
pub const AGGREGATION_VERSION: u8 = 2;

/// A scheme of aggregation.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Aggregation(u8);

impl Aggregation {
    /// AS numbers and interfaces.
    pub const AS: Self = Self(1);
    /// Protocol and ports.
    pub const PROTOCOL_PORT: Self = Self(2);
    /// Source prefix, its AS and interface.
    pub const SOURCE_PREFIX: Self = Self(3);
    /// Destination prefix, its AS and interface.
    pub const DESTINATION_PREFIX: Self = Self(4);
    /// Both prefixes, their AS numbers and interfaces.
    pub const PREFIX: Self = Self(5);
    /// Destination address, of switches.
    pub const DESTINATION: Self = Self(6);
    /// Both addresses, of switches.
    pub const SOURCE_DESTINATION: Self = Self(7);
    /// Addresses, protocol and ports, of switches.
    pub const FULL_FLOW: Self = Self(8);
    /// [`Self::AS`] and TOS.
    pub const TOS_AS: Self = Self(9);
    /// [`Self::PROTOCOL_PORT`], TOS and interfaces.
    pub const TOS_PROTOCOL_PORT: Self = Self(10);
    /// [`Self::SOURCE_PREFIX`] and TOS.
    pub const TOS_SOURCE_PREFIX: Self = Self(11);
    /// [`Self::DESTINATION_PREFIX`] and TOS.
    pub const TOS_DESTINATION_PREFIX: Self = Self(12);
    /// [`Self::PREFIX`] and TOS.
    pub const TOS_PREFIX: Self = Self(13);
    /// Both prefixes, TOS, protocol, ports and interfaces.
    pub const TOS_PREFIX_PORT: Self = Self(14);

    /// The scheme with this number.
    #[must_use]
    pub const fn from_number(number: u8) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// Octets of a record; `None` for a scheme that is not known.
    #[must_use]
    pub fn record_len(self) -> Option<usize> {
        crate::fixed::layout::v8(self.0).map(|(record_len, _)| record_len)
    }
}

/// A v8 datagram, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    header: &'a [u8; HEADER_LEN],
    records: FixedRecords<'a>,
}

impl<'a> Packet<'a> {
    /// Checks header and length.
    ///
    /// # Errors
    ///
    /// When the datagram is shorter than its header or than the records the header announces, of another version, or
    /// of a scheme that is not known.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, DecodeError> {
        let packet = Self::parse_lenient(datagram)?;
        packet.missing_records().map_or(Ok(packet), Err)
    }

    /// As [`Self::parse`], but takes the whole records that are there when the header announces more;
    /// [`Self::missing_records`] tells.
    ///
    /// # Errors
    ///
    /// When the datagram is shorter than its header, of another version, or of a scheme that is not known.
    pub fn parse_lenient(datagram: &'a [u8]) -> Result<Self, DecodeError> {
        let (header, _) = header_of(datagram, VERSION)?;
        Ok(Self { header, records: FixedRecords::parse(datagram)? })
    }

    /// The header.
    #[must_use]
    pub const fn header(&self) -> Header<'a> {
        Header(self.header)
    }

    /// The records in order.
    #[must_use]
    pub fn records(&self) -> impl ExactSizeIterator<Item = Record<'a>> + use<'a> {
        let aggregation = self.header().aggregation();
        self.records.iter().map(move |record| Record { aggregation, record })
    }

    /// The mismatch, when the header announces more records than the datagram holds.
    #[must_use]
    pub fn missing_records(&self) -> Option<DecodeError> {
        self.records.missing_records()
    }

    /// Octets behind the last record, which switches are known to send.
    #[must_use]
    pub fn trailing_octets(&self) -> u32 {
        self.records.trailing_octets()
    }
}

/// The header of a v8 datagram.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a>(&'a [u8; HEADER_LEN]);

impl Header<'_> {
    /// Records announced.
    #[must_use]
    pub const fn count(&self) -> u16 {
        u16_in(self.0, 2)
    }

    /// Records exported before this datagram, modulo 2^32.
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

    /// The scheme that all records of the datagram are of.
    #[must_use]
    pub const fn aggregation(&self) -> Aggregation {
        Aggregation(u8_in(self.0, 22))
    }

    /// The version of aggregation; the layouts are those of version 2.
    #[must_use]
    pub const fn aggregation_version(&self) -> u8 {
        u8_in(self.0, 23)
    }

    /// Mode and interval of sampling, in the form of v5; zeros unless the exporter samples.
    #[must_use]
    pub const fn sampling(&self) -> v5::SamplingHeader {
        v5::SamplingHeader::from_bits(u16_in(self.0, 24))
    }

    /// The reserved octets.
    #[must_use]
    pub const fn reserved(&self) -> u16 {
        u16_in(self.0, 26)
    }
}

/// A v8 record. What its scheme does not carry is `None`.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    aggregation: Aggregation,
    record: FixedRecord<'a>,
}

impl<'a> Record<'a> {
    /// The scheme.
    #[must_use]
    pub const fn aggregation(&self) -> Aggregation {
        self.aggregation
    }

    /// How many flows were added up (element 3); switches do not say.
    #[must_use]
    pub fn flows(&self) -> Option<u32> {
        self.number(3)
    }

    /// Packets (element 2).
    #[must_use]
    pub fn packets(&self) -> Option<u32> {
        self.number(2)
    }

    /// Layer 3 octets (element 1).
    #[must_use]
    pub fn octets(&self) -> Option<u32> {
        self.number(1)
    }

    /// Uptime of the first packet (element 22).
    #[must_use]
    pub fn first(&self) -> Option<SysUptime> {
        self.number(22).map(SysUptime::from_millis)
    }

    /// Uptime of the last packet (element 21).
    #[must_use]
    pub fn last(&self) -> Option<SysUptime> {
        self.number(21).map(SysUptime::from_millis)
    }

    /// Source address (element 8), or source prefix (element 44).
    #[must_use]
    pub fn source(&self) -> Option<Ipv4Addr> {
        self.number(8).or_else(|| self.number(44)).map(Ipv4Addr::from_bits)
    }

    /// Destination address (element 12), or destination prefix (element 45).
    #[must_use]
    pub fn destination(&self) -> Option<Ipv4Addr> {
        self.number(12).or_else(|| self.number(45)).map(Ipv4Addr::from_bits)
    }

    /// Length of the source prefix in bits (element 9).
    #[must_use]
    pub fn source_prefix_length(&self) -> Option<u8> {
        self.octet(9)
    }

    /// Length of the destination prefix in bits (element 13).
    #[must_use]
    pub fn destination_prefix_length(&self) -> Option<u8> {
        self.octet(13)
    }

    /// Source AS (element 16).
    #[must_use]
    pub fn source_as(&self) -> Option<u16> {
        self.word(16)
    }

    /// Destination AS (element 17).
    #[must_use]
    pub fn destination_as(&self) -> Option<u16> {
        self.word(17)
    }

    /// Input ifIndex (element 10).
    #[must_use]
    pub fn ingress_interface(&self) -> Option<u16> {
        self.word(10)
    }

    /// Output ifIndex (element 14).
    #[must_use]
    pub fn egress_interface(&self) -> Option<u16> {
        self.word(14)
    }

    /// Source port (element 7).
    #[must_use]
    pub fn source_port(&self) -> Option<u16> {
        self.word(7)
    }

    /// Destination port (element 11).
    #[must_use]
    pub fn destination_port(&self) -> Option<u16> {
        self.word(11)
    }

    /// IP protocol (element 4).
    #[must_use]
    pub fn protocol(&self) -> Option<u8> {
        self.octet(4)
    }

    /// TOS (element 5).
    #[must_use]
    pub fn tos(&self) -> Option<u8> {
        self.octet(5)
    }

    /// Switches: TOS of the packets that exceeded the contract. No element stands for it.
    #[must_use]
    pub fn exceeding_tos(&self) -> Option<u8> {
        self.beyond_contract()?.0.first().copied()
    }

    /// Switches: packets that exceeded the contract. No element stands for it.
    #[must_use]
    pub fn exceeding_packets(&self) -> Option<u32> {
        let (_, octets) = self.beyond_contract()?;
        octets.first_chunk().map(|octets| u32::from_be_bytes(*octets))
    }

    /// Switches: the router that was bypassed ("`router_sc`"). No element stands for it.
    #[must_use]
    pub fn bypassed_router(&self) -> Option<Ipv4Addr> {
        let (_, octets) = self.beyond_contract()?;
        octets.last_chunk::<4>().map(|octets| Ipv4Addr::from(*octets))
    }

    /// The record's octets, those without a meaning included.
    #[must_use]
    pub const fn octets_on_wire(&self) -> &'a [u8] {
        self.record.octets()
    }

    /// The fields under the matching elements, in the order of the layout; what no element stands for is left out.
    pub fn fields(&self) -> impl Iterator<Item = FieldView<'a>> + use<'a> {
        self.record.fields()
    }

    /// The record, typed; prefixes are the addresses of their networks. The number of flows has no member.
    #[must_use]
    pub fn to_flow(&self) -> FlowRecord {
        self.record.to_flow()
    }

    /// The clock of the datagram's header.
    #[must_use]
    pub const fn clock(&self) -> &ExportClock {
        self.record.clock()
    }

    /// The TOS beyond the contract and what follows it, and the last 8 octets.
    fn beyond_contract(&self) -> Option<(&'a [u8], &'a [u8])> {
        let octets = self.octets_on_wire();
        let tos = match self.aggregation {
            Aggregation::DESTINATION => 23,
            Aggregation::SOURCE_DESTINATION => 29,
            Aggregation::FULL_FLOW => 34,
            _ => return None,
        };
        Some((octets.get(tos..)?, octets.last_chunk::<8>()?))
    }

    fn field(&self, element: u16) -> Option<&'a [u8]> {
        let element = ElementId::iana(element);
        self.fields().find(|field| field.element() == element).map(|field| field.octets())
    }

    fn number(&self, element: u16) -> Option<u32> {
        self.field(element)?.first_chunk().map(|octets| u32::from_be_bytes(*octets))
    }

    fn word(&self, element: u16) -> Option<u16> {
        self.field(element)?.first_chunk().map(|octets| u16::from_be_bytes(*octets))
    }

    fn octet(&self, element: u16) -> Option<u8> {
        self.field(element)?.first().copied()
    }
}
