//! What the kernel dropped because nobody fetched it in time.

/// Datagrams that the kernel dropped at the sockets with these inodes, since they were made, because their receive
/// buffers were full. `None` where the kernel does not tell.
///
/// Linux lists all UDP sockets, with their drops in the last column, in `/proc/net/udp` and `udp6`. Unlike the
/// count that comes along with received datagrams, this one is up to date at any time.
#[must_use]
pub fn kernel_drops(inodes: &[u64]) -> Option<u64> {
    let mut drops = 0;
    let mut is_found = false;
    for table in ["/proc/net/udp", "/proc/net/udp6"] {
        let Ok(table) = std::fs::read_to_string(table) else { continue };
        for dropped in drops_in(&table, inodes) {
            drops += dropped;
            is_found = true;
        }
    }
    is_found.then_some(drops)
}

fn drops_in<'a>(table: &'a str, inodes: &'a [u64]) -> impl Iterator<Item = u64> + 'a {
    // sl local remote st queues timer retransmits uid timeout inode ref pointer drops
    table.lines().skip(1).filter_map(|line| {
        let mut columns = line.split_ascii_whitespace();
        let inode: u64 = columns.nth(9)?.parse().ok()?;
        let drops = columns.next_back()?.parse().ok()?;
        inodes.contains(&inode).then_some(drops)
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
        assert_eq!(drops_in(table, &[81_234]).sum::<u64>(), 17);
        assert_eq!(drops_in(table, &[81_234, 17_001]).sum::<u64>(), 22);
        assert_eq!(drops_in(table, &[1]).count(), 0);
    }
}
