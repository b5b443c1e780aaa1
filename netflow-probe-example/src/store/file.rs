//! A complete file of the store, opened: what its footer says, and its columns as they are asked for.

use core::net::IpAddr;
use std::{
    fs::File,
    os::unix::fs::FileExt as _,
    path::Path,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use bytes::{Buf as _, Bytes};
use netflow_codec::Timestamp;
use parquet::{
    basic::{LogicalType, Type as Physical},
    bloom_filter::Sbbf,
    errors::ParquetError,
    file::{
        metadata::{ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader},
        reader::{ChunkReader, Length},
        serialized_reader::SerializedPageReader,
    },
    schema::types::{ColumnDescPtr, SchemaDescPtr},
};

use super::{
    footer::{ColumnFacts, Footer},
    form::Form,
    guard::guarded,
    page::{self, Pages, wrong},
    summary::Summary,
};
use crate::flow::COLUMNS;

/// A file, and where in it the columns of the flow schema are.
#[derive(Debug)]
pub(super) struct StoreFile {
    reader: Pread,
    footer: Footer,
    schema: Arc<Schema>,
    /// All that the footer says, for what is decoded by the general reader.
    metadata: OnceLock<ParquetMetaData>,
}

/// The schema of a file; mostly it is that of the file before.
#[derive(Debug)]
struct Schema {
    octets: Box<[u8]>,
    descriptor: SchemaDescPtr,
    /// By the order of [`COLUMNS`], then the one of what has no column; of a file written by an older or newer collector
    /// some may be missing.
    places: Vec<Option<usize>>,
}

impl Schema {
    /// The schema of a footer.
    fn of(footer: &Footer) -> Result<Arc<Self>, ParquetError> {
        static LAST: Mutex<Option<Arc<Schema>>> = Mutex::new(None);
        let last = || LAST.lock().unwrap_or_else(PoisonError::into_inner);
        let known = last().clone();
        if let Some(known) = known.filter(|known| *known.octets == *footer.schema()) {
            return Ok(known);
        }
        let descriptor = guarded(|| ParquetMetaDataReader::decode_schema(footer.octets()))?;
        let place = |name: &str| {
            (0..descriptor.num_columns()).find(|index| {
                descriptor.column(*index).path().parts().first().is_some_and(|part| part == name)
            })
        };
        let names = COLUMNS.iter().map(|column| column.name).chain([super::schema::FIELDS]);
        let places: Vec<_> = names.map(place).collect();
        if places.iter().take(COLUMNS.len()).all(Option::is_none) {
            return Err(wrong("no column of the flow schema is in it"));
        }
        let schema = Arc::new(Self { octets: footer.schema().into(), descriptor, places });
        *last() = Some(Arc::clone(&schema));
        Ok(schema)
    }
}

/// Rows of a row group, at most: more than any writer makes.
const ROWS: u64 = 1 << 24;

/// Octets at the end of a file that are read at once: most footers are shorter, and filters stand before them.
const TAIL: u64 = 16 << 10;

/// What a file ends with, behind the length of its footer.
const MAGIC: &[u8] = b"PAR1";

impl StoreFile {
    pub(super) fn open(path: &Path) -> Result<Self, ParquetError> {
        let reader = Pread::open(path)?;
        let footer = reader.footer()?;
        let schema = Schema::of(&footer)?;
        Ok(Self { reader, footer, schema, metadata: OnceLock::new() })
    }

    pub(super) const fn groups(&self) -> usize {
        self.footer.groups()
    }

    /// Rows of a row group.
    pub(super) fn rows(&self, group: usize) -> Result<usize, ParquetError> {
        let rows = usize::try_from(self.footer.rows(group)).ok();
        rows.filter(|rows| *rows as u64 <= ROWS)
            .ok_or_else(|| wrong("a row group of more rows than there can be"))
    }

    /// What the writer has summed up, if it is sound and all flows are in it.
    pub(super) fn summary(&self) -> Option<Summary> {
        let rows = (0..self.groups()).try_fold(0_u64, |sum, group| sum.checked_add(self.footer.rows(group)));
        Summary::parse(self.footer.summary()?).filter(|summary| Some(summary.flows()) == rows)
    }

    fn place(&self, column: usize) -> Option<usize> {
        self.schema.places.get(column).copied().flatten()
    }

    fn column(&self, group: usize, column: usize) -> Option<ColumnFacts<'_>> {
        self.footer.column(group, self.place(column)?)
    }

    /// The least and the greatest number of a column in a row group, as far as its statistics say.
    pub(super) fn bounds(&self, group: usize, column: usize) -> Option<(u64, u64)> {
        self.column(group, column)?.bounds()
    }

    /// Whether each row of a row group has a value in a column.
    pub(super) fn is_complete(&self, group: usize, column: usize) -> bool {
        self.column(group, column).is_some_and(|facts| facts.nulls == Some(0))
    }

    /// How many rows of a row group have no value in a column.
    pub(super) fn nulls(&self, group: usize, column: usize) -> Option<u64> {
        let rows = self.footer.rows(group);
        match self.place(column) {
            None => Some(rows),
            Some(place) => self.footer.column(group, place)?.nulls.filter(|nulls| *nulls <= rows),
        }
    }

    /// Whether some flow of a row group can have lasted beyond `from`, and begun before `to`.
    pub(super) fn may_be_in(&self, group: usize, from: Option<Timestamp>, to: Option<Timestamp>) -> bool {
        let bounds = |name: &str| self.bounds(group, column_of(name)?);
        let ended_before =
            |from: Timestamp| bounds("time_flow_end_ns").is_some_and(|(_, last)| last < from.as_nanos());
        let began_after =
            |to: Timestamp| bounds("time_flow_start_ns").is_some_and(|(first, _)| first > to.as_nanos());
        !from.is_some_and(ended_before) && !to.is_some_and(began_after)
    }

    /// Whether each flow of the file has lasted beyond `from`, and begun before `to`.
    pub(super) fn is_wholly_in(&self, from: Option<Timestamp>, to: Option<Timestamp>) -> bool {
        (0..self.groups()).all(|group| {
            let bounds = |name: &str| {
                let column = column_of(name)?;
                self.bounds(group, column).filter(|_| self.is_complete(group, column))
            };
            let ended = |from: Timestamp| {
                bounds("time_flow_end_ns").is_some_and(|(first, _)| first >= from.as_nanos())
            };
            let began =
                |to: Timestamp| bounds("time_flow_start_ns").is_some_and(|(_, last)| last <= to.as_nanos());
            from.is_none_or(ended) && to.is_none_or(began)
        })
    }

    /// The Bloom filter of a column in a row group, if there is one.
    pub(super) fn bloom(&self, group: usize, column: usize) -> Option<Bloom> {
        let facts = self.column(group, column)?;
        let descriptor = self.schema.descriptor.column(self.place(column)?);
        // A filter that cannot be read excludes nothing.
        let size = usize::try_from(facts.filter_size?).ok()?;
        let octets = self.reader.get_bytes(facts.filter?, size).ok()?;
        let filter = guarded(|| Sbbf::from_bytes(&octets)).ok()?;
        Some(Bloom { filter, form: form(&descriptor) })
    }

    /// A column of a row group; `None` when it is not there, or has nothing but nulls.
    pub(super) fn open_column(&self, group: usize, column: usize) -> Result<Option<Chunk<'_>>, ParquetError> {
        let Some(place) = self.place(column) else { return Ok(None) };
        let facts = self.footer.column(group, place);
        let facts = facts.ok_or_else(|| wrong("what the footer says of a column cannot be"))?;
        let descriptor = self.schema.descriptor.column(place);
        let rows = self.rows(group)?;
        if facts.nulls.is_some_and(|nulls| nulls >= rows as u64) && descriptor.max_rep_level() == 0 {
            return Ok(None);
        }
        // Memory is taken for what is there, not for what is announced.
        let start = facts.start();
        if start.checked_add(facts.size).is_none_or(|end| end > self.reader.length) {
            return Err(ParquetError::EOF("a column beyond the end of the file".to_owned()));
        }
        let octets = self.reader.get_bytes(start, usize::try_from(facts.size).unwrap_or(usize::MAX))?;
        Ok(Some(Chunk { file: self, facts, descriptor, group, place, start, octets, rows }))
    }

    /// All that the footer says of a column.
    fn metadata(&self, group: usize, place: usize) -> Result<&ColumnChunkMetaData, ParquetError> {
        let metadata = if let Some(metadata) = self.metadata.get() {
            metadata
        } else {
            let octets = self.footer.octets();
            let metadata = guarded(|| ParquetMetaDataReader::decode_metadata(octets))?;
            self.metadata.get_or_init(|| metadata)
        };
        let group = metadata.row_groups().get(group);
        group.and_then(|group| group.columns().get(place)).ok_or_else(|| wrong("a column that is not there"))
    }
}

