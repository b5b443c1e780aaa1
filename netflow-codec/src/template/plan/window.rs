//! Reading fields through a window that begins before the record.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Octets before a record that the window shows.
pub(crate) const LEAD: usize = 8;
/// Octets of the window: any `u8` offset and the 8 octets from there on.
pub(crate) const WINDOW: usize = 263;

/// Where a member's octets are: the 8 octets at `start` of the window, masked.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Slot {
    pub(super) mask: u64,
    pub(super) start: u8,
}

impl Slot {
    /// Of 1 to 8 octets that end with the 8 octets at `start`; of more octets the last 8.
    pub(crate) const fn new(start: u8, length: usize) -> Self {
        let octets = if length < 8 { length } else { 8 };
        Self { mask: u64::MAX >> ((64 - 8 * octets) & 63), start }
    }

    /// Whether there is anything to read.
    #[inline]
    pub(crate) const fn is_set(self) -> bool {
        self.mask != 0
    }

    /// The 8 octets before, of a field of 16 octets.
    pub(crate) const fn before(self) -> Self {
        Self { start: self.start.wrapping_sub(8), ..self }
    }

    #[inline]
    pub(crate) fn read(self, lead: &(impl Lead + ?Sized)) -> u64 {
        lead.eight(self.start) & self.mask
    }
}

/// Octets that begin [`LEAD`] octets before a record.
pub(crate) trait Lead {
    /// Eight of them as an integer.
    fn eight(&self, start: u8) -> u64;
}

/// The window of most records: nothing to check.
impl Lead for [u8; WINDOW] {
    #[inline]
    fn eight(&self, start: u8) -> u64 {
        self.split_at(usize::from(start)).1.first_chunk().map_or(0, |octets| u64::from_be_bytes(*octets))
    }
}

/// At the last records, whose window would reach past the end of the datagram: the window that ends there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LastWindow<'a> {
    window: &'a [u8; WINDOW],
    /// From where the window starts to [`LEAD`] octets before the record.
    shift: u8,
}

impl<'a> LastWindow<'a> {
    /// The window of what is left of `octets` from `place` on; `None` when it does not reach the end, or there are not
    /// so many octets.
    #[inline]
    pub(crate) fn new(octets: &'a [u8], place: usize) -> Option<Self> {
        let shift = place.checked_sub(octets.len().checked_sub(WINDOW)?)?;
        Some(Self { window: octets.last_chunk()?, shift: u8::try_from(shift).ok()? })
    }
}

impl Lead for LastWindow<'_> {
    #[inline]
    fn eight(&self, start: u8) -> u64 {
        // A field ends where the window ends, or before: there is no overflow.
        self.window.eight(start.wrapping_add(self.shift))
    }
}

/// Any octets, with a check at each reading.
impl Lead for [u8] {
    #[inline]
    fn eight(&self, start: u8) -> u64 {
        let octets = self.get(usize::from(start)..).and_then(<[u8]>::first_chunk);
        octets.map_or(0, |octets| u64::from_be_bytes(*octets))
    }
}

#[inline]
pub(super) fn read_v4(start: u8, window: &(impl Lead + ?Sized)) -> IpAddr {
    #[expect(clippy::cast_possible_truncation, reason = "the last 4 octets")]
    let bits = window.eight(start) as u32;
    IpAddr::V4(Ipv4Addr::from_bits(bits))
}

#[inline]
pub(super) fn read_v6(start: u8, window: &(impl Lead + ?Sized)) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from_bits(read_sixteen(start, window)))
}

/// Sixteen octets, of which the last 8 begin at `start`.
#[inline]
pub(super) fn read_sixteen(start: u8, window: &(impl Lead + ?Sized)) -> u128 {
    u128::from(window.eight(start.wrapping_sub(8))) << 64 | u128::from(window.eight(start))
}
