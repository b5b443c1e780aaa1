//! Flow Keys chosen at run time, field by field.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{
    Form, TableKey,
    pack::{Packed, Packer, Unpacker},
};
use crate::{ConfigError, MplsStack, ObservedPacket};

/// Which values of a packet make its flow: the `match` lines of Flexible NetFlow (RFC 3917 section 4).
///
/// Addresses can be cut to a prefix and the type of service masked. Whether a flow is IPv4 or IPv6 is always part of
/// it. Fields that a packet does not have are zero.
///
/// ```
/// use netflow_flowcache::{Config, FieldsKey, FlowTable, HashSeed, KeyFields};
///
/// // match ipv4 source prefix minimum-mask 24, match ip dscp, match interface input
/// let fields = (KeyFields::SOURCE_ADDRESS | KeyFields::TOS | KeyFields::INGRESS_INTERFACE)
///     .with_source_prefix(24, 48)
///     .with_tos_mask(0xFC);
/// assert_eq!((fields.ipv4_words(), fields.ipv6_words()), (2, 3));
/// let config = Config::new(1024, HashSeed::from_u64(1));
/// let table = FlowTable::<FieldsKey<2, 3>>::with_fields(&config, fields)?;
/// # Ok::<(), netflow_flowcache::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct KeyFields {
    set: u32,
    /// Bits of an address that count: IPv4, IPv6.
    source_prefix: (u8, u8),
    destination_prefix: (u8, u8),
    tos_mask: u8,
}

