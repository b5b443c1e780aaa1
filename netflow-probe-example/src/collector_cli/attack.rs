//! `netflow-collector attack`: floods, amplification, carpet bombing and scans in flows.

use core::time::Duration;
use std::process::ExitCode;

use clap::Args;

use super::{Failure, SourceArgs};
use crate::{
    config::parse_duration,
    jobs::{
        Seen,
        attack::{Dropped, Inquiry, Report, Survey, Thresholds},
    },
};

/// Arguments of `attack`.
#[derive(Args, Clone, Debug)]
pub struct AttackArgs {
    /// Print the report as JSON.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show the text as help of the whole group")]
    pub thresholds: ThresholdArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show the text as help of the whole group")]
    pub source: SourceArgs,
}

/// From when on something is an attack. On ordinary traffic the defaults give less than one false alarm in a million
/// flows.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Thresholds")]
pub struct ThresholdArgs {
    /// Rates are taken over intervals of this length.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "10s")]
    pub interval: Duration,
    /// Targets of scans are counted over intervals of this length.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "5m")]
    pub scan_interval: Duration,
    /// Packets that must have been metered in an interval: with 20 a rate is right within 44 percent.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub samples: u32,
    /// SYN flood: packets with SYN and without ACK a second, at least half of all TCP to the target.
    #[arg(long, value_name = "RATE", default_value_t = 1_000)]
    pub syn_pps: u32,
    /// Amplification: megabits a second of answers from well-known reflector ports.
    #[arg(long, value_name = "MBITS", default_value_t = 20)]
    pub amplification_mbps: u32,
    /// Amplification: octets of a packet from where on an answer is amplified.
    #[arg(long, value_name = "OCTETS", default_value_t = 150)]
    pub amplified_octets: u64,
    /// Amplification: sources at least.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub reflectors: u32,
    /// ICMP flood: packets a second.
    #[arg(long, value_name = "RATE", default_value_t = 2_000)]
    pub icmp_pps: u32,
    /// Flood of fragments: packets a second.
    #[arg(long, value_name = "RATE", default_value_t = 2_000)]
    pub fragment_pps: u32,
    /// UDP flood: packets of other UDP a second, less than a tenth of them answered.
    #[arg(long, value_name = "RATE", default_value_t = 50_000)]
    pub udp_pps: u32,
    /// Carpet bombing: addresses of a prefix that are hit, none of them with more than half of it.
    #[arg(long, value_name = "N", default_value_t = 32)]
    pub carpet_hosts: u32,
    /// Carpet bombing: length of the prefix in IPv4.
    #[arg(long, value_name = "BITS", default_value_t = 24, value_parser = clap::value_parser!(u8).range(1..=32))]
    pub carpet_prefix: u8,
    /// Carpet bombing: length of the prefix in IPv6.
    #[arg(long, value_name = "BITS", default_value_t = 48, value_parser = clap::value_parser!(u8).range(1..=128))]
    pub carpet_prefix6: u8,
    /// Horizontal scan: hosts of which a source asks for the same port, or that it pings; four of five of its flows
    /// there being nothing but questions.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub scan_hosts: u32,
    /// Vertical scan: ports of a host that a source asks for, likewise.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub scan_ports: u32,
    /// Counters of the first pass, of about 300 octets each; beyond that those furthest below a threshold are dropped,
    /// which is told.
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    pub counters: usize,
}

impl ThresholdArgs {
    fn thresholds(&self) -> Thresholds {
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Thresholds {
            interval_ns: nanos(self.interval).max(1_000_000_000),
            scan_interval_ns: nanos(self.scan_interval).max(1_000_000_000),
            samples: self.samples.max(1),
            syn_packets_per_second: self.syn_pps.max(1).into(),
            amplification_bits_per_second: f64::from(self.amplification_mbps.max(1)) * 1e6,
            amplified_octets: self.amplified_octets,
            reflectors: self.reflectors,
            icmp_packets_per_second: self.icmp_pps.max(1).into(),
            fragments_per_second: self.fragment_pps.max(1).into(),
            udp_packets_per_second: self.udp_pps.max(1).into(),
            carpet_hosts: self.carpet_hosts.max(2),
            carpet_prefix: [self.carpet_prefix, self.carpet_prefix6],
            scan_hosts: self.scan_hosts.max(2),
            scan_ports: self.scan_ports.max(2),
            counters: self.counters.max(1_000),
        }
    }
}

/// Looks at the flows twice, or once when nothing is suspected.
pub(super) fn run(args: &AttackArgs) -> Result<ExitCode, Failure> {
    args.source.check_can_be_read_twice()?;
    let thresholds = args.thresholds.thresholds();
    let mut survey = Survey::new(thresholds);
    let mut seen = Seen::default();
    let code = args.source.visit(|flow| {
        seen.add(flow);
        survey.add(flow);
    })?;
    let (mut inquiry, dropped): (Inquiry, Dropped) = Inquiry::new(survey);
    if !inquiry.is_empty() {
        // What is wrong with the flows was told the first time.
        let source = SourceArgs { quiet: true, ..args.source.clone() };
        source.visit(|flow| inquiry.add(flow))?;
    }
    let report = Report { thresholds, seen, events: inquiry.finish(), dropped };
    super::print_report(&report, args.json)?;
    Ok(code)
}
