//! Indicators of STIX 2.1: patterns over `ipv4-addr`, `ipv6-addr` and `network-traffic`.
//!
//! ```text
//! pattern    := observation { "OR" observation }
//! observation:= "[" any "]" | "(" pattern ")"
//! any        := all { "OR" all }         all := test { "AND" test }
//! test       := path op literal | path "IN" "(" literals ")" | "(" any ")"
//! ```
//!
//! What joins observations otherwise (`AND`, `FOLLOWEDBY`), negates or qualifies them cannot be said of one flow: such
//! patterns are refused, not guessed at.

use core::{iter::Peekable, str::Chars};

use serde_json::Value;

use super::{
    indicator::{Indicator, parse_prefix},
    lookup::Indicators,
};
use crate::{flow::protocol_number, query::Prefix};

/// Alternatives of one pattern, at most.
const ALTERNATIVES: usize = 10_000;
/// Parentheses within one another, at most.
const DEPTH: usize = 32;

/// Whether a document is a bundle, or an object, of STIX.
pub(super) fn is_stix(json: &Value) -> bool {
    let is_object = |json: &Value| json.get("type").is_some_and(Value::is_string);
    is_object(json)
        || json.get("objects").is_some_and(Value::is_array)
        || json.as_array().is_some_and(|list| list.iter().any(is_object))
}

/// Adds what its indicators name.
pub(super) fn parse(name: &str, json: &Value, indicators: &mut Indicators) {
    let one = core::slice::from_ref(json);
    let objects = json.get("objects").and_then(Value::as_array).or_else(|| json.as_array());
    for (entry, object) in (1..).zip(objects.map_or(one, Vec::as_slice)) {
        let text = |member: &str| object.get(member).and_then(Value::as_str).unwrap_or_default();
        let is_revoked = object.get("revoked").and_then(Value::as_bool).unwrap_or(false);
        let is_other_pattern = !matches!(text("pattern_type"), "" | "stix");
        if text("type") != "indicator" || is_revoked || is_other_pattern {
            indicators.skip();
            continue;
        }
        let label = if text("name").is_empty() { text("description") } else { text("name") };
        let label = if label.is_empty() { text("id") } else { label };
        match Parser::new(text("pattern")).pattern() {
            Ok(alternatives) => {
                for tests in alternatives {
                    match indicator(&tests, label) {
                        Ok(indicator) => indicators.push(indicator),
                        // Files, names: of no concern here.
                        Err(None) => indicators.skip(),
                        Err(Some(reason)) => indicators.refuse(name, entry, text("pattern"), reason),
                    }
                }
            }
            Err(reason) => indicators.refuse(name, entry, text("pattern"), &reason),
        }
    }
}

/// `path = literal`.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Test {
    path: String,
    literal: String,
}

