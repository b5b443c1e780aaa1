//! What quirks do to a template when it is learned: which fields a typed flow is read from.

use alloc::{boxed::Box, vec::Vec};

use super::FieldSpecifier;
use crate::{
    element::ElementId,
    quirk::{Quirk, Quirks},
};

/// A field that no member is read from: element 0 is reserved.
const NOTHING: ElementId = ElementId::iana(0);

/// The fields of a template of flows as a typed flow reads them, where that differs from what they are; the quirks that
/// acted are put into `acted`.
pub(super) fn typed(
    fields: &[FieldSpecifier],
    quirks: Quirks,
    acted: &mut Quirks,
) -> Option<Box<[FieldSpecifier]>> {
    let has = |number: u16| fields.iter().any(|field| field.element == ElementId::iana(number));
    let is_event = has(233) || has(40_005);
    let mut typed: Vec<FieldSpecifier> = fields.to_vec();
    let mut is_other = false;
    for field in typed.iter_mut().filter(|field| field.element.enterprise() == 0) {
        let (quirk, when_on, when_off) = match (field.element.number(), field.length) {
            (21 | 22, 5..=8) => (Quirk::LongUptimes, None, Some(NOTHING)),
            (89, 2..=8) => (Quirk::WideForwardingStatus, None, Some(NOTHING)),
            (85, _) if !has(1) => (Quirk::PermanentCounters, None, Some(NOTHING)),
            (86, _) if !has(2) => (Quirk::PermanentCounters, None, Some(NOTHING)),
            (1, _) if is_event && has(231) => (Quirk::InitiatorCounters, Some(NOTHING), None),
            (2, _) if is_event && has(298) => (Quirk::InitiatorCounters, Some(NOTHING), None),
            (number @ 154..=157, 8) => {
                (Quirk::DecimalTimeFractions, Some(ElementId::decimal_time(number)), None)
            }
            _ => continue,
        };
        let element = if quirks.contains(quirk) {
            acted.insert(quirk);
            when_on
        } else {
            when_off
        };
        if let Some(element) = element {
            field.element = element;
            is_other = true;
        }
    }
    if quirks.contains(Quirk::IcmpTypeAndCode) && !has(32) && !has(139) && join_icmp(&mut typed) {
        acted.insert(Quirk::IcmpTypeAndCode);
        is_other = true;
    }
    is_other.then(|| typed.into())
}

/// Makes one field of two octets of ICMP type and code side by side, as element 32 is; says whether there were such.
fn join_icmp(fields: &mut Vec<FieldSpecifier>) -> bool {
    let is_pair = |pair: &[FieldSpecifier]| match pair {
        [first, second] => {
            let numbers = [first, second].map(|field| (field.element, field.length));
            [(176, 177), (178, 179)].iter().any(|(icmp_type, code)| {
                numbers == [(ElementId::iana(*icmp_type), 1), (ElementId::iana(*code), 1)]
            })
        }
        _ => false,
    };
    let Some(place) = fields.windows(2).position(is_pair) else { return false };
    fields.remove(place + 1);
    if let Some(field) = fields.get_mut(place) {
        *field = FieldSpecifier::new(ElementId::iana(32), 2);
    }
    true
}
