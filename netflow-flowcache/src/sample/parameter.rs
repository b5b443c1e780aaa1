//! Information Elements with values, for options records.

use alloc::{string::String, vec::Vec};
use core::net::IpAddr;

/// An Information Element and its value.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Parameter {
    /// The number of the Information Element; none has an enterprise number.
    pub element: u16,
    /// The value.
    pub value: ParameterValue,
}

impl Parameter {
    /// A value of an element.
    #[must_use]
    pub const fn new(element: u16, value: ParameterValue) -> Self {
        Self { element, value }
    }
}

/// A value by its abstract data type (RFC 7012 section 3.1).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ParameterValue {
    /// unsigned8.
    Unsigned8(u8),
    /// unsigned16.
    Unsigned16(u16),
    /// unsigned32.
    Unsigned32(u32),
    /// unsigned64.
    Unsigned64(u64),
    /// float64.
    Float64(f64),
    /// boolean.
    Boolean(bool),
    /// ipv4Address or ipv6Address.
    Address(IpAddr),
    /// macAddress.
    MacAddress([u8; 6]),
    /// string, of variable length.
    Text(String),
}

impl ParameterValue {
    /// The length that a Field Specifier gives it (RFC 7011 section 3.2): 65535 for variable length.
    #[must_use]
    pub fn field_length(&self) -> u16 {
        match self {
            Self::Unsigned8(_) | Self::Boolean(_) => 1,
            Self::Unsigned16(_) => 2,
            Self::Unsigned32(_) | Self::Address(IpAddr::V4(_)) => 4,
            Self::Unsigned64(_) | Self::Float64(_) => 8,
            Self::Address(IpAddr::V6(_)) => 16,
            Self::MacAddress(_) => 6,
            Self::Text(_) => u16::MAX,
        }
    }

    /// The value as an unsigned number, if it is one.
    #[must_use]
    pub const fn as_unsigned(&self) -> Option<u64> {
        match *self {
            Self::Unsigned8(value) => Some(value as u64),
            Self::Unsigned16(value) => Some(value as u64),
            Self::Unsigned32(value) => Some(value as u64),
            Self::Unsigned64(value) => Some(value),
            _ => None,
        }
    }

    /// The value as a number with fraction, if it is one.
    #[must_use]
    pub const fn as_float(&self) -> Option<f64> {
        if let Self::Float64(value) = *self { Some(value) } else { None }
    }

    /// Appends the octets of a field (RFC 7011 sections 6.1 and 7); text beyond 65535 octets is cut off.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Unsigned8(value) => out.push(*value),
            Self::Unsigned16(value) => out.extend(value.to_be_bytes()),
            Self::Unsigned32(value) => out.extend(value.to_be_bytes()),
            Self::Unsigned64(value) => out.extend(value.to_be_bytes()),
            Self::Float64(value) => out.extend(value.to_be_bytes()),
            Self::Boolean(value) => out.push(if *value { 1 } else { 2 }),
            Self::Address(IpAddr::V4(address)) => out.extend(address.octets()),
            Self::Address(IpAddr::V6(address)) => out.extend(address.octets()),
            Self::MacAddress(address) => out.extend(address),
            Self::Text(text) => {
                let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
                if let Ok(length @ ..=254) = u8::try_from(length) {
                    out.push(length);
                } else {
                    out.push(255);
                    out.extend(length.to_be_bytes());
                }
                out.extend(text.bytes().take(length.into()));
            }
        }
    }
}

/// What an options record says: of what, and what.
///
/// Its template has a Field Specifier for each of `scope` and `fields`, in this order, with
/// [`ParameterValue::field_length`].
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct OptionsRecord {
    /// The scope fields.
    pub scope: Vec<Parameter>,
    /// The fields that are no scope.
    pub fields: Vec<Parameter>,
}

impl OptionsRecord {
    /// A record of one scope field.
    #[must_use]
    pub fn new(scope: Parameter, fields: Vec<Parameter>) -> Self {
        Self { scope: Vec::from([scope]), fields }
    }

    /// All fields: those of the scope first.
    pub fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        self.scope.iter().chain(&self.fields)
    }

    /// The first value of an element that is no scope.
    #[must_use]
    pub fn get(&self, element: u16) -> Option<&ParameterValue> {
        self.fields.iter().find(|field| field.element == element).map(|field| &field.value)
    }

    /// Appends the octets of the data record.
    pub fn write(&self, out: &mut Vec<u8>) {
        for parameter in self.parameters() {
            parameter.value.write(out);
        }
    }
}
