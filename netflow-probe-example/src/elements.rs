//! Definitions of elements from CSV files.

use core::fmt;
use std::io::Read;

use csv::{ByteRecord, ReaderBuilder, Trim};
use netflow_codec::{
    DataType, DefineError, ElementId, ElementInfo, ElementRegistry, Semantics, Units, ValueRange,
};

/// Columns that a file must have.
const REQUIRED: [&str; 4] = ["pen", "id", "name", "data_type"];

/// Adds the definitions of a file to a registry.
///
/// The first line names the columns, in any order: `pen` (enterprise number, 0 for field types of NetFlow v9 from 32768
/// on and for elements that IANA does not define), `id` (1 to 32767), `name`, `data_type` (as in `unsigned32`, `string`,
/// `ipv4Address`); and if wanted `semantics` (as in `deltaCounter`, `identifier`), `units` (as in `octets`), `range` (as in
/// `0-32`), `reversible` (`yes` or `no`). Columns of other names are ignored, and so are lines that begin with `#`.
///
/// ```text
/// pen,id,name,data_type,semantics,units,range
/// 32473,7,queueDepth,unsigned32,quantity,packets,0-4096
/// ```
///
/// # Errors
///
/// At the first line that is no definition; those before it are in the registry then.
pub fn read(input: impl Read, registry: &mut ElementRegistry) -> Result<(), ElementsError> {
    let mut reader =
        ReaderBuilder::new().comment(Some(b'#')).trim(Trim::All).has_headers(false).from_reader(input);
    let mut line = ByteRecord::new();
    let mut columns = None;
    loop {
        match reader.read_byte_record(&mut line) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => return Err(ElementsError::syntax(&error)),
        }
        let number = line.position().map_or(0, csv::Position::line);
        let Some(columns) = &columns else {
            columns = Some(Columns::of(&line).map_err(|what| ElementsError {
                line: number,
                column: None,
                what,
            })?);
            continue;
        };
        let row = Row { columns, line: &line };
        row.define(registry).map_err(|(column, what)| {
            let column = columns.place(column).map(|place| (place + 1, column));
            ElementsError { line: number, column, what }
        })?;
    }
    match columns {
        Some(_) => Ok(()),
        None => Err(ElementsError { line: 1, column: None, what: What::Missing(REQUIRED[0]) }),
    }
}

/// Why a file of definitions is not read on.
#[derive(Debug)]
pub struct ElementsError {
    line: u64,
    /// Its place, counted from 1, and its name.
    column: Option<(usize, &'static str)>,
    what: What,
}

#[derive(Debug)]
enum What {
    Missing(&'static str),
    Twice(String),
    NotUtf8,
    Number(String),
    Unknown(String, &'static str),
    Define(DefineError),
    Syntax(String),
}

impl ElementsError {
    fn syntax(error: &csv::Error) -> Self {
        let line = error.position().map_or(0, csv::Position::line);
        let what = match error.kind() {
            csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                format!("{len} columns, but the first line has {expected_len}")
            }
            _ => error.to_string(),
        };
        Self { line, column: None, what: What::Syntax(what) }
    }
}

impl core::error::Error for ElementsError {}

impl fmt::Display for ElementsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        if let Some((place, name)) = self.column {
            write!(f, ", column {place} ({name})")?;
        }
        f.write_str(": ")?;
        match &self.what {
            What::Missing(name) => write!(f, "the first line must name a column {name}"),
            What::Twice(name) => write!(f, "two columns are named {name}"),
            What::NotUtf8 => f.write_str("not UTF-8"),
            What::Number(text) => write!(f, "{text:?} is no number that fits"),
            What::Unknown(text, what) => write!(f, "{text:?} is no {what}"),
            What::Define(error) => write!(f, "{error}"),
            What::Syntax(error) => f.write_str(error),
        }
    }
}

/// Where the columns are.
struct Columns {
    names: Vec<String>,
}

impl Columns {
    fn of(line: &ByteRecord) -> Result<Self, What> {
        let name = |field: &[u8]| core::str::from_utf8(field).map(str::to_owned).map_err(|_| What::NotUtf8);
        let names: Vec<String> = line.iter().map(name).collect::<Result<_, _>>()?;
        // Spreadsheets begin a file with a byte order mark.
        let names: Vec<String> =
            names.into_iter().map(|name| name.trim_start_matches('\u{feff}').to_lowercase()).collect();
        let columns = Self { names };
        for name in REQUIRED {
            columns.place(name).ok_or(What::Missing(name))?;
        }
        for (place, name) in columns.names.iter().enumerate() {
            if !name.is_empty() && columns.place(name) != Some(place) {
                return Err(What::Twice(name.clone()));
            }
        }
        Ok(columns)
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|own| own == name)
    }
}

/// A line.
struct Row<'l> {
    columns: &'l Columns,
    line: &'l ByteRecord,
}

