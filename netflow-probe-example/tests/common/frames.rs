//! Frames built by hand, one of every kind that is read.

use netflow_probe_example::pcap::LinkType;

/// A frame with what should come out of it.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) name: &'static str,
    pub(crate) link_type: LinkType,
    pub(crate) data: Vec<u8>,
}

pub(crate) const SOURCE: [u8; 4] = [192, 0, 2, 1];
pub(crate) const DESTINATION: [u8; 4] = [198, 51, 100, 7];
pub(crate) const SOURCE_V6: [u8; 16] = [0x20, 0x01, 0x0D, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
pub(crate) const DESTINATION_V6: [u8; 16] = [0x20, 0x01, 0x0D, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
pub(crate) const SOURCE_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0xA];
pub(crate) const DESTINATION_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0xB];

pub(crate) fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// destination | source | type | payload
pub(crate) fn ethernet(ether_type: u16, payload: &[u8]) -> Vec<u8> {
    join(&[&DESTINATION_MAC, &SOURCE_MAC, &ether_type.to_be_bytes(), payload])
}

/// Header fields that tests vary: fragment field (flags and offset), options.
pub(crate) fn ipv4_with(protocol: u8, fragment: u16, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let header_length = 20 + options.len();
    let total = u16::try_from(header_length + payload.len()).unwrap();
    let first = 0x40 | u8::try_from(header_length / 4).unwrap();
    let (total, fragment) = (total.to_be_bytes(), fragment.to_be_bytes());
    join(&[
        &[first, 0xB8, total[0], total[1], 0, 1, fragment[0], fragment[1], 61, protocol, 0, 0],
        &SOURCE,
        &DESTINATION,
        options,
        payload,
    ])
}

pub(crate) fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    ipv4_with(protocol, 0x4000, &[], payload)
}

/// Traffic class 0xB8, flow label 0x12345, hop limit 61.
pub(crate) fn ipv6(next_header: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    join(&[
        &[0x6B, 0x81, 0x23, 0x45, length[0], length[1], next_header, 61],
        &SOURCE_V6,
        &DESTINATION_V6,
        payload,
    ])
}

pub(crate) fn udp(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + payload.len()).unwrap();
    join(&[&source.to_be_bytes(), &destination.to_be_bytes(), &length.to_be_bytes(), &[0, 0], payload])
}

/// With the nine flag bits of `flags`.
pub(crate) fn tcp(source: u16, destination: u16, flags: u16) -> Vec<u8> {
    join(&[
        &source.to_be_bytes(),
        &destination.to_be_bytes(),
        &[0, 0, 0, 1, 0, 0, 0, 2],
        &(0x5000 | flags).to_be_bytes(),
        &[0xFF, 0xFF, 0, 0, 0, 0],
    ])
}

