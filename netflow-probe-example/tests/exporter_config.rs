//! The exporter's configuration file beside its command line.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use clap::{Arg, ArgAction, CommandFactory as _, error::ErrorKind};
use common::files::Order;
use netflow_probe_example::{config, demo::SyntheticTraffic, exporter_cli::Arguments};

fn exporter(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_netflow-exporter")).args(arguments).output().unwrap()
}

fn text(octets: &[u8]) -> String {
    String::from_utf8(octets.to_vec()).unwrap()
}

fn file(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path
}

/// The first packets of the demonstration's traffic as a capture file.
fn capture(folder: &Path) -> PathBuf {
    let mut file = Order::Little.pcap_header(0xa1b2_3c4d, 1);
    let mut left = 2_000;
    let _enough = SyntheticTraffic::generate().frames(|frame| {
        let nanos = frame.timestamp.as_nanos();
        let seconds = u32::try_from(nanos / 1_000_000_000).unwrap();
        let fraction = u32::try_from(nanos % 1_000_000_000).unwrap();
        file.extend(Order::Little.pcap_record(seconds, fraction, frame.original_length, frame.data));
        left -= 1;
        if left == 0 { Err(()) } else { Ok(()) }
    });
    let path = folder.join("traffic.pcap");
    fs::write(&path, file).unwrap();
    path
}

/// Values for flags of all kinds: a flag takes the first that it accepts.
const VALUES: &[&str] = &[
    "10s",
    "1:10",
    "700",
    "3",
    "0.5",
    "1G",
    "192.0.2.1",
    "192.0.2.1:2055",
    "192.0.2.0/24",
    "3:2s",
    "90:60:1s",
    "interface input",
    "ipv4 ttl minimum",
    "2=eth1",
    "name=value",
    "a.pcap",
    "eth0",
    "true",
];

fn settable(command: &clap::Command) -> Vec<Arg> {
    let is_settable = |argument: &&Arg| {
        argument.get_long().is_some()
            && !["config", "check", "help", "version"].contains(&argument.get_id().as_str())
    };
    command.get_arguments().filter(is_settable).cloned().collect()
}

/// A value that a flag accepts; `None` for a switch.
fn value_for(command: &clap::Command, argument: &Arg) -> Option<String> {
    if !argument.get_action().takes_values() {
        return None;
    }
    let possible = argument.get_possible_values();
    let possible: Vec<&str> = possible.iter().map(clap::builder::PossibleValue::get_name).collect();
    let key = argument.get_long().unwrap();
    let accepts = |value: &&&str| {
        let given = ["netflow-exporter".to_owned(), format!("--{key}={value}")];
        match command.clone().try_get_matches_from(given) {
            Ok(_) => true,
            Err(error) => error.kind() == ErrorKind::MissingRequiredArgument,
        }
    };
    let value = possible.iter().chain(VALUES).find(accepts);
    Some((*value.unwrap_or_else(|| panic!("no value for --{key}: add one to VALUES"))).to_owned())
}

