//! The typed flow record: what most users want of a data record.

use core::{
    net::{IpAddr, Ipv4Addr},
    ops::{BitOr, BitOrAssign},
};

use crate::time::Timestamp;

/// A flow, typed. `Copy`, no allocation.
///
/// Members that the record did not carry are zero ("unspecified" for addresses); [`FlowRecord::has`] tells
/// such a zero from one that was sent. Every member names the elements it comes from; where a template has
/// several of them, the one named first wins.
///
/// ```
/// use netflow_codec::{FlowFields, FlowRecord};
///
/// let mut flow = FlowRecord::default();
/// flow.source = "192.0.2.1".parse().unwrap();
/// flow.source_port = 49_152;
/// flow.fields |= FlowFields::SOURCE | FlowFields::SOURCE_PORT;
/// assert!(flow.has(FlowFields::SOURCE_PORT));
/// assert!(!flow.has(FlowFields::DESTINATION_PORT));
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[non_exhaustive]
pub struct FlowRecord {
    /// Which members the record carried.
    pub fields: FlowFields,
    /// Octets in the flow as metered, not scaled by the sampling interval.
    ///
    /// Elements octetDeltaCount (1), octetTotalCount (85), postOctetDeltaCount (23), initiatorOctets (231).
    pub octets: u64,
    /// Packets in the flow as metered, not scaled by the sampling interval.
    ///
    /// Elements packetDeltaCount (2), packetTotalCount (86), postPacketDeltaCount (24), initiatorPackets (298).
    pub packets: u64,
    /// When the first packet was observed.
    ///
    /// Elements 156 (nanoseconds), 154 (microseconds), 152 (milliseconds), 150 (seconds), 158 (microseconds before
    /// the export time), 22 (uptime; in IPFIX only where element 160 tells when the exporter booted).
    pub start: Timestamp,
    /// When the last packet was observed.
    ///
    /// Elements 157 (nanoseconds), 155 (microseconds), 153 (milliseconds), 151 (seconds), 159, 21, likewise.
    pub end: Timestamp,
    /// SNMP index of the interface the packets came in by. Element ingressInterface (10).
    pub ingress_interface: u32,
    /// SNMP index of the interface the packets left by. Element egressInterface (14).
    pub egress_interface: u32,
    /// Source AS, origin or peer as the exporter is configured. Element bgpSourceAsNumber (16).
    pub source_as: u32,
    /// Destination AS. Element bgpDestinationAsNumber (17).
    pub destination_as: u32,
    /// IPv6 flow label, 20 bits. Element flowLabelIPv6 (31).
    pub ipv6_flow_label: u32,
    /// Which sampler selected the packets. Elements samplerId (48), selectorId (302).
    pub sampler_id: u32,
    /// A sampling interval carried in the data record itself, as some vendors do. Element
    /// samplingInterval (34).
    pub sampling_interval: u32,
    /// Identification of fragments. Element fragmentIdentification (54).
    pub fragment_identification: u32,
    /// Source port. Elements sourceTransportPort (7), udpSourcePort (180), tcpSourcePort (182).
    pub source_port: u16,
    /// Destination port. Elements destinationTransportPort (11), udpDestinationPort (181),
    /// tcpDestinationPort (183). v5 carries ICMP `type * 256 + code` here.
    pub destination_port: u16,
    /// TCP flags of all packets, combined by OR; header bits 0..=8 with NS in bit 8. Element tcpControlBits (6).
    pub tcp_flags: u16,
    /// VLAN on the way in. Elements vlanId (58), dot1qVlanId (243).
    pub vlan: u16,
    /// VLAN on the way out. Elements postVlanId (59), postDot1qVlanId (254).
    pub post_vlan: u16,
    /// ICMP `type * 256 + code`. Elements icmpTypeCodeIPv4 (32), icmpTypeCodeIPv6 (139).
    pub icmp_type_code: u16,
    /// IP protocol. Element protocolIdentifier (4).
    pub protocol: u8,
    /// TOS or traffic class octet. Element ipClassOfService (5).
    pub tos: u8,
    /// Source prefix length in bits. Elements sourceIPv4PrefixLength (9), sourceIPv6PrefixLength (29); 29
    /// goes first in IPv6 records.
    pub source_prefix_length: u8,
    /// Destination prefix length in bits. Elements 13 and 30, likewise.
    pub destination_prefix_length: u8,
    /// 0 ingress, 1 egress. Element flowDirection (61).
    pub direction: u8,
    /// Why the flow was exported. Element flowEndReason (136).
    pub flow_end_reason: u8,
    /// Smallest time to live. Elements minimumTTL (52), ipTTL (192).
    pub minimum_ttl: u8,
    /// Largest time to live. Element maximumTTL (53).
    pub maximum_ttl: u8,
    /// What the device did with the packets. Element forwardingStatus (89).
    pub forwarding_status: u8,
    /// Source address. Elements sourceIPv4Address (8), sourceIPv6Address (27); where a record has both, the
    /// one that is not zero; of two such, the first one.
    pub source: IpAddr,
    /// Destination address. Elements destinationIPv4Address (12), destinationIPv6Address (28), likewise.
    pub destination: IpAddr,
    /// Next hop router. Elements ipNextHopIPv4Address (15), ipNextHopIPv6Address (62), likewise.
    pub next_hop: IpAddr,
    /// BGP next hop. Elements bgpNextHopIPv4Address (18), bgpNextHopIPv6Address (63), likewise.
    pub bgp_next_hop: IpAddr,
    /// Source MAC address on the way in. Element sourceMacAddress (56).
    pub source_mac: [u8; 6],
    /// Destination MAC address. Elements destinationMacAddress (80), postDestinationMacAddress (57).
    pub destination_mac: [u8; 6],
    /// MPLS labels. Elements mplsTopLabelStackSection to mplsLabelStackSection10 (70..=79).
    pub mpls_labels: MplsLabels,
}

