//! What comes with the programs in packages: manual pages, completions, units of systemd.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use std::{fs, path::Path, process::Command};

use clap::CommandFactory as _;
use netflow_probe_example::{collector_cli::Cli, exporter_cli::Arguments};

const EXPORTER: &str = env!("CARGO_BIN_EXE_netflow-exporter");
const COLLECTOR: &str = env!("CARGO_BIN_EXE_netflow-collector");

fn programs() -> [(&'static str, clap::Command); 2] {
    [(EXPORTER, Arguments::command()), (COLLECTOR, Cli::command())]
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The long flags of a command that users are told of.
fn flags(command: &clap::Command) -> Vec<&str> {
    let visible = command.get_arguments().filter(|argument| !argument.is_hide_set());
    visible.filter_map(clap::Arg::get_long).collect()
}

#[test]
fn manual_pages_mention_every_flag_of_every_command() {
    for (program, command) in programs() {
        let folder = tempfile::tempdir().unwrap();
        let pages = folder.path().join("not/there/yet");
        run(program, &["man", pages.to_str().unwrap()]);
        let mut commands = vec![(command.get_name().to_owned(), &command)];
        let visible = command.get_subcommands().filter(|command| !command.is_hide_set());
        commands.extend(visible.map(|sub| (format!("{}-{}", command.get_name(), sub.get_name()), sub)));
        assert!(commands.len() >= 2);
        for (name, command) in commands {
            let page = fs::read_to_string(pages.join(format!("{name}.1"))).expect(&name);
            assert!(
                page.contains(".SH DESCRIPTION") && page.contains(".SH OPTIONS") || flags(command).is_empty(),
                "{name}"
            );
            for flag in flags(command) {
                let escaped = format!("\\-\\-{}", flag.replace('-', "\\-"));
                assert!(page.contains(&escaped), "{name} does not mention --{flag}");
            }
        }
        let printed = run(program, &["man"]);
        assert!(printed.contains(".TH"));
    }
}

#[test]
fn completions_know_every_flag() {
    for (program, command) in programs() {
        for shell in ["bash", "zsh", "fish"] {
            let text = run(program, &["completions", shell]);
            let subcommands = command.get_subcommands().filter(|command| !command.is_hide_set());
            for flag in flags(&command).into_iter().chain(subcommands.flat_map(flags)) {
                // Fish names flags without dashes.
                let flag = if shell == "fish" { flag.to_owned() } else { format!("--{flag}") };
                assert!(text.contains(&flag), "{shell} does not know {flag} of {program}");
            }
        }
        if common::has_program("bash") {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("completions");
            fs::write(&path, run(program, &["completions", "bash"])).unwrap();
            assert!(Command::new("bash").arg("-n").arg(&path).status().unwrap().success());
        }
    }
}

/// The units, with the programs where they were built.
fn units(folder: &Path) -> Vec<std::path::PathBuf> {
    let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd");
    let mut paths = Vec::new();
    for (name, program) in [("netflow-exporter", EXPORTER), ("netflow-collector", COLLECTOR)] {
        let text = fs::read_to_string(units.join(format!("{name}.service"))).unwrap();
        assert_eq!(text.matches(&format!("=/usr/bin/{name} ")).count(), 2);
        let path = folder.join(format!("{name}.service"));
        fs::write(&path, text.replace(&format!("/usr/bin/{name}"), program)).unwrap();
        paths.push(path);
    }
    paths
}

#[test]
fn systemd_understands_the_units() {
    if !common::has_program("systemd-analyze") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for unit in units(folder.path()) {
        let output =
            Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&unit).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let name = unit.file_name().unwrap().to_str().unwrap();
        // It speaks of other units of the machine, too.
        let of_ours: Vec<&str> = told.lines().filter(|line| line.contains(name)).collect();
        assert!(of_ours.is_empty(), "{told}");
        let output = Command::new("systemd-analyze")
            .args(["security", "--offline=true", "--threshold=25", "--no-pager"])
            .arg(&unit)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}
