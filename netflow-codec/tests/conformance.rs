//! Every requirement is named by a test that proves it, or says why not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub
)]

#[path = "conformance/scan.rs"]
mod scan;

use std::{collections::BTreeSet, path::Path};

const REQUIREMENTS: &str = include_str!("conformance/requirements.txt");

/// Where tests of the codec are.
const FOLDERS: &[&str] = &["netflow-codec/src", "netflow-codec/tests", "netflow-probe-example/tests"];

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

#[test]
fn ids_in_tests_are_those_of_requirements() {
    let requirements = scan::requirements(REQUIREMENTS);
    let known: BTreeSet<&str> = requirements.iter().map(|requirement| requirement.id).collect();
    assert_eq!(known.len(), requirements.len(), "an id is listed twice");
    let proofs = scan::scan(workspace(), FOLDERS);
    let own = |id: &&String| id.starts_with(['D', 'E', 'T']);
    let unknown: Vec<_> = proofs.keys().filter(own).filter(|id| !known.contains(id.as_str())).collect();
    assert!(unknown.is_empty(), "{unknown:?} are ids of nothing");
}

#[test]
fn every_requirement_is_proven_or_says_why_not() {
    let table = workspace().join("netflow-codec/CONFORMANCE.md");
    let proofs = scan::scan(workspace(), FOLDERS);
    scan::check(&table, "Conformance of netflow-codec", &scan::requirements(REQUIREMENTS), &proofs);
}

#[test]
fn ids_are_found_inside_and_above_tests_only() {
    let source = "\
// Q1
fn helper() {
    // Q2
}

// Q3
#[test]
#[ignore]
fn first() {
    // Q4, Q5: and x86-64
    if true {
        // Q6
    }
}

// Q7

proptest! {
    #[test]
    fn second(x in 0..1) {
        assert!(x == 0); // Q8
    }
}
// Q9
";
    let found = scan::tests(source);
    let ids: Vec<Vec<&str>> = found.iter().map(|(_, ids)| ids.iter().map(String::as_str).collect()).collect();
    assert_eq!(ids, [vec!["Q3", "Q4", "Q5", "Q6"], vec!["Q8"]]);
    assert_eq!((found[0].0.as_str(), found[1].0.as_str()), ("first", "second"));
}
