//! Whatever the layout: the octets of a record are those of its fields, written one after the other.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netflow_codec::{
    ElementId, EncodeError, ExportClock, FieldSpecifier, FlowRecord, MplsLabels, PacketBuilder, PacketHeader,
    Protocol, RecordLayout, SysUptime, TemplateBuilder, Timestamp,
};
use proptest::prelude::*;

const BOOT: Timestamp = Timestamp::from_secs(1_700_000_000);
/// Octets before the first record: the header of the packet and of its `FlowSet`.
const HEADERS: usize = 24;

/// Every element that a layout can have.
const NUMBERS: &[u16] = &[
    1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 21, 22, 23, 24, 27, 28, 29, 30, 31, 32, 34,
    48, 52, 53, 54, 56, 57, 58, 59, 60, 61, 62, 63, 70, 71, 79, 80, 85, 86, 89, 136, 139, 150, 151, 152, 153,
];

/// An element in a length that it can have.
fn field() -> impl Strategy<Value = FieldSpecifier> {
    let length = |number: u16| match number {
        8 | 12 | 15 | 18 | 21 | 22 | 150 | 151 => Just(4).boxed(),
        27 | 28 | 62 | 63 => Just(16).boxed(),
        70..=79 => Just(3).boxed(),
        56 | 57 | 80 => Just(6).boxed(),
        152 | 153 => Just(8).boxed(),
        60 => Just(1).boxed(),
        _ => prop_oneof![4 => Just(1), 4 => Just(2), 6 => Just(4), 4 => Just(8), 2 => 1u16..=8].boxed(),
    };
    prop::sample::select(NUMBERS)
        .prop_flat_map(move |number| (Just(number), length(number)))
        .prop_map(|(number, length)| FieldSpecifier::new(ElementId::iana(number), length))
}

fn address() -> impl Strategy<Value = IpAddr> {
    let v4 = any::<u32>().prop_map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits)));
    prop_oneof![v4, any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits)))]
}

fn number(bits: u64) -> impl Strategy<Value = u64> {
    prop_oneof![3 => 0u64..256, 2 => 0u64..=0xffff, 1 => 0u64..=bits, 1 => Just(bits)]
}

fn flow() -> impl Strategy<Value = FlowRecord> {
    let wide = prop::array::uniform2(number(u64::MAX));
    let words = prop::array::uniform8(number(u32::MAX.into()));
    let shorts = prop::array::uniform6(any::<u16>());
    let octets = prop::array::uniform9(any::<u8>());
    let addresses = (prop::array::uniform4(address()), any::<[u8; 12]>());
    let labels = prop::collection::vec(any::<[u8; 3]>(), 0..=10);
    let times = prop::array::uniform2(0u64..4_000_000_000_000_000_000);
    (wide, words, shorts, octets, addresses, labels, times).prop_map(
        |(wide, words, shorts, octets, (addresses, macs), labels, times)| {
            let mut flow = FlowRecord::default();
            [flow.octets, flow.packets] = wide;
            let words = words.map(|word| u32::try_from(word).unwrap());
            [flow.ingress_interface, flow.egress_interface, flow.source_as, flow.destination_as, ..] = words;
            [
                ..,
                flow.ipv6_flow_label,
                flow.sampler_id,
                flow.sampling_interval,
                flow.fragment_identification,
            ] = words;
            [
                flow.source_port,
                flow.destination_port,
                flow.tcp_flags,
                flow.vlan,
                flow.post_vlan,
                flow.icmp_type_code,
            ] = shorts;
            flow.tcp_flags &= 0x1ff;
            [
                flow.protocol,
                flow.tos,
                flow.source_prefix_length,
                flow.destination_prefix_length,
                flow.direction,
                flow.flow_end_reason,
                flow.minimum_ttl,
                flow.maximum_ttl,
                flow.forwarding_status,
            ] = octets;
            [flow.source, flow.destination, flow.next_hop, flow.bgp_next_hop] = addresses;
            flow.source_mac.copy_from_slice(&macs[..6]);
            flow.destination_mac.copy_from_slice(&macs[6..]);
            let mut stack = MplsLabels::EMPTY;
            labels.iter().enumerate().for_each(|(position, label)| stack.set(position, *label));
            flow.mpls_labels = stack;
            [flow.start, flow.end] = times.map(Timestamp::from_nanos);
            flow
        },
    )
}

