//! Hash-based selection: the same packets at every observation point.

use alloc::{boxed::Box, vec::Vec};
use core::fmt;

use crate::{
    ObservedPacket, Timestamp,
    sample::{
        PacketContent, Sampler, SamplerError, Sampling,
        hash::{bob_of, crc32_of, ipsx},
        math::float,
    },
};

/// Which hash function selects (RFC 5475 section 6.2.4).
// Complete by definition: those are the functions that have a selectorAlgorithm.
#[expect(clippy::exhaustive_enums, reason = "complete by definition")]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum HashFunction {
    /// BOB, selectorAlgorithm 6. 32 bits.
    Bob,
    /// IPSX, selectorAlgorithm 7. 16 bits, IPv4 only, always of the same fields; no digest.
    Ipsx,
    /// CRC-32 of IEEE 802.3, selectorAlgorithm 8. 32 bits. The initialiser is four octets, highest first, behind what
    /// is hashed; without one there is nothing behind it.
    Crc,
}

impl HashFunction {
    /// The largest value it gives: hashOutputRangeMax (element 330). The smallest is 0 (element 329).
    #[must_use]
    pub const fn output_maximum(self) -> u32 {
        match self {
            Self::Bob | Self::Crc => u32::MAX,
            Self::Ipsx => 0xFFFF,
        }
    }

    /// selectorAlgorithm (element 304).
    #[must_use]
    pub const fn selector_algorithm(self) -> u16 {
        match self {
            Self::Bob => 6,
            Self::Ipsx => 7,
            Self::Crc => 8,
        }
    }
}

/// Closed ranges of hash values that select, none overlapping another (RFC 5475 section 7.2).
///
/// ```
/// use netflow_flowcache::sample::SelectedRanges;
///
/// let ranges = SelectedRanges::new(&[(6, 9), (1, 3)])?;
/// let selected: Vec<u32> = (0..12).filter(|hash| ranges.contains(*hash)).collect();
/// assert_eq!(selected, [1, 2, 3, 6, 7, 8, 9]);
/// # Ok::<(), netflow_flowcache::sample::SamplerError>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct SelectedRanges {
    /// In order, at least one.
    ranges: Box<[(u32, u32)]>,
}

impl SelectedRanges {
    /// From pairs of bounds, in any order.
    ///
    /// # Errors
    /// [`SamplerError::SelectsNothing`] for no range, [`SamplerError::OverlappingRanges`] if a value is in two.
    pub fn new(ranges: &[(u32, u32)]) -> Result<Self, SamplerError> {
        let mut ranges: Box<[_]> = ranges.iter().map(|(a, b)| (*a.min(b), *a.max(b))).collect();
        if ranges.is_empty() {
            return Err(SamplerError::SelectsNothing);
        }
        ranges.sort_unstable();
        let apart = ranges.iter().zip(ranges.iter().skip(1)).all(|((_, end), (start, _))| end < start);
        if apart { Ok(Self { ranges }) } else { Err(SamplerError::OverlappingRanges) }
    }

    /// From minima and maxima as a report lists them (elements 331 and 332), in any order: the lowest minimum belongs
    /// to the lowest maximum (RFC 5476 section 6.5.2.6).
    ///
    /// # Errors
    /// [`SamplerError::RangeOutOfBounds`] if there are not as many of one as of the other or a maximum is below its
    /// minimum; otherwise as [`SelectedRanges::new`].
    pub fn from_bounds(minima: &[u32], maxima: &[u32]) -> Result<Self, SamplerError> {
        let sorted = |bounds: &[u32]| {
            let mut bounds = Vec::from(bounds);
            bounds.sort_unstable();
            bounds
        };
        let (minima, maxima) = (sorted(minima), sorted(maxima));
        if minima.len() != maxima.len()
            || minima.iter().zip(&maxima).any(|(minimum, maximum)| minimum > maximum)
        {
            return Err(SamplerError::RangeOutOfBounds);
        }
        let pairs: Vec<_> = minima.into_iter().zip(maxima).collect();
        Self::new(&pairs)
    }

