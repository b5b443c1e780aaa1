//! The columns of the schema, each from what a batch has of it.

use netflow_codec::{FlowFields as F, MplsLabel};

use super::{
    batch::{Batch, Head, Sparse},
    chunk::{Encoder, Number, Order},
};
use crate::flow::{COLUMNS, Cell, Country, protocol_keyword};

/// Gives an encoder the levels and values of a column.
pub(super) type Write = fn(&Batch, &mut Encoder);

/// All columns of the schema, in its order.
pub(super) fn writers() -> Vec<Write> {
    let none: Write = |_, _| {};
    COLUMNS
        .iter()
        .map(|column| writer(column.name).unwrap_or(none))
        .chain([writer_of_fields as Write])
        .collect()
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn writer(column: &str) -> Option<Write> {
    macro_rules! member {
        ($member:ident, $field:ident) => {
            |batch, encoder| {
                present(batch, encoder, F::$field);
                encoder.numbers(&batch.members.$member, Order::Unsigned);
            }
        };
    }
    macro_rules! time {
        ($member:ident, $field:ident) => {
            |batch, encoder| {
                present(batch, encoder, F::$field);
                encoder.numbers(&batch.members.$member, Order::Time);
            }
        };
    }
    macro_rules! address {
        ($member:ident, $field:ident, $looked_for:literal) => {
            |batch, encoder| {
                present(batch, encoder, F::$field);
                encoder.addresses(&batch.members.$member, $looked_for);
            }
        };
    }
    macro_rules! mac {
        ($member:ident, $field:ident) => {
            |batch, encoder| {
                present(batch, encoder, F::$field);
                encoder.macs(&batch.members.$member);
            }
        };
    }
    macro_rules! walked {
        ($name:literal) => {
            |batch, encoder| {
                if let Some(cells) = walked(batch, $name) {
                    write_walked(batch, encoder, cells);
                }
            }
        };
    }
    Some(match column {
        "type" => |batch, encoder| encoder.word_runs(runs(batch, |head| Some(head.flow_type))),
        "time_received_ns" => |batch, encoder| {
            encoder.number_runs(runs(batch, |head| Some(head.received.as_nanos())), Order::Time);
        },
        "sequence_num" => {
            |batch, encoder| encoder.number_runs(runs(batch, |head| head.sequence), Order::Unsigned)
        }
        "sampling_rate" => {
            |batch, encoder| encoder.number_runs(runs(batch, |head| head.sampling_rate), Order::Unsigned)
        }
        "sampler_address" => {
            |batch, encoder| encoder.address_runs(batch.runs.iter().map(|run| (run.head.exporter, run.rows)))
        }
        "time_flow_start_ns" => time!(start, START),
        "time_flow_end_ns" => time!(end, END),
        "bytes" => member!(octets, OCTETS),
        "packets" => member!(packets, PACKETS),
        "src_addr" => address!(source, SOURCE, true),
        "dst_addr" => address!(destination, DESTINATION, true),
        "etype" => |batch, encoder| {
            encoder.word_runs(runs(batch, |head| match head.ip_version {
                Some(4) => Some("IPv4"),
                Some(6) => Some("IPv6"),
                _ => None,
            }));
        },
        "proto" => |batch, encoder| {
            present(batch, encoder, F::PROTOCOL);
            encoder.words(&batch.members.protocol, |out, protocol| match protocol_keyword(protocol) {
                Some(keyword) => out.extend_from_slice(keyword.as_bytes()),
                None => out.extend_from_slice(protocol.to_string().as_bytes()),
            });
        },
        "src_port" => member!(source_port, SOURCE_PORT),
        "dst_port" => member!(destination_port, DESTINATION_PORT),
        "in_if" => member!(ingress_interface, INGRESS_INTERFACE),
        "out_if" => member!(egress_interface, EGRESS_INTERFACE),
        "src_mac" => mac!(source_mac, SOURCE_MAC),
        "dst_mac" => mac!(destination_mac, DESTINATION_MAC),
        "src_vlan" | "vlan_id" => member!(vlan, VLAN),
        "dst_vlan" => member!(post_vlan, POST_VLAN),
        "ip_tos" => member!(tos, TOS),
        "forwarding_status" => member!(forwarding_status, FORWARDING_STATUS),
        "ip_ttl" => member!(minimum_ttl, MINIMUM_TTL),
        "ip_flags" => walked!("ip_flags"),
        "tcp_flags" => member!(tcp_flags, TCP_FLAGS),
        "icmp_type" => |batch, encoder| write_sparse(batch, encoder, &batch.icmp_types),
        "icmp_code" => |batch, encoder| write_sparse(batch, encoder, &batch.icmp_codes),
        "ipv6_flow_label" => member!(ipv6_flow_label, IPV6_FLOW_LABEL),
        "fragment_id" => member!(fragment_identification, FRAGMENT_IDENTIFICATION),
        "fragment_offset" => walked!("fragment_offset"),
        "src_as" => member!(source_as, SOURCE_AS),
        "dst_as" => member!(destination_as, DESTINATION_AS),
        "next_hop_as" => walked!("next_hop_as"),
        "next_hop" => address!(next_hop, NEXT_HOP, false),
        "bgp_next_hop" => address!(bgp_next_hop, BGP_NEXT_HOP, false),
        "src_net" => member!(source_prefix_length, SOURCE_PREFIX_LENGTH),
        "dst_net" => member!(destination_prefix_length, DESTINATION_PREFIX_LENGTH),
        "mpls_ttl" => walked!("mpls_ttl"),
        "mpls_label" => write_labels,
        "mpls_ip" => walked!("mpls_ip"),
        "observation_domain_id" => |batch, encoder| {
            encoder.number_runs(runs(batch, |head| Some(head.observation_domain)), Order::Unsigned);
        },
        "observation_point_id" => walked!("observation_point_id"),
        "template_id" => |batch, encoder| {
            encoder.number_runs(runs(batch, |head| head.template_id.map(u32::from)), Order::Unsigned);
        },
        "flow_end_reason" => member!(flow_end_reason, FLOW_END_REASON),
        "flow_direction" => member!(direction, DIRECTION),
        "sampling_source" => |batch, encoder| encoder.word_runs(runs(batch, |head| head.sampling_source)),
        "duration_ms" => |batch, encoder| {
            present(batch, encoder, F::START | F::END);
            encoder.numbers(&batch.durations, Order::Signed);
        },
        "src_country" => |batch, encoder| write_countries(batch, encoder, &batch.source_countries),
        "dst_country" => |batch, encoder| write_countries(batch, encoder, &batch.destination_countries),
        _ => return None,
    })
}

/// What the heads of the runs say.
fn runs<'b, T: 'b>(
    batch: &'b Batch,
    value: impl Fn(&'b Head) -> Option<T> + Clone + 'b,
) -> impl Iterator<Item = (Option<T>, u32)> + Clone + 'b {
    batch.runs.iter().map(move |run| (value(&run.head), run.rows))
}

/// The rows that carry these members.
fn present(batch: &Batch, encoder: &mut Encoder, fields: F) {
    if batch.in_all.contains(fields) || !batch.in_any.contains(fields) {
        return encoder.definition.push(batch.in_all.contains(fields).into(), batch.rows);
    }
    for run in &batch.runs {
        encoder.definition.push(run.head.fields.contains(fields).into(), run.rows);
    }
}

/// The rows that are named, which have this level; the others have none.
fn at_rows(batch: &Batch, encoder: &mut Encoder, rows: &[u32], level: u8) {
    let mut next = 0;
    for row in rows {
        encoder.definition.push(0, row - next);
        encoder.definition.push(level, 1);
        next = row + 1;
    }
    encoder.definition.push(0, batch.rows - next);
}

fn write_sparse<N: Number>(batch: &Batch, encoder: &mut Encoder, sparse: &Sparse<N>) {
    at_rows(batch, encoder, &sparse.rows, 1);
    encoder.numbers(&sparse.values, Order::Unsigned);
}

fn write_countries(batch: &Batch, encoder: &mut Encoder, countries: &Sparse<u8>) {
    at_rows(batch, encoder, &countries.rows, 1);
    encoder.words(&countries.values, |out, number| {
        let code = Country::of_number(number).map_or("", Country::code);
        out.extend_from_slice(code.as_bytes());
    });
}

fn walked<'b>(batch: &'b Batch, name: &str) -> Option<&'b Sparse<Cell>> {
    let is_it = |place: usize| COLUMNS.get(place).is_some_and(|column| column.name == name);
    batch.walked.iter().find(|(place, _)| is_it(*place)).map(|(_, cells)| cells)
}

