//! How the program runs and what it tells.

use core::sync::atomic::{AtomicU64, Ordering};
use std::{
    ffi::OsString,
    io::{self, IsTerminal},
    sync::{Arc, Mutex, PoisonError},
};

use clap::{Args, CommandFactory as _, FromArgMatches as _};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Arguments, Failure, MeteringArgs};
use crate::{
    config::{self, Told},
    exporter::ExporterConfig,
    service::{Reload, ServiceOptions, set_log_level},
};

/// Arguments of the running program.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Service")]
pub struct ServiceArgs {
    /// No progress bar, no closing account, and of messages only warnings and errors
    #[arg(long, short)]
    pub quiet: bool,

    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show the text as help of the whole group")]
    pub options: ServiceOptions,
}

impl ServiceArgs {
    /// A progress bar over so many octets, where somebody can see it.
    pub(super) fn progress_bar(&self, total_octets: u64) -> ProgressBar {
        if self.quiet || !io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let target = ProgressDrawTarget::stderr_with_hz(10);
        let bar = ProgressBar::with_draw_target(Some(total_octets), target);
        let style = ProgressStyle::with_template(
            "{bar:40} {percent:>3}% {bytes}/{total_bytes} {bytes_per_sec} {eta}",
        );
        bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
    }
}

/// Keys that are in force at once when the configuration file is read again. All others are after a restart.
const IN_FLIGHT: [&str; 32] = [
    "collector",
    "distribution",
    "template-refresh-packets",
    "template-refresh",
    "mtu",
    "rate-limit",
    "source",
    "ttl",
    "dscp",
    "queue-size",
    "reconnect",
    "stall-timeout",
    "resolve-interval",
    "interface-name",
    "log-level",
    "active-timeout",
    "inactive-timeout",
    "inactive-timeout-tcp",
    "inactive-timeout-udp",
    "inactive-timeout-icmp",
    "short-flows",
    "tcp-end",
    "tcp-reset",
    "lifetime",
    "cache",
    "when-full",
    "emergency",
    "counter-limit",
    "tunnel",
    "fragments",
    "max-flows",
    "sampling",
];

/// What is to be in force from now on, on its way from the thread that has read it to those that export.
#[derive(Debug, Default)]
pub(super) struct Updates {
    count: AtomicU64,
    last: Mutex<Option<Arc<ExporterConfig>>>,
}

impl Updates {
    fn set(&self, config: ExporterConfig) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(config));
        self.count.fetch_add(1, Ordering::Release);
    }

    /// What has come since `seen`, which is then the same as before.
    pub(super) fn take(&self, seen: &mut u64) -> Option<Arc<ExporterConfig>> {
        let count = self.count.load(Ordering::Acquire);
        if count == *seen {
            return None;
        }
        *seen = count;
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Reads the configuration file again, whenever it is called: what can be changed at once goes to `updates`, and what is
/// in force after a restart only is named.
pub(super) fn reload(
    arguments: &[OsString],
    told: &Told,
    started: &Arguments,
    updates: Arc<Updates>,
) -> Reload {
    let arguments = arguments.to_vec();
    let command = Arguments::command();
    let at_start = config::effective(&command, told.matches(), told);
    let mut before = at_start.clone();
    let started = started.clone();
    Box::new(move || {
        let command = Arguments::command();
        let told = config::parse(&command, &arguments).map_err(|error| error.to_string())?;
        let new = Arguments::from_arg_matches(told.matches()).map_err(|error| error.to_string())?;
        new.check().map_err(|failure| failure.to_string())?;
        let now = config::effective(&command, told.matches(), &told);
        let is_in_flight = |key: &String| IN_FLIGHT.contains(&key.as_str());
        let changed: Vec<String> = config::changed(&before, &now).into_iter().filter(is_in_flight).collect();
        let later: Vec<String> =
            config::changed(&at_start, &now).into_iter().filter(|key| !is_in_flight(key)).collect();
        if !changed.is_empty() {
            let config = new.config_in_flight(&started).map_err(|failure| failure.to_string())?;
            updates.set(config);
            set_log_level(&new.service.options, started.service.quiet);
        }
        before = now;
        let said = [("in force: ", changed), ("in force after a restart: ", later)];
        let said: Vec<String> = said
            .into_iter()
            .filter(|(_, keys)| !keys.is_empty())
            .map(|(text, keys)| format!("{text}{}", keys.join(", ")))
            .collect();
        Ok(if said.is_empty() { "the arguments are as they were".to_owned() } else { said.join("; ") })
    })
}

impl Arguments {
    /// How to export from now on, by an exporter that was started with other arguments.
    fn config_in_flight(&self, started: &Self) -> Result<ExporterConfig, Failure> {
        // What cannot be changed stays as it was started.
        let mut mixed = started.clone();
        let write = mixed.export.write.take();
        let (version, source_id, drain) =
            (mixed.export.export_version, mixed.export.source_id, mixed.export.drain_timeout);
        let metering = &started.metering;
        let (key, collect, biflow) = (metering.key.clone(), metering.collect.clone(), metering.biflow);
        mixed.metering = MeteringArgs {
            key,
            collect,
            biflow,
            biflow_records: metering.biflow_records,
            seed: metering.seed,
            ..self.metering.clone()
        };
        mixed.sampling = self.sampling.clone();
        mixed.export = self.export.clone();
        mixed.export.write = write;
        (mixed.export.export_version, mixed.export.source_id, mixed.export.drain_timeout) =
            (version, source_id, drain);
        mixed.check()?;
        mixed.config()
    }
}
