//! applicationId: which application a flow belongs to, and who says so.

use core::fmt;

use crate::{element::ElementId, wire::unsigned};

/// A classification engine: what told applications apart (element classificationEngineId, 101; RFC 6759 section 4.1).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_structs, reason = "a number, whichever it is")]
pub struct ClassificationEngine(pub u8);

impl ClassificationEngine {
    /// IP protocol numbers.
    pub const IANA_L3: Self = Self(1);
    /// The vendor's own layer 3 definitions.
    pub const PANA_L3: Self = Self(2);
    /// Well-known ports.
    pub const IANA_L4: Self = Self(3);
    /// The vendor's own layer 4 definitions.
    pub const PANA_L4: Self = Self(4);
    /// Definitions of the user.
    pub const USER_DEFINED: Self = Self(6);
    /// The vendor's own layer 2 definitions.
    pub const PANA_L2: Self = Self(12);
    /// The vendor's own layer 7 definitions.
    pub const PANA_L7: Self = Self(13);
    /// Ethertypes.
    pub const ETHERTYPE: Self = Self(18);
    /// LLC types.
    pub const LLC: Self = Self(19);
    /// Layer 7 definitions of the enterprise whose number stands before the selector.
    pub const PANA_L7_PEN: Self = Self(20);

    /// The registered name, such as `IANA-L4`.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        ElementId::iana(101).value_name(self.0.into())
    }
}

/// A value of element applicationId (95): a classification engine, for engine 20 an enterprise number, and a selector
/// (RFC 6759 section 4).
///
/// ```text
/// | engine (1) | selector, right-aligned (0 to 7 or more) |
/// | 20 (1)     | enterprise number (4)  | selector        |
/// ```
///
/// ```
/// use netflow_codec::{ApplicationId, ClassificationEngine};
///
/// let lldp = ApplicationId::from_octets(&[0x12, 0x88, 0xcc]).unwrap();
/// assert_eq!(lldp.engine(), ClassificationEngine::ETHERTYPE);
/// assert_eq!((lldp.selector(), lldp.to_string().as_str()), (Some(35_020), "18..35020"));
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ApplicationId<'a> {
    engine: ClassificationEngine,
    enterprise: Option<u32>,
    selector: &'a [u8],
}

impl<'a> ApplicationId<'a> {
    /// From the octets of the element; `None` when there are none, or of engine 20 fewer than an enterprise number.
    #[must_use]
    pub fn from_octets(octets: &'a [u8]) -> Option<Self> {
        let (engine, rest) = octets.split_first()?;
        let engine = ClassificationEngine(*engine);
        if engine != ClassificationEngine::PANA_L7_PEN {
            return Some(Self { engine, enterprise: None, selector: rest });
        }
        let (enterprise, selector) = rest.split_first_chunk()?;
        Some(Self { engine, enterprise: Some(u32::from_be_bytes(*enterprise)), selector })
    }

    /// What told the application.
    #[must_use]
    pub const fn engine(self) -> ClassificationEngine {
        self.engine
    }

    /// The enterprise whose definitions engine 20 uses.
    #[must_use]
    pub const fn enterprise(self) -> Option<u32> {
        self.enterprise
    }

    /// The selector as an integer, which longer fields have zeros before; `None` when there is none, or it is none of
    /// 64 bits.
    #[must_use]
    pub fn selector(self) -> Option<u64> {
        let zeros = self.selector.iter().take_while(|octet| **octet == 0).count();
        match self.selector.get(zeros..)? {
            [] if self.selector.is_empty() => None,
            [] => Some(0),
            rest => unsigned(rest),
        }
    }

    /// The octets of the selector.
    #[must_use]
    pub const fn selector_octets(self) -> &'a [u8] {
        self.selector
    }
}

/// Engine and selector as RFC 6759 writes them, `18..35020`; with the enterprise number between them for engine 20.
impl fmt::Display for ApplicationId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..", self.engine.0)?;
        if let Some(enterprise) = self.enterprise {
            write!(f, "{enterprise}..")?;
        }
        match self.selector() {
            Some(selector) => write!(f, "{selector}"),
            None => self.selector.iter().try_for_each(|octet| write!(f, "{octet:02x}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;

    #[test]
    fn selectors_are_right_aligned_whatever_the_length() {
        // D63: lengths 2 to 8, and what no registered engine has.
        for length in 2..=12 {
            let mut octets = [0; 12];
            octets[0] = 13;
            octets[length - 1] = 9;
            let id = ApplicationId::from_octets(&octets[..length]).unwrap();
            assert_eq!((id.engine(), id.selector()), (ClassificationEngine::PANA_L7, Some(9)), "{length}");
        }
        let wide = ApplicationId::from_octets(&[13, 1, 2, 3, 4, 5, 6, 7, 8, 9]).unwrap();
        assert_eq!((wide.selector(), wide.to_string().as_str()), (None, "13..010203040506070809"));
        let bare = ApplicationId::from_octets(&[3]).unwrap();
        assert_eq!((bare.selector(), bare.to_string().as_str()), (None, "3.."));
        assert_eq!(ApplicationId::from_octets(&[3, 0]).unwrap().selector(), Some(0));
        assert_eq!(ApplicationId::from_octets(&[]), None);
    }

    #[test]
    fn engine_20_has_an_enterprise_number_before_the_selector() {
        // D63
        let id = ApplicationId::from_octets(&[20, 0, 0, 0x7e, 0xd9, 0, 1, 2]).unwrap();
        assert_eq!((id.enterprise(), id.selector()), (Some(32_473), Some(258)));
        assert_eq!(id.to_string(), "20..32473..258");
        assert_eq!(ApplicationId::from_octets(&[20, 0, 0, 9]), None);
        assert_eq!(id.engine().name(), Some("PANA-L7-PEN"));
    }
}
