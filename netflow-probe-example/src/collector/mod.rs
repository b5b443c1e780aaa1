//! The collector: datagrams in, flows and an account out.

mod faults;
mod idle;
mod sets;
mod work;

use core::{fmt, net::SocketAddr, time::Duration};
use std::{io, sync::Arc};

use netflow_codec::{
    CacheLimits, DatagramHeader, DecodeError, DecodeErrorKind, Decoder, ElementRegistry, FlowColumns, Quirk,
    Quirks, ScopePolicy, Strictness, TemplateCache, Timestamp, Transport,
};

use crate::{
    account::{Account, CacheReport, Counts, Fault, Header, SavedAccount, Stream, Summary, What, health},
    flow::{Envelope, Layouts},
    output::FlowSink,
    policy::{Policy, Refusal},
};
use faults::{Faults, Report};
use idle::Idle;
use work::Work;

/// Decodes the datagrams of any number of exporters, hands what they carry to a sink and keeps account.
///
/// Templates belong to the address of an exporter, whatever port it sends from, unless another
/// [policy](Collector::with_scopes) is chosen; sequence numbers to its address and port, as several exporters may share
/// one address. It does no input of its own: the caller receives the datagrams,
/// or reads them from a file, and says when they came.
///
/// ```
/// use netflow_codec::Timestamp;
/// use netflow_probe_example::{collector::Collector, output::JsonSink};
///
/// # let datagram = [&[0, 5, 0, 1][..], &[0; 20], &[192, 0, 2, 1], &[0; 44]].concat();
/// let mut lines = Vec::new();
/// let mut collector = Collector::new(JsonSink::new(&mut lines));
/// collector.handle_datagram("198.51.100.1:49152".parse()?, &datagram, Timestamp::from_secs(1_700_000_000))?;
/// collector.flush()?;
/// assert_eq!(collector.account().counts().data_records, 1);
/// assert!(String::from_utf8(lines)?.contains(r#""src_addr":"192.0.2.1""#));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Collector<S> {
    decoder: Decoder<SocketAddr>,
    sink: S,
    account: Account,
    /// Datagrams given so far, which the decoder counts as well.
    given: u64,
    layouts: Layouts,
    /// Memory for the flows of a fixed layout.
    columns: FlowColumns,
    splits_biflows: bool,
    /// The quirks of exporters that have no others.
    quirks: Quirks,
    policy: Arc<Policy>,
    has_quotas: bool,
    idle: Option<Idle>,
    on_fault: Option<Report>,
}

impl<S: FlowSink> Collector<S> {
    /// A lenient collector with the default limits that reports no faults.
    pub fn new(sink: S) -> Self {
        Self::with_limits(sink, CacheLimits::default(), Strictness::default())
    }

    /// A collector with these limits of its template cache.
    pub fn with_limits(sink: S, limits: CacheLimits, strictness: Strictness) -> Self {
        let decoder = Decoder::with_limits(limits, strictness).with_scopes(ScopePolicy::by_address());
        Self {
            quirks: decoder.default_quirks(),
            policy: Arc::default(),
            has_quotas: true,
            decoder,
            sink,
            account: Account::default(),
            given: 0,
            layouts: Layouts::default(),
            columns: FlowColumns::new(FlowColumns::ALL),
            splits_biflows: false,
            idle: None,
            on_fault: None,
        }
    }

    /// Has faults reported, as many as the account thinks worth it; all are counted.
    pub fn on_fault(&mut self, report: impl FnMut(&Fault) + 'static) {
        self.on_fault = Some(Box::new(report));
    }

    /// Gives names and types to elements that the built-in tables do not have, or other ones to those of enterprises.
    pub fn define_elements(&mut self, registry: ElementRegistry) {
        self.decoder = core::mem::take(&mut self.decoder).with_elements(registry);
    }

    /// Whether the reverse direction of a biflow (RFC 5103) becomes a flow of its own, behind the forward one.
    pub const fn split_biflows(&mut self, splits_biflows: bool) {
        self.splits_biflows = splits_biflows;
    }

    /// Has exporters forgotten that sent nothing for so long: their templates, names and accounts. What they sent stays
    /// in the sums. [`Self::tick`] has to be called then.
    pub const fn forget_after(&mut self, idle: Duration) {
        self.idle = Some(Idle::new(idle));
    }

    /// Chooses whose templates are whose, before the first datagram.
    #[must_use]
    pub fn with_scopes(mut self, policy: ScopePolicy<SocketAddr>) -> Self {
        self.decoder = self.decoder.with_scopes(policy);
        self
    }

