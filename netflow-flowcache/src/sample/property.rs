//! Property match filtering.

use alloc::boxed::Box;
use core::net::IpAddr;

use crate::{
    Fragment, ObservedPacket, Timestamp,
    sample::{ParameterValue, Sampler, SamplerError, Sampling},
};

/// A property of a packet: an Information Element with a value.
///
/// A value of 0 where [`ObservedPacket`] says that 0 is "not present" is never found.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Property {
    /// ipVersion (element 60), 4 or 6.
    IpVersion(u8),
    /// sourceIPv4Address (element 8) or sourceIPv6Address (27).
    Source(IpAddr),
    /// destinationIPv4Address (element 12) or destinationIPv6Address (28).
    Destination(IpAddr),
    /// protocolIdentifier (element 4).
    Protocol(u8),
    /// ipClassOfService (element 5).
    Tos(u8),
    /// ipTTL (element 192).
    Ttl(u8),
    /// ipTotalLength (element 224).
    Octets(u32),
    /// flowLabelIPv6 (element 31), IPv6 only.
    Ipv6FlowLabel(u32),
    /// sourceTransportPort (element 7); not of later fragments, nor where no port can be read.
    SourcePort(u16),
    /// destinationTransportPort (element 11), likewise.
    DestinationPort(u16),
    /// tcpControlBits (element 6), TCP only.
    TcpFlags(u16),
    /// icmpTypeCodeIPv4 (element 32), type times 256 plus code.
    IcmpTypeCode(u16),
    /// icmpTypeCodeIPv6 (element 139), likewise.
    Icmpv6TypeCode(u16),
    /// ingressInterface (element 10).
    IngressInterface(u32),
    /// egressInterface (element 14).
    EgressInterface(u32),
    /// vlanId (element 58).
    Vlan(u16),
    /// dot1qCustomerVlanId (element 245).
    InnerVlan(u16),
    /// sourceMacAddress (element 56).
    SourceMac([u8; 6]),
    /// destinationMacAddress (element 80).
    DestinationMac([u8; 6]),
}

impl Property {
    /// The number of the Information Element.
    #[must_use]
    pub const fn element(&self) -> u16 {
        match self {
            Self::Protocol(_) => 4,
            Self::Tos(_) => 5,
            Self::TcpFlags(_) => 6,
            Self::SourcePort(_) => 7,
            Self::Source(IpAddr::V4(_)) => 8,
            Self::IngressInterface(_) => 10,
            Self::DestinationPort(_) => 11,
            Self::Destination(IpAddr::V4(_)) => 12,
            Self::EgressInterface(_) => 14,
            Self::Source(IpAddr::V6(_)) => 27,
            Self::Destination(IpAddr::V6(_)) => 28,
            Self::Ipv6FlowLabel(_) => 31,
            Self::IcmpTypeCode(_) => 32,
            Self::SourceMac(_) => 56,
            Self::Vlan(_) => 58,
            Self::IpVersion(_) => 60,
            Self::DestinationMac(_) => 80,
            Self::Icmpv6TypeCode(_) => 139,
            Self::Ttl(_) => 192,
            Self::Octets(_) => 224,
            Self::InnerVlan(_) => 245,
        }
    }

    /// The value, as it is announced.
    #[must_use]
    pub fn value(&self) -> ParameterValue {
        match *self {
            Self::IpVersion(value) | Self::Protocol(value) | Self::Tos(value) | Self::Ttl(value) => {
                ParameterValue::Unsigned8(value)
            }
            Self::TcpFlags(value)
            | Self::SourcePort(value)
            | Self::DestinationPort(value)
            | Self::IcmpTypeCode(value)
            | Self::Icmpv6TypeCode(value)
            | Self::Vlan(value)
            | Self::InnerVlan(value) => ParameterValue::Unsigned16(value),
            Self::Ipv6FlowLabel(value) | Self::IngressInterface(value) | Self::EgressInterface(value) => {
                ParameterValue::Unsigned32(value)
            }
            Self::Octets(value) => ParameterValue::Unsigned64(value.into()),
            Self::Source(address) | Self::Destination(address) => ParameterValue::Address(address),
            Self::SourceMac(address) | Self::DestinationMac(address) => ParameterValue::MacAddress(address),
        }
    }

