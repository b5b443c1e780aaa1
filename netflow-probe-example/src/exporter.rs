//! The exporter's pipeline: capture files in, datagrams out.

use core::{fmt, time::Duration};
use std::path::Path;

use netflow_codec::{ExportVersion, SessionConfig, Timestamp};

use crate::{
    meter::{Meter, MeterAccount, MeterConfig},
    pcap::{CaptureError, CaptureFile, Frame},
    send::{Destination, DestinationAccount, Pacer, SendError, Target, max_datagram},
};

/// How to export.
#[derive(Clone, Debug)]
pub struct ExporterConfig {
    /// How to meter.
    pub meter: MeterConfig,
    /// Where to.
    pub targets: Vec<Target>,
    /// The version.
    pub version: ExportVersion,
    /// v9: the source ID; v5: the engine in its low 16 bits.
    pub source_id: u32,
    /// The link's largest packet.
    pub mtu: u16,
    /// v9: templates again behind this many datagrams with flows.
    pub template_refresh_packets: u32,
    /// v9: templates again so often, by the clock of the packets.
    pub template_refresh: Duration,
    /// Datagrams a second at most, over all collectors; 0 for no limit.
    pub rate_limit: u32,
}

/// Meters and exports.
#[derive(Debug)]
pub struct Exporter {
    config: ExporterConfig,
    meter: Meter,
    destinations: Vec<Destination>,
    pacer: Pacer,
    /// The newest packet's time: the exporter's clock.
    now: Timestamp,
    /// When the next destination has something to do.
    due: Option<Timestamp>,
}

/// How long before the first packet the exporter claims to have booted: uptimes stay positive when the packets
/// of several files, or interfaces, are a little out of order.
const UPTIME_AT_START: Duration = Duration::from_secs(60);

impl Exporter {
    /// An exporter that has read nothing. Destinations are opened with the first packet, whose time the uptime
    /// counts from; what is wrong with them is told here all the same.
    ///
    /// # Errors
    ///
    /// When a session cannot be configured like this.
    pub fn new(config: ExporterConfig) -> Result<Self, SendError> {
        let exporter = Self {
            meter: Meter::new(&config.meter),
            destinations: Vec::new(),
            pacer: Pacer::new(config.rate_limit),
            now: Timestamp::ZERO,
            due: None,
            config,
        };
        for target in &exporter.config.targets {
            netflow_codec::ExportSession::new(exporter.session_config(target, Timestamp::ZERO))
                .map_err(SendError::Session)?;
        }
        Ok(exporter)
    }

    /// Meters a frame and exports the flows that end by it.
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
        // A frame that comes late does not turn back the clock of the export.
        self.now = self.now.max(time);
        self.meter.handle_frame(frame);
        self.export()?;
        if self.due.is_some_and(|due| due <= self.now) {
            for destination in &mut self.destinations {
                destination.handle_timeout(self.now, &mut self.pacer)?;
            }
            self.due = self.next_due();
        }
        Ok(())
    }

    /// Meters and exports a capture file; `progress` is told how many octets of it have been read.
    ///
    /// # Errors
    ///
    /// When the file cannot be read to its end (what was read before is metered), or a destination fails.
    pub fn read_file(&mut self, path: &Path, mut progress: impl FnMut(u64)) -> Result<(), ExportError> {
        let capture = |source| ExportError::Capture { path: path.display().to_string(), source };
        let mut file = CaptureFile::open(path).map_err(capture)?;
        let mut frames = 0u32;
        loop {
            match file.next_frame() {
                Ok(Some(frame)) => self.handle_frame(&frame)?,
                Ok(None) => return Ok(()),
                Err(source) => return Err(capture(source)),
            }
            frames = frames.wrapping_add(1);
            if frames.is_multiple_of(4_096) {
                progress(file.octets_read());
            }
        }
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
        self.meter.flush();
        // A poll does bounded work: it may give nothing although there is more.
        while !self.meter.is_empty() {
            self.export()?;
        }
        for destination in &mut self.destinations {
            destination.finish(self.now, &mut self.pacer)?;
        }
        Ok(())
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
            if self.due.is_none() {
                self.due = self.next_due();
            }
        }
        Ok(())
    }

    fn next_due(&self) -> Option<Timestamp> {
        self.destinations.iter().filter_map(Destination::poll_timeout).min()
    }

    fn open(&mut self, first: Timestamp) -> Result<(), SendError> {
        let boot = Timestamp::from_secs(first.as_secs().saturating_sub(UPTIME_AT_START.as_secs()));
        for target in &self.config.targets {
            let config = self.session_config(target, boot);
            self.destinations.push(Destination::open(target.clone(), config)?);
        }
        Ok(())
    }

    fn session_config(&self, target: &Target, boot: Timestamp) -> SessionConfig {
        let config = &self.config;
        let mut session = SessionConfig::new(config.version, boot);
        session.source_id = config.source_id;
        session.max_datagram = max_datagram(config.mtu, target.is_ipv6());
        session.template_refresh_packets = Some(config.template_refresh_packets);
        session.template_refresh = Some(config.template_refresh);
        session.sampling = self.meter.sampling();
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
