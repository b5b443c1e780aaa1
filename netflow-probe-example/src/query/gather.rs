//! Groups and series of stored flows, made from columns.

use std::io;

use netflow_codec::Timestamp;

use super::{
    coding::{Coder, Combiner},
    groups::{Groups, Totals},
    key::Side,
    scan::{ChosenRows, Gather, SummedUp},
    series::{Series, Sums},
    value::Value,
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

    /// Octets, packets, starts and ends, when each row has them and none is multiplied.
    fn whole(&self) -> Option<[&'a [u64]; 4]> {
        let of = |numbers: Option<&'a Numbers>| {
            numbers.filter(|numbers| numbers.present.is_none()).map(|numbers| numbers.values.as_slice())
        };
        match self.sampling {
            None => Some([of(self.octets)?, of(self.packets)?, of(self.start)?, of(self.end)?]),
            Some(_) => None,
        }
    }

    /// What the rows that are chosen come to.
    fn total(&self, chosen: &Chosen) -> Local {
        let mut total = Local::EMPTY;
        match self.whole() {
            Some([octets, packets, starts, ends]) if *chosen == Chosen::All => {
                let sum = |numbers: &[u64]| {
                    let sum: u128 = numbers.iter().map(|number| u128::from(*number)).sum();
                    u64::try_from(sum).unwrap_or(u64::MAX)
                };
                total.sums = Sums { flows: self.rows as u64, packets: sum(packets), octets: sum(octets) };
                total.first = starts.iter().copied().min().unwrap_or(u64::MAX);
                total.last = ends.iter().copied().max().map_or(0, |end| end.saturating_add(1));
            }
            _ => {
                for row in (0..self.rows).filter(|row| chosen.has(*row)) {
                    total.add(self, row);
                }
            }
        }
        total
    }

    fn start(&self, row: usize) -> Option<u64> {
        self.start.and_then(|numbers| numbers.get(row))
    }

    fn end(&self, row: usize) -> Option<u64> {
        self.end.and_then(|numbers| numbers.get(row))
    }
}

/// Totals of a group; times without options.
#[derive(Clone, Copy, Debug)]
struct Local {
    sums: Sums,
    /// Nanoseconds; the greatest number when there is none.
    first: u64,
    /// Nanoseconds, and one more: 0 when there is none.
    last: u64,
}

impl Local {
    const EMPTY: Self = Self { sums: Sums { flows: 0, packets: 0, octets: 0 }, first: u64::MAX, last: 0 };

    fn add(&mut self, measures: &Measures<'_>, row: usize) {
        self.sums.add(&measures.sums(row));
        self.first = self.first.min(measures.start(row).unwrap_or(u64::MAX));
        self.last = self.last.max(measures.end(row).map_or(0, |end| end.saturating_add(1)));
    }

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
    scaled: bool,
    /// Of each of the groups, what is not in them yet.
    gathering: Vec<Gathering>,
}

impl GroupsOfStore {
    /// Fills groups; counters multiplied by the sampling rate of each flow if so asked and the rate is known.
    #[must_use]
    pub fn new(groups: Vec<Groups>, scaled: bool) -> Self {
        let gathering = groups.iter().map(Gathering::of).collect();
        Self { groups, total: Totals::default(), scaled, gathering }
    }
}

impl Gather for GroupsOfStore {
    fn gather(&mut self, rows: &mut ChosenRows<'_>) -> io::Result<()> {
        let ChosenRows { rows, chosen } = rows;
        load(rows, self.scaled)?;
        self.total.merge(&Measures::of(rows, self.scaled).total(chosen).totals());
        for (groups, gathering) in self.groups.iter_mut().zip(&mut self.gathering) {
            gathering.gather(groups, rows, chosen, self.scaled)?;
        }
        Ok(())
    }

