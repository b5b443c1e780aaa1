//! Flow Keys as the command line says them: the `match` lines of Flexible `NetFlow`.

use core::{fmt, str::FromStr};

use netflow_flowcache::KeyFields;

/// What `--key` takes, for its help.
pub const KEY_HELP: &str = "\
What makes packets one flow, in the words of Flexible NetFlow's `match`; can be given several times, or joined by commas.
Without it: addresses, ports, protocol, type of service and input interface

  ipv4|ipv6 source|destination address
  ipv4|ipv6 source|destination prefix N       only the first N bits of the address
  ipv4|ipv6 protocol
  ipv4|ipv6 tos|traffic-class|dscp|precedence
  ipv6 flow-label
  transport source-port|destination-port
  transport icmp ipv4|ipv6 type-code
  transport tcp flags
  interface input|output
  flow direction|observation-domain
  datalink vlan|inner-vlan
  datalink mac source|destination address
  mpls labels
  routing source|destination as
  routing next-hop address

IPv4 and IPv6 flows are told apart in any case, and a field that one of them has counts for the other, too.";

/// The fields of a Flow Key: one of those in [`KEY_HELP`], or several joined by commas.
///
/// ```
/// use netflow_flowcache::KeyFields;
/// use netflow_probe_example::meter::KeySpec;
///
/// let key: KeySpec = "ipv4 source prefix 24, ipv4 dscp, interface input".parse()?;
/// assert!(key.fields().contains(KeyFields::SOURCE_ADDRESS | KeyFields::TOS | KeyFields::INGRESS_INTERFACE));
/// assert!(!key.fields().contains(KeyFields::DESTINATION_ADDRESS));
/// assert!("ipv4 colour".parse::<KeySpec>().is_err());
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeySpec {
    fields: KeyFields,
    text: String,
}

impl KeySpec {
    /// The fields.
    #[must_use]
    pub const fn fields(&self) -> KeyFields {
        self.fields
    }

    /// These and those.
    #[must_use]
    pub fn join(specs: &[Self]) -> Option<Self> {
        let (first, others) = specs.split_first()?;
        Some(others.iter().fold(first.clone(), |joined, other| Self {
            fields: joined.fields | other.fields,
            text: format!("{}, {}", joined.text, other.text),
        }))
    }
}

impl FromStr for KeySpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut fields = KeyFields::NONE;
        for part in text.split(',') {
            let refused =
                || format!("`{}` is no field of a key; those that there are:\n{KEY_HELP}", part.trim());
            fields = fields | field(part.trim()).ok_or_else(refused)?;
        }
        Ok(Self { fields, text: text.to_owned() })
    }
}

impl fmt::Display for KeySpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What may stand before a field, as it does in a configuration.
pub(super) const KEY: &str = "match";
pub(super) const COLLECTABLE: &str = "collect";

/// The words of a field behind the one that may stand before it.
pub(super) fn split<'a>(text: &'a str, before: &str) -> Vec<&'a str> {
    let words = text.split_whitespace();
    words.enumerate().filter(|(place, word)| *place > 0 || *word != before).map(|(_, word)| word).collect()
}

