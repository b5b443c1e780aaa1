//! Meters traffic into flows and exports them as NetFlow. `netflow-exporter --help` says how.

use std::{env, ffi::OsString, process::ExitCode};

fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().collect();
    netflow_probe_example::exporter_cli::main(&arguments)
}
