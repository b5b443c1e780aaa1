//! How the program runs and what it tells.

use std::io::{self, IsTerminal};

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Arguments of the running program.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Service")]
pub struct ServiceArgs {
    /// No progress bar and no closing account
    #[arg(long, short)]
    pub quiet: bool,
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
