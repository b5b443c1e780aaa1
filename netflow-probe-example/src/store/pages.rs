//! Columns of texts and addresses, decoded into the different values there are and which of them each row has: whoever
//! looks at them looks at each value once, not at each row.

use std::collections::HashMap;

use bytes::Bytes;
use foldhash::fast::RandomState;
use parquet::{
    basic::Encoding,
    column::{
        page::{Page, PageReader as _},
        reader::{ColumnReader, get_column_reader},
    },
    errors::ParquetError,
};

use super::{file::Chunk, form::Form};
use crate::flow::{Cell, Kind};

/// The code of a row without a value.
pub(crate) const NULL: u32 = u32::MAX;

/// Values, and one for each row by its place among them, or [`NULL`].
#[derive(Debug, Default)]
pub(crate) struct Coded {
    pub(crate) cells: Vec<Cell>,
    pub(crate) codes: Vec<u32>,
}

/// Understands values of a column.
struct Interner {
    kind: Kind,
    form: Form,
    known: HashMap<Box<[u8]>, u32, RandomState>,
    coded: Coded,
}

fn wrong(what: &str) -> ParquetError {
    ParquetError::General(what.to_owned())
}

impl Interner {
    /// A value that is not known to be there yet.
    fn push(&mut self, octets: &[u8]) -> u32 {
        let code = u32::try_from(self.coded.cells.len()).unwrap_or(NULL);
        self.coded.cells.push(self.form.cell(self.kind, octets));
        code
    }

    /// A value that may be there already. Addresses that have no dictionary are mostly different ones: who groups them
    /// finds the same ones sooner than they are found here.
    fn intern(&mut self, octets: &[u8]) -> u32 {
        if matches!(self.kind, Kind::Address) {
            return self.push(octets);
        }
        if let Some(code) = self.known.get(octets) {
            return *code;
        }
        let code = self.push(octets);
        self.known.insert(octets.into(), code);
        code
    }
}

/// Decodes a column of texts or addresses.
pub(super) fn decode(chunk: &Chunk, kind: Kind) -> Result<Coded, ParquetError> {
    let mut interner =
        Interner { kind, form: chunk.form(), known: HashMap::default(), coded: Coded::default() };
    interner.coded.codes.reserve(chunk.rows.min(1 << 20));
    // Three encodings are decoded here; the others by the crate, a value at a time.
    let is_simple = chunk.metadata.encodings().all(|encoding| {
        matches!(
            encoding,
            Encoding::PLAIN | Encoding::RLE | Encoding::RLE_DICTIONARY | Encoding::DELTA_LENGTH_BYTE_ARRAY
        )
    }) && chunk.metadata.column_descr().physical_type() == parquet::basic::Type::BYTE_ARRAY
        && chunk.metadata.column_descr().max_def_level() == 1;
    if is_simple {
        by_pages(chunk, &mut interner)?;
    } else {
        by_values(chunk, &mut interner)?;
    }
    let mut coded = interner.coded;
    if coded.codes.len() < chunk.rows {
        return Err(wrong("a column ends before its rows do"));
    }
    coded.codes.truncate(chunk.rows);
    Ok(coded)
}

fn by_pages(chunk: &Chunk, interner: &mut Interner) -> Result<(), ParquetError> {
    let mut pages = chunk.pages()?;
    // Its entries have the codes from 0 on.
    let mut dictionary = Bytes::new();
    let mut present = Vec::new();
    let mut entries = Vec::new();
    while let Some(page) = pages.get_next_page()? {
        let (octets, count, encoding) = match page {
            Page::DictionaryPage { buf, .. } => {
                if !interner.coded.cells.is_empty() {
                    return Err(wrong("a dictionary behind values"));
                }
                for value in Plain(&buf) {
                    interner.push(value?);
                }
                dictionary = buf;
                continue;
            }
            // Levels have their length before them; in the second version it is in the header.
            Page::DataPage { buf, num_values, encoding, .. } => {
                let count = num_values as usize;
                let length = buf.get(..4).and_then(|length| <[u8; 4]>::try_from(length).ok());
                let length =
                    u32::from_le_bytes(length.ok_or_else(|| wrong("a page without levels"))?) as usize;
                let levels =
                    buf.get(4..length.saturating_add(4)).ok_or_else(|| wrong("levels beyond their page"))?;
                read_levels(levels, count, chunk.rows, &mut present)?;
                (buf.slice(4 + length..), count, encoding)
            }
            Page::DataPageV2 {
                buf, num_values, encoding, def_levels_byte_len, rep_levels_byte_len, ..
            } => {
                let count = num_values as usize;
                let from = rep_levels_byte_len as usize;
                let to = from.saturating_add(def_levels_byte_len as usize);
                let levels = buf.get(from..to).ok_or_else(|| wrong("levels beyond their page"))?;
                read_levels(levels, count, chunk.rows, &mut present)?;
                (buf.slice(to..), count, encoding)
            }
        };
        let values = present.iter().filter(|level| **level > 0).count();
        read_page(&octets, encoding, values, &dictionary, interner, &mut entries)?;
        let mut entries = entries.iter();
        let codes = &mut interner.coded.codes;
        if values == count {
            codes.extend(entries);
        } else {
            codes.extend(
                present.iter().map(
                    |level| {
                        if *level > 0 { entries.next().copied().unwrap_or(NULL) } else { NULL }
                    },
                ),
            );
        }
    }
    Ok(())
}

