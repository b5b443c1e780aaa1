//! `netflow-collector query`: answers from flows.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::Args;

use super::{Failure, SourceArgs, session::tell};
use crate::{
    flow::Flow,
    output::{FlowSink, Format, OrderedSink},
    query::{
        Form, Groups, GroupsOfStore, Key, Order, Statistic, Totals, groups_report, parse_keys, summary,
        summary_json,
    },
};

/// Arguments of `query`.
#[derive(Args, Clone, Debug)]
pub struct QueryArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show the text as help of the whole group")]
    pub source: SourceArgs,
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

/// Fails when a file is unreadable or cut off, after answering from what can be read.
pub(super) fn run(args: &QueryArgs) -> Result<ExitCode, Failure> {
    let mut query = Query { args: args.clone(), total: Totals::default(), answer: Answer::of(args) };
    if let Some(groups) = query.answer.groups()
        && let Some((gathered, code)) =
            args.source.gather(|| GroupsOfStore::new(groups.clone(), args.scaled))?
    {
        query.answer.fill(gathered.groups);
        query.total = gathered.total;
        query.conclude().map_err(Failure::Output)?;
        return Ok(code);
    }
    let (mut query, read) = args.source.read_into(query)?;
    let code = match read {
        Ok(code) => code,
        // Enough has been seen.
        Err(error) if error.kind() == io::ErrorKind::Interrupted => ExitCode::SUCCESS,
        Err(error) => return Err(Failure::Output(error)),
    };
    query.conclude().map_err(Failure::Output)?;
    Ok(code)
}

/// A query being answered.
struct Query {
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

impl Answer {
    /// The groups that are asked for, if it is groups.
    fn groups(&self) -> Option<Vec<Groups>> {
        match self {
            Self::Flows(..) => None,
            Self::Aggregated(groups) => Some(vec![groups.clone()]),
            Self::Statistics(statistics) => {
                Some(statistics.iter().map(|(_, groups)| groups.clone()).collect())
            }
        }
    }

    /// Takes them back with what was gathered.
    fn fill(&mut self, gathered: Vec<Groups>) {
        let groups: Vec<&mut Groups> = match self {
            Self::Flows(..) => Vec::new(),
            Self::Aggregated(groups) => vec![groups],
            Self::Statistics(statistics) => statistics.iter_mut().map(|(_, groups)| groups).collect(),
        };
        for (groups, gathered) in groups.into_iter().zip(gathered) {
            *groups = gathered;
        }
    }
}

impl FlowSink for Query {
    fn flow(&mut self, flow: &Flow<'_>) -> io::Result<()> {
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
}

impl Query {
    fn conclude(&mut self) -> io::Result<()> {
        let form = match self.args.format {
            // Of messages there are only those of flows.
            Format::Json | Format::Protobuf => Form::Json,
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
        if !self.args.source.quiet {
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
