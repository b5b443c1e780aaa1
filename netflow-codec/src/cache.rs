//! The template cache: which template an exporter means by an id. Bounded, so that no sender can fill memory.

use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::time::Duration;

use crate::{
    element::ElementId,
    error::{DecodeError, DecodeErrorKind},
    lru::LruMap,
    pending::{Origin, Pending, PendingLimits, PendingSet},
    record::DataRecords,
    sampling::SamplingTable,
    template::{LEAD, Protocol, Template, WireTemplate},
    time::{ExportClock, Timestamp},
};

/// Where template ids are unique: one observation domain of one exporter (RFC 3954 section 5.1).
///
/// What an exporter is decides the caller: an address, or an address and a port.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub struct TemplateScope<E> {
    /// The exporter, as the caller tells exporters apart.
    pub exporter: E,
    /// The protocol.
    pub protocol: Protocol,
    /// The observation domain; v9 calls it source ID.
    pub observation_domain: u32,
}

impl<E> TemplateScope<E> {
    /// A scope.
    #[must_use]
    pub const fn new(exporter: E, protocol: Protocol, observation_domain: u32) -> Self {
        Self { exporter, protocol, observation_domain }
    }
}

/// What a [`TemplateCache`] may hold. Whatever goes beyond is refused or evicted, and counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct CacheLimits {
    /// Scopes; the one used longest ago is evicted. Default 4,096.
    pub scopes: usize,
    /// Scopes of one exporter; its own one used longest ago is evicted. Default 256.
    pub scopes_per_exporter: usize,
    /// Templates of one scope; the one used longest ago is evicted. Default 1,024.
    pub templates_per_scope: usize,
    /// Fields of one template; a template with more is refused. Default 1,024.
    pub fields_per_template: u16,
    /// Octets of memory of all templates together, roughly; scopes used longest ago are evicted. Default 32 MiB.
    pub template_octets: usize,
    /// How long a template is used after it was last announced. Default: for ever.
    pub lifetime: Option<Duration>,
    /// Octets of data kept until their template comes, all scopes together; the oldest are dropped. Default 16 MiB.
    pub pending_octets: usize,
    /// The same of one scope; the oldest are dropped. Default 1 MiB.
    pub pending_octets_per_scope: usize,
    /// How long data is kept until its template comes. Default 5 minutes.
    pub pending_age: Duration,
}

impl Default for CacheLimits {
    fn default() -> Self {
        Self {
            scopes: 4_096,
            scopes_per_exporter: 256,
            templates_per_scope: 1_024,
            fields_per_template: 1_024,
            template_octets: 32 << 20,
            lifetime: None,
            pending_octets: 16 << 20,
            pending_octets_per_scope: 1 << 20,
            pending_age: Duration::from_secs(300),
        }
    }
}

/// What a [`TemplateCache`] counted since it was made.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[non_exhaustive]
pub struct CacheStats {
    /// Templates learned under an id that was free.
    pub new: u64,
    /// Templates announced again unchanged.
    pub refreshed: u64,
    /// Templates that replaced another one of their id.
    pub replaced: u64,
    /// Templates refused: malformed, empty, or over a limit.
    pub refused: u64,
    /// Templates whose lifetime ended.
    pub expired: u64,
    /// Templates withdrawn (IPFIX).
    pub withdrawn: u64,
    /// Templates evicted because their scope, or the cache, was full.
    pub evicted_templates: u64,
    /// Scopes evicted because the cache was full.
    pub evicted_scopes: u64,
    /// Data sets kept until their template comes.
    pub pending_kept: u64,
    /// Kept data sets that were decoded when it came.
    pub pending_recovered: u64,
    /// Data sets not kept, or dropped again: over a limit, too old, or their scope evicted.
    pub pending_dropped: u64,
}

/// What became of a template record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Learned {
    /// Its id was free.
    New,
    /// It was known; its lifetime starts again.
    Refreshed,
    /// It replaced another template of its id.
    Replaced,
}

/// Templates by scope and id, with what is known of sampling and the data that waits for a template.
#[derive(Debug)]
pub struct TemplateCache<E> {
    limits: CacheLimits,
    scopes: LruMap<TemplateScope<E>, Scope>,
    pending: Pending<TemplateScope<E>>,
    template_octets: usize,
    stats: CacheStats,
}

#[derive(Debug)]
struct Scope {
    templates: LruMap<u16, Entry>,
    sampling: SamplingTable,
    /// When the exporter booted, where options said so (element 160).
    boot: Option<Timestamp>,
}

