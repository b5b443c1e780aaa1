//! Properties that packets are to have.

use netflow_flowcache::sample::Property;

use super::stage::number;

/// `NAME=VALUE`.
pub(super) fn parse_property(text: &str) -> Result<Property, String> {
    let (name, value) = text.split_once('=').ok_or("NAME=VALUE expected")?;
    let address = || value.parse().map_err(|_| format!("`{value}` is no address"));
    Ok(match name {
        "version" => Property::IpVersion(number(value)?),
        "source" => Property::Source(address()?),
        "destination" => Property::Destination(address()?),
        "protocol" => Property::Protocol(number(value)?),
        "source-port" => Property::SourcePort(number(value)?),
        "destination-port" => Property::DestinationPort(number(value)?),
        "tos" => Property::Tos(number(value)?),
        "ttl" => Property::Ttl(number(value)?),
        "octets" => Property::Octets(number(value)?),
        "tcp-flags" => Property::TcpFlags(number(value)?),
        "icmp" => Property::IcmpTypeCode(type_code(value)?),
        "icmpv6" => Property::Icmpv6TypeCode(type_code(value)?),
        "flow-label" => Property::Ipv6FlowLabel(number(value)?),
        "ingress" => Property::IngressInterface(number(value)?),
        "egress" => Property::EgressInterface(number(value)?),
        "vlan" => Property::Vlan(number(value)?),
        "inner-vlan" => Property::InnerVlan(number(value)?),
        "source-mac" => Property::SourceMac(mac(value)?),
        "destination-mac" => Property::DestinationMac(mac(value)?),
        _ => return Err(format!("`{name}` is no property")),
    })
}

/// `TYPE/CODE`.
fn type_code(text: &str) -> Result<u16, String> {
    let (of_type, code) = text.split_once('/').ok_or("TYPE/CODE expected")?;
    Ok(u16::from_be_bytes([number(of_type)?, number(code)?]))
}

fn mac(text: &str) -> Result<[u8; 6], String> {
    let octets: Option<Vec<u8>> = text.split(':').map(|octet| u8::from_str_radix(octet, 16).ok()).collect();
    octets.and_then(|octets| octets.try_into().ok()).ok_or_else(|| format!("`{text}` is no MAC address"))
}
