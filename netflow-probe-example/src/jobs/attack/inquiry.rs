//! The second pass: everything about the targets that got too much, and whether it is an attack.

use core::net::IpAddr;
use std::collections::{BTreeMap, HashMap};

use netflow_codec::FlowFields;

use super::{
    Event, Kind, Sizes, Thresholds,
    shape::{Key, Shape, Vector, is_never_routed, reflector},
    spread::Spread,
    survey::{Survey, Suspicion, is_near},
};
use crate::{
    flow::Flow,
    jobs::{protocol, span},
    output::tcp_flags,
    query::Prefix,
};

const SECOND: u64 = 1_000_000_000;
/// Steps of time that an event is told in, at most.
const STEPS: u64 = 7_200;
/// Values that are remembered, of all events together.
const ROOM: usize = 2_000_000;
/// Values of a list that are shown.
const TOP: usize = 10;

/// Looks closer at what a [`Survey`] found.
#[derive(Debug)]
pub struct Inquiry {
    thresholds: Thresholds,
    cases: Vec<Case>,
    by_target: HashMap<IpAddr, Vec<usize>>,
    by_prefix: HashMap<Prefix, Vec<usize>>,
    by_port: HashMap<(u8, IpAddr, u16), Vec<usize>>,
    by_pair: HashMap<(IpAddr, IpAddr), Vec<usize>>,
    room: usize,
}

impl Inquiry {
    /// What the survey suspects; it is to be shown the same flows again. What the survey had to leave out goes with it.
    #[must_use]
    pub fn new(survey: Survey) -> (Self, super::Dropped) {
        let (suspicions, survey) = survey.finish();
        let thresholds = *survey.thresholds();
        let dropped = super::Dropped {
            flows_without_time: survey.flows_without_time,
            counters: survey.dropped_counters,
            suspicions: survey.dropped_suspicions,
        };
        let mut inquiry = Self {
            thresholds,
            cases: Vec::new(),
            by_target: HashMap::new(),
            by_prefix: HashMap::new(),
            by_port: HashMap::new(),
            by_pair: HashMap::new(),
            room: ROOM,
        };
        for (place, (key, suspicion)) in suspicions.into_iter().enumerate() {
            match key {
                Key::Flood(_, target) => inquiry.by_target.entry(target).or_default().push(place),
                Key::Carpet(_, prefix) => inquiry.by_prefix.entry(prefix).or_default().push(place),
                Key::Horizontal { protocol, source, port } => {
                    inquiry.by_port.entry((protocol, source, port)).or_default().push(place);
                }
                Key::Vertical { source, target } => {
                    inquiry.by_pair.entry((source, target)).or_default().push(place);
                }
            }
            inquiry.cases.push(Case::new(key, suspicion, thresholds.width(key)));
        }
        (inquiry, dropped)
    }

    /// Whether nothing is suspected: the flows need not be looked at again.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.cases.is_empty()
    }

    /// Looks at a flow.
    pub fn add(&mut self, flow: &Flow<'_>) {
        let record = &flow.record;
        if !record.has(FlowFields::SOURCE | FlowFields::DESTINATION | FlowFields::PROTOCOL) {
            return;
        }
        let received = flow.envelope.received.as_nanos();
        let Some(span) = span(flow).filter(|(start, end)| is_near(*start, *end, received)) else { return };
        let shape = Shape::of(flow, self.thresholds.amplified_octets);
        let (source, target) = (record.source, record.destination);
        let prefix = self.thresholds.prefix_of(target);
        let port = if record.protocol == 6 { record.destination_port } else { 0 };
        let places = [
            self.by_target.get(&target),
            prefix.and_then(|prefix| self.by_prefix.get(&prefix)),
            self.by_port.get(&(record.protocol, source, port)),
            self.by_pair.get(&(source, target)),
        ];
        for place in places.into_iter().flatten().flatten() {
            if let Some(case) = self.cases.get_mut(*place) {
                case.add(flow, shape, span, &mut self.room);
            }
        }
        if record.protocol == 17 {
            let from_target = self.by_target.get(&source);
            let from_prefix =
                self.thresholds.prefix_of(source).and_then(|prefix| self.by_prefix.get(&prefix));
            for place in [from_target, from_prefix].into_iter().flatten().flatten() {
                if let Some(case) = self.cases.get_mut(*place) {
                    case.answered(flow, span);
                }
            }
        }
    }

    /// The attacks, in the order of time.
    #[must_use]
    pub fn finish(self) -> Vec<Event> {
        let thresholds = self.thresholds;
        let mut events: Vec<Event> = self.cases.iter().filter_map(|case| case.judge(&thresholds)).collect();
        // What a whole prefix gets is told once, not of each of its addresses.
        let carpets: Vec<(Vector, Prefix, u64, u64)> = self
            .cases
            .iter()
            .zip(self.cases.iter().map(|case| case.judge(&thresholds)))
            .filter_map(|(case, event)| match (case.key, event) {
                (Key::Carpet(vector, prefix), Some(event)) => {
                    Some((vector, prefix, event.start_ns, event.end_ns))
                }
                _ => None,
            })
            .collect();
        events.retain(|event| {
            let Some((vector, target)) = event.flood else { return true };
            !carpets.iter().any(|(carpet, prefix, start, end)| {
                *carpet == vector
                    && self.thresholds.prefix_of(target) == Some(*prefix)
                    && event.start_ns <= *end
                    && event.end_ns >= *start
            })
        });
        events.sort_by(|a, b| (a.start_ns, a.kind, &a.target).cmp(&(b.start_ns, b.kind, &b.target)));
        events
    }
}

