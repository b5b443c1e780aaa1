//! Renderings shared by the formats, appended to a buffer that is used again and again.

use core::net::IpAddr;
use std::io::{self, Write};

use netflow_codec::{BasicList, FieldValue, FieldView, ListSemantic, SubTemplateList, Timestamp};

use crate::flow::Cell;

/// Octets to gather before they are written.
pub(super) const BLOCK: usize = 64 << 10;

/// A writer that lines are gathered for.
#[derive(Debug)]
pub(super) struct Lines<W> {
    pub(super) buffer: Vec<u8>,
    output: W,
}

impl<W: Write> Lines<W> {
    pub(super) fn new(output: W) -> Self {
        Self { buffer: Vec::with_capacity(BLOCK + BLOCK / 4), output }
    }

    /// Ends a line; writes when enough has come together.
    pub(super) fn end_line(&mut self) -> io::Result<()> {
        self.buffer.push(b'\n');
        if self.buffer.len() >= BLOCK { self.write_out() } else { Ok(()) }
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.write_out()?;
        self.output.flush()
    }

    /// The writer; what has not been flushed is lost.
    pub(super) fn into_output(self) -> W {
        self.output
    }

    fn write_out(&mut self) -> io::Result<()> {
        // Also after an error: what a broken pipe did not take is not offered again.
        let written = self.output.write_all(&self.buffer);
        self.buffer.clear();
        written
    }
}

pub(super) fn push_unsigned(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0_u8; 20];
    let mut rest = number;
    let mut length = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        length += 1;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(20 - length..).unwrap_or(&[]));
}

pub(super) fn push_signed(out: &mut Vec<u8>, number: i64) {
    if number < 0 {
        out.push(b'-');
    }
    push_unsigned(out, number.unsigned_abs());
}

pub(super) fn push_hex(out: &mut Vec<u8>, octets: &[u8]) {
    for octet in octets {
        out.extend(
            [octet >> 4, octet & 15]
                .map(|nibble| if nibble < 10 { b'0' + nibble } else { b'a' - 10 + nibble }),
        );
    }
}

pub(super) fn push_address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => {
            for (index, octet) in v4.octets().into_iter().enumerate() {
                if index > 0 {
                    out.push(b'.');
                }
                push_unsigned(out, octet.into());
            }
        }
        IpAddr::V6(v6) => push_display(out, v6),
    }
}

pub(super) fn push_mac(out: &mut Vec<u8>, mac: [u8; 6]) {
    for (index, octet) in mac.into_iter().enumerate() {
        if index > 0 {
            out.push(b':');
        }
        push_hex(out, &[octet]);
    }
}

pub(super) fn push_display(out: &mut Vec<u8>, value: impl core::fmt::Display) {
    // Writing to memory does not fail.
    let _ = write!(out, "{value}");
}

/// A point in time as RFC 3339 has it, in UTC, with as many decimals as it needs.
pub(super) fn push_time(out: &mut Vec<u8>, time: Timestamp) {
    match jiff::Timestamp::from_nanosecond(time.as_nanos().into()) {
        Ok(time) => push_display(out, time),
        Err(_) => push_unsigned(out, time.as_nanos()),
    }
}

/// A text as a JSON string.
pub(super) fn push_json_string(out: &mut Vec<u8>, text: &str) {
    // Writing to memory does not fail.
    let _ = serde_json::to_writer(out, text);
}

/// A value as JSON: numbers and truth values as such, times as RFC 3339 text, octets as hexadecimal text, lists as
/// objects that have their values, anything else as text.
pub(super) fn push_json_value(out: &mut Vec<u8>, value: FieldValue<'_>) {
    match value {
        FieldValue::Unsigned(number) => push_unsigned(out, number),
        FieldValue::Signed(number) => push_signed(out, number),
        FieldValue::Boolean(truth) => push_display(out, truth),
        // JSON has neither infinities nor NaN.
        FieldValue::Float(number) if !number.is_finite() => out.extend_from_slice(b"null"),
        FieldValue::Float(number) => push_display(out, number),
        FieldValue::String(text) => push_json_string(out, text),
        FieldValue::DateTime(time) => quoted(out, |out| push_time(out, time)),
        FieldValue::MacAddress(mac) => quoted(out, |out| push_mac(out, mac)),
        FieldValue::Ipv4Address(address) => quoted(out, |out| push_address(out, address.into())),
        FieldValue::Ipv6Address(address) => quoted(out, |out| push_address(out, address.into())),
        FieldValue::BasicList(list) => push_json_list(out, list),
        FieldValue::SubTemplateList(list) => push_json_records(out, list),
        FieldValue::SubTemplateMultiList(list) => {
            push_semantic(out, list.semantic());
            push_array(out, b",\"lists\":[", list.iter(), push_json_records);
            out.push(b'}');
        }
        FieldValue::Octets(octets) => quoted(out, |out| push_hex(out, octets)),
        other => quoted(out, |out| push_display(out, other)),
    }
}

/// A list of values of one element.
fn push_json_list(out: &mut Vec<u8>, list: BasicList<'_>) {
    push_semantic(out, list.semantic());
    out.extend_from_slice(b",\"element\":");
    quoted(out, |out| push_display(out, list.element()));
    push_array(out, b",\"values\":[", list.iter(), |out, value| push_json_value(out, value.value()));
    out.push(b'}');
}

/// A list of records whose template is not at hand.
fn push_json_records(out: &mut Vec<u8>, list: SubTemplateList<'_>) {
    push_semantic(out, list.semantic());
    out.extend_from_slice(b",\"template_id\":");
    push_unsigned(out, list.template_id().into());
    out.extend_from_slice(b",\"hex\":");
    quoted(out, |out| push_hex(out, list.content()));
    out.push(b'}');
}

