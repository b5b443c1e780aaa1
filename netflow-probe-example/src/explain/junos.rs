//! Configurations of JunOS: `forwarding-options sampling`, `services flow-monitoring`, and `sampling` of interfaces.

use core::fmt::Write as _;
use std::collections::BTreeSet;

use super::{
    statements::statements,
    translation::{Key, NEEDS_TABLE, Translation, host_port, number},
};

/// What has to be known before a line can be judged, or put together from several.
#[derive(Default)]
struct Seen<'a> {
    /// Templates that a flow server uses.
    templates: BTreeSet<&'a str>,
    /// Flow servers and their ports: the port stands in a line of its own.
    servers: Vec<Server<'a>>,
    rate: Option<(usize, u64)>,
    run_length: Option<(usize, u64)>,
    max_packets: Option<(usize, u64)>,
    engine_type: Option<(usize, u64)>,
    engine_id: Option<(usize, u64)>,
    interfaces: BTreeSet<&'a str>,
    /// Timers of templates that are used, which go before those of all flows.
    timers: BTreeSet<(&'a str, &'a str)>,
    /// Whether flows have a key with more than the usual.
    has_key: bool,
}

struct Server<'a> {
    host: &'a str,
    line: usize,
    port: Option<(usize, u64)>,
}

/// The most flow servers; JunOS allows four.
const MAX_SERVERS: usize = 64;

/// Translates such a configuration.
pub(super) fn translate(text: &str, out: &mut Translation) {
    let mut seen = Seen::default();
    statements(text, |_, words| note_templates(words, &mut seen), |_, _| {});
    statements(text, |_, words| note_timers(words, &mut seen), |_, _| {});
    let mut odd = Vec::new();
    let note_odd = |line, reason: &str| {
        if odd.len() < 1_000 {
            odd.push((line, reason.to_owned()));
        }
    };
    statements(text, |line, words| translate_statement(line, words, &mut seen, out), note_odd);
    for (line, reason) in odd {
        out.leave(line, reason);
    }
    conclude(&seen, out);
    let mut in_comment = false;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        let is_remark = in_comment || line.starts_with("/*") || line.starts_with('#');
        if line.contains("/*") || in_comment {
            in_comment = !line.contains("*/");
        }
        // Lines that only open or close blocks say nothing by themselves.
        if !is_remark && !line.is_empty() && !line.ends_with('{') && line != "}" {
            out.ignore(number);
        }
    }
}

fn note_templates<'a>(words: &[&'a str], seen: &mut Seen<'a>) {
    for pair in words.windows(3) {
        if let ["version9" | "version-ipfix", "template", name] = pair
            && words.first() == Some(&"forwarding-options")
            && seen.templates.len() < 256
        {
            seen.templates.insert(name);
        }
    }
}

/// The timers that a template has that is used.
fn note_timers<'a>(words: &[&'a str], seen: &mut Seen<'a>) {
    if let ["services", "flow-monitoring", "version9" | "version-ipfix", "template", name, timer, time] =
        words
        && ["flow-active-timeout", "flow-inactive-timeout"].contains(timer)
        && seen.templates.contains(name)
    {
        seen.timers.insert((timer, time));
    }
}

fn translate_statement<'a>(line: usize, words: &[&'a str], seen: &mut Seen<'a>, out: &mut Translation) {
    match words {
        ["forwarding-options" | "services" | "interfaces" | "inactive:", ..]
            if words.contains(&"inactive:")
                && (words.contains(&"sampling") || words.contains(&"flow-monitoring")) =>
        {
            out.leave(line, "is deactivated");
        }
        ["forwarding-options", "sampling", "instance", _, rest @ ..]
        | ["forwarding-options", "sampling", rest @ ..] => sampling(line, rest, seen, out),
        [
            "services",
            "flow-monitoring",
            version @ ("version9" | "version-ipfix"),
            "template",
            name,
            rest @ ..,
        ] => {
            if seen.templates.contains(name) {
                template(line, version, rest, seen, out);
            } else {
                out.leave(line, format!("no flow server uses the template {name}"));
            }
        }
        ["services", "flow-monitoring", ..] => out.leave(line, "is not a template of version 9 or IPFIX"),
        ["interfaces", interface, .., "sampling"] => {
            out.leave(line, "says neither input nor output");
            note_interface(interface, seen);
        }
        ["interfaces", interface, rest @ ..] if rest.contains(&"sampling") => {
            out.accept(line);
            note_interface(interface, seen);
        }
        ["firewall", rest @ ..] if rest.last() == Some(&"sample") => {
            out.leave(line, "which packets are metered: say it with `filter`, in the syntax of tcpdump");
        }
        ["chassis", rest @ ..] if rest.contains(&"sampling-instance") => {
            out.leave(line, "there is one instance here, for all interfaces");
        }
        _ => {}
    }
}

