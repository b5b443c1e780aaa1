//! The longest prefix that an address is in, found in a table that does not change.
//!
//! Prefixes nest or are apart. Laid out flat they are ranges of addresses, each with the longest prefix that covers it:
//!
//! ```text
//! 10.0.0.0/8      |-------------- A --------------|
//! 10.1.0.0/16            |-- B --|
//! ranges          | A    | B     | A              | none
//! ```
//!
//! A lookup is a binary search among the starts of ranges that share the 16 leading bits with the address. A range of IPv4
//! takes 8 octets, one of IPv6 takes 20.

use core::net::IpAddr;
use std::collections::HashMap;

/// What is known of the addresses of a prefix.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "complete: what a route says that flows have a place for")]
pub struct Route {
    /// The AS that announces the prefix; 0 when it is not known.
    pub origin_as: u32,
    /// The neighbour that the prefix is reached through; 0 when it is not known.
    pub peer_as: u32,
    /// The next router on the way there.
    pub next_hop: Option<IpAddr>,
}

/// A prefix that an address is in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "complete: the prefix's length and what is known of it")]
pub struct Match {
    /// What is known of the prefix.
    pub route: Route,
    /// Its length in bits.
    pub prefix_length: u8,
}

/// Prefixes and what is known of them.
#[derive(Debug, Default)]
pub struct Table {
    v4: Ranges<u32>,
    v6: Ranges<u128>,
    routes: Vec<Route>,
    prefixes: usize,
}

impl Table {
    /// The longest prefix that the address is in. An IPv4 address mapped into IPv6 is one of IPv6.
    #[must_use]
    #[inline]
    pub fn find(&self, address: IpAddr) -> Option<Match> {
        let value = match address {
            IpAddr::V4(address) => self.v4.find(address.to_bits()),
            IpAddr::V6(address) => self.v6.find(address.to_bits()),
        }?;
        let [index @ .., prefix_length] = value.to_be_bytes();
        let [a, b, c] = index;
        let route = *self.routes.get(usize::try_from(u32::from_be_bytes([0, a, b, c])).ok()?)?;
        Some(Match { route, prefix_length })
    }

    /// Prefixes in the table.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.prefixes
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.prefixes == 0
    }

    /// Octets of memory.
    #[must_use]
    pub fn memory_octets(&self) -> usize {
        self.v4.memory_octets() + self.v6.memory_octets() + self.routes.capacity() * size_of::<Route>()
    }
}

/// Collects prefixes.
#[derive(Debug, Default)]
pub struct TableBuilder {
    v4: Prefixes<u32>,
    v6: Prefixes<u128>,
    routes: Vec<Route>,
    known: HashMap<Route, u32>,
}

/// A prefix, or a route, is one too many.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "the table is full: it has {} prefixes of each family and {} routes at most",
    TableBuilder::MAX_PREFIXES,
    TableBuilder::MAX_ROUTES
)]
pub struct TableFull;

impl TableBuilder {
    /// Prefixes of each family at most: several times those of the whole Internet.
    pub const MAX_PREFIXES: usize = 4_000_000;
    /// Different routes at most, which have 24 bits.
    pub const MAX_ROUTES: usize = (1 << 24) - 1;

    /// Adds a prefix, `length` bits of an address; what the address has behind them does not matter, and a length above that
    /// of the address is taken as that. Of several routes of a prefix the one with the lowest `rank` is taken, of several
    /// such the first.
    ///
    /// # Errors
    ///
    /// [`TableFull`]; the prefix was not added.
    pub fn add(&mut self, address: IpAddr, length: u8, rank: u8, route: Route) -> Result<(), TableFull> {
        let index = if let Some(index) = self.known.get(&route) {
            *index
        } else {
            let index = u32::try_from(self.routes.len()).map_err(|_| TableFull)?;
            if self.routes.len() >= Self::MAX_ROUTES {
                return Err(TableFull);
            }
            self.routes.push(route);
            self.known.insert(route, index);
            index
        };
        match address {
            IpAddr::V4(address) => self.v4.add(address.to_bits(), length, rank, index),
            IpAddr::V6(address) => self.v6.add(address.to_bits(), length, rank, index),
        }
    }

    /// The table.
    #[must_use]
    pub fn build(mut self) -> Table {
        self.v4.compact();
        self.v6.compact();
        let prefixes = self.v4.list.len() + self.v6.list.len();
        self.routes.shrink_to_fit();
        Table { v4: Ranges::of(&self.v4.list), v6: Ranges::of(&self.v6.list), routes: self.routes, prefixes }
    }
}

