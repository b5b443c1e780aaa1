//! The schema of the files: the columns of the flow schema, and what has no column as JSON.

use core::fmt::Write as _;
use std::sync::Arc;

use parquet::{
    errors::Result,
    file::properties::WriterProperties,
    schema::{parser::parse_message_type, types::Type},
};

use super::form::Form;
use crate::flow::{COLUMNS, Kind};

/// The column behind all others: a JSON object of the elements that have no column.
pub(super) const FIELDS: &str = "fields";

/// The Parquet schema. All columns but lists' elements may be null. Times behind the year 2262, which only broken records
/// have, stand by their bits: the format has signed ones.
pub(super) fn message(addresses: Form) -> Result<Arc<Type>> {
    let of_address = if addresses == Form::Text { " (STRING)" } else { "" };
    let mut text = String::from("message flow {");
    for column in COLUMNS {
        let name = column.name;
        let field = match column.kind {
            Kind::Unsigned32 => format!("optional int32 {name} (INTEGER(32,false));"),
            Kind::Unsigned64 => format!("optional int64 {name} (INTEGER(64,false));"),
            Kind::Signed64 => format!("optional int64 {name} (INTEGER(64,true));"),
            Kind::Time => format!("optional int64 {name} (TIMESTAMP(NANOS,true));"),
            Kind::Word | Kind::MacAddress => format!("optional binary {name} (STRING);"),
            Kind::Address => format!("optional binary {name}{of_address};"),
            Kind::NumberList => list(name, "int32 element (INTEGER(32,false))"),
            Kind::AddressList => list(name, &format!("binary element{of_address}")),
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

/// How files are written; columns come encoded and compressed.
pub(super) fn properties() -> WriterProperties {
    WriterProperties::builder()
        .set_created_by(concat!("netflow-collector ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_offset_index_disabled(true)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_has_every_column_of_the_flow_schema() {
        for form in [Form::Text, Form::Octets] {
            let message = message(form).unwrap();
            let names: Vec<&str> = message.get_fields().iter().map(|field| field.name()).collect();
            let expected: Vec<&str> = COLUMNS.iter().map(|column| column.name).chain([FIELDS]).collect();
            assert_eq!(names, expected);
        }
    }
}