    fn summed_up(&mut self, summary: &SummedUp<'_>) -> bool {
        let is_of_protocols = |groups: &Groups| matches!(groups.keys(), [key] if key.name() == "proto");
        if !self.groups.iter().all(is_of_protocols) {
            return false;
        }
        let Some(summary) = summary.read() else { return false };
        for of in summary.protocols() {
            let (packets, octets) = of.total.counts(self.scaled);
            let (first, last) = (of.first.map(Timestamp::from_nanos), of.last.map(Timestamp::from_nanos));
            let totals = Totals { flows: of.total.flows, packets, octets, first, last };
            self.total.merge(&totals);
            for groups in &mut self.groups {
                groups.add_totals(&[of.protocol.map(Value::Protocol)], &totals);
            }
        }
        true
    }

    fn finish(&mut self) {
        for (groups, gathering) in self.groups.iter_mut().zip(&mut self.gathering) {
            gathering.hand_over(groups);
        }
    }

    fn merge(&mut self, other: Self) {
        for (groups, others) in self.groups.iter_mut().zip(other.groups) {
            groups.merge(others);
        }
        let gathering = self.gathering.iter_mut().zip(&other.gathering);
        for ((gathering, others), groups) in gathering.zip(&mut self.groups) {
            gathering.merge(others);
            if gathering.is_full() {
                gathering.hand_over(groups);
            }
        }
        self.total.merge(&other.total);
    }
}

/// Rows whose groups are brought into the cache together.
const AT_ONCE: usize = 1 << 10;

/// Groups by the numbers of their values.
#[derive(Clone, Debug)]
struct Gathering {
    coders: Vec<Coder>,
    /// Of each key but the first.
    combiners: Vec<Combiner>,
    locals: Vec<Local>,
}

impl Gathering {
    /// Groups, or values of a key, from which on they are handed over.
    const MOST: usize = 1 << 19;

    fn of(groups: &Groups) -> Self {
        let count = groups.keys().len();
        Self {
            coders: vec![Coder::default(); count],
            combiners: vec![Combiner::default(); count.saturating_sub(1)],
            locals: Vec::new(),
        }
    }

    fn gather(
        &mut self,
        groups: &mut Groups,
        rows: &mut Rows,
        chosen: &Chosen,
        scaled: bool,
    ) -> io::Result<()> {
        let first = self.codes(groups, rows, chosen, Side::First)?;
        let second = if groups.keys().iter().any(super::key::Key::has_two_sides) {
            Some(self.codes(groups, rows, chosen, Side::Second)?)
        } else {
            None
        };
        let measures = Measures::of(rows, scaled);
        self.add(&measures, &first, chosen, |_| true);
        if let Some(second) = second {
            // A flow whose sides agree counts once.
            self.add(&measures, &second, chosen, |row| first.get(row) != second.get(row));
        }
        if self.is_full() {
            self.hand_over(groups);
        }
        Ok(())
    }

    /// Whether it is time to hand over: values are numbered of rows that are not chosen, too.
    fn is_full(&self) -> bool {
        let values = self.coders.iter().map(|coder| coder.values.len()).max().unwrap_or(0);
        self.locals.len().max(values) >= Self::MOST
    }

    /// The number of each row's group, by one side.
    fn codes(
        &mut self,
        groups: &Groups,
        rows: &mut Rows,
        chosen: &Chosen,
        side: Side,
    ) -> io::Result<Vec<u32>> {
        let mut all = Vec::new();
        for (place, (key, coder)) in groups.keys().iter().zip(&mut self.coders).enumerate() {
            let side = if key.has_two_sides() { side } else { Side::First };
            let codes = coder.codes(key, side, rows, chosen)?;
            match place.checked_sub(1).and_then(|place| self.combiners.get_mut(place)) {
                None => all = codes,
                Some(combiner) => combiner.combine(&mut all, &codes, chosen),
            }
        }
        Ok(all)
    }

