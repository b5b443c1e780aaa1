//! Writing UDP datagrams as a capture file.

use core::net::{IpAddr, SocketAddr};
use std::{
    fs::File,
    io::{self, BufWriter, ErrorKind, Write},
    path::Path,
};

use netflow_flowcache::Timestamp;

use super::LinkType;

/// Octets of the longest payload that fits into a UDP datagram over IPv4.
pub const MAX_PAYLOAD: usize = 65_535 - IPV4_HEADER - UDP_HEADER;

const ETHERNET_HEADER: usize = 14;
const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;
const UDP_HEADER: usize = 8;
const UDP: u8 = 17;
const SOURCE_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];
const DESTINATION_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x02];
const HOP_LIMIT: u8 = 64;

/// Writes UDP datagrams to a pcap file with nanoseconds, each in one Ethernet frame.
///
/// The MAC addresses are made up (locally administered), the checksums are right. A datagram longer than any
/// Ethernet frame is written as one frame all the same: readers of capture files do not mind.
// 40 octets of headers are written here by hand: pcap-file, the crate for it, has had no release since 2023, and
// what it would save is less than what it would bring along.
#[derive(Debug)]
pub struct DatagramWriter<W: Write = BufWriter<File>> {
    output: W,
    /// The record being built; kept for its memory.
    record: Vec<u8>,
}

impl DatagramWriter<BufWriter<File>> {
    /// Creates the file, or empties it when it exists, and writes its header.
    ///
    /// # Errors
    ///
    /// When the file cannot be created or written.
    pub fn create(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::new(BufWriter::new(File::create(path)?))
    }
}

impl<W: Write> DatagramWriter<W> {
    /// Writes the header of a capture file to `output`, which should be buffered.
    ///
    /// # Errors
    ///
    /// When `output` fails.
    pub fn new(mut output: W) -> io::Result<Self> {
        const SNAP_LENGTH: u32 = 262_144;
        // magic number (nanoseconds) | version 2.4 | time zone, accuracy | snap length | link type
        output.write_all(&0xA1B2_3C4D_u32.to_le_bytes())?;
        output.write_all(&[2, 0, 4, 0])?;
        output.write_all(&[0; 8])?;
        output.write_all(&SNAP_LENGTH.to_le_bytes())?;
        output.write_all(&LinkType::ETHERNET.0.to_le_bytes())?;
        Ok(Self { output, record: Vec::new() })
    }

    /// Writes one datagram, seen at `timestamp` (until the year 2106; later times are written as that).
    ///
    /// IPv4-mapped IPv6 addresses are written as IPv4.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] when the addresses are of different families or the payload is longer than
    /// [`MAX_PAYLOAD`], with nothing written; else when the output fails.
    pub fn write(
        &mut self,
        timestamp: Timestamp,
        source: SocketAddr,
        destination: SocketAddr,
        payload: &[u8],
    ) -> io::Result<()> {
        if payload.len() > MAX_PAYLOAD {
            return Err(io::Error::new(ErrorKind::InvalidInput, "payload too long for a UDP datagram"));
        }
        let udp_length = u16::try_from(UDP_HEADER + payload.len()).unwrap_or(u16::MAX);
        let (ip_header, pseudo_sum) = match (source.ip().to_canonical(), destination.ip().to_canonical()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let addresses = [source.octets(), destination.octets()];
                (IpHeader::V4(ipv4(addresses, udp_length)), sum(addresses.as_flattened()))
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let addresses = [source.octets(), destination.octets()];
                (IpHeader::V6(ipv6(addresses, udp_length)), sum(addresses.as_flattened()))
            }
            _ => {
                let message = "source and destination address of different families";
                return Err(io::Error::new(ErrorKind::InvalidInput, message));
            }
        };
        let (ether_type, ip_header) = match &ip_header {
            IpHeader::V4(octets) => (0x0800_u16, octets.as_slice()),
            IpHeader::V6(octets) => (0x86DD, octets.as_slice()),
        };

        let seconds = u32::try_from(timestamp.as_nanos() / 1_000_000_000).unwrap_or(u32::MAX);
        let nanos = u32::try_from(timestamp.as_nanos() % 1_000_000_000).unwrap_or(0);
        let frame_length = ETHERNET_HEADER + ip_header.len() + usize::from(udp_length);
        let frame_length = u32::try_from(frame_length).unwrap_or(u32::MAX);
        let mut udp = [source.port(), destination.port(), udp_length, 0].map(u16::to_be_bytes);
        let total =
            pseudo_sum + u64::from(UDP) + u64::from(udp_length) + sum(udp.as_flattened()) + sum(payload);
        // "If the computed checksum is zero, it is transmitted as all ones" (RFC 768).
        let checksum = match fold(total) {
            0 => 0xFFFF,
            checksum => checksum,
        };
        udp[3] = checksum.to_be_bytes();

