//! How to send.

use core::{net::SocketAddr, time::Duration};

/// Which collector gets which flow. Files get all of them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Distribution {
    /// Each collector gets every flow.
    #[default]
    All,
    /// Each flow goes to one collector, which its addresses, ports and protocol choose, the same for both directions.
    /// Flows of a collector that is down are divided among the others.
    Balance,
    /// Flows go to the first collector that is not down.
    Failover,
}

/// What becomes of datagrams when a collector's queue is full.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum WhenFull {
    /// The exporter waits, unless the collector is down: for files, which can wait.
    #[default]
    Wait,
    /// They are left out and counted, and the sequence numbers have a gap: for packets that do not wait.
    Drop,
}

/// How datagrams are sent to collectors.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct SendConfig {
    /// Which collector gets which flow.
    pub distribution: Distribution,
    /// The link's largest packet; `None` for what the way to the collector carries, at most
    /// [`Self::MAX_PATH_MTU`].
    pub mtu: Option<u16>,
    /// Address to send from, and port; port 0 for any.
    pub source: Option<SocketAddr>,
    /// Time to live, or hop limit, of the packets.
    pub hop_limit: Option<u8>,
    /// Differentiated services code point of the packets, below 64.
    pub dscp: u8,
    /// Datagrams a second to each collector over UDP at most; 0 for no limit.
    pub rate_limit: u32,
    /// Octets that wait for a collector at most.
    pub queue_octets: usize,
    /// What becomes of more.
    pub when_full: WhenFull,
    /// TCP: time between two attempts to connect, at least. It doubles with each attempt that fails, up to a minute.
    pub reconnect: Duration,
    /// TCP: a collector that reads nothing for so long is disconnected.
    pub stall: Duration,
    /// How often a collector's name is resolved.
    pub resolve: Duration,
    /// At the end, how long to go on with sending what waits.
    pub drain: Duration,
    /// IPFIX: a flow and the one behind it that answers it go as one record (RFC 5103).
    pub biflows: bool,
}

impl SendConfig {
    /// More than this is not made of a path's MTU: few collectors have room for larger datagrams.
    pub const MAX_PATH_MTU: u16 = 1_500;
}

impl Default for SendConfig {
    fn default() -> Self {
        Self {
            distribution: Distribution::All,
            mtu: None,
            source: None,
            hop_limit: None,
            dscp: 0,
            rate_limit: 20_000,
            queue_octets: 32 << 20,
            when_full: WhenFull::Wait,
            // RFC 7011 section 10.4.4: not more often than once a minute unless configured.
            reconnect: Duration::from_secs(60),
            stall: Duration::from_secs(30),
            resolve: Duration::from_secs(300),
            drain: Duration::from_secs(10),
            biflows: false,
        }
    }
}
