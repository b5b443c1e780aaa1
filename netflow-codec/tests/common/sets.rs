//! Datagrams put together from sets, and what a decoder says of them.

use netflow_codec::{Batch, Decoder, Timestamp};

/// The time at which tests begin, in seconds.
pub const START: u64 = 1_700_000_000;

pub const fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(START + secs)
}

/// A v9 packet of a source ID, exported so many seconds after [`START`].
pub fn v9(domain: u32, secs: u64, sets: &[Vec<u8>]) -> Vec<u8> {
    let mut octets = vec![0, 9, 0, 1, 0, 0, 0x27, 0x10];
    octets.extend(u32::try_from(START + secs).unwrap().to_be_bytes());
    octets.extend([0, 0, 0, 1]);
    octets.extend(domain.to_be_bytes());
    octets.extend(sets.concat());
    octets
}

/// An IPFIX message of an observation domain, exported so many seconds after [`START`].
pub fn ipfix(domain: u32, secs: u64, sets: &[Vec<u8>]) -> Vec<u8> {
    let body = sets.concat();
    let mut octets = vec![0, 10];
    octets.extend(u16::try_from(16 + body.len()).unwrap().to_be_bytes());
    octets.extend(u32::try_from(START + secs).unwrap().to_be_bytes());
    octets.extend([0, 0, 0, 1]);
    octets.extend(domain.to_be_bytes());
    octets.extend(body);
    octets
}

/// A set.
pub fn set(id: u16, body: &[u8]) -> Vec<u8> {
    let mut octets = id.to_be_bytes().to_vec();
    octets.extend(u16::try_from(4 + body.len()).unwrap().to_be_bytes());
    octets.extend(body);
    octets
}

/// A template record.
pub fn template(id: u16, fields: &[(u16, u16)]) -> Vec<u8> {
    let mut octets = id.to_be_bytes().to_vec();
    octets.extend(u16::try_from(fields.len()).unwrap().to_be_bytes());
    for (element, length) in fields {
        octets.extend(element.to_be_bytes());
        octets.extend(length.to_be_bytes());
    }
    octets
}

/// A v9 options template record: scope system (1), samplingInterval (34).
pub fn v9_sampling_template(id: u16) -> Vec<u8> {
    let mut octets = id.to_be_bytes().to_vec();
    octets.extend([0, 4, 0, 4, 0, 1, 0, 4, 0, 34, 0, 4]);
    octets
}

/// Its data record.
pub fn sampling_record(interval: u32) -> Vec<u8> {
    let mut octets = vec![0; 4];
    octets.extend(interval.to_be_bytes());
    octets
}

/// What a decoder says of a datagram, a word or two a batch. Of records: the octets and the packets of each flow.
pub fn told<E: Clone + Ord>(
    decoder: &mut Decoder<E>,
    exporter: &E,
    datagram: &[u8],
    now: Timestamp,
) -> Vec<String> {
    let batches = decoder.decode(exporter, datagram, now).unwrap();
    let flows = |records: &netflow_codec::DataRecords<'_>| {
        let flows: Vec<_> = records.flows().map(|flow| format!("{}/{}", flow.octets, flow.packets)).collect();
        flows.join(" ")
    };
    batches
        .map(|batch| match batch {
            Batch::Template(template, learned) => format!("{learned:?} {}", template.id()),
            Batch::Data(records) => format!("data {}", flows(&records)),
            Batch::Options(records) => format!("options {}", records.count()),
            Batch::Recovered(recovered) => format!("recovered {}", flows(&recovered.records())),
            Batch::TemplateMissing { template_id, kept, .. } => {
                format!("{} {template_id}", if kept { "waits for" } else { "lacks" })
            }
            Batch::Withdrawal { template_id, obeyed } => {
                format!("{} {template_id}", if obeyed { "withdrawn" } else { "not withdrawn" })
            }
            Batch::Malformed(error) => error.to_string(),
            other => format!("{other:?}"),
        })
        .collect()
}
