//! How a table is set up.

use core::{error::Error, fmt, time::Duration};

use crate::{HashSeed, Timeouts, index};

/// What a [`crate::FlowTable`] is made with.
///
/// ```
/// use core::time::Duration;
/// use netflow_flowcache::{Config, HashSeed};
///
/// let mut config = Config::new(65_536, HashSeed::from_u64(1));
/// config.timeouts.active = Some(Duration::from_secs(60));
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The most IPv4 flows metered at once, 1 to [`Config::MAX_CAPACITY`]. For a [`crate::FlowKey`], which has no
    /// families, the most flows.
    pub capacity: usize,
    /// The most IPv6 flows metered at once, besides those; at most [`Config::MAX_CAPACITY`]. With 0, IPv6 packets are
    /// ignored and counted.
    ///
    /// Default an eighth of `capacity`, but as many where that is at most 1024.
    pub ipv6_capacity: usize,
    /// How many flows ended by packets can wait to be polled, of each family, besides unused room; at least 1.
    /// Default 256.
    ///
    /// A packet ends at most two flows but takes room for one only, so this many packets can be handled between
    /// two drains without any being ignored.
    pub pending: usize,
    /// What becomes of flows that go on.
    pub kind: CacheKind,
    /// When flows end.
    pub timeouts: Timeouts,
    /// What becomes of a new flow when the table is full.
    pub when_full: WhenFull,
    /// Ageing under pressure, before the table is full. Default none.
    pub emergency: Option<Emergency>,
    /// The most octets, and the most packets, that a record counts; `None`: 2^63 - 1. Default `None`.
    ///
    /// A packet that would lead beyond ends the record first, with [`crate::ExpireReason::LACK_OF_RESOURCES`] (RFC
    /// 3954 section 3.2 names counters about to wrap among such reasons), and begins the next record of the flow.
    /// Only a packet with more octets than this itself makes a record beyond it. `u32::MAX` makes records that v5 can
    /// carry.
    pub counter_limit: Option<u64>,
    /// What placement in the table depends on.
    pub seed: HashSeed,
    /// How far behind the newest time a packet may be and still count as merely late. Default 10 s.
    ///
    /// Late packets are metered as of the newest time seen, so that no record ends before it begins and the
    /// records of one flow never overlap. A time further back means that the clock was set back: all flows are
    /// ended with [`crate::ExpireReason::FORCED_END`] and metering goes on in the new time.
    pub reorder: Duration,
}

/// What becomes of flows that go on (RFC 6728 section 4.3.2).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum CacheKind {
    /// They are reported by the active timeout, and leave the table when they end.
    #[default]
    Normal,
    /// Every packet is a flow of its own, whatever the timeouts are.
    Immediate,
    /// Flows never leave: their records are handed out every active timeout in which they had packets, and no other
    /// timeout means anything. They end by a flush, or to make room; [`WhenFull::RefuseNew`] suits them.
    Permanent,
}

/// What becomes of a new flow when the table is full.
///
/// The flow that makes room is chosen among those of the same bucket and of the next ones: eight at least, all of
/// them in a table of eight. Which flows share a bucket depends on the seed.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum WhenFull {
    /// The flow makes room that was silent longest.
    #[default]
    EvictLongestIdle,
    /// The flow makes room whose record began first.
    EvictOldest,
    /// The new flow gets no room: its packets are ignored and counted.
    RefuseNew,
}

/// Emergency ageing: between two watermarks, flows end after a shorter silence.
///
/// It begins when a family holds `high` percent of its capacity and ends when it holds `low` percent. Meanwhile each
/// packet of a new flow looks at four more slots and ends the flows that were silent for `inactive`, with
/// [`crate::ExpireReason::LACK_OF_RESOURCES`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "complete by definition")]
pub struct Emergency {
    /// Percent of the capacity at which it begins, at most 100.
    pub high: u8,
    /// Percent of the capacity at which it ends, below `high`.
    pub low: u8,
    /// The silence that ends a flow meanwhile.
    pub inactive: Duration,
}

impl Config {
    /// The largest table: slots have 24-bit numbers, of which some are for flows that wait to be polled. Use several
    /// tables for more, see [`crate::ShardedFlowTable`].
    pub const MAX_CAPACITY: usize = index::SLOTS - (1 << 16);

