//! `netflow-collector query`: answers from flows.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use netflow_codec::{FlowFields, Strictness, Timestamp};

use super::{
    Failure,
    decode::read_files,
    session::{limits_of_files, tell},
};
use crate::{
    collector::Collector,
    flow::{Flow, Record},
    output::{FlowSink, Format, OrderedSink},
    query::{
        Filter, Form, Groups, Key, Order, Statistic, Totals, groups_report, parse_keys, summary, summary_json,
    },
    store::{ReadError, StoreReader},
};

/// Arguments of `query`.
#[derive(Args, Clone, Debug)]
pub struct QueryArgs {
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
    /// Join flows that agree in these elements, as in srcip4/24,dstport.
    #[arg(long, short = 'A', value_name = "ELEMENTS", value_parser = Aggregation::parse)]
    pub aggregate: Option<Aggregation>,
    /// Show the greatest by an element: `ELEMENT[:p][/ORDER...]`, as in srcip/bytes, port:p/flows, record/bps. May be
    /// given several times.
    #[arg(long, short = 's', value_name = "STATISTIC", value_parser = Statistic::parse, conflicts_with = "aggregate")]
    pub statistic: Vec<Statistic>,
    /// Groups to show of a statistic; 0 shows all.
    #[arg(long, short = 'n', value_name = "N", default_value_t = 10)]
    pub top: usize,
    /// Order flows, or aggregated ones: flows, packets, bytes, pps, bps, bpp, tstart, tend, duration.
    #[arg(long, short = 'O', value_name = "ORDER", value_parser = parse_order, conflicts_with = "statistic")]
    pub order_by: Option<Order>,
    /// Flows, or aggregated ones, to show at most.
    #[arg(long, short = 'c', value_name = "N", conflicts_with = "statistic")]
    pub limit: Option<usize>,
    /// How to print the answer.
    #[arg(long, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
    pub format: Format,
    /// Multiply packets and octets by the sampling rate of each flow, where it is known, in what is summed up.
    #[arg(long)]
    pub scaled: bool,
    /// Groups that are told apart at least; beyond twice as many those with the least are dropped, which is told.
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    pub groups: usize,
    /// Neither faults nor the sum of all flows on standard error.
    #[arg(long, short)]
    pub quiet: bool,
    /// Which flows, in nfdump's language: `src net 192.0.2.0/24 and dst port in [80 443] and bytes > 1M`. Several
    /// arguments are joined by blanks.
    #[arg(value_name = "FILTER")]
    pub filter: Vec<String>,
}

/// The elements of `--aggregate`.
#[derive(Clone, Debug)]
pub struct Aggregation(Vec<Key>);

impl Aggregation {
    fn parse(text: &str) -> Result<Self, String> {
        parse_keys(text).map(Self)
    }
}

fn parse_order(text: &str) -> Result<Order, String> {
    Order::parse(text).ok_or_else(|| format!("known are {}", Order::NAMES))
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    // Without an offset, and with less than seconds, in UTC.
    let mut attempts = ["", "Z", ":00Z", "T00:00:00Z"].iter().map(|rest| format!("{text}{rest}"));
    let parsed = attempts.find_map(|text| text.parse::<jiff::Timestamp>().ok());
    let nanos = parsed.and_then(|time| u64::try_from(time.as_nanosecond()).ok());
    nanos.map(Timestamp::from_nanos).ok_or_else(|| {
        "a time from 1970 on expected, as in 2026-03-01T12:00:00Z, 2026-03-01T12:00+01:00 or 2026-03-01"
            .to_owned()
    })
}

/// Fails when a file is unreadable or cut off, after answering from what can be read.
pub(super) fn run(args: &QueryArgs) -> Result<ExitCode, Failure> {
    let query = Query {
        filter: filter(args)?,
        args: args.clone(),
        total: Totals::default(),
        answer: Answer::of(args),
    };
    let (mut query, read) = match &args.store {
        Some(folder) => stored(folder, query)?,
        None => received(args, query),
    };
    let code = match read {
        Ok(code) => code,
        // Enough has been seen.
        Err(error) if error.kind() == io::ErrorKind::Interrupted => ExitCode::SUCCESS,
        Err(error) => return Err(Failure::Output(error)),
    };
    query.conclude().map_err(Failure::Output)?;
    Ok(code)
}

/// Decodes files of datagrams. The error is the output's.
fn received(args: &QueryArgs, query: Query) -> (Query, io::Result<ExitCode>) {
    let mut collector = Collector::with_limits(query, limits_of_files(), Strictness::default());
    if !args.quiet {
        collector.on_fault(|fault| tell(fault));
    }
    let read = read_files(&args.read, &args.ports, &mut collector, &mut 0);
    let missing = collector.account().counts().sets_without_template;
    if !args.quiet && missing > 0 {
        tell(format_args!("the answer lacks {missing} sets whose template never came"));
    }
    (collector.into_sink(), read)
}

