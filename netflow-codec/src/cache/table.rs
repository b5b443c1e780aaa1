//! Exporters, their scopes and their templates: who has a place, and who loses it.

use alloc::sync::Arc;

use super::{
    entry::Entry,
    limits::CacheLimits,
    policy::TemplateScope,
    stats::{CacheStats, Full},
};
use crate::{
    lru::{LruMap, Segment, tree_octets},
    restart::{RestartDetector, RestartEvidence},
    sampling::SamplingTable,
    template::Template,
    time::Timestamp,
};

/// A scope and the exporter it belongs to.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct ScopeKey<E> {
    pub(crate) scope: TemplateScope<E>,
    pub(crate) exporter: E,
}

/// A scope of the cache during one datagram. Slots stay valid until another scope is opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScopeSlot {
    exporter: usize,
    scope: usize,
}

#[derive(Debug)]
pub(super) struct Exporter<E> {
    scopes: LruMap<TemplateScope<E>, Scope>,
    /// The rates that were announced in any of the scopes.
    pub(super) sampling: SamplingTable,
    octets_of_scopes: usize,
    /// What [`Table::octets`] holds of it.
    octets: usize,
}

impl<E: Clone + Ord> Exporter<E> {
    /// The scopes of a kind, that used longest ago first.
    #[cfg(feature = "serde")]
    pub(super) fn scopes_by_use(
        &self,
        segment: Segment,
    ) -> impl Iterator<Item = (&TemplateScope<E>, &Scope)> {
        let slots = self.scopes.by_use(segment);
        slots.filter_map(|slot| Some((self.scopes.key(slot)?, self.scopes.value(slot)?)))
    }

    /// Makes a scope established; others become newcomers again when that are too many.
    fn establish(&mut self, scope: usize, limits: &CacheLimits) {
        self.scopes.move_to(scope, Segment::Established);
        while self.scopes.established() > share_of_established(limits.scopes_per_exporter).max(1)
            && let Some(oldest) = self.scopes.oldest_of(Segment::Established, Some(scope))
        {
            self.scopes.move_to(oldest, Segment::Newcomer);
            if let Some(scope) = self.scopes.value_mut(oldest) {
                scope.proven = false;
            }
        }
    }
}

#[derive(Debug)]
pub(super) struct Scope {
    templates: LruMap<u16, Entry>,
    /// Templates that are not gone.
    live: usize,
    octets_of_templates: usize,
    pub(super) sampling: SamplingTable,
    /// When the exporter booted, where options said so (element 160), and when they came.
    pub(super) boot: Option<(Timestamp, Timestamp)>,
    /// What the headers say of restarts.
    pub(super) restarts: RestartDetector,
    /// Datagrams so far.
    pub(super) packets: u64,
    /// Whether the scope and its exporter are established.
    proven: bool,
    /// When they can be: no earlier than that has the scope been known for long enough.
    probation_ends: Timestamp,
    /// What [`Exporter::octets_of_scopes`] holds of it.
    octets: usize,
}

impl Scope {
    fn new(now: Timestamp, limits: &CacheLimits) -> Self {
        Self {
            templates: LruMap::new(),
            live: 0,
            octets_of_templates: 0,
            sampling: SamplingTable::default(),
            boot: None,
            restarts: RestartDetector::new(),
            packets: 1,
            proven: false,
            probation_ends: now.saturating_add(limits.probation),
            octets: 0,
        }
    }

    /// Whether the scope and its exporter are established, or cannot be yet.
    #[inline]
    pub(super) fn is_settled(&self, now: Timestamp) -> bool {
        self.proven || now < self.probation_ends
    }

    /// Takes what options say of the time of boot.
    pub(super) fn learn_boot(&mut self, boot: Timestamp, received: Timestamp) {
        let jitter = u64::from(RestartDetector::JITTER_MILLIS);
        if self.boot.is_some_and(|(before, _)| before.as_millis().abs_diff(boot.as_millis()) > jitter) {
            self.restarts.note(RestartEvidence::BOOT_MOVED);
        }
        self.boot = Some((boot, received));
    }

    /// How many templates can be used.
    pub(super) const fn live(&self) -> usize {
        self.live
    }

    /// The entry of an id, marked as used. Changes through it must not change its octets, nor whether it is gone.
    pub(super) fn touch(&mut self, template_id: u16) -> Option<&mut Entry> {
        let slot = self.templates.touch(&template_id)?;
        self.templates.value_mut(slot)
    }

