//! Databases of addresses, written by the document of `MaxMind`'s format.

use core::net::IpAddr;

/// A value of the database's data section.
pub(crate) enum Data {
    Text(&'static str),
    Number(u32),
    Map(Vec<(&'static str, Self)>),
}

impl Data {
    fn write(&self, out: &mut Vec<u8>) {
        // Type in the three high bits, size in the rest; of sizes from 29 on what is more in an octet of its own.
        let control = |out: &mut Vec<u8>, kind: u8, size: usize| {
            let size = u8::try_from(size).unwrap();
            out.push(kind << 5 | size.min(29));
            out.extend(size.checked_sub(29));
        };
        match self {
            Self::Text(text) => {
                control(out, 2, text.len());
                out.extend(text.bytes());
            }
            Self::Number(number) => {
                control(out, 6, 4);
                out.extend(number.to_be_bytes());
            }
            Self::Map(members) => {
                control(out, 7, members.len());
                for (name, value) in members {
                    Self::Text(name).write(out);
                    value.write(out);
                }
            }
        }
    }
}

pub(crate) fn country(code: &'static str) -> Data {
    Data::Map(vec![("country", Data::Map(vec![("iso_code", Data::Text(code))]))])
}

pub(crate) fn autonomous_system(number: u32) -> Data {
    Data::Map(vec![
        ("autonomous_system_number", Data::Number(number)),
        ("autonomous_system_organization", Data::Text("Example")),
    ])
}

/// A database: search tree of nodes of two 32-bit records | 16 zeros | data | marker, metadata.
pub(crate) fn database(kind: &'static str, networks: &[(&str, Data)]) -> Vec<u8> {
    #[derive(Clone, Copy)]
    enum Record {
        Empty,
        Node(usize),
        Data(usize),
    }
    let mut nodes = vec![[Record::Empty; 2]];
    let mut data = Vec::new();
    for (network, value) in networks {
        let (address, length) = network.split_once('/').unwrap();
        let length: usize = length.parse().unwrap();
        // IPv4 is in the first 32 bits of 96 zeros.
        let (bits, length) = match address.parse().unwrap() {
            IpAddr::V4(v4) => (u128::from(v4.to_bits()), length + 96),
            IpAddr::V6(v6) => (v6.to_bits(), length),
        };
        let offset = data.len();
        value.write(&mut data);
        let mut node = 0;
        for depth in 0..length {
            let side = usize::from(bits >> (127 - depth) & 1 == 1);
            if depth + 1 == length {
                nodes[node][side] = Record::Data(offset);
            } else if let Record::Node(next) = nodes[node][side] {
                node = next;
            } else {
                nodes.push([Record::Empty; 2]);
                nodes[node][side] = Record::Node(nodes.len() - 1);
                node = nodes.len() - 1;
            }
        }
    }
    let mut out = Vec::new();
    for record in nodes.iter().flatten() {
        let number = match record {
            Record::Empty => nodes.len(),
            Record::Node(node) => *node,
            Record::Data(offset) => nodes.len() + 16 + offset,
        };
        out.extend(u32::try_from(number).unwrap().to_be_bytes());
    }
    out.extend([0; 16]);
    out.extend(data);
    out.extend(b"\xab\xcd\xefMaxMind.com");
    // Nine members; numbers of other widths than 32 bits by hand.
    out.push(7 << 5 | 9);
    let text = |out: &mut Vec<u8>, text: &'static str| Data::Text(text).write(out);
    for (name, octets) in [
        ("binary_format_major_version", &[5 << 5 | 1, 2][..]),
        ("binary_format_minor_version", &[5 << 5]),
        // An extended type: 64 bits, 9.
        ("build_epoch", &[1, 2, 1]),
        ("ip_version", &[5 << 5 | 1, 6]),
        ("record_size", &[5 << 5 | 1, 32]),
        // An extended type: array, 11, of none; and a map of none.
        ("languages", &[0, 4]),
        ("description", &[7 << 5]),
    ] {
        text(&mut out, name);
        out.extend(octets);
    }
    text(&mut out, "node_count");
    Data::Number(u32::try_from(nodes.len()).unwrap()).write(&mut out);
    text(&mut out, "database_type");
    text(&mut out, kind);
    out
}
