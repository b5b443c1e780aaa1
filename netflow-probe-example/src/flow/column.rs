//! The columns of the flow schema: name, content, in the order in which they are printed.

use core::net::IpAddr;

use netflow_codec::{FlowFields, FlowRecord, MplsLabels};

use super::{Country, Flow, has_icmp_as_port, protocol_keyword};

/// A column of the flow schema. Names and renderings are those of goflow2's `FlowMessage`, as far as it has them.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// Whether it is printed for every flow, empty if need be.
    pub is_core: bool,
    /// What its cells hold, unless they are absent.
    pub kind: Kind,
    /// What it shows of a flow.
    pub cell: fn(&Flow<'_>) -> Cell,
}

/// What the cells of a column hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A number of up to 32 bits.
    Unsigned32,
    /// A number of up to 64 bits.
    Unsigned64,
    /// A number that may be negative.
    Signed64,
    /// Nanoseconds since 1970.
    Time,
    /// A word, or a number in its place.
    Word,
    /// An address.
    Address,
    /// A MAC address.
    MacAddress,
    /// Numbers of up to 32 bits.
    NumberList,
    /// Addresses.
    AddressList,
}

/// What a column shows of a flow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell {
    /// The record did not carry it.
    Absent,
    /// A number.
    Unsigned(u64),
    /// A number that may be negative.
    Signed(i64),
    /// A word.
    Word(&'static str),
    /// A number that stands where a word is expected.
    NumberWord(u64),
    /// An address.
    Address(IpAddr),
    /// A MAC address.
    MacAddress([u8; 6]),
    /// Label values, outermost first.
    Labels(MplsLabels),
    /// A list of one number.
    ListOfOne(u64),
    /// A list of one address.
    ListOfAddress(IpAddr),
}

