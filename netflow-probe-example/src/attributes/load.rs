//! Reading prefixes from files: CSV, text of BGP dumps, or a `MaxMind` ASN database.

use core::{fmt, net::IpAddr};
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read as _},
    path::{Path, PathBuf},
};

use super::table::{Route, Table, TableBuilder};

/// Octets of a line at most. Lines of BGP dumps have long lists of communities.
const MAX_LINE: u64 = 1 << 16;
/// Faults that are kept word by word; the others are only counted.
const KEPT_FAULTS: usize = 10;

/// A file could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttributesError {
    /// It could not be opened or read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// There is not one prefix in it.
    #[error("{} has no prefix{}", path.display(), first.as_ref().map(|fault| format!(": {fault}")).unwrap_or_default())]
    Empty {
        /// The file.
        path: PathBuf,
        /// The first line that was not understood.
        first: Option<Fault>,
    },
    /// It is a `MaxMind` database that cannot be read.
    #[error("{} is a MaxMind database: {reason}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// A line that was not understood.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "complete: where and what")]
pub struct Fault {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path.display(), self.line, self.reason)
    }
}

/// What came of reading files.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct LoadReport {
    /// Prefixes in the table.
    pub prefixes: usize,
    /// Lines that were not understood.
    pub malformed: u64,
    /// The first of them.
    pub faults: Vec<Fault>,
    /// Octets of memory that the table takes.
    pub memory_octets: usize,
}

/// Reads files into one table. Of a prefix that is there more than once the first route counts; in BGP dumps the one with
/// the shortest AS path.
///
/// # Errors
///
/// When a file cannot be read, or nothing in it is a prefix. Single lines that are wrong are reported instead.
pub fn load(paths: &[PathBuf]) -> Result<(Table, LoadReport), AttributesError> {
    let mut builder = TableBuilder::default();
    let mut report = LoadReport::default();
    for path in paths {
        let before = report.malformed;
        let read = load_file(path, &mut builder, &mut report)?;
        if read == 0 {
            let first = report.faults.iter().find(|fault| fault.path == *path).cloned();
            let first = first.filter(|_| report.malformed > before);
            return Err(AttributesError::Empty { path: path.clone(), first });
        }
    }
    let table = builder.build();
    report.prefixes = table.len();
    report.memory_octets = table.memory_octets();
    Ok((table, report))
}

/// Prefixes read.
fn load_file(
    path: &Path,
    builder: &mut TableBuilder,
    report: &mut LoadReport,
) -> Result<u64, AttributesError> {
    if path.extension().is_some_and(|extension| extension == "mmdb") {
        return super::maxmind::load(path, builder);
    }
    let failed = |source| AttributesError::Read { path: path.to_owned(), source };
    let mut reader = BufReader::with_capacity(1 << 16, File::open(path).map_err(failed)?);
    let mut line = Vec::new();
    let (mut number, mut read) = (0, 0);
    loop {
        line.clear();
        let octets = reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line).map_err(failed)?;
        if octets == 0 {
            return Ok(read);
        }
        number += 1;
        let added = if line.len() as u64 >= MAX_LINE && !line.ends_with(b"\n") {
            skip_line(&mut reader).map_err(failed)?;
            Err(format!("longer than {MAX_LINE} octets"))
        } else {
            parse_line(&line, number == 1).and_then(|parsed| match parsed {
                Some(Parsed { address, length, rank, route }) => {
                    builder.add(address, length, rank, route).map(|()| 1).map_err(|full| full.to_string())
                }
                None => Ok(0),
            })
        };
        match added {
            Ok(count) => read += count,
            Err(reason) => {
                report.malformed += 1;
                if report.faults.len() < KEPT_FAULTS {
                    report.faults.push(Fault { path: path.to_owned(), line: number, reason });
                }
            }
        }
    }
}

fn skip_line(reader: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = reader.fill_buf()?;
        let (end, octets) = match buffer.iter().position(|octet| *octet == b'\n') {
            Some(place) => (true, place + 1),
            None => (buffer.is_empty(), buffer.len()),
        };
        reader.consume(octets);
        if end {
            return Ok(());
        }
    }
}

/// A prefix and its route.
#[derive(Debug, Eq, PartialEq)]
struct Parsed {
    address: IpAddr,
    length: u8,
    rank: u8,
    route: Route,
}

/// A line of CSV or of a BGP dump; `None` for one that has no prefix to tell.
fn parse_line(line: &[u8], is_first: bool) -> Result<Option<Parsed>, String> {
    let text = core::str::from_utf8(line).map_err(|_| "not UTF-8".to_owned())?.trim();
    if text.is_empty() || text.starts_with('#') {
        Ok(None)
    } else if text.contains('|') {
        parse_dump(text)
    } else if is_first
        && text.split(',').next().is_some_and(|name| name.trim().eq_ignore_ascii_case("prefix"))
    {
        Ok(None)
    } else {
        parse_csv(text).map(Some)
    }
}

