//! Many datagrams with one call of the kernel.

use core::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::{io, net::UdpSocket};

use netflow_codec::Timestamp;

use super::socket::{ReceivedDatagram, now};

/// Memory for the datagrams of a call, and who sent them.
pub(super) struct Slots {
    octets: Vec<u8>,
    /// Sender and length, slot by slot.
    filled: Vec<(SocketAddr, usize)>,
    received: Timestamp,
}

impl core::fmt::Debug for Slots {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Slots").field("filled", &self.filled.len()).finish_non_exhaustive()
    }
}

/// Datagrams of a call at most.
const SLOTS: usize = 64;
/// Octets of the longest UDP payload, and some more, so that the beginnings of slots, which are nearly all that is
/// used of them, do not compete for the same lines of the processor's cache.
const SLOT: usize = 65_536 + 320;

impl Slots {
    pub(super) fn new() -> Self {
        let octets = vec![0; SLOTS * SLOT];
        Self { octets, filled: Vec::with_capacity(SLOTS), received: Timestamp::ZERO }
    }

    /// The datagrams that were fetched.
    pub(super) fn datagrams(&self) -> impl Iterator<Item = ReceivedDatagram<'_>> {
        let received = self.received;
        self.filled.iter().zip(self.octets.chunks_exact(SLOT)).map(move |(&(source, length), slot)| {
            let source = SocketAddr::new(source.ip().to_canonical(), source.port());
            ReceivedDatagram { received, source, payload: slot.get(..length).unwrap_or(slot) }
        })
    }

    pub(super) const fn len(&self) -> usize {
        self.filled.len()
    }

    pub(super) fn clear(&mut self) {
        self.filled.clear();
    }
}

/// What a socket needs for itself: the kernel shortens the room for addresses to those of the socket's family.
#[cfg(target_os = "linux")]
pub(super) struct Headers(nix::sys::socket::MultiHeaders<nix::sys::socket::SockaddrStorage>);

#[cfg(target_os = "linux")]
impl Headers {
    pub(super) fn new() -> Self {
        Self(nix::sys::socket::MultiHeaders::preallocate(SLOTS, None))
    }

    /// Fetches what is there, as much as there is room for; the slots are empty when nothing is.
    ///
    /// # Errors
    ///
    /// Those of the socket; `WouldBlock` when nothing is there.
    pub(super) fn fetch(&mut self, socket: &UdpSocket, slots: &mut Slots) -> io::Result<()> {
        use std::{io::IoSliceMut, os::fd::AsRawFd as _};

        use nix::sys::socket::{MsgFlags, recvmmsg};

        let Slots { octets, filled, received } = slots;
        filled.clear();
        let mut chunks = octets.chunks_exact_mut(SLOT);
        let mut room: [[IoSliceMut<'_>; 1]; SLOTS] =
            core::array::from_fn(|_| [IoSliceMut::new(chunks.next().unwrap_or_default())]);
        let messages = recvmmsg(socket.as_raw_fd(), &mut self.0, &mut room, MsgFlags::MSG_DONTWAIT, None)?;
        *received = now();
        filled.extend(messages.map(|message| (message.address.map_or(NOBODY, address), message.bytes)));
        Ok(())
    }
}

/// A sender without an address, which UDP does not have.
const NOBODY: SocketAddr = SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, 0, 0, 0));

#[cfg(target_os = "linux")]
fn address(address: nix::sys::socket::SockaddrStorage) -> SocketAddr {
    if let Some(address) = address.as_sockaddr_in() {
        return SocketAddr::new(address.ip().into(), address.port());
    }
    address.as_sockaddr_in6().map_or(NOBODY, |address| SocketAddr::new(address.ip().into(), address.port()))
}

#[cfg(not(target_os = "linux"))]
pub(super) struct Headers;

#[cfg(not(target_os = "linux"))]
impl Headers {
    pub(super) const fn new() -> Self {
        Self
    }

    pub(super) fn fetch(&mut self, socket: &UdpSocket, slots: &mut Slots) -> io::Result<()> {
        slots.filled.clear();
        for slot in slots.octets.chunks_exact_mut(SLOT) {
            match socket.recv_from(slot) {
                Ok((length, source)) => slots.filled.push((source, length)),
                Err(error) if slots.filled.is_empty() => return Err(error),
                Err(_) => break,
            }
        }
        slots.received = now();
        Ok(())
    }
}

impl core::fmt::Debug for Headers {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Headers").finish_non_exhaustive()
    }
}