    pub(super) fn entry(&self, template_id: u16) -> Option<&Entry> {
        self.templates.value(self.templates.slot(&template_id)?)
    }

    /// The entries, in the order of their ids.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.templates.iter().map(|(_, entry)| entry)
    }

    /// The entries, that used longest ago first.
    #[cfg(feature = "serde")]
    pub(super) fn entries_by_use(&self) -> impl Iterator<Item = &Entry> {
        self.templates.by_use(Segment::Newcomer).filter_map(|slot| self.templates.value(slot))
    }

    /// Changes an entry in any way.
    pub(super) fn change<T>(&mut self, template_id: u16, change: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        let entry = self.templates.value_mut(self.templates.slot(&template_id)?)?;
        let before = (entry.octets(), entry.gone);
        let result = change(entry);
        let after = (entry.octets(), entry.gone);
        self.octets_of_templates = self.octets_of_templates - before.0 + after.0;
        self.live = self.live + usize::from(before.1) - usize::from(after.1);
        Some(result)
    }

    pub(super) fn insert(&mut self, template_id: u16, entry: Entry) {
        self.octets_of_templates += entry.octets();
        self.live += usize::from(!entry.gone);
        self.templates.insert(template_id, entry);
    }

    pub(super) fn remove(&mut self, template_id: u16) -> Option<Entry> {
        let entry = self.templates.remove(&template_id)?;
        self.octets_of_templates -= entry.octets();
        self.live -= usize::from(!entry.gone);
        Some(entry)
    }

    /// Evicts the template used longest ago, if there are more than `least`; says whether there are.
    fn evict(&mut self, least: usize, full: Full, stats: &mut CacheStats) -> bool {
        if self.templates.len() <= least {
            return false;
        }
        let oldest = self.templates.oldest(None).and_then(|slot| self.templates.key(slot)).copied();
        let Some(entry) = oldest.and_then(|id| self.remove(id)) else { return false };
        if !entry.gone {
            stats.evicted_templates += 1;
            stats.evictions.count(full, 1);
        }
        true
    }

    fn memory_octets(&self) -> usize {
        self.octets_of_templates + self.templates.memory_octets() + self.sampling.memory_octets()
    }
}

/// What established exporters hold.
#[derive(Clone, Copy, Debug, Default)]
struct Established {
    scopes: usize,
    octets: usize,
}

#[derive(Debug)]
pub(super) struct Table<E> {
    exporters: LruMap<E, Exporter<E>>,
    scopes: usize,
    /// Of all exporters, without the map they are in.
    octets: usize,
    established: Established,
}

impl<E: Clone + Ord> Table<E> {
    pub(super) const fn new() -> Self {
        Self {
            exporters: LruMap::new(),
            scopes: 0,
            octets: 0,
            established: Established { scopes: 0, octets: 0 },
        }
    }

    pub(super) const fn scope_count(&self) -> usize {
        self.scopes
    }

    pub(super) fn exporter_count(&self) -> usize {
        self.exporters.len()
    }

    /// Octets of memory, at most.
    pub(super) fn memory_octets(&self) -> usize {
        self.octets + self.exporters.memory_octets()
    }

    /// Octets of memory, at most, of a cache with one template, without that template itself.
    pub(super) const fn least_octets() -> usize {
        const WORD: usize = size_of::<usize>();
        tree_octets(1, size_of::<E>() + WORD)
            + tree_octets(1, size_of::<TemplateScope<E>>() + WORD)
            + tree_octets(1, size_of::<u16>() + WORD)
            + size_of::<(E, Exporter<E>)>()
            + size_of::<(TemplateScope<E>, Scope)>()
            + size_of::<(u16, Entry)>()
            + 3 * 6 * WORD
    }

    /// The scope's slot, if the scope is known; it is marked as used.
    pub(super) fn find(&mut self, key: &ScopeKey<E>) -> Option<ScopeSlot> {
        let exporter = self.exporters.touch(&key.exporter)?;
        let scope = self.exporters.value_mut(exporter)?.scopes.touch(&key.scope)?;
        Some(ScopeSlot { exporter, scope })
    }

