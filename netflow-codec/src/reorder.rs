//! Datagrams that overtook each other, put into the order in which they were sent (RFC 7011 section 8.2).

use alloc::{boxed::Box, collections::BTreeMap};
use core::time::Duration;

use crate::{ipfix, time::Timestamp, v9, wire::u16_at};

/// Holds datagrams back for a moment and hands them out, each exporter's in the order of their export times; those of
/// one second in the order in which they came.
///
/// A [`Decoder`](crate::Decoder) does not need it: data that overtook its template waits for it, and data that a
/// redefinition overtook is decoded with the template before. What is left is data that overtakes a *redefinition*,
/// which only an order that is right from the start can help, at the price of a delay.
///
/// Export times have whole seconds in v9 and IPFIX; datagrams of other versions keep their place.
///
/// ```
/// use core::time::Duration;
/// use netflow_codec::{ReorderBuffer, Timestamp};
///
/// # let ipfix = |export_time: u8| [0, 10, 0, 16, 0, 0, 0, export_time, 0, 0, 0, 0, 0, 0, 0, 1];
/// let [now, later] = [100, 102].map(Timestamp::from_secs);
/// let mut buffer = ReorderBuffer::new(Duration::from_secs(2), 1 << 20);
/// for datagram in [ipfix(99), ipfix(98)] {
///     buffer.handle_datagram("192.0.2.1", &datagram, now);
/// }
/// assert_eq!(buffer.poll_datagram(now), None);
/// assert_eq!(buffer.poll_timeout(), Some(later));
/// assert_eq!(buffer.poll_datagram(later).unwrap().octets[7], 98);
/// assert_eq!(buffer.poll_datagram(later).unwrap().octets[7], 99);
/// ```
#[derive(Debug)]
pub struct ReorderBuffer<E> {
    delay: Duration,
    limit: usize,
    /// By exporter, export time and arrival.
    held: BTreeMap<(E, Timestamp, u64), HeldDatagram<E>>,
    /// By arrival.
    order: BTreeMap<u64, (E, Timestamp)>,
    octets: usize,
    arrivals: u64,
    early: u64,
}

/// A datagram that was held back.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct HeldDatagram<E> {
    /// The exporter.
    pub exporter: E,
    /// The datagram.
    pub octets: Box<[u8]>,
    /// When it came: what [`Decoder::decode`](crate::Decoder::decode) is to be told.
    pub received: Timestamp,
}

impl<E: Clone + Ord> ReorderBuffer<E> {
    /// A buffer that holds each datagram for this long, and at most so many octets of memory. When that is full,
    /// the oldest datagrams are handed out early.
    #[must_use]
    pub const fn new(delay: Duration, limit: usize) -> Self {
        Self { delay, limit, held: BTreeMap::new(), order: BTreeMap::new(), octets: 0, arrivals: 0, early: 0 }
    }

    /// Takes a datagram, received `now`. Then [`Self::poll_datagram`] until it says `None`.
    pub fn handle_datagram(&mut self, exporter: E, datagram: &[u8], now: Timestamp) {
        let sent = export_time(datagram).unwrap_or(now);
        let arrival = self.arrivals;
        self.arrivals += 1;
        self.octets += Self::cost(datagram.len());
        self.order.insert(arrival, (exporter.clone(), sent));
        let held = HeldDatagram { exporter: exporter.clone(), octets: datagram.into(), received: now };
        self.held.insert((exporter, sent, arrival), held);
    }

    /// The next datagram whose time has come, or that there is no room for. Before the one that came first go those of
    /// its exporter that were exported earlier.
    pub fn poll_datagram(&mut self, now: Timestamp) -> Option<HeldDatagram<E>> {
        let due = self.poll_timeout()? <= now;
        if !due && self.octets <= self.limit {
            return None;
        }
        self.early += u64::from(!due);
        self.next()
    }

    /// All datagrams that are left, when no more will come.
    pub fn flush(&mut self) -> Option<HeldDatagram<E>> {
        self.next()
    }

