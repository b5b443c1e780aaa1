//! Top talkers, in bounded memory.

use core::{cmp::Reverse, hash::Hash, net::IpAddr, ops::AddAssign};
use std::collections::HashMap;

use netflow_codec::{FlowFields, FlowRecord};

use super::{
    Timeline,
    table::{Align, Table, percent, scaled},
};
use crate::flow::protocol_keyword;

/// How much traffic, as metered: nothing is multiplied by a sampling rate.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Volume {
    /// Octets.
    pub octets: u64,
    /// Packets.
    pub packets: u64,
    /// Flows.
    pub flows: u64,
}

impl Volume {
    /// The volume of a flow.
    #[must_use]
    pub const fn of(flow: &FlowRecord) -> Self {
        Self { octets: flow.octets, packets: flow.packets, flows: 1 }
    }
}

impl AddAssign for Volume {
    fn add_assign(&mut self, other: Self) {
        self.octets = self.octets.saturating_add(other.octets);
        self.packets = self.packets.saturating_add(other.packets);
        self.flows += other.flows;
    }
}

/// The keys with the greatest volume among any number of them, in bounded memory.
///
/// Exact as long as there were at most twice `capacity` keys. When there are more, the half with the least octets
/// is dropped; a key that comes back starts from zero, and [`Self::uncertainty`] says how much it may lack.
///
/// ```
/// use netflow_probe_example::query::{HeavyHitters, Volume};
///
/// let mut ports = HeavyHitters::new(100);
/// for (port, octets) in [(443_u16, 900), (53, 80), (443, 600)] {
///     ports.add(port, Volume { octets, packets: 1, flows: 1 });
/// }
/// assert_eq!(ports.ranking(1), [(443, Volume { octets: 1_500, packets: 2, flows: 2 })]);
/// ```
#[derive(Clone, Debug)]
pub struct HeavyHitters<K> {
    volumes: HashMap<K, Volume>,
    capacity: usize,
    uncertainty: u64,
}

impl<K: Copy + Eq + Hash + Ord> HeavyHitters<K> {
    /// Keeps at least the `capacity` greatest.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { volumes: HashMap::new(), capacity: capacity.max(1), uncertainty: 0 }
    }

    /// Adds to the volume of a key.
    pub fn add(&mut self, key: K, volume: Volume) {
        if self.volumes.len() >= 2 * self.capacity && !self.volumes.contains_key(&key) {
            self.drop_least();
        }
        *self.volumes.entry(key).or_default() += volume;
    }

    /// The `count` keys with the most octets, the greatest first.
    #[must_use]
    pub fn ranking(&self, count: usize) -> Vec<(K, Volume)> {
        let mut ranking: Vec<_> = self.volumes.iter().map(|(key, volume)| (*key, *volume)).collect();
        ranking.sort_unstable_by_key(|(key, volume)| (Reverse(*volume), *key));
        ranking.truncate(count);
        ranking
    }

    /// Octets that a key may lack, at most, because it had been dropped before.
    #[must_use]
    pub const fn uncertainty(&self) -> u64 {
        self.uncertainty
    }

    fn drop_least(&mut self) {
        let mut octets: Vec<_> = self.volumes.iter().map(|(key, volume)| (volume.octets, *key)).collect();
        let least = octets.len().saturating_sub(self.capacity).saturating_sub(1);
        if least >= octets.len() {
            return;
        }
        let (_, threshold, _) = octets.select_nth_unstable(least);
        let threshold = *threshold;
        self.volumes.retain(|key, volume| (volume.octets, *key) > threshold);
        // What was dropped adds up over the rounds in the worst case.
        self.uncertainty = self.uncertainty.saturating_add(threshold.0);
    }
}

/// The traffic of any number of flows, by who, by protocol and by time.
///
/// ```
/// use netflow_codec::{FlowFields, FlowRecord};
/// use netflow_probe_example::query::Traffic;
///
/// let mut flow = FlowRecord::default();
/// (flow.octets, flow.packets, flow.protocol) = (1_500, 3, 17);
/// flow.fields |= FlowFields::OCTETS | FlowFields::PACKETS | FlowFields::PROTOCOL;
/// let mut traffic = Traffic::new();
/// traffic.add(&flow);
/// assert!(traffic.protocols_table(5).contains("UDP"));
/// ```
#[derive(Clone, Debug)]
pub struct Traffic {
    total: Volume,
    pairs: HeavyHitters<(IpAddr, IpAddr)>,
    sources: HeavyHitters<IpAddr>,
    protocols: HeavyHitters<u8>,
    timeline: Timeline,
}

impl Default for Traffic {
    fn default() -> Self {
        Self::new()
    }
}

impl Traffic {
    /// Hosts, and pairs of hosts, that are told apart at least.
    pub const CAPACITY: usize = 10_000;

    /// No traffic.
    #[must_use]
    pub fn new() -> Self {
        Self {
            total: Volume::default(),
            pairs: HeavyHitters::new(Self::CAPACITY),
            sources: HeavyHitters::new(Self::CAPACITY),
            // All 256 of them.
            protocols: HeavyHitters::new(256),
            timeline: Timeline::new(),
        }
    }

    /// Adds a flow.
    pub fn add(&mut self, flow: &FlowRecord) {
        let volume = Volume::of(flow);
        self.total += volume;
        if flow.has(FlowFields::SOURCE) {
            self.sources.add(flow.source, volume);
            if flow.has(FlowFields::DESTINATION) {
                self.pairs.add((flow.source, flow.destination), volume);
            }
        }
        if flow.has(FlowFields::PROTOCOL) {
            self.protocols.add(flow.protocol, volume);
        }
        self.timeline.add(flow);
    }