macro_rules! fields {
    ($($(#[$doc:meta])* $name:ident = $bit:literal;)*) => {
        impl KeyFields {
            $($(#[$doc])* pub const $name: Self = Self::only(1 << $bit);)*
        }
    };
}

fields! {
    /// Source address (elements 8, 27; with a prefix 44, 170).
    SOURCE_ADDRESS = 0;
    /// Destination address (elements 12, 28; with a prefix 45, 169).
    DESTINATION_ADDRESS = 1;
    /// Source port (element 7).
    SOURCE_PORT = 2;
    /// Destination port, or ICMP type and code (element 11).
    DESTINATION_PORT = 3;
    /// IP protocol (element 4).
    PROTOCOL = 4;
    /// IPv4 TOS or IPv6 traffic class octet, as far as the mask lets it through (element 5; DSCP 195).
    TOS = 5;
    /// SNMP index of the ingress interface (element 10).
    INGRESS_INTERFACE = 6;
    /// SNMP index of the egress interface (element 14): one record for each interface that a multicast packet leaves by.
    EGRESS_INTERFACE = 7;
    /// Direction (element 61).
    DIRECTION = 8;
    /// Outer VLAN identifier (element 58).
    VLAN = 9;
    /// Inner VLAN identifier (element 245).
    INNER_VLAN = 10;
    /// Source MAC address (element 56).
    SOURCE_MAC = 11;
    /// Destination MAC address (element 80).
    DESTINATION_MAC = 12;
    /// The label stack (elements 70 to 79).
    MPLS_LABELS = 13;
    /// IPv6 flow label; nothing for IPv4 (element 31).
    IPV6_FLOW_LABEL = 14;
    /// ICMP type and code; nothing for other protocols (elements 32, 139).
    ICMP_TYPE_CODE = 15;
    /// TCP flags of the packet (element 6).
    TCP_FLAGS = 16;
    /// Next hop (elements 15, 62).
    NEXT_HOP = 17;
    /// Source AS (element 16).
    SOURCE_AS = 18;
    /// Destination AS (element 17).
    DESTINATION_AS = 19;
    /// Observation Domain (element 149): several of them in one table.
    OBSERVATION_DOMAIN = 20;
}

impl KeyFields {
    /// No field: all packets of an IP version are one flow.
    pub const NONE: Self = Self::only(0);
    /// Addresses, ports and protocol.
    pub const FIVE_TUPLE: Self = Self::only(0x1F);
    /// Those of [`super::SevenTuple`].
    pub const SEVEN_TUPLE: Self = Self::only(0x7F);

    const fn only(set: u32) -> Self {
        Self { set, source_prefix: (32, 128), destination_prefix: (32, 128), tos_mask: 0xFF }
    }

    /// These fields and those; of prefixes the shorter, of masks what both let through.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self {
            set: self.set | other.set,
            source_prefix: shorter(self.source_prefix, other.source_prefix),
            destination_prefix: shorter(self.destination_prefix, other.destination_prefix),
            tos_mask: self.tos_mask & other.tos_mask,
        }
    }

    /// These fields without those.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self { set: self.set & !other.set, ..self }
    }

    /// Whether all of those fields are among these.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.set & other.set == other.set
    }

    /// With source addresses cut to their first bits; more than an address has means all of it.
    #[must_use]
    pub const fn with_source_prefix(self, ipv4: u8, ipv6: u8) -> Self {
        Self { source_prefix: shorter((ipv4, ipv6), (32, 128)), ..self }
    }

    /// With destination addresses cut to their first bits; more than an address has means all of it.
    #[must_use]
    pub const fn with_destination_prefix(self, ipv4: u8, ipv6: u8) -> Self {
        Self { destination_prefix: shorter((ipv4, ipv6), (32, 128)), ..self }
    }

    /// With only these bits of the type of service: `0xFC` is DSCP without ECN.
    #[must_use]
    pub const fn with_tos_mask(self, mask: u8) -> Self {
        Self { tos_mask: mask, ..self }
    }

    /// Bits of source addresses that count: of IPv4 and IPv6.
    #[must_use]
    pub const fn source_prefix(self) -> (u8, u8) {
        self.source_prefix
    }

    /// Bits of destination addresses that count: of IPv4 and IPv6.
    #[must_use]
    pub const fn destination_prefix(self) -> (u8, u8) {
        self.destination_prefix
    }

    /// Words of 64 bits that the key of an IPv4 flow needs, at least 1.
    #[must_use]
    pub const fn ipv4_words(self) -> usize {
        self.words(32, 0)
    }

    /// Words of 64 bits that the key of an IPv6 flow needs, at least 1.
    #[must_use]
    pub const fn ipv6_words(self) -> usize {
        self.words(128, 20)
    }

    /// The fields of a key, in a packet that has nothing else.
    #[must_use]
    pub fn values<const NARROW: usize, const WIDE: usize>(
        &self,
        key: &FieldsKey<NARROW, WIDE>,
    ) -> ObservedPacket {
        match key {
            FieldsKey::Ipv4(packed) => self.unpack(&mut Unpacker::new(packed), false),
            FieldsKey::Ipv6(packed) => self.unpack(&mut Unpacker::new(packed), true),
        }
    }

    #[inline]
    const fn has(self, field: Self) -> bool {
        self.set & field.set != 0
    }

    const fn words(self, address: usize, flow_label: usize) -> usize {
        let widths = [
            (Self::SOURCE_ADDRESS, address),
            (Self::DESTINATION_ADDRESS, address),
            (Self::SOURCE_PORT, 16),
            (Self::DESTINATION_PORT, 16),
            (Self::PROTOCOL, 8),
            (Self::TOS, 8),
            (Self::INGRESS_INTERFACE, 32),
            (Self::EGRESS_INTERFACE, 32),
            (Self::DIRECTION, 8),
            (Self::VLAN, 16),
            (Self::INNER_VLAN, 16),
            (Self::SOURCE_MAC, 48),
            (Self::DESTINATION_MAC, 48),
            (Self::MPLS_LABELS, 8 + 24 * MplsStack::MAX_DEPTH),
            (Self::IPV6_FLOW_LABEL, flow_label),
            (Self::ICMP_TYPE_CODE, 16),
            (Self::TCP_FLAGS, 16),
            (Self::NEXT_HOP, 128),
            (Self::SOURCE_AS, 32),
            (Self::DESTINATION_AS, 32),
            (Self::OBSERVATION_DOMAIN, 32),
        ];
        let (mut bits, mut rest) = (0, widths.as_slice());
        while let [(field, width), others @ ..] = rest {
            if self.has(*field) {
                bits += *width;
            }
            rest = others;
        }
        if bits == 0 { 1 } else { bits.div_ceil(64) }
    }

    /// The same order as in [`Self::words`] and [`Self::unpack`].
    #[inline]
    fn pack<const N: usize>(self, packet: &ObservedPacket, ipv6: bool) -> Packed<N> {
        let mut key = Packer::new();
        if self.has(Self::SOURCE_ADDRESS) {
            push_address(&mut key, packet.source, self.source_prefix, ipv6);
        }
        if self.has(Self::DESTINATION_ADDRESS) {
            push_address(&mut key, packet.destination, self.destination_prefix, ipv6);
        }
        let mut push = |field, value: u64, bits| {
            if self.has(field) {
                key.push(value, bits);
            }
        };
        push(Self::SOURCE_PORT, packet.source_port.into(), 16);
        push(Self::DESTINATION_PORT, packet.destination_port.into(), 16);
        push(Self::PROTOCOL, packet.protocol.into(), 8);
        push(Self::TOS, (packet.tos & self.tos_mask).into(), 8);
        push(Self::INGRESS_INTERFACE, packet.ingress_interface.into(), 32);
        push(Self::EGRESS_INTERFACE, packet.egress_interface.into(), 32);
        push(Self::DIRECTION, packet.direction.into(), 8);
        push(Self::VLAN, packet.vlan.into(), 16);
        push(Self::INNER_VLAN, packet.inner_vlan.into(), 16);
        push(Self::SOURCE_MAC, mac_word(packet.source_mac), 48);
        push(Self::DESTINATION_MAC, mac_word(packet.destination_mac), 48);
        if self.has(Self::MPLS_LABELS) {
            push(Self::MPLS_LABELS, packet.mpls.entries().len() as u64, 8);
            for position in 0..MplsStack::MAX_DEPTH {
                let [a, b, c] = packet.mpls.entries().get(position).copied().unwrap_or_default();
                push(Self::MPLS_LABELS, u32::from_be_bytes([0, a, b, c]).into(), 24);
            }
        }
        if ipv6 {
            push(Self::IPV6_FLOW_LABEL, (packet.ipv6_flow_label & 0x000F_FFFF).into(), 20);
        }
        let icmp = if is_icmp(packet.protocol) { packet.destination_port } else { 0 };
        push(Self::ICMP_TYPE_CODE, icmp.into(), 16);
        push(Self::TCP_FLAGS, packet.tcp_flags.into(), 16);
        if self.has(Self::NEXT_HOP) {
            let [high, low] = address_words(packet.next_hop);
            push(Self::NEXT_HOP, high, 64);
            push(Self::NEXT_HOP, low, 64);
        }
        push(Self::SOURCE_AS, packet.source_as.into(), 32);
        push(Self::DESTINATION_AS, packet.destination_as.into(), 32);
        push(Self::OBSERVATION_DOMAIN, packet.observation_domain.into(), 32);
        key.finish()
    }

    #[expect(clippy::cast_possible_truncation, reason = "as many bits are pulled as the member has")]
    fn unpack(self, unpacker: &mut Unpacker<'_>, ipv6: bool) -> ObservedPacket {
        let unspecified =
            if ipv6 { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
        let mut packet = ObservedPacket::new(unspecified, unspecified, 0, 0);
        if self.has(Self::SOURCE_ADDRESS) {
            packet.source = pull_address(unpacker, ipv6);
        }
        if self.has(Self::DESTINATION_ADDRESS) {
            packet.destination = pull_address(unpacker, ipv6);
        }
        let mut pull = |field, bits| if self.has(field) { unpacker.pull(bits) } else { 0 };
        packet.source_port = pull(Self::SOURCE_PORT, 16) as u16;
        packet.destination_port = pull(Self::DESTINATION_PORT, 16) as u16;
        packet.protocol = pull(Self::PROTOCOL, 8) as u8;
        packet.tos = pull(Self::TOS, 8) as u8;
        packet.ingress_interface = pull(Self::INGRESS_INTERFACE, 32) as u32;
        packet.egress_interface = pull(Self::EGRESS_INTERFACE, 32) as u32;
        packet.direction = pull(Self::DIRECTION, 8) as u8;
        packet.vlan = pull(Self::VLAN, 16) as u16;
        packet.inner_vlan = pull(Self::INNER_VLAN, 16) as u16;
        packet.source_mac = word_mac(pull(Self::SOURCE_MAC, 48));
        packet.destination_mac = word_mac(pull(Self::DESTINATION_MAC, 48));
        let depth = pull(Self::MPLS_LABELS, 8) as usize;
        for position in 0..MplsStack::MAX_DEPTH {
            let [_, entry @ ..] = (pull(Self::MPLS_LABELS, 24) as u32).to_be_bytes();
            if position < depth {
                packet.mpls.push(entry);
            }
        }
        if ipv6 {
            packet.ipv6_flow_label = pull(Self::IPV6_FLOW_LABEL, 20) as u32;
        }
        let icmp = pull(Self::ICMP_TYPE_CODE, 16) as u16;
        if icmp != 0 {
            packet.destination_port = icmp;
        }
        packet.tcp_flags = pull(Self::TCP_FLAGS, 16) as u16;
        let next_hop = u128::from(pull(Self::NEXT_HOP, 64)) << 64 | u128::from(pull(Self::NEXT_HOP, 64));
        if next_hop != 0 {
            packet.next_hop = IpAddr::V6(Ipv6Addr::from_bits(next_hop)).to_canonical();
        }
        packet.source_as = pull(Self::SOURCE_AS, 32) as u32;
        packet.destination_as = pull(Self::DESTINATION_AS, 32) as u32;
        packet.observation_domain = pull(Self::OBSERVATION_DOMAIN, 32) as u32;
        packet
    }
}

impl core::ops::BitOr for KeyFields {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.union(other)
    }
}

