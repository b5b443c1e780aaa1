//! The health document: how every exporter does, and what about it is open.
//!
//! ```text
//! { "version": 1, "status": "attention", "now": ..., "totals": {...}, "questions": [...], "exporters": [...] }
//! ```
//!
//! Each worker makes a part of its own exporters; the parts are joined. A question is something that somebody should look
//! at: who lags, who lost how much, whose data comes without its template since when.

use core::{net::SocketAddr, time::Duration};
use std::{
    collections::BTreeMap,
    io::{self, Read as _, Write as _},
    net::Shutdown,
    os::unix::net::UnixStream,
    path::Path,
};

use netflow_codec::{SequenceUnit, TemplateCache, Timestamp};
use serde_json::{Map, Value, json};

use super::{
    Account, ExporterAccount, FaultKind, Process, ProcessCounts, Stream, StreamAccount, cache::add, report,
};

/// How long an exporter may be silent before that is a question.
const SILENCE: Duration = Duration::from_secs(300);
/// How far a clock may be off before that is a question.
const SKEW: Duration = Duration::from_secs(10);
/// How long data may come without its template before that is a question.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a collector may take for each piece of an answer.
const ANSWERING: Duration = Duration::from_secs(30);
/// Octets of an answer, at most.
const ANSWER: u64 = 256 << 20;

/// Asks a collector that runs, at its control socket.
///
/// # Errors
///
/// When nobody answers there, or not in time.
pub fn ask(path: &Path, question: &str) -> io::Result<String> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(ANSWERING))?;
    stream.write_all(question.as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    stream.take(ANSWER).read_to_string(&mut answer)?;
    Ok(answer)
}

/// What a collector knows of its exporters, as a part of the health document.
#[must_use]
pub fn part(account: &Account, cache: &TemplateCache<SocketAddr>, now: Timestamp) -> Value {
    let mut templates: BTreeMap<_, usize> = BTreeMap::new();
    for entry in cache.iter() {
        *templates.entry(entry.scope.exporter.ip().to_canonical()).or_default() += 1;
    }
    let mut streams: BTreeMap<_, Vec<(&Stream, &StreamAccount)>> = BTreeMap::new();
    for (stream, of_stream) in account.streams() {
        streams.entry(stream.exporter).or_default().push((stream, of_stream));
    }
    let exporters = account.exporters().map(|(address, exporter)| {
        let mut streams = streams.remove(address).unwrap_or_default();
        streams.sort_by_key(|(stream, _)| **stream);
        let templates = templates.get(address).copied().unwrap_or(0);
        exporter_json(&address.to_string(), exporter, templates, &streams, now)
    });
    let exporters: Vec<Value> = exporters.collect();
    let mut totals = report::counts_json(account.counts());
    let [flows, packets, records] = account.sequence().map(|counts| counts.lost);
    totals.extend([
        ("datagrams".to_owned(), account.datagrams().into()),
        ("octets".to_owned(), account.octets.into()),
        ("malformed".to_owned(), account.malformed().into()),
        ("refused".to_owned(), account.refused().total().into()),
        ("lost".to_owned(), json!({ "flows": flows, "packets": packets, "records": records })),
        ("exporters".to_owned(), exporters.len().into()),
    ]);
    json!({ "totals": totals, "exporters": exporters })
}

/// The health document of these parts; `circumstances` are members besides, as sockets and store.
#[must_use]
pub fn document(parts: Vec<Value>, circumstances: Map<String, Value>, now: Timestamp) -> Value {
    let mut totals = Value::Null;
    let mut exporters = Vec::new();
    for mut part in parts {
        add(&mut totals, part.get_mut("totals").map(Value::take).unwrap_or_default());
        if let Some(Value::Array(more)) = part.get_mut("exporters") {
            exporters.append(more);
        }
    }
    exporters.sort_by_key(address_of);
    let mut questions = Vec::new();
    for exporter in &exporters {
        for question in exporter["questions"].as_array().into_iter().flatten() {
            let mut question = question.clone();
            if let Some(question) = question.as_object_mut() {
                question.insert("exporter".to_owned(), exporter["exporter"].clone());
                question.insert("name".to_owned(), exporter["name"].clone());
            }
            questions.push(question);
        }
    }
    questions.extend(of_the_machine(&circumstances));
    let needs_attention = questions.iter().any(|question| question["severity"] == "attention");
    let mut document = Map::new();
    document.insert("version".to_owned(), 1.into());
    document.insert("status".to_owned(), if needs_attention { "attention" } else { "ok" }.into());
    document.insert("now".to_owned(), time(now));
    document.insert("totals".to_owned(), totals);
    document.extend(circumstances);
    document.insert("questions".to_owned(), questions.into());
    document.insert("exporters".to_owned(), exporters.into());
    document.into()
}

fn address_of(exporter: &Value) -> Option<core::net::IpAddr> {
    exporter["exporter"].as_str()?.parse().ok()
}

