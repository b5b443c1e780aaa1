//! One JSON object per flow and line, with the names that goflow2 made common.

use std::io::{self, Write};

use super::{
    FlowSink,
    text::{Lines, push_extras, push_json_cell, quoted},
};
use crate::flow::{Cell, Flow};

/// Prints a JSON object per flow and line.
///
/// The core columns are always there, `null` where the record did not carry them; the others only with a value.
/// What has no column is in the object `fields`.
#[derive(Debug)]
pub struct JsonSink<W> {
    lines: Lines<W>,
}

impl<W: Write> JsonSink<W> {
    /// Prints to `output`, which needs no buffer of its own.
    pub fn new(output: W) -> Self {
        Self { lines: Lines::new(output) }
    }
}

impl<W: Write> FlowSink for JsonSink<W> {
    fn flow(&mut self, flow: &Flow<'_>) -> io::Result<()> {
        let out = &mut self.lines.buffer;
        let mut separator = b'{';
        for (column, cell) in flow.cells() {
            if cell == Cell::Absent && !column.is_core {
                continue;
            }
            out.push(separator);
            separator = b',';
            quoted(out, |out| out.extend_from_slice(column.name.as_bytes()));
            out.push(b':');
            push_json_cell(out, cell);
        }
        push_extras(out, b",\"fields\":", flow);
        out.push(b'}');
        self.lines.end_line()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.lines.flush()
    }
}
