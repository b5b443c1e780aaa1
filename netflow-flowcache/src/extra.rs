//! What a flow keeps besides key and counters, at the caller's choice.
//!
//! ```
//! use netflow_flowcache::{Extra, ObservedPacket, Timestamp};
//!
//! /// Packets with the ECN bits set to "congestion experienced".
//! #[derive(Clone, Copy, Debug)]
//! struct Congestion(u32);
//!
//! impl Extra for Congestion {
//!     const ON_EACH_PACKET: bool = true;
//!
//!     fn begin(packet: &ObservedPacket, _: Timestamp) -> Self {
//!         Self(u32::from(packet.tos & 3 == 3))
//!     }
//!
//!     fn add(&mut self, packet: &ObservedPacket, _: Timestamp) {
//!         self.0 = self.0.saturating_add(u32::from(packet.tos & 3 == 3));
//!     }
//! }
//! ```

use core::fmt::Debug;

use crate::{FirstPacket, ObservedPacket, Timestamp};

/// What a flow keeps besides key and counters.
///
/// `()` keeps nothing and costs nothing. [`FirstPacket`], [`Totals`], [`Weighted`] and [`crate::Biflow`] are ready, a
/// pair keeps both, and a type of your own keeps what you need. Its size is added to what a flow takes.
pub trait Extra: Copy + Debug {
    /// Whether [`Extra::add`] does anything. Where it does not, packets do not look for the value.
    const ON_EACH_PACKET: bool = false;

    /// The value of a flow that begins with this packet.
    fn begin(packet: &ObservedPacket, now: Timestamp) -> Self;

    /// A further packet of the record.
    #[inline]
    fn add(&mut self, packet: &ObservedPacket, now: Timestamp) {
        let _ = (packet, now);
    }

    /// The first packet of a further record of the same flow: the one before ended by the active timeout or by a
    /// counter limit.
    #[inline]
    fn resume(&mut self, packet: &ObservedPacket, now: Timestamp) {
        *self = Self::begin(packet, now);
    }
}

impl Extra for () {
    #[inline]
    fn begin(_: &ObservedPacket, _: Timestamp) -> Self {}
}

impl Extra for FirstPacket {
    #[inline]
    fn begin(packet: &ObservedPacket, _: Timestamp) -> Self {
        Self::of(packet)
    }
}

impl<A: Extra, B: Extra> Extra for (A, B) {
    const ON_EACH_PACKET: bool = A::ON_EACH_PACKET || B::ON_EACH_PACKET;

    #[inline]
    fn begin(packet: &ObservedPacket, now: Timestamp) -> Self {
        (A::begin(packet, now), B::begin(packet, now))
    }

    #[inline]
    fn add(&mut self, packet: &ObservedPacket, now: Timestamp) {
        self.0.add(packet, now);
        self.1.add(packet, now);
    }

    #[inline]
    fn resume(&mut self, packet: &ObservedPacket, now: Timestamp) {
        self.0.resume(packet, now);
        self.1.resume(packet, now);
    }
}

/// Total counters: they go on from record to record of one flow (RFC 7012 section 3.2.2).
///
/// 24 octets a flow.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct Totals {
    /// Layer 3 octets since the flow began (element 85).
    pub octets: u64,
    /// Packets since the flow began (element 86).
    pub packets: u64,
    /// When the flow began.
    pub start: Timestamp,
}

impl Extra for Totals {
    const ON_EACH_PACKET: bool = true;

    #[inline]
    fn begin(packet: &ObservedPacket, now: Timestamp) -> Self {
        Self { octets: packet.octets.into(), packets: 1, start: now }
    }

    #[inline]
    fn add(&mut self, packet: &ObservedPacket, _: Timestamp) {
        self.octets = self.octets.saturating_add(packet.octets.into());
        self.packets = self.packets.saturating_add(1);
    }

    #[inline]
    fn resume(&mut self, packet: &ObservedPacket, now: Timestamp) {
        self.add(packet, now);
    }
}

/// The estimate where each packet stands for several: packets and octets times [`ObservedPacket::weight`].
///
/// [`crate::Counters`] then counts the sampled packets themselves. 16 octets a flow.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct Weighted {
    /// Octets that the sampled ones stand for.
    pub octets: u64,
    /// Packets that the sampled ones stand for.
    pub packets: u64,
}

impl Extra for Weighted {
    const ON_EACH_PACKET: bool = true;

    #[inline]
    fn begin(packet: &ObservedPacket, now: Timestamp) -> Self {
        let mut weighted = Self::default();
        weighted.add(packet, now);
        weighted
    }

    #[inline]
    fn add(&mut self, packet: &ObservedPacket, _: Timestamp) {
        let weight = u64::from(packet.weight);
        self.octets = self.octets.saturating_add(weight * u64::from(packet.octets));
        self.packets = self.packets.saturating_add(weight);
    }
}
