//! From packets to datagrams: a flow table feeds an export session, all in one loop, without a thread or a clock.

use core::{error::Error, net::IpAddr};

use netflow_codec::{ExportSession, ExportVersion, FlowRecord, SessionConfig, v5};
use netflow_flowcache::{Config, ExpireReason, FlowTable, HashSeed, ObservedPacket, Timestamp};

const START: u64 = 1_700_000_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut table: FlowTable = FlowTable::new(&Config::new(4_096, HashSeed::from_u64(1)))?;
    let boot = netflow_codec::Timestamp::from_millis(START);
    let mut session = ExportSession::new(SessionConfig::new(ExportVersion::V5, boot))?;

    // Two clients talk to a server: one every 10 ms for a minute, the other only in the first second.
    for millis in (0..60_000).step_by(10) {
        let now = Timestamp::from_millis(START + millis);
        meter(&mut table, 1, 1_500, now);
        if millis < 1_000 {
            meter(&mut table, 2, 40, now);
        }
        export(&mut table, &mut session, now)?;
    }
    let end = Timestamp::from_millis(START + 60_000);
    table.flush(ExpireReason::FORCED_END);
    export(&mut table, &mut session, end)?;
    session.flush(end.into());
    transmit(&mut session)
}

/// What a capture would do for each packet: take it apart, hand it in.
fn meter(table: &mut FlowTable, client: u8, octets: u32, now: Timestamp) {
    let (client, server) = (IpAddr::from([192, 0, 2, client]), IpAddr::from([198, 51, 100, 7]));
    let mut packet = ObservedPacket::new(client, server, 17, octets);
    packet.source_port = 49_152;
    packet.destination_port = 53;
    table.handle_packet(&packet, now);
}

/// Takes the flows that have ended, and hands them to the session.
fn export(table: &mut FlowTable, session: &mut ExportSession, now: Timestamp) -> Result<(), Box<dyn Error>> {
    let sent_at = netflow_codec::Timestamp::from(now);
    while let Some(flow) = table.poll_expired() {
        let record = FlowRecord::from(&flow);
        println!(
            "after {} s: {} -> {}: {} packets, {} octets, end reason {}",
            (now.as_millis() - START) / 1_000,
            record.source,
            record.destination,
            record.packets,
            record.octets,
            record.flow_end_reason,
        );
        session.handle_flow(&record, sent_at)?;
        transmit(session)?;
    }
    session.handle_timeout(sent_at);
    transmit(session)
}

fn transmit(session: &mut ExportSession) -> Result<(), Box<dyn Error>> {
    let mut datagram = Vec::new();
    while session.poll_transmit(&mut datagram).is_some() {
        // A socket would send it.
        let packet = v5::Packet::parse(&datagram)?;
        println!("datagram with {} record, sequence {}", packet.records().len(), packet.header().sequence());
        datagram.clear();
    }
    Ok(())
}
