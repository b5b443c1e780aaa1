//! Datagrams from sockets.

use core::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};
use std::{
    fs::File,
    io,
    net::UdpSocket,
    os::{fd::OwnedFd, unix::fs::MetadataExt},
    time::SystemTime,
};

use netflow_codec::Timestamp;
use socket2::{Domain, Protocol, Socket, Type};

use super::kernel_drops;

/// The time now.
#[must_use]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_nanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// A datagram that was received.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReceivedDatagram<'a> {
    /// When it was fetched from the kernel.
    pub received: Timestamp,
    /// The exporter; one with an IPv4 address has it as such, on an IPv6 socket too.
    pub source: SocketAddr,
    /// The payload.
    pub payload: &'a [u8],
}

/// A set of UDP sockets that datagrams are received from, in turn.
#[derive(Debug)]
pub struct Receiver {
    sockets: Vec<Bound>,
    buffer: Vec<u8>,
    next: usize,
}

#[derive(Debug)]
struct Bound {
    socket: UdpSocket,
    address: SocketAddr,
    inode: u64,
    granted: usize,
}

/// An address that cannot be received at.
#[derive(Debug, thiserror::Error)]
#[error("cannot receive at {address}: {error}")]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// Why not.
    #[source]
    pub error: io::Error,
}

impl Receiver {
    /// Octets of the longest UDP payload.
    const MAX_PAYLOAD: usize = 65_535;
    /// How long to wait at one socket when there are several.
    const TURN: Duration = Duration::from_millis(20);

    /// Binds the addresses and asks for receive buffers of so many octets. `[::]` receives IPv4 as well.
    ///
    /// # Errors
    ///
    /// When an address cannot be bound, as when the port is in use.
    pub fn bind(addresses: &[SocketAddr], receive_buffer: usize) -> Result<Self, BindError> {
        let bind = |&address: &SocketAddr| {
            Bound::new(address, receive_buffer).map_err(|error| BindError { address, error })
        };
        let sockets = addresses.iter().map(bind).collect::<Result<_, _>>()?;
        Ok(Self { sockets, buffer: vec![0; Self::MAX_PAYLOAD], next: 0 })
    }

    /// Binds this port for IPv4 and IPv6, or for IPv4 only where there is no IPv6.
    ///
    /// # Errors
    ///
    /// When the port cannot be bound.
    pub fn bind_any(port: u16, receive_buffer: usize) -> Result<Self, BindError> {
        let both = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port);
        Self::bind(&[both], receive_buffer).or_else(|error| {
            if error.error.kind() == io::ErrorKind::AddrInUse {
                return Err(error);
            }
            Self::bind(&[SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)], receive_buffer)
        })
    }

    /// The addresses that are bound, with the ports that the system chose for 0.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.sockets.iter().map(|bound| bound.address)
    }

    /// The smallest receive buffer that the kernel granted, in octets.
    #[must_use]
    pub fn receive_buffer(&self) -> usize {
        self.sockets.iter().map(|bound| bound.granted).min().unwrap_or(0)
    }

    /// Datagrams that the kernel dropped because they were not fetched in time; `None` where it does not tell.
    #[must_use]
    pub fn kernel_drops(&self) -> Option<u64> {
        let inodes: Vec<u64> = self.sockets.iter().map(|bound| bound.inode).collect();
        kernel_drops(&inodes)
    }

    /// The next datagram that is there already, `None` when there is none.
    ///
    /// # Errors
    ///
    /// Those of the socket.
    pub fn receive(&mut self) -> io::Result<Option<ReceivedDatagram<'_>>> {
        for _ in 0..self.sockets.len() {
            let Some(bound) = self.sockets.get(self.next) else { break };
            // Whatever comes of it: one busy socket must not keep the others waiting.
            self.next = (self.next + 1) % self.sockets.len();
            match bound.socket.recv_from(&mut self.buffer) {
                Ok((length, source)) => {
                    return Ok(Some(ReceivedDatagram {
                        received: now(),
                        source: SocketAddr::new(source.ip().to_canonical(), source.port()),
                        payload: self.buffer.get(..length).unwrap_or(&self.buffer),
                    }));
                }
                Err(error) if is_transient(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Waits for a datagram, at most so long; a signal ends the wait early. With several sockets, one of them may
    /// have to wait for its turn, some milliseconds.
    ///
    /// # Errors
    ///
    /// Those of the socket.
    pub fn wait(&mut self, at_most: Duration) -> io::Result<()> {
        let Some(bound) = self.sockets.get(self.next) else { return Ok(()) };
        let limit = if self.sockets.len() > 1 { at_most.min(Self::TURN) } else { at_most };
        // A timeout of 0 would be none.
        bound.socket.set_read_timeout(Some(limit.max(Duration::from_millis(1))))?;
        bound.socket.set_nonblocking(false)?;
        let waited = bound.socket.peek_from(&mut [0]);
        bound.socket.set_nonblocking(true)?;
        match waited {
            Err(error) if !is_transient(&error) => Err(error),
            _ => Ok(()),
        }
    }
}

/// Nothing there, a signal, or an ICMP error that a reply of ours caused long ago.
fn is_transient(error: &io::Error) -> bool {
    use io::ErrorKind as E;
    matches!(error.kind(), E::WouldBlock | E::TimedOut | E::Interrupted | E::ConnectionRefused)
}

/// Sets the receive buffer beyond `net.core.rmem_max`, which only the privileged may.
#[cfg(target_os = "linux")]
fn force_receive_buffer(socket: &Socket, octets: usize) -> bool {
    use nix::sys::socket::{setsockopt, sockopt::RcvBufForce};
    setsockopt(socket, RcvBufForce, &octets).is_ok()
}

#[cfg(not(target_os = "linux"))]
const fn force_receive_buffer(_: &Socket, _: usize) -> bool {
    false
}

impl Bound {
    fn new(address: SocketAddr, receive_buffer: usize) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
            socket.set_only_v6(false)?;
        }
        if !force_receive_buffer(&socket, receive_buffer) {
            socket.set_recv_buffer_size(receive_buffer)?;
        }
        // "The kernel doubles this value (to allow space for bookkeeping overhead)" (socket(7)).
        let granted = socket.recv_buffer_size()? / if cfg!(target_os = "linux") { 2 } else { 1 };
        socket.bind(&address.into())?;
        let socket = UdpSocket::from(socket);
        socket.set_nonblocking(true)?;
        let inode = File::from(OwnedFd::from(socket.try_clone()?)).metadata()?.ino();
        Ok(Self { address: socket.local_addr()?, socket, inode, granted })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_socket_does_not_keep_the_others_waiting() {
        let any = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
        let mut receiver = Receiver::bind(&[any, any, any], 1 << 20).unwrap();
        let addresses: Vec<_> = receiver.addresses().collect();
        let exporter = UdpSocket::bind(any).unwrap();
        for (to, count) in addresses.iter().zip([5, 0, 2]) {
            for _ in 0..count {
                exporter.send_to(&to.port().to_be_bytes(), to).unwrap();
            }
        }
        let mut order = Vec::new();
        while order.len() < 7 {
            receiver.wait(Duration::from_secs(1)).unwrap();
            let Some(datagram) = receiver.receive().unwrap() else { continue };
            let port = u16::from_be_bytes(datagram.payload.try_into().unwrap());
            order.extend(addresses.iter().position(|address| address.port() == port));
        }
        assert_eq!(order, [0, 2, 0, 2, 0, 0, 0]);
    }
}
