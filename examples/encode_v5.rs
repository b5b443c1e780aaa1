//! Encode v5: pack flows into datagrams by hand, header and all.

use core::error::Error;

use netflow_codec::{ExportClock, FlowRecord, SysUptime, Timestamp, v5};

fn main() -> Result<(), Box<dyn Error>> {
    let boot = Timestamp::from_secs(1_700_000_000);
    let clock = ExportClock::new(Timestamp::from_secs(1_700_003_600), SysUptime::from_millis(3_600_000));
    let mut builder = v5::PacketBuilder::new(v5::MAX_RECORDS, boot);
    let mut flows_sent = 0;
    let mut datagram = Vec::new();

    for host in 1..=70 {
        let mut flow = FlowRecord::default();
        flow.source = [192, 0, 2, host].into();
        flow.destination = [198, 51, 100, 7].into();
        flow.octets = u64::from(host) * 1_000;
        flow.packets = u64::from(host);
        flow.start = Timestamp::from_secs(1_700_003_590);
        flow.end = Timestamp::from_secs(1_700_003_599);
        if host == 70 {
            // Counters of v5 have 32 bits. What is larger takes several records, which sum up to it.
            flow.octets = 10_000_000_000;
        }
        for part in 0..v5::PacketBuilder::records_for(&flow) {
            if builder.count() == 30 {
                flows_sent += send(&mut builder, clock, flows_sent, &mut datagram)?;
            }
            builder.push_flow(&flow, part)?;
        }
    }
    send(&mut builder, clock, flows_sent, &mut datagram)?;
    Ok(())
}

/// Completes the datagram; the number of its records. The header counts the flows sent before.
fn send(
    builder: &mut v5::PacketBuilder,
    clock: ExportClock,
    sequence: u32,
    datagram: &mut Vec<u8>,
) -> Result<u32, Box<dyn Error>> {
    datagram.clear();
    builder.finish(&v5::HeaderFields::new(clock, sequence), datagram);
    let packet = v5::Packet::parse(datagram)?;
    let octets: u64 = packet.records().map(|record| u64::from(record.octets())).sum();
    println!(
        "{} octets on the wire: sequence {sequence}, {} records, {octets} octets of traffic",
        datagram.len(),
        packet.records().len(),
    );
    Ok(packet.header().count().into())
}
