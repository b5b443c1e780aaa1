//! The floor: the same records decoded and encoded with the layout known at compile time.
//!
//! This is what somebody would write by hand for one template that never changes: constant offsets, no template
//! cache, no plan. It is honest in that it does the same work for the fields. Each record becomes a whole
//! [`FlowRecord`], uptimes are translated by the clock of the header, presence bits are set, every record goes
//! through [`consume`]; the encoder cuts times to uptimes, checks that interfaces and counters fit, and writes into
//! a scratch that is then copied into the caller's buffer. It leaves out what a decoder of one template does not
//! need: looking up exporter and template, and checking which fields there are.
//!
//! [`v9_ipv4_compact`] goes further and fills a struct that has no other member than the template has fields: the
//! price of the members that every [`FlowRecord`] has is the difference between the two.

use core::{
    hint::black_box,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use netflow_codec::{ExportClock, FlowFields, FlowRecord, MplsLabels, SysUptime, Timestamp};

use crate::{
    consume, consume_values,
    datagrams::{BOOT, IPFIX_LEN, IPV4_LEN, IPV6_LEN, NAMED_HEAD, NOW, TEMPLATE_ID, UPTIME},
};

/// `N` octets of a record at a constant place.
#[inline]
fn at<const N: usize, const LEN: usize>(record: &[u8; LEN], offset: usize) -> [u8; N] {
    *record[offset..].first_chunk().unwrap()
}

#[inline]
fn short<const LEN: usize>(record: &[u8; LEN], offset: usize) -> u16 {
    u16::from_be_bytes(at(record, offset))
}

#[inline]
fn word<const LEN: usize>(record: &[u8; LEN], offset: usize) -> u32 {
    u32::from_be_bytes(at(record, offset))
}

#[inline]
fn v4<const LEN: usize>(record: &[u8; LEN], offset: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(word(record, offset)))
}

#[inline]
fn v6<const LEN: usize>(record: &[u8; LEN], offset: usize) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from_bits(u128::from_be_bytes(at(record, offset))))
}

#[inline]
fn time<const LEN: usize>(record: &[u8; LEN], offset: usize, clock: &ExportClock) -> Timestamp {
    clock.to_timestamp(SysUptime::from_millis(word(record, offset)))
}

const COMMON: FlowFields = FlowFields::OCTETS
    .union(FlowFields::PACKETS)
    .union(FlowFields::START)
    .union(FlowFields::END)
    .union(FlowFields::INGRESS_INTERFACE)
    .union(FlowFields::EGRESS_INTERFACE)
    .union(FlowFields::SOURCE_AS)
    .union(FlowFields::DESTINATION_AS)
    .union(FlowFields::SOURCE_PORT)
    .union(FlowFields::DESTINATION_PORT)
    .union(FlowFields::TCP_FLAGS)
    .union(FlowFields::PROTOCOL)
    .union(FlowFields::TOS)
    .union(FlowFields::SOURCE_PREFIX_LENGTH)
    .union(FlowFields::DESTINATION_PREFIX_LENGTH)
    .union(FlowFields::SOURCE)
    .union(FlowFields::DESTINATION)
    .union(FlowFields::NEXT_HOP);

/// Decodes a v5 datagram.
#[inline]
#[must_use]
pub fn v5(datagram: &[u8]) -> u64 {
    let (header, body) = datagram.split_first_chunk::<24>().unwrap();
    let nanos = u64::from(word(header, 8)) * 1_000_000_000 + u64::from(word(header, 12));
    let clock = ExportClock::new(Timestamp::from_nanos(nanos), SysUptime::from_millis(word(header, 4)));
    let mut sum = 0;
    for record in body.as_chunks::<48>().0 {
        let mut flow = FlowRecord::EMPTY;
        flow.fields = COMMON;
        flow.source = v4(record, 0);
        flow.destination = v4(record, 4);
        flow.next_hop = v4(record, 8);
        flow.ingress_interface = short(record, 12).into();
        flow.egress_interface = short(record, 14).into();
        flow.packets = word(record, 16).into();
        flow.octets = word(record, 20).into();
        flow.start = time(record, 24, &clock);
        flow.end = time(record, 28, &clock);
        flow.source_port = short(record, 32);
        flow.destination_port = short(record, 34);
        flow.tcp_flags = record[37].into();
        flow.protocol = record[38];
        flow.tos = record[39];
        flow.source_as = short(record, 40).into();
        flow.destination_as = short(record, 42).into();
        flow.source_prefix_length = record[44];
        flow.destination_prefix_length = record[45];
        sum = consume(sum, &flow);
    }
    sum
}