const UNSPECIFIED: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

impl FlowRecord {
    /// A record of zeros.
    pub const EMPTY: Self = Self {
        fields: FlowFields::NONE,
        octets: 0,
        packets: 0,
        start: Timestamp::ZERO,
        end: Timestamp::ZERO,
        ingress_interface: 0,
        egress_interface: 0,
        source_as: 0,
        destination_as: 0,
        ipv6_flow_label: 0,
        sampler_id: 0,
        sampling_interval: 0,
        fragment_identification: 0,
        source_port: 0,
        destination_port: 0,
        tcp_flags: 0,
        vlan: 0,
        post_vlan: 0,
        icmp_type_code: 0,
        protocol: 0,
        tos: 0,
        source_prefix_length: 0,
        destination_prefix_length: 0,
        direction: 0,
        flow_end_reason: 0,
        minimum_ttl: 0,
        maximum_ttl: 0,
        forwarding_status: 0,
        source: UNSPECIFIED,
        destination: UNSPECIFIED,
        next_hop: UNSPECIFIED,
        bgp_next_hop: UNSPECIFIED,
        source_mac: [0; 6],
        destination_mac: [0; 6],
        mpls_labels: MplsLabels::EMPTY,
    };

    /// Whether the record carried all of these members.
    #[must_use]
    pub const fn has(&self, fields: FlowFields) -> bool {
        self.fields.contains(fields)
    }

    /// Whether the flow's addresses are IPv6.
    #[must_use]
    pub const fn is_ipv6(&self) -> bool {
        self.source.is_ipv6() || self.destination.is_ipv6()
    }
}

