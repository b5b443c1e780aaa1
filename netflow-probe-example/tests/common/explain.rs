//! Configurations of other exporters, as ours.

use std::{fs, process::Command};

use super::live::EXPORTER;

/// The translation that the program prints, and what `--check` makes of it: `key = value`, without defaults, and without
/// the type of AS numbers.
pub(crate) fn explained(dialect: &str, text: &str) -> (String, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("there.conf");
    fs::write(&path, text).unwrap();
    let output = Command::new(EXPORTER).args(["explain-config", dialect]).arg(&path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let toml = String::from_utf8(output.stdout).unwrap();
    let here = folder.path().join("here.toml");
    fs::write(&here, &toml).unwrap();
    let output = Command::new(EXPORTER).arg("--check").arg("--config").arg(&here).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    // All of it is understood, but a build without live capture says that it cannot begin.
    let is_lacking = !cfg!(feature = "live") && told.contains("build --release --features live");
    assert!(output.status.success() || is_lacking, "{told}\n{toml}");
    let effective = String::from_utf8(output.stdout).unwrap();
    let set = effective.lines().filter_map(|line| line.strip_suffix(" # file"));
    let set = set.filter(|line| !line.starts_with("autonomous-system-type")).map(str::to_owned).collect();
    (toml, set)
}

/// The lines that were left out, with their reasons.
pub(crate) fn left(toml: &str) -> Vec<(usize, String)> {
    let (_, rest) = toml.split_once("# Not carried over:\n").unwrap_or_default();
    let mut left: Vec<(usize, String)> = Vec::new();
    for line in rest.lines().take_while(|line| !line.is_empty()) {
        if let Some(line) = line.strip_prefix("# line ") {
            left.push((line.split(':').next().unwrap().parse().unwrap(), String::new()));
        } else {
            left.last_mut().unwrap().1.push_str(line.strip_prefix("#     ").unwrap());
        }
    }
    left
}

pub(crate) fn assert_left(toml: &str, expected: &[(usize, &str)]) {
    let left = left(toml);
    assert_eq!(
        left.iter().map(|(line, _)| *line).collect::<Vec<_>>(),
        expected.iter().map(|(line, _)| *line).collect::<Vec<_>>(),
        "{toml}"
    );
    for ((line, reason), (_, part)) in left.iter().zip(expected) {
        assert!(reason.contains(part), "line {line}: {reason:?} has no {part:?}");
    }
}
