//! What flows are grouped by: the elements that nfdump's `-s` and `-A` know, by the same names.

use core::net::IpAddr;

use super::{
    filter::Prefix,
    value::{self, Getter, MPLS_LABELS, Value},
};
use crate::flow::Flow;

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
    sampling, endreason";

impl Key {
    /// The key of this name; a prefix length stands behind a slash.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let name = text.to_ascii_lowercase();
        let (source, mask) = match name.as_str() {
            "srcnet" => (Source::One(value::source_address), Mask::OfRecord(value::source_mask)),
            "dstnet" => (Source::One(value::destination_address), Mask::OfRecord(value::destination_mask)),
            whole => match whole.split_once('/') {
                None => (source(whole)?, Mask::Whole),
                Some((address, bits)) => {
                    let bits: u8 = bits.parse().ok()?;
                    match address {
                        "srcip4" if bits <= 32 => (Source::One(value::source_address), Mask::V4(bits)),
                        "dstip4" if bits <= 32 => (Source::One(value::destination_address), Mask::V4(bits)),
                        "srcip6" if bits <= 128 => (Source::One(value::source_address), Mask::V6(bits)),
                        "dstip6" if bits <= 128 => (Source::One(value::destination_address), Mask::V6(bits)),
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

    /// The value of a flow; of an element with two sides, the source's.
    pub(super) fn first(&self, flow: &Flow<'_>) -> Option<Value> {
        match self.source {
            Source::One(getter) | Source::Either(getter, _) => self.masked(getter(flow)?, flow),
        }
    }

    /// The destination's value of an element with two sides.
    pub(super) fn second(&self, flow: &Flow<'_>) -> Option<Value> {
        match self.source {
            Source::One(_) => None,
            Source::Either(_, getter) => self.masked(getter(flow)?, flow),
        }
    }

    fn masked(&self, found: Value, flow: &Flow<'_>) -> Option<Value> {
        let Value::Address(address) = found else { return Some(found) };
        let length = match (self.mask, address) {
            (Mask::V4(bits), IpAddr::V4(_)) | (Mask::V6(bits), IpAddr::V6(_)) => bits,
            (Mask::OfRecord(getter), _) => u8::try_from(getter(flow)?.number()?).ok()?,
            _ => return Some(found),
        };
        Some(Value::Prefix(Prefix::new(address, length)?.network(), length))
    }
}

fn source(name: &str) -> Option<Source> {
    let one = |getter| Some(Source::One(getter));
    match name {
        "proto" => one(value::protocol),
        "srcip" => one(value::source_address),
        "dstip" => one(value::destination_address),
        "ip" => Some(Source::Either(value::source_address, value::destination_address)),
        "srcport" => one(value::source_port),
        "dstport" => one(value::destination_port),
        "port" => Some(Source::Either(value::source_port, value::destination_port)),
        "srcas" => one(value::source_as),
        "dstas" => one(value::destination_as),
        "as" => Some(Source::Either(value::source_as, value::destination_as)),
        "nextas" => one(value::next_as),
        "prevas" => one(value::previous_as),
        "inif" => one(value::ingress_interface),
        "outif" => one(value::egress_interface),
        "if" => Some(Source::Either(value::ingress_interface, value::egress_interface)),
        "srcmask" => one(value::source_mask),
        "dstmask" => one(value::destination_mask),
        "mask" => Some(Source::Either(value::source_mask, value::destination_mask)),
        "srcvlan" => one(value::vlan),
        "dstvlan" => one(value::post_vlan),
        "vlan" => Some(Source::Either(value::vlan, value::post_vlan)),
        "insrcmac" | "srcmac" => one(value::source_mac),
        "outdstmac" | "dstmac" => one(value::destination_mac),
        "next" | "nhip" => one(value::next_hop),
        "bgpnext" | "nhbip" => one(value::bgp_next_hop),
        "router" => one(value::router),
        "tos" | "srctos" => one(value::tos),
        "dir" => one(value::direction),
        "flags" => one(value::tcp_flags),
        "ipversion" => one(value::ip_version),
        "icmptype" => one(value::icmp_type),
        "icmpcode" => one(value::icmp_code),
        "odid" => one(value::observation_domain),
        "opid" => one(value::observation_point),
        "sampling" => one(value::sampling),
        "endreason" => one(value::end_reason),
        _ => {
            let place = name.strip_prefix("mpls")?.parse::<usize>().ok()?.checked_sub(1)?;
            MPLS_LABELS.get(place).copied().map(Source::One)
        }
    }
}
