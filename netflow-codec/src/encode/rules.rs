//! What the registry says of single elements that matters when exporting: ranges, reverses, directional keys.

use crate::{element::ElementId, value::FieldValue};

/// The enterprise number of reverse elements (RFC 5103 section 6.1).
const REVERSE_ENTERPRISE: u32 = 29_305;

/// Ranges narrower than the element's type (the registry's column "Range").
const RANGES: &[(u16, u64, u64)] = &[
    (9, 0, 32),
    (13, 0, 32),
    (29, 0, 128),
    (30, 0, 128),
    (31, 0, 0xf_ffff),
    (88, 0, 0x1fff),
    (91, 0, 128),
    (98, 0, 63),
    (195, 0, 63),
    (196, 0, 7),
    (229, 1, 2),
    (257, 0, 7),
    (263, 0, 0),
    (267, 0, 0),
    (412, 0, 0xff_ffff),
    (413, 0, 7),
    (457, 0, 999),
    (458, 1, 65_535),
];

/// Elements that say the same of both directions (RFC 5103 section 6.1): identifiers of the flow as a whole, and of the
/// processes that export it.
const NOT_REVERSIBLE: &[u16] = &[
    40, 41, 42, 130, 131, 137, 145, 148, 149, 163, 164, 165, 166, 167, 168, 173, 210, 211, 212, 213, 214,
    215, 216, 217, 239,
];

/// Elements that belong to one end of a flow, and so tell its direction (RFC 5103 section 2).
const DIRECTIONAL: &[u16] = &[
    7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 27, 28, 29, 30, 44, 45, 56, 57, 80, 81, 169, 170, 180, 181, 182,
    183, 225, 226, 227, 228, 234, 235, 252, 253, 281, 282,
];

/// Times finer than milliseconds: microseconds, then nanoseconds.
const MICROSECOND_TIMES: &[u16] = &[154, 155, 158, 159, 258, 324];
const NANOSECOND_TIMES: &[u16] = &[156, 157, 325];

/// Whether the element may be exported with this value (RFC 7012 section 2.1).
pub(super) fn is_in_range(element: ElementId, value: &FieldValue<'_>) -> bool {
    let FieldValue::Unsigned(value) = *value else { return true };
    let forward = forward_of(element).unwrap_or(element);
    // Most elements have no range of their own, and the table is sorted.
    if forward.enterprise() != 0 {
        return true;
    }
    match RANGES.binary_search_by_key(&forward.number(), |(number, ..)| *number) {
        Ok(place) => RANGES.get(place).is_none_or(|(_, low, high)| (*low..=*high).contains(&value)),
        Err(_) => true,
    }
}

/// The element that a reverse element is the reverse of.
pub(super) const fn forward_of(element: ElementId) -> Option<ElementId> {
    if element.enterprise() == REVERSE_ENTERPRISE { Some(ElementId::iana(element.number())) } else { None }
}

/// Whether an IANA element has a reverse.
pub(super) fn is_reversible(element: ElementId) -> bool {
    element.info().is_some() && !NOT_REVERSIBLE.contains(&element.number())
}

pub(super) fn is_directional(element: ElementId) -> bool {
    element.enterprise() == 0 && DIRECTIONAL.contains(&element.number())
}

/// Nanoseconds that a time element can tell apart, when less than a millisecond.
pub(super) fn resolution_nanos(element: ElementId) -> Option<u64> {
    let forward = forward_of(element).unwrap_or(element);
    match forward.number() {
        _ if forward.enterprise() != 0 => None,
        number if MICROSECOND_TIMES.contains(&number) => Some(1_000),
        number if NANOSECOND_TIMES.contains(&number) => Some(1),
        _ => None,
    }
}
