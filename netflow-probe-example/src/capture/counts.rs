//! What was captured, and what was not.

use core::ops::{Add, AddAssign};

/// Frames that the kernel saw for a capture, by what became of them.
///
/// `received` is `read`, `dropped` and `unread` together once a capture has ended; before, what is in the kernel's buffer
/// is in none of the three.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct CaptureCounts {
    /// Frames that passed the filter.
    pub received: u64,
    /// Frames that were read.
    pub read: u64,
    /// Frames that found no room in the kernel's buffer.
    pub dropped: u64,
    /// Frames that the interface or its driver dropped.
    pub interface_dropped: u64,
    /// Frames left in the kernel's buffer when the capture ended, or the interface went away.
    pub unread: u64,
    /// Times that a capture was opened again.
    pub reopened: u64,
}

impl Add for CaptureCounts {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

impl AddAssign for CaptureCounts {
    fn add_assign(&mut self, other: Self) {
        self.received += other.received;
        self.read += other.read;
        self.dropped += other.dropped;
        self.interface_dropped += other.interface_dropped;
        self.unread += other.unread;
        self.reopened += other.reopened;
    }
}

impl CaptureCounts {
    /// Frames that were not metered although they passed the filter.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.dropped + self.unread
    }
}
