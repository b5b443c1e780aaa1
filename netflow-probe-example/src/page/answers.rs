//! Answers from the store, as JSON.

use core::time::Duration;
use std::{
    io,
    path::PathBuf,
    sync::{Condvar, Mutex, PoisonError},
    time::Instant,
};

use serde_json::{Value as Json, json};

use super::parameters::{Parameters, Wrong, window};
use crate::{
    flow::Flow,
    output::{Buffer, FlowSink as _, Format, OrderedSink},
    query::{
        Bins, Damaged, Filter, Gather, Groups, GroupsOfStore, Key, Order, Question, Scanned, Series,
        SeriesOfStore, Totals, Values, Window, group_json, summary_json, value_json,
    },
    store::StoreReader,
};

/// Looks into a store.
#[derive(Debug)]
pub(super) struct Answers {
    store: PathBuf,
    turns: Turns,
}

/// The times that are asked for, in seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) from: u64,
    pub(super) to: u64,
}

impl Asked {
    const fn window(self) -> Window {
        window(self.from, self.to)
    }
}

/// Groups that are told apart at least.
const GROUPS: usize = 200_000;
/// Rows of a table, at most.
const ROWS: u64 = 1_000;
/// Bins of a graph, at most.
const BINS: u64 = 1_000;
/// Lines of a graph besides that of all others, at most.
const LINES: u64 = 12;

impl Answers {
    pub(super) const fn new(store: PathBuf) -> Self {
        Self { store, turns: Turns::new(2) }
    }

    /// What there is to look at.
    pub(super) fn span(&self) -> Result<Json, Wrong> {
        let reader = self.open(Window::default())?;
        let span = reader.span();
        Ok(json!({
            "files": reader.files().len(),
            "first": span.map(|(first, _)| first.as_secs()),
            "last": span.map(|(_, last)| last.as_secs().saturating_add(1)),
        }))
    }

    /// The window that is asked for, or else the last day of what is there.
    pub(super) fn asked(&self, parameters: &Parameters) -> Result<Asked, Wrong> {
        let (from, to) = (parameters.seconds("from")?, parameters.seconds("to")?);
        if let (Some(from), Some(to)) = (from, to) {
            return if from <= to {
                Ok(Asked { from, to })
            } else {
                Err(Wrong::new("the window ends before it begins"))
            };
        }
        let span = self.open(Window::default())?.span();
        let (first, last) =
            span.map_or((0, 0), |(first, last)| (first.as_secs(), last.as_secs().saturating_add(1)));
        let to = to.unwrap_or(last);
        let from = from.unwrap_or_else(|| first.max(to.saturating_sub(86_400)).min(to));
        if from > to {
            return Err(Wrong::new("the window ends before it begins"));
        }
        Ok(Asked { from, to })
    }

    /// Traffic over time.
    pub(super) fn series(&self, parameters: &Parameters) -> Result<Json, Wrong> {
        let asked = self.asked(parameters)?;
        let filter = parameters.filter()?;
        let is_scaled = parameters.is_set("scaled");
        let most = usize::try_from(parameters.number("bins", 200, BINS)?).unwrap_or(200);
        let count = usize::try_from(parameters.number("lines", 7, LINES)?).unwrap_or(7);
        let bins = Bins::covering(asked.from, asked.to, most);
        let key = match parameters.get("by") {
            None => None,
            Some(_) => parameters.keys("proto")?.into_iter().next(),
        };
        let (series, damaged) = self.split(asked, bins, &filter, key, count, is_scaled)?;
        let lines = series.lines();
        let (named, others): (Vec<_>, Vec<_>) = lines.into_iter().partition(|(value, _)| value.is_some());
        // Of values that have come up, only so many are shown.
        let mut rest = vec![crate::query::Sums::default(); bins.count];
        let mut has_rest = false;
        for (_, line) in named.iter().skip(count).chain(&others) {
            has_rest = true;
            for (sum, bin) in rest.iter_mut().zip(line.iter()) {
                sum.add(bin);
            }
        }
        let line_json = |name: Json, line: &[crate::query::Sums]| {
            json!({
                "name": name,
                "flows": line.iter().map(|bin| bin.flows).collect::<Vec<_>>(),
                "packets": line.iter().map(|bin| bin.packets).collect::<Vec<_>>(),
                "bytes": line.iter().map(|bin| bin.octets).collect::<Vec<_>>(),
            })
        };
        let mut shown: Vec<Json> = named
            .iter()
            .take(count)
            .map(|(value, line)| {
                let value = value.and_then(|value| value.first().copied()).flatten();
                line_json(value_json(value), line)
            })
            .collect();
        if has_rest {
            shown.push(line_json(Json::Null, &rest));
        }
        Ok(json!({
            "from": asked.from, "to": asked.to, "first": bins.first, "bin": bins.width, "bins": bins.count,
            "lines": shown, "undated": series.undated(), "incomplete": damaged,
        }))
    }

