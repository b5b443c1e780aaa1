//! Elements of enterprise 41916, `Viptela`. Generated: `tests/registry.rs` says how.

use super::{Entry, S, T, U, e};

#[rustfmt::skip]
pub(super) static ELEMENTS: [Entry; 1] = [
    e(4321, "viptelaVPNId", T::Unsigned64, S::DEFAULT, U::NONE),
];
