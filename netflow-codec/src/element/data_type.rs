//! Abstract data types of Information Elements.

use core::fmt;

/// The abstract data types of RFC 7012 section 3.1, RFC 6313 and RFC 9740.
///
/// ```
/// use netflow_codec::DataType;
///
/// assert_eq!(DataType::from_name("dateTimeSeconds"), Some(DataType::DateTimeSeconds));
/// assert_eq!(DataType::from_number(18), Some(DataType::Ipv4Address));
/// assert_eq!(DataType::Unsigned64.full_length(), Some(8));
/// assert!(DataType::Unsigned64.admits_length(3) && !DataType::Ipv4Address.admits_length(3));
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum DataType {
    /// Anything: raw octets.
    OctetArray,
    /// 1 octet.
    Unsigned8,
    /// Up to 2 octets, big-endian.
    Unsigned16,
    /// Up to 4 octets, big-endian.
    Unsigned32,
    /// Up to 8 octets, big-endian.
    Unsigned64,
    /// Up to 32 octets, big-endian.
    Unsigned256,
    /// 1 octet, two's complement.
    Signed8,
    /// Up to 2 octets, big-endian, two's complement.
    Signed16,
    /// Up to 4 octets, big-endian, two's complement.
    Signed32,
    /// Up to 8 octets, big-endian, two's complement.
    Signed64,
    /// 4 octets, IEEE 754.
    Float32,
    /// 8 octets or, reduced, 4; IEEE 754.
    Float64,
    /// 1 octet: 1 true, 2 false.
    Boolean,
    /// 6 octets.
    MacAddress,
    /// UTF-8.
    String,
    /// 4 octets: seconds since 1970.
    DateTimeSeconds,
    /// 8 octets: milliseconds since 1970.
    DateTimeMilliseconds,
    /// 8 octets: NTP timestamp of which the low 11 bits do not count.
    DateTimeMicroseconds,
    /// 8 octets: NTP timestamp.
    DateTimeNanoseconds,
    /// 4 octets.
    Ipv4Address,
    /// 16 octets.
    Ipv6Address,
    /// RFC 6313 section 4.5.1.
    BasicList,
    /// RFC 6313 section 4.5.2.
    SubTemplateList,
    /// RFC 6313 section 4.5.3.
    SubTemplateMultiList,
}

/// Number in the registry "IPFIX Information Element Data Types", type, name.
const DATA_TYPES: [(u8, DataType, &str); 24] = [
    (0, DataType::OctetArray, "octetArray"),
    (1, DataType::Unsigned8, "unsigned8"),
    (2, DataType::Unsigned16, "unsigned16"),
    (3, DataType::Unsigned32, "unsigned32"),
    (4, DataType::Unsigned64, "unsigned64"),
    (5, DataType::Signed8, "signed8"),
    (6, DataType::Signed16, "signed16"),
    (7, DataType::Signed32, "signed32"),
    (8, DataType::Signed64, "signed64"),
    (9, DataType::Float32, "float32"),
    (10, DataType::Float64, "float64"),
    (11, DataType::Boolean, "boolean"),
    (12, DataType::MacAddress, "macAddress"),
    (13, DataType::String, "string"),
    (14, DataType::DateTimeSeconds, "dateTimeSeconds"),
    (15, DataType::DateTimeMilliseconds, "dateTimeMilliseconds"),
    (16, DataType::DateTimeMicroseconds, "dateTimeMicroseconds"),
    (17, DataType::DateTimeNanoseconds, "dateTimeNanoseconds"),
    (18, DataType::Ipv4Address, "ipv4Address"),
    (19, DataType::Ipv6Address, "ipv6Address"),
    (20, DataType::BasicList, "basicList"),
    (21, DataType::SubTemplateList, "subTemplateList"),
    (22, DataType::SubTemplateMultiList, "subTemplateMultiList"),
    (23, DataType::Unsigned256, "unsigned256"),
];