impl Default for FlowRecord {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// A set of members of [`FlowRecord`].
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
pub struct FlowFields(u64);

macro_rules! flow_fields {
    ($($(#[$doc:meta])* $name:ident = $bit:literal,)*) => {
        impl FlowFields {
            $($(#[$doc])* pub const $name: Self = Self(1 << $bit);)*
        }
    };
}

flow_fields! {
    /// [`FlowRecord::octets`].
    OCTETS = 0,
    /// [`FlowRecord::packets`].
    PACKETS = 1,
    /// [`FlowRecord::start`].
    START = 2,
    /// [`FlowRecord::end`].
    END = 3,
    /// [`FlowRecord::ingress_interface`].
    INGRESS_INTERFACE = 4,
    /// [`FlowRecord::egress_interface`].
    EGRESS_INTERFACE = 5,
    /// [`FlowRecord::source_as`].
    SOURCE_AS = 6,
    /// [`FlowRecord::destination_as`].
    DESTINATION_AS = 7,
    /// [`FlowRecord::ipv6_flow_label`].
    IPV6_FLOW_LABEL = 8,
    /// [`FlowRecord::sampler_id`].
    SAMPLER_ID = 9,
    /// [`FlowRecord::sampling_interval`].
    SAMPLING_INTERVAL = 10,
    /// [`FlowRecord::fragment_identification`].
    FRAGMENT_IDENTIFICATION = 11,
    /// [`FlowRecord::source_port`].
    SOURCE_PORT = 12,
    /// [`FlowRecord::destination_port`].
    DESTINATION_PORT = 13,
    /// [`FlowRecord::tcp_flags`].
    TCP_FLAGS = 14,
    /// [`FlowRecord::vlan`].
    VLAN = 15,
    /// [`FlowRecord::post_vlan`].
    POST_VLAN = 16,
    /// [`FlowRecord::icmp_type_code`].
    ICMP_TYPE_CODE = 17,
    /// [`FlowRecord::protocol`].
    PROTOCOL = 18,
    /// [`FlowRecord::tos`].
    TOS = 19,
    /// [`FlowRecord::source_prefix_length`].
    SOURCE_PREFIX_LENGTH = 20,
    /// [`FlowRecord::destination_prefix_length`].
    DESTINATION_PREFIX_LENGTH = 21,
    /// [`FlowRecord::direction`].
    DIRECTION = 22,
    /// [`FlowRecord::flow_end_reason`].
    FLOW_END_REASON = 23,
    /// [`FlowRecord::minimum_ttl`].
    MINIMUM_TTL = 24,
    /// [`FlowRecord::maximum_ttl`].
    MAXIMUM_TTL = 25,
    /// [`FlowRecord::forwarding_status`].
    FORWARDING_STATUS = 26,
    /// [`FlowRecord::source`].
    SOURCE = 27,
    /// [`FlowRecord::destination`].
    DESTINATION = 28,
    /// [`FlowRecord::next_hop`].
    NEXT_HOP = 29,
    /// [`FlowRecord::bgp_next_hop`].
    BGP_NEXT_HOP = 30,
    /// [`FlowRecord::source_mac`].
    SOURCE_MAC = 31,
    /// [`FlowRecord::destination_mac`].
    DESTINATION_MAC = 32,
    /// [`FlowRecord::mpls_labels`].
    MPLS_LABELS = 33,
}

impl FlowFields {
    /// No member.
    pub const NONE: Self = Self(0);

    /// Whether all of `fields` are in this set.
    #[must_use]
    pub const fn contains(self, fields: Self) -> bool {
        self.0 & fields.0 == fields.0
    }

    /// This set less `fields`.
    #[must_use]
    pub const fn without(self, fields: Self) -> Self {
        Self(self.0 & !fields.0)
    }

    /// This set and `fields`.
    #[must_use]
    pub const fn union(self, fields: Self) -> Self {
        Self(self.0 | fields.0)
    }
}

impl BitOr for FlowFields {
    type Output = Self;

    fn bitor(self, fields: Self) -> Self {
        self.union(fields)
    }
}

impl BitOrAssign for FlowFields {
    fn bitor_assign(&mut self, fields: Self) {
        *self = self.union(fields);
    }
}

/// A stack of MPLS labels, outermost first.
///
/// Each entry is three octets as on the wire: label 20 bits, traffic class 3 bits, bottom of stack 1 bit
/// (RFC 3032 section 2.1).
///
/// ```
/// use netflow_codec::MplsLabels;
///
/// let mut labels = MplsLabels::EMPTY;
/// labels.set(0, [0x00, 0x01, 0x40]);
/// labels.set(1, [0x00, 0x02, 0x11]);
/// assert_eq!(labels.len(), 2);
/// assert_eq!(labels.iter().map(|entry| entry.label()).collect::<Vec<_>>(), [20, 33]);
/// assert!(labels.get(1).unwrap().is_bottom_of_stack());
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
pub struct MplsLabels {
    entries: [[u8; 3]; Self::MAX_LEN],
    len: u8,
}

impl MplsLabels {
    /// Elements 70..=79 carry ten labels.
    pub const MAX_LEN: usize = 10;
    /// No label.
    pub const EMPTY: Self = Self { entries: [[0; 3]; Self::MAX_LEN], len: 0 };

    /// Sets the label at `position` (0 is the outermost); a position past the tenth is ignored.
    ///
    /// Three zeros behind the last label are no label: templates have room for more labels than packets have.
    pub fn set(&mut self, position: usize, octets: [u8; 3]) {
        if octets == [0; 3] && position >= self.len() {
            return;
        }
        if let Some(entry) = self.entries.get_mut(position) {
            *entry = octets;
            // `position` is below ten.
            self.len = self.len.max(u8::try_from(position + 1).unwrap_or(0));
        }
    }

    /// Sets the first `depth` labels, each to the last three octets of a word; there are no others.
    #[inline]
    pub(crate) fn fill(&mut self, depth: u8, word: impl Fn(u8) -> u64) {
        let mut len = 0;
        for (entry, position) in self.entries.iter_mut().zip(0..depth) {
            // Not read back from the entry: that would wait for the octets just stored.
            let label = word(position) & 0x00ff_ffff;
            let [.., a, b, c] = label.to_be_bytes();
            *entry = [a, b, c];
            len = if label == 0 { len } else { position + 1 };
        }
        self.len = len;
    }

    /// Sets the first `depth` labels, of one to five, to the last octets of a word; there are no others.
    #[inline]
    pub(crate) fn fill_with(&mut self, depth: u8, word: u128) {
        let labels = word << (128 - 24 * u32::from(depth));
        if let Some(entries) = self.entries.as_flattened_mut().first_chunk_mut() {
            *entries = labels.to_be_bytes();
        }
        // Up to the last octet that is not 0, in whole labels.
        let octets = 16 - labels.trailing_zeros() / 8;
        #[expect(clippy::cast_possible_truncation, reason = "six at most")]
        let len = octets.div_ceil(3) as u8;
        self.len = len;
    }

    /// The label at `position`, 0 being the outermost.
    #[must_use]
    pub fn get(&self, position: usize) -> Option<MplsLabel> {
        self.entries.get(..self.len())?.get(position).copied().map(MplsLabel)
    }

    /// How many labels there are.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// Whether there is no label.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The labels, outermost first.
    pub fn iter(&self) -> impl Iterator<Item = MplsLabel> + '_ {
        self.entries.iter().take(self.len()).copied().map(MplsLabel)
    }
}

/// One entry of a label stack, as elements 70..=79 carry it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct MplsLabel([u8; 3]);

impl MplsLabel {
    /// From the three octets of the element.
    #[must_use]
    pub const fn from_octets(octets: [u8; 3]) -> Self {
        Self(octets)
    }

    /// The three octets.
    #[must_use]
    pub const fn octets(self) -> [u8; 3] {
        self.0
    }

    /// The label, 20 bits.
    #[must_use]
    pub const fn label(self) -> u32 {
        let [a, b, c] = self.0;
        u32::from_be_bytes([0, a, b, c]) >> 4
    }

    /// The traffic class (once called EXP), 3 bits.
    #[must_use]
    pub const fn traffic_class(self) -> u8 {
        self.0[2] >> 1 & 7
    }

    /// Whether this is the innermost label.
    #[must_use]
    pub const fn is_bottom_of_stack(self) -> bool {
        self.0[2] & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_octets_split_into_label_class_and_bottom_bit() {
        // D65
        let mut labels = MplsLabels::EMPTY;
        labels.set(0, [0x00, 0x00, 0x11]);
        let entry = labels.get(0).unwrap();
        assert_eq!((entry.label(), entry.traffic_class(), entry.is_bottom_of_stack()), (1, 0, true));
        labels.set(10, [0xff; 3]);
        labels.set(1, [0; 3]);
        assert_eq!(labels.len(), 1);
        labels.set(3, [0x00, 0x00, 0x21]);
        assert_eq!(labels.iter().map(MplsLabel::label).collect::<alloc::vec::Vec<_>>(), [1, 0, 0, 2]);
    }
}
