//! Where faults of a datagram go.

use core::net::IpAddr;

use netflow_codec::{SequenceEvent, SequenceUnit};

use crate::{
    account::{Account, Fault, Header, Stream, What},
    policy::Refusal,
};

/// Tells a fault.
pub(super) type Report = Box<dyn FnMut(&Fault)>;

/// Where faults of one datagram go.
pub(super) struct Faults<'c> {
    pub(super) account: &'c mut Account,
    pub(super) report: Option<&'c mut Report>,
    pub(super) exporter: IpAddr,
    pub(super) datagram: u64,
    pub(super) stream: Option<(u16, u32)>,
}

impl Faults<'_> {
    /// Takes the header; reports what it says of other datagrams.
    pub(super) fn header(&mut self, stream: Stream, header: &Header) {
        let (event, restart) = self.account.header(stream, header);
        match event {
            Some(SequenceEvent::Gap { lost }) => {
                let unit = SequenceUnit::of(stream.version).map_or("units", SequenceUnit::name);
                self.add(None, What::Gap { lost, unit });
            }
            Some(SequenceEvent::Reset) if restart.is_none() => self.add(None, What::SequenceReset),
            _ => {}
        }
        if let Some(restart) = restart {
            self.add(None, What::Restart(restart));
        }
    }

    pub(super) fn add(&mut self, set: Option<usize>, what: What) {
        let Some(count) = self.account.fault(self.exporter, what) else { return };
        self.tell(set, what, count);
    }

    /// A stranger has no account of its own.
    pub(super) fn refused(&mut self, reason: Refusal) {
        if reason != Refusal::NotAllowed {
            self.add(None, What::Refused(reason));
        } else if let Some(count) = self.account.refused_stranger(self.exporter) {
            self.tell(None, What::Refused(reason), count);
        }
    }

    fn tell(&mut self, set: Option<usize>, what: What, count: u64) {
        if let Some(report) = &mut self.report {
            let Self { exporter, stream, datagram, .. } = *self;
            report(&Fault { exporter, stream, datagram, set, what, count });
        }
    }
}
