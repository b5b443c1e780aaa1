//! What the table keeps of a flow, and each packet touches.
//!
//! ```text
//! | first | last | octets | packets, flags | egress | lengths, TTLs | state, epoch | key |
//!    8       8       8           8            4           8              2         18 (IPv4 seven-tuple)
//! ```
//!
//! With the IPv4 seven-tuple it is one cache line. Members that a packet changes are whole words, so that the next packet
//! of the flow does not wait for parts of them to reach the cache.

use crate::{Counters, ExpireReason, ObservedPacket, StoredKey, Timestamp, packet::Fragment};

/// The largest count of packets that a record can hold.
pub(crate) const MAX_PACKETS: u64 = (1 << 48) - 1;
/// Where the TCP flags stand above the packets.
const FLAGS_SHIFT: u32 = 48;
/// The largest length that a record can tell from others: longer ones count as this.
pub(crate) const MAX_LENGTH: u32 = (1 << 24) - 1;

/// The part of a flow that each packet touches.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<S: StoredKey> {
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    pub(crate) octets: u64,
    /// Packets in the lower 48 bits, TCP flags above them.
    packets_and_flags: u64,
    egress_interface: u32,
    /// Length in the upper 24 bits, TTL in the lower eight: the smallest of each, the largest.
    smallest: u32,
    largest: u32,
    state: State,
    /// How often the table had been flushed when the record began, modulo 256; the reason once it ended.
    epoch: u8,
    pub(crate) key: S,
    _align: [S::Align; 0],
}

/// Bits of what a record is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct State(u8);

impl State {
    /// The class of its protocol: an index of timeouts.
    const CLASS: u8 = 0b0000_0011;
    /// Nothing was metered since the last record of this flow was handed out.
    const EMPTY: u8 = 0b0000_0100;
    /// Ended or unused: not to be found by a key.
    const GONE: u8 = 0b0000_1000;
    /// A fragment was among the packets: the first of its datagram, a later one.
    const FIRST_FRAGMENT: u8 = 0b0001_0000;
    const LATER_FRAGMENT: u8 = 0b0010_0000;
}

impl<S: StoredKey> Record<S> {
    /// The record that begins with a packet.
    #[inline]
    pub(crate) fn new(key: S, packet: &ObservedPacket, now: Timestamp, epoch: u8) -> Self {
        let length_and_ttl = length(packet) << 8 | u32::from(packet.ttl);
        Self {
            first: now,
            last: now,
            octets: u64::from(packet.octets),
            packets_and_flags: 1 | u64::from(packet.tcp_flags) << FLAGS_SHIFT,
            egress_interface: packet.egress_interface,
            smallest: length_and_ttl,
            largest: length_and_ttl,
            state: State(class(packet.protocol) | fragment(packet)),
            epoch,
            key,
            _align: [],
        }
    }

    /// Counts a packet. The record must have room for it.
    #[inline]
    pub(crate) fn add(&mut self, packet: &ObservedPacket, now: Timestamp) {
        self.add_whole(packet, now);
        self.state.0 |= fragment(packet);
    }

    /// Counts a packet that is no fragment, without branches: whether a packet is the shortest so far is anybody's guess.
    #[inline]
    pub(crate) fn add_whole(&mut self, packet: &ObservedPacket, now: Timestamp) {
        self.last = now;
        self.octets = self.octets.wrapping_add(u64::from(packet.octets));
        let counted = self.packets_and_flags.wrapping_add(1);
        self.packets_and_flags = counted | u64::from(packet.tcp_flags) << FLAGS_SHIFT;
        let (length, ttl) = (length(packet), u32::from(packet.ttl));
        self.smallest = (self.smallest >> 8).min(length) << 8 | (self.smallest & 0xFF).min(ttl);
        self.largest = (self.largest >> 8).max(length) << 8 | (self.largest & 0xFF).max(ttl);
    }

    /// Begins again with nothing: the flow goes on, its record was handed out.
    pub(crate) fn empty(&mut self) {
        self.state.0 |= State::EMPTY;
        (self.octets, self.packets_and_flags) = (0, 0);
    }

    /// Marks it as ended.
    #[inline]
    pub(crate) fn end(&mut self, reason: ExpireReason) {
        self.state.0 |= State::GONE;
        self.epoch = reason.code();
    }

    /// Marks it as one not to be found.
    #[inline]
    pub(crate) fn forget(&mut self) {
        self.state.0 |= State::GONE;
    }

    /// Why it ended, once it did.
    #[inline]
    pub(crate) const fn reason(&self) -> ExpireReason {
        ExpireReason::from_code(self.epoch)
    }

    #[inline]
    pub(crate) const fn epoch(&self) -> u8 {
        self.epoch
    }

    /// What has to be [`mark_of`] the present epoch if packets are just to be added.
    #[inline]
    pub(crate) const fn mark(&self) -> u16 {
        u16::from_le_bytes([self.state.0 & (State::EMPTY | State::GONE), self.epoch])
    }

