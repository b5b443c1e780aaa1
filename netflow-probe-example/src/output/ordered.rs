//! Flows in another order than that in which they were decoded.

use core::{cell::RefCell, cmp::Reverse};
use std::{
    collections::BinaryHeap,
    io::{self, Write},
    rc::Rc,
};

use super::{CsvSink, FlowSink, Format, JsonSink, ProtobufSink, TableSink, table};
use crate::flow::Flow;

/// The rank of a flow, greater the earlier it is printed.
pub type Rank = Box<dyn Fn(&Flow<'_>) -> u64>;

/// Keeps the flows that rank first, rendered, and prints them when it is flushed.
///
/// Of flows that rank alike the one that came first is first.
pub struct OrderedSink {
    rank: Rank,
    limit: usize,
    /// Whether flows beyond the limit are no error.
    may_drop: bool,
    rows: BinaryHeap<Reverse<Ranked>>,
    came: u64,
    renderer: Renderer,
    output: Box<dyn Write>,
}

/// By rank, then by who came first.
#[derive(Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Ranked(u64, Reverse<u64>, Row);

#[derive(Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Row {
    Line(Vec<u8>),
    Cells(Box<table::Row>),
}

enum Renderer {
    Lines { sink: Box<dyn FlowSink>, buffer: Buffer },
    Table,
}

/// Memory that a sink writes to and the renderer takes from.
#[derive(Clone, Default)]
pub(crate) struct Buffer(pub(crate) Rc<RefCell<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl core::fmt::Debug for OrderedSink {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("OrderedSink")
            .field("limit", &self.limit)
            .field("rows", &self.rows.len())
            .finish_non_exhaustive()
    }
}

impl OrderedSink {
    /// Rows that are kept when no limit is given.
    pub const UNLIMITED: usize = 1_000_000;

    /// Prints to `output` the `limit` flows of the highest rank; without a limit all of them, of which there may be
    /// [`Self::UNLIMITED`].
    pub fn new(format: Format, output: impl Write + 'static, rank: Rank, limit: Option<usize>) -> Self {
        let buffer = Buffer::default();
        let renderer = match format {
            Format::Json => Renderer::Lines { sink: Box::new(JsonSink::new(buffer.clone())), buffer },
            Format::Csv => Renderer::Lines { sink: Box::new(CsvSink::new(buffer.clone())), buffer },
            Format::Protobuf => Renderer::Lines { sink: Box::new(ProtobufSink::new(buffer.clone())), buffer },
            Format::Table => Renderer::Table,
        };
        Self {
            rank,
            limit: limit.unwrap_or(Self::UNLIMITED),
            may_drop: limit.is_some(),
            rows: BinaryHeap::new(),
            came: 0,
            renderer,
            output: Box::new(output),
        }
    }
}

impl Renderer {
    /// Renders what the sink has to say, for a flow or, without one, at the beginning.
    fn render(&mut self, flow: Option<&Flow<'_>>) -> io::Result<Row> {
        match (self, flow) {
            (Self::Lines { sink, buffer }, flow) => {
                if let Some(flow) = flow {
                    sink.flow(flow)?;
                }
                sink.flush()?;
                Ok(Row::Line(core::mem::take(&mut *buffer.0.borrow_mut())))
            }
            (Self::Table, Some(flow)) => Ok(Row::Cells(Box::new(table::row(flow)))),
            (Self::Table, None) => Ok(Row::Line(Vec::new())),
        }
    }
}

impl FlowSink for OrderedSink {
    fn flow(&mut self, flow: &Flow<'_>) -> io::Result<()> {
        if self.came == 0
            && let Row::Line(heading) = self.renderer.render(None)?
        {
            self.output.write_all(&heading)?;
        }
        let rank = (self.rank)(flow);
        let place = Reverse(self.came);
        self.came += 1;
        if self.rows.len() >= self.limit {
            if !self.may_drop {
                let message = format!("more than {} flows to put in order; limit them", self.limit);
                return Err(io::Error::other(message));
            }
            if self.rows.peek().is_none_or(|Reverse(last)| last.0 >= rank) {
                return Ok(());
            }
            self.rows.pop();
        }
        let row = self.renderer.render(Some(flow))?;
        self.rows.push(Reverse(Ranked(rank, place, row)));
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut table = matches!(self.renderer, Renderer::Table).then(|| TableSink::new(Vec::new()));
        // Sorted from the smallest reversed, which is the greatest.
        for Reverse(Ranked(_, _, row)) in core::mem::take(&mut self.rows).into_sorted_vec() {
            match (row, &mut table) {
                (Row::Line(line), _) => self.output.write_all(&line)?,
                (Row::Cells(cells), Some(table)) => table.push(*cells)?,
                (Row::Cells(_), None) => {}
            }
        }
        if let Some(mut table) = table {
            table.flush()?;
            self.output.write_all(&table.into_output())?;
        }
        self.output.flush()
    }
}
