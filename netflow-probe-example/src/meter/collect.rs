//! What records say of a flow besides its key, as the command line has it: the `collect` lines of Flexible `NetFlow`.

use core::{fmt, str::FromStr};

use super::{
    Key,
    key::{COLLECTABLE, split},
};

/// What `--collect` takes, for its help.
pub const COLLECT_HELP: &str = "\
What the records of versions 9 and 10 say of a flow besides its key, in the words of Flexible NetFlow's `collect`; can be
given several times, or joined by commas. Packets, octets, times and the reason of the end are always there, and what
--attributes knows. Without it: with --key or --biflow all of the first part, else what
version 5 has, and what is always there

  interface output
  transport tcp flags
  ipv4 ttl [minimum|maximum], ipv6 hop-limit [minimum|maximum]
  ipv4|ipv6 total-length [minimum|maximum]
  ipv4|ipv6 fragmentation flags              whether fragments were among the packets
  all                                        all of these, and without --key and --biflow of the others, too

Of the first packet; with --key and --biflow these are kept as a part of the key only:

  datalink vlan
  datalink mac source|destination address
  mpls labels
  ipv6 flow-label";

/// A set of what records say besides the key.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Collect(u16);

macro_rules! collected {
    ($($(#[$doc:meta])* $name:ident = $bit:literal;)*) => {
        impl Collect {
            $($(#[$doc])* pub const $name: Self = Self(1 << $bit);)*
        }
    };
}

collected! {
    /// The interface that the first packet left by.
    OUTPUT = 0;
    /// TCP flags of all packets.
    TCP_FLAGS = 1;
    /// The smallest time to live, or hop limit.
    MINIMUM_TTL = 2;
    /// The largest one.
    MAXIMUM_TTL = 3;
    /// Octets of the smallest packet.
    MINIMUM_LENGTH = 4;
    /// Octets of the largest packet.
    MAXIMUM_LENGTH = 5;
    /// Whether there were fragments.
    FRAGMENTS = 6;
    /// The VLAN of the first packet.
    VLAN = 7;
    /// Its source MAC address.
    SOURCE_MAC = 8;
    /// Its destination MAC address.
    DESTINATION_MAC = 9;
    /// Its label stack.
    MPLS = 10;
    /// Its IPv6 flow label.
    FLOW_LABEL = 11;
}

impl Collect {
    /// Nothing besides what is always there.
    pub const NONE: Self = Self(0);
    /// What is kept of every flow.
    pub const COUNTED: Self = Self(0x7F);
    /// That, and what is kept of the first packet where the key is the usual one.
    pub const ALL: Self = Self(0xFFF);

    /// These and those.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of those are among these.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// One argument of `--collect`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CollectSpec {
    set: Collect,
    text: String,
}

impl CollectSpec {
    /// What is collected by all of these arguments; `None` without any.
    ///
    /// # Errors
    ///
    /// When something is wanted that flows of this key do not keep.
    pub fn join(specs: &[Self], key: &Key) -> Result<Option<Collect>, String> {
        let Some(set) = specs.iter().map(|spec| spec.set).reduce(Collect::union) else { return Ok(None) };
        if matches!(key, Key::SevenTuple) {
            return Ok(Some(set));
        }
        let is_all = |spec: &Self| spec.text.split(',').any(|part| part.trim() == "all");
        let beyond = specs.iter().find(|spec| !is_all(spec) && !Collect::COUNTED.contains(spec.set));
        match beyond {
            Some(spec) => Err(format!(
                "`{spec}` is kept of the first packet where neither --key nor --biflow is given: it can be a part of --key"
            )),
            None => Ok(Some(Collect(set.0 & Collect::COUNTED.0))),
        }
    }
}

impl FromStr for CollectSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut set = Collect::NONE;
        for part in text.split(',') {
            let found = collected(part).ok_or_else(|| {
                format!("`{}` is nothing to collect; what there is:\n{COLLECT_HELP}", part.trim())
            })?;
            set = set.union(found);
        }
        Ok(Self { set, text: text.to_owned() })
    }
}

impl fmt::Display for CollectSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn collected(text: &str) -> Option<Collect> {
    let range = |words: &[&str], minimum: Collect, maximum: Collect| match words {
        [] => Some(minimum.union(maximum)),
        ["minimum"] => Some(minimum),
        ["maximum"] => Some(maximum),
        _ => None,
    };
    let lower = text.to_ascii_lowercase();
    let words = split(&lower, COLLECTABLE);
    Some(match *words {
        ["all"] => Collect::ALL,
        ["interface", "output"] => Collect::OUTPUT,
        ["transport", "tcp", "flags"] => Collect::TCP_FLAGS,
        ["ipv4" | "ipv6", "ttl" | "hop-limit", ref rest @ ..] => {
            range(rest, Collect::MINIMUM_TTL, Collect::MAXIMUM_TTL)?
        }
        ["ipv4" | "ipv6", "total-length", ref rest @ ..]
        | ["ipv4" | "ipv6", "length", "total", ref rest @ ..] => {
            range(rest, Collect::MINIMUM_LENGTH, Collect::MAXIMUM_LENGTH)?
        }
        ["ipv4" | "ipv6", "fragmentation", "flags"] => Collect::FRAGMENTS,
        ["datalink", "vlan"] | ["datalink", "dot1q", "vlan", "input"] => Collect::VLAN,
        ["datalink", "mac", "source", "address", "input"] | ["datalink", "mac", "source", "address"] => {
            Collect::SOURCE_MAC
        }
        ["datalink", "mac", "destination", "address", "input"]
        | ["datalink", "mac", "destination", "address"] => Collect::DESTINATION_MAC,
        ["mpls", "labels"] => Collect::MPLS,
        ["ipv6", "flow-label"] => Collect::FLOW_LABEL,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_collected_is_said_as_in_flexible_netflow() {
        for (text, set) in [
            ("interface output", Collect::OUTPUT),
            ("collect transport tcp flags", Collect::TCP_FLAGS),
            ("ipv4 ttl minimum", Collect::MINIMUM_TTL),
            ("ipv6 hop-limit", Collect::MINIMUM_TTL.union(Collect::MAXIMUM_TTL)),
            ("ipv4 total-length maximum", Collect::MAXIMUM_LENGTH),
            ("ipv6 length total minimum", Collect::MINIMUM_LENGTH),
            ("ipv4 fragmentation flags", Collect::FRAGMENTS),
            ("datalink dot1q vlan input", Collect::VLAN),
            ("datalink mac source address input", Collect::SOURCE_MAC),
            ("datalink mac destination address", Collect::DESTINATION_MAC),
            ("mpls labels, ipv6 flow-label", Collect::MPLS.union(Collect::FLOW_LABEL)),
            ("all", Collect::ALL),
        ] {
            assert_eq!(text.parse::<CollectSpec>().unwrap().set, set, "{text}");
        }
        for text in ["", "ttl", "ipv4 ttl average", "counter colours"] {
            assert!(text.parse::<CollectSpec>().unwrap_err().contains("interface output"), "{text}");
        }
    }

    #[test]
    fn what_a_key_does_not_keep_is_refused() {
        let parsed = |text: &str| [text.parse::<CollectSpec>().unwrap()];
        let key = Key::Fields("ipv4 protocol".parse().unwrap());
        assert_eq!(CollectSpec::join(&[], &key), Ok(None));
        assert_eq!(CollectSpec::join(&parsed("all"), &key), Ok(Some(Collect::COUNTED)));
        assert_eq!(CollectSpec::join(&parsed("all"), &Key::SevenTuple), Ok(Some(Collect::ALL)));
        assert_eq!(CollectSpec::join(&parsed("ipv4 ttl minimum"), &key), Ok(Some(Collect::MINIMUM_TTL)));
        let error = CollectSpec::join(&parsed("datalink vlan"), &Key::Biflow).unwrap_err();
        assert!(error.contains("datalink vlan") && error.contains("--key"), "{error}");
    }
}