impl DataType {
    /// The type of a number in the registry "IPFIX Information Element Data Types", which element
    /// informationElementDataType (339) carries; `None` for numbers it does not know.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        DATA_TYPES.iter().find(|(known, ..)| *known == number).map(|(_, data_type, _)| *data_type)
    }

    /// The type of a registered name, such as `unsigned64`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        DATA_TYPES.iter().find(|(.., known)| *known == name).map(|(_, data_type, _)| *data_type)
    }

    fn entry(self) -> (u8, Self, &'static str) {
        let entry = DATA_TYPES.iter().find(|(_, data_type, _)| *data_type == self);
        // Every type is in the table; a test says so.
        entry.copied().unwrap_or((0, Self::OctetArray, "octetArray"))
    }

    /// The registered number.
    #[must_use]
    pub fn number(self) -> u8 {
        self.entry().0
    }

    /// The registered name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.entry().2
    }

    /// Octets of an unreduced value (RFC 7011 section 6.1); `None` for octet arrays, strings and lists, which have any
    /// number of them.
    #[must_use]
    pub const fn full_length(self) -> Option<u16> {
        match self {
            Self::Unsigned8 | Self::Signed8 | Self::Boolean => Some(1),
            Self::Unsigned16 | Self::Signed16 => Some(2),
            Self::Unsigned32 | Self::Signed32 | Self::Float32 | Self::DateTimeSeconds | Self::Ipv4Address => {
                Some(4)
            }
            Self::MacAddress => Some(6),
            Self::Unsigned64
            | Self::Signed64
            | Self::Float64
            | Self::DateTimeMilliseconds
            | Self::DateTimeMicroseconds
            | Self::DateTimeNanoseconds => Some(8),
            Self::Ipv6Address => Some(16),
            Self::Unsigned256 => Some(32),
            Self::OctetArray
            | Self::String
            | Self::BasicList
            | Self::SubTemplateList
            | Self::SubTemplateMultiList => None,
        }
    }

    /// Whether values may have this many octets: the full length or, where RFC 7011 section 6.2 allows it, a reduced
    /// one. Integers may have any smaller number of octets but 0, float64 may have 4.
    #[must_use]
    pub const fn admits_length(self, octets: u16) -> bool {
        let Some(full) = self.full_length() else { return true };
        if octets == full {
            return true;
        }
        if self.is_integer() {
            return octets > 0 && octets < full;
        }
        matches!(self, Self::Float64) && octets == 4
    }

    /// Whether values are integers without a sign.
    #[must_use]
    pub const fn is_unsigned(self) -> bool {
        matches!(
            self,
            Self::Unsigned8 | Self::Unsigned16 | Self::Unsigned32 | Self::Unsigned64 | Self::Unsigned256
        )
    }

    /// Whether values are integers with a sign.
    #[must_use]
    pub const fn is_signed(self) -> bool {
        matches!(self, Self::Signed8 | Self::Signed16 | Self::Signed32 | Self::Signed64)
    }

    /// Whether values are integers.
    #[must_use]
    pub const fn is_integer(self) -> bool {
        self.is_unsigned() || self.is_signed()
    }

    /// Whether values are lists of others (RFC 6313).
    #[must_use]
    pub const fn is_list(self) -> bool {
        matches!(self, Self::BasicList | Self::SubTemplateList | Self::SubTemplateMultiList)
    }
}

/// The registered name.
impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_names_and_types_belong_together() {
        for (number, data_type, name) in DATA_TYPES {
            assert_eq!((data_type.number(), data_type.name()), (number, name));
            assert_eq!(DataType::from_number(number), Some(data_type));
            assert_eq!(DataType::from_name(name), Some(data_type));
        }
        assert_eq!((DataType::from_number(24), DataType::from_name("unsigned")), (None, None));
    }

    #[test]
    fn only_integers_and_float64_may_be_reduced() {
        // D49, D50, D51
        for (_, data_type, name) in DATA_TYPES {
            let lengths: alloc::vec::Vec<u16> =
                (0..=40).filter(|length| data_type.admits_length(*length)).collect();
            let full = data_type.full_length();
            match full {
                None => assert_eq!(lengths.len(), 41, "{name}"),
                Some(full) if data_type.is_integer() => {
                    assert_eq!(lengths, (1..=full).collect::<alloc::vec::Vec<_>>(), "{name}");
                }
                Some(8) if data_type == DataType::Float64 => assert_eq!(lengths, [4, 8]),
                Some(full) => assert_eq!(lengths, [full], "{name}"),
            }
        }
    }
}
