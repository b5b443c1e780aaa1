//! The UDP socket of one collector.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::{io, net::UdpSocket, os::fd::AsRawFd as _};

use nix::sys::socket::{
    self, MsgFlags, setsockopt,
    sockopt::{Ipv4RecvErr, Ipv6RecvErr},
};
use socket2::{Domain, Protocol, Socket, Type};

use super::{SendConfig, path_mtu::path_mtu};

/// A connected UDP socket: a host that says that nobody listens there is heard, and so is a router that knows no way.
#[derive(Debug)]
pub struct UdpOutput {
    socket: UdpSocket,
    remote: SocketAddr,
}

impl UdpOutput {
    /// A socket that sends to `address`. The source address is used when it is of the same family.
    ///
    /// # Errors
    ///
    /// When there is no way to that address, or the source address is not one of this host.
    pub fn connect(address: SocketAddr, config: &SendConfig) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        mark(&socket, address, config)?;
        let any: IpAddr =
            if address.is_ipv6() { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        let source = config.source.filter(|source| source.is_ipv6() == address.is_ipv6());
        let bind = source.unwrap_or_else(|| SocketAddr::new(any, 0));
        socket
            .bind(&bind.into())
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", bind.ip())))?;
        socket.connect(&address.into())?;
        // Without it only what hosts say is heard, not what routers say.
        let _heard: nix::Result<()> = if address.is_ipv6() {
            setsockopt(&socket, Ipv6RecvErr, &true)
        } else {
            setsockopt(&socket, Ipv4RecvErr, &true)
        };
        Ok(Self { socket: socket.into(), remote: address })
    }

    /// Sends one datagram.
    ///
    /// # Errors
    ///
    /// When the network refuses it. What [`is_answer`] tells is the answer to an earlier datagram; the present one has not
    /// been tried.
    pub fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        self.socket.send(datagram).map(drop)
    }

    /// What the network answered to the last datagrams, and to how many. Says so once.
    pub fn take_answers(&mut self) -> Option<(io::Error, u64)> {
        let error = self.socket.take_error().ok().flatten();
        let answers = self.drain_answers();
        error.map(|error| (error, answers.max(1)))
    }

    /// Answers that have come besides the one that an error told of, or with it.
    pub fn drain_answers(&mut self) -> u64 {
        let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
        let mut octets = [0; 64];
        let mut answers = 0;
        // More than these are dealt with the next time.
        while answers < 256 && socket::recv(self.socket.as_raw_fd(), &mut octets, flags).is_ok() {
            answers += 1;
        }
        answers
    }

    /// The largest packet that the way to the collector carries.
    #[must_use]
    pub fn path_mtu(&self) -> Option<u16> {
        path_mtu(&self.socket, self.remote.is_ipv6())
    }

    /// Where the datagrams come from.
    #[must_use]
    pub fn local(&self) -> Option<SocketAddr> {
        self.socket.local_addr().ok()
    }

    /// Where they go.
    #[must_use]
    pub const fn remote(&self) -> SocketAddr {
        self.remote
    }
}

/// Whether an error is the network's answer to an earlier datagram: nobody listens there (port unreachable), or there is no
/// way (host or network unreachable, prohibited).
#[must_use]
pub fn is_answer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, HostUnreachable};
    matches!(error.kind(), ConnectionRefused | HostUnreachable)
}

/// Sets what packets say of themselves.
pub(super) fn mark(socket: &Socket, address: SocketAddr, config: &SendConfig) -> io::Result<()> {
    // The two low bits are those of congestion notification.
    let class = u32::from(config.dscp) << 2;
    if address.is_ipv6() {
        if class > 0 {
            socket.set_tclass_v6(class)?;
        }
        if let Some(limit) = config.hop_limit {
            socket.set_unicast_hops_v6(limit.into())?;
            socket.set_multicast_hops_v6(limit.into())?;
        }
    } else {
        if class > 0 {
            socket.set_tos_v4(class)?;
        }
        if let Some(limit) = config.hop_limit {
            socket.set_ttl_v4(limit.into())?;
            socket.set_multicast_ttl_v4(limit.into())?;
        }
    }
    Ok(())
}
