//! Points in time and the exporter's uptime clock.
//!
//! v5 and v9 date flows by `sysUpTime`, milliseconds since the exporter booted in 32 bits, which wrap every
//! 49 days 17 hours 2 minutes 47.296 seconds. A datagram's header carries both clocks as they were when it was
//! sent; [`ExportClock`] translates between them.

use core::{fmt, time::Duration};

const NANOS_PER_MILLI: u64 = 1_000_000;
const NANOS_PER_SEC: u64 = 1_000_000_000;
/// Seconds from 1900, where NTP counts from, to 1970.
const NTP_TO_UNIX_SECS: u64 = 2_208_988_800;

/// Seconds since 1970 that are `secs` modulo 2^32 when counted from `epoch` seconds before 1970, and nearest to
/// `reference`.
const fn nearest(secs: u32, epoch: u64, reference: u64) -> u64 {
    #[expect(clippy::cast_possible_truncation, reason = "modulo 2^32 is how they differ")]
    let difference = secs.wrapping_sub(reference.wrapping_add(epoch) as u32).cast_signed();
    match reference.checked_add_signed(difference as i64) {
        Some(found) => found,
        // Before 1970 there were no flows.
        None => (reference + (1 << 32)).wrapping_add_signed(difference as i64),
    }
}

/// A point in time, in nanoseconds since 1970-01-01 00:00:00 UTC.
///
/// Arithmetic saturates: neither a lying header nor a clock set wrong makes it panic.
#[derive(Clone, Copy, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
pub struct Timestamp(u64);

impl Timestamp {
    /// The Unix epoch.
    pub const ZERO: Self = Self(0);

    /// From nanoseconds since the Unix epoch.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// From milliseconds since the Unix epoch.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(NANOS_PER_MILLI))
    }

    /// From seconds since the Unix epoch.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(NANOS_PER_SEC))
    }

    /// From a 64-bit NTP timestamp: 32 bits of seconds since 1900, 32 bits of fraction (RFC 7011 section 6.1.9).
    ///
    /// Seconds before 1970 are those of era 1, which begins on 2036-02-07 at 06:28:16 UTC: the result lies between 1970
    /// and 2106. See [`Self::nearest_ntp`].
    #[must_use]
    pub const fn from_ntp(ntp: u64) -> Self {
        Self::nearest_ntp(ntp, Self::ZERO)
    }

    /// From a 64-bit NTP timestamp, in the era that brings it nearest to another point in time (RFC 7011 section 5.2).
    ///
    /// Nothing lies before 1970.
    #[must_use]
    pub const fn nearest_ntp(ntp: u64, reference: Self) -> Self {
        let secs = nearest((ntp >> 32) as u32, NTP_TO_UNIX_SECS, reference.as_secs());
        let nanos = ((ntp & 0xffff_ffff) * NANOS_PER_SEC) >> 32;
        Self(Self::from_secs(secs).0.saturating_add(nanos))
    }

    /// From seconds since the Unix epoch modulo 2^32, in the era that brings them nearest to another point in time
    /// (RFC 7011 section 5.2): they wrap on 2106-02-07 at 06:28:16 UTC.
    ///
    /// ```
    /// use netflow_codec::Timestamp;
    ///
    /// let export = Timestamp::from_secs((1 << 32) + 10);
    /// assert_eq!(Timestamp::nearest_secs(5, export), Timestamp::from_secs((1 << 32) + 5));
    /// assert_eq!(Timestamp::nearest_secs(u32::MAX, export), Timestamp::from_secs((1 << 32) - 1));
    /// ```
    #[must_use]
    pub const fn nearest_secs(secs: u32, reference: Self) -> Self {
        Self::from_secs(nearest(secs, 0, reference.as_secs()))
    }

    /// Nanoseconds since the Unix epoch.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0 / NANOS_PER_MILLI
    }

    /// Whole seconds since the Unix epoch.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0 / NANOS_PER_SEC
    }

    /// Nanoseconds past the whole second.
    #[must_use]
    pub const fn subsec_nanos(self) -> u32 {
        (self.0 % NANOS_PER_SEC) as u32
    }

    /// This point plus a duration.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// The time since `earlier`, zero when `earlier` is later.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.as_secs(), self.subsec_nanos())
    }
}

/// `sysUpTime`: milliseconds since the exporter booted, modulo 2^32.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
pub struct SysUptime(u32);

