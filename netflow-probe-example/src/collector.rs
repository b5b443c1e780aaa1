//! The collector: datagrams in, flows and an account out.

use core::{
    fmt,
    net::{IpAddr, SocketAddr},
};
use std::{io, sync::Arc};

use netflow_codec::{
    Batch, CacheLimits, DataRecord, DataRecords, DatagramHeader, DecodeError, DecodeErrorKind, Decoded,
    Decoder, ElementRegistry, ExportClock, FlowRecord, Learned, Origin, Quirk, Quirks, SamplingInfo,
    ScopePolicy, SequenceEvent, SequenceUnit, Strictness, TemplateCache, Timestamp, Transport,
};

use crate::{
    account::{
        Account, CacheReport, Counts, Fault, Header, Names, SavedAccount, Stream, Summary, What, health,
    },
    flow::{Context, Countries, Envelope, Flow, Layout, Layouts, Record, RecordFields},
    output::FlowSink,
    policy::{Policy, Refusal, Sampling},
};

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
    splits_biflows: bool,
    /// The quirks of exporters that have no others.
    quirks: Quirks,
    policy: Arc<Policy>,
    has_quotas: bool,
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
            splits_biflows: false,
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

    /// A session ended because what came is no message.
    pub fn note_malformed(&mut self, exporter: SocketAddr, error: DecodeError) {
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
            splits_biflows: self.splits_biflows,
            faults,
            counts: Counts { datagrams: 1, octets: octets as u64, ..Counts::default() },
            sampling: None,
            rule: admission.sampling,
            origin: stream,
            malformed: 0,
            is_incomplete: false,
            redefines_templates: false,
            undecoded: 0,
        };
        let result = work.run();
        let counts_templates = work.decoded.quirks().contains(Quirk::SequenceCountsTemplates);
        let units = work.units(counts_templates);
        let Work { counts, sampling, mut faults, redefines_templates, malformed, .. } = work;
        faults.header(stream, &Header { sequence, units, clock, received, redefines_templates });
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
        let header = Header { sequence, units, clock, received, redefines_templates: false };
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

    /// Has the sink do what is due by now.
    ///
    /// # Errors
    ///
    /// Those of the sink.
    pub fn tick(&mut self, now: Timestamp) -> io::Result<()> {
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
        health::part(&self.account, self.decoder.cache(), now)
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

/// Tells a fault.
type Report = Box<dyn FnMut(&Fault)>;

/// Where faults of one datagram go.
struct Faults<'c> {
    account: &'c mut Account,
    report: Option<&'c mut Report>,
    exporter: IpAddr,
    datagram: u64,
    stream: Option<(u16, u32)>,
}

impl Faults<'_> {
    /// Takes the header; reports what it says of other datagrams.
    fn header(&mut self, stream: Stream, header: &Header) {
        let (event, restart) = self.account.header(stream, header);
        match event {
            Some(SequenceEvent::Gap { lost }) => {
                let unit = SequenceUnit::of(stream.version).map_or("units", SequenceUnit::name);
                self.add(None, What::Gap { lost, unit });
            }
            Some(SequenceEvent::Reset) if restart.is_none() => self.add(None, What::SequenceReset),
            _ => {}
        }
        if let Some(restart) = restart {
            self.add(None, What::Restart(restart));
        }
    }

    fn add(&mut self, set: Option<usize>, what: What) {
        let Some(count) = self.account.fault(self.exporter, what) else { return };
        self.tell(set, what, count);
    }

    /// A stranger has no account of its own.
    fn refused(&mut self, reason: Refusal) {
        if reason != Refusal::NotAllowed {
            self.add(None, What::Refused(reason));
        } else if let Some(count) = self.account.refused_stranger(self.exporter) {
            self.tell(None, What::Refused(reason), count);
        }
    }

    fn tell(&mut self, set: Option<usize>, what: What, count: u64) {
        if let Some(report) = &mut self.report {
            let Self { exporter, stream, datagram, .. } = *self;
            report(&Fault { exporter, stream, datagram, set, what, count });
        }
    }
}

/// One datagram on its way through.
struct Work<'c, 'a, S> {
    decoded: Decoded<'c, 'a, SocketAddr>,
    envelope: Envelope,
    sink: &'c mut S,
    layouts: &'c mut Layouts,
    splits_biflows: bool,
    faults: Faults<'c>,
    counts: Counts,
    sampling: Option<SamplingInfo>,
    /// What the user says of sampling.
    rule: Option<Sampling>,
    origin: Stream,
    /// Structures that could not be decoded.
    malformed: u32,
    /// Whether records of the datagram may not have been decoded, nobody knows how many.
    is_incomplete: bool,
    /// Whether a template took the place of another one.
    redefines_templates: bool,
    /// Fixed layouts: records that strict decoding refused, because of what the header announces.
    undecoded: u64,
}

