//! The command line of `netflow-exporter`.
//!
//! What belongs together is one module with its arguments and what becomes of them; [`Arguments`] joins them.

mod account;
mod attributes;
mod capture;
mod explain;
mod export;
#[cfg(feature = "live")]
mod live;
mod metering;
mod sampling;
mod service;

use core::ops::ControlFlow;
use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs,
    io::{self, Write as _},
    process::ExitCode,
    sync::Arc,
};

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use netflow_codec::{EncodeError, ExportVersion};
use tracing::{error, warn};

pub use attributes::{AttributesArgs, AutonomousSystemTypeArg};
pub use capture::{CaptureArgs, Way};
pub use explain::ExplainConfigArgs;
pub use export::{DistributionArg, ExportArgs, Version};
pub use metering::{Cache, FragmentsArg, MeteringArgs, Policy, TimeOrNever, TunnelArg};
pub use sampling::SamplingArgs;
pub use service::ServiceArgs;
use service::Updates;

use crate::{
    capture::FrameFilter,
    config::{self, ConfigArgs, ConfigError},
    exporter::{ExportError, Exporter, ExporterAccount, ExporterConfig},
    meter::FlowSource,
    send::{RecordContent, SendError, Target},
    service::{Package, Reload, Service, drop_privileges, start_log, tell_failure},
};
use capture::is_stdin;

/// Meters traffic into flows and exports them as NetFlow.
///
/// Packets are read from capture files and metered by their own time stamps; the flows go to collectors over UDP,
/// or into a capture file. A closing account on stderr says what became of every packet, flow and datagram.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "netflow-exporter",
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
#[expect(missing_docs, reason = "clap would show the text of a field as help of the whole group")]
pub struct Arguments {
    #[command(subcommand)]
    pub instead: Option<Instead>,
    #[command(flatten)]
    pub config: ConfigArgs,
    #[command(flatten)]
    pub capture: CaptureArgs,
    #[command(flatten)]
    pub metering: MeteringArgs,
    #[command(flatten)]
    pub sampling: SamplingArgs,
    #[command(flatten)]
    pub export: ExportArgs,
    #[command(flatten)]
    pub attributes: AttributesArgs,
    #[command(flatten)]
    pub service: ServiceArgs,
}

/// What can be done instead of metering.
#[derive(Clone, Debug, Subcommand)]
pub enum Instead {
    /// Translate the configuration of another exporter into one for --config, and name what cannot be carried over.
    ExplainConfig(ExplainConfigArgs),
    /// What packages of the program are made with.
    #[command(flatten)]
    Package(Package),
}

/// The program: what the command line and the configuration file ask for. What goes wrong is told on standard error.
#[must_use]
pub fn main(arguments_given: &[OsString]) -> ExitCode {
    let command = Arguments::command();
    let told = match config::parse(&command, arguments_given) {
        Ok(told) => told,
        Err(error) => return error.conclude(NAME).into(),
    };
    let arguments = match Arguments::from_arg_matches(told.matches()) {
        Ok(arguments) => arguments,
        Err(error) => return ConfigError::Arguments(error).conclude(NAME).into(),
    };
    let done = match &arguments.instead {
        Some(Instead::ExplainConfig(args)) => args.run(),
        Some(Instead::Package(package)) => {
            package.print(command).map_err(|error| Failure::Run(error.to_string()))
        }
        None if arguments.config.check => arguments.check().and_then(|()| {
            let effective = config::effective(&command, told.matches(), &told);
            io::stdout().write_all(effective.as_bytes()).map_err(|error| Failure::Run(error.to_string()))?;
            arguments.tell_of_check()
        }),
        None => {
            let updates = Arc::<Updates>::default();
            let reload = service::reload(arguments_given, &told, &arguments, Arc::clone(&updates));
            arguments.run(reload, &updates)
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.conclude().into(),
    }
}

/// The process failed; its exit status.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The arguments do not fit together: status 2.
    #[error("{0}")]
    Usage(String),
    /// Something could not be read or written: status 1. The account has been printed.
    #[error("{0}")]
    Run(String),
    /// A signal asked to stop: status 128 and its number. What was read has been exported.
    #[error("signal {0}")]
    Interrupted(u8),
}

/// What the program is called.
const NAME: &str = "netflow-exporter";

impl Failure {
    /// Tells it on standard error, if it is not told yet, and gives the exit status.
    #[must_use]
    pub fn conclude(&self) -> u8 {
        match self {
            Self::Usage(text) => {
                tell_failure(NAME, text);
                2
            }
            Self::Run(text) => {
                tell_failure(NAME, text);
                1
            }
            Self::Interrupted(signal) => 128 + signal,
        }
    }
}

