//! From a datagram to its records: the stateful front door.

use alloc::sync::Arc;

use crate::{
    cache::{CacheLimits, Learned, RecoveredRecords, ScopeSlot, TemplateCache, TemplateScope},
    error::{DecodeError, DecodeErrorKind},
    fixed::FixedRecords,
    flow::FlowRecord,
    ipfix,
    pending::Origin,
    record::DataRecords,
    sampling::SamplingInfo,
    set::{RawSets, Set},
    template::{Protocol, Template, TemplateRecord, TemplateRecords},
    time::{ExportClock, Timestamp},
    v9,
    wire::u16_at,
};

/// How to treat datagrams that break the rules.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Strictness {
    /// Decode whatever is sound, report the rest: a set that runs past the end of the datagram gives the
    /// records that are there, and so does a v5 header that announces too many; v9 templates may have
    /// variable-length fields.
    #[default]
    Lenient,
    /// By the letter: such structures give an error and no record; an IPFIX message with a malformed set or template
    /// record is discarded whole (RFC 7011 section 9.1).
    Rfc,
}

/// What carries the messages. It decides what a withdrawal of a template means (IPFIX).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Transport {
    /// Datagrams: withdrawals must not be sent, and are ignored (RFC 7011 section 8.4).
    #[default]
    Udp,
    /// A stream or a file: withdrawals are obeyed.
    Stream,
}

/// Decodes the datagrams of any number of exporters; keeps their templates.
///
/// `E` tells exporters apart: an address, an address and port, whatever the caller chooses.
///
/// ```
/// use netflow_codec::{Batch, Decoder, Timestamp};
///
/// let mut decoder = Decoder::new();
/// # let datagram = [&[0, 5, 0, 1][..], &[0; 20], &[192, 0, 2, 1], &[0; 44]].concat();
/// let mut decoded = decoder.decode(&"192.0.2.254", &datagram, Timestamp::from_secs(1_700_000_000))?;
/// while let Some(batch) = decoded.next() {
///     match batch {
///         Batch::Fixed(records) => {
///             for flow in records.flows() {
///                 println!("{} sent {} octets", flow.source, flow.octets);
///             }
///         }
///         Batch::Data(records) => {
///             for flow in records.flows() {
///                 println!("{} sent {} octets", flow.source, flow.octets);
///             }
///         }
///         Batch::Malformed(error) => println!("{error}"),
///         _ => {}
///     }
/// }
/// # Ok::<(), netflow_codec::DecodeError>(())
/// ```
#[derive(Debug)]
pub struct Decoder<E> {
    cache: TemplateCache<E>,
    strictness: Strictness,
    transport: Transport,
    datagrams: u64,
}

