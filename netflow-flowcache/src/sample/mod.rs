//! Packet samplers: which packets are metered (RFC 5475).
//!
//! ```
//! use core::net::{IpAddr, Ipv4Addr};
//! use netflow_flowcache::sample::{Sampler, SystematicCount};
//! use netflow_flowcache::{ObservedPacket, Timestamp};
//!
//! let mut sampler = SystematicCount::new(1, 9, 0)?; // the first of every ten
//! let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
//! let packet = ObservedPacket::new(address, address, 17, 120);
//! let picks: Vec<bool> = (0..20).map(|_| sampler.select(&packet, Timestamp::ZERO)).collect();
//! assert!(picks[0] && picks[10]);
//! assert_eq!(picks.iter().filter(|selected| **selected).count(), 2);
//! assert_eq!(sampler.describe().v5_header_field(), Some(1 << 14 | 10));
//! # Ok::<(), netflow_flowcache::sample::SamplerError>(())
//! ```

mod count;
mod random;
mod sampling;

use core::{error::Error, fmt};

pub use self::{count::SystematicCount, random::RandomOneInN, sampling::Sampling};
use crate::{ObservedPacket, Timestamp};

/// Decides, packet by packet, which are metered: a Selector (RFC 5476 section 2).
///
/// A sampler has its own state: use one for each interface and direction that is sampled for itself, and offer it
/// every packet seen there, in order. To change the parameters, flush the table and announce the new ones before
/// the first flow metered with them (RFC 3917 section 5.2).
pub trait Sampler {
    /// Whether this packet, observed at `now`, is selected.
    fn select(&mut self, packet: &ObservedPacket, now: Timestamp) -> bool;

    /// The algorithm and its parameters, to be announced to whoever reads the flows.
    fn describe(&self) -> Sampling;
}

/// Selects every packet.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Unsampled;

impl Unsampled {
    /// The sampler that is none.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl Sampler for Unsampled {
    #[inline]
    fn select(&mut self, _: &ObservedPacket, _: Timestamp) -> bool {
        true
    }

    fn describe(&self) -> Sampling {
        Sampling::Unsampled
    }
}

/// Parameters that make no sampler.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SamplerError {
    /// Nothing would ever be selected: one packet in zero, or an interval of zero packets.
    SelectsNothing,
    /// The phase is not a position within interval and space.
    PhaseOutOfRange,
}

impl fmt::Display for SamplerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SelectsNothing => "sampling parameters select nothing",
            Self::PhaseOutOfRange => "phase is not below the sum of interval and space",
        })
    }
}

impl Error for SamplerError {}
