//! Flows as columns, before they are written.
//!
//! What flows of one set have in common, and which members they carry, is kept once for all of them: a [`Run`]. Members
//! have a column each, with the values that are there and nothing for those that are not.

use core::net::IpAddr;

use netflow_codec::{FlowFields, MplsLabels, Timestamp};

use super::addresses::Addresses;
use crate::{
    flow::{COLUMNS, Cell, Flow, FlowSet, duration_millis, has_icmp_as_port, may_be_icmp},
    output::json_fields,
};

/// Rows of one row group.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) rows: u32,
    pub(super) runs: Vec<Run>,
    /// Members that all rows have, and those that any has.
    pub(super) in_all: FlowFields,
    pub(super) in_any: FlowFields,
    pub(super) members: Members,
    pub(super) durations: Vec<u64>,
    pub(super) icmp_types: Sparse<u32>,
    pub(super) icmp_codes: Sparse<u32>,
    /// Countries by their numbers.
    pub(super) source_countries: Sparse<u8>,
    pub(super) destination_countries: Sparse<u8>,
    /// Columns without a member of the typed record, each with its place in [`COLUMNS`].
    pub(super) walked: Vec<(usize, Sparse<Cell>)>,
    /// What has no column, as JSON.
    pub(super) fields: Sparse<Vec<u8>>,
}

/// Neighbouring rows that have everything in common but their members' values.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) rows: u32,
    pub(super) head: Head,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Head {
    /// The members that are there.
    pub(super) fields: FlowFields,
    pub(super) flow_type: &'static str,
    pub(super) received: Timestamp,
    pub(super) sequence: Option<u32>,
    pub(super) exporter: IpAddr,
    pub(super) observation_domain: u32,
    pub(super) template_id: Option<u16>,
    pub(super) sampling_rate: Option<u64>,
    pub(super) sampling_source: Option<&'static str>,
    pub(super) ip_version: Option<u8>,
}

/// Values of a few rows.
#[derive(Debug)]
pub(super) struct Sparse<T> {
    pub(super) rows: Vec<u32>,
    pub(super) values: Vec<T>,
}

impl<T> Default for Sparse<T> {
    fn default() -> Self {
        Self { rows: Vec::new(), values: Vec::new() }
    }
}

impl<T> Sparse<T> {
    fn push(&mut self, row: u32, value: T) {
        self.rows.push(row);
        self.values.push(value);
    }

    fn clear(&mut self) {
        self.rows.clear();
        self.values.clear();
    }
}

macro_rules! members {
    ($($member:ident: $type:ty = $field:ident, $column:ident $(, |$value:ident| $convert:expr)?;)*) => {
        /// The values of members that columns show.
        #[derive(Debug, Default)]
        pub(super) struct Members {
            $(pub(super) $member: $type,)*
        }

        impl Members {
            fn push(&mut self, flow: &Flow<'_>) {
                $(if flow.record.has(FlowFields::$field) {
                    self.$member.push(members!(@value flow.record.$column $(, |$value| $convert)?));
                })*
            }

            fn extend(&mut self, set: &FlowSet<'_>) {
                $(let column = set.column(FlowFields::$field, set.columns.$column());
                members!(@extend self.$member, column $(, |$value| $convert)?);)*
            }

            fn clear(&mut self) {
                $(self.$member.clear();)*
            }
        }
    };
    (@value $from:expr) => { $from };
    (@value $from:expr, |$value:ident| $convert:expr) => {{
        let $value = $from;
        $convert
    }};
    (@extend $member:expr, $column:expr) => { $member.extend_from_slice($column) };
    (@extend $member:expr, $column:expr, |$value:ident| $convert:expr) => {
        $member.extend($column.iter().map(|$value| {
            let $value = *$value;
            $convert
        }))
    };
}

