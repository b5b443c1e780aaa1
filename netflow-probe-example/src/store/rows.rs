//! The rows of a row group: columns are decoded when somebody asks for them, flows made from those that are there.

use std::{io, sync::Arc};

use netflow_codec::{FlowFields, FlowRecord};
use parquet::{
    column::reader::{ColumnReader, get_column_reader},
    data_type::ByteArray,
    errors::ParquetError,
};

use super::{
    file::{Bloom, Chunk, StoreFile},
    guard::guarded,
    numbers::{self, Numbers},
    pages::{self, Coded, NULL},
    restore::{List, Restorer},
};
use crate::flow::{COLUMNS, Cell, Context, Flow, Kind, RecordFields, StoredCells};

/// Columns, by their place in [`COLUMNS`]; the one behind them is what has no column.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct ColumnSet(u64);

// All of them have a bit.
const _: () = assert!(COLUMNS.len() < 64);

impl ColumnSet {
    /// All there are.
    pub(crate) const ALL: Self = Self(u64::MAX);

    /// Those of these names; others are none.
    pub(crate) fn of(names: &[&str]) -> Self {
        let place = |name: &&str| super::file::column_of(name);
        Self(names.iter().filter_map(place).fold(0, |set, place| set | 1 << place))
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = usize> {
        (0..=COLUMNS.len()).filter(move |place| self.0 >> place & 1 == 1)
    }
}

/// A column of a row group, decoded.
#[derive(Debug)]
pub(crate) enum Column {
    /// Nothing but nulls.
    Absent,
    Numbers(Numbers),
    Coded(Coded),
    /// Of lists.
    Cells(Vec<Cell>),
    /// What has no column, as JSON.
    Json(Vec<Option<ByteArray>>),
}

impl Column {
    fn cell(&self, row: usize) -> Cell {
        match self {
            Self::Absent | Self::Json(_) => Cell::Absent,
            Self::Numbers(numbers) => match numbers.get(row) {
                None => Cell::Absent,
                Some(number) if numbers.is_signed => Cell::Signed(number.cast_signed()),
                Some(number) => Cell::Unsigned(number),
            },
            Self::Coded(coded) => {
                let code = coded.codes.get(row).copied().unwrap_or(NULL);
                coded.cells.get(code as usize).copied().unwrap_or(Cell::Absent)
            }
            Self::Cells(cells) => cells.get(row).copied().unwrap_or(Cell::Absent),
        }
    }

    fn may_lack(&self) -> bool {
        match self {
            Self::Absent => false,
            Self::Numbers(numbers) => numbers.present.is_some(),
            _ => true,
        }
    }
}

/// Which rows are chosen.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Chosen {
    All,
    None,
    Some(Vec<bool>),
}

impl Chosen {
    /// Those of which a test holds.
    pub(crate) fn some(rows: Vec<bool>) -> Self {
        let count = rows.iter().filter(|row| **row).count();
        if count == 0 {
            Self::None
        } else if count == rows.len() {
            Self::All
        } else {
            Self::Some(rows)
        }
    }

    pub(crate) fn has(&self, row: usize) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Some(rows) => rows.get(row).is_some_and(|row| *row),
        }
    }

    pub(crate) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::None, _) | (_, Self::None) => Self::None,
            (Self::All, other) | (other, Self::All) => other,
            (Self::Some(mut rows), Self::Some(others)) => {
                rows.iter_mut().zip(&others).for_each(|(row, other)| *row &= other);
                Self::some(rows)
            }
        }
    }

    pub(crate) fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::All, _) | (_, Self::All) => Self::All,
            (Self::None, other) | (other, Self::None) => other,
            (Self::Some(mut rows), Self::Some(others)) => {
                rows.iter_mut().zip(&others).for_each(|(row, other)| *row |= other);
                Self::some(rows)
            }
        }
    }

    pub(crate) fn not(self) -> Self {
        match self {
            Self::All => Self::None,
            Self::None => Self::All,
            Self::Some(rows) => Self::Some(rows.into_iter().map(|row| !row).collect()),
        }
    }
}

/// The rows of a row group.
#[derive(Debug)]
pub(crate) struct Rows {
    file: Arc<StoreFile>,
    group: usize,
    length: usize,
    columns: Vec<Option<Column>>,
}

impl Rows {
    pub(super) fn new(file: &Arc<StoreFile>, group: usize) -> Result<Self, ParquetError> {
        let columns = (0..=COLUMNS.len()).map(|_| None).collect();
        Ok(Self { length: file.rows(group)?, file: Arc::clone(file), group, columns })
    }

    /// How many there are.
    pub(crate) const fn len(&self) -> usize {
        self.length
    }

