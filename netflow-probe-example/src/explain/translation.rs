//! What came of a configuration: settings, and what was left out.

use core::fmt::Write as _;
use std::collections::{BTreeMap, BTreeSet};

use crate::config::quoted;

/// A key of our configuration file, with its table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Key {
    table: &'static str,
    name: &'static str,
    /// Whether it takes an array.
    is_list: bool,
}

macro_rules! keys {
    ($($constant:ident = $table:literal $name:literal $is_list:literal;)*) => {
        impl Key {
            $(pub(super) const $constant: Self = Self { table: $table, name: $name, is_list: $is_list };)*
        }
    };
}

keys! {
    AUTONOMOUS_SYSTEM_TYPE = "attributes" "autonomous-system-type" false;
    READ = "capture" "read" true;
    INTERFACE = "capture" "interface" true;
    FILTER = "capture" "filter" false;
    DIRECTION = "capture" "direction" false;
    NO_PROMISCUOUS = "capture" "no-promiscuous" false;
    SNAPLEN = "capture" "snaplen" false;
    ACTIVE_TIMEOUT = "metering" "active-timeout" false;
    INACTIVE_TIMEOUT = "metering" "inactive-timeout" false;
    INACTIVE_TIMEOUT_TCP = "metering" "inactive-timeout-tcp" false;
    INACTIVE_TIMEOUT_UDP = "metering" "inactive-timeout-udp" false;
    INACTIVE_TIMEOUT_ICMP = "metering" "inactive-timeout-icmp" false;
    TCP_END = "metering" "tcp-end" false;
    TCP_RESET = "metering" "tcp-reset" false;
    KEY = "metering" "key" true;
    COLLECT = "metering" "collect" true;
    CACHE = "metering" "cache" false;
    MAX_FLOWS = "metering" "max-flows" false;
    SAMPLING = "sampling" "sampling" false;
    COLLECTOR = "export" "collector" true;
    EXPORT_VERSION = "export" "export-version" false;
    SOURCE = "export" "source" false;
    SOURCE_ID = "export" "source-id" false;
    TTL = "export" "ttl" false;
    DSCP = "export" "dscp" false;
    MTU = "export" "mtu" false;
    RATE_LIMIT = "export" "rate-limit" false;
    TEMPLATE_REFRESH = "export" "template-refresh" false;
    TEMPLATE_REFRESH_PACKETS = "export" "template-refresh-packets" false;
}

impl Key {
    /// Its table and its name.
    #[must_use]
    pub const fn path(self) -> (&'static str, &'static str) {
        (self.table, self.name)
    }
}

/// The tables, in the order in which they are written.
const TABLES: [&str; 5] = ["capture", "metering", "sampling", "export", "attributes"];

/// What a value is written as.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Value {
    Text(String),
    Number(u64),
    Switch,
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl Value {
    fn rendered(&self) -> String {
        match self {
            Self::Text(text) => quoted(text),
            Self::Number(number) => number.to_string(),
            Self::Switch => "true".to_owned(),
        }
    }
}

/// A value of a setting, and where it is from.
#[derive(Clone, Debug)]
struct Item {
    value: Value,
    /// The line; 0 for what is the default there.
    line: usize,
    note: Option<String>,
}

#[derive(Clone, Debug)]
struct Setting {
    key: Key,
    items: Vec<Item>,
}

/// A configuration of ours, and what could not be said in it.
#[derive(Debug)]
pub struct Translation {
    lines: Vec<String>,
    settings: Vec<Setting>,
    /// Lines that were understood, and need nothing here or became settings.
    carried: BTreeSet<usize>,
    /// Why lines were left out.
    left: BTreeMap<usize, Vec<String>>,
    /// Lines that are about something else.
    unrelated: BTreeSet<usize>,
    notes: Vec<String>,
}

/// The most octets of a line that are shown.
const SHOWN: usize = 200;

impl Translation {
    pub(super) fn new(text: &str) -> Self {
        Self {
            // What is not shown is not kept.
            lines: text.lines().map(|line| line.trim().chars().take(SHOWN).collect()).collect(),
            settings: Vec::new(),
            carried: BTreeSet::new(),
            left: BTreeMap::new(),
            unrelated: BTreeSet::new(),
            notes: Vec::new(),
        }
    }

