//! Data sets that wait for their template. Bounded in octets and in age.
//!
//! Each set is in three chains, in the order of arrival: those that wait for the same template, those of the same
//! exporter, and all of them. Keeping and dropping one costs a few look-ups, however many there are.

use alloc::{
    boxed::Box,
    collections::{BTreeMap, VecDeque},
    vec::Vec,
};
use core::time::Duration;

use super::{
    policy::TemplateScope,
    stats::{PendingDrop, PendingDropCounts},
};
use crate::{
    lru::tree_octets,
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

/// A data set that waits for its template.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct WaitingSet<'c, E> {
    /// The scope that the template must come in.
    pub scope: &'c TemplateScope<E>,
    /// The template's id.
    pub template_id: u16,
    /// Octets of its records.
    pub octets: usize,
    /// Where it came from; [`Origin::received`] says since when it waits.
    pub origin: Origin,
}

/// A data set that waited in vain.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DroppedSet<E> {
    /// The scope that the template was to come in.
    pub scope: TemplateScope<E>,
    /// The template's id.
    pub template_id: u16,
    /// Octets of its records.
    pub octets: usize,
    /// Where it came from.
    pub origin: Origin,
    /// How long it waited.
    pub waited: Duration,
    /// Why it was dropped.
    pub reason: PendingDrop,
}

/// A data set whose template has not come.
#[derive(Debug)]
pub(crate) struct PendingSet {
    /// [`LEAD`] octets of nothing, then the records.
    pub(crate) octets: Box<[u8]>,
    pub(crate) clock: ExportClock,
    pub(crate) origin: Origin,
}

/// A data set that may wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unknown<'a, E> {
    pub(crate) scope: &'a TemplateScope<E>,
    pub(crate) exporter: &'a E,
    /// Whether the exporter is no newcomer.
    pub(crate) established: bool,
    pub(crate) template_id: u16,
    pub(crate) body: &'a [u8],
    pub(crate) clock: ExportClock,
    pub(crate) origin: Origin,
}

/// How much may wait, and how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PendingLimits {
    pub(crate) octets: usize,
    pub(crate) octets_per_exporter: usize,
    pub(crate) age: Duration,
}

/// The end of a chain.
const NIL: usize = usize::MAX;

#[derive(Clone, Copy, Debug)]
struct Link {
    before: usize,
    behind: usize,
}

impl Link {
    const NONE: Self = Self { before: NIL, behind: NIL };
}

/// Which of the chains.
#[derive(Clone, Copy, Debug)]
enum Order {
    Template,
    Exporter,
    Age,
}

#[derive(Debug)]
struct Node<E> {
    set: PendingSet,
    scope: TemplateScope<E>,
    exporter: E,
    template_id: u16,
    established: bool,
    by_template: Link,
    by_exporter: Link,
    by_age: Link,
}

impl<E> Node<E> {
    const fn link(&self, order: Order) -> &Link {
        match order {
            Order::Template => &self.by_template,
            Order::Exporter => &self.by_exporter,
            Order::Age => &self.by_age,
        }
    }

    const fn link_mut(&mut self, order: Order) -> &mut Link {
        match order {
            Order::Template => &mut self.by_template,
            Order::Exporter => &mut self.by_exporter,
            Order::Age => &mut self.by_age,
        }
    }

    const fn body(&self) -> usize {
        self.set.octets.len() - LEAD
    }
}

#[derive(Debug)]
struct Slab<E> {
    nodes: Vec<Option<Box<Node<E>>>>,
    free: Vec<usize>,
}

impl<E> Slab<E> {
    fn node(&self, slot: usize) -> Option<&Node<E>> {
        self.nodes.get(slot)?.as_deref()
    }

    fn node_mut(&mut self, slot: usize) -> Option<&mut Node<E>> {
        self.nodes.get_mut(slot)?.as_deref_mut()
    }

    fn insert(&mut self, node: Node<E>) -> usize {
        let slot = self.free.pop().unwrap_or(self.nodes.len());
        match self.nodes.get_mut(slot) {
            Some(vacant) => *vacant = Some(Box::new(node)),
            None => self.nodes.push(Some(Box::new(node))),
        }
        slot
    }

    fn link_mut(&mut self, slot: usize, order: Order) -> Option<&mut Link> {
        self.node_mut(slot).map(|node| node.link_mut(order))
    }
}

/// The ends of a chain: the oldest and the newest set.
#[derive(Clone, Copy, Debug)]
struct Chain {
    first: usize,
    last: usize,
}

