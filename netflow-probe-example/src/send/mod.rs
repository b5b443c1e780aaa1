//! Sending: flows become datagrams, datagrams go to the collectors.
//!
//! Each destination has a session of its own: its own sequence numbers, templates and packing.

mod output;
mod pacer;
mod udp;

use core::{fmt, net::SocketAddr};
use std::{io, path::PathBuf};

use netflow_codec::{
    EncodeError, ExportSession, ExportVersion, FlowRecord, OptionsData, SessionConfig, SessionStats,
    Timestamp,
};

pub use output::Output;
pub use pacer::Pacer;
pub use udp::UdpOutput;

/// IPv4 header and UDP header.
const IPV4_OVERHEAD: usize = 28;
/// IPv6 header and UDP header.
const IPV6_OVERHEAD: usize = 48;

/// Octets of a datagram that a link of this MTU carries to this address.
#[must_use]
pub fn max_datagram(mtu: u16, ipv6: bool) -> usize {
    usize::from(mtu).saturating_sub(if ipv6 { IPV6_OVERHEAD } else { IPV4_OVERHEAD })
}

/// The port that collectors of a version listen at: that of IPFIX is assigned (RFC 7011 section 10.1), for the others
/// 2055 is customary.
#[must_use]
pub const fn default_port(version: ExportVersion) -> u16 {
    if matches!(version, ExportVersion::Ipfix) { 4_739 } else { 2_055 }
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
    version: ExportVersion,
    first_sequence: u32,
    /// What the sessions before this one counted.
    before: SessionStats,
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
    /// Datagrams that the network did not take.
    pub errors: u64,
    /// Times that a host said that nobody listens there. Each answers a datagram that counts as sent.
    pub refused: u64,
}

impl Destination {
    /// A destination that nothing was sent to.
    ///
    /// # Errors
    ///
    /// When the socket or the file cannot be opened, or the session's configuration is not possible.
    pub fn open(target: Target, config: SessionConfig) -> Result<Self, SendError> {
        let (version, first_sequence) = (config.version, config.first_sequence);
        let session = ExportSession::new(config).map_err(SendError::Session)?;
        let output = Output::open(&target, default_port(version))
            .map_err(|source| SendError::Output { target: target.to_string(), source })?;
        Ok(Self {
            target,
            version,
            first_sequence,
            before: SessionStats::default(),
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

    /// Announces options.
    ///
    /// # Errors
    ///
    /// When the session has no room for them; as [`Self::handle_flow`].
    pub fn set_options(
        &mut self,
        options: OptionsData,
        now: Timestamp,
        pacer: &mut Pacer,
    ) -> Result<(), SendError> {
        self.session.set_options(options, now).map_err(SendError::Session)?;
        self.transmit(now, pacer)
    }

    /// Sends what is left at `now`, by the old session's clock, and goes on with a session that booted at another
    /// time. Its numbers continue those of the old one.
    ///
    /// # Errors
    ///
    /// As [`Self::handle_flow`].
    pub fn restart(
        &mut self,
        mut config: SessionConfig,
        now: Timestamp,
        pacer: &mut Pacer,
    ) -> Result<(), SendError> {
        self.session.flush(now);
        self.transmit(now, pacer)?;
        let stats = self.session.stats();
        // v5 numbers flows as they are on the wire, v9 datagrams (RFC 3954 section 5.1), IPFIX data records, those of
        // options included (RFC 7011 section 3.1).
        let sent = match self.version {
            ExportVersion::Ipfix => stats.records + stats.options_records,
            ExportVersion::V5 => stats.records,
            _ => stats.datagrams,
        };
        #[expect(clippy::cast_possible_truncation, reason = "sequence numbers are modulo 2^32")]
        let sequence = self.first_sequence.wrapping_add(sent as u32);
        self.first_sequence = sequence;
        config.first_sequence = sequence;
        self.before = sum(&self.before, stats);
        self.session = ExportSession::new(config).map_err(SendError::Session)?;
        Ok(())
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

    /// Counts the answer to the last datagram, which no other one asks for.
    pub fn note_refusal(&mut self) {
        self.stats.refused += u64::from(self.output.take_refusal());
    }

    /// Where the datagrams go.
    #[must_use]
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// What the network or the file took so far.
    #[must_use]
    pub const fn stats(&self) -> &SendStats {
        &self.stats
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
            let mut result = self.output.send(&self.datagram, now);
            if is_refusal(&result) {
                self.stats.refused += 1;
                result = self.output.send(&self.datagram, now);
                self.stats.refused += u64::from(is_refusal(&result));
            }
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
        DestinationAccount {
            target: self.target.clone(),
            version: self.version,
            session: sum(&self.before, self.session.stats()),
            send: self.stats,
        }
    }
}

fn is_refusal(result: &io::Result<()>) -> bool {
    result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

fn sum(a: &SessionStats, b: &SessionStats) -> SessionStats {
    let mut sum = *a;
    sum.datagrams += b.datagrams;
    sum.octets += b.octets;
    sum.flows += b.flows;
    sum.records += b.records;
    sum.options_records += b.options_records;
    sum.template_rounds += b.template_rounds;
    sum.refused += b.refused;
    sum.refused_ipv6 += b.refused_ipv6;
    sum.split += b.split;
    sum.narrowed_as += b.narrowed_as;
    sum.narrowed_interfaces += b.narrowed_interfaces;
    sum.narrowed_tcp_flags += b.narrowed_tcp_flags;
    sum
}

/// What one destination got. Its `Display` is one line of the exporter's closing account.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DestinationAccount {
    /// The destination.
    pub target: Target,
    /// The version it speaks.
    pub version: ExportVersion,
    /// What its sessions counted.
    pub session: SessionStats,
    /// What the network or the file took.
    pub send: SendStats,
}

impl fmt::Display for DestinationAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, version, session, send } = self;
        writeln!(f, "to {target}")?;
        let mut line = |label: &str, count: u64, note: String| writeln!(f, "{label:<26}{count:>12}{note}");
        line("  datagrams", session.datagrams, format!("  ({} octets)", session.octets))?;
        if matches!(target, Target::Collector(_)) {
            line("  datagrams not sent", send.errors, String::new())?;
            line("  refused by collector", send.refused, String::new())?;
        }
        let split = if session.records == session.flows {
            String::new()
        } else {
            format!("  (in {} records: counters above 32 bits are split)", session.records)
        };
        line("  flows exported", session.flows, split)?;
        match (version, session.refused) {
            (ExportVersion::V5, refused) => line("  flows v5 cannot carry", refused, String::new()),
            (_, 0) => Ok(()),
            (_, refused) => line("  flows not exportable", refused, String::new()),
        }
    }
}

/// Exporting failed.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The session cannot be as it was configured.
    #[error("cannot export like this: {0}")]
    Session(#[source] EncodeError),
    /// The flow table cannot be as it was configured.
    #[error("cannot meter like this: {0}")]
    Meter(#[source] netflow_flowcache::ConfigError),
    /// A socket or a file failed.
    #[error("cannot write to {target}: {source}")]
    Output {
        /// The destination.
        target: String,
        /// What happened.
        source: io::Error,
    },
}
