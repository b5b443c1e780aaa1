//! `netflow-exporter explain-config`: the configuration of another exporter as one of ours.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Read as _, Write as _},
    path::PathBuf,
};

use clap::{Args, CommandFactory as _, FromArgMatches as _};

use super::{Arguments, Failure, NAME};
use crate::{
    config,
    explain::{Dialect, Translation, translate},
};

/// The most octets of a configuration; that of a large router has a few million.
const MAX_OCTETS: u64 = 16 << 20;

/// Arguments of `explain-config`.
#[derive(Args, Clone, Debug)]
pub struct ExplainConfigArgs {
    /// Whose configuration it is
    pub dialect: Dialect,

    /// The configuration; `-` is standard input
    pub file: PathBuf,
}

impl ExplainConfigArgs {
    /// Prints the configuration that means the same, and what could not be carried over.
    pub(super) fn run(&self) -> Result<(), Failure> {
        let name = self.file.display().to_string();
        let text = self.read().map_err(|error| Failure::Run(format!("{name}: {error}")))?;
        let mut translation = translate(self.dialect, &text);
        let command = Arguments::command();
        translation
            .refuse(|toml| config::arguments(&command, toml).map(drop).map_err(|faults| shortened(&faults)));
        if let Err(reason) = judge(&translation, &name) {
            translation.note(format!("--check does not accept this yet: {reason}"));
        }
        io::stdout()
            .write_all(translation.to_toml(&name).as_bytes())
            .map_err(|error| Failure::Run(error.to_string()))
    }

    fn read(&self) -> io::Result<String> {
        let mut octets = Vec::new();
        if self.file.as_os_str() == "-" {
            io::stdin().take(MAX_OCTETS + 1).read_to_end(&mut octets)?;
        } else {
            File::open(&self.file)?.take(MAX_OCTETS + 1).read_to_end(&mut octets)?;
        }
        if octets.len() as u64 > MAX_OCTETS {
            return Err(io::Error::other(format!("it has more than {MAX_OCTETS} octets")));
        }
        // Descriptions may be in any encoding.
        Ok(String::from_utf8_lossy(&octets).into_owned())
    }
}

/// What is wrong with a value, without all that would be right, where that is long.
fn shortened(faults: &[String]) -> String {
    let short = |fault: &String| fault.split("; those that there are:").next().unwrap_or_default().to_owned();
    faults.iter().map(short).collect::<Vec<_>>().join("; ")
}

/// What `--check` will say of the whole.
fn judge(translation: &Translation, name: &str) -> Result<(), String> {
    let command = Arguments::command();
    let arguments =
        config::arguments(&command, &translation.to_toml(name)).map_err(|faults| faults.join("; "))?;
    let all = core::iter::once(OsString::from(NAME)).chain(arguments);
    let told = |error: clap::Error| {
        let text = error.to_string();
        let lines = text.lines().take_while(|line| !line.is_empty());
        lines.map(|line| line.trim().trim_start_matches("error: ")).collect::<Vec<&str>>().join(" ")
    };
    let matches = command.try_get_matches_from(all).map_err(told)?;
    let arguments = Arguments::from_arg_matches(&matches).map_err(told)?;
    arguments.check().map_err(|failure| failure.to_string())
}
