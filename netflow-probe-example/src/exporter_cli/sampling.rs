//! Which packets are metered.

use clap::Args;

use crate::meter::{SAMPLING_HELP, SamplingSpec};

/// Arguments of the sampling.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Sampling")]
pub struct SamplingArgs {
    /// Meter a sample of the packets: 1:N, random:1:N and others
    #[arg(long, value_name = "SAMPLING", default_value = "1:1", long_help = SAMPLING_HELP)]
    pub sampling: SamplingSpec,
}
