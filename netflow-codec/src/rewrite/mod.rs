//! v9 packets as IPFIX messages (RFC 5655 appendix B).
//!
//! ```text
//! v9                                   IPFIX
//! version, count                       version, length
//! uptime, Unix seconds                 export time; the time of boot as an option (element 160)
//! sequence: packets                    sequence of its own: data records
//! source ID                            observation domain
//! FlowSet 0 and 1                      Set 2 and 3
//! FlowSet 2..=255                      refused
//! scope System, Interface, Line Card,  exportingProcessId (144), ingressInterface (10), lineCardId (141),
//!   Cache, Template                      meteringProcessId (143), templateId (145)
//! no scope, or one of no octets        observationDomainId (149)
//! field types above 127, length 65535  refused
//! ```

mod domain;
mod template;

use alloc::vec::Vec;

use thiserror::Error;

use self::{
    domain::{Domain, Shape},
    template::Rewritten,
};
use crate::{
    error::DecodeError,
    ipfix,
    lru::LruMap,
    set::{RawSets, Set},
    template::{Protocol, TemplateRecord, TemplateRecords},
    time::ExportClock,
    v9,
};

/// Rewrites the packets of one exporter as messages of one transport session.
///
/// It keeps no data back: a FlowSet whose template has not come is dropped and counted, because nobody knows how many
/// records it adds to the sequence. Memory is bounded; domains and templates used longest ago are forgotten.
///
/// ```
/// use netflow_codec::{ipfix, rewrite::V9ToIpfix};
///
/// let packet = [
///     0, 9, 0, 2, 0, 0, 0x27, 0x10, 0x65, 0x53, 0xf1, 0, 0, 0, 0, 77, 0, 0, 0, 1, // header
///     0, 0, 0, 12, 1, 0, 0, 1, 0, 4, 0, 1, // template 256: protocolIdentifier
///     1, 0, 0, 5, 17, // a record
/// ];
/// let mut rewriter = V9ToIpfix::default();
/// let mut message = Vec::new();
/// assert!(rewriter.rewrite(&packet, &mut message)?);
/// let message = ipfix::Message::parse(&message)?;
/// assert_eq!((message.header().observation_domain(), message.header().sequence()), (1, 0));
/// let ids: Vec<u16> = message.sets().map(|set| set.map(|set| set.id())).collect::<Result<_, _>>()?;
/// assert_eq!(ids, [ipfix::TEMPLATE_SET, 256]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct V9ToIpfix {
    config: RewriteConfig,
    domains: LruMap<u32, Domain>,
    stats: RewriteStats,
    /// The message being written.
    scratch: Vec<u8>,
    /// Templates of the packet at hand: they count only when all of the packet is rewritten.
    arrived: Vec<(u16, Shape)>,
}

/// How [`V9ToIpfix`] rewrites.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct RewriteConfig {
    /// What becomes of what IPFIX cannot carry.
    pub unconvertible: Unconvertible,
    /// Field types up to this one are the elements of the same number. Default 127, which is what RFC 5655 appendix B
    /// allows; up to 32,767 for exporters that use the numbers of IANA's registry in v9.
    pub highest_field_type: u16,
    /// Whether messages with uptimes (elements 21 and 22) say in an option when the exporter booted, because IPFIX has
    /// no uptime in its header (RFC 7011 section 5.1). Default: yes.
    pub announce_boot: bool,
    /// Observation domains that are remembered. Default 256.
    pub domains: usize,
    /// Templates of a domain that are remembered. Default 1,024.
    pub templates_per_domain: usize,
}

impl Default for RewriteConfig {
    fn default() -> Self {
        Self {
            unconvertible: Unconvertible::Refuse,
            highest_field_type: 127,
            announce_boot: true,
            domains: 256,
            templates_per_domain: 1_024,
        }
    }
}

/// What becomes of what IPFIX cannot carry.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Unconvertible {
    /// The whole packet is refused, and nothing remembered of it.
    #[default]
    Refuse,
    /// The template, with its data, or the FlowSet is left out and counted; the rest is rewritten.
    Drop,
}

