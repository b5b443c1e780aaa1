//! The exporter's pipeline: capture files in, datagrams out.

mod account;
mod announce;
mod change;
mod files;
mod live;

use core::time::Duration;
use std::{collections::BTreeMap, thread, time::Instant};

use netflow_codec::{ExportVersion, SessionConfig, Timestamp};
use netflow_flowcache::Timestamp as PacketTime;

pub use account::ExporterAccount;
pub use files::{ExportError, Faults};

use crate::{
    attributes::Attributes,
    capture::{FrameFilter, Replay},
    meter::{FlowSource, Meter, MeterConfig, REORDER},
    pcap::Frame,
    send::{Delivery, Destination, Interface, RecordContent, SendConfig, SendError, Target},
};

/// How to export.
#[derive(Clone, Debug)]
pub struct ExporterConfig {
    /// How to meter. An active timeout above [`MAX_ACTIVE_TIMEOUT`], or none, is taken as that.
    pub meter: MeterConfig,
    /// Where to.
    pub targets: Vec<Target>,
    /// The version.
    pub version: ExportVersion,
    /// v9: the source ID; IPFIX: the observation domain; v5: the engine in its low 16 bits.
    pub source_id: u32,
    /// How to send.
    pub send: SendConfig,
    /// v9, IPFIX: templates again behind this many datagrams with flows.
    pub template_refresh_packets: u32,
    /// v9, IPFIX: templates again so often, by the clock of the packets.
    pub template_refresh: Duration,
    /// The interfaces that flows name by index: announced in v9 and IPFIX.
    pub interfaces: Vec<Interface>,
}

/// Meters and exports.
///
/// `M` is where the flows come from: a [`Meter`] of its own, which is given frames, or others that run elsewhere.
#[derive(Debug)]
pub struct Exporter<M = Meter> {
    config: ExporterConfig,
    meter: M,
    delivery: Delivery,
    attributes: Option<Attributes>,
    /// Whether destinations have been opened.
    is_open: bool,
    /// Templates of sessions have ids from here on.
    first_template: u16,
    /// What those of them mean that may mean something else when flows are metered otherwise.
    definitions: BTreeMap<u16, Box<[u8]>>,
    /// Whether flows wait in the table until the destinations take more.
    is_held: bool,
    /// Packets that the capture lost, and nobody metered.
    capture_drops: u64,
    /// The newest packet's time: the exporter's clock.
    now: Timestamp,
    /// When the next destination has something to do.
    due: Option<Timestamp>,
    /// When it is told the next time what the selectors selected, and what was lost.
    statistics_due: Option<Timestamp>,
    /// When the exporter claims to have booted.
    boot: Timestamp,
    /// Uptimes are good until then.
    latest: Timestamp,
    /// When the frames of files are due; `None`: at once.
    replay: Option<Replay>,
    /// Which frames of files are metered.
    filter: Option<FrameFilter>,
}

/// The longest active timeout whose flows can be dated: uptimes are 32 bits of milliseconds, 49.7 days, of which
/// readers with signed arithmetic understand half.
pub const MAX_ACTIVE_TIMEOUT: Duration = Duration::from_secs(20 * 86_400);

/// How long before the first packet the exporter claims to have booted: uptimes stay positive when the packets
/// of several files, or interfaces, are a little out of order.
const UPTIME_AT_START: Duration = Duration::from_secs(60);

/// After this time the exporter claims to have booted anew: before signed milliseconds end at 24.8 days.
const MAX_UPTIME: Duration = Duration::from_secs(24 * 86_400);

/// How long to wait for destinations that take no more at the moment.
const BREATH: Duration = Duration::from_millis(1);

/// Flows exported before it is asked whether the destinations take more.
const AT_ONCE: usize = 32;

/// The first id of templates.
const FIRST_TEMPLATE: u16 = 256;

/// Sessions have the templates of their flows so far behind their first one.
const FLOW_TEMPLATES: u16 = 4;