#[test]
fn every_flag_can_be_set_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let command = Arguments::command();
    let flags = settable(&command);
    assert!(flags.len() >= 14, "{}", flags.len());
    // What else is required, or excluded, does not matter here.
    let lenient = command.clone().ignore_errors(true);
    for flag in flags {
        let (id, key) = (flag.get_id().as_str(), flag.get_long().unwrap());
        let (arguments, said) = match value_for(&command, &flag) {
            None if matches!(flag.get_action(), ArgAction::Count) => {
                (vec![format!("--{key}")], "1".to_owned())
            }
            None => (vec![format!("--{key}")], "true".to_owned()),
            Some(value) if matches!(flag.get_action(), ArgAction::Append) => {
                (vec![format!("--{key}={value}"); 2], format!("[\"{value}\", \"{value}\"]"))
            }
            Some(value) => (vec![format!("--{key}={value}")], format!("\"{value}\"")),
        };
        let table = flag.get_help_heading().map(|heading| format!("[{}]\n", heading.to_lowercase()));
        let path = file(folder.path(), "one.toml", &format!("{}{key} = {said}\n", table.unwrap_or_default()));
        // The strict command judges the value.
        let strict =
            config::parse(&command, &["netflow-exporter".into(), "--config".into(), path.clone().into()]);
        assert!(!matches!(strict, Err(config::ConfigError::File(_))), "--{key}: {}", strict.unwrap_err());
        let from_file =
            config::parse(&lenient, &["netflow-exporter".into(), "--config".into(), path.into()]).unwrap();
        let given = core::iter::once("netflow-exporter".to_owned()).chain(arguments);
        let from_flags = lenient.clone().try_get_matches_from(given).unwrap();
        let raw = |matches: &clap::ArgMatches| -> Vec<OsString> {
            matches.get_raw(id).into_iter().flatten().map(OsString::from).collect()
        };
        assert!(from_flags.value_source(id) == Some(clap::parser::ValueSource::CommandLine), "--{key}");
        assert_eq!(from_file.matches().value_source(id), from_flags.value_source(id), "--{key}");
        assert_eq!(raw(from_file.matches()), raw(&from_flags), "--{key}");
    }
}

#[test]
fn a_file_does_what_the_flags_do() {
    // X2, X3, X18, X34
    let folder = tempfile::tempdir().unwrap();
    let read = capture(folder.path());
    let (by_flags, by_file) = (folder.path().join("flags.pcap"), folder.path().join("file.pcap"));
    let output = exporter(&[
        "--read",
        read.to_str().unwrap(),
        "--write",
        by_flags.to_str().unwrap(),
        "--export-version",
        "10",
        "--sampling",
        "random:1:10",
        "--seed",
        "7",
        "--mtu",
        "700",
        "--active-timeout",
        "2s",
        "--quiet",
        "--template-refresh-packets",
        "3",
        "--source-id",
        "77",
    ]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let config = file(
        folder.path(),
        "exporter.toml",
        &format!(
            "[capture]\nread = [{read:?}]\n[metering]\nseed = 7\nactive-timeout = \"2s\"\n[sampling]\n\
             sampling = \"random:1:10\"\n[export]\nwrite = {by_file:?}\nexport-version = 10\nmtu = 700\n\
             template-refresh-packets = 3\nsource-id = 0x4d\n[service]\nquiet = true\n"
        ),
    );
    let output = exporter(&["--config", config.to_str().unwrap()]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(output.stderr.is_empty());
    let written = fs::read(&by_file).unwrap();
    assert!(written.len() > 1_000);
    assert!(written == fs::read(&by_flags).unwrap());
}

#[test]
fn what_check_prints_is_a_configuration_that_means_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let config = file(
        folder.path(),
        "exporter.toml",
        "[capture]\nread = 'a \"quoted\" name.pcap'\n[export]\nmtu = 1400\ncollector = ['192.0.2.1', '[2001:db8::1]:9995']\n",
    );
    let path = config.to_str().unwrap();
    let output = exporter(&["--config", path, "--check", "--mtu", "1300", "--seed=5"]);
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""));
    let printed = text(&output.stdout);
    for line in [
        "mtu = 1300 # command line",
        "seed = 5 # command line",
        r#"read = ["a \"quoted\" name.pcap"] # file"#,
        r#"collector = ["192.0.2.1", "[2001:db8::1]:9995"] # file"#,
        "# inactive-timeout = \"15s\" # default",
        "# write is not set",
    ] {
        assert!(printed.lines().any(|printed| printed == line), "{line} is not in\n{printed}");
    }
    let again = file(folder.path(), "again.toml", &printed);
    let output = exporter(&["--config", again.to_str().unwrap(), "--check"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let values = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.rsplit(" # ").last().unwrap().to_owned()).collect()
    };
    assert_eq!(values(&text(&output.stdout)), values(&printed));
}

