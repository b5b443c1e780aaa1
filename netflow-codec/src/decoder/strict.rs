//! What [`Strictness::Rfc`](super::Strictness) checks before anything of a message is used.

use super::sets::template_set;
use crate::{
    error::DecodeError,
    ipfix,
    template::{Protocol, TemplateRecord, TemplateRecords},
};

/// Whether a message can be decoded whole, but for records with variable-length fields that run past their set.
pub(super) fn check_message(message: &ipfix::Message<'_>) -> Result<(), DecodeError> {
    if let Some(fault) = message.length_fault() {
        return Err(fault);
    }
    for set in message.raw_sets(true) {
        let set = set?;
        if let Some(options) = template_set(Protocol::Ipfix, set.id) {
            for record in TemplateRecords::new(Protocol::Ipfix, set.body, set.body_offset(), options) {
                if let TemplateRecord::Template(wire) = record? {
                    wire.check(true)?;
                }
            }
        }
    }
    Ok(())
}
