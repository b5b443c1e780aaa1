//! Renderings shared by the formats, appended to a buffer that is used again and again.

use core::net::IpAddr;
use std::io::{self, Write};

use netflow_codec::{ElementId, Elements, FieldValue, FieldView, ListSemantic, SubTemplateList, Timestamp};

use crate::flow::{Cell, Context, Flow};

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

/// The value of a field as JSON: numbers and truth values as such, times as RFC 3339 text, octets as hexadecimal text,
/// lists as objects that have their values, anything else as text.
pub(super) fn push_json_value(out: &mut Vec<u8>, field: &FieldView<'_>, context: &Context<'_>) {
    match context.value(field) {
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
        FieldValue::BasicList(list) => {
            push_semantic(out, list.semantic());
            out.extend_from_slice(b",\"element\":");
            push_element(out, list.element(), &context.elements());
            out.extend_from_slice(b",\"values\":");
            push_array(out, list.iter(), |out, value| push_json_value(out, &value, context));
            out.push(b'}');
        }
        FieldValue::SubTemplateList(list) => push_json_records(out, list, context),
        FieldValue::SubTemplateMultiList(list) => {
            push_semantic(out, list.semantic());
            out.extend_from_slice(b",\"lists\":");
            push_array(out, list.iter(), |out, entry| push_json_records(out, entry, context));
            out.push(b'}');
        }
        FieldValue::Octets(octets) => quoted(out, |out| push_hex(out, octets)),
        other => quoted(out, |out| push_display(out, other)),
    }
}

/// A list of records: their fields when the template is known, else their octets.
fn push_json_records(out: &mut Vec<u8>, list: SubTemplateList<'_>, context: &Context<'_>) {
    push_semantic(out, list.semantic());
    out.extend_from_slice(b",\"template_id\":");
    push_unsigned(out, list.template_id().into());
    if let Some(template) = context.template(list.template_id()) {
        out.extend_from_slice(b",\"records\":");
        push_array(out, list.records(template), |out, record| {
            push_array(out, record.fields(), |out, field| {
                push_json_field(out, &field, context);
                out.push(b'}');
            });
        });
    } else {
        out.extend_from_slice(b",\"hex\":");
        quoted(out, |out| push_hex(out, list.content()));
    }
    out.push(b'}');
}

/// Number, enterprise, name and value of a field as members of an object that is left open.
pub(super) fn push_json_field(out: &mut Vec<u8>, field: &FieldView<'_>, context: &Context<'_>) {
    out.extend_from_slice(b"{\"id\":");
    push_unsigned(out, field.element().number().into());
    out.extend_from_slice(b",\"pen\":");
    push_unsigned(out, field.element().enterprise().into());
    out.extend_from_slice(b",\"name\":");
    match context.name(field) {
        Some(name) => push_json_string(out, name),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"value\":");
    push_json_value(out, field, context);
}

/// Opens an object with how the values of a list relate.
fn push_semantic(out: &mut Vec<u8>, semantic: ListSemantic) {
    out.extend_from_slice(b"{\"semantic\":");
    quoted(out, |out| push_display(out, semantic));
}

/// The name of an element, or its number where it has none.
fn push_element(out: &mut Vec<u8>, element: ElementId, elements: &Elements<'_>) {
    match elements.info(element) {
        Some(info) => push_json_string(out, info.name),
        // The number, and the enterprise's.
        None => quoted(out, |out| push_display(out, element)),
    }
}

fn push_array<T>(out: &mut Vec<u8>, items: impl Iterator<Item = T>, mut push: impl FnMut(&mut Vec<u8>, T)) {
    out.push(b'[');
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push(out, item);
    }
    out.push(b']');
}

