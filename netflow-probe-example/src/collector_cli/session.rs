//! What all subcommands share: where output goes, and how the account is told.

use core::{fmt, time::Duration};
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use netflow_codec::{CacheLimits, ElementRegistry, Strictness, TemplateLifetime};

#[cfg(feature = "kafka")]
use super::KafkaArgs;
use super::{
    AlertArgs, Failure, QuirkSwitch, quirk,
    sinks::{CountingArgs, Effect, GeoArgs, MessagesArgs, Shared, Sinks, with_messages},
};
use crate::{
    account::{Fault, Summary},
    collector::Collector,
    config::{parse_duration, parse_octets, same_file},
    elements,
    jobs::ioc::Watch,
    messages::MessageFiles,
    output::{FlowSink, Format, OutputQueue, RecordsSink},
    policy::Policy,
    service::announce,
    store::{AddressForm, Retention, Store, StoreConfig},
};

const ELEMENTS_HELP: &str = "Take names and types of elements from this CSV file, whose first line names its columns: \
                             pen, id, name, data_type (as in unsigned32) and, if wanted, semantics, units, range (as in \
                             0-32), reversible (yes or no); others are ignored. They go before the built-in ones of \
                             enterprises; IANA's stay. May be given several times";

/// Where output goes, and in which form.
#[derive(Args, Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "switches of a command line")]
pub struct OutputArgs {
    /// How to print flows.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: Format,
    /// Print every record as it came instead, field by field, options included: one JSON object a line. Datagrams
    /// are counted from 0 over all files, sets from 0 in their datagram; offsets are octets of the UDP payload;
    /// times are RFC 3339 text, octets without a known meaning hexadecimal text.
    #[arg(long, conflicts_with = "format")]
    pub records: bool,
    /// Print to this file instead of standard output, which is `-`.
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show the text as help of the whole group")]
    pub store: StoreArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show the text as help of the whole group")]
    pub messages: MessagesArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show the text as help of the whole group")]
    pub alerts: AlertArgs,
    /// Make the reverse direction of a biflow (RFC 5103, also counters of a responder as of Cisco's firewalls) a flow of
    /// its own, behind the forward one. Without it, reverse values are among the fields of the one flow.
    #[arg(long)]
    pub split_biflows: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show the text as help of the whole group")]
    pub counting: CountingArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show the text as help of the whole group")]
    pub geo: GeoArgs,
    #[cfg(feature = "kafka")]
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show the text as help of the whole group")]
    pub kafka: KafkaArgs,
    /// Files of definitions of elements, see [`elements::read`].
    #[arg(long, value_name = "FILE.csv", help = ELEMENTS_HELP)]
    pub elements: Vec<PathBuf>,
    /// Write an account of what came, was lost or was malformed to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    pub summary: Option<PathBuf>,
    /// Neither faults nor the account on standard error.
    #[arg(long, short)]
    pub quiet: bool,
    /// Quirks that are switched.
    #[arg(long = "quirk", value_name = "NAME=on|off", help = quirk::HELP)]
    pub quirks: Vec<QuirkSwitch>,
    /// Decode nothing of structures that break the rules of RFC 3954 or RFC 7011, instead of whatever is sound in them.
    #[arg(long)]
    pub strict: bool,
}

/// Where and how flows are stored.
#[derive(Args, Clone, Debug, Default)]
pub struct StoreArgs {
    /// Store flows in this directory, as Parquet files in a folder for each hour. Flows are then printed only with
    /// --output.
    #[arg(long, value_name = "DIR")]
    pub store: Option<PathBuf>,
    /// Begin a new file for each interval of this length [default: 5m].
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, requires = "store")]
    pub store_interval: Option<Duration>,
    /// Begin a new file when one has so many octets [default: 1G].
    #[arg(long, value_name = "OCTETS", value_parser = parse_octets, requires = "store")]
    pub store_size: Option<u64>,
    /// Complete the open file at least so often: no more than that can be lost [default: the interval].
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, requires = "store")]
    pub sync_interval: Option<Duration>,
    /// Delete files that were written so long ago, as in 90d.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, requires = "store")]
    pub store_age: Option<Duration>,
    /// Delete the oldest files while all of them have more octets, as in 500G.
    #[arg(long, value_name = "OCTETS", value_parser = parse_octets, requires = "store")]
    pub store_limit: Option<u64>,
    /// Level of compression (zstd), 1 to 22 [default: 1].
    #[arg(long, value_name = "LEVEL", value_parser = clap::value_parser!(i32).range(1..=22), requires = "store")]
    pub store_compression: Option<i32>,
    /// How addresses stand in the store. Octets take less time and room, but engines have to be told what they mean; a
    /// store should have one form only.
    #[arg(long, value_enum, value_name = "FORM", default_value_t, requires = "store")]
    pub store_addresses: AddressForm,
}

