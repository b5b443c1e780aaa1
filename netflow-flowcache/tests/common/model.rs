//! What a table should do, written down naively: unlimited, and without timers.

use core::time::Duration;
use std::collections::HashMap;

use netflow_flowcache::{
    CacheKind, Config, Counters, ExpireReason, ExpiredFlow, Fragment, Inactive, ObservedPacket, SevenTuple,
    Timeouts, Timestamp,
};

use super::{FIN, RST, SYN};

/// What a record comes down to, in an order of its own.
pub type Row = (SevenTuple, Timestamp, u8, [u64; 12]);

pub fn row(flow: &ExpiredFlow) -> Row {
    row_of(flow.key, &flow.counters, flow.reason)
}

fn row_of(key: SevenTuple, counters: &Counters, reason: ExpireReason) -> Row {
    let numbers = [
        counters.packets,
        counters.octets,
        counters.first.as_nanos(),
        counters.last.as_nanos(),
        counters.tcp_flags.into(),
        counters.minimum_length.into(),
        counters.maximum_length.into(),
        counters.minimum_ttl.into(),
        counters.maximum_ttl.into(),
        counters.egress_interface.into(),
        counters.first_fragments.into(),
        counters.later_fragments.into(),
    ];
    (key, counters.first, reason.code(), numbers)
}

/// A flow: its record, if that has begun, and what is remembered between records.
struct Flow {
    record: Option<Counters>,
    start: Timestamp,
    last: Timestamp,
}

/// Ends flows only when a packet or a flush comes by.
pub struct Model {
    timeouts: Timeouts,
    limit: u64,
    reorder: Duration,
    clock: Timestamp,
    flows: HashMap<SevenTuple, Flow>,
    pub flows_begun: u64,
    pub ended: Vec<Row>,
}

impl Model {
    pub fn new(config: &Config) -> Self {
        let mut timeouts = config.timeouts;
        match config.kind {
            CacheKind::Immediate => {
                timeouts = Timeouts::NEVER;
                timeouts.inactive = Some(Duration::ZERO);
            }
            CacheKind::Permanent => {
                let active = timeouts.active;
                timeouts = Timeouts::NEVER;
                timeouts.active = active;
            }
            _ => {}
        }
        Self {
            timeouts,
            limit: config.counter_limit.unwrap_or(u64::MAX),
            reorder: config.reorder,
            clock: Timestamp::ZERO,
            flows: HashMap::new(),
            flows_begun: 0,
            ended: Vec::new(),
        }
    }

    pub fn set_clock(&mut self, now: Timestamp) {
        if self.clock.saturating_since(now) > self.reorder {
            self.flush(ExpireReason::FORCED_END);
            self.clock = now;
        }
        self.clock = self.clock.max(now);
    }

    pub fn packet(&mut self, packet: &ObservedPacket, now: Timestamp) {
        self.set_clock(now);
        let key = SevenTuple::of(packet);
        if let Some(counters) = self.flows.get(&key).and_then(|flow| flow.record) {
            let closing = (self.timeouts.tcp_end.is_some() && counters.tcp_flags & FIN != 0)
                || (self.timeouts.tcp_reset.is_some() && counters.tcp_flags & RST != 0);
            let again = (packet.tcp_flags & SYN != 0 && closing).then_some(ExpireReason::END_OF_FLOW);
            let full =
                counters.octets + u64::from(packet.octets) > self.limit || counters.packets >= self.limit;
            let full = full.then_some(ExpireReason::LACK_OF_RESOURCES);
            if let Some(reason) = self.passed(&key).or(again).or(full) {
                let goes_on =
                    [ExpireReason::ACTIVE_TIMEOUT, ExpireReason::LACK_OF_RESOURCES].contains(&reason);
                self.end(key, reason, goes_on);
            }
        }
        let clock = self.clock;
        if self.flows.get(&key).is_some_and(|flow| flow.record.is_none() && !self.is_known(&key, flow)) {
            self.flows.remove(&key);
        }
        let flow = self.flows.entry(key).or_insert_with(|| {
            self.flows_begun += 1;
            Flow { record: None, start: clock, last: clock }
        });
        flow.last = clock;
        let counters = flow.record.get_or_insert_with(|| {
            let mut counters = Counters::default();
            (counters.first, counters.minimum_length, counters.minimum_ttl) = (clock, u32::MAX, u8::MAX);
            counters.egress_interface = packet.egress_interface;
            counters
        });
        counters.packets += 1;
        counters.octets += u64::from(packet.octets);
        counters.last = clock;
        counters.tcp_flags |= packet.tcp_flags;
        counters.minimum_length = counters.minimum_length.min(packet.octets);
        counters.maximum_length = counters.maximum_length.max(packet.octets);
        counters.minimum_ttl = counters.minimum_ttl.min(packet.ttl);
        counters.maximum_ttl = counters.maximum_ttl.max(packet.ttl);
        counters.first_fragments |= packet.fragment == Fragment::First;
        counters.later_fragments |= packet.fragment == Fragment::Later;
        if let Some(reason) = self.passed(&key) {
            self.end(key, reason, false);
        }
    }