impl<E: Clone + Ord> Default for Decoder<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E: Clone + Ord> Decoder<E> {
    /// A lenient decoder with the default limits.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limits(CacheLimits::default(), Strictness::default())
    }

    /// A decoder with these limits.
    #[must_use]
    pub const fn with_limits(limits: CacheLimits, strictness: Strictness) -> Self {
        Self { cache: TemplateCache::new(limits), strictness, transport: Transport::Udp, datagrams: 0 }
    }

    /// This decoder for messages that come over something else than UDP.
    #[must_use]
    pub fn over(self, transport: Transport) -> Self {
        Self { transport, ..self }
    }

    /// The templates.
    #[must_use]
    pub const fn cache(&self) -> &TemplateCache<E> {
        &self.cache
    }

    /// The templates.
    pub const fn cache_mut(&mut self) -> &mut TemplateCache<E> {
        &mut self.cache
    }

    /// Decodes a datagram of an exporter, received `now`. The work is done while the result is iterated; what
    /// is dropped before its end has not been decoded.
    ///
    /// # Errors
    ///
    /// When the version is not supported, or the datagram is shorter than its header; it is counted, and no other state changes.
    /// Whatever is wrong behind the header is a [`Batch::Malformed`] among the others.
    pub fn decode<'d, 'a>(
        &'d mut self,
        exporter: &E,
        datagram: &'a [u8],
        now: Timestamp,
    ) -> Result<Decoded<'d, 'a, E>, DecodeError> {
        let ordinal = self.datagrams;
        self.datagrams += 1;
        let version = u16_at(datagram, 0).ok_or_else(|| DecodeError::truncated(0, 2, datagram.len()))?;
        let (header, content) = match version {
            1 | 5 | 7 => {
                let records = FixedRecords::parse(datagram)?;
                (DatagramHeader::of_fixed(&records), Content::Fixed(records))
            }
            v9::VERSION => {
                let packet = v9::Packet::parse(datagram)?;
                let sets = packet.raw_sets(self.strictness == Strictness::Rfc);
                let header = packet.header();
                let scope = TemplateScope::new(exporter.clone(), Protocol::NetFlow9, header.source_id());
                (DatagramHeader::of_v9(header), Content::Sets(Sets::new(sets, scope, &mut self.cache)))
            }
            ipfix::VERSION => {
                let message = ipfix::Message::parse_lenient(datagram)?;
                if self.strictness == Strictness::Rfc {
                    check_message(&message)?;
                }
                let header = message.header();
                let domain = header.observation_domain();
                let scope = TemplateScope::new(exporter.clone(), Protocol::Ipfix, domain);
                let mut sets = Sets::new(message.raw_sets(false), scope, &mut self.cache);
                sets.fault = message.length_fault();
                (DatagramHeader::of_ipfix(header), Content::Sets(sets))
            }
            other => return Err(DecodeError::new(0, DecodeErrorKind::UnsupportedVersion(other))),
        };
        // Octets behind an IPFIX message are not part of it.
        let datagram = match &content {
            Content::Sets(sets) => sets.raw.datagram(),
            _ => datagram,
        };
        Ok(Decoded { decoder: self, datagram, now, ordinal, header, content })
    }
}

/// Whether a message can be decoded whole, but for records with variable-length fields that run past their set.
fn check_message(message: &ipfix::Message<'_>) -> Result<(), DecodeError> {
    if let Some(fault) = message.length_fault() {
        return Err(fault);
    }
    for set in message.raw_sets(true) {
        let set = set?;
        if let Some(options) = template_set(Protocol::Ipfix, set.id) {
            for record in TemplateRecords::new(Protocol::Ipfix, set.body, set.body_offset(), options) {
                if let TemplateRecord::Template(wire) = record? {
                    wire.check(true)?;
                }
            }
        }
    }
    Ok(())
}

/// Whether a set holds templates, and if so, whether they are options templates.
const fn template_set(protocol: Protocol, id: u16) -> Option<bool> {
    match (protocol, id) {
        (Protocol::NetFlow9, v9::TEMPLATE_FLOWSET) | (Protocol::Ipfix, ipfix::TEMPLATE_SET) => Some(false),
        (Protocol::NetFlow9, v9::OPTIONS_TEMPLATE_FLOWSET)
        | (Protocol::Ipfix, ipfix::OPTIONS_TEMPLATE_SET) => Some(true),
        _ => None,
    }
}

/// What the header of a datagram says.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct DatagramHeader {
    /// The version: 1, 5, 7, 9 or 10.
    pub version: u16,
    /// Records that the header announces; in v9 a hint, in IPFIX 0 because it does not say.
    pub count: u16,
    /// Sequence number: flows (v5, v7), packets (v9) or data records (IPFIX) sent before; v1 has none.
    pub sequence: Option<u32>,
    /// v9: the source ID. IPFIX: the observation domain. v5: engine type (high octet) and engine number (low octet).
    pub observation_domain: u32,
    /// When it was sent.
    pub clock: ExportClock,
    /// Mode and interval of sampling in a v5 header.
    pub sampling: Option<SamplingInfo>,
}

impl DatagramHeader {
    fn of_fixed(records: &FixedRecords<'_>) -> Self {
        Self {
            version: records.version(),
            count: records.announced(),
            sequence: records.sequence(),
            observation_domain: records.engine().into(),
            clock: *records.clock(),
            sampling: records.sampling().and_then(SamplingInfo::from_v5),
        }
    }

