//! The committed element tables are what the registries' CSV files give.
//!
//! `UPDATE_REGISTRY=1 cargo test -p netflow-codec --test registry` writes them anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use core::fmt::Write as _;
use std::{collections::BTreeMap, fs, path::Path};

/// Where a table comes from; ends the first line of each file.
const GENERATED: &str = "Generated: `tests/registry.rs` says how.";

/// An element of a CSV file.
#[derive(Debug)]
struct Row {
    enterprise: u32,
    number: u16,
    name: String,
    /// The arguments of `e`.
    arguments: String,
    range: Option<(u64, u64)>,
    is_reversible: bool,
}

/// A CSV file of the reference, row by row, by the names of its columns.
fn read(file: &str) -> Option<Vec<BTreeMap<String, String>>> {
    let path = common::shared(&format!("reference/{file}"))?;
    Some(csv::Reader::from_path(path).unwrap().deserialize().map(Result::unwrap).collect())
}

fn data_type(name: &str) -> &'static str {
    match name {
        "unsigned8" => "Unsigned8",
        "unsigned16" => "Unsigned16",
        "unsigned32" => "Unsigned32",
        // One vendor has an element of which no more is known.
        "unsigned64" | "unsigned" => "Unsigned64",
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

fn semantics(name: &str) -> &'static str {
    match name {
        "" | "default" => "DEFAULT",
        "quantity" => "QUANTITY",
        "totalCounter" => "TOTAL_COUNTER",
        "deltaCounter" => "DELTA_COUNTER",
        "identifier" => "IDENTIFIER",
        "flags" => "FLAGS",
        "list" => "LIST",
        "snmpCounter" => "SNMP_COUNTER",
        "snmpGauge" => "SNMP_GAUGE",
        other => panic!("the registry has semantics that the codec does not know: {other}"),
    }
}

fn units(name: &str) -> String {
    match name {
        "" => "NONE".to_owned(),
        "4-octet words" => "FOUR_OCTET_WORDS".to_owned(),
        other => {
            assert!(netflow_codec::Units::from_name(other).is_some(), "unknown units: {other}");
            other.to_uppercase()
        }
    }
}

fn arguments(name: &str, kind: &str, meaning: &str, unit: &str) -> String {
    format!("\"{name}\", T::{}, S::{}, U::{}", data_type(kind), semantics(meaning), units(unit))
}

fn number(text: &str) -> u64 {
    text.strip_prefix("0x").map_or_else(|| text.parse(), |hex| u64::from_str_radix(hex, 16)).unwrap()
}

fn iana() -> Option<Vec<Row>> {
    let rows = read("information-elements.csv")?.into_iter().filter_map(|row| {
        // Ranges are unassigned or reserved numbers: they have no name.
        let number_of = row["id"].parse().ok()?;
        if row["status"].starts_with("reserved") || row["name"].is_empty() {
            return None;
        }
        Some(Row {
            enterprise: 0,
            number: number_of,
            name: row["name"].clone(),
            arguments: arguments(
                &row["name"],
                &row["abstract_data_type"],
                &row["data_type_semantics"],
                &row["units"],
            ),
            range: row["range"].split_once('-').map(|(first, last)| (number(first), number(last))),
            is_reversible: row["reversible_rfc5103"] == "yes",
        })
    });
    Some(rows.collect())
}

/// Enterprises with their names and elements.
fn enterprises() -> Option<BTreeMap<u32, (String, Vec<Row>)>> {
    let rows = read("enterprise-elements.csv")?;
    let find = |enterprise: u32, number: u16| {
        rows.iter().find(|row| row["pen"] == enterprise.to_string() && row["id"] == number.to_string())
    };
    let mut enterprises = BTreeMap::new();
    for row in &rows {
        let enterprise = row["pen"].parse().unwrap();
        // The same elements as those of 10704, under the number of somebody else.
        if enterprise == 12_326 {
            continue;
        }
        let number: u16 = row["id"].parse().unwrap();
        // CERT's elements of the reverse direction are what their forward ones are, also where lists of them differ.
        let forward = if enterprise == 6_871 { number.checked_sub(0x4000) } else { None };
        let kind = forward.and_then(|number| find(enterprise, number)).unwrap_or(row);
        let (_, rows) = enterprises.entry(enterprise).or_insert_with(|| (row["vendor"].clone(), Vec::new()));
        rows.push(Row {
            enterprise,
            number,
            name: row["name"].clone(),
            arguments: arguments(&row["name"], &kind["data_type"], &kind["semantics"], &kind["units"]),
            range: None,
            is_reversible: false,
        });
    }
    for (_, rows) in enterprises.values_mut() {
        rows.sort_by_key(|row| row.number);
    }
    Some(enterprises)
}

