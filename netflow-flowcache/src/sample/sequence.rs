//! Selectors with their statistics, one behind the other.

use alloc::{boxed::Box, string::String};

use crate::{
    ObservedPacket, Timestamp,
    sample::{
        AnySampler, OptionsRecord, PacketContent, Parameter, ParameterValue, Sampler, SamplerError, Sampling,
        Secrets, math::float,
    },
};

/// Packets that a selector saw, and packets that it selected.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct SelectorStatistics {
    /// selectorIdTotalPktsObserved (element 318).
    pub observed: u64,
    /// selectorIdTotalPktsSelected (element 319).
    pub selected: u64,
}

impl SelectorStatistics {
    /// The fraction that was attained: selected over observed (RFC 5475 section 3.8). `None` before the first packet.
    ///
    /// Scale by this, not by what was configured: it is what happened.
    #[must_use]
    pub fn attained_fraction(&self) -> Option<f64> {
        (self.observed > 0).then(|| float(self.selected) / float(self.observed))
    }

    #[inline]
    fn count(&mut self, selected: bool) -> bool {
        self.observed = self.observed.saturating_add(1);
        self.selected = self.selected.saturating_add(u64::from(selected));
        selected
    }
}

/// A sampler in use: with an identifier and statistics of its own (RFC 5476 section 6.5.3).
///
/// ```
/// use core::net::{IpAddr, Ipv4Addr};
/// use netflow_flowcache::sample::{Sampler, Selector, SystematicCount};
/// use netflow_flowcache::{ObservedPacket, Timestamp};
///
/// let mut selector = Selector::new(15, SystematicCount::new(1, 9, 0)?);
/// let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// for _ in 0..25 {
///     selector.select(&ObservedPacket::new(address, address, 17, 120), Timestamp::ZERO);
/// }
/// assert_eq!((selector.statistics().observed, selector.statistics().selected), (25, 3));
/// # Ok::<(), netflow_flowcache::sample::SamplerError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Selector<S = AnySampler> {
    id: u64,
    name: Option<String>,
    sampler: S,
    statistics: SelectorStatistics,
}

impl<S: Sampler> Selector<S> {
    /// A selector that has seen nothing; `id` is its selectorId (element 302), unique in the Observation Domain.
    #[must_use]
    pub const fn new(id: u64, sampler: S) -> Self {
        Self { id, name: None, sampler, statistics: SelectorStatistics { observed: 0, selected: 0 } }
    }

    /// With a selectorName (element 335).
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = Some(name.into());
        self
    }

    /// selectorId (element 302).
    #[must_use]
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// What was observed and selected.
    #[must_use]
    pub const fn statistics(&self) -> SelectorStatistics {
        self.statistics
    }

    /// The sampler.
    #[must_use]
    pub const fn sampler(&self) -> &S {
        &self.sampler
    }

    /// The options record that tells its configuration: scope selectorId (302); selectorAlgorithm (304), parameters
    /// and name, if it has one (RFC 5476 section 6.5.2). `None` for what has no selectorAlgorithm.
    #[must_use]
    pub fn report(&self, secrets: Secrets) -> Option<OptionsRecord> {
        let mut fields = self.sampler.describe().parameters(secrets);
        if fields.is_empty() {
            return None;
        }
        if let Some(name) = &self.name {
            fields.push(Parameter::new(335, ParameterValue::Text(name.clone())));
        }
        Some(OptionsRecord::new(self.id_parameter(), fields))
    }

    fn id_parameter(&self) -> Parameter {
        Parameter::new(302, ParameterValue::Unsigned64(self.id))
    }
}

impl<S: Sampler> Sampler for Selector<S> {
    #[inline]
    fn select(&mut self, packet: &ObservedPacket, now: Timestamp) -> bool {
        let selected = self.sampler.select(packet, now);
        self.statistics.count(selected)
    }

    #[inline]
    fn select_with(&mut self, packet: &ObservedPacket, content: &PacketContent<'_>, now: Timestamp) -> bool {
        let selected = self.sampler.select_with(packet, content, now);
        self.statistics.count(selected)
    }

    fn needs_content(&self) -> bool {
        self.sampler.needs_content()
    }

    fn describe(&self) -> Sampling {
        self.sampler.describe()
    }
}

/// Selectors in a row, each choosing from what the one before it selected: a Selection Sequence (RFC 5476 section 2).
///
/// The order counts: a filter behind a sampler filters the sample. What a selector observed is what the one before it
/// selected.
///
/// ```
/// use netflow_flowcache::sample::{Property, Sampler, Sampling, SelectionSequence};
///
/// let filter = Sampling::PropertyMatch([Property::Protocol(17)].into());
/// let tenth = Sampling::RandomOutOf { size: 1, population: 10 };
/// let sequence = SelectionSequence::new(1, [filter.sampler(1)?, tenth.sampler(2)?])?;
/// assert_eq!(sequence.describe(), Sampling::Composite([filter, tenth].into()));
/// # Ok::<(), netflow_flowcache::sample::SamplerError>(())
/// ```
#[derive(Clone, Debug)]
pub struct SelectionSequence {
    id: u64,
    observation_point: Option<Parameter>,
    /// At least one.
    selectors: Box<[Selector]>,
}