    const fn of_ipfix(header: ipfix::Header<'_>) -> Self {
        Self {
            version: ipfix::VERSION,
            count: 0,
            sequence: Some(header.sequence()),
            observation_domain: header.observation_domain(),
            clock: ExportClock::without_uptime(header.export_time()),
            sampling: None,
        }
    }

    const fn of_v9(header: v9::Header<'_>) -> Self {
        Self {
            version: v9::VERSION,
            count: header.count(),
            sequence: Some(header.sequence()),
            observation_domain: header.source_id(),
            clock: header.clock(),
            sampling: None,
        }
    }
}

/// A part of a datagram, in the order of the datagram.
#[derive(Debug)]
#[non_exhaustive]
pub enum Batch<'a> {
    /// The records of a v1, v5 or v7 datagram.
    Fixed(FixedRecords<'a>),
    /// The flow records of a data set.
    Data(DataRecords<'a>),
    /// The records of a data set that describe the exporter: scope fields, then options.
    Options(DataRecords<'a>),
    /// A template, or an options template.
    Template(Arc<Template>, Learned),
    /// A template, or with an id of 2 or 3 all templates or all options templates, withdrawn (IPFIX).
    Withdrawal {
        /// The template's id.
        template_id: u16,
        /// Whether a template was withdrawn: not over UDP, and not when none was known.
        obeyed: bool,
    },
    /// An earlier data set whose template has just come.
    Recovered(RecoveredRecords),
    /// A data set whose template is not known.
    TemplateMissing {
        /// The id of the template.
        template_id: u16,
        /// Octets from the start of the datagram to the set.
        offset: usize,
        /// The records, undecoded.
        octets: &'a [u8],
        /// Whether they are kept until the template comes.
        kept: bool,
    },
    /// A set with an id that is reserved.
    Reserved {
        /// The set's id.
        id: u16,
        /// Octets from the start of the datagram to the set.
        offset: usize,
        /// The octets behind its header.
        octets: &'a [u8],
    },
    /// Something that cannot be decoded; its neighbours are.
    Malformed(DecodeError),
}

/// A datagram being decoded: an iterator of its parts.
///
/// The order is that of the datagram; templates are in force for what follows them.
#[derive(Debug)]
pub struct Decoded<'d, 'a, E> {
    decoder: &'d mut Decoder<E>,
    datagram: &'a [u8],
    now: Timestamp,
    ordinal: u64,
    header: DatagramHeader,
    content: Content<'a, E>,
}

#[derive(Debug)]
enum Content<'a, E> {
    Fixed(FixedRecords<'a>),
    Missing(DecodeError),
    Sets(Sets<'a, E>),
    Done,
}

/// Where the iteration over sets stands.
#[derive(Debug)]
struct Sets<'a, E> {
    raw: RawSets<'a>,
    scope: TemplateScope<E>,
    /// Until something of the scope must be stored, a datagram makes no scope.
    slot: Option<ScopeSlot>,
    /// The set of the last batch.
    current: usize,
    /// Octets from the start of the datagram to that set, or to the template record in it.
    offset: usize,
    started: bool,
    templates: Option<TemplateRecords<'a>>,
    /// A template that came just now: data may have waited for it.
    arrived: Option<Arc<Template>>,
    /// What is wrong with the template of the last batch.
    template_fault: Option<DecodeError>,
    /// What is wrong with the set at hand, reported behind what is sound of it.
    fault: Option<DecodeError>,
}

impl<E: Clone + Ord> Decoded<'_, '_, E> {
    /// What the header says.
    #[must_use]
    pub const fn header(&self) -> &DatagramHeader {
        &self.header
    }

    /// How many datagrams the decoder had been given before this one.
    #[must_use]
    pub const fn ordinal(&self) -> u64 {
        self.ordinal
    }

    /// Which set of the datagram, from 0, the last batch came from.
    #[must_use]
    pub const fn set_index(&self) -> usize {
        match &self.content {
            Content::Sets(sets) => sets.current,
            _ => 0,
        }
    }

    /// Octets from the start of the datagram to the template record or the set that the last batch came from.
    #[must_use]
    pub const fn offset(&self) -> usize {
        match &self.content {
            Content::Sets(sets) => sets.offset,
            _ => 0,
        }
    }

    /// The decoder's template cache, as it is after the last batch.
    #[must_use]
    pub const fn cache(&self) -> &TemplateCache<E> {
        &self.decoder.cache
    }

    /// One packet in how many was metered for this flow, as far as the exporter has said by now.
    #[must_use]
    pub fn sampling(&self, flow: &FlowRecord) -> Option<SamplingInfo> {
        match &self.content {
            Content::Sets(sets) => self.decoder.cache.sampling(sets.slot?)?.resolve(flow),
            _ => self.header.sampling,
        }
    }
}

impl<'a, E: Clone + Ord> Sets<'a, E> {
    fn new(raw: RawSets<'a>, scope: TemplateScope<E>, cache: &mut TemplateCache<E>) -> Self {
        let slot = cache.find(&scope);
        Self {
            raw,
            scope,
            slot,
            current: 0,
            offset: v9::HEADER_LEN,
            started: false,
            templates: None,
            arrived: None,
            template_fault: None,
            fault: None,
        }
    }

    fn open(&mut self, cache: &mut TemplateCache<E>) -> ScopeSlot {
        *self.slot.get_or_insert_with(|| cache.open(self.scope.clone()))
    }
}

/// What a step of the iteration needs to know of the datagram.
struct Context<'a> {
    datagram: &'a [u8],
    clock: ExportClock,
    strict: bool,
    transport: Transport,
    ordinal: u64,
    sequence: Option<u32>,
    now: Timestamp,
}

impl<'a, E: Clone + Ord> Iterator for Decoded<'_, 'a, E> {
    type Item = Batch<'a>;

    fn next(&mut self) -> Option<Batch<'a>> {
        let strict = self.decoder.strictness == Strictness::Rfc;
        match &mut self.content {
            Content::Done => None,
            Content::Fixed(records) => {
                let records = *records;
                self.content = match records.missing_records() {
                    Some(error) if strict => {
                        self.content = Content::Done;
                        return Some(Batch::Malformed(error));
                    }
                    Some(error) => Content::Missing(error),
                    None => Content::Done,
                };
                Some(Batch::Fixed(records))
            }
            Content::Missing(error) => {
                let error = *error;
                self.content = Content::Done;
                Some(Batch::Malformed(error))
            }
            Content::Sets(sets) => {
                let context = Context {
                    datagram: self.datagram,
                    clock: self.header.clock,
                    strict,
                    transport: self.decoder.transport,
                    ordinal: self.ordinal,
                    sequence: self.header.sequence,
                    now: self.now,
                };
                sets.step(&mut self.decoder.cache, &context)
            }
        }
    }
}

