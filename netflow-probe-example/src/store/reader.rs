//! Reading flows back from the store.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use netflow_codec::Timestamp;
use parquet::{
    column::reader::ColumnReader,
    data_type::ByteArray,
    errors::ParquetError,
    file::{
        metadata::{ColumnChunkMetaData, RowGroupMetaData},
        reader::{FileReader, RowGroupReader, SerializedFileReader},
        statistics::Statistics,
    },
};

use super::{
    part::{EXTENSION, into_io},
    restore::{List, Restorer, Text},
};
use crate::flow::{COLUMNS, Cell, Column, Context, Flow, Kind, RecordFields, StoredCells};

/// The complete files of a store, to be read in the order of time.
#[derive(Debug)]
pub struct StoreReader {
    files: Vec<PathBuf>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
}

impl StoreReader {
    /// Looks which files are there. Of flows that ended before `from`, or began after `to`, not all are given.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read.
    pub fn open(folder: &Path, from: Option<Timestamp>, to: Option<Timestamp>) -> io::Result<Self> {
        let mut files = Vec::new();
        gather(folder, 0, &mut files)?;
        // Partitions and names tell the time of their flows.
        files.sort();
        Ok(Self { files, from, to })
    }

    /// The files.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// When the first flow began and the last one ended, by the oldest and the newest file that can be read: as their
    /// statistics say, unless that is more than a day from when the flows came in.
    #[must_use]
    pub fn span(&self) -> Option<(Timestamp, Timestamp)> {
        let first = self.files.iter().find_map(|file| span(file)).map(|(first, _)| first)?;
        let last = self.files.iter().rev().find_map(|file| span(file)).map(|(_, last)| last)?;
        Some((first, last.max(first)))
    }

    /// Reads a file, and calls `visit` with each of its flows.
    ///
    /// # Errors
    ///
    /// [`ReadError::File`] when the file is damaged, behind the flows that could be read; [`ReadError::Visit`] when
    /// `visit` fails.
    pub fn read(
        &self,
        path: &Path,
        mut visit: impl FnMut(&Flow<'_>) -> io::Result<()>,
    ) -> Result<(), ReadError> {
        let reader = SerializedFileReader::new(File::open(path)?)?;
        let places = places(&reader)?;
        for index in 0..reader.num_row_groups() {
            if self.may_hold(reader.metadata().row_group(index), &places) {
                let group = reader.get_row_group(index)?;
                read_group(group.as_ref(), &places, &mut visit)?;
            }
        }
        Ok(())
    }

    /// Whether some flow of the row group can be in the window, by its statistics.
    fn may_hold(&self, group: &RowGroupMetaData, places: &Places) -> bool {
        let bounds = |name: &str| bounds(group.columns().get(places.of(name)?)?);
        let ended_before =
            |from: Timestamp| bounds("time_flow_end_ns").is_some_and(|(_, last)| last < from.as_nanos());
        let began_after =
            |to: Timestamp| bounds("time_flow_start_ns").is_some_and(|(first, _)| first > to.as_nanos());
        !self.from.is_some_and(ended_before) && !self.to.is_some_and(began_after)
    }
}

/// When the first flow of a file began and the last one ended.
fn span(file: &Path) -> Option<(Timestamp, Timestamp)> {
    const DAY: u64 = 86_400 * 1_000_000_000;
    let reader = SerializedFileReader::new(File::open(file).ok()?).ok()?;
    let places = places(&reader).ok()?;
    let bounds = |name: &str| {
        let place = places.of(name)?;
        let groups = reader.metadata().row_groups().iter();
        let bounds = groups.filter_map(|group| bounds(group.columns().get(place)?));
        bounds.reduce(|(least, greatest), (low, high)| (least.min(low), greatest.max(high)))
    };
    let (came_first, came_last) = bounds("time_received_ns")?;
    let began = bounds("time_flow_start_ns").map_or(came_first, |(first, _)| first);
    let ended = bounds("time_flow_end_ns").map_or(came_last, |(_, last)| last);
    let began = began.clamp(came_first.saturating_sub(DAY), came_first);
    let ended = ended.clamp(came_last, came_last.saturating_add(DAY));
    Some((Timestamp::from_nanos(began), Timestamp::from_nanos(ended)))
}

/// The least and the greatest of a column's times, as its statistics say.
fn bounds(column: &ColumnChunkMetaData) -> Option<(u64, u64)> {
    match column.statistics()? {
        Statistics::Int64(bounds) => {
            let number = |bound: Option<&i64>| bound.and_then(|bound| u64::try_from(*bound).ok());
            Some((number(bounds.min_opt())?, number(bounds.max_opt())?))
        }
        _ => None,
    }
}

/// Why a file was not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file is no Parquet file, or damaged.
    #[error("{0}")]
    File(io::Error),
    /// Whoever was shown the flows has failed.
    #[error("{0}")]
    Visit(io::Error),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::File(error)
    }
}

impl From<ParquetError> for ReadError {
    fn from(error: ParquetError) -> Self {
        Self::File(into_io(error))
    }
}

/// Folders within one another that are looked into.
const DEPTH: usize = 4;

fn gather(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with(['.', '_']) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            if depth < DEPTH {
                gather(&path, depth + 1, files)?;
            }
        } else if path.extension().is_some_and(|extension| extension == EXTENSION) {
            files.push(path);
        }
    }
    Ok(())
}

/// Which columns of a file are those of the flow schema.
struct Places {
    /// By the order of [`COLUMNS`]; of a file written by an older or newer collector some may be missing.
    columns: Vec<Option<usize>>,
    fields: Option<usize>,
}

