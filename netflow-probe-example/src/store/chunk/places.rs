//! Places in a dictionary, as values of a page (`RLE_DICTIONARY`).
//!
//! They have 1, 2, 4, 8 or 16 bits, never a number between: so each octet has whole places, and the compression sees
//! the same octet for the same places. Of several small places in an octet it makes what they are worth together.

use super::levels::push_varint;

/// Bits of a place in a dictionary of so many entries.
const fn width(entries: u32) -> u8 {
    match entries {
        0..=2 => 1,
        3..=4 => 2,
        5..=16 => 4,
        17..=256 => 8,
        _ => 16,
    }
}

/// Appends places one by one.
pub(super) fn push_places(out: &mut Vec<u8>, entries: u32, places: &[u16]) {
    let width = width(entries);
    out.push(width);
    // Runs are of whole groups of eight places, which have as many octets as places have bits.
    let groups = places.len().div_ceil(8);
    push_varint(out, (groups as u64) << 1 | 1);
    let end = out.len() + groups * usize::from(width);
    out.reserve(end - out.len());
    match width {
        16 => places.iter().for_each(|place| out.extend_from_slice(&place.to_le_bytes())),
        8 => out.extend(places.iter().map(|place| place.to_le_bytes()[0])),
        4 => push_packed::<2>(out, 4, places),
        2 => push_packed::<4>(out, 2, places),
        _ => push_packed::<8>(out, 1, places),
    }
    out.resize(end, 0);
}

/// Appends octets of so many places each, which have so many bits, the first one lowest.
fn push_packed<const PLACES: usize>(out: &mut Vec<u8>, width: u32, places: &[u16]) {
    let octet = |places: &[u16]| {
        let octet = places.iter().rev().fold(0_u16, |octet, place| octet << width | place);
        octet.to_le_bytes()[0]
    };
    let (whole, rest) = places.as_chunks::<PLACES>();
    out.extend(whole.iter().map(|places| octet(places)));
    if !rest.is_empty() {
        out.push(octet(rest));
    }
}

/// Appends runs of the same place.
pub(super) fn push_runs(out: &mut Vec<u8>, entries: u32, runs: &[(u16, u32)]) {
    let width = width(entries);
    out.push(width);
    for (place, count) in runs {
        push_varint(out, u64::from(*count) << 1);
        let [low, high] = place.to_le_bytes();
        out.push(low);
        if width > 8 {
            out.push(high);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_fill_whole_groups_with_as_few_bits_as_divide_an_octet() {
        let packed = |entries, places: &[u16]| {
            let mut out = Vec::new();
            push_places(&mut out, entries, places);
            out
        };
        assert_eq!(packed(2, &[1, 0, 1, 1, 0, 0, 0, 0, 1]), [1, 5, 0b1101, 1]);
        assert_eq!(packed(3, &[1, 0, 2]), [2, 3, 0b10_0001, 0]);
        assert_eq!(packed(5, &[4, 3, 2]), [4, 3, 0x34, 0x02, 0, 0]);
        assert_eq!(packed(200, &[199, 1]), [8, 3, 199, 1, 0, 0, 0, 0, 0, 0]);
        let mut expected = vec![16, 3, 0x2c, 1];
        expected.resize(18, 0);
        assert_eq!(packed(301, &[300]), expected);
    }

    #[test]
    fn runs_have_whole_octets() {
        let mut out = Vec::new();
        push_runs(&mut out, 3, &[(2, 100), (0, 1)]);
        assert_eq!(out, [2, 0xc8, 1, 2, 2, 0]);
        out.clear();
        push_runs(&mut out, 300, &[(299, 1)]);
        assert_eq!(out, [16, 2, 0x2b, 1]);
    }
}
