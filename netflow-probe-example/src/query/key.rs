//! What flows are grouped by: the elements that nfdump's `-s` and `-A` know, by the same names.

use core::net::IpAddr;

use super::value::{self, Getter, MPLS_LABELS, Value};
use crate::flow::{Cell, Flow};

/// One element that flows are grouped by.
#[derive(Clone, Debug)]
pub struct Key {
    name: String,
    source: Source,
    mask: Mask,
}

#[derive(Clone, Copy, Debug)]
enum Source {
    One(Getter),
    /// Source and destination: a flow belongs to both.
    Either(Getter, Getter),
}

/// Of an element with two sides, the source's or the destination's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Side {
    First,
    Second,
}

/// What of an address counts.
#[derive(Clone, Copy, Debug)]
enum Mask {
    Whole,
    /// So many bits of addresses of one family; those of the other are left whole.
    V4(u8),
    V6(u8),
    /// As many bits as the record says.
    OfRecord(Getter),
}

/// Names that a key can have, for messages.
pub(super) const NAMES: &str = "proto, srcip, dstip, ip, srcip4/N, dstip4/N, srcip6/N, dstip6/N, srcnet, dstnet, srcport, dstport, \
    port, srcas, dstas, as, nextas, prevas, inif, outif, if, srcmask, dstmask, mask, srcvlan, dstvlan, vlan, insrcmac, \
    outdstmac, next, bgpnext, router, tos, dir, flags, ipversion, icmptype, icmpcode, mpls1 to mpls10, odid, opid, \
    sampling, endreason, srccountry, dstcountry, country";

impl Key {
    /// The key of this name; a prefix length stands behind a slash.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let name = text.to_ascii_lowercase();
        let (source, mask) = match name.as_str() {
            "srcnet" => (Source::One(value::SOURCE_ADDRESS), Mask::OfRecord(value::SOURCE_MASK)),
            "dstnet" => (Source::One(value::DESTINATION_ADDRESS), Mask::OfRecord(value::DESTINATION_MASK)),
            whole => match whole.split_once('/') {
                None => (source(whole)?, Mask::Whole),
                Some((address, bits)) => {
                    let bits: u8 = bits.parse().ok()?;
                    match address {
                        "srcip4" if bits <= 32 => (Source::One(value::SOURCE_ADDRESS), Mask::V4(bits)),
                        "dstip4" if bits <= 32 => (Source::One(value::DESTINATION_ADDRESS), Mask::V4(bits)),
                        "srcip6" if bits <= 128 => (Source::One(value::SOURCE_ADDRESS), Mask::V6(bits)),
                        "dstip6" if bits <= 128 => (Source::One(value::DESTINATION_ADDRESS), Mask::V6(bits)),
                        _ => return None,
                    }
                }
            },
        };
        Some(Self { name, source, mask })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether a flow can belong to two groups, that of its source and that of its destination.
    #[must_use]
    pub const fn has_two_sides(&self) -> bool {
        matches!(self.source, Source::Either(..))
    }

