//! How values stand in files: the one place that knows whether addresses are text or octets.

use core::net::{IpAddr, Ipv4Addr};

use super::restore::understand;
use crate::flow::{Cell, Kind};

/// How addresses stand in files.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub enum Form {
    /// As people write them.
    #[default]
    Text,
    /// Four octets, or sixteen.
    // Others' files may have those of IPv4 mapped into sixteen, and MAC addresses as six.
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
            (Self::Text, Kind::Address) => match ipv4(octets) {
                Some(address) => Cell::Address(address.into()),
                None => text(kind, octets),
            },
            _ => text(kind, octets),
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

fn text(kind: Kind, octets: &[u8]) -> Cell {
    core::str::from_utf8(octets).map_or(Cell::Absent, |text| understand(kind, text))
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    let v6 = <[u8; 16]>::try_from(octets).map(|octets| IpAddr::from(octets).to_canonical());
    v4.or(v6).ok()
}

/// An address of IPv4 as text: most are, and the general way takes several times as long.
fn ipv4(text: &[u8]) -> Option<Ipv4Addr> {
    let (mut bits, mut dots) = (0_u32, 0);
    let (mut number, mut digits) = (0_u32, 0);
    for octet in text {
        match octet {
            // Zeros in front mean something else elsewhere.
            b'0'..=b'9' if digits == 0 || (number > 0 && digits < 3) => {
                number = number * 10 + u32::from(octet - b'0');
                digits += 1;
            }
            b'.' if digits > 0 && dots < 3 && number < 256 => {
                bits = bits << 8 | number;
                (number, digits) = (0, 0);
                dots += 1;
            }
            _ => return None,
        }
    }
    (dots == 3 && digits > 0 && number < 256).then(|| (bits << 8 | number).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_ipv4_are_read_as_the_standard_library_does() {
        for text in [
            "0.0.0.0",
            "255.255.255.255",
            "10.0.0.1",
            "1.2.3",
            "1.2.3.4.5",
            "1.2.3.",
            ".1.2.3",
            "01.2.3.4",
            "1.2.3.256",
            "1.2.3.999",
            "1.2.3.1000",
            "1..2.3",
            "1.2.3.4 ",
            "::1",
            "",
            "1.2.3.a",
            "192.0.2.30",
        ] {
            assert_eq!(ipv4(text.as_bytes()), text.parse().ok(), "{text}");
        }
    }

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