    /// The range of one value in `n` of those that `function` gives, beginning at a secret place that `seed` decides.
    ///
    /// Observation points that are to select the same packets need the same seed.
    ///
    /// # Errors
    /// [`SamplerError::SelectsNothing`] if `n` is 0 or above the number of values.
    pub fn one_in(n: u32, function: HashFunction, seed: u64) -> Result<Self, SamplerError> {
        let values = u64::from(function.output_maximum()) + 1;
        let size =
            values.checked_div(n.into()).filter(|size| *size > 0).ok_or(SamplerError::SelectsNothing)?;
        let places = values - size + 1;
        #[expect(clippy::cast_possible_truncation, reason = "below 2^32, as all values")]
        let start = (crate::key::spread(seed) % places) as u32;
        #[expect(clippy::cast_possible_truncation, reason = "at most 2^32 - 1")]
        let end = start + (size - 1) as u32;
        Self::new(&[(start, end)])
    }

    /// Whether a value is in one of them.
    #[inline]
    #[must_use]
    pub fn contains(&self, hash: u32) -> bool {
        self.ranges.iter().any(|(start, end)| (*start..=*end).contains(&hash))
    }

    /// The ranges, lowest first.
    #[must_use]
    pub const fn as_slice(&self) -> &[(u32, u32)] {
        &self.ranges
    }

    /// How many values are in them.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.ranges.iter().map(|(start, end)| u64::from(end - start) + 1).sum()
    }

    fn maximum(&self) -> u32 {
        self.ranges.last().map_or(0, |(_, end)| *end)
    }
}

/// What a hash-based selector is made of (RFC 5475 section 7.2).
///
/// Ranges and initialiser are its secrets: who knows them can send packets that are never selected, or always.
#[derive(Clone, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct HashParameters {
    /// The function.
    pub function: HashFunction,
    /// Octets of the IP payload in front of those that are hashed: hashIPPayloadOffset (element 327). Default 0. IPSX
    /// takes no notice.
    pub offset: u16,
    /// Octets of the IP payload that are hashed, fewer if there are not as many: hashIPPayloadSize (element 328).
    /// Default 8. IPSX takes no notice.
    pub size: u16,
    /// The secret that it begins with: hashInitialiserValue (element 334). BOB without one begins with
    /// [`HashParameters::DEFAULT_INITIALISER`]; IPSX has none.
    pub initialiser: Option<u32>,
    /// The values that select (elements 331 and 332).
    pub ranges: SelectedRanges,
    /// Whether the hash is reported with the packets: hashDigestOutput (element 333). Default no.
    pub digest: bool,
}

impl HashParameters {
    /// What BOB begins with unless told otherwise.
    pub const DEFAULT_INITIALISER: u32 = 0x9A3F_9A3F;
    /// The largest offset.
    pub const MAX_OFFSET: u16 = 1500;
    /// The largest size.
    pub const MAX_SIZE: u16 = 1500;

    /// The defaults for a function.
    #[must_use]
    pub const fn new(function: HashFunction, ranges: SelectedRanges) -> Self {
        Self { function, offset: 0, size: 8, initialiser: None, ranges, digest: false }
    }

    /// The values selected over all values; 1 at most, also for ranges that are refused.
    #[must_use]
    pub fn fraction(&self) -> f64 {
        (float(self.ranges.size()) / (f64::from(self.function.output_maximum()) + 1.0)).min(1.0)
    }

    /// What the function begins with, if that is a number.
    pub(super) const fn told_initialiser(&self) -> Option<u32> {
        match (self.function, self.initialiser) {
            (HashFunction::Bob, None) => Some(Self::DEFAULT_INITIALISER),
            (HashFunction::Bob | HashFunction::Crc, initialiser) => initialiser,
            (HashFunction::Ipsx, _) => None,
        }
    }

