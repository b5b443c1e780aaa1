//! Groups as a table to read, as CSV and as JSON.

use serde_json::{Map, Value as Json};

use super::{
    groups::{Groups, Order, Totals, Values},
    table::{Align, Table, percent, scaled},
};
use crate::output::{seconds, time};

/// In which form an answer is printed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Form {
    /// Aligned columns, numbers with units.
    #[default]
    Table,
    /// A header line, then a line a group, plain numbers.
    Csv,
    /// A JSON object a line and group, plain numbers.
    Json,
}

/// Names of the columns behind the keys, in CSV and JSON.
const COLUMNS: [&str; 9] =
    ["flows", "packets", "bytes", "first_ns", "last_ns", "duration_ms", "pps", "bps", "bpp"];

/// The groups that rank first.
///
/// # Errors
///
/// When the CSV cannot be written, which memory always can.
pub fn groups(
    groups: &Groups,
    order: Order,
    count: usize,
    total: &Totals,
    form: Form,
) -> Result<String, csv::Error> {
    let ranking = groups.ranking(order, count);
    match form {
        Form::Table => Ok(table(groups, &ranking, total)),
        Form::Csv => csv(groups, &ranking),
        Form::Json => Ok(json(groups, &ranking)),
    }
}

fn table(groups: &Groups, ranking: &[(&Values, &Totals)], total: &Totals) -> String {
    let mut table = Table::new();
    table.column("First seen (UTC)", Align::Left);
    table.column("Duration", Align::Right);
    for key in groups.keys() {
        table.column(key.name(), Align::Left);
    }
    for heading in ["Flows", "", "Packets", "", "Octets", "", "pps", "bps", "bpp"] {
        table.column(heading, Align::Right);
    }
    for (values, totals) in ranking {
        let mut row = vec![
            totals.first.map_or_else(|| "-".to_owned(), time),
            seconds(i64::try_from(totals.duration_millis()).unwrap_or(i64::MAX)),
        ];
        row.extend(
            values.iter().map(|value| value.map_or_else(|| "-".to_owned(), |value| value.to_string())),
        );
        row.extend([
            scaled(totals.flows),
            percent(totals.flows, total.flows),
            scaled(totals.packets),
            percent(totals.packets, total.packets),
            scaled(totals.octets),
            percent(totals.octets, total.octets),
            scaled(totals.packets_per_second()),
            scaled(totals.bits_per_second()),
            scaled(totals.octets_per_packet()),
        ]);
        table.row(row);
    }
    table.render()
}

fn csv(groups: &Groups, ranking: &[(&Values, &Totals)]) -> Result<String, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(groups.keys().iter().map(super::key::Key::name).chain(COLUMNS))?;
    for (values, totals) in ranking {
        let values = values.iter().map(|value| value.map_or_else(String::new, |value| value.to_string()));
        let numbers =
            numbers(totals).map(|number| number.map_or_else(String::new, |number| number.to_string()));
        writer.write_record(values.chain(numbers))?;
    }
    let octets = writer.into_inner().map_err(csv::IntoInnerError::into_error)?;
    Ok(String::from_utf8(octets).unwrap_or_default())
}

fn json(groups: &Groups, ranking: &[(&Values, &Totals)]) -> String {
    let mut text = String::new();
    for (values, totals) in ranking {
        text.push_str(&group_json(groups, values, totals).to_string());
        text.push('\n');
    }
    text
}

/// A group as a JSON object: its values by the names of the keys, then its totals.
#[must_use]
pub fn group_json(groups: &Groups, values: &Values, totals: &Totals) -> Json {
    let mut object = Map::new();
    for (key, value) in groups.keys().iter().zip(values.iter()) {
        object.insert(key.name().to_owned(), value_json(*value));
    }
    object.extend(members(totals));
    Json::Object(object)
}

/// A value: a number where it is a plain one, else text; `null` when it was not carried.
#[must_use]
pub fn value_json(value: Option<super::Value>) -> Json {
    value.map_or(Json::Null, |value| match value {
        super::Value::Number(number) => Json::from(number),
        other => Json::from(other.to_string()),
    })
}

/// What all flows come to, as a JSON object.
#[must_use]
pub fn summary_json(total: &Totals) -> Json {
    Json::Object(members(total).collect())
}

fn members(totals: &Totals) -> impl Iterator<Item = (String, Json)> {
    let numbers = numbers(totals);
    COLUMNS.into_iter().map(ToOwned::to_owned).zip(numbers.map(Json::from))
}

/// In the order of [`COLUMNS`].
fn numbers(totals: &Totals) -> [Option<u64>; 9] {
    [
        Some(totals.flows),
        Some(totals.packets),
        Some(totals.octets),
        totals.first.map(netflow_codec::Timestamp::as_nanos),
        totals.last.map(netflow_codec::Timestamp::as_nanos),
        Some(totals.duration_millis()),
        Some(totals.packets_per_second()),
        Some(totals.bits_per_second()),
        Some(totals.octets_per_packet()),
    ]
}

/// What all flows come to, in a line.
#[must_use]
pub fn summary(total: &Totals) -> String {
    format!(
        "flows: {}, packets: {}, octets: {}, {} bit/s, {} packets/s, {} octets/packet",
        scaled(total.flows),
        scaled(total.packets),
        scaled(total.octets),
        scaled(total.bits_per_second()),
        scaled(total.packets_per_second()),
        total.octets_per_packet()
    )
}
