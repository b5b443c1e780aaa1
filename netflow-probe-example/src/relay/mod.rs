//! Datagrams handed on as they came, to other collectors.
//!
//! Each target has a socket that never waits: what it does not take at once is counted and left out, and neither
//! receiving nor the other targets notice. With its own address as source, a target sees this collector as the exporter;
//! with the exporter's address, as routers do, it sees no difference, which takes a raw socket and the right to open one.

mod header;

use core::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::atomic::{AtomicU64, Ordering},
};
use std::{
    io,
    net::{ToSocketAddrs, UdpSocket},
};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// Where datagrams are handed on to.
#[derive(Debug)]
pub struct Relay {
    targets: Vec<Target>,
}

#[derive(Debug)]
struct Target {
    address: SocketAddr,
    socket: TargetSocket,
    datagrams: AtomicU64,
    full: AtomicU64,
    failed: AtomicU64,
    other_family: AtomicU64,
}

#[derive(Debug)]
enum TargetSocket {
    /// Sends from an address of this machine.
    Own(UdpSocket),
    /// Sends whole IP packets.
    Raw(Socket),
}

/// What became of datagrams for one target.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RelayStats {
    /// The target.
    pub target: SocketAddr,
    /// Datagrams handed on.
    pub datagrams: u64,
    /// Left out because the socket was full.
    pub full: u64,
    /// Left out because they could not be sent: too long for the way, or no way.
    pub failed: u64,
    /// Left out because their exporter's address, which was to be kept, is of the other family.
    pub other_family: u64,
}

impl RelayStats {
    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "target": self.target.to_string(),
            "datagrams": self.datagrams,
            "full": self.full,
            "failed": self.failed,
            "other_family": self.other_family,
        })
    }
}

/// A line of the account.
impl fmt::Display for RelayStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "relayed      {} datagrams to {}", self.datagrams, self.target)?;
        for (count, why) in [
            (self.full, "left out because the socket was full"),
            (self.failed, "could not be sent"),
            (self.other_family, "of exporters of the other address family"),
        ] {
            if count > 0 {
                write!(f, "; {count} {why}")?;
            }
        }
        Ok(())
    }
}

/// Why there is no relay.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The name of a target says nothing.
    #[error("cannot relay to {target}: {error}")]
    Target {
        /// As it was given.
        target: String,
        /// Why.
        error: io::Error,
    },
    /// Raw sockets are for those who may.
    #[error(
        "cannot relay with the exporters' addresses: {0} (it takes CAP_NET_RAW: \
         setcap cap_net_raw+ep netflow-collector, or AmbientCapabilities in its unit)"
    )]
    Raw(io::Error),
}

/// Octets of send buffer to ask for: bursts of an exporter.
const BUFFER: usize = 4 << 20;

impl Relay {
    /// Opens a socket for each of the targets, given as HOST:PORT.
    ///
    /// # Errors
    ///
    /// When a name is unknown, or a socket cannot be opened.
    pub fn open(targets: &[String], keeps_source: bool) -> Result<Self, RelayError> {
        let target = |text: &String| {
            let failure = |error| RelayError::Target { target: text.clone(), error };
            let address = text.to_socket_addrs().map_err(failure)?.next();
            let address = address.ok_or_else(|| failure(io::Error::other("the name has no address")))?;
            let socket = if keeps_source {
                TargetSocket::Raw(raw(address).map_err(RelayError::Raw)?)
            } else {
                TargetSocket::Own(own(address).map_err(failure)?)
            };
            let [datagrams, full, failed, other_family] = Default::default();
            Ok(Target { address, socket, datagrams, full, failed, other_family })
        };
        Ok(Self { targets: targets.iter().map(target).collect::<Result<_, _>>()? })
    }

    /// Hands a datagram of an exporter on to all targets.
    pub fn hand_on(&self, exporter: SocketAddr, payload: &[u8]) {
        for target in &self.targets {
            target.send(exporter, payload);
        }
    }

    /// What became of datagrams so far, for each of the targets.
    #[must_use]
    pub fn stats(&self) -> Vec<RelayStats> {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let stats = |target: &Target| RelayStats {
            target: target.address,
            datagrams: load(&target.datagrams),
            full: load(&target.full),
            failed: load(&target.failed),
            other_family: load(&target.other_family),
        };
        self.targets.iter().map(stats).collect()
    }
}

fn own(target: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(target), Type::DGRAM, Some(Protocol::UDP))?;
    // Not more than the system allows, and what there is does as well.
    let _ = socket.set_send_buffer_size(BUFFER);
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn raw(target: SocketAddr) -> io::Result<Socket> {
    /// The protocol whose packets are given with their headers.
    const RAW: i32 = 255;
    let socket = Socket::new(Domain::for_address(target), Type::RAW, Some(Protocol::from(RAW)))?;
    let _ = socket.set_send_buffer_size(BUFFER);
    socket.set_nonblocking(true)?;
    Ok(socket)
}

impl Target {
    fn send(&self, exporter: SocketAddr, payload: &[u8]) {
        let sent = match &self.socket {
            TargetSocket::Own(socket) => socket.send_to(payload, self.address),
            TargetSocket::Raw(socket) => {
                let exporter = SocketAddr::new(exporter.ip().to_canonical(), exporter.port());
                let packet = match (exporter, self.address) {
                    (SocketAddr::V4(source), SocketAddr::V4(target)) => header::ipv4(source, target, payload),
                    (SocketAddr::V6(source), SocketAddr::V6(target)) => header::ipv6(source, target, payload),
                    _ => {
                        self.other_family.fetch_add(1, Ordering::Relaxed);
                        return;
                    }
                };
                match packet {
                    None => Err(io::ErrorKind::InvalidInput.into()),
                    // A raw socket's addresses have no port.
                    Some(packet) => socket.send_to(&packet, &SockAddr::from(portless(self.address))),
                }
            }
        };
        let counter = match sent {
            Ok(_) => &self.datagrams,
            Err(error) if is_full(&error) => &self.full,
            Err(_) => &self.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

fn portless(address: SocketAddr) -> SocketAddr {
    let ip: IpAddr = address.ip();
    SocketAddr::new(ip, 0)
}

fn is_full(error: &io::Error) -> bool {
    const NO_BUFFER_SPACE: i32 = nix::errno::Errno::ENOBUFS as i32;
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(NO_BUFFER_SPACE)
}
