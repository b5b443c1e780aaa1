//! Elements of enterprise 10704, `Barracuda`. Generated: `tests/registry.rs` says how.

use super::{Entry, S, T, U, e};

#[rustfmt::skip]
pub(super) static ELEMENTS: [Entry; 12] = [
    e(1, "Timestamp", T::Unsigned32, S::DEFAULT, U::NONE),
    e(2, "LogOp", T::Unsigned8, S::DEFAULT, U::NONE),
    e(3, "TrafficType", T::Unsigned8, S::DEFAULT, U::NONE),
    e(4, "FW_Rule", T::String, S::DEFAULT, U::NONE),
    e(5, "ServiceName", T::String, S::DEFAULT, U::NONE),
    e(6, "Reason", T::Unsigned32, S::DEFAULT, U::NONE),
    e(7, "ReasonText", T::String, S::DEFAULT, U::NONE),
    e(8, "BindIPv4Address", T::Ipv4Address, S::DEFAULT, U::NONE),
    e(9, "BindTransportPort", T::Unsigned16, S::DEFAULT, U::NONE),
    e(10, "ConnIPv4Address", T::Ipv4Address, S::DEFAULT, U::NONE),
    e(11, "ConnTransportPort", T::Unsigned16, S::DEFAULT, U::NONE),
    e(12, "AuditCounter", T::Unsigned32, S::DEFAULT, U::NONE),
];