/// The indicator that tests which must hold together stand for; `None` when they are not about flows.
fn indicator(tests: &[Test], label: &str) -> Result<Indicator, Option<&'static str>> {
    let mut addresses: Vec<(Side, Prefix, &str)> = Vec::new();
    let mut ports: Vec<(Side, u16)> = Vec::new();
    let mut protocol = None;
    for Test { path, literal } in tests {
        let path = path.as_str();
        match path {
            "ipv4-addr:value" | "ipv6-addr:value" => {
                addresses.push((Side::Any, parse_prefix(literal).ok_or(Some("no address"))?, literal));
            }
            "network-traffic:src_ref.value" => {
                addresses.push((Side::Source, parse_prefix(literal).ok_or(Some("no address"))?, literal));
            }
            "network-traffic:dst_ref.value" => {
                addresses.push((
                    Side::Destination,
                    parse_prefix(literal).ok_or(Some("no address"))?,
                    literal,
                ));
            }
            "network-traffic:src_ref.type" | "network-traffic:dst_ref.type" if literal.ends_with("-addr") => {
            }
            "network-traffic:src_port" => {
                ports.push((Side::Source, literal.parse().map_err(|_| Some("no port"))?));
            }

            "network-traffic:dst_port" => {
                ports.push((Side::Destination, literal.parse().map_err(|_| Some("no port"))?));
            }
            _ if path.starts_with("network-traffic:protocols[") => {
                let is_of_ip = matches!(literal.as_str(), "ipv4" | "ipv6" | "ip");
                match protocol_number(literal) {
                    Some(number) if !is_of_ip => protocol = Some(number),
                    // What is said in an application is not in a flow.
                    _ => {}
                }
            }
            _ if path.starts_with("network-traffic:") || path.starts_with("ipv") => {
                return Err(Some("a property that flows do not have"));
            }
            _ => return Err(None),
        }
    }
    let [(side, prefix, text)] = addresses.as_slice() else {
        return Err(Some(if addresses.is_empty() { "no address" } else { "more than one address" }));
    };
    let mut indicator = Indicator {
        prefix: *prefix,
        port: None,
        peer_port: None,
        protocol,
        text: (*text).to_owned(),
        label: label.to_owned(),
    };
    for (port_side, port) in ports {
        // An address without a side is the remote one: its port is the destination's.
        let own = if *side == Side::Any { port_side == Side::Destination } else { port_side == *side };
        if own {
            indicator.port = Some(port);
            let is_v6 = prefix.network().is_ipv6();
            indicator.text = if is_v6 { format!("[{text}]:{port}") } else { format!("{text}:{port}") };
        } else {
            indicator.peer_port = Some(port);
        }
    }
    Ok(indicator)
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Side {
    Any,
    Source,
    Destination,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Token {
    /// `[`, `]`, `(`, `)`, `,`, `=` and other signs.
    Sign(char),
    /// A keyword, a number or an object path.
    Word(String),
    /// What stands between apostrophes.
    Literal(String),
}

struct Parser<'t> {
    characters: Peekable<Chars<'t>>,
    next: Option<Token>,
    depth: usize,
}

type Alternatives = Vec<Vec<Test>>;

impl<'t> Parser<'t> {
    fn new(text: &'t str) -> Self {
        let mut parser = Self { characters: text.chars().peekable(), next: None, depth: 0 };
        parser.advance();
        parser
    }

    fn pattern(mut self) -> Result<Alternatives, String> {
        let alternatives = self.observations()?;
        match self.next.take() {
            None => Ok(alternatives),
            Some(Token::Word(word)) => {
                Err(format!("`{word}` between or behind observations is not understood"))
            }
            Some(token) => Err(unexpected(Some(&token), "the end")),
        }
    }

    fn observations(&mut self) -> Result<Alternatives, String> {
        let mut all = self.observation()?;
        while self.takes_word("OR") {
            all.extend(self.observation()?);
            bounded(&all)?;
        }
        Ok(all)
    }

    fn observation(&mut self) -> Result<Alternatives, String> {
        if self.takes_sign('[') {
            let tests = self.any()?;
            return if self.takes_sign(']') { Ok(tests) } else { Err(unexpected(self.next.as_ref(), "]")) };
        }
        if self.takes_sign('(') {
            return self.nested(Self::observations);
        }
        Err(unexpected(self.next.as_ref(), "["))
    }

