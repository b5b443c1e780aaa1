//! What a filter was compiled to.

use super::address_set::AddressSet;
use crate::{
    flow::Flow,
    query::value::{Getter, Value},
};

/// Tests, and what joins them.
#[derive(Clone, Debug)]
pub(super) enum Expression {
    /// True for every flow.
    Any,
    Not(Box<Self>),
    /// True when all are.
    And(Vec<Self>),
    /// True when one is.
    Or(Vec<Self>),
    Test(Test),
}

impl Expression {
    pub(super) fn holds(&self, flow: &Flow<'_>) -> bool {
        match self {
            Self::Any => true,
            Self::Not(inner) => !inner.holds(flow),
            Self::And(all) => all.iter().all(|part| part.holds(flow)),
            Self::Or(all) => all.iter().any(|part| part.holds(flow)),
            Self::Test(test) => test.holds(flow),
        }
    }
}

/// A test of one value, or of a source's and a destination's.
#[derive(Clone, Debug)]
pub(super) struct Test {
    pub(super) of: Subject,
    pub(super) is: Condition,
}

/// Whose value is tested. A value that the record does not carry passes no test.
#[derive(Clone, Copy, Debug)]
pub(super) enum Subject {
    One(Getter),
    /// One of the two must pass.
    Either(Getter, Getter),
    /// Both must pass.
    Both(Getter, Getter),
}

/// How numbers compare.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// What a value must be.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    Compared(Comparison, u64),
    /// In order.
    OneOf(Box<[u64]>),
    In(AddressSet),
    Mac([u8; 6]),
    /// All of these bits set.
    Bits(u64),
    /// None of these bits set.
    NoBits(u64),
}

impl Test {
    fn holds(&self, flow: &Flow<'_>) -> bool {
        let passes = |getter: Getter| getter.of(flow).is_some_and(|value| self.is.admits(value));
        match self.of {
            Subject::One(getter) => passes(getter),
            Subject::Either(first, second) => passes(first) || passes(second),
            Subject::Both(first, second) => passes(first) && passes(second),
        }
    }
}

impl Condition {
    pub(super) fn admits(&self, value: Value) -> bool {
        match (self, value) {
            (Self::In(set), Value::Address(address)) => set.contains(address),
            (Self::Mac(wanted), Value::MacAddress(mac)) => *wanted == mac,
            (condition, value) => value.number().is_some_and(|number| condition.admits_number(number)),
        }
    }

    pub(super) fn admits_number(&self, number: u64) -> bool {
        match self {
            Self::Compared(comparison, wanted) => comparison.holds(number, *wanted),
            Self::OneOf(numbers) => numbers.binary_search(&number).is_ok(),
            Self::Bits(bits) => number & bits == *bits,
            Self::NoBits(bits) => number & bits == 0,
            Self::In(_) | Self::Mac(_) => false,
        }
    }
}

impl Comparison {
    const fn holds(self, number: u64, other: u64) -> bool {
        match self {
            Self::Equal => number == other,
            Self::NotEqual => number != other,
            Self::Less => number < other,
            Self::LessOrEqual => number <= other,
            Self::Greater => number > other,
            Self::GreaterOrEqual => number >= other,
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        Some(match text.to_ascii_lowercase().as_str() {
            "=" | "==" | "eq" => Self::Equal,
            "!=" | "ne" => Self::NotEqual,
            "<" | "lt" => Self::Less,
            "<=" | "le" => Self::LessOrEqual,
            ">" | "gt" => Self::Greater,
            ">=" | "ge" => Self::GreaterOrEqual,
            _ => return None,
        })
    }
}
