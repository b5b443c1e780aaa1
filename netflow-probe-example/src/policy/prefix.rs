//! Prefixes of addresses, and what belongs to them.

use core::{fmt, net::IpAddr, str::FromStr};
use std::collections::{BTreeMap, HashMap};

/// The addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Prefix {
    network: IpAddr,
    length: u8,
}

impl Prefix {
    /// The prefix of this length that an address is in; no longer than the address.
    #[must_use]
    pub fn of(address: IpAddr, length: u8) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => {
                let length = length.min(32);
                let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
                Self { network: IpAddr::V4((address.to_bits() & mask).into()), length }
            }
            IpAddr::V6(address) => {
                let length = length.min(128);
                let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
                Self { network: IpAddr::V6((address.to_bits() & mask).into()), length }
            }
        }
    }

    /// Whether an address is in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.network.is_ipv4() && Self::of(address, self.length) == *self
    }
}

impl FromStr for Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || {
            format!("`{text}` is no address and no prefix, as in 192.0.2.1, 192.0.2.0/24 or 2001:db8::/32")
        };
        let (address, length) = match text.split_once('/') {
            None => (text, None),
            Some((address, length)) => (address, Some(length.parse::<u8>().map_err(|_| expected())?)),
        };
        let address: IpAddr = address.parse().map_err(|_| expected())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let length = length.unwrap_or(most);
        if length > most {
            return Err(format!("`{text}` has more than {most} bits"));
        }
        let prefix = Self::of(address, length);
        if prefix.network != address.to_canonical() {
            return Err(format!("`{text}` has bits behind its length: {prefix} is meant?"));
        }
        Ok(prefix)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.length)
    }
}

/// Values of prefixes, found by an address that is in them.
#[derive(Clone, Debug)]
pub struct PrefixMap<T> {
    /// By length, the shortest first.
    lengths: BTreeMap<u8, HashMap<Prefix, T>>,
}

impl<T> Default for PrefixMap<T> {
    fn default() -> Self {
        Self { lengths: BTreeMap::new() }
    }
}

impl<T> PrefixMap<T> {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// Gives a prefix a value; returns the one that it had.
    pub fn insert(&mut self, prefix: Prefix, value: T) -> Option<T> {
        self.lengths.entry(prefix.length).or_default().insert(prefix, value)
    }

    /// The value of a prefix, made if need be.
    pub fn entry(&mut self, prefix: Prefix) -> &mut T
    where
        T: Default,
    {
        self.lengths.entry(prefix.length).or_default().entry(prefix).or_default()
    }

    /// The values of the prefixes that an address is in, that of the shortest prefix first.
    pub fn of(&self, address: IpAddr) -> impl Iterator<Item = &T> {
        self.lengths.iter().filter_map(move |(length, values)| values.get(&Prefix::of(address, *length)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_read_and_wrong_ones_say_why() {
        for (text, shown) in [
            ("192.0.2.1", "192.0.2.1/32"),
            ("192.0.2.0/24", "192.0.2.0/24"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(text.parse::<Prefix>().unwrap().to_string(), shown);
        }
        for (text, reason) in [
            ("192.0.2.1/24", "192.0.2.0/24 is meant?"),
            ("192.0.2.0/33", "more than 32 bits"),
            ("host", "no address"),
            ("192.0.2.0/", "no prefix"),
            ("192.0.2.0/-1", "no prefix"),
            ("", "no address"),
        ] {
            let error = text.parse::<Prefix>().unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn values_come_from_the_shortest_prefix_to_the_longest() {
        let mut map = PrefixMap::default();
        for text in ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "0.0.0.0/0", "2001:db8::/32"] {
            assert_eq!(map.insert(text.parse().unwrap(), text), None);
        }
        let of = |address: &str| map.of(address.parse().unwrap()).copied().collect::<Vec<_>>();
        assert_eq!(of("10.1.2.3"), ["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.3"]);
        assert_eq!(of("::ffff:10.2.0.1"), ["0.0.0.0/0", "10.0.0.0/8"]);
        assert_eq!(of("2001:db8:1::1"), ["2001:db8::/32"]);
        assert!(of("2001:db9::1").is_empty());
        assert!(Prefix::of("10.1.2.3".parse().unwrap(), 8).contains("10.9.9.9".parse().unwrap()));
        assert!(!Prefix::of("10.1.2.3".parse().unwrap(), 8).contains("11.9.9.9".parse().unwrap()));
    }
}
