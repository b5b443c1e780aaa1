//! What is searched for in the window on request: who talked to indicators, and attacks.
//!
//! One search at a time, in bounded memory, and for a bounded time: what is found until then is shown, with the time up to
//! which flows were looked at.

use core::time::Duration;
use std::{
    fs, io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Instant, SystemTime},
};

use serde::Serialize;
use serde_json::{Value as Json, json};

use super::{
    answers::{Answers, Asked, Turns},
    parameters::Wrong,
};
use crate::{
    flow::Flow,
    jobs::{
        Seen,
        attack::{Inquiry, Report, Survey, Thresholds},
        ioc::{self, Indicators, Search},
    },
    query::{ChosenRows, Gather},
};

/// How long the flows of a window are looked at, each time.
const PATIENCE: Duration = Duration::from_secs(20);
/// Findings that are shown, at most.
const ROWS: usize = 500;
/// Counters of the survey for attacks.
const COUNTERS: usize = 200_000;

/// Searches of a window.
#[derive(Debug)]
pub(super) struct Findings {
    files: Vec<PathBuf>,
    known: Mutex<Option<Known>>,
    turns: Turns,
}

/// Indicators, and the state of their files when they were read.
#[derive(Debug)]
struct Known {
    files: Vec<Option<(SystemTime, u64)>>,
    indicators: Arc<Indicators>,
}

impl Findings {
    pub(super) const fn new(files: Vec<PathBuf>) -> Self {
        Self { files, known: Mutex::new(None), turns: Turns::new(1) }
    }

    pub(super) const fn has_indicators(&self) -> bool {
        !self.files.is_empty()
    }

    /// Who talked to the indicators in the window.
    pub(super) fn ioc(&self, answers: &Answers, asked: Asked) -> Result<Json, Wrong> {
        if self.files.is_empty() {
            return Err(Wrong::new("there are no indicators: the server was started without --indicators"));
        }
        let _turn = self.turns.take()?;
        let indicators = self.indicators()?;
        let search = Search::new(indicators, Search::BOUND);
        let (InTime { gathered, until, .. }, damaged) =
            gather_for(PATIENCE, answers, asked, || search.clone())?;
        let mut report = gathered.finish();
        let found = report.findings.len();
        report.findings.truncate(ROWS);
        report.refused.truncate(ROWS);
        Ok(answer(&report, found, until, &damaged))
    }

    /// Attacks in the window.
    pub(super) fn attacks(&self, answers: &Answers, asked: Asked) -> Result<Json, Wrong> {
        let _turn = self.turns.take()?;
        let thresholds = Thresholds { counters: COUNTERS, ..Thresholds::default() };
        let (mut survey, mut seen) = (Survey::new(thresholds), Seen::default());
        let mut looked = look(answers, asked, |flow| {
            seen.add(flow);
            survey.add(flow);
        })?;
        let (mut inquiry, dropped) = Inquiry::new(survey);
        if !inquiry.is_empty() {
            let again = look(answers, asked, |flow| inquiry.add(flow))?;
            looked.until = looked.until.into_iter().chain(again.until).min();
        }
        let mut events = inquiry.finish();
        let found = events.len();
        events.truncate(ROWS);
        let report = Report { thresholds, seen, events, dropped };
        let Looked { damaged, until } = looked;
        Ok(answer(&report, found, until, &damaged))
    }

    /// The indicators as their files are now.
    fn indicators(&self) -> Result<Arc<Indicators>, Wrong> {
        let state = |path: &PathBuf| {
            let metadata = fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        let files: Vec<_> = self.files.iter().map(state).collect();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.as_ref().filter(|known| known.files == files) {
            return Ok(Arc::clone(&known.indicators));
        }
        let read = ioc::read(&self.files).map_err(|error| Wrong::new(error.to_string()))?;
        let indicators = Arc::new(read);
        *known = Some(Known { files, indicators: Arc::clone(&indicators) });
        Ok(indicators)
    }
}

fn answer(report: &impl Serialize, found: usize, until: Option<u64>, damaged: &[String]) -> Json {
    json!({
        "report": report, "found": found, "is_cut": until.is_some(), "until": until, "incomplete": damaged,
    })
}

/// Gathers from the flows of the window as long as there is time.
fn gather_for<G: Gather>(
    patience: Duration,
    answers: &Answers,
    asked: Asked,
    make: impl Fn() -> G + Sync,
) -> Result<(InTime<G>, Vec<String>), Wrong> {
    let end = Instant::now() + patience;
    answers.gather(asked, || InTime { gathered: make(), end, until: None })
}

/// Gathers until it is time to end.
struct InTime<G> {
    gathered: G,
    end: Instant,
    /// When the first of the flows came for which there was no time, in seconds, if there are any: all that came before
    /// were looked at.
    until: Option<u64>,
}

impl<G: Gather> Gather for InTime<G> {
    fn gather(&mut self, rows: &mut ChosenRows<'_>) -> io::Result<()> {
        if Instant::now() < self.end {
            return self.gathered.gather(rows);
        }
        let came = rows.rows.bounds("time_received_ns").map_or(0, |(first, _)| first / 1_000_000_000);
        self.until = self.until.into_iter().chain([came]).min();
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        self.gathered.merge(other.gathered);
        self.until = self.until.into_iter().chain(other.until).min();
    }

