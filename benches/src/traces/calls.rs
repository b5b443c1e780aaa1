//! How long single calls take, and how long they take in a flood of flows that an attacker chose.

use core::{hint::black_box, net::Ipv4Addr};
use std::time::Instant;

use netflow_flowcache::{FlowTable, HashSeed, ObservedPacket, SevenTuple, Timestamp};

use super::work::table;
use crate::datagrams::Numbers;

/// Flows in the table while single calls are timed.
const FLOWS: u32 = 1_000_000;
/// Flows of the flood.
pub const FLOOD: usize = 40_000;

fn packet_of(source: u32) -> ObservedPacket {
    let mut packet =
        ObservedPacket::new(Ipv4Addr::from_bits(source).into(), [198, 51, 100, 7].into(), 17, 100);
    packet.source_port = 53;
    packet
}

/// How long single calls take, in nanoseconds, sorted: packets, and the polls behind each of them.
///
/// Half of the packets are new flows, each of which makes another one leave: by its timeout, or evicted where flows begin
/// `every` so many nanoseconds that they do not fit into the table. The same calls are made in each of `runs` runs, and each
/// counts with the shortest time that it took: what interrupted it in one run interrupts another call in the next.
#[must_use]
pub fn single_calls(packets: usize, every: u64, runs: usize) -> Vec<u64> {
    let mut shortest = Vec::new();
    for _ in 0..runs {
        let mut table = table(1 << 20);
        let mut numbers = Numbers::new(3);
        let (mut time, mut newest, mut call) = (1_700_000_000_000_000_000, 0, 0);
        let before = 3 * FLOWS as usize;
        for index in 0..before + packets {
            let number = if index % 2 == 0 {
                newest += 1;
                newest
            } else {
                newest - numbers.below(newest.min(FLOWS / 137 * 100))
            };
            time += every / 2;
            let packet = packet_of(number);
            let mut count = |nanos: u64| {
                if index >= before {
                    match shortest.get_mut(call) {
                        Some(shortest) => *shortest = nanos.min(*shortest),
                        None => shortest.push(nanos),
                    }
                    call += 1;
                }
            };
            let start = Instant::now();
            table.handle_packet(&packet, Timestamp::from_nanos(time));
            count(nanos_since(start));
            loop {
                let start = Instant::now();
                let flow = table.poll_expired();
                count(nanos_since(start));
                if black_box(flow).is_none() {
                    break;
                }
            }
        }
    }
    shortest.sort_unstable();
    shortest
}

fn nanos_since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// A flood of new flows.
#[derive(Clone, Debug)]
pub struct Flood {
    /// How its flows were chosen.
    pub name: &'static str,
    packets: Vec<ObservedPacket>,
    seed: HashSeed,
}

/// Ordinary flows; flows chosen by who knows everything but the seed; and, for comparison, by who knows the seed, too.
///
/// The attacker takes flows that all fall into 256 of 65,536 buckets by the seed that he guesses, or that a hash by XOR, or a
/// multiplication without a key, would put into one.
#[must_use]
pub fn floods() -> Vec<Flood> {
    let (seed, guess) = (HashSeed::new([11, 22, 33, 44]), HashSeed::from_u64(0));
    let random = |number: usize| {
        let mut numbers = Numbers::new(number as u64);
        let mut packet = packet_of(numbers.below(u32::MAX));
        packet.source_port = u16::try_from(numbers.below(65_536)).unwrap();
        packet
    };
    let colliding = |seed: HashSeed| {
        let falls = |packet: &ObservedPacket| SevenTuple::of(packet).hash(seed) >> 56 == 0;
        (0..).map(random).filter(falls).take(FLOOD).collect()
    };
    let xor = |number: usize| {
        let number = u32::try_from(number).unwrap();
        let mut packet = packet_of(0x0A00_0000 | number);
        // Source port << 16 ^ destination port is the source address ^ a constant.
        let ports = packet_of(number ^ 0x1234_5678);
        let core::net::IpAddr::V4(ports) = ports.source else { return packet };
        let [a, b, c, d] = ports.octets();
        (packet.source_port, packet.destination_port) =
            (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        packet
    };
    let upper_bits = |number: usize| packet_of(u32::try_from(number).unwrap().reverse_bits());
    let flood = |name, packets| Flood { name, packets, seed };
    vec![
        flood("at random", (0..FLOOD).map(random).collect()),
        flood("one bucket of an XOR", (0..FLOOD).map(xor).collect()),
        flood("the upper bits only", (0..FLOOD).map(upper_bits).collect()),
        flood("by a seed that is guessed", colliding(guess)),
        flood("by the seed itself", colliding(seed)),
    ]
}

impl Flood {
    /// Nanoseconds for each packet of two of each flow, and how many flows made room for others meanwhile.
    #[must_use]
    pub fn run(&self) -> (f64, u64) {
        let mut config = netflow_flowcache::Config::new(1 << 19, self.seed);
        config.timeouts.active = None;
        let mut table: FlowTable = FlowTable::new(&config).unwrap();
        let start = Instant::now();
        for _ in 0..2 {
            for packet in &self.packets {
                table.handle_packet(packet, Timestamp::from_secs(1_700_000_000));
                while let Some(flow) = table.poll_expired() {
                    black_box(&flow);
                }
            }
        }
        let nanos = start.elapsed().as_secs_f64() * 1e9 / f64::from(u32::try_from(2 * FLOOD).unwrap());
        (nanos, table.stats().evictions)
    }
}
