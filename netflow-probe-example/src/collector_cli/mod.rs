//! The command line of `netflow-collector`.
//!
//! A subcommand is a variant of [`Command`], whose arguments and work are a module of their own.

mod attack;
mod decode;
mod demo;
mod doctor;
mod ioc;
mod listen;
mod plan;
mod query;
mod quirk;
mod report;
mod serve;
mod session;
mod sinks;
mod source;
mod status;
mod timeline;

use core::fmt;
use std::{
    ffi::OsString,
    io::{self, Write as _},
    process::ExitCode,
};

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use serde::Serialize;

pub use attack::{AttackArgs, ThresholdArgs};
pub use decode::DecodeArgs;
pub use demo::DemoArgs;
pub use doctor::DoctorArgs;
pub use ioc::{AlertArgs, IocArgs};
#[cfg(feature = "tls")]
pub use listen::TlsArgs;
pub use listen::{ListenArgs, TemplateScope};
pub use plan::PlanArgs;
pub use query::{Aggregation, QueryArgs};
pub use quirk::QuirkSwitch;
pub use report::ReportArgs;
pub use serve::ServeArgs;
pub use session::{OutputArgs, StoreArgs};
#[cfg(feature = "kafka")]
pub use sinks::KafkaArgs;
pub use sinks::{CountingArgs, GeoArgs, MessagesArgs, RelayArgs};
pub use source::SourceArgs;
pub use status::StatusArgs;
pub use timeline::TimelineArgs;

use crate::{
    config::{self, ConfigError},
    service::{Package, tell_failure},
};

/// What the program is called.
const NAME: &str = "netflow-collector";

/// Receives and decodes NetFlow v5, v9 and IPFIX (and v1, v6, v7, v8).
#[derive(Clone, Debug, Parser)]
#[command(name = "netflow-collector", version, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the collector can do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Receive from exporters until interrupted, and print their flows.
    Listen(Box<ListenArgs>),
    /// Print the flows in capture files (pcap, pcapng) and IPFIX files.
    Decode(Box<DecodeArgs>),
    /// Show how a collector that runs does, and each of its exporters: who lags, who lost how much, what is missing.
    Status(StatusArgs),
    /// Answer questions about flows that were stored, or are in files: those that a filter lets pass, the greatest by any element.
    Query(Box<QueryArgs>),
    /// Show a store in the browser: graphs over time, tables, exporters, profiles.
    Serve(ServeArgs),
    /// Who talked to these addresses: indicators of compromise against stored flows or files.
    Ioc(Box<IocArgs>),
    /// What a host did: its sessions in the order of time, with peers, pauses, volumes and TCP flags.
    Timeline(Box<TimelineArgs>),
    /// Which attacks there were: floods, amplification, carpet bombing and scans in stored flows or files.
    Attack(Box<AttackArgs>),
    /// What the network carried: traffic by exporter, AS, prefix, interface, protocol and application, as tables and a page.
    Report(Box<ReportArgs>),
    /// How much disk and bandwidth flows will take: an estimate from routers, rates, packets and sampling.
    Plan(PlanArgs),
    /// Check exporters, in files or live: what of their datagrams is against RFC 3954 or RFC 7011.
    Doctor(DoctorArgs),
    /// Show the whole job on this machine: traffic, exporter, UDP on loopback, collector, tables.
    Demo(DemoArgs),
    /// What packages of the program are made with.
    #[command(flatten)]
    Package(Package),
}

/// The program: what the command line and the configuration file ask for. What goes wrong is told on standard error.
#[must_use]
pub fn main(arguments: &[OsString]) -> ExitCode {
    let command = Cli::command();
    let told = match config::parse(&command, arguments) {
        Ok(told) => told,
        Err(error) => return error.conclude(NAME).into(),
    };
    let cli = match Cli::from_arg_matches(told.matches()) {
        Ok(cli) => cli,
        Err(error) => return ConfigError::Arguments(error).conclude(NAME).into(),
    };
    match (&cli.command, told.matches().subcommand()) {
        (Command::Listen(args), Some((name, matches))) => {
            let Some(listen) = command.find_subcommand(name) else { return ExitCode::FAILURE };
            let done = if args.config.check {
                args.policy().and_then(|_understood| {
                    let effective = config::effective(listen, matches, &told);
                    io::stdout().write_all(effective.as_bytes()).map_err(Failure::Output)
                })
            } else {
                listen::run(args, listen::configuration(arguments, config::effective(listen, matches, &told)))
            };
            conclude(done.map(|()| ExitCode::SUCCESS))
        }
        _ => cli.run(),
    }
}