/// Why a packet is not rewritten.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum RewriteError {
    /// It is no v9 packet, or malformed.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
    /// A FlowSet with a reserved id.
    #[error("FlowSet {0} has no meaning in IPFIX")]
    ReservedSet(u16),
    /// A field type without an element of the same number, or a scope type without any.
    #[error("template {template_id}: no element stands for type {field_type}")]
    FieldType {
        /// The template's id.
        template_id: u16,
        /// The type.
        field_type: u16,
    },
    /// A field of a length that its element cannot have in IPFIX; 65535 is no length in v9.
    #[error("template {template_id}: element {element} cannot have {length} octets")]
    FieldLength {
        /// The template's id.
        template_id: u16,
        /// The element.
        element: u16,
        /// The length.
        length: u16,
    },
    /// A template of records without octets: in IPFIX it would be a withdrawal.
    #[error("template {0} describes records of 0 octets")]
    EmptyTemplate(u16),
    /// The message would be longer than 65535 octets.
    #[error("the message would have {0} octets")]
    TooLong(usize),
}

/// What a [`V9ToIpfix`] counted since it was made.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct RewriteStats {
    /// Packets rewritten, those of which nothing was left included.
    pub packets: u64,
    /// Packets refused.
    pub refused: u64,
    /// Templates rewritten.
    pub templates: u64,
    /// Data records rewritten, those of options included; not those that say when the exporter booted.
    pub records: u64,
    /// Templates left out.
    pub dropped_templates: u64,
    /// Data records left out, because their template was.
    pub dropped_records: u64,
    /// FlowSets of reserved ids, and malformed ones, left out.
    pub dropped_sets: u64,
    /// Data FlowSets left out because their template has not come.
    pub sets_without_template: u64,
}

impl Default for V9ToIpfix {
    fn default() -> Self {
        Self::new(RewriteConfig::default())
    }
}

impl V9ToIpfix {
    /// A rewriter at the beginning of a session.
    #[must_use]
    pub const fn new(config: RewriteConfig) -> Self {
        Self {
            config,
            domains: LruMap::new(),
            stats: RewriteStats {
                packets: 0,
                refused: 0,
                templates: 0,
                records: 0,
                dropped_templates: 0,
                dropped_records: 0,
                dropped_sets: 0,
                sets_without_template: 0,
            },
            scratch: Vec::new(),
            arrived: Vec::new(),
        }
    }

    /// What was counted so far.
    #[must_use]
    pub const fn stats(&self) -> &RewriteStats {
        &self.stats
    }

    /// Rewrites a packet into a message, which is appended to `message`; says whether there is one. There is none when
    /// nothing of the packet was left.
    ///
    /// # Errors
    ///
    /// [`RewriteError`]; then nothing was appended and nothing is remembered of the packet.
    pub fn rewrite(&mut self, packet: &[u8], message: &mut Vec<u8>) -> Result<bool, RewriteError> {
        let packet = v9::Packet::parse(packet).inspect_err(|_| self.stats.refused += 1)?;
        let slot = self.domain(packet.header().source_id());
        let Self { config, domains, stats, scratch, arrived } = self;
        let Some(domain) = domains.value_mut(slot) else { return Ok(false) };
        scratch.clear();
        arrived.clear();
        let mut pass = Pass {
            config,
            domain,
            message: scratch,
            arrived,
            clock: packet.header().clock(),
            source_id: packet.header().source_id(),
            has_boot: false,
            records: 0,
            stats: RewriteStats::default(),
        };
        let rewritten = pass.run(&packet);
        let (records, counted) = (pass.records, pass.stats);
        let octets = match rewritten {
            Ok(()) if scratch.len() > usize::from(u16::MAX) => Err(RewriteError::TooLong(scratch.len())),
            Ok(()) => Ok(scratch.len()),
            Err(error) => Err(error),
        };
        let octets = octets.inspect_err(|_| stats.refused += 1)?;
        for (id, shape) in arrived.drain(..) {
            domain.learn(id, shape, config.templates_per_domain);
        }
        stats.add(&counted);
        if octets == ipfix::HEADER_LEN {
            return Ok(false);
        }
        if let Some(length) = scratch.get_mut(2..4) {
            length.copy_from_slice(&u16::try_from(octets).unwrap_or(u16::MAX).to_be_bytes());
        }
        domain.sequence = domain.sequence.wrapping_add(records);
        message.extend_from_slice(scratch);
        Ok(true)
    }

