//! The pages of a column, decompressed one after the other into memory that is used again. The general reader sets up a
//! compressor and a decompressor for each column, which costs more than a column of a few thousand rows.
//!
//! ```text
//! PageHeader { 1: kind, 2: size, 3: compressed size, 5: data { 1: values, 2: encoding }, 7: dictionary { 1: values },
//!              8: data of version 2 { 1: values, 4: encoding, 5: octets of levels, 6: of repetition, 7: compressed }}
//! ```

use core::cell::RefCell;

use parquet::errors::ParquetError;
use zstd::bulk::Decompressor;

use super::compact::Compact;

/// Octets that one octet of zstd can make, at most.
const EXPANSION: usize = 1 << 15;

/// The numbers of encodings.
pub(super) mod encoding {
    pub(in crate::store) const PLAIN: u64 = 0;
    pub(in crate::store) const PLAIN_DICTIONARY: u64 = 2;
    pub(in crate::store) const RLE: u64 = 3;
    pub(in crate::store) const DELTA_BINARY_PACKED: u64 = 5;
    pub(in crate::store) const DELTA_LENGTH_BYTE_ARRAY: u64 = 6;
    pub(in crate::store) const RLE_DICTIONARY: u64 = 8;
    pub(in crate::store) const BYTE_STREAM_SPLIT: u64 = 9;
}

/// The codecs that are known here.
pub(super) mod codec {
    pub(in crate::store) const NONE: u64 = 0;
    pub(in crate::store) const ZSTD: u64 = 6;
}

/// What can be in a page.
#[derive(Debug)]
pub(super) enum Page<'a> {
    Dictionary { values: &'a [u8], count: usize },
    Data { levels: &'a [u8], values: &'a [u8], count: usize, encoding: u64 },
}

/// The pages of a column whose rows have a value or none, and no lists.
#[derive(Debug)]
pub(super) struct Pages<'a> {
    rest: &'a [u8],
    is_compressed: bool,
}

/// What is before a page.
#[derive(Default)]
struct Header {
    kind: u64,
    size: usize,
    compressed_size: usize,
    count: usize,
    encoding: u64,
    /// Octets of levels of repetition, and of definition.
    levels: (usize, usize),
    is_plain: bool,
}

pub(super) fn wrong(what: &str) -> ParquetError {
    ParquetError::General(what.to_owned())
}

impl<'a> Pages<'a> {
    /// The pages in the octets of a column.
    pub(super) const fn new(octets: &'a [u8], is_compressed: bool) -> Self {
        Self { rest: octets, is_compressed }
    }

    /// The next page, decompressed into `memory`.
    pub(super) fn next<'m>(&mut self, memory: &'m mut Vec<u8>) -> Result<Option<Page<'m>>, ParquetError>
    where
        'a: 'm,
    {
        loop {
            if self.rest.is_empty() {
                return Ok(None);
            }
            let mut reader = Compact::new(self.rest);
            let header =
                Header::read(&mut reader).ok_or_else(|| wrong("what is before a page is damaged"))?;
            let rest = self.rest.get(reader.at()..).unwrap_or_default();
            let (octets, rest) = rest
                .split_at_checked(header.compressed_size)
                .ok_or_else(|| wrong("a page beyond its column"))?;
            self.rest = rest;
            let is_compressed = self.is_compressed && !header.is_plain;
            match header.kind {
                0 => {
                    let page = decompress(octets, header.size, is_compressed, memory)?;
                    let (length, rest) =
                        page.split_first_chunk::<4>().ok_or_else(|| wrong("a page without levels"))?;
                    let length = u32::from_le_bytes(*length) as usize;
                    let (levels, values) =
                        rest.split_at_checked(length).ok_or_else(|| wrong("levels beyond their page"))?;
                    let Header { count, encoding, .. } = header;
                    return Ok(Some(Page::Data { levels, values, count, encoding }));
                }
                2 => {
                    let values = decompress(octets, header.size, is_compressed, memory)?;
                    return Ok(Some(Page::Dictionary { values, count: header.count }));
                }
                3 => {
                    let (repetition, definition) = header.levels;
                    let levels = octets.split_at_checked(repetition.saturating_add(definition));
                    let (levels, values) = levels.ok_or_else(|| wrong("levels beyond their page"))?;
                    let size = header.size.saturating_sub(levels.len());
                    let values = decompress(values, size, is_compressed, memory)?;
                    let levels = levels.get(repetition..).unwrap_or_default();
                    let Header { count, encoding, .. } = header;
                    return Ok(Some(Page::Data { levels, values, count, encoding }));
                }
                _ => {}
            }
        }
    }
}

impl Header {
    fn read(reader: &mut Compact<'_>) -> Option<Self> {
        let mut header = Self::default();
        let size = |reader: &mut Compact<'_>| usize::try_from(reader.unsigned()?).ok();
        reader.fields(|reader, number, kind| {
            match number {
                1 => header.kind = reader.unsigned()?,
                2 => header.size = size(reader)?,
                3 => header.compressed_size = size(reader)?,
                5 | 7 => reader.fields(|reader, number, kind| {
                    match number {
                        1 => header.count = size(reader)?,
                        2 => header.encoding = reader.unsigned()?,
                        _ => reader.skip(kind)?,
                    }
                    Some(())
                })?,
                8 => reader.fields(|reader, number, kind| {
                    match number {
                        1 => header.count = size(reader)?,
                        4 => header.encoding = reader.unsigned()?,
                        5 => header.levels.1 = size(reader)?,
                        6 => header.levels.0 = size(reader)?,
                        // A boolean is its own kind: 2 is false.
                        7 => header.is_plain = kind == 2,
                        _ => reader.skip(kind)?,
                    }
                    Some(())
                })?,
                _ => reader.skip(kind)?,
            }
            Some(())
        })?;
        Some(header)
    }
}

/// The octets of a page.
fn decompress<'m>(
    octets: &'m [u8],
    size: usize,
    is_compressed: bool,
    memory: &'m mut Vec<u8>,
) -> Result<&'m [u8], ParquetError> {
    thread_local! {
        static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
    }
    if !is_compressed || octets.is_empty() {
        return Ok(octets);
    }
    // Memory is taken for what can be there, not for what is announced.
    if size > octets.len().saturating_mul(EXPANSION) {
        return Err(wrong("a page that announces more than it can hold"));
    }
    let damaged = |error| ParquetError::External(Box::new(error));
    DECOMPRESSOR.with_borrow_mut(|decompressor| {
        let decompressor = match decompressor {
            Some(decompressor) => decompressor,
            none => none.insert(Decompressor::new().map_err(damaged)?),
        };
        memory.clear();
        memory.reserve(size);
        decompressor.decompress_to_buffer(octets, memory).map_err(damaged)
    })?;
    if memory.len() != size {
        return Err(wrong("a page of another size than it says"));
    }
    Ok(memory)
}