/// The octets of a field; `None` when the value does not fit.
fn naive(field: FieldSpecifier, flow: &FlowRecord) -> Option<Vec<u8>> {
    let length = usize::from(field.length);
    let address = |address: IpAddr| match (address, length) {
        (IpAddr::V4(address), 4) => Some(address.octets().to_vec()),
        (IpAddr::V6(address), 16) => Some(address.octets().to_vec()),
        // The next hop of the other family is none.
        _ => Some(vec![0; length]),
    };
    let uptime = |time: Timestamp| time.as_millis().wrapping_sub(BOOT.as_millis()) & 0xffff_ffff;
    let value: u64 = match field.element.number() {
        8 | 27 => return address(flow.source),
        12 | 28 => return address(flow.destination),
        15 | 62 => return address(flow.next_hop),
        18 | 63 => return address(flow.bgp_next_hop),
        56 => return Some(flow.source_mac.to_vec()),
        57 | 80 => return Some(flow.destination_mac.to_vec()),
        label @ 70..=79 => {
            let label = flow.mpls_labels.get(usize::from(label - 70));
            return Some(label.map_or([0; 3], netflow_codec::MplsLabel::octets).to_vec());
        }
        1 | 23 | 85 => flow.octets,
        2 | 24 | 86 => flow.packets,
        4 => flow.protocol.into(),
        5 => flow.tos.into(),
        6 if length == 1 => (flow.tcp_flags & 0xff).into(),
        6 => flow.tcp_flags.into(),
        7 => flow.source_port.into(),
        9 | 29 => flow.source_prefix_length.into(),
        10 => flow.ingress_interface.into(),
        11 => flow.destination_port.into(),
        13 | 30 => flow.destination_prefix_length.into(),
        14 => flow.egress_interface.into(),
        16 => flow.source_as.into(),
        17 => flow.destination_as.into(),
        21 => uptime(flow.end),
        22 => uptime(flow.start),
        31 => flow.ipv6_flow_label.into(),
        32 | 139 => flow.icmp_type_code.into(),
        34 => flow.sampling_interval.into(),
        48 | 302 => flow.sampler_id.into(),
        52 => flow.minimum_ttl.into(),
        53 => flow.maximum_ttl.into(),
        54 => flow.fragment_identification.into(),
        58 => flow.vlan.into(),
        59 => flow.post_vlan.into(),
        60 => {
            if flow.is_ipv6() {
                6
            } else {
                4
            }
        }
        61 => flow.direction.into(),
        89 => flow.forwarding_status.into(),
        136 => flow.flow_end_reason.into(),
        150 => flow.start.as_secs(),
        151 => flow.end.as_secs(),
        152 => flow.start.as_millis(),
        153 => flow.end.as_millis(),
        other => panic!("no value for element {other}"),
    };
    let octets = value.to_be_bytes();
    let (spilled, kept) = octets.split_at(8 - length);
    spilled.iter().all(|octet| *octet == 0).then(|| kept.to_vec())
}

/// Source and destination must be of the layout's family, if its addresses are all of one.
fn fits_family(fields: &[FieldSpecifier], flow: &FlowRecord) -> bool {
    let has = |numbers: [u16; 2]| fields.iter().any(|field| numbers.contains(&field.element.number()));
    let ipv6 = [flow.source.is_ipv6(), flow.destination.is_ipv6()];
    match (has([8, 12]), has([27, 28])) {
        (true, false) => ipv6 == [false; 2],
        (false, true) => ipv6 == [true; 2],
        _ => true,
    }
}