#[test]
fn flags_win_over_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let config = file(
        folder.path(),
        "exporter.toml",
        "[capture]\nread = ['a.pcap', 'b.pcap']\n[export]\nwrite = 'out.pcap'\nexport-version = 5\n",
    );
    let output = exporter(&["--config", config.to_str().unwrap(), "--check", "--read", "c.pcap"]);
    let printed = text(&output.stdout);
    // A list is replaced as a whole.
    assert!(printed.contains("read = [\"c.pcap\"] # command line\n"), "{printed}");
    assert!(printed.contains("export-version = 5 # file\n"), "{printed}");
}

#[test]
fn faults_are_told_with_file_line_key_and_what_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let config = file(
        folder.path(),
        "faulty.toml",
        "[capture]\nread = 'a.pcap'\n[export]\ncolector = '192.0.2.1'\nmtu = 12\nexport-version = 8\n\
         [metering]\nactive-timeout = '5 minutes'\nrate-limit = 5\n[sampling]\nsampling = 'often'\n",
    );
    let path = config.to_str().unwrap();
    for more in [&[][..], &["--check"][..]] {
        let output = exporter(&[&["--config", path], more].concat());
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
        let told = text(&output.stderr);
        let expected = [
            (4, "there is no key `colector`; did you mean `collector`?"),
            (5, "`mtu`: \"12\" is not accepted: 12 is not in 576..=65535; it takes OCTETS: "),
            (6, "`export-version`: \"8\" is not accepted: accepted are 5, 9, 10"),
            (8, "`active-timeout`: \"5 minutes\" is not accepted: a whole number and a unit expected"),
            (9, "`rate-limit` stands in the table [export]"),
            (11, "`sampling`: \"often\" is not accepted: "),
        ];
        assert_eq!(told.lines().count(), expected.len(), "{told}");
        for (line, (number, fault)) in told.lines().zip(expected) {
            let expected = format!("netflow-exporter: {path}:{number}: {fault}");
            assert!(line.starts_with(&expected), "{line}\nis not\n{expected}");
        }
    }
}

#[test]
fn what_is_missing_or_does_not_fit_together_is_told() {
    let folder = tempfile::tempdir().unwrap();
    // Nothing to send to, neither here nor there.
    let config = file(folder.path(), "half.toml", "[capture]\nread = 'a.pcap'\n");
    let output = exporter(&["--config", config.to_str().unwrap(), "--check"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--collector"), "{}", text(&output.stderr));
    // Each alone is accepted.
    let config = file(
        folder.path(),
        "v5.toml",
        "[capture]\nread = 'a.pcap'\n[export]\nwrite = 'b.pcap'\nexport-version = 5\nsource-id = 65_536\n",
    );
    let output = exporter(&["--config", config.to_str().unwrap(), "--check"]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
    assert!(text(&output.stderr).contains("version 5 has 16 bits"), "{}", text(&output.stderr));
    let output = exporter(&["--config", "/nonexistent/file.toml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).starts_with("netflow-exporter: /nonexistent/file.toml: "));
}

#[test]
fn the_collector_listens_as_a_file_says() {
    let folder = tempfile::tempdir().unwrap();
    let path =
        file(folder.path(), "collector.toml", "bind = ['127.0.0.1:0']\nidle-exit = '1s'\nquiet = true\n");
    let collector = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_netflow-collector"))
            .args(["listen", "--config", path.to_str().unwrap()])
            .args(arguments)
            .output()
            .unwrap();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, printed, _) = collector(&["--check", "--idle-exit", "10ms"]);
    assert_eq!(code, Some(0));
    for line in
        ["bind = [\"127.0.0.1:0\"] # file", "idle-exit = \"10ms\" # command line", "quiet = true # file"]
    {
        assert!(printed.lines().any(|printed| printed == line), "{line} is not in\n{printed}");
    }
    // It does what it was told: to end when nothing comes.
    let (code, _, told) = collector(&["--idle-exit", "10ms"]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("listening on 127.0.0.1:"), "{told}");
    fs::write(&path, "bnid = ['127.0.0.1:0']\n").unwrap();
    let (code, _, told) = collector(&["--check"]);
    assert_eq!(code, Some(2));
    assert!(told.contains("collector.toml:1: there is no key `bnid`; did you mean `bind`?"), "{told}");
}