impl<'a, E: Clone + Ord> Sets<'a, E> {
    fn step(&mut self, cache: &mut TemplateCache<E>, context: &Context<'a>) -> Option<Batch<'a>> {
        loop {
            if let Some(fault) = self.template_fault.take() {
                return Some(Batch::Malformed(fault));
            }
            if let Some(recovered) = self.recover(cache, context.now) {
                return Some(Batch::Recovered(recovered));
            }
            if let Some(batch) = self.learn(cache, context) {
                return Some(batch);
            }
            if let Some(fault) = self.fault.take() {
                return Some(Batch::Malformed(fault));
            }
            let set = self.raw.next()?;
            if self.started {
                self.current += 1;
            }
            self.started = true;
            match set {
                Err(error) => return Some(Batch::Malformed(error)),
                Ok(set) => {
                    self.offset = set.offset;
                    self.fault = set.fault;
                    if let Some(batch) = self.enter(set, cache, context) {
                        return Some(batch);
                    }
                }
            }
        }
    }

    fn recover(&mut self, cache: &mut TemplateCache<E>, now: Timestamp) -> Option<RecoveredRecords> {
        let slot = self.slot?;
        let Some(recovered) = cache.recover(&self.scope, self.arrived.as_ref()?, now) else {
            self.arrived = None;
            return None;
        };
        if recovered.records().template().is_options() {
            cache.learn_options(slot, &recovered.records());
        }
        Some(recovered)
    }

    /// The next template of the template set at hand.
    fn learn(&mut self, cache: &mut TemplateCache<E>, context: &Context<'a>) -> Option<Batch<'a>> {
        let record = self.templates.as_mut()?.next();
        let Some(record) = record else {
            self.templates = None;
            return None;
        };
        let learned = match record {
            Ok(TemplateRecord::Withdrawal { id, offset }) => {
                self.offset = offset;
                let obeyed = context.transport == Transport::Stream && self.withdraw(id, cache);
                return Some(Batch::Withdrawal { template_id: id, obeyed });
            }
            Ok(TemplateRecord::Template(wire)) => {
                self.offset = wire.offset;
                let slot = self.open(cache);
                // A lenient cache takes it all the same.
                self.template_fault = wire.check(false).err();
                let learned = cache.learn(slot, &wire, context.strict, context.now);
                if learned.is_err() {
                    self.template_fault = None;
                }
                learned
            }
            Err(error) => {
                cache.count_refused();
                Err(error)
            }
        };
        Some(match learned {
            Ok((learned, template)) => {
                // Data that waited is not wasted on a template that decodes to nothing.
                if self.template_fault.is_none() {
                    self.arrived = Some(Arc::clone(&template));
                }
                Batch::Template(template, learned)
            }
            Err(error) => Batch::Malformed(error),
        })
    }

    fn withdraw(&self, id: u16, cache: &mut TemplateCache<E>) -> bool {
        let Some(slot) = self.slot else { return false };
        match id {
            ipfix::TEMPLATE_SET => cache.withdraw_all(slot, false),
            ipfix::OPTIONS_TEMPLATE_SET => cache.withdraw_all(slot, true),
            template_id => cache.withdraw(slot, template_id),
        }
    }

    fn enter(
        &mut self,
        set: Set<'a>,
        cache: &mut TemplateCache<E>,
        context: &Context<'a>,
    ) -> Option<Batch<'a>> {
        if let Some(options) = template_set(self.scope.protocol, set.id) {
            let (protocol, offset) = (self.scope.protocol, set.body_offset());
            self.templates = Some(TemplateRecords::new(protocol, set.body, offset, options));
            return None;
        }
        Some(match set.id {
            0..=255 => Batch::Reserved { id: set.id, offset: set.offset, octets: set.body },
            template_id => self.data(template_id, &set, cache, context),
        })
    }

    fn data(
        &mut self,
        template_id: u16,
        set: &Set<'a>,
        cache: &mut TemplateCache<E>,
        context: &Context<'a>,
    ) -> Batch<'a> {
        let known = self.slot.and_then(|slot| cache.lookup(slot, template_id, context.now));
        let Some(template) = known else {
            self.open(cache);
            let origin = Origin {
                datagram: context.ordinal,
                set: self.current,
                offset: set.offset,
                received: context.now,
                sequence: context.sequence,
            };
            let clock = self.clock(cache, context);
            let kept = cache.keep_pending(&self.scope, template_id, set.body, clock, origin);
            return Batch::TemplateMissing { template_id, offset: set.offset, octets: set.body, kept };
        };
        let start = set.body_offset();
        let clock = self.clock(cache, context);
        let records = DataRecords::new(template, context.datagram, start, start + set.body.len(), clock);
        if self.fault.is_none() {
            self.fault = records.fault();
        }
        if !records.template().is_options() {
            return Batch::Data(records);
        }
        if let Some(slot) = self.slot {
            cache.learn_options(slot, &records);
        }
        Batch::Options(records)
    }

    /// The header's clock; in IPFIX the uptime follows from what options said of the time of boot.
    fn clock(&self, cache: &TemplateCache<E>, context: &Context<'a>) -> ExportClock {
        match self.slot.and_then(|slot| cache.boot(slot)) {
            Some(boot) if !context.clock.has_uptime() => ExportClock::since_boot(context.clock.unix(), boot),
            _ => context.clock,
        }
    }
}
