//! Which of several sockets of one port gets a datagram.
//!
//! The kernel chooses by a hash of addresses and ports unless told otherwise. That parts an exporter's datagrams when
//! it sends from several ports: its templates would come to one worker and its data to another. So a program of the
//! kernel's packet filter chooses, by the address of the sender alone.

use core::net::IpAddr;
use std::{io, os::fd::AsFd};

/// 2^32 over the golden ratio: neighbours among addresses go to different sockets.
const SPREAD: u32 = 0x9e37_79b1;

/// Which of so many receivers the datagrams of a sender come to.
#[must_use]
pub fn receiver_of(sender: IpAddr, receivers: usize) -> usize {
    let folded = match sender.to_canonical() {
        IpAddr::V4(address) => address.to_bits(),
        IpAddr::V6(address) => {
            let octets = address.octets();
            let (words, _) = octets.as_chunks::<4>();
            words.iter().fold(0, |folded, word| folded ^ u32::from_be_bytes(*word))
        }
    };
    // No more than 2^16 of them can be told apart.
    usize::try_from(folded.wrapping_mul(SPREAD) >> 16).unwrap_or(0) % receivers.max(1)
}

/// Operations of the classic packet filter: what a field of an instruction says, or its accumulator does.
#[cfg(target_os = "linux")]
mod operation {
    pub(super) const LOAD_WORD: u16 = 0x20;
    pub(super) const LOAD_OCTET: u16 = 0x30;
    pub(super) const COPY_TO_X: u16 = 0x07;
    pub(super) const XOR_X: u16 = 0xac;
    pub(super) const MULTIPLY: u16 = 0x24;
    pub(super) const SHIFT_RIGHT: u16 = 0x74;
    pub(super) const REMAINDER: u16 = 0x94;
    pub(super) const JUMP: u16 = 0x05;
    pub(super) const JUMP_IF_EQUAL: u16 = 0x15;
    pub(super) const RETURN: u16 = 0x16;
}

/// Has the sockets that are bound to the port of this one, which are so many, chosen by the sender's address.
///
/// # Errors
///
/// Where the kernel does not take such programs.
#[cfg(target_os = "linux")]
pub(super) fn by_source(socket: &impl AsFd, sockets: u32) -> io::Result<()> {
    use nix::{
        libc::{sock_filter, sock_fprog},
        sys::socket::{setsockopt, sockopt::AttachReusePortCbpf},
    };
    use operation::{
        COPY_TO_X, JUMP, JUMP_IF_EQUAL, LOAD_OCTET, LOAD_WORD, MULTIPLY, REMAINDER, RETURN, SHIFT_RIGHT,
        XOR_X,
    };

    /// Where the IP header is, whatever the program is shown (`SKF_NET_OFF`).
    const HEADER: u32 = 0xfff0_0000;
    let step = |code, k| sock_filter { code, jt: 0, jf: 0, k };
    let mut program = [
        step(LOAD_OCTET, HEADER),
        step(SHIFT_RIGHT, 4),
        // Over the two of IPv4 when the version is 6.
        sock_filter { jt: 2, ..step(JUMP_IF_EQUAL, 6) },
        step(LOAD_WORD, HEADER + 12),
        step(JUMP, 10),
        // The four words of an IPv6 address.
        step(LOAD_WORD, HEADER + 8),
        step(COPY_TO_X, 0),
        step(LOAD_WORD, HEADER + 12),
        step(XOR_X, 0),
        step(COPY_TO_X, 0),
        step(LOAD_WORD, HEADER + 16),
        step(XOR_X, 0),
        step(COPY_TO_X, 0),
        step(LOAD_WORD, HEADER + 20),
        step(XOR_X, 0),
        step(MULTIPLY, SPREAD),
        step(SHIFT_RIGHT, 16),
        step(REMAINDER, sockets.max(1)),
        step(RETURN, 0),
    ];
    let length = u16::try_from(program.len()).map_err(io::Error::other)?;
    let program = sock_fprog { len: length, filter: program.as_mut_ptr() };
    Ok(setsockopt(socket, AttachReusePortCbpf, &program)?)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn by_source(_: &impl AsFd, _: u32) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