    /// A column, decoded when it was not before; the column of a name that is unknown has nothing.
    pub(crate) fn column(&mut self, name: &str) -> io::Result<&Column> {
        match super::file::column_of(name) {
            None => Ok(&Column::Absent),
            Some(place) => {
                self.load(place)?;
                Ok(self.loaded(place))
            }
        }
    }

    /// The least and the greatest number of a column in which each row has one, by what its file says.
    pub(crate) fn bounds(&self, name: &str) -> Option<(u64, u64)> {
        let column = super::file::column_of(name)?;
        self.file.bounds(self.group, column).filter(|_| self.file.is_complete(self.group, column))
    }

    /// What excludes addresses from a column that has not been decoded.
    pub(crate) fn bloom(&self, name: &str) -> Option<Bloom> {
        let column = super::file::column_of(name)?;
        let is_decoded = self.columns.get(column).is_some_and(Option::is_some);
        if is_decoded { None } else { self.file.bloom(self.group, column) }
    }

    /// How many rows have no value in a column, by what its file says.
    pub(crate) fn nulls(&self, name: &str) -> Option<u64> {
        self.file.nulls(self.group, super::file::column_of(name)?)
    }

    /// The numbers of a column that has been decoded.
    pub(crate) fn numbers(&self, name: &str) -> Option<&Numbers> {
        match self.loaded(super::file::column_of(name)?) {
            Column::Numbers(numbers) => Some(numbers),
            _ => None,
        }
    }

    fn loaded(&self, place: usize) -> &Column {
        self.columns.get(place).and_then(Option::as_ref).unwrap_or(&Column::Absent)
    }

    fn load(&mut self, place: usize) -> io::Result<()> {
        if let Some(slot) = self.columns.get_mut(place)
            && slot.is_none()
        {
            let column = guarded(|| match self.file.open_column(self.group, place)? {
                None => Ok(Column::Absent),
                Some(chunk) => decode(&chunk, place),
            });
            let column = column.map_err(super::part::into_io)?;
            *slot = Some(column);
        }
        Ok(())
    }

    /// Decodes all columns.
    pub(crate) fn load_all(&mut self) -> io::Result<()> {
        (0..self.columns.len()).try_for_each(|place| self.load(place))
    }

    /// Calls `visit` with each row that is chosen and what these columns have of its flow.
    pub(crate) fn each(
        &mut self,
        columns: ColumnSet,
        chosen: &Chosen,
        mut visit: impl FnMut(usize, &Flow<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        if *chosen == Chosen::None {
            return Ok(());
        }
        let restorer = Restorer::get();
        let mut places = Vec::new();
        for place in columns.iter() {
            self.load(place)?;
            if !matches!(self.loaded(place), Column::Absent) {
                places.push(place);
            }
        }
        let typed: Vec<_> =
            places.iter().filter_map(|place| Some((self.loaded(*place), restorer.setter(*place)?))).collect();
        let rows = (0..self.length).filter(|row| chosen.has(*row));
        let mut cells = vec![Cell::Absent; COLUMNS.len()];
        let mut envelope = restorer.envelope(&cells);
        if typed.len() == places.len() {
            // All is in the typed record, and what a row has overwrites what the row before had.
            let may_lack = typed.iter().any(|(column, _)| column.may_lack());
            let stored = StoredCells::new(&cells, None);
            let mut flow = flow(FlowRecord::EMPTY, &envelope, None, stored);
            for row in rows {
                if may_lack {
                    flow.record = FlowRecord::EMPTY;
                }
                for (column, set) in &typed {
                    let cell = column.cell(row);
                    if cell != Cell::Absent {
                        set(&mut flow.record, cell);
                    }
                }
                visit(row, &flow)?;
            }
            return Ok(());
        }
        let json = self.loaded(COLUMNS.len());
        for row in rows {
            for place in &places {
                if let Some(cell) = cells.get_mut(*place) {
                    *cell = self.loaded(*place).cell(row);
                }
            }
            let fields = match json {
                Column::Json(json) => json.get(row).and_then(Option::as_ref),
                _ => None,
            };
            let stored = StoredCells::new(&cells, fields.and_then(|fields| fields.as_utf8().ok()));
            envelope = restorer.envelope(&cells);
            let flow = flow(restorer.record(&cells), &envelope, restorer.template_id(&cells), stored);
            visit(row, &flow)?;
        }
        Ok(())
    }
}

const fn flow<'a>(
    record: FlowRecord,
    envelope: &'a crate::flow::Envelope,
    template_id: Option<u16>,
    stored: StoredCells<'a>,
) -> Flow<'a> {
    Flow {
        record,
        envelope,
        template_id,
        sampling: None,
        fields: RecordFields::Stored(stored),
        context: Context::none(),
        layout: None,
        countries: crate::flow::Countries { source: None, destination: None },
    }
}