/// A number with its thousands apart, when there are more than nine of them.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    if digits.len() <= 4 {
        return digits;
    }
    let groups: Vec<&[u8]> = digits.as_bytes().rchunks(3).rev().collect();
    groups.iter().map(|group| core::str::from_utf8(group).unwrap()).collect::<Vec<_>>().join("_")
}

/// An entry of a table.
fn entry(row: &Row) -> String {
    let mut call = format!("e({})", row.arguments);
    if let Some((first, last)) = row.range {
        call = format!("within({call}, {first}, {})", grouped(last));
    }
    if row.enterprise == 0 && !row.is_reversible {
        call = format!("one_way({call})");
    }
    call
}

fn iana_table(rows: &[Row]) -> String {
    let last = rows.iter().map(|row| row.number).max().unwrap();
    let mut text = format!(
        "//! The IANA registry \"IPFIX Information Elements\", by number. {GENERATED}\n\n\
         use super::{{DataType as T, ElementInfo, Semantics as S, Units as U, ValueRange}};\n\n\
         type Entry = Option<ElementInfo>;\n\n\
         #[expect(clippy::unnecessary_wraps, reason = \"the table has gaps\")]\n\
         const fn e(name: &'static str, data_type: T, semantics: S, units: U) -> Entry {{\n    \
         let info = ElementInfo::new(name, data_type);\n    \
         Some(ElementInfo {{ semantics, units, is_reversible: true, ..info }})\n}}\n\n\
         const fn within(entry: Entry, first: u64, last: u64) -> Entry {{\n    \
         let Some(info) = entry else {{ return None }};\n    \
         Some(ElementInfo {{ range: Some(ValueRange::new(first, last)), ..info }})\n}}\n\n\
         const fn one_way(entry: Entry) -> Entry {{\n    \
         let Some(info) = entry else {{ return None }};\n    \
         Some(ElementInfo {{ is_reversible: false, ..info }})\n}}\n\n"
    );
    writeln!(text, "#[rustfmt::skip]\npub(super) static ELEMENTS: [Entry; {}] = [", last + 1).unwrap();
    for number in 0..=last {
        match rows.iter().find(|row| row.number == number) {
            Some(row) => writeln!(text, "    /* {number} */ {},", entry(row)).unwrap(),
            None => writeln!(text, "    /* {number} */ None,").unwrap(),
        }
    }
    text.push_str("];\n");
    text
}

fn reverse_table(rows: &[Row], reverse: &[BTreeMap<String, String>]) -> String {
    let last = rows.iter().map(|row| row.number).max().unwrap();
    let mut text = format!(
        "//! The reverse elements of RFC 5103, by number. {GENERATED}\n\n\
         use super::{{ElementInfo, iana::ELEMENTS as FORWARD}};\n\n\
         /// What the forward element is, under another name.\n\
         #[expect(clippy::indexing_slicing, reason = \"at compile time\")]\n\
         const fn r(number: usize, name: &'static str) -> Option<ElementInfo> {{\n    \
         let Some(info) = FORWARD[number] else {{ return None }};\n    \
         Some(ElementInfo {{ name, is_reversible: false, ..info }})\n}}\n\n"
    );
    writeln!(text, "#[rustfmt::skip]\npub(super) static ELEMENTS: [Option<ElementInfo>; {}] = [", last + 1)
        .unwrap();
    for number in 0..=last {
        let known = rows.iter().find(|row| row.number == number);
        let row = reverse.iter().find(|row| row["id"] == number.to_string());
        assert_eq!(known.is_some(), row.is_some(), "{number}");
        match row {
            Some(row) if known.unwrap().is_reversible => {
                assert!(row["note"].is_empty(), "{number}");
                writeln!(text, "    r({number}, \"{}\"),", row["conventional_name"]).unwrap();
            }
            _ => writeln!(text, "    /* {number} */ None,").unwrap(),
        }
    }
    text.push_str("];\n");
    text
}

/// A name without what a table has behind it in brackets.
fn bare(name: &str) -> &str {
    name.split(" (").next().unwrap()
}

