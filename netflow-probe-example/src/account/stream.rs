//! What is known of the datagrams whose sequence numbers belong together.

use core::{net::IpAddr, time::Duration};

use netflow_codec::{
    ExportClock, Restart, RestartDetector, SamplingInfo, SequenceCounts, SequenceEvent, SequenceTracker,
    SequenceUnit, Timestamp,
};

use super::{Counts, Numbering};

/// Whose sequence numbers belong together.
///
/// Exporters that share an address (behind one NAT, or processes of one device) differ in the port. One that sends from
/// another port after a restart is a new stream.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Stream {
    /// The exporter.
    pub exporter: IpAddr,
    /// Version of the protocol.
    pub version: u16,
    /// IPFIX: observation domain; v9: source ID; v5: engine type (high octet) and engine number (low octet); else 0.
    pub observation_domain: u32,
    /// The port that it sends from.
    pub port: u16,
}

/// What is known of one stream.
#[derive(Clone, Debug, Default)]
pub struct StreamAccount {
    /// When its first datagram came.
    pub first_seen: Timestamp,
    /// When its last datagram came.
    pub last_seen: Timestamp,
    /// What its datagrams carried.
    pub counts: Counts,
    /// Its sequence numbers.
    pub sequence: SequenceTracker,
    /// From where its sequence numbers count.
    pub numbering: Numbering,
    /// What its headers say of restarts.
    pub restarts: RestartDetector,
    /// How often its exporter was restarted, or its clock set.
    pub restarted: u64,
    /// The last time that it was.
    pub last_restart: Option<Restart>,
    /// What its exporter said last of sampling.
    pub sampling: Option<SamplingInfo>,
}

impl StreamAccount {
    /// Takes a sequence number, and says what it means; `is_anew` when it is known to begin anew.
    pub(super) fn number(&mut self, version: u16, header: &Header, is_anew: bool) -> Option<SequenceEvent> {
        if version == 10 {
            return self.numbering.observe(&mut self.sequence, header, is_anew);
        }
        let sequence = header.sequence?;
        Some(match header.units {
            Some(units) if is_anew => self.sequence.restart(sequence, units),
            Some(units) => self.sequence.observe(sequence, units),
            None => self.sequence.observe_open(sequence),
        })
    }

    /// How long a stream is a newcomer, which is forgotten before the others when there are too many.
    const PROBATION: Duration = Duration::from_secs(30);

    pub(super) fn is_established(&self) -> bool {
        self.counts.data_records > 0 && self.last_seen.saturating_since(self.first_seen) >= Self::PROBATION
    }
}

/// What a datagram's header says, and what followed it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) sequence: Option<u32>,
    /// By how much the sequence number of its stream advances, if that is known.
    pub(crate) units: Option<u32>,
    /// Its flow records, if all are known.
    pub(crate) flows: Option<u32>,
    pub(crate) clock: ExportClock,
    pub(crate) received: Timestamp,
    /// Whether a template took the place of another one.
    pub(crate) redefines_templates: bool,
}

/// Versions without sequence numbers have counted nothing.
pub(super) fn add_sequence(sums: &mut [SequenceCounts; 3], version: u16, counts: &SequenceCounts) {
    let [flows, packets, records] = sums;
    let sum = match SequenceUnit::of(version) {
        Some(SequenceUnit::Packets) => packets,
        Some(SequenceUnit::Records) => records,
        _ => flows,
    };
    add_counts(sum, counts);
}

pub(super) const fn add_counts(sum: &mut SequenceCounts, counts: &SequenceCounts) {
    sum.received += counts.received;
    sum.lost += counts.lost;
    sum.gaps += counts.gaps;
    sum.late += counts.late;
    sum.duplicates += counts.duplicates;
    sum.strays += counts.strays;
    sum.resets += counts.resets;
}
