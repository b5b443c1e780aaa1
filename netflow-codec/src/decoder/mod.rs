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
use self::{decoded::Content, sets::Sets};
use crate::{
    cache::{CacheLimits, ScopePolicy, TemplateCache},
    element::{ElementRegistry, Elements},
    error::{DecodeError, DecodeErrorKind},
    fixed::FixedRecords,
    ipfix,
    quirk::{QuirkCounts, Quirks},
    taught::TaughtElements,
    template::Protocol,
    time::Timestamp,
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
    quirks: Quirks,
    /// The quirks of some exporters.
    quirks_of: BTreeMap<E, Quirks>,
    datagrams: u64,
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
            quirks: match strictness {
                Strictness::Lenient => Quirks::DEFAULT,
                Strictness::Rfc => Quirks::RFC,
            },
            quirks_of: BTreeMap::new(),
            datagrams: 0,
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

    /// This decoder with other quirks; at first they are [`Quirks::DEFAULT`], with [`Strictness::Rfc`] [`Quirks::RFC`].
    ///
    /// What a quirk does to a template it does when the template is learned.
    #[must_use]
    pub fn with_quirks(self, quirks: Quirks) -> Self {
        Self { quirks, ..self }
    }

    /// Gives one exporter quirks of its own. `None` takes them away again.
    pub fn set_quirks_of(&mut self, exporter: E, quirks: Option<Quirks>) {
        match quirks {
            Some(quirks) => self.quirks_of.insert(exporter, quirks),
            None => self.quirks_of.remove(&exporter),
        };
    }

    /// The quirks of an exporter.
    #[must_use]
    pub fn quirks(&self, exporter: &E) -> Quirks {
        if self.quirks_of.is_empty() {
            return self.quirks;
        }
        self.quirks_of.get(exporter).copied().unwrap_or(self.quirks)
    }

    /// How often each quirk acted, of all exporters together.
    #[must_use]
    pub const fn quirk_counts(&self) -> &QuirkCounts {
        &self.cache.quirks.counts
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
        let ordinal = self.datagrams;
        self.datagrams += 1;
        self.cache.quirks.active = self.quirks(exporter);
        let version = u16_at(datagram, 0).ok_or_else(|| DecodeError::truncated(0, 2, datagram.len()))?;
        let (header, content) = match version {
            1 | 5..=8 => {
                let records = FixedRecords::parse(datagram)?;
                (DatagramHeader::of_fixed(&records, &mut self.cache.quirks), Content::Fixed(records))
            }
            v9::VERSION => {
                let packet = v9::Packet::parse(datagram)?;
                let sets = packet.raw_sets(self.strictness == Strictness::Rfc);
                let header = packet.header();
                let key = self.cache.key(exporter, Protocol::NetFlow9, header.source_id());
                (DatagramHeader::of_v9(header), Content::Sets(Sets::new(sets, key, &mut self.cache)))
            }
            ipfix::VERSION => {
                let message = ipfix::Message::parse_lenient(datagram)?;
                let header = message.header();
                let domain = header.observation_domain();
                let key = self.cache.key(exporter, Protocol::Ipfix, domain);
                let mut sets = Sets::new(message.raw_sets(false), key, &mut self.cache);
                if self.strictness == Strictness::Rfc {
                    strict::check_message(&message, self.transport, |id| self.cache.peek(sets.slot?, id))?;
                }
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
