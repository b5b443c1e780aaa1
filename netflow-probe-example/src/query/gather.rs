//! Groups and series of stored flows, made from columns.

use std::io;

use netflow_codec::Timestamp;

use super::{
    coding::{Coder, Combiner},
    groups::{Groups, Totals},
    key::Side,
    scan::{ChosenRows, Gather},
    series::{Series, Sums},
};
use crate::store::{Chosen, Numbers, Rows};

/// What is summed up of a flow.
const MEASURES: [&str; 4] = ["bytes", "packets", "time_flow_start_ns", "time_flow_end_ns"];

/// Loads what is summed up, and the rates if it is to be scaled.
fn load(rows: &mut Rows, scaled: bool) -> io::Result<()> {
    for column in MEASURES {
        rows.column(column)?;
    }
    if scaled {
        rows.column("sampling_rate")?;
    }
    Ok(())
}

/// What is summed up of each row.
struct Measures<'a> {
    rows: usize,
    octets: Option<&'a Numbers>,
    packets: Option<&'a Numbers>,
    start: Option<&'a Numbers>,
    end: Option<&'a Numbers>,
    sampling: Option<&'a Numbers>,
}

impl<'a> Measures<'a> {
    fn of(rows: &'a Rows, scaled: bool) -> Self {
        let [octets, packets, start, end] = MEASURES.map(|column| rows.numbers(column));
        let sampling = if scaled { rows.numbers("sampling_rate") } else { None };
        Self { rows: rows.len(), octets, packets, start, end, sampling }
    }

    fn sums(&self, row: usize) -> Sums {
        let number = |numbers: Option<&Numbers>| numbers.and_then(|numbers| numbers.get(row));
        let (octets, packets) = (number(self.octets).unwrap_or(0), number(self.packets).unwrap_or(0));
        match number(self.sampling) {
            None => Sums { flows: 1, packets, octets },
            Some(rate) => {
                Sums { flows: 1, packets: packets.saturating_mul(rate), octets: octets.saturating_mul(rate) }
            }
        }
    }

    fn start(&self, row: usize) -> Option<u64> {
        self.start.and_then(|numbers| numbers.get(row))
    }

    fn end(&self, row: usize) -> Option<u64> {
        self.end.and_then(|numbers| numbers.get(row))
    }
}

/// Totals of a group in a row group; times without options.
#[derive(Clone, Copy)]
struct Local {
    sums: Sums,
    /// Nanoseconds; the greatest number when there is none.
    first: u64,
    /// Nanoseconds, and one more: 0 when there is none.
    last: u64,
    /// Where its values are: the row of one of its flows, and the side.
    row: u32,
    side: Side,
}

impl Local {
    const EMPTY: Self = Self {
        sums: Sums { flows: 0, packets: 0, octets: 0 },
        first: u64::MAX,
        last: 0,
        row: 0,
        side: Side::First,
    };

    fn totals(&self) -> Totals {
        Totals {
            flows: self.sums.flows,
            packets: self.sums.packets,
            octets: self.sums.octets,
            first: (self.first < u64::MAX).then(|| Timestamp::from_nanos(self.first)),
            last: self.last.checked_sub(1).map(Timestamp::from_nanos),
        }
    }
}

/// Groups by several lists of keys at once, and what all flows come to.
#[derive(Clone, Debug)]
pub struct GroupsOfStore {
    /// The groups.
    pub groups: Vec<Groups>,
    /// What all flows come to.
    pub total: Totals,
    /// Whether counters are multiplied by the sampling rate.
    pub scaled: bool,
}

impl Gather for GroupsOfStore {
    fn gather(&mut self, rows: &mut ChosenRows<'_>) -> io::Result<()> {
        let ChosenRows { rows, chosen } = rows;
        load(rows, self.scaled)?;
        let mut total = vec![Local::EMPTY];
        add(&mut total, &Measures::of(rows, self.scaled), &[], chosen, Side::First, |_| true);
        for local in total {
            self.total.merge(&local.totals());
        }
        for groups in &mut self.groups {
            group(groups, rows, chosen, self.scaled)?;
        }
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        for (groups, others) in self.groups.iter_mut().zip(&other.groups) {
            groups.merge(others);
        }
        self.total.merge(&other.total);
    }
}

/// The codes of the rows for each key, of one side.
fn codes(
    groups: &Groups,
    coders: &mut [Coder],
    rows: &mut Rows,
    chosen: &Chosen,
    side: Side,
) -> io::Result<Vec<Vec<u32>>> {
    let keys = groups.keys().iter().zip(coders);
    keys.map(|(key, coder)| {
        let side = if key.has_two_sides() { side } else { Side::First };
        coder.codes(key, side, rows, chosen)
    })
    .collect()
}

