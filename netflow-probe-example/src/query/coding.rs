//! Values of keys as small numbers, so that rows are grouped by counting.

use core::net::IpAddr;
use std::{collections::HashMap, io};

use foldhash::fast::RandomState;

use super::{
    key::{Key, Side},
    numbering::{Hint, Numbering},
    value::Value,
};
use crate::{
    flow::Cell,
    store::{Chosen, Column, ColumnSet, Rows, each_cell},
};

/// The values of a key that have come up, each with a number.
#[derive(Clone, Debug, Default)]
pub(super) struct Coder {
    /// Addresses of IPv4, which are most of what there are many of.
    v4: Numbering,
    others: HashMap<Option<Value>, u32, RandomState>,
    pub(super) values: Vec<Option<Value>>,
}

impl Coder {
    /// The number of a value.
    pub(super) fn code(&mut self, value: Option<Value>) -> u32 {
        let Self { v4, others, values } = self;
        let new = || {
            values.push(value);
            u32::try_from(values.len() - 1).unwrap_or(u32::MAX)
        };
        match value {
            Some(Value::Address(IpAddr::V4(address))) => v4.number(address.to_bits(), new),
            value => *others.entry(value).or_insert_with(new),
        }
    }

    /// The number of an address of IPv4, which is the value.
    fn v4_code(&mut self, hint: Hint, address: u32, value: Option<Value>) -> u32 {
        let values = &mut self.values;
        self.v4.number_by(hint, address, || {
            values.push(value);
            u32::try_from(values.len() - 1).unwrap_or(u32::MAX)
        })
    }

    /// Forgets all values.
    pub(super) fn clear(&mut self) {
        self.v4.clear();
        self.others.clear();
        self.values.clear();
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
        if let [column] = columns.as_slice() {
            let is_plain = key.is_plain(side);
            match rows.column(column)? {
                Column::Coded(values) => {
                    let mut codes = Vec::with_capacity(values.cells.len() + 1);
                    if is_plain {
                        let addresses = values.cells.iter().map(|cell| match cell {
                            Cell::Address(IpAddr::V4(address)) => address.to_bits(),
                            _ => 0,
                        });
                        let hints = self.v4.hints(addresses);
                        codes.extend(values.cells.iter().zip(hints).map(|(cell, hint)| {
                            match key.of_cell(*cell) {
                                value @ Some(Value::Address(IpAddr::V4(address))) => {
                                    self.v4_code(hint, address.to_bits(), value)
                                }
                                value => self.code(value),
                            }
                        }));
                        codes.push(self.code(None));
                    } else {
                        each_cell(column, &values.cells, |flow| codes.push(self.code(key.value(side, flow))));
                    }
                    // The last is of rows without a value.
                    let of_none = codes.last().copied().unwrap_or(0);
                    if values.is_in_order {
                        codes.pop();
                        return Ok(codes);
                    }
                    return Ok(values
                        .codes
                        .iter()
                        .map(|code| codes.get(*code as usize).copied().unwrap_or(of_none))
                        .collect());
                }
                Column::Numbers(numbers) if is_plain => {
                    let mut last = None;
                    return Ok((0..numbers.values.len())
                        .map(|row| {
                            let value = numbers.get(row);
                            match last {
                                // Neighbours often have the same.
                                Some((known, code)) if known == value => code,
                                _ => {
                                    let code = self.code(value.map(Value::Number));
                                    last = Some((value, code));
                                    code
                                }
                            }
                        })
                        .collect());
                }
                _ => {}
            }
        }
        let mut codes = vec![0; rows.len()];
        let mut last = None;
        rows.each(ColumnSet::of(&columns), chosen, |row, flow| {
            let value = key.value(side, flow);
            let code = match last {
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

/// Combinations of the values of several keys, each with a number.
#[derive(Clone, Debug, Default)]
pub(super) struct Combiner {
    known: HashMap<(u32, u32), u32, RandomState>,
    pub(super) pairs: Vec<(u32, u32)>,
}

impl Combiner {
    /// Puts another key's numbers to those of the keys before.
    pub(super) fn combine(&mut self, codes: &mut [u32], others: &[u32], chosen: &Chosen) {
        for (row, (code, other)) in codes.iter_mut().zip(others).enumerate() {
            if chosen.has(row) {
                *code = self.code((*code, *other));
            }
        }
    }

    /// The number of a combination.
    pub(super) fn code(&mut self, pair: (u32, u32)) -> u32 {
        let Self { known, pairs } = self;
        *known.entry(pair).or_insert_with(|| {
            pairs.push(pair);
            u32::try_from(pairs.len() - 1).unwrap_or(u32::MAX)
        })
    }

    /// Forgets all combinations.
    pub(super) fn clear(&mut self) {
        self.known.clear();
        self.pairs.clear();
    }
}
