//! Changes while it runs.

use core::mem;

use netflow_codec::{ExportVersion, OptionsData, Protocol, Timestamp};

use super::{Exporter, ExporterConfig, FIRST_TEMPLATE, FLOW_TEMPLATES};
use crate::{
    meter::{FlowSource, Meter, MeterConfig, MeterThreads, SamplingSpec},
    send::{SendError, Target},
};

/// Ids that templates of a session are spread over: its own, those of options, of biflows and of selectors.
const TEMPLATES: u16 = 128;
/// The last id that templates of a session can begin with.
const LAST_TEMPLATE: u16 = u16::MAX - TEMPLATES;

/// The id of a template and what it means.
type Definition = (u16, Box<[u8]>);

impl Exporter<Meter> {
    /// Samples otherwise from now on: the flows metered so far end and are sent, and collectors are told of the change
    /// before the first flow metered after it (RFC 3917 section 5.2). Frames are sampled by `seed`.
    ///
    /// # Errors
    ///
    /// [`SendError::Session`] when the version cannot announce a rate, after which nothing more can be exported; as
    /// [`Self::handle_frame`].
    pub fn change_sampling(&mut self, sampling: &SamplingSpec, seed: u64) -> Result<(), SendError> {
        let mut meter = self.config.meter.clone();
        (meter.sampling, meter.seed) = (sampling.clone(), seed);
        self.meter_otherwise(meter)
    }

    /// Meters otherwise from now on, but for the seed: the flows metered so far end and are sent. What collectors have to know
    /// of those that come, they are told before the first one.
    ///
    /// # Errors
    ///
    /// As [`Self::change_sampling`]; [`SendError::Meter`] when there can be no such flow table: then all stays as it was.
    pub fn change_metering(&mut self, meter: &MeterConfig) -> Result<(), SendError> {
        let meter = self.with_own_seed(meter);
        if meter == self.config.meter { Ok(()) } else { self.meter_otherwise(meter) }
    }

    fn meter_otherwise(&mut self, meter: MeterConfig) -> Result<(), SendError> {
        self.end_flows()?;
        self.meter.change(&meter, &self.config.meter).map_err(SendError::Meter)?;
        self.take_over(meter)
    }
}

impl Exporter<MeterThreads> {
    /// Meters otherwise as soon as all threads have come to it, but for the seed, and goes on with packets and flows
    /// meanwhile. What collectors have to know of the flows metered so, they are told before the first one.
    ///
    /// # Errors
    ///
    /// [`SendError::Meter`] when there can be no such flow tables: then all stays as it was.
    pub fn change_metering(&mut self, meter: &MeterConfig) -> Result<(), SendError> {
        let meter = self.with_own_seed(meter);
        self.meter.change(&meter, &self.config.meter).map_err(SendError::Meter)
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

    fn with_own_seed(&self, meter: &MeterConfig) -> MeterConfig {
        let mut config = ExporterConfig { meter: meter.clone(), ..self.config.clone() };
        config.meter.seed = self.config.meter.seed;
        config.bound_active_timeout();
        config.meter
    }

    /// Flows that come are metered like this: collectors hear of it, if they have to.
    pub(super) fn take_over(&mut self, meter: MeterConfig) -> Result<(), SendError> {
        let before = mem::replace(&mut self.config.meter, meter);
        let after = &self.config.meter;
        let looks_alike = (&before.sampling, before.seed, &before.rules.key, before.rules.collect)
            == (&after.sampling, after.seed, &after.rules.key, after.rules.collect);
        if looks_alike || !self.is_open {
            return Ok(());
        }
        self.statistics_due = None;
        self.delivery.set_content(self.content());
        self.define_templates()?;
        self.begin_sessions(false, self.now)?;
        self.announce(self.now)?;
        self.announce_change(self.now)
    }

    /// Chooses the ids of templates: those that there were, unless one of them would mean something else, for which it needs
    /// another (RFC 3954 section 7). Ids that were given up come round only after some five hundred such changes.
    pub(super) fn define_templates(&mut self) -> Result<(), SendError> {
        let mut definitions = self.templates()?;
        let is_another =
            |(id, meaning): &Definition| self.definitions.get(id).is_some_and(|before| before != meaning);
        if definitions.iter().any(is_another) {
            let next = self.first_template.saturating_add(TEMPLATES);
            self.first_template = if next > LAST_TEMPLATE { FIRST_TEMPLATE } else { next };
            self.definitions.clear();
            definitions = self.templates()?;
        }
        self.definitions.extend(definitions);
        Ok(())
    }

    /// The templates that depend on how flows are metered, with their ids.
    fn templates(&self) -> Result<Vec<Definition>, SendError> {
        let session = self.session_config(Timestamp::ZERO)?;
        let protocol = match session.version {
            ExportVersion::V5 => return Ok(Vec::new()),
            ExportVersion::V9 => Protocol::NetFlow9,
            _ => Protocol::Ipfix,
        };
        let names_selector = session.selector_id.is_some() || session.sampling.is_some();
        let mut list = Vec::new();
        if session.templates.is_empty() {
            list.push((session.first_template + FLOW_TEMPLATES, [u8::from(names_selector)].into()));
        }
        list.extend(
            session.templates.iter().map(|template| (template.id(), template.template_record().into())),
        );
        let sampling = session
            .sampling
            .map(|sampling| OptionsData::sampling(protocol, session.first_template, 1, sampling.into()));
        let mut options: Vec<_> = sampling.into_iter().collect();
        if protocol == Protocol::Ipfix {
            options.extend(self.meter.selection_statistics(session.first_template));
            let reports = self.meter.selection_reports(session.first_template).map_err(SendError::Session)?;
            options.extend(reports.into_iter().map(Ok));
        }
        for options in options {
            let options = options.map_err(SendError::Session)?;
            list.push((options.template().id(), options.template().template_record().into()));
        }
        Ok(list)
    }
}