impl SysUptime {
    /// From milliseconds since boot.
    #[must_use]
    pub const fn from_millis(millis: u32) -> Self {
        Self(millis)
    }

    /// Milliseconds since boot, modulo 2^32.
    #[must_use]
    pub const fn as_millis(self) -> u32 {
        self.0
    }
}

/// The two clocks of an export header, both read at the moment of sending.
///
/// ```
/// use netflow_codec::{ExportClock, SysUptime, Timestamp};
///
/// // Sent one second after the uptime counter wrapped.
/// let clock = ExportClock::new(Timestamp::from_secs(1_700_000_000), SysUptime::from_millis(1_000));
/// // First switched nine seconds before the wrap.
/// let first = SysUptime::from_millis(0u32.wrapping_sub(9_000));
/// assert_eq!(clock.to_timestamp(first), Timestamp::from_secs(1_699_999_990));
/// assert_eq!(clock.to_uptime(Timestamp::from_secs(1_699_999_990)), first);
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct ExportClock {
    unix: Timestamp,
    uptime: SysUptime,
    /// IPFIX messages do not say the uptime.
    lacks_uptime: bool,
}

impl ExportClock {
    /// How far a flow's uptime may lie *after* the header's before it is read as 49.7 days in the past:
    /// 100 seconds. Some exporters date the last packet a little later than the header.
    pub const FUTURE_TOLERANCE_MILLIS: u32 = 100_000;

    /// Unix time and uptime of one moment.
    #[must_use]
    pub const fn new(unix: Timestamp, uptime: SysUptime) -> Self {
        Self { unix, uptime, lacks_uptime: false }
    }

    /// Unix time alone: uptimes cannot be dated by this clock.
    #[must_use]
    pub const fn without_uptime(unix: Timestamp) -> Self {
        Self { unix, uptime: SysUptime(0), lacks_uptime: true }
    }

    /// Unix time, and the uptime that follows from the time of boot (element systemInitTimeMilliseconds, 160).
    ///
    /// An exporter that sends before it boots has its export time wrong: then uptimes just count from the boot.
    #[must_use]
    pub const fn since_boot(unix: Timestamp, boot: Timestamp) -> Self {
        if unix.0 < boot.0 {
            let latest = boot.0.saturating_add(u32::MAX as u64 * NANOS_PER_MILLI);
            return Self::new(Timestamp(latest), SysUptime(u32::MAX));
        }
        #[expect(clippy::cast_possible_truncation, reason = "modulo 2^32 is what uptimes are")]
        let uptime = unix.as_millis().wrapping_sub(boot.as_millis()) as u32;
        Self::new(unix, SysUptime(uptime))
    }

    /// Whether uptimes can be dated.
    #[must_use]
    pub const fn has_uptime(&self) -> bool {
        !self.lacks_uptime
    }

    /// The header's Unix time.
    #[must_use]
    pub const fn unix(&self) -> Timestamp {
        self.unix
    }

    /// The header's uptime.
    #[must_use]
    pub const fn uptime(&self) -> SysUptime {
        self.uptime
    }

    /// The wall-clock time of an uptime, by arithmetic modulo 2^32.
    ///
    /// Exact for anything younger than 49.7 days less [`Self::FUTURE_TOLERANCE_MILLIS`].
    #[must_use]
    pub const fn to_timestamp(&self, uptime: SysUptime) -> Timestamp {
        let age = self.uptime.0.wrapping_sub(uptime.0);
        if age > u32::MAX - Self::FUTURE_TOLERANCE_MILLIS {
            let ahead = age.wrapping_neg() as u64;
            Timestamp(self.unix.0.saturating_add(ahead * NANOS_PER_MILLI))
        } else {
            Timestamp(self.unix.0.saturating_sub(age as u64 * NANOS_PER_MILLI))
        }
    }

    /// The same for many uptimes; `None` where nothing dates them, and for clocks so near to the ends of time that
    /// times saturate.
    pub(crate) const fn epoch(&self) -> Option<Epoch> {
        const TOLERANCE: u64 = ExportClock::FUTURE_TOLERANCE_MILLIS as u64 * NANOS_PER_MILLI;
        const LONGEST: u64 = u32::MAX as u64 * NANOS_PER_MILLI;
        let uptime = self.uptime.0.wrapping_add(Self::FUTURE_TOLERANCE_MILLIS);
        match self.unix.0.checked_add(TOLERANCE) {
            Some(unix) if unix >= LONGEST && !self.lacks_uptime => Some(Epoch { unix, uptime }),
            _ => None,
        }
    }

