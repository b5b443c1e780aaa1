//! What the table keeps of a flow, and each packet touches.
//!
//! ```text
//! | first | last | octets | packets | egress | lengths, flags, TTLs | state, epoch | key |
//!    8       8       8        6         4              10 octets           2         18 (IPv4 seven-tuple)
//! ```
//!
//! With the IPv4 seven-tuple it is one cache line.

use crate::{Counters, ExpireReason, ObservedPacket, StoredKey, Timestamp, packet::Fragment};

/// The largest count of packets that a record can hold.
pub(crate) const MAX_PACKETS: u64 = (1 << 48) - 1;
/// The largest length that a record can tell from others: longer ones count as this.
pub(crate) const MAX_LENGTH: u32 = (1 << 24) - 1;

/// The part of a flow that each packet touches.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<S: StoredKey> {
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    pub(crate) octets: u64,
    packets_low: u32,
    egress_interface: u32,
    packets_high: u16,
    pub(crate) tcp_flags: u16,
    minimum_length_low: u16,
    maximum_length_low: u16,
    minimum_length_high: u8,
    maximum_length_high: u8,
    minimum_ttl: u8,
    maximum_ttl: u8,
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
        let [a, b, c] = length(packet);
        Self {
            first: now,
            last: now,
            octets: u64::from(packet.octets),
            packets_low: 1,
            egress_interface: packet.egress_interface,
            packets_high: 0,
            tcp_flags: packet.tcp_flags,
            minimum_length_low: u16::from_le_bytes([a, b]),
            maximum_length_low: u16::from_le_bytes([a, b]),
            minimum_length_high: c,
            maximum_length_high: c,
            minimum_ttl: packet.ttl,
            maximum_ttl: packet.ttl,
            state: State(class(packet.protocol) | fragment(packet)),
            epoch,
            key,
            _align: [],
        }
    }

    /// Counts a packet.
    #[inline]
    pub(crate) fn add(&mut self, packet: &ObservedPacket, now: Timestamp) {
        self.octets = self.octets.wrapping_add(u64::from(packet.octets));
        let (low, carry) = self.packets_low.overflowing_add(1);
        self.packets_low = low;
        self.packets_high = self.packets_high.wrapping_add(u16::from(carry));
        self.last = now;
        let [a, b, c] = length(packet);
        let length = packet.octets.min(MAX_LENGTH);
        if length < self.minimum_length() {
            (self.minimum_length_low, self.minimum_length_high) = (u16::from_le_bytes([a, b]), c);
        }
        if length > self.maximum_length() {
            (self.maximum_length_low, self.maximum_length_high) = (u16::from_le_bytes([a, b]), c);
        }
        self.tcp_flags |= packet.tcp_flags;
        self.minimum_ttl = self.minimum_ttl.min(packet.ttl);
        self.maximum_ttl = self.maximum_ttl.max(packet.ttl);
        self.state.0 |= fragment(packet);
    }

    /// Begins again with nothing: the flow goes on, its record was handed out.
    pub(crate) fn empty(&mut self) {
        self.state.0 |= State::EMPTY;
        self.tcp_flags = 0;
        (self.octets, self.packets_low, self.packets_high) = (0, 0, 0);
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
    pub(crate) fn packets(&self) -> u64 {
        u64::from(self.packets_high) << 32 | u64::from(self.packets_low)
    }

    #[inline]
    fn minimum_length(&self) -> u32 {
        u32::from(self.minimum_length_high) << 16 | u32::from(self.minimum_length_low)
    }

    #[inline]
    fn maximum_length(&self) -> u32 {
        u32::from(self.maximum_length_high) << 16 | u32::from(self.maximum_length_low)
    }

    pub(crate) fn counters(&self) -> Counters {
        Counters {
            octets: self.octets,
            packets: self.packets(),
            first: self.first,
            last: self.last,
            minimum_length: self.minimum_length(),
            maximum_length: self.maximum_length(),
            egress_interface: self.egress_interface,
            tcp_flags: self.tcp_flags,
            minimum_ttl: self.minimum_ttl,
            maximum_ttl: self.maximum_ttl,
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

#[inline]
const fn class(protocol: u8) -> u8 {
    match protocol {
        6 => TCP,
        17 => UDP,
        1 | 58 => ICMP,
        _ => OTHER,
    }
}

#[inline]
const fn fragment(packet: &ObservedPacket) -> u8 {
    match packet.fragment {
        Fragment::Unfragmented => 0,
        Fragment::First => State::FIRST_FRAGMENT,
        Fragment::Later => State::LATER_FRAGMENT,
    }
}

/// The length in three octets, the lowest first.
#[inline]
fn length(packet: &ObservedPacket) -> [u8; 3] {
    let [a, b, c, _] = packet.octets.min(MAX_LENGTH).to_le_bytes();
    [a, b, c]
}

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
        record.packets_low = u32::MAX;
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