    pub(super) fn check(&self) -> Result<(), SamplerError> {
        if self.ranges.maximum() > self.function.output_maximum() {
            return Err(SamplerError::RangeOutOfBounds);
        }
        if self.digest && self.function == HashFunction::Ipsx {
            return Err(SamplerError::NoDigest);
        }
        if self.offset > Self::MAX_OFFSET || self.size > Self::MAX_SIZE {
            return Err(SamplerError::PayloadSection);
        }
        Ok(())
    }
}

impl fmt::Debug for HashParameters {
    /// Without initialiser and ranges, which are secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HashParameters")
            .field("function", &self.function)
            .field("offset", &self.offset)
            .field("size", &self.size)
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

/// Selects packets whose hash lies in selected ranges (RFC 5475 section 6.2).
///
/// Hashed are those fields of the header that do not change on the way, and octets of the payload: with the same
/// parameters, a packet is selected wherever it is observed, or nowhere. It needs the octets: packets handed to
/// [`Sampler::select`] are counted as not available, and never selected.
///
/// ```
/// use netflow_flowcache::sample::{HashFilter, HashFunction, HashParameters, PacketContent, SelectedRanges};
///
/// let mut parameters = HashParameters::new(HashFunction::Bob, SelectedRanges::one_in(100, HashFunction::Bob, 42)?);
/// parameters.initialiser = Some(0x5EED_5EED);
/// let filter = HashFilter::new(parameters)?;
/// let packet = [0x45, 0, 0, 20, 0, 1, 0, 0, 64, 253, 0, 0, 192, 0, 2, 1, 198, 51, 100, 7];
/// let content = PacketContent::parse(&packet).ok_or("not an IP packet")?;
/// assert!(filter.hash(&content).is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HashFilter {
    parameters: HashParameters,
    unavailable: u64,
}

impl HashFilter {
    /// A selector with these parameters.
    ///
    /// # Errors
    /// [`SamplerError::RangeOutOfBounds`], [`SamplerError::NoDigest`] or [`SamplerError::PayloadSection`]: see there.
    pub fn new(parameters: HashParameters) -> Result<Self, SamplerError> {
        parameters.check()?;
        Ok(Self { parameters, unavailable: 0 })
    }

    /// The hash of a packet: digestHashValue (element 326), if its parameters allow that. `None` for IPv6 packets with
    /// IPSX.
    #[inline]
    #[must_use]
    pub fn hash(&self, content: &PacketContent<'_>) -> Option<u32> {
        let HashParameters { function, offset, size, initialiser, .. } = self.parameters;
        match function {
            HashFunction::Bob => {
                let initialiser = initialiser.unwrap_or(HashParameters::DEFAULT_INITIALISER);
                Some(bob_of(&content.invariant_header(), content.section(offset, size), initialiser))
            }
            HashFunction::Ipsx => content.ipsx_words().map(|words| ipsx(words).into()),
            HashFunction::Crc => {
                let suffix = initialiser.map(u32::to_be_bytes);
                let suffix = suffix.as_ref().map_or(&[][..], |suffix| suffix);
                Some(crc32_of(&content.invariant_header(), content.section(offset, size), suffix))
            }
        }
    }

    /// Packets of which there was no hash, so that they were not selected.
    #[must_use]
    pub const fn unavailable(&self) -> u64 {
        self.unavailable
    }

    /// What it is made of.
    #[must_use]
    pub const fn parameters(&self) -> &HashParameters {
        &self.parameters
    }
}

impl Sampler for HashFilter {
    fn select(&mut self, _: &ObservedPacket, _: Timestamp) -> bool {
        self.unavailable = self.unavailable.saturating_add(1);
        false
    }

    #[inline]
    fn select_with(&mut self, _: &ObservedPacket, content: &PacketContent<'_>, _: Timestamp) -> bool {
        let Some(hash) = self.hash(content) else {
            self.unavailable = self.unavailable.saturating_add(1);
            return false;
        };
        self.parameters.ranges.contains(hash)
    }

    fn needs_content(&self) -> bool {
        true
    }

    fn describe(&self) -> Sampling {
        Sampling::Hash(self.parameters.clone())
    }
}
