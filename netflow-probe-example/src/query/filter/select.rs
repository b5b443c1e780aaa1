//! A filter over columns: which row groups can have flows that pass, and which rows they are. What it says of a row is
//! what [`Expression::holds`] says of its flow.

use std::io::Result;

use super::expression::{Comparison, Condition, Expression, Subject, Test};
use crate::{
    flow::Cell,
    query::value::{Getter, Value},
    store::{Bloom, Chosen, Column, ColumnSet, Group, Rows, each_cell},
};

/// Addresses that are looked for in a Bloom filter, at most.
const ADDRESSES: usize = 1_000;

impl Expression {
    /// Whether it can hold for some flow of a row group.
    pub(super) fn may_hold(&self, group: &Group) -> bool {
        match self {
            // What does not hold for some flow is not known.
            Self::Any | Self::Not(_) => true,
            Self::And(parts) => parts.iter().all(|part| part.may_hold(group)),
            Self::Or(parts) => parts.iter().any(|part| part.may_hold(group)),
            Self::Test(test) => test.may_hold(group),
        }
    }

    /// The rows for whose flows it holds, of those that are asked about; of the others nothing is said.
    pub(super) fn choose(&self, rows: &mut Rows, among: &Chosen) -> Result<Chosen> {
        match self {
            Self::Any => Ok(among.clone()),
            Self::Not(inner) => Ok(inner.choose(rows, among)?.not().and(among.clone())),
            Self::And(parts) => {
                let mut parts: Vec<&Self> = parts.iter().collect();
                parts.sort_by_key(|part| part.cost());
                let mut chosen = among.clone();
                for part in parts {
                    if chosen == Chosen::None {
                        break;
                    }
                    chosen = part.choose(rows, &chosen)?.and(chosen);
                }
                Ok(chosen)
            }
            Self::Or(parts) => {
                let mut chosen = Chosen::None;
                for part in parts {
                    if chosen == Chosen::All {
                        break;
                    }
                    chosen = part.choose(rows, among)?.or(chosen);
                }
                Ok(chosen.and(among.clone()))
            }
            Self::Test(test) => test.choose(rows, among),
        }
    }

    /// Grows with what it costs, and what it is likely to leave over.
    fn cost(&self) -> u32 {
        match self {
            Self::Any => 0,
            Self::Not(inner) => inner.cost() + 1,
            Self::And(parts) => parts.iter().map(Self::cost).min().unwrap_or(0),
            Self::Or(parts) => parts.iter().map(Self::cost).sum(),
            Self::Test(test) => match (&test.is, test.of) {
                (Condition::In(_), _) => 1,
                (_, Subject::One(getter)) if getter.only_column().is_some() => 2,
                _ => 5,
            },
        }
    }
}

impl Test {
    fn may_hold(&self, group: &Group) -> bool {
        let may = |getter: Getter| self.is.may_admit(getter, group);
        match self.of {
            Subject::One(getter) => may(getter),
            Subject::Either(first, second) => may(first) || may(second),
            Subject::Both(first, second) => may(first) && may(second),
        }
    }

    fn choose(&self, rows: &mut Rows, among: &Chosen) -> Result<Chosen> {
        let chosen = match self.of {
            Subject::One(getter) => self.is.choose(getter, rows, among)?,
            Subject::Either(first, second) => {
                self.is.choose(first, rows, among)?.or(self.is.choose(second, rows, among)?)
            }
            Subject::Both(first, second) => {
                let chosen = self.is.choose(first, rows, among)?;
                if chosen == Chosen::None { chosen } else { self.is.choose(second, rows, among)?.and(chosen) }
            }
        };
        Ok(chosen.and(among.clone()))
    }
}

impl Condition {
    /// Whether a Bloom filter excludes all the addresses that there may be.
    fn is_excluded(&self, bloom: impl FnOnce() -> Option<Bloom>) -> bool {
        let Self::In(set) = self else { return false };
        let Some(addresses) = set.addresses(ADDRESSES) else { return false };
        bloom().is_some_and(|bloom| !addresses.iter().any(|address| bloom.may_hold(*address)))
    }

    /// Whether a row group can have such a value.
    fn may_admit(&self, getter: Getter, group: &Group) -> bool {
        if let (Self::In(_), Some(column)) = (self, getter.only_column()) {
            return !self.is_excluded(|| group.bloom(column));
        }
        let bounds = getter.plain_column().and_then(|column| group.bounds(column));
        bounds.is_none_or(|(low, high)| match self {
            Self::Compared(comparison, wanted) => match comparison {
                Comparison::Equal => (low..=high).contains(wanted),
                Comparison::NotEqual => low != *wanted || high != *wanted,
                Comparison::Less => low < *wanted,
                Comparison::LessOrEqual => low <= *wanted,
                Comparison::Greater => high > *wanted,
                Comparison::GreaterOrEqual => high >= *wanted,
            },
            Self::OneOf(numbers) => numbers.iter().any(|number| (low..=high).contains(number)),
            Self::In(_) | Self::Mac(_) | Self::Bits(_) | Self::NoBits(_) => true,
        })
    }

    fn choose(&self, getter: Getter, rows: &mut Rows, among: &Chosen) -> Result<Chosen> {
        if let Some(column) = getter.only_column() {
            if self.is_excluded(|| rows.bloom(column)) {
                return Ok(Chosen::None);
            }
            match rows.column(column)? {
                Column::Numbers(numbers) if getter.plain_column().is_some() => {
                    let admits = |number: &u64| self.admits_number(*number);
                    return Ok(Chosen::some(match &numbers.present {
                        None => numbers.values.iter().map(admits).collect(),
                        Some(present) => present
                            .iter()
                            .zip(&numbers.values)
                            .map(|(is_there, number)| *is_there && admits(number))
                            .collect(),
                    }));
                }
                Column::Coded(coded) => {
                    let mut admitted = Vec::with_capacity(coded.cells.len() + 1);
                    if getter.plain_column().is_some() {
                        let admits =
                            |cell: &Cell| Value::of_cell(*cell).is_some_and(|value| self.admits(value));
                        admitted.extend(coded.cells.iter().map(admits).chain([false]));
                    } else {
                        each_cell(column, &coded.cells, |flow| {
                            admitted.push(getter.of(flow).is_some_and(|value| self.admits(value)));
                        });
                    }
                    // The last is of rows without a value.
                    let of_none = admitted.last().is_some_and(|it| *it);
                    if admitted.iter().all(|it| !it) {
                        return Ok(Chosen::None);
                    }
                    let admits = |code: &u32| admitted.get(*code as usize).copied().unwrap_or(of_none);
                    return Ok(Chosen::some(coded.codes.iter().map(admits).collect()));
                }
                _ => {}
            }
        }
        let mut holds = vec![false; rows.len()];
        rows.each(ColumnSet::of(getter.columns()), among, |row, flow| {
            if let Some(holds) = holds.get_mut(row) {
                *holds = getter.of(flow).is_some_and(|value| self.admits(value));
            }
            Ok(())
        })?;
        Ok(Chosen::some(holds))
    }
}
