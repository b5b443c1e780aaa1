//! Messages on standard error, as text or as JSON.

use core::{
    fmt,
    sync::atomic::{AtomicU8, Ordering},
};
use std::{
    env,
    io::{self, IsTerminal as _, Write as _},
    sync::OnceLock,
};

use clap::ValueEnum;
use tracing::{Level, error};
use tracing_subscriber::{
    filter::dynamic_filter_fn, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

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
/// The most detailed level of what is written, from 0 for errors on.
static DETAIL: AtomicU8 = AtomicU8::new(2);

const fn detail(level: Level) -> u8 {
    match level {
        Level::ERROR => 0,
        Level::WARN => 1,
        Level::INFO => 2,
        Level::DEBUG => 3,
        Level::TRACE => 4,
    }
}

fn is_wanted(level: Level) -> bool {
    detail(level) <= DETAIL.load(Ordering::Relaxed)
}

/// Messages of this level and above are written from now on. Those who are quiet write warnings at most.
pub fn set_log_level(options: &ServiceOptions, is_quiet: bool) {
    let level = Level::from(options.log_level);
    let level = if is_quiet { level.min(Level::WARN) } else { level };
    DETAIL.store(detail(level), Ordering::Relaxed);
}

/// How messages are written; text until [`start_log`] was called.
pub(super) fn format() -> LogFormat {
    FORMAT.get().copied().unwrap_or_default()
}

/// Makes the macros of `tracing` write to standard error. Only the first call in a program does anything.
///
/// Lines of text have no time where systemd's journal adds it.
pub fn start_log(options: &ServiceOptions, is_quiet: bool) {
    let _ = FORMAT.set(options.log_format);
    set_log_level(options, is_quiet);
    let log = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_max_level(Level::TRACE)
        .with_target(false)
        .log_internal_errors(false);
    // That there is a log already is no fault.
    let _ = match options.log_format {
        LogFormat::Json => {
            let log = log.json().flatten_event(true).with_current_span(false).with_span_list(false);
            log.finish().with(dynamic_filter_fn(|metadata, _| is_wanted(*metadata.level()))).try_init()
        }
        LogFormat::Text if is_journal() => log
            .without_time()
            .finish()
            .with(dynamic_filter_fn(|metadata, _| is_wanted(*metadata.level())))
            .try_init(),
        LogFormat::Text => {
            log.finish().with(dynamic_filter_fn(|metadata, _| is_wanted(*metadata.level()))).try_init()
        }
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
