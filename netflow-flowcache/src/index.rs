//! Hash to slot: buckets of twelve places, each one cache line.
//!
//! ```text
//! | tag x 12, 16 bits each | slot x 12, low 16 bits | high 8 bits | used | passed |
//! 0                        24                       48            60     62       64
//! ```
//!
//! A lookup reads one bucket and, where a tag fits, one record. There are three places for each two flows the table
//! can hold. A flow whose bucket is full goes into one of the next seven, and every bucket passed on the way counts
//! it: a lookup goes on only behind a bucket that was passed. There is no chain, no tombstone and never a rehash.

use alloc::vec::Vec;

use crate::{ConfigError, memory::reserved};

/// Flows that share a bucket.
pub(crate) const WAYS: usize = 12;
/// Flows per bucket when the table is full.
const FLOWS_PER_BUCKET: usize = 8;
/// Buckets that a flow can stand in, from its own on.
pub(crate) const PROBES: usize = 8;
/// Slots have 24 bits.
pub(crate) const SLOTS: usize = 1 << 24;

/// Tag of an unused place.
const UNUSED: u16 = 0;
/// The lowest bit of each lane, and the uppermost.
const EACH_LANE: u64 = u64::MAX / 0xFFFF;
const UPPERMOST: u64 = EACH_LANE << 15;

/// Finds the slot of a flow by its hash.
#[derive(Debug)]
pub(crate) struct Index {
    buckets: Vec<Bucket>,
    /// Buckets that one flow can stand in: fewer than [`PROBES`] in a tiny index.
    probes: usize,
    /// How many flows stand so many buckets behind their own.
    depths: [u32; PROBES],
}

#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct Bucket {
    /// Way `4 n + m` has its tag in lane `m` of word `n`.
    tags: [u64; 3],
    low: [u16; WAYS],
    high: [u8; WAYS],
    /// One bit for each way that is in use.
    used: u16,
    /// Flows that found no place here and stand in a later bucket: no more than have room there.
    passed: u16,
}

/// Where in the index a flow stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Place {
    bucket: usize,
    way: usize,
}

impl Index {
    /// An index for `capacity` flows, with half as many places again.
    pub(crate) fn new(capacity: usize) -> Result<Self, ConfigError> {
        let count = capacity.div_ceil(FLOWS_PER_BUCKET);
        let mut buckets = reserved(count)?;
        buckets.resize(count, Bucket::default());
        Ok(Self { buckets, probes: count.min(PROBES), depths: [0; PROBES] })
    }

    /// The slot whose tag fits and for which `is_it` says yes.
    #[inline]
    pub(crate) fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<(Place, u32)> {
        let (tag, bucket) = (tag(hash), self.home(hash));
        let line = self.buckets.get(bucket)?;
        if let Some((way, slot)) = line.find(tag, &is_it) {
            return Some((Place { bucket, way }, slot));
        }
        if line.passed == 0 { None } else { self.find_behind(bucket, tag, is_it) }
    }

    /// The rest of [`Self::find`], behind the bucket where the flow belongs.
    #[cold]
    #[inline(never)]
    fn find_behind(&self, home: usize, tag: u16, is_it: impl Fn(u32) -> bool) -> Option<(Place, u32)> {
        let mut bucket = home;
        for _ in 1..PROBES {
            bucket = self.after(bucket);
            let line = self.buckets.get(bucket)?;
            if let Some((way, slot)) = line.find(tag, &is_it) {
                return Some((Place { bucket, way }, slot));
            }
            if line.passed == 0 {
                return None;
            }
        }
        None
    }

    /// Enters a flow; `None`, and nothing entered, when all buckets that it can stand in are full.
    #[inline]
    pub(crate) fn insert(&mut self, hash: u64, slot: u32) -> Option<Place> {
        let bucket = self.home(hash);
        let line = self.buckets.get_mut(bucket)?;
        let Some(way) = line.unused_way() else { return self.insert_behind(bucket, tag(hash), slot) };
        line.set(way, tag(hash), slot);
        self.depths[0] += 1;
        Some(Place { bucket, way })
    }

