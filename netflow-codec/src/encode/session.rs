//! An exporter's session with one collector: sequence numbers, templates, packing.

use alloc::{boxed::Box, vec::Vec};

use bytes::BufMut;

use super::{
    announce::Announcement,
    config::{ExportTransport, ExportVersion, SessionConfig, SessionStats},
    layout::RecordLayout,
    options::OptionsData,
    packet::PacketHeader,
    source::FieldSource,
    template::ExportTemplate,
    templated::Templated,
};
use crate::{
    error::EncodeError,
    flow::FlowRecord,
    time::{ExportClock, SysUptime, Timestamp},
    v5,
};

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
    /// What did not fit, or not yet in all its parts.
    waiting: Option<Waiting>,
    /// The record of a user's template that waits.
    record: Vec<u8>,
    /// When the first record of the datagram at hand came.
    since: Option<Timestamp>,
    stats: SessionStats,
}

#[derive(Debug)]
enum Format {
    V5(v5::PacketBuilder, v5::SamplingHeader),
    Templated(Box<Templated>),
}

#[derive(Clone, Copy, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one in a session, which does not allocate for it")]
enum Waiting {
    Flow { flow: FlowRecord, part: u64, now: Timestamp },
    Record { template_id: u16, now: Timestamp },
}

/// TCP flags that one octet has a place for.
const LOW_TCP_FLAGS: u16 = 0xff;

