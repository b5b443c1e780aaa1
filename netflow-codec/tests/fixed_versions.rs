//! The fixed layouts beside v5: octets written by hand.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use core::{fmt::Write as _, net::Ipv4Addr};

use netflow_codec::{
    Batch, CacheLimits, DecodeErrorKind, Decoder, FixedRecords, FlowFields, FlowRecord, Strictness,
    SysUptime, Timestamp, v1, v6, v7, v8,
};
use proptest::prelude::*;

/// Version and count, uptime 1,000 s, Unix time, nanoseconds; behind v1 sequence and the rest of the header.
fn header(version: u8, count: u8, rest: &[u8]) -> Vec<u8> {
    let mut octets = vec![0, version, 0, count, 0, 0x0f, 0x42, 0x40, 0x65, 0x53, 0xf1, 0, 0, 0, 0, 0];
    octets.extend(rest);
    octets
}

/// The first 46 octets of a v5 record: uptimes are 10 and 5 seconds before the header's.
const V5_BEGINNING: [u8; 46] = [
    192, 0, 2, 1, // source
    198, 51, 100, 2, // destination
    203, 0, 113, 3, // next hop
    0, 4, 0, 5, // input, output
    0, 0, 0, 6, // packets
    0, 0, 7, 0, // octets
    0, 0x0f, 0x1b, 0x30, // first
    0, 0x0f, 0x2e, 0xb8, // last
    0x1f, 0x90, 0, 53, // ports
    0x80, 0x12, 17, 0xb8, // octet 36, TCP flags, protocol, TOS
    0xfd, 0xe8, 0xfd, 0xe9, // AS numbers
    24, 16, // prefix lengths
];

fn assert_v5_members(flow: &FlowRecord) {
    assert_eq!(
        (flow.source.to_string(), flow.destination.to_string()),
        ("192.0.2.1".into(), "198.51.100.2".into())
    );
    assert_eq!(flow.next_hop.to_string(), "203.0.113.3");
    assert_eq!((flow.ingress_interface, flow.egress_interface, flow.packets, flow.octets), (4, 5, 6, 0x700));
    assert_eq!(
        (flow.start.as_millis(), flow.end.as_millis()),
        (1_700_000_000_000 - 10_000, 1_700_000_000_000 - 5_000)
    );
    assert_eq!((flow.source_port, flow.destination_port, flow.protocol, flow.tos), (8_080, 53, 17, 0xb8));
    assert_eq!((flow.tcp_flags, flow.source_as, flow.destination_as), (0x12, 65_000, 65_001));
    assert_eq!((flow.source_prefix_length, flow.destination_prefix_length), (24, 16));
}

fn flows(datagram: &[u8]) -> Vec<FlowRecord> {
    let mut decoder = Decoder::new();
    let mut parts = decoder.decode(&1, datagram, Timestamp::ZERO).unwrap();
    let Some(Batch::Fixed(records)) = parts.next() else { panic!("no records") };
    assert!(parts.next().is_none());
    let flows: Vec<_> = records.flows().collect();
    let mut visited = Vec::new();
    records.for_each_flow(|flow| visited.push(*flow));
    assert_eq!(flows, visited);
    flows
}

#[test]
fn v1_has_the_protocol_at_38_and_the_flags_at_40() {
    // D3
    let mut record = V5_BEGINNING[..36].to_vec();
    record.extend([0, 0, 6, 0x10, 0x1b, 1, 2, 3, 0, 0, 0, 0]);
    let datagram = [header(1, 1, &[]), record].concat();
    let packet = v1::Packet::parse(&datagram).unwrap();
    let record = packet.records().next().unwrap();
    assert_eq!(
        (record.source(), record.destination()),
        (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(198, 51, 100, 2))
    );
    assert_eq!(
        (record.next_hop(), record.packets(), record.octets()),
        (Ipv4Addr::new(203, 0, 113, 3), 6, 0x700)
    );
    assert_eq!((record.ingress_interface(), record.egress_interface()), (4, 5));
    assert_eq!(
        (record.first(), record.last()),
        (SysUptime::from_millis(990_000), SysUptime::from_millis(995_000))
    );
    assert_eq!((record.source_port(), record.destination_port()), (8_080, 53));
    assert_eq!(
        (record.protocol(), record.tos(), record.tcp_flags(), record.tcp_troubles()),
        (6, 0x10, 0x1b, [1, 2, 3])
    );
    let flow = flows(&datagram)[0];
    assert_eq!(flow, record.to_flow(&packet.header().clock()));
    assert_eq!((flow.protocol, flow.tos, flow.tcp_flags, flow.octets), (6, 0x10, 0x1b, 0x700));
    assert!(!flow.has(FlowFields::SOURCE_AS));
}

