//! The template cache: which template an exporter means by an id. Bounded, so that no sender can fill memory.
//!
//! ```text
//! exporters       evicted by use, newcomers first; each has quotas
//!   scopes        evicted by use within their exporter
//!     templates   evicted by use within their scope
//! pending         data sets that wait for a template of a scope
//! ```

mod entry;
mod limits;
mod pending;
mod policy;
#[cfg(feature = "serde")]
mod snapshot;
mod stats;
mod table;

use alloc::{sync::Arc, vec::Vec};

use crate::{
    element::ElementId,
    error::{DecodeError, DecodeErrorKind},
    quirk::{QuirkCounts, QuirkState},
    record::DataRecords,
    restart::{Restart, RestartEvidence},
    sampling::SamplingTable,
    template::{Protocol, Template, WireTemplate},
    time::{ExportClock, Timestamp},
};
use entry::Entry;
use limits::Announcements;
use pending::{Pending, PendingLimits, PendingSet, Unknown};
use table::Table;

pub(crate) use entry::Reception;
pub use entry::{RecoveredRecords, TemplateEntry};
pub use limits::{CacheLimits, TemplateLifetime};
pub use pending::{DroppedSet, Origin, WaitingSet};
pub use policy::{ScopePolicy, TemplateScope};
#[cfg(feature = "serde")]
pub use snapshot::{CacheSnapshot, Restored, SnapshotError};
pub use stats::{CacheStats, EvictionCounts, PendingDrop, PendingDropCounts, RefusalCounts};
pub(crate) use table::{ScopeKey, ScopeSlot};

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
    /// It was exported before the template that its id stands for now, and overtaken by it: not taken.
    Late,
}

/// Templates by scope and id, with what is known of sampling and the data that waits for a template.
#[derive(Debug)]
pub struct TemplateCache<E> {
    limits: CacheLimits,
    policy: ScopePolicy<E>,
    table: Table<E>,
    pending: Pending<E>,
    stats: CacheStats,
    /// The quirks of the exporter whose datagram is being decoded.
    pub(crate) quirks: QuirkState,
}

impl<E: Clone + Ord> TemplateCache<E> {
    /// An empty cache with the default policy.
    #[must_use]
    pub fn new(limits: CacheLimits) -> Self {
        Self::with_policy(limits, ScopePolicy::default())
    }

    /// An empty cache.
    #[must_use]
    pub fn with_policy(limits: CacheLimits, policy: ScopePolicy<E>) -> Self {
        let (table, pending, stats) = (Table::new(), Pending::new(), CacheStats::default());
        Self { limits, policy, table, pending, stats, quirks: QuirkState::new() }
    }

    /// The limits.
    #[must_use]
    pub const fn limits(&self) -> &CacheLimits {
        &self.limits
    }

    /// Whose templates are whose.
    #[must_use]
    pub const fn policy(&self) -> &ScopePolicy<E> {
        &self.policy
    }

    /// What was counted so far.
    #[must_use]
    pub const fn stats(&self) -> &CacheStats {
        &self.stats
    }

    /// How often each quirk acted, of all exporters together.
    #[must_use]
    pub const fn quirk_counts(&self) -> &QuirkCounts {
        &self.quirks.counts
    }

    /// How many exporters there are.
    #[must_use]
    pub fn exporter_count(&self) -> usize {
        self.table.exporter_count()
    }

    /// How many scopes there are.
    #[must_use]
    pub const fn scope_count(&self) -> usize {
        self.table.scope_count()
    }

    /// How many templates there are.
    #[must_use]
    pub fn template_count(&self) -> usize {
        self.table.scopes().map(|(_, scope)| scope.live()).sum()
    }

    /// Octets of memory that the templates and the waiting data take, at most, with all that holds them.
    #[must_use]
    pub fn memory_octets(&self) -> usize {
        self.table.memory_octets() + self.pending.octets()
    }

    /// A template, without marking it as used.
    #[must_use]
    pub fn get(&self, scope: &TemplateScope<E>, template_id: u16) -> Option<&Arc<Template>> {
        table::usable(self.table.get(&self.key_of(scope.clone()))?.entry(template_id)?)
    }

