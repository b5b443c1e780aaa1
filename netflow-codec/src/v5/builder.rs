//! Building v5 datagrams.

use alloc::{boxed::Box, vec};
use core::net::IpAddr;

use bytes::BufMut;

use super::{HEADER_LEN, MAX_RECORDS, RECORD_LEN, SamplingHeader, VERSION};
use crate::{
    error::EncodeError,
    flow::FlowRecord,
    time::{ExportClock, SysUptime, Timestamp},
};

/// `AS_TRANS` (RFC 6793 section 9): what a 32-bit AS number is in a 16-bit field.
const AS_TRANS: u16 = 23_456;
/// ICMP.
const ICMP: u8 = 1;

/// Packs flows into v5 datagrams.
///
/// What v5 has no room for is narrowed: AS numbers above 65535 become 23456 (`AS_TRANS`), interface indexes above
/// 65535 become 0 (unknown), of TCP flags the low eight stay. A counter above 2^32 - 1 takes several records:
/// see [`PacketBuilder::records_for`]. ICMP type and code go into the destination port.
///
/// ```
/// use netflow_codec::{ExportClock, FlowRecord, SysUptime, Timestamp, v5};
///
/// let boot = Timestamp::from_secs(1_700_000_000);
/// let mut builder = v5::PacketBuilder::new(v5::MAX_RECORDS, boot);
/// let mut flow = FlowRecord::default();
/// flow.source = "192.0.2.1".parse().unwrap();
/// flow.octets = 1_500;
/// builder.push_flow(&flow, 0)?;
///
/// let clock = ExportClock::new(Timestamp::from_secs(1_700_000_060), SysUptime::from_millis(60_000));
/// let mut datagram = Vec::new();
/// builder.finish(&v5::HeaderFields::new(clock, 0), &mut datagram);
/// let packet = v5::Packet::parse(&datagram).unwrap();
/// assert_eq!(packet.records().next().unwrap().octets(), 1_500);
/// # Ok::<(), netflow_codec::EncodeError>(())
/// ```
#[derive(Clone, Debug)]
pub struct PacketBuilder {
    /// Room for the records of a full datagram; `count` of them are valid.
    records: Box<[[u8; RECORD_LEN]]>,
    count: u16,
    boot: Timestamp,
}

/// What the header of a datagram is to say.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct HeaderFields {
    /// Unix time and uptime now.
    pub clock: ExportClock,
    /// Flows exported before this datagram.
    pub sequence: u32,
    /// Type of the switching engine.
    pub engine_type: u8,
    /// Slot or number of the switching engine.
    pub engine_id: u8,
    /// Mode and interval of sampling.
    pub sampling: SamplingHeader,
}

impl HeaderFields {
    /// No engine, no sampling.
    #[must_use]
    pub const fn new(clock: ExportClock, sequence: u32) -> Self {
        Self { clock, sequence, engine_type: 0, engine_id: 0, sampling: SamplingHeader(0) }
    }
}

impl PacketBuilder {
    /// A builder of datagrams of at most `max_records` records (1 to 30), for an exporter that booted at `boot`.
    #[must_use]
    pub fn new(max_records: usize, boot: Timestamp) -> Self {
        Self { records: vec![[0; RECORD_LEN]; max_records.clamp(1, MAX_RECORDS)].into(), count: 0, boot }
    }

    /// Records pushed since the last [`Self::finish`].
    #[must_use]
    pub const fn count(&self) -> u16 {
        self.count
    }

    /// How many records a flow takes: more than one when a counter exceeds 2^32 - 1.
    #[must_use]
    #[inline]
    pub fn records_for(flow: &FlowRecord) -> u64 {
        let largest = flow.octets.max(flow.packets);
        // Nearly always, and a division less.
        if u32::try_from(largest).is_ok() { 1 } else { largest.div_ceil(u64::from(u32::MAX)) }
    }

