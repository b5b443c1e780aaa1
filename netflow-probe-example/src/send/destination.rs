//! One destination: its session, and what its datagrams are handed to.

mod state;

use core::{mem, time::Duration};
use std::time::Instant;

use netflow_codec::{
    EncodeError, ExportSession, ExportTemplate, ExportTransport, ExportVersion, FlowTimes, OptionsData,
    PacketBuilder, PacketHeader, SessionConfig, SessionStats, Timestamp, Withdrawal,
};

use super::{
    CollectorAddress, Content, RecordContent, SendConfig, SendError, Target, Transport,
    announce::Told,
    biflow::{self, Conversation, Paired, Pairing},
    default_port,
    link::Link,
    mtu::{MAX_MESSAGE, max_datagram_to},
    output::FileOutput,
    records::Source,
};
use crate::meter::MeteredFlow;

/// How often a collector that is down gets the templates, so that one that comes back can read what follows.
const PROBE: Duration = Duration::from_secs(1);

/// Rounds of templates that go at once when flows are not what they were, or their times: one may be lost.
const COPIES: u8 = 3;
/// How long after them the next round comes; after each round twice as long as before it, until there are enough.
const FIRST_REPEAT: Duration = Duration::from_secs(1);
const LAST_REPEAT: Duration = Duration::from_secs(8);

/// The next round of templates behind a change.
#[derive(Clone, Copy, Debug)]
struct Repeat {
    due: Timestamp,
    pause: Duration,
}

/// A session and where its datagrams go.
#[derive(Debug)]
pub struct Destination {
    target: Target,
    config: SessionConfig,
    records: RecordContent,
    /// What the sessions before this one counted.
    before: SessionStats,
    session: ExportSession,
    /// What was announced besides what sessions announce themselves.
    options: Vec<OptionsData>,
    sink: Sink,
    datagram: Vec<u8>,
    /// What the datagram at hand carries.
    content: Content,
    next_probe: Option<Instant>,
    next_try: Option<Instant>,
    repeat: Option<Repeat>,
    /// Puts both directions into one record, if that is wanted.
    pairing: Option<Pairing>,
    /// v5: flows with a part of their key left out.
    cut_short: u64,
    told: Told,
}

#[derive(Debug)]
enum Sink {
    File { file: FileOutput, written: u64 },
    Collector(Link),
}

impl Destination {
    /// A destination that nothing was sent to. A collector's socket is opened by a thread of its own; that it cannot be is
    /// counted, and tried again.
    ///
    /// # Errors
    ///
    /// When the file cannot be created, the session's configuration is not possible, or the transport is not one of the
    /// version.
    pub fn open(
        target: Target,
        config: SessionConfig,
        records: RecordContent,
        send: &SendConfig,
    ) -> Result<Self, SendError> {
        let failed = |source| SendError::Output { target: target.to_string(), source };
        let mut config = config;
        let sink = match &target {
            Target::File(path) => {
                config.max_datagram =
                    max_datagram_to(send.mtu.or(Some(SendConfig::MAX_PATH_MTU)), None, false);
                check(&config)?;
                let file = FileOutput::create(path, default_port(config.version)).map_err(failed)?;
                Sink::File { file, written: 0 }
            }
            Target::Collector(collector) => {
                prepare(&mut config, collector, send)?;
                check(&config)?;
                let link = Link::open(collector.clone().or_port(default_port(config.version)), &config, send)
                    .map_err(failed)?;
                config.max_datagram = link.queue.max_datagram();
                Sink::Collector(link)
            }
        };
        let pairs = send.biflows && config.version == ExportVersion::Ipfix;
        Ok(Self {
            session: ExportSession::new(config.clone()).map_err(SendError::Session)?,
            target,
            config,
            records,
            before: SessionStats::default(),
            options: Vec::new(),
            sink,
            datagram: Vec::with_capacity(2_048),
            content: Content::default(),
            next_probe: None,
            next_try: None,
            repeat: None,
            pairing: pairs.then(Pairing::default),
            cut_short: 0,
            told: Told::default(),
        })
    }

