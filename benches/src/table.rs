//! Packets for a flow table: a few flows that stay, or many that come and go.

use core::{
    hint::black_box,
    net::{IpAddr, Ipv4Addr},
};

use netflow_flowcache::{Config, FlowTable, HashSeed, ObservedPacket, Timestamp};

use crate::datagrams::Numbers;

/// Flows of the trace that hits.
pub const HOT_FLOWS: u32 = 6_000;
/// Flows alive at once in the trace that misses.
pub const LIVE_FLOWS: u32 = 270_000;

/// A trace with its times, handed to a table packet by packet.
#[derive(Debug)]
pub struct Trace {
    packets: Vec<ObservedPacket>,
    next: usize,
    clock: u64,
    /// Nanoseconds from one packet to the next.
    step: u64,
    table: FlowTable,
    octets: u64,
}

fn packet(flow: u32, numbers: &mut Numbers) -> ObservedPacket {
    let mut of_flow = Numbers::new(flow.into());
    let mut address = |net: u32| IpAddr::V4(Ipv4Addr::from_bits(net | of_flow.below(1 << 24)));
    let (source, destination) = (address(0x0A00_0000), address(0x0B00_0000));
    let mut packet = ObservedPacket::new(source, destination, 17, 40 + numbers.below(1_460));
    packet.source_port = u16::try_from(of_flow.below(65_536)).unwrap();
    packet.destination_port = u16::try_from(of_flow.below(1_024)).unwrap();
    packet.ingress_interface = 1 + of_flow.below(8);
    packet.ttl = 64;
    packet
}

impl Trace {
    /// Packets of 6,000 flows at random, a million packets a second: nearly all of them hit.
    #[must_use]
    pub fn hot() -> Self {
        let mut numbers = Numbers::new(1);
        let packets = (0..1 << 18)
            .map(|_| {
                let flow = numbers.below(HOT_FLOWS);
                packet(flow, &mut numbers)
            })
            .collect();
        Self::new(packets, 1_000, 16_384)
    }

    /// Every second packet begins a flow, the others hit one of those begun in the last 15 seconds; a flow
    /// ends after 15 seconds without a packet. Some 270,000 are alive at once.
    #[must_use]
    pub fn misses() -> Self {
        let mut numbers = Numbers::new(2);
        // Flows that begin within 15 s. Each gets one hit in that time on average, which makes it live 1.37 times
        // as long.
        let window = LIVE_FLOWS / 137 * 100;
        let packets = (0u32..1 << 20)
            .map(|index| {
                let newest = index / 2;
                let age = if index % 2 == 0 { 0 } else { numbers.below(window.min(newest + 1)) };
                packet(newest - age, &mut numbers)
            })
            .collect();
        let step = 15_000_000_000 / (2 * u64::from(window));
        Self::new(packets, step, 524_288)
    }

    fn new(packets: Vec<ObservedPacket>, step: u64, capacity: usize) -> Self {
        let table = FlowTable::new(&Config::new(capacity, HashSeed::from_u64(42))).unwrap();
        let mut trace = Self { packets, next: 0, clock: 1_700_000_000_000_000_000, step, table, octets: 0 };
        trace.run(trace.packets.len());
        trace
    }

    /// Hands in the next `count` packets and takes what ended; the octets of what ended so far.
    pub fn run(&mut self, count: usize) -> u64 {
        for _ in 0..count {
            let packet = &self.packets[self.next];
            self.next = (self.next + 1) % self.packets.len();
            self.clock += self.step;
            self.table.handle_packet(packet, Timestamp::from_nanos(self.clock));
            while let Some(flow) = self.table.poll_expired() {
                self.octets = self.octets.wrapping_add(black_box(&flow).counters.octets);
            }
        }
        self.octets
    }

    /// The same, 32 at a time.
    pub fn run_in_batches(&mut self, count: usize) -> u64 {
        const BATCH: usize = 32;
        let mut batch = Vec::with_capacity(BATCH);
        let mut left = count;
        while left > 0 {
            while batch.len() < BATCH.min(left) {
                self.clock += self.step;
                batch.push((self.packets[self.next], Timestamp::from_nanos(self.clock)));
                self.next = (self.next + 1) % self.packets.len();
            }
            let handled = self.table.handle_packets(&batch);
            batch.drain(..handled);
            left -= handled;
            let octets = &mut self.octets;
            self.table.poll_expired_batch(usize::MAX, |flow| {
                *octets = octets.wrapping_add(black_box(flow).counters.octets);
            });
        }
        self.octets
    }

    /// Flows alive now.
    #[must_use]
    pub const fn live(&self) -> usize {
        self.table.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_keep_as_many_flows_alive_as_documented() {
        let live = Trace::hot().live();
        assert!((5_950..=6_000).contains(&live), "{live}");
        let live = Trace::misses().live();
        assert!((260_000..280_000).contains(&live), "{live}");
    }
}