/// What came in a step of time.
#[derive(Clone, Copy, Debug, Default)]
struct Step {
    packets: f64,
    octets: f64,
    samples: f64,
}

/// A target, or a scanner, and what is known of it.
#[derive(Debug)]
struct Case {
    key: Key,
    suspicion: Suspicion,
    /// The interval that thresholds are about.
    width: u64,
    /// Nanoseconds of a step.
    step: u64,
    steps: BTreeMap<u64, Step>,
    flows: u64,
    /// Flows, and packets, that the attack may hide in but that are none of it.
    other_flows: u64,
    other_packets: f64,
    answered_packets: f64,
    packets: f64,
    octets: f64,
    samples: u64,
    rates: Option<(u64, u64)>,
    unknown_rates: u64,
    sources: Spread<IpAddr>,
    never_routed: f64,
    targets: Spread<IpAddr>,
    source_as: Spread<u32>,
    source_ports: Spread<u16>,
    ports: Spread<u16>,
    protocols: Spread<u8>,
    flags: Spread<u16>,
    interfaces: Spread<(IpAddr, u32)>,
    first_octets: Spread<u8>,
    sizes: [f64; Sizes::BOUNDS.len() + 1],
}

impl Case {
    fn new(key: Key, suspicion: Suspicion, width: u64) -> Self {
        // An attack may begin in the interval before the first that was too much.
        let from = suspicion.from.saturating_sub(width);
        let to = suspicion.to.saturating_add(width);
        let seconds = (to - from).div_ceil(SECOND);
        Self {
            key,
            suspicion: Suspicion { from, to, ..suspicion },
            width,
            step: seconds.div_ceil(STEPS).max(1) * SECOND,
            steps: BTreeMap::new(),
            flows: 0,
            other_flows: 0,
            other_packets: 0.0,
            answered_packets: 0.0,
            packets: 0.0,
            octets: 0.0,
            samples: 0,
            rates: None,
            unknown_rates: 0,
            sources: Spread::new(),
            never_routed: 0.0,
            targets: Spread::new(),
            source_as: Spread::new(),
            source_ports: Spread::new(),
            ports: Spread::new(),
            protocols: Spread::new(),
            flags: Spread::new(),
            interfaces: Spread::new(),
            first_octets: Spread::new(),
            sizes: [0.0; Sizes::BOUNDS.len() + 1],
        }
    }

    const fn overlaps(&self, (start, end): (u64, u64)) -> bool {
        start < self.suspicion.to && end >= self.suspicion.from
    }

    /// What goes back: somebody who answers is talked to, not flooded.
    fn answered(&mut self, flow: &Flow<'_>, span: (u64, u64)) {
        if matches!(self.key, Key::Flood(Vector::Udp, _) | Key::Carpet(Vector::Udp, _)) && self.overlaps(span)
        {
            let rate = flow.sampling_rate().unwrap_or(1).max(1);
            self.answered_packets += flow.record.packets.saturating_mul(rate) as f64;
        }
    }