/// Reads a store. A file that is damaged is named; the others still answer. The inner error is the output's.
fn stored(folder: &Path, mut query: Query) -> Result<(Query, io::Result<ExitCode>), Failure> {
    let reader = StoreReader::open(folder, query.args.from, query.args.to)
        .map_err(|error| Failure::Store { path: folder.display().to_string(), error })?;
    let mut damaged = 0;
    for file in reader.files() {
        match reader.read(file, |flow| query.flow(flow)) {
            Ok(()) => {}
            Err(ReadError::Visit(error)) => return Ok((query, Err(error))),
            Err(ReadError::File(error)) => {
                damaged += 1;
                tell(format_args!("netflow-collector: {}: {error}", file.display()));
            }
        }
    }
    if damaged == 0 {
        return Ok((query, Ok(ExitCode::SUCCESS)));
    }
    tell(format_args!("the answer is incomplete: {damaged} of {} files are damaged", reader.files().len()));
    Ok((query, Ok(ExitCode::FAILURE)))
}

fn filter(args: &QueryArgs) -> Result<Filter, Failure> {
    let text = match &args.filter_file {
        None => args.filter.join(" "),
        Some(path) => std::fs::read_to_string(path)
            .map_err(|error| Failure::Filter(format!("{}: {error}", path.display())))?,
    };
    Filter::parse_with_files(&text).map_err(|error| Failure::Filter(error.render(&text)))
}

/// A query being answered.
struct Query {
    filter: Filter,
    args: QueryArgs,
    total: Totals,
    answer: Answer,
}

enum Answer {
    /// The flows themselves, so many more of them.
    Flows(Box<dyn FlowSink>, usize),
    Aggregated(Groups),
    Statistics(Vec<(Statistic, Groups)>),
}

impl Answer {
    fn of(args: &QueryArgs) -> Self {
        if let Some(Aggregation(keys)) = &args.aggregate {
            let order = args.order_by.unwrap_or(Order::Start);
            return Self::Aggregated(Groups::new(keys.clone(), args.groups, order));
        }
        if !args.statistic.is_empty() {
            let statistics = args.statistic.iter();
            return Self::Statistics(statistics.map(|one| (one.clone(), one.groups(args.groups))).collect());
        }
        let Some(order) = args.order_by else {
            return Self::Flows(args.format.sink(io::stdout()), args.limit.unwrap_or(usize::MAX));
        };
        let scaled = args.scaled;
        let rank = move |flow: &Flow<'_>| {
            let mut totals = Totals::default();
            totals.add(flow, scaled);
            order.rank(&totals)
        };
        let sink = OrderedSink::new(args.format, io::stdout(), Box::new(rank), args.limit);
        Self::Flows(Box::new(sink), usize::MAX)
    }
}

impl FlowSink for Query {
    fn flow(&mut self, flow: &Flow<'_>) -> io::Result<()> {
        if !self.is_in_time(flow) || !self.filter.matches(flow) {
            return Ok(());
        }
        match &mut self.answer {
            Answer::Flows(_, 0) => return Err(io::ErrorKind::Interrupted.into()),
            Answer::Flows(sink, left) => {
                *left -= 1;
                sink.flow(flow)?;
            }
            Answer::Aggregated(groups) => groups.add(flow, self.args.scaled),
            Answer::Statistics(statistics) => {
                for (_, groups) in statistics {
                    groups.add(flow, self.args.scaled);
                }
            }
        }
        self.total.add(flow, self.args.scaled);
        Ok(())
    }

    fn record(&mut self, _record: &Record<'_>) -> io::Result<()> {
        Ok(())
    }
}

impl Query {
    /// A flow without times is in none.
    fn is_in_time(&self, flow: &Flow<'_>) -> bool {
        let record = &flow.record;
        let after = |from: Timestamp| record.has(FlowFields::END) && record.end >= from;
        let before = |to: Timestamp| record.has(FlowFields::START) && record.start <= to;
        self.args.from.is_none_or(after) && self.args.to.is_none_or(before)
    }

    fn conclude(&mut self) -> io::Result<()> {
        let form = match self.args.format {
            Format::Json => Form::Json,
            Format::Csv => Form::Csv,
            Format::Table => Form::Table,
        };
        let mut out = io::stdout().lock();
        match &mut self.answer {
            Answer::Flows(sink, _) => sink.flush()?,
            Answer::Aggregated(groups) => {
                let order = self.args.order_by.unwrap_or(Order::Start);
                let count = self.args.limit.unwrap_or(usize::MAX);
                out.write_all(groups_report(groups, order, count, &self.total, form)?.as_bytes())?;
                warn_of_dropped(groups);
            }
            Answer::Statistics(statistics) => {
                let count = if self.args.top == 0 { usize::MAX } else { self.args.top };
                let mut is_first = true;
                for (statistic, groups) in statistics {
                    for order in &statistic.orders {
                        if form == Form::Table {
                            let gap = if is_first { "" } else { "\n" };
                            writeln!(out, "{gap}Top {} by {}:", statistic.name, order.name())?;
                        }
                        is_first = false;
                        out.write_all(groups_report(groups, *order, count, &self.total, form)?.as_bytes())?;
                    }
                    warn_of_dropped(groups);
                }
            }
        }
        if !self.args.quiet {
            let sum = match form {
                Form::Json => summary_json(&self.total).to_string(),
                Form::Table | Form::Csv => summary(&self.total),
            };
            tell(sum);
        }
        out.flush()
    }
}

fn warn_of_dropped(groups: &Groups) {
    let dropped = groups.dropped();
    if dropped.flows > 0 {
        tell(format_args!(
            "too many groups for an exact count: {} flows, {} packets and {} octets were dropped (see --groups)",
            dropped.flows, dropped.packets, dropped.octets
        ));
    }
}
