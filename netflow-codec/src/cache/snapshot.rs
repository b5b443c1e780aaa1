//! The cache in a form that can be stored, so that a collector starts with the templates it had.
//!
//! Templates are stored as the octets of their records, and taken as if they came from the wire: whatever would be
//! refused there makes the whole snapshot refused here. Data that waits is not stored.

use alloc::{sync::Arc, vec::Vec};
use core::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    TemplateCache,
    entry::{Entry, Reception},
    limits::Announcements,
    policy::TemplateScope,
    table,
};
use crate::{
    error::{DecodeError, DecodeErrorKind},
    lru::Segment,
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
    scopes: Vec<StoredScope<E>>,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct StoredScope<E> {
    exporter: E,
    /// The version number of the protocol.
    protocol: u16,
    observation_domain: u32,
    exporter_is_established: bool,
    is_established: bool,
    boot: Option<Timestamp>,
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
    /// A scope that this cache's policy does not make: exporters or domains were told apart in another way.
    #[error("scope {0} is none of the cache's policy")]
    Policy(usize),
    /// A scope that is there twice.
    #[error("scope {0} is there twice")]
    ScopeTwice(usize),
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
    pub const fn scope_count(&self) -> usize {
        self.scopes.len()
    }

    /// How many templates there are.
    #[must_use]
    pub fn template_count(&self) -> usize {
        self.scopes.iter().map(|scope| scope.templates.len()).sum()
    }
}

impl<E: Clone + Ord> TemplateCache<E> {
    /// The templates and what belongs to them, for storing them. Data that waits for a template is left out.
    #[must_use]
    pub fn snapshot(&self) -> CacheSnapshot<E> {
        let mut scopes = Vec::with_capacity(self.scope_count());
        for (exporters, established) in [(Segment::Newcomer, false), (Segment::Established, true)] {
            let content = self.table.scopes_by_use(exporters);
            scopes.extend(content.map(|(key, scope, is_established)| StoredScope {
                exporter: key.exporter.clone(),
                protocol: number_of(key.protocol),
                observation_domain: key.observation_domain,
                exporter_is_established: established,
                is_established,
                boot: scope.boot,
                templates: scope.entries_by_use().filter_map(StoredTemplate::of).collect(),
            }));
        }
        CacheSnapshot { version: VERSION, scopes }
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
        for (number, scope) in snapshot.scopes.iter().enumerate() {
            fresh.restore_scope(number, scope, now, &mut restored)?;
        }
        restored.scopes = fresh.scope_count();
        restored.templates = fresh.template_count();
        restored.evicted = usize::try_from(fresh.stats.evicted_templates).unwrap_or(usize::MAX);
        self.stats.forgotten += self.template_count() as u64;
        self.stats.restored += restored.templates as u64;
        self.table = fresh.table;
        Ok(restored)
    }

    fn restore_scope(
        &mut self,
        number: usize,
        stored: &StoredScope<E>,
        now: Timestamp,
        restored: &mut Restored,
    ) -> Result<(), SnapshotError> {
        let protocol = protocol_of(stored.protocol)?;
        let scope = TemplateScope::new(stored.exporter.clone(), protocol, stored.observation_domain);
        if scope != self.policy.scope(&stored.exporter, protocol, stored.observation_domain) {
            return Err(SnapshotError::Policy(number));
        }
        let key = self.key_of(scope);
        if self.table.get(&key).is_some() {
            return Err(SnapshotError::ScopeTwice(number));
        }
        let slot = self.open(&key, now);
        let mut ids: Vec<u16> = Vec::with_capacity(stored.templates.len());
        for template in &stored.templates {
            let entry = template.entry(self, protocol, now)?;
            ids.push(entry.template.id());
            let lifetime = &self.limits.lifetime;
            if entry.announcements.are_over(lifetime, protocol, now, u64::MAX) {
                restored.expired += 1;
            } else {
                self.insert(slot, entry);
            }
        }
        ids.sort_unstable();
        if let Some((id, _)) = ids.iter().zip(ids.iter().skip(1)).find(|(id, next)| id == next) {
            return Err(SnapshotError::TemplateTwice(*id));
        }
        if let Some(scope) = self.table.scope_mut(slot) {
            scope.boot = stored.boot;
        }
        self.table.restore_proof(slot, stored.exporter_is_established, stored.is_established, &self.limits);
        Ok(())
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
        let mut records = TemplateRecords::new(protocol, &self.record, 0, self.is_options);
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
        Ok(Entry::new(template, announcements, defined))
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