fn note_interface<'a>(name: &'a str, seen: &mut Seen<'a>) {
    if seen.interfaces.len() < 64 {
        seen.interfaces.insert(name);
    }
}

fn sampling<'a>(line: usize, words: &[&'a str], seen: &mut Seen<'a>, out: &mut Translation) {
    match words {
        ["input", "family", _, rest @ ..] | ["input", rest @ ..] | ["family", _, "input", rest @ ..] => {
            input(line, rest, seen, out);
        }
        ["output", rest @ ..] | ["family", _, "output", rest @ ..] => output(line, rest, seen, out),
        ["disable"] | ["family", _, "disable"] => out.leave(line, "there is no switch: do not run it"),
        ["traceoptions", ..] => out.leave(line, "see --log-level"),
        _ => out.leave(line, "has no counterpart here"),
    }
}

/// Takes the number at the end of a line, once.
fn take(
    line: usize,
    text: &str,
    accepted: core::ops::RangeInclusive<u64>,
    place: &mut Option<(usize, u64)>,
    out: &mut Translation,
) {
    match (number(text, accepted), *place) {
        (Err(reason), _) => out.leave(line, reason),
        (Ok(number), Some((first, other))) if other != number => {
            out.leave(line, format!("line {first} has another value: there is one sampler here"));
        }
        (Ok(number), None) => {
            *place = Some((line, number));
            out.accept(line);
        }
        _ => out.accept(line),
    }
}

fn input<'a>(line: usize, words: &[&'a str], seen: &mut Seen<'a>, out: &mut Translation) {
    match words {
        [] => out.accept(line),
        ["maximum-packet-length", _, rest @ ..] => {
            out.leave(line, "maximum-packet-length: headers are all that is looked at");
            if !rest.is_empty() {
                input(line, rest, seen, out);
            }
        }
        [name, value, rest @ ..] => {
            match *name {
                "rate" => take(line, value, 1..=16_000_000, &mut seen.rate, out),
                "run-length" => take(line, value, 0..=20, &mut seen.run_length, out),
                "max-packets-per-second" => take(line, value, 0..=65_535, &mut seen.max_packets, out),
                name => out.leave(line, format!("{name}: has no counterpart here")),
            }
            // Several may stand in a line of set commands.
            if !rest.is_empty() {
                input(line, rest, seen, out);
            }
        }
        _ => out.leave(line, "has no value"),
    }
}

