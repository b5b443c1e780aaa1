//! Datagrams and flows made by rule: no capture, no randomness from outside, equal in every run.

use core::{
    iter,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use netflow_codec::{FlowRecord, MplsLabels, Timestamp};

pub use crate::fields::{
    IPFIX_FIELDS, IPFIX_LEN, IPFIX_RECORDS, IPV4_FIELDS, IPV4_LEN, IPV4_RECORDS, IPV6_FIELDS, IPV6_LEN,
    IPV6_RECORDS, MIXED_TEMPLATES, NAMED_FIELDS, NAMED_HEAD, NAMED_RECORDS, mixed_fields, specifiers,
};

/// Records of a v5 datagram.
pub const V5_RECORDS: usize = 30;
/// The template of the v9 datagrams.
pub const TEMPLATE_ID: u16 = 300;
/// When the exporter booted, in Unix seconds.
pub const BOOT_SECS: u32 = 1_700_000_000;
/// Uptime in the header of all datagrams, in milliseconds.
pub const UPTIME: u32 = 86_400_000;
/// When the exporter booted.
pub const BOOT: Timestamp = Timestamp::from_secs(BOOT_SECS as u64);
/// When the datagrams were sent.
pub const NOW: Timestamp = Timestamp::from_secs((BOOT_SECS + UPTIME / 1_000) as u64);

/// Numbers without pattern: a counter, mixed.
#[derive(Clone, Debug)]
pub struct Numbers(u64);

impl Numbers {
    /// A sequence of its own for each seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0xD134_2543_DE82_EF95))
    }

    /// The next number.
    pub const fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let word = (self.0 ^ self.0 >> 32).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        let word = (word ^ word >> 32).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        word ^ word >> 32
    }

    /// The next number, below `limit`.
    pub const fn below(&mut self, limit: u32) -> u32 {
        // Below 2^32, so it fits.
        (((self.draw() >> 32) * limit as u64) >> 32) as u32
    }
}

/// A flow as a router meters it: plausible addresses, counters, times within the hour before the header.
fn flow(numbers: &mut Numbers, ipv6: bool) -> FlowRecord {
    let mut flow = FlowRecord::default();
    let mut address = |net: u128| {
        if ipv6 {
            IpAddr::V6(Ipv6Addr::from_bits(net << 96 | u128::from(numbers.draw())))
        } else {
            IpAddr::V4(Ipv4Addr::from_bits(0x0A00_0000 | numbers.below(1 << 24)))
        }
    };
    flow.source = address(0x2001_0db8);
    flow.destination = address(0x2001_0db9);
    flow.next_hop = address(0x2001_0dba);
    flow.packets = u64::from(1 + numbers.below(2_000));
    flow.octets = flow.packets * u64::from(40 + numbers.below(1_460));
    let end = UPTIME - numbers.below(60_000);
    let start = end - numbers.below(3_000_000);
    flow.start = Timestamp::from_millis(BOOT.as_millis() + u64::from(start));
    flow.end = Timestamp::from_millis(BOOT.as_millis() + u64::from(end));
    flow.ingress_interface = 1 + numbers.below(500);
    flow.egress_interface = 1 + numbers.below(500);
    flow.source_as = 1 + numbers.below(65_000);
    flow.destination_as = 1 + numbers.below(65_000);
    let mut short = |limit| u16::try_from(numbers.below(limit)).unwrap();
    flow.source_port = short(65_536);
    flow.destination_port = short(1_024);
    flow.tcp_flags = short(256);
    let mut octet = |limit| short(limit).to_be_bytes()[1];
    flow.protocol = if octet(3) == 0 { 17 } else { 6 };
    flow.tos = octet(64) << 2;
    flow.source_prefix_length = 8 + octet(25);
    flow.destination_prefix_length = 8 + octet(25);
    flow.direction = octet(2);
    if ipv6 {
        flow.vlan = short(4_096);
        flow.ipv6_flow_label = numbers.below(1 << 20);
        let mut labels = MplsLabels::EMPTY;
        for position in 0..3 {
            let [_, label @ ..] = numbers.below(1 << 24).to_be_bytes();
            labels.set(position, label);
        }
        flow.mpls_labels = labels;
    }
    flow
}

/// So many flows of one address family.
#[must_use]
pub fn flows(count: usize, ipv6: bool) -> Vec<FlowRecord> {
    let mut numbers = Numbers::new(if ipv6 { 6 } else { 4 });
    iter::repeat_with(|| flow(&mut numbers, ipv6)).take(count).collect()
}

/// What carries templates and data.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Protocol {
    /// NetFlow v9.
    V9,
    /// IPFIX.
    Ipfix,
}

impl Protocol {
    /// Octets of the header.
    #[must_use]
    pub const fn header_len(self) -> usize {
        match self {
            Self::V9 => 20,
            Self::Ipfix => 16,
        }
    }

