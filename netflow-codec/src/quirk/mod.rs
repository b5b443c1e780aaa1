//! What devices do that no document says, by name.
//!
//! A [`Quirk`] is one habit of real devices and what decoding does about it. It is on or off by default, for a reason
//! that it tells itself, and can be switched for all exporters or for one; how often each acted is counted. Those that
//! would have to be decided for every record on the way that has to be fast are always on, and not counted.
//!
//! ```
//! use netflow_codec::{Decoder, Quirk, Quirks};
//!
//! let quirks = Quirks::default().with("v5-sampling-of-16-bits".parse()?);
//! let decoder: Decoder<&str> = Decoder::new().with_quirks(quirks);
//! assert_eq!(decoder.quirk_counts().get(Quirk::V5SamplingOf16Bits), 0);
//! # Ok::<(), netflow_codec::UnknownQuirk>(())
//! ```

mod registry;

use core::{fmt, str::FromStr};

pub use registry::{Quirk, QuirkSetting};

/// A name that no [`Quirk`] has.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("there is no such quirk")]
#[non_exhaustive]
pub struct UnknownQuirk;

impl FromStr for Quirk {
    type Err = UnknownQuirk;

    fn from_str(name: &str) -> Result<Self, UnknownQuirk> {
        Self::ALL.iter().copied().find(|quirk| quirk.name() == name).ok_or(UnknownQuirk)
    }
}

impl fmt::Display for Quirk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A set of quirks: those that are on, or that acted.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Quirks(u64);

impl Quirks {
    /// No quirk.
    pub const NONE: Self = Self(0);

    /// Those that are on by default, and those that always are.
    pub const DEFAULT: Self = Self::in_the_beginning(false);

    /// Those of [`Self::DEFAULT`] that no RFC forbids: what [`Strictness::Rfc`](crate::Strictness) begins with.
    pub const RFC: Self = Self::in_the_beginning(true);

    /// This set and one more.
    #[must_use]
    pub const fn with(self, quirk: Quirk) -> Self {
        Self(self.0 | quirk.bit())
    }

    /// This set less one; those that are always on stay.
    #[must_use]
    pub const fn without(self, quirk: Quirk) -> Self {
        if matches!(quirk.setting(), QuirkSetting::Always) { self } else { Self(self.0 & !quirk.bit()) }
    }

    /// Whether a quirk is in the set.
    #[inline]
    #[must_use]
    pub const fn contains(self, quirk: Quirk) -> bool {
        self.0 & quirk.bit() != 0
    }

    /// Whether there is none in the set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The quirks in the set.
    pub fn iter(self) -> impl Iterator<Item = Quirk> {
        Quirk::ALL.iter().copied().filter(move |quirk| self.contains(*quirk))
    }

    const fn in_the_beginning(by_rules: bool) -> Self {
        let mut quirks = Self::NONE;
        let mut rest = Quirk::ALL;
        while let Some((quirk, behind)) = rest.split_first() {
            rest = behind;
            let is_off = matches!(quirk.setting(), QuirkSetting::Off) || by_rules && quirk.breaks_rules();
            if !is_off {
                quirks = quirks.with(*quirk);
            }
        }
        quirks
    }

    pub(crate) fn insert(&mut self, quirk: Quirk) {
        *self = self.with(quirk);
    }
}

/// [`Quirks::DEFAULT`].
impl Default for Quirks {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl fmt::Debug for Quirks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Quirk::name)).finish()
    }
}

/// The quirks in force for the datagram at hand, and how often each has acted by now.
#[derive(Clone, Debug)]
pub(crate) struct QuirkState {
    pub(crate) active: Quirks,
    pub(crate) counts: QuirkCounts,
}

impl QuirkState {
    pub(crate) const fn new() -> Self {
        Self { active: Quirks::DEFAULT, counts: QuirkCounts::new() }
    }
}

/// How often each quirk acted: on a datagram, a set, a template when it was learned, an announcement, or a record whose
/// sampling was asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct QuirkCounts([u64; Quirk::ALL.len()]);

impl QuirkCounts {
    /// How often a quirk acted.
    #[must_use]
    pub fn get(&self, quirk: Quirk) -> u64 {
        self.0.get(quirk as usize).copied().unwrap_or(0)
    }

    /// The quirks that acted, and how often.
    pub fn iter(&self) -> impl Iterator<Item = (Quirk, u64)> + '_ {
        Quirk::ALL.iter().map(|quirk| (*quirk, self.get(*quirk))).filter(|(_, count)| *count > 0)
    }

    pub(crate) const fn new() -> Self {
        Self([0; Quirk::ALL.len()])
    }

    /// Counts quirks that acted.
    #[inline]
    pub(crate) fn add(&mut self, acted: Quirks) {
        if !acted.is_empty() {
            self.add_each(acted);
        }
    }

    #[cold]
    fn add_each(&mut self, acted: Quirks) {
        for quirk in acted.iter() {
            if let Some(count) = self.0.get_mut(quirk as usize) {
                *count += 1;
            }
        }
    }
}

impl Default for QuirkCounts {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::ToString as _};

    use super::*;

    #[test]
    fn names_are_unique_and_come_back() {
        for quirk in Quirk::ALL {
            assert_eq!(quirk.to_string().parse(), Ok(*quirk));
            assert!(quirk.name().bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-'));
            for text in [quirk.devices(), quirk.symptom(), quirk.action(), quirk.reason()] {
                assert!(!text.is_empty(), "{quirk}");
            }
        }
        assert_eq!("long".parse::<Quirk>(), Err(UnknownQuirk));
    }

    #[test]
    fn those_that_are_always_on_cannot_be_switched_off() {
        for quirk in Quirk::ALL {
            let without = Quirks::DEFAULT.without(*quirk);
            assert_eq!(without.contains(*quirk), quirk.setting() == QuirkSetting::Always, "{quirk}");
            assert!(Quirks::NONE.with(*quirk).contains(*quirk));
            assert_eq!(Quirks::NONE.with(*quirk).iter().collect::<alloc::vec::Vec<_>>(), [*quirk]);
        }
        assert_eq!(format!("{:?}", Quirks::NONE.with(Quirk::LongUptimes)), r#"{"long-uptimes"}"#);
    }

    #[test]
    fn counts_are_of_what_acted() {
        let mut counts = QuirkCounts::default();
        counts.add(Quirks::NONE);
        counts.add(Quirks::NONE.with(Quirk::LongUptimes).with(Quirk::LoneSampler));
        counts.add(Quirks::NONE.with(Quirk::LoneSampler));
        assert_eq!(
            counts.iter().collect::<alloc::vec::Vec<_>>(),
            [(Quirk::LongUptimes, 1), (Quirk::LoneSampler, 2)]
        );
    }
}