/// `prefix,origin_as,peer_as,next_hop`, of which the last two may be missing or empty.
fn parse_csv(text: &str) -> Result<Parsed, String> {
    let mut columns = text.split(',').map(|column| column.trim().trim_matches('"'));
    let (address, length) = parse_prefix(columns.next().unwrap_or_default())?;
    let origin_as = parse_as(columns.next().ok_or("expected prefix,origin_as,peer_as,next_hop")?)?;
    let peer_as = columns.next().map_or(Ok(0), parse_as)?;
    let next_hop = match columns.next().unwrap_or_default() {
        "" => None,
        text => Some(text.parse().map_err(|_| format!("{text:?} is no address of a next hop"))?),
    };
    if columns.next().is_some() {
        return Err("more than four columns: prefix,origin_as,peer_as,next_hop".to_owned());
    }
    Ok(Parsed { address, length, rank: 0, route: Route { origin_as, peer_as, next_hop } })
}

/// `TYPE|time|B or A|peer address|peer AS|prefix|AS path|origin|next hop|...`, as bgpdump -m writes it.
fn parse_dump(text: &str) -> Result<Option<Parsed>, String> {
    let mut columns = text.split('|');
    let kind = columns.next().unwrap_or_default();
    if !kind.starts_with("TABLE_DUMP") && !kind.starts_with("BGP4MP") {
        return Err(format!("{kind:?} is no type of a BGP dump: TABLE_DUMP, TABLE_DUMP2 and BGP4MP are"));
    }
    let flag = columns.nth(1).ok_or("ends too early")?;
    if !matches!(flag, "A" | "B") {
        // Withdrawals and changes of state.
        return Ok(None);
    }
    let peer = columns.nth(1).ok_or("ends before the peer's AS")?;
    let (address, length) = parse_prefix(columns.next().ok_or("ends before the prefix")?)?;
    let path = columns.next().ok_or("ends before the AS path")?;
    let next_hop = columns.nth(1).ok_or("ends before the next hop")?;
    let next_hop = match next_hop {
        "" => None,
        text => Some(text.parse().map_err(|_| format!("{text:?} is no address of a next hop"))?),
    };
    let mut hops = path.split_ascii_whitespace();
    // A route without a path is of the peer's own AS.
    let first = hops.next().unwrap_or(peer);
    let last = path.split_ascii_whitespace().next_back().unwrap_or(peer);
    let route = Route { origin_as: parse_hop(last)?, peer_as: parse_hop(first)?, next_hop };
    let rank = u8::try_from(hops.count()).unwrap_or(u8::MAX);
    Ok(Some(Parsed { address, length, rank, route }))
}

/// An AS of a path. Of a set, `{1,2}`, which comes of aggregation, it is not known which it is, unless it is of one.
fn parse_hop(text: &str) -> Result<u32, String> {
    match text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        Some(set) if set.contains(',') => Ok(0),
        Some(set) => parse_as(set),
        None => parse_as(text),
    }
}

fn parse_prefix(text: &str) -> Result<(IpAddr, u8), String> {
    let wrong = || format!("{text:?} is no prefix, as in 192.0.2.0/24 and 2001:db8::/32");
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let longest = if address.is_ipv6() { 128 } else { 32 };
    let length = length.map_or(Ok(longest), |length| length.parse::<u8>().map_err(|_| wrong()))?;
    if length > longest {
        return Err(format!("{text:?}: a prefix of this family has {longest} bits at most"));
    }
    Ok((address, length))
}

