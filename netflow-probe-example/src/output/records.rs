//! Every record as it came, field by field: one JSON object per record and line.

use std::io::{self, Write};

use super::{
    FlowSink,
    text::{Lines, push_hex, push_json_field, push_unsigned},
};
use crate::flow::{Flow, Record};

/// Prints every record, of flows and of options, without loss:
///
/// ```json
/// {"datagram":0,"set":1,"template_id":260,"kind":"data","scope_fields":0,"offset":280,"length":51,
///  "fields":[{"id":8,"pen":0,"name":"sourceIPv4Address","value":"192.0.2.1","hex":"c0000201"}]}
/// ```
///
/// Times are points in time where they can be dated; a list has its values, or its records when their template is known.
/// Datagrams and sets are counted from 0, `offset` and `length` in octets of the datagram. A record that waited
/// for its template is printed when that comes, with the place where it stood.
#[derive(Debug)]
pub struct RecordsSink<W> {
    lines: Lines<W>,
}

impl<W: Write> RecordsSink<W> {
    /// Prints to `output`, which needs no buffer of its own.
    pub fn new(output: W) -> Self {
        Self { lines: Lines::new(output) }
    }
}

impl<W: Write> FlowSink for RecordsSink<W> {
    fn flow(&mut self, _: &Flow<'_>) -> io::Result<()> {
        Ok(())
    }

    fn record(&mut self, record: &Record<'_>) -> io::Result<()> {
        let out = &mut self.lines.buffer;
        out.extend_from_slice(b"{\"datagram\":");
        push_unsigned(out, record.datagram);
        out.extend_from_slice(b",\"set\":");
        push_unsigned(out, record.set as u64);
        out.extend_from_slice(b",\"template_id\":");
        match record.template_id {
            Some(id) => push_unsigned(out, id.into()),
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b",\"kind\":");
        out.extend_from_slice(if record.is_options { b"\"options\"" } else { b"\"data\"" });
        out.extend_from_slice(b",\"scope_fields\":");
        push_unsigned(out, record.scope_fields as u64);
        out.extend_from_slice(b",\"offset\":");
        push_unsigned(out, record.offset as u64);
        out.extend_from_slice(b",\"length\":");
        push_unsigned(out, record.fields.octets().len() as u64);
        out.extend_from_slice(b",\"fields\":[");
        let context = record.context.of(&record.fields);
        for (index, field) in record.fields.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            push_json_field(out, &field, &context);
            out.extend_from_slice(b",\"hex\":\"");
            push_hex(out, field.octets());
            out.extend_from_slice(b"\"}");
        }
        out.extend_from_slice(b"]}");
        self.lines.end_line()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.lines.flush()
    }
}
