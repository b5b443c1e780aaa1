//! Meters traffic into flows and exports them as NetFlow. `netflow-exporter --help` says how.

use std::process::ExitCode;

use clap::Parser;
use netflow_probe_example::exporter_cli::Arguments;

fn main() -> ExitCode {
    match Arguments::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.conclude().into(),
    }
}
