//! `netflow-collector demo`: exporter and collector in one process.

use std::{
    env, fs,
    io::{self, ErrorKind, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use clap::Args;
use netflow_codec::ExportVersion;
use netflow_flowcache::Timeouts;

use super::{Failure, session::tell};
use crate::{
    demo::{self, DemoError},
    exporter::ExporterConfig,
    meter::{MeterConfig, MeterRules, SAMPLING_HELP, SamplingSpec, SamplingSpecError},
    send::SendConfig,
};

/// Arguments of `demo`.
#[derive(Args, Clone, Debug)]
pub struct DemoArgs {
    /// Meter these capture files (pcap or pcapng) instead of made-up traffic
    #[arg(long, value_name = "FILE", num_args = 1..)]
    read: Vec<PathBuf>,
    /// Leave the flows in this directory [default: a new one for temporary files]
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Meter a sample of the packets: 1:N, random:1:N and others that version 9 can tell of
    #[arg(long, value_name = "SAMPLING", default_value = "1:1", long_help = SAMPLING_HELP, value_parser = sampling)]
    sampling: SamplingSpec,
}

/// A sampling that version 9, which the demonstration speaks, can tell of.
fn sampling(text: &str) -> Result<SamplingSpec, String> {
    let spec: SamplingSpec = text.parse().map_err(|error: SamplingSpecError| error.to_string())?;
    spec.check(ExportVersion::V9).map(|_| spec)
}

/// Gives the demonstration; status 1 unless all files were read to their end and all that was sent was received.
pub(super) fn run(args: &DemoArgs) -> Result<ExitCode, Failure> {
    let mut timeouts = Timeouts::default();
    timeouts.active = Some(core::time::Duration::from_secs(30));
    let config = ExporterConfig {
        meter: MeterConfig {
            timeouts,
            max_flows: 65_536,
            sampling: args.sampling.clone(),
            seed: 1,
            rules: MeterRules::default(),
        },
        targets: Vec::new(),
        version: ExportVersion::V9,
        source_id: 1,
        send: SendConfig::default(),
        template_refresh_packets: 20,
        template_refresh: core::time::Duration::from_secs(600),
        interfaces: Vec::new(),
    };
    let directory = match &args.directory {
        Some(directory) => directory.clone(),
        None => temporary_directory()?,
    };
    let report = demo::run(config, &args.read, &directory)?;
    match print(&report.to_string()) {
        // Whoever reads no further has seen enough; the status still says how it went.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        Err(error) => return Err(Failure::File { path: "to standard output".to_owned(), error }),
        Ok(()) => {}
    }
    for fault in report.faults() {
        tell(format_args!("netflow-collector: {fault}"));
    }
    let went_well = report.is_complete() && report.faults().is_empty();
    Ok(if went_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes())?;
    output.flush()
}

/// A directory that did not exist before.
fn temporary_directory() -> Result<PathBuf, Failure> {
    for number in 0..1_000 {
        let path = env::temp_dir().join(format!("netflow-demo-{number}"));
        match fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Failure::File { path: path.display().to_string(), error }),
        }
    }
    let path = env::temp_dir().join("netflow-demo-*").display().to_string();
    Err(Failure::File { path, error: ErrorKind::AlreadyExists.into() })
}

impl From<DemoError> for Failure {
    fn from(error: DemoError) -> Self {
        Self::Demo(Box::new(error))
    }
}
