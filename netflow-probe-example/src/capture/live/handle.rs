//! One open capture: an interface, a direction, a ring of the kernel's.

use std::{io, os::fd::AsFd, os::fd::BorrowedFd};

use netflow_flowcache::Timestamp;
use pcap::{Active, Capture, Error, Linktype, Precision};

use super::{
    LiveConfig,
    fanout::FanoutGroup,
    filter::{filter_of, set_filter},
};
use crate::{
    capture::{CaptureCounts, ObservationPoint},
    pcap::{Frame, LinkType},
};

/// How long the kernel collects frames before it hands them out, unless there are many, in milliseconds.
pub(super) const BLOCK_MILLIS: i32 = 50;

/// Which way packets go, seen from the interface.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Way {
    In,
    Out,
    /// The interface does not tell: `any`, which has cooked headers, and those that are not Linux's own.
    Unknown,
}

/// An open capture.
pub(super) struct Handle {
    capture: Capture<Active>,
    link_type: LinkType,
    point: ObservationPoint,
    /// Frames before this time passed no filter, and went to other members of the group, too.
    since: Timestamp,
    /// What the kernel runs on each frame, and how much of it was asked for.
    filter: String,
    snaplen: u32,
    headers_suffice: bool,
    counts: Counts,
}

/// What libpcap counted when it was last asked: its counters have 32 bits, and wrap.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    received: u32,
    dropped: u32,
    interface_dropped: u32,
    total: CaptureCounts,
    /// Frames read that came before the capture was ready.
    early: u64,
}

impl core::fmt::Debug for Handle {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Handle")
            .field("point", &self.point)
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}

impl Handle {
    /// Opens a capture from `interface`, whose index is `index`.
    pub(super) fn open(
        config: &LiveConfig,
        interface: &str,
        index: u32,
        way: Way,
        group: Option<&FanoutGroup>,
    ) -> Result<Self, String> {
        let inactive = Capture::from_device(interface).map_err(reason)?;
        let mut capture = inactive
            .promisc(config.promiscuous && interface != "any")
            .snaplen(config.snaplen.cast_signed())
            .buffer_size(i32::try_from(config.buffer_size).unwrap_or(i32::MAX))
            .timeout(BLOCK_MILLIS)
            .precision(Precision::Nano)
            .open()
            .map_err(reason)?;
        if interface == "any" {
            // The longer of the cooked headers has the interface; an old libpcap has the shorter one only.
            let _otherwise_the_shorter = capture.set_datalink(Linktype(LinkType::LINUX_SLL2.0.cast_signed()));
        }
        let filter = filter_of(config.filter.as_deref().unwrap_or(""), way);
        set_filter(&mut capture, &filter, config.snaplen, false)?;
        if let Some(group) = group {
            group
                .join(&capture)
                .map_err(|error| format!("cannot share the packets among threads: {error}"))?;
        }
        let since = super::wall_clock();
        let link_type = LinkType(capture.get_datalink().0.cast_unsigned());
        let capture = capture.setnonblock().map_err(reason)?;
        Ok(Self {
            capture,
            link_type: canonical(link_type),
            point: match way {
                Way::In => ObservationPoint { ingress_interface: index, ..ObservationPoint::default() },
                Way::Out => ObservationPoint { egress_interface: index, ingress_interface: 0, direction: 1 },
                Way::Unknown => ObservationPoint::default(),
            },
            since,
            filter,
            snaplen: config.snaplen,
            headers_suffice: false,
            counts: Counts::default(),
        })
    }

    /// Has the kernel keep no more than headers, if these `suffice`, or again as much as was asked for. A filter that is too
    /// long for the kernel with that in it stays as it is: more is kept then than need be.
    pub(super) fn keep_headers(&mut self, suffice: bool) -> Result<(), String> {
        if self.headers_suffice == suffice || self.link_type != LinkType::ETHERNET {
            return Ok(());
        }
        self.headers_suffice = suffice;
        let set = set_filter(&mut self.capture, &self.filter, self.snaplen, suffice);
        if suffice { Ok(()) } else { set }
    }

    /// Hands out frames that are there, `limit` at most, without those after `until`; how many.
    pub(super) fn read(
        &mut self,
        limit: usize,
        until: Timestamp,
        mut visit: impl FnMut(&Frame<'_>, ObservationPoint),
    ) -> Result<usize, String> {
        let Self { capture, link_type, point, since, counts, .. } = self;
        let before = counts.total.read;
        let result = capture.dispatch(Some(limit), |packet| {
            let timestamp = timestamp(packet.header.ts);
            if timestamp < *since {
                counts.early += 1;
                return;
            }
            if timestamp > until {
                return;
            }
            counts.total.read += 1;
            let frame = Frame {
                timestamp,
                link_type: *link_type,
                data: packet.data,
                original_length: packet.header.len,
                interface: point.ingress_interface.max(point.egress_interface),
            };
            visit(&frame, *point);
        });
        let read = usize::try_from(counts.total.read - before).unwrap_or(usize::MAX);
        result.map(|_| read).map_err(reason)
    }

    /// Asks the kernel what it dropped.
    pub(super) fn counts(&mut self) -> CaptureCounts {
        if let Ok(stat) = self.capture.stats() {
            let counts = &mut self.counts;
            let since = |now: u32, before: &mut u32| {
                let new = now.wrapping_sub(*before);
                *before = now;
                u64::from(new)
            };
            counts.total.received += since(stat.received, &mut counts.received);
            counts.total.dropped += since(stat.dropped, &mut counts.dropped);
            counts.total.interface_dropped += since(stat.if_dropped, &mut counts.interface_dropped);
        }
        let mut total = self.counts.total;
        total.received = total.received.saturating_sub(self.counts.early);
        total
    }

    /// The last counts: what was not read by now never will be.
    pub(super) fn close(mut self) -> CaptureCounts {
        let mut counts = self.counts();
        counts.unread = counts.received.saturating_sub(counts.read + counts.dropped);
        counts
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.capture.as_fd()
    }
}

/// libpcap's own numbers of raw IP differ from those in files.
const fn canonical(link_type: LinkType) -> LinkType {
    match link_type {
        LinkType::RAW_BSD | LinkType::RAW_OPENBSD => LinkType::RAW,
        other => other,
    }
}

/// With nanoseconds, as the capture was asked for them, where the type says microseconds.
fn timestamp(time: nix::libc::timeval) -> Timestamp {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_usec).unwrap_or(0);
    Timestamp::from_nanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
}

/// What libpcap said.
pub(super) fn reason(error: Error) -> String {
    match error {
        Error::PcapError(text) if !text.trim().is_empty() => text.trim().to_owned(),
        Error::IoError(kind) => io::Error::from(kind).to_string(),
        other => other.to_string(),
    }
}
