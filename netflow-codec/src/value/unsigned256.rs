//! Integers of up to 256 bits.

use core::fmt;

use crate::wire::unsigned;

/// An unsigned integer of up to 32 octets (RFC 9740), borrowed from the datagram.
///
/// ```
/// use netflow_codec::Unsigned256;
///
/// let mut octets = [0; 32];
/// octets[15] = 1;
/// let value = Unsigned256::from_octets(&octets).unwrap();
/// assert_eq!(value.to_string(), "340282366920938463463374607431768211456");
/// assert!(value.bit(128) && !value.bit(127));
/// assert_eq!(value.to_u64(), None);
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Unsigned256<'a> {
    /// Without leading zeros.
    octets: &'a [u8],
}

impl<'a> Unsigned256<'a> {
    /// From big-endian octets; `None` unless there are 1 to 32 of them.
    #[must_use]
    pub fn from_octets(octets: &'a [u8]) -> Option<Self> {
        if octets.is_empty() || octets.len() > 32 {
            return None;
        }
        let zeros = octets.iter().take_while(|octet| **octet == 0).count();
        Some(Self { octets: octets.get(zeros..)? })
    }

    /// The value in big-endian octets, without leading zeros: none for 0, at most 32.
    #[must_use]
    pub const fn octets(self) -> &'a [u8] {
        self.octets
    }

    /// The value, when it fits.
    #[must_use]
    pub fn to_u64(self) -> Option<u64> {
        if self.octets.is_empty() { Some(0) } else { unsigned(self.octets) }
    }

    /// Whether a bit is set, 0 being the least significant one.
    #[must_use]
    pub fn bit(self, bit: u8) -> bool {
        let octet = self.octets.iter().rev().nth(usize::from(bit / 8)).copied().unwrap_or(0);
        octet >> (bit % 8) & 1 == 1
    }
}

/// In decimal.
impl fmt::Display for Unsigned256<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // 2^256 has 78 digits, nine to a group.
        let mut groups = [0_u32; 9];
        for octet in self.octets {
            let mut carry = u64::from(*octet);
            for group in groups.iter_mut().rev() {
                let sum = u64::from(*group) * 256 + carry;
                // A remainder below 10^9.
                *group = u32::try_from(sum % 1_000_000_000).unwrap_or(0);
                carry = sum / 1_000_000_000;
            }
        }
        let mut rest = groups.iter().skip_while(|group| **group == 0);
        write!(f, "{}", rest.next().unwrap_or(&0))?;
        rest.try_for_each(|group| write!(f, "{group:09}"))
    }
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::ToString as _};

    use super::*;

    #[test]
    fn decimal_digits_are_those_of_the_integer() {
        for value in [0_u128, 1, 999_999_999, 1_000_000_000, 10_u128.pow(18), u128::from(u64::MAX), u128::MAX]
        {
            let octets = value.to_be_bytes();
            let wide = Unsigned256::from_octets(&octets).unwrap();
            assert_eq!(wide.to_string(), value.to_string());
            assert_eq!(wide.to_u64(), u64::try_from(value).ok());
            for bit in 0..=255 {
                assert_eq!(wide.bit(bit), bit < 128 && value >> bit & 1 == 1, "{value} {bit}");
            }
        }
        let largest = "115792089237316195423570985008687907853269984665640564039457584007913129639935";
        assert_eq!(format!("{}", Unsigned256::from_octets(&[0xff; 32]).unwrap()), largest);
    }

    #[test]
    fn length_does_not_change_a_value() {
        assert_eq!(Unsigned256::from_octets(&[0, 0, 7]), Unsigned256::from_octets(&[7]));
        assert_eq!((Unsigned256::from_octets(&[]), Unsigned256::from_octets(&[0; 33])), (None, None));
    }
}