/// The clock of a v9 header and the octets of its first set.
#[inline]
fn v9_set(datagram: &[u8]) -> (ExportClock, &[u8]) {
    let (header, sets) = datagram.split_first_chunk::<20>().unwrap();
    let unix = Timestamp::from_secs(word(header, 8).into());
    let clock = ExportClock::new(unix, SysUptime::from_millis(word(header, 4)));
    let (set_header, body) = sets.split_first_chunk::<4>().unwrap();
    assert_eq!(short(set_header, 0), TEMPLATE_ID);
    (clock, &body[..usize::from(short(set_header, 2)) - 4])
}

/// Calls `visit` with each flow of a packet of [`crate::datagrams::IPV4_FIELDS`].
#[inline]
pub fn for_each_ipv4(datagram: &[u8], mut visit: impl FnMut(&FlowRecord)) {
    let (clock, body) = v9_set(datagram);
    for record in body.as_chunks::<IPV4_LEN>().0 {
        let mut flow = FlowRecord::EMPTY;
        flow.fields = COMMON | FlowFields::DIRECTION;
        flow.source = v4(record, 0);
        flow.destination = v4(record, 4);
        flow.next_hop = v4(record, 8);
        flow.ingress_interface = short(record, 12).into();
        flow.egress_interface = short(record, 14).into();
        flow.packets = word(record, 16).into();
        flow.octets = word(record, 20).into();
        flow.start = time(record, 24, &clock);
        flow.end = time(record, 28, &clock);
        flow.source_port = short(record, 32);
        flow.destination_port = short(record, 34);
        flow.tcp_flags = record[36].into();
        flow.protocol = record[37];
        flow.tos = record[38];
        flow.source_as = word(record, 39);
        flow.destination_as = word(record, 43);
        flow.source_prefix_length = record[47];
        flow.destination_prefix_length = record[48];
        flow.direction = record[49];
        visit(&flow);
    }
}

/// The octets of the first set of a message.
#[inline]
fn ipfix_set(message: &[u8]) -> &[u8] {
    let (header, sets) = message.split_first_chunk::<16>().unwrap();
    assert_eq!(usize::from(short(header, 2)), message.len());
    let (set_header, body) = sets.split_first_chunk::<4>().unwrap();
    assert_eq!(short(set_header, 0), TEMPLATE_ID);
    &body[..usize::from(short(set_header, 2)) - 4]
}

#[inline]
fn millis<const LEN: usize>(record: &[u8; LEN], offset: usize) -> Timestamp {
    Timestamp::from_millis(u64::from_be_bytes(at(record, offset)))
}

/// Decodes a message of [`crate::datagrams::IPFIX_FIELDS`].
#[inline]
#[must_use]
pub fn ipfix_ipv4(message: &[u8]) -> u64 {
    let mut sum = 0;
    for record in ipfix_set(message).as_chunks::<IPFIX_LEN>().0 {
        let mut flow = FlowRecord::EMPTY;
        flow.fields = COMMON | FlowFields::DIRECTION;
        flow.source = v4(record, 0);
        flow.destination = v4(record, 4);
        flow.next_hop = v4(record, 8);
        flow.ingress_interface = short(record, 12).into();
        flow.egress_interface = short(record, 14).into();
        flow.packets = word(record, 16).into();
        flow.octets = word(record, 20).into();
        flow.start = millis(record, 24);
        flow.end = millis(record, 32);
        flow.source_port = short(record, 40);
        flow.destination_port = short(record, 42);
        flow.tcp_flags = record[44].into();
        flow.protocol = record[45];
        flow.tos = record[46];
        flow.source_as = word(record, 47);
        flow.destination_as = word(record, 51);
        flow.source_prefix_length = record[55];
        flow.destination_prefix_length = record[56];
        flow.direction = record[57];
        sum = consume(sum, &flow);
    }
    sum
}

