//! The command line of `netflow-exporter`.

use core::{
    fmt,
    hash::BuildHasher,
    net::{IpAddr, SocketAddr},
    num::NonZeroU32,
    ops::ControlFlow,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};
use std::{
    collections::{BTreeSet, hash_map::RandomState},
    fs,
    io::{self, IsTerminal, Write as _},
    net::ToSocketAddrs,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::{ArgGroup, Parser, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use netflow_codec::{EncodeError, ExportVersion};
use netflow_flowcache::Timeouts;
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
};

use crate::{
    config::{parse_duration, same_file},
    exporter::{ExportError, Exporter, ExporterConfig, MAX_ACTIVE_TIMEOUT},
    meter::{MeterConfig, SAMPLING_HELP, SamplingSpec},
    send::{SendError, Target, default_port},
};

/// The most flows metered at once, of IPv4 and of IPv6: they take 4.4 GB together.
const MAX_FLOWS: i64 = 16_711_680;

/// Meters traffic into flows and exports them as NetFlow.
///
/// Packets are read from capture files and metered by their own time stamps; the flows go to collectors over UDP,
/// or into a capture file. A closing account on stderr says what became of every packet, flow and datagram.
#[derive(Clone, Debug, Parser)]
#[command(name = "netflow-exporter", version)]
#[command(group(ArgGroup::new("target").args(["collector", "write"]).required(true).multiple(true)))]
pub struct Arguments {
    /// Capture files to meter, in this order (pcap or pcapng); `-` is standard input
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    read: Vec<PathBuf>,

    /// Collector to send to; can be given several times, each one gets all flows. Without a port: 2055, for version 10
    /// the one that IPFIX has, 4739
    #[arg(long, value_name = "HOST[:PORT]", value_parser = resolve)]
    collector: Vec<Collector>,

    /// Write the datagrams to a capture file
    #[arg(long, value_name = "FILE.pcap")]
    write: Option<PathBuf>,

    /// NetFlow version; 10 is IPFIX
    #[arg(long, value_enum, default_value = "9")]
    export_version: Version,

    /// Meter a sample of the packets: 1:N, random:1:N and others
    #[arg(long, value_name = "SAMPLING", default_value = "1:1", long_help = SAMPLING_HELP)]
    sampling: SamplingSpec,

    /// Report a flow that goes on after this time, at most 20d
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = parse_active_timeout)]
    active_timeout: Duration,

    /// End a flow that was silent for this time
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = parse_duration)]
    inactive_timeout: Duration,

    /// Send the templates again behind this many datagrams with flows (versions 9 and 10)
    #[arg(long, value_name = "N", default_value = "20")]
    template_refresh_packets: NonZeroU32,

    /// Send the templates again after this time, 1s to 1d (versions 9 and 10)
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = parse_refresh)]
    template_refresh: Duration,

    /// Source ID (version 9), observation domain (version 10), or engine type and number as 256 * type + number (version 5, at most 65535)
    #[arg(long, value_name = "N", default_value_t = 0)]
    source_id: u32,

    /// Largest IP packet on the way to the collectors, in octets
    #[arg(long, value_name = "OCTETS", default_value_t = 1_500, value_parser = clap::value_parser!(u16).range(576..))]
    mtu: u16,

    /// Datagrams a second to send at most, over all collectors; 0 for no limit
    #[arg(long, value_name = "PACKETS_PER_SECOND", default_value_t = 20_000)]
    rate_limit: u32,

    /// Flows metered at once at most, of IPv4 and of IPv6; beyond that those silent longest are exported early
    #[arg(long, value_name = "N", default_value_t = 262_144, value_parser = clap::value_parser!(u32).range(1..=MAX_FLOWS))]
    max_flows: u32,

    /// Makes random sampling, and the order of forced evictions, the same on every run
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// No progress bar and no closing account
    #[arg(long, short)]
    quiet: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Version {
    /// NetFlow v5: IPv4 only
    #[value(name = "5")]
    V5,
    /// NetFlow v9
    #[value(name = "9")]
    V9,
    /// IPFIX
    #[value(name = "10")]
    V10,
}

fn parse_active_timeout(text: &str) -> Result<Duration, String> {
    let duration = parse_duration(text).map_err(|error| error.to_string())?;
    if duration > MAX_ACTIVE_TIMEOUT {
        return Err(
            "at most 20d: the times of longer flows do not fit into 32 bits of milliseconds".to_owned()
        );
    }
    Ok(duration)
}