    /// The scope's slot; makes the scope, and room for it.
    pub(super) fn open(
        &mut self,
        key: &ScopeKey<E>,
        now: Timestamp,
        limits: &CacheLimits,
        stats: &mut CacheStats,
    ) -> ScopeSlot {
        if let Some(slot) = self.find(key) {
            return slot;
        }
        let exporter = self.exporters.touch(&key.exporter).unwrap_or_else(|| {
            let exporter = Exporter {
                scopes: LruMap::new(),
                sampling: SamplingTable::default(),
                octets_of_scopes: 0,
                octets: 0,
            };
            self.exporters.insert(key.exporter.clone(), exporter)
        });
        // An exporter that makes up domains loses its own.
        while self.scopes_of(exporter) >= limits.scopes_per_exporter.max(1)
            && self.evict_scope(exporter, None, Full::ExporterScopes, stats)
        {}
        while self.scopes >= limits.scopes.max(1) && self.evict_any_scope(exporter, limits, stats) {}
        let scope = match self.exporters.value_mut(exporter) {
            Some(exporter) => exporter.scopes.insert(key.scope.clone(), Scope::new(now, limits)),
            None => usize::MAX,
        };
        self.scopes += 1;
        if self.is_established(exporter) {
            self.established.scopes += 1;
            self.leave_room_to_newcomers(exporter, limits);
        }
        let slot = ScopeSlot { exporter, scope };
        self.settle(slot);
        self.make_room(slot, 0, 0, limits, stats);
        slot
    }

    pub(super) fn scope(&self, slot: ScopeSlot) -> Option<&Scope> {
        self.exporters.value(slot.exporter)?.scopes.value(slot.scope)
    }

    /// A scope. Who changes its octets calls [`Self::settle`] afterwards.
    #[inline]
    pub(super) fn scope_mut(&mut self, slot: ScopeSlot) -> Option<&mut Scope> {
        self.exporters.value_mut(slot.exporter)?.scopes.value_mut(slot.scope)
    }

    pub(super) fn get(&self, key: &ScopeKey<E>) -> Option<&Scope> {
        let exporter = self.exporters.value(self.exporters.slot(&key.exporter)?)?;
        exporter.scopes.value(exporter.scopes.slot(&key.scope)?)
    }

    pub(super) fn sampling_of_exporter(&self, slot: ScopeSlot) -> Option<&SamplingTable> {
        self.exporters.value(slot.exporter).map(|exporter| &exporter.sampling)
    }

    /// A scope, and what is known of the sampling of its exporter.
    pub(super) fn scope_and_sampling(&mut self, slot: ScopeSlot) -> Option<(&mut Scope, &mut SamplingTable)> {
        let exporter = self.exporters.value_mut(slot.exporter)?;
        Some((exporter.scopes.value_mut(slot.scope)?, &mut exporter.sampling))
    }

    /// All scopes, in their order.
    pub(super) fn scopes(&self) -> impl Iterator<Item = (&TemplateScope<E>, &Scope)> {
        self.exporters.iter().flat_map(|(_, exporter)| exporter.scopes.iter())
    }

    /// All exporters of a kind, that used longest ago first.
    #[cfg(feature = "serde")]
    pub(super) fn exporters_by_use(&self, segment: Segment) -> impl Iterator<Item = &Exporter<E>> {
        self.exporters.by_use(segment).filter_map(|slot| self.exporters.value(slot))
    }

    pub(super) fn is_established_exporter(&self, exporter: &E) -> bool {
        self.exporters.slot(exporter).is_some_and(|slot| self.is_established(slot))
    }

    /// Data was decoded, and the scope has been known for long enough: it and its exporter are established.
    #[cold]
    pub(super) fn prove(&mut self, slot: ScopeSlot, limits: &CacheLimits) {
        if let Some(exporter) = self.exporters.value_mut(slot.exporter) {
            exporter.establish(slot.scope, limits);
        }
        self.establish(slot.exporter, limits);
        self.note_proof(slot);
    }

    fn note_proof(&mut self, slot: ScopeSlot) {
        let proven = self.is_established(slot.exporter);
        let Some(exporter) = self.exporters.value_mut(slot.exporter) else { return };
        let proven = proven && exporter.scopes.segment(slot.scope) == Some(Segment::Established);
        if let Some(scope) = exporter.scopes.value_mut(slot.scope) {
            scope.proven = proven;
        }
    }

    /// Makes the scope and its exporter established, as they were when the cache was stored.
    #[cfg(feature = "serde")]
    pub(super) fn restore_proof(
        &mut self,
        slot: ScopeSlot,
        exporter: bool,
        scope: bool,
        limits: &CacheLimits,
    ) {
        if scope && let Some(exporter) = self.exporters.value_mut(slot.exporter) {
            exporter.scopes.move_to(slot.scope, Segment::Established);
        }
        if exporter {
            self.establish(slot.exporter, limits);
        }
        self.note_proof(slot);
    }