impl Chain {
    const EMPTY: Self = Self { first: NIL, last: NIL };

    fn append<E>(&mut self, slab: &mut Slab<E>, order: Order, slot: usize) {
        if let Some(link) = slab.link_mut(slot, order) {
            *link = Link { before: self.last, behind: NIL };
        }
        match slab.link_mut(self.last, order) {
            Some(link) => link.behind = slot,
            None => self.first = slot,
        }
        self.last = slot;
    }

    fn unlink<E>(&mut self, slab: &mut Slab<E>, order: Order, slot: usize) {
        let Some(Link { before, behind }) = slab.node(slot).map(|node| *node.link(order)) else { return };
        match slab.link_mut(before, order) {
            Some(link) => link.behind = behind,
            None => self.first = behind,
        }
        match slab.link_mut(behind, order) {
            Some(link) => link.before = before,
            None => self.last = before,
        }
    }

    const fn is_empty(&self) -> bool {
        self.first == NIL
    }
}

#[derive(Debug)]
struct Share {
    chain: Chain,
    octets: usize,
}

/// The sets that wait.
#[derive(Debug)]
pub(crate) struct Pending<E> {
    slab: Slab<E>,
    by_template: BTreeMap<(TemplateScope<E>, u16), Chain>,
    by_exporter: BTreeMap<E, Share>,
    newcomers: Chain,
    established: Chain,
    octets: usize,
    drops: PendingDropCounts,
    recent: VecDeque<DroppedSet<E>>,
}

impl<E: Clone + Ord> Pending<E> {
    /// Sets dropped last that are remembered.
    const RECENT: usize = 32;

    pub(crate) const fn new() -> Self {
        Self {
            slab: Slab { nodes: Vec::new(), free: Vec::new() },
            by_template: BTreeMap::new(),
            by_exporter: BTreeMap::new(),
            newcomers: Chain::EMPTY,
            established: Chain::EMPTY,
            octets: 0,
            drops: PendingDropCounts {
                expired: 0,
                too_large: 0,
                exporter_quota: 0,
                total_octets: 0,
                superseded: 0,
                forgotten: 0,
            },
            recent: VecDeque::new(),
        }
    }

    /// Octets of memory that the sets take, at most.
    pub(crate) const fn octets(&self) -> usize {
        self.octets
    }

    pub(crate) const fn drops(&self) -> &PendingDropCounts {
        &self.drops
    }

    /// The sets dropped last, the oldest first.
    pub(crate) fn recent(&self) -> impl Iterator<Item = &DroppedSet<E>> {
        self.recent.iter()
    }

