//! The UDP socket of one collector.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::{
    io::{self, ErrorKind},
    net::UdpSocket,
};

/// A connected UDP socket: a host that says that nobody listens there is heard.
#[derive(Debug)]
pub struct UdpOutput {
    socket: UdpSocket,
}

impl UdpOutput {
    /// A socket that sends to `address`.
    ///
    /// # Errors
    ///
    /// When there is no way to that address.
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        let any: IpAddr =
            if address.is_ipv6() { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect(address)?;
        Ok(Self { socket })
    }

    /// Sends one datagram.
    ///
    /// # Errors
    ///
    /// When the network refuses it. [`ErrorKind::ConnectionRefused`] is the answer to an earlier datagram; the present
    /// one has not been tried.
    pub fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        self.socket.send(datagram).map(drop)
    }

    /// Whether the last datagram was answered with a refusal. Says so once.
    pub fn take_refusal(&mut self) -> bool {
        let error = self.socket.take_error().ok().flatten();
        error.is_some_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    }
}
