//! Fields of a record: raw octets and what they mean.

mod application;
mod flags;
mod unsigned256;

use core::{
    fmt::{self, Write as _},
    net::{Ipv4Addr, Ipv6Addr},
};

use crate::{
    element::{DataType, ElementId, ElementInfo, Elements},
    flow::MplsLabel,
    member::TimeCoding,
    structured::{BasicList, MAX_LIST_DEPTH, SubTemplateList, SubTemplateMultiList},
    template::ScopeType,
    time::{ExportClock, Timestamp},
    wire::unsigned,
};

pub use application::{ApplicationId, ClassificationEngine};
pub use flags::{Forwarding, ForwardingStatus, TcpFlags};
pub use unsigned256::Unsigned256;

/// One field of a record, borrowed from the datagram.
///
/// ```
/// use netflow_codec::{ElementId, ExportClock, FieldValue, FieldView, SysUptime, Timestamp};
///
/// let field = FieldView::new(ElementId::FLOW_END_SYS_UP_TIME, &[0, 0, 0x27, 0x10]);
/// assert_eq!(field.value(), FieldValue::Unsigned(10_000));
/// // One second before the datagram was sent.
/// let clock = ExportClock::new(Timestamp::from_secs(1_700_000_000), SysUptime::from_millis(11_000));
/// assert_eq!(field.value_at(&clock), FieldValue::DateTime(Timestamp::from_secs(1_699_999_999)));
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FieldView<'a> {
    element: ElementId,
    scope: Option<ScopeType>,
    /// Lists around it.
    depth: u8,
    octets: &'a [u8],
}

impl<'a> FieldView<'a> {
    /// A field of these octets.
    #[must_use]
    pub const fn new(element: ElementId, octets: &'a [u8]) -> Self {
        Self::nested(element, octets, 0)
    }

    /// A field within this many lists.
    pub(crate) const fn nested(element: ElementId, octets: &'a [u8], depth: u8) -> Self {
        Self { element, scope: None, depth, octets }
    }

    pub(crate) const fn scope(scope: ScopeType, octets: &'a [u8]) -> Self {
        Self { element: ElementId::iana(scope.0), scope: Some(scope), depth: 0, octets }
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

    /// The octets as TCP flags, of which one octet has the low ones; what element tcpControlBits (6) carries.
    #[must_use]
    pub fn as_tcp_flags(&self) -> Option<TcpFlags> {
        TcpFlags::from_octets(self.octets)
    }

    /// The octets as a forwarding status; what element forwardingStatus (89) carries.
    #[must_use]
    pub const fn as_forwarding_status(&self) -> Option<ForwardingStatus> {
        ForwardingStatus::from_octets(self.octets)
    }

    /// The octets as an application; what element applicationId (95) carries.
    #[must_use]
    pub fn as_application_id(&self) -> Option<ApplicationId<'a>> {
        ApplicationId::from_octets(self.octets)
    }

    /// The octets as an entry of an MPLS label stack; what elements 70 to 79 carry. `None` unless there are 3 of them.
    #[must_use]
    pub fn as_mpls_label(&self) -> Option<MplsLabel> {
        self.octets.try_into().ok().map(MplsLabel::from_octets)
    }

