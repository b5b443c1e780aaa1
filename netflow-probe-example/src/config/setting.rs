//! What one key of a configuration file says, as arguments.

use core::fmt;
use std::ffi::OsString;

use clap::{
    Arg, ArgAction, Command,
    error::{ContextKind, ContextValue, ErrorKind},
};
use toml::{
    Spanned,
    de::{DeInteger, DeString, DeTable, DeValue},
};

/// A flag that the file sets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Setting {
    /// What clap calls the flag.
    pub(super) id: String,
    /// What the user calls it.
    pub(super) key: String,
    /// Counted from 1.
    pub(super) line: usize,
    /// As they would stand on the command line.
    pub(super) arguments: Vec<OsString>,
}

/// What is wrong with a line.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Fault {
    line: usize,
    pub(super) text: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.text)
    }
}

/// Flags that say what to do with the configuration, and are no part of it.
const NOT_IN_FILES: [&str; 4] = ["check", "config", "help", "version"];

/// The flags of a command that a file can set.
pub(super) fn settable(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|argument| {
        argument.get_long().is_some() && !NOT_IN_FILES.contains(&argument.get_id().as_str())
    })
}

/// The table that a flag belongs to; `None` for those before the first table.
pub(super) fn table_of(argument: &Arg) -> Option<String> {
    Some(argument.get_help_heading()?.to_lowercase().replace(' ', "-"))
}

/// All flags that a file sets, in the order of the file.
///
/// # Errors
///
/// All faults of the file.
pub(super) fn settings(command: &Command, text: &str) -> Result<Vec<Setting>, Vec<Fault>> {
    let lines = Lines::of(text);
    let (document, faults) = DeTable::parse_recoverable(text);
    if !faults.is_empty() {
        let fault = |error: toml::de::Error| Fault {
            line: lines.line(error.span().map_or(0, |span| span.start)),
            text: format!("not TOML: {}", error.message()),
        };
        return Err(faults.into_iter().map(fault).collect());
    }
    let mut reader = Reader { command, lines, settings: Vec::new(), faults: Vec::new() };
    for (key, value) in document.get_ref() {
        match value.get_ref() {
            DeValue::Table(table) => reader.table(key, table),
            _ => reader.key(None, key, value),
        }
    }
    let Reader { mut settings, mut faults, .. } = reader;
    settings.sort_by_key(|setting| setting.line);
    faults.sort_by_key(|fault| fault.line);
    if faults.is_empty() { Ok(settings) } else { Err(faults) }
}

/// Where the lines of a text begin.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, octet)| *octet == b'\n');
        Self(core::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect())
    }

    /// The line of an octet, counted from 1.
    fn line(&self, octet: usize) -> usize {
        self.0.partition_point(|start| *start <= octet)
    }
}

struct Reader<'a> {
    command: &'a Command,
    lines: Lines,
    settings: Vec<Setting>,
    faults: Vec<Fault>,
}

impl Reader<'_> {
    fn fault(&mut self, octet: usize, text: String) {
        let line = self.lines.line(octet);
        self.faults.push(Fault { line, text });
    }

    fn table(&mut self, name: &Spanned<DeString<'_>>, table: &DeTable<'_>) {
        let tables: Vec<String> = settable(self.command).filter_map(table_of).collect();
        if !tables.iter().any(|known| known == name.get_ref()) {
            let advice = nearest(name.get_ref(), tables.iter().map(String::as_str));
            self.fault(name.span().start, format!("there is no table [{}]{advice}", name.get_ref()));
            return;
        }
        for (key, value) in table {
            self.key(Some(name.get_ref()), key, value);
        }
    }

    fn key(&mut self, table: Option<&str>, key: &Spanned<DeString<'_>>, value: &Spanned<DeValue<'_>>) {
        let at = key.span().start;
        let name = key.get_ref().as_ref();
        let command = self.command;
        let Some(argument) = settable(command).find(|argument| argument.get_long() == Some(name)) else {
            let advice = nearest(name, settable(command).filter_map(Arg::get_long));
            self.fault(at, format!("there is no key `{name}`{advice}"));
            return;
        };
        let right = table_of(argument);
        if right.as_deref() != table {
            let right = match right {
                Some(table) => format!("in the table [{table}]"),
                None => "before the first table".to_owned(),
            };
            self.fault(at, format!("`{name}` stands {right}"));
            return;
        }
        let line = self.lines.line(at);
        match arguments(argument, name, value.get_ref()).and_then(|arguments| {
            check(command, &arguments)?;
            Ok(arguments)
        }) {
            Ok(arguments) => self.settings.push(Setting {
                id: argument.get_id().to_string(),
                key: name.to_owned(),
                line,
                arguments,
            }),
            Err(reason) => self.fault(at, format!("`{name}`: {reason}{}", takes(argument))),
        }
    }
}

