//! Elements of enterprise 21373, `netfilter/iptables`. Generated: `tests/registry.rs` says how.

use super::{Entry, S, T, U, e};

#[rustfmt::skip]
pub(super) static ELEMENTS: [Entry; 2] = [
    e(4, "mark", T::Unsigned32, S::DEFAULT, U::NONE),
    e(6, "conntrack_id", T::Unsigned32, S::DEFAULT, U::NONE),
];