/// Which rows have a value, 1 or 0 for each.
fn read_levels(octets: &[u8], count: usize, most: usize, present: &mut Vec<u32>) -> Result<(), ParquetError> {
    if count > most {
        return Err(wrong("a page of more rows than its row group"));
    }
    present.clear();
    runs(octets, 1, count, present)
}

/// The codes of the values of a page.
fn read_page(
    octets: &Bytes,
    encoding: Encoding,
    values: usize,
    dictionary: &Bytes,
    interner: &mut Interner,
    entries: &mut Vec<u32>,
) -> Result<(), ParquetError> {
    entries.clear();
    if encoding == Encoding::PLAIN {
        if interner.known.is_empty() && !matches!(interner.kind, Kind::Address) {
            // The dictionary was full: from here on values are looked up.
            interner.known = Plain(dictionary)
                .map_while(Result::ok)
                .zip(0..)
                .map(|(value, code)| (value.into(), code))
                .collect();
        }
        for value in Plain(octets).take(values) {
            entries.push(interner.intern(value?));
        }
    } else if encoding == Encoding::DELTA_LENGTH_BYTE_ARRAY {
        let mut rest: &[u8] = octets;
        let lengths = deltas(&mut rest, values)?;
        for length in lengths {
            let value = usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length));
            let (value, behind) = value.ok_or_else(|| wrong("a value beyond its page"))?;
            rest = behind;
            entries.push(interner.intern(value));
        }
    } else {
        let (Some(width), Some(rest)) = (octets.first(), octets.get(1..)) else {
            return if values == 0 { Ok(()) } else { Err(wrong("a page without values")) };
        };
        runs(rest, (*width).into(), values, entries)?;
        let most = entries.iter().copied().max();
        if most.is_some_and(|most| most as usize >= interner.coded.cells.len()) {
            return Err(wrong("an entry that is not in the dictionary"));
        }
    }
    if entries.len() < values {
        return Err(wrong("a page of fewer values than it says"));
    }
    Ok(())
}

/// So many numbers, stored as differences: blocks with their least difference, in parts of so many bits each. Takes them
/// off what is behind them, too.
fn deltas(octets: &mut &[u8], count: usize) -> Result<Vec<u64>, ParquetError> {
    let short = || wrong("differences that end too early");
    let (block, parts) = (varint(octets).ok_or_else(short)?, varint(octets).ok_or_else(short)?);
    let (total, first) = (varint(octets).ok_or_else(short)?, varint(octets).ok_or_else(short)?);
    let block =
        usize::try_from(block).ok().filter(|block| *block > 0 && *block <= 1 << 16 && block % 128 == 0);
    let parts = usize::try_from(parts).ok().filter(|parts| *parts > 0 && *parts <= 512);
    let (Some(block), Some(parts)) = (block, parts) else {
        return Err(wrong("blocks of a size that cannot be"));
    };
    if total != count as u64 || block % parts != 0 || (block / parts) % 32 != 0 {
        return Err(wrong("differences of another count than their page's"));
    }
    let mut numbers = Vec::with_capacity(count.min(1 << 20));
    let mut last = unzigzag(first);
    if count > 0 {
        numbers.push(last);
    }
    let mut packed = Vec::new();
    while numbers.len() < count {
        let smallest = unzigzag(varint(octets).ok_or_else(short)?);
        let (widths, rest) = octets.split_at_checked(parts).ok_or_else(short)?;
        *octets = rest;
        for width in widths {
            let left = count - numbers.len();
            if left == 0 {
                break;
            }
            let (part, width) = (block / parts, usize::from(*width));
            if width > 32 {
                return Err(wrong("differences of more than 32 bits"));
            }
            let (values, rest) = octets.split_at_checked(part * width / 8).ok_or_else(short)?;
            *octets = rest;
            packed.clear();
            let mask = u32::try_from((1_u64 << width) - 1).unwrap_or(u32::MAX);
            unpack(values, width, mask, part.min(left), &mut packed)?;
            numbers.extend(packed.iter().map(|difference| {
                last = last.wrapping_add(smallest).wrapping_add(u64::from(*difference));
                last
            }));
        }
    }
    Ok(numbers)
}

