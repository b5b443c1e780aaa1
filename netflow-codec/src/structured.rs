//! Lists within fields: basicList, subTemplateList and subTemplateMultiList of RFC 6313.
//!
//! ```text
//! basicList             | semantic (1) | element (2) | length (2) | enterprise (0 or 4) | values ...
//! subTemplateList       | semantic (1) | template id (2) | records ...
//! subTemplateMultiList  | semantic (1) | template id (2) | length (2) | records ... | template id (2) | ...
//! ```
//!
//! Lists are views that are read while they are iterated: nothing is allocated, each step consumes octets, and no more
//! than [`MAX_LIST_DEPTH`] lists within one another are opened. Where a list is cut off, what stands before is given
//! and [`fault`](BasicList::fault) says what is wrong.

use core::fmt;

use crate::{
    element::ElementId,
    error::{DecodeError, DecodeErrorKind},
    template::VARIABLE_LENGTH,
    value::FieldView,
    wire::{u16_at, variable_length},
};

/// How many lists within one another are read; a list within that many stays octets.
pub const MAX_LIST_DEPTH: u8 = 8;

/// How the values of a list relate: the registry "IPFIX Structured Data Types Semantics" (RFC 6313 section 4.4).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a number, whichever it is")]
pub struct ListSemantic(pub u8);

impl ListSemantic {
    /// None of the values is a property of the record.
    pub const NONE_OF: Self = Self(0);
    /// One of the values is.
    pub const EXACTLY_ONE_OF: Self = Self(1);
    /// One or more of the values are.
    pub const ONE_OR_MORE_OF: Self = Self(2);
    /// All of the values are.
    pub const ALL_OF: Self = Self(3);
    /// All of the values are, in this order.
    pub const ORDERED: Self = Self(4);
    /// Nothing is said.
    pub const UNDEFINED: Self = Self(255);

    /// The registered name, such as `allOf`.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::NONE_OF => "noneOf",
            Self::EXACTLY_ONE_OF => "exactlyOneOf",
            Self::ONE_OR_MORE_OF => "oneOrMoreOf",
            Self::ALL_OF => "allOf",
            Self::ORDERED => "ordered",
            Self::UNDEFINED => "undefined",
            _ => return None,
        })
    }
}

/// The registered name, else the number.
impl fmt::Display for ListSemantic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{}", self.0),
        }
    }
}

/// A list of values of one element (RFC 6313 section 4.5.1).
///
/// ```
/// use netflow_codec::{BasicList, ElementId, ListSemantic};
///
/// let octets = [3, 0, 14, 0, 4, 0, 0, 0, 7, 0, 0, 0, 9];
/// let list = BasicList::parse(&octets)?;
/// assert_eq!((list.semantic(), list.element()), (ListSemantic::ALL_OF, ElementId::EGRESS_INTERFACE));
/// assert_eq!(list.iter().filter_map(|value| value.as_unsigned()).collect::<Vec<_>>(), [7, 9]);
/// # Ok::<(), netflow_codec::DecodeError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BasicList<'a> {
    semantic: ListSemantic,
    depth: u8,
    value_length: u16,
    element: ElementId,
    content: &'a [u8],
    /// Octets before the content.
    header_length: u8,
}

impl<'a> BasicList<'a> {
    /// Reads the list's header.
    ///
    /// # Errors
    ///
    /// When the octets end within it. Offsets count from the beginning of the list.
    pub fn parse(octets: &'a [u8]) -> Result<Self, DecodeError> {
        Self::within(octets, 0)
    }

    /// A list within `depth` others.
    pub(crate) fn within(octets: &'a [u8], depth: u8) -> Result<Self, DecodeError> {
        let truncated = |needed| DecodeError::truncated(0, needed, octets.len());
        let ([semantic, high, low, length @ ..], rest) =
            octets.split_first_chunk::<5>().ok_or_else(|| truncated(5))?;
        let specified = u16::from_be_bytes([*high, *low]);
        let value_length = u16::from_be_bytes(*length);
        // The enterprise bit, RFC 7011 section 3.2.
        let (enterprise, content) = if specified & 0x8000 == 0 {
            (0, rest)
        } else {
            let (enterprise, content) = rest.split_first_chunk().ok_or_else(|| truncated(9))?;
            (u32::from_be_bytes(*enterprise), content)
        };
        Ok(Self {
            semantic: ListSemantic(*semantic),
            depth,
            value_length,
            element: ElementId::new(enterprise, specified & 0x7fff),
            content,
            header_length: if specified & 0x8000 == 0 { 5 } else { 9 },
        })
    }

