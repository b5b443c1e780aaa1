//! When and why a flow ends.

use core::{fmt, time::Duration};

/// When flows end by themselves (RFC 3954 section 3.2, RFC 5470 section 5.1.1).
///
/// A flow ends at a point in time: the earliest of the deadlines below. A packet at or after that time begins a
/// new record, and the old one does not count it; this holds however late the timers run, so the records depend
/// on the packets alone. `None` is never, and zero is at once: two different things.
///
/// ```
/// use core::time::Duration;
/// use netflow_flowcache::{Inactive, Timeouts};
///
/// let mut timeouts = Timeouts::default();
/// timeouts.active = Some(Duration::from_secs(60)); // long flows are reported each minute
/// timeouts.inactive_tcp = Inactive::After(Duration::from_secs(300));
/// timeouts.inactive_icmp = Inactive::After(Duration::ZERO); // each ICMP packet a record
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct Timeouts {
    /// How long a record may last, counted from its first packet; `None`: as long as it has packets.
    ///
    /// The flow itself goes on: the table keeps it until it was silent for the inactive timeout, and its next packet
    /// begins its next record. Default 1800 s. Zero ends each record with its first packet.
    pub active: Option<Duration>,
    /// How long a flow may be silent, counted from its last packet; `None`: for ever.
    ///
    /// The boundary belongs to the end: a packet exactly this long after the last one begins a new record.
    /// Default 15 s. Zero ends each record at once: one record per packet, even for equal times.
    pub inactive: Option<Duration>,
    /// The same for TCP. Default as `inactive`.
    pub inactive_tcp: Inactive,
    /// The same for UDP. Default as `inactive`.
    pub inactive_udp: Inactive,
    /// The same for ICMP and `ICMPv6`. Default as `inactive`.
    pub inactive_icmp: Inactive,
    /// A shorter silence that ends flows of few packets. Default none.
    pub short_flows: Option<ShortFlows>,
    /// How TCP ends a flow; `None`: not at all, FIN is a flag like others.
    ///
    /// After a FIN, the flow ends when it was silent for this long (or for the inactive timeout, where that is
    /// shorter): the last acknowledgements, a FIN sent again and the rest of a connection closed on one side only
    /// stay in the record, where ending at the FIN would make stray records of one packet. A SYN after a FIN is a
    /// new connection and begins a new record at once.
    ///
    /// Default 2 s, enough for one retransmission after the initial timeout of 1 s (RFC 6298 section 2). Zero
    /// ends the record with the FIN.
    pub tcp_end: Option<Duration>,
    /// The same for RST. Default zero: a packet with RST is the last one of its record.
    pub tcp_reset: Option<Duration>,
    /// How long a flow may last, counted from its first packet, over all its records; `None`: as long as it has
    /// packets. Default `None`.
    ///
    /// Its record then ends with [`ExpireReason::ACTIVE_TIMEOUT`], and what comes later is another flow. Where it is
    /// set, a flow takes eight octets more.
    pub lifetime: Option<Duration>,
}

/// The inactive timeout of one kind of flows.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "complete by definition")]
pub enum Inactive {
    /// As [`Timeouts::inactive`].
    #[default]
    AsOthers,
    /// However long they are silent.
    Never,
    /// When they were silent for this long.
    After(Duration),
}

/// Flows of few packets end sooner: most of them are scans, queries and the like, which have no more to come.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "complete by definition")]
pub struct ShortFlows {
    /// A flow with fewer packets than this is short.
    pub fewer_than: u64,
    /// How long it may be silent.
    pub inactive: Duration,
}

impl Timeouts {
    /// No flow ends by itself: each stays until it is flushed or the table needs the room.
    pub const NEVER: Self = Self {
        active: None,
        inactive: None,
        inactive_tcp: Inactive::AsOthers,
        inactive_udp: Inactive::AsOthers,
        inactive_icmp: Inactive::AsOthers,
        short_flows: None,
        tcp_end: None,
        tcp_reset: None,
        lifetime: None,
    };
}

impl Default for Timeouts {
    /// Active 1800 s, inactive 15 s, TCP end 2 s, TCP reset at once.
    fn default() -> Self {
        Self {
            active: Some(Duration::from_secs(1800)),
            inactive: Some(Duration::from_secs(15)),
            tcp_end: Some(Duration::from_secs(2)),
            tcp_reset: Some(Duration::ZERO),
            ..Self::NEVER
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
    /// The table needed the room, or the counters came to their limit: `0x05`.
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

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

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