#[derive(Debug)]
struct Entry {
    template: Arc<Template>,
    last_announced: Timestamp,
}

/// A scope of the cache during one datagram. Slots stay valid until another scope is opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScopeSlot(usize);

/// A data set that waited for its template, decoded now.
#[derive(Debug)]
pub struct RecoveredRecords {
    template: Arc<Template>,
    /// With [`LEAD`] octets before the records.
    octets: Box<[u8]>,
    clock: ExportClock,
    origin: Origin,
}

impl RecoveredRecords {
    /// The records. Their offsets count from the start of the set's header less 4 octets, not from the start
    /// of the datagram: add [`Self::offset_correction`].
    #[must_use]
    pub fn records(&self) -> DataRecords<'_> {
        DataRecords::new(Arc::clone(&self.template), &self.octets, LEAD, self.octets.len(), self.clock)
    }

    /// Where the set stood.
    #[must_use]
    pub const fn origin(&self) -> Origin {
        self.origin
    }

    /// What to add to a record's offset to have it counted from the start of its datagram.
    #[must_use]
    pub const fn offset_correction(&self) -> usize {
        // The set's header stands before its records; here LEAD octets do.
        (self.origin.offset + crate::set::SET_HEADER).saturating_sub(LEAD)
    }
}

impl<E: Clone + Ord> TemplateCache<E> {
    /// An empty cache.
    #[must_use]
    pub const fn new(limits: CacheLimits) -> Self {
        Self {
            limits,
            scopes: LruMap::new(),
            pending: Pending::new(),
            template_octets: 0,
            stats: CacheStats {
                new: 0,
                refreshed: 0,
                replaced: 0,
                refused: 0,
                expired: 0,
                withdrawn: 0,
                evicted_templates: 0,
                evicted_scopes: 0,
                pending_kept: 0,
                pending_recovered: 0,
                pending_dropped: 0,
            },
        }
    }

    /// The limits.
    #[must_use]
    pub const fn limits(&self) -> &CacheLimits {
        &self.limits
    }

    /// What was counted so far.
    #[must_use]
    pub const fn stats(&self) -> &CacheStats {
        &self.stats
    }

    /// How many scopes there are.
    #[must_use]
    pub fn scope_count(&self) -> usize {
        self.scopes.len()
    }

    /// How many templates there are.
    #[must_use]
    pub fn template_count(&self) -> usize {
        self.scopes.iter().map(|(_, scope)| scope.templates.len()).sum()
    }

    /// Octets of memory that the templates and the waiting data take, roughly.
    #[must_use]
    pub fn memory_octets(&self) -> usize {
        let of_scopes = self
            .scopes
            .iter()
            .map(|(_, scope)| scope.templates.memory_octets() + scope.sampling.memory_octets());
        let of_scopes: usize = of_scopes.sum();
        self.template_octets + self.pending.octets() + of_scopes + self.scopes.memory_octets()
    }

    /// A template, without marking it as used.
    #[must_use]
    pub fn get(&self, scope: &TemplateScope<E>, template_id: u16) -> Option<&Arc<Template>> {
        let templates = &self.scopes.value(self.scopes.slot(scope)?)?.templates;
        templates.value(templates.slot(&template_id)?).map(|entry| &entry.template)
    }

    /// All templates: scope, template, when it was last announced.
    pub fn iter(&self) -> impl Iterator<Item = (&TemplateScope<E>, &Arc<Template>, Timestamp)> {
        self.scopes.iter().flat_map(|(key, scope)| {
            scope.templates.iter().map(move |(_, entry)| (key, &entry.template, entry.last_announced))
        })
    }

    /// Forgets everything known of a scope.
    pub fn remove_scope(&mut self, scope: &TemplateScope<E>) {
        if let Some(forgotten) = self.scopes.remove(scope) {
            self.forget(scope, &forgotten);
        }
    }

    /// Data sets that wait for their template: scope, template id, octets, since when.
    pub fn pending(&self) -> impl Iterator<Item = (&TemplateScope<E>, u16, usize, Timestamp)> {
        self.pending.iter().map(|(scope, id, octets, origin)| (scope, id, octets, origin.received))
    }

    /// The scope's slot, if the scope is known.
    pub(crate) fn find(&mut self, scope: &TemplateScope<E>) -> Option<ScopeSlot> {
        self.scopes.touch(scope).map(ScopeSlot)
    }