    /// How the values relate.
    #[must_use]
    pub const fn semantic(&self) -> ListSemantic {
        self.semantic
    }

    /// The element that all values are of.
    #[must_use]
    pub const fn element(&self) -> ElementId {
        self.element
    }

    /// Octets of each value, 65535 when each says its own length.
    #[must_use]
    pub const fn value_length(&self) -> u16 {
        self.value_length
    }

    /// The octets of the values.
    #[must_use]
    pub const fn content(&self) -> &'a [u8] {
        self.content
    }

    /// The values in order.
    ///
    /// Values of no octets that do not say so themselves are none: they would not end.
    #[must_use]
    pub const fn iter(&self) -> BasicListValues<'a> {
        BasicListValues { list: *self, position: 0 }
    }

    /// What is wrong with the octets behind the last whole value, if there are any. The offset counts from the
    /// beginning of the list.
    #[must_use]
    pub fn fault(&self) -> Option<DecodeError> {
        let mut values = self.iter();
        values.by_ref().for_each(drop);
        let available = self.content.len().saturating_sub(values.position);
        if available == 0 {
            return None;
        }
        let offset = usize::from(self.header_length) + values.position;
        Some(match self.value_length {
            0 => DecodeError::new(offset, DecodeErrorKind::EmptyListValues),
            VARIABLE_LENGTH => {
                let rest = self.content.get(values.position..).unwrap_or(&[]);
                let needed = variable_length(rest).map_or(3, |(header, length)| header + length);
                DecodeError::truncated(offset, needed, available)
            }
            length => DecodeError::truncated(offset, length.into(), available),
        })
    }
}

impl<'a> IntoIterator for &BasicList<'a> {
    type IntoIter = BasicListValues<'a>;
    type Item = FieldView<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// `allOf(7, 9)`.
impl fmt::Display for BasicList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.semantic)?;
        for (index, value) in self.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{}", value.value())?;
        }
        f.write_str(")")
    }
}

/// Iterator over the values of a [`BasicList`].
#[derive(Clone, Debug)]
pub struct BasicListValues<'a> {
    list: BasicList<'a>,
    position: usize,
}

impl<'a> Iterator for BasicListValues<'a> {
    type Item = FieldView<'a>;

    fn next(&mut self) -> Option<FieldView<'a>> {
        let rest = self.list.content.get(self.position..)?;
        let (header, length) = match self.list.value_length {
            // Nothing would be consumed.
            0 => return None,
            VARIABLE_LENGTH => variable_length(rest)?,
            length => (0, usize::from(length)),
        };
        let octets = rest.get(header..header + length)?;
        self.position += header + length;
        Some(FieldView::nested(self.list.element, octets, self.list.depth + 1))
    }
}

/// A list of records of one template (RFC 6313 section 4.5.2), or an entry of a [`SubTemplateMultiList`].
///
/// Whoever has the template, such as [`Decoded::template`](crate::Decoded::template), reads it with
/// [`records`](Self::records); without the template it stays octets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SubTemplateList<'a> {
    semantic: ListSemantic,
    depth: u8,
    template_id: u16,
    content: &'a [u8],
}

impl<'a> SubTemplateList<'a> {
    /// Reads the list's header.
    ///
    /// # Errors
    ///
    /// When the octets end within it.
    pub fn parse(octets: &'a [u8]) -> Result<Self, DecodeError> {
        Self::within(octets, 0)
    }

    /// A list within `depth` others.
    pub(crate) fn within(octets: &'a [u8], depth: u8) -> Result<Self, DecodeError> {
        let ([semantic, id @ ..], content) =
            octets.split_first_chunk::<3>().ok_or_else(|| DecodeError::truncated(0, 3, octets.len()))?;
        let template_id = u16::from_be_bytes(*id);
        Ok(Self { semantic: ListSemantic(*semantic), depth, template_id, content })
    }