    /// A series of one line.
    pub(super) fn whole_series(&self, asked: Asked, bins: Bins, filter: &Filter) -> Result<Series, Wrong> {
        self.split(asked, bins, filter, None, 0, false).map(|(series, _)| series)
    }

    /// A series with lines for the values of the key that have the most octets.
    fn split(
        &self,
        asked: Asked,
        bins: Bins,
        filter: &Filter,
        key: Option<Key>,
        count: usize,
        is_scaled: bool,
    ) -> Result<(Series, Vec<String>), Wrong> {
        let reader = self.open(asked.window())?;
        let question = Question { reader: &reader, window: asked.window(), filter };
        let _turn = self.turns.take()?;
        let values = match &key {
            // There are few protocols: each can have a line.
            Some(key) if key.name() != "proto" => {
                let groups = vec![Groups::new(vec![key.clone()], GROUPS, Order::Octets)];
                let empty = GroupsOfStore::new(groups, is_scaled);
                let gathered = question.gather(|| empty.clone()).gathered;
                let ranking = gathered.groups.iter().flat_map(|groups| groups.ranking(Order::Octets, count));
                Some(ranking.map(|(values, _)| values.clone()).collect::<Vec<Values>>())
            }
            _ => None,
        };
        let empty = SeriesOfStore { series: Series::new(bins, key, values), scaled: is_scaled };
        let Scanned { gathered, damaged } = question.gather(|| empty.clone());
        Ok((gathered.series, told(&damaged)))
    }

    /// The greatest of the window.
    pub(super) fn top(&self, parameters: &Parameters) -> Result<Json, Wrong> {
        let asked = self.asked(parameters)?;
        let filter = parameters.filter()?;
        let order = parameters.order(Order::Octets)?;
        let keys = parameters.keys("srcip")?;
        let count = usize::try_from(parameters.number("n", 20, ROWS)?).unwrap_or(20);
        let is_scaled = parameters.is_set("scaled");
        let (groups, total, damaged) =
            self.groups(asked, &filter, Groups::new(keys, GROUPS, order), is_scaled)?;
        let rows = groups.ranking(order, count).into_iter();
        let rows: Vec<Json> = rows.map(|(values, totals)| group_json(&groups, values, totals)).collect();
        Ok(json!({
            "keys": groups.keys().iter().map(Key::name).collect::<Vec<_>>(),
            "order": order.name(), "rows": rows, "total": summary_json(&total),
            "dropped": groups.dropped().flows, "incomplete": damaged,
        }))
    }