/// Splits off a name, whose length is in front of it.
#[inline]
fn skip_name(octets: &[u8]) -> Option<&[u8]> {
    let (first, rest) = octets.split_first()?;
    if *first < 255 {
        return rest.get(usize::from(*first)..);
    }
    let (length, rest) = rest.split_first_chunk::<2>()?;
    rest.get(usize::from(u16::from_be_bytes(*length))..)
}

/// Decodes a message of [`crate::datagrams::NAMED_FIELDS`].
#[inline]
#[must_use]
pub fn ipfix_named(message: &[u8]) -> u64 {
    const FIELDS: FlowFields = FlowFields::SOURCE
        .union(FlowFields::DESTINATION)
        .union(FlowFields::INGRESS_INTERFACE)
        .union(FlowFields::EGRESS_INTERFACE)
        .union(FlowFields::PACKETS)
        .union(FlowFields::OCTETS)
        .union(FlowFields::START)
        .union(FlowFields::END)
        .union(FlowFields::SOURCE_PORT)
        .union(FlowFields::DESTINATION_PORT)
        .union(FlowFields::TCP_FLAGS)
        .union(FlowFields::PROTOCOL);
    let (mut sum, mut rest) = (0, ipfix_set(message));
    while let Some((record, behind)) = rest.split_first_chunk::<NAMED_HEAD>() {
        let Some((behind, next)) = skip_name(behind)
            .and_then(|behind| behind.split_first_chunk::<2>())
            .and_then(|(octets, behind)| Some((octets, skip_name(behind)?)))
        else {
            break;
        };
        rest = next;
        let mut flow = FlowRecord::EMPTY;
        flow.fields = FIELDS;
        flow.source = v4(record, 0);
        flow.destination = v4(record, 4);
        flow.ingress_interface = word(record, 8);
        flow.egress_interface = word(record, 12);
        flow.packets = u64::from_be_bytes(at(record, 16));
        flow.octets = u64::from_be_bytes(at(record, 24));
        flow.start = millis(record, 32);
        flow.end = millis(record, 40);
        flow.source_port = short(record, 48);
        flow.destination_port = short(record, 50);
        flow.tcp_flags = behind[0].into();
        flow.protocol = behind[1];
        sum = consume(sum, &flow);
    }
    sum
}

/// Reads addresses, ports, protocol, octets and packets of a packet of [`crate::datagrams::IPV4_FIELDS`].
#[inline]
#[must_use]
pub fn v9_five_tuple(datagram: &[u8]) -> u64 {
    let (_, body) = v9_set(datagram);
    body.as_chunks::<IPV4_LEN>().0.iter().fold(0, |sum, record| {
        let values = [
            word(record, 0).into(),
            word(record, 4).into(),
            short(record, 32).into(),
            short(record, 34).into(),
            record[37].into(),
            word(record, 20).into(),
            word(record, 16).into(),
        ];
        consume_values(sum, &values)
    })
}

/// Decodes a packet of [`crate::datagrams::IPV4_FIELDS`].
#[inline]
#[must_use]
pub fn v9_ipv4(datagram: &[u8]) -> u64 {
    let mut sum = 0;
    for_each_ipv4(datagram, |flow| sum = consume(sum, flow));
    sum
}

/// The members that [`crate::datagrams::IPV4_FIELDS`] fill, and no other.
#[derive(Clone, Copy, Debug)]
#[allow(dead_code, reason = "all members are written to memory, six of them are read")]
struct Compact {
    octets: u64,
    packets: u64,
    start: Timestamp,
    end: Timestamp,
    source: Ipv4Addr,
    destination: Ipv4Addr,
    next_hop: Ipv4Addr,
    ingress_interface: u32,
    egress_interface: u32,
    source_as: u32,
    destination_as: u32,
    source_port: u16,
    destination_port: u16,
    tcp_flags: u16,
    protocol: u8,
    tos: u8,
    source_prefix_length: u8,
    destination_prefix_length: u8,
    direction: u8,
    ip_version: u8,
}

