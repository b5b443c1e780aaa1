//! The commands of `docs/jobs.md` run as they stand there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use common::{
    jobs::{json, text},
    scenario::{SECOND, Scenario},
};
use tempfile::TempDir;

fn document() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/jobs.md")).unwrap()
}

#[test]
fn every_command_of_the_document_works() {
    let folder = TempDir::new().unwrap();
    let mut scenario = Scenario::new(81, 100).background(20_000);
    scenario.contact("10.1.3.77".parse().unwrap(), "198.18.5.6".parse().unwrap(), 443, 300 * SECOND, 5);
    scenario.syn_flood("203.0.113.10".parse().unwrap(), 443, 600 * SECOND, 30, 20_000);
    scenario.write_store(folder.path());
    scenario.write_capture(folder.path());
    fs::write(folder.path().join("indicators.txt"), "198.18.5.6 C2\n198.51.100.0/28\n").unwrap();
    let program = PathBuf::from(env!("CARGO_BIN_EXE_netflow-collector"));
    let mut paths = vec![program.parent().unwrap().to_path_buf()];
    paths.extend(env::split_paths(&env::var_os("PATH").unwrap()));
    let document = document();
    let blocks = document.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap());
    let commands: Vec<&str> = blocks.flat_map(str::lines).collect();
    assert!(commands.len() >= 12, "{commands:?}");
    for command in commands {
        let output = Command::new("sh")
            .args(["-c", command])
            .current_dir(folder.path())
            .env("PATH", env::join_paths(&paths).unwrap())
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !output.stdout.is_empty(), "{command}: {errors}");
        if command.contains(" ioc ") || command.contains(" timeline ") {
            assert!(String::from_utf8_lossy(&output.stdout).contains("198.18.5.6"), "{command}");
        }
        if command.contains(" attack ") {
            assert!(String::from_utf8_lossy(&output.stdout).contains("203.0.113.10"), "{command}");
        }
    }
    assert!(folder.path().join("report.html").is_file());
}

#[test]
fn the_figures_of_the_published_case_are_those_of_the_document() {
    let arguments = [
        "plan",
        "--routers",
        "40",
        "--line-rate",
        "40G",
        "--sampling",
        "100",
        "--retention",
        "90d",
        "--json",
    ];
    let plan = json(&arguments);
    let document = document();
    for storage in plan["storage"].as_array().unwrap() {
        let name = storage["store"].as_str().unwrap();
        if name.contains("bzip2") {
            continue;
        }
        let terabytes = format!("{:.2} TB", storage["octets"].as_f64().unwrap() / 1e12);
        assert!(document.contains(&terabytes), "{name}: {terabytes}");
    }
}

#[test]
fn every_threshold_of_the_document_is_the_default() {
    let help = text(&["attack", "--help"]);
    let document = document();
    let mut thresholds = 0;
    for (at, _) in document.match_indices("`--") {
        let rest = &document[at + 1..];
        let Some((flag, rest)) = rest.split_once('`') else { continue };
        let number: String = rest.trim_start().chars().take_while(char::is_ascii_digit).collect();
        let Some(place) = help.find(&format!("{flag} <")).filter(|_| !number.is_empty()) else { continue };
        let default = help[place..].split("[default: ").nth(1).unwrap().split(']').next().unwrap();
        assert!(default.trim_end_matches(['s', 'm']) == number, "{flag}: {default} and {number}");
        thresholds += 1;
    }
    assert!(thresholds >= 12, "{thresholds}");
}
