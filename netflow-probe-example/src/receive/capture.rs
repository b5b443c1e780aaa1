//! Datagrams out of capture files.

use core::net::SocketAddr;
use std::io::Read;

use netflow_codec::{Timestamp, v8};

use crate::{
    dissect::udp_datagram,
    pcap::{CaptureError, CaptureFile},
};

/// A datagram of a capture file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CapturedDatagram<'a> {
    /// When it was captured.
    pub captured: Timestamp,
    /// The exporter.
    pub source: SocketAddr,
    /// The payload, as far as the capture has it.
    pub payload: &'a [u8],
    /// Whether that is all of it.
    pub is_complete: bool,
}

/// Which UDP datagrams are taken for NetFlow.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PortFilter {
    ports: Vec<u16>,
}

impl PortFilter {
    /// All datagrams to one of these ports; when there is none, those to any port that [look like NetFlow](is_plausible).
    #[must_use]
    pub const fn new(ports: Vec<u16>) -> Self {
        Self { ports }
    }

    fn admits(&self, port: u16, payload: &[u8]) -> bool {
        if self.ports.is_empty() { is_plausible(payload) } else { self.ports.contains(&port) }
    }
}

/// The NetFlow datagrams of a capture file.
#[derive(Debug)]
pub struct Datagrams<R> {
    file: CaptureFile<R>,
    ports: PortFilter,
    ignored: u64,
}

impl<R: Read> Datagrams<R> {
    /// The datagrams of `file` that `ports` admits.
    pub const fn new(file: CaptureFile<R>, ports: PortFilter) -> Self {
        Self { file, ports, ignored: 0 }
    }

    /// Hands all datagrams to `handle`, in the order of the file, until that fails.
    ///
    /// # Errors
    ///
    /// The outer error is the one of `handle`; the inner one says where the file is cut off or corrupt, after the
    /// datagrams before that place were handed over.
    pub fn for_each<E>(
        &mut self,
        mut handle: impl FnMut(CapturedDatagram<'_>) -> Result<(), E>,
    ) -> Result<Result<(), CaptureError>, E> {
        loop {
            let frame = match self.file.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => return Ok(Ok(())),
                Err(error) => return Ok(Err(error)),
            };
            let Some(datagram) = udp_datagram(frame.link_type, frame.data) else { continue };
            if !self.ports.admits(datagram.destination.port(), datagram.payload) {
                // Datagrams to ports that nobody asked for are not missed.
                self.ignored += u64::from(self.ports.ports.is_empty());
                continue;
            }
            handle(CapturedDatagram {
                captured: Timestamp::from_nanos(frame.timestamp.as_nanos()),
                source: datagram.source,
                payload: datagram.payload,
                is_complete: datagram.complete,
            })?;
        }
    }

    /// UDP datagrams so far that were not handed over because they do not look like NetFlow; 0 when certain ports were
    /// asked for.
    pub const fn ignored(&self) -> u64 {
        self.ignored
    }
}

