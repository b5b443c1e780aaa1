//! What the table hands out, and how it keeps it.

use crate::{Counters, ExpireReason, MplsStack, ObservedPacket, Timestamp};

/// A flow that ended, with all that was metered of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ExpiredFlow<K> {
    /// What the packets have in common.
    pub key: K,
    /// What the packets add up to.
    pub counters: Counters,
    /// What the first packet had besides the key.
    pub first_packet: FirstPacket,
    /// Why the record ended (element 136).
    pub reason: ExpireReason,
}

/// Values that are not part of the key: they are those of the first packet of the record.
///
/// RFC 7012 section 5 asks for that: a value that changes within a flow does not begin a new one, and the first
/// is the one reported. Zero means "not present".
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct FirstPacket {
    /// SNMP index of the egress interface (element 14).
    pub egress_interface: u32,
    /// IPv6 flow label (element 31).
    pub ipv6_flow_label: u32,
    /// Outer 802.1Q VLAN identifier (element 58).
    pub vlan: u16,
    /// Inner VLAN identifier (element 245).
    pub inner_vlan: u16,
    /// Source MAC address (element 56).
    pub source_mac: [u8; 6],
    /// Destination MAC address (element 80).
    pub destination_mac: [u8; 6],
    /// Label stack (elements 70 to 79).
    pub mpls: MplsStack,
    /// IPv4 TOS or IPv6 traffic class octet, for keys that leave it out (element 5).
    pub tos: u8,
}

impl FirstPacket {
    /// What is kept of a packet that begins a record.
    #[inline]
    #[must_use]
    pub const fn of(packet: &ObservedPacket) -> Self {
        Self {
            egress_interface: packet.egress_interface,
            ipv6_flow_label: packet.ipv6_flow_label,
            vlan: packet.vlan,
            inner_vlan: packet.inner_vlan,
            source_mac: packet.source_mac,
            destination_mac: packet.destination_mac,
            mpls: packet.mpls,
            tos: packet.tos,
        }
    }
}

/// The part of a flow that each packet touches.
///
/// With [`crate::SevenTuple`] it has 96 octets; the alignment keeps it within two cache lines.
#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
pub(crate) struct Record<K> {
    pub(crate) key: K,
    octets: u64,
    packets: u64,
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    minimum_length: u32,
    maximum_length: u32,
    /// How often the table had been flushed when the record began.
    pub(crate) epoch: u32,
    pub(crate) tcp_flags: u16,
    minimum_ttl: u8,
    maximum_ttl: u8,
}

impl<K> Record<K> {
    #[inline]
    pub(crate) fn new(key: K, packet: &ObservedPacket, now: Timestamp, epoch: u32) -> Self {
        Self {
            key,
            octets: u64::from(packet.octets),
            packets: 1,
            first: now,
            last: now,
            minimum_length: packet.octets,
            maximum_length: packet.octets,
            epoch,
            tcp_flags: packet.tcp_flags,
            minimum_ttl: packet.ttl,
            maximum_ttl: packet.ttl,
        }
    }

    #[inline]
    pub(crate) fn add(&mut self, packet: &ObservedPacket, now: Timestamp) {
        self.octets = self.octets.saturating_add(u64::from(packet.octets));
        self.packets = self.packets.saturating_add(1);
        self.last = now;
        self.minimum_length = self.minimum_length.min(packet.octets);
        self.maximum_length = self.maximum_length.max(packet.octets);
        self.tcp_flags |= packet.tcp_flags;
        self.minimum_ttl = self.minimum_ttl.min(packet.ttl);
        self.maximum_ttl = self.maximum_ttl.max(packet.ttl);
    }

    pub(crate) fn counters(&self) -> Counters {
        Counters {
            octets: self.octets,
            packets: self.packets,
            first: self.first,
            last: self.last,
            minimum_length: self.minimum_length,
            maximum_length: self.maximum_length,
            tcp_flags: self.tcp_flags,
            minimum_ttl: self.minimum_ttl,
            maximum_ttl: self.maximum_ttl,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SevenTuple;

    #[test]
    fn sizes_are_the_documented_ones() {
        assert_eq!(size_of::<SevenTuple>(), 48);
        assert_eq!(size_of::<Record<SevenTuple>>(), 96);
        assert_eq!(size_of::<FirstPacket>(), 36);
    }
}