    /// Decides from now on who may send, and how what exporters send is to be understood.
    pub fn set_policy(&mut self, policy: impl Into<Arc<Policy>>) {
        self.policy = policy.into();
    }

    /// Makes it one of sessions over streams: templates, sequence numbers and sampling rates belong to a session, an
    /// exporter's address and port; withdrawals are obeyed; quotas of policies do not hold.
    #[must_use]
    pub fn of_sessions(self) -> Self {
        let mut collector = self.with_scopes(ScopePolicy::default());
        collector.over(Transport::Stream);
        collector.has_quotas = false;
        collector
    }

    /// What decides who may send.
    #[must_use]
    pub const fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// A session of an exporter begins.
    pub fn begin_session(&mut self, exporter: SocketAddr) {
        self.end_session(exporter);
        self.account.session(exporter);
    }

    /// A session has ended, and all that was known because of it (RFC 7011 section 8.4).
    pub fn end_session(&mut self, exporter: SocketAddr) {
        self.decoder.cache_mut().remove_exporter(&exporter);
    }

    /// A session ended because what came by now is no message.
    pub fn note_malformed(&mut self, exporter: SocketAddr, error: DecodeError, now: Timestamp) {
        self.account.noticed(exporter.ip().to_canonical(), now);
        self.note(exporter, What::Malformed(error));
    }

    /// Says what carries the messages from now on; at first it is UDP. Templates stay known.
    pub fn over(&mut self, transport: Transport) {
        self.decoder = core::mem::take(&mut self.decoder).over(transport);
    }

    /// Takes a datagram that came from `exporter` at the time `received`. Whatever is wrong with it ends up in the
    /// account.
    ///
    /// # Errors
    ///
    /// Those of the sink only; the rest of the datagram is then lost.
    pub fn handle_datagram(
        &mut self,
        exporter: SocketAddr,
        payload: &[u8],
        received: Timestamp,
    ) -> io::Result<()> {
        let exporter = SocketAddr::new(exporter.ip().to_canonical(), exporter.port());
        let ordinal = self.given;
        self.given += 1;
        let octets = payload.len();
        let terms = (self.quirks, self.has_quotas);
        let arrived = self.account.arrived(exporter.ip(), octets, received, &self.policy, terms);
        let mut faults = Faults {
            account: &mut self.account,
            report: self.on_fault.as_mut(),
            exporter: exporter.ip(),
            datagram: ordinal,
            stream: None,
        };
        let admission = match arrived {
            Ok(admission) => admission,
            Err(reason) => {
                faults.refused(reason);
                if matches!(reason, Refusal::ExporterQuota | Refusal::TotalQuota) {
                    self.pass_by(exporter, payload, received);
                }
                return Ok(());
            }
        };
        self.decoder.set_quirks(admission.quirks);
        let decoded = match self.decoder.decode(&exporter, payload, received) {
            Ok(decoded) => decoded,
            Err(error) => {
                if let DecodeErrorKind::UnsupportedVersion(version) = error.kind {
                    faults.account.unsupported_version(version);
                }
                faults.add(None, What::Malformed(error));
                self.account.judge(exporter.ip(), false, &self.policy);
                return Ok(());
            }
        };
        let header = decoded.header();
        let envelope = Envelope {
            ordinal,
            exporter,
            received,
            version: header.version,
            sequence: header.sequence,
            observation_domain: header.observation_domain,
        };
        let stream = stream_of(exporter, header);
        faults.stream = Some((header.version, header.observation_domain));
        let (sequence, clock) = (header.sequence, header.clock);
        let mut work = Work {
            decoded,
            envelope,
            sink: &mut self.sink,
            layouts: &mut self.layouts,
            columns: &mut self.columns,
            splits_biflows: self.splits_biflows,
            faults,
            counts: Counts { datagrams: 1, octets: octets as u64, ..Counts::default() },
            sampling: None,
            rule: admission.sampling,
            origin: stream,
            malformed: 0,
            is_incomplete: false,
            redefines_templates: false,
            recovered_flows: 0,
            undecoded: 0,
        };
        let result = work.run();
        let counts_templates = work.decoded.quirks().contains(Quirk::SequenceCountsTemplates);
        let units = work.units(counts_templates);
        let flows = work.flows();
        let Work { counts, sampling, mut faults, redefines_templates, malformed, .. } = work;
        faults.header(stream, &Header { sequence, units, flows, clock, received, redefines_templates });
        self.account.carried(stream, clock.unix(), counts, sampling);
        let is_empty = counts.data_records + counts.options_records + counts.template_records == 0;
        self.account.judge(exporter.ip(), malformed == 0 || !is_empty, &self.policy);
        result
    }