fn field(text: &str) -> Option<KeyFields> {
    let lower = text.to_ascii_lowercase();
    let words = split(&lower, KEY);
    Some(match *words {
        ["ipv4" | "ipv6", "source", "address"] => KeyFields::SOURCE_ADDRESS,
        ["ipv4" | "ipv6", "destination", "address"] => KeyFields::DESTINATION_ADDRESS,
        ["ipv4", "source", "prefix", ref bits @ ..] => {
            KeyFields::SOURCE_ADDRESS.with_source_prefix(prefix(bits, 32)?, 128)
        }
        ["ipv6", "source", "prefix", ref bits @ ..] => {
            KeyFields::SOURCE_ADDRESS.with_source_prefix(32, prefix(bits, 128)?)
        }
        ["ipv4", "destination", "prefix", ref bits @ ..] => {
            KeyFields::DESTINATION_ADDRESS.with_destination_prefix(prefix(bits, 32)?, 128)
        }
        ["ipv6", "destination", "prefix", ref bits @ ..] => {
            KeyFields::DESTINATION_ADDRESS.with_destination_prefix(32, prefix(bits, 128)?)
        }
        ["ipv4" | "ipv6", "protocol"] => KeyFields::PROTOCOL,
        ["ipv4" | "ipv6", "tos" | "traffic-class"] => KeyFields::TOS,
        ["ipv4" | "ipv6", "dscp"] => KeyFields::TOS.with_tos_mask(0xFC),
        ["ipv4" | "ipv6", "precedence"] => KeyFields::TOS.with_tos_mask(0xE0),
        ["ipv6", "flow-label"] => KeyFields::IPV6_FLOW_LABEL,
        ["transport", "source-port"] => KeyFields::SOURCE_PORT,
        ["transport", "destination-port"] => KeyFields::DESTINATION_PORT,
        ["transport", "icmp", "ipv4" | "ipv6", "type-code"] => KeyFields::ICMP_TYPE_CODE,
        ["transport", "tcp", "flags"] => KeyFields::TCP_FLAGS,
        ["interface", "input"] => KeyFields::INGRESS_INTERFACE,
        ["interface", "output"] => KeyFields::EGRESS_INTERFACE,
        ["flow", "direction"] => KeyFields::DIRECTION,
        ["flow", "observation-domain"] => KeyFields::OBSERVATION_DOMAIN,
        ["datalink", "vlan"] | ["datalink", "dot1q", "vlan", "input" | "output"] => KeyFields::VLAN,
        ["datalink", "inner-vlan"] => KeyFields::INNER_VLAN,
        ["datalink", "mac", "source", "address", ..] => KeyFields::SOURCE_MAC,
        ["datalink", "mac", "destination", "address", ..] => KeyFields::DESTINATION_MAC,
        ["mpls", "labels"] => KeyFields::MPLS_LABELS,
        ["routing", "source", "as"] => KeyFields::SOURCE_AS,
        ["routing", "destination", "as"] => KeyFields::DESTINATION_AS,
        ["routing", "next-hop", "address", ..] => KeyFields::NEXT_HOP,
        _ => return None,
    })
}

/// A length, with or without the `minimum-mask` of Flexible `NetFlow`.
fn prefix(words: &[&str], most: u8) -> Option<u8> {
    let (["minimum-mask", text] | [text]) = words else { return None };
    text.trim_start_matches('/').parse().ok().filter(|bits| *bits <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    // M2
    #[test]
    fn every_field_can_be_said_and_means_itself() {
        for (text, field) in [
            ("ipv4 source address", KeyFields::SOURCE_ADDRESS),
            ("match ipv6 destination address", KeyFields::DESTINATION_ADDRESS),
            ("transport source-port", KeyFields::SOURCE_PORT),
            ("transport destination-port", KeyFields::DESTINATION_PORT),
            ("ipv4 protocol", KeyFields::PROTOCOL),
            ("ipv4 tos", KeyFields::TOS),
            ("interface input", KeyFields::INGRESS_INTERFACE),
            ("interface output", KeyFields::EGRESS_INTERFACE),
            ("flow direction", KeyFields::DIRECTION),
            ("datalink dot1q vlan input", KeyFields::VLAN),
            ("datalink inner-vlan", KeyFields::INNER_VLAN),
            ("datalink mac source address input", KeyFields::SOURCE_MAC),
            ("datalink mac destination address input", KeyFields::DESTINATION_MAC),
            ("mpls labels", KeyFields::MPLS_LABELS),
            ("ipv6 flow-label", KeyFields::IPV6_FLOW_LABEL),
            ("transport icmp ipv4 type-code", KeyFields::ICMP_TYPE_CODE),
            ("transport tcp flags", KeyFields::TCP_FLAGS),
            ("routing next-hop address ipv4", KeyFields::NEXT_HOP),
            ("routing source as", KeyFields::SOURCE_AS),
            ("routing destination as", KeyFields::DESTINATION_AS),
            ("flow observation-domain", KeyFields::OBSERVATION_DOMAIN),
        ] {
            assert_eq!(text.parse::<KeySpec>().unwrap().fields(), field, "{text}");
        }
        let prefixes: KeySpec = "ipv4 source prefix minimum-mask 24,ipv6 source prefix /48".parse().unwrap();
        assert_eq!(prefixes.fields(), KeyFields::SOURCE_ADDRESS.with_source_prefix(24, 48));
        assert_eq!("ipv4 dscp".parse::<KeySpec>().unwrap().fields(), KeyFields::TOS.with_tos_mask(0xFC));
        for text in ["", "ipv4", "ipv4 source prefix", "ipv4 source prefix 33", "ipv4 source address, colour"]
        {
            assert!(text.parse::<KeySpec>().unwrap_err().contains("interface input"), "{text}");
        }
    }
}
