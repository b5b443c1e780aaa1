//! Whether an exporter was restarted, or its clock set.
//!
//! After a restart template ids may stand for other templates (RFC 3954 section 9) and sequence numbers begin anew.
//! No message says so. What a datagram shows of it:
//!
//! ```text
//! sign                 v5, v7, v9   IPFIX   what it is
//! uptime fell          yes          no      sysUpTime is lower than before, and did not wrap
//! boot moved           yes          option  Unix time less uptime is another point in time than before, or element 160 is
//! sequence began anew  yes          yes     the number went back, to near 0, while the export time went on
//! template redefined   yes          yes     a template id stands for another template now
//! followed             yes          yes     later datagrams go on from the odd one
//! ```
//!
//! Any single datagram can be forged, damaged or late. A restart is therefore concluded when the clock or the sequence
//! says so *and* later datagrams go on from there, none from where the exporter was before. Unix time less uptime,
//! modulo 2^32 milliseconds, does not change when the uptime wraps, and not with late datagrams: that is how they are
//! told from restarts.
//!
//! Two senders that share an address, or a clock that stands still, look like an endless row of restarts: after each
//! conclusion the next one takes twice as many datagrams, until an hour has passed without.

use core::{fmt, time::Duration};

use crate::time::{ExportClock, Timestamp};

/// Watches the headers of one stream (one exporter and observation domain, or one v5 engine) for restarts.
///
/// ```
/// use netflow_codec::{ExportClock, RestartDetector, RestartKind, SysUptime, Timestamp};
///
/// let mut detector = RestartDetector::new();
/// let mut observe = |sequence, uptime_millis, secs| {
///     let unix = Timestamp::from_secs(secs);
///     let clock = ExportClock::new(unix, SysUptime::from_millis(uptime_millis));
///     detector.observe(Some(sequence), &clock, unix)
/// };
/// assert!(observe(70_000, 1_000_000_000, 1_700_000_000).is_none());
/// // Booted 100 seconds later. One such datagram is not enough.
/// assert!(observe(0, 5_000, 1_700_000_105).is_none());
/// let restart = observe(1, 6_000, 1_700_000_106).unwrap();
/// assert_eq!(restart.kind, RestartKind::Restarted);
/// assert_eq!(restart.since, Timestamp::from_secs(1_700_000_105));
/// assert_eq!(restart.evidence.to_string(), "uptime fell, boot moved, sequence began anew, followed");
/// ```
#[derive(Clone, Debug, Default)]
pub struct RestartDetector {
    life: Option<Life>,
    /// A life that may have begun: of the datagrams since an odd one.
    candidate: Option<Candidate>,
    /// How often the datagrams that a conclusion takes were doubled.
    doublings: u8,
}

/// What was concluded, and from what.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[non_exhaustive]
pub struct Restart {
    /// What happened.
    pub kind: RestartKind,
    /// The signs that led to the conclusion.
    pub evidence: RestartEvidence,
    /// When the first datagram from after it was received.
    pub since: Timestamp,
    /// When the exporter had booted before, by its clock; `None` where nothing says so (IPFIX).
    pub boot_before: Option<Timestamp>,
    /// When it has booted by now, by its clock.
    pub boot: Option<Timestamp>,
}

impl Restart {
    /// Whether there is evidence that templates of the time before are void: the uptime, the time of boot or a template
    /// say so, not sequence numbers alone.
    ///
    /// When the clock was set, exporters send their templates anew (RFC 3954 section 9).
    #[must_use]
    pub const fn voids_templates(&self) -> bool {
        let strong = RestartEvidence::UPTIME_FELL
            .union(RestartEvidence::BOOT_MOVED)
            .union(RestartEvidence::TEMPLATE_REDEFINED);
        self.evidence.intersects(strong)
    }
}

/// What a [`RestartDetector`] can conclude.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[non_exhaustive]
pub enum RestartKind {
    /// The exporter, or its exporting process, was restarted.
    Restarted,
    /// The exporter's clock was set; its uptime went on.
    ClockSet,
}