    /// Line `line` needs nothing here.
    pub(super) fn accept(&mut self, line: usize) {
        self.carried.insert(line);
    }

    /// Line `line` is about something else than flows.
    pub(super) fn ignore(&mut self, line: usize) {
        self.unrelated.insert(line);
    }

    /// Line `line` cannot be said here.
    pub(super) fn leave(&mut self, line: usize, reason: impl Into<String>) {
        let reasons = self.left.entry(line).or_default();
        let reason = reason.into();
        // A line has few statements, unless somebody wants to do harm.
        if !reasons.contains(&reason) && reasons.len() < 8 {
            reasons.push(reason);
        }
    }

    /// Something to be said of the whole.
    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// Line `line` says this.
    pub(super) fn set(&mut self, line: usize, key: Key, value: impl Into<Value>) {
        self.set_noted(line, key, value, None);
    }

    /// Line `line` says this, more or less.
    pub(super) fn set_noted(&mut self, line: usize, key: Key, value: impl Into<Value>, note: Option<&str>) {
        let item = Item { value: value.into(), line, note: note.map(str::to_owned) };
        let at = self.settings.iter().position(|setting| setting.key == key);
        let Some(setting) = at.and_then(|at| self.settings.get_mut(at)) else {
            self.carried.insert(line);
            self.settings.push(Setting { key, items: vec![item] });
            return;
        };
        match setting.items.first() {
            _ if setting.items.iter().any(|known| known.value == item.value) => {
                self.carried.insert(line);
            }
            Some(first) if !key.is_list => {
                let first =
                    if first.line == 0 { "the default".to_owned() } else { format!("line {}", first.line) };
                self.leave(
                    line,
                    format!("{first} has another value for `{}`, of which there is one", key.name),
                );
            }
            _ if setting.items.len() < 256 => {
                self.carried.insert(line);
                setting.items.push(item);
            }
            _ => self.leave(line, "there are too many of these"),
        }
    }

    /// What holds where it comes from when nothing is said.
    pub(super) fn set_default(&mut self, key: Key, value: impl Into<Value>) {
        if !self.has(key) {
            self.set_noted(0, key, value, Some("the default there"));
            self.carried.remove(&0);
        }
    }

    pub(super) fn has(&self, key: Key) -> bool {
        self.settings.iter().any(|setting| setting.key == key)
    }

    /// Takes back what `judge` does not accept: it gets each value alone, as a configuration file, and says what is wrong
    /// with it.
    pub fn refuse(&mut self, judge: impl Fn(&str) -> Result<(), String>) {
        let mut refused = Vec::new();
        for setting in &mut self.settings {
            let Key { table, name, .. } = setting.key;
            setting.items.retain(|item| {
                let text = format!("[{table}]\n{name} = {}\n", item.value.rendered());
                match judge(&text) {
                    Ok(()) => true,
                    Err(reason) => {
                        refused.push((item.line, reason));
                        false
                    }
                }
            });
        }
        self.settings.retain(|setting| !setting.items.is_empty());
        for (line, reason) in refused {
            if line == 0 {
                self.note(format!("a default there was left out: {reason}"));
            } else {
                self.leave(line, reason);
            }
        }
    }

    /// Lines that became settings, or need none.
    #[must_use]
    pub fn carried(&self) -> Vec<usize> {
        self.carried.iter().copied().collect()
    }

    /// Lines that were left out, counted from 1, with the reasons.
    #[must_use]
    pub fn left(&self) -> Vec<(usize, String)> {
        self.left.iter().map(|(line, reasons)| (*line, reasons.join("; "))).collect()
    }

    /// Lines that are about something else.
    #[must_use]
    pub fn unrelated(&self) -> Vec<usize> {
        let is_else = |line: &&usize| !self.carried.contains(line) && !self.left.contains_key(line);
        self.unrelated.iter().filter(is_else).copied().collect()
    }

