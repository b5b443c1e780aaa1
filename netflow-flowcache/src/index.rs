//! Hash to slot: buckets of twelve places, each one cache line.
//!
//! ```text
//! | tag x 12, 16 bits each | slot x 12, low 16 bits | high 8 bits | used | passed |
//! 0                        24                       48            60     62       64
//! ```
//!
//! A lookup reads one bucket and, where a tag fits, one record. There are three places for each two flows the table
//! can hold. A flow whose bucket is full goes into one of the next seven, and every bucket passed on the way counts
//! it: a lookup goes on only behind a bucket that was passed. There is no chain and no tombstone.
//!
//! Few flows stand close together, in few cache lines: a large index begins with a part of its buckets, and whenever
//! these have eight flows each, it doubles. Then each new flow splits two buckets, in their order: what is in one stays,
//! or moves to the first bucket behind those in use, as one more bit of its hash says. The memory was taken at creation,
//! and buckets not used so far have not been written to.

use alloc::vec::Vec;

use crate::{ConfigError, memory::reserved};

/// Flows that share a bucket.
pub(crate) const WAYS: usize = 12;
/// Flows per bucket when the table is full.
const FLOWS_PER_BUCKET: usize = 8;
/// Buckets that a flow can stand in, from its own on.
pub(crate) const PROBES: usize = 8;
/// An index doubles so many times at most, and begins with no fewer buckets than this.
const LEVELS: u32 = 8;
const FIRST_BUCKETS: usize = 64;
/// Slots have 24 bits.
pub(crate) const SLOTS: usize = 1 << 24;

/// Bits of a tag.
const TAG_BITS: u32 = 16;
/// Tag of an unused place.
const UNUSED: u16 = 0;
/// The lowest bit of each lane, and the uppermost.
const EACH_LANE: u64 = u64::MAX / 0xFFFF;
const UPPERMOST: u64 = EACH_LANE << 15;

