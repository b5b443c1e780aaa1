//! Template records of v9 as those of IPFIX.

use alloc::vec::Vec;

use super::RewriteError;
use crate::{
    element::ElementId,
    template::{FieldSpecifier, ScopeType, WireTemplate},
};

/// exportingProcessId, the element of the scope System.
const EXPORTING_PROCESS: u16 = 144;
/// observationDomainId, the scope of records that have none.
const OBSERVATION_DOMAIN: u16 = 149;

/// A template that was rewritten.
pub(super) struct Rewritten {
    /// Octets of a record in v9.
    pub(super) record_len: usize,
    /// Whether records have uptimes.
    pub(super) has_uptimes: bool,
    /// Whether records get a scope of 4 octets, the observation domain, before their first field.
    pub(super) has_scope_added: bool,
}

/// Appends the template record to `message`, or leaves it as it was.
pub(super) fn rewrite(
    wire: &WireTemplate<'_>,
    highest_field_type: u16,
    message: &mut Vec<u8>,
) -> Result<Rewritten, RewriteError> {
    let start = message.len();
    let result = append(wire, highest_field_type, message);
    if result.is_err() {
        message.truncate(start);
    }
    result
}

fn append(
    wire: &WireTemplate<'_>,
    highest_field_type: u16,
    message: &mut Vec<u8>,
) -> Result<Rewritten, RewriteError> {
    let template_id = wire.id;
    let scopes = if wire.options { wire.scope_count } else { 0 };
    let scope_octets: usize = wire.fields().take(scopes).map(|field| usize::from(field.length)).sum();
    // IPFIX must have a scope (RFC 7011 section 3.4.2.2), and one of no octets says nothing.
    let has_scope_added = wire.options && scope_octets == 0;
    let skipped = if has_scope_added { scopes } else { 0 };
    let added = usize::from(has_scope_added);
    let counts = [wire.field_count() - skipped + added, scopes - skipped + added];
    message.extend(template_id.to_be_bytes());
    for count in counts.into_iter().take(if wire.options { 2 } else { 1 }) {
        // No more than a packet holds.
        message.extend(u16::try_from(count).unwrap_or(u16::MAX).to_be_bytes());
    }
    if has_scope_added {
        message.extend(OBSERVATION_DOMAIN.to_be_bytes());
        message.extend([0, 4]);
    }
    let mut record_len = 0;
    let mut has_uptimes = false;
    for (index, field) in wire.fields().enumerate() {
        record_len += usize::from(field.length);
        if index < skipped {
            continue;
        }
        let element = element(&field, index < scopes, highest_field_type)
            .ok_or_else(|| RewriteError::FieldType { template_id, field_type: field.element.number() })?;
        if !admits(element, field.length) {
            return Err(RewriteError::FieldLength { template_id, element, length: field.length });
        }
        has_uptimes |= matches!(element, 21 | 22);
        message.extend(element.to_be_bytes());
        message.extend(field.length.to_be_bytes());
    }
    if record_len == 0 {
        return Err(RewriteError::EmptyTemplate(template_id));
    }
    Ok(Rewritten { record_len, has_uptimes, has_scope_added })
}

/// The element of a field.
fn element(field: &FieldSpecifier, is_scope: bool, highest_field_type: u16) -> Option<u16> {
    let number = field.element.number();
    if !is_scope {
        // From 32,768 on it would be the element of an enterprise; 0 is reserved.
        return (1..=highest_field_type.min(0x7fff)).contains(&number).then_some(number);
    }
    Some(match ScopeType(number) {
        ScopeType::SYSTEM => EXPORTING_PROCESS,
        ScopeType::INTERFACE => ElementId::INGRESS_INTERFACE.number(),
        ScopeType::LINE_CARD => 141,
        ScopeType::CACHE => 143,
        ScopeType::TEMPLATE => 145,
        _ => return None,
    })
}

/// Whether values of the element may have this many octets in IPFIX.
fn admits(element: u16, length: u16) -> bool {
    let info = ElementId::iana(element).info();
    length != u16::MAX && info.is_none_or(|info| length == 0 || info.data_type.admits_length(length))
}
