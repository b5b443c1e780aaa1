//! What a registry says of an Information Element.

use core::fmt;

use super::DataType;

/// An entry of a registry: what an element is called and how its values are to be read (RFC 7012 section 2.1).
///
/// The name is a `&'static str` in the built-in tables; an [`ElementRegistry`](crate::ElementRegistry) has names of its
/// own.
///
/// ```
/// use netflow_codec::{DataType, ElementId, ElementInfo, Semantics, Units, ValueRange};
///
/// let info = ElementId::SOURCE_IPV4_PREFIX_LENGTH.info().unwrap();
/// assert_eq!((info.units, info.range), (Units::BITS, Some(ValueRange::new(0, 32))));
/// assert!(info.admits(24) && !info.admits(33));
///
/// let own = ElementInfo::new("queueDepth", DataType::Unsigned32)
///     .with_semantics(Semantics::QUANTITY)
///     .with_units(Units::PACKETS);
/// assert!(own.admits(u64::from(u32::MAX)));
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct ElementInfo<N = &'static str> {
    /// The registered name, such as `sourceIPv4Address`.
    pub name: N,
    /// How its values are coded.
    pub data_type: DataType,
    /// What its values are: counters, identifiers, flags.
    pub semantics: Semantics,
    /// In what its values are counted.
    pub units: Units,
    /// Values that are admitted; `None` when all that the type can have are.
    pub range: Option<ValueRange>,
    /// Whether the element has a reverse one with enterprise number 29305 (RFC 5103 section 6.1).
    pub is_reversible: bool,
}

impl<N> ElementInfo<N> {
    /// An element with default semantics and no units, of any value, that is not reversible.
    #[must_use]
    pub const fn new(name: N, data_type: DataType) -> Self {
        Self {
            name,
            data_type,
            semantics: Semantics::DEFAULT,
            units: Units::NONE,
            range: None,
            is_reversible: false,
        }
    }

    /// The same with these semantics.
    #[must_use]
    pub fn with_semantics(self, semantics: Semantics) -> Self {
        Self { semantics, ..self }
    }

    /// The same with these units.
    #[must_use]
    pub fn with_units(self, units: Units) -> Self {
        Self { units, ..self }
    }

    /// The same with this range of values.
    #[must_use]
    pub fn with_range(self, range: ValueRange) -> Self {
        Self { range: Some(range), ..self }
    }

    /// The same with another name.
    #[must_use]
    pub fn with_name<M>(self, name: M) -> ElementInfo<M> {
        let Self { name: _, data_type, semantics, units, range, is_reversible } = self;
        ElementInfo { name, data_type, semantics, units, range, is_reversible }
    }

    /// Whether an unsigned value lies within the element's range and within what its type can have.
    #[must_use]
    pub fn admits(&self, value: u64) -> bool {
        let fits = match self.data_type {
            DataType::Unsigned8 => value <= u8::MAX.into(),
            DataType::Unsigned16 => value <= u16::MAX.into(),
            DataType::Unsigned32 => value <= u32::MAX.into(),
            _ => true,
        };
        fits && self.range.is_none_or(|range| range.contains(value))
    }
}

/// The values that an element admits, both ends included.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct ValueRange {
    /// The smallest value.
    pub first: u64,
    /// The largest value.
    pub last: u64,
}

impl ValueRange {
    /// From the smallest to the largest value.
    #[must_use]
    pub const fn new(first: u64, last: u64) -> Self {
        Self { first, last }
    }

    /// Whether a value lies within.
    #[must_use]
    pub const fn contains(self, value: u64) -> bool {
        self.first <= value && value <= self.last
    }
}

/// `0-32`.
impl fmt::Display for ValueRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

