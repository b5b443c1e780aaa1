//! What the collector's account says of exporters.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use serde_json::{Value as Json, json};

/// Octets of the account, at most.
const OCTETS: u64 = 64 << 20;

/// A line for each exporter and domain, from the account or health document of the collector.
pub(super) fn of_account(path: &Path) -> Result<Json, String> {
    let json = read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let Some(exporters) = json.get("exporters").and_then(Json::as_array) else {
        return Err(format!("{}: there is no list `exporters` in it", path.display()));
    };
    let lines = exporters.iter().flat_map(|exporter| {
        let faults = exporter.get("faults").and_then(Json::as_object);
        let faults = faults.map_or(0, |faults| faults.values().filter_map(Json::as_u64).sum());
        let domains = exporter.get("domains").and_then(Json::as_array).map_or(&[][..], Vec::as_slice);
        domains.iter().map(move |domain| line(exporter, domain, faults))
    });
    Ok(json!({ "lines": lines.collect::<Vec<_>>(), "kernel_drops": json.get("kernel_drops") }))
}

fn line(exporter: &Json, domain: &Json, faults: u64) -> Json {
    let of_domain = |name: &str| domain.get(name).cloned().unwrap_or_default();
    let sequence = |name: &str| domain.get("sequence").and_then(|sequence| sequence.get(name)).cloned();
    let (without, recovered) = (domain.get("sets_without_template"), domain.get("sets_recovered"));
    let number = |json: Option<&Json>| json.and_then(Json::as_u64).unwrap_or(0);
    json!({
        "exporter": exporter.get("exporter"),
        "last_seen_ns": exporter.get("last_seen_ns"),
        "version": of_domain("version"),
        "domain": of_domain("observation_domain"),
        "datagrams": of_domain("datagrams"),
        "records": of_domain("data_records"),
        "received": sequence("received"),
        "lost": sequence("lost"),
        "unit": sequence("unit"),
        "missing_templates": number(without).saturating_sub(number(recovered)),
        "sampling": domain.get("sampling").and_then(|sampling| sampling.get("rate")),
        "restarts": domain.get("restarts").and_then(|restarts| restarts.get("count")),
        "faults": faults,
    })
}

fn read(path: &Path) -> io::Result<Json> {
    let mut text = String::new();
    File::open(path)?.take(OCTETS).read_to_string(&mut text)?;
    Ok(serde_json::from_str(&text)?)
}