    #[inline]
    pub(crate) const fn is_empty(&self) -> bool {
        self.state.0 & State::EMPTY != 0
    }

    /// Whether packets can still be added.
    #[inline]
    pub(crate) const fn is_live(&self) -> bool {
        self.state.0 & State::GONE == 0
    }

    #[inline]
    pub(crate) const fn class(&self) -> usize {
        (self.state.0 & State::CLASS) as usize
    }

    #[inline]
    pub(crate) const fn packets(&self) -> u64 {
        self.packets_and_flags & MAX_PACKETS
    }

    #[inline]
    pub(crate) const fn tcp_flags(&self) -> u16 {
        (self.packets_and_flags >> FLAGS_SHIFT) as u16
    }

    /// The number of packets, but a larger one than there can be when the record has one of these TCP flags.
    #[inline]
    pub(crate) const fn packets_without(&self, tcp_flags: u16) -> u64 {
        self.packets_and_flags & (MAX_PACKETS | (tcp_flags as u64) << FLAGS_SHIFT)
    }

    #[inline]
    pub(crate) const fn counters(&self) -> Counters {
        let ([minimum_ttl, ..], [maximum_ttl, ..]) =
            (self.smallest.to_le_bytes(), self.largest.to_le_bytes());
        Counters {
            octets: self.octets,
            packets: self.packets(),
            first: self.first,
            last: self.last,
            minimum_length: self.smallest >> 8,
            maximum_length: self.largest >> 8,
            egress_interface: self.egress_interface,
            tcp_flags: self.tcp_flags(),
            minimum_ttl,
            maximum_ttl,
            first_fragments: self.state.0 & State::FIRST_FRAGMENT != 0,
            later_fragments: self.state.0 & State::LATER_FRAGMENT != 0,
        }
    }
}

/// Classes of protocols that have inactive timeouts of their own.
pub(crate) const CLASSES: usize = 4;
const OTHER: u8 = 0;
pub(crate) const TCP: u8 = 1;
pub(crate) const UDP: u8 = 2;
pub(crate) const ICMP: u8 = 3;

/// The class of each protocol: protocols come at random, and guessing wrong costs more than looking.
static CLASS_OF: [u8; 256] = {
    let mut classes = [OTHER; 256];
    classes[6] = TCP;
    classes[17] = UDP;
    classes[1] = ICMP;
    classes[58] = ICMP;
    classes
};

#[inline]
pub(crate) fn class(protocol: u8) -> u8 {
    CLASS_OF.get(usize::from(protocol)).copied().unwrap_or(OTHER)
}

#[inline]
const fn fragment(packet: &ObservedPacket) -> u8 {
    match packet.fragment {
        Fragment::Unfragmented => 0,
        Fragment::First => State::FIRST_FRAGMENT,
        Fragment::Later => State::LATER_FRAGMENT,
    }
}

/// The length in 24 bits.
#[inline]
fn length(packet: &ObservedPacket) -> u32 {
    packet.octets.min(MAX_LENGTH)
}

/// The [`Record::mark`] of a live record of this epoch that is not empty.
#[inline]
pub(crate) const fn mark_of(epoch: u8) -> u16 {
    u16::from_le_bytes([0, epoch])
}

/// No record's [`Record::mark`].
pub(crate) const NO_MARK: u16 = 1;
const _: () = assert!(NO_MARK & (State::EMPTY | State::GONE) as u16 == 0);

#[cfg(test)]
mod tests {
    use core::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::{Ipv4SevenTuple, Ipv6SevenTuple};

    #[test]
    fn sizes_are_the_documented_ones() {
        assert_eq!((size_of::<Ipv4SevenTuple>(), size_of::<Ipv6SevenTuple>()), (18, 42));
        assert_eq!((size_of::<Record<Ipv4SevenTuple>>(), align_of::<Record<Ipv4SevenTuple>>()), (64, 64));
        assert_eq!((size_of::<Record<Ipv6SevenTuple>>(), align_of::<Record<Ipv6SevenTuple>>()), (96, 32));
    }

    #[test]
    fn counts_carry_and_lengths_stay_within_24_bits() {
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let mut packet = ObservedPacket::new(address, address, 6, 0x0012_3456);
        let mut record = Record::new(Ipv4SevenTuple::default(), &packet, Timestamp::ZERO, 0);
        record.packets_and_flags = u32::MAX.into();
        packet.octets = u32::MAX;
        record.add(&packet, Timestamp::ZERO);
        packet.octets = 0;
        record.add(&packet, Timestamp::ZERO);
        let counters = record.counters();
        assert_eq!(counters.packets, (1 << 32) + 1);
        assert_eq!(counters.octets, u64::from(u32::MAX) + 0x0012_3456);
        assert_eq!((counters.minimum_length, counters.maximum_length), (0, MAX_LENGTH));
    }
}
