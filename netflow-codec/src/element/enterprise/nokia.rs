//! Elements of enterprise 637, `Nokia/Alcatel-Lucent`. Generated: `tests/registry.rs` says how.

use super::{Entry, S, T, U, e};

#[rustfmt::skip]
pub(super) static ELEMENTS: [Entry; 3] = [
    e(91, "aluInsideServiceId", T::Unsigned16, S::IDENTIFIER, U::OCTETS),
    e(92, "aluOutsideServiceId", T::Unsigned16, S::IDENTIFIER, U::NONE),
    e(93, "aluNatSubString", T::String, S::IDENTIFIER, U::NONE),
];
