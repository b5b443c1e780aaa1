//! Several sockets that share the packets of one interface (`PACKET_FANOUT`).
//!
//! The kernel chooses the socket by a hash of addresses, protocol and ports that is the same for both directions, so all
//! packets of a conversation meet in one thread. Fragments have no ports to be hashed by, not even the first one, and stay
//! together, too.

use std::{
    io,
    os::fd::AsFd,
    sync::{Arc, Mutex, PoisonError},
};

use nix::{
    getsockopt_impl, libc, setsockopt_impl, sockopt_impl,
    sys::socket::{getsockopt, setsockopt},
};

// The kernel's `struct fanout_args`, or its older form: group | mode and flags << 16.
sockopt_impl!(
    /// Joins a group, or tells which one was joined.
    PacketFanout,
    Both,
    libc::SOL_PACKET,
    libc::PACKET_FANOUT,
    u32
);

/// By the hash of the flow.
const HASH: u32 = libc::PACKET_FANOUT_HASH;
/// The kernel finds an identifier that no other program has.
const UNIQUE_ID: u32 = libc::PACKET_FANOUT_FLAG_UNIQUEID;

/// The sockets of one interface and direction, in several threads.
#[derive(Clone, Debug, Default)]
pub(super) struct FanoutGroup(Arc<Mutex<Option<u16>>>);

impl FanoutGroup {
    /// Makes a socket one of the group. It must be bound.
    pub(super) fn join(&self, socket: &impl AsFd) -> io::Result<()> {
        let mut group = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(id) = *group {
            return Ok(setsockopt(socket, PacketFanout, &(u32::from(id) | HASH << 16))?);
        }
        setsockopt(socket, PacketFanout, &((HASH | UNIQUE_ID) << 16))?;
        let [low, high, ..] = getsockopt(socket, PacketFanout)?.to_le_bytes();
        *group = Some(u16::from_le_bytes([low, high]));
        Ok(())
    }
}