/// The place of a column in [`COLUMNS`].
pub(super) fn column_of(name: &str) -> Option<usize> {
    COLUMNS.iter().position(|column| column.name == name)
}

/// In which form a column has addresses.
fn form(descriptor: &ColumnDescPtr) -> Form {
    let is_text = matches!(descriptor.logical_type_ref(), Some(LogicalType::String))
        || descriptor.converted_type() == parquet::basic::ConvertedType::UTF8;
    if descriptor.physical_type() == Physical::BYTE_ARRAY && is_text { Form::Text } else { Form::Octets }
}

/// Which addresses are not in a row group.
pub(crate) struct Bloom {
    filter: Sbbf,
    form: Form,
}

impl Bloom {
    pub(crate) fn may_hold(&self, address: IpAddr) -> bool {
        let octets = self.form.octets_of(address);
        self.filter.check(octets.as_slice())
    }
}

/// A column of a row group, read but not decoded.
pub(super) struct Chunk<'a> {
    file: &'a StoreFile,
    pub(super) facts: ColumnFacts<'a>,
    pub(super) descriptor: ColumnDescPtr,
    group: usize,
    place: usize,
    start: u64,
    octets: Bytes,
    pub(super) rows: usize,
}

impl Chunk<'_> {
    pub(super) fn form(&self) -> Form {
        form(&self.descriptor)
    }

    /// The pages, when each row has a value or none and all is in a form that is decoded here: these encodings, not
    /// compressed or by zstd.
    pub(super) fn simple_pages(&self, encodings: &[u64]) -> Option<Pages<'_>> {
        let known = encodings.iter().fold(0, |known, encoding| known | 1_u64 << encoding);
        let is_known = self.facts.encodings & !known == 0;
        let is_flat = self.descriptor.max_def_level() == 1 && self.descriptor.max_rep_level() == 0;
        let is_compressed = match self.facts.codec {
            page::codec::NONE => false,
            page::codec::ZSTD => true,
            _ => return None,
        };
        (is_known && is_flat).then(|| Pages::new(&self.octets, is_compressed))
    }

    /// The pages as the general reader has them.
    pub(super) fn pages(&self) -> Result<SerializedPageReader<Part>, ParquetError> {
        let part = Part { start: self.start, octets: self.octets.clone() };
        let metadata = self.file.metadata(self.group, self.place)?;
        SerializedPageReader::new(Arc::new(part), metadata, self.rows, None)
    }
}