/// A column, and what is wrong with it.
type Wrong = (&'static str, What);

impl Row<'_> {
    /// The text of a column; empty when there is no such column.
    fn text(&self, column: &'static str) -> Result<&str, Wrong> {
        let field = self.columns.place(column).and_then(|place| self.line.get(place)).unwrap_or(&[]);
        core::str::from_utf8(field).map_err(|_| (column, What::NotUtf8))
    }

    fn number<T: core::str::FromStr>(&self, column: &'static str) -> Result<T, Wrong> {
        let text = self.text(column)?;
        text.parse().map_err(|_| (column, What::Number(text.to_owned())))
    }

    /// A word of a registry; nothing when there is none.
    fn word<T>(
        &self,
        column: &'static str,
        what: &'static str,
        find: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Wrong> {
        match self.text(column)? {
            "" => Ok(None),
            text => find(text).map(Some).ok_or_else(|| (column, What::Unknown(text.to_owned(), what))),
        }
    }

    fn define(&self, registry: &mut ElementRegistry) -> Result<(), Wrong> {
        let element = ElementId::new(self.number("pen")?, self.number("id")?);
        let data_type = self.word("data_type", "data type", DataType::from_name)?;
        let data_type = data_type.ok_or_else(|| ("data_type", What::Unknown(String::new(), "data type")))?;
        let semantics = self.word("semantics", "semantics", Semantics::from_name)?.unwrap_or_default();
        let units = self.word("units", "unit", Units::from_name)?.unwrap_or_default();
        let range = self.word("range", "range", |text| text.parse::<ValueRange>().ok())?;
        let yes_or_no = |text: &str| match text {
            "yes" => Some(true),
            "no" => Some(false),
            _ => None,
        };
        let reversible = self.word("reversible", "yes or no", yes_or_no)?;
        let mut info =
            ElementInfo::new(self.text("name")?, data_type).with_semantics(semantics).with_units(units);
        info.range = range;
        info.is_reversible = reversible.unwrap_or(false);
        registry.define(element, info).map_err(|error| {
            let column = match error {
                DefineError::Name => "name",
                DefineError::Semantics => "semantics",
                DefineError::Range => "range",
                _ => "id",
            };
            (column, What::Define(error))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &[u8]) -> Result<ElementRegistry, String> {
        let mut registry = ElementRegistry::new();
        read(text, &mut registry).map(|()| registry).map_err(|error| error.to_string())
    }

    #[test]
    fn columns_may_stand_in_any_order_and_others_are_ignored() {
        let text = "\u{feff}vendor,Name, id ,data_type,range,pen,units,semantics,reversible\n# a comment\n\
                    \"A, B\",queueDepth,7,unsigned32,0x0-0xff,32473,packets,quantity,yes\n,other,8,string,,32473,,,\n";
        let registry = parse(text.as_bytes()).unwrap();
        let depth = registry.info(ElementId::new(32_473, 7)).unwrap();
        assert_eq!(
            (depth.name, depth.data_type, depth.units),
            ("queueDepth", DataType::Unsigned32, Units::PACKETS)
        );
        assert_eq!((depth.range, depth.semantics), (Some(ValueRange::new(0, 255)), Semantics::QUANTITY));
        assert!(depth.is_reversible);
        assert_eq!((registry.len(), registry.find("other")), (2, Some(ElementId::new(32_473, 8))));
    }

    #[test]
    fn what_is_wrong_is_told_with_line_and_column() {
        const HEADER: &str = "pen,id,name,data_type,semantics,units,range\n32473,1,a,string,,,\n";
        let cases = [
            ("1,x,a,string,,,", "line 3, column 2 (id): \"x\" is no number that fits"),
            ("1,70000,a,string,,,", "line 3, column 2 (id): \"70000\" is no number that fits"),
            ("-1,1,a,string,,,", "line 3, column 1 (pen): \"-1\" is no number that fits"),
            ("1,1,a,int,,,", "line 3, column 4 (data_type): \"int\" is no data type"),
            ("1,1,a,,,,", "line 3, column 4 (data_type): \"\" is no data type"),
            (
                "1,1,a,string,list,,",
                "line 3, column 5 (semantics): values of this data type cannot have these semantics",
            ),
            ("1,1,a,string,fast,,", "line 3, column 5 (semantics): \"fast\" is no semantics"),
            ("1,1,a,string,,miles,", "line 3, column 6 (units): \"miles\" is no unit"),
            ("1,1,a,unsigned8,,,9-1", "line 3, column 7 (range): \"9-1\" is no range"),
            (
                "1,1,,string,,,",
                "line 3, column 3 (name): a name has 1 to 255 octets and no control characters",
            ),
            (
                "0,8,a,string,,,",
                "line 3, column 2 (id): the element is defined already, as sourceIPv4Address",
            ),
            ("32473,1,b,string,,,", "line 3, column 2 (id): the element is defined already, differently"),
            ("1,1,a,string", "line 3: 4 columns, but the first line has 7"),
        ];
        for (line, expected) in cases {
            assert_eq!(parse(format!("{HEADER}{line}\n").as_bytes()).unwrap_err(), expected, "{line}");
        }
        assert_eq!(parse(b"").unwrap_err(), "line 1: the first line must name a column pen");
        assert_eq!(
            parse(b"pen,id,name\n").unwrap_err(),
            "line 1: the first line must name a column data_type"
        );
        assert_eq!(parse(b"pen,pen,id,name,data_type\n").unwrap_err(), "line 1: two columns are named pen");
        let latin1 = [HEADER.as_bytes(), b"1,2,caf\xe9,string,,,\n"].concat();
        assert_eq!(parse(&latin1).unwrap_err(), "line 3, column 3 (name): not UTF-8");
    }

    #[test]
    fn any_octets_are_survived() {
        for text in [&b"\0\xff"[..], b"\"", b"pen,id,name,data_type\n\"\n1,", b"\n\n\n", b"#only a comment"] {
            let _ = parse(text);
        }
    }
}