/// The place of a set.
#[derive(Clone, Copy)]
struct Place {
    datagram: u64,
    set: usize,
    /// What to add to the offsets of its records.
    correction: usize,
}

impl<S: FlowSink> Work<'_, '_, S> {
    fn run(&mut self) -> io::Result<()> {
        let mut evicted = self.evicted();
        while let Some(batch) = self.decoded.next() {
            let set = self.decoded.set_index();
            let now = self.evicted();
            if now != evicted {
                let (templates, domains) = (now.0 - evicted.0, now.1 - evicted.1);
                self.faults
                    .add(Some(set), What::CacheFull { templates, domains, offset: self.decoded.offset() });
                evicted = now;
            }
            let place = Place { datagram: self.envelope.ordinal, set, correction: 0 };
            match batch {
                Batch::Fixed(records) => {
                    let envelope = self.envelope;
                    let clock = self.decoded.header().clock;
                    for record in records.iter() {
                        let fields = RecordFields::Fixed(record);
                        let template = Described { template_id: None, is_options: false, scope_fields: 0 };
                        let sampling = self.sampling(&FlowRecord::EMPTY, None);
                        let context = Context::new(&self.decoded, clock);
                        self.sink.record(&template.record(place, record.offset(), fields, context))?;
                        let record = record.to_flow();
                        let flow = Flow {
                            record,
                            envelope: &envelope,
                            template_id: None,
                            sampling,
                            fields,
                            context,
                            layout: None,
                            countries: Countries::default(),
                        };
                        self.sink.flow(&flow)?;
                        self.counts.data_records += 1;
                        self.counts.flow(&record, sampling.as_ref());
                    }
                }
                Batch::Data(records) => self.data(&records, place, self.envelope)?,
                Batch::Options(records) => self.options(&records, place)?,
                Batch::Template(template, learned) => {
                    self.redefines_templates |= learned == Learned::Replaced;
                    self.faults.account.learned(self.origin, template.id());
                    if template.is_options() {
                        self.counts.options_template_records += 1;
                    } else {
                        self.counts.template_records += 1;
                    }
                }
                Batch::Withdrawal { .. } => self.counts.withdrawals += 1,
                Batch::Recovered(recovered) => {
                    let origin = recovered.origin();
                    let place = Place {
                        datagram: origin.datagram,
                        set: origin.set,
                        correction: recovered.offset_correction(),
                    };
                    let before = self.counts;
                    let records = recovered.records();
                    if records.template().is_options() {
                        self.options(&records, place)?;
                    } else {
                        let Origin { datagram: ordinal, received, sequence, .. } = origin;
                        let envelope = Envelope { ordinal, received, sequence, ..self.envelope };
                        self.data(&records, place, envelope)?;
                    }
                    self.counts.sets_recovered += 1;
                    self.counts.records_recovered += self.counts.data_records - before.data_records
                        + (self.counts.options_records - before.options_records);
                }
                Batch::TemplateMissing { template_id, offset, octets, kept } => {
                    self.counts.sets_without_template += 1;
                    self.is_incomplete = true;
                    let octets = octets.len();
                    self.faults.account.missed(self.origin, template_id, octets);
                    self.faults.add(Some(set), What::TemplateMissing { template_id, offset, octets, kept });
                }
                Batch::Reserved { id, offset, .. } => {
                    self.counts.reserved_sets += 1;
                    self.faults.add(Some(set), What::ReservedSet { id, offset });
                }
                Batch::Malformed(error) => self.malformed(set, error),
                _ => {}
            }
        }
        Ok(())
    }

    /// By how much the datagram advances the sequence number of its stream; unknown when records of an IPFIX message
    /// could not be decoded. v5 to v8 count the flows that are there, whatever their header
    /// announces.
    fn units(&mut self, counts_templates: bool) -> Option<u32> {
        let Counts { data_records, options_records, records_recovered, .. } = self.counts;
        let records = data_records + options_records + self.undecoded - records_recovered;
        match self.envelope.version {
            9 => Some(1),
            10 if self.is_incomplete => None,
            10 if counts_templates => {
                let Counts { template_records, options_template_records, withdrawals, .. } = self.counts;
                let templates = template_records + options_template_records + withdrawals;
                if templates > 0 {
                    self.decoded.count_quirk(Quirk::SequenceCountsTemplates);
                }
                u32::try_from(records + templates).ok()
            }
            _ => u32::try_from(records).ok(),
        }
    }

