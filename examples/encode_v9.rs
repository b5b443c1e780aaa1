//! Encode v9 with a session: it packs flows, announces templates when they are due, and keeps sequence numbers.

use core::{error::Error, time::Duration};

use netflow_codec::{Batch, Decoder, ExportSession, ExportVersion, FlowRecord, SessionConfig, Timestamp};

fn main() -> Result<(), Box<dyn Error>> {
    let boot = Timestamp::from_secs(1_700_000_000);
    let mut now = Timestamp::from_secs(1_700_003_600);
    let mut config = SessionConfig::new(ExportVersion::V9, boot);
    config.source_id = 7;
    // Templates go out with the first packet, and then with every third.
    config.template_refresh_packets = Some(3);
    let mut session = ExportSession::new(config)?;
    let mut collector = Decoder::new();

    for index in 0..100_u8 {
        let mut flow = FlowRecord::default();
        if index % 10 == 0 {
            flow.source = [0x2001, 0xDB8, 0, 0, 0, 0, 0, index.into()].into();
            flow.destination = [0x2001, 0xDB8, 0, 1, 0, 0, 0, 1].into();
        } else {
            flow.source = [192, 0, 2, index].into();
            flow.destination = [198, 51, 100, 7].into();
        }
        flow.octets = 1_500;
        flow.packets = 1;
        flow.start = now;
        flow.end = now;
        // One call in, then everything out.
        session.handle_flow(&flow, now)?;
        transmit(&mut session, &mut collector)?;
    }
    // The last packet is not full. It leaves when the oldest flow in it has waited long enough.
    if let Some(due) = session.poll_timeout() {
        now = due.max(now.saturating_add(Duration::from_secs(1)));
        session.handle_timeout(now);
        transmit(&mut session, &mut collector)?;
    }
    let stats = session.stats();
    println!(
        "{} flows in {} packets, templates {} times",
        stats.flows, stats.datagrams, stats.template_rounds
    );
    Ok(())
}

/// Sends what is complete. Here the collector is in the same process.
fn transmit(session: &mut ExportSession, collector: &mut Decoder<&str>) -> Result<(), Box<dyn Error>> {
    let mut datagram = Vec::new();
    while session.poll_transmit(&mut datagram).is_some() {
        let mut decoded = collector.decode(&"exporter", &datagram, Timestamp::from_secs(1_700_003_601))?;
        let sequence = decoded.header().sequence.unwrap_or(0);
        let (mut templates, mut flows) = (0, 0);
        for batch in decoded.by_ref() {
            match batch {
                Batch::Template(..) => templates += 1,
                Batch::Data(records) => flows += records.count(),
                _ => {}
            }
        }
        println!("packet {sequence}: {} octets, {templates} templates, {flows} flows", datagram.len());
        datagram.clear();
    }
    Ok(())
}
