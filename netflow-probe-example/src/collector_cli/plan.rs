//! `netflow-collector plan`: how much disk and bandwidth flows will take.

use core::time::Duration;
use std::{
    fs::File,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use parquet::file::reader::{FileReader as _, SerializedFileReader};

use super::Failure;
use crate::{
    config::parse_duration,
    jobs::plan::{Assumptions, Plan},
    store::StoreReader,
};

/// Arguments of `plan`.
#[derive(Args, Clone, Debug)]
pub struct PlanArgs {
    /// Routers that export.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub routers: u32,
    /// Bits a second that all routers together forward when all lines are full, as in 40G. A packet that several routers
    /// meter counts for each of them.
    #[arg(long, value_name = "RATE", value_parser = parse_rate, default_value = "10G")]
    pub line_rate: f64,
    /// The line rate is that of each router.
    #[arg(long)]
    pub each: bool,
    /// Percent of the line rate that are used on average.
    #[arg(long, value_name = "PERCENT", default_value_t = 40, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub utilisation: u8,
    /// Octets of a packet on average: `internet` (800), `imix` (340: 40, 576 and 1500 octets as 7 to 4 to 1), `small`
    /// (64), `large` (1400), or a number.
    #[arg(long, value_name = "MIX", value_parser = parse_mix, default_value = "internet")]
    pub packet_mix: f64,
    /// Packets of a flow on average, before sampling.
    #[arg(long, value_name = "N", default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub flow_packets: u32,
    /// One packet in so many is metered.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub sampling: u32,
    /// How long flows are kept.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "90d")]
    pub retention: Duration,
    /// Octets of a record as it is exported: 48 in v5, 66 as netflow-exporter sends IPv4 in v9.
    #[arg(long, value_name = "OCTETS", default_value_t = 66, value_parser = clap::value_parser!(u16).range(8..=1_400))]
    pub record_octets: u16,
    /// Take the octets of a stored flow from this store, too.
    #[arg(long, value_name = "DIR")]
    pub store: Option<PathBuf>,
    /// Print the plan as JSON.
    #[arg(long)]
    pub json: bool,
}

fn parse_rate(text: &str) -> Result<f64, String> {
    let (number, factor) = match text.char_indices().next_back() {
        Some((end, 'k' | 'K')) => (text.get(..end), 1e3),
        Some((end, 'M')) => (text.get(..end), 1e6),
        Some((end, 'G')) => (text.get(..end), 1e9),
        Some((end, 'T')) => (text.get(..end), 1e12),
        _ => (Some(text), 1.0),
    };
    let number = number.and_then(|number| number.parse::<f64>().ok());
    let rate = number.map(|number| number * factor).filter(|rate| (1.0..1e18).contains(rate));
    rate.ok_or_else(|| "a number of bits a second expected, as in 40G, 2.5G or 100M".to_owned())
}

fn parse_mix(text: &str) -> Result<f64, String> {
    match text {
        "internet" => Ok(800.0),
        "imix" => Ok((7.0 * 40.0 + 4.0 * 576.0 + 1_500.0) / 12.0),
        "small" => Ok(64.0),
        "large" => Ok(1_400.0),
        number => number
            .parse()
            .ok()
            .filter(|octets| (20.0..=65_535.0).contains(octets))
            .ok_or_else(|| "internet, imix, small, large or octets from 20 to 65535 expected".to_owned()),
    }
}

pub(super) fn run(args: &PlanArgs) -> Result<ExitCode, Failure> {
    let plan = Plan::of(Assumptions {
        routers: args.routers,
        line_rate: args.line_rate * if args.each { f64::from(args.routers) } else { 1.0 },
        utilisation: f64::from(args.utilisation) / 100.0,
        octets_per_packet: args.packet_mix,
        packets_per_flow: args.flow_packets.into(),
        sampling: args.sampling,
        retention_seconds: args.retention.as_secs_f64(),
        octets_per_record: args.record_octets.into(),
        measured_octets_per_flow: args.store.as_deref().map(measure).transpose()?,
    });
    super::print_report(&plan, args.json)?;
    Ok(ExitCode::SUCCESS)
}

/// Octets of a flow in the files of a store.
#[expect(clippy::cast_precision_loss, reason = "an average needs no more than 53 bits")]
fn measure(folder: &Path) -> Result<f64, Failure> {
    let failure = |error| Failure::Store { path: folder.display().to_string(), error };
    let reader = StoreReader::open(folder, None, None).map_err(failure)?;
    let (mut octets, mut flows) = (0, 0);
    for path in reader.files() {
        let Ok(file) = File::open(path) else { continue };
        let length = file.metadata().map_err(failure)?.len();
        // A damaged file has no flows that could be counted.
        let Ok(file) = SerializedFileReader::new(file) else { continue };
        octets += length;
        flows += u64::try_from(file.metadata().file_metadata().num_rows()).unwrap_or(0);
    }
    if flows == 0 {
        return Err(failure(std::io::Error::other("no flows are stored")));
    }
    Ok(octets as f64 / flows as f64)
}
