//! Indicators of MISP: events, lists of them, answers of its interface, and files of a feed.

use serde_json::Value;

use super::{indicator::Indicator, lookup::Indicators};

/// Events within one another that are looked into.
const DEPTH: usize = 4;

/// Whether a document is one of MISP.
pub(super) fn is_misp(json: &Value) -> bool {
    match json {
        Value::Object(object) => {
            ["Event", "response", "Attribute"].iter().any(|name| object.contains_key(*name))
        }
        Value::Array(list) => list.iter().any(is_misp),
        _ => false,
    }
}

/// Adds the attributes of a document that are addresses, and meant for detection.
pub(super) fn parse(name: &str, json: &Value, indicators: &mut Indicators) {
    let mut entry = 0;
    walk(name, json, "", 0, &mut entry, indicators);
}

fn walk(name: &str, json: &Value, label: &str, depth: usize, entry: &mut usize, indicators: &mut Indicators) {
    match json {
        Value::Array(list) => {
            for one in list {
                walk(name, one, label, depth, entry, indicators);
            }
        }
        Value::Object(object) if depth <= DEPTH => {
            let label = object.get("info").and_then(Value::as_str).unwrap_or(label);
            for inner in ["response", "Event", "Object"] {
                if let Some(inner) = object.get(inner) {
                    walk(name, inner, label, depth + 1, entry, indicators);
                }
            }
            let attributes = object.get("Attribute").and_then(Value::as_array);
            for one in attributes.into_iter().flatten() {
                *entry += 1;
                attribute(name, one, label, *entry, indicators);
            }
        }
        _ => {}
    }
}

fn attribute(name: &str, json: &Value, label: &str, entry: usize, indicators: &mut Indicators) {
    let text = |member: &str| json.get(member).and_then(Value::as_str).unwrap_or_default();
    let value = text("value");
    let is_for_detection = json.get("to_ids").and_then(Value::as_bool).unwrap_or(true);
    let value = match text("type") {
        "ip-src" | "ip-dst" | "ip-src|port" | "ip-dst|port" => value,
        "domain|ip" => value.split_once('|').map_or(value, |(_, address)| address),
        _ => return indicators.skip(),
    };
    if !is_for_detection {
        return indicators.skip();
    }
    let comment = text("comment");
    let label = match (label.is_empty(), comment.is_empty()) {
        (false, false) => format!("{label}: {comment}"),
        (true, _) => comment.to_owned(),
        (_, true) => label.to_owned(),
    };
    match Indicator::parse(value, &label) {
        Some(indicator) => indicators.push(indicator),
        None => indicators.refuse(name, entry, value, "no address, prefix or address|port"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_and_objects_of_events_are_read() {
        let event = serde_json::json!({"response": [{"Event": {"info": "Campaign", "Attribute": [
            {"type": "ip-dst", "value": "192.0.2.1", "to_ids": true, "comment": "stage 2"},
            {"type": "ip-dst|port", "value": "192.0.2.2|8443", "to_ids": true},
            {"type": "domain|ip", "value": "evil.example|192.0.2.3"},
            {"type": "ip-src", "value": "192.0.2.4", "to_ids": false},
            {"type": "md5", "value": "d41d8cd98f00b204e9800998ecf8427e"},
            {"type": "ip-src", "value": "not an address"},
            {"type": 7}],
            "Object": [{"name": "ip-port", "Attribute": [{"type": "ip-dst", "value": "2001:db8::/48"}]}]}}]});
        assert!(is_misp(&event));
        let mut indicators = Indicators::default();
        parse("event.json", &event, &mut indicators);
        let all: Vec<_> = (0..)
            .map_while(|n| indicators.get(n))
            .map(|one| (one.text.as_str(), one.label.as_str()))
            .collect();
        assert_eq!(
            all,
            [
                ("2001:db8::/48", "Campaign"),
                ("192.0.2.1", "Campaign: stage 2"),
                ("192.0.2.2|8443", "Campaign"),
                ("192.0.2.3", "Campaign"),
            ]
        );
        assert_eq!((indicators.other_entries(), indicators.refused_entries()), (3, 1));
        assert_eq!(indicators.refused()[0].line, 7);
    }
}
