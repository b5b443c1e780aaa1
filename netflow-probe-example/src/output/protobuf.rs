//! goflow2's protobuf: what pipelines of Kafka and ClickHouse read.
//!
//! The numbers and types of the fields are those of goflow2's `FlowMessage`, so that nothing behind it has to change. What
//! it has no field for is left out.

use core::net::IpAddr;
use std::io::{self, Write};

use netflow_codec::{FlowFields, FlowRecord, MplsLabel};
use prost::Message as _;

use super::{FlowSink, text::BLOCK};
use crate::flow::{COLUMNS, Cell, Flow};

/// A flow as goflow2 writes it. Zero stands for what is not known, as always in protobuf.
#[derive(Clone, PartialEq, prost::Message)]
pub struct FlowMessage {
    /// 2: v5, 3: v9, 4: IPFIX; 0: another version.
    #[prost(uint32, tag = "1")]
    pub flow_type: u32,
    /// One packet in how many was metered.
    #[prost(uint64, tag = "3")]
    pub sampling_rate: u64,
    /// Sequence number of the datagram.
    #[prost(uint32, tag = "4")]
    pub sequence_num: u32,
    /// Source address, 4 or 16 octets.
    #[prost(bytes = "vec", tag = "6")]
    pub src_addr: Vec<u8>,
    /// Destination address.
    #[prost(bytes = "vec", tag = "7")]
    pub dst_addr: Vec<u8>,
    /// Octets as in the record, not scaled.
    #[prost(uint64, tag = "9")]
    pub bytes: u64,
    /// Packets as in the record, not scaled.
    #[prost(uint64, tag = "10")]
    pub packets: u64,
    /// Address of the exporter.
    #[prost(bytes = "vec", tag = "11")]
    pub sampler_address: Vec<u8>,
    /// Next hop router.
    #[prost(bytes = "vec", tag = "12")]
    pub next_hop: Vec<u8>,
    /// AS of the next hop.
    #[prost(uint32, tag = "13")]
    pub next_hop_as: u32,
    /// Source AS.
    #[prost(uint32, tag = "14")]
    pub src_as: u32,
    /// Destination AS.
    #[prost(uint32, tag = "15")]
    pub dst_as: u32,
    /// Length of the source prefix.
    #[prost(uint32, tag = "16")]
    pub src_net: u32,
    /// Length of the destination prefix.
    #[prost(uint32, tag = "17")]
    pub dst_net: u32,
    /// Interface the packets came in by.
    #[prost(uint32, tag = "18")]
    pub in_if: u32,
    /// Interface the packets left by.
    #[prost(uint32, tag = "19")]
    pub out_if: u32,
    /// IP protocol.
    #[prost(uint32, tag = "20")]
    pub proto: u32,
    /// Source port.
    #[prost(uint32, tag = "21")]
    pub src_port: u32,
    /// Destination port.
    #[prost(uint32, tag = "22")]
    pub dst_port: u32,
    /// TOS or traffic class.
    #[prost(uint32, tag = "23")]
    pub ip_tos: u32,
    /// What the device did with the packets.
    #[prost(uint32, tag = "24")]
    pub forwarding_status: u32,
    /// Smallest time to live.
    #[prost(uint32, tag = "25")]
    pub ip_ttl: u32,
    /// TCP flags, joined.
    #[prost(uint32, tag = "26")]
    pub tcp_flags: u32,
    /// Source MAC address, its first octet the highest of six.
    #[prost(uint64, tag = "27")]
    pub src_mac: u64,
    /// Destination MAC address.
    #[prost(uint64, tag = "28")]
    pub dst_mac: u64,
    /// VLAN on the way in, again.
    #[prost(uint32, tag = "29")]
    pub vlan_id: u32,
    /// 0x0800 or 0x86dd.
    #[prost(uint32, tag = "30")]
    pub etype: u32,
    /// ICMP type.
    #[prost(uint32, tag = "31")]
    pub icmp_type: u32,
    /// ICMP code.
    #[prost(uint32, tag = "32")]
    pub icmp_code: u32,
    /// VLAN on the way in.
    #[prost(uint32, tag = "33")]
    pub src_vlan: u32,
    /// VLAN on the way out.
    #[prost(uint32, tag = "34")]
    pub dst_vlan: u32,
    /// Identification of fragments.
    #[prost(uint32, tag = "35")]
    pub fragment_id: u32,
    /// Offset of fragments.
    #[prost(uint32, tag = "36")]
    pub fragment_offset: u32,
    /// Flow label of IPv6.
    #[prost(uint32, tag = "37")]
    pub ipv6_flow_label: u32,
    /// Flags of the IP header.
    #[prost(uint32, tag = "38")]
    pub ip_flags: u32,
    /// Observation domain.
    #[prost(uint32, tag = "70")]
    pub observation_domain_id: u32,
    /// Observation point.
    #[prost(uint32, tag = "71")]
    pub observation_point_id: u32,
    /// Times to live of MPLS.
    #[prost(uint32, repeated, tag = "80")]
    pub mpls_ttl: Vec<u32>,
    /// MPLS labels, outermost first.
    #[prost(uint32, repeated, tag = "81")]
    pub mpls_label: Vec<u32>,
    /// Addresses that MPLS labels stand for.
    #[prost(bytes = "vec", repeated, tag = "82")]
    pub mpls_ip: Vec<Vec<u8>>,
    /// BGP next hop.
    #[prost(bytes = "vec", tag = "100")]
    pub bgp_next_hop: Vec<u8>,
    /// When the datagram came, in nanoseconds since 1970.
    #[prost(uint64, tag = "110")]
    pub time_received_ns: u64,
    /// When the first packet was observed.
    #[prost(uint64, tag = "111")]
    pub time_flow_start_ns: u64,
    /// When the last packet was observed.
    #[prost(uint64, tag = "112")]
    pub time_flow_end_ns: u64,
}