members! {
    octets: Vec<u64> = OCTETS, octets;
    packets: Vec<u64> = PACKETS, packets;
    start: Vec<u64> = START, start, |time| time.as_nanos();
    end: Vec<u64> = END, end, |time| time.as_nanos();
    ingress_interface: Vec<u32> = INGRESS_INTERFACE, ingress_interface;
    egress_interface: Vec<u32> = EGRESS_INTERFACE, egress_interface;
    source_as: Vec<u32> = SOURCE_AS, source_as;
    destination_as: Vec<u32> = DESTINATION_AS, destination_as;
    ipv6_flow_label: Vec<u32> = IPV6_FLOW_LABEL, ipv6_flow_label;
    fragment_identification: Vec<u32> = FRAGMENT_IDENTIFICATION, fragment_identification;
    source_port: Vec<u16> = SOURCE_PORT, source_port;
    destination_port: Vec<u16> = DESTINATION_PORT, destination_port;
    tcp_flags: Vec<u16> = TCP_FLAGS, tcp_flags;
    vlan: Vec<u16> = VLAN, vlan;
    post_vlan: Vec<u16> = POST_VLAN, post_vlan;
    protocol: Vec<u8> = PROTOCOL, protocol;
    tos: Vec<u8> = TOS, tos;
    source_prefix_length: Vec<u8> = SOURCE_PREFIX_LENGTH, source_prefix_length;
    destination_prefix_length: Vec<u8> = DESTINATION_PREFIX_LENGTH, destination_prefix_length;
    direction: Vec<u8> = DIRECTION, direction;
    flow_end_reason: Vec<u8> = FLOW_END_REASON, flow_end_reason;
    minimum_ttl: Vec<u8> = MINIMUM_TTL, minimum_ttl;
    forwarding_status: Vec<u8> = FORWARDING_STATUS, forwarding_status;
    source: Addresses = SOURCE, source;
    destination: Addresses = DESTINATION, destination;
    next_hop: Addresses = NEXT_HOP, next_hop;
    bgp_next_hop: Addresses = BGP_NEXT_HOP, bgp_next_hop;
    source_mac: Vec<u64> = SOURCE_MAC, source_mac, |octets| mac(octets);
    destination_mac: Vec<u64> = DESTINATION_MAC, destination_mac, |octets| mac(octets);
    mpls_labels: Vec<MplsLabels> = MPLS_LABELS, mpls_labels;
}

fn mac(octets: [u8; 6]) -> u64 {
    let mut number = [0; 8];
    let (_, low) = number.split_at_mut(2);
    low.copy_from_slice(&octets);
    u64::from_be_bytes(number)
}

/// Columns that are neither of the datagram nor of the typed record.
const WALKED: [&str; 6] =
    ["ip_flags", "fragment_offset", "next_hop_as", "mpls_ttl", "mpls_ip", "observation_point_id"];

impl Batch {
    pub(super) fn new() -> Self {
        let walked = COLUMNS.iter().enumerate().filter(|(_, column)| WALKED.contains(&column.name));
        Self { walked: walked.map(|(place, _)| (place, Sparse::default())).collect(), ..Self::default() }
    }

    pub(super) fn push(&mut self, flow: &Flow<'_>) {
        let row = self.rows;
        self.begin(Head::of(flow), 1);
        self.members.push(flow);
        if let Some(millis) = flow.duration_millis() {
            self.durations.push(millis.cast_unsigned());
        }
        if let Some(kind) = flow.icmp_type() {
            self.icmp_types.push(row, u32::try_from(kind).unwrap_or(u32::MAX));
        }
        if let Some(code) = flow.icmp_code() {
            self.icmp_codes.push(row, u32::try_from(code).unwrap_or(u32::MAX));
        }
        if let Some(country) = flow.source_country() {
            self.source_countries.push(row, country.number());
        }
        if let Some(country) = flow.destination_country() {
            self.destination_countries.push(row, country.number());
        }
        if flow.has_walked() {
            for (column, sparse) in &mut self.walked {
                match flow.cell(*column) {
                    Cell::Absent => {}
                    cell => sparse.push(row, cell),
                }
            }
        }
        if let Some(json) = json_fields(flow) {
            self.fields.push(row, json);
        }
    }

