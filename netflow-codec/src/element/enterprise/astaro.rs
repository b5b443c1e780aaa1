//! Elements of enterprise 9789, `Astaro/Sophos`. Generated: `tests/registry.rs` says how.

use super::{Entry, S, T, U, e};

#[rustfmt::skip]
pub(super) static ELEMENTS: [Entry; 3] = [
    e(1, "afcProtocol", T::Unsigned16, S::DEFAULT, U::NONE),
    e(2, "afcProtocolName", T::String, S::DEFAULT, U::NONE),
    e(4, "flowDirection", T::Unsigned8, S::DEFAULT, U::NONE),
];