    /// All templates, by exporter, scope and id (RFC 3954 section 9, RFC 7011 section 8.4).
    pub fn iter(&self) -> impl Iterator<Item = TemplateEntry<'_, E>> {
        self.table.scopes().flat_map(|(scope, content)| {
            content.entries().filter_map(move |entry| {
                Some(TemplateEntry {
                    scope,
                    template: table::usable(entry)?,
                    last_announced: entry.announcements.last,
                    announcements: entry.announcements.count,
                    interval: entry.announcements.interval(),
                })
            })
        })
    }

    /// Data sets that wait for their template.
    pub fn pending(&self) -> impl Iterator<Item = WaitingSet<'_, E>> {
        self.pending.iter()
    }

    /// The last 32 data sets that waited in vain, the oldest first: why, and for how long they waited.
    pub fn dropped(&self) -> impl Iterator<Item = &DroppedSet<E>> {
        self.pending.recent()
    }

    /// Forgets everything known of a scope.
    pub fn remove_scope(&mut self, scope: &TemplateScope<E>) {
        if let Some(forgotten) = self.table.forget(&self.key_of(scope.clone())) {
            self.stats.forgotten += forgotten.live() as u64;
        }
        self.pending.drop_scope(scope);
        self.count_drops();
    }

    /// Forgets everything known of the exporter that a sender belongs to: it was restarted, its clock was set, its
    /// session ended (RFC 3954 section 9, RFC 7011 section 8.1).
    pub fn remove_exporter(&mut self, sender: &E) {
        let exporter = self.policy.exporter(sender);
        self.stats.forgotten += self.table.forget_exporter(&exporter) as u64;
        self.pending.drop_exporter(&exporter);
        self.count_drops();
    }

    /// Drops the data sets that have waited for too long by now. Datagrams that come do the same; this is for the time
    /// when none come.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.pending.drop_aged(now, self.limits.pending_age);
        self.count_drops();
    }

    pub(crate) const fn set_policy(&mut self, policy: ScopePolicy<E>) {
        self.policy = policy;
    }

    /// The scope of a sender's datagram, and its exporter.
    pub(crate) fn key(&self, sender: &E, protocol: Protocol, observation_domain: u32) -> ScopeKey<E> {
        self.key_of(self.policy.scope(sender, protocol, observation_domain))
    }

    fn key_of(&self, scope: TemplateScope<E>) -> ScopeKey<E> {
        // Of the scope's exporter, not of the sender: so each scope has one exporter, whatever the policy does.
        ScopeKey { exporter: self.policy.exporter(&scope.exporter), scope }
    }

    /// The scope's slot, if the scope is known, for a datagram.
    pub(crate) fn find(&mut self, key: &ScopeKey<E>) -> Option<ScopeSlot> {
        let slot = self.table.find(key)?;
        if let Some(scope) = self.table.scope_mut(slot) {
            scope.packets += 1;
        }
        Some(slot)
    }

    /// The scope's slot; makes the scope, evicting others when there are too many.
    pub(crate) fn open(&mut self, key: &ScopeKey<E>, now: Timestamp) -> ScopeSlot {
        self.table.open(key, now, &self.limits, &mut self.stats)
    }

    /// The template of a data set, marked as used. One whose lifetime is over is not found.
    pub(crate) fn lookup(
        &mut self,
        slot: ScopeSlot,
        template_id: u16,
        reception: &Reception,
    ) -> Option<Arc<Template>> {
        let scope = self.table.scope_mut(slot)?;
        let (packets, settled) = (scope.packets, scope.is_settled(reception.received));
        let entry = scope.touch(template_id)?;
        if entry.gone {
            return None;
        }
        if entry.is_over(reception, packets, &self.limits) {
            scope.change(template_id, |entry| entry.gone = true);
            self.stats.expired += 1;
            return None;
        }
        let template = match entry.previous() {
            Some(previous) if entry.is_late(reception, &self.limits) => {
                self.stats.late_data += 1;
                Arc::clone(previous)
            }
            _ => Arc::clone(&entry.template),
        };
        if !settled {
            self.table.prove(slot, &self.limits);
        }
        Some(template)
    }

    /// The template of an id, without marking it as used.
    pub(crate) fn peek(&self, slot: ScopeSlot, template_id: u16) -> Option<&Arc<Template>> {
        table::usable(self.table.scope(slot)?.entry(template_id)?)
    }

    /// Counts a template record that could not be parsed.
    pub(crate) const fn count_refused(&mut self, error: &DecodeError) {
        self.stats.refused += 1;
        self.stats.refusals.count(&error.kind);
    }

    /// Takes a template record. A refused one leaves the template that has its id in place.
    pub(crate) fn learn(
        &mut self,
        slot: ScopeSlot,
        key: &ScopeKey<E>,
        wire: &WireTemplate<'_>,
        strict: bool,
        reception: &Reception,
    ) -> Result<(Learned, Arc<Template>), DecodeError> {
        match self.check(wire, strict) {
            // Lenient: it takes the place of the template before it, whose layout is no longer meant, and decodes to
            // nothing.
            Err(DecodeError { kind: DecodeErrorKind::EmptyTemplate(_), .. }) if !strict => {}
            checked => checked.inspect_err(|error| self.count_refused(error))?,
        }
        if let Some(refreshed) = self.refresh(slot, wire, reception) {
            return Ok(refreshed);
        }
        let template = Arc::new(Template::new(wire));
        self.check_size(wire, &template).inspect_err(|error| self.count_refused(error))?;
        self.quirks.counts.add(template.quirks());
        let Some(scope) = self.table.scope_mut(slot) else { return Ok((Learned::New, template)) };
        if scope.entry(wire.id).is_some_and(|entry| entry.is_late(reception, &self.limits)) {
            self.stats.late_templates += 1;
            return Ok((Learned::Late, template));
        }
        let announcements = Announcements::first(reception.received, scope.packets);
        let mut entry = Entry::new(Arc::clone(&template), announcements, *reception, &self.limits);
        let mut learned = Learned::New;
        if let Some(other) = scope.remove(wire.id) {
            if !other.gone {
                learned = Learned::Replaced;
                scope.restarts.note(RestartEvidence::TEMPLATE_REDEFINED);
            }
            entry = entry.replacing(other, &self.limits);
            let Reception { received, exported, .. } = *reception;
            self.pending.drop_superseded(&key.scope, wire.id, exported, received);
        }
        self.insert(slot, entry);
        match learned {
            Learned::Replaced => self.stats.replaced += 1,
            _ => self.stats.new += 1,
        }
        if learned == Learned::Replaced && reception.ordered {
            self.stats.replaced_without_withdrawal += 1;
        }
        self.count_drops();
        Ok((learned, template))
    }

    fn insert(&mut self, slot: ScopeSlot, entry: Entry) {
        let (template_id, octets) = (entry.template.id(), entry.octets());
        self.table.settle(slot);
        self.table.make_room(slot, octets, 0, &self.limits, &mut self.stats);
        if let Some(scope) = self.table.scope_mut(slot) {
            scope.insert(template_id, entry);
        }
        self.table.settle(slot);
        // The maps have grown, too.
        self.table.make_room(slot, 0, 1, &self.limits, &mut self.stats);
    }

    /// Takes a template record that is the same as the last one of its id.
    fn refresh(
        &mut self,
        slot: ScopeSlot,
        wire: &WireTemplate<'_>,
        reception: &Reception,
    ) -> Option<(Learned, Arc<Template>)> {
        let limits = &self.limits;
        let scope = self.table.scope_mut(slot)?;
        let packets = scope.packets;
        let entry = scope.touch(wire.id)?;
        if !entry.template.is_refreshed_by(wire) {
            return None;
        }
        entry.announced(reception.received, packets, limits);
        let template = Arc::clone(&entry.template);
        let gone = entry.gone;
        if gone || entry.previous().is_some() {
            scope.change(wire.id, |entry| {
                entry.gone = false;
                entry.tidy(reception.received, limits);
            });
            self.table.settle(slot);
        }
        if gone {
            self.stats.new += 1;
            return Some((Learned::New, template));
        }
        self.stats.refreshed += 1;
        Some((Learned::Refreshed, template))
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

    /// Whether the template fits into an otherwise empty cache.
    fn check_size(&self, wire: &WireTemplate<'_>, template: &Template) -> Result<(), DecodeError> {
        let octets = Entry::octets_of(template) + Table::<E>::least_octets();
        let limit = self.limits.template_octets.min(self.limits.template_octets_per_exporter);
        if octets <= limit {
            return Ok(());
        }
        let [octets, limit] = [octets, limit].map(|octets| u32::try_from(octets).unwrap_or(u32::MAX));
        let kind = DecodeErrorKind::TemplateTooLarge { template_id: wire.id, octets, limit };
        Err(DecodeError::new(wire.offset, kind))
    }

    /// Keeps a data set until its template comes; says whether it was kept.
    pub(crate) fn keep_pending(
        &mut self,
        key: &ScopeKey<E>,
        template_id: u16,
        body: &[u8],
        clock: ExportClock,
        origin: Origin,
    ) -> bool {
        let limits = PendingLimits {
            octets: self.limits.pending_octets,
            octets_per_exporter: self.limits.pending_octets_per_exporter,
            age: self.limits.pending_age,
        };
        let ScopeKey { scope, exporter } = key;
        let established = self.table.is_established_exporter(exporter);
        let unknown = Unknown { scope, exporter, established, template_id, body, clock, origin };
        let kept = self.pending.keep(&unknown, &limits);
        self.stats.pending_kept += u64::from(kept);
        self.count_drops();
        kept
    }

    /// The oldest data set that waited for this template, if any is left.
    pub(crate) fn recover(
        &mut self,
        key: &ScopeKey<E>,
        template: &Arc<Template>,
        now: Timestamp,
    ) -> Option<RecoveredRecords> {
        self.handle_timeout(now);
        let PendingSet { octets, clock, origin } = self.pending.take(&key.scope, template.id())?;
        self.stats.pending_recovered += 1;
        Some(RecoveredRecords { template: Arc::clone(template), octets, clock, origin })
    }

    fn count_drops(&mut self) {
        self.stats.pending_drops = *self.pending.drops();
        self.stats.pending_dropped = self.stats.pending_drops.total();
    }

    /// The rates that were announced in the scope.
    pub(crate) fn sampling(&self, slot: ScopeSlot) -> Option<&SamplingTable> {
        self.table.scope(slot).map(|scope| &scope.sampling)
    }

    /// The rates that were announced in any scope of the exporter, when the policy has the fallback. Of two that
    /// contradict each other this is the later one.
    pub(crate) fn fallback_sampling(&self, slot: ScopeSlot) -> Option<&SamplingTable> {
        self.table.sampling_of_exporter(slot).filter(|_| self.policy.has_fallback())
    }

    /// Takes what options records say of sampling and of the time of boot.
    pub(crate) fn learn_options(&mut self, slot: ScopeSlot, records: &DataRecords<'_>, now: Timestamp) {
        let fallback = self.policy.has_fallback();
        let Some((scope, of_exporter)) = self.table.scope_and_sampling(slot) else { return };
        let most = SamplingTable::most(self.limits.template_octets_per_exporter);
        for record in records {
            let acted = scope.sampling.learn(&record, self.quirks.active, most);
            self.quirks.counts.add(acted);
            if fallback {
                of_exporter.learn(&record, self.quirks.active, most);
            }
            let boot =
                record.fields().find(|field| field.element() == ElementId::SYSTEM_INIT_TIME_MILLISECONDS);
            if let Some(boot) = boot.and_then(|field| field.as_unsigned()) {
                scope.learn_boot(Timestamp::from_millis(boot), now);
            }
        }
        self.stats.sampling_refused += scope.sampling.take_refused();
        self.table.settle(slot);
        self.table.make_room(slot, 0, 1, &self.limits, &mut self.stats);
    }

    /// When the exporter booted, where options said so.
    pub(crate) fn boot(&self, slot: ScopeSlot) -> Option<Timestamp> {
        self.table.scope(slot)?.boot.map(|(boot, _)| boot)
    }

    /// Takes the header of a datagram of the scope; says whether it completes the evidence of a restart.
    #[inline]
    pub(crate) fn observe(
        &mut self,
        slot: ScopeSlot,
        sequence: Option<u32>,
        clock: &ExportClock,
        now: Timestamp,
    ) -> Option<Restart> {
        self.table.scope_mut(slot)?.restarts.observe(sequence, clock, now)
    }

    /// Forgets what the scope knows from before a restart: templates that were not announced since, and the time of boot.
    pub(crate) fn forget_before(&mut self, slot: ScopeSlot, restart: &Restart) {
        let Some(scope) = self.table.scope_mut(slot) else { return };
        if scope.boot.is_some_and(|(_, received)| received < restart.since) {
            scope.boot = None;
        }
        let old = scope.entries().filter(|entry| !entry.gone && entry.announcements.last < restart.since);
        let ids: Vec<u16> = old.map(|entry| entry.template.id()).collect();
        for id in ids {
            scope.change(id, |entry| entry.gone = true);
            self.stats.forgotten += 1;
        }
    }

    /// Counts a withdrawal that means nothing.
    pub(crate) const fn ignore_withdrawal(&mut self) {
        self.stats.withdrawals_ignored += 1;
    }

    /// Ends the use of a template; says whether there was one.
    pub(crate) fn withdraw(&mut self, slot: ScopeSlot, template_id: u16) -> bool {
        let scope = self.table.scope_mut(slot);
        let live = scope
            .and_then(|scope| scope.change(template_id, |entry| !core::mem::replace(&mut entry.gone, true)));
        let live = live.unwrap_or(false);
        self.stats.withdrawn += u64::from(live);
        live
    }

    /// Ends the use of all templates, or of all options templates; says whether there was any.
    pub(crate) fn withdraw_all(&mut self, slot: ScopeSlot, options: bool) -> bool {
        let Some(scope) = self.table.scope(slot) else { return false };
        let templates = scope.entries().filter_map(table::usable);
        let templates = templates.filter(|template| template.is_options() == options);
        let ids: Vec<u16> = templates.map(|template| template.id()).collect();
        ids.into_iter().filter(|id| self.withdraw(slot, *id)).count() > 0
    }
}
