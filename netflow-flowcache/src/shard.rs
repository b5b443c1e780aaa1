//! Several tables side by side, each for its share of the flows.
//!
//! One core is not enough for every link. Spread the packets by their flow, so that all packets of a flow meet in the
//! same table, and give each table to a thread of its own: no lock, nothing shared.
//!
//! ```
//! use netflow_flowcache::{Config, HashSeed, ObservedPacket, ShardedFlowTable, Timestamp};
//!
//! let mut table: ShardedFlowTable = ShardedFlowTable::new(&Config::new(4096, HashSeed::from_u64(1)), 2)?;
//! let packets: Vec<_> = (0..100u8)
//!     .map(|host| ObservedPacket::new([192, 0, 2, host].into(), [198, 51, 100, 7].into(), 17, 100))
//!     .collect();
//!
//! // Whoever receives packets spreads them; here, before the threads begin.
//! let mut shares = vec![Vec::new(); 2];
//! for packet in &packets {
//!     shares[table.shard_of(packet)].push((*packet, Timestamp::from_secs(10)));
//! }
//! std::thread::scope(|scope| {
//!     for (shard, share) in table.shards_mut().iter_mut().zip(&shares) {
//!         scope.spawn(move || {
//!             for (packet, time) in share {
//!                 shard.handle_packet(packet, *time);
//!             }
//!         });
//!     }
//! });
//! assert_eq!((table.stats().packets, table.len()), (100, 100));
//! # Ok::<(), netflow_flowcache::ConfigError>(())
//! ```

use alloc::vec::Vec;

use crate::{
    BiflowKey, Config, ConfigError, ExpireReason, ExpiredFlow, Extra, FlowTable, HashSeed, ObservedPacket,
    SevenTuple, Stats, TableKey, Timestamp,
};

/// Flow tables side by side: a packet belongs to the one that its flow says.
///
/// The tables are independent: each has its share of the capacity, a seed derived from that of the configuration, and
/// a clock of its own. Which order their flows are merged in is up to the caller; [`poll_expired`](Self::poll_expired)
/// takes turns.
#[derive(Debug)]
pub struct ShardedFlowTable<K: TableKey = SevenTuple, X: Extra = ()> {
    shards: Vec<FlowTable<K, X>>,
    spreader: Spreader,
    /// The shard to poll first.
    turn: usize,
}

/// Says which of several tables the packets of a flow belong to.
///
/// Both directions of a conversation belong to the same one.
#[derive(Clone, Copy, Debug)]
pub struct Spreader {
    seed: HashSeed,
    shards: usize,
}

impl Spreader {
    /// Spreads over so many tables; over one if it is none.
    #[must_use]
    pub fn new(shards: usize, seed: HashSeed) -> Self {
        // Another hash than those of the tables: each of them would use only a part of its buckets.
        Self { seed: seed.derive(u64::MAX), shards: shards.max(1) }
    }

    /// The table for a packet: below the number of tables.
    #[inline]
    #[must_use]
    pub fn shard_of(&self, packet: &ObservedPacket) -> usize {
        let hash = BiflowKey::of(packet).hash(self.seed);
        let scaled = ((hash >> 32) * self.shards as u64) >> 32;
        usize::try_from(scaled).unwrap_or(0) // below the number of shards
    }
}

impl<K: TableKey<Fields = ()>, X: Extra> ShardedFlowTable<K, X> {
    /// Empty tables that share the capacity of the configuration.
    ///
    /// # Errors
    ///
    /// As [`FlowTable::new`]; and with no shard, or more than flows.
    pub fn new(config: &Config, shards: usize) -> Result<Self, ConfigError> {
        Self::with_fields(config, shards, ())
    }
}

