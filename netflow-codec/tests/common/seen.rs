//! What a decoder makes of a datagram, counted.

use netflow_codec::{Batch, DecodeErrorKind, Decoder, Timestamp};

pub fn header(source_id: u32) -> Vec<u8> {
    let mut octets = vec![0, 9, 0, 5, 0, 0, 0x27, 0x10, 0x65, 0x53, 0xf1, 0, 0, 0, 0, 1];
    octets.extend(source_id.to_be_bytes());
    octets
}

/// A packet with one set.
pub fn packet(source_id: u32, set: &[u8]) -> Vec<u8> {
    let mut octets = header(source_id);
    octets.extend(set);
    octets
}

#[derive(Debug, Default, PartialEq)]
pub struct Seen {
    pub templates: usize,
    pub records: usize,
    pub missing: usize,
    pub recovered: usize,
    pub reserved: usize,
    pub errors: Vec<(u32, DecodeErrorKind)>,
}

pub fn look(decoder: &mut Decoder<u32>, exporter: u32, datagram: &[u8], now: Timestamp) -> Option<Seen> {
    let mut seen = Seen::default();
    for batch in decoder.decode(&exporter, datagram, now).ok()? {
        match batch {
            Batch::Fixed(records) => seen.records += records.flows().count(),
            Batch::Data(records) | Batch::Options(records) => {
                let listed: usize = records.iter().map(|record| record.fields().count().min(1)).sum();
                assert_eq!(records.count(), records.flows().count());
                assert!(listed <= records.count());
                seen.records += records.count();
            }
            Batch::Recovered(records) => {
                seen.recovered += 1;
                seen.records += records.records().flows().count();
            }
            Batch::Template(..) => seen.templates += 1,
            Batch::TemplateMissing { .. } => seen.missing += 1,
            Batch::Reserved { .. } => seen.reserved += 1,
            Batch::Malformed(error) => seen.errors.push((error.offset, error.kind)),
            other => panic!("{other:?}"),
        }
    }
    Some(seen)
}

/// What a decoder that knows nothing makes of it.
pub fn decode(datagram: &[u8]) -> Seen {
    look(&mut Decoder::new(), 1, datagram, Timestamp::ZERO).unwrap()
}