    fn establish(&mut self, exporter: usize, limits: &CacheLimits) {
        if self.is_established(exporter) {
            return;
        }
        self.exporters.move_to(exporter, Segment::Established);
        self.established.scopes += self.scopes_of(exporter);
        self.established.octets += self.exporters.value(exporter).map_or(0, |exporter| exporter.octets);
        self.leave_room_to_newcomers(exporter, limits);
    }

    /// Established exporters that have too large a share become newcomers again, but for one.
    fn leave_room_to_newcomers(&mut self, spared: usize, limits: &CacheLimits) {
        while (self.established.scopes > share_of_established(limits.scopes)
            || self.established.octets > share_of_established(limits.template_octets))
            && let Some(oldest) = self.exporters.oldest_of(Segment::Established, Some(spared))
        {
            self.exporters.move_to(oldest, Segment::Newcomer);
            if let Some(exporter) = self.exporters.value_mut(oldest) {
                exporter.scopes.values_mut().for_each(|scope| scope.proven = false);
                self.established.scopes -= exporter.scopes.len();
                self.established.octets -= exporter.octets;
            }
        }
    }

    /// Counts the octets of a scope anew.
    pub(super) fn settle(&mut self, slot: ScopeSlot) {
        if let Some(exporter) = self.exporters.value_mut(slot.exporter)
            && let Some(scope) = exporter.scopes.value_mut(slot.scope)
        {
            let octets = scope.memory_octets();
            exporter.octets_of_scopes = exporter.octets_of_scopes - scope.octets + octets;
            scope.octets = octets;
        }
        self.settle_exporter(slot.exporter);
    }

    fn settle_exporter(&mut self, slot: usize) {
        let established = self.is_established(slot);
        let Some(exporter) = self.exporters.value_mut(slot) else { return };
        let octets =
            exporter.octets_of_scopes + exporter.scopes.memory_octets() + exporter.sampling.memory_octets();
        let before = core::mem::replace(&mut exporter.octets, octets);
        self.octets = self.octets - before + octets;
        if established {
            self.established.octets = self.established.octets - before + octets;
        }
    }

    /// Evicts until there is room for one more template of so many octets; of the scope itself at last, but for its
    /// `least` newest templates.
    pub(super) fn make_room(
        &mut self,
        slot: ScopeSlot,
        octets: usize,
        least: usize,
        limits: &CacheLimits,
        stats: &mut CacheStats,
    ) {
        let templates = limits.templates_per_scope.max(1) - usize::from(least == 0);
        while self.scope(slot).is_some_and(|scope| scope.templates.len() > templates)
            && self.evict_template(slot, least, Full::Scope, stats)
        {}
        while self.octets_of(slot.exporter).saturating_add(octets) > limits.template_octets_per_exporter
            && self.evict_own(slot, least, Full::ExporterOctets, stats)
        {}
        while self.memory_octets().saturating_add(octets) > limits.template_octets
            && self.evict_any(slot, least, limits, stats)
        {}
    }

    /// Evicts a scope because the cache has too many: of a newcomer; of the exporter itself when it is one, or has more
    /// than its fair share; of the exporter used longest ago.
    fn evict_any_scope(&mut self, exporter: usize, limits: &CacheLimits, stats: &mut CacheStats) -> bool {
        let full = Full::CacheScopes;
        let fair = limits.scopes / self.exporters.len().max(1);
        let yields = !self.is_established(exporter) || self.scopes_of(exporter) > fair;
        self.evict_of_others(exporter, Some(Segment::Newcomer), full, stats)
            || yields && self.evict_scope(exporter, None, full, stats)
            || self.evict_of_others(exporter, None, full, stats)
            || self.evict_scope(exporter, None, full, stats)
    }

    /// Evicts something because the cache has too many octets, in the same order.
    fn evict_any(
        &mut self,
        slot: ScopeSlot,
        least: usize,
        limits: &CacheLimits,
        stats: &mut CacheStats,
    ) -> bool {
        let full = Full::CacheOctets;
        let fair = limits.template_octets / self.exporters.len().max(1);
        let yields = !self.is_established(slot.exporter) || self.octets_of(slot.exporter) > fair;
        self.evict_of_others(slot.exporter, Some(Segment::Newcomer), full, stats)
            || yields && self.evict_own(slot, least, full, stats)
            || self.evict_of_others(slot.exporter, None, full, stats)
            || self.evict_own(slot, least, full, stats)
    }

