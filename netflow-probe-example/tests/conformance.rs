//! Every requirement is named by a test that proves it, or says why not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub
)]

#[path = "../../netflow-codec/tests/conformance/scan.rs"]
mod scan;

use std::{collections::BTreeSet, path::Path};

const REQUIREMENTS: &str = include_str!("conformance/requirements.txt");

/// Where tests of the exporter and the collector are.
const FOLDERS: &[&str] = &["netflow-probe-example/src", "netflow-probe-example/tests", "netflow-codec"];

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

#[test]
fn ids_in_tests_are_those_of_requirements() {
    let requirements = scan::requirements(REQUIREMENTS);
    let known: BTreeSet<&str> = requirements.iter().map(|requirement| requirement.id).collect();
    assert_eq!(known.len(), requirements.len(), "an id is listed twice");
    let letters: BTreeSet<char> = known.iter().filter_map(|id| id.chars().next()).collect();
    let proofs = scan::scan(workspace(), FOLDERS);
    let own = |id: &&String| id.starts_with(|letter| letters.contains(&letter));
    // Longer ones are names of devices.
    let own = |id: &&String| own(id) && id.len() <= 3;
    let unknown: Vec<_> = proofs.keys().filter(own).filter(|id| !known.contains(id.as_str())).collect();
    assert!(unknown.is_empty(), "{unknown:?} are ids of nothing");
}

#[test]
fn every_requirement_is_proven_or_says_why_not() {
    let table = workspace().join("netflow-probe-example/CONFORMANCE.md");
    let proofs = scan::scan(workspace(), FOLDERS);
    scan::check(&table, "Conformance of netflow-probe-example", &scan::requirements(REQUIREMENTS), &proofs);
}
