//! NetFlow datagrams built by hand.
#![allow(dead_code, reason = "every test file uses a part of this")]

use std::path::{Path, PathBuf};

use netflow_flowcache::Timestamp;
use netflow_probe_example::pcap::DatagramWriter;

/// Writes datagrams from one exporter to port 2055, a second apart, into `capture.pcap`.
pub(crate) fn capture(folder: impl AsRef<Path>, datagrams: &[Vec<u8>]) -> PathBuf {
    let path = folder.as_ref().join("capture.pcap");
    let mut writer = DatagramWriter::create(&path).unwrap();
    for (second, datagram) in (1_700_000_000..).zip(datagrams) {
        let (source, destination) = ("192.0.2.7:4444".parse().unwrap(), "192.0.2.254:2055".parse().unwrap());
        writer.write(Timestamp::from_secs(second), source, destination, datagram).unwrap();
    }
    writer.finish().unwrap();
    path
}

/// A v5 datagram: version, count | uptime | seconds | nanoseconds | sequence | engine, sampling | records.
pub(crate) fn v5(sequence: u32, records: usize) -> Vec<u8> {
    let mut datagram = vec![0, 5];
    datagram.extend(u16::try_from(records).unwrap().to_be_bytes());
    for word in [60_000, 1_700_000_000, 0, sequence, 0] {
        datagram.extend(u32::to_be_bytes(word));
    }
    for record in 0..records {
        datagram.extend(v5_record(u8::try_from(record % 250).unwrap()));
    }
    datagram
}

/// source | destination | next hop | in, out | packets | octets | first | last | ports | flags, protocol, TOS | rest
fn v5_record(host: u8) -> Vec<u8> {
    let mut record = vec![10, 5, 0, host, 198, 51, 100, 1, 0, 0, 0, 0, 0, 1, 0, 2];
    for word in [3, 1_500, 50_000, 59_000_u32] {
        record.extend(word.to_be_bytes());
    }
    record.extend([0xc0, 0, 1, 0xbb, 0, 0x1b, 6, 0, 0, 0, 0, 0, 24, 0, 0, 0]);
    record
}

/// A v7 datagram: as v5, records of 52 octets.
pub(crate) fn v7(sequence: u32) -> Vec<u8> {
    let mut datagram = v5(sequence, 1);
    datagram[1] = 7;
    datagram.extend([192, 0, 2, 9]);
    datagram
}

/// A v9 datagram: version, count | uptime | seconds | sequence | source ID | sets.
pub(crate) fn v9(source_id: u32, sequence: u32, sets: &[Vec<u8>]) -> Vec<u8> {
    let mut datagram = vec![0, 9];
    datagram.extend(u16::try_from(sets.len()).unwrap().to_be_bytes());
    for word in [60_000, 1_700_000_000, sequence, source_id] {
        datagram.extend(word.to_be_bytes());
    }
    datagram.extend(sets.concat());
    datagram
}

/// A set: id, length | body.
pub(crate) fn set(id: u16, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len() + 4).unwrap();
    [&id.to_be_bytes(), &length.to_be_bytes(), body].concat()
}

/// A template set of one template; fields are element and length.
pub(crate) fn template(id: u16, fields: &[(u16, u16)]) -> Vec<u8> {
    let count = u16::try_from(fields.len()).unwrap();
    let mut body = [id.to_be_bytes(), count.to_be_bytes()].concat();
    for (element, length) in fields {
        body.extend(element.to_be_bytes());
        body.extend(length.to_be_bytes());
    }
    set(0, &body)
}

/// An options template set of one template with the scope System, in 4 octets.
pub(crate) fn options_template(id: u16, fields: &[(u16, u16)]) -> Vec<u8> {
    let length = u16::try_from(fields.len() * 4).unwrap();
    let mut body = [id.to_be_bytes(), 4_u16.to_be_bytes(), length.to_be_bytes()].concat();
    for (element, length) in [&[(1, 4)], fields].concat() {
        body.extend(element.to_be_bytes());
        body.extend(length.to_be_bytes());
    }
    body.resize(body.len().next_multiple_of(4), 0);
    set(1, &body)
}

/// Source, destination, protocol, octets.
pub(crate) const PLAIN: [(u16, u16); 4] = [(8, 4), (12, 4), (4, 1), (1, 4)];

/// A record of [`PLAIN`].
pub(crate) fn plain(host: u8, octets: u32) -> Vec<u8> {
    [&[192, 0, 2, host, 203, 0, 113, 1, 17][..], &octets.to_be_bytes()].concat()
}
