//! Where flows go, and in which form.

use core::{
    net::{IpAddr, SocketAddr},
    num::NonZeroU32,
    time::Duration,
};
use std::{net::ToSocketAddrs, path::PathBuf};

use clap::{ArgGroup, Args, ValueEnum};
use netflow_codec::ExportVersion;

use super::Failure;
use crate::{
    config::parse_duration,
    send::{Target, default_port},
};

/// Arguments of the export.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Export")]
#[command(group(ArgGroup::new("target").args(["collector", "write"]).required(true).multiple(true)))]
pub struct ExportArgs {
    /// Collector to send to; can be given several times, each one gets all flows. Without a port: 2055, for version 10
    /// the one that IPFIX has, 4739
    #[arg(long, value_name = "HOST[:PORT]", value_parser = resolve)]
    pub collector: Vec<Collector>,

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

    /// Largest IP packet on the way to the collectors, in octets
    #[arg(long, value_name = "OCTETS", default_value_t = 1_500, value_parser = clap::value_parser!(u16).range(576..))]
    pub mtu: u16,

    /// Datagrams a second to send at most, over all collectors; 0 for no limit
    #[arg(long, value_name = "PACKETS_PER_SECOND", default_value_t = 20_000)]
    pub rate_limit: u32,
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

/// A collector as it was given.
#[derive(Clone, Copy, Debug)]
pub enum Collector {
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
        let collectors = self.collector.iter().map(|collector| Target::Collector(collector.address(port)));
        let files = self.write.iter().cloned().map(Target::File);
        collectors.chain(files).collect()
    }
}