impl<K: TableKey, X: Extra> ShardedFlowTable<K, X> {
    /// Empty tables that share the capacity of the configuration, with keys made by these fields.
    ///
    /// The fields should have addresses, ports and protocol, or flows are split over the tables.
    ///
    /// # Errors
    ///
    /// As [`FlowTable::with_fields`]; and with no shard, or more than flows.
    pub fn with_fields(config: &Config, shards: usize, fields: K::Fields) -> Result<Self, ConfigError> {
        if shards == 0 || shards > config.capacity {
            return Err(ConfigError::Shards);
        }
        let mut tables = Vec::with_capacity(shards);
        for shard in 0..shards {
            let mut of_shard = *config;
            of_shard.capacity = config.capacity.div_ceil(shards);
            of_shard.ipv6_capacity = config.ipv6_capacity.div_ceil(shards);
            of_shard.seed = config.seed.derive(shard as u64);
            tables.push(FlowTable::with_fields(&of_shard, fields)?);
        }
        Ok(Self { shards: tables, spreader: Spreader::new(shards, config.seed), turn: 0 })
    }

    /// The shard that a packet belongs to.
    #[inline]
    #[must_use]
    pub fn shard_of(&self, packet: &ObservedPacket) -> usize {
        self.spreader.shard_of(packet)
    }

    /// What [`shard_of`](Self::shard_of) asks: a copy for the thread that spreads.
    #[must_use]
    pub const fn spreader(&self) -> Spreader {
        self.spreader
    }

    /// The tables, to be given to a thread each.
    #[must_use]
    pub fn shards_mut(&mut self) -> &mut [FlowTable<K, X>] {
        &mut self.shards
    }

    /// The tables, for threads that live longer.
    #[must_use]
    pub fn into_shards(self) -> Vec<FlowTable<K, X>> {
        self.shards
    }

    /// As [`FlowTable::handle_packet`], by the table that the packet belongs to.
    #[inline]
    pub fn handle_packet(&mut self, packet: &ObservedPacket, now: Timestamp) {
        let shard = self.shard_of(packet);
        if let Some(table) = self.shards.get_mut(shard) {
            table.handle_packet(packet, now);
        }
    }

    /// As [`FlowTable::handle_timeout`], for all tables.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.shards.iter_mut().for_each(|table| table.handle_timeout(now));
    }

    /// As [`FlowTable::flush`], for all tables.
    pub fn flush(&mut self, reason: ExpireReason) {
        self.shards.iter_mut().for_each(|table| table.flush(reason));
    }

    /// As [`FlowTable::poll_expired`], from the tables in turn.
    pub fn poll_expired(&mut self) -> Option<ExpiredFlow<K, X>> {
        for _ in 0..self.shards.len() {
            let turn = self.turn;
            self.turn = if turn + 1 < self.shards.len() { turn + 1 } else { 0 };
            if let Some(flow) = self.shards.get_mut(turn)?.poll_expired() {
                return Some(flow);
            }
        }
        None
    }

    /// The earliest [`FlowTable::poll_timeout`] of all tables.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.shards.iter().filter_map(FlowTable::poll_timeout).min()
    }

    /// Flows being metered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.iter().map(FlowTable::len).sum()
    }

    /// Whether no flow is being metered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shards.iter().all(FlowTable::is_empty)
    }

    /// What all tables together have counted.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shards.iter().fold(Stats::default(), |sum, table| sum.plus(&table.stats()))
    }

    /// Octets on the heap, fixed at creation.
    #[must_use]
    pub fn memory_octets(&self) -> usize {
        self.shards.iter().map(FlowTable::memory_octets).sum()
    }
}

const _: () = {
    const fn is_send<T: Send>() {}
    is_send::<FlowTable>();
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_a_shard_says_nothing_about_the_bucket() {
        let seed = HashSeed::from_u64(1);
        let packet = ObservedPacket::new([192, 0, 2, 1].into(), [192, 0, 2, 2].into(), 17, 100);
        let key = SevenTuple::of(&packet);
        assert_ne!(key.hash(seed.derive(0)), key.hash(seed.derive(1)));
        assert_ne!(key.hash(seed.derive(0)), key.hash(seed));
    }
}
