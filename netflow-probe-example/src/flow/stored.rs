//! Flows that were stored: what is left of them are the cells of their columns.

use super::{COLUMNS, Cell, Column, Flow, RecordFields};

/// The cells of a stored flow, and the JSON object of what has no column.
#[derive(Clone, Copy, Debug)]
pub struct StoredCells<'a> {
    cells: &'a [Cell],
    fields: Option<&'a str>,
}

impl<'a> StoredCells<'a> {
    /// Cells in the order of [`COLUMNS`].
    #[must_use]
    pub const fn new(cells: &'a [Cell], fields: Option<&'a str>) -> Self {
        Self { cells, fields }
    }

    /// The cell of a column; absent when there is no such column.
    #[must_use]
    pub fn cell(&self, name: &str) -> Cell {
        let place = COLUMNS.iter().position(|column| column.name == name);
        place.and_then(|place| self.cells.get(place)).copied().unwrap_or(Cell::Absent)
    }

    /// The number in a column.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u64> {
        match self.cell(name) {
            Cell::Unsigned(number) => Some(number),
            _ => None,
        }
    }

    /// What has no column, as a JSON object.
    #[must_use]
    pub const fn fields(&self) -> Option<&'a str> {
        self.fields
    }
}

impl<'a> Flow<'a> {
    /// All columns, in the order in which they are printed, and what each shows of the flow.
    pub fn cells(&self) -> impl Iterator<Item = (&'static Column, Cell)> + use<'_, 'a> {
        let stored = self.stored();
        COLUMNS.iter().enumerate().map(move |(place, column)| {
            let cell = match &stored {
                Some(stored) => stored.cells.get(place).copied().unwrap_or(Cell::Absent),
                None => (column.cell)(self),
            };
            (column, cell)
        })
    }

    /// What a column shows of the flow, by its place in [`COLUMNS`].
    #[must_use]
    pub fn cell(&self, place: usize) -> Cell {
        match self.stored() {
            Some(stored) => stored.cells.get(place).copied().unwrap_or(Cell::Absent),
            None => COLUMNS.get(place).map_or(Cell::Absent, |column| (column.cell)(self)),
        }
    }

    /// What is left of a stored flow; `None` for one whose record is at hand.
    #[must_use]
    pub const fn stored(&self) -> Option<StoredCells<'a>> {
        match self.fields {
            RecordFields::Stored(stored) => Some(stored),
            _ => None,
        }
    }
}