    /// The rest of [`Self::insert`], behind the bucket where the flow belongs.
    #[cold]
    #[inline(never)]
    fn insert_behind(&mut self, home: usize, tag: u16, slot: u32) -> Option<Place> {
        let mut bucket = home;
        for depth in 1..self.probes {
            bucket = self.after(bucket);
            let line = self.buckets.get_mut(bucket)?;
            if let Some(way) = line.unused_way() {
                line.set(way, tag, slot);
                if let Some(count) = self.depths.get_mut(depth) {
                    *count += 1;
                }
                self.pass(home, bucket, 1);
                return Some(Place { bucket, way });
            }
        }
        None
    }

    /// Whether a flow with this hash can be entered.
    pub(crate) fn has_room(&self, hash: u64) -> bool {
        let mut bucket = self.home(hash);
        (0..self.probes).any(|_| {
            let has_room = self.buckets.get(bucket).is_some_and(|line| line.unused_way().is_some());
            bucket = self.after(bucket);
            has_room
        })
    }

    /// Takes out the flow with this hash that stands here.
    #[inline]
    pub(crate) fn remove(&mut self, hash: u64, place: Place) {
        if let Some(line) = self.buckets.get_mut(place.bucket) {
            line.clear(place.way);
        }
        let home = self.home(hash);
        if place.bucket == home {
            self.depths[0] -= 1;
        } else {
            let depth = self.pass(home, place.bucket, u16::MAX);
            if let Some(count) = self.depths.get_mut(depth) {
                *count -= 1;
            }
        }
    }

    /// The slots of the bucket where flows with this hash belong, or of the bucket so many behind it, from some way
    /// on.
    pub(crate) fn slots_near(&self, hash: u64, distance: usize, from: usize) -> impl Iterator<Item = u32> {
        let mut bucket = self.home(hash) + distance % self.buckets.len().max(1);
        if bucket >= self.buckets.len() {
            bucket -= self.buckets.len();
        }
        let line = self.buckets.get(bucket).copied().unwrap_or_default();
        let ways = (0..WAYS).map(move |way| (from + way) % WAYS);
        ways.filter(move |way| line.tag(*way) != UNUSED).map(move |way| line.slot(way))
    }

    /// Buckets there are.
    pub(crate) const fn buckets(&self) -> usize {
        self.buckets.len()
    }

    /// How many flows stand so many buckets behind their own.
    pub(crate) const fn depths(&self) -> [u32; PROBES] {
        self.depths
    }

    /// Reads the bucket where flows with this hash belong, so that it is near when it is needed.
    #[inline]
    pub(crate) fn touch(&self, hash: u64) -> u64 {
        self.buckets.get(self.home(hash)).map_or(0, |line| line.tags[0])
    }

    /// The first slot with a fitting tag in the bucket where flows with this hash belong; slot 0 where there is none.
    ///
    /// There is no branch on that: every second guess might be wrong, and known only when the bucket has come.
    #[inline]
    pub(crate) fn candidate(&self, hash: u64) -> u32 {
        let Some(line) = self.buckets.get(self.home(hash)) else { return 0 };
        let matches = line.matches(tag(hash));
        let all_or_none = 0_u32.wrapping_sub(u32::from(matches != 0));
        line.slot(first_way(matches | ANY_WAY)) & all_or_none
    }

    pub(crate) fn octets(&self) -> usize {
        self.buckets.capacity() * size_of::<Bucket>()
    }

    /// The number of the bucket where flows with this hash belong: the upper half of it, scaled.
    #[inline]
    fn home(&self, hash: u64) -> usize {
        let scaled = ((hash >> 32) * self.buckets.len() as u64) >> 32;
        usize::try_from(scaled).unwrap_or(0) // below the number of buckets
    }

    #[inline]
    const fn after(&self, bucket: usize) -> usize {
        if bucket + 1 < self.buckets.len() { bucket + 1 } else { 0 }
    }

