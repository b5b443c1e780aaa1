//! The key of a Biflow (RFC 5103): both directions share it.

use super::{Form, HashSeed, Ipv4SevenTuple, Ipv6SevenTuple, SevenTuple, TableKey, seven_tuple::form_of};
use crate::{ConfigError, ObservedPacket};

/// Addresses, ports and protocol, the same for both directions.
///
/// Type of service and interfaces are not part of it: they differ between the directions of one conversation.
/// Packets of different Observation Domains never share a flow (RFC 5103 section 4).
///
/// Use it with [`crate::Biflow`], which keeps the directions apart.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct BiflowKey {
    /// With the higher end as source, and the Observation Domain in the place of the interface.
    ordered: SevenTuple,
}

/// Which end of a [`BiflowKey`] began the conversation.
// Complete by definition: there are two.
#[expect(clippy::exhaustive_enums, reason = "complete by definition")]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Initiator {
    /// The end with the higher address, or, where they are equal, the higher port.
    #[default]
    Higher,
    /// The other one.
    Lower,
}

impl Initiator {
    /// The end that sent this packet.
    #[inline]
    #[must_use]
    pub fn sender(packet: &ObservedPacket) -> Self {
        let (source, destination) = ends(packet);
        if source < destination { Self::Lower } else { Self::Higher }
    }

    /// The other end.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Higher => Self::Lower,
            Self::Lower => Self::Higher,
        }
    }
}

/// ICMP has no ports, but type and code in the place of one: they say nothing about the ends.
#[inline]
fn ends(packet: &ObservedPacket) -> ((core::net::IpAddr, u16), (core::net::IpAddr, u16)) {
    let (source_port, destination_port) = match packet.protocol {
        1 | 58 => (0, 0),
        _ => (packet.source_port, packet.destination_port),
    };
    ((packet.source, source_port), (packet.destination, destination_port))
}

impl BiflowKey {
    /// The key of the flow this packet belongs to, whichever its direction.
    #[must_use]
    pub fn of(packet: &ObservedPacket) -> Self {
        Self::from_form(Self::of_packet(packet, &()))
    }

    /// A hash of the key, the same for both directions; use another seed than that of the tables.
    #[must_use]
    pub fn hash(&self, seed: HashSeed) -> u64 {
        self.ordered.hash(seed)
    }

    /// Addresses, ports and protocol as seen from one end, with type of service and ingress interface 0.
    #[must_use]
    pub fn seen_from(&self, initiator: Initiator) -> SevenTuple {
        let key = &self.ordered;
        let mut packet = ObservedPacket::new(key.source(), key.destination(), key.protocol(), 0);
        (packet.source_port, packet.destination_port) = (key.source_port(), key.destination_port());
        if initiator == Initiator::Lower {
            packet = reversed(&packet);
        }
        SevenTuple::of(&packet)
    }

    /// The Observation Domain that the packets were of.
    #[must_use]
    pub const fn observation_domain(&self) -> u32 {
        self.ordered.ingress_interface()
    }
}

fn reversed(packet: &ObservedPacket) -> ObservedPacket {
    let mut reversed = *packet;
    (reversed.source, reversed.destination) = (packet.destination, packet.source);
    (reversed.source_port, reversed.destination_port) = (packet.destination_port, packet.source_port);
    reversed
}

impl TableKey for BiflowKey {
    type Fields = ();
    type Narrow = Ipv4SevenTuple;
    type Wide = Ipv6SevenTuple;

    fn check((): &()) -> Result<(), ConfigError> {
        Ok(())
    }

    #[inline]
    fn of_packet(packet: &ObservedPacket, (): &()) -> Form<Ipv4SevenTuple, Ipv6SevenTuple> {
        let mut ordered = match Initiator::sender(packet) {
            Initiator::Higher => *packet,
            Initiator::Lower => reversed(packet),
        };
        ordered.tos = 0;
        ordered.ingress_interface = packet.observation_domain;
        if matches!(packet.protocol, 1 | 58) {
            // A request and its reply have different types.
            (ordered.source_port, ordered.destination_port) = (0, 0);
        }
        form_of(&ordered)
    }

    #[inline]
    fn from_form(form: Form<Ipv4SevenTuple, Ipv6SevenTuple>) -> Self {
        Self { ordered: SevenTuple::from_form(form) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_directions_have_one_key_and_each_end_sees_itself_as_source() {
        for (one, other) in [("192.0.2.1", "198.51.100.7"), ("2001:db8::1", "2001:db8::"), ("::1", "::1")] {
            let mut packet = ObservedPacket::new(one.parse().unwrap(), other.parse().unwrap(), 6, 40);
            (packet.source_port, packet.destination_port) = (443, 50_000);
            packet.observation_domain = 9;
            let back = reversed(&packet);
            let key = BiflowKey::of(&packet);
            assert_eq!(key, BiflowKey::of(&back));
            assert_eq!(key.observation_domain(), 9);
            assert_eq!(Initiator::sender(&packet), Initiator::sender(&back).other());
            for packet in [packet, back] {
                let seen = key.seen_from(Initiator::sender(&packet));
                assert_eq!((seen.source(), seen.source_port()), (packet.source, packet.source_port));
                assert_eq!((seen.destination(), seen.protocol()), (packet.destination, 6));
            }
            packet.observation_domain = 8;
            assert_ne!(key, BiflowKey::of(&packet));
        }
    }

    #[test]
    fn an_echo_and_its_reply_are_one_conversation() {
        let mut request =
            ObservedPacket::new("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap(), 1, 84);
        request.destination_port = 8 << 8;
        let mut reply = reversed(&request);
        (reply.source_port, reply.destination_port) = (0, 0);
        assert_eq!(BiflowKey::of(&request), BiflowKey::of(&reply));
        assert_ne!(Initiator::sender(&request), Initiator::sender(&reply));
    }
}
