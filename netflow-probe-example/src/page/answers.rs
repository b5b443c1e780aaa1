//! Answers from the store, as JSON.

use core::{cell::RefCell, time::Duration};
use std::{
    io::{self, Write},
    path::PathBuf,
    rc::Rc,
    sync::{Condvar, Mutex, PoisonError},
    time::Instant,
};

use serde_json::{Value as Json, json};

use super::parameters::{Parameters, Wrong, window};
use crate::{
    flow::Flow,
    output::{FlowSink as _, Format, OrderedSink},
    query::{
        Bins, Filter, Groups, Key, Order, Series, Totals, Values, Window, group_json, summary_json,
        value_json,
    },
    store::{ReadError, StoreReader},
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
        Self { store, turns: Turns::new() }
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
        let values = match &key {
            // There are few protocols: each can have a line.
            Some(key) if key.name() != "proto" => {
                let mut groups = Groups::new(vec![key.clone()], GROUPS, Order::Octets);
                self.scan(asked.window(), filter, |flow| groups.add(flow, is_scaled))?;
                let ranking = groups.ranking(Order::Octets, count);
                Some(ranking.into_iter().map(|(values, _)| values.clone()).collect::<Vec<Values>>())
            }
            _ => None,
        };
        let mut series = Series::new(bins, key, values);
        let damaged = self.scan(asked.window(), filter, |flow| series.add(flow, is_scaled))?;
        Ok((series, damaged))
    }

    /// The greatest of the window.
    pub(super) fn top(&self, parameters: &Parameters) -> Result<Json, Wrong> {
        let asked = self.asked(parameters)?;
        let filter = parameters.filter()?;
        let order = parameters.order(Order::Octets)?;
        let keys = parameters.keys("srcip")?;
        let count = usize::try_from(parameters.number("n", 20, ROWS)?).unwrap_or(20);
        let is_scaled = parameters.is_set("scaled");
        let mut groups = Groups::new(keys, GROUPS, order);
        let mut total = Totals::default();
        let damaged = self.scan(asked.window(), &filter, |flow| {
            groups.add(flow, is_scaled);
            total.add(flow, is_scaled);
        })?;
        let rows: Vec<Json> = groups
            .ranking(order, count)
            .into_iter()
            .map(|(values, totals)| group_json(&groups, values, totals))
            .collect();
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
        let mut failed = None;
        let damaged = self
            .scan(asked.window(), &filter, |flow| failed = failed.take().or_else(|| sink.flow(flow).err()))?;
        if let Some(error) = failed.or_else(|| sink.flush().err()) {
            return Err(Wrong::new(error.to_string()));
        }
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
        let mut groups = Groups::new(keys, 10_000, Order::Flows);
        let damaged = self.scan(asked.window(), &parameters.filter()?, |flow| groups.add(flow, false))?;
        let rows: Vec<Json> = groups
            .ranking(Order::Octets, 1_000)
            .into_iter()
            .map(|(values, totals)| group_json(&groups, values, totals))
            .collect();
        Ok(json!({ "stored": rows, "incomplete": damaged }))
    }

    fn open(&self, window: Window) -> Result<StoreReader, Wrong> {
        StoreReader::open(&self.store, window.from, window.to)
            .map_err(|error| Wrong::new(format!("cannot read the store {}: {error}", self.store.display())))
    }

    /// Shows the flows of the window that the filter lets pass. Returns which files are damaged.
    fn scan(
        &self,
        window: Window,
        filter: &Filter,
        mut visit: impl FnMut(&Flow<'_>),
    ) -> Result<Vec<String>, Wrong> {
        let reader = self.open(window)?;
        let _turn = self.turns.take()?;
        let mut damaged = Vec::new();
        for file in reader.files() {
            let read = reader.read(file, |flow| {
                if window.admits(flow) && filter.matches(flow) {
                    visit(flow);
                }
                Ok(())
            });
            if let Err(ReadError::File(error) | ReadError::Visit(error)) = read {
                damaged.push(format!("{}: {error}", file.display()));
            }
        }
        Ok(damaged)
    }
}

/// Scans that go on at the same time: each may use all cores, and its share of memory.
#[derive(Debug)]
struct Turns {
    taken: Mutex<usize>,
    freed: Condvar,
}

struct Turn<'a>(&'a Turns);

impl Turns {
    const AT_ONCE: usize = 2;
    const PATIENCE: Duration = Duration::from_secs(60);

    const fn new() -> Self {
        Self { taken: Mutex::new(0), freed: Condvar::new() }
    }

    fn take(&self) -> Result<Turn<'_>, Wrong> {
        let until = Instant::now() + Self::PATIENCE;
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        while *taken >= Self::AT_ONCE {
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

/// Memory that a sink writes to.
#[derive(Clone, Default)]
struct Buffer(Rc<RefCell<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
