//! What a destination tells of itself.

use core::net::IpAddr;
use std::sync::PoisonError;

use netflow_codec::{ExportSession, SessionConfig, SessionStats, Timestamp};

use super::{
    super::{
        DestinationAccount, SendStats, Target, Transport, WhenFull, account::sum, announce::Told,
        biflow::Pairing, worker::Whereabouts,
    },
    Destination, Sink,
};

impl Destination {
    /// Where the datagrams go.
    #[must_use]
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// What the network or the file took so far.
    #[must_use]
    pub fn stats(&self) -> SendStats {
        match &self.sink {
            Sink::File { written, .. } => SendStats { sent: *written, ..SendStats::default() },
            Sink::Collector(link) => link.queue.stats(),
        }
    }

    /// Whether a collector is known not to get what is sent: it was refused, or there is no connection.
    #[must_use]
    pub fn is_down(&self) -> bool {
        matches!(&self.sink, Sink::Collector(link) if link.queue.is_down())
    }

    /// Why a collector is down, or a datagram was not taken.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.whereabouts(|whereabouts| whereabouts.failure.clone())
    }

    /// The address that datagrams come from, if it is known.
    #[must_use]
    pub fn local(&self) -> Option<IpAddr> {
        self.whereabouts(|whereabouts| whereabouts.local)
    }

    fn whereabouts<T>(&self, read: impl FnOnce(&Whereabouts) -> Option<T>) -> Option<T> {
        let Sink::Collector(link) = &self.sink else { return None };
        read(&link.whereabouts.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether flows had better wait: the collector takes datagrams no faster than it is sent them, and its queue is half
    /// full. A connection that is slow is not waited for.
    #[must_use]
    pub fn is_congested(&self) -> bool {
        let Sink::Collector(link) = &self.sink else { return false };
        link.when_full == WhenFull::Drop
            && link.transport == Transport::Udp
            && link.queue.is_congested()
            && !link.queue.is_down()
    }

    /// When [`Self::handle_timeout`] has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let repeat = self.repeat.map(|repeat| repeat.due);
        let pairing = self.pairing.as_ref().and_then(Pairing::due);
        [self.session.poll_timeout(), repeat, pairing].into_iter().flatten().min()
    }

    /// How the session is configured.
    #[must_use]
    pub const fn config(&self) -> &SessionConfig {
        &self.config
    }

    pub(in crate::send) const fn told_mut(&mut self) -> &mut Told {
        &mut self.told
    }

    /// The session.
    #[must_use]
    pub const fn session(&self) -> &ExportSession {
        &self.session
    }

    /// What was counted so far.
    #[must_use]
    pub fn account(&self) -> DestinationAccount {
        DestinationAccount {
            target: self.target.clone(),
            version: self.config.version,
            source_id: self.config.source_id,
            session: self.total(),
            send: self.stats(),
            is_down: self.is_down(),
            cut_short: self.cut_short,
        }
    }

    pub(super) fn total(&self) -> SessionStats {
        sum(&self.before, self.session.stats())
    }
}
