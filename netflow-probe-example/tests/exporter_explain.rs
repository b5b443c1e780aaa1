//! Configurations of other exporters as ours: what cannot be said, and whatever may be in a file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
#![allow(clippy::too_many_lines, clippy::format_collect, reason = "configurations are long, and few")]

mod common;

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use common::{
    explain::{assert_left, explained},
    live::EXPORTER,
};
use netflow_probe_example::{
    config,
    explain::{Dialect, translate},
    exporter_cli::Arguments,
};
use proptest::prelude::*;

#[test]
fn what_our_flags_refuse_is_left_out_with_their_reason() {
    let text = "plugins: nfprobe\nnfprobe_version: 8\nnfprobe_timeouts: maxlife=9999999\nsnaplen: 7\nnfprobe_source_ip: nowhere.\n";
    let (toml, set) = explained("pmacct", text);
    assert!(set.iter().all(|line| !line.starts_with("snaplen")), "{toml}");
    assert_left(&toml, &[(2, "accepted are 5, 9, 10"), (3, "at most 20d"), (4, "64"), (5, "nowhere.")]);
}

#[test]
fn what_check_will_say_is_said_before() {
    let mut child = Command::new(EXPORTER)
        .args(["explain-config", "cisco", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"ip flow-export version 9\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let toml = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success()
            && toml.contains("# --check does not accept this yet: ")
            && toml.contains("--collector"),
        "{toml}"
    );
}

#[test]
fn a_file_without_end_is_refused() {
    let output = Command::new(EXPORTER).args(["explain-config", "junos", "/dev/zero"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("more than"));
}

const WORDS: &[&str] = &[
    "ip",
    "flow-export",
    "destination",
    "192.0.2.1",
    "9996",
    "version",
    "5",
    "flow-cache",
    "timeout",
    "active",
    "1",
    "flow",
    "exporter",
    "monitor",
    "record",
    "sampler",
    "A",
    "transport",
    "udp",
    "interface",
    "mode",
    "random",
    "out-of",
    "{",
    "}",
    ";",
    "set",
    "forwarding-options",
    "sampling",
    "input",
    "rate",
    "output",
    "flow-server",
    "port",
    "family",
    "inet",
    "services",
    "flow-monitoring",
    "version9",
    "template",
    "/*",
    "*/",
    "#",
    "\"",
    "[",
    "]",
    "plugins:",
    "nfprobe",
    "nfprobe_timeouts:",
    "tcp=1",
    "maxlife=2",
    "aggregate[A]:",
    "src_host,",
    "!",
    "\u{e9}",
    "\u{0}",
    "99999999999999999999",
    "-1",
    "match",
    "ipv4",
    "address",
];

fn hostile() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        8 => proptest::sample::select(WORDS).prop_map(str::to_owned),
        1 => ".{0,6}",
    ];
    let separator = proptest::sample::select(&[" ", " ", " ", "\n", "\n ", "\t", ""][..]);
    proptest::collection::vec((word, separator), 0..80)
        .prop_map(|parts| parts.into_iter().map(|(word, separator)| format!("{word}{separator}")).collect())
}

fn is_sound(dialect: Dialect, text: &str) {
    let command = <Arguments as clap::CommandFactory>::command();
    let mut translation = translate(dialect, text);
    translation
        .refuse(|toml| config::arguments(&command, toml).map(drop).map_err(|faults| faults.join("; ")));
    let toml = translation.to_toml("x");
    config::arguments(&command, &toml).unwrap_or_else(|faults| panic!("{faults:?}\n{toml}"));
    // Every line is accounted for, those aside that only open or close blocks, or are comments.
    let mut known = translation.carried();
    known.extend(translation.left().iter().map(|(line, _)| line));
    known.extend(translation.unrelated());
    if dialect != Dialect::Junos {
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            assert!(
                line.is_empty() || line.starts_with(['!', '#']) || known.contains(&number),
                "line {number}: {line:?}\n{toml}"
            );
        }
    }
    let count = text.lines().count();
    assert!(known.iter().all(|line| (1..=count).contains(line)), "{known:?} of {count}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_panics_and_all_translations_are_configurations(text in hostile()) {
        for dialect in [Dialect::Cisco, Dialect::Junos, Dialect::Pmacct] {
            is_sound(dialect, &text);
        }
    }
}

#[test]
fn large_and_deep_texts_end_soon() {
    for text in [
        "{".repeat(500_000),
        "a {".repeat(200_000),
        "a;".repeat(500_000),
        "set forwarding-options sampling input rate 1 ".repeat(20_000),
        "ip flow-export destination 192.0.2.1 1\n".repeat(20_000),
        "flow monitor A\n".repeat(50_000),
        "plugins: nfprobe\n".repeat(20_000),
        "/*".repeat(500_000),
        "forwarding-options sampling output flow-server 192.0.2.1 port 1;\n".repeat(20_000),
    ] {
        for dialect in [Dialect::Cisco, Dialect::Junos, Dialect::Pmacct] {
            let translation = translate(dialect, &text);
            assert!(translation.to_toml("x").len() < 40_000_000);
        }
    }
}
