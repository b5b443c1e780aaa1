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

/// Where tests of the codec are.
const FOLDERS: &[&str] = &["netflow-codec/src", "netflow-codec/tests", "netflow-probe-example/tests"];

#[test]
fn every_requirement_is_proven_or_says_why_not() {
    scan::hold(env!("CARGO_PKG_NAME"), FOLDERS, include_str!("conformance/requirements.txt"));
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
