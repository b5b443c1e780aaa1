//! An exporter's session with one collector: sequence numbers, templates, packing.

use alloc::boxed::Box;
use core::time::Duration;

use bytes::BufMut;

use super::{
    layout::RecordLayout,
    packet::{PacketBuilder, PacketHeader, SAMPLING_FIELDS, SAMPLING_SCOPES},
    scheduler::TemplateScheduler,
};
use crate::{
    error::EncodeError,
    flow::FlowRecord,
    sampling::SamplingInfo,
    time::{ExportClock, SysUptime, Timestamp},
    v5, v9,
};

/// Which version a session speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ExportVersion {
    /// NetFlow v5: IPv4 only.
    V5,
    /// NetFlow v9.
    V9,
}

/// How an [`ExportSession`] is to behave.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SessionConfig {
    /// The version.
    pub version: ExportVersion,
    /// When the exporter booted: uptimes count from here. No flow should start earlier.
    pub boot: Timestamp,
    /// v9: the source ID. v5: engine type and number in the low 16 bits.
    pub source_id: u32,
    /// Octets of a datagram at most: the MTU less the IP and UDP headers. Default 1472.
    pub max_datagram: usize,
    /// v9: templates again behind this many packets with data. Default 20.
    pub template_refresh_packets: Option<u32>,
    /// v9: templates again so often. Default 10 minutes.
    pub template_refresh: Option<Duration>,
    /// How the packets were selected, announced to the collector. `None` says nothing.
    pub sampling: Option<SamplingInfo>,
    /// How long a flow may wait in a datagram that is not full. Default 1 second.
    pub max_delay: Duration,
    /// The number of the first datagram: packets (v9) or flows (v5) sent before it. Default 0.
    pub first_sequence: u32,
}

impl SessionConfig {
    /// The defaults, for an exporter that booted at `boot`.
    #[must_use]
    pub const fn new(version: ExportVersion, boot: Timestamp) -> Self {
        Self {
            version,
            boot,
            source_id: 0,
            max_datagram: 1_472,
            template_refresh_packets: Some(20),
            template_refresh: Some(Duration::from_secs(600)),
            sampling: None,
            max_delay: Duration::from_secs(1),
            first_sequence: 0,
        }
    }
}

/// What an [`ExportSession`] counted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[non_exhaustive]
pub struct SessionStats {
    /// Datagrams written.
    pub datagrams: u64,
    /// Octets of those datagrams.
    pub octets: u64,
    /// Flows taken.
    pub flows: u64,
    /// Data records written: more than flows when v5 split some of them.
    pub records: u64,
    /// Times that the templates were written.
    pub template_rounds: u64,
    /// Flows that the version cannot carry.
    pub refused: u64,
}

/// Turns flows into datagrams for one collector. Sans-IO: the caller owns socket and clock.
///
/// Hand in a flow with [`handle_flow`](Self::handle_flow), or the time with
/// [`handle_timeout`](Self::handle_timeout); after each of them call
/// [`poll_transmit`](Self::poll_transmit) until it says `None`, and send what it wrote. Then wait until
/// [`poll_timeout`](Self::poll_timeout). Each collector needs a session of its own.
///
/// ```
/// use netflow_codec::{ExportSession, ExportVersion, FlowRecord, SessionConfig, Timestamp};
///
/// let boot = Timestamp::from_secs(1_700_000_000);
/// let now = Timestamp::from_secs(1_700_000_060);
/// let mut session = ExportSession::new(SessionConfig::new(ExportVersion::V9, boot))?;
/// let mut datagram = Vec::new();
/// for _ in 0..100 {
///     session.handle_flow(&FlowRecord::default(), now)?;
///     while session.poll_transmit(&mut datagram).is_some() {
///         // socket.send(&datagram)
///         datagram.clear();
///     }
/// }
/// session.flush(now);
/// while session.poll_transmit(&mut datagram).is_some() {
///     datagram.clear();
/// }
/// assert_eq!(session.stats().flows, 100);
/// # Ok::<(), netflow_codec::EncodeError>(())
/// ```
#[derive(Debug)]
pub struct ExportSession {
    config: SessionConfig,
    format: Format,
    sequence: u32,
    /// The datagram is complete as of this time and waits to be written.
    sealed: Option<Timestamp>,
    /// A flow that did not fit, or not yet in all its parts.
    waiting: Option<Waiting>,
    /// When the first record of the datagram at hand came.
    since: Option<Timestamp>,
    stats: SessionStats,
}

