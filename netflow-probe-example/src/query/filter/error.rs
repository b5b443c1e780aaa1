//! What is wrong with a filter, and where.

use core::fmt;

/// Where a token stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Place {
    /// The file that was included; `None` for the filter itself.
    pub file: Option<String>,
    /// The line, from 1.
    pub line: usize,
    /// The character in its line, from 1.
    pub column: usize,
}

/// A filter that is not understood.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{}column {}: {what}", Prefixed(.place), .place.column)]
#[non_exhaustive]
pub struct FilterError {
    /// Where.
    pub place: Place,
    /// What stands there, and what was expected.
    pub what: String,
}

/// File and line, where they say something.
struct Prefixed<'a>(&'a Place);

impl fmt::Display for Prefixed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.file {
            Some(file) => write!(f, "{file}, line {}, ", self.0.line),
            None if self.0.line > 1 => write!(f, "line {}, ", self.0.line),
            None => Ok(()),
        }
    }
}

impl FilterError {
    pub(super) fn new(place: &Place, what: impl Into<String>) -> Self {
        Self { place: place.clone(), what: what.into() }
    }

    /// The error with the line it is about, when that is a line of the filter itself, and a mark below it.
    #[must_use]
    pub fn render(&self, filter: &str) -> String {
        let line = filter.lines().nth(self.place.line.saturating_sub(1));
        match (&self.place.file, line) {
            (None, Some(line)) => {
                let before: String = line
                    .chars()
                    .chain(core::iter::repeat(' '))
                    .take(self.place.column.saturating_sub(1))
                    .map(|char| if char == '\t' { '\t' } else { ' ' })
                    .collect();
                format!("{self}\n  {line}\n  {before}^")
            }
            _ => self.to_string(),
        }
    }
}