/// The key made by [`KeyFields`]: `NARROW` words for IPv4 flows, `WIDE` words for IPv6 flows.
///
/// [`KeyFields::ipv4_words`] and [`KeyFields::ipv6_words`] say how many are needed; more cost memory and time. The
/// key has the values only: [`KeyFields::values`] reads them.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "complete by definition: IP has two versions")]
pub enum FieldsKey<const NARROW: usize, const WIDE: usize> {
    /// Of an IPv4 flow.
    Ipv4(Packed<NARROW>),
    /// Of an IPv6 flow.
    Ipv6(Packed<WIDE>),
}

impl<const NARROW: usize, const WIDE: usize> TableKey for FieldsKey<NARROW, WIDE> {
    type Fields = KeyFields;
    type Narrow = Packed<NARROW>;
    type Wide = Packed<WIDE>;

    fn check(fields: &KeyFields) -> Result<(), ConfigError> {
        let needed = (fields.ipv4_words(), fields.ipv6_words());
        if needed.0 > NARROW || needed.1 > WIDE {
            return Err(ConfigError::KeyTooNarrow { ipv4_words: needed.0, ipv6_words: needed.1 });
        }
        Ok(())
    }

    #[inline]
    fn of_packet(packet: &ObservedPacket, fields: &KeyFields) -> Form<Packed<NARROW>, Packed<WIDE>> {
        if packet.source.is_ipv4() && packet.destination.is_ipv4() {
            Form::Narrow(fields.pack(packet, false))
        } else {
            Form::Wide(fields.pack(packet, true))
        }
    }