/// Whether a UDP payload is probably NetFlow or IPFIX, whatever port it was sent to.
///
/// The version alone is not enough: DNS messages and many others begin with a number that can be anything. Either
/// the lengths must fit together exactly, or nearly, and then the header's time must be one of the years 1990 to
/// 2099.
///
/// ```
/// use netflow_probe_example::receive::is_plausible;
///
/// // A DNS query whose identifier is 9, for "example".
/// let dns = b"\0\x09\x01\0\0\x01\0\0\0\0\0\0\x07example\0\0\x01\0\x01";
/// assert!(!is_plausible(dns));
/// ```
#[must_use]
pub fn is_plausible(payload: &[u8]) -> bool {
    let word = |offset: usize| {
        let octets: [u8; 4] = *payload.get(offset..)?.first_chunk()?;
        Some(u32::from_be_bytes(octets))
    };
    let Some(first) = word(0) else { return false };
    let (version, count) = (first >> 16, (first & 0xffff) as usize);
    let has_sane_time =
        |offset| word(offset).is_some_and(|secs| (631_152_000..4_102_444_800).contains(&secs));
    let fits = |header: usize, record: usize| {
        let Some(body) = payload.len().checked_sub(header) else { return Fit::Not };
        if count > 0 && body == count * record {
            Fit::Exact
        } else if count > 0
            && (count <= 64 || body.is_multiple_of(record))
            && body >= record
            && word(12).is_some_and(|nanos| nanos < 1_000_000_000)
        {
            Fit::Near
        } else {
            Fit::Not
        }
    };
    let (fit, time_offset) = match version {
        1 => (fits(16, 48), 8),
        5 => (fits(24, 48), 8),
        6 | 7 => (fits(24, 52), 8),
        8 => {
            let scheme = payload.get(22).copied().unwrap_or(0);
            match v8::Aggregation::from_number(scheme).record_len() {
                Some(record) => (fits(28, record), 8),
                None => return false,
            }
        }
        9 => (sets_fit(payload, 20), 8),
        10 if count == payload.len() => (sets_fit(payload, 16), 4),
        // Cut off, or with octets behind the message.
        10 if count >= 16 && payload.len() >= 16 => (Fit::Near, 4),
        _ => return false,
    };
    match fit {
        Fit::Exact => true,
        Fit::Near => has_sane_time(time_offset),
        Fit::Not => false,
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fit {
    Exact,
    Near,
    Not,
}

/// How well the sets behind a header of so many octets fill the payload.
fn sets_fit(payload: &[u8], header: usize) -> Fit {
    let Some(mut rest) = payload.get(header..) else { return Fit::Not };
    while let Some((&[_, _, high, low], _)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes([high, low]));
        match rest.get(length..) {
            Some(behind) if length >= 4 => rest = behind,
            _ => return Fit::Near,
        }
    }
    // No set at all says too little; a few octets may follow the last one.
    if rest.is_empty() && payload.len() > header { Fit::Exact } else { Fit::Near }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v5(count: u16, secs: u32, records: usize) -> Vec<u8> {
        let mut datagram =
            [&[0, 5][..], &count.to_be_bytes(), &[0; 4], &secs.to_be_bytes(), &[0; 12]].concat();
        datagram.resize(24 + 48 * records, 0);
        datagram
    }

    #[test]
    fn netflow_is_recognised_even_when_it_is_damaged() {
        assert!(is_plausible(&v5(2, 0, 2)), "lengths that fit need no clock");
        assert!(is_plausible(&v5(30, 1_700_000_000, 29)), "a record is missing");
        assert!(is_plausible(&v5(55_582, 1_700_000_000, 30)), "the count is nonsense");
        assert!(!is_plausible(&v5(30, 5, 29)), "a record is missing and the time is odd");
        let v9_cut_off =
            [&[0, 9, 0, 1, 0, 0, 0, 1, 0x65, 0x53, 0xf1, 0][..], &[0; 8], &[1, 0, 0, 99, 1]].concat();
        assert!(is_plausible(&v9_cut_off));
    }

    #[test]
    fn other_protocols_are_not() {
        // TFTP: an error and a read request.
        assert!(!is_plausible(b"\0\x05\0\x01File not found, sorry\0"));
        assert!(!is_plausible(b"\0\x01file.bin\0octet\0blksize\x001428\0"));
        // RTP, NTP, SNMP, and too little of anything.
        for other in [&b"\x80\x60\0\x01"[..], b"\x23\x02\x0a\0", b"\x30\x29\x02\x01", b"\0\x09", b""] {
            assert!(!is_plausible(other));
        }
        // A DNS answer with every identifier that is a version number.
        for id in [1, 5, 6, 7, 8, 9, 10] {
            let mut dns = vec![0, id, 0x81, 0x80, 0, 1, 0, 4, 0, 0, 0, 0];
            dns.extend_from_slice(b"\x03www\x07example\x03com\0\0\x01\0\x01");
            dns.resize(200, 0xc0);
            assert!(!is_plausible(&dns), "identifier {id}");
        }
    }
}