    fn add(&mut self, flow: &Flow<'_>, shape: Shape, span: (u64, u64), room: &mut usize) {
        if !self.overlaps(span) {
            return;
        }
        let record = &flow.record;
        let rate = flow.sampling_rate();
        let scale = rate.unwrap_or(1).max(1) as f64;
        let packets = record.packets as f64 * scale;
        let belongs = match self.key {
            Key::Flood(vector, _) | Key::Carpet(vector, _) => shape.vector == Some(vector),
            Key::Horizontal { .. } | Key::Vertical { .. } => shape.is_probe,
        };
        if !belongs {
            let could = match self.key {
                Key::Flood(Vector::Syn, _) | Key::Carpet(Vector::Syn, _) => record.protocol == 6,
                key => key.is_scan(),
            };
            if could {
                self.other_flows += 1;
                self.other_packets += packets;
            }
            return;
        }
        self.flows += 1;
        self.samples += record.packets;
        self.packets += packets;
        self.octets += record.octets as f64 * scale;
        match rate {
            Some(rate) => {
                self.rates =
                    Some(self.rates.map_or((rate, rate), |(low, high)| (low.min(rate), high.max(rate))));
            }
            None => self.unknown_rates += 1,
        }
        self.spread_over_time(span, packets, record.octets as f64 * scale, record.packets as f64);
        self.sources.add(record.source, packets, room);
        self.targets.add(record.destination, packets, room);
        if record.has(FlowFields::SOURCE_AS) {
            self.source_as.add(record.source_as, packets, room);
        }
        self.protocols.add(record.protocol, packets, room);
        if crate::jobs::has_ports(record.protocol) {
            self.source_ports.add(record.source_port, packets, room);
            self.ports.add(record.destination_port, packets, room);
        }
        if record.protocol == 6 && record.has(FlowFields::TCP_FLAGS) {
            self.flags.add(record.tcp_flags & 0xff, packets, room);
        }
        if record.has(FlowFields::INGRESS_INTERFACE) {
            self.interfaces.add((flow.envelope.exporter.ip(), record.ingress_interface), packets, room);
        }
        if let IpAddr::V4(source) = record.source {
            self.first_octets.add(source.octets()[0], packets, room);
        }
        if is_never_routed(record.source) {
            self.never_routed += packets;
        }
        let each = record.octets / record.packets.max(1);
        let place = Sizes::BOUNDS.iter().position(|bound| each <= *bound).unwrap_or(Sizes::BOUNDS.len());
        if let Some(size) = self.sizes.get_mut(place) {
            *size += packets;
        }
    }

    fn spread_over_time(&mut self, (start, end): (u64, u64), packets: f64, octets: f64, samples: f64) {
        let first = start.max(self.suspicion.from) / self.step;
        let last = end.min(self.suspicion.to) / self.step;
        let length = (end - start) as f64;
        for index in first..=last.min(first + STEPS) {
            let from = start.max(index * self.step);
            let to = end.min((index + 1) * self.step);
            let part = if length == 0.0 { 1.0 } else { to.saturating_sub(from) as f64 / length };
            let step = self.steps.entry(index).or_default();
            step.packets += packets * part;
            step.octets += octets * part;
            step.samples += samples * part;
        }
    }

    /// When it began and ended, to the step: where at least a quarter of the mean came.
    fn times(&self) -> Option<(u64, u64)> {
        let busy = self.steps.values().filter(|step| step.packets > 0.0).count().max(1);
        let mean = self.steps.values().map(|step| step.packets).sum::<f64>() / busy as f64;
        let is_part = |step: &&Step| step.packets >= mean / 4.0;
        let first = self.steps.iter().find(|(_, step)| is_part(step))?.0;
        let last = self.steps.iter().rev().find(|(_, step)| is_part(step))?.0;
        Some((first * self.step, (last + 1) * self.step))
    }

    /// The interval in which most came.
    fn peak(&self) -> (Step, f64) {
        let width = self.width.max(self.step);
        let mut intervals: BTreeMap<u64, Step> = BTreeMap::new();
        for (index, step) in &self.steps {
            let interval = intervals.entry(index * self.step / width).or_default();
            interval.packets += step.packets;
            interval.octets += step.octets;
            interval.samples += step.samples;
        }
        let greatest = intervals.values().max_by(|a, b| a.packets.total_cmp(&b.packets));
        (greatest.copied().unwrap_or_default(), width as f64 / 1e9)
    }

