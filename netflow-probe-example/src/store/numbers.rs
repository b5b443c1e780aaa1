//! Columns of numbers.

use parquet::{
    column::reader::{ColumnReader, get_column_reader},
    errors::ParquetError,
};

use super::{
    encoded::{Presence, deltas, runs},
    file::Chunk,
    page::{Page, Pages, encoding, wrong},
};

/// One number for each row.
#[derive(Debug)]
pub(crate) struct Numbers {
    pub(crate) values: Vec<u64>,
    /// Which rows have one; without it all have.
    pub(crate) present: Option<Vec<bool>>,
    pub(super) is_signed: bool,
}

impl Numbers {
    /// The number of a row.
    pub(crate) fn get(&self, row: usize) -> Option<u64> {
        let is_present = self.present.as_ref().is_none_or(|present| present.get(row).is_some_and(|it| *it));
        if is_present { self.values.get(row).copied() } else { None }
    }
}

const ENCODINGS: [u64; 6] = [
    encoding::PLAIN,
    encoding::PLAIN_DICTIONARY,
    encoding::RLE,
    encoding::RLE_DICTIONARY,
    encoding::DELTA_BINARY_PACKED,
    encoding::BYTE_STREAM_SPLIT,
];

/// Decodes a column of numbers.
pub(super) fn decode(chunk: &Chunk<'_>, is_signed: bool) -> Result<Numbers, ParquetError> {
    let is_wide = match chunk.facts.physical {
        1 => false,
        2 => true,
        _ => return Err(wrong("a column of another type than the flow schema's")),
    };
    // What the store writes is decoded here; the rest by the crate.
    let (values, present) = match chunk.simple_pages(&ENCODINGS) {
        Some(pages) => by_pages(pages, chunk.rows, is_wide)?,
        None => by_values(chunk)?,
    };
    if values.len() < chunk.rows {
        return Err(wrong("a column ends before its rows do"));
    }
    Ok(Numbers { values, present, is_signed })
}

type Read = (Vec<u64>, Option<Vec<bool>>);

fn by_pages(mut pages: Pages<'_>, rows: usize, is_wide: bool) -> Result<Read, ParquetError> {
    let (mut memory, mut levels, mut entries) = (Vec::new(), Vec::new(), Vec::new());
    let mut dictionary = Vec::new();
    let mut values = Vec::with_capacity(rows.min(1 << 20));
    let mut present: Option<Vec<bool>> = None;
    while let Some(page) = pages.next(&mut memory)? {
        let (octets, packed, count, encoding) = match page {
            Page::Dictionary { values, count } => {
                dictionary.clear();
                plain(values, count, is_wide, &mut dictionary)?;
                continue;
            }
            Page::Data { levels, values, count, encoding } => (levels, values, count, encoding),
        };
        let before = values.len();
        if count > rows - before {
            return Err(wrong("a column of more rows than its row group"));
        }
        let of_page = Presence::read(octets, count, &mut levels)?;
        let wanted = of_page.values(count);
        match encoding {
            encoding::PLAIN => plain(packed, wanted, is_wide, &mut values)?,
            encoding::BYTE_STREAM_SPLIT => planes(packed, wanted, is_wide, &mut values)?,
            encoding::DELTA_BINARY_PACKED => {
                let mut rest = packed;
                deltas(&mut rest, wanted, &mut values)?;
                if !is_wide {
                    let new = values.iter_mut().skip(before);
                    new.for_each(|value| *value &= u64::from(u32::MAX));
                }
            }
            encoding::RLE_DICTIONARY | encoding::PLAIN_DICTIONARY => {
                if let Some((width, rest)) = packed.split_first() {
                    entries.clear();
                    runs(rest, (*width).into(), wanted, &mut entries)?;
                    for entry in &entries {
                        let value = dictionary.get(*entry as usize);
                        values.push(*value.ok_or_else(|| wrong("an entry that is not in the dictionary"))?);
                    }
                }
            }
            _ => return Err(wrong("an encoding that its column does not announce")),
        }
        if values.len() < before + wanted {
            return Err(wrong("a page of fewer values than it says"));
        }
        match of_page {
            Presence::All => {
                if let Some(present) = &mut present {
                    present.resize(before + count, true);
                }
            }
            Presence::Levels(levels) => {
                let present = present.get_or_insert_with(|| vec![true; before]);
                present.extend(levels.iter().map(|level| *level > 0));
                spread(&mut values, before, levels);
            }
        }
    }
    Ok((values, present))
}

