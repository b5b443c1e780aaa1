//! Sockets and capture files.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::io;

use netflow_codec::Timestamp;

use super::{Target, udp::UdpOutput};
use crate::pcap::DatagramWriter;

/// Addresses of the packets in a capture file: of the block for documentation (RFC 5737).
const FILE_SOURCE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 4_444);
const FILE_DESTINATION: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 254));

/// Takes datagrams.
#[derive(Debug)]
pub enum Output {
    /// A connected UDP socket.
    Socket(UdpOutput),
    /// A capture file, and where its datagrams say they go.
    File(Box<DatagramWriter>, SocketAddr),
}

impl Output {
    /// Opens the socket or the file, whose datagrams go to `port`.
    ///
    /// # Errors
    ///
    /// When that fails.
    pub fn open(target: &Target, port: u16) -> io::Result<Self> {
        match target {
            Target::Collector(address) => UdpOutput::connect(*address).map(Self::Socket),
            Target::File(path) => {
                let destination = SocketAddr::new(FILE_DESTINATION, port);
                Ok(Self::File(Box::new(DatagramWriter::create(path)?), destination))
            }
        }
    }

    /// Whether datagrams leave the machine: they are paced, and errors pass.
    #[must_use]
    pub const fn is_network(&self) -> bool {
        matches!(self, Self::Socket(_))
    }

    /// Sends one datagram.
    ///
    /// # Errors
    ///
    /// When the file cannot be written, or as [`UdpOutput::send`].
    pub fn send(&mut self, datagram: &[u8], now: Timestamp) -> io::Result<()> {
        match self {
            Self::Socket(socket) => socket.send(datagram),
            Self::File(file, destination) => {
                let time = netflow_flowcache::Timestamp::from_nanos(now.as_nanos());
                file.write(time, FILE_SOURCE, *destination, datagram)
            }
        }
    }

    /// Whether the last datagram was answered with a refusal. Says so once.
    pub fn take_refusal(&mut self) -> bool {
        match self {
            Self::Socket(socket) => socket.take_refusal(),
            Self::File(..) => false,
        }
    }

    /// Writes out what is buffered.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Socket(_) => Ok(()),
            Self::File(file, _) => file.flush(),
        }
    }
}
