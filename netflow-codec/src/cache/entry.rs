//! A template in the cache, and a data set that waited for it.

use alloc::{boxed::Box, sync::Arc};
use core::time::Duration;

use super::{
    limits::{Announcements, CacheLimits},
    pending::Origin,
    policy::TemplateScope,
};
use crate::{
    record::DataRecords,
    template::{LEAD, Template},
    time::{ExportClock, Timestamp},
};

/// A template of the cache, as [`TemplateCache::iter`](crate::TemplateCache::iter) shows it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct TemplateEntry<'c, E> {
    /// Exporter, protocol and observation domain.
    pub scope: &'c TemplateScope<E>,
    /// The template: its id and its fields.
    pub template: &'c Arc<Template>,
    /// When it was received last.
    pub last_announced: Timestamp,
    /// How often it was received unchanged.
    pub announcements: u64,
    /// In which interval it is announced: the longer of the last two. `None` before the second announcement.
    pub interval: Option<Duration>,
}

/// When and how a datagram came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reception {
    /// By the caller's clock.
    pub(crate) received: Timestamp,
    /// By the exporter's clock.
    pub(crate) exported: Timestamp,
    /// Over a stream or from a file: in order, and templates do not age.
    pub(crate) ordered: bool,
}

/// What is known of a template id.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) template: Arc<Template>,
    pub(super) announcements: Announcements,
    /// Before when it cannot be too old; what follows from the announcements.
    deadline: Timestamp,
    /// Expired or withdrawn. Remembered, to know whether what comes next is another template.
    pub(super) gone: bool,
    /// When the template was exported first, and when that was received.
    defined: Reception,
    /// The template before a redefinition.
    previous: Option<Arc<Template>>,
}

impl Entry {
    pub(super) fn new(
        template: Arc<Template>,
        announcements: Announcements,
        defined: Reception,
        limits: &CacheLimits,
    ) -> Self {
        let deadline = announcements.deadline(&limits.lifetime, template.protocol());
        Self { template, announcements, deadline, gone: false, defined, previous: None }
    }

    /// The template was announced again.
    pub(super) fn announced(&mut self, now: Timestamp, packets: u64, limits: &CacheLimits) {
        self.announcements.again(now, packets);
        self.deadline = self.announcements.deadline(&limits.lifetime, self.template.protocol());
    }

    /// Whether the template is too old to be used (RFC 3954 section 9).
    #[inline]
    pub(super) fn is_over(&self, reception: &Reception, packets: u64, limits: &CacheLimits) -> bool {
        reception.received >= self.deadline
            && !reception.ordered
            && self.announcements.are_over(
                &limits.lifetime,
                self.template.protocol(),
                reception.received,
                packets,
            )
    }

    /// Octets of memory, at most, of a template in an entry.
    pub(super) fn octets_of(template: &Template) -> usize {
        const ARC_COUNTS: usize = 2 * size_of::<usize>();
        template.memory_octets() + ARC_COUNTS
    }

    /// Octets of memory that the entry owns, at most.
    pub(super) fn octets(&self) -> usize {
        let previous = self.previous.as_ref().map_or(0, |template| Self::octets_of(template));
        Self::octets_of(&self.template) + previous
    }

    /// Whether something exported like this came late: before the definition in force was exported, but after it
    /// was received.
    pub(super) fn is_late(&self, reception: &Reception, limits: &CacheLimits) -> bool {
        !reception.ordered
            && !self.gone
            && reception.exported < self.defined.exported
            && reception.received.saturating_since(self.defined.received) <= limits.late_data
            && !limits.late_data.is_zero()
    }

    /// The template in force when something late was exported.
    pub(super) const fn previous(&self) -> Option<&Arc<Template>> {
        self.previous.as_ref()
    }

    /// This entry in the place of another one of its id, which is kept for late data.
    pub(super) fn replacing(mut self, other: Self, limits: &CacheLimits) -> Self {
        if !self.defined.ordered && !other.gone && !limits.late_data.is_zero() {
            self.previous = Some(other.template);
        }
        self
    }

    /// Lets go of what no late data can need any more.
    pub(super) fn tidy(&mut self, now: Timestamp, limits: &CacheLimits) {
        if self.previous.is_some() && now.saturating_since(self.defined.received) > limits.late_data {
            self.previous = None;
        }
    }
}

/// A data set that waited for its template, decoded now.
#[derive(Debug)]
pub struct RecoveredRecords {
    pub(super) template: Arc<Template>,
    /// With [`LEAD`] octets before the records.
    pub(super) octets: Box<[u8]>,
    pub(super) clock: ExportClock,
    pub(super) origin: Origin,
}

impl RecoveredRecords {
    /// The records. Their offsets count from the start of the set's header less 4 octets, not from the start
    /// of the datagram: add [`Self::offset_correction`].
    #[must_use]
    pub fn records(&self) -> DataRecords<'_> {
        let mut records =
            DataRecords::new(Arc::clone(&self.template), &self.octets, LEAD, self.octets.len(), self.clock);
        records.doubt();
        records
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
