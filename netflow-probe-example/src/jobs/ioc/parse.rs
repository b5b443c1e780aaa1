//! Files of indicators: plain lists, CSV, STIX 2.1, MISP.

use std::{fs::File, io, io::Read as _, path::Path};

use serde_json::Value;

use super::{indicator::Indicator, lookup::Indicators, misp, stix};

/// Octets of a file, at most.
const LIMIT: u64 = 256 << 20;

/// Why nothing can be taken from a file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("{path}: {error}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// It begins as JSON, but is none.
    #[error("{path}: {error}")]
    Json {
        /// The file.
        path: String,
        /// With line and column.
        #[source]
        error: serde_json::Error,
    },
    /// It is JSON, but neither STIX nor MISP.
    #[error("{path}: neither a STIX bundle (type, objects) nor a MISP event or feed (Event, Attribute)")]
    Kind {
        /// The file.
        path: String,
    },
    /// It has no indicator.
    #[error("{path}: no indicator is understood{}", first(.refused.as_ref()))]
    Empty {
        /// The file.
        path: String,
        /// What was not understood first.
        refused: Option<String>,
    },
}

fn first(refused: Option<&String>) -> String {
    refused.map_or_else(String::new, |refused| format!("; {refused}"))
}

/// Reads files of indicators. What is not understood in them is left out and remembered.
///
/// # Errors
///
/// [`FileError`] for the first file of which nothing can be taken.
pub fn read<P: AsRef<Path>>(paths: &[P]) -> Result<Indicators, FileError> {
    let mut indicators = Indicators::default();
    for path in paths {
        let path = path.as_ref();
        let name = path.display().to_string();
        let failure = |error| FileError::Read { path: name.clone(), error };
        let mut octets = Vec::new();
        let file = File::open(path).map_err(failure)?;
        file.take(LIMIT + 1).read_to_end(&mut octets).map_err(failure)?;
        if octets.len() as u64 > LIMIT {
            return Err(failure(io::Error::other("larger than 256 MiB")));
        }
        parse(&name, &String::from_utf8_lossy(&octets), &mut indicators)?;
    }
    Ok(indicators)
}

/// Adds the indicators of a text.
///
/// # Errors
///
/// [`FileError`] when nothing can be taken from it.
pub fn parse(name: &str, text: &str, indicators: &mut Indicators) -> Result<(), FileError> {
    let before = indicators.len();
    let refused_before = indicators.refused().len();
    // A list may begin with an address in brackets, JSON with an object or a list of objects.
    let text = text.trim_start_matches('\u{feff}');
    let trimmed = text.trim_start();
    let is_list_of_objects = trimmed
        .strip_prefix('[')
        .is_some_and(|rest| matches!(rest.trim_start().chars().next(), Some('{' | ']')));
    if trimmed.starts_with('{') || is_list_of_objects {
        let json: Value =
            serde_json::from_str(text).map_err(|error| FileError::Json { path: name.to_owned(), error })?;
        if stix::is_stix(&json) {
            stix::parse(name, &json, indicators);
        } else if misp::is_misp(&json) {
            misp::parse(name, &json, indicators);
        } else {
            return Err(FileError::Kind { path: name.to_owned() });
        }
    } else {
        lines(name, text, indicators);
    }
    if indicators.len() == before {
        let refused = indicators.refused().get(refused_before).map(ToString::to_string);
        return Err(FileError::Empty { path: name.to_owned(), refused });
    }
    indicators.index();
    Ok(())
}

/// Names of columns that hold indicators, and of those that hold ports and labels.
const VALUES: [&str; 13] = [
    "ip",
    "ioc",
    "ioc_value",
    "indicator",
    "value",
    "address",
    "ip_address",
    "dst_ip",
    "dest_ip",
    "src_ip",
    "cidr",
    "network",
    "host",
];
const PORTS: [&str; 3] = ["port", "dst_port", "dest_port"];
const LABELS: [&str; 10] = [
    "label",
    "description",
    "comment",
    "threat",
    "malware",
    "malware_printable",
    "tags",
    "category",
    "name",
    "info",
];

/// Where the columns of a CSV file are.
#[derive(Clone, Copy, Debug, Default)]
struct Columns {
    value: usize,
    port: Option<usize>,
    label: Option<usize>,
}

impl Columns {
    fn of_header(fields: &csv::StringRecord) -> Option<Self> {
        let place = |names: &[&str]| {
            let named = |field: &str| {
                names.contains(&field.trim().trim_matches('#').trim().to_ascii_lowercase().as_str())
            };
            fields.iter().position(named)
        };
        Some(Self { value: place(&VALUES)?, port: place(&PORTS), label: place(&LABELS) })
    }
}

