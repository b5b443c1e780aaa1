//! One field of a record: what can stand in it, and its octets.

use alloc::vec::Vec;

use super::{list, rules};
use crate::{
    element::{DataType, ElementId},
    error::EncodeError,
    structured::{BasicList, SubTemplateList, SubTemplateMultiList},
    template::{FieldSpecifier, Protocol, ScopeType, VARIABLE_LENGTH},
    time::{ExportClock, SysUptime, Timestamp},
    value::FieldValue,
};

/// Seconds from 1900, where NTP counts from, to 1970.
const NTP_TO_UNIX_SECS: u64 = 2_208_988_800;
/// The low bits of the fraction that microseconds leave zero (RFC 7011 section 6.1.9).
const MICROSECOND_MASK: u64 = 0x7ff;
/// paddingOctets.
pub(super) const PADDING_OCTETS: u16 = 210;
/// applicationId.
const APPLICATION_ID: u16 = 95;
/// PANA-L7-PEN, the classification engine whose selectors begin with an enterprise number (RFC 6759 section 4.1).
const ENGINE_WITH_ENTERPRISE: u8 = 20;

/// A field of a template, checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) specifier: FieldSpecifier,
    /// Set in scopes of v9.
    pub(super) scope: Option<ScopeType>,
    /// How many fields of the same element are before it.
    pub(super) occurrence: usize,
    coding: Coding,
    /// Whether the registry has a narrower range than the type.
    ranged: bool,
}

/// How a field's values are coded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Coding {
    Typed(DataType),
    /// Milliseconds since boot.
    Uptime,
    /// Zeros, whatever the record says.
    Padding,
    /// Engine and selector (RFC 6759).
    ApplicationId,
    /// Low octet of the TCP flags (RFC 7125): the others are not said.
    LowFlags,
    /// A type that nobody told: every value as it is by nature.
    Untyped,
}

impl Field {
    /// A field of an element, when that element can have this length.
    pub(super) fn of_element(
        protocol: Protocol,
        specifier: FieldSpecifier,
        data_type: Option<DataType>,
    ) -> Result<Self, EncodeError> {
        let FieldSpecifier { element, length } = specifier;
        let number = element.number();
        match protocol {
            Protocol::NetFlow9 if element.enterprise() != 0 => {
                return Err(EncodeError::EnterpriseInV9 {
                    enterprise: element.enterprise(),
                    element: number,
                });
            }
            Protocol::Ipfix if !(1..=0x7fff).contains(&number) => {
                return Err(EncodeError::ElementNumber(number));
            }
            _ => {}
        }
        let coding = coding_of(element, length, data_type);
        let variable = protocol == Protocol::Ipfix && length == VARIABLE_LENGTH;
        let admitted = match coding {
            _ if variable => coding.is_of_any_length(),
            // 65535 is no length of v9 (RFC 5655 appendix B.1.3).
            _ if length == VARIABLE_LENGTH => false,
            // In v9 integers have as many octets as the device likes (RFC 3954 section 8).
            Coding::Typed(data_type) if protocol == Protocol::NetFlow9 && data_type.is_unsigned() => {
                (1..=8).contains(&length)
            }
            Coding::Typed(data_type) => length > 0 && data_type.admits_length(length),
            Coding::Uptime => length == 4,
            Coding::LowFlags => length == 1,
            Coding::Padding | Coding::Untyped => length > 0,
            Coding::ApplicationId => length > 1,
        };
        if !admitted {
            return Err(EncodeError::FieldLength { element: number, length });
        }
        Ok(Self { specifier, scope: None, occurrence: 0, coding, ranged: rules::has_range(element) })
    }

    /// A scope of v9: a number of so many octets.
    pub(super) fn of_scope_type(scope: ScopeType, length: u16) -> Result<Self, EncodeError> {
        let specifier = FieldSpecifier::new(ElementId::iana(scope.number()), length);
        if !(1..=8).contains(&length) {
            return Err(EncodeError::FieldLength { element: scope.number(), length });
        }
        let coding = Coding::Typed(DataType::Unsigned64);
        Ok(Self { specifier, scope: Some(scope), occurrence: 0, coding, ranged: false })
    }

    pub(super) fn is_padding(&self) -> bool {
        self.coding == Coding::Padding
    }

    /// Octets of the shortest value.
    pub(super) fn minimum_len(&self) -> usize {
        if self.specifier.is_variable_length() { 1 } else { self.specifier.length.into() }
    }