/// Cells of numbers, or of lists of one number or address.
fn write_walked(batch: &Batch, encoder: &mut Encoder, cells: &Sparse<Cell>) {
    let is_list = matches!(cells.values.first(), Some(Cell::ListOfOne(_) | Cell::ListOfAddress(_)));
    at_rows(batch, encoder, &cells.rows, if is_list { 2 } else { 1 });
    if is_list {
        encoder.repetition.push(0, batch.rows);
    }
    let mut numbers = Vec::with_capacity(cells.values.len());
    for cell in &cells.values {
        match cell {
            // As goflow2 has it, what does not fit is cut.
            Cell::Unsigned(number) | Cell::ListOfOne(number) => {
                numbers.push(u32::try_from(number & u64::from(u32::MAX)).unwrap_or(0));
            }
            Cell::ListOfAddress(address) => encoder.plain_address(*address),
            _ => {}
        }
    }
    encoder.numbers(&numbers, Order::Unsigned);
}

fn write_labels(batch: &Batch, encoder: &mut Encoder) {
    let mut stacks = batch.members.mpls_labels.iter();
    let mut numbers = Vec::new();
    for run in &batch.runs {
        if !run.head.fields.contains(F::MPLS_LABELS) {
            encoder.definition.push(0, run.rows);
            encoder.repetition.push(0, run.rows);
            continue;
        }
        for stack in stacks.by_ref().take(run.rows as usize) {
            let before = numbers.len();
            numbers.extend(stack.iter().map(MplsLabel::label));
            let count = u32::try_from(numbers.len() - before).unwrap_or(0);
            encoder.definition.push(if count > 0 { 2 } else { 1 }, count.max(1));
            encoder.repetition.push(0, 1);
            encoder.repetition.push(1, count.saturating_sub(1));
        }
    }
    encoder.numbers(&numbers, Order::Unsigned);
}

fn writer_of_fields(batch: &Batch, encoder: &mut Encoder) {
    at_rows(batch, encoder, &batch.fields.rows, 1);
    for json in &batch.fields.values {
        encoder.plain(json);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_has_a_writer() {
        for column in COLUMNS {
            assert!(writer(column.name).is_some(), "{}", column.name);
        }
    }
}