    /// What stands behind an opened parenthesis, which it closes.
    fn nested(
        &mut self,
        inner: fn(&mut Self) -> Result<Alternatives, String>,
    ) -> Result<Alternatives, String> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err("too many parentheses within one another".to_owned());
        }
        let inner = inner(self)?;
        self.depth -= 1;
        if self.takes_sign(')') { Ok(inner) } else { Err(unexpected(self.next.as_ref(), ")")) }
    }

    fn any(&mut self) -> Result<Alternatives, String> {
        let mut all = self.all()?;
        while self.takes_word("OR") {
            all.extend(self.all()?);
            bounded(&all)?;
        }
        Ok(all)
    }

    fn all(&mut self) -> Result<Alternatives, String> {
        let mut left = self.test()?;
        while self.takes_word("AND") {
            let right = self.test()?;
            if left.len().saturating_mul(right.len()) > ALTERNATIVES {
                return Err("too many alternatives".to_owned());
            }
            left = left
                .iter()
                .flat_map(|left| right.iter().map(move |right| [left.as_slice(), right].concat()))
                .collect();
        }
        Ok(left)
    }

    fn test(&mut self) -> Result<Alternatives, String> {
        if self.takes_sign('(') {
            return self.nested(Self::any);
        }
        let path = match self.take() {
            Some(Token::Word(path)) if path.contains(':') => path,
            other => return Err(unexpected(other.as_ref(), "an object path")),
        };
        match self.take() {
            Some(Token::Sign('=')) => Ok(vec![vec![Test { path, literal: self.literal()? }]]),
            Some(Token::Word(word)) if word == "ISSUBSET" => {
                Ok(vec![vec![Test { path, literal: self.literal()? }]])
            }
            Some(Token::Word(word)) if word == "IN" => self.list(&path),
            Some(Token::Word(word)) => Err(format!("the comparison `{word}` is not understood")),
            other => Err(unexpected(other.as_ref(), "=, IN or ISSUBSET")),
        }
    }

    fn list(&mut self, path: &str) -> Result<Alternatives, String> {
        if !self.takes_sign('(') {
            return Err(unexpected(self.next.as_ref(), "("));
        }
        let mut all = Vec::new();
        loop {
            all.push(vec![Test { path: path.to_owned(), literal: self.literal()? }]);
            bounded(&all)?;
            if self.takes_sign(')') {
                return Ok(all);
            }
            if !self.takes_sign(',') {
                return Err(unexpected(self.next.as_ref(), ", or )"));
            }
        }
    }

    fn literal(&mut self) -> Result<String, String> {
        match self.take() {
            Some(Token::Literal(literal)) => Ok(literal),
            Some(Token::Word(number)) if number.bytes().all(|octet| octet.is_ascii_digit()) => Ok(number),
            other => Err(unexpected(other.as_ref(), "a value")),
        }
    }

    fn takes_sign(&mut self, sign: char) -> bool {
        let is_it = self.next == Some(Token::Sign(sign));
        if is_it {
            self.advance();
        }
        is_it
    }

    fn takes_word(&mut self, word: &str) -> bool {
        let is_it = matches!(&self.next, Some(Token::Word(next)) if next == word);
        if is_it {
            self.advance();
        }
        is_it
    }

    fn take(&mut self) -> Option<Token> {
        let token = self.next.take();
        self.advance();
        token
    }

    fn advance(&mut self) {
        while self.characters.next_if(|character| character.is_whitespace()).is_some() {}
        self.next = self.characters.next().map(|character| match character {
            '\'' => Token::Literal(self.quoted()),
            character if character.is_alphanumeric() => {
                let mut word = String::from(character);
                // An index of a list belongs to the path: protocols[0], protocols[*].
                let mut inside = false;
                while let Some(next) = self.characters.next_if(|next| {
                    let is_index = *next == '[' || inside;
                    next.is_alphanumeric()
                        || matches!(next, ':' | '.' | '_' | '-' | '*')
                        || is_index && !next.is_whitespace()
                }) {
                    inside = next == '[' || inside && next != ']';
                    word.push(next);
                }
                Token::Word(word)
            }
            sign => Token::Sign(sign),
        });
    }

    fn quoted(&mut self) -> String {
        let mut text = String::new();
        while let Some(character) = self.characters.next() {
            match character {
                '\'' => break,
                '\\' => text.extend(self.characters.next()),
                other => text.push(other),
            }
        }
        text
    }
}

fn bounded(alternatives: &Alternatives) -> Result<(), String> {
    if alternatives.len() > ALTERNATIVES { Err("too many alternatives".to_owned()) } else { Ok(()) }
}