fn netflow_v9_table(fields: &[BTreeMap<String, String>]) -> String {
    let mut types = BTreeMap::new();
    let mut vendors = BTreeMap::new();
    for row in fields {
        let Ok(number) = row["id"].parse::<u16>() else { continue };
        let name = bare(&row["v9_name"]);
        if name.is_empty() {
            continue;
        }
        let length: u16 = row["default_length"].parse().or_else(|_| row["v9_length"].parse()).unwrap_or(0);
        let twice = types.insert(number, (name, length));
        assert_eq!(twice, None, "{number}");
        if number >= 0x8000 {
            vendors.insert(number, arguments(name, &row["ipfix_type"], "", ""));
        }
    }
    let mut text = format!(
        "//! Field types of NetFlow v9 by the names of RFC 3954 and of Cisco's documents. {GENERATED}\n\n\
         use super::{{DataType as T, ElementId, ElementInfo, Semantics as S, Units as U}};\n\n\
         /// Number, name, and octets unless the template says otherwise: 0 where only the template does.\n\
         pub(super) type FieldType = (u16, &'static str, u16);\n\n\
         pub(super) fn type_of(element: ElementId) -> Option<&'static FieldType> {{\n    \
         if element.enterprise() != 0 {{\n        return None;\n    }}\n    \
         let found = TYPES.binary_search_by_key(&element.number(), |(number, ..)| *number).ok()?;\n    \
         TYPES.get(found)\n}}\n\n\
         pub(super) fn vendor(number: u16) -> Option<&'static ElementInfo> {{\n    \
         let found = VENDORS.binary_search_by_key(&number, |(number, _)| *number).ok()?;\n    \
         VENDORS.get(found).map(|(_, info)| info)\n}}\n\n\
         const fn e(name: &'static str, data_type: T, semantics: S, units: U) -> ElementInfo {{\n    \
         let info = ElementInfo::new(name, data_type);\n    \
         ElementInfo {{ semantics, units, ..info }}\n}}\n\n"
    );
    writeln!(text, "#[rustfmt::skip]\npub(super) static TYPES: [FieldType; {}] = [", types.len()).unwrap();
    for (number, (name, length)) in &types {
        writeln!(text, "    ({number}, \"{name}\", {length}),").unwrap();
    }
    writeln!(
        text,
        "];\n\n/// Types that vendors use, in numbers that IPFIX does not have.\n#[rustfmt::skip]\n\
         static VENDORS: [(u16, ElementInfo); {}] = [",
        vendors.len()
    )
    .unwrap();
    for (number, arguments) in &vendors {
        writeln!(text, "    ({number}, e({arguments})),").unwrap();
    }
    text.push_str("];\n");
    text
}

/// The name of an enterprise's module.
fn module(vendor: &str) -> String {
    let first = vendor.split([' ', '/']).next().unwrap();
    first.to_lowercase().replace('-', "_")
}

fn enterprise_tables(enterprises: &BTreeMap<u32, (String, Vec<Row>)>) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let modules = enterprises.values().map(|(vendor, _)| format!("mod {};\n", module(vendor)));
    let mut modules: Vec<String> = modules.collect();
    modules.sort();
    let mut text = format!(
        "//! Elements of enterprises, by enterprise number and number. {GENERATED}\n\n{}\n\
         use super::{{DataType as T, ElementInfo, Semantics as S, Units as U}};\n\n\
         type Entry = (u16, ElementInfo);\n\n\
         const fn e(number: u16, name: &'static str, data_type: T, semantics: S, units: U) -> Entry {{\n    \
         let info = ElementInfo::new(name, data_type);\n    \
         (number, ElementInfo {{ semantics, units, ..info }})\n}}\n\n\
         /// Enterprise number, name, elements.\n\
         pub(super) type Enterprise = (u32, &'static str, &'static [Entry]);\n\n\
         pub(super) fn table(enterprise: u32) -> Option<&'static Enterprise> {{\n    \
         let found = ENTERPRISES.binary_search_by_key(&enterprise, |(number, ..)| *number).ok()?;\n    \
         ENTERPRISES.get(found)\n}}\n\n\
         pub(super) fn info(enterprise: u32, number: u16) -> Option<&'static ElementInfo> {{\n    \
         let (_, _, elements) = table(enterprise)?;\n    \
         let found = elements.binary_search_by_key(&number, |(number, _)| *number).ok()?;\n    \
         elements.get(found).map(|(_, info)| info)\n}}\n\n",
        modules.join("")
    );
    writeln!(text, "#[rustfmt::skip]\nstatic ENTERPRISES: [Enterprise; {}] = [", enterprises.len()).unwrap();
    for (enterprise, (vendor, rows)) in enterprises {
        let module = module(vendor);
        let vendor = bare(vendor);
        writeln!(text, "    ({enterprise}, \"{vendor}\", &{module}::ELEMENTS),").unwrap();
        let mut table = format!(
            "//! Elements of enterprise {enterprise}, `{vendor}`. {GENERATED}\n\n\
             use super::{{Entry, S, T, U, e}};\n\n"
        );
        writeln!(table, "#[rustfmt::skip]\npub(super) static ELEMENTS: [Entry; {}] = [", rows.len()).unwrap();
        for row in rows {
            writeln!(table, "    e({}, {}),", row.number, row.arguments).unwrap();
        }
        table.push_str("];\n");
        assert!(files.insert(format!("enterprise/{module}.rs"), table).is_none(), "{module}");
    }
    text.push_str("];\n");
    files.insert("enterprise/mod.rs".to_owned(), text);
    files
}