/// What is wrong with the collector's own means.
fn of_the_machine(circumstances: &Map<String, Value>) -> Vec<Value> {
    let mut questions = Vec::new();
    for socket in circumstances.get("sockets").and_then(Value::as_array).into_iter().flatten() {
        if let Some(drops @ 1..) = socket["drops"].as_u64() {
            let address = socket["address"].as_str().unwrap_or_default();
            questions.push(question(
                "kernel_drops",
                "attention",
                format!("the kernel dropped {drops} datagrams at {address}: the receive buffer was full"),
            ));
        }
    }
    if let Some(workers) = circumstances.get("workers")
        && let (Some(all), Some(answered)) = (workers["all"].as_u64(), workers["answered"].as_u64())
        && answered < all
    {
        let text = format!(
            "{} of {all} workers have not answered, what they know is missing here: they wait for whoever reads the \
             flows, or have too much to do",
            all - answered
        );
        questions.push(question("workers", "attention", text));
    }
    let refused = circumstances.get("output_queue").and_then(|queue| queue["refused_lines"].as_u64());
    if let Some(refused @ 1..) = refused {
        let text = format!("{refused} flows were not printed: whoever reads them is too slow");
        questions.push(question("output", "attention", text));
    }
    questions
}

/// Something that somebody should look at, or (`note`) may want to know.
fn question(kind: &str, severity: &str, text: impl Into<Value>) -> Value {
    json!({ "kind": kind, "severity": severity, "text": text.into() })
}

