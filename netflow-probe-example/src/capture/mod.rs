//! Capture: where frames come from.
//!
//! ```text
//! files       one after another, plain or compressed, replayed as fast as wanted     any build
//! interfaces  libpcap: a ring of the kernel's for each interface and direction       feature `live`
//! ```
//!
//! A [`FrameSource`] hands out frames, each with the [`ObservationPoint`] where it was seen. What goes wrong on the way
//! is a [`CaptureEvent`], told while the capture goes on; what was lost is in the [`CaptureCounts`].

mod counts;
mod event;
mod filter;
mod interface;
#[cfg(feature = "live")]
pub mod live;
mod speed;

use core::time::Duration;

pub use counts::CaptureCounts;
pub use event::{CaptureEvent, Tell};
pub use filter::FrameFilter;
pub use interface::{Interface, interface_index, interfaces};
pub use speed::{Replay, Speed};

use crate::pcap::Frame;

/// How to get a build that has libpcap.
pub const NEEDS_LIVE: &str = "this build has no libpcap; build it with\n  apt-get install libpcap-dev\n  \
                              cargo build --release --features live\n(libpcap-dev is called libpcap-devel by Fedora and \
                              SUSE)";

/// Where and which way packets were seen.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ObservationPoint {
    /// SNMP index of the interface they came in by, 0 when unknown.
    pub ingress_interface: u32,
    /// SNMP index of the interface they leave by, 0 when unknown.
    pub egress_interface: u32,
    /// 0 for ingress, 1 for egress (element 61).
    pub direction: u8,
}

/// Something that frames come from as they are sent.
pub trait FrameSource: Send {
    /// Hands out frames that are there, a bounded number of them; waits for the first one, but no longer than `patience`.
    /// Returns how many there were.
    fn read(&mut self, patience: Duration, visit: impl FnMut(&Frame<'_>, ObservationPoint)) -> usize;

    /// Whether nothing behind the headers of link, network and transport is looked at in frames to come: so that no more need be
    /// kept of them.
    fn keep_headers(&mut self, suffice: bool) {
        let _ = suffice;
    }

    /// How far behind the clock the times of frames may be that are still to come: what the kernel keeps before it hands
    /// it out.
    fn delay(&self) -> Duration;

    /// What was captured so far, and what was not.
    fn counts(&mut self) -> CaptureCounts;

    /// Frames from now on are not wanted any more; those before still are.
    fn stop(&mut self);

    /// Ends the capture; the last counts.
    fn close(&mut self) -> CaptureCounts;
}
