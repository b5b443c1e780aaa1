//! Many indicators, found by an address in the time of one.

use core::net::IpAddr;
use std::collections::BTreeMap;

use super::indicator::{Indicator, Refused};

/// Refused entries that are kept.
const REFUSED: usize = 1_000;

/// Indicators of any number of files, ready to be searched for.
#[derive(Debug, Default)]
pub struct Indicators {
    list: Vec<Indicator>,
    other_entries: u64,
    refused: Vec<Refused>,
    refused_entries: u64,
    v4: Segments,
    v6: Segments,
    /// Whether an indicator touches the IPv4 addresses with these first 24 bits.
    touched: Box<[u64]>,
}

impl Indicators {
    /// Adds what was read; [`Self::index`] makes it ready.
    pub(super) fn push(&mut self, indicator: Indicator) {
        self.list.push(indicator);
    }

    pub(super) const fn skip(&mut self) {
        self.other_entries += 1;
    }

    pub(super) fn refuse(&mut self, file: &str, line: usize, text: &str, reason: &str) {
        self.refused_entries += 1;
        if self.refused.len() < REFUSED {
            let text: String = text.chars().take(80).collect();
            let reason = reason.to_owned();
            self.refused.push(Refused { file: file.to_owned(), line, text, reason });
        }
    }

    /// Makes everything that was added ready to be found.
    pub(super) fn index(&mut self) {
        let mut touched = vec![0_u64; 1 << 18];
        let (mut v4, mut v6) = (BTreeMap::<_, Vec<u32>>::new(), BTreeMap::<_, Vec<u32>>::new());
        for (number, indicator) in (0..).zip(&self.list) {
            let range = indicator.prefix.range();
            let is_v4 = indicator.prefix.network().is_ipv4();
            // Of ranges that begin together, the longer one goes first.
            let order = (range.0, u128::MAX - range.1);
            let ranges = if is_v4 { &mut v4 } else { &mut v6 };
            ranges.entry(order).or_default().push(number);
            if is_v4 {
                for block in range.0 >> 8..=range.1 >> 8 {
                    let place = usize::try_from(block >> 6).unwrap_or(usize::MAX);
                    if let Some(word) = touched.get_mut(place) {
                        *word |= 1 << (block & 63);
                    }
                }
            }
        }
        self.v4 = Segments::of(v4);
        self.v6 = Segments::of(v6);
        self.touched = touched.into();
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Entries that are no addresses.
    #[must_use]
    pub const fn other_entries(&self) -> u64 {
        self.other_entries
    }

    /// What was not understood: the first thousand.
    #[must_use]
    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }

    /// How many entries were not understood.
    #[must_use]
    pub const fn refused_entries(&self) -> u64 {
        self.refused_entries
    }

    /// The indicator of a number.
    #[must_use]
    pub fn get(&self, number: u32) -> Option<&Indicator> {
        self.list.get(usize::try_from(number).ok()?)
    }

    /// Calls `see` with the number of every indicator for one side of a flow: its address and port, the other side's
    /// port, and the protocol.
    pub(super) fn find(
        &self,
        (address, port): (IpAddr, Option<u16>),
        peer_port: Option<u16>,
        protocol: Option<u8>,
        mut see: impl FnMut(u32),
    ) {
        for number in self.around(address).into_iter().flatten().flatten() {
            let Some(indicator) = self.get(*number) else { continue };
            let agrees = |wanted: Option<u16>, there: Option<u16>| wanted.is_none() || wanted == there;
            if agrees(indicator.port, port)
                && agrees(indicator.peer_port, peer_port)
                && (indicator.protocol.is_none() || indicator.protocol == protocol)
            {
                see(*number);
            }
        }
    }
}

impl Indicators {
    /// Whether one of them names an address, whatever it says of ports and protocols.
    pub(super) fn name(&self, address: IpAddr) -> bool {
        self.around(address).into_iter().flatten().next().is_some()
    }

    /// The indicators of each range around an address.
    fn around(&self, address: IpAddr) -> Option<impl Iterator<Item = &Vec<u32>>> {
        match address {
            IpAddr::V4(address) => {
                let bits = address.to_bits();
                let word = usize::try_from(bits >> 14).ok().and_then(|place| self.touched.get(place));
                let is_touched = word.is_some_and(|word| word >> (bits >> 8 & 63) & 1 == 1);
                is_touched.then(|| self.v4.containing(bits.into()))
            }
            IpAddr::V6(address) => Some(self.v6.containing(address.to_bits())),
        }
    }
}

/// Ranges that contain one another or are apart, cut into segments, each with the innermost range around it.
#[derive(Debug, Default)]
struct Segments {
    /// Where each segment begins.
    starts: Vec<u128>,
    /// Its innermost range.
    innermost: Vec<Option<usize>>,
    ranges: Vec<Range>,
}

#[derive(Debug)]
struct Range {
    last: u128,
    /// The range around it.
    around: Option<usize>,
    indicators: Vec<u32>,
}

