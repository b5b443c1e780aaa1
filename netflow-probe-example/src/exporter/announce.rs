//! What collectors are told besides flows.

use netflow_codec::{ExportVersion, OptionsData, Timestamp};

use super::Exporter;
use crate::{
    meter::FlowSource,
    send::{Interface, MeteringLoss, SendError, announce_interfaces, announce_keys, announce_loss},
};

impl<M: FlowSource> Exporter<M> {
    /// Announces the interfaces that flows name by index, instead of those that were announced before.
    ///
    /// # Errors
    ///
    /// As [`Self::handle_time`].
    pub fn set_interfaces(&mut self, interfaces: Vec<Interface>) -> Result<(), SendError> {
        self.config.interfaces = interfaces;
        if self.is_open { self.tell_interfaces(self.now) } else { Ok(()) }
    }

    /// Tells what has to be known before the first flow of a session: names of interfaces and, in IPFIX, which elements are
    /// the flow key, and of the selectors what one rate does not say.
    pub(super) fn announce(&mut self, now: Timestamp) -> Result<(), SendError> {
        self.tell_interfaces(now)?;
        if self.config.version != ExportVersion::Ipfix {
            return Ok(());
        }
        let content = self.content();
        for destination in self.delivery.destinations_mut() {
            let options = announce_keys(destination, &content)?;
            destination.set_options(options, now)?;
        }
        for options in self.meter.selection_reports(self.first_template).map_err(SendError::Session)? {
            self.delivery.set_options(&options, now)?;
        }
        self.tell_statistics(now)
    }

    pub(super) fn tell_interfaces(&mut self, now: Timestamp) -> Result<(), SendError> {
        if self.config.interfaces.is_empty() || self.config.version == ExportVersion::V5 {
            return Ok(());
        }
        let options = announce_interfaces(self.config.version, self.first_template, &self.config.interfaces)?;
        self.delivery.set_options(&options, now)
    }

    /// Tells what the selectors observed and selected, which has to be told periodically (RFC 5476 section 6.5.3), and what
    /// was lost (RFC 7011 section 4).
    pub(super) fn tell_statistics(&mut self, now: Timestamp) -> Result<(), SendError> {
        let selection: Option<OptionsData> =
            self.meter.selection_statistics(self.first_template).transpose().map_err(SendError::Session)?;
        if let Some(options) = selection {
            self.delivery.set_options(&options, now)?;
        }
        let account = self.meter.account();
        let loss = MeteringLoss {
            packets: account.ignored_packets.saturating_add(self.capture_drops),
            octets: account.ignored_octets,
        };
        for destination in self.delivery.destinations_mut() {
            announce_loss(destination, loss, now)?;
            destination.tell_statistics(now)?;
        }
        self.statistics_due = Some(now.saturating_add(self.config.template_refresh));
        self.due = self.next_due();
        Ok(())
    }

    /// Has destinations hear of a change more than once.
    pub(super) fn announce_change(&mut self, now: Timestamp) -> Result<(), SendError> {
        self.delivery.destinations_mut().iter_mut().try_for_each(|to| to.announce_change(now))?;
        self.due = self.next_due();
        Ok(())
    }
}
