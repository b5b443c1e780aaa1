//! The largest packet that the way to a collector carries, as the kernel knows it.

use std::{net::UdpSocket, os::fd::AsFd};

use nix::{
    getsockopt_impl, libc, sockopt_impl,
    sys::socket::{getsockopt, sockopt::IpMtu},
};

sockopt_impl!(
    /// The MTU of the way to where an IPv6 socket is connected (RFC 3542 section 11.4).
    Ipv6Mtu,
    GetOnly,
    libc::IPPROTO_IPV6,
    libc::IPV6_MTU,
    libc::c_int
);

/// The MTU of the way to where the socket is connected; `None` when the kernel does not know.
pub(super) fn path_mtu(socket: &UdpSocket, ipv6: bool) -> Option<u16> {
    let mtu =
        if ipv6 { getsockopt(&socket.as_fd(), Ipv6Mtu) } else { getsockopt(&socket.as_fd(), IpMtu) }.ok()?;
    (mtu > 0).then(|| u16::try_from(mtu).unwrap_or(u16::MAX))
}