    fn domain(&mut self, source_id: u32) -> usize {
        if let Some(slot) = self.domains.touch(&source_id) {
            return slot;
        }
        while self.domains.len() >= self.config.domains.max(1) && self.domains.evict(None).is_some() {}
        self.domains.insert(source_id, Domain::new())
    }
}

impl RewriteStats {
    fn add(&mut self, packet: &Self) {
        self.packets += 1;
        self.templates += packet.templates;
        self.records += packet.records;
        self.dropped_templates += packet.dropped_templates;
        self.dropped_records += packet.dropped_records;
        self.dropped_sets += packet.dropped_sets;
        self.sets_without_template += packet.sets_without_template;
    }
}

/// One packet on its way through.
struct Pass<'p> {
    config: &'p RewriteConfig,
    domain: &'p Domain,
    message: &'p mut Vec<u8>,
    arrived: &'p mut Vec<(u16, Shape)>,
    clock: ExportClock,
    source_id: u32,
    /// Whether the message says when the exporter booted.
    has_boot: bool,
    /// Data records of the message.
    records: u32,
    stats: RewriteStats,
}

impl Pass<'_> {
    fn run(&mut self, packet: &v9::Packet<'_>) -> Result<(), RewriteError> {
        let seconds = u32::try_from(self.clock.unix().as_secs()).unwrap_or(u32::MAX);
        self.message.extend([0, 10, 0, 0]);
        for word in [seconds, self.domain.sequence, self.source_id] {
            self.message.extend(word.to_be_bytes());
        }
        for set in packet.raw_sets(true) {
            match set {
                Ok(set) => self.set(packet, &set)?,
                Err(error) => self.leave_out(error.into())?,
            }
        }
        Ok(())
    }

    fn set(&mut self, packet: &v9::Packet<'_>, set: &Set<'_>) -> Result<(), RewriteError> {
        match set.id {
            v9::TEMPLATE_FLOWSET => self.templates(set, ipfix::TEMPLATE_SET),
            v9::OPTIONS_TEMPLATE_FLOWSET => self.templates(set, ipfix::OPTIONS_TEMPLATE_SET),
            id @ 0..=255 => self.leave_out(RewriteError::ReservedSet(id)),
            id => {
                self.data(packet, id, set.body);
                Ok(())
            }
        }
    }

    /// What cannot be rewritten ends all, or is counted.
    const fn leave_out(&mut self, error: RewriteError) -> Result<(), RewriteError> {
        if matches!(self.config.unconvertible, Unconvertible::Refuse) {
            return Err(error);
        }
        match error {
            RewriteError::Malformed(_) | RewriteError::ReservedSet(_) => self.stats.dropped_sets += 1,
            _ => self.stats.dropped_templates += 1,
        }
        Ok(())
    }

    fn templates(&mut self, set: &Set<'_>, id: u16) -> Result<(), RewriteError> {
        let start = self.open(id);
        let options = id == ipfix::OPTIONS_TEMPLATE_SET;
        for record in TemplateRecords::new(Protocol::NetFlow9, set.body, set.body_offset(), options) {
            let wire = match record {
                Ok(TemplateRecord::Template(wire)) => wire,
                // v9 has none.
                Ok(TemplateRecord::Withdrawal { .. }) => continue,
                Err(error) => {
                    self.leave_out(error.into())?;
                    continue;
                }
            };
            let shape = match template::rewrite(&wire, self.config.highest_field_type, self.message) {
                Ok(Rewritten { record_len, has_uptimes, has_scope_added }) => {
                    self.stats.templates += 1;
                    Shape { record_len, has_uptimes, has_scope_added, is_dropped: false }
                }
                Err(error) => {
                    self.leave_out(error)?;
                    Shape::dropped(wire.fields().map(|field| usize::from(field.length)).sum())
                }
            };
            self.arrived.push((wire.id, shape));
        }
        self.close(start);
        Ok(())
    }

    fn data(&mut self, packet: &v9::Packet<'_>, id: u16, body: &[u8]) {
        let Some(shape) = self.shape(id) else {
            self.stats.sets_without_template += 1;
            return;
        };
        let Some(fit) = body.len().checked_div(shape.record_len) else { return };
        let count = fit - self.padding(packet, body, &shape);
        if shape.is_dropped {
            self.stats.dropped_records += count as u64;
            return;
        }
        if shape.has_uptimes && self.config.announce_boot && !self.has_boot {
            self.boot();
        }
        let start = self.open(id);
        if shape.has_scope_added {
            for record in body.chunks_exact(shape.record_len).take(count) {
                self.message.extend(self.source_id.to_be_bytes());
                self.message.extend_from_slice(record);
            }
        } else {
            // Padding is left out: IPFIX needs none.
            self.message.extend_from_slice(body.get(..count * shape.record_len).unwrap_or(body));
        }
        self.close(start);
        self.stats.records += count as u64;
        self.records = self.records.wrapping_add(u32::try_from(count).unwrap_or(u32::MAX));
    }

    /// How many records at the end of a FlowSet are padding.
    fn padding(&self, packet: &v9::Packet<'_>, body: &[u8], shape: &Shape) -> usize {
        let own = v9::padding::doubtful(body.len(), shape.record_len);
        if own == 0 {
            return 0;
        }
        let sets: RawSets<'_> = packet.raw_sets(true);
        let tally = v9::padding::tally(sets, |id| self.shape(id).map(|shape| shape.record_len));
        match tally.map(|tally| tally.settle(packet.header().count(), own)) {
            Some(v9::padding::Verdict::Padding(records)) => records,
            _ => 0,
        }
    }

    /// The newest shape of this id.
    fn shape(&self, id: u16) -> Option<Shape> {
        let arrived = self.arrived.iter().rev().find(|(arrived, _)| *arrived == id);
        arrived.map(|(_, shape)| *shape).or_else(|| self.domain.shape(id))
    }

    /// Says when the exporter booted: an options template and its record.
    fn boot(&mut self) {
        let is_free = |id: &u16| self.shape(*id).is_none();
        let Some(id) = (256..=u16::MAX).rev().find(is_free) else { return };
        self.has_boot = true;
        let start = self.open(ipfix::OPTIONS_TEMPLATE_SET);
        self.message.extend(id.to_be_bytes());
        // Two fields, one of them a scope: observationDomainId; systemInitTimeMilliseconds.
        self.message.extend([0, 2, 0, 1, 0, 149, 0, 4, 0, 160, 0, 8]);
        self.close(start);
        let start = self.open(id);
        let uptime = u64::from(self.clock.uptime().as_millis());
        let boot = self.clock.unix().as_millis().saturating_sub(uptime);
        self.message.extend(self.source_id.to_be_bytes());
        self.message.extend(boot.to_be_bytes());
        self.close(start);
        self.records = self.records.wrapping_add(1);
    }

    /// Begins a set; says where.
    fn open(&mut self, id: u16) -> usize {
        let start = self.message.len();
        self.message.extend(id.to_be_bytes());
        self.message.extend([0, 0]);
        start
    }

    /// Ends the set that began at `start`; an empty one is taken out again.
    fn close(&mut self, start: usize) {
        let length = self.message.len() - start;
        if length == 4 {
            self.message.truncate(start);
        } else if let Some(field) = self.message.get_mut(start + 2..start + 4) {
            // A message that is too long for its own length field is not sent.
            field.copy_from_slice(&u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
        }
    }
}
