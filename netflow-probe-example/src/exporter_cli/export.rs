//! Where flows go, and in which form.

use core::{
    net::{IpAddr, SocketAddr},
    num::NonZeroU32,
    time::Duration,
};
use std::path::PathBuf;

use clap::{ArgGroup, Args, ValueEnum};
use netflow_codec::ExportVersion;

use super::Failure;
use crate::{
    config::{parse_duration, parse_octets},
    send::{CollectorAddress, Distribution, Interface, SendConfig, Target, WhenFull, default_port},
};

/// Arguments of the export.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Export")]
#[command(group(ArgGroup::new("target").args(["collector", "write"]).required(true).multiple(true)))]
pub struct ExportArgs {
    /// Collector to send to; can be given several times, see --distribution. With `tcp://` before it: IPFIX over TCP. Without
    /// a port: 2055, for version 10 the one that IPFIX has, 4739. A name is resolved again now and then
    #[arg(long, value_name = "[tcp://]HOST[:PORT]")]
    pub collector: Vec<CollectorAddress>,

    /// Which of several collectors get a flow. One that refuses datagrams or connections is down; it gets flows again when
    /// it is back
    #[arg(long, value_enum, default_value = "all")]
    pub distribution: DistributionArg,

    /// Write the datagrams to a capture file
    #[arg(long, value_name = "FILE.pcap")]
    pub write: Option<PathBuf>,

    /// NetFlow version; 10 is IPFIX
    #[arg(long, value_enum, default_value = "9")]
    pub export_version: Version,

    /// Send the templates again behind this many datagrams with flows (versions 9 and 10)
    #[arg(long, value_name = "N", default_value = "20")]
    pub template_refresh_packets: NonZeroU32,

    /// Send the templates again after this time, 1s to 1d (versions 9 and 10)
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = parse_refresh)]
    pub template_refresh: Duration,

    /// Source ID (version 9), observation domain (version 10), or engine type and number as 256 * type + number (version 5, at most 65535)
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub source_id: u32,

    /// Largest IP packet on the way to the collectors, in octets. By default what the way to each of them carries as far
    /// as the system knows, at most 1500
    #[arg(long, value_name = "OCTETS", value_parser = clap::value_parser!(u16).range(576..))]
    pub mtu: Option<u16>,

    /// Datagrams a second to send to each collector at most; 0 for no limit. Fewer are sent while the network says that it
    /// is too busy
    #[arg(long, value_name = "PACKETS_PER_SECOND", default_value_t = 20_000)]
    pub rate_limit: u32,

    /// Address of this host to send from, and port
    #[arg(long, value_name = "ADDRESS[:PORT]", value_parser = parse_source)]
    pub source: Option<SocketAddr>,

    /// Time to live (hop limit) of the packets sent, 1 to 255
    #[arg(long, value_name = "HOPS", value_parser = clap::value_parser!(u8).range(1..))]
    pub ttl: Option<u8>,

    /// Differentiated services code point of the packets sent, 0 to 63
    #[arg(long, value_name = "DSCP", default_value_t = 0, value_parser = clap::value_parser!(u8).range(..64))]
    pub dscp: u8,

    /// Octets that may wait for each collector; what comes when that is full is lost, counted, and shows in the sequence
    /// numbers. While files are read the reading waits instead
    #[arg(long, value_name = "OCTETS", default_value = "32M", value_parser = parse_queue)]
    pub queue_size: u64,

    /// TCP: time between two attempts to connect, at least; doubled with each that fails, up to a minute
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = parse_duration)]
    pub reconnect: Duration,

    /// TCP: disconnect a collector that reads nothing for this time
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    pub stall_timeout: Duration,

    /// Resolve the names of collectors again after this time
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = parse_duration)]
    pub resolve_interval: Duration,

    /// At the end, go on sending what waits for this time at most
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_duration)]
    pub drain_timeout: Duration,

    /// Name of an interface that flows give by index, to be announced (versions 9 and 10); can be given several times
    #[arg(long, value_name = "INDEX=NAME[,DESCRIPTION]", value_parser = parse_interface)]
    pub interface_name: Vec<Interface>,
}

