//! Packets whose lookups overlap: all are begun before the first of them is needed.
//!
//! Each step is a loop of its own that does little besides its loads: so as many of them as the processor can hold are on
//! their way at once. The families take turns step by step, not packet by packet, of which each second one might be of the
//! other family than was guessed.

use alloc::vec::Vec;
use core::{hint::black_box, mem};

use super::Cache;
use crate::{
    ConfigError, Extra, HashSeed, ObservedPacket, StoredKey, Timestamp, context::Context, memory::reserved,
};

/// Packets whose lookups overlap.
pub(crate) const GROUP: usize = 64;

/// The packets of one family, on the way to their flows.
#[derive(Debug)]
pub(super) struct Lookups<S>(Vec<Lookup<S>>);

#[derive(Clone, Copy, Debug)]
struct Lookup<S> {
    hash: u64,
    /// As of when the packet is metered.
    time: Timestamp,
    /// Where in the group it is.
    packet: usize,
    /// The number of its bucket, and then the slot that its flow is probably in, if it is in the table at all.
    slot: u32,
    key: S,
}

impl<S> Lookups<S> {
    pub(super) fn new() -> Result<Self, ConfigError> {
        reserved(GROUP).map(Self)
    }

    pub(super) fn octets(&self) -> usize {
        self.0.capacity() * size_of::<Lookup<S>>()
    }
}

impl<S: StoredKey, X: Extra> Cache<S, X> {
    /// Begins the lookup of packet `packet` of a group.
    #[inline]
    pub(crate) fn begin_lookup(&mut self, key: S, seed: HashSeed, time: Timestamp, packet: usize) {
        self.lookups.0.push(Lookup { hash: key.hash(seed), time, packet, slot: 0, key });
    }

    /// Reads the buckets, and then the records, that the packets probably belong to.
    #[inline]
    pub(crate) fn read_ahead(&mut self) {
        let index = &self.index;
        let touched = self.lookups.0.iter_mut().fold(0, |touched, lookup| {
            let (bucket, read) = index.touch(lookup.hash);
            lookup.slot = bucket;
            touched ^ read
        });
        black_box(touched);
        for lookup in &mut self.lookups.0 {
            lookup.slot = index.candidate(lookup.slot, lookup.hash);
        }
        let touched = self.lookups.0.iter().fold(0, |read, lookup| read ^ self.touch_record(lookup.slot));
        black_box(touched);
    }

    /// Adds the packets of a group to their flows.
    #[inline]
    pub(crate) fn end_lookups(&mut self, context: &mut Context, group: &[(ObservedPacket, Timestamp)]) {
        let mut lookups = Lookups(mem::take(&mut self.lookups.0));
        for Lookup { hash, time, packet, slot, key } in &lookups.0 {
            let Some((packet, _)) = group.get(*packet) else { continue };
            context.set_clock(*time);
            if let Some(record) = self.records.get_mut(*slot as usize)
                && record.key == *key
                && context.just_adds(record, packet)
            {
                record.add_whole(packet, *time);
                self.add_extra(*slot, packet, *time);
            } else {
                self.meter(context, *hash, key, packet);
            }
        }
        lookups.0.clear();
        self.lookups = lookups;
    }

    /// Gives up the lookups that were begun.
    pub(crate) fn forget_lookups(&mut self) {
        self.lookups.0.clear();
    }
}
