//! Definitions of elements that the built-in tables do not have.

use alloc::{boxed::Box, collections::BTreeMap};

use thiserror::Error;

use super::{DataType, ElementId, ElementInfo, ValueRange};

/// Definitions of elements: those of the user's own enterprise, or what an exporter says of its own (RFC 5610).
///
/// What IANA defines stays as it is. The number of definitions is bounded.
///
/// ```
/// use netflow_codec::{DataType, ElementId, ElementInfo, ElementRegistry, Elements, Units};
///
/// let mut registry = ElementRegistry::new();
/// let depth = ElementId::new(32_473, 7);
/// registry.define(depth, ElementInfo::new("queueDepth", DataType::Unsigned32).with_units(Units::PACKETS))?;
/// assert!(registry.define(ElementId::iana(8), ElementInfo::new("mine", DataType::String)).is_err());
///
/// let elements = Elements::default().with_defined(&registry);
/// assert_eq!(elements.info(depth).unwrap().name, "queueDepth");
/// assert_eq!(elements.info(ElementId::iana(8)).unwrap().name, "sourceIPv4Address");
/// assert_eq!(elements.find("queueDepth"), Some(depth));
/// # Ok::<(), netflow_codec::DefineError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ElementRegistry {
    definitions: BTreeMap<ElementId, ElementInfo<Box<str>>>,
    limit: usize,
    name_octets: usize,
}

/// Why a definition is not taken.
#[derive(Clone, Copy, Debug, Eq, Error, Hash, PartialEq)]
#[non_exhaustive]
pub enum DefineError {
    /// An element number that IPFIX does not have: 0, or above 32767 together with an enterprise number.
    #[error("an element number is 1 to 32767")]
    Number,
    /// IANA defines the element, or it is the reverse one of such an element (RFC 5610 section 3.9: its definitions are
    /// not overridden). What an exporter teaches does not override the tables of enterprises either.
    #[error("the element is defined already, as {0}")]
    BuiltIn(&'static str),
    /// A name of no octets, of more than 255, or with control characters such as NUL (RFC 5610 section 4).
    #[error("a name has 1 to 255 octets and no control characters")]
    Name,
    /// Semantics that values of the type cannot have (RFC 5610 section 3.10).
    #[error("values of this data type cannot have these semantics")]
    Semantics,
    /// A range whose end is before its beginning, or one of values that are no integers.
    #[error("a range has a beginning, a later end, and integers between them")]
    Range,
    /// The registry has another definition of the element.
    #[error("the element is defined already, differently")]
    Conflict,
    /// As many elements are defined as the registry may have.
    #[error("{0} elements are defined, which is the limit")]
    Full(usize),
}

impl Default for ElementRegistry {
    fn default() -> Self {
        Self::new()
    }
}

impl ElementRegistry {
    /// Definitions that a registry may have unless told otherwise: 65,536.
    pub const DEFAULT_LIMIT: usize = 65_536;
    /// Octets of the longest name.
    pub const MAX_NAME_OCTETS: usize = 255;

    /// An empty registry.
    #[must_use]
    pub const fn new() -> Self {
        Self::with_limit(Self::DEFAULT_LIMIT)
    }

    /// An empty registry of at most so many definitions.
    #[must_use]
    pub const fn with_limit(limit: usize) -> Self {
        Self { definitions: BTreeMap::new(), limit, name_octets: 0 }
    }