impl SelectionSequence {
    /// A sequence of samplers; `id` is its selectionSequenceId (element 301). The selectors get the identifiers from
    /// `id` on.
    ///
    /// # Errors
    /// [`SamplerError::NoSelector`] if there is none.
    pub fn new(id: u64, samplers: impl IntoIterator<Item = AnySampler>) -> Result<Self, SamplerError> {
        let selectors = samplers
            .into_iter()
            .zip(0..)
            .map(|(sampler, number)| Selector::new(id.wrapping_add(number), sampler));
        Self::of(id, selectors)
    }

    /// A sequence of selectors with identifiers of their own.
    ///
    /// # Errors
    /// [`SamplerError::NoSelector`] if there is none.
    pub fn of(id: u64, selectors: impl IntoIterator<Item = Selector>) -> Result<Self, SamplerError> {
        let selectors: Box<[Selector]> = selectors.into_iter().collect();
        if selectors.is_empty() {
            return Err(SamplerError::NoSelector);
        }
        Ok(Self { id, observation_point: None, selectors })
    }

    /// With an observation point: an element such as ingressInterface (10) or observationPointId (138).
    #[must_use]
    pub fn observed_at(mut self, observation_point: Parameter) -> Self {
        self.observation_point = Some(observation_point);
        self
    }

    /// The selectors, in order.
    #[must_use]
    pub const fn selectors(&self) -> &[Selector] {
        &self.selectors
    }

    /// Packets that the first one observed, and packets that the last one selected.
    #[must_use]
    pub fn statistics(&self) -> SelectorStatistics {
        let of = |selector: Option<&Selector>| selector.map(Selector::statistics).unwrap_or_default();
        SelectorStatistics {
            observed: of(self.selectors.first()).observed,
            selected: of(self.selectors.last()).selected,
        }
    }

    /// The options record that tells which selectors there are: scope selectionSequenceId (301); the observation point
    /// and each selectorId (302) in order (RFC 5476 section 6.5.1).
    #[must_use]
    pub fn sequence_report(&self) -> OptionsRecord {
        let ids = self.selectors.iter().map(Selector::id_parameter);
        OptionsRecord::new(
            self.id_parameter(),
            self.observation_point.clone().into_iter().chain(ids).collect(),
        )
    }

    /// The options records that tell the selectors' configuration: see [`Selector::report`].
    pub fn selector_reports(&self, secrets: Secrets) -> impl Iterator<Item = OptionsRecord> {
        self.selectors.iter().filter_map(move |selector| selector.report(secrets))
    }

    /// The options record that tells what was observed and selected: scope selectionSequenceId (301); elements 318 and
    /// 319 of each selector in order. It has to be sent periodically (RFC 5476 section 6.5.3).
    #[must_use]
    pub fn statistics_report(&self) -> OptionsRecord {
        let counts = self.selectors.iter().flat_map(|selector| {
            let SelectorStatistics { observed, selected } = selector.statistics;
            [(318, observed), (319, selected)]
        });
        let fields = counts
            .map(|(element, count)| Parameter::new(element, ParameterValue::Unsigned64(count)))
            .collect();
        OptionsRecord::new(self.id_parameter(), fields)
    }

    fn id_parameter(&self) -> Parameter {
        Parameter::new(301, ParameterValue::Unsigned64(self.id))
    }
}

impl Sampler for SelectionSequence {
    #[inline]
    fn select(&mut self, packet: &ObservedPacket, now: Timestamp) -> bool {
        // What costs nothing by itself is not called.
        if let [Selector { sampler: AnySampler::Unsampled(_), statistics, .. }] = &mut *self.selectors {
            return statistics.count(true);
        }
        select_by_each(&mut self.selectors, packet, now)
    }

    #[inline]
    fn select_with(&mut self, packet: &ObservedPacket, content: &PacketContent<'_>, now: Timestamp) -> bool {
        self.selectors.iter_mut().all(|selector| selector.select_with(packet, content, now))
    }

    fn needs_content(&self) -> bool {
        self.selectors.iter().any(Selector::needs_content)
    }

    fn describe(&self) -> Sampling {
        match &*self.selectors {
            [one] => one.describe(),
            several => Sampling::Composite(several.iter().map(Selector::describe).collect()),
        }
    }
}

#[inline(never)]
fn select_by_each(selectors: &mut [Selector], packet: &ObservedPacket, now: Timestamp) -> bool {
    selectors.iter_mut().all(|selector| selector.select(packet, now))
}

/// One sampler behind another, both known when the program is compiled.
///
/// Wrap each in a [`Selector`] to have it counted.
#[derive(Clone, Copy, Debug)]
pub struct Chain<A, B> {
    first: A,
    second: B,
}

impl<A: Sampler, B: Sampler> Chain<A, B> {
    /// `second` chooses from what `first` selected.
    #[must_use]
    pub const fn new(first: A, second: B) -> Self {
        Self { first, second }
    }

    /// Both of them.
    #[must_use]
    pub const fn parts(&self) -> (&A, &B) {
        (&self.first, &self.second)
    }
}

impl<A: Sampler, B: Sampler> Sampler for Chain<A, B> {
    #[inline]
    fn select(&mut self, packet: &ObservedPacket, now: Timestamp) -> bool {
        self.first.select(packet, now) && self.second.select(packet, now)
    }

    #[inline]
    fn select_with(&mut self, packet: &ObservedPacket, content: &PacketContent<'_>, now: Timestamp) -> bool {
        self.first.select_with(packet, content, now) && self.second.select_with(packet, content, now)
    }

    fn needs_content(&self) -> bool {
        self.first.needs_content() || self.second.needs_content()
    }

    fn describe(&self) -> Sampling {
        Sampling::Composite([self.first.describe(), self.second.describe()].into())
    }
}
