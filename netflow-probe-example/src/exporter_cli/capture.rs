//! Where packets come from.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::{ArgGroup, Args, ValueEnum};

use super::Failure;
use crate::{
    capture::Speed,
    config::{parse_octets, same_file},
};

/// The largest buffer: the kernel's numbers of a ring have 31 bits.
const MAX_BUFFER: u64 = 1 << 30;

/// Arguments of the capture.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Capture")]
#[command(group(ArgGroup::new("packets-from").args(["read", "interface"]).required(true)))]
pub struct CaptureArgs {
    /// Capture files to meter, in this order (pcap or pcapng, plain or compressed by gzip or zstd); `-` is standard input
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub read: Vec<PathBuf>,

    /// How fast to read files: `max`, 1 for the speed at which they were captured, or another factor
    #[arg(long, value_name = "FACTOR", default_value = "max", conflicts_with = "interface")]
    pub speed: Speed,

    /// Interface to capture from; can be given several times. `any` is all of them
    #[arg(long, short, value_name = "NAME")]
    pub interface: Vec<String>,

    /// Meter only what this filter lets pass, in the syntax of tcpdump
    #[arg(long, value_name = "FILTER")]
    pub filter: Option<String>,

    /// Which way packets go, seen from the interface: both ways are told apart
    #[arg(long, value_enum, value_name = "WAY", default_value = "both", requires = "interface")]
    pub direction: Way,

    /// Leave out packets to other stations
    #[arg(long, requires = "interface")]
    pub no_promiscuous: bool,

    /// Octets of each packet to keep, from the link header on. Of plain TCP, UDP and ICMP on Ethernet the headers are kept and
    /// no more, unless --tunnel or hash sampling looks behind them
    #[arg(long, value_name = "OCTETS", default_value_t = 256, value_parser = clap::value_parser!(u32).range(64..=262_144), requires = "interface")]
    pub snaplen: u32,

    /// Octets of the kernel's buffer, of each interface, direction and thread; up to 1G
    #[arg(long, value_name = "OCTETS", default_value = "2M", value_parser = parse_buffer, requires = "interface")]
    pub buffer_size: u32,

    /// Threads that share the packets of each interface, each with a flow table of `--max-flows`
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256), requires = "interface")]
    pub capture_threads: u16,

    /// Give each capture thread an observation domain of its own: --source-id and the numbers that follow
    #[arg(long, requires = "interface", conflicts_with = "write")]
    pub thread_domains: bool,
}

/// Which way packets go.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Way {
    /// Packets that come in
    In,
    /// Packets that go out
    Out,
    /// Both
    Both,
}

fn parse_buffer(text: &str) -> Result<u32, String> {
    let octets = parse_octets(text).map_err(|error| error.to_string())?;
    let accepted = 65_536..=MAX_BUFFER;
    let octets = accepted.contains(&octets).then_some(octets).and_then(|octets| u32::try_from(octets).ok());
    octets.ok_or_else(|| "accepted are 64K to 1G".to_owned())
}

impl CaptureArgs {
    /// Octets of all files, for the progress bar.
    pub(super) fn total_octets(&self) -> u64 {
        self.read.iter().filter_map(|path| fs::metadata(path).ok()).map(|metadata| metadata.len()).sum()
    }

    /// An output must not be one of the inputs, whatever it is called.
    pub(super) fn refuse_overwriting(&self, output: Option<&Path>) -> Result<(), Failure> {
        let Some(output) = output else { return Ok(()) };
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
}

/// Whether standard input is meant.
pub(super) fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}
