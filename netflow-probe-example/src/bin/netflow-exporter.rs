//! Meters traffic into flows and exports them as NetFlow. `netflow-exporter --help` says how.

use std::process::ExitCode;

use clap::Parser;
use netflow_probe_example::exporter_cli::{Arguments, Failure};

fn main() -> ExitCode {
    match Arguments::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(text)) => {
            eprintln!("netflow-exporter: {text}");
            ExitCode::from(2)
        }
        Err(Failure::Run(text)) => {
            eprintln!("netflow-exporter: {text}");
            ExitCode::FAILURE
        }
    }
}