/// Calls `visit` with what each of the cells of a column has of a flow, and with the flow that has nothing at last.
pub(crate) fn each_cell(column: &str, of: &[Cell], mut visit: impl FnMut(&Flow<'_>)) {
    let restorer = Restorer::get();
    let place = super::file::column_of(column);
    let mut cells = vec![Cell::Absent; COLUMNS.len()];
    let envelope = restorer.envelope(&cells);
    if let Some(set) = place.and_then(|place| restorer.setter(place)) {
        let mut flow = flow(FlowRecord::EMPTY, &envelope, None, StoredCells::new(&cells, None));
        for cell in of.iter().copied().chain([Cell::Absent]) {
            flow.record.fields = FlowFields::NONE;
            if cell != Cell::Absent {
                set(&mut flow.record, cell);
            }
            visit(&flow);
        }
        return;
    }
    for cell in of.iter().copied().chain([Cell::Absent]) {
        if let Some(slot) = place.and_then(|place| cells.get_mut(place)) {
            *slot = cell;
        }
        let envelope = restorer.envelope(&cells);
        let stored = StoredCells::new(&cells, None);
        visit(&flow(restorer.record(&cells), &envelope, restorer.template_id(&cells), stored));
    }
}

fn decode(chunk: &Chunk<'_>, place: usize) -> Result<Column, ParquetError> {
    let Some(column) = COLUMNS.get(place) else { return json(chunk) };
    match column.kind {
        Kind::Word | Kind::Address | Kind::MacAddress => pages::decode(chunk, column.kind).map(Column::Coded),
        Kind::NumberList | Kind::AddressList => lists(chunk, column.kind, column.name),
        Kind::Unsigned32 | Kind::Unsigned64 | Kind::Time => {
            numbers::decode(chunk, false).map(Column::Numbers)
        }
        Kind::Signed64 => numbers::decode(chunk, true).map(Column::Numbers),
    }
}

/// Values and levels of a whole column.
macro_rules! read_all {
    ($reader:ident, $rows:expr, $definition:expr, $repetition:expr) => {{
        let mut data = Vec::new();
        let mut read = 0;
        while read < $rows {
            match $reader.read_records($rows - read, Some(&mut $definition), $repetition, &mut data)? {
                (0, ..) => break,
                (records, ..) => read += records,
            }
        }
        if read < $rows {
            return Err(ParquetError::General("a column ends before its rows do".to_owned()));
        }
        data
    }};
}

fn other_type<T>() -> Result<T, ParquetError> {
    Err(ParquetError::General("a column of another type than the flow schema's".to_owned()))
}

fn lists(chunk: &Chunk<'_>, kind: Kind, name: &str) -> Result<Column, ParquetError> {
    let rows = chunk.rows;
    let (mut definition, mut repetition): (Vec<i16>, Vec<i16>) = (Vec::new(), Vec::new());
    let elements: Vec<Cell> = match get_column_reader(chunk.descriptor.clone(), Box::new(chunk.pages()?)) {
        ColumnReader::Int32ColumnReader(mut reader) => {
            let data = read_all!(reader, rows, definition, Some(&mut repetition));
            data.into_iter().map(|number: i32| Cell::Unsigned(number.cast_unsigned().into())).collect()
        }
        ColumnReader::ByteArrayColumnReader(mut reader) => {
            let data = read_all!(reader, rows, definition, Some(&mut repetition));
            data.iter().map(|value: &ByteArray| chunk.form().cell(kind, value.data())).collect()
        }
        _ => return other_type(),
    };
    let mut elements = elements.into_iter();
    let mut cells = Vec::with_capacity(rows.min(1 << 20));
    let mut levels = definition.iter().zip(&repetition).peekable();
    while let Some((definition, _)) = levels.next() {
        let mut list = List::default();
        let is_absent = *definition == 0;
        let mut definition = *definition;
        loop {
            if definition > 1
                && let Some(element) = elements.next()
            {
                list.push(element);
            }
            match levels.next_if(|(_, repetition)| **repetition > 0) {
                Some((next, _)) => definition = *next,
                None => break,
            }
        }
        cells.push(if is_absent { Cell::Absent } else { list.into_cell(name) });
    }
    Ok(Column::Cells(cells))
}

fn json(chunk: &Chunk<'_>) -> Result<Column, ParquetError> {
    let rows = chunk.rows;
    let mut levels: Vec<i16> = Vec::new();
    let ColumnReader::ByteArrayColumnReader(mut reader) =
        get_column_reader(chunk.descriptor.clone(), Box::new(chunk.pages()?))
    else {
        return other_type();
    };
    let data = read_all!(reader, rows, levels, None);
    let mut data = data.into_iter();
    let json = levels.iter().map(|level| if *level > 0 { data.next() } else { None }).collect();
    Ok(Column::Json(json))
}
