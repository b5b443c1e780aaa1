//! What one record says of sampling.

use super::{SampledUnit, SamplingAlgorithm, SamplingRate, SelectorAlgorithm};
use crate::{
    element::ElementId,
    quirk::{Quirk, Quirks},
    record::DataRecord,
    template::ScopeType,
    value::FieldValue,
};

/// Numbers that make a rate, in the order in which complete ones are preferred.
const FORMS: [Form; 5] = [
    Form { first: INTERVAL, second: INTERVAL },
    Form { first: PACKET_INTERVAL, second: PACKET_SPACE },
    Form { first: SIZE, second: POPULATION },
    Form { first: PROBABILITY, second: PROBABILITY },
    Form { first: TIME_INTERVAL, second: TIME_SPACE },
];

/// Places in [`Numbers::values`].
const INTERVAL: usize = 0;
const PACKET_INTERVAL: usize = 1;
const PACKET_SPACE: usize = 2;
const SIZE: usize = 3;
const POPULATION: usize = 4;
const PROBABILITY: usize = 5;
const TIME_INTERVAL: usize = 6;
const TIME_SPACE: usize = 7;

#[derive(Clone, Copy)]
struct Form {
    first: usize,
    second: usize,
}

impl Form {
    const fn bits(self) -> u8 {
        1 << self.first | 1 << self.second
    }
}

/// The numbers that announce a rate, from one record or from several about the same thing.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
pub(super) struct Numbers {
    values: [u64; 8],
    /// Which of them are there, by their places.
    present: u8,
    /// The number of the element that gave [`INTERVAL`]: 34 or 50.
    interval_element: u16,
    algorithm: Option<SamplingAlgorithm>,
    selector: Option<SelectorAlgorithm>,
}

/// A rate and what goes with it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
pub(super) struct Announced {
    pub(super) rate: SamplingRate,
    pub(super) algorithm: SamplingAlgorithm,
    pub(super) selector: SelectorAlgorithm,
    /// The element that gave the rate.
    pub(super) element: ElementId,
}

impl Numbers {
    pub(super) const fn is_empty(&self) -> bool {
        self.present == 0 && self.algorithm.is_none() && self.selector.is_none()
    }

    fn set(&mut self, place: usize, value: u64) {
        if let Some(slot) = self.values.get_mut(place) {
            *slot = value;
            self.present |= 1 << place;
        }
    }

    fn get(&self, place: usize) -> Option<u64> {
        let value = self.values.get(place).copied()?;
        (self.present & 1 << place != 0).then_some(value)
    }

    /// Takes in a later record about the same thing. Numbers of a way of saying it that the record does not use are
    /// dropped: they are of the time before.
    pub(super) fn update(&mut self, later: &Self) {
        let used = FORMS.iter().filter(|form| later.present & form.bits() != 0);
        let used = used.fold(0, |used, form| used | form.bits());
        if used != 0 {
            self.present &= used;
        }
        for place in 0..self.values.len() {
            if let Some(value) = later.get(place) {
                self.set(place, value);
            }
        }
        if later.interval_element != 0 {
            self.interval_element = later.interval_element;
        }
        // What is said of the algorithm belongs to the numbers it comes with, or to those there are.
        if later.algorithm.is_some() || later.selector.is_some() {
            (self.algorithm, self.selector) = (later.algorithm, later.selector);
        }
    }

    /// The rate, if what makes one is complete; a quirk that it took is put into `acted`.
    pub(super) fn announced(&self, quirks: Quirks, acted: &mut Quirks) -> Option<Announced> {
        if self.algorithm.is_some_and(|algorithm| algorithm.number() > 2)
            && quirks.contains(Quirk::UnknownSamplingAlgorithm)
        {
            acted.insert(Quirk::UnknownSamplingAlgorithm);
            return None;
        }
        let named = match self.selector {
            Some(SelectorAlgorithm::SYSTEMATIC_COUNT) => Some(PACKET_INTERVAL),
            Some(SelectorAlgorithm::SYSTEMATIC_TIME) => Some(TIME_INTERVAL),
            Some(SelectorAlgorithm::RANDOM_N_OUT_OF_N) => Some(SIZE),
            Some(SelectorAlgorithm::UNIFORM_PROBABILISTIC) => Some(PROBABILITY),
            _ => None,
        };
        let named = FORMS.iter().filter(|form| Some(form.first) == named);
        let (place, rate) =
            named.chain(&FORMS).find_map(|form| Some((form.first, self.rate(*form)?))).or_else(|| {
                let interval = self.get(PACKET_INTERVAL).filter(|interval| *interval > 1)?;
                if !quirks.contains(Quirk::BareSamplingPacketInterval) || self.get(PACKET_SPACE).is_some() {
                    return None;
                }
                acted.insert(Quirk::BareSamplingPacketInterval);
                Some((PACKET_INTERVAL, SamplingRate::one_in(interval)?))
            })?;
        let selector = self.selector.unwrap_or_else(|| {
            self.algorithm.map_or(SelectorAlgorithm::UNKNOWN, SamplingAlgorithm::selector)
        });
        let algorithm = self.algorithm.unwrap_or_else(|| selector.sampling_algorithm());
        let element = match place {
            INTERVAL => self.interval_element,
            PACKET_INTERVAL => 305,
            SIZE => 309,
            PROBABILITY => 311,
            _ => 307,
        };
        Some(Announced { rate, algorithm, selector, element: ElementId::iana(element) })
    }

