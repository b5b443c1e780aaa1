//! The TCP connection to one collector (RFC 7011 section 10.4): messages one behind the other.

use core::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use std::{
    io::{self, ErrorKind, Write as _},
    net::TcpStream,
    os::fd::AsRawFd as _,
    time::Instant,
};

use nix::sys::socket::{self, MsgFlags};
use socket2::{Domain, Protocol, Socket, Type};

use super::{SendConfig, udp::mark};

/// How long to wait for an answer to an attempt to connect.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a write may take before it is asked whether to go on.
const SLICE: Duration = Duration::from_millis(100);

/// A connection.
#[derive(Debug)]
pub struct TcpOutput {
    stream: TcpStream,
    stall: Duration,
}

impl TcpOutput {
    /// Connects to `address`.
    ///
    /// # Errors
    ///
    /// When nobody answers there, in time.
    pub fn connect(address: SocketAddr, config: &SendConfig, patience: Duration) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        mark(&socket, address, config)?;
        if let Some(source) = config.source.filter(|source| source.is_ipv6() == address.is_ipv6()) {
            // The port is left to the system: the one of the last connection may not be free yet.
            socket.bind(&SocketAddr::new(source.ip(), 0).into())?;
        }
        socket.connect_timeout(&address.into(), patience.clamp(Duration::from_millis(1), CONNECT))?;
        socket.set_tcp_nodelay(true)?;
        socket.set_write_timeout(Some(SLICE))?;
        socket.set_keepalive(true)?;
        Ok(Self { stream: socket.into(), stall: config.stall })
    }

    /// Sends one message. `must_stop` is asked now and then while the collector does not read.
    ///
    /// # Errors
    ///
    /// When the connection is lost, or nothing was read for so long that it is to be given up: a part of the message may
    /// have been sent, and nothing can follow it.
    pub fn send(&mut self, message: &[u8], must_stop: impl Fn() -> bool) -> io::Result<()> {
        let mut rest = message;
        let mut last = Instant::now();
        while !rest.is_empty() {
            match self.stream.write(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => {
                    rest = rest.get(written..).unwrap_or_default();
                    last = Instant::now();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if last.elapsed() >= self.stall || must_stop() {
                        return Err(io::Error::new(ErrorKind::TimedOut, "the collector reads nothing"));
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether the collector has closed the connection. What it says is not listened to.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        let mut octets = [0; 256];
        loop {
            match socket::recv(self.stream.as_raw_fd(), &mut octets, MsgFlags::MSG_DONTWAIT) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return error != nix::errno::Errno::EAGAIN,
            }
        }
    }

    /// The address that messages come from.
    #[must_use]
    pub fn local(&self) -> Option<IpAddr> {
        self.stream.local_addr().ok().map(|address| address.ip())
    }
}
