//! The schema of the files: the columns of the flow schema, and what has no column as JSON.

use core::fmt::Write as _;
use std::sync::Arc;

use parquet::{
    basic::{Compression, Encoding, ZstdLevel},
    errors::Result,
    file::properties::{EnabledStatistics, WriterProperties},
    schema::{
        parser::parse_message_type,
        types::{ColumnPath, Type},
    },
};

use crate::flow::{COLUMNS, Kind};

/// The column behind all others: a JSON object of the elements that have no column.
pub(super) const FIELDS: &str = "fields";

/// Columns by which single flows are looked for: their values are in a Bloom filter, too.
const LOOKED_FOR: [&str; 2] = ["src_addr", "dst_addr"];

/// Different values of a row group that the Bloom filters are made for.
const BLOOM_VALUES: u64 = 20_000;

/// The Parquet schema. All columns but lists' elements may be null.
pub(super) fn message() -> Result<Arc<Type>> {
    let mut text = String::from("message flow {");
    for column in COLUMNS {
        let name = column.name;
        let field = match column.kind {
            Kind::Unsigned32 => format!("optional int32 {name} (INTEGER(32,false));"),
            Kind::Unsigned64 => format!("optional int64 {name} (INTEGER(64,false));"),
            Kind::Signed64 => format!("optional int64 {name} (INTEGER(64,true));"),
            Kind::Time => format!("optional int64 {name} (TIMESTAMP(NANOS,true));"),
            Kind::Word | Kind::Address | Kind::MacAddress => format!("optional binary {name} (STRING);"),
            Kind::NumberList => list(name, "int32 element (INTEGER(32,false))"),
            Kind::AddressList => list(name, "binary element (STRING)"),
        };
        text.push_str(&field);
    }
    // Writing to a string does not fail.
    let _ = write!(text, "optional binary {FIELDS} (STRING); }}");
    parse_message_type(&text).map(Arc::new)
}

fn list(name: &str, element: &str) -> String {
    format!("optional group {name} (LIST) {{ repeated group list {{ required {element}; }} }}")
}

/// How the columns are written: zstd; times as differences; addresses and numbers by dictionary where that is shorter.
pub(super) fn properties(level: i32) -> Result<WriterProperties> {
    let mut properties = WriterProperties::builder()
        .set_created_by(concat!("netflow-collector ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(level)?))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true);
    for column in COLUMNS {
        let path = ColumnPath::from(column.name);
        if column.kind == Kind::Time || column.name == "sequence_num" {
            properties = properties
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path.clone(), Encoding::DELTA_BINARY_PACKED);
        }
        if LOOKED_FOR.contains(&column.name) {
            properties = properties
                .set_column_bloom_filter_enabled(path.clone(), true)
                .set_column_bloom_filter_fpp(path.clone(), 0.01)
                .set_column_bloom_filter_max_ndv(path, BLOOM_VALUES);
        }
    }
    Ok(properties.build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_has_every_column_of_the_flow_schema() {
        let message = message().unwrap();
        let names: Vec<&str> = message.get_fields().iter().map(|field| field.name()).collect();
        let expected: Vec<&str> = COLUMNS.iter().map(|column| column.name).chain([FIELDS]).collect();
        assert_eq!(names, expected);
        properties(1).unwrap();
    }
}
