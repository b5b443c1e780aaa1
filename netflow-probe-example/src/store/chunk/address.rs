//! Addresses as text, quickly: a row group may have one for every flow.

use core::net::{IpAddr, Ipv6Addr};

/// The digits of each octet, and how many there are.
static OCTETS: [([u8; 3], u8); 256] = {
    let mut table = [([0; 3], 0); 256];
    let mut octet = 0;
    while octet < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "a digit")]
        let digits = [b'0' + (octet / 100) as u8, b'0' + (octet / 10 % 10) as u8, b'0' + (octet % 10) as u8];
        #[expect(clippy::indexing_slicing, reason = "evaluated at compile time")]
        {
            table[octet] = match octet {
                0..10 => ([digits[2], 0, 0], 1),
                10..100 => ([digits[1], digits[2], 0], 2),
                _ => (digits, 3),
            };
        }
        octet += 1;
    }
    table
};

/// Appends the address as RFC 5952 has it.
pub(super) fn push_address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => push_ipv4(out, v4.octets()),
        IpAddr::V6(v6) => push_ipv6(out, v6),
    }
}

fn push_ipv4(out: &mut Vec<u8>, octets: [u8; 4]) {
    let mut text = [0; 20];
    let mut at = 0;
    for octet in octets {
        if let (Some((digits, length)), Some(place)) =
            (OCTETS.get(usize::from(octet)), text.get_mut(at..at + 4))
        {
            let [a, b, c] = *digits;
            place.copy_from_slice(&[a, b, c, 0]);
            at += usize::from(*length);
            if let Some(dot) = text.get_mut(at) {
                *dot = b'.';
            }
            at += 1;
        }
    }
    out.extend_from_slice(text.get(..at.saturating_sub(1)).unwrap_or(&[]));
}

fn push_ipv6(out: &mut Vec<u8>, address: Ipv6Addr) {
    if let Some(v4) = address.to_ipv4_mapped() {
        out.extend_from_slice(b"::ffff:");
        push_ipv4(out, v4.octets());
        return;
    }
    let segments = address.segments();
    // The first of the longest runs of zeros, if it has more than one.
    let (mut start, mut length) = (0, 1);
    let mut run = 0;
    for (index, segment) in segments.iter().enumerate() {
        run = if *segment == 0 { run + 1 } else { 0 };
        if run > length {
            (start, length) = (index + 1 - run, run);
        }
    }
    let end = if length > 1 { start + length } else { 0 };
    if length <= 1 {
        start = segments.len();
    }
    for (index, segment) in segments.iter().enumerate() {
        if (start..end).contains(&index) {
            if index == start {
                out.extend_from_slice(b"::");
            }
            continue;
        }
        if index > 0 && index != end {
            out.push(b':');
        }
        push_hexadecimal(out, *segment);
    }
}

fn push_hexadecimal(out: &mut Vec<u8>, segment: u16) {
    let digit = |shift: u32| {
        let nibble = (segment >> shift & 0xf).to_le_bytes()[0];
        if nibble < 10 { b'0' + nibble } else { b'a' - 10 + nibble }
    };
    let digits = [digit(12), digit(8), digit(4), digit(0)];
    let zeros = (segment.leading_zeros() / 4).min(3) as usize;
    out.extend_from_slice(digits.get(zeros..).unwrap_or(&[]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_the_standard_library_does() {
        let mut state = 1_u128;
        for round in 0..20_000_u32 {
            state = state.wrapping_mul(0xda94_2042_e4dd_58b5).wrapping_add(0x1405_7b7e_f767_814f);
            let bits = state ^ state >> 64;
            // Some segments zero, in all combinations.
            let mut segments = Ipv6Addr::from_bits(bits).segments();
            for (index, segment) in segments.iter_mut().enumerate() {
                if round >> index & 1 == 1 {
                    *segment = if round >> (index + 8) & 1 == 1 { 0 } else { *segment >> 9 };
                }
            }
            for address in [
                IpAddr::from(bits.to_be_bytes()),
                segments.into(),
                bits.to_be_bytes().first_chunk::<4>().copied().unwrap().into(),
            ] {
                let mut out = Vec::new();
                push_address(&mut out, address);
                assert_eq!(String::from_utf8(out).unwrap(), address.to_string());
            }
        }
        for text in
            ["::", "::1", "1::", "::ffff:192.0.2.1", "::ffff:0:0", "1:0:0:2:0:0:0:3", "0:1:0:1:0:1:0:1"]
        {
            let address: IpAddr = text.parse().unwrap();
            let mut out = Vec::new();
            push_address(&mut out, address);
            assert_eq!(String::from_utf8(out).unwrap(), address.to_string());
        }
    }
}
