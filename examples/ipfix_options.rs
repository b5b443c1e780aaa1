//! Options of IPFIX: records that describe the exporter; here the names of its interfaces, put beside its flows.

use core::error::Error;
use std::collections::BTreeMap;

use netflow_codec::{Batch, Decoder, ElementId, FieldValue, Timestamp};

#[rustfmt::skip]
const MESSAGE: &[u8] = &[
    0, 10, 0, 110, 0x65, 0x53, 0xF1, 0, 0, 0, 0, 0, 0, 0, 0, 1, // header
    0, 3, 0, 18,            // an options template set
    1, 1, 0, 2, 0, 1,       // options template 257: 2 fields, the first is a scope
    0, 10, 0, 4,            // scope ingressInterface
    0, 82, 0xFF, 0xFF,      // interfaceName, of variable length
    1, 1, 0, 24,            // data of 257
    0, 0, 0, 7, 4, b'e', b't', b'h', b'0',
    0, 0, 0, 9, 6, b'w', b'l', b'a', b'n', b'0', b'0',
    0, 2, 0, 20,            // a template set
    1, 0, 0, 3,             // template 256: 3 fields
    0, 8, 0, 4, 0, 10, 0, 4, 0, 1, 0, 4,
    1, 0, 0, 28,            // data of 256
    192, 0, 2, 1, 0, 0, 0, 7, 0, 0, 5, 220,
    192, 0, 2, 2, 0, 0, 0, 8, 0, 0, 0, 40,
    0, 9, 0, 4,             // a reserved set: told, its neighbours are decoded
];

fn main() -> Result<(), Box<dyn Error>> {
    let mut names = BTreeMap::new();
    let mut decoder = Decoder::new();
    for batch in decoder.decode(&"192.0.2.254", MESSAGE, Timestamp::from_secs(1_700_000_000))? {
        match batch {
            Batch::Options(records) => {
                for record in &records {
                    let find = |element| record.fields().find(move |field| field.element() == element);
                    let interface = find(ElementId::INGRESS_INTERFACE).and_then(|field| field.as_unsigned());
                    if let (Some(interface), Some(name)) = (interface, find(ElementId::iana(82)))
                        && let FieldValue::String(name) = name.value()
                    {
                        println!("interface {interface} is {name}");
                        names.insert(interface, name.to_owned());
                    }
                }
            }
            Batch::Data(records) => records.for_each_flow(|flow| {
                let name = names.get(&flow.ingress_interface.into()).map_or("unknown", String::as_str);
                println!("{} sent {} octets by {name}", flow.source, flow.octets);
            }),
            Batch::Reserved { id, offset, .. } => println!("set {id} at octet {offset} is reserved"),
            Batch::Malformed(error) => println!("{error}"),
            _ => {}
        }
    }
    Ok(())
}