    fn malformed(&mut self, set: usize, error: DecodeError) {
        self.is_incomplete = true;
        self.malformed = self.malformed.saturating_add(1);
        match error.kind {
            DecodeErrorKind::RecordCount { available, .. } if self.counts.data_records == 0 => {
                self.undecoded = available.into();
            }
            DecodeErrorKind::TooManyRecords { announced, .. } => self.undecoded = announced.into(),
            _ => {}
        }
        let set = matches!(self.envelope.version, 9 | 10).then_some(set);
        self.faults.add(set, What::Malformed(error));
    }

    /// Templates and domains that had to make room so far.
    const fn evicted(&self) -> (u64, u64) {
        let stats = self.decoded.cache().stats();
        (stats.evicted_templates, stats.evicted_scopes)
    }

    fn sampling(&mut self, flow: &FlowRecord, record: Option<&DataRecord<'_, '_>>) -> Option<SamplingInfo> {
        let sampling = match record {
            Some(record) => self.decoded.sampling_of(record, flow),
            None => self.decoded.sampling(flow),
        };
        let sampling = self.rule.map_or(sampling, |rule| rule.over(sampling));
        self.sampling = sampling.or(self.sampling);
        sampling
    }

    fn data(&mut self, records: &DataRecords<'_>, place: Place, envelope: Envelope) -> io::Result<()> {
        let template = Described::by(records);
        // The layout borrows from the cache of layouts, the rest of `self` is needed besides.
        let mut layouts = core::mem::take(self.layouts);
        let layout = layouts.of(records.template());
        let source = Source { template, clock: *records.clock(), place, envelope: &envelope, layout };
        let result = records
            .iter()
            .zip(records.flows())
            .try_for_each(|(record, flow)| self.flow(&source, &record, flow));
        *self.layouts = layouts;
        result
    }

    fn flow(&mut self, source: &Source<'_>, record: &DataRecord<'_, '_>, flow: FlowRecord) -> io::Result<()> {
        let Source { template, clock, place, envelope, layout } = *source;
        let fields = RecordFields::Data(*record);
        let sampling = self.sampling(&flow, Some(record));
        let context = Context::new(&self.decoded, clock);
        self.sink.record(&template.record(place, record.offset(), fields, context))?;
        self.counts.data_records += 1;
        // RFC 5103 section 4: what has reverse values but no direction is no flow; that it came is told.
        if record.template().is_reverse_only() {
            return Ok(());
        }
        let template_id = template.template_id;
        self.counts.flow(&flow, sampling.as_ref());
        let countries = Countries::default();
        let flow = Flow { record: flow, envelope, template_id, sampling, countries, fields, context, layout };
        self.sink.flow(&flow)?;
        if self.splits_biflows
            && let Some(reverse) = record.to_biflow(&clock).reverse
        {
            // What has no column stands in the forward flow.
            self.sink.flow(&Flow { record: reverse, layout: None, ..flow })?;
        }
        Ok(())
    }

    fn options(&mut self, records: &DataRecords<'_>, place: Place) -> io::Result<()> {
        let template = Described::by(records);
        let are_naming = Names::are_in(records.template());
        for record in records {
            if are_naming {
                self.faults.account.named(self.faults.exporter, &record);
            }
            let fields = RecordFields::Data(record);
            let context = Context::new(&self.decoded, *records.clock());
            self.sink.record(&template.record(place, record.offset(), fields, context))?;
            self.counts.options_records += 1;
        }
        Ok(())
    }
}

/// What the records of a set have in common.
#[derive(Clone, Copy)]
struct Source<'s> {
    template: Described,
    clock: ExportClock,
    place: Place,
    envelope: &'s Envelope,
    layout: Option<&'s Layout>,
}

/// What describes the records of a set.
#[derive(Clone, Copy)]
struct Described {
    template_id: Option<u16>,
    is_options: bool,
    scope_fields: usize,
}

impl Described {
    fn by(records: &DataRecords<'_>) -> Self {
        let template = records.template();
        Self {
            template_id: Some(template.id()),
            is_options: template.is_options(),
            scope_fields: template.scope_count(),
        }
    }

    const fn record<'r>(
        self,
        place: Place,
        offset: usize,
        fields: RecordFields<'r>,
        context: Context<'r>,
    ) -> Record<'r> {
        let Self { template_id, is_options, scope_fields } = self;
        let Place { datagram, set, correction } = place;
        let offset = offset + correction;
        Record { datagram, set, template_id, is_options, scope_fields, offset, fields, context }
    }
}
