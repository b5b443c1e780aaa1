//! The UDP socket of one collector.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::{
    io::{self, IoSlice},
    net::UdpSocket,
    os::fd::AsRawFd as _,
};

use nix::sys::socket::{
    self, ControlMessage, MsgFlags, setsockopt,
    sockopt::{Ipv4RecvErr, Ipv6RecvErr},
};
use socket2::{Domain, Protocol, Socket, Type};

use super::{SendConfig, path_mtu::path_mtu};

/// A connected UDP socket: a host that says that nobody listens there is heard, and so is a router that knows no way.
#[derive(Debug)]
pub struct UdpOutput {
    socket: UdpSocket,
    remote: SocketAddr,
    /// Whether the kernel is asked to cut several datagrams out of one: until it refuses.
    segments: bool,
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
        Ok(Self { socket: socket.into(), remote: address, segments: true })
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

    /// How many of the datagrams of these lengths, from the first on, [`Self::send_run`] can send at once: all of the same
    /// length, but for the last one, which may be shorter.
    #[must_use]
    pub fn run_length(&self, lengths: impl IntoIterator<Item = usize>) -> usize {
        let mut lengths = lengths.into_iter();
        let Some(first) = lengths.next() else { return 0 };
        if !self.segments {
            return 1;
        }
        let (mut run, mut octets) = (1, first);
        for length in lengths {
            octets += length;
            if run == MAX_SEGMENTS || octets > MAX_RUN || length > first {
                break;
            }
            run += 1;
            if length < first {
                break;
            }
        }
        run
    }

    /// Sends datagrams for which [`Self::run_length`] allows it with one call: the kernel takes them through all of its
    /// layers as one, and cuts last (`UDP_SEGMENT`, since Linux 4.18). The receiver sees no difference.
    ///
    /// # Errors
    ///
    /// As [`Self::send`]; then none of them was sent. If the kernel or the interface cannot cut, runs have the length 1
    /// from then on.
    pub fn send_run<'a>(&mut self, datagrams: impl Iterator<Item = &'a [u8]>) -> io::Result<()> {
        let slices: Vec<IoSlice<'_>> = datagrams.map(IoSlice::new).collect();
        let Some(length) = slices.first().and_then(|first| u16::try_from(first.len()).ok()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let cut = [ControlMessage::UdpGsoSegments(&length)];
        let descriptor = self.socket.as_raw_fd();
        match socket::sendmsg::<()>(descriptor, &slices, &cut, MsgFlags::empty(), None) {
            Ok(_) => Ok(()),
            Err(errno) => {
                let error = io::Error::from(errno);
                if !is_answer(&error) && !is_busy(&error) {
                    self.segments = false;
                }
                Err(error)
            }
        }
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

/// Datagrams that the kernel cuts out of one, at most: those of old kernels.
const MAX_SEGMENTS: usize = 64;
/// Octets of them, at most.
const MAX_RUN: usize = 65_000;

/// Whether an error says that the network is too busy.
pub(super) fn is_busy(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(nix::libc::ENOBUFS)
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
    if class > 0 {
        if address.is_ipv6() { socket.set_tclass_v6(class)? } else { socket.set_tos_v4(class)? }
    }
    let Some(limit) = config.hop_limit.map(u32::from) else { return Ok(()) };
    // Sockets of TCP take no limit for groups.
    match (address.is_ipv6(), address.ip().is_multicast()) {
        (true, true) => socket.set_multicast_hops_v6(limit),
        (true, false) => socket.set_unicast_hops_v6(limit),
        (false, true) => socket.set_multicast_ttl_v4(limit),
        (false, false) => socket.set_ttl_v4(limit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (UdpOutput, UdpSocket) {
        let receiver = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        receiver.set_read_timeout(Some(core::time::Duration::from_secs(30))).unwrap();
        let address = receiver.local_addr().unwrap();
        (UdpOutput::connect(address, &SendConfig::default()).unwrap(), receiver)
    }

    #[test]
    fn runs_are_of_one_length_and_end_with_a_shorter_datagram() {
        let (mut output, _receiver) = pair();
        for (lengths, expected) in [
            (vec![], 0),
            (vec![100], 1),
            (vec![100, 100, 100], 3),
            (vec![100, 100, 60, 60], 3),
            (vec![100, 101], 1),
            (vec![100; 200], 64),
            (vec![1_472; 60], 44),
        ] {
            assert_eq!(output.run_length(lengths.iter().copied()), expected, "{lengths:?}");
        }
        output.segments = false;
        assert_eq!(output.run_length([100, 100]), 1);
    }

    #[test]
    fn a_run_arrives_as_the_datagrams_it_was_made_of() {
        let (mut output, receiver) = pair();
        let datagrams: Vec<Vec<u8>> =
            (0..20).map(|number| vec![number; if number == 19 { 7 } else { 1_432 }]).collect();
        assert_eq!(output.run_length(datagrams.iter().map(Vec::len)), 20);
        if let Err(error) = output.send_run(datagrams.iter().map(Vec::as_slice)) {
            // A kernel that cannot: one by one from now on.
            assert_eq!(output.run_length([100, 100]), 1, "{error}");
            return;
        }
        let mut octets = [0; 2_048];
        for datagram in &datagrams {
            let length = receiver.recv(&mut octets).unwrap();
            assert!(octets[..length] == datagram[..], "{length} octets of {}", octets[0]);
        }
    }

    #[test]
    fn an_interface_that_cannot_cut_is_asked_once() {
        let (mut output, _receiver) = pair();
        // More than any interface carries: the kernel refuses to cut so.
        let datagrams = [vec![1; 65_400], vec![2; 65_400]];
        assert!(output.send_run(datagrams.iter().map(Vec::as_slice)).is_err());
        assert_eq!(output.run_length([100, 100]), 1);
        output.send(&[3; 100]).unwrap();
    }
}
