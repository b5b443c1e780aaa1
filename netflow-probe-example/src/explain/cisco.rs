//! Configurations of Cisco's IOS, IOS XE, IOS XR and NX-OS: classic commands, and Flexible NetFlow.
//!
//! Units differ: `ip flow-cache timeout active` counts minutes, all other timeouts seconds.

mod abbreviation;
mod classic;

use std::collections::BTreeSet;

use super::translation::{Key, Translation, host_port, number};
use abbreviation::expand;
use classic::Classic;

/// A part of the configuration with a name: a record, an exporter, a monitor, a sampler, or an interface.
struct Section<'a> {
    kind: Kind,
    name: &'a str,
    line: usize,
    lines: Vec<(usize, Vec<&'a str>)>,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Kind {
    Record,
    Exporter,
    Monitor,
    Sampler,
    Interface,
    /// What the router counts of flows by itself.
    Statistics,
}

/// What is used: by interfaces, and by what they use.
#[derive(Default)]
struct Used<'a> {
    monitors: BTreeSet<&'a str>,
    exporters: BTreeSet<&'a str>,
    records: BTreeSet<&'a str>,
    samplers: BTreeSet<&'a str>,
    /// Whether an interface meters anything.
    is_applied: bool,
    /// What there is, used or not.
    known: BTreeSet<(Kind, &'a str)>,
}

impl Used<'_> {
    /// Accepts a line that names a part, if that is there.
    fn accept(&self, line: usize, kind: Kind, name: &str, out: &mut Translation) {
        if self.known.contains(&(kind, name)) {
            out.accept(line);
        } else {
            out.leave(line, format!("there is no {name} in this file"));
        }
    }
}

/// The most words of a line that are looked at.
const MAX_WORDS: usize = 32;

/// Translates such a configuration.
pub(super) fn translate(text: &str, out: &mut Translation) {
    let mut sections: Vec<Section<'_>> = Vec::new();
    let mut current: Option<usize> = None;
    let mut classic = Classic::default();
    for (number, line) in (1..).zip(text.lines()) {
        let mut words: Vec<&str> = line.split_whitespace().take(MAX_WORDS).collect();
        let Some(first) = words.first() else { continue };
        if first.starts_with('!') {
            continue;
        }
        let is_indented = line.starts_with(char::is_whitespace);
        let kind = current.and_then(|at| sections.get(at)).map(|section| section.kind);
        write_out(&mut words, kind, is_indented);
        if let Some((kind, name)) = header(&words) {
            current = Some(sections.len());
            sections.push(Section { kind, name, line: number, lines: Vec::new() });
            continue;
        }
        let section = current.and_then(|at| sections.get_mut(at));
        if let Some(section) = section.filter(|section| is_indented || section.kind.knows(&words)) {
            take_back(&mut section.lines, number, &words, out);
            section.lines.push((number, words));
        } else {
            current = None;
            classic.line(number, words, out);
        }
    }
    classic.translate(out);
    let used = used(&sections);
    for section in &sections {
        translate_section(section, &used, out);
    }
    let is_flexible = sections.iter().any(|section| section.kind == Kind::Monitor);
    conclude(&classic, is_flexible, &sections, out);
}

/// Writes out what was cut short.
fn write_out(words: &mut [&str], kind: Option<Kind>, is_indented: bool) {
    let words = if let ["no", rest @ ..] = words { rest } else { words };
    match kind {
        Some(kind) if is_indented => return expand(words, kind.commands()),
        Some(kind) => {
            let mut of_part = words.to_vec();
            expand(&mut of_part, kind.commands());
            if kind.knows(&of_part) {
                return words.copy_from_slice(&of_part);
            }
        }
        None => {}
    }
    expand(words, abbreviation::GLOBAL);
}

/// The most lines that are taken back: a configuration has few, unless somebody wants to do harm.
const MAX_TAKEN_BACK: usize = 256;

