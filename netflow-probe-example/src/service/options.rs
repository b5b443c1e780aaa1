//! Arguments of running as a service.

use core::net::SocketAddr;

use clap::Args;

use super::log::{LogFormat, LogLevel};

/// How to run as a service.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Service")]
pub struct ServiceOptions {
    /// How messages are written to standard error
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub log_format: LogFormat,

    /// Messages of this level and above are written
    #[arg(long, value_enum, default_value_t, value_name = "LEVEL")]
    pub log_level: LogLevel,

    /// Answer HTTP at this address: /metrics for Prometheus, /health for monitors. It has to be one of this machine alone,
    /// as 127.0.0.1:9995
    #[arg(long, value_name = "ADDR:PORT")]
    pub metrics: Option<SocketAddr>,

    /// Allow --metrics at an address that other machines reach: there is neither encryption nor a password
    #[arg(long, requires = "metrics")]
    pub metrics_exposed: bool,

    /// Become this user, by name or number, when everything is open that needs privileges, and give up all privileges.
    /// Files are written, and interfaces opened again, with what that user may do
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,

    /// Become this group, by name or number, instead of the one of the user
    #[arg(long, value_name = "GROUP", requires = "user")]
    pub group: Option<String>,
}