/// A number of 32 bits, `AS` before it or not, or two of 16 bits with a point between; nothing is 0.
fn parse_as(text: &str) -> Result<u32, String> {
    let wrong = || format!("{text:?} is no AS number");
    let digits = text.strip_prefix("AS").or_else(|| text.strip_prefix("as")).unwrap_or(text);
    if digits.is_empty() && text.is_empty() {
        return Ok(0);
    }
    match digits.split_once('.') {
        Some((high, low)) => {
            let part = |part: &str| part.parse::<u16>().map_err(|_| wrong());
            Ok(u32::from(part(high)?) << 16 | u32::from(part(low)?))
        }
        None => digits.parse().map_err(|_| wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Prefix, origin AS, peer AS, next hop, rank.
    type Line = (String, u32, u32, Option<String>, u8);

    fn parse(line: &str) -> Result<Option<Line>, String> {
        parse_line(line.as_bytes(), false).map(|parsed| {
            parsed.map(|Parsed { address, length, rank, route }| {
                let next_hop = route.next_hop.map(|next_hop| next_hop.to_string());
                (format!("{address}/{length}"), route.origin_as, route.peer_as, next_hop, rank)
            })
        })
    }

    #[test]
    fn lines_of_csv_are_read() {
        let read = |line: &str| parse(line).unwrap().unwrap();
        let hop = |text: &str| Some(text.to_owned());
        assert_eq!(
            read("192.0.2.0/24,64500,64496,198.51.100.1"),
            ("192.0.2.0/24".into(), 64_500, 64_496, hop("198.51.100.1"), 0)
        );
        assert_eq!(read("2001:db8::/32, AS4200000000"), ("2001:db8::/32".into(), 4_200_000_000, 0, None, 0));
        assert_eq!(read("\"192.0.2.1\",1.10,,"), ("192.0.2.1/32".into(), 65_546, 0, None, 0));
        for line in ["", "  \r\n", "# comment"] {
            assert_eq!(parse(line), Ok(None));
        }
        assert_eq!(parse_line(b"Prefix,origin_as", true), Ok(None));
    }

    #[test]
    fn lines_of_bgp_dumps_are_read() {
        let read = |line: &str| parse(line).unwrap().unwrap();
        let line = "TABLE_DUMP2|1700000000|B|192.0.2.1|64496|198.51.100.0/24|64496 64499 64500|IGP|192.0.2.9|0|0||NAG||";
        let hop = Some("192.0.2.9".to_owned());
        assert_eq!(read(line), ("198.51.100.0/24".into(), 64_500, 64_496, hop, 2));
        let line =
            "TABLE_DUMP2|1|B|2001:db8::1|64496|2001:db8:2::/48|64496 {64501}|IGP|2001:db8::1|0|0||NAG||";
        assert_eq!(read(line).1, 64_501);
        let line = "TABLE_DUMP2|1|B|192.0.2.1|64496|10.0.0.0/8|64496 {1,2}|INCOMPLETE|192.0.2.1|0|0||NAG||";
        assert_eq!((read(line).1, read(line).2), (0, 64_496));
        let line = "TABLE_DUMP|1|B|192.0.2.1|64496|10.0.0.0/8||IGP|192.0.2.1|0|0||NAG||";
        assert_eq!((read(line).1, read(line).2), (64_496, 64_496));
        assert_eq!(parse("BGP4MP|1|W|192.0.2.1|64496|10.0.0.0/8"), Ok(None));
    }

    #[test]
    fn what_is_wrong_with_a_line_is_said() {
        for (line, reason) in [
            ("192.0.2.0/33,1", "32 bits"),
            ("2001:db8::/129,1", "128 bits"),
            ("192.0.2.0/x,1", "no prefix"),
            ("192.0.2.300/24,1", "no prefix"),
            ("192.0.2.0/24", "prefix,origin_as"),
            ("192.0.2.0/24,4294967296", "no AS number"),
            ("192.0.2.0/24,AS", "no AS number"),
            ("192.0.2.0/24,1.65536", "no AS number"),
            ("192.0.2.0/24,1,2,host", "next hop"),
            ("192.0.2.0/24,1,2,192.0.2.1,x", "four columns"),
            ("PREFIX|1|B|192.0.2.1|64496|10.0.0.0/8|1|IGP|192.0.2.1|", "TABLE_DUMP2"),
            ("TABLE_DUMP2|1|B|192.0.2.1|64496|10.0.0.0/8", "AS path"),
            ("TABLE_DUMP2|1|B|192.0.2.1|64496|10.0.0.0/8|x y|IGP|192.0.2.1|", "no AS number"),
            ("TABLE_DUMP2|1", "too early"),
        ] {
            let told = parse(line).unwrap_err();
            assert!(told.contains(reason), "{line}: {told}");
        }
        assert!(parse_line(&[0xff, 0xfe], false).unwrap_err().contains("UTF-8"));
    }

    #[test]
    fn a_line_without_end_is_a_fault_and_the_next_one_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("long.csv");
        let mut text = vec![b'1'; 300_000];
        text.extend(b"\n192.0.2.0/24,1\n10.0.0.0/8,x\n");
        std::fs::write(&path, text).unwrap();
        let (table, report) = load(core::slice::from_ref(&path)).unwrap();
        assert_eq!((table.len(), report.malformed), (1, 2));
        let lines: Vec<String> = report.faults.iter().map(Fault::to_string).collect();
        assert!(lines[0].ends_with("long.csv:1: longer than 65536 octets"), "{lines:?}");
        assert!(lines[1].contains("long.csv:3: \"x\""), "{lines:?}");
    }

    #[test]
    fn a_file_without_a_prefix_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("empty.csv");
        std::fs::write(&path, "prefix,origin_as\n").unwrap();
        let error = load(core::slice::from_ref(&path)).unwrap_err().to_string();
        assert!(error.contains("empty.csv has no prefix"), "{error}");
        std::fs::write(&path, "nonsense\n").unwrap();
        let error = load(core::slice::from_ref(&path)).unwrap_err().to_string();
        assert!(error.contains("empty.csv:1: \"nonsense\""), "{error}");
        assert!(load(&[folder.path().join("none.csv")]).unwrap_err().to_string().contains("none.csv"));
    }
}
