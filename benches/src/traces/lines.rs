//! The least that metering takes on a machine: the same lines of memory, and next to nothing done with them.

use core::hint::black_box;

use netflow_flowcache::{HashSeed, ObservedPacket, SevenTuple, Timestamp};

/// As many buckets and records as a flow table touches, in memory of the same size.
///
/// A packet reads one bucket and adds to one record; a flow that leaves, for which another one came, is taken out of
/// both. No key is compared, no time looked at, nothing handed out. As in the table, the lines of a batch are on their way
/// at once.
#[derive(Clone, Debug)]
pub struct Lines {
    buckets: Vec<Line>,
    records: Vec<Line>,
    seed: HashSeed,
    /// A flow leaves behind so many packets.
    every: u64,
    packets: u64,
}

/// A cache line.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Line([u64; 8]);

impl Lines {
    /// Those of a table for `capacity` flows, `live` of which are alive at once; behind `every` packets one leaves.
    #[must_use]
    pub fn new(capacity: usize, live: usize, every: u64) -> Self {
        let (buckets, records) = (vec![Line([1; 8]); capacity / 8], vec![Line([1; 8]); live]);
        Self { buckets, records, seed: HashSeed::from_u64(42), every, packets: 0 }
    }

    /// Touches the lines of a batch; the packets, for the sums.
    pub fn touch(&mut self, batch: &[(ObservedPacket, Timestamp)]) {
        let mut hashes = [0; super::BATCH];
        for (hash, (packet, _)) in hashes.iter_mut().zip(batch) {
            *hash = SevenTuple::of(packet).hash(self.seed);
        }
        let hashes = hashes.get(..batch.len()).unwrap_or(&hashes);
        let (buckets, records) = (self.buckets.len(), self.records.len());
        black_box(hashes.iter().fold(0, |read, hash| read ^ self.buckets[bucket(*hash, buckets)].0[0]));
        black_box(hashes.iter().fold(0, |read, hash| read ^ self.records[record(*hash, records)].0[0]));
        for (hash, (packet, _)) in hashes.iter().zip(batch) {
            let counters = &mut self.records[record(*hash, records)].0;
            counters[0] += u64::from(packet.octets);
            counters[1] += 1;
            self.packets += 1;
            if self.packets.is_multiple_of(self.every) {
                let other = hash.rotate_left(13);
                self.buckets[bucket(other, buckets)].0[1] += 1;
                self.records[record(other, records)].0[2] += 1;
            }
        }
    }

    /// Packets counted since the last time, and their octets; as many flows as were alive at once.
    pub fn take(&mut self) -> super::Sums {
        let mut sums = super::Sums { records: self.records.len() as u64, ..super::Sums::default() };
        for Line(counters) in &mut self.records {
            sums.octets += counters[0] - 1;
            sums.packets += counters[1] - 1;
            (counters[0], counters[1]) = (1, 1);
        }
        sums
    }
}

/// The upper half of a hash chooses the bucket, the lower one the record.
fn bucket(hash: u64, count: usize) -> usize {
    scaled(hash >> 32, count)
}

fn record(hash: u64, count: usize) -> usize {
    scaled(hash & 0xFFFF_FFFF, count)
}

fn scaled(bits: u64, count: usize) -> usize {
    usize::try_from((bits * count as u64) >> 32).unwrap_or(0)
}