fn name_index(
    iana: &[Row],
    reverse: &[BTreeMap<String, String>],
    enterprises: &BTreeMap<u32, (String, Vec<Row>)>,
) -> String {
    let of_reverse = |row: &Row| {
        let number = row.number.to_string();
        reverse.iter().find(|row| row["id"] == number).unwrap()["conventional_name"].clone()
    };
    let mut names: Vec<(String, u32, u16)> =
        iana.iter().map(|row| (row.name.clone(), 0, row.number)).collect();
    let reversible = iana.iter().filter(|row| row.is_reversible);
    names.extend(reversible.map(|row| (of_reverse(row), 29_305, row.number)));
    let of_enterprises = enterprises.values().flat_map(|(_, rows)| rows);
    names.extend(of_enterprises.map(|row| (row.name.clone(), row.enterprise, row.number)));
    names.sort();
    let mut text = format!(
        "//! Elements in the order of their names; of equal names IANA's goes first. {GENERATED}\n\n\
         use super::ElementId;\n\n\
         const fn e(enterprise: u32, number: u16) -> ElementId {{\n    \
         ElementId::new(enterprise, number)\n}}\n\n"
    );
    writeln!(text, "#[rustfmt::skip]\npub(super) static BY_NAME: [ElementId; {}] = [", names.len()).unwrap();
    for (name, enterprise, number) in &names {
        writeln!(text, "    /* {name} */ e({enterprise}, {number}),").unwrap();
    }
    text.push_str("];\n");
    text
}

fn value_table(rows: &[BTreeMap<String, String>]) -> String {
    let mut names = BTreeMap::new();
    for row in rows {
        let element = match &*row["registry_id"] {
            "psamp-parameters-1" => 304,
            "forwarding-status-01b" | "forwarding-status-10b" | "forwarding-status-11b" => 89,
            // The names of the two high bits; the codes are above.
            "forwarding-status" => continue,
            _ => match row["registry_title"].split_once("(Value ") {
                Some((_, number)) => number.trim_end_matches(')').parse::<u16>().unwrap(),
                None => continue,
            },
        };
        let text = &*row["value"];
        if text.contains('-') {
            continue;
        }
        let value = u32::try_from(number(text)).unwrap();
        let name = row["name_or_meaning"].split(": ").next().unwrap();
        if ["Unassigned", "Reserved", "Invalid."].contains(&name) {
            continue;
        }
        let name = match (element, value) {
            (101, 21) => "Qosmos ixEngine",
            (101, 22) => "ntop nDPI",
            _ => name,
        };
        names.insert((element, value), name);
    }
    let mut text = format!(
        "//! What values of elements mean, by IANA's registries of them: element, value, name. {GENERATED}\n\n"
    );
    writeln!(text, "#[rustfmt::skip]\npub(super) static NAMES: [(u16, u32, &str); {}] = [", names.len())
        .unwrap();
    for ((element, value), name) in &names {
        writeln!(text, "    ({element}, {value}, \"{name}\"),").unwrap();
    }
    text.push_str("];\n");
    text
}

fn tables() -> Option<BTreeMap<String, String>> {
    let iana = iana()?;
    let reverse = read("reverse-elements.csv")?;
    let enterprises = enterprises()?;
    let mut files = enterprise_tables(&enterprises);
    files.insert("iana.rs".to_owned(), iana_table(&iana));
    files.insert("reverse.rs".to_owned(), reverse_table(&iana, &reverse));
    files.insert("netflow_v9.rs".to_owned(), netflow_v9_table(&read("netflow-v9-fields.csv")?));
    files.insert("names.rs".to_owned(), name_index(&iana, &reverse, &enterprises));
    files.insert("values.rs".to_owned(), value_table(&read("iana-subregistries.csv")?));
    Some(files)
}

#[test]
fn committed_element_tables_equal_the_registries() {
    let Some(tables) = tables() else { return };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/element");
    let is_update = std::env::var_os("UPDATE_REGISTRY").is_some();
    fs::create_dir_all(folder.join("enterprise")).unwrap();
    for (file, expected) in &tables {
        if is_update {
            fs::write(folder.join(file), expected).unwrap();
        }
        let committed = fs::read_to_string(folder.join(file)).unwrap_or_default();
        assert!(committed == *expected, "src/element/{file} is not up to date");
    }
    let modules = fs::read_dir(folder.join("enterprise")).unwrap().map(|entry| entry.unwrap().path());
    for path in modules {
        let file = format!("enterprise/{}", path.file_name().unwrap().to_str().unwrap());
        assert!(tables.contains_key(&file), "src/element/{file} is no table of any enterprise");
    }
}
