//! The rates that options records announced.

use alloc::vec::Vec;

use super::{
    SampledUnit, SamplingAlgorithm, SamplingInfo, SamplingRate, SamplingSource, SelectorAlgorithm,
    announcement::{Announced, Announcement, Numbers},
};
use crate::{
    element::ElementId,
    flow::{FlowFields, FlowRecord},
    quirk::{Quirk, Quirks},
    record::DataRecord,
};

/// What a rate applies to.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
enum Target {
    Domain,
    Ingress(u64),
    Egress(u64),
    Template(u64),
    Sampler(u64),
    /// A chain of samplers.
    Sequence(u64),
}

type Key = (SampledUnit, Target);

#[derive(Clone, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
struct Entry {
    key: Key,
    numbers: Numbers,
    announced: Option<Announced>,
    /// Of a sequence: its selectors in order.
    selectors: [u64; 4],
    selector_count: u8,
}

/// The rates that the options records of one observation domain, or of all of an exporter's, announced.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
pub(crate) struct SamplingTable {
    /// Sorted by key.
    entries: Vec<Entry>,
    last_sampler: Option<u64>,
    /// Announcements that there was no room for.
    #[cfg_attr(feature = "serde", serde(skip))]
    refused: u64,
}

/// What a data record says that its rate is found by.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct SamplingQuery {
    unit: SampledUnit,
    sampler: Option<u64>,
    sequence: Option<u64>,
    ingress: Option<u64>,
    egress: Option<u64>,
    /// Whether the flow was metered where it left.
    is_egress: bool,
    template: Option<u16>,
}

impl SamplingQuery {
    /// By what a typed flow has.
    pub(crate) fn of(flow: &FlowRecord, template: Option<u16>) -> Self {
        let when = |field, value: u32| flow.has(field).then_some(u64::from(value));
        Self {
            unit: SampledUnit::Packets,
            sampler: when(FlowFields::SAMPLER_ID, flow.sampler_id),
            sequence: None,
            ingress: when(FlowFields::INGRESS_INTERFACE, flow.ingress_interface),
            egress: when(FlowFields::EGRESS_INTERFACE, flow.egress_interface),
            // flowDirection: 0 ingress, 1 egress.
            is_egress: flow.has(FlowFields::DIRECTION) && flow.direction == 1,
            template,
        }
    }

    /// By what the record has besides.
    pub(crate) fn with_record(self, record: &DataRecord<'_, '_>) -> Self {
        let number = |number: u16| {
            let mut fields = record.fields().filter(|field| field.element().enterprise() == 0);
            fields.find(|field| field.element().number() == number)?.as_unsigned()
        };
        let template = Some(record.template().id());
        let sequence = record.template().announces_sampling().then(|| number(301)).flatten();
        // Identifiers of selectors have up to 64 bits.
        let named =
            || record.template().names_sampler().then(|| number(48).or_else(|| number(302))).flatten();
        let sampler = self.sampler.or_else(named);
        Self { sampler, sequence, template, ..self }
    }

    /// Asks another domain: its templates are not those of the flow.
    pub(crate) const fn elsewhere(self) -> Self {
        Self { template: None, ..self }
    }

    pub(crate) const fn of_unit(self, unit: SampledUnit) -> Self {
        Self { unit, ..self }
    }
}

impl SamplingTable {
    /// Announcements that are kept of one domain; more are refused.
    const LIMIT: usize = 1_024;

    /// Announcements that are kept of an exporter with a quota of so many octets: all of them take half of it at most,
    /// those of its domain and those of all its domains, and vectors that have grown twice as far as needed.
    pub(crate) fn most(quota: usize) -> usize {
        (quota / 8 / size_of::<Entry>()).clamp(1, Self::LIMIT)
    }

