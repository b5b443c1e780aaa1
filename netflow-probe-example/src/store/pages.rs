//! Columns of texts and addresses, decoded into the different values there are and which of them each row has: whoever
//! looks at them looks at each value once, not at each row.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use parquet::{
    column::reader::{ColumnReader, get_column_reader},
    errors::ParquetError,
};

use super::{
    encoded::{Presence, deltas, runs},
    file::Chunk,
    form::Form,
    page::{Page, Pages, encoding, wrong},
};
use crate::flow::{Cell, Kind};

/// The code of a row without a value.
pub(crate) const NULL: u32 = u32::MAX;

/// Values, and one for each row by its place among them, or [`NULL`].
#[derive(Debug, Default)]
pub(crate) struct Coded {
    pub(crate) cells: Vec<Cell>,
    pub(crate) codes: Vec<u32>,
    /// Each row has a value of its own, in their order.
    pub(crate) is_in_order: bool,
}

/// Understands values of a column.
struct Interner {
    kind: Kind,
    form: Form,
    known: HashMap<Box<[u8]>, u32, RandomState>,
    coded: Coded,
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
pub(super) fn decode(chunk: &Chunk<'_>, kind: Kind) -> Result<Coded, ParquetError> {
    let mut interner =
        Interner { kind, form: chunk.form(), known: HashMap::default(), coded: Coded::default() };
    interner.coded.codes.reserve(chunk.rows.min(1 << 20));
    // What the store writes is decoded here; the rest by the crate, a value at a time.
    let is_text = chunk.facts.physical == 6;
    match chunk.simple_pages(&ENCODINGS).filter(|_| is_text) {
        Some(pages) => by_pages(pages, chunk.rows, &mut interner)?,
        None => by_values(chunk, &mut interner)?,
    }
    let mut coded = interner.coded;
    if coded.codes.len() < chunk.rows {
        return Err(wrong("a column ends before its rows do"));
    }
    coded.codes.truncate(chunk.rows);
    coded.is_in_order =
        coded.cells.len() == chunk.rows && coded.codes.iter().zip(0..).all(|(code, row)| *code == row);
    Ok(coded)
}

const ENCODINGS: [u64; 5] = [
    encoding::PLAIN,
    encoding::PLAIN_DICTIONARY,
    encoding::RLE,
    encoding::RLE_DICTIONARY,
    encoding::DELTA_LENGTH_BYTE_ARRAY,
];

fn by_pages(mut pages: Pages<'_>, rows: usize, interner: &mut Interner) -> Result<(), ParquetError> {
    // Its entries have the codes from 0 on.
    let mut dictionary = Vec::new();
    let (mut memory, mut levels, mut entries) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(page) = pages.next(&mut memory)? {
        let (octets, values, count, encoding) = match page {
            Page::Dictionary { values, .. } => {
                if !interner.coded.cells.is_empty() {
                    return Err(wrong("a dictionary behind values"));
                }
                for value in Plain(values) {
                    interner.push(value?);
                }
                dictionary = values.to_vec();
                continue;
            }
            Page::Data { levels: octets, values, count, encoding } => (octets, values, count, encoding),
        };
        if count > rows {
            return Err(wrong("a page of more rows than its row group"));
        }
        let present = Presence::read(octets, count, &mut levels)?;
        entries.clear();
        read_page(values, encoding, present.values(count), &dictionary, interner, &mut entries)?;
        let codes = &mut interner.coded.codes;
        match present {
            Presence::All => codes.extend_from_slice(&entries),
            Presence::Levels(levels) => {
                let mut entries = entries.iter().copied();
                let mut code = |level| if level > 0 { entries.next().unwrap_or(NULL) } else { NULL };
                codes.extend(levels.iter().map(|level| code(*level)));
            }
        }
        if codes.len() > rows {
            return Err(wrong("a column of more rows than its row group"));
        }
    }
    Ok(())
}

/// The codes of the values of a page.
fn read_page(
    octets: &[u8],
    encoding: u64,
    values: usize,
    dictionary: &[u8],
    interner: &mut Interner,
    entries: &mut Vec<u32>,
) -> Result<(), ParquetError> {
    match encoding {
        encoding::PLAIN => {
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
        }
        encoding::DELTA_LENGTH_BYTE_ARRAY => {
            let (mut rest, mut lengths) = (octets, Vec::new());
            deltas(&mut rest, values, &mut lengths)?;
            for length in lengths {
                let value = usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length));
                let (value, behind) = value.ok_or_else(|| wrong("a value beyond its page"))?;
                rest = behind;
                entries.push(interner.intern(value));
            }
        }
        encoding::RLE_DICTIONARY | encoding::PLAIN_DICTIONARY => {
            let Some((width, rest)) = octets.split_first() else {
                return if values == 0 { Ok(()) } else { Err(wrong("a page without values")) };
            };
            runs(rest, (*width).into(), values, entries)?;
            let most = entries.iter().copied().max();
            if most.is_some_and(|most| most as usize >= interner.coded.cells.len()) {
                return Err(wrong("an entry that is not in the dictionary"));
            }
        }
        _ => return Err(wrong("an encoding that its column does not announce")),
    }
    if entries.len() < values {
        return Err(wrong("a page of fewer values than it says"));
    }
    Ok(())
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

fn by_values(chunk: &Chunk<'_>, interner: &mut Interner) -> Result<(), ParquetError> {
    let descriptor = chunk.descriptor.clone();
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
    fn plain_values_beyond_their_page_are_an_error() {
        let values: Vec<_> = Plain(&[1, 0, 0, 0, 7, 9, 0, 0, 0, 1]).collect();
        assert!(matches!(values.as_slice(), [Ok([7]), Err(_)]));
    }
}