    pub fn flush(&mut self, reason: ExpireReason) {
        let keys: Vec<_> = self.flows.keys().copied().collect();
        for key in keys {
            if self.flows[&key].record.is_some() {
                let reason = self.passed(&key).unwrap_or(reason);
                self.end(key, reason, false);
            }
        }
        self.flows.clear();
    }

    /// Flows with a record begun.
    pub fn records(&self) -> usize {
        self.flows.values().filter(|flow| flow.record.is_some()).count()
    }

    fn end(&mut self, key: SevenTuple, reason: ExpireReason, goes_on: bool) {
        let flow = self.flows.get_mut(&key).unwrap();
        let counters = flow.record.take().unwrap();
        self.ended.push(row_of(key, &counters, reason));
        if !goes_on || !self.is_known(&key, &self.flows[&key]) {
            self.flows.remove(&key);
        }
    }

    fn inactive(&self, key: &SevenTuple) -> Option<Duration> {
        let of_protocol = match key.protocol() {
            6 => self.timeouts.inactive_tcp,
            17 => self.timeouts.inactive_udp,
            1 | 58 => self.timeouts.inactive_icmp,
            _ => Inactive::AsOthers,
        };
        match of_protocol {
            Inactive::AsOthers => self.timeouts.inactive,
            Inactive::Never => None,
            Inactive::After(duration) => Some(duration),
        }
    }

    fn is_known(&self, key: &SevenTuple, flow: &Flow) -> bool {
        let silent = self.inactive(key).map(|inactive| flow.last.saturating_add(inactive));
        let old = self.timeouts.lifetime.map(|lifetime| flow.start.saturating_add(lifetime));
        [silent, old].into_iter().flatten().all(|deadline| self.clock < deadline)
    }

    /// Straight from the definition of the timeouts.
    fn passed(&self, key: &SevenTuple) -> Option<ExpireReason> {
        let flow = &self.flows[key];
        let counters = flow.record?;
        let mut deadlines = Vec::new();
        for (flag, linger) in [(FIN, self.timeouts.tcp_end), (RST, self.timeouts.tcp_reset)] {
            if let Some(linger) = linger.filter(|_| counters.tcp_flags & flag != 0) {
                deadlines.push((counters.last.saturating_add(linger), 0, ExpireReason::END_OF_FLOW));
            }
        }
        let short = self.timeouts.short_flows.filter(|short| counters.packets < short.fewer_than);
        for inactive in [self.inactive(key), short.map(|short| short.inactive)].into_iter().flatten() {
            deadlines.push((counters.last.saturating_add(inactive), 1, ExpireReason::IDLE_TIMEOUT));
        }
        if let Some(active) = self.timeouts.active {
            deadlines.push((counters.first.saturating_add(active), 2, ExpireReason::ACTIVE_TIMEOUT));
        }
        if let Some(lifetime) = self.timeouts.lifetime {
            deadlines.push((flow.start.saturating_add(lifetime), 2, ExpireReason::ACTIVE_TIMEOUT));
        }
        let (deadline, _, reason) = deadlines.into_iter().min_by_key(|(time, rank, _)| (*time, *rank))?;
        (deadline <= self.clock).then_some(reason)
    }
}