/// All columns, in the order in which they are printed. What they do not show is in [`Flow::extras`].
pub static COLUMNS: &[Column] = &[
    core("type", Kind::Word, |flow| Cell::Word(flow.envelope.flow_type())),
    core("time_received_ns", Kind::Time, |flow| Cell::Unsigned(flow.envelope.received.as_nanos())),
    core("sequence_num", Kind::Unsigned32, |flow| {
        flow.envelope.sequence.map_or(Cell::Absent, |n| Cell::Unsigned(n.into()))
    }),
    core("sampling_rate", Kind::Unsigned64, |flow| {
        flow.sampling.map_or(Cell::Absent, |info| Cell::Unsigned(info.interval.into()))
    }),
    core("sampler_address", Kind::Address, |flow| Cell::Address(flow.envelope.exporter.ip())),
    core("time_flow_start_ns", Kind::Time, |flow| number(flow, FlowFields::START, |r| r.start.as_nanos())),
    core("time_flow_end_ns", Kind::Time, |flow| number(flow, FlowFields::END, |r| r.end.as_nanos())),
    core("bytes", Kind::Unsigned64, |flow| number(flow, FlowFields::OCTETS, |r| r.octets)),
    core("packets", Kind::Unsigned64, |flow| number(flow, FlowFields::PACKETS, |r| r.packets)),
    core("src_addr", Kind::Address, |flow| address(flow, FlowFields::SOURCE, |r| r.source)),
    core("dst_addr", Kind::Address, |flow| address(flow, FlowFields::DESTINATION, |r| r.destination)),
    core("etype", Kind::Word, |flow| match flow.ip_version() {
        Some(4) => Cell::Word("IPv4"),
        Some(6) => Cell::Word("IPv6"),
        _ => Cell::Absent,
    }),
    core("proto", Kind::Word, |flow| match protocol_keyword(flow.record.protocol) {
        _ if !flow.record.has(FlowFields::PROTOCOL) => Cell::Absent,
        Some(keyword) => Cell::Word(keyword),
        None => Cell::NumberWord(flow.record.protocol.into()),
    }),
    core("src_port", Kind::Unsigned32, |flow| number(flow, FlowFields::SOURCE_PORT, |r| r.source_port)),
    core("dst_port", Kind::Unsigned32, |flow| {
        number(flow, FlowFields::DESTINATION_PORT, |r| r.destination_port)
    }),
    core("in_if", Kind::Unsigned32, |flow| {
        number(flow, FlowFields::INGRESS_INTERFACE, |r| r.ingress_interface)
    }),
    core("out_if", Kind::Unsigned32, |flow| {
        number(flow, FlowFields::EGRESS_INTERFACE, |r| r.egress_interface)
    }),
    column("src_mac", Kind::MacAddress, |flow| mac(flow, FlowFields::SOURCE_MAC, |r| r.source_mac)),
    column("dst_mac", Kind::MacAddress, |flow| mac(flow, FlowFields::DESTINATION_MAC, |r| r.destination_mac)),
    column("src_vlan", Kind::Unsigned32, |flow| number(flow, FlowFields::VLAN, |r| r.vlan)),
    column("dst_vlan", Kind::Unsigned32, |flow| number(flow, FlowFields::POST_VLAN, |r| r.post_vlan)),
    column("vlan_id", Kind::Unsigned32, |flow| number(flow, FlowFields::VLAN, |r| r.vlan)),
    column("ip_tos", Kind::Unsigned32, |flow| number(flow, FlowFields::TOS, |r| r.tos)),
    column("forwarding_status", Kind::Unsigned32, |flow| {
        number(flow, FlowFields::FORWARDING_STATUS, |r| r.forwarding_status)
    }),
    column("ip_ttl", Kind::Unsigned32, |flow| number(flow, FlowFields::MINIMUM_TTL, |r| r.minimum_ttl)),
    column("ip_flags", Kind::Unsigned32, |flow| walked(flow, &[197])),
    column("tcp_flags", Kind::Unsigned32, |flow| number(flow, FlowFields::TCP_FLAGS, |r| r.tcp_flags)),
    column("icmp_type", Kind::Unsigned32, |flow| flow.icmp_type().map_or(Cell::Absent, Cell::Unsigned)),
    column("icmp_code", Kind::Unsigned32, |flow| flow.icmp_code().map_or(Cell::Absent, Cell::Unsigned)),
    column("ipv6_flow_label", Kind::Unsigned32, |flow| {
        number(flow, FlowFields::IPV6_FLOW_LABEL, |r| r.ipv6_flow_label)
    }),
    column("fragment_id", Kind::Unsigned32, |flow| {
        number(flow, FlowFields::FRAGMENT_IDENTIFICATION, |r| r.fragment_identification)
    }),
    column("fragment_offset", Kind::Unsigned32, |flow| walked(flow, &[88])),
    column("src_as", Kind::Unsigned32, |flow| number(flow, FlowFields::SOURCE_AS, |r| r.source_as)),
    column("dst_as", Kind::Unsigned32, |flow| number(flow, FlowFields::DESTINATION_AS, |r| r.destination_as)),
    column("next_hop_as", Kind::Unsigned32, |flow| walked(flow, &[128])),
    column("next_hop", Kind::Address, |flow| address(flow, FlowFields::NEXT_HOP, |r| r.next_hop)),
    column("bgp_next_hop", Kind::Address, |flow| address(flow, FlowFields::BGP_NEXT_HOP, |r| r.bgp_next_hop)),
    column("src_net", Kind::Unsigned32, |flow| {
        number(flow, FlowFields::SOURCE_PREFIX_LENGTH, |r| r.source_prefix_length)
    }),
    column("dst_net", Kind::Unsigned32, |flow| {
        number(flow, FlowFields::DESTINATION_PREFIX_LENGTH, |r| r.destination_prefix_length)
    }),
    column("mpls_ttl", Kind::NumberList, |flow| match walked(flow, &[200]) {
        Cell::Unsigned(ttl) => Cell::ListOfOne(ttl),
        _ => Cell::Absent,
    }),
    column("mpls_label", Kind::NumberList, |flow| {
        if flow.record.has(FlowFields::MPLS_LABELS) {
            Cell::Labels(flow.record.mpls_labels)
        } else {
            Cell::Absent
        }
    }),
    column("mpls_ip", Kind::AddressList, |flow| {
        match flow.walked_field(&[47, 140]).map(|field| field.octets()) {
            Some(octets) => match (<[u8; 4]>::try_from(octets), <[u8; 16]>::try_from(octets)) {
                (Ok(v4), _) => Cell::ListOfAddress(v4.into()),
                (_, Ok(v6)) => Cell::ListOfAddress(v6.into()),
                _ => Cell::Absent,
            },
            None => Cell::Absent,
        }
    }),
    core("observation_domain_id", Kind::Unsigned32, |flow| {
        Cell::Unsigned(flow.envelope.observation_domain.into())
    }),
    column("observation_point_id", Kind::Unsigned32, |flow| walked(flow, &[138])),
    column("template_id", Kind::Unsigned32, |flow| {
        flow.template_id.map_or(Cell::Absent, |id| Cell::Unsigned(id.into()))
    }),
    column("flow_end_reason", Kind::Unsigned32, |flow| {
        number(flow, FlowFields::FLOW_END_REASON, |r| r.flow_end_reason)
    }),
    column("flow_direction", Kind::Unsigned32, |flow| number(flow, FlowFields::DIRECTION, |r| r.direction)),
    column("sampling_source", Kind::Word, |flow| {
        flow.sampling.map_or(Cell::Absent, |info| Cell::Word(info.source.name()))
    }),
    column("duration_ms", Kind::Signed64, |flow| flow.duration_millis().map_or(Cell::Absent, Cell::Signed)),
    column("src_country", Kind::Word, |flow| country(flow.countries.source)),
    column("dst_country", Kind::Word, |flow| country(flow.countries.destination)),
];

