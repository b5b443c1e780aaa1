//! Counters of what became of the frames.

use super::{Malformed, Outcome};

/// What became of the frames that were dissected; every frame is in exactly one of the counters.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct DissectCounts {
    /// Frames with an IP packet to meter.
    pub packets: u64,
    /// Octets of layer 3 in them.
    pub octets: u64,
    /// Frames that are not IP.
    pub not_ip: u64,
    /// Frames of link types that are not read.
    pub unsupported_link_type: u64,
    malformed: [u64; Malformed::ALL.len()],
}

impl DissectCounts {
    /// Counts one frame.
    pub fn count(&mut self, outcome: &Outcome) {
        let octets = if let Outcome::Packet(packet) = outcome { packet.octets } else { 0 };
        self.count_with(outcome, octets);
    }

    /// Counts one frame, which has these octets of layer 3 if it is a packet.
    #[inline]
    pub fn count_with<P>(&mut self, outcome: &Outcome<P>, octets: u32) {
        match outcome {
            Outcome::Packet(_) => {
                self.packets += 1;
                self.octets += u64::from(octets);
            }
            Outcome::NotIp => self.not_ip += 1,
            Outcome::UnsupportedLinkType => self.unsupported_link_type += 1,
            Outcome::Malformed(reason) => {
                for (counter, known) in self.malformed.iter_mut().zip(Malformed::ALL) {
                    *counter += u64::from(known == *reason);
                }
            }
        }
    }

    /// Adds other counters.
    pub fn add(&mut self, other: &Self) {
        self.packets += other.packets;
        self.octets += other.octets;
        self.not_ip += other.not_ip;
        self.unsupported_link_type += other.unsupported_link_type;
        self.malformed.iter_mut().zip(other.malformed).for_each(|(sum, more)| *sum += more);
    }

    /// Malformed frames by reason, the reasons in the order of [`Malformed::ALL`].
    pub fn malformed(&self) -> impl Iterator<Item = (Malformed, u64)> {
        Malformed::ALL.into_iter().zip(self.malformed)
    }

    /// Malformed frames of any reason.
    #[must_use]
    pub fn malformed_total(&self) -> u64 {
        self.malformed.iter().sum()
    }

    /// All frames.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.packets + self.not_ip + self.unsupported_link_type + self.malformed_total()
    }
}
