//! The words of the language: which stand for which values of a flow.

use super::{expression::Subject, lexer::Token};
use crate::{
    flow::{Country, protocol_number},
    query::value::{self, Getter, MPLS_CLASSES, MPLS_LABELS},
};

/// What is said when no word fits.
pub(super) const EXPECTED: &str = "a test (ip, net, port, proto, as, if, mask, vlan, tos, flags, packets, bytes, pps, \
    bps, bpp, duration, country, mpls, mac, icmp-type, icmp-code, next ip, router ip ...), `not` or `(`";

pub(super) const PROTOCOL: Getter = value::PROTOCOL;
/// The families of both addresses.
pub(super) const VERSIONS: Subject = Subject::Both(value::SOURCE_VERSION, value::DESTINATION_VERSION);

/// The words before a test that say whose value it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Sides {
    Either,
    Both,
    Source,
    Destination,
    In,
    Out,
    Previous,
    Next,
    BgpNext,
    Router,
}

/// What is tested, and so what follows.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Address,
    Network,
    Mac,
    Flags,
    Number(Number),
}

/// A test of a number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number {
    pub(super) parse: fn(&str) -> Option<u64>,
    pub(super) expected: &'static str,
    pair: Pair,
    is_icmp: bool,
}

/// Where the number comes from.
#[derive(Clone, Copy, Debug)]
enum Pair {
    One(Getter),
    /// Of source and of destination.
    Ends(Getter, Getter),
    /// Of the way in and of the way out.
    Ways(Getter, Getter),
    As,
}

/// The kind of test that tokens begin with, and how many tokens name it.
pub(super) fn kind(tokens: &[Token]) -> Option<(Kind, usize)> {
    let word = |index: usize| tokens.get(index).map(|token| token.text.to_ascii_lowercase());
    let first = word(0)?;
    let one = |kind| Some((kind, 1));
    let number = |getter| one(Kind::Number(Number::of(Pair::One(getter))));
    let scaled = |getter| one(Kind::Number(Number::scaled(getter)));
    match first.as_str() {
        "ip" | "host" => one(Kind::Address),
        "net" => one(Kind::Network),
        "mac" => one(Kind::Mac),
        "flags" => one(Kind::Flags),
        "port" => one(Kind::Number(Number {
            expected: "a port (0 to 65535)",
            parse: |text| text.parse::<u16>().ok().map(Into::into),
            ..Number::of(Pair::Ends(value::SOURCE_PORT, value::DESTINATION_PORT))
        })),
        "as" => one(Kind::Number(Number {
            expected: "an AS number",
            parse: |text| text.parse::<u32>().ok().map(Into::into),
            ..Number::of(Pair::As)
        })),
        "mask" => one(Kind::Number(Number::of(Pair::Ends(value::SOURCE_MASK, value::DESTINATION_MASK)))),
        "vlan" => one(Kind::Number(Number::of(Pair::Ends(value::VLAN, value::POST_VLAN)))),
        "if" => one(Kind::Number(Number::of(Pair::Ways(value::INGRESS_INTERFACE, value::EGRESS_INTERFACE)))),
        "proto" | "protocol" => one(Kind::Number(Number {
            expected: "a protocol by name or number",
            parse: |text| protocol_number(text).map(Into::into),
            ..Number::of(Pair::One(value::PROTOCOL))
        })),
        "country" | "geo" => one(Kind::Number(Number {
            expected: "a country by its code of two letters, as in DE,",
            parse: |text| Country::of(text).map(|country| country.number().into()),
            ..Number::of(Pair::Ends(value::SOURCE_COUNTRY, value::DESTINATION_COUNTRY))
        })),
        "tos" => number(value::TOS),
        "dscp" => number(value::DSCP),
        "packets" => scaled(value::PACKETS),
        "bytes" | "octets" => scaled(value::OCTETS),
        "flows" | "flow" => scaled(value::FLOWS),
        "pps" => scaled(value::PACKETS_PER_SECOND),
        "bps" => scaled(value::BITS_PER_SECOND),
        "bpp" => scaled(value::OCTETS_PER_PACKET),
        "duration" => one(Kind::Number(Number {
            expected: "milliseconds, or a number with ms, s, m or h",
            parse: milliseconds,
            ..Number::of(Pair::One(value::DURATION))
        })),
        "icmp-type" => one(Kind::Number(Number { is_icmp: true, ..Number::of(Pair::One(value::ICMP_TYPE)) })),
        "icmp-code" => one(Kind::Number(Number { is_icmp: true, ..Number::of(Pair::One(value::ICMP_CODE)) })),
        "engine-type" => number(value::ENGINE_TYPE),
        "engine-id" => number(value::ENGINE_ID),
        "flowdir" | "dir" => one(Kind::Number(Number {
            expected: "ingress, egress or a number",
            parse: |text| match text.to_ascii_lowercase().as_str() {
                "ingress" => Some(0),
                "egress" => Some(1),
                other => other.parse().ok(),
            },
            ..Number::of(Pair::One(value::DIRECTION))
        })),
        "flowlabel" => number(value::FLOW_LABEL),
        "fwdstat" => number(value::FORWARDING_STATUS),
        "sampling" => number(value::SAMPLING),
        "observation" => {
            let (domain, point) = (word(1)? == "domain", word(1)? == "point");
            let getter: Getter = match (domain, point) {
                (true, _) => value::OBSERVATION_DOMAIN,
                (_, true) => value::OBSERVATION_POINT,
                _ => return None,
            };
            let words = if word(2).as_deref() == Some("id") { 3 } else { 2 };
            Some((Kind::Number(Number::of(Pair::One(getter))), words))
        }
        "mpls" => Some((Kind::Number(Number::of(Pair::One(mpls(&word(1)?)?))), 2)),
        _ => None,
    }
}