    /// Exports a flow.
    ///
    /// # Errors
    ///
    /// When a file cannot be written. Flows that the version cannot carry, and datagrams that the network refuses,
    /// are counted instead.
    #[inline]
    pub fn handle_flow(&mut self, flow: &MeteredFlow, now: Timestamp) -> Result<(), SendError> {
        if self.has_changed() {
            self.follow(now)?;
        }
        match &mut self.pairing {
            None => self.export(flow, now),
            Some(pairing) => match pairing.take(flow, now) {
                Paired::Waits => Ok(()),
                Paired::One(flow) => self.export(&flow, now),
                Paired::Both(both) => self.export_both(&both, now),
            },
        }
    }

    #[inline]
    fn export(&mut self, flow: &MeteredFlow, now: Timestamp) -> Result<(), SendError> {
        // A flow that is refused is counted by the session.
        let taken = self.encode(flow, now).is_ok();
        let content = Content { flows: 1, packets: flow.record.packets, octets: flow.record.octets };
        self.transmit_before(if taken { content } else { Content::default() }, now)
    }

    fn export_both(&mut self, both: &Conversation, now: Timestamp) -> Result<(), SendError> {
        if self.pairing.as_ref().is_some_and(|pairing| !pairing.is_announced) {
            for template in biflow::templates(&self.session, &self.config).map_err(SendError::Session)? {
                self.session.add_template(template, now).map_err(SendError::Session)?;
                self.transmit_before(Content::default(), now)?;
            }
            self.pairing.iter_mut().for_each(|pairing| pairing.is_announced = true);
        }
        let Conversation { forward, reverse } = both;
        let source = both.source(self.selector());
        let taken =
            self.session.handle_record(both.template_id(self.config.first_template), &source, now).is_ok();
        let content = Content {
            flows: 2,
            packets: forward.record.packets.saturating_add(reverse.record.packets),
            octets: forward.record.octets.saturating_add(reverse.record.octets),
        };
        self.transmit_before(if taken { content } else { Content::default() }, now)
    }

    /// Hands on datagrams that are complete: they are so without the `content` that has come last.
    #[inline]
    fn transmit_before(&mut self, content: Content, now: Timestamp) -> Result<(), SendError> {
        let before = mem::replace(&mut self.content, content);
        if !self.transmit(before, now, false)? {
            self.content += before;
        }
        Ok(())
    }

    /// Exports the flow that waits for its reverse.
    fn release(&mut self, now: Timestamp) -> Result<(), SendError> {
        let waiting = self.pairing.as_mut().and_then(Pairing::release);
        waiting.map_or(Ok(()), |flow| self.export(&flow, now))
    }

    #[inline]
    fn encode(&mut self, flow: &MeteredFlow, now: Timestamp) -> Result<(), EncodeError> {
        if self.config.templates.is_empty() {
            let taken = self.session.handle_flow(&flow.record, now);
            if self.config.version == ExportVersion::V5 {
                self.cut_short += u64::from(taken.is_ok() && self.records.is_cut_short_in_v5(flow));
            }
            return taken;
        }
        // In the order of `RecordContent::templates`.
        let has_labels = !flow.record.mpls_labels.is_empty() && self.config.templates.len() > 2;
        let place = 2 * usize::from(has_labels) + usize::from(flow.record.is_ipv6());
        let id = self.config.templates.get(place).map_or(0, ExportTemplate::id);
        let source = Source { flow, selector: self.selector() };
        self.session.handle_record(id, &source, now)
    }

    /// The selector of flows that name none.
    fn selector(&self) -> u32 {
        self.config.selector_id.unwrap_or(1)
    }

    /// Sends what has waited long enough, and templates that are due: by time, or because a collector may have come back.
    ///
    /// # Errors
    ///
    /// As [`Self::handle_flow`].
    pub fn handle_timeout(&mut self, now: Timestamp) -> Result<(), SendError> {
        if self.has_changed() {
            self.follow(now)?;
        }
        if self.pairing.as_ref().and_then(Pairing::due).is_some_and(|due| due <= now) {
            self.release(now)?;
        }
        if let Some(repeat) = self.repeat.filter(|repeat| repeat.due <= now) {
            self.announce(now)?;
            let pause = repeat.pause * 2;
            let next = Repeat { due: now.saturating_add(pause), pause };
            self.repeat = Some(next).filter(|next| next.pause <= LAST_REPEAT);
        }
        self.session.handle_timeout(now);
        let content = mem::take(&mut self.content);
        if !self.transmit(content, now, false)? {
            self.content = content;
        }
        Ok(())
    }

