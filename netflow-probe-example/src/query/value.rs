//! What filters compare, statistics count by and aggregations keep: the elements of a flow, by nfdump's names.

use core::{fmt, net::IpAddr};

use netflow_codec::FlowFields;

use super::filter::Prefix;
use crate::{
    flow::{Cell, Country, Flow, protocol_keyword},
    output,
};

/// A value of a flow.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Value {
    /// A number.
    Number(u64),
    /// An IP protocol; shown by its keyword.
    Protocol(u8),
    /// TCP flags; shown as letters.
    TcpFlags(u16),
    /// An address.
    Address(IpAddr),
    /// An address of which only the first bits count.
    Prefix(IpAddr, u8),
    /// A MAC address.
    MacAddress([u8; 6]),
    /// A country; shown by its code.
    Country(Country),
}

impl Value {
    /// The value as a number, where it is one.
    #[must_use]
    pub const fn number(self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(number),
            Self::Protocol(number) => Some(number as u64),
            Self::TcpFlags(flags) => Some(flags as u64),
            Self::Country(country) => Some(country.number() as u64),
            Self::Address(_) | Self::Prefix(..) | Self::MacAddress(_) => None,
        }
    }
}

impl Value {
    /// What a cell of a column stands for, when the value is what is in the column.
    pub(super) const fn of_cell(cell: Cell) -> Option<Self> {
        match cell {
            Cell::Unsigned(number) => Some(Self::Number(number)),
            Cell::Address(address) => Some(Self::Address(address)),
            _ => None,
        }
    }

    /// The network of an address; any other value as it is.
    pub(super) fn network(self, length: u8) -> Option<Self> {
        match self {
            Self::Address(address) => Some(Self::Prefix(Prefix::new(address, length)?.network(), length)),
            other => Some(other),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Protocol(number) => match protocol_keyword(number) {
                Some(keyword) => f.write_str(keyword),
                None => write!(f, "{number}"),
            },
            Self::TcpFlags(flags) => f.write_str(&output::tcp_flags(flags)),
            Self::Address(address) => write!(f, "{address}"),
            Self::Prefix(address, length) => write!(f, "{address}/{length}"),
            Self::Country(country) => write!(f, "{country}"),
            Self::MacAddress(octets) => write!(f, "{}", netflow_codec::FieldValue::MacAddress(octets)),
        }
    }
}

/// Reads a value of a flow.
#[derive(Clone, Copy, Debug)]
pub struct Getter {
    read: fn(&Flow<'_>) -> Option<Value>,
    /// The columns of stored flows that it is read from.
    columns: &'static [&'static str],
    /// Whether it is the number or the address in its column as it is.
    is_plain: bool,
}

impl Getter {
    pub(super) const fn new(read: fn(&Flow<'_>) -> Option<Value>, columns: &'static [&'static str]) -> Self {
        Self { read, columns, is_plain: false }
    }

    /// The value; `None` when the record does not carry it.
    #[must_use]
    pub fn of(&self, flow: &Flow<'_>) -> Option<Value> {
        (self.read)(flow)
    }

    /// The columns of stored flows that it is read from.
    #[must_use]
    pub const fn columns(&self) -> &'static [&'static str] {
        self.columns
    }

    /// The only column, if there is but one.
    pub(super) const fn only_column(&self) -> Option<&'static str> {
        match self.columns {
            [column] => Some(column),
            _ => None,
        }
    }

    /// The only column, if its numbers or addresses are the values.
    pub(super) const fn plain_column(&self) -> Option<&'static str> {
        if self.is_plain { self.only_column() } else { None }
    }
}

fn number<N: Into<u64>>(flow: &Flow<'_>, field: FlowFields, number: N) -> Option<Value> {
    flow.record.has(field).then(|| Value::Number(number.into()))
}

fn address(flow: &Flow<'_>, field: FlowFields, address: IpAddr) -> Option<Value> {
    flow.record.has(field).then_some(Value::Address(address))
}

/// ICMP has no ports, whatever an exporter puts in their place.
fn port(flow: &Flow<'_>, field: FlowFields, port: u16) -> Option<Value> {
    let has_ports = flow.record.has(field) && !matches!(flow.record.protocol, 1 | 58);
    has_ports.then(|| Value::Number(port.into()))
}