    /// Takes what an options record says of sampling: it applies to what is asked later. A later record overrides an
    /// earlier one, and adds to it what that one left out. Of more than `most` announcements the later ones are
    /// refused. Says which quirks acted.
    pub(crate) fn learn(&mut self, record: &DataRecord<'_, '_>, quirks: Quirks, most: usize) -> Quirks {
        let mut acted = Quirks::NONE;
        if !record.template().announces_sampling() {
            return acted;
        }
        let said = Announcement::of(record);
        if let (Some(sequence), false) = (said.sequence, said.selector_count == 0) {
            if let Some(entry) = self.entry((SampledUnit::Packets, Target::Sequence(sequence)), most) {
                entry.selectors = said.selectors;
                // A chain too long to be kept has no rate.
                entry.selector_count = u8::try_from(said.selector_count).unwrap_or(u8::MAX);
            }
            return acted;
        }
        let target = match said {
            Announcement { sampler: Some(id), .. } => Target::Sampler(id),
            Announcement { ingress: Some(index), .. } => Target::Ingress(index),
            Announcement { egress: Some(index), .. } => Target::Egress(index),
            Announcement { template: Some(id), .. } => Target::Template(id),
            _ => Target::Domain,
        };
        for (unit, numbers) in [(SampledUnit::Packets, said.packets), (SampledUnit::Flows, said.flows)] {
            if numbers.is_empty() {
                continue;
            }
            let Some(entry) = self.entry((unit, target), most) else { continue };
            let mut merged = entry.numbers;
            merged.update(&numbers);
            let announced = merged.announced(quirks, &mut acted);
            if acted.contains(Quirk::UnknownSamplingAlgorithm) {
                continue;
            }
            entry.numbers = merged;
            // What says nothing, such as an interval of 0, leaves in force what was said before.
            entry.announced = announced.or(entry.announced);
            if let (SampledUnit::Packets, Target::Sampler(id), true) = (unit, target, announced.is_some()) {
                self.last_sampler = Some(id);
            }
        }
        acted
    }

    /// Announcements for which there was no room since this was asked last.
    pub(crate) const fn take_refused(&mut self) -> u64 {
        core::mem::replace(&mut self.refused, 0)
    }

    /// Whether a table that was stored is one that could have been learned.
    #[cfg(feature = "serde")]
    pub(crate) fn is_sound(&self) -> bool {
        self.entries.len() <= Self::LIMIT && self.entries.is_sorted_by(|one, next| one.key < next.key)
    }

    /// Octets of memory the table takes, roughly.
    pub(crate) const fn memory_octets(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>()
    }

    /// The entry of a key, made if need be and possible.
    fn entry(&mut self, key: Key, most: usize) -> Option<&mut Entry> {
        let place = match self.entries.binary_search_by_key(&key, |entry| entry.key) {
            Ok(place) => place,
            Err(_) if self.entries.len() >= most => {
                self.refused += 1;
                return None;
            }
            Err(place) => {
                let empty = Entry {
                    key,
                    numbers: Numbers::default(),
                    announced: None,
                    selectors: [0; 4],
                    selector_count: 0,
                };
                self.entries.insert(place, empty);
                place
            }
        };
        self.entries.get_mut(place)
    }

    fn find(&self, key: Key) -> Option<&Entry> {
        let place = self.entries.binary_search_by_key(&key, |entry| entry.key).ok()?;
        self.entries.get(place)
    }

    /// The rate of a flow by what its record says, by the order of [`super`]'s table from its sampler on; and the quirks
    /// that it took.
    pub(crate) fn resolve(&self, query: &SamplingQuery, quirks: Quirks) -> Option<(SamplingInfo, Quirks)> {
        use SamplingSource as S;
        if self.entries.is_empty() {
            return None;
        }
        let (unit, none) = (query.unit, Quirks::NONE);
        if let Some(info) = query.sequence.and_then(|sequence| self.chain(unit, sequence)) {
            return Some((info, none));
        }
        // An interface of options without a direction may be either.
        let interfaces = if query.is_egress {
            [query.egress.map(Target::Egress), query.egress.map(Target::Ingress)]
        } else {
            [query.ingress.map(Target::Ingress), query.egress.map(Target::Egress)]
        };
        let [first, second] = interfaces.map(|target| (target, S::Interface));
        let template = query.template.map(|id| Target::Template(id.into()));
        let targets = [
            (query.sampler.map(Target::Sampler), S::Sampler),
            first,
            second,
            (template, S::Template),
            (Some(Target::Domain), S::Domain),
        ];
        let found = targets.into_iter().find_map(|(target, source)| {
            let announced = self.find((unit, target?))?.announced?;
            Some(SamplingInfo::announced(&announced, source, unit))
        });
        found.map(|info| (info, none)).or_else(|| self.guess(query, quirks))
    }