    /// Evicts another scope of the exporter, or else a template of the scope.
    fn evict_own(&mut self, slot: ScopeSlot, least: usize, full: Full, stats: &mut CacheStats) -> bool {
        self.evict_scope(slot.exporter, Some(slot.scope), full, stats)
            || self.evict_template(slot, least, full, stats)
    }

    fn evict_template(&mut self, slot: ScopeSlot, least: usize, full: Full, stats: &mut CacheStats) -> bool {
        let evicted = self.scope_mut(slot).is_some_and(|scope| scope.evict(least, full, stats));
        self.settle(slot);
        evicted
    }

    /// Evicts the scope of an exporter that was used longest ago, unless it is `spared`. The exporter stays.
    fn evict_scope(
        &mut self,
        exporter: usize,
        spared: Option<usize>,
        full: Full,
        stats: &mut CacheStats,
    ) -> bool {
        let oldest = self.exporters.value(exporter).and_then(|exporter| exporter.scopes.oldest(spared));
        let Some(scope) = oldest.and_then(|oldest| self.remove_scope(exporter, oldest)) else { return false };
        stats.evicted_scopes += 1;
        stats.evicted_templates += scope.live as u64;
        stats.evictions.count(full, scope.live as u64);
        true
    }

    /// Evicts a scope of the exporter used longest ago, of all or of one kind, which is not `spared`.
    fn evict_of_others(
        &mut self,
        spared: usize,
        segment: Option<Segment>,
        full: Full,
        stats: &mut CacheStats,
    ) -> bool {
        let oldest = match segment {
            Some(segment) => self.exporters.oldest_of(segment, Some(spared)),
            None => self.exporters.oldest(Some(spared)),
        };
        let Some(oldest) = oldest else { return false };
        let evicted = self.evict_scope(oldest, None, full, stats);
        self.remove_exporter_if_empty(oldest);
        evicted
    }

    /// Forgets a scope.
    pub(super) fn forget(&mut self, key: &ScopeKey<E>) -> Option<Scope> {
        let exporter = self.exporters.slot(&key.exporter)?;
        let scope = self.exporters.value(exporter)?.scopes.slot(&key.scope)?;
        let forgotten = self.remove_scope(exporter, scope);
        self.remove_exporter_if_empty(exporter);
        forgotten
    }

    /// Forgets an exporter; how many templates it had.
    pub(super) fn forget_exporter(&mut self, exporter: &E) -> usize {
        let Some(slot) = self.exporters.slot(exporter) else { return 0 };
        let mut templates = 0;
        while let Some(scope) = self.exporters.value(slot).and_then(|exporter| exporter.scopes.oldest(None)) {
            templates += self.remove_scope(slot, scope).map_or(0, |scope| scope.live);
        }
        self.remove_exporter_if_empty(slot);
        templates
    }

    fn remove_scope(&mut self, exporter: usize, scope: usize) -> Option<Scope> {
        let from = self.exporters.value_mut(exporter)?;
        let (_, removed) = from.scopes.remove_slot(scope)?;
        from.octets_of_scopes -= removed.octets;
        self.scopes -= 1;
        if self.is_established(exporter) {
            self.established.scopes -= 1;
        }
        self.settle_exporter(exporter);
        Some(removed)
    }

    fn remove_exporter_if_empty(&mut self, slot: usize) {
        if self.exporters.value(slot).is_none_or(|exporter| !exporter.scopes.is_empty()) {
            return;
        }
        let established = self.is_established(slot);
        if let Some((_, exporter)) = self.exporters.remove_slot(slot) {
            self.octets -= exporter.octets;
            if established {
                self.established.octets -= exporter.octets;
            }
        }
    }

    fn is_established(&self, exporter: usize) -> bool {
        self.exporters.segment(exporter) == Some(Segment::Established)
    }

    fn scopes_of(&self, exporter: usize) -> usize {
        self.exporters.value(exporter).map_or(0, |exporter| exporter.scopes.len())
    }

    fn octets_of(&self, exporter: usize) -> usize {
        self.exporters.value(exporter).map_or(0, |exporter| exporter.octets)
    }
}

/// Three quarters.
const fn share_of_established(limit: usize) -> usize {
    limit - limit / 4
}

/// The entry's template, if it can be used.
pub(super) fn usable(entry: &Entry) -> Option<&Arc<Template>> {
    (!entry.gone).then_some(&entry.template)
}