impl ExporterConfig {
    /// Makes the active timeout one that uptimes can date.
    pub fn bound_active_timeout(&mut self) {
        let active = self.meter.timeouts.active.unwrap_or(MAX_ACTIVE_TIMEOUT);
        self.meter.timeouts.active = Some(active.min(MAX_ACTIVE_TIMEOUT));
    }
}

impl Exporter {
    /// An exporter that has read nothing. Destinations are opened with the first packet, whose time the uptime
    /// counts from; what is wrong with them is told here all the same.
    ///
    /// # Errors
    ///
    /// When a session or a flow table cannot be configured like this.
    pub fn new(mut config: ExporterConfig) -> Result<Self, SendError> {
        config.bound_active_timeout();
        let meter = Meter::new(&config.meter).map_err(SendError::Meter)?;
        Self::with_source(config, meter)
    }

    /// Meters a frame and exports the flows that end by it.
    ///
    /// A frame more than [`REORDER`] before the newest one begins a new time, as does one after 24 days: all that
    /// belongs to the old time is sent first, and the exporter claims to have booted anew. Otherwise the uptimes
    /// of flows could not be told from those 49.7 days later or earlier.
    ///
    /// # Errors
    ///
    /// When a destination cannot be opened, or a file not written.
    #[inline]
    pub fn handle_frame(&mut self, frame: &Frame<'_>) -> Result<(), SendError> {
        let time = Timestamp::from(frame.timestamp);
        if !self.is_open {
            self.open(time)?;
        }
        if time > self.latest || time.saturating_add(REORDER) < self.now {
            self.restart(frame.timestamp)?;
        } else if self.due.is_some_and(|due| due <= time) {
            // What was due before this frame is not sent as late as it.
            self.handle_timeouts(time)?;
        }
        // A frame that comes late does not turn back the clock of the export.
        self.now = self.now.max(time);
        self.meter.handle_frame(frame);
        self.export()
    }

    /// As [`Self::handle_frame`], but the frame is metered together with others, soon.
    #[inline]
    fn gather_frame(&mut self, frame: &Frame<'_>) -> Result<(), SendError> {
        let time = Timestamp::from(frame.timestamp);
        let is_time_to_send = self.due.is_some_and(|due| due <= time);
        let is_new_time = time > self.latest || time.saturating_add(REORDER) < self.now;
        if !self.is_open || is_time_to_send || is_new_time {
            self.meter_gathered()?;
            self.handle_frame(frame)
        } else {
            if !self.meter.can_gather(frame.timestamp) {
                self.meter_gathered()?;
            }
            self.now = self.now.max(time);
            self.meter.gather_frame(frame);
            Ok(())
        }
    }

    #[inline(never)]
    fn meter_gathered(&mut self) -> Result<(), SendError> {
        loop {
            let is_all = self.meter.meter_gathered();
            self.export()?;
            if is_all {
                return Ok(());
            }
        }
    }
}

impl<M: FlowSource> Exporter<M> {
    /// An exporter of the flows that `meter` gives, which meters as `config` says.
    ///
    /// # Errors
    ///
    /// When a session cannot be configured like this.
    pub fn with_source(mut config: ExporterConfig, meter: M) -> Result<Self, SendError> {
        config.bound_active_timeout();
        let exporter = Self {
            meter,
            delivery: Delivery::new(config.send.clone()),
            attributes: None,
            is_open: false,
            first_template: FIRST_TEMPLATE,
            definitions: BTreeMap::new(),
            is_held: false,
            capture_drops: 0,
            now: Timestamp::ZERO,
            due: None,
            statistics_due: None,
            boot: Timestamp::ZERO,
            latest: Timestamp::ZERO,
            replay: None,
            filter: None,
            config,
        };
        for target in &exporter.config.targets {
            exporter.delivery.validate(target, exporter.session_config(Timestamp::ZERO)?)?;
        }
        Ok(exporter)
    }