/// Takes back what a command with `no` before it does: what it begins with.
fn take_back<'a>(
    lines: &mut Vec<(usize, Vec<&'a str>)>,
    number: usize,
    words: &[&'a str],
    out: &mut Translation,
) {
    let ["no", taken @ ..] = words else { return };
    let before = lines.iter().filter(|(_, words)| words.first() == Some(&"no")).take(MAX_TAKEN_BACK).count();
    if before < MAX_TAKEN_BACK && !taken.is_empty() {
        lines.retain(|(line, words)| {
            let is_taken = words.starts_with(taken);
            if is_taken {
                out.leave(*line, format!("line {number} takes it back"));
            }
            !is_taken
        });
    }
}

/// The beginning of a part with a name.
fn header<'a>(words: &[&'a str]) -> Option<(Kind, &'a str)> {
    match words {
        ["flow", "record", name] => Some((Kind::Record, name)),
        ["flow", "exporter" | "exporter-map", name] => Some((Kind::Exporter, name)),
        ["flow", "monitor" | "monitor-map", name] => Some((Kind::Monitor, name)),
        ["sampler" | "sampler-map" | "flow-sampler-map", name] => Some((Kind::Sampler, name)),
        ["interface", name, ..] => Some((Kind::Interface, name)),
        ["ip", "flow-top-talkers"] => Some((Kind::Statistics, "")),
        ["ip", "flow-aggregation", "cache", name, ..] => Some((Kind::Statistics, name)),
        _ => None,
    }
}

impl Kind {
    /// Its commands, to write them out.
    const fn commands(self) -> &'static [&'static str] {
        match self {
            Self::Record => abbreviation::RECORD,
            Self::Exporter => abbreviation::EXPORTER,
            Self::Monitor => abbreviation::MONITOR,
            Self::Sampler => abbreviation::SAMPLER,
            Self::Interface => abbreviation::INTERFACE,
            Self::Statistics => &[],
        }
    }

    /// Whether a line that is not indented can be of this part, as in text that lost its blanks.
    fn knows(self, words: &[&str]) -> bool {
        let words = if let ["no", rest @ ..] = words { rest } else { words };
        let first = words.first().copied().unwrap_or_default();
        match self {
            Self::Statistics => {
                ["top", "sort-by", "match", "cache-timeout", "cache", "export", "mask", "enabled"]
                    .contains(&first)
            }
            Self::Record => ["match", "collect", "description"].contains(&first),
            Self::Exporter => [
                "destination",
                "source",
                "transport",
                "export-protocol",
                "template",
                "option",
                "options",
                "ttl",
                "dscp",
                "description",
                "version",
                "output-features",
            ]
            .contains(&first),
            Self::Monitor => ["record", "exporter", "cache", "statistics", "description"].contains(&first),
            Self::Sampler => ["mode", "random", "granularity", "description"].contains(&first),
            Self::Interface => matches!(
                words,
                ["ip", "route-cache" | "flow" | "address", ..]
                    | ["ipv6", "flow", ..]
                    | [
                        "flow-sampler"
                            | "description"
                            | "shutdown"
                            | "mtu"
                            | "bandwidth"
                            | "duplex"
                            | "speed",
                        ..
                    ]
            ),
        }
    }
}

/// What an interface says of flows: the monitor and the sampler it names.
fn applied<'a>(words: &[&'a str]) -> Option<(&'a str, Option<&'a str>)> {
    match words {
        ["ip" | "ipv6", "flow", "monitor", monitor, rest @ ..]
        | ["flow", "ipv4" | "ipv6", "monitor", monitor, rest @ ..] => {
            let sampler = rest.iter().position(|word| *word == "sampler").and_then(|at| rest.get(at + 1));
            Some((monitor, sampler.copied()))
        }
        _ => None,
    }
}

fn used<'a>(sections: &[Section<'a>]) -> Used<'a> {
    let of_kind = |kind| sections.iter().filter(move |section| section.kind == kind);
    let known = sections.iter().map(|section| (section.kind, section.name)).collect();
    let mut used = Used { known, ..Used::default() };
    for (_, words) in of_kind(Kind::Interface).flat_map(|section| &section.lines) {
        if let Some((monitor, sampler)) = applied(words) {
            used.is_applied = true;
            used.monitors.insert(monitor);
            used.samplers.extend(sampler);
        }
        if let ["flow-sampler", name, ..] = words.as_slice() {
            used.samplers.insert(name);
        }
    }
    if !used.is_applied {
        // A part of a configuration: all that is there is meant.
        used.monitors.extend(of_kind(Kind::Monitor).map(|section| section.name));
    }
    if !used.is_applied && used.samplers.is_empty() {
        used.samplers.extend(of_kind(Kind::Sampler).map(|section| section.name));
    }
    let has_monitors = of_kind(Kind::Monitor).next().is_some();
    for (_, words) in of_kind(Kind::Monitor)
        .filter(|monitor| used.monitors.contains(monitor.name))
        .flat_map(|monitor| &monitor.lines)
    {
        match words.as_slice() {
            ["exporter", name, ..] => drop(used.exporters.insert(name)),
            ["record", name] => drop(used.records.insert(name)),
            _ => {}
        }
    }
    if !has_monitors {
        used.exporters.extend(of_kind(Kind::Exporter).map(|section| section.name));
        used.records.extend(of_kind(Kind::Record).map(|section| section.name));
    }
    used
}

