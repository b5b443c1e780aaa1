//! Which packets make one flow.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    missing_docs
)]

mod common;

use core::net::IpAddr;

use common::{at, config, drain, drain_due, packet, packet_v6};
use netflow_flowcache::{
    ConfigError, ExpireReason, ExpiredFlow, FieldsKey, FirstPacket, FlowTable, Fragment, KeyFields,
    MplsStack, ObservedPacket, SevenTuple,
};

/// Wide enough for all fields.
type AllFields = FieldsKey<11, 14>;

fn table(fields: KeyFields) -> FlowTable<AllFields> {
    FlowTable::with_fields(&config(64), fields).unwrap()
}

/// Whether two packets make two flows under these fields.
fn separates(fields: KeyFields, one: &ObservedPacket, other: &ObservedPacket) -> bool {
    let mut table = table(fields);
    table.handle_packet(one, at(0));
    table.handle_packet(other, at(0));
    table.len() == 2
}

type Change = fn(&mut ObservedPacket);

/// Every field, and a change that it alone notices.
const FIELDS: &[(KeyFields, Change)] = &[
    (KeyFields::SOURCE_ADDRESS, |packet| packet.source = other_host(packet.source)),
    (KeyFields::DESTINATION_ADDRESS, |packet| packet.destination = other_host(packet.destination)),
    (KeyFields::SOURCE_PORT, |packet| packet.source_port ^= 0x8001),
    (KeyFields::DESTINATION_PORT, |packet| packet.destination_port ^= 0x8001),
    (KeyFields::PROTOCOL, |packet| packet.protocol ^= 0x81),
    (KeyFields::TOS, |packet| packet.tos ^= 0x81),
    (KeyFields::INGRESS_INTERFACE, |packet| packet.ingress_interface ^= 0x8000_0001),
    (KeyFields::EGRESS_INTERFACE, |packet| packet.egress_interface ^= 0x8000_0001),
    (KeyFields::DIRECTION, |packet| packet.direction ^= 1),
    (KeyFields::VLAN, |packet| packet.vlan ^= 0x0801),
    (KeyFields::INNER_VLAN, |packet| packet.inner_vlan ^= 0x0801),
    (KeyFields::SOURCE_MAC, |packet| packet.source_mac[5] ^= 1),
    (KeyFields::DESTINATION_MAC, |packet| packet.destination_mac[0] ^= 0x80),
    (KeyFields::MPLS_LABELS, |packet| packet.mpls.push([0, 0, 0])),
    (KeyFields::TCP_FLAGS, |packet| packet.tcp_flags ^= 0x0101),
    (KeyFields::NEXT_HOP, |packet| packet.next_hop = IpAddr::from([192, 0, 2, 254])),
    (KeyFields::SOURCE_AS, |packet| packet.source_as ^= 0x8000_0001),
    (KeyFields::DESTINATION_AS, |packet| packet.destination_as ^= 0x8000_0001),
    (KeyFields::OBSERVATION_DOMAIN, |packet| packet.observation_domain ^= 0x8000_0001),
];

fn other_host(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => IpAddr::V4((address.to_bits() ^ 1).into()),
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() ^ 1).into()),
    }
}

fn all() -> KeyFields {
    FIELDS.iter().fold(KeyFields::NONE, |all, (field, _)| all | *field)
        | KeyFields::IPV6_FLOW_LABEL
        | KeyFields::ICMP_TYPE_CODE
}

// M2 (each field alone and among all), M3
#[test]
fn each_field_separates_flows_by_itself_and_only_itself() {
    for base in [packet(1), packet_v6(1)] {
        for (field, change) in FIELDS {
            let mut changed = base;
            change(&mut changed);
            assert!(separates(*field, &base, &changed), "{field:?} alone");
            assert!(separates(all(), &base, &changed), "{field:?} among all");
            assert!(!separates(all().without(*field), &base, &changed), "{field:?} left out");
        }
    }
    // No field at all: only the IP versions are apart.
    assert!(separates(KeyFields::NONE, &packet(1), &packet_v6(1)));
}

// M3
#[test]
fn the_ipv6_flow_label_separates_flows_of_ipv6_only() {
    let mut labelled = packet_v6(1);
    labelled.ipv6_flow_label = 0xF_FFFF;
    assert!(separates(KeyFields::IPV6_FLOW_LABEL, &packet_v6(1), &labelled));
    let mut v4 = packet(1);
    v4.ipv6_flow_label = 7;
    assert!(!separates(KeyFields::IPV6_FLOW_LABEL, &packet(1), &v4));
}

