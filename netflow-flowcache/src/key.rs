//! Flow Keys: which packets belong to one flow (RFC 7011 section 2, RFC 3917 section 4).
//!
//! ```
//! use netflow_flowcache::{FlowKey, HashSeed, ObservedPacket};
//!
//! /// One flow per pair of VLANs.
//! #[derive(Clone, Copy, Eq, PartialEq)]
//! struct Vlans(u16, u16);
//!
//! impl FlowKey for Vlans {
//!     fn of(packet: &ObservedPacket) -> Self {
//!         Self(packet.vlan, packet.inner_vlan)
//!     }
//!
//!     fn hash(&self, seed: HashSeed) -> u64 {
//!         seed.hash_words([u64::from(self.0) << 16 | u64::from(self.1)])
//!     }
//! }
//! ```

use core::{
    cmp::Ordering,
    fmt, hash,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use crate::ObservedPacket;

/// The values that two packets must share to belong to the same flow.
///
/// Implement it for a type of your own to aggregate differently: by prefix, VLAN, label stack, tunnel, or by
/// several Observation Domains in one table. Smaller keys make smaller and faster tables.
pub trait FlowKey: Copy + Eq {
    /// The key of the flow this packet belongs to.
    fn of(packet: &ObservedPacket) -> Self;

    /// A hash of the whole key under `seed`, made with [`HashSeed::hash_words`].
    ///
    /// All 64 bits count: the table takes the bucket from the upper half and a tag from the lower. Equal keys
    /// must hash alike. The table compares keys in full, so colliding hashes cost time, never accuracy.
    fn hash(&self, seed: HashSeed) -> u64;
}

/// The secret that a table's hash depends on.
///
/// Who sends packets chooses Flow Keys, and who knows the hash function can choose keys that all fall in one
/// bucket. With a seed from the operating system's random source they cannot; with a fixed seed, a run can be
/// repeated exactly. The hash is made for speed and for keeping placement unpredictable: it is not a message
/// authentication code, so keep hashes as secret as the seed.
#[derive(Clone, Copy)]
pub struct HashSeed {
    words: [u64; 4],
}

impl HashSeed {
    /// From 256 bits of randomness.
    #[must_use]
    pub const fn new(words: [u64; 4]) -> Self {
        let [a, b, c, d] = words;
        // Spread, and made distinct, so that seeds like all zero still give a working hash.
        Self {
            words: [
                spread(a.wrapping_add(GOLDEN)),
                spread(b.wrapping_add(GOLDEN.wrapping_mul(2))),
                spread(c.wrapping_add(GOLDEN.wrapping_mul(3))),
                spread(d.wrapping_add(GOLDEN.wrapping_mul(4))) | 1,
            ],
        }
    }

    /// From 64 bits: for tests and for replays. 64 bits can be searched; prefer [`HashSeed::new`] where
    /// strangers send the packets.
    #[must_use]
    pub const fn from_u64(seed: u64) -> Self {
        Self::new([seed, seed, seed, seed])
    }

    /// The hash of a key that was packed into words, however many: one multiplication for two words, and one.
    #[inline]
    #[must_use]
    pub fn hash_words<const N: usize>(self, words: [u64; N]) -> u64 {
        let [mut state, factor, last, finish] = self.words;
        let (pairs, rest) = words.as_chunks::<2>();
        for [a, b] in pairs {
            state = fold(a ^ state, b ^ factor);
        }
        // A word left over goes in with the last multiplication; there is nothing behind it to hide from.
        let rest = rest.first().copied().unwrap_or(0);
        fold(state ^ rest ^ last, finish)
    }
}

impl fmt::Debug for HashSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashSeed(secret)")
    }
}

/// The usual Flow Key: addresses, ports, protocol, type of service and ingress interface.
///
/// Those seven make a NetFlow flow (elements 8/27, 12/28, 7, 11, 4, 5 and 10). IPv4 and IPv6 packets never
/// share a flow, not even when the IPv6 addresses are the IPv4-mapped ones. 48 octets.
///
/// ```
/// use core::net::{IpAddr, Ipv4Addr};
/// use netflow_flowcache::{FlowKey, ObservedPacket, SevenTuple};
///
/// let client = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
/// let server = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));
/// let key = SevenTuple::of(&ObservedPacket::new(client, server, 17, 60));
/// assert_eq!((key.source(), key.destination(), key.protocol()), (client, server, 17));
/// ```
#[derive(Clone, Copy)]
pub struct SevenTuple {
    /// IPv4: both addresses in the first word. IPv6: two words each, source first.
    addresses: [u64; 4],
    /// Source port 16 bits, destination port 16, protocol 8, TOS 8, IP version 16.
    transport: u64,
    ingress_interface: u32,
}

impl SevenTuple {
    const V4: u64 = 4;
    const V6: u64 = 6;

