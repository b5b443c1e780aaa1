//! IP packets with UDP in them.
//!
//! ```text
//! IPv4: 45 tos length | id flags,offset | ttl 11 checksum | source | target        the kernel fills in id and checksum
//! IPv6: 6 class,label | length 11 hops | source | target
//! UDP:  source port, target port | length, checksum
//! ```

use core::net::{SocketAddrV4, SocketAddrV6};

const UDP: u8 = 17;
const HOPS: u8 = 64;

/// The packet; `None` when the payload is too long for one.
pub(super) fn ipv4(source: SocketAddrV4, target: SocketAddrV4, payload: &[u8]) -> Option<Vec<u8>> {
    let udp = u16::try_from(8 + payload.len()).ok()?;
    let total = udp.checked_add(20)?;
    let mut packet = Vec::with_capacity(total.into());
    packet.extend([0x45, 0]);
    packet.extend(total.to_be_bytes());
    packet.extend([0, 0, 0, 0, HOPS, UDP, 0, 0]);
    packet.extend(source.ip().octets());
    packet.extend(target.ip().octets());
    let pseudo = sum(&source.ip().octets()) + sum(&target.ip().octets());
    push_udp(&mut packet, pseudo, source.port(), target.port(), udp, payload);
    Some(packet)
}

/// As [`ipv4`].
pub(super) fn ipv6(source: SocketAddrV6, target: SocketAddrV6, payload: &[u8]) -> Option<Vec<u8>> {
    let udp = u16::try_from(8 + payload.len()).ok()?;
    let mut packet = Vec::with_capacity(40 + usize::from(udp));
    packet.extend([0x60, 0, 0, 0]);
    packet.extend(udp.to_be_bytes());
    packet.extend([UDP, HOPS]);
    packet.extend(source.ip().octets());
    packet.extend(target.ip().octets());
    let pseudo = sum(&source.ip().octets()) + sum(&target.ip().octets());
    push_udp(&mut packet, pseudo, source.port(), target.port(), udp, payload);
    Some(packet)
}

fn push_udp(packet: &mut Vec<u8>, pseudo: u64, source: u16, target: u16, length: u16, payload: &[u8]) {
    let pseudo = pseudo + u64::from(UDP) + u64::from(length);
    let header = u64::from(source) + u64::from(target) + u64::from(length);
    let mut folded = pseudo + header + sum(payload);
    while folded > 0xffff {
        folded = (folded & 0xffff) + (folded >> 16);
    }
    // A checksum of 0 would say that there is none.
    let checksum = match !u16::try_from(folded).unwrap_or(0) {
        0 => 0xffff,
        checksum => checksum,
    };
    for number in [source, target, length, checksum] {
        packet.extend(number.to_be_bytes());
    }
    packet.extend_from_slice(payload);
}

/// The sum of 16-bit words; an odd octet is the high one of its word.
fn sum(octets: &[u8]) -> u64 {
    let (words, rest) = octets.as_chunks::<2>();
    let odd = rest.first().map_or(0, |octet| u64::from(*octet) << 8);
    words.iter().map(|word| u64::from(u16::from_be_bytes(*word))).sum::<u64>() + odd
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_what_another_implementation_reads() {
        for length in [0, 1, 2, 57, 1464] {
            let payload: Vec<u8> = (0..=255).cycle().take(length).collect();
            let (a, b) = ("192.0.2.1:4711".parse().unwrap(), "198.51.100.9:2055".parse().unwrap());
            let packet = ipv4(a, b, &payload).unwrap();
            let sliced = etherparse::SlicedPacket::from_ip(&packet).unwrap();
            let Some(etherparse::TransportSlice::Udp(udp)) = &sliced.transport else { panic!() };
            assert_eq!(
                (udp.source_port(), udp.destination_port(), udp.payload()),
                (4711, 2055, &payload[..])
            );
            let Some(etherparse::NetSlice::Ipv4(ip)) = &sliced.net else { panic!() };
            let checksum = udp.to_header().calc_checksum_ipv4(&ip.header().to_header(), &payload).unwrap();
            assert_eq!(udp.checksum(), checksum);
            let (a, b) = ("[2001:db8::1]:4711".parse().unwrap(), "[2001:db8::2]:2055".parse().unwrap());
            let packet = ipv6(a, b, &payload).unwrap();
            let sliced = etherparse::SlicedPacket::from_ip(&packet).unwrap();
            let Some(etherparse::TransportSlice::Udp(udp)) = &sliced.transport else { panic!() };
            let Some(etherparse::NetSlice::Ipv6(ip)) = &sliced.net else { panic!() };
            let checksum = udp.to_header().calc_checksum_ipv6(&ip.header().to_header(), &payload).unwrap();
            assert_eq!((udp.checksum(), udp.payload()), (checksum, &payload[..]));
        }
        let (a, b) = ("192.0.2.1:4711".parse().unwrap(), "198.51.100.9:2055".parse().unwrap());
        assert_eq!(ipv4(a, b, &vec![0; 65_536]), None);
    }
}
