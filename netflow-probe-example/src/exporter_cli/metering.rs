//! How packets become flows.

use core::{hash::BuildHasher, time::Duration};
use std::collections::hash_map::RandomState;

use clap::Args;
use netflow_flowcache::Timeouts;

use crate::{
    config::parse_duration,
    exporter::MAX_ACTIVE_TIMEOUT,
    meter::{MeterConfig, SamplingSpec},
};

/// The most flows metered at once, of IPv4 and of IPv6: they take 4.4 GB together.
const MAX_FLOWS: i64 = 16_711_680;

/// Arguments of the metering.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Metering")]
pub struct MeteringArgs {
    /// Report a flow that goes on after this time, at most 20d
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = parse_active_timeout)]
    pub active_timeout: Duration,

    /// End a flow that was silent for this time
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = parse_duration)]
    pub inactive_timeout: Duration,

    /// Flows metered at once at most, of IPv4 and of IPv6; beyond that those silent longest are exported early
    #[arg(long, value_name = "N", default_value_t = 262_144, value_parser = clap::value_parser!(u32).range(1..=MAX_FLOWS))]
    pub max_flows: u32,

    /// Makes random sampling, and the order of forced evictions, the same on every run
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}

fn parse_active_timeout(text: &str) -> Result<Duration, String> {
    let duration = parse_duration(text).map_err(|error| error.to_string())?;
    if duration > MAX_ACTIVE_TIMEOUT {
        return Err(
            "at most 20d: the times of longer flows do not fit into 32 bits of milliseconds".to_owned()
        );
    }
    Ok(duration)
}

impl MeteringArgs {
    /// How to meter what `sampling` selects.
    pub(super) fn config(&self, sampling: SamplingSpec) -> MeterConfig {
        let mut timeouts = Timeouts::default();
        timeouts.active = Some(self.active_timeout);
        timeouts.inactive = Some(self.inactive_timeout);
        MeterConfig {
            timeouts,
            // At most `MAX_FLOWS`.
            max_flows: usize::try_from(self.max_flows).unwrap_or(usize::MAX),
            sampling,
            seed: self.seed.unwrap_or_else(|| RandomState::new().hash_one(0)),
        }
    }
}