    /// All of it.
    #[must_use]
    pub const fn total(&self) -> Volume {
        self.total
    }

    /// Volumes of source and destination.
    #[must_use]
    pub const fn pairs(&self) -> &HeavyHitters<(IpAddr, IpAddr)> {
        &self.pairs
    }

    /// Volumes of sources.
    #[must_use]
    pub const fn sources(&self) -> &HeavyHitters<IpAddr> {
        &self.sources
    }

    /// Volumes of IP protocols.
    #[must_use]
    pub const fn protocols(&self) -> &HeavyHitters<u8> {
        &self.protocols
    }

    /// Octets over time.
    #[must_use]
    pub const fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// A table of the pairs of hosts with the most octets.
    #[must_use]
    pub fn pairs_table(&self, count: usize) -> String {
        let rows = self.pairs.ranking(count);
        let rows = rows.iter().map(|((source, destination), volume)| {
            (vec![source.to_string(), destination.to_string()], *volume)
        });
        self.table(&["Source", "Destination"], rows, self.pairs.uncertainty())
    }

    /// A table of the sources with the most octets.
    #[must_use]
    pub fn sources_table(&self, count: usize) -> String {
        let rows = self.sources.ranking(count);
        let rows = rows.iter().map(|(source, volume)| (vec![source.to_string()], *volume));
        self.table(&["Source"], rows, self.sources.uncertainty())
    }

    /// A table of the protocols with the most octets.
    #[must_use]
    pub fn protocols_table(&self, count: usize) -> String {
        let rows = self.protocols.ranking(count);
        let rows = rows.iter().map(|(protocol, volume)| {
            let name = protocol_keyword(*protocol).map_or_else(|| protocol.to_string(), ToOwned::to_owned);
            (vec![name], *volume)
        });
        self.table(&["Protocol"], rows, self.protocols.uncertainty())
    }

    fn table(
        &self,
        keys: &[&'static str],
        rows: impl Iterator<Item = (Vec<String>, Volume)>,
        uncertainty: u64,
    ) -> String {
        let mut table = Table::new();
        for key in keys {
            table.column(key, Align::Left);
        }
        for (heading, align) in
            [("Octets", Align::Right), ("", Align::Right), ("Packets", Align::Right), ("Flows", Align::Right)]
        {
            table.column(heading, align);
        }
        for (mut row, volume) in rows {
            row.extend([
                scaled(volume.octets),
                percent(volume.octets, self.total.octets),
                scaled(volume.packets),
                scaled(volume.flows),
            ]);
            table.row(row);
        }
        let mut text = table.render();
        if uncertainty > 0 {
            text.push_str("too many for an exact count: each may lack up to ");
            text.push_str(&scaled(uncertainty));
            text.push_str(" octets\n");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn octets(octets: u64) -> Volume {
        Volume { octets, packets: 1, flows: 1 }
    }

    #[test]
    fn the_greatest_survive_a_flood_of_small_ones() {
        let mut hitters = HeavyHitters::new(100);
        for number in 0..100_000_u32 {
            hitters.add(number + 10, octets(1 + u64::from(number % 7)));
            hitters.add(number % 3, octets(1_000));
        }
        assert!(hitters.volumes.len() <= 200);
        let ranking = hitters.ranking(3);
        assert_eq!(ranking.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [0, 1, 2]);
        for (_, volume) in ranking {
            assert!(volume.octets >= 33_333_000 && volume.flows >= 33_333);
        }
    }

    #[test]
    fn few_keys_are_exact() {
        let mut hitters = HeavyHitters::new(3);
        for (key, volume) in [(1, 10), (2, 20), (3, 30), (4, 40), (5, 50), (6, 60), (1, 100)] {
            hitters.add(key, octets(volume));
        }
        assert_eq!(hitters.uncertainty(), 0);
        let keys: Vec<_> = hitters.ranking(9).iter().map(|(key, volume)| (*key, volume.octets)).collect();
        assert_eq!(keys, [(1, 110), (6, 60), (5, 50), (4, 40), (3, 30), (2, 20)]);
        hitters.add(7, octets(5));
        assert_eq!((hitters.uncertainty(), hitters.ranking(9).len()), (40, 4));
    }

    #[test]
    fn tables_line_up() {
        let mut traffic = Traffic::new();
        let mut flow = FlowRecord::EMPTY;
        flow.fields =
            FlowFields::SOURCE | FlowFields::DESTINATION | FlowFields::OCTETS | FlowFields::PROTOCOL;
        flow.source = "192.0.2.1".parse().unwrap();
        flow.destination = "198.51.100.200".parse().unwrap();
        flow.protocol = 6;
        flow.octets = 7_500_000;
        traffic.add(&flow);
        flow.source = "2001:db8::1".parse().unwrap();
        flow.protocol = 253;
        flow.octets = 2_500_000;
        traffic.add(&flow);
        let expected = "\
Source       Destination     Octets         Packets  Flows
192.0.2.1    198.51.100.200   7.5 M  75.0%        0      1
2001:db8::1  198.51.100.200   2.5 M  25.0%        0      1
";
        assert_eq!(traffic.pairs_table(10), expected);
        assert_eq!(
            traffic.protocols_table(1).lines().nth(1),
            Some("TCP        7.5 M  75.0%        0      1")
        );
        assert_eq!(traffic.sources_table(1).lines().count(), 2);
    }
}