impl StoreArgs {
    pub(super) fn open(&self) -> Result<Option<Store>, Failure> {
        let Some(folder) = &self.store else { return Ok(None) };
        let mut config = StoreConfig::new(folder);
        config.interval = self.store_interval.unwrap_or(config.interval).max(Duration::from_secs(1));
        config.file_limit = self.store_size.unwrap_or(config.file_limit);
        config.sync_interval = self.sync_interval.unwrap_or(config.interval);
        config.retention = Retention { age: self.store_age, octets: self.store_limit };
        config.addresses = self.store_addresses;
        config.compression = self.store_compression.unwrap_or(config.compression);
        Store::open(config).map(Some).map_err(|error| file_failure(folder, error))
    }
}

/// What prints, behind what looks for indicators.
pub(super) fn watched(watch: Option<Watch>, printer: Option<Box<dyn FlowSink>>) -> Option<Box<dyn FlowSink>> {
    match watch {
        None => printer,
        Some(watch) => Some(Box::new((watch, printer))),
    }
}

/// The limits for what is read from files: between two captures may lie years, and templates stay known.
pub(super) fn limits_of_files() -> CacheLimits {
    let mut limits = CacheLimits::default();
    limits.lifetime = TemplateLifetime::FOREVER;
    limits
}

/// Says something on standard error, in the form that was asked for. That nobody may be listening there is no reason to
/// stop.
pub(super) fn tell(message: impl fmt::Display) {
    announce(message);
}