impl RestartKind {
    /// `restarted` or `clock set`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Restarted => "restarted",
            Self::ClockSet => "clock set",
        }
    }
}

/// Signs of a restart.
#[derive(Clone, Copy, Default, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
pub struct RestartEvidence(u8);

impl RestartEvidence {
    /// No sign.
    pub const NONE: Self = Self(0);
    /// sysUpTime is lower than before, and did not wrap.
    pub const UPTIME_FELL: Self = Self(1);
    /// The time of boot is another one: Unix time less uptime, or element systemInitTimeMilliseconds (160).
    pub const BOOT_MOVED: Self = Self(1 << 1);
    /// The sequence number went back to near 0 while the export time went on.
    pub const SEQUENCE_ANEW: Self = Self(1 << 2);
    /// A template id stands for another template.
    pub const TEMPLATE_REDEFINED: Self = Self(1 << 3);
    /// Later datagrams go on from the odd one.
    pub const FOLLOWED: Self = Self(1 << 4);

    const NAMES: [(Self, &'static str); 5] = [
        (Self::UPTIME_FELL, "uptime fell"),
        (Self::BOOT_MOVED, "boot moved"),
        (Self::SEQUENCE_ANEW, "sequence began anew"),
        (Self::TEMPLATE_REDEFINED, "template redefined"),
        (Self::FOLLOWED, "followed"),
    ];

    /// All signs of both.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all signs of `other` are there.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any sign of `other` is there.
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The names of the signs.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().filter(move |(sign, _)| self.contains(*sign)).map(|(_, name)| name)
    }
}

/// The names, separated by commas.
impl fmt::Display for RestartEvidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.names().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            f.write_str(name)?;
        }
        Ok(())
    }
}

impl fmt::Debug for RestartEvidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RestartEvidence({self})")
    }
}

/// What the headers of a time without restart have in common.
#[derive(Clone, Copy, Debug)]
struct Life {
    /// When it began, as far as its datagrams show.
    began: Timestamp,
    /// The newest datagram.
    seen: Seen,
}

/// The header of a datagram.
#[derive(Clone, Copy, Debug)]
struct Seen {
    clock: ExportClock,
    /// Unix time less uptime in milliseconds modulo 2^32.
    phase: u32,
    sequence: Option<u32>,
    received: Timestamp,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    kind: RestartKind,
    evidence: RestartEvidence,
    life: Life,
    /// Datagrams so far.
    datagrams: u16,
}

impl Seen {
    fn new(sequence: Option<u32>, clock: &ExportClock, received: Timestamp) -> Self {
        // The low 32 bits are what uptimes have.
        #[expect(clippy::cast_possible_truncation, reason = "modulo 2^32 is what uptimes are")]
        let unix = clock.unix().as_millis() as u32;
        let phase = unix.wrapping_sub(clock.uptime().as_millis());
        Self { clock: *clock, phase, sequence, received }
    }

    fn boot(&self) -> Option<Timestamp> {
        let uptime = Duration::from_millis(self.clock.uptime().as_millis().into());
        let nanos = u64::try_from(uptime.as_nanos()).unwrap_or(u64::MAX);
        self.clock
            .has_uptime()
            .then(|| Timestamp::from_nanos(self.clock.unix().as_nanos().saturating_sub(nanos)))
    }

    /// Whether the clock of a later datagram goes on from this one.
    fn has_clock_of(&self, other: &Self) -> bool {
        !other.clock.has_uptime() || self.phase.abs_diff_modulo(other.phase) <= RestartDetector::JITTER_MILLIS
    }