/// Encodes two flows one behind the other and compares; says how many of them the layout carried.
fn check(layout: &RecordLayout, flows: &[FlowRecord; 2]) -> usize {
    let mut builder = PacketBuilder::new(1_472);
    let mut expected = Vec::new();
    let mut carried = 0;
    for flow in flows {
        let octets: Option<Vec<_>> = layout.fields().iter().map(|field| naive(*field, flow)).collect();
        let result = builder.push_flow(layout, flow, BOOT);
        match octets {
            _ if !fits_family(layout.fields(), flow) => assert_eq!(result, Err(EncodeError::AddressFamily)),
            None => assert!(matches!(result, Err(EncodeError::ValueTooLarge { .. })), "{result:?}"),
            Some(octets) => {
                assert_eq!(result, Ok(()));
                expected.extend(octets.concat());
                carried += 1;
            }
        }
    }
    let clock = ExportClock::new(BOOT, SysUptime::from_millis(0));
    let mut datagram = Vec::new();
    builder.finish(&PacketHeader::new(clock, 0, 0), &mut datagram);
    if carried > 0 {
        let (records, padding) = datagram[HEADERS..].split_at(expected.len());
        assert_eq!(records, expected, "{:?}", layout.fields());
        assert!(padding.len() < 4 && padding.iter().all(|octet| *octet == 0));
    }
    carried
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_layout_is_written_field_by_field(
        fields in prop::collection::vec(field(), 1..24),
        flows in prop::array::uniform2(flow()),
    ) {
        let octets: usize = fields.iter().map(|field| usize::from(field.length)).sum();
        match RecordLayout::new(300, &fields) {
            Ok(layout) => {
                check(&layout, &flows);
            }
            Err(error) => prop_assert!(error == EncodeError::LayoutLength(octets) && octets > 255),
        }
    }

    #[test]
    fn the_default_layouts_are_written_field_by_field(
        flows in prop::array::uniform2(flow()),
        depth in 0u16..=10,
    ) {
        let layouts = [RecordLayout::ipv4(300).unwrap(), RecordLayout::ipv6(300).unwrap()];
        for layout in layouts {
            check(&layout, &flows);
            check(&layout.with_mpls(301, depth).unwrap(), &flows);
            // As IPFIX has them.
            let absolute = layout.with_absolute_times().unwrap();
            check(&absolute, &flows);
            let sampled = absolute.with_field(FieldSpecifier::new(ElementId::iana(302), 4)).unwrap();
            check(&sampled, &flows);
            check(&sampled.with_mpls(301, depth).unwrap(), &flows);
        }
    }
}

#[test]
fn values_that_fit_are_written_by_every_layout() {
    // A property that compares nothing proves nothing: here records are compared for certain.
    let v4 = FlowRecord::default();
    let mut v6 = v4;
    (v6.source, v6.destination) = (Ipv6Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into());
    v6.ipv6_flow_label = 0x000f_ffff;
    assert_eq!(check(&RecordLayout::ipv4(300).unwrap(), &[v4, v6]), 1);
    assert_eq!(check(&RecordLayout::ipv6(300).unwrap(), &[v6, v6]), 2);
    v6.ipv6_flow_label = 0x0100_0000;
    assert_eq!(check(&RecordLayout::ipv6(300).unwrap(), &[v6, v6]), 0);
    let odd = [(7, 2), (1, 4), (2, 8), (10, 4), (14, 2), (1, 8), (7, 2), (61, 3), (4, 1)];
    let fields = odd.map(|(number, length)| FieldSpecifier::new(ElementId::iana(number), length));
    let mut flow = v4;
    (flow.octets, flow.packets, flow.source_port, flow.protocol) = (0x1234_5678, u64::MAX, 0xabcd, 17);
    assert_eq!(check(&RecordLayout::new(300, &fields).unwrap(), &[flow, flow]), 2);
}

proptest! {
    #[test]
    fn the_general_path_writes_what_the_fast_one_does(flow in flow(), depth in 0u16..=10, ipfix: bool) {
        // E26
        let mut flow = flow;
        flow.source_prefix_length %= 33;
        flow.destination_prefix_length %= 33;
        flow.ipv6_flow_label &= 0xf_ffff;
        let layout = if flow.is_ipv6() { RecordLayout::ipv6(300) } else { RecordLayout::ipv4(300) };
        let mut layout = layout.unwrap().with_mpls(300, depth).unwrap();
        let protocol = if ipfix { Protocol::Ipfix } else { Protocol::NetFlow9 };
        if ipfix {
            layout = layout.with_absolute_times().unwrap();
        }
        let template = TemplateBuilder::new(protocol, 300).fields(layout.fields().iter().copied());
        let template = template.boot(BOOT).build().unwrap();
        let mut fast = PacketBuilder::with_protocol(protocol, 1_472);
        let mut general = fast.clone();
        let (one, other) = (fast.push_flow(&layout, &flow, BOOT), general.push_record(&template, &flow));
        if one.is_ok() && other.is_ok() {
            let header = PacketHeader::new(ExportClock::default(), 0, 0);
            let (mut expected, mut octets) = (Vec::new(), Vec::new());
            fast.finish(&header, &mut expected);
            general.finish(&header, &mut octets);
            prop_assert_eq!(octets, expected);
        } else {
            // Addresses of two families, or a value that a field is too short for.
            let refused = (one.unwrap_err(), other.unwrap_err());
            prop_assert!(matches!(
                refused,
                (EncodeError::AddressFamily, EncodeError::FieldMissing { .. })
                    | (EncodeError::ValueTooLarge { .. }, EncodeError::ValueTooLarge { .. })
            ), "{refused:?}");
        }
    }
}
