//! Commands of classic NetFlow, which belong to no part with a name.
//!
//! `ip flow-cache timeout active` and `ip flow-export template timeout-rate` count minutes.

use super::{OF_A_TABLE, SOURCE_INTERFACE, VRF, WITH_TEMPLATES, seconds, take_back, with_number};
use crate::explain::translation::{Key, NEEDS_TABLE, Translation, host_port};

/// Commands without a part of their own.
#[derive(Default)]
pub(super) struct Classic<'a> {
    lines: Vec<(usize, Vec<&'a str>)>,
}

impl<'a> Classic<'a> {
    /// Whether there are any that export.
    pub(super) fn is_there(&self) -> bool {
        self.lines
            .iter()
            .any(|(_, words)| matches!(words.as_slice(), ["ip", "flow-export" | "flow-cache", ..]))
    }

    /// Takes a line, which later ones may take back.
    pub(super) fn line(&mut self, line: usize, words: Vec<&'a str>, out: &mut Translation) {
        take_back(&mut self.lines, line, &words, out);
        match words.as_slice() {
            ["ip", what, ..] | ["no", "ip", what, ..] if what.starts_with("flow-") => {
                self.lines.push((line, words));
            }
            _ => translate(line, &words, out),
        }
    }

    /// Translates what was not taken back.
    pub(super) fn translate(&self, out: &mut Translation) {
        for (line, words) in &self.lines {
            translate(*line, words, out);
        }
    }
}

fn translate(line: usize, words: &[&str], out: &mut Translation) {
    match words {
        ["ip", "flow-export", rest @ ..] => export(line, rest, out),
        ["ip", "flow-cache", rest @ ..] => cache(line, rest, out),
        ["ip", "flow-sampling-mode", "packet-interval", count] => {
            with_number(line, count, 1..=65_535, out, |count, out| {
                out.set(line, Key::SAMPLING, format!("1:{count}"));
            });
        }
        ["no", "ip", "flow-export" | "flow-cache" | "flow-capture" | "flow-top-talkers", ..] => {
            out.accept(line);
        }
        ["ip", "flow-capture", rest @ ..] => capture(line, rest, out),
        ["ip", "flow-top-talkers" | "flow-aggregation", ..] => {
            out.leave(line, "is a matter of the collector: netflow-collector query -s");
        }
        ["ip", what, ..] if what.starts_with("flow-") => out.leave(line, "is not understood"),
        ["flow", "timeout", "active", text] => seconds(line, text, Key::ACTIVE_TIMEOUT, out),
        ["flow", "timeout", "inactive", text] => seconds(line, text, Key::INACTIVE_TIMEOUT, out),
        ["mls", "sampling", "packet-based", count, ..] => {
            with_number(line, count, 1..=65_535, out, |count, out| {
                out.set(line, Key::SAMPLING, format!("1:{count}"));
            });
        }
        ["mls", "sampling", ..] => out.leave(line, "packets are sampled by their number"),
        ["mls", "netflow" | "flow" | "nde" | "aging", ..] | ["flow" | "sampler", ..] => {
            out.leave(line, "has no counterpart here");
        }
        ["no", "flow" | "sampler" | "flow-sampler-map" | "sampler-map", ..] => {
            out.leave(line, "takes back a part as a whole: take it out of the file");
        }
        _ => out.ignore(line),
    }
}

/// What records of version 9 have besides the usual.
fn capture(line: usize, words: &[&str], out: &mut Translation) {
    let fields: &[&str] = match words {
        ["vlan-id"] => &["datalink vlan"],
        ["mac-addresses"] => &["datalink mac source address", "datalink mac destination address"],
        ["ttl"] => &["ipv4 ttl minimum", "ipv4 ttl maximum"],
        ["packet-length"] => &["ipv4 total-length minimum", "ipv4 total-length maximum"],
        // Type and code are where the destination port is, too.
        ["icmp"] => return out.accept(line),
        _ => return out.leave(line, "is not in the records"),
    };
    // What else is collected has to be said then.
    for field in ["interface output", "transport tcp flags"].iter().chain(fields) {
        out.set(line, Key::COLLECT, *field);
    }
}

fn export(line: usize, words: &[&str], out: &mut Translation) {
    match words {
        ["destination", host, port, rest @ ..] => {
            let over_sctp = rest.contains(&"sctp").then_some("SCTP is not spoken: over UDP here");
            let note = over_sctp.or_else(|| rest.contains(&"vrf").then_some(VRF));
            with_number(line, port, 1..=65_535, out, |port, out| {
                out.set_noted(line, Key::COLLECTOR, host_port(host, port), note);
            });
        }
        ["version", version, rest @ ..] => {
            match *version {
                "5" => out.set(line, Key::EXPORT_VERSION, 5),
                "9" => out.set(line, Key::EXPORT_VERSION, 9),
                version => {
                    out.leave(line, format!("version {version} is not exported: 5, 9 and IPFIX (10) are"));
                }
            }
            for word in rest {
                match *word {
                    "origin-as" => {
                        out.set_noted(line, Key::AUTONOMOUS_SYSTEM_TYPE, "origin", Some(NEEDS_TABLE));
                    }
                    "peer-as" => out.set_noted(line, Key::AUTONOMOUS_SYSTEM_TYPE, "peer", Some(NEEDS_TABLE)),
                    word => out.leave(line, format!("{word}: {OF_A_TABLE}")),
                }
            }
        }
        ["source", ..] => out.leave(line, SOURCE_INTERFACE),
        ["template", "refresh-rate", count] => with_number(line, count, 1..=600, out, |count, out| {
            out.set(line, Key::TEMPLATE_REFRESH_PACKETS, count);
        }),
        ["template", "timeout-rate", minutes] => {
            with_number(line, minutes, 1..=3_600, out, |minutes, out| {
                out.set(line, Key::TEMPLATE_REFRESH, format!("{minutes}m"));
            });
        }
        ["template", "options", ..] => out.leave(line, WITH_TEMPLATES),
        ["interface-names"] => out.accept(line),
        _ => out.leave(line, "has no counterpart here"),
    }
}

fn cache(line: usize, words: &[&str], out: &mut Translation) {
    match words {
        ["timeout", "active", minutes] => with_number(line, minutes, 1..=60, out, |minutes, out| {
            out.set(line, Key::ACTIVE_TIMEOUT, format!("{minutes}m"));
        }),
        ["timeout", "inactive", text] => with_number(line, text, 10..=600, out, |seconds, out| {
            out.set(line, Key::INACTIVE_TIMEOUT, format!("{seconds}s"));
        }),
        ["entries", count] => with_number(line, count, 1_024..=1_048_576, out, |count, out| {
            out.set(line, Key::MAX_FLOWS, count);
        }),
        _ => out.leave(line, "has no counterpart here"),
    }
}
