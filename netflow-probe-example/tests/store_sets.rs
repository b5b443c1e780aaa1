//! Flows that are stored by whole sets are those that are stored one by one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use parquet::{
    file::reader::{FileReader, SerializedFileReader},
    record::Row,
};

const COLLECTOR: &str = env!("CARGO_BIN_EXE_netflow-collector");

/// Stores the flows of captures; when they are printed, too, each is looked at by itself.
fn store(captures: &[PathBuf], folder: &Path, is_printed: bool) -> Vec<Row> {
    let store = folder.join(if is_printed { "one-by-one" } else { "by-sets" });
    let mut command = Command::new(COLLECTOR);
    command.arg("decode").args(captures).args(["--quiet", "--store-interval", "24h", "--store"]).arg(&store);
    if is_printed {
        command.args(["--output", "/dev/null"]);
    }
    // Some captures are broken on purpose.
    let status = command.status().unwrap();
    assert!(matches!(status.code(), Some(0 | 1)));
    rows(&store)
}

fn rows(store: &Path) -> Vec<Row> {
    let mut files = Vec::new();
    find(store, &mut files);
    files.sort();
    let read = |path: &PathBuf| SerializedFileReader::new(File::open(path).unwrap()).unwrap();
    let rows = files
        .iter()
        .map(read)
        .flat_map(|file| file.get_row_iter(None).unwrap().map(Result::unwrap).collect::<Vec<_>>());
    rows.collect()
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) {
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            find(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "parquet") {
            files.push(path);
        }
    }
}

#[test]
fn flows_of_every_kind_of_exporter_are_the_same_by_sets_and_one_by_one() {
    let Some(shared) = common::shared_dir() else { return };
    let mut captures = Vec::new();
    for case in fs::read_dir(shared.join("corpus")).unwrap().map(|entry| entry.unwrap().path()) {
        if case.is_dir() {
            captures.extend(common::captures(&case));
        }
    }
    captures.sort();
    let folder = tempfile::tempdir().unwrap();
    let by_sets = store(&captures, folder.path(), false);
    let one_by_one = store(&captures, folder.path(), true);
    assert!(by_sets.len() > 1_000, "{}", by_sets.len());
    assert_eq!(by_sets.len(), one_by_one.len());
    for (row, (one, other)) in by_sets.iter().zip(&one_by_one).enumerate() {
        assert_eq!(one, other, "row {row}");
    }
}