const fn unzigzag(number: u64) -> u64 {
    (number >> 1) ^ (number & 1).wrapping_neg()
}

/// Numbers of so many bits, in runs of one repeated and of several packed ones.
fn runs(octets: &[u8], width: usize, count: usize, numbers: &mut Vec<u32>) -> Result<(), ParquetError> {
    if width > 32 {
        return Err(wrong("numbers of more than 32 bits"));
    }
    let mask = u32::try_from((1_u64 << width) - 1).unwrap_or(u32::MAX);
    let end = numbers.len() + count;
    let mut rest = octets;
    while numbers.len() < end {
        let header = varint(&mut rest).ok_or_else(|| wrong("runs that end too early"))?;
        let left = end - numbers.len();
        if header & 1 == 0 {
            let length = usize::try_from(header >> 1).unwrap_or(usize::MAX);
            let size = width.div_ceil(8);
            let (value, behind) =
                rest.split_at_checked(size).ok_or_else(|| wrong("a run without its value"))?;
            rest = behind;
            let value = value.iter().rev().fold(0_u32, |number, octet| number << 8 | u32::from(*octet));
            numbers.resize(numbers.len() + length.min(left), value & mask);
            if length == 0 && rest.is_empty() {
                return Err(wrong("runs that end too early"));
            }
        } else {
            let groups = usize::try_from(header >> 1).unwrap_or(usize::MAX);
            let size = groups.saturating_mul(width).min(rest.len());
            let (packed, behind) = rest.split_at_checked(size).unwrap_or((rest, &[]));
            rest = behind;
            unpack(packed, width, mask, groups.saturating_mul(8).min(left), numbers)?;
        }
    }
    Ok(())
}

fn unpack(
    packed: &[u8],
    width: usize,
    mask: u32,
    count: usize,
    numbers: &mut Vec<u32>,
) -> Result<(), ParquetError> {
    if packed.len() < (count * width).div_ceil(8) {
        return Err(wrong("packed numbers that end too early"));
    }
    // Eight octets from where a number begins hold it whole: it has 32 bits at most, and begins within the first of them.
    let (whole, whole_count) = match packed.len().checked_sub(8) {
        Some(last) if width > 0 => (packed, count.min(last * 8 / width + 1)),
        _ => (packed, 0),
    };
    numbers.extend((0..whole_count).map(|index| {
        let bit = index * width;
        let octets = whole.get(bit / 8..bit / 8 + 8).and_then(|octets| <[u8; 8]>::try_from(octets).ok());
        low(u64::from_le_bytes(octets.unwrap_or_default()) >> (bit % 8)) & mask
    }));
    let mut last = [0; 16];
    for index in whole_count..count {
        let bit = index * width;
        let rest = packed.get(bit / 8..).unwrap_or_default();
        last.fill(0);
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        let octets = last.first_chunk::<8>().copied().unwrap_or_default();
        numbers.push(low(u64::from_le_bytes(octets) >> (bit % 8)) & mask);
    }
    Ok(())
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is wanted")]
const fn low(number: u64) -> u32 {
    number as u32
}

fn varint(octets: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (octet, rest) = octets.split_first()?;
        *octets = rest;
        number |= u64::from(octet & 0x7f) << shift;
        if octet & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Values behind their lengths of four octets.
struct Plain<'a>(&'a [u8]);

impl<'a> Iterator for Plain<'a> {
    type Item = Result<&'a [u8], ParquetError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let value = self.0.split_first_chunk::<4>().and_then(|(length, rest)| {
            let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
            rest.split_at_checked(length)
        });
        let Some((value, rest)) = value else {
            self.0 = &[];
            return Some(Err(wrong("a value beyond its page")));
        };
        self.0 = rest;
        Some(Ok(value))
    }
}

