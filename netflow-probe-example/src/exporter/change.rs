//! Changes while it runs.

use core::mem;

use super::{Exporter, ExporterConfig};
use crate::{
    meter::{FlowSource, SamplingSpec},
    send::{SendError, Target},
};

impl Exporter {
    /// Samples otherwise from now on: the flows metered so far end and are sent, and collectors are told of the change
    /// before the first flow metered after it (RFC 3917 section 5.2). Frames are sampled by `seed`.
    ///
    /// # Errors
    ///
    /// [`SendError::Session`] when the version cannot announce a rate, after which nothing more can be exported; as
    /// [`Self::handle_frame`].
    pub fn change_sampling(&mut self, sampling: &SamplingSpec, seed: u64) -> Result<(), SendError> {
        self.end_flows()?;
        // All flows have been exported.
        self.meter.change_sampling(sampling, seed, |_| {});
        self.config.meter.sampling = sampling.clone();
        self.statistics_due = None;
        self.begin_sessions(false, self.now)?;
        self.announce(self.now)?;
        self.announce_change(self.now)
    }
}

impl<M: FlowSource> Exporter<M> {
    /// Goes on with other collectors, other ways to them, other template timers and interfaces. What flows are, version,
    /// domain and files stay. Nothing that was metered is lost: collectors that are left get what they are due, and all
    /// others hear at once of what has changed.
    ///
    /// # Errors
    ///
    /// When a collector cannot be served like this: then all stays as it was. When a file cannot be written.
    pub fn reconfigure(&mut self, new: &ExporterConfig) -> Result<(), SendError> {
        let is_file = |target: &&Target| matches!(target, Target::File(_));
        let files = self.config.targets.iter().filter(is_file);
        let collectors = new.targets.iter().filter(|target| !is_file(target));
        let mut config = self.config.clone();
        config.targets = collectors.chain(files).cloned().collect();
        config.send = new.send.clone();
        config.template_refresh_packets = new.template_refresh_packets;
        config.template_refresh = new.template_refresh;
        config.interfaces.clone_from(&new.interfaces);
        let before = mem::replace(&mut self.config, config);
        if !self.is_open {
            self.delivery.set_config(self.config.send.clone());
            return Ok(());
        }
        let done = self.session_config(self.boot).and_then(|session| {
            self.delivery.reconfigure(&self.config.targets, &self.config.send, &session, self.now)
        });
        if let Err(error) = done {
            self.config = before;
            return Err(error);
        }
        self.announce(self.now)?;
        self.announce_change(self.now)
    }
}