    /// Adds the record number `part`, from 0, of a flow; the parts of a flow sum up to its counters.
    ///
    /// # Errors
    ///
    /// [`EncodeError::PacketFull`], or [`EncodeError::NotIpv4`] for a flow of IPv6. The builder is left as it was.
    #[inline]
    pub fn push_flow(&mut self, flow: &FlowRecord, part: u64) -> Result<(), EncodeError> {
        // First, so that a flow which fits in no datagram is not told to wait for the next one.
        let (IpAddr::V4(source), IpAddr::V4(destination)) = (flow.source, flow.destination) else {
            return Err(EncodeError::NotIpv4);
        };
        let Some(record) = self.records.get_mut(usize::from(self.count)) else {
            return Err(EncodeError::PacketFull);
        };
        let next_hop = match flow.next_hop {
            IpAddr::V4(next_hop) => next_hop.octets(),
            IpAddr::V6(_) => [0; 4],
        };
        let (packets, octets) = match (u32::try_from(flow.packets), u32::try_from(flow.octets)) {
            (Ok(packets), Ok(octets)) if part == 0 => (packets, octets),
            _ => {
                let parts = Self::records_for(flow);
                (share(flow.packets, part, parts), share(flow.octets, part, parts))
            }
        };
        let clock = ExportClock::new(self.boot, SysUptime::default());
        let destination_port = if flow.protocol == ICMP && flow.destination_port == 0 {
            flow.icmp_type_code
        } else {
            flow.destination_port
        };
        let interface = |index: u32| u16::try_from(index).unwrap_or(0).to_be_bytes();
        let as_number = |number: u32| u16::try_from(number).unwrap_or(AS_TRANS).to_be_bytes();

        let mut rest = record.as_mut_slice();
        rest.put_slice(&source.octets());
        rest.put_slice(&destination.octets());
        rest.put_slice(&next_hop);
        rest.put_slice(&interface(flow.ingress_interface));
        rest.put_slice(&interface(flow.egress_interface));
        rest.put_u32(packets);
        rest.put_u32(octets);
        rest.put_u32(clock.to_uptime(flow.start).as_millis());
        rest.put_u32(clock.to_uptime(flow.end).as_millis());
        rest.put_u16(flow.source_port);
        rest.put_u16(destination_port);
        // The first of these octets is unused, and so are the two at the end.
        rest.put_slice(&[0, flow.tcp_flags.to_be_bytes()[1], flow.protocol, flow.tos]);
        rest.put_slice(&as_number(flow.source_as));
        rest.put_slice(&as_number(flow.destination_as));
        rest.put_slice(&[flow.source_prefix_length, flow.destination_prefix_length, 0, 0]);
        self.count += 1;
        Ok(())
    }

    /// Writes the datagram, empties the builder and returns the datagram's octets.
    pub fn finish(&mut self, fields: &HeaderFields, buffer: &mut impl BufMut) -> usize {
        let mut header = [0; HEADER_LEN];
        let unix = fields.clock.unix();
        let mut rest = header.as_mut_slice();
        rest.put_u16(VERSION);
        rest.put_u16(self.count);
        rest.put_u32(fields.clock.uptime().as_millis());
        // The header has 32 bits: the year 2106.
        rest.put_u32(u32::try_from(unix.as_secs()).unwrap_or(u32::MAX));
        rest.put_u32(unix.subsec_nanos());
        rest.put_u32(fields.sequence);
        rest.put_u8(fields.engine_type);
        rest.put_u8(fields.engine_id);
        rest.put_u16(fields.sampling.bits());
        buffer.put_slice(&header);
        let records = self.records.get(..self.count.into()).unwrap_or(&[]).as_flattened();
        buffer.put_slice(records);
        let written = header.len() + records.len();
        self.count = 0;
        written
    }
}

/// The share of one of `parts` records, which all fit in 32 bits.
fn share(counter: u64, part: u64, parts: u64) -> u32 {
    let even = counter / parts;
    let share = if part < counter % parts { even + 1 } else { even };
    u32::try_from(share).unwrap_or(u32::MAX)
}