#[derive(Debug)]
enum Format {
    V5(v5::PacketBuilder, v5::SamplingHeader),
    V9(Box<V9>),
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    flow: FlowRecord,
    part: u64,
    now: Timestamp,
}

#[derive(Debug)]
struct V9 {
    builder: PacketBuilder,
    scheduler: TemplateScheduler,
    layouts: [RecordLayout; 4],
    /// How far a round of templates has come that did not fit into one datagram.
    round: Option<Round>,
}

/// What of a round of templates has been written.
#[derive(Clone, Copy, Debug, Default)]
struct Round {
    options: bool,
    layouts: usize,
}

/// Template ids of a session.
const SAMPLING_TEMPLATE: u16 = 256;
const FLOW_TEMPLATES: u16 = 260;
/// Octets of an options record that announces sampling.
const SAMPLING_RECORD: usize = 9;
/// MPLS labels of the layouts that have them.
const MPLS_DEPTH: u16 = 10;

impl V9 {
    fn new(config: &SessionConfig) -> Result<Self, EncodeError> {
        let v4 = RecordLayout::ipv4(FLOW_TEMPLATES)?;
        let v6 = RecordLayout::ipv6(FLOW_TEMPLATES + 1)?;
        let v4_mpls = v4.with_mpls(FLOW_TEMPLATES + 2, MPLS_DEPTH)?;
        let v6_mpls = v6.with_mpls(FLOW_TEMPLATES + 3, MPLS_DEPTH)?;
        Ok(Self {
            builder: PacketBuilder::new(config.max_datagram),
            scheduler: TemplateScheduler::new(config.template_refresh_packets, config.template_refresh),
            layouts: [v4, v6, v4_mpls, v6_mpls],
            round: None,
        })
    }

    /// Whether [`Self::announce`] has something to do: mostly not.
    #[inline]
    fn is_due(&self, now: Timestamp) -> bool {
        self.round.is_some() || self.scheduler.is_due(now)
    }

    /// Writes what of the templates and options is due; says whether a round was completed by that.
    #[cold]
    fn announce(&mut self, config: &SessionConfig, now: Timestamp) -> Result<bool, EncodeError> {
        let mut round = match self.round {
            Some(round) => round,
            None if self.scheduler.is_due(now) => Round::default(),
            None => return Ok(false),
        };
        let result = self.write(&mut round, config);
        self.round = result.is_err().then_some(round);
        if result.is_ok() {
            self.scheduler.templates_sent(now);
        }
        result.map(|()| true)
    }

    fn write(&mut self, round: &mut Round, config: &SessionConfig) -> Result<(), EncodeError> {
        if let (false, Some(sampling)) = (round.options, config.sampling) {
            self.builder.push_options_template(SAMPLING_TEMPLATE, &SAMPLING_SCOPES, &SAMPLING_FIELDS)?;
            let mut record = [0; SAMPLING_RECORD];
            let mut rest = record.as_mut_slice();
            rest.put_u32(0); // the scope System has no value
            rest.put_u32(sampling.interval);
            rest.put_u8(sampling.algorithm.number());
            self.builder.push_options_record(SAMPLING_TEMPLATE, &record)?;
        }
        round.options = true;
        for layout in self.layouts.iter().skip(round.layouts) {
            self.builder.push_template(layout)?;
            round.layouts += 1;
        }
        Ok(())
    }

    /// A datagram must at least hold each template, the sampling options with their template, and one record of each
    /// layout.
    fn check(&self, config: &SessionConfig) -> Result<(), EncodeError> {
        let fits = |sets: &[usize]| {
            let octets: usize = sets.iter().map(|octets| (4 + octets).next_multiple_of(4)).sum();
            let (needed, limit) = (v9::HEADER_LEN + octets, config.max_datagram);
            if needed > limit { Err(EncodeError::TooLarge { needed, limit }) } else { Ok(()) }
        };
        if config.sampling.is_some() {
            let specifiers = SAMPLING_SCOPES.len() + SAMPLING_FIELDS.len();
            fits(&[6 + 4 * specifiers, SAMPLING_RECORD])?;
        }
        for layout in &self.layouts {
            fits(&[layout.template_len()])?;
            fits(&[layout.record_len()])?;
        }
        Ok(())
    }
}