    /// Flows themselves, those that rank first.
    pub(super) fn flows(&self, parameters: &Parameters) -> Result<Vec<u8>, Wrong> {
        let asked = self.asked(parameters)?;
        let filter = parameters.filter()?;
        let order = parameters.order(Order::Octets)?;
        let count = usize::try_from(parameters.number("n", 50, ROWS)?).unwrap_or(50);
        let rank = move |flow: &Flow<'_>| {
            let mut totals = Totals::default();
            totals.add(flow, false);
            order.rank(&totals)
        };
        let buffer = Buffer::default();
        let mut sink = OrderedSink::new(Format::Json, buffer.clone(), Box::new(rank), Some(count));
        let reader = self.open(asked.window())?;
        let question = Question { reader: &reader, window: asked.window(), filter: &filter };
        let turn = self.turns.take()?;
        let failed = |error: io::Error| Wrong::new(error.to_string());
        let damaged = told(&question.each_flow(|flow| sink.flow(flow)).map_err(failed)?);
        drop(turn);
        sink.flush().map_err(failed)?;
        let mut body = b"{\"flows\":[".to_vec();
        for (place, line) in
            buffer.0.borrow().split(|octet| *octet == b'\n').filter(|line| !line.is_empty()).enumerate()
        {
            if place > 0 {
                body.push(b',');
            }
            body.extend_from_slice(line);
        }
        body.extend_from_slice(format!("],\"incomplete\":{}}}", Json::from(damaged)).as_bytes());
        Ok(body)
    }

    /// Exporters and domains of the window, as far as stored flows tell.
    pub(super) fn exporters(&self, parameters: &Parameters) -> Result<Json, Wrong> {
        let asked = self.asked(parameters)?;
        let keys = crate::query::parse_keys("router,odid,sampling").map_err(Wrong::new)?;
        let groups = Groups::new(keys, 10_000, Order::Flows);
        let (groups, _, damaged) = self.groups(asked, &parameters.filter()?, groups, false)?;
        let rows = groups.ranking(Order::Octets, 1_000).into_iter();
        let rows: Vec<Json> = rows.map(|(values, totals)| group_json(&groups, values, totals)).collect();
        Ok(json!({ "stored": rows, "incomplete": damaged }))
    }

    /// Shows every flow of the window. Returns which files are damaged; the inner error is the visitor's.
    pub(super) fn each_flow(
        &self,
        asked: Asked,
        visit: impl FnMut(&Flow<'_>) -> io::Result<()>,
    ) -> Result<io::Result<Vec<String>>, Wrong> {
        let reader = self.open(asked.window())?;
        let filter = Filter::any();
        let question = Question { reader: &reader, window: asked.window(), filter: &filter };
        Ok(question.each_flow(visit).map(|damaged| told(&damaged)))
    }

    /// Gathers from the flows of the window. Returns which files are damaged, too.
    pub(super) fn gather<G: Gather>(
        &self,
        asked: Asked,
        make: impl Fn() -> G + Sync,
    ) -> Result<(G, Vec<String>), Wrong> {
        let reader = self.open(asked.window())?;
        let filter = Filter::any();
        let question = Question { reader: &reader, window: asked.window(), filter: &filter };
        let Scanned { gathered, damaged } = question.gather(make);
        Ok((gathered, told(&damaged)))
    }

    fn open(&self, window: Window) -> Result<StoreReader, Wrong> {
        StoreReader::open(&self.store, window.from, window.to)
            .map_err(|error| Wrong::new(format!("cannot read the store {}: {error}", self.store.display())))
    }

    /// Fills groups with the flows of the window. Returns what all of them come to, and which files are damaged.
    fn groups(
        &self,
        asked: Asked,
        filter: &Filter,
        groups: Groups,
        is_scaled: bool,
    ) -> Result<(Groups, Totals, Vec<String>), Wrong> {
        let reader = self.open(asked.window())?;
        let question = Question { reader: &reader, window: asked.window(), filter };
        let _turn = self.turns.take()?;
        let empty = GroupsOfStore::new(vec![groups], is_scaled);
        let Scanned { gathered, damaged } = question.gather(|| empty.clone());
        let groups = gathered.groups.into_iter().next();
        let groups = groups.unwrap_or_else(|| Groups::new(Vec::new(), 1, Order::Flows));
        Ok((groups, gathered.total, told(&damaged)))
    }
}

/// Which files are damaged, in words.
fn told(damaged: &[Damaged]) -> Vec<String> {
    damaged.iter().map(|Damaged { path, error }| format!("{}: {error}", path.display())).collect()
}

/// Scans that go on at the same time: each may use all cores, and its share of memory.
#[derive(Debug)]
pub(super) struct Turns {
    at_once: usize,
    taken: Mutex<usize>,
    freed: Condvar,
}

pub(super) struct Turn<'a>(&'a Turns);

impl Turns {
    const PATIENCE: Duration = Duration::from_secs(60);

    pub(super) const fn new(at_once: usize) -> Self {
        Self { at_once, taken: Mutex::new(0), freed: Condvar::new() }
    }

    pub(super) fn take(&self) -> Result<Turn<'_>, Wrong> {
        let until = Instant::now() + Self::PATIENCE;
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        while *taken >= self.at_once {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Wrong::new("too many questions at once; ask again"));
            }
            taken = self.freed.wait_timeout(taken, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        *taken += 1;
        Ok(Turn(self))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.taken.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.freed.notify_one();
    }
}