    #[inline]
    fn from_form(form: Form<Packed<NARROW>, Packed<WIDE>>) -> Self {
        match form {
            Form::Narrow(packed) => Self::Ipv4(packed),
            Form::Wide(packed) => Self::Ipv6(packed),
        }
    }
}

const fn shorter(one: (u8, u8), other: (u8, u8)) -> (u8, u8) {
    (if one.0 < other.0 { one.0 } else { other.0 }, if one.1 < other.1 { one.1 } else { other.1 })
}

const fn is_icmp(protocol: u8) -> bool {
    matches!(protocol, 1 | 58)
}

#[inline]
fn push_address<const N: usize>(packer: &mut Packer<N>, address: IpAddr, prefix: (u8, u8), ipv6: bool) {
    match address {
        IpAddr::V4(address) if !ipv6 => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix.0)).unwrap_or(0);
            packer.push((address.to_bits() & mask).into(), 32);
        }
        _ => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix.1)).unwrap_or(0);
            let [high, low] = address_words(address);
            #[expect(clippy::cast_possible_truncation, reason = "one half, then the other")]
            let [mask_high, mask_low] = [(mask >> 64) as u64, mask as u64];
            packer.push(high & mask_high, 64);
            packer.push(low & mask_low, 64);
        }
    }
}

fn pull_address(unpacker: &mut Unpacker<'_>, ipv6: bool) -> IpAddr {
    if ipv6 {
        let bits = u128::from(unpacker.pull(64)) << 64 | u128::from(unpacker.pull(64));
        return IpAddr::V6(Ipv6Addr::from_bits(bits));
    }
    #[expect(clippy::cast_possible_truncation, reason = "32 bits are pulled")]
    return IpAddr::V4(Ipv4Addr::from_bits(unpacker.pull(32) as u32));
}

/// The IPv4-mapped form of IPv4 addresses; zero for the unspecified one, which stands for none.
#[inline]
fn address_words(address: IpAddr) -> [u64; 2] {
    let bits = match address {
        IpAddr::V4(address) if address.is_unspecified() => 0,
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    };
    #[expect(clippy::cast_possible_truncation, reason = "one half, then the other")]
    return [(bits >> 64) as u64, bits as u64];
}

#[inline]
fn mac_word(address: [u8; 6]) -> u64 {
    address.iter().fold(0, |word, octet| word << 8 | u64::from(*octet))
}

fn word_mac(word: u64) -> [u8; 6] {
    let [_, _, address @ ..] = word.to_be_bytes();
    address
}
