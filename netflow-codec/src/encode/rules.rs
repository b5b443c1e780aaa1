//! What matters of single elements when exporting: how fine times are, and what values may be written.

use crate::{element::ElementId, value::FieldValue};

/// Times finer than milliseconds: microseconds, then nanoseconds.
const MICROSECOND_TIMES: &[u16] = &[154, 155, 158, 159, 258, 324];
const NANOSECOND_TIMES: &[u16] = &[156, 157, 325];

/// Whether the registry knows a narrower range for the element than its type has.
pub(super) fn has_range(element: ElementId) -> bool {
    element.info().is_some_and(|info| info.range.is_some())
}

/// Whether the element may be exported with this value (RFC 7012 section 2.1).
pub(super) fn is_in_range(element: ElementId, value: &FieldValue<'_>) -> bool {
    match *value {
        FieldValue::Unsigned(value) => element.info().is_none_or(|info| info.admits(value)),
        _ => true,
    }
}

/// Nanoseconds that a time element can tell apart, when less than a millisecond.
pub(super) fn resolution_nanos(element: ElementId) -> Option<u64> {
    let forward = element.forward().unwrap_or(element);
    match forward.number() {
        _ if forward.enterprise() != 0 => None,
        number if MICROSECOND_TIMES.contains(&number) => Some(1_000),
        number if NANOSECOND_TIMES.contains(&number) => Some(1),
        _ => None,
    }
}