/// So many numbers of four or eight octets.
fn plain(octets: &[u8], count: usize, is_wide: bool, numbers: &mut Vec<u64>) -> Result<(), ParquetError> {
    let before = numbers.len();
    if is_wide {
        let (chunks, _) = octets.as_chunks::<8>();
        numbers.extend(chunks.iter().take(count).map(|chunk| u64::from_le_bytes(*chunk)));
    } else {
        let (chunks, _) = octets.as_chunks::<4>();
        numbers.extend(chunks.iter().take(count).map(|chunk| u64::from(u32::from_le_bytes(*chunk))));
    }
    if numbers.len() - before < count { Err(wrong("a page of fewer values than it says")) } else { Ok(()) }
}

/// So many numbers octet by octet: the lowest octets of all of them, then the next ones.
fn planes(octets: &[u8], count: usize, is_wide: bool, numbers: &mut Vec<u64>) -> Result<(), ParquetError> {
    let width = if is_wide { 8 } else { 4 };
    if octets.len() / width < count {
        return Err(wrong("a page of fewer values than it says"));
    }
    let before = numbers.len();
    numbers.resize(before + count, 0);
    let new = numbers.get_mut(before..).unwrap_or_default();
    for (shift, plane) in (0..64).step_by(8).zip(octets.chunks_exact(count.max(1)).take(width)) {
        for (number, octet) in new.iter_mut().zip(plane) {
            *number |= u64::from(*octet) << shift;
        }
    }
    Ok(())
}

/// Moves the values from a place on to the rows that have one; the other rows have 0.
fn spread(values: &mut Vec<u64>, from: usize, levels: &[u32]) {
    let dense = values.split_off(from);
    let mut dense = dense.into_iter();
    let mut value = |level| if level > 0 { dense.next().unwrap_or(0) } else { 0 };
    values.extend(levels.iter().map(|level| value(*level)));
}

fn by_values(chunk: &Chunk<'_>) -> Result<Read, ParquetError> {
    let rows = chunk.rows;
    let mut levels: Vec<i16> = Vec::new();
    macro_rules! read {
        ($reader:ident) => {{
            let (mut data, mut read) = (Vec::new(), 0);
            while read < rows {
                match $reader.read_records(rows - read, Some(&mut levels), None, &mut data)? {
                    (0, ..) => break,
                    (records, ..) => read += records,
                }
            }
            if read < rows {
                return Err(wrong("a column ends before its rows do"));
            }
            data
        }};
    }
    let values: Vec<u64> = match get_column_reader(chunk.descriptor.clone(), Box::new(chunk.pages()?)) {
        ColumnReader::Int32ColumnReader(mut reader) => {
            read!(reader).into_iter().map(|number: i32| number.cast_unsigned().into()).collect()
        }
        ColumnReader::Int64ColumnReader(mut reader) => {
            read!(reader).into_iter().map(i64::cast_unsigned).collect()
        }
        _ => return Err(wrong("a column of another type than the flow schema's")),
    };
    if values.len() >= rows {
        return Ok((values, None));
    }
    let present: Vec<bool> = levels.iter().map(|level| *level > 0).collect();
    let mut values = values.into_iter();
    let values =
        present.iter().map(|is_there| if *is_there { values.next().unwrap_or(0) } else { 0 }).collect();
    Ok((values, Some(present)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_put_together_from_their_octets() {
        let mut numbers = vec![7];
        planes(&[2, 4, 6, 1, 3, 5, 0, 0, 0, 0, 0, 0xff], 3, false, &mut numbers).unwrap();
        planes(
            &[8, 0x18, 7, 0x17, 6, 0x16, 5, 0x15, 4, 0x14, 3, 0x13, 2, 0x12, 1, 0x11],
            2,
            true,
            &mut numbers,
        )
        .unwrap();
        let expected = [7, 0x0102, 0x0304, 0xff00_0506, 0x0102_0304_0506_0708, 0x1112_1314_1516_1718];
        assert_eq!(numbers, expected);
        assert!(
            planes(&[0; 7], 2, false, &mut numbers).is_err()
                && planes(&[0; 15], 2, true, &mut numbers).is_err()
        );
        assert!(planes(&[], 0, true, &mut numbers).is_ok());
    }

    #[test]
    fn numbers_go_to_the_rows_that_have_one() {
        let mut numbers = vec![9, 1, 2];
        spread(&mut numbers, 1, &[0, 1, 0, 1, 0]);
        assert_eq!(numbers, [9, 0, 1, 0, 2, 0]);
    }
}
