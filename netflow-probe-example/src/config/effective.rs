//! What a program was told, as a configuration file.

use core::fmt::Write as _;
use std::ffi::OsStr;

use clap::{Arg, ArgAction, ArgMatches, Command, parser::ValueSource};

use super::{
    file::Told,
    setting::{settable, table_of},
};

/// All that is in force for `command`, as a configuration file that says the same: each key with where it came from.
/// Defaults, and what is not set, are comments: some of them would not go together with other keys.
///
/// `matches` is what `told` has for that command.
#[must_use]
pub fn effective(command: &Command, matches: &ArgMatches, told: &Told) -> String {
    let mut text = format!("# What is in force for {}.\n", command.get_name());
    let mut tables: Vec<Option<String>> = settable(command).map(table_of).collect();
    // What stands before the first table goes first.
    tables.sort_by_key(Option::is_some);
    let mut told_tables = Vec::new();
    for table in tables {
        if told_tables.contains(&table) {
            continue;
        }
        if let Some(name) = &table {
            let _ = writeln!(text, "\n[{name}]");
        }
        for argument in settable(command).filter(|argument| table_of(argument) == table) {
            line(&mut text, argument, matches, told);
        }
        told_tables.push(table);
    }
    text
}

fn line(text: &mut String, argument: &Arg, matches: &ArgMatches, told: &Told) {
    let id = argument.get_id().as_str();
    let key = argument.get_long().unwrap_or(id);
    let source = matches.value_source(id);
    let origin = match source {
        Some(ValueSource::CommandLine) if told.is_of_file(id) => "file",
        Some(ValueSource::CommandLine) => "command line",
        Some(ValueSource::EnvVariable) => "environment",
        _ => "default",
    };
    let mark = if origin == "default" { "# " } else { "" };
    let value = match argument.get_action() {
        ArgAction::SetTrue | ArgAction::SetFalse => Some(matches.get_flag(id).to_string()),
        ArgAction::Count => Some(matches.get_count(id).to_string()),
        action => {
            let values: Vec<&OsStr> = matches.get_raw(id).into_iter().flatten().collect();
            match values.iter().map(|value| rendered(value)).collect::<Option<Vec<String>>>() {
                None => {
                    let _ = writeln!(text, "# {key} is no UTF-8: it can be given on the command line only");
                    return;
                }
                Some(values) if matches!(action, ArgAction::Append) && !values.is_empty() => {
                    Some(format!("[{}]", values.join(", ")))
                }
                Some(values) => match values.as_slice() {
                    // Given without its value.
                    [] => source.map(|_| "true".to_owned()),
                    [value] => Some(value.clone()),
                    several => Some(format!("[{}]", several.join(", "))),
                },
            }
        }
    };
    let _ = match value {
        Some(value) => writeln!(text, "{mark}{key} = {value} # {origin}"),
        None => writeln!(text, "# {key} is not set"),
    };
}

/// A value as TOML has it: an integer as that, anything else as text.
fn rendered(value: &OsStr) -> Option<String> {
    let value = value.to_str()?;
    let is_integer = value == "0"
        || (value.len() < 19 && !value.starts_with('0') && value.bytes().all(|octet| octet.is_ascii_digit()));
    Some(if is_integer && !value.is_empty() { value.to_owned() } else { quoted(value) })
}

/// The keys that say something else in one result of [`effective`] than in another.
#[must_use]
pub fn changed(before: &str, now: &str) -> Vec<String> {
    let key = |line: &str| line.trim_start_matches("# ").split(' ').next().unwrap_or_default().to_owned();
    // Where a value is from does not matter.
    let said = |line: &str| {
        let line = line.trim_start_matches("# ");
        line.rsplit_once(" # ").map_or(line, |(said, _)| said).to_owned()
    };
    let lines = before.lines().zip(now.lines());
    lines.filter(|(before, now)| said(before) != said(now)).map(|(_, now)| key(now)).collect()
}

/// A basic string of TOML.
#[must_use]
pub fn quoted(value: &str) -> String {
    let mut text = String::with_capacity(value.len() + 2);
    text.push('"');
    for character in value.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            _ if character.is_control() => {
                let _ = write!(text, "\\U{:08X}", u32::from(character));
            }
            _ => text.push(character),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use toml::de::DeTable;

    use super::*;

    proptest! {
        #[test]
        fn text_survives(text in any::<String>()) {
            let document = format!("a = {}", quoted(&text));
            let table = DeTable::parse(&document).unwrap();
            let value = table.get_ref().iter().next().unwrap().1;
            prop_assert_eq!(value.get_ref().as_str(), Some(text.as_str()));
        }
    }
}