/// What a flag takes, for whoever gave it something else.
fn takes(argument: &Arg) -> String {
    let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let help = help.lines().next().unwrap_or_default().trim_end_matches('.');
    let names = argument.get_value_names().and_then(<[_]>::first).map(ToString::to_string);
    if argument.get_action().takes_values() {
        format!("; it takes {}: {help}", names.unwrap_or_else(|| "a value".to_owned()))
    } else {
        format!("; it is a switch: {help}")
    }
}

/// Advice to whoever meant a name that there is.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let plain = name.to_lowercase().replace('_', "-");
    let near = known.map(|known| (strsim::jaro_winkler(&plain, known), known));
    match near.max_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((likeness, known)) if likeness > 0.7 => format!("; did you mean `{known}`?"),
        _ => String::new(),
    }
}

/// The arguments that stand for a value.
fn arguments(argument: &Arg, key: &str, value: &DeValue<'_>) -> Result<Vec<OsString>, String> {
    let flag = || OsString::from(format!("--{key}"));
    let with_value = |value: String| OsString::from(format!("--{key}={value}"));
    match (argument.get_action(), value) {
        (ArgAction::SetTrue | ArgAction::SetFalse, DeValue::Boolean(is_on)) => {
            Ok(if *is_on { vec![flag()] } else { Vec::new() })
        }
        (ArgAction::SetTrue | ArgAction::SetFalse, other) => {
            Err(format!("true or false expected, not {}", kind(other)))
        }
        (ArgAction::Count, DeValue::Integer(count)) => {
            let count = integer(count)?;
            if !(0..=16).contains(&count) {
                return Err(format!("{count} is not within 0 to 16"));
            }
            Ok((0..count).map(|_| flag()).collect())
        }
        (ArgAction::Count, other) => Err(format!("a number expected, not {}", kind(other))),
        // A flag whose value may be left out.
        (ArgAction::Set, DeValue::Boolean(true))
            if argument.get_num_args().is_some_and(|count| count.min_values() == 0) =>
        {
            Ok(vec![flag()])
        }
        (ArgAction::Append, DeValue::Array(values)) => {
            values.iter().map(|value| scalar(value.get_ref()).map(with_value)).collect()
        }
        (ArgAction::Set, DeValue::Array(values))
            if argument.get_num_args().is_some_and(|count| count.max_values() > 1) =>
        {
            let values = values.iter().map(|value| scalar(value.get_ref()).map(OsString::from));
            core::iter::once(Ok(flag())).chain(values).collect()
        }
        (_, DeValue::Array(_)) => Err("one value expected, not an array".to_owned()),
        (_, value) => scalar(value).map(|value| vec![with_value(value)]),
    }
}

fn scalar(value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) => integer(number).map(|number| number.to_string()),
        DeValue::Float(number) => Ok(number.as_str().to_owned()),
        DeValue::Boolean(is_on) => Ok(is_on.to_string()),
        DeValue::Datetime(time) => Ok(time.to_string()),
        other => Err(format!("a value expected, not {}", kind(other))),
    }
}

