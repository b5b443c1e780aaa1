//! A NetFlow collector: see `netflow-collector --help`.

use std::process::ExitCode;

use clap::Parser as _;
use netflow_probe_example::collector_cli::Cli;

fn main() -> ExitCode {
    Cli::parse().run()
}
