//! From what is in a file back to cells, and from cells to a typed record.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::OnceLock;

use netflow_codec::{FlowFields, FlowRecord, MplsLabels, Timestamp};

use crate::flow::{COLUMNS, Cell, Country, Envelope, Kind, protocol_keyword, protocol_number};

/// Words that stand in files, protocols' keywords left out.
static WORDS: [&str; 16] = [
    "NETFLOW_V1",
    "NETFLOW_V5",
    "NETFLOW_V6",
    "NETFLOW_V7",
    "NETFLOW_V8",
    "NETFLOW_V9",
    "IPFIX",
    "FLOWUNKNOWN",
    "IPv4",
    "IPv6",
    "record",
    "sampler",
    "interface",
    "template",
    "domain",
    "header",
];

/// What a text says.
pub(super) fn understand(kind: Kind, text: &str) -> Cell {
    match kind {
        Kind::Word => {
            let known = WORDS.iter().copied().find(|word| *word == text);
            let keyword = || (0..=u8::MAX).filter_map(protocol_keyword).find(|keyword| *keyword == text);
            let country = || Country::of(text).map(Country::code);
            match known.or_else(keyword).or_else(country) {
                Some(word) => Cell::Word(word),
                None => text.parse().map_or(Cell::Absent, Cell::NumberWord),
            }
        }
        Kind::MacAddress => mac(text).map_or(Cell::Absent, Cell::MacAddress),
        _ => text.parse::<IpAddr>().map_or(Cell::Absent, Cell::Address),
    }
}

fn mac(text: &str) -> Option<[u8; 6]> {
    let mut octets = [0; 6];
    let mut parts = text.split(':');
    for octet in &mut octets {
        *octet = u8::from_str_radix(parts.next()?, 16).ok()?;
    }
    parts.next().is_none().then_some(octets)
}

/// The elements of a list, gathered.
#[derive(Debug, Default)]
pub(super) struct List {
    elements: Vec<Cell>,
}

impl List {
    /// No list of ours is longer than a label stack.
    pub(super) fn push(&mut self, element: Cell) {
        if self.elements.len() < MplsLabels::MAX_LEN {
            self.elements.push(element);
        }
    }

    pub(super) fn into_cell(self, name: &str) -> Cell {
        let number = |cell: &Cell| match cell {
            Cell::Unsigned(number) => Some(*number),
            _ => None,
        };
        match self.elements.first() {
            Some(Cell::Address(address)) => Cell::ListOfAddress(*address),
            Some(Cell::Unsigned(number)) if name != "mpls_label" => Cell::ListOfOne(*number),
            _ => {
                let mut labels = MplsLabels::EMPTY;
                for (place, label) in self.elements.iter().filter_map(number).enumerate() {
                    // The columns have no traffic class; the last label is the bottom of the stack.
                    let bottom = u32::from(place + 1 == self.elements.len());
                    let entry = u32::try_from(label & 0xf_ffff).unwrap_or(0) << 4 | bottom;
                    let [_, a, b, c] = entry.to_be_bytes();
                    labels.set(place, [a, b, c]);
                }
                Cell::Labels(labels)
            }
        }
    }
}

/// The version that a flow type stands for.
fn version(cell: Cell) -> u16 {
    match cell {
        Cell::Word("IPFIX") => 10,
        Cell::Word(word) => {
            word.strip_prefix("NETFLOW_V").and_then(|number| number.parse().ok()).unwrap_or(0)
        }
        _ => 0,
    }
}

/// Puts a cell into the typed record.
pub(super) type Setter = fn(&mut FlowRecord, Cell);

/// From the cells of a row to the typed record and the envelope: where each is, looked up once.
#[derive(Debug)]
pub(super) struct Restorer {
    setters: Vec<Option<Setter>>,
    flow_type: usize,
    received: usize,
    sequence: usize,
    exporter: usize,
    domain: usize,
    template: usize,
}

