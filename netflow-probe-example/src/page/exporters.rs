//! What the collector says of exporters.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::FileTypeExt as _,
    path::Path,
};

use serde_json::{Value as Json, json};

use crate::account::health;

/// Octets of a document, at most.
const OCTETS: u64 = 64 << 20;

/// A line for each exporter and domain, and what somebody should look at: from a collector that is asked at its control
/// socket, or from a file with its health document or its account.
pub(super) fn of_collector(path: &Path) -> Result<Json, String> {
    let json = read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let Some(exporters) = json.get("exporters").and_then(Json::as_array) else {
        return Err(format!("{}: there is no list `exporters` in it", path.display()));
    };
    let lines = exporters.iter().flat_map(|exporter| {
        let domains = list(exporter, "domains");
        // One whose datagrams are all refused or malformed has none.
        let none = domains.is_empty().then_some(&Json::Null);
        domains.iter().chain(none).map(move |domain| line(exporter, domain))
    });
    let drops = list(&json, "sockets").iter().map(|socket| number(socket, "drops")).sum::<u64>();
    Ok(json!({
        "lines": lines.collect::<Vec<_>>(),
        "kernel_drops": drops.max(number(&json, "kernel_drops")),
        // Only the health document has these.
        "now": json.get("now"),
        "questions": json.get("questions"),
    }))
}

fn list<'a>(json: &'a Json, name: &str) -> &'a [Json] {
    json.get(name).and_then(Json::as_array).map_or(&[], Vec::as_slice)
}

fn number(json: &Json, name: &str) -> u64 {
    json.get(name).and_then(Json::as_u64).unwrap_or(0)
}

fn line(exporter: &Json, domain: &Json) -> Json {
    let part = |whole: &Json, name: &str| whole.get(name).cloned().unwrap_or_default();
    let of_domain = |name: &str| part(domain, name);
    let sequence = |name: &str| part(&of_domain("sequence"), name);
    let (version, id) = (of_domain("version"), of_domain("observation_domain"));
    let missing: Vec<&Json> = list(exporter, "missing_templates")
        .iter()
        .filter(|missing| part(missing, "version") == version && part(missing, "observation_domain") == id)
        .collect();
    let faults = exporter.get("faults").and_then(Json::as_object);
    json!({
        "exporter": exporter.get("exporter"),
        "name": exporter.get("name"),
        "last_seen": last_seen(exporter),
        "silent_seconds": exporter.get("silent_seconds"),
        "flows_per_second": part(&part(exporter, "per_second"), "flows"),
        "clock_behind_ms": part(&part(exporter, "clock_behind_ms"), "last"),
        "version": version,
        "domain": id,
        "datagrams": of_domain("datagrams"),
        "records": of_domain("data_records"),
        "received": sequence("received"),
        "lost": sequence("lost"),
        "unit": sequence("unit"),
        "waiting_sets": number(domain, "sets_without_template").saturating_sub(number(domain, "sets_recovered")),
        "missing_templates": missing,
        "sampling": part(&of_domain("sampling"), "rate"),
        "restarts": part(&of_domain("restarts"), "count"),
        "faults": faults.map_or(0, |faults| faults.values().filter_map(Json::as_u64).sum::<u64>()),
    })
}

/// In seconds since 1970: the account has nanoseconds, the health document has a time in words.
fn last_seen(exporter: &Json) -> Option<u64> {
    if let Some(nanos) = exporter.get("last_seen_ns").and_then(Json::as_u64) {
        return Some(nanos / 1_000_000_000);
    }
    let time: jiff::Timestamp = exporter.get("last_seen")?.as_str()?.parse().ok()?;
    u64::try_from(time.as_second()).ok()
}

fn read(path: &Path) -> io::Result<Json> {
    let text = if fs::metadata(path)?.file_type().is_socket() {
        health::ask(path, "health")?
    } else {
        let mut text = String::new();
        File::open(path)?.take(OCTETS).read_to_string(&mut text)?;
        text
    };
    Ok(serde_json::from_str(&text)?)
}