    /// The columns of stored flows that the value of a side is read from.
    pub(super) fn columns(&self, side: Side) -> Vec<&'static str> {
        let getter = match (self.source, side) {
            (Source::One(getter) | Source::Either(getter, _), Side::First)
            | (Source::Either(_, getter), Side::Second) => getter,
            (Source::One(_), Side::Second) => return Vec::new(),
        };
        let mut columns = getter.columns().to_vec();
        if let Mask::OfRecord(getter) = self.mask {
            columns.extend(getter.columns());
        }
        columns
    }

    /// Whether the value of a side is the one in its only column, or a prefix of that.
    pub(super) fn is_plain(&self, side: Side) -> bool {
        let getter = match (self.source, side) {
            (Source::One(getter) | Source::Either(getter, _), Side::First)
            | (Source::Either(_, getter), Side::Second) => getter,
            (Source::One(_), Side::Second) => return false,
        };
        getter.plain_column().is_some() && !matches!(self.mask, Mask::OfRecord(_))
    }

    /// The value that a cell of that column stands for.
    pub(super) fn of_cell(&self, cell: Cell) -> Option<Value> {
        let found = Value::of_cell(cell)?;
        match (self.mask, found) {
            (Mask::V4(bits), Value::Address(IpAddr::V4(_)))
            | (Mask::V6(bits), Value::Address(IpAddr::V6(_))) => found.network(bits),
            _ => Some(found),
        }
    }

    /// The value of a side.
    pub(super) fn value(&self, side: Side, flow: &Flow<'_>) -> Option<Value> {
        match side {
            Side::First => self.first(flow),
            Side::Second => self.second(flow),
        }
    }

    /// The value of a flow; of an element with two sides, the source's.
    pub(super) fn first(&self, flow: &Flow<'_>) -> Option<Value> {
        match self.source {
            Source::One(getter) | Source::Either(getter, _) => self.masked(getter.of(flow)?, flow),
        }
    }

    /// The destination's value of an element with two sides.
    pub(super) fn second(&self, flow: &Flow<'_>) -> Option<Value> {
        match self.source {
            Source::One(_) => None,
            Source::Either(_, getter) => self.masked(getter.of(flow)?, flow),
        }
    }

    fn masked(&self, found: Value, flow: &Flow<'_>) -> Option<Value> {
        let Value::Address(address) = found else { return Some(found) };
        let length = match (self.mask, address) {
            (Mask::V4(bits), IpAddr::V4(_)) | (Mask::V6(bits), IpAddr::V6(_)) => bits,
            (Mask::OfRecord(getter), _) => u8::try_from(getter.of(flow)?.number()?).ok()?,
            _ => return Some(found),
        };
        found.network(length)
    }
}

fn source(name: &str) -> Option<Source> {
    let one = |getter| Some(Source::One(getter));
    match name {
        "proto" => one(value::PROTOCOL),
        "srcip" => one(value::SOURCE_ADDRESS),
        "dstip" => one(value::DESTINATION_ADDRESS),
        "ip" => Some(Source::Either(value::SOURCE_ADDRESS, value::DESTINATION_ADDRESS)),
        "srcport" => one(value::SOURCE_PORT),
        "dstport" => one(value::DESTINATION_PORT),
        "port" => Some(Source::Either(value::SOURCE_PORT, value::DESTINATION_PORT)),
        "srcas" => one(value::SOURCE_AS),
        "dstas" => one(value::DESTINATION_AS),
        "as" => Some(Source::Either(value::SOURCE_AS, value::DESTINATION_AS)),
        "nextas" => one(value::NEXT_AS),
        "prevas" => one(value::PREVIOUS_AS),
        "inif" => one(value::INGRESS_INTERFACE),
        "outif" => one(value::EGRESS_INTERFACE),
        "if" => Some(Source::Either(value::INGRESS_INTERFACE, value::EGRESS_INTERFACE)),
        "srcmask" => one(value::SOURCE_MASK),
        "dstmask" => one(value::DESTINATION_MASK),
        "mask" => Some(Source::Either(value::SOURCE_MASK, value::DESTINATION_MASK)),
        "srcvlan" => one(value::VLAN),
        "dstvlan" => one(value::POST_VLAN),
        "vlan" => Some(Source::Either(value::VLAN, value::POST_VLAN)),
        "insrcmac" | "srcmac" => one(value::SOURCE_MAC),
        "outdstmac" | "dstmac" => one(value::DESTINATION_MAC),
        "next" | "nhip" => one(value::NEXT_HOP),
        "bgpnext" | "nhbip" => one(value::BGP_NEXT_HOP),
        "router" => one(value::ROUTER),
        "tos" | "srctos" => one(value::TOS),
        "dir" => one(value::DIRECTION),
        "flags" => one(value::TCP_FLAGS),
        "ipversion" => one(value::IP_VERSION),
        "icmptype" => one(value::ICMP_TYPE),
        "icmpcode" => one(value::ICMP_CODE),
        "odid" => one(value::OBSERVATION_DOMAIN),
        "opid" => one(value::OBSERVATION_POINT),
        "sampling" => one(value::SAMPLING),
        "endreason" => one(value::END_REASON),
        "srccountry" | "srcgeo" => one(value::SOURCE_COUNTRY),
        "dstcountry" | "dstgeo" => one(value::DESTINATION_COUNTRY),
        "country" | "geo" => Some(Source::Either(value::SOURCE_COUNTRY, value::DESTINATION_COUNTRY)),
        _ => {
            let place = name.strip_prefix("mpls")?.parse::<usize>().ok()?.checked_sub(1)?;
            MPLS_LABELS.get(place).copied().map(Source::One)
        }
    }
}