/// The layout with the flow's addresses and, if it has any, MPLS labels.
fn layout_of<'a>([v4, v6, v4_mpls, v6_mpls]: &'a [RecordLayout; 4], flow: &FlowRecord) -> &'a RecordLayout {
    match (flow.is_ipv6(), flow.mpls_labels.is_empty()) {
        (false, true) => v4,
        (true, true) => v6,
        (false, false) => v4_mpls,
        (true, false) => v6_mpls,
    }
}

impl ExportSession {
    /// A session that has sent nothing.
    ///
    /// # Errors
    ///
    /// [`EncodeError::SamplingInterval`] for a v5 session with an interval above 16383;
    /// [`EncodeError::TooLarge`] when datagrams are too small for a template or a record.
    pub fn new(config: SessionConfig) -> Result<Self, EncodeError> {
        let format = match config.version {
            ExportVersion::V5 => {
                let room = config.max_datagram.saturating_sub(v5::HEADER_LEN) / v5::RECORD_LEN;
                if room == 0 {
                    let needed = v5::HEADER_LEN + v5::RECORD_LEN;
                    return Err(EncodeError::TooLarge { needed, limit: config.max_datagram });
                }
                let sampling = match config.sampling {
                    Some(sampling) if sampling.interval > 1 => {
                        v5::SamplingHeader::new(sampling.algorithm.number(), sampling.interval)?
                    }
                    _ => v5::SamplingHeader::default(),
                };
                Format::V5(v5::PacketBuilder::new(room, config.boot), sampling)
            }
            ExportVersion::V9 => {
                let v9 = V9::new(&config)?;
                v9.check(&config)?;
                Format::V9(Box::new(v9))
            }
        };
        Ok(Self {
            sequence: config.first_sequence,
            config,
            format,
            sealed: None,
            waiting: None,
            since: None,
            stats: SessionStats::default(),
        })
    }

    /// What was counted so far.
    #[must_use]
    pub const fn stats(&self) -> &SessionStats {
        &self.stats
    }

    /// Takes a flow.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TransmitPending`] while a datagram waits for [`Self::poll_transmit`]: the flow was not taken.
    /// Any other error means that the version cannot carry the flow: it is counted and left out.
    #[inline]
    pub fn handle_flow(&mut self, flow: &FlowRecord, now: Timestamp) -> Result<(), EncodeError> {
        if self.sealed.is_some() || self.waiting.is_some() {
            return Err(EncodeError::TransmitPending);
        }
        match self.push(flow, 0, now) {
            Ok(()) => {}
            Err(EncodeError::PacketFull) => {
                // Continues in `poll_transmit`, behind the datagram that is full.
                self.sealed = Some(now);
            }
            Err(error) => {
                self.stats.refused += 1;
                return Err(error);
            }
        }
        self.stats.flows += 1;
        Ok(())
    }

    /// Pushes a flow from one of its parts on; what does not fit is left waiting.
    #[inline]
    fn push(&mut self, flow: &FlowRecord, first: u64, now: Timestamp) -> Result<(), EncodeError> {
        let result = match &mut self.format {
            Format::V9(v9) => {
                let announced = if v9.is_due(now) { v9.announce(&self.config, now) } else { Ok(false) };
                if let Ok(true) = announced {
                    self.stats.template_rounds += 1;
                }
                if !v9.builder.is_empty() {
                    self.since.get_or_insert(now);
                }
                announced.and_then(|_| {
                    let layout = layout_of(&v9.layouts, flow);
                    v9.builder.push_flow(layout, flow, self.config.boot)
                })
            }
            Format::V5(builder, _) => {
                let parts = v5::PacketBuilder::records_for(flow);
                for part in first..parts {
                    if let Err(error) = builder.push_flow(flow, part) {
                        if error == EncodeError::PacketFull {
                            self.waiting = Some(Waiting { flow: *flow, part, now });
                        }
                        return Err(error);
                    }
                    self.stats.records += 1;
                    self.since.get_or_insert(now);
                }
                return Ok(());
            }
        };
        match result {
            Ok(()) => {
                self.stats.records += 1;
                self.since.get_or_insert(now);
            }
            Err(EncodeError::PacketFull) => self.waiting = Some(Waiting { flow: *flow, part: 0, now }),
            Err(_) => {}
        }
        result
    }

