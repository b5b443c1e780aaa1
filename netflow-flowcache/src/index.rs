//! Hash to slot: buckets of eight, each one cache line.
//!
//! ```text
//! | tag x 8, 16 bits each | slot x 8, 32 bits each | unused |
//! 0                       16                       48       64
//! ```
//!
//! A lookup reads one bucket and, where the tag fits, one record. There are two places for each flow the table can
//! hold, so few buckets fill up: with the table full, a new flow meets a full bucket about once in a hundred
//! times. There is no overflow chain and never a rehash.

use alloc::{vec, vec::Vec};

/// Flows that share a bucket.
pub(crate) const WAYS: usize = 8;

const TAG_BITS: usize = 16;
/// Tag of an unused place.
const UNUSED: u16 = 0;
/// The lowest bit of each way, and the uppermost.
const EACH_WAY: u128 = u128::MAX / 0xFFFF;
const UPPERMOST: u128 = EACH_WAY << 15;

/// Finds the slot of a flow by its hash.
#[derive(Debug)]
pub(crate) struct Index {
    buckets: Vec<Bucket>,
}

#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct Bucket {
    /// The tag of way `n` stands in bits `16 n` to `16 n + 15`.
    tags: u128,
    slots: [u32; WAYS],
}

/// Where in the index a flow stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Place {
    bucket: usize,
    way: usize,
}

impl Index {
    /// An index for `capacity` flows, with twice as many places.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { buckets: vec![Bucket::default(); (2 * capacity).div_ceil(WAYS).max(1)] }
    }

    /// The place and slot whose tag fits and for which `is_it` says yes.
    #[inline]
    pub(crate) fn find(&self, hash: u64, mut is_it: impl FnMut(u32) -> bool) -> Option<(Place, u32)> {
        let bucket = self.bucket(hash);
        let line = self.buckets.get(bucket)?;
        let mut matches = line.matches(tag(hash));
        while matches != 0 {
            let way = first_way(matches);
            let slot = *line.slots.get(way)?;
            if is_it(slot) {
                return Some((Place { bucket, way }, slot));
            }
            matches &= matches - 1;
        }
        None
    }

    /// The place of a slot that stands in this bucket.
    #[inline]
    pub(crate) fn find_in(&self, bucket: u32, slot: u32) -> Option<Place> {
        let bucket = bucket as usize;
        let line = self.buckets.get(bucket)?;
        // Unused places still have the slot they had last.
        let used = |way: usize| line.tags >> (way * TAG_BITS) & u128::from(u16::MAX) != 0;
        let way = (0..WAYS).find(|way| line.slots.get(*way) == Some(&slot) && used(*way))?;
        Some(Place { bucket, way })
    }

    /// Enters a flow; false, and nothing entered, when its bucket is full.
    #[inline]
    pub(crate) fn insert(&mut self, hash: u64, slot: u32) -> bool {
        let bucket = self.bucket(hash);
        let Some(line) = self.buckets.get_mut(bucket) else { return false };
        let way = first_way(line.matches(UNUSED));
        let Some(entry) = line.slots.get_mut(way) else { return false };
        *entry = slot;
        line.tags |= u128::from(tag(hash)) << (way * TAG_BITS);
        true
    }

    /// Puts another slot in the place of a flow with the same hash.
    #[inline]
    pub(crate) fn replace(&mut self, place: Place, slot: u32) {
        if let Some(entry) = self.buckets.get_mut(place.bucket).and_then(|line| line.slots.get_mut(place.way))
        {
            *entry = slot;
        }
    }

    #[inline]
    pub(crate) fn remove(&mut self, place: Place) {
        if let Some(line) = self.buckets.get_mut(place.bucket) {
            line.tags &= !(u128::from(u16::MAX) << (place.way * TAG_BITS));
        }
    }

    /// The slots in the bucket of this hash, if the bucket is full.
    #[inline]
    pub(crate) fn full_bucket(&self, hash: u64) -> Option<[u32; WAYS]> {
        let line = self.buckets.get(self.bucket(hash))?;
        (line.matches(UNUSED) == 0).then_some(line.slots)
    }

    pub(crate) fn octets(&self) -> usize {
        self.buckets.capacity() * size_of::<Bucket>()
    }

    /// The upper half of the hash, scaled to the number of buckets.
    #[inline]
    fn bucket(&self, hash: u64) -> usize {
        self.bucket_of(hash) as usize
    }

    /// The number of the bucket where flows with this hash stand.
    #[inline]
    pub(crate) fn bucket_of(&self, hash: u64) -> u32 {
        let scaled = ((hash >> 32) * self.buckets.len() as u64) >> 32;
        u32::try_from(scaled).unwrap_or(0) // below 2^32, as the upper half of the hash is
    }
}