fn translate_section(section: &Section<'_>, used: &Used<'_>, out: &mut Translation) {
    let Section { kind, name, line, lines } = section;
    let is_used = match kind {
        Kind::Record => used.records.contains(name),
        Kind::Exporter => used.exporters.contains(name),
        Kind::Monitor => used.monitors.contains(name),
        Kind::Sampler => used.samplers.contains(name),
        Kind::Interface | Kind::Statistics => true,
    };
    let why_left = if *kind == Kind::Statistics {
        Some("is a matter of the collector: netflow-collector query -s".to_owned())
    } else {
        (!is_used).then(|| format!("{name} is not used by any interface"))
    };
    if let Some(reason) = why_left {
        for line in core::iter::once(line).chain(lines.iter().map(|(line, _)| line)) {
            out.leave(*line, reason.as_str());
        }
        return;
    }
    out.accept(*line);
    if *kind == Kind::Exporter {
        return exporter(lines, out);
    }
    for (line, words) in lines {
        match kind {
            // What it takes back has been taken back.
            _ if words.first() == Some(&"no") && *kind != Kind::Interface => out.accept(*line),
            Kind::Record => record(*line, words, lines, out),
            Kind::Monitor => monitor(*line, words, used, out),
            Kind::Sampler => sampler(*line, words, out),
            _ => interface(*line, words, used, out),
        }
    }
}

/// Takes a number, or leaves the line.
fn with_number(
    line: usize,
    text: &str,
    accepted: core::ops::RangeInclusive<u64>,
    out: &mut Translation,
    then: impl FnOnce(u64, &mut Translation),
) {
    match number(text, accepted) {
        Ok(number) => then(number, out),
        Err(reason) => out.leave(line, reason),
    }
}

/// A time in seconds. Longer ones than our flags take are refused by them.
fn seconds(line: usize, text: &str, key: Key, out: &mut Translation) {
    with_number(line, text, 1..=604_800, out, |seconds, out| out.set(line, key, format!("{seconds}s")));
}

const OF_A_TABLE: &str = "comes from a table of prefixes here, if one is named with `attributes`";
const SOURCE_INTERFACE: &str =
    "datagrams come from an address, not from an interface: say `source` if the system's choice is not right";
const VRF: &str = "the VRF is left out: which way datagrams go is a matter of the system";
const WITH_TEMPLATES: &str = "options are announced, and sent again with the templates";

fn exporter(lines: &[(usize, Vec<&str>)], out: &mut Translation) {
    let port = lines.iter().find_map(|(line, words)| match words.as_slice() {
        ["transport", "udp", port] => number(port, 1..=65_535).ok().map(|port| (*line, port)),
        _ => None,
    });
    let has_data_timeout =
        lines.iter().any(|(_, words)| matches!(words.as_slice(), ["template", "data", "timeout", _]));
    for (line, words) in lines {
        let line = *line;
        match words.as_slice() {
            // What it takes back has been taken back.
            ["no", ..] => out.accept(line),
            ["destination", host, rest @ ..] => {
                let note = rest.iter().any(|word| ["vrf", "use-vrf"].contains(word)).then_some(VRF);
                let value = host_port(host, port.map_or(9_995, |port| port.1));
                out.set_noted(line, Key::COLLECTOR, value, note);
            }
            ["transport", "udp", _] if port.is_some_and(|port| port.0 == line) => out.accept(line),
            ["transport", "udp", text] => {
                with_number(line, text, 1..=65_535, out, |_, out| {
                    out.leave(line, "there is another port before it");
                });
            }
            ["transport", ..] => {
                out.leave(line, "is sent over UDP; `tcp://` before a collector sends IPFIX over TCP");
            }
            ["export-protocol", "netflow-v5"] => out.set(line, Key::EXPORT_VERSION, 5),
            ["export-protocol", "netflow-v9"] | ["version", "v9" | "9"] => {
                out.set(line, Key::EXPORT_VERSION, 9);
            }
            ["export-protocol" | "version", "ipfix"] => out.set(line, Key::EXPORT_VERSION, 10),
            ["template", "timeout", _] if has_data_timeout => {
                out.leave(line, "there is one of its own for templates of data");
            }
            ["template", "data", "timeout", text] | ["template", "timeout", text] => {
                seconds(line, text, Key::TEMPLATE_REFRESH, out);
            }
            ["template", "options", "timeout", _] | ["option" | "options", ..] => {
                out.leave(line, WITH_TEMPLATES);
            }
            ["ttl", text] => with_number(line, text, 1..=255, out, |ttl, out| out.set(line, Key::TTL, ttl)),
            ["dscp", text] => {
                with_number(line, text, 0..=63, out, |dscp, out| out.set(line, Key::DSCP, dscp));
            }
            ["source", ..] => out.leave(line, SOURCE_INTERFACE),
            ["description", ..] | ["exit" | "commit"] => out.accept(line),
            _ => out.leave(line, "has no counterpart here"),
        }
    }
}