/// Tells once of each collector that nobody listens there.
#[derive(Debug, Default)]
struct Refusals(BTreeSet<String>);

impl Refusals {
    fn check<M: FlowSource>(&mut self, exporter: &Exporter<M>) {
        for destination in exporter.destinations() {
            let Target::Collector(collector) = destination.target() else { continue };
            let stats = destination.stats();
            if stats.refused > 0 && self.0.insert(collector.to_string()) {
                warn!("nobody listens at {collector}: flows sent there are lost");
            } else if stats.failed_connections + stats.errors > 0 && self.0.insert(collector.to_string()) {
                let reason = destination.failure().unwrap_or_default();
                warn!("cannot send to {collector}: {reason}");
            }
        }
    }
}

/// Goes on as an update says.
fn follow<M: FlowSource>(exporter: &mut Exporter<M>, update: &ExporterConfig) {
    if let Err(error) = exporter.reconfigure(update) {
        error!("the export stays as it was: {error}");
    }
}

/// Tells that what an update says of the metering cannot be done.
fn tell_unchanged(error: &SendError) {
    error!("the metering stays as it was: {error}");
}

impl Arguments {
    fn config(&self) -> Result<ExporterConfig, Failure> {
        let version = self.export.version()?;
        self.sampling.sampling.check(version).map_err(Failure::Usage)?;
        let mut send = self.export.send(!self.capture.interface.is_empty());
        send.biflows = self.metering.biflow_records;
        if send.biflows && version != ExportVersion::Ipfix {
            let text = "--biflow-records: only IPFIX (--export-version 10) has records of both directions";
            return Err(Failure::Usage(text.to_owned()));
        }
        Ok(ExporterConfig {
            meter: self.metering.config(self.sampling.sampling.clone())?,
            targets: self.export.targets(version),
            version,
            source_id: self.export.source_id,
            send,
            template_refresh_packets: self.export.template_refresh_packets.get(),
            template_refresh: self.export.template_refresh,
            interfaces: self.export.interface_name.clone(),
        })
    }

    /// Whether the arguments fit together, so that an exporter could begin.
    ///
    /// # Errors
    ///
    /// What is wrong with them.
    pub fn check(&self) -> Result<(), Failure> {
        self.capture.refuse_overwriting(self.export.write.as_deref())?;
        Exporter::new(self.config()?).map_err(|error| self.explain(&error))?;
        self.frame_filter()?;
        Ok(())
    }

    /// What can be said of arguments that fit together: warnings, and what this build cannot do.
    fn tell_of_check(&self) -> Result<(), Failure> {
        for warning in self.warnings(&self.config()?) {
            tell_failure(NAME, &warning);
        }
        #[cfg(not(feature = "live"))]
        self.refuse_interfaces()?;
        Ok(())
    }

    /// What the version cannot tell of what was asked for, though it can be exported.
    fn warnings(&self, config: &ExporterConfig) -> Vec<String> {
        let mut warnings = Vec::new();
        warnings.extend(self.sampling.sampling.check(config.version).ok().flatten());
        if config.version != ExportVersion::V5 {
            return warnings;
        }
        let rules = &config.meter.rules;
        let missing = RecordContent::new(&rules.key, rules.collect, false).not_in_v5();
        if !missing.is_empty() {
            warnings.push(format!(
                "--key: version 5 has no room for {}: records of flows that differ in nothing else look alike, and are \
                 counted; versions 9 and 10 have room",
                missing.join(", ")
            ));
        }
        if rules.collect.is_some() {
            warnings.push("--collect: records of version 5 are always the same".to_owned());
        }
        warnings
    }

    /// Runs the exporter.
    ///
    /// # Errors
    ///
    /// When arguments do not fit together, a file cannot be read to its end, a destination fails, or a signal comes.
    fn run(&self, reload: Reload, updates: &Updates) -> Result<(), Failure> {
        start_log(&self.service.options, self.service.quiet);
        self.capture.refuse_overwriting(self.export.write.as_deref())?;
        let config = self.config()?;
        self.warnings(&config).iter().for_each(|warning| warn!("{warning}"));
        let attributes = self.attributes.load()?;
        let reload = attributes::reload(attributes.as_ref(), reload);
        if !self.capture.interface.is_empty() {
            return self.run_live(config, attributes, reload, updates);
        }
        let mut exporter = Exporter::new(config).map_err(|error| self.explain(&error))?;
        exporter.set_speed(self.capture.speed);
        if let Some(filter) = self.frame_filter()? {
            exporter.set_filter(filter);
        }
        if let Some(attributes) = attributes {
            exporter.set_attributes(attributes);
        }
        let service = self.serve(1, reload)?;
        service.ready("metering capture files");
        let mut refusals = Refusals::default();
        let result = self.export(&mut exporter, &service, updates, &mut refusals);
        refusals.check(&exporter);
        if !self.service.quiet {
            Service::tell(&exporter.account());
        }
        result
    }