    /// The scope's slot; makes the scope, evicting the one used longest ago when there are too many.
    pub(crate) fn open(&mut self, scope: TemplateScope<E>) -> ScopeSlot {
        if let Some(slot) = self.find(&scope) {
            return slot;
        }
        let (held, oldest) = self.scopes_of(&scope.exporter);
        if held >= self.limits.scopes_per_exporter.max(1) {
            // An exporter that makes up domains loses its own.
            if let Some(oldest) = oldest
                && let Some(forgotten) = self.scopes.remove(&oldest)
            {
                self.count_evicted(&oldest, &forgotten);
            }
        } else if self.scopes.len() >= self.limits.scopes.max(1) {
            self.evict_scope(None);
        }
        let empty = Scope { templates: LruMap::new(), sampling: SamplingTable::default(), boot: None };
        ScopeSlot(self.scopes.insert(scope, empty))
    }

    /// How many scopes an exporter has, and which of them was used longest ago.
    fn scopes_of(&self, exporter: &E) -> (usize, Option<TemplateScope<E>>) {
        let first = TemplateScope::new(exporter.clone(), Protocol::NetFlow9, 0);
        let own = self.scopes.from(&first).take_while(|(scope, _)| scope.exporter == *exporter);
        let mut oldest = None;
        let mut held = 0;
        for (scope, used) in own {
            held += 1;
            if oldest.is_none_or(|(_, least)| used < least) {
                oldest = Some((scope, used));
            }
        }
        (held, oldest.map(|(scope, _)| scope.clone()))
    }

    /// The template of a data set, marked as used. One whose lifetime is over is removed.
    pub(crate) fn lookup(
        &mut self,
        slot: ScopeSlot,
        template_id: u16,
        now: Timestamp,
    ) -> Option<Arc<Template>> {
        let scope = self.scopes.value_mut(slot.0)?;
        let entry = scope.templates.touch(&template_id)?;
        let entry = scope.templates.value(entry)?;
        if self.limits.lifetime.is_some_and(|lifetime| now.saturating_since(entry.last_announced) >= lifetime)
        {
            if let Some(entry) = scope.templates.remove(&template_id) {
                self.template_octets -= entry.template.memory_octets();
            }
            self.stats.expired += 1;
            return None;
        }
        Some(Arc::clone(&entry.template))
    }

    /// Counts a template record that could not be parsed.
    pub(crate) const fn count_refused(&mut self) {
        self.stats.refused += 1;
    }

    /// Takes a template record. A refused one leaves the template that has its id in place.
    pub(crate) fn learn(
        &mut self,
        slot: ScopeSlot,
        wire: &WireTemplate<'_>,
        strict: bool,
        now: Timestamp,
    ) -> Result<(Learned, Arc<Template>), DecodeError> {
        match self.check(wire, strict) {
            // Lenient: it takes the place of the template before it, whose layout is no longer meant, and decodes to
            // nothing.
            Err(DecodeError { kind: DecodeErrorKind::EmptyTemplate(_), .. }) if !strict => {}
            checked => checked.inspect_err(|_| self.stats.refused += 1)?,
        }
        let mut learned = Learned::New;
        if let Some(scope) = self.scopes.value_mut(slot.0)
            && let Some(known) = scope.templates.touch(&wire.id)
        {
            if let Some(entry) = scope.templates.value_mut(known)
                && entry.template.is_refreshed_by(wire)
            {
                entry.last_announced = now;
                self.stats.refreshed += 1;
                return Ok((Learned::Refreshed, Arc::clone(&entry.template)));
            }
            if let Some(entry) = scope.templates.remove(&wire.id) {
                self.template_octets -= entry.template.memory_octets();
            }
            learned = Learned::Replaced;
        }
        let template = Arc::new(Template::new(wire));
        let octets = template.memory_octets();
        self.make_room(slot, octets);
        if let Some(scope) = self.scopes.value_mut(slot.0) {
            scope.templates.insert(wire.id, Entry { template: Arc::clone(&template), last_announced: now });
            self.template_octets += octets;
        }
        match learned {
            Learned::Replaced => self.stats.replaced += 1,
            _ => self.stats.new += 1,
        }
        Ok((learned, template))
    }

    fn check(&self, wire: &WireTemplate<'_>, strict: bool) -> Result<(), DecodeError> {
        let limit = self.limits.fields_per_template;
        let fields = u16::try_from(wire.field_count()).unwrap_or(u16::MAX);
        if fields > limit {
            let kind = DecodeErrorKind::TooManyFields { template_id: wire.id, fields, limit };
            return Err(DecodeError::new(wire.offset, kind));
        }
        wire.check(strict)
    }