    /// The value by the element's data type; [`FieldValue::Octets`] when the length is none that type can have.
    ///
    /// Integers may be shorter than their type (reduced-size encoding, RFC 7011 section 6.2); v9 counters
    /// may have any length up to 8 octets. Times that count from something else than 1970 stay as they are, see
    /// [`Self::value_at`].
    #[must_use]
    pub fn value(&self) -> FieldValue<'a> {
        self.value_as(self.data_type())
    }

    /// The value as one of this data type, whatever the element's is.
    #[must_use]
    pub fn value_as(&self, data_type: DataType) -> FieldValue<'a> {
        FieldValue::parse(data_type, self.octets, self.depth).unwrap_or(FieldValue::Octets(self.octets))
    }

    /// The value as [`Self::value`] gives it, with all points in time resolved by the clock of the datagram:
    ///
    /// - seconds and NTP timestamps are those of the era nearest to the export time (RFC 7011 section 5.2);
    /// - flowStartDeltaMicroseconds (158) and flowEndDeltaMicroseconds (159) count back from the export time;
    /// - flowEndSysUpTime (21) and flowStartSysUpTime (22) are dated where the clock knows the uptime, else they stay
    ///   numbers: an IPFIX message does not say it (RFC 5153 section 4.7), see
    ///   [`DataRecord::clock`](crate::DataRecord::clock).
    #[must_use]
    pub fn value_at(&self, clock: &ExportClock) -> FieldValue<'a> {
        self.value_as_at(self.data_type(), clock)
    }

    /// The value as one of this data type, points in time resolved as [`Self::value_at`] does.
    #[must_use]
    pub fn value_as_at(&self, data_type: DataType, clock: &ExportClock) -> FieldValue<'a> {
        let coding = TimeCoding::of(self.element, data_type).filter(|_| self.scope.is_none());
        let time = coding
            .filter(|coding| coding.admits_length(self.octets.len()))
            .and_then(|coding| coding.decode(unsigned(self.octets)?, clock));
        time.map_or_else(|| self.value_as(data_type), FieldValue::DateTime)
    }

    /// What is known of the element; `None` for unknown ones and for scope types of v9.
    #[must_use]
    pub fn info_with<'r>(&self, elements: &Elements<'r>) -> Option<ElementInfo<&'r str>> {
        if self.scope.is_some() { None } else { elements.info(self.element) }
    }

    /// The name as [`Self::name`] gives it, of elements that `elements` knows.
    #[must_use]
    pub fn name_with<'r>(&self, elements: &Elements<'r>) -> Option<&'r str> {
        match self.scope {
            Some(scope) => scope.name(),
            None => elements.info(self.element).map(|info| info.name),
        }
    }

    /// The value as [`Self::value_at`] gives it, of elements that `elements` knows.
    #[must_use]
    pub fn value_with(&self, elements: &Elements<'_>, clock: &ExportClock) -> FieldValue<'a> {
        match self.info_with(elements) {
            Some(info) => self.value_as_at(info.data_type, clock),
            None => self.value_at(clock),
        }
    }

    fn data_type(&self) -> DataType {
        if self.scope.is_some() { DataType::Unsigned64 } else { self.element.data_type() }
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
    /// An unsigned integer of 9 to 32 octets.
    Unsigned256(Unsigned256<'a>),
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
    /// Values of one element.
    BasicList(BasicList<'a>),
    /// Records of one template.
    SubTemplateList(SubTemplateList<'a>),
    /// Records of several templates.
    SubTemplateMultiList(SubTemplateMultiList<'a>),
    /// Octets without a known meaning.
    Octets(&'a [u8]),
}

impl<'a> FieldValue<'a> {
    fn parse(data_type: DataType, octets: &'a [u8], depth: u8) -> Option<Self> {
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
            DataType::Unsigned256 => match limited(8) {
                Some(value) => Some(Self::Unsigned(value)),
                None => Unsigned256::from_octets(octets).map(Self::Unsigned256),
            },
            // A list within too many others is not opened.
            _ if depth >= MAX_LIST_DEPTH => None,
            DataType::BasicList => BasicList::within(octets, depth).ok().map(Self::BasicList),
            DataType::SubTemplateList => {
                SubTemplateList::within(octets, depth).ok().map(Self::SubTemplateList)
            }
            DataType::SubTemplateMultiList => {
                SubTemplateMultiList::within(octets, depth).ok().map(Self::SubTemplateMultiList)
            }
            DataType::OctetArray => None,
        }
    }
}

/// Integers in decimal, addresses in their usual form, times as seconds with nine decimals, lists as `allOf(7, 9)`,
/// octets in hexadecimal.
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
            Self::Unsigned256(value) => write!(f, "{value}"),
            Self::BasicList(list) => write!(f, "{list}"),
            Self::SubTemplateList(list) => write!(f, "{list}"),
            Self::SubTemplateMultiList(list) => write!(f, "{list}"),
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
