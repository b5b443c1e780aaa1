//! From tokens to an expression: `or` binds loosest, then `and`, then `not`.

use super::{
    address_set::Prefix,
    error::{FilterError, Place},
    expression::{Comparison, Condition, Expression, Subject, Test},
    lexer::Token,
    words::{self, Kind, Sides},
};
use crate::flow::protocol_number;

/// Parentheses and negations within one another, at most.
const DEPTH: usize = 200;

pub(super) fn parse(tokens: Vec<Token>, end: Place) -> Result<Expression, FilterError> {
    let mut parser = Parser { tokens, next: 0, end, depth: 0 };
    if parser.tokens.is_empty() {
        return Ok(Expression::Any);
    }
    let expression = parser.either()?;
    match parser.peek() {
        None => Ok(expression),
        Some(_) => Err(parser.wrong("`and`, `or` or the end of the filter")),
    }
}

struct Parser {
    tokens: Vec<Token>,
    next: usize,
    end: Place,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> Option<&str> {
        self.tokens.get(self.next).map(|token| token.text.as_str())
    }

    /// Whether the next token is one of these words; if so it is taken.
    fn take(&mut self, words: &[&str]) -> bool {
        let found = self.peek().is_some_and(|text| words.iter().any(|word| text.eq_ignore_ascii_case(word)));
        self.next += usize::from(found);
        found
    }

    fn wrong(&self, expected: &str) -> FilterError {
        match self.tokens.get(self.next) {
            Some(token) => {
                FilterError::new(&token.place, format!("`{}` where {expected} is expected", token.text))
            }
            None => FilterError::new(&self.end, format!("the filter ends where {expected} is expected")),
        }
    }

    fn either(&mut self) -> Result<Expression, FilterError> {
        let mut parts = vec![self.all()?];
        while self.take(&["or", "||"]) {
            parts.push(self.all()?);
        }
        Ok(one_or(parts, Expression::Or))
    }

    fn all(&mut self) -> Result<Expression, FilterError> {
        let mut parts = vec![self.negated()?];
        while self.take(&["and", "&&"]) {
            parts.push(self.negated()?);
        }
        Ok(one_or(parts, Expression::And))
    }

    fn negated(&mut self) -> Result<Expression, FilterError> {
        if self.depth >= DEPTH {
            return Err(self.wrong("no deeper nesting"));
        }
        self.depth += 1;
        let expression = if self.take(&["not", "!"]) {
            not(self.negated()?)
        } else if self.take(&["("]) {
            let inner = self.either()?;
            if !self.take(&[")"]) {
                return Err(self.wrong("`and`, `or` or `)`"));
            }
            inner
        } else {
            self.test()?
        };
        self.depth -= 1;
        Ok(expression)
    }

    fn test(&mut self) -> Result<Expression, FilterError> {
        if self.take(&["any"]) {
            return Ok(Expression::Any);
        }
        if self.take(&["inet", "ipv4"]) {
            return Ok(family(4));
        }
        if self.take(&["inet6", "ipv6"]) {
            return Ok(family(6));
        }
        // As tcpdump has it: the protocol alone.
        for name in ["tcp", "udp", "icmp", "icmp6", "esp", "ah", "gre", "sctp", "igmp"] {
            if self.take(&[name]) {
                let number = protocol_number(name).unwrap_or(0);
                return Ok(number_test(Subject::One(words::PROTOCOL), Comparison::Equal, number.into()));
            }
        }
        let sides = self.sides();
        let start = self.next;
        let Some((kind, length)) = words::kind(self.tokens.get(start..).unwrap_or(&[])) else {
            return Err(self.wrong(words::EXPECTED));
        };
        let Some(subject) = kind.subject(sides) else {
            let text = self.peek().unwrap_or_default().to_owned();
            return Err(
                self.wrong(&format!("something that has the side named before it, which `{text}` has not,"))
            );
        };
        self.next += length;
        self.condition(kind, subject)
    }

