//! A complete file of the store, opened: what its footer says, and its columns as they are asked for.

use core::net::IpAddr;
use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt as _,
    path::Path,
    sync::Arc,
};

use bytes::{Buf as _, Bytes};
use netflow_codec::Timestamp;
use parquet::{
    basic::{LogicalType, Type as Physical},
    bloom_filter::Sbbf,
    errors::ParquetError,
    file::{
        metadata::{ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData},
        reader::{ChunkReader, Length},
        serialized_reader::SerializedPageReader,
        statistics::Statistics,
    },
};

use super::{form::Form, guard::guarded};
use crate::flow::COLUMNS;

/// A file, and where in it the columns of the flow schema are.
#[derive(Debug)]
pub(super) struct StoreFile {
    reader: Pread,
    metadata: ParquetMetaData,
    /// By the order of [`COLUMNS`], then the one of what has no column; of a file written by an older or newer collector
    /// some may be missing.
    places: Vec<Option<usize>>,
}

/// Rows of a row group, at most: more than any writer makes.
const ROWS: usize = 1 << 24;

impl StoreFile {
    pub(super) fn open(path: &Path) -> Result<Self, ParquetError> {
        let reader = Pread(Arc::new(File::open(path)?));
        let metadata = guarded(|| ParquetMetaDataReader::new().parse_and_finish(&reader))?;
        let schema = metadata.file_metadata().schema_descr_ptr();
        let place = |name: &str| {
            (0..schema.num_columns())
                .find(|index| schema.column(*index).path().parts().first().is_some_and(|part| part == name))
        };
        // Mostly they stand in our own order.
        let names = COLUMNS.iter().map(|column| column.name).chain([super::schema::FIELDS]);
        let places: Vec<_> = names
            .enumerate()
            .map(|(index, name)| {
                let is_there = index < schema.num_columns()
                    && schema.column(index).path().parts().first().is_some_and(|part| part == name);
                if is_there { Some(index) } else { place(name) }
            })
            .collect();
        if places.iter().take(COLUMNS.len()).all(Option::is_none) {
            return Err(ParquetError::General("no column of the flow schema is in it".to_owned()));
        }
        Ok(Self { reader, metadata, places })
    }

    pub(super) fn groups(&self) -> usize {
        self.metadata.num_row_groups()
    }

    fn group(&self, group: usize) -> Option<&RowGroupMetaData> {
        self.metadata.row_groups().get(group)
    }

    /// Rows of a row group.
    pub(super) fn rows(&self, group: usize) -> Result<usize, ParquetError> {
        let rows = self.group(group).map_or(0, RowGroupMetaData::num_rows);
        let rows = usize::try_from(rows).ok().filter(|rows| *rows <= ROWS);
        rows.ok_or_else(|| ParquetError::General("a row group of more rows than there can be".to_owned()))
    }

    fn column(&self, group: usize, column: usize) -> Option<&ColumnChunkMetaData> {
        let place = self.places.get(column).copied().flatten()?;
        self.group(group)?.columns().get(place)
    }

    /// The least and the greatest number of a column in a row group, as far as its statistics say.
    pub(super) fn bounds(&self, group: usize, column: usize) -> Option<(u64, u64)> {
        let (low, high) = match self.column(group, column)?.statistics()? {
            // Numbers are without a sign, unless the column is; those are not asked for.
            Statistics::Int64(bounds) => {
                (bounds.min_opt()?.cast_unsigned(), bounds.max_opt()?.cast_unsigned())
            }
            Statistics::Int32(bounds) => {
                (bounds.min_opt()?.cast_unsigned().into(), bounds.max_opt()?.cast_unsigned().into())
            }
            _ => return None,
        };
        (low <= high).then_some((low, high))
    }

    /// Whether each row of a row group has a value in a column.
    pub(super) fn is_complete(&self, group: usize, column: usize) -> bool {
        let statistics = self.column(group, column).and_then(ColumnChunkMetaData::statistics);
        statistics.and_then(Statistics::null_count_opt) == Some(0)
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

    /// The Bloom filter of a column in a row group, if there is one.
    pub(super) fn bloom(&self, group: usize, column: usize) -> Option<Bloom> {
        let chunk = self.column(group, column)?;
        // A filter that cannot be read excludes nothing.
        let filter = guarded(|| Sbbf::read_from_column_chunk(chunk, &self.reader)).ok().flatten()?;
        Some(Bloom { filter, form: form(chunk) })
    }

    /// A column of a row group; `None` when it is not there, or has nothing but nulls.
    pub(super) fn open_column(&self, group: usize, column: usize) -> Result<Option<Chunk>, ParquetError> {
        let Some(chunk) = self.column(group, column) else { return Ok(None) };
        let rows = self.rows(group)?;
        let nulls = chunk.statistics().and_then(Statistics::null_count_opt);
        if nulls.is_some_and(|nulls| nulls >= rows as u64) && chunk.column_descr().max_rep_level() == 0 {
            return Ok(None);
        }
        let start = chunk.dictionary_page_offset().filter(|offset| *offset > 0);
        let start = u64::try_from(start.unwrap_or_else(|| chunk.data_page_offset()));
        let length = u64::try_from(chunk.compressed_size());
        let (Ok(start), Ok(length)) = (start, length) else {
            return Err(ParquetError::General("a column at a negative place".to_owned()));
        };
        // Memory is taken for what is there, not for what is announced.
        if start.checked_add(length).is_none_or(|end| end > self.reader.len()) {
            return Err(ParquetError::EOF("a column beyond the end of the file".to_owned()));
        }
        let octets = self.reader.get_bytes(start, usize::try_from(length).unwrap_or(usize::MAX))?;
        Ok(Some(Chunk { metadata: chunk.clone(), start, octets, rows }))
    }
}

/// The place of a column in [`COLUMNS`].
pub(super) fn column_of(name: &str) -> Option<usize> {
    COLUMNS.iter().position(|column| column.name == name)
}

/// In which form a column has addresses.
fn form(chunk: &ColumnChunkMetaData) -> Form {
    let descriptor = chunk.column_descr();
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
pub(super) struct Chunk {
    pub(super) metadata: ColumnChunkMetaData,
    start: u64,
    octets: Bytes,
    pub(super) rows: usize,
}

impl Chunk {
    pub(super) fn form(&self) -> Form {
        form(&self.metadata)
    }

    pub(super) fn pages(&self) -> Result<SerializedPageReader<Part>, ParquetError> {
        let part = Part { start: self.start, octets: self.octets.clone() };
        SerializedPageReader::new(Arc::new(part), &self.metadata, self.rows, None)
    }
}

/// Reads at any place; several threads may, at once.
#[derive(Clone, Debug)]
struct Pread(Arc<File>);

struct At {
    file: Arc<File>,
    offset: u64,
}

impl Read for At {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}

impl Length for Pread {
    fn len(&self) -> u64 {
        self.0.metadata().map_or(0, |metadata| metadata.len())
    }
}

impl ChunkReader for Pread {
    type T = At;

    fn get_read(&self, start: u64) -> Result<At, ParquetError> {
        Ok(At { file: Arc::clone(&self.0), offset: start })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        if start.saturating_add(length as u64) > self.len() {
            return Err(ParquetError::EOF("something beyond the end of the file".to_owned()));
        }
        let mut octets = vec![0; length];
        self.0.read_exact_at(&mut octets, start)?;
        Ok(octets.into())
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