fn parse_refresh(text: &str) -> Result<Duration, String> {
    let duration = parse_duration(text).map_err(|error| error.to_string())?;
    let accepted = Duration::from_secs(1)..=Duration::from_secs(86_400);
    if accepted.contains(&duration) { Ok(duration) } else { Err("accepted are 1s to 1d".to_owned()) }
}

/// A collector as it was given.
#[derive(Clone, Copy, Debug)]
enum Collector {
    /// With its port.
    At(SocketAddr),
    /// At the port of the version.
    Host(IpAddr),
}

impl Collector {
    fn address(self, default_port: u16) -> SocketAddr {
        match self {
            Self::At(address) => address,
            Self::Host(address) => SocketAddr::new(address, default_port),
        }
    }
}

/// The first address of a host name, or an address as it is.
fn resolve(text: &str) -> Result<Collector, String> {
    let accepted = "accepted are HOST, HOST:PORT, ADDRESS, ADDRESS:PORT and [IPV6-ADDRESS]:PORT";
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = bare.parse() {
        return Ok(Collector::Host(address));
    }
    let has_port = text.contains(':');
    let addresses = if has_port { text.to_socket_addrs() } else { (text, 0).to_socket_addrs() };
    let mut addresses = addresses.map_err(|error| format!("{error}; {accepted}"))?;
    let address = addresses.next().ok_or_else(|| format!("the name has no address; {accepted}"))?;
    match (has_port, address.port()) {
        (false, _) => Ok(Collector::Host(address.ip())),
        (true, 0) => Err(format!("port 0 cannot be sent to; {accepted}")),
        (true, _) => Ok(Collector::At(address)),
    }
}

/// The process failed; its exit status.
#[derive(Debug)]
pub enum Failure {
    /// The arguments do not fit together: status 2.
    Usage(String),
    /// Something could not be read or written: status 1. The account has been printed.
    Run(String),
    /// A signal asked to stop: status 128 and its number. What was read has been exported.
    Interrupted(u8),
}

/// Says something on standard error. That nobody may be listening there is no reason to stop.
fn tell(message: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "{message}");
}

impl Failure {
    /// Tells it on standard error, if it is not told yet, and gives the exit status.
    #[must_use]
    pub fn conclude(&self) -> u8 {
        match self {
            Self::Usage(text) => {
                tell(format_args!("netflow-exporter: {text}"));
                2
            }
            Self::Run(text) => {
                tell(format_args!("netflow-exporter: {text}"));
                1
            }
            Self::Interrupted(signal) => 128 + signal,
        }
    }
}

/// Whether a signal asked to stop, and which one.
#[derive(Debug)]
struct Stop(Arc<AtomicUsize>);

impl Stop {
    /// Watches from now on; the second signal ends the program at once.
    fn watch() -> io::Result<Self> {
        let stopping = Arc::new(AtomicBool::new(false));
        let received = Arc::new(AtomicUsize::new(0));
        for (signal, number) in [(SIGINT, 2), (SIGTERM, 15)] {
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&stopping))?;
            flag::register(signal, Arc::clone(&stopping))?;
            flag::register_usize(signal, Arc::clone(&received), number)?;
        }
        Ok(Self(received))
    }

    fn signal(&self) -> Option<u8> {
        u8::try_from(self.0.load(Ordering::Relaxed)).ok().filter(|signal| *signal > 0)
    }
}

/// Tells once of each collector that nobody listens there.
#[derive(Debug, Default)]
struct Refusals(BTreeSet<SocketAddr>);

impl Refusals {
    fn check(&mut self, exporter: &Exporter) {
        for destination in exporter.destinations() {
            if let Target::Collector(address) = destination.target()
                && destination.stats().refused > 0
                && self.0.insert(*address)
            {
                tell(format_args!(
                    "netflow-exporter: nobody listens at {address}: flows sent there are lost"
                ));
            }
        }
    }
}

