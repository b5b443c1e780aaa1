//! What flows of attacks look like.

use core::net::IpAddr;

use netflow_codec::FlowFields;
use serde::Serialize;

use crate::{flow::Flow, query::Prefix};

/// What a flood is made of.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Vector {
    /// TCP packets with SYN and without ACK.
    Syn,
    /// Answers of a service that many open to everybody, by its UDP port, of at least
    /// [`Thresholds::amplified_octets`](super::Thresholds::amplified_octets) a packet.
    Amplification(u16),
    /// ICMP of IPv4 or IPv6.
    Icmp,
    /// Fragments behind the first one: they have no ports.
    Fragments,
    /// Other UDP.
    Udp,
}

impl Vector {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Syn => "SYN",
            Self::Amplification(_) => "amplification",
            Self::Icmp => "ICMP",
            Self::Fragments => "fragments",
            Self::Udp => "UDP",
        }
    }
}

/// UDP services that answer anybody with more than they were asked: port and name.
pub const REFLECTORS: [(u16, &str); 28] = [
    (17, "QOTD"),
    (19, "CHARGEN"),
    (53, "DNS"),
    (69, "TFTP"),
    (111, "portmap"),
    (123, "NTP"),
    (137, "NetBIOS"),
    (161, "SNMP"),
    (177, "XDMCP"),
    (389, "CLDAP"),
    (427, "SLP"),
    (520, "RIP"),
    (623, "IPMI"),
    (1_434, "MS SQL"),
    (1_900, "SSDP"),
    (3_283, "Apple Remote Desktop"),
    (3_478, "STUN"),
    (3_702, "WS-Discovery"),
    (5_093, "Sentinel"),
    (5_353, "mDNS"),
    (5_683, "CoAP"),
    (10_001, "Ubiquiti discovery"),
    (11_211, "memcached"),
    (17_185, "VxWorks"),
    (27_015, "Steam"),
    (30_718, "Lantronix"),
    (33_848, "Jenkins"),
    (37_810, "DHCPDiscover of DVRs"),
];

/// The name of a service that reflects.
#[must_use]
pub fn reflector(port: u16) -> Option<&'static str> {
    let place = REFLECTORS.binary_search_by_key(&port, |(port, _)| *port).ok()?;
    REFLECTORS.get(place).map(|(_, name)| *name)
}

/// Who is attacked, by whom, how.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) enum Key {
    /// One address gets too much.
    Flood(Vector, IpAddr),
    /// The addresses of a prefix get too much together.
    Carpet(Vector, Prefix),
    /// One source asks for the same port, or with ICMP, of many.
    Horizontal { protocol: u8, source: IpAddr, port: u16 },
    /// One source asks for many ports of one.
    Vertical { source: IpAddr, target: IpAddr },
}

impl Key {
    pub(super) const fn is_scan(self) -> bool {
        matches!(self, Self::Horizontal { .. } | Self::Vertical { .. })
    }
}

const SYN: u16 = 0x02;
const RST: u16 = 0x04;
const ACK: u16 = 0x10;

/// What a flow may be a part of.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shape {
    pub(super) vector: Option<Vector>,
    /// A question for a port or an answer to a ping, that is repeated at most twice.
    pub(super) is_probe: bool,
}

impl Shape {
    pub(super) fn of(flow: &Flow<'_>, amplified_octets: u64) -> Self {
        let record = &flow.record;
        let is_addressed =
            FlowFields::SOURCE | FlowFields::DESTINATION | FlowFields::PROTOCOL | FlowFields::PACKETS;
        if !record.has(is_addressed) || record.packets == 0 {
            return Self::default();
        }
        let (source_port, destination_port) = (record.source_port, record.destination_port);
        let each = record.octets / record.packets;
        let few = record.packets <= 3;
        let has_ports = record.has(FlowFields::SOURCE_PORT | FlowFields::DESTINATION_PORT);
        let is_fragment =
            matches!(record.protocol, 6 | 17) && has_ports && source_port == 0 && destination_port == 0;
        if is_fragment {
            return Self { vector: Some(Vector::Fragments), is_probe: false };
        }
        match record.protocol {
            6 if record.has(FlowFields::TCP_FLAGS) && record.tcp_flags & (SYN | ACK) == SYN => {
                // Behind a reset of the client's nothing comes: half-open scanners do that.
                let is_flood = record.tcp_flags & RST == 0;
                Self { vector: is_flood.then_some(Vector::Syn), is_probe: few }
            }
            17 if reflector(source_port).is_some() && each >= amplified_octets => {
                Self { vector: Some(Vector::Amplification(source_port)), is_probe: false }
            }
            17 => Self { vector: Some(Vector::Udp), is_probe: false },
            1 | 58 => {
                let asks = matches!(flow.icmp_type(), Some(8 | 128));
                Self { vector: Some(Vector::Icmp), is_probe: few && asks }
            }
            _ => Self::default(),
        }
    }
}

/// Whether packets of this source cannot come from elsewhere: private, reserved, multicast, documentation.
pub(super) const fn is_never_routed(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            matches!(
                (a, b, c),
                (0 | 10 | 127 | 224.., ..)
                    | (100, 64..128, _)
                    | (169, 254, _)
                    | (172, 16..32, _)
                    | (192, 168, _)
                    | (192, 0, 0 | 2)
                    | (198, 18 | 19, _)
                    | (198, 51, 100)
                    | (203, 0, 113)
            )
        }
        // Only 2000::/3 is given out.
        IpAddr::V6(address) => {
            let [first, second, ..] = address.segments();
            first & 0xe000 != 0x2000 || first == 0x2001 && second == 0xdb8
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reflectors_are_in_order_and_found() {
        assert!(REFLECTORS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert_eq!(
            (reflector(53), reflector(11_211), reflector(443)),
            (Some("DNS"), Some("memcached"), None)
        );
    }

    #[test]
    fn addresses_that_are_never_routed_are_known() {
        for address in [
            "10.1.2.3",
            "0.1.2.3",
            "100.64.0.1",
            "172.31.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "fe80::1",
            "::1",
        ] {
            assert!(is_never_routed(address.parse().unwrap()), "{address}");
        }
        for address in ["8.8.8.8", "100.128.0.1", "172.32.0.1", "192.0.1.1", "2600::1", "223.255.255.255"] {
            assert!(!is_never_routed(address.parse().unwrap()), "{address}");
        }
    }
}
