//! netflow-codec, used the way its documentation says.

use netflow_codec::{
    Batch, Decoder, ElementId, ExportClock, ExportSession, ExportVersion, FlowColumns, FlowFields,
    FlowRecord, PacketBuilder, PacketHeader, Projection, RecordLayout, SessionConfig, SysUptime, v5,
};

use crate::{
    consume, consume_columns, consume_values,
    datagrams::{BOOT, IPFIX_FIELDS, IPV4_FIELDS, NOW, TEMPLATE_ID, UPTIME, specifiers},
};

/// A decoder with the default limits; exporters are told apart by a number.
#[must_use]
pub fn decoder() -> Decoder<u32> {
    Decoder::new()
}

/// Calls `visit` with each flow of a datagram.
#[inline]
pub fn for_each_flow(
    decoder: &mut Decoder<u32>,
    exporter: &u32,
    datagram: &[u8],
    mut visit: impl FnMut(&FlowRecord),
) {
    for batch in decoder.decode(exporter, datagram, NOW).unwrap() {
        match batch {
            Batch::Fixed(records) => records.for_each_flow(&mut visit),
            Batch::Data(records) => records.for_each_flow(&mut visit),
            Batch::Template(..) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Decodes a datagram into typed flows.
#[inline]
pub fn flows(decoder: &mut Decoder<u32>, datagram: &[u8]) -> u64 {
    flows_of(decoder, &7, datagram)
}

/// The same, of one exporter among many.
#[inline]
pub fn flows_of(decoder: &mut Decoder<u32>, exporter: &u32, datagram: &[u8]) -> u64 {
    let mut sum = 0;
    for_each_flow(decoder, exporter, datagram, |flow| sum = consume(sum, flow));
    sum
}

/// Walks over a datagram's records without decoding a field.
#[inline]
pub fn record_views(decoder: &mut Decoder<u32>, datagram: &[u8]) -> u64 {
    let mut sum = 0;
    for batch in decoder.decode(&7, datagram, NOW).unwrap() {
        if let Batch::Data(records) = batch {
            for record in &records {
                sum += core::hint::black_box(&record).octets().len() as u64;
            }
        }
    }
    sum
}

/// Addresses, ports, protocol, octets and packets.
#[must_use]
pub const fn five_tuple() -> Projection<7> {
    Projection::new([
        ElementId::SOURCE_IPV4_ADDRESS,
        ElementId::DESTINATION_IPV4_ADDRESS,
        ElementId::SOURCE_TRANSPORT_PORT,
        ElementId::DESTINATION_TRANSPORT_PORT,
        ElementId::PROTOCOL_IDENTIFIER,
        ElementId::OCTET_DELTA_COUNT,
        ElementId::PACKET_DELTA_COUNT,
    ])
}

/// Reads the elements of a projection and nothing else.
#[inline]
pub fn projected<const N: usize>(
    decoder: &mut Decoder<u32>,
    projection: &mut Projection<N>,
    datagram: &[u8],
) -> u64 {
    let mut sum = 0;
    for batch in decoder.decode(&7, datagram, NOW).unwrap() {
        if let Batch::Data(records) = batch {
            projection.for_each_row(&records, |values| sum = consume_values(sum, values));
        }
    }
    sum
}

/// Columns of the members that [`IPV4_FIELDS`] have.
#[must_use]
pub fn columns() -> FlowColumns {
    FlowColumns::new(
        FlowFields::SOURCE
            | FlowFields::DESTINATION
            | FlowFields::NEXT_HOP
            | FlowFields::INGRESS_INTERFACE
            | FlowFields::EGRESS_INTERFACE
            | FlowFields::PACKETS
            | FlowFields::OCTETS
            | FlowFields::START
            | FlowFields::END
            | FlowFields::SOURCE_PORT
            | FlowFields::DESTINATION_PORT
            | FlowFields::TCP_FLAGS
            | FlowFields::PROTOCOL
            | FlowFields::TOS
            | FlowFields::SOURCE_AS
            | FlowFields::DESTINATION_AS
            | FlowFields::SOURCE_PREFIX_LENGTH
            | FlowFields::DESTINATION_PREFIX_LENGTH
            | FlowFields::DIRECTION,
    )
}

/// Decodes a datagram into columns, which are cleared before.
#[inline]
pub fn columned(decoder: &mut Decoder<u32>, columns: &mut FlowColumns, datagram: &[u8]) -> u64 {
    columns.clear();
    for batch in decoder.decode(&7, datagram, NOW).unwrap() {
        if let Batch::Data(records) = batch {
            columns.extend(&records);
        }
    }
    consume_columns(0, columns)
}

/// Decodes a v5 datagram through the borrowed view of that version.
#[inline]
#[must_use]
pub fn v5_views(datagram: &[u8]) -> u64 {
    let packet = v5::Packet::parse(datagram).unwrap();
    let clock = packet.header().clock();
    packet.records().fold(0, |sum, record| consume(sum, &record.to_flow(&clock)))
}

fn clock() -> ExportClock {
    ExportClock::new(NOW, SysUptime::from_millis(UPTIME))
}

/// Packs flows into v9 packets of the layout [`IPV4_FIELDS`], or into IPFIX messages of [`IPFIX_FIELDS`].
#[derive(Debug)]
pub struct TemplateEncoder {
    builder: PacketBuilder,
    layout: RecordLayout,
}

impl Default for TemplateEncoder {
    fn default() -> Self {
        Self::new()
    }
}

impl TemplateEncoder {
    /// An encoder of packets that fit in an Ethernet frame.
    #[must_use]
    pub fn new() -> Self {
        let layout = RecordLayout::new(TEMPLATE_ID, &specifiers(&IPV4_FIELDS)).unwrap();
        Self { builder: PacketBuilder::new(1_472), layout }
    }

    /// The same for IPFIX.
    #[must_use]
    pub fn ipfix() -> Self {
        let layout = RecordLayout::new(TEMPLATE_ID, &specifiers(&IPFIX_FIELDS)).unwrap();
        Self { builder: PacketBuilder::ipfix(1_472), layout }
    }

    /// Appends one packet with these flows.
    #[inline]
    pub fn encode(&mut self, flows: &[FlowRecord], datagram: &mut Vec<u8>) {
        for flow in flows {
            self.builder.push_flow(&self.layout, flow, BOOT).unwrap();
        }
        self.builder.finish(&PacketHeader::new(clock(), 0, 7), datagram);
    }
}

/// Packs flows into v5 datagrams.
#[derive(Debug)]
pub struct V5Encoder {
    builder: v5::PacketBuilder,
}

impl Default for V5Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl V5Encoder {
    /// An encoder of full datagrams.
    #[must_use]
    pub fn new() -> Self {
        Self { builder: v5::PacketBuilder::new(v5::MAX_RECORDS, BOOT) }
    }

    /// Appends one datagram with these flows.
    #[inline]
    pub fn encode(&mut self, flows: &[FlowRecord], datagram: &mut Vec<u8>) {
        for flow in flows {
            self.builder.push_flow(flow, 0).unwrap();
        }
        self.builder.finish(&v5::HeaderFields::new(clock(), 0), datagram);
    }
}

/// A session that packs, announces templates and keeps the sequence number.
#[must_use]
pub fn session(version: ExportVersion) -> ExportSession {
    ExportSession::new(SessionConfig::new(version, BOOT)).unwrap()
}

/// Hands flows to a session and takes its datagrams; the octets written.
#[inline]
pub fn export(session: &mut ExportSession, flows: &[FlowRecord], datagram: &mut Vec<u8>) -> u64 {
    let mut octets = 0;
    for flow in flows {
        session.handle_flow(flow, NOW).unwrap();
        while let Some(written) = session.poll_transmit(datagram) {
            octets += written as u64;
            core::hint::black_box(datagram.as_slice());
            datagram.clear();
        }
    }
    octets
}