    /// Takes a definition. It goes before what the built-in tables say of the enterprise's elements.
    ///
    /// With enterprise number 0 these are elements that IANA does not define, or field types of NetFlow v9 from 32768 on.
    ///
    /// # Errors
    ///
    /// See [`DefineError`]; nothing changes then. The same definition twice is none.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a definition is a small thing to write down in the call"
    )]
    pub fn define<N: AsRef<str>>(
        &mut self,
        element: ElementId,
        info: ElementInfo<N>,
    ) -> Result<(), DefineError> {
        match element.info() {
            Some(known) if element.is_standard() => Err(DefineError::BuiltIn(known.name)),
            _ => self.insert(element, &info),
        }
    }

    /// Takes a definition that came over the wire: it must not override any other.
    pub(crate) fn teach(&mut self, element: ElementId, info: ElementInfo<&str>) -> Result<(), DefineError> {
        match element.info() {
            Some(known) => Err(DefineError::BuiltIn(known.name)),
            None => self.insert(element, &info),
        }
    }

    fn insert<N: AsRef<str>>(
        &mut self,
        element: ElementId,
        info: &ElementInfo<N>,
    ) -> Result<(), DefineError> {
        let name = info.name.as_ref();
        if element.number == 0 || element.enterprise != 0 && element.number > 0x7fff {
            return Err(DefineError::Number);
        }
        if element.forward().is_some() || element.enterprise == super::lookup::REVERSE {
            return Err(DefineError::BuiltIn("the reverse of another"));
        }
        if name.is_empty() || name.len() > Self::MAX_NAME_OCTETS || name.chars().any(char::is_control) {
            return Err(DefineError::Name);
        }
        if !info.semantics.fits(info.data_type) {
            return Err(DefineError::Semantics);
        }
        if info.range.is_some_and(|range| range.first > range.last || !info.data_type.is_integer()) {
            return Err(DefineError::Range);
        }
        let known = self.definitions.get(&element);
        if let Some(known) = known {
            let is_same = *known == info.clone_as_boxed();
            return if is_same { Ok(()) } else { Err(DefineError::Conflict) };
        }
        if self.definitions.len() >= self.limit {
            return Err(DefineError::Full(self.limit));
        }
        self.name_octets += name.len();
        self.definitions.insert(element, info.clone_as_boxed());
        Ok(())
    }

    /// The definition of an element in this registry.
    #[must_use]
    pub fn info(&self, element: ElementId) -> Option<ElementInfo<&str>> {
        self.definitions.get(&element).map(ElementInfo::as_borrowed)
    }

    /// The element of a name in this registry, of several the one with the lowest number.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<ElementId> {
        self.iter().find(|(_, info)| info.name == name).map(|(element, _)| element)
    }

    /// The definitions, by enterprise and number.
    pub fn iter(&self) -> impl Iterator<Item = (ElementId, ElementInfo<&str>)> {
        self.definitions.iter().map(|(element, info)| (*element, info.as_borrowed()))
    }

    /// How many definitions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.definitions.len()
    }

    /// Whether there is no definition.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.definitions.is_empty()
    }

    /// Octets of memory that the definitions take, roughly.
    #[must_use]
    pub fn memory_octets(&self) -> usize {
        // A B-tree node is about two thirds full.
        let entry = size_of::<ElementId>() + size_of::<ElementInfo<Box<str>>>();
        self.definitions.len() * entry * 3 / 2 + self.name_octets
    }
}

impl<N: AsRef<str>> ElementInfo<N> {
    fn clone_as_boxed(&self) -> ElementInfo<Box<str>> {
        self.as_view().with_name(self.name.as_ref().into())
    }

    fn as_borrowed(&self) -> ElementInfo<&str> {
        self.as_view().with_name(self.name.as_ref())
    }

    /// The same without its name.
    fn as_view(&self) -> ElementInfo<()> {
        let Self { data_type, semantics, units, range, is_reversible, .. } = *self;
        ElementInfo { name: (), data_type, semantics, units, range, is_reversible }
    }
}

/// All that is known of elements: the definitions of the user, the built-in tables, and what the exporter said of its
/// own elements, in this order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Elements<'r> {
    defined: Option<&'r ElementRegistry>,
    taught: Option<&'r ElementRegistry>,
}

impl<'r> Elements<'r> {
    /// The same with the user's definitions, which go before the built-in tables.
    #[must_use]
    pub const fn with_defined(self, registry: &'r ElementRegistry) -> Self {
        Self { defined: Some(registry), ..self }
    }

    /// The same with an exporter's definitions, which go behind the built-in tables.
    #[must_use]
    pub const fn with_taught(self, registry: &'r ElementRegistry) -> Self {
        Self { taught: Some(registry), ..self }
    }

    /// What is known of an element.
    #[must_use]
    pub fn info(&self, element: ElementId) -> Option<ElementInfo<&'r str>> {
        let of = |registry: Option<&'r ElementRegistry>| registry?.info(element);
        of(self.defined).or_else(|| element.info().copied()).or_else(|| of(self.taught))
    }

    /// The abstract data type; [`DataType::OctetArray`] for unknown elements.
    #[must_use]
    pub fn data_type(&self, element: ElementId) -> DataType {
        self.info(element).map_or(DataType::OctetArray, |info| info.data_type)
    }

    /// The element of a name, as [`ElementId::from_name`] understands it.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<ElementId> {
        let of = |registry: Option<&'r ElementRegistry>| registry?.find(name);
        of(self.defined).or_else(|| ElementId::from_name(name)).or_else(|| of(self.taught))
    }
}

/// `0-32`, or `0` for a single value; both numbers in decimal or, after `0x`, in hexadecimal.
impl core::str::FromStr for ValueRange {
    type Err = DefineError;

