//! The cache in a form that can be stored, so that a collector starts with the templates it had.
//!
//! Templates are stored as the octets of their records, and taken as if they came from the wire: whatever would be
//! refused there makes the whole snapshot refused here. Data that waits is not stored.

use alloc::{collections::BTreeSet, sync::Arc, vec::Vec};
use core::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    TemplateCache,
    entry::{Entry, Reception},
    limits::Announcements,
    policy::TemplateScope,
    table::{self, Exporter, ScopeKey},
};
use crate::{
    error::{DecodeError, DecodeErrorKind},
    lru::Segment,
    sampling::SamplingTable,
    template::{Protocol, Template, TemplateRecord, TemplateRecords},
    time::Timestamp,
};

/// The form that is written and read.
const VERSION: u32 = 1;

/// What a [`TemplateCache`] knows, for storing it: see [`TemplateCache::snapshot`] and [`TemplateCache::restore`].
///
/// ```
/// use netflow_codec::{CacheSnapshot, Decoder, Timestamp};
///
/// let now = Timestamp::from_secs(1_700_000_000);
/// let mut decoder = Decoder::new();
/// # let mut datagram = vec![0, 9, 0, 1, 0, 0, 0, 0, 0x65, 0x53, 0xf1, 0, 0, 0, 0, 1, 0, 0, 0, 7];
/// # datagram.extend([0, 0, 0, 12, 1, 44, 0, 1, 0, 4, 0, 1]);
/// decoder.decode(&1_u32, &datagram, now)?.for_each(drop);
/// let stored = serde_json::to_string(&decoder.cache().snapshot())?;
///
/// // After a restart of the collector:
/// let mut decoder = Decoder::new();
/// let snapshot: CacheSnapshot<u32> = serde_json::from_str(&stored)?;
/// let restored = decoder.cache_mut().restore(&snapshot, now)?;
/// assert_eq!((restored.templates, restored.expired), (1, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct CacheSnapshot<E> {
    version: u32,
    /// That used longest ago first.
    exporters: Vec<StoredExporter<E>>,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct StoredExporter<E> {
    is_established: bool,
    /// What any of the scopes announced.
    sampling: SamplingTable,
    /// That used longest ago first.
    scopes: Vec<StoredScope<E>>,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct StoredScope<E> {
    exporter: E,
    /// The version number of the protocol.
    protocol: u16,
    observation_domain: u32,
    is_established: bool,
    boot: Option<Timestamp>,
    sampling: SamplingTable,
    /// That used longest ago first.
    templates: Vec<StoredTemplate>,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct StoredTemplate {
    is_options: bool,
    record: Vec<u8>,
    last_announced: Timestamp,
    interval: Option<Duration>,
    announcements: u64,
}

/// What [`TemplateCache::restore`] made of a snapshot.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Restored {
    /// Scopes that are there now.
    pub scopes: usize,
    /// Templates that are there now.
    pub templates: usize,
    /// Templates whose lifetime was over by now.
    pub expired: usize,
    /// Templates that the limits of this cache have no room for.
    pub evicted: usize,
}

/// Why a snapshot is refused. The cache is as it was.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum SnapshotError {
    /// It was written in another form.
    #[error("the snapshot has version {0}, only {VERSION} can be read")]
    Version(u32),
    /// A protocol that has no templates.
    #[error("protocol {0} has no templates")]
    Protocol(u16),
    /// A scope that this cache's policy does not make, or of another exporter: exporters or domains were told apart in
    /// another way.
    #[error("a scope of exporter {0} is none of the cache's policy")]
    Policy(usize),
    /// A scope that is there twice, or the scopes of one exporter in two places.
    #[error("exporter {0}, or a scope of it, is there twice")]
    Twice(usize),
    /// Sampling rates that are out of order, or too many.
    #[error("the sampling rates of exporter {0} are none that can be learned")]
    Sampling(usize),
    /// A template whose identifier is there twice in its scope.
    #[error("template {0} is there twice")]
    TemplateTwice(u16),
    /// Octets that are not one template record, and nothing else.
    #[error("a template record of {0} octets is none, or more than one")]
    Record(usize),
    /// A template record that a datagram could not have brought either. The offset counts from the record.
    #[error(transparent)]
    Template(#[from] DecodeError),
}

impl<E> CacheSnapshot<E> {
    /// How many scopes there are.
    #[must_use]
    pub fn scope_count(&self) -> usize {
        self.exporters.iter().map(|exporter| exporter.scopes.len()).sum()
    }

    /// How many templates there are.
    #[must_use]
    pub fn template_count(&self) -> usize {
        let scopes = self.exporters.iter().flat_map(|exporter| &exporter.scopes);
        scopes.map(|scope| scope.templates.len()).sum()
    }

    /// Keeps the exporters of which `keep` says so, by any of their scopes: to part a snapshot among several caches.
    pub fn retain(&mut self, mut keep: impl FnMut(&E) -> bool) {
        let mut kept =
            |exporter: &StoredExporter<E>| exporter.scopes.iter().any(|scope| keep(&scope.exporter));
        self.exporters.retain(|exporter| kept(exporter));
    }

    /// Adds the snapshot of another cache of the same policy, whose exporters must be others. They count as used later.
    pub fn append(&mut self, other: Self) {
        self.exporters.extend(other.exporters);
    }
}

impl<E: Clone + Ord> TemplateCache<E> {
    /// The templates and what belongs to them, for storing them. Data that waits for a template is left out.
    #[must_use]
    pub fn snapshot(&self) -> CacheSnapshot<E> {
        let exporters = SEGMENTS.into_iter().flat_map(|(segment, is_established)| {
            self.table.exporters_by_use(segment).map(move |exporter| StoredExporter {
                is_established,
                sampling: exporter.sampling.clone(),
                scopes: StoredScope::all_of(exporter).collect(),
            })
        });
        CacheSnapshot { version: VERSION, exporters: exporters.collect() }
    }

    /// Takes a snapshot in place of what the cache knows: whole, or not at all. The policy of scopes must be that of
    /// the cache it was taken of; the limits need not be: they hold as if the templates came from the wire, that used
    /// longest ago first. Templates whose lifetime is over `now` are left out.
    ///
    /// Meant for the start, before anything is decoded. What waits for a template goes on waiting.
    ///
    /// # Errors
    ///
    /// When the snapshot was written in another form, or has anything in it that no cache can hold.
    pub fn restore(
        &mut self,
        snapshot: &CacheSnapshot<E>,
        now: Timestamp,
    ) -> Result<Restored, SnapshotError> {
        if snapshot.version != VERSION {
            return Err(SnapshotError::Version(snapshot.version));
        }
        let mut fresh = Self::with_policy(self.limits, self.policy);
        let mut restored = Restored::default();
        let mut seen = BTreeSet::new();
        for (number, exporter) in snapshot.exporters.iter().enumerate() {
            fresh.restore_exporter(number, exporter, now, &mut seen, &mut restored)?;
        }
        restored.scopes = fresh.scope_count();
        restored.templates = fresh.template_count();
        restored.evicted = usize::try_from(fresh.stats.evicted_templates).unwrap_or(usize::MAX);
        self.stats.forgotten += self.template_count() as u64;
        self.stats.restored += restored.templates as u64;
        self.table = fresh.table;
        Ok(restored)
    }

    fn restore_exporter(
        &mut self,
        number: usize,
        stored: &StoredExporter<E>,
        now: Timestamp,
        seen: &mut BTreeSet<E>,
        restored: &mut Restored,
    ) -> Result<(), SnapshotError> {
        if !stored.sampling.is_sound() || stored.scopes.iter().any(|scope| !scope.sampling.is_sound()) {
            return Err(SnapshotError::Sampling(number));
        }
        let mut keys = BTreeSet::new();
        for scope in &stored.scopes {
            let key = self.stored_key(scope)?.ok_or(SnapshotError::Policy(number))?;
            let exporter = key.exporter.clone();
            if keys.first().is_some_and(|first: &ScopeKey<E>| first.exporter != exporter) {
                return Err(SnapshotError::Policy(number));
            }
            if !keys.insert(key.clone()) {
                return Err(SnapshotError::Twice(number));
            }
            self.restore_scope(scope, &key, stored, now, restored)?;
        }
        match keys.pop_first() {
            Some(key) if !seen.insert(key.exporter.clone()) => Err(SnapshotError::Twice(number)),
            _ => Ok(()),
        }
    }

    /// The key of a scope, if the policy makes such scopes.
    fn stored_key(&self, stored: &StoredScope<E>) -> Result<Option<ScopeKey<E>>, SnapshotError> {
        let protocol = protocol_of(stored.protocol)?;
        let scope = TemplateScope::new(stored.exporter.clone(), protocol, stored.observation_domain);
        let made = self.policy.scope(&stored.exporter, protocol, stored.observation_domain);
        Ok((scope == made).then(|| self.key_of(scope)))
    }

    fn restore_scope(
        &mut self,
        stored: &StoredScope<E>,
        key: &ScopeKey<E>,
        exporter: &StoredExporter<E>,
        now: Timestamp,
        restored: &mut Restored,
    ) -> Result<(), SnapshotError> {
        let slot = self.open(key, now);
        let mut ids = BTreeSet::new();
        for template in &stored.templates {
            let entry = template.entry(self, key.scope.protocol, now)?;
            if !ids.insert(entry.template.id()) {
                return Err(SnapshotError::TemplateTwice(entry.template.id()));
            }
            let lifetime = &self.limits.lifetime;
            if entry.announcements.are_over(lifetime, key.scope.protocol, now, u64::MAX) {
                restored.expired += 1;
            } else {
                self.insert(slot, entry);
            }
        }
        if let Some((scope, of_exporter)) = self.table.scope_and_sampling(slot) {
            scope.boot = stored.boot.map(|boot| (boot, Timestamp::ZERO));
            scope.sampling = stored.sampling.clone();
            *of_exporter = exporter.sampling.clone();
        }
        self.table.restore_proof(slot, exporter.is_established, stored.is_established, &self.limits);
        self.table.settle(slot);
        self.table.make_room(slot, 0, 1, &self.limits, &mut self.stats);
        Ok(())
    }
}

/// Newcomers come first: so they are what there is no room for.
const SEGMENTS: [(Segment, bool); 2] = [(Segment::Newcomer, false), (Segment::Established, true)];

impl<E: Clone + Ord> StoredScope<E> {
    fn all_of(exporter: &Exporter<E>) -> impl Iterator<Item = Self> {
        SEGMENTS.into_iter().flat_map(|(segment, is_established)| {
            exporter.scopes_by_use(segment).map(move |(key, scope)| Self {
                exporter: key.exporter.clone(),
                protocol: number_of(key.protocol),
                observation_domain: key.observation_domain,
                is_established,
                boot: scope.boot.map(|(boot, _)| boot),
                sampling: scope.sampling.clone(),
                templates: scope.entries_by_use().filter_map(StoredTemplate::of).collect(),
            })
        })
    }
}

impl StoredTemplate {
    fn of(entry: &Entry) -> Option<Self> {
        let template = table::usable(entry)?;
        Some(Self {
            is_options: template.is_options(),
            record: template.record().to_vec(),
            last_announced: entry.announcements.last,
            interval: entry.announcements.interval(),
            announcements: entry.announcements.count,
        })
    }

    fn entry<E: Clone + Ord>(
        &self,
        cache: &TemplateCache<E>,
        protocol: Protocol,
        now: Timestamp,
    ) -> Result<Entry, SnapshotError> {
        let octets = self.record.len();
        let records = TemplateRecords::new(protocol, &self.record, 0, self.is_options);
        let mut records = records.with_quirks(cache.quirks.active);
        let wire = match records.next() {
            Some(Ok(TemplateRecord::Template(wire))) if wire.raw.len() == octets => wire,
            Some(Err(error)) => return Err(error.into()),
            _ => return Err(SnapshotError::Record(octets)),
        };
        // No datagram is longer than its length field can say.
        if octets > usize::from(u16::MAX) {
            return Err(SnapshotError::Record(octets));
        }
        match cache.check(&wire, false) {
            // A lenient cache has such templates.
            Err(DecodeError { kind: DecodeErrorKind::EmptyTemplate(_), .. }) | Ok(()) => {}
            Err(error) => return Err(error.into()),
        }
        let template = Arc::new(Template::new(&wire));
        cache.check_size(&wire, &template)?;
        // A clock that was set back since must not make templates immortal.
        let last = self.last_announced.min(now);
        let announcements = Announcements::restored(last, self.interval, self.announcements);
        // Nothing is late by it: when it was exported first is not known.
        let defined = Reception { received: Timestamp::ZERO, exported: Timestamp::ZERO, ordered: false };
        Ok(Entry::new(template, announcements, defined, &cache.limits))
    }
}

const fn number_of(protocol: Protocol) -> u16 {
    match protocol {
        Protocol::NetFlow9 => 9,
        Protocol::Ipfix => 10,
    }
}

const fn protocol_of(number: u16) -> Result<Protocol, SnapshotError> {
    match number {
        9 => Ok(Protocol::NetFlow9),
        10 => Ok(Protocol::Ipfix),
        other => Err(SnapshotError::Protocol(other)),
    }
}