    /// Adds the rows that are chosen to the totals of their groups.
    fn add(
        &mut self,
        measures: &Measures<'_>,
        codes: &[u32],
        chosen: &Chosen,
        counts: impl Fn(usize) -> bool,
    ) {
        let known = match self.combiners.last() {
            Some(combiner) => combiner.pairs.len(),
            None => self.coders.first().map_or(0, |coder| coder.values.len()),
        };
        self.locals.resize(known.max(self.locals.len()), Local::EMPTY);
        if let Some([octets, packets, starts, ends]) = measures.whole() {
            let amounts = octets.iter().zip(packets).zip(starts.iter().zip(ends));
            let mut rows = codes.iter().enumerate().zip(amounts);
            for next in codes.chunks(AT_ONCE) {
                // The processor waits for many lines of memory at once when nothing else is to be done with them.
                let touch = |sum, code: &u32| {
                    sum ^ self.locals.get(*code as usize).map_or(0, |local| local.sums.octets)
                };
                core::hint::black_box(next.iter().fold(0, touch));
                for ((row, code), ((octets, packets), (start, end))) in rows.by_ref().take(next.len()) {
                    if chosen.has(row)
                        && counts(row)
                        && let Some(local) = self.locals.get_mut(*code as usize)
                    {
                        local.sums.add(&Sums { flows: 1, packets: *packets, octets: *octets });
                        local.first = local.first.min(*start);
                        local.last = local.last.max(end.saturating_add(1));
                    }
                }
            }
            return;
        }
        for (row, code) in codes.iter().enumerate() {
            if chosen.has(row)
                && counts(row)
                && let Some(local) = self.locals.get_mut(*code as usize)
            {
                local.add(measures, row);
            }
        }
    }

    /// Takes what another thread has gathered, whose numbers are other ones.
    fn merge(&mut self, other: &Self) {
        let mut own = Vec::new();
        for (place, (coder, others)) in self.coders.iter_mut().zip(&other.coders).enumerate() {
            let of_key: Vec<u32> = others.values.iter().map(|value| coder.code(*value)).collect();
            let at = |numbers: &[u32], code: u32| numbers.get(code as usize).copied().unwrap_or(0);
            match place
                .checked_sub(1)
                .and_then(|place| Some((self.combiners.get_mut(place)?, other.combiners.get(place)?)))
            {
                None => own = of_key,
                Some((combiner, others)) => {
                    let pairs = others.pairs.iter();
                    own = pairs
                        .map(|(before, code)| combiner.code((at(&own, *before), at(&of_key, *code))))
                        .collect();
                }
            }
        }
        let known = own.iter().max().map_or(0, |most| *most as usize + 1);
        self.locals.resize(known.max(self.locals.len()), Local::EMPTY);
        for (code, local) in own.iter().zip(&other.locals) {
            if let Some(own) = self.locals.get_mut(*code as usize) {
                own.sums.add(&local.sums);
                own.first = own.first.min(local.first);
                own.last = own.last.max(local.last);
            }
        }
    }

    /// Puts what was gathered into the groups.
    fn hand_over(&mut self, groups: &mut Groups) {
        let mut values = vec![None; self.coders.len()];
        let are_new = groups.expect(self.locals.len());
        for (code, local) in self.locals.drain(..).enumerate().filter(|(_, local)| local.sums.flows > 0) {
            let mut code = u32::try_from(code).unwrap_or(u32::MAX);
            for place in (0..values.len()).rev() {
                let mut of_key = code;
                if let Some(combiner) = place.checked_sub(1).and_then(|place| self.combiners.get(place)) {
                    (code, of_key) = combiner.pairs.get(code as usize).copied().unwrap_or_default();
                }
                let coder = self.coders.get(place);
                let value = coder.and_then(|coder| coder.values.get(of_key as usize)).copied().flatten();
                if let Some(slot) = values.get_mut(place) {
                    *slot = value;
                }
            }
            if are_new {
                groups.add_new(&values, &local.totals());
            } else {
                groups.add_totals(&values, &local.totals());
            }
        }
        self.coders.iter_mut().for_each(Coder::clear);
        self.combiners.iter_mut().for_each(Combiner::clear);
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

    fn summed_up(&mut self, summary: &SummedUp<'_>) -> bool {
        self.series.add_summary(|| summary.read(), self.scaled)
    }

    fn merge(&mut self, other: Self) {
        self.series.merge(&other.series);
    }
}