    fn finish(&mut self) {
        self.gathered.finish();
    }
}

/// What was looked at.
struct Looked {
    damaged: Vec<String>,
    /// When the last flow came that was looked at, in seconds, if there was no time for the others.
    until: Option<u64>,
}

/// Shows the flows of the window, in the order in which they came, as long as there is time.
fn look(answers: &Answers, asked: Asked, visit: impl FnMut(&Flow<'_>)) -> Result<Looked, Wrong> {
    look_for(PATIENCE, answers, asked, visit)
}

fn look_for(
    patience: Duration,
    answers: &Answers,
    asked: Asked,
    mut visit: impl FnMut(&Flow<'_>),
) -> Result<Looked, Wrong> {
    /// The clock is looked at once in so many flows.
    const STEP: u64 = 1_024;
    let end = Instant::now() + patience;
    let (mut count, mut last, mut is_over) = (0_u64, 0, false);
    let read = answers.each_flow(asked, |flow| {
        count += 1;
        if count % STEP == 0 && Instant::now() >= end {
            is_over = true;
            return Err(io::ErrorKind::TimedOut.into());
        }
        last = flow.envelope.received.as_secs();
        visit(flow);
        Ok(())
    })?;
    match read {
        Ok(damaged) => Ok(Looked { damaged, until: None }),
        Err(_) if is_over => Ok(Looked { damaged: Vec::new(), until: Some(last) }),
        Err(error) => Err(Wrong::new(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use netflow_codec::{ExportSession, ExportVersion, FlowRecord, SessionConfig, Timestamp};

    use super::*;
    use crate::{
        collector::Collector,
        store::{Store, StoreConfig},
    };

    const START: Timestamp = Timestamp::from_secs(1_772_366_400);

    /// A store of so many flows, one a second, in files of five minutes.
    fn store(flows: u64) -> (tempfile::TempDir, Answers, Asked) {
        let folder = tempfile::tempdir().unwrap();
        let mut collector = Collector::new(Store::open(StoreConfig::new(folder.path())).unwrap());
        let mut session = ExportSession::new(SessionConfig::new(ExportVersion::V9, START)).unwrap();
        let mut datagram = Vec::new();
        for second in 0..flows {
            let mut flow = FlowRecord::default();
            (flow.packets, flow.octets) = (1, 100);
            flow.source = "192.0.2.7".parse().unwrap();
            let now = Timestamp::from_secs(START.as_secs() + second);
            (flow.start, flow.end) = (now, now);
            session.handle_flow(&flow, now).unwrap();
            session.flush(now);
            while session.poll_transmit(&mut datagram).is_some() {
                collector.handle_datagram("192.0.2.1:9".parse().unwrap(), &datagram, now).unwrap();
                datagram.clear();
            }
        }
        collector.finish().unwrap();
        let answers = Answers::new(folder.path().to_owned());
        (folder, answers, Asked { from: START.as_secs(), to: START.as_secs() + 3_600 })
    }

    #[test]
    fn what_there_is_no_time_for_is_told() {
        let (_folder, answers, asked) = store(3_000);
        let mut seen = 0;
        let looked = look_for(Duration::from_secs(600), &answers, asked, |_| seen += 1).unwrap();
        assert_eq!((seen, looked.until, looked.damaged.len()), (3_000, None, 0));
        // The clock is looked at before flow 1024.
        let mut seen = 0;
        let looked = look_for(Duration::ZERO, &answers, asked, |_| seen += 1).unwrap();
        assert_eq!((seen, looked.until), (1_023, Some(START.as_secs() + 1_022)));
    }

    #[test]
    fn a_search_by_columns_tells_when_the_first_flow_came_that_there_was_no_time_for() {
        let (_folder, answers, asked) = store(3_000);
        let mut indicators = Indicators::default();
        ioc::parse("list", "192.0.2.7", &mut indicators).unwrap();
        let search = Search::new(indicators, Search::BOUND);
        let gathered = |patience| {
            let (in_time, damaged) = gather_for(patience, &answers, asked, || search.clone()).unwrap();
            assert!(damaged.is_empty());
            let report = in_time.gathered.finish();
            (
                report.seen.flows,
                report.findings.iter().map(|finding| finding.flows).sum::<u64>(),
                in_time.until,
            )
        };
        assert_eq!(gathered(Duration::from_secs(600)), (3_000, 3_000, None));
        assert_eq!(gathered(Duration::ZERO), (0, 0, Some(START.as_secs())));
    }
}
