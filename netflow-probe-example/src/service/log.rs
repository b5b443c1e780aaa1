//! Messages on standard error, as text or as JSON.

use core::fmt;
use std::{
    env,
    io::{self, IsTerminal as _, Write as _},
    sync::OnceLock,
};

use clap::ValueEnum;
use tracing::{Level, error};

use super::ServiceOptions;

/// How messages are written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub enum LogFormat {
    /// Lines of text
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

/// Which messages are written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub enum LogLevel {
    /// What ends the program
    Error,
    /// What is lost or wrong
    Warn,
    /// What happens
    #[default]
    Info,
    /// What helps to find out why
    Debug,
    /// Everything
    Trace,
}

impl From<LogLevel> for Level {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Trace => Self::TRACE,
        }
    }
}

static FORMAT: OnceLock<LogFormat> = OnceLock::new();

/// How messages are written; text until [`start_log`] was called.
pub(super) fn format() -> LogFormat {
    FORMAT.get().copied().unwrap_or_default()
}

/// Makes the macros of `tracing` write to standard error. Only the first call in a program does anything.
///
/// Those who are quiet write warnings at most. Lines of text have no time where systemd's journal adds it.
pub fn start_log(options: &ServiceOptions, is_quiet: bool) {
    let _ = FORMAT.set(options.log_format);
    let level = Level::from(options.log_level);
    let level = if is_quiet { level.min(Level::WARN) } else { level };
    let log = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_max_level(level)
        .with_target(false)
        .log_internal_errors(false);
    // That there is a log already is no fault.
    let _ = match options.log_format {
        LogFormat::Json => {
            log.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
        }
        LogFormat::Text if is_journal() => log.without_time().try_init(),
        LogFormat::Text => log.try_init(),
    };
}

fn is_journal() -> bool {
    env::var_os("JOURNAL_STREAM").is_some() && !io::stderr().is_terminal()
}

/// Tells something that is to be known whatever the level of messages: a line of text as it is, or as a message in JSON.
pub fn announce(message: impl fmt::Display) {
    let line = match format() {
        LogFormat::Text => format!("{message}\n"),
        LogFormat::Json => {
            let line = serde_json::json!({
                "timestamp": jiff::Timestamp::now().to_string(),
                "level": "INFO",
                "message": message.to_string(),
            });
            format!("{line}\n")
        }
    };
    // That nobody may be listening there changes nothing.
    let _ = io::stderr().write_all(line.as_bytes());
}

/// Tells why a program ends.
pub fn tell_failure(program: &str, text: &str) {
    match format() {
        // That nobody may be listening there changes nothing.
        LogFormat::Text => drop(writeln!(io::stderr(), "{program}: {text}")),
        LogFormat::Json => error!("{text}"),
    }
}
