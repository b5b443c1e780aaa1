//! UDP datagrams out of frames, for reading `NetFlow` from capture files.

use core::net::SocketAddr;

use netflow_flowcache::Fragment;

use super::{UDP, ip::IpPacket, link::LinkHeader};
use crate::pcap::LinkType;

/// A UDP datagram in a frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct UdpDatagram<'a> {
    /// Who sent it: the exporter.
    pub source: SocketAddr,
    /// Who should get it: the collector.
    pub destination: SocketAddr,
    /// The payload as far as the frame has it, without padding.
    pub payload: &'a [u8],
    /// Whether the frame has the whole payload. It has not when the capture cut the frame or when this is the first
    /// fragment of a datagram.
    pub complete: bool,
}

/// The UDP datagram in a frame; `None` when the outermost IP packet is none, or a later fragment of one, or its
/// UDP header is cut off or wrong.
#[must_use]
pub fn udp_datagram(link_type: LinkType, data: &[u8]) -> Option<UdpDatagram<'_>> {
    let link = LinkHeader::read(link_type, data).ok()?;
    let ip = IpPacket::read(link.network, link.payload, 0).ok()?;
    if ip.protocol != UDP || ip.fragment == Fragment::Later {
        return None;
    }
    let (&[s0, s1, d0, d1, l0, l1, _, _], behind) = ip.payload.split_first_chunk::<8>()?;
    // "This means the minimum value of the length is eight" (RFC 768).
    let length = usize::from(u16::from_be_bytes([l0, l1])).checked_sub(8)?;
    let payload = behind.get(..length).unwrap_or(behind);
    Some(UdpDatagram {
        source: SocketAddr::new(ip.source, u16::from_be_bytes([s0, s1])),
        destination: SocketAddr::new(ip.destination, u16::from_be_bytes([d0, d1])),
        payload,
        complete: payload.len() == length && ip.fragment == Fragment::Unfragmented,
    })
}
