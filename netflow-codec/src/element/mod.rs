//! Information Elements: what a field of a record means.
//!
//! NetFlow v9 field types and IPFIX Information Elements share one number space up to 127 and, in practice,
//! beyond. [`ElementId`] is the number, [`ElementId::info`] what the registries say about it.

mod data_type;
mod enterprise;
mod iana;
mod info;
mod lookup;
mod names;
mod netflow_v9;
mod registry;
mod reverse;
mod values;

pub use data_type::DataType;
pub use info::{ElementInfo, Semantics, Units, ValueRange};
pub use registry::{DefineError, ElementRegistry, Elements};

/// The number of an Information Element, or of a v9 field type.
///
/// ```
/// use netflow_codec::{DataType, ElementId};
///
/// let info = ElementId::SOURCE_IPV4_ADDRESS.info().unwrap();
/// assert_eq!(info.name, "sourceIPv4Address");
/// assert_eq!(info.data_type, DataType::Ipv4Address);
/// assert!(ElementId::iana(9_999).info().is_none());
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
pub struct ElementId {
    enterprise: u32,
    number: u16,
}

macro_rules! elements {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        impl ElementId {
            $($(#[$doc])* pub const $name: Self = Self::iana($number);)*
        }
    };
}

elements! {
    /// octetDeltaCount.
    OCTET_DELTA_COUNT = 1,
    /// packetDeltaCount.
    PACKET_DELTA_COUNT = 2,
    /// protocolIdentifier.
    PROTOCOL_IDENTIFIER = 4,
    /// ipClassOfService.
    IP_CLASS_OF_SERVICE = 5,
    /// tcpControlBits.
    TCP_CONTROL_BITS = 6,
    /// sourceTransportPort.
    SOURCE_TRANSPORT_PORT = 7,
    /// sourceIPv4Address.
    SOURCE_IPV4_ADDRESS = 8,
    /// sourceIPv4PrefixLength.
    SOURCE_IPV4_PREFIX_LENGTH = 9,
    /// ingressInterface.
    INGRESS_INTERFACE = 10,
    /// destinationTransportPort.
    DESTINATION_TRANSPORT_PORT = 11,
    /// destinationIPv4Address.
    DESTINATION_IPV4_ADDRESS = 12,
    /// destinationIPv4PrefixLength.
    DESTINATION_IPV4_PREFIX_LENGTH = 13,
    /// egressInterface.
    EGRESS_INTERFACE = 14,
    /// ipNextHopIPv4Address.
    IP_NEXT_HOP_IPV4_ADDRESS = 15,
    /// bgpSourceAsNumber.
    BGP_SOURCE_AS_NUMBER = 16,
    /// bgpDestinationAsNumber.
    BGP_DESTINATION_AS_NUMBER = 17,
    /// bgpNextHopIPv4Address.
    BGP_NEXT_HOP_IPV4_ADDRESS = 18,
    /// flowEndSysUpTime (v9: `LAST_SWITCHED`).
    FLOW_END_SYS_UP_TIME = 21,
    /// flowStartSysUpTime (v9: `FIRST_SWITCHED`).
    FLOW_START_SYS_UP_TIME = 22,
    /// sourceIPv6Address.
    SOURCE_IPV6_ADDRESS = 27,
    /// destinationIPv6Address.
    DESTINATION_IPV6_ADDRESS = 28,
    /// sourceIPv6PrefixLength.
    SOURCE_IPV6_PREFIX_LENGTH = 29,
    /// destinationIPv6PrefixLength.
    DESTINATION_IPV6_PREFIX_LENGTH = 30,
    /// flowLabelIPv6.
    FLOW_LABEL_IPV6 = 31,
    /// icmpTypeCodeIPv4 (v9: `ICMP_TYPE`), type * 256 + code.
    ICMP_TYPE_CODE_IPV4 = 32,
    /// samplingInterval.
    SAMPLING_INTERVAL = 34,
    /// samplingAlgorithm: 1 deterministic, 2 random.
    SAMPLING_ALGORITHM = 35,
    /// samplerId (v9: `FLOW_SAMPLER_ID`).
    SAMPLER_ID = 48,
    /// samplerMode (v9: `FLOW_SAMPLER_MODE`).
    SAMPLER_MODE = 49,
    /// samplerRandomInterval (v9: `FLOW_SAMPLER_RANDOM_INTERVAL`).
    SAMPLER_RANDOM_INTERVAL = 50,
    /// sourceMacAddress.
    SOURCE_MAC_ADDRESS = 56,
    /// vlanId (v9: `SRC_VLAN`).
    VLAN_ID = 58,
    /// postVlanId (v9: `DST_VLAN`).
    POST_VLAN_ID = 59,
    /// ipVersion.
    IP_VERSION = 60,
    /// flowDirection: 0 ingress, 1 egress.
    FLOW_DIRECTION = 61,
    /// ipNextHopIPv6Address.
    IP_NEXT_HOP_IPV6_ADDRESS = 62,
    /// bgpNextHopIPv6Address.
    BGP_NEXT_HOP_IPV6_ADDRESS = 63,
    /// mplsTopLabelStackSection, the first of ten labels (70..=79).
    MPLS_TOP_LABEL_STACK_SECTION = 70,
    /// destinationMacAddress.
    DESTINATION_MAC_ADDRESS = 80,
    /// flowEndReason.
    FLOW_END_REASON = 136,
    /// icmpTypeCodeIPv6, type * 256 + code.
    ICMP_TYPE_CODE_IPV6 = 139,
    /// flowStartMilliseconds.
    FLOW_START_MILLISECONDS = 152,
    /// flowEndMilliseconds.
    FLOW_END_MILLISECONDS = 153,
    /// flowStartDeltaMicroseconds: microseconds before the export time.
    FLOW_START_DELTA_MICROSECONDS = 158,
    /// flowEndDeltaMicroseconds: microseconds before the export time.
    FLOW_END_DELTA_MICROSECONDS = 159,
    /// systemInitTimeMilliseconds: when the exporter booted.
    SYSTEM_INIT_TIME_MILLISECONDS = 160,
    /// initiatorOctets.
    INITIATOR_OCTETS = 231,
    /// responderOctets.
    RESPONDER_OCTETS = 232,
    /// biflowDirection.
    BIFLOW_DIRECTION = 239,
    /// initiatorPackets.
    INITIATOR_PACKETS = 298,
    /// responderPackets.
    RESPONDER_PACKETS = 299,
    /// minimumTTL.
    MINIMUM_TTL = 52,
    /// maximumTTL.
    MAXIMUM_TTL = 53,
}

impl ElementId {
    /// An element of the IANA registry, or a v9 field type.
    #[must_use]
    pub const fn iana(number: u16) -> Self {
        Self { enterprise: 0, number }
    }

    /// An element of an enterprise; 0 stands for the IANA registry.
    #[must_use]
    pub const fn new(enterprise: u32, number: u16) -> Self {
        Self { enterprise, number }
    }

    /// The element's number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.number
    }

    /// The Private Enterprise Number, 0 for the IANA registry.
    #[must_use]
    pub const fn enterprise(self) -> u32 {
        self.enterprise
    }
}
