//! The exporter's pipeline: capture files in, datagrams out.

use core::{fmt, ops::ControlFlow, time::Duration};
use std::{io::Read, path::Path, thread};

use netflow_codec::{ExportVersion, SessionConfig, Timestamp};
use netflow_flowcache::Timestamp as PacketTime;

use crate::{
    meter::{FlowSource, Meter, MeterAccount, MeterConfig, REORDER, SamplingSpec},
    pcap::{CaptureError, CaptureFile, Frame},
    send::{Destination, DestinationAccount, Pacer, SendError, Target, max_datagram},
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
    /// The link's largest packet.
    pub mtu: u16,
    /// v9, IPFIX: templates again behind this many datagrams with flows.
    pub template_refresh_packets: u32,
    /// v9, IPFIX: templates again so often, by the clock of the packets.
    pub template_refresh: Duration,
    /// Datagrams a second at most, over all collectors; 0 for no limit.
    pub rate_limit: u32,
}

/// Meters and exports.
///
/// `M` is where the flows come from: a [`Meter`] of its own, which is given frames, or others that run elsewhere.
#[derive(Debug)]
pub struct Exporter<M = Meter> {
    config: ExporterConfig,
    meter: M,
    destinations: Vec<Destination>,
    pacer: Pacer,
    /// The newest packet's time: the exporter's clock.
    now: Timestamp,
    /// When the next destination has something to do.
    due: Option<Timestamp>,
    /// When the statistics of the selectors are told the next time; `None` when they are not.
    statistics_due: Option<Timestamp>,
    /// When the exporter claims to have booted.
    boot: Timestamp,
    /// Uptimes are good until then.
    latest: Timestamp,
}

/// The longest active timeout whose flows can be dated: uptimes are 32 bits of milliseconds, 49.7 days, of which
/// readers with signed arithmetic understand half.
pub const MAX_ACTIVE_TIMEOUT: Duration = Duration::from_secs(20 * 86_400);

/// How long before the first packet the exporter claims to have booted: uptimes stay positive when the packets
/// of several files, or interfaces, are a little out of order.
const UPTIME_AT_START: Duration = Duration::from_secs(60);

/// After this time the exporter claims to have booted anew: before signed milliseconds end at 24.8 days.
const MAX_UPTIME: Duration = Duration::from_secs(24 * 86_400);

