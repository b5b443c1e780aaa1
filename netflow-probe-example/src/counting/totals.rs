//! Counters that say the same octets more than once.

use core::{net::IpAddr, time::Duration};

use netflow_codec::{FlowFields, Timestamp};

use super::{CountingStats, octets, remembered::Remembered};
use crate::flow::Flow;

/// Which records of Cisco's firewalls count octets. They report what went through a connection since the last report while
/// it lasts (firewallEvent 5, update), and all that went through it when it ends (2, deleted).
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub enum FirewallOctets {
    /// Those at the end of a connection: updates are left out.
    Totals,
    /// Updates, and at the end what they have not counted: what lasts long is seen while it does.
    Updates,
}

/// Counts totals once.
///
/// *Firewalls*: see [`FirewallOctets`]; a connection is one by its exporter, observation domain and flowId (148). Records
/// without that count as they are.
///
/// *Running totals*: exporters with octetTotalCount (85) and packetTotalCount (86) report a flow again with all it had so
/// far. A flow is the same by its exporter, observation domain, addresses, protocol, ports and start; what counts is by how
/// much its totals grew. A total that is smaller than the last one begins anew.
#[derive(Debug)]
pub struct Totals {
    firewall_octets: Option<FirewallOctets>,
    running: bool,
    connections: Remembered<(Origin, u64, IpAddr), Counters>,
    flows: Remembered<(Origin, FlowKey), Counters>,
}

type Origin = (IpAddr, u32);

/// Addresses, ports, protocol, ICMP type and code, start.
type FlowKey = (IpAddr, IpAddr, u16, u16, u8, u16, Timestamp);

#[derive(Clone, Copy, Debug, Default)]
struct Counters {
    octets: u64,
    packets: u64,
}

/// What of a flow counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Counted {
    Whole,
    Nothing,
    Rest { octets: u64, packets: u64 },
}

/// How long connections and flows are remembered that nothing comes of.
const TIME: Duration = Duration::from_secs(3_600);
/// As many of them are remembered.
const LIMIT: usize = 1 << 19;

// Values of firewallEvent (233) and of Cisco's 40005, which came before it.
const DELETED: u64 = 2;
const UPDATE: u64 = 5;

impl Totals {
    /// Counts what is asked for.
    #[must_use]
    pub fn new(firewall_octets: Option<FirewallOctets>, running: bool) -> Self {
        Self {
            firewall_octets,
            running,
            connections: Remembered::new(TIME, LIMIT),
            flows: Remembered::new(TIME, LIMIT),
        }
    }

    pub(super) fn count(&mut self, flow: &Flow<'_>, stats: &mut CountingStats) -> Counted {
        if let Some(which) = self.firewall_octets
            && let Some(event @ (DELETED | UPDATE)) = flow.unsigned_field(&[233, 40_005])
        {
            return self.firewall(which, event, flow, stats);
        }
        let is_total = self.running
            && flow.record.has(FlowFields::OCTETS)
            && flow.unsigned_field(&[1]).is_none()
            && flow.unsigned_field(&[85]).is_some();
        if is_total { self.running(flow, stats) } else { Counted::Whole }
    }

    fn firewall(
        &mut self,
        which: FirewallOctets,
        event: u64,
        flow: &Flow<'_>,
        stats: &mut CountingStats,
    ) -> Counted {
        if which == FirewallOctets::Totals {
            if event == DELETED {
                return Counted::Whole;
            }
            stats.firewall_records += 1;
            stats.firewall_octets = stats.firewall_octets.saturating_add(octets(flow));
            return Counted::Nothing;
        }
        let Some(id) = flow.unsigned_field(&[148]) else {
            stats.firewall_unidentified += 1;
            return Counted::Whole;
        };
        // Both directions of a connection are flows of their own when biflows are split.
        let key = (origin(flow), id, flow.record.source);
        let known = self.connections.get(&key, flow.envelope.received).unwrap_or_default();
        let counters = Counters { octets: octets(flow), packets: packets(flow) };
        if event == UPDATE {
            self.connections.insert(
                key,
                Counters {
                    octets: known.octets.saturating_add(counters.octets),
                    packets: known.packets.saturating_add(counters.packets),
                },
            );
            stats.forgotten += self.connections.take_forgotten();
            return Counted::Whole;
        }
        self.connections.remove(&key);
        let rest = counters.octets.saturating_sub(known.octets);
        if known.octets == 0 && known.packets == 0 {
            return Counted::Whole;
        }
        stats.firewall_records += 1;
        stats.firewall_octets = stats.firewall_octets.saturating_add(counters.octets - rest);
        Counted::Rest { octets: rest, packets: counters.packets.saturating_sub(known.packets) }
    }

    fn running(&mut self, flow: &Flow<'_>, stats: &mut CountingStats) -> Counted {
        let record = &flow.record;
        let key = (
            origin(flow),
            (
                record.source,
                record.destination,
                record.source_port,
                record.destination_port,
                record.protocol,
                record.icmp_type_code,
                record.start,
            ),
        );
        let counters = Counters { octets: octets(flow), packets: packets(flow) };
        let known = self.flows.get(&key, flow.envelope.received);
        self.flows.insert(key, counters);
        stats.forgotten += self.flows.take_forgotten();
        match known {
            Some(known) if known.octets <= counters.octets && known.packets <= counters.packets => {
                stats.running_totals += 1;
                stats.running_octets = stats.running_octets.saturating_add(known.octets);
                Counted::Rest {
                    octets: counters.octets - known.octets,
                    packets: counters.packets - known.packets,
                }
            }
            _ => Counted::Whole,
        }
    }
}

fn origin(flow: &Flow<'_>) -> Origin {
    (flow.envelope.exporter.ip(), flow.envelope.observation_domain)
}

fn packets(flow: &Flow<'_>) -> u64 {
    if flow.record.has(FlowFields::PACKETS) { flow.record.packets } else { 0 }
}
