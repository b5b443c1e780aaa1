//! What an exporter did.

use core::fmt;

use crate::{
    attributes::{AttributesCounts, LoadReport},
    meter::MeterAccount,
    send::DestinationAccount,
};

/// What an exporter did. Its `Display` is the closing account.
#[derive(Clone, Debug)]
pub struct ExporterAccount {
    /// What was metered.
    pub meter: MeterAccount,
    /// What each destination got.
    pub destinations: Vec<DestinationAccount>,
    /// Times that flows went to another collector because one was down, or up again.
    pub switches: u64,
    /// The table of attributes, if there is one, and what it was good for.
    pub attributes: Option<(LoadReport, AttributesCounts)>,
}

impl fmt::Display for ExporterAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.meter)?;
        self.destinations.iter().try_for_each(|destination| write!(f, "{destination}"))?;
        let mut line = |label: &str, count: u64| writeln!(f, "{label:<26}{count:>12}");
        if self.switches > 0 {
            line("changes of collector", self.switches)?;
        }
        if let Some((report, counts)) = &self.attributes {
            line("prefixes known", report.prefixes as u64)?;
            line("  lines malformed", report.malformed)?;
            line("  flows found", counts.found)?;
            line("  flows missing", counts.missing)?;
            line("  reloads", counts.reloads)?;
        }
        Ok(())
    }
}