    /// Zeros; a variable-length value of none. Lists and truth values have no such value.
    pub(super) fn put_absent(&self, octets: &mut Vec<u8>) -> Result<(), EncodeError> {
        if self.coding.is_list() || self.coding == Coding::Typed(DataType::Boolean) {
            return Err(self.missing());
        }
        octets.resize(octets.len() + self.minimum_len(), 0);
        Ok(())
    }

    pub(super) const fn missing(&self) -> EncodeError {
        EncodeError::FieldMissing { element: self.specifier.element.number() }
    }

    /// Writes a value.
    pub(super) fn put(
        &self,
        value: FieldValue<'_>,
        boot: Option<Timestamp>,
        octets: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        if self.ranged && !rules::is_in_range(self.specifier.element, &value) {
            return Err(EncodeError::ValueRange { element: self.specifier.element.number() });
        }
        match self.coding {
            Coding::Padding => self.put_absent(octets),
            Coding::Uptime => match (value, boot) {
                (FieldValue::DateTime(time), Some(boot)) => {
                    // Modulo 2^32: the header's uptime tells the rest.
                    let uptime = ExportClock::new(boot, SysUptime::default()).to_uptime(time);
                    self.put_integer(uptime.as_millis().into(), octets)
                }
                _ => self.put_typed(DataType::Unsigned32, value, octets),
            },
            Coding::ApplicationId => self.put_application_id(value, octets),
            Coding::LowFlags => match value {
                FieldValue::Unsigned(flags) if flags <= 0xffff => self.put_integer(flags & 0xff, octets),
                _ => self.put_typed(DataType::Unsigned16, value, octets),
            },
            Coding::Typed(data_type) => self.put_typed(data_type, value, octets),
            Coding::Untyped => self.put_untyped(value, octets),
        }
    }

    fn put_typed(
        &self,
        data_type: DataType,
        value: FieldValue<'_>,
        octets: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        use DataType as T;
        use FieldValue as V;
        match (data_type, value) {
            (
                T::Unsigned8 | T::Unsigned16 | T::Unsigned32 | T::Unsigned64 | T::Unsigned256,
                V::Unsigned(value),
            ) => self.put_integer(value, octets),
            (T::Unsigned256, V::Unsigned256(value)) => self.put_right_aligned(value.octets(), octets),
            (T::Unsigned256, V::Octets(value)) => self.put_right_aligned(value, octets),
            (T::Signed8 | T::Signed16 | T::Signed32 | T::Signed64, V::Signed(value)) => {
                self.put_signed(value, octets)
            }
            (T::Signed8 | T::Signed16 | T::Signed32 | T::Signed64, V::Unsigned(value)) => {
                self.put_signed(i64::try_from(value).map_err(|_| self.too_large())?, octets)
            }
            (T::Float32 | T::Float64, V::Float(value)) => self.put_float(value, octets),
            (T::Boolean, V::Boolean(value)) => {
                octets.push(if value { 1 } else { 2 });
                Ok(())
            }
            (T::MacAddress, V::MacAddress(value)) => self.put_octets(&value, octets),
            (T::Ipv4Address, V::Ipv4Address(value)) => self.put_octets(&value.octets(), octets),
            (T::Ipv6Address, V::Ipv6Address(value)) => self.put_octets(&value.octets(), octets),
            (T::String, V::String(value)) => self.put_text(value.as_bytes(), octets),
            (T::String, V::Octets(value)) => match core::str::from_utf8(value) {
                Ok(_) => self.put_text(value, octets),
                Err(_) => Err(EncodeError::NotUtf8 { element: self.specifier.element.number() }),
            },
            (T::DateTimeSeconds, V::DateTime(time)) => self.put_integer(time.as_secs(), octets),
            (T::DateTimeMilliseconds, V::DateTime(time)) => self.put_integer(time.as_millis(), octets),
            (T::DateTimeMicroseconds, V::DateTime(time)) => {
                // Upwards, so that the microsecond survives without its low bits.
                let ntp = to_ntp(time.as_secs(), time.subsec_nanos() / 1_000, 1_000_000);
                self.put_integer((ntp + MICROSECOND_MASK) & !MICROSECOND_MASK, octets)
            }
            (T::DateTimeNanoseconds, V::DateTime(time)) => {
                self.put_integer(to_ntp(time.as_secs(), time.subsec_nanos(), 1_000_000_000), octets)
            }
            (T::BasicList, V::BasicList(list)) => {
                let (header, length) =
                    list::basic_header(list.semantic(), list.element(), list.value_length());
                self.put_parts(header.get(..length).unwrap_or(&[]), list.content(), octets)
            }
            (T::SubTemplateList, V::SubTemplateList(list)) => {
                let [high, low] = list.template_id().to_be_bytes();
                self.put_parts(&[list.semantic().0, high, low], list.content(), octets)
            }
            (T::SubTemplateMultiList, V::SubTemplateMultiList(list)) => {
                self.put_parts(&[list.semantic().0], list.content(), octets)
            }
            // A list within too many others, or written by hand.
            (T::BasicList, V::Octets(value)) if BasicList::parse(value).is_ok() => {
                self.put_octets(value, octets)
            }
            (T::SubTemplateList, V::Octets(value)) if SubTemplateList::parse(value).is_ok() => {
                self.put_octets(value, octets)
            }
            (T::SubTemplateMultiList, V::Octets(value)) if SubTemplateMultiList::parse(value).is_ok() => {
                self.put_octets(value, octets)
            }
            (T::OctetArray, value) => self.put_untyped(value, octets),
            _ => Err(EncodeError::ValueType { element: self.specifier.element.number() }),
        }
    }

