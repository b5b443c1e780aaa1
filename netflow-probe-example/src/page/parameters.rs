//! The parameters of a request's target.

use netflow_codec::Timestamp;

use crate::query::{Filter, Key, Order, Window};

/// What is wrong with a request, for its sender.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Wrong {
    pub(super) message: String,
    /// In a filter, where: line and column.
    pub(super) place: Option<(usize, usize)>,
}

impl Wrong {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), place: None }
    }
}

/// Names and values, decoded.
#[derive(Clone, Debug, Default)]
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Path and parameters of a target.
    pub(super) fn of(target: &str) -> (&str, Self) {
        let (path, rest) = target.split_once('?').unwrap_or((target, ""));
        let pairs = rest.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        });
        (path, Self(pairs.collect()))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// A whole number within bounds.
    pub(super) fn number(&self, name: &str, default: u64, most: u64) -> Result<u64, Wrong> {
        let Some(text) = self.get(name) else { return Ok(default) };
        let number = text.parse::<u64>().ok().filter(|number| *number <= most);
        number.ok_or_else(|| Wrong::new(format!("`{name}` is a number up to {most}, not `{text}`")))
    }

    /// Seconds since 1970.
    pub(super) fn seconds(&self, name: &str) -> Result<Option<u64>, Wrong> {
        // Times in nanoseconds have 64 bits.
        let most = u64::MAX / 1_000_000_000;
        if self.get(name).is_none() { Ok(None) } else { self.number(name, 0, most).map(Some) }
    }

    pub(super) fn is_set(&self, name: &str) -> bool {
        matches!(self.get(name), Some("1" | "true" | "yes"))
    }

    pub(super) fn filter(&self) -> Result<Filter, Wrong> {
        parse_filter(self.get("filter").unwrap_or_default())
    }

    pub(super) fn order(&self, default: Order) -> Result<Order, Wrong> {
        let Some(text) = self.get("order") else { return Ok(default) };
        Order::parse(text)
            .ok_or_else(|| Wrong::new(format!("order `{text}` is unknown; known are {}", Order::NAMES)))
    }

    pub(super) fn keys(&self, default: &str) -> Result<Vec<Key>, Wrong> {
        crate::query::parse_keys(self.get("by").unwrap_or(default)).map_err(Wrong::new)
    }
}

/// Files are not included for somebody who asks from elsewhere.
pub(super) fn parse_filter(text: &str) -> Result<Filter, Wrong> {
    Filter::parse(text).map_err(|error| Wrong {
        message: error.to_string(),
        place: Some((error.place.line, error.place.column)),
    })
}

/// From one second to another, the latter not included.
pub(super) const fn window(from: u64, to: u64) -> Window {
    Window {
        from: Some(Timestamp::from_secs(from)),
        to: Some(Timestamp::from_nanos(to.saturating_mul(1_000_000_000).saturating_sub(1))),
    }
}

/// Undoes the encoding of parameters: `%` with two hexadecimal digits, and `+` for a blank.
fn decoded(text: &str) -> String {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes().iter();
    while let Some(&octet) = rest.next() {
        let digits = rest.as_slice().get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let digits = digits.and_then(|digits| core::str::from_utf8(digits).ok());
        octets.push(match (octet, digits.and_then(|digits| u8::from_str_radix(digits, 16).ok())) {
            (b'%', Some(octet)) => {
                rest.nth(1);
                octet
            }
            (b'+', _) => b' ',
            (octet, _) => octet,
        });
    }
    String::from_utf8_lossy(&octets).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded() {
        let (path, parameters) = Parameters::of("/api/top?filter=src+ip%20%31&n=5&empty=&%zz=%e4&to=x");
        assert_eq!((path, parameters.get("filter")), ("/api/top", Some("src ip 1")));
        assert_eq!((parameters.get("empty"), parameters.get("%zz")), (None, Some("\u{fffd}")));
        assert_eq!((parameters.number("n", 1, 10), parameters.number("m", 1, 10)), (Ok(5), Ok(1)));
        assert!(parameters.number("n", 1, 4).is_err() && parameters.seconds("to").is_err());
        assert_eq!(parameters.seconds("from"), Ok(None));
    }

    #[test]
    fn a_filter_that_is_not_understood_says_where() {
        let wrong = parse_filter("tcp and\nport eighty").unwrap_err();
        assert_eq!(wrong.place, Some((2, 6)));
        assert!(wrong.message.contains("a port"), "{}", wrong.message);
        assert!(parse_filter("@include /etc/passwd").is_err());
    }
}
