//! Live capture from interfaces, by libpcap (feature `live`).
//!
//! For each interface and direction there is a capture of its own: only so it is known which way a packet went. An
//! interface that goes away is opened again, with growing pauses, until it is back, perhaps with another index.

mod fanout;
mod filter;
mod handle;

use core::{fmt, time::Duration};
use std::{
    fs,
    path::Path,
    sync::Arc,
    thread,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use netflow_flowcache::Timestamp;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use pcap::{Capture, Linktype};

use self::{
    fanout::FanoutGroup,
    handle::{BLOCK_MILLIS, Handle, Way, reason},
};
use super::{CaptureCounts, CaptureEvent, FrameSource, ObservationPoint, Tell, interface_index, interfaces};
use crate::pcap::Frame;

/// Which packets of an interface are captured.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Directions {
    /// Those that come in.
    In,
    /// Those that go out.
    Out,
    /// Both, told apart.
    #[default]
    Both,
}

/// How to capture.
#[derive(Clone, Debug)]
pub struct LiveConfig {
    /// Names of the interfaces; `any` is all of them.
    pub interfaces: Vec<String>,
    /// Whether packets to other stations are captured.
    pub promiscuous: bool,
    /// Which packets to capture, in the syntax of tcpdump.
    pub filter: Option<String>,
    /// Octets of each frame to keep.
    pub snaplen: u32,
    /// Octets of the kernel's buffer, of each interface, direction and thread.
    pub buffer_size: u32,
    /// Which way packets go.
    pub directions: Directions,
    /// Threads that share the packets of all interfaces.
    pub threads: usize,
}

/// A capture could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// libpcap does not take the filter.
    #[error("--filter {filter}: {reason}")]
    Filter {
        /// The filter.
        filter: String,
        /// libpcap's reason.
        reason: String,
    },
    /// There is no interface of that name.
    #[error("--interface {name}: there is none of this name; there are {}", .known.join(", "))]
    NoInterface {
        /// The name.
        name: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// It may not be captured from.
    #[error(
        "--interface {name}: {reason}\ncapturing needs the capability CAP_NET_RAW; to give it to this program: \
         setcap cap_net_raw+ep {program}"
    )]
    Permission {
        /// The name.
        name: String,
        /// libpcap's reason.
        reason: String,
        /// The path of this program.
        program: String,
    },
    /// It cannot be captured from.
    #[error("--interface {name}: {reason}")]
    Open {
        /// The name.
        name: String,
        /// libpcap's reason.
        reason: String,
    },
}

/// Frames read at once from one capture, so that none of the others waits long.
const BATCH: usize = 2_048;
/// The first pause before an interface is opened again, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How far behind the clock frames may be that the kernel still hands out.
const DELAY: Duration = Duration::from_millis(4 * BLOCK_MILLIS.unsigned_abs() as u64);

/// What one thread captures from: its share of all interfaces.
#[derive(Debug)]
pub struct LiveSource {
    config: Arc<LiveConfig>,
    interfaces: Vec<Watched>,
    /// Of captures that have been closed.
    closed: CaptureCounts,
    /// No frame after this is wanted.
    until: Timestamp,
    tell: Teller,
    /// Whether no more than headers is looked at.
    headers_suffice: bool,
    /// Whether each capture had something at the last look.
    ready: Vec<bool>,
}

/// An interface, open or to be opened.
#[derive(Debug)]
struct Watched {
    name: String,
    /// A group for each direction; none where there is one thread.
    groups: Option<[FanoutGroup; 2]>,
    state: State,
    /// Drops told so far.
    told: u64,
}

#[derive(Debug)]
enum State {
    Open(Vec<Handle>),
    Lost { again: Instant, pause: Duration },
}

#[derive(Clone)]
struct Teller(Tell);

impl fmt::Debug for Teller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Teller")
    }
}

/// The time by the system's clock.
pub(crate) fn wall_clock() -> Timestamp {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_nanos(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX))
}