    /// A table for `capacity` flows with defaults for the rest.
    #[must_use]
    pub fn new(capacity: usize, seed: HashSeed) -> Self {
        Self {
            capacity,
            ipv6_capacity: (capacity / 8).max(capacity.min(1_024)),
            pending: 256,
            kind: CacheKind::Normal,
            timeouts: Timeouts::default(),
            when_full: WhenFull::EvictLongestIdle,
            emergency: None,
            counter_limit: None,
            seed,
            reorder: Duration::from_secs(10),
        }
    }

    /// Whether a table can be made like this.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if self.capacity == 0 || self.pending == 0 {
            return Err(ConfigError::NoRoom);
        }
        let largest = self.capacity.max(self.ipv6_capacity);
        if largest > Self::MAX_CAPACITY || self.pending > index::SLOTS - largest {
            return Err(ConfigError::TooLarge);
        }
        if self.kind == CacheKind::Permanent && self.timeouts.active.is_none_or(|active| active.is_zero()) {
            return Err(ConfigError::PermanentWithoutInterval);
        }
        if self.counter_limit == Some(0) {
            return Err(ConfigError::NothingCounted);
        }
        if self.emergency.is_some_and(|emergency| emergency.high > 100 || emergency.low >= emergency.high) {
            return Err(ConfigError::Watermarks);
        }
        let timeouts = &self.timeouts;
        let after =
            |inactive| if let crate::Inactive::After(duration) = inactive { Some(duration) } else { None };
        let durations = [
            Some(self.reorder),
            timeouts.active,
            timeouts.inactive,
            after(timeouts.inactive_tcp),
            after(timeouts.inactive_udp),
            after(timeouts.inactive_icmp),
            timeouts.short_flows.map(|short| short.inactive),
            timeouts.tcp_end,
            timeouts.tcp_reset,
            timeouts.lifetime,
            self.emergency.map(|emergency| emergency.inactive),
        ];
        if durations.into_iter().flatten().any(|duration| u64::try_from(duration.as_nanos()).is_err()) {
            return Err(ConfigError::TimeoutTooLong);
        }
        Ok(())
    }
}

/// A table that cannot be made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ConfigError {
    /// `capacity` or `pending` is 0: no flow could be metered, or none be handed out.
    NoRoom,
    /// A capacity above [`Config::MAX_CAPACITY`], or one that leaves no numbers for `pending`.
    TooLarge,
    /// The system does not give the memory.
    OutOfMemory,
    /// A duration longer than 584 years; use `None` for never.
    TimeoutTooLong,
    /// A permanent cache without an active timeout, or with one of zero, would never, or always, hand out its flows.
    PermanentWithoutInterval,
    /// A counter limit of 0.
    NothingCounted,
    /// Watermarks above 100 percent, or the low one not below the high one.
    Watermarks,
    /// The fields of the key need more words than the key has.
    KeyTooNarrow {
        /// Words that the key of an IPv4 flow needs.
        ipv4_words: usize,
        /// Words that the key of an IPv6 flow needs.
        ipv6_words: usize,
    },
    /// No shard, or more than flows.
    Shards,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRoom => f.write_str("a flow table needs a capacity and pending room of at least 1"),
            Self::TooLarge => {
                write!(f, "a flow table holds at most {} flows of a family", Config::MAX_CAPACITY)
            }
            Self::OutOfMemory => f.write_str("there is not enough memory for the flow table"),
            Self::TimeoutTooLong => f.write_str("a timeout is longer than 584 years; use none for never"),
            Self::PermanentWithoutInterval => {
                f.write_str("a permanent flow table needs an active timeout above zero")
            }
            Self::NothingCounted => f.write_str("a counter limit of 0 lets nothing be counted"),
            Self::Watermarks => {
                f.write_str("the low watermark must be below the high one, and that at most 100 percent")
            }
            Self::KeyTooNarrow { ipv4_words, ipv6_words } => {
                write!(f, "the key fields need {ipv4_words} words for IPv4 and {ipv6_words} for IPv6")
            }
            Self::Shards => f.write_str("a flow table needs at least one shard, and a flow for each"),
        }
    }
}

impl Error for ConfigError {}
