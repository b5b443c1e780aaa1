//! What is odd about a template.

use std::collections::BTreeSet;

use netflow_codec::{ElementId, Protocol, Template};

use super::rule::Rule;

/// What is odd, with an example.
pub(super) fn lint(template: &Template) -> Vec<(Rule, String)> {
    let id = template.id();
    let is_v9 = template.protocol() == Protocol::NetFlow9;
    let kind = if template.is_options() { "options template" } else { "template" };
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    let mut repeated = BTreeSet::new();
    for (place, field) in template.fields().iter().enumerate() {
        let element = field.element;
        // Scopes of v9 have numbers of their own.
        if is_v9 && place < template.scope_count() {
            continue;
        }
        let name = element.info().map_or("unknown", |info| info.name);
        let number = match element.enterprise() {
            0 => element.number().to_string(),
            enterprise => format!("{enterprise}/{}", element.number()),
        };
        if !seen.insert((element.enterprise(), element.number())) {
            repeated.insert(number.clone());
        }
        if is_v9 && element.number() > 0x7fff {
            found.push((Rule::HighTypes, format!("{kind} {id} has type {number}")));
        }
        if field.length == 0 {
            found.push((Rule::ZeroLength, format!("{kind} {id}, element {number} ({name})")));
            continue;
        }
        let Some(info) = element.info() else {
            found.push((
                Rule::UnknownElement,
                format!("{kind} {id} has element {number} of {} octets", field.length),
            ));
            continue;
        };
        if !field.is_variable_length() && !info.data_type.admits_length(field.length) {
            let full = info.data_type.full_length().unwrap_or(0);
            found.push((
                Rule::Width,
                format!(
                    "{kind} {id}, element {number} ({name}) has {} octets, its type {full}",
                    field.length
                ),
            ));
        }
    }
    if !repeated.is_empty() {
        let numbers: Vec<String> = repeated.into_iter().collect();
        found.push((Rule::Repeated, format!("{kind} {id} repeats {}", numbers.join(", "))));
    }
    let has = |numbers: &[u16]| numbers.iter().any(|number| seen.contains(&(0, *number)));
    if !template.is_options() {
        if has(&[8, 12]) && has(&[27, 28]) {
            found.push((Rule::BothFamilies, format!("template {id}")));
        }
        let counts = has(&[1, 2, 23, 24, 85, 86, 231, 298]);
        let dated = has(&[21, 22, 150, 151, 152, 153, 154, 155, 156, 157, 158, 159, 258, 323]);
        if counts && !dated {
            found.push((Rule::NoTimes, format!("template {id}")));
        }
    } else if template.scope_count() == 0 {
        found.push((Rule::Scope, format!("options template {id}")));
    }
    found
}

/// The element that says how long flows are kept at most: flowActiveTimeout, in seconds.
pub(super) const ACTIVE_TIMEOUT: ElementId = ElementId::iana(36);
