//! When and why a flow ends.

use core::{fmt, time::Duration};

use crate::{Timestamp, flow::Record};

/// When flows end by themselves (RFC 3954 section 3.2, RFC 5470 section 5.1.1).
///
/// A flow ends at a point in time: the earliest of the deadlines below. A packet at or after that time begins a
/// new record, and the old one does not count it; this holds however late the timers run, so the records depend
/// on the packets alone.
///
/// ```
/// use core::time::Duration;
/// use netflow_flowcache::Timeouts;
///
/// let mut timeouts = Timeouts::default();
/// timeouts.active = Some(Duration::from_secs(60)); // long flows are reported each minute
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct Timeouts {
    /// How long a record may last, counted from its first packet; `None`: as long as it has packets.
    ///
    /// Default 1800 s. Zero ends each record with its first packet.
    pub active: Option<Duration>,
    /// How long a flow may be silent, counted from its last packet; `None`: for ever.
    ///
    /// The boundary belongs to the end: a packet exactly this long after the last one begins a new record.
    /// Default 15 s. Zero ends each record at once: one record per packet, even for equal times.
    pub inactive: Option<Duration>,
    /// How TCP ends a flow; `None`: not at all, FIN and RST are flags like others.
    ///
    /// A packet with RST is the last one of its record. After a FIN, the flow ends when it was silent for this
    /// long (or for `inactive`, where that is shorter): the last acknowledgements, a FIN sent again and the
    /// rest of a connection closed on one side only stay in the record, where ending at the FIN would make
    /// stray records of one packet. A SYN after a FIN is a new connection and begins a new record at once.
    ///
    /// Default 2 s, enough for one retransmission after the initial timeout of 1 s (RFC 6298 section 2). Zero
    /// ends the record with the FIN.
    pub tcp_end: Option<Duration>,
}

impl Timeouts {
    /// No flow ends by itself: each stays until it is flushed or the table needs the room.
    pub const NEVER: Self = Self { active: None, inactive: None, tcp_end: None };
}

impl Default for Timeouts {
    /// Active 1800 s, inactive 15 s, TCP end 2 s.
    fn default() -> Self {
        Self {
            active: Some(Duration::from_secs(1800)),
            inactive: Some(Duration::from_secs(15)),
            tcp_end: Some(Duration::from_secs(2)),
        }
    }
}

/// Why a flow record ended: the values of flowEndReason (element 136).
///
/// The registry can grow, so any value can be made with [`ExpireReason::from_code`] and given to a flush.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ExpireReason(u8);

impl ExpireReason {
    /// The flow was silent for the inactive timeout: `0x01`.
    pub const IDLE_TIMEOUT: Self = Self(0x01);
    /// The record lasted for the active timeout; the flow may go on: `0x02`.
    pub const ACTIVE_TIMEOUT: Self = Self(0x02);
    /// The Metering Process saw the end of the flow, such as TCP FIN or RST: `0x03`.
    pub const END_OF_FLOW: Self = Self(0x03);
    /// Ended from outside, for example because the exporter shuts down or the clock was set back: `0x04`.
    pub const FORCED_END: Self = Self(0x04);
    /// The table needed the room: `0x05`.
    pub const LACK_OF_RESOURCES: Self = Self(0x05);

    /// The reason with this number.
    #[must_use]
    pub const fn from_code(code: u8) -> Self {
        Self(code)
    }

    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> u8 {
        self.0
    }
}

impl fmt::Debug for ExpireReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            Self::IDLE_TIMEOUT => "IDLE_TIMEOUT",
            Self::ACTIVE_TIMEOUT => "ACTIVE_TIMEOUT",
            Self::END_OF_FLOW => "END_OF_FLOW",
            Self::FORCED_END => "FORCED_END",
            Self::LACK_OF_RESOURCES => "LACK_OF_RESOURCES",
            Self(code) => return write!(f, "ExpireReason({code})"),
        })
    }
}

pub(crate) const FIN: u16 = 0x01;
pub(crate) const SYN: u16 = 0x02;
pub(crate) const RST: u16 = 0x04;

/// [`Timeouts`] in the form the packet path wants: nanoseconds, with `u64::MAX` for never.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadlines {
    active: u64,
    inactive: u64,
    /// The silence that ends a flow once it has seen a FIN.
    after_fin: u64,
    after_fin_reason: ExpireReason,
    /// Whether FIN, SYN after FIN, and RST mean anything.
    pub(crate) tcp: bool,
    /// Whether a record may be due with the very packet that began it.
    pub(crate) immediate: bool,
}

