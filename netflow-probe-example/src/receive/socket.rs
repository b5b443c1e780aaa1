//! Datagrams from sockets.

use core::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};
use std::{io, net::UdpSocket, os::fd::AsFd as _, time::SystemTime};

use netflow_codec::Timestamp;
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};
use socket2::{Domain, Protocol, Socket, Type};

use super::{
    batch::{Headers, Slots},
    kernel_drops,
    pause::Pause,
    steering,
};
use crate::account::SocketAccount;

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

/// A set of UDP sockets that are bound, and can be handed to the thread that receives from them.
#[derive(Debug)]
pub struct Sockets {
    bound: Vec<Bound>,
}

/// A set of UDP sockets that datagrams are received from, in turn. It stays in the thread that made it.
#[derive(Debug)]
pub struct Receiver {
    sockets: Sockets,
    headers: Vec<Headers>,
    slots: Slots,
    next: usize,
    /// Datagrams since the last pause.
    received: usize,
    pause: Pause,
}

#[derive(Debug)]
struct Bound {
    socket: UdpSocket,
    address: SocketAddr,
    granted: usize,
}

/// A socket to ask the kernel about.
#[derive(Debug)]
pub struct SocketWatch {
    socket: Option<UdpSocket>,
    address: SocketAddr,
    granted: usize,
}

impl SocketWatch {
    /// What the kernel says of it.
    #[must_use]
    pub fn account(&self) -> SocketAccount {
        let drops = self.socket.as_ref().and_then(kernel_drops);
        SocketAccount { address: self.address, receive_buffer: self.granted, drops }
    }
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

impl Sockets {
    /// Binds the addresses and asks for receive buffers of so many octets. `[::]` receives IPv4 as well.
    ///
    /// # Errors
    ///
    /// When an address cannot be bound, as when the port is in use.
    pub fn bind(addresses: &[SocketAddr], receive_buffer: usize) -> Result<Self, BindError> {
        let bind = |&address: &SocketAddr| {
            Bound::new(address, receive_buffer, false).map_err(|error| BindError { address, error })
        };
        Ok(Self { bound: addresses.iter().map(bind).collect::<Result<_, _>>()? })
    }

    /// Binds the addresses for so many receivers, each of which has sockets of its own. All datagrams of one sender come
    /// to the same receiver, whatever port it sends from.
    ///
    /// # Errors
    ///
    /// When an address cannot be bound, or the kernel cannot be told which receiver a datagram is for.
    pub fn bind_several(
        addresses: &[SocketAddr],
        receive_buffer: usize,
        receivers: usize,
    ) -> Result<Vec<Self>, BindError> {
        if receivers <= 1 {
            return Self::bind(addresses, receive_buffer).map(|sockets| vec![sockets]);
        }
        let mut sockets: Vec<Vec<Bound>> = Vec::new();
        sockets.resize_with(receivers, Vec::new);
        for &address in addresses {
            let failed = |error| BindError { address, error };
            let mut bound = address;
            for sockets in &mut sockets {
                let socket = Bound::new(bound, receive_buffer, true).map_err(failed)?;
                // The others bind the port that the system chose for the first.
                bound = socket.address;
                sockets.push(socket);
            }
            // Programs belong to all sockets of a port; the order is that in which they were bound.
            if let Some(socket) = sockets.first().and_then(|sockets| sockets.last()) {
                let count = u32::try_from(receivers).unwrap_or(u32::MAX);
                steering::by_source(&socket.socket, count).map_err(failed)?;
            }
        }
        Ok(sockets.into_iter().map(|bound| Self { bound }).collect())
    }

    /// The addresses that stand for a port of all addresses: IPv6, which is IPv4 as well, or IPv4 only where there is no
    /// IPv6.
    #[must_use]
    pub fn any(port: u16) -> SocketAddr {
        let has_ipv6 = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))
            .and_then(|socket| socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)).into()))
            .is_ok();
        let address = if has_ipv6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        SocketAddr::new(address, port)
    }

    /// The addresses that are bound, with the ports that the system chose for 0.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.bound.iter().map(|bound| bound.address)
    }

    /// The sockets, for asking the kernel about them from another thread.
    pub fn watch(&self) -> impl Iterator<Item = SocketWatch> {
        self.bound.iter().map(|bound| SocketWatch {
            socket: bound.socket.try_clone().ok(),
            address: bound.address,
            granted: bound.granted,
        })
    }

    /// Makes ready to receive, in this thread.
    #[must_use]
    pub fn into_receiver(self) -> Receiver {
        let headers = self.bound.iter().map(|_| Headers::new()).collect();
        let pause = Pause::new(self.bound.iter().map(|bound| bound.granted).min().unwrap_or(0));
        Receiver { sockets: self, headers, slots: Slots::new(), next: 0, received: 0, pause }
    }
}

impl Receiver {
    /// What the kernel says of each socket.
    pub fn sockets(&self) -> impl Iterator<Item = SocketAccount> {
        self.sockets.watch().map(|socket| socket.account())
    }