#[test]
fn v6_is_v5_and_what_is_around_the_packets() {
    let rest = [0, 0, 0, 9, 1, 2, 0, 0];
    let datagram = [&header(6, 1, &rest)[..], &V5_BEGINNING, &[4, 8, 10, 0, 0, 7]].concat();
    let packet = v6::Packet::parse(&datagram).unwrap();
    let head = packet.header();
    assert_eq!((head.count(), head.sequence(), head.engine_type(), head.engine_id()), (1, 9, 1, 2));
    let record = packet.records().next().unwrap();
    assert_eq!((record.input_encapsulation(), record.output_encapsulation()), (4, 8));
    assert_eq!(record.peer_next_hop(), Ipv4Addr::new(10, 0, 0, 7));
    let flow = flows(&datagram)[0];
    assert_v5_members(&flow);
    assert_eq!(
        (flow.bgp_next_hop.to_string(), flow.has(FlowFields::BGP_NEXT_HOP)),
        ("10.0.0.7".into(), true)
    );
    assert_eq!(flow, record.to_flow(&packet.header().clock()));
    assert_eq!(record.fields().last().unwrap().octets(), [10, 0, 0, 7]);

    let mut decoder = Decoder::new();
    let parts = decoder.decode(&1, &datagram, Timestamp::ZERO).unwrap();
    assert_eq!((parts.header().sequence, parts.header().observation_domain), (Some(9), 0x102));
}

#[test]
fn v7_shows_the_router_that_was_bypassed() {
    // D9
    let rest = [0, 0, 0, 9, 1, 2, 3, 4];
    let datagram = [&header(7, 1, &rest)[..], &V5_BEGINNING, &[0xab, 0xcd, 10, 0, 0, 7]].concat();
    let packet = v7::Packet::parse(&datagram).unwrap();
    assert_eq!((packet.header().sequence(), packet.header().reserved()), (9, 0x0102_0304));
    let record = packet.records().next().unwrap();
    assert_eq!(record.bypassed_router(), Ipv4Addr::new(10, 0, 0, 7));
    assert_eq!((record.invalid_fields(), record.flags()), (0x80, 0xabcd));
    assert_v5_members(&flows(&datagram)[0]);
    assert_eq!(record.octets_on_wire()[..46], V5_BEGINNING);
    // Reserved: no engine.
    let mut decoder = Decoder::new();
    assert_eq!(decoder.decode(&1, &datagram, Timestamp::ZERO).unwrap().header().observation_domain, 0);
}

/// Flows 1, packets 2, octets 3, first and last 10 and 5 seconds before the header.
const ROUTED: [u8; 20] = [0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0x0f, 0x1b, 0x30, 0, 0x0f, 0x2e, 0xb8];
const SWITCHED: [u8; 16] = [0, 0, 0, 2, 0, 0, 0, 3, 0, 0x0f, 0x1b, 0x30, 0, 0x0f, 0x2e, 0xb8];

fn v8(scheme: u8, records: &[&[u8]]) -> Vec<u8> {
    let count = u8::try_from(records.len()).unwrap();
    let rest = [0, 0, 0, 9, 1, 2, scheme, 2, 0, 0, 0, 0];
    [header(8, count, &rest), records.concat()].concat()
}

