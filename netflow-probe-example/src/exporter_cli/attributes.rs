//! What flows say of their addresses besides.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use tracing::warn;

use super::Failure;
use crate::{
    attributes::{Attributes, AutonomousSystemType, LoadReport},
    service::Reload,
};

/// Arguments of the attributes.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Attributes")]
pub struct AttributesArgs {
    /// Fill in AS numbers, prefix lengths and next hops of addresses from this file: CSV with the columns prefix, origin AS
    /// and, if wanted, peer AS and next hop; text of a BGP dump as bgpdump -m writes it; or an ASN database (.mmdb). Can
    /// be given several times; the first route of a prefix counts
    #[arg(long, value_name = "FILE")]
    pub attributes: Vec<PathBuf>,

    /// Which AS of a route flows get
    #[arg(long, value_enum, default_value = "origin")]
    pub autonomous_system_type: AutonomousSystemTypeArg,
}

/// Which AS of a route flows get.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum AutonomousSystemTypeArg {
    /// The one that announces the prefix
    Origin,
    /// The neighbour through which it is reached
    Peer,
}

impl AttributesArgs {
    /// The table, if one is wanted.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, or has no prefix.
    pub(super) fn load(&self) -> Result<Option<Attributes>, Failure> {
        if self.attributes.is_empty() {
            return Ok(None);
        }
        let kind = match self.autonomous_system_type {
            AutonomousSystemTypeArg::Origin => AutonomousSystemType::Origin,
            AutonomousSystemTypeArg::Peer => AutonomousSystemType::Peer,
        };
        let attributes = Attributes::load(self.attributes.clone(), kind)
            .map_err(|error| Failure::Usage(format!("--attributes: {error}")))?;
        tell_faults(attributes.report());
        Ok(Some(attributes))
    }
}

/// What is reloaded on SIGHUP, and the table besides. A table that cannot be loaded leaves the old one in force.
pub(super) fn reload(attributes: Option<&Attributes>, mut others: Reload) -> Reload {
    let Some(attributes) = attributes.cloned() else { return others };
    Box::new(move || {
        let loaded = attributes.load_anew().map_err(|error| format!("--attributes: {error}"))?;
        // Whatever is wrong, all of it stays as it was.
        let text = others()?;
        let (faults, prefixes) = (loaded.report().clone(), loaded.report().prefixes);
        attributes.put_in_force(loaded);
        tell_faults(&faults);
        Ok(format!("{prefixes} prefixes; {text}"))
    })
}

/// Tells of lines that were not understood.
fn tell_faults(report: &LoadReport) {
    for fault in &report.faults {
        warn!("{fault}");
    }
    let more = report.malformed.saturating_sub(report.faults.len() as u64);
    if more > 0 {
        warn!("{more} more lines of --attributes are malformed");
    }
}