impl Bucket {
    /// The uppermost bit of each way that has this tag.
    #[inline]
    fn matches(&self, tag: u16) -> u128 {
        let differences = self.tags ^ (u128::from(tag) * EACH_WAY);
        // The sum reaches the uppermost bit of a way if any lower one is set, and never the next way.
        let lower = (differences & !UPPERMOST) + !UPPERMOST;
        !(lower | differences) & UPPERMOST
    }
}

/// The first way of a result of [`Bucket::matches`]; [`WAYS`] if there is none.
#[inline]
fn first_way(matches: u128) -> usize {
    matches.trailing_zeros() as usize / TAG_BITS
}

/// The lower 16 bits of the hash, but never [`UNUSED`].
#[inline]
fn tag(hash: u64) -> u16 {
    #[expect(clippy::cast_possible_truncation, reason = "the lower bits are meant")]
    let tag = hash as u16;
    if tag == UNUSED { !UNUSED } else { tag }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_one_cache_line() {
        assert_eq!((size_of::<Bucket>(), align_of::<Bucket>()), (64, 64));
    }

    #[test]
    fn eight_flows_fit_in_a_bucket_and_the_ninth_does_not() {
        let mut index = Index::new(4);
        for slot in 0..8 {
            assert_eq!(index.full_bucket(5), None);
            assert!(index.insert(5, slot));
        }
        assert!(!index.insert(5, 8));
        assert_eq!(index.full_bucket(5), Some([0, 1, 2, 3, 4, 5, 6, 7]));
        let (place, slot) = index.find(5, |slot| slot == 6).unwrap();
        assert_eq!((slot, index.find_in(0, 6)), (6, Some(place)));
        index.remove(place);
        assert_eq!((index.find(5, |slot| slot == 6), index.find_in(0, 6)), (None, None));
        assert!(index.insert(5, 8));
        let (place, _) = index.find(5, |slot| slot == 8).unwrap();
        index.replace(place, 9);
        assert!(index.find(5, |slot| slot == 9).is_some());
    }

    #[test]
    fn a_tag_of_zero_is_still_found() {
        let mut index = Index::new(1);
        let hash = 0xFFFF_FFFF_FFFF_0000;
        assert!(index.insert(hash, 3));
        assert_eq!(index.find(hash, |_| true).unwrap().1, 3);
        assert_eq!(index.find(1, |_| true), None);
    }

    #[test]
    fn ways_match_by_their_tag_only() {
        let tags = [0x0001, 0x8000, 0, 0xFFFF, 0x8000, 0x7FFF, 0, 0x0001];
        let line = Bucket {
            tags: tags.iter().rev().fold(0, |all, tag| all << TAG_BITS | u128::from(*tag)),
            slots: [0; WAYS],
        };
        for tag in [0, 1, 2, 0x7FFF, 0x8000, 0x8001, 0xFFFF] {
            let mut matches = line.matches(tag);
            for (way, other) in tags.iter().enumerate() {
                assert_eq!(matches & 0xFFFF != 0, *other == tag, "way {way}, tag {tag:#x}");
                matches >>= TAG_BITS;
            }
        }
    }

    #[test]
    fn all_hashes_fall_into_the_index() {
        for capacity in [1, 3, 7, 1000] {
            let index = Index::new(capacity);
            assert!(index.bucket(u64::MAX) < index.buckets.len());
            assert_eq!(index.bucket(0), 0);
        }
    }
}