    /// `src`, `dst`, `in`, `out` and their like; both of a pair may be joined by `and` or `or`.
    fn sides(&mut self) -> Sides {
        let sides = [
            (&["src", "source"][..], Sides::Source, &["dst", "destination"][..]),
            (&["dst", "destination"], Sides::Destination, &["src", "source"]),
            (&["in"], Sides::In, &["out"]),
            (&["out"], Sides::Out, &["in"]),
            (&["prev", "previous"], Sides::Previous, &[]),
            (&["next"], Sides::Next, &[]),
            (&["bgpnext"], Sides::BgpNext, &[]),
            (&["router", "exporter"], Sides::Router, &[]),
        ];
        for (words, side, others) in sides {
            if !self.take(words) {
                continue;
            }
            let joined = self.next;
            for (word, pair) in [("and", Sides::Both), ("or", Sides::Either)] {
                if self.take(&[word]) && self.take(others) {
                    return pair;
                }
                self.next = joined;
            }
            return side;
        }
        Sides::Either
    }

    fn condition(&mut self, kind: Kind, of: Subject) -> Result<Expression, FilterError> {
        let condition = match kind {
            Kind::Address => self.address()?,
            Kind::Network => self.network()?,
            Kind::Mac => {
                let mac = self.peek().and_then(mac_address);
                Condition::Mac(self.given(mac, "a MAC address, as in 00:00:5e:00:53:01,")?)
            }
            Kind::Flags => self.flags()?,
            Kind::Number(number) => {
                let test = self.number(number)?;
                if let Some(protocols) = kind.implied_protocols() {
                    let implied = Condition::OneOf(protocols.into());
                    let implied = Test { of: Subject::One(words::PROTOCOL), is: implied };
                    return Ok(Expression::And(vec![
                        Expression::Test(implied),
                        Expression::Test(Test { of, is: test }),
                    ]));
                }
                test
            }
        };
        Ok(Expression::Test(Test { of, is: condition }))
    }

    fn given<T>(&mut self, found: Option<T>, expected: &str) -> Result<T, FilterError> {
        let found = found.ok_or_else(|| self.wrong(expected))?;
        self.next += 1;
        Ok(found)
    }

    /// The items of `[ ... ]`, separated by white space or commas.
    fn list<T>(&mut self, item: impl Fn(&str) -> Option<T>, expected: &str) -> Result<Vec<T>, FilterError> {
        if !self.take(&["["]) {
            return Err(self.wrong("`[`"));
        }
        let mut items = Vec::new();
        while !self.take(&["]"]) {
            if !items.is_empty() && self.take(&[","]) && self.peek() == Some("]") {
                return Err(self.wrong(expected));
            }
            let found = self.peek().and_then(&item);
            items.push(self.given(found, expected)?);
        }
        Ok(items)
    }

    fn address(&mut self) -> Result<Condition, FilterError> {
        const EXPECTED: &str = "an address or `in [`";
        if self.take(&["in"]) {
            let prefixes = self.list(prefix, "an address, a prefix or `]`")?;
            return Ok(Condition::In(prefixes.into_iter().collect()));
        }
        self.take(&["=", "==", "eq"]);
        let address = self.peek().and_then(prefix);
        let address = self.given(address, EXPECTED)?;
        Ok(Condition::In([address].into_iter().collect()))
    }

    /// A prefix, or an address and a mask.
    fn network(&mut self) -> Result<Condition, FilterError> {
        if self.take(&["in"]) {
            let prefixes = self.list(prefix, "a prefix or `]`")?;
            return Ok(Condition::In(prefixes.into_iter().collect()));
        }
        let found = self.peek().and_then(prefix);
        let has_length = self.peek().is_some_and(|text| text.contains('/'));
        let network = self.given(found, "a prefix, as in 192.0.2.0/24,")?;
        let mask = self.peek().and_then(|text| text.parse().ok()).and_then(mask_length);
        let network = match mask {
            Some(length) if !has_length => {
                let prefix = Prefix::new(network.network(), length);
                self.given(prefix, "a mask of the same address family")?
            }
            _ => network,
        };
        Ok(Condition::In([network].into_iter().collect()))
    }

