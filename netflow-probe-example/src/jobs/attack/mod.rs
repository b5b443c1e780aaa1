//! Attacks in flows: floods, amplification, carpet bombing, scans.
//!
//! In two passes: a [`Survey`] finds which targets get too much, and when, with a few octets for each; an [`Inquiry`]
//! gathers everything about those, and judges. Both are bounded in memory, and say what they had to leave out.
//!
//! Rates are scaled by the sampling rate of each flow. A rate of `n` packets that were metered in an interval is right
//! within 196 / √n percent in 95 of 100 cases; below [`Thresholds::samples`] packets nothing is reported.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "rates and shares are estimates: 53 bits are more than they are worth"
)]

mod inquiry;
mod report;
mod shape;
mod spread;
mod survey;

use core::net::IpAddr;

use serde::Serialize;

pub use self::{
    inquiry::Inquiry,
    shape::{REFLECTORS, Vector, reflector},
    spread::{Distribution, Part},
    survey::Survey,
};
use super::Seen;
use crate::query::Prefix;

/// From when on something is an attack. Rates are those of the traffic, not of what was sampled of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Thresholds {
    /// Nanoseconds over which rates are taken.
    pub interval_ns: u64,
    /// Nanoseconds over which the targets of a scan are counted.
    pub scan_interval_ns: u64,
    /// Packets that must have been metered in an interval.
    pub samples: u32,
    /// Packets with SYN a second, at least as many as others of TCP.
    pub syn_packets_per_second: f64,
    /// Bits of amplified answers a second.
    pub amplification_bits_per_second: f64,
    /// Octets of a packet from where on an answer is amplified.
    pub amplified_octets: u64,
    /// Sources of amplified answers.
    pub reflectors: u32,
    /// Packets of ICMP a second.
    pub icmp_packets_per_second: f64,
    /// Fragments a second.
    pub fragments_per_second: f64,
    /// Packets of other UDP a second, of which not a tenth is answered.
    pub udp_packets_per_second: f64,
    /// Addresses of a prefix that must be hit for carpet bombing, none of them with more than half of it.
    pub carpet_hosts: u32,
    /// Length of such a prefix in IPv4 and in IPv6.
    pub carpet_prefix: [u8; 2],
    /// Hosts of which one source asks for the same port.
    pub scan_hosts: u32,
    /// Ports of one host that one source asks for.
    pub scan_ports: u32,
    /// Counters of the first pass.
    pub counters: usize,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            interval_ns: 10_000_000_000,
            scan_interval_ns: 300_000_000_000,
            samples: 20,
            syn_packets_per_second: 1_000.0,
            amplification_bits_per_second: 20e6,
            amplified_octets: 150,
            reflectors: 10,
            icmp_packets_per_second: 2_000.0,
            fragments_per_second: 2_000.0,
            udp_packets_per_second: 50_000.0,
            carpet_hosts: 32,
            carpet_prefix: [24, 48],
            scan_hosts: 100,
            scan_ports: 100,
            counters: 1_000_000,
        }
    }
}

impl Thresholds {
    /// The interval of a key.
    fn width(&self, key: shape::Key) -> u64 {
        if key.is_scan() { self.scan_interval_ns } else { self.interval_ns }.max(1_000_000_000)
    }

    /// How many times the threshold of a vector these rates are.
    fn excess(&self, vector: Vector, packets_per_second: f64, bits_per_second: f64) -> f64 {
        match vector {
            Vector::Syn => packets_per_second / self.syn_packets_per_second,
            Vector::Amplification(_) => bits_per_second / self.amplification_bits_per_second,
            Vector::Icmp => packets_per_second / self.icmp_packets_per_second,
            Vector::Fragments => packets_per_second / self.fragments_per_second,
            Vector::Udp => packets_per_second / self.udp_packets_per_second,
        }
    }

    /// The prefix that an address is counted for.
    fn prefix_of(&self, address: IpAddr) -> Option<Prefix> {
        let [v4, v6] = self.carpet_prefix;
        let length = if address.is_ipv4() { v4 } else { v6 };
        let prefix = Prefix::new(address, length)?;
        Prefix::new(prefix.network(), length)
    }
}

