//! Flows with a known truth: ordinary traffic of an hour, and what is to be found in it.
//!
//! The network is 10.1.0.0/16 (clients) and 203.0.113.0/24 (servers); all others are outside. Everything is the same on every run.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::indexing_slicing,
    clippy::too_many_arguments,
    reason = "numbers of a known size; parameters of traffic"
)]

use core::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use netflow_codec::{
    ExportSession, ExportVersion, FlowFields, FlowRecord, SamplingAlgorithm, SamplingInfo, SamplingSource,
    SessionConfig, Timestamp,
};
use netflow_probe_example::{
    collector::Collector,
    pcap::DatagramWriter,
    store::{Store, StoreConfig},
};

/// When the hour begins: 2026-03-01T12:00:00Z.
pub(crate) const START: u64 = 1_772_366_400;
pub(crate) const SECOND: u64 = 1_000_000_000;
/// The exporter's address in captures and stores.
pub(crate) const EXPORTER: &str = "192.0.2.250:40000";

pub(crate) const FIN: u16 = 1;
pub(crate) const SYN: u16 = 2;
pub(crate) const RST: u16 = 4;
pub(crate) const PSH: u16 = 8;
pub(crate) const ACK: u16 = 16;

/// Numbers that look random and are the same on every run.
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    /// From `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    /// From 0 to 1.
    pub(crate) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Small numbers often, great ones rarely, up to `high`.
    pub(crate) fn heavy(&mut self, high: u64) -> u64 {
        let power = self.fraction() * self.fraction();
        (high as f64).powf(power) as u64
    }
}

/// An address from outside, of some AS.
pub(crate) fn outside(chance: &mut Chance) -> (Ipv4Addr, u32) {
    let network = chance.heavy(40_000);
    let first = [23, 34, 52, 81, 93, 104, 142, 151, 185, 193][(network % 10) as usize];
    let second = (network / 10 % 256) as u8;
    let address = Ipv4Addr::new(first, second, chance.between(0, 255) as u8, chance.between(1, 254) as u8);
    (address, 60_000 + u32::from(first) * 256 + u32::from(second))
}

pub(crate) fn client(chance: &mut Chance) -> Ipv4Addr {
    Ipv4Addr::new(10, 1, chance.between(0, 15) as u8, chance.between(1, 250) as u8)
}

/// Flows under construction.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) flows: Vec<FlowRecord>,
    pub(crate) chance: Chance,
    /// One packet in so many is seen.
    pub(crate) sampling: u32,
}

/// One direction of a conversation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leg {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) protocol: u8,
    pub(crate) ports: (u16, u16),
    pub(crate) packets: u64,
    pub(crate) octets: u64,
    pub(crate) flags: u16,
    /// Nanoseconds since [`START`].
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// AS of source and destination.
    pub(crate) numbers: (u32, u32),
}

impl Scenario {
    pub(crate) fn new(seed: u64, sampling: u32) -> Self {
        Self { flows: Vec::new(), chance: Chance::new(seed), sampling }
    }

    /// Ordinary traffic: about so many flows in an hour, before sampling.
    pub(crate) fn background(mut self, flows: usize) -> Self {
        while self.flows.len() < flows {
            match self.chance.between(0, 99) {
                0..50 => self.web(),
                50..75 => self.lookup(),
                75..82 => self.served(),
                82..86 => self.quic(),
                86..89 => self.resolver(),
                89..92 => self.refused(),
                92..94 => self.ping(),
                94..96 => self.clock(),
                96..98 => self.mail(),
                98 => self.wide(),
                _ => self.backup(),
            }
        }
        self.sample();
        self
    }