fn unexpected(token: Option<&Token>, expected: &str) -> String {
    match token {
        None => format!("the pattern ends where {expected} is expected"),
        Some(Token::Sign(sign)) => format!("`{sign}` where {expected} is expected"),
        Some(Token::Word(word) | Token::Literal(word)) => {
            let word: String = word.chars().take(40).collect();
            format!("`{word}` where {expected} is expected")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(patterns: &[&str]) -> (Vec<String>, Vec<(usize, String)>, u64) {
        let objects: Vec<Value> = patterns
            .iter()
            .map(|pattern| serde_json::json!({"type": "indicator", "name": "x", "pattern_type": "stix", "pattern": pattern}))
            .collect();
        let bundle = serde_json::json!({"type": "bundle", "objects": objects});
        assert!(is_stix(&bundle));
        let mut indicators = Indicators::default();
        parse("bundle", &bundle, &mut indicators);
        let all = (0..).map_while(|number| indicators.get(number));
        let all = all.map(|one| match (one.peer_port, one.protocol) {
            (None, None) => one.text.clone(),
            (peer, protocol) => format!("{} {peer:?} {protocol:?}", one.text),
        });
        let refused = indicators.refused().iter().map(|one| (one.line, one.reason.clone())).collect();
        (all.collect(), refused, indicators.other_entries())
    }

    #[test]
    fn patterns_over_addresses_and_traffic_are_understood() {
        let (all, refused, other) = read(&[
            "[ipv4-addr:value = '198.51.100.1']",
            "[ipv4-addr:value = '198.51.100.0/24' OR ipv6-addr:value = '2001:db8::/32']",
            "[ipv4-addr:value ISSUBSET '203.0.113.0/24'] OR [ipv4-addr:value IN ('192.0.2.1', '192.0.2.2')]",
            "[network-traffic:dst_ref.type = 'ipv4-addr' AND network-traffic:dst_ref.value = '192.0.2.3' AND network-traffic:dst_port = 443]",
            "[network-traffic:src_ref.value = '192.0.2.4' AND network-traffic:dst_port = 22 AND network-traffic:protocols[*] = 'tcp']",
            "[(ipv6-addr:value = '2001:db8::5') AND (network-traffic:dst_port = 1 OR network-traffic:dst_port = 2)]",
            "[file:hashes.'SHA-256' = 'aec070645fe53ee3b3763059376134f058cc337247c978add178b6ccdfb0019f']",
            "[domain-name:value = 'example.net']",
        ]);
        let expected = [
            "198.51.100.1",
            "198.51.100.0/24",
            "2001:db8::/32",
            "203.0.113.0/24",
            "192.0.2.1",
            "192.0.2.2",
            "192.0.2.3:443",
            "192.0.2.4 Some(22) Some(6)",
            "[2001:db8::5]:1",
            "[2001:db8::5]:2",
        ];
        assert_eq!(all, expected);
        // The apostrophes within a path of files are not worth a grammar: nothing there concerns flows.
        assert_eq!((refused.iter().map(|(entry, _)| *entry).collect::<Vec<_>>(), other), (vec![7], 1));
    }

    #[test]
    fn what_one_flow_cannot_show_is_refused_with_a_reason() {
        let (all, refused, _) = read(&[
            "[ipv4-addr:value = '192.0.2.1'] AND [ipv4-addr:value = '192.0.2.2']",
            "[ipv4-addr:value = '192.0.2.1'] FOLLOWEDBY [ipv4-addr:value = '192.0.2.2']",
            "[ipv4-addr:value = '192.0.2.1'] WITHIN 5 SECONDS",
            "[ipv4-addr:value != '192.0.2.1']",
            "[ipv4-addr:value LIKE '192.%']",
            "[NOT ipv4-addr:value = '192.0.2.1']",
            "[ipv4-addr:value = 'example']",
            "[network-traffic:dst_port = 443]",
            "[network-traffic:src_byte_count = 443]",
            "[ipv4-addr:value = '192.0.2.1'",
            "",
        ]);
        assert!(all.is_empty(), "{all:?}");
        let reasons: Vec<&str> = refused.iter().map(|(_, reason)| reason.as_str()).collect();
        assert_eq!(
            reasons,
            [
                "`AND` between or behind observations is not understood",
                "`FOLLOWEDBY` between or behind observations is not understood",
                "`WITHIN` between or behind observations is not understood",
                "`!` where =, IN or ISSUBSET is expected",
                "the comparison `LIKE` is not understood",
                "`NOT` where an object path is expected",
                "no address",
                "no address",
                "a property that flows do not have",
                "the pattern ends where ] is expected",
                "the pattern ends where [ is expected",
            ]
        );
    }

    #[test]
    fn hostile_patterns_end() {
        let nested = format!("[{}", "(".repeat(100_000));
        let product = format!("[{}]", vec!["(a:b = 1 OR a:b = 2)"; 40].join(" AND "));
        let (all, refused, _) = read(&[&nested, &product]);
        assert_eq!((all.len(), refused.len()), (0, 2));
        assert_eq!(refused[1].1, "too many alternatives");
    }
}
