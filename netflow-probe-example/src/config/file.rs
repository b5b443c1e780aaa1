//! The configuration file: TOML whose keys are the long flags of the command line, without `--`.
//!
//! What a file says becomes arguments, which are parsed before those of the command line: whatever can be given there
//! can be given here, with the same values and the same checks. Tables are the headings of `--help`; flags under no
//! heading stand before the first table. A flag that takes several values takes an array, a switch takes `true` or
//! `false`. A flag on the command line replaces what the file says of it, and whatever of the file it excludes.
//!
//! ```toml
//! [capture]
//! read = ["monday.pcap", "tuesday.pcap"]
//!
//! [export]
//! collector = "192.0.2.10:2055"
//! mtu = 1400
//! ```

use core::fmt;
use std::{
    ffi::OsString,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use clap::{ArgMatches, Args, Command, error::ErrorKind, parser::ValueSource};

use super::setting::{Setting, settings};

/// Arguments of a program that has a configuration file.
#[derive(Args, Clone, Debug, Default)]
pub struct ConfigArgs {
    /// Take arguments from this TOML file, too; its keys are the long flags, in tables named as the headings here. Flags
    /// on the command line win
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Check arguments and configuration file, print what they come to as TOML, and do nothing else. The exit status is 0
    /// when everything is accepted, otherwise 2
    #[arg(long)]
    pub check: bool,
}

/// The most octets of a configuration file.
const MAX_OCTETS: u64 = 1 << 20;

/// What a program was told: by its command line, its configuration file and its defaults.
#[derive(Debug)]
pub struct Told {
    matches: ArgMatches,
    settings: Vec<Setting>,
    path: Option<PathBuf>,
}

impl Told {
    /// All of it, as clap has it; that of the subcommand is within.
    #[must_use]
    pub fn matches(&self) -> &ArgMatches {
        &self.matches
    }

    /// The configuration file.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Whether the file said this, and the command line did not.
    pub(super) fn is_of_file(&self, id: &str) -> bool {
        self.settings.iter().any(|setting| setting.id == id)
    }
}

/// Parses the command line, whose first argument is the name of the program, and the configuration file that it names
/// with `--config`.
///
/// `command` has that flag itself, or a subcommand of it has.
///
/// # Errors
///
/// What clap finds wrong with the command line; everything that is wrong with the file, with its lines.
pub fn parse(command: &Command, arguments: &[OsString]) -> Result<Told, ConfigError> {
    let first = match command.clone().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        // The file may have what is missing.
        Err(error) if error.kind() == ErrorKind::MissingRequiredArgument => {
            let matches = command.clone().ignore_errors(true).try_get_matches_from(arguments);
            let matches = matches.map_err(ConfigError::Arguments)?;
            if config_of(&matches).is_none() {
                return Err(ConfigError::Arguments(error));
            }
            matches
        }
        Err(error) => return Err(ConfigError::Arguments(error)),
    };
    let Some((given, subcommand, path)) = config_of(&first) else {
        return Ok(Told { matches: first, settings: Vec::new(), path: None });
    };
    let name = path.display().to_string();
    let text = read(&path).map_err(|error| ConfigError::Read { path: name.clone(), error })?;
    let described = match subcommand {
        Some(name) => command.find_subcommand(name).unwrap_or(command),
        None => command,
    };
    let settings = settings(described, &text)
        .map_err(|faults| faults.into_iter().map(|fault| format!("{name}:{fault}")).collect())
        .map_err(ConfigError::File)?;
    let on_command_line = |id: &str| given.value_source(id) == Some(ValueSource::CommandLine);
    let settings: Vec<Setting> = settings
        .into_iter()
        .filter(|setting| !on_command_line(&setting.id) && !excluded(described, setting, &on_command_line))
        .collect();
    // Behind the names of program and subcommand.
    let place = subcommand
        .and_then(|name| arguments.iter().position(|argument| argument.to_str() == Some(name)))
        .unwrap_or(0)
        + 1;
    let mut all = arguments.to_vec();
    let of_file = settings.iter().flat_map(|setting| setting.arguments.iter().cloned());
    all.splice(place.min(all.len())..place.min(all.len()), of_file);
    match command.clone().try_get_matches_from(all) {
        Ok(matches) => Ok(Told { matches, settings, path: Some(path) }),
        Err(error) => Err(ConfigError::Together { places: places(&error, &settings, &name), error }),
    }
}