fn by_values(chunk: &Chunk, interner: &mut Interner) -> Result<(), ParquetError> {
    let descriptor = chunk.metadata.column_descr_ptr();
    let has_levels = descriptor.max_def_level() > 0;
    let mut levels = Vec::new();
    let rows = chunk.rows;
    macro_rules! read {
        ($reader:ident) => {{
            let mut data = Vec::new();
            let mut read = 0;
            while read < rows {
                let taken = if has_levels { Some(&mut levels) } else { None };
                match $reader.read_records(rows - read, taken, None, &mut data)? {
                    (0, ..) => break,
                    (records, ..) => read += records,
                }
            }
            let mut values = data.iter();
            for row in 0..read {
                let is_there = !has_levels || levels.get(row).is_some_and(|level| *level > 0);
                let value = if is_there { values.next() } else { None };
                let code = value.map_or(NULL, |value| interner.intern(value.data()));
                interner.coded.codes.push(code);
            }
        }};
    }
    match get_column_reader(descriptor, Box::new(chunk.pages()?)) {
        ColumnReader::ByteArrayColumnReader(mut reader) => read!(reader),
        ColumnReader::FixedLenByteArrayColumnReader(mut reader) => read!(reader),
        _ => return Err(wrong("a column of another type than the flow schema's")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_read_whatever_their_width() {
        for width in 0..=32_usize {
            let mask = u32::try_from((1_u64 << width) - 1).unwrap();
            let expected: Vec<u32> =
                (0..40_u32).map(|number| number.wrapping_mul(0x9e37_79b9) & mask).collect();
            let mut bits = vec![0_u8; (40 * width).div_ceil(8)];
            for (index, number) in expected.iter().enumerate() {
                for bit in 0..width {
                    let at = index * width + bit;
                    bits[at / 8] |= u8::try_from(number >> bit & 1).unwrap() << (at % 8);
                }
            }
            // Three of one repeated, then five groups of eight, of which seven numbers are too many.
            let mut octets = vec![3 << 1];
            octets.extend(&(0x0102_0304_u32 & mask).to_le_bytes()[..width.div_ceil(8)]);
            octets.push(5 << 1 | 1);
            octets.extend(&bits);
            let mut numbers = Vec::new();
            runs(&octets, width, 36, &mut numbers).unwrap();
            assert_eq!(numbers[..3], [0x0102_0304 & mask; 3]);
            assert_eq!(numbers[3..], expected[..33], "{width}");
            for end in 0..octets.len() - width {
                numbers.clear();
                assert!(
                    runs(&octets[..end], width, 43, &mut numbers).is_err() || width == 0,
                    "{width} {end}"
                );
            }
        }
        assert!(runs(&[0xff; 20], 8, 10, &mut Vec::new()).is_err());
        assert!(runs(&[2, 0, 0, 0, 0], 33, 1, &mut Vec::new()).is_err());
    }

    #[test]
    fn differences_are_added_up() {
        // Blocks of 128 in four parts; five numbers from 9 on, with the differences 2, 0, -1, 3.
        let mut octets = vec![0x80, 1, 4, 5, 18, 1, 3, 0, 0, 0];
        let bits = 3_u32 | 1 << 3 | 4 << 9;
        octets.extend(bits.to_le_bytes());
        octets.extend([0; 8]);
        octets.push(7);
        let mut rest = octets.as_slice();
        assert_eq!(deltas(&mut rest, 5).unwrap(), [9, 11, 11, 10, 13]);
        assert_eq!(rest, [7]);
        for end in 0..octets.len() - 1 {
            assert!(deltas(&mut &octets[..end], 5).is_err(), "{end}");
        }
        assert!(deltas(&mut octets.as_slice(), 6).is_err());
        assert!(deltas(&mut &[0x80, 1, 0, 5, 18][..], 5).is_err());
        assert!(deltas(&mut &[0, 4, 5, 18][..], 5).is_err());
    }

    #[test]
    fn plain_values_beyond_their_page_are_an_error() {
        let values: Vec<_> = Plain(&[1, 0, 0, 0, 7, 9, 0, 0, 0, 1]).collect();
        assert!(matches!(values.as_slice(), [Ok([7]), Err(_)]));
    }
}