    /// Announces options, now and with every round of templates.
    ///
    /// # Errors
    ///
    /// When the session has no room for them; as [`Self::handle_flow`].
    pub fn set_options(&mut self, options: OptionsData, now: Timestamp) -> Result<(), SendError> {
        if self.config.version == ExportVersion::V5 {
            return Ok(());
        }
        let id = options.template().id();
        let known = self.options.iter_mut().find(|known| known.template().id() == id);
        let is_new = known.is_none();
        match known {
            Some(known) => *known = options.clone(),
            None => self.options.push(options.clone()),
        }
        self.session.set_options(options, now).map_err(SendError::Session)?;
        // A stream gets the template only once: its message must not be left out for lack of room.
        let keep = is_new && self.config.transport == ExportTransport::Stream;
        if keep {
            self.session.flush(now);
        }
        let content = mem::take(&mut self.content);
        if !self.transmit(content, now, keep)? {
            self.content = content;
        }
        Ok(())
    }

    /// Streams: says again what was exported so far, which datagrams say with every round of templates.
    ///
    /// # Errors
    ///
    /// As [`Self::set_options`].
    pub fn tell_statistics(&mut self, now: Timestamp) -> Result<(), SendError> {
        /// Sessions have the template of their statistics so far behind their first one.
        const STATISTICS_TEMPLATE: u16 = 2;
        if self.config.transport != ExportTransport::Stream || !self.config.statistics {
            return Ok(());
        }
        let stats = self.total();
        let mut options = OptionsData::statistics(
            netflow_codec::Protocol::Ipfix,
            self.config.first_template + STATISTICS_TEMPLATE,
        )
        .map_err(SendError::Session)?;
        options
            .replace_statistics(self.config.source_id, stats.datagrams, stats.records, stats.octets)
            .map_err(SendError::Session)?;
        self.session.set_options(options, now).map_err(SendError::Session)?;
        let content = mem::take(&mut self.content);
        if !self.transmit(content, now, false)? {
            self.content = content;
        }
        Ok(())
    }

    /// Sends all templates and options now.
    ///
    /// # Errors
    ///
    /// As [`Self::handle_flow`].
    pub fn announce(&mut self, now: Timestamp) -> Result<(), SendError> {
        self.flush(now)?;
        // What it cannot announce it has refused before.
        let _announced = self.session.announce_again(now);
        self.transmit(Content::default(), now, true)?;
        self.flush(now)
    }

    /// Sends all templates and options several times, and again sooner than they are due: what the exporter does, or its
    /// clock, is not what it was (RFC 3954 section 7). Streams lose nothing, and get nothing twice.
    ///
    /// # Errors
    ///
    /// As [`Self::handle_flow`].
    pub fn announce_change(&mut self, now: Timestamp) -> Result<(), SendError> {
        if self.config.version == ExportVersion::V5 || self.config.transport == ExportTransport::Stream {
            return Ok(());
        }
        for _ in 0..COPIES {
            self.announce(now)?;
        }
        self.repeat = Some(Repeat { due: now.saturating_add(FIRST_REPEAT), pause: FIRST_REPEAT });
        Ok(())
    }

    /// Sends what is left at `now`, by the old session's clock, and goes on with a session that booted at another time. Its
    /// numbers continue those of the old one, and options have to be set again. `same_records` says that records look as
    /// before: then a stream, whose records have no uptimes, goes on with what it has announced.
    ///
    /// # Errors
    ///
    /// As [`Self::handle_flow`].
    pub fn restart(
        &mut self,
        mut config: SessionConfig,
        same_records: bool,
        now: Timestamp,
    ) -> Result<(), SendError> {
        self.flush(now)?;
        config.max_datagram = self.config.max_datagram;
        config.transport = self.config.transport;
        if config.transport == ExportTransport::Stream {
            if same_records && config.times == FlowTimes::Milliseconds {
                return Ok(());
            }
            self.withdraw(now);
        }
        let sequence = self.next_sequence();
        self.options.clear();
        self.config = config;
        self.begin(sequence)
    }