impl Restorer {
    pub(super) fn get() -> &'static Self {
        static RESTORER: OnceLock<Restorer> = OnceLock::new();
        RESTORER.get_or_init(Self::new)
    }

    /// What sets the member of a column, if the typed record has one.
    pub(super) fn setter(&self, place: usize) -> Option<Setter> {
        self.setters.get(place).copied().flatten()
    }

    fn new() -> Self {
        let place = |name: &str| COLUMNS.iter().position(|column| column.name == name).unwrap_or(usize::MAX);
        Self {
            setters: COLUMNS.iter().map(|column| setter(column.name)).collect(),
            flow_type: place("type"),
            received: place("time_received_ns"),
            sequence: place("sequence_num"),
            exporter: place("sampler_address"),
            domain: place("observation_domain_id"),
            template: place("template_id"),
        }
    }

    pub(super) fn record(&self, cells: &[Cell]) -> FlowRecord {
        let mut record = FlowRecord::EMPTY;
        for (setter, cell) in self.setters.iter().zip(cells) {
            if let (Some(setter), false) = (setter, *cell == Cell::Absent) {
                setter(&mut record, *cell);
            }
        }
        record
    }

    /// What is left of the datagram that a flow came in.
    pub(super) fn envelope(&self, cells: &[Cell]) -> Envelope {
        let number = |place: usize| match cells.get(place) {
            Some(Cell::Unsigned(number)) => Some(*number),
            _ => None,
        };
        let narrow = |place| number(place).and_then(|number| u32::try_from(number).ok());
        let exporter = match cells.get(self.exporter) {
            Some(Cell::Address(address)) => *address,
            _ => Ipv4Addr::UNSPECIFIED.into(),
        };
        Envelope {
            ordinal: 0,
            exporter: SocketAddr::new(exporter, 0),
            received: Timestamp::from_nanos(number(self.received).unwrap_or(0)),
            version: cells.get(self.flow_type).map_or(0, |cell| version(*cell)),
            sequence: narrow(self.sequence),
            observation_domain: narrow(self.domain).unwrap_or(0),
        }
    }

    pub(super) fn template_id(&self, cells: &[Cell]) -> Option<u16> {
        match cells.get(self.template) {
            Some(Cell::Unsigned(id)) => u16::try_from(*id).ok(),
            _ => None,
        }
    }
}

/// What a column's cells set in the typed record, if it has a member for them.
fn setter(column: &str) -> Option<Setter> {
    use FlowFields as F;
    macro_rules! set {
        ($member:ident, $field:ident, $pattern:pat => $value:expr) => {
            Some(|record, cell| {
                if let $pattern = cell
                    && let Some(value) = $value
                {
                    record.$member = value;
                    record.fields |= F::$field;
                }
            })
        };
        ($member:ident, $field:ident) => {
            set!($member, $field, Cell::Unsigned(number) => number.try_into().ok())
        };
    }
    match column {
        "bytes" => set!(octets, OCTETS),
        "packets" => set!(packets, PACKETS),
        "time_flow_start_ns" => {
            set!(start, START, Cell::Unsigned(nanos) => Some(Timestamp::from_nanos(nanos)))
        }
        "time_flow_end_ns" => set!(end, END, Cell::Unsigned(nanos) => Some(Timestamp::from_nanos(nanos))),
        "src_addr" => set!(source, SOURCE, Cell::Address(address) => Some(address)),
        "dst_addr" => set!(destination, DESTINATION, Cell::Address(address) => Some(address)),
        "next_hop" => set!(next_hop, NEXT_HOP, Cell::Address(address) => Some(address)),
        "bgp_next_hop" => set!(bgp_next_hop, BGP_NEXT_HOP, Cell::Address(address) => Some(address)),
        "proto" => set!(protocol, PROTOCOL, cell => protocol(cell)),
        "src_port" => set!(source_port, SOURCE_PORT),
        "dst_port" => set!(destination_port, DESTINATION_PORT),
        "in_if" => set!(ingress_interface, INGRESS_INTERFACE),
        "out_if" => set!(egress_interface, EGRESS_INTERFACE),
        "src_mac" => set!(source_mac, SOURCE_MAC, Cell::MacAddress(mac) => Some(mac)),
        "dst_mac" => set!(destination_mac, DESTINATION_MAC, Cell::MacAddress(mac) => Some(mac)),
        "src_vlan" => set!(vlan, VLAN),
        "dst_vlan" => set!(post_vlan, POST_VLAN),
        "ip_tos" => set!(tos, TOS),
        "forwarding_status" => set!(forwarding_status, FORWARDING_STATUS),
        "ip_ttl" => set!(minimum_ttl, MINIMUM_TTL),
        "tcp_flags" => set!(tcp_flags, TCP_FLAGS),
        "ipv6_flow_label" => set!(ipv6_flow_label, IPV6_FLOW_LABEL),
        "fragment_id" => set!(fragment_identification, FRAGMENT_IDENTIFICATION),
        "src_as" => set!(source_as, SOURCE_AS),
        "dst_as" => set!(destination_as, DESTINATION_AS),
        "src_net" => set!(source_prefix_length, SOURCE_PREFIX_LENGTH),
        "dst_net" => set!(destination_prefix_length, DESTINATION_PREFIX_LENGTH),
        "mpls_label" => set!(mpls_labels, MPLS_LABELS, Cell::Labels(labels) => Some(labels)),
        "flow_end_reason" => set!(flow_end_reason, FLOW_END_REASON),
        "flow_direction" => set!(direction, DIRECTION),
        _ => None,
    }
}

fn protocol(cell: Cell) -> Option<u8> {
    match cell {
        Cell::Word(keyword) => protocol_number(keyword),
        Cell::NumberWord(number) => u8::try_from(number).ok(),
        _ => None,
    }
}
