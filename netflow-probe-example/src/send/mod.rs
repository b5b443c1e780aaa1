//! Sending: flows become datagrams, datagrams go to the collectors.
//!
//! Each destination has a session of its own: its own sequence numbers, templates and packing.

mod output;
mod pacer;

use core::{fmt, net::SocketAddr};
use std::{io, path::PathBuf};

use netflow_codec::{EncodeError, ExportSession, FlowRecord, SessionConfig, SessionStats, Timestamp};

pub use output::Output;
pub use pacer::Pacer;

/// IPv4 header and UDP header.
const IPV4_OVERHEAD: usize = 28;
/// IPv6 header and UDP header.
const IPV6_OVERHEAD: usize = 48;

/// Octets of a datagram that a link of this MTU carries to this address.
#[must_use]
pub fn max_datagram(mtu: u16, ipv6: bool) -> usize {
    usize::from(mtu).saturating_sub(if ipv6 { IPV6_OVERHEAD } else { IPV4_OVERHEAD })
}

/// Where datagrams go.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Target {
    /// A collector.
    Collector(SocketAddr),
    /// A capture file.
    File(PathBuf),
}

impl Target {
    /// Whether datagrams travel in IPv6 packets.
    #[must_use]
    pub fn is_ipv6(&self) -> bool {
        matches!(self, Self::Collector(address) if address.is_ipv6())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Collector(address) => write!(f, "{address}"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// A session and where its datagrams go.
#[derive(Debug)]
pub struct Destination {
    target: Target,
    session: ExportSession,
    output: Output,
    datagram: Vec<u8>,
    stats: SendStats,
}

/// What was counted of the sending.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct SendStats {
    /// Datagrams handed to the network, or written.
    pub sent: u64,
    /// Datagrams that the network refused.
    pub errors: u64,
}

impl Destination {
    /// A destination that nothing was sent to.
    ///
    /// # Errors
    ///
    /// When the socket or the file cannot be opened, or the session's configuration is not possible.
    pub fn open(target: Target, config: SessionConfig) -> Result<Self, SendError> {
        let session = ExportSession::new(config).map_err(SendError::Session)?;
        let output = Output::open(&target)
            .map_err(|source| SendError::Output { target: target.to_string(), source })?;
        Ok(Self {
            target,
            session,
            output,
            datagram: Vec::with_capacity(65_535),
            stats: SendStats::default(),
        })
    }

    /// Exports a flow.
    ///
    /// # Errors
    ///
    /// When a file cannot be written. Flows that the version cannot carry, and datagrams that the network refuses,
    /// are counted instead.
    #[inline]
    pub fn handle_flow(
        &mut self,
        flow: &FlowRecord,
        now: Timestamp,
        pacer: &mut Pacer,
    ) -> Result<(), SendError> {
        // A flow that is refused is counted by the session.
        let _counted: Result<(), EncodeError> = self.session.handle_flow(flow, now);
        self.transmit(now, pacer)
    }

    /// Sends what has waited long enough, and templates that are due.
    ///
    /// # Errors
    ///
    /// As [`Self::handle_flow`].
    pub fn handle_timeout(&mut self, now: Timestamp, pacer: &mut Pacer) -> Result<(), SendError> {
        self.session.handle_timeout(now);
        self.transmit(now, pacer)
    }

    /// Sends what is left.
    ///
    /// # Errors
    ///
    /// As [`Self::handle_flow`].
    pub fn finish(&mut self, now: Timestamp, pacer: &mut Pacer) -> Result<(), SendError> {
        self.session.flush(now);
        self.transmit(now, pacer)?;
        self.output.flush().map_err(|source| self.failed(source))
    }

    /// When [`Self::handle_timeout`] has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.session.poll_timeout()
    }

    #[inline]
    fn transmit(&mut self, now: Timestamp, pacer: &mut Pacer) -> Result<(), SendError> {
        while self.session.poll_transmit(&mut self.datagram).is_some() {
            if self.output.is_network() {
                pacer.wait();
            }
            let result = self.output.send(&self.datagram, now);
            self.datagram.clear();
            match result {
                Ok(()) => self.stats.sent += 1,
                Err(_) if self.output.is_network() => self.stats.errors += 1,
                Err(source) => return Err(self.failed(source)),
            }
        }
        Ok(())
    }

    fn failed(&self, source: io::Error) -> SendError {
        SendError::Output { target: self.target.to_string(), source }
    }

    /// What was counted so far.
    #[must_use]
    pub fn account(&self) -> DestinationAccount {
        DestinationAccount { target: self.target.clone(), session: *self.session.stats(), send: self.stats }
    }
}

/// What one destination got. Its `Display` is one line of the exporter's closing account.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DestinationAccount {
    /// The destination.
    pub target: Target,
    /// What the session counted.
    pub session: SessionStats,
    /// What the network or the file took.
    pub send: SendStats,
}

impl fmt::Display for DestinationAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, session, send } = self;
        writeln!(f, "to {target}")?;
        let mut line = |label: &str, count: u64, note: String| writeln!(f, "{label:<26}{count:>12}{note}");
        line("  datagrams", session.datagrams, format!("  ({} octets)", session.octets))?;
        line("  datagrams not sent", send.errors, String::new())?;
        let split = if session.records == session.flows {
            String::new()
        } else {
            format!("  (in {} records: counters above 32 bits are split)", session.records)
        };
        line("  flows exported", session.flows, split)?;
        line("  flows v5 cannot carry", session.refused, String::new())
    }
}

/// Exporting failed.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The session cannot be as it was configured.
    #[error("cannot export like this: {0}")]
    Session(#[source] EncodeError),
    /// A socket or a file failed.
    #[error("cannot write to {target}: {source}")]
    Output {
        /// The destination.
        target: String,
        /// What happened.
        source: io::Error,
    },
}
