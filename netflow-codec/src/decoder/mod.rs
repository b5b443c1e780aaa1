//! From a datagram to its records: the stateful front door.

mod batch;
mod decoded;
mod header;
mod provenance;
mod sets;
mod strict;

use alloc::{collections::BTreeMap, sync::Arc};

pub use self::{
    batch::Batch,
    decoded::{CountMismatch, Decoded},
    header::DatagramHeader,
    provenance::{Located, Provenance},
};
use self::{
    decoded::{Asked, Content},
    sets::{Context, Sets},
};
use crate::{
    cache::{CacheLimits, ScopePolicy, ScopeSlot, TemplateCache},
    element::{ElementRegistry, Elements},
    error::{DecodeError, DecodeErrorKind},
    fixed::FixedRecords,
    ipfix,
    quirk::{Quirk, QuirkCounts, Quirks},
    restart::Restart,
    taught::TaughtElements,
    template::Protocol,
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
    /// A stream: withdrawals are obeyed; another template under an id that was not withdrawn takes its place and is told
    /// as a fault ([`DecodeErrorKind::NotWithdrawn`], RFC 7011 section 8.1).
    Stream,
    /// A file: withdrawals are obeyed, and templates may be redefined (RFC 5655 section 7.1).
    File,
}

/// What becomes of the templates of an exporter that was restarted, or whose clock was set. Concerns UDP only: sessions
/// of streams begin without templates anyway.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum OnRestart {
    /// Where the uptime, the time of boot or a redefined template show it ([`Restart::voids_templates`]), templates that
    /// have not been announced since are forgotten (RFC 3954 section 9); their data waits for the new ones.
    #[default]
    ForgetTemplates,
    /// They are used until they are replaced, or too old.
    KeepTemplates,
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
    on_restart: OnRestart,
    quirks: Quirks,
    /// The quirks of some exporters.
    quirks_of: BTreeMap<E, Quirks>,
    datagrams: u64,
    /// What the datagram being decoded shows.
    restart: Option<Restart>,
    /// What was asked last about sampling since the last batch, and the answer: flows of a set mostly ask the same.
    asked: Option<Asked>,
    /// The user's definitions of elements.
    defined: Option<Arc<ElementRegistry>>,
    taught: TaughtElements<E>,
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
    pub fn with_limits(limits: CacheLimits, strictness: Strictness) -> Self {
        Self {
            cache: TemplateCache::new(limits),
            strictness,
            transport: Transport::Udp,
            on_restart: OnRestart::ForgetTemplates,
            quirks: match strictness {
                Strictness::Lenient => Quirks::DEFAULT,
                Strictness::Rfc => Quirks::RFC,
            },
            quirks_of: BTreeMap::new(),
            datagrams: 0,
            restart: None,
            asked: None,
            defined: None,
            taught: TaughtElements::new(),
        }
    }

    /// This decoder for messages that come over something else than UDP.
    #[must_use]
    pub fn over(self, transport: Transport) -> Self {
        Self { transport, ..self }
    }

    /// This decoder with definitions of elements that the built-in tables do not have, see [`Decoded::elements`].
    #[must_use]
    pub fn with_elements(self, registry: impl Into<Arc<ElementRegistry>>) -> Self {
        Self { defined: Some(registry.into()), ..self }
    }

    /// This decoder with another habit when an exporter is restarted.
    #[must_use]
    pub fn on_restart(self, on_restart: OnRestart) -> Self {
        Self { on_restart, ..self }
    }

    /// This decoder with other quirks; at first they are [`Quirks::DEFAULT`], with [`Strictness::Rfc`] [`Quirks::RFC`].
    ///
    /// What a quirk does to a template it does when the template is learned.
    #[must_use]
    pub const fn with_quirks(mut self, quirks: Quirks) -> Self {
        self.quirks = quirks;
        self.cache.quirks.active = quirks;
        self
    }

    /// Switches quirks from the next datagram on. Templates keep the form that they were given when they were learned.
    pub const fn set_quirks(&mut self, quirks: Quirks) {
        self.quirks = quirks;
    }

    /// Gives one exporter quirks of its own. `None` takes them away again.
    pub fn set_quirks_of(&mut self, exporter: E, quirks: Option<Quirks>) {
        match quirks {
            Some(quirks) => self.quirks_of.insert(exporter, quirks),
            None => self.quirks_of.remove(&exporter),
        };
    }

    /// The quirks of exporters that have none of their own.
    #[must_use]
    pub const fn default_quirks(&self) -> Quirks {
        self.quirks
    }

    /// The quirks of an exporter.
    #[must_use]
    pub fn quirks(&self, exporter: &E) -> Quirks {
        if self.quirks_of.is_empty() {
            return self.quirks;
        }
        self.quirks_of.get(exporter).copied().unwrap_or(self.quirks)
    }

    /// Counts that a quirk acted outside of the decoder: [`Quirk::SequenceCountsTemplates`] does where sequence numbers are
    /// followed.
    pub fn count_quirk(&mut self, quirk: Quirk) {
        self.cache.quirks.counts.add(Quirks::NONE.with(quirk));
    }

    /// How often each quirk acted, of all exporters together.
    #[must_use]
    pub const fn quirk_counts(&self) -> &QuirkCounts {
        self.cache.quirk_counts()
    }

    /// What is known of the elements of an exporter: the definitions of [`Self::with_elements`], the built-in tables,
    /// and what the exporter's own type records say (RFC 5610).
    #[must_use]
    pub fn elements(&self, exporter: &E) -> Elements<'_> {
        let elements = self.defined_elements();
        let exporter = self.cache.policy().exporter(exporter);
        self.taught.of(&exporter).map_or(elements, |registry| elements.with_taught(registry))
    }

    fn defined_elements(&self) -> Elements<'_> {
        let built_in = Elements::default();
        self.defined.as_ref().map_or(built_in, |registry| built_in.with_defined(registry))
    }

    /// What exporters said of their own elements (RFC 5610).
    #[must_use]
    pub const fn taught(&self) -> &TaughtElements<E> {
        &self.taught
    }

    /// This decoder with another policy of whose templates are whose. The default takes all of `E` for the exporter.
    ///
    /// For a decoder that has not decoded anything yet: what it has learned stays under its old scopes.
    #[must_use]
    pub fn with_scopes(mut self, policy: ScopePolicy<E>) -> Self {
        self.cache.set_policy(policy);
        self
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
        self.datagrams += 1;
        self.restart = None;
        self.asked = None;
        self.cache.quirks.active = self.quirks(exporter);
        match u16_at(datagram, 0) {
            Some(v9::VERSION) => self.decode_v9(exporter, datagram, now),
            Some(ipfix::VERSION) => self.decode_ipfix(exporter, datagram, now),
            Some(1 | 5..=8) => self.decode_fixed(datagram, now),
            Some(other) => Err(DecodeError::new(0, DecodeErrorKind::UnsupportedVersion(other))),
            None => Err(DecodeError::truncated(0, 2, datagram.len())),
        }
    }

    // What follows makes a `Decoded` where the caller has it: copying one costs more than parsing a header.

    fn decode_fixed<'d, 'a>(
        &'d mut self,
        datagram: &'a [u8],
        now: Timestamp,
    ) -> Result<Decoded<'d, 'a, E>, DecodeError> {
        let mut records = FixedRecords::parse(datagram)?;
        if let Some(clock) = self.dated(records.clock(), now) {
            records.set_clock(clock);
        }
        let header = DatagramHeader::of_fixed(&records, &mut self.cache.quirks);
        let context = self.context(datagram, header, now);
        Ok(Decoded { decoder: self, context, content: Content::Fixed(records) })
    }

    fn decode_v9<'d, 'a>(
        &'d mut self,
        exporter: &E,
        datagram: &'a [u8],
        now: Timestamp,
    ) -> Result<Decoded<'d, 'a, E>, DecodeError> {
        let packet = v9::Packet::parse(datagram)?;
        let mut header = DatagramHeader::of_v9(packet.header());
        if let Some(clock) = self.dated(&header.clock, now) {
            header.clock = clock;
        }
        let key = self.cache.key(exporter, Protocol::NetFlow9, header.observation_domain);
        let slot = self.cache.find(&key);
        self.observe(slot, &header, now);
        let raw = packet.raw_sets(self.strictness == Strictness::Rfc).with_quirks(self.cache.quirks.active);
        let context = self.context(datagram, header, now);
        Ok(Decoded { decoder: self, context, content: Content::Sets(Sets::new(raw, key, slot)) })
    }

    fn decode_ipfix<'d, 'a>(
        &'d mut self,
        exporter: &E,
        datagram: &'a [u8],
        now: Timestamp,
    ) -> Result<Decoded<'d, 'a, E>, DecodeError> {
        let message = ipfix::Message::parse_lenient(datagram)?;
        let header = DatagramHeader::of_ipfix(message.header());
        let key = self.cache.key(exporter, Protocol::Ipfix, header.observation_domain);
        let slot = self.cache.find(&key);
        let quirks = self.cache.quirks.active;
        if self.strictness == Strictness::Rfc {
            strict::check_message(&message, quirks, self.transport, |id| self.cache.peek(slot?, id))?;
        }
        self.observe(slot, &header, now);
        let raw = message.raw_sets(false).with_quirks(quirks);
        // Octets behind a message are not part of it.
        let context = self.context(raw.datagram(), header, now);
        let mut sets = Sets::new(raw, key, slot);
        sets.report(message.length_fault());
        Ok(Decoded { decoder: self, context, content: Content::Sets(sets) })
    }

    #[inline]
    const fn context<'a>(&self, datagram: &'a [u8], header: DatagramHeader, now: Timestamp) -> Context<'a> {
        Context {
            datagram,
            header,
            strict: matches!(self.strictness, Strictness::Rfc),
            transport: self.transport,
            ordinal: self.datagrams - 1,
            now,
        }
    }

    /// Looks whether the header shows a restart; then templates are forgotten.
    #[inline]
    fn observe(&mut self, slot: Option<ScopeSlot>, header: &DatagramHeader, now: Timestamp) {
        if self.transport == Transport::Udp
            && let Some(slot) = slot
            && let Some(restart) = self.cache.observe(slot, header.sequence, &header.clock, now)
        {
            if restart.voids_templates() && self.on_restart == OnRestart::ForgetTemplates {
                self.cache.forget_before(slot, &restart);
            }
            self.restart = Some(restart);
        }
    }

    /// The clock of a header that has the uptime where the Unix time belongs.
    fn dated(&mut self, clock: &ExportClock, now: Timestamp) -> Option<ExportClock> {
        /// 2000-01-01, in seconds.
        const LEAST: u64 = 946_684_800;
        let quirk = Quirk::UptimeAsUnixTime;
        if !self.cache.quirks.active.contains(quirk) || clock.unix().as_secs() >= LEAST {
            return None;
        }
        self.count_quirk(quirk);
        Some(ExportClock::new(now, clock.uptime()))
    }
}