impl OutputArgs {
    /// Makes sure that no file is written over that is read, nor one by two. To be called before anything is created.
    pub(super) fn check(&self, inputs: &[PathBuf]) -> Result<(), Failure> {
        let outputs = [("--output", &self.output), ("--summary", &self.summary)];
        let outputs = outputs.map(|(name, path)| {
            path.as_deref().filter(|path| path.as_os_str() != "-").map(|path| (name, path))
        });
        let named = |(name, path): (&str, &Path)| format!("{name} {}", path.display());
        for written in outputs.into_iter().flatten() {
            for elements in &self.elements {
                if same_file(elements, written.1) {
                    let other = named(("--elements", elements));
                    return Err(Failure::SameFile { written: named(written), other });
                }
            }
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
    pub(super) fn collector(
        &self,
        limits: CacheLimits,
        shared: &Shared,
        messages: Option<&Arc<MessageFiles>>,
    ) -> Result<Collector<Sinks>, Failure> {
        let elements = self.defined()?;
        let store = self.store.open()?;
        // Sinks have buffers of their own.
        let is_taken = store.is_some() || messages.is_some() || shared.takes_flows;
        let printer = self.destination(is_taken)?.map(|output| self.sink(output));
        let policy = self.with_quirks(Policy::default());
        let printer = with_messages(messages, 0, watched(self.alerts.watch(self.quiet)?, printer));
        let sinks = shared.staged(&self.counting, (printer, store));
        Ok(self.collector_with(limits, elements, sinks, Arc::new(policy), |fault| tell(fault)))
    }

    /// What is printed to; nothing, when flows go elsewhere and no output is named.
    pub(super) fn destination(&self, is_taken: bool) -> Result<Option<Box<dyn io::Write + Send>>, Failure> {
        Ok(match &self.output {
            None if is_taken => None,
            Some(path) if path.as_os_str() != "-" => {
                Some(Box::new(File::create(path).map_err(|error| file_failure(path, error))?))
            }
            _ => Some(Box::new(io::stdout())),
        })
    }

    /// This policy, with the quirks that these arguments switch.
    pub(super) fn with_quirks(&self, mut policy: Policy) -> Policy {
        for QuirkSwitch { quirk, is_on, exporter } in &self.quirks {
            policy.switch_quirk(*quirk, *is_on, *exporter);
        }
        policy
    }

    /// A collector with these sinks that does what these arguments ask for.
    pub(super) fn collector_with(
        &self,
        limits: CacheLimits,
        elements: ElementRegistry,
        sinks: Sinks,
        policy: Arc<Policy>,
        report: fn(&Fault),
    ) -> Collector<Sinks> {
        let strictness = if self.strict { Strictness::Rfc } else { Strictness::Lenient };
        let mut collector = Collector::with_limits(sinks, limits, strictness);
        if !self.quiet {
            collector.on_fault(report);
        }
        collector.split_biflows(self.split_biflows);
        collector.set_policy(policy);
        if !elements.is_empty() {
            collector.define_elements(elements);
        }
        collector
    }

    /// The elements of the files that were named.
    pub(super) fn defined(&self) -> Result<ElementRegistry, Failure> {
        let mut registry = ElementRegistry::new();
        for path in &self.elements {
            let failure = |error: String| Failure::Elements { path: path.display().to_string(), error };
            let file = File::open(path).map_err(|error| failure(error.to_string()))?;
            elements::read(file, &mut registry).map_err(|error| failure(error.to_string()))?;
        }
        Ok(registry)
    }

    fn sink(&self, output: impl io::Write + 'static) -> Box<dyn FlowSink> {
        if self.records { Box::new(RecordsSink::new(output)) } else { self.format.sink(output) }
    }

    /// The sink of a worker that prints to this queue; others may do so, too, if the headings were printed before.
    pub(super) fn sink_of(&self, queue: &OutputQueue, has_headings: bool) -> Box<dyn FlowSink> {
        let output = if self.format == Format::Protobuf && !self.records {
            queue.output_of_messages()
        } else {
            queue.output()
        };
        if has_headings && !self.records {
            self.format.sink_without_headings(output)
        } else {
            self.sink(output)
        }
    }

    /// Prints the headings, once for all workers.
    pub(super) fn print_headings(&self, queue: &OutputQueue) -> io::Result<()> {
        if self.records { Ok(()) } else { self.format.sink(queue.output()).flush() }
    }

    /// Whether the account can be written at the end: better known before. What the file has stays.
    pub(super) fn check_summary(&self) -> Result<(), Failure> {
        let Some(path) = &self.summary else { return Ok(()) };
        let checked = match fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => File::options().append(true).open(path).map(drop),
            Ok(metadata) if metadata.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
            // A pipe, say, which somebody else may open later.
            Ok(_) => Ok(()),
            Err(_) => File::create_new(path).and_then(|_| fs::remove_file(path)),
        };
        checked.map_err(|error| file_failure(path, error))
    }

    /// Tells the account, after the last datagram, unless that is done elsewhere.
    pub(super) fn conclude(
        &self,
        summary: &Summary<'_>,
        effects: &[Effect],
        is_told: bool,
    ) -> Result<(), Failure> {
        if is_told && !self.quiet {
            tell(summary.to_string().trim_end());
            for effect in effects {
                tell(&effect.line);
            }
        }
        let Some(path) = &self.summary else { return Ok(()) };
        let mut json = summary.to_json();
        if let Some(json) = json.as_object_mut() {
            json.extend(effects.iter().map(|effect| (effect.name.to_owned(), effect.json.clone())));
        }
        fs::write(path, format!("{json:#}\n")).map_err(|error| file_failure(path, error))
    }
}

pub(super) fn file_failure(path: &Path, error: io::Error) -> Failure {
    Failure::File { path: path.display().to_string(), error }
}
