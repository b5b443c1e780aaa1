//! What all subcommands share: where output goes, and how the account is told.

use core::fmt;
use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use clap::Args;
use netflow_codec::{CacheLimits, Strictness};

use super::Failure;
use crate::{
    account::Summary,
    collector::Collector,
    config::same_file,
    output::{FlowSink, Format, RecordsSink},
};

/// Where output goes, and in which form.
#[derive(Args, Clone, Debug, Default)]
pub struct OutputArgs {
    /// How to print flows.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: Format,
    /// Print every record as it came instead, field by field, options included: one JSON object a line. Datagrams
    /// are counted from 0 over all files, sets from 0 in their datagram; offsets are octets of the UDP payload;
    /// times are RFC 3339 text, octets without a known meaning hexadecimal text.
    #[arg(long, conflicts_with = "format")]
    pub records: bool,
    /// Print to this file instead of standard output.
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Write an account of what came, was lost or was malformed to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    pub summary: Option<PathBuf>,
    /// Neither faults nor the account on standard error.
    #[arg(long, short)]
    pub quiet: bool,
    /// Decode nothing of structures that break the rules of RFC 3954 or RFC 7011, instead of whatever is sound in them.
    #[arg(long)]
    pub strict: bool,
}

/// Says something on standard error. That nobody may be listening there is no reason to stop.
pub(super) fn tell(message: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "{message}");
}

impl OutputArgs {
    /// Makes sure that no file is written over that is read, nor one by two. To be called before anything is created.
    pub(super) fn check(&self, inputs: &[PathBuf]) -> Result<(), Failure> {
        let outputs = [("--output", &self.output), ("--summary", &self.summary)];
        let outputs = outputs.map(|(name, path)| path.as_deref().map(|path| (name, path)));
        let named = |(name, path): (&str, &Path)| format!("{name} {}", path.display());
        for written in outputs.into_iter().flatten() {
            for input in inputs {
                let is_stdin = input.as_os_str() == "-";
                let read = if is_stdin { Path::new("/dev/stdin") } else { input };
                if same_file(read, written.1) {
                    let other = named(("the input", input));
                    return Err(Failure::SameFile { written: named(written), other });
                }
            }
        }
        match outputs {
            // Two names of a file that does not exist yet must be equal to be found out.
            [Some(output), Some(summary)]
                if same_file(output.1, summary.1) || output.1 == summary.1 && !output.1.exists() =>
            {
                Err(Failure::SameFile { written: named(summary), other: named(output) })
            }
            _ => Ok(()),
        }
    }

    /// A collector that prints what these arguments ask for.
    pub(super) fn collector(&self) -> Result<Collector<Box<dyn FlowSink>>, Failure> {
        let sink = match &self.output {
            Some(path) => self.sink(File::create(path).map_err(|error| file_failure(path, error))?),
            // Sinks have buffers of their own.
            None => self.sink(io::stdout()),
        };
        let strictness = if self.strict { Strictness::Rfc } else { Strictness::Lenient };
        let mut collector = Collector::with_limits(sink, CacheLimits::default(), strictness);
        if !self.quiet {
            collector.on_fault(|fault| tell(fault));
        }
        Ok(collector)
    }

    fn sink(&self, output: impl io::Write + 'static) -> Box<dyn FlowSink> {
        if self.records { Box::new(RecordsSink::new(output)) } else { self.format.sink(output) }
    }

    /// Tells the account, after the last datagram.
    pub(super) fn conclude(&self, summary: Summary<'_>) -> Result<(), Failure> {
        if !self.quiet {
            tell(summary.to_string().trim_end());
        }
        let Some(path) = &self.summary else { return Ok(()) };
        let text = format!("{:#}\n", summary.to_json());
        fs::write(path, text).map_err(|error| file_failure(path, error))
    }
}

fn file_failure(path: &Path, error: io::Error) -> Failure {
    Failure::File { path: path.display().to_string(), error }
}