    /// Evicts templates and scopes until there is room for one more template of this many octets.
    fn make_room(&mut self, slot: ScopeSlot, octets: usize) {
        while self.template_octets.saturating_add(octets) > self.limits.template_octets {
            if !self.evict_scope(Some(slot.0)) {
                break;
            }
        }
        let limits = self.limits;
        let Some(scope) = self.scopes.value_mut(slot.0) else { return };
        while scope.templates.len() >= limits.templates_per_scope.max(1)
            || self.template_octets.saturating_add(octets) > limits.template_octets
        {
            let Some((_, entry)) = scope.templates.evict(None) else { break };
            self.template_octets -= entry.template.memory_octets();
            self.stats.evicted_templates += 1;
        }
    }

    fn evict_scope(&mut self, spared: Option<usize>) -> bool {
        let Some((key, scope)) = self.scopes.evict(spared) else { return false };
        self.count_evicted(&key, &scope);
        true
    }

    fn count_evicted(&mut self, key: &TemplateScope<E>, scope: &Scope) {
        self.stats.evicted_scopes += 1;
        self.stats.evicted_templates += scope.templates.len() as u64;
        self.forget(key, scope);
    }

    fn forget(&mut self, key: &TemplateScope<E>, scope: &Scope) {
        self.template_octets -=
            scope.templates.iter().map(|(_, entry)| entry.template.memory_octets()).sum::<usize>();
        self.stats.pending_dropped += self.pending.drop_scope(key);
    }

    /// Keeps a data set until its template comes; says whether it was kept.
    pub(crate) fn keep_pending(
        &mut self,
        scope: &TemplateScope<E>,
        template_id: u16,
        body: &[u8],
        clock: ExportClock,
        origin: Origin,
    ) -> bool {
        let limits = PendingLimits {
            octets: self.limits.pending_octets,
            octets_per_scope: self.limits.pending_octets_per_scope,
            age: self.limits.pending_age,
        };
        let (kept, dropped) = self.pending.keep(scope, template_id, body, clock, origin, &limits);
        self.stats.pending_kept += u64::from(kept);
        self.stats.pending_dropped += dropped + u64::from(!kept);
        kept
    }

    /// The oldest data set that waited for this template, if any is left.
    pub(crate) fn recover(
        &mut self,
        scope: &TemplateScope<E>,
        template: &Arc<Template>,
        now: Timestamp,
    ) -> Option<RecoveredRecords> {
        self.stats.pending_dropped += self.pending.drop_aged(now, self.limits.pending_age);
        let PendingSet { octets, clock, origin } = self.pending.take(scope, template.id())?;
        self.stats.pending_recovered += 1;
        Some(RecoveredRecords { template: Arc::clone(template), octets, clock, origin })
    }

    pub(crate) fn sampling(&self, slot: ScopeSlot) -> Option<&SamplingTable> {
        self.scopes.value(slot.0).map(|scope| &scope.sampling)
    }

    /// Takes what options records say of sampling and of the time of boot.
    pub(crate) fn learn_options(&mut self, slot: ScopeSlot, records: &DataRecords<'_>) {
        let Some(scope) = self.scopes.value_mut(slot.0) else { return };
        for record in records {
            scope.sampling.learn(&record);
            let boot =
                record.fields().find(|field| field.element() == ElementId::SYSTEM_INIT_TIME_MILLISECONDS);
            if let Some(boot) = boot.and_then(|field| field.as_unsigned()) {
                scope.boot = Some(Timestamp::from_millis(boot));
            }
        }
    }

    /// When the exporter booted, where options said so.
    pub(crate) fn boot(&self, slot: ScopeSlot) -> Option<Timestamp> {
        self.scopes.value(slot.0)?.boot
    }

    /// Ends the use of a template; says whether there was one.
    pub(crate) fn withdraw(&mut self, slot: ScopeSlot, template_id: u16) -> bool {
        let Some(scope) = self.scopes.value_mut(slot.0) else { return false };
        let Some(entry) = scope.templates.remove(&template_id) else { return false };
        self.template_octets -= entry.template.memory_octets();
        self.stats.withdrawn += 1;
        true
    }

    /// Ends the use of all templates, or of all options templates; says whether there was any.
    pub(crate) fn withdraw_all(&mut self, slot: ScopeSlot, options: bool) -> bool {
        let Some(scope) = self.scopes.value(slot.0) else { return false };
        let entries = scope.templates.iter().filter(|(_, entry)| entry.template.is_options() == options);
        let ids: Vec<u16> = entries.map(|(id, _)| *id).collect();
        ids.into_iter().filter(|id| self.withdraw(slot, *id)).count() > 0
    }
}
