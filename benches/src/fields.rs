//! Layouts of data records, element by element.

use netflow_codec::{ElementId, FieldSpecifier};

/// Records of a v9 datagram with [`IPV4_FIELDS`].
pub const IPV4_RECORDS: usize = 24;
/// Twenty fields, 51 octets: element and length.
pub const IPV4_FIELDS: [(u16, u16); 20] = [
    (8, 4),
    (12, 4),
    (15, 4),
    (10, 2),
    (14, 2),
    (2, 4),
    (1, 4),
    (22, 4),
    (21, 4),
    (7, 2),
    (11, 2),
    (6, 1),
    (4, 1),
    (5, 1),
    (16, 4),
    (17, 4),
    (9, 1),
    (13, 1),
    (61, 1),
    (60, 1),
];
/// Octets of a record with [`IPV4_FIELDS`].
pub const IPV4_LEN: usize = octets_of(&IPV4_FIELDS);

/// Records of a v9 datagram with [`IPV6_FIELDS`].
pub const IPV6_RECORDS: usize = 12;
/// Twenty-five fields, 113 octets: IPv6 addresses and three MPLS labels.
pub const IPV6_FIELDS: [(u16, u16); 25] = [
    (27, 16),
    (28, 16),
    (62, 16),
    (31, 3),
    (2, 8),
    (1, 8),
    (22, 4),
    (21, 4),
    (10, 4),
    (14, 4),
    (16, 4),
    (17, 4),
    (7, 2),
    (11, 2),
    (58, 2),
    (6, 1),
    (4, 1),
    (5, 1),
    (29, 1),
    (30, 1),
    (61, 1),
    (60, 1),
    (70, 3),
    (71, 3),
    (72, 3),
];
/// Octets of a record with [`IPV6_FIELDS`].
pub const IPV6_LEN: usize = octets_of(&IPV6_FIELDS);

/// Records of an IPFIX message with [`IPFIX_FIELDS`].
pub const IPFIX_RECORDS: usize = 23;
/// The fields of [`IPV4_FIELDS`], but the times in milliseconds: twenty fields, 59 octets.
pub const IPFIX_FIELDS: [(u16, u16); 20] = {
    let mut fields = IPV4_FIELDS;
    fields[7] = (152, 8);
    fields[8] = (153, 8);
    fields
};
/// Octets of a record with [`IPFIX_FIELDS`].
pub const IPFIX_LEN: usize = octets_of(&IPFIX_FIELDS);

/// Records of an IPFIX message with [`NAMED_FIELDS`].
pub const NAMED_RECORDS: usize = 17;
/// Fourteen fields, two of them of variable length: the names of an interface and of an application.
pub const NAMED_FIELDS: [(u16, u16); 14] = [
    (8, 4),
    (12, 4),
    (10, 4),
    (14, 4),
    (2, 8),
    (1, 8),
    (152, 8),
    (153, 8),
    (7, 2),
    (11, 2),
    (82, 0xffff),
    (6, 1),
    (4, 1),
    (96, 0xffff),
];
/// Octets of a record with [`NAMED_FIELDS`] in front of the first name.
pub const NAMED_HEAD: usize = 52;

/// Templates of an exporter that has many.
pub const MIXED_TEMPLATES: u16 = 16;

/// The fields of [`IPV4_FIELDS`] in the order of template number `index` of [`MIXED_TEMPLATES`]: turned by `index`
/// places, the names of neighbours swapped in every second template.
#[must_use]
pub fn mixed_fields(index: u16) -> [(u16, u16); 20] {
    let mut fields = IPV4_FIELDS;
    fields.rotate_left(usize::from(index));
    if index % 2 == 1 {
        for pair in fields.as_chunks_mut::<2>().0 {
            pair.swap(0, 1);
        }
    }
    fields
}

const fn octets_of(fields: &[(u16, u16)]) -> usize {
    let (mut total, mut rest) = (0, fields);
    while let [(_, length), tail @ ..] = rest {
        total += *length as usize;
        rest = tail;
    }
    total
}

/// The fields for [`netflow_codec::RecordLayout::new`].
#[must_use]
pub fn specifiers(fields: &[(u16, u16)]) -> Vec<FieldSpecifier> {
    fields.iter().map(|(element, length)| FieldSpecifier::new(ElementId::iana(*element), *length)).collect()
}
