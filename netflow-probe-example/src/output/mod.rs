//! Where flows and records go: the formats of the collector's output.

mod csv;
mod json;
mod ordered;
mod records;
mod table;
mod text;

use std::io;

pub use self::{
    csv::CsvSink,
    json::JsonSink,
    ordered::{OrderedSink, Rank},
    records::RecordsSink,
    table::TableSink,
};
use crate::flow::{Flow, Record};

/// Takes what the collector decodes, in the order in which it was decoded.
///
/// Two sinks in a tuple both get everything.
pub trait FlowSink {
    /// Takes a flow.
    ///
    /// # Errors
    ///
    /// When it cannot be written; the collector stops and hands the error on.
    fn flow(&mut self, flow: &Flow<'_>) -> io::Result<()>;

    /// Takes any record, of flows or of options; for a record of flows, before the flow itself.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    fn record(&mut self, record: &Record<'_>) -> io::Result<()> {
        let _ = record;
        Ok(())
    }

    /// Hands on what is buffered.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<S: FlowSink + ?Sized> FlowSink for &mut S {
    fn flow(&mut self, flow: &Flow<'_>) -> io::Result<()> {
        (**self).flow(flow)
    }

    fn record(&mut self, record: &Record<'_>) -> io::Result<()> {
        (**self).record(record)
    }

    fn flush(&mut self) -> io::Result<()> {
        (**self).flush()
    }
}

impl<S: FlowSink + ?Sized> FlowSink for Box<S> {
    fn flow(&mut self, flow: &Flow<'_>) -> io::Result<()> {
        (**self).flow(flow)
    }

    fn record(&mut self, record: &Record<'_>) -> io::Result<()> {
        (**self).record(record)
    }

    fn flush(&mut self) -> io::Result<()> {
        (**self).flush()
    }
}

impl<A: FlowSink, B: FlowSink> FlowSink for (A, B) {
    fn flow(&mut self, flow: &Flow<'_>) -> io::Result<()> {
        self.0.flow(flow)?;
        self.1.flow(flow)
    }

    fn record(&mut self, record: &Record<'_>) -> io::Result<()> {
        self.0.record(record)?;
        self.1.record(record)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()?;
        self.1.flush()
    }
}

/// How flows are printed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub enum Format {
    /// One JSON object per flow and line.
    #[default]
    Json,
    /// A header line, then one line per flow; `fields` holds a JSON object.
    Csv,
    /// Aligned columns for reading.
    Table,
}

impl Format {
    /// A sink of this format.
    pub fn sink(self, output: impl io::Write + 'static) -> Box<dyn FlowSink> {
        match self {
            Self::Json => Box::new(JsonSink::new(output)),
            Self::Csv => Box::new(CsvSink::new(output)),
            Self::Table => Box::new(TableSink::new(output)),
        }
    }
}