impl Deadlines {
    pub(crate) fn new(timeouts: &Timeouts) -> Self {
        let active = nanos(timeouts.active);
        let inactive = nanos(timeouts.inactive);
        let linger = nanos(timeouts.tcp_end);
        let tcp = timeouts.tcp_end.is_some();
        let ends_first = tcp && linger <= inactive;
        Self {
            active,
            inactive,
            after_fin: if ends_first { linger } else { inactive },
            after_fin_reason: if ends_first { ExpireReason::END_OF_FLOW } else { ExpireReason::IDLE_TIMEOUT },
            tcp,
            immediate: active == 0 || inactive == 0,
        }
    }

    /// When a record ends and why, if no packet comes: never is `None`.
    ///
    /// Where two deadlines fall on the same nanosecond, silence is the reason.
    #[inline]
    pub(crate) fn of<K>(&self, record: &Record<K>) -> (Option<Timestamp>, ExpireReason) {
        let (silence, reason) = if record.tcp_flags & FIN == 0 {
            (self.inactive, ExpireReason::IDLE_TIMEOUT)
        } else {
            (self.after_fin, self.after_fin_reason)
        };
        let silent = record.last.as_nanos().saturating_add(silence);
        let active = record.first.as_nanos().saturating_add(self.active);
        let (deadline, reason) =
            if active < silent { (active, ExpireReason::ACTIVE_TIMEOUT) } else { (silent, reason) };
        ((deadline != u64::MAX).then_some(Timestamp::from_nanos(deadline)), reason)
    }

    /// The reason why a record has ended by `now`, if it has.
    #[inline]
    pub(crate) fn passed<K>(&self, record: &Record<K>, now: Timestamp) -> Option<ExpireReason> {
        let (deadline, reason) = self.of(record);
        deadline.is_some_and(|deadline| deadline <= now).then_some(reason)
    }
}

fn nanos(duration: Option<Duration>) -> u64 {
    duration.map_or(u64::MAX, |duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use core::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::ObservedPacket;

    fn record(first: u64, last: u64, flags: u16) -> Record<()> {
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let mut packet = ObservedPacket::new(address, address, 6, 40);
        packet.tcp_flags = flags;
        let mut record = Record::new((), &packet, Timestamp::from_secs(first), 0);
        record.add(&packet, Timestamp::from_secs(last));
        record
    }

    #[test]
    fn the_earliest_deadline_gives_the_reason() {
        let deadlines = Deadlines::new(&Timeouts::default());
        let at = |secs| Some(Timestamp::from_secs(secs));
        assert_eq!(deadlines.of(&record(0, 100, 0)), (at(115), ExpireReason::IDLE_TIMEOUT));
        assert_eq!(deadlines.of(&record(0, 1790, 0)), (at(1800), ExpireReason::ACTIVE_TIMEOUT));
        assert_eq!(deadlines.of(&record(0, 1785, 0)), (at(1800), ExpireReason::IDLE_TIMEOUT));
        assert_eq!(deadlines.of(&record(0, 100, FIN)), (at(102), ExpireReason::END_OF_FLOW));
        assert_eq!(deadlines.of(&record(0, 1799, FIN)), (at(1800), ExpireReason::ACTIVE_TIMEOUT));
    }

    #[test]
    fn never_is_never_even_at_the_end_of_time() {
        let deadlines = Deadlines::new(&Timeouts::NEVER);
        assert_eq!(deadlines.of(&record(0, 100, FIN)).0, None);
        assert_eq!(deadlines.passed(&record(0, 100, FIN), Timestamp::MAX), None);
    }

    #[test]
    fn an_inactive_timeout_below_the_linger_time_wins() {
        let mut timeouts = Timeouts { inactive: Some(Duration::from_secs(1)), ..Timeouts::default() };
        let at = Some(Timestamp::from_secs(101));
        let fin = record(0, 100, FIN);
        assert_eq!(Deadlines::new(&timeouts).of(&fin), (at, ExpireReason::IDLE_TIMEOUT));
        timeouts.tcp_end = Some(Duration::from_secs(1));
        assert_eq!(Deadlines::new(&timeouts).of(&fin), (at, ExpireReason::END_OF_FLOW));
    }

    #[test]
    fn reasons_have_the_numbers_of_element_136() {
        let reasons = [
            ExpireReason::IDLE_TIMEOUT,
            ExpireReason::ACTIVE_TIMEOUT,
            ExpireReason::END_OF_FLOW,
            ExpireReason::FORCED_END,
            ExpireReason::LACK_OF_RESOURCES,
        ];
        assert_eq!(reasons.map(ExpireReason::code), [1, 2, 3, 4, 5]);
        assert_eq!(format!("{:?}", ExpireReason::FORCED_END), "FORCED_END");
        assert_eq!(format!("{:?}", ExpireReason::from_code(9)), "ExpireReason(9)");
    }
}
