//! `netflow-collector status`: how a collector that runs and its exporters do.

use core::fmt::Write as _;
use std::{io, path::PathBuf, process::ExitCode};

use clap::Args;
use comfy_table::{CellAlignment, Table, presets};
use serde_json::Value;

use super::Failure;
use crate::account::health::ask;

/// Arguments of `status`.
#[derive(Args, Clone, Debug)]
pub struct StatusArgs {
    /// The socket that the collector was given with its --control.
    #[arg(long, value_name = "PATH")]
    pub control: PathBuf,
    /// Print the whole health document as JSON instead of tables.
    #[arg(long)]
    pub json: bool,
    /// Only this exporter, by address or name.
    #[arg(long, value_name = "EXPORTER")]
    pub exporter: Option<String>,
}

/// Succeeds when there is nothing to look at, and fails with 1 otherwise.
pub(super) fn run(args: &StatusArgs) -> Result<ExitCode, Failure> {
    let failure = |error: io::Error| Failure::Control { path: args.control.display().to_string(), error };
    let answer = ask(&args.control, "health").map_err(failure)?;
    let mut document: Value = serde_json::from_str(&answer).map_err(|error| failure(error.into()))?;
    if let Some(wanted) = &args.exporter {
        for list in ["exporters", "questions"] {
            if let Some(list) = document.get_mut(list).and_then(Value::as_array_mut) {
                list.retain(|entry| entry["exporter"] == wanted.as_str() || entry["name"] == wanted.as_str());
            }
        }
    }
    let text = if args.json { format!("{document:#}\n") } else { tables(&document) };
    io::Write::write_all(&mut io::stdout(), text.as_bytes()).map_err(Failure::Output)?;
    let needs_attention =
        list(&document, "questions").iter().any(|question| question["severity"] == "attention");
    Ok(if needs_attention { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The document for reading.
fn tables(document: &Value) -> String {
    let totals = &document["totals"];
    let lost = &totals["lost"];
    let mut text = format!(
        "{}: {} datagrams, {} flows of {} exporters; lost {} flows (v5 to v8), {} packets (v9), {} records (IPFIX); \
         {} refused, {} malformed\n",
        plain(&document["status"]),
        plain(&totals["datagrams"]),
        plain(&totals["data_records"]),
        plain(&totals["exporters"]),
        plain(&lost["flows"]),
        plain(&lost["packets"]),
        plain(&lost["records"]),
        plain(&totals["refused"]),
        plain(&totals["malformed"]),
    );
    for socket in document["sockets"].as_array().into_iter().flatten() {
        let _ = writeln!(
            text,
            "socket {}: receive buffer of {} octets, {} dropped by the kernel",
            plain(&socket["address"]),
            plain(&socket["receive_buffer"]),
            plain(&socket["drops"])
        );
    }
    if let Some(store) = document.get("store") {
        let [durable, open, files, octets] =
            ["durable_flows", "open_flows", "files", "octets"].map(|what| plain(&store[what]));
        let _ = writeln!(
            text,
            "store: {durable} flows written and on the disk, {open} not yet; {files} files of {octets} octets"
        );
    }
    if let Some(sessions) = document.get("sessions") {
        let [open, opened, broken, refused, not_allowed] =
            ["open", "opened", "broken", "refused", "not_allowed"].map(|what| plain(&sessions[what]));
        let _ = writeln!(
            text,
            "sessions: {open} open, {opened} opened so far, {broken} broken; {refused} refused, {not_allowed} of \
             senders that may not send"
        );
    }
    text.push('\n');
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header([
        "Exporter",
        "Name",
        "Over",
        "Silent s",
        "Datagrams",
        "Flows",
        "Flows/s",
        "Lost",
        "Refused",
        "Templates",
        "Missing",
        "Clock ms",
        "Questions",
    ]);
    for exporter in document["exporters"].as_array().into_iter().flatten() {
        table.add_row(row(exporter));
    }
    for column in 3..12 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let _ = writeln!(text, "{}", table.trim_fmt());
    let questions = list(document, "questions");
    if !questions.is_empty() {
        text.push('\n');
    }
    for question in questions {
        let mark = if question["severity"] == "attention" { '!' } else { '-' };
        let exporter =
            question["exporter"].as_str().map_or(String::new(), |exporter| format!("{exporter}: "));
        let _ = writeln!(text, "{mark} {exporter}{}", plain(&question["text"]));
    }
    text
}

fn row(exporter: &Value) -> Vec<String> {
    let count = |member: &str| exporter[member].as_array().map_or(0, Vec::len).to_string();
    let sum = |list: &str, of: fn(&Value) -> u64| -> u64 {
        exporter[list].as_array().into_iter().flatten().map(of).sum()
    };
    let lost = sum("domains", |domain| domain.pointer("/sequence/lost").and_then(Value::as_u64).unwrap_or(0));
    let refused: u64 =
        exporter["refused"].as_object().into_iter().flatten().filter_map(|(_, count)| count.as_u64()).sum();
    vec![
        plain(&exporter["exporter"]),
        exporter["name"].as_str().unwrap_or_default().to_owned(),
        plain(&exporter["over"]),
        plain(&exporter["silent_seconds"]),
        plain(&exporter["datagrams"]),
        plain(&exporter["flows"]),
        exporter.pointer("/per_second/flows").map_or_else(none, plain),
        lost.to_string(),
        refused.to_string(),
        plain(&exporter["templates"]),
        count("missing_templates"),
        exporter.pointer("/clock_behind_ms/last").map_or_else(none, plain),
        count("questions"),
    ]
}

/// The members of a list, if it is one.
fn list<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn none() -> String {
    plain(&Value::Null)
}

/// A value without quotes; `-` for none. What comes from exporters has no control characters in it.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => {
            text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_collector_has_besides_exporters_is_told() {
        let text = tables(&json!({
            "status": "ok",
            "store": { "durable_flows": 7, "open_flows": 3, "files": 2, "octets": 900 },
            "sessions": { "open": 1, "opened": 4, "broken": 2, "refused": 5, "not_allowed": 6 },
        }));
        assert!(text.contains("store: 7 flows written and on the disk, 3 not yet; 2 files of 900 octets\n"));
        assert!(text.contains(
            "sessions: 1 open, 4 opened so far, 2 broken; 5 refused, 6 of senders that may not send\n"
        ));
    }
}
