//! A NetFlow collector: see `netflow-collector --help`.

use std::{env, ffi::OsString, process::ExitCode};

fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().collect();
    netflow_probe_example::collector_cli::main(&arguments)
}