/// An address as a number.
trait Bits: Copy + Ord + Default {
    const WIDTH: u8;
    /// Without what is behind the prefix.
    fn first(self, length: u8) -> Self;
    /// The last address of the prefix.
    fn last(self, length: u8) -> Self;
    fn next(self) -> Option<Self>;
    /// The 16 leading bits.
    fn leading(self) -> usize;
}

macro_rules! bits {
    ($type:ty, $width:literal) => {
        impl Bits for $type {
            const WIDTH: u8 = $width;

            fn first(self, length: u8) -> Self {
                self & !(Self::MAX.checked_shr(length.into()).unwrap_or(0))
            }

            fn last(self, length: u8) -> Self {
                self | Self::MAX.checked_shr(length.into()).unwrap_or(0)
            }

            fn next(self) -> Option<Self> {
                self.checked_add(1)
            }

            fn leading(self) -> usize {
                usize::try_from(self >> (Self::WIDTH - 16)).unwrap_or(usize::MAX)
            }
        }
    };
}

bits!(u32, 32);
bits!(u128, 128);

/// Start, length, rank, route.
type Prefix<A> = (A, u8, u8, u32);

#[derive(Debug, Default)]
struct Prefixes<A> {
    list: Vec<Prefix<A>>,
    /// How many there were, sorted and none of them twice, the last time.
    compacted: usize,
}

impl<A: Bits> Prefixes<A> {
    /// Below this many, prefixes that are there twice take up little.
    const FEW: usize = 1 << 18;

    fn add(&mut self, address: A, length: u8, rank: u8, route: u32) -> Result<(), TableFull> {
        let length = length.min(A::WIDTH);
        if self.list.len() >= (2 * self.compacted).max(Self::FEW) {
            self.compact();
        }
        if self.list.len() >= TableBuilder::MAX_PREFIXES {
            self.compact();
            if self.list.len() >= TableBuilder::MAX_PREFIXES {
                return Err(TableFull);
            }
        }
        self.list.push((address.first(length), length, rank, route));
        Ok(())
    }

    /// Sorts, and keeps one of each prefix.
    fn compact(&mut self) {
        // Stable: of the same rank the first one stays first.
        self.list.sort_by_key(|(start, length, rank, _)| (*start, *length, *rank));
        self.list.dedup_by_key(|(start, length, ..)| (*start, *length));
        self.compacted = self.list.len();
    }
}

/// Ranges of addresses, one behind the other without a gap.
#[derive(Debug, Default)]
struct Ranges<A> {
    starts: Vec<A>,
    /// The route in the upper 24 bits, the prefix length in the lower 8; or [`Self::NONE`].
    values: Vec<u32>,
    /// Ranges that begin before the addresses with these leading bits.
    index: Vec<u32>,
}

impl<A: Bits> Ranges<A> {
    const NONE: u32 = u32::MAX;
    const LEADING: usize = 1 << 16;

    /// Lays out prefixes, sorted by start and length, each of them once.
    fn of(prefixes: &[Prefix<A>]) -> Self {
        let mut ranges = Self::default();
        if prefixes.is_empty() {
            return ranges;
        }
        ranges.begin(A::default(), Self::NONE);
        // Prefixes that go on, the outermost first: the last address and the value.
        let mut open: Vec<(A, u32)> = Vec::new();
        for (start, length, _, route) in prefixes {
            ranges.close(&mut open, Some(*start));
            let value = route << 8 | u32::from(*length);
            ranges.begin(*start, value);
            open.push((start.last(*length), value));
        }
        ranges.close(&mut open, None);
        ranges.starts.shrink_to_fit();
        ranges.values.shrink_to_fit();
        ranges.index = ranges.index();
        ranges
    }

    /// Ends the prefixes that end before `start`, or all: what is around them goes on behind.
    fn close(&mut self, open: &mut Vec<(A, u32)>, start: Option<A>) {
        while let Some((last, _)) = open.last().copied()
            && start.is_none_or(|start| last < start)
        {
            open.pop();
            let around = open.last().map_or(Self::NONE, |(_, value)| *value);
            if let Some(next) = last.next() {
                self.begin(next, around);
            }
        }
    }

    fn begin(&mut self, start: A, value: u32) {
        if self.starts.last() == Some(&start) {
            self.starts.pop();
            self.values.pop();
        }
        if self.values.last() != Some(&value) {
            self.starts.push(start);
            self.values.push(value);
        }
    }

    fn index(&self) -> Vec<u32> {
        let mut index = vec![0u32; Self::LEADING + 1];
        for start in &self.starts {
            if let Some(count) = index.get_mut(start.leading() + 1) {
                *count += 1;
            }
        }
        let mut sum = 0;
        for count in &mut index {
            sum += *count;
            *count = sum;
        }
        index
    }

