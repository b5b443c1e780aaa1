//! Indicators against flows as they come in: an alert when a host talks to one, and again after a pause.

use core::{fmt, net::IpAddr, time::Duration};
use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, PoisonError},
};

use netflow_codec::Timestamp;
use serde::Serialize;

use super::{Direction, Indicators, Match, matches, service};
use crate::{flow::Flow, jobs::Scaled, output::FlowSink};

/// A host talks to an address that an indicator names.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Alert {
    /// When the flow came, in nanoseconds since 1970.
    pub time_received_ns: u64,
    /// The indicator, as its file has it.
    pub indicator: String,
    /// What the file says of it.
    pub label: String,
    /// The address that it names.
    pub address: IpAddr,
    /// Who talks to it.
    pub host: IpAddr,
    /// To the address or from it; one flow has one direction.
    pub direction: Direction,
    /// Protocol and port of the address.
    pub service: String,
    /// Packets of the flow, scaled by its sampling rate.
    pub packets: u64,
    /// Octets of the flow, likewise.
    pub octets: u64,
    /// Who saw it.
    pub exporter: IpAddr,
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { indicator, label, address, host, service, packets, octets, exporter, .. } = self;
        let preposition = self.direction.name();
        write!(
            f,
            "ALERT {host} talks {preposition} {address} ({service}), {packets} packets, {octets} octets, \
             seen by {exporter}: indicator {indicator}"
        )?;
        if label.is_empty() { Ok(()) } else { write!(f, ", {label}") }
    }
}

/// Takes alerts.
pub type Tell = Arc<dyn Fn(&Alert) -> io::Result<()> + Send + Sync>;

/// Looks for indicators in the flows that come in.
///
/// The first flow of a host and an indicator gives an alert, and each one after a pause without any. In a second at most
/// a hundred are told; the others are counted. Clones share what they remember: one alert is told once, whichever of
/// them sees it.
#[derive(Clone)]
pub struct Watch {
    indicators: Arc<Indicators>,
    tell: Tell,
    pause: Duration,
    memory: Arc<Mutex<Memory>>,
    found: Vec<Match>,
}

/// What was told already.
#[derive(Debug, Default)]
struct Memory {
    last: HashMap<(u32, IpAddr), Timestamp>,
    second: u64,
    told: u64,
    suppressed: u64,
}

impl Watch {
    /// Pairs of a host and an indicator that are remembered.
    const BOUND: usize = 100_000;

    /// Watches out for these indicators.
    #[must_use]
    pub fn new(indicators: Indicators, pause: Duration, tell: Tell) -> Self {
        Self { indicators: Arc::new(indicators), tell, pause, memory: Arc::default(), found: Vec::new() }
    }

    /// Alerts that were not told because there were too many in a second.
    #[must_use]
    pub fn suppressed(&self) -> u64 {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).suppressed
    }

    fn alert(&self, flow: &Flow<'_>, found: Match) -> io::Result<()> {
        let record = &flow.record;
        let (address, host, port, direction) = if found.is_destination {
            (record.destination, record.source, record.destination_port, Direction::To)
        } else {
            (record.source, record.destination, record.source_port, Direction::From)
        };
        let now = flow.envelope.received;
        let is_new = {
            let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
            memory.is_new((found.indicator, host), now, self.pause)
        };
        if !is_new {
            return Ok(());
        }
        let Some(indicator) = self.indicators.get(found.indicator) else { return Ok(()) };
        let volume = Scaled::of(flow);
        (self.tell)(&Alert {
            time_received_ns: now.as_nanos(),
            indicator: indicator.text.clone(),
            label: indicator.label.clone(),
            address,
            host,
            direction,
            service: service((record.protocol, port)),
            packets: volume.packets,
            octets: volume.octets,
            exporter: flow.envelope.exporter.ip(),
        })
    }
}

impl Memory {
    /// Alerts in a second.
    const A_SECOND: u64 = 100;

    /// Whether this is to be told.
    fn is_new(&mut self, contact: (u32, IpAddr), now: Timestamp, pause: Duration) -> bool {
        if self.last.len() >= Watch::BOUND {
            self.last.retain(|_, last| now.saturating_since(*last) < pause);
            if self.last.len() >= Watch::BOUND {
                // They will be told again: better twice than never.
                self.last.clear();
            }
        }
        let before = self.last.insert(contact, now);
        if before.is_some_and(|before| now.saturating_since(before) < pause) {
            return false;
        }
        if now.as_secs() != self.second {
            (self.second, self.told) = (now.as_secs(), 0);
        }
        self.told += 1;
        let is_told = self.told <= Self::A_SECOND;
        self.suppressed += u64::from(!is_told);
        is_told
    }
}

impl FlowSink for Watch {
    fn flow(&mut self, flow: &Flow<'_>) -> io::Result<()> {
        let mut found = core::mem::take(&mut self.found);
        matches(&self.indicators, flow, &mut found);
        let told = found.iter().try_for_each(|one| self.alert(flow, *one));
        self.found = found;
        told
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("indicators", &self.indicators.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_pause_and_floods_of_them_are_bounded() {
        let mut memory = Memory::default();
        let at = Timestamp::from_secs;
        let host = |number: u32| IpAddr::V4(number.into());
        let pause = Duration::from_secs(60);
        assert!(memory.is_new((0, host(1)), at(100), pause));
        assert!(!memory.is_new((0, host(1)), at(130), pause));
        // The pause begins anew with every flow.
        assert!(!memory.is_new((0, host(1)), at(189), pause));
        assert!(memory.is_new((0, host(1)), at(249), pause));
        assert!(memory.is_new((1, host(1)), at(249), pause));
        let told = (0..300_000).filter(|number| memory.is_new((2, host(*number)), at(300), pause)).count();
        assert_eq!((told, memory.suppressed), (100, 299_900));
        assert!(memory.last.len() <= Watch::BOUND);
    }
}
