//! Splitting a packet into sets: id, length, body. The same for v9 FlowSets and IPFIX Sets.

use crate::{
    error::{DecodeError, DecodeErrorKind, saturating_u32},
    quirk::{Quirk, Quirks},
    wire::u16_at,
};

/// Octets of a set's header: id and length.
pub(crate) const SET_HEADER: usize = 4;

/// A Set, or in v9 a FlowSet: its id and its body.
#[derive(Clone, Copy, Debug)]
pub struct Set<'a> {
    pub(crate) id: u16,
    pub(crate) body: &'a [u8],
    pub(crate) offset: usize,
    /// What is wrong with its length, when the part that is there is yielded all the same.
    pub(crate) fault: Option<DecodeError>,
}

impl<'a> Set<'a> {
    /// The id, which says what is in the set: from 256 on, data records of the template with that id. v9 has
    /// templates in 0 and options templates in 1, IPFIX in 2 and 3; the others are reserved.
    #[must_use]
    pub const fn id(&self) -> u16 {
        self.id
    }

    /// The octets behind the set's header, padding included.
    #[must_use]
    pub const fn body(&self) -> &'a [u8] {
        self.body
    }

    /// Octets from the start of the datagram to the set's header.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// Octets from the start of the datagram to the body.
    pub(crate) const fn body_offset(&self) -> usize {
        self.offset + SET_HEADER
    }
}

/// The sets of a packet in order.
///
/// A length below 4 ends the iteration with an error, because nothing behind it can be found. A set that runs
/// past the end is the last one: lenient iteration yields what is there of it with `fault` set, strict
/// iteration yields the error instead.
#[derive(Clone, Debug)]
pub(crate) struct RawSets<'a> {
    datagram: &'a [u8],
    offset: usize,
    strict: bool,
    quirks: Quirks,
    /// Quirks that acted.
    acted: Quirks,
}

impl<'a> RawSets<'a> {
    pub(crate) const fn new(datagram: &'a [u8], offset: usize, strict: bool) -> Self {
        Self { datagram, offset, strict, quirks: Quirks::NONE, acted: Quirks::NONE }
    }

    /// The sets, under these quirks.
    pub(crate) const fn with_quirks(self, quirks: Quirks) -> Self {
        Self { quirks, ..self }
    }

    /// The quirks that acted since this was asked last.
    #[inline]
    pub(crate) const fn take_acted(&mut self) -> Quirks {
        core::mem::replace(&mut self.acted, Quirks::NONE)
    }

    /// Whether the rest of the datagram is filled with zeros that are no set.
    #[cold]
    fn is_filled(&mut self) -> bool {
        let rest = self.datagram.get(self.offset..).unwrap_or(&[]);
        let is_filled =
            self.quirks.contains(Quirk::ZeroFilledDatagrams) && rest.iter().all(|octet| *octet == 0);
        if is_filled {
            self.acted.insert(Quirk::ZeroFilledDatagrams);
            self.offset = self.datagram.len();
        }
        is_filled
    }

    /// Goes on behind padding that its set did not count: zeros up to a multiple of 4, where the datagram ends, or where no
    /// set begins, but one does behind them.
    #[cold]
    fn skip_padding(&mut self) {
        let aligned = self.offset.next_multiple_of(4);
        let padding = self.datagram.get(self.offset..aligned).unwrap_or(&[1]);
        if self.quirks.contains(Quirk::UncountedPadding)
            && padding.iter().all(|octet| *octet == 0)
            && (aligned == self.datagram.len() || !self.has_set_at(self.offset) && self.has_set_at(aligned))
        {
            self.acted.insert(Quirk::UncountedPadding);
            self.offset = aligned;
        }
    }

    /// Whether what stands at an offset looks like a set: it fits, and if its id is that of templates, the first one has
    /// an id of templates.
    fn has_set_at(&self, offset: usize) -> bool {
        let rest = self.datagram.get(offset..).unwrap_or(&[]);
        let (Some(id), Some(length)) = (u16_at(rest, 0), u16_at(rest, 2)) else { return false };
        let fits = (SET_HEADER..=rest.len()).contains(&usize::from(length));
        fits && match id {
            0..=3 => u16_at(rest, SET_HEADER).is_some_and(|first| first >= 256),
            _ => id >= 256,
        }
    }

    /// Whether the datagram ends here. What is left may still be padding that is no set.
    #[inline]
    pub(crate) const fn is_at_end(&self) -> bool {
        self.offset >= self.datagram.len() && self.offset.is_multiple_of(4)
    }

    pub(crate) const fn datagram(&self) -> &'a [u8] {
        self.datagram
    }

    #[inline]
    fn read(&mut self) -> Result<Set<'a>, DecodeError> {
        let offset = self.offset;
        let rest = self.datagram.get(offset..).unwrap_or(&[]);
        // Whatever follows, only a set with a sound length is followed by another one.
        self.offset = self.datagram.len();
        let (Some(id), Some(length)) = (u16_at(rest, 0), u16_at(rest, 2)) else {
            return Err(DecodeError::truncated(offset, SET_HEADER, rest.len()));
        };
        if usize::from(length) < SET_HEADER {
            return Err(DecodeError::new(offset, DecodeErrorKind::SetTooShort { id, length }));
        }
        let mut fault = None;
        if usize::from(length) > rest.len() {
            let available = saturating_u32(rest.len());
            let error = DecodeError::new(offset, DecodeErrorKind::SetTooLong { id, length, available });
            if self.strict {
                return Err(error);
            }
            fault = Some(error);
        }
        let end = usize::from(length).min(rest.len());
        self.offset = offset + end;
        Ok(Set { id, body: rest.get(SET_HEADER..end).unwrap_or(&[]), offset, fault })
    }
}

impl<'a> Iterator for RawSets<'a> {
    type Item = Result<Set<'a>, DecodeError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if !self.offset.is_multiple_of(4) {
            self.skip_padding();
        }
        if self.offset >= self.datagram.len() {
            return None;
        }
        // No set begins with four zeros.
        if self.datagram.get(self.offset..).and_then(<[u8]>::first_chunk) == Some(&[0; 4]) && self.is_filled()
        {
            return None;
        }
        Some(self.read())
    }
}