/// The arguments that a configuration file stands for, whatever else may be required.
///
/// # Errors
///
/// All that is wrong with it.
pub fn arguments(command: &Command, text: &str) -> Result<Vec<OsString>, Vec<String>> {
    match settings(command, text) {
        Ok(settings) => Ok(settings.into_iter().flat_map(|setting| setting.arguments).collect()),
        Err(faults) => Err(faults.into_iter().map(|fault| fault.text).collect()),
    }
}

/// The configuration file that was named, with the matches and the subcommand that it was named in.
fn config_of(matches: &ArgMatches) -> Option<(&ArgMatches, Option<&str>, PathBuf)> {
    let named = |matches: &ArgMatches| matches.try_get_one::<PathBuf>("config").ok().flatten().cloned();
    if let Some(path) = named(matches) {
        return Some((matches, None, path));
    }
    let (name, matches) = matches.subcommand()?;
    named(matches).map(|path| (matches, Some(name), path))
}

/// Whether a flag on the command line excludes this one.
fn excluded(command: &Command, setting: &Setting, on_command_line: &impl Fn(&str) -> bool) -> bool {
    let Some(argument) = command.get_arguments().find(|argument| argument.get_id() == setting.id.as_str())
    else {
        return false;
    };
    let excludes =
        |a: &clap::Arg, b: &str| command.get_arg_conflicts_with(a).iter().any(|other| other.get_id() == b);
    command
        .get_arguments()
        .filter(|given| on_command_line(given.get_id().as_str()))
        .any(|given| excludes(given, &setting.id) || excludes(argument, given.get_id().as_str()))
}

/// Which lines the flags stand in that an error names.
fn places(error: &clap::Error, settings: &[Setting], name: &str) -> Vec<String> {
    let text = error.to_string();
    let is_named = |setting: &&Setting| {
        let flag = format!("--{}", setting.key);
        text.match_indices(&flag).any(|(at, _)| {
            let next = text.get(at + flag.len()..).and_then(|rest| rest.chars().next());
            !next.is_some_and(|next| next.is_alphanumeric() || next == '-')
        })
    };
    let named = settings.iter().filter(is_named);
    named.map(|setting| format!("{name}:{}: here is `{}`", setting.line, setting.key)).collect()
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = Vec::new();
    File::open(path)?.take(MAX_OCTETS + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MAX_OCTETS {
        return Err(io::Error::other(format!("the file has more than {MAX_OCTETS} octets")));
    }
    String::from_utf8(text).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let lines = error.as_bytes().iter().take(valid).filter(|octet| **octet == b'\n').count();
        io::Error::other(format!("line {} is not UTF-8", lines + 1))
    })
}

/// What is wrong with the arguments or the configuration file.
#[derive(Debug)]
pub enum ConfigError {
    /// With the command line; or help was asked for.
    Arguments(clap::Error),
    /// The file cannot be read.
    Read {
        /// Its path.
        path: String,
        /// Why.
        error: io::Error,
    },
    /// With lines of the file: one text for each, which begins with the place.
    File(Vec<String>),
    /// Arguments and file do not fit together.
    Together {
        /// How.
        error: clap::Error,
        /// The lines of the file that this is about.
        places: Vec<String>,
    },
}

