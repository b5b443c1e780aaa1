//! How the program runs and what it tells.

use std::{
    ffi::OsString,
    io::{self, IsTerminal},
};

use clap::{Args, CommandFactory as _, FromArgMatches as _};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Arguments;
use crate::{
    config::{self, Told},
    service::{Reload, ServiceOptions},
};

/// Arguments of the running program.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Service")]
pub struct ServiceArgs {
    /// No progress bar, no closing account, and of messages only warnings and errors
    #[arg(long, short)]
    pub quiet: bool,

    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show the text as help of the whole group")]
    pub options: ServiceOptions,
}

impl ServiceArgs {
    /// A progress bar over so many octets, where somebody can see it.
    pub(super) fn progress_bar(&self, total_octets: u64) -> ProgressBar {
        if self.quiet || !io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let target = ProgressDrawTarget::stderr_with_hz(10);
        let bar = ProgressBar::with_draw_target(Some(total_octets), target);
        let style = ProgressStyle::with_template(
            "{bar:40} {percent:>3}% {bytes}/{total_bytes} {bytes_per_sec} {eta}",
        );
        bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
    }
}

/// Reads the configuration file again, whenever it is called, and says which of its keys are others since the start:
/// they are in force after a restart.
pub(super) fn reload(arguments: &[OsString], told: &Told) -> Reload {
    let arguments = arguments.to_vec();
    let command = Arguments::command();
    let mut before = config::effective(&command, told.matches(), told);
    Box::new(move || {
        let command = Arguments::command();
        let told = config::parse(&command, &arguments).map_err(|error| error.to_string())?;
        let new = Arguments::from_arg_matches(told.matches()).map_err(|error| error.to_string())?;
        new.check().map_err(|failure| failure.to_string())?;
        let now = config::effective(&command, told.matches(), &told);
        let changed = config::changed(&before, &now);
        before = now;
        Ok(if changed.is_empty() {
            "the arguments are as they were".to_owned()
        } else {
            format!("in force after a restart: {}", changed.join(", "))
        })
    })
}
