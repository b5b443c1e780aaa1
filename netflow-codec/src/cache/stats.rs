//! What a template cache counts, by reason.

use crate::error::DecodeErrorKind;

/// What a [`TemplateCache`](crate::TemplateCache) counted since it was made.
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
    /// Of these, those that came over a stream, where the other one had to be withdrawn first.
    pub replaced_without_withdrawal: u64,
    /// Templates refused: malformed, empty, or over a limit; [`Self::refusals`] says why.
    pub refused: u64,
    /// Why templates were refused.
    pub refusals: RefusalCounts,
    /// Templates whose lifetime ended.
    pub expired: u64,
    /// Templates withdrawn (IPFIX).
    pub withdrawn: u64,
    /// Withdrawals that were ignored: over UDP, or of an unknown template (IPFIX).
    pub withdrawals_ignored: u64,
    /// Templates forgotten because the caller, or the restart of an exporter, asked for it.
    pub forgotten: u64,
    /// Templates restored from a snapshot; those that were there before it were forgotten.
    pub restored: u64,
    /// Templates evicted because something was full; [`Self::evictions`] says what.
    pub evicted_templates: u64,
    /// Scopes evicted because something was full.
    pub evicted_scopes: u64,
    /// Why templates were evicted.
    pub evictions: EvictionCounts,
    /// Data sets that were exported before a redefinition, came after it, and were decoded with the template before.
    pub late_data: u64,
    /// Templates that were exported before a redefinition, came after it, and were not taken.
    pub late_templates: u64,
    /// Data sets kept until their template comes.
    pub pending_kept: u64,
    /// Kept data sets that were decoded when it came.
    pub pending_recovered: u64,
    /// Data sets not kept, or dropped again; [`Self::pending_drops`] says why.
    pub pending_dropped: u64,
    /// Why waiting data sets were dropped.
    pub pending_drops: PendingDropCounts,
    /// Announcements of sampling rates for which there was no room: 1,024 of a scope are kept.
    pub sampling_refused: u64,
}

/// Templates refused, by reason.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[non_exhaustive]
pub struct RefusalCounts {
    /// Cut off, with an id below 256, or with counts that contradict each other.
    pub malformed: u64,
    /// Its records would have no octets.
    pub empty: u64,
    /// More fields than [`CacheLimits::fields_per_template`](crate::CacheLimits::fields_per_template).
    pub too_many_fields: u64,
    /// Larger than what an exporter may hold.
    pub too_large: u64,
}

impl RefusalCounts {
    pub(super) const fn count(&mut self, kind: &DecodeErrorKind) {
        match kind {
            DecodeErrorKind::EmptyTemplate(_) => self.empty += 1,
            DecodeErrorKind::TooManyFields { .. } => self.too_many_fields += 1,
            DecodeErrorKind::TemplateTooLarge { .. } => self.too_large += 1,
            _ => self.malformed += 1,
        }
    }
}

/// What was full when a template was evicted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Full {
    Scope,
    ExporterScopes,
    ExporterOctets,
    CacheScopes,
    CacheOctets,
}

/// Templates evicted, by what was full.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[non_exhaustive]
pub struct EvictionCounts {
    /// Their scope: [`CacheLimits::templates_per_scope`](crate::CacheLimits::templates_per_scope).
    pub scope: u64,
    /// Their exporter: [`CacheLimits::scopes_per_exporter`](crate::CacheLimits::scopes_per_exporter).
    pub exporter_scopes: u64,
    /// Their exporter:
    /// [`CacheLimits::template_octets_per_exporter`](crate::CacheLimits::template_octets_per_exporter).
    pub exporter_octets: u64,
    /// The cache: [`CacheLimits::scopes`](crate::CacheLimits::scopes).
    pub cache_scopes: u64,
    /// The cache: [`CacheLimits::template_octets`](crate::CacheLimits::template_octets).
    pub cache_octets: u64,
}

impl EvictionCounts {
    pub(super) const fn count(&mut self, full: Full, templates: u64) {
        let counter = match full {
            Full::Scope => &mut self.scope,
            Full::ExporterScopes => &mut self.exporter_scopes,
            Full::ExporterOctets => &mut self.exporter_octets,
            Full::CacheScopes => &mut self.cache_scopes,
            Full::CacheOctets => &mut self.cache_octets,
        };
        *counter += templates;
    }
}

/// Why a data set does not wait for its template any more, or never did.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[non_exhaustive]
pub enum PendingDrop {
    /// It waited longer than [`CacheLimits::pending_age`](crate::CacheLimits::pending_age).
    Expired,
    /// It alone is larger than what may wait.
    TooLarge,
    /// Newer sets of its exporter took its place.
    ExporterQuota,
    /// Newer sets of other exporters took its place.
    TotalOctets,
    /// The template that came was another one than that in force when the set was exported.
    Superseded,
    /// Its domain or exporter was forgotten.
    Forgotten,
}

impl PendingDrop {
    /// A short name: `expired`, `too_large`, `exporter_quota`, `total_octets`, `superseded`, `forgotten`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::TooLarge => "too_large",
            Self::ExporterQuota => "exporter_quota",
            Self::TotalOctets => "total_octets",
            Self::Superseded => "superseded",
            Self::Forgotten => "forgotten",
        }
    }
}

/// Data sets that waited in vain, by reason.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[non_exhaustive]
pub struct PendingDropCounts {
    /// [`PendingDrop::Expired`].
    pub expired: u64,
    /// [`PendingDrop::TooLarge`].
    pub too_large: u64,
    /// [`PendingDrop::ExporterQuota`].
    pub exporter_quota: u64,
    /// [`PendingDrop::TotalOctets`].
    pub total_octets: u64,
    /// [`PendingDrop::Superseded`].
    pub superseded: u64,
    /// [`PendingDrop::Forgotten`].
    pub forgotten: u64,
}

impl PendingDropCounts {
    pub(super) const fn count(&mut self, reason: PendingDrop) {
        let counter = match reason {
            PendingDrop::Expired => &mut self.expired,
            PendingDrop::TooLarge => &mut self.too_large,
            PendingDrop::ExporterQuota => &mut self.exporter_quota,
            PendingDrop::TotalOctets => &mut self.total_octets,
            PendingDrop::Superseded => &mut self.superseded,
            PendingDrop::Forgotten => &mut self.forgotten,
        };
        *counter += 1;
    }

    /// All of them.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.expired
            + self.too_large
            + self.exporter_quota
            + self.total_octets
            + self.superseded
            + self.forgotten
    }
}