    fn flags(&mut self) -> Result<Condition, FilterError> {
        self.take(&["=", "==", "eq"]);
        let bits = self.peek().and_then(|text| match text.parse::<u8>() {
            Ok(number) => Some(number.into()),
            Err(_) => text.chars().try_fold(0, |bits, letter| Some(bits | flag(letter)?)),
        });
        Ok(Condition::Bits(self.given(bits, "TCP flags, as in S or SA,")?))
    }

    fn number(&mut self, number: words::Number) -> Result<Condition, FilterError> {
        if self.take(&["in"]) {
            let mut numbers = self.list(number.parse, number.expected)?;
            numbers.sort_unstable();
            numbers.dedup();
            return Ok(Condition::OneOf(numbers.into()));
        }
        let comparison = self.peek().and_then(Comparison::parse);
        self.next += usize::from(comparison.is_some());
        let found = self.peek().and_then(number.parse);
        let value = self.given(found, number.expected)?;
        Ok(Condition::Compared(comparison.unwrap_or(Comparison::Equal), value))
    }
}

fn one_or(mut parts: Vec<Expression>, join: fn(Vec<Expression>) -> Expression) -> Expression {
    match (parts.len(), parts.pop()) {
        (1, Some(only)) => only,
        (_, Some(last)) => {
            parts.push(last);
            join(parts)
        }
        (_, None) => Expression::Any,
    }
}

/// `not flags SA` means that neither is set, as nfdump documents it, not that one of them is missing.
fn not(expression: Expression) -> Expression {
    match expression {
        Expression::Test(Test { of, is: Condition::Bits(bits) }) => {
            Expression::Test(Test { of, is: Condition::NoBits(bits) })
        }
        other => Expression::Not(Box::new(other)),
    }
}

const fn number_test(of: Subject, comparison: Comparison, number: u64) -> Expression {
    Expression::Test(Test { of, is: Condition::Compared(comparison, number) })
}

/// Both addresses are of the family.
const fn family(version: u64) -> Expression {
    number_test(words::VERSIONS, Comparison::Equal, version)
}

/// An address, or a prefix with its length behind a slash.
fn prefix(text: &str) -> Option<Prefix> {
    match text.split_once('/') {
        None => Some(Prefix::host(text.parse().ok()?)),
        Some((address, length)) => Prefix::new(address.parse().ok()?, length.parse().ok()?),
    }
}

/// The length of a mask of ones followed by zeros.
fn mask_length(mask: core::net::Ipv4Addr) -> Option<u8> {
    let bits = mask.to_bits();
    let length = bits.leading_ones();
    (bits.count_ones() == length).then(|| u8::try_from(length).ok())?
}

fn mac_address(text: &str) -> Option<[u8; 6]> {
    let mut mac = [0; 6];
    let mut parts = text.split([':', '-']);
    for octet in &mut mac {
        let part = parts.next().filter(|part| matches!(part.len(), 1 | 2))?;
        *octet = u8::from_str_radix(part, 16).ok()?;
    }
    parts.next().is_none().then_some(mac)
}

/// The bit of a flag by nfdump's letters; `X` stands for the six of RFC 793.
const fn flag(letter: char) -> Option<u64> {
    Some(match letter.to_ascii_uppercase() {
        'F' => 0x01,
        'S' => 0x02,
        'R' => 0x04,
        'P' => 0x08,
        'A' => 0x10,
        'U' => 0x20,
        'E' => 0x40,
        'C' => 0x80,
        'X' => 0x3f,
        _ => return None,
    })
}
