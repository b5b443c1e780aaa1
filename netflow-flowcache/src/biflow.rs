//! Bidirectional flows (RFC 5103): both directions of a conversation in one record.
//!
//! ```
//! use core::net::{IpAddr, Ipv4Addr};
//! use netflow_flowcache::{Biflow, BiflowKey, Config, ExpireReason, FlowTable, HashSeed, ObservedPacket, Timestamp};
//!
//! let mut table = FlowTable::<BiflowKey, Biflow>::new(&Config::new(1024, HashSeed::from_u64(1)))?;
//! let client = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
//! let server = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));
//! table.handle_packet(&ObservedPacket::new(client, server, 17, 60), Timestamp::from_secs(10));
//! table.handle_packet(&ObservedPacket::new(server, client, 17, 1_400), Timestamp::from_secs(11));
//! table.flush(ExpireReason::FORCED_END);
//!
//! let halves = table.poll_expired().unwrap().directions();
//! assert_eq!((halves.key.source(), halves.forward.octets, halves.reverse.octets), (client, 60, 1_400));
//! # Ok::<(), netflow_flowcache::ConfigError>(())
//! ```

use crate::{
    BiflowKey, Counters, ExpiredFlow, Extra, Initiator, ObservedPacket, SevenTuple, Timestamp,
    packet::Fragment,
};

/// Keeps the two directions of a flow apart: an [`Extra`] for tables keyed with [`BiflowKey`].
///
/// Whoever sent the first packet is the initiator, but for two cases: a SYN with ACK is an answer, and so is an ICMP
/// reply. The initiator stays the same for all records of a flow that is reported by the active timeout (RFC 5103
/// section 5.3).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct Biflow {
    /// The end whose packets are those of the forward direction.
    pub initiator: Initiator,
    forward: Half,
    reverse: Half,
}

/// One direction. Empty as long as it has no packets.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
struct Half {
    octets: u64,
    packets: u64,
    first: Timestamp,
    last: Timestamp,
    minimum_length: u32,
    maximum_length: u32,
    egress_interface: u32,
    tcp_flags: u16,
    minimum_ttl: u8,
    maximum_ttl: u8,
    first_fragments: bool,
    later_fragments: bool,
}

/// A [`Biflow`] record as its initiator sees it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Directions {
    /// With the initiator as source; type of service and ingress interface are 0.
    pub key: SevenTuple,
    /// What the initiator sent. Zero if this record has nothing of it.
    pub forward: Counters,
    /// What came back (the reverse elements, RFC 5103 section 6). Zero if nothing did.
    pub reverse: Counters,
}

impl ExpiredFlow<BiflowKey, Biflow> {
    /// The record as its initiator sees it.
    #[must_use]
    pub fn directions(&self) -> Directions {
        directions(&self.key, &self.extra)
    }
}

impl<X> ExpiredFlow<BiflowKey, (Biflow, X)> {
    /// The record as its initiator sees it.
    #[must_use]
    pub fn directions(&self) -> Directions {
        directions(&self.key, &self.extra.0)
    }
}

fn directions(key: &BiflowKey, biflow: &Biflow) -> Directions {
    Directions {
        key: key.seen_from(biflow.initiator),
        forward: biflow.forward.counters(),
        reverse: biflow.reverse.counters(),
    }
}

const SYN_ACK: u16 = 0x12;

/// Who began the conversation that this packet is the first one seen of.
fn initiator(packet: &ObservedPacket) -> Initiator {
    let sender = Initiator::sender(packet);
    let kind = packet.destination_port >> 8;
    let is_answer = match packet.protocol {
        6 => packet.tcp_flags & SYN_ACK == SYN_ACK,
        // Echo, timestamp, information and address mask reply (RFC 792, RFC 950).
        1 => matches!(kind, 0 | 14 | 16 | 18),
        // Echo reply (RFC 4443).
        58 => kind == 129,
        _ => false,
    };
    if is_answer { sender.other() } else { sender }
}

impl Extra for Biflow {
    const ON_EACH_PACKET: bool = true;

    fn begin(packet: &ObservedPacket, now: Timestamp) -> Self {
        let mut biflow =
            Self { initiator: initiator(packet), forward: Half::default(), reverse: Half::default() };
        biflow.add(packet, now);
        biflow
    }

    #[inline]
    fn add(&mut self, packet: &ObservedPacket, now: Timestamp) {
        if Initiator::sender(packet) == self.initiator {
            self.forward.add(packet, now);
        } else {
            self.reverse.add(packet, now);
        }
    }

    fn resume(&mut self, packet: &ObservedPacket, now: Timestamp) {
        (self.forward, self.reverse) = (Half::default(), Half::default());
        self.add(packet, now);
    }
}

impl Half {
    #[inline]
    fn add(&mut self, packet: &ObservedPacket, now: Timestamp) {
        if self.packets == 0 {
            self.first = now;
            (self.minimum_length, self.minimum_ttl) = (packet.octets, packet.ttl);
            self.egress_interface = packet.egress_interface;
        }
        self.octets = self.octets.saturating_add(packet.octets.into());
        self.packets = self.packets.saturating_add(1);
        self.last = now;
        self.minimum_length = self.minimum_length.min(packet.octets);
        self.maximum_length = self.maximum_length.max(packet.octets);
        self.tcp_flags |= packet.tcp_flags;
        self.minimum_ttl = self.minimum_ttl.min(packet.ttl);
        self.maximum_ttl = self.maximum_ttl.max(packet.ttl);
        self.first_fragments |= packet.fragment == Fragment::First;
        self.later_fragments |= packet.fragment == Fragment::Later;
    }

    const fn counters(&self) -> Counters {
        Counters {
            octets: self.octets,
            packets: self.packets,
            first: self.first,
            last: self.last,
            minimum_length: self.minimum_length,
            maximum_length: self.maximum_length,
            egress_interface: self.egress_interface,
            tcp_flags: self.tcp_flags,
            minimum_ttl: self.minimum_ttl,
            maximum_ttl: self.maximum_ttl,
            first_fragments: self.first_fragments,
            later_fragments: self.later_fragments,
        }
    }
}
