//! Datagrams as a capture file.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::{io, path::Path};

use netflow_codec::Timestamp;

use crate::pcap::DatagramWriter;

/// Addresses of the packets in a capture file: of the block for documentation (RFC 5737).
const FILE_SOURCE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 4_444);
const FILE_DESTINATION: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 254));

/// A capture file, and where its datagrams say they go.
#[derive(Debug)]
pub(super) struct FileOutput {
    file: DatagramWriter,
    destination: SocketAddr,
}

impl FileOutput {
    /// Creates the file, whose datagrams go to `port`.
    pub(super) fn create(path: &Path, port: u16) -> io::Result<Self> {
        let destination = SocketAddr::new(FILE_DESTINATION, port);
        Ok(Self { file: DatagramWriter::create(path)?, destination })
    }

    pub(super) fn write(&mut self, datagram: &[u8], now: Timestamp) -> io::Result<()> {
        let time = netflow_flowcache::Timestamp::from_nanos(now.as_nanos());
        self.file.write(time, FILE_SOURCE, self.destination, datagram)
    }

    /// Writes out what is buffered.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