    /// Which sampler a flow that names none, or one that is not known, may mean.
    fn guess(&self, query: &SamplingQuery, quirks: Quirks) -> Option<(SamplingInfo, Quirks)> {
        let (id, quirk) = match query.sampler {
            Some(0) if quirks.contains(Quirk::SamplerZeroIsLast) => {
                (self.last_sampler?, Quirk::SamplerZeroIsLast)
            }
            None if quirks.contains(Quirk::LoneSampler) => {
                (self.lone_sampler(query.unit)?, Quirk::LoneSampler)
            }
            _ => return None,
        };
        let announced = self.find((query.unit, Target::Sampler(id)))?.announced?;
        let info = SamplingInfo::announced(&announced, SamplingSource::Sampler, query.unit);
        Some((info, Quirks::NONE.with(quirk)))
    }

    fn lone_sampler(&self, unit: SampledUnit) -> Option<u64> {
        let mut samplers = self.entries.iter().filter_map(|entry| match entry.key {
            (of, Target::Sampler(id)) if of == unit && entry.announced.is_some() => Some(id),
            _ => None,
        });
        let only = samplers.next()?;
        samplers.next().is_none().then_some(only)
    }

    /// The rate of selectors one behind the other, all of which must be known.
    fn chain(&self, unit: SampledUnit, sequence: u64) -> Option<SamplingInfo> {
        let entry = self.find((SampledUnit::Packets, Target::Sequence(sequence)))?;
        let selectors = entry.selectors.get(..usize::from(entry.selector_count))?;
        let mut info: Option<SamplingInfo> = None;
        for id in selectors {
            let next = self.find((unit, Target::Sampler(*id)))?.announced?;
            let next = SamplingInfo::announced(&next, SamplingSource::Sampler, unit);
            info = Some(match info {
                None => next,
                Some(before) => before.then(&next)?,
            });
        }
        info
    }
}

impl SamplingInfo {
    fn announced(announced: &Announced, source: SamplingSource, unit: SampledUnit) -> Self {
        let Announced { rate, algorithm, selector, element } = *announced;
        let element = match (unit, element.number()) {
            (SampledUnit::Flows, 305) => ElementId::iana(396),
            (SampledUnit::Flows, 307) => ElementId::iana(398),
            _ => element,
        };
        Self {
            interval: rate.interval(),
            rate,
            algorithm,
            selector,
            source,
            element: Some(element),
            elsewhere: false,
            unit,
        }
    }

    /// Of two selections one behind the other; the algorithm is that of both, or unknown.
    fn then(&self, next: &Self) -> Option<Self> {
        let rate: SamplingRate = self.rate.then(next.rate)?;
        let same = self.selector == next.selector;
        Some(Self {
            interval: rate.interval(),
            rate,
            algorithm: if same { self.algorithm } else { SamplingAlgorithm::UNKNOWN },
            selector: if same { self.selector } else { SelectorAlgorithm::UNKNOWN },
            ..*self
        })
    }

    /// What a data record itself says of its rate.
    pub(crate) fn of_record(
        record: &DataRecord<'_, '_>,
        unit: SampledUnit,
        quirks: Quirks,
    ) -> Option<(Self, Quirks)> {
        if !record.template().announces_sampling() {
            return None;
        }
        let said = Announcement::of(record);
        let mut acted = Quirks::NONE;
        let numbers = if unit == SampledUnit::Flows { said.flows } else { said.packets };
        let mut info = Self::announced(&numbers.announced(quirks, &mut acted)?, SamplingSource::Record, unit);
        info.unswap(quirks, &mut acted);
        Some((info, acted))
    }

    /// What a typed flow has of its rate.
    pub(crate) fn of_flow(flow: &FlowRecord, quirks: Quirks) -> Option<(Self, Quirks)> {
        if !flow.has(FlowFields::SAMPLING_INTERVAL) {
            return None;
        }
        let mut info = Self::new(flow.sampling_interval, SamplingAlgorithm::UNKNOWN, SamplingSource::Record)?;
        let mut acted = Quirks::NONE;
        info.unswap(quirks, &mut acted);
        Some((info, acted))
    }

    fn unswap(&mut self, quirks: Quirks, acted: &mut Quirks) {
        let is_round = self.interval >= 1 << 24 && self.interval.trailing_zeros() >= 16;
        let swapped = self.interval.swap_bytes();
        if is_round
            && self.rate.selected() == 1
            && quirks.contains(Quirk::SwappedSamplingInterval)
            && let Some(rate) = SamplingRate::one_in(swapped.into())
        {
            acted.insert(Quirk::SwappedSamplingInterval);
            (self.interval, self.rate) = (swapped, rate);
        }
    }
}
