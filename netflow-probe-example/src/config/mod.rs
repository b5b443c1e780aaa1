//! What both programs take on their command lines: values, and the configuration file.

mod effective;
mod file;
mod setting;

use core::time::Duration;
use std::{fs, os::unix::fs::MetadataExt, path::Path};

pub use effective::{changed, effective, quoted};
pub use file::{ConfigArgs, ConfigError, Told, arguments, parse};

/// Parses a duration: a whole number and a unit, one of `ms`, `s`, `m`, `h`, `d`.
///
/// ```
/// use std::time::Duration;
/// use netflow_probe_example::config::parse_duration;
///
/// assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
/// assert_eq!(parse_duration("5m"), Ok(Duration::from_secs(300)));
/// assert_eq!(
///     parse_duration("5").unwrap_err().to_string(),
///     "a whole number and a unit expected, one of ms, s, m, h, d, as in 500ms or 5m"
/// );
/// ```
///
/// # Errors
///
/// When the number or the unit is missing or unknown, or the duration is longer than 2^64 milliseconds.
pub fn parse_duration(text: &str) -> Result<Duration, ParseDurationError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let millis: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(ParseDurationError),
    };
    let number: u64 = number.parse().map_err(|_| ParseDurationError)?;
    number.checked_mul(millis).map(Duration::from_millis).ok_or(ParseDurationError)
}

/// A text that is no duration; says which texts are.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a whole number and a unit expected, one of ms, s, m, h, d, as in 500ms or 5m")]
pub struct ParseDurationError;

/// Parses a number of octets: a whole number, with `K`, `M`, `G` or `T` for 2^10, 2^20, 2^30 or 2^40.
///
/// ```
/// use netflow_probe_example::config::parse_octets;
///
/// assert_eq!(parse_octets("100G"), Ok(100 << 30));
/// assert_eq!(parse_octets("512"), Ok(512));
/// assert!(parse_octets("1.5G").is_err());
/// ```
///
/// # Errors
///
/// When the number is missing or unknown, or more than 2^64 octets.
pub fn parse_octets(text: &str) -> Result<u64, ParseOctetsError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "" => 1,
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        "T" => 1 << 40,
        _ => return Err(ParseOctetsError),
    };
    number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor)).ok_or(ParseOctetsError)
}

/// A text that is no number of octets; says which texts are.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a whole number of octets expected, with K, M, G or T behind it if need be, as in 100G")]
pub struct ParseOctetsError;

/// Whether two paths, links followed, lead to the same regular file: writing one would destroy the other.
///
/// A path that leads nowhere, and anything that is not a regular file, is never the same: `/dev/null` can be read
/// and written at once.
///
/// ```
/// use std::path::Path;
/// use netflow_probe_example::config::same_file;
///
/// assert!(same_file(Path::new("Cargo.toml"), Path::new("./src/../Cargo.toml")));
/// assert!(!same_file(Path::new("Cargo.toml"), Path::new("src/lib.rs")));
/// ```
#[must_use]
pub fn same_file(a: &Path, b: &Path) -> bool {
    let identity = |path| {
        let metadata = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        Some((metadata.dev(), metadata.ino()))
    };
    identity(a).is_some_and(|a| identity(b) == Some(a))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_detours_lead_to_the_same_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a");
        let link = directory.path().join("link");
        let hard = directory.path().join("hard");
        fs::write(&file, "a").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        fs::hard_link(&file, &hard).unwrap();
        for other in [&file, &link, &hard, &directory.path().join(".").join("a")] {
            assert!(same_file(&file, other), "{other:?}");
        }
        let twin = directory.path().join("twin");
        fs::write(&twin, "a").unwrap();
        for other in [twin, directory.path().join("absent")] {
            assert!(!same_file(&file, &other), "{other:?}");
        }
        assert!(!same_file(Path::new("/dev/null"), Path::new("/dev/null")));
    }

    #[test]
    fn every_unit_is_known_and_nothing_else_is() {
        assert_eq!(parse_duration("0s"), Ok(Duration::ZERO));
        assert_eq!(parse_duration("2h"), Ok(Duration::from_secs(7_200)));
        assert_eq!(parse_duration("7d"), Ok(Duration::from_secs(604_800)));
        for wrong in ["", "s", "5", "-1s", "1.5s", "5 s", "5S", "5sec", "99999999999999999999s"] {
            assert_eq!(parse_duration(wrong), Err(ParseDurationError), "{wrong:?}");
        }
        assert_eq!(parse_duration("213503982335d"), Err(ParseDurationError));
    }
}