/// One frame of every kind; all but the ones named `not ip` are UDP 49152 -> 2055 over the addresses above.
pub(crate) fn samples() -> Vec<Sample> {
    let udp = udp(49_152, 2055, &[0xAA; 40]);
    let v4 = ipv4(17, &udp);
    let v6 = ipv6(17, &udp);
    let extended = ipv6(
        0,
        &join(&[
            &[60, 0, 1, 4, 0, 0, 0, 0],
            &[43, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            &[44, 0, 0, 0, 0, 0, 0, 0],
            &[17, 0, 0, 0, 0, 0, 0, 9],
            &udp,
        ]),
    );
    let pppoe = [0x11, 0, 0, 7, 0, 70];
    let ethernet_samples = [
        ("plain", ethernet(0x0800, &v4)),
        ("padded", ethernet(0x0800, &join(&[&v4, &[0x55; 12]]))),
        ("options", ethernet(0x0800, &ipv4_with(17, 0, &[0x94, 4, 0, 0], &udp))),
        ("IPv6", ethernet(0x86DD, &v6)),
        ("extension headers", ethernet(0x86DD, &extended)),
        ("VLAN", ethernet(0x8100, &join(&[&[0xE0, 100, 0x08, 0x00], &v4]))),
        ("QinQ", ethernet(0x88A8, &join(&[&[0, 200, 0x81, 0x00, 0, 100, 0x08, 0x00], &v4]))),
        ("old QinQ", ethernet(0x9100, &join(&[&[0, 200, 0x81, 0x00, 0, 100, 0x86, 0xDD], &v6]))),
        ("MPLS", ethernet(0x8847, &join(&[&[0, 1, 0, 64, 0, 2, 1, 64], &v4]))),
        ("MPLS IPv6", ethernet(0x8848, &join(&[&[0, 1, 1, 64], &v6]))),
        ("PPPoE", ethernet(0x8864, &join(&[&pppoe, &[0x00, 0x21], &v4]))),
        ("PPPoE IPv6", ethernet(0x8864, &join(&[&pppoe, &[0x57], &v6]))),
        ("SNAP", ethernet(76, &join(&[&[0xAA, 0xAA, 3, 0, 0, 0, 0x08, 0x00], &v4]))),
        ("not ip: ARP", ethernet(0x0806, &[0; 28])),
        ("not ip: spanning tree", ethernet(38, &[0x42; 38])),
        ("not ip: pseudowire", ethernet(0x8847, &join(&[&[0, 1, 1, 64], &[0; 40]]))),
        ("not ip: PPPoE control", ethernet(0x8864, &join(&[&pppoe, &[0xC0, 0x21], &[1; 8]]))),
    ];
    let sll = |device: u8, ether_type: [u8; 2]| {
        join(&[&[0, 0, 0, device, 0, 6], &SOURCE_MAC, &[0, 0], &ether_type])
    };
    let sll2 = |packet_type: u8| {
        join(&[&[0x08, 0x00, 0, 0, 0, 0, 0, 3, 0, 1, packet_type, 6], &SOURCE_MAC, &[0, 0]])
    };
    let nflog = join(&[
        &[2, 0, 0, 0],
        &[8, 0, 1, 0, 0x08, 0x00, 1, 0],
        &[5, 0, 10, 0, 0x70, 0, 0, 0],
        &u16::try_from(v4.len() + 4).unwrap().to_le_bytes(),
        &[9, 0],
        &v4,
    ]);
    let other_samples = [
        ("raw", LinkType::RAW, v4.clone()),
        ("raw BSD", LinkType::RAW_BSD, v6.clone()),
        ("raw OpenBSD", LinkType::RAW_OPENBSD, v4.clone()),
        ("raw IPv4", LinkType::IPV4, v4.clone()),
        ("raw IPv6", LinkType::IPV6, v6.clone()),
        ("null", LinkType::NULL, join(&[&[2, 0, 0, 0], &v4])),
        ("null, other order", LinkType::NULL, join(&[&[0, 0, 0, 30], &v6])),
        ("loop", LinkType::LOOP, join(&[&[0, 0, 0, 24], &v6])),
        ("not ip: null", LinkType::NULL, join(&[&[0, 0, 0, 7], &v4])),
        ("cooked", LinkType::LINUX_SLL, join(&[&sll(1, [0x08, 0x00]), &v4])),
        ("cooked VLAN", LinkType::LINUX_SLL, join(&[&sll(1, [0x81, 0]), &[0, 5, 0x86, 0xDD], &v6])),
        ("not ip: cooked CAN", LinkType::LINUX_SLL, join(&[&sll(24, [0, 0x0C]), &v4])),
        ("cooked v2", LinkType::LINUX_SLL2, join(&[&sll2(0), &v4])),
        ("cooked v2 outgoing", LinkType::LINUX_SLL2, join(&[&sll2(4), &v4])),
        ("PPP", LinkType::PPP, join(&[&[0xFF, 0x03, 0x00, 0x21], &v4])),
        ("PPP compressed", LinkType::PPP, join(&[&[0x21], &v4])),
        ("PPP MPLS", LinkType::PPP, join(&[&[0x02, 0x81, 0, 1, 1, 64], &v4])),
        ("PPP HDLC", LinkType::PPP_HDLC, join(&[&[0xFF, 0x03, 0x00, 0x57], &v6])),
        ("PPP HDLC, Cisco", LinkType::PPP_HDLC, join(&[&[0x0F, 0x00, 0x08, 0x00], &v4])),
        ("PPPoE alone", LinkType::PPP_ETHER, join(&[&pppoe, &[0x00, 0x21], &v4])),
        ("Cisco HDLC", LinkType::CISCO_HDLC, join(&[&[0x0F, 0x00, 0x86, 0xDD], &v6])),
        ("not ip: SLARP", LinkType::CISCO_HDLC, join(&[&[0x8F, 0x00, 0x80, 0x35], &[0; 18]])),
        ("NFLOG", LinkType::NFLOG, nflog),
    ];
    let ethernet_samples =
        ethernet_samples.map(|(name, data)| Sample { name, link_type: LinkType::ETHERNET, data });
    let other_samples = other_samples.map(|(name, link_type, data)| Sample { name, link_type, data });
    ethernet_samples.into_iter().chain(other_samples).collect()
}
