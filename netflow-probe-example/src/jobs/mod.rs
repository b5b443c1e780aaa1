//! What people collect flows for: each job is a function from flows to a report, which can be printed or serialised.
//!
//! Packets and octets are multiplied by the sampling rate of each flow, where it is known; where it is not, they are as
//! metered, and the report says of how many flows.

pub mod attack;
pub mod doctor;
pub mod ioc;
pub mod plan;
pub mod report;
pub mod timeline;

use netflow_codec::{FlowFields, Timestamp};
use serde::Serialize;

use crate::flow::Flow;

/// Packets and octets of a flow, scaled by its sampling rate.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Scaled {
    pub(crate) packets: u64,
    pub(crate) octets: u64,
}

impl Scaled {
    pub(crate) fn of(flow: &Flow<'_>) -> Self {
        let rate = flow.sampling_rate().unwrap_or(1).max(1);
        Self {
            packets: flow.record.packets.saturating_mul(rate),
            octets: flow.record.octets.saturating_mul(rate),
        }
    }
}

/// What a job has looked at.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Seen {
    /// Flows.
    pub flows: u64,
    /// Flows of which nobody said how they were sampled: their counters are as metered.
    pub flows_of_unknown_rate: u64,
    /// When the first of them began, in nanoseconds since 1970.
    pub first_ns: Option<u64>,
    /// When the last of them ended.
    pub last_ns: Option<u64>,
}

impl Seen {
    pub(crate) fn add(&mut self, flow: &Flow<'_>) {
        self.flows += 1;
        self.flows_of_unknown_rate += u64::from(flow.sampling_rate().is_none());
        widen(&mut self.first_ns, &mut self.last_ns, flow);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.flows += other.flows;
        self.flows_of_unknown_rate += other.flows_of_unknown_rate;
        self.first_ns = self.first_ns.into_iter().chain(other.first_ns).min();
        self.last_ns = self.last_ns.max(other.last_ns);
    }
}

/// A line for readers.
impl core::fmt::Display for Seen {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} flows", self.flows)?;
        if let (Some(first), Some(last)) = (self.first_ns, self.last_ns) {
            write!(f, " from {} to {}", time(first), time(last))?;
        }
        if self.flows_of_unknown_rate > 0 {
            write!(f, "; {} of them of unknown sampling, counted as metered", self.flows_of_unknown_rate)?;
        }
        Ok(())
    }
}

/// Makes a span of time cover a flow.
pub(crate) fn widen(first: &mut Option<u64>, last: &mut Option<u64>, flow: &Flow<'_>) {
    if let Some((start, end)) = span(flow) {
        *first = Some(first.map_or(start, |first| first.min(start)));
        *last = Some(last.map_or(end, |last| last.max(end)));
    }
}

/// When a flow began and ended, in nanoseconds since 1970. One that ends before it begins ends when it begins.
pub(crate) fn span(flow: &Flow<'_>) -> Option<(u64, u64)> {
    let record = &flow.record;
    let (start, end) = (record.start.as_nanos(), record.end.as_nanos());
    match (record.has(FlowFields::START), record.has(FlowFields::END)) {
        (true, true) => Some((start, end.max(start))),
        (true, false) => Some((start, start)),
        (false, true) => Some((end, end)),
        (false, false) => None,
    }
}

/// Whether a protocol has ports.
pub(crate) const fn has_ports(protocol: u8) -> bool {
    matches!(protocol, 6 | 17 | 33 | 132 | 136)
}

/// A point in time, for readers.
pub(crate) fn time(nanos: u64) -> String {
    crate::output::time(Timestamp::from_nanos(nanos))
}

/// The keyword of a protocol, or its number.
pub(crate) fn protocol(number: u8) -> String {
    crate::flow::protocol_keyword(number).map_or_else(|| number.to_string(), ToOwned::to_owned)
}

/// A duration, for readers: `1.5 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`.
pub(crate) fn duration(nanos: u64) -> String {
    let seconds = nanos / 1_000_000_000;
    match seconds {
        0..60 => format!("{}.{} s", seconds, nanos / 100_000_000 % 10),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}