    /// As a configuration file, with what was left out as comments. `name` is that of the file that it was.
    #[must_use]
    pub fn to_toml(&self, name: &str) -> String {
        let mut text = format!("# Translated from {}.\n", printable(name));
        for note in &self.notes {
            let _ = writeln!(text, "# {}", printable(note));
        }
        for table in TABLES {
            let settings = self.settings.iter().filter(|setting| setting.key.table == table);
            for (number, setting) in settings.enumerate() {
                if number == 0 {
                    let _ = writeln!(text, "\n[{table}]");
                }
                setting.write(&mut text);
            }
        }
        if !self.left.is_empty() {
            text.push_str("\n# Not carried over:\n");
        }
        for (line, reasons) in &self.left {
            let content = self.lines.get(line.saturating_sub(1)).map(String::as_str).unwrap_or_default();
            let _ = writeln!(text, "# line {line}: {}", printable(content));
            for reason in reasons {
                let _ = writeln!(text, "#     {}", printable(reason));
            }
        }
        let unrelated = self.unrelated();
        if !unrelated.is_empty() {
            // What they say is nobody's business here: there may be passwords in them.
            let _ = writeln!(text, "\n# About something else than flows: lines {}", ranges(&unrelated));
        }
        text
    }
}

impl Setting {
    fn write(&self, text: &mut String) {
        let mut told = 0;
        for item in &self.items {
            if item.note.is_none() && item.line == told {
                continue;
            }
            told = item.line;
            match (item.line, &item.note) {
                (0, note) => drop(writeln!(text, "# {}", printable(note.as_deref().unwrap_or("added")))),
                (line, Some(note)) => drop(writeln!(text, "# line {line}: {}", printable(note))),
                (line, None) => drop(writeln!(text, "# line {line}")),
            }
        }
        let values: Vec<String> = self.items.iter().map(|item| item.value.rendered()).collect();
        let values = values.join(", ");
        let _ = if self.key.is_list {
            writeln!(text, "{} = [{values}]", self.key.name)
        } else {
            writeln!(text, "{} = {values}", self.key.name)
        };
    }
}

/// Text that stays within a comment, whatever it is.
fn printable(text: &str) -> String {
    let plain = |character: char| match character {
        '\n' | '\t' => ' ',
        _ if character.is_control() => '\u{fffd}',
        _ => character,
    };
    text.chars().map(plain).collect()
}

/// Numbers in ascending order, as in `1-3, 7`.
fn ranges(numbers: &[usize]) -> String {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => ranges.push((*number, *number)),
        }
    }
    let one = |(first, last): &(usize, usize)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    ranges.iter().map(one).collect::<Vec<String>>().join(", ")
}

/// A whole number within bounds, or what is wrong with the text.
pub(super) fn number(text: &str, accepted: core::ops::RangeInclusive<u64>) -> Result<u64, String> {
    match text.parse() {
        Ok(number) if accepted.contains(&number) => Ok(number),
        _ => {
            Err(format!("a number from {} to {} is expected, not {text:?}", accepted.start(), accepted.end()))
        }
    }
}

/// What is said of AS numbers.
pub(super) const NEEDS_TABLE: &str =
    "AS numbers come from a table of prefixes here: name one with `attributes`";

/// A host and a port, as our collectors are given.
pub(super) fn host_port(host: &str, port: u64) -> String {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if bare.contains(':') { format!("[{bare}]:{port}") } else { format!("{bare}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_short() {
        assert_eq!(ranges(&[1, 2, 3, 7, 9, 10]), "1-3, 7, 9-10");
        assert_eq!(ranges(&[]), "");
    }

    #[test]
    fn a_comment_stays_one() {
        let mut translation = Translation::new("evil\u{b}text\r\n");
        translation.leave(1, "a\nb = 1");
        let toml = translation.to_toml("name\n[x]");
        assert!(toml.lines().all(|line| line.is_empty() || line.starts_with('#')), "{toml}");
    }

    #[test]
    fn one_value_is_kept_where_there_is_one() {
        let mut translation = Translation::new("a\nb\nc\n");
        translation.set(1, Key::TTL, 5);
        translation.set(2, Key::TTL, 5);
        translation.set(3, Key::TTL, 6);
        assert_eq!(translation.carried(), [1, 2]);
        assert_eq!(
            translation.left(),
            [(3, "line 1 has another value for `ttl`, of which there is one".to_owned())]
        );
    }
}