    /// Adds to the count of each bucket from `home` to before `bucket`; how many there are.
    #[cold]
    fn pass(&mut self, home: usize, bucket: usize, change: u16) -> usize {
        let (mut at, mut depth) = (home, 0);
        while at != bucket && depth < PROBES {
            if let Some(line) = self.buckets.get_mut(at) {
                line.passed = line.passed.wrapping_add(change);
            }
            at = self.after(at);
            depth += 1;
        }
        depth
    }
}

impl Bucket {
    /// The first way, and its slot, whose tag fits and for which `is_it` says yes.
    #[inline]
    fn find(&self, tag: u16, is_it: impl Fn(u32) -> bool) -> Option<(usize, u32)> {
        let mut matches = self.matches(tag);
        while matches != 0 {
            let way = first_way(matches);
            let slot = self.slot(way);
            if is_it(slot) {
                return Some((way, slot));
            }
            matches &= matches - 1;
        }
        None
    }

    /// The first way that is not in use.
    #[inline]
    const fn unused_way(&self) -> Option<usize> {
        let way = (!self.used).trailing_zeros() as usize;
        if way < WAYS { Some(way) } else { None }
    }

    /// One bit for each way that has this tag; [`first_way`] knows which.
    #[inline]
    fn matches(&self, tag: u16) -> u64 {
        let [a, b, c] = self.tags;
        lanes(a, tag) >> 15 | lanes(b, tag) >> 14 | lanes(c, tag) >> 13
    }

    #[inline]
    fn slot(&self, way: usize) -> u32 {
        let (low, high) = (self.low.get(way).copied(), self.high.get(way).copied());
        u32::from(high.unwrap_or_default()) << 16 | u32::from(low.unwrap_or_default())
    }

    #[inline]
    fn tag(&self, way: usize) -> u16 {
        #[expect(clippy::cast_possible_truncation, reason = "one lane is meant")]
        return self.tags.get(way / 4).map_or(UNUSED, |word| (word >> (way % 4 * 16)) as u16);
    }

    /// Fills a place that is unused.
    #[inline]
    fn set(&mut self, way: usize, tag: u16, slot: u32) {
        if let (Some(word), Some(low), Some(high)) =
            (self.tags.get_mut(way / 4), self.low.get_mut(way), self.high.get_mut(way))
        {
            *word |= u64::from(tag) << (way % 4 * 16);
            self.used |= 1 << way;
            let [a, b, c, _] = slot.to_le_bytes();
            (*low, *high) = (u16::from_le_bytes([a, b]), c);
        }
    }

    #[inline]
    fn clear(&mut self, way: usize) {
        if let Some(word) = self.tags.get_mut(way / 4) {
            *word &= !(0xFFFF << (way % 4 * 16));
            self.used &= !(1 << way);
        }
    }
}

/// The uppermost bit of each lane that has this tag.
#[inline]
const fn lanes(word: u64, tag: u16) -> u64 {
    let differences = word ^ (tag as u64 * EACH_LANE);
    // The sum reaches the uppermost bit of a lane if any lower one is set, and never the next lane.
    let lower = (differences & !UPPERMOST) + !UPPERMOST;
    !(lower | differences) & UPPERMOST
}

/// A bit behind all those of [`Bucket::matches`] for which [`first_way`] gives a way, too.
const ANY_WAY: u64 = 1 << 52;

