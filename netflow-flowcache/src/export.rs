//! Expired flows as records of `netflow-codec` (feature `codec`).

use netflow_codec::{FlowFields, FlowRecord, MplsLabels};

use crate::{ExpiredFlow, SevenTuple, Timestamp};

const ICMP: u8 = 1;
const ICMP6: u8 = 58;

/// What a metered flow of [`SevenTuple`] always has.
const FIELDS: FlowFields = FlowFields::OCTETS
    .union(FlowFields::PACKETS)
    .union(FlowFields::START)
    .union(FlowFields::END)
    .union(FlowFields::SOURCE)
    .union(FlowFields::DESTINATION)
    .union(FlowFields::SOURCE_PORT)
    .union(FlowFields::DESTINATION_PORT)
    .union(FlowFields::PROTOCOL)
    .union(FlowFields::TOS)
    .union(FlowFields::TCP_FLAGS)
    .union(FlowFields::INGRESS_INTERFACE)
    .union(FlowFields::EGRESS_INTERFACE)
    .union(FlowFields::MINIMUM_TTL)
    .union(FlowFields::MAXIMUM_TTL)
    .union(FlowFields::VLAN)
    .union(FlowFields::SOURCE_MAC)
    .union(FlowFields::DESTINATION_MAC)
    .union(FlowFields::FLOW_END_REASON);

impl From<Timestamp> for netflow_codec::Timestamp {
    fn from(time: Timestamp) -> Self {
        Self::from_nanos(time.as_nanos())
    }
}

/// ICMP type and code, which the key holds in place of the destination port, get a member of their own.
///
/// ```
/// use core::net::{IpAddr, Ipv4Addr};
/// use netflow_codec::FlowRecord;
/// use netflow_flowcache::{Config, ExpireReason, FlowTable, HashSeed, ObservedPacket, Timestamp};
///
/// let mut table: FlowTable = FlowTable::new(&Config::new(16, HashSeed::from_u64(1)));
/// let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// let mut ping = ObservedPacket::new(address, address, 1, 84);
/// ping.destination_port = 8 << 8;
/// table.handle_packet(&ping, Timestamp::from_secs(10));
/// table.flush(ExpireReason::FORCED_END);
///
/// let flow = FlowRecord::from(&table.poll_expired().unwrap());
/// assert_eq!((flow.octets, flow.destination_port, flow.icmp_type_code), (84, 0, 0x0800));
/// ```
impl From<&ExpiredFlow<SevenTuple>> for FlowRecord {
    fn from(expired: &ExpiredFlow<SevenTuple>) -> Self {
        let ExpiredFlow { key, counters, first_packet, reason } = expired;
        let mut flow = Self::default();
        flow.fields = FIELDS;
        (flow.octets, flow.packets) = (counters.octets, counters.packets);
        (flow.start, flow.end) = (counters.first.into(), counters.last.into());
        (flow.source, flow.destination) = (key.source(), key.destination());
        flow.source_port = key.source_port();
        flow.protocol = key.protocol();
        if matches!(key.protocol(), ICMP | ICMP6) {
            flow.icmp_type_code = key.destination_port();
            flow.fields |= FlowFields::ICMP_TYPE_CODE;
        } else {
            flow.destination_port = key.destination_port();
        }
        flow.tos = key.tos();
        flow.tcp_flags = counters.tcp_flags;
        flow.ingress_interface = key.ingress_interface();
        flow.egress_interface = first_packet.egress_interface;
        (flow.minimum_ttl, flow.maximum_ttl) = (counters.minimum_ttl, counters.maximum_ttl);
        flow.vlan = first_packet.vlan;
        (flow.source_mac, flow.destination_mac) = (first_packet.source_mac, first_packet.destination_mac);
        flow.flow_end_reason = reason.code();
        if key.source().is_ipv6() {
            flow.ipv6_flow_label = first_packet.ipv6_flow_label;
            flow.fields |= FlowFields::IPV6_FLOW_LABEL;
        }
        let mut labels = MplsLabels::EMPTY;
        for (position, entry) in first_packet.mpls.entries().iter().enumerate() {
            labels.set(position, *entry);
            flow.fields |= FlowFields::MPLS_LABELS;
        }
        flow.mpls_labels = labels;
        flow
    }
}
