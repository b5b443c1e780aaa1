//! Values of keys as small numbers, so that rows of a row group are grouped by counting.

use std::{collections::HashMap, io};

use foldhash::fast::RandomState;

use super::{
    key::{Key, Side},
    value::Value,
};
use crate::store::{Chosen, Column, ColumnSet, Rows, each_cell};

/// The values of a key that there are in a row group, each with a number.
#[derive(Debug, Default)]
pub(super) struct Coder {
    known: HashMap<Option<Value>, u32, RandomState>,
    pub(super) values: Vec<Option<Value>>,
}

impl Coder {
    fn code(&mut self, value: Option<Value>) -> u32 {
        let Self { known, values } = self;
        *known.entry(value).or_insert_with(|| {
            values.push(value);
            u32::try_from(values.len() - 1).unwrap_or(u32::MAX)
        })
    }

    /// The number of each row's value; of rows that are not chosen it says nothing.
    pub(super) fn codes(
        &mut self,
        key: &Key,
        side: Side,
        rows: &mut Rows,
        chosen: &Chosen,
    ) -> io::Result<Vec<u32>> {
        let columns = key.columns(side);
        if let [column] = columns.as_slice()
            && let Column::Coded(coded) = rows.column(column)?
        {
            let mut codes = Vec::with_capacity(coded.cells.len() + 1);
            each_cell(column, &coded.cells, |flow| codes.push(self.code(key.value(side, flow))));
            // The last is of rows without a value.
            let of_none = codes.last().copied().unwrap_or(0);
            return Ok(coded
                .codes
                .iter()
                .map(|code| codes.get(*code as usize).copied().unwrap_or(of_none))
                .collect());
        }
        let mut codes = vec![0; rows.len()];
        let mut last = None;
        rows.each(ColumnSet::of(&columns), chosen, |row, flow| {
            let value = key.value(side, flow);
            let code = match last {
                // Neighbours often have the same.
                Some((known, code)) if known == value => code,
                _ => self.code(value),
            };
            last = Some((value, code));
            if let Some(slot) = codes.get_mut(row) {
                *slot = code;
            }
            Ok(())
        })?;
        Ok(codes)
    }
}

/// Combinations of the values of several keys.
#[derive(Debug, Default)]
pub(super) struct Combiner {
    known: HashMap<(u32, u32), u32, RandomState>,
}

impl Combiner {
    /// Puts another key's numbers to those of the keys before.
    pub(super) fn combine(&mut self, codes: &mut [u32], others: &[u32], chosen: &Chosen) {
        for (row, (code, other)) in codes.iter_mut().zip(others).enumerate() {
            if chosen.has(row) {
                let next = u32::try_from(self.known.len()).unwrap_or(u32::MAX);
                *code = *self.known.entry((*code, *other)).or_insert(next);
            }
        }
    }
}