fn output<'a>(line: usize, words: &[&'a str], seen: &mut Seen<'a>, out: &mut Translation) {
    match words {
        [] => out.accept(line),
        ["flow-server" | "cflowd", host, rest @ ..] => {
            let at = seen.servers.iter().position(|server| server.host == *host);
            if at.is_none() && seen.servers.len() < MAX_SERVERS {
                seen.servers.push(Server { host, line, port: None });
            }
            let at = at.unwrap_or_else(|| seen.servers.len().saturating_sub(1));
            match seen.servers.get_mut(at).filter(|server| server.host == *host) {
                Some(server) => flow_server(line, rest, server, out),
                None => out.leave(line, "there are too many flow servers"),
            }
        }
        [timer @ ("flow-active-timeout" | "flow-inactive-timeout"), time]
            if seen.timers.iter().any(|(of_template, _)| of_template == timer) =>
        {
            if seen.timers.contains(&(*timer, *time)) {
                out.accept(line);
            } else {
                out.leave(line, "a template has its own, which goes before it");
            }
        }
        ["flow-active-timeout", seconds] => seconds_of(line, seconds, Key::ACTIVE_TIMEOUT, out),
        ["flow-inactive-timeout", seconds] => seconds_of(line, seconds, Key::INACTIVE_TIMEOUT, out),
        ["inline-jflow", "source-address", address] | ["interface", _, "source-address", address] => {
            out.set_noted(line, Key::SOURCE, *address, Some("has to be an address of this machine"));
        }
        ["inline-jflow", "flow-export-rate", rate] => match number(rate, 1..=400) {
            Ok(thousands) => {
                let note = "thousands of packets a second, here for each collector";
                out.set_noted(line, Key::RATE_LIMIT, thousands * 1_000, Some(note));
            }
            Err(reason) => out.leave(line, reason),
        },
        ["interface", _, "engine-type", value] => take(line, value, 0..=255, &mut seen.engine_type, out),
        ["interface", _, "engine-id", value] => take(line, value, 0..=255, &mut seen.engine_id, out),
        ["interface" | "inline-jflow" | "extension-service", ..] => {
            out.leave(line, "which part of the router meters: here it is this program");
        }
        ["file", ..] => out.leave(line, "packets are not written to a file: tcpdump does that"),
        _ => out.leave(line, "has no counterpart here"),
    }
}

fn flow_server(line: usize, words: &[&str], server: &mut Server<'_>, out: &mut Translation) {
    match words {
        [] | ["no-local-dump"] => out.accept(line),
        ["port", port, rest @ ..] => {
            take(line, port, 1..=65_535, &mut server.port, out);
            if !rest.is_empty() {
                flow_server(line, rest, server, out);
            }
        }
        ["version", version, rest @ ..] => {
            match *version {
                "5" => out.set(line, Key::EXPORT_VERSION, 5),
                version => {
                    out.leave(line, format!("version {version} is not exported: 5, 9 and IPFIX (10) are"));
                }
            }
            if !rest.is_empty() {
                flow_server(line, rest, server, out);
            }
        }
        ["version9", ..] => out.set(line, Key::EXPORT_VERSION, 9),
        ["version-ipfix", ..] => out.set(line, Key::EXPORT_VERSION, 10),
        ["source-address", address] => {
            out.set_noted(line, Key::SOURCE, *address, Some("has to be an address of this machine"));
        }
        ["dscp", dscp] => match number(dscp, 0..=63) {
            Ok(dscp) => out.set(line, Key::DSCP, dscp),
            Err(reason) => out.leave(line, reason),
        },
        ["autonomous-system-type", of @ ("origin" | "peer")] => {
            out.set_noted(line, Key::AUTONOMOUS_SYSTEM_TYPE, *of, Some(NEEDS_TABLE));
        }
        ["local-dump"] => out.leave(line, "flows are not logged: netflow-collector decode shows them"),
        ["aggregation", ..] => out.leave(line, "version 8 is not exported"),
        ["routing-instance" | "forwarding-class", ..] => {
            out.leave(line, "which way datagrams go is a matter of the system");
        }
        _ => out.leave(line, "has no counterpart here"),
    }
}

/// What flows have in common there if nothing is said.
const USUAL_KEY: [&str; 7] = [
    "ipv4 source address",
    "ipv4 destination address",
    "transport source-port",
    "transport destination-port",
    "ipv4 protocol",
    "ipv4 tos",
    "interface input",
];

/// A field that flows have in common besides.
fn flow_key(line: usize, field: &str, seen: &mut Seen<'_>, out: &mut Translation) {
    let field = match field {
        "vlan-id" => "datalink vlan",
        "flow-direction" => "flow direction",
        "output-interface" => "interface output",
        _ => return out.leave(line, "is no field of a key here"),
    };
    if !core::mem::replace(&mut seen.has_key, true) {
        for usual in USUAL_KEY {
            out.set(line, Key::KEY, usual);
        }
    }
    out.set(line, Key::KEY, field);
}

