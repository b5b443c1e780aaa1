//! What the table hands out.

use crate::{Counters, ExpireReason, MplsStack, ObservedPacket, SevenTuple};

/// A flow record that ended, with all that was metered of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ExpiredFlow<K = SevenTuple, X = ()> {
    /// What the packets have in common.
    pub key: K,
    /// What the packets add up to.
    pub counters: Counters,
    /// What else the table was asked to keep, see [`crate::Extra`].
    pub extra: X,
    /// Why the record ended (element 136).
    pub reason: ExpireReason,
}

/// Values that are not part of the key: they are those of the first packet of the record.
///
/// RFC 7012 section 5 asks for that: a value that changes within a flow does not begin a new one, and the first
/// is the one reported. Zero means "not present". An [`crate::Extra`] of 36 octets a flow.
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
    /// Direction (element 61).
    pub direction: u8,
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
            direction: packet.direction,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_the_documented_ones() {
        assert_eq!(size_of::<FirstPacket>(), 36);
    }
}
