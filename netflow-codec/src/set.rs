//! Splitting a packet into sets: id, length, body. The same for v9 FlowSets and IPFIX Sets.

use crate::{
    error::{DecodeError, DecodeErrorKind, saturating_u32},
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
}

impl<'a> RawSets<'a> {
    pub(crate) const fn new(datagram: &'a [u8], offset: usize, strict: bool) -> Self {
        Self { datagram, offset, strict }
    }

    pub(crate) const fn datagram(&self) -> &'a [u8] {
        self.datagram
    }

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

    fn next(&mut self) -> Option<Self::Item> {
        if self.offset >= self.datagram.len() {
            return None;
        }
        Some(self.read())
    }
}