    fn header(self, records: usize, sequence: u32) -> Vec<u8> {
        match self {
            Self::V9 => v9_header(records, sequence),
            Self::Ipfix => {
                let mut message = Vec::with_capacity(1_500);
                message.extend([0, 10, 0, 0]);
                message.extend((BOOT_SECS + UPTIME / 1_000).to_be_bytes());
                message.extend(sequence.to_be_bytes());
                message.extend(7u32.to_be_bytes());
                message
            }
        }
    }

    /// Writes the length, which IPFIX has in its header.
    fn finish(self, mut datagram: Vec<u8>) -> Vec<u8> {
        if self == Self::Ipfix {
            let length = u16::try_from(datagram.len()).unwrap();
            datagram[2..4].copy_from_slice(&length.to_be_bytes());
        }
        datagram
    }
}

/// Header of a v9 packet with this many records.
fn v9_header(records: usize, sequence: u32) -> Vec<u8> {
    let mut datagram = Vec::with_capacity(1_500);
    datagram.extend(9u16.to_be_bytes());
    datagram.extend(u16::try_from(records).unwrap().to_be_bytes());
    datagram.extend(UPTIME.to_be_bytes());
    datagram.extend((BOOT_SECS + UPTIME / 1_000).to_be_bytes());
    datagram.extend(sequence.to_be_bytes());
    datagram.extend(7u32.to_be_bytes());
    datagram
}

fn put_template(datagram: &mut Vec<u8>, protocol: Protocol, id: u16, fields: &[(u16, u16)]) {
    let octets = u16::try_from(8 + 4 * fields.len()).unwrap();
    let set = if protocol == Protocol::V9 { 0 } else { 2 };
    for word in [set, octets, id, u16::try_from(fields.len()).unwrap()] {
        datagram.extend(word.to_be_bytes());
    }
    for (element, length) in fields {
        datagram.extend(element.to_be_bytes());
        datagram.extend(length.to_be_bytes());
    }
}

fn put_data(datagram: &mut Vec<u8>, id: u16, fields: &[(u16, u16)], flows: &[FlowRecord]) {
    let start = datagram.len();
    datagram.extend(id.to_be_bytes());
    datagram.extend([0, 0]);
    for flow in flows {
        for (element, length) in fields {
            put_field(datagram, *element, usize::from(*length), flow);
        }
    }
    let padding = datagram.len().next_multiple_of(4) - datagram.len();
    datagram.extend(iter::repeat_n(0, padding));
    let octets = u16::try_from(datagram.len() - start).unwrap();
    datagram[start + 2..start + 4].copy_from_slice(&octets.to_be_bytes());
}

/// The name of an interface or of an application, with its length in front.
fn put_name(datagram: &mut Vec<u8>, name: &str) {
    datagram.push(u8::try_from(name.len()).unwrap());
    datagram.extend(name.as_bytes());
}

fn put_field(datagram: &mut Vec<u8>, element: u16, length: usize, flow: &FlowRecord) {
    let uptime = |time: Timestamp| time.as_millis() - BOOT.as_millis();
    let address = match element {
        8 | 27 => Some(flow.source),
        12 | 28 => Some(flow.destination),
        15 | 62 => Some(flow.next_hop),
        _ => None,
    };
    match address {
        Some(IpAddr::V4(address)) => return datagram.extend(address.octets()),
        Some(IpAddr::V6(address)) => return datagram.extend(address.octets()),
        None => {}
    }
    match element {
        82 => return put_name(datagram, &format!("GigabitEthernet0/{}", flow.ingress_interface)),
        96 => {
            let names = ["dns", "https", "ssh", "netflow"];
            return put_name(datagram, names[usize::from(flow.destination_port) % names.len()]);
        }
        _ => {}
    }
    let value: u64 = match element {
        1 => flow.octets,
        2 => flow.packets,
        4 => flow.protocol.into(),
        5 => flow.tos.into(),
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
        58 => flow.vlan.into(),
        60 => {
            if flow.is_ipv6() {
                6
            } else {
                4
            }
        }
        61 => flow.direction.into(),
        152 => flow.start.as_millis(),
        153 => flow.end.as_millis(),
        70..=79 => {
            let [a, b, c] = flow.mpls_labels.get(usize::from(element - 70)).unwrap().octets();
            u32::from_be_bytes([0, a, b, c]).into()
        }
        other => panic!("no value for element {other}"),
    };
    datagram.extend(&value.to_be_bytes()[8 - length..]);
}

/// A v9 packet that announces the template and nothing else.
#[must_use]
pub fn v9_template(fields: &[(u16, u16)]) -> Vec<u8> {
    template(Protocol::V9, TEMPLATE_ID, fields)
}

