//! Sampling: announce by options that one packet in 1,000 was metered, read it back, scale the counters.

use core::error::Error;

use netflow_codec::{
    Batch, Decoder, ExportSession, ExportVersion, FlowRecord, SamplingAlgorithm, SamplingInfo,
    SamplingSource, SessionConfig, Timestamp,
};

fn main() -> Result<(), Box<dyn Error>> {
    let now = Timestamp::from_secs(1_700_003_600);
    for version in [ExportVersion::V5, ExportVersion::V9] {
        let mut config = SessionConfig::new(version, Timestamp::from_secs(1_700_000_000));
        // v5 has two bits and fourteen bits for it in its header; v9 sends an options template and a record.
        config.sampling = SamplingInfo::new(1_000, SamplingAlgorithm::RANDOM, SamplingSource::Domain);
        let mut session = ExportSession::new(config)?;
        let mut flow = FlowRecord::default();
        flow.source = [192, 0, 2, 1].into();
        flow.octets = 1_500;
        flow.packets = 1;
        (flow.start, flow.end) = (now, now);
        session.handle_flow(&flow, now)?;
        session.flush(now);
        let mut datagram = Vec::new();
        session.poll_transmit(&mut datagram);
        println!("{version:?}: {} octets", datagram.len());
        collect(&datagram, now)?;
    }
    Ok(())
}

fn collect(datagram: &[u8], now: Timestamp) -> Result<(), Box<dyn Error>> {
    let mut decoder = Decoder::new();
    let mut parts = decoder.decode(&"192.0.2.254", datagram, now)?;
    while let Some(batch) = parts.next() {
        let flows: Vec<FlowRecord> = match batch {
            Batch::Fixed(records) => records.flows().collect(),
            Batch::Data(records) => records.flows().collect(),
            Batch::Options(records) => {
                for field in records.iter().flat_map(|record| record.fields()) {
                    println!("  option {}: {}", field.name().unwrap_or("unknown"), field.value());
                }
                continue;
            }
            _ => continue,
        };
        for flow in &flows {
            // Counters are what was metered; nothing is scaled behind the caller's back.
            match parts.sampling(flow) {
                Some(sampling) => println!(
                    "  {} octets metered, about {} sent: 1 in {}, announced by the {}",
                    flow.octets,
                    flow.octets * u64::from(sampling.interval),
                    sampling.interval,
                    sampling.source.name(),
                ),
                None => println!("  {} octets, sampling unknown", flow.octets),
            }
        }
    }
    Ok(())
}