/// Reads at any place; several threads may, at once.
#[derive(Clone, Debug)]
struct Pread {
    file: Arc<File>,
    length: u64,
    /// The end of the file, with filters and footer.
    tail: Bytes,
}

impl Pread {
    fn open(path: &Path) -> Result<Self, ParquetError> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut reader = Self { file: Arc::new(file), length, tail: Bytes::new() };
        let size = usize::try_from(length.min(TAIL)).unwrap_or(0);
        reader.tail = reader.get_bytes(length - size as u64, size)?;
        Ok(reader)
    }

    /// Octets from a place on; there are so many.
    fn octets(&self, start: u64, length: usize) -> Result<Vec<u8>, ParquetError> {
        if start.checked_add(length as u64).is_none_or(|end| end > self.length) {
            return Err(ParquetError::EOF("something beyond the end of the file".to_owned()));
        }
        let mut octets = vec![0; length];
        self.file.read_exact_at(&mut octets, start)?;
        Ok(octets)
    }

    fn footer(&self) -> Result<Footer, ParquetError> {
        let ends = self.tail.last_chunk::<8>().map(|last| {
            let (length, magic) = last.split_at(4);
            (u32::from_le_bytes(length.try_into().unwrap_or_default()) as usize, magic == MAGIC)
        });
        let Some((length, true)) = ends else {
            return Err(wrong("it does not end as a Parquet file does"));
        };
        let all = length.saturating_add(8);
        let Some(start) = self.length.checked_sub(all as u64) else {
            return Err(wrong("its footer announces more than there is"));
        };
        let octets = self.get_bytes(start, length)?;
        Footer::new(octets).ok_or_else(|| wrong("its footer is damaged"))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let end_of_tail = self.tail.len();
        let in_tail = start
            .checked_sub(self.length - end_of_tail as u64)
            .and_then(|start| usize::try_from(start).ok())
            .filter(|start| start.checked_add(length).is_some_and(|end| end <= end_of_tail));
        match in_tail {
            Some(start) => Ok(self.tail.slice(start..start + length)),
            None => self.octets(start, length).map(Bytes::from),
        }
    }
}

/// A part of a file in memory, addressed as in the file.
pub(super) struct Part {
    start: u64,
    octets: Bytes,
}

impl Part {
    fn offset(&self, start: u64) -> Result<usize, ParquetError> {
        let offset = start.checked_sub(self.start).and_then(|offset| usize::try_from(offset).ok());
        offset
            .filter(|offset| *offset <= self.octets.len())
            .ok_or_else(|| ParquetError::EOF("a page beyond its column".to_owned()))
    }
}

impl Length for Part {
    fn len(&self) -> u64 {
        self.start + self.octets.len() as u64
    }
}

impl ChunkReader for Part {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(self.octets.slice(self.offset(start)?..).reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let offset = self.offset(start)?;
        match offset.checked_add(length) {
            Some(end) if end <= self.octets.len() => Ok(self.octets.slice(offset..end)),
            _ => Err(ParquetError::EOF("a page beyond its column".to_owned())),
        }
    }
}