/// The way of the lowest bit of a result of [`Bucket::matches`] that is not zero.
#[inline]
const fn first_way(matches: u64) -> usize {
    // Lane `m` of word `n` is bit `16 m + n`.
    let bit = matches.trailing_zeros() as usize;
    4 * (bit & 3) + (bit >> 4)
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
    use alloc::vec::Vec;

    use super::*;

    /// A hash with this bucket of `buckets`, and this tag.
    fn hash(bucket: u64, buckets: u64, tag: u64) -> u64 {
        (bucket << 32).div_ceil(buckets) << 32 | tag
    }

    #[test]
    fn a_bucket_is_one_cache_line() {
        assert_eq!((size_of::<Bucket>(), align_of::<Bucket>()), (64, 64));
    }

    #[test]
    fn a_bucket_that_is_full_passes_flows_on_to_the_next_and_they_are_found() {
        let mut index = Index::new(24).unwrap();
        assert_eq!(index.buckets(), 3);
        let mut places = Vec::new();
        for slot in 0..36 {
            places.push(index.insert(hash(2, 3, 5), slot).unwrap());
        }
        assert_eq!(index.insert(hash(2, 3, 5), 99), None);
        assert_eq!(index.depths()[..4], [12, 12, 12, 0]);
        for slot in 0..36 {
            let (place, found) = index.find(hash(2, 3, 5), |it| it == slot).unwrap();
            assert_eq!((place, found), (places[slot as usize], slot));
        }
        // Flows that were passed on stay found when those before them leave.
        for place in &places[..35] {
            index.remove(hash(2, 3, 5), *place);
        }
        assert_eq!(index.find(hash(2, 3, 5), |_| true).unwrap().1, 35);
        index.remove(hash(2, 3, 5), places[35]);
        assert!(index.buckets.iter().all(|line| line.passed == 0 && line.used == 0 && line.tags == [0; 3]));
        assert_eq!(index.depths(), [0; PROBES]);
    }

    #[test]
    fn a_flow_stands_at_most_seven_buckets_behind_its_own() {
        let mut index = Index::new(800).unwrap();
        let entered = (0..200).take_while(|slot| index.insert(hash(7, 100, 9), *slot).is_some()).count();
        assert_eq!(entered, WAYS * PROBES);
        assert_eq!(index.slots_near(hash(7, 100, 9), 7, 5).count(), WAYS);
        assert_eq!(index.slots_near(hash(7, 100, 9), 8, 0).count(), 0);
    }

    #[test]
    fn a_tag_of_zero_is_still_found() {
        let mut index = Index::new(1).unwrap();
        let hash = 0xFFFF_FFFF_FFFF_0000;
        assert!(index.insert(hash, 3).is_some());
        assert_eq!(index.find(hash, |_| true).unwrap().1, 3);
        assert_eq!(index.find(1, |_| true), None);
    }

    #[test]
    fn slots_have_24_bits() {
        let mut index = Index::new(8).unwrap();
        let places = [0x00_0001, 0xAB_CDEF, 0xFF_FFFF].map(|slot| (slot, index.insert(slot.into(), slot)));
        for (slot, place) in places {
            assert_eq!(index.find(slot.into(), |it| it == slot), Some((place.unwrap(), slot)));
        }
    }

    #[test]
    fn ways_match_by_their_tag_only() {
        let tags = [0x0001, 0x8000, 0, 0xFFFF, 0x8000, 0x7FFF, 0, 0x0001, 0xFFFE, 0x8001, 2, 0x7FFF];
        let mut line = Bucket::default();
        for (way, tag) in tags.iter().enumerate() {
            line.set(way, *tag, 7);
            assert_eq!(line.tag(way), *tag);
        }
        for tag in [0, 1, 2, 0x7FFF, 0x8000, 0x8001, 0xFFFF] {
            let mut matches = line.matches(tag);
            let mut found = Vec::new();
            while matches != 0 {
                found.push(first_way(matches));
                matches &= matches - 1;
            }
            found.sort_unstable();
            let expected: Vec<usize> = (0..WAYS).filter(|way| tags[*way] == tag).collect();
            assert_eq!(found, expected, "tag {tag:#x}");
        }
    }

    #[test]
    fn all_hashes_fall_into_the_index() {
        for capacity in [1, 3, 7, 1000] {
            let index = Index::new(capacity).unwrap();
            assert!(index.home(u64::MAX) < index.buckets.len());
            assert_eq!(index.home(0), 0);
        }
        assert_eq!(Index::new(0).unwrap().find(7, |_| true), None);
        assert_eq!(Index::new(0).unwrap().insert(7, 1), None);
    }
}