    /// How the records relate.
    #[must_use]
    pub const fn semantic(&self) -> ListSemantic {
        self.semantic
    }

    /// The template of the records.
    #[must_use]
    pub const fn template_id(&self) -> u16 {
        self.template_id
    }

    /// The octets of the records.
    #[must_use]
    pub const fn content(&self) -> &'a [u8] {
        self.content
    }

    /// How many lists there are around the records, this one included.
    pub(crate) const fn inner_depth(&self) -> u8 {
        self.depth + 1
    }
}

/// `allOf(template 999: 0102)`.
impl fmt::Display for SubTemplateList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(template {}: ", self.semantic, self.template_id)?;
        self.content.iter().try_for_each(|octet| write!(f, "{octet:02x}"))?;
        f.write_str(")")
    }
}

/// A list of lists of records, each with a template of its own (RFC 6313 section 4.5.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SubTemplateMultiList<'a> {
    semantic: ListSemantic,
    depth: u8,
    content: &'a [u8],
}

impl<'a> SubTemplateMultiList<'a> {
    /// Reads the list's header.
    ///
    /// # Errors
    ///
    /// When there is no octet.
    pub fn parse(octets: &'a [u8]) -> Result<Self, DecodeError> {
        Self::within(octets, 0)
    }

    /// A list within `depth` others.
    pub(crate) fn within(octets: &'a [u8], depth: u8) -> Result<Self, DecodeError> {
        let (semantic, content) = octets.split_first().ok_or_else(|| DecodeError::truncated(0, 1, 0))?;
        Ok(Self { semantic: ListSemantic(*semantic), depth, content })
    }

    /// How the entries relate.
    #[must_use]
    pub const fn semantic(&self) -> ListSemantic {
        self.semantic
    }

    /// The octets of the entries.
    #[must_use]
    pub const fn content(&self) -> &'a [u8] {
        self.content
    }

    /// The entries in order, up to one that is malformed.
    #[must_use]
    pub const fn iter(&self) -> SubTemplateMultiListEntries<'a> {
        SubTemplateMultiListEntries { list: *self, position: 0 }
    }

    /// What is wrong with the entry that the iteration ended at, if it is not the end. The offset counts from the
    /// beginning of the list.
    #[must_use]
    pub fn fault(&self) -> Option<DecodeError> {
        let mut entries = self.iter();
        entries.by_ref().for_each(drop);
        let rest = self.content.get(entries.position..).filter(|rest| !rest.is_empty())?;
        let offset = 1 + entries.position;
        let Some((template_id, length)) = u16_at(rest, 0).zip(u16_at(rest, 2)) else {
            return Some(DecodeError::truncated(offset, 4, rest.len()));
        };
        Some(if length < 4 {
            DecodeError::new(offset, DecodeErrorKind::ListEntryLength { template_id, length })
        } else {
            DecodeError::truncated(offset, length.into(), rest.len())
        })
    }
}

impl<'a> IntoIterator for &SubTemplateMultiList<'a> {
    type IntoIter = SubTemplateMultiListEntries<'a>;
    type Item = SubTemplateList<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The entries one after the other.
impl fmt::Display for SubTemplateMultiList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.semantic)?;
        for (index, entry) in self.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{entry}")?;
        }
        f.write_str(")")
    }
}

/// Iterator over the entries of a [`SubTemplateMultiList`].
#[derive(Clone, Debug)]
pub struct SubTemplateMultiListEntries<'a> {
    list: SubTemplateMultiList<'a>,
    position: usize,
}

impl<'a> Iterator for SubTemplateMultiListEntries<'a> {
    type Item = SubTemplateList<'a>;

    fn next(&mut self) -> Option<SubTemplateList<'a>> {
        let rest = self.list.content.get(self.position..)?;
        let (template_id, length) = u16_at(rest, 0).zip(u16_at(rest, 2))?;
        // The length counts its own header; RFC 6313 also has 0 for an entry without records.
        let length = match length {
            0 => 4,
            1..4 => return None,
            length => usize::from(length),
        };
        let content = rest.get(4..length)?;
        self.position += length;
        let SubTemplateMultiList { semantic, depth, .. } = self.list;
        Some(SubTemplateList { semantic, depth, template_id, content })
    }
}