    /// As many rows as the set has flows.
    pub(super) fn extend(&mut self, set: &FlowSet<'_>) {
        let first = self.rows;
        self.begin(Head::of_set(set), u32::try_from(set.len()).unwrap_or(u32::MAX));
        self.members.extend(set);
        let columns = set.columns;
        if set.has(FlowFields::START | FlowFields::END) {
            let times = set
                .column(FlowFields::START, columns.start())
                .iter()
                .zip(set.column(FlowFields::END, columns.end()));
            self.durations.extend(times.map(|(start, end)| duration_millis(*start, *end).cast_unsigned()));
        }
        let protocols = set.column(FlowFields::PROTOCOL, columns.protocol());
        let codes = set.column(FlowFields::ICMP_TYPE_CODE, columns.icmp_type_code());
        let ports = set.column(FlowFields::DESTINATION_PORT, columns.destination_port());
        let version = set.envelope.version;
        if protocols.is_empty() {
            (first..).zip(codes).for_each(|(row, both)| self.push_icmp(row, *both));
        } else if !codes.is_empty() {
            let both = protocols.iter().zip(codes).zip(first..);
            both.filter(|((protocol, _), _)| may_be_icmp(**protocol))
                .for_each(|((_, both), row)| self.push_icmp(row, *both));
        } else {
            let both = protocols.iter().zip(ports).zip(first..);
            both.filter(|((protocol, _), _)| has_icmp_as_port(version, **protocol))
                .for_each(|((_, both), row)| self.push_icmp(row, *both));
        }
    }

    /// Type and code, as one number.
    fn push_icmp(&mut self, row: u32, both: u16) {
        let [kind, code] = both.to_be_bytes();
        self.icmp_types.push(row, kind.into());
        self.icmp_codes.push(row, code.into());
    }

    /// Rows begin that have this in common.
    fn begin(&mut self, head: Head, rows: u32) {
        self.rows += rows;
        match self.runs.last_mut() {
            Some(run) if run.head == head => run.rows += rows,
            last => {
                let before = if last.is_some() { self.in_all } else { head.fields };
                self.in_all = before.without(before.without(head.fields));
                self.in_any |= head.fields;
                self.runs.push(Run { rows, head });
            }
        }
    }

    /// Takes the rows out but keeps their memory.
    pub(super) fn clear(&mut self) {
        self.rows = 0;
        self.runs.clear();
        (self.in_all, self.in_any) = Default::default();
        self.members.clear();
        self.durations.clear();
        self.icmp_types.clear();
        self.icmp_codes.clear();
        self.source_countries.clear();
        self.destination_countries.clear();
        self.walked.iter_mut().for_each(|(_, sparse)| sparse.clear());
        self.fields.clear();
    }
}

impl Head {
    fn of(flow: &Flow<'_>) -> Self {
        let envelope = flow.envelope;
        Self {
            fields: flow.record.fields,
            flow_type: envelope.flow_type(),
            received: envelope.received,
            sequence: envelope.sequence,
            exporter: envelope.exporter.ip(),
            observation_domain: envelope.observation_domain,
            template_id: flow.template_id,
            sampling_rate: flow.sampling_rate(),
            sampling_source: flow.sampling_source(),
            ip_version: flow.ip_version(),
        }
    }

    fn of_set(set: &FlowSet<'_>) -> Self {
        let envelope = set.envelope;
        Self {
            fields: set.fields,
            flow_type: envelope.flow_type(),
            received: envelope.received,
            sequence: envelope.sequence,
            exporter: envelope.exporter.ip(),
            observation_domain: envelope.observation_domain,
            template_id: set.template_id,
            sampling_rate: set.sampling.map(|info| info.interval.into()),
            sampling_source: set.sampling.map(|info| info.source.name()),
            ip_version: set.ip_version,
        }
    }
}