    fn from_str(text: &str) -> Result<Self, DefineError> {
        let number = |text: &str| match text.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16).map_err(|_| DefineError::Range),
            None => text.parse().map_err(|_| DefineError::Range),
        };
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let range = Self::new(number(first.trim())?, number(last.trim())?);
        if range.first > range.last { Err(DefineError::Range) } else { Ok(range) }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use super::*;
    use crate::element::{Semantics, Units};

    const OWN: ElementId = ElementId::new(32_473, 7);

    fn info(name: &str) -> ElementInfo<&str> {
        ElementInfo::new(name, DataType::Unsigned32)
    }

    #[test]
    fn what_iana_defines_stays_as_it_is() {
        // C27
        let mut registry = ElementRegistry::new();
        let address = ElementId::SOURCE_IPV4_ADDRESS;
        let text = ElementInfo::new("sourceIPv4Address", DataType::String);
        assert_eq!(registry.define(address, text), Err(DefineError::BuiltIn("sourceIPv4Address")));
        assert_eq!(registry.teach(address, text), Err(DefineError::BuiltIn("sourceIPv4Address")));
        let reverse = address.reverse().unwrap();
        assert!(registry.define(reverse, text).is_err() && registry.teach(reverse, text).is_err());
        // Nor is the reverse of flowId defined.
        assert!(registry.define(ElementId::new(29_305, 148), text).is_err());
        assert!(registry.is_empty());
    }

    #[test]
    fn the_user_goes_before_the_tables_of_enterprises_and_an_exporter_behind_them() {
        // C27
        let cisco = ElementId::new(9, 4_315);
        let (mut user, mut exporter) = (ElementRegistry::new(), ElementRegistry::new());
        assert_eq!(exporter.teach(cisco, info("mine")), Err(DefineError::BuiltIn("tcpWindowSizeMin")));
        user.define(cisco, info("mine")).unwrap();
        user.define(OWN, info("ofUser")).unwrap();
        exporter.teach(OWN, info("ofExporter")).unwrap();
        let none = Elements::default();
        assert_eq!(none.info(cisco).unwrap().name, "tcpWindowSizeMin");
        assert_eq!(none.with_taught(&exporter).info(OWN).unwrap().name, "ofExporter");
        let both = none.with_taught(&exporter).with_defined(&user);
        assert_eq!((both.info(cisco).unwrap().name, both.info(OWN).unwrap().name), ("mine", "ofUser"));
        assert_eq!(
            (both.find("ofUser"), both.find("octetDeltaCount")),
            (Some(OWN), Some(ElementId::iana(1)))
        );
        assert_eq!(both.data_type(ElementId::new(1, 1)), DataType::OctetArray);
    }

    #[test]
    fn unsound_definitions_are_refused() {
        // C28
        let mut registry = ElementRegistry::new();
        let long: String = core::iter::repeat_n('x', 256).collect();
        for name in ["", "a\0", "a\0b", "a\nb", &long] {
            assert_eq!(registry.define(OWN, info(name)), Err(DefineError::Name), "{name:?}");
        }
        let flags = ElementInfo::new("a", DataType::Float64).with_semantics(Semantics::FLAGS);
        assert_eq!(registry.define(OWN, flags), Err(DefineError::Semantics));
        assert_eq!(registry.define(OWN, info("a").with_semantics(Semantics(9))), Err(DefineError::Semantics));
        assert_eq!(
            registry.define(OWN, info("a").with_range(ValueRange::new(2, 1))),
            Err(DefineError::Range)
        );
        let text = ElementInfo::new("a", DataType::String).with_range(ValueRange::new(1, 2));
        assert_eq!(registry.define(OWN, text), Err(DefineError::Range));
        for number in [0, 0x8000, u16::MAX] {
            let element = ElementId::new(32_473, number);
            assert_eq!(registry.define(element, info("a")), Err(DefineError::Number), "{number}");
        }
        assert!(registry.is_empty());
    }

    #[test]
    fn the_first_definition_stays() {
        let mut registry = ElementRegistry::with_limit(2);
        let first = info("a").with_units(Units::PACKETS).with_range(ValueRange::new(0, 9));
        registry.define(OWN, first).unwrap();
        registry.define(OWN, first).unwrap();
        assert_eq!(registry.define(OWN, info("a")), Err(DefineError::Conflict));
        assert_eq!(registry.info(OWN), Some(first));
        // v9 has types above 32767 without an enterprise.
        registry.define(ElementId::iana(50_000), info("b")).unwrap();
        assert_eq!(registry.define(ElementId::new(1, 1), info("c")), Err(DefineError::Full(2)));
        assert_eq!((registry.len(), registry.find("b")), (2, Some(ElementId::iana(50_000))));
        assert!(registry.memory_octets() > 100);
    }

    #[test]
    fn ranges_are_read_in_decimal_and_hexadecimal() {
        assert_eq!("0-32".parse(), Ok(ValueRange::new(0, 32)));
        assert_eq!(" 0x10 - 0xff".trim().parse(), Ok(ValueRange::new(16, 255)));
        assert_eq!("7".parse(), Ok(ValueRange::new(7, 7)));
        for text in ["", "-", "1-", "2-1", "a", "0x", "1-2-3", "99999999999999999999"] {
            assert_eq!(text.parse::<ValueRange>(), Err(DefineError::Range), "{text}");
        }
    }
}
