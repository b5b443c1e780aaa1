//! Sets of addresses and prefixes, looked up in logarithmic time however many there are.

use core::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// A prefix: an address and how many of its first bits count.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

impl Prefix {
    /// The prefix of so many bits; `None` when the address has fewer.
    #[must_use]
    pub const fn new(address: IpAddr, length: u8) -> Option<Self> {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        if length <= bits { Some(Self { address, length }) } else { None }
    }

    /// A prefix of one address.
    #[must_use]
    pub const fn host(address: IpAddr) -> Self {
        let length = if address.is_ipv4() { 32 } else { 128 };
        Self { address, length }
    }

    /// The first of its addresses.
    #[must_use]
    pub fn network(self) -> IpAddr {
        match self.address {
            IpAddr::V4(address) => IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask_v4(self.length))),
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask_v6(self.length))),
        }
    }

    /// How many of its bits count.
    #[must_use]
    pub const fn length(self) -> u8 {
        self.length
    }

    /// First and last address, as numbers.
    #[must_use]
    pub fn range(self) -> (u128, u128) {
        match self.network() {
            IpAddr::V4(first) => {
                let first = first.to_bits();
                (first.into(), (first | !mask_v4(self.length)).into())
            }
            IpAddr::V6(first) => (first.to_bits(), first.to_bits() | !mask_v6(self.length)),
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = if self.address.is_ipv4() { 32 } else { 128 };
        if self.length == bits {
            write!(f, "{}", self.address)
        } else {
            write!(f, "{}/{}", self.network(), self.length)
        }
    }
}

const fn mask_v4(length: u8) -> u32 {
    match u32::MAX.checked_shl(32 - length as u32) {
        Some(mask) => mask,
        None => 0,
    }
}

const fn mask_v6(length: u8) -> u128 {
    match u128::MAX.checked_shl(128 - length as u32) {
        Some(mask) => mask,
        None => 0,
    }
}

/// Addresses and prefixes of both families.
#[derive(Clone, Debug, Default)]
pub struct AddressSet {
    v4: Ranges,
    v6: Ranges,
}

impl AddressSet {
    /// Whether one of its prefixes contains the address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.v4.contain(address.to_bits().into()),
            IpAddr::V6(address) => self.v6.contain(address.to_bits()),
        }
    }
}

impl AddressSet {
    /// Its addresses, when there are no more than so many.
    pub(in crate::query) fn addresses(&self, most: usize) -> Option<Vec<IpAddr>> {
        let v4 = self.v4.0.iter().map(|range| (range, true));
        let ranges = v4.chain(self.v6.0.iter().map(|range| (range, false)));
        let mut addresses = Vec::new();
        for ((first, last), is_v4) in ranges {
            for bits in *first..=*last {
                if addresses.len() == most {
                    return None;
                }
                addresses.push(match u32::try_from(bits) {
                    Ok(bits) if is_v4 => Ipv4Addr::from_bits(bits).into(),
                    _ => Ipv6Addr::from_bits(bits).into(),
                });
            }
        }
        Some(addresses)
    }
}

impl FromIterator<Prefix> for AddressSet {
    fn from_iter<I: IntoIterator<Item = Prefix>>(prefixes: I) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for prefix in prefixes {
            if prefix.address.is_ipv4() { &mut v4 } else { &mut v6 }.push(prefix.range());
        }
        Self { v4: Ranges::of(v4), v6: Ranges::of(v6) }
    }
}

/// Ranges in order that neither touch nor overlap.
#[derive(Clone, Debug, Default)]
struct Ranges(Box<[(u128, u128)]>);

impl Ranges {
    fn of(mut ranges: Vec<(u128, u128)>) -> Self {
        ranges.sort_unstable();
        let mut joined: Vec<(u128, u128)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match joined.last_mut() {
                Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
                _ => joined.push((first, last)),
            }
        }
        Self(joined.into())
    }

    fn contain(&self, number: u128) -> bool {
        let behind = self.0.partition_point(|(first, _)| *first <= number);
        behind.checked_sub(1).and_then(|index| self.0.get(index)).is_some_and(|(_, last)| number <= *last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(prefixes: &[(&str, u8)]) -> AddressSet {
        prefixes.iter().map(|(text, length)| Prefix::new(text.parse().unwrap(), *length).unwrap()).collect()
    }

    #[test]
    fn prefixes_contain_their_addresses_and_no_others() {
        let set =
            set(&[("10.1.2.3", 8), ("10.0.0.0", 9), ("11.0.0.0", 32), ("2001:db8::", 32), ("::1", 128)]);
        for inside in ["10.0.0.0", "10.255.255.255", "11.0.0.0", "2001:db8:ffff::1", "::1"] {
            assert!(set.contains(inside.parse().unwrap()), "{inside}");
        }
        for outside in ["9.255.255.255", "11.0.0.1", "2001:db9::", "::2", "::a00:1"] {
            assert!(!set.contains(outside.parse().unwrap()), "{outside}");
        }
    }

    #[test]
    fn everything_and_nothing() {
        let all = set(&[("0.0.0.0", 0), ("::", 0)]);
        for address in ["0.0.0.0", "255.255.255.255", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"] {
            assert!(all.contains(address.parse().unwrap()));
            assert!(!set(&[]).contains(address.parse().unwrap()));
        }
        assert_eq!(Prefix::new(Ipv4Addr::LOCALHOST.into(), 33), None);
    }
}