    /// When the next datagram is due; before, or when `None`, there is nothing to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let (arrival, (exporter, sent)) = self.order.first_key_value()?;
        let first = self.held.get(&(exporter.clone(), *sent, *arrival))?;
        Some(first.received.saturating_add(self.delay))
    }

    /// How many datagrams are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether no datagram is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// How many datagrams were handed out before their time because the buffer was full.
    #[must_use]
    pub const fn early(&self) -> u64 {
        self.early
    }

    /// Octets of memory of a datagram of so many.
    const fn cost(octets: usize) -> usize {
        octets
            + 2 * size_of::<((E, Timestamp, u64), HeldDatagram<E>)>()
            + 2 * size_of::<(u64, (E, Timestamp))>()
    }

    fn next(&mut self) -> Option<HeldDatagram<E>> {
        let (_, (exporter, sent)) = self.order.first_key_value()?;
        let first = (exporter.clone(), Timestamp::ZERO, 0);
        let until = (exporter.clone(), *sent, u64::MAX);
        let (key, _) = self.held.range(first..=until).next()?;
        let key = key.clone();
        self.order.remove(&key.2);
        let datagram = self.held.remove(&key)?;
        self.octets -= Self::cost(datagram.octets.len());
        Some(datagram)
    }
}

/// The export time in the header of a v9 packet or an IPFIX message.
fn export_time(datagram: &[u8]) -> Option<Timestamp> {
    let place = match u16_at(datagram, 0)? {
        v9::VERSION => 8,
        ipfix::VERSION => 4,
        _ => return None,
    };
    let secs = datagram.get(place..)?.first_chunk()?;
    Some(Timestamp::from_secs(u32::from_be_bytes(*secs).into()))
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    const DELAY: Duration = Duration::from_secs(2);

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    /// A v9 packet of this export time, and a number to know it by.
    fn packet(exported: u8, number: u8) -> [u8; 20] {
        let mut octets = [0; 20];
        (octets[1], octets[11], octets[19]) = (9, exported, number);
        octets
    }

    fn numbers(buffer: &mut ReorderBuffer<u8>, now: Timestamp) -> Vec<u8> {
        core::iter::from_fn(|| buffer.poll_datagram(now)).map(|datagram| datagram.octets[19]).collect()
    }

    #[test]
    fn each_exporters_datagrams_leave_in_the_order_of_export() {
        // T25
        let mut buffer = ReorderBuffer::new(DELAY, 1 << 20);
        for (exporter, exported, number) in
            [(1, 20, 0), (2, 30, 1), (1, 10, 2), (1, 20, 3), (1, 15, 4), (2, 29, 5)]
        {
            buffer.handle_datagram(exporter, &packet(exported, number), at(100));
        }
        buffer.handle_datagram(1, &packet(12, 6), at(101));
        buffer.handle_datagram(1, &packet(25, 7), at(101));
        assert_eq!((numbers(&mut buffer, at(101)), buffer.len()), (Vec::new(), 8));
        assert_eq!(buffer.poll_timeout(), Some(at(102)));
        // 10, 12, 15, 20, 20 of the first; 29, 30 of the second.
        assert_eq!(numbers(&mut buffer, at(102)), [2, 6, 4, 0, 5, 1, 3]);
        assert_eq!(numbers(&mut buffer, at(103)), [7]);
        assert!(buffer.is_empty() && buffer.poll_timeout().is_none() && buffer.octets == 0);
    }

    #[test]
    fn other_versions_keep_their_place_and_all_is_handed_out_in_the_end() {
        // T25
        let mut buffer = ReorderBuffer::new(DELAY, 1 << 20);
        for number in [3, 1, 2] {
            let mut octets = packet(200 - number, number);
            octets[1] = 5;
            buffer.handle_datagram(1, &octets, at(100 + u64::from(number == 2)));
        }
        buffer.handle_datagram(1, &[9], at(101));
        let lengths: Vec<_> =
            core::iter::from_fn(|| buffer.flush()).map(|datagram| datagram.octets.get(19).copied()).collect();
        assert_eq!(lengths, [Some(3), Some(1), Some(2), None]);
        assert_eq!((buffer.early(), buffer.octets), (0, 0));
    }

    #[test]
    fn memory_is_bounded_by_handing_out_early() {
        // T25
        let mut buffer = ReorderBuffer::new(DELAY, 10_000);
        let mut out = Vec::new();
        for number in 0..200 {
            buffer.handle_datagram(1, &packet(100, number), at(100));
            out.extend(numbers(&mut buffer, at(100)));
            assert!(buffer.octets <= 10_000);
        }
        assert_eq!(buffer.early(), out.len() as u64);
        assert!(out.len() > 100);
        out.extend(numbers(&mut buffer, at(102)));
        assert_eq!(out, (0..200).collect::<Vec<_>>());
    }
}