fn time(time: Timestamp) -> Value {
    let time = jiff::Timestamp::from_millisecond(i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
    time.map_or(Value::Null, |time| time.to_string().into())
}

fn exporter_json(
    address: &str,
    exporter: &ExporterAccount,
    templates: usize,
    streams: &[(&Stream, &StreamAccount)],
    now: Timestamp,
) -> Value {
    let faults: Map<_, _> = FaultKind::ALL
        .iter()
        .filter(|kind| exporter.faults(**kind) > 0)
        .map(|kind| (kind.name().to_owned(), exporter.faults(*kind).into()))
        .collect();
    let missing: Vec<Value> = exporter
        .missing
        .iter()
        .map(|((version, domain, template), missing)| {
            json!({
                "version": version, "observation_domain": domain, "template_id": template,
                "since": time(missing.since), "last": time(missing.last),
                "sets": missing.sets, "octets": missing.octets,
            })
        })
        .collect();
    let rates = exporter.rates.at(now);
    let [datagrams, octets, flows] = rates.map(|rate| (f64::from(rate) * 100.0).round() / 100.0);
    json!({
        "exporter": address,
        "name": exporter.name(),
        "first_seen": time(exporter.first_seen),
        "last_seen": time(exporter.last_seen),
        "silent_seconds": now.saturating_since(exporter.last_seen).as_secs(),
        "datagrams": exporter.datagrams,
        "octets": exporter.octets,
        "flows": exporter.flows,
        "per_second": { "datagrams": datagrams, "octets": octets, "flows": flows },
        "clock_behind_ms": exporter.skew.map(|skew| {
            let (least, most) = skew.range_millis;
            json!({ "last": skew.last_millis, "least": least, "most": most })
        }),
        "templates": templates,
        "missing_templates": missing,
        "refused": exporter.refused.iter().map(|(name, count)| (name.to_owned(), count.into())).collect::<Map<_, _>>(),
        "faults": faults,
        "last_fault": exporter.last_fault.map(|(at, what)| json!({ "time": time(at), "text": what.to_string() })),
        "says": said_json(exporter),
        "domains": streams.iter().map(|(stream, account)| report::stream_json(stream, account)).collect::<Value>(),
        "questions": questions(exporter, streams, now),
    })
}

fn said_json(exporter: &ExporterAccount) -> Value {
    let ExporterAccount { names, statements, .. } = exporter;
    let map = |names: &BTreeMap<u64, String>| {
        names.iter().map(|(number, name)| (number.to_string(), name.as_str().into())).collect::<Map<_, _>>()
    };
    json!({
        "interfaces": map(&names.interfaces),
        "vrfs": map(&names.vrfs),
        "applications": map(&names.applications),
        "samplers": map(&names.samplers),
        "statistics": statements.processes.iter().map(statistics_json).collect::<Value>(),
        "flow_keys": statements.flow_keys.iter().map(|((version, domain, template), keys)| json!({
            "version": version, "observation_domain": domain, "template_id": template, "fields": keys.fields,
        })).collect::<Value>(),
        "refused": names.refused + statements.refused,
    })
}

fn statistics_json((process, counts): (&Process, &ProcessCounts)) -> Value {
    let mut json: Map<_, _> =
        counts.named().into_iter().map(|(name, count)| (name.to_owned(), count.into())).collect();
    json.insert("version".to_owned(), process.version.into());
    json.insert("observation_domain".to_owned(), process.observation_domain.into());
    json.insert("scope".to_owned(), process.scope.as_str().into());
    json.insert("said".to_owned(), time(counts.said));
    json.into()
}

fn questions(
    exporter: &ExporterAccount,
    streams: &[(&Stream, &StreamAccount)],
    now: Timestamp,
) -> Vec<Value> {
    let mut questions = Vec::new();
    let mut ask = |kind, severity, text: String| questions.push(question(kind, severity, text));
    for ((version, domain, template), missing) in &exporter.missing {
        let age = now.saturating_since(missing.since);
        if age >= PATIENCE {
            let text = format!(
                "v{version} domain {domain}: data comes without template {template} since {} s, {} sets so far",
                age.as_secs(),
                missing.sets
            );
            ask("missing_template", "attention", text);
        }
    }
    for (Process { version, observation_domain, scope }, counts) in &exporter.statements.processes {
        let ignored = counts.ignored_packets.unwrap_or(0);
        let (flows, packets) = (counts.not_sent_flows.unwrap_or(0), counts.not_sent_packets.unwrap_or(0));
        let whose = format!("v{version} domain {observation_domain}, {scope}: it says that it");
        if ignored > 0 {
            ask("not_metered", "attention", format!("{whose} has not metered {ignored} packets"));
        }
        if flows + packets > 0 {
            ask("not_sent", "attention", format!("{whose} has not sent {flows} flows of {packets} packets"));
        }
    }
    let silence = now.saturating_since(exporter.last_seen);
    if silence >= SILENCE {
        ask("silent", "attention", format!("nothing has come for {} s", silence.as_secs()));
    }
    if let Some(skew) = exporter.skew
        && u128::from(skew.last_millis.unsigned_abs()) >= SKEW.as_millis()
    {
        let direction = if skew.last_millis > 0 { "behind" } else { "ahead of" };
        let seconds = skew.last_millis.unsigned_abs() / 1_000;
        ask(
            "clock",
            "attention",
            format!("its clock is {seconds} s {direction} ours, or its datagrams are old"),
        );
    }
    for (stream, account) in streams {
        let counts = account.sequence.counts();
        if let Some(unit) = SequenceUnit::of(stream.version)
            && counts.lost > 0
        {
            let Stream { version, observation_domain, .. } = stream;
            let text = format!(
                "v{version} domain {observation_domain}: {} of {} {} were lost on the way",
                counts.lost,
                counts.expected(),
                unit.name()
            );
            ask("loss", "attention", text);
        }
        if account.numbering.is_behind() {
            let text = "its messages count their own records, which RFC 7011 does not: taken as such";
            ask("numbering", "note", text.to_owned());
        }
        if account.restarted > 0 {
            ask("restarts", "note", format!("restarted, or its clock set, {} times", account.restarted));
        }
    }
    let unknown: u64 = streams.iter().map(|(_, account)| account.counts.flows_of_unknown_rate).sum();
    if unknown > 0 {
        ask("sampling", "note", format!("nobody said at what rate {unknown} of its flows were sampled"));
    }
    let malformed: u64 =
        FaultKind::ALL.iter().filter(|kind| kind.is_malformed()).map(|kind| exporter.faults(*kind)).sum();
    if malformed + exporter.faults(FaultKind::UnsupportedVersion) > 0 {
        let last = exporter.last_fault.map(|(_, what)| what.to_string()).unwrap_or_default();
        let severity = if exporter.last_sound.is_none() { "attention" } else { "note" };
        ask(
            "malformed",
            severity,
            format!("{malformed} structures could not be decoded; last fault: {last}"),
        );
    }
    for (reason, count) in exporter.refused.iter() {
        ask("refused", "attention", format!("{count} datagrams were refused: {}", reason.replace('_', " ")));
    }
    questions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_joined_and_the_machine_has_questions_of_its_own() {
        let part = |address: &str, datagrams: u64, questions: Value| {
            json!({
                "totals": { "datagrams": datagrams, "lost": { "flows": 1 } },
                "exporters": [{ "exporter": address, "name": null, "questions": questions }],
            })
        };
        let calm = json!([{ "kind": "sampling", "severity": "note", "text": "" }]);
        let parts = vec![part("192.0.2.10", 2, json!([])), part("192.0.2.9", 3, calm)];
        let now = Timestamp::from_secs(1_700_000_000);
        let joined = document(parts.clone(), Map::new(), now);
        assert_eq!(joined["totals"], json!({ "datagrams": 5, "lost": { "flows": 2 } }));
        assert_eq!((&joined["status"], &joined["now"]), (&"ok".into(), &"2023-11-14T22:13:20Z".into()));
        assert_eq!(joined["exporters"][0]["exporter"], "192.0.2.9");
        assert_eq!(joined["questions"][0]["exporter"], "192.0.2.9");
        let sockets = json!([{ "address": "0.0.0.0:2055", "drops": 7 }]);
        let joined = document(parts, Map::from_iter([("sockets".to_owned(), sockets)]), now);
        assert_eq!(joined["status"], "attention");
        let workers = json!({ "all": 4, "answered": 3 });
        let lacking = document(Vec::new(), Map::from_iter([("workers".to_owned(), workers)]), now);
        let text = lacking["questions"][0]["text"].as_str().unwrap();
        assert!(text.starts_with("1 of 4 workers have not answered"), "{text}");
        assert!(
            joined["questions"][1]["text"].as_str().unwrap().contains("dropped 7 datagrams at 0.0.0.0:2055")
        );
    }
}