fn integer(number: &DeInteger<'_>) -> Result<i128, String> {
    i128::from_str_radix(number.as_str(), number.radix())
        .map_err(|_| format!("{} is too large", number.as_str()))
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

/// Lets clap judge the values of one flag alone.
fn check(command: &Command, arguments: &[OsString]) -> Result<(), String> {
    let program = OsString::from(command.get_name());
    let all = core::iter::once(&program).chain(arguments);
    let Err(error) = command.clone().subcommand_required(false).try_get_matches_from(all) else {
        return Ok(());
    };
    match error.kind() {
        // Others may bring that.
        ErrorKind::MissingRequiredArgument | ErrorKind::MissingSubcommand => Ok(()),
        _ => Err(reason(&error)),
    }
}

/// What clap says, without the flag, which stands in the file under another name.
fn reason(error: &clap::Error) -> String {
    let value = match error.get(ContextKind::InvalidValue) {
        Some(ContextValue::String(value)) => format!("{value:?} is not accepted: "),
        _ => String::new(),
    };
    if let Some(source) = core::error::Error::source(error) {
        return format!("{value}{source}");
    }
    if let Some(ContextValue::Strings(accepted)) = error.get(ContextKind::ValidValue) {
        return format!("{value}accepted are {}", accepted.join(", "));
    }
    let text = error.to_string();
    text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn command() -> Command {
        Command::new("program")
            .arg(Arg::new("read").long("read").num_args(1..).action(ArgAction::Append).required(true))
            .arg(Arg::new("quiet").long("quiet").short('q').help("Say nothing").action(ArgAction::SetTrue))
            .next_help_heading("Other Things")
            .arg(
                Arg::new("octets")
                    .long("max-octets")
                    .value_name("OCTETS")
                    .help("The most octets")
                    .value_parser(clap::value_parser!(u16).range(576..)),
            )
            .arg(
                Arg::new("export")
                    .long("export-version")
                    .value_name("VERSION")
                    .help("NetFlow version")
                    .value_parser(["5", "9", "10"]),
            )
            .arg(Arg::new("check").long("check").action(ArgAction::SetTrue))
    }

    fn faults(text: &str) -> Vec<String> {
        settings(&command(), text).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn keys_become_flags_in_the_order_of_the_file() {
        let text = "read = ['a', 'b=c', '-d']\nquiet = true\n[other-things]\nexport-version = 10\nmax-octets = 0x5_DC\n";
        let settings = settings(&command(), text).unwrap();
        let arguments: Vec<&str> = settings
            .iter()
            .flat_map(|setting| &setting.arguments)
            .map(|text| text.to_str().unwrap())
            .collect();
        assert_eq!(
            arguments,
            ["--read=a", "--read=b=c", "--read=-d", "--quiet", "--export-version=10", "--max-octets=1500"]
        );
        assert_eq!(settings.iter().map(|setting| setting.line).collect::<Vec<_>>(), [1, 2, 4, 5]);
        assert_eq!(super::settings(&command(), "quiet = false").unwrap()[0].arguments.len(), 0);
    }

    #[test]
    fn every_fault_says_where_it_is_and_what_is_accepted() {
        let text = "\nquiet = 1\nraed = 'x'\n[other-things]\nexport_version = 9\nread = 'x'\nmax-octets = 5\n\
                    export-version = 7\n[other-thing]\na = 1\n";
        assert_eq!(
            faults(text),
            [
                "2: `quiet`: true or false expected, not an integer; it is a switch: Say nothing",
                "3: there is no key `raed`; did you mean `read`?",
                "5: there is no key `export_version`; did you mean `export-version`?",
                "6: `read` stands before the first table",
                "7: `max-octets`: \"5\" is not accepted: 5 is not in 576..=65535; it takes OCTETS: The most octets",
                "8: `export-version`: \"7\" is not accepted: accepted are 5, 9, 10; it takes VERSION: NetFlow version",
                "9: there is no table [other-thing]; did you mean `other-things`?",
            ]
        );
    }

    #[test]
    fn what_says_what_to_do_with_a_configuration_is_no_part_of_one() {
        assert!(faults("check = true")[0].starts_with("1: there is no key `check`"));
        assert!(faults("config = 'x'")[0].starts_with("1: there is no key `config`"));
    }

    #[test]
    fn text_that_is_not_toml_is_told_with_its_line() {
        assert!(
            faults("read = 'a'\nquiet = \n")[0].starts_with("2: not TOML: "),
            "{:?}",
            faults("read = 'a'\nquiet = \n")
        );
        assert!(faults("read = 'a'\nread = 'b'\n")[0].starts_with("2: not TOML: "));
        assert!(faults(&"[".repeat(100_000))[0].starts_with("1: not TOML: "));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(\\PC|\n|\\[|\\]|=|\"|read|quiet|max-octets|[0-9]){0,60}") {
            let _ = settings(&command(), &text);
        }
    }
}