/// What a scheme has, as text, in the order of the members below.
fn seen(record: &v8::Record<'_>) -> String {
    let mut text = String::new();
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            write!(text, "{name}={value} ").unwrap();
        }
    };
    add("flows", record.flows().map(|n| n.to_string()));
    add("src", record.source().map(|a| a.to_string()));
    add("srclen", record.source_prefix_length().map(|n| n.to_string()));
    add("dst", record.destination().map(|a| a.to_string()));
    add("dstlen", record.destination_prefix_length().map(|n| n.to_string()));
    add("as", record.source_as().map(|n| n.to_string()));
    add("to", record.destination_as().map(|n| n.to_string()));
    add("in", record.ingress_interface().map(|n| n.to_string()));
    add("out", record.egress_interface().map(|n| n.to_string()));
    add("proto", record.protocol().map(|n| n.to_string()));
    add("sport", record.source_port().map(|n| n.to_string()));
    add("dport", record.destination_port().map(|n| n.to_string()));
    add("tos", record.tos().map(|n| n.to_string()));
    add("over", record.exceeding_tos().map(|n| n.to_string()));
    add("extra", record.exceeding_packets().map(|n| n.to_string()));
    add("router", record.bypassed_router().map(|a| a.to_string()));
    text.trim_end().to_owned()
}

#[test]
fn v8_schemes_have_their_fields_where_devices_put_them() {
    let (src, dst) = ([192, 0, 2, 0], [198, 51, 100, 0]);
    let router = [10, 0, 0, 7];
    let schemes: [(u8, &[&[u8]], &str); 14] = [
        (1, &[&ROUTED, &[0, 11, 0, 12, 0, 13, 0, 14]], "flows=1 as=11 to=12 in=13 out=14"),
        (2, &[&ROUTED, &[17, 9, 9, 9, 0, 15, 0, 16]], "flows=1 proto=17 sport=15 dport=16"),
        (3, &[&ROUTED, &src, &[24, 9, 0, 11, 0, 13, 9, 9]], "flows=1 src=192.0.2.0 srclen=24 as=11 in=13"),
        (
            4,
            &[&ROUTED, &dst, &[25, 9, 0, 12, 0, 14, 9, 9]],
            "flows=1 dst=198.51.100.0 dstlen=25 to=12 out=14",
        ),
        (
            5,
            &[&ROUTED, &src, &dst, &[25, 24, 9, 9, 0, 11, 0, 12, 0, 13, 0, 14]],
            "flows=1 src=192.0.2.0 srclen=24 dst=198.51.100.0 dstlen=25 as=11 to=12 in=13 out=14",
        ),
        (
            6,
            &[&dst, &SWITCHED, &[0, 14, 1, 2, 0, 0, 0, 8], &router],
            "dst=198.51.100.0 out=14 tos=1 over=2 extra=8 router=10.0.0.7",
        ),
        (
            7,
            &[&dst, &src, &SWITCHED, &[0, 14, 0, 13, 1, 2, 9, 9, 0, 0, 0, 8], &router],
            "src=192.0.2.0 dst=198.51.100.0 in=13 out=14 tos=1 over=2 extra=8 router=10.0.0.7",
        ),
        (
            8,
            &[&dst, &src, &[0, 16, 0, 15], &SWITCHED, &[0, 14, 0, 13, 1, 17, 2, 9, 0, 0, 0, 8], &router],
            "src=192.0.2.0 dst=198.51.100.0 in=13 out=14 proto=17 sport=15 dport=16 tos=1 over=2 extra=8 \
             router=10.0.0.7",
        ),
        (9, &[&ROUTED, &[0, 11, 0, 12, 0, 13, 0, 14, 1, 9, 9, 9]], "flows=1 as=11 to=12 in=13 out=14 tos=1"),
        (
            10,
            &[&ROUTED, &[17, 1, 9, 9, 0, 15, 0, 16, 0, 13, 0, 14]],
            "flows=1 in=13 out=14 proto=17 sport=15 dport=16 tos=1",
        ),
        (
            11,
            &[&ROUTED, &src, &[24, 1, 0, 11, 0, 13, 9, 9]],
            "flows=1 src=192.0.2.0 srclen=24 as=11 in=13 tos=1",
        ),
        (
            12,
            &[&ROUTED, &dst, &[25, 1, 0, 12, 0, 14, 9, 9]],
            "flows=1 dst=198.51.100.0 dstlen=25 to=12 out=14 tos=1",
        ),
        (
            13,
            &[&ROUTED, &src, &dst, &[25, 24, 1, 9, 0, 11, 0, 12, 0, 13, 0, 14]],
            "flows=1 src=192.0.2.0 srclen=24 dst=198.51.100.0 dstlen=25 as=11 to=12 in=13 out=14 tos=1",
        ),
        (
            14,
            &[&ROUTED, &src, &dst, &[25, 24, 1, 17, 0, 15, 0, 16, 0, 13, 0, 14]],
            "flows=1 src=192.0.2.0 srclen=24 dst=198.51.100.0 dstlen=25 in=13 out=14 proto=17 sport=15 dport=16 tos=1",
        ),
    ];
    for (scheme, parts, expected) in schemes {
        let record = parts.concat();
        let datagram = v8(scheme, &[&record, &record]);
        let packet = v8::Packet::parse(&datagram).unwrap();
        let head = packet.header();
        assert_eq!((head.count(), head.sequence(), head.engine_type(), head.engine_id()), (2, 9, 1, 2));
        assert_eq!((head.aggregation().number(), head.aggregation_version()), (scheme, 2));
        assert_eq!(head.aggregation().record_len(), Some(record.len()), "scheme {scheme}");
        assert_eq!((packet.records().len(), packet.trailing_octets()), (2, 0), "scheme {scheme}");
        let flows = flows(&datagram);
        for (view, flow) in packet.records().zip(&flows) {
            assert_eq!(seen(&view), expected, "scheme {scheme}");
            assert_eq!((view.packets(), view.octets()), (Some(2), Some(3)));
            assert_eq!(view.first(), Some(SysUptime::from_millis(990_000)));
            assert_eq!(view.last(), Some(SysUptime::from_millis(995_000)));
            assert_eq!(view.octets_on_wire(), record);
            assert_eq!(*flow, view.to_flow());
            assert_eq!((flow.packets, flow.octets), (2, 3));
            assert_eq!(flow.start.as_millis(), 1_700_000_000_000 - 10_000);
            assert_eq!(flow.has(FlowFields::SOURCE), view.source().is_some(), "scheme {scheme}");
            assert_eq!(
                view.source().map_or([0; 4], |source| source.octets()),
                match flow.source {
                    core::net::IpAddr::V4(source) => source.octets(),
                    core::net::IpAddr::V6(_) => panic!("v8 is IPv4 only"),
                }
            );
            assert_eq!(
                flow.has(FlowFields::DESTINATION_PREFIX_LENGTH),
                view.destination_prefix_length().is_some()
            );
            assert_eq!(flow.source_as, view.source_as().map_or(0, u32::from));
        }
        let mut decoder = Decoder::new();
        let parts = decoder.decode(&1, &datagram, Timestamp::ZERO).unwrap();
        let header = parts.header();
        assert_eq!((header.version, header.sequence, header.observation_domain), (8, Some(9), 0x102));
    }
}

