//! What a capture tells while it goes on.

use core::{fmt, time::Duration};
use std::sync::Arc;

/// Something that an operator should hear of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CaptureEvent {
    /// An interface cannot be captured from any more; it is opened again and again until it is back.
    Lost {
        /// Its name.
        interface: String,
        /// What was said of it.
        reason: String,
    },
    /// It could not be opened again.
    StillLost {
        /// Its name.
        interface: String,
        /// What was said of it.
        reason: String,
        /// How long until the next attempt.
        retry: Duration,
    },
    /// It is captured from again.
    Back {
        /// Its name.
        interface: String,
        /// Its SNMP index, which is another one if it was made anew.
        index: u32,
    },
    /// The kernel dropped frames for lack of room in its buffer.
    Dropped {
        /// Which interface they were of.
        interface: String,
        /// How many since this was told last.
        frames: u64,
    },
}

/// Who is told.
pub type Tell = Arc<dyn Fn(CaptureEvent) + Send + Sync>;

impl fmt::Display for CaptureEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost { interface, reason } => {
                write!(f, "{interface}: lost ({reason}); waiting for it to come back")
            }
            Self::StillLost { interface, reason, retry } => {
                write!(f, "{interface}: not back yet ({reason}); trying again in {} ms", retry.as_millis())
            }
            Self::Back { interface, index } => write!(f, "{interface}: captured again, with index {index}"),
            Self::Dropped { interface, frames } => {
                write!(
                    f,
                    "{interface}: the kernel dropped {frames} packets: --buffer-size or --capture-threads helps"
                )
            }
        }
    }
}