    /// Whether as much uptime as time of the receiver has passed until a later datagram.
    fn has_steady_uptime(&self, later: &Self) -> bool {
        let [before, now] = [self, later].map(|seen| seen.clock.uptime().as_millis());
        let passed = later.received.saturating_since(self.received).as_millis();
        // The low 32 bits are what uptimes have.
        #[expect(clippy::cast_possible_truncation, reason = "modulo 2^32 is what uptimes are")]
        let passed = passed as u32;
        now.wrapping_sub(before).abs_diff_modulo(passed) <= RestartDetector::JITTER_MILLIS + passed / 64
    }

    /// Whether a later datagram has a number from the beginning, though this one has a higher one.
    fn sequence_begins_anew(&self, later: &Self) -> bool {
        let (Some(before), Some(now)) = (self.sequence, later.sequence) else { return false };
        now < before && now < RestartDetector::NEAR_ZERO && later.clock.unix() > self.clock.unix()
            // Not one that wrapped.
            && before < u32::MAX - RestartDetector::NEAR_ZERO
    }

    /// Whether the number of a later datagram goes on from this one.
    fn sequence_goes_on(&self, later: &Self) -> bool {
        let (Some(before), Some(now)) = (self.sequence, later.sequence) else { return true };
        now.wrapping_sub(before) <= RestartDetector::NEAR_ZERO
    }
}

/// How far two numbers modulo 2^32 are apart.
trait AbsDiffModulo {
    fn abs_diff_modulo(self, other: Self) -> u32;
}

impl AbsDiffModulo for u32 {
    fn abs_diff_modulo(self, other: Self) -> u32 {
        self.wrapping_sub(other).min(other.wrapping_sub(self))
    }
}

impl RestartDetector {
    /// How far Unix time less uptime may move from datagram to datagram: 10 seconds. Headers have whole seconds, and
    /// their clocks are not read at the same moment.
    pub const JITTER_MILLIS: u32 = 10_000;
    /// Below this a sequence number may be one from the beginning: 10,000 flows, packets or records.
    pub const NEAR_ZERO: u32 = 10_000;
    /// Datagrams that a conclusion from clocks takes, the odd one included.
    const DATAGRAMS: u16 = 2;
    /// How often that can be doubled.
    const DOUBLINGS: u8 = 9;
    /// After this long without a conclusion the next one takes as few datagrams as the first.
    const QUIET: Duration = Duration::from_secs(3_600);

    /// A detector that has seen nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { life: None, candidate: None, doublings: 0 }
    }

    /// Takes the header of a datagram that was received at a time of the caller's clock.
    ///
    /// When this datagram completes the evidence, the restart is returned; it happened before the datagram that was
    /// received at [`Restart::since`].
    pub fn observe(
        &mut self,
        sequence: Option<u32>,
        clock: &ExportClock,
        received: Timestamp,
    ) -> Option<Restart> {
        let seen = Seen::new(sequence, clock, received);
        let Some(life) = &mut self.life else {
            self.life = Some(Life { began: received, seen });
            return None;
        };
        let (kind, evidence) = odd(&life.seen, &seen);
        if evidence == RestartEvidence::NONE {
            // Late datagrams belong to this life, but do not move it.
            if seen.clock.unix() >= life.seen.clock.unix() {
                life.seen = seen;
            }
            if self.doublings > 0 && received.saturating_since(life.began) >= Self::QUIET {
                self.doublings = 0;
            }
            self.candidate = None;
            return None;
        }
        let candidate = match &mut self.candidate {
            Some(candidate) if candidate.kind == kind && candidate.life.is_continued_by(&seen) => candidate,
            other => {
                let life = Life { began: received, seen };
                *other = Some(Candidate { kind, evidence, life, datagrams: 1 });
                return None;
            }
        };
        candidate.datagrams += 1;
        candidate.life.seen = seen;
        candidate.evidence = candidate.evidence.union(evidence);
        let concluded = *candidate;
        (concluded.datagrams >= self.datagrams_for(concluded.evidence)).then(|| self.conclude(&concluded))
    }

    /// Notes that the datagram observed last redefined a template, or that options gave another time of boot
    /// ([`RestartEvidence::TEMPLATE_REDEFINED`], [`RestartEvidence::BOOT_MOVED`]).
    ///
    /// Neither is a restart by itself; together with others they are signs of one.
    pub fn note(&mut self, sign: RestartEvidence) {
        if let Some(candidate) = &mut self.candidate {
            candidate.evidence = candidate.evidence.union(sign);
        }
    }

    /// How many datagrams it takes to believe this.
    fn datagrams_for(&self, evidence: RestartEvidence) -> u16 {
        let strong = RestartEvidence::BOOT_MOVED.union(RestartEvidence::TEMPLATE_REDEFINED);
        // A sequence number says less than a clock.
        let least = Self::DATAGRAMS + u16::from(!evidence.intersects(strong));
        least << self.doublings
    }

    fn conclude(&mut self, candidate: &Candidate) -> Restart {
        let boot_before = self.life.and_then(|life| life.seen.boot());
        let Candidate { kind, evidence, life, .. } = *candidate;
        self.life = Some(life);
        self.candidate = None;
        self.doublings = (self.doublings + 1).min(Self::DOUBLINGS);
        Restart {
            kind,
            evidence: evidence.union(RestartEvidence::FOLLOWED),
            since: life.began,
            boot_before,
            boot: life.seen.boot(),
        }
    }
}