/// A plain list is CSV of one column: what stands behind an address is its label.
fn lines(name: &str, text: &str, indicators: &mut Indicators) {
    let mut columns = None;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        let is_comment = line.starts_with('#') || line.starts_with(';') || line.starts_with("//");
        if is_comment {
            // Some feeds have their header in a comment.
            if columns.is_none() && line.contains(',') {
                columns = record(line.trim_start_matches(['#', ' '])).as_ref().and_then(Columns::of_header);
            }
            continue;
        }
        if line.is_empty() {
            continue;
        }
        let Some(fields) = record(line) else {
            indicators.refuse(name, number, line, "no line of CSV");
            continue;
        };
        if fields.len() == 1 {
            plain(name, number, line, indicators);
            continue;
        }
        if columns.is_none() {
            columns = Columns::of_header(&fields);
            if columns.is_some() {
                continue;
            }
            // Without a header, the first column that is an indicator is that of indicators.
            let value = fields.iter().position(|field| Indicator::parse(field, "").is_some());
            let label = value.and_then(|value| fields.get(value + 1).map(|_| value + 1));
            columns = value.map(|value| Columns { value, port: None, label });
        }
        let Some(Columns { value, port, label }) = columns else {
            indicators.refuse(name, number, line, "no column with an address");
            continue;
        };
        let label = label.and_then(|label| fields.get(label)).unwrap_or_default().trim();
        let value = fields.get(value).unwrap_or_default();
        match Indicator::parse(value, label) {
            Some(mut indicator) => {
                let port = port.and_then(|port| fields.get(port)).and_then(|port| port.trim().parse().ok());
                if indicator.port.is_none() && port.is_some_and(|port| port != 0) {
                    indicator.port = port;
                    indicator.text = match indicator.prefix.network() {
                        core::net::IpAddr::V6(_) => format!("[{}]:{}", indicator.text, port.unwrap_or(0)),
                        core::net::IpAddr::V4(_) => format!("{}:{}", indicator.text, port.unwrap_or(0)),
                    };
                }
                indicators.push(indicator);
            }
            None => indicators.refuse(name, number, line, "no address, prefix or address:port"),
        }
    }
}

fn plain(name: &str, number: usize, line: &str, indicators: &mut Indicators) {
    let end = line.find([' ', '\t', '#', ';']).unwrap_or(line.len());
    let (value, rest) = line.split_at(end);
    let label = rest.trim_start_matches(['#', ';', ' ', '\t', '/']).trim();
    match Indicator::parse(value.trim_matches('"'), label) {
        Some(indicator) => indicators.push(indicator),
        None => indicators.refuse(name, number, line, "no address, prefix or address:port"),
    }
}

fn record(line: &str) -> Option<csv::StringRecord> {
    let separator = if line.contains(',') { b',' } else { b';' };
    if separator == b';' && !line.contains('"') {
        return Some(csv::StringRecord::from(vec![line]));
    }
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(line.as_bytes());
    reader.records().next()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (Vec<(String, String)>, Vec<usize>) {
        let mut indicators = Indicators::default();
        parse("list", text, &mut indicators).unwrap();
        let all = (0..).map_while(|number| indicators.get(number));
        let all = all.map(|one| (one.text.clone(), one.label.clone())).collect();
        (all, indicators.refused().iter().map(|refused| refused.line).collect())
    }

    fn pair(text: &str, label: &str) -> (String, String) {
        (text.to_owned(), label.to_owned())
    }

    #[test]
    fn plain_lists_have_comments_and_labels() {
        let (all, refused) = parsed(
            "# a feed\n\n192.0.2.1\n192.0.2.0/28 # botnet\nexample.net\n[2001:db8::1]:443\tloader\n; end\n// end\n",
        );
        assert_eq!(
            all,
            [pair("192.0.2.1", ""), pair("192.0.2.0/28", "botnet"), pair("[2001:db8::1]:443", "loader")]
        );
        assert_eq!(refused, [5]);
    }

    #[test]
    fn csv_is_read_by_its_header_or_by_what_it_holds() {
        let (all, refused) = parsed(
            "first_seen,dst_ip,dst_port,malware\n2026-01-01,192.0.2.1,443,\"Emo, tet\"\nx,2001:db8::1,0,y\nx,name,1,z\n",
        );
        assert_eq!(all, [pair("192.0.2.1:443", "Emo, tet"), pair("2001:db8::1", "y")]);
        assert_eq!(refused, [4]);
        let (all, _) =
            parsed("#\"first_seen_utc\",\"dst_ip\",\"dst_port\"\n\"2026\",\"192.0.2.9\",\"8080\"\n");
        assert_eq!(all, [pair("192.0.2.9:8080", "")]);
        let (all, _) = parsed("17,192.0.2.1,worm\n18,192.0.2.2,worm\n");
        assert_eq!(all, [pair("192.0.2.1", "worm"), pair("192.0.2.2", "worm")]);
    }

    #[test]
    fn files_without_any_indicator_are_errors_that_say_where() {
        fn failure(text: &str) -> String {
            parse("list", text, &mut Indicators::default()).unwrap_err().to_string()
        }
        assert_eq!(
            failure("\nexample.net\n"),
            "list: no indicator is understood; list:2: no address, prefix or address:port: example.net"
        );
        assert!(failure("{\"a\": ").contains("line 1 column"));
        assert!(failure("{\"a\": 1}").contains("neither a STIX bundle"));
        assert!(failure(&"[".repeat(100_000)).contains("no indicator"));
        assert!(failure(&"[{\"a\":".repeat(100_000)).contains("recursion limit"));
        assert_eq!(failure(""), "list: no indicator is understood");
    }
}