    fn frame_filter(&self) -> Result<Option<FrameFilter>, Failure> {
        let filter = self.capture.filter.as_deref().map(FrameFilter::new);
        filter.transpose().map_err(Failure::Usage)
    }

    /// Begins to run as a service, whose work is done by so many threads, with the privileges that it is to have.
    fn serve(&self, threads: usize, reload: Reload) -> Result<Service<ExporterAccount>, Failure> {
        let options = &self.service.options;
        let service = Service::start(options, NAME, threads, self.export.drain_timeout, reload)
            .map_err(|error| Failure::Run(error.to_string()))?;
        drop_privileges(options).map_err(|error| Failure::Run(error.to_string()))?;
        Ok(service)
    }

    /// A file that cannot be read to its end is told, and the next one is metered.
    fn export(
        &self,
        exporter: &mut Exporter,
        service: &Service<ExporterAccount>,
        updates: &Updates,
        refusals: &mut Refusals,
    ) -> Result<(), Failure> {
        let mut seen = 0;
        let bar = self.service.progress_bar(self.capture.total_octets());
        let mut before = 0;
        let mut faults = Vec::new();
        for path in &self.capture.read {
            let watch = |exporter: &mut Exporter, octets| {
                if let Some(update) = updates.take(&mut seen) {
                    follow(exporter, &update);
                    exporter.change_metering(&update.meter).unwrap_or_else(|error| tell_unchanged(&error));
                }
                bar.set_position(before + octets);
                bar.suspend(|| refusals.check(exporter));
                service.look(0, || exporter.account());
                if service.stop().is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            let read = if is_stdin(path) {
                exporter.read_from(io::stdin(), "standard input", watch)
            } else {
                exporter.read_file(path, watch)
            };
            match read {
                Ok(_) => {}
                Err(error @ ExportError::Capture { .. }) => faults.push(error.to_string()),
                Err(error) => return Err(Failure::Run(error.to_string())),
            }
            if service.stop().is_some() {
                break;
            }
            before += fs::metadata(path).map_or(0, |metadata| metadata.len());
            bar.set_position(before);
        }
        bar.finish_and_clear();
        exporter.finish().map_err(|error| Failure::Run(error.to_string()))?;
        if let Some(signal) = service.stop() {
            return Err(Failure::Interrupted(signal));
        }
        if faults.is_empty() {
            return Ok(());
        }
        let something = exporter.account().meter.frames.frames() > 0;
        let note = if something { " (what could be read has been exported)" } else { "" };
        Err(Failure::Run(format!("{}{note}", faults.join("\n"))))
    }

    /// Says how to get what this build lacks.
    #[cfg(not(feature = "live"))]
    fn refuse_interfaces(&self) -> Result<(), Failure> {
        if self.capture.interface.is_empty() {
            return Ok(());
        }
        let interfaces = self.capture.interface.join(", ");
        Err(Failure::Usage(format!("--interface {interfaces}: {}", crate::capture::NEEDS_LIVE)))
    }

    #[cfg(not(feature = "live"))]
    fn run_live(
        &self,
        _config: ExporterConfig,
        _attributes: Option<crate::attributes::Attributes>,
        _reload: Reload,
        _updates: &Updates,
    ) -> Result<(), Failure> {
        self.refuse_interfaces()
    }

    /// Which argument a session's refusal is about.
    fn explain(&self, error: &SendError) -> Failure {
        let argument = match error {
            SendError::Session(EncodeError::SamplingInterval { .. }) => {
                format!("--sampling {}", self.sampling.sampling)
            }
            SendError::Session(EncodeError::TooLarge { .. }) => {
                format!("--mtu {}", self.export.mtu.unwrap_or_default())
            }
            SendError::Transport { .. } => "--collector".to_owned(),
            _ => "--export-version".to_owned(),
        };
        Failure::Usage(format!("{argument}: {error}"))
    }
}
