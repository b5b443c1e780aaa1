//! Decode v9: a packet with a template, then packets with data, typed and field by field.

use core::error::Error;

use netflow_codec::{Batch, DataRecords, Decoder, Timestamp};

/// Announces template 256: source and destination address, octets, and an element of unknown meaning.
#[rustfmt::skip]
const TEMPLATE: [u8; 44] = [
    0, 9, 0, 1,                     // version, count
    0x00, 0x36, 0xEE, 0x80,         // uptime
    0x65, 0x53, 0xF1, 0x00,         // Unix seconds
    0, 0, 0, 1, 0, 0, 0, 7,         // sequence number, source ID
    0, 0, 0, 24, 1, 0, 0, 4,        // template set, 24 octets; template 256 with 4 fields
    0, 8, 0, 4, 0, 12, 0, 4,        // addresses
    0, 1, 0, 4, 0x75, 0x30, 0, 2,   // octetDeltaCount, element 30000
];

/// Two records of template 256.
#[rustfmt::skip]
const DATA: [u8; 52] = [
    0, 9, 0, 2,
    0x00, 0x36, 0xF2, 0x68,
    0x65, 0x53, 0xF1, 0x01,
    0, 0, 0, 2, 0, 0, 0, 7,
    1, 0, 0, 32,                    // data set of template 256
    192, 0, 2, 1, 198, 51, 100, 7, 0, 0, 5, 220, 0xAB, 0xCD,
    192, 0, 2, 2, 198, 51, 100, 7, 0, 0, 0, 40, 0x12, 0x34,
];

fn main() -> Result<(), Box<dyn Error>> {
    let mut decoder = Decoder::new();
    let now = Timestamp::from_secs(1_700_000_000);
    // The second exporter sends data before its template: the data waits for it.
    let received = [
        ("192.0.2.254", &TEMPLATE[..]),
        ("192.0.2.254", &DATA),
        ("192.0.2.253", &DATA),
        ("192.0.2.253", &TEMPLATE),
    ];
    for (exporter, datagram) in received {
        println!("from {exporter}");
        for batch in decoder.decode(&exporter, datagram, now)? {
            match batch {
                Batch::Template(template, learned) => {
                    println!("  template {}: {} fields, {learned:?}", template.id(), template.fields().len());
                }
                Batch::Data(records) => show(&records),
                Batch::Recovered(recovered) => show(&recovered.records()),
                Batch::TemplateMissing { template_id, octets, kept, .. } => {
                    println!("  {} octets wait for template {template_id}: {kept}", octets.len());
                }
                Batch::Malformed(error) => println!("  {error}"),
                _ => {}
            }
        }
    }
    Ok(())
}

fn show(records: &DataRecords<'_>) {
    // Typed: what most want of a flow, in members.
    for flow in records.flows() {
        println!("  {} -> {}: {} octets", flow.source, flow.destination, flow.octets);
    }
    // Field by field: all there is, in the order of the template.
    for record in records {
        let fields: Vec<_> = record
            .fields()
            .map(|field| {
                let number = field.element().number().to_string();
                format!("{}={}", field.name().unwrap_or(&number), field.value())
            })
            .collect();
        println!("  {}", fields.join(" "));
    }
}