impl Life {
    /// Whether a datagram goes on from a life that was just begun.
    fn is_continued_by(&self, later: &Seen) -> bool {
        self.seen.has_clock_of(later) && self.seen.sequence_goes_on(later)
    }
}

/// What is odd about a datagram after another one, and what it would mean if it was true.
fn odd(before: &Seen, now: &Seen) -> (RestartKind, RestartEvidence) {
    let mut evidence = RestartEvidence::NONE;
    let mut kind = RestartKind::Restarted;
    if !before.has_clock_of(now) {
        let fell = now.clock.uptime().as_millis() < before.clock.uptime().as_millis();
        if before.has_steady_uptime(now) {
            kind = RestartKind::ClockSet;
            evidence = RestartEvidence::BOOT_MOVED;
        } else if fell {
            evidence = RestartEvidence::BOOT_MOVED.union(RestartEvidence::UPTIME_FELL);
        }
    }
    if kind == RestartKind::Restarted && before.sequence_begins_anew(now) {
        evidence = evidence.union(RestartEvidence::SEQUENCE_ANEW);
    }
    (kind, evidence)
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;
    use crate::time::SysUptime;

    const BEGIN: u64 = 1_700_000_000;

    /// The header of a datagram at this second, of an exporter that booted some milliseconds before [`BEGIN`].
    fn uptime_at(boot_millis_before: u64, secs: u64) -> ExportClock {
        let millis = (boot_millis_before + secs * 1_000) % (1 << 32);
        let uptime = SysUptime::from_millis(u32::try_from(millis).unwrap());
        ExportClock::new(Timestamp::from_secs(BEGIN + secs), uptime)
    }

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(BEGIN + secs)
    }

    #[test]
    fn an_uptime_that_falls_is_a_restart_when_a_second_datagram_says_so_too() {
        // C9
        let mut detector = RestartDetector::new();
        assert!(detector.observe(Some(9_000_000), &uptime_at(1_000_000_000, 0), at(0)).is_none());
        // Booted 55 seconds later.
        let clock = |secs| {
            ExportClock::new(at(secs), SysUptime::from_millis(u32::try_from(secs - 55).unwrap() * 1_000))
        };
        assert!(detector.observe(Some(0), &clock(60), at(60)).is_none());
        let restart = detector.observe(Some(1), &clock(61), at(61)).unwrap();
        assert_eq!((restart.kind, restart.since), (RestartKind::Restarted, at(60)));
        assert_eq!(
            (restart.boot_before, restart.boot),
            (Some(Timestamp::from_secs(BEGIN - 1_000_000)), Some(at(55)))
        );
        assert!(
            restart.evidence.contains(RestartEvidence::UPTIME_FELL.union(RestartEvidence::SEQUENCE_ANEW))
        );
        assert!(restart.voids_templates());
        assert!(detector.observe(Some(2), &clock(62), at(62)).is_none());
    }

    #[test]
    fn an_uptime_that_wraps_is_no_restart() {
        // From 2^32 - 100 to 50, and at every distance from the wrap.
        for step in [1, 2, 60, 3_600, 5_000_000] {
            let mut detector = RestartDetector::new();
            let mut wraps = 0;
            let mut uptime = 0;
            for datagram in 0..50 {
                let clock = uptime_at((1 << 32) - 100, datagram * step);
                wraps += u32::from(clock.uptime().as_millis() < uptime);
                uptime = clock.uptime().as_millis();
                let sequence = u32::try_from(datagram).unwrap();
                assert!(detector.observe(Some(sequence), &clock, at(datagram * step)).is_none());
            }
            assert!(wraps > 0);
        }
    }

    #[test]
    fn one_odd_datagram_is_no_restart_whatever_it_says() {
        // C5
        let mut detector = RestartDetector::new();
        for secs in 0..1_000 {
            let sequence = 50_000 + u32::try_from(secs).unwrap();
            assert!(detector.observe(Some(sequence), &uptime_at(1_000_000_000, secs), at(secs)).is_none());
            // Forged: booted just now; from the far future; from 1970.
            let forged = match secs % 3 {
                0 => ExportClock::new(at(secs), SysUptime::from_millis(5)),
                1 => uptime_at(3, 900_000_000),
                _ => ExportClock::default(),
            };
            assert!(detector.observe(Some(0), &forged, at(secs)).is_none());
            detector.note(RestartEvidence::TEMPLATE_REDEFINED);
        }
    }

    #[test]
    fn late_and_repeated_datagrams_are_no_restart() {
        let mut detector = RestartDetector::new();
        for secs in [10, 11, 13, 12, 14, 14, 14, 11, 11, 15, 3, 3, 3, 16] {
            let sequence = 100 + u32::try_from(secs).unwrap();
            assert!(detector.observe(Some(sequence), &uptime_at(70_000, secs), at(20)).is_none());
            let without = ExportClock::without_uptime(at(secs));
            let mut ipfix = RestartDetector::new();
            assert!(ipfix.observe(Some(sequence), &without, at(20)).is_none());
        }
        let mut ipfix = RestartDetector::new();
        for secs in [10, 11, 13, 12, 14, 14, 14, 11, 11, 15, 3, 3, 3, 16] {
            let sequence = 100 + u32::try_from(secs).unwrap();
            let without = ExportClock::without_uptime(at(secs));
            assert!(ipfix.observe(Some(sequence), &without, at(20)).is_none());
        }
    }

    #[test]
    fn a_clock_that_is_set_is_told_from_a_restart() {
        // An hour ahead, then two back; the uptime goes on.
        let mut detector = RestartDetector::new();
        let mut concluded = alloc::vec::Vec::new();
        for secs in 0..30u64 {
            let offset = match secs {
                0..10 => 7_200,
                10..20 => 10_800,
                _ => 3_600,
            };
            let uptime = SysUptime::from_millis(500_000 + u32::try_from(secs).unwrap() * 1_000);
            let clock = ExportClock::new(at(secs + offset), uptime);
            let sequence = u32::try_from(secs).unwrap();
            if let Some(restart) = detector.observe(Some(sequence), &clock, at(secs)) {
                concluded.push((secs, restart.kind, restart.since, restart.voids_templates()));
            }
        }
        // The second one takes twice as many datagrams.
        let set = RestartKind::ClockSet;
        assert_eq!(concluded, [(11, set, at(10), true), (23, set, at(20), true)]);
    }

    #[test]
    fn ipfix_without_uptime_is_restarted_when_numbers_begin_anew_and_time_goes_on() {
        // C9
        let message = |secs| ExportClock::without_uptime(at(secs));
        let mut detector = RestartDetector::new();
        for secs in 0..10 {
            assert!(
                detector
                    .observe(Some(500_000 + u32::try_from(secs).unwrap() * 20), &message(secs), at(secs))
                    .is_none()
            );
        }
        assert!(detector.observe(Some(0), &message(40), at(40)).is_none());
        assert!(detector.observe(Some(20), &message(41), at(41)).is_none());
        let restart = detector.observe(Some(45), &message(42), at(42)).unwrap();
        assert_eq!((restart.since, restart.boot), (at(40), None));
        assert_eq!(restart.evidence.to_string(), "sequence began anew, followed");
        assert!(!restart.voids_templates(), "sequence numbers alone forget no template");
    }

    #[test]
    fn what_options_and_templates_say_makes_the_evidence_strong() {
        // C9
        let message = |secs| ExportClock::without_uptime(at(secs));
        let mut detector = RestartDetector::new();
        detector.observe(Some(500_000), &message(0), at(0));
        assert!(detector.observe(Some(0), &message(40), at(40)).is_none());
        detector.note(RestartEvidence::BOOT_MOVED);
        let restart = detector.observe(Some(20), &message(41), at(41)).unwrap();
        assert!(restart.voids_templates());
        assert_eq!(restart.evidence.to_string(), "boot moved, sequence began anew, followed");
    }

    #[test]
    fn sequence_numbers_that_wrap_are_no_restart() {
        // C6
        let mut detector = RestartDetector::new();
        for datagram in 0..20u32 {
            let sequence = (u32::MAX - 300).wrapping_add(datagram * 30);
            let secs = u64::from(datagram);
            assert!(
                detector.observe(Some(sequence), &ExportClock::without_uptime(at(secs)), at(secs)).is_none()
            );
        }
    }

    #[test]
    fn two_senders_behind_one_address_are_no_endless_row_of_restarts() {
        let mut detector = RestartDetector::new();
        let mut concluded = 0;
        for datagram in 0..100_000u64 {
            let secs = datagram / 10;
            // Turns of one to sixteen datagrams.
            let first = datagram % 17 < datagram / 17 % 17;
            let (boot, base) = if first { (9_000_000_000, 70_000_000) } else { (50_000, 100) };
            let sequence = base + u32::try_from(datagram).unwrap();
            let restart = detector.observe(Some(sequence), &uptime_at(boot, secs), at(secs));
            concluded += u32::from(restart.is_some());
        }
        assert!(concluded <= 12, "{concluded}");
    }

    #[test]
    fn clocks_that_stand_still_or_are_wrong_wipe_nothing_again_and_again() {
        // The uptime where the Unix time belongs; no Unix time; no uptime.
        let clocks: [fn(u64) -> ExportClock; 3] = [
            |secs| {
                ExportClock::new(
                    Timestamp::from_secs(secs),
                    SysUptime::from_millis(u32::try_from(secs).unwrap() * 1_000),
                )
            },
            |secs| {
                ExportClock::new(
                    Timestamp::ZERO,
                    SysUptime::from_millis(u32::try_from(secs).unwrap() * 1_000),
                )
            },
            |secs| ExportClock::new(at(secs), SysUptime::from_millis(0)),
        ];
        for clock in clocks {
            let mut detector = RestartDetector::new();
            let mut concluded = 0;
            // Bursts of ten, a minute apart, for a week.
            for minute in 0..7 * 1_440u64 {
                for datagram in 0..10 {
                    let secs = 1_000 + minute * 60;
                    let sequence = u32::try_from(minute * 10 + datagram).unwrap();
                    concluded +=
                        u32::from(detector.observe(Some(sequence), &clock(secs), at(secs)).is_some());
                }
            }
            assert!(concluded <= 4, "{concluded}");
        }
    }
}
