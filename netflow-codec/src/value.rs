//! Fields of a record: raw octets and what they mean.

use core::{
    fmt::{self, Write as _},
    net::{Ipv4Addr, Ipv6Addr},
};

use crate::{
    element::{DataType, ElementId},
    template::ScopeType,
    time::Timestamp,
    wire::unsigned,
};

/// One field of a record, borrowed from the datagram.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FieldView<'a> {
    element: ElementId,
    scope: Option<ScopeType>,
    octets: &'a [u8],
}

impl<'a> FieldView<'a> {
    pub(crate) const fn new(element: ElementId, octets: &'a [u8]) -> Self {
        Self { element, scope: None, octets }
    }

    pub(crate) const fn scope(scope: ScopeType, octets: &'a [u8]) -> Self {
        Self { element: ElementId::iana(scope.0), scope: Some(scope), octets }
    }

    /// The element; for a v9 scope field the scope type's number, see [`Self::scope_type`].
    #[must_use]
    pub const fn element(&self) -> ElementId {
        self.element
    }

    /// The scope type, when this is a scope field of a v9 options record (RFC 3954 section 6.1).
    #[must_use]
    pub const fn scope_type(&self) -> Option<ScopeType> {
        self.scope
    }

    /// The registered name of the element or the scope type, `None` when unknown.
    #[must_use]
    pub fn name(&self) -> Option<&'static str> {
        match self.scope {
            Some(scope) => scope.name(),
            None => self.element.info().map(|info| info.name),
        }
    }

    /// The value's octets, without the length of a variable-length field.
    #[must_use]
    pub const fn octets(&self) -> &'a [u8] {
        self.octets
    }

    /// The octets as a big-endian unsigned integer; `None` unless there are 1 to 8 of them.
    #[must_use]
    pub fn as_unsigned(&self) -> Option<u64> {
        unsigned(self.octets)
    }

    /// The value by the element's data type; [`FieldValue::Octets`] when the length is none that type can have.
    ///
    /// Integers may be shorter than their type (reduced-size encoding, RFC 7011 section 6.2); v9 counters
    /// may have any length up to 8 octets.
    #[must_use]
    pub fn value(&self) -> FieldValue<'a> {
        let data_type = match self.scope {
            Some(_) => DataType::Unsigned64,
            None => self.element.data_type(),
        };
        FieldValue::parse(data_type, self.octets).unwrap_or(FieldValue::Octets(self.octets))
    }
}

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum FieldValue<'a> {
    /// An unsigned integer of up to 8 octets.
    Unsigned(u64),
    /// A signed integer of up to 8 octets.
    Signed(i64),
    /// An IEEE 754 number.
    Float(f64),
    /// A truth value.
    Boolean(bool),
    /// A MAC address.
    MacAddress([u8; 6]),
    /// An IPv4 address.
    Ipv4Address(Ipv4Addr),
    /// An IPv6 address.
    Ipv6Address(Ipv6Addr),
    /// UTF-8 text, trailing NULs removed.
    String(&'a str),
    /// A point in time.
    DateTime(Timestamp),
    /// Octets without a known meaning.
    Octets(&'a [u8]),
}

impl<'a> FieldValue<'a> {
    fn parse(data_type: DataType, octets: &'a [u8]) -> Option<Self> {
        let limited = |longest: usize| (octets.len() <= longest).then_some(octets).and_then(unsigned);
        match data_type {
            // Devices send these in more octets than the type has: v9 counters and identifiers of 1 to 8.
            DataType::Unsigned8 | DataType::Unsigned16 | DataType::Unsigned32 | DataType::Unsigned64 => {
                limited(8).map(Self::Unsigned)
            }
            DataType::Signed8 | DataType::Signed16 | DataType::Signed32 | DataType::Signed64 => {
                let unused = 64 - 8 * u32::try_from(octets.len()).ok()?.min(8);
                limited(8).map(|value| Self::Signed((value << unused).cast_signed() >> unused))
            }
            DataType::Float32 | DataType::Float64 => match *octets {
                [a, b, c, d] => Some(Self::Float(f64::from(f32::from_be_bytes([a, b, c, d])))),
                _ if data_type == DataType::Float64 => {
                    Some(Self::Float(f64::from_be_bytes(octets.try_into().ok()?)))
                }
                _ => None,
            },
            DataType::Boolean => match *octets {
                [1] => Some(Self::Boolean(true)),
                [2] => Some(Self::Boolean(false)),
                _ => None,
            },
            DataType::MacAddress => Some(Self::MacAddress(octets.try_into().ok()?)),
            DataType::Ipv4Address => {
                Some(Self::Ipv4Address(Ipv4Addr::from(<[u8; 4]>::try_from(octets).ok()?)))
            }
            DataType::Ipv6Address => {
                Some(Self::Ipv6Address(Ipv6Addr::from(<[u8; 16]>::try_from(octets).ok()?)))
            }
            DataType::String => {
                let text = core::str::from_utf8(octets).ok()?;
                Some(Self::String(text.trim_end_matches('\0')))
            }
            DataType::DateTimeSeconds => {
                (octets.len() == 4).then(|| limited(4).map(|s| Self::DateTime(Timestamp::from_secs(s))))?
            }
            DataType::DateTimeMilliseconds => (octets.len() == 8)
                .then(|| limited(8).map(|ms| Self::DateTime(Timestamp::from_millis(ms))))?,
            DataType::DateTimeMicroseconds => (octets.len() == 8)
                .then(|| limited(8).map(|ntp| Self::DateTime(Timestamp::from_ntp(ntp & !0x7ff))))?,
            DataType::DateTimeNanoseconds => {
                (octets.len() == 8).then(|| limited(8).map(|ntp| Self::DateTime(Timestamp::from_ntp(ntp))))?
            }
            DataType::OctetArray
            | DataType::Unsigned256
            | DataType::BasicList
            | DataType::SubTemplateList
            | DataType::SubTemplateMultiList => None,
        }
    }
}

/// Integers in decimal, addresses in their usual form, times as seconds with nine decimals, octets in
/// hexadecimal.
impl fmt::Display for FieldValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned(value) => write!(f, "{value}"),
            Self::Signed(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value}"),
            Self::Boolean(value) => write!(f, "{value}"),
            Self::MacAddress(mac) => {
                for (index, octet) in mac.iter().enumerate() {
                    if index > 0 {
                        f.write_char(':')?;
                    }
                    write!(f, "{octet:02x}")?;
                }
                Ok(())
            }
            Self::Ipv4Address(address) => write!(f, "{address}"),
            Self::Ipv6Address(address) => write!(f, "{address}"),
            Self::String(text) => f.write_str(text),
            Self::DateTime(time) => write!(f, "{time:?}"),
            Self::Octets(octets) => octets.iter().try_for_each(|octet| write!(f, "{octet:02x}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(number: u16, octets: &[u8]) -> FieldValue<'_> {
        FieldView::new(ElementId::iana(number), octets).value()
    }

    #[test]
    fn counters_of_one_to_eight_octets_are_integers_and_others_stay_octets() {
        // D31, D49
        assert_eq!(value(1, &[7]), FieldValue::Unsigned(7));
        assert_eq!(value(1, &[0, 1, 0]), FieldValue::Unsigned(256));
        assert_eq!(value(1, &[0xff; 8]), FieldValue::Unsigned(u64::MAX));
        assert_eq!(value(1, &[0xff; 9]), FieldValue::Octets(&[0xff; 9]));
        assert_eq!(value(1, &[]), FieldValue::Octets(&[]));
        // mibObjectValueInteger, signed32.
        assert_eq!(value(434, &[0xff]), FieldValue::Signed(-1));
        assert_eq!(value(434, &[0x7f, 0xff]), FieldValue::Signed(32_767));
    }

    #[test]
    fn booleans_other_than_one_and_two_are_undefined() {
        // D52: dataRecordsReliability.
        assert_eq!(value(276, &[1]), FieldValue::Boolean(true));
        assert_eq!(value(276, &[2]), FieldValue::Boolean(false));
        assert_eq!(value(276, &[0]), FieldValue::Octets(&[0]));
        assert_eq!(value(276, &[255]), FieldValue::Octets(&[255]));
    }

    #[test]
    fn reduced_size_of_types_that_forbid_it_is_not_interpreted() {
        // D51
        assert_eq!(value(8, &[192, 0, 2]), FieldValue::Octets(&[192, 0, 2]));
        assert_eq!(value(152, &[0, 0, 0, 1]), FieldValue::Octets(&[0, 0, 0, 1]));
    }

    #[test]
    fn a_float64_of_four_octets_is_a_float32() {
        // D50: samplingProbability.
        assert_eq!(value(311, &0.25f32.to_be_bytes()), FieldValue::Float(0.25));
        assert_eq!(value(311, &0.15f64.to_be_bytes()), FieldValue::Float(0.15));
    }

    #[test]
    fn strings_lose_trailing_nuls_and_ill_formed_ones_stay_octets() {
        // D53, D54: interfaceName.
        assert_eq!(value(82, b"eth0\0\0\0"), FieldValue::String("eth0"));
        assert_eq!(value(82, &[0xc0, 0xaf]), FieldValue::Octets(&[0xc0, 0xaf]));
        assert_eq!(value(82, &[0xed, 0xa0, 0x80]), FieldValue::Octets(&[0xed, 0xa0, 0x80]));
    }

    #[test]
    fn microseconds_ignore_the_low_eleven_fraction_bits() {
        // D55
        let ntp = (2_208_988_800u64 + 5) << 32 | 0x7ff;
        assert_eq!(value(154, &ntp.to_be_bytes()), FieldValue::DateTime(Timestamp::from_secs(5)));
    }
}
