//! Expired flows as records of `netflow-codec` (feature `codec`).

use netflow_codec::{FlowFields, FlowRecord, MplsLabels};

use crate::{
    Counters, Directions, ExpireReason, ExpiredFlow, Extra, FieldsKey, FirstPacket, KeyFields, MplsStack,
    ObservedPacket, SevenTuple, Timestamp,
};

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
    .union(FlowFields::FLOW_END_REASON);

/// What [`FirstPacket`] adds.
const FIRST_PACKET_FIELDS: FlowFields =
    FlowFields::VLAN.union(FlowFields::SOURCE_MAC).union(FlowFields::DESTINATION_MAC);

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
/// let mut table: FlowTable = FlowTable::new(&Config::new(16, HashSeed::from_u64(1)))?;
/// let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// let mut ping = ObservedPacket::new(address, address, 1, 84);
/// ping.destination_port = 8 << 8;
/// table.handle_packet(&ping, Timestamp::from_secs(10));
/// table.flush(ExpireReason::FORCED_END);
///
/// let flow = FlowRecord::from(&table.poll_expired().unwrap());
/// assert_eq!((flow.octets, flow.destination_port, flow.icmp_type_code), (84, 0, 0x0800));
/// # Ok::<(), netflow_flowcache::ConfigError>(())
/// ```
impl From<&ExpiredFlow<SevenTuple>> for FlowRecord {
    fn from(expired: &ExpiredFlow<SevenTuple>) -> Self {
        record(&expired.key, &expired.counters, expired.reason)
    }
}

/// With VLAN, MAC addresses, label stack and IPv6 flow label besides.
impl From<&ExpiredFlow<SevenTuple, FirstPacket>> for FlowRecord {
    fn from(expired: &ExpiredFlow<SevenTuple, FirstPacket>) -> Self {
        let first = &expired.extra;
        let mut flow = record(&expired.key, &expired.counters, expired.reason);
        flow.fields |= FIRST_PACKET_FIELDS;
        flow.vlan = first.vlan;
        (flow.source_mac, flow.destination_mac) = (first.source_mac, first.destination_mac);
        if expired.key.source().is_ipv6() {
            flow.ipv6_flow_label = first.ipv6_flow_label;
            flow.fields |= FlowFields::IPV6_FLOW_LABEL;
        }
        set_labels(&mut flow, first.mpls);
        flow
    }
}

impl Directions {
    /// The two directions as records of their own, forward first; a direction without packets makes none.
    pub fn flow_records(&self, reason: ExpireReason) -> impl Iterator<Item = FlowRecord> {
        let mut packet =
            ObservedPacket::new(self.key.destination(), self.key.source(), self.key.protocol(), 0);
        (packet.source_port, packet.destination_port) = (self.key.destination_port(), self.key.source_port());
        let halves = [(self.key, self.forward), (SevenTuple::of(&packet), self.reverse)];
        halves
            .into_iter()
            .filter(|(_, counters)| counters.packets > 0)
            .map(move |(key, counters)| record(&key, &counters, reason))
    }
}

impl KeyFields {
    /// A flow of a table keyed by these fields as a record of the codec: it has those members that are part of the key,
    /// with the length of addresses that are cut to a prefix, and the counters.
    pub fn flow_record<const NARROW: usize, const WIDE: usize, X: Extra>(
        &self,
        expired: &ExpiredFlow<FieldsKey<NARROW, WIDE>, X>,
    ) -> FlowRecord {
        let values = self.values(&expired.key);
        let mut flow = record(&SevenTuple::of(&values), &expired.counters, expired.reason);
        flow.egress_interface = expired.counters.egress_interface;
        (flow.vlan, flow.direction) = (values.vlan, values.direction);
        (flow.source_mac, flow.destination_mac) = (values.source_mac, values.destination_mac);
        (flow.source_as, flow.destination_as) = (values.source_as, values.destination_as);
        (flow.ipv6_flow_label, flow.next_hop) = (values.ipv6_flow_label, values.next_hop);
        let members = [
            (Self::SOURCE_ADDRESS, FlowFields::SOURCE),
            (Self::DESTINATION_ADDRESS, FlowFields::DESTINATION),
            (Self::SOURCE_PORT, FlowFields::SOURCE_PORT),
            (Self::DESTINATION_PORT, FlowFields::DESTINATION_PORT),
            (Self::PROTOCOL, FlowFields::PROTOCOL),
            (Self::TOS, FlowFields::TOS),
            (Self::INGRESS_INTERFACE, FlowFields::INGRESS_INTERFACE),
            (Self::DIRECTION, FlowFields::DIRECTION),
            (Self::VLAN, FlowFields::VLAN),
            (Self::SOURCE_MAC, FlowFields::SOURCE_MAC),
            (Self::DESTINATION_MAC, FlowFields::DESTINATION_MAC),
            (Self::IPV6_FLOW_LABEL, FlowFields::IPV6_FLOW_LABEL),
            (Self::NEXT_HOP, FlowFields::NEXT_HOP),
            (Self::SOURCE_AS, FlowFields::SOURCE_AS),
            (Self::DESTINATION_AS, FlowFields::DESTINATION_AS),
        ];
        let is_ipv6 = values.source.is_ipv6();
        let shortened = |(ipv4, ipv6): (u8, u8)| if is_ipv6 { (ipv6, 128) } else { (ipv4, 32) };
        for (field, (bits, all), length, member) in [
            (
                Self::SOURCE_ADDRESS,
                shortened(self.source_prefix()),
                &mut flow.source_prefix_length,
                FlowFields::SOURCE_PREFIX_LENGTH,
            ),
            (
                Self::DESTINATION_ADDRESS,
                shortened(self.destination_prefix()),
                &mut flow.destination_prefix_length,
                FlowFields::DESTINATION_PREFIX_LENGTH,
            ),
        ] {
            if self.contains(field) && bits < all {
                *length = bits;
                flow.fields |= member;
            }
        }
        for (field, member) in members {
            flow.fields =
                if self.contains(field) { flow.fields.union(member) } else { flow.fields.without(member) };
        }
        if self.contains(Self::ICMP_TYPE_CODE) {
            flow.icmp_type_code = values.destination_port;
            flow.fields |= FlowFields::ICMP_TYPE_CODE;
        }
        if self.contains(Self::MPLS_LABELS) {
            set_labels(&mut flow, values.mpls);
        }
        flow
    }
}

fn record(key: &SevenTuple, counters: &Counters, reason: ExpireReason) -> FlowRecord {
    let mut flow = FlowRecord::default();
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
    flow.egress_interface = counters.egress_interface;
    (flow.minimum_ttl, flow.maximum_ttl) = (counters.minimum_ttl, counters.maximum_ttl);
    flow.flow_end_reason = reason.code();
    flow
}

fn set_labels(flow: &mut FlowRecord, stack: MplsStack) {
    let mut labels = MplsLabels::EMPTY;
    for (position, entry) in stack.entries().iter().enumerate() {
        labels.set(position, *entry);
        flow.fields |= FlowFields::MPLS_LABELS;
    }
    flow.mpls_labels = labels;
}