/// Opens all interfaces for all threads. Say to `tell` what should be heard of later.
///
/// # Errors
///
/// When the filter does not compile, or an interface cannot be opened.
pub fn open(config: LiveConfig, tell: &Tell) -> Result<Vec<LiveSource>, LiveError> {
    check_filter(config.filter.as_deref())?;
    let config = Arc::new(config);
    let threads = config.threads.max(1);
    let groups: Vec<Option<[FanoutGroup; 2]>> =
        config.interfaces.iter().map(|_| (threads > 1).then(Default::default)).collect();
    let mut sources = Vec::with_capacity(threads);
    for _ in 0..threads {
        let mut source = LiveSource {
            config: Arc::clone(&config),
            interfaces: Vec::new(),
            closed: CaptureCounts::default(),
            until: Timestamp::MAX,
            tell: Teller(Arc::clone(tell)),
            headers_suffice: false,
            ready: Vec::new(),
        };
        for (name, groups) in config.interfaces.iter().zip(&groups) {
            let handles = open_interface(&config, name, groups.as_ref())
                .map_err(|reason| explain(name.clone(), reason))?;
            let (groups, state) = (groups.clone(), State::Open(handles));
            source.interfaces.push(Watched { name: name.clone(), groups, state, told: 0 });
        }
        sources.push(source);
    }
    Ok(sources)
}

/// Whether libpcap takes a filter, as one for Ethernet.
///
/// # Errors
///
/// libpcap's reason.
pub fn check_filter(filter: Option<&str>) -> Result<(), LiveError> {
    let Some(filter) = filter else { return Ok(()) };
    let failed = |error| LiveError::Filter { filter: filter.to_owned(), reason: reason(error) };
    Capture::dead(Linktype::ETHERNET).and_then(|dead| dead.compile(filter, true)).map(drop).map_err(failed)
}

/// Why an interface cannot be opened, in words that help.
fn explain(name: String, reason: String) -> LiveError {
    let lower = reason.to_lowercase();
    if ["permi", "cap_net"].iter().any(|word| lower.contains(word)) {
        let program = std::env::current_exe()
            .map_or_else(|_| "netflow-exporter".to_owned(), |path| path.display().to_string());
        return LiveError::Permission { name, reason, program };
    }
    if name != "any" && interface_index(&name).is_none() {
        let known = interfaces().unwrap_or_default().into_iter().map(|interface| interface.name).collect();
        return LiveError::NoInterface { name, known };
    }
    LiveError::Open { name, reason }
}

fn open_interface(
    config: &LiveConfig,
    name: &str,
    groups: Option<&[FanoutGroup; 2]>,
) -> Result<Vec<Handle>, String> {
    let index = interface_index(name).unwrap_or(0);
    let ways: &[Way] = match config.directions {
        // The cooked header tells the way.
        _ if name == "any" => &[Way::Unknown],
        // All that goes out comes in again.
        _ if is_loopback(name) => &[Way::In],
        Directions::In => &[Way::In],
        Directions::Out => &[Way::Out],
        Directions::Both => &[Way::In, Way::Out],
    };
    let mut handles = Vec::with_capacity(ways.len());
    for (position, way) in ways.iter().enumerate() {
        let group = groups.and_then(|groups| groups.get(position));
        handles.push(Handle::open(config, name, index, *way, group)?);
    }
    Ok(handles)
}

/// Whether an interface is the loopback interface.
fn is_loopback(name: &str) -> bool {
    const LOOPBACK: &str = "772";
    !name.contains('/')
        && fs::read_to_string(Path::new("/sys/class/net").join(name).join("type"))
            .is_ok_and(|kind| kind.trim() == LOOPBACK)
}

