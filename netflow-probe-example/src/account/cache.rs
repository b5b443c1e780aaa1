//! What became of templates, and of what exporters said of their elements.

use core::net::SocketAddr;
use std::collections::BTreeMap;

use netflow_codec::{Decoder, Quirk, TaughtStats};
use serde_json::{Map, Value, json};

use super::measure::measure;
use crate::service::Metrics;

/// What became of templates, of quirks and of elements described by exporters, at one moment; of one decoder or of several
/// together.
#[derive(Clone, Debug, Default)]
pub struct CacheReport {
    /// The counters of the cache; all of them are sums.
    pub(super) json: Value,
    /// Data sets that wait for their template.
    pub(super) waiting: usize,
    /// The quirks that acted, and how often.
    pub(super) quirks: BTreeMap<Quirk, u64>,
    taught: TaughtStats,
}

impl CacheReport {
    /// The report of a decoder.
    #[must_use]
    pub fn of(decoder: &Decoder<SocketAddr>) -> Self {
        let cache = decoder.cache();
        let stats = cache.stats();
        let json = json!({
            "scopes": cache.scope_count(),
            "templates": cache.template_count(),
            "memory_octets": cache.memory_octets(),
            "new": stats.new,
            "refreshed": stats.refreshed,
            "replaced": stats.replaced,
            "refused": stats.refused,
            "expired": stats.expired,
            "evicted_templates": stats.evicted_templates,
            "evicted_scopes": stats.evicted_scopes,
            "refusals": stats.refusals,
            "evictions": stats.evictions,
            "forgotten": stats.forgotten,
            "withdrawn": stats.withdrawn,
            "late_data": stats.late_data,
            "pending_kept": stats.pending_kept,
            "pending_recovered": stats.pending_recovered,
            "pending_dropped": stats.pending_dropped,
            "pending_drops": stats.pending_drops,
        });
        let quirks = cache.quirk_counts().iter().collect();
        Self { json, waiting: cache.pending().count(), quirks, taught: *decoder.taught().stats() }
    }

    /// Adds what became of the templates of another decoder.
    pub fn absorb(&mut self, other: Self) {
        add(&mut self.json, other.json);
        self.waiting += other.waiting;
        for (quirk, count) in other.quirks {
            *self.quirks.entry(quirk).or_default() += count;
        }
        let (taught, more) = (&mut self.taught, other.taught);
        taught.learned += more.learned;
        taught.repeated += more.repeated;
        taught.conflicting += more.conflicting;
        taught.unsound += more.unsound;
        taught.refused += more.refused;
        taught.evicted_exporters += more.evicted_exporters;
    }

    /// The counters of the cache, as JSON.
    #[must_use]
    pub const fn to_json(&self) -> &Value {
        &self.json
    }

    /// Writes it down for Prometheus.
    pub(super) fn measure(&self, metrics: &mut Metrics) {
        let count = |name: &str| self.json.get(name).and_then(Value::as_u64).unwrap_or(0);
        for (name, help, value) in [
            ("netflow_collector_templates", "Templates that are known.", count("templates")),
            (
                "netflow_collector_template_scopes",
                "Exporters and observation domains that templates are known of.",
                count("scopes"),
            ),
            (
                "netflow_collector_template_cache_bytes",
                "Memory of the template cache.",
                count("memory_octets"),
            ),
            (
                "netflow_collector_waiting_sets",
                "Data sets that wait for their template.",
                self.waiting as u64,
            ),
        ] {
            metrics.gauge(name, help, &[], measure(value));
        }
        for change in ["new", "refreshed", "replaced", "refused", "expired", "withdrawn", "forgotten"] {
            let help = "Templates, by what became of them.";
            metrics.counter("netflow_collector_templates_total", help, &[("change", change)], count(change));
        }
        for (what, value) in [("templates", count("evicted_templates")), ("domains", count("evicted_scopes"))]
        {
            let help = "Templates, and domains with all their templates, that had to make room for others.";
            metrics.counter("netflow_collector_template_evictions_total", help, &[("what", what)], value);
        }
        for (fate, value) in [
            ("kept", count("pending_kept")),
            ("recovered", count("pending_recovered")),
            ("dropped", count("pending_dropped")),
        ] {
            let help = "Data sets that came before their template, by what became of them.";
            metrics.counter("netflow_collector_early_sets_total", help, &[("fate", fate)], value);
        }
        for (quirk, count) in &self.quirks {
            let help = "Times that a quirk was tolerated.";
            metrics.counter("netflow_collector_quirks_total", help, &[("quirk", quirk.name())], *count);
        }
    }

    /// Elements that exporters described, and descriptions that were ignored.
    pub(super) const fn taught(&self) -> (u64, u64) {
        let TaughtStats { learned, conflicting, unsound, refused, .. } = self.taught;
        (learned, conflicting + unsound + refused)
    }

    pub(super) fn taught_json(&self) -> Value {
        let TaughtStats { learned, repeated, conflicting, unsound, refused, evicted_exporters, .. } =
            self.taught;
        json!({
            "learned": learned,
            "repeated": repeated,
            "conflicting": conflicting,
            "unsound": unsound,
            "refused": refused,
            "evicted_exporters": evicted_exporters,
        })
    }

    /// The quirks that acted.
    pub(super) fn quirks_json(&self) -> Value {
        let quirks = self.quirks.iter().map(|(quirk, count)| (quirk.name().to_owned(), (*count).into()));
        quirks.collect::<Map<_, _>>().into()
    }
}

/// Adds the numbers of one JSON value to those in the same places of another.
pub(super) fn add(sum: &mut Value, more: Value) {
    match (sum, more) {
        (Value::Object(sum), Value::Object(more)) => {
            for (name, more) in more {
                add(sum.entry(name).or_insert(Value::Null), more);
            }
        }
        (sum @ Value::Number(_), Value::Number(more)) => {
            *sum = (sum.as_u64().unwrap_or(0) + more.as_u64().unwrap_or(0)).into();
        }
        (sum @ Value::Null, more) => *sum = more,
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_added_where_they_stand() {
        let mut sum = Value::Null;
        add(&mut sum, json!({ "a": 1, "b": { "c": 2 } }));
        add(&mut sum, json!({ "a": 10, "b": { "c": 20, "d": 30 } }));
        assert_eq!(sum, json!({ "a": 11, "b": { "c": 22, "d": 30 } }));
    }
}
