//! What was counted of the sending.

use core::fmt;

use netflow_codec::{ExportVersion, SessionStats};

use super::{Content, Target};

/// What became of the datagrams of one destination.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct SendStats {
    /// Datagrams handed to the network, or written.
    pub sent: u64,
    /// Datagrams that the network did not take.
    pub errors: u64,
    /// Times that a host said that nobody listens there, or that a router knew no way. Each answers a datagram that counts
    /// as sent.
    pub refused: u64,
    /// Datagrams left out because the queue was full.
    pub overflow: u64,
    /// Datagrams that waited when a connection was lost, or when the time for the end was up.
    pub lost: u64,
    /// Times that the network was too busy for a datagram, which was sent later and all others more slowly.
    pub congested: u64,
    /// Sockets and connections opened.
    pub connections: u64,
    /// Attempts at that which failed.
    pub failed_connections: u64,
    /// What the datagrams that were not sent carried: those of [`Self::errors`], [`Self::overflow`] and [`Self::lost`].
    pub not_sent: Content,
}

/// The sum of what two sessions counted.
pub(super) fn sum(a: &SessionStats, b: &SessionStats) -> SessionStats {
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

/// What one destination got. Its `Display` is one part of the exporter's closing account.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct DestinationAccount {
    /// The destination.
    pub target: Target,
    /// The version it speaks.
    pub version: ExportVersion,
    /// The domain of its sessions: source ID, Observation Domain, or engine.
    pub source_id: u32,
    /// What its sessions counted.
    pub session: SessionStats,
    /// What the network or the file took.
    pub send: SendStats,
    /// Whether it is known not to get what is sent.
    pub is_down: bool,
    /// v5: flows with a part of their key left out.
    pub cut_short: u64,
}

impl DestinationAccount {
    /// Adds what the same destination got besides.
    pub(crate) fn add(&mut self, before: &Self) {
        self.session = sum(&self.session, &before.session);
        self.cut_short += before.cut_short;
        let (send, before) = (&mut self.send, &before.send);
        send.sent += before.sent;
        send.errors += before.errors;
        send.refused += before.refused;
        send.overflow += before.overflow;
        send.lost += before.lost;
        send.congested += before.congested;
        send.connections += before.connections;
        send.failed_connections += before.failed_connections;
        send.not_sent += before.not_sent;
    }
}

impl fmt::Display for DestinationAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, version, session, send, cut_short, .. } = self;
        writeln!(f, "to {target}")?;
        let mut line = |label: &str, count: u64, note: &str| writeln!(f, "{label:<26}{count:>12}{note}");
        line("  datagrams", session.datagrams, &format!("  ({} octets)", session.octets))?;
        if matches!(target, Target::Collector(_)) {
            line("  datagrams not sent", send.errors + send.overflow + send.lost, "")?;
            line("  refused by collector", send.refused, "")?;
        }
        let rare = [
            ("    network refused them", send.errors, ""),
            ("    queue was full", send.overflow, ""),
            ("    connection or time over", send.lost, ""),
            ("    flows in them", send.not_sent.flows, ""),
            ("  network too busy", send.congested, "  (sent later)"),
            ("  connections failed", send.failed_connections, ""),
            ("  connections", if send.connections > 1 { send.connections } else { 0 }, ""),
        ];
        for (label, count, note) in rare.into_iter().filter(|(_, count, _)| *count > 0) {
            line(label, count, note)?;
        }
        let split = if session.records == session.flows {
            String::new()
        } else {
            format!("  (in {} records: counters above 32 bits are split)", session.records)
        };
        line("  flows exported", session.flows, &split)?;
        let narrowed = [
            ("    AS above 65535", session.narrowed_as, "  (exported as 23456)"),
            ("    interface above 65535", session.narrowed_interfaces, "  (exported as 0)"),
            ("    key not carried whole", *cut_short, ""),
        ];
        for (label, count, note) in narrowed.into_iter().filter(|(_, count, _)| *count > 0) {
            line(label, count, note)?;
        }
        match (version, session.refused) {
            (ExportVersion::V5, refused) => line("  flows v5 cannot carry", refused, ""),
            (_, 0) => Ok(()),
            (_, refused) => line("  flows not exportable", refused, ""),
        }
    }
}