    /// Adds a flow as it is: of packets that were sampled, if sampling is on.
    pub(crate) fn leg(&mut self, leg: &Leg) {
        let mut flow = FlowRecord::default();
        flow.fields = FlowFields::NONE;
        (flow.source, flow.destination, flow.protocol) = (leg.source, leg.destination, leg.protocol);
        (flow.source_port, flow.destination_port) = leg.ports;
        if leg.protocol == 1 {
            flow.icmp_type_code = leg.ports.1;
            flow.destination_port = leg.ports.1;
        }
        (flow.packets, flow.octets, flow.tcp_flags) =
            (leg.packets, leg.octets.max(leg.packets * 40), leg.flags);
        (flow.source_as, flow.destination_as) = leg.numbers;
        let comes_in = leg.numbers.1 == OUR_AS;
        (flow.ingress_interface, flow.egress_interface) = if comes_in { (1, 2) } else { (2, 1) };
        (flow.source_prefix_length, flow.destination_prefix_length) =
            if comes_in { (16, 24) } else { (24, 16) };
        // The header's clock has milliseconds.
        let nanos = |offset: u64| Timestamp::from_millis((START * SECOND + offset) / 1_000_000);
        (flow.start, flow.end) = (nanos(leg.start), nanos(leg.end));
        self.flows.push(flow);
    }

    /// There and back.
    pub(crate) fn exchange(
        &mut self,
        there: Leg,
        packets_back: u64,
        octets_back: u64,
        flags_back: u16,
        delay: u64,
    ) {
        self.leg(&there);
        self.leg(&Leg {
            source: there.destination,
            destination: there.source,
            ports: (there.ports.1, there.ports.0),
            packets: packets_back,
            octets: octets_back,
            flags: flags_back,
            start: there.start + delay,
            end: there.end + delay,
            numbers: (there.numbers.1, there.numbers.0),
            ..there
        });
    }

    fn moment(&mut self) -> u64 {
        self.chance.between(0, 3_500 * SECOND)
    }

    fn ephemeral(&mut self) -> u16 {
        self.chance.between(32_768, 60_999) as u16
    }

    /// A client of ours fetches something over TCP.
    fn web(&mut self) {
        let (server, number) = outside(&mut self.chance);
        let packets = 5 + self.chance.heavy(20_000);
        let start = self.moment();
        let length = self.chance.heavy(60_000) * 1_000_000;
        let there = Leg {
            source: client(&mut self.chance).into(),
            destination: server.into(),
            protocol: 6,
            ports: (self.ephemeral(), if self.chance.between(0, 9) == 0 { 80 } else { 443 }),
            packets,
            octets: packets * self.chance.between(52, 200),
            flags: SYN | ACK | PSH | FIN,
            start,
            end: start + length,
            numbers: (OUR_AS, number),
        };
        self.exchange(there, packets * 2, packets * 2 * 1_300, SYN | ACK | PSH | FIN, 20_000_000);
    }

    /// Somebody outside uses a server of ours: the first of them mostly.
    fn served(&mut self) {
        let (source, number) = outside(&mut self.chance);
        let packets = 6 + self.chance.heavy(2_000);
        let start = self.moment();
        let server = 10 + self.chance.heavy(30) as u8;
        let there = Leg {
            source: source.into(),
            destination: Ipv4Addr::new(203, 0, 113, server).into(),
            protocol: 6,
            ports: (self.ephemeral(), 443),
            packets,
            octets: packets * 120,
            flags: SYN | ACK | PSH | FIN,
            start,
            end: start + self.chance.heavy(30_000) * 1_000_000,
            numbers: (number, OUR_AS),
        };
        self.exchange(there, packets * 2, packets * 2_400, SYN | ACK | PSH | FIN, 1_000_000);
    }

    /// A client asks one of two resolvers outside.
    fn lookup(&mut self) {
        let start = self.moment();
        let resolver = if self.chance.between(0, 1) == 0 { [8, 8, 8, 8] } else { [9, 9, 9, 9] };
        let octets = self.chance.between(56, 90);
        let answer = self.chance.between(80, 500);
        let there = Leg {
            source: client(&mut self.chance).into(),
            destination: resolver.into(),
            protocol: 17,
            ports: (self.ephemeral(), 53),
            packets: 1,
            octets,
            flags: 0,
            start,
            end: start,
            numbers: (OUR_AS, 15_169),
        };
        self.exchange(there, 1, answer, 0, 15_000_000);
    }

