//! Where datagrams go, as it is written.

use core::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};
use std::{io, net::ToSocketAddrs, path::PathBuf};

use netflow_codec::ExportVersion;

/// The port that collectors of a version listen at: that of IPFIX is assigned (RFC 7011 section 10.1), for the others
/// 2055 is customary.
#[must_use]
pub const fn default_port(version: ExportVersion) -> u16 {
    if matches!(version, ExportVersion::Ipfix) { 4_739 } else { 2_055 }
}

/// Where datagrams go.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Target {
    /// A collector.
    Collector(CollectorAddress),
    /// A capture file.
    File(PathBuf),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Collector(address) => write!(f, "{address}"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// What carries datagrams to a collector.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Transport {
    /// UDP.
    Udp,
    /// TCP: IPFIX only (RFC 7011 section 10.4).
    Tcp,
}

/// A collector: `[udp://|tcp://]HOST[:PORT]`. A name is resolved when it is read, and again with [`Self::resolve`].
///
/// ```
/// use netflow_probe_example::send::{CollectorAddress, Transport};
///
/// let collector: CollectorAddress = "tcp://[2001:db8::1]:4739".parse().unwrap();
/// assert_eq!(collector.transport(), Transport::Tcp);
/// assert_eq!(collector.to_string(), "tcp://[2001:db8::1]:4739");
/// assert!("tcp://".parse::<CollectorAddress>().is_err());
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CollectorAddress {
    transport: Transport,
    /// The name, when it was not an address.
    name: Option<String>,
    port: Option<u16>,
    /// What the name stood for when it was read; never empty.
    addresses: Vec<IpAddr>,
}

/// What a collector can be written as.
const ACCEPTED: &str = "accepted are HOST, HOST:PORT, ADDRESS, ADDRESS:PORT and [IPV6-ADDRESS]:PORT, with tcp:// before it for \
     IPFIX over TCP";

impl CollectorAddress {
    /// This collector, at `port` unless it has one.
    #[must_use]
    pub fn or_port(mut self, port: u16) -> Self {
        self.port.get_or_insert(port);
        self
    }

    /// What carries the datagrams.
    #[must_use]
    pub const fn transport(&self) -> Transport {
        self.transport
    }

    /// Whether it is known by name, and its addresses can change.
    #[must_use]
    pub const fn has_name(&self) -> bool {
        self.name.is_some()
    }

    /// The addresses as they were when this was read.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        let port = self.port.unwrap_or_else(|| default_port(ExportVersion::Ipfix));
        self.addresses.iter().map(move |address| SocketAddr::new(*address, port))
    }

    /// The addresses that the name stands for now. Asks the resolver, which may take seconds.
    ///
    /// # Errors
    ///
    /// When the resolver knows none.
    pub fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        let Some(name) = &self.name else { return Ok(self.addresses().collect()) };
        let port = self.port.unwrap_or_else(|| default_port(ExportVersion::Ipfix));
        (name.as_str(), port).to_socket_addrs().map(Iterator::collect)
    }
}

impl From<SocketAddr> for CollectorAddress {
    fn from(address: SocketAddr) -> Self {
        Self {
            transport: Transport::Udp,
            name: None,
            port: Some(address.port()),
            addresses: vec![address.ip()],
        }
    }
}

impl FromStr for CollectorAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (transport, text) = match text.split_once("://") {
            None => (Transport::Udp, text),
            Some(("udp", rest)) => (Transport::Udp, rest),
            Some(("tcp", rest)) => (Transport::Tcp, rest),
            Some((scheme, _)) => return Err(format!("{scheme}:// is unknown; {ACCEPTED}")),
        };
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = bare.parse() {
            return Ok(Self { transport, name: None, port: None, addresses: vec![address] });
        }
        let has_port = text.contains(':');
        let resolved = if has_port { text.to_socket_addrs() } else { (text, 0).to_socket_addrs() };
        let resolved: Vec<SocketAddr> = resolved.map_err(|error| format!("{error}; {ACCEPTED}"))?.collect();
        let Some(first) = resolved.first() else {
            return Err(format!("the name has no address; {ACCEPTED}"));
        };
        if has_port && first.port() == 0 {
            return Err(format!("port 0 cannot be sent to; {ACCEPTED}"));
        }
        let port = has_port.then(|| first.port());
        let host = text.rsplit_once(':').filter(|_| has_port).map_or(text, |(host, _)| host);
        let is_address = text.parse::<SocketAddr>().is_ok();
        let name = (!is_address).then(|| host.to_owned());
        let mut addresses: Vec<IpAddr> = resolved.iter().map(SocketAddr::ip).collect();
        addresses.dedup();
        Ok(Self { transport, name, port, addresses })
    }
}

impl fmt::Display for CollectorAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.transport == Transport::Tcp {
            f.write_str("tcp://")?;
        }
        match (&self.name, self.addresses.first(), self.port) {
            (Some(name), _, Some(port)) => write!(f, "{name}:{port}"),
            (Some(name), _, None) => write!(f, "{name}"),
            (None, Some(address), Some(port)) => write!(f, "{}", SocketAddr::new(*address, port)),
            (None, Some(address), None) => write!(f, "{address}"),
            (None, None, _) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collectors_are_read_and_printed() {
        // X34
        for (text, transport, port) in [
            ("192.0.2.1", Transport::Udp, None),
            ("192.0.2.1:9995", Transport::Udp, Some(9_995)),
            ("2001:db8::1", Transport::Udp, None),
            ("[2001:db8::1]:2055", Transport::Udp, Some(2_055)),
            ("tcp://192.0.2.1:4739", Transport::Tcp, Some(4_739)),
            ("localhost:2055", Transport::Udp, Some(2_055)),
            ("tcp://localhost", Transport::Tcp, None),
        ] {
            let collector: CollectorAddress = text.parse().unwrap();
            assert_eq!((collector.transport(), collector.port), (transport, port), "{text}");
            assert_eq!(collector.to_string(), text);
            assert_eq!(collector.has_name(), text.contains("localhost"));
            let expected = port.unwrap_or(4_739);
            assert!(collector.clone().or_port(4_739).addresses().all(|address| address.port() == expected));
            assert!(!collector.resolve().unwrap().is_empty());
        }
        assert_eq!("udp://192.0.2.1:1".parse::<CollectorAddress>().unwrap().to_string(), "192.0.2.1:1");
        for text in ["", "tcp://", "sctp://192.0.2.1", "192.0.2.1:0", "192.0.2.1:port", "[2001:db8::1", "a b"]
        {
            let told = text.parse::<CollectorAddress>().unwrap_err();
            assert!(told.contains("HOST:PORT") && told.contains("tcp://"), "{text}: {told}");
        }
    }

    #[test]
    fn the_default_port_is_that_of_the_version() {
        // X34
        assert_eq!(default_port(ExportVersion::Ipfix), 4_739);
        assert_eq!(default_port(ExportVersion::V9), 2_055);
    }
}