/// So many v9 packets of data records.
#[must_use]
pub fn v9_data(fields: &[(u16, u16)], records: usize, count: usize) -> Vec<Vec<u8>> {
    data(Protocol::V9, fields, records, count, false)
}

/// So many v9 packets that each announce the template before their data records.
#[must_use]
pub fn v9_data_with_template(fields: &[(u16, u16)], records: usize, count: usize) -> Vec<Vec<u8>> {
    data(Protocol::V9, fields, records, count, true)
}

/// A datagram that announces a template and nothing else.
#[must_use]
pub fn template(protocol: Protocol, id: u16, fields: &[(u16, u16)]) -> Vec<u8> {
    let mut datagram = protocol.header(1, 0);
    put_template(&mut datagram, protocol, id, fields);
    protocol.finish(datagram)
}

/// So many datagrams of data records, each with the template before them if it is to be.
#[must_use]
pub fn data(
    protocol: Protocol,
    fields: &[(u16, u16)],
    records: usize,
    count: usize,
    template: bool,
) -> Vec<Vec<u8>> {
    let ipv6 = fields.iter().any(|(element, _)| *element == 27);
    let flows = flows(records * count, ipv6);
    let packets = flows.chunks(records).zip(0u32..);
    packets
        .map(|(flows, sequence)| {
            let mut datagram = protocol.header(records + usize::from(template), sequence);
            if template {
                put_template(&mut datagram, protocol, TEMPLATE_ID, fields);
            }
            put_data(&mut datagram, TEMPLATE_ID, fields, flows);
            protocol.finish(datagram)
        })
        .collect()
}

/// A v9 packet that announces all of the [`MIXED_TEMPLATES`].
#[must_use]
pub fn mixed_templates() -> Vec<u8> {
    let mut datagram = v9_header(MIXED_TEMPLATES.into(), 0);
    for index in 0..MIXED_TEMPLATES {
        put_template(&mut datagram, Protocol::V9, TEMPLATE_ID + index, &mixed_fields(index));
    }
    datagram
}

/// So many v9 packets of [`IPV4_RECORDS`] records, in sets of `per_set` records, each set of the next one of the
/// [`MIXED_TEMPLATES`].
#[must_use]
pub fn mixed_data(per_set: usize, count: usize) -> Vec<Vec<u8>> {
    let flows = flows(IPV4_RECORDS * count, false);
    let mut index = 0;
    flows
        .chunks(IPV4_RECORDS)
        .zip(0u32..)
        .map(|(flows, sequence)| {
            let mut datagram = v9_header(flows.len(), sequence);
            for flows in flows.chunks(per_set) {
                put_data(&mut datagram, TEMPLATE_ID + index, &mixed_fields(index), flows);
                index = (index + 1) % MIXED_TEMPLATES;
            }
            datagram
        })
        .collect()
}

/// So many v5 datagrams of 30 records.
#[must_use]
pub fn v5(count: usize) -> Vec<Vec<u8>> {
    let flows = flows(V5_RECORDS * count, false);
    let mut sequence = 0;
    let mut datagrams = Vec::with_capacity(count);
    for flows in flows.chunks(V5_RECORDS) {
        let mut datagram = Vec::with_capacity(24 + 48 * flows.len());
        datagram.extend(5u16.to_be_bytes());
        datagram.extend(u16::try_from(flows.len()).unwrap().to_be_bytes());
        for word in [UPTIME, BOOT_SECS + UPTIME / 1_000, 0, sequence, 0] {
            datagram.extend(word.to_be_bytes());
        }
        for flow in flows {
            put_v5_record(&mut datagram, flow);
        }
        sequence += u32::try_from(flows.len()).unwrap();
        datagrams.push(datagram);
    }
    datagrams
}