impl ExportSession {
    /// A session that has sent nothing.
    ///
    /// # Errors
    ///
    /// [`EncodeError::SamplingInterval`] for a v5 session with an interval above 16383;
    /// [`EncodeError::TooLarge`] when datagrams are too small for a template or a record;
    /// [`EncodeError::NotInV9`] for sampling that v9 cannot express; [`EncodeError::TemplateInUse`] and
    /// [`EncodeError::UnknownTemplate`] for options and templates of an id that is taken, or of another protocol;
    /// [`EncodeError::TemplateId`] for a first id below 256, or that has no seven behind it.
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
            ExportVersion::V9 | ExportVersion::Ipfix => Format::Templated(Box::new(Templated::new(&config)?)),
        };
        Ok(Self {
            sequence: config.first_sequence,
            config,
            format,
            sealed: None,
            waiting: None,
            record: Vec::new(),
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
        self.check_polled()?;
        let result = self.push(flow, 0, now);
        self.settle(result, now)
    }

    /// Takes a record of a template that [`Self::add_template`] was told of.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TransmitPending`] while a datagram waits for [`Self::poll_transmit`]: the record was not taken.
    /// [`EncodeError::UnknownTemplate`]. Any other error means that the template cannot carry the record, as
    /// [`ExportTemplate::encode`] says, or no datagram has room for it: it is counted and left out.
    pub fn handle_record(
        &mut self,
        template_id: u16,
        record: &(impl FieldSource + ?Sized),
        now: Timestamp,
    ) -> Result<(), EncodeError> {
        self.check_polled()?;
        let Format::Templated(templated) = &self.format else {
            return Err(EncodeError::UnknownTemplate(template_id));
        };
        self.record.clear();
        let encoded = templated.template(template_id)?.encode(record, &mut self.record);
        let result = encoded.and_then(|()| self.push_record(template_id, now));
        self.settle(result, now)
    }

    /// Adds a template of the user's: v9 and IPFIX. It is announced before its first record, and with every round of
    /// templates. The session itself uses [`SessionConfig::first_template`] and the seven ids behind it.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TransmitPending`] while a datagram waits; [`EncodeError::TemplateInUse`];
    /// [`EncodeError::UnknownTemplate`] for a template of another protocol than the session's;
    /// [`EncodeError::TooLarge`] when no datagram has room for it.
    pub fn add_template(&mut self, template: ExportTemplate, now: Timestamp) -> Result<(), EncodeError> {
        if template.is_options() {
            return self.set_options(OptionsData::new(template)?, now);
        }
        self.add(Announcement::Template(template), now)
    }

    /// Adds options, or replaces those of the same template: announced now, and with every round of templates.
    ///
    /// # Errors
    ///
    /// As [`Self::add_template`]; [`EncodeError::TemplateInUse`] also for other options of the same id: a template keeps
    /// its meaning (RFC 3954 section 7).
    pub fn set_options(&mut self, options: OptionsData, now: Timestamp) -> Result<(), EncodeError> {
        self.add(Announcement::Options(options), now)
    }

    /// Announces all templates and options now, whatever was announced before: for a collector that may not know them,
    /// because it was restarted. The next round is due as if this one had been. v5 has nothing to announce.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TransmitPending`] while a datagram waits.
    pub fn announce_again(&mut self, now: Timestamp) -> Result<(), EncodeError> {
        self.check_polled()?;
        if let Format::Templated(templated) = &mut self.format {
            templated.scheduler.expire();
            self.announce(now);
        }
        Ok(())
    }

    /// The layouts of flow records; none in v5, which has only one, and where [`SessionConfig::templates`] stand for them.
    #[must_use]
    pub fn layouts(&self) -> &[RecordLayout] {
        match &self.format {
            Format::V5(..) => &[],
            Format::Templated(templated) => templated.layouts(),
        }
    }

    /// IPFIX over streams: withdraws a template or options that the user added; its id is free again (RFC 7011 section
    /// 8.1).
    ///
    /// # Errors
    ///
    /// [`EncodeError::TransmitPending`] while a datagram waits; [`EncodeError::Withdrawal`] over UDP and in v5 and v9;
    /// [`EncodeError::UnknownTemplate`].
    pub fn withdraw_template(&mut self, template_id: u16, now: Timestamp) -> Result<(), EncodeError> {
        self.check_polled()?;
        let stream = self.config.transport == ExportTransport::Stream;
        match &mut self.format {
            Format::Templated(templated) if stream && self.config.version == ExportVersion::Ipfix => {
                templated.withdraw(template_id)?;
            }
            _ => return Err(EncodeError::Withdrawal),
        }
        self.announce(now);
        Ok(())
    }

    fn add(&mut self, announcement: Announcement, now: Timestamp) -> Result<(), EncodeError> {
        self.check_polled()?;
        let Format::Templated(templated) = &mut self.format else {
            return Err(EncodeError::UnknownTemplate(announcement.template_id(&[])));
        };
        templated.add(announcement)?;
        self.announce(now);
        Ok(())
    }

    /// Whether the datagrams that are complete were fetched.
    #[inline]
    const fn check_polled(&self) -> Result<(), EncodeError> {
        if self.sealed.is_some() || self.waiting.is_some() {
            Err(EncodeError::TransmitPending)
        } else {
            Ok(())
        }
    }

    /// What becomes of a flow or record that was pushed.
    #[inline]
    fn settle(&mut self, result: Result<(), EncodeError>, now: Timestamp) -> Result<(), EncodeError> {
        match result {
            Ok(()) => {}
            Err(EncodeError::PacketFull) => {
                // Continues in `poll_transmit`, behind the datagram that is full.
                self.sealed = Some(now);
            }
            Err(error) => {
                self.stats.refused += 1;
                self.stats.refused_ipv6 += u64::from(error == EncodeError::NotIpv4);
                return Err(error);
            }
        }
        self.stats.flows += 1;
        Ok(())
    }

    /// Pushes a flow from one of its parts on; what does not fit is left waiting.
    #[inline]
    fn push(&mut self, flow: &FlowRecord, first: u64, now: Timestamp) -> Result<(), EncodeError> {
        let Format::Templated(templated) = &mut self.format else {
            return self.push_to_v5(flow, first, now);
        };
        templated.check_flow(flow)?;
        let announced = templated.announce(&self.config, &self.stats, now);
        if let Ok(true) = announced {
            self.stats.template_rounds += 1;
        }
        if !templated.builder.is_empty() {
            self.since.get_or_insert(now);
        }
        let result = announced.and_then(|_| templated.push_flow(flow, self.config.boot));
        match result {
            Ok(()) => {
                self.stats.records += 1;
                self.stats.narrowed_tcp_flags += u64::from(flow.tcp_flags > LOW_TCP_FLAGS);
                self.since.get_or_insert(now);
            }
            Err(EncodeError::PacketFull) => self.waiting = Some(Waiting::Flow { flow: *flow, part: 0, now }),
            Err(_) => {}
        }
        result
    }

    fn push_to_v5(&mut self, flow: &FlowRecord, first: u64, now: Timestamp) -> Result<(), EncodeError> {
        let Format::V5(builder, _) = &mut self.format else { return Ok(()) };
        let parts = v5::PacketBuilder::records_for(flow);
        for part in first..parts {
            if let Err(error) = builder.push_flow(flow, part) {
                if error == EncodeError::PacketFull {
                    self.waiting = Some(Waiting::Flow { flow: *flow, part, now });
                }
                return Err(error);
            }
            self.stats.records += 1;
            self.since.get_or_insert(now);
        }
        let stats = &mut self.stats;
        let exceeds = |a: u32, b: u32| u64::from(a.max(b) > u16::MAX.into());
        stats.split += u64::from(parts > 1);
        stats.narrowed_as += exceeds(flow.source_as, flow.destination_as);
        stats.narrowed_interfaces += exceeds(flow.ingress_interface, flow.egress_interface);
        stats.narrowed_tcp_flags += u64::from(flow.tcp_flags > LOW_TCP_FLAGS);
        Ok(())
    }

    /// Pushes the record at hand; when it does not fit it is left waiting.
    fn push_record(&mut self, template_id: u16, now: Timestamp) -> Result<(), EncodeError> {
        let Format::Templated(templated) = &mut self.format else {
            return Err(EncodeError::UnknownTemplate(template_id));
        };
        let announced = templated.announce(&self.config, &self.stats, now);
        if let Ok(true) = announced {
            self.stats.template_rounds += 1;
        }
        if !templated.builder.is_empty() {
            self.since.get_or_insert(now);
        }
        let result = announced.and_then(|_| templated.push_encoded(template_id, &self.record));
        match result {
            Ok(()) => {
                self.stats.records += 1;
                self.since.get_or_insert(now);
            }
            Err(EncodeError::PacketFull) => self.waiting = Some(Waiting::Record { template_id, now }),
            Err(_) => {}
        }
        result
    }

    /// Writes announcements that are due, without waiting for a flow.
    fn announce(&mut self, now: Timestamp) {
        let Format::Templated(templated) = &mut self.format else { return };
        match templated.announce(&self.config, &self.stats, now) {
            Ok(whole) => self.stats.template_rounds += u64::from(whole),
            Err(_) => self.sealed = Some(now),
        }
        if !templated.builder.is_empty() {
            self.since.get_or_insert(now);
        }
    }

    /// Completes a datagram that has waited for [`SessionConfig::max_delay`], and sends templates that are due by
    /// time.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        if self.sealed.is_some() {
            return;
        }
        if let Format::Templated(templated) = &self.format
            && templated.is_due(now)
        {
            self.announce(now);
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
            Format::Templated(templated) => templated.scheduler.next(),
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
            Format::Templated(templated) => {
                let Templated { builder, scheduler, .. } = &mut **templated;
                let clock = whole_second_clock_of(self.config.boot, now);
                let (data, options) = (builder.data_records(), builder.options_records());
                if data > 0 {
                    scheduler.data_sent();
                }
                self.stats.options_records += u64::from(options);
                let header = PacketHeader::new(clock, self.sequence, self.config.source_id);
                // v9 numbers packets, IPFIX data records, those of options included (RFC 7011 section 3.1).
                let step = match self.config.version {
                    ExportVersion::Ipfix => u32::from(data) + u32::from(options),
                    ExportVersion::V5 | ExportVersion::V9 => 1,
                };
                self.sequence = self.sequence.wrapping_add(step);
                builder.finish(&header, buffer)
            }
        };
        debug_assert!(before >= written, "a buffer that is too small panics in `bytes`");
        self.stats.datagrams += 1;
        self.stats.octets += written as u64;
        self.resume(now);
        written
    }

    /// Goes on with what did not fit.
    fn resume(&mut self, now: Timestamp) {
        let (result, now) = match self.waiting.take() {
            Some(Waiting::Flow { flow, part, now }) => (self.push(&flow, part, now), now),
            Some(Waiting::Record { template_id, now }) => (self.push_record(template_id, now), now),
            None => {
                if let Format::Templated(templated) = &self.format
                    && templated.is_pending()
                {
                    self.announce(now);
                }
                return;
            }
        };
        match result {
            Ok(()) => {}
            Err(EncodeError::PacketFull) => self.sealed = Some(now),
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

/// Both clocks at the next whole second: headers of v9 and IPFIX have no finer one, and with an uptime of the same moment
/// flow times survive to the millisecond, and none lies behind the header.
const fn whole_second_clock_of(boot: Timestamp, now: Timestamp) -> ExportClock {
    clock_of(boot, Timestamp::from_secs(now.as_nanos().div_ceil(1_000_000_000)))
}