/// What an attack is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Packets with SYN to one address.
    SynFlood,
    /// Answers of services that were asked in the target's name.
    Amplification,
    /// ICMP to one address.
    IcmpFlood,
    /// Fragments to one address.
    FragmentFlood,
    /// Other UDP to one address.
    UdpFlood,
    /// Any of those to many addresses of a prefix, little to each.
    CarpetBombing,
    /// One source, one port, many hosts.
    HorizontalScan,
    /// One source, one host, many ports.
    VerticalScan,
}

impl Kind {
    const fn of(vector: Vector) -> Self {
        match vector {
            Vector::Syn => Self::SynFlood,
            Vector::Amplification(_) => Self::Amplification,
            Vector::Icmp => Self::IcmpFlood,
            Vector::Fragments => Self::FragmentFlood,
            Vector::Udp => Self::UdpFlood,
        }
    }

    /// In words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SynFlood => "SYN flood",
            Self::Amplification => "amplification",
            Self::IcmpFlood => "ICMP flood",
            Self::FragmentFlood => "flood of fragments",
            Self::UdpFlood => "UDP flood",
            Self::CarpetBombing => "carpet bombing",
            Self::HorizontalScan => "horizontal scan",
            Self::VerticalScan => "vertical scan",
        }
    }
}

/// Octets of packets, by classes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sizes {
    /// Octets of a packet, on average.
    pub mean: f64,
    /// Packets by the octets that packets of their flow have on average: up to 64, 128, 256, 512, 1024, 1500, and more.
    pub packets: Vec<u64>,
}

impl Sizes {
    /// Up to how many octets a class goes.
    pub const BOUNDS: [u64; 6] = [64, 128, 256, 512, 1_024, 1_500];

    fn of(packets: &[f64], mean: f64) -> Self {
        Self { mean, packets: packets.iter().map(|packets| packets.round() as u64).collect() }
    }
}

/// An attack.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Event {
    /// What it is.
    pub kind: Kind,
    /// What a flood is made of.
    pub vector: Option<String>,
    /// The service whose answers are amplified.
    pub service: Option<String>,
    /// Who is attacked: an address, or a prefix.
    pub target: String,
    /// Who scans.
    pub scanner: Option<IpAddr>,
    /// When it began, to the second, in nanoseconds since 1970.
    pub start_ns: u64,
    /// When it ended.
    pub end_ns: u64,
    /// Packets a second in the interval with the most, scaled by sampling.
    pub peak_packets_per_second: u64,
    /// Bits a second in that interval.
    pub peak_bits_per_second: u64,
    /// Within how many percent the peak is right in 95 of 100 cases, for sampling; 0 without sampling.
    pub error_percent: f64,
    /// Flows.
    pub flows: u64,
    /// Packets, scaled.
    pub packets: u64,
    /// Octets, scaled.
    pub octets: u64,
    /// Packets as they were metered.
    pub metered_packets: u64,
    /// The lowest and the highest sampling rate of its flows.
    pub sampling: Option<[u64; 2]>,
    /// Flows whose rate nobody told: they count as metered.
    pub flows_of_unknown_rate: u64,
    /// From where it came.
    pub sources: Distribution,
    /// Autonomous systems of the sources.
    pub source_as: Distribution,
    /// Whom it went to.
    pub targets: Distribution,
    /// Source ports.
    pub source_ports: Distribution,
    /// Destination ports.
    pub ports: Distribution,
    /// Protocols.
    pub protocols: Distribution,
    /// TCP flags of flows.
    pub tcp_flags: Distribution,
    /// Interfaces by which it came in.
    pub interfaces: Distribution,
    /// How long packets were.
    pub packet_sizes: Sizes,
    /// What speaks for forged sources.
    pub hints: Vec<String>,
    /// What is flooded by what, when it is one address.
    #[serde(skip)]
    flood: Option<(Vector, IpAddr)>,
}

/// What had to be left out to keep memory bounded.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Dropped {
    /// Flows without times, or with times more than a day from their arrival.
    pub flows_without_time: u64,
    /// Counters of the first pass, those furthest below their threshold.
    pub counters: u64,
    /// Suspicions that the second pass had no room for, the least first.
    pub suspicions: u64,
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// By which thresholds.
    pub thresholds: Thresholds,
    /// In which flows.
    pub seen: Seen,
    /// The attacks, in the order of time.
    pub events: Vec<Event>,
    /// What had to be left out.
    pub dropped: Dropped,
}
