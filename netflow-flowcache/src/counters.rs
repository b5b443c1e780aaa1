//! What a flow adds up over its packets.

use crate::Timestamp;

/// The counters of one flow record: what its packets add up to.
///
/// They are delta counters: they begin at zero with each record, so the records of a long flow sum to its total
/// (RFC 7012 section 3.2.3). Nothing is scaled by a sampling interval.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct Counters {
    /// Layer 3 octets of all packets (element 1). A record ends before this would pass `u64::MAX`.
    pub octets: u64,
    /// Packets; a fragment counts as one (element 2). A record ends before this would pass 2^48 - 1.
    pub packets: u64,
    /// Time of the first packet (elements 150 to 157, 21/22).
    pub first: Timestamp,
    /// Time of the last packet, never before `first` (elements 150 to 157, 21/22).
    pub last: Timestamp,
    /// Octets of the smallest packet (element 25).
    pub minimum_length: u32,
    /// Octets of the largest packet, 2^24 - 1 for all that are larger (element 26).
    pub maximum_length: u32,
    /// SNMP index of the interface that the first packet left by (element 14).
    pub egress_interface: u32,
    /// TCP flags of all packets together, by OR; NS in bit 8; 0 for other protocols (element 6).
    pub tcp_flags: u16,
    /// Smallest TTL or hop limit (element 52).
    pub minimum_ttl: u8,
    /// Largest TTL or hop limit (element 53).
    pub maximum_ttl: u8,
    /// Whether the first fragment of a datagram was among the packets (element 197).
    pub first_fragments: bool,
    /// Whether a later fragment of a datagram was among the packets (element 88).
    pub later_fragments: bool,
}
