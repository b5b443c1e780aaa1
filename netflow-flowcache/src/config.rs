//! How a table is set up.

use core::time::Duration;

use crate::{HashSeed, Timeouts};

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
    /// The most flows metered at once, 1 to [`Config::MAX_CAPACITY`]; other values become the nearest of these.
    pub capacity: usize,
    /// How many flows ended by packets can wait to be polled, besides unused room; at least 1. Default 256.
    ///
    /// A packet ends at most two flows but takes room for one only, so this many packets can be handled between
    /// two drains without any being ignored.
    pub pending: usize,
    /// When flows end.
    pub timeouts: Timeouts,
    /// What placement in the table depends on.
    pub seed: HashSeed,
    /// How far behind the newest time a packet may be and still count as merely late. Default 10 s.
    ///
    /// Late packets are metered as of the newest time seen, so that no record ends before it begins and the
    /// records of one flow never overlap. A time further back means that the clock was set back: all flows are
    /// ended with [`crate::ExpireReason::FORCED_END`] and metering goes on in the new time.
    pub reorder: Duration,
}

impl Config {
    /// The largest table: slots have 32-bit numbers.
    pub const MAX_CAPACITY: usize = 1 << 30;

    /// A table for `capacity` flows with defaults for the rest.
    #[must_use]
    pub fn new(capacity: usize, seed: HashSeed) -> Self {
        Self { capacity, pending: 256, timeouts: Timeouts::default(), seed, reorder: Duration::from_secs(10) }
    }
}
