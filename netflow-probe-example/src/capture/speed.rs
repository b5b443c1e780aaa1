//! How fast files are read.

use core::{fmt, str::FromStr, time::Duration};
use std::time::Instant;

use netflow_flowcache::Timestamp;

/// How fast the frames of files come.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Speed {
    /// As fast as they can be read.
    #[default]
    Max,
    /// So many times as fast as they were captured.
    Times(f64),
}

impl FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "max" {
            return Ok(Self::Max);
        }
        let number = text.strip_suffix('x').unwrap_or(text);
        match number.parse() {
            Ok(times) if (0.001..=1_000_000.0).contains(&times) => Ok(Self::Times(times)),
            _ => {
                Err("accepted are max, 1 for the speed of the capture, or another factor of 0.001 to 1000000"
                    .to_owned())
            }
        }
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Max => f.write_str("max"),
            Self::Times(times) => write!(f, "{times}"),
        }
    }
}

/// When the frames of files are due.
#[derive(Clone, Copy, Debug)]
pub struct Replay {
    times: f64,
    /// When the first frame came, and its time.
    first: Option<(Instant, Timestamp)>,
}

impl Replay {
    /// A replay that has not begun; `None` if frames are not to wait.
    #[must_use]
    pub const fn new(speed: Speed) -> Option<Self> {
        match speed {
            Speed::Max => None,
            Speed::Times(times) => Some(Self { times, first: None }),
        }
    }

    /// How long a frame of this time has to wait still.
    pub fn wait(&mut self, time: Timestamp, now: Instant) -> Duration {
        let (start, first) = *self.first.get_or_insert((now, time));
        if time < first {
            // An older capture behind a newer one: it begins now.
            self.first = Some((now, time));
            return Duration::ZERO;
        }
        let since = Duration::from_nanos(time.as_nanos() - first.as_nanos());
        // At most 1000 times 584 years.
        let due = Duration::try_from_secs_f64(since.as_secs_f64() / self.times).unwrap_or(Duration::MAX);
        due.saturating_sub(now.saturating_duration_since(start))
    }

    /// The time by the clock of the capture.
    #[must_use]
    pub fn time(&self, now: Instant) -> Option<Timestamp> {
        let (start, first) = self.first?;
        let passed = now.saturating_duration_since(start).as_secs_f64() * self.times;
        let passed = Duration::try_from_secs_f64(passed).unwrap_or(Duration::MAX);
        let passed = u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX);
        Some(Timestamp::from_nanos(first.as_nanos().saturating_add(passed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_wait_for_their_time() {
        let start = Instant::now();
        let after = |millis| start + Duration::from_millis(millis);
        let mut replay = Replay::new(Speed::Times(2.0)).unwrap();
        assert_eq!(replay.wait(Timestamp::from_secs(100), start), Duration::ZERO);
        assert_eq!(replay.wait(Timestamp::from_secs(103), after(500)), Duration::from_secs(1));
        assert_eq!(replay.wait(Timestamp::from_secs(103), after(1_600)), Duration::ZERO);
        assert_eq!(replay.time(after(1_000)), Some(Timestamp::from_secs(102)));
        // The next file is of the day before.
        assert_eq!(replay.wait(Timestamp::from_secs(50), after(2_000)), Duration::ZERO);
        assert_eq!(replay.wait(Timestamp::from_secs(52), after(2_000)), Duration::from_secs(1));
        assert!(replay.wait(Timestamp::MAX, after(2_000)) > Duration::from_secs(1 << 33));
    }

    #[test]
    fn speeds_are_read_and_printed() {
        for text in ["max", "1", "0.5", "100"] {
            assert_eq!(text.parse::<Speed>().unwrap().to_string(), text);
        }
        assert_eq!("2x".parse(), Ok(Speed::Times(2.0)));
        for text in ["0", "-1", "fast", "1e9", "NaN", ""] {
            assert!(text.parse::<Speed>().unwrap_err().contains("max"), "{text}");
        }
    }
}