/// Finds the slot of a flow by its hash.
#[derive(Debug)]
pub(crate) struct Index {
    /// Those that flows belong in, and behind them what the last of these may need besides.
    buckets: Vec<Bucket>,
    /// How many flows belong in.
    active: usize,
    /// How many there are at most.
    most: usize,
    /// How many there were at first.
    base: usize,
    /// How many there were when they began to double.
    half: usize,
    /// Which bits of a hash, behind its tag, say which of the buckets that come of one a flow belongs in.
    mask: u64,
    /// Flows with which it grows.
    grow_at: usize,
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
        let levels = (count / FIRST_BUCKETS).checked_ilog2().unwrap_or(0).min(LEVELS);
        let base = count >> levels;
        let behind = if count == 0 { 0 } else { PROBES - 1 };
        let most = base << levels;
        let mut buckets = reserved(most + behind)?;
        buckets.resize(base + behind, Bucket::default());
        let mut index = Self {
            buckets,
            active: base,
            most,
            base,
            half: 0,
            mask: 0,
            grow_at: usize::MAX,
            depths: [0; PROBES],
        };
        index.prepare_to_double();
        Ok(index)
    }

    fn prepare_to_double(&mut self) {
        if self.active < self.most {
            self.half = self.active;
            self.mask = self.mask << 1 | 1;
            self.grow_at = self.active * FLOWS_PER_BUCKET;
        } else {
            self.grow_at = usize::MAX;
        }
    }

    /// With so many flows it is to [`grow`](Self::grow) before the next one is entered.
    #[inline]
    pub(crate) const fn grow_at(&self) -> usize {
        self.grow_at
    }

    /// Grows by one bucket, if it is time: flows of another one that belong there move. `hash_of` tells the hash of a slot,
    /// `flows` how many there are.
    pub(crate) fn grow(&mut self, flows: usize, hash_of: impl Fn(u32) -> u64) {
        if flows < self.grow_at {
            return;
        }
        let (old, new) = (self.active - self.half, self.active);
        self.active += 1;
        let moving = self.belonging(old, new, &hash_of);
        let room = |bucket: &Bucket| WAYS - bucket.used.count_ones() as usize;
        let behind = self.buckets.get(new..).unwrap_or_default();
        let room: usize = behind.iter().take(PROBES).map(room).sum();
        if moving.iter().map(|ways| ways.count_ones() as usize).sum::<usize>() > room {
            // Only who knows the seed can bring that about.
            self.active -= 1;
            self.grow_at = flows + FLOWS_PER_BUCKET;
            return;
        }
        // Taken at creation.
        self.buckets.push(Bucket::default());
        for (distance, mut ways) in moving.into_iter().enumerate() {
            while ways != 0 {
                let place = Place { bucket: old + distance, way: ways.trailing_zeros() as usize };
                ways &= ways - 1;
                if let Some(slot) = self.buckets.get(place.bucket).map(|line| line.slot(place.way)) {
                    self.take_out(old, place);
                    // There is room.
                    let _place = self.insert(hash_of(slot), slot);
                }
            }
        }
        self.grow_at = 0;
        if self.active == 2 * self.half {
            self.prepare_to_double();
        }
    }

    /// The ways of the buckets from `old` on in which flows stand that belong in `new` now.
    fn belonging(&self, old: usize, new: usize, hash_of: impl Fn(u32) -> u64) -> [u16; PROBES] {
        let mut moving = [0; PROBES];
        for (ways, line) in moving.iter_mut().zip(self.buckets.get(old..).unwrap_or_default()) {
            for way in (0..WAYS).filter(|way| line.used >> way & 1 == 1) {
                *ways |= u16::from(self.home(hash_of(line.slot(way))) == new) << way;
            }
            if line.passed == 0 {
                break;
            }
        }
        moving
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
            bucket += 1;
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
        for depth in 1..PROBES {
            bucket += 1;
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
        let lines = self.buckets.get(self.home(hash)..).unwrap_or_default();
        lines.iter().take(PROBES).any(|line| line.unused_way().is_some())
    }

    /// Takes out the flow with this hash that stands here.
    #[inline]
    pub(crate) fn remove(&mut self, hash: u64, place: Place) {
        self.take_out(self.home(hash), place);
    }

    /// Takes out the flow that stands here and belongs in `home`.
    #[inline]
    fn take_out(&mut self, home: usize, place: Place) {
        if let Some(line) = self.buckets.get_mut(place.bucket) {
            line.clear(place.way);
        }
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
        let bucket = (self.home(hash) + distance) % self.buckets.len().max(1);
        let line = self.buckets.get(bucket).copied().unwrap_or_default();
        let ways = (0..WAYS).map(move |way| (from + way) % WAYS);
        ways.filter(move |way| line.tag(*way) != UNUSED).map(move |way| line.slot(way))
    }

    /// Buckets that flows stand in.
    pub(crate) const fn buckets(&self) -> usize {
        self.buckets.len()
    }

    /// How many flows stand so many buckets behind their own.
    pub(crate) const fn depths(&self) -> [u32; PROBES] {
        self.depths
    }

    /// The number of the bucket where flows with this hash belong, and a part of it, so that it is near when it is needed.
    #[inline]
    pub(crate) fn touch(&self, hash: u64) -> (u32, u64) {
        let bucket = self.home(hash);
        let read = self.buckets.get(bucket).map_or(0, |line| line.tags[0]);
        #[expect(clippy::cast_possible_truncation, reason = "there are fewer buckets than slots")]
        return (bucket as u32, read);
    }

    /// The first slot with a fitting tag in this bucket, where flows with this hash belong; slot 0 where there is none.
    ///
    /// There is no branch on that: every second guess might be wrong, and known only when the bucket has come.
    #[inline]
    pub(crate) fn candidate(&self, bucket: u32, hash: u64) -> u32 {
        let Some(line) = self.buckets.get(bucket as usize) else { return 0 };
        let matches = line.matches(tag(hash));
        let all_or_none = 0_u32.wrapping_sub(u32::from(matches != 0));
        line.slot(first_way(matches | ANY_WAY)) & all_or_none
    }

    pub(crate) fn octets(&self) -> usize {
        self.buckets.capacity() * size_of::<Bucket>()
    }

    /// The number of the bucket where flows with this hash belong: the upper half of it, scaled to the buckets that there
    /// were at first, and a few other bits for those that came of each.
    #[inline]
    fn home(&self, hash: u64) -> usize {
        let base = self.base as u64;
        let first = ((hash >> 32) * base) >> 32;
        let split = first + base * (hash >> TAG_BITS & self.mask);
        let bucket = usize::try_from(split).unwrap_or(0); // below twice the number of buckets
        // It may not have been split yet.
        if bucket < self.active { bucket } else { bucket - self.half }
    }

    /// Adds to the count of each bucket from `home` to before `bucket`; how many there are.
    #[cold]
    fn pass(&mut self, home: usize, bucket: usize, change: u16) -> usize {
        let (mut at, mut depth) = (home, 0);
        while at != bucket && depth < PROBES {
            if let Some(line) = self.buckets.get_mut(at) {
                line.passed = line.passed.wrapping_add(change);
            }
            at += 1;
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
        assert_eq!(index.buckets(), 3 + 7);
        let mut places = Vec::new();
        for slot in 0..96 {
            places.push(index.insert(hash(2, 3, 5), slot).unwrap());
        }
        assert_eq!((index.insert(hash(2, 3, 5), 99), index.has_room(hash(2, 3, 5))), (None, false));
        assert_eq!(index.depths(), [12; PROBES]);
        for slot in 0..96 {
            let (place, found) = index.find(hash(2, 3, 5), |it| it == slot).unwrap();
            assert_eq!((place, found), (places[slot as usize], slot));
        }
        // Flows that were passed on stay found when those before them leave.
        for place in &places[..95] {
            index.remove(hash(2, 3, 5), *place);
        }
        assert_eq!(index.find(hash(2, 3, 5), |_| true).unwrap().1, 95);
        index.remove(hash(2, 3, 5), places[95]);
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

    /// Enters a flow as the cache does, with the hashes of all slots.
    fn enter(index: &mut Index, flows: usize, hashes: &[u64], slot: u32) -> Option<Place> {
        if flows >= index.grow_at() {
            index.grow(flows, |slot| hashes[slot as usize]);
            index.grow(flows, |slot| hashes[slot as usize]);
        }
        index.insert(hashes[slot as usize], slot)
    }

    #[test]
    fn an_index_grows_with_its_flows_and_all_of_them_stay_found() {
        const FLOWS: u32 = 100_000;
        let mut state = 1_u64;
        let hashes: Vec<u64> = (0..FLOWS)
            .map(|_| {
                state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
                let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
                (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB)
            })
            .collect();
        let mut index = Index::new(FLOWS as usize).unwrap();
        let (first, memory) = (index.buckets(), index.octets());
        let mut flows = 0;
        for slot in 0..FLOWS {
            assert!(enter(&mut index, flows, &hashes, slot).is_some(), "{slot}");
            flows += 1;
            // Each third one leaves again soon.
            if slot % 3 == 2 {
                let (place, _) = index.find(hashes[slot as usize - 1], |it| it == slot - 1).unwrap();
                index.remove(hashes[slot as usize - 1], place);
                flows -= 1;
            }
            assert!(index.buckets() <= first.max(2 * flows / FLOWS_PER_BUCKET + 2 * PROBES), "{slot}");
            if slot % 9_973 == 0 {
                let left = |slot: u32, newest: u32| slot % 3 == 1 && slot < newest;
                for (one, hash) in (0..=slot).zip(&hashes) {
                    let found = index.find(*hash, |it| it == one);
                    assert_eq!(found.is_some(), !left(one, slot), "{one} of {slot}");
                }
            }
        }
        let depths: u32 = index.depths().iter().sum();
        assert_eq!((depths as usize, index.octets()), (flows, memory));
        // Nine in ten stand where they belong.
        assert!(index.depths()[0] * 10 > depths * 9, "{:?}", index.depths());
        for (slot, hash) in (0..FLOWS).zip(&hashes).filter(|(slot, _)| slot % 3 != 1) {
            let (place, _) = index.find(*hash, |it| it == slot).unwrap();
            index.remove(*hash, place);
        }
        let left = (0..FLOWS).zip(&hashes).filter_map(|(slot, hash)| index.find(*hash, |it| it == slot));
        assert!(left.count() <= 1);
    }

    #[test]
    fn flows_that_are_chosen_to_collide_are_not_lost_when_the_index_grows() {
        // These fill eight buckets each, so that there is no room to move those of the first one: the index stays as it is.
        let many = |bucket: u64, bits: u64| core::iter::repeat_n(hash(bucket, 64, 5) | bits << TAG_BITS, 96);
        let mut hashes: Vec<u64> = many(0, 1).chain(many(63, 0)).collect();
        hashes.extend((0..1_000_u64).map(|flow| hash(flow % 64, 64, 9) | (flow / 64) << TAG_BITS));
        let mut index = Index::new(8_192).unwrap();
        let mut entered = Vec::new();
        for slot in 0..hashes.len() {
            let slot = u32::try_from(slot).unwrap();
            if enter(&mut index, entered.len(), &hashes, slot).is_some() {
                entered.push(slot);
            }
            for slot in &entered {
                assert!(index.find(hashes[*slot as usize], |it| it == *slot).is_some(), "{slot}");
            }
        }
        assert!(entered.len() > 800, "{}", entered.len());
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
