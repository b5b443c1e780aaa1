//! Where flows and records go: the formats of the collector's output.

mod csv;
mod json;
#[cfg(feature = "kafka")]
mod kafka;
mod ordered;
mod protobuf;
mod queue;
mod records;
mod table;
mod text;

use std::io;

use netflow_codec::Timestamp;

#[cfg(feature = "kafka")]
pub use self::kafka::{Kafka, KafkaConfig, KafkaSink, KafkaStats};
pub use self::{
    csv::CsvSink,
    json::JsonSink,
    ordered::{OrderedSink, Rank},
    protobuf::{FlowMessage, ProtobufSink},
    queue::{OutputQueue, QueueStats, QueuedOutput, WhenFull},
    records::RecordsSink,
    table::TableSink,
};
pub(crate) use ordered::Buffer;
pub(crate) use table::{seconds, tcp_flags, time};

use crate::flow::{Flow, FlowSet, Record};

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

    /// Whether it needs no records and would rather have flows by whole sets, as far as that can be.
    fn takes_sets(&self) -> bool {
        false
    }

    /// Takes the flows of a set, in place of each flow by itself; for sinks that [take sets](Self::takes_sets) only.
    ///
    /// # Errors
    ///
    /// When they cannot be written.
    fn set(&mut self, set: &FlowSet<'_>) -> io::Result<()> {
        let _ = set;
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

    /// Does what is due by now; called now and then, flows or none.
    ///
    /// # Errors
    ///
    /// When something cannot be written.
    fn tick(&mut self, now: Timestamp) -> io::Result<()> {
        let _ = now;
        Ok(())
    }

    /// Ends the output for good: what was handed on is where it belongs when this returns.
    ///
    /// # Errors
    ///
    /// When something cannot be written.
    fn finish(&mut self) -> io::Result<()> {
        self.flush()
    }
}

/// All of [`FlowSink`] but `flow`, handed on to another sink.
macro_rules! hand_on {
    ($self:ident, $to:expr) => {
        fn record(&mut $self, record: &$crate::flow::Record<'_>) -> std::io::Result<()> {
            $to.record(record)
        }

        fn flush(&mut $self) -> std::io::Result<()> {
            $to.flush()
        }

        fn tick(&mut $self, now: netflow_codec::Timestamp) -> std::io::Result<()> {
            $to.tick(now)
        }

        fn finish(&mut $self) -> std::io::Result<()> {
            $to.finish()
        }
    };
}
pub(crate) use hand_on;

impl<S: FlowSink + ?Sized> FlowSink for &mut S {
    fn flow(&mut self, flow: &Flow<'_>) -> io::Result<()> {
        (**self).flow(flow)
    }

    fn takes_sets(&self) -> bool {
        (**self).takes_sets()
    }

    fn set(&mut self, set: &FlowSet<'_>) -> io::Result<()> {
        (**self).set(set)
    }

    hand_on!(self, (**self));
}

impl<S: FlowSink + ?Sized> FlowSink for Box<S> {
    fn flow(&mut self, flow: &Flow<'_>) -> io::Result<()> {
        (**self).flow(flow)
    }

    fn takes_sets(&self) -> bool {
        (**self).takes_sets()
    }

    fn set(&mut self, set: &FlowSet<'_>) -> io::Result<()> {
        (**self).set(set)
    }

    hand_on!(self, (**self));
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

    fn takes_sets(&self) -> bool {
        self.0.takes_sets() && self.1.takes_sets()
    }

    fn set(&mut self, set: &FlowSet<'_>) -> io::Result<()> {
        self.0.set(set)?;
        self.1.set(set)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()?;
        self.1.flush()
    }

    fn tick(&mut self, now: Timestamp) -> io::Result<()> {
        self.0.tick(now)?;
        self.1.tick(now)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.0.finish()?;
        self.1.finish()
    }
}

/// A sink, or none: flows go nowhere.
impl<S: FlowSink> FlowSink for Option<S> {
    fn flow(&mut self, flow: &Flow<'_>) -> io::Result<()> {
        self.as_mut().map_or(Ok(()), |sink| sink.flow(flow))
    }

    fn record(&mut self, record: &Record<'_>) -> io::Result<()> {
        self.as_mut().map_or(Ok(()), |sink| sink.record(record))
    }

    fn takes_sets(&self) -> bool {
        self.as_ref().is_none_or(S::takes_sets)
    }

    fn set(&mut self, set: &FlowSet<'_>) -> io::Result<()> {
        self.as_mut().map_or(Ok(()), |sink| sink.set(set))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.as_mut().map_or(Ok(()), S::flush)
    }

    fn tick(&mut self, now: Timestamp) -> io::Result<()> {
        self.as_mut().map_or(Ok(()), |sink| sink.tick(now))
    }

    fn finish(&mut self) -> io::Result<()> {
        self.as_mut().map_or(Ok(()), S::finish)
    }
}

/// What of a flow has no column, as a JSON object; `None` when everything has one.
pub(crate) fn json_fields(flow: &Flow<'_>) -> Option<Vec<u8>> {
    let mut json = Vec::new();
    text::push_extras(&mut json, b"", flow);
    (!json.is_empty()).then_some(json)
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
    /// goflow2's protobuf, each message behind its length as a varint.
    Protobuf,
}

impl Format {
    /// A sink of this format.
    pub fn sink(self, output: impl io::Write + 'static) -> Box<dyn FlowSink> {
        match self {
            Self::Json => Box::new(JsonSink::new(output)),
            Self::Csv => Box::new(CsvSink::new(output)),
            Self::Table => Box::new(TableSink::new(output)),
            Self::Protobuf => Box::new(ProtobufSink::new(output)),
        }
    }

    /// A sink of this format that goes on where another one has printed the headings.
    pub fn sink_without_headings(self, output: impl io::Write + 'static) -> Box<dyn FlowSink> {
        match self {
            Self::Json => Box::new(JsonSink::new(output)),
            Self::Csv => Box::new(CsvSink::new(output).without_header()),
            Self::Table => Box::new(TableSink::new(output).without_heading()),
            Self::Protobuf => Box::new(ProtobufSink::new(output)),
        }
    }
}
