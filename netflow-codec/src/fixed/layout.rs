//! The layouts as tables.

use crate::{v1, v5, v6, v7, v8};

/// Element, offset in the record, octets.
pub(crate) type Fields = &'static [(u16, usize, usize)];

/// The layout of a version, or of one scheme of v8.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) header_len: usize,
    pub(super) record_len: usize,
    pub(super) fields: Fields,
    pub(super) shape: Shape,
    /// Records that a sender puts into one datagram at most; `None` where only the datagram bounds them.
    pub(super) max_records: Option<u16>,
}

/// How a record is typed.
#[derive(Debug)]
pub(super) enum Shape {
    /// It begins with a v5 record.
    V5,
    V6,
    /// By walking its fields.
    Table,
}

/// Octets of the header of a version with a fixed layout.
pub(super) const fn header_len(version: u16) -> Option<usize> {
    Some(match version {
        1 => v1::HEADER_LEN,
        5..=7 => v5::HEADER_LEN,
        8 => v8::HEADER_LEN,
        _ => return None,
    })
}

/// The layout of a version, in v8 of a scheme of aggregation.
pub(super) fn of(version: u16, scheme: u8) -> Option<&'static Layout> {
    match version {
        1 => Some(&V1),
        5 => Some(&V5),
        6 => Some(&V6),
        7 => Some(&V7),
        8 => V8.get(usize::from(scheme).checked_sub(1)?),
        _ => None,
    }
}

const V1: Layout = Layout {
    header_len: v1::HEADER_LEN,
    record_len: v1::RECORD_LEN,
    fields: V1_FIELDS,
    shape: Shape::Table,
    max_records: Some(v1::MAX_RECORDS),
};
const V5: Layout = Layout {
    header_len: v5::HEADER_LEN,
    record_len: v5::RECORD_LEN,
    fields: V5_FIELDS,
    shape: Shape::V5,
    max_records: Some(30),
};
const V6: Layout = Layout {
    header_len: v6::HEADER_LEN,
    record_len: v6::RECORD_LEN,
    fields: V6_FIELDS,
    shape: Shape::V6,
    max_records: Some(v6::MAX_RECORDS),
};
const V7: Layout = Layout {
    header_len: v7::HEADER_LEN,
    record_len: v7::RECORD_LEN,
    fields: V5_FIELDS,
    shape: Shape::V5,
    max_records: Some(v7::MAX_RECORDS),
};

pub(crate) const V1_FIELDS: Fields = &[
    (8, 0, 4),
    (12, 4, 4),
    (15, 8, 4),
    (10, 12, 2),
    (14, 14, 2),
    (2, 16, 4),
    (1, 20, 4),
    (22, 24, 4),
    (21, 28, 4),
    (7, 32, 2),
    (11, 34, 2),
    (4, 38, 1),
    (5, 39, 1),
    (6, 40, 1),
];

/// The fields of v5, which v6 and v7 begin with.
macro_rules! v5_fields {
    ($($more:expr),*) => {
        &[
            (8, 0, 4),
            (12, 4, 4),
            (15, 8, 4),
            (10, 12, 2),
            (14, 14, 2),
            (2, 16, 4),
            (1, 20, 4),
            (22, 24, 4),
            (21, 28, 4),
            (7, 32, 2),
            (11, 34, 2),
            (6, 37, 1),
            (4, 38, 1),
            (5, 39, 1),
            (16, 40, 2),
            (17, 42, 2),
            (9, 44, 1),
            (13, 45, 1),
            $($more),*
        ]
    };
}

pub(crate) const V5_FIELDS: Fields = v5_fields![];
pub(crate) const V6_FIELDS: Fields = v5_fields![(18, 48, 4)];

/// A scheme of routers: flows, packets, octets, first and last, then the fields of the scheme.
macro_rules! routed {
    ($record_len:expr, $($field:expr),*) => {
        Layout {
            header_len: v8::HEADER_LEN,
            record_len: $record_len,
            fields: &[(3, 0, 4), (2, 4, 4), (1, 8, 4), (22, 12, 4), (21, 16, 4), $($field),*],
            shape: Shape::Table,
            max_records: None,
        }
    };
}

/// A scheme of switches.
macro_rules! switched {
    ($record_len:expr, $($field:expr),*) => {
        Layout {
            header_len: v8::HEADER_LEN,
            record_len: $record_len,
            fields: &[$($field),*],
            shape: Shape::Table,
            max_records: None,
        }
    };
}

/// By the number of the scheme, from 1 on.
static V8: [Layout; 14] = [
    routed!(28, (16, 20, 2), (17, 22, 2), (10, 24, 2), (14, 26, 2)),
    routed!(28, (4, 20, 1), (7, 24, 2), (11, 26, 2)),
    routed!(32, (44, 20, 4), (9, 24, 1), (16, 26, 2), (10, 28, 2)),
    routed!(32, (45, 20, 4), (13, 24, 1), (17, 26, 2), (14, 28, 2)),
    routed!(
        40,
        (44, 20, 4),
        (45, 24, 4),
        (13, 28, 1),
        (9, 29, 1),
        (16, 32, 2),
        (17, 34, 2),
        (10, 36, 2),
        (14, 38, 2)
    ),
    switched!(32, (12, 0, 4), (2, 4, 4), (1, 8, 4), (22, 12, 4), (21, 16, 4), (14, 20, 2), (5, 22, 1)),
    switched!(
        40,
        (12, 0, 4),
        (8, 4, 4),
        (2, 8, 4),
        (1, 12, 4),
        (22, 16, 4),
        (21, 20, 4),
        (14, 24, 2),
        (10, 26, 2),
        (5, 28, 1)
    ),
    switched!(
        44,
        (12, 0, 4),
        (8, 4, 4),
        (11, 8, 2),
        (7, 10, 2),
        (2, 12, 4),
        (1, 16, 4),
        (22, 20, 4),
        (21, 24, 4),
        (14, 28, 2),
        (10, 30, 2),
        (5, 32, 1),
        (4, 33, 1)
    ),
    routed!(32, (16, 20, 2), (17, 22, 2), (10, 24, 2), (14, 26, 2), (5, 28, 1)),
    routed!(32, (4, 20, 1), (5, 21, 1), (7, 24, 2), (11, 26, 2), (10, 28, 2), (14, 30, 2)),
    routed!(32, (44, 20, 4), (9, 24, 1), (5, 25, 1), (16, 26, 2), (10, 28, 2)),
    routed!(32, (45, 20, 4), (13, 24, 1), (5, 25, 1), (17, 26, 2), (14, 28, 2)),
    routed!(
        40,
        (44, 20, 4),
        (45, 24, 4),
        (13, 28, 1),
        (9, 29, 1),
        (5, 30, 1),
        (16, 32, 2),
        (17, 34, 2),
        (10, 36, 2),
        (14, 38, 2)
    ),
    routed!(
        40,
        (44, 20, 4),
        (45, 24, 4),
        (13, 28, 1),
        (9, 29, 1),
        (5, 30, 1),
        (4, 31, 1),
        (7, 32, 2),
        (11, 34, 2),
        (10, 36, 2),
        (14, 38, 2)
    ),
];

/// The layout of a scheme of v8: octets of a record, and its fields.
pub(crate) fn v8(scheme: u8) -> Option<(usize, Fields)> {
    of(8, scheme).map(|layout| (layout.record_len, layout.fields))
}