impl Places {
    /// The place of a column.
    fn of(&self, name: &str) -> Option<usize> {
        let column = COLUMNS.iter().position(|column| column.name == name)?;
        self.columns.get(column).copied().flatten()
    }
}

fn places(reader: &SerializedFileReader<File>) -> Result<Places, ParquetError> {
    let schema = reader.metadata().file_metadata().schema_descr_ptr();
    let place = |name: &str| {
        (0..schema.num_columns())
            .find(|index| schema.column(*index).path().parts().first().is_some_and(|part| part == name))
    };
    let places = Places {
        columns: COLUMNS.iter().map(|column| place(column.name)).collect(),
        fields: place(super::schema::FIELDS),
    };
    if places.columns.iter().all(Option::is_none) {
        return Err(ParquetError::General("no column of the flow schema is in it".to_owned()));
    }
    Ok(places)
}

/// A column of a row group, decoded, and how far it has been taken.
#[derive(Default)]
struct Values {
    data: Data,
    definition: Vec<i16>,
    repetition: Vec<i16>,
    level: usize,
    value: usize,
}

#[derive(Default)]
enum Data {
    #[default]
    None,
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Text(Vec<ByteArray>),
}

impl Values {
    fn read(group: &dyn RowGroupReader, place: Option<usize>, rows: usize) -> Result<Self, ParquetError> {
        let mut values = Self::default();
        let Some(place) = place else { return Ok(values) };
        let (definition, repetition) = (&mut values.definition, &mut values.repetition);
        macro_rules! read {
            ($reader:ident, $kind:path) => {{
                let mut data = Vec::new();
                while $reader.read_records(rows, Some(&mut *definition), Some(&mut *repetition), &mut data)?.0
                    > 0
                {}
                values.data = $kind(data);
            }};
        }
        match group.get_column_reader(place)? {
            ColumnReader::Int32ColumnReader(mut reader) => read!(reader, Data::Int32),
            ColumnReader::Int64ColumnReader(mut reader) => read!(reader, Data::Int64),
            ColumnReader::ByteArrayColumnReader(mut reader) => read!(reader, Data::Text),
            _ => {
                return Err(ParquetError::General(
                    "a column of another type than the flow schema's".to_owned(),
                ));
            }
        }
        Ok(values)
    }

    /// The next row's cell.
    fn next(&mut self, column: &Column, text: &mut Text) -> Cell {
        let kind = column.kind;
        match kind {
            Kind::NumberList | Kind::AddressList => self.next_list(column, text),
            _ => {
                let level = self.level;
                self.level += 1;
                if self.definition.get(level).is_some_and(|level| *level > 0) {
                    self.take(kind, text)
                } else {
                    Cell::Absent
                }
            }
        }
    }

    fn next_list(&mut self, column: &Column, text: &mut Text) -> Cell {
        let kind = column.kind;
        let mut list = List::default();
        let mut first = true;
        while let Some(definition) = self.definition.get(self.level).copied() {
            if !first && self.repetition.get(self.level).is_none_or(|level| *level == 0) {
                break;
            }
            first = false;
            self.level += 1;
            match definition {
                0 => return Cell::Absent,
                1 => {}
                _ => list.push(self.take(kind, text)),
            }
        }
        list.into_cell(column.name)
    }

    /// The next value that is there.
    fn take(&mut self, kind: Kind, text: &mut Text) -> Cell {
        let at = self.value;
        self.value += 1;
        match &self.data {
            Data::None => Cell::Absent,
            Data::Int32(data) => {
                data.get(at).map_or(Cell::Absent, |number| Cell::Unsigned(number.cast_unsigned().into()))
            }
            Data::Int64(data) => data.get(at).map_or(Cell::Absent, |number| match kind {
                Kind::Signed64 => Cell::Signed(*number),
                _ => Cell::Unsigned(number.cast_unsigned()),
            }),
            Data::Text(data) => data.get(at).map_or(Cell::Absent, |value| text.cell(kind, value.data())),
        }
    }
}

fn read_group(
    group: &dyn RowGroupReader,
    places: &Places,
    visit: &mut impl FnMut(&Flow<'_>) -> io::Result<()>,
) -> Result<(), ReadError> {
    // Whatever the file announces, memory grows by what is in it.
    let rows = usize::try_from(group.metadata().num_rows()).unwrap_or(0).min(1 << 20);
    let mut columns = Vec::with_capacity(COLUMNS.len());
    for place in &places.columns {
        columns.push(Values::read(group, *place, rows)?);
    }
    let mut fields = Values::read(group, places.fields, rows)?;
    let mut text = Text::default();
    let restorer = Restorer::new();
    let mut cells = Vec::with_capacity(COLUMNS.len());
    for _ in 0..rows {
        cells.clear();
        cells.extend(COLUMNS.iter().zip(&mut columns).map(|(column, values)| values.next(column, &mut text)));
        let level = fields.level;
        fields.level += 1;
        let mut json = None;
        if fields.definition.get(level).is_some_and(|level| *level > 0) {
            if let Data::Text(data) = &fields.data {
                json = data.get(fields.value).and_then(|value| value.as_utf8().ok());
            }
            fields.value += 1;
        }
        let stored = StoredCells::new(&cells, json);
        let envelope = restorer.envelope(&cells);
        let flow = Flow {
            record: restorer.record(&cells),
            envelope: &envelope,
            template_id: restorer.template_id(&cells),
            sampling: None,
            fields: RecordFields::Stored(stored),
            context: Context::none(),
            layout: None,
        };
        visit(&flow).map_err(ReadError::Visit)?;
    }
    Ok(())
}