/// Decodes a packet of [`crate::datagrams::IPV4_FIELDS`] into a struct made for it.
#[inline]
#[must_use]
pub fn v9_ipv4_compact(datagram: &[u8]) -> u64 {
    let (clock, body) = v9_set(datagram);
    let v4 = |record: &[u8; IPV4_LEN], offset| Ipv4Addr::from_bits(word(record, offset));
    let mut sum = 0u64;
    for record in body.as_chunks::<IPV4_LEN>().0 {
        let flow = Compact {
            octets: word(record, 20).into(),
            packets: word(record, 16).into(),
            start: time(record, 24, &clock),
            end: time(record, 28, &clock),
            source: v4(record, 0),
            destination: v4(record, 4),
            next_hop: v4(record, 8),
            ingress_interface: short(record, 12).into(),
            egress_interface: short(record, 14).into(),
            source_as: word(record, 39),
            destination_as: word(record, 43),
            source_port: short(record, 32),
            destination_port: short(record, 34),
            tcp_flags: record[36].into(),
            protocol: record[37],
            tos: record[38],
            source_prefix_length: record[47],
            destination_prefix_length: record[48],
            direction: record[49],
            ip_version: record[50],
        };
        let flow = black_box(&flow);
        sum = sum
            .wrapping_add(flow.octets)
            .wrapping_add(flow.packets << 8)
            .wrapping_add(flow.start.as_nanos())
            .wrapping_add(flow.end.as_nanos())
            .wrapping_add(u64::from(flow.source_port) << 16)
            .wrapping_add(u64::from(flow.destination_as));
    }
    sum
}

/// Decodes a packet of [`crate::datagrams::IPV6_FIELDS`].
#[inline]
#[must_use]
pub fn v9_ipv6(datagram: &[u8]) -> u64 {
    let (clock, body) = v9_set(datagram);
    let mut sum = 0;
    for record in body.as_chunks::<IPV6_LEN>().0 {
        let mut flow = FlowRecord::EMPTY;
        flow.fields = COMMON
            | FlowFields::DIRECTION
            | FlowFields::VLAN
            | FlowFields::IPV6_FLOW_LABEL
            | FlowFields::MPLS_LABELS;
        flow.source = v6(record, 0);
        flow.destination = v6(record, 16);
        flow.next_hop = v6(record, 32);
        // Three octets: the low ones of the word that starts one octet earlier.
        flow.ipv6_flow_label = word(record, 47) & 0x00ff_ffff;
        flow.packets = u64::from_be_bytes(at(record, 51));
        flow.octets = u64::from_be_bytes(at(record, 59));
        flow.start = time(record, 67, &clock);
        flow.end = time(record, 71, &clock);
        flow.ingress_interface = word(record, 75);
        flow.egress_interface = word(record, 79);
        flow.source_as = word(record, 83);
        flow.destination_as = word(record, 87);
        flow.source_port = short(record, 91);
        flow.destination_port = short(record, 93);
        flow.vlan = short(record, 95);
        flow.tcp_flags = record[97].into();
        flow.protocol = record[98];
        flow.tos = record[99];
        flow.source_prefix_length = record[100];
        flow.destination_prefix_length = record[101];
        flow.direction = record[102];
        let mut labels = MplsLabels::EMPTY;
        labels.set(0, at(record, 104));
        labels.set(1, at(record, 107));
        labels.set(2, at(record, 110));
        flow.mpls_labels = labels;
        sum = consume(sum, &flow);
    }
    sum
}

/// The uptime of a time, modulo 2^32.
#[inline]
fn uptime(time: Timestamp) -> [u8; 4] {
    ExportClock::new(BOOT, SysUptime::from_millis(0)).to_uptime(time).as_millis().to_be_bytes()
}

#[inline]
fn octets_of(address: IpAddr) -> [u8; 4] {
    match address {
        IpAddr::V4(address) => address.octets(),
        IpAddr::V6(_) => panic!("this layout is one of IPv4"),
    }
}

#[inline]
fn narrow16(value: u32) -> [u8; 2] {
    u16::try_from(value).unwrap().to_be_bytes()
}