    /// A value as it is by nature.
    fn put_untyped(&self, value: FieldValue<'_>, octets: &mut Vec<u8>) -> Result<(), EncodeError> {
        match value {
            FieldValue::Octets(value) => self.put_octets(value, octets),
            FieldValue::String(text) => self.put_text(text.as_bytes(), octets),
            FieldValue::Unsigned(value) => self.put_integer(value, octets),
            FieldValue::Unsigned256(value) => self.put_right_aligned(value.octets(), octets),
            FieldValue::Signed(value) => self.put_signed(value, octets),
            FieldValue::Float(value) => self.put_float(value, octets),
            FieldValue::Boolean(value) => self.put_integer(if value { 1 } else { 2 }, octets),
            FieldValue::MacAddress(value) => self.put_octets(&value, octets),
            FieldValue::Ipv4Address(value) => self.put_octets(&value.octets(), octets),
            FieldValue::Ipv6Address(value) => self.put_octets(&value.octets(), octets),
            // How times are coded is what only a type tells.
            FieldValue::DateTime(_)
            | FieldValue::BasicList(_)
            | FieldValue::SubTemplateList(_)
            | FieldValue::SubTemplateMultiList(_) => {
                Err(EncodeError::ValueType { element: self.specifier.element.number() })
            }
        }
    }

    /// The octets of the value's integer, as many as the field has; 8 in a variable-length field.
    #[inline]
    fn put_integer(&self, value: u64, octets: &mut Vec<u8>) -> Result<(), EncodeError> {
        let length = usize::from(self.specifier.length);
        if length > 8 {
            return self.put_right_aligned(&value.to_be_bytes(), octets);
        }
        if length < 8 && value >> (8 * length) != 0 {
            return Err(self.too_large());
        }
        octets.extend_from_slice(value.to_be_bytes().get(8 - length..).unwrap_or(&[]));
        Ok(())
    }

    /// A big-endian integer in a field that may be shorter, when it fits, or longer.
    fn put_right_aligned(&self, value: &[u8], octets: &mut Vec<u8>) -> Result<(), EncodeError> {
        if self.specifier.is_variable_length() {
            return self.put_octets(value, octets);
        }
        let length = usize::from(self.specifier.length);
        let (spare, value) = value.split_at(value.len().saturating_sub(length));
        if spare.iter().any(|octet| *octet != 0) {
            return Err(self.too_large());
        }
        octets.resize(octets.len() + length - value.len(), 0);
        octets.extend_from_slice(value);
        Ok(())
    }

    /// Two's complement: octets above the field's repeat the sign.
    fn put_signed(&self, value: i64, octets: &mut Vec<u8>) -> Result<(), EncodeError> {
        let length = usize::from(self.specifier.length);
        if self.specifier.is_variable_length() || length >= 8 {
            return self.put_right_aligned(&value.to_be_bytes(), octets);
        }
        let unused = 64 - 8 * length;
        if value << unused >> unused != value {
            return Err(self.too_large());
        }
        octets.extend_from_slice(value.to_be_bytes().get(8 - length..).unwrap_or(&[]));
        Ok(())
    }

