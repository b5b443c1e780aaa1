//! A table for reading, after the habits of nfdump's lines.

use std::io::{self, Write};

use netflow_codec::{FlowFields, Timestamp};

use super::{FlowSink, text::Lines};
use crate::flow::{Flow, protocol_keyword};

const HEADINGS: [&str; COLUMNS] = [
    "First seen (UTC)",
    "Duration",
    "Proto",
    "Source",
    "Destination",
    "Flags",
    "Packets",
    "Octets",
    "In",
    "Out",
    "Exporter",
];
const COLUMNS: usize = 11;
/// The cells of a flow.
pub(super) type Row = [String; COLUMNS];
/// Columns of numbers are aligned to the right.
const IS_NUMBER: [bool; COLUMNS] = [false, true, false, false, false, false, true, true, true, true, false];

/// Prints aligned columns. Rows are gathered in blocks; a block widens columns that are too narrow for it.
#[derive(Debug)]
pub struct TableSink<W> {
    lines: Lines<W>,
    rows: Vec<Row>,
    widths: [usize; COLUMNS],
    has_heading: bool,
}

impl<W: Write> TableSink<W> {
    /// Rows of a block.
    const BLOCK: usize = 1_000;

    /// Prints to `output`, which needs no buffer of its own.
    pub fn new(output: W) -> Self {
        let widths = HEADINGS.map(str::len);
        Self { lines: Lines::new(output), rows: Vec::new(), widths, has_heading: false }
    }

    /// Leaves the headings to another sink.
    #[must_use]
    pub fn without_heading(self) -> Self {
        Self { has_heading: true, ..self }
    }

    pub(super) fn push(&mut self, row: Row) -> io::Result<()> {
        self.rows.push(row);
        if self.rows.len() >= Self::BLOCK { self.print() } else { Ok(()) }
    }

    pub(super) fn into_output(self) -> W {
        self.lines.into_output()
    }

    fn print(&mut self) -> io::Result<()> {
        for row in &self.rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        if !self.has_heading {
            self.has_heading = true;
            print_row(&mut self.lines, &self.widths, &HEADINGS)?;
        }
        for row in &self.rows {
            print_row(&mut self.lines, &self.widths, row)?;
        }
        self.rows.clear();
        Ok(())
    }
}

fn print_row<W: Write>(
    lines: &mut Lines<W>,
    widths: &[usize; COLUMNS],
    row: &[impl AsRef<str>; COLUMNS],
) -> io::Result<()> {
    for (index, ((width, is_number), cell)) in widths.iter().zip(IS_NUMBER).zip(row).enumerate() {
        let cell = cell.as_ref();
        let separator = if index > 0 { "  " } else { "" };
        // Writing to memory does not fail.
        let _ = if index + 1 == COLUMNS {
            write!(lines.buffer, "{separator}{cell}")
        } else if is_number {
            write!(lines.buffer, "{separator}{cell:>width$}")
        } else {
            write!(lines.buffer, "{separator}{cell:<width$}")
        };
    }
    lines.end_line()
}

impl<W: Write> FlowSink for TableSink<W> {
    fn flow(&mut self, flow: &Flow<'_>) -> io::Result<()> {
        self.push(row(flow))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.print()?;
        self.lines.flush()
    }
}

pub(super) fn row(flow: &Flow<'_>) -> Row {
    let record = &flow.record;
    let if_has = |field, text: &dyn Fn() -> String| if record.has(field) { text() } else { "-".to_owned() };
    let end = |address, address_field, port: u16, port_field| {
        // ICMP has no ports; v5 says type and code in their place.
        let has_port = record.has(port_field) && !matches!(record.protocol, 1 | 58);
        let address = if_has(address_field, &|| match address {
            core::net::IpAddr::V6(v6) if has_port => format!("[{v6}]"),
            other => other.to_string(),
        });
        if has_port { format!("{address}:{port}") } else { address }
    };
    let (source, destination) = (FlowFields::SOURCE, FlowFields::DESTINATION);
    [
        if_has(FlowFields::START, &|| time(record.start)),
        flow.duration_millis().map_or_else(|| "-".to_owned(), seconds),
        if_has(FlowFields::PROTOCOL, &|| {
            protocol_keyword(record.protocol).map_or_else(|| record.protocol.to_string(), ToOwned::to_owned)
        }),
        end(record.source, source, record.source_port, FlowFields::SOURCE_PORT),
        end(record.destination, destination, record.destination_port, FlowFields::DESTINATION_PORT),
        if_has(FlowFields::TCP_FLAGS, &|| tcp_flags(record.tcp_flags)),
        if_has(FlowFields::PACKETS, &|| record.packets.to_string()),
        if_has(FlowFields::OCTETS, &|| record.octets.to_string()),
        if_has(FlowFields::INGRESS_INTERFACE, &|| record.ingress_interface.to_string()),
        if_has(FlowFields::EGRESS_INTERFACE, &|| record.egress_interface.to_string()),
        flow.envelope.exporter.ip().to_string(),
    ]
}

/// Date and time with milliseconds.
pub(crate) fn time(time: Timestamp) -> String {
    let time = jiff::Timestamp::from_nanosecond(time.as_nanos().into()).unwrap_or_default();
    time.strftime("%Y-%m-%d %H:%M:%S.%3f").to_string()
}

/// Seconds with milliseconds.
pub(crate) fn seconds(millis: i64) -> String {
    let sign = if millis < 0 { "-" } else { "" };
    format!("{sign}{}.{:03}", millis.unsigned_abs() / 1_000, millis.unsigned_abs() % 1_000)
}

/// The flags as letters from CWR to FIN, a dot for each that is not set.
pub(crate) fn tcp_flags(flags: u16) -> String {
    let letters = ['C', 'E', 'U', 'A', 'P', 'R', 'S', 'F'];
    letters
        .iter()
        .zip((0..8).rev())
        .map(|(letter, bit)| if flags >> bit & 1 == 1 { *letter } else { '.' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_read_well() {
        assert_eq!(time(Timestamp::from_millis(1_700_000_000_250)), "2023-11-14 22:13:20.250");
        assert_eq!((seconds(1_005), seconds(-250)), ("1.005".to_owned(), "-0.250".to_owned()));
        assert_eq!((tcp_flags(0x1b), tcp_flags(0x112)), ("...AP.SF".to_owned(), "...A..S.".to_owned()));
    }
}
