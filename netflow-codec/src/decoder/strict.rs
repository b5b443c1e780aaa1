//! What [`Strictness::Rfc`](super::Strictness) checks before anything of a message is used.

use alloc::{collections::BTreeMap, sync::Arc};

use super::{Transport, sets::template_set};
use crate::{
    error::{DecodeError, DecodeErrorKind},
    ipfix,
    quirk::Quirks,
    set::Set,
    template::{Protocol, Template, TemplateRecord, TemplateRecords},
};

/// Whether a message can be decoded whole (RFC 7011 section 9.1): lengths, template records, and the records of data
/// sets with variable lengths. `known` gives the templates from before the message.
pub(super) fn check_message<'t>(
    message: &ipfix::Message<'_>,
    quirks: Quirks,
    transport: Transport,
    known: impl Fn(u16) -> Option<&'t Arc<Template>>,
) -> Result<(), DecodeError> {
    if let Some(fault) = message.length_fault() {
        return Err(fault);
    }
    // The templates of the message itself; `None` is one whose data cannot be malformed, or that was withdrawn.
    let mut own: BTreeMap<u16, Option<Template>> = BTreeMap::new();
    let mut all_withdrawn = false;
    for set in message.raw_sets(true).with_quirks(quirks) {
        let set = set?;
        let Some(options) = template_set(Protocol::Ipfix, set.id) else {
            match own.get(&set.id) {
                Some(Some(template)) => check_records(&set, template)?,
                Some(None) => {}
                None if all_withdrawn => {}
                None => known(set.id).map_or(Ok(()), |template| check_records(&set, template))?,
            }
            continue;
        };
        let records = TemplateRecords::new(Protocol::Ipfix, set.body, set.body_offset(), options);
        for record in records.with_quirks(quirks) {
            match record? {
                TemplateRecord::Template(wire) => {
                    wire.check(true)?;
                    let varies = wire.fields().any(|field| field.is_variable_length());
                    own.insert(wire.id, varies.then(|| Template::new(&wire)));
                }
                TemplateRecord::Withdrawal { .. } if transport == Transport::Udp => {}
                TemplateRecord::Withdrawal { id: 0..=255, .. } => {
                    own.clear();
                    all_withdrawn = true;
                }
                TemplateRecord::Withdrawal { id, .. } => drop(own.insert(id, None)),
            }
        }
    }
    Ok(())
}

/// Whether the records of a data set fill it, but for padding.
fn check_records(set: &Set<'_>, template: &Template) -> Result<(), DecodeError> {
    let minimum = template.minimum_length();
    if !template.is_variable_length() || minimum == 0 {
        return Ok(());
    }
    let mut rest = set.body;
    while rest.len() >= minimum {
        let behind = template.record_length(rest).and_then(|length| rest.get(length..));
        rest = behind.filter(|behind| behind.len() < rest.len()).ok_or_else(|| {
            let offset = set.body_offset() + set.body.len() - rest.len();
            DecodeError::new(offset, DecodeErrorKind::RecordTruncated { template_id: template.id() })
        })?;
    }
    Ok(())
}
