//! Running as a service, the same for both programs: log, signals, word to systemd, metrics over HTTP, privileges.
//!
//! ```text
//! SIGHUP, SIGUSR1, systemd -> service thread <- accounts <- threads that do the work
//! GET /metrics  -> HTTP threads -----'
//! ```
//!
//! Threads that do the work call [`Service::look`] a few times a second. That costs them next to nothing, unless an
//! account is asked for. A thread that does not call any more is what the watchdog of systemd, and `/health`, look for.

mod board;
mod http;
mod log;
mod metrics;
mod notify;
mod options;
mod package;
mod privileges;
mod runner;
mod signals;

pub use board::Account;
pub use log::{LogFormat, LogLevel, announce, set_log_level, start_log, tell_failure};
pub use metrics::Metrics;
pub use notify::{Watchdog, notify_ready, notify_reloading, notify_stopping};
pub use options::ServiceOptions;
pub use package::Package;
pub use privileges::{PrivilegeError, drop_privileges};
pub use runner::{Reload, Service, ServiceError};
