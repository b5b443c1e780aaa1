//! `netflow-collector ioc`: who talked to addresses that are known to be bad.

use std::{
    fs::File,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use clap::Args;

use super::{
    Failure, SourceArgs,
    session::{file_failure, tell},
};
use crate::{
    config::parse_duration,
    jobs::ioc::{self, Alert, Indicators, Search, Watch},
};

/// Arguments of `ioc`.
#[derive(Args, Clone, Debug)]
pub struct IocArgs {
    /// Indicators: a plain list, CSV, STIX 2.1 (JSON) or MISP (JSON); addresses, prefixes, address:port. May be given
    /// several times. What is not understood in it is told and left out.
    #[arg(long, value_name = "FILE", required = true)]
    pub indicators: Vec<PathBuf>,
    /// Print the report as JSON.
    #[arg(long)]
    pub json: bool,
    /// Pairs of a host and an indicator that are found at most.
    #[arg(long, value_name = "N", default_value_t = Search::BOUND)]
    pub bound: usize,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show the text as help of the whole group")]
    pub source: SourceArgs,
}

pub(super) fn run(args: &IocArgs) -> Result<ExitCode, Failure> {
    let indicators = read(&args.indicators, args.source.quiet)?;
    let mut search = Search::new(indicators, args.bound);
    let code = match args.source.gather(|| search.clone())? {
        Some((found, code)) => {
            search = found;
            code
        }
        None => args.source.visit(|flow| search.add(flow))?,
    };
    let report = search.finish();
    super::print_report(&report, args.json)?;
    Ok(code)
}

/// Reads indicators, and tells what was not understood.
pub(super) fn read(paths: &[PathBuf], quiet: bool) -> Result<Indicators, Failure> {
    const TOLD: usize = 20;
    let indicators = ioc::read(paths).map_err(|error| Failure::Indicators(error.to_string()))?;
    if !quiet {
        for refused in indicators.refused().iter().take(TOLD) {
            tell(refused);
        }
        let rest = indicators.refused_entries().saturating_sub(TOLD as u64);
        if rest > 0 {
            tell(format_args!("{rest} more entries were not understood"));
        }
    }
    Ok(indicators)
}

/// Alerts while receiving.
#[derive(Args, Clone, Debug, Default)]
pub struct AlertArgs {
    /// Alert when a host talks to one of these indicators (plain list, CSV, STIX 2.1, MISP): a line on standard error. May
    /// be given several times.
    #[arg(long, value_name = "FILE")]
    pub indicators: Vec<PathBuf>,
    /// Append the alerts to this file as well, a JSON object a line.
    #[arg(long, value_name = "FILE", requires = "indicators")]
    pub alerts: Option<PathBuf>,
    /// Alert again of the same host and indicator after so long without any.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "1h", requires = "indicators")]
    pub alert_pause: Option<core::time::Duration>,
}

impl AlertArgs {
    /// What watches the flows, if that is wanted.
    pub(super) fn watch(&self, quiet: bool) -> Result<Option<Watch>, Failure> {
        if self.indicators.is_empty() {
            return Ok(None);
        }
        let indicators = read(&self.indicators, quiet)?;
        let file = self.alerts.as_deref().map(open).transpose()?;
        let pause = self.alert_pause.unwrap_or(core::time::Duration::from_secs(3_600));
        let tell = move |alert: &Alert| -> io::Result<()> {
            tell(alert);
            let Some(mut file) = file.as_ref() else { return Ok(()) };
            // One write, so that a line is there as a whole.
            let mut line = serde_json::to_vec(alert)?;
            line.push(b'\n');
            file.write_all(&line)
        };
        Ok(Some(Watch::new(indicators, pause, Arc::new(tell))))
    }
}

fn open(path: &Path) -> Result<File, Failure> {
    File::options().append(true).create(true).open(path).map_err(|error| file_failure(path, error))
}