    /// The datagrams that are there already, as many as one call fetches from one socket; none when nothing is there.
    ///
    /// # Errors
    ///
    /// Those of the socket.
    pub fn receive(&mut self) -> io::Result<impl Iterator<Item = ReceivedDatagram<'_>>> {
        let Self { sockets: Sockets { bound }, headers, slots, next, received, .. } = self;
        slots.clear();
        let count = bound.len();
        for _ in 0..count {
            let (Some(bound), Some(headers)) = (bound.get(*next), headers.get_mut(*next)) else { break };
            // Whatever comes of it: one busy socket must not keep the others waiting.
            *next = (*next + 1) % count;
            match headers.fetch(&bound.socket, slots) {
                Ok(()) => {
                    *received += slots.len();
                    break;
                }
                Err(error) if is_transient(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(slots.datagrams())
    }

    /// How long to let datagrams gather before the next ones are fetched; `None` when none came since this was asked
    /// last, and the next one is to be waited for.
    pub fn pause(&mut self) -> Option<Duration> {
        self.pause.after(core::mem::take(&mut self.received))
    }

    /// Waits for a datagram, at most so long; a signal ends the wait early.
    ///
    /// # Errors
    ///
    /// Those of the sockets.
    pub fn wait(&self, at_most: Duration) -> io::Result<()> {
        let mut waiting: Vec<_> = self
            .sockets
            .bound
            .iter()
            .map(|bound| PollFd::new(bound.socket.as_fd(), PollFlags::POLLIN))
            .collect();
        let millis = u16::try_from(at_most.as_millis()).unwrap_or(u16::MAX);
        match poll(&mut waiting, PollTimeout::from(millis)) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
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
    fn new(address: SocketAddr, receive_buffer: usize, is_shared: bool) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
            socket.set_only_v6(false)?;
        }
        if !force_receive_buffer(&socket, receive_buffer) {
            socket.set_recv_buffer_size(receive_buffer)?;
        }
        // "The kernel doubles this value (to allow space for bookkeeping overhead)" (socket(7)).
        let granted = socket.recv_buffer_size()? / if cfg!(target_os = "linux") { 2 } else { 1 };
        socket.set_reuse_port(is_shared)?;
        socket.bind(&address.into())?;
        let socket = UdpSocket::from(socket);
        socket.set_nonblocking(true)?;
        Ok(Self { address: socket.local_addr()?, socket, granted })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::{super::receiver_of, *};

    #[test]
    fn a_busy_socket_does_not_keep_the_others_waiting() {
        let any = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
        let sockets = Sockets::bind(&[any, any, any], 1 << 20).unwrap();
        let addresses: Vec<_> = sockets.addresses().collect();
        let mut receiver = sockets.into_receiver();
        let exporter = UdpSocket::bind(any).unwrap();
        for (to, count) in addresses.iter().zip([100, 0, 2]) {
            for _ in 0..count {
                exporter.send_to(&to.port().to_be_bytes(), to).unwrap();
            }
        }
        let mut order = Vec::new();
        while order.len() < 102 {
            receiver.wait(Duration::from_secs(1)).unwrap();
            order.extend(receiver.receive().unwrap().map(|datagram| {
                let port = u16::from_be_bytes(datagram.payload.try_into().unwrap());
                addresses.iter().position(|address| address.port() == port).unwrap()
            }));
        }
        // What one call fetches of the first, all of the third, the rest of the first.
        let turns: Vec<_> = order.chunk_by(|a, b| a == b).map(|turn| (turn[0], turn.len())).collect();
        assert_eq!(turns, [(0, 64), (2, 2), (0, 36)]);
        assert_eq!(receiver.sockets().map(|socket| socket.drops.unwrap()).sum::<u64>(), 0);
    }

    #[test]
    fn all_ports_of_a_sender_come_to_the_same_receiver() {
        // C3
        let sockets = Sockets::bind_several(&[Sockets::any(0)], 1 << 20, 3).unwrap();
        let port = sockets[0].addresses().next().unwrap().port();
        assert!(sockets.iter().all(|others| others.addresses().eq(sockets[0].addresses())));
        let mut receivers: Vec<_> = sockets.into_iter().map(Sockets::into_receiver).collect();
        let mut senders = Vec::new();
        for host in 1..=60 {
            for _ in 0..3 {
                let sender = UdpSocket::bind((Ipv4Addr::new(127, 0, 7, host), 0)).unwrap();
                sender.send_to(&[host], (Ipv4Addr::LOCALHOST, port)).unwrap();
                senders.push(sender);
            }
        }
        // Where there is IPv6: its one address of loopback.
        if let Ok(sender) = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)) {
            for _ in 0..3 {
                sender.send_to(&[0], (Ipv6Addr::LOCALHOST, port)).unwrap();
                senders.push(sender.try_clone().unwrap());
            }
        }
        let mut found: BTreeMap<IpAddr, BTreeSet<usize>> = BTreeMap::new();
        let mut left = senders.len();
        while left > 0 {
            for (number, receiver) in receivers.iter_mut().enumerate() {
                for datagram in receiver.receive().unwrap() {
                    found.entry(datagram.source.ip()).or_default().insert(number);
                    left -= 1;
                }
            }
        }
        for (sender, receivers) in &found {
            assert_eq!(receivers, &BTreeSet::from([receiver_of(*sender, 3)]), "{sender}");
        }
        // And the senders are spread over all of them.
        let mut load = [0; 3];
        found.values().flatten().for_each(|number| load[*number] += 1);
        assert!(load.iter().all(|senders| *senders > 5), "{load:?}");
    }
}