fn template(line: usize, version: &str, words: &[&str], seen: &mut Seen<'_>, out: &mut Translation) {
    match words {
        [] | ["ipv4-template" | "ipv6-template" | "mpls-template" | "mpls-ipv4-template", ..] => {
            out.accept(line);
        }
        ["flow-active-timeout", seconds] => seconds_of(line, seconds, Key::ACTIVE_TIMEOUT, out),
        ["flow-inactive-timeout", seconds] => seconds_of(line, seconds, Key::INACTIVE_TIMEOUT, out),
        ["template-refresh-rate", rest @ ..] => refresh(line, rest, out),
        ["option-refresh-rate", ..] => out.leave(line, "options are sent again with the templates"),
        ["source-id" | "observation-domain-id", id] => match number(id, 0..=u64::from(u32::MAX)) {
            Ok(id) => out.set(line, Key::SOURCE_ID, id),
            Err(reason) => out.leave(line, reason),
        },
        ["template-id" | "options-template-id", ..] => {
            out.leave(line, format!("identifiers of templates are chosen by the exporter ({version})"));
        }
        ["flow-key", field] => flow_key(line, field, seen, out),
        ["bridge-template" | "vpls-template" | "peer-as-billing-template", ..] => {
            out.leave(line, "only IP flows are metered");
        }
        _ => out.leave(line, "has no counterpart here"),
    }
}

/// `packets N` and `seconds N`, in one line or in two.
fn refresh(line: usize, words: &[&str], out: &mut Translation) {
    for pair in words.chunks(2) {
        match pair {
            ["packets", count] => match number(count, 1..=u64::from(u32::MAX)) {
                Ok(count) => out.set(line, Key::TEMPLATE_REFRESH_PACKETS, count),
                Err(reason) => out.leave(line, reason),
            },
            ["seconds", seconds] => seconds_of(line, seconds, Key::TEMPLATE_REFRESH, out),
            _ => out.leave(line, "packets or seconds is expected"),
        }
    }
}

fn seconds_of(line: usize, text: &str, key: Key, out: &mut Translation) {
    match number(text, 1..=u64::from(u32::MAX)) {
        Ok(seconds) => out.set(line, key, format!("{seconds}s")),
        Err(reason) => out.leave(line, reason),
    }
}

fn conclude(seen: &Seen<'_>, out: &mut Translation) {
    for Server { host, line, port } in &seen.servers {
        match port {
            Some((line, port)) => out.set(*line, Key::COLLECTOR, host_port(host, *port)),
            None => {
                out.set_noted(*line, Key::COLLECTOR, *host, Some("has no port there: that of the version"));
            }
        }
    }
    if let Some((line, rate)) = seen.rate {
        let mut text = format!("junos:{rate}");
        if let Some((_, length)) = seen.run_length {
            let _ = write!(text, ",run-length={length}");
        }
        if let Some((_, most)) = seen.max_packets {
            let _ = write!(text, ",max-packets-per-second={most}");
        }
        out.set(line, Key::SAMPLING, text);
    } else {
        for (line, _) in seen.run_length.into_iter().chain(seen.max_packets) {
            out.leave(line, "there is no rate beside it");
        }
    }
    if let Some((line, engine)) = seen.engine_id.or(seen.engine_type) {
        let of_type = seen.engine_type.map_or(0, |engine| engine.1);
        let id = if seen.engine_id.is_some() { engine } else { 0 };
        out.set_noted(line, Key::SOURCE_ID, of_type * 256 + id, Some("256 * engine type + engine ID"));
    }
    if !seen.interfaces.is_empty() {
        let names: Vec<&str> = seen.interfaces.iter().copied().collect();
        out.note(format!(
            "The router metered {}: name the interface here that sees their packets.",
            names.join(", ")
        ));
    }
    if seen.servers.is_empty() {
        return;
    }
    out.set_default(Key::INTERFACE, "any");
    out.set_default(Key::ACTIVE_TIMEOUT, if seen.templates.is_empty() { "1800s" } else { "60s" });
    out.set_default(Key::INACTIVE_TIMEOUT, "60s");
    if !seen.templates.is_empty() {
        out.set_default(Key::TEMPLATE_REFRESH, "60s");
        out.set_default(Key::TEMPLATE_REFRESH_PACKETS, 4_800);
    }
}