    /// Completes a datagram that has waited for [`SessionConfig::max_delay`], and sends templates that are due by
    /// time.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        if self.sealed.is_some() {
            return;
        }
        if let Format::V9(v9) = &mut self.format {
            let due = v9.round.is_some() || v9.scheduler.next().is_some_and(|next| next <= now);
            if due {
                match v9.announce(&self.config, now) {
                    Ok(true) => self.stats.template_rounds += 1,
                    Ok(false) => {}
                    Err(_) => self.sealed = Some(now),
                }
                self.since.get_or_insert(now);
            }
        }
        if self.since.is_some_and(|since| now.saturating_since(since) >= self.config.max_delay) {
            self.sealed = Some(now);
        }
    }

    /// Completes the datagram at hand, however empty its room is.
    pub const fn flush(&mut self, now: Timestamp) {
        if self.sealed.is_none() && self.since.is_some() {
            self.sealed = Some(now);
        }
    }

    /// When [`Self::handle_timeout`] has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let templates = match &self.format {
            Format::V9(v9) => v9.scheduler.next(),
            Format::V5(..) => None,
        };
        let delay = self.since.map(|since| since.saturating_add(self.config.max_delay));
        [templates, delay].into_iter().flatten().min()
    }

    /// Writes the datagram that is complete and returns its octets; `None` when there is none.
    #[inline]
    pub fn poll_transmit(&mut self, buffer: &mut impl BufMut) -> Option<usize> {
        let now = self.sealed.take()?;
        Some(self.transmit(now, buffer))
    }

    fn transmit(&mut self, now: Timestamp, buffer: &mut impl BufMut) -> usize {
        self.since = None;
        let before = buffer.remaining_mut();
        let written = match &mut self.format {
            Format::V5(builder, sampling) => {
                let clock = clock_of(self.config.boot, now);
                let [_, _, engine_type, engine_id] = self.config.source_id.to_be_bytes();
                let mut header = v5::HeaderFields::new(clock, self.sequence);
                header.engine_type = engine_type;
                header.engine_id = engine_id;
                header.sampling = *sampling;
                self.sequence = self.sequence.wrapping_add(builder.count().into());
                builder.finish(&header, buffer)
            }
            Format::V9(v9) => {
                let clock = whole_second_clock_of(self.config.boot, now);
                if v9.builder.data_records() > 0 {
                    v9.scheduler.data_sent();
                }
                let header = PacketHeader::new(clock, self.sequence, self.config.source_id);
                self.sequence = self.sequence.wrapping_add(1);
                v9.builder.finish(&header, buffer)
            }
        };
        debug_assert!(before >= written, "a buffer that is too small panics in `bytes`");
        self.stats.datagrams += 1;
        self.stats.octets += written as u64;
        self.resume();
        written
    }

    /// Goes on with the flow that did not fit.
    fn resume(&mut self) {
        let Some(waiting) = self.waiting.take() else { return };
        match self.push(&waiting.flow, waiting.part, waiting.now) {
            Ok(()) => {}
            Err(EncodeError::PacketFull) => self.sealed = Some(waiting.now),
            Err(_) => {
                self.stats.refused += 1;
                self.stats.flows -= 1;
            }
        }
    }
}

/// Both clocks at one moment.
const fn clock_of(boot: Timestamp, now: Timestamp) -> ExportClock {
    let unix = Timestamp::from_millis(now.as_millis());
    ExportClock::new(unix, ExportClock::new(boot, SysUptime::from_millis(0)).to_uptime(unix))
}

/// Both clocks at the next whole second: the v9 header has no finer one, and with an uptime of the same moment
/// flow times survive to the millisecond, and none lies behind the header.
const fn whole_second_clock_of(boot: Timestamp, now: Timestamp) -> ExportClock {
    clock_of(boot, Timestamp::from_secs(now.as_nanos().div_ceil(1_000_000_000)))
}
