//! The filter language: nfdump's, so that what people know goes on working.
//!
//! ```text
//! filter := all { "or" all }        all := test { "and" test }
//! test   := "not" test | "(" filter ")" | "any" | "inet" | "inet6" | "tcp" | "udp" ... | sides what condition
//! sides  := nothing (either side) | "src" | "dst" | "in" | "out" | "src and dst" | "src or dst" | ...
//! ```
//!
//! | what | condition | sides |
//! |---|---|---|
//! | `ip`, `host` | an address, or `in [` addresses and prefixes `]` | src, dst, next, bgpnext, router |
//! | `net` | a prefix, or an address and a mask | as `ip` |
//! | `port`, `as`, `mask`, `vlan` | a number, compared, or `in [` numbers `]` | src, dst; `as` also prev, next |
//! | `if` | likewise | in, out |
//! | `mac` | a MAC address | src, dst |
//! | `proto` | name or number | |
//! | `flags` | TCP flags `UAPRSF`, `X` for all: those named must be set; with `not` before it, none of them | |
//! | `packets`, `bytes`, `flows`, `pps`, `bps`, `bpp` | a number, compared, with `k`, `M`, `G`, `T` | |
//! | `duration` | milliseconds, or with a unit | |
//! | `tos`, `dscp`, `icmp-type`, `icmp-code`, `engine-type`, `engine-id`, `flowdir`, `flowlabel`, `fwdstat`, `sampling` | a number, compared | |
//! | `mpls label1` to `label10`, `mpls exp1`, `mpls eos` | a number, compared | |
//! | `observation domain id`, `observation point id` | a number, compared | |
//!
//! Comparisons are `=` (or nothing), `!=`, `<`, `<=`, `>`, `>=` and `eq`, `ne`, `lt`, `le`, `gt`, `ge`. `#` begins
//! a comment, `@include FILE` stands for what is in that file, in a list too. A value that a flow does not carry
//! passes no test, so `not port 80` holds for flows without ports and `port != 80` does not. ICMP has no ports.

mod address_set;
mod error;
mod expression;
mod lexer;
mod parser;
mod select;
mod words;

use std::{
    fs::File,
    io::{Read as _, Result},
};

pub use self::{
    address_set::{AddressSet, Prefix},
    error::{FilterError, Place},
};
use crate::{
    flow::Flow,
    store::{Chosen, Group, Rows},
};

/// A filter: which flows to look at.
///
/// ```
/// use netflow_probe_example::query::Filter;
///
/// assert!(Filter::parse("proto tcp and dst port in [80 443] and bytes > 10k").is_ok());
/// let error = Filter::parse("proto tcp and port eighty").unwrap_err();
/// assert_eq!(error.to_string(), "column 20: `eighty` where a port (0 to 65535) is expected");
/// ```
#[derive(Clone, Debug)]
pub struct Filter(expression::Expression);

impl Filter {
    /// Octets of an included file, at most.
    const FILE_LIMIT: u64 = 64 << 20;

    /// Lets every flow pass.
    #[must_use]
    pub const fn any() -> Self {
        Self(expression::Expression::Any)
    }

    /// Understands a text, files that it includes not: `@include` is an error.
    ///
    /// # Errors
    ///
    /// [`FilterError`] says where the text is not understood, and what was expected there.
    pub fn parse(text: &str) -> core::result::Result<Self, FilterError> {
        Self::parse_with(text, &|_| Err("files cannot be included here".to_owned()))
    }

    /// Understands a text, and the files it includes.
    ///
    /// # Errors
    ///
    /// As [`Self::parse`]; the place is in the file that is not understood.
    pub fn parse_with_files(text: &str) -> core::result::Result<Self, FilterError> {
        Self::parse_with(text, &|name| read(name).map_err(|error| error.to_string()))
    }

    fn parse_with(text: &str, load: lexer::Load<'_>) -> core::result::Result<Self, FilterError> {
        let (tokens, end) = lexer::tokens(text, load)?;
        Ok(Self(parser::parse(tokens, end)?))
    }

    /// Whether the filter lets a flow pass.
    #[must_use]
    pub fn matches(&self, flow: &Flow<'_>) -> bool {
        self.0.holds(flow)
    }
}

impl Filter {
    /// Whether it lets every flow pass.
    pub(super) const fn is_any(&self) -> bool {
        matches!(self.0, expression::Expression::Any)
    }

    /// Whether some flow of a row group may pass, by what its file says of it.
    pub(super) fn may_pass(&self, group: &Group) -> bool {
        self.0.may_hold(group)
    }

    /// The rows whose flows pass, of those that are asked about.
    pub(super) fn choose(&self, rows: &mut Rows, among: &Chosen) -> Result<Chosen> {
        self.0.choose(rows, among)
    }
}

fn read(name: &str) -> Result<String> {
    let mut text = String::new();
    let octets = File::open(name)?.take(Filter::FILE_LIMIT + 1).read_to_string(&mut text)?;
    if octets as u64 > Filter::FILE_LIMIT {
        return Err(std::io::Error::other("larger than 64 MiB"));
    }
    Ok(text)
}