impl Cli {
    /// Does it. What goes wrong is told on standard error.
    #[must_use]
    pub fn run(&self) -> ExitCode {
        conclude(match &self.command {
            Command::Listen(args) => listen::run(args, Box::new(|| Ok(None))).map(|()| ExitCode::SUCCESS),
            Command::Decode(args) => decode::run(args),
            Command::Status(args) => status::run(args),
            Command::Query(args) => query::run(args),
            Command::Serve(args) => serve::run(args),
            Command::Ioc(args) => ioc::run(args),
            Command::Timeline(args) => timeline::run(args),
            Command::Report(args) => report::run(args),
            Command::Plan(args) => plan::run(args),
            Command::Doctor(args) => doctor::run(args),
            Command::Attack(args) => attack::run(args),
            Command::Demo(args) => demo::run(args),
            Command::Package(package) => {
                package.print(Self::command()).map(|()| ExitCode::SUCCESS).map_err(Failure::Output)
            }
        })
    }
}

/// Tells what went wrong, and gives the exit status.
fn conclude(result: Result<ExitCode, Failure>) -> ExitCode {
    match result {
        Ok(code) => code,
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => {
            tell_failure(NAME, &failure.to_string());
            // The status of wrong arguments, as clap has it.
            if matches!(
                failure,
                Failure::SameFile { .. }
                    | Failure::Filter(_)
                    | Failure::Policy(_)
                    | Failure::Elements { .. }
                    | Failure::Indicators(_)
                    | Failure::Twice
            ) {
                ExitCode::from(2)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

/// Prints the report of a job: for readers, or as JSON.
fn print_report(report: &(impl fmt::Display + Serialize), as_json: bool) -> Result<(), Failure> {
    let text = if as_json {
        let json = serde_json::to_string_pretty(report).map_err(io::Error::from).map_err(Failure::Output)?;
        format!("{json}\n")
    } else {
        report.to_string()
    };
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Failure::Output)
}

/// Why the collector gives up.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// Flows cannot be written any more; when nobody reads them, that is the quiet end.
    #[error("cannot write flows: {0}")]
    Output(#[source] io::Error),
    /// A file to write to cannot be created or written.
    #[error("cannot write {path}: {error}")]
    File {
        path: String,
        #[source]
        error: io::Error,
    },
    /// Writing to one argument would destroy what another one names.
    #[error("{written} and {other} are the same file: it would be overwritten")]
    SameFile { written: String, other: String },
    /// Definitions of elements that are not understood.
    #[error("cannot read elements of {path}: {error}")]
    Elements { path: String, error: String },
    #[error("cannot read the store {path}: {error}")]
    Store {
        path: String,
        #[source]
        error: io::Error,
    },
    #[error("cannot serve at {address}: {error}")]
    Serve {
        address: core::net::SocketAddr,
        #[source]
        error: io::Error,
    },
    #[error("cannot take the token of {path}: {error}")]
    Token {
        path: String,
        #[source]
        error: io::Error,
    },
    #[error("cannot ask a collector at {path}: {error}")]
    Control {
        path: String,
        #[source]
        error: io::Error,
    },
    /// A policy that is not understood.
    #[error("cannot use the policy {0}")]
    Policy(String),
    /// A filter that is not understood, shown with a mark at the place.
    #[error("in the filter, {0}")]
    Filter(String),
    #[error("the flows are looked at twice, and standard input can be read only once")]
    Twice,
    /// Indicators that nothing can be taken from.
    #[error("cannot read indicators of {0}")]
    Indicators(String),
    #[error(transparent)]
    Bind(#[from] crate::receive::BindError),
    #[error(transparent)]
    Enrichment(#[from] crate::enrichment::EnrichmentError),
    #[cfg(feature = "kafka")]
    #[error("cannot send to Kafka: {0}")]
    Kafka(#[source] io::Error),
    #[error(transparent)]
    Relay(#[from] crate::relay::RelayError),
    #[error("cannot receive: {0}")]
    Receive(#[source] io::Error),
    #[error(transparent)]
    Demo(Box<crate::demo::DemoError>),
    #[cfg(feature = "tls")]
    #[error(transparent)]
    Tls(crate::receive::TlsError),
    #[error("cannot watch for signals: {0}")]
    Signals(#[source] io::Error),
    #[error(transparent)]
    Service(#[from] crate::service::ServiceError),
    #[error(transparent)]
    Privileges(#[from] crate::service::PrivilegeError),
    /// A thread ended without a word.
    #[error("a thread that receives panicked")]
    Worker,
}