impl ConfigError {
    /// Tells it, on standard error unless help was asked for, and gives the exit status: 2 unless help was asked for.
    #[must_use]
    pub fn conclude(&self, program: &str) -> u8 {
        use std::io::Write as _;
        let mut stderr = io::stderr();
        let told = match self {
            Self::Arguments(error) => error.print(),
            Self::Read { path, error } => writeln!(stderr, "{program}: {path}: {error}"),
            Self::File(faults) => faults.iter().try_for_each(|fault| writeln!(stderr, "{program}: {fault}")),
            Self::Together { error, places } => error
                .print()
                .and_then(|()| places.iter().try_for_each(|place| writeln!(stderr, "{program}: {place}"))),
        };
        // That nobody may be listening there changes nothing.
        drop(told);
        match self {
            Self::Arguments(error) => u8::try_from(error.exit_code()).unwrap_or(2),
            _ => 2,
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arguments(error) => error.fmt(f),
            Self::Read { path, error } => write!(f, "{path}: {error}"),
            Self::File(faults) => f.write_str(&faults.join("\n")),
            Self::Together { error, places } => write!(f, "{error}{}", places.join("\n")),
        }
    }
}

impl core::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::{Arg, ArgAction};

    use super::*;

    fn command() -> Command {
        let listen = ConfigArgs::augment_args(Command::new("listen"))
            .arg(Arg::new("file").long("file").action(ArgAction::Append).conflicts_with("interface"))
            .arg(Arg::new("interface").long("interface").action(ArgAction::Append))
            .arg(Arg::new("age").long("age").requires("store"))
            .arg(Arg::new("store").long("store"))
            .arg(Arg::new("port").long("port").required(true));
        Command::new("program").subcommand_required(true).subcommand(listen)
    }

    fn parsed(config: &str, arguments: &[&str]) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.toml");
        fs::write(&path, config).unwrap();
        let mut all: Vec<OsString> = ["program", "listen", "--config"].map(Into::into).to_vec();
        all.push(path.clone().into());
        all.extend(arguments.iter().map(OsString::from));
        let told = parse(&command(), &all)
            .map_err(|error| error.to_string().replace(&path.display().to_string(), "c.toml"))?;
        assert_eq!(told.path(), Some(path.as_path()));
        let (_, matches) = told.matches().subcommand().unwrap();
        let mut found = Vec::new();
        for id in ["file", "interface", "age", "store", "port"] {
            for value in matches.get_raw(id).into_iter().flatten() {
                found.push(format!("{id}={}", value.to_str().unwrap()));
            }
        }
        Ok(found)
    }

    #[test]
    fn the_file_goes_before_the_command_line() {
        assert_eq!(parsed("port = 1\nfile = ['a', 'b']", &[]).unwrap(), ["file=a", "file=b", "port=1"]);
        assert_eq!(parsed("port = 1\nfile = ['a', 'b']", &["--file", "c"]).unwrap(), ["file=c", "port=1"]);
        assert_eq!(parsed("file = ['a']", &["--port", "2"]).unwrap(), ["file=a", "port=2"]);
    }

    #[test]
    fn a_flag_replaces_what_it_excludes() {
        assert_eq!(
            parsed("port = 1\nfile = ['a']", &["--interface", "c"]).unwrap(),
            ["interface=c", "port=1"]
        );
        assert_eq!(parsed("port = 1\ninterface = ['a']", &["--file", "c"]).unwrap(), ["file=c", "port=1"]);
    }

    #[test]
    fn what_does_not_fit_together_is_told_with_its_lines() {
        let error = parsed("port = 1\nfile = ['a']\ninterface = ['b']", &[]).unwrap_err();
        assert!(error.contains("c.toml:2: here is `file`\nc.toml:3: here is `interface`"), "{error}");
        let error = parsed("port = 1\nage = '1d'", &[]).unwrap_err();
        assert!(error.contains("--store") && error.contains("required"), "{error}");
        assert!(parsed("file = 'a'", &[]).unwrap_err().contains("--port"));
        // Wrong on the command line, whatever the file says.
        assert!(parsed("port = 1", &["--colour"]).unwrap_err().contains("--colour"));
    }

    #[test]
    fn a_file_that_is_too_large_or_no_text_is_refused() {
        assert_eq!(
            parsed(&"#\n".repeat(600_000), &[]).unwrap_err(),
            "c.toml: the file has more than 1048576 octets"
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("latin1");
        fs::write(&path, b"port = 1\n# \xE9\n").unwrap();
        assert_eq!(read(&path).unwrap_err().to_string(), "line 2 is not UTF-8");
    }
}
