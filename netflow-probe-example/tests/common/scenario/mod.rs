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

mod chance;
mod incidents;
mod ordinary;

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

use chance::{Chance, binomial};

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

impl Leg {
    /// A single packet to a host of ours.
    fn packet(target: IpAddr, protocol: u8, ports: (u16, u16), octets: u64, start: u64) -> Self {
        Self {
            source: target,
            destination: target,
            protocol,
            ports,
            packets: 1,
            octets,
            flags: 0,
            start,
            end: start,
            numbers: (0, OUR_AS),
        }
    }
}

impl Scenario {
    pub(crate) fn new(seed: u64, sampling: u32) -> Self {
        Self { flows: Vec::new(), chance: Chance::new(seed), sampling }
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