fn push_address(octets: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => octets.extend_from_slice(&v4.octets()),
        IpAddr::V6(v6) => octets.extend_from_slice(&v6.octets()),
    }
}

fn mac(octets: [u8; 6]) -> u64 {
    octets.into_iter().fold(0, |number, octet| number << 8 | u64::from(octet))
}

impl FlowMessage {
    /// Takes what a flow says; memory is used again.
    pub fn fill(&mut self, flow: &Flow<'_>) {
        self.clear();
        let envelope = flow.envelope;
        self.flow_type = match envelope.version {
            5 => 2,
            9 => 3,
            10 => 4,
            _ => 0,
        };
        self.time_received_ns = envelope.received.as_nanos();
        self.sequence_num = envelope.sequence.unwrap_or(0);
        self.sampling_rate = flow.sampling_rate().unwrap_or(0);
        push_address(&mut self.sampler_address, envelope.exporter.ip());
        self.observation_domain_id = envelope.observation_domain;
        self.etype = match flow.ip_version() {
            Some(4) => 0x0800,
            Some(6) => 0x86dd,
            _ => 0,
        };
        let narrow = |number: Option<u64>| number.and_then(|number| u32::try_from(number).ok()).unwrap_or(0);
        self.icmp_type = narrow(flow.icmp_type());
        self.icmp_code = narrow(flow.icmp_code());
        self.fill_members(&flow.record);
        if flow.has_walked() {
            self.fill_walked(flow);
        }
    }

    /// Members that the record did not carry are zero already.
    fn fill_members(&mut self, record: &FlowRecord) {
        use FlowFields as F;
        self.time_flow_start_ns = record.start.as_nanos();
        self.time_flow_end_ns = record.end.as_nanos();
        self.bytes = record.octets;
        self.packets = record.packets;
        for (field, address, octets) in [
            (F::SOURCE, record.source, &mut self.src_addr),
            (F::DESTINATION, record.destination, &mut self.dst_addr),
            (F::NEXT_HOP, record.next_hop, &mut self.next_hop),
            (F::BGP_NEXT_HOP, record.bgp_next_hop, &mut self.bgp_next_hop),
        ] {
            if record.has(field) {
                push_address(octets, address);
            }
        }
        self.proto = record.protocol.into();
        self.src_port = record.source_port.into();
        self.dst_port = record.destination_port.into();
        self.in_if = record.ingress_interface;
        self.out_if = record.egress_interface;
        self.src_mac = mac(record.source_mac);
        self.dst_mac = mac(record.destination_mac);
        self.src_vlan = record.vlan.into();
        self.vlan_id = record.vlan.into();
        self.dst_vlan = record.post_vlan.into();
        self.ip_tos = record.tos.into();
        self.forwarding_status = record.forwarding_status.into();
        self.ip_ttl = record.minimum_ttl.into();
        self.tcp_flags = record.tcp_flags.into();
        self.ipv6_flow_label = record.ipv6_flow_label;
        self.fragment_id = record.fragment_identification;
        self.src_as = record.source_as;
        self.dst_as = record.destination_as;
        self.src_net = record.source_prefix_length.into();
        self.dst_net = record.destination_prefix_length.into();
        self.mpls_label.extend(record.mpls_labels.iter().map(MplsLabel::label));
    }

    /// What no member of the typed record holds.
    fn fill_walked(&mut self, flow: &Flow<'_>) {
        for (place, column) in COLUMNS.iter().enumerate() {
            let member = match column.name {
                "ip_flags" => &mut self.ip_flags,
                "fragment_offset" => &mut self.fragment_offset,
                "next_hop_as" => &mut self.next_hop_as,
                "observation_point_id" => &mut self.observation_point_id,
                "mpls_ttl" => {
                    if let Cell::ListOfOne(ttl) = flow.cell(place) {
                        self.mpls_ttl.push(u32::try_from(ttl).unwrap_or(0));
                    }
                    continue;
                }
                "mpls_ip" => {
                    if let Cell::ListOfAddress(address) = flow.cell(place) {
                        let mut octets = Vec::with_capacity(16);
                        push_address(&mut octets, address);
                        self.mpls_ip.push(octets);
                    }
                    continue;
                }
                _ => continue,
            };
            if let Cell::Unsigned(number) = flow.cell(place) {
                *member = u32::try_from(number).unwrap_or(0);
            }
        }
    }
}

/// Writes messages one behind the other, each behind its length as a varint.
#[derive(Debug)]
pub struct ProtobufSink<W> {
    message: FlowMessage,
    buffer: Vec<u8>,
    output: W,
}

impl<W: Write> ProtobufSink<W> {
    /// Writes to `output`, which needs no buffer of its own, whole messages only.
    pub fn new(output: W) -> Self {
        Self { message: FlowMessage::default(), buffer: Vec::with_capacity(BLOCK + BLOCK / 4), output }
    }

    fn write_out(&mut self) -> io::Result<()> {
        let written = self.output.write_all(&self.buffer);
        self.buffer.clear();
        written
    }
}

impl<W: Write> FlowSink for ProtobufSink<W> {
    fn flow(&mut self, flow: &Flow<'_>) -> io::Result<()> {
        self.message.fill(flow);
        // Memory takes any message.
        self.message.encode_length_delimited(&mut self.buffer).map_err(io::Error::other)?;
        if self.buffer.len() >= BLOCK { self.write_out() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.buffer.is_empty() {
            self.write_out()?;
        }
        self.output.flush()
    }
}