/// Which of several collectors get a flow.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum DistributionArg {
    /// Each of them
    All,
    /// One, chosen by addresses, ports and protocol, the same for both directions
    Balance,
    /// The first that is not down
    Failover,
}

/// The version of NetFlow to export.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Version {
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

fn parse_refresh(text: &str) -> Result<Duration, String> {
    let duration = parse_duration(text).map_err(|error| error.to_string())?;
    let accepted = Duration::from_secs(1)..=Duration::from_secs(86_400);
    if accepted.contains(&duration) { Ok(duration) } else { Err("accepted are 1s to 1d".to_owned()) }
}

fn parse_queue(text: &str) -> Result<u64, String> {
    let octets = parse_octets(text).map_err(|error| error.to_string())?;
    if octets < 65_536 { Err("at least 64K are needed".to_owned()) } else { Ok(octets) }
}

fn parse_source(text: &str) -> Result<SocketAddr, String> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok(SocketAddr::new(address, 0));
    }
    text.parse().map_err(|_| "accepted are ADDRESS, ADDRESS:PORT and [IPV6-ADDRESS]:PORT".to_owned())
}

fn parse_interface(text: &str) -> Result<Interface, String> {
    let accepted = "accepted is INDEX=NAME[,DESCRIPTION], with an index up to 4294967295";
    let (index, names) = text.split_once('=').ok_or(accepted)?;
    let index = index.trim().parse().map_err(|_| accepted)?;
    let (name, description) = names.split_once(',').unwrap_or((names, ""));
    if name.is_empty() {
        return Err(accepted.to_owned());
    }
    Ok(Interface { index, name: name.to_owned(), description: description.to_owned() })
}

/// Octets that wait for a collector while files are read: enough to send many datagrams at once.
const FILE_QUEUE: usize = 64 * 1_500;

impl ExportArgs {
    /// The version to export.
    ///
    /// # Errors
    ///
    /// When the source ID does not fit into it.
    pub(super) fn version(&self) -> Result<ExportVersion, Failure> {
        let version = match self.export_version {
            Version::V5 => ExportVersion::V5,
            Version::V9 => ExportVersion::V9,
            Version::V10 => ExportVersion::Ipfix,
        };
        if matches!(version, ExportVersion::V5) && self.source_id > 0xffff {
            let text = format!("--source-id {}: version 5 has 16 bits for it, 0 to 65535", self.source_id);
            return Err(Failure::Usage(text));
        }
        Ok(version)
    }

    /// Where datagrams of this version go.
    pub(super) fn targets(&self, version: ExportVersion) -> Vec<Target> {
        let port = default_port(version);
        let collectors =
            self.collector.iter().map(|collector| Target::Collector(collector.clone().or_port(port)));
        let files = self.write.iter().cloned().map(Target::File);
        collectors.chain(files).collect()
    }

    /// How datagrams are sent: whether what is `live`, which does not wait, or files.
    pub(super) fn send(&self, live: bool) -> SendConfig {
        let (when_full, queue_octets) = if live {
            (WhenFull::Drop, usize::try_from(self.queue_size).unwrap_or(usize::MAX))
        } else {
            (WhenFull::Wait, FILE_QUEUE)
        };
        SendConfig {
            distribution: match self.distribution {
                DistributionArg::All => Distribution::All,
                DistributionArg::Balance => Distribution::Balance,
                DistributionArg::Failover => Distribution::Failover,
            },
            mtu: self.mtu,
            source: self.source,
            hop_limit: self.ttl,
            dscp: self.dscp,
            rate_limit: self.rate_limit,
            queue_octets,
            when_full,
            reconnect: self.reconnect,
            stall: self.stall_timeout,
            resolve: self.resolve_interval,
            drain: self.drain_timeout,
            biflows: false,
        }
    }
}