    /// Our own resolver asks servers everywhere.
    fn resolver(&mut self) {
        let (server, number) = outside(&mut self.chance);
        let start = self.moment();
        let answer = self.chance.between(120, 1_232);
        let there = Leg {
            source: Ipv4Addr::new(203, 0, 113, 53).into(),
            destination: server.into(),
            protocol: 17,
            ports: (self.ephemeral(), 53),
            packets: 1,
            octets: 70,
            flags: 0,
            start,
            end: start,
            numbers: (OUR_AS, number),
        };
        self.exchange(there, 1, answer, 0, 30_000_000);
    }

    fn quic(&mut self) {
        let (server, number) = outside(&mut self.chance);
        let packets = 10 + self.chance.heavy(50_000);
        let start = self.moment();
        let there = Leg {
            source: client(&mut self.chance).into(),
            destination: server.into(),
            protocol: 17,
            ports: (self.ephemeral(), 443),
            packets,
            octets: packets * 90,
            flags: 0,
            start,
            end: start + self.chance.heavy(90_000) * 1_000_000,
            numbers: (OUR_AS, number),
        };
        self.exchange(there, packets * 3, packets * 3 * 1_200, 0, 20_000_000);
    }

    /// Nobody answers, or with a reset.
    fn refused(&mut self) {
        let (server, number) = outside(&mut self.chance);
        let start = self.moment();
        let packets = self.chance.between(1, 3);
        let there = Leg {
            source: client(&mut self.chance).into(),
            destination: server.into(),
            protocol: 6,
            ports: (self.ephemeral(), [443, 80, 25, 8_080][self.chance.between(0, 3) as usize]),
            packets,
            octets: packets * 60,
            flags: SYN,
            start,
            end: start + (packets - 1) * SECOND,
            numbers: (OUR_AS, number),
        };
        if self.chance.between(0, 1) == 0 {
            self.leg(&there);
        } else {
            self.exchange(there, 1, 40, RST | ACK, 9_000_000);
        }
    }

    fn ping(&mut self) {
        let (server, number) = outside(&mut self.chance);
        let packets = self.chance.between(1, 300);
        let start = self.moment();
        let there = Leg {
            source: client(&mut self.chance).into(),
            destination: server.into(),
            protocol: 1,
            ports: (0, 0x0800),
            packets,
            octets: packets * 84,
            flags: 0,
            start,
            end: start + (packets - 1) * SECOND / 5,
            numbers: (OUR_AS, number),
        };
        self.leg(&there);
        let back = Leg {
            source: there.destination,
            destination: there.source,
            ports: (0, 0),
            numbers: (number, OUR_AS),
            ..there
        };
        self.leg(&back);
    }

    fn clock(&mut self) {
        let (server, number) = outside(&mut self.chance);
        let start = self.moment();
        let there = Leg {
            source: client(&mut self.chance).into(),
            destination: server.into(),
            protocol: 17,
            ports: (123, 123),
            packets: 1,
            octets: 76,
            flags: 0,
            start,
            end: start,
            numbers: (OUR_AS, number),
        };
        self.exchange(there, 1, 76, 0, 25_000_000);
    }

    /// Our mail server delivers everywhere.
    fn mail(&mut self) {
        let (server, number) = outside(&mut self.chance);
        let packets = 12 + self.chance.heavy(400);
        let start = self.moment();
        let there = Leg {
            source: Ipv4Addr::new(203, 0, 113, 25).into(),
            destination: server.into(),
            protocol: 6,
            ports: (self.ephemeral(), 25),
            packets,
            octets: packets * 900,
            flags: SYN | ACK | PSH | FIN,
            start,
            end: start + self.chance.heavy(20_000) * 1_000_000,
            numbers: (OUR_AS, number),
        };
        self.exchange(there, packets, packets * 70, SYN | ACK | PSH | FIN, 30_000_000);
    }

