//! Decode a v5 datagram: once through the decoder, once through the borrowed view of that version.

use core::error::Error;

use netflow_codec::{Batch, Decoder, Timestamp, v5};

/// As it comes from the socket: a header, and one record of 48 octets.
#[rustfmt::skip]
const DATAGRAM: [u8; 72] = [
    0, 5, 0, 1,                         // version, count
    0x00, 0x36, 0xEE, 0x80,             // uptime: one hour
    0x65, 0x53, 0xF1, 0x00, 0, 0, 0, 0, // Unix seconds, nanoseconds
    0, 0, 0, 42,                        // flows sent before
    0, 1, 0x40, 100,                    // engine 0/1; deterministic sampling, 1 in 100
    192, 0, 2, 1,                       // source
    198, 51, 100, 7,                    // destination
    203, 0, 113, 1,                     // next hop
    0, 3, 0, 4,                         // interfaces in and out
    0, 0, 0, 10,                        // packets
    0, 0, 0x3A, 0x98,                   // octets
    0x00, 0x36, 0xDA, 0xF8,             // first: 5 s before the header
    0x00, 0x36, 0xEA, 0x98,             // last: 1 s before the header
    0xC0, 0x00, 0x01, 0xBB,             // ports 49152 and 443
    0, 0x1B, 6, 0,                      // padding, TCP flags, protocol, TOS
    0xFB, 0xF0, 0xFB, 0xF1,             // AS 64496 and 64497
    24, 20, 0, 0,                       // prefix lengths, padding
];

fn main() -> Result<(), Box<dyn Error>> {
    // The decoder takes datagrams of any version and keeps what it must know of each exporter.
    let mut decoder = Decoder::new();
    let now = Timestamp::from_secs(1_700_000_000);
    let mut parts = decoder.decode(&"192.0.2.254", &DATAGRAM, now)?;
    println!("v{}, flow {} and following", parts.header().version, parts.header().sequence.unwrap_or(0));
    while let Some(batch) = parts.next() {
        match batch {
            Batch::Fixed(records) => {
                for flow in records.flows() {
                    let every = parts.sampling(&flow).map_or(1, |sampling| sampling.interval);
                    println!(
                        "{}:{} -> {}:{} protocol {}: {} packets, {} octets, 1 in {every} packets metered",
                        flow.source,
                        flow.source_port,
                        flow.destination,
                        flow.destination_port,
                        flow.protocol,
                        flow.packets,
                        flow.octets,
                    );
                    println!("from {:?} to {:?}", flow.start, flow.end);
                }
            }
            Batch::Malformed(error) => eprintln!("{error}"),
            _ => {}
        }
    }

    // Where only v5 can come, the view does without a decoder and copies nothing.
    let packet = v5::Packet::parse(&DATAGRAM)?;
    for record in packet.records() {
        println!("AS {} -> AS {}", record.source_as(), record.destination_as());
    }
    Ok(())
}
