//! `netflow-collector timeline`: what a host did.

use core::{net::IpAddr, time::Duration};
use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::Args;

use super::{Failure, SourceArgs};
use crate::{
    config::parse_duration,
    jobs::timeline::{Gatherer, Options},
};

/// Arguments of `timeline`.
#[derive(Args, Clone, Debug)]
pub struct TimelineArgs {
    /// The host.
    #[arg(long, value_name = "ADDRESS")]
    pub host: IpAddr,
    /// Print the report as JSON.
    #[arg(long, conflicts_with = "csv")]
    pub json: bool,
    /// Print the sessions as CSV.
    #[arg(long)]
    pub csv: bool,
    /// Flows of the same addresses, ports and protocol that are no further apart are one session.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "5m")]
    pub session_gap: Duration,
    /// Show pauses of the host that are at least so long.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "10m")]
    pub pause: Duration,
    /// Flows of the host to look at, of about 120 octets of memory each.
    #[arg(long, value_name = "N", default_value_t = Options::default().limit)]
    pub limit: usize,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show the text as help of the whole group")]
    pub source: SourceArgs,
}

pub(super) fn run(args: &TimelineArgs) -> Result<ExitCode, Failure> {
    let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let options =
        Options { session_gap_ns: nanos(args.session_gap), pause_ns: nanos(args.pause), limit: args.limit };
    let mut gatherer = Gatherer::new(args.host.to_canonical(), options);
    let code = args.source.visit(|flow| gatherer.add(flow))?;
    let report = gatherer.finish();
    if args.csv {
        let text = report.to_csv().map_err(io::Error::from).map_err(Failure::Output)?;
        io::stdout().lock().write_all(text.as_bytes()).map_err(Failure::Output)?;
    } else {
        super::print_report(&report, args.json)?;
    }
    Ok(code)
}