    /// Notes the sequence number of a datagram that is refused: what is refused is not lost on the way, too.
    fn pass_by(&mut self, exporter: SocketAddr, payload: &[u8], received: Timestamp) {
        let Ok(decoded) = self.decoder.decode(&exporter, payload, received) else { return };
        let header = *decoded.header();
        let units = match header.version {
            9 => Some(1),
            // Records are not told by the header.
            10 => None,
            _ => Some(header.count.into()),
        };
        let (sequence, clock) = (header.sequence, header.clock);
        let stream = stream_of(exporter, &header);
        let header = Header { sequence, units, flows: None, clock, received, redefines_templates: false };
        self.account.header(stream, &header);
    }

    /// Notes that the next datagram is not complete because the capture did not keep all of it.
    pub fn note_cut_short(&mut self, exporter: SocketAddr, available: usize) {
        self.note(exporter, What::CutShort { available });
    }

    /// Notes that octets of a file, from `offset` on, are no sound messages of `exporter` and are skipped.
    pub fn note_skipped(&mut self, exporter: SocketAddr, offset: u64, octets: u64) {
        self.note(exporter, What::Skipped { offset, octets });
    }

    fn note(&mut self, exporter: SocketAddr, what: What) {
        let exporter = exporter.ip().to_canonical();
        let datagram = self.given;
        let report = self.on_fault.as_mut();
        let mut faults = Faults { account: &mut self.account, report, exporter, datagram, stream: None };
        faults.add(None, what);
    }

    /// Does what is due by now, and has the sink do so.
    ///
    /// # Errors
    ///
    /// Those of the sink.
    pub fn tick(&mut self, now: Timestamp) -> io::Result<()> {
        if let Some(before) = self.idle.as_mut().and_then(|idle| idle.due(now)) {
            for exporter in self.account.forget_idle(before) {
                self.decoder.cache_mut().remove_exporter(&SocketAddr::new(exporter, 0));
            }
            self.decoder.cache_mut().handle_timeout(now);
        }
        self.sink.tick(now)
    }

    /// Ends the sink's output for good.
    ///
    /// # Errors
    ///
    /// Those of the sink.
    pub fn finish(&mut self) -> io::Result<()> {
        self.sink.finish()
    }

    /// Hands on what the sink has buffered.
    ///
    /// # Errors
    ///
    /// Those of the sink.
    pub fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }

    /// Takes the names and sequence numbers that an earlier run kept, before the first datagram.
    pub fn restore_account(&mut self, saved: &SavedAccount) {
        self.account.restore(saved);
    }

    /// What it knows of its exporters, as a part of the health document.
    pub fn health(&self, now: Timestamp) -> serde_json::Value {
        let mut part = health::part(&self.account, self.decoder.cache(), now);
        // An exporter may send both ways, and has an account for each.
        let over = if self.has_quotas { "UDP" } else { "TCP" };
        let exporters = part.get_mut("exporters").and_then(serde_json::Value::as_array_mut);
        for exporter in exporters.into_iter().flatten().filter_map(serde_json::Value::as_object_mut) {
            exporter.insert("over".to_owned(), over.into());
        }
        part
    }

    /// The account.
    pub const fn account(&self) -> &Account {
        &self.account
    }

    /// What is known of templates.
    pub const fn cache_mut(&mut self) -> &mut TemplateCache<SocketAddr> {
        self.decoder.cache_mut()
    }

    /// The decoder, with its template cache.
    pub const fn decoder(&self) -> &Decoder<SocketAddr> {
        &self.decoder
    }

    /// Everything there is to report.
    pub fn summary(&self) -> Summary<'_> {
        Summary::new(&self.account, self.cache_report())
    }

    /// What became of templates.
    pub fn cache_report(&self) -> CacheReport {
        CacheReport::of(&self.decoder)
    }

    /// The account, when all is done.
    pub fn into_account(self) -> Account {
        self.account
    }

    /// The sink.
    pub const fn sink(&self) -> &S {
        &self.sink
    }

    /// The sink.
    pub const fn sink_mut(&mut self) -> &mut S {
        &mut self.sink
    }

    /// The sink, when all is done.
    pub fn into_sink(self) -> S {
        self.sink
    }
}

impl<S: fmt::Debug> fmt::Debug for Collector<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collector")
            .field("decoder", &self.decoder)
            .field("sink", &self.sink)
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

fn stream_of(exporter: SocketAddr, header: &DatagramHeader) -> Stream {
    Stream {
        exporter: exporter.ip(),
        version: header.version,
        observation_domain: header.observation_domain,
        port: exporter.port(),
    }
}
