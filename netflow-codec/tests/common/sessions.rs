//! Sessions that export, and what comes out of them.

use netflow_codec::{
    CacheLimits, Decoder, ElementId, ExportSession, ExportTemplate, ExportVersion, FieldSpecifier,
    FieldValue, FlowRecord, Protocol, SessionConfig, Strictness, TemplateBuilder, Timestamp, ipfix,
};

pub const BOOT: Timestamp = Timestamp::from_secs(1_700_000_000);
pub const NOW: Timestamp = Timestamp::from_secs(1_700_000_100);

pub fn field(number: u16, length: u16) -> FieldSpecifier {
    FieldSpecifier::new(ElementId::iana(number), length)
}

pub fn config(version: ExportVersion) -> SessionConfig {
    SessionConfig::new(version, BOOT)
}

pub fn session(version: ExportVersion) -> ExportSession {
    ExportSession::new(config(version)).unwrap()
}

pub fn drain(session: &mut ExportSession) -> Vec<Vec<u8>> {
    let mut datagrams = Vec::new();
    let mut datagram = Vec::new();
    while session.poll_transmit(&mut datagram).is_some() {
        datagrams.push(core::mem::take(&mut datagram));
    }
    datagrams
}

pub fn flush(session: &mut ExportSession, now: Timestamp) -> Vec<Vec<u8>> {
    session.flush(now);
    drain(session)
}

pub fn export(session: &mut ExportSession, flows: &[FlowRecord], now: Timestamp) -> Vec<Vec<u8>> {
    let mut datagrams = Vec::new();
    for flow in flows {
        session.handle_flow(flow, now).unwrap();
        datagrams.extend(drain(session));
    }
    datagrams.extend(flush(session, now));
    datagrams
}

/// The ids of the sets of a message.
pub fn sets(datagram: &[u8]) -> Vec<u16> {
    ipfix::Message::parse(datagram).unwrap().sets().map(|set| set.unwrap().id()).collect()
}

pub fn own_template(protocol: Protocol, id: u16) -> ExportTemplate {
    let template = TemplateBuilder::new(protocol, id).field(field(8, 4)).field(field(1, 8));
    template.build().unwrap()
}

pub fn own_record(octets: u64) -> [(ElementId, FieldValue<'static>); 2] {
    [
        (ElementId::iana(8), FieldValue::Ipv4Address([192, 0, 2, 1].into())),
        (ElementId::iana(1), FieldValue::Unsigned(octets)),
    ]
}

pub fn strict() -> Decoder<u8> {
    Decoder::with_limits(CacheLimits::default(), Strictness::Rfc)
}