#[test]
fn v8_headers_say_how_packets_were_sampled() {
    let mut datagram = v8(1, &[&[1; 28]]);
    let sampling = |datagram: &[u8]| {
        Decoder::new()
            .decode(&1, datagram, Timestamp::ZERO)
            .unwrap()
            .header()
            .sampling
            .map(|info| info.interval)
    };
    assert_eq!(sampling(&datagram), None);
    datagram[24..28].copy_from_slice(&[0x40, 100, 1, 2]);
    assert_eq!(sampling(&datagram), Some(100));
    let packet = v8::Packet::parse(&datagram).unwrap();
    assert_eq!((packet.header().sampling().mode(), packet.header().reserved()), (1, 0x102));
}

#[test]
fn v8_schemes_that_nobody_knows_are_named() {
    // D2
    for scheme in (0..=u8::MAX).filter(|scheme| !(1..=14).contains(scheme)) {
        let datagram = v8(scheme, &[&[0; 28]]);
        let error = Decoder::new().decode(&1, &datagram, Timestamp::ZERO).unwrap_err();
        assert_eq!(error.kind, DecodeErrorKind::UnsupportedAggregation { scheme, version: 2 });
        assert_eq!(v8::Aggregation::from_number(scheme).record_len(), None);
    }
}

fn strict(datagram: &[u8]) -> Vec<DecodeErrorKind> {
    let mut decoder = Decoder::with_limits(CacheLimits::default(), Strictness::Rfc);
    let parts: Vec<_> = decoder.decode(&1, datagram, Timestamp::ZERO).unwrap().collect();
    parts
        .iter()
        .filter_map(|part| match part {
            Batch::Malformed(error) => Some(error.kind),
            Batch::Fixed(_) => None,
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn counts_that_lie_give_the_records_that_are_there_or_none_when_strict() {
    // D5, D6
    let record = [0x55; 52];
    for (version, header_len, record_len) in [(1, 16, 48), (5, 24, 48), (6, 24, 52), (7, 24, 52), (8, 28, 40)]
    {
        let mut datagram = header(version, 3, &[0, 0, 0, 9, 1, 2, 5, 2, 0, 0, 0, 0][..header_len - 16]);
        for _ in 0..2 {
            datagram.extend(&record[..record_len]);
        }
        datagram.extend([1, 2, 3]);
        let kind = DecodeErrorKind::RecordCount { announced: 3, available: 2 };
        let mut decoder = Decoder::new();
        let parts: Vec<_> = decoder.decode(&1, &datagram, Timestamp::ZERO).unwrap().collect();
        let [Batch::Fixed(records), Batch::Malformed(error)] = &parts[..] else { panic!("{parts:?}") };
        assert_eq!((records.count(), error.kind, records.trailing_octets()), (2, kind, 3));
        assert_eq!(strict(&datagram), [kind], "version {version}");
        // Octets behind the records announced are tolerated and told.
        datagram[3] = 1;
        assert_eq!(strict(&datagram), []);
        let records = FixedRecords::parse(&datagram).unwrap();
        assert_eq!((records.count(), records.trailing_octets() as usize), (1, record_len + 3));
    }
}

#[test]
fn more_records_than_a_sender_may_put_in_are_refused_when_strict_only() {
    // D7, D10
    for (version, header_len, record_len, limit) in
        [(1, 16, 48, 24u8), (5, 24, 48, 30), (6, 24, 52, 27), (7, 24, 52, 30), (8, 28, 40, 255)]
    {
        let rest = &[0, 0, 0, 9, 1, 2, 5, 2, 0, 0, 0, 0][..header_len - 16];
        let datagram = |count: u8| {
            let mut datagram = header(version, count, rest);
            datagram.resize(header_len + record_len * usize::from(count), 1);
            datagram
        };
        assert_eq!(strict(&datagram(limit)), [], "version {version}");
        assert_eq!(flows(&datagram(limit)).len(), usize::from(limit));
        assert_eq!(flows(&datagram(0)).len(), 0);
        if let Some(more) = limit.checked_add(1) {
            let kind = DecodeErrorKind::TooManyRecords { announced: more.into(), limit: limit.into() };
            assert_eq!(strict(&datagram(more)), [kind], "version {version}");
            assert_eq!(flows(&datagram(more)).len(), usize::from(more), "lenient");
        }
    }
}

#[test]
fn another_version_of_aggregation_is_refused_when_strict_only() {
    let mut datagram = v8(1, &[&[1; 28]]);
    datagram[23] = 3;
    assert_eq!(strict(&datagram), [DecodeErrorKind::UnsupportedAggregation { scheme: 1, version: 3 }]);
    assert_eq!(flows(&datagram).len(), 1);
}

proptest! {
    #[test]
    fn random_octets_of_fixed_layouts_are_survived(
        octets in prop::collection::vec(any::<u8>(), 0..400),
        version in prop::sample::select(&[1u8, 5, 6, 7, 8][..]),
        scheme in 0u8..16,
    ) {
        // D66
        let mut datagram = octets;
        if datagram.len() > 1 {
            datagram[0] = 0;
            datagram[1] = version;
        }
        if let (8, Some(octet)) = (version, datagram.get_mut(22)) {
            *octet = scheme;
        }
        for strictness in [Strictness::Lenient, Strictness::Rfc] {
            let mut decoder = Decoder::with_limits(CacheLimits::default(), strictness);
            if let Ok(parts) = decoder.decode(&1, &datagram, Timestamp::ZERO) {
                for part in parts {
                    if let Batch::Fixed(records) = part {
                        prop_assert_eq!(records.flows().count(), records.count());
                        for record in records.iter() {
                            prop_assert!(record.offset() + record.octets().len() <= datagram.len());
                            prop_assert!(record.fields().all(|field| !field.octets().is_empty()));
                        }
                    }
                }
            }
        }
        if let Ok(packet) = v8::Packet::parse_lenient(&datagram) {
            packet.records().for_each(|record| drop(seen(&record)));
        }
    }
}