    /// IPv6.
    fn wide(&mut self) {
        let packets = 8 + self.chance.heavy(3_000);
        let start = self.moment();
        let host = self.chance.between(1, 400) as u16;
        let server = self.chance.heavy(2_000) as u16;
        let there = Leg {
            source: [0x2001, 0xdb8, 1, 0, 0, 0, 0, host].into(),
            destination: [0x2001, 0xdb8, 0xffff, server, 0, 0, 0, 1].into(),
            protocol: 6,
            ports: (self.ephemeral(), 443),
            packets,
            octets: packets * 100,
            flags: SYN | ACK | PSH | FIN,
            start,
            end: start + self.chance.heavy(60_000) * 1_000_000,
            numbers: (OUR_AS, 64_999),
        };
        self.exchange(there, packets * 2, packets * 2_600, SYN | ACK | PSH | FIN, 12_000_000);
    }

    /// Much from few, for long: exported every minute.
    fn backup(&mut self) {
        let host = self.chance.between(1, 20) as u8;
        let start = self.moment() / (60 * SECOND) * 60 * SECOND;
        let packets = self.chance.between(10_000, 60_000);
        let there = Leg {
            source: Ipv4Addr::new(203, 0, 113, 100 + host).into(),
            destination: Ipv4Addr::new(198, 51, 100, 7).into(),
            protocol: 6,
            ports: (40_000 + u16::from(host), 873),
            packets,
            octets: packets * 1_400,
            flags: ACK | PSH,
            start,
            end: start + 60 * SECOND - 1,
            numbers: (OUR_AS, 64_501),
        };
        self.exchange(there, packets / 2, packets * 26, ACK, 1_000_000);
    }

    /// Leaves of every flow what sampling packets would leave of it.
    fn sample(&mut self) {
        let every = f64::from(self.sampling);
        if self.sampling <= 1 {
            return;
        }
        let mut chance = self.chance.clone();
        self.flows.retain_mut(|flow| {
            let packets = flow.packets;
            let seen = binomial(&mut chance, packets, 1.0 / every);
            if seen == 0 {
                return false;
            }
            flow.octets = flow.octets / packets * seen;
            flow.packets = seen;
            let is_whole = flow.tcp_flags & (SYN | FIN) == SYN | FIN;
            if is_whole && seen == 1 {
                let place = chance.between(1, packets);
                let first = if flow.destination_port < flow.source_port { SYN } else { SYN | ACK };
                flow.tcp_flags = match place {
                    1 => first,
                    _ if place == packets => FIN | ACK,
                    _ => ACK,
                };
                let span = flow.end.as_nanos() - flow.start.as_nanos();
                let moment = Timestamp::from_nanos(flow.start.as_nanos() + chance.between(0, span));
                (flow.start, flow.end) = (moment, moment);
            } else if is_whole {
                flow.tcp_flags = ACK | PSH;
            }
            true
        });
        self.chance = chance;
    }

    /// How many of so many packets are seen, over time spread evenly.
    pub(crate) fn seen(&mut self, packets: u64) -> u64 {
        if self.sampling <= 1 {
            packets
        } else {
            binomial(&mut self.chance, packets, 1.0 / f64::from(self.sampling))
        }
    }

    fn session(&self) -> ExportSession {
        // Uptimes of flows that began before the hour are positive.
        let boot = Timestamp::from_secs(START - 600);
        let mut config = SessionConfig::new(ExportVersion::V9, boot);
        config.source_id = 7;
        config.sampling = SamplingInfo::new(self.sampling, SamplingAlgorithm::RANDOM, SamplingSource::Domain);
        ExportSession::new(config).unwrap()
    }

