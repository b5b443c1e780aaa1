//! Elements of enterprises, by enterprise number and number. Generated: `tests/registry.rs` says how.

mod astaro;
mod barracuda;
mod cert;
mod cesnet;
mod cisco;
mod citrix;
mod flowmon;
mod gigamon;
mod huawei;
mod ixia;
mod masaryk;
mod netfilter;
mod nokia;
mod procera;
mod viptela;
mod vmware;

use super::{DataType as T, ElementInfo, Semantics as S, Units as U};

type Entry = (u16, ElementInfo);

const fn e(number: u16, name: &'static str, data_type: T, semantics: S, units: U) -> Entry {
    let info = ElementInfo::new(name, data_type);
    (number, ElementInfo { semantics, units, ..info })
}

/// Enterprise number, name, elements.
pub(super) type Enterprise = (u32, &'static str, &'static [Entry]);

pub(super) fn table(enterprise: u32) -> Option<&'static Enterprise> {
    let found = ENTERPRISES.binary_search_by_key(&enterprise, |(number, ..)| *number).ok()?;
    ENTERPRISES.get(found)
}

pub(super) fn info(enterprise: u32, number: u16) -> Option<&'static ElementInfo> {
    let (_, _, elements) = table(enterprise)?;
    let found = elements.binary_search_by_key(&number, |(number, _)| *number).ok()?;
    elements.get(found).map(|(_, info)| info)
}

#[rustfmt::skip]
static ENTERPRISES: [Enterprise; 16] = [
    (9, "Cisco", &cisco::ELEMENTS),
    (637, "Nokia/Alcatel-Lucent", &nokia::ELEMENTS),
    (2011, "Huawei", &huawei::ELEMENTS),
    (3054, "Ixia/Keysight", &ixia::ELEMENTS),
    (5951, "Citrix NetScaler", &citrix::ELEMENTS),
    (6871, "CERT/CC", &cert::ELEMENTS),
    (6876, "VMware", &vmware::ELEMENTS),
    (8057, "CESNET", &cesnet::ELEMENTS),
    (9789, "Astaro/Sophos", &astaro::ELEMENTS),
    (10704, "Barracuda", &barracuda::ELEMENTS),
    (15397, "Procera/Sandvine", &procera::ELEMENTS),
    (16982, "Masaryk University", &masaryk::ELEMENTS),
    (21373, "netfilter/iptables", &netfilter::ELEMENTS),
    (26866, "Gigamon", &gigamon::ELEMENTS),
    (39499, "Flowmon", &flowmon::ELEMENTS),
    (41916, "Viptela", &viptela::ELEMENTS),
];