fn put_v5_record(datagram: &mut Vec<u8>, flow: &FlowRecord) {
    let layout = [
        (8, 4),
        (12, 4),
        (15, 4),
        (10, 2),
        (14, 2),
        (2, 4),
        (1, 4),
        (22, 4),
        (21, 4),
        (7, 2),
        (11, 2),
        (0, 1),
        (6, 1),
        (4, 1),
        (5, 1),
        (16, 2),
        (17, 2),
        (9, 1),
        (13, 1),
        (0, 2),
    ];
    for (element, length) in layout {
        if element == 0 {
            datagram.extend(iter::repeat_n(0, length));
        } else {
            put_field(datagram, element, length, flow);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{floor, ours};

    #[test]
    fn lengths_are_the_documented_ones() {
        assert_eq!((IPV4_LEN, IPV6_LEN), (51, 113));
        assert_eq!(v5(1)[0].len(), 24 + 30 * 48);
        assert_eq!(v9_data(&IPV4_FIELDS, IPV4_RECORDS, 1)[0].len(), 20 + 4 + 24 * 51);
    }

    #[test]
    fn codec_and_floor_see_the_same_v5_records() {
        let datagrams = v5(3);
        let mut decoder = ours::decoder();
        for datagram in &datagrams {
            assert_eq!(ours::v5_views(datagram), floor::v5(datagram));
            assert_eq!(ours::flows(&mut decoder, datagram), floor::v5(datagram));
        }
    }

    #[test]
    fn codec_and_floor_see_the_same_v9_records() {
        for (fields, records, decode) in [
            (&IPV4_FIELDS[..], IPV4_RECORDS, floor::v9_ipv4 as fn(&[u8]) -> u64),
            (&IPV6_FIELDS[..], IPV6_RECORDS, floor::v9_ipv6),
        ] {
            let mut decoder = ours::decoder();
            ours::flows(&mut decoder, &v9_template(fields));
            for datagram in v9_data(fields, records, 3) {
                assert_eq!(ours::flows(&mut decoder, &datagram), decode(&datagram));
            }
        }
    }

    #[test]
    fn codec_and_floor_see_the_same_ipfix_records() {
        for (fields, records, decode) in [
            (&IPFIX_FIELDS[..], IPFIX_RECORDS, floor::ipfix_ipv4 as fn(&[u8]) -> u64),
            (&NAMED_FIELDS[..], NAMED_RECORDS, floor::ipfix_named),
        ] {
            let mut decoder = ours::decoder();
            ours::flows(&mut decoder, &template(Protocol::Ipfix, TEMPLATE_ID, fields));
            for datagram in data(Protocol::Ipfix, fields, records, 3, false) {
                assert!(datagram.len() <= 1_472);
                assert_eq!(ours::flows(&mut decoder, &datagram), decode(&datagram));
            }
        }
    }

    #[test]
    fn mixed_templates_decode_to_the_same_records() {
        let mut decoder = ours::decoder();
        ours::flows(&mut decoder, &mixed_templates());
        for per_set in [3, 6, IPV4_RECORDS] {
            for (mixed, plain) in mixed_data(per_set, 16).iter().zip(v9_data(&IPV4_FIELDS, IPV4_RECORDS, 16))
            {
                assert_eq!(ours::flows(&mut decoder, mixed), floor::v9_ipv4(&plain));
            }
        }
    }

    #[test]
    fn projection_columns_and_floor_see_the_same_records() {
        let mut decoder = ours::decoder();
        ours::flows(&mut decoder, &v9_template(&IPV4_FIELDS));
        let (mut projection, mut columns) = (ours::five_tuple(), ours::columns());
        for datagram in v9_data(&IPV4_FIELDS, IPV4_RECORDS, 3) {
            let expected = floor::v9_five_tuple(&datagram);
            assert_eq!(ours::projected(&mut decoder, &mut projection, &datagram), expected);
            let expected = floor::v9_ipv4(&datagram);
            assert_eq!(ours::columned(&mut decoder, &mut columns, &datagram), expected);
        }
    }

    #[test]
    fn codec_and_floor_decode_every_member_alike() {
        let mut decoder = ours::decoder();
        ours::flows(&mut decoder, &v9_template(&IPV4_FIELDS));
        let datagram = &v9_data(&IPV4_FIELDS, IPV4_RECORDS, 1)[0];
        let (mut by_codec, mut by_floor) = (Vec::new(), Vec::new());
        ours::for_each_flow(&mut decoder, &7, datagram, |flow| by_codec.push(*flow));
        floor::for_each_ipv4(datagram, |flow| by_floor.push(*flow));
        assert_eq!(by_codec, by_floor);
        assert_eq!(by_codec.len(), IPV4_RECORDS);
        let mut sent = flows(IPV4_RECORDS, false);
        sent.iter_mut().zip(&by_codec).for_each(|(sent, decoded)| sent.fields = decoded.fields);
        assert_eq!(by_codec, sent);
    }

    #[test]
    fn codec_and_floor_encode_alike() {
        let flows = flows(IPV4_RECORDS, false);
        let (mut by_codec, mut by_floor) = (Vec::new(), Vec::new());
        ours::TemplateEncoder::new().encode(&flows, &mut by_codec);
        floor::encode_v9(&flows, &mut by_floor);
        assert_eq!(by_codec, by_floor);
        assert_eq!(by_codec[20..], v9_data(&IPV4_FIELDS, IPV4_RECORDS, 1)[0][20..]);
        let (mut by_codec, mut by_floor) = (Vec::new(), Vec::new());
        ours::V5Encoder::new().encode(&flows, &mut by_codec);
        floor::encode_v5(&flows, &mut by_floor);
        assert_eq!(by_codec, by_floor);
    }
}