/// Fields as a JSON object by element name, or number where it has none; a repeated element gives a list.
pub(super) fn push_json_fields(out: &mut Vec<u8>, fields: &[FieldView<'_>], context: &Context<'_>) {
    let elements = context.elements();
    out.push(b'{');
    for (index, group) in fields.chunk_by(|a, b| a.element() == b.element()).enumerate() {
        let Some(first) = group.first() else { continue };
        if index > 0 {
            out.push(b',');
        }
        push_element(out, first.element(), &elements);
        out.push(b':');
        if group.len() == 1 {
            push_json_value(out, first, context);
        } else {
            push_array(out, group.iter(), |out, field| push_json_value(out, field, context));
        }
    }
    out.push(b'}');
}

/// What of a flow has no column, as a JSON object behind some text; nothing when everything has one.
pub(super) fn push_extras(out: &mut Vec<u8>, before: &[u8], flow: &Flow<'_>) {
    if let Some(stored) = flow.stored() {
        if let Some(fields) = stored.fields() {
            out.extend_from_slice(before);
            out.extend_from_slice(fields.as_bytes());
        }
        return;
    }
    let extras = flow.extras();
    if !extras.is_empty() {
        out.extend_from_slice(before);
        push_json_fields(out, &extras, &flow.context.of(&flow.fields));
    }
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
    use netflow_codec::{DataType, ElementInfo, ElementRegistry, ExportClock, Template};

    use super::*;
    use crate::flow::Known;

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

    /// What is known of an exporter that has said nothing but the definition of 32473/7.
    #[derive(Debug)]
    struct Nothing(ElementRegistry);

    impl Known for Nothing {
        fn elements(&self) -> Elements<'_> {
            Elements::default().with_defined(&self.0)
        }

        fn template(&self, _: u16) -> Option<&Template> {
            None
        }
    }

    fn value(enterprise: u32, number: u16, octets: &[u8]) -> String {
        let mut registry = ElementRegistry::new();
        let own = ElementInfo::new("a\"b", DataType::String);
        registry.define(ElementId::new(32_473, 7), own).unwrap();
        let known = Nothing(registry);
        let context = Context::new(&known, ExportClock::without_uptime(Timestamp::from_secs(1_700_000_000)));
        let field = FieldView::new(ElementId::new(enterprise, number), octets);
        let value = text(|out| push_json_value(out, &field, &context));
        serde_json::from_str::<serde_json::Value>(&value).expect(&value);
        let fields = text(|out| push_json_fields(out, &[field, field], &context));
        serde_json::from_str::<serde_json::Value>(&fields).expect(&fields);
        value
    }

    #[test]
    fn values_are_sound_json() {
        assert_eq!(value(0, 311, &f64::NAN.to_be_bytes()), "null");
        assert_eq!(value(0, 311, &0.15f64.to_be_bytes()), "0.15");
        assert_eq!(value(0, 82, b"a\"\x01b"), r#""a\"\u0001b""#);
        assert_eq!(value(0, 90, &[0, 0xaf]), r#""00af""#);
        assert_eq!(value(0, 152, &1_700_000_000_250_u64.to_be_bytes()), r#""2023-11-14T22:13:20.25Z""#);
        assert_eq!(value(0, 158, &[0, 0x0f, 0x42, 0x40]), r#""2023-11-14T22:13:19Z""#);
        assert_eq!(value(0, 22, &[0, 0, 0, 9]), "9");
        assert_eq!(value(32_473, 7, b"x"), r#""x""#);
    }

    #[test]
    fn lists_are_objects_with_their_values() {
        assert_eq!(
            value(0, 291, &[3, 0, 14, 0, 1, 7, 9]),
            r#"{"semantic":"allOf","element":"egressInterface","values":[7,9]}"#
        );
        // Text within is escaped, names are too.
        let list = [9, 0x80, 7, 255, 255, 0, 0, 0x7e, 0xd9, 1, b'"'];
        assert_eq!(value(0, 291, &list), r#"{"semantic":"9","element":"a\"b","values":["\""]}"#);
        let octets = [255, 1, 44, 0, 5, 7, 1, 45, 0, 0];
        let lists = r#"[{"semantic":"undefined","template_id":300,"hex":"07"},{"semantic":"undefined","template_id":301,"hex":""}]"#;
        assert_eq!(value(0, 293, &octets), format!(r#"{{"semantic":"undefined","lists":{lists}}}"#));
    }
}
