//! Reading big-endian integers at known places, and the headers they stand in.

use crate::error::{DecodeError, DecodeErrorKind};

/// The header of a datagram and what follows, when it is whole and of this version.
pub(crate) fn header_of<const N: usize>(
    datagram: &[u8],
    version: u16,
) -> Result<(&[u8; N], &[u8]), DecodeError> {
    let Some((header, body)) = datagram.split_first_chunk() else {
        return Err(DecodeError::truncated(0, N, datagram.len()));
    };
    match u16_in(header, 0) {
        found if found == version => Ok((header, body)),
        other => Err(DecodeError::new(0, DecodeErrorKind::UnsupportedVersion(other))),
    }
}

/// Two octets at `offset`, or `None` past the end.
pub(crate) fn u16_at(octets: &[u8], offset: usize) -> Option<u16> {
    let (head, _) = octets.get(offset..)?.split_first_chunk()?;
    Some(u16::from_be_bytes(*head))
}

/// Four octets at `offset` of an array; all callers have constant offsets within it.
pub(crate) const fn u32_in<const N: usize>(octets: &[u8; N], offset: usize) -> u32 {
    if let Some(head) = octets.split_at(offset).1.first_chunk() { u32::from_be_bytes(*head) } else { 0 }
}

/// Two octets at `offset` of an array; all callers have constant offsets within it.
pub(crate) const fn u16_in<const N: usize>(octets: &[u8; N], offset: usize) -> u16 {
    if let Some(head) = octets.split_at(offset).1.first_chunk() { u16::from_be_bytes(*head) } else { 0 }
}

/// One octet at `offset` of an array; all callers have constant offsets within it.
pub(crate) const fn u8_in<const N: usize>(octets: &[u8; N], offset: usize) -> u8 {
    if let Some(head) = octets.split_at(offset).1.first() { *head } else { 0 }
}

/// The low `octets.len()` octets of a `u64`, at most 8 of them, as a big-endian integer.
///
/// `None` for no octets and for more than 8.
pub(crate) fn unsigned(octets: &[u8]) -> Option<u64> {
    if octets.is_empty() || octets.len() > 8 {
        return None;
    }
    Some(octets.iter().fold(0, |value, octet| value << 8 | u64::from(*octet)))
}

/// The length of a variable-length value: octets of the length itself, octets of the value (RFC 7011
/// section 7).
#[inline]
pub(crate) fn variable_length(octets: &[u8]) -> Option<(usize, usize)> {
    match *octets.first()? {
        255 => Some((3, usize::from(u16_at(octets, 1)?))),
        short => Some((1, usize::from(short))),
    }
}

/// Where the variable-length value that begins at `position`, its length included, ends; the value itself may reach beyond
/// the octets.
#[inline]
pub(crate) fn behind_variable_length(octets: &[u8], position: usize) -> Option<usize> {
    match *octets.get(position)? {
        255 => Some(position + 3 + usize::from(u16_at(octets, position + 1)?)),
        short => Some(position + 1 + usize::from(short)),
    }
}
