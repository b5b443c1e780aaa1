//! `netflow-collector report`: what a network carried.

use std::{fs, path::PathBuf, process::ExitCode};

use clap::Args;

use super::{Failure, SourceArgs, session::file_failure};
use crate::jobs::report::Gatherer;

/// Arguments of `report`.
#[derive(Args, Clone, Debug)]
pub struct ReportArgs {
    /// Print the report as JSON.
    #[arg(long)]
    pub json: bool,
    /// Write the report to this file as a page with graphs that needs nothing from elsewhere, too.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Rows of each table.
    #[arg(long, short = 'n', value_name = "N", default_value_t = 10)]
    pub top: usize,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show the text as help of the whole group")]
    pub source: SourceArgs,
}

pub(super) fn run(args: &ReportArgs) -> Result<ExitCode, Failure> {
    let mut gatherer = Gatherer::new(args.top.clamp(1, 10_000));
    let code = args.source.visit(|flow| gatherer.add(flow))?;
    let report = gatherer.finish();
    if let Some(path) = &args.html {
        fs::write(path, report.to_html()).map_err(|error| file_failure(path, error))?;
    }
    super::print_report(&report, args.json)?;
    Ok(code)
}
