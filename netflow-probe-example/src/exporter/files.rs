//! Metering and exporting capture files.

use core::{fmt, ops::ControlFlow, time::Duration};
use std::{io::Read, path::Path, thread, time::Instant};

use netflow_flowcache::Timestamp as PacketTime;

use super::Exporter;
use crate::{
    capture::{FrameFilter, Replay, Speed},
    pcap::{CaptureError, CaptureFile},
    send::SendError,
};

impl Exporter {
    /// Meters and exports a capture file.
    ///
    /// `watch` is called now and then with the octets of it read so far, and can stop the reading.
    ///
    /// # Errors
    ///
    /// When the file cannot be read to its end (what was read before is metered), or a destination fails.
    pub fn read_file(
        &mut self,
        path: &Path,
        watch: impl FnMut(&mut Self, u64) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, ExportError> {
        let name = path.display().to_string();
        self.read_capture(CaptureFile::open(path), &name, watch)
    }

    /// As [`Self::read_file`], from anywhere; messages call it `name`.
    ///
    /// # Errors
    ///
    /// As [`Self::read_file`].
    pub fn read_from(
        &mut self,
        source: impl Read,
        name: &str,
        watch: impl FnMut(&mut Self, u64) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, ExportError> {
        self.read_capture(CaptureFile::new(source), name, watch)
    }

    /// Has the frames of files come so fast from now on.
    pub const fn set_speed(&mut self, speed: Speed) {
        self.replay = Replay::new(speed);
    }

    /// Has only frames of files metered that pass a filter.
    pub fn set_filter(&mut self, filter: FrameFilter) {
        self.filter = Some(filter);
    }

    fn read_capture<R: Read>(
        &mut self,
        file: Result<CaptureFile<R>, CaptureError>,
        name: &str,
        mut watch: impl FnMut(&mut Self, u64) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, ExportError> {
        let mut faults = Faults::default();
        let failed = |faults: Faults| ExportError::Capture { path: name.to_owned(), faults };
        let mut file = match file {
            Ok(file) => file,
            Err(error) => {
                faults.add(error, None);
                return Err(failed(faults));
            }
        };
        let mut frames = 0u32;
        loop {
            // Who replays a file tells meanwhile how far it has come.
            let octets = if self.replay.is_some() { file.octets_read() } else { 0 };
            match file.next_frame() {
                Ok(Some(frame)) => {
                    if self.filter.as_mut().is_some_and(|filter| !filter.accepts(&frame)) {
                        continue;
                    }
                    if self.replay.is_none() {
                        self.gather_frame(&frame)?;
                    } else if self.await_turn(frame.timestamp, octets, &mut watch)?.is_break() {
                        break;
                    } else {
                        // Each frame is wanted at its time.
                        self.handle_frame(&frame)?;
                    }
                }
                Ok(None) => {
                    self.meter_gathered()?;
                    return if faults.is_empty() {
                        Ok(ControlFlow::Continue(()))
                    } else {
                        Err(failed(faults))
                    };
                }
                Err(error) => {
                    // Nothing more can be read if this fails, too: the first error has said why.
                    let skipped = file.resume().unwrap_or(None);
                    faults.add(error, skipped);
                }
            }
            frames = frames.wrapping_add(1);
            if frames.is_multiple_of(4_096) {
                self.meter_gathered()?;
                if watch(self, file.octets_read()).is_break() {
                    break;
                }
            }
        }
        if faults.is_empty() { Ok(ControlFlow::Break(())) } else { Err(failed(faults)) }
    }

    /// Waits until a frame is due, if frames are, and meanwhile exports by the clock of the capture.
    #[inline(never)]
    fn await_turn(
        &mut self,
        time: PacketTime,
        octets: u64,
        watch: &mut impl FnMut(&mut Self, u64) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, ExportError> {
        const LONGEST: Duration = Duration::from_millis(50);
        while let Some(replay) = &mut self.replay {
            let wait = replay.wait(time, Instant::now());
            if wait.is_zero() {
                break;
            }
            thread::sleep(wait.min(LONGEST));
            let now = replay.time(Instant::now());
            if let Some(now) = now.filter(|now| *now < time && self.is_open) {
                self.meter.handle_timeout(now);
                self.handle_time(now)?;
            }
            if watch(self, octets).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// An export went wrong.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A capture file is damaged.
    #[error("{path}: {faults}")]
    Capture {
        /// The file.
        path: String,
        /// What is wrong with it.
        faults: Faults,
    },
    /// A destination failed.
    #[error(transparent)]
    Send(#[from] SendError),
}

/// What is wrong with a capture file: the first few places, and how many there are.
#[derive(Debug, Default)]
pub struct Faults {
    first: Vec<(CaptureError, Option<u64>)>,
    count: u64,
}

impl Faults {
    /// Places that are told one by one.
    const TOLD: usize = 5;

    /// One more place; `skipped`: octets left out there, `None` if nothing behind it could be read.
    fn add(&mut self, error: CaptureError, skipped: Option<u64>) {
        self.count += 1;
        if self.first.len() < Self::TOLD {
            self.first.push((error, skipped));
        }
    }

    const fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (error, skipped)) in self.first.iter().enumerate() {
            let separator = if number > 0 { "; " } else { "" };
            write!(f, "{separator}{error}")?;
            if let Some(octets) = skipped {
                write!(f, " (went on {octets} octets later)")?;
            }
        }
        match self.count - self.first.len() as u64 {
            0 => Ok(()),
            more => write!(f, "; and {more} places more"),
        }
    }
}