/// How long to wait for a last host to say that nobody listens there.
const LAST_REFUSAL: Duration = Duration::from_millis(20);

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
        if self.destinations.is_empty() {
            self.open(time)?;
        }
        // What was due before this frame is not sent as late as it.
        if self.due.is_some_and(|due| due <= time) {
            self.handle_timeouts(time)?;
        }
        if time > self.latest || time.saturating_add(REORDER) < self.now {
            self.restart(frame.timestamp)?;
        }
        // A frame that comes late does not turn back the clock of the export.
        self.now = self.now.max(time);
        self.meter.handle_frame(frame);
        self.export()
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

    fn read_capture<R: Read>(
        &mut self,
        file: Result<CaptureFile<R>, CaptureError>,
        name: &str,
        mut watch: impl FnMut(&Self, u64) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, ExportError> {
        let failed = |source| ExportError::Capture { path: name.to_owned(), source };
        let mut file = file.map_err(failed)?;
        let mut frames = 0u32;
        loop {
            match file.next_frame() {
                Ok(Some(frame)) => self.handle_frame(&frame)?,
                Ok(None) => return Ok(ControlFlow::Continue(())),
                Err(source) => return Err(failed(source)),
            }
            frames = frames.wrapping_add(1);
            if frames.is_multiple_of(4_096) && watch(self, file.octets_read()).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
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
        self.begin_sessions(self.boot, self.now)?;
        self.announce_selection(self.now)
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
            destinations: Vec::new(),
            pacer: Pacer::new(config.rate_limit),
            now: Timestamp::ZERO,
            due: None,
            statistics_due: None,
            boot: Timestamp::ZERO,
            latest: Timestamp::ZERO,
            config,
        };
        for target in &exporter.config.targets {
            netflow_codec::ExportSession::new(exporter.session_config(target, Timestamp::ZERO))
                .map_err(SendError::Session)?;
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
        if self.destinations.is_empty() {
            self.open(time)?;
        }
        if self.due.is_some_and(|due| due <= time) {
            self.handle_timeouts(time)?;
        }
        if time > self.latest || time.saturating_add(REORDER) < self.now {
            self.restart(now)?;
        }
        self.now = self.now.max(time);
        self.export()
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
    /// As [`Self::handle_frame`].
    pub fn finish(&mut self) -> Result<(), SendError> {
        if self.destinations.is_empty() {
            // Nothing was read: files are made all the same, empty.
            self.open(self.now)?;
        }
        self.end_flows()?;
        if self.statistics_due.is_some() {
            self.tell_statistics(self.now)?;
        }
        for destination in &mut self.destinations {
            destination.finish(self.now, &mut self.pacer)?;
        }
        let is_collector = |destination: &Destination| matches!(destination.target(), Target::Collector(_));
        if self.destinations.iter().any(is_collector) {
            thread::sleep(LAST_REFUSAL);
            self.destinations.iter_mut().for_each(Destination::note_refusal);
        }
        Ok(())
    }

    /// Where datagrams go; none before the first frame.
    #[must_use]
    pub fn destinations(&self) -> &[Destination] {
        &self.destinations
    }

    /// What was counted so far.
    #[must_use]
    pub fn account(&self) -> ExporterAccount {
        ExporterAccount {
            meter: self.meter.account(),
            destinations: self.destinations.iter().map(Destination::account).collect(),
        }
    }

    fn export(&mut self) -> Result<(), SendError> {
        while let Some(flow) = self.meter.poll_flow() {
            for destination in &mut self.destinations {
                destination.handle_flow(&flow, self.now, &mut self.pacer)?;
            }
            self.due = self.next_due();
        }
        Ok(())
    }

    /// Ends all flows and exports them.
    fn end_flows(&mut self) -> Result<(), SendError> {
        self.meter.flush();
        // A poll does bounded work: it may give nothing although there is more.
        while !self.meter.is_empty() {
            self.export()?;
        }
        Ok(())
    }

    /// Sends what is due by `time`, as of the time when it was due.
    fn handle_timeouts(&mut self, time: Timestamp) -> Result<(), SendError> {
        // What comes later is of another session.
        let time = time.min(self.latest);
        if let Some(due) = self.statistics_due.filter(|due| *due <= time) {
            self.now = self.now.max(due);
            self.tell_statistics(self.now)?;
        }
        // Templates that are due make a datagram, which is sent a delay later. What was due more often while no
        // frame came is sent once.
        for _ in 0..2 {
            for destination in &mut self.destinations {
                if let Some(due) = destination.poll_timeout().filter(|due| *due <= time) {
                    destination.handle_timeout(due, &mut self.pacer)?;
                    self.now = self.now.max(due);
                }
            }
        }
        for destination in &mut self.destinations {
            if destination.poll_timeout().is_some_and(|due| due <= time) {
                destination.handle_timeout(time, &mut self.pacer)?;
                self.now = self.now.max(time);
            }
        }
        self.due = self.next_due();
        Ok(())
    }

    fn next_due(&self) -> Option<Timestamp> {
        self.destinations.iter().filter_map(Destination::poll_timeout).chain(self.statistics_due).min()
    }

    fn open(&mut self, first: Timestamp) -> Result<(), SendError> {
        let boot = self.boot(first, UPTIME_AT_START);
        for target in &self.config.targets {
            let config = self.session_config(target, boot);
            self.destinations.push(Destination::open(target.clone(), config)?);
        }
        self.announce_selection(first)
    }

    /// Tells of the selectors what one rate does not say: IPFIX only.
    fn announce_selection(&mut self, now: Timestamp) -> Result<(), SendError> {
        if self.config.version != ExportVersion::Ipfix {
            return Ok(());
        }
        for options in self.meter.selection_reports().map_err(SendError::Session)? {
            for destination in &mut self.destinations {
                destination.set_options(options.clone(), now, &mut self.pacer)?;
            }
        }
        self.tell_statistics(now)
    }

    /// Tells what the selectors observed and selected, which has to be told periodically (RFC 5476 section 6.5.3).
    fn tell_statistics(&mut self, now: Timestamp) -> Result<(), SendError> {
        let Some(options) = self.meter.selection_statistics() else { return Ok(()) };
        let options = options.map_err(SendError::Session)?;
        for destination in &mut self.destinations {
            destination.set_options(options.clone(), now, &mut self.pacer)?;
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
        while self.meter.has_old(time, set_back) {
            self.export()?;
        }
        let uptime = if set_back {
            UPTIME_AT_START
        } else {
            // Flows that go on began after the new boot.
            UPTIME_AT_START.saturating_add(self.config.meter.timeouts.active.unwrap_or(MAX_ACTIVE_TIMEOUT))
        };
        let boot = self.boot(start, uptime);
        self.begin_sessions(boot, self.now)?;
        self.now = start;
        self.due = None;
        self.announce_selection(start)
    }

    /// Sends what the sessions hold, as of `now`, and goes on with new ones.
    fn begin_sessions(&mut self, boot: Timestamp, now: Timestamp) -> Result<(), SendError> {
        for index in 0..self.destinations.len() {
            let Some(destination) = self.destinations.get(index) else { break };
            let config = self.session_config(destination.target(), boot);
            let Some(destination) = self.destinations.get_mut(index) else { break };
            destination.restart(config, now, &mut self.pacer)?;
        }
        Ok(())
    }

    /// The boot that gives an uptime; sets when the next one must be.
    fn boot(&mut self, now: Timestamp, uptime: Duration) -> Timestamp {
        let boot = Timestamp::from_secs(now.as_secs().saturating_sub(uptime.as_secs()));
        self.latest = boot.saturating_add(MAX_UPTIME);
        self.boot = boot;
        boot
    }

    fn session_config(&self, target: &Target, boot: Timestamp) -> SessionConfig {
        let config = &self.config;
        let mut session = SessionConfig::new(config.version, boot);
        session.source_id = config.source_id;
        session.max_datagram = max_datagram(config.mtu, target.is_ipv6());
        session.template_refresh_packets = Some(config.template_refresh_packets);
        session.template_refresh = Some(config.template_refresh);
        session.sampling = self.meter.sampling_in(config.version);
        if config.version == ExportVersion::Ipfix {
            session.statistics = true;
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
        session
    }
}

/// What an exporter did. Its `Display` is the closing account.
#[derive(Clone, Debug)]
pub struct ExporterAccount {
    /// What was metered.
    pub meter: MeterAccount,
    /// What each destination got.
    pub destinations: Vec<DestinationAccount>,
}

impl fmt::Display for ExporterAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.meter)?;
        self.destinations.iter().try_for_each(|destination| write!(f, "{destination}"))
    }
}

/// An export went wrong.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A capture file could not be read to its end.
    #[error("{path}: {source}")]
    Capture {
        /// The file.
        path: String,
        /// What is wrong with it.
        source: CaptureError,
    },
    /// A destination failed.
    #[error(transparent)]
    Send(#[from] SendError),
}
