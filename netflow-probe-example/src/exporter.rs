//! The exporter's pipeline: capture files in, datagrams out.

mod live;

use core::{fmt, ops::ControlFlow, time::Duration};
use std::{io::Read, path::Path, thread, time::Instant};

use netflow_codec::{ExportVersion, OptionsData, SessionConfig, Timestamp};
use netflow_flowcache::Timestamp as PacketTime;

use crate::{
    attributes::{Attributes, AttributesCounts, LoadReport},
    capture::{FrameFilter, Replay, Speed},
    meter::{FlowSource, Meter, MeterAccount, MeterConfig, REORDER, SamplingSpec},
    pcap::{CaptureError, CaptureFile, Frame},
    send::{
        Delivery, Destination, DestinationAccount, Interface, MeteringLoss, RecordContent, SendConfig,
        SendError, Target, announce_interfaces, announce_keys, announce_loss,
    },
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

    /// Meters and exports a capture file.
    ///
    /// `watch` is called now and then with the octets of it read so far, and can stop the reading.
    ///
    /// # Errors
    ///
    /// When the file cannot be read to its end (what was read before is metered), or a destination fails.
    pub fn read_file(
        &mut self,
        path: &Path,
        watch: impl FnMut(&Self, u64) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, ExportError> {
        let name = path.display().to_string();
        self.read_capture(CaptureFile::open(path), &name, watch)
    }

    /// As [`Self::read_file`], from anywhere; messages call it `name`.
    ///
    /// # Errors
    ///
    /// As [`Self::read_file`].
    pub fn read_from(
        &mut self,
        source: impl Read,
        name: &str,
        watch: impl FnMut(&Self, u64) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, ExportError> {
        self.read_capture(CaptureFile::new(source), name, watch)
    }

    /// Has the frames of files come so fast from now on.
    pub const fn set_speed(&mut self, speed: Speed) {
        self.replay = Replay::new(speed);
    }

    /// Has only frames of files metered that pass a filter.
    pub fn set_filter(&mut self, filter: FrameFilter) {
        self.filter = Some(filter);
    }

    fn read_capture<R: Read>(
        &mut self,
        file: Result<CaptureFile<R>, CaptureError>,
        name: &str,
        mut watch: impl FnMut(&Self, u64) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, ExportError> {
        let mut faults = Faults::default();
        let failed = |faults: Faults| ExportError::Capture { path: name.to_owned(), faults };
        let mut file = match file {
            Ok(file) => file,
            Err(error) => {
                faults.add(error, None);
                return Err(failed(faults));
            }
        };
        let mut frames = 0u32;
        loop {
            // Who replays a file tells meanwhile how far it has come.
            let octets = if self.replay.is_some() { file.octets_read() } else { 0 };
            match file.next_frame() {
                Ok(Some(frame)) => {
                    if self.filter.as_mut().is_some_and(|filter| !filter.accepts(&frame)) {
                        continue;
                    }
                    if self.replay.is_none() {
                        self.gather_frame(&frame)?;
                    } else if self.await_turn(frame.timestamp, octets, &mut watch)?.is_break() {
                        break;
                    } else {
                        // Each frame is wanted at its time.
                        self.handle_frame(&frame)?;
                    }
                }
                Ok(None) => {
                    self.meter_gathered()?;
                    return if faults.is_empty() {
                        Ok(ControlFlow::Continue(()))
                    } else {
                        Err(failed(faults))
                    };
                }
                Err(error) => {
                    // Nothing more can be read if this fails, too: the first error has said why.
                    let skipped = file.resume().unwrap_or(None);
                    faults.add(error, skipped);
                }
            }
            frames = frames.wrapping_add(1);
            if frames.is_multiple_of(4_096) {
                self.meter_gathered()?;
                if watch(self, file.octets_read()).is_break() {
                    break;
                }
            }
        }
        if faults.is_empty() { Ok(ControlFlow::Break(())) } else { Err(failed(faults)) }
    }

    /// Waits until a frame is due, if frames are, and meanwhile exports by the clock of the capture.
    #[inline(never)]
    fn await_turn(
        &mut self,
        time: PacketTime,
        octets: u64,
        watch: &mut impl FnMut(&Self, u64) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, ExportError> {
        const LONGEST: Duration = Duration::from_millis(50);
        while let Some(replay) = &mut self.replay {
            let wait = replay.wait(time, Instant::now());
            if wait.is_zero() {
                break;
            }
            thread::sleep(wait.min(LONGEST));
            let now = replay.time(Instant::now());
            if let Some(now) = now.filter(|now| *now < time && self.is_open) {
                self.meter.handle_timeout(now);
                self.handle_time(now)?;
            }
            if watch(self, octets).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

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

    /// Announces the interfaces that flows name by index, instead of those that were announced before.
    ///
    /// # Errors
    ///
    /// As [`Self::handle_time`].
    pub fn set_interfaces(&mut self, interfaces: Vec<Interface>) -> Result<(), SendError> {
        self.config.interfaces = interfaces;
        if self.is_open { self.tell_interfaces(self.now) } else { Ok(()) }
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
                .map(|attributes| (attributes.report().clone(), *attributes.counts())),
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
        for target in &self.config.targets {
            self.delivery.open(target.clone(), self.session_config(boot)?)?;
        }
        self.is_open = true;
        self.announce(first)
    }

    /// Tells what has to be known before the first flow of a session: names of interfaces and, in IPFIX, which elements are
    /// the flow key, and of the selectors what one rate does not say.
    fn announce(&mut self, now: Timestamp) -> Result<(), SendError> {
        self.tell_interfaces(now)?;
        if self.config.version != ExportVersion::Ipfix {
            return Ok(());
        }
        let content = self.content();
        for destination in self.delivery.destinations_mut() {
            let options = announce_keys(destination, &content)?;
            destination.set_options(options, now)?;
        }
        for options in self.meter.selection_reports().map_err(SendError::Session)? {
            self.delivery.set_options(&options, now)?;
        }
        self.tell_statistics(now)
    }

    fn tell_interfaces(&mut self, now: Timestamp) -> Result<(), SendError> {
        if self.config.interfaces.is_empty() || self.config.version == ExportVersion::V5 {
            return Ok(());
        }
        let options = announce_interfaces(self.config.version, &self.config.interfaces)?;
        self.delivery.set_options(&options, now)
    }

    /// Tells what the selectors observed and selected, which has to be told periodically (RFC 5476 section 6.5.3), and what
    /// was lost (RFC 7011 section 4).
    fn tell_statistics(&mut self, now: Timestamp) -> Result<(), SendError> {
        let selection: Option<OptionsData> =
            self.meter.selection_statistics().transpose().map_err(SendError::Session)?;
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

    /// Has destinations hear of a change more than once.
    fn announce_change(&mut self, now: Timestamp) -> Result<(), SendError> {
        self.delivery.destinations_mut().iter_mut().try_for_each(|to| to.announce_change(now))?;
        self.due = self.next_due();
        Ok(())
    }

    /// Sends what the sessions hold, as of `now`, and goes on with new ones.
    fn begin_sessions(&mut self, same_records: bool, now: Timestamp) -> Result<(), SendError> {
        let config = self.session_config(self.boot)?;
        for destination in self.delivery.destinations_mut() {
            destination.restart(config.clone(), same_records, now)?;
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

/// An export went wrong.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A capture file is damaged.
    #[error("{path}: {faults}")]
    Capture {
        /// The file.
        path: String,
        /// What is wrong with it.
        faults: Faults,
    },
    /// A destination failed.
    #[error(transparent)]
    Send(#[from] SendError),
}

/// What is wrong with a capture file: the first few places, and how many there are.
#[derive(Debug, Default)]
pub struct Faults {
    first: Vec<(CaptureError, Option<u64>)>,
    count: u64,
}

impl Faults {
    /// Places that are told one by one.
    const TOLD: usize = 5;

    /// One more place; `skipped`: octets left out there, `None` if nothing behind it could be read.
    fn add(&mut self, error: CaptureError, skipped: Option<u64>) {
        self.count += 1;
        if self.first.len() < Self::TOLD {
            self.first.push((error, skipped));
        }
    }

    const fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (error, skipped)) in self.first.iter().enumerate() {
            let separator = if number > 0 { "; " } else { "" };
            write!(f, "{separator}{error}")?;
            if let Some(octets) = skipped {
                write!(f, " (went on {octets} octets later)")?;
            }
        }
        match self.count - self.first.len() as u64 {
            0 => Ok(()),
            more => write!(f, "; and {more} places more"),
        }
    }
}