    #[inline]
    fn find(&self, address: A) -> Option<u32> {
        let leading = address.leading();
        let from = *self.index.get(leading)? as usize;
        let to = *self.index.get(leading + 1)? as usize;
        let begun = self.starts.get(from..to)?.partition_point(|start| *start <= address);
        // The first range begins with the first address.
        let value = *self.values.get((from + begun).checked_sub(1)?)?;
        (value != Self::NONE).then_some(value)
    }

    fn memory_octets(&self) -> usize {
        self.starts.capacity() * size_of::<A>() + 4 * (self.values.capacity() + self.index.capacity())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn route(origin_as: u32) -> Route {
        Route { origin_as, ..Route::default() }
    }

    fn table(prefixes: &[(&str, u8, u32)]) -> Table {
        let mut builder = TableBuilder::default();
        for (address, length, origin_as) in prefixes {
            builder.add(address.parse().unwrap(), *length, 0, route(*origin_as)).unwrap();
        }
        builder.build()
    }

    fn find(table: &Table, address: &str) -> Option<(u32, u8)> {
        table.find(address.parse().unwrap()).map(|found| (found.route.origin_as, found.prefix_length))
    }

    #[test]
    fn the_longest_prefix_wins_in_both_families() {
        let table = table(&[
            ("10.0.0.0", 8, 1),
            ("10.1.0.0", 16, 2),
            ("10.1.0.0", 24, 3),
            ("10.1.255.255", 32, 4),
            ("255.255.255.255", 32, 5),
            ("2001:db8::", 32, 6),
            ("2001:db8:1::", 48, 7),
            ("ffff::", 16, 8),
        ]);
        for (address, expected) in [
            ("9.255.255.255", None),
            ("10.0.0.0", Some((1, 8))),
            ("10.1.0.255", Some((3, 24))),
            ("10.1.1.0", Some((2, 16))),
            ("10.1.255.254", Some((2, 16))),
            ("10.1.255.255", Some((4, 32))),
            ("10.2.0.0", Some((1, 8))),
            ("11.0.0.0", None),
            ("255.255.255.255", Some((5, 32))),
            ("2001:db8::1", Some((6, 32))),
            ("2001:db8:1::1", Some((7, 48))),
            ("2001:db9::", None),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Some((8, 16))),
        ] {
            assert_eq!(find(&table, address), expected, "{address}");
        }
        assert_eq!(table.len(), 8);
        assert_eq!(find(&Table::default(), "10.0.0.1"), None);
    }

    #[test]
    fn a_default_route_covers_what_nothing_else_does() {
        let table = table(&[("0.0.0.0", 0, 1), ("128.0.0.0", 1, 2), ("::", 0, 3)]);
        assert_eq!(find(&table, "0.0.0.0"), Some((1, 0)));
        assert_eq!(find(&table, "255.255.255.255"), Some((2, 1)));
        assert_eq!(find(&table, "::1"), Some((3, 0)));
    }

    #[test]
    fn of_several_routes_the_lowest_rank_wins_and_then_the_first() {
        let mut builder = TableBuilder::default();
        let address = "192.0.2.0".parse().unwrap();
        for (rank, origin_as) in [(3, 1), (2, 2), (2, 3), (9, 4)] {
            builder.add(address, 24, rank, route(origin_as)).unwrap();
        }
        let table = builder.build();
        assert_eq!((find(&table, "192.0.2.1"), table.len()), (Some((2, 24)), 1));
    }

    proptest! {
        #[test]
        fn the_table_finds_what_a_search_of_the_list_finds(
            prefixes in prop::collection::vec((0u32..=0xff, 0u8..=32, 1u32..50), 0..40),
            addresses in prop::collection::vec(0u32..=0xff, 1..40),
        ) {
            // Four bits of the first octet and four of the last, so that prefixes meet often.
            let spread = |bits: u32| (bits & 0xf0) << 24 | bits & 0x0f;
            let mut builder = TableBuilder::default();
            for (bits, length, origin_as) in &prefixes {
                builder.add(core::net::Ipv4Addr::from_bits(spread(*bits)).into(), *length, 0, route(*origin_as)).unwrap();
            }
            let table = builder.build();
            for address in addresses.iter().map(|bits| spread(*bits)) {
                let covers = |(bits, length, _): &&(u32, u8, u32)| spread(*bits).first(*length) == address.first(*length);
                let longest = prefixes.iter().filter(covers).map(|(_, length, _)| *length).max();
                let expected = longest.and_then(|longest| {
                    let found = prefixes.iter().filter(covers).find(|(_, length, _)| *length == longest);
                    found.map(|(_, length, origin_as)| (*origin_as, *length))
                });
                let found = table.find(core::net::Ipv4Addr::from_bits(address).into());
                prop_assert_eq!(found.map(|found| (found.route.origin_as, found.prefix_length)), expected);
            }
        }
    }
}
