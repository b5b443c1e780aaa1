//! v9 as IPFIX (RFC 5655 appendix B), for collectors and files that know the standard only.

use core::error::Error;

use netflow_codec::{
    Batch, Decoder, Timestamp,
    rewrite::{RewriteConfig, Unconvertible, V9ToIpfix},
};

#[rustfmt::skip]
const PACKET: &[u8] = &[
    // 10,000 seconds after boot
    0, 9, 0, 5, 0, 0x98, 0x96, 0x80, 0x65, 0x53, 0xF1, 0, 0, 0, 0, 99, 0, 0, 0, 7,
    0, 0, 0, 28,                      // a template FlowSet
    1, 0, 0, 2, 0, 8, 0, 4, 0, 22, 0, 4, // template 256: source address, FIRST_SWITCHED
    1, 1, 0, 2, 0, 8, 0, 4, 0xA0, 0x27, 0, 2, // template 257: a field type that IPFIX has no place for
    1, 0, 0, 20,                      // data of 256
    192, 0, 2, 1, 0, 0x98, 0x82, 0xF8,
    192, 0, 2, 2, 0, 0x98, 0x86, 0xE0,
    1, 1, 0, 12,                      // data of 257, with padding
    192, 0, 2, 3, 0xAB, 0xCD, 0, 0,
];

fn main() -> Result<(), Box<dyn Error>> {
    let mut message = Vec::new();
    // By default a packet that IPFIX cannot carry whole is refused.
    if let Err(error) = V9ToIpfix::default().rewrite(PACKET, &mut message) {
        println!("refused: {error}");
    }
    // Or what it cannot carry is left out, and counted.
    let mut config = RewriteConfig::default();
    config.unconvertible = Unconvertible::Drop;
    let mut rewriter = V9ToIpfix::new(config);
    rewriter.rewrite(PACKET, &mut message)?;
    let stats = rewriter.stats();
    println!("{} templates and {} records rewritten", stats.templates, stats.records);
    println!("{} templates and {} records left out", stats.dropped_templates, stats.dropped_records);

    // IPFIX has no uptime in its header: an option says when the exporter booted, so times stay the same.
    for (name, datagram) in [("v9", PACKET), ("IPFIX", &message)] {
        println!("{name}, {} octets", datagram.len());
        let mut decoder = Decoder::new();
        for batch in decoder.decode(&"192.0.2.254", datagram, Timestamp::from_secs(1_700_000_000))? {
            match batch {
                Batch::Options(records) => {
                    for field in records.iter().flat_map(|record| record.fields()) {
                        println!("  {}: {}", field.name().unwrap_or("unknown"), field.value());
                    }
                }
                Batch::Data(records) => records.for_each_flow(|flow| {
                    println!("  {} from {:?} on", flow.source, flow.start);
                }),
                _ => {}
            }
        }
    }
    Ok(())
}
