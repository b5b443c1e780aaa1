//! The IP header and what stands between it and the transport header.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netflow_flowcache::Fragment;

use super::Malformed;

/// Which network protocol the link header announces.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Network {
    Ipv4,
    Ipv6,
    /// IP of the version that its first four bits say.
    ByVersion,
}

/// An IP packet up to its transport header.
#[derive(Clone, Copy, Debug)]
pub(super) struct IpPacket<'a> {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    /// Octets of header and payload according to the header.
    pub(super) octets: u32,
    pub(super) flow_label: u32,
    /// Behind the extension headers; the extension header itself when it is cut off.
    pub(super) protocol: u8,
    pub(super) tos: u8,
    pub(super) ttl: u8,
    pub(super) fragment: Fragment,
    /// What the fragments of a packet share; 0 in IPv6 without a fragment header.
    pub(super) identification: u32,
    /// The captured octets from the transport header on, without link padding behind the packet.
    pub(super) payload: &'a [u8],
}

impl<'a> IpPacket<'a> {
    /// Reads the outermost IP header of `data`, of which `on_wire` octets were on the wire.
    #[inline]
    pub(super) fn read(network: Network, data: &'a [u8], on_wire: u32) -> Result<Self, Malformed> {
        let version = data.first().ok_or(Malformed::IpHeaderCut)? >> 4;
        match (network, version) {
            (Network::Ipv4 | Network::ByVersion, 4) => Self::ipv4(data, on_wire),
            (Network::Ipv6 | Network::ByVersion, 6) => Self::ipv6(data, on_wire),
            _ => Err(Malformed::IpVersion),
        }
    }

    /// RFC 791 section 3.1.
    #[inline]
    fn ipv4(data: &'a [u8], on_wire: u32) -> Result<Self, Malformed> {
        let header = data.first_chunk::<20>().ok_or(Malformed::IpHeaderCut)?;
        let header_length = usize::from(header[0] & 0x0F) * 4;
        if header_length < 20 {
            return Err(Malformed::Ipv4HeaderLength);
        }
        let total_length = u16::from_be_bytes([header[2], header[3]]);
        let (octets, end) = match usize::from(total_length) {
            // The segmentation of TCP was left to the network card, which had yet to fill in the length.
            0 => (on_wire, data.len()),
            length if length < header_length => return Err(Malformed::Ipv4TotalLength),
            length => (u32::from(total_length), length.min(data.len())),
        };
        let fragment_field = u16::from_be_bytes([header[6], header[7]]);
        let fragment = match (fragment_field & 0x1FFF, fragment_field & 0x2000) {
            (0, 0) => Fragment::Unfragmented,
            (0, _) => Fragment::First,
            _ => Fragment::Later,
        };
        Ok(Self {
            source: IpAddr::V4(Ipv4Addr::new(header[12], header[13], header[14], header[15])),
            destination: IpAddr::V4(Ipv4Addr::new(header[16], header[17], header[18], header[19])),
            octets,
            flow_label: 0,
            protocol: header[9],
            tos: header[1],
            ttl: header[8],
            fragment,
            identification: u16::from_be_bytes([header[4], header[5]]).into(),
            payload: data.get(header_length..end).unwrap_or(&[]),
        })
    }

    /// RFC 8200 section 3.
    #[inline]
    fn ipv6(data: &'a [u8], on_wire: u32) -> Result<Self, Malformed> {
        let (header, behind) = data.split_first_chunk::<40>().ok_or(Malformed::IpHeaderCut)?;
        let first_word = u32::from_be_bytes([header[0], header[1], header[2], header[3]]);
        let payload_length = u16::from_be_bytes([header[4], header[5]]);
        let next_header = header[6];
        let (octets, behind) = if payload_length == 0 && next_header != NO_NEXT_HEADER {
            // A jumbogram (RFC 2675) or segmentation offload: longer than the header can say.
            (on_wire, behind)
        } else {
            let length = usize::from(payload_length).min(behind.len());
            (40 + u32::from(payload_length), behind.get(..length).unwrap_or(behind))
        };
        let upper = UpperLayer::find(next_header, behind);
        Ok(Self {
            source: address_v6(header, 8),
            destination: address_v6(header, 24),
            octets,
            flow_label: first_word & 0x000F_FFFF,
            protocol: upper.protocol,
            tos: (first_word >> 20).to_be_bytes()[3],
            ttl: header[7],
            fragment: upper.fragment,
            identification: upper.identification,
            payload: upper.payload,
        })
    }
}

#[inline]
fn address_v6(header: &[u8; 40], position: usize) -> IpAddr {
    let octets = header.get(position..).and_then(<[u8]>::first_chunk::<16>).copied().unwrap_or_default();
    IpAddr::V6(Ipv6Addr::from(octets))
}

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const NO_NEXT_HEADER: u8 = 59;
const DESTINATION_OPTIONS: u8 = 60;
const MOBILITY: u8 = 135;

/// Extension headers of one packet that are followed. RFC 8200 section 4.1 lists seven as a sane order.
const MAX_EXTENSION_HEADERS: usize = 16;

/// What stands behind the extension headers of an IPv6 packet.
struct UpperLayer<'a> {
    protocol: u8,
    fragment: Fragment,
    identification: u32,
    payload: &'a [u8],
}

impl<'a> UpperLayer<'a> {
    /// Follows the chain (RFC 8200 section 4) as far as it was captured.
    ///
    /// Authentication Header and ESP end it: they are the protocol that is metered, as in IPv4.
    #[inline]
    fn find(next_header: u8, payload: &'a [u8]) -> Self {
        let mut found =
            Self { protocol: next_header, fragment: Fragment::Unfragmented, identification: 0, payload };
        for _ in 0..MAX_EXTENSION_HEADERS {
            let is_last = match found.protocol {
                FRAGMENT => found.enter_fragment(),
                HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS | MOBILITY => found.enter_extension(),
                _ => true,
            };
            if is_last {
                return found;
            }
        }
        found
    }

    /// ```text
    /// next header (1) | reserved (1) | offset (13 bits), 2 bits, more (1 bit) | identification (4)
    /// ```
    fn enter_fragment(&mut self) -> bool {
        let Some((header, behind)) = self.payload.split_first_chunk::<8>() else {
            return true;
        };
        let field = u16::from_be_bytes([header[2], header[3]]);
        self.protocol = header[0];
        self.identification = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
        self.payload = behind;
        match (field & 0xFFF8, field & 1) {
            // A fragment that is the whole packet (RFC 6946).
            (0, 0) => {}
            (0, _) => self.fragment = Fragment::First,
            _ => self.fragment = Fragment::Later,
        }
        self.fragment == Fragment::Later
    }

    /// ```text
    /// next header (1) | length in units of 8 octets, the first not counted (1) | ...
    /// ```
    ///
    /// The next header is known even when the rest of this one is cut off.
    fn enter_extension(&mut self) -> bool {
        let Some(&[next_header, units, ..]) = self.payload.first_chunk::<8>() else {
            return true;
        };
        self.protocol = next_header;
        self.payload = self.payload.get((usize::from(units) + 1) * 8..).unwrap_or(&[]);
        false
    }
}
