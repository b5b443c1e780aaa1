//! What the crate costs those who add it.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{collections::BTreeSet, process::Command};

/// Crates that a build with default features compiles, this one and those of macros included.
const CRATES: usize = 12;

#[test]
fn the_default_build_compiles_few_crates() {
    let tree = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO"));
        command.args(["tree", "--offline", "--locked", "--edges", "normal,build", "--prefix", "none"]);
        command.args(["--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")]).args(arguments);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let lines = String::from_utf8(output.stdout).unwrap();
        // Name and version; what is behind them marks a crate that stands there for the second time.
        let name = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
        lines.lines().filter(|line| !line.is_empty()).map(name).collect::<BTreeSet<_>>()
    };
    let default = tree(&[]);
    assert!(default.iter().any(|name| name.starts_with("netflow-codec ")), "{default:?}");
    assert!(default.len() <= CRATES, "{default:?}");
    let least = tree(&["--no-default-features"]);
    assert!(least.is_subset(&default), "{least:?}");
}
