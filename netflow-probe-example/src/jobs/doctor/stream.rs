//! What is known of one stream of datagrams while it is looked at.

use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};

use netflow_codec::{Protocol, Template, Timestamp};

/// Whose datagrams belong together.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Key {
    pub(super) exporter: IpAddr,
    pub(super) version: u16,
    pub(super) domain: u32,
}

/// What a datagram had.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Units {
    pub(super) data: u32,
    pub(super) options: u32,
    pub(super) templates: u32,
    pub(super) sets: u32,
    /// Whether there may be more that could not be decoded.
    pub(super) is_open: bool,
}

impl Units {
    /// By how much the sequence number advances by the documents; `None` when that is not known.
    const fn step(self, version: u16) -> Option<u32> {
        match version {
            1 => None,
            9 => Some(1),
            _ if self.is_open => None,
            10 => Some(self.data + self.options),
            _ => Some(self.data),
        }
    }
}

/// What a sequence number may count.
const COUNTED: [&str; 5] =
    ["datagrams", "records", "records and templates", "records of flows without those of options", "sets"];

/// What one template was like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) record_length: usize,
    pub(super) is_variable: bool,
    sent: Timestamp,
    longest: u64,
    used: Timestamp,
}

#[derive(Debug, Default)]
pub(super) struct Stream {
    pub(super) datagrams: u64,
    pub(super) data_records: u64,
    pub(super) options_records: u64,
    pub(super) template_records: u64,
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
    pub(super) longest_flow_millis: u64,
    pub(super) active_timeout: Option<u64>,
    pub(super) rates: BTreeSet<u32>,
    pub(super) ports: BTreeSet<u16>,
    pub(super) templates: BTreeMap<u16, Known>,
    before: Option<(u32, Units)>,
    steps: u64,
    right: u64,
    /// Of the steps, how many each of [`COUNTED`] explains.
    explained: [u64; COUNTED.len()],
}

/// Ports and rates that are kept.
const KEPT: usize = 64;
/// Templates that are kept.
const TEMPLATES: usize = 4_096;

impl Stream {
    pub(super) fn arrived(&mut self, now: Timestamp, port: u16) {
        if self.datagrams == 0 {
            self.first = now;
        }
        self.datagrams += 1;
        self.last = now;
        if self.ports.len() < KEPT {
            self.ports.insert(port);
        }
    }

    pub(super) fn sampled(&mut self, rate: u32) {
        if self.rates.len() < KEPT {
            self.rates.insert(rate);
        }
    }

    pub(super) fn learned(&mut self, template: &Template, now: Timestamp) {
        let record_length = template.minimum_length();
        let is_variable = template.is_variable_length();
        if let Some(known) = self.templates.get_mut(&template.id()) {
            known.longest = known.longest.max(now.saturating_since(known.sent).as_secs());
            (known.record_length, known.is_variable, known.sent) = (record_length, is_variable, now);
        } else if self.templates.len() < TEMPLATES {
            let known = Known { record_length, is_variable, sent: now, longest: 0, used: now };
            self.templates.insert(template.id(), known);
        }
    }

    pub(super) fn used(&mut self, template_id: u16, now: Timestamp) {
        if let Some(known) = self.templates.get_mut(&template_id) {
            known.used = now;
        }
    }

    /// Templates that were not sent for longer than so many seconds while data needed them.
    pub(super) fn stale(&self, limit: u64) -> impl Iterator<Item = (u16, u64)> {
        self.templates.iter().filter_map(move |(id, known)| {
            let open = known.used.saturating_since(known.sent).as_secs();
            let longest = known.longest.max(open);
            (longest > limit).then_some((*id, longest))
        })
    }

    /// Takes the sequence number of a datagram; whether numbers are missing before it.
    pub(super) fn sequence(&mut self, version: u16, number: u32, units: Units) -> Option<u32> {
        let (before, then) = self.before.replace((number, units))?;
        let step = number.wrapping_sub(before);
        let expected = then.step(version)?;
        // Duplicates, restarts and what came late say nothing.
        if step == 0 && expected != 0 || step > 1 << 24 {
            return None;
        }
        self.steps += 1;
        let Units { data, options, templates, sets, .. } = then;
        let counted = [1, data + options, data + options + templates, data, sets];
        for (explained, counted) in self.explained.iter_mut().zip(counted) {
            *explained += u64::from(step == counted);
        }
        if step == expected {
            self.right += 1;
            return None;
        }
        (step > expected).then(|| step - expected)
    }

    /// What the sequence number counts, if it is not what it should.
    pub(super) fn counts(&self) -> Option<&'static str> {
        const ENOUGH: u64 = 4;
        let (place, most) =
            self.explained.iter().enumerate().max_by_key(|(place, most)| (**most, COUNTED.len() - place))?;
        let explains = self.steps >= ENOUGH && most * 10 >= self.steps * 8;
        (explains && self.right * 2 < self.steps).then(|| COUNTED.get(place).copied()).flatten()
    }
}

/// The sets of a datagram: id, octets of the whole set, body; as far as their lengths are sound.
pub(super) fn sets(protocol: Protocol, datagram: &[u8]) -> impl Iterator<Item = (u16, usize, &[u8])> {
    let header = if protocol == Protocol::NetFlow9 { 20 } else { 16 };
    let mut rest = datagram.get(header..).unwrap_or_default();
    core::iter::from_fn(move || {
        let [a, b, c, d] = *rest.first_chunk()?;
        let length = usize::from(u16::from_be_bytes([c, d]));
        let body = rest.get(4..length)?;
        rest = rest.get(length..)?;
        Some((u16::from_be_bytes([a, b]), length, body))
    })
}