/// Opens an object with how the values of a list relate.
fn push_semantic(out: &mut Vec<u8>, semantic: ListSemantic) {
    out.extend_from_slice(b"{\"semantic\":");
    quoted(out, |out| push_display(out, semantic));
}

fn push_array<T>(
    out: &mut Vec<u8>,
    opening: &[u8],
    items: impl Iterator<Item = T>,
    mut push: impl FnMut(&mut Vec<u8>, T),
) {
    out.extend_from_slice(opening);
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push(out, item);
    }
    out.push(b']');
}

/// Fields as a JSON object by element name, or number where it has none; a repeated element gives a list.
pub(super) fn push_json_fields(out: &mut Vec<u8>, fields: &[FieldView<'_>]) {
    out.push(b'{');
    for (index, group) in fields.chunk_by(|a, b| a.element() == b.element()).enumerate() {
        let Some(first) = group.first() else { continue };
        if index > 0 {
            out.push(b',');
        }
        // Names of elements need no escapes.
        quoted(out, |out| push_display(out, first.element()));
        out.push(b':');
        if group.len() == 1 {
            push_json_value(out, first.value());
            continue;
        }
        for (index, field) in group.iter().enumerate() {
            out.push(if index == 0 { b'[' } else { b',' });
            push_json_value(out, field.value());
        }
        out.push(b']');
    }
    out.push(b'}');
}

/// A cell as JSON.
pub(super) fn push_json_cell(out: &mut Vec<u8>, cell: Cell) {
    match cell {
        Cell::Absent => out.extend_from_slice(b"null"),
        Cell::Unsigned(number) => push_unsigned(out, number),
        Cell::Signed(number) => push_signed(out, number),
        Cell::ListOfOne(_) | Cell::Labels(_) => {
            out.push(b'[');
            push_plain_cell(out, cell, b',');
            out.push(b']');
        }
        Cell::ListOfAddress(_) => {
            out.push(b'[');
            quoted(out, |out| push_plain_cell(out, cell, b','));
            out.push(b']');
        }
        Cell::Word(_) | Cell::NumberWord(_) | Cell::Address(_) | Cell::MacAddress(_) => {
            quoted(out, |out| push_plain_cell(out, cell, b','));
        }
    }
}

/// A cell as bare text, empty when absent.
pub(super) fn push_plain_cell(out: &mut Vec<u8>, cell: Cell, separator: u8) {
    match cell {
        Cell::Absent => {}
        Cell::Unsigned(number) | Cell::NumberWord(number) | Cell::ListOfOne(number) => {
            push_unsigned(out, number);
        }
        Cell::Signed(number) => push_signed(out, number),
        Cell::Word(word) => out.extend_from_slice(word.as_bytes()),
        Cell::Address(address) | Cell::ListOfAddress(address) => push_address(out, address),
        Cell::MacAddress(mac) => push_mac(out, mac),
        Cell::Labels(labels) => {
            for (index, entry) in labels.iter().enumerate() {
                if index > 0 {
                    out.push(separator);
                }
                push_unsigned(out, entry.label().into());
            }
        }
    }
}

pub(super) fn quoted(out: &mut Vec<u8>, content: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'"');
    content(out);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use netflow_codec::ElementId;

    use super::*;

    fn text(push: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        push(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_have_all_their_digits() {
        for number in [0, 7, 10, 99, 100, 255, 256, 1_234_567_890, u64::MAX - 1, u64::MAX] {
            assert_eq!(text(|out| push_unsigned(out, number)), number.to_string());
        }
        assert_eq!(text(|out| push_signed(out, i64::MIN)), i64::MIN.to_string());
        assert_eq!(text(|out| push_signed(out, -1)), "-1");
    }

    #[test]
    fn values_are_sound_json() {
        assert_eq!(text(|out| push_json_value(out, FieldValue::Float(f64::NAN))), "null");
        assert_eq!(text(|out| push_json_value(out, FieldValue::Float(0.15))), "0.15");
        assert_eq!(text(|out| push_json_value(out, FieldValue::String("a\"\u{1}b"))), r#""a\"\u0001b""#);
        assert_eq!(text(|out| push_json_value(out, FieldValue::Octets(&[0, 0xaf]))), r#""00af""#);
        let time = FieldValue::DateTime(Timestamp::from_millis(1_700_000_000_250));
        assert_eq!(text(|out| push_json_value(out, time)), r#""2023-11-14T22:13:20.25Z""#);
    }
    #[test]
    fn lists_are_objects_with_their_values() {
        let list = |octets: &[u8]| {
            let octets = octets.to_vec();
            text(|out| push_json_value(out, FieldView::new(ElementId::iana(291), &octets).value()))
        };
        assert_eq!(
            list(&[3, 0, 14, 0, 1, 7, 9]),
            r#"{"semantic":"allOf","element":"egressInterface","values":[7,9]}"#
        );
        // Text within is escaped.
        assert_eq!(
            list(&[9, 0, 82, 255, 255, 1, b'"']),
            r#"{"semantic":"9","element":"interfaceName","values":["\""]}"#
        );
        let octets = [255, 1, 44, 0, 5, 7, 1, 45, 0, 0];
        let value = FieldView::new(ElementId::iana(293), &octets).value();
        let lists = r#"[{"semantic":"undefined","template_id":300,"hex":"07"},{"semantic":"undefined","template_id":301,"hex":""}]"#;
        assert_eq!(
            text(|out| push_json_value(out, value)),
            format!(r#"{{"semantic":"undefined","lists":{lists}}}"#)
        );
    }
}
