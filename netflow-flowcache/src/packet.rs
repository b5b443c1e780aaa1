//! What metering needs to know of a packet.

use core::net::{IpAddr, Ipv4Addr};

/// One observed packet, as a Metering Process sees it (RFC 7011 section 2).
///
/// Whoever captures packets fills this in; where the octets came from does not matter here. Start from
/// [`ObservedPacket::new`] and set what is known: everything else is zero, which means "not present".
///
/// ```
/// use core::net::{IpAddr, Ipv4Addr};
/// use netflow_flowcache::ObservedPacket;
///
/// let client = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
/// let server = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));
/// let mut packet = ObservedPacket::new(client, server, 6, 60);
/// packet.source_port = 49_152;
/// packet.destination_port = 443;
/// packet.tcp_flags = 0x02; // SYN
/// ```
// In this order no two of the members that make a key, and that are set one by one, are read as one word: that would wait
// until both have reached the cache.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
#[repr(C)]
pub struct ObservedPacket {
    /// Source address of the metered IP header (elements 8, 27).
    pub source: IpAddr,
    /// Destination address of the metered IP header (elements 12, 28).
    pub destination: IpAddr,
    /// Layer 3 octets: IP header and payload, no link layer, no padding of short frames (element 1).
    pub octets: u32,
    /// SNMP index of the interface the packet came in by, 0 when unknown (element 10).
    pub ingress_interface: u32,
    /// SNMP index of the interface the packet leaves by, 0 when unknown (element 14).
    pub egress_interface: u32,
    /// Where the packet was observed: packets of different domains are different flows, if the key says so (element
    /// 149).
    pub observation_domain: u32,
    /// AS of the source address, 0 when unknown (element 16).
    pub source_as: u32,
    /// AS of the destination address, 0 when unknown (element 17).
    pub destination_as: u32,
    /// How many packets this one stands for: 1, or the interval at which it was sampled. Only [`crate::Weighted`]
    /// looks at it.
    pub weight: u32,
    /// IPv6 flow label, 20 bits (element 31).
    pub ipv6_flow_label: u32,
    /// TCP flags, header bits 0..=8 with NS in bit 8; 0 for other protocols (element 6).
    pub tcp_flags: u16,
    /// Source port; 0 for protocols without ports and for non-first fragments (element 7).
    pub source_port: u16,
    /// Outer 802.1Q VLAN identifier, 0 when untagged (element 58).
    pub vlan: u16,
    /// Destination port; for ICMP and `ICMPv6` `type * 256 + code`, as v5 exports it; 0 for other protocols
    /// without ports and for non-first fragments (elements 11, 32, 139).
    pub destination_port: u16,
    /// Inner VLAN identifier of a `QinQ` frame, 0 when there is none (element 245).
    pub inner_vlan: u16,
    /// IP protocol, for IPv6 the one behind the extension headers (element 4).
    pub protocol: u8,
    /// 0 for an ingress flow, 1 for an egress flow (element 61).
    pub direction: u8,
    /// Time to live or hop limit (element 192).
    pub ttl: u8,
    /// IPv4 TOS or IPv6 traffic class octet (element 5).
    pub tos: u8,
    /// Whether and where the packet is a fragment.
    pub fragment: Fragment,
    /// Source MAC address, zero when the link has none (element 56).
    pub source_mac: [u8; 6],
    /// Destination MAC address, zero when the link has none (element 80).
    pub destination_mac: [u8; 6],
    /// The label stack, outermost first.
    pub mpls: MplsStack,
    /// Where the packet is sent next, unspecified when unknown (elements 15, 62).
    pub next_hop: IpAddr,
}

impl ObservedPacket {
    /// A packet of which only addresses, protocol and layer 3 octets are known.
    #[must_use]
    pub const fn new(source: IpAddr, destination: IpAddr, protocol: u8, octets: u32) -> Self {
        Self {
            source,
            destination,
            octets,
            ingress_interface: 0,
            egress_interface: 0,
            observation_domain: 0,
            source_as: 0,
            destination_as: 0,
            weight: 1,
            ipv6_flow_label: 0,
            source_port: 0,
            destination_port: 0,
            tcp_flags: 0,
            vlan: 0,
            inner_vlan: 0,
            protocol,
            tos: 0,
            ttl: 0,
            direction: 0,
            fragment: Fragment::Unfragmented,
            source_mac: [0; 6],
            destination_mac: [0; 6],
            mpls: MplsStack::EMPTY,
            next_hop: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        }
    }
}

/// Where in a fragmented datagram a packet stands.
// Complete by definition: a packet is one of these.
#[expect(clippy::exhaustive_enums, reason = "complete by definition")]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Fragment {
    /// A whole datagram.
    #[default]
    Unfragmented,
    /// The first fragment: it has the transport header.
    First,
    /// A later fragment: no transport header, so no ports.
    Later,
}

/// The MPLS label stack of a packet, outermost first, at most [`MplsStack::MAX_DEPTH`] entries kept.
///
/// An entry is the first three octets of the label stack entry as on the wire (RFC 3032 section 2.1): label
/// 20 bits, traffic class 3 bits, bottom of stack 1 bit (elements 70..=79).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct MplsStack {
    entries: [[u8; 3]; Self::MAX_DEPTH],
    depth: u8,
}

impl MplsStack {
    /// How many entries are kept; deeper ones are not.
    pub const MAX_DEPTH: usize = 3;
    /// No label.
    pub const EMPTY: Self = Self { entries: [[0; 3]; Self::MAX_DEPTH], depth: 0 };

    /// Adds an entry below the ones already there; does nothing when the stack is full.
    pub const fn push(&mut self, entry: [u8; 3]) {
        if let Some((slot, _)) = self.entries.split_at_mut(self.depth as usize).1.split_first_mut() {
            *slot = entry;
            self.depth += 1;
        }
    }

    /// The entries, outermost first.
    #[must_use]
    pub fn entries(&self) -> &[[u8; 3]] {
        self.entries.get(..usize::from(self.depth)).unwrap_or(&[])
    }
}
