//! What the kernel dropped because nobody fetched it in time.

use std::{
    fs::File,
    net::UdpSocket,
    os::{fd::OwnedFd, unix::fs::MetadataExt},
};

#[cfg(target_os = "linux")]
mod option {
    use nix::{getsockopt_impl, libc, sockopt_impl};

    sockopt_impl!(
        /// What memory a socket uses, and as the last number what it dropped.
        MemoryInfo,
        GetOnly,
        libc::SOL_SOCKET,
        SO_MEMINFO,
        [u32; 9]
    );

    /// `SO_MEMINFO` of Linux.
    const SO_MEMINFO: libc::c_int = 55;
}

/// Datagrams that the kernel dropped at this socket, since it was made, because its receive buffer was full. `None`
/// where the kernel does not tell.
///
/// It is up to date at any time, unlike the count that comes along with received datagrams (`SO_RXQ_OVFL`): that one
/// lags behind by all the datagrams that wait, and says nothing when none come any more.
#[must_use]
pub fn kernel_drops(socket: &UdpSocket) -> Option<u64> {
    #[cfg(target_os = "linux")]
    if let Ok([.., drops]) = nix::sys::socket::getsockopt(socket, option::MemoryInfo) {
        return Some(drops.into());
    }
    let inode = File::from(OwnedFd::from(socket.try_clone().ok()?)).metadata().ok()?.ino();
    // Linux lists all UDP sockets, with their drops in the last column.
    ["/proc/net/udp", "/proc/net/udp6"]
        .iter()
        .find_map(|table| drops_in(&std::fs::read_to_string(table).ok()?, inode))
}

fn drops_in(table: &str, inode: u64) -> Option<u64> {
    // sl local remote st queues timer retransmits uid timeout inode ref pointer drops
    table.lines().skip(1).find_map(|line| {
        let mut columns = line.split_ascii_whitespace();
        let own: u64 = columns.nth(9)?.parse().ok()?;
        let drops = columns.next_back()?.parse().ok()?;
        (own == inode).then_some(drops)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_are_found_by_inode() {
        let table = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n  \
            201: 0100007F:080F 00000000:0000 07 00000000:00000000 00:00000000 00000000  1000        0 81234 2 0000000000000000 17\n  \
            202: 00000000:0044 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 17001 2 0000000000000000 5\n";
        assert_eq!(
            (drops_in(table, 81_234), drops_in(table, 17_001), drops_in(table, 1)),
            (Some(17), Some(5), None)
        );
    }

    #[test]
    fn what_a_full_buffer_dropped_is_told_at_once() {
        // C16
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket2::SockRef::from(&socket).set_recv_buffer_size(4_096).unwrap();
        assert_eq!(kernel_drops(&socket), Some(0));
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..100 {
            sender.send_to(&[0; 1_000], socket.local_addr().unwrap()).unwrap();
        }
        let drops = kernel_drops(&socket).unwrap();
        socket.set_nonblocking(true).unwrap();
        let waiting = (0..=100).take_while(|_| socket.recv(&mut [0; 1_000]).is_ok()).count();
        assert!(drops > 0);
        assert_eq!(drops + waiting as u64, 100);
    }
}
