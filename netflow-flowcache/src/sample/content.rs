//! The octets of a packet, for selectors that look at them.

/// A view of an IP packet: header and payload as they were on the wire.
///
/// [`crate::ObservedPacket`] has what flows are made of; hash-based selection reads the octets themselves. What was
/// not captured is not there: for several observation points to select the same packets, each of them has to capture
/// the whole part that is hashed.
///
/// ```
/// use netflow_flowcache::sample::PacketContent;
///
/// let packet = [0x45, 0, 0, 24, 0, 1, 0, 0, 64, 1, 0, 0, 192, 0, 2, 1, 198, 51, 100, 7, 8, 0, 0xf7, 0xff, 0, 0];
/// let content = PacketContent::parse(&packet).ok_or("not an IP packet")?;
/// assert_eq!(content.payload(), [8, 0, 0xf7, 0xff]); // what the link added behind it is left out
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct PacketContent<'a> {
    header: Header<'a>,
    payload: &'a [u8],
}

#[derive(Clone, Copy, Debug)]
enum Header<'a> {
    V4(&'a [u8; 20]),
    V6(&'a [u8; 40]),
}

impl<'a> PacketContent<'a> {
    /// From the first octet of the IP header on, as far as captured; octets behind the length that the header says are
    /// left out. `None` when it is no IP packet, or the fixed part of its header is cut off.
    #[must_use]
    pub fn parse(octets: &'a [u8]) -> Option<Self> {
        let total = |length: [u8; 2]| usize::from(u16::from_be_bytes(length));
        match octets.first()? >> 4 {
            4 => {
                let header = octets.first_chunk::<20>()?;
                let length = usize::from(header[0] & 0x0F) * 4;
                if length < 20 {
                    return None;
                }
                // A total length of 0 was left to the network card to fill in.
                let end = match total([header[2], header[3]]) {
                    0 => octets.len(),
                    end => end.min(octets.len()),
                };
                Some(Self { header: Header::V4(header), payload: octets.get(length..end).unwrap_or(&[]) })
            }
            6 => {
                let (header, behind) = octets.split_first_chunk::<40>()?;
                // A payload length of 0 is that of a jumbogram (RFC 2675), or the network card's.
                let payload = match total([header[4], header[5]]) {
                    0 => behind,
                    length => behind.get(..length).unwrap_or(behind),
                };
                Some(Self { header: Header::V6(header), payload })
            }
            _ => None,
        }
    }

    /// What follows the IPv4 header with its options, or the 40 octets of the IPv6 header: extension headers are
    /// payload, as for ipPayloadPacketSection (element 314).
    #[must_use]
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Whether it is an IPv4 packet; otherwise it is an IPv6 packet.
    #[must_use]
    pub const fn is_ipv4(&self) -> bool {
        matches!(self.header, Header::V4(_))
    }

    /// The octets of the payload from `offset` on, `size` at most: fewer where the payload ends before.
    pub(super) fn section(&self, offset: u16, size: u16) -> &'a [u8] {
        let from = self.payload.get(usize::from(offset)..).unwrap_or(&[]);
        from.get(..usize::from(size)).unwrap_or(from)
    }

    /// The fields of the header that go into a hash, in the order of the header (RFC 5475 section 6.2.4.1).
    ///
    /// IPv4: identification, flags and fragment offset, both addresses. IPv6: payload length, octets 10, 11, 14, 15
    /// and 16 of each address counted from 1. Time to live, checksum and class change on the way and are left out.
    pub(super) const fn invariant_header(&self) -> [u8; 12] {
        match self.header {
            Header::V4(h) => [h[4], h[5], h[6], h[7], h[12], h[13], h[14], h[15], h[16], h[17], h[18], h[19]],
            Header::V6(h) => {
                [h[4], h[5], h[17], h[18], h[21], h[22], h[23], h[33], h[34], h[37], h[38], h[39]]
            }
        }
    }

    /// The four words that IPSX mixes, where there are any: bits 32 to 63 of the IPv4 header, both addresses, bits 32
    /// to 63 of the payload with zeros for what is not there.
    pub(super) fn ipsx_words(&self) -> Option<[u32; 4]> {
        let Header::V4(h) = self.header else { return None };
        let mut payload = [0; 4];
        for (octet, there) in payload.iter_mut().zip(self.section(4, 4)) {
            *octet = *there;
        }
        Some(
            [[h[4], h[5], h[6], h[7]], [h[12], h[13], h[14], h[15]], [h[16], h[17], h[18], h[19]], payload]
                .map(u32::from_be_bytes),
        )
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn the_fields_of_the_header_are_those_of_the_rfc() {
        let mut v6: Vec<u8> = (0..60).collect();
        v6[0] = 0x60;
        v6[4..6].copy_from_slice(&[0, 12]);
        let content = PacketContent::parse(&v6).unwrap();
        // Octet n of the source, counted from 1, is octet 7 + n of the header; of the destination, 23 + n.
        assert_eq!(content.invariant_header(), [0, 12, 17, 18, 21, 22, 23, 33, 34, 37, 38, 39]);
        assert_eq!((content.payload(), content.is_ipv4()), (&v6[40..52], false));
        assert!(content.ipsx_words().is_none());

        let mut v4: Vec<u8> = (0..60).collect();
        v4[0] = 0x47;
        v4[2..4].copy_from_slice(&[0, 34]);
        let content = PacketContent::parse(&v4).unwrap();
        assert_eq!(content.invariant_header(), [4, 5, 6, 7, 12, 13, 14, 15, 16, 17, 18, 19]);
        assert_eq!(content.payload(), &v4[28..34]);
        assert_eq!(content.ipsx_words().unwrap()[3], 0x2021_0000);
        assert_eq!((content.section(2, 3), content.section(5, 9)), (&v4[30..33], &v4[33..34]));
        assert!(content.section(7, 4).is_empty());
    }

    #[test]
    fn what_is_cut_off_or_nonsense_is_no_packet_or_has_less_payload() {
        let mut v4 = [0_u8; 48];
        for (first, length, payload) in [
            (0x45, 0, Some(28)),    // the length is to be filled in
            (0x45, 30, Some(10)),   // padding behind
            (0x45, 9, Some(0)),     // shorter than its header
            (0x45, 1500, Some(28)), // cut off by the capture
            (0x4F, 1500, Some(0)),  // options up to behind the end
            (0x44, 40, None),       // a header of 16 octets
            (0x55, 40, None),       // version 5
            (0x65, 1500, Some(8)),  // IPv6
        ] {
            v4[0] = first;
            v4[2..4].copy_from_slice(&u16::to_be_bytes(length));
            let found = PacketContent::parse(&v4).map(|content| content.payload().len());
            assert_eq!(found, payload, "{first:x} {length}");
        }
        v4[0] = 0x45;
        for length in 0..20 {
            assert!(PacketContent::parse(&v4[..length]).is_none());
        }
    }
}