    /// Whether the packet has it; `None` when the packet does not tell.
    fn holds(&self, packet: &ObservedPacket) -> Option<bool> {
        let present = |found: u32, wanted: u32| (found != 0).then_some(found == wanted);
        let address =
            |found: IpAddr, wanted: IpAddr| (found.is_ipv4() == wanted.is_ipv4()).then_some(found == wanted);
        let transport = |protocols: &[u8], found: u16, wanted: u16| {
            let readable = packet.fragment != Fragment::Later && protocols.contains(&packet.protocol);
            readable.then_some(found == wanted)
        };
        match *self {
            Self::IpVersion(version) => Some(version == if packet.source.is_ipv4() { 4 } else { 6 }),
            Self::Source(wanted) => address(packet.source, wanted),
            Self::Destination(wanted) => address(packet.destination, wanted),
            Self::Protocol(wanted) => Some(packet.protocol == wanted),
            Self::Tos(wanted) => Some(packet.tos == wanted),
            Self::Ttl(wanted) => Some(packet.ttl == wanted),
            Self::Octets(wanted) => Some(packet.octets == wanted),
            Self::Ipv6FlowLabel(wanted) => {
                packet.source.is_ipv6().then_some(packet.ipv6_flow_label == wanted)
            }
            Self::SourcePort(wanted) => transport(&WITH_PORTS, packet.source_port, wanted),
            Self::DestinationPort(wanted) => transport(&WITH_PORTS, packet.destination_port, wanted),
            Self::TcpFlags(wanted) => transport(&[6], packet.tcp_flags, wanted),
            Self::IcmpTypeCode(wanted) => {
                packet.source.is_ipv4().then(|| transport(&[1], packet.destination_port, wanted))?
            }
            Self::Icmpv6TypeCode(wanted) => {
                packet.source.is_ipv6().then(|| transport(&[58], packet.destination_port, wanted))?
            }
            Self::IngressInterface(wanted) => present(packet.ingress_interface, wanted),
            Self::EgressInterface(wanted) => present(packet.egress_interface, wanted),
            Self::Vlan(wanted) => present(packet.vlan.into(), wanted.into()),
            Self::InnerVlan(wanted) => present(packet.inner_vlan.into(), wanted.into()),
            Self::SourceMac(wanted) => (packet.source_mac != [0; 6]).then_some(packet.source_mac == wanted),
            Self::DestinationMac(wanted) => {
                (packet.destination_mac != [0; 6]).then_some(packet.destination_mac == wanted)
            }
        }
    }
}

/// TCP, UDP, DCCP, SCTP, UDP-Lite. What ESP encrypts is none of them.
const WITH_PORTS: [u8; 5] = [6, 17, 33, 132, 136];

/// Selects packets that have all of some properties (RFC 5475 section 6.1).
///
/// A property that a packet does not tell - the port of an encrypted packet, say - is not there: the packet is
/// observed and not selected (RFC 5476 section 6.5.2.5).
///
/// ```
/// use core::net::{IpAddr, Ipv4Addr};
/// use netflow_flowcache::sample::{Property, PropertyMatch, Sampler};
/// use netflow_flowcache::{ObservedPacket, Timestamp};
///
/// let mut filter = PropertyMatch::new(&[Property::Protocol(17), Property::DestinationPort(53)])?;
/// let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// let mut packet = ObservedPacket::new(address, address, 17, 60);
/// assert!(!filter.select(&packet, Timestamp::ZERO));
/// packet.destination_port = 53;
/// assert!(filter.select(&packet, Timestamp::ZERO));
/// # Ok::<(), netflow_flowcache::sample::SamplerError>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PropertyMatch {
    properties: Box<[Property]>,
    unavailable: u64,
}

impl PropertyMatch {
    /// Packets with all of `properties`.
    ///
    /// # Errors
    /// [`SamplerError::NoProperty`] for none, [`SamplerError::RepeatedProperty`] if two are of one element.
    pub fn new(properties: &[Property]) -> Result<Self, SamplerError> {
        if properties.is_empty() {
            return Err(SamplerError::NoProperty);
        }
        for (place, property) in properties.iter().enumerate() {
            if properties.iter().take(place).any(|before| before.element() == property.element()) {
                return Err(SamplerError::RepeatedProperty);
            }
        }
        Ok(Self { properties: properties.into(), unavailable: 0 })
    }

    /// Packets not selected because they do not tell one of the properties.
    #[must_use]
    pub const fn unavailable(&self) -> u64 {
        self.unavailable
    }
}

impl Sampler for PropertyMatch {
    #[inline]
    fn select(&mut self, packet: &ObservedPacket, _: Timestamp) -> bool {
        let mut all = true;
        let mut told = true;
        for property in &self.properties {
            let holds = property.holds(packet);
            told &= holds.is_some();
            all &= holds == Some(true);
        }
        self.unavailable = self.unavailable.saturating_add(u64::from(!told));
        all
    }

    fn describe(&self) -> Sampling {
        Sampling::PropertyMatch(self.properties.clone())
    }
}