    fn rate(&self, form: Form) -> Option<SamplingRate> {
        let (first, second) = (self.get(form.first)?, self.get(form.second)?);
        match form.first {
            INTERVAL => SamplingRate::one_in(first),
            PROBABILITY => SamplingRate::from_probability(f64::from_bits(first)),
            SIZE => SamplingRate::new(second, first),
            _ => SamplingRate::new(first.checked_add(second)?, first),
        }
    }
}

/// What a record says of sampling, and of whose.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Announcement {
    pub(super) ingress: Option<u64>,
    pub(super) egress: Option<u64>,
    pub(super) template: Option<u64>,
    pub(super) sampler: Option<u64>,
    pub(super) sequence: Option<u64>,
    /// The selectors, in order, of which the sequence consists.
    pub(super) selectors: [u64; 4],
    pub(super) selector_count: usize,
    pub(super) packets: Numbers,
    pub(super) flows: Numbers,
}

impl Announcement {
    pub(super) fn of(record: &DataRecord<'_, '_>) -> Self {
        let mut found = Self::default();
        // Elements 309 to 311 serve both: they are of flows where only the algorithm of flows is told.
        let has =
            |number| record.template().fields().iter().any(|field| field.element == ElementId::iana(number));
        let shared = if has(390) && !has(304) { SampledUnit::Flows } else { SampledUnit::Packets };
        for field in record.fields().filter(|field| field.element().enterprise() == 0) {
            if let (None, 311) = (field.scope_type(), field.element().number()) {
                // A float64, which may be sent as a float32.
                if let FieldValue::Float(probability) = field.value() {
                    found.of_unit(shared).set(PROBABILITY, probability.to_bits());
                }
                continue;
            }
            let Some(value) = field.as_unsigned() else { continue };
            match field.scope_type() {
                Some(ScopeType::INTERFACE) => found.ingress = Some(value),
                Some(ScopeType::TEMPLATE) => found.template = Some(value),
                Some(_) => {}
                None => found.take(field.element().number(), value, shared),
            }
        }
        found
    }

    fn take(&mut self, element: u16, value: u64, shared: SampledUnit) {
        match element {
            10 => self.ingress = Some(value),
            14 => self.egress = Some(value),
            145 => self.template = Some(value),
            48 | 302 => {
                self.sampler = self.sampler.or(Some(value));
                if let Some(slot) = self.selectors.get_mut(self.selector_count) {
                    *slot = value;
                }
                self.selector_count += 1;
            }
            301 => self.sequence = Some(value),
            34 | 50 => {
                self.packets.set(INTERVAL, value);
                self.packets.interval_element = element;
            }
            35 | 49 => {
                let number = u8::try_from(value).unwrap_or(u8::MAX);
                self.packets.algorithm = Some(SamplingAlgorithm::from_number(number));
            }
            304 => self.packets.selector = selector(value),
            305 => self.packets.set(PACKET_INTERVAL, value),
            306 => self.packets.set(PACKET_SPACE, value),
            307 => self.packets.set(TIME_INTERVAL, value),
            308 => self.packets.set(TIME_SPACE, value),
            309 => self.of_unit(shared).set(SIZE, value),
            310 => self.of_unit(shared).set(POPULATION, value),
            390 => self.flows.selector = selector(value),
            396 => self.flows.set(PACKET_INTERVAL, value),
            397 => self.flows.set(PACKET_SPACE, value),
            398 => self.flows.set(TIME_INTERVAL, value),
            399 => self.flows.set(TIME_SPACE, value),
            _ => {}
        }
    }

    fn of_unit(&mut self, unit: SampledUnit) -> &mut Numbers {
        match unit {
            SampledUnit::Packets => &mut self.packets,
            SampledUnit::Flows => &mut self.flows,
        }
    }
}

fn selector(value: u64) -> Option<SelectorAlgorithm> {
    u16::try_from(value).ok().map(SelectorAlgorithm::from_number)
}