/// `label1` to `label10`, `exp1` to `exp10`, `eos`.
fn mpls(word: &str) -> Option<Getter> {
    if word == "eos" {
        return Some(value::MPLS_BOTTOM);
    }
    let (getters, number) = match (word.strip_prefix("label"), word.strip_prefix("exp")) {
        (Some(number), _) => (&MPLS_LABELS, number),
        (_, Some(number)) => (&MPLS_CLASSES, number),
        _ => return None,
    };
    getters.get(number.parse::<usize>().ok()?.checked_sub(1)?).copied()
}

impl Number {
    const fn of(pair: Pair) -> Self {
        Self { parse: plain, expected: "a number", pair, is_icmp: false }
    }

    const fn scaled(getter: Getter) -> Self {
        Self {
            parse: scaled_number,
            expected: "a number, as in 500, 10k, 2M or 1G,",
            ..Self::of(Pair::One(getter))
        }
    }
}

impl Kind {
    /// Whose values are tested; `None` when the test has no such sides.
    pub(super) fn subject(self, sides: Sides) -> Option<Subject> {
        use Sides as S;
        let ends = |source: Getter, destination: Getter| match sides {
            S::Either => Some(Subject::Either(source, destination)),
            S::Both => Some(Subject::Both(source, destination)),
            S::Source => Some(Subject::One(source)),
            S::Destination => Some(Subject::One(destination)),
            _ => None,
        };
        let ways = |into: Getter, out: Getter| match sides {
            S::Either => Some(Subject::Either(into, out)),
            S::Both => Some(Subject::Both(into, out)),
            S::In => Some(Subject::One(into)),
            S::Out => Some(Subject::One(out)),
            _ => None,
        };
        match self {
            Self::Address | Self::Network => match sides {
                S::Next => Some(Subject::One(value::NEXT_HOP)),
                S::BgpNext => Some(Subject::One(value::BGP_NEXT_HOP)),
                S::Router => Some(Subject::One(value::ROUTER)),
                _ => ends(value::SOURCE_ADDRESS, value::DESTINATION_ADDRESS),
            },
            Self::Mac => ends(value::SOURCE_MAC, value::DESTINATION_MAC),
            Self::Flags => (sides == S::Either).then_some(Subject::One(value::TCP_FLAGS)),
            Self::Number(number) => match number.pair {
                Pair::Ends(source, destination) => ends(source, destination),
                Pair::Ways(into, out) => ways(into, out),
                Pair::As => match sides {
                    S::Previous => Some(Subject::One(value::PREVIOUS_AS)),
                    S::Next => Some(Subject::One(value::NEXT_AS)),
                    _ => ends(value::SOURCE_AS, value::DESTINATION_AS),
                },
                // nfdump's `in packets` is the only direction of a flow that is no biflow.
                Pair::One(getter) => matches!(sides, S::Either | S::In).then_some(Subject::One(getter)),
            },
        }
    }

    /// The protocols that the test is about, where it is about some only.
    pub(super) fn implied_protocols(self) -> Option<Vec<u64>> {
        matches!(self, Self::Number(Number { is_icmp: true, .. })).then(|| vec![1, 58])
    }
}

fn plain(text: &str) -> Option<u64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// A number with a suffix of a thousand, a million and so on.
fn scaled_number(text: &str) -> Option<u64> {
    let (digits, factor) = match text.char_indices().last()? {
        (end, 'k' | 'K') => (text.get(..end)?, 1_000),
        (end, 'm' | 'M') => (text.get(..end)?, 1_000_000),
        (end, 'g' | 'G') => (text.get(..end)?, 1_000_000_000),
        (end, 't' | 'T') => (text.get(..end)?, 1_000_000_000_000),
        _ => (text, 1),
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

/// Milliseconds, as nfdump counts durations, unless a unit is given.
fn milliseconds(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|char: char| char.is_ascii_alphabetic());
    let factor = match text.get(digits.len()..)? {
        "" | "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_suffixes() {
        assert_eq!(scaled_number("10k"), Some(10_000));
        assert_eq!(scaled_number("3G"), Some(3_000_000_000));
        assert_eq!(scaled_number("18446744073709551615"), Some(u64::MAX));
        for wrong in ["", "k", "-1", "1.5k", "18446744073709552T", "1kk"] {
            assert_eq!(scaled_number(wrong), None, "{wrong}");
        }
        assert_eq!(milliseconds("5m"), Some(300_000));
        assert_eq!(milliseconds("1500"), Some(1_500));
        assert_eq!(plain("0x10"), Some(16));
    }
}