    /// Says what records have from now on.
    pub const fn set_content(&mut self, content: RecordContent) {
        self.records = content;
    }

    /// Hands on what is left.
    ///
    /// # Errors
    ///
    /// As [`Self::handle_flow`].
    pub fn finish(&mut self, now: Timestamp) -> Result<(), SendError> {
        if self.has_changed() {
            self.follow(now)?;
        }
        self.flush(now)?;
        match &mut self.sink {
            Sink::File { file, .. } => {
                file.flush().map_err(|source| SendError::Output { target: self.target.to_string(), source })
            }
            Sink::Collector(_) => Ok(()),
        }
    }

    /// Sends what is left, until `deadline` and by the thread alone: nothing comes behind it.
    ///
    /// # Errors
    ///
    /// As [`Self::handle_flow`].
    pub(super) fn retire(&mut self, now: Timestamp, deadline: Instant) -> Result<(), SendError> {
        self.finish(now)?;
        if let Sink::Collector(link) = &self.sink {
            link.queue.begin_close(deadline);
        }
        Ok(())
    }

    /// Whether all of it has been sent, or given up.
    pub(super) fn is_done(&self) -> bool {
        matches!(&self.sink, Sink::Collector(link) if link.queue.is_done())
    }

    /// Waits until a collector has got what was sent, or it is `deadline`.
    pub fn close(&mut self, deadline: Instant) {
        if let Sink::Collector(link) = &self.sink {
            link.queue.close(deadline);
        }
    }

    /// Whether the transport is not what the session is made for.
    #[inline]
    fn has_changed(&self) -> bool {
        match &self.sink {
            Sink::File { .. } => false,
            Sink::Collector(link) => {
                link.transport_session != link.queue.session()
                    || (link.queue.is_down() && link.transport == Transport::Udp)
                    || link.queue.max_datagram() != self.config.max_datagram
            }
        }
    }

    /// Looks after a transport that no flow goes to.
    ///
    /// # Errors
    ///
    /// As [`Self::handle_flow`].
    pub fn look_after(&mut self, now: Timestamp) -> Result<(), SendError> {
        if self.has_changed() { self.follow(now) } else { Ok(()) }
    }

    /// Whether a collector that is down may be tried with flows, which is so now and then. For v5, which has no templates
    /// to try it with.
    pub(super) fn may_try(&mut self) -> bool {
        let clock = Instant::now();
        let due = self.next_try.is_none_or(|next| clock >= next);
        if due {
            self.next_try = Some(clock + PROBE);
        }
        due
    }

    /// Goes on with a session that is made for the transport as it is now.
    #[cold]
    fn follow(&mut self, now: Timestamp) -> Result<(), SendError> {
        let Sink::Collector(link) = &mut self.sink else { return Ok(()) };
        let max_datagram = link.queue.max_datagram();
        if link.transport_session != link.queue.session() {
            link.transport_session = link.queue.session();
            self.config.max_datagram = max_datagram;
            // Flows in a datagram that is not full are in a new one's place.
            let content = mem::take(&mut self.content);
            link.queue.count(|stats| stats.not_sent += content);
            self.config.options.clone_from(&self.options);
            // A transport session counts from 0 (RFC 7011 section 3.1).
            self.begin(0)?;
            return self.announce(now);
        }
        if max_datagram != self.config.max_datagram {
            let mut config = self.config.clone();
            config.max_datagram = max_datagram;
            // What is too large for the way goes in fragments.
            if ExportSession::new(config).is_ok() {
                self.flush(now)?;
                self.config.max_datagram = max_datagram;
                self.config.options.clone_from(&self.options);
                return self.begin(self.next_sequence());
            }
        }
        self.probe(now)
    }

    /// Sends the templates now and then to a collector that is down.
    fn probe(&mut self, now: Timestamp) -> Result<(), SendError> {
        let clock = Instant::now();
        if !self.is_down() || self.next_probe.is_some_and(|next| clock < next) {
            return Ok(());
        }
        self.next_probe = Some(clock + PROBE);
        self.announce(now)
    }