    #[expect(clippy::cast_possible_truncation, reason = "the nearest float32 is what four octets hold")]
    fn put_float(&self, value: f64, octets: &mut Vec<u8>) -> Result<(), EncodeError> {
        if self.specifier.length != 4 {
            return self.put_octets(&value.to_be_bytes(), octets);
        }
        let narrow = value as f32;
        if narrow.is_infinite() && value.is_finite() {
            return Err(self.too_large());
        }
        self.put_octets(&narrow.to_be_bytes(), octets)
    }

    /// Text in a fixed field ends in NULs.
    fn put_text(&self, text: &[u8], octets: &mut Vec<u8>) -> Result<(), EncodeError> {
        if self.specifier.is_variable_length() {
            return self.put_octets(text, octets);
        }
        let spare =
            usize::from(self.specifier.length).checked_sub(text.len()).ok_or_else(|| self.too_large())?;
        octets.extend_from_slice(text);
        octets.resize(octets.len() + spare, 0);
        Ok(())
    }

    /// In a fixed field that is longer, zeros stand before the selector, which is right-aligned: behind the engine, and
    /// behind the enterprise number of the engine that has one (RFC 6759 section 4).
    fn put_application_id(&self, value: FieldValue<'_>, octets: &mut Vec<u8>) -> Result<(), EncodeError> {
        let wide;
        let value = match value {
            FieldValue::Octets(value) => value,
            // As FieldView::as_unsigned gives it: the engine is the first octet that is not zero.
            FieldValue::Unsigned(value) => {
                wide = value.to_be_bytes();
                let zeros = wide.iter().take_while(|octet| **octet == 0).count();
                wide.get(zeros..).unwrap_or(&[])
            }
            _ => return Err(EncodeError::ValueType { element: APPLICATION_ID }),
        };
        let head = match value.first() {
            Some(&ENGINE_WITH_ENTERPRISE) => 5,
            Some(_) => 1,
            None => return Err(EncodeError::ValueType { element: APPLICATION_ID }),
        };
        let Some((head, selector)) = value.split_at_checked(head) else {
            return Err(EncodeError::ValueType { element: APPLICATION_ID });
        };
        if self.specifier.is_variable_length() {
            return self.put_parts(head, selector, octets);
        }
        let spare =
            usize::from(self.specifier.length).checked_sub(value.len()).ok_or_else(|| self.too_large())?;
        octets.extend_from_slice(head);
        octets.resize(octets.len() + spare, 0);
        octets.extend_from_slice(selector);
        Ok(())
    }

    /// Octets as they are, with their length before them where records say it.
    fn put_octets(&self, value: &[u8], octets: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.put_parts(&[], value, octets)
    }

    fn put_parts(&self, head: &[u8], value: &[u8], octets: &mut Vec<u8>) -> Result<(), EncodeError> {
        let value_len = head.len() + value.len();
        if self.specifier.is_variable_length() {
            let length = u16::try_from(value_len).map_err(|_| self.too_large())?;
            match u8::try_from(length) {
                // RFC 6313 section 5.1 wants the long form for lists.
                Ok(short) if short < 255 && !self.coding.is_list() => octets.push(short),
                _ => {
                    octets.push(255);
                    octets.extend_from_slice(&length.to_be_bytes());
                }
            }
        } else if value_len > usize::from(self.specifier.length) {
            return Err(self.too_large());
        } else if value_len < usize::from(self.specifier.length) {
            return Err(EncodeError::ValueType { element: self.specifier.element.number() });
        }
        octets.extend_from_slice(head);
        octets.extend_from_slice(value);
        Ok(())
    }

    const fn too_large(&self) -> EncodeError {
        EncodeError::ValueTooLarge { element: self.specifier.element.number(), length: self.specifier.length }
    }
}

impl Coding {
    const fn is_list(self) -> bool {
        matches!(
            self,
            Self::Typed(DataType::BasicList | DataType::SubTemplateList | DataType::SubTemplateMultiList)
        )
    }

    const fn is_of_any_length(self) -> bool {
        self.is_list()
            || matches!(
                self,
                Self::Typed(DataType::OctetArray | DataType::String) | Self::ApplicationId | Self::Untyped
            )
    }
}