#[inline]
fn narrow32(value: u64) -> [u8; 4] {
    u32::try_from(value).unwrap().to_be_bytes()
}

/// Stores octets at a constant place.
#[inline]
fn put<const N: usize, const LEN: usize>(record: &mut [u8; LEN], offset: usize, octets: [u8; N]) {
    *record[offset..].first_chunk_mut().unwrap() = octets;
}

/// Appends one v9 packet of [`crate::datagrams::IPV4_FIELDS`].
#[inline]
pub fn encode_v9(flows: &[FlowRecord], datagram: &mut Vec<u8>) {
    let mut scratch = [0u8; 1_472];
    let (header, body) = scratch.split_first_chunk_mut::<24>().unwrap();
    let octets = 4 + (flows.len() * IPV4_LEN).next_multiple_of(4);
    put(header, 0, 9u16.to_be_bytes());
    put(header, 2, u16::try_from(flows.len()).unwrap().to_be_bytes());
    put(header, 4, UPTIME.to_be_bytes());
    put(header, 8, narrow32(NOW.as_secs()));
    put(header, 12, 0u32.to_be_bytes());
    put(header, 16, 7u32.to_be_bytes());
    put(header, 20, TEMPLATE_ID.to_be_bytes());
    put(header, 22, u16::try_from(octets).unwrap().to_be_bytes());
    for (flow, record) in flows.iter().zip(body.as_chunks_mut::<IPV4_LEN>().0) {
        put(record, 0, octets_of(flow.source));
        put(record, 4, octets_of(flow.destination));
        put(record, 8, octets_of(flow.next_hop));
        put(record, 12, narrow16(flow.ingress_interface));
        put(record, 14, narrow16(flow.egress_interface));
        put(record, 16, narrow32(flow.packets));
        put(record, 20, narrow32(flow.octets));
        put(record, 24, uptime(flow.start));
        put(record, 28, uptime(flow.end));
        put(record, 32, flow.source_port.to_be_bytes());
        put(record, 34, flow.destination_port.to_be_bytes());
        record[36] = flow.tcp_flags.to_be_bytes()[1];
        record[37] = flow.protocol;
        record[38] = flow.tos;
        put(record, 39, flow.source_as.to_be_bytes());
        put(record, 43, flow.destination_as.to_be_bytes());
        record[47] = flow.source_prefix_length;
        record[48] = flow.destination_prefix_length;
        record[49] = flow.direction;
        record[50] = 4;
    }
    datagram.extend_from_slice(&scratch[..20 + octets]);
}

/// Appends one v5 datagram.
#[inline]
pub fn encode_v5(flows: &[FlowRecord], datagram: &mut Vec<u8>) {
    let mut scratch = [0u8; 24 + 30 * 48];
    let (header, body) = scratch.split_first_chunk_mut::<24>().unwrap();
    put(header, 0, 5u16.to_be_bytes());
    put(header, 2, u16::try_from(flows.len()).unwrap().to_be_bytes());
    put(header, 4, UPTIME.to_be_bytes());
    put(header, 8, narrow32(NOW.as_secs()));
    for (flow, record) in flows.iter().zip(body.as_chunks_mut::<48>().0) {
        put(record, 0, octets_of(flow.source));
        put(record, 4, octets_of(flow.destination));
        put(record, 8, octets_of(flow.next_hop));
        put(record, 12, narrow16(flow.ingress_interface));
        put(record, 14, narrow16(flow.egress_interface));
        put(record, 16, narrow32(flow.packets));
        put(record, 20, narrow32(flow.octets));
        put(record, 24, uptime(flow.start));
        put(record, 28, uptime(flow.end));
        put(record, 32, flow.source_port.to_be_bytes());
        put(record, 34, flow.destination_port.to_be_bytes());
        record[37] = flow.tcp_flags.to_be_bytes()[1];
        record[38] = flow.protocol;
        record[39] = flow.tos;
        put(record, 40, narrow16(flow.source_as));
        put(record, 42, narrow16(flow.destination_as));
        record[44] = flow.source_prefix_length;
        record[45] = flow.destination_prefix_length;
    }
    datagram.extend_from_slice(&scratch[..24 + 48 * flows.len()]);
}