fn monitor(line: usize, words: &[&str], used: &Used<'_>, out: &mut Translation) {
    match words {
        ["record", "netflow-original" | "platform-original" | "ipv4" | "ipv6"]
        | ["record", "netflow" | "platform-original", .., "original-input" | "original-output"]
        | ["record", "platform-original", "ipv4" | "ipv6"]
        | ["description", ..]
        | ["exit" | "commit"] => out.accept(line),
        ["record", "netflow" | "ipv4" | "ipv6" | "mpls", ..] => {
            out.leave(
                line,
                "a record with a key of its own that comes with the router: say its fields with `key`",
            );
        }
        ["record", name] => used.accept(line, Kind::Record, name, out),
        ["exporter", name, ..] => used.accept(line, Kind::Exporter, name, out),
        ["cache", "timeout", "active", text] => seconds(line, text, Key::ACTIVE_TIMEOUT, out),
        ["cache", "timeout", "inactive", text] => seconds(line, text, Key::INACTIVE_TIMEOUT, out),
        ["cache", "entries", text] => {
            with_number(line, text, 1..=4_294_967_295, out, |count, out| {
                out.set(line, Key::MAX_FLOWS, count);
            });
        }
        ["cache", "type", "normal"] | ["cache", "normal"] => out.accept(line),
        ["cache", "type", kind @ ("immediate" | "permanent")]
        | ["cache", kind @ ("immediate" | "permanent")] => {
            out.set(line, Key::CACHE, *kind);
        }
        ["cache", "timeout", "rate-limit", _] => {
            out.leave(line, "flows end when their time is up, however many");
        }
        ["cache", ..] => out.leave(line, "flows end by the active and the inactive timeout"),
        ["statistics", ..] => out.leave(line, "what was counted is at --metrics"),
        _ => out.leave(line, "has no counterpart here"),
    }
}

fn sampler(line: usize, words: &[&str], out: &mut Translation) {
    if let ["mode", size, "out-of", population] = words {
        let sizes = (number(size, 1..=4_294_967_295), number(population, 1..=4_294_967_295));
        return match sizes {
            (Ok(size), Ok(population)) => out.set(line, Key::SAMPLING, format!("random:{size}:{population}")),
            (Err(reason), _) | (_, Err(reason)) => out.leave(line, reason),
        };
    }
    let (is_random, count) = match words {
        ["mode", "random", "one-out-of", count]
        | ["mode", "random", "1", "out-of", count]
        | ["random", "1", "out-of", count] => (true, count),
        ["mode", "deterministic", "1", "out-of", count] => (false, count),
        ["description", ..] | ["granularity", "packet"] | ["exit" | "commit"] => return out.accept(line),
        ["granularity", ..] => return out.leave(line, "packets are sampled, not connections"),
        _ => return out.leave(line, "one packet out of several is expected"),
    };
    with_number(line, count, 1..=4_294_967_295, out, |count, out| {
        let text = if is_random { format!("random:1:{count}") } else { format!("1:{count}") };
        out.set(line, Key::SAMPLING, text);
    });
}

const KEY_ONLY: &str = "is in the records only as a part of the key: `match` it";

