//! What a file's footer says, read as far as somebody asks for it. Most files are left out for what it says of one or two
//! columns; the general reader makes something of each statement about each column first.
//!
//! ```text
//! FileMetaData { 2: schema, 4: [RowGroup], 5: [KeyValue { 1: key, 2: value }] }
//! RowGroup { 1: [ColumnChunk { 3: ColumnMetaData }], 3: rows }
//! ColumnMetaData { 1: type, 2: [encoding], 4: codec, 7: compressed size, 9: data page, 11: dictionary page,
//!                  12: Statistics { 3: nulls, 5: greatest, 6: least }, 14: Bloom filter, 15: its octets }
//! ```

use core::ops::Range;

use bytes::Bytes;

use super::compact::Compact;

/// A footer, and where in it row groups and columns are.
#[derive(Debug)]
pub(super) struct Footer {
    octets: Bytes,
    groups: Vec<GroupAt>,
    schema: Range<usize>,
    summary: Option<Range<usize>>,
}

#[derive(Debug, Default)]
struct GroupAt {
    rows: u64,
    /// Where what is said of each column begins, in the order of the schema.
    columns: Vec<u32>,
}

/// What is said of a column of a row group.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ColumnFacts<'a> {
    /// 1 is `INT32`, 2 `INT64`, 6 `BYTE_ARRAY`.
    pub(super) physical: u64,
    /// A bit for each encoding there is.
    pub(super) encodings: u64,
    /// 0 is none, 6 is zstd.
    pub(super) codec: u64,
    pub(super) size: u64,
    pub(super) data_page: u64,
    pub(super) dictionary_page: Option<u64>,
    pub(super) nulls: Option<u64>,
    pub(super) least: Option<&'a [u8]>,
    pub(super) greatest: Option<&'a [u8]>,
    pub(super) filter: Option<u64>,
    pub(super) filter_size: Option<u64>,
}

/// The key of the summary among the values of a file that are not the format's.
pub(super) const SUMMARY: &str = "netflow.summary";

impl Footer {
    /// Looks where things are; `None` when that is not a footer.
    pub(super) fn new(octets: Bytes) -> Option<Self> {
        let (mut groups, mut schema, mut summary) = (Vec::new(), None, None);
        let all: &[u8] = &octets;
        let place = |reader: &Compact<'_>, value: &[u8]| reader.at() - value.len()..reader.at();
        Compact::new(all).fields(|reader, number, kind| match number {
            2 => {
                let start = reader.at();
                reader.skip(kind)?;
                schema = Some(start..reader.at());
                Some(())
            }
            4 => reader.structs(|reader| {
                groups.push(GroupAt::read(reader)?);
                Some(())
            }),
            5 => reader.structs(|reader| {
                let (mut key, mut value) = (&[][..], None);
                reader.fields(|reader, number, kind| {
                    match number {
                        1 => key = reader.octets()?,
                        2 => {
                            let octets = reader.octets()?;
                            value = Some(place(reader, octets));
                        }
                        _ => reader.skip(kind)?,
                    }
                    Some(())
                })?;
                if key == SUMMARY.as_bytes() {
                    summary = value;
                }
                Some(())
            }),
            _ => reader.skip(kind),
        })?;
        let schema = schema?;
        Some(Self { octets, groups, schema, summary })
    }

    /// All of it.
    pub(super) fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// The part of it that is the schema.
    pub(super) fn schema(&self) -> &[u8] {
        self.octets.get(self.schema.clone()).unwrap_or_default()
    }

    /// What the writer has summed up, as text.
    pub(super) fn summary(&self) -> Option<&str> {
        core::str::from_utf8(self.octets.get(self.summary.clone()?)?).ok()
    }

    pub(super) const fn groups(&self) -> usize {
        self.groups.len()
    }

    /// Rows of a row group.
    pub(super) fn rows(&self, group: usize) -> u64 {
        self.groups.get(group).map_or(0, |group| group.rows)
    }

    /// What is said of a column, by its place in the schema.
    pub(super) fn column(&self, group: usize, place: usize) -> Option<ColumnFacts<'_>> {
        let start = *self.groups.get(group)?.columns.get(place)?;
        let mut facts = ColumnFacts::default();
        Compact::new(self.octets.get(start as usize..)?)
            .fields(|reader, number, kind| facts.read(reader, number, kind))?;
        Some(facts)
    }
}

impl GroupAt {
    fn read(reader: &mut Compact<'_>) -> Option<Self> {
        let mut group = Self::default();
        reader.fields(|reader, number, kind| match number {
            1 => reader.structs(|reader| {
                let mut start = None;
                reader.fields(|reader, number, kind| {
                    if number == 3 {
                        start = u32::try_from(reader.at()).ok();
                    }
                    reader.skip(kind)
                })?;
                group.columns.push(start?);
                Some(())
            }),
            3 => {
                group.rows = reader.unsigned()?;
                Some(())
            }
            _ => reader.skip(kind),
        })?;
        Some(group)
    }
}

impl<'a> ColumnFacts<'a> {
    fn read(&mut self, reader: &mut Compact<'a>, number: i64, kind: u8) -> Option<()> {
        match number {
            1 => self.physical = reader.unsigned()?,
            2 => {
                let (_, count) = reader.list()?;
                for _ in 0..count {
                    self.encodings |= 1 << reader.unsigned()?.min(63);
                }
            }
            4 => self.codec = reader.unsigned()?,
            7 => self.size = reader.unsigned()?,
            9 => self.data_page = reader.unsigned()?,
            11 => self.dictionary_page = Some(reader.unsigned()?).filter(|offset| *offset > 0),
            12 => reader.fields(|reader, number, kind| {
                match number {
                    3 => self.nulls = Some(reader.unsigned()?),
                    5 => self.greatest = Some(reader.octets()?),
                    6 => self.least = Some(reader.octets()?),
                    _ => reader.skip(kind)?,
                }
                Some(())
            })?,
            14 => self.filter = Some(reader.unsigned()?),
            15 => self.filter_size = Some(reader.unsigned()?),
            _ => reader.skip(kind)?,
        }
        Some(())
    }

    /// The least and the greatest number. Numbers are without a sign, unless the column is; those are not asked for.
    pub(super) fn bounds(&self) -> Option<(u64, u64)> {
        let number = |octets: &[u8]| match self.physical {
            1 => Some(u32::from_le_bytes(octets.try_into().ok()?).into()),
            2 => Some(u64::from_le_bytes(octets.try_into().ok()?)),
            _ => None,
        };
        let (low, high) = (number(self.least?)?, number(self.greatest?)?);
        (low <= high).then_some((low, high))
    }

    /// Where its pages begin.
    pub(super) fn start(&self) -> u64 {
        self.dictionary_page.unwrap_or(self.data_page)
    }
}
