//! Messages of sessions, and what is told of the sessions themselves.

use core::{net::SocketAddr, time::Duration};
use std::{io, sync::Arc};

use netflow_codec::Timestamp;
use tracing::{info, warn};

use super::worker::Source;
use crate::{
    collector::Collector,
    collector_cli::{Failure, sinks::Sinks},
    receive::{Closed, StreamEvent, StreamReceiver, StreamStats, TurnedAway, now},
};

/// Sessions over TCP, and over TLS.
#[derive(Debug)]
pub(super) struct Sessions {
    receiver: StreamReceiver,
    log: SessionLog,
}

impl Sessions {
    pub(super) fn new(receiver: StreamReceiver) -> Self {
        Self { receiver, log: SessionLog::default() }
    }
}

impl Source for Sessions {
    fn fetch(&mut self, collector: &mut Collector<Sinks>) -> Result<bool, Failure> {
        let Self { receiver, log } = self;
        let policy = Arc::clone(collector.policy());
        let handle = |exporter, event: StreamEvent<'_>| {
            match event {
                StreamEvent::Opened => collector.begin_session(exporter),
                StreamEvent::Message { message, received } => {
                    return collector.handle_datagram(exporter, message, received);
                }
                StreamEvent::Closed(closed) => {
                    log.closed(exporter, &closed);
                    if let Closed::Malformed(error) = closed {
                        collector.note_malformed(exporter, error, now());
                    }
                    collector.end_session(exporter);
                }
                StreamEvent::TurnedAway(reason) => log.turned_away(exporter, &reason),
            }
            Ok(())
        };
        receiver.receive(|address| policy.allows(address), handle).map_err(Failure::Output)
    }

    fn wait(&mut self, at_most: Duration) -> io::Result<()> {
        self.receiver.wait(at_most)
    }

    fn sessions(&self) -> Option<StreamStats> {
        Some(self.receiver.stats())
    }
}

/// Tells of sessions that did not end in order, and of connections that became none; of a flood how many there were.
#[derive(Debug, Default)]
struct SessionLog {
    second: u64,
    told: u32,
    untold: u64,
}

impl SessionLog {
    /// Lines in a second.
    const A_SECOND: u32 = 10;

    fn closed(&mut self, exporter: SocketAddr, closed: &Closed) {
        match closed {
            Closed::InOrder => {}
            // The fault says what.
            Closed::Malformed(_) => self.tell(now(), || {
                warn!("the session of {exporter} was closed: where its next message begins nobody knows");
            }),
            Closed::Failed(error) => self.tell(now(), || warn!("the session of {exporter} failed: {error}")),
            Closed::Idle(limit) => self.tell(now(), || {
                warn!("the session of {exporter} was closed: no whole message came for {limit:?}");
            }),
        }
    }

    fn turned_away(&mut self, exporter: SocketAddr, reason: &TurnedAway) {
        self.tell(now(), || warn!("a session of {exporter} was refused: {reason}"));
    }

    fn tell(&mut self, now: Timestamp, tell: impl FnOnce()) {
        if now.as_secs() != self.second {
            if self.untold > 0 {
                info!("{} more sessions ended or were refused, which was not told", self.untold);
            }
            *self = Self { second: now.as_secs(), told: 0, untold: 0 };
        }
        if self.told < Self::A_SECOND {
            self.told += 1;
            tell();
        } else {
            self.untold += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_sessions_does_not_flood_the_log() {
        let mut log = SessionLog::default();
        let mut told = 0;
        for second in 0..3 {
            for _ in 0..1_000 {
                log.tell(Timestamp::from_secs(1_700_000_000 + second), || told += 1);
            }
            assert_eq!(log.untold, 990);
        }
        assert_eq!(told, 30);
    }
}