fn coding_of(element: ElementId, length: u16, data_type: Option<DataType>) -> Coding {
    if let Some(data_type) = data_type {
        return Coding::Typed(data_type);
    }
    let forward = element.forward().unwrap_or(element);
    match forward.number() {
        _ if forward.enterprise() != 0 => {}
        PADDING_OCTETS => return Coding::Padding,
        APPLICATION_ID => return Coding::ApplicationId,
        // Unsigned numbers by their type, times by their meaning.
        21 | 22 => return Coding::Uptime,
        6 if length == 1 => return Coding::LowFlags,
        _ => {}
    }
    match forward.info() {
        Some(info) => Coding::Typed(info.data_type),
        None => Coding::Untyped,
    }
}

/// An NTP timestamp, its era left out; the fraction rounded up, so that reading it gives the same again.
fn to_ntp(secs: u64, parts: u32, parts_per_second: u64) -> u64 {
    let secs = secs.wrapping_add(NTP_TO_UNIX_SECS) << 32;
    secs | (u64::from(parts) << 32).div_ceil(parts_per_second)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(number: u16, length: u16) -> Field {
        Field::of_element(Protocol::Ipfix, FieldSpecifier::new(ElementId::iana(number), length), None)
            .unwrap()
    }

    fn octets(field: &Field, value: FieldValue<'_>) -> Result<Vec<u8>, EncodeError> {
        let mut octets = Vec::new();
        field.put(value, Some(Timestamp::from_secs(1_000)), &mut octets).map(|()| octets)
    }

    #[test]
    fn booleans_are_one_and_two() {
        // E18: dataRecordsReliability.
        assert_eq!(octets(&field(276, 1), FieldValue::Boolean(true)), Ok(alloc::vec![1]));
        assert_eq!(octets(&field(276, 1), FieldValue::Boolean(false)), Ok(alloc::vec![2]));
        assert!(octets(&field(276, 1), FieldValue::Unsigned(1)).is_err());
        assert!(octets(&field(276, 1), FieldValue::Octets(&[0])).is_err());
    }

    #[test]
    fn microseconds_have_their_low_eleven_fraction_bits_zero_and_survive() {
        // E20: flowStartMicroseconds.
        for micros in (0..1_000_000u64).step_by(37) {
            let time = Timestamp::from_nanos(1_700_000_000_000_000_000 + micros * 1_000 + 999);
            let octets = octets(&field(154, 8), FieldValue::DateTime(time)).unwrap();
            let ntp = u64::from_be_bytes(octets.try_into().unwrap());
            assert_eq!(ntp & 0x7ff, 0);
            assert_eq!(Timestamp::from_ntp(ntp).as_nanos() / 1_000, time.as_nanos() / 1_000);
        }
    }

    #[test]
    fn nanoseconds_survive() {
        for nanos in (0..1_000_000_000u64).step_by(999_331).chain([999_999_999]) {
            let time = Timestamp::from_nanos(1_700_000_000_000_000_000 + nanos);
            let octets = octets(&field(156, 8), FieldValue::DateTime(time)).unwrap();
            assert_eq!(Timestamp::from_ntp(u64::from_be_bytes(octets.try_into().unwrap())), time);
        }
    }

    #[test]
    fn uptimes_count_from_boot_modulo_2_32() {
        // E34
        let time = Timestamp::from_millis(1_000_000 + (1 << 32) + 5);
        assert_eq!(octets(&field(22, 4), FieldValue::DateTime(time)), Ok(alloc::vec![0, 0, 0, 5]));
        assert_eq!(octets(&field(22, 4), FieldValue::Unsigned(5)), Ok(alloc::vec![0, 0, 0, 5]));
        assert!(field(22, 4).put(FieldValue::DateTime(time), None, &mut Vec::new()).is_err());
    }

    #[test]
    fn application_ids_are_right_aligned_in_longer_fields() {
        // E32
        let put = |length, value: &[u8]| octets(&field(95, length), FieldValue::Octets(value));
        assert_eq!(put(4, &[1, 6]), Ok(alloc::vec![1, 0, 0, 6]));
        let with_enterprise = [20, 0, 0, 0x7e, 0xd9, 0, 0, 7];
        assert_eq!(put(8, &with_enterprise), Ok(with_enterprise.to_vec()));
        assert_eq!(put(10, &with_enterprise), Ok(alloc::vec![20, 0, 0, 0x7e, 0xd9, 0, 0, 0, 0, 7]));
        assert!(put(4, &with_enterprise).is_err() && put(4, &[]).is_err() && put(4, &[20, 0]).is_err());
    }
}