impl Arguments {
    fn config(&self) -> Result<ExporterConfig, Failure> {
        let version = match self.export_version {
            Version::V5 => ExportVersion::V5,
            Version::V9 => ExportVersion::V9,
            Version::V10 => ExportVersion::Ipfix,
        };
        if matches!(version, ExportVersion::V5) && self.source_id > 0xffff {
            let text = format!("--source-id {}: version 5 has 16 bits for it, 0 to 65535", self.source_id);
            return Err(Failure::Usage(text));
        }
        self.sampling.check(version).map_err(Failure::Usage)?;
        let mut timeouts = Timeouts::default();
        timeouts.active = Some(self.active_timeout);
        timeouts.inactive = Some(self.inactive_timeout);
        let port = default_port(version);
        let collectors = self.collector.iter().map(|collector| Target::Collector(collector.address(port)));
        let files = self.write.iter().cloned().map(Target::File);
        Ok(ExporterConfig {
            meter: MeterConfig {
                timeouts,
                // At most `MAX_FLOWS`.
                max_flows: usize::try_from(self.max_flows).unwrap_or(usize::MAX),
                sampling: self.sampling.clone(),
                seed: self.seed.unwrap_or_else(|| RandomState::new().hash_one(0)),
            },
            targets: collectors.chain(files).collect(),
            version,
            source_id: self.source_id,
            mtu: self.mtu,
            template_refresh_packets: self.template_refresh_packets.get(),
            template_refresh: self.template_refresh,
            rate_limit: self.rate_limit,
        })
    }

    /// Octets of all files, for the progress bar.
    fn total_octets(&self) -> u64 {
        self.read.iter().filter_map(|path| fs::metadata(path).ok()).map(|metadata| metadata.len()).sum()
    }

    fn progress_bar(&self) -> ProgressBar {
        if self.quiet || !io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let target = ProgressDrawTarget::stderr_with_hz(10);
        let bar = ProgressBar::with_draw_target(Some(self.total_octets()), target);
        let style = ProgressStyle::with_template(
            "{bar:40} {percent:>3}% {bytes}/{total_bytes} {bytes_per_sec} {eta}",
        );
        bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
    }

    /// Runs the exporter.
    ///
    /// # Errors
    ///
    /// When arguments do not fit together, a file cannot be read to its end, a destination fails, or a signal comes.
    pub fn run(&self) -> Result<(), Failure> {
        self.refuse_overwriting()?;
        let config = self.config()?;
        if let Ok(Some(warning)) = self.sampling.check(config.version) {
            tell(format_args!("netflow-exporter: {warning}"));
        }
        let mut exporter = Exporter::new(config).map_err(|error| self.explain(&error))?;
        let stop =
            Stop::watch().map_err(|error| Failure::Run(format!("cannot watch for signals: {error}")))?;
        let mut refusals = Refusals::default();
        let result = self.export(&mut exporter, &stop, &mut refusals);
        refusals.check(&exporter);
        if !self.quiet {
            tell(exporter.account().to_string().trim_end());
        }
        result
    }

    /// An output must not be one of the inputs, whatever it is called.
    fn refuse_overwriting(&self) -> Result<(), Failure> {
        let Some(output) = &self.write else { return Ok(()) };
        let is_output = |input: &&PathBuf| {
            let path = if is_stdin(input) { Path::new("/dev/stdin") } else { input.as_path() };
            same_file(path, output)
        };
        if let Some(input) = self.read.iter().find(is_output) {
            let (output, input) = (output.display(), input.display());
            let text = format!("--write {output} would overwrite --read {input}: they are the same file");
            return Err(Failure::Usage(text));
        }
        Ok(())
    }

    /// A file that cannot be read to its end is told, and the next one is metered.
    fn export(&self, exporter: &mut Exporter, stop: &Stop, refusals: &mut Refusals) -> Result<(), Failure> {
        let bar = self.progress_bar();
        let mut before = 0;
        let mut faults = Vec::new();
        for path in &self.read {
            let watch = |exporter: &Exporter, octets| {
                bar.set_position(before + octets);
                bar.suspend(|| refusals.check(exporter));
                if stop.signal().is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
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
            if stop.signal().is_some() {
                break;
            }
            before += fs::metadata(path).map_or(0, |metadata| metadata.len());
            bar.set_position(before);
        }
        bar.finish_and_clear();
        exporter.finish().map_err(|error| Failure::Run(error.to_string()))?;
        if let Some(signal) = stop.signal() {
            return Err(Failure::Interrupted(signal));
        }
        if faults.is_empty() {
            return Ok(());
        }
        let something = exporter.account().meter.frames.frames() > 0;
        let note = if something { " (what was read before it has been exported)" } else { "" };
        Err(Failure::Run(format!("{}{note}", faults.join("\n"))))
    }

    /// Which argument a session's refusal is about.
    fn explain(&self, error: &SendError) -> Failure {
        let argument = match error {
            SendError::Session(EncodeError::SamplingInterval { .. }) => {
                format!("--sampling {}", self.sampling)
            }
            SendError::Session(EncodeError::TooLarge { .. }) => format!("--mtu {}", self.mtu),
            _ => "--export-version".to_owned(),
        };
        Failure::Usage(format!("{argument}: {error}"))
    }
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}
