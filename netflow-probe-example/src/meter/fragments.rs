//! Fragments follow their first one, which alone has ports.

use core::{hash::BuildHasher, net::IpAddr, time::Duration};
use std::collections::hash_map::RandomState;

use netflow_flowcache::{Fragment, ObservedPacket, Timestamp};

/// What the flow of later fragments is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Fragments {
    /// That of the first fragment, when it came before them and is remembered.
    #[default]
    Follow,
    /// One without ports.
    Apart,
}

/// Packets whose first fragments are remembered, in buckets of [`WAYS`].
const BUCKETS: usize = 1_024;
const WAYS: usize = 4;
/// How long: a receiver waits no longer for the rest (RFC 791 section 3.2 begins with 15 s, RFC 8200 section 4.5 ends with
/// 60 s).
const LIFETIME: Duration = Duration::from_secs(60);

/// The ports of packets in fragments.
///
/// A bounded number of them: where there are more, the oldest of a bucket is forgotten, and its later fragments have no
/// ports, as if the first one had not come. Where a packet stands depends on a seed, which nobody outside knows.
#[derive(Debug)]
pub(super) struct FragmentPorts {
    seed: RandomState,
    /// None until the first fragment comes: most networks have none.
    entries: Vec<Option<Entry>>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    packet: Identity,
    ports: (u16, u16),
    seen: Timestamp,
}

/// What the fragments of a packet share.
type Identity = (IpAddr, IpAddr, u8, u32);

impl FragmentPorts {
    pub(super) fn new() -> Self {
        Self { seed: RandomState::new(), entries: Vec::new() }
    }

    /// Gives a later fragment the ports of the first one, and remembers those of a first one.
    pub(super) fn follow(&mut self, packet: &mut ObservedPacket, identification: u32, now: Timestamp) {
        let identity = (packet.source, packet.destination, packet.protocol, identification);
        match packet.fragment {
            Fragment::Unfragmented => {}
            Fragment::First => {
                let ports = (packet.source_port, packet.destination_port);
                self.remember(Entry { packet: identity, ports, seen: now });
            }
            Fragment::Later => {
                if let Some((source_port, destination_port)) = self.ports(identity, now) {
                    (packet.source_port, packet.destination_port) = (source_port, destination_port);
                }
            }
        }
    }

    fn bucket(&mut self, packet: Identity) -> &mut [Option<Entry>] {
        if self.entries.is_empty() {
            self.entries = vec![None; BUCKETS * WAYS];
        }
        let bucket = usize::try_from(self.seed.hash_one(packet) % BUCKETS as u64).unwrap_or(0);
        self.entries.get_mut(bucket * WAYS..(bucket + 1) * WAYS).unwrap_or_default()
    }

    fn remember(&mut self, entry: Entry) {
        let bucket = self.bucket(entry.packet);
        let known = bucket.iter().position(|known| known.is_some_and(|known| known.packet == entry.packet));
        let age = |known: &Option<Entry>| known.map_or(Timestamp::ZERO, |known| known.seen);
        let oldest = || (0..bucket.len()).min_by_key(|way| bucket.get(*way).map(age));
        let way = known.or_else(oldest).unwrap_or(0);
        if let Some(place) = bucket.get_mut(way) {
            *place = Some(entry);
        }
    }

    fn ports(&mut self, packet: Identity, now: Timestamp) -> Option<(u16, u16)> {
        let known = self.bucket(packet).iter().flatten().find(|known| known.packet == packet)?;
        // A clock that was set back makes what is older seem newer.
        (now <= known.seen.saturating_add(LIFETIME)).then_some(known.ports)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fragment(host: u8, fragment: Fragment, port: u16) -> ObservedPacket {
        let mut packet = ObservedPacket::new([192, 0, 2, host].into(), [198, 51, 100, 1].into(), 17, 1_500);
        packet.fragment = fragment;
        packet.source_port = port;
        packet
    }

    #[test]
    fn later_fragments_have_the_ports_of_the_first_one() {
        let mut ports = FragmentPorts::new();
        let mut follow = |host, kind, port, identification, second| {
            let mut packet = fragment(host, kind, port);
            ports.follow(&mut packet, identification, Timestamp::from_secs(second));
            packet.source_port
        };
        // M7: what came before the first one is not known, and not invented.
        assert_eq!(follow(1, Fragment::Later, 0, 7, 100), 0);
        assert_eq!(follow(1, Fragment::First, 5_353, 7, 100), 5_353);
        assert_eq!(follow(1, Fragment::Later, 0, 7, 130), 5_353);
        // Another identification, another sender, too late.
        assert_eq!(follow(1, Fragment::Later, 0, 8, 130), 0);
        assert_eq!(follow(2, Fragment::Later, 0, 7, 130), 0);
        assert_eq!(follow(1, Fragment::Later, 0, 7, 161), 0);
        // The identification comes round.
        assert_eq!(follow(1, Fragment::First, 53, 7, 200), 53);
        assert_eq!(follow(1, Fragment::Later, 0, 7, 200), 53);
    }

    #[test]
    fn a_flood_of_fragments_takes_no_more_room() {
        let mut ports = FragmentPorts::new();
        for identification in 0..100_000 {
            ports.follow(&mut fragment(1, Fragment::First, 1), identification, Timestamp::from_secs(100));
        }
        assert_eq!(ports.entries.len(), BUCKETS * WAYS);
        // The newest of them is still known.
        let mut packet = fragment(1, Fragment::Later, 0);
        ports.follow(&mut packet, 99_999, Timestamp::from_secs(100));
        assert_eq!(packet.source_port, 1);
    }
}