// M8
#[test]
fn icmp_type_and_code_separate_flows_of_icmp_only() {
    for (protocol, base) in [(1, packet(1)), (58, packet_v6(1))] {
        let mut request = base;
        request.protocol = protocol;
        let mut other = request;
        other.destination_port = 8 << 8;
        assert!(separates(KeyFields::ICMP_TYPE_CODE, &request, &other));
        (request.protocol, other.protocol) = (17, 17);
        assert!(!separates(KeyFields::ICMP_TYPE_CODE, &request, &other));
    }
}

// M2 (prefixes): RFC 3917 section 4.3
#[test]
fn prefixes_of_every_length_separate_exactly_the_networks() {
    let with = |source: IpAddr| ObservedPacket::new(source, source, 17, 100);
    for length in 0..=32_u8 {
        let fields = KeyFields::SOURCE_ADDRESS.with_source_prefix(length, 0);
        let base = 0xC000_0200_u32;
        for bit in 0..32_u8 {
            let other = base ^ 1 << (31 - bit);
            let [one, other] = [base, other].map(|bits| with(IpAddr::V4(bits.into())));
            assert_eq!(separates(fields, &one, &other), bit < length, "bit {bit} of a /{length}");
        }
    }
    for length in [0, 1, 48, 63, 64, 65, 127, 128_u8] {
        let fields = KeyFields::DESTINATION_ADDRESS.with_destination_prefix(0, length);
        let base = 0x2001_0DB8_u128 << 96;
        for bit in 0..128_u8 {
            let other = base ^ 1 << (127 - bit);
            let [one, other] = [base, other].map(|bits| with(IpAddr::V6(bits.into())));
            assert_eq!(separates(fields, &one, &other), bit < length, "bit {bit} of a /{length}");
        }
    }
}

// M2 (DSCP)
#[test]
fn a_mask_of_the_type_of_service_lets_only_its_bits_through() {
    let fields = KeyFields::TOS.with_tos_mask(0xFC);
    let (mut ecn, mut dscp) = (packet(1), packet(1));
    (ecn.tos, dscp.tos) = (0x03, 0x04);
    assert!(!separates(fields, &packet(1), &ecn));
    assert!(separates(fields, &packet(1), &dscp));
}

#[test]
fn the_values_of_a_key_are_those_of_its_packets() {
    for base in [packet(1), packet_v6(1)] {
        let mut packet = base;
        for (_, change) in FIELDS {
            change(&mut packet);
        }
        packet.mpls.push([0x12, 0x34, 0x51]);
        packet.source_mac = [1, 2, 3, 4, 5, 6];
        if base.source.is_ipv6() {
            packet.ipv6_flow_label = 0xA_BCDE;
        }
        let mut table = table(all());
        table.handle_packet(&packet, at(0));
        let flow = drain_due(&mut table, at(20))[0];
        let values = all().values(&flow.key);
        let mut expected = packet;
        (expected.octets, expected.ttl) = (0, 0);
        assert_eq!(values, expected);
    }
}

#[test]
fn the_seven_fields_make_the_flows_of_the_seven_tuple() {
    let mut by_fields: FlowTable<FieldsKey<3, 6>> =
        FlowTable::with_fields(&config(512), KeyFields::SEVEN_TUPLE).unwrap();
    let mut by_tuple = common::table(&config(512));
    for number in 0..4_000_u32 {
        let mut packet = if number % 3 == 0 { packet_v6(number % 40) } else { packet(number % 50) };
        packet.source_port = (number % 3) as u16;
        packet.tos = (number % 2) as u8;
        packet.tcp_flags = [0x10, 0x10, 0x11, 0x14][number as usize % 4];
        by_fields.handle_packet(&packet, at(u64::from(number) / 50));
        by_tuple.handle_packet(&packet, at(u64::from(number) / 50));
    }
    by_fields.flush(ExpireReason::FORCED_END);
    by_tuple.flush(ExpireReason::FORCED_END);
    let mut flows: Vec<_> = drain(&mut by_fields)
        .iter()
        .map(|flow| (SevenTuple::of(&KeyFields::SEVEN_TUPLE.values(&flow.key)), flow.counters, flow.reason))
        .map(|(key, counters, reason)| (key, counters.first, counters.packets, counters.octets, reason))
        .collect();
    let mut expected: Vec<_> = drain(&mut by_tuple)
        .iter()
        .map(|flow| (flow.key, flow.counters.first, flow.counters.packets, flow.counters.octets, flow.reason))
        .collect();
    flows.sort_unstable();
    expected.sort_unstable();
    assert_eq!(flows, expected);
    assert!(flows.len() > 500);
}