    /// Source address (elements 8, 27).
    #[must_use]
    pub const fn source(&self) -> IpAddr {
        let [first, second, ..] = self.addresses;
        if self.is_ipv4() {
            return IpAddr::V4(Ipv4Addr::from_bits((first >> 32) as u32));
        }
        IpAddr::V6(Ipv6Addr::from_bits(join(first, second)))
    }

    /// Destination address (elements 12, 28).
    #[must_use]
    pub const fn destination(&self) -> IpAddr {
        let [first, _, third, fourth] = self.addresses;
        if self.is_ipv4() {
            #[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
            return IpAddr::V4(Ipv4Addr::from_bits(first as u32));
        }
        IpAddr::V6(Ipv6Addr::from_bits(join(third, fourth)))
    }

    /// Source port (element 7).
    #[must_use]
    pub const fn source_port(&self) -> u16 {
        let [_, _, _, _, _, _, low, high] = self.transport.to_le_bytes();
        u16::from_le_bytes([low, high])
    }

    /// Destination port, or ICMP type and code (elements 11, 32, 139).
    #[must_use]
    pub const fn destination_port(&self) -> u16 {
        let [_, _, _, _, low, high, _, _] = self.transport.to_le_bytes();
        u16::from_le_bytes([low, high])
    }

    /// IP protocol (element 4).
    #[must_use]
    pub const fn protocol(&self) -> u8 {
        let [_, _, _, protocol, ..] = self.transport.to_le_bytes();
        protocol
    }

    /// IPv4 TOS or IPv6 traffic class octet (element 5).
    #[must_use]
    pub const fn tos(&self) -> u8 {
        let [_, _, tos, ..] = self.transport.to_le_bytes();
        tos
    }

    /// SNMP index of the ingress interface (element 10).
    #[must_use]
    pub const fn ingress_interface(&self) -> u32 {
        self.ingress_interface
    }

    /// Whether it is an IPv4 flow; otherwise it is an IPv6 flow (element 60).
    #[must_use]
    pub const fn is_ipv4(&self) -> bool {
        self.transport & 0xFFFF == Self::V4
    }
}

impl FlowKey for SevenTuple {
    /// A packet with one IPv4 and one IPv6 address, which no network has, counts as IPv6 with the IPv4-mapped
    /// form of the former.
    #[inline]
    fn of(packet: &ObservedPacket) -> Self {
        let (addresses, version) = match (packet.source, packet.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let pair = u64::from(source.to_bits()) << 32 | u64::from(destination.to_bits());
                ([pair, 0, 0, 0], Self::V4)
            }
            (source, destination) => {
                let ([a, b], [c, d]) = (split(source), split(destination));
                ([a, b, c, d], Self::V6)
            }
        };
        let transport = u64::from(packet.source_port) << 48
            | u64::from(packet.destination_port) << 32
            | u64::from(packet.protocol) << 24
            | u64::from(packet.tos) << 16
            | version;
        Self { addresses, transport, ingress_interface: packet.ingress_interface }
    }

    #[inline]
    fn hash(&self, seed: HashSeed) -> u64 {
        let [a, b, c, d] = self.addresses;
        let interface = u64::from(self.ingress_interface);
        if self.is_ipv4() {
            seed.hash_words([a, self.transport, interface])
        } else {
            seed.hash_words([a, b, c, d, self.transport, interface])
        }
    }
}

impl PartialEq for SevenTuple {
    /// Word by word and without branches. A comparison of octet strings would read a key that was just made in
    /// other pieces than it was written in, and wait for that.
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        let rest =
            (self.transport ^ other.transport) | u64::from(self.ingress_interface ^ other.ingress_interface);
        let pairs = self.addresses.iter().zip(&other.addresses);
        pairs.fold(rest, |differences, (word, other)| differences | (word ^ other)) == 0
    }
}

impl Eq for SevenTuple {}

impl hash::Hash for SevenTuple {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        hash::Hash::hash(&(self.addresses, self.transport, self.ingress_interface), state);
    }
}

impl Ord for SevenTuple {
    fn cmp(&self, other: &Self) -> Ordering {
        let parts = |key: &Self| (key.addresses, key.transport, key.ingress_interface);
        parts(self).cmp(&parts(other))
    }
}

impl PartialOrd for SevenTuple {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[expect(clippy::missing_fields_in_debug, reason = "all are shown, unpacked")]
impl fmt::Debug for SevenTuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SevenTuple")
            .field("source", &self.source())
            .field("destination", &self.destination())
            .field("source_port", &self.source_port())
            .field("destination_port", &self.destination_port())
            .field("protocol", &self.protocol())
            .field("tos", &self.tos())
            .field("ingress_interface", &self.ingress_interface)
            .finish()
    }
}

