//! IPFIX over TCP: the stream is cut into messages, and the end of the connection is the end of its templates.

use core::error::Error;

use netflow_codec::{
    Batch, Decoder, Timestamp, Transport,
    ipfix::{HEADER_LEN, MessageFramer},
};

/// A message of observation domain 1 with these sets.
fn message(sets: &[&[u8]]) -> Vec<u8> {
    let sets = sets.concat();
    let length = u16::try_from(HEADER_LEN + sets.len()).unwrap_or(u16::MAX).to_be_bytes();
    [&[0, 10][..], &length, &[0x65, 0x53, 0xF1, 0, 0, 0, 0, 0, 0, 0, 0, 1], &sets].concat()
}

fn main() -> Result<(), Box<dyn Error>> {
    let template = message(&[&[0, 2, 0, 16, 1, 0, 0, 2, 0, 4, 0, 1, 0, 11, 0, 2]]);
    let data = message(&[&[1, 0, 0, 10, 17, 0, 53, 6, 1, 187]]);
    let stream = [template, data.clone(), data].concat();

    let exporter = "192.0.2.254:40000";
    let mut decoder = Decoder::new().over(Transport::Stream);
    let mut framer = MessageFramer::new();
    // What a socket hands out knows nothing of messages.
    for read in stream.chunks(25) {
        let mut rest = read;
        while !rest.is_empty() {
            let taken = framer.handle_input(rest);
            rest = rest.get(taken..).unwrap_or_default();
            while let Some(message) = framer.poll_message() {
                // An error here: close the connection, nobody knows where the next message begins.
                decode(&mut decoder, exporter, message?)?;
            }
        }
        println!("{} octets read, {} wait for the rest of their message", read.len(), framer.buffered());
    }
    // The connection is closed: what was announced on it holds no longer.
    framer.finish()?;
    decoder.cache_mut().remove_exporter(&exporter);
    println!("{} messages, {} templates left", framer.messages(), decoder.cache().template_count());
    Ok(())
}

fn decode<'e>(
    decoder: &mut Decoder<&'e str>,
    exporter: &'e str,
    message: &[u8],
) -> Result<(), Box<dyn Error>> {
    for batch in decoder.decode(&exporter, message, Timestamp::from_secs(1_700_000_000))? {
        match batch {
            Batch::Template(template, learned) => println!("  template {}: {learned:?}", template.id()),
            Batch::Data(records) => records.for_each_flow(|flow| {
                println!("  protocol {} to port {}", flow.protocol, flow.destination_port);
            }),
            Batch::Malformed(error) => println!("  {error}"),
            _ => {}
        }
    }
    Ok(())
}