#[test]
fn a_key_too_narrow_for_its_fields_is_refused_with_what_it_needs() {
    let error = FlowTable::<FieldsKey<1, 5>>::with_fields(&config(8), KeyFields::FIVE_TUPLE).unwrap_err();
    assert_eq!(error, ConfigError::KeyTooNarrow { ipv4_words: 2, ipv6_words: 5 });
    assert!(error.to_string().contains('5'));
    assert!(FlowTable::<FieldsKey<2, 5>>::with_fields(&config(8), KeyFields::FIVE_TUPLE).is_ok());
    assert_eq!((all().ipv4_words(), all().ipv6_words()), (11, 14));
}

// M22
#[test]
fn domains_in_one_table_share_no_flow_when_the_key_says_so() {
    let fields = KeyFields::SEVEN_TUPLE | KeyFields::OBSERVATION_DOMAIN;
    let mut table = table(fields);
    for domain in [1, 2, 1, 2] {
        let mut packet = packet(1);
        packet.observation_domain = domain;
        table.handle_packet(&packet, at(0));
    }
    let flows: Vec<ExpiredFlow<AllFields>> = drain_due(&mut table, at(20));
    let mut domains: Vec<_> = flows
        .iter()
        .map(|flow| (fields.values(&flow.key).observation_domain, flow.counters.packets))
        .collect();
    domains.sort_unstable();
    assert_eq!(domains, [(1, 2), (2, 2)]);
}

// M24
#[test]
fn a_packet_replicated_to_three_interfaces_makes_a_record_for_each() {
    let mut table = table(KeyFields::SEVEN_TUPLE | KeyFields::EGRESS_INTERFACE);
    for _ in 0..2 {
        for interface in [7, 8, 9] {
            let mut packet = packet(1);
            packet.destination = IpAddr::from([233, 252, 0, 1]);
            packet.egress_interface = interface;
            table.handle_packet(&packet, at(0));
        }
    }
    let mut flows = drain_due(&mut table, at(20));
    flows.sort_unstable_by_key(|flow| flow.counters.egress_interface);
    let found: Vec<_> =
        flows.iter().map(|flow| (flow.counters.egress_interface, flow.counters.packets)).collect();
    assert_eq!(found, [(7, 2), (8, 2), (9, 2)]);
}

// M7, M25
#[test]
fn fragments_and_packets_without_ports_are_metered_with_ports_zero() {
    let mut table = common::table(&config(8));
    let datagram = [
        (Fragment::First, 1_500, (50_000, 53)),
        (Fragment::Later, 1_500, (0, 0)),
        (Fragment::Later, 200, (0, 0)),
    ];
    for (fragment, octets, ports) in datagram {
        let mut packet = packet(1);
        packet.protocol = 17;
        (packet.fragment, packet.octets) = (fragment, octets);
        (packet.source_port, packet.destination_port) = ports;
        table.handle_packet(&packet, at(0));
    }
    // ESP: nothing behind the IP header can be read.
    let mut esp = packet(1);
    esp.protocol = 50;
    table.handle_packet(&esp, at(0));
    let mut flows = drain_due(&mut table, at(20));
    flows.sort_unstable_by_key(|flow| (flow.key.protocol(), flow.key.source_port()));
    let found: Vec<_> = flows
        .iter()
        .map(|flow| {
            let counters = flow.counters;
            (counters.packets, counters.octets, counters.first_fragments, counters.later_fragments)
        })
        .collect();
    assert_eq!(found, [(2, 1_700, false, true), (1, 1_500, true, false), (1, 100, false, false)]);
}

// M3: the flow label and the traffic class are reported without being part of the key.
#[test]
fn flow_label_and_traffic_class_of_the_first_packet_are_reported() {
    let mut table = FlowTable::<SevenTuple, FirstPacket>::new(&config(8)).unwrap();
    let mut packet = packet_v6(1);
    (packet.ipv6_flow_label, packet.tos) = (0xA_BCDE, 0xB8);
    packet.mpls = MplsStack::EMPTY;
    table.handle_packet(&packet, at(0));
    let flow = drain_due(&mut table, at(20))[0];
    assert_eq!((flow.extra.ipv6_flow_label, flow.key.tos()), (0xA_BCDE, 0xB8));
}
