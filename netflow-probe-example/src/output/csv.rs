//! Comma-separated values: the columns of the flow schema, flat.

use std::io::{self, Write};

use super::{
    FlowSink,
    text::{BLOCK, push_extras, push_plain_cell},
};
use crate::flow::{COLUMNS, Flow};

/// Prints a header line, then a line per flow: all columns, empty where the record did not carry them. Lists are
/// separated by spaces; the last column, `fields`, is a JSON object of what has no column.
#[derive(Debug)]
pub struct CsvSink<W: Write> {
    writer: csv::Writer<W>,
    line: csv::ByteRecord,
    cell: Vec<u8>,
    has_header: bool,
}

impl<W: Write> CsvSink<W> {
    /// Prints to `output`, which needs no buffer of its own.
    pub fn new(output: W) -> Self {
        let writer = csv::WriterBuilder::new().buffer_capacity(BLOCK).from_writer(output);
        Self { writer, line: csv::ByteRecord::new(), cell: Vec::new(), has_header: false }
    }

    /// Leaves the header line to another sink.
    #[must_use]
    pub fn without_header(self) -> Self {
        Self { has_header: true, ..self }
    }

    /// Before the first flow, or when there is none, at the end.
    fn header(&mut self) -> io::Result<()> {
        if !self.has_header {
            self.has_header = true;
            let names = COLUMNS.iter().map(|column| column.name).chain(["fields"]);
            self.writer.write_record(names)?;
        }
        Ok(())
    }
}

impl<W: Write> FlowSink for CsvSink<W> {
    fn flow(&mut self, flow: &Flow<'_>) -> io::Result<()> {
        self.header()?;
        self.line.clear();
        for (_, cell) in flow.cells() {
            self.cell.clear();
            push_plain_cell(&mut self.cell, cell, b' ');
            self.line.push_field(&self.cell);
        }
        self.cell.clear();
        push_extras(&mut self.cell, b"", flow);
        self.line.push_field(&self.cell);
        Ok(self.writer.write_byte_record(&self.line)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.header()?;
        self.writer.flush()
    }
}
