//! The hash functions of packet selection (RFC 5475 section 6.2.4 and appendix A).

/// BOB: the hash that each implementation of hash-based filtering has to offer.
///
/// The packing is little-endian, as a machine of that kind reads it; `initialiser` is the initial value. All
/// arithmetic is modulo 2^32.
///
/// ```
/// assert_eq!(netflow_flowcache::sample::bob(b"abc", 0), 0x251e_4793);
/// ```
#[must_use]
pub fn bob(key: &[u8], initialiser: u32) -> u32 {
    finish(start(initialiser), key, key.len())
}

/// [`bob`] of `head` and `tail` one behind the other.
#[inline]
pub(super) fn bob_of(head: &[u8; 12], tail: &[u8], initialiser: u32) -> u32 {
    finish(absorb(start(initialiser), head), tail, head.len() + tail.len())
}

type State = [u32; 3];

const fn start(initialiser: u32) -> State {
    [0x9E37_79B9, 0x9E37_79B9, initialiser]
}

#[inline]
const fn absorb([a, b, c]: State, block: &[u8; 12]) -> State {
    let [a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3] = *block;
    mix([
        a.wrapping_add(u32::from_le_bytes([a0, a1, a2, a3])),
        b.wrapping_add(u32::from_le_bytes([b0, b1, b2, b3])),
        c.wrapping_add(u32::from_le_bytes([c0, c1, c2, c3])),
    ])
}

/// Takes in the last octets and the length of all: the lowest octet of `c` is the length's.
#[inline]
fn finish(mut state: State, octets: &[u8], total: usize) -> u32 {
    let (blocks, rest) = octets.as_chunks::<12>();
    for block in blocks {
        state = absorb(state, block);
    }
    let mut last = [0; 12];
    for (place, octet) in (0..8).chain(9..12).zip(rest) {
        if let Some(slot) = last.get_mut(place) {
            *slot = *octet;
        }
    }
    let [a, b, c] = state;
    #[expect(clippy::cast_possible_truncation, reason = "modulo 2^32, as all arithmetic here")]
    let [_, _, hash] = absorb([a, b, c.wrapping_add(total as u32)], &last);
    hash
}

const fn mix([a, b, c]: State) -> State {
    let a = a.wrapping_sub(b).wrapping_sub(c) ^ (c >> 13);
    let b = b.wrapping_sub(c).wrapping_sub(a) ^ (a << 8);
    let c = c.wrapping_sub(a).wrapping_sub(b) ^ (b >> 13);
    let a = a.wrapping_sub(b).wrapping_sub(c) ^ (c >> 12);
    let b = b.wrapping_sub(c).wrapping_sub(a) ^ (a << 16);
    let c = c.wrapping_sub(a).wrapping_sub(b) ^ (b >> 5);
    let a = a.wrapping_sub(b).wrapping_sub(c) ^ (c >> 3);
    let b = b.wrapping_sub(c).wrapping_sub(a) ^ (a << 10);
    let c = c.wrapping_sub(a).wrapping_sub(b) ^ (b >> 15);
    [a, b, c]
}

/// IPSX: a fast mix of four words, for packet selection only (RFC 5475 section 6.2.4.2).
///
/// The words are bits 32 to 63 of the IPv4 header, source and destination address, and bits 32 to 63 of the IP
/// payload.
///
/// ```
/// let words = [0x1234_5678, 0x9abc_def0, 0x0fed_cba9, 0x8765_4321];
/// assert_eq!(netflow_flowcache::sample::ipsx(words), 0x1399);
/// ```
#[must_use]
pub const fn ipsx([f1, f2, f3, f4]: [u32; 4]) -> u16 {
    let (v1, v2) = (f1 ^ f2, f3 ^ f4);
    let hash =
        (v1 << 8) ^ (v1 >> 4) ^ (v1 >> 12) ^ (v1 >> 16) ^ (v2 << 6) ^ (v2 << 10) ^ (v2 << 14) ^ (v2 >> 7);
    let [.., high, low] = hash.to_be_bytes();
    u16::from_be_bytes([high, low])
}

/// CRC-32 as Ethernet and zlib have it: the RFC leaves the polynomial open.
///
/// ```
/// assert_eq!(netflow_flowcache::sample::crc32(b"123456789"), 0xcbf4_3926);
/// ```
#[must_use]
pub fn crc32(key: &[u8]) -> u32 {
    !crc_update(u32::MAX, key)
}

/// [`crc32`] of three pieces one behind the other.
pub(super) fn crc32_of(head: &[u8], middle: &[u8], tail: &[u8]) -> u32 {
    !crc_update(crc_update(crc_update(u32::MAX, head), middle), tail)
}

fn crc_update(register: u32, octets: &[u8]) -> u32 {
    octets.iter().fold(register, |register, octet| {
        let [low, ..] = register.to_le_bytes();
        (register >> 8) ^ CRC_TABLE.get(usize::from(low ^ octet)).copied().unwrap_or(0)
    })
}

/// What eight steps make of each octet.
const CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut octet = 0_u32;
    let mut rest: &mut [u32] = &mut table;
    while let Some((entry, behind)) = rest.split_first_mut() {
        let (mut register, mut bit) = (octet, 0);
        while bit < 8 {
            register = (register >> 1) ^ (0xEDB8_8320 * (register & 1));
            bit += 1;
        }
        *entry = register;
        octet += 1;
        rest = behind;
    }
    table
};
