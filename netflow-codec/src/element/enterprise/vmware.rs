//! Elements of enterprise 6876, `VMware`. Generated: `tests/registry.rs` says how.

use super::{Entry, S, T, U, e};

#[rustfmt::skip]
pub(super) static ELEMENTS: [Entry; 23] = [
    e(880, "tenantProtocol", T::Unsigned8, S::IDENTIFIER, U::NONE),
    e(881, "tenantSourceIPv4", T::Ipv4Address, S::DEFAULT, U::NONE),
    e(882, "tenantDestIPv4", T::Ipv4Address, S::DEFAULT, U::NONE),
    e(883, "tenantSourceIPv6", T::Ipv6Address, S::DEFAULT, U::NONE),
    e(884, "tenantDestIPv6", T::Ipv6Address, S::DEFAULT, U::NONE),
    e(886, "tenantSourcePort", T::Unsigned16, S::IDENTIFIER, U::NONE),
    e(887, "tenantDestPort", T::Unsigned16, S::IDENTIFIER, U::NONE),
    e(888, "egressInterfaceAttr", T::Unsigned16, S::IDENTIFIER, U::NONE),
    e(889, "vxlanExportRole", T::Unsigned8, S::IDENTIFIER, U::NONE),
    e(890, "ingressInterfaceAttr", T::Unsigned16, S::IDENTIFIER, U::NONE),
    e(898, "virtualObsID", T::String, S::DEFAULT, U::NONE),
    e(950, "ruleId", T::Unsigned32, S::IDENTIFIER, U::NONE),
    e(951, "vmUuid", T::String, S::DEFAULT, U::NONE),
    e(952, "vnicIndex", T::Unsigned32, S::IDENTIFIER, U::NONE),
    e(953, "sessionFlags", T::Unsigned8, S::IDENTIFIER, U::NONE),
    e(954, "flowDirection", T::Unsigned8, S::IDENTIFIER, U::NONE),
    e(955, "algControlFlowId", T::Unsigned64, S::IDENTIFIER, U::NONE),
    e(956, "algType", T::Unsigned8, S::IDENTIFIER, U::NONE),
    e(957, "algFlowType", T::Unsigned8, S::IDENTIFIER, U::NONE),
    e(958, "averageLatency", T::Unsigned32, S::DEFAULT, U::MICROSECONDS),
    e(959, "retransmissionCount", T::Unsigned32, S::DEFAULT, U::NONE),
    e(960, "vifUuid", T::OctetArray, S::DEFAULT, U::NONE),
    e(961, "vifId", T::String, S::DEFAULT, U::NONE),
];