    /// The number that the next datagram or record has.
    fn next_sequence(&self) -> u32 {
        let stats = self.session.stats();
        // v5 numbers flows as they are on the wire, v9 datagrams (RFC 3954 section 5.1), IPFIX data records, those of
        // options included (RFC 7011 section 3.1).
        let sent = match self.config.version {
            ExportVersion::Ipfix => stats.records + stats.options_records,
            ExportVersion::V5 => stats.records,
            _ => stats.datagrams,
        };
        #[expect(clippy::cast_possible_truncation, reason = "sequence numbers are modulo 2^32")]
        self.config.first_sequence.wrapping_add(sent as u32)
    }

    fn begin(&mut self, first_sequence: u32) -> Result<(), SendError> {
        self.before = self.total();
        self.config.first_sequence = first_sequence;
        self.session = ExportSession::new(self.config.clone()).map_err(SendError::Session)?;
        self.pairing.iter_mut().for_each(|pairing| pairing.is_announced = false);
        Ok(())
    }

    /// Streams: withdraws all templates, whose ids the next session uses again (RFC 7011 section 8.1).
    fn withdraw(&mut self, now: Timestamp) {
        let mut builder = PacketBuilder::ipfix(self.config.max_datagram);
        for withdrawal in [Withdrawal::AllTemplates, Withdrawal::AllOptionsTemplates] {
            // They have room in an empty message.
            let _pushed: Result<(), EncodeError> = builder.push_withdrawal(withdrawal);
        }
        let clock = netflow_codec::ExportClock::new(now, netflow_codec::SysUptime::from_millis(0));
        let header = PacketHeader::new(clock, self.next_sequence(), self.config.source_id);
        self.datagram.clear();
        builder.finish(&header, &mut self.datagram);
        if let Sink::Collector(link) = &self.sink {
            link.push(&mut self.datagram, Content::default(), true);
        }
    }

    /// Completes the datagram at hand.
    ///
    /// # Errors
    ///
    /// As [`Self::handle_flow`].
    pub fn flush(&mut self, now: Timestamp) -> Result<(), SendError> {
        self.release(now)?;
        self.session.flush(now);
        let content = mem::take(&mut self.content);
        self.transmit(content, now, false).map(drop)
    }

    /// Hands on the datagrams that are complete, the first of which carries `content`; whether there was one.
    #[inline]
    fn transmit(&mut self, content: Content, now: Timestamp, keep: bool) -> Result<bool, SendError> {
        let mut content = Some(content);
        while self.session.poll_transmit(&mut self.datagram).is_some() {
            let content = content.take().unwrap_or_default();
            match &mut self.sink {
                Sink::Collector(link) => link.push(&mut self.datagram, content, keep),
                Sink::File { file, written } => {
                    file.write(&self.datagram, now)
                        .map_err(|source| SendError::Output { target: self.target.to_string(), source })?;
                    *written += 1;
                    self.datagram.clear();
                }
            }
        }
        Ok(content.is_none())
    }
}

/// What of a session's configuration depends on where it goes.
fn prepare(
    config: &mut SessionConfig,
    collector: &CollectorAddress,
    send: &SendConfig,
) -> Result<(), SendError> {
    if collector.transport() == Transport::Tcp {
        if config.version != ExportVersion::Ipfix {
            return Err(SendError::Transport { collector: collector.to_string() });
        }
        config.transport = ExportTransport::Stream;
        config.max_datagram = MAX_MESSAGE;
    } else {
        let ipv6 = collector.addresses().next().is_some_and(|address| address.is_ipv6());
        config.max_datagram = max_datagram_to(send.mtu, None, ipv6);
    }
    Ok(())
}

/// Whether a session to this target is possible at all.
///
/// # Errors
///
/// When it is not.
pub(super) fn validate(
    target: &Target,
    mut config: SessionConfig,
    send: &SendConfig,
) -> Result<(), SendError> {
    match target {
        Target::Collector(collector) => prepare(&mut config, collector, send)?,
        Target::File(_) => config.max_datagram = max_datagram_to(send.mtu, None, false),
    }
    check(&config)
}

fn check(config: &SessionConfig) -> Result<(), SendError> {
    ExportSession::new(config.clone()).map(drop).map_err(SendError::Session)
}
