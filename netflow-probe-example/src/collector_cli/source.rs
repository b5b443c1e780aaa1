//! Flows to look into: those of a store, or those in files.

use std::{
    io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use netflow_codec::{Strictness, Timestamp};

use super::{
    Failure,
    decode::read_files,
    session::{limits_of_files, tell},
    sinks::{CountingArgs, GeoArgs},
};
use crate::{
    collector::Collector,
    counting::Counting,
    enrichment::Enriched,
    flow::{Flow, Record},
    output::FlowSink,
    query::{Damaged, Filter, Gather, Question, Scanned, Window},
    store::StoreReader,
};

/// Which flows to look into.
#[derive(Args, Clone, Debug, Default)]
pub struct SourceArgs {
    /// Look into the flows of this store, which `listen --store` or `decode --store` wrote.
    #[arg(long, value_name = "DIR", required_unless_present = "read", conflicts_with = "read")]
    pub store: Option<PathBuf>,
    /// Look into this file, a capture file (pcap, pcapng) or a file of IPFIX messages; may be given several times.
    /// `-` is standard input.
    #[arg(long, value_name = "FILE")]
    pub read: Vec<PathBuf>,
    /// Decode datagrams to this UDP port only; may be given several times.
    #[arg(long = "port", value_name = "PORT")]
    pub ports: Vec<u16>,
    /// Flows that lasted beyond this time, as in 2026-03-01T12:00:00Z; without an offset UTC is meant.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub from: Option<Timestamp>,
    /// Flows that began before this time.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub to: Option<Timestamp>,
    /// Take the filter from this file.
    #[arg(long, short = 'f', value_name = "FILE", conflicts_with = "filter")]
    pub filter_file: Option<PathBuf>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show the text as help of the whole group")]
    pub counting: CountingArgs,
    /// Look up the AS and the country of addresses in this database of MaxMind's format; may be given several times.
    /// Stored flows have what was known when they were stored.
    #[arg(long, value_name = "FILE.mmdb", conflicts_with = "store")]
    pub geo: Vec<PathBuf>,
    /// Neither faults nor remarks on standard error.
    #[arg(long, short)]
    pub quiet: bool,
    /// Which flows, in nfdump's language: `src net 192.0.2.0/24 and dst port in [80 443] and bytes > 1M`. Several
    /// arguments are joined by blanks.
    #[arg(value_name = "FILTER")]
    pub filter: Vec<String>,
}

impl SourceArgs {
    /// The filter, understood.
    pub(super) fn filter(&self) -> Result<Filter, Failure> {
        let text = match &self.filter_file {
            None => self.filter.join(" "),
            Some(path) => std::fs::read_to_string(path)
                .map_err(|error| Failure::Filter(format!("{}: {error}", path.display())))?,
        };
        Filter::parse_with_files(&text).map_err(|error| Failure::Filter(error.render(&text)))
    }

    /// Hands the flows that are in time and pass the filter to a sink, and gives the sink back.
    ///
    /// The inner error is the sink's. The status says whether all that was asked for could be read; what could not is
    /// told, and the rest is handed on all the same.
    pub(super) fn read_into<S: FlowSink>(&self, sink: S) -> Result<(S, io::Result<ExitCode>), Failure> {
        let window = Window { from: self.from, to: self.to };
        let chosen = Chosen { filter: self.filter()?, window, sink };
        // What counts twice, or in another bin, is no matter of the filter.
        let chosen = Counting::new(self.counting.config(), chosen);
        // Stages of counting must see all flows.
        let (filter, window) = match chosen.stats() {
            None => (self.filter()?, window),
            Some(_) => (Filter::any(), Window::default()),
        };
        let (chosen, read) = if let Some(folder) = &self.store {
            self.stored(folder, &filter, window, chosen)?
        } else {
            let enrichment = GeoArgs { geo: self.geo.clone() }.open()?;
            let (enriched, read) = self.received(Enriched::new(enrichment, chosen));
            (enriched.into_sink(), read)
        };
        if let (Some(stats), false) = (chosen.stats(), self.quiet) {
            tell(stats);
        }
        Ok((chosen.into_sink().sink, read))
    }

    /// Shows every flow that is in time and passes the filter.
    pub(super) fn visit(&self, visit: impl FnMut(&Flow<'_>)) -> Result<ExitCode, Failure> {
        self.read_into(Visitor(visit))?.1.map_err(Failure::Output)
    }

    /// Makes sure that nothing is read from standard input.
    pub(super) fn check_can_be_read_twice(&self) -> Result<(), Failure> {
        let is_stdin = |path: &PathBuf| path.as_os_str() == "-";
        if self.read.iter().any(is_stdin) { Err(Failure::Twice) } else { Ok(()) }
    }

    /// Decodes files of datagrams.
    fn received<S: FlowSink>(&self, sink: S) -> (S, io::Result<ExitCode>) {
        let mut collector = Collector::with_limits(sink, limits_of_files(), Strictness::default());
        if !self.quiet {
            collector.on_fault(|fault| tell(fault));
        }
        let read = read_files(&self.read, &self.ports, &mut collector, &mut 0);
        let missing = collector.account().counts().sets_without_template;
        if !self.quiet && missing > 0 {
            tell(format_args!("the answer lacks {missing} sets whose template never came"));
        }
        (collector.into_sink(), read)
    }

    /// Reads a store. A file that is damaged is named; the others still answer.
    fn stored<S: FlowSink>(
        &self,
        folder: &Path,
        filter: &Filter,
        window: Window,
        mut sink: S,
    ) -> Result<(S, io::Result<ExitCode>), Failure> {
        let reader = self.open(folder)?;
        let question = Question { reader: &reader, window, filter };
        match question.each_flow(|flow| sink.flow(flow)) {
            Ok(damaged) => Ok((sink, Ok(told(&damaged, &reader)))),
            Err(error) => Ok((sink, Err(error))),
        }
    }

    /// Gathers from the flows of a store that are in time and pass the filter, without making each of them; `None` when
    /// there is no store, or stages of counting must see each flow. The status and what is told are those of [`Self::read_into`].
    pub(super) fn gather<G: Gather>(
        &self,
        make: impl Fn() -> G + Sync,
    ) -> Result<Option<(G, ExitCode)>, Failure> {
        let Some(folder) = &self.store else { return Ok(None) };
        if Counting::new(self.counting.config(), ()).stats().is_some() {
            return Ok(None);
        }
        let filter = self.filter()?;
        let reader = self.open(folder)?;
        let question =
            Question { reader: &reader, window: Window { from: self.from, to: self.to }, filter: &filter };
        let Scanned { gathered, damaged } = question.gather(make);
        Ok(Some((gathered, told(&damaged, &reader))))
    }

    fn open(&self, folder: &Path) -> Result<StoreReader, Failure> {
        StoreReader::open(folder, self.from, self.to)
            .map_err(|error| Failure::Store { path: folder.display().to_string(), error })
    }
}

/// Names the files that are damaged.
fn told(damaged: &[Damaged], reader: &StoreReader) -> ExitCode {
    for Damaged { path, error } in damaged {
        tell(format_args!("netflow-collector: {}: {error}", path.display()));
    }
    if damaged.is_empty() {
        return ExitCode::SUCCESS;
    }
    let (damaged, all) = (damaged.len(), reader.files().len());
    tell(format_args!("the answer is incomplete: {damaged} of {all} files are damaged"));
    ExitCode::FAILURE
}

pub(super) fn parse_time(text: &str) -> Result<Timestamp, String> {
    // Without an offset, and with less than seconds, in UTC.
    let mut attempts = ["", "Z", ":00Z", "T00:00:00Z"].iter().map(|rest| format!("{text}{rest}"));
    let parsed = attempts.find_map(|text| text.parse::<jiff::Timestamp>().ok());
    let nanos = parsed.and_then(|time| u64::try_from(time.as_nanosecond()).ok());
    nanos.map(Timestamp::from_nanos).ok_or_else(|| {
        "a time from 1970 on expected, as in 2026-03-01T12:00:00Z, 2026-03-01T12:00+01:00 or 2026-03-01"
            .to_owned()
    })
}

/// Lets the flows pass that were asked for.
struct Chosen<S> {
    filter: Filter,
    window: Window,
    sink: S,
}

impl<S: FlowSink> FlowSink for Chosen<S> {
    fn flow(&mut self, flow: &Flow<'_>) -> io::Result<()> {
        if self.window.admits(flow) && self.filter.matches(flow) { self.sink.flow(flow) } else { Ok(()) }
    }

    fn record(&mut self, _record: &Record<'_>) -> io::Result<()> {
        Ok(())
    }
}

/// Calls a function with every flow.
struct Visitor<F>(F);

impl<F: FnMut(&Flow<'_>)> FlowSink for Visitor<F> {
    fn flow(&mut self, flow: &Flow<'_>) -> io::Result<()> {
        (self.0)(flow);
        Ok(())
    }
}
