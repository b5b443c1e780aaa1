//! Capture files built by hand, in either byte order.

/// The byte order of a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Order {
    Little,
    Big,
}

pub(crate) const ORDERS: [Order; 2] = [Order::Little, Order::Big];

impl Order {
    pub(crate) fn u16(self, number: u16) -> [u8; 2] {
        if self == Self::Little { number.to_le_bytes() } else { number.to_be_bytes() }
    }

    pub(crate) fn u32(self, number: u32) -> [u8; 4] {
        if self == Self::Little { number.to_le_bytes() } else { number.to_be_bytes() }
    }

    pub(crate) fn u64(self, number: u64) -> [u8; 8] {
        if self == Self::Little { number.to_le_bytes() } else { number.to_be_bytes() }
    }

    /// magic | version | zone | accuracy | snap length | link type
    pub(crate) fn pcap_header(self, magic: u32, link_type: u32) -> Vec<u8> {
        [
            self.u32(magic).as_slice(),
            &self.u16(2),
            &self.u16(4),
            &[0; 8],
            &self.u32(65_535),
            &self.u32(link_type),
        ]
        .concat()
    }

    /// seconds | fraction | captured | original | data
    pub(crate) fn pcap_record(self, seconds: u32, fraction: u32, original: u32, data: &[u8]) -> Vec<u8> {
        let captured = u32::try_from(data.len()).unwrap();
        [self.u32(seconds).as_slice(), &self.u32(fraction), &self.u32(captured), &self.u32(original), data]
            .concat()
    }

    /// type | length | body | padding | length
    pub(crate) fn block(self, block_type: u32, body: &[u8]) -> Vec<u8> {
        let padded = body.len().next_multiple_of(4);
        let length = self.u32(u32::try_from(padded + 12).unwrap());
        let padding = vec![0; padded - body.len()];
        [self.u32(block_type).as_slice(), &length, body, &padding, &length].concat()
    }

    pub(crate) fn section(self) -> Vec<u8> {
        let body =
            [self.u32(0x1A2B_3C4D).as_slice(), &self.u16(1), &self.u16(0), &self.u64(u64::MAX)].concat();
        self.block(0x0A0D_0D0A, &body)
    }

    /// Options are (code, value).
    pub(crate) fn interface(self, link_type: u16, snap_length: u32, options: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = [self.u16(link_type).as_slice(), &[0, 0], &self.u32(snap_length)].concat();
        for (code, value) in options {
            body.extend(self.u16(*code));
            body.extend(self.u16(u16::try_from(value.len()).unwrap()));
            body.extend(*value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        if !options.is_empty() {
            body.extend([0; 4]);
        }
        self.block(1, &body)
    }

    pub(crate) fn enhanced(self, interface: u32, units: u64, original: u32, data: &[u8]) -> Vec<u8> {
        let body = [self.u32(interface).as_slice(), &self.packet(units, original, data)].concat();
        self.block(6, &body)
    }

    pub(crate) fn obsolete(self, interface: u16, units: u64, original: u32, data: &[u8]) -> Vec<u8> {
        let body =
            [self.u16(interface).as_slice(), &[0xFF, 0xFF], &self.packet(units, original, data)].concat();
        self.block(2, &body)
    }

    pub(crate) fn simple(self, original: u32, data: &[u8]) -> Vec<u8> {
        self.block(3, &[self.u32(original).as_slice(), data].concat())
    }

    fn packet(self, units: u64, original: u32, data: &[u8]) -> Vec<u8> {
        let captured = u32::try_from(data.len()).unwrap();
        [
            self.u32(u32::try_from(units >> 32).unwrap()).as_slice(),
            &self.u32(u32::try_from(units & 0xFFFF_FFFF).unwrap()),
            &self.u32(captured),
            &self.u32(original),
            data,
        ]
        .concat()
    }
}