macro_rules! named_numbers {
    ($type:ident($number:ty) { $($(#[$doc:meta])* $constant:ident = $value:literal, $name:literal,)* }) => {
        impl $type {
            $($(#[$doc])* pub const $constant: Self = Self($value);)*

            /// The registered name; `None` for numbers without one.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some($name),)*
                    _ => None,
                }
            }

            /// The one of a registered name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self($value)),)*
                    _ => None,
                }
            }
        }

        /// The registered name, else the number.
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.name() {
                    Some(name) => f.write_str(name),
                    None => write!(f, "{}", self.0),
                }
            }
        }
    };
}

/// What the values of an element are: the registry "IPFIX Information Element Semantics" (RFC 5610 section 3.6).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a number, whichever it is")]
pub struct Semantics(pub u8);

named_numbers! {
    Semantics(u8) {
        /// Nothing particular: addresses, names, times.
        DEFAULT = 0, "default",
        /// A measured amount.
        QUANTITY = 1, "quantity",
        /// A counter since the flow or the process began.
        TOTAL_COUNTER = 2, "totalCounter",
        /// A counter since the last record.
        DELTA_COUNTER = 3, "deltaCounter",
        /// A number that names something.
        IDENTIFIER = 4, "identifier",
        /// Bits.
        FLAGS = 5, "flags",
        /// A list of other values (RFC 6313).
        LIST = 6, "list",
        /// A counter that follows the rules of SNMP (RFC 8038).
        SNMP_COUNTER = 7, "snmpCounter",
        /// A gauge that follows the rules of SNMP (RFC 8038).
        SNMP_GAUGE = 8, "snmpGauge",
    }
}

impl Semantics {
    /// Whether values of this type can have these semantics (RFC 7012 section 3.2, RFC 5610 section 3.6).
    ///
    /// Semantics without a registered name fit no type.
    #[must_use]
    pub const fn fits(self, data_type: DataType) -> bool {
        use DataType as T;
        match self {
            Self::DEFAULT => true,
            Self::QUANTITY => data_type.is_integer() || matches!(data_type, T::Float32 | T::Float64),
            Self::TOTAL_COUNTER | Self::DELTA_COUNTER => data_type.is_integer(),
            // Registries have identifiers that are texts or addresses, too.
            Self::IDENTIFIER => {
                data_type.is_integer()
                    || matches!(
                        data_type,
                        T::OctetArray | T::String | T::MacAddress | T::Ipv4Address | T::Ipv6Address
                    )
            }
            Self::FLAGS => data_type.is_integer() || matches!(data_type, T::OctetArray),
            Self::LIST => data_type.is_list(),
            Self::SNMP_COUNTER | Self::SNMP_GAUGE => data_type.is_unsigned(),
            _ => false,
        }
    }
}

/// In what values are counted: the registry "IPFIX Information Element Units" (RFC 5610 section 3.5).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a number, whichever it is")]
pub struct Units(pub u16);

named_numbers! {
    Units(u16) {
        /// Nothing that is counted.
        NONE = 0, "none",
        /// Bits.
        BITS = 1, "bits",
        /// Octets.
        OCTETS = 2, "octets",
        /// Packets.
        PACKETS = 3, "packets",
        /// Flows.
        FLOWS = 4, "flows",
        /// Seconds.
        SECONDS = 5, "seconds",
        /// Milliseconds.
        MILLISECONDS = 6, "milliseconds",
        /// Microseconds.
        MICROSECONDS = 7, "microseconds",
        /// Nanoseconds.
        NANOSECONDS = 8, "nanoseconds",
        /// Words of 4 octets.
        FOUR_OCTET_WORDS = 9, "4-octet words",
        /// Messages.
        MESSAGES = 10, "messages",
        /// Hops.
        HOPS = 11, "hops",
        /// Entries of a list or stack.
        ENTRIES = 12, "entries",
        /// Frames.
        FRAMES = 13, "frames",
        /// Ports.
        PORTS = 14, "ports",
        /// Those of another element that this one speaks of.
        INFERRED = 15, "inferred",
    }
}