fn record(line: usize, words: &[&str], lines: &[(usize, Vec<&str>)], out: &mut Translation) {
    if let ["match", fields @ ..] = words {
        // NX-OS says the same of both families.
        let fields = fields.join(" ");
        let fields = fields.strip_prefix("ip ").map(|rest| format!("ipv4 {rest}")).unwrap_or(fields);
        return out.set(line, Key::KEY, fields);
    }
    let is_matched = |fields: &[&str]| {
        lines.iter().any(|(_, words)| {
            words.split_first().is_some_and(|(first, rest)| *first == "match" && rest == fields)
        })
    };
    let is_there = match words {
        ["collect", "transport", "tcp", "flags"]
        | ["collect", "interface", "output"]
        | ["collect", "ipv4" | "ipv6", "ttl" | "hop-limit" | "total-length" | "length", ..]
        | ["collect", "ipv4" | "ipv6", "fragmentation", "flags"] => {
            let (_, fields) = words.split_first().unwrap_or((&"", &[]));
            return out.set(line, Key::COLLECT, fields.join(" "));
        }
        ["collect", fields @ ..] if is_matched(fields) => true,
        ["collect", "ipv4", "dscp" | "precedence"] if is_matched(&["ipv4", "tos"]) => true,
        ["collect", "ipv6", "dscp" | "precedence"] if is_matched(&["ipv6", "traffic-class"]) => true,
        ["collect", "counter", "bytes", rest @ ..] if rest.contains(&"layer2") => {
            return out.leave(line, "octets are those of layer 3");
        }
        ["collect", "ipv4" | "ipv6", "source" | "destination", "address"]
        | ["collect", "transport", "source-port" | "destination-port" | "icmp", ..]
        | ["collect", "ipv4" | "ipv6", "protocol" | "tos" | "traffic-class" | "dscp" | "precedence"]
        | ["collect", "ipv6", "flow-label"]
        | ["collect", "interface", "input"]
        | ["collect", "flow", "direction"]
        | ["collect", "datalink" | "mpls", ..] => return out.leave(line, KEY_ONLY),
        ["collect", "counter", "bytes" | "packets", ..]
        | ["collect", "timestamp", _, "first" | "last"]
        | ["collect", "flow", "sampler" | "end-reason"]
        | ["description", ..]
        | ["exit" | "commit"] => true,
        ["collect", "routing", ..]
        | ["collect", "ipv4" | "ipv6", "source" | "destination", "mask" | "prefix"] => {
            return out.leave(line, OF_A_TABLE);
        }
        _ => false,
    };
    if is_there { out.accept(line) } else { out.leave(line, "is not in the records") }
}

fn interface(line: usize, words: &[&str], used: &Used<'_>, out: &mut Translation) {
    if let Some((monitor, sampler)) = applied(words) {
        used.accept(line, Kind::Monitor, monitor, out);
        if let Some(sampler) = sampler {
            used.accept(line, Kind::Sampler, sampler, out);
        }
        return;
    }
    match words {
        ["ip", "route-cache", "flow", ..]
        | ["ip" | "ipv6", "flow", "ingress" | "egress"]
        | ["no", "ip", "route-cache", "flow", ..]
        | ["no", "ip" | "ipv6", "flow", ..]
        | ["no", "flow" | "flow-sampler" | "datalink", ..] => out.accept(line),
        ["flow-sampler", name, ..] => used.accept(line, Kind::Sampler, name, out),
        ["datalink", "flow", ..] | ["flow", "mpls", ..] => out.leave(line, "only IP flows are metered"),
        ["ip" | "ipv6", "flow" | "flow-egress", ..] | ["flow" | "mls", ..] => {
            out.leave(line, "has no counterpart here");
        }
        _ => out.ignore(line),
    }
}

fn conclude(classic: &Classic<'_>, is_flexible: bool, sections: &[Section<'_>], out: &mut Translation) {
    if !classic.is_there() && !is_flexible && !out.has(Key::COLLECTOR) {
        return;
    }
    out.set_default(Key::ACTIVE_TIMEOUT, "30m");
    out.set_default(Key::INACTIVE_TIMEOUT, "15s");
    if is_flexible {
        out.set_default(Key::EXPORT_VERSION, 9);
        out.set_default(Key::TEMPLATE_REFRESH, "600s");
    } else {
        if !out.has(Key::EXPORT_VERSION) {
            out.note("Nothing says which version to export: there it is 1, which is not exported here.");
        }
        out.set_default(Key::TEMPLATE_REFRESH, "30m");
        out.set_default(Key::TEMPLATE_REFRESH_PACKETS, 20);
    }
    let is_metered = |section: &&Section<'_>| {
        section.kind == Kind::Interface
            && section.lines.iter().any(|(_, words)| {
                applied(words).is_some()
                    || matches!(
                        words.as_slice(),
                        ["ip", "route-cache", "flow", ..] | ["ip" | "ipv6", "flow", "ingress" | "egress"]
                    )
            })
    };
    let names: Vec<&str> = sections.iter().filter(is_metered).map(|section| section.name).take(64).collect();
    if !names.is_empty() {
        out.note(format!(
            "The router metered {}: name the interface here that sees their packets.",
            names.join(", ")
        ));
    }
    out.set_default(Key::INTERFACE, "any");
}