/// 2^64 divided by the golden ratio: an odd number without pattern.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// Both halves of the 128-bit product: every bit of the factors reaches the result.
#[inline]
const fn fold(a: u64, b: u64) -> u64 {
    let product = (a as u128) * (b as u128);
    #[expect(clippy::cast_possible_truncation, reason = "one half, then the other")]
    return product as u64 ^ (product >> 64) as u64;
}

/// A bijection that spreads a difference of one bit over the word.
pub(crate) const fn spread(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

const fn join(high: u64, low: u64) -> u128 {
    (high as u128) << 64 | low as u128
}

#[inline]
fn split(address: IpAddr) -> [u64; 2] {
    let bits = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    };
    #[expect(clippy::cast_possible_truncation, reason = "one half, then the other")]
    return [(bits >> 64) as u64, bits as u64];
}

#[cfg(test)]
mod tests {
    use alloc::{collections::BTreeSet, format, vec::Vec};

    use super::*;

    fn packet(source: &str, destination: &str) -> ObservedPacket {
        ObservedPacket::new(source.parse().unwrap(), destination.parse().unwrap(), 6, 40)
    }

    #[test]
    fn getters_give_back_what_the_packet_had() {
        for (source, destination) in [("192.0.2.1", "198.51.100.7"), ("2001:db8::1:2", "2001:db8:3::4")] {
            let mut packet = packet(source, destination);
            packet.source_port = 0xC001;
            packet.destination_port = 0x01BB;
            packet.protocol = 0x84;
            packet.tos = 0xB8;
            packet.ingress_interface = 0xDEAD_BEEF;
            let key = SevenTuple::of(&packet);
            assert_eq!((key.source(), key.destination()), (packet.source, packet.destination));
            assert_eq!((key.source_port(), key.destination_port()), (0xC001, 0x01BB));
            assert_eq!((key.protocol(), key.tos()), (0x84, 0xB8));
            assert_eq!(key.ingress_interface(), 0xDEAD_BEEF);
            assert_eq!(key.is_ipv4(), packet.source.is_ipv4());
        }
    }

    #[test]
    fn ipv4_and_mapped_ipv6_are_different_keys() {
        let v4 = SevenTuple::of(&packet("192.0.2.1", "198.51.100.7"));
        let mapped = SevenTuple::of(&packet("::ffff:192.0.2.1", "::ffff:198.51.100.7"));
        assert_ne!(v4, mapped);
        // The worst case: an IPv6 address whose upper half looks like the pair of IPv4 addresses.
        let alike = SevenTuple::of(&packet("c000:201:c633:6407::", "::"));
        assert_ne!(v4, alike);
    }

    #[test]
    fn mixed_families_count_as_ipv6() {
        let key = SevenTuple::of(&packet("192.0.2.1", "2001:db8::1"));
        assert!(!key.is_ipv4());
        assert_eq!(key.source(), "::ffff:192.0.2.1".parse::<IpAddr>().unwrap());
    }

    #[test]
    fn every_bit_of_a_key_moves_about_half_of_the_hash() {
        let seed = HashSeed::from_u64(7);
        let base: [u64; 6] = [1, 2, 3, 4, 5, 6];
        for bit in 0..384 {
            let mut total = 0;
            for round in 0..64_u64 {
                let mut words = base.map(|word| spread(word ^ round << 32));
                let before = seed.hash_words(words);
                words[bit / 64] ^= 1 << (bit % 64);
                total += (before ^ seed.hash_words(words)).count_ones();
            }
            let mean = f64::from(total) / 64.0;
            assert!((24.0..40.0).contains(&mean), "bit {bit}: {mean}");
        }
    }

    #[test]
    fn seeds_give_unrelated_hashes_even_when_they_are_zero() {
        let key = SevenTuple::of(&packet("192.0.2.1", "198.51.100.7"));
        let hashes: BTreeSet<_> = (0..1000).map(|seed| key.hash(HashSeed::from_u64(seed))).collect();
        assert_eq!(hashes.len(), 1000);
        let zero = HashSeed::new([0; 4]);
        let buckets: BTreeSet<_> = (0..4096_u64).map(|word| zero.hash_words([word]) >> 52).collect();
        // Thrown at random, 4096 balls leave about 37 % of 4096 boxes empty.
        assert!((2400..3500).contains(&buckets.len()), "{}", buckets.len());
    }

    #[test]
    fn number_of_words_may_be_any() {
        let seed = HashSeed::from_u64(1);
        let all: Vec<u64> = [
            seed.hash_words([]),
            seed.hash_words([9]),
            seed.hash_words([9, 8]),
            seed.hash_words([9, 8, 7]),
            seed.hash_words([9, 8, 7, 6]),
        ]
        .into();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 5);
    }

    #[test]
    fn debug_output_keeps_the_seed_secret() {
        assert_eq!(format!("{:?}", HashSeed::from_u64(42)), "HashSeed(secret)");
    }
}