    /// All sets, by scope and template, the oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = WaitingSet<'_, E>> {
        self.by_template.iter().flat_map(|((scope, template_id), chain)| {
            self.chain(*chain, Order::Template).map(move |node| WaitingSet {
                scope,
                template_id: *template_id,
                octets: node.body(),
                origin: node.set.origin,
            })
        })
    }

    fn chain(&self, chain: Chain, order: Order) -> impl Iterator<Item = &Node<E>> {
        let node = move |slot: usize| self.slab.node(slot);
        core::iter::successors(node(chain.first), move |last| node(last.link(order).behind))
    }

    /// Octets of memory of a set with a body of so many octets.
    const fn cost(body: usize) -> usize {
        let maps = size_of::<((TemplateScope<E>, u16), Chain)>() + size_of::<(E, Share)>();
        // The slab and the list of what is free in it grow by doubling, the maps by nodes that are half full.
        LEAD + body + size_of::<Node<E>>() + 4 * size_of::<usize>() + tree_octets(5, maps) / 5 + maps / 4
    }

    /// Keeps a set; says whether it was kept. Drops for it those that are too old, then the oldest of the exporter, then
    /// the oldest of the newcomers, then the oldest of all.
    pub(crate) fn keep(&mut self, unknown: &Unknown<'_, E>, limits: &PendingLimits) -> bool {
        let Unknown { scope, exporter, template_id, body, origin, .. } = *unknown;
        let now = origin.received;
        self.drop_aged(now, limits.age);
        let cost = Self::cost(body.len());
        if cost > limits.octets_per_exporter || cost > limits.octets {
            self.report(scope.clone(), template_id, body.len(), origin, now, PendingDrop::TooLarge);
            return false;
        }
        while let Some(share) = self.by_exporter.get(exporter)
            && share.octets + cost > limits.octets_per_exporter
        {
            self.drop_slot(share.chain.first, now, PendingDrop::ExporterQuota);
        }
        while self.octets + cost > limits.octets {
            let oldest =
                if self.newcomers.is_empty() { self.established.first } else { self.newcomers.first };
            self.drop_slot(oldest, now, PendingDrop::TotalOctets);
        }
        let mut octets = Vec::with_capacity(LEAD + body.len());
        octets.resize(LEAD, 0);
        octets.extend_from_slice(body);
        let slot = self.slab.insert(Node {
            set: PendingSet { octets: octets.into_boxed_slice(), clock: unknown.clock, origin },
            scope: scope.clone(),
            exporter: exporter.clone(),
            template_id,
            established: unknown.established,
            by_template: Link::NONE,
            by_exporter: Link::NONE,
            by_age: Link::NONE,
        });
        let slab = &mut self.slab;
        let chain = self.by_template.entry((scope.clone(), template_id)).or_insert(Chain::EMPTY);
        chain.append(slab, Order::Template, slot);
        let empty = Share { chain: Chain::EMPTY, octets: 0 };
        let share = self.by_exporter.entry(exporter.clone()).or_insert(empty);
        share.chain.append(slab, Order::Exporter, slot);
        share.octets += cost;
        let all = if unknown.established { &mut self.established } else { &mut self.newcomers };
        all.append(slab, Order::Age, slot);
        self.octets += cost;
        true
    }

    /// Takes out the oldest set that waits for this template.
    pub(crate) fn take(&mut self, scope: &TemplateScope<E>, template_id: u16) -> Option<PendingSet> {
        if self.by_template.is_empty() {
            return None;
        }
        let slot = self.by_template.get(&(scope.clone(), template_id))?.first;
        self.remove(slot).map(|node| node.set)
    }

    /// Drops what has waited longer than `age`.
    pub(crate) fn drop_aged(&mut self, now: Timestamp, age: Duration) {
        for established in [false, true] {
            while let slot = if established { self.established.first } else { self.newcomers.first }
                && let Some(node) = self.slab.node(slot)
                && now.saturating_since(node.set.origin.received) > age
            {
                self.drop_slot(slot, now, PendingDrop::Expired);
            }
        }
    }

    /// Drops what waits for this template and was exported before.
    pub(crate) fn drop_superseded(
        &mut self,
        scope: &TemplateScope<E>,
        template_id: u16,
        before: Timestamp,
        now: Timestamp,
    ) {
        let Some(chain) = self.by_template.get(&(scope.clone(), template_id)) else { return };
        let mut slot = chain.first;
        while let Some(node) = self.slab.node(slot) {
            let behind = node.by_template.behind;
            if node.set.clock.unix() < before {
                self.drop_slot(slot, now, PendingDrop::Superseded);
            }
            slot = behind;
        }
    }

    /// Drops all sets of a scope.
    pub(crate) fn drop_scope(&mut self, scope: &TemplateScope<E>) {
        let range = (scope.clone(), 0)..=(scope.clone(), u16::MAX);
        while let Some((_, chain)) = self.by_template.range(range.clone()).next() {
            self.forget(chain.first);
        }
    }

    /// Drops all sets of an exporter.
    pub(crate) fn drop_exporter(&mut self, exporter: &E) {
        while let Some(share) = self.by_exporter.get(exporter) {
            self.forget(share.chain.first);
        }
    }

    /// Forgotten sets have waited for no known time.
    fn forget(&mut self, slot: usize) {
        let received = self.slab.node(slot).map_or(Timestamp::ZERO, |node| node.set.origin.received);
        self.drop_slot(slot, received, PendingDrop::Forgotten);
    }

    fn drop_slot(&mut self, slot: usize, now: Timestamp, reason: PendingDrop) {
        if let Some(node) = self.remove(slot) {
            let octets = node.body();
            self.report(node.scope, node.template_id, octets, node.set.origin, now, reason);
        }
    }

    fn report(
        &mut self,
        scope: TemplateScope<E>,
        template_id: u16,
        octets: usize,
        origin: Origin,
        now: Timestamp,
        reason: PendingDrop,
    ) {
        self.drops.count(reason);
        if self.recent.len() == Self::RECENT {
            self.recent.pop_front();
        }
        let waited = now.saturating_since(origin.received);
        self.recent.push_back(DroppedSet { scope, template_id, octets, origin, waited, reason });
    }

    fn remove(&mut self, slot: usize) -> Option<Node<E>> {
        let slab = &mut self.slab;
        let node = slab.node(slot)?;
        let cost = Self::cost(node.body());
        let key = (node.scope.clone(), node.template_id);
        let (exporter, established) = (node.exporter.clone(), node.established);
        if let Some(chain) = self.by_template.get_mut(&key) {
            chain.unlink(slab, Order::Template, slot);
            if chain.is_empty() {
                self.by_template.remove(&key);
            }
        }
        if let Some(share) = self.by_exporter.get_mut(&exporter) {
            share.chain.unlink(slab, Order::Exporter, slot);
            share.octets -= cost;
            if share.chain.is_empty() {
                self.by_exporter.remove(&exporter);
            }
        }
        let all = if established { &mut self.established } else { &mut self.newcomers };
        all.unlink(slab, Order::Age, slot);
        self.octets -= cost;
        let node = slab.nodes.get_mut(slot)?.take()?;
        slab.free.push(slot);
        if self.by_template.is_empty() {
            *slab = Slab { nodes: Vec::new(), free: Vec::new() };
        }
        Some(*node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::Protocol;

    const LIMITS: PendingLimits =
        PendingLimits { octets: 20_000, octets_per_exporter: 8_000, age: Duration::from_secs(10) };

    fn keep(pending: &mut Pending<u8>, exporter: u8, template_id: u16, body: &[u8], secs: u64) -> bool {
        let origin =
            Origin { datagram: 0, set: 0, offset: 20, received: Timestamp::from_secs(secs), sequence: None };
        let unknown = Unknown {
            scope: &TemplateScope::new(exporter, Protocol::Ipfix, 1),
            exporter: &exporter,
            established: exporter < 10,
            template_id,
            body,
            clock: ExportClock::without_uptime(Timestamp::from_secs(secs)),
            origin,
        };
        pending.keep(&unknown, &LIMITS)
    }

    #[test]
    fn sets_leave_in_the_order_they_came_whatever_is_dropped_between() {
        // T23
        let mut pending = Pending::new();
        for number in 0..9_u8 {
            assert!(keep(&mut pending, number % 2, 256 + u16::from(number % 3), &[number], number.into()));
        }
        let scope = TemplateScope::new(0, Protocol::Ipfix, 1);
        pending.drop_superseded(&scope, 256, Timestamp::from_secs(1), Timestamp::from_secs(9));
        assert_eq!(pending.drops().superseded, 1, "number 0");
        let left: Vec<_> =
            core::iter::from_fn(|| pending.take(&scope, 256)).map(|set| set.octets[LEAD]).collect();
        assert_eq!(left, [6]);
        pending.drop_aged(Timestamp::from_secs(14), LIMITS.age);
        assert_eq!(pending.drops().expired, 3, "1, 2 and 3");
        let waiting: Vec<_> = pending.iter().map(|set| (set.template_id, set.octets)).collect();
        assert_eq!(waiting, [(257, 1), (258, 1), (257, 1), (258, 1)].map(|(id, octets)| (id, octets)));
        pending.drop_exporter(&0);
        pending.drop_scope(&TemplateScope::new(1, Protocol::Ipfix, 1));
        assert_eq!((pending.octets(), pending.iter().count(), pending.drops().forgotten), (0, 0, 4));
        assert!(pending.by_exporter.is_empty() && pending.newcomers.is_empty());
    }

    #[test]
    fn an_exporter_is_limited_and_newcomers_are_dropped_first() {
        // T23
        let mut pending = Pending::new();
        assert!(!keep(&mut pending, 1, 256, &[0; 8_000], 0));
        assert!(keep(&mut pending, 1, 256, &[0; 5_000], 0));
        assert!(keep(&mut pending, 1, 257, &[0; 5_000], 1));
        let drops = *pending.drops();
        assert_eq!((drops.too_large, drops.exporter_quota, pending.iter().count()), (1, 1, 1));
        for newcomer in 10..20 {
            assert!(keep(&mut pending, newcomer, 256, &[0; 5_000], 2));
        }
        assert!(pending.octets() <= LIMITS.octets);
        assert_eq!(pending.iter().map(|set| set.scope.exporter).collect::<Vec<_>>(), [1, 18, 19]);
        let last = pending.recent().last().unwrap();
        assert_eq!(
            (last.reason, last.scope.exporter, last.waited),
            (PendingDrop::TotalOctets, 17, Duration::ZERO)
        );
    }
}
