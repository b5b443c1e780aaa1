//! Other engines read from the store what was decoded: each column of each flow.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use common::python::{engines, python};

const COLLECTOR: &str = env!("CARGO_BIN_EXE_netflow-collector");

/// Decodes files into a store, and into JSON lines: apart, because flows that are printed are not stored by whole sets.
fn decode(folder: &Path, files: &[PathBuf], form: &str) -> (PathBuf, PathBuf) {
    let (store, lines) = (folder.join("store"), folder.join("flows.json"));
    for (to, path) in [("--store", &store), ("--output", &lines)] {
        let mut command = Command::new(COLLECTOR);
        command.arg("decode").args(files).args(["--quiet", "--format", "json"]).arg(to).arg(path);
        if to == "--store" {
            command.args(["--store-addresses", form]);
        }
        let output = command.output().unwrap();
        // Some of the files are broken on purpose: what can be decoded of them is in both.
        assert!(matches!(output.status.code(), Some(0 | 1)), "{}", String::from_utf8_lossy(&output.stderr));
    }
    (store, lines)
}

fn compare(store: &Path, lines: &Path, form: &str) {
    let engines = engines(&["duckdb", "pyarrow", "chdb"]);
    if engines.is_empty() {
        return;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/store_engines.py");
    let output =
        Command::new(python()).arg(script).args([store, lines]).arg(form).args(&engines).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}{errors}", String::from_utf8_lossy(&output.stdout));
    let rows = fs::read_to_string(lines).unwrap().lines().count();
    assert!(rows > 0);
    for engine in engines {
        assert!(String::from_utf8_lossy(&output.stdout).contains(&format!("{engine} {rows}\n")));
    }
}

// C32: elements of any reduced size stand in columns of full size. C33: elements without a column are in `fields`.
#[test]
fn every_flow_of_every_kind_of_exporter_is_the_same_in_each_engine() {
    compare_corpus("text");
}

#[test]
fn addresses_as_octets_are_the_same_in_each_engine() {
    compare_corpus("octets");
}

fn compare_corpus(form: &str) {
    let Some(shared) = common::shared_dir() else { return };
    let mut files = Vec::new();
    for case in fs::read_dir(shared.join("corpus")).unwrap() {
        let case = case.unwrap().path();
        if case.is_dir() {
            files.extend(common::captures(&case));
        }
    }
    files.sort();
    assert!(files.len() > 50, "{}", files.len());
    let folder = tempfile::tempdir().unwrap();
    let (store, lines) = decode(folder.path(), &files, form);
    compare(&store, &lines, form);
}
