//! What an exporter takes flows from.

use netflow_codec::{EncodeError, ExportVersion, OptionsData, SamplingInfo};
use netflow_flowcache::{Timestamp, sample::SelectionSequence};

use super::{Meter, MeterAccount, MeteredFlow, sampling};

/// What an exporter takes flows from, and what it tells collectors of their metering: one meter, or several that run
/// elsewhere.
pub trait FlowSource {
    /// The next flow that has ended and is at hand.
    fn poll_flow(&mut self) -> Option<MeteredFlow>;

    /// The next flows that have ended and are at hand, `limit` at most; how many.
    fn poll_flows(&mut self, limit: usize, mut visit: impl FnMut(&mut MeteredFlow)) -> usize {
        let mut polled = 0;
        while polled < limit
            && let Some(mut flow) = self.poll_flow()
        {
            visit(&mut flow);
            polled += 1;
        }
        polled
    }

    /// Ends all flows, for good.
    fn flush(&mut self);

    /// Whether all flows have been polled, those that a flush ended included.
    fn is_empty(&self) -> bool;

    /// The clock goes on from `now`, set back or far ahead: ends the flows that belong to the time before, all of them
    /// if it was set back. Poll while [`Self::has_old`] says so.
    fn end_time(&mut self, now: Timestamp, set_back: bool);

    /// Whether flows of the time before [`Self::end_time`] are still to be polled.
    fn has_old(&self, now: Timestamp, set_back: bool) -> bool;

    /// What was counted so far.
    fn account(&self) -> MeterAccount;

    /// The samplers.
    fn selection(&self) -> &SelectionSequence;

    /// How packets are selected, for the collectors.
    fn sampling(&self) -> Option<SamplingInfo>;

    /// How packets are selected, as one rate that all flows of `version` are announced with.
    fn sampling_in(&self, version: ExportVersion) -> Option<SamplingInfo>;

    /// The selectors, as options of IPFIX that are announced once, by templates of a session whose ids begin at
    /// `first_template`.
    ///
    /// # Errors
    ///
    /// None that a sampling specification leads to.
    fn selection_reports(&self, first_template: u16) -> Result<Vec<OptionsData>, EncodeError>;

    /// What the selectors observed and selected so far, as options of IPFIX that are announced again and again; `None`
    /// when all packets are metered.
    fn selection_statistics(&self, first_template: u16) -> Option<Result<OptionsData, EncodeError>>;
}

impl FlowSource for Meter {
    #[inline]
    fn poll_flow(&mut self) -> Option<MeteredFlow> {
        Self::poll_flow(self)
    }

    fn poll_flows(&mut self, limit: usize, visit: impl FnMut(&mut MeteredFlow)) -> usize {
        Self::poll_flows(self, limit, visit)
    }

    fn flush(&mut self) {
        Self::flush(self);
    }

    fn is_empty(&self) -> bool {
        Self::is_empty(self)
    }

    fn end_time(&mut self, now: Timestamp, set_back: bool) {
        if set_back {
            Self::flush(self);
        } else {
            Self::handle_timeout(self, now);
        }
    }

    fn has_old(&self, now: Timestamp, set_back: bool) -> bool {
        if set_back { !Self::is_empty(self) } else { Self::has_ended(self, now) }
    }

    fn account(&self) -> MeterAccount {
        Self::account(self)
    }

    fn selection(&self) -> &SelectionSequence {
        Self::selection(self)
    }

    fn sampling(&self) -> Option<SamplingInfo> {
        Self::sampling(self)
    }

    fn sampling_in(&self, version: ExportVersion) -> Option<SamplingInfo> {
        Self::sampling_in(self, version)
    }

    fn selection_reports(&self, first_template: u16) -> Result<Vec<OptionsData>, EncodeError> {
        sampling::reports(&self.intake.sampler, first_template)
    }

    fn selection_statistics(&self, first_template: u16) -> Option<Result<OptionsData, EncodeError>> {
        sampling::statistics(&self.intake.sampler, first_template)
    }
}
