//! One indicator, and how it is written.

use core::net::IpAddr;

use serde::Serialize;

use crate::query::Prefix;

/// An address or prefix, with a port if it names one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Indicator {
    /// The addresses.
    pub prefix: Prefix,
    /// The port at the side of the address.
    pub port: Option<u16>,
    /// The port at the other side.
    pub peer_port: Option<u16>,
    /// The protocol.
    pub protocol: Option<u8>,
    /// As it is written.
    pub text: String,
    /// What the file says of it.
    pub label: String,
}

/// A line or entry that was not understood.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Refused {
    /// The file.
    pub file: String,
    /// The line, from 1 on, or the entry of a JSON file, from 1 on.
    pub line: usize,
    /// What stands there, cut off if it is long.
    pub text: String,
    /// Why it was not understood.
    pub reason: String,
}

/// `FILE:LINE: reason: text`.
impl core::fmt::Display for Refused {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}:{}: {}: {}", self.file, self.line, self.reason, self.text)
    }
}

impl Indicator {
    /// An indicator of this text: `192.0.2.1`, `192.0.2.0/24`, `192.0.2.1:443`, `[2001:db8::1]:443`, `192.0.2.1|443`.
    /// Dots and colons in brackets, as in `192[.]0[.]2[.]1`, which keep people from following a link, are as without.
    #[must_use]
    pub fn parse(text: &str, label: &str) -> Option<Self> {
        let refanged = refang(text);
        let (prefix, port) = parts(&refanged)?;
        Some(Self {
            prefix,
            port,
            peer_port: None,
            protocol: None,
            text: refanged.clone(),
            label: label.to_owned(),
        })
    }
}

fn refang(text: &str) -> String {
    let mut text = text.trim().to_owned();
    for (fanged, plain) in [("[.]", "."), ("(.)", "."), ("{.}", "."), ("[dot]", "."), ("[:]", ":")] {
        if text.contains(fanged) {
            text = text.replace(fanged, plain);
        }
    }
    text
}

fn parts(text: &str) -> Option<(Prefix, Option<u16>)> {
    if let Some(prefix) = parse_prefix(text) {
        return Some((prefix, None));
    }
    let (address, port) = match text.split_once('|') {
        Some((address, port)) => (address, port),
        None => text.rsplit_once(':')?,
    };
    let address = match address.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?,
        // Of 2001:db8::1:443 nobody knows where the address ends.
        None if address.contains(':') && !text.contains('|') => return None,
        None => address,
    };
    let port = port.trim().parse().ok().filter(|port| *port != 0)?;
    Some((parse_prefix(address.trim())?, Some(port)))
}

/// An address, or a prefix, whose host bits need not be zero.
pub(super) fn parse_prefix(text: &str) -> Option<Prefix> {
    match text.split_once('/') {
        None => text.parse::<IpAddr>().ok().map(|address| Prefix::host(address.to_canonical())),
        Some((address, length)) => {
            let length = length.parse().ok()?;
            Prefix::new(address.parse().ok()?, length)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_prefixes_and_ports_are_understood() {
        let cases = [
            ("192.0.2.1", "192.0.2.1", None),
            (" 192[.]0[.]2(.)1 ", "192.0.2.1", None),
            ("192.0.2.77/24", "192.0.2.0/24", None),
            ("192.0.2.1:443", "192.0.2.1", Some(443)),
            ("192.0.2.1|8080", "192.0.2.1", Some(8080)),
            ("2001:db8::1", "2001:db8::1", None),
            ("[2001:db8::1]:443", "2001:db8::1", Some(443)),
            ("2001:db8::1|443", "2001:db8::1", Some(443)),
            ("2001:db8::/32", "2001:db8::/32", None),
            ("::ffff:192.0.2.1", "192.0.2.1", None),
        ];
        for (text, prefix, port) in cases {
            let indicator = Indicator::parse(text, "").unwrap();
            assert_eq!((indicator.prefix.to_string(), indicator.port), (prefix.to_owned(), port), "{text}");
        }
        for wrong in
            ["", "example.net", "192.0.2", "192.0.2.1/33", "192.0.2.1:0", "192.0.2.1:65536", "/8", ":"]
        {
            assert_eq!(Indicator::parse(wrong, ""), None, "{wrong}");
        }
    }
}
