//! Sampling as JunOS routers are told to do it.

use crate::{
    ObservedPacket, Timestamp,
    sample::{
        IndependentSampler, PacketsPerSecond, Probability, RandomSource, Sampler, SamplerError, SamplerSeed,
        Sampling, StrongGenerator, probability::Trials,
    },
};

/// The statements of JunOS that say which packets are sampled.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct JunosParameters {
    /// `rate`: one packet of so many triggers sampling, 1 to [`Junos::MAX_RATE`].
    pub rate: u32,
    /// `run-length`: packets sampled behind the one that triggers, 0 to [`Junos::MAX_RUN_LENGTH`]. Default 0.
    pub run_length: u8,
    /// `max-packets-per-second`: what is sampled beyond is dropped and counted, 0 to
    /// [`Junos::MAX_PACKETS_PER_SECOND`], where 0 samples nothing. The Routing Engine's default is
    /// [`Junos::DEFAULT_PACKETS_PER_SECOND`]; `None`, the default here, is no limit, as where services cards sample.
    pub max_packets_per_second: Option<u32>,
    /// Whether every packet number `rate` triggers, as older manuals say, rather than each with the same chance.
    /// Default no.
    pub systematic: bool,
}

impl JunosParameters {
    /// A rate alone.
    #[must_use]
    pub const fn new(rate: u32) -> Self {
        Self { rate, run_length: 0, max_packets_per_second: None, systematic: false }
    }

    /// Packets selected for each trigger.
    pub(super) const fn run(&self) -> u32 {
        self.run_length as u32 + 1
    }

    /// Packets from one trigger to the next, on average where chance decides.
    pub(super) const fn cycle(&self) -> u32 {
        self.rate.saturating_add(self.run_length as u32)
    }

    /// The fraction selected before the limit is applied.
    pub(super) fn fraction(&self) -> Option<f64> {
        (self.rate > 0).then(|| f64::from(self.run()) / f64::from(self.cycle()))
    }

    fn check(&self) -> Result<(), SamplerError> {
        match *self {
            Self { rate: 0, .. } => Err(SamplerError::SelectsNothing),
            Self { rate, .. } if rate > Junos::MAX_RATE => Err(SamplerError::RateTooLarge),
            Self { run_length, .. } if run_length > Junos::MAX_RUN_LENGTH => {
                Err(SamplerError::RunLengthTooLarge)
            }
            Self { max_packets_per_second: Some(limit), .. } if limit > Junos::MAX_PACKETS_PER_SECOND => {
                Err(SamplerError::PacketRateTooLarge)
            }
            _ => Ok(()),
        }
    }
}

/// Selects as JunOS does by `rate`, `run-length` and `max-packets-per-second`.
///
/// Packets outside of a run trigger one with probability 1/rate, or every packet number `rate` of them does. A run is
/// the packet that triggers and the `run_length` ones behind it; within a run nothing is triggered, and a run goes on
/// across any border. So (1 + run length) of (rate + run length) packets are selected on average. The manuals leave
/// open what happens within a run: scale by the attained fraction, which [`crate::sample::Selector`] counts.
///
/// ```
/// use core::net::{IpAddr, Ipv4Addr};
/// use netflow_flowcache::sample::{Junos, JunosParameters, Sampler};
/// use netflow_flowcache::{ObservedPacket, Timestamp};
///
/// let mut parameters = JunosParameters::new(100);
/// parameters.run_length = 4;
/// parameters.max_packets_per_second = Some(Junos::DEFAULT_PACKETS_PER_SECOND);
/// let mut sampler = Junos::new(parameters, 42)?;
/// let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// let packet = ObservedPacket::new(address, address, 17, 120);
/// let selected = (0..10_000).filter(|_| sampler.select(&packet, Timestamp::ZERO)).count();
/// assert!((300..700).contains(&selected)); // 5 of 104
/// # Ok::<(), netflow_flowcache::sample::SamplerError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Junos<R = StrongGenerator> {
    parameters: JunosParameters,
    /// Packets of the run at hand still to be selected.
    run: u8,
    trigger: Trigger,
    limit: Option<PacketsPerSecond>,
    source: R,
}

#[derive(Clone, Debug)]
enum Trigger {
    Random(Trials),
    /// Packets to the next trigger, that one included.
    Every(u32),
}

impl Junos {
    /// The largest rate; older systems take up to 65535.
    pub const MAX_RATE: u32 = 16_000_000;
    /// The largest run length.
    pub const MAX_RUN_LENGTH: u8 = 20;
    /// The largest limit of packets a second.
    pub const MAX_PACKETS_PER_SECOND: u32 = 65_535;
    /// The limit of packets a second that applies to the Routing Engine unless told otherwise.
    pub const DEFAULT_PACKETS_PER_SECOND: u32 = 1000;

    /// A sampler with these parameters; `seed` decides what chance does and where systematic sampling begins.
    ///
    /// # Errors
    /// [`SamplerError::SelectsNothing`] for a rate of 0; [`SamplerError::RateTooLarge`],
    /// [`SamplerError::RunLengthTooLarge`], [`SamplerError::PacketRateTooLarge`] above what JunOS takes.
    pub fn new(parameters: JunosParameters, seed: impl Into<SamplerSeed>) -> Result<Self, SamplerError> {
        Self::with_source(parameters, StrongGenerator::new(seed.into()))
    }
}

impl<R: RandomSource> Junos<R> {
    /// The same with another source of chance.
    ///
    /// # Errors
    /// As [`Junos::new`].
    pub fn with_source(parameters: JunosParameters, mut source: R) -> Result<Self, SamplerError> {
        parameters.check()?;
        let trigger = if parameters.systematic {
            Trigger::Every(source.below(parameters.rate) + 1)
        } else {
            Trigger::Random(Trials::new(Probability::new(f64::from(parameters.rate).recip())?, &mut source))
        };
        let limit = parameters.max_packets_per_second.map(PacketsPerSecond::new);
        Ok(Self { parameters, run: 0, trigger, limit, source })
    }

    /// Packets that were sampled and then dropped for being too many in a second.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        match &self.limit {
            Some(limit) => limit.dropped(),
            None => 0,
        }
    }

    #[inline]
    fn triggers(&mut self) -> bool {
        match &mut self.trigger {
            Trigger::Random(trials) => trials.succeed(&mut self.source),
            Trigger::Every(remaining) => {
                *remaining -= 1;
                let triggers = *remaining == 0;
                if triggers {
                    *remaining = self.parameters.rate;
                }
                triggers
            }
        }
    }
}

impl<R: RandomSource> IndependentSampler for Junos<R> {
    #[inline]
    fn decide(&mut self, now: Timestamp) -> bool {
        if self.run > 0 {
            self.run -= 1;
        } else if self.triggers() {
            self.run = self.parameters.run_length;
        } else {
            return false;
        }
        self.limit.as_mut().is_none_or(|limit| limit.decide(now))
    }
}

impl<R: RandomSource> Sampler for Junos<R> {
    #[inline]
    fn select(&mut self, _: &ObservedPacket, now: Timestamp) -> bool {
        self.decide(now)
    }

    fn describe(&self) -> Sampling {
        Sampling::Junos(self.parameters)
    }
}