    /// Tells the time, when flows come from elsewhere: exports those that there are, and sends what is due.
    ///
    /// A time more than [`REORDER`] before the newest one, or 24 days after the first, begins a new time, as in
    /// [`Exporter::handle_frame`].
    ///
    /// # Errors
    ///
    /// When a destination cannot be opened, or a file not written.
    pub fn handle_time(&mut self, now: PacketTime) -> Result<(), SendError> {
        let time = Timestamp::from(now);
        if !self.is_open {
            self.open(time)?;
        }
        if time > self.latest || time.saturating_add(REORDER) < self.now {
            self.restart(now)?;
        } else if self.due.is_some_and(|due| due <= time) {
            self.handle_timeouts(time)?;
        }
        self.now = self.now.max(time);
        self.export()?;
        for destination in self.delivery.destinations_mut() {
            destination.look_after(self.now)?;
        }
        self.due = self.next_due();
        Ok(())
    }

    /// Fills in what the table knows of the addresses of flows from now on.
    pub fn set_attributes(&mut self, attributes: Attributes) {
        self.attributes = Some(attributes);
    }

    /// Packets that were lost before they could be metered: collectors are told of them.
    pub const fn note_capture_drops(&mut self, packets: u64) {
        self.capture_drops += packets;
    }

    /// When [`Self::handle_time`] has something to send, whether flows come or not.
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Timestamp> {
        self.due
    }

    /// Where the flows come from.
    #[must_use]
    pub const fn source(&self) -> &M {
        &self.meter
    }

    /// Where the flows come from.
    pub const fn source_mut(&mut self) -> &mut M {
        &mut self.meter
    }

    /// Ends all flows and sends everything.
    ///
    /// # Errors
    ///
    /// As [`Self::handle_time`].
    pub fn finish(&mut self) -> Result<(), SendError> {
        if !self.is_open {
            // Nothing was read: files are made all the same, empty.
            self.open(self.now)?;
        }
        self.end_flows()?;
        if self.statistics_due.is_some() {
            self.tell_statistics(self.now)?;
        }
        self.delivery.finish(self.now)
    }

    /// Where datagrams go; none before the first frame.
    #[must_use]
    pub fn destinations(&self) -> &[Destination] {
        self.delivery.destinations()
    }

    /// What was counted so far.
    #[must_use]
    pub fn account(&self) -> ExporterAccount {
        ExporterAccount {
            meter: self.meter.account(),
            destinations: self.delivery.accounts(),
            switches: self.delivery.switches(),
            attributes: self
                .attributes
                .as_ref()
                .map(|attributes| (attributes.report().clone(), attributes.counts())),
        }
    }

    /// Exports the flows that have ended, as long as the destinations take them: those that wait in the table cost nothing
    /// there, and a burst of them does not overrun a queue.
    fn export(&mut self) -> Result<(), SendError> {
        if self.is_held && self.delivery.is_congested() {
            return Ok(());
        }
        self.is_held = false;
        let mut exported = 0;
        while !self.is_held {
            let mut result = Ok(());
            let polled = self.meter.poll_flows(AT_ONCE, |flow| {
                if result.is_err() {
                    return;
                }
                result = match &mut self.attributes {
                    None => self.delivery.handle_flow(flow, self.now),
                    Some(attributes) => {
                        let mut flow = *flow;
                        attributes.fill(&mut flow.record);
                        self.delivery.handle_flow(&flow, self.now)
                    }
                };
            });
            result?;
            if polled == 0 {
                break;
            }
            exported += polled;
            self.is_held = self.delivery.is_congested();
        }
        if exported > 0 {
            self.due = self.next_due();
        }
        Ok(())
    }

    /// Exports flows until `done`. What the destinations do not take within the time that they have for the end is lost,
    /// and counted.
    fn export_until(&mut self, done: impl Fn(&M) -> bool) -> Result<(), SendError> {
        let start = Instant::now();
        // A poll does bounded work: it may give nothing although there is more.
        while !done(&self.meter) {
            self.export()?;
            if self.is_held {
                thread::sleep(BREATH);
                self.is_held = start.elapsed() < self.config.send.drain;
            }
        }
        Ok(())
    }

    /// Ends all flows and exports them.
    fn end_flows(&mut self) -> Result<(), SendError> {
        self.meter.flush();
        self.export_until(M::is_empty)
    }