    /// The uptime at a wall-clock time, modulo 2^32; both sides are cut to whole milliseconds first.
    #[must_use]
    pub const fn to_uptime(&self, timestamp: Timestamp) -> SysUptime {
        #[expect(clippy::cast_possible_truncation, reason = "modulo 2^32 is what the wire carries")]
        let age = self.unix.as_millis().wrapping_sub(timestamp.as_millis()) as u32;
        SysUptime(self.uptime.0.wrapping_sub(age))
    }
}

/// The latest point in time that an uptime can mean by a clock: all others are counted back from it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Epoch {
    unix: u64,
    uptime: u32,
}

impl Epoch {
    /// What [`ExportClock::to_timestamp`] says, without a branch.
    #[inline]
    pub(crate) const fn to_timestamp(self, uptime: SysUptime) -> Timestamp {
        let back = self.uptime.wrapping_sub(uptime.0) as u64 * NANOS_PER_MILLI;
        // There is no overflow: `unix` is at least the longest way back.
        Timestamp(self.unix.wrapping_sub(back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The NTP timestamp of seconds since 1970.
    fn ntp(secs: u64) -> u64 {
        ((secs + NTP_TO_UNIX_SECS) & 0xffff_ffff) << 32
    }

    #[test]
    fn seconds_are_those_of_the_era_nearest_to_the_reference() {
        // D56: the end of the NTP era, that of 32 bits of Unix seconds, and the middle between them.
        let ends = [(1 << 32) - NTP_TO_UNIX_SECS, 1 << 32, 1 << 33, 3_000_000_000];
        assert_eq!(ends[0], 2_085_978_496, "2036-02-07 06:28:16");
        for end in ends {
            for export in [end - 2_000_000, end - 1, end, end + 1, end + 2_000_000] {
                let reference = Timestamp::from_secs(export);
                for secs in [end - 1_000_000, end - 1, end, end + 1, end + 1_000_000] {
                    let expected = Timestamp::from_secs(secs);
                    let short = u32::try_from(secs & 0xffff_ffff).unwrap();
                    assert_eq!(Timestamp::nearest_secs(short, reference), expected, "{secs} at {export}");
                    assert_eq!(Timestamp::nearest_ntp(ntp(secs), reference), expected, "{secs} at {export}");
                }
            }
        }
    }

    #[test]
    fn without_a_reference_times_lie_between_1970_and_2106() {
        for secs in [0, 5, 1_700_000_000, 2_085_978_495, 2_085_978_496, (1 << 32) - 1] {
            assert_eq!(Timestamp::from_ntp(ntp(secs)), Timestamp::from_secs(secs));
            let short = u32::try_from(secs).unwrap();
            assert_eq!(Timestamp::nearest_secs(short, Timestamp::ZERO), Timestamp::from_secs(secs));
        }
        assert_eq!(Timestamp::from_ntp(u64::MAX).as_secs(), 2_085_978_495);
        let last = Timestamp::from_nanos(u64::MAX);
        assert!(Timestamp::nearest_ntp(0, last) > Timestamp::from_secs(1 << 34));
    }

    #[test]
    fn an_epoch_dates_uptimes_as_its_clock_does() {
        let uptimes =
            [0, 1, 99_999, 100_000, 100_001, 1 << 31, u32::MAX - 100_000, u32::MAX - 99_999, u32::MAX];
        let longest = u64::from(u32::MAX) * NANOS_PER_MILLI;
        let tolerance = 100_000 * NANOS_PER_MILLI;
        let units = [longest - tolerance, longest, 1_700_000_000 * NANOS_PER_SEC + 7, u64::MAX - tolerance];
        for (unix, now) in units.into_iter().flat_map(|unix| uptimes.map(|now| (unix, now))) {
            let clock = ExportClock::new(Timestamp(unix), SysUptime(now));
            let epoch = clock.epoch().unwrap();
            for then in uptimes.map(SysUptime) {
                assert_eq!(epoch.to_timestamp(then), clock.to_timestamp(then), "{unix} {now} {then:?}");
            }
        }
        for unix in [0, longest - tolerance - 1, u64::MAX - tolerance + 1, u64::MAX] {
            assert!(ExportClock::new(Timestamp(unix), SysUptime(0)).epoch().is_none());
        }
        assert!(ExportClock::without_uptime(Timestamp::from_secs(1_700_000_000)).epoch().is_none());
    }
}
