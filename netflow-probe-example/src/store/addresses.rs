//! Addresses of rows: 4 octets each or 16, and not the 17 that one takes which may be either.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses in their order, those of each family by themselves.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    ipv4: Vec<Ipv4Addr>,
    ipv6: Vec<Ipv6Addr>,
    /// How many of a family come one behind the other: first of IPv4, then of IPv6, and so on.
    runs: Vec<usize>,
}

/// Neighbours of the same family.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Neighbours<'a> {
    V4(&'a [Ipv4Addr]),
    V6(&'a [Ipv6Addr]),
}

impl Addresses {
    pub(super) fn push(&mut self, address: IpAddr) {
        self.extend_from_slice(&[address]);
    }

    pub(super) fn extend_from_slice(&mut self, addresses: &[IpAddr]) {
        let is_ipv6 = addresses.first().is_some_and(IpAddr::is_ipv6);
        let (ipv4, ipv6) = (self.ipv4.len(), self.ipv6.len());
        let mut are_alike = true;
        if is_ipv6 {
            self.ipv6.extend(addresses.iter().map(|address| match address {
                IpAddr::V6(address) => *address,
                IpAddr::V4(_) => {
                    are_alike = false;
                    Ipv6Addr::UNSPECIFIED
                }
            }));
        } else {
            self.ipv4.extend(addresses.iter().map(|address| match address {
                IpAddr::V4(address) => *address,
                IpAddr::V6(_) => {
                    are_alike = false;
                    Ipv4Addr::UNSPECIFIED
                }
            }));
        }
        if are_alike {
            return self.note(is_ipv6, addresses.len());
        }
        self.ipv4.truncate(ipv4);
        self.ipv6.truncate(ipv6);
        let parts = addresses.chunk_by(|one, next| one.is_ipv6() == next.is_ipv6());
        parts.for_each(|alike| self.extend_from_slice(alike));
    }

    /// So many of a family follow.
    fn note(&mut self, is_ipv6: bool, count: usize) {
        if self.runs.is_empty() && is_ipv6 {
            self.runs.push(0);
        }
        // The last run is of IPv6 when there is an even number of them.
        let last_is_ipv6 = self.runs.len().is_multiple_of(2);
        match self.runs.last_mut() {
            Some(run) if last_is_ipv6 == is_ipv6 => *run += count,
            _ if count > 0 => self.runs.push(count),
            _ => {}
        }
    }

    pub(super) fn clear(&mut self) {
        self.ipv4.clear();
        self.ipv6.clear();
        self.runs.clear();
    }

    pub(super) const fn len(&self) -> usize {
        self.ipv4.len() + self.ipv6.len()
    }

    /// The address that all of them are.
    pub(super) fn single(&self) -> Option<IpAddr> {
        match (self.ipv4.split_first(), self.ipv6.split_first()) {
            (Some((first, rest)), None) if rest.iter().all(|address| address == first) => {
                Some((*first).into())
            }
            (None, Some((first, rest))) if rest.iter().all(|address| address == first) => {
                Some((*first).into())
            }
            _ => None,
        }
    }

    /// All of them, in their order.
    pub(super) fn neighbours(&self) -> impl Iterator<Item = Neighbours<'_>> {
        let (mut ipv4, mut ipv6) = (self.ipv4.as_slice(), self.ipv6.as_slice());
        self.runs.iter().enumerate().map(move |(place, length)| {
            if place.is_multiple_of(2) {
                Neighbours::V4(ipv4.split_off(..*length).unwrap_or_default())
            } else {
                Neighbours::V6(ipv6.split_off(..*length).unwrap_or_default())
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_keep_their_order() {
        let parse =
            |text: &str| text.split(' ').map(|address| address.parse().unwrap()).collect::<Vec<IpAddr>>();
        for text in [
            "10.0.0.1",
            "::1",
            "::1 ::2 10.0.0.1 10.0.0.2 10.0.0.3 ::3 10.0.0.1 ::1",
            "10.0.0.1 10.0.0.1 ::a00:1 ::ffff:10.0.0.1",
        ] {
            let given = parse(text);
            for size in 1..=given.len() {
                let mut addresses = Addresses::default();
                given.chunks(size).for_each(|part| addresses.extend_from_slice(part));
                let kept: Vec<IpAddr> = addresses
                    .neighbours()
                    .flat_map(|neighbours| match neighbours {
                        Neighbours::V4(ipv4) => {
                            ipv4.iter().map(|address| (*address).into()).collect::<Vec<_>>()
                        }
                        Neighbours::V6(ipv6) => ipv6.iter().map(|address| (*address).into()).collect(),
                    })
                    .collect();
                assert_eq!((&kept, addresses.len()), (&given, given.len()), "{size}");
                assert_eq!(addresses.single(), (given.len() == 1).then(|| given[0]));
            }
        }
        let mut addresses = Addresses::default();
        addresses.extend_from_slice(&parse("::1 ::1 ::1"));
        assert_eq!(addresses.single(), "::1".parse().ok());
        addresses.clear();
        assert_eq!((addresses.len(), addresses.single(), addresses.neighbours().count()), (0, None, 0));
    }
}