impl Watched {
    /// Reads what is left and closes it; the next attempt to open it is after the first pause.
    fn lose(
        &mut self,
        reason: String,
        until: Timestamp,
        closed: &mut CaptureCounts,
        tell: &Tell,
        mut visit: impl FnMut(&Frame<'_>, ObservationPoint),
    ) {
        let again = Instant::now() + FIRST_PAUSE;
        let state = core::mem::replace(&mut self.state, State::Lost { again, pause: FIRST_PAUSE });
        if let State::Open(mut handles) = state {
            // The kernel still hands out what it had collected. That it says again that the interface is gone is no news.
            let end = Instant::now() + DELAY;
            while Instant::now() < end {
                let read =
                    handles.iter_mut().map(|handle| handle.read(BATCH, until, &mut visit).unwrap_or(0));
                if read.sum::<usize>() == 0 {
                    thread::sleep(DELAY / 20);
                }
            }
            for handle in handles {
                *closed += handle.close();
            }
        }
        self.told = 0;
        tell(CaptureEvent::Lost { interface: self.name.clone(), reason });
    }

    /// Tries to open it if it is time to.
    fn reopen(&mut self, config: &LiveConfig, closed: &mut CaptureCounts, tell: &Tell) {
        let State::Lost { again, pause } = &mut self.state else { return };
        if Instant::now() < *again {
            return;
        }
        match open_interface(config, &self.name, self.groups.as_ref()) {
            Ok(handles) => {
                self.state = State::Open(handles);
                closed.reopened += 1;
                let index = interface_index(&self.name).unwrap_or(0);
                tell(CaptureEvent::Back { interface: self.name.clone(), index });
            }
            Err(reason) => {
                let doubled = (*pause * 2).min(LONGEST_PAUSE);
                // Long pauses are told, each once; the first ones are too short to be worth it.
                if doubled != *pause && doubled > Duration::from_secs(1) {
                    let interface = self.name.clone();
                    tell(CaptureEvent::StillLost { interface, reason, retry: doubled });
                }
                *pause = doubled;
                *again = Instant::now() + doubled;
            }
        }
    }
}

impl LiveSource {
    /// Waits until a capture has something to say, and notes which.
    fn wait(&mut self, patience: Duration) {
        self.ready.clear();
        let mut patience = patience;
        let mut descriptors: Vec<PollFd<'_>> = Vec::new();
        for watched in &self.interfaces {
            match &watched.state {
                State::Open(handles) => descriptors
                    .extend(handles.iter().map(|handle| PollFd::new(handle.descriptor(), PollFlags::POLLIN))),
                State::Lost { again, .. } => {
                    patience = patience.min(again.saturating_duration_since(Instant::now()));
                }
            }
        }
        if descriptors.is_empty() {
            thread::sleep(patience);
            return;
        }
        let millis = u16::try_from(patience.as_millis().max(1)).unwrap_or(u16::MAX);
        // Interrupted by a signal: as if nothing had come.
        let _woken = poll(&mut descriptors, PollTimeout::from(millis));
        self.ready.extend(descriptors.iter().map(|descriptor| descriptor.any().unwrap_or(true)));
    }

    fn tell_drops(&mut self, position: usize, dropped: u64) {
        let Some(watched) = self.interfaces.get_mut(position) else { return };
        let frames = dropped.saturating_sub(watched.told);
        if frames > 0 {
            watched.told = dropped;
            (self.tell.0)(CaptureEvent::Dropped { interface: watched.name.clone(), frames });
        }
    }
}

impl FrameSource for LiveSource {
    fn read(&mut self, patience: Duration, mut visit: impl FnMut(&Frame<'_>, ObservationPoint)) -> usize {
        self.wait(patience);
        let until = self.until;
        let mut frames = 0;
        let mut ready = self.ready.iter().copied();
        for watched in &mut self.interfaces {
            let mut failure = None;
            if let State::Open(handles) = &mut watched.state {
                for handle in handles {
                    let is_ready = ready.next().unwrap_or(false);
                    let kept = handle.keep_headers(self.headers_suffice);
                    match kept
                        .and_then(|()| if is_ready { handle.read(BATCH, until, &mut visit) } else { Ok(0) })
                    {
                        Ok(read) => frames += read,
                        Err(reason) => failure = Some(reason),
                    }
                }
            }
            match failure {
                Some(reason) => watched.lose(reason, until, &mut self.closed, &self.tell.0, &mut visit),
                None => watched.reopen(&self.config, &mut self.closed, &self.tell.0),
            }
        }
        frames
    }

    fn keep_headers(&mut self, suffice: bool) {
        self.headers_suffice = suffice;
    }

    fn delay(&self) -> Duration {
        DELAY
    }

    fn stop(&mut self) {
        self.until = wall_clock();
    }

    fn close(&mut self) -> CaptureCounts {
        for watched in &mut self.interfaces {
            let lost = State::Lost { again: Instant::now() + LONGEST_PAUSE, pause: LONGEST_PAUSE };
            if let State::Open(handles) = core::mem::replace(&mut watched.state, lost) {
                for handle in handles {
                    self.closed += handle.close();
                }
            }
        }
        self.closed
    }

    fn counts(&mut self) -> CaptureCounts {
        let mut total = self.closed;
        for position in 0..self.interfaces.len() {
            let mut dropped = 0;
            if let Some(Watched { state: State::Open(handles), .. }) = self.interfaces.get_mut(position) {
                for handle in handles {
                    let counts = handle.counts();
                    dropped += counts.dropped;
                    total += counts;
                }
            }
            self.tell_drops(position, dropped);
        }
        total
    }
}
