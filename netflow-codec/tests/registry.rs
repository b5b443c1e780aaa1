//! The committed element table is what the registry's CSV gives.
//!
//! `UPDATE_REGISTRY=1 cargo test -p netflow-codec --test registry` writes it anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use core::fmt::Write as _;
use std::{fs, path::Path};

#[derive(Debug)]
struct Row {
    number: usize,
    name: String,
    data_type: &'static str,
}

fn data_type(name: &str) -> &'static str {
    match name {
        "unsigned8" => "Unsigned8",
        "unsigned16" => "Unsigned16",
        "unsigned32" => "Unsigned32",
        "unsigned64" => "Unsigned64",
        "unsigned256" => "Unsigned256",
        "signed8" => "Signed8",
        "signed16" => "Signed16",
        "signed32" => "Signed32",
        "signed64" => "Signed64",
        "float32" => "Float32",
        "float64" => "Float64",
        "boolean" => "Boolean",
        "macAddress" => "MacAddress",
        "string" => "String",
        "dateTimeSeconds" => "DateTimeSeconds",
        "dateTimeMilliseconds" => "DateTimeMilliseconds",
        "dateTimeMicroseconds" => "DateTimeMicroseconds",
        "dateTimeNanoseconds" => "DateTimeNanoseconds",
        "ipv4Address" => "Ipv4Address",
        "ipv6Address" => "Ipv6Address",
        "basicList" => "BasicList",
        "subTemplateList" => "SubTemplateList",
        "subTemplateMultiList" => "SubTemplateMultiList",
        "octetArray" | "" => "OctetArray",
        other => panic!("the registry has a data type that the codec does not know: {other}"),
    }
}

fn rows(csv: &Path) -> Vec<Row> {
    let mut reader = csv::Reader::from_path(csv).unwrap();
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.unwrap();
        // Ranges are unassigned or reserved numbers: they have no name.
        let Ok(number) = record[0].parse() else { continue };
        if matches!(&record[8], "reserved" | "unassigned") || record[1].is_empty() {
            continue;
        }
        rows.push(Row { number, name: record[1].to_owned(), data_type: data_type(&record[2]) });
    }
    rows
}

fn generate(rows: &[Row]) -> String {
    let last = rows.iter().map(|row| row.number).max().unwrap();
    let mut text = String::from(
        "//! The IANA registry \"IPFIX Information Elements\", by number. Generated: `tests/registry.rs` says how.\n\n\
         use super::{DataType as T, ElementInfo};\n\n\
         #[expect(clippy::unnecessary_wraps, reason = \"the table has gaps\")]\n\
         const fn e(name: &'static str, data_type: T) -> Option<ElementInfo> {\n    \
         Some(ElementInfo::new(name, data_type))\n}\n\n",
    );
    writeln!(text, "#[rustfmt::skip]\npub(super) static ELEMENTS: [Option<ElementInfo>; {}] = [", last + 1)
        .unwrap();
    for number in 0..=last {
        match rows.iter().find(|row| row.number == number) {
            Some(row) => {
                writeln!(text, "    /* {number} */ e(\"{}\", T::{}),", row.name, row.data_type).unwrap();
            }
            None => writeln!(text, "    /* {number} */ None,").unwrap(),
        }
    }
    text.push_str("];\n");
    text
}

#[test]
fn committed_element_table_equals_the_registry() {
    let Some(shared) = common::shared("reference/information-elements.csv") else { return };
    let expected = generate(&rows(&shared));
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/element/iana.rs");
    if std::env::var_os("UPDATE_REGISTRY").is_some() {
        fs::write(&committed, &expected).unwrap();
    }
    assert!(fs::read_to_string(&committed).unwrap() == expected, "src/element/iana.rs is not up to date");
}