fn group(groups: &mut Groups, rows: &mut Rows, chosen: &Chosen, scaled: bool) -> io::Result<()> {
    let mut coders: Vec<Coder> = groups.keys().iter().map(|_| Coder::default()).collect();
    let first = codes(groups, &mut coders, rows, chosen, Side::First)?;
    let second = if groups.keys().iter().any(super::key::Key::has_two_sides) {
        codes(groups, &mut coders, rows, chosen, Side::Second)?
    } else {
        Vec::new()
    };
    let mut combiners: Vec<Combiner> = first.iter().skip(1).map(|_| Combiner::default()).collect();
    let mut combined = |of: &[Vec<u32>]| {
        let mut all = of.first().cloned().unwrap_or_default();
        for (combiner, others) in combiners.iter_mut().zip(of.iter().skip(1)) {
            combiner.combine(&mut all, others, chosen);
        }
        all
    };
    let (all_first, all_second) = (combined(&first), combined(&second));
    let measures = Measures::of(rows, scaled);
    let mut locals = Vec::new();
    add(&mut locals, &measures, &all_first, chosen, Side::First, |_| true);
    if !second.is_empty() {
        // A flow whose sides agree counts once.
        let differs = |row: usize| all_first.get(row) != all_second.get(row);
        add(&mut locals, &measures, &all_second, chosen, Side::Second, differs);
    }
    let mut values = vec![None; coders.len()];
    for local in locals.iter().filter(|local| local.sums.flows > 0) {
        let of_side = if local.side == Side::First { &first } else { &second };
        for ((value, codes), coder) in values.iter_mut().zip(of_side).zip(&coders) {
            let code = codes.get(local.row as usize).copied().unwrap_or(u32::MAX);
            *value = coder.values.get(code as usize).copied().flatten();
        }
        groups.add_totals(&values, &local.totals());
    }
    Ok(())
}

/// Adds the rows that are chosen to the totals of their codes; without codes all rows have the code 0.
fn add(
    locals: &mut Vec<Local>,
    measures: &Measures<'_>,
    codes: &[u32],
    chosen: &Chosen,
    side: Side,
    counts: impl Fn(usize) -> bool,
) {
    let most = codes.iter().max().map_or(0, |most| *most as usize);
    if locals.len() <= most {
        locals.resize(most + 1, Local::EMPTY);
    }
    for row in (0..measures.rows).filter(|row| chosen.has(*row) && counts(*row)) {
        let code = codes.get(row).map_or(0, |code| *code as usize);
        let Some(local) = locals.get_mut(code) else { continue };
        if local.sums.flows == 0 {
            (local.row, local.side) = (u32::try_from(row).unwrap_or(0), side);
        }
        local.sums.add(&measures.sums(row));
        local.first = local.first.min(measures.start(row).unwrap_or(u64::MAX));
        local.last = local.last.max(measures.end(row).map_or(0, |end| end.saturating_add(1)));
    }
}

/// Traffic over time.
#[derive(Clone, Debug)]
pub struct SeriesOfStore {
    /// The series.
    pub series: Series,
    /// Whether counters are multiplied by the sampling rate.
    pub scaled: bool,
}

impl Gather for SeriesOfStore {
    fn gather(&mut self, rows: &mut ChosenRows<'_>) -> io::Result<()> {
        let ChosenRows { rows, chosen } = rows;
        load(rows, self.scaled)?;
        let mut coder = Coder::default();
        let lines = match self.series.key() {
            None => Vec::new(),
            Some(key) => coder.codes(key, Side::First, rows, chosen)?,
        };
        // A line for each value that some flow has.
        let mut places = vec![None; coder.values.len().max(1)];
        let measures = Measures::of(rows, self.scaled);
        for row in (0..rows.len()).filter(|row| chosen.has(*row)) {
            let code = lines.get(row).map_or(0, |code| *code as usize);
            let Some(slot) = places.get_mut(code) else { continue };
            let place = *slot.get_or_insert_with(|| {
                let value = coder.values.get(code).copied().flatten();
                if lines.is_empty() { 0 } else { self.series.place([value].into()) }
            });
            let (start, end) = match (measures.start(row), measures.end(row)) {
                (Some(start), Some(end)) => (start, end),
                (Some(time), None) | (None, Some(time)) => (time, time),
                (None, None) => {
                    self.series.leave_out();
                    continue;
                }
            };
            let whole = measures.sums(row);
            self.series.share(place, Timestamp::from_nanos(start), Timestamp::from_nanos(end), &whole);
        }
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        self.series.merge(&other.series);
    }
}
