//! The collector's jobs as a user calls them.

use std::process::{Command, Output};

use serde_json::Value;

pub(crate) fn collector(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_netflow-collector")).args(arguments).output().unwrap()
}

/// What a job prints, which must succeed.
pub(crate) fn text(arguments: &[&str]) -> String {
    let output = collector(arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&text(arguments)).unwrap()
}
