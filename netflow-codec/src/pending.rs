//! Data sets that wait for their template. Bounded in octets and in age.

use alloc::{boxed::Box, collections::BTreeMap, vec::Vec};
use core::time::Duration;

use crate::{
    template::LEAD,
    time::{ExportClock, Timestamp},
};

/// Where a data set came from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Origin {
    /// How many datagrams the decoder had been given before.
    pub datagram: u64,
    /// How many sets stand before it in its datagram.
    pub set: usize,
    /// Octets from the start of its datagram to the set.
    pub offset: usize,
    /// When its datagram came.
    pub received: Timestamp,
    /// The sequence number of its datagram.
    pub sequence: Option<u32>,
}

/// A data set whose template has not come.
#[derive(Debug)]
pub(crate) struct PendingSet {
    /// [`LEAD`] octets of nothing, then the records.
    pub(crate) octets: Box<[u8]>,
    pub(crate) clock: ExportClock,
    pub(crate) origin: Origin,
}

/// How much may wait, and how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PendingLimits {
    pub(crate) octets: usize,
    pub(crate) octets_per_scope: usize,
    pub(crate) age: Duration,
}

/// The sets that wait, of all scopes `S`. Every operation is logarithmic in their number.
#[derive(Debug)]
pub(crate) struct Pending<S> {
    /// By scope, template and arrival.
    sets: BTreeMap<(S, u16, u64), PendingSet>,
    /// Scope and arrival to template.
    by_scope: BTreeMap<(S, u64), u16>,
    /// Arrival to scope.
    by_age: BTreeMap<u64, S>,
    octets_of: BTreeMap<S, usize>,
    octets: usize,
    arrivals: u64,
}

impl<S: Clone + Ord> Pending<S> {
    pub(crate) const fn new() -> Self {
        Self {
            sets: BTreeMap::new(),
            by_scope: BTreeMap::new(),
            by_age: BTreeMap::new(),
            octets_of: BTreeMap::new(),
            octets: 0,
            arrivals: 0,
        }
    }

    /// Octets of memory that the sets take, roughly.
    pub(crate) const fn octets(&self) -> usize {
        self.octets
    }

    /// All sets: scope, template id, octets of the records, origin.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&S, u16, usize, &Origin)> {
        let entries = self.sets.iter();
        entries.map(|((scope, id, _), set)| (scope, *id, set.octets.len() - LEAD, &set.origin))
    }

    /// Octets of memory of a set with a body of so many octets.
    const fn cost(body: usize) -> usize {
        // The set itself, its body, and a place in each of the maps.
        size_of::<PendingSet>() + LEAD + body + 3 * (size_of::<S>() + 3 * size_of::<u64>())
    }

    /// Keeps a set; says whether it was kept and how many others were dropped for it: those that are too old, then
    /// the oldest of the scope, then the oldest of all.
    pub(crate) fn keep(
        &mut self,
        scope: &S,
        template_id: u16,
        body: &[u8],
        clock: ExportClock,
        origin: Origin,
        limits: &PendingLimits,
    ) -> (bool, u64) {
        let mut dropped = self.drop_aged(origin.received, limits.age);
        let cost = Self::cost(body.len());
        if cost > limits.octets_per_scope || cost > limits.octets {
            return (false, dropped);
        }
        while self.octets_of.get(scope).is_some_and(|octets| octets + cost > limits.octets_per_scope)
            && self.drop_oldest_of(scope)
        {
            dropped += 1;
        }
        while self.octets + cost > limits.octets && self.drop_oldest() {
            dropped += 1;
        }
        let mut octets = Vec::with_capacity(LEAD + body.len());
        octets.resize(LEAD, 0);
        octets.extend_from_slice(body);
        let arrival = self.arrivals;
        self.arrivals += 1;
        let set = PendingSet { octets: octets.into_boxed_slice(), clock, origin };
        self.sets.insert((scope.clone(), template_id, arrival), set);
        self.by_scope.insert((scope.clone(), arrival), template_id);
        self.by_age.insert(arrival, scope.clone());
        *self.octets_of.entry(scope.clone()).or_default() += cost;
        self.octets += cost;
        (true, dropped)
    }

    /// Takes out the oldest set that waits for this template.
    pub(crate) fn take(&mut self, scope: &S, template_id: u16) -> Option<PendingSet> {
        if self.sets.is_empty() {
            return None;
        }
        let first = (scope.clone(), template_id, 0);
        let last = (scope.clone(), template_id, u64::MAX);
        let (&(_, _, arrival), _) = self.sets.range(first..=last).next()?;
        self.remove(scope, template_id, arrival)
    }

    /// Drops what has waited longer than `age`; how many sets that were.
    pub(crate) fn drop_aged(&mut self, now: Timestamp, age: Duration) -> u64 {
        let mut dropped = 0;
        while let Some((arrival, scope)) = self.by_age.first_key_value() {
            let key = (scope.clone(), *arrival);
            let Some(template_id) = self.by_scope.get(&key).copied() else { break };
            let (scope, arrival) = key;
            let set = self.sets.get(&(scope.clone(), template_id, arrival));
            if set.is_none_or(|set| now.saturating_since(set.origin.received) <= age) {
                break;
            }
            self.remove(&scope, template_id, arrival);
            dropped += 1;
        }
        dropped
    }

    /// Drops all sets of a scope; how many that were.
    pub(crate) fn drop_scope(&mut self, scope: &S) -> u64 {
        let mut dropped = 0;
        while self.drop_oldest_of(scope) {
            dropped += 1;
        }
        dropped
    }

    fn drop_oldest(&mut self) -> bool {
        let Some((_, scope)) = self.by_age.first_key_value() else { return false };
        let scope = scope.clone();
        self.drop_oldest_of(&scope)
    }

    fn drop_oldest_of(&mut self, scope: &S) -> bool {
        let range = (scope.clone(), 0)..=(scope.clone(), u64::MAX);
        let Some((&(_, arrival), &template_id)) = self.by_scope.range(range).next() else { return false };
        self.remove(scope, template_id, arrival).is_some()
    }

    fn remove(&mut self, scope: &S, template_id: u16, arrival: u64) -> Option<PendingSet> {
        let set = self.sets.remove(&(scope.clone(), template_id, arrival))?;
        self.by_scope.remove(&(scope.clone(), arrival));
        self.by_age.remove(&arrival);
        let cost = Self::cost(set.octets.len() - LEAD);
        self.octets -= cost;
        if let Some(octets) = self.octets_of.get_mut(scope) {
            *octets -= cost;
            if *octets == 0 {
                self.octets_of.remove(scope);
            }
        }
        Some(set)
    }
}