    /// Sends what is due by `time`, as of the time when it was due.
    fn handle_timeouts(&mut self, time: Timestamp) -> Result<(), SendError> {
        if let Some(due) = self.statistics_due.filter(|due| *due <= time) {
            self.now = self.now.max(due);
            self.tell_statistics(self.now)?;
        }
        self.now = self.now.max(self.delivery.handle_timeouts(time)?);
        self.due = self.next_due();
        Ok(())
    }

    fn next_due(&self) -> Option<Timestamp> {
        self.delivery.poll_timeout().into_iter().chain(self.statistics_due).min()
    }

    fn open(&mut self, first: Timestamp) -> Result<(), SendError> {
        self.boot(first, UPTIME_AT_START);
        let boot = self.boot;
        self.delivery.set_content(self.content());
        self.define_templates()?;
        for target in &self.config.targets {
            self.delivery.open(target.clone(), self.session_config(boot)?)?;
        }
        self.is_open = true;
        self.announce(first)
    }

    /// Sends all that belongs to the time so far, and begins a new one.
    #[cold]
    fn restart(&mut self, time: PacketTime) -> Result<(), SendError> {
        let start = Timestamp::from(time);
        let set_back = start < self.now;
        self.meter.end_time(time, set_back);
        self.export_until(|meter| !meter.has_old(time, set_back))?;
        let uptime = if set_back {
            UPTIME_AT_START
        } else {
            // Flows that go on began after the new boot.
            UPTIME_AT_START.saturating_add(self.config.meter.timeouts.active.unwrap_or(MAX_ACTIVE_TIMEOUT))
        };
        let before = self.now;
        self.boot(start, uptime);
        self.begin_sessions(true, before)?;
        self.now = start;
        self.due = None;
        self.announce(start)?;
        self.announce_change(start)
    }

    /// Sends what the sessions hold, as of `now`, and goes on with new ones.
    fn begin_sessions(&mut self, same_records: bool, now: Timestamp) -> Result<(), SendError> {
        let (config, content) = (self.session_config(self.boot)?, self.content());
        for destination in self.delivery.destinations_mut() {
            destination.restart(config.clone(), same_records, now)?;
            destination.set_content(content);
        }
        Ok(())
    }

    /// Boots so that there is this uptime, and sets when the next boot must be.
    fn boot(&mut self, now: Timestamp, uptime: Duration) {
        let boot = Timestamp::from_secs(now.as_secs().saturating_sub(uptime.as_secs()));
        self.latest = boot.saturating_add(MAX_UPTIME);
        self.boot = boot;
    }

    fn content(&self) -> RecordContent {
        let rules = &self.config.meter.rules;
        RecordContent::new(&rules.key, rules.collect, self.attributes.is_some())
    }

    fn session_config(&self, boot: Timestamp) -> Result<SessionConfig, SendError> {
        let config = &self.config;
        let mut session = SessionConfig::new(config.version, boot);
        session.source_id = config.source_id;
        session.first_template = self.first_template;
        session.template_refresh_packets = Some(config.template_refresh_packets);
        session.template_refresh = Some(config.template_refresh);
        session.sampling = self.meter.sampling_in(config.version);
        session.statistics = config.version != ExportVersion::V5;
        if config.version == ExportVersion::Ipfix {
            let selectors = self.meter.selection().selectors();
            // Flows name what stands for their rate: the selector or, where there are several, one more for what they
            // come to together.
            match (selectors, session.sampling) {
                ([selector], None) => session.selector_id = u32::try_from(selector.id()).ok(),
                (_, None) => {
                    session.sampling = self.meter.sampling();
                    let others = u32::try_from(selectors.len()).ok();
                    session.selector_id =
                        others.filter(|_| session.sampling.is_some()).map(|count| count + 1);
                }
                _ => {}
            }
        }
        let names_selector = config.version == ExportVersion::Ipfix
            && (session.selector_id.is_some() || session.sampling.is_some());
        let first = session.first_template + FLOW_TEMPLATES;
        let templates = self.content().templates(&session, first, names_selector);
        session.templates = templates.map_err(SendError::Session)?;
        Ok(session)
    }
}