    /// Whether it is an attack, and everything about it if so.
    fn judge(&self, thresholds: &Thresholds) -> Option<Event> {
        let (peak, seconds) = self.peak();
        let (start_ns, end_ns) = self.times()?;
        let sources = self.sources.distinct();
        let targets = self.targets.distinct();
        let enough_samples = peak.samples >= f64::from(thresholds.samples);
        let is_flood = |vector: Vector| {
            let excess = thresholds.excess(vector, peak.packets / seconds, peak.octets * 8.0 / seconds);
            let by_vector = match vector {
                Vector::Syn => self.packets >= self.other_packets,
                Vector::Amplification(_) => sources >= thresholds.reflectors.into(),
                Vector::Udp => self.answered_packets < self.packets / 10.0,
                Vector::Icmp | Vector::Fragments => true,
            };
            enough_samples && excess >= 1.0 && by_vector
        };
        let are_probes = self.flows as f64 >= 0.8 * (self.flows + self.other_flows) as f64;
        let (kind, vector, target, scanner, flood) = match self.key {
            Key::Flood(vector, target) if is_flood(vector) => {
                (Kind::of(vector), Some(vector), target.to_string(), None, Some((vector, target)))
            }
            Key::Carpet(vector, prefix)
                if is_flood(vector)
                    && sources >= 10
                    && targets >= thresholds.carpet_hosts.into()
                    && self.targets.share_of_greatest() <= 0.5 =>
            {
                (Kind::CarpetBombing, Some(vector), prefix.to_string(), None, None)
            }
            Key::Horizontal { source, .. } if are_probes && targets >= thresholds.scan_hosts.into() => {
                (Kind::HorizontalScan, None, self.covering(), Some(source), None)
            }
            Key::Vertical { source, target }
                if are_probes && self.ports.distinct() >= thresholds.scan_ports.into() =>
            {
                (Kind::VerticalScan, None, target.to_string(), Some(source), None)
            }
            _ => return None,
        };
        let is_sampled = self.rates.is_some_and(|(_, highest)| highest > 1);
        Some(Event {
            kind,
            vector: vector.map(|vector| vector.name().to_owned()),
            service: match vector {
                Some(Vector::Amplification(port)) => reflector(port).map(ToOwned::to_owned),
                _ => None,
            },
            target,
            scanner,
            start_ns,
            end_ns,
            peak_packets_per_second: (peak.packets / seconds).round() as u64,
            peak_bits_per_second: (peak.octets * 8.0 / seconds).round() as u64,
            error_percent: if is_sampled { 196.0 / peak.samples.max(1.0).sqrt() } else { 0.0 },
            flows: self.flows,
            packets: self.packets.round() as u64,
            octets: self.octets.round() as u64,
            metered_packets: self.samples,
            sampling: self.rates.map(|(low, high)| [low, high]),
            flows_of_unknown_rate: self.unknown_rates,
            sources: self.sources.distribution(TOP, |source| source.to_string()),
            source_as: self.source_as.distribution(TOP, |number| number.to_string()),
            targets: self.targets.distribution(TOP, |target| target.to_string()),
            source_ports: self.source_ports.distribution(TOP, |port| port.to_string()),
            ports: self.ports.distribution(TOP, |port| port.to_string()),
            protocols: self.protocols.distribution(TOP, protocol),
            tcp_flags: self.flags.distribution(TOP, tcp_flags),
            interfaces: self
                .interfaces
                .distribution(TOP, |(exporter, index)| format!("{exporter} interface {index}")),
            packet_sizes: Sizes::of(&self.sizes, self.octets / self.packets.max(1.0)),
            hints: self.hints(sources),
            flood,
        })
    }

    /// The smallest prefix around all targets that are remembered.
    fn covering(&self) -> String {
        let mut all = self.targets.values().map(|(target, _)| target);
        let Some(first) = all.next() else { return String::new() };
        let bits = |address: IpAddr| match address {
            IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
            IpAddr::V6(address) => address.to_bits(),
        };
        let common =
            all.fold(128, |common: u32, target| common.min((bits(first) ^ bits(target)).leading_zeros()));
        let longest = if first.is_ipv4() { 32 } else { 128 };
        let length = u8::try_from(common.min(longest)).unwrap_or(0);
        Prefix::new(first, length).map_or_else(String::new, |prefix| prefix.to_string())
    }

    /// What speaks for forged sources.
    fn hints(&self, sources: u64) -> Vec<String> {
        let mut hints = Vec::new();
        if self.key.is_scan() || self.packets <= 0.0 {
            return hints;
        }
        let share = self.never_routed / self.packets;
        if share >= 0.01 && sources >= 20 {
            hints.push(format!(
                "{:.0} percent of the packets come from addresses that are never routed (private, reserved, multicast)",
                share * 100.0
            ));
        }
        let octets = self.first_octets.distribution(0, |octet| octet.to_string());
        if octets.distinct >= 200 && octets.evenness >= 0.95 {
            hints.push("the sources are spread evenly over the whole address space".to_owned());
        }
        let flows_a_source = self.flows as f64 / sources.max(1) as f64;
        if sources >= 100 && flows_a_source < 1.2 {
            hints.push(format!(
                "nearly every source was seen once ({} flows of {sources} sources)",
                self.flows
            ));
        }
        if hints.is_empty()
            && matches!(
                self.key,
                Key::Flood(Vector::Amplification(_), _) | Key::Carpet(Vector::Amplification(_), _)
            )
        {
            hints.push(
                "the sources are reflectors: who asked them forged the address of the target".to_owned(),
            );
        }
        hints
    }
}