        self.record.clear();
        for field in [seconds, nanos, frame_length, frame_length] {
            self.record.extend_from_slice(&field.to_le_bytes());
        }
        self.record.extend_from_slice(&DESTINATION_MAC);
        self.record.extend_from_slice(&SOURCE_MAC);
        self.record.extend_from_slice(&ether_type.to_be_bytes());
        self.record.extend_from_slice(ip_header);
        self.record.extend_from_slice(udp.as_flattened());
        self.record.extend_from_slice(payload);
        self.output.write_all(&self.record)
    }

    /// Makes everything written so far visible to readers of the file.
    ///
    /// # Errors
    ///
    /// When the output fails.
    pub fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }

    /// Ends the file and hands the output back. Without it, an error at the end would go unnoticed.
    ///
    /// # Errors
    ///
    /// When the output fails.
    pub fn finish(mut self) -> io::Result<W> {
        self.output.flush()?;
        Ok(self.output)
    }
}

enum IpHeader {
    V4([u8; IPV4_HEADER]),
    V6([u8; IPV6_HEADER]),
}

/// ```text
/// 45 00 | total length | identification 0 | don't fragment | TTL | protocol | checksum | source | destination
/// ```
fn ipv4(addresses: [[u8; 4]; 2], udp_length: u16) -> [u8; IPV4_HEADER] {
    // The one length that does not fit is excluded: `MAX_PAYLOAD` fills the 16 bits exactly.
    let total_length = udp_length.saturating_add(20).to_be_bytes();
    let mut header = [0; IPV4_HEADER];
    header[0] = 0x45;
    header[2..4].copy_from_slice(&total_length);
    header[6] = 0x40;
    header[8] = HOP_LIMIT;
    header[9] = UDP;
    header[12..].copy_from_slice(addresses.as_flattened());
    let checksum = fold(sum(&header));
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
    header
}

/// ```text
/// 60 00 00 00 | payload length | next header | hop limit | source | destination
/// ```
fn ipv6(addresses: [[u8; 16]; 2], udp_length: u16) -> [u8; IPV6_HEADER] {
    let mut header = [0; IPV6_HEADER];
    header[0] = 0x60;
    header[4..6].copy_from_slice(&udp_length.to_be_bytes());
    header[6] = UDP;
    header[7] = HOP_LIMIT;
    header[8..].copy_from_slice(addresses.as_flattened());
    header
}

/// Sum of the 16-bit words, an odd last octet padded with zero (RFC 1071).
fn sum(data: &[u8]) -> u64 {
    let (words, rest) = data.as_chunks::<2>();
    let whole: u64 = words.iter().map(|word| u64::from(u16::from_be_bytes(*word))).sum();
    whole + rest.first().map_or(0, |last| u64::from(*last) << 8)
}

/// The checksum of a sum: carries folded in, complemented.
fn fold(mut sum: u64) -> u16 {
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_of_a_header_with_its_checksum_is_zero() {
        let header = ipv4([[192, 0, 2, 1], [198, 51, 100, 7]], 108);
        assert_eq!(fold(sum(&header)), 0);
    }

    #[test]
    fn odd_octets_are_padded_with_zero() {
        assert_eq!(sum(&[0x12, 0x34, 0x56]), 0x1234 + 0x5600);
        assert_eq!(fold(0x1_FFFF), !1);
    }

    #[test]
    fn what_does_not_fit_is_refused_and_nothing_is_written() {
        let mut writer = DatagramWriter::new(Vec::new()).unwrap();
        let v4 = "192.0.2.1:1".parse().unwrap();
        let v6 = "[2001:db8::1]:1".parse().unwrap();
        let mapped = "[::ffff:192.0.2.9]:1".parse().unwrap();
        assert_eq!(writer.write(Timestamp::ZERO, v4, v6, &[]).unwrap_err().kind(), ErrorKind::InvalidInput);
        let long = vec![0; MAX_PAYLOAD + 1];
        assert_eq!(writer.write(Timestamp::ZERO, v4, v4, &long).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(writer.output.len(), 24);
        writer.write(Timestamp::ZERO, v4, mapped, &[]).unwrap();
        assert_eq!(writer.finish().unwrap().len(), 24 + 16 + 14 + 20 + 8);
    }
}
