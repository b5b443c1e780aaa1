//! A file of IPFIX messages (RFC 5655), one of them damaged: the others are decoded, and the damage is told.

use core::error::Error;

use netflow_codec::{
    Batch, Decoder, Timestamp, Transport,
    ipfix::{HEADER_LEN, Message, MessageScanner, Piece},
};

/// A message of observation domain 1 with these sets.
fn message(sets: &[&[u8]]) -> Vec<u8> {
    let sets = sets.concat();
    let length = u16::try_from(HEADER_LEN + sets.len()).unwrap_or(u16::MAX).to_be_bytes();
    [&[0, 10][..], &length, &[0x65, 0x53, 0xF1, 0, 0, 0, 0, 0, 0, 0, 0, 1], &sets].concat()
}

fn main() -> Result<(), Box<dyn Error>> {
    let first = message(&[
        &[0, 2, 0, 16, 1, 0, 0, 2, 0, 8, 0, 4, 0, 1, 0, 4],
        &[1, 0, 0, 12, 192, 0, 2, 1, 0, 0, 5, 220],
    ]);
    let second = message(&[&[1, 0, 0, 12, 192, 0, 2, 2, 0, 0, 0, 40]]);
    let third = message(&[&[1, 0, 0, 12, 192, 0, 2, 3, 0, 0, 0, 99]]);
    let mut file = [&first[..], &second, &third].concat();
    // The version of the second message is destroyed.
    if let Some(octet) = file.get_mut(first.len() + 1) {
        *octet = 0xFF;
    }

    // All messages of a file are one session.
    let mut decoder = Decoder::new().over(Transport::File);
    let mut scanner = MessageScanner::new();
    let mut portions = file.chunks(32);
    loop {
        while scanner.needs_input() {
            match portions.next() {
                // A portion always fits when all pieces before it were taken out.
                Some(portion) => _ = scanner.handle_input(portion),
                None => scanner.finish(),
            }
        }
        match scanner.poll_piece() {
            Some(Piece::Message(message)) => decode(&mut decoder, message)?,
            Some(Piece::Damage { offset, octets }) => println!("damage: {octets} octets from octet {offset}"),
            Some(Piece::CutOff { offset, .. }) => println!("the file ends inside the message at {offset}"),
            Some(_) => {}
            None => break,
        }
    }
    Ok(())
}

fn decode(decoder: &mut Decoder<()>, octets: &[u8]) -> Result<(), Box<dyn Error>> {
    // The exporter of a file is not known; its messages say when they were exported.
    let exported: Timestamp = Message::parse(octets)?.header().export_time();
    println!("message of {} octets", octets.len());
    for batch in decoder.decode(&(), octets, exported)? {
        if let Batch::Data(records) = batch {
            records.for_each_flow(|flow| println!("  {} sent {} octets", flow.source, flow.octets));
        }
    }
    Ok(())
}