impl Segments {
    /// Keys are the beginning of a range, and how far its end is from that of all.
    fn of(sorted: BTreeMap<(u128, u128), Vec<u32>>) -> Self {
        let mut segments = Self::default();
        let mut open: Vec<usize> = Vec::new();
        for ((first, end), indicators) in sorted {
            segments.close(&mut open, Some(first));
            let around = open.last().copied();
            segments.ranges.push(Range { last: u128::MAX - end, around, indicators });
            let place = segments.ranges.len() - 1;
            segments.begin(first, Some(place));
            open.push(place);
        }
        segments.close(&mut open, None);
        segments
    }

    /// Closes the ranges that end before `next`.
    fn close(&mut self, open: &mut Vec<usize>, next: Option<u128>) {
        while let Some(last) = open.last().and_then(|place| self.ranges.get(*place)).map(|range| range.last) {
            if next.is_some_and(|next| next <= last) {
                return;
            }
            open.pop();
            if let Some(behind) = last.checked_add(1) {
                self.begin(behind, open.last().copied());
            }
        }
    }

    fn begin(&mut self, start: u128, innermost: Option<usize>) {
        if self.starts.last() == Some(&start) {
            self.starts.pop();
            self.innermost.pop();
        }
        self.starts.push(start);
        self.innermost.push(innermost);
    }

    /// The indicators of each range around a number, from the innermost outward.
    fn containing(&self, number: u128) -> impl Iterator<Item = &Vec<u32>> {
        let behind = self.starts.partition_point(|start| *start <= number);
        let innermost = behind.checked_sub(1).and_then(|place| self.innermost.get(place)).copied().flatten();
        let first = innermost.and_then(|place| self.ranges.get(place));
        let next = |range: &&Range| range.around.and_then(|place| self.ranges.get(place));
        core::iter::successors(first, next).map(|range| &range.indicators)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn indicators(texts: &[&str]) -> Indicators {
        let mut indicators = Indicators::default();
        for text in texts {
            indicators.push(Indicator::parse(text, "").unwrap());
        }
        indicators.index();
        indicators
    }

    fn found(indicators: &Indicators, address: &str, port: u16) -> Vec<String> {
        let mut found = Vec::new();
        indicators.find((address.parse().unwrap(), Some(port)), Some(50_000), Some(6), |number| {
            found.push(indicators.get(number).unwrap().text.clone());
        });
        found
    }

    #[test]
    fn every_prefix_around_an_address_is_found() {
        let all = indicators(&[
            "10.0.0.0/8",
            "10.1.0.0/16",
            "10.1.2.3",
            "10.1.2.3:443",
            "10.1.255.255",
            "10.255.255.255",
            "0.0.0.0/0",
            "255.255.255.255",
            "2001:db8::/32",
            "[2001:db8::1]:53",
        ]);
        assert_eq!(
            found(&all, "10.1.2.3", 443),
            ["10.1.2.3", "10.1.2.3:443", "10.1.0.0/16", "10.0.0.0/8", "0.0.0.0/0"]
        );
        assert_eq!(found(&all, "10.1.2.4", 1), ["10.1.0.0/16", "10.0.0.0/8", "0.0.0.0/0"]);
        assert_eq!(
            found(&all, "10.1.255.255", 1),
            ["10.1.255.255", "10.1.0.0/16", "10.0.0.0/8", "0.0.0.0/0"]
        );
        assert_eq!(found(&all, "10.255.255.255", 1), ["10.255.255.255", "10.0.0.0/8", "0.0.0.0/0"]);
        assert_eq!(found(&all, "11.0.0.0", 1), ["0.0.0.0/0"]);
        assert_eq!(found(&all, "255.255.255.255", 1), ["255.255.255.255", "0.0.0.0/0"]);
        assert_eq!(found(&all, "2001:db8::1", 53), ["[2001:db8::1]:53", "2001:db8::/32"]);
        assert_eq!(found(&all, "2001:db8::1", 54), ["2001:db8::/32"]);
        assert!(
            found(&all, "2001:db9::1", 53).is_empty() && found(&indicators(&[]), "10.1.2.3", 1).is_empty()
        );
    }

    #[test]
    fn lookup_agrees_with_a_search_one_by_one() {
        let mut state = 7_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            u32::try_from(state >> 33).unwrap()
        };
        let texts: Vec<String> = (0..300)
            .map(|_| {
                let length = 8 + next() % 25;
                format!("10.{}.{}.{}/{length}", next() % 4, next() % 4, next() % 256)
            })
            .collect();
        let all = indicators(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        for _ in 0..2_000 {
            let mut octet = |below: u32| u8::try_from(next() % below).unwrap();
            let address: IpAddr = [10, octet(4), octet(4), octet(256)].into();
            let mut found = found(&all, &address.to_string(), 1);
            let mut expected: Vec<String> = all
                .list
                .iter()
                .filter(|one| {
                    let (first, last) = one.prefix.range();
                    let IpAddr::V4(address) = address else { return false };
                    (first..=last).contains(&address.to_bits().into())
                })
                .map(|one| one.text.clone())
                .collect();
            found.sort();
            expected.sort();
            assert_eq!(found, expected, "{address}");
        }
    }
}
