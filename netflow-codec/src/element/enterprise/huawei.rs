//! Elements of enterprise 2011, `Huawei`. Generated: `tests/registry.rs` says how.

use super::{Entry, S, T, U, e};

#[rustfmt::skip]
pub(super) static ELEMENTS: [Entry; 2] = [
    e(1, "ingressGponGemPortId", T::Unsigned16, S::IDENTIFIER, U::NONE),
    e(2, "egressGponGemPortId", T::Unsigned16, S::IDENTIFIER, U::NONE),
];