    /// Every datagram and when it was sent.
    pub(crate) fn datagrams(&mut self, mut take: impl FnMut(&[u8], Timestamp)) {
        self.flows
            .sort_by_key(|flow| (flow.end, flow.start, flow.source, flow.destination, flow.source_port));
        let mut session = self.session();
        let mut datagram = Vec::new();
        let mut now = Timestamp::from_secs(START);
        for flow in &self.flows {
            now = now.max(Timestamp::from_nanos(flow.end.as_nanos() + SECOND));
            session.handle_timeout(now);
            loop {
                while session.poll_transmit(&mut datagram).is_some() {
                    take(&datagram, now);
                    datagram.clear();
                }
                match session.handle_flow(flow, now) {
                    Ok(()) => break,
                    Err(netflow_codec::EncodeError::TransmitPending) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
        while session.poll_transmit(&mut datagram).is_some() {
            take(&datagram, now);
            datagram.clear();
        }
        session.flush(now);
        while session.poll_transmit(&mut datagram).is_some() {
            take(&datagram, now);
            datagram.clear();
        }
    }

    pub(crate) fn write_capture(&mut self, folder: &Path) -> PathBuf {
        let path = folder.join("flows.pcap");
        let mut writer = DatagramWriter::create(&path).unwrap();
        self.datagrams(|datagram, now| {
            let time = netflow_flowcache::Timestamp::from_nanos(now.as_nanos());
            writer
                .write(time, EXPORTER.parse().unwrap(), "192.0.2.251:2055".parse().unwrap(), datagram)
                .unwrap();
        });
        writer.finish().unwrap();
        path
    }

    pub(crate) fn write_store(&mut self, folder: &Path) -> PathBuf {
        let path = folder.join("store");
        let mut collector = Collector::new(Store::open(StoreConfig::new(&path)).unwrap());
        self.datagrams(|datagram, now| {
            collector.handle_datagram(EXPORTER.parse().unwrap(), datagram, now).unwrap();
        });
        assert_eq!(collector.account().malformed(), 0);
        collector.sink_mut().finish().unwrap();
        path
    }
}

/// Our own AS.
pub(crate) const OUR_AS: u32 = 64_500;

/// How many of `count` things happen that have this probability each.
fn binomial(chance: &mut Chance, count: u64, probability: f64) -> u64 {
    if count <= 64 {
        return (0..count).filter(|_| chance.fraction() < probability).count() as u64;
    }
    let mean = count as f64 * probability;
    if mean < 30.0 {
        // Poisson, by Knuth.
        let limit = (-mean).exp();
        let (mut product, mut seen) = (chance.fraction(), 0);
        while product > limit {
            product *= chance.fraction();
            seen += 1;
        }
        return seen;
    }
    let normal: f64 = (0..12).map(|_| chance.fraction()).sum::<f64>() - 6.0;
    (mean + normal * (mean * (1.0 - probability)).sqrt()).round().max(0.0) as u64
}

/// What is to be found.
impl Scenario {
    /// A host of ours talks to a command server every so often: a question and an answer each.
    pub(crate) fn contact(&mut self, host: IpAddr, server: IpAddr, port: u16, every: u64, times: u64) {
        for number in 0..times {
            let start = 30 * SECOND + number * every;
            let there = Leg {
                source: host,
                destination: server,
                protocol: 6,
                ports: (50_000 + number as u16, port),
                packets: 8,
                octets: 1_200,
                flags: SYN | ACK | PSH | FIN,
                start,
                end: start + SECOND,
                numbers: (OUR_AS, 65_551),
            };
            self.exchange(there, 6, 900, SYN | ACK | PSH | FIN, 10_000_000);
        }
    }

    /// A host of ours sends much to one outside, in a single connection that is exported every minute.
    pub(crate) fn exfiltration(
        &mut self,
        host: IpAddr,
        server: IpAddr,
        start: u64,
        minutes: u64,
        octets: u64,
    ) {
        for minute in 0..minutes {
            let first = minute == 0;
            let last = minute + 1 == minutes;
            let flags = ACK | PSH | if first { SYN } else { 0 } | if last { FIN } else { 0 };
            let each = octets / minutes;
            let start = start + minute * 60 * SECOND;
            let there = Leg {
                source: host,
                destination: server,
                protocol: 6,
                ports: (51_515, 22),
                packets: each / 1_400,
                octets: each,
                flags,
                start,
                end: start + 59 * SECOND,
                numbers: (OUR_AS, 65_552),
            };
            self.exchange(there, each / 2_800, each / 50, flags, 10_000_000);
        }
    }

    /// Packets of 40 octets with SYN from forged addresses.
    pub(crate) fn syn_flood(&mut self, target: IpAddr, port: u16, start: u64, seconds: u64, rate: u64) {
        for _ in 0..self.seen(rate * seconds) {
            let moment = start + self.chance.between(0, seconds * SECOND - 1);
            let source = Ipv4Addr::from_bits(self.chance.next() as u32);
            let number = 1 + self.chance.between(0, 60_000) as u32;
            let ports = (self.chance.between(1_024, 65_535) as u16, port);
            self.leg(&Leg {
                source: source.into(),
                destination: target,
                protocol: 6,
                ports,
                packets: 1,
                octets: 40,
                flags: SYN,
                start: moment,
                end: moment,
                numbers: (number, OUR_AS),
            });
        }
    }

    /// Large answers of resolvers that nobody of ours asked.
    pub(crate) fn amplification(
        &mut self,
        target: IpAddr,
        service: u16,
        reflectors: u64,
        start: u64,
        seconds: u64,
        rate: u64,
    ) {
        let hosts: Vec<(Ipv4Addr, u32)> = (0..reflectors).map(|_| outside(&mut self.chance)).collect();
        for _ in 0..self.seen(rate * seconds) {
            let moment = start + self.chance.between(0, seconds * SECOND - 1);
            let (source, number) = hosts[self.chance.between(0, reflectors - 1) as usize];
            let ports = (service, self.chance.between(1_024, 65_535) as u16);
            let octets = self.chance.between(1_200, 1_450);
            self.leg(&Leg {
                source: source.into(),
                destination: target,
                protocol: 17,
                ports,
                packets: 1,
                octets,
                flags: 0,
                start: moment,
                end: moment,
                numbers: (number, OUR_AS),
            });
        }
    }

    /// Answers of time servers to every address of 203.0.113.0/24, or whichever /24.
    pub(crate) fn carpet(&mut self, network: [u8; 3], start: u64, seconds: u64, rate: u64) {
        let hosts: Vec<(Ipv4Addr, u32)> = (0..300).map(|_| outside(&mut self.chance)).collect();
        for _ in 0..self.seen(rate * seconds) {
            let moment = start + self.chance.between(0, seconds * SECOND - 1);
            let (source, number) = hosts[self.chance.between(0, 299) as usize];
            let target = [network[0], network[1], network[2], self.chance.between(0, 255) as u8];
            let ports = (123, self.chance.between(1_024, 65_535) as u16);
            self.leg(&Leg {
                source: source.into(),
                destination: target.into(),
                protocol: 17,
                ports,
                packets: 1,
                octets: 468,
                flags: 0,
                start: moment,
                end: moment,
                numbers: (number, OUR_AS),
            });
        }
    }

    /// One port of many hosts.
    pub(crate) fn horizontal(&mut self, source: IpAddr, port: u16, hosts: u16, start: u64, seconds: u64) {
        for host in 0..hosts {
            let moment = start + u64::from(host) * seconds * SECOND / u64::from(hosts);
            let [high, low] = host.to_be_bytes();
            let ports = (self.ephemeral(), port);
            let there = Leg {
                source,
                destination: [10, 1, high, low].into(),
                protocol: 6,
                ports,
                packets: 1,
                octets: 44,
                flags: SYN,
                start: moment,
                end: moment,
                numbers: (64_777, OUR_AS),
            };
            if host % 3 == 0 {
                self.exchange(there, 1, 40, RST | ACK, 1_000_000);
            } else {
                self.leg(&there);
            }
        }
    }

    /// Many ports of one host.
    pub(crate) fn vertical(&mut self, source: IpAddr, target: IpAddr, ports: u16, start: u64, seconds: u64) {
        for port in 1..=ports {
            let moment = start + u64::from(port) * seconds * SECOND / u64::from(ports);
            let there = Leg {
                source,
                destination: target,
                protocol: 6,
                ports: (44_444, port),
                packets: 1,
                octets: 44,
                flags: SYN,
                start: moment,
                end: moment,
                numbers: (64_778, OUR_AS),
            };
            self.exchange(there, 1, 40, RST | ACK, 1_000_000);
        }
    }
}