macro_rules! getters {
    ($($(#[$doc:meta])* $name:ident [$($column:literal),*] $(= $plain:ident)? = |$flow:ident| $value:expr;)*) => {
        $($(#[$doc])*
        pub(super) const $name: Getter = {
            #[allow(clippy::unnecessary_wraps, reason = "some are there for every flow")]
            fn read($flow: &Flow<'_>) -> Option<Value> { $value }
            Getter { read, columns: &[$($column),*], is_plain: getters!(@ $($plain)?) }
        };)*
    };
    (@ plain) => { true };
    (@) => { false };
}

getters! {
    SOURCE_ADDRESS["src_addr"] = plain = |flow| address(flow, FlowFields::SOURCE, flow.record.source);
    DESTINATION_ADDRESS["dst_addr"] = plain = |flow| address(flow, FlowFields::DESTINATION, flow.record.destination);
    NEXT_HOP["next_hop"] = plain = |flow| address(flow, FlowFields::NEXT_HOP, flow.record.next_hop);
    BGP_NEXT_HOP["bgp_next_hop"] = plain = |flow| address(flow, FlowFields::BGP_NEXT_HOP, flow.record.bgp_next_hop);
    ROUTER["sampler_address"] = |flow| Some(Value::Address(flow.envelope.exporter.ip()));
    SOURCE_PORT["src_port", "proto"] = |flow| port(flow, FlowFields::SOURCE_PORT, flow.record.source_port);
    DESTINATION_PORT["dst_port", "proto"] = |flow| {
        port(flow, FlowFields::DESTINATION_PORT, flow.record.destination_port)
    };
    PROTOCOL["proto"] = |flow| {
        flow.record.has(FlowFields::PROTOCOL).then_some(Value::Protocol(flow.record.protocol))
    };
    TCP_FLAGS["tcp_flags"] = |flow| {
        flow.record.has(FlowFields::TCP_FLAGS).then_some(Value::TcpFlags(flow.record.tcp_flags))
    };
    IP_VERSION["src_addr", "dst_addr"] = |flow| flow.ip_version().map(|version| Value::Number(version.into()));
    SOURCE_VERSION["src_addr"] = |flow| {
        let version = if flow.record.source.is_ipv6() { 6u8 } else { 4 };
        number(flow, FlowFields::SOURCE, version)
    };
    DESTINATION_VERSION["dst_addr"] = |flow| {
        let version = if flow.record.destination.is_ipv6() { 6u8 } else { 4 };
        number(flow, FlowFields::DESTINATION, version)
    };
    TOS["ip_tos"] = plain = |flow| number(flow, FlowFields::TOS, flow.record.tos);
    DSCP["ip_tos"] = |flow| number(flow, FlowFields::TOS, flow.record.tos >> 2);
    SOURCE_AS["src_as"] = plain = |flow| number(flow, FlowFields::SOURCE_AS, flow.record.source_as);
    DESTINATION_AS["dst_as"] = plain = |flow| number(flow, FlowFields::DESTINATION_AS, flow.record.destination_as);
    NEXT_AS["next_hop_as"] = plain = |flow| walked(flow, 128, "next_hop_as");
    PREVIOUS_AS[] = |flow| walked(flow, 129, "bgpPrevAdjacentAsNumber");
    INGRESS_INTERFACE["in_if"] = plain = |flow| {
        number(flow, FlowFields::INGRESS_INTERFACE, flow.record.ingress_interface)
    };
    EGRESS_INTERFACE["out_if"] = plain = |flow| {
        number(flow, FlowFields::EGRESS_INTERFACE, flow.record.egress_interface)
    };
    SOURCE_MASK["src_net"] = plain = |flow| {
        number(flow, FlowFields::SOURCE_PREFIX_LENGTH, flow.record.source_prefix_length)
    };
    DESTINATION_MASK["dst_net"] = plain = |flow| {
        number(flow, FlowFields::DESTINATION_PREFIX_LENGTH, flow.record.destination_prefix_length)
    };
    VLAN["src_vlan"] = plain = |flow| number(flow, FlowFields::VLAN, flow.record.vlan);
    POST_VLAN["dst_vlan"] = plain = |flow| number(flow, FlowFields::POST_VLAN, flow.record.post_vlan);
    SOURCE_MAC["src_mac"] = |flow| {
        flow.record.has(FlowFields::SOURCE_MAC).then_some(Value::MacAddress(flow.record.source_mac))
    };
    DESTINATION_MAC["dst_mac"] = |flow| {
        flow.record.has(FlowFields::DESTINATION_MAC).then_some(Value::MacAddress(flow.record.destination_mac))
    };
    DIRECTION["flow_direction"] = plain = |flow| number(flow, FlowFields::DIRECTION, flow.record.direction);
    END_REASON["flow_end_reason"] = plain = |flow| {
        number(flow, FlowFields::FLOW_END_REASON, flow.record.flow_end_reason)
    };
    FLOW_LABEL["ipv6_flow_label"] = plain = |flow| {
        number(flow, FlowFields::IPV6_FLOW_LABEL, flow.record.ipv6_flow_label)
    };
    FORWARDING_STATUS["forwarding_status"] = plain = |flow| {
        number(flow, FlowFields::FORWARDING_STATUS, flow.record.forwarding_status)
    };
    ICMP_TYPE["icmp_type"] = plain = |flow| flow.icmp_type().map(Value::Number);
    ICMP_CODE["icmp_code"] = plain = |flow| flow.icmp_code().map(Value::Number);
    /// v5 keeps both in what other versions call the domain.
    ENGINE_TYPE["type", "observation_domain_id"] = |flow| {
        let [_, _, kind, _] = flow.envelope.observation_domain.to_be_bytes();
        matches!(flow.envelope.version, 5 | 7).then_some(Value::Number(kind.into()))
    };
    ENGINE_ID["type", "observation_domain_id"] = |flow| {
        let [.., id] = flow.envelope.observation_domain.to_be_bytes();
        matches!(flow.envelope.version, 5 | 7).then_some(Value::Number(id.into()))
    };
    OBSERVATION_DOMAIN["type", "observation_domain_id"] = |flow| {
        let has_domain = matches!(flow.envelope.version, 9 | 10);
        has_domain.then_some(Value::Number(flow.envelope.observation_domain.into()))
    };
    OBSERVATION_POINT["observation_point_id"] = plain = |flow| walked(flow, 138, "observation_point_id");
    PACKETS["packets"] = plain = |flow| number(flow, FlowFields::PACKETS, flow.record.packets);
    OCTETS["bytes"] = plain = |flow| number(flow, FlowFields::OCTETS, flow.record.octets);
    FLOWS[] = |_flow| Some(Value::Number(1));
    DURATION["time_flow_start_ns", "time_flow_end_ns"] = |flow| {
        let millis = flow.duration_millis()?;
        Some(Value::Number(u64::try_from(millis).unwrap_or(0)))
    };
    PACKETS_PER_SECOND["packets", "time_flow_start_ns", "time_flow_end_ns"] = |flow| {
        Some(Value::Number(per_second(flow, flow.record.packets)?))
    };
    BITS_PER_SECOND["bytes", "time_flow_start_ns", "time_flow_end_ns"] = |flow| {
        Some(Value::Number(per_second(flow, flow.record.octets.saturating_mul(8))?))
    };
    OCTETS_PER_PACKET["bytes", "packets"] = |flow| {
        let octets = flow.record.octets.checked_div(flow.record.packets)?;
        number(flow, FlowFields::OCTETS, octets)
    };
    SOURCE_COUNTRY["src_country"] = |flow| flow.source_country().map(Value::Country);
    DESTINATION_COUNTRY["dst_country"] = |flow| flow.destination_country().map(Value::Country);
    SAMPLING["sampling_rate"] = plain = |flow| flow.sampling_rate().map(Value::Number);
}

/// What no member of the typed record holds: from the record, or from the column of a stored flow.
fn walked(flow: &Flow<'_>, element: u16, column: &str) -> Option<Value> {
    let number = match flow.stored() {
        Some(stored) => stored.number(column),
        None => flow.unsigned_field(&[element]),
    };
    number.map(Value::Number)
}

/// Of a flow without a duration the rate is 0, as nfdump has it.
fn per_second(flow: &Flow<'_>, amount: u64) -> Option<u64> {
    let millis = u64::try_from(flow.duration_millis()?).unwrap_or(0);
    Some(rate(amount, millis))
}

/// An amount in so many milliseconds, per second; 0 when there is no time in which it came.
pub(super) fn rate(amount: u64, millis: u64) -> u64 {
    let rate = (u128::from(amount) * 1_000).checked_div(millis.into()).unwrap_or(0);
    u64::try_from(rate).unwrap_or(u64::MAX)
}

/// The label at a place of the MPLS stack, from 0 for the outermost.
const fn mpls_label<const PLACE: usize>() -> Getter {
    fn read<const PLACE: usize>(flow: &Flow<'_>) -> Option<Value> {
        flow.record.mpls_labels.get(PLACE).map(|entry| Value::Number(entry.label().into()))
    }
    Getter::new(read::<PLACE>, &["mpls_label"])
}

/// The traffic class of the label at a place of the MPLS stack, which used to be called experimental bits.
const fn mpls_class<const PLACE: usize>() -> Getter {
    fn read<const PLACE: usize>(flow: &Flow<'_>) -> Option<Value> {
        flow.record.mpls_labels.get(PLACE).map(|entry| Value::Number(entry.traffic_class().into()))
    }
    Getter::new(read::<PLACE>, &["mpls_label"])
}

/// The innermost label of the MPLS stack.
pub(super) const MPLS_BOTTOM: Getter = Getter::new(
    |flow| flow.record.mpls_labels.iter().last().map(|entry| Value::Number(entry.label().into())),
    &["mpls_label"],
);

/// [`mpls_label`] of each place.
pub(super) const MPLS_LABELS: [Getter; 10] = [
    mpls_label::<0>(),
    mpls_label::<1>(),
    mpls_label::<2>(),
    mpls_label::<3>(),
    mpls_label::<4>(),
    mpls_label::<5>(),
    mpls_label::<6>(),
    mpls_label::<7>(),
    mpls_label::<8>(),
    mpls_label::<9>(),
];

/// [`mpls_class`] of each place.
pub(super) const MPLS_CLASSES: [Getter; 10] = [
    mpls_class::<0>(),
    mpls_class::<1>(),
    mpls_class::<2>(),
    mpls_class::<3>(),
    mpls_class::<4>(),
    mpls_class::<5>(),
    mpls_class::<6>(),
    mpls_class::<7>(),
    mpls_class::<8>(),
    mpls_class::<9>(),
];
