//! How values stand in files: the one place that knows whether addresses are text or octets.

use core::net::IpAddr;

use super::restore::understand;
use crate::flow::{Cell, Kind};

/// How a column has its values.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    /// As people write them.
    Text,
    /// Four octets, or sixteen, in which those of IPv4 can be mapped; of a MAC address six.
    Octets,
}

impl Form {
    /// What the octets of a value say.
    pub(super) fn cell(self, kind: Kind, octets: &[u8]) -> Cell {
        match (self, kind) {
            (Self::Octets, Kind::Address | Kind::AddressList) => {
                address(octets).map_or(Cell::Absent, Cell::Address)
            }
            (Self::Octets, Kind::MacAddress) => octets.try_into().map_or(Cell::Absent, Cell::MacAddress),
            _ => core::str::from_utf8(octets).map_or(Cell::Absent, |text| understand(kind, text)),
        }
    }

    /// An address as it stands in the file.
    pub(super) fn octets_of(self, address: IpAddr) -> Vec<u8> {
        match (self, address) {
            (Self::Text, address) => address.to_string().into_bytes(),
            (Self::Octets, IpAddr::V4(address)) => address.octets().to_vec(),
            (Self::Octets, IpAddr::V6(address)) => address.octets().to_vec(),
        }
    }
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    let v6 = <[u8; 16]>::try_from(octets).map(|octets| IpAddr::from(octets).to_canonical());
    v4.or(v6).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_in_both_forms() {
        for text in ["192.0.2.1", "2001:db8::1"] {
            let address: IpAddr = text.parse().unwrap();
            for form in [Form::Text, Form::Octets] {
                assert_eq!(form.cell(Kind::Address, &form.octets_of(address)), Cell::Address(address));
            }
        }
        assert_eq!(Form::Octets.cell(Kind::Address, &[1, 2, 3]), Cell::Absent);
        assert_eq!(Form::Text.cell(Kind::Address, b"\xff"), Cell::Absent);
    }
}