const fn core(name: &'static str, kind: Kind, cell: fn(&Flow<'_>) -> Cell) -> Column {
    Column { name, is_core: true, kind, cell }
}

const fn column(name: &'static str, kind: Kind, cell: fn(&Flow<'_>) -> Cell) -> Column {
    Column { name, is_core: false, kind, cell }
}

fn number<N: Into<u64>>(flow: &Flow<'_>, field: FlowFields, member: impl Fn(&FlowRecord) -> N) -> Cell {
    if flow.record.has(field) { Cell::Unsigned(member(&flow.record).into()) } else { Cell::Absent }
}

fn address(flow: &Flow<'_>, field: FlowFields, member: impl Fn(&FlowRecord) -> IpAddr) -> Cell {
    if flow.record.has(field) { Cell::Address(member(&flow.record)) } else { Cell::Absent }
}

fn country(country: Option<Country>) -> Cell {
    country.map_or(Cell::Absent, |country| Cell::Word(country.code()))
}

fn mac(flow: &Flow<'_>, field: FlowFields, member: impl Fn(&FlowRecord) -> [u8; 6]) -> Cell {
    if flow.record.has(field) { Cell::MacAddress(member(&flow.record)) } else { Cell::Absent }
}

/// A number that the typed record has no member for.
fn walked(flow: &Flow<'_>, elements: &[u16]) -> Cell {
    flow.walked_field(elements).and_then(|field| field.as_unsigned()).map_or(Cell::Absent, Cell::Unsigned)
}

impl Flow<'_> {
    /// The ICMP type; `None` for other protocols.
    #[must_use]
    pub fn icmp_type(&self) -> Option<u64> {
        self.icmp(|both| both >> 8, &[176, 178], "icmp_type")
    }

    /// The ICMP code; `None` for other protocols.
    #[must_use]
    pub fn icmp_code(&self) -> Option<u64> {
        self.icmp(|both| both & 0xff, &[177, 179], "icmp_code")
    }

    /// ICMP type or code: from type * 256 + code, which v5 and its relatives carry as the destination port, or from
    /// the element of its own. Templates of routers have the element for flows of all protocols: those of others have
    /// neither.
    fn icmp(&self, part: fn(u16) -> u16, elements: &[u16], column: &str) -> Option<u64> {
        let record = &self.record;
        if let Some(stored) = self.stored() {
            return stored.number(column);
        }
        if !self.may_be_icmp() {
            return None;
        }
        if record.has(FlowFields::ICMP_TYPE_CODE) {
            return Some(part(record.icmp_type_code).into());
        }
        if has_icmp_as_port(self.envelope.version, record.protocol) {
            return Some(part(record.destination_port).into());
        }
        self.walked_field(elements).and_then(|field| field.as_unsigned())
    }
}
