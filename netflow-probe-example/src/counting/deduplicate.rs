//! Flows that are reported twice: where they enter a router and where they leave it.

use core::{net::IpAddr, time::Duration};

use netflow_codec::{FlowFields, Timestamp};

use super::{CountingStats, octets, remembered::Remembered};
use crate::flow::Flow;

/// Leaves out what is reported in the other direction, too.
///
/// A router that meters on all interfaces, both ways, reports each flow twice, with another flowDirection (61). Of flows
/// of an exporter with the same addresses, protocol and ports, the direction that was reported first counts; those of the
/// other direction are left out until the first one was silent for the time given. Interfaces do not matter: one of the
/// two records often does not know both. Records without a direction, or with one direction only, are never left out.
#[derive(Debug)]
pub struct Deduplication {
    /// The direction that counts, and when it was reported last.
    known: Remembered<Key, (u8, Timestamp)>,
    time: Duration,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct Key {
    exporter: IpAddr,
    source: IpAddr,
    destination: IpAddr,
    source_port: u16,
    destination_port: u16,
    icmp_type_code: u16,
    protocol: u8,
}

/// Flows that are remembered.
const LIMIT: usize = 1 << 19;

impl Deduplication {
    /// What one direction has reported within this time counts for both.
    #[must_use]
    pub fn new(time: Duration) -> Self {
        Self { known: Remembered::new(time, LIMIT), time }
    }

    /// Whether the flow was, or will be, counted in the other direction.
    pub(super) fn is_duplicate(&mut self, flow: &Flow<'_>, stats: &mut CountingStats) -> bool {
        let record = &flow.record;
        if !record.has(FlowFields::DIRECTION | FlowFields::SOURCE | FlowFields::DESTINATION) {
            return false;
        }
        let key = Key {
            exporter: flow.envelope.exporter.ip(),
            source: record.source,
            destination: record.destination,
            source_port: record.source_port,
            destination_port: record.destination_port,
            icmp_type_code: record.icmp_type_code,
            protocol: record.protocol,
        };
        let now = flow.envelope.received;
        let other = self.known.get(&key, now).filter(|(direction, last)| {
            *direction != record.direction && now.saturating_since(*last) < self.time
        });
        self.known.insert(key, other.unwrap_or((record.direction, now)));
        stats.forgotten += self.known.take_forgotten();
        if other.is_some() {
            stats.duplicate_flows += 1;
            stats.duplicate_octets = stats.duplicate_octets.saturating_add(octets(flow));
        }
        other.is_some()
    }
}
